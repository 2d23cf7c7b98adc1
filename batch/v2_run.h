/* Units of JAR v2 jobs on a worker. */
#ifndef JAVM_BATCH_V2_RUN_H
#define JAVM_BATCH_V2_RUN_H

#include "batch/v2_show.h"

/* A worker's kernel and host, made when they are first needed. */
struct v2_runner {
    struct javm_v2 *v2;
    struct javm_v2_world *world;
    struct v2_texts texts;
    struct javm_v2_result ended; /* the last run, as the kernel says; zeroed: it did not run */
};

/* Fills in everything of *result but `us`. It borrows from the runner until the next run; the
 * caller clears it (execute.h). `now_ns` and `timeout_ms` as in execute(). */
void v2_run(struct v2_runner *runner, const struct javm_v2_options *options, const struct job *job,
            int64_t now_ns, uint64_t timeout_ms, struct result *result);
/* The same but for what v2_show adds: that is *left, which is borrowed, too. */
void v2_invoke(struct v2_runner *runner, const struct javm_v2_options *options,
               const struct job *job, int64_t now_ns, uint64_t timeout_ms, struct result *result,
               struct v2_left *left);
void v2_runner_clear(struct v2_runner *runner);

#endif
