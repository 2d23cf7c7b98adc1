/* --trace FILE: what each worker did when, as Chrome trace events (a JSON array).
 *
 * Workers only store into a ring of their own and never wait: when it is full the event is counted
 * as lost. A thread of the trace empties the rings and writes. After each of its writes the file is
 * a whole JSON array; a process killed in the middle of one leaves it without its end, which
 * viewers of traces put up with. */
#ifndef JAVM_BATCH_TRACE_H
#define JAVM_BATCH_TRACE_H

#include <stdint.h>

#include "batch/job.h"
#include "javm/status.h"

/* Events in a worker's ring; as many can never be lost. A power of two. */
#define TRACE_RING  4096
/* Every so many events in the file, one of twice as many is kept from then on. */
#define TRACE_LEVEL 100000

struct trace;
struct trace_lane; /* of one worker; used by its thread only */

/* Truncates the file, which has to be a regular one, and starts the thread. `title` (borrowed until
 * the call ends) is UTF-8. IO, NOMEM, LIMIT (no thread). */
enum javm_status trace_open(const char *path, const char *title, struct trace **trace,
                            struct javm_error *err);

struct trace_figures {
    uint64_t lost;    /* events for which there was no room */
    uint64_t sampled; /* events that were left out on purpose */
};
/* Writes what is left, when no lane is used any more. Once. IO: the file holds less than all, but
 * is whole. */
enum javm_status trace_close(struct trace *trace, struct trace_figures *figures,
                             struct javm_error *err);
/* The process is about to end at once: lets a write that is under way finish, for `ms` (whole
 * seconds) at most, and no other begin. Any thread. */
void trace_abandon(struct trace *trace, unsigned ms);
/* NULL is fine. */
void trace_free(struct trace *trace);

/* On the worker's thread. Lives as long as the trace. NULL: out of memory. */
struct trace_lane *trace_lane_new(struct trace *trace, unsigned worker);

/* A unit that ran from begin to end (clock_ns). seq: its number in the batch. */
void trace_job(struct trace_lane *lane, const struct job *job, uint64_t seq, enum outcome outcome,
               uint64_t gas, int64_t begin, int64_t end);
/* The worker falls asleep; it was woken, or did not sleep at all; it stole. Now. */
void trace_park(struct trace_lane *lane);
void trace_wake(struct trace_lane *lane);
void trace_steal(struct trace_lane *lane);
/* The figures of all compiled code, as they are now: what is new in them is marked on this lane,
 * and on no other. */
void trace_compiled(struct trace_lane *lane, uint64_t bytes, uint64_t ns);

#endif
