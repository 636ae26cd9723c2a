#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/// Lines of the kernel's GPIO chips, through libgpiod 1.6 or 2.x, whichever is installed (docs/decisions/0009).

/// Which line: by its name, or by an offset on a chip of a label. Numbers of chips change between kernels and are not used.
typedef struct {
    /// The chip's label, such as `pinctrl-bcm2711`; NULL for any.
    const char *chip_label;
    /// The line's name, such as `GPIO17`; NULL to use `offset`.
    const char *line_name;
    unsigned offset;
    bool is_active_low;
    /// 0 as it is, 1 up, 2 down, 3 off.
    int pull;
} EdgeGPIOPlace;

typedef struct EdgeGPIOLine EdgeGPIOLine;

/// A change of an input, stamped by the kernel.
typedef struct {
    /// CLOCK_MONOTONIC.
    int64_t time_ns;
    /// Counts the line's edges from 1; a number that is left out is an edge that was lost.
    uint32_t number;
    bool is_active;
} EdgeGPIOEdge;

typedef struct {
    char name[32];
    char label[32];
    unsigned lines;
} EdgeGPIOChip;

enum { EDGE_GPIO_RISING = 1, EDGE_GPIO_FALLING = 2 };

typedef struct {
    /// Empty when the line has none.
    char name[32];
    /// Who uses it; empty when nobody says so.
    char consumer[32];
    bool is_used;
} EdgeGPIOLineInfo;

/// All NULL or -1 with errno: ENOENT no such line, EBUSY another uses it, ENXIO the line has no edges.
///
/// `edges` are those that are wanted, added up; 0 for none. The kernel's thread that reports both reads the line once more
/// for each, so that one alone is surer as well as cheaper.
///
/// Memory: the caller owns `place` and its texts until the return; nothing of them is kept. The result is the caller's until
/// edge_gpio_close, and so is its descriptor.
EdgeGPIOLine *edge_gpio_input(const EdgeGPIOPlace *place, int edges);
EdgeGPIOLine *edge_gpio_output(const EdgeGPIOPlace *place, bool is_active);
void edge_gpio_close(EdgeGPIOLine *line);
/// 0 or 1.
int edge_gpio_get(EdgeGPIOLine *line);
int edge_gpio_set(EdgeGPIOLine *line, bool is_active);
/// Readable when there are edges; -1 for a line without.
int edge_gpio_descriptor(const EdgeGPIOLine *line);
/// Takes the edges that have come, without waiting. Their number; 0 for none.
int edge_gpio_edges(EdgeGPIOLine *line, EdgeGPIOEdge *edges, int capacity);

/// The chips there are; their number, at most `capacity`.
int edge_gpio_chips(EdgeGPIOChip *chips, int capacity);
/// What is known of a chip's first `capacity` lines; their number.
int edge_gpio_lines(const EdgeGPIOChip *chip, EdgeGPIOLineInfo *lines, int capacity);
/// `libgpiod 1.6.3`. Memory: the text belongs to the calling thread, until its next call.
const char *edge_gpio_library(void);
