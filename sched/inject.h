/* The queue by which tasks come in from outside: any thread appends, any worker takes a batch.
 * First in, first out, under a lock that is held for a copy of pointers; workers read the size
 * before they lock.
 *
 * It also numbers the two generations of tasks that javm_sched_wait tells apart (sched.c). */
#ifndef JAVM_SCHED_INJECT_H
#define JAVM_SCHED_INJECT_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "javm/sched.h"
#include "sched/atomic.h"

/* A queued task is its pointer plus its generation, 0 or 1, in the lowest bit; that bit is free,
 * for a javm_task is a pointer and aligned like one. */
static inline uint64_t item_of(struct javm_task *task, unsigned generation)
{
    return (uint64_t)(uintptr_t)task | generation;
}

static inline struct javm_task *item_task(uint64_t item)
{
    return (struct javm_task *)(uintptr_t)(item & ~UINT64_C(1));
}

static inline unsigned item_generation(uint64_t item)
{
    return (unsigned)(item & 1);
}

struct inject {
    pthread_mutex_t lock;
    uint64_t *ring; /* owned; the rest is guarded by lock, and written under it */
    uint64_t slots; /* a power of two, or 0 */
    uint64_t head;  /* next to take */
    uint64_t generation;
    _Alignas(SCHED_LINE) uint64_t size; /* read without the lock */
    uint64_t submitted[2];              /* per generation, ever; read without the lock */
};

#define INJECT_CURRENT 2u /* "the generation of the moment" */

void inject_init(struct inject *inject);
void inject_destroy(struct inject *inject);
/* All or none; false: no memory. */
bool inject_push(struct inject *inject, struct javm_task *const *tasks, size_t count,
                 unsigned generation);
/* Up to `limit` items, oldest first, but no more than one worker's share of what is there. */
size_t inject_take(struct inject *inject, uint64_t *items, size_t limit, unsigned workers);
/* Later submissions are of the other generation; returns the one that ended. */
unsigned inject_turn(struct inject *inject);

static inline uint64_t inject_size_hint(const struct inject *inject)
{
    return at_load_relaxed(&inject->size); /* relaxed: a hint, or after the caller's fence */
}

#endif
