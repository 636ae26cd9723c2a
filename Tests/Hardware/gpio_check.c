// The shim over libgpiod, on the simulated chip of the machine under test: built once with each form of the library.

#define _GNU_SOURCE
#include "CEdgeGPIO.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define BOTH (EDGE_GPIO_RISING | EDGE_GPIO_FALLING)

static char folder[256];

static void setup(void) {
    char device[64] = "", chip[64] = "";
    FILE *file = fopen("/sys/kernel/config/gpio-sim/pi/dev_name", "r");
    if (file == NULL || fscanf(file, "%63s", device) != 1) exit(2);
    fclose(file);
    file = fopen("/sys/kernel/config/gpio-sim/pi/bank0/chip_name", "r");
    if (file == NULL || fscanf(file, "%63s", chip) != 1) exit(2);
    fclose(file);
    snprintf(folder, sizeof folder, "/sys/devices/platform/%s/%s", device, chip);
}

static void pull(int line, const char *to) {
    char path[300];
    snprintf(path, sizeof path, "%s/sim_gpio%d/pull", folder, line);
    FILE *file = fopen(path, "w");
    if (file == NULL || fputs(to, file) < 0) exit(2);
    fclose(file);
}

static int value(int line) {
    char path[300];
    int read = -1;
    snprintf(path, sizeof path, "%s/sim_gpio%d/value", folder, line);
    FILE *file = fopen(path, "r");
    if (file == NULL || fscanf(file, "%d", &read) != 1) exit(2);
    fclose(file);
    return read;
}

#define CHECK(condition) \
    do { \
        if (!(condition)) { \
            printf("line %d: not so: %s (errno %d, %s)\n", __LINE__, #condition, errno, strerror(errno)); \
            exit(1); \
        } \
    } while (0)

int main(void) {
    setup();
    puts(edge_gpio_library());
    EdgeGPIOChip chips[8];
    int count = edge_gpio_chips(chips, 8), found = 0;
    for (int i = 0; i < count; i++) found |= strcmp(chips[i].label, "pinctrl-bcm2711") == 0 && chips[i].lines == 54;
    CHECK(found);

    // Inputs: by name and by label; edges with numbers and the kernel's times.
    pull(17, "pull-down");
    EdgeGPIOPlace named = {.line_name = "GPIO17"};
    EdgeGPIOLine *input = edge_gpio_input(&named, BOTH);
    CHECK(input != NULL);
    CHECK(edge_gpio_get(input) == 0);
    EdgeGPIOEdge edges[1024];
    int64_t last = 0;
    for (uint32_t i = 0; i < 50; i++) {
        pull(17, i % 2 == 0 ? "pull-up" : "pull-down");
        struct pollfd waiting = {.fd = edge_gpio_descriptor(input), .events = POLLIN};
        CHECK(poll(&waiting, 1, 5000) == 1);
        CHECK(edge_gpio_edges(input, edges, 1024) == 1);
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        CHECK(edges[0].number == i + 1 && edges[0].is_active == (i % 2 == 0));
        CHECK(edges[0].time_ns > last && edges[0].time_ns <= now.tv_sec * 1000000000LL + now.tv_nsec);
        last = edges[0].time_ns;
    }
    CHECK(edge_gpio_edges(input, edges, 1024) == 0);
    EdgeGPIOPlace placed = {.chip_label = "pinctrl-bcm2711", .offset = 17};
    CHECK(edge_gpio_input(&placed, BOTH) == NULL && errno == EBUSY);
    edge_gpio_close(input);
    // Rising edges alone.
    pull(17, "pull-down");
    input = edge_gpio_input(&placed, EDGE_GPIO_RISING);
    CHECK(input != NULL);
    for (int i = 0; i < 400; i++) {
        pull(17, i % 2 == 0 ? "pull-up" : "pull-down");
        // The kernel reports edges from a thread, which takes two for one when it is late.
        usleep(1000);
    }
    usleep(50000);
    // Nobody has read in the meantime: they are in the kernel's buffer, which by itself holds 16.
    int have = edge_gpio_edges(input, edges, 1024);
    CHECK(have > 150 && have <= 200);
    for (int i = 0; i < have; i++) CHECK(edges[i].number == (uint32_t)i + 1 && edges[i].is_active);
    edge_gpio_close(input);
    // What is known of a line, free and taken.
    for (int i = 0; i < count; i++) {
        if (strcmp(chips[i].label, "pinctrl-bcm2711") != 0) continue;
        EdgeGPIOLineInfo infos[64];
        EdgeGPIOPlace lamp = {.line_name = "GPIO23"};
        EdgeGPIOLine *held = edge_gpio_output(&lamp, false);
        CHECK(held != NULL);
        CHECK(edge_gpio_lines(&chips[i], infos, 64) == 54);
        CHECK(strcmp(infos[23].name, "GPIO23") == 0 && infos[23].is_used && strcmp(infos[23].consumer, "edge-aggregator") == 0);
        CHECK(strcmp(infos[24].name, "GPIO24") == 0 && !infos[24].is_used && infos[0].name[0] == 0);
        edge_gpio_close(held);
    }
    // Active low turns values and edges about.
    placed.is_active_low = true;
    input = edge_gpio_input(&placed, BOTH);
    CHECK(input != NULL);
    CHECK(edge_gpio_get(input) == 1);
    pull(17, "pull-up");
    usleep(50000);
    CHECK(edge_gpio_edges(input, edges, 1024) == 1 && !edges[0].is_active);
    edge_gpio_close(input);

    // Outputs.
    EdgeGPIOPlace relay = {.line_name = "GPIO22"};
    EdgeGPIOLine *output = edge_gpio_output(&relay, true);
    CHECK(output != NULL);
    CHECK(value(22) == 1);
    CHECK(edge_gpio_set(output, false) == 0 && value(22) == 0);
    edge_gpio_close(output);
    relay.is_active_low = true;
    output = edge_gpio_output(&relay, true);
    CHECK(output != NULL);
    CHECK(value(22) == 0);
    edge_gpio_close(output);

    // Who is not there; and a chip without interrupts.
    EdgeGPIOPlace nobody = {.line_name = "GPIO99"};
    CHECK(edge_gpio_input(&nobody, BOTH) == NULL && errno == ENOENT);
    EdgeGPIOPlace beyond = {.chip_label = "pinctrl-bcm2711", .offset = 54};
    CHECK(edge_gpio_input(&beyond, BOTH) == NULL && errno == ENOENT);
    EdgeGPIOPlace simple = {.chip_label = "mcp2221_gpio", .offset = 2};
    CHECK(edge_gpio_input(&simple, BOTH) == NULL && errno != ENOENT);
    input = edge_gpio_input(&simple, 0);
    CHECK(input != NULL);
    CHECK(edge_gpio_get(input) >= 0);
    edge_gpio_close(input);
    puts("all well");
    return 0;
}
