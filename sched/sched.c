/* Creation, submission, waiting, destruction.
 *
 * Waiting. Every task belongs to one of two generations: one submitted from outside to the current
 * one, one spawned or submitted by a task to that task's. javm_sched_wait makes the other
 * generation current and waits until the one it ended has drained, so it returns even while others
 * keep submitting. Waiters take turns (`turn`), so when a generation becomes current again, nothing
 * of it is left.
 *
 * Nothing is counted in one place. A worker counts the tasks that it spawned and those that it
 * finished, the injection queue those submitted. A generation has ended when the sums are equal:
 * F, read first, of finished tasks, and C, read after, of created ones. Why that is safe, though
 * the counters move while they are summed:
 *
 *  - A task is counted as created before it is pushed, so before it can run and be counted as
 *    finished (release, read by acquire). Whoever sees it in F sees it in C. So F <= C, as sets.
 *  - Suppose F = C, and some task of the generation is missing in C. Its parent ran when it created
 *    it, so if the parent is in F, its release store came after that, and the task is in C. So the
 *    parent is not in F. Is it in C? Then C has something that F has not. If not, look at its
 *    parent in turn. The line ends at a task from outside, and all of those are in C: the
 *    generation ended under the queue's lock. Contradiction either way: everything created is in C,
 *    and so in F, and has ended.
 *
 * The waiter sleeps on an event count. A worker wakes it when it sees F = C; it looks after it
 * failed to find work and when it turns from one generation to the other, so after every last task
 * that it finishes in a generation. Counting the task, a fence, reading `draining` there; writing
 * `draining`, a fence, summing in the waiter: so either the waiter sees the worker's count, or the
 * worker sees that somebody waits. Of two workers that finish last, the one whose fence comes
 * second sees both counts. */
#include "javm/sched.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched/worker.h"

#define MOST_WORKERS 4096

/* ---- counting ---- */

static bool ended(const struct javm_sched *sched, unsigned generation)
{
    uint64_t finished = 0;
    uint64_t created = 0;
    /* Acquire; partner: the release store in worker.c's run. */
    for (unsigned i = 0; i < sched->count; i++)
        finished += at_load_acquire(&sched->slots[i].worker->finished[generation]);
    /* Relaxed: what F needs of these came before the release stores that it read. */
    for (unsigned i = 0; i < sched->count; i++)
        created += at_load_relaxed(&sched->slots[i].worker->spawned[generation]);
    created += at_load_relaxed(&sched->inject.submitted[generation]);
    return finished == created;
}

void sched_check_done(struct javm_sched *sched)
{
    /* Acquire; partner: the release store in javm_sched_wait, after the generation's last
     * submission. */
    const uint64_t draining = at_load_acquire(&sched->draining);
    if (draining != 0 && ended(sched, (unsigned)draining - 1))
        park_wake(&sched->done);
}

/* ---- creation ---- */

static void free_all(struct javm_sched *sched)
{
    for (unsigned i = 0; sched->slots != NULL && i < sched->count; i++) {
        struct javm_worker *worker = sched->slots[i].worker;
        if (worker == NULL)
            continue;
        deque_destroy(&worker->deque);
        free(worker->victims);
        topology_free(&sched->topology, worker, sizeof *worker);
    }
    free(sched->slots);
    idle_destroy(&sched->idle);
    inject_destroy(&sched->inject);
    topology_unload(&sched->topology);
    pthread_mutex_destroy(&sched->lock);
    pthread_mutex_destroy(&sched->turn);
    pthread_cond_destroy(&sched->changed);
    free(sched);
}

/* Signals to the process are for the main thread. Those that a thread raises by what it does stay,
 * and SIGPROF, by which profilers look at every thread. */
static void worker_signals(sigset_t *blocked)
{
    static const int kept[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT, SIGPROF};
    sigfillset(blocked);
    for (size_t i = 0; i < sizeof kept / sizeof *kept; i++)
        sigdelset(blocked, kept[i]);
}

/* Starts threads until one cannot be; returns how many run. */
static unsigned start_threads(struct javm_sched *sched, int *code)
{
    sigset_t blocked;
    sigset_t before;
    worker_signals(&blocked);
    pthread_sigmask(SIG_BLOCK, &blocked, &before); /* threads inherit it: no window without it */
    unsigned started = 0;
    for (*code = 0; started < sched->count; started++) {
        struct worker_slot *slot = &sched->slots[started];
        slot->sched = sched;
        *code = pthread_create(&slot->thread, NULL, worker_main, slot);
        if (*code != 0)
            break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return started;
}

/* Waits until every started worker is ready, and says what becomes of them. */
static bool release_workers(struct javm_sched *sched, unsigned started)
{
    pthread_mutex_lock(&sched->lock);
    while (sched->ready < started)
        pthread_cond_wait(&sched->changed, &sched->lock);
    const bool fine = started == sched->count && sched->failed == 0;
    sched->phase = fine ? SCHED_RUNNING : SCHED_ABANDONED;
    pthread_cond_broadcast(&sched->changed);
    pthread_mutex_unlock(&sched->lock);
    return fine;
}

static enum javm_status start_workers(struct javm_sched *sched, struct javm_error *err)
{
    int code;
    const unsigned started = start_threads(sched, &code);
    if (release_workers(sched, started))
        return JAVM_OK;
    for (unsigned i = 0; i < started; i++)
        pthread_join(sched->slots[i].thread, NULL);
    if (started < sched->count)
        return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE,
                         "only %u of %u worker threads could be started: %s", started, sched->count,
                         strerror(code));
    return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%u of %u workers could not be set up",
                     sched->failed, sched->count);
}

enum javm_status javm_sched_create(const struct javm_sched_options *options,
                                   struct javm_sched **sched_out, struct javm_error *err)
{
    static const struct javm_sched_options defaults = {.workers = 0};
    if (options == NULL)
        options = &defaults;
    if (options->workers > MOST_WORKERS)
        return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE, "%u workers: at most %d are possible",
                         options->workers, MOST_WORKERS);
    struct javm_sched *sched = aligned_alloc(SCHED_LINE, sizeof *sched);
    if (sched == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory for a scheduler");
    memset(sched, 0, sizeof *sched);
    sched->options = *options;
    sched->options.synthetic = NULL;
    pthread_mutex_init(&sched->lock, NULL);
    pthread_mutex_init(&sched->turn, NULL);
    pthread_cond_init(&sched->changed, NULL);
    inject_init(&sched->inject);
    park_init(&sched->done);

    enum javm_status status = topology_load(&sched->topology, options->synthetic, err);
    if (status == JAVM_OK) {
        sched->count =
            options->workers != 0 ? options->workers : topology_default_workers(&sched->topology);
        if (sched->count > MOST_WORKERS)
            sched->count = MOST_WORKERS;
        sched->crowded = sched->count > sched->topology.count || !sched->topology.ours;
        sched->slots = calloc(sched->count, sizeof *sched->slots);
        if (sched->slots == NULL || !idle_init(&sched->idle, sched->count))
            status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory for %u workers",
                               sched->count);
    }
    if (status == JAVM_OK)
        status = start_workers(sched, err);
    if (status != JAVM_OK) {
        free_all(sched);
        return status;
    }
    *sched_out = sched;
    return JAVM_OK;
}

/* ---- use ---- */

/* A worker that waited for all workers would wait for itself. */
static void not_from_a_worker(const struct javm_sched *sched, const char *what)
{
    const struct javm_worker *worker = worker_self();
    if (worker != NULL && worker->sched == sched) {
        (void)fprintf(stderr, "%s was called from a task of the same scheduler\n", what);
        abort();
    }
}

enum javm_status javm_sched_submit(struct javm_sched *sched, struct javm_task *const *tasks,
                                   size_t count)
{
    if (count == 0)
        return JAVM_OK;
    /* What a task submits is waited for like what it spawns. */
    const struct javm_worker *worker = worker_self();
    const unsigned generation =
        worker != NULL && worker->sched == sched ? worker->generation : INJECT_CURRENT;
    if (!inject_push(&sched->inject, tasks, count, generation))
        return JAVM_E_NOMEM;
    /* Two at most: each finds more than it takes and wakes others in turn. */
    if (idle_wake_needed(&sched->idle))
        idle_wake(&sched->idle, NULL, sched->count, count < 2 ? 1 : 2);
    return JAVM_OK;
}

void javm_sched_wait(struct javm_sched *sched)
{
    not_from_a_worker(sched, "javm_sched_wait");
    pthread_mutex_lock(&sched->turn);
    const unsigned generation = inject_turn(&sched->inject);
    /* Release; partner: the acquire load in sched_check_done. */
    at_store_release(&sched->draining, 1 + (uint64_t)generation);
    /* Seq_cst; partners: the fence in idle_park, before a worker's last check, and the one in run.
     */
    at_fence_seq_cst();
    for (;;) {
        const uint64_t key = park_key(&sched->done);
        if (ended(sched, generation))
            break;
        park_wait(&sched->done, key);
    }
    at_store_relaxed(&sched->draining, 0); /* relaxed: a late check only wakes nobody */
    pthread_mutex_unlock(&sched->turn);
}

void javm_sched_destroy(struct javm_sched *sched)
{
    if (sched == NULL)
        return;
    not_from_a_worker(sched, "javm_sched_destroy");
    javm_sched_wait(sched);
    /* Release; partner: the acquire load in worker.c's stopping. */
    at_store_release(&sched->stop, 1);
    /* Seq_cst; partner: the fence in idle_park: a worker sees `stop`, or we see it asleep. */
    at_fence_seq_cst();
    idle_wake(&sched->idle, NULL, sched->count, sched->count);
    for (unsigned i = 0; i < sched->count; i++)
        pthread_join(sched->slots[i].thread, NULL);
    free_all(sched);
}

/* ---- looking ---- */

unsigned javm_sched_workers(const struct javm_sched *sched)
{
    return sched->count;
}

unsigned javm_worker_index(const struct javm_worker *worker)
{
    return worker->index;
}

void *javm_worker_context(const struct javm_worker *worker)
{
    return worker->context;
}

struct javm_sched *javm_worker_sched(const struct javm_worker *worker)
{
    return worker->sched;
}

bool javm_worker_should_split(const struct javm_worker *worker)
{
    return idle_any(&worker->sched->idle);
}

void javm_sched_worker_stats(const struct javm_sched *sched, unsigned worker,
                             struct javm_worker_stats *stats)
{
    const struct javm_worker *w = sched->slots[worker].worker;
    /* Relaxed: each number is right by itself; together they are a snapshot only when all is quiet.
     */
    *stats = (struct javm_worker_stats){
        .tasks = at_load_relaxed(&w->finished[0]) + at_load_relaxed(&w->finished[1]),
        .spawned = at_load_relaxed(&w->spawned[0]) + at_load_relaxed(&w->spawned[1]),
        .steals_l3 = at_load_relaxed(&w->steals[TOPOLOGY_L3]),
        .steals_node = at_load_relaxed(&w->steals[TOPOLOGY_NODE]),
        .steals_far = at_load_relaxed(&w->steals[TOPOLOGY_PACKAGE]) +
                      at_load_relaxed(&w->steals[TOPOLOGY_REMOTE]),
        .stolen_tasks = at_load_relaxed(&w->stolen_tasks),
        .failed_steals = at_load_relaxed(&w->failed_steals),
        .parks = at_load_relaxed(&w->parks),
        .wakes = at_load_relaxed(&w->wakes),
        .cpu = w->cpu,
        .node = w->node,
    };
}
