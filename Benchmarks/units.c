// Plays CO2 units: each push is a connection of its own, as units make them, and is read to the end.
//
//   units PORT UNITS PUSHES [FILE]     PUSHES of 4096 bytes in all, by UNITS at a time; with FILE, each of its
//                                      own all to the beginning of that file, as units do that lost their state
//
// Prints JSON: pushes answered with 200, and seconds.

#define _GNU_SOURCE
#include <arpa/inet.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { piece_bytes = 4096, file_bytes = 102400 };

static int port, units, pushes;
static const char *fixed;
static int taken;

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/// Readings of one unit, half an hour apart, as long as asked for.
static char *readings(int unit, int bytes) {
    char *text = malloc((size_t)bytes + 256);
    time_t at = 1564578010;
    for (int place = 0; place < bytes; at += 1800) {
        struct tm parts;
        gmtime_r(&at, &parts);
        place += sprintf(
            text + place,
            "co2unit-%012x\tvaranger-03\t%04d-%02d-%02d\t%02d:%02d:%02d\t23.4375\t1\t680\t700\t710\t710\t700\t690\t700\t700\t700\t700\n",
            unit, parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec);
    }
    return text;
}

static int push(int unit, int file, int offset, const char *body) {
    char message[piece_bytes + 512];
    char name[64];
    snprintf(name, sizeof name, "readings-%04d.tsv", file);
    int head = snprintf(
        message, 512, "PUT /ou/co2unit-%012x/push-sequential/data/readings/%s?offset=%d HTTP/1.0\r\nHost: 127.0.0.1\r\nContent-Length: %d\r\n\r\n",
        unit, fixed ? fixed : name, offset, piece_bytes);
    memcpy(message + head, body, piece_bytes);
    int descriptor = socket(AF_INET, SOCK_STREAM, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (connect(descriptor, (struct sockaddr *)&address, sizeof address) != 0) {
        perror("connect");
        exit(1);
    }
    size_t sent = 0;
    while (sent < (size_t)(head + piece_bytes)) {
        ssize_t count = send(descriptor, message + sent, (size_t)(head + piece_bytes) - sent, MSG_NOSIGNAL);
        if (count <= 0) break;
        sent += (size_t)count;
    }
    char answer[1024];
    size_t got = 0;
    ssize_t count;
    while (got < sizeof answer - 1 && (count = recv(descriptor, answer + got, sizeof answer - 1 - got, 0)) > 0) got += (size_t)count;
    answer[got] = 0;
    close(descriptor);
    return strstr(answer, " 200 ") != NULL;
}

static void *work(void *argument) {
    int unit = (int)(intptr_t)argument;
    int own = pushes / units;
    char *text = readings(unit, (fixed ? 1 : own) * piece_bytes);
    int good = 0;
    for (int number = 0; number < own; number++) {
        int place = number * piece_bytes;
        good += fixed ? push(unit, 0, 0, text) : push(unit, place / file_bytes, place % file_bytes, text + place);
    }
    __sync_fetch_and_add(&taken, good);
    free(text);
    return NULL;
}

int main(int count, char **arguments) {
    if (count < 4) return 64;
    port = atoi(arguments[1]);
    units = atoi(arguments[2]);
    pushes = atoi(arguments[3]);
    fixed = count > 4 ? arguments[4] : NULL;
    pthread_t *threads = calloc((size_t)units, sizeof *threads);
    double started = now();
    for (int unit = 0; unit < units; unit++) pthread_create(&threads[unit], NULL, work, (void *)(intptr_t)unit);
    for (int unit = 0; unit < units; unit++) pthread_join(threads[unit], NULL);
    printf("{\"pushes\": %d, \"seconds\": %.6f}\n", taken, now() - started);
    return 0;
}
