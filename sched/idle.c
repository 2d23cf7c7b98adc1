/* A worker is busy, searching (awake, looking for work) or parked (asleep). `state` counts the
 * last two; a bit in `sleepers` says that a parked worker waits to be woken. Whoever clears the
 * bit, a waker or the sleeper itself, moves it from parked back to searching. A waker then moves
 * the count of the worker's seat, once; the worker does not go on before that.
 *
 *   publish:  push the task;  FENCE;  if parked > 0 and searching == 0: clear a bit, count, wake
 *   park:     parked++, searching--;  set the bit;  FENCE;  look at every queue;  sleep
 *   success:  searching--;  if it is 0 now and parked > 0:  FENCE;  look at every queue;
 *             if work is left, wake one
 *
 * Claim: while a task is in a queue and a worker sleeps, some other worker is searching, or on its
 * way to a look at the queues which will find the task. Take the publisher of the task and its read
 * of `state`.
 *
 *  - It saw a searcher. That count goes down later, by `park` or `success`; the one that takes it
 *    to zero looks at the queues after a fence, and the publisher's fence came first (its read of
 *    state came before that change of state), so it sees the task. It wakes one, or withdraws.
 *  - It saw nobody parked. Whoever parks later changes state after that read: the same argument,
 *    its last look sees the task.
 *  - It saw a parked worker and cleared a bit: that worker is searching now and sees the task.
 *  - It saw a parked worker and found no bit. Either the bit was not set yet, then the look comes
 *    after it and after the publisher's fence, as before; or somebody cleared it, and that worker
 *    is about to count as searching, which is the first case.
 *
 * A woken or withdrawn worker may come home with another task than the one it was woken for: then
 * `success` looks again, and so the chain ends only when the queues look empty, or nobody sleeps. A
 * worker that moves tasks between queues pushes them before `success`, which is their publication;
 * a busy worker that moves some publishes them like new ones (worker.c, next_item).
 *
 * Waking one at a time keeps a stream of small tasks from waking the whole machine for each of
 * them; while a searcher is awake a push costs one fence and one read of a line that seldom
 * changes.
 *
 * The worker goes on only after its waker's step on the seat, even when it sees its bit gone: the
 * waker may stand between clearing the bit and counting, and a searcher that is not counted could
 * end its search unnoticed, below zero. tests/sched/test_model_idle.c found that in an earlier
 * version of this file.
 *
 * No order of its own is needed between a waker and the worker that it wakes: what a task's
 * publisher wrote comes with the task, by the orders of the queue that it is taken from. */
#include "sched/idle.h"

#include <stdlib.h>

#ifdef SCHED_TSAN
uint64_t sched_fence_word;
#endif

#define ONE_PARKED    UINT64_C(1)
#define ONE_SEARCHING (UINT64_C(1) << 32)

static uint64_t parked(uint64_t state)
{
    return state & (ONE_SEARCHING - 1);
}

static uint64_t searching(uint64_t state)
{
    return state / ONE_SEARCHING;
}

bool idle_init(struct idle *idle, unsigned workers)
{
    const size_t words = (workers + 63) / 64;
    *idle = (struct idle){.workers = workers};
    idle->sleepers = calloc(words, sizeof *idle->sleepers);
    idle->seats = aligned_alloc(SCHED_LINE, workers * sizeof *idle->seats);
    if (idle->sleepers == NULL || idle->seats == NULL) {
        idle_destroy(idle);
        return false;
    }
    for (unsigned i = 0; i < workers; i++)
        park_init(&idle->seats[i]);
    return true;
}

void idle_destroy(struct idle *idle)
{
    free(idle->sleepers);
    free(idle->seats);
    idle->sleepers = NULL;
    idle->seats = NULL;
}

/* Move `worker` from parked back to searching, if nobody did yet. Seq_cst both; partners: the same
 * here in other threads (one alone clears the bit), idle_park, which counted and set it, and
 * idle_search_end, which must not see a smaller count than there are searchers awake. */
static bool claim(struct idle *idle, unsigned worker)
{
    if (!at_clear_bit_seq_cst(&idle->sleepers[worker / 64], worker % 64))
        return false;
    at_add_seq_cst(&idle->state, ONE_SEARCHING - ONE_PARKED);
    return true;
}

void idle_search_begin(struct idle *idle)
{
    /* Seq_cst; partner: the read in idle_wake_needed, which may then leave the work to this one. */
    at_add_seq_cst(&idle->state, ONE_SEARCHING);
}

bool idle_search_end(struct idle *idle)
{
    /* Seq_cst; partner: the fence and the read in idle_wake_needed. */
    const uint64_t before = at_add_seq_cst(&idle->state, (uint64_t)0 - ONE_SEARCHING);
    if (searching(before) != 1 || parked(before) == 0)
        return false;
    /* Seq_cst; partner: the fence in idle_wake_needed. The caller looks at the queues next. */
    at_fence_seq_cst();
    return true;
}

enum idle_wake idle_park(struct idle *idle, unsigned self, bool (*visible)(void *), void *arg)
{
    struct park *seat = &idle->seats[self];
    const uint64_t key = park_key(seat); /* before anybody can wake this worker */
    /* Counted before the bit can be cleared, or the count of parked ones could pass below zero.
     * Seq_cst both; partners: the bit and the count in claim, the read in idle_wake_needed. */
    at_add_seq_cst(&idle->state, ONE_PARKED - ONE_SEARCHING);
    at_set_bit_seq_cst(&idle->sleepers[self / 64], self % 64);
    /* Seq_cst; partner: the fence in idle_wake_needed. */
    at_fence_seq_cst();
    if (visible(arg) && claim(idle, self))
        return IDLE_WITHDRAWN;
    /* Nothing to do, or a waker has the bit and is about to move the count. The event count's own
     * orders (acquire here, release in park_wake) put that worker's claim before what follows. */
    do
        park_wait(seat, key);
    while (park_key(seat) == key);
    return IDLE_WOKEN;
}

bool idle_wake_needed(struct idle *idle)
{
    /* Seq_cst; partners: the fences in idle_park and idle_search_end. */
    at_fence_seq_cst();
    const uint64_t state = at_load_relaxed(&idle->state); /* relaxed: the fence orders it */
    return parked(state) > 0 && searching(state) == 0;
}

void idle_wake(struct idle *idle, const unsigned *order, unsigned length, unsigned count)
{
    for (unsigned i = 0; i < length && count > 0; i++) {
        const unsigned worker = order != NULL ? order[i] : i;
        /* Relaxed: the fence in idle_wake_needed or idle_search_end orders it. */
        if ((at_load_relaxed(&idle->sleepers[worker / 64]) >> worker % 64 & 1) == 0)
            continue;
        if (claim(idle, worker)) {
            park_wake(&idle->seats[worker]);
            count--;
        }
    }
}
