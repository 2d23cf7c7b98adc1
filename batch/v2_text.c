#include "batch/v2_text.h"

#include "batch/text.h"

void v2_items_of_map(const void *source, javm_v2_visit *visit, void *context)
{
    const struct javm_v2_map *map = source;
    for (size_t i = 0; i < map->count; i++)
        visit(context, &map->items[i].key, &map->items[i].value);
}

void v2_items_of_world(const void *source, javm_v2_visit *visit, void *context)
{
    javm_v2_world_walk(source, visit, context);
}

/* Quotes, 0x, a colon or a comma. */
#define AROUND 8

static char *put_value(char *at, const struct javm_bytes *bytes)
{
    at = put_literal(at, "\"0x");
    at = put_hex_bytes(at, bytes->data, bytes->len);
    *at++ = '"';
    return at;
}

static void count_item(void *context, const struct javm_bytes *key, const struct javm_bytes *value)
{
    *(size_t *)context += 2 * (key->len + value->len) + 2 * (size_t)AROUND;
}

static void put_item(void *context, const struct javm_bytes *key, const struct javm_bytes *value)
{
    char **at = context;
    if ((*at)[-1] != '{')
        *(*at)++ = ',';
    *at = put_value(*at, key);
    *(*at)++ = ':';
    *at = put_value(*at, value);
}

size_t v2_storage_max(v2_items *items, const void *source)
{
    size_t max = 2;
    items(source, count_item, &max);
    return max;
}

char *v2_storage_put(char *at, v2_items *items, const void *source)
{
    *at++ = '{';
    items(source, put_item, &at);
    *at++ = '}';
    return at;
}

/* ---- calls ------------------------------------------------------------------------------ */

size_t v2_calls_max(const struct javm_v2_world *world)
{
    size_t count, max = 64;
    uint64_t left_out;
    const struct javm_v2_record *records = javm_v2_world_records(world, &count, &left_out);
    for (size_t i = 0; i < count; i++) {
        max += 100 + (TEXT_U64_MAX + 1) * JAVM_V2_RECORD_ARGS;
        for (unsigned k = 0; k < records[i].data_count; k++)
            max += 2 * records[i].data[k].len + AROUND;
    }
    return max;
}

static char *put_call(char *at, const struct javm_v2_record *record)
{
    const char *name = javm_v2_service_name(record->id);
    at = put_literal(at, "{\"call\":\"");
    at = put_bytes(at, name, strlen(name));
    at = put_literal(at, "\",\"args\":");
    for (unsigned i = 0; i < record->arg_count; i++) {
        *at++ = i == 0 ? '[' : ',';
        at = put_u64(at, record->args[i]);
    }
    at = put_literal(at, "],\"data\":[");
    for (unsigned i = 0; i < record->data_count; i++) {
        if (i > 0)
            *at++ = ',';
        at = put_value(at, &record->data[i]);
    }
    *at++ = ']';
    if (record->undone)
        at = put_literal(at, ",\"undone\":true");
    *at++ = '}';
    return at;
}

char *v2_calls_put(char *at, const struct javm_v2_world *world)
{
    size_t count;
    uint64_t left_out;
    const struct javm_v2_record *records = javm_v2_world_records(world, &count, &left_out);
    *at++ = '[';
    for (size_t i = 0; i < count; i++) {
        if (i > 0)
            *at++ = ',';
        at = put_call(at, &records[i]);
    }
    if (left_out != 0) {
        if (count > 0)
            *at++ = ',';
        at = put_literal(at, "{\"left_out\":");
        at = put_u64(at, left_out);
        *at++ = '}';
    }
    *at++ = ']';
    return at;
}

/* ---- exports ---------------------------------------------------------------------------- */

size_t v2_exports_max(const struct javm_v2_world *world, bool hashes)
{
    const size_t each = hashes ? sizeof(struct javm_hash) : JAVM_V2_SEGMENT;
    size_t count;
    (void)javm_v2_world_exports(world, &count);
    return 2 + count * (2 * each + AROUND);
}

char *v2_exports_put(char *at, const struct javm_v2_world *world, bool hashes)
{
    size_t count;
    const uint8_t *segment = javm_v2_world_exports(world, &count);
    *at++ = '[';
    for (size_t i = 0; i < count; i++, segment += JAVM_V2_SEGMENT) {
        struct javm_bytes bytes = {segment, JAVM_V2_SEGMENT};
        struct javm_hash hash;
        if (i > 0)
            *at++ = ',';
        if (hashes) {
            hash = javm_hash_pieces(&bytes, 1);
            bytes = (struct javm_bytes){hash.bytes, sizeof hash.bytes};
        } else {
            while (bytes.len > 0 && segment[bytes.len - 1] == 0)
                bytes.len--; /* as output is reported */
        }
        at = put_value(at, &bytes);
    }
    *at++ = ']';
    return at;
}
