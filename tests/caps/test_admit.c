/* Admission of images: each rule broken in turn, and what lies just inside each limit.
 *
 * Would catch: a rule that is not checked, or off by one; a refusal that names another field or
 * element, or has another byte offset when the same image is decoded; arithmetic that wraps; an
 * error written on success, or a result on failure; a limit that refuses what the specification
 * allows. */
#include <sys/mman.h>

#include "caps/atomic.h"
#include "tests/caps/draft.h"
#include "tests/caps/support.h"

static struct javm_cap *const untouched = (struct javm_cap *)(uintptr_t)8;

/* ---- what admission refuses ------------------------------------------------------------- */

#define WHOLE     UINT32_MAX
#define BREAK(do) static void do(struct draft * d)

struct refusal {
    void (*break_it)(struct draft *draft);
    enum javm_isa isa;
    enum javm_status status;
    enum draft_field field;
    uint32_t element; /* or WHOLE */
    const char *rest; /* of the text, behind the place; up to a point where numbers differ */
    bool in_memory_only;
};

BREAK(isa_2)
{
    d->image.isa = (enum javm_isa)2;
}
BREAK(isa_255)
{
    d->image.isa = (enum javm_isa)255;
}
BREAK(bitmask_of_one_byte)
{
    d->image.bitmask_len = 1;
}
BREAK(one_jump)
{
    d->image.jump_count = 1;
}
BREAK(bitmask_short)
{
    d->image.bitmask_len = 2; /* 20 bytes of code need 3 */
}
BREAK(bitmask_long)
{
    d->image.bitmask_len = 4;
}
BREAK(bitmask_of_16)
{
    d->image.code_len = 16;
}
BREAK(bitmask_of_25)
{
    d->image.code_len = 25;
}
BREAK(bitmask_none)
{
    d->image.bitmask_len = 0;
}
BREAK(code_of_4_gib)
{
    d->image.code_len = UINT64_C(1) << 32; /* refused before a byte is read */
}
BREAK(code_beyond)
{
    d->image.code_len = UINT64_MAX;
}
BREAK(code_of_252_mib)
{
    d->image.code_len = JAVM_CODE_MAX + 1;
}
BREAK(endpoint_64)
{
    d->endpoints[2].index = JAVM_MAX_ENDPOINTS;
}
BREAK(endpoint_beyond)
{
    d->endpoints[0].index = UINT32_MAX;
}
BREAK(endpoint_twice)
{
    d->endpoints[2].index = d->endpoints[1].index;
}
BREAK(endpoint_order)
{
    d->endpoints[1].index = 0;
    d->endpoints[0].index = 1;
}
BREAK(endpoint_slot_long)
{
    d->endpoints[1].arg_cnode_slot.len = 9;
}
BREAK(endpoint_slot_dirty)
{
    d->endpoints[0].arg_cnode_slot.bytes[7] = 1;
}
BREAK(endpoint_slot_none_dirty)
{
    d->endpoints[1].arg_cnode_slot.bytes[0] = 1;
}
BREAK(start_odd)
{
    d->mappings[1].start += 1;
}
BREAK(start_half)
{
    d->mappings[1].start += 0x800;
}
BREAK(size_none)
{
    d->mappings[1].size = 0;
}
BREAK(size_odd)
{
    d->mappings[2].size += 1;
}
BREAK(start_low)
{
    d->mappings[0].start = 0x0FFFF000;
}
BREAK(start_low_pvm)
{
    d->mappings[0].start = 0xF000;
}
BREAK(start_none_pvm)
{
    d->mappings[0].start = 0;
}
BREAK(start_at_the_end)
{
    d->mappings[2].start = UINT64_C(1) << 32;
}
BREAK(start_far_beyond)
{
    d->mappings[2].start = UINT64_MAX - 0xFFF;
}
BREAK(one_page_too_many)
{
    d->mappings[2].start = 0xFFFFF000;
    d->mappings[2].size = 0x2000;
}
BREAK(end_wraps)
{
    d->mappings[2].start = 0xFFFFF000;
    d->mappings[2].size = UINT64_MAX - 0xFFF;
}
BREAK(mapping_overlap)
{
    d->mappings[0].size = 0x10001000;
}
BREAK(mapping_twice)
{
    d->mappings[2].start = d->mappings[1].start;
}
BREAK(mapping_inside)
{
    d->mappings[1].size = 0x20000000;
    d->mappings[2].start = 0x30000000;
    d->mappings[2].size = 0x1000;
}
BREAK(mapping_order)
{
    d->mappings[0].start = 0x50000000;
}
BREAK(path_of_9)
{
    d->mappings[1].depth = 9;
    for (unsigned k = 0; k < JAVM_MAX_SOURCE_DEPTH; k++)
        d->mappings[1].path[k] = KEY("\1");
}
BREAK(path_key_none)
{
    d->mappings[2].path[1].len = 0;
}
BREAK(path_key_long)
{
    d->mappings[1].path[0].len = 9;
}
BREAK(path_key_dirty)
{
    d->mappings[2].path[1].bytes[2] = 1;
}
BREAK(pinned_order)
{
    const struct javm_pin pin = d->pinned[0];
    d->pinned[0] = d->pinned[1];
    d->pinned[1] = pin;
}
BREAK(pinned_twice)
{
    d->pinned[2].key = d->pinned[1].key;
}
BREAK(pinned_longer_first)
{
    d->pinned[0].key = KEY("\1\0");
    d->pinned[1].key = KEY("\1");
}
BREAK(pinned_none)
{
    d->pinned[1].key = (struct javm_key){.len = 0};
}
BREAK(pinned_long)
{
    d->pinned[1].key.len = 9;
}
BREAK(pinned_dirty)
{
    d->pinned[0].key.bytes[1] = 1;
}
BREAK(initial_order)
{
    d->initial[0].key = KEY("\x7f");
}
BREAK(initial_twice)
{
    d->initial[1].key = d->initial[0].key;
}
BREAK(initial_none)
{
    d->initial[0].key = (struct javm_key){.len = 0};
}
BREAK(initial_dirty)
{
    d->initial[2].key.bytes[7] = 1;
}
BREAK(initial_is_pinned)
{
    d->initial[2].key = d->pinned[2].key;
}
BREAK(gas_twice)
{
    d->gas[2] = d->gas[0];
}
BREAK(gas_three_times)
{
    d->gas[1] = d->gas[2] = d->gas[0]; /* the first repetition is the one to name */
}
BREAK(gas_none)
{
    d->gas[1] = (struct javm_key){.len = 0};
}
BREAK(gas_long)
{
    d->gas[0].len = 200;
}
BREAK(gas_dirty)
{
    d->gas[0].bytes[3] = 1;
}
BREAK(quota_twice)
{
    d->quota[1] = d->quota[0];
}
BREAK(quota_none)
{
    d->quota[2] = (struct javm_key){.len = 0};
}
BREAK(quota_dirty)
{
    d->quota[2].bytes[2] = 0xff;
}
BREAK(receiver_long)
{
    d->image.yield_receiver_slot.len = 9;
}
BREAK(receiver_dirty)
{
    d->image.yield_receiver_slot.len = 7;
}
BREAK(receiver_none_dirty)
{
    d->image.yield_receiver_slot.len = 0;
}

#define PVM  JAVM_ISA_PVM
#define PVM2 JAVM_ISA_PVM2

/* clang-format off */
static const struct refusal refusals[] = {
    {isa_2, PVM2, JAVM_E_FORMAT, DRAFT_ISA, WHOLE, ": 2, expected 0 (PVM) or 1 (PVM2)", false},
    {isa_255, PVM, JAVM_E_FORMAT, DRAFT_ISA, WHOLE, ": 255, ", false},
    {bitmask_of_one_byte, PVM2, JAVM_E_FORMAT, DRAFT_BITMASK, WHOLE, ": 1 bytes, expected none", false},
    {one_jump, PVM2, JAVM_E_FORMAT, DRAFT_JUMP_TABLE, WHOLE, ": 1 entries, expected none", false},
    {bitmask_short, PVM, JAVM_E_FORMAT, DRAFT_BITMASK, WHOLE, ": 2 bytes, expected 3", false},
    {bitmask_long, PVM, JAVM_E_FORMAT, DRAFT_BITMASK, WHOLE, ": 4 bytes, expected 3", false},
    {bitmask_of_16, PVM, JAVM_E_FORMAT, DRAFT_BITMASK, WHOLE, ": 3 bytes, expected 2", false},
    {bitmask_of_25, PVM, JAVM_E_FORMAT, DRAFT_BITMASK, WHOLE, ": 3 bytes, expected 4", false},
    {bitmask_none, PVM, JAVM_E_FORMAT, DRAFT_BITMASK, WHOLE, ": 0 bytes, expected 3", false},
    {code_of_4_gib, PVM, JAVM_E_LIMIT, DRAFT_CODE, WHOLE, ": 4294967296 bytes, ", true},
    {code_beyond, PVM, JAVM_E_LIMIT, DRAFT_CODE, WHOLE, ": 18446744073709551615 bytes, ", true},
    {code_of_4_gib, PVM2, JAVM_E_LIMIT, DRAFT_CODE, WHOLE, ": 4294967296 bytes, ", true},
    {code_of_252_mib, PVM2, JAVM_E_LIMIT, DRAFT_CODE, WHOLE,
     ": 264241153 bytes, expected at most 264241152 (252 MiB)", true},
    {endpoint_64, PVM2, JAVM_E_RANGE, DRAFT_ENDPOINT, 2, ".index: 64, expected less than 64", false},
    {endpoint_beyond, PVM, JAVM_E_RANGE, DRAFT_ENDPOINT, 0, ".index: 4294967295, ", false},
    {endpoint_twice, PVM2, JAVM_E_FORMAT, DRAFT_ENDPOINT, 2, ".index: 3 does not follow 3", false},
    {endpoint_order, PVM2, JAVM_E_FORMAT, DRAFT_ENDPOINT, 1, ".index: 0 does not follow 1", false},
    {endpoint_slot_long, PVM2, JAVM_E_RANGE, DRAFT_ENDPOINT, 1, ".arg_cnode_slot: a key of 9 bytes", true},
    {endpoint_slot_dirty, PVM2, JAVM_E_FORMAT, DRAFT_ENDPOINT, 0, ".arg_cnode_slot: ", true},
    {endpoint_slot_none_dirty, PVM2, JAVM_E_RANGE, DRAFT_ENDPOINT, 1, ".arg_cnode_slot: ", true},
    {start_odd, PVM2, JAVM_E_RANGE, DRAFT_MAPPING, 1, ".start: 0x20000001, ", false},
    {start_half, PVM, JAVM_E_RANGE, DRAFT_MAPPING, 1, ".start: 0x20000800, ", false},
    {size_none, PVM2, JAVM_E_RANGE, DRAFT_MAPPING, 1, ".size: 0x0, ", false},
    {size_odd, PVM2, JAVM_E_RANGE, DRAFT_MAPPING, 2, ".size: 0x3001, ", false},
    {start_low, PVM2, JAVM_E_RANGE, DRAFT_MAPPING, 0, ": 0xffff000+0x1000 is not inside [0x10000000, ", false},
    {start_low_pvm, PVM, JAVM_E_RANGE, DRAFT_MAPPING, 0, ": 0xf000+0x1000 is not inside [0x10000, ", false},
    {start_none_pvm, PVM, JAVM_E_RANGE, DRAFT_MAPPING, 0, ": 0x0+0x1000 is not inside", false},
    {start_at_the_end, PVM2, JAVM_E_RANGE, DRAFT_MAPPING, 2, ": 0x100000000+0x3000 is not inside", false},
    {start_at_the_end, PVM, JAVM_E_RANGE, DRAFT_MAPPING, 2, ": 0x100000000+0x3000 is not inside", false},
    {start_far_beyond, PVM2, JAVM_E_RANGE, DRAFT_MAPPING, 2, ": 0xfffffffffffff000+0x3000 ", false},
    {one_page_too_many, PVM2, JAVM_E_RANGE, DRAFT_MAPPING, 2, ": 0xfffff000+0x2000 is not inside", false},
    {end_wraps, PVM2, JAVM_E_RANGE, DRAFT_MAPPING, 2, ": 0xfffff000+0xfffffffffffff000 ", false},
    {end_wraps, PVM, JAVM_E_RANGE, DRAFT_MAPPING, 2, ": 0xfffff000+0xfffffffffffff000 ", false},
    {mapping_overlap, PVM2, JAVM_E_RANGE, DRAFT_MAPPING, 1, ": 0x20000000+0x2000 overlaps mappings[0]", false},
    {mapping_twice, PVM2, JAVM_E_RANGE, DRAFT_MAPPING, 2, ": 0x20000000+0x3000 overlaps mappings[1]", false},
    {mapping_inside, PVM2, JAVM_E_RANGE, DRAFT_MAPPING, 2, ": 0x30000000+0x1000 overlaps mappings[1]", false},
    {mapping_order, PVM2, JAVM_E_FORMAT, DRAFT_MAPPING, 1, ".start: 0x20000000 does not follow", false},
    {path_of_9, PVM2, JAVM_E_RANGE, DRAFT_MAPPING, 1, ".source: a path of 9 keys", true},
    {path_key_none, PVM2, JAVM_E_RANGE, DRAFT_MAPPING, 2, ".source[1]: a key of 0 bytes", true},
    {path_key_long, PVM2, JAVM_E_RANGE, DRAFT_MAPPING, 1, ".source[0]: a key of 9 bytes", true},
    {path_key_dirty, PVM2, JAVM_E_FORMAT, DRAFT_MAPPING, 2, ".source[1]: ", true},
    {pinned_order, PVM2, JAVM_E_FORMAT, DRAFT_PINNED, 1, ".key: 0x01 does not follow 0x0304", false},
    {pinned_twice, PVM2, JAVM_E_FORMAT, DRAFT_PINNED, 2, ".key: 0x0304 does not follow 0x0304", false},
    {pinned_longer_first, PVM2, JAVM_E_FORMAT, DRAFT_PINNED, 1, ".key: 0x01 does not follow 0x0100", false},
    {pinned_none, PVM2, JAVM_E_RANGE, DRAFT_PINNED, 1, ".key: a key of 0 bytes", true},
    {pinned_long, PVM2, JAVM_E_RANGE, DRAFT_PINNED, 1, ".key: a key of 9 bytes", true},
    {pinned_dirty, PVM2, JAVM_E_FORMAT, DRAFT_PINNED, 0, ".key: a key of 1 bytes has byte 1 set", true},
    {initial_order, PVM2, JAVM_E_FORMAT, DRAFT_INITIAL, 1, ".key: 0x0405 does not follow 0x7f", false},
    {initial_twice, PVM2, JAVM_E_FORMAT, DRAFT_INITIAL, 1, ".key: 0x02 does not follow 0x02", false},
    {initial_none, PVM2, JAVM_E_RANGE, DRAFT_INITIAL, 0, ".key: a key of 0 bytes", true},
    {initial_dirty, PVM2, JAVM_E_FORMAT, DRAFT_INITIAL, 2, ".key: ", true},
    {initial_is_pinned, PVM2, JAVM_E_FORMAT, DRAFT_INITIAL, 2, ".key: 0x050607 is pinned", false},
    {gas_twice, PVM2, JAVM_E_FORMAT, DRAFT_GAS, 2, ": 0x70 is listed already, as number 0", false},
    {gas_three_times, PVM, JAVM_E_FORMAT, DRAFT_GAS, 1, ": 0x70 is listed already, as number 0", false},
    {gas_none, PVM2, JAVM_E_RANGE, DRAFT_GAS, 1, ": a key of 0 bytes", true},
    {gas_long, PVM2, JAVM_E_RANGE, DRAFT_GAS, 0, ": a key of 200 bytes", true},
    {gas_dirty, PVM2, JAVM_E_FORMAT, DRAFT_GAS, 0, ": a key of 1 bytes has byte 3 set", true},
    {quota_twice, PVM2, JAVM_E_FORMAT, DRAFT_QUOTA, 1, ": 0x6061 is listed already, as number 0", false},
    {quota_none, PVM2, JAVM_E_RANGE, DRAFT_QUOTA, 2, ": a key of 0 bytes", true},
    {quota_dirty, PVM2, JAVM_E_FORMAT, DRAFT_QUOTA, 2, ": a key of 2 bytes has byte 2 set", true},
    {receiver_long, PVM2, JAVM_E_RANGE, DRAFT_RECEIVER, WHOLE, ": a key of 9 bytes, expected 1 to 8", true},
    {receiver_dirty, PVM2, JAVM_E_FORMAT, DRAFT_RECEIVER, WHOLE, ": a key of 7 bytes has byte 7 set", true},
    {receiver_none_dirty, PVM2, JAVM_E_RANGE, DRAFT_RECEIVER, WHOLE, ": a key of 0 bytes", true},
};
/* clang-format on */
#define REFUSALS (sizeof refusals / sizeof *refusals)

/* The text is "field[element]" and then `rest`. */
static void expect_error(const struct refusal *refusal, size_t number, const struct javm_error *err)
{
    char expected[240];
    const char *name = draft_field_names[refusal->field];
    if (refusal->element == WHOLE)
        snprintf(expected, sizeof expected, "%s%s", name, refusal->rest);
    else
        snprintf(expected, sizeof expected, "%s[%u]%s", name, refusal->element, refusal->rest);
    cr_expect(strncmp(err->text, expected, strlen(expected)) == 0, "refusal %zu: \"%s\"", number,
              err->text);
    cr_expect_eq(err->status, refusal->status, "refusal %zu", number);
}

Test(admit, refusals)
{
    static struct draft draft;
    for (size_t i = 0; i < REFUSALS; i++) {
        struct javm_error err = {.text = ""};
        struct javm_cap *cap = untouched;
        draft_rich(&draft, refusals[i].isa);
        refusals[i].break_it(&draft);
        cr_expect_eq(javm_image_new(&draft.image, &cap, &err), refusals[i].status, "refusal %zu",
                     i);
        expect_error(&refusals[i], i, &err);
        cr_expect_eq(err.where, JAVM_NOWHERE);
        cr_expect_eq(javm_image_new(&draft.image, &cap, NULL), refusals[i].status);
        cr_expect_eq(cap, untouched, "refusal %zu wrote a result", i);
    }
    REQUIRE_NO_LEAKS();
}

/* The same defects in bytes: the same words, and the offset of the field or list element. */
Test(admit, refusals_when_decoding)
{
    static struct draft draft;
    static struct draft_bytes bytes;
    size_t tried = 0;
    for (size_t i = 0; i < REFUSALS; i++) {
        struct javm_error err = {.text = ""};
        struct javm_cap *cap = untouched;
        const struct refusal *refusal = &refusals[i];
        if (refusal->in_memory_only) /* no bytes spell it, or the decoder is first: test_decode.c */
            continue;
        draft_rich(&draft, refusal->isa);
        refusal->break_it(&draft);
        draft_encode(&draft.image, &bytes);
        cr_expect_eq(javm_image_decode(bytes.bytes, bytes.len, &cap, &err), refusal->status,
                     "refusal %zu", i);
        expect_error(refusal, i, &err);
        cr_expect_eq(err.where,
                     refusal->element == WHOLE ? bytes.field[refusal->field]
                                               : bytes.element[refusal->field][refusal->element],
                     "refusal %zu: offset %d", i, (int)err.where);
        cr_expect_eq(javm_image_decode(bytes.bytes, bytes.len, &cap, NULL), refusal->status);
        cr_expect_eq(cap, untouched);
        tried++;
    }
    cr_expect_gt(tried, 30);
    REQUIRE_NO_LEAKS();
}

/* Of several defects the one in the first field is named. */
Test(admit, first_defect)
{
    static struct draft draft;
    struct javm_error err = {.text = ""};
    struct javm_cap *cap;
    draft_rich(&draft, JAVM_ISA_PVM2);
    gas_twice(&draft);
    pinned_order(&draft);
    size_odd(&draft);
    cr_expect_neq(javm_image_new(&draft.image, &cap, &err), JAVM_OK);
    cr_expect(strncmp(err.text, "mappings[2].size: ", 18) == 0, "%s", err.text);
}

/* ---- what it must not refuse ------------------------------------------------------------ */

/* Admitted from memory, written as the test writes it, and admitted from those bytes. */
static void expect_admitted(const struct draft *draft)
{
    static struct draft_bytes expected;
    struct javm_error err, before;
    struct javm_cap *cap, *again;
    uint8_t *bytes;
    size_t len;
    memset(&err, 0xAA, sizeof err);
    before = err;
    cr_assert_eq(javm_image_new(&draft->image, &cap, &err), JAVM_OK, "%s", err.text);
    cr_assert_eq(javm_image_encode(cap, &bytes, &len), JAVM_OK);
    draft_encode(&draft->image, &expected);
    cr_assert_eq(len, expected.len);
    cr_expect_arr_eq(bytes, expected.bytes, len);
    cr_assert_eq(javm_image_decode(bytes, len, &again, &err), JAVM_OK, "%s", err.text);
    cr_expect_arr_eq(&err, &before, sizeof err, "an error was written on success");
    const struct javm_hash a = cap_hash_of(cap), b = cap_hash_of(again);
    cr_expect(javm_hash_equal(&a, &b));
    free(bytes);
    javm_cap_release(cap);
    javm_cap_release(again);
}

Test(accept, empty_and_rich)
{
    static struct draft draft;
    for (int isa = JAVM_ISA_PVM; isa <= JAVM_ISA_PVM2; isa++) {
        draft_empty(&draft, (enum javm_isa)isa);
        expect_admitted(&draft);
        draft_rich(&draft, (enum javm_isa)isa);
        expect_admitted(&draft);
    }
    REQUIRE_NO_LEAKS();
}

Test(accept, bitmasks)
{
    static struct draft draft;
    for (uint64_t len = 0; len <= 64; len++) {
        draft_empty(&draft, JAVM_ISA_PVM);
        draft.image.code_len = len;
        draft.image.bitmask_len = (len + 7) / 8;
        expect_admitted(&draft);
    }
}

Test(accept, endpoints)
{
    static struct draft draft;
    draft_empty(&draft, JAVM_ISA_PVM2);
    for (uint32_t i = 0; i < JAVM_MAX_ENDPOINTS; i++)
        draft.endpoints[i] = (struct javm_endpoint){.index = i,
                                                    .entry_pc = UINT64_MAX, /* met when called */
                                                    .stack_top = UINT64_MAX,
                                                    .arg_cnode_size = 255};
    draft.image.endpoint_count = JAVM_MAX_ENDPOINTS;
    expect_admitted(&draft);
    draft.endpoints[JAVM_MAX_ENDPOINTS].index = JAVM_MAX_ENDPOINTS; /* the 65th has no index left */
    draft.image.endpoint_count = JAVM_MAX_ENDPOINTS + 1;
    struct javm_cap *cap;
    cr_expect_eq(javm_image_new(&draft.image, &cap, NULL), JAVM_E_RANGE);
    draft.endpoints[0].index = JAVM_MAX_ENDPOINTS - 1;
    draft.image.endpoint_count = 1;
    expect_admitted(&draft);
}

Test(accept, mappings)
{
    static struct draft draft;
    static const struct {
        enum javm_isa isa;
        uint64_t start, size;
    } whole[] = {{JAVM_ISA_PVM2, 0x10000000, 0xF0000000}, {JAVM_ISA_PVM, 0x10000, 0xFFFF0000}};
    for (unsigned i = 0; i < 2; i++) {
        draft_empty(&draft, whole[i].isa);
        draft.image.mapping_count = 1;
        draft.mappings[0] = (struct javm_mapping){.start = whole[i].start, .size = whole[i].size};
        expect_admitted(&draft);
        cr_expect_eq(javm_image_footprint(&draft.image), whole[i].size / JAVM_PAGE_SIZE);
        draft.mappings[0] = (struct javm_mapping){.start = 0xFFFFF000, .size = 0x1000};
        expect_admitted(&draft);
        draft.image.mapping_count = 3; /* touching is not overlapping */
        for (unsigned k = 0; k < 3; k++)
            draft.mappings[k] =
                (struct javm_mapping){.start = whole[i].start + k * 0x2000, .size = 0x2000};
        expect_admitted(&draft);
        cr_expect_eq(javm_image_footprint(&draft.image), 6);
    }
}

Test(accept, paths)
{
    static struct draft draft;
    draft_empty(&draft, JAVM_ISA_PVM2);
    draft.image.mapping_count = JAVM_MAX_SOURCE_DEPTH + 1;
    for (uint8_t i = 0; i <= JAVM_MAX_SOURCE_DEPTH; i++) { /* every depth and every key length */
        draft.mappings[i] =
            (struct javm_mapping){.start = 0x10000000u * (i + 1u), .size = 0x1000, .depth = i};
        for (uint8_t k = 0; k < i; k++)
            draft.mappings[i].path[k] = key_of("\0\0\0\0\0\0\0", (size_t)k + 1);
    }
    expect_admitted(&draft);
}

Test(accept, slots)
{
    static struct draft draft;
    draft_rich(&draft, JAVM_ISA_PVM2);
    /* A slot may stand in several lists; only pinned and initial exclude each other. */
    draft.gas[0] = draft.quota[1] = draft.image.yield_receiver_slot = draft.pinned[0].key;
    draft.gas[1] = draft.initial[0].key;
    memset(draft.initial[0].hash.bytes, 0, JAVM_HASH_BYTES);
    expect_admitted(&draft);
    draft.image.yield_receiver_slot = (struct javm_key){.len = 0};
    expect_admitted(&draft);
    draft.pinned[0].key = KEY("\x07"); /* ascending by the rule: shorter first on a tie */
    draft.pinned[1].key = KEY("\x07\0");
    draft.pinned[2].key = KEY("\x07\0\0");
    expect_admitted(&draft);
}

/* 252 MiB of code are admitted, one byte more is not; the input's pages are mostly never touched.
 */
Test(accept, most_code)
{
    enum { HEAD = 5, TAIL = 8 * 4 + 1 };
#ifndef CAPS_TSAN
    const size_t room = HEAD + (size_t)JAVM_CODE_MAX + 1 + TAIL;
    uint8_t *bytes = mmap(NULL, room, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq((void *)bytes, MAP_FAILED);
    struct javm_error err = {.text = ""};
    struct javm_cap *cap;
    for (uint32_t over = 0; over < 2; over++) {
        const uint32_t len = JAVM_CODE_MAX + over;
        bytes[0] = JAVM_ISA_PVM2;
        for (unsigned i = 0; i < 4; i++)
            bytes[1 + i] = (uint8_t)(len >> 8 * i);
        const enum javm_status status = javm_image_decode(bytes, HEAD + len + TAIL, &cap, &err);
        if (over == 0) {
            cr_assert_eq(status, JAVM_OK, "%s", err.text);
            cr_expect_eq(javm_image_of(cap)->code_len, len);
            javm_cap_release(cap);
            continue;
        }
        cr_expect_eq(status, JAVM_E_LIMIT);
        cr_expect_eq(err.where, 1);
        cr_expect(strncmp(err.text, "code: ", 6) == 0, "%s", err.text);
    }
    munmap(bytes, room);
#endif
}

/* ---- what an image is afterwards -------------------------------------------------------- */

Test(image, is_a_copy)
{
    static struct draft draft, fresh;
    struct javm_cap *cap;
    draft_rich(&draft, JAVM_ISA_PVM);
    draft_rich(&fresh, JAVM_ISA_PVM);
    cr_assert_eq(javm_image_new(&draft.image, &cap, NULL), JAVM_OK);
    const struct javm_hash before = cap_hash_of(cap);
    memset(&draft, 0xEE, sizeof draft); /* the caller's arrays are the caller's */
    struct javm_cap *clone = javm_cap_clone(cap);
    cr_expect_eq(javm_image_of(clone), javm_image_of(cap), "a clone shares everything");
    javm_cap_release(cap);
    struct javm_cap *again;
    cr_assert_eq(javm_image_new(&fresh.image, &again, NULL), JAVM_OK);
    const struct javm_hash a = cap_hash_of(clone), b = cap_hash_of(again);
    cr_expect(javm_hash_equal(&before, &a) && javm_hash_equal(&before, &b));
    cr_expect_arr_eq(javm_image_of(clone)->code, fresh.code, 20);
    javm_cap_release(clone);
    javm_cap_release(again);
    REQUIRE_NO_LEAKS();
}

Test(image, readers)
{
    static struct draft draft;
    struct javm_cap *cap;
    draft_rich(&draft, JAVM_ISA_PVM2);
    cr_assert_eq(javm_image_new(&draft.image, &cap, NULL), JAVM_OK);
    const struct javm_image *image = javm_image_of(cap);
    for (uint64_t index = 0; index < 70; index++) {
        const struct javm_endpoint *found = javm_image_endpoint(image, index);
        cr_expect_eq(found != NULL, index % 3 == 0 && index <= 6);
        cr_expect(found == NULL || found->index == index);
    }
    cr_expect_null(javm_image_endpoint(image, UINT64_C(1) << 32)); /* its low half is index 0 */
    for (uint32_t i = 0; i < 3; i++) {
        cr_expect_eq(javm_image_pinned(image, &draft.pinned[i].key), &image->pinned[i]);
        cr_expect_eq(javm_image_initial(image, &draft.initial[i].key), &image->initial[i]);
        cr_expect_null(javm_image_pinned(image, &draft.initial[i].key));
        cr_expect_null(javm_image_initial(image, &draft.pinned[i].key));
    }
    const struct javm_key absent[] = {KEY("\0"), KEY("\1\0"), KEY("\xff"), {.len = 0}};
    for (unsigned i = 0; i < 4; i++)
        cr_expect_null(javm_image_pinned(image, &absent[i]));
    cr_expect_eq(javm_image_footprint(image), 1 + 2 + 3);
    javm_cap_release(cap);
    draft_empty(&draft, JAVM_ISA_PVM2);
    cr_expect_eq(javm_image_footprint(&draft.image), 0);
    cr_expect_null(javm_image_pinned(&draft.image, &absent[0]));
    cr_expect_null(javm_image_endpoint(&draft.image, 0));
}

/* Every part of an image is part of its value. */
Test(image, every_field_is_hashed)
{
    static struct draft draft;
    enum { CHANGES = 20 };
    struct javm_hash hashes[CHANGES];
    for (unsigned which = 0; which < CHANGES; which++) {
        struct javm_cap *cap;
        draft_rich(&draft, JAVM_ISA_PVM);
        uint8_t *const bytes[] = {
            &draft.code[19],
            &draft.bitmask[2],
            (uint8_t *)&draft.jumps[2],
            (uint8_t *)&draft.endpoints[2].entry_pc,
            (uint8_t *)&draft.endpoints[2].stack_top,
            &draft.endpoints[2].arg_cnode_size,
            (uint8_t *)&draft.endpoints[2].initial_regs[12],
            &draft.endpoints[2].arg_cnode_slot.bytes[0],
            &draft.mappings[2].path[1].bytes[1],
            draft.pinned[2].hash.bytes,
            draft.initial[2].hash.bytes,
            &draft.gas[2].bytes[0],
            &draft.quota[2].bytes[0],
            &draft.image.yield_receiver_slot.bytes[7],
        };
        const unsigned count = sizeof bytes / sizeof *bytes;
        if (which < count)
            *bytes[which] ^= 0x80;
        else if (which == count)
            draft.endpoints[2].index++;
        else if (which == count + 1)
            draft.mappings[2].start += 0x1000;
        else if (which == count + 2)
            draft.mappings[2].size += 0x1000;
        else if (which == count + 3)
            draft.mappings[2].depth--;
        else if (which == count + 4)
            draft.image.gas_slot_count--;
        cr_assert_eq(javm_image_new(&draft.image, &cap, NULL), JAVM_OK);
        hashes[which] = cap_hash_of(cap); /* the last one is the unchanged image */
        javm_cap_release(cap);
        for (unsigned other = 0; other < which; other++)
            cr_expect_not(javm_hash_equal(&hashes[which], &hashes[other]), "changes %u and %u",
                          which, other);
    }
}
