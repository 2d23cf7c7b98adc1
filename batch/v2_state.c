#include "batch/v2_state.h"

#include <stdlib.h>
#include <string.h>

#include "batch/text.h"

bool v2_no_memory(struct v2_reading *reading, const struct json_node *node)
{
    return problem_at(reading->problem, node->offset, "out of memory");
}

void *v2_take(struct v2_reading *reading, const struct json_node *node, size_t size)
{
    void *taken = v2_job_take(reading->v2, size);
    if (taken == NULL)
        v2_no_memory(reading, node);
    return taken;
}

/* ---- bytes ------------------------------------------------------------------------------ */

/* The blob may be forgotten before the job runs, and is in pages: a copy. */
static bool copy_blob(struct v2_reading *reading, const struct json_node *node,
                      const struct blob *blob, struct javm_bytes *bytes)
{
    uint8_t *to = v2_take(reading, node, blob->len);
    if (to == NULL)
        return false;
    for (uint64_t at = 0; at < blob->len; at += JAVM_PAGE_SIZE) {
        const uint8_t *page = javm_data_page(blob->data, at >> JAVM_PAGE_SHIFT);
        const uint64_t rest = blob->len - at;
        if (page != NULL)
            memcpy(to + at, page, rest < JAVM_PAGE_SIZE ? rest : JAVM_PAGE_SIZE);
    }
    *bytes = (struct javm_bytes){to, blob->len};
    return true;
}

static bool file_bytes(struct v2_reading *reading, const struct json_node *node, const char *what,
                       struct javm_bytes *bytes)
{
    struct javm_error err;
    struct blob *blob;
    bool fresh;
    char *path = definitions_path(reading->sources->definitions, node, node->text + 1,
                                  node->text_len - 1, reading->problem);
    if (path == NULL)
        return false;
    const enum javm_status status =
        blob_files_get(reading->sources->files, path, &blob, &fresh, &err);
    free(path);
    if (status != JAVM_OK)
        return problem_at(reading->problem, node->offset, "%s: %s", what, err.text);
    const bool copied = copy_blob(reading, node, blob, bytes);
    blob_release(blob);
    return copied;
}

bool v2_bytes(struct v2_reading *reading, const struct json_node *node, const char *what,
              struct javm_bytes *bytes)
{
    if (node->type != JSON_STRING)
        return problem_at(reading->problem, node->offset,
                          "%s: expected a string: \"0x..\", \"@file\" or plain text", what);
    if (node->text_len > 0 && node->text[0] == '@')
        return file_bytes(reading, node, what, bytes);
    uint8_t *to = v2_take(reading, node, node->text_len);
    if (to == NULL)
        return false;
    *bytes = (struct javm_bytes){to, node->text_len};
    if (field_is_hex(node))
        return field_bytes(reading->fields, node, what, to, &bytes->len, reading->problem);
    if (node->text_len != 0)
        memcpy(to, node->text, node->text_len);
    return true;
}

/* The name of a member as bytes: as a string, but it cannot name a file. */
static bool key_bytes(struct v2_reading *reading, const struct json_node *node, const char *what,
                      struct javm_bytes *bytes)
{
    const struct json_node name = {.type = JSON_STRING,
                                   .offset = node->key_offset,
                                   .text = node->key,
                                   .text_len = node->key_len};
    if (node->key_len > 0 && node->key[0] == '@')
        return problem_at(reading->problem, node->key_offset,
                          "%s: a key that begins with @ has to be given in hex", what);
    return v2_bytes(reading, &name, what, bytes);
}

static bool is_object(struct v2_reading *reading, const struct json_node *node, const char *what)
{
    return node->type == JSON_OBJECT ||
           problem_at(reading->problem, node->offset, "%s: expected an object", what);
}

/* "0x" and the first bytes of a key. */
static const char *show_key(const struct javm_bytes *key, char text[40])
{
    const size_t shown = key->len < 16 ? key->len : 16;
    char *end = put_hex_bytes(put_literal(text, "0x"), key->data, shown);
    strcpy(end, shown < key->len ? "..." : "");
    return text;
}

static bool make_map(struct v2_reading *reading, const struct json_node *node, const char *what,
                     struct javm_v2_item *items, struct javm_v2_map *map)
{
    char key[40];
    const struct javm_v2_item *bad = javm_v2_map_make(items, node->count, map);
    if (bad == NULL)
        return true;
    return problem_at(reading->problem, node->offset, "%s: %s %s", what, show_key(&bad->key, key),
                      bad->value.len == 0
                          ? "has an empty value; expected at least one byte, or no such item"
                          : "is there twice");
}

bool v2_storage(struct v2_reading *reading, const struct json_node *node, const char *what,
                struct javm_v2_map *map)
{
    if (!is_object(reading, node, what))
        return false;
    struct javm_v2_item *items = v2_take(reading, node, node->count * sizeof *items), *item = items;
    if (items == NULL)
        return false;
    for (uint32_t i = node->first; i != 0; i = reading->fields->nodes[i].next, item++) {
        const struct json_node *member = &reading->fields->nodes[i];
        if (!key_bytes(reading, member, what, &item->key) ||
            !v2_bytes(reading, member, what, &item->value))
            return false;
    }
    return make_map(reading, node, what, items, map);
}

static bool read_list(struct v2_reading *reading, const struct json_node *node, const char *what,
                      const struct javm_bytes **list, size_t *count)
{
    if (node->type != JSON_ARRAY)
        return problem_at(reading->problem, node->offset, "%s: expected an array of strings", what);
    struct javm_bytes *items = v2_take(reading, node, node->count * sizeof *items), *item = items;
    if (items == NULL)
        return false;
    for (uint32_t i = node->first; i != 0; i = reading->fields->nodes[i].next)
        if (!v2_bytes(reading, &reading->fields->nodes[i], what, item++))
            return false;
    *list = items;
    *count = node->count;
    return true;
}

static bool read_preimages(struct v2_reading *reading, const struct json_node *node,
                           struct javm_v2_map *map)
{
    const struct javm_bytes *list;
    size_t count;
    if (!read_list(reading, node, "preimages", &list, &count))
        return false;
    struct javm_v2_item *items = v2_take(reading, node, count * sizeof *items);
    struct javm_hash *hashes = v2_take(reading, node, count * sizeof *hashes);
    if (items == NULL || hashes == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        hashes[i] = javm_hash_pieces(&list[i], 1);
        items[i] = (struct javm_v2_item){{hashes[i].bytes, sizeof hashes[i].bytes}, list[i]};
    }
    return make_map(reading, node, "preimages", items, map);
}

/* ---- services --------------------------------------------------------------------------- */

static bool read_quota(struct v2_reading *reading, const struct json_node *node,
                       struct javm_v2_service *service)
{
    char quoted[QUOTE_SIZE];
    if (!is_object(reading, node, "quota"))
        return false;
    for (uint32_t i = node->first; i != 0; i = reading->fields->nodes[i].next) {
        const struct json_node *member = &reading->fields->nodes[i];
        uint64_t *to = field_key_is(member, "items")   ? &service->quota_items
                       : field_key_is(member, "bytes") ? &service->quota_bytes
                                                       : NULL;
        if (to == NULL && field_is_extension(member))
            continue;
        if (to == NULL)
            return problem_at(reading->problem, member->key_offset,
                              "unknown field %s; quota has items, bytes, x-...",
                              quote(quoted, member->key, member->key_len));
        if (!field_u64(member, "quota", UINT64_MAX, to, reading->problem))
            return false;
    }
    return true;
}

static bool read_u32(struct v2_reading *reading, const struct json_node *node, const char *what,
                     uint32_t *to)
{
    uint64_t value;
    if (!field_u64(node, what, UINT32_MAX, &value, reading->problem))
        return false;
    *to = (uint32_t)value;
    return true;
}

bool v2_service_member(struct v2_reading *reading, const struct json_node *node,
                       struct javm_v2_service *service, bool *known)
{
    const struct {
        const char *name;
        uint64_t *to;
        uint32_t *to32;
    } numbers[] = {{"balance", &service->balance, NULL},
                   {"min_accumulate_gas", &service->min_accumulate_gas, NULL},
                   {"min_transfer_gas", &service->min_transfer_gas, NULL},
                   {"created", NULL, &service->created},
                   {"last_used", NULL, &service->last_used},
                   {"parent", NULL, &service->parent}};
    *known = true;
    if (field_key_is(node, "storage"))
        return v2_storage(reading, node, "storage", &service->storage);
    if (field_key_is(node, "preimages"))
        return read_preimages(reading, node, &service->preimages);
    if (field_key_is(node, "quota"))
        return read_quota(reading, node, service);
    if (field_key_is(node, "code_hash"))
        return (node->type == JSON_STRING &&
                javm_hash_parse(node->text, node->text_len, &service->code_hash)) ||
               problem_at(reading->problem, node->offset,
                          "code_hash: expected \"0x\" and 64 hex digits");
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (field_key_is(node, numbers[i].name))
            return numbers[i].to32 != NULL
                       ? read_u32(reading, node, numbers[i].name, numbers[i].to32)
                       : field_u64(node, numbers[i].name, UINT64_MAX, numbers[i].to,
                                   reading->problem);
    *known = false;
    return true;
}

/* A number in a member's name, decimal. */
static bool key_number(struct v2_reading *reading, const struct json_node *node, const char *what,
                       uint64_t *number)
{
    uint64_t value = 0;
    bool good = node->key_len > 0 && node->key_len <= 10;
    for (uint32_t i = 0; good && i < node->key_len; i++) {
        good = node->key[i] >= '0' && node->key[i] <= '9';
        value = value * 10 + (uint64_t)(node->key[i] - '0');
    }
    *number = value;
    return (good && value <= UINT32_MAX) ||
           problem_at(reading->problem, node->key_offset, "%s, 0..4294967295, as the name", what);
}

static bool read_service(struct v2_reading *reading, const struct json_node *node,
                         struct javm_v2_service *service)
{
    char quoted[QUOTE_SIZE];
    uint64_t id;
    if (!key_number(reading, node, "services: expected a service's number", &id) ||
        !is_object(reading, node, "services"))
        return false;
    service->id = (uint32_t)id;
    service->quota_items = service->quota_bytes = UINT64_MAX;
    for (uint32_t i = node->first; i != 0; i = reading->fields->nodes[i].next) {
        const struct json_node *member = &reading->fields->nodes[i];
        bool known;
        if (!v2_service_member(reading, member, service, &known))
            return false;
        if (!known && !field_is_extension(member))
            return problem_at(reading->problem, member->key_offset,
                              "unknown field %s; a service has storage, preimages, quota, balance, "
                              "code_hash, min_accumulate_gas, min_transfer_gas, created, "
                              "last_used, parent, x-...",
                              quote(quoted, member->key, member->key_len));
    }
    return true;
}

static int by_id(const void *a, const void *b)
{
    const struct javm_v2_service *x = a, *y = b;
    return (x->id > y->id) - (x->id < y->id);
}

bool v2_services(struct v2_reading *reading, const struct json_node *node,
                 const struct javm_v2_service *own)
{
    struct javm_v2_state *state = &reading->v2->state;
    if (node != NULL && !is_object(reading, node, "services"))
        return false;
    const struct json_node *at = node != NULL ? node : &reading->fields->nodes[0];
    const size_t count = 1 + (node != NULL ? node->count : 0);
    struct javm_v2_service *services = v2_take(reading, at, count * sizeof *services);
    if (services == NULL)
        return false;
    services[0] = *own;
    size_t made = 1;
    for (uint32_t i = node != NULL ? node->first : 0; i != 0; i = reading->fields->nodes[i].next)
        if (!read_service(reading, &reading->fields->nodes[i], &services[made++]))
            return false;
    if (count > 1)
        qsort(services, count, sizeof *services, by_id);
    for (size_t i = 0; i < count; i++) {
        if (services[i].id == own->id)
            state->own = i;
        if (i > 0 && services[i].id == services[i - 1].id)
            return problem_at(reading->problem, at->offset, "services: %u is %s", services[i].id,
                              services[i].id == own->id ? "the one that runs: say that in v2"
                                                        : "there twice");
    }
    state->services = services;
    state->service_count = count;
    return true;
}

/* ---- fetch ------------------------------------------------------------------------------ */

static bool read_kind(struct v2_reading *reading, const struct json_node *node,
                      struct javm_v2_fetch *fetch)
{
    static const struct {
        const char *name;
        uint64_t kind;
    } NAMES[] = {{"configuration", 0}, {"entropy", 1}, {"items", 15}};
    unsigned n = 0;
    while (n < sizeof NAMES / sizeof *NAMES && !field_key_is(node, NAMES[n].name))
        n++;
    if (n < sizeof NAMES / sizeof *NAMES)
        fetch->kind = NAMES[n].kind;
    else if (!key_number(reading, node,
                         "fetch: expected configuration, entropy, items or a kind's number",
                         &fetch->kind))
        return false;
    fetch->indexed = node->type == JSON_ARRAY;
    if (fetch->indexed)
        return read_list(reading, node, "fetch", &fetch->items, &fetch->count);
    if (fetch->kind == 15)
        return problem_at(reading->problem, node->offset, "fetch: items are an array of strings");
    struct javm_bytes *one = v2_take(reading, node, sizeof *one);
    fetch->items = one;
    fetch->count = 1;
    return one != NULL && v2_bytes(reading, node, "fetch", one);
}

bool v2_fetch(struct v2_reading *reading, const struct json_node *node)
{
    if (!is_object(reading, node, "fetch"))
        return false;
    struct javm_v2_fetch *fetch = v2_take(reading, node, node->count * sizeof *fetch);
    if (fetch == NULL)
        return false;
    size_t count = 0;
    for (uint32_t i = node->first; i != 0; i = reading->fields->nodes[i].next) {
        const struct json_node *member = &reading->fields->nodes[i];
        if (count == V2_KINDS_MAX)
            return problem_at(reading->problem, member->key_offset, "fetch: more than %u kinds",
                              V2_KINDS_MAX);
        if (!read_kind(reading, member, &fetch[count]))
            return false;
        for (size_t k = 0; k < count; k++)
            if (fetch[k].kind == fetch[count].kind)
                return problem_at(reading->problem, member->key_offset,
                                  "fetch: kind %llu is there twice",
                                  (unsigned long long)fetch[count].kind);
        count++;
    }
    reading->v2->state.fetch = fetch;
    reading->v2->state.fetch_count = count;
    return true;
}
