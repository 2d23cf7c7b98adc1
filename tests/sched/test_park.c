/* Going to sleep and being woken, with real threads and futexes: park.c by itself, idle.c around a
 * bare counter, and the workers of a scheduler. Would catch: a wake-up that comes between the look
 * for work and the sleep and is lost (the test then does not end), a sleeper that a signal wakes
 * for good, one wake-up that leaves some sleepers of the same seat asleep, idle workers that keep
 * spinning. All interleavings of small cases: test_model_idle.c. */
#include "tests/sched/support.h"

#include <pthread.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include "sched/idle.h"

/* ---- one seat ---- */

Test(park, an_old_key_does_not_sleep)
{
    struct park seat;
    park_init(&seat);
    const uint64_t key = park_key(&seat);
    park_wake(&seat);
    cr_assert_neq(park_key(&seat), key);
    park_wait(&seat, key); /* or this does not return */
}

static struct {
    struct park ping, pong;
    atomic_uint sleeping, woken;
} seats;

static void sleep_on(struct park *seat, uint64_t key)
{
    do
        park_wait(seat, key);
    while (park_key(seat) == key);
}

/* Keys count the wake-ups, from 0. */
static void *answer(void *arg)
{
    const unsigned long rounds = *(const unsigned long *)arg;
    for (uint64_t i = 0; i < rounds; i++) {
        sleep_on(&seats.ping, i);
        park_wake(&seats.pong);
    }
    return NULL;
}

/* Each side may be on its way to sleep, or not there yet, or asleep when the other one wakes it. */
Test(park, ping_pong)
{
    const unsigned long rounds = scaled(20000);
    pthread_t thread;
    park_init(&seats.ping);
    park_init(&seats.pong);
    cr_assert_eq(pthread_create(&thread, NULL, answer, (void *)(uintptr_t)&rounds), 0);
    for (uint64_t i = 0; i < rounds; i++) {
        park_wake(&seats.ping);
        sleep_on(&seats.pong, i);
    }
    pthread_join(thread, NULL);
    cr_assert_eq(park_key(&seats.ping), rounds);
    cr_assert_eq(park_key(&seats.pong), rounds);
}

static void *sleeper(void *arg)
{
    const uint64_t key = park_key(&seats.ping);
    (void)arg;
    atomic_fetch_add(&seats.sleeping, 1);
    sleep_on(&seats.ping, key);
    atomic_fetch_add(&seats.woken, 1);
    return NULL;
}

static void ignore(int signal)
{
    (void)signal;
}

Test(park, one_wake_is_for_all_and_a_signal_for_none)
{
    enum { SLEEPERS = 4 };
    const struct timespec moment = {.tv_nsec = 200000};
    struct sigaction action = {.sa_handler = ignore};
    struct sigaction before;
    pthread_t threads[SLEEPERS];
    park_init(&seats.ping);
    raise_to(&seats.sleeping, 0);
    raise_to(&seats.woken, 0);
    cr_assert_eq(sigaction(SIGUSR1, &action, &before), 0);
    for (unsigned i = 0; i < SLEEPERS; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, sleeper, NULL), 0);
    await(&seats.sleeping, SLEEPERS);
    for (unsigned i = 0; i < 100; i++) {
        pthread_kill(threads[i % SLEEPERS], SIGUSR1);
        (void)nanosleep(&moment, NULL);
        cr_assert_eq(atomic_load(&seats.woken), 0);
    }
    park_wake(&seats.ping);
    for (unsigned i = 0; i < SLEEPERS; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(sigaction(SIGUSR1, &before, NULL), 0);
}

/* ---- the idle protocol around one counter ---- */

enum { WORKERS = 4, PUBLISHERS = 3 };

static struct {
    struct idle idle;
    uint64_t available; /* tasks, an atomic word */
    uint64_t stop;
    atomic_ulong taken;
    unsigned long each; /* tasks per publisher */
} pool;

static bool something(void *arg)
{
    (void)arg;
    return at_load_relaxed(&pool.available) != 0 || at_load_acquire(&pool.stop) != 0;
}

static bool take(void)
{
    for (;;) {
        const uint64_t available = at_load_relaxed(&pool.available);
        if (available == 0)
            return false;
        if (at_cas_seq_cst(&pool.available, available, available - 1))
            return true;
    }
}

static void *pool_worker(void *arg)
{
    const unsigned self = (unsigned)(uintptr_t)arg;
    for (;;) {
        idle_search_begin(&pool.idle);
        bool got;
        while (!(got = take()) && at_load_acquire(&pool.stop) == 0)
            (void)idle_park(&pool.idle, self, something, NULL);
        if (idle_search_end(&pool.idle) && something(NULL))
            idle_wake(&pool.idle, NULL, WORKERS, 1);
        if (!got)
            return NULL;
        do
            atomic_fetch_add(&pool.taken, 1);
        while (take());
    }
}

static void *pool_publisher(void *arg)
{
    uint64_t random = (uintptr_t)arg;
    for (unsigned long i = 0; i < pool.each; i++) {
        (void)at_add_seq_cst(&pool.available, 1);
        if (idle_wake_needed(&pool.idle))
            idle_wake(&pool.idle, NULL, WORKERS, 1);
        /* Some wait until everything is taken: then the workers are on their way to sleep. */
        if (next_random(&random) % 4 == 0)
            while (at_load_relaxed(&pool.available) != 0)
                sched_yield();
        for (uint64_t pause = next_random(&random) % 64; pause > 0; pause--)
            at_pause();
    }
    return NULL;
}

Test(park, publishers_and_workers)
{
    pthread_t workers[WORKERS];
    pthread_t publishers[PUBLISHERS];
    pool.each = scaled(40000);
    cr_assert(idle_init(&pool.idle, WORKERS));
    for (unsigned i = 0; i < WORKERS; i++)
        cr_assert_eq(pthread_create(&workers[i], NULL, pool_worker, (void *)(uintptr_t)i), 0);
    for (unsigned i = 0; i < PUBLISHERS; i++)
        cr_assert_eq(
            pthread_create(&publishers[i], NULL, pool_publisher, (void *)(uintptr_t)(i + 1)), 0);
    for (unsigned i = 0; i < PUBLISHERS; i++)
        pthread_join(publishers[i], NULL);
    while (atomic_load(&pool.taken) < PUBLISHERS * pool.each)
        sched_yield(); /* for ever, if all sleep and something is left */
    at_store_release(&pool.stop, 1);
    at_fence_seq_cst();
    idle_wake(&pool.idle, NULL, WORKERS, WORKERS);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(workers[i], NULL);
    cr_assert_eq(atomic_load(&pool.taken), PUBLISHERS * pool.each);
    cr_assert_eq(pool.idle.state, 0); /* nobody is counted as idle any more */
    cr_assert_eq(pool.idle.sleepers[0], 0);
    idle_destroy(&pool.idle);
}

/* ---- a scheduler's workers ---- */

static bool all_asleep(const struct javm_sched *sched)
{
    for (unsigned i = 0; i < javm_sched_workers(sched); i++) {
        struct javm_worker_stats stats;
        javm_sched_worker_stats(sched, i, &stats);
        if (stats.parks != stats.wakes + 1)
            return false;
    }
    return true;
}

static void nothing(struct javm_worker *worker, struct javm_task *task)
{
    (void)worker;
    (void)task;
}

static double processor_seconds(void)
{
    struct timespec used;
    cr_assert_eq(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
    return (double)used.tv_sec + (double)used.tv_nsec / 1e9;
}

Test(park, workers_without_work_sleep)
{
    const struct timespec nap = {.tv_nsec = 100000000};
    struct javm_sched *sched = start_sched((struct javm_sched_options){.workers = 3});
    for (unsigned round = 0; round < 3; round++) {
        static struct javm_task tasks[50];
        for (unsigned i = 0; i < 50; i++) {
            tasks[i].run = nothing;
            submit_one(sched, &tasks[i]);
        }
        javm_sched_wait(sched);
        while (!all_asleep(sched))
            sched_yield();
        const double before = processor_seconds();
        (void)nanosleep(&nap, NULL);
        /* One that spins would use a tenth of a second, on a machine that has it to give. */
        cr_assert_lt(processor_seconds() - before, 0.05);
        cr_assert(all_asleep(sched));
    }
    javm_sched_destroy(sched); /* wakes them all */
}
