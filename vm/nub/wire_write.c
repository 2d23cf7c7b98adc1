/* Caps as archived values. The bytes are those that rkyv's own serializer gives: what a struct
 * points to comes first, field by field, then the struct; an empty vector points to where its
 * elements would be. */
#include <stdlib.h>
#include <string.h>

#include "vm/nub/wire.h"

struct writer {
    uint8_t *bytes;
    size_t len, capacity;
    bool full; /* no memory, or too long: nothing more is written */
    bool limit;
};

/* `len` more bytes, zero; NULL once the writer is full. */
static uint8_t *more(struct writer *w, size_t len)
{
    if (w->full || len > JAVM_NUB_WIRE_MAX - w->len) {
        w->limit = w->limit || !w->full;
        w->full = true;
        return NULL;
    }
    if (w->bytes == NULL || w->capacity - w->len < len) {
        const size_t capacity = 2 * w->capacity + len + JAVM_NUB_WIRE_ROOT;
        uint8_t *bytes = realloc(w->bytes, capacity);
        if (bytes == NULL) {
            w->full = true;
            return NULL;
        }
        w->bytes = bytes;
        w->capacity = capacity;
    }
    uint8_t *at = w->bytes + w->len;
    memset(at, 0, len);
    w->len += len;
    return at;
}

/* Room for a vector: where it starts. *to is NULL once the writer is full. */
static size_t array(struct writer *w, size_t size, uint64_t count, size_t align, uint8_t **to)
{
    (void)more(w, (size_t)-w->len % align);
    const size_t at = w->len;
    *to = more(w, count > JAVM_NUB_WIRE_MAX ? SIZE_MAX : size * (size_t)count);
    return at;
}

static size_t copy(struct writer *w, const void *from, size_t size, uint64_t count, size_t align)
{
    uint8_t *to;
    const size_t at = array(w, size, count, align, &to);
    if (to != NULL && count != 0)
        memcpy(to, from, size * (size_t)count);
    return at;
}

static void put_u32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

static void put_u64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
}

/* The Vec at `to`, which is the writer's byte number `at`. */
static void put_vec(uint8_t *to, size_t at, size_t first, uint64_t count)
{
    put_u32(to, (uint32_t)((int64_t)first - (int64_t)at));
    put_u32(to + 4, (uint32_t)count);
}

static enum javm_status cannot(struct javm_error *err, const char *what)
{
    return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE, "the wire has no place for %s", what);
}

/* A key that is the little-endian bytes of a u32 without trailing zeros. */
static bool slot_of(const struct javm_key *key, uint32_t *slot)
{
    const uint64_t number = javm_key_pack(key);
    const struct javm_key again = javm_key_from_u64(number);
    *slot = (uint32_t)number;
    return key->len != 0 && number <= UINT32_MAX && javm_key_compare(key, &again) == 0;
}

static const char WIDE_KEY[] = "a key that is no 32-bit number";

/* ---- what can be carried ---------------------------------------------------------------- */

static enum javm_status check_pins(const struct javm_pin *pins, uint32_t count,
                                   struct javm_error *err)
{
    uint32_t slot;
    for (uint32_t i = 0; i < count; i++)
        if (!slot_of(&pins[i].key, &slot))
            return cannot(err, WIDE_KEY);
    return JAVM_OK;
}

static enum javm_status check_image(const struct javm_image *image, struct javm_error *err)
{
    uint32_t slot;
    if (image->gas_slot_count + image->quota_slot_count != 0)
        return cannot(err, "an image's gas_slots and quota_slots");
    if ((image->isa == JAVM_ISA_PVM) != (image->bitmask_len != 0))
        return cannot(err, "a PVM image without a bitmask");
    for (uint32_t i = 0; i < image->endpoint_count; i++) {
        const struct javm_endpoint *endpoint = &image->endpoints[i];
        const struct javm_key *key = &endpoint->arg_cnode_slot;
        if (endpoint->index != i)
            return cannot(err, "endpoints that leave numbers out");
        if (key->len == 0 ? endpoint->arg_cnode_size != 0
                          : !slot_of(key, &slot) || (slot == 0 && endpoint->arg_cnode_size == 0))
            return cannot(err, "such an arg_cnode_slot");
    }
    for (uint32_t i = 0; i < image->mapping_count; i++)
        for (unsigned j = 0; j < image->mappings[i].depth; j++)
            if (!slot_of(&image->mappings[i].path[j], &slot))
                return cannot(err, WIDE_KEY);
    if (image->yield_receiver_slot.len != 0 && !slot_of(&image->yield_receiver_slot, &slot))
        return cannot(err, WIDE_KEY);
    const enum javm_status status = check_pins(image->pinned, image->pinned_count, err);
    return status != JAVM_OK ? status : check_pins(image->initial, image->initial_count, err);
}

static enum javm_status check_instance(const struct javm_instance *instance, struct javm_error *err)
{
    const uint64_t pages = javm_data_pages(instance->mem);
    if (instance->status != JAVM_IDLE)
        return cannot(err, "an instance that is not idle");
    if (instance->regs[JAVM_NUM_REGS] != 0 || instance->regs[JAVM_NUM_REGS + 1] != 0)
        return cannot(err, "an instance's x3 and x4");
    for (uint64_t page = 0; page < pages; page++)
        if (javm_data_page(instance->mem, page) != NULL)
            return cannot(err, "the memory of an instance (or a handle) that is not zero");
    return pages * JAVM_PAGE_SIZE <= UINT32_MAX ? JAVM_OK : cannot(err, "4 GiB of memory");
}

static enum javm_status check(const struct javm_cap *cap, struct javm_error *err)
{
    struct javm_key key;
    uint32_t slot;
    if (javm_cap_has_ref(cap))
        return javm_fail(err, JAVM_E_LIVE, JAVM_NOWHERE,
                         "the cap holds a live CapRef; settle it first");
    switch (javm_cap_kind(cap)) {
    case JAVM_INSTANCE:
        return check_instance(javm_instance_of(cap), err);
    case JAVM_IMAGE:
        return check_image(javm_image_of(cap), err);
    case JAVM_CNODE:
        for (uint32_t i = 0; i < javm_cnode_count(cap); i++) {
            (void)javm_cnode_at(cap, i, &key);
            if (!slot_of(&key, &slot))
                return cannot(err, WIDE_KEY);
        }
        return JAVM_OK;
    case JAVM_DATA:
    case JAVM_TYPE:
        break;
    }
    return JAVM_OK;
}

/* ---- writing ---------------------------------------------------------------------------- */

static void put_slot(uint8_t *at, const struct javm_key *key, const struct javm_hash *hash)
{
    put_u32(at, (uint32_t)javm_key_pack(key));
    memcpy(at + WIRE_SLOT_HASH, hash->bytes, sizeof hash->bytes);
}

static int compare_slots(const void *a, const void *b)
{
    uint32_t left, right;
    memcpy(&left, a, sizeof left);
    memcpy(&right, b, sizeof right);
    return (left > right) - (left < right);
}

static size_t pins(struct writer *w, const struct javm_pin *list, uint32_t count)
{
    uint8_t *to;
    const size_t at = array(w, WIRE_SLOT, count, 4, &to);
    if (to == NULL)
        return at;
    for (uint32_t i = 0; i < count; i++)
        put_slot(to + (size_t)i * WIRE_SLOT, &list[i].key, &list[i].hash);
    qsort(to, count, WIRE_SLOT, compare_slots);
    return at;
}

static size_t endpoints(struct writer *w, const struct javm_image *image)
{
    uint8_t *to;
    const size_t at = array(w, WIRE_ENDPOINT, image->endpoint_count, 8, &to);
    for (uint32_t i = 0; to != NULL && i < image->endpoint_count; i++, to += WIRE_ENDPOINT) {
        const struct javm_endpoint *endpoint = &image->endpoints[i];
        put_u64(to, endpoint->entry_pc);
        put_u64(to + WIRE_ENDPOINT_STACK, endpoint->stack_top);
        put_u32(to + WIRE_ENDPOINT_SLOT, (uint32_t)javm_key_pack(&endpoint->arg_cnode_slot));
        to[WIRE_ENDPOINT_SIZE] = endpoint->arg_cnode_size;
        memcpy(to + WIRE_ENDPOINT_REGS, endpoint->initial_regs, sizeof endpoint->initial_regs);
    }
    return at;
}

/* All paths first, each 4-aligned and so without gaps; then the array. */
static size_t mappings(struct writer *w, const struct javm_image *image)
{
    uint8_t *to;
    (void)more(w, (size_t)-w->len % 4);
    size_t path = w->len;
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct javm_mapping *mapping = &image->mappings[i];
        uint8_t *steps = more(w, 4 * (size_t)mapping->depth);
        for (unsigned j = 0; steps != NULL && j < mapping->depth; j++)
            put_u32(steps + 4 * (size_t)j, (uint32_t)javm_key_pack(&mapping->path[j]));
    }
    const size_t at = array(w, WIRE_MAPPING, image->mapping_count, 8, &to);
    for (uint32_t i = 0; to != NULL && i < image->mapping_count; i++) {
        const struct javm_mapping *mapping = &image->mappings[i];
        uint8_t *object = to + (size_t)i * WIRE_MAPPING;
        put_u64(object, mapping->start);
        put_u64(object + WIRE_MAPPING_SIZE, mapping->size);
        put_vec(object + WIRE_MAPPING_PATH, at + (size_t)i * WIRE_MAPPING + WIRE_MAPPING_PATH, path,
                mapping->depth);
        object[WIRE_MAPPING_DEPTH] = mapping->depth;
        path += 4 * (size_t)mapping->depth;
    }
    return at;
}

/* The root, 8-aligned, with its tag; *at is its offset. NULL once the writer is full. */
static uint8_t *root(struct writer *w, enum javm_kind kind, size_t *at)
{
    uint8_t *to;
    *at = array(w, JAVM_NUB_WIRE_ROOT, 1, 8, &to);
    if (to != NULL)
        to[0] = (uint8_t)kind;
    return to;
}

static void write_image(struct writer *w, const struct javm_image *image)
{
    const size_t code = copy(w, image->code, 1, image->code_len, 1);
    const size_t bitmask = copy(w, image->bitmask, 1, image->bitmask_len, 1);
    const size_t jumps = copy(w, image->jump_table, 4, image->jump_count, 4);
    const size_t ends = endpoints(w, image), maps = mappings(w, image);
    const size_t pinned = pins(w, image->pinned, image->pinned_count);
    const size_t initial = pins(w, image->initial, image->initial_count);
    size_t at;
    uint8_t *to = root(w, JAVM_IMAGE, &at);
    if (to == NULL)
        return;
    put_vec(to + WIRE_IMAGE_CODE, at + WIRE_IMAGE_CODE, code, image->code_len);
    put_vec(to + WIRE_IMAGE_BITMASK, at + WIRE_IMAGE_BITMASK, bitmask, image->bitmask_len);
    put_vec(to + WIRE_IMAGE_JUMPS, at + WIRE_IMAGE_JUMPS, jumps, image->jump_count);
    put_vec(to + WIRE_IMAGE_ENDPOINTS, at + WIRE_IMAGE_ENDPOINTS, ends, image->endpoint_count);
    put_vec(to + WIRE_IMAGE_MAPPINGS, at + WIRE_IMAGE_MAPPINGS, maps, image->mapping_count);
    put_vec(to + WIRE_IMAGE_PINNED, at + WIRE_IMAGE_PINNED, pinned, image->pinned_count);
    put_vec(to + WIRE_IMAGE_INITIAL, at + WIRE_IMAGE_INITIAL, initial, image->initial_count);
    if (image->yield_receiver_slot.len != 0) {
        to[WIRE_IMAGE_YIELD_TAG] = 1;
        put_u32(to + WIRE_IMAGE_YIELD, (uint32_t)javm_key_pack(&image->yield_receiver_slot));
    }
}

static void write_instance(struct writer *w, const struct javm_instance *instance)
{
    size_t at;
    uint8_t *to = root(w, JAVM_INSTANCE, &at);
    if (to == NULL)
        return;
    memcpy(to + WIRE_INSTANCE_CHAIN, instance->image_hash_chain.bytes, JAVM_HASH_BYTES);
    memcpy(to + WIRE_INSTANCE_IMAGE, instance->image_hash.bytes, JAVM_HASH_BYTES);
    if (instance->root_cnode.kind == JAVM_TARGET_HASH)
        memcpy(to + WIRE_INSTANCE_CNODE, instance->root_cnode.hash.bytes, JAVM_HASH_BYTES);
    put_vec(to + WIRE_INSTANCE_OVERLAYS, at + WIRE_INSTANCE_OVERLAYS, at, 0);
    put_u32(to + WIRE_INSTANCE_MEM_SIZE,
            (uint32_t)(javm_data_pages(instance->mem) * JAVM_PAGE_SIZE));
    memcpy(to + WIRE_INSTANCE_REGS, instance->regs, 8 * (size_t)JAVM_NUM_REGS);
    put_u64(to + WIRE_INSTANCE_PC, instance->pc);
    put_u64(to + WIRE_INSTANCE_GAS, instance->gas_remaining);
}

static void write_data(struct writer *w, const struct javm_cap *data)
{
    const uint64_t len = javm_data_pages(data) * JAVM_PAGE_SIZE;
    uint8_t *to;
    size_t at;
    const size_t bytes = array(w, 1, len, 1, &to);
    if (to != NULL)
        javm_data_read(data, 0, to, len);
    to = root(w, JAVM_DATA, &at);
    if (to != NULL)
        put_vec(to + WIRE_DATA_BYTES, at + WIRE_DATA_BYTES, bytes, len);
}

static void write_cnode(struct writer *w, const struct javm_cap *cnode)
{
    const uint32_t count = javm_cnode_count(cnode);
    uint32_t highest = 0;
    uint8_t *to, size_log = 0;
    size_t at;
    const size_t slots = array(w, WIRE_SLOT, count, 4, &to);
    for (uint32_t i = 0; to != NULL && i < count; i++) {
        struct javm_key key;
        const struct javm_target *target = javm_cnode_at(cnode, i, &key);
        const uint32_t slot = (uint32_t)javm_key_pack(&key);
        put_slot(to + (size_t)i * WIRE_SLOT, &key, &target->hash);
        highest = slot > highest ? slot : highest;
    }
    if (to != NULL)
        qsort(to, count, WIRE_SLOT, compare_slots);
    while ((uint64_t)highest >> size_log != 0)
        size_log++;
    to = root(w, JAVM_CNODE, &at);
    if (to == NULL)
        return;
    to[WIRE_CNODE_LOG] = size_log;
    put_vec(to + WIRE_CNODE_SLOTS, at + WIRE_CNODE_SLOTS, slots, count);
}

static void write_type(struct writer *w, const struct javm_cap *type)
{
    size_t at;
    uint8_t *to = root(w, JAVM_TYPE, &at);
    if (to != NULL)
        memcpy(to + WIRE_TYPE_CHAIN, javm_type_chain(type)->bytes, JAVM_HASH_BYTES);
}

enum javm_status javm_nub_encode_cap(const struct javm_cap *cap, uint8_t **bytes, size_t *len,
                                     struct javm_error *err)
{
    struct writer w = {0};
    const enum javm_status status = check(cap, err);
    if (status != JAVM_OK)
        return status;
    switch (javm_cap_kind(cap)) {
    case JAVM_INSTANCE:
        write_instance(&w, javm_instance_of(cap));
        break;
    case JAVM_IMAGE:
        write_image(&w, javm_image_of(cap));
        break;
    case JAVM_DATA:
        write_data(&w, cap);
        break;
    case JAVM_CNODE:
        write_cnode(&w, cap);
        break;
    case JAVM_TYPE:
        write_type(&w, cap);
        break;
    }
    if (!w.full) {
        *bytes = w.bytes;
        *len = w.len;
        return JAVM_OK;
    }
    free(w.bytes);
    return w.limit ? javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE,
                               "the archived cap is longer than %llu bytes",
                               (unsigned long long)JAVM_NUB_WIRE_MAX)
                   : javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
}
