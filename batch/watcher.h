/* The thread that waits for signals and draws the progress. */
#ifndef JAVM_BATCH_WATCHER_H
#define JAVM_BATCH_WATCHER_H

#include "batch/progress.h"
#include "batch/run.h"

struct watcher;

/* While the batch is set up: SIGINT and SIGTERM (unless they are ignored, then they stay so) end
 * the process with a line and code 130; files may take long to open. SIGPIPE is ignored. */
void watcher_before(void);
/* From now on they wait for the watcher. Before threads that do not block them are started. */
void watcher_block_signals(void);

/* Watches `run` until watcher_stop: the first signal halts it, a second one ends the process with
 * whole lines written and code 130. Both are borrowed. NULL: no thread could be made. */
struct watcher *watcher_start(struct run *run, struct progress *progress);
void watcher_stop(struct watcher *watcher);

#endif
