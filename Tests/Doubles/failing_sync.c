// A disk that fails to write back once, for a program that is started with this in LD_PRELOAD: as Linux tells such an error, one
// fdatasync of a recording fails with EIO, and the next one says that all is well.
//
// SYNC_FAILURE_FILE: a file; when it is there, it is removed and the failure happens.

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int fdatasync(int file) {
    static int (*real)(int);
    if (!real) real = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    const char *order = getenv("SYNC_FAILURE_FILE");
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t count = readlink(link, path, sizeof path - 1);
    if (order && count > 4 && memcmp(path + count - 4, ".wav", 4) == 0 && unlink(order) == 0) {
        errno = EIO;
        return -1;
    }
    return real(file);
}
