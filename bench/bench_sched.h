/* What the scheduler itself costs. */
#ifndef JAVM_BENCH_SCHED_H
#define JAVM_BENCH_SCHED_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Spawns and runs a tree of `tasks` empty tasks (at least 1) on `workers` workers (0: one per core).
 * Returns nanoseconds of worker time per task, i.e. elapsed time x workers / tasks, so that idle workers count;
 * creating the scheduler does not. Negative: no memory. */
double bench_sched_ns_per_task(unsigned workers, uint64_t tasks);

/* The same for tasks that are handed in from outside, in batches of 256, while others run. */
double bench_sched_ns_per_submit(unsigned workers, uint64_t tasks);

#ifdef __cplusplus
}
#endif
#endif
