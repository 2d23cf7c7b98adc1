/* Results that were recorded against those of a new run.
 *
 * Each line is known by a hash; of the new run only lines are kept whose like was not recorded, so
 * that memory goes with the recorded lines (15 to 23 bytes each) and with the differences, of which
 * 64 MiB are kept to be shown. The file is read twice: once before the run, and once after it to
 * show what has no like. */
#ifndef JAVM_BATCH_VERIFY_H
#define JAVM_BATCH_VERIFY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "javm/status.h"

struct verify;

/* Reads the recorded results, which messages call `name`. FORMAT, IO, NOMEM; STATE: it is no file
 * that can be read twice. */
enum javm_status verify_open(const char *path, const char *name, struct verify **verify,
                             struct javm_error *err);
void verify_free(struct verify *verify);

/* Lines of the new run, without us and worker. One thread. False: errno (no memory). */
bool verify_lines(struct verify *verify, const char *bytes, size_t len);

/* When the run is over: one line on `to` for each difference, and a summary on `log`. `complete`:
 * all jobs were run; else missing and extra lines cannot be told. *equal: none. FORMAT, IO,
 * NOMEM. */
enum javm_status verify_report(struct verify *verify, FILE *to, FILE *log, bool complete,
                               bool *equal, struct javm_error *err);

#endif
