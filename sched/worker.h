/* A worker: its thread, its deque, its counters, and the loop that finds and runs tasks. */
#ifndef JAVM_SCHED_WORKER_H
#define JAVM_SCHED_WORKER_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "javm/sched.h"
#include "sched/deque.h"
#include "sched/idle.h"
#include "sched/inject.h"
#include "sched/topology.h"

/* Lives on its core's node, written (but for the deque's top) by its own thread only. */
struct javm_worker {
    struct deque deque;
    /* Owner-written, read by others with relaxed or acquire loads. Per generation (sched.c). */
    _Alignas(SCHED_LINE) uint64_t spawned[2];
    uint64_t finished[2];
    uint64_t steals[TOPOLOGY_LEVELS], stolen_tasks, failed_steals, parks, wakes;
    /* The owner's alone. */
    _Alignas(SCHED_LINE) struct javm_sched *sched; /* borrowed */
    void *context;                                 /* what options.start returned */
    unsigned index;
    unsigned generation; /* of the task that runs, or ran last */
    uint64_t random;
    uint64_t ticks;
    unsigned *victims; /* owned; see topology_victims */
    unsigned victims_end[TOPOLOGY_LEVELS];
    int cpu, node; /* -1: unbound; written before the worker is ready */
};

/* What javm_sched_create needs of a worker before it exists: lives until javm_sched_destroy. */
struct worker_slot {
    struct javm_worker *worker; /* owned; set by its thread before it is ready */
    struct javm_sched *sched;   /* borrowed */
    pthread_t thread;
};

struct javm_sched {
    struct topology topology;
    struct javm_sched_options options; /* synthetic is not kept */
    unsigned count;
    bool crowded; /* more workers than cores: spinning would take time from one who works */
    struct worker_slot *slots; /* owned; `count` of them */
    struct idle idle;
    struct inject inject;
    /* The rendezvous of creation and its failure. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned ready, failed; /* guarded by lock, as the next */
    enum { SCHED_STARTING, SCHED_RUNNING, SCHED_ABANDONED } phase;
    /* Waiting (sched.c). */
    pthread_mutex_t turn; /* one waiter at a time ends a generation */
    struct park done;
    _Alignas(SCHED_LINE) uint64_t draining; /* 0, or 1 + the generation that a waiter waits for */
    uint64_t stop;                          /* 1: workers leave when they find no work */
};

/* The thread function; its argument is a struct worker_slot *. */
void *worker_main(void *slot);
/* The worker whose thread this is, or NULL. */
struct javm_worker *worker_self(void);

/* sched.c: wake the waiter if the generation that it waits for has ended. Called by workers. */
void sched_check_done(struct javm_sched *sched);

#endif
