/* bisect.h for jobs of the JAR v2 kernel: results and registers of the machine that ran last are
 * compared. Several machines have gas of their own, so that there is no place to be shown. */
#ifndef JAVM_BATCH_BISECT_V2_H
#define JAVM_BATCH_BISECT_V2_H

#include "batch/bisect.h"
#include "batch/v2_run.h"

/* All borrowed. */
struct bisect_v2 {
    struct v2_runner *runners[2];
    const struct javm_v2_options *options[2];
    uint64_t timeout_ms; /* of each run; 0: none */
    const struct job *job;
};

/* For struct bisect without `list`, whose context is a struct bisect_v2. */
enum javm_status bisect_v2_probe(void *context, unsigned side, uint64_t gas,
                                 struct bisect_state *state, struct javm_error *err);

#endif
