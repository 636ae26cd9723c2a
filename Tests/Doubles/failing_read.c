// A disk that cannot be read for a while, for a program that is started with this in LD_PRELOAD.
//
// READ_FAILURE_FILE: a file. As long as it is there, its line `CALL ERRNO END [INODE [OFFSET]]` says what fails with that error where the path
// ends so: `open` (of files that are there already), `read` (also at an offset), `list` (a folder) or `unlink`. With INODE only that
// file fails, with OFFSET only what reaches beyond it.

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

static int real_open(const char *path, int flags, mode_t mode) {
    static int (*real)(const char *, int, ...);
    if (!real) real = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
    return real(path, flags, mode);
}

static ssize_t real_pread(int file, void *bytes, size_t count, off64_t offset) {
    static ssize_t (*real)(int, void *, size_t, off64_t);
    if (!real) real = (ssize_t(*)(int, void *, size_t, off64_t))dlsym(RTLD_NEXT, "pread64");
    return real(file, bytes, count, offset);
}

// 0 when the call is to go on. `end_offset`: of what is read.
static int failure(const char *call, const char *path, unsigned long end_offset) {
    const char *place = getenv("READ_FAILURE_FILE");
    if (!place || !path) return 0;
    int saved = errno;
    int file = real_open(place, O_RDONLY | O_CLOEXEC, 0);
    if (file < 0) {
        errno = saved;
        return 0;
    }
    char text[512], name[16], end[256];
    int number = 0;
    ssize_t count = real_pread(file, text, sizeof text - 1, 0);
    close(file);
    errno = saved;
    if (count <= 0) return 0;
    text[count] = 0;
    unsigned long inode = 0, offset = 0;
    if (sscanf(text, "%15s %d %255s %lu %lu", name, &number, end, &inode, &offset) < 3 || strcmp(name, call) != 0) return 0;
    struct stat status;
    if (offset && end_offset <= offset) return 0;
    if (inode && (stat(path, &status) != 0 || status.st_ino != inode)) return 0;
    size_t length = strlen(path), tail = strlen(end);
    return length >= tail && strcmp(path + length - tail, end) == 0 ? number : 0;
}

static int failure_of(int file, unsigned long end_offset) {
    char link[64], path[4096];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    int saved = errno;
    ssize_t count = readlink(link, path, sizeof path - 1);
    errno = saved;
    if (count <= 0) return 0;
    path[count] = 0;
    return failure("read", path, end_offset);
}

static int opened(const char *path, int flags, mode_t mode) {
    int number = flags & O_CREAT ? 0 : failure(flags & O_DIRECTORY ? "list" : "open", path, 0);
    if (number) {
        errno = number;
        return -1;
    }
    return real_open(path, flags, mode);
}

#define OPEN(NAME)                                        \
    int NAME(const char *path, int flags, ...) {          \
        mode_t mode = 0;                                  \
        if (flags & (O_CREAT | __O_TMPFILE)) {            \
            va_list list;                                 \
            va_start(list, flags);                        \
            mode = va_arg(list, mode_t);                  \
            va_end(list);                                 \
        }                                                 \
        return opened(path, flags, mode);                 \
    }

OPEN(open)
OPEN(open64)

int __open_2(const char *path, int flags) { return opened(path, flags, 0); }
int __open64_2(const char *path, int flags) { return opened(path, flags, 0); }

ssize_t pread(int file, void *bytes, size_t count, off_t offset) {
    int number = failure_of(file, (unsigned long)offset + count);
    if (number) {
        errno = number;
        return -1;
    }
    return real_pread(file, bytes, count, offset);
}

ssize_t pread64(int file, void *bytes, size_t count, off64_t offset) { return pread(file, bytes, count, offset); }

ssize_t read(int file, void *bytes, size_t count) {
    static ssize_t (*real)(int, void *, size_t);
    if (!real) real = (ssize_t(*)(int, void *, size_t))dlsym(RTLD_NEXT, "read");
    off_t offset = lseek(file, 0, SEEK_CUR);
    int number = failure_of(file, (offset < 0 ? 0 : (unsigned long)offset) + count);
    if (number) {
        errno = number;
        return -1;
    }
    return real(file, bytes, count);
}

DIR *opendir(const char *path) {
    static DIR *(*real)(const char *);
    if (!real) real = (DIR * (*)(const char *)) dlsym(RTLD_NEXT, "opendir");
    int number = failure("list", path, 0);
    if (number) {
        errno = number;
        return NULL;
    }
    return real(path);
}

int unlink(const char *path) {
    static int (*real)(const char *);
    if (!real) real = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    int number = failure("unlink", path, 0);
    if (number) {
        errno = number;
        return -1;
    }
    return real(path);
}
