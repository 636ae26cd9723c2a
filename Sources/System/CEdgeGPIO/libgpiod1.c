#define _GNU_SOURCE
#include <gpiod.h>
#ifdef GPIOD_BIT // Only the 1.x header has it.

#include "line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

struct EdgeGPIOLine {
    struct gpiod_chip *chip;
    struct gpiod_line *line;
    // An input is asked for by the kernel's own interface: 1.x keeps 16 edges and does not number them.
    int descriptor;
};

static struct gpiod_line *find(const EdgeGPIOPlace *place, struct gpiod_chip **found, char *found_path) {
    char paths[64][32];
    int count = edge_gpio_paths(paths, 64), error = ENOENT;
    for (int i = 0; i < count; i++) {
        struct gpiod_chip *chip = gpiod_chip_open(paths[i]);
        if (chip == NULL) {
            if (errno == EACCES || errno == EPERM) error = EACCES;
            continue;
        }
        if (place->chip_label == NULL || strcmp(gpiod_chip_label(chip), place->chip_label) == 0) {
            struct gpiod_line *line = place->line_name != NULL ? gpiod_chip_find_line(chip, place->line_name)
                : place->offset < gpiod_chip_num_lines(chip)  ? gpiod_chip_get_line(chip, place->offset)
                                                              : NULL;
            if (line != NULL) {
                *found = chip;
                strcpy(found_path, paths[i]);
                return line;
            }
        }
        gpiod_chip_close(chip);
    }
    errno = error;
    return NULL;
}

static EdgeGPIOLine *make(const EdgeGPIOPlace *place, char *path) {
    EdgeGPIOLine *made = calloc(1, sizeof *made);
    if (made == NULL) return NULL;
    made->descriptor = -1;
    made->line = find(place, &made->chip, path);
    if (made->line == NULL) {
        int error = errno;
        free(made);
        errno = error;
        return NULL;
    }
    return made;
}

static EdgeGPIOLine *fail(EdgeGPIOLine *line) {
    int error = errno;
    edge_gpio_close(line);
    errno = error;
    return NULL;
}

EdgeGPIOLine *edge_gpio_input(const EdgeGPIOPlace *place, int edges) {
    char path[32];
    EdgeGPIOLine *made = make(place, path);
    if (made == NULL) return NULL;
    static const uint64_t pulls[] = {
        0, GPIO_V2_LINE_FLAG_BIAS_PULL_UP, GPIO_V2_LINE_FLAG_BIAS_PULL_DOWN, GPIO_V2_LINE_FLAG_BIAS_DISABLED,
    };
    struct gpio_v2_line_request request;
    memset(&request, 0, sizeof request);
    request.offsets[0] = gpiod_line_offset(made->line);
    request.num_lines = 1;
    snprintf(request.consumer, sizeof request.consumer, "edge-aggregator");
    request.event_buffer_size = edges != 0 ? EDGE_GPIO_BUFFERED_EDGES : 0;
    request.config.flags = GPIO_V2_LINE_FLAG_INPUT | pulls[place->pull & 3]
        | (place->is_active_low ? GPIO_V2_LINE_FLAG_ACTIVE_LOW : 0)
        | (edges & EDGE_GPIO_RISING ? GPIO_V2_LINE_FLAG_EDGE_RISING : 0)
        | (edges & EDGE_GPIO_FALLING ? GPIO_V2_LINE_FLAG_EDGE_FALLING : 0);
    // The library has no call for its chip's descriptor.
    FILE *chip = fopen(path, "r+e");
    int result = chip == NULL ? -1 : ioctl(fileno(chip), GPIO_V2_GET_LINE_IOCTL, &request);
    int error = errno;
    if (chip != NULL) fclose(chip);
    errno = error;
    if (result != 0) return fail(made);
    made->descriptor = request.fd;
    made->line = NULL;
    edge_gpio_do_not_block(made->descriptor);
    return made;
}

EdgeGPIOLine *edge_gpio_output(const EdgeGPIOPlace *place, bool is_active) {
    char path[32];
    EdgeGPIOLine *made = make(place, path);
    if (made == NULL) return NULL;
    struct gpiod_line_request_config config = {
        .consumer = "edge-aggregator",
        .request_type = GPIOD_LINE_REQUEST_DIRECTION_OUTPUT,
        .flags = place->is_active_low ? GPIOD_LINE_REQUEST_FLAG_ACTIVE_LOW : 0,
    };
    if (gpiod_line_request(made->line, &config, is_active) != 0) return fail(made);
    return made;
}

void edge_gpio_close(EdgeGPIOLine *line) {
    if (line == NULL) return;
    if (line->descriptor >= 0) close(line->descriptor);
    // It releases what was asked for.
    gpiod_chip_close(line->chip);
    free(line);
}

int edge_gpio_get(EdgeGPIOLine *line) {
    if (line->descriptor < 0) return gpiod_line_get_value(line->line);
    struct gpio_v2_line_values values = {.mask = 1};
    if (ioctl(line->descriptor, GPIO_V2_LINE_GET_VALUES_IOCTL, &values) != 0) return -1;
    return (int)(values.bits & 1);
}

int edge_gpio_set(EdgeGPIOLine *line, bool is_active) { return gpiod_line_set_value(line->line, is_active); }

int edge_gpio_descriptor(const EdgeGPIOLine *line) { return line->descriptor; }

int edge_gpio_edges(EdgeGPIOLine *line, EdgeGPIOEdge *edges, int capacity) {
    return edge_gpio_read(line->descriptor, edges, capacity);
}

int edge_gpio_chips(EdgeGPIOChip *chips, int capacity) {
    char paths[64][32];
    int count = edge_gpio_paths(paths, 64), made = 0;
    for (int i = 0; i < count && made < capacity; i++) {
        struct gpiod_chip *chip = gpiod_chip_open(paths[i]);
        if (chip == NULL) continue;
        EdgeGPIOChip *to = &chips[made++];
        snprintf(to->name, sizeof to->name, "%s", gpiod_chip_name(chip));
        snprintf(to->label, sizeof to->label, "%s", gpiod_chip_label(chip));
        to->lines = gpiod_chip_num_lines(chip);
        gpiod_chip_close(chip);
    }
    return made;
}

int edge_gpio_lines(const EdgeGPIOChip *chip, EdgeGPIOLineInfo *lines, int capacity) {
    struct gpiod_chip *opened = gpiod_chip_open_by_name(chip->name);
    if (opened == NULL) return -1;
    int count = 0;
    for (unsigned offset = 0; offset < gpiod_chip_num_lines(opened) && count < capacity; offset++) {
        struct gpiod_line *line = gpiod_chip_get_line(opened, offset);
        if (line == NULL) break;
        const char *name = gpiod_line_name(line), *consumer = gpiod_line_consumer(line);
        EdgeGPIOLineInfo *to = &lines[count++];
        snprintf(to->name, sizeof to->name, "%s", name != NULL ? name : "");
        snprintf(to->consumer, sizeof to->consumer, "%s", consumer != NULL ? consumer : "");
        to->is_used = gpiod_line_is_used(line);
    }
    gpiod_chip_close(opened);
    return count;
}

const char *edge_gpio_library(void) {
    static _Thread_local char text[32];
    snprintf(text, sizeof text, "libgpiod %s", gpiod_version_string());
    return text;
}

#endif
