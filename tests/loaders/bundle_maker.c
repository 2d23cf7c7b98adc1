#include "tests/loaders/bundle_maker.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static struct javm_hash hash_of(const struct javm_cap *cap)
{
    struct javm_hash hash;
    cr_assert_eq(javm_cap_hash(cap, &hash), JAVM_OK);
    return hash;
}

static void add(struct javm_bundle *bundle, struct javm_cap *cap)
{
    cr_assert_not_null(cap);
    bundle->caps[bundle->cap_count++] = cap;
}

static void set(struct javm_cap *cnode, uint64_t key, const struct javm_cap *cap)
{
    struct javm_key k = javm_key_from_u64(key);
    struct javm_hash hash = hash_of(cap);
    struct javm_target target = javm_target_hash(&hash);
    cr_assert_eq(javm_cnode_set(cnode, &k, &target), JAVM_OK);
}

static struct javm_cap *sparse(uint64_t pages, uint64_t page, uint8_t byte)
{
    uint8_t bytes[JAVM_PAGE_SIZE] = {0};
    bytes[99] = byte;
    struct javm_cap *data = javm_data_new_zero(pages);
    cr_assert_not_null(data);
    cr_assert_eq(javm_data_write_page(data, page, bytes), JAVM_OK);
    return data;
}

static struct javm_cap *some_image(const struct javm_cap *pinned, const struct javm_cap *initial)
{
    static const uint8_t code[] = {0x0B, 0x20, 0, 0};
    const struct javm_endpoint endpoint = {.index = 1, .stack_top = 0x20001000};
    const struct javm_mapping mappings[] = {
        {.start = 0x10000000, .size = 0x1000, .depth = 1, .path = {{1, {1}}}},
        {.start = 0x20000000, .size = 0x1000, .depth = 0}};
    const struct javm_pin pin = {{1, {1}}, hash_of(pinned)},
                          first = {{2, {2, 3}}, hash_of(initial)};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .code = code,
                                      .code_len = sizeof code,
                                      .endpoints = &endpoint,
                                      .endpoint_count = 1,
                                      .mappings = mappings,
                                      .mapping_count = 2,
                                      .pinned = &pin,
                                      .pinned_count = 1,
                                      .initial = &first,
                                      .initial_count = 1};
    struct javm_cap *image;
    struct javm_error err;
    cr_assert_eq(javm_image_new(&fields, &image, &err), JAVM_OK, "%s", err.text);
    return image;
}

static struct javm_cap *some_instance(const struct javm_cap *image, const struct javm_cap *cnode,
                                      bool paused)
{
    struct javm_instance fields = {.pc = 4, .gas_remaining = 1000, .status = JAVM_IDLE};
    fields.image_hash_chain = fields.image_hash = hash_of(image);
    struct javm_hash root = hash_of(cnode);
    fields.root_cnode = javm_target_hash(&root);
    fields.mem = paused ? sparse(3, 1, 7) : javm_data_new_zero(0);
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        fields.regs[i] = 0x0101010101010101u * i;
    if (paused) {
        fields.status = JAVM_PAUSED;
        fields.yield_key = (struct javm_key){3, {0xAA, 0, 0xBB}};
    }
    return javm_instance_new(&fields);
}

static struct javm_cap *some_handle(void)
{
    struct javm_instance fields = {.image_hash_chain = javm_hash_kernel("gas"),
                                   .mem = javm_data_new_zero(0)};
    struct javm_hash zero = {{0}};
    fields.root_cnode = javm_target_hash(&zero);
    fields.regs[0] = 0x1234;
    fields.regs[1] = 2;
    return javm_instance_new(&fields);
}

struct javm_bundle bundle_rich(uint64_t sparse_pages)
{
    static const struct {
        const char *name;
        uint32_t cap;
    } roots[] = {{"zeta \xC3\xA9\xE2\x82\xAC\xF0\x9F\x8C\x8D", 8}, {"image", 5}, {"a", 0}};
    struct javm_bundle b = {.caps = calloc(16, sizeof(struct javm_cap *)),
                            .roots = calloc(4, sizeof *b.roots)};
    cr_assert(b.caps != NULL && b.roots != NULL);
    add(&b, javm_data_new_zero(0));                     /* 0 */
    add(&b, sparse(1, 0, 1));                           /* 1 */
    add(&b, sparse(sparse_pages, sparse_pages - 1, 2)); /* 2 */
    struct javm_hash chain = javm_hash_kernel("quota");
    add(&b, javm_type_new(&chain));            /* 3 */
    add(&b, javm_cnode_new());                 /* 4: empty */
    add(&b, some_image(b.caps[1], b.caps[2])); /* 5 */
    struct javm_cap *cnode = javm_cnode_new();
    set(cnode, 0, b.caps[0]);
    set(cnode, 5, b.caps[2]);
    set(cnode, 0x0105, b.caps[3]);
    set(cnode, UINT64_MAX, b.caps[4]);
    add(&b, cnode);                                     /* 6 */
    add(&b, some_instance(b.caps[5], cnode, false));    /* 7 */
    add(&b, some_instance(b.caps[5], b.caps[4], true)); /* 8 */
    add(&b, some_handle());                             /* 9 */
    for (unsigned i = 0; i < 3; i++) {
        b.roots[i] = (struct javm_bundle_root){strdup(roots[i].name), roots[i].cap};
        b.root_count++;
    }
    return b;
}

uint8_t *bundle_bytes(const struct javm_bundle *bundle, size_t *len)
{
    uint8_t *bytes;
    struct javm_error err;
    cr_assert_eq(javm_bundle_encode(bundle, &bytes, len, &err), JAVM_OK, "%s", err.text);
    return bytes;
}

void bundle_fix_checksum(uint8_t *bytes, size_t len)
{
    struct javm_bytes piece = {bytes, len - JAVM_HASH_BYTES};
    struct javm_hash sum = javm_hash_pieces(&piece, 1);
    memcpy(bytes + len - JAVM_HASH_BYTES, sum.bytes, JAVM_HASH_BYTES);
}

void raw_put(struct raw *raw, const void *bytes, size_t n)
{
    raw->bytes = realloc(raw->bytes, raw->len + n + 1);
    cr_assert_not_null(raw->bytes);
    if (n > 0)
        memcpy(raw->bytes + raw->len, bytes, n);
    raw->len += n;
}

void raw_le(struct raw *raw, uint64_t value, unsigned width)
{
    uint8_t bytes[8];
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
    raw_put(raw, bytes, width);
}

struct raw raw_bundle(uint32_t caps, uint32_t roots)
{
    struct raw raw = {0};
    raw_put(&raw, "JAVM\r\n\x1a\n", 8);
    raw_le(&raw, 1, 4);
    raw_le(&raw, caps, 4);
    raw_le(&raw, roots, 4);
    raw_le(&raw, 0, 4);
    return raw;
}

void raw_cap(struct raw *raw, unsigned kind, const void *body, size_t n)
{
    raw_le(raw, kind, 1);
    raw_le(raw, n, 8);
    raw_put(raw, body, n);
}

void raw_finish(struct raw *raw)
{
    static const uint8_t zero[JAVM_HASH_BYTES];
    raw_put(raw, zero, sizeof zero);
    bundle_fix_checksum(raw->bytes, raw->len);
}
