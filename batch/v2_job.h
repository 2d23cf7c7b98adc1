/* What a job has besides the usual when it runs a program of the JAR v2 kernel: everything that
 * the host is to find, looked up and sorted. It belongs to the chunk of its job. */
#ifndef JAVM_BATCH_V2_JOB_H
#define JAVM_BATCH_V2_JOB_H

#include "batch/job.h"
#include "batch/v2_programs.h"
#include "javm/v2_world.h"

struct v2_block;

struct v2_job {
    struct v2_job *next; /* of the chunk */
    const struct v2_program *program;
    struct javm_v2_state state;
    struct javm_bytes args;
    uint64_t op;
    bool compares; /* the storage that is left is to be `storage` */
    struct javm_v2_map storage;
    struct job_text storage_text;   /* as results have it */
    struct job_text calls, exports; /* the same, expected; NULL when not compared */
    struct expect expect;           /* a copy of the job's, when it compares */
    uint64_t digest;                /* of all that can change the result */
    struct v2_block *blocks;        /* the memory of all this */
    size_t bytes;
};

/* Empty. NULL: out of memory. */
struct v2_job *v2_job_new(void);
/* It and those behind it; NULL: nothing. */
void v2_job_free(struct v2_job *job);
/* Memory that goes with the job, 8-aligned and zeroed. NULL: out of memory. */
void *v2_job_take(struct v2_job *job, size_t size);
/* Sets job->digest, when all else is there. */
void v2_job_close(struct v2_job *job);
/* The "job" of a result, of a job that has v2. */
uint64_t v2_job_hash(const struct job *job, uint64_t rep);

#endif
