/* Archived caps: what is refused, and that everything else comes back as it went.
 *
 * Would catch: an offset, count, tag, depth or alignment that is believed; vectors that share bytes
 * and so make much of little; a slot that stands there twice; an error without its place; a value
 * that changes on the way, or one that the wire has no place for and that is sent all the same; a
 * crash or leak when memory runs out. */
#include <criterion/criterion.h>
#include <string.h>

#include "javm/handle.h"
#include "javm/image.h"
#include "javm/nub.h"
#include "tests/caps/heap.h"
#include "tests/nub/examples.h"
#include "tests/require.h"

/* ---- refusals --------------------------------------------------------------------------- */

/* Bytes of an example changed: `value`, in `width` bytes at `at` (from the end when negative). */
static const struct damage {
    const char *what, *example;
    long at;
    unsigned width;
    uint64_t value;
    enum javm_status status;
    long where; /* as `at`; 0: nowhere in particular */
} DAMAGES[] = {
    {"tag 5", "type", 0, 1, 5, JAVM_E_FORMAT, -232},
    {"tag 255", "data", -232, 1, 255, JAVM_E_FORMAT, -232},
    {"slots start behind the root", "cnode", -228, 4, 4, JAVM_E_FORMAT, -228},
    {"slots start in the root", "cnode", -228, 4, (uint32_t)-4, JAVM_E_FORMAT, -228},
    {"slots start before the buffer", "cnode", -228, 4, (uint32_t)-120, JAVM_E_FORMAT, -228},
    {"slots start as far before as can be", "cnode", -228, 4, 0x80000000, JAVM_E_FORMAT, -228},
    {"slots end in the root", "cnode", -224, 4, 4, JAVM_E_FORMAT, -228},
    {"more slots than 32 bits of bytes", "cnode", -224, 4, 0xFFFFFFFF, JAVM_E_FORMAT, -228},
    {"slots not aligned", "cnode", -228, 8, (UINT64_C(2) << 32) | (uint32_t)-114, JAVM_E_FORMAT,
     -228},
    {"size_log 33", "cnode", -231, 1, 33, JAVM_E_RANGE, -231},
    {"a slot beyond size_log", "cnode", -231, 1, 8, JAVM_E_RANGE, 72},
    {"a slot twice", "cnode", 36, 4, 1, JAVM_E_FORMAT, -228},
    {"overlays not aligned", "instance", -132, 4, (uint32_t)-118 + 1, JAVM_E_FORMAT, -132},
    {"an overlay's bytes lie in the root", "instance", 12, 4, 12, JAVM_E_FORMAT, 12},
    {"an overlay's bytes overlap the overlay", "instance", 16, 4, 9, JAVM_E_FORMAT, 12},
    {"an overlay's bytes before the buffer", "instance", 12, 4, (uint32_t)-13, JAVM_E_FORMAT, 12},
    {"endpoints not aligned", "image", -204, 4, (uint32_t)-296, JAVM_E_FORMAT, -204},
    {"more endpoints than bytes", "image", -200, 4, 65, JAVM_E_FORMAT, -204},
    {"a path of nine steps", "image", 164, 4, 9, JAVM_E_FORMAT, 160},
    {"a path in what follows", "image", 160, 4, 0, JAVM_E_FORMAT, 160},
    {"a path longer than its steps", "image", 168, 1, 3, JAVM_E_RANGE, 160},
    {"a step behind the last", "image", 168, 1, 1, JAVM_E_FORMAT, 140},
    {"yield_marker_slot tag 2", "image", -172, 1, 2, JAVM_E_FORMAT, -172},
    {"a jump table not aligned", "pvm", -212, 4, (uint32_t)-29, JAVM_E_FORMAT, -212},
    {"an image that admission refuses", "image", 144, 8, 0x10000001, JAVM_E_RANGE, 0},
};

static size_t place(const struct example *example, long at)
{
    return at < 0 ? example->len - (size_t)-at : (size_t)at;
}

Test(nub_wire, damaged)
{
    for (size_t i = 0; i < sizeof DAMAGES / sizeof *DAMAGES; i++) {
        const struct damage *damage = &DAMAGES[i];
        struct example example;
        struct javm_nub_wire wire;
        struct javm_error err = {.text = ""};
        example_read(damage->example, &example);
        memcpy(example.bytes + place(&example, damage->at), &damage->value, damage->width);
        const enum javm_status status =
            javm_nub_decode_cap(example.bytes, example.len, &wire, &err);
        cr_expect_neq(status, JAVM_OK, "%s", damage->what);
        cr_expect_null(wire.cap, "%s", damage->what);
        if (damage->where != 0) {
            cr_expect_eq(status, damage->status, "%s: %s", damage->what, err.text);
            cr_expect_eq(err.where, place(&example, damage->where), "%s: at %llu: %s", damage->what,
                         (unsigned long long)err.where, err.text);
        }
        cr_expect_gt(strlen(err.text), 10, "%s", damage->what);
    }
    REQUIRE_NO_LEAKS();
}

/* Any part of an example, in a block of its size: the address sanitizer sees what is read behind
 * it.
 */
Test(nub_wire, cut)
{
    static const char *const NAMES[] = {"type", "cnode", "instance", "image", "pvm", "data"};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        struct example example;
        struct javm_nub_wire wire;
        example_read(NAMES[i], &example);
        for (size_t len = 0; len < example.len; len++) {
            uint8_t *part = malloc(len + 1);
            memcpy(part, example.bytes, len);
            const enum javm_status status = javm_nub_decode_cap(part, len, &wire, NULL);
            cr_expect(status != JAVM_OK || (len >= JAVM_NUB_WIRE_ROOT && len % 8 == 0));
            javm_nub_wire_clear(&wire);
            free(part);
        }
    }
    REQUIRE_NO_LEAKS();
}

/* 1000 overlays that all have the same 64 KiB. */
Test(nub_wire, shared_bytes)
{
    const size_t shared = 65536, count = 1000, at = shared + 12 * count;
    const size_t len = at + JAVM_NUB_WIRE_ROOT;
    uint8_t *bytes = calloc(1, len);
    struct javm_nub_wire wire;
    struct javm_error err;
    for (uint32_t i = 0; i < count; i++) {
        const size_t overlay = shared + 12 * (size_t)i;
        const uint32_t fields[3] = {i, (uint32_t) - (int32_t)(overlay + 4), (uint32_t)shared};
        memcpy(bytes + overlay, fields, sizeof fields);
    }
    const uint32_t vec[2] = {(uint32_t) - (int32_t)(12 * count + 100), (uint32_t)count};
    memcpy(bytes + at + 100, vec, sizeof vec);
    cr_assert_eq(len % 8, 0);
    cr_expect_eq(javm_nub_decode_cap(bytes, len, &wire, &err), JAVM_E_FORMAT);
    cr_expect_not_null(strstr(err.text, "other vectors"), "%s", err.text);
    free(bytes);
}

Test(nub_wire, results)
{
    struct example example;
    struct javm_nub_result result;
    example_read("result", &example);
    cr_expect_eq(javm_nub_decode_result(example.bytes, example.len - 1, &result, NULL),
                 JAVM_E_FORMAT);
    cr_expect_eq(javm_nub_decode_result(example.bytes, example.len + 1, &result, NULL),
                 JAVM_E_FORMAT);
    for (unsigned reason = 0; reason < 256; reason++) {
        example.bytes[0] = (uint8_t)reason;
        cr_expect_eq(javm_nub_decode_result(example.bytes, example.len, &result, NULL) == JAVM_OK,
                     reason <= 7 && reason != 5);
    }
}

/* ---- what cannot be sent ---------------------------------------------------------------- */

static void not_sent(struct javm_cap *cap, enum javm_status status, const char *why)
{
    uint8_t *bytes = NULL;
    size_t len = 0;
    struct javm_error err = {.text = ""};
    cr_assert_not_null(cap);
    cr_expect_eq(javm_nub_encode_cap(cap, &bytes, &len, &err), status, "%s", why);
    cr_expect_not_null(strstr(err.text, why), "%s", err.text);
    cr_expect_null(bytes);
    javm_cap_release(cap);
}

static struct javm_cap *image_of(const struct javm_image *fields)
{
    struct javm_cap *cap;
    struct javm_error err;
    cr_assert_eq(javm_image_new(fields, &cap, &err), JAVM_OK, "%s", err.text);
    return cap;
}

static struct javm_cap *cnode_with(const struct javm_key *key, struct javm_target *target)
{
    struct javm_cap *cnode = javm_cnode_new();
    cr_assert_eq(javm_cnode_set(cnode, key, target), JAVM_OK);
    return cnode;
}

Test(nub_wire, not_sent)
{
    struct javm_ref_cell cell = {.count = 3, .directory = 1, .id = 1};
    const struct javm_hash hash = {{1}};
    struct javm_target target = {.kind = JAVM_TARGET_REF, .ref = &cell};
    const struct javm_key one = {1, {1}}, five = {5, {1, 2, 3, 4, 5}}, zeros = {2, {1, 0}};
    not_sent(cnode_with(&one, &target), JAVM_E_LIVE, "CapRef");
    target = javm_target_hash(&hash);
    not_sent(cnode_with(&five, &target), JAVM_E_UNSUPPORTED, "32-bit number");
    target = javm_target_hash(&hash);
    not_sent(cnode_with(&zeros, &target), JAVM_E_UNSUPPORTED, "32-bit number");
    not_sent(javm_yield_receiver(&one, 1), JAVM_E_UNSUPPORTED, "memory of an instance");
    struct javm_image image = {.isa = JAVM_ISA_PVM2, .gas_slots = &one, .gas_slot_count = 1};
    not_sent(image_of(&image), JAVM_E_UNSUPPORTED, "gas_slots");
    image = (struct javm_image){.isa = JAVM_ISA_PVM2, .yield_receiver_slot = five};
    not_sent(image_of(&image), JAVM_E_UNSUPPORTED, "32-bit number");
    struct javm_endpoint endpoint = {.index = 1};
    image = (struct javm_image){.isa = JAVM_ISA_PVM2, .endpoints = &endpoint, .endpoint_count = 1};
    not_sent(image_of(&image), JAVM_E_UNSUPPORTED, "leave numbers out");
    endpoint = (struct javm_endpoint){.arg_cnode_slot = {1, {0}}};
    not_sent(image_of(&image), JAVM_E_UNSUPPORTED, "arg_cnode_slot");
    image = (struct javm_image){.isa = JAVM_ISA_PVM};
    not_sent(image_of(&image), JAVM_E_UNSUPPORTED, "without a bitmask");
    struct javm_instance fields = {.mem = javm_data_new_zero(1), .status = JAVM_FAULTED};
    fields.root_cnode = javm_target_hash(&hash);
    not_sent(javm_instance_new(&fields), JAVM_E_UNSUPPORTED, "not idle");
    fields = (struct javm_instance){.mem = javm_data_new_zero(1), .regs = {[13] = 1}};
    fields.root_cnode = javm_target_hash(&hash);
    not_sent(javm_instance_new(&fields), JAVM_E_UNSUPPORTED, "x3");
    REQUIRE_NO_LEAKS();
}

/* ---- round trips ------------------------------------------------------------------------ */

static struct javm_hash any_hash(struct random *random)
{
    struct javm_hash hash;
    random_bytes(random, hash.bytes, sizeof hash.bytes);
    return hash;
}

static struct javm_key any_key(struct random *random)
{
    return javm_key_from_u64(random_u64(random) & UINT32_MAX >> random_below(random, 32));
}

static struct javm_cap *any_data(struct random *random)
{
    uint8_t bytes[3 * JAVM_PAGE_SIZE] = {0};
    const size_t len = random_below(random, sizeof bytes + 1);
    random_bytes(random, bytes, len / 2);
    return javm_data_new(bytes, len);
}

static struct javm_cap *any_cnode(struct random *random)
{
    struct javm_cap *cnode = javm_cnode_new();
    for (uint64_t i = random_below(random, 40); i > 0; i--) {
        const struct javm_key key = any_key(random);
        const struct javm_hash hash = any_hash(random);
        struct javm_target target = javm_target_hash(&hash);
        REQUIRE(javm_cnode_set(cnode, &key, &target) == JAVM_OK);
    }
    return cnode;
}

static struct javm_cap *any_instance(struct random *random)
{
    const struct javm_hash cnode = any_hash(random);
    struct javm_instance fields = {.image_hash_chain = any_hash(random),
                                   .image_hash = any_hash(random),
                                   .root_cnode = javm_target_hash(&cnode),
                                   .mem = javm_data_new_zero(random_below(random, 100)),
                                   .pc = random_u64(random),
                                   .gas_remaining = random_u64(random)};
    for (unsigned i = 0; i < JAVM_NUM_REGS; i++)
        fields.regs[i] = random_u64(random);
    return javm_instance_new(&fields);
}

static struct javm_cap *any_image(struct random *random)
{
    uint8_t code[64], bitmask[8];
    uint32_t jumps[8];
    struct javm_endpoint endpoints[5] = {0};
    struct javm_mapping mappings[5] = {0};
    struct javm_pin pinned[2] = {{.key = {1, {3}}}, {.key = {2, {3, 1}}}};
    const bool pvm = random_below(random, 2) != 0;
    random_bytes(random, code, sizeof code);
    random_bytes(random, bitmask, sizeof bitmask);
    random_bytes(random, (uint8_t *)jumps, sizeof jumps);
    struct javm_image image = {.isa = pvm ? JAVM_ISA_PVM : JAVM_ISA_PVM2,
                               .code = code,
                               .code_len = pvm ? 64 : random_below(random, 65),
                               .bitmask = bitmask,
                               .bitmask_len = pvm ? 8 : 0,
                               .jump_table = jumps,
                               .jump_count = pvm ? (uint32_t)random_below(random, 9) : 0,
                               .endpoints = endpoints,
                               .endpoint_count = (uint32_t)random_below(random, 6),
                               .mappings = mappings,
                               .mapping_count = (uint32_t)random_below(random, 6),
                               .pinned = pinned,
                               .pinned_count = (uint32_t)random_below(random, 3)};
    for (uint32_t i = 0; i < 5; i++) {
        endpoints[i].index = i;
        endpoints[i].entry_pc = random_u64(random);
        if (random_below(random, 2) != 0) {
            endpoints[i].arg_cnode_slot = any_key(random);
            endpoints[i].arg_cnode_size = (uint8_t)(1 + random_below(random, 255));
        }
        mappings[i].start = 0x10000000 + 0x100000 * (uint64_t)i;
        mappings[i].size = 0x1000 * (1 + random_below(random, 16));
        mappings[i].depth = (uint8_t)random_below(random, 9);
        for (unsigned j = 0; j < mappings[i].depth; j++)
            mappings[i].path[j] = any_key(random);
    }
    if (random_below(random, 2) != 0)
        image.yield_receiver_slot = any_key(random);
    return image_of(&image);
}

static struct javm_cap *any_type(struct random *random)
{
    const struct javm_hash chain = any_hash(random);
    return javm_type_new(&chain);
}

static struct javm_cap *(*const MAKERS[])(struct random *) = {any_instance, any_image, any_data,
                                                              any_cnode, any_type};

/* Equal by hash, and the bytes of the second time are those of the first. */
Test(nub_wire, round_trips)
{
    struct random random = {20};
    for (unsigned round = 0; round < 2000; round++) {
        struct javm_cap *cap = MAKERS[round % 5](&random);
        struct javm_nub_wire wire;
        struct javm_hash sent, got;
        struct javm_error err = {.text = ""};
        uint8_t *bytes, *again;
        size_t len, again_len;
        cr_assert_eq(javm_nub_encode_cap(cap, &bytes, &len, &err), JAVM_OK, "%s", err.text);
        cr_assert_eq(javm_nub_decode_cap(bytes, len, &wire, &err), JAVM_OK, "%s", err.text);
        REQUIRE(javm_cap_hash(cap, &sent) == JAVM_OK && javm_cap_hash(wire.cap, &got) == JAVM_OK);
        cr_assert(javm_hash_equal(&sent, &got), "round %u", round);
        cr_assert_eq(javm_nub_encode_cap(wire.cap, &again, &again_len, &err), JAVM_OK);
        cr_assert(len == again_len && memcmp(bytes, again, len) == 0, "round %u", round);
        free(bytes);
        free(again);
        javm_nub_wire_clear(&wire);
        javm_cap_release(cap);
    }
    REQUIRE_NO_LEAKS();
}

/* ---- memory ----------------------------------------------------------------------------- */

Test(nub_wire, no_memory)
{
    struct random random = {21};
    for (unsigned round = 0; round < 50; round++) {
        struct javm_cap *cap = MAKERS[round % 5](&random);
        struct javm_nub_wire wire;
        uint8_t *bytes = NULL;
        size_t len;
        unsigned long fail_at = 0;
        do {
            heap_arm(++fail_at, false);
            const enum javm_status status = javm_nub_encode_cap(cap, &bytes, &len, NULL);
            cr_assert_eq(status, heap_disarm() ? JAVM_E_NOMEM : JAVM_OK);
            if (status == JAVM_OK)
                break;
        } while (true);
        fail_at = 0;
        do {
            const long blocks = heap_blocks();
            heap_arm(++fail_at, false);
            const enum javm_status status = javm_nub_decode_cap(bytes, len, &wire, NULL);
            const bool failed = heap_disarm();
            cr_assert_eq(status, failed ? JAVM_E_NOMEM : JAVM_OK);
            javm_nub_wire_clear(&wire);
            cr_assert_eq(heap_blocks(), blocks);
            if (!failed)
                break;
        } while (true);
        free(bytes);
        javm_cap_release(cap);
    }
    REQUIRE_NO_LEAKS();
}
