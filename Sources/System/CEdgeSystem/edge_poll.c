#define _GNU_SOURCE
#include "edge_poll.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>

int edge_poll_make(void) {
    return epoll_create1(EPOLL_CLOEXEC);
}

int edge_poll_watch(int poll, int descriptor, uint64_t number, bool is_read, bool is_new) {
    struct epoll_event event = {.events = is_read ? EPOLLIN : 0, .data.u64 = number};
    return epoll_ctl(poll, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, descriptor, &event);
}

int edge_poll_forget(int poll, int descriptor) {
    return epoll_ctl(poll, EPOLL_CTL_DEL, descriptor, 0);
}

int edge_poll_wait(int poll, uint64_t *numbers, int capacity, int timeout_ms) {
    struct epoll_event events[64];
    int count = epoll_wait(poll, events, capacity < 64 ? capacity : 64, timeout_ms);
    if (count < 0) return errno == EINTR ? 0 : -1;
    for (int i = 0; i < count; i++) numbers[i] = events[i].data.u64;
    return count;
}

int edge_wakeup_make(void) {
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

void edge_wakeup_signal(int wakeup) {
    (void)eventfd_write(wakeup, 1);
}

void edge_wakeup_clear(int wakeup) {
    eventfd_t counter;
    (void)eventfd_read(wakeup, &counter);
}
