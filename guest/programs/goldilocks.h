/* Arithmetic modulo p = 2^64 - 2^32 + 1. Values are kept in [0, p). */
#ifndef GOLDILOCKS_H
#define GOLDILOCKS_H

#include <stdint.h>

#define GOLD_P       UINT64_C(0xffffffff00000001)
#define GOLD_EPSILON UINT64_C(0xffffffff) /* 2^64 mod p */

__extension__ typedef unsigned __int128 gold_wide;

static inline uint64_t gold_reduce(uint64_t x)
{
    return x >= GOLD_P ? x - GOLD_P : x;
}

static inline uint64_t gold_add(uint64_t a, uint64_t b)
{
    const uint64_t sum = a + b;
    return gold_reduce(sum < a ? sum + GOLD_EPSILON : sum);
}

/* x = lo + 2^64 (mid + 2^32 top) = lo - top + mid (2^32 - 1), since 2^96 = -1 modulo p. */
static inline uint64_t gold_mul(uint64_t a, uint64_t b)
{
    const gold_wide x = (gold_wide)a * b;
    const uint64_t lo = (uint64_t)x, hi = (uint64_t)(x >> 64);
    const uint64_t top = hi >> 32, mid = hi & GOLD_EPSILON;
    uint64_t t = lo - top;
    if (lo < top)
        t -= GOLD_EPSILON;
    const uint64_t m = mid * GOLD_EPSILON;
    const uint64_t sum = t + m;
    return gold_reduce(sum < t ? sum + GOLD_EPSILON : sum);
}

static inline uint64_t gold_pow(uint64_t base, uint64_t exponent)
{
    uint64_t result = 1;
    for (; exponent != 0; exponent >>= 1) {
        if (exponent & 1)
            result = gold_mul(result, base);
        base = gold_mul(base, base);
    }
    return result;
}

#endif
