/* The compression function of SHA-2 (FIPS 180-4), once for both word sizes. Before it is included,
 * define SHA2_WORD, SHA2_BITS, SHA2_ROUNDS, SHA2_SWAP, the rotations and shifts below, and the
 * table SHA2_CONSTANTS. */
static inline SHA2_WORD sha2_rotate(SHA2_WORD x, unsigned n)
{
    return x >> n | x << (SHA2_BITS - n);
}

/* A sum of three rotations, or of two and a shift (FIPS 180-4, 4.1.2 and 4.1.3). */
#define SHA2_SUM(x, a, b, c)   (sha2_rotate(x, a) ^ sha2_rotate(x, b) ^ sha2_rotate(x, c))
#define SHA2_SHIFT(x, a, b, c) (sha2_rotate(x, a) ^ sha2_rotate(x, b) ^ (x) >> (c))

static void sha2_compress(SHA2_WORD h[8], const uint8_t *block)
{
    SHA2_WORD w[SHA2_ROUNDS], v[8];
    for (int i = 0; i < 16; i++) {
        SHA2_WORD word;
        memcpy(&word, block + (SHA2_BITS / 8) * i, sizeof word);
        w[i] = SHA2_SWAP(word);
    }
    for (int i = 16; i < SHA2_ROUNDS; i++) {
        const SHA2_WORD s0 = SHA2_LOWER0(w[i - 15]), s1 = SHA2_LOWER1(w[i - 2]);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }
    memcpy(v, h, sizeof v);
    for (int i = 0; i < SHA2_ROUNDS; i++) {
        const SHA2_WORD s1 = SHA2_UPPER1(v[4]);
        const SHA2_WORD choice = (v[4] & v[5]) ^ (~v[4] & v[6]);
        const SHA2_WORD t1 = v[7] + s1 + choice + SHA2_CONSTANTS[i] + w[i];
        const SHA2_WORD s0 = SHA2_UPPER0(v[0]);
        const SHA2_WORD majority = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);
        v[7] = v[6];
        v[6] = v[5];
        v[5] = v[4];
        v[4] = v[3] + t1;
        v[3] = v[2];
        v[2] = v[1];
        v[1] = v[0];
        v[0] = t1 + s0 + majority;
    }
    for (int i = 0; i < 8; i++)
        h[i] += v[i];
}
