/* The scheduler: a NUMA-aware work-stealing pool (spec: javm-batch, "Scheduler").
 *
 * It knows only tasks. Workers are bound to cores, their memory to the core's node. A worker pushes
 * and pops its own deque; an idle one steals nearest first, then parks until somebody makes work.
 */
#ifndef JAVM_SCHED_H
#define JAVM_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "javm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct javm_sched;
struct javm_worker; /* handed to every task; valid for that worker's thread only */

/* Embed this first in your own struct. The scheduler borrows it from submit/spawn until `run` is
 * entered; from then on it is the task's own (it may free itself). */
struct javm_task {
    void (*run)(struct javm_worker *worker, struct javm_task *task);
};

enum javm_numa { JAVM_NUMA_AUTO, JAVM_NUMA_OFF };

/* What an observer hears of. PARK: falls asleep for lack of work. WAKE: has been woken, now and
 * then without a PARK before. STEAL: has stolen one or more tasks. */
enum javm_sched_event { JAVM_SCHED_PARK, JAVM_SCHED_WAKE, JAVM_SCHED_STEAL };

struct javm_sched_options {
    unsigned workers;    /* 0: one per core that the process may use (affinity and cgroup quota
                            respected) */
    enum javm_numa numa; /* OFF: no binding of threads or memory */
    /* Called on each worker's thread, bound, before its first and after its last task; may be NULL.
     * start returns the worker's own context (javm_worker_context); a NULL from a non-NULL start
     * fails javm_sched_create with NOMEM after the other workers were stopped. */
    void *(*start)(void *arg, unsigned worker);
    void (*stop)(void *arg, unsigned worker, void *context);
    void *arg;
    /* Called on the worker's thread with its context, between its tasks; must not wait. NULL: none.
     */
    void (*event)(void *context, enum javm_sched_event event);
    /* A topology to use instead of this machine's: an hwloc synthetic description ("pack:2 ..."),
     * for tests. NULL: the machine's, where HWLOC_SYNTHETIC and HWLOC_XMLFILE are respected by
     * hwloc itself. */
    const char *synthetic;
};

/* Starts the workers; returns when all are ready. options may be NULL. */
enum javm_status javm_sched_create(const struct javm_sched_options *options,
                                   struct javm_sched **sched, struct javm_error *err);
/* Runs what is queued to the end, stops the workers, frees everything. Not from a worker. */
void javm_sched_destroy(struct javm_sched *sched);

/* Hand tasks in from outside; any thread. Grows its queue as needed; NOMEM: none were taken. */
enum javm_status javm_sched_submit(struct javm_sched *sched, struct javm_task *const *tasks,
                                   size_t count);
/* From inside a task: push onto the own deque; stealable at once. NOMEM: not taken (run it
 * yourself). */
enum javm_status javm_sched_spawn(struct javm_worker *worker, struct javm_task *task);
/* Wait until every task submitted or spawned so far, and what they spawn, has ended. Not from a
 * worker. */
void javm_sched_wait(struct javm_sched *sched);

unsigned javm_sched_workers(const struct javm_sched *sched);
unsigned javm_worker_index(const struct javm_worker *worker); /* 0..workers-1 */
void *javm_worker_context(const struct javm_worker *worker);
struct javm_sched *javm_worker_sched(const struct javm_worker *worker);
/* True when others are hungry: a hint for tasks that can split themselves. One relaxed load. */
bool javm_worker_should_split(const struct javm_worker *worker);

struct javm_worker_stats {
    uint64_t tasks, spawned, steals_l3, steals_node, steals_far, stolen_tasks, failed_steals, parks,
        wakes;
    int cpu, node; /* where it is bound; -1: unbound */
};
void javm_sched_worker_stats(const struct javm_sched *sched, unsigned worker,
                             struct javm_worker_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
