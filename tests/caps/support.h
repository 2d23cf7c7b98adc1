/* Shared by the tests of caps/: a seeded generator, hex, leaks. */
#ifndef TESTS_CAPS_SUPPORT_H
#define TESTS_CAPS_SUPPORT_H

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "javm/cap.h"
#include "tests/require.h"

static inline struct javm_key key_of(const char *bytes, size_t len)
{
    struct javm_key key = {.len = (uint8_t)len};
    memcpy(key.bytes, bytes, len);
    return key;
}
/* KEY("\x01\x02"): the bytes of a string literal. */
#define KEY(literal) key_of(literal, sizeof(literal) - 1)

static inline struct javm_hash hash_of(const char *text)
{
    const struct javm_bytes piece = {text, strlen(text)};
    return javm_hash_pieces(&piece, 1);
}

static inline struct javm_hash cap_hash_of(const struct javm_cap *cap)
{
    struct javm_hash hash;
    REQUIRE(javm_cap_hash(cap, &hash) == JAVM_OK);
    return hash;
}

static inline struct javm_target hash_target(const char *text)
{
    const struct javm_hash hash = hash_of(text);
    return javm_target_hash(&hash);
}

/* Takes over the target's count. */
static inline void cnode_put(struct javm_cap *cnode, const struct javm_key *key,
                             struct javm_target target)
{
    REQUIRE(javm_cnode_set(cnode, key, &target) == JAVM_OK);
}

/* The page of golden.py. */
static inline void pattern_page(unsigned seed, uint8_t page[JAVM_PAGE_SIZE])
{
    for (unsigned i = 0; i < JAVM_PAGE_SIZE; i++)
        page[i] = (uint8_t)(seed + i * 7 + i / 256);
}

/* `bytes` are exactly those that the lower-case hex digits spell. */
static inline bool is_hex(const void *bytes, size_t len, const char *hex)
{
    const uint8_t *from = bytes;
    if (strlen(hex) != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        char digits[3];
        snprintf(digits, sizeof digits, "%02x", from[i]);
        if (memcmp(digits, hex + 2 * i, 2) != 0)
            return false;
    }
    return true;
}

#define EXPECT_HASH(hash, hex) cr_expect(is_hex((hash).bytes, JAVM_HASH_BYTES, hex))

#endif
