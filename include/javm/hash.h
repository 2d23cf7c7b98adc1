/* CapHash: BLAKE2b with a 32-byte digest (spec: v3 capabilities, "Constants" and "Hashing"). */
#ifndef JAVM_HASH_H
#define JAVM_HASH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "javm/status.h"

#ifdef __cplusplus
extern "C" {
#endif

#define JAVM_HASH_BYTES 32

struct javm_hash {
    uint8_t bytes[JAVM_HASH_BYTES];
};

/* One piece of a message that is hashed as the concatenation of its pieces. */
struct javm_bytes {
    const void *data;
    size_t len;
};

/* H(pieces[0] || pieces[1] || ...). Never fails. Any thread. */
struct javm_hash javm_hash_pieces(const struct javm_bytes *pieces, size_t count);
/* H("kernel:<name>"): the chain of a kernel handle type. `name` is NUL-terminated. */
struct javm_hash javm_hash_kernel(const char *name);

static inline bool javm_hash_equal(const struct javm_hash *a, const struct javm_hash *b)
{
    return memcmp(a->bytes, b->bytes, JAVM_HASH_BYTES) == 0;
}
bool javm_hash_is_zero(const struct javm_hash *hash);

/* "0x" + 64 lower-case hex digits + NUL. */
#define JAVM_HASH_TEXT 67
void javm_hash_format(const struct javm_hash *hash, char text[JAVM_HASH_TEXT]);
/* Accepts exactly the form that javm_hash_format writes (either letter case). */
bool javm_hash_parse(const char *text, size_t len, struct javm_hash *hash);

#ifdef __cplusplus
}
#endif
#endif
