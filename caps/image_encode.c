/* The canonical encoding of images (docs/caps.md lists it byte by byte), to bytes or to a hash. */
#include <stdlib.h>
#include <string.h>

#include "caps/cap_impl.h"

struct sink {
    uint8_t *bytes;        /* NULL: do not write */
    struct hasher *hasher; /* NULL: do not hash */
    size_t len;            /* counted in any case */
};

static void put(struct sink *s, const void *bytes, size_t len)
{
    if (s->bytes != NULL && len != 0)
        memcpy(s->bytes + s->len, bytes, len);
    if (s->hasher != NULL)
        hasher_bytes(s->hasher, bytes, len);
    s->len += len;
}

static void put_number(struct sink *s, uint64_t number, size_t width)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(number >> 8 * i);
    put(s, bytes, width);
}

static void put_key(struct sink *s, const struct javm_key *key)
{
    put_number(s, key->len, 1);
    put(s, key->bytes, key->len);
}

static void put_optional_key(struct sink *s, const struct javm_key *key)
{
    put_number(s, key->len != 0, 1);
    if (key->len != 0)
        put_key(s, key);
}

static void put_bytes(struct sink *s, const uint8_t *bytes, uint64_t len)
{
    put_number(s, len, 4);
    put(s, bytes, (size_t)len);
}

static void put_pins(struct sink *s, const struct javm_pin *pins, uint32_t count)
{
    put_number(s, count, 4);
    for (uint32_t i = 0; i < count; i++) {
        put_key(s, &pins[i].key);
        put(s, pins[i].hash.bytes, JAVM_HASH_BYTES);
    }
}

static void put_keys(struct sink *s, const struct javm_key *keys, uint32_t count)
{
    put_number(s, count, 4);
    for (uint32_t i = 0; i < count; i++)
        put_key(s, &keys[i]);
}

static void put_endpoint(struct sink *s, const struct javm_endpoint *e)
{
    put_number(s, e->index, 4);
    put_number(s, e->entry_pc, 8);
    put_number(s, e->stack_top, 8);
    put_optional_key(s, &e->arg_cnode_slot);
    put_number(s, e->arg_cnode_size, 1);
    for (int r = 0; r < JAVM_NUM_REGS; r++)
        put_number(s, e->initial_regs[r], 8);
}

static void put_mapping(struct sink *s, const struct javm_mapping *m)
{
    put_number(s, m->start, 8);
    put_number(s, m->size, 8);
    put_number(s, m->depth != 0, 1);
    if (m->depth != 0)
        put_keys(s, m->path, m->depth);
}

/* With code_hash the code's list is replaced by it: that is what cap_hash covers. */
static void put_image(struct sink *s, const struct javm_image *i, const struct javm_hash *code_hash)
{
    put_number(s, i->isa, 1);
    if (code_hash != NULL)
        put(s, code_hash->bytes, JAVM_HASH_BYTES);
    else
        put_bytes(s, i->code, i->code_len);
    put_bytes(s, i->bitmask, i->bitmask_len);
    put_number(s, i->jump_count, 4);
    for (uint32_t k = 0; k < i->jump_count; k++)
        put_number(s, i->jump_table[k], 4);
    put_number(s, i->endpoint_count, 4);
    for (uint32_t k = 0; k < i->endpoint_count; k++)
        put_endpoint(s, &i->endpoints[k]);
    put_number(s, i->mapping_count, 4);
    for (uint32_t k = 0; k < i->mapping_count; k++)
        put_mapping(s, &i->mappings[k]);
    put_pins(s, i->pinned, i->pinned_count);
    put_pins(s, i->initial, i->initial_count);
    put_keys(s, i->gas_slots, i->gas_slot_count);
    put_keys(s, i->quota_slots, i->quota_slot_count);
    put_optional_key(s, &i->yield_receiver_slot);
}

enum javm_status javm_image_encode(const struct javm_cap *image, uint8_t **bytes, size_t *len)
{
    const struct javm_image *fields = javm_image_of(image);
    struct sink measure = {NULL, NULL, 0};
    put_image(&measure, fields, NULL);
    struct sink write = {malloc(measure.len), NULL, 0};
    if (write.bytes == NULL)
        return JAVM_E_NOMEM;
    put_image(&write, fields, NULL);
    *bytes = write.bytes;
    *len = write.len;
    return JAVM_OK;
}

struct javm_hash image_hash(const struct javm_image *image)
{
    struct hasher hasher;
    hasher_start(&hasher, "javm.code.v1");
    hasher_bytes(&hasher, image->code, (size_t)image->code_len);
    const struct javm_hash code = hasher_end(&hasher);
    hasher_start_cap(&hasher, JAVM_IMAGE);
    struct sink sink = {NULL, &hasher, 0};
    put_image(&sink, image, &code);
    return hasher_end(&hasher);
}
