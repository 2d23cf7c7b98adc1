/* The table against a naive map, and its growth under readers.
 *
 * Would catch: keys lost or found in the wrong place when paths fork, most of all keys that share
 * a long prefix; a removal that takes a neighbour or misses a leaf that an insertion moved down; a
 * second insertion of an equal key; a walk that visits twice or skips; a reader that misses a
 * published key while the table grows (the path to it must never break, not even for a moment). */
#include <criterion/criterion.h>

#include "cache/atomic.h"
#include "cache/trie.h"
#include "tests/cache/support.h"

#define KEYS 600

/* Keys that agree in a random number of leading nibbles, so that forks happen at every depth. */
static void make_keys(struct trie_leaf *leaves, struct random *random)
{
    for (size_t i = 0; i < KEYS; i++) {
        struct javm_hash key = {{0}};
        size_t shared = i == 0 ? 0 : random_below(random, 2 * JAVM_HASH_BYTES);
        if (i > 0)
            key = leaves[random_below(random, i)].key;
        for (size_t nibble = shared; nibble < 2 * (size_t)JAVM_HASH_BYTES; nibble++) {
            unsigned shift = nibble % 2 * 4;
            key.bytes[nibble / 2] &= (uint8_t)(0xF0u >> shift);
            key.bytes[nibble / 2] |= (uint8_t)(random_below(random, 16) << shift);
        }
        leaves[i].key = key;
        for (size_t j = 0; j < i; j++)
            if (javm_hash_equal(&leaves[j].key, &key)) {
                i--; /* drawn before: once more */
                break;
            }
    }
}

struct seen {
    const struct trie_leaf *leaves;
    unsigned times[KEYS];
};

static void see(void *ctx, struct trie_leaf *leaf)
{
    struct seen *seen = ctx;
    seen->times[leaf - seen->leaves]++;
}

static void check_against(const bool *present, struct trie_node *root, struct trie_leaf *leaves)
{
    struct seen seen = {.leaves = leaves};
    trie_walk(root, see, &seen);
    for (size_t i = 0; i < KEYS; i++) {
        cr_assert_eq(trie_find(root, &leaves[i].key), present[i] ? &leaves[i] : NULL);
        cr_assert_eq(seen.times[i], present[i] ? 1 : 0);
    }
}

Test(trie, behaves_as_a_naive_map)
{
    for (uint64_t seed = 1; seed <= 4 * stress_factor(); seed++) {
        struct random random = {seed};
        static struct trie_leaf leaves[KEYS];
        bool present[KEYS] = {false};
        struct trie_node root = {{0}};
        uint64_t nodes = 0;
        make_keys(leaves, &random);
        for (unsigned step = 0; step < 20000; step++) {
            size_t i = random_below(&random, KEYS);
            bool insert = random_below(&random, 20000) > step; /* fills first, empties later */
            if (insert) {
                struct trie_leaf twin = leaves[i];
                struct trie_leaf *leaf = present[i] ? &twin : &leaves[i];
                uint64_t before = nodes;
                enum trie_result expected = present[i] ? TRIE_PRESENT : TRIE_INSERTED;
                cr_assert_eq(trie_insert(&root, leaf, &nodes), expected);
                cr_assert(!present[i] || nodes == before);
                present[i] = true;
            } else if (present[i]) {
                trie_remove(&root, &leaves[i]);
                present[i] = false;
            }
            if (step % 1000 == 0)
                check_against(present, &root, leaves);
        }
        check_against(present, &root, leaves);
        trie_clear(&root);
        cr_assert_eq(root.slot[0], 0);
        REQUIRE_NO_LEAKS();
    }
}

Test(trie, keys_that_differ_in_the_last_nibble_only)
{
    struct trie_leaf leaves[16];
    struct trie_node root = {{0}};
    uint64_t nodes = 0;
    memset(leaves, 0xAB, sizeof leaves);
    for (unsigned i = 0; i < 16; i++) {
        leaves[i].key.bytes[JAVM_HASH_BYTES - 1] = (uint8_t)(i << 4 | 0xB);
        cr_assert_eq(trie_insert(&root, &leaves[i], &nodes), TRIE_INSERTED);
    }
    cr_expect_eq(nodes, 63);
    for (unsigned i = 0; i < 16; i++)
        cr_assert_eq(trie_find(&root, &leaves[i].key), &leaves[i]);
    trie_clear(&root);
    REQUIRE_NO_LEAKS();
}

/* ---- growth under readers --------------------------------------------------------------- */

struct growth {
    struct trie_node root;
    struct trie_leaf *leaves;
    uint64_t limit;
    uint64_t announced[2]; /* leaves of writer w: numbers below this, of w's parity, are in */
};

struct growth_thread {
    struct growth *growth;
    uint64_t writer;
};

static void *write_all(void *arg)
{
    const struct growth_thread *self = arg;
    struct growth *growth = self->growth;
    uint64_t nodes = 0;
    for (uint64_t i = self->writer; i < growth->limit; i += 2) {
        REQUIRE(trie_insert(&growth->root, &growth->leaves[i], &nodes) == TRIE_INSERTED);
        store_release(&growth->announced[self->writer], i + 2); /* partner: read_all */
    }
    return NULL;
}

static void *read_all(void *arg)
{
    struct growth *growth = arg;
    struct random random = {99};
    for (uint64_t done = 0; done < growth->limit * 2;) {
        uint64_t writer = random_below(&random, 2);
        uint64_t end = load_acquire(&growth->announced[writer]); /* partner: write_all */
        if (end < 2)
            continue;
        uint64_t i = random_below(&random, end / 2) * 2 + writer;
        REQUIRE(trie_find(&growth->root, &growth->leaves[i].key) == &growth->leaves[i]);
        done++;
    }
    return NULL;
}

Test(trie, grows_under_readers)
{
    struct growth growth = {.limit = 20000 * (uint64_t)stress_factor()};
    struct random random = {7};
    growth.leaves = calloc(growth.limit, sizeof *growth.leaves);
    REQUIRE(growth.leaves != NULL);
    for (uint64_t i = 0; i < growth.limit; i++) {
        memcpy(growth.leaves[i].key.bytes + 8, &i, sizeof i); /* unique; the head is random */
        uint64_t head = random_below(&random, UINT64_MAX);
        memcpy(growth.leaves[i].key.bytes, &head, sizeof head);
    }
    struct growth_thread writers[2] = {{&growth, 0}, {&growth, 1}};
    pthread_t threads[4] = {start_thread(write_all, &writers[0]), start_thread(read_all, &growth),
                            start_thread(write_all, &writers[1]), start_thread(read_all, &growth)};
    for (size_t i = 0; i < 4; i++)
        join_thread(threads[i]);
    for (uint64_t i = 0; i < growth.limit; i++)
        cr_assert_eq(trie_find(&growth.root, &growth.leaves[i].key), &growth.leaves[i]);
    trie_clear(&growth.root);
    free(growth.leaves);
    REQUIRE_NO_LEAKS();
}

/* ---- moving leaves ---------------------------------------------------------------------- */

/* Two threads insert and remove their own leaves whose keys fork each other's paths all the time.
 */
struct mover {
    struct trie_node *root;
    struct trie_leaf leaf[16];
    unsigned rounds;
};

static void *move_all(void *arg)
{
    struct mover *mover = arg;
    uint64_t nodes = 0;
    for (unsigned round = 0; round < mover->rounds; round++) {
        for (size_t i = 0; i < 16; i++)
            REQUIRE(trie_insert(mover->root, &mover->leaf[i], &nodes) == TRIE_INSERTED);
        for (size_t i = 0; i < 16; i++)
            REQUIRE(trie_find(mover->root, &mover->leaf[i].key) == &mover->leaf[i]);
        for (size_t i = 0; i < 16; i++)
            trie_remove(mover->root, &mover->leaf[i]);
    }
    return NULL;
}

/* A fresh table each time: forks of a path happen once only, so most of the contention is at the
 * start. */
Test(trie, leaves_that_others_push_down_are_found_and_removed)
{
    for (unsigned table = 0; table < 150 * stress_factor(); table++) {
        struct trie_node root = {{0}};
        struct mover movers[2] = {{.root = &root, .rounds = 4}, {.root = &root, .rounds = 4}};
        for (size_t i = 0; i < 32; i++) {
            struct javm_hash *key = &movers[i % 2].leaf[i / 2].key;
            /* pairs of one leaf of each thread part at depth i */
            for (size_t nibble = 0; nibble < i / 2; nibble++)
                key->bytes[nibble / 2] |= (uint8_t)(5u << (nibble % 2 * 4));
            key->bytes[JAVM_HASH_BYTES - 1] = (uint8_t)(i % 2);
        }
        pthread_t thread = start_thread(move_all, &movers[0]);
        move_all(&movers[1]);
        join_thread(thread);
        for (size_t i = 0; i < 32; i++)
            REQUIRE(trie_find(&root, &movers[i % 2].leaf[i / 2].key) == NULL);
        trie_clear(&root);
    }
    REQUIRE_NO_LEAKS();
}
