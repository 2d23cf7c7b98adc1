/* The image of a linked program: code, endpoints, and where its data, heap and stack are. All slots
 * that the linker invents have two-byte keys, so that they never meet the one-byte slots of jobs
 * and guests. */
#include "loaders/link_image.h"
#include "loaders/translate.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAPPING_RECORD = 32, MAX_CAPS = 4 };

static const struct javm_key ro_key = {2, "ro"}, da_key = {2, "da"}, he_key = {2, "he"};

/* Whole pages of guest addresses; empty when start == end. */
struct span {
    uint64_t start, end;
};

struct builder {
    const struct relink *r;
    struct javm_error *err;
    struct span ro, rw, heap, stack;
    struct javm_mapping *mappings; /* owned, ascending */
    const char **mapping_names;    /* owned; for messages; same order */
    uint32_t mapping_count;
    struct javm_cap *caps[MAX_CAPS]; /* owned until they go to the bundle */
    uint32_t cap_count;
    struct javm_pin pinned, initial[2];
    uint32_t pinned_count, initial_count;
};

static enum javm_status no_memory(const struct builder *b)
{
    return javm_fail(b->err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to build an image");
}

static uint64_t page_down(uint64_t address)
{
    return address & ~(uint64_t)(JAVM_PAGE_SIZE - 1);
}

static uint64_t page_up(uint64_t address)
{
    return page_down(address + JAVM_PAGE_SIZE - 1);
}

/* ---- where everything is ---------------------------------------------------------------- */

static void extend(struct span *span, const struct elf_section *section)
{
    uint64_t start = page_down(section->start), end = page_up(section->start + section->size);
    if (span->start == span->end)
        *span = (struct span){start, end};
    if (start < span->start)
        span->start = start;
    if (end > span->end)
        span->end = end;
}

static enum javm_status find_spans(struct builder *b, const struct javm_link_options *options)
{
    const struct elf_input *in = b->r->in;
    for (uint32_t i = 0; i < in->data_count; i++)
        extend(in->data[i].writable ? &b->rw : &b->ro, &in->data[i]);
    if (b->ro.start < b->rw.end && b->rw.start < b->ro.end)
        return javm_fail(b->err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "read-only data 0x%" PRIx64 "..0x%" PRIx64 " and writable data 0x%" PRIx64
                         "..0x%" PRIx64 " share pages: use the link script",
                         b->ro.start, b->ro.end, b->rw.start, b->rw.end);
    uint64_t space = LINK_STACK_TOP - JAVM_DATA_BASE;
    uint64_t stack = options->stack_bytes == 0 ? LINK_STACK_DEFAULT : options->stack_bytes;
    if (stack > space || options->heap_bytes > space)
        return javm_fail(b->err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "a stack of %" PRIu64 " and a heap of %" PRIu64
                         " bytes: each can have at most %" PRIu64,
                         stack, options->heap_bytes, space);
    b->stack = (struct span){LINK_STACK_TOP - page_up(stack), LINK_STACK_TOP};
    uint64_t end = b->rw.end > b->ro.end ? b->rw.end : b->ro.end;
    if (end < JAVM_DATA_BASE)
        end = JAVM_DATA_BASE;
    b->heap.start = end + JAVM_PAGE_SIZE; /* one page that catches running off the end of .bss */
    b->heap.end = b->heap.start + page_up(options->heap_bytes);
    return JAVM_OK;
}

/* ---- mappings --------------------------------------------------------------------------- */

/* Inserted where it belongs: there are only a few that the linker makes, and those of a guest
 * usually come sorted. */
static void add_mapping(struct builder *b, const char *name, const struct javm_mapping *mapping)
{
    uint32_t at = b->mapping_count++;
    for (; at > 0 && b->mappings[at - 1].start > mapping->start; at--) {
        b->mappings[at] = b->mappings[at - 1];
        b->mapping_names[at] = b->mapping_names[at - 1];
    }
    b->mappings[at] = *mapping;
    b->mapping_names[at] = name;
}

static void add_span(struct builder *b, const char *name, const struct span *span,
                     const struct javm_key *slot)
{
    if (span->start == span->end)
        return;
    struct javm_mapping mapping = {.start = span->start, .size = span->end - span->start};
    if (slot != NULL) {
        mapping.depth = 1;
        mapping.path[0] = *slot;
    }
    add_mapping(b, name, &mapping);
}

/* u64 start, u64 size, u8 depth, u8 zero[7], u8 path[8]; see docs/linking.md. */
static enum javm_status read_mapping(struct builder *b, uint64_t at)
{
    const uint8_t *record = b->r->in->mappings.bytes + at;
    struct javm_mapping mapping = {
        .start = get_u64(record), .size = get_u64(record + 8), .depth = record[16]};
    bool clean = mapping.depth <= JAVM_MAX_SOURCE_DEPTH;
    for (unsigned i = 0; i < 7; i++)
        clean = clean && record[17 + i] == 0;
    for (unsigned i = mapping.depth; i < JAVM_MAX_SOURCE_DEPTH; i++)
        clean = clean && record[24 + i] == 0;
    if (!clean)
        return javm_fail(b->err, JAVM_E_FORMAT, at,
                         ".javm.mappings+0x%" PRIx64
                         ": depth %u is above 8, or bytes that must be zero are not",
                         at, mapping.depth);
    if (mapping.size == 0 || mapping.start % JAVM_PAGE_SIZE != 0 ||
        mapping.size % JAVM_PAGE_SIZE != 0 || mapping.start < JAVM_DATA_BASE ||
        mapping.start > UINT32_MAX || mapping.size > (UINT64_C(1) << 32) - mapping.start)
        return javm_fail(b->err, JAVM_E_RANGE, at,
                         ".javm.mappings+0x%" PRIx64 ": 0x%" PRIx64 "+0x%" PRIx64
                         " is not whole pages in 0x10000000..0x100000000",
                         at, mapping.start, mapping.size);
    for (unsigned i = 0; i < mapping.depth; i++) /* one-byte keys */
        mapping.path[i] = (struct javm_key){1, {record[24 + i]}};
    add_mapping(b, ".javm.mappings", &mapping);
    return JAVM_OK;
}

static enum javm_status read_mappings(struct builder *b)
{
    const struct elf_section *section = &b->r->in->mappings;
    uint64_t size = section->bytes == NULL ? 0 : section->size;
    if (size % MAPPING_RECORD != 0)
        return javm_fail(b->err, JAVM_E_FORMAT, JAVM_NOWHERE,
                         ".javm.mappings has %" PRIu64 " bytes, not a multiple of 32", size);
    const struct span spills = {TRANSLATE_SPILLS, TRANSLATE_SPILLS + JAVM_PAGE_SIZE};
    size_t capacity = (size_t)(size / MAPPING_RECORD) + 5;
    /* More pages than that do not exist; it also keeps the insertion below cheap. */
    if (capacity > 1025)
        return javm_fail(b->err, JAVM_E_LIMIT, JAVM_NOWHERE,
                         ".javm.mappings has %" PRIu64 " records; 1020 is the most",
                         size / MAPPING_RECORD);
    b->mappings = calloc(capacity, sizeof *b->mappings);
    b->mapping_names = calloc(capacity, sizeof(const char *));
    if (b->mappings == NULL || b->mapping_names == NULL)
        return no_memory(b);
    if (b->r->pvm != NULL && b->r->pvm->spills)
        add_span(b, "registers", &spills, NULL);
    add_span(b, "read-only data", &b->ro, &ro_key);
    add_span(b, "data", &b->rw, &da_key);
    add_span(b, "heap", &b->heap, &he_key);
    add_span(b, "stack", &b->stack, NULL);
    for (uint64_t at = 0; at < size; at += MAPPING_RECORD) {
        enum javm_status status = read_mapping(b, at);
        if (status != JAVM_OK)
            return status;
    }
    for (uint32_t i = 1; i < b->mapping_count; i++) {
        const struct javm_mapping *low = &b->mappings[i - 1], *high = &b->mappings[i];
        if (high->start - low->start < low->size)
            return javm_fail(b->err, JAVM_E_RANGE, JAVM_NOWHERE,
                             "%s 0x%" PRIx64 "+0x%" PRIx64 " overlaps %s 0x%" PRIx64 "+0x%" PRIx64,
                             b->mapping_names[i - 1], low->start, low->size, b->mapping_names[i],
                             high->start, high->size);
    }
    return JAVM_OK;
}

/* ---- data ------------------------------------------------------------------------------- */

/* Overlay `len` bytes at a guest address that lies in the span. */
static enum javm_status overlay(const struct builder *b, struct javm_cap *data,
                                const struct span *span, uint64_t address, const uint8_t *bytes,
                                uint64_t len)
{
    while (len > 0) {
        uint8_t page[JAVM_PAGE_SIZE];
        uint64_t number = (address - span->start) / JAVM_PAGE_SIZE;
        uint64_t at = address % JAVM_PAGE_SIZE;
        uint64_t n = JAVM_PAGE_SIZE - at < len ? JAVM_PAGE_SIZE - at : len;
        javm_data_read(data, number * JAVM_PAGE_SIZE, page, sizeof page);
        memcpy(page + at, bytes, (size_t)n);
        if (javm_data_write_page(data, number, page) != JAVM_OK)
            return no_memory(b);
        address += n;
        bytes += n;
        len -= n;
    }
    return JAVM_OK;
}

static enum javm_status tell_heap(const struct builder *b, struct javm_cap *data,
                                  const struct span *span, uint64_t address, uint64_t value)
{
    uint8_t bytes[8];
    if (address < span->start || address >= span->end) /* 0, or in the other span */
        return JAVM_OK;
    put_le(bytes, value, 8);
    return overlay(b, data, span, address, bytes, 8);
}

static enum javm_status fill(const struct builder *b, struct javm_cap *data,
                             const struct span *span, bool writable)
{
    const struct elf_input *in = b->r->in;
    enum javm_status status = JAVM_OK;
    for (uint32_t i = 0; i < in->data_count && status == JAVM_OK; i++)
        if (in->data[i].writable == writable && b->r->contents[i] != NULL)
            status = overlay(b, data, span, in->data[i].start, b->r->contents[i], in->data[i].size);
    if (status == JAVM_OK)
        status = tell_heap(b, data, span, in->heap_start_at, b->heap.start);
    if (status == JAVM_OK)
        status = tell_heap(b, data, span, in->heap_end_at, b->heap.end);
    return status;
}

/* The Data of a span, in the bundle once even when two are equal; *pin names it. */
static enum javm_status add_data(struct builder *b, const struct span *span, bool filled,
                                 bool writable, const struct javm_key *key, struct javm_pin *pin)
{
    struct javm_cap *data = javm_data_new_zero((span->end - span->start) / JAVM_PAGE_SIZE);
    if (data == NULL)
        return no_memory(b);
    enum javm_status status = filled ? fill(b, data, span, writable) : JAVM_OK;
    pin->key = *key;
    if (status == JAVM_OK && javm_cap_hash(data, &pin->hash) != JAVM_OK)
        status = no_memory(b);
    for (uint32_t i = 0; i < b->cap_count && status == JAVM_OK; i++) {
        struct javm_hash other;
        status = javm_cap_hash(b->caps[i], &other);
        if (status == JAVM_OK && javm_hash_equal(&other, &pin->hash)) {
            javm_cap_release(data);
            return JAVM_OK;
        }
    }
    if (status == JAVM_OK)
        b->caps[b->cap_count++] = data;
    else
        javm_cap_release(data);
    return status;
}

static enum javm_status build_data(struct builder *b)
{
    enum javm_status status = JAVM_OK;
    if (b->ro.start != b->ro.end)
        status = add_data(b, &b->ro, true, false, &ro_key, &b->pinned);
    b->pinned_count = b->ro.start != b->ro.end;
    if (status == JAVM_OK && b->rw.start != b->rw.end)
        status = add_data(b, &b->rw, true, true, &da_key, &b->initial[b->initial_count++]);
    if (status == JAVM_OK && b->heap.start != b->heap.end) /* "da" sorts before "he" */
        status = add_data(b, &b->heap, false, true, &he_key, &b->initial[b->initial_count++]);
    return status;
}

/* ---- image and bundle ------------------------------------------------------------------- */

static uint32_t slot_keys(const uint8_t slots[8], struct javm_key keys[8])
{
    uint32_t count = 0;
    for (; count < 8 && slots[count] != 0; count++)
        keys[count] = javm_key_from_u64(slots[count]);
    return count;
}

static enum javm_status build_image(struct builder *b, const struct javm_link_options *options)
{
    struct javm_key gas[8], quota[8];
    const struct translation *pvm = b->r->pvm;
    struct javm_endpoint endpoints[JAVM_MAX_ENDPOINTS] = {0};
    for (uint32_t i = 0; i < b->r->endpoint_count; i++) {
        const struct relink_endpoint *from = &b->r->endpoints[i];
        endpoints[i].index = from->index;
        endpoints[i].entry_pc = b->r->sites[from->site].moved;
        endpoints[i].stack_top = LINK_STACK_TOP;
    }
    struct javm_image image = {
        .isa = pvm != NULL ? JAVM_ISA_PVM : JAVM_ISA_PVM2,
        .code = b->r->code,
        .code_len = b->r->code_len,
        .bitmask = pvm != NULL ? pvm->bitmask : NULL,
        .bitmask_len = pvm != NULL ? pvm->bitmask_len : 0,
        .jump_table = pvm != NULL ? pvm->jumps : NULL,
        .jump_count = pvm != NULL ? pvm->jump_count : 0,
        .endpoints = endpoints,
        .endpoint_count = b->r->endpoint_count,
        .mappings = b->mappings,
        .mapping_count = b->mapping_count,
        .pinned = &b->pinned,
        .pinned_count = b->pinned_count,
        .initial = b->initial,
        .initial_count = b->initial_count,
        .gas_slots = gas,
        .gas_slot_count = slot_keys(options->gas_slots, gas),
        .quota_slots = quota,
        .quota_slot_count = slot_keys(options->quota_slots, quota),
    };
    if (options->receiver_slot != 0)
        image.yield_receiver_slot = javm_key_from_u64(options->receiver_slot);
    enum javm_status status = javm_image_new(&image, &b->caps[b->cap_count], b->err);
    b->cap_count += status == JAVM_OK;
    return status;
}

static enum javm_status fill_bundle(struct builder *b, struct javm_bundle *bundle)
{
    *bundle = (struct javm_bundle){
        .caps = calloc(b->cap_count, sizeof(struct javm_cap *)),
        .roots = calloc(1, sizeof *bundle->roots),
    };
    char *name = strdup("image");
    if (bundle->caps == NULL || bundle->roots == NULL || name == NULL) {
        free(name);
        javm_bundle_clear(bundle);
        return no_memory(b);
    }
    memcpy(bundle->caps, b->caps, b->cap_count * sizeof(struct javm_cap *));
    bundle->cap_count = b->cap_count;
    bundle->roots[0] = (struct javm_bundle_root){name, b->cap_count - 1};
    bundle->root_count = 1;
    b->cap_count = 0;
    return JAVM_OK;
}

enum javm_status link_image(const struct relink *r, const struct javm_link_options *options,
                            struct javm_bundle *bundle)
{
    struct builder b = {.r = r, .err = r->err};
    enum javm_status status = find_spans(&b, options);
    if (status == JAVM_OK)
        status = read_mappings(&b);
    if (status == JAVM_OK)
        status = build_data(&b);
    if (status == JAVM_OK)
        status = build_image(&b, options);
    if (status == JAVM_OK)
        status = fill_bundle(&b, bundle);
    for (uint32_t i = 0; i < b.cap_count; i++)
        javm_cap_release(b.caps[i]);
    free(b.mappings);
    free(b.mapping_names);
    return status;
}
