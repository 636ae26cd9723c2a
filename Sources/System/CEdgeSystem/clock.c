#define _GNU_SOURCE
#include "clock.h"

#include <string.h>
#include <time.h>

#ifdef __linux__
#include <sys/timex.h>
#endif

static int64_t nanoseconds(clockid_t clock) {
    struct timespec now;
    if (clock_gettime(clock, &now) != 0) return 0;
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t edge_boottime_ns(void) {
#ifdef CLOCK_BOOTTIME
    return nanoseconds(CLOCK_BOOTTIME);
#else
    return nanoseconds(CLOCK_MONOTONIC);
#endif
}

int64_t edge_realtime_ns(void) {
    return nanoseconds(CLOCK_REALTIME);
}

bool edge_clock_is_synchronised(void) {
#ifdef __linux__
    struct timex state;
    memset(&state, 0, sizeof state);
    int result = adjtimex(&state);
    return result >= 0 && result != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
#else
    return true;
#endif
}
