#include "vm/prepared.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "javm/handle.h"

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* ---- entries ---------------------------------------------------------------------------- */

static void release_place(struct prepared *p)
{
    instance_release(p->instance);
    *p = (struct prepared){0};
}

/* What counts against the limit. Native code has the store's. */
static uint64_t program_bytes(const struct cached_program *program)
{
    return sizeof *program + (program->program != NULL ? javm_program_bytes(program->program) : 0);
}

/* Out of the cache, and with it the instances that are prepared with it. What runs keeps it. */
static void evict_program(struct prepared_cache *cache, struct cached_program *program)
{
    for (unsigned set = 0; set < PREPARED_SETS; set++)
        for (unsigned way = 0; way < PREPARED_WAYS; way++) {
            struct prepared *p = &cache->places[set][way];
            if (p->instance != NULL && p->instance->program == program)
                release_place(p);
        }
    LIST_REMOVE(program, same_bucket);
    TAILQ_REMOVE(&cache->by_use, program, by_use);
    cache->stats->program_bytes -= program_bytes(program);
    program->cached = false;
    program_release(program);
}

void prepared_init(struct prepared_cache *cache, struct javm_jit *jit, uint64_t program_limit,
                   struct javm_vm_stats *stats)
{
    *cache = (struct prepared_cache){.jit = jit, .program_limit = program_limit, .stats = stats};
    TAILQ_INIT(&cache->by_use);
}

void prepared_forget(struct prepared_cache *cache)
{
    instance_release(cache->passing);
    cache->passing = NULL;
}

void prepared_flush(struct prepared_cache *cache)
{
    prepared_forget(cache);
    for (unsigned set = 0; set < PREPARED_SETS; set++)
        for (unsigned way = 0; way < PREPARED_WAYS; way++)
            release_place(&cache->places[set][way]);
    for (struct cached_program *p; (p = TAILQ_FIRST(&cache->by_use)) != NULL;)
        evict_program(cache, p);
}

static void touch_program(struct prepared_cache *cache, struct cached_program *program)
{
    cache->stats->program_hits++;
    if (!program->cached || TAILQ_NEXT(program, by_use) == NULL)
        return;
    TAILQ_REMOVE(&cache->by_use, program, by_use);
    TAILQ_INSERT_TAIL(&cache->by_use, program, by_use);
}

static struct program_bucket *bucket_of(struct prepared_cache *cache, const struct javm_hash *hash)
{
    uint32_t start;
    memcpy(&start, hash->bytes, sizeof start);
    return &cache->buckets[start % PROGRAM_BUCKETS];
}

/* ---- programs --------------------------------------------------------------------------- */

static void retain_cap(void *cap)
{
    javm_cap_retain(cap);
}

static void release_cap(void *cap)
{
    javm_cap_release(cap);
}

/* Takes the reference to `image`. */
static enum javm_status make_program(struct prepared_cache *cache,
                                     const struct javm_hash *image_hash, struct javm_cap *image,
                                     struct cached_program **out, struct javm_error *err)
{
    char text[JAVM_HASH_TEXT];
    javm_hash_format(image_hash, text);
    const struct javm_image *fields = javm_image_of(image);
    struct cached_program *p = calloc(1, sizeof *p);
    if (p == NULL) {
        javm_cap_release(image);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "image %s: out of memory", text);
    }
    p->count = 1;
    p->image_hash = *image_hash;
    p->image = image;
    const struct javm_owner owner = {image, fields->code_len, retain_cap, release_cap};
    struct javm_program_key key = javm_program_key_of(fields);
    const uint64_t start = clock_ns();
    enum javm_status status = program_lay_out(p, err);
    if (cache->full && key.pvm == JAVM_PVM_NONE)
        key.cow_cost = p->first_writes;
    if (status == JAVM_OK)
        status = cache->jit != NULL
                     ? javm_native_open(cache->jit, image_hash, fields->code, fields->code_len,
                                        &key, &owner, &p->native, err)
                     : javm_program_decode(fields->code, fields->code_len, &key, &p->program, err);
    if (status != JAVM_OK) {
        program_release(p);
        return status;
    }
    cache->stats->decode_ns += clock_ns() - start;
    *out = p;
    return JAVM_OK;
}

static enum javm_status find_image(struct javm_dir_thread *dir, const struct javm_hash *hash,
                                   struct javm_cap **image, struct javm_error *err)
{
    char text[JAVM_HASH_TEXT];
    javm_hash_format(hash, text);
    *image = javm_directory_get(dir, hash);
    if (*image == NULL)
        return javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE, "image %s is not published", text);
    if (javm_cap_kind(*image) != JAVM_IMAGE) {
        const enum javm_kind kind = javm_cap_kind(*image);
        javm_cap_release(*image);
        return javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE, "image %s is a cap of kind %s", text,
                         javm_kind_name(kind));
    }
    return JAVM_OK;
}

enum javm_status prepare_program(struct prepared_cache *cache, struct javm_dir_thread *dir,
                                 const struct javm_hash *image_hash, struct javm_cap *image,
                                 struct cached_program **out, struct javm_error *err)
{
    struct program_bucket *bucket = bucket_of(cache, image_hash);
    struct cached_program *p;
    LIST_FOREACH(p, bucket, same_bucket)
    {
        if (javm_hash_equal(&p->image_hash, image_hash)) {
            touch_program(cache, p);
            *out = program_retain(p);
            return JAVM_OK;
        }
    }
    enum javm_status status = JAVM_OK;
    if (image != NULL)
        javm_cap_retain(image);
    else
        status = find_image(dir, image_hash, &image, err);
    if (status == JAVM_OK)
        status = make_program(cache, image_hash, image, &p, err);
    if (status != JAVM_OK)
        return status;
    cache->stats->program_misses++;
    p->space = ++cache->last_id;
    p->cached = true;
    LIST_INSERT_HEAD(bucket, p, same_bucket);
    TAILQ_INSERT_TAIL(&cache->by_use, p, by_use);
    cache->stats->program_bytes += program_bytes(p);
    /* Least recently used first; the new one always stays. */
    while (cache->stats->program_bytes > cache->program_limit && TAILQ_FIRST(&cache->by_use) != p)
        evict_program(cache, TAILQ_FIRST(&cache->by_use));
    *out = program_retain(p);
    return JAVM_OK;
}

/* ---- instances -------------------------------------------------------------------------- */

enum javm_status prepare_instance(struct prepared_cache *cache, struct javm_dir_thread *dir,
                                  struct instance *instance, struct javm_error *err)
{
    if (instance->program == NULL) {
        const enum javm_status status = prepare_program(cache, dir, &instance->image_hash,
                                                        instance->image, &instance->program, err);
        if (status != JAVM_OK)
            return status;
    }
    if (instance->layout != NULL)
        return JAVM_OK;
    return layout_new(dir, instance->program, instance->root, ++cache->last_id, &instance->layout,
                      err);
}

static enum javm_status prepare(struct prepared_cache *cache, struct javm_dir_thread *dir,
                                const struct javm_hash *hash, struct instance **out,
                                struct javm_error *err)
{
    char text[JAVM_HASH_TEXT];
    javm_hash_format(hash, text);
    struct javm_cap *cap = javm_directory_get(dir, hash);
    if (cap == NULL)
        return javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE, "instance %s is not published", text);
    const enum javm_kind kind = javm_cap_kind(cap);
    if (kind != JAVM_INSTANCE || javm_hash_is_zero(&javm_instance_of(cap)->image_hash)) {
        javm_cap_release(cap);
        return kind == JAVM_INSTANCE
                   ? javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE,
                               "instance %s is a kernel handle: it runs no code", text)
                   : javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE,
                               "%s is a cap of kind %s, not an Instance", text,
                               javm_kind_name(kind));
    }
    enum javm_status status = instance_from_cap(dir, cap, out);
    javm_cap_release(cap);
    if (status == JAVM_E_KIND)
        return javm_fail(err, status, JAVM_NOWHERE, "instance %s: root_cnode is not a CNode", text);
    if (status != JAVM_OK)
        return javm_fail(err, status, JAVM_NOWHERE, "instance %s: %s", text,
                         javm_status_name(status));
    (*out)->object.published = (*out)->object.cap != NULL;
    if ((*out)->status == JAVM_IDLE)
        status = prepare_instance(cache, dir, *out, err);
    if (status != JAVM_OK)
        instance_release(*out);
    return status;
}

enum javm_status prepared_get(struct prepared_cache *cache, struct javm_dir_thread *dir,
                              const struct javm_hash *instance, struct instance **out,
                              struct javm_error *err)
{
    struct prepared *set = cache->places[instance->bytes[0] % PREPARED_SETS];
    struct prepared *oldest = set;
    if (javm_annex_has(dir, instance)) {
        prepared_forget(cache);
        const enum javm_status status = prepare(cache, dir, instance, out, err);
        if (status == JAVM_OK)
            cache->passing = *out;
        return status;
    }
    for (unsigned way = 0; way < PREPARED_WAYS; way++) {
        struct prepared *p = &set[way];
        if (p->instance != NULL && javm_hash_equal(&p->hash, instance)) {
            p->last_use = ++cache->clock;
            if (p->instance->program != NULL)
                touch_program(cache, p->instance->program);
            *out = p->instance;
            return JAVM_OK;
        }
        if (p->last_use < oldest->last_use)
            oldest = p;
    }
    struct instance *fresh = NULL;
    const enum javm_status status = prepare(cache, dir, instance, &fresh, err);
    if (status != JAVM_OK)
        return status;
    release_place(oldest);
    *oldest = (struct prepared){.hash = *instance, .instance = fresh, .last_use = ++cache->clock};
    *out = fresh;
    return JAVM_OK;
}
