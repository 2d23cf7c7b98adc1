/* A prebuilt image as the benchmarks below the driver need it. */
#ifndef JAVM_BENCH_IMAGE_H
#define JAVM_BENCH_IMAGE_H

#include "javm/engine.h"
#include "javm/load.h"

struct bench_image {
    struct javm_bundle bundle; /* keeps all that follows */
    const struct javm_image *image;
    struct javm_program_key key;
};

/* Ends the process with a message when `status` is not OK. */
void bench_check(enum javm_status status, const char *what, const struct javm_error *err);
/* `folder`/<name>.jimg */
void bench_image_load(const char *folder, const char *name, struct bench_image *image);
/* What the driver maps for a fresh instance. *count regions, malloc'ed, for the caller. */
struct javm_region *bench_image_regions(const struct bench_image *image, size_t *count);
uint64_t bench_now_ns(void);

#endif
