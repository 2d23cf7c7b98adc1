/* Admission of images: every rule of the "Image" section, each refusal naming its field. */
#include <stdlib.h>

#include "caps/atomic.h"
#include "caps/cap_impl.h"

#define SPACE_END (UINT64_C(1) << 32)

static enum javm_status check_key(const struct javm_key *key, const char *field, uint32_t i,
                                  struct javm_error *err)
{
    if (key->len == 0 || key->len > JAVM_MAX_KEY_LEN)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE, "%s[%u]: a key has 1 to %u bytes, not %u",
                         field, i, JAVM_MAX_KEY_LEN, key->len);
    return JAVM_OK;
}

static enum javm_status check_code(const struct javm_image *f, struct javm_error *err)
{
    if (f->isa != JAVM_ISA_PVM && f->isa != JAVM_ISA_PVM2)
        return javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE, "isa: %u, expected 0 (PVM) or 1 (PVM2)",
                         (unsigned)f->isa);
    if (f->isa == JAVM_ISA_PVM2) {
        if (f->code_len > JAVM_CODE_MAX)
            return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE, "code: %llu bytes, at most %u",
                             (unsigned long long)f->code_len, JAVM_CODE_MAX);
        if (f->bitmask_len != 0 || f->jump_count != 0)
            return javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE, "%s: only PVM images have one",
                             f->bitmask_len != 0 ? "bitmask" : "jump_table");
        return JAVM_OK;
    }
    if (f->code_len > UINT32_MAX)
        return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE, "code: %llu bytes, at most 2^32 - 1",
                         (unsigned long long)f->code_len);
    if (f->bitmask_len != (f->code_len + 7) / 8)
        return javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE,
                         "bitmask: %llu bytes, expected %llu for %llu bytes of code",
                         (unsigned long long)f->bitmask_len,
                         (unsigned long long)((f->code_len + 7) / 8),
                         (unsigned long long)f->code_len);
    return JAVM_OK;
}

static enum javm_status check_endpoints(const struct javm_image *f, struct javm_error *err)
{
    for (uint32_t i = 0; i < f->endpoint_count; i++) {
        const struct javm_endpoint *e = &f->endpoints[i];
        if (e->index >= JAVM_MAX_ENDPOINTS)
            return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                             "endpoints[%u]: index %u, expected less than %u", i, e->index,
                             JAVM_MAX_ENDPOINTS);
        if (i > 0 && e->index <= f->endpoints[i - 1].index)
            return javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE,
                             "endpoints[%u]: index %u does not follow %u in ascending order", i,
                             e->index, f->endpoints[i - 1].index);
        if (e->arg_cnode_slot.len > JAVM_MAX_KEY_LEN)
            return check_key(&e->arg_cnode_slot, "endpoints", i, err);
    }
    return JAVM_OK;
}

static enum javm_status check_mapping(const struct javm_image *f, uint32_t i,
                                      struct javm_error *err)
{
    const struct javm_mapping *m = &f->mappings[i];
    const uint64_t low = f->isa == JAVM_ISA_PVM2 ? JAVM_DATA_BASE : 0x10000;
    if (m->start % JAVM_PAGE_SIZE != 0)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "mappings[%u].start: 0x%llx is not a multiple of %u", i,
                         (unsigned long long)m->start, JAVM_PAGE_SIZE);
    if (m->size == 0 || m->size % JAVM_PAGE_SIZE != 0)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "mappings[%u].size: 0x%llx is not a positive multiple of %u", i,
                         (unsigned long long)m->size, JAVM_PAGE_SIZE);
    if (m->start < low || m->start >= SPACE_END || m->size > SPACE_END - m->start)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "mappings[%u]: 0x%llx+0x%llx lies outside [0x%llx, 2^32)", i,
                         (unsigned long long)m->start, (unsigned long long)m->size,
                         (unsigned long long)low);
    if (i > 0) {
        const struct javm_mapping *before = &f->mappings[i - 1];
        if (m->start < before->start)
            return javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE,
                             "mappings[%u]: 0x%llx is below mappings[%u]; they stand in ascending "
                             "order",
                             i, (unsigned long long)m->start, i - 1);
        if (m->start - before->start < before->size)
            return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                             "mappings[%u]: 0x%llx+0x%llx overlaps mappings[%u]", i,
                             (unsigned long long)m->start, (unsigned long long)m->size, i - 1);
    }
    if (m->depth > JAVM_MAX_SOURCE_DEPTH)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "mappings[%u].source: a path of %u keys, at most %u", i, m->depth,
                         JAVM_MAX_SOURCE_DEPTH);
    for (uint8_t k = 0; k < m->depth; k++) {
        const enum javm_status status = check_key(&m->path[k], "mappings", i, err);
        if (status != JAVM_OK)
            return status;
    }
    return JAVM_OK;
}

static enum javm_status check_pins(const struct javm_pin *pins, uint32_t count, const char *field,
                                   struct javm_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        const enum javm_status status = check_key(&pins[i].key, field, i, err);
        if (status != JAVM_OK)
            return status;
        if (i > 0 && javm_key_compare(&pins[i - 1].key, &pins[i].key) >= 0)
            return javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE,
                             "%s[%u]: its key does not follow the one before in ascending order",
                             field, i);
    }
    return JAVM_OK;
}

static int compare_keys(const void *a, const void *b)
{
    return javm_key_compare(a, b);
}

/* The order of these lists is their meaning, so duplicates are looked for in a sorted copy. */
static enum javm_status check_slots(const struct javm_key *slots, uint32_t count, const char *field,
                                    struct javm_error *err)
{
    for (uint32_t i = 0; i < count; i++) {
        const enum javm_status status = check_key(&slots[i], field, i, err);
        if (status != JAVM_OK)
            return status;
    }
    if (count < 2)
        return JAVM_OK;
    struct javm_key *sorted = malloc(count * sizeof *sorted);
    if (sorted == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", field);
    memcpy(sorted, slots, count * sizeof *sorted);
    qsort(sorted, count, sizeof *sorted, compare_keys);
    bool twice = false;
    for (uint32_t i = 1; i < count && !twice; i++)
        twice = javm_key_compare(&sorted[i - 1], &sorted[i]) == 0;
    free(sorted);
    return twice ? javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE, "%s: a key is listed twice", field)
                 : JAVM_OK;
}

static enum javm_status admit(const struct javm_image *f, struct javm_error *err)
{
    enum javm_status status = check_code(f, err);
    if (status == JAVM_OK)
        status = check_endpoints(f, err);
    for (uint32_t i = 0; i < f->mapping_count && status == JAVM_OK; i++)
        status = check_mapping(f, i, err);
    if (status == JAVM_OK)
        status = check_pins(f->pinned, f->pinned_count, "pinned", err);
    if (status == JAVM_OK)
        status = check_pins(f->initial, f->initial_count, "initial", err);
    for (uint32_t i = 0; i < f->initial_count && status == JAVM_OK; i++)
        if (javm_image_pinned(f, &f->initial[i].key) != NULL)
            status = javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE,
                               "initial[%u]: its key is pinned as well", i);
    if (status == JAVM_OK)
        status = check_slots(f->gas_slots, f->gas_slot_count, "gas_slots", err);
    if (status == JAVM_OK)
        status = check_slots(f->quota_slots, f->quota_slot_count, "quota_slots", err);
    if (status == JAVM_OK && f->yield_receiver_slot.len > JAVM_MAX_KEY_LEN)
        status = check_key(&f->yield_receiver_slot, "yield_receiver_slot", 0, err);
    return status;
}

/* ---- the body --------------------------------------------------------------------------- */

static struct image_body *body_of(struct javm_image *image)
{
    return (struct image_body *)(void *)((char *)image - offsetof(struct image_body, image));
}

void image_body_share(struct javm_image *image)
{
    atomic_add_relaxed(&body_of(image)->count, 1); /* the caller's cap holds one meanwhile */
}

void image_body_release(struct javm_image *image)
{
    /* Acquire-release: the last holder frees what the others have finished reading. */
    if (image == NULL || atomic_sub_acq_rel(&body_of(image)->count, 1) != 1)
        return;
    const void *const owned[] = {image->code,      image->bitmask,   image->jump_table,
                                 image->endpoints, image->mappings,  image->pinned,
                                 image->initial,   image->gas_slots, image->quota_slots};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free((void *)(uintptr_t)owned[i]);
    free(body_of(image));
}

/* A copy of an array; NULL for an empty one. *ok turns false when memory ran out. */
static void *copy_array(const void *from, uint64_t count, size_t size, bool *ok)
{
    if (count == 0)
        return NULL;
    void *to = count > SIZE_MAX / size ? NULL : malloc((size_t)count * size);
    if (to == NULL)
        *ok = false;
    else
        memcpy(to, from, (size_t)count * size);
    return to;
}

enum javm_status javm_image_new(const struct javm_image *fields, struct javm_cap **cap,
                                struct javm_error *err)
{
    const enum javm_status status = admit(fields, err);
    if (status != JAVM_OK)
        return status;
    struct javm_cap *c = cap_alloc(JAVM_IMAGE);
    struct image_body *body = calloc(1, sizeof *body);
    if (c == NULL || body == NULL) {
        free(c);
        free(body);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "image: out of memory");
    }
    bool ok = true;
    struct javm_image *i = &body->image;
    *i = *fields;
    body->count = 1;
    c->image = i;
    i->code = copy_array(fields->code, i->code_len, 1, &ok);
    i->bitmask = copy_array(fields->bitmask, i->bitmask_len, 1, &ok);
    i->jump_table = copy_array(fields->jump_table, i->jump_count, sizeof *i->jump_table, &ok);
    i->endpoints = copy_array(fields->endpoints, i->endpoint_count, sizeof *i->endpoints, &ok);
    i->mappings = copy_array(fields->mappings, i->mapping_count, sizeof *i->mappings, &ok);
    i->pinned = copy_array(fields->pinned, i->pinned_count, sizeof *i->pinned, &ok);
    i->initial = copy_array(fields->initial, i->initial_count, sizeof *i->initial, &ok);
    i->gas_slots = copy_array(fields->gas_slots, i->gas_slot_count, sizeof *i->gas_slots, &ok);
    i->quota_slots =
        copy_array(fields->quota_slots, i->quota_slot_count, sizeof *i->quota_slots, &ok);
    if (!ok) {
        javm_cap_release(c);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "image: out of memory");
    }
    *cap = c;
    return JAVM_OK;
}

/* ---- readers ---------------------------------------------------------------------------- */

const struct javm_image *javm_image_of(const struct javm_cap *image)
{
    return image->image;
}

uint64_t javm_image_footprint(const struct javm_image *image)
{
    uint64_t pages = 0; /* admitted mappings do not overlap, so the sum is the union */
    for (uint32_t i = 0; i < image->mapping_count; i++)
        pages += image->mappings[i].size / JAVM_PAGE_SIZE;
    return pages;
}

const struct javm_endpoint *javm_image_endpoint(const struct javm_image *image, uint64_t index)
{
    for (uint32_t i = 0; i < image->endpoint_count; i++)
        if (image->endpoints[i].index == index)
            return &image->endpoints[i];
    return NULL;
}

static const struct javm_pin *find_pin(const struct javm_pin *pins, uint32_t count,
                                       const struct javm_key *key)
{
    uint32_t low = 0, high = count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int side = javm_key_compare(&pins[middle].key, key);
        if (side == 0)
            return &pins[middle];
        if (side < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct javm_pin *javm_image_pinned(const struct javm_image *image, const struct javm_key *key)
{
    return find_pin(image->pinned, image->pinned_count, key);
}

const struct javm_pin *javm_image_initial(const struct javm_image *image,
                                          const struct javm_key *key)
{
    return find_pin(image->initial, image->initial_count, key);
}
