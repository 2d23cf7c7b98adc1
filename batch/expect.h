/* `expect`: what a result is to be, read from the job and compared with what came out. */
#ifndef JAVM_BATCH_EXPECT_H
#define JAVM_BATCH_EXPECT_H

#include "batch/chunk.h"
#include "batch/diag.h"
#include "batch/fields.h"
#include "batch/result.h"

/* Read the object into the chunk's memory and set job->expect. An expected output, output_hash or
 * post is asked for on the job's behalf; `output_given` says that the job named an output mode
 * itself. */
bool expect_read(const struct fields *fields, const struct json_node *node, bool output_given,
                 struct chunk *chunk, struct job *job, struct problem *problem);

/* A bit per field that is not as expected. */
uint32_t expect_compare(const struct expect *expect, const struct result *result);

#endif
