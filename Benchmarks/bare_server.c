// The least that a server can do: what comes from each socket goes to a file, 64 KiB at a time, a new file every 20 s of
// sound. Ends when all connections have ended; prints its CPU seconds.
//
//   bare_server PORT FOLDER CONNECTIONS

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

typedef struct {
    int socket, file, number;
    long bytes;
} Connection;

static void next_file(Connection *connection, const char *folder) {
    static int counter = 0;
    char path[512];
    if (connection->file >= 0) close(connection->file);
    snprintf(path, sizeof path, "%s/bare-%d", folder, counter++);
    connection->file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    connection->bytes = 0;
}

int main(int count, char **arguments) {
    if (count != 4) return 64;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 1024) != 0) return 1;
    int connections = atoi(arguments[3]);
    int poll = epoll_create1(0);
    for (int i = 0; i < connections; i++) {
        Connection *connection = calloc(1, sizeof *connection);
        if (i == 0) {
            puts("listening");
            fflush(stdout);
        }
        connection->socket = accept(listener, NULL, NULL);
        connection->file = -1;
        next_file(connection, arguments[2]);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        epoll_ctl(poll, EPOLL_CTL_ADD, connection->socket, &event);
    }
    static char block[65536];
    struct epoll_event events[64];
    long total = 0;
    while (connections > 0) {
        int ready = epoll_wait(poll, events, 64, -1);
        for (int i = 0; i < ready; i++) {
            Connection *connection = events[i].data.ptr;
            ssize_t got = recv(connection->socket, block, sizeof block, 0);
            if (got <= 0) {
                close(connection->socket);
                close(connection->file);
                connections--;
                continue;
            }
            if (write(connection->file, block, (size_t)got) != got) return 1;
            total += got;
            connection->bytes += got;
            if (connection->bytes > 1920000) next_file(connection, arguments[2]);
        }
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    printf("{\"bytes\":%ld,\"cpu_seconds\":%.4f}\n", total, cpu);
    return 0;
}
