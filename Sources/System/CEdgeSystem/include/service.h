#pragma once

#include <stddef.h>

/// Sends one datagram to a socket in the file system, or in the abstract name space when the path begins with '@': how
/// systemd's notification socket (sd_notify(3)) and the journal's native one are spoken to. 0, or -1 with errno.
///
/// Memory: the caller owns path and bytes until the return; the kernel copies them.
int edge_datagram(const char *path, const void *bytes, size_t count);
