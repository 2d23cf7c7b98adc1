/* What was decoded or compiled of the codes of blobs, kept from invocation to invocation. */
#include <stdlib.h>
#include <sys/queue.h>

#include "vm/v2/v2.h"

#define BUCKETS 256u

struct v2_program {
    TAILQ_ENTRY(v2_program) use;
    LIST_ENTRY(v2_program) bucket;
    struct javm_v2_blob *blob; /* counted: the code is read as long as the program runs */
    uint8_t code;
    struct javm_program *program; /* one of these */
    struct javm_native *native;
    uint64_t bytes;
};

struct v2_program_cache {
    TAILQ_HEAD(, v2_program) by_use; /* the one used last is last */
    LIST_HEAD(, v2_program) buckets[BUCKETS];
    uint64_t bytes, limit;
};

struct v2_program_cache *v2_cache_create(uint64_t limit)
{
    struct v2_program_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        return NULL;
    TAILQ_INIT(&cache->by_use);
    cache->limit = limit;
    return cache;
}

static void forget(struct v2_program_cache *cache, struct v2_program *p)
{
    TAILQ_REMOVE(&cache->by_use, p, use);
    LIST_REMOVE(p, bucket);
    cache->bytes -= p->bytes;
    javm_program_free(p->program);
    if (p->native != NULL)
        javm_native_close(p->native);
    javm_v2_blob_release(p->blob);
    free(p);
}

void v2_cache_destroy(struct v2_program_cache *cache)
{
    if (cache == NULL)
        return;
    for (struct v2_program *p; (p = TAILQ_FIRST(&cache->by_use)) != NULL;)
        forget(cache, p);
    free(cache);
}

/* Those that were not used for longest go; the ones of the present blob stay. */
static void trim(struct v2_program_cache *cache, const struct javm_v2_blob *blob)
{
    struct v2_program *p = TAILQ_FIRST(&cache->by_use);
    while (p != NULL && cache->bytes > cache->limit) {
        struct v2_program *next = TAILQ_NEXT(p, use);
        if (p->blob != blob)
            forget(cache, p);
        p = next;
    }
}

static void retain_blob(void *blob)
{
    javm_v2_blob_retain(blob);
}

static void release_blob(void *blob)
{
    javm_v2_blob_release(blob);
}

/* By its name, so that kernels that share a store compile it once. In a store of one's own there is
 * nobody to share with, and only what this cache keeps shall be kept. */
static enum javm_status open_native(struct javm_v2 *v2, const struct javm_pvm_code *c,
                                    const struct javm_program_key *key, struct javm_native **native)
{
    const struct javm_owner owner = {v2->blob, v2->blob->bytes, retain_blob, release_blob};
    if (v2->owns_jit)
        return javm_native_open(v2->jit, NULL, c->code, c->code_len, key, NULL, native, NULL);
    const struct javm_hash name = javm_pvm_name(c);
    return javm_native_open(v2->jit, &name, c->code, c->code_len, key, &owner, native, NULL);
}

static struct v2_program *make(struct javm_v2 *v2, uint8_t code)
{
    struct v2_program *p = calloc(1, sizeof *p);
    const struct javm_pvm_code *c = &v2->blob->jar.codes[code];
    const struct javm_program_key key = javm_pvm_key(c, v2->blob->jar.memory_pages);
    if (p == NULL)
        return NULL;
    const enum javm_status status =
        v2->engine == JAVM_ENGINE_JIT
            ? open_native(v2, c, &key, &p->native)
            : javm_program_decode(c->code, c->code_len, &key, &p->program, NULL);
    if (status != JAVM_OK) {
        free(p);
        return NULL;
    }
    p->blob = javm_v2_blob_retain(v2->blob);
    p->code = code;
    /* A native is about as large for each byte of code as a program is. */
    p->bytes = sizeof *p + v2->blob->bytes +
               (p->program != NULL ? javm_program_bytes(p->program) : 64 * c->code_len);
    return p;
}

static struct v2_program *get(struct javm_v2 *v2, uint8_t code)
{
    struct v2_program_cache *cache = v2->cache;
    const size_t bucket = (v2->blob->id * JAVM_JAR_MAX_CODES + code) % BUCKETS;
    struct v2_program *p;
    LIST_FOREACH(p, &cache->buckets[bucket], bucket)
    {
        if (p->blob == v2->blob && p->code == code) {
            TAILQ_REMOVE(&cache->by_use, p, use);
            TAILQ_INSERT_TAIL(&cache->by_use, p, use);
            return p;
        }
    }
    p = make(v2, code);
    if (p == NULL)
        return NULL;
    LIST_INSERT_HEAD(&cache->buckets[bucket], p, bucket);
    TAILQ_INSERT_TAIL(&cache->by_use, p, use);
    cache->bytes += p->bytes;
    trim(cache, v2->blob);
    return p;
}

bool v2_program_use(struct javm_v2 *v2, uint8_t code)
{
    struct v2_program *p = v2->programs[code];
    if (p == NULL)
        p = v2->programs[code] = get(v2, code);
    if (p == NULL)
        return false;
    v2->exec.program = p->program;
    v2->exec.native = p->native;
    return true;
}
