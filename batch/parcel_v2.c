#include "batch/parcel_v2.h"

#include <string.h>

#include "batch/execute.h"

/* ---- jobs ------------------------------------------------------------------------------- */

static void carry_map(struct carry *carry, struct javm_v2_map *map)
{
    struct javm_v2_item *items =
        carry_array(carry, map->items, &map->count, sizeof *items, 2 * sizeof(uint64_t));
    for (size_t i = 0; i < map->count; i++) {
        carry_bytes(carry, &items[i].key);
        carry_bytes(carry, &items[i].value);
    }
    if (carry->reads) /* others may be at the same job */
        map->items = items;
    carry_plain(carry, &map->footprint, sizeof map->footprint);
    carry_plain(carry, &map->longest_key, sizeof map->longest_key);
}

static void carry_service(struct carry *carry, struct javm_v2_service *service)
{
    carry_plain(carry, service, offsetof(struct javm_v2_service, storage)); /* numbers */
    carry_map(carry, &service->storage);
    carry_map(carry, &service->preimages);
}

static void carry_fetch(struct carry *carry, struct javm_v2_fetch *fetch)
{
    carry_plain(carry, &fetch->kind, sizeof fetch->kind);
    carry_plain(carry, &fetch->indexed, sizeof fetch->indexed);
    struct javm_bytes *items =
        carry_array(carry, fetch->items, &fetch->count, sizeof *items, sizeof(uint64_t));
    for (size_t i = 0; i < fetch->count; i++)
        carry_bytes(carry, &items[i]);
    if (carry->reads)
        fetch->items = items;
}

static void carry_state(struct carry *carry, struct javm_v2_state *state)
{
    carry_plain(carry, &state->context, sizeof state->context);
    carry_plain(carry, &state->own, sizeof state->own);
    carry_plain(carry, &state->quota_service, sizeof state->quota_service);
    carry_plain(carry, &state->cores, sizeof state->cores);
    carry_plain(carry, &state->queue, sizeof state->queue);
    carry_plain(carry, &state->exports, sizeof state->exports);
    struct javm_v2_service *services =
        carry_array(carry, state->services, &state->service_count, sizeof *services,
                    offsetof(struct javm_v2_service, storage));
    for (size_t i = 0; i < state->service_count; i++)
        carry_service(carry, &services[i]);
    struct javm_v2_fetch *fetch =
        carry_array(carry, state->fetch, &state->fetch_count, sizeof *fetch, sizeof(uint64_t));
    for (size_t i = 0; i < state->fetch_count; i++)
        carry_fetch(carry, &fetch[i]);
    if (carry->reads) {
        state->services = services;
        state->fetch = fetch;
    }
}

void parcel_v2_job(struct carry *carry, struct v2_job *v2)
{
    carry_plain(carry, &v2->op, sizeof v2->op);
    carry_plain(carry, &v2->compares, sizeof v2->compares);
    carry_bytes(carry, &v2->args);
    carry_state(carry, &v2->state);
}

/* ---- what they left --------------------------------------------------------------------- */

/* Storage too long for a line is only compared. */
static bool needs_storage(const struct job *job, uint64_t footprint)
{
    return job->v2->compares || (job->output != OUTPUT_NONE && footprint <= OUTPUT_BYTES_MAX);
}

static void count_item(void *context, const struct javm_bytes *key, const struct javm_bytes *value)
{
    (void)key;
    (void)value;
    ++*(size_t *)context;
}

static void put_item(void *context, const struct javm_bytes *key, const struct javm_bytes *value)
{
    struct javm_v2_item item = {*key, *value};
    carry_bytes(context, &item.key);
    carry_bytes(context, &item.value);
}

/* As carry_map, of what is in no array. */
static void put_storage(struct carry *carry, const struct v2_left *left)
{
    size_t count = 0;
    left->items(left->storage, count_item, &count);
    (void)carry_array(carry, NULL, &count, 0, 0);
    left->items(left->storage, put_item, carry);
}

static void carry_record(struct carry *carry, struct javm_v2_record *record)
{
    uint32_t flags[4] = {record->id, record->undone, record->arg_count, record->data_count};
    carry_plain(carry, flags, sizeof flags);
    carry_plain(carry, record->args, sizeof record->args);
    carry->bad = carry->bad || flags[0] < 1 || flags[0] > 28 || flags[2] > JAVM_V2_RECORD_ARGS ||
                 flags[3] > JAVM_V2_RECORD_DATA;
    if (carry->reads && !carry->bad) {
        record->id = flags[0];
        record->undone = flags[1] != 0;
        record->arg_count = flags[2];
        record->data_count = flags[3];
    }
    for (unsigned i = 0; i < record->data_count && !carry->bad; i++)
        carry_bytes(carry, &record->data[i]);
}

static void carry_records(struct carry *carry, struct v2_left *left)
{
    struct javm_v2_record *records =
        carry_array(carry, left->records, &left->record_count, sizeof *records, 64);
    for (size_t i = 0; i < left->record_count; i++)
        carry_record(carry, &records[i]);
    left->records = records;
    carry_plain(carry, &left->left_out, sizeof left->left_out);
}

static void carry_exports(struct carry *carry, struct v2_left *left)
{
    struct javm_bytes bytes = {left->exports, left->export_count * JAVM_V2_SEGMENT};
    carry_bytes(carry, &bytes);
    carry->bad = carry->bad || bytes.len % JAVM_V2_SEGMENT != 0;
    left->exports = bytes.data;
    left->export_count = bytes.len / JAVM_V2_SEGMENT;
}

void parcel_v2_put_left(struct carry *carry, const struct job *job, const struct v2_left *left)
{
    struct v2_left copy = *left;
    if (job->v2->state.context == JAVM_V2_REFINE) {
        carry_exports(carry, &copy);
        return;
    }
    carry_records(carry, &copy);
    carry_plain(carry, &copy.footprint, sizeof copy.footprint);
    if (needs_storage(job, copy.footprint))
        put_storage(carry, left);
}

static const struct javm_bytes *find_in_map(const void *storage, const void *key, size_t len)
{
    return javm_v2_map_find(storage, key, len);
}

/* Items in any order, none twice, none empty. */
static void get_storage(struct carry *carry, struct javm_v2_map *map)
{
    size_t count = 0;
    struct javm_v2_item *items =
        carry_array(carry, NULL, &count, sizeof *items, 2 * sizeof(uint64_t));
    for (size_t i = 0; i < count; i++) {
        carry_bytes(carry, &items[i].key);
        carry_bytes(carry, &items[i].value);
    }
    carry->bad = carry->bad || javm_v2_map_make(items, count, map) != NULL;
}

bool parcel_v2_get_left(struct carry *carry, const struct job *job, struct javm_v2_map *map,
                        struct v2_left *left)
{
    *map = (struct javm_v2_map){NULL, 0, 0, 0};
    *left = (struct v2_left){.items = v2_items_of_map, .find = find_in_map, .storage = map};
    if (job->v2->state.context == JAVM_V2_REFINE) {
        carry_exports(carry, left);
        return carry_ended(carry) && left->export_count <= job->v2->state.exports;
    }
    carry_records(carry, left);
    carry_plain(carry, &left->footprint, sizeof left->footprint);
    if (needs_storage(job, left->footprint)) {
        get_storage(carry, map);
        left->footprint = map->footprint;
    }
    return carry_ended(carry);
}

bool parcel_v2_show(const struct javm_bytes *bytes, const struct job *job, struct v2_texts *texts,
                    struct result *result)
{
    struct carry carry = carry_read(bytes->data, bytes->len);
    struct javm_v2_map storage;
    struct v2_left left;
    const bool good = parcel_v2_get_left(&carry, job, &storage, &left);
    if (good)
        v2_show(texts, job, &left, result);
    carry_clear(&carry);
    return good;
}
