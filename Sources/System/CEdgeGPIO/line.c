#define _GNU_SOURCE
#include "line.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int is_chip(const struct dirent *entry) {
    unsigned number;
    int end = 0;
    return sscanf(entry->d_name, "gpiochip%u%n", &number, &end) == 1 && entry->d_name[end] == 0;
}

int edge_gpio_paths(char paths[][32], int capacity) {
    struct dirent **entries;
    int found = scandir("/dev", &entries, is_chip, versionsort);
    if (found < 0) return 0;
    int count = 0;
    for (int i = 0; i < found; i++) {
        if (count < capacity) snprintf(paths[count++], 32, "/dev/%.20s", entries[i]->d_name);
        free(entries[i]);
    }
    free(entries);
    return count;
}

void edge_gpio_do_not_block(int descriptor) {
    int flags = fcntl(descriptor, F_GETFL);
    if (flags >= 0) (void)fcntl(descriptor, F_SETFL, flags | O_NONBLOCK);
}

int edge_gpio_read(int descriptor, EdgeGPIOEdge *edges, int capacity) {
    struct gpio_v2_line_event events[64];
    int count = 0;
    while (count < capacity) {
        size_t wanted = (size_t)(capacity - count);
        if (wanted > 64) wanted = 64;
        ssize_t got = read(descriptor, events, wanted * sizeof events[0]);
        if (got < 0) {
            if (errno == EINTR) continue;
            if (errno == EAGAIN) return count;
            return count > 0 ? count : -1;
        }
        int read_now = (int)((size_t)got / sizeof events[0]);
        for (int i = 0; i < read_now; i++) {
            edges[count++] = (EdgeGPIOEdge){
                .time_ns = (int64_t)events[i].timestamp_ns,
                .number = events[i].line_seqno,
                .is_active = events[i].id == GPIO_V2_LINE_EVENT_RISING_EDGE,
            };
        }
        if (read_now < (int)wanted) return count;
    }
    return count;
}
