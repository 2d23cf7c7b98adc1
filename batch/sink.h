/* Results out: segments of whole lines from any thread, one writer thread, one file.
 *
 * Workers push segments onto a lock-free list and never wait. The writer takes the whole list at
 * once, puts it in order when asked to, and writes large blocks. Memory is bounded from the other
 * end: whoever hands out work keeps the distance between what it issued and sink_done() within
 * bounds and sleeps in sink_wait() when it must. */
#ifndef JAVM_BATCH_SINK_H
#define JAVM_BATCH_SINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "javm/status.h"

/* Results of a contiguous range of sequence numbers. malloc'ed; the sink's from the push on. */
struct segment {
    struct segment *next;
    uint64_t first; /* sequence numbers [first, first + units) */
    uint64_t units; /* units that were skipped have no line */
    uint64_t lines;
    size_t len, capacity;
    char bytes[];
};

struct sink;

struct sink_options {
    const char *path; /* "-": standard output. Compressed when it ends in .gz or .zst */
    int input_fd;     /* the jobs file: refused as output. -1: none */
    bool resume;      /* results that the file holds stay: see sink_keep */
    /* Instead of a file (path is only a name then): called with whole lines, from the writer's
     * thread. False: it failed, errno says why. */
    bool (*consume)(void *arg, const char *bytes, size_t len);
    /* Instead of a file: called with each segment, from the writer's thread; not with ordered. As
     * consume. */
    bool (*hand_on)(void *arg, const struct segment *segment);
    bool ordered;
    uint64_t window; /* ordered: no two sequence numbers in flight are further apart */
    /* Called once, from the writer's thread, when writing failed. */
    void (*failed)(void *arg);
    void *arg;
};

/* IO: the file cannot be written; EXISTS: it is the jobs file, or another batch writes to it;
 * STATE: to resume it is no file. */
enum javm_status sink_open(const struct sink_options *options, struct sink **sink,
                           struct javm_error *err);

/* With `resume`, before anything is pushed: go on behind the first `bytes` of the file, which are
 * whole. Without this call nothing is taken away. */
void sink_keep(struct sink *sink, uint64_t bytes);

/* Any thread; lock-free. */
void sink_push(struct sink *sink, struct segment *segment);

/* Units whose segments have been taken for writing (ordered: with everything before them). Any
 * thread. */
uint64_t sink_done(const struct sink *sink);
/* Bytes of results pushed and not yet taken. Any thread. */
uint64_t sink_pending(const struct sink *sink);
/* Sleep until sink_done() is `wanted` (or more; it must not be more than what will be pushed
 * without this thread) or stop_fd is readable; or for no reason. One thread only. */
void sink_wait(struct sink *sink, uint64_t wanted, int stop_fd);

/* Nothing will be pushed any more: write the rest, end the compressed stream. Joins the writer. */
void sink_end(struct sink *sink);
/* The same, unless that was done, and then see to it that a file is on the disk, and close it.
 * False: *err (IO; its text is ready for printing; the status STATE means that the reader of a pipe
 * went away). */
bool sink_close(struct sink *sink, struct javm_error *err);
/* From a second thread, at most once: end the file after the block at hand, with whole lines,
 * without waiting for what is in flight. Returns when that is done or after `ms`. What is
 * pushed afterwards is lost; the process ends, or sink_end joins the writer. */
void sink_abandon(struct sink *sink, int ms);

/* Whole lines that reached the file and their bytes (as written, compressed). Any thread. */
void sink_written(const struct sink *sink, uint64_t *lines, uint64_t *bytes);
/* The processor time that the writer took, once sink_end has returned. */
int64_t sink_writer_ns(const struct sink *sink);
void sink_free(struct sink *sink);

#endif
