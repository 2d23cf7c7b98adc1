/* A lock-free 16-way trie on the nibbles of a 32-byte key: the table of both tiers.
 *
 * A slot is empty, a leaf, or an inner node, and moves only so:
 *
 *     empty -> leaf      insert
 *     leaf  -> node      insert of a key that shares the path; the node already holds both leaves
 *     leaf  -> empty     remove
 *
 * each by one compare-and-set. A node never goes away before the table does, so there is no
 * resizing, no migration and nothing to help with: whoever has reached a node may stay on it as
 * long as it likes. Two different keys differ in one of 64 nibbles, so no path is longer than 64.
 * For BLAKE2b hashes and for counted-up keys (low nibble first) the expected depth is log16 of the
 * leaves.
 *
 * Lifetimes: nodes belong to the table. Leaves belong to the caller. If leaves are ever removed,
 * every call below must be made inside an epoch section, and a removed leaf must be kept until a
 * grace period has passed; that also rules out ABA in the compare-and-set. */
#ifndef CACHE_TRIE_H
#define CACHE_TRIE_H

#include <stdbool.h>
#include <stdint.h>

#include "javm/hash.h"

#define TRIE_FANOUT 16

/* Embedded in what the table holds. The key does not change while the leaf is in a table. */
struct trie_leaf {
    struct javm_hash key;
};

/* Zero-initialised: an empty table. */
struct trie_node {
    uintptr_t slot[TRIE_FANOUT];
};

/* Wait-free. NULL when the key is not there. */
struct trie_leaf *trie_find(const struct trie_node *root, const struct javm_hash *key);

enum trie_result { TRIE_INSERTED, TRIE_PRESENT, TRIE_NOMEM };

/* Adds to *nodes the number of inner nodes that the insertion made. PRESENT when an equal key is in
 * the table; then, and on NOMEM, nothing changed. Lock-free; wait-free when nobody removes, because
 * then a slot changes at most twice. */
enum trie_result trie_insert(struct trie_node *root, struct trie_leaf *leaf, uint64_t *nodes);
/* The leaf is in the table and this caller is the only one to remove it. Bounded: a retry happens
 * only when an insertion moved the leaf one level down. */
void trie_remove(struct trie_node *root, struct trie_leaf *leaf);
/* Visits every leaf that stays for the whole call, and some of those that come or go. */
void trie_walk(struct trie_node *root, void (*visit)(void *ctx, struct trie_leaf *leaf), void *ctx);
/* Frees the inner nodes. No other thread may use the table any more. */
void trie_clear(struct trie_node *root);

#endif
