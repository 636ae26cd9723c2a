#pragma once

// What both forms of the library share: the search for a chip, and edges as the kernel hands them out.

#include "CEdgeGPIO.h"
#include <linux/gpio.h>

/// Every edge that fits into the kernel's buffer survives a reader that comes late: one second of 1 kHz.
#define EDGE_GPIO_BUFFERED_EDGES 1024

/// `/dev/gpiochipN` for N from 0 on, those that exist.
int edge_gpio_paths(char paths[][32], int capacity);
/// Reads `struct gpio_v2_line_event`s from a line's descriptor, which does not block.
int edge_gpio_read(int descriptor, EdgeGPIOEdge *edges, int capacity);
void edge_gpio_do_not_block(int descriptor);
