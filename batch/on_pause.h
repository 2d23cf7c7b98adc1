/* The field "on_pause" of a job. */
#ifndef JAVM_BATCH_ON_PAUSE_H
#define JAVM_BATCH_ON_PAUSE_H

#include "batch/fields.h"
#include "batch/job.h"

/* Set job->on_pause, and set_gas and set_gas_times with it. */
bool on_pause_read(const struct fields *fields, const struct json_node *node, struct job *job,
                   struct problem *problem);

#endif
