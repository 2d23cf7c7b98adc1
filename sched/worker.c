#include "sched/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define FIRST_SLOTS      256   /* of a deque */
#define BATCH            64    /* most tasks taken from the injection queue at once */
#define STEAL_MOST       128   /* most tasks stolen at once from afar */
#define FAIRNESS         64    /* every so many tasks the injection queue goes first */
#define OLDEST_FIRST     1024  /* and every so many the oldest task of the own deque */
#define SPIN_NANOSECONDS 20000 /* an idle worker looks around for so long before it parks */
#define PAUSES           16    /* between two rounds of looking */

static _Thread_local struct javm_worker *current_worker;

struct javm_worker *worker_self(void)
{
    return current_worker;
}

/* ---- what is where ---- */

static bool stopping(const struct javm_sched *sched)
{
    /* Acquire; partner: the release store in javm_sched_destroy. */
    return at_load_acquire(&sched->stop) != 0;
}

/* How many tasks are in the queues, but the count ends at `enough`. */
static size_t queued(const struct javm_sched *sched, size_t enough)
{
    size_t count = inject_size_hint(&sched->inject);
    for (unsigned i = 0; i < sched->count && count < enough; i++)
        count += deque_size_hint(&sched->slots[i].worker->deque);
    return count;
}

/* ---- finding work ---- */

/* A batch from outside: the first to run now, the rest onto the own deque, last first, so that they
 * are run in the order in which they came. 0: none. */
static uint64_t take_injected(struct javm_worker *worker, size_t limit)
{
    uint64_t items[BATCH];
    if (!deque_reserve(&worker->deque, limit))
        limit = 1;
    size_t count = inject_take(&worker->sched->inject, items, limit, worker->sched->count);
    if (count == 0)
        return 0;
    while (count > 1)
        deque_push(&worker->deque, items[--count]);
    return items[0];
}

static uint64_t next_random(struct javm_worker *worker)
{
    uint64_t x = worker->random; /* xorshift64: never zero */
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return worker->random = x;
}

static void tell(struct javm_worker *worker, enum javm_sched_event event)
{
    if (worker->sched->options.event != NULL)
        worker->sched->options.event(worker->context, event);
}

/* Steal up to `most` tasks: all but the last onto the own deque, the last to run now. It is the
 * youngest, next to what the victim works on, and the others follow towards the oldest. */
static uint64_t steal_from(struct javm_worker *thief, struct deque *victim, size_t most)
{
    uint64_t item = 0;
    uint64_t next;
    size_t count = 0;
    while (count < most && (count == 0 || deque_reserve(&thief->deque, 1)) &&
           deque_steal(victim, &next) == DEQUE_STOLEN) {
        if (count++ > 0)
            deque_push(&thief->deque, item);
        item = next;
    }
    at_bump(&thief->stolen_tasks, count); /* relaxed: statistics, as all counters here */
    return item;
}

/* One round over the victims, nearest first; a random one begins each level. */
static uint64_t steal_round(struct javm_worker *worker)
{
    const struct worker_slot *slots = worker->sched->slots;
    unsigned begin = 0;
    for (unsigned level = 0; level < TOPOLOGY_LEVELS; level++) {
        const unsigned length = worker->victims_end[level] - begin;
        unsigned at = length > 1 ? (unsigned)(next_random(worker) % length) : 0;
        for (unsigned i = 0; i < length; i++, at = at + 1 < length ? at + 1 : 0) {
            struct deque *victim = &slots[worker->victims[begin + at]].worker->deque;
            const size_t size = deque_size_hint(victim);
            if (size == 0)
                continue;
            /* Near: one, for the way is short and the victim's cache is ours too. Afar: half. */
            size_t most = 1;
            if (level > TOPOLOGY_NODE)
                most = (size + 1) / 2 < STEAL_MOST ? (size + 1) / 2 : STEAL_MOST;
            const uint64_t item = steal_from(worker, victim, most);
            if (item != 0) {
                at_bump(&worker->steals[level], 1);
                tell(worker, JAVM_SCHED_STEAL);
                return item;
            }
            at_bump(&worker->failed_steals, 1);
        }
        begin = worker->victims_end[level];
    }
    return 0;
}

/* ---- without work ---- */

static void wake_others(struct javm_worker *worker, unsigned count)
{
    struct javm_sched *sched = worker->sched;
    idle_wake(&sched->idle, worker->victims, sched->count - 1, count);
}

static uint64_t nanoseconds(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now); /* cannot fail: the clock exists */
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void pause_briefly(void)
{
    for (int i = 0; i < PAUSES; i++)
        at_pause();
}

/* Looks around until there is work, time is up, or the scheduler stops. */
static uint64_t look_around(struct javm_worker *worker)
{
    struct javm_sched *sched = worker->sched;
    uint64_t deadline = 0;
    for (;;) {
        uint64_t item = take_injected(worker, BATCH);
        if (item == 0)
            item = steal_round(worker);
        if (item != 0 || sched->crowded || stopping(sched))
            return item;
        const uint64_t now = nanoseconds();
        if (deadline == 0) {
            deadline = now + SPIN_NANOSECONDS;
            sched_check_done(
                sched); /* sooner than when we park; the look there is the one that counts */
        } else if (now >= deadline) {
            return 0;
        }
        pause_briefly();
    }
}

/* For idle_park: the last look before sleep. It is also when a waiter learns that what it waits for
 * has ended (sched.c). */
static bool reason_to_stay(void *arg)
{
    struct javm_worker *worker = arg;
    if (queued(worker->sched, 1) > 0 || stopping(worker->sched))
        return true;
    sched_check_done(worker->sched);
    at_store_relaxed(&worker->parks, worker->wakes + 1); /* relaxed: statistics */
    tell(worker, JAVM_SCHED_PARK);
    return false;
}

/* Searches, parks, searches again. 0: the scheduler stops. */
static uint64_t search(struct javm_worker *worker)
{
    struct javm_sched *sched = worker->sched;
    idle_search_begin(&sched->idle);
    for (;;) {
        const uint64_t item = look_around(worker);
        if (item != 0 || stopping(sched)) {
            if (idle_search_end(&sched->idle)) {
                const size_t left = queued(sched, 2);
                if (left > 0)
                    wake_others(worker, (unsigned)left > 2 ? 2 : (unsigned)left);
            }
            return item;
        }
        if (idle_park(&sched->idle, worker->index, reason_to_stay, worker) == IDLE_WOKEN) {
            /* Relaxed: statistics. It may have had a reason to stay and yet been woken: then it
             * counts as parked only now. So parks is wakes, or one more while the worker sleeps. */
            const uint64_t wakes = worker->wakes + 1;
            at_store_relaxed(&worker->parks, wakes);
            at_store_relaxed(&worker->wakes, wakes);
            tell(worker, JAVM_SCHED_WAKE);
        }
    }
}

/* ---- running ---- */

/* The worker as a thief of its own deque. 0: empty, or another thief was faster. */
static uint64_t take_oldest(struct javm_worker *worker)
{
    uint64_t item;
    if (deque_size_hint(&worker->deque) == 0 || deque_steal(&worker->deque, &item) != DEQUE_STOLEN)
        return 0;
    return item;
}

static uint64_t next_item(struct javm_worker *worker)
{
    uint64_t item = 0;
    /* Tasks that keep spawning must starve neither those outside nor those that lie below them in
     * the deque. One only: then nothing was moved. */
    if (++worker->ticks % OLDEST_FIRST == 0)
        item = take_oldest(worker);
    else if (worker->ticks % FAIRNESS == 0)
        item = take_injected(worker, 1);
    if (item == 0)
        item = deque_take(&worker->deque);
    if (item == 0) {
        item = take_injected(worker, BATCH);
        if (item != 0 && idle_wake_needed(&worker->sched->idle) &&
            deque_size_hint(&worker->deque) > 0)
            wake_others(worker, 1);
    }
    return item;
}

static void run(struct javm_worker *worker, uint64_t item)
{
    const unsigned generation = item_generation(item);
    if (generation != worker->generation) {
        /* This worker may have ended the last task of the other generation and may now be busy for
         * long: a waiter cannot wait until it parks. */
        at_fence_seq_cst(); /* partner: the fence in javm_sched_wait */
        sched_check_done(worker->sched);
        worker->generation = generation;
    }
    struct javm_task *task = item_task(item);
    task->run(worker, task);
    /* Release; partner: the acquire load in sched.c's `ended`: all that the task did and spawned is
     * visible to who sees this count. */
    at_store_release(&worker->finished[generation],
                     at_load_relaxed(&worker->finished[generation]) + 1);
}

enum javm_status javm_sched_spawn(struct javm_worker *worker, struct javm_task *task)
{
    if (!deque_reserve(&worker->deque, 1))
        return JAVM_E_NOMEM;
    /* Relaxed: published by the push, before anybody can run and finish the task. */
    at_bump(&worker->spawned[worker->generation], 1);
    deque_push(&worker->deque, item_of(task, worker->generation));
    if (idle_wake_needed(&worker->sched->idle))
        wake_others(worker, 1);
    return JAVM_OK;
}

/* ---- birth and death ---- */

/* On the worker's thread, so that memory comes from its node. NULL: no memory. */
static struct javm_worker *worker_new(struct javm_sched *sched, unsigned index)
{
    const struct topology_core *core = topology_place(&sched->topology, index);
    const bool bound =
        sched->options.numa == JAVM_NUMA_AUTO && topology_bind(&sched->topology, core);
    struct javm_worker *worker =
        topology_alloc(&sched->topology, bound ? core : NULL, sizeof *worker);
    if (worker == NULL)
        return NULL;
    worker->sched = sched;
    worker->index = index;
    worker->random = UINT64_C(0x9E3779B97F4A7C15) * (index + 1);
    worker->cpu = bound ? core->cpu : -1;
    worker->node = bound ? core->node : -1;
    worker->victims = calloc(sched->count, sizeof *worker->victims);
    if (worker->victims == NULL || !deque_init(&worker->deque, FIRST_SLOTS, 0)) {
        free(worker->victims);
        topology_free(&sched->topology, worker, sizeof *worker);
        return NULL;
    }
    topology_victims(&sched->topology, index, sched->count, worker->victims, worker->victims_end);
    return worker;
}

/* Says that this worker is there (or could not be), and waits for all. True: go and work. */
static bool rendezvous(struct javm_sched *sched, bool fine)
{
    pthread_mutex_lock(&sched->lock);
    sched->ready++;
    sched->failed += !fine;
    pthread_cond_broadcast(&sched->changed);
    while (sched->phase == SCHED_STARTING)
        pthread_cond_wait(&sched->changed, &sched->lock);
    const bool work = sched->phase == SCHED_RUNNING;
    pthread_mutex_unlock(&sched->lock);
    return work;
}

void *worker_main(void *arg)
{
    struct worker_slot *slot = arg;
    struct javm_sched *sched = slot->sched;
    const unsigned index = (unsigned)(slot - sched->slots);
    char name[16]; /* the kernel's limit */
    (void)snprintf(name, sizeof name, "javm-w%u", index);
    (void)pthread_setname_np(pthread_self(), name);

    struct javm_worker *worker = worker_new(sched, index);
    slot->worker = worker; /* published by the lock in rendezvous */
    const struct javm_sched_options *options = &sched->options;
    bool fine = worker != NULL;
    if (fine && options->start != NULL) {
        worker->context = options->start(options->arg, index);
        fine = worker->context != NULL;
    }
    if (rendezvous(sched, fine)) {
        current_worker = worker;
        for (;;) {
            uint64_t item = next_item(worker);
            if (item == 0 && (item = search(worker)) == 0)
                break;
            run(worker, item);
        }
        current_worker = NULL;
    }
    if (fine && options->stop != NULL)
        options->stop(options->arg, index, worker->context);
    return NULL;
}
