#include "tests/caps/draft.h"

#include <stdlib.h>
#include <string.h>

const char *const draft_field_names[DRAFT_FIELDS] = {
    "isa",    "code",    "bitmask",   "jump_table",  "endpoints",           "mappings",
    "pinned", "initial", "gas_slots", "quota_slots", "yield_receiver_slot",
};

/* ---- drafts ----------------------------------------------------------------------------- */

void draft_empty(struct draft *draft, enum javm_isa isa)
{
    memset(draft, 0, sizeof *draft);
    draft->image = (struct javm_image){.isa = isa,
                                       .code = draft->code,
                                       .bitmask = draft->bitmask,
                                       .jump_table = draft->jumps,
                                       .endpoints = draft->endpoints,
                                       .mappings = draft->mappings,
                                       .pinned = draft->pinned,
                                       .initial = draft->initial,
                                       .gas_slots = draft->gas,
                                       .quota_slots = draft->quota};
}

static struct javm_key key(uint8_t first, uint8_t len)
{
    struct javm_key made = {.len = len, .bytes = {first}};
    for (uint8_t i = 1; i < len; i++)
        made.bytes[i] = (uint8_t)(first + i);
    return made;
}

static void rich_lists(struct draft *draft)
{
    struct javm_image *image = &draft->image;
    image->endpoint_count = image->mapping_count = image->pinned_count = image->initial_count =
        image->gas_slot_count = image->quota_slot_count = 3;
    for (uint8_t i = 0; i < 3; i++) {
        struct javm_endpoint *endpoint = &draft->endpoints[i];
        endpoint->index = 3u * i;
        endpoint->entry_pc = 0x400000u + i;
        endpoint->stack_top = 0x20000000u * (i + 1u);
        endpoint->arg_cnode_size = i;
        if (i != 1)
            endpoint->arg_cnode_slot = key(0x90, (uint8_t)(i + 1));
        for (unsigned r = 0; r < JAVM_NUM_REGS; r++)
            endpoint->initial_regs[r] = UINT64_C(0x0101010101010101) * (r + i);
        draft->mappings[i] =
            (struct javm_mapping){.start = 0x10000000u * (i + 1u), .size = 0x1000u * (i + 1u)};
        draft->mappings[i].depth = i; /* the first one is ephemeral */
        for (uint8_t k = 0; k < i; k++)
            draft->mappings[i].path[k] = key((uint8_t)(0x20 + 16 * i + k), (uint8_t)(k + 1));
        draft->pinned[i].key = key((uint8_t)(2 * i + 1), (uint8_t)(i + 1));
        draft->initial[i].key = key((uint8_t)(2 * i + 2), (uint8_t)(i + 1));
        memset(draft->pinned[i].hash.bytes, 0xA0 + i, JAVM_HASH_BYTES);
        memset(draft->initial[i].hash.bytes, 0xB0 + i, JAVM_HASH_BYTES);
        draft->gas[i] = key((uint8_t)(0x70 - i), 1); /* these two lists need no order */
        draft->quota[i] = key((uint8_t)(0x60 - i), 2);
    }
    image->yield_receiver_slot = key(0x50, JAVM_MAX_KEY_LEN);
}

void draft_rich(struct draft *draft, enum javm_isa isa)
{
    draft_empty(draft, isa);
    rich_lists(draft);
    draft->image.code_len = 20;
    for (uint8_t i = 0; i < 20; i++)
        draft->code[i] = (uint8_t)(i * 11);
    if (isa != JAVM_ISA_PVM)
        return;
    draft->image.bitmask_len = 3;
    memcpy(draft->bitmask, "\x49\x92\x04", 3);
    draft->image.jump_count = 3;
    for (uint32_t i = 0; i < 3; i++)
        draft->jumps[i] = 0x01020304u * i;
}

/* ---- bytes ------------------------------------------------------------------------------ */

static void put(struct draft_bytes *out, const void *bytes, size_t len)
{
    if (len > sizeof out->bytes - out->len)
        abort(); /* the buffer is too small for this test */
    if (len != 0)
        memcpy(out->bytes + out->len, bytes, len);
    out->len += len;
}

static void put_number(struct draft_bytes *out, uint64_t number, unsigned width)
{
    for (unsigned i = 0; i < width; i++) {
        const uint8_t byte = (uint8_t)(number >> 8 * i);
        put(out, &byte, 1);
    }
}

static void put_key(struct draft_bytes *out, const struct javm_key *from)
{
    put_number(out, from->len, 1);
    for (unsigned i = 0; i < from->len; i++)
        put_number(out, i < JAVM_MAX_KEY_LEN ? from->bytes[i] : 0, 1);
}

static void put_optional(struct draft_bytes *out, const struct javm_key *from)
{
    put_number(out, from->len != 0, 1);
    if (from->len != 0)
        put_key(out, from);
}

static void begin(struct draft_bytes *out, enum draft_field field, uint64_t count)
{
    out->field[field] = out->len;
    put_number(out, count, 4);
}

static void put_endpoints(struct draft_bytes *out, const struct javm_image *image)
{
    begin(out, DRAFT_ENDPOINT, image->endpoint_count);
    for (uint32_t i = 0; i < image->endpoint_count; i++) {
        const struct javm_endpoint *endpoint = &image->endpoints[i];
        out->element[DRAFT_ENDPOINT][i] = out->len;
        put_number(out, endpoint->index, 4);
        put_number(out, endpoint->entry_pc, 8);
        put_number(out, endpoint->stack_top, 8);
        put_optional(out, &endpoint->arg_cnode_slot);
        put_number(out, endpoint->arg_cnode_size, 1);
        for (unsigned r = 0; r < JAVM_NUM_REGS; r++)
            put_number(out, endpoint->initial_regs[r], 8);
    }
}

static void put_mappings(struct draft_bytes *out, const struct javm_image *image)
{
    begin(out, DRAFT_MAPPING, image->mapping_count);
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct javm_mapping *mapping = &image->mappings[i];
        out->element[DRAFT_MAPPING][i] = out->len;
        put_number(out, mapping->start, 8);
        put_number(out, mapping->size, 8);
        put_number(out, mapping->depth != 0, 1);
        if (mapping->depth == 0)
            continue;
        put_number(out, mapping->depth, 4);
        for (unsigned k = 0; k < mapping->depth; k++)
            put_key(out, &mapping->path[k < JAVM_MAX_SOURCE_DEPTH ? k : 0]);
    }
}

static void put_pins(struct draft_bytes *out, enum draft_field field, const struct javm_pin *pins,
                     uint32_t count)
{
    begin(out, field, count);
    for (uint32_t i = 0; i < count; i++) {
        out->element[field][i] = out->len;
        put_key(out, &pins[i].key);
        put(out, pins[i].hash.bytes, JAVM_HASH_BYTES);
    }
}

static void put_slots(struct draft_bytes *out, enum draft_field field, const struct javm_key *slots,
                      uint32_t count)
{
    begin(out, field, count);
    for (uint32_t i = 0; i < count; i++) {
        out->element[field][i] = out->len;
        put_key(out, &slots[i]);
    }
}

void draft_encode(const struct javm_image *image, struct draft_bytes *out)
{
    memset(out, 0, sizeof *out);
    put_number(out, (uint64_t)image->isa, 1);
    begin(out, DRAFT_CODE, image->code_len);
    put(out, image->code, (size_t)image->code_len);
    begin(out, DRAFT_BITMASK, image->bitmask_len);
    put(out, image->bitmask, (size_t)image->bitmask_len);
    begin(out, DRAFT_JUMP_TABLE, image->jump_count);
    for (uint32_t i = 0; i < image->jump_count; i++)
        put_number(out, image->jump_table[i], 4);
    put_endpoints(out, image);
    put_mappings(out, image);
    put_pins(out, DRAFT_PINNED, image->pinned, image->pinned_count);
    put_pins(out, DRAFT_INITIAL, image->initial, image->initial_count);
    put_slots(out, DRAFT_GAS, image->gas_slots, image->gas_slot_count);
    put_slots(out, DRAFT_QUOTA, image->quota_slots, image->quota_slot_count);
    out->field[DRAFT_RECEIVER] = out->len;
    put_optional(out, &image->yield_receiver_slot);
}
