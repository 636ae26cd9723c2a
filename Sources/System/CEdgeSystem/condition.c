#define _GNU_SOURCE
#include "condition.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

struct EdgeCondition {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
};

EdgeCondition *edge_condition_make(void) {
    EdgeCondition *made = malloc(sizeof *made);
    if (made == NULL) abort();
    pthread_mutex_init(&made->mutex, NULL);
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
#ifdef __linux__
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
#endif
    pthread_cond_init(&made->condition, &attributes);
    pthread_condattr_destroy(&attributes);
    return made;
}

void edge_condition_free(EdgeCondition *condition) {
    pthread_cond_destroy(&condition->condition);
    pthread_mutex_destroy(&condition->mutex);
    free(condition);
}

void edge_condition_lock(EdgeCondition *condition) { pthread_mutex_lock(&condition->mutex); }
void edge_condition_unlock(EdgeCondition *condition) { pthread_mutex_unlock(&condition->mutex); }
void edge_condition_signal(EdgeCondition *condition) { pthread_cond_signal(&condition->condition); }
void edge_condition_broadcast(EdgeCondition *condition) { pthread_cond_broadcast(&condition->condition); }

bool edge_condition_wait(EdgeCondition *condition, int64_t nanoseconds) {
    if (nanoseconds < 0) return pthread_cond_wait(&condition->condition, &condition->mutex) == 0;
    struct timespec until;
#ifdef __linux__
    clock_gettime(CLOCK_MONOTONIC, &until);
#else
    clock_gettime(CLOCK_REALTIME, &until);
#endif
    until.tv_sec += nanoseconds / 1000000000;
    until.tv_nsec += nanoseconds % 1000000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec += 1;
        until.tv_nsec -= 1000000000;
    }
    return pthread_cond_timedwait(&condition->condition, &condition->mutex, &until) == 0;
}
