/* The canonical encoding of images and its inverse; docs/caps.md lists it byte by byte. */
#include <stdlib.h>

#include "caps/cap_impl.h"

/* ---- writing: once to measure, once to write -------------------------------------------- */

struct sink {
    uint8_t *bytes; /* NULL: measure only */
    size_t len;
};

static void put(struct sink *s, const void *bytes, size_t len)
{
    if (s->bytes != NULL && len != 0)
        memcpy(s->bytes + s->len, bytes, len);
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

/* With code_hash the code's list is replaced by it: that is what cap_hash covers. */
static void put_image(struct sink *s, const struct javm_image *i, const struct javm_hash *code_hash)
{
    put_number(s, i->isa, 1);
    if (code_hash != NULL) {
        put(s, code_hash->bytes, JAVM_HASH_BYTES);
    } else {
        put_number(s, i->code_len, 4);
        put(s, i->code, (size_t)i->code_len);
    }
    put_number(s, i->bitmask_len, 4);
    put(s, i->bitmask, (size_t)i->bitmask_len);
    put_number(s, i->jump_count, 4);
    for (uint32_t k = 0; k < i->jump_count; k++)
        put_number(s, i->jump_table[k], 4);
    put_number(s, i->endpoint_count, 4);
    for (uint32_t k = 0; k < i->endpoint_count; k++)
        put_endpoint(s, &i->endpoints[k]);
    put_number(s, i->mapping_count, 4);
    for (uint32_t k = 0; k < i->mapping_count; k++) {
        const struct javm_mapping *m = &i->mappings[k];
        put_number(s, m->start, 8);
        put_number(s, m->size, 8);
        put_number(s, m->depth != 0, 1);
        if (m->depth != 0)
            put_keys(s, m->path, m->depth);
    }
    put_pins(s, i->pinned, i->pinned_count);
    put_pins(s, i->initial, i->initial_count);
    put_keys(s, i->gas_slots, i->gas_slot_count);
    put_keys(s, i->quota_slots, i->quota_slot_count);
    put_optional_key(s, &i->yield_receiver_slot);
}

static uint8_t *encode(const struct javm_image *image, const struct javm_hash *code_hash,
                       size_t *len)
{
    struct sink measure = {NULL, 0};
    put_image(&measure, image, code_hash);
    struct sink write = {malloc(measure.len), 0};
    if (write.bytes == NULL)
        return NULL;
    put_image(&write, image, code_hash);
    *len = write.len;
    return write.bytes;
}

enum javm_status javm_image_encode(const struct javm_cap *image, uint8_t **bytes, size_t *len)
{
    *bytes = encode(image->image, NULL, len);
    return *bytes != NULL ? JAVM_OK : JAVM_E_NOMEM;
}

struct javm_hash image_hash(const struct javm_image *image, bool *ok)
{
    const struct javm_bytes code[] = {{"javm.code.v1", 12}, {image->code, (size_t)image->code_len}};
    const struct javm_hash code_hash = javm_hash_pieces(code, 2);
    const uint8_t tag = JAVM_IMAGE;
    size_t len = 0;
    struct javm_hash hash = {{0}};
    uint8_t *bytes = encode(image, &code_hash, &len);
    *ok = bytes != NULL;
    if (bytes != NULL) {
        const struct javm_bytes pieces[] = {{"javm.cap.v1", 11}, {&tag, 1}, {bytes, len}};
        hash = javm_hash_pieces(pieces, 3);
    }
    free(bytes);
    return hash;
}

/* ---- reading ---------------------------------------------------------------------------- */

/* After the first failure every read gives zeros and the status stays. */
struct source {
    const uint8_t *bytes;
    size_t len, at;
    enum javm_status status;
    struct javm_error *err;
};

static void fail(struct source *s, const char *what, uint64_t number)
{
    if (s->status == JAVM_OK)
        s->status = javm_fail(s->err, JAVM_E_FORMAT, s->at, "image, byte %llu: %s (%llu)",
                              (unsigned long long)s->at, what, (unsigned long long)number);
}

static const uint8_t *take(struct source *s, uint64_t len, const char *field)
{
    static const uint8_t zeros[JAVM_HASH_BYTES];
    if (s->status == JAVM_OK && len > s->len - s->at)
        s->status = javm_fail(s->err, JAVM_E_FORMAT, s->at,
                              "image, byte %llu: %s needs %llu bytes, only %llu are left",
                              (unsigned long long)s->at, field, (unsigned long long)len,
                              (unsigned long long)(s->len - s->at));
    if (s->status != JAVM_OK)
        return zeros; /* callers that took more than this look at the status first */
    const uint8_t *bytes = s->bytes + s->at;
    s->at += (size_t)len;
    return bytes;
}

static uint64_t number(struct source *s, size_t width, const char *field)
{
    const uint8_t *bytes = take(s, width, field);
    uint64_t value = 0;
    for (size_t i = 0; i < width; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

/* An array for a counted list whose elements take at least `least` bytes each, so that the count
 * cannot ask for more than the input warrants. */
static void *list(struct source *s, const char *field, size_t least, size_t size, uint32_t *count)
{
    const uint64_t n = number(s, 4, field);
    if (s->status == JAVM_OK && n > (s->len - s->at) / least)
        fail(s, field, n);
    *count = 0;
    if (s->status != JAVM_OK || n == 0)
        return NULL;
    void *array = calloc((size_t)n, size);
    if (array == NULL)
        s->status = javm_fail(s->err, JAVM_E_NOMEM, s->at, "image: out of memory for %s", field);
    else
        *count = (uint32_t)n;
    return array;
}

static void key(struct source *s, struct javm_key *out, const char *field)
{
    const uint64_t len = number(s, 1, field);
    if (s->status == JAVM_OK && (len == 0 || len > JAVM_MAX_KEY_LEN))
        fail(s, "a key has 1 to 8 bytes", len);
    const uint8_t *bytes = take(s, s->status == JAVM_OK ? len : 0, field);
    if (s->status != JAVM_OK)
        return;
    out->len = (uint8_t)len;
    memcpy(out->bytes, bytes, out->len);
}

static bool flag(struct source *s, const char *field)
{
    const uint64_t value = number(s, 1, field);
    if (value > 1)
        fail(s, "expected 0 or 1", value);
    return value == 1;
}

static void optional_key(struct source *s, struct javm_key *out, const char *field)
{
    if (flag(s, field))
        key(s, out, field);
}

static struct javm_pin *pins(struct source *s, const char *field, uint32_t *count)
{
    struct javm_pin *array = list(s, field, 2 + JAVM_HASH_BYTES, sizeof *array, count);
    for (uint32_t i = 0; i < *count; i++) {
        key(s, &array[i].key, field);
        memcpy(array[i].hash.bytes, take(s, JAVM_HASH_BYTES, field), JAVM_HASH_BYTES);
    }
    return array;
}

static struct javm_key *keys(struct source *s, const char *field, uint32_t *count)
{
    struct javm_key *array = list(s, field, 2, sizeof *array, count);
    for (uint32_t i = 0; i < *count; i++)
        key(s, &array[i], field);
    return array;
}

static struct javm_endpoint *endpoints(struct source *s, uint32_t *count)
{
    struct javm_endpoint *array =
        list(s, "endpoints", 22 + 8 * JAVM_NUM_REGS, sizeof *array, count);
    for (uint32_t i = 0; i < *count; i++) {
        array[i].index = (uint32_t)number(s, 4, "endpoints: index");
        array[i].entry_pc = number(s, 8, "endpoints: entry_pc");
        array[i].stack_top = number(s, 8, "endpoints: stack_top");
        optional_key(s, &array[i].arg_cnode_slot, "endpoints: arg_cnode_slot");
        array[i].arg_cnode_size = (uint8_t)number(s, 1, "endpoints: arg_cnode_size");
        for (int r = 0; r < JAVM_NUM_REGS; r++)
            array[i].initial_regs[r] = number(s, 8, "endpoints: initial_regs");
    }
    return array;
}

static struct javm_mapping *mappings(struct source *s, uint32_t *count)
{
    struct javm_mapping *array = list(s, "mappings", 17, sizeof *array, count);
    for (uint32_t i = 0; i < *count; i++) {
        array[i].start = number(s, 8, "mappings: start");
        array[i].size = number(s, 8, "mappings: size");
        if (!flag(s, "mappings: source"))
            continue;
        const uint64_t depth = number(s, 4, "mappings: source path");
        if (s->status == JAVM_OK && (depth == 0 || depth > JAVM_MAX_SOURCE_DEPTH))
            fail(s, "a source path has 1 to 8 keys", depth);
        if (s->status != JAVM_OK)
            break;
        array[i].depth = (uint8_t)depth;
        for (uint8_t k = 0; k < array[i].depth; k++)
            key(s, &array[i].path[k], "mappings: source path");
    }
    return array;
}

enum javm_status javm_image_decode(const uint8_t *bytes, size_t len, struct javm_cap **cap,
                                   struct javm_error *err)
{
    struct source s = {.bytes = bytes, .len = len, .err = err};
    struct javm_image image = {.isa = JAVM_ISA_PVM};
    uint64_t isa = number(&s, 1, "isa");
    if (isa > JAVM_ISA_PVM2)
        fail(&s, "isa: expected 0 (PVM) or 1 (PVM2)", isa);
    image.isa = (enum javm_isa)isa;
    image.code_len = number(&s, 4, "code");
    image.code = take(&s, image.code_len, "code");
    image.bitmask_len = number(&s, 4, "bitmask");
    image.bitmask = take(&s, image.bitmask_len, "bitmask");
    uint32_t *jumps = list(&s, "jump_table", 4, sizeof *jumps, &image.jump_count);
    for (uint32_t i = 0; i < image.jump_count; i++)
        jumps[i] = (uint32_t)number(&s, 4, "jump_table");
    struct javm_endpoint *endpoint_list = endpoints(&s, &image.endpoint_count);
    struct javm_mapping *mapping_list = mappings(&s, &image.mapping_count);
    struct javm_pin *pinned = pins(&s, "pinned", &image.pinned_count);
    struct javm_pin *initial = pins(&s, "initial", &image.initial_count);
    struct javm_key *gas = keys(&s, "gas_slots", &image.gas_slot_count);
    struct javm_key *quota = keys(&s, "quota_slots", &image.quota_slot_count);
    optional_key(&s, &image.yield_receiver_slot, "yield_receiver_slot");
    if (s.status == JAVM_OK && s.at != len)
        fail(&s, "bytes follow the end of the image", len - s.at);
    image.jump_table = jumps;
    image.endpoints = endpoint_list;
    image.mappings = mapping_list;
    image.pinned = pinned;
    image.initial = initial;
    image.gas_slots = gas;
    image.quota_slots = quota;
    if (s.status == JAVM_OK)
        s.status = javm_image_new(&image, cap, err);
    free(jumps);
    free(endpoint_list);
    free(mapping_list);
    free(pinned);
    free(initial);
    free(gas);
    free(quota);
    return s.status;
}
