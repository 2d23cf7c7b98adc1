/* Units of JAR v2 jobs on a worker. */
#ifndef JAVM_BATCH_V2_RUN_H
#define JAVM_BATCH_V2_RUN_H

#include "batch/result.h"
#include "batch/v2_job.h"

struct v2_buffer {
    char *bytes;
    size_t size;
};

/* A worker's kernel and host, made when they are first needed, and texts of the last result. */
struct v2_runner {
    struct javm_v2 *v2;
    struct javm_v2_world *world;
    struct v2_buffer storage, calls, exports, expected, got;
};

/* Fills in everything of *result but `us`. It borrows from the runner until the next run; the
 * caller clears it (execute.h). `now_ns` and `timeout_ms` as in execute(). */
void v2_run(struct v2_runner *runner, const struct javm_v2_options *options, const struct job *job,
            int64_t now_ns, uint64_t timeout_ms, struct result *result);
void v2_runner_clear(struct v2_runner *runner);

#endif
