#pragma once

#include <stdbool.h>
#include <stdint.h>

/// Binds the calling thread, and threads it starts later, to the processors whose bits are set (sched_setaffinity(2)); bit 0
/// is the first. 0, or -1 with errno.
int edge_use_processors(uint64_t processors);
/// The same for every thread that the process has now. The number of threads bound.
int edge_use_processors_everywhere(uint64_t processors);
/// The processors that the calling thread may use.
uint64_t edge_usable_processors(void);
/// Names the calling thread for ps(1) and top(1); 15 bytes of it are kept (prctl(2), PR_SET_NAME).
///
/// Memory: the caller owns the text until the return; the kernel copies it.
void edge_name_thread(const char *name);
/// Makes the calling thread alone as nice as that, -20...19 (setpriority(2), which on Linux is of a thread). 0, or -1 with errno.
int edge_be_nice(int niceness);
