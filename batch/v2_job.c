#include "batch/v2_job.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#define BLOCK_BYTES 1024

struct v2_block {
    struct v2_block *next;
    size_t used, size;
    _Alignas(8) unsigned char bytes[];
};

struct v2_job *v2_job_new(void)
{
    return calloc(1, sizeof(struct v2_job));
}

void v2_job_free(struct v2_job *job)
{
    while (job != NULL) {
        struct v2_job *next = job->next;
        while (job->blocks != NULL) {
            struct v2_block *block = job->blocks;
            job->blocks = block->next;
            free(block);
        }
        free(job);
        job = next;
    }
}

void *v2_job_take(struct v2_job *job, size_t size)
{
    struct v2_block *block = job->blocks;
    size = (size + 7) & ~(size_t)7;
    if (block == NULL || block->size - block->used < size) {
        const size_t room = size > BLOCK_BYTES ? size : BLOCK_BYTES;
        block = calloc(1, sizeof *block + room);
        if (block == NULL)
            return NULL;
        block->size = room;
        block->next = job->blocks;
        job->blocks = block;
        job->bytes += sizeof *block + room;
    }
    void *taken = block->bytes + block->used;
    block->used += size;
    return taken;
}

/* ---- the digest ------------------------------------------------------------------------- */

static void add_number(crypto_generichash_state *hash, uint64_t number)
{
    unsigned char bytes[8];
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(number >> (8 * i));
    crypto_generichash_update(hash, bytes, sizeof bytes);
}

static void add_bytes(crypto_generichash_state *hash, const void *bytes, size_t len)
{
    add_number(hash, len);
    if (len != 0)
        crypto_generichash_update(hash, bytes, len);
}

static void add_map(crypto_generichash_state *hash, const struct javm_v2_map *map)
{
    add_number(hash, map->count);
    for (size_t i = 0; i < map->count; i++) {
        add_bytes(hash, map->items[i].key.data, map->items[i].key.len);
        add_bytes(hash, map->items[i].value.data, map->items[i].value.len);
    }
}

static void add_service(crypto_generichash_state *hash, const struct javm_v2_service *service)
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

void v2_job_close(struct v2_job *job)
{
    crypto_generichash_state hash;
    unsigned char out[crypto_generichash_BYTES_MIN];
    const struct javm_v2_state *state = &job->state;
    crypto_generichash_init(&hash, NULL, 0, sizeof out);
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
    crypto_generichash_final(&hash, out, sizeof out);
    job->digest = 0;
    for (unsigned i = 0; i < 8; i++)
        job->digest |= (uint64_t)out[i] << (8 * i);
}

uint64_t v2_job_hash(const struct job *job, uint64_t rep)
{
    const uint64_t numbers[] = {job->v2->digest, job->gas, job->output, rep, job->expect_digest};
    unsigned char form[sizeof numbers];
    for (unsigned i = 0; i < sizeof form; i++)
        form[i] = (unsigned char)(numbers[i / 8] >> (8 * (i % 8)));
    return job_digest(form, sizeof form);
}
