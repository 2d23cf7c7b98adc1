/* Archived caps that somebody else wrote. Every relative pointer has to lead to aligned bytes
 * before the object that it is in; and what all vectors claim together is no more than the buffer
 * has, so that vectors that share bytes cannot make a small buffer large. */
#include <stdlib.h>
#include <string.h>

#include "vm/nub/wire.h"

struct reader {
    const uint8_t *bytes;
    size_t len;
    uint64_t unclaimed; /* bytes that vectors may still name */
    struct javm_error *err;
};

struct vec {
    size_t at; /* of the first element */
    uint32_t count;
};

static uint32_t u32_at(const struct reader *r, size_t at)
{
    uint32_t value;
    memcpy(&value, r->bytes + at, sizeof value);
    return value;
}

static uint64_t u64_at(const struct reader *r, size_t at)
{
    uint64_t value;
    memcpy(&value, r->bytes + at, sizeof value);
    return value;
}

static struct javm_hash hash_at(const struct reader *r, size_t at)
{
    struct javm_hash hash;
    memcpy(hash.bytes, r->bytes + at, sizeof hash.bytes);
    return hash;
}

static enum javm_status no_memory(const struct reader *r)
{
    return javm_fail(r->err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory for a cap of %zu bytes",
                     r->len);
}

/* The Vec at `at`, in an object that begins at `object`. */
static enum javm_status vec_at(struct reader *r, const char *name, size_t object, size_t at,
                               uint32_t size, uint32_t align, struct vec *vec)
{
    const int64_t offset = (int32_t)u32_at(r, at);
    const int64_t first = (int64_t)at + offset;
    vec->count = u32_at(r, at + 4);
    const uint64_t bytes = (uint64_t)vec->count * size;
    if (first < 0 || first > (int64_t)object || bytes > (uint64_t)((int64_t)object - first))
        return javm_fail(r->err, JAVM_E_FORMAT, at,
                         "%s: %u elements of %u bytes at offset %lld, expected before %zu", name,
                         vec->count, size, (long long)first, object);
    if (first % align != 0)
        return javm_fail(r->err, JAVM_E_FORMAT, at, "%s: at offset %lld, expected a multiple of %u",
                         name, (long long)first, align);
    if (bytes > r->unclaimed)
        return javm_fail(r->err, JAVM_E_FORMAT, at,
                         "%s: its %llu bytes and other vectors are more than the buffer has", name,
                         (unsigned long long)bytes);
    r->unclaimed -= bytes;
    vec->at = (size_t)first;
    return JAVM_OK;
}

/* ---- slots ------------------------------------------------------------------------------ */

static int compare_pins(const void *a, const void *b)
{
    return javm_key_compare(&((const struct javm_pin *)a)->key, &((const struct javm_pin *)b)->key);
}

/* A Vec of slots in the order of keys; malloc'ed. Slots have to be below `limit`. */
static enum javm_status read_slots(struct reader *r, const char *name, size_t at, uint64_t limit,
                                   struct javm_pin **pins, uint32_t *count)
{
    struct vec vec;
    const enum javm_status status =
        vec_at(r, name, r->len - JAVM_NUB_WIRE_ROOT, at, WIRE_SLOT, 4, &vec);
    *pins = NULL;
    *count = 0;
    if (status != JAVM_OK || vec.count == 0)
        return status;
    struct javm_pin *list = calloc(vec.count, sizeof *list);
    if (list == NULL)
        return no_memory(r);
    for (uint32_t i = 0; i < vec.count; i++) {
        const size_t slot = vec.at + (size_t)i * WIRE_SLOT;
        if (u32_at(r, slot) >= limit) {
            free(list);
            return javm_fail(r->err, JAVM_E_RANGE, slot, "%s[%u]: slot %u, expected less than %llu",
                             name, i, u32_at(r, slot), (unsigned long long)limit);
        }
        list[i].key = javm_key_from_u64(u32_at(r, slot));
        list[i].hash = hash_at(r, slot + WIRE_SLOT_HASH);
    }
    qsort(list, vec.count, sizeof *list, compare_pins);
    for (uint32_t i = 1; i < vec.count; i++)
        if (javm_key_compare(&list[i - 1].key, &list[i].key) == 0) {
            const uint64_t slot = javm_key_pack(&list[i].key);
            free(list);
            return javm_fail(r->err, JAVM_E_FORMAT, at, "%s: slot %llu stands there twice", name,
                             (unsigned long long)slot);
        }
    *pins = list;
    *count = vec.count;
    return JAVM_OK;
}

static enum javm_status read_cnode(struct reader *r, size_t root, struct javm_cap **cap)
{
    const uint8_t size_log = r->bytes[root + WIRE_CNODE_LOG];
    struct javm_pin *slots;
    uint32_t count;
    if (size_log > WIRE_SIZE_LOG_MAX)
        return javm_fail(r->err, JAVM_E_RANGE, root + WIRE_CNODE_LOG,
                         "size_log: %u, expected at most %u", size_log, WIRE_SIZE_LOG_MAX);
    enum javm_status status =
        read_slots(r, "slots", root + WIRE_CNODE_SLOTS, UINT64_C(1) << size_log, &slots, &count);
    if (status != JAVM_OK)
        return status;
    struct javm_cap *cnode = javm_cnode_new();
    for (uint32_t i = 0; i < count && cnode != NULL; i++) {
        struct javm_target target = javm_target_hash(&slots[i].hash);
        if (javm_cnode_set(cnode, &slots[i].key, &target) != JAVM_OK) {
            javm_cap_release(cnode);
            cnode = NULL;
        }
    }
    free(slots);
    *cap = cnode;
    return cnode == NULL ? no_memory(r) : JAVM_OK;
}

/* ---- images ----------------------------------------------------------------------------- */

static enum javm_status read_endpoints(struct reader *r, size_t root, struct javm_image *image)
{
    struct vec vec;
    const enum javm_status status =
        vec_at(r, "endpoints", root, root + WIRE_IMAGE_ENDPOINTS, WIRE_ENDPOINT, 8, &vec);
    if (status != JAVM_OK || vec.count == 0)
        return status;
    if (vec.count > JAVM_MAX_ENDPOINTS)
        return javm_fail(r->err, JAVM_E_LIMIT, root + WIRE_IMAGE_ENDPOINTS,
                         "endpoints: %u of them, expected at most %u", vec.count,
                         JAVM_MAX_ENDPOINTS);
    struct javm_endpoint *list = calloc(vec.count, sizeof *list);
    if (list == NULL)
        return no_memory(r);
    image->endpoints = list;
    image->endpoint_count = vec.count;
    for (uint32_t i = 0; i < vec.count; i++) {
        const size_t at = vec.at + (size_t)i * WIRE_ENDPOINT;
        const uint32_t slot = u32_at(r, at + WIRE_ENDPOINT_SLOT);
        list[i].index = i;
        list[i].entry_pc = u64_at(r, at);
        list[i].stack_top = u64_at(r, at + WIRE_ENDPOINT_STACK);
        list[i].arg_cnode_size = r->bytes[at + WIRE_ENDPOINT_SIZE];
        if (slot != 0 || list[i].arg_cnode_size != 0) /* slot 0 of size 0: there is none */
            list[i].arg_cnode_slot = javm_key_from_u64(slot);
        for (unsigned j = 0; j < JAVM_NUM_REGS; j++)
            list[i].initial_regs[j] = u64_at(r, at + WIRE_ENDPOINT_REGS + 8 * (size_t)j);
    }
    return JAVM_OK;
}

static enum javm_status read_path(struct reader *r, size_t object, struct javm_mapping *mapping)
{
    struct vec vec;
    const size_t at = object + WIRE_MAPPING_PATH;
    const uint8_t depth = r->bytes[object + WIRE_MAPPING_DEPTH];
    enum javm_status status = vec_at(r, "mappings[].source_path", object, at, 4, 4, &vec);
    if (status != JAVM_OK)
        return status;
    if (vec.count > JAVM_MAX_SOURCE_DEPTH || depth > vec.count)
        return javm_fail(r->err, JAVM_E_RANGE, at,
                         "mappings[].source_path: %u of %u steps, expected at most %u", depth,
                         vec.count, JAVM_MAX_SOURCE_DEPTH);
    for (uint32_t i = 0; i < vec.count; i++) {
        const uint32_t step = u32_at(r, vec.at + 4 * (size_t)i);
        if (i < depth)
            mapping->path[i] = javm_key_from_u64(step);
        else if (step != 0)
            return javm_fail(r->err, JAVM_E_FORMAT, vec.at + 4 * (size_t)i,
                             "mappings[].source_path: step %u is %u, expected 0 behind the last", i,
                             step);
    }
    mapping->depth = depth;
    return JAVM_OK;
}

static int compare_mappings(const void *a, const void *b)
{
    const uint64_t left = ((const struct javm_mapping *)a)->start;
    const uint64_t right = ((const struct javm_mapping *)b)->start;
    return (left > right) - (left < right);
}

static enum javm_status read_mappings(struct reader *r, size_t root, struct javm_image *image)
{
    struct vec vec;
    enum javm_status status =
        vec_at(r, "mappings", root, root + WIRE_IMAGE_MAPPINGS, WIRE_MAPPING, 8, &vec);
    if (status != JAVM_OK || vec.count == 0)
        return status;
    struct javm_mapping *list = calloc(vec.count, sizeof *list);
    if (list == NULL)
        return no_memory(r);
    image->mappings = list;
    image->mapping_count = vec.count;
    for (uint32_t i = 0; i < vec.count && status == JAVM_OK; i++) {
        const size_t at = vec.at + (size_t)i * WIRE_MAPPING;
        list[i].start = u64_at(r, at);
        list[i].size = u64_at(r, at + WIRE_MAPPING_SIZE);
        status = read_path(r, at, &list[i]);
    }
    qsort(list, vec.count, sizeof *list, compare_mappings);
    return status;
}

static enum javm_status read_code(struct reader *r, size_t root, struct javm_image *image)
{
    struct vec code, bitmask, jumps;
    enum javm_status status = vec_at(r, "code", root, root + WIRE_IMAGE_CODE, 1, 1, &code);
    if (status == JAVM_OK)
        status = vec_at(r, "bitmask", root, root + WIRE_IMAGE_BITMASK, 1, 1, &bitmask);
    if (status == JAVM_OK)
        status = vec_at(r, "jump_table", root, root + WIRE_IMAGE_JUMPS, 4, 4, &jumps);
    if (status != JAVM_OK)
        return status;
    image->isa = bitmask.count == 0 ? JAVM_ISA_PVM2 : JAVM_ISA_PVM;
    image->code = r->bytes + code.at;
    image->code_len = code.count;
    image->bitmask = r->bytes + bitmask.at;
    image->bitmask_len = bitmask.count;
    image->jump_count = jumps.count;
    if (jumps.count == 0)
        return JAVM_OK;
    uint32_t *list = malloc((size_t)jumps.count * sizeof *list);
    if (list == NULL)
        return no_memory(r);
    memcpy(list, r->bytes + jumps.at, (size_t)jumps.count * sizeof *list);
    image->jump_table = list;
    return JAVM_OK;
}

static enum javm_status read_yield_slot(struct reader *r, size_t root, struct javm_image *image)
{
    const uint8_t tag = r->bytes[root + WIRE_IMAGE_YIELD_TAG];
    if (tag > 1)
        return javm_fail(r->err, JAVM_E_FORMAT, root + WIRE_IMAGE_YIELD_TAG,
                         "yield_marker_slot: tag %u, expected 0 or 1", tag);
    if (tag == 1)
        image->yield_receiver_slot = javm_key_from_u64(u32_at(r, root + WIRE_IMAGE_YIELD));
    return JAVM_OK;
}

static enum javm_status read_image(struct reader *r, size_t root, struct javm_cap **cap)
{
    const uint64_t any = UINT64_C(1) << 32;
    struct javm_image image = {0};
    struct javm_pin *pinned = NULL, *initial = NULL;
    enum javm_status status = read_code(r, root, &image);
    if (status == JAVM_OK)
        status = read_endpoints(r, root, &image);
    if (status == JAVM_OK)
        status = read_mappings(r, root, &image);
    if (status == JAVM_OK)
        status =
            read_slots(r, "pinned", root + WIRE_IMAGE_PINNED, any, &pinned, &image.pinned_count);
    if (status == JAVM_OK)
        status = read_slots(r, "initial", root + WIRE_IMAGE_INITIAL, any, &initial,
                            &image.initial_count);
    if (status == JAVM_OK)
        status = read_yield_slot(r, root, &image);
    image.pinned = pinned;
    image.initial = initial;
    if (status == JAVM_OK)
        status = javm_image_new(&image, cap, r->err);
    free((void *)(uintptr_t)image.jump_table);
    free((void *)(uintptr_t)image.endpoints);
    free((void *)(uintptr_t)image.mappings);
    free(pinned);
    free(initial);
    return status;
}

/* ---- instances -------------------------------------------------------------------------- */

static int compare_overlays(const void *a, const void *b)
{
    const uint32_t left = ((const struct javm_nub_overlay *)a)->start;
    const uint32_t right = ((const struct javm_nub_overlay *)b)->start;
    return (left > right) - (left < right);
}

static enum javm_status read_overlays(struct reader *r, size_t root, struct javm_nub_wire *wire)
{
    const size_t at = root + WIRE_INSTANCE_OVERLAYS;
    struct vec vec, bytes;
    enum javm_status status = vec_at(r, "overlays", root, at, WIRE_OVERLAY, 4, &vec);
    if (status != JAVM_OK || vec.count == 0)
        return status;
    wire->overlays = calloc(vec.count, sizeof *wire->overlays);
    if (wire->overlays == NULL)
        return no_memory(r);
    wire->overlay_count = vec.count;
    for (uint32_t i = 0; i < vec.count; i++) {
        const size_t object = vec.at + (size_t)i * WIRE_OVERLAY;
        status = vec_at(r, "overlays[].bytes", object, object + WIRE_OVERLAY_BYTES, 1, 1, &bytes);
        if (status != JAVM_OK)
            return status;
        wire->overlays[i] =
            (struct javm_nub_overlay){u32_at(r, object), bytes.count, r->bytes + bytes.at};
    }
    qsort(wire->overlays, vec.count, sizeof *wire->overlays, compare_overlays);
    for (uint32_t i = 1; i < vec.count; i++)
        if (wire->overlays[i - 1].start == wire->overlays[i].start)
            return javm_fail(r->err, JAVM_E_FORMAT, at, "overlays: two of them start at 0x%x",
                             wire->overlays[i].start);
    return JAVM_OK;
}

static enum javm_status read_instance(struct reader *r, size_t root, struct javm_nub_wire *wire)
{
    const uint64_t mem_size = u32_at(r, root + WIRE_INSTANCE_MEM_SIZE);
    const struct javm_hash cnode = hash_at(r, root + WIRE_INSTANCE_CNODE);
    struct javm_instance fields = {.image_hash_chain = hash_at(r, root + WIRE_INSTANCE_CHAIN),
                                   .image_hash = hash_at(r, root + WIRE_INSTANCE_IMAGE),
                                   .root_cnode = javm_target_hash(&cnode),
                                   .pc = u64_at(r, root + WIRE_INSTANCE_PC),
                                   .gas_remaining = u64_at(r, root + WIRE_INSTANCE_GAS)};
    const enum javm_status status = read_overlays(r, root, wire);
    if (status != JAVM_OK)
        return status;
    for (unsigned i = 0; i < JAVM_NUM_REGS; i++)
        fields.regs[i] = u64_at(r, root + WIRE_INSTANCE_REGS + 8 * (size_t)i);
    fields.mem = javm_data_new_zero((mem_size + JAVM_PAGE_SIZE - 1) / JAVM_PAGE_SIZE);
    if (fields.mem != NULL)
        wire->cap = javm_instance_new(&fields);
    if (wire->cap == NULL) {
        javm_cap_release(fields.mem);
        return no_memory(r);
    }
    return JAVM_OK;
}

/* ---- the root --------------------------------------------------------------------------- */

static enum javm_status read_data(struct reader *r, size_t root, struct javm_cap **cap)
{
    struct vec vec;
    const enum javm_status status = vec_at(r, "bytes", root, root + WIRE_DATA_BYTES, 1, 1, &vec);
    if (status != JAVM_OK)
        return status;
    *cap = javm_data_new(r->bytes + vec.at, vec.count);
    return *cap == NULL ? no_memory(r) : JAVM_OK;
}

static enum javm_status read_type(struct reader *r, size_t root, struct javm_cap **cap)
{
    const struct javm_hash chain = hash_at(r, root + WIRE_TYPE_CHAIN);
    *cap = javm_type_new(&chain);
    return *cap == NULL ? no_memory(r) : JAVM_OK;
}

static enum javm_status read_root(struct reader *r, size_t root, struct javm_nub_wire *wire)
{
    switch (r->bytes[root]) {
    case JAVM_INSTANCE:
        return read_instance(r, root, wire);
    case JAVM_IMAGE:
        return read_image(r, root, &wire->cap);
    case JAVM_DATA:
        return read_data(r, root, &wire->cap);
    case JAVM_CNODE:
        return read_cnode(r, root, &wire->cap);
    case JAVM_TYPE:
        return read_type(r, root, &wire->cap);
    default:
        return javm_fail(r->err, JAVM_E_FORMAT, root, "tag %u, expected a kind of cap (0 to 4)",
                         r->bytes[root]);
    }
}

enum javm_status javm_nub_decode_cap(const uint8_t *bytes, size_t len, struct javm_nub_wire *wire,
                                     struct javm_error *err)
{
    *wire = (struct javm_nub_wire){0};
    if (len < JAVM_NUB_WIRE_ROOT || len % 8 != 0)
        return javm_fail(err, JAVM_E_FORMAT, len,
                         "a cap of %zu bytes, expected at least %u and a multiple of 8", len,
                         JAVM_NUB_WIRE_ROOT);
    if (len > JAVM_NUB_WIRE_MAX)
        return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE,
                         "a cap of %zu bytes, expected at most %llu", len,
                         (unsigned long long)JAVM_NUB_WIRE_MAX);
    struct reader r = {bytes, len, len, err};
    const enum javm_status status = read_root(&r, len - JAVM_NUB_WIRE_ROOT, wire);
    if (status != JAVM_OK)
        javm_nub_wire_clear(wire);
    return status;
}

void javm_nub_wire_clear(struct javm_nub_wire *wire)
{
    javm_cap_release(wire->cap);
    free(wire->overlays);
    *wire = (struct javm_nub_wire){0};
}

enum javm_status javm_nub_decode_result(const uint8_t *bytes, size_t len,
                                        struct javm_nub_result *result, struct javm_error *err)
{
    if (len != sizeof *result)
        return javm_fail(err, JAVM_E_FORMAT, len, "a result of %zu bytes, expected %zu", len,
                         sizeof *result);
    memcpy(result, bytes, sizeof *result);
    if (result->exit_reason <= JAVM_NUB_EXIT_MAX && result->exit_reason != 5)
        return JAVM_OK;
    return javm_fail(err, JAVM_E_FORMAT, 0, "exit reason %u, expected 0 to 7 but 5",
                     result->exit_reason);
}

const char *javm_nub_error_text(uint32_t number)
{
    switch (number) {
#define JAVM_NUB_X(name, value, text) \
    case value:                       \
        return text;
        JAVM_NUB_ERRORS(JAVM_NUB_X)
#undef JAVM_NUB_X
    default:
        return "unknown error";
    }
}
