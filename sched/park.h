/* Where a thread sleeps: ck_ec event counts on futexes. The key is read before the last look for
 * work; park_wait returns at once when the count has moved since. */
#ifndef JAVM_SCHED_PARK_H
#define JAVM_SCHED_PARK_H

#include <stdint.h>

#include <ck_ec.h>

#include "sched/atomic.h"

/* A line of its own: the sleeper and its wakers write it. */
struct park {
    _Alignas(SCHED_LINE) struct ck_ec64 count;
};

/* Gives up the processor until the count moves. In park.c. */
void park_wait(struct park *park, uint64_t key);
/* Moves the count and wakes who sleeps on it; no system call when nobody does. Any thread. In
 * park.c. */
void park_wake(struct park *park);

static inline void park_init(struct park *park)
{
    ck_ec64_init(&park->count, 0);
}

static inline uint64_t park_key(struct park *park)
{
    return ck_ec64_value(&park->count);
}

#endif
