/* Hashing piece by piece, and hashes that are remembered; for the files of this folder only. */
#ifndef JAVM_CAPS_HASHER_H
#define JAVM_CAPS_HASHER_H

#include <sodium.h>

#include "javm/hash.h"

struct hasher {
    crypto_generichash_blake2b_state state;
};

/* `label` is a NUL-terminated prefix, hashed without its NUL. */
void hasher_start(struct hasher *hasher, const char *label);
void hasher_bytes(struct hasher *hasher, const void *bytes, size_t len);
void hasher_hash(struct hasher *hasher, const struct javm_hash *hash);
/* The low `width` bytes, little-endian. */
void hasher_number(struct hasher *hasher, uint64_t number, size_t width);
struct javm_hash hasher_end(struct hasher *hasher);

/* A hash that is computed by whoever comes first and remembered: NONE -> BUSY -> DONE. A thread
 * that finds BUSY uses its own result and stores nothing, so nobody ever waits. Back to NONE only
 * while one holder is left. */
enum { HASH_NONE = 0, HASH_BUSY = 1, HASH_DONE = 2 };

struct hash_memo {
    uint32_t state;
    struct javm_hash hash;
};

/* True when *hash was filled from the memo. */
bool hash_memo_get(const struct hash_memo *memo, struct javm_hash *hash);
void hash_memo_offer(struct hash_memo *memo, const struct javm_hash *hash);

#endif
