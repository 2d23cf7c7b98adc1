/* JAR v2 jobs, and what they left, as bytes: the part of parcel.h that only they have. */
#ifndef JAVM_BATCH_PARCEL_V2_H
#define JAVM_BATCH_PARCEL_V2_H

#include "batch/carry.h"
#include "batch/v2_job.h"
#include "batch/v2_show.h"
#include "batch/v2_text.h"

/* All of the job that the kernel and its host look at. Written as it is; reading, it becomes one
 * that borrows from the bytes and from `carry`. */
void parcel_v2_job(struct carry *carry, struct v2_job *v2);

/* What results of the job need of what it left. Writing or measuring only. */
void parcel_v2_put_left(struct carry *carry, const struct job *job, const struct v2_left *left);
/* What a process says that the job left: all of it is checked, but it may be made up. *left borrows
 * from the bytes, *map and `carry`. False: it cannot be, or there is no memory. */
bool parcel_v2_get_left(struct carry *carry, const struct job *job, struct javm_v2_map *map,
                        struct v2_left *left);
/* The same as the texts of the job's result, by v2_show. */
bool parcel_v2_show(const struct javm_bytes *bytes, const struct job *job, struct v2_texts *texts,
                    struct result *result);

#endif
