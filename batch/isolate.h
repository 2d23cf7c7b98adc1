/* --isolation process: a worker's jobs run in a process of their own, which may die of them.
 *
 * Jobs go over in groups, so that a trivial one does not cost two switches of processes. When the
 * process dies, the job that it was running is crashed; those before it have their results, those
 * behind it run in the next process. */
#ifndef JAVM_BATCH_ISOLATE_H
#define JAVM_BATCH_ISOLATE_H

#include "batch/chunk.h"
#include "batch/parcel.h"

struct isolate;
struct isolation; /* of the batch: where the processes come from */
struct options;

/* Forks: before there are threads, files and secrets. *isolation is NULL and all is well when
 * options ask for none. */
enum javm_status isolation_open(const struct options *options, enum javm_engine engine,
                                struct isolation **isolation, struct javm_error *err);
void isolation_close(struct isolation *isolation);

/* Of the worker that is the calling thread; `dir` is borrowed. */
enum javm_status isolate_open(struct isolation *isolation, struct javm_dir_thread *dir,
                              struct isolate **isolate, struct javm_error *err);
/* What its processes did, but for those that died, is added to *figures. */
void isolate_close(struct isolate *isolate, struct inmate_figures *figures);

/* The unit `seq` of jobs[index], and those behind it, below `high`, that are to run together with
 * it. Returns where they end: until there, nobody else may run them. */
uint64_t isolate_plan(struct isolate *isolate, const struct chunk *chunk, uint32_t index,
                      uint64_t seq, uint64_t high);
/* The result of a unit: of the group that was planned, or of this one alone. Everything of *result
 * but `us`. With ground->keep, what it leaves is published in the annex that `dir` has open. */
void isolate_run(struct isolate *isolate, const struct job *job, uint64_t seq,
                 struct ground *ground, uint64_t timeout_ms, struct result *result);
/* The result of a job of a chain behind one that crashed: nobody knows what that would have left.
 */
void isolate_without_ground(struct result *result);

#endif
