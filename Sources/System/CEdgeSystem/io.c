#define _GNU_SOURCE
#include "io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

void edge_start_writeback(int descriptor) {
#ifdef SYNC_FILE_RANGE_WRITE
    (void)sync_file_range(descriptor, 0, 0, SYNC_FILE_RANGE_WRITE);
#else
    (void)descriptor;
#endif
}

#include <stdlib.h>
#include <sys/stat.h>

static int fill(int result, const struct stat *from, EdgeFileStatus *to) {
    if (result != 0) return -1;
    to->size_bytes = (int64_t)from->st_size;
    to->modified_ns = (int64_t)from->st_mtim.tv_sec * 1000000000 + from->st_mtim.tv_nsec;
    to->changed_ns = (int64_t)from->st_ctim.tv_sec * 1000000000 + from->st_ctim.tv_nsec;
    to->inode = (uint64_t)from->st_ino;
    to->device = (uint64_t)from->st_dev;
    to->kind = S_ISREG(from->st_mode) ? 'f' : S_ISDIR(from->st_mode) ? 'd' : '?';
    return 0;
}

int edge_stat(const char *path, EdgeFileStatus *status) {
    struct stat found;
    return fill(stat(path, &found), &found, status);
}

int edge_fstat(int descriptor, EdgeFileStatus *status) {
    struct stat found;
    return fill(fstat(descriptor, &found), &found, status);
}

int edge_lstat(const char *path, EdgeFileStatus *status) {
    struct stat found;
    return fill(lstat(path, &found), &found, status);
}

static int is_new_of_root(const struct stat *found, int64_t since) {
    int64_t changed = (int64_t)found->st_ctim.tv_sec * 1000000000 + found->st_ctim.tv_nsec;
    return found->st_uid == 0 && changed >= since && (S_ISDIR(found->st_mode) || (S_ISREG(found->st_mode) && found->st_nlink == 1));
}

int edge_give_new(const char *path, uint32_t user, uint32_t group, int64_t since) {
    struct stat found;
    // Nothing else is opened: to close a database's file would free the locks that this process holds on it.
    if (lstat(path, &found) != 0) return errno == ENOENT ? 0 : -1;
    if (!is_new_of_root(&found, since)) return 0;
    // The file itself, which nobody can replace meanwhile.
    int descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (descriptor < 0) return errno == ENOENT || errno == ELOOP ? 0 : -1;
    int result = fstat(descriptor, &found);
    if (result == 0 && is_new_of_root(&found, since)) result = fchown(descriptor, user, group);
    int error = errno;
    close(descriptor);
    errno = error;
    return result;
}

int edge_set_modified(const char *path, int64_t nanoseconds) {
    struct timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT},
                                {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000}};
    if (times[1].tv_nsec < 0) {
        times[1].tv_nsec += 1000000000;
        times[1].tv_sec -= 1;
    }
    return utimensat(AT_FDCWD, path, times, 0);
}

int edge_rename_new(const char *from, const char *to) {
#ifdef RENAME_NOREPLACE
    if (renameat2(AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0) return 0;
    if (errno != EINVAL && errno != ENOSYS) return -1;
#endif
    // A file system without it.
    if (link(from, to) != 0) return -1;
    return unlink(from);
}

int edge_make_temporary(char *path_template) {
    return mkostemp(path_template, O_CLOEXEC);
}

#if defined(__GLIBC__)
#include <malloc.h>
#endif

void edge_use_little_memory(void) {
#if defined(__GLIBC__)
    // Without a fixed limit glibc raises it to the largest block that was freed, and never gives such blocks back.
    mallopt(M_MMAP_THRESHOLD, 262144);
    mallopt(M_ARENA_MAX, 4);
#endif
}

void edge_give_back_memory(void) {
#if defined(__GLIBC__)
    malloc_trim(0);
#endif
}
