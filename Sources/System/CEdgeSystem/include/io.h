#pragma once

/// Starts writing a file's dirty pages to the disk without waiting (sync_file_range(2)). Errors come with the next
/// fdatasync(2), so none is returned here.
void edge_start_writeback(int descriptor);

#include <stdint.h>

/// What stat(2) says of a file.
typedef struct {
    int64_t size_bytes;
    int64_t modified_ns;
    /// When anything of it last changed, its names, owner and times included.
    int64_t changed_ns;
    uint64_t inode;
    /// The file system's number.
    uint64_t device;
    /// 'f' for a plain file, 'd' for a folder, '?' for anything else, links too where they are not followed.
    char kind;
} EdgeFileStatus;

/// 0, or -1 with errno, and `status` unchanged.
///
/// Memory: the caller owns path and status, until the return.
int edge_stat(const char *path, EdgeFileStatus *status);
int edge_fstat(int descriptor, EdgeFileStatus *status);
/// Does not follow links.
int edge_lstat(const char *path, EdgeFileStatus *status);

/// Sets the time of a file's last change, in nanoseconds since 1970, and leaves that of the last access. 0, or -1 with errno.
///
/// Memory: the caller owns the path, until the return.
int edge_set_modified(const char *path, int64_t nanoseconds);

/// Renames a file unless the new name is taken: -1 with errno EEXIST then, and nothing has changed.
///
/// Memory: the caller owns the paths, until the return.
int edge_rename_new(const char *from, const char *to);

/// Gives a file or folder of root's, which was made or changed since then (nanoseconds since 1970), to a user and a group. Links, devices, files
/// with further names and what belongs to others stay as they are. 0, or -1 with errno.
///
/// Memory: the caller owns the path, until the return.
int edge_give_new(const char *path, uint32_t user, uint32_t group, int64_t since);

/// Keeps freed memory from staying with the process: few arenas, and large blocks given back at once (mallopt(3)).
/// Called once, before there are threads.
void edge_use_little_memory(void);

/// Makes a new file of `path_template`, which ends in XXXXXX and is changed to the name made. -1 with errno.
///
/// Memory: the caller owns the text, with its NUL, until the return.
int edge_make_temporary(char *path_template);

/// Gives freed memory back to the machine (malloc_trim(3)).
void edge_give_back_memory(void);
