/* Decompresses a block of the LZ4 format and returns a digest of what came out.
 * a1 = 0: compress a0 bytes (<= 64 KiB) of generated text first, decompress it a2 times (0 is once)
 * and compare; else decompress the first a1 bytes of the scratchpad (<= 16 KiB). A malformed block
 * gives 0. */
#include "javm_guest.h"

#define SCRATCH_BYTES 16384
#define PLAIN_BYTES   65536
#define HASH_BITS     12

JAVM_SCRATCHPAD(SCRATCH_BYTES);

static uint8_t plain[PLAIN_BYTES], unpacked[PLAIN_BYTES],
    packed[PLAIN_BYTES + PLAIN_BYTES / 255 + 16];
static uint32_t table[1 << HASH_BITS];

static uint32_t word_at(const uint8_t *p)
{
    uint32_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

/* Lengths from 15 on continue in bytes of up to 255. */
static uint64_t put_length(uint64_t at, uint64_t rest)
{
    for (; rest >= 255; rest -= 255)
        packed[at++] = 255;
    packed[at++] = (uint8_t)rest;
    return at;
}

static uint64_t put_sequence(uint64_t at, uint64_t start, uint64_t literals, uint64_t offset,
                             uint64_t match)
{
    const uint64_t token = at++;
    packed[token] = (uint8_t)((literals < 15 ? literals : 15) << 4);
    if (literals >= 15)
        at = put_length(at, literals - 15);
    memcpy(packed + at, plain + start, literals);
    at += literals;
    if (match == 0)
        return at;
    packed[token] |= (uint8_t)(match - 4 < 15 ? match - 4 : 15);
    packed[at++] = (uint8_t)offset;
    packed[at++] = (uint8_t)(offset >> 8);
    if (match - 4 >= 15)
        at = put_length(at, match - 4 - 15);
    return at;
}

/* Greedy, with a table of the last place of each hash. The last 12 bytes stay literals, as the
 * format wants. */
static uint64_t compress(uint64_t len)
{
    uint64_t at = 0, start = 0, i = 1;
    memset(table, 0, sizeof table);
    while (len > 12 && i < len - 12) {
        const uint32_t hash = word_at(plain + i) * 2654435761u >> (32 - HASH_BITS);
        const uint64_t candidate = table[hash];
        table[hash] = (uint32_t)i;
        if (i - candidate > 65535 || word_at(plain + candidate) != word_at(plain + i)) {
            i++;
            continue;
        }
        uint64_t match = 4;
        while (i + match < len - 5 && plain[candidate + match] == plain[i + match])
            match++;
        at = put_sequence(at, start, i - start, i - candidate, match);
        i += match;
        start = i;
    }
    return put_sequence(at, start, len - start, 0, 0);
}

/* Adds continuation bytes to *len; false when the block ends inside. */
static int get_length(const uint8_t **in, const uint8_t *end, uint64_t *len)
{
    uint8_t byte;
    do {
        if (*in == end)
            return 0;
        byte = *(*in)++;
        *len += byte;
    } while (byte == 255);
    return 1;
}

/* Returns the length, or UINT64_MAX for a malformed block. */
static uint64_t decompress(const uint8_t *in, uint64_t size)
{
    const uint8_t *const end = in + size;
    uint64_t out = 0;
    while (in < end) {
        const uint8_t token = *in++;
        uint64_t literals = token >> 4, match = token & 15;
        if (literals == 15 && !get_length(&in, end, &literals))
            return UINT64_MAX;
        if (literals > (uint64_t)(end - in) || literals > PLAIN_BYTES - out)
            return UINT64_MAX;
        memcpy(unpacked + out, in, literals);
        in += literals;
        out += literals;
        if (in == end)
            return out;
        if (end - in < 2)
            return UINT64_MAX;
        const uint64_t offset = (uint64_t)in[0] | (uint64_t)in[1] << 8;
        in += 2;
        if (match == 15 && !get_length(&in, end, &match))
            return UINT64_MAX;
        match += 4;
        if (offset == 0 || offset > out || match > PLAIN_BYTES - out)
            return UINT64_MAX;
        if (offset >= match) {
            memcpy(unpacked + out, unpacked + out - offset, match);
            out += match;
        } else {
            for (; match != 0; match--, out++) /* overlapping: the pattern repeats itself */
                unpacked[out] = unpacked[out - offset];
        }
    }
    return UINT64_MAX;
}

static uint64_t digest(uint64_t len)
{
    uint64_t d = len ^ UINT64_C(0xcbf29ce484222325);
    for (uint64_t i = 0; i < len; i++)
        d = (d ^ unpacked[i]) * UINT64_C(0x100000001b3);
    return d | 1;
}

uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    static const char words[8][8] = {"block ", "gas ",   "slot ", "the ",
                                     "cap ",   "image ", "of ",   "a "};
    (void)a3;
    if (a1 != 0) {
        const uint64_t len = decompress(javm_scratch(), a1 > SCRATCH_BYTES ? SCRATCH_BYTES : a1);
        return len == UINT64_MAX ? 0 : digest(len);
    }
    const uint64_t len = a0 > PLAIN_BYTES ? PLAIN_BYTES : a0;
    uint64_t x = 88172645463325252u;
    for (uint64_t i = 0; i < len;) {
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        for (const char *w = words[x >> 20 & 7]; *w != 0 && i < len; w++)
            plain[i++] = (uint8_t)*w;
    }
    const uint64_t size = compress(len);
    for (uint64_t round = 0;; round++) {
        if (decompress(packed, size) != len || memcmp(plain, unpacked, len) != 0)
            return 0;
        if (round + 1 >= a2)
            return digest(len) + size;
    }
}
