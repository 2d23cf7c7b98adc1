/* Ed25519 signature verification (RFC 8032, without context or prehash).
 *
 * What is accepted is what libsodium 1.0.18 accepts, to the bit. A signature R | s of a message
 * under a key A holds if
 *  - s < L, the order of the base point (else s + L would be a second signature),
 *  - A is canonical (y < p) and on the curve,
 *  - neither A nor R is one of the eight points of small order,
 *  - the canonical encoding of sB - hA equals R byte for byte, with h = SHA-512(R | A | message)
 * mod L. So the equation is the one without the cofactor, R is never decoded and a non-canonical R
 * cannot pass. Keys with a small-order component are not refused; their signatures hold or not as
 * the equation says.
 *
 * Arguments. a1 = 0: verify a0 signatures, the RFC's vectors in turn from number a2 on, with one
 * bit of each third one flipped; returns a word into which each result was shifted from below (1:
 * holds), wrapping around. Else the first a1 bytes of the scratchpad (<= 16 KiB) are key 32 |
 * signature 64 | message; returns 1 if the signature holds, else 0, also when they are fewer than
 * 96 bytes. The scratchpad is only read. Time depends on the input: nothing here is secret. */
#include "ed25519_base.h"
#include "javm_guest.h"

#define SCRATCH_BYTES 16384
#define KEY_BYTES     32
#define HEAD_BYTES    96 /* key and signature */

JAVM_SCRATCHPAD(SCRATCH_BYTES);

__extension__ typedef unsigned __int128 wide;

/* ---- SHA-512 (FIPS 180-4) --------------------------------------------------------------- */

static const uint64_t round_constants[80] = {
    0x428a2f98d728ae22, 0x7137449123ef65cd, 0xb5c0fbcfec4d3b2f, 0xe9b5dba58189dbbc,
    0x3956c25bf348b538, 0x59f111f1b605d019, 0x923f82a4af194f9b, 0xab1c5ed5da6d8118,
    0xd807aa98a3030242, 0x12835b0145706fbe, 0x243185be4ee4b28c, 0x550c7dc3d5ffb4e2,
    0x72be5d74f27b896f, 0x80deb1fe3b1696b1, 0x9bdc06a725c71235, 0xc19bf174cf692694,
    0xe49b69c19ef14ad2, 0xefbe4786384f25e3, 0x0fc19dc68b8cd5b5, 0x240ca1cc77ac9c65,
    0x2de92c6f592b0275, 0x4a7484aa6ea6e483, 0x5cb0a9dcbd41fbd4, 0x76f988da831153b5,
    0x983e5152ee66dfab, 0xa831c66d2db43210, 0xb00327c898fb213f, 0xbf597fc7beef0ee4,
    0xc6e00bf33da88fc2, 0xd5a79147930aa725, 0x06ca6351e003826f, 0x142929670a0e6e70,
    0x27b70a8546d22ffc, 0x2e1b21385c26c926, 0x4d2c6dfc5ac42aed, 0x53380d139d95b3df,
    0x650a73548baf63de, 0x766a0abb3c77b2a8, 0x81c2c92e47edaee6, 0x92722c851482353b,
    0xa2bfe8a14cf10364, 0xa81a664bbc423001, 0xc24b8b70d0f89791, 0xc76c51a30654be30,
    0xd192e819d6ef5218, 0xd69906245565a910, 0xf40e35855771202a, 0x106aa07032bbd1b8,
    0x19a4c116b8d2d0c8, 0x1e376c085141ab53, 0x2748774cdf8eeb99, 0x34b0bcb5e19b48a8,
    0x391c0cb3c5c95a63, 0x4ed8aa4ae3418acb, 0x5b9cca4f7763e373, 0x682e6ff3d6b2b8a3,
    0x748f82ee5defb2fc, 0x78a5636f43172f60, 0x84c87814a1f0ab72, 0x8cc702081a6439ec,
    0x90befffa23631e28, 0xa4506cebde82bde9, 0xbef9a3f7b2c67915, 0xc67178f2e372532b,
    0xca273eceea26619c, 0xd186b8c721c0c207, 0xeada7dd6cde0eb1e, 0xf57d4f7fee6ed178,
    0x06f067aa72176fba, 0x0a637dc5a2c898a6, 0x113f9804bef90dae, 0x1b710b35131c471b,
    0x28db77f523047d84, 0x32caab7b40c72493, 0x3c9ebe0a15c9bebc, 0x431d67c49c100d4c,
    0x4cc5d4becb3e42b6, 0x597f299cfc657e2a, 0x5fcb6fab3ad6faec, 0x6c44198c4a475817};

struct sha512 {
    uint64_t h[8];
    uint64_t len;
    uint8_t block[128];
};

#define SHA2_WORD      uint64_t
#define SHA2_BITS      64
#define SHA2_ROUNDS    80
#define SHA2_CONSTANTS round_constants
#define SHA2_SWAP(x)   __builtin_bswap64(x)
#define SHA2_UPPER0(x) SHA2_SUM(x, 28, 34, 39)
#define SHA2_UPPER1(x) SHA2_SUM(x, 14, 18, 41)
#define SHA2_LOWER0(x) SHA2_SHIFT(x, 1, 8, 7)
#define SHA2_LOWER1(x) SHA2_SHIFT(x, 19, 61, 6)
#include "sha2.h"

static void sha512_start(struct sha512 *sha)
{
    static const uint64_t initial[8] = {0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                                        0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                                        0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
    memcpy(sha->h, initial, sizeof sha->h);
    sha->len = 0;
}

static void sha512_add(struct sha512 *sha, const void *bytes, uint64_t len)
{
    const uint8_t *data = bytes;
    while (len != 0) {
        const uint64_t used = sha->len % sizeof sha->block;
        uint64_t part = sizeof sha->block - used;
        if (part > len)
            part = len;
        if (part == sizeof sha->block) {
            sha2_compress(sha->h, data);
        } else {
            memcpy(sha->block + used, data, part);
            if (used + part == sizeof sha->block)
                sha2_compress(sha->h, sha->block);
        }
        sha->len += part;
        data += part;
        len -= part;
    }
}

/* The digest as eight big-endian words, the first one first. */
static void sha512_finish(struct sha512 *sha, uint64_t digest[8])
{
    uint64_t used = sha->len % sizeof sha->block;
    const uint64_t bits = __builtin_bswap64(sha->len * 8);
    sha->block[used++] = 0x80;
    memset(sha->block + used, 0, sizeof sha->block - used);
    if (used > sizeof sha->block - 16) {
        sha2_compress(sha->h, sha->block);
        memset(sha->block, 0, sizeof sha->block);
    }
    memcpy(sha->block + sizeof sha->block - sizeof bits, &bits, sizeof bits);
    sha2_compress(sha->h, sha->block);
    for (int i = 0; i < 8; i++)
        digest[i] = __builtin_bswap64(sha->h[i]);
}

/* ---- the field of 2^255 - 19 ------------------------------------------------------------- */

/* Five limbs of 51 bits. Products are tight: limbs below 2^51 + 2^13. fe_add and fe_sub do not
 * carry, and products take limbs below 2^54: a sum of 5 * 19 * 2^108 fits in 128 bits and what is
 * carried from it in 64. */
struct fe {
    uint64_t v[5];
};

#define LIMB_BITS 51
#define LIMB_MASK ((UINT64_C(1) << LIMB_BITS) - 1)

static const struct fe fe_one = {{1, 0, 0, 0, 0}};
static const struct fe curve_d = {
    {0x34dca135978a3, 0x1a8283b156ebd, 0x5e7a26001c029, 0x739c663a03cbb, 0x52036cee2b6ff}};
static const struct fe curve_2d = {
    {0x69b9426b2f159, 0x35050762add7a, 0x3cf44c0038052, 0x6738cc7407977, 0x2406d9dc56dff}};
static const struct fe root_of_minus_one = {
    {0x61b274a0ea0b0, 0x0d5a5fc8f189d, 0x7ef5e9cbd0c60, 0x78595a6804c9e, 0x2b8324804fc1d}};

static inline void fe_add(struct fe *out, const struct fe *a, const struct fe *b)
{
    for (int i = 0; i < 5; i++)
        out->v[i] = a->v[i] + b->v[i];
}

/* b must be tight: 2p is added so that no limb gets negative. */
static inline void fe_sub(struct fe *out, const struct fe *a, const struct fe *b)
{
    out->v[0] = a->v[0] + 2 * (LIMB_MASK - 18) - b->v[0];
    for (int i = 1; i < 5; i++)
        out->v[i] = a->v[i] + 2 * LIMB_MASK - b->v[i];
}

__attribute__((noinline)) static void fe_mul(struct fe *out, const struct fe *a, const struct fe *b)
{
    const uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3], a4 = a->v[4];
    const uint64_t b0 = b->v[0], b1 = b->v[1], b2 = b->v[2], b3 = b->v[3], b4 = b->v[4];
    const uint64_t c1 = 19 * b1, c2 = 19 * b2, c3 = 19 * b3, c4 = 19 * b4;
    wide sum = (wide)a0 * b0 + (wide)a1 * c4 + (wide)a2 * c3 + (wide)a3 * c2 + (wide)a4 * c1;
    const uint64_t r0 = (uint64_t)sum & LIMB_MASK;
    sum >>= LIMB_BITS;
    sum += (wide)a0 * b1 + (wide)a1 * b0 + (wide)a2 * c4 + (wide)a3 * c3 + (wide)a4 * c2;
    const uint64_t r1 = (uint64_t)sum & LIMB_MASK;
    sum >>= LIMB_BITS;
    sum += (wide)a0 * b2 + (wide)a1 * b1 + (wide)a2 * b0 + (wide)a3 * c4 + (wide)a4 * c3;
    const uint64_t r2 = (uint64_t)sum & LIMB_MASK;
    sum >>= LIMB_BITS;
    sum += (wide)a0 * b3 + (wide)a1 * b2 + (wide)a2 * b1 + (wide)a3 * b0 + (wide)a4 * c4;
    const uint64_t r3 = (uint64_t)sum & LIMB_MASK;
    sum >>= LIMB_BITS;
    sum += (wide)a0 * b4 + (wide)a1 * b3 + (wide)a2 * b2 + (wide)a3 * b1 + (wide)a4 * b0;
    out->v[4] = (uint64_t)sum & LIMB_MASK;
    const uint64_t low = r0 + 19 * (uint64_t)(sum >> LIMB_BITS);
    out->v[0] = low & LIMB_MASK;
    out->v[1] = r1 + (low >> LIMB_BITS);
    out->v[2] = r2;
    out->v[3] = r3;
}

/* Square `times` times, at least once. */
__attribute__((noinline)) static void fe_square(struct fe *out, const struct fe *a, int times)
{
    uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3], a4 = a->v[4];
    do {
        const uint64_t d0 = 2 * a0, d1 = 2 * a1, c3 = 19 * a3, c4 = 19 * a4;
        wide sum = (wide)a0 * a0 + (wide)d1 * c4 + (wide)(2 * a2) * c3;
        const uint64_t r0 = (uint64_t)sum & LIMB_MASK;
        sum >>= LIMB_BITS;
        sum += (wide)d0 * a1 + (wide)(2 * a2) * c4 + (wide)a3 * c3;
        const uint64_t r1 = (uint64_t)sum & LIMB_MASK;
        sum >>= LIMB_BITS;
        sum += (wide)d0 * a2 + (wide)a1 * a1 + (wide)(2 * a3) * c4;
        const uint64_t r2 = (uint64_t)sum & LIMB_MASK;
        sum >>= LIMB_BITS;
        sum += (wide)d0 * a3 + (wide)d1 * a2 + (wide)a4 * c4;
        const uint64_t r3 = (uint64_t)sum & LIMB_MASK;
        sum >>= LIMB_BITS;
        sum += (wide)d0 * a4 + (wide)d1 * a3 + (wide)a2 * a2;
        a4 = (uint64_t)sum & LIMB_MASK;
        const uint64_t low = r0 + 19 * (uint64_t)(sum >> LIMB_BITS);
        a0 = low & LIMB_MASK;
        a1 = r1 + (low >> LIMB_BITS);
        a2 = r2;
        a3 = r3;
    } while (--times != 0);
    *out = (struct fe){{a0, a1, a2, a3, a4}};
}

/* The low 255 bits. */
static inline void fe_unpack(struct fe *out, const uint64_t w[4])
{
    out->v[0] = w[0] & LIMB_MASK;
    out->v[1] = (w[0] >> 51 | w[1] << 13) & LIMB_MASK;
    out->v[2] = (w[1] >> 38 | w[2] << 26) & LIMB_MASK;
    out->v[3] = (w[2] >> 25 | w[3] << 39) & LIMB_MASK;
    out->v[4] = w[3] >> 12 & LIMB_MASK;
}

/* The canonical value; a must be tight, so it is below 2p. */
static void fe_pack(uint64_t w[4], const struct fe *a)
{
    uint64_t t[5], carry = 19;
    for (int i = 0; i < 5; i++)
        carry = (a->v[i] + carry) >> LIMB_BITS; /* at last: whether a + 19 reaches 2^255 */
    carry *= 19;
    for (int i = 0; i < 5; i++) {
        carry += a->v[i];
        t[i] = carry & LIMB_MASK;
        carry >>= LIMB_BITS;
    }
    w[0] = t[0] | t[1] << 51;
    w[1] = t[1] >> 13 | t[2] << 38;
    w[2] = t[2] >> 26 | t[3] << 25;
    w[3] = t[3] >> 39 | t[4] << 12;
}

static int fe_equal(const struct fe *a, const struct fe *b)
{
    uint64_t x[4], y[4];
    fe_pack(x, a);
    fe_pack(y, b);
    return memcmp(x, y, sizeof x) == 0;
}

/* z^(2^250 - 1), which both exponents below start with, and z^11. Each step doubles the run of ones
 * or adds to it. */
static void fe_power_ones(struct fe *ones250, struct fe *z11, const struct fe *z)
{
    struct fe t, ones5, ones10, ones20, ones50, ones100;
    fe_square(&t, z, 1);
    fe_square(&ones5, &t, 2);
    fe_mul(&ones5, &ones5, z); /* z^9 */
    fe_mul(z11, &ones5, &t);
    fe_square(&t, z11, 1);
    fe_mul(&ones5, &ones5, &t);
    fe_square(&t, &ones5, 5);
    fe_mul(&ones10, &t, &ones5);
    fe_square(&t, &ones10, 10);
    fe_mul(&ones20, &t, &ones10);
    fe_square(&t, &ones20, 20);
    fe_mul(&t, &t, &ones20);
    fe_square(&t, &t, 10);
    fe_mul(&ones50, &t, &ones10);
    fe_square(&t, &ones50, 50);
    fe_mul(&ones100, &t, &ones50);
    fe_square(&t, &ones100, 100);
    fe_mul(&t, &t, &ones100);
    fe_square(&t, &t, 50);
    fe_mul(ones250, &t, &ones50);
}

/* z^(p - 2), the inverse */
static void fe_invert(struct fe *out, const struct fe *z)
{
    struct fe ones250, z11;
    fe_power_ones(&ones250, &z11, z);
    fe_square(&ones250, &ones250, 5);
    fe_mul(out, &ones250, &z11);
}

/* z^((p - 5) / 8), of which square roots are made */
static void fe_power_root(struct fe *out, const struct fe *z)
{
    struct fe ones250, z11;
    fe_power_ones(&ones250, &z11, z);
    fe_square(&ones250, &ones250, 2);
    fe_mul(out, &ones250, z);
}

/* ---- the curve -x^2 + y^2 = 1 + dx^2y^2 -------------------------------------------------------
 */

/* x = X/Z, y = Y/Z, and T = XY/Z; all tight. Doubling does not read T. */
struct point {
    struct fe x, y, z, t;
};

/* A point on its way: X = EF, Y = GH, Z = FG, T = EH. What comes next decides whether T is needed.
 */
struct quad {
    struct fe e, f, g, h;
};

/* What an addition takes of its second operand. */
struct addend {
    struct fe sum, difference, t2d, z2; /* Y + X, Y - X, 2dT, 2Z */
};

static inline void finish(struct point *p, const struct quad *q, int with_t)
{
    fe_mul(&p->x, &q->e, &q->f);
    fe_mul(&p->y, &q->g, &q->h);
    fe_mul(&p->z, &q->f, &q->g);
    if (with_t)
        fe_mul(&p->t, &q->e, &q->h);
}

/* Everything with the opposite sign of the usual formula, which cancels: then each fe_sub takes a
 * tight operand off. */
static void double_point(struct quad *q, const struct point *p)
{
    struct fe xx, yy, zz;
    fe_square(&xx, &p->x, 1);
    fe_square(&yy, &p->y, 1);
    fe_square(&zz, &p->z, 1);
    fe_add(&q->e, &p->x, &p->y);
    fe_square(&q->f, &q->e, 1);
    fe_add(&q->h, &xx, &yy);
    fe_sub(&q->e, &q->h, &q->f);
    fe_sub(&q->g, &xx, &yy);
    fe_add(&zz, &zz, &zz);
    fe_add(&q->f, &zz, &q->g);
}

/* p + a, or p - a: -a has sum and difference exchanged and the opposite T. z2: twice the product of
 * both Z. */
static inline void add_scaled(struct quad *q, const struct point *p, const struct addend *a,
                              const struct fe *z2, int negative)
{
    struct fe m, n, c;
    fe_sub(&m, &p->y, &p->x);
    fe_mul(&m, &m, negative ? &a->sum : &a->difference);
    fe_add(&n, &p->y, &p->x);
    fe_mul(&n, &n, negative ? &a->difference : &a->sum);
    fe_mul(&c, &p->t, &a->t2d);
    fe_sub(&q->e, &n, &m);
    fe_add(&q->h, &n, &m);
    fe_sub(negative ? &q->g : &q->f, z2, &c);
    fe_add(negative ? &q->f : &q->g, z2, &c);
}

static void add_point(struct quad *q, const struct point *p, const struct addend *a, int negative)
{
    struct fe z2;
    fe_mul(&z2, &p->z, &a->z2);
    add_scaled(q, p, a, &z2, negative);
}

static void add_base(struct quad *q, const struct point *p, const uint64_t words[3][4],
                     int negative)
{
    struct addend a; /* its Z is 1 */
    struct fe z2;
    fe_unpack(&a.sum, words[0]);
    fe_unpack(&a.difference, words[1]);
    fe_unpack(&a.t2d, words[2]);
    fe_add(&z2, &p->z, &p->z);
    add_scaled(q, p, &a, &z2, negative);
}

static void to_addend(struct addend *a, const struct point *p)
{
    fe_add(&a->sum, &p->y, &p->x);
    fe_sub(&a->difference, &p->y, &p->x);
    fe_mul(&a->t2d, &p->t, &curve_2d);
    fe_add(&a->z2, &p->z, &p->z);
}

/* The negated point of an encoding with canonical y; false if there is none. (x = 0 with a sign
 * bit, which has to be refused too, only occurs with points of small order.) */
static int decode_negated(struct point *p, const uint64_t w[4])
{
    struct fe u, v, v3, t;
    uint64_t x[4];
    fe_unpack(&p->y, w);
    fe_square(&t, &p->y, 1);
    fe_sub(&u, &t, &fe_one);
    fe_mul(&v, &t, &curve_d);
    fe_add(&v, &v, &fe_one); /* x^2 = u / v */
    fe_square(&v3, &v, 1);
    fe_mul(&v3, &v3, &v);
    fe_square(&t, &v3, 1);
    fe_mul(&t, &t, &v);
    fe_mul(&t, &t, &u);
    fe_power_root(&t, &t);
    fe_mul(&t, &t, &v3);
    fe_mul(&p->x, &t, &u); /* u v^3 (u v^7)^((p - 5) / 8) */
    fe_square(&t, &p->x, 1);
    fe_mul(&t, &t, &v);      /* u times a fourth root of one */
    fe_mul(&u, &u, &fe_one); /* tight */
    if (!fe_equal(&t, &u)) {
        fe_add(&t, &t, &u);
        fe_mul(&t, &t, &fe_one);
        fe_pack(x, &t);
        if ((x[0] | x[1] | x[2] | x[3]) != 0)
            return 0;
        fe_mul(&p->x, &p->x, &root_of_minus_one);
    }
    fe_pack(x, &p->x);
    if ((x[0] & 1) == w[3] >> 63) {
        const struct fe zero = {{0}};
        fe_sub(&t, &zero, &p->x);
        fe_mul(&p->x, &t, &fe_one);
    }
    p->z = fe_one;
    fe_mul(&p->t, &p->x, &p->y);
    return 1;
}

static void encode(uint64_t w[4], const struct point *p)
{
    struct fe inverse, t;
    uint64_t x[4];
    fe_invert(&inverse, &p->z);
    fe_mul(&t, &p->x, &inverse);
    fe_pack(x, &t);
    fe_mul(&t, &p->y, &inverse);
    fe_pack(w, &t);
    w[3] |= x[0] << 63;
}

/* ---- scalars modulo L --------------------------------------------------------------------- */

static const uint64_t order[5] = {0x5812631a5cf5d3ed, 0x14def9dea2f79cd6, 0, 0x1000000000000000, 0};

/* a < b */
static int below(const uint64_t *a, const uint64_t *b, int words)
{
    for (int i = words - 1; i > 0; i--)
        if (a[i] != b[i])
            return a[i] < b[i];
    return a[0] < b[0];
}

/* a -= b, and what does not fit is lost */
static void subtract(uint64_t *a, const uint64_t *b, int words)
{
    uint64_t borrow = 0;
    for (int i = 0; i < words; i++) {
        const wide difference = (wide)a[i] - b[i] - borrow;
        a[i] = (uint64_t)difference;
        borrow = (uint64_t)(difference >> 64) & 1;
    }
}

/* out[10] = a[5] * b[5] */
static void multiply(uint64_t *out, const uint64_t *a, const uint64_t *b)
{
    memset(out, 0, 10 * sizeof *out);
    for (int i = 0; i < 5; i++) {
        uint64_t carry = 0;
        for (int j = 0; j < 5; j++) {
            const wide sum = (wide)a[i] * b[j] + out[i + j] + carry;
            out[i + j] = (uint64_t)sum;
            carry = (uint64_t)(sum >> 64);
        }
        out[i + 5] = carry;
    }
}

/* h modulo L by Barrett's method with words: the estimated quotient is at most 2 too small. */
static void reduce(uint64_t out[4], const uint64_t h[8])
{
    static const uint64_t reciprocal[5] = {/* 2^512 / L */
                                           0xed9ce5a30a2c131b, 0x2106215d086329a7,
                                           0xffffffffffffffeb, 0xffffffffffffffff, 0xf};
    uint64_t quotient[10], product[10], rest[5];
    multiply(quotient, h + 3, reciprocal);
    multiply(product, quotient + 5, order);
    memcpy(rest, h, sizeof rest);
    subtract(rest, product, 5);
    while (!below(rest, order, 5))
        subtract(rest, order, 5);
    memcpy(out, rest, 4 * sizeof *out);
}

/* Signed digits, zero or odd and below 2^(width - 1) in size, that sum up to k < 2^255: after one
 * that is not zero come width - 1 zeros at least. Returns how many there are up to the highest that
 * is not zero. */
static int recode(int8_t digits[256], const uint64_t k[4], unsigned width)
{
    int top = 0;
    uint64_t carry = 0;
    memset(digits, 0, 256);
    for (unsigned at = 0; at < 256;) {
        const unsigned word = at / 64, shift = at % 64;
        uint64_t window = k[word] >> shift;
        if (shift + width > 64 && word < 3)
            window |= k[word + 1] << (64 - shift);
        window = (window & ((UINT64_C(1) << width) - 1)) + carry;
        if ((window & 1) == 0) {
            at++;
            continue;
        }
        carry = window >> (width - 1);
        digits[at] = (int8_t)((int)window - (int)(carry << width));
        top = (int)at + 1;
        at += width;
    }
    return top;
}

/* ---- verification ------------------------------------------------------------------------ */

#define KEY_WIDTH  5
#define BASE_WIDTH 7

static struct addend multiples[1 << (KEY_WIDTH - 2)]; /* of the key: A, 3A, 5A, ... */

/* sB + hA into p, which then has no T. */
static void combine(struct point *p, const uint64_t s[4], const uint64_t h[4],
                    const struct point *a)
{
    struct addend twice;
    struct point t;
    struct quad q;
    int8_t base_digits[256], key_digits[256];
    const int base_top = recode(base_digits, s, BASE_WIDTH),
              key_top = recode(key_digits, h, KEY_WIDTH);

    to_addend(&multiples[0], a);
    double_point(&q, a);
    finish(&t, &q, 1);
    to_addend(&twice, &t);
    t = *a;
    for (int i = 1; i < 1 << (KEY_WIDTH - 2); i++) {
        add_point(&q, &t, &twice, 0);
        finish(&t, &q, 1);
        to_addend(&multiples[i], &t);
    }

    memset(p, 0, sizeof *p);
    p->y = p->z = fe_one;
    for (int i = (base_top > key_top ? base_top : key_top) - 1; i >= 0; i--) {
        const int b = base_digits[i], k = key_digits[i];
        double_point(&q, p);
        if (k != 0) {
            finish(p, &q, 1);
            add_point(&q, p, &multiples[(k < 0 ? -k : k) / 2], k < 0);
        }
        if (b != 0) {
            finish(p, &q, 1);
            add_base(&q, p, base_multiples[(b < 0 ? -b : b) / 2], b < 0);
        }
        finish(p, &q, 0);
    }
}

/* Whether an encoding without its sign bit, when it is canonical, is of a point whose order
 * divides 8. */
static int small_order(const uint64_t y[4])
{
    static const uint64_t values[5][4] = {
        {0, 0, 0, 0},
        {1, 0, 0, 0},
        {0xffffffffffffffec, 0xffffffffffffffff, 0xffffffffffffffff, 0x7fffffffffffffff},
        {0x4fd84d3d706a17c7, 0x0f67100d760b3cba, 0xc6cc392cfa53202a, 0x7a03ac9277fdc74e},
        {0xb027b2c28f95e826, 0xf098eff289f4c345, 0x3933c6d305acdfd5, 0x05fc536d880238b1}};
    for (int i = 0; i < 5; i++)
        if (memcmp(y, values[i], sizeof values[i]) == 0)
            return 1;
    return 0;
}

/* The y of an encoding; false when it is not below p or belongs to a point of small order. */
static int usable(const uint64_t encoding[4])
{
    static const uint64_t p[4] = {0xffffffffffffffed, 0xffffffffffffffff, 0xffffffffffffffff,
                                  0x7fffffffffffffff};
    const uint64_t y[4] = {encoding[0], encoding[1], encoding[2], encoding[3] & 0x7fffffffffffffff};
    return below(y, p, 4) && !small_order(y);
}

static int verify(const uint8_t key[32], const uint8_t signature[64], const uint8_t *message,
                  uint64_t len)
{
    uint64_t a[4], r[4], s[4], h[4], digest[8], result[4];
    struct point negated, p;
    struct sha512 sha;
    memcpy(a, key, sizeof a);
    memcpy(r, signature, sizeof r);
    memcpy(s, signature + 32, sizeof s);
    if (!below(s, order, 4) || !usable(r) || !usable(a) || !decode_negated(&negated, a))
        return 0;
    sha512_start(&sha);
    sha512_add(&sha, r, sizeof r);
    sha512_add(&sha, a, sizeof a);
    sha512_add(&sha, message, len);
    sha512_finish(&sha, digest);
    reduce(h, digest);
    combine(&p, s, h, &negated);
    encode(result, &p);
    return memcmp(result, r, sizeof r) == 0;
}

/* RFC 8032, 7.1: the vectors 1, 2, 3 and SHA(abc), key and signature in words, the lowest first. */
static const uint64_t vectors[4][HEAD_BYTES / 8] = {
    {0xb70ab18201985ad7, 0x3a0764c9d3fe4bd5, 0x2523a6daf372e10e, 0x1a5107f7681a02af,
     0x72ac60c3004356e5, 0x8a826e80cce28690, 0x74d9e5b81e7f8784, 0x5501492265e073d8,
     0xac3ba3901582b85f, 0x6bb4f91c70391ec6, 0x24be5b59f0f55bd2, 0x0b107a8e43415165},
    {0x5a8943e8c317403d, 0xbc7e1b4da70ab792, 0x8c96c42ecf2c989c, 0x0c66f42af155cdc0,
     0xb8cad4f0a909a092, 0x4025645f0b820e72, 0x8f3f5016547bb2a2, 0xda69dbeb232276b3,
     0x6e99153ee4c15a08, 0x8c1df1d013368f45, 0xee2a30b4ae2e7b38, 0x000cbb1216290db0},
    {0xa3a118628ecd51fc, 0x58f03002d07ea48d, 0xac0333ba13ed1608, 0x258090481591eb5d,
     0x0224ecde57d69162, 0xa301be3a9ce62748, 0x443a7484a248e50c, 0xacc35adbd780365e,
     0x90f2168d539bff18, 0x59c64d9860f767ae, 0x8dd26e71e9157c4a, 0x0ac41eeacebe27c0},
    {0x3b565ead932b17ec, 0x345024e1702c93f4, 0x644dfd2eef6754c3, 0xbfe267346819f8eb,
     0x339636e759442adc, 0x009a8377f21b2ba5, 0xcb3ebfefa3091020, 0x89b5266c18a2be69,
     0xecb390acc91f3509, 0x30e03164c6c7fbfd, 0x7ac18a139c17ca3d, 0x04a7317317f1bed9}};

/* Verify vector number i, damaged or not. */
static int verify_vector(uint64_t i)
{
    uint8_t head[HEAD_BYTES], message[64] = {0x72};
    uint64_t len = i % 4; /* the messages: none, 72, af 82, SHA-512 of "abc" */
    memcpy(head, vectors[i % 4], sizeof head);
    if (len == 2) {
        message[0] = 0xaf;
        message[1] = 0x82;
    } else if (len == 3) {
        struct sha512 sha;
        uint64_t digest[8];
        sha512_start(&sha);
        sha512_add(&sha, "abc", 3);
        sha512_finish(&sha, digest);
        memcpy(message, digest, sizeof message);
        len = sizeof message;
    }
    if (i % 3 == 1) { /* not in the top of s, where it could be found without work */
        const uint64_t bit = i * 0x9e3779b97f4a7c15 >> 32 & 255;
        head[KEY_BYTES + bit / 8 + (i & 1) * 24] ^= (uint8_t)(1 << bit % 8);
    }
    return verify(head, head + KEY_BYTES, message, len);
}

uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    (void)a3;
    if (a1 != 0) {
        const uint8_t *const input = javm_scratch();
        const uint64_t len = a1 > SCRATCH_BYTES ? SCRATCH_BYTES : a1;
        return len < HEAD_BYTES ? 0
                                : (uint64_t)verify(input, input + KEY_BYTES, input + HEAD_BYTES,
                                                   len - HEAD_BYTES);
    }
    uint64_t results = 0;
    for (uint64_t i = 0; i < a0; i++)
        results = (results << 1 | results >> 63) ^ (uint64_t)verify_vector(a2 + i);
    return results;
}
