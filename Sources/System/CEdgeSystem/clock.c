#define _GNU_SOURCE
#include "clock.h"

#include <errno.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifdef __linux__
#include <sys/syscall.h>
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

int64_t edge_monotonic_ns(void) {
    return nanoseconds(CLOCK_MONOTONIC);
}

int64_t edge_realtime_ns(void) {
    return nanoseconds(CLOCK_REALTIME);
}

#ifdef __linux__
// glibc makes clock_adjtime(2) of adjtimex, which containers forbid where they allow the call of that name.
static int ask_clock(struct timex *state) {
    memset(state, 0, sizeof *state);
    int result = adjtimex(state);
    if (result == -1 && errno == EPERM) result = (int)syscall(SYS_adjtimex, state);
    return result;
}
#endif

bool edge_clock_is_synchronised(void) {
#ifdef __linux__
    struct timex state;
    int result = ask_clock(&state);
    // A sandbox may forbid even the question (systemd.exec(5), ProtectClock=); timesyncd leaves a mark for such
    // (systemd-timesyncd.service(8)).
    if (result == -1 && errno == EPERM) return access("/run/systemd/timesync/synchronized", F_OK) == 0;
    return result >= 0 && result != TIME_ERROR && (state.status & STA_UNSYNC) == 0;
#else
    return true;
#endif
}

#include <sys/resource.h>

bool edge_clock_offset(int64_t *offset_ns, int64_t *error_ns) {
#ifdef __linux__
    struct timex state;
    if (ask_clock(&state) == -1) return false;
    *offset_ns = state.status & STA_NANO ? state.offset : (int64_t)state.offset * 1000;
    *error_ns = (int64_t)state.maxerror * 1000;
    return true;
#else
    (void)offset_ns;
    (void)error_ns;
    return false;
#endif
}

int edge_parse_time(const char *text, const char *format, int64_t *seconds) {
    struct tm parts;
    memset(&parts, 0, sizeof parts);
    const char *end = strptime(text, format, &parts);
    if (end == NULL) return -1;
    *seconds = (int64_t)timegm(&parts);
    return (int)(end - text);
}

double edge_cpu_seconds(void) {
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0) return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
        + (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}
