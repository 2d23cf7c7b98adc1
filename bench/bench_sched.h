/* Rows for the scheduler: what a task costs beside what it does. */
#ifndef JAVM_BENCH_BENCH_SCHED_H
#define JAVM_BENCH_BENCH_SCHED_H

#include "bench/bench.h"

enum { BENCH_SCHED_ROWS = 6 };

/* Fills BENCH_SCHED_ROWS rows. Their schedulers start when a row first runs, and last until the
 * process ends. */
void bench_sched_rows(struct bench *rows);

#endif
