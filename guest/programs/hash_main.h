/* The entry that the hash programs share. a1 = 0: hash a0 bytes (<= 64 KiB) of a counter pattern;
 * else hash the first a1 bytes of the scratchpad (<= 16 KiB). a2: how often (0 is once), each time
 * over the data with the last digest mixed in. Returns the first 8 bytes of the last digest; with
 * a1 the whole digest is written to the scratchpad's start. */
#ifndef HASH_MAIN_H
#define HASH_MAIN_H

#include "javm_guest.h"

#define DIGEST        32
#define SCRATCH_BYTES 16384
#define PATTERN_BYTES 65536

JAVM_SCRATCHPAD(SCRATCH_BYTES);

static uint8_t pattern[PATTERN_BYTES];

static void hash(uint8_t digest[DIGEST], const uint8_t *data, uint64_t len);

uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    (void)a3;
    uint8_t digest[DIGEST];
    uint8_t *data = pattern;
    uint64_t len = a0 > PATTERN_BYTES ? PATTERN_BYTES : a0;
    if (a1 != 0) {
        data = javm_scratch();
        len = a1 > SCRATCH_BYTES ? SCRATCH_BYTES : a1;
    } else {
        for (uint64_t i = 0; i < len; i++)
            pattern[i] = (uint8_t)(i * 7 + (i >> 8));
    }
    for (uint64_t round = 0;; round++) {
        hash(digest, data, len);
        if (round + 1 >= a2)
            break;
        for (uint64_t i = 0; i < DIGEST && i < len; i++)
            data[i] ^= digest[i];
    }
    if (a1 != 0)
        memcpy(data, digest, DIGEST);
    uint64_t value;
    memcpy(&value, digest, sizeof value);
    return value;
}

#endif
