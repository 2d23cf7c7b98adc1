/* The figures of a running batch in Prometheus' text format. */
#ifndef JAVM_BATCH_METRICS_TEXT_H
#define JAVM_BATCH_METRICS_TEXT_H

#include <stddef.h>

#include "batch/run.h"

#define METRICS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* malloc'ed, NULL: out of memory. While the workers of `run` exist; `dir` is the caller's way into
 * run->dir. */
char *metrics_text(struct run *run, struct javm_dir_thread *dir, size_t *len);

#endif
