/* The fields "program" and "v2" of a job line. */
#ifndef JAVM_BATCH_V2_READ_H
#define JAVM_BATCH_V2_READ_H

#include "batch/blob.h"
#include "batch/chunk.h"
#include "batch/definitions.h"
#include "batch/fields.h"
#include "batch/v2_programs.h"

/* Where files come from; borrowed. */
struct v2_sources {
    const struct definitions *definitions;
    struct blob_files *files;
    struct v2_programs *programs;
};

/* Reads both members, the first of which may be missing, and sets job->v2, which the chunk owns. */
bool v2_read(const struct v2_sources *sources, const struct fields *fields,
             const struct json_node *program, const struct json_node *v2, struct chunk *chunk,
             struct job *job, struct problem *problem);
/* `expect.calls` and `expect.exports`, of a job that has v2. */
bool v2_read_list(const struct fields *fields, const struct json_node *node, enum field field,
                  struct job *job, struct expect *expect, struct problem *problem);
/* When all else of the job is read. */
bool v2_read_end(const struct json_node *v2, struct chunk *chunk, struct job *job,
                 struct problem *problem);

#endif
