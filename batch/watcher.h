/* The thread that waits for signals and draws the progress. */
#ifndef JAVM_BATCH_WATCHER_H
#define JAVM_BATCH_WATCHER_H

#include "batch/progress.h"
#include "batch/run.h"

struct watcher;

/* SIGINT and SIGTERM no longer end the process (unless they were ignored before, then they still
 * are), SIGPIPE is ignored. Before any thread is started: they inherit the mask. */
void watcher_block_signals(void);

/* Watches `run` until watcher_stop: the first signal halts it, a second one ends the process with
 * whole lines written and code 130. Both are borrowed. NULL: no thread could be made. */
struct watcher *watcher_start(struct run *run, struct progress *progress);
void watcher_stop(struct watcher *watcher);

#endif
