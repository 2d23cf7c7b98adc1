#include "vm/prepared.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t clock_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* ---- entries ---------------------------------------------------------------------------- */

static void release_place(struct prepared *p)
{
    for (uint32_t i = 0; i < p->region_count; i++)
        javm_cap_release(p->held[i]);
    free(p->held);
    free(p->regions);
    free(p->persistent);
    javm_cap_release(p->instance);
    *p = (struct prepared){0};
}

/* What counts against the limit. Native code has the store's. */
static uint64_t program_bytes(const struct cached_program *program)
{
    return sizeof *program + (program->program != NULL ? javm_program_bytes(program->program) : 0);
}

static void release_program(struct prepared_cache *cache, struct cached_program *program)
{
    for (unsigned set = 0; set < PREPARED_SETS; set++)
        for (unsigned way = 0; way < PREPARED_WAYS; way++)
            if (cache->places[set][way].program == program)
                release_place(&cache->places[set][way]);
    LIST_REMOVE(program, same_bucket);
    TAILQ_REMOVE(&cache->by_use, program, by_use);
    cache->stats->program_bytes -= program_bytes(program);
    javm_program_free(program->program);
    if (program->native != NULL)
        javm_native_close(program->native);
    javm_cap_release(program->image);
    free(program);
}

void prepared_init(struct prepared_cache *cache, struct javm_jit *jit, uint64_t program_limit,
                   struct javm_vm_stats *stats)
{
    *cache = (struct prepared_cache){.jit = jit, .program_limit = program_limit, .stats = stats};
    TAILQ_INIT(&cache->by_use);
}

void prepared_flush(struct prepared_cache *cache)
{
    for (struct cached_program *p; (p = TAILQ_FIRST(&cache->by_use)) != NULL;)
        release_program(cache, p);
}

static void touch_program(struct prepared_cache *cache, struct cached_program *program)
{
    cache->stats->program_hits++;
    if (TAILQ_NEXT(program, by_use) == NULL)
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

static enum javm_status load_program(struct prepared_cache *cache, struct javm_dir_thread *dir,
                                     const struct javm_hash *image_hash,
                                     struct cached_program **out, struct javm_error *err)
{
    struct program_bucket *bucket = bucket_of(cache, image_hash);
    struct cached_program *p;
    LIST_FOREACH(p, bucket, same_bucket)
    {
        if (javm_hash_equal(&p->image_hash, image_hash)) {
            touch_program(cache, p);
            *out = p;
            return JAVM_OK;
        }
    }
    char text[JAVM_HASH_TEXT];
    javm_hash_format(image_hash, text);
    struct javm_cap *image = javm_directory_get(dir, image_hash);
    if (image == NULL)
        return javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE, "image %s is not published", text);
    if (javm_cap_kind(image) != JAVM_IMAGE) {
        enum javm_kind kind = javm_cap_kind(image);
        javm_cap_release(image);
        return javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE, "image %s is a cap of kind %s", text,
                         javm_kind_name(kind));
    }
    const struct javm_image *fields = javm_image_of(image);
    if (fields->isa != JAVM_ISA_PVM2) {
        javm_cap_release(image);
        return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "image %s: instruction set PVM is not in this version, only PVM2", text);
    }
    p = calloc(1, sizeof *p);
    if (p == NULL) {
        javm_cap_release(image);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "image %s: out of memory", text);
    }
    const struct javm_program_key key = {.footprint_pages = javm_image_footprint(fields)};
    const uint64_t start = clock_ns();
    enum javm_status status =
        cache->jit != NULL
            ? javm_native_open(cache->jit, image_hash, fields->code, fields->code_len, &key, image,
                               &p->native, err)
            : javm_program_decode_pvm2(fields->code, fields->code_len, &key, &p->program, err);
    if (status != JAVM_OK) {
        free(p);
        javm_cap_release(image);
        return status;
    }
    cache->stats->decode_ns += clock_ns() - start;
    cache->stats->program_misses++;
    p->image_hash = *image_hash;
    p->image = image;
    p->space = ++cache->last_id;
    LIST_INSERT_HEAD(bucket, p, same_bucket);
    TAILQ_INSERT_TAIL(&cache->by_use, p, by_use);
    cache->stats->program_bytes += program_bytes(p);
    /* Least recently used first; the new one always stays. */
    while (cache->stats->program_bytes > cache->program_limit && TAILQ_FIRST(&cache->by_use) != p)
        release_program(cache, TAILQ_FIRST(&cache->by_use));
    *out = p;
    return JAVM_OK;
}

/* ---- layout ----------------------------------------------------------------------------- */

/* The cap behind a slot, with a reference; NULL when the slot is empty. A published cap names only
 * published caps. */
static struct javm_cap *slot_cap(struct javm_dir_thread *dir, const struct javm_cap *cnode,
                                 const struct javm_key *key)
{
    const struct javm_target *target = javm_cnode_get(cnode, key);
    if (target == NULL || target->kind != JAVM_TARGET_HASH)
        return NULL;
    return javm_directory_get(dir, &target->hash);
}

/* The Data a mapping shows at first: a pinned slot, else the instance's own, else the image's
 * initial one, else nothing (zeros). *source gets a reference or NULL. */
static enum javm_status find_source(struct javm_dir_thread *dir, const struct javm_image *image,
                                    const struct javm_cap *root, uint32_t index,
                                    struct javm_cap **source, struct javm_error *err)
{
    const struct javm_mapping *mapping = &image->mappings[index];
    const struct javm_pin *pin = NULL;
    struct javm_cap *cap = NULL;
    *source = NULL;
    if (mapping->depth == 1) {
        pin = javm_image_pinned(image, &mapping->path[0]);
        if (pin == NULL) {
            cap = slot_cap(dir, root, &mapping->path[0]);
            if (cap == NULL)
                pin = javm_image_initial(image, &mapping->path[0]);
        }
        if (pin != NULL)
            cap = javm_directory_get(dir, &pin->hash);
    } else {
        struct javm_cap *node = javm_cap_retain(root);
        for (uint8_t i = 0; i < mapping->depth; i++) {
            cap = slot_cap(dir, node, &mapping->path[i]);
            javm_cap_release(node);
            if (i + 1 == mapping->depth)
                break;
            if (cap == NULL || javm_cap_kind(cap) != JAVM_CNODE) {
                javm_cap_release(cap);
                return javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE,
                                 "mappings[%u]: step %u of its source path is not a CNode", index,
                                 i);
            }
            node = cap;
        }
    }
    if (cap == NULL)
        return JAVM_OK;
    if (javm_cap_kind(cap) != JAVM_DATA) {
        enum javm_kind kind = javm_cap_kind(cap);
        javm_cap_release(cap);
        return javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE,
                         "mappings[%u]: its source is a cap of kind %s, not Data", index,
                         javm_kind_name(kind));
    }
    if (javm_data_pages(cap) > mapping->size / JAVM_PAGE_SIZE) {
        uint64_t pages = javm_data_pages(cap);
        javm_cap_release(cap);
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "mappings[%u]: its Data has %llu pages, the mapping only %llu", index,
                         (unsigned long long)pages,
                         (unsigned long long)(mapping->size / JAVM_PAGE_SIZE));
    }
    *source = cap;
    return JAVM_OK;
}

static const struct javm_key slot0 = {.len = 1};

static int compare_paths(const struct javm_mapping *a, const struct javm_mapping *b)
{
    const uint8_t common = a->depth < b->depth ? a->depth : b->depth;
    for (uint8_t i = 0; i < common; i++) {
        const int order = javm_key_compare(&a->path[i], &b->path[i]);
        if (order != 0)
            return order;
    }
    return a->depth - b->depth;
}

static int by_path(const void *a, const void *b, void *mappings)
{
    const struct javm_mapping *all = mappings;
    return compare_paths(&all[*(const uint32_t *)a], &all[*(const uint32_t *)b]);
}

/* Fill in p->persistent. Refused: a writable slot mapped twice, which would be two memories for one
 * value, and a path through slot[0], which belongs to the caller. */
static enum javm_status order_mappings(struct prepared *p, const struct javm_image *image,
                                       struct javm_error *err)
{
    p->persistent = malloc((image->mapping_count + (size_t)1) * sizeof *p->persistent);
    if (p->persistent == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "instance: out of memory");
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct javm_mapping *mapping = &image->mappings[i];
        if (mapping->depth == 0)
            continue;
        if (mapping->depth > 1 && javm_key_compare(&mapping->path[0], &slot0) == 0)
            return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                             "mappings[%u]: its source lies in a CNode in slot[0], which is not in "
                             "this version",
                             i);
        p->persistent[p->persistent_count++] = i;
    }
    qsort_r(p->persistent, p->persistent_count, sizeof *p->persistent, by_path,
            (void *)image->mappings);
    for (uint32_t k = 1; k < p->persistent_count; k++) {
        const uint32_t i = p->persistent[k - 1], j = p->persistent[k];
        if (compare_paths(&image->mappings[i], &image->mappings[j]) == 0 &&
            p->regions[i + 1].writable)
            return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                             "mappings[%u] and mappings[%u] have the same writable slot as source",
                             i < j ? i : j, i < j ? j : i);
    }
    return JAVM_OK;
}

/* A declared meter pays instead of the budget (v3 kernel, "Gas"). There are none in this version,
 * so a slot that could hold one has to be empty: those are skipped. */
static enum javm_status check_gas_slots(const struct javm_image *image, const struct javm_cap *root,
                                        struct javm_error *err)
{
    for (uint32_t i = 0; i < image->gas_slot_count; i++) {
        const struct javm_target *target = javm_cnode_get(root, &image->gas_slots[i]);
        if (target != NULL && target->kind != JAVM_TARGET_EMPTY)
            return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                             "gas_slots[%u]: the slot is not empty, and gas meters are not in this "
                             "version",
                             i);
    }
    return JAVM_OK;
}

static bool is_scratch(const struct prepared *p, const struct javm_mapping *mapping)
{
    return mapping->depth == 1 && !p->slot0_pinned &&
           javm_key_compare(&mapping->path[0], &slot0) == 0;
}

static enum javm_status lay_out(struct prepared *p, struct javm_dir_thread *dir,
                                const struct javm_cap *root, struct javm_error *err)
{
    const struct javm_image *image = javm_image_of(p->program->image);
    const uint32_t count = image->mapping_count + 1;
    p->regions = calloc(count, sizeof *p->regions);
    p->held = calloc(count, sizeof *p->held);
    if (p->regions == NULL || p->held == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "instance: out of memory");
    p->region_count = count;
    p->slot0_pinned = javm_image_pinned(image, &slot0) != NULL;
    p->regions[0] = (struct javm_region){
        .first_page = JAVM_CODE_BASE >> JAVM_PAGE_SHIFT,
        .pages = (uint32_t)((image->code_len + JAVM_PAGE_SIZE - 1) >> JAVM_PAGE_SHIFT),
        .kind = JAVM_REGION_BYTES,
        .bytes = image->code,
        .len = image->code_len};
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct javm_mapping *mapping = &image->mappings[i];
        struct javm_region *region = &p->regions[i + 1];
        region->first_page = (uint32_t)(mapping->start >> JAVM_PAGE_SHIFT);
        region->pages = (uint32_t)(mapping->size >> JAVM_PAGE_SHIFT);
        region->kind = JAVM_REGION_ZERO;
        region->writable =
            mapping->depth != 1 || javm_image_pinned(image, &mapping->path[0]) == NULL;
        if (mapping->depth == 0)
            continue;
        if (is_scratch(p, mapping))
            p->scratch_region = i + 1;
        enum javm_status status = find_source(dir, image, root, i, &p->held[i + 1], err);
        if (status != JAVM_OK)
            return status;
        region->data = p->held[i + 1];
        if (region->data != NULL)
            region->kind = JAVM_REGION_DATA;
    }
    return order_mappings(p, image, err);
}

/* ---- instances -------------------------------------------------------------------------- */

static enum javm_status prepare(struct prepared_cache *cache, struct javm_dir_thread *dir,
                                const struct javm_hash *hash, struct prepared *p,
                                struct javm_error *err)
{
    char text[JAVM_HASH_TEXT];
    javm_hash_format(hash, text);
    p->instance = javm_directory_get(dir, hash);
    if (p->instance == NULL)
        return javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE, "instance %s is not published", text);
    if (javm_cap_kind(p->instance) != JAVM_INSTANCE)
        return javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE, "%s is a cap of kind %s, not an Instance",
                         text, javm_kind_name(javm_cap_kind(p->instance)));
    const struct javm_instance *fields = javm_instance_of(p->instance);
    if (fields->status != JAVM_IDLE)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE, "instance %s is not idle", text);
    if (javm_hash_is_zero(&fields->image_hash))
        return javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE,
                         "instance %s is a kernel handle: it runs no code", text);
    struct cached_program *program = NULL;
    enum javm_status status = load_program(cache, dir, &fields->image_hash, &program, err);
    if (program == NULL)
        return status;
    p->program = program;
    struct javm_cap *root = javm_directory_get(dir, &fields->root_cnode.hash);
    if (root == NULL || javm_cap_kind(root) != JAVM_CNODE) {
        javm_cap_release(root);
        return javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE, "instance %s: root_cnode is not a CNode",
                         text);
    }
    status = check_gas_slots(javm_image_of(program->image), root, err);
    if (status == JAVM_OK)
        status = lay_out(p, dir, root, err);
    javm_cap_release(root);
    p->hash = *hash;
    p->layout = ++cache->last_id;
    return status;
}

enum javm_status prepared_get(struct prepared_cache *cache, struct javm_dir_thread *dir,
                              const struct javm_hash *instance, const struct prepared **prepared,
                              struct javm_error *err)
{
    struct prepared *set = cache->places[instance->bytes[0] % PREPARED_SETS];
    struct prepared *oldest = set;
    for (unsigned way = 0; way < PREPARED_WAYS; way++) {
        struct prepared *p = &set[way];
        if (p->instance != NULL && javm_hash_equal(&p->hash, instance)) {
            p->last_use = ++cache->clock;
            touch_program(cache, p->program);
            *prepared = p;
            return JAVM_OK;
        }
        if (p->last_use < oldest->last_use)
            oldest = p;
    }
    release_place(oldest);
    enum javm_status status = prepare(cache, dir, instance, oldest, err);
    if (status != JAVM_OK) {
        release_place(oldest);
        return status;
    }
    oldest->last_use = ++cache->clock;
    *prepared = oldest;
    return JAVM_OK;
}
