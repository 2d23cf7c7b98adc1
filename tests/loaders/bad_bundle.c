/* Bundles and images that are refused, one check each. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/loaders/bad_inputs.h"
#include "tests/loaders/bundle_maker.h"

static const uint8_t zeros[64];

/* ---- bundles ---------------------------------------------------------------------------- */

static struct input finished(struct raw raw)
{
    raw_finish(&raw);
    return (struct input){raw.bytes, raw.len};
}

static struct input one_cap(unsigned kind, const void *body, size_t len)
{
    struct raw raw = raw_bundle(1, 0);
    raw_cap(&raw, kind, body, len);
    return finished(raw);
}

static struct input bundle_changed(size_t at, uint8_t byte, bool repair)
{
    struct javm_bundle bundle = bundle_rich(4);
    struct input input;
    input.bytes = bundle_bytes(&bundle, &input.len);
    javm_bundle_clear(&bundle);
    input.bytes[at] = byte;
    if (repair)
        bundle_fix_checksum(input.bytes, input.len);
    return input;
}

static struct input bundle_text_mode(void)
{
    struct input input = bundle_changed(0, 'J', false);
    memmove(input.bytes + 4, input.bytes + 5, input.len - 5); /* the CR is gone */
    input.len--;
    return input;
}
static struct input bundle_short(void)
{
    struct input input = bundle_changed(0, 'J', false);
    input.len = 40;
    return input;
}
static struct input bundle_cut(void)
{
    struct input input = bundle_changed(0, 'J', false);
    input.len -= 1;
    return input;
}
static struct input bundle_damaged(void)
{
    return bundle_changed(300, 0x77, false);
}
static struct input bundle_version(void)
{
    return bundle_changed(8, 2, false);
}
static struct input bundle_zero_field(void)
{
    return bundle_changed(20, 1, true);
}
static struct input bundle_many_caps(void)
{
    return bundle_changed(14, 0xFF, true);
}
static struct input bundle_many_roots(void)
{
    return bundle_changed(18, 0xFF, true);
}
static struct input bundle_kind(void)
{
    return one_cap(9, zeros, 4);
}
static struct input bundle_body(void)
{
    struct raw raw = raw_bundle(1, 0);
    raw_le(&raw, JAVM_CNODE, 1);
    raw_le(&raw, 1000, 8);
    raw_le(&raw, 0, 4);
    return finished(raw);
}
static struct input bundle_body_huge(void)
{
    struct raw raw = raw_bundle(1, 0);
    raw_le(&raw, JAVM_CNODE, 1);
    raw_le(&raw, UINT64_MAX, 8);
    raw_le(&raw, 0, 4);
    return finished(raw);
}
static struct input bundle_body_long(void)
{
    return one_cap(JAVM_CNODE, zeros, 7);
}
static struct input bundle_after(void)
{
    struct raw raw = raw_bundle(0, 0);
    raw_le(&raw, 0, 5);
    return finished(raw);
}

static struct input data(uint64_t size, uint32_t stored, const uint32_t *pages, uint8_t fill)
{
    static uint8_t page[JAVM_PAGE_SIZE];
    memset(page, fill, sizeof page);
    struct raw body = {0};
    raw_le(&body, size, 8);
    raw_le(&body, stored, 4);
    for (uint32_t i = 0; pages != NULL && i < stored; i++) {
        raw_le(&body, pages[i], 4);
        raw_put(&body, page, sizeof page);
    }
    struct input input = one_cap(JAVM_DATA, body.bytes, body.len);
    free(body.bytes);
    return input;
}

static struct input data_odd(void)
{
    return data(4097, 0, NULL, 0);
}
static struct input data_huge(void)
{
    return data(UINT64_C(0x100001000), 0, NULL, 0);
}
static struct input data_max(void)
{
    return data(UINT64_MAX - 4095, 0, NULL, 0);
}
static struct input data_many_stored(void)
{
    return data(UINT64_C(1) << 32, UINT32_MAX, NULL, 0);
}
static struct input data_stored(void)
{
    return data(8192, 2, NULL, 0);
}
static struct input data_order(void)
{
    return data(16384, 2, (const uint32_t[]){2, 1}, 1);
}
static struct input data_past(void)
{
    return data(8192, 1, (const uint32_t[]){2}, 1);
}
static struct input data_zero(void)
{
    return data(8192, 1, (const uint32_t[]){1}, 0);
}

static struct input cnode(const uint8_t *slots, size_t len, uint32_t count)
{
    struct raw body = {0};
    raw_le(&body, count, 4);
    raw_put(&body, slots, len);
    struct input input = one_cap(JAVM_CNODE, body.bytes, body.len);
    free(body.bytes);
    return input;
}

static struct input cnode_short(void)
{
    return cnode(zeros, 3, 5);
}
static struct input cnode_many(void)
{
    return cnode(zeros, 3, UINT32_MAX);
}
static struct input cnode_empty_key(void)
{
    return cnode(zeros, 33, 1);
}
static struct input cnode_long_key(void)
{
    static const uint8_t slot[42] = {9};
    return cnode(slot, sizeof slot, 1);
}
static struct input cnode_order(void)
{
    static const uint8_t slots[68] = {[0] = 1, [1] = 7, [2] = 1, [34] = 1, [35] = 7, [36] = 1};
    return cnode(slots, sizeof slots, 2);
}
static struct input cnode_zero_hash(void)
{
    static const uint8_t slot[34] = {1, 7};
    return cnode(slot, sizeof slot, 1);
}
static struct input cnode_missing(void)
{
    static const uint8_t slot[34] = {1, 7, 0xAB};
    return cnode(slot, sizeof slot, 1);
}
/* A cap names others by their hash, so a ring would take a hash that is known before its content;
 * what a file can try is to name a cap that comes later. */
static struct input cnode_later(void)
{
    static const uint8_t empty[4];
    struct javm_hash hash;
    struct javm_cap *last = javm_cnode_new();
    cr_assert_eq(javm_cap_hash(last, &hash), JAVM_OK);
    struct raw body = {0}, raw = raw_bundle(2, 0);
    raw_le(&body, 1, 4);
    raw_le(&body, 0x0701, 2); /* key 07 */
    raw_put(&body, hash.bytes, JAVM_HASH_BYTES);
    raw_cap(&raw, JAVM_CNODE, body.bytes, body.len);
    raw_cap(&raw, JAVM_CNODE, empty, sizeof empty);
    free(body.bytes);
    javm_cap_release(last);
    return finished(raw);
}
static struct input type_short(void)
{
    return one_cap(JAVM_TYPE, zeros, 31);
}

/* An instance behind an empty CNode, cap 0. */
static struct input instance(uint8_t status, uint8_t key_len, const struct javm_hash *image,
                             const struct javm_hash *root)
{
    static const struct javm_hash none;
    struct raw body = {0}, raw = raw_bundle(2, 0);
    raw_put(&body, none.bytes, JAVM_HASH_BYTES);
    raw_put(&body, image != NULL ? image->bytes : none.bytes, JAVM_HASH_BYTES);
    raw_put(&body, root != NULL ? root->bytes : none.bytes, JAVM_HASH_BYTES);
    for (unsigned i = 0; i < 15 + 2; i++)
        raw_le(&body, 0, 8);
    raw_le(&body, status, 1);
    raw_le(&body, key_len, 1);
    for (unsigned i = 0; i < key_len; i++)
        raw_le(&body, 5, 1);
    raw_le(&body, 0, 8);
    raw_le(&body, 0, 4);
    raw_cap(&raw, JAVM_CNODE, zeros, 4);
    raw_cap(&raw, JAVM_INSTANCE, body.bytes, body.len);
    free(body.bytes);
    return finished(raw);
}
static struct input instance_status(void)
{
    return instance(3, 0, NULL, NULL);
}
static struct input instance_key(void)
{
    return instance(0, 2, NULL, NULL);
}
static struct input instance_no_key(void)
{
    return instance(1, 0, NULL, NULL);
}
static struct input instance_missing(void)
{
    return instance(0, 0, &(struct javm_hash){{0xEE}}, NULL);
}
static struct input instance_image(void)
{
    struct javm_hash hash;
    struct javm_cap *empty = javm_cnode_new();
    cr_assert_eq(javm_cap_hash(empty, &hash), JAVM_OK);
    javm_cap_release(empty);
    return instance(0, 0, &hash, NULL);
}
static struct input instance_root(void)
{
    struct raw body = {0}, raw = raw_bundle(2, 0);
    struct javm_hash hash, chain = {{1}};
    struct javm_cap *type = javm_type_new(&chain);
    cr_assert_eq(javm_cap_hash(type, &hash), JAVM_OK);
    javm_cap_release(type);
    for (unsigned i = 0; i < 8; i++)
        raw_le(&body, 0, 8);
    raw_put(&body, hash.bytes, JAVM_HASH_BYTES);
    for (unsigned i = 0; i < 15 + 2; i++)
        raw_le(&body, 0, 8);
    raw_le(&body, 0, 2); /* Idle, no key */
    raw_le(&body, 0, 8);
    raw_le(&body, 0, 4);
    raw_cap(&raw, JAVM_TYPE, chain.bytes, JAVM_HASH_BYTES);
    raw_cap(&raw, JAVM_INSTANCE, body.bytes, body.len);
    free(body.bytes);
    return finished(raw);
}
static struct input instance_short(void)
{
    return one_cap(JAVM_INSTANCE, zeros, 50);
}

/* ---- images ----------------------------------------------------------------------------- */

static struct javm_cap *image_cap(const struct javm_image *fields)
{
    struct javm_cap *image;
    struct javm_error err;
    cr_assert_eq(javm_image_new(fields, &image, &err), JAVM_OK, "%s", err.text);
    return image;
}

/* The encoding of an image, `cut` bytes shorter, with a number written `from_end` bytes before its
 * end. */
static struct input image_changed(const struct javm_image *fields, size_t cut, size_t from_end,
                                  uint64_t number, unsigned width)
{
    struct javm_cap *image = image_cap(fields);
    uint8_t *bytes;
    size_t len;
    cr_assert_eq(javm_image_encode(image, &bytes, &len), JAVM_OK);
    for (unsigned i = 0; i < width; i++)
        bytes[len - from_end + i] = (uint8_t)(number >> 8 * i);
    struct input input = one_cap(JAVM_IMAGE, bytes, len - cut);
    free(bytes);
    javm_cap_release(image);
    return input;
}

/* The encoding ends with the counts of pinned 4, initial 4, gas 4, quota 4, and receiver 1; an
 * ephemeral mapping has 17 bytes, a pin with a key of one byte 34, an endpoint without argument
 * slot 126. */
enum { IMAGE_TAIL = 17, MAPPING_BYTES = 17, PIN_BYTES = 34, ENDPOINT_BYTES = 126 };
enum { SECOND_START = IMAGE_TAIL + MAPPING_BYTES, FIRST_SIZE = SECOND_START + MAPPING_BYTES - 8 };

static struct input mapping_changed(size_t from_end, uint64_t number)
{
    const struct javm_mapping maps[] = {{.start = 0x10000000, .size = 0x1000},
                                        {.start = 0x10001000, .size = 0x1000}};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2, .mappings = maps, .mapping_count = 2};
    return image_changed(&fields, 0, from_end, number, 8);
}

static struct input image_cut(void)
{
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2};
    return image_changed(&fields, 3, 1, 0, 0);
}
static struct input image_long_code(void)
{
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2};
    return image_changed(&fields, 0, IMAGE_TAIL + 20, UINT32_MAX, 4);
}
static struct input image_many_mappings(void)
{
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2};
    return image_changed(&fields, 0, IMAGE_TAIL + 4, UINT32_MAX, 4);
}
static struct input image_odd_mapping(void)
{
    return mapping_changed(SECOND_START, 0x10000800);
}
static struct input image_same_address(void)
{
    return mapping_changed(SECOND_START, 0x10000000);
}
static struct input image_overlap(void)
{
    return mapping_changed(FIRST_SIZE, 0x2000);
}
static struct input image_huge_mapping(void)
{
    return mapping_changed(SECOND_START + 8 - MAPPING_BYTES + 1, UINT64_MAX - 4095);
}
static struct input image_wrapping_mapping(void)
{
    return mapping_changed(SECOND_START, UINT64_MAX - 4095);
}

static struct input endpoint_twice(void)
{
    const struct javm_endpoint list[] = {{.index = 3}, {.index = 4}};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2, .endpoints = list, .endpoint_count = 2};
    return image_changed(&fields, 0, IMAGE_TAIL + 4 + ENDPOINT_BYTES, 3, 4);
}
static struct input endpoint_large(void)
{
    const struct javm_endpoint list[] = {{.index = 3}};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2, .endpoints = list, .endpoint_count = 1};
    return image_changed(&fields, 0, IMAGE_TAIL + 4 + ENDPOINT_BYTES, UINT32_MAX, 4);
}
static struct input pinned_twice(void)
{
    const struct javm_pin pins[] = {{{1, {4}}, {{1}}}, {{1, {5}}, {{1}}}};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2, .pinned = pins, .pinned_count = 2};
    return image_changed(&fields, 0, IMAGE_TAIL - 4 + PIN_BYTES - 1, 4, 1);
}
static struct input pinned_and_initial(void)
{
    const struct javm_pin pins[] = {{{1, {4}}, {{1}}}, {{1, {5}}, {{1}}}};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .pinned = pins,
                                      .pinned_count = 1,
                                      .initial = pins + 1,
                                      .initial_count = 1};
    return image_changed(&fields, 0, IMAGE_TAIL - 8 + PIN_BYTES - 1, 4, 1);
}
static struct input pinned_hash(uint8_t first)
{
    const struct javm_pin pin = {{1, {4}}, {{first}}};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2, .pinned = &pin, .pinned_count = 1};
    return image_changed(&fields, 0, 1, 0, 0);
}
static struct input pinned_missing(void)
{
    return pinned_hash(0xCD);
}
static struct input pinned_nothing(void)
{
    return pinned_hash(0);
}

/* The encoding of an image with a Type in a slot of the given list, behind that Type. */
static struct input image_with_type(bool pinned)
{
    struct javm_hash hash;
    struct javm_cap *type = javm_type_new(&(struct javm_hash){{1}});
    cr_assert_eq(javm_cap_hash(type, &hash), JAVM_OK);
    const struct javm_pin pin = {{1, {4}}, hash};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .pinned = &pin,
                                      .pinned_count = pinned,
                                      .initial = &pin,
                                      .initial_count = !pinned};
    struct javm_cap *image = image_cap(&fields);
    uint8_t *bytes;
    size_t len;
    cr_assert_eq(javm_image_encode(image, &bytes, &len), JAVM_OK);
    struct raw raw = raw_bundle(2, 0);
    raw_cap(&raw, JAVM_TYPE, javm_type_chain(type), 32);
    raw_cap(&raw, JAVM_IMAGE, bytes, len);
    free(bytes);
    javm_cap_release(type);
    javm_cap_release(image);
    return finished(raw);
}
static struct input image_pinned_type(void)
{
    return image_with_type(true);
}
static struct input image_initial_type(void)
{
    return image_with_type(false);
}

/* ---- roots ------------------------------------------------------------------------------ */

static struct input root(const char *name, size_t name_len, uint32_t cap, const char *second)
{
    struct raw raw = raw_bundle(1, second == NULL ? 1 : 2);
    raw_cap(&raw, JAVM_CNODE, zeros, 4);
    raw_le(&raw, name_len, 1);
    raw_put(&raw, name, name_len);
    raw_le(&raw, cap, 4);
    if (second != NULL) {
        raw_le(&raw, strlen(second), 1);
        raw_put(&raw, second, strlen(second));
        raw_le(&raw, 0, 4);
    }
    return finished(raw);
}
static struct input root_empty(void)
{
    return root("", 0, 0, "x");
}
static struct input root_utf8(void)
{
    return root("a\xFF", 2, 0, NULL);
}
static struct input root_cap_number(void)
{
    return root("image", 5, 1, NULL);
}
static struct input root_order(void)
{
    return root("image", 5, 0, "image");
}

/* ---- the rows --------------------------------------------------------------------------- */

const struct bad bad_bundles[] = {
    {"copied in text mode", JAVM_E_FORMAT, bundle_text_mode},
    {"only the first 40 bytes", JAVM_E_FORMAT, bundle_short},
    {"the last byte is missing", JAVM_E_FORMAT, bundle_cut},
    {"one byte is damaged", JAVM_E_FORMAT, bundle_damaged},
    {"format version 2", JAVM_E_UNSUPPORTED, bundle_version},
    {"the reserved header field is used", JAVM_E_FORMAT, bundle_zero_field},
    {"16 million caps in a small file", JAVM_E_FORMAT, bundle_many_caps},
    {"16 million roots in a small file", JAVM_E_FORMAT, bundle_many_roots},
    {"a cap of kind 9", JAVM_E_FORMAT, bundle_kind},
    {"a body longer than the file", JAVM_E_FORMAT, bundle_body},
    {"a body of 2^64 - 1 bytes", JAVM_E_FORMAT, bundle_body_huge},
    {"a body longer than its content", JAVM_E_FORMAT, bundle_body_long},
    {"bytes after the last root", JAVM_E_FORMAT, bundle_after},
    {"Data of 4097 bytes", JAVM_E_FORMAT, data_odd},
    {"Data of more than 4 GiB", JAVM_E_FORMAT, data_huge},
    {"Data of 2^64 - 4096 bytes", JAVM_E_FORMAT, data_max},
    {"Data that claims 2^32 - 1 stored pages", JAVM_E_FORMAT, data_many_stored},
    {"Data that ends before its pages", JAVM_E_FORMAT, data_stored},
    {"Data with pages out of order", JAVM_E_FORMAT, data_order},
    {"Data with a page past its size", JAVM_E_FORMAT, data_past},
    {"Data with a zero page stored", JAVM_E_FORMAT, data_zero},
    {"CNode that ends inside a slot", JAVM_E_FORMAT, cnode_short},
    {"CNode that claims 2^32 - 1 slots", JAVM_E_FORMAT, cnode_many},
    {"CNode with an empty key", JAVM_E_FORMAT, cnode_empty_key},
    {"CNode with a key of 9 bytes", JAVM_E_FORMAT, cnode_long_key},
    {"CNode with the same key twice", JAVM_E_FORMAT, cnode_order},
    {"CNode with a zero hash", JAVM_E_FORMAT, cnode_zero_hash},
    {"CNode that names a cap which is not there", JAVM_E_FORMAT, cnode_missing},
    {"CNode that names a cap behind it, as a ring would have to", JAVM_E_FORMAT, cnode_later},
    {"Type of 31 bytes", JAVM_E_FORMAT, type_short},
    {"Instance that ends inside its hashes", JAVM_E_FORMAT, instance_short},
    {"Instance with status 3", JAVM_E_FORMAT, instance_status},
    {"Instance that is Idle and has a yield key", JAVM_E_FORMAT, instance_key},
    {"Instance that is Paused without a yield key", JAVM_E_FORMAT, instance_no_key},
    {"Instance whose image is not there", JAVM_E_FORMAT, instance_missing},
    {"Instance whose image is a CNode", JAVM_E_FORMAT, instance_image},
    {"Instance whose root is a Type", JAVM_E_FORMAT, instance_root},
    {"Image that ends early", JAVM_E_FORMAT, image_cut},
    {"Image that claims 2^32 - 1 bytes of code", JAVM_E_FORMAT, image_long_code},
    {"Image that claims 2^32 - 1 mappings", JAVM_E_FORMAT, image_many_mappings},
    {"Image with a mapping that does not begin on a page", JAVM_E_FORMAT, image_odd_mapping},
    {"Image with two mappings at one address", JAVM_E_FORMAT, image_same_address},
    {"Image with two mappings that overlap", JAVM_E_FORMAT, image_overlap},
    {"Image with a mapping of 2^64 - 4096 bytes", JAVM_E_FORMAT, image_huge_mapping},
    {"Image with a mapping at 2^64 - 4096", JAVM_E_FORMAT, image_wrapping_mapping},
    {"Image with an endpoint twice", JAVM_E_FORMAT, endpoint_twice},
    {"Image with endpoint 2^32 - 1", JAVM_E_FORMAT, endpoint_large},
    {"Image with a slot pinned twice", JAVM_E_FORMAT, pinned_twice},
    {"Image with a slot both pinned and with first content", JAVM_E_FORMAT, pinned_and_initial},
    {"Image with a hash pinned that is not there", JAVM_E_FORMAT, pinned_missing},
    {"Image with the zero hash pinned", JAVM_E_FORMAT, pinned_nothing},
    {"Image with a Type pinned", JAVM_E_FORMAT, image_pinned_type},
    {"Image with a Type as first content", JAVM_E_FORMAT, image_initial_type},
    {"a root without a name", JAVM_E_FORMAT, root_empty},
    {"a root whose name is not UTF-8", JAVM_E_FORMAT, root_utf8},
    {"a root with a cap number past the end", JAVM_E_FORMAT, root_cap_number},
    {"the same root twice", JAVM_E_FORMAT, root_order},
};
const unsigned bad_bundle_count = sizeof bad_bundles / sizeof *bad_bundles;
