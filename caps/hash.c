#include "javm/hash.h"

#include <sodium.h>

#include "caps/atomic.h"
#include "caps/hasher.h"

/* libsodium hashes with its portable code until it is initialised. Before main, because the choice
 * writes a global. */
__attribute__((constructor)) static void choose_fast_hash(void)
{
    if (sodium_init() < 0)
        return; /* the portable code stays; its results are the same */
}

void hasher_start(struct hasher *hasher, const char *label)
{
    crypto_generichash_blake2b_init(&hasher->state, NULL, 0, JAVM_HASH_BYTES);
    hasher_bytes(hasher, label, strlen(label));
}

void hasher_bytes(struct hasher *hasher, const void *bytes, size_t len)
{
    if (len != 0)
        crypto_generichash_blake2b_update(&hasher->state, bytes, len);
}

void hasher_hash(struct hasher *hasher, const struct javm_hash *hash)
{
    hasher_bytes(hasher, hash->bytes, JAVM_HASH_BYTES);
}

void hasher_number(struct hasher *hasher, uint64_t number, size_t width)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < width; i++)
        bytes[i] = (uint8_t)(number >> 8 * i);
    hasher_bytes(hasher, bytes, width);
}

struct javm_hash hasher_end(struct hasher *hasher)
{
    struct javm_hash hash;
    crypto_generichash_blake2b_final(&hasher->state, hash.bytes, JAVM_HASH_BYTES);
    return hash;
}

struct javm_hash javm_hash_pieces(const struct javm_bytes *pieces, size_t count)
{
    struct hasher hasher;
    hasher_start(&hasher, "");
    for (size_t i = 0; i < count; i++)
        hasher_bytes(&hasher, pieces[i].data, pieces[i].len);
    return hasher_end(&hasher);
}

struct javm_hash javm_hash_kernel(const char *name)
{
    struct hasher hasher;
    hasher_start(&hasher, "kernel:");
    hasher_bytes(&hasher, name, strlen(name));
    return hasher_end(&hasher);
}

bool javm_hash_is_zero(const struct javm_hash *hash)
{
    static const struct javm_hash zero;
    return javm_hash_equal(hash, &zero);
}

void javm_hash_format(const struct javm_hash *hash, char text[JAVM_HASH_TEXT])
{
    text[0] = '0';
    text[1] = 'x';
    sodium_bin2hex(text + 2, JAVM_HASH_TEXT - 2, hash->bytes, JAVM_HASH_BYTES);
}

bool javm_hash_parse(const char *text, size_t len, struct javm_hash *hash)
{
    size_t bytes;
    return len == JAVM_HASH_TEXT - 1 && text[0] == '0' && text[1] == 'x' &&
           sodium_hex2bin(hash->bytes, JAVM_HASH_BYTES, text + 2, len - 2, NULL, &bytes, NULL) ==
               0 &&
           bytes == JAVM_HASH_BYTES;
}

bool hash_memo_get(const struct hash_memo *memo, struct javm_hash *hash)
{
    /* Acquire: partner is the release in hash_memo_offer; DONE makes the hash bytes visible. */
    if (atomic_load32_acquire(&memo->state) != HASH_DONE)
        return false;
    *hash = memo->hash;
    return true;
}

void hash_memo_offer(struct hash_memo *memo, const struct javm_hash *hash)
{
    /* Relaxed: winning the exchange only decides who writes; nobody reads before DONE. */
    if (!atomic_cas32_relaxed(&memo->state, HASH_NONE, HASH_BUSY))
        return;
    memo->hash = *hash;
    atomic_store32_release(&memo->state, HASH_DONE); /* partner: hash_memo_get */
}
