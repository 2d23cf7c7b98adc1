/* The C side of the benchmarks. main.cpp hands a table of named functions to Google Benchmark,
 * which times them; what can happen only once is timed here, as a series. main.cpp prints both. */
#ifndef JAVM_BENCH_BENCH_H
#define JAVM_BENCH_BENCH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct bench {
    const char *section;
    char name[64];              /* rows of one section and name are printed beside each other, */
    const char *column;         /* each under its own; "native" is what ratios compare with */
    void (*run)(void *context); /* one iteration */
    void *context;              /* borrowed for the whole run */
    double items;               /* per iteration, and the time printed is of one; 0: of all */
};

struct bench_series {
    const char *section, *name, *column;
    double *ns; /* each is of one time that it happened */
    size_t count;
};

/* What they need is in `images`, the folder of prebuilt images; when something is missing the
 * process ends with a message. What they return lives until the process ends. */
const struct bench *bench_table(const char *images, size_t *count);
const struct bench_series *bench_cold(const char *images, size_t *count); /* takes its time */
/* Seconds that `count` calls of a guest's native twin take, one after another. */
double bench_native_loop(const char *guest, uint64_t count, const uint64_t args[4]);

#ifdef __cplusplus
}
#endif
#endif
