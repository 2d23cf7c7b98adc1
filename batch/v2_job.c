#include "batch/v2_job.h"

#include <endian.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 8192

struct v2_block {
    struct v2_block *next;
    size_t used, size;
    _Alignas(8) unsigned char bytes[];
};

void v2_memory_free(struct v2_memory *memory)
{
    while (memory->blocks != NULL) {
        struct v2_block *block = memory->blocks;
        memory->blocks = block->next;
        free(block);
    }
}

static void *take(struct v2_memory *memory, size_t size)
{
    struct v2_block *block = memory->blocks;
    size = (size + 7) & ~(size_t)7;
    if (block == NULL || block->size - block->used < size) {
        const size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        block = malloc(sizeof *block + room);
        if (block == NULL)
            return NULL;
        block->used = 0;
        block->size = room;
        block->next = memory->blocks;
        memory->blocks = block;
        memory->bytes += sizeof *block + room;
    }
    void *taken = block->bytes + block->used;
    block->used += size;
    return memset(taken, 0, size);
}

struct v2_job *v2_job_new(struct v2_memory *memory)
{
    struct v2_job *job = take(memory, sizeof *job);
    if (job != NULL)
        job->memory = memory;
    return job;
}

void *v2_job_take(struct v2_job *job, size_t size)
{
    return take(job->memory, size);
}

/* ---- the digest ------------------------------------------------------------------------- */

/* Most of what is hashed are numbers: the hash gets them together. */
struct digest {
    crypto_generichash_state hash;
    size_t used;
    unsigned char bytes[512];
};

static void flush(struct digest *digest)
{
    if (digest->used != 0)
        crypto_generichash_update(&digest->hash, digest->bytes, digest->used);
    digest->used = 0;
}

static void add_some(struct digest *digest, const void *bytes, size_t len)
{
    if (len > sizeof digest->bytes - digest->used)
        flush(digest);
    if (len > sizeof digest->bytes) {
        crypto_generichash_update(&digest->hash, bytes, len);
    } else if (len != 0) {
        memcpy(digest->bytes + digest->used, bytes, len);
        digest->used += len;
    }
}

static void add_number(struct digest *digest, uint64_t number)
{
    const uint64_t bytes = htole64(number);
    add_some(digest, &bytes, sizeof bytes);
}

static void add_bytes(struct digest *digest, const void *bytes, size_t len)
{
    add_number(digest, len);
    add_some(digest, bytes, len);
}

static void add_map(struct digest *hash, const struct javm_v2_map *map)
{
    add_number(hash, map->count);
    for (size_t i = 0; i < map->count; i++) {
        add_bytes(hash, map->items[i].key.data, map->items[i].key.len);
        add_bytes(hash, map->items[i].value.data, map->items[i].value.len);
    }
}

static void add_service(struct digest *hash, const struct javm_v2_service *service)
{
    const uint64_t numbers[] = {service->id,
                                service->created,
                                service->last_used,
                                service->parent,
                                service->balance,
                                service->min_accumulate_gas,
                                service->min_transfer_gas,
                                service->quota_items,
                                service->quota_bytes};
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        add_number(hash, numbers[i]);
    add_bytes(hash, service->code_hash.bytes, sizeof service->code_hash.bytes);
    add_map(hash, &service->storage);
    add_map(hash, &service->preimages);
}

static uint64_t digest_of(const struct v2_job *job)
{
    struct digest hash;
    uint64_t out[crypto_generichash_BYTES_MIN / sizeof(uint64_t)];
    const struct javm_v2_state *state = &job->state;
    hash.used = 0;
    crypto_generichash_init(&hash.hash, NULL, 0, sizeof out);
    add_bytes(&hash, job->program->hash.bytes, sizeof job->program->hash.bytes);
    add_bytes(&hash, job->args.data, job->args.len);
    const uint64_t numbers[] = {
        job->op,      state->context, state->own,    state->quota_service,
        state->cores, state->queue,   job->compares, job->calls.text != NULL};
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        add_number(&hash, numbers[i]);
    add_number(&hash, state->service_count);
    for (size_t i = 0; i < state->service_count; i++)
        add_service(&hash, &state->services[i]);
    add_number(&hash, state->fetch_count);
    for (size_t i = 0; i < state->fetch_count; i++) {
        add_number(&hash, state->fetch[i].kind);
        add_number(&hash, state->fetch[i].indexed);
        add_number(&hash, state->fetch[i].count);
        for (size_t k = 0; k < state->fetch[i].count; k++)
            add_bytes(&hash, state->fetch[i].items[k].data, state->fetch[i].items[k].len);
    }
    add_map(&hash, &job->storage);
    add_bytes(&hash, job->calls.text, job->calls.len);
    /* Jobs that have nothing to do with exports keep the hashes of results that were recorded. */
    if (state->exports != 0 || job->exports.text != NULL) {
        add_number(&hash, state->exports);
        add_number(&hash, job->exports.text != NULL);
        add_bytes(&hash, job->exports.text, job->exports.len);
    }
    flush(&hash);
    crypto_generichash_final(&hash.hash, (unsigned char *)out, sizeof out);
    return le64toh(out[0]);
}

uint64_t v2_job_hash(const struct job *job, uint64_t rep)
{
    struct v2_job *v2 = (struct v2_job *)(uintptr_t)job->v2; /* for its digest only */
    uint64_t digest = atomic_load_explicit(&v2->digest, memory_order_relaxed);
    if (digest == 0) {
        digest = digest_of(v2);
        atomic_store_explicit(&v2->digest, digest, memory_order_relaxed);
    }
    const uint64_t numbers[] = {digest, job->gas, job->output, rep, job->expect_digest};
    unsigned char form[sizeof numbers];
    for (unsigned i = 0; i < sizeof form; i++)
        form[i] = (unsigned char)(numbers[i / 8] >> (8 * (i % 8)));
    return job_digest(form, sizeof form);
}
