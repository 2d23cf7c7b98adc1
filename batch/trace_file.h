/* The file of a trace: a JSON array that is whole after every write. One thread at a time. */
#ifndef JAVM_BATCH_TRACE_FILE_H
#define JAVM_BATCH_TRACE_FILE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "javm/status.h"

#define TRACE_EVENT_MAX 1024 /* bytes of one event, at most */

struct trace_file {
    char *path;
    int fd;
    off_t at; /* where the array's end stands, and the next event will */
    char *block;
    size_t len; /* of the events in it that are not written yet */
    int failed; /* errno of the first write that failed: nothing is written any more */
};

/* Truncates, and writes the array's beginning with the name of the whole. IO (also: no regular
 * file), NOMEM; trace_file_dispose in any case. */
enum javm_status trace_file_open(struct trace_file *file, const char *path, const char *title,
                                 struct javm_error *err);
/* An event is put where trace_file_begin says, and ends at `end`. */
char *trace_file_begin(struct trace_file *file);
void trace_file_added(struct trace_file *file, const char *end);
void trace_file_flush(struct trace_file *file);
/* IO: the first thing that went wrong; the file is whole up to there. */
enum javm_status trace_file_close(struct trace_file *file, struct javm_error *err);
void trace_file_dispose(struct trace_file *file);

/* ns as microseconds, exact, as put_u64; negative ones as 0. */
char *trace_put_us(char *at, int64_t ns);

#endif
