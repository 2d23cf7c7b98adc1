/* --report FILE: how the batch went, as one page that needs nothing but a browser.
 *
 * A thread looks at the workers' counters now and then; workers know nothing of it. The page is
 * report.html with the figures in it as JSON, and a script in it draws them. */
#ifndef JAVM_BATCH_REPORT_H
#define JAVM_BATCH_REPORT_H

#include "batch/run.h"
#include "batch/summary.h"

struct report;

/* When the workers run. `run` is borrowed. NOMEM, LIMIT (no thread). */
enum javm_status report_start(struct run *run, struct report **report, struct javm_error *err);
/* When no job runs any more: the last look. NULL is fine. */
void report_stop(struct report *report);
/* After that. Replaces the file. IO, NOMEM. */
enum javm_status report_write(const struct report *report, const char *path,
                              const struct summary *summary, struct javm_error *err);
/* Stops it. NULL is fine. */
void report_free(struct report *report);

#endif
