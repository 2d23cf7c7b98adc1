/* Running an execution vector and comparing everything it says about the end. */
#ifndef JAVM_BATCH_VECTORS_EXEC_H
#define JAVM_BATCH_VECTORS_EXEC_H

#include "batch/vectors_parse.h"
#include "batch/vectors_report.h"

/* One per process: the guest memory is reused, so that a run that left something behind shows. So
 * is the memory for native code; the code itself is each vector's own. */
struct vector_runner {
    enum javm_engine engine;
    struct javm_jit *jit;       /* for JAVM_ENGINE_JIT, else NULL; owned as memory is */
    struct javm_memory *memory; /* owned by whoever owns the runner */
    struct vector vector;       /* its buffers; vector_clear at the end */
};

/* Mismatches go to the report. False: the vector itself is not usable (*problem), or memory ran
 * out. */
bool vector_execute(struct vector_runner *runner, const struct fields *json,
                    const struct json_node *node, struct report *report, struct problem *problem);

#endif
