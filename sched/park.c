/* The futex side of ck_ec. Multiple producers: whoever makes work wakes whom it likes. */
#include "sched/park.h"

#include <linux/futex.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int clock_now(const struct ck_ec_ops *ops, struct timespec *now)
{
    (void)ops;
    return clock_gettime(CLOCK_MONOTONIC, now);
}

/* WAIT_BITSET because its time-out is an absolute CLOCK_MONOTONIC one, as ck_ec's deadlines are.
 * Every way to return (woken, changed already, signal, time-out) is fine: ck_ec looks at the word
 * again. */
static void futex_wait(const void *word, uint32_t expected, const struct timespec *deadline)
{
    (void)syscall(SYS_futex, word, FUTEX_WAIT_BITSET_PRIVATE, expected, deadline, NULL,
                  FUTEX_BITSET_MATCH_ANY);
}

static void futex_wake_all(const void *word)
{
    (void)syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, NULL, NULL, 0);
}

static void wait32(const struct ck_ec_wait_state *state, const uint32_t *word, uint32_t expected,
                   const struct timespec *deadline)
{
    (void)state;
    futex_wait(word, expected, deadline);
}

static void wake32(const struct ck_ec_ops *ops, const uint32_t *word)
{
    (void)ops;
    futex_wake_all(word);
}

/* A futex compares 32 bits: those that change with every increment. ck_ec64 exists on little-endian
 * machines only, where they come first. */
static void wait64(const struct ck_ec_wait_state *state, const uint64_t *word, uint64_t expected,
                   const struct timespec *deadline)
{
    (void)state;
    futex_wait(word, (uint32_t)expected, deadline);
}

static void wake64(const struct ck_ec_ops *ops, const uint64_t *word)
{
    (void)ops;
    futex_wake_all(word);
}

/* Its short spin costs about a microsecond. The growing time-outs are for the single-producer
 * mode, which we do not use, so the first one is already the long one. */
static const struct ck_ec_ops OPS = {
    .gettime = clock_now,
    .wait32 = wait32,
    .wait64 = wait64,
    .wake32 = wake32,
    .wake64 = wake64,
    .busy_loop_iter = 20,
    .initial_wait_ns = 1000000000,
    .wait_scale_factor = 8,
};
static const struct ck_ec_mode MODE = {.ops = &OPS, .single_producer = false};

void park_wait(struct park *park, uint64_t key)
{
    (void)ck_ec64_wait(&park->count, &MODE, key, NULL);
}

void park_wake(struct park *park)
{
    ck_ec64_inc(&park->count, &MODE);
}
