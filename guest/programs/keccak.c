/* Keccak-256, with the padding of the original submission as Ethereum uses it. Arguments:
 * hash_main.h. */
#include "hash_main.h"

#define RATE 136

static const uint64_t round_constants[24] = {
    UINT64_C(0x0000000000000001), UINT64_C(0x0000000000008082), UINT64_C(0x800000000000808a),
    UINT64_C(0x8000000080008000), UINT64_C(0x000000000000808b), UINT64_C(0x0000000080000001),
    UINT64_C(0x8000000080008081), UINT64_C(0x8000000000008009), UINT64_C(0x000000000000008a),
    UINT64_C(0x0000000000000088), UINT64_C(0x0000000080008009), UINT64_C(0x000000008000000a),
    UINT64_C(0x000000008000808b), UINT64_C(0x800000000000008b), UINT64_C(0x8000000000008089),
    UINT64_C(0x8000000000008003), UINT64_C(0x8000000000008002), UINT64_C(0x8000000000000080),
    UINT64_C(0x000000000000800a), UINT64_C(0x800000008000000a), UINT64_C(0x8000000080008081),
    UINT64_C(0x8000000000008080), UINT64_C(0x0000000080000001), UINT64_C(0x8000000080008008)};

/* Along the cycle that rho and pi make of the lanes: where each goes, and how far it is rotated. */
static const uint8_t lane[24] = {10, 7,  11, 17, 18, 3, 5,  16, 8,  21, 24, 4,
                                 15, 23, 19, 13, 12, 2, 20, 14, 22, 9,  6,  1};
static const uint8_t turn[24] = {1,  3,  6,  10, 15, 21, 28, 36, 45, 55, 2,  14,
                                 27, 41, 56, 8,  25, 43, 62, 18, 39, 61, 20, 44};

static inline uint64_t rotate(uint64_t x, unsigned n)
{
    return x << (n & 63) | x >> (-n & 63);
}

static void permute(uint64_t s[25])
{
    for (int round = 0; round < 24; round++) {
        uint64_t c[5];
        for (int x = 0; x < 5; x++)
            c[x] = s[x] ^ s[x + 5] ^ s[x + 10] ^ s[x + 15] ^ s[x + 20];
        for (int x = 0; x < 5; x++) {
            const uint64_t d = c[(x + 4) % 5] ^ rotate(c[(x + 1) % 5], 1);
            for (int y = 0; y < 25; y += 5)
                s[x + y] ^= d;
        }
        uint64_t carried = s[1];
        for (int i = 0; i < 24; i++) {
            const uint64_t next = s[lane[i]];
            s[lane[i]] = rotate(carried, turn[i]);
            carried = next;
        }
        for (int y = 0; y < 25; y += 5) {
            for (int x = 0; x < 5; x++)
                c[x] = s[x + y];
            for (int x = 0; x < 5; x++)
                s[x + y] = c[x] ^ (~c[(x + 1) % 5] & c[(x + 2) % 5]);
        }
        s[0] ^= round_constants[round];
    }
}

static void absorb(uint64_t s[25], const uint8_t *block)
{
    for (int i = 0; i < RATE / 8; i++) {
        uint64_t word;
        memcpy(&word, block + 8 * i, sizeof word);
        s[i] ^= word;
    }
    permute(s);
}

static void hash(uint8_t digest[DIGEST], const uint8_t *data, uint64_t len)
{
    uint64_t s[25];
    uint8_t block[RATE];
    uint64_t done = 0;
    memset(s, 0, sizeof s);
    for (; len - done >= RATE; done += RATE)
        absorb(s, data + done);
    memset(block, 0, sizeof block);
    memcpy(block, data + done, len - done);
    block[len - done] = 1;
    block[RATE - 1] |= 0x80;
    absorb(s, block);
    memcpy(digest, s, DIGEST);
}
