/* A worker's own things, and the task that runs a span of jobs on it. */
#ifndef JAVM_BATCH_WORKER_H
#define JAVM_BATCH_WORKER_H

#include "batch/chunk.h"
#include "batch/counters.h"
#include "batch/isolate.h"
#include "batch/partings.h"
#include "batch/run.h"
#include "batch/trace.h"
#include "batch/v2_run.h"

struct worker {
    struct worker *next; /* run->workers */
    struct run *run;
    struct javm_dir_thread *dir;
    struct javm_vm *vm;      /* NULL with: */
    struct isolate *isolate; /* --isolation process */
    struct parting *parting; /* verify --bisect, else NULL */
    struct v2_runner v2;     /* for jobs with v2 */
    struct foreign_runner *foreign;
    struct javm_annex *scratch; /* of one job at a time: what only its hash is wanted of */
    struct segment *segment;    /* being filled, or NULL */
    size_t usual_len;           /* of recent segments: the next one's first size */
    int64_t segment_since;      /* ns */
    unsigned index;
    struct trace_lane *lane;            /* NULL without --trace */
    struct span *spare;                 /* for the next `rest` */
    struct javm_vm_stats vm_stats;      /* final, once stopped */
    int64_t processor_ns;               /* the same */
    struct javm_jit_stats native_stats; /* with `isolate`, as vm_stats */

    /* While a job runs, what does not depend on it lies here for others to take: the results before
     * it and the units behind it. Whoever exchanges a pointer for NULL owns what it points to. */
    _Alignas(128) _Atomic(struct segment *) parked;
    _Atomic(struct span *) rest;
    _Atomic uint64_t begun; /* jobs; relaxed: only its standing still is looked at */
    uint64_t begun_before;  /* the watcher's: begun at its last look */
    _Alignas(128) struct counters counters;
};

/* For struct javm_sched_options; arg is the run. */
void *worker_start(void *arg, unsigned index);
void worker_stop(void *arg, unsigned index, void *context);

/* For struct javm_sched_options with --trace; context is the worker. */
void worker_event(void *context, enum javm_sched_event event);

/* Once in a while from the watcher's thread: help workers that have been in one job since the last
 * call. Their parked results go to the sink and the units behind the job to whoever is free. `all`:
 * results of all workers, no units (the process is about to end). */
void worker_rescue(struct run *run, bool all);
/* After javm_sched_wait: no rescue will submit anything from now on. Wait for the scheduler once
 * more. */
void worker_end_rescue(struct run *run);

/* struct span's task, struct chain's. */
void worker_run_span(struct javm_worker *worker, struct javm_task *task);
void worker_run_chain(struct javm_worker *worker, struct javm_task *task);

#endif
