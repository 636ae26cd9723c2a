#pragma once

#include <stdbool.h>
#include <stdint.h>

/// A lock and a condition (pthread_cond_init(3)) that waits by the steady clock: one that waits by the time of day does not
/// return for as long as the clock is set back.
typedef struct EdgeCondition EdgeCondition;

/// Memory: the caller owns the result until edge_condition_free, which no thread may call while another waits or holds the lock.
EdgeCondition *edge_condition_make(void);
void edge_condition_free(EdgeCondition *condition);
void edge_condition_lock(EdgeCondition *condition);
void edge_condition_unlock(EdgeCondition *condition);
void edge_condition_signal(EdgeCondition *condition);
void edge_condition_broadcast(EdgeCondition *condition);
/// For ever when negative. False when the time is over.
bool edge_condition_wait(EdgeCondition *condition, int64_t nanoseconds);
