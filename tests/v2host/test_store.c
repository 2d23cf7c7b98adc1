/* Storage during an invocation, against a model that copies everything.
 *
 * Would catch: a write, a deletion or an undoing that is lost or hits another item; items out of
 * order or shown twice; sums (items, footprint, bytes written) that drift; a checkpoint that a
 * later undoing goes behind; a leak; a use of a value that was freed; a state that an allocation
 * that failed left changed. */
#include <criterion/criterion.h>
#include <search.h>
#include <string.h>

#include "tests/require.h"
#include "tests/vm/refusing_malloc.h"
#include "vm/v2host/store.h"

void *__real_tsearch(const void *key, void **root, __compar_fn_t compare);
void *__wrap_tsearch(const void *key, void **root, __compar_fn_t compare);

void *__wrap_tsearch(const void *key, void **root, __compar_fn_t compare)
{
    return must_fail(0) ? NULL : __real_tsearch(key, root, compare);
}

#define KEYS    40
#define LONGEST 24

/* Keys of 0 to 4 bytes, some of which begin as others do. */
static struct javm_bytes key_of(unsigned k)
{
    static const char text[] = "aaaabaac\0ad\377ae";
    return (struct javm_bytes){text + k % 11, k % 5};
}

struct model {
    size_t len[KEYS];
    uint8_t bytes[KEYS][LONGEST];
};

/* The first number whose key is this one: the table has keys twice. */
static unsigned first_like(unsigned k)
{
    const struct javm_bytes key = key_of(k);
    for (unsigned i = 0;; i++) {
        const struct javm_bytes other = key_of(i);
        if (bytes_compare(&key, &other) == 0)
            return i;
    }
}

struct looking {
    const struct model *model;
    struct javm_bytes last;
    uint64_t items, footprint;
};

static void look(void *context, const struct javm_bytes *key, const struct javm_bytes *value)
{
    struct looking *looking = context;
    unsigned k = 0;
    while (k < KEYS) {
        const struct javm_bytes other = key_of(k);
        if (bytes_compare(key, &other) == 0)
            break;
        k++;
    }
    REQUIRE(k < KEYS);
    REQUIRE(looking->items == 0 || bytes_compare(&looking->last, key) < 0);
    REQUIRE(value->len == looking->model->len[k] && value->len != 0);
    REQUIRE(memcmp(value->data, looking->model->bytes[k], value->len) == 0);
    looking->last = *key;
    looking->items++;
    looking->footprint += 34 + key->len + value->len;
}

static void compare(const struct store *store, const struct model *model)
{
    struct looking looking = {.model = model};
    uint64_t items = 0;
    store_walk(store, look, &looking);
    for (unsigned k = 0; k < KEYS; k++) {
        const struct javm_bytes key = key_of(k), *value = store_find(store, &key);
        REQUIRE((value == NULL ? 0 : value->len) == model->len[first_like(k)]);
        items += first_like(k) == k && model->len[k] != 0;
    }
    REQUIRE(looking.items == items && store->items == items);
    REQUIRE(looking.footprint == store->footprint);
}

/* What the map has: every third key. */
static void make_base(struct random *random, struct javm_v2_item items[KEYS], struct model *model,
                      struct javm_v2_map *map)
{
    size_t count = 0;
    memset(model, 0, sizeof *model);
    for (unsigned k = 0; k < KEYS; k++) {
        if (first_like(k) != k || random_below(random, 3) != 0)
            continue;
        model->len[k] = 1 + random_below(random, LONGEST);
        random_bytes(random, model->bytes[k], model->len[k]);
        items[count++] = (struct javm_v2_item){key_of(k), {model->bytes[k], model->len[k]}};
    }
    REQUIRE(javm_v2_map_make(items, count, map) == NULL);
}

static void change(struct random *random, struct store *store, struct model *model)
{
    const unsigned k = first_like((unsigned)random_below(random, KEYS));
    const struct javm_bytes key = key_of(k);
    const size_t len = random_below(random, 3) == 0 ? 0 : 1 + random_below(random, LONGEST);
    const struct store_size after = store_after(store, &key, len);
    uint8_t *bytes = len == 0 ? NULL : __real_malloc(len);
    REQUIRE(len == 0 || bytes != NULL);
    random_bytes(random, bytes, len);
    const bool known = store_find(store, &key) != NULL;
    countdown = random_below(random, 8) == 0 ? 1 + random_below(random, 2) : 0;
    refused = false;
    const bool written = store_write(store, &key, bytes, len);
    countdown = 0;
    REQUIRE(written || refused);
    if (!written) {
        free(bytes);
        return;
    }
    model->len[k] = len;
    if (len != 0)
        memcpy(model->bytes[k], bytes, len);
    REQUIRE(store->items == after.items && store->footprint == after.footprint);
    REQUIRE(store->written <= after.written);
    REQUIRE(len == 0 || store->written == after.written);
    REQUIRE(len != 0 || known || store->tree == NULL || store_find(store, &key) == NULL);
}

Test(v2_store, agrees_with_a_model)
{
    struct random random = {1};
    struct store store = {0};
    for (unsigned round = 0; round < 200 * stress_factor(); round++) {
        static struct javm_v2_item items[KEYS];
        static struct model base, model, saved;
        struct javm_v2_map map;
        make_base(&random, items, &base, &map);
        model = saved = base;
        store_begin(&store, &map);
        for (unsigned step = 0; step < 200; step++) {
            const uint64_t what = random_below(&random, 20);
            if (what == 0) {
                store_rollback(&store);
                model = saved;
            } else if (what == 1) {
                store_checkpoint(&store);
                saved = model;
            } else {
                change(&random, &store, &model);
            }
            compare(&store, &model);
        }
        store_rollback(&store);
        compare(&store, &saved);
    }
    store_clear(&store);
    REQUIRE_NO_LEAKS();
}

/* What a guest can make the host remember: nothing, once it is gone for good. */
Test(v2_store, what_was_never_there_leaves_nothing)
{
    static const struct javm_v2_map empty = {0};
    struct store store = {0};
    store_begin(&store, &empty);
    for (unsigned i = 0; i < 1000; i++) {
        const struct javm_bytes key = {&i, sizeof i};
        store_write(&store, &key, memcpy(malloc(1), "x", 1), 1);
        if (i % 2 == 0)
            store_checkpoint(&store);
        store_write(&store, &key, NULL, 0);
        if (i % 2 == 0)
            store_checkpoint(&store);
        cr_assert_eq(store.written, 0);
        cr_assert_null(store.tree);
    }
    store_clear(&store);
    REQUIRE_NO_LEAKS();
}

Test(v2_store, maps_refuse_what_is_twice_or_empty)
{
    struct javm_v2_item items[] = {
        {{"b", 1}, {"1", 1}}, {{"a", 1}, {"2", 1}}, {{"b", 1}, {"3", 1}}, {{"", 0}, {"4", 1}}};
    struct javm_v2_map map = {.count = 77};
    const struct javm_v2_item *twice = javm_v2_map_make(items, 4, &map);
    cr_assert(twice != NULL && twice->key.len == 1 && memcmp(twice->key.data, "b", 1) == 0);
    cr_assert_eq(map.count, 77);
    cr_assert_null(javm_v2_map_make(items, 3, &map)); /* sorted by now: "", a, b */
    cr_assert_eq(map.footprint, 3 * 35 + 2);
    cr_assert_eq(map.longest_key, 1);
    const struct javm_bytes *found = javm_v2_map_find(&map, "", 0);
    cr_assert(found != NULL && memcmp(found->data, "4", 1) == 0);
    cr_assert_null(javm_v2_map_find(&map, "c", 1));
    items[1].value.len = 0;
    cr_assert_eq(javm_v2_map_make(items, 3, &map), &items[1]);
    cr_assert_null(javm_v2_map_make(NULL, 0, &map));
    cr_assert_null(javm_v2_map_find(&map, "", 0));
}
