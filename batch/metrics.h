/* --metrics ADDR: a thread that tells how the batch is going over HTTP, on this machine only. */
#ifndef JAVM_BATCH_METRICS_H
#define JAVM_BATCH_METRICS_H

#include <stdbool.h>

#include "batch/run.h"

struct metrics;

/* Is it "127.0.0.1:PORT" (any of 127.0.0.0/8), "localhost:PORT" or "[::1]:PORT", 0 <= PORT <=
 * 65535? */
bool metrics_address(const char *address);

/* Listens and serves until metrics_stop, while the workers of `run` (borrowed) exist. Says on
 * standard error where. `address` fulfils metrics_address. IO, NOMEM. */
enum javm_status metrics_start(const char *address, struct run *run, struct metrics **metrics,
                               struct javm_error *err);
/* NULL is fine. */
void metrics_stop(struct metrics *metrics);

#endif
