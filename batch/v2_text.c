#include "batch/v2_text.h"

#include "batch/text.h"

void v2_items_of_map(const void *source, javm_v2_visit *visit, void *context)
{
    const struct javm_v2_map *map = source;
    for (size_t i = 0; i < map->count; i++)
        visit(context, &map->items[i].key, &map->items[i].value);
}

static void items_of_world(const void *source, javm_v2_visit *visit, void *context)
{
    javm_v2_world_walk(source, visit, context);
}

static const struct javm_bytes *find_in_world(const void *storage, const void *key, size_t len)
{
    return javm_v2_world_find(storage, key, len);
}

void v2_left_of_world(const struct javm_v2_world *world, struct v2_left *left)
{
    uint64_t count;
    *left = (struct v2_left){.items = items_of_world, .find = find_in_world, .storage = world};
    javm_v2_world_usage(world, &count, &left->footprint);
    left->records = javm_v2_world_records(world, &left->record_count, &left->left_out);
    left->exports = javm_v2_world_exports(world, &left->export_count);
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

size_t v2_calls_max(const struct v2_left *left)
{
    size_t max = 64;
    for (size_t i = 0; i < left->record_count; i++) {
        const struct javm_v2_record *record = &left->records[i];
        max += 100 + (TEXT_U64_MAX + 1) * JAVM_V2_RECORD_ARGS;
        for (unsigned k = 0; k < record->data_count; k++)
            max += 2 * record->data[k].len + AROUND;
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

char *v2_calls_put(char *at, const struct v2_left *left)
{
    *at++ = '[';
    for (size_t i = 0; i < left->record_count; i++) {
        if (i > 0)
            *at++ = ',';
        at = put_call(at, &left->records[i]);
    }
    if (left->left_out != 0) {
        if (left->record_count > 0)
            *at++ = ',';
        at = put_literal(at, "{\"left_out\":");
        at = put_u64(at, left->left_out);
        *at++ = '}';
    }
    *at++ = ']';
    return at;
}

/* ---- exports ---------------------------------------------------------------------------- */

size_t v2_exports_max(const struct v2_left *left, bool hashes)
{
    const size_t each = hashes ? sizeof(struct javm_hash) : JAVM_V2_SEGMENT;
    return 2 + left->export_count * (2 * each + AROUND);
}

char *v2_exports_put(char *at, const struct v2_left *left, bool hashes)
{
    const uint8_t *segment = left->exports;
    *at++ = '[';
    for (size_t i = 0; i < left->export_count; i++, segment += JAVM_V2_SEGMENT) {
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
