#include "batch/chunk.h"

#include <stdlib.h>

#include "batch/blob.h"
#include "batch/run.h"
#include "batch/v2_job.h"

static struct chunk *allocate(struct run *run, size_t room)
{
    const size_t bytes = sizeof(struct chunk) + room + 16;
    struct chunk *chunk = malloc(bytes);
    if (chunk == NULL)
        return NULL;
    chunk->count = 0;
    chunk->run = run;
    chunk->base = NULL;
    chunk->blobs = NULL;
    chunk->v2 = (struct v2_memory){.bytes = 0};
    chunk->bytes = bytes;
    chunk->at = (char *)(chunk + 1);
    chunk->end = (char *)chunk + bytes;
    chunk->issued = false;
    atomic_init(&chunk->refs, 1);
    return chunk;
}

struct chunk *chunk_new(struct run *run, size_t room)
{
    return allocate(run, room < CHUNK_BYTES ? CHUNK_BYTES : room);
}

struct chunk *chunk_new_piece(struct chunk *base, unsigned copies)
{
    struct chunk *chunk = allocate(base->run, copies * sizeof(struct job));
    if (chunk == NULL)
        return NULL;
    chunk_retain(base);
    chunk->base = base;
    return chunk;
}

struct job *chunk_copy(struct chunk *chunk, const struct job *job)
{
    struct job *copy = chunk_take(chunk, sizeof *job);
    *copy = *job;
    chunk->jobs[chunk->count++] = copy;
    return copy;
}

void chunk_retain(struct chunk *chunk)
{
    atomic_fetch_add_explicit(&chunk->refs, 1, memory_order_relaxed); /* the caller holds one */
}

void chunk_release(struct chunk *chunk)
{
    while (chunk != NULL) {
        /* Partner: the same on other threads; their reads of the chunk happen before it is freed.
         */
        if (atomic_fetch_sub_explicit(&chunk->refs, 1, memory_order_acq_rel) != 1)
            return;
        for (struct blob_ref *ref = chunk->blobs; ref != NULL; ref = ref->next)
            blob_release(ref->blob);
        v2_memory_free(&chunk->v2);
        struct chunk *base = chunk->base;
        if (chunk->issued)
            atomic_fetch_sub_explicit(&chunk->run->chunk_bytes, chunk->bytes,
                                      memory_order_relaxed); /* an approximate bound */
        free(chunk);
        chunk = base;
    }
}

void *chunk_take(struct chunk *chunk, size_t size)
{
    void *taken = chunk->at;
    chunk->at += (size + 7) & ~(size_t)7;
    return taken;
}

void chunk_hold_blob(struct chunk *chunk, struct blob *blob, bool counted)
{
    if (counted)
        chunk->bytes += blob->len;
    struct blob_ref *ref = chunk_take(chunk, sizeof *ref);
    *ref = (struct blob_ref){blob, chunk->blobs};
    chunk->blobs = ref;
}

uint32_t chunk_find(const struct chunk *chunk, uint64_t seq)
{
    uint32_t low = 0, high = chunk->count;
    while (high - low > 1) {
        const uint32_t middle = low + (high - low) / 2;
        if (chunk->jobs[middle]->first <= seq)
            low = middle;
        else
            high = middle;
    }
    return low;
}
