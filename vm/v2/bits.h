/* Runs of bits in arrays of words, for what is known of each page of a backing store. */
#ifndef JAVM_VM_V2_BITS_H
#define JAVM_VM_V2_BITS_H

#include <stdbool.h>
#include <stdint.h>

static inline bool bit_get(const uint64_t *words, uint32_t at)
{
    return (words[at / 64] >> at % 64 & 1) != 0;
}

static inline void bit_set(uint64_t *words, uint32_t at)
{
    words[at / 64] |= UINT64_C(1) << at % 64;
}

static inline void bit_clear(uint64_t *words, uint32_t at)
{
    words[at / 64] &= ~(UINT64_C(1) << at % 64);
}

static inline void bits_fill(uint64_t *words, uint32_t first, uint32_t end, bool value)
{
    while (first < end) {
        const uint32_t left = 64 - first % 64, count = end - first < left ? end - first : left;
        const uint64_t mask = (count < 64 ? (UINT64_C(1) << count) - 1 : UINT64_MAX) << first % 64;
        uint64_t *word = &words[first / 64];
        *word = value ? *word | mask : *word & ~mask;
        first += count;
    }
}

/* The first bit of [first, end) that is `value`, or end. */
static inline uint32_t bits_find(const uint64_t *words, uint32_t first, uint32_t end, bool value)
{
    while (first < end) {
        const uint64_t word = (value ? words[first / 64] : ~words[first / 64]) >> first % 64;
        if (word != 0) {
            const uint32_t at = first + (uint32_t)__builtin_ctzll(word);
            return at < end ? at : end;
        }
        first = (first | 63) + 1;
        if (first == 0) /* behind the last of 2^32 */
            return end;
    }
    return end;
}

/* The next run of ones in [*first, end): false when there is none, else it is [*first, *stop). */
static inline bool bits_run(const uint64_t *words, uint32_t *first, uint32_t end, uint32_t *stop)
{
    *first = bits_find(words, *first, end, true);
    *stop = bits_find(words, *first, end, false);
    return *first < end;
}

#endif
