/* The C side of the benchmarks: a table of named functions. main.cpp hands each to Google
 * Benchmark, which times it, and prints the ratios at the end. */
#ifndef JAVM_BENCH_BENCH_H
#define JAVM_BENCH_BENCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench {
    char name[64];
    const char *group;          /* rows of one group and name are compared; "native" is the base */
    void (*run)(void *context); /* one iteration */
    void *context;              /* borrowed for the whole run */
    double items;               /* per iteration, and the time printed is of one; 0: of all */
};

/* Build the table; NULL and a message on stderr when something is missing. `images` is the folder
 * of prebuilt images. The table lives until the process ends. */
const struct bench *bench_table(const char *images, size_t *count);

#ifdef __cplusplus
}
#endif
#endif
