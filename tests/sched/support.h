/* Shared by the tests that run a whole scheduler. Tasks must not use Criterion's assertions, which
 * jump out of the thread: they note what is wrong, and the test's own thread asserts. */
#ifndef JAVM_TESTS_SCHED_SUPPORT_H
#define JAVM_TESTS_SCHED_SUPPORT_H

#include <criterion/criterion.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "javm/sched.h"

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define SUPPORT_SLOW 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer) || __has_feature(address_sanitizer)
#define SUPPORT_SLOW 1
#endif
#endif

/* A tenth under a sanitizer; JAVM_STRESS=n for n times as much. */
static inline unsigned long scaled(unsigned long count)
{
    const char *factor = getenv("JAVM_STRESS");
    const unsigned long times = factor != NULL ? strtoul(factor, NULL, 10) : 1;
#ifdef SUPPORT_SLOW
    count = count / 10 + 1;
#endif
    return count * (times != 0 ? times : 1);
}

static inline struct javm_sched *start_sched(struct javm_sched_options options)
{
    struct javm_sched *sched = NULL;
    struct javm_error err = {.text = ""};
    cr_assert_eq(javm_sched_create(&options, &sched, &err), JAVM_OK, "%s", err.text);
    return sched;
}

static inline void submit_one(struct javm_sched *sched, struct javm_task *task)
{
    cr_assert_eq(javm_sched_submit(sched, &task, 1), JAVM_OK);
}

/* Gives the processor away while it waits, so it gets on with fewer cores than threads, too. */
static inline void await(atomic_uint *word, unsigned value)
{
    while (atomic_load_explicit(word, memory_order_acquire) < value)
        sched_yield();
}

static inline void raise_to(atomic_uint *word, unsigned value)
{
    atomic_store_explicit(word, value, memory_order_release);
}

static inline uint64_t next_random(uint64_t *state)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return *state >> 33;
}

/* The sum over all workers; `cpu` and `node` mean nothing. */
static inline struct javm_worker_stats sum_stats(const struct javm_sched *sched)
{
    struct javm_worker_stats sum = {.tasks = 0};
    for (unsigned i = 0; i < javm_sched_workers(sched); i++) {
        struct javm_worker_stats one;
        javm_sched_worker_stats(sched, i, &one);
        sum.tasks += one.tasks;
        sum.spawned += one.spawned;
        sum.steals_l3 += one.steals_l3;
        sum.steals_node += one.steals_node;
        sum.steals_far += one.steals_far;
        sum.stolen_tasks += one.stolen_tasks;
        sum.failed_steals += one.failed_steals;
        sum.parks += one.parks;
        sum.wakes += one.wakes;
    }
    return sum;
}

/* After javm_sched_wait, with nothing submitted since. */
static inline void check_stats(const struct javm_sched *sched, uint64_t submitted, uint64_t spawned)
{
    const struct javm_worker_stats sum = sum_stats(sched);
    const uint64_t steals = sum.steals_l3 + sum.steals_node + sum.steals_far;
    cr_assert_eq(sum.spawned, spawned, "%zu spawned", (size_t)sum.spawned);
    cr_assert_eq(sum.tasks, submitted + spawned, "%zu ran", (size_t)sum.tasks);
    /* Near ones take one task each, far ones at least one. */
    cr_assert_leq(steals, sum.stolen_tasks);
    if (sum.steals_far == 0)
        cr_assert_eq(steals, sum.stolen_tasks);
    /* One that sleeps has parked once more than it was woken. Parks come first in `one`: a worker
     * that wakes up in between may look as if it had been woken once more than it parked. */
    for (unsigned i = 0; i < javm_sched_workers(sched); i++) {
        struct javm_worker_stats one;
        javm_sched_worker_stats(sched, i, &one);
        cr_assert(one.parks + 1 >= one.wakes && one.parks <= one.wakes + 1, "%zu parks, %zu wakes",
                  (size_t)one.parks, (size_t)one.wakes);
    }
}

#endif
