/* bisect.h for jobs on PVM programs. */
#ifndef JAVM_BATCH_BISECT_FOREIGN_H
#define JAVM_BATCH_BISECT_FOREIGN_H

#include "batch/bisect.h"
#include "batch/foreign_run.h"

/* All borrowed. */
struct bisect_foreign {
    struct foreign_runner *runners[2];
    uint64_t timeout_ms; /* of each run; 0: none */
    const struct job *job;
};

/* For struct bisect, whose context is a struct bisect_foreign. */
enum javm_status bisect_foreign_probe(void *context, unsigned side, uint64_t gas,
                                      struct bisect_state *state, struct javm_error *err);
bool bisect_foreign_list(void *context, const struct javm_frame *frame, uint64_t *at,
                         char text[BISECT_LINE]);

#endif
