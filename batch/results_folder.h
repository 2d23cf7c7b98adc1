/* Results in a folder, a file for each rank. */
#ifndef JAVM_BATCH_RESULTS_FOLDER_H
#define JAVM_BATCH_RESULTS_FOLDER_H

#include "batch/history.h"

/* history_read of every file *.ndjson in the folder; *whole is that of the file `own` in it. As
 * history_read. */
enum javm_status results_folder_read(struct history *history, const char *folder, const char *own,
                                     bool retry_crashed, uint64_t *whole, struct javm_error *err);

#endif
