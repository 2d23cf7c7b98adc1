/* The fields of a job that runs a PVM program. */
#ifndef JAVM_BATCH_FOREIGN_READ_H
#define JAVM_BATCH_FOREIGN_READ_H

#include "batch/diag.h"
#include "batch/fields.h"
#include "batch/job.h"

/* job->endpoint from the name of an export or a number (NULL: the usual one). False: *problem. */
bool foreign_read_endpoint(const struct json_node *node, size_t at, struct job *job,
                           struct problem *problem);
/* Is there a place for an input of this length? */
bool foreign_check_input(const struct json_node *node, uint64_t len, const struct job *job,
                         struct problem *problem);

#endif
