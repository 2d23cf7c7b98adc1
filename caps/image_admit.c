/* Admission: every rule that makes an image valid, in time proportional to its metadata. Each
 * refusal names the field and says what was expected. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "caps/cap_impl.h"

#define SPACE_END (UINT64_C(1) << 32)
#define PVM_LOW   UINT64_C(0x10000)

static const char *const names[] = {
    [IMAGE_ISA] = "isa",
    [IMAGE_CODE] = "code",
    [IMAGE_BITMASK] = "bitmask",
    [IMAGE_JUMP_TABLE] = "jump_table",
    [IMAGE_ENDPOINTS] = "endpoints",
    [IMAGE_MAPPINGS] = "mappings",
    [IMAGE_PINNED] = "pinned",
    [IMAGE_INITIAL] = "initial",
    [IMAGE_GAS_SLOTS] = "gas_slots",
    [IMAGE_QUOTA_SLOTS] = "quota_slots",
    [IMAGE_YIELD_RECEIVER_SLOT] = "yield_receiver_slot",
    [IMAGE_END] = "end",
};

void image_place_format(const struct image_place *place, char text[IMAGE_PLACE_TEXT])
{
    if (place->index == IMAGE_WHOLE)
        snprintf(text, IMAGE_PLACE_TEXT, "%s", names[place->field]);
    else
        snprintf(text, IMAGE_PLACE_TEXT, "%s[%u]", names[place->field], place->index);
}

struct check {
    const struct javm_image *image;
    struct image_place place; /* what is looked at */
    struct javm_error *err;
};

/* The text is the place, then `fmt`, which goes on with ".part: " or ": ". */
__attribute__((format(printf, 3, 4))) static enum javm_status
refuse(const struct check *c, enum javm_status status, const char *fmt, ...)
{
    char place[IMAGE_PLACE_TEXT], text[sizeof c->err->text - IMAGE_PLACE_TEXT];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    image_place_format(&c->place, place);
    return javm_fail(c->err, status, JAVM_NOWHERE, "%s%s", place, text);
}

static unsigned long long ull(uint64_t number)
{
    return number;
}

/* ---- keys ------------------------------------------------------------------------------- */

#define KEY_TEXT (2 * JAVM_MAX_KEY_LEN + 3)
/* "0x" and the bytes in order; returns `text`. The key is valid. */
static const char *key_text(const struct javm_key *key, char text[KEY_TEXT])
{
    strcpy(text, "0x");
    for (unsigned i = 0; i < key->len; i++)
        snprintf(text + 2 + 2 * i, 3, "%02x", key->bytes[i]);
    return text;
}

static enum javm_status check_key_len(const struct check *c, const char *part,
                                      const struct javm_key *key)
{
    if (key->len == 0 || key->len > JAVM_MAX_KEY_LEN)
        return refuse(c, JAVM_E_RANGE, "%s: a key of %u bytes, expected 1 to %u", part, key->len,
                      JAVM_MAX_KEY_LEN);
    for (unsigned i = key->len; i < JAVM_MAX_KEY_LEN; i++)
        if (key->bytes[i] != 0)
            return refuse(c, JAVM_E_FORMAT, "%s: a key of %u bytes has byte %u set, expected 0",
                          part, key->len, i);
    return JAVM_OK;
}

static enum javm_status check_optional_key(const struct check *c, const char *part,
                                           const struct javm_key *key)
{
    static const struct javm_key none;
    return memcmp(key, &none, sizeof none) == 0 ? JAVM_OK : check_key_len(c, part, key);
}

/* ---- code ------------------------------------------------------------------------------- */

static enum javm_status check_pvm2_code(struct check *c)
{
    const struct javm_image *i = c->image;
    c->place.field = IMAGE_CODE;
    if (i->code_len > JAVM_CODE_MAX)
        return refuse(c, JAVM_E_LIMIT, ": %llu bytes, expected at most %u (252 MiB)",
                      ull(i->code_len), JAVM_CODE_MAX);
    c->place.field = IMAGE_BITMASK;
    if (i->bitmask_len != 0)
        return refuse(c, JAVM_E_FORMAT, ": %llu bytes, expected none in a PVM2 image",
                      ull(i->bitmask_len));
    c->place.field = IMAGE_JUMP_TABLE;
    if (i->jump_count != 0)
        return refuse(c, JAVM_E_FORMAT, ": %u entries, expected none in a PVM2 image",
                      i->jump_count);
    return JAVM_OK;
}

static enum javm_status check_pvm_code(struct check *c)
{
    const struct javm_image *i = c->image;
    const uint64_t expected = i->code_len / 8 + (i->code_len % 8 != 0);
    c->place.field = IMAGE_CODE;
    if (i->code_len > UINT32_MAX)
        return refuse(c, JAVM_E_LIMIT, ": %llu bytes, expected less than 2^32", ull(i->code_len));
    c->place.field = IMAGE_BITMASK;
    if (i->bitmask_len != expected)
        return refuse(c, JAVM_E_FORMAT, ": %llu bytes, expected %llu for %llu bytes of code",
                      ull(i->bitmask_len), ull(expected), ull(i->code_len));
    return JAVM_OK;
}

/* ---- endpoints -------------------------------------------------------------------------- */

static enum javm_status check_endpoint(struct check *c, uint32_t n)
{
    const struct javm_endpoint *e = &c->image->endpoints[n];
    c->place = (struct image_place){IMAGE_ENDPOINTS, n};
    if (e->index >= JAVM_MAX_ENDPOINTS)
        return refuse(c, JAVM_E_RANGE, ".index: %u, expected less than %u", e->index,
                      JAVM_MAX_ENDPOINTS);
    if (n > 0 && e->index <= e[-1].index)
        return refuse(c, JAVM_E_FORMAT, ".index: %u does not follow %u in ascending order",
                      e->index, e[-1].index);
    return check_optional_key(c, ".arg_cnode_slot", &e->arg_cnode_slot);
}

/* ---- mappings --------------------------------------------------------------------------- */

static enum javm_status check_extent(const struct check *c, const struct javm_mapping *m)
{
    const uint64_t low = c->image->isa == JAVM_ISA_PVM2 ? JAVM_DATA_BASE : PVM_LOW;
    if (m->start % JAVM_PAGE_SIZE != 0)
        return refuse(c, JAVM_E_RANGE, ".start: 0x%llx, expected a multiple of %u", ull(m->start),
                      JAVM_PAGE_SIZE);
    if (m->size == 0 || m->size % JAVM_PAGE_SIZE != 0)
        return refuse(c, JAVM_E_RANGE, ".size: 0x%llx, expected a positive multiple of %u",
                      ull(m->size), JAVM_PAGE_SIZE);
    if (m->start < low || m->start >= SPACE_END || m->size > SPACE_END - m->start)
        return refuse(c, JAVM_E_RANGE, ": 0x%llx+0x%llx is not inside [0x%llx, 0x%llx)",
                      ull(m->start), ull(m->size), ull(low), ull(SPACE_END));
    return JAVM_OK;
}

/* `m` and the one before it, whose extent was checked. */
static enum javm_status check_neighbour(const struct check *c, const struct javm_mapping *m)
{
    const struct javm_mapping *before = m - 1;
    if (m->start < before->start)
        return refuse(c, JAVM_E_FORMAT, ".start: 0x%llx does not follow 0x%llx in ascending order",
                      ull(m->start), ull(before->start));
    if (m->start - before->start < before->size)
        return refuse(c, JAVM_E_RANGE, ": 0x%llx+0x%llx overlaps mappings[%u]", ull(m->start),
                      ull(m->size), c->place.index - 1);
    return JAVM_OK;
}

static enum javm_status check_mapping(struct check *c, uint32_t n)
{
    const struct javm_mapping *m = &c->image->mappings[n];
    c->place = (struct image_place){IMAGE_MAPPINGS, n};
    enum javm_status status = check_extent(c, m);
    if (status == JAVM_OK && n > 0)
        status = check_neighbour(c, m);
    if (status == JAVM_OK && m->depth > JAVM_MAX_SOURCE_DEPTH)
        status = refuse(c, JAVM_E_RANGE, ".source: a path of %u keys, expected at most %u",
                        m->depth, JAVM_MAX_SOURCE_DEPTH);
    for (uint8_t k = 0; status == JAVM_OK && k < m->depth; k++) {
        char part[] = ".source[0]";
        part[8] = (char)('0' + k); /* a path has at most 8 keys */
        status = check_key_len(c, part, &m->path[k]);
    }
    return status;
}

/* ---- slots ------------------------------------------------------------------------------ */

static enum javm_status check_pin(struct check *c, const struct javm_pin *pin)
{
    char text[KEY_TEXT], before[KEY_TEXT];
    const enum javm_status status = check_key_len(c, ".key", &pin->key);
    if (status != JAVM_OK)
        return status;
    if (c->place.index > 0 && javm_key_compare(&pin[-1].key, &pin->key) >= 0)
        return refuse(c, JAVM_E_FORMAT, ".key: %s does not follow %s in ascending order",
                      key_text(&pin->key, text), key_text(&pin[-1].key, before));
    if (c->place.field == IMAGE_INITIAL && javm_image_pinned(c->image, &pin->key) != NULL)
        return refuse(c, JAVM_E_FORMAT, ".key: %s is pinned, expected another slot",
                      key_text(&pin->key, text));
    return JAVM_OK;
}

static enum javm_status check_pins(struct check *c, enum image_field field,
                                   const struct javm_pin *pins, uint32_t count)
{
    enum javm_status status = JAVM_OK;
    for (uint32_t n = 0; status == JAVM_OK && n < count; n++) {
        c->place = (struct image_place){field, n};
        status = check_pin(c, &pins[n]);
    }
    return status;
}

struct listed_key {
    struct javm_key key;
    uint32_t index;
};

static int compare_listed(const void *a, const void *b)
{
    const struct listed_key *left = a, *right = b;
    const int side = javm_key_compare(&left->key, &right->key);
    return side != 0 ? side : (left->index > right->index) - (left->index < right->index);
}

/* The order of these lists is their meaning, so duplicates are looked for in a sorted copy. */
static enum javm_status check_unique(struct check *c, const struct javm_key *slots, uint32_t count)
{
    if (count < 2)
        return JAVM_OK;
    struct listed_key *sorted = malloc(count * sizeof *sorted);
    if (sorted == NULL) {
        c->place.index = IMAGE_WHOLE;
        return refuse(c, JAVM_E_NOMEM, ": out of memory");
    }
    for (uint32_t n = 0; n < count; n++)
        sorted[n] = (struct listed_key){slots[n], n};
    qsort(sorted, count, sizeof *sorted, compare_listed);
    uint32_t first = 0, second = UINT32_MAX; /* the duplicate that stands first in the list */
    for (uint32_t n = 1; n < count; n++)
        if (javm_key_compare(&sorted[n - 1].key, &sorted[n].key) == 0 && sorted[n].index < second) {
            first = sorted[n - 1].index;
            second = sorted[n].index;
        }
    free(sorted);
    if (second == UINT32_MAX)
        return JAVM_OK;
    char text[KEY_TEXT];
    c->place.index = second;
    return refuse(c, JAVM_E_FORMAT, ": %s is listed already, as number %u",
                  key_text(&slots[second], text), first);
}

static enum javm_status check_slots(struct check *c, enum image_field field,
                                    const struct javm_key *slots, uint32_t count)
{
    for (uint32_t n = 0; n < count; n++) {
        c->place = (struct image_place){field, n};
        const enum javm_status status = check_key_len(c, "", &slots[n]);
        if (status != JAVM_OK)
            return status;
    }
    return check_unique(c, slots, count);
}

/* ---- all of it -------------------------------------------------------------------------- */

static enum javm_status check_all(struct check *c)
{
    const struct javm_image *i = c->image;
    enum javm_status status;
    c->place = (struct image_place){IMAGE_ISA, IMAGE_WHOLE};
    if (i->isa != JAVM_ISA_PVM && i->isa != JAVM_ISA_PVM2)
        return refuse(c, JAVM_E_FORMAT, ": %u, expected 0 (PVM) or 1 (PVM2)", (unsigned)i->isa);
    status = i->isa == JAVM_ISA_PVM2 ? check_pvm2_code(c) : check_pvm_code(c);
    for (uint32_t n = 0; status == JAVM_OK && n < i->endpoint_count; n++)
        status = check_endpoint(c, n);
    for (uint32_t n = 0; status == JAVM_OK && n < i->mapping_count; n++)
        status = check_mapping(c, n);
    if (status == JAVM_OK)
        status = check_pins(c, IMAGE_PINNED, i->pinned, i->pinned_count);
    if (status == JAVM_OK)
        status = check_pins(c, IMAGE_INITIAL, i->initial, i->initial_count);
    if (status == JAVM_OK)
        status = check_slots(c, IMAGE_GAS_SLOTS, i->gas_slots, i->gas_slot_count);
    if (status == JAVM_OK)
        status = check_slots(c, IMAGE_QUOTA_SLOTS, i->quota_slots, i->quota_slot_count);
    if (status != JAVM_OK)
        return status;
    c->place = (struct image_place){IMAGE_YIELD_RECEIVER_SLOT, IMAGE_WHOLE};
    return check_optional_key(c, "", &i->yield_receiver_slot);
}

enum javm_status image_admit(const struct javm_image *image, struct image_place *place,
                             struct javm_error *err)
{
    struct check c = {.image = image, .err = err};
    const enum javm_status status = check_all(&c);
    *place = c.place;
    return status;
}
