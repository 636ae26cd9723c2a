#define _GNU_SOURCE
#include "include/scheduling.h"

#include <dirent.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

static int bind_thread(pid_t thread, uint64_t processors) {
    cpu_set_t set;
    CPU_ZERO(&set);
    for (int number = 0; number < 64; number++)
        if (processors >> number & 1) CPU_SET(number, &set);
    return sched_setaffinity(thread, sizeof(set), &set);
}

int edge_use_processors(uint64_t processors) {
    return bind_thread(0, processors);
}

int edge_use_processors_everywhere(uint64_t processors) {
    DIR *threads = opendir("/proc/self/task");
    if (!threads) return bind_thread(0, processors) == 0;
    int count = 0;
    struct dirent *entry;
    while ((entry = readdir(threads))) {
        pid_t thread = (pid_t)atoi(entry->d_name);
        if (thread > 0 && bind_thread(thread, processors) == 0) count++;
    }
    closedir(threads);
    return count;
}

uint64_t edge_usable_processors(void) {
    cpu_set_t set;
    uint64_t processors = 0;
    if (sched_getaffinity(0, sizeof(set), &set) != 0) return ~(uint64_t)0;
    for (int number = 0; number < 64; number++)
        if (CPU_ISSET(number, &set)) processors |= (uint64_t)1 << number;
    return processors;
}

int edge_be_nice(int niceness) {
    return setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), niceness);
}

void edge_name_thread(const char *name) {
    prctl(PR_SET_NAME, name, 0, 0, 0);
}
