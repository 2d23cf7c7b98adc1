#include "javm/hash.h"

#include <sodium.h>

#include "caps/atomic.h"
#include "caps/cap_impl.h"

struct javm_hash javm_hash_pieces(const struct javm_bytes *pieces, size_t count)
{
    struct javm_hash hash;
    crypto_generichash_blake2b_state state;
    crypto_generichash_blake2b_init(&state, NULL, 0, JAVM_HASH_BYTES);
    for (size_t i = 0; i < count; i++)
        crypto_generichash_blake2b_update(&state, pieces[i].data, pieces[i].len);
    crypto_generichash_blake2b_final(&state, hash.bytes, JAVM_HASH_BYTES);
    return hash;
}

struct javm_hash javm_hash_kernel(const char *name)
{
    const struct javm_bytes pieces[] = {{"kernel:", 7}, {name, strlen(name)}};
    return javm_hash_pieces(pieces, 2);
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
    /* Acquire: pairs with the release in hash_memo_offer; DONE makes the hash bytes visible. */
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
