/* Decoding of images: bytes that are no image, and bytes that are.
 *
 * Would catch: a read beyond the input; a list that gets memory before its count was held against
 * the bytes that are left; a second encoding of the same image that is accepted; an error without
 * the field or with another offset; an encoder and a decoder that disagree. */
#include "tests/caps/draft.h"
#include "tests/caps/support.h"

/* A copy that ends where the input ends, so that the address sanitizer sees a read beyond it. */
static enum javm_status decode_exact(const uint8_t *bytes, size_t len, struct javm_cap **cap,
                                     struct javm_error *err)
{
    uint8_t *exact = malloc(len + 1);
    REQUIRE(exact != NULL);
    memcpy(exact + 1, bytes, len);
    const enum javm_status status = javm_image_decode(exact + 1, len, cap, err);
    free(exact);
    return status;
}

static bool names_a_field(const struct javm_error *err)
{
    for (unsigned i = 0; i < DRAFT_FIELDS; i++) {
        const size_t len = strlen(draft_field_names[i]);
        if (strncmp(err->text, draft_field_names[i], len) == 0 &&
            strchr("[.:", err->text[len]) != NULL)
            return true;
    }
    return strncmp(err->text, "end: ", 5) == 0;
}

/* Refused with this text up to its numbers, at this byte. */
static void expect_refused(const struct draft_bytes *bytes, const char *text, size_t where)
{
    struct javm_error err = {.text = ""};
    struct javm_cap *cap = NULL;
    cr_expect_eq(decode_exact(bytes->bytes, bytes->len, &cap, &err), JAVM_E_FORMAT, "%s", text);
    cr_expect(strncmp(err.text, text, strlen(text)) == 0, "\"%s\", not \"%s\"", err.text, text);
    cr_expect_eq(err.where, where, "%s: offset %d", text, (int)err.where);
    cr_expect_eq(err.status, JAVM_E_FORMAT);
    cr_expect_null(cap);
    cr_expect_eq(decode_exact(bytes->bytes, bytes->len, &cap, NULL), JAVM_E_FORMAT);
}

static void rich_bytes(struct draft_bytes *bytes, enum javm_isa isa)
{
    static struct draft draft;
    draft_rich(&draft, isa);
    draft_encode(&draft.image, bytes);
}

/* ---- lengths and counts ----------------------------------------------------------------- */

Test(decode, nothing)
{
    struct javm_error err = {.text = ""};
    struct javm_cap *cap;
    cr_expect_eq(javm_image_decode(NULL, 0, &cap, &err), JAVM_E_FORMAT);
    cr_expect_str_eq(err.text, "isa: needs 1 bytes, 0 are left");
    cr_expect_eq(err.where, 0);
}

Test(decode, every_cut)
{
    static struct draft_bytes bytes;
    for (int isa = JAVM_ISA_PVM; isa <= JAVM_ISA_PVM2; isa++) {
        rich_bytes(&bytes, (enum javm_isa)isa);
        for (size_t len = 0; len < bytes.len; len++) {
            struct javm_error err = {.text = ""};
            struct javm_cap *cap;
            cr_assert_eq(decode_exact(bytes.bytes, len, &cap, &err), JAVM_E_FORMAT, "%zu", len);
            cr_expect(names_a_field(&err), "\"%s\"", err.text);
            cr_expect_leq(err.where, len);
            /* What is too short is the last field that begins before the cut, or at it. */
            unsigned field = DRAFT_FIELDS - 1;
            while (bytes.field[field] > len)
                field--;
            const char *name = draft_field_names[field];
            cr_expect(strncmp(err.text, name, strlen(name)) == 0, "%zu: \"%s\"", len, err.text);
            cr_expect_geq(err.where, bytes.field[field]);
        }
    }
    REQUIRE_NO_LEAKS();
}

Test(decode, trailing_bytes)
{
    static struct draft_bytes bytes;
    rich_bytes(&bytes, JAVM_ISA_PVM);
    const size_t len = bytes.len;
    bytes.len = len + 1;
    expect_refused(&bytes, "end: 1 bytes follow", len);
    bytes.len = len + 300;
    expect_refused(&bytes, "end: 300 bytes follow", len);
    REQUIRE_NO_LEAKS();
}

static void set_count(struct draft_bytes *bytes, size_t at, uint32_t count)
{
    for (unsigned i = 0; i < 4; i++)
        bytes->bytes[at + i] = (uint8_t)(count >> 8 * i);
}

Test(decode, counts_beyond_the_end)
{
    /* The least that an element takes; 1 for byte strings. */
    static const struct {
        enum draft_field field;
        uint32_t least;
    } lists[] = {{DRAFT_JUMP_TABLE, 4}, {DRAFT_ENDPOINT, 126}, {DRAFT_MAPPING, 17},
                 {DRAFT_PINNED, 34},    {DRAFT_INITIAL, 34},   {DRAFT_GAS, 2},
                 {DRAFT_QUOTA, 2}};
    static struct draft_bytes bytes;
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        char text[64];
        rich_bytes(&bytes, JAVM_ISA_PVM);
        const size_t at = bytes.field[lists[i].field];
        const uint32_t fit = (uint32_t)((bytes.len - at - 4) / lists[i].least);
        snprintf(text, sizeof text, "%s.count: %u elements", draft_field_names[lists[i].field],
                 fit + 1);
        set_count(&bytes, at, fit + 1);
        expect_refused(&bytes, text, at);
        set_count(&bytes, at, UINT32_MAX);
        snprintf(text, sizeof text, "%s.count: 4294967295", draft_field_names[lists[i].field]);
        expect_refused(&bytes, text, at);
    }
    for (unsigned field = DRAFT_CODE; field <= DRAFT_BITMASK; field++) {
        char text[64];
        rich_bytes(&bytes, JAVM_ISA_PVM);
        const size_t at = bytes.field[field];
        const uint32_t left = (uint32_t)(bytes.len - at - 4);
        set_count(&bytes, at, left + 1);
        snprintf(text, sizeof text, "%s: needs %u bytes, %u are left", draft_field_names[field],
                 left + 1, left);
        expect_refused(&bytes, text, at + 4);
        set_count(&bytes, at, UINT32_MAX);
        snprintf(text, sizeof text, "%s: needs 4294967295 bytes", draft_field_names[field]);
        expect_refused(&bytes, text, at + 4);
    }
    REQUIRE_NO_LEAKS();
}

/* ---- bytes that have one spelling only -------------------------------------------------- */

Test(decode, isa)
{
    static struct draft_bytes bytes;
    rich_bytes(&bytes, JAVM_ISA_PVM2);
    for (unsigned isa = 2; isa < 256; isa += 127) {
        bytes.bytes[0] = (uint8_t)isa;
        expect_refused(&bytes, "isa: ", 0);
    }
}

Test(decode, presence)
{
    static struct draft_bytes bytes;
    static const uint8_t bad[] = {2, 128, 255};
    for (size_t i = 0; i < sizeof bad; i++) {
        rich_bytes(&bytes, JAVM_ISA_PVM2);
        size_t at = bytes.element[DRAFT_ENDPOINT][1] + 4 + 8 + 8;
        bytes.bytes[at] = bad[i];
        expect_refused(&bytes, "endpoints[1].arg_cnode_slot: presence byte ", at);
        rich_bytes(&bytes, JAVM_ISA_PVM2);
        at = bytes.element[DRAFT_MAPPING][2] + 16;
        bytes.bytes[at] = bad[i];
        expect_refused(&bytes, "mappings[2].source: presence byte ", at);
        rich_bytes(&bytes, JAVM_ISA_PVM2);
        at = bytes.field[DRAFT_RECEIVER];
        bytes.bytes[at] = bad[i];
        expect_refused(&bytes, "yield_receiver_slot: presence byte ", at);
    }
    REQUIRE_NO_LEAKS();
}

Test(decode, key_lengths)
{
    static struct draft_bytes bytes;
    static const uint8_t bad[] = {0, 9, 255};
    for (size_t i = 0; i < sizeof bad; i++) {
        rich_bytes(&bytes, JAVM_ISA_PVM2);
        const struct {
            const char *text;
            size_t at;
        } keys[] = {
            {"endpoints[0].arg_cnode_slot: a key of ", bytes.element[DRAFT_ENDPOINT][0] + 21},
            {"mappings[1].source[0]: a key of ", bytes.element[DRAFT_MAPPING][1] + 21},
            {"mappings[2].source[1]: a key of ", bytes.element[DRAFT_MAPPING][2] + 23},
            {"pinned[0].key: a key of ", bytes.element[DRAFT_PINNED][0]},
            {"initial[2].key: a key of ", bytes.element[DRAFT_INITIAL][2]},
            {"gas_slots[1]: a key of ", bytes.element[DRAFT_GAS][1]},
            {"quota_slots[2]: a key of ", bytes.element[DRAFT_QUOTA][2]},
            {"yield_receiver_slot: a key of ", bytes.field[DRAFT_RECEIVER] + 1},
        };
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++) {
            rich_bytes(&bytes, JAVM_ISA_PVM2);
            bytes.bytes[keys[k].at] = bad[i];
            expect_refused(&bytes, keys[k].text, keys[k].at);
        }
    }
    REQUIRE_NO_LEAKS();
}

Test(decode, path_lengths)
{
    static struct draft_bytes bytes;
    static const uint32_t bad[] = {0, 9, 256, UINT32_MAX};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        rich_bytes(&bytes, JAVM_ISA_PVM2);
        const size_t at = bytes.element[DRAFT_MAPPING][1] + 16;
        set_count(&bytes, at + 1, bad[i]);
        expect_refused(&bytes, "mappings[1].source: a path of ", at);
    }
    REQUIRE_NO_LEAKS();
}

/* ---- damage of any kind ----------------------------------------------------------------- */

/* Refused with a word on where, or accepted, and then it is the one encoding of what it says. */
static bool expect_canonical(const struct draft_bytes *bytes)
{
    struct javm_error err = {.text = ""};
    struct javm_cap *cap;
    uint8_t *again;
    size_t len;
    const enum javm_status status = decode_exact(bytes->bytes, bytes->len, &cap, &err);
    if (status != JAVM_OK) {
        cr_assert(status == JAVM_E_FORMAT || status == JAVM_E_RANGE, "%s", err.text);
        cr_assert(names_a_field(&err) && err.status == status && err.where <= bytes->len, "\"%s\"",
                  err.text);
        return false;
    }
    cr_assert_eq(javm_image_encode(cap, &again, &len), JAVM_OK);
    cr_assert(len == bytes->len && memcmp(again, bytes->bytes, len) == 0);
    free(again);
    javm_cap_release(cap);
    return true;
}

Test(decode, every_byte_changed)
{
    static struct draft_bytes bytes;
    static const uint8_t flips[] = {1, 2, 4, 8, 16, 32, 64, 128, 255, 3};
    unsigned accepted = 0, refused = 0;
    for (int isa = JAVM_ISA_PVM; isa <= JAVM_ISA_PVM2; isa++) {
        rich_bytes(&bytes, (enum javm_isa)isa);
        cr_assert(expect_canonical(&bytes));
        for (size_t at = 0; at < bytes.len; at++)
            for (size_t i = 0; i < sizeof flips; i++) {
                bytes.bytes[at] ^= flips[i];
                if (expect_canonical(&bytes))
                    accepted++;
                else
                    refused++;
                bytes.bytes[at] ^= flips[i];
            }
    }
    cr_expect_gt(accepted, 1000);
    cr_expect_gt(refused, 1000);
    REQUIRE_NO_LEAKS();
}

/* ---- round trips ------------------------------------------------------------------------ */

static struct javm_key random_key(struct random *random, uint8_t first)
{
    struct javm_key key = {.len = (uint8_t)(1 + random_below(random, JAVM_MAX_KEY_LEN))};
    random_bytes(random, key.bytes, key.len);
    key.bytes[0] = first; /* what orders the list */
    return key;
}

static uint32_t random_pins(struct random *random, struct javm_pin *pins, unsigned parity)
{
    const uint32_t count = (uint32_t)random_below(random, DRAFT_LIST + 1);
    for (uint32_t i = 0; i < count; i++) {
        pins[i].key = random_key(random, (uint8_t)(2 * i + parity));
        random_bytes(random, pins[i].hash.bytes, JAVM_HASH_BYTES);
    }
    return count;
}

static uint32_t random_slots(struct random *random, struct javm_key *slots)
{
    const uint32_t count = (uint32_t)random_below(random, DRAFT_LIST + 1);
    for (uint32_t i = 0; i < count; i++)
        slots[i] = random_key(random, (uint8_t)(255 - 7 * i));
    return count;
}

static void random_endpoints(struct random *random, struct draft *draft)
{
    uint32_t count = 0;
    for (uint32_t index = 0; index < JAVM_MAX_ENDPOINTS; index++) {
        if (random_below(random, 3) != 0)
            continue;
        struct javm_endpoint *endpoint = &draft->endpoints[count++];
        endpoint->index = index;
        endpoint->entry_pc = random_u64(random);
        endpoint->stack_top = random_u64(random);
        endpoint->arg_cnode_size = (uint8_t)random_u64(random);
        if (random_below(random, 2) != 0)
            endpoint->arg_cnode_slot = random_key(random, (uint8_t)random_u64(random));
        for (unsigned r = 0; r < JAVM_NUM_REGS; r++)
            endpoint->initial_regs[r] = random_u64(random);
    }
    draft->image.endpoint_count = count;
}

static void random_mappings(struct random *random, struct draft *draft)
{
    const uint32_t count = (uint32_t)random_below(random, DRAFT_LIST + 1);
    uint64_t at = JAVM_DATA_BASE;
    for (uint32_t i = 0; i < count; i++) {
        struct javm_mapping *mapping = &draft->mappings[i];
        at += random_below(random, 3) * 0x1000; /* often none: touching */
        mapping->start = at;
        mapping->size = (1 + random_below(random, 0xE000)) * 0x1000;
        at += mapping->size;
        mapping->depth = (uint8_t)random_below(random, JAVM_MAX_SOURCE_DEPTH + 1);
        for (uint8_t k = 0; k < mapping->depth; k++)
            mapping->path[k] = random_key(random, (uint8_t)random_u64(random));
    }
    draft->image.mapping_count = count;
}

static void random_draft(struct random *random, struct draft *draft)
{
    draft_empty(draft, random_below(random, 2) != 0 ? JAVM_ISA_PVM2 : JAVM_ISA_PVM);
    struct javm_image *image = &draft->image;
    image->code_len = random_below(random, sizeof draft->code + 1);
    random_bytes(random, draft->code, sizeof draft->code);
    if (image->isa == JAVM_ISA_PVM) {
        image->bitmask_len = (image->code_len + 7) / 8;
        random_bytes(random, draft->bitmask, sizeof draft->bitmask);
        image->jump_count = (uint32_t)random_below(random, DRAFT_LIST + 1);
        for (uint32_t i = 0; i < image->jump_count; i++)
            draft->jumps[i] = (uint32_t)random_u64(random);
    }
    random_endpoints(random, draft);
    random_mappings(random, draft);
    image->pinned_count = random_pins(random, draft->pinned, 0);
    image->initial_count = random_pins(random, draft->initial, 1);
    image->gas_slot_count = random_slots(random, draft->gas);
    image->quota_slot_count = random_slots(random, draft->quota);
    if (random_below(random, 2) != 0)
        image->yield_receiver_slot = random_key(random, (uint8_t)random_u64(random));
}

static bool same_endpoint(const struct javm_endpoint *a, const struct javm_endpoint *b)
{
    return a->index == b->index && a->entry_pc == b->entry_pc && a->stack_top == b->stack_top &&
           memcmp(&a->arg_cnode_slot, &b->arg_cnode_slot, sizeof a->arg_cnode_slot) == 0 &&
           a->arg_cnode_size == b->arg_cnode_size &&
           memcmp(a->initial_regs, b->initial_regs, sizeof a->initial_regs) == 0;
}

static bool same_mapping(const struct javm_mapping *a, const struct javm_mapping *b)
{
    return a->start == b->start && a->size == b->size && a->depth == b->depth &&
           memcmp(a->path, b->path, a->depth * sizeof *a->path) == 0;
}

static void expect_same_fields(const struct javm_image *a, const struct javm_image *b)
{
    REQUIRE(a->isa == b->isa && a->code_len == b->code_len && a->bitmask_len == b->bitmask_len &&
            a->jump_count == b->jump_count && a->endpoint_count == b->endpoint_count &&
            a->mapping_count == b->mapping_count && a->pinned_count == b->pinned_count &&
            a->initial_count == b->initial_count && a->gas_slot_count == b->gas_slot_count &&
            a->quota_slot_count == b->quota_slot_count);
    REQUIRE(a->code_len == 0 || memcmp(a->code, b->code, a->code_len) == 0);
    REQUIRE(a->bitmask_len == 0 || memcmp(a->bitmask, b->bitmask, a->bitmask_len) == 0);
    for (uint32_t i = 0; i < a->jump_count; i++)
        REQUIRE(a->jump_table[i] == b->jump_table[i]);
    for (uint32_t i = 0; i < a->endpoint_count; i++)
        REQUIRE(same_endpoint(&a->endpoints[i], &b->endpoints[i]));
    for (uint32_t i = 0; i < a->mapping_count; i++)
        REQUIRE(same_mapping(&a->mappings[i], &b->mappings[i]));
    for (uint32_t i = 0; i < a->pinned_count; i++)
        REQUIRE(memcmp(&a->pinned[i], &b->pinned[i], sizeof *a->pinned) == 0);
    for (uint32_t i = 0; i < a->initial_count; i++)
        REQUIRE(memcmp(&a->initial[i], &b->initial[i], sizeof *a->initial) == 0);
    for (uint32_t i = 0; i < a->gas_slot_count; i++)
        REQUIRE(memcmp(&a->gas_slots[i], &b->gas_slots[i], sizeof *a->gas_slots) == 0);
    for (uint32_t i = 0; i < a->quota_slot_count; i++)
        REQUIRE(memcmp(&a->quota_slots[i], &b->quota_slots[i], sizeof *a->quota_slots) == 0);
    REQUIRE(memcmp(&a->yield_receiver_slot, &b->yield_receiver_slot,
                   sizeof a->yield_receiver_slot) == 0);
}

Test(decode, random_images)
{
    static struct draft draft;
    static struct draft_bytes expected;
    struct random random = {5};
    for (unsigned round = 0; round < 500 * stress_factor(); round++) {
        struct javm_error err = {.text = ""};
        struct javm_cap *cap, *again;
        uint8_t *bytes;
        size_t len;
        random_draft(&random, &draft);
        draft_encode(&draft.image, &expected);
        cr_assert_eq(javm_image_new(&draft.image, &cap, &err), JAVM_OK, "%s", err.text);
        cr_assert_eq(javm_image_encode(cap, &bytes, &len), JAVM_OK);
        cr_assert(len == expected.len && memcmp(bytes, expected.bytes, len) == 0);
        cr_assert_eq(javm_image_decode(bytes, len, &again, &err), JAVM_OK, "%s", err.text);
        expect_same_fields(&draft.image, javm_image_of(again));
        const struct javm_hash a = cap_hash_of(cap), b = cap_hash_of(again);
        cr_assert(javm_hash_equal(&a, &b));
        free(bytes);
        javm_cap_release(cap);
        javm_cap_release(again);
    }
    REQUIRE_NO_LEAKS();
}
