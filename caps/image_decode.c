/* Reading the canonical encoding of images. The input is untrusted: a list gets memory only after
 * its count was held against the bytes that are left, and every refusal has the byte offset. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caps/cap_impl.h"

/* After the first failure every read gives zeros and the status stays. */
struct source {
    const uint8_t *bytes;
    size_t len, at;
    struct image_place place; /* what is being read */
    enum javm_status status;
    struct javm_error *err;
    /* Where `wanted` begins, for errors that are found later than when reading. */
    struct image_place wanted;
    uint64_t found_at;
};

static void enter(struct source *s, enum image_field field, uint32_t index)
{
    s->place = (struct image_place){field, index};
    if (field == s->wanted.field && index == s->wanted.index)
        s->found_at = s->at;
}

/* `fmt` goes on behind the place, with ".part: " or ": ". */
__attribute__((format(printf, 3, 4))) static void refuse(struct source *s, uint64_t where,
                                                         const char *fmt, ...)
{
    char place[IMAGE_PLACE_TEXT], text[sizeof s->err->text - IMAGE_PLACE_TEXT];
    if (s->status != JAVM_OK)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    image_place_format(&s->place, place);
    s->status = javm_fail(s->err, JAVM_E_FORMAT, where, "%s%s", place, text);
}

/* ---- single values ---------------------------------------------------------------------- */

/* `len` bytes of the input; NULL after a failure. */
static const uint8_t *take(struct source *s, uint64_t len, const char *part)
{
    if (len > s->len - s->at)
        refuse(s, s->at, "%s: needs %llu bytes, %zu are left", part, (unsigned long long)len,
               s->len - s->at);
    if (s->status != JAVM_OK)
        return NULL;
    const uint8_t *bytes = s->bytes + s->at;
    s->at += (size_t)len;
    return bytes;
}

static uint64_t number(struct source *s, size_t width, const char *part)
{
    const uint8_t *bytes = take(s, width, part);
    uint64_t value = 0;
    for (size_t i = 0; bytes != NULL && i < width; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

static const uint8_t *byte_list(struct source *s, uint64_t *len)
{
    *len = number(s, 4, "");
    return take(s, *len, "");
}

static void hash(struct source *s, struct javm_hash *out, const char *part)
{
    const uint8_t *bytes = take(s, JAVM_HASH_BYTES, part);
    if (bytes != NULL)
        memcpy(out->bytes, bytes, JAVM_HASH_BYTES);
}

/* Into zeroed memory, so that the bytes beyond the length are zero. */
static void key(struct source *s, struct javm_key *out, const char *part)
{
    const size_t start = s->at;
    const uint64_t len = number(s, 1, part);
    if (len == 0 || len > JAVM_MAX_KEY_LEN)
        refuse(s, start, "%s: a key of %u bytes, expected 1 to %u", part, (unsigned)len,
               JAVM_MAX_KEY_LEN);
    const uint8_t *bytes = take(s, len, part);
    if (bytes == NULL)
        return;
    out->len = (uint8_t)len;
    memcpy(out->bytes, bytes, out->len);
}

static bool present(struct source *s, const char *part)
{
    const size_t start = s->at;
    const uint64_t flag = number(s, 1, part);
    if (flag > 1)
        refuse(s, start, "%s: presence byte %u, expected 0 or 1", part, (unsigned)flag);
    return s->status == JAVM_OK && flag == 1;
}

static void optional_key(struct source *s, struct javm_key *out, const char *part)
{
    if (present(s, part))
        key(s, out, part);
}

/* ---- lists ------------------------------------------------------------------------------ */

/* The zeroed array for a counted list whose elements take at least `least` bytes of input each. */
static void *list(struct source *s, enum image_field field, size_t least, size_t size,
                  uint32_t *count)
{
    const size_t start = s->at;
    enter(s, field, IMAGE_WHOLE);
    const uint64_t n = number(s, 4, ".count");
    *count = 0;
    if (n > (s->len - s->at) / least)
        refuse(s, start, ".count: %llu elements of at least %zu bytes, %zu bytes are left",
               (unsigned long long)n, least, s->len - s->at);
    if (s->status != JAVM_OK || n == 0)
        return NULL;
    void *array = calloc((size_t)n, size);
    if (array == NULL)
        s->status = javm_fail(s->err, JAVM_E_NOMEM, start, "image: out of memory");
    else
        *count = (uint32_t)n;
    return array;
}

static uint32_t *jump_table(struct source *s, uint32_t *count)
{
    uint32_t *array = list(s, IMAGE_JUMP_TABLE, 4, sizeof *array, count);
    for (uint32_t i = 0; i < *count && s->status == JAVM_OK; i++)
        array[i] = (uint32_t)number(s, 4, "");
    return array;
}

static struct javm_endpoint *endpoints(struct source *s, uint32_t *count)
{
    const size_t least = 4 + 8 + 8 + 1 + 1 + 8 * JAVM_NUM_REGS;
    struct javm_endpoint *array = list(s, IMAGE_ENDPOINTS, least, sizeof *array, count);
    for (uint32_t i = 0; i < *count && s->status == JAVM_OK; i++) {
        enter(s, IMAGE_ENDPOINTS, i);
        array[i].index = (uint32_t)number(s, 4, ".index");
        array[i].entry_pc = number(s, 8, ".entry_pc");
        array[i].stack_top = number(s, 8, ".stack_top");
        optional_key(s, &array[i].arg_cnode_slot, ".arg_cnode_slot");
        array[i].arg_cnode_size = (uint8_t)number(s, 1, ".arg_cnode_size");
        for (int r = 0; r < JAVM_NUM_REGS; r++)
            array[i].initial_regs[r] = number(s, 8, ".initial_regs");
    }
    return array;
}

static void source_path(struct source *s, struct javm_mapping *m)
{
    const size_t start = s->at;
    if (!present(s, ".source"))
        return;
    const uint64_t depth = number(s, 4, ".source");
    if (depth == 0 || depth > JAVM_MAX_SOURCE_DEPTH)
        refuse(s, start, ".source: a path of %llu keys, expected 1 to %u",
               (unsigned long long)depth, JAVM_MAX_SOURCE_DEPTH);
    for (uint8_t k = 0; s->status == JAVM_OK && k < depth; k++) {
        char part[] = ".source[0]";
        part[8] = (char)('0' + k); /* a path has at most 8 keys */
        key(s, &m->path[k], part);
    }
    if (s->status == JAVM_OK)
        m->depth = (uint8_t)depth;
}

static struct javm_mapping *mappings(struct source *s, uint32_t *count)
{
    struct javm_mapping *array = list(s, IMAGE_MAPPINGS, 8 + 8 + 1, sizeof *array, count);
    for (uint32_t i = 0; i < *count && s->status == JAVM_OK; i++) {
        enter(s, IMAGE_MAPPINGS, i);
        array[i].start = number(s, 8, ".start");
        array[i].size = number(s, 8, ".size");
        source_path(s, &array[i]);
    }
    return array;
}

static struct javm_pin *pins(struct source *s, enum image_field field, uint32_t *count)
{
    struct javm_pin *array = list(s, field, 2 + JAVM_HASH_BYTES, sizeof *array, count);
    for (uint32_t i = 0; i < *count && s->status == JAVM_OK; i++) {
        enter(s, field, i);
        key(s, &array[i].key, ".key");
        hash(s, &array[i].hash, ".hash");
    }
    return array;
}

static struct javm_key *slots(struct source *s, enum image_field field, uint32_t *count)
{
    struct javm_key *array = list(s, field, 2, sizeof *array, count);
    for (uint32_t i = 0; i < *count && s->status == JAVM_OK; i++) {
        enter(s, field, i);
        key(s, &array[i], "");
    }
    return array;
}

/* ---- an image --------------------------------------------------------------------------- */

/* What reading allocates. Code and bitmask stay in the input. */
struct lists {
    uint32_t *jump_table;
    struct javm_endpoint *endpoints;
    struct javm_mapping *mappings;
    struct javm_pin *pinned, *initial;
    struct javm_key *gas_slots, *quota_slots;
};

static void lists_free(struct lists *lists)
{
    free(lists->jump_table);
    free(lists->endpoints);
    free(lists->mappings);
    free(lists->pinned);
    free(lists->initial);
    free(lists->gas_slots);
    free(lists->quota_slots);
}

/* Reads to the end or to the first failure; *image borrows from *lists and from the input. */
static void read_image(struct source *s, struct lists *lists, struct javm_image *image)
{
    enter(s, IMAGE_ISA, IMAGE_WHOLE);
    const uint64_t isa = number(s, 1, "");
    if (isa > JAVM_ISA_PVM2)
        refuse(s, 0, ": %u, expected 0 (PVM) or 1 (PVM2)", (unsigned)isa);
    image->isa = (enum javm_isa)isa;
    enter(s, IMAGE_CODE, IMAGE_WHOLE);
    image->code = byte_list(s, &image->code_len);
    enter(s, IMAGE_BITMASK, IMAGE_WHOLE);
    image->bitmask = byte_list(s, &image->bitmask_len);
    image->jump_table = lists->jump_table = jump_table(s, &image->jump_count);
    image->endpoints = lists->endpoints = endpoints(s, &image->endpoint_count);
    image->mappings = lists->mappings = mappings(s, &image->mapping_count);
    image->pinned = lists->pinned = pins(s, IMAGE_PINNED, &image->pinned_count);
    image->initial = lists->initial = pins(s, IMAGE_INITIAL, &image->initial_count);
    image->gas_slots = lists->gas_slots = slots(s, IMAGE_GAS_SLOTS, &image->gas_slot_count);
    image->quota_slots = lists->quota_slots = slots(s, IMAGE_QUOTA_SLOTS, &image->quota_slot_count);
    enter(s, IMAGE_YIELD_RECEIVER_SLOT, IMAGE_WHOLE);
    optional_key(s, &image->yield_receiver_slot, "");
    enter(s, IMAGE_END, IMAGE_WHOLE);
    if (s->at != s->len)
        refuse(s, s->at, ": %zu bytes follow, expected none", s->len - s->at);
}

/* Where a place that was read once begins; JAVM_NOWHERE when memory runs out meanwhile. Only
 * refused input is read twice. */
static uint64_t locate(const uint8_t *bytes, size_t len, const struct image_place *place)
{
    struct source s = {.bytes = bytes, .len = len, .wanted = *place, .found_at = JAVM_NOWHERE};
    struct lists lists = {.jump_table = NULL};
    struct javm_image image = {.isa = JAVM_ISA_PVM};
    read_image(&s, &lists, &image);
    lists_free(&lists);
    return s.found_at;
}

enum javm_status javm_image_decode(const uint8_t *bytes, size_t len, struct javm_cap **cap,
                                   struct javm_error *err)
{
    struct source s = {.bytes = bytes, .len = len, .err = err, .wanted = {IMAGE_END, 0}};
    struct lists lists = {.jump_table = NULL};
    struct javm_image image = {.isa = JAVM_ISA_PVM};
    struct image_place place;
    read_image(&s, &lists, &image);
    if (s.status == JAVM_OK) {
        s.status = image_admit(&image, &place, err);
        if (s.status == JAVM_OK)
            s.status = image_make(&image, cap, err);
        else if (err != NULL)
            err->where = locate(bytes, len, &place);
    }
    lists_free(&lists);
    return s.status;
}
