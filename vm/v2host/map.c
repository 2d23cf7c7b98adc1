#include <stdlib.h>

#include "vm/v2host/store.h"

int bytes_compare(const struct javm_bytes *a, const struct javm_bytes *b)
{
    const size_t both = a->len < b->len ? a->len : b->len;
    const int order = both == 0 ? 0 : memcmp(a->data, b->data, both);
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static int compare_items(const void *a, const void *b)
{
    const struct javm_v2_item *x = a, *y = b;
    return bytes_compare(&x->key, &y->key);
}

static int compare_key(const void *key, const void *item)
{
    return bytes_compare(key, &((const struct javm_v2_item *)item)->key);
}

const struct javm_v2_item *javm_v2_map_make(struct javm_v2_item *items, size_t count,
                                            struct javm_v2_map *map)
{
    struct javm_v2_map made = {.items = items, .count = count};
    if (count > 1)
        qsort(items, count, sizeof *items, compare_items);
    for (size_t i = 0; i < count; i++) {
        if (items[i].value.len == 0 || (i > 0 && compare_items(&items[i - 1], &items[i]) == 0))
            return &items[i];
        made.footprint += 34 + (uint64_t)items[i].key.len + items[i].value.len;
        if (items[i].key.len > made.longest_key)
            made.longest_key = items[i].key.len;
    }
    *map = made;
    return NULL;
}

const struct javm_bytes *javm_v2_map_find(const struct javm_v2_map *map, const void *key,
                                          size_t len)
{
    const struct javm_bytes wanted = {key, len};
    const struct javm_v2_item *item =
        map->count == 0 ? NULL
                        : bsearch(&wanted, map->items, map->count, sizeof *map->items, compare_key);
    return item == NULL ? NULL : &item->value;
}
