/* Rows for executors: what a call costs that does nothing. */
#ifndef JAVM_BENCH_BENCH_NUB_H
#define JAVM_BENCH_BENCH_NUB_H

#include "bench/bench.h"

enum { BENCH_NUB_ROWS = 4 };

/* Fills BENCH_NUB_ROWS rows. Their executors start when a row first runs, and last until the
 * process ends. */
void bench_nub_rows(struct bench *rows);

#endif
