/* CNode: slot tables against a plain array indexed by key.
 *
 * Would catch: a change to a clone that shows in its relative; a CapRef that is counted twice, not
 * at all, or given up by a clone that did not hold it; slots lost or doubled when the table grows
 * or a hole is filled; slots listed or hashed in another order than the keys'; a remembered hash
 * that survives a change; a capacity limit. */
#include "tests/caps/support.h"

static struct javm_cap *cnode_new(void)
{
    struct javm_cap *cnode = javm_cnode_new();
    REQUIRE(cnode != NULL);
    return cnode;
}

static struct javm_target counted(struct javm_ref_cell *cell)
{
    javm_ref_clone(cell);
    return (struct javm_target){JAVM_TARGET_REF, {.ref = cell}};
}

/* ---- single operations ------------------------------------------------------------------ */

Test(cnode, empty)
{
    struct javm_cap *cnode = cnode_new();
    const struct javm_key key = KEY("\1");
    struct javm_target taken = hash_target("x");
    cr_expect_eq(javm_cap_kind(cnode), JAVM_CNODE);
    cr_expect_eq(javm_cnode_count(cnode), 0);
    cr_expect_null(javm_cnode_get(cnode, &key));
    cr_expect_eq(javm_cnode_take(cnode, &key, &taken), JAVM_OK);
    cr_expect_eq(taken.kind, JAVM_TARGET_EMPTY);
    cr_expect_eq(javm_cnode_set(cnode, &key, &taken), JAVM_OK);
    cr_expect_eq(javm_cnode_count(cnode), 0);
    cr_expect_not(javm_cap_has_ref(cnode));
    struct javm_cap *clone = javm_cap_clone(cnode);
    cr_expect_eq(javm_cnode_count(clone), 0);
    cnode_put(clone, &key, hash_target("x"));
    cr_expect_eq(javm_cnode_count(cnode), 0);
    javm_cap_release(clone);
    javm_cap_release(cnode);
    REQUIRE_NO_LEAKS();
}

Test(cnode, set_get_replace_take)
{
    struct javm_cap *cnode = cnode_new();
    const struct javm_key key = KEY("\1\2");
    struct javm_target target = hash_target("x");
    cr_expect_eq(javm_cnode_set(cnode, &key, &target), JAVM_OK);
    cr_expect_eq(target.kind, JAVM_TARGET_EMPTY, "set leaves the caller with a second copy");
    const struct javm_hash x = hash_of("x"), y = hash_of("y");
    const struct javm_target *got = javm_cnode_get(cnode, &key);
    cr_assert_not_null(got);
    cr_expect_eq(got->kind, JAVM_TARGET_HASH);
    cr_expect(javm_hash_equal(&got->hash, &x));
    cnode_put(cnode, &key, hash_target("y"));
    cr_expect_eq(javm_cnode_count(cnode), 1);
    cr_expect(javm_hash_equal(&javm_cnode_get(cnode, &key)->hash, &y));
    cr_expect_eq(javm_cnode_take(cnode, &key, &target), JAVM_OK);
    cr_expect_eq(target.kind, JAVM_TARGET_HASH);
    cr_expect(javm_hash_equal(&target.hash, &y));
    cr_expect_eq(javm_cnode_count(cnode), 0);
    cr_expect_null(javm_cnode_get(cnode, &key));
    javm_cap_release(cnode);
}

Test(cnode, keys_are_all_of_their_bytes)
{
    struct javm_cap *cnode = cnode_new();
    const struct javm_key keys[] = {KEY("\1"), KEY("\1\0"), KEY("\1\0\0\0\0\0\0\0"),
                                    KEY("\0"), KEY("\0\1"), KEY("\xff\0\0\0\0\0\0\1")};
    const size_t count = sizeof keys / sizeof *keys;
    static const char *const names[] = {"a", "b", "c", "d", "e", "f"};
    for (size_t i = 0; i < count; i++)
        cnode_put(cnode, &keys[i], hash_target(names[i]));
    cr_expect_eq(javm_cnode_count(cnode), count);
    for (size_t i = 0; i < count; i++) {
        const struct javm_hash expected = hash_of(names[i]);
        const struct javm_target *got = javm_cnode_get(cnode, &keys[i]);
        cr_assert(got != NULL && javm_hash_equal(&got->hash, &expected), "key %zu", i);
    }
    javm_cap_release(cnode);
}

/* What lies beyond a key's length is not part of it, and does not get into the table. */
Test(cnode, dirty_keys)
{
    struct javm_cap *cnode = cnode_new();
    const struct javm_key dirty = {.len = 2, .bytes = {1, 2, 3, 4, 5, 6, 7, 8}},
                          clean = KEY("\1\2");
    struct javm_key listed;
    cnode_put(cnode, &dirty, hash_target("x"));
    cr_expect_not_null(javm_cnode_get(cnode, &clean));
    cr_expect_not_null(javm_cnode_get(cnode, &dirty));
    javm_cnode_at(cnode, 0, &listed);
    cr_expect_arr_eq(&listed, &clean, sizeof clean);
    javm_cap_release(cnode);
}

Test(cnode, lengths_that_no_key_has)
{
    struct javm_cap *cnode = cnode_new();
    static const uint8_t bad[] = {0, 9, 10, 255};
    struct javm_ref_cell cell = {.count = 1, .directory = 1, .id = 1};
    const struct javm_key good = KEY("\1");
    cnode_put(cnode, &good, hash_target("x"));
    for (size_t i = 0; i < sizeof bad; i++) {
        const struct javm_key key = {.len = bad[i], .bytes = {1}};
        struct javm_target target = counted(&cell), none = {.kind = JAVM_TARGET_EMPTY};
        cr_expect_eq(javm_cnode_set(cnode, &key, &target), JAVM_E_RANGE);
        cr_expect(target.kind == JAVM_TARGET_REF && cell.count == 2, "the caller lost its count");
        javm_target_drop(&target);
        cr_expect_eq(javm_cnode_set(cnode, &key, &none), JAVM_E_RANGE);
        cr_expect_null(javm_cnode_get(cnode, &key));
        cr_expect_eq(javm_cnode_take(cnode, &key, &target), JAVM_OK);
        cr_expect_eq(target.kind, JAVM_TARGET_EMPTY);
    }
    cr_expect_eq(javm_cnode_count(cnode), 1);
    javm_cap_release(cnode);
}

/* ---- CapRefs ---------------------------------------------------------------------------- */

Test(cnode, counts_of_refs)
{
    struct javm_ref_cell a = {.count = 1, .directory = 1, .id = 1},
                         b = {.count = 1, .directory = 1, .id = 2};
    const struct javm_key one = KEY("\1"), two = KEY("\2"), three = KEY("\3");
    struct javm_cap *cnode = cnode_new();
    struct javm_target taken;
    cnode_put(cnode, &one, counted(&a));
    cnode_put(cnode, &two, counted(&a)); /* the same entry in two slots */
    cnode_put(cnode, &three, counted(&b));
    cr_expect(a.count == 3 && b.count == 2);
    struct javm_cap *clone = javm_cap_clone(cnode);
    cr_expect(a.count == 5 && b.count == 3, "a clone counts what is in it");
    cnode_put(clone, &one, hash_target("x")); /* replacing gives up one count */
    cr_expect(a.count == 4 && b.count == 3);
    cr_expect_eq(javm_cnode_take(clone, &three, &taken), JAVM_OK);
    cr_expect_eq(b.count, 3, "taking out neither adds nor drops");
    cr_expect(taken.kind == JAVM_TARGET_REF && taken.ref == &b);
    cnode_put(cnode, &one, taken); /* in the original b replaces a */
    cr_expect(a.count == 3 && b.count == 3);
    javm_cap_release(cnode);
    cr_expect(a.count == 2 && b.count == 1);
    cr_expect(javm_cap_has_ref(clone));
    struct javm_target none = {.kind = JAVM_TARGET_EMPTY};
    cr_expect_eq(javm_cnode_set(clone, &two, &none), JAVM_OK);
    cr_expect_eq(a.count, 1);
    cr_expect_not(javm_cap_has_ref(clone));
    javm_cap_release(clone);
    REQUIRE_NO_LEAKS();
}

/* A count more for every holder, none for a second reference to one holder. */
Test(cnode, references_are_not_clones)
{
    struct javm_ref_cell cell = {.count = 1, .directory = 1, .id = 1};
    const struct javm_key key = KEY("\1");
    struct javm_cap *cnode = cnode_new();
    cnode_put(cnode, &key, counted(&cell));
    cr_expect_eq(javm_cap_retain(cnode), cnode);
    cr_expect_eq(cell.count, 2);
    javm_cap_release(cnode);
    cr_expect_eq(cell.count, 2);
    javm_cap_release(cnode);
    cr_expect_eq(cell.count, 1);
}

Test(cnode, a_ref_has_no_hash)
{
    struct javm_ref_cell cell = {.count = 1, .directory = 1, .id = 1};
    const struct javm_key one = KEY("\1"), two = KEY("\2");
    struct javm_cap *cnode = cnode_new();
    struct javm_hash hash;
    cnode_put(cnode, &one, hash_target("x"));
    const struct javm_hash before = cap_hash_of(cnode); /* remembered, then forgotten */
    cnode_put(cnode, &two, counted(&cell));
    cr_expect_eq(javm_cap_hash(cnode, &hash), JAVM_E_LIVE);
    struct javm_cap *clone = javm_cap_clone(cnode);
    cr_expect_eq(javm_cap_hash(clone, &hash), JAVM_E_LIVE);
    javm_cap_release(clone);
    cnode_put(cnode, &two, hash_target("y"));
    hash = cap_hash_of(cnode);
    cr_expect_not(javm_hash_equal(&before, &hash));
    struct javm_target none = {.kind = JAVM_TARGET_EMPTY};
    cr_expect_eq(javm_cnode_set(cnode, &two, &none), JAVM_OK);
    hash = cap_hash_of(cnode);
    cr_expect(javm_hash_equal(&before, &hash));
    javm_cap_release(cnode);
}

/* ---- against a model -------------------------------------------------------------------- */

#define KEYS  48
#define CELLS 6

/* What a slot holds: 0 nothing, 1..CELLS that cell, above that a hash of the number. */
struct table {
    struct javm_cap *cnode;
    unsigned slot[KEYS];
};

struct world {
    struct javm_key keys[KEYS]; /* ascending */
    struct javm_ref_cell cells[CELLS];
    struct table tables[3];
    struct random random;
};

static void world_open(struct world *world, uint64_t seed)
{
    memset(world, 0, sizeof *world);
    world->random.state = seed;
    for (unsigned i = 0; i < KEYS; i++) { /* some keys are others with zeros behind */
        struct javm_key *key = &world->keys[i];
        const unsigned digits[] = {i / 12, i / 3 % 4, i % 3};
        key->len = (uint8_t)(digits[2] != 0 ? 2 + digits[2] : 2);
        for (unsigned k = 0; k < 2; k++)
            key->bytes[k] = (uint8_t)(digits[k] * 70); /* beyond 127 too: bytes are unsigned */
        REQUIRE(i == 0 || javm_key_compare(&world->keys[i - 1], key) < 0);
    }
    for (unsigned i = 0; i < CELLS; i++)
        world->cells[i] = (struct javm_ref_cell){.count = 1, .directory = 1, .id = i + 1};
    for (unsigned i = 0; i < 3; i++)
        world->tables[i].cnode = cnode_new();
}

static struct javm_hash number_hash(unsigned number)
{
    const struct javm_bytes piece = {&number, sizeof number};
    return javm_hash_pieces(&piece, 1);
}

static struct javm_target target_of(struct world *world, unsigned content)
{
    if (content == 0)
        return (struct javm_target){.kind = JAVM_TARGET_EMPTY};
    if (content <= CELLS)
        return counted(&world->cells[content - 1]);
    const struct javm_hash hash = number_hash(content);
    return javm_target_hash(&hash);
}

static bool target_is(struct world *world, const struct javm_target *target, unsigned content)
{
    if (content == 0)
        return target == NULL || target->kind == JAVM_TARGET_EMPTY;
    if (target == NULL)
        return false;
    if (content <= CELLS)
        return target->kind == JAVM_TARGET_REF && target->ref == &world->cells[content - 1];
    const struct javm_hash hash = number_hash(content);
    return target->kind == JAVM_TARGET_HASH && javm_hash_equal(&target->hash, &hash);
}

/* The hash by its rule; false when a CapRef stands in the way. */
static bool table_hash(const struct world *world, const struct table *table, struct javm_hash *hash)
{
    uint8_t bytes[4 + KEYS * (1 + JAVM_MAX_KEY_LEN + JAVM_HASH_BYTES)] = {0};
    size_t len = 4;
    for (unsigned i = 0; i < KEYS; i++) {
        if (table->slot[i] == 0)
            continue;
        if (table->slot[i] <= CELLS)
            return false;
        const struct javm_hash target = number_hash(table->slot[i]);
        bytes[0]++;
        bytes[len++] = world->keys[i].len;
        memcpy(bytes + len, world->keys[i].bytes, world->keys[i].len);
        len += world->keys[i].len;
        memcpy(bytes + len, target.bytes, JAVM_HASH_BYTES);
        len += JAVM_HASH_BYTES;
    }
    const struct javm_bytes pieces[] = {{"javm.cap.v1\3", 12}, {bytes, len}};
    *hash = javm_hash_pieces(pieces, 2);
    return true;
}

static void expect_table(struct world *world, const struct table *table)
{
    struct javm_hash hash, expected;
    uint32_t at = 0;
    bool refs = false;
    for (unsigned i = 0; i < KEYS; i++) {
        const unsigned content = table->slot[i];
        REQUIRE(target_is(world, javm_cnode_get(table->cnode, &world->keys[i]), content));
        if (content == 0)
            continue;
        struct javm_key key;
        REQUIRE(at < javm_cnode_count(table->cnode));
        REQUIRE(target_is(world, javm_cnode_at(table->cnode, at++, &key), content));
        REQUIRE(memcmp(&key, &world->keys[i], sizeof key) == 0);
        refs = refs || content <= CELLS;
    }
    REQUIRE(javm_cnode_count(table->cnode) == at);
    REQUIRE(javm_cap_has_ref(table->cnode) == refs);
    const enum javm_status status = javm_cap_hash(table->cnode, &hash);
    if (table_hash(world, table, &expected))
        REQUIRE(status == JAVM_OK && javm_hash_equal(&hash, &expected));
    else
        REQUIRE(status == JAVM_E_LIVE);
}

static void expect_counts(const struct world *world)
{
    uint64_t counts[CELLS];
    for (unsigned i = 0; i < CELLS; i++)
        counts[i] = 1;
    for (unsigned t = 0; t < 3; t++)
        for (unsigned i = 0; i < KEYS; i++)
            if (world->tables[t].slot[i] != 0 && world->tables[t].slot[i] <= CELLS)
                counts[world->tables[t].slot[i] - 1]++;
    for (unsigned i = 0; i < CELLS; i++)
        REQUIRE(world->cells[i].count == counts[i]);
}

static void world_step(struct world *world)
{
    struct random *random = &world->random;
    struct table *table = &world->tables[random_below(random, 3)];
    const unsigned at = (unsigned)random_below(random, KEYS);
    struct javm_target target;
    switch (random_below(random, 12)) {
    case 0: { /* become a clone of another, or of itself */
        const struct table *other = &world->tables[random_below(random, 3)];
        struct javm_cap *clone = javm_cap_clone(other->cnode);
        REQUIRE(clone != NULL);
        memmove(table->slot, other->slot, sizeof table->slot);
        javm_cap_release(table->cnode);
        table->cnode = clone;
        break;
    }
    case 1:
    case 2:
    case 3:
        REQUIRE(javm_cnode_take(table->cnode, &world->keys[at], &target) == JAVM_OK);
        REQUIRE(target_is(world, &target, table->slot[at]));
        javm_target_drop(&target);
        table->slot[at] = 0;
        break;
    default: {
        /* Mostly hashes, so that tables without CapRefs, and with them hashes, come about. */
        const bool ref = random_below(random, 16) == 0;
        const uint64_t what =
            ref ? random_below(random, CELLS + 1) : CELLS + 1 + random_below(random, 1000);
        cnode_put(table->cnode, &world->keys[at], target_of(world, (unsigned)what));
        table->slot[at] = (unsigned)what;
    }
    }
}

Test(cnode, random_histories)
{
    static struct world world;
    for (uint64_t seed = 0; seed < 6; seed++) {
        world_open(&world, seed);
        for (unsigned step = 0; step < 3000 * stress_factor(); step++) {
            world_step(&world);
            expect_counts(&world);
            if (step % 8 == 0)
                for (unsigned t = 0; t < 3; t++)
                    expect_table(&world, &world.tables[t]);
        }
        for (unsigned t = 0; t < 3; t++) {
            javm_cap_release(world.tables[t].cnode);
            memset(world.tables[t].slot, 0, sizeof world.tables[t].slot);
        }
        expect_counts(&world);
    }
    REQUIRE_NO_LEAKS();
}

/* ---- order and size --------------------------------------------------------------------- */

Test(cnode, the_way_there_is_not_hashed)
{
    struct javm_cap *up = cnode_new(), *down = cnode_new();
    for (unsigned i = 0; i < 300; i++) {
        const struct javm_key low = javm_key_from_u64(i), high = javm_key_from_u64(299 - i);
        const struct javm_hash a = number_hash(i), b = number_hash(299 - i);
        cnode_put(up, &low, javm_target_hash(&a));
        cnode_put(down, &high, javm_target_hash(&b));
        cnode_put(down, &low, hash_target("other")); /* replaced or taken out again */
        struct javm_target taken;
        if (i < 150)
            REQUIRE(javm_cnode_take(down, &low, &taken) == JAVM_OK);
        else
            cnode_put(down, &low, javm_target_hash(&a));
    }
    const struct javm_hash a = cap_hash_of(up), b = cap_hash_of(down);
    cr_expect(javm_hash_equal(&a, &b));
    javm_cap_release(up);
    javm_cap_release(down);
}

/* Nothing limits a CNode but memory: a hundred thousand slots, found, listed in order and taken
 * out again. */
Test(cnode, many_slots)
{
    const uint32_t count = 100000, odd = 7919; /* a step that visits every number once */
    struct javm_cap *cnode = cnode_new();
    struct javm_key key, before = {.len = 0};
    for (uint32_t i = 0; i < count; i++) {
        const uint32_t number = (uint32_t)((uint64_t)i * odd % count);
        const struct javm_hash hash = number_hash(number);
        key = javm_key_from_u64(number);
        cnode_put(cnode, &key, javm_target_hash(&hash));
    }
    cr_assert_eq(javm_cnode_count(cnode), count);
    for (uint32_t i = 0; i < count; i++) {
        const struct javm_target *target = javm_cnode_at(cnode, i, &key);
        const struct javm_hash hash = number_hash((unsigned)javm_key_pack(&key));
        REQUIRE(javm_key_compare(&before, &key) < 0 && javm_hash_equal(&target->hash, &hash));
        before = key;
    }
    struct javm_cap *clone = javm_cap_clone(cnode);
    for (uint32_t i = 0; i < count; i++) {
        struct javm_target taken;
        key = javm_key_from_u64((uint64_t)i * odd % count);
        REQUIRE(javm_cnode_take(cnode, &key, &taken) == JAVM_OK);
        REQUIRE(taken.kind == JAVM_TARGET_HASH && javm_cnode_count(cnode) == count - 1 - i);
    }
    struct javm_cap *none = cnode_new();
    const struct javm_hash a = cap_hash_of(cnode), b = cap_hash_of(none);
    cr_expect(javm_hash_equal(&a, &b));
    cr_expect_eq(javm_cnode_count(clone), count);
    javm_cap_release(none);
    javm_cap_release(cnode);
    javm_cap_release(clone);
    REQUIRE_NO_LEAKS();
}
