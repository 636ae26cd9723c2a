#pragma once

#include <stdbool.h>
#include <stdint.h>

/// Nanoseconds since the machine started, sleep included (CLOCK_BOOTTIME): the steady clock.
int64_t edge_boottime_ns(void);

/// Nanoseconds of CLOCK_MONOTONIC, by which the kernel stamps edges of lines and buffers of sound.
int64_t edge_monotonic_ns(void);

/// Nanoseconds since 1970 by the machine's clock (CLOCK_REALTIME).
int64_t edge_realtime_ns(void);

/// Whether the kernel knows its clock to be synchronised (adjtimex(2): no STA_UNSYNC), or systemd-timesyncd does where the
/// kernel may not be asked. False where nobody can be.
bool edge_clock_is_synchronised(void);

/// How far the kernel's clock still is from what set it, and the largest error that the kernel expects, in nanoseconds
/// (adjtimex(2): offset, maxerror). False where it cannot be asked.
bool edge_clock_offset(int64_t *offset_ns, int64_t *error_ns);

/// Reads a UTC time by a strptime(3) format. Returns how many bytes of `text` it took, -1 if it does not fit.
///
/// Memory: the caller owns both texts until the return.
int edge_parse_time(const char *text, const char *format, int64_t *seconds);

/// CPU seconds of this process, user and system.
double edge_cpu_seconds(void);
