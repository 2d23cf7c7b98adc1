#include "cache/trie.h"

#include <stdlib.h>

#include "cache/atomic.h"
#include "cache/point.h"

#define NODE_TAG ((uintptr_t)1) /* leaves and nodes are at least 8-aligned */

static inline unsigned nibble(const struct javm_hash *key, unsigned depth)
{
    return (unsigned)(key->bytes[depth / 2] >> (depth % 2 * 4)) & 15u;
}

static inline bool is_node(uintptr_t slot)
{
    return (slot & NODE_TAG) != 0;
}

static inline struct trie_node *node_of(uintptr_t slot)
{
    return (struct trie_node *)(slot & ~NODE_TAG);
}

static inline struct trie_leaf *leaf_of(uintptr_t slot)
{
    return (struct trie_leaf *)slot;
}

struct trie_leaf *trie_find(const struct trie_node *root, const struct javm_hash *key)
{
    const struct trie_node *node = root;
    for (unsigned depth = 0;; depth++) {
        CACHE_POINT("trie.find");
        /* acquire: partner is cas_release in trie_insert; the leaf's or node's content is visible
         */
        uintptr_t seen = load_acquire(&node->slot[nibble(key, depth)]);
        if (!is_node(seen)) {
            struct trie_leaf *leaf = leaf_of(seen);
            return leaf != NULL && javm_hash_equal(&leaf->key, key) ? leaf : NULL;
        }
        node = node_of(seen);
    }
}

/* Frees a chain that fork_new() made and nobody else has seen. */
static void fork_free(struct trie_node *top)
{
    while (top != NULL) {
        struct trie_node *below = NULL;
        for (unsigned i = 0; i < TRIE_FANOUT; i++)
            if (is_node(top->slot[i]))
                below = node_of(top->slot[i]);
        free(top);
        top = below;
    }
}

/* A private chain of nodes from `depth` down to where the keys of a and b part. Plain stores: the
 * cas_release that links the chain publishes them. */
static struct trie_node *fork_new(struct trie_leaf *a, struct trie_leaf *b, unsigned depth,
                                  uint64_t *made)
{
    struct trie_node *top = calloc(1, sizeof *top);
    struct trie_node *node = top;
    uint64_t count = 1;
    while (node != NULL && nibble(&a->key, depth) == nibble(&b->key, depth)) {
        struct trie_node *below = calloc(1, sizeof *below);
        if (below == NULL) {
            fork_free(top);
            return NULL;
        }
        node->slot[nibble(&a->key, depth)] = (uintptr_t)below | NODE_TAG;
        node = below;
        depth++;
        count++;
    }
    if (node == NULL)
        return NULL;
    node->slot[nibble(&a->key, depth)] = (uintptr_t)a;
    node->slot[nibble(&b->key, depth)] = (uintptr_t)b;
    *made = count;
    return top;
}

enum trie_result trie_insert(struct trie_node *root, struct trie_leaf *leaf, uint64_t *nodes)
{
    struct trie_node *node = root;
    unsigned depth = 0;
    for (;;) {
        uintptr_t *slot = &node->slot[nibble(&leaf->key, depth)];
        CACHE_POINT("trie.insert.load");
        /* acquire: partner is cas_release below; content of the leaf or node that is there */
        uintptr_t seen = load_acquire(slot);
        if (is_node(seen)) {
            node = node_of(seen);
            depth++;
            continue;
        }
        uintptr_t wanted = (uintptr_t)leaf;
        struct trie_node *fork = NULL;
        uint64_t made = 0;
        if (seen != 0) {
            CACHE_POINT("trie.insert.taken");
            if (javm_hash_equal(&leaf_of(seen)->key, &leaf->key))
                return TRIE_PRESENT;
            fork = fork_new(leaf_of(seen), leaf, depth + 1, &made);
            if (fork == NULL)
                return TRIE_NOMEM;
            wanted = (uintptr_t)fork | NODE_TAG;
        }
        CACHE_POINT("trie.insert.cas");
        /* release: partners are the acquire loads of this file; publishes leaf and fork. The other
         * leaf of a fork was acquired above, so it is passed on with it. */
        if (cas_release(slot, &seen, wanted)) {
            *nodes += made;
            CACHE_POINT("trie.insert.done");
            return TRIE_INSERTED;
        }
        fork_free(fork); /* another thread changed the slot: look at the same slot again */
    }
}

void trie_remove(struct trie_node *root, struct trie_leaf *leaf)
{
    struct trie_node *node = root;
    unsigned depth = 0;
    for (;;) {
        uintptr_t *slot = &node->slot[nibble(&leaf->key, depth)];
        CACHE_POINT("trie.remove.load");
        /* acquire: partner is cas_release in trie_insert; content of a node that was put here */
        uintptr_t seen = load_acquire(slot);
        if (is_node(seen)) {
            node = node_of(seen);
            depth++;
            continue;
        }
        if (leaf_of(seen) != leaf)
            abort(); /* removed twice, or never inserted: the table is broken */
        CACHE_POINT("trie.remove.cas");
        /* relaxed: publishes nothing; what keeps the leaf's memory is the epoch, whose fences order
         * this store before the grace period (epoch_retire) */
        if (cas_relaxed(slot, &seen, 0))
            return;
    }
}

/* Recursion is bounded by the 64 nibbles of a key. */
void trie_walk(struct trie_node *root, void (*visit)(void *ctx, struct trie_leaf *leaf), void *ctx)
{
    for (unsigned i = 0; i < TRIE_FANOUT; i++) {
        CACHE_POINT("trie.walk");
        /* acquire: partner is cas_release in trie_insert; content of the leaf or node */
        uintptr_t seen = load_acquire(&root->slot[i]);
        if (is_node(seen)) {
            trie_walk(node_of(seen), visit, ctx);
        } else if (seen != 0) {
            CACHE_POINT("trie.walk.leaf");
            visit(ctx, leaf_of(seen));
        }
    }
}

void trie_clear(struct trie_node *root)
{
    for (unsigned i = 0; i < TRIE_FANOUT; i++) {
        /* relaxed: the caller is alone and was synchronised with all others when they left */
        uintptr_t seen = load_relaxed(&root->slot[i]);
        if (is_node(seen)) {
            trie_clear(node_of(seen));
            free(node_of(seen));
        }
        store_relaxed(&root->slot[i], 0);
    }
}
