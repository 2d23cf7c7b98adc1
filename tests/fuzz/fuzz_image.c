/* Any bytes as an image: refused with a reason and a place, or admitted, and then they are the one
 * encoding of what they say, admission of the fields alone agrees, and clones and copies have the
 * same hash. The promises that those make who read admitted images are held against each one. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "javm/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool true_always)
{
    if (!true_always)
        abort();
}

static struct javm_hash hash_of(const struct javm_cap *cap)
{
    struct javm_hash hash;
    require(javm_cap_hash(cap, &hash) == JAVM_OK);
    return hash;
}

static void check_refusal(enum javm_status status, const struct javm_error *err, size_t size)
{
    require(status == JAVM_E_FORMAT || status == JAVM_E_RANGE || status == JAVM_E_LIMIT);
    require(err->status == status && err->where <= size && strstr(err->text, ": ") != NULL);
}

static void check_mappings(const struct javm_image *image)
{
    const uint64_t low = image->isa == JAVM_ISA_PVM2 ? JAVM_DATA_BASE : 0x10000;
    uint64_t end = low, pages = 0;
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct javm_mapping *m = &image->mappings[i];
        require(m->start >= end && m->size != 0 && (m->start | m->size) % JAVM_PAGE_SIZE == 0);
        end = m->start + m->size;
        require(end > m->start && end <= UINT64_C(1) << 32 && m->depth <= JAVM_MAX_SOURCE_DEPTH);
        pages += m->size / JAVM_PAGE_SIZE;
    }
    require(javm_image_footprint(image) == pages);
}

static void check_lookups(const struct javm_image *image)
{
    require(image->endpoint_count <= JAVM_MAX_ENDPOINTS);
    for (uint32_t i = 0; i < image->endpoint_count; i++)
        require(javm_image_endpoint(image, image->endpoints[i].index) == &image->endpoints[i]);
    for (uint32_t i = 0; i < image->pinned_count; i++)
        require(javm_image_pinned(image, &image->pinned[i].key) == &image->pinned[i]);
    for (uint32_t i = 0; i < image->initial_count; i++) {
        require(javm_image_initial(image, &image->initial[i].key) == &image->initial[i]);
        require(javm_image_pinned(image, &image->initial[i].key) == NULL);
    }
}

static void check_admitted(const struct javm_cap *cap, const uint8_t *data, size_t size)
{
    struct javm_cap *copy = NULL, *clone = javm_cap_clone(cap);
    uint8_t *again;
    size_t len;
    require(javm_image_encode(cap, &again, &len) == JAVM_OK);
    require(len == size && memcmp(again, data, size) == 0);
    free(again);
    require(clone != NULL && javm_image_new(javm_image_of(clone), &copy, NULL) == JAVM_OK);
    const struct javm_hash first = hash_of(cap), second = hash_of(clone), third = hash_of(copy);
    require(javm_hash_equal(&first, &second) && javm_hash_equal(&first, &third));
    javm_cap_release(clone);
    javm_cap_release(copy);
    check_mappings(javm_image_of(cap));
    check_lookups(javm_image_of(cap));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct javm_cap *cap = NULL;
    struct javm_error err = {.text = ""};
    const enum javm_status status = javm_image_decode(data, size, &cap, &err);
    if (status != JAVM_OK) {
        require(cap == NULL && javm_image_decode(data, size, &cap, NULL) == status);
        check_refusal(status, &err, size);
        return 0;
    }
    check_admitted(cap, data, size);
    javm_cap_release(cap);
    return 0;
}
