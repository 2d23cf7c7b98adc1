#include "vm/v2host/store.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

static int compare_entries(const void *a, const void *b)
{
    const struct stored *x = a, *y = b;
    return bytes_compare(&x->key, &y->key);
}

static struct stored *find_entry(const struct store *store, const struct javm_bytes *key)
{
    const struct stored like = {.key = *key};
    struct stored *const *node = tfind(&like, &store->tree, compare_entries);
    return node == NULL ? NULL : *node;
}

static void drop_value(struct value *value)
{
    if (value->owned)
        free((void *)(uintptr_t)value->bytes.data);
    value->owned = false;
}

static void free_entry(void *at)
{
    struct stored *entry = at;
    drop_value(&entry->live);
    drop_value(&entry->saved);
    free(entry);
}

void store_clear(struct store *store)
{
    tdestroy(store->tree, free_entry);
    store->tree = NULL;
    LIST_INIT(&store->dirty);
}

void store_begin(struct store *store, const struct javm_v2_map *base)
{
    store_clear(store);
    store->base = base;
    store->items = store->saved_items = base->count;
    store->footprint = store->saved_footprint = base->footprint;
    store->written = 0;
}

const struct javm_bytes *store_find(const struct store *store, const struct javm_bytes *key)
{
    const struct stored *entry = find_entry(store, key);
    if (entry == NULL)
        return javm_v2_map_find(store->base, key->data, key->len);
    return entry->live.bytes.len == 0 ? NULL : &entry->live.bytes;
}

static uint64_t size_of(const struct javm_bytes *key, uint64_t len)
{
    return len == 0 ? 0 : 34 + (uint64_t)key->len + len;
}

struct store_size store_after(const struct store *store, const struct javm_bytes *key, uint64_t len)
{
    const struct stored *entry = find_entry(store, key);
    const struct javm_bytes *old = store_find(store, key);
    const uint64_t before = old == NULL ? 0 : old->len;
    return (struct store_size){
        .items = store->items + (uint64_t)(len != 0) - (uint64_t)(before != 0),
        .footprint = store->footprint + size_of(key, len) - size_of(key, before),
        .written = store->written + len + (entry == NULL ? 34 + (uint64_t)key->len : 0 - before)};
}

/* A new one that holds what the map has. NULL: no memory. */
static struct stored *make_entry(struct store *store, const struct javm_bytes *key)
{
    const struct javm_bytes *base = javm_v2_map_find(store->base, key->data, key->len);
    struct stored *entry = malloc(sizeof *entry + key->len);
    if (entry == NULL)
        return NULL;
    *entry = (struct stored){.key = {entry->own, key->len}, .is_base = base != NULL};
    if (key->len != 0)
        memcpy(entry->own, key->data, key->len);
    if (base != NULL)
        entry->saved.bytes = *base;
    entry->live = entry->saved;
    if (tsearch(entry, &store->tree, compare_entries) == NULL) {
        free(entry);
        return NULL;
    }
    store->written += 34 + (uint64_t)key->len + entry->live.bytes.len;
    return entry;
}

/* There never was such an item, as far as anybody can still see. */
static void forget_entry(struct store *store, struct stored *entry)
{
    store->written -= 34 + (uint64_t)entry->key.len;
    tdelete(entry, &store->tree, compare_entries);
    free_entry(entry);
}

static bool is_nothing(const struct stored *entry)
{
    return !entry->is_base && entry->live.bytes.len == 0 && entry->saved.bytes.len == 0;
}

bool store_write(struct store *store, const struct javm_bytes *key, uint8_t *bytes, size_t len)
{
    struct stored *entry = find_entry(store, key);
    if (entry == NULL) {
        if (len == 0 && javm_v2_map_find(store->base, key->data, key->len) == NULL)
            return true;
        entry = make_entry(store, key);
        if (entry == NULL)
            return false;
    }
    const uint64_t before = entry->live.bytes.len;
    store->items += (uint64_t)(len != 0) - (uint64_t)(before != 0);
    store->footprint += size_of(key, len) - size_of(key, before);
    store->written += len - before;
    drop_value(&entry->live);
    entry->live = (struct value){{bytes, len}, len != 0};
    if (!entry->is_dirty)
        LIST_INSERT_HEAD(&store->dirty, entry, dirty);
    entry->is_dirty = true;
    if (is_nothing(entry)) {
        LIST_REMOVE(entry, dirty);
        forget_entry(store, entry);
    }
    return true;
}

void store_checkpoint(struct store *store)
{
    struct stored *entry;
    while ((entry = LIST_FIRST(&store->dirty)) != NULL) {
        LIST_REMOVE(entry, dirty);
        entry->is_dirty = false;
        drop_value(&entry->saved);
        entry->saved = entry->live;
        entry->live.owned = false;
        if (is_nothing(entry))
            forget_entry(store, entry);
    }
    store->saved_items = store->items;
    store->saved_footprint = store->footprint;
}

void store_rollback(struct store *store)
{
    struct stored *entry;
    while ((entry = LIST_FIRST(&store->dirty)) != NULL) {
        LIST_REMOVE(entry, dirty);
        entry->is_dirty = false;
        store->written += (uint64_t)entry->saved.bytes.len - entry->live.bytes.len;
        drop_value(&entry->live);
        entry->live = (struct value){.bytes = entry->saved.bytes};
        if (is_nothing(entry))
            forget_entry(store, entry);
    }
    store->items = store->saved_items;
    store->footprint = store->saved_footprint;
}

/* ---- in order --------------------------------------------------------------------------- */

struct walk {
    const struct javm_v2_item *at, *end; /* of the map, not yet shown */
    javm_v2_visit *visit;
    void *context;
};

/* Items of the map up to the key, and past the one that has it. */
static void show_before(struct walk *walk, const struct javm_bytes *key)
{
    int order = -1;
    for (; walk->at != walk->end && (order = bytes_compare(&walk->at->key, key)) < 0; walk->at++)
        walk->visit(walk->context, &walk->at->key, &walk->at->value);
    if (walk->at != walk->end && order == 0)
        walk->at++;
}

static void show_entry(const void *node, VISIT visit, void *context)
{
    const struct stored *entry = *(struct stored *const *)node;
    struct walk *walk = context;
    if (visit != postorder && visit != leaf)
        return;
    show_before(walk, &entry->key);
    if (entry->live.bytes.len != 0)
        walk->visit(walk->context, &entry->key, &entry->live.bytes);
}

void store_walk(const struct store *store, javm_v2_visit *visit, void *context)
{
    const struct javm_v2_map *base = store->base;
    struct walk walk = {base->items, base->count == 0 ? base->items : base->items + base->count,
                        visit, context}; /* without items there may be no array either */
    twalk_r(store->tree, show_entry, &walk);
    for (; walk.at != walk.end; walk.at++)
        visit(context, &walk.at->key, &walk.at->value);
}
