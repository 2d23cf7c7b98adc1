/* The native twins compute what their names say: known answers and libsodium. Everything else is
 * only compared with the twins, so a mistake here would be a mistake everywhere. */
#include <criterion/criterion.h>
#include <sodium.h>
#include <string.h>

#include "guest/native/guest_native.h"

static uint64_t call(const char *name, uint64_t a0, uint64_t a1, uint64_t a2, uint8_t *scratch)
{
    const struct guest_native *guest = guest_native_find(name);
    const uint64_t args[4] = {a0, a1, a2, 0};
    cr_assert_not_null(guest, "%s", name);
    return guest_native_run(guest, args, scratch);
}

Test(known, numbers)
{
    cr_expect_eq(call("nop", 42, 0, 0, NULL), 42);
    cr_expect_eq(call("fib", 20, 0, 0, NULL), 6765);
    cr_expect_eq(call("sieve", 1, 0, 0, NULL), 0);
    cr_expect_eq(call("sieve", 2, 0, 0, NULL), 1);
    cr_expect_eq(call("sieve", 100, 0, 0, NULL), 25);
    cr_expect_eq(call("sieve", 1000000, 0, 0, NULL), 78498);
    /* Below 10, start 9 has the longest Collatz sequence: 19 steps. Below 100: 97, 118. */
    cr_expect_eq(call("bytecode", 10, 0, 0, NULL), UINT64_C(9) << 32 | 19);
    cr_expect_eq(call("bytecode", 100, 0, 0, NULL), UINT64_C(97) << 32 | 118);
    cr_expect_neq(call("sort", 10000, 3, 0, NULL), 0);     /* 0: out of order */
    cr_expect_neq(call("goldilocks", 100, 3, 0, NULL), 0); /* 0: the inverse is none */
    cr_expect_neq(call("lz4", 60000, 0, 1, NULL), 0);      /* 0: not what was compressed */
}

Test(known, blake2b_and_sha256_equal_libsodium)
{
    static uint8_t scratch[16384], input[16384];
    cr_assert_geq(sodium_init(), 0);
    for (size_t len = 1; len <= sizeof scratch; len = len < 300 ? len + 1 : len * 2 + 7) {
        uint8_t want[32];
        randombytes_buf(input, len);
        memcpy(scratch, input, len);
        call("blake2b", 0, len, 1, scratch);
        crypto_generichash(want, sizeof want, input, len, NULL, 0);
        cr_expect_arr_eq(scratch, want, sizeof want, "blake2b of %zu bytes", len);
        memcpy(scratch, input, len);
        call("sha256", 0, len, 1, scratch);
        crypto_hash_sha256(want, input, len);
        cr_expect_arr_eq(scratch, want, sizeof want, "sha256 of %zu bytes", len);
    }
}

Test(known, keccak256)
{
    static uint8_t scratch[16384];
    /* Keccak-256("abc"), as every Ethereum library gives it. */
    static const uint8_t abc[32] = {0x4e, 0x03, 0x65, 0x7a, 0xea, 0x45, 0xa9, 0x4f,
                                    0xc7, 0xd4, 0x7b, 0xa8, 0x26, 0xc8, 0xd6, 0x67,
                                    0xc0, 0xd1, 0xe6, 0xe3, 0x3a, 0x64, 0xa0, 0x36,
                                    0xec, 0x44, 0xf5, 0x8f, 0xa1, 0x2d, 0x6c, 0x45};
    memcpy(scratch, "abc", 3);
    call("keccak", 0, 3, 1, scratch);
    cr_expect_arr_eq(scratch, abc, sizeof abc);
}

Test(known, lz4_block)
{
    static uint8_t scratch[16384];
    /* "abcabcabcabcabcxyzzy": 3 literals, a match of 12 at offset 3, 5 literals. */
    static const uint8_t block[] = {0x38, 'a', 'b', 'c', 3, 0, 0x50, 'x', 'y', 'z', 'z', 'y'};
    const char *text = "abcabcabcabcabcxyzzy";
    uint64_t digest = 20 ^ UINT64_C(0xcbf29ce484222325);
    for (int i = 0; i < 20; i++)
        digest = (digest ^ (uint8_t)text[i]) * UINT64_C(0x100000001b3);
    memcpy(scratch, block, sizeof block);
    cr_expect_eq(call("lz4", 0, sizeof block, 0, scratch), digest | 1);
    for (size_t len = 1; len < sizeof block; len++)
        if (len != 4) /* a block may end after literals, as it does there */
            cr_expect_eq(call("lz4", 0, len, 0, scratch), 0, "cut at %zu", len);
    scratch[4] = 4; /* an offset before the start */
    cr_expect_eq(call("lz4", 0, sizeof block, 0, scratch), 0);
}
