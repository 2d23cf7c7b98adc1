/* Who is awake without work, who sleeps, and who wakes whom. The protocol and why it loses no
 * wake-up stand at the top of idle.c. */
#ifndef JAVM_SCHED_IDLE_H
#define JAVM_SCHED_IDLE_H

#include <stdbool.h>
#include <stdint.h>

#include "sched/atomic.h"
#include "sched/park.h"

struct idle {
    /* Low half: parked workers; high half: searching ones. Written at every change of a worker
     * between busy and idle, read at every push: a line of its own. */
    _Alignas(SCHED_LINE) uint64_t state;
    _Alignas(SCHED_LINE)
        uint64_t *sleepers; /* a bit per worker: parked, and nobody woke it yet; owned */
    struct park *seats;     /* one per worker; owned */
    unsigned workers;
};

/* False: no memory, and there is nothing to destroy. */
bool idle_init(struct idle *idle, unsigned workers);
void idle_destroy(struct idle *idle); /* no other thread may use it any more */

/* A worker without work of its own begins to look for some. */
void idle_search_begin(struct idle *idle);
/* It found some (what it moved to its deque is pushed). True: nobody searches any more but somebody
 * is parked, so the caller must look whether work is left, and if so, idle_wake. */
bool idle_search_end(struct idle *idle);

enum idle_wake { IDLE_WITHDRAWN, IDLE_WOKEN };
/* A searching worker lies down, looks a last time with `visible`, sleeps if it says false; it comes
 * back searching. Withdrawn: it did not sleep, since there was work. */
enum idle_wake idle_park(struct idle *idle, unsigned self, bool (*visible)(void *), void *arg);

/* The caller has published work: must it wake somebody? Begins with the fence that the protocol
 * needs. */
bool idle_wake_needed(struct idle *idle);
/* Wake up to `count` sleepers, first come first served along `order` (NULL: by index). */
void idle_wake(struct idle *idle, const unsigned *order, unsigned length, unsigned count);

/* A hint: is any worker without work? */
static inline bool idle_any(const struct idle *idle)
{
    return at_load_relaxed(&idle->state) != 0; /* relaxed: a hint */
}

#endif
