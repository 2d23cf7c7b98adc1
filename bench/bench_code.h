/* Rows for making code ready to run: decoding for the interpreter, compiling everything. */
#ifndef JAVM_BENCH_BENCH_CODE_H
#define JAVM_BENCH_BENCH_CODE_H

#include "bench/bench.h"

enum { BENCH_CODE_ROWS = 4 };

/* Fills BENCH_CODE_ROWS rows; an item is a byte of guest code. */
void bench_code_rows(const char *images, struct bench *rows);

#endif
