#define _GNU_SOURCE
#include <gpiod.h>
#ifndef GPIOD_BIT // Only the 1.x header has it.

#include "line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct EdgeGPIOLine {
    struct gpiod_line_request *request;
    unsigned offset;
    int descriptor;
};

static bool has_label(struct gpiod_chip *chip, const char *label, unsigned *lines) {
    struct gpiod_chip_info *info = gpiod_chip_get_info(chip);
    if (info == NULL) return false;
    bool has = label == NULL || strcmp(gpiod_chip_info_get_label(info), label) == 0;
    *lines = (unsigned)gpiod_chip_info_get_num_lines(info);
    gpiod_chip_info_free(info);
    return has;
}

static struct gpiod_chip *find(const EdgeGPIOPlace *place, unsigned *offset) {
    char paths[64][32];
    int count = edge_gpio_paths(paths, 64), error = ENOENT;
    for (int i = 0; i < count; i++) {
        struct gpiod_chip *chip = gpiod_chip_open(paths[i]);
        if (chip == NULL) {
            if (errno == EACCES || errno == EPERM) error = EACCES;
            continue;
        }
        unsigned lines = 0;
        if (has_label(chip, place->chip_label, &lines)) {
            int at = place->line_name != NULL ? gpiod_chip_get_line_offset_from_name(chip, place->line_name)
                : place->offset < lines      ? (int)place->offset
                                             : -1;
            if (at >= 0) {
                *offset = (unsigned)at;
                return chip;
            }
        }
        gpiod_chip_close(chip);
    }
    errno = error;
    return NULL;
}

static EdgeGPIOLine *make(const EdgeGPIOPlace *place, bool is_output, bool is_active, int edges) {
    static const enum gpiod_line_bias pulls[] = {
        GPIOD_LINE_BIAS_AS_IS, GPIOD_LINE_BIAS_PULL_UP, GPIOD_LINE_BIAS_PULL_DOWN, GPIOD_LINE_BIAS_DISABLED,
    };
    static const enum gpiod_line_edge kinds[] = {
        GPIOD_LINE_EDGE_NONE, GPIOD_LINE_EDGE_RISING, GPIOD_LINE_EDGE_FALLING, GPIOD_LINE_EDGE_BOTH,
    };
    EdgeGPIOLine *made = calloc(1, sizeof *made);
    struct gpiod_line_settings *settings = gpiod_line_settings_new();
    struct gpiod_line_config *config = gpiod_line_config_new();
    struct gpiod_request_config *request = gpiod_request_config_new();
    struct gpiod_chip *chip = NULL;
    if (made != NULL && settings != NULL && config != NULL && request != NULL) {
        made->descriptor = -1;
        chip = find(place, &made->offset);
    }
    if (chip != NULL) {
        gpiod_line_settings_set_active_low(settings, place->is_active_low);
        if (is_output) {
            gpiod_line_settings_set_direction(settings, GPIOD_LINE_DIRECTION_OUTPUT);
            gpiod_line_settings_set_output_value(settings, is_active ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE);
        } else {
            gpiod_line_settings_set_direction(settings, GPIOD_LINE_DIRECTION_INPUT);
            gpiod_line_settings_set_bias(settings, pulls[place->pull & 3]);
            if (edges != 0) {
                gpiod_line_settings_set_edge_detection(settings, kinds[edges & 3]);
                gpiod_request_config_set_event_buffer_size(request, EDGE_GPIO_BUFFERED_EDGES);
            }
        }
        gpiod_request_config_set_consumer(request, "edge-aggregator");
        if (gpiod_line_config_add_line_settings(config, &made->offset, 1, settings) == 0) {
            made->request = gpiod_chip_request_lines(chip, request, config);
        }
    }
    int error = errno;
    if (chip != NULL) gpiod_chip_close(chip);
    if (settings != NULL) gpiod_line_settings_free(settings);
    if (config != NULL) gpiod_line_config_free(config);
    if (request != NULL) gpiod_request_config_free(request);
    if (made != NULL && made->request == NULL) {
        free(made);
        made = NULL;
    }
    if (made != NULL && !is_output) {
        made->descriptor = gpiod_line_request_get_fd(made->request);
        edge_gpio_do_not_block(made->descriptor);
    }
    errno = error;
    return made;
}

EdgeGPIOLine *edge_gpio_input(const EdgeGPIOPlace *place, int edges) {
    return make(place, false, false, edges);
}

EdgeGPIOLine *edge_gpio_output(const EdgeGPIOPlace *place, bool is_active) {
    return make(place, true, is_active, 0);
}

void edge_gpio_close(EdgeGPIOLine *line) {
    if (line == NULL) return;
    gpiod_line_request_release(line->request);
    free(line);
}

int edge_gpio_get(EdgeGPIOLine *line) {
    switch (gpiod_line_request_get_value(line->request, line->offset)) {
    case GPIOD_LINE_VALUE_ACTIVE: return 1;
    case GPIOD_LINE_VALUE_INACTIVE: return 0;
    default: return -1;
    }
}

int edge_gpio_set(EdgeGPIOLine *line, bool is_active) {
    return gpiod_line_request_set_value(
        line->request, line->offset, is_active ? GPIOD_LINE_VALUE_ACTIVE : GPIOD_LINE_VALUE_INACTIVE);
}

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
        struct gpiod_chip_info *info = gpiod_chip_get_info(chip);
        if (info != NULL) {
            EdgeGPIOChip *to = &chips[made++];
            snprintf(to->name, sizeof to->name, "%s", gpiod_chip_info_get_name(info));
            snprintf(to->label, sizeof to->label, "%s", gpiod_chip_info_get_label(info));
            to->lines = (unsigned)gpiod_chip_info_get_num_lines(info);
            gpiod_chip_info_free(info);
        }
        gpiod_chip_close(chip);
    }
    return made;
}

int edge_gpio_lines(const EdgeGPIOChip *chip, EdgeGPIOLineInfo *lines, int capacity) {
    char path[48];
    snprintf(path, sizeof path, "/dev/%s", chip->name);
    struct gpiod_chip *opened = gpiod_chip_open(path);
    if (opened == NULL) return -1;
    int count = 0;
    for (unsigned offset = 0; offset < chip->lines && count < capacity; offset++) {
        struct gpiod_line_info *line = gpiod_chip_get_line_info(opened, offset);
        if (line == NULL) break;
        const char *name = gpiod_line_info_get_name(line), *consumer = gpiod_line_info_get_consumer(line);
        EdgeGPIOLineInfo *to = &lines[count++];
        snprintf(to->name, sizeof to->name, "%s", name != NULL ? name : "");
        snprintf(to->consumer, sizeof to->consumer, "%s", consumer != NULL ? consumer : "");
        to->is_used = gpiod_line_info_is_used(line);
        gpiod_line_info_free(line);
    }
    gpiod_chip_close(opened);
    return count;
}

const char *edge_gpio_library(void) {
    static _Thread_local char text[32];
    snprintf(text, sizeof text, "libgpiod %s", gpiod_api_version());
    return text;
}

#endif
