/* How far the batch is, on stderr: a bar on a terminal, now and then a line elsewhere. */
#ifndef JAVM_BATCH_PROGRESS_H
#define JAVM_BATCH_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "batch/options.h"

/* What there is to show; total 0: unknown. */
struct progress_figures {
    uint64_t done, failed, gas, total;
    bool estimated; /* total is a guess from how much of the file was read */
    double seconds; /* since the start */
};

struct progress;

/* `to` is borrowed. NULL: out of memory (then all calls do nothing). */
struct progress *progress_new(enum progress_mode mode, FILE *to);
void progress_free(struct progress *progress);
/* How much time is to pass between calls of progress_show, at least; -1: never call it. */
int progress_interval_ms(const struct progress *progress);
void progress_show(struct progress *progress, const struct progress_figures *figures);
/* Take the bar away for a message, and let it come back. Any thread. */
void progress_hide(struct progress *progress);
void progress_release(struct progress *progress);

/* The bar as it would stand on `width` columns; no newline. Needs width + 64 bytes. For tests. */
void progress_bar_text(char *text, size_t size, int width, const struct progress_figures *figures);

#endif
