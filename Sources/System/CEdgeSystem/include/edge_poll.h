#pragma once

#include <stdbool.h>
#include <stdint.h>

/// epoll(7) and eventfd(2), whose types Swift does not import. All return -1 and errno on failure.

int edge_poll_make(void);
/// Adds a descriptor, or changes it, under a number of the caller's; `is_read` says whether it is waited for.
int edge_poll_watch(int poll, int descriptor, uint64_t number, bool is_read, bool is_new);
int edge_poll_forget(int poll, int descriptor);
/// Waits for readable descriptors and writes their numbers; `capacity` is at most 64. A signal counts as nothing.
///
/// Memory: the caller owns `numbers`, with room for `capacity`, until the return.
int edge_poll_wait(int poll, uint64_t *numbers, int capacity, int timeout_ms);

int edge_wakeup_make(void);
void edge_wakeup_signal(int wakeup);
void edge_wakeup_clear(int wakeup);
