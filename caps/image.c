/* The body of an image cap: made from admitted fields, shared by clones, read by everyone. */
#include "javm/image.h"

#include <stdlib.h>
#include <string.h>

#include "caps/atomic.h"
#include "caps/cap_impl.h"

/* ---- life ------------------------------------------------------------------------------- */

struct image_body *image_body_share(struct image_body *body)
{
    atomic_add_relaxed(&body->count, 1); /* relaxed: the cap that is cloned holds it meanwhile */
    return body;
}

void image_body_release(struct image_body *body)
{
    /* Acquire-release: partner is every other holder's release; the last one frees what the others
     * have finished reading. */
    if (body == NULL || atomic_sub_acq_rel(&body->count, 1) != 1)
        return;
    const struct javm_image *i = &body->image;
    const void *const owned[] = {i->code,   i->bitmask, i->jump_table, i->endpoints,  i->mappings,
                                 i->pinned, i->initial, i->gas_slots,  i->quota_slots};
    for (size_t n = 0; n < sizeof owned / sizeof *owned; n++)
        free((void *)(uintptr_t)owned[n]);
    free(body);
}

uint64_t image_body_bytes(const struct image_body *body)
{
    const struct javm_image *i = &body->image;
    return sizeof *body + i->code_len + i->bitmask_len +
           (uint64_t)i->jump_count * sizeof *i->jump_table +
           (uint64_t)i->endpoint_count * sizeof *i->endpoints +
           (uint64_t)i->mapping_count * sizeof *i->mappings +
           ((uint64_t)i->pinned_count + i->initial_count) * sizeof(struct javm_pin) +
           ((uint64_t)i->gas_slot_count + i->quota_slot_count) * sizeof(struct javm_key);
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

static bool copy_arrays(struct javm_image *to, const struct javm_image *from)
{
    bool ok = true;
    *to = *from;
    to->code = copy_array(from->code, from->code_len, 1, &ok);
    to->bitmask = copy_array(from->bitmask, from->bitmask_len, 1, &ok);
    to->jump_table = copy_array(from->jump_table, from->jump_count, sizeof *to->jump_table, &ok);
    to->endpoints = copy_array(from->endpoints, from->endpoint_count, sizeof *to->endpoints, &ok);
    to->mappings = copy_array(from->mappings, from->mapping_count, sizeof *to->mappings, &ok);
    to->pinned = copy_array(from->pinned, from->pinned_count, sizeof *to->pinned, &ok);
    to->initial = copy_array(from->initial, from->initial_count, sizeof *to->initial, &ok);
    to->gas_slots = copy_array(from->gas_slots, from->gas_slot_count, sizeof *to->gas_slots, &ok);
    to->quota_slots =
        copy_array(from->quota_slots, from->quota_slot_count, sizeof *to->quota_slots, &ok);
    return ok;
}

enum javm_status image_make(const struct javm_image *admitted, struct javm_cap **cap,
                            struct javm_error *err)
{
    struct javm_cap *made = cap_alloc(JAVM_IMAGE);
    struct image_body *body = calloc(1, sizeof *body);
    if (made != NULL && body != NULL) {
        made->image = body;
        body->count = 1;
        if (copy_arrays(&body->image, admitted)) {
            *cap = made;
            return JAVM_OK;
        }
        body = NULL; /* released with the cap */
    }
    free(body);
    javm_cap_release(made);
    return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "image: out of memory");
}

enum javm_status javm_image_new(const struct javm_image *fields, struct javm_cap **cap,
                                struct javm_error *err)
{
    struct image_place place;
    const enum javm_status status = image_admit(fields, &place, err);
    return status == JAVM_OK ? image_make(fields, cap, err) : status;
}

/* ---- readers ---------------------------------------------------------------------------- */

const struct javm_image *javm_image_of(const struct javm_cap *image)
{
    return &image->image->image;
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
