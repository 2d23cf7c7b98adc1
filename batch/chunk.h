/* A chunk: the jobs of a stretch of the file, in one allocation, and the task that runs them.
 *
 * Every repetition of every job is one unit with a sequence number of its own, so that a range of
 * numbers says exactly what is to be run: a span. A span that others wait for gives away its upper
 * half. */
#ifndef JAVM_BATCH_CHUNK_H
#define JAVM_BATCH_CHUNK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "batch/job.h"
#include "batch/v2_job.h"
#include "javm/sched.h"

#define CHUNK_JOBS  64
#define CHUNK_BYTES (24u << 10)
#define CHUNK_UNITS 128 /* repetitions of one job handed out at a time */

struct run;
struct chunk;

struct span {
    struct javm_task task;
    struct chunk *chunk; /* one reference */
    uint64_t low, high;  /* sequence numbers [low, high) */
};

struct blob_ref { /* one reference to a blob, released with the chunk */
    struct blob *blob;
    struct blob_ref *next;
};

struct chunk {
    struct span whole;
    /* Spans, repeat chunks that use this memory, and the parser while it fills it. Taken by holders
     * only (relaxed); given back with acquire-release, so that the last one may free. */
    _Atomic uint32_t refs;
    uint32_t count; /* jobs */
    struct run *run;
    struct chunk *base; /* where the jobs' bytes are when not here: one reference */
    struct blob_ref *blobs;
    struct v2_memory v2;
    size_t bytes;   /* allocated, with blobs made for it */
    bool issued;    /* its bytes are counted in run->chunk_bytes */
    char *at, *end; /* free memory */
    struct job *jobs[CHUNK_JOBS];
};

/* Empty, with at least `room` bytes of memory for jobs. One reference for the caller. NULL: out of
 * memory. */
struct chunk *chunk_new(struct run *run, size_t room);
/* Without jobs, but room for so many copies of one whose bytes are in `base`: takes a reference to
 * it. */
struct chunk *chunk_new_piece(struct chunk *base, unsigned copies);
/* Adds a copy of the job, for which there is room. */
struct job *chunk_copy(struct chunk *chunk, const struct job *job);
void chunk_retain(struct chunk *chunk);
void chunk_release(struct chunk *chunk);
/* `size` bytes, 8-aligned. The caller has made sure of the room (chunk_room). */
void *chunk_take(struct chunk *chunk, size_t size);
static inline size_t chunk_room(const struct chunk *chunk)
{
    return (size_t)(chunk->end - chunk->at);
}
/* The chunk takes over the reference. `counted`: the blob's bytes are this chunk's to answer for.
 */
void chunk_hold_blob(struct chunk *chunk, struct blob *blob, bool counted);
/* The job that the unit `seq` belongs to: an index into jobs. */
uint32_t chunk_find(const struct chunk *chunk, uint64_t seq);

#endif
