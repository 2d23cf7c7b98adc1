#include "samples.h"

#include <string.h>

/* ---- loops over memory ------------------------------------------------------------------ */

static uint8_t composite[4096];

uint64_t sample_sieve(uint64_t n)
{
    uint64_t count = 0, sum = 0;
    if (n > sizeof composite)
        n = sizeof composite;
    memset(composite, 0, sizeof composite);
    for (uint64_t i = 2; i < n; i++) {
        if (composite[i])
            continue;
        count++;
        sum += i;
        for (uint64_t k = i * i; k < n; k += i)
            composite[k] = 1;
    }
    return count << 32 | sum;
}

/* ---- a hash: rotations, unrolled loops, tables ------------------------------------------ */

static const uint64_t iv[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                               0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                               0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
static const uint8_t sigma[10][16] = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
                                      {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
                                      {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
                                      {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
                                      {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
                                      {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
                                      {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
                                      {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
                                      {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
                                      {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0}};

static uint64_t rotate(uint64_t x, unsigned n)
{
    return x >> n | x << (64 - n);
}

static void mix(uint64_t *v, int a, int b, int c, int d, uint64_t x, uint64_t y)
{
    v[a] += v[b] + x;
    v[d] = rotate(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = rotate(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 63);
}

static void compress(uint64_t h[8], const uint8_t block[128], uint64_t done, int last)
{
    uint64_t v[16], m[16];
    for (int i = 0; i < 8; i++) {
        v[i] = h[i];
        v[i + 8] = iv[i];
    }
    v[12] ^= done;
    if (last)
        v[14] = ~v[14];
    memcpy(m, block, 128);
    for (int round = 0; round < 12; round++) {
        const uint8_t *s = sigma[round % 10];
        mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
        mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
        mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
        mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
        mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
        mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
        mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
        mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
    }
    for (int i = 0; i < 8; i++)
        h[i] ^= v[i] ^ v[i + 8];
}

uint64_t sample_blake2b(uint64_t n)
{
    uint64_t h[8];
    uint8_t block[128];
    memcpy(h, iv, sizeof h);
    h[0] ^= 0x01010020;
    for (uint64_t done = 0; done == 0 || done < n;) {
        uint64_t part = n - done < 128 ? n - done : 128;
        memset(block, 0, sizeof block);
        for (uint64_t i = 0; i < part; i++)
            block[i] = (uint8_t)((done + i) * 7);
        done += part;
        compress(h, block, done, done == n);
        if (n == 0)
            break;
    }
    return h[0];
}

/* ---- a jump table ----------------------------------------------------------------------- */

uint64_t sample_switch(uint64_t n)
{
    uint64_t a = 1, state = 0;
    for (uint64_t i = 0; i < n; i++) {
        switch (state) {
        case 0:
            a += 3;
            state = a & 7;
            break;
        case 1:
            a *= 5;
            state = 4;
            break;
        case 2:
            a ^= a >> 3;
            state = 7;
            break;
        case 3:
            a -= 11;
            state = a & 3;
            break;
        case 4:
            a = rotate(a, 5);
            state = 2;
            break;
        case 5:
            a += i;
            state = 6;
            break;
        case 6:
            a |= 0x10;
            state = i & 1 ? 0 : 3;
            break;
        default:
            a ^= 0x5555;
            state = (a >> 4) & 7;
            break;
        }
    }
    return a;
}

/* ---- pointers to functions, in data ----------------------------------------------------- */

static uint64_t twice(uint64_t x)
{
    return x * 2 + 1;
}
static uint64_t halve(uint64_t x)
{
    return x / 2;
}
static uint64_t spread(uint64_t x)
{
    return x ^ x << 13;
}
static uint64_t count_bits(uint64_t x)
{
    return x + (uint64_t)__builtin_popcountll(x);
}

struct step {
    uint64_t (*function)(uint64_t);
    uint64_t again;
};
/* not const: the table is in .data, and the loop below changes it */
static struct step steps[] = {{twice, 3}, {spread, 1}, {halve, 2}, {count_bits, 5}, {twice, 1}};

uint64_t sample_pointers(uint64_t n)
{
    uint64_t x = n;
    for (uint64_t i = 0; i < n; i++) {
        struct step *step = &steps[i % 5];
        for (uint64_t k = 0; k < step->again; k++)
            x = step->function(x);
        step->again = (step->again + x) % 4;
        step->function = i % 3 == 0 ? spread : i % 3 == 1 ? halve : count_bits;
    }
    return x;
}

/* ---- labels as values ------------------------------------------------------------------- */

uint64_t sample_labels(uint64_t n)
{
    static const void *const where[] = {&&add, &&multiply, &&fold, &&next};
    uint64_t x = n, i = 0;
next:
    if (i++ >= n)
        return x;
    goto *where[(x ^ i) % 3];
add:
    x += i;
    goto *where[3];
multiply:
    x *= 3;
    goto next;
fold:
    x ^= x >> 7;
    goto next;
}

/* ---- many conditions -------------------------------------------------------------------- */

uint64_t sample_branchy(uint64_t n)
{
    uint64_t x = n * 0x9e3779b97f4a7c15u, r = 0;
    for (uint64_t i = 0; i < n; i++) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        int64_t s = (int64_t)x;
        if (s < 0)
            r += 1;
        else if (s % 3 == 0)
            r += 2;
        if ((x & 0xFF) > 100 && (x & 0xF00) < 0x800)
            r ^= x;
        else if ((x & 15) == 5 || (int32_t)x < -1000)
            r -= 3;
        if (s >= 0 && (uint32_t)x >= 0x80000000u)
            r = rotate(r, (unsigned)(x % 63) + 1);
    }
    return r;
}

/* ---- recursion and a comparison function ------------------------------------------------ */

static int below(uint32_t a, uint32_t b)
{
    return a < b;
}
static int above(uint32_t a, uint32_t b)
{
    return a > b;
}

static void sort(uint32_t *list, int low, int high, int (*order)(uint32_t, uint32_t))
{
    int i = low, k = high;
    uint32_t pivot = list[(low + high) / 2];
    while (i <= k) {
        while (order(list[i], pivot))
            i++;
        while (order(pivot, list[k]))
            k--;
        if (i > k)
            break;
        uint32_t t = list[i];
        list[i++] = list[k];
        list[k--] = t;
    }
    if (low < k)
        sort(list, low, k, order);
    if (i < high)
        sort(list, i, high, order);
}

uint64_t sample_sort(uint64_t n)
{
    static uint32_t list[256];
    uint64_t r = 0;
    if (n > 256)
        n = 256;
    for (uint64_t i = 0; i < n; i++)
        list[i] = (uint32_t)(i * 2654435761u + n);
    sort(list, 0, (int)n - 1, n % 2 ? below : above);
    for (uint64_t i = 0; i < n; i++)
        r = r * 31 + list[i];
    sort(list, 0, (int)n - 1, n % 2 ? above : below);
    return r ^ list[0] ^ (uint64_t)list[n - 1] << 32;
}

/* ---- 128-bit products, unaligned copies, division --------------------------------------- */

uint64_t sample_wide(uint64_t n)
{
    uint8_t bytes[64];
    uint64_t r = 0, word;
    for (uint64_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * i + n);
    for (uint64_t i = 0; i + 8 < n && i + 8 < sizeof bytes; i++) {
        memcpy(&word, bytes + i, 8);
        unsigned __int128 product = (unsigned __int128)word * (r | 1);
        r += (uint64_t)(product >> 64) ^ word % (i + 1) ^ word / (2 * i + 3);
        memmove(bytes + 1, bytes, 17);
    }
    return r;
}
