/* CNodes of live instances against a sorted array of the same slots.
 *
 * Would catch: a slot that is lost or found twice when parts are split, copied or emptied; slots
 * out of order; a change that another node sees, which was copied before it; a count that is lost
 * or kept; an allocation that fails half way through a change; a change or a copy whose cost grows
 * with the number of slots. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/require.h"
#include "tests/vm/refusing_malloc.h"
#include "vm/value.h"

/* ---- the model -------------------------------------------------------------------------- */

#define MOST  3000u
#define NODES 4u

struct model_slot {
    struct node_key key;
    uint64_t value;
};
struct model {
    struct node *node;
    struct model_slot slots[MOST];
    uint32_t used;
};

static uint64_t state = 1;
static struct model models[NODES];
static struct node *leaves[8]; /* what stands in slots: their counts are those of the slots + 1 */

static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static struct javm_key random_key(unsigned spread)
{
    struct javm_key key = {.len = (uint8_t)(1 + next_random() % 3)};
    for (unsigned i = 0; i < key.len; i++)
        key.bytes[i] = (uint8_t)(next_random() % (i == 0 ? spread : 16));
    if (next_random() % 64 == 0) {
        key.len = 8;
        memset(key.bytes, 0xFF, 8);
    }
    return key;
}

static uint32_t model_at(const struct model *model, const struct javm_key *key, bool *found)
{
    uint32_t low = 0, high = model->used;
    *found = false;
    while (low < high && !*found) {
        const uint32_t middle = low + (high - low) / 2;
        const struct javm_key at = node_javm_key(&model->slots[middle].key);
        const int order = javm_key_compare(&at, key);
        *found = order == 0;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return high;
}

static uint64_t number_of(const struct value *value)
{
    if (value->kind == VALUE_HASH)
        return value->hash.bytes[0];
    cr_assert_eq(value->kind, VALUE_NODE);
    for (uint64_t i = 0; i < 8; i++)
        if (leaves[i] == value->node)
            return 1000 + i;
    cr_assert_fail("an unknown value");
    return 0;
}

static struct value value_from(uint64_t number)
{
    struct value value = {.kind = VALUE_HASH, .hash = {.bytes = {(uint8_t)number}}};
    if (number < 1000)
        return value;
    value = value_of_node(leaves[number - 1000]);
    value_retain(&value);
    return value;
}

static void expect_same(const struct model *model)
{
    struct node_key last = {0, 0};
    const struct node_slot *slot;
    uint32_t i = 0;
    cr_assert_eq(model->node->used, model->used);
    for (; (slot = node_next(model->node, &last)) != NULL; i++) {
        last = slot->key;
        const struct javm_key key = node_javm_key(&slot->key);
        bool found;
        cr_assert_lt(i, model->used);
        cr_assert_eq(model_at(model, &key, &found), i, "slot %u is out of order", i);
        cr_assert(found);
        cr_assert_eq(number_of(&slot->value), model->slots[i].value);
        cr_assert_eq(node_find(model->node, &key), &slot->value);
    }
    cr_assert_eq(i, model->used);
}

/* ---- steps ------------------------------------------------------------------------------ */

static void set(struct model *model, const struct javm_key *key, uint64_t number)
{
    struct value value = number == 0 ? (struct value){.kind = VALUE_EMPTY} : value_from(number);
    bool found;
    const uint32_t at = model_at(model, key, &found);
    if (node_set(model->node, key, &value) != JAVM_OK) {
        cr_assert(refused);
        value_drop(&value);
        return;
    }
    cr_assert_eq(value.kind, VALUE_EMPTY, "taken");
    struct model_slot *slot = &model->slots[at];
    if (number == 0 && found)
        memmove(slot, slot + 1, (--model->used - at) * sizeof *slot);
    if (number != 0 && !found) {
        memmove(slot + 1, slot, (model->used++ - at) * sizeof *slot);
        slot->key.bytes = 0;
        for (unsigned i = 0; i < key->len; i++)
            slot->key.bytes |= (uint64_t)key->bytes[i] << (56 - 8 * i);
        slot->key.len = key->len;
    }
    if (number != 0)
        slot->value = number;
}

static void change(struct model *model, const struct javm_key *key)
{
    bool found;
    const uint32_t at = model_at(model, key, &found);
    struct value *value = node_change(model->node, key);
    cr_assert(found || value == NULL);
    if (value == NULL) {
        cr_assert(!found || refused);
        return;
    }
    cr_assert_eq(number_of(value), model->slots[at].value);
    value_drop(value);
    *value = value_from(77);
    model->slots[at].value = 77;
}

/* The node becomes a copy of another one. */
static void copy(struct model *to, const struct model *from)
{
    if (to == from)
        return;
    node_release(to->node);
    *to = *from;
    to->node->object.count++;
    /* out of memory: nothing has changed, both hold one */
    while (!node_own(&to->node))
        cr_assert(refused);
    cr_assert_neq(to->node, from->node);
}

static void step(unsigned filling, unsigned spread)
{
    struct model *model = &models[next_random() % NODES];
    const struct javm_key key = random_key(spread);
    const uint64_t r = next_random() % 1000;
    if (r < 2)
        copy(model, &models[next_random() % NODES]);
    else if (r < 100)
        change(model, &key);
    else if (r < filling && model->used + 1 < MOST)
        set(model, &key,
            next_random() % 4 == 0 ? 1000 + next_random() % 8 : 1 + next_random() % 200);
    else
        set(model, &key, 0);
}

static void many(unsigned steps, unsigned spread)
{
    state = 0x9E3779B97F4A7C15u + spread;
    for (unsigned i = 0; i < 8; i++)
        REQUIRE((leaves[i] = node_new()) != NULL);
    for (unsigned i = 0; i < NODES; i++) {
        REQUIRE((models[i].node = node_new()) != NULL);
        models[i].used = 0;
    }
    for (unsigned i = 0; i < steps; i++) {
        countdown = i / 500 % 2 == 1 ? 1 + next_random() % 4 : 0; /* half of the time */
        refused = false;
        step(i / 8000 % 3 == 2 ? 200 : 900, spread); /* fills, and is emptied again */
        countdown = 0;
        if (i % 200 == 0)
            expect_same(&models[next_random() % NODES]);
    }
    for (unsigned i = 0; i < NODES; i++) {
        expect_same(&models[i]);
        node_release(models[i].node);
    }
    for (unsigned i = 0; i < 8; i++) {
        cr_expect_eq(leaves[i]->object.count, 1);
        node_release(leaves[i]);
    }
}

Test(node, small)
{
    many(60000 * stress_factor(), 2);
}

Test(node, large)
{
    many(100000 * stress_factor(), 200);
}

/* Clearing what node_change has given needs no memory. */
Test(node, clearing_needs_no_memory)
{
    struct node *node = node_new();
    REQUIRE(node != NULL);
    for (uint64_t i = 0; i < 1000; i++) {
        const struct javm_key key = javm_key_from_u64(i);
        struct value value = {.kind = VALUE_HASH};
        REQUIRE(node_set(node, &key, &value) == JAVM_OK);
    }
    struct node *kept = node;
    node->object.count++;
    REQUIRE(node_own(&node));
    for (uint64_t i = 0; i < 1000; i++) {
        const struct javm_key key = javm_key_from_u64(i * 7 % 1000);
        struct value nothing = {.kind = VALUE_EMPTY};
        countdown = 0;
        REQUIRE(node_change(node, &key) != NULL);
        countdown = 1;
        cr_assert_eq(node_set(node, &key, &nothing), JAVM_OK);
        cr_assert_eq(countdown, 1);
    }
    countdown = 0;
    cr_expect(node->used == 0 && node->top == NULL);
    cr_expect_eq(kept->used, 1000);
    node_release(node);
    node_release(kept);
}

/* What a change to a shared node of a million slots, and a copy, ask for. */
Test(node, a_million_slots)
{
    struct node *node = node_new();
    REQUIRE(node != NULL);
    for (uint64_t i = 0; i < 1000000; i++) {
        const struct javm_key key = javm_key_from_u64(i * 0x9E3779B97F4A7C15u | 1u << 24);
        struct value value = {.kind = VALUE_HASH};
        REQUIRE(node_set(node, &key, &value) == JAVM_OK);
    }
    for (uint64_t i = 0; i < 100; i++) {
        struct node *copy_of = node;
        struct value value = {.kind = VALUE_HASH};
        const struct javm_key key = javm_key_from_u64(next_random());
        node->object.count++;
        allocated = 0;
        REQUIRE(node_own(&copy_of));
        REQUIRE(node_set(copy_of, &key, &value) == JAVM_OK);
        cr_expect_lt(allocated, 20000);
        node_release(copy_of);
    }
    node_release(node);
}
