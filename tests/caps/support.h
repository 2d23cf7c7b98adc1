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

/* For any thread, unlike Criterion's asserts. */
#define REQUIRE(what)                                                            \
    do {                                                                         \
        if (!(what)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #what); \
            abort();                                                             \
        }                                                                        \
    } while (0)

/* Criterion runs each test in a process of its own and ignores its exit code, and with it the leak
 * checker's verdict; this makes a leak a failure. Call it when all is released. */
#if defined(__SANITIZE_ADDRESS__)
#define TEST_LEAKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_LEAKS 1
#endif
#endif
#ifdef TEST_LEAKS
#include <sanitizer/lsan_interface.h>
#define REQUIRE_NO_LEAKS() REQUIRE(__lsan_do_recoverable_leak_check() == 0)
#else
#define REQUIRE_NO_LEAKS() ((void)0)
#endif

/* How much longer than normal the long tests run: the environment variable JAVM_STRESS. */
static inline unsigned stress_factor(void)
{
    const char *text = getenv("JAVM_STRESS");
    const long factor = text != NULL ? strtol(text, NULL, 10) : 1;
    return factor > 0 && factor < 100000 ? (unsigned)factor : 1;
}

struct random {
    uint64_t state;
};

static inline uint64_t random_u64(struct random *random)
{
    random->state += 0x9E3779B97F4A7C15u; /* splitmix64 */
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline uint64_t random_below(struct random *random, uint64_t limit)
{
    return random_u64(random) % limit;
}

static inline void random_bytes(struct random *random, uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)random_u64(random);
}

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
