/* What a job has besides the usual when it runs a program of the JAR v2 kernel: everything that
 * the host is to find, looked up and sorted. It belongs to the chunk of its job. */
#ifndef JAVM_BATCH_V2_JOB_H
#define JAVM_BATCH_V2_JOB_H

#include <stdatomic.h>

#include "batch/job.h"
#include "batch/v2_programs.h"
#include "javm/v2_world.h"

struct v2_block;

/* Of all such jobs of a chunk. Zeroed: none. */
struct v2_memory {
    struct v2_block *blocks;
    size_t bytes; /* taken for blocks and not counted yet */
};

struct v2_job {
    struct v2_memory *memory;
    const struct v2_program *program;
    struct javm_v2_state state;
    struct javm_bytes args;
    uint64_t op;
    bool compares; /* the storage that is left is to be `storage` */
    struct javm_v2_map storage;
    struct job_text storage_text;   /* as results have it */
    struct job_text calls, exports; /* the same, expected; NULL when not compared */
    struct expect expect;           /* a copy of the job's, when it compares */
    /* Of all that can change the result; 0 until somebody asks, which is a worker mostly and not
     * the one thread that reads. Who comes at the same time finds the same number (relaxed). */
    _Atomic uint64_t digest;
};

/* Frees all that was taken from it. */
void v2_memory_free(struct v2_memory *memory);
/* Empty; it goes with the memory. NULL: out of memory. */
struct v2_job *v2_job_new(struct v2_memory *memory);
/* Memory that goes with the job, 8-aligned and zeroed. NULL: out of memory. */
void *v2_job_take(struct v2_job *job, size_t size);
/* The "job" of a result, of a job that has v2 and is read to its end. */
uint64_t v2_job_hash(const struct job *job, uint64_t rep);

#endif
