/* javm-batch compare A B: the figures of two batches side by side. */
#ifndef JAVM_BATCH_COMPARE_H
#define JAVM_BATCH_COMPARE_H

#include "batch/options.h"

/* The table goes to standard output. The exit code: 0 when both did the same work (jobs, exits,
 * mismatches and gas agree), 1 when not, 2 when a file holds no figures of --stats, 3 when the
 * table could not be written. */
int compare_stats(const struct options *options);

#endif
