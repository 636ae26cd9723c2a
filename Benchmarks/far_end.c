// The least that a far end can do: reads HTTP requests with a Content-Length and throws their bodies away, a thread for
// each connection. Writes are answered 204, objects 200 with an ETag, HEAD 404. GET tells the seconds from the first body's
// first byte to the last body's last, and all bodies' bytes.
//
//   far_end PORT

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static double first, last;
static unsigned long long bytes;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static void note(double begun, size_t count) {
    pthread_mutex_lock(&lock);
    if (first == 0 || begun < first) first = begun;
    last = now();
    bytes += count;
    pthread_mutex_unlock(&lock);
}

static void answer(int socket, const char *text) {
    size_t length = strlen(text);
    while (length > 0) {
        ssize_t sent = write(socket, text, length);
        if (sent <= 0) return;
        text += sent;
        length -= (size_t)sent;
    }
}

static void *serve(void *context) {
    int socket = (int)(intptr_t)context;
    enum { most = 262144 };
    char *buffer = malloc(most + 1);
    size_t have = 0;
    while (1) {
        buffer[have] = 0;
        char *end = have > 0 ? strstr(buffer, "\r\n\r\n") : NULL;
        if (end == NULL) {
            if (have == most) break;
            ssize_t count = read(socket, buffer + have, most - have);
            if (count <= 0) break;
            have += (size_t)count;
            continue;
        }
        end[2] = 0;
        const char *field = strcasestr(buffer, "\r\nContent-Length:");
        const double begun = now();
        size_t left = field ? (size_t)strtoull(field + 17, NULL, 10) : 0;
        if (strcasestr(buffer, "\r\nExpect: 100-continue")) answer(socket, "HTTP/1.1 100 Continue\r\n\r\n");
        const size_t whole = left;
        char method[8];
        snprintf(method, sizeof method, "%.7s", buffer);
        size_t head = (size_t)(end + 4 - buffer);
        size_t rest = have - head;
        size_t own = rest < left ? rest : left;
        left -= own;
        memmove(buffer, buffer + head + own, rest - own);
        have = rest - own;
        char *sink = left > 0 ? malloc(most) : NULL;
        while (left > 0) {
            ssize_t count = read(socket, sink, left < most ? left : most);
            if (count <= 0) break;
            left -= (size_t)count;
        }
        free(sink);
        if (left > 0) break;
        if (whole > 0) note(begun, whole);
        if (strncmp(method, "GET", 3) == 0) {
            char text[96], head_text[192];
            pthread_mutex_lock(&lock);
            snprintf(text, sizeof text, "%.6f %llu", last - first, bytes);
            pthread_mutex_unlock(&lock);
            snprintf(head_text, sizeof head_text, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n%s", strlen(text), text);
            answer(socket, head_text);
        } else if (strncmp(method, "POST", 4) == 0) {
            answer(socket, "HTTP/1.1 204 No Content\r\n\r\n");
        } else if (strncmp(method, "HEAD", 4) == 0) {
            answer(socket, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        } else {
            answer(socket, "HTTP/1.1 200 OK\r\nETag: \"0\"\r\nContent-Length: 0\r\n\r\n");
        }
    }
    free(buffer);
    close(socket);
    return NULL;
}

int main(int count, char **arguments) {
    if (count != 2) return 64;
    int listener = socket(AF_INET, SOCK_STREAM, 0);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)atoi(arguments[1])), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 || listen(listener, 128) != 0) return 1;
    puts("listening");
    fflush(stdout);
    while (1) {
        int socket = accept(listener, NULL, NULL);
        if (socket < 0) return 1;
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        pthread_t thread;
        if (pthread_create(&thread, NULL, serve, (void *)(intptr_t)socket) != 0) return 1;
        pthread_detach(thread);
    }
}
