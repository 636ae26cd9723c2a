// Plays many listeners from one thread: pages of 32 KiB, header-less, at the pace of 48 kHz, 16 bits, mono, or as fast as
// they are taken.
//
//   load PORT LISTENERS SECONDS paced        each listener sends SECONDS of sound at its pace
//   load PORT LISTENERS MEGABYTES pushed     each listener sends so much at once
//   load PORT LISTENERS MEGABYTES raw        the same bytes, without HTTP, for the bare server
//
// Prints JSON: frames and bytes sent, streams that were answered with 200, seconds.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { page_bytes = 32768, frame_bytes = page_bytes + 6 };

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int send_all(int socket, const char *bytes, size_t count) {
    while (count > 0) {
        ssize_t sent = send(socket, bytes, count, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return -1;
        bytes += sent;
        count -= (size_t)sent;
    }
    return 0;
}

static int connect_to(int port) {
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (descriptor < 0 || connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("connect");
        exit(1);
    }
    return descriptor;
}

int main(int count, char **arguments) {
    if (count != 5) return 64;
    int port = atoi(arguments[1]);
    int listeners = atoi(arguments[2]);
    double amount = atof(arguments[3]);
    int paced = strcmp(arguments[4], "paced") == 0;
    int raw = strcmp(arguments[4], "raw") == 0;
    double page_seconds = page_bytes / 96000.0;
    int pages = (int)(paced ? amount / page_seconds : amount * 1e6 / page_bytes);
    static char chunk[frame_bytes + 32];
    int head = sprintf(chunk, "%x\r\n", frame_bytes);
    char *payload = chunk + head + 6;
    uint32_t state = 1;
    for (int i = 0; i < page_bytes; i += 2) {
        state = state * 1664525u + 1013904223u;
        payload[i] = (char)(state >> 24);
        payload[i + 1] = (char)((int8_t)(state >> 16) / 32);
    }
    memcpy(chunk + head + frame_bytes, "\r\n", 2);
    size_t chunk_bytes = (size_t)head + frame_bytes + 2;

    int *sockets = malloc(sizeof(int) * (size_t)listeners);
    for (int i = 0; i < listeners; i++) {
        sockets[i] = connect_to(port);
        if (raw) continue;
        char request[256];
        int length = sprintf(request,
            "POST /recordings_stream?listener_id=load%04d HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            "Connection: keep-alive\r\n\r\n", i);
        if (send_all(sockets[i], request, (size_t)length) != 0) return 1;
    }
    double started = now();
    long frames = 0;
    for (int page = 0; page < pages; page++) {
        for (int i = 0; i < listeners; i++) {
            if (paced) {
                // The listeners are spread over the length of a page.
                double due = started + (page + (double)i / listeners) * page_seconds;
                double rest = due - now();
                if (rest > 0) {
                    struct timespec pause = {(time_t)rest, (long)((rest - (time_t)rest) * 1e9)};
                    nanosleep(&pause, NULL);
                }
            }
            char *header = chunk + head;
            for (int byte = 0; byte < 3; byte++) {
                header[byte] = (char)(page >> (byte * 8));
                header[3 + byte] = (char)(page_bytes >> (byte * 8));
            }
            const char *bytes = raw ? header : chunk;
            if (send_all(sockets[i], bytes, raw ? frame_bytes : chunk_bytes) != 0) return 1;
            frames++;
        }
    }
    double sent = now() - started;
    int answered = 0;
    for (int i = 0; i < listeners && !raw; i++) send_all(sockets[i], "0\r\n\r\n", 5);
    for (int i = 0; i < listeners; i++) {
        char answer[512] = {0};
        if (raw) {
            shutdown(sockets[i], SHUT_WR);
            (void)!read(sockets[i], answer, 1);
        } else if (recv(sockets[i], answer, sizeof answer - 1, 0) > 0 && strncmp(answer, "HTTP/1.1 200", 12) == 0) {
            answered++;
        }
        close(sockets[i]);
    }
    printf("{\"frames\":%ld,\"bytes\":%ld,\"answered\":%d,\"seconds\":%.3f,\"seconds_with_answers\":%.3f}\n", frames,
        frames * page_bytes, answered, sent, now() - started);
    return 0;
}
