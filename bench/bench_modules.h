/* Calls of PVM modules as benchmarks: see bench_modules.c. */
#ifndef BENCH_MODULES_H
#define BENCH_MODULES_H

#include "bench/bench.h"

#define BENCH_MODULE_ROWS 8

/* Fills so many rows, of both engines. Ends the program when something cannot be made; what the
 * rows use lives until the process ends. */
void bench_module_rows(struct bench *rows);

#endif
