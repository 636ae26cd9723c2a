// A machine's clock that is wrong and may be set, for a program that is started with this in LD_PRELOAD: the shift and
// whether the kernel calls the clock synchronised are read from a file at each call, so a test can step the clock while the
// program runs. The steady clocks stay as they are, as they do on a real machine. Files that are written get the shifted time, as the
// kernel would give it to them.
//
// CLOCK_SHIFT_FILE: two 64-bit numbers: nanoseconds to add to the time of day; 1 for synchronised, 0 for not.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

static const volatile int64_t *mapped;

// By system calls alone, here and in clock_gettime: the runtime of a sanitizer asks for the time while it holds its own locks.
__attribute__((constructor)) static void map_file(void) {
    const char *path = getenv("CLOCK_SHIFT_FILE");
    int file = path ? (int)syscall(SYS_openat, (long)AT_FDCWD, path, (long)(O_RDONLY | O_CLOEXEC), 0L) : -1;
    if (file < 0) return;
    long memory = syscall(SYS_mmap, 0L, 16L, (long)PROT_READ, (long)MAP_SHARED, (long)file, 0L);
    if (memory != -1) mapped = (const volatile int64_t *)memory;
    syscall(SYS_close, (long)file);
}

static const volatile int64_t *shared(void) { return mapped; }

int clock_gettime(clockid_t clock, struct timespec *time) {
    int result = (int)syscall(SYS_clock_gettime, (long)clock, time);
    const volatile int64_t *values = shared();
    if (result == 0 && values && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) {
        int64_t sum = (int64_t)time->tv_sec * 1000000000 + time->tv_nsec + values[0];
        time->tv_sec = sum / 1000000000;
        time->tv_nsec = sum % 1000000000;
    }
    return result;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
    (void)zone;
    struct timespec now;
    if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
    time->tv_sec = now.tv_sec;
    time->tv_usec = now.tv_nsec / 1000;
    return 0;
}

time_t time(time_t *result) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (result) *result = now.tv_sec;
    return now.tv_sec;
}

int adjtimex(struct timex *state) {
    static int (*real)(struct timex *);
    if (!real) real = (int (*)(struct timex *))dlsym(RTLD_NEXT, "adjtimex");
    int result = real(state);
    const volatile int64_t *values = shared();
    if (!values) return result;
    if (values[1]) {
        state->status &= ~STA_UNSYNC;
        return TIME_OK;
    }
    state->status |= STA_UNSYNC;
    return TIME_ERROR;
}

static void stamp(int file) {
    struct stat status;
    if (!shared() || fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) return;
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};
    clock_gettime(CLOCK_REALTIME, &times[1]);
    futimens(file, times);
}

// The kernel stamps a file at each write.
#define STAMPED(name, parameters, ...)                                        \
    ssize_t name parameters {                                                 \
        static ssize_t(*real) parameters;                                     \
        if (!real) real = (ssize_t(*) parameters)dlsym(RTLD_NEXT, #name);     \
        ssize_t result = real(__VA_ARGS__);                                   \
        if (result > 0) stamp(file);                                          \
        return result;                                                        \
    }

STAMPED(write, (int file, const void *bytes, size_t count), file, bytes, count)
STAMPED(writev, (int file, const struct iovec *parts, int count), file, parts, count)
STAMPED(pwrite, (int file, const void *bytes, size_t count, off_t offset), file, bytes, count, offset)
STAMPED(pwrite64, (int file, const void *bytes, size_t count, off64_t offset), file, bytes, count, offset)
STAMPED(pwritev, (int file, const struct iovec *parts, int count, off_t offset), file, parts, count, offset)
