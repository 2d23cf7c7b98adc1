/* Vectors of the JAR v2 kernel: whole invocations. */
#ifndef JAVM_BATCH_VECTORS_JAR_H
#define JAVM_BATCH_VECTORS_JAR_H

#include "batch/fields.h"
#include "batch/vectors_report.h"
#include "javm/v2.h"

/* Mismatches go to the report. False: the vector itself is not usable (*problem), or memory ran
 * out. `v2` is used again and again, so that what an invocation leaves behind shows. */
bool vector_jar(struct javm_v2 *v2, const struct fields *json, const struct json_node *node,
                struct report *report, struct problem *problem);

#endif
