/* 256-bit numbers, the field of secp256k1 and inversion modulo any odd number. */
#ifndef SECP256K1_FIELD_H
#define SECP256K1_FIELD_H

#include "javm_guest.h"

__extension__ typedef unsigned __int128 wide;
__extension__ typedef __int128 swide;

#define UNLIKELY(condition) __builtin_expect((condition), 0)

/* 256 bits, the least significant word first. */
struct number {
    uint64_t v[4];
};

/* The field is modulo p = 2^256 - FOLD. */
#define FOLD UINT64_C(0x1000003d1)

static const struct number p = {
    {0xfffffffefffffc2f, 0xffffffffffffffff, 0xffffffffffffffff, 0xffffffffffffffff}};
/* ---- 256-bit numbers ---- */

/* acc + x y + *carry; the upper word goes to *carry. Cannot overflow. */
static inline uint64_t multiply_add(uint64_t *carry, uint64_t acc, uint64_t x, uint64_t y)
{
    const wide t = (wide)x * y + acc + *carry;
    *carry = (uint64_t)(t >> 64);
    return (uint64_t)t;
}

static inline void multiply_row(uint64_t *t, uint64_t x, const struct number *b)
{
    uint64_t carry = 0;
    t[0] = multiply_add(&carry, t[0], x, b->v[0]);
    t[1] = multiply_add(&carry, t[1], x, b->v[1]);
    t[2] = multiply_add(&carry, t[2], x, b->v[2]);
    t[3] = multiply_add(&carry, t[3], x, b->v[3]);
    t[4] = carry;
}

static inline void multiply_full(uint64_t t[8], const struct number *a, const struct number *b)
{
    t[0] = t[1] = t[2] = t[3] = 0;
    multiply_row(t, a->v[0], b);
    multiply_row(t + 1, a->v[1], b);
    multiply_row(t + 2, a->v[2], b);
    multiply_row(t + 3, a->v[3], b);
}

/* r = a + b; returns the carry. */
static inline uint64_t add_full(struct number *r, const struct number *a, const struct number *b)
{
    uint64_t carry = 0;
    for (int i = 0; i < 4; i++) {
        uint64_t sum = a->v[i] + carry;
        carry = sum < carry;
        sum += b->v[i];
        carry += sum < b->v[i];
        r->v[i] = sum;
    }
    return carry;
}

/* r = a - b; returns the borrow. */
static inline uint64_t subtract_full(struct number *r, const struct number *a,
                                     const struct number *b)
{
    uint64_t borrow = 0;
    for (int i = 0; i < 4; i++) {
        const uint64_t x = a->v[i], y = b->v[i], difference = x - y;
        r->v[i] = difference - borrow;
        borrow = (uint64_t)(x < y) | (uint64_t)(difference < borrow);
    }
    return borrow;
}

static int is_zero(const struct number *a)
{
    return (a->v[0] | a->v[1] | a->v[2] | a->v[3]) == 0;
}

static int is_less(const struct number *a, const struct number *b)
{
    struct number unused;
    return subtract_full(&unused, a, b) != 0;
}

static void load(struct number *r, const uint8_t *bytes)
{
    for (int i = 0; i < 4; i++) {
        uint64_t word;
        memcpy(&word, bytes + 24 - 8 * i, sizeof word);
        r->v[i] = __builtin_bswap64(word);
    }
}

static void store(uint8_t *bytes, const struct number *a)
{
    for (int i = 0; i < 4; i++) {
        const uint64_t word = __builtin_bswap64(a->v[i]);
        memcpy(bytes + 24 - 8 * i, &word, sizeof word);
    }
}

/* ---- the field ----
 *
 * Values are below 2^256, so that most have one form and the smallest have two. */

/* t modulo p: 2^256 is FOLD. The branch is for carries that come once in 2^61. */
static inline void field_reduce(struct number *r, const uint64_t t[8])
{
    uint64_t carry = 0;
    uint64_t r0 = multiply_add(&carry, t[0], t[4], FOLD);
    uint64_t r1 = multiply_add(&carry, t[1], t[5], FOLD);
    uint64_t r2 = multiply_add(&carry, t[2], t[6], FOLD);
    uint64_t r3 = multiply_add(&carry, t[3], t[7], FOLD);
    const wide fold = (wide)carry * FOLD + r0;
    const uint64_t upper = (uint64_t)(fold >> 64);
    r0 = (uint64_t)fold;
    r1 += upper;
    if (UNLIKELY(r1 < upper) && ++r2 == 0 && ++r3 == 0) {
        r0 += FOLD; /* past 2^256 again, hence r1 is small */
        r1 += r0 < FOLD;
    }
    r->v[0] = r0;
    r->v[1] = r1;
    r->v[2] = r2;
    r->v[3] = r3;
}

__attribute__((noinline)) static void multiply(struct number *r, const struct number *a,
                                               const struct number *b)
{
    uint64_t t[8];
    multiply_full(t, a, b);
    field_reduce(r, t);
}

/* Six products doubled and four squares. */
static inline void square_inline(struct number *r, const struct number *a)
{
    const uint64_t a0 = a->v[0], a1 = a->v[1], a2 = a->v[2], a3 = a->v[3];
    uint64_t t[8], carry = 0;
    t[1] = multiply_add(&carry, 0, a0, a1);
    t[2] = multiply_add(&carry, 0, a0, a2);
    t[3] = multiply_add(&carry, 0, a0, a3);
    t[4] = carry;
    carry = 0;
    t[3] = multiply_add(&carry, t[3], a1, a2);
    t[4] = multiply_add(&carry, t[4], a1, a3);
    t[5] = carry;
    carry = 0;
    t[5] = multiply_add(&carry, t[5], a2, a3);
    t[6] = carry;
    t[7] = t[6] >> 63;
    t[6] = t[6] << 1 | t[5] >> 63;
    t[5] = t[5] << 1 | t[4] >> 63;
    t[4] = t[4] << 1 | t[3] >> 63;
    t[3] = t[3] << 1 | t[2] >> 63;
    t[2] = t[2] << 1 | t[1] >> 63;
    t[1] <<= 1;
    carry = 0;
    t[0] = multiply_add(&carry, 0, a0, a0);
    t[1] += carry;
    carry = t[1] < carry;
    t[2] = multiply_add(&carry, t[2], a1, a1);
    t[3] += carry;
    carry = t[3] < carry;
    t[4] = multiply_add(&carry, t[4], a2, a2);
    t[5] += carry;
    carry = t[5] < carry;
    t[6] = multiply_add(&carry, t[6], a3, a3);
    t[7] += carry;
    field_reduce(r, t);
}

__attribute__((noinline)) static void square(struct number *r, const struct number *a)
{
    square_inline(r, a);
}

/* r = a^(2^count), count > 0 */
__attribute__((noinline)) static void square_often(struct number *r, const struct number *a,
                                                   int count)
{
    square_inline(r, a);
    while (--count != 0)
        square_inline(r, r);
}

static inline void add(struct number *r, const struct number *a, const struct number *b)
{
    const uint64_t fold = -add_full(r, a, b) & FOLD;
    r->v[0] += fold;
    if (UNLIKELY(r->v[0] < fold) && ++r->v[1] == 0 && ++r->v[2] == 0 && ++r->v[3] == 0)
        r->v[0] += FOLD;
}

static inline void subtract(struct number *r, const struct number *a, const struct number *b)
{
    const uint64_t fold = -subtract_full(r, a, b) & FOLD, low = r->v[0];
    r->v[0] = low - fold;
    if (UNLIKELY(low < fold) && r->v[1]-- == 0 && r->v[2]-- == 0 && r->v[3]-- == 0)
        r->v[0] -= FOLD;
}

/* r = a / 2: an odd value first gets p added, which is 2^256 - FOLD. */
static inline void halve(struct number *r, const struct number *a)
{
    const uint64_t odd = a->v[0] & 1, fold = -odd & FOLD, low = a->v[0] - fold;
    uint64_t v1 = a->v[1], v2 = a->v[2], v3 = a->v[3], top = odd;
    if (UNLIKELY(a->v[0] < fold) && v1-- == 0 && v2-- == 0 && v3-- == 0)
        top = 0;
    r->v[0] = low >> 1 | v1 << 63;
    r->v[1] = v1 >> 1 | v2 << 63;
    r->v[2] = v2 >> 1 | v3 << 63;
    r->v[3] = v3 >> 1 | top << 63;
}

/* To the form in [0, p). */
static void normalize(struct number *a)
{
    if (!is_less(a, &p))
        subtract_full(a, a, &p);
}

static inline int is_zero_modulo_p(const struct number *a)
{
    const uint64_t ones = a->v[1] & a->v[2] & a->v[3];
    return is_zero(a) || (ones == UINT64_MAX && a->v[0] == p.v[0]);
}

/* a^((p + 1) / 4), a root of a or of -a. The exponent in binary: 223 ones, 0, 22 ones, 00001100. xK
 * is a^(2^K - 1). */
static void root(struct number *r, const struct number *a)
{
    struct number x2, x3, x11, x22, x44, t, u;
    square_often(&t, a, 1);
    multiply(&x2, &t, a);
    square_often(&t, &x2, 1);
    multiply(&x3, &t, a);
    square_often(&t, &x3, 3);
    multiply(&t, &t, &x3);
    square_often(&t, &t, 3);
    multiply(&t, &t, &x3); /* x9 */
    square_often(&t, &t, 2);
    multiply(&x11, &t, &x2);
    square_often(&t, &x11, 11);
    multiply(&x22, &t, &x11);
    square_often(&t, &x22, 22);
    multiply(&x44, &t, &x22);
    square_often(&t, &x44, 44);
    multiply(&u, &t, &x44); /* x88 */
    square_often(&t, &u, 88);
    multiply(&t, &t, &u); /* x176 */
    square_often(&t, &t, 44);
    multiply(&t, &t, &x44);
    square_often(&t, &t, 3);
    multiply(&t, &t, &x3); /* x223 */
    square_often(&t, &t, 23);
    multiply(&t, &t, &x22);
    square_often(&t, &t, 6);
    multiply(&t, &t, &x2);
    square_often(r, &t, 2);
}

/* ---- inversion ----
 *
 * By division steps (Bernstein and Yang, "Fast constant-time gcd computation and modular
 * inversion", 2019), 62 at a time, skipping what needs no work. */

#define BITS62 (UINT64_MAX >> 2)

/* 62 bits a word; the last word has the sign. */
struct signed_number {
    int64_t v[5];
};

static void to_signed(struct signed_number *r, const struct number *a)
{
    const uint64_t *v = a->v;
    r->v[0] = (int64_t)(v[0] & BITS62);
    r->v[1] = (int64_t)((v[0] >> 62 | v[1] << 2) & BITS62);
    r->v[2] = (int64_t)((v[1] >> 60 | v[2] << 4) & BITS62);
    r->v[3] = (int64_t)((v[2] >> 58 | v[3] << 6) & BITS62);
    r->v[4] = (int64_t)(v[3] >> 56);
}

/* (f, g) after the steps is (u f + v g, q f + r g) / 2^62, and |u| + |v|, |q| + |r| <= 2^62. */
struct steps {
    int64_t u, v, q, r;
};

/* The step: delta > 0 and g odd: delta, f, g = 1 - delta, g, (g - f) / 2;
 * else                           delta, f, g = 1 + delta, f, (g + (g & 1) f) / 2.
 * Only the low 62 bits of f and g decide about 62 steps. u and v are doubled instead of halving q
 * and r. */
static int64_t divide_steps(struct steps *steps, int64_t delta, uint64_t f, uint64_t g)
{
    uint64_t u = 1, v = 0, q = 0, r = 1;
    unsigned left = 62;
    for (;;) {
        const unsigned zeros = (unsigned)__builtin_ctzll(g | UINT64_MAX << left);
        g >>= zeros;
        u <<= zeros;
        v <<= zeros;
        delta += zeros;
        left -= zeros;
        if (left == 0)
            break;
        if (delta > 0) {
            uint64_t t = f;
            f = g;
            g = -t;
            t = u;
            u = q;
            q = -t;
            t = v;
            v = r;
            r = -t;
            delta = -delta;
        }
        /* The next 1 - delta steps add f where g is odd: clear as many low bits of g in one go, up
         * to 6 because f (f^2 - 2) is -1/f modulo 64. */
        const uint64_t limit = (uint64_t)(1 - delta) < left ? (uint64_t)(1 - delta) : left;
        const uint64_t mask = (UINT64_C(1) << (limit < 6 ? limit : 6)) - 1;
        const uint64_t w = g * f * (f * f - 2) & mask;
        g += f * w;
        q += u * w;
        r += v * w;
    }
    *steps = (struct steps){(int64_t)u, (int64_t)v, (int64_t)q, (int64_t)r};
    return delta;
}

static void apply_steps(struct signed_number *f, struct signed_number *g, const struct steps *s)
{
    swide cf = 0, cg = 0;
    for (int i = 0; i < 5; i++) {
        const int64_t x = f->v[i], y = g->v[i];
        cf += (swide)s->u * x + (swide)s->v * y;
        cg += (swide)s->q * x + (swide)s->r * y;
        if (i != 0) { /* the lowest 62 bits are zero */
            f->v[i - 1] = (int64_t)((uint64_t)cf & BITS62);
            g->v[i - 1] = (int64_t)((uint64_t)cg & BITS62);
        }
        cf >>= 62;
        cg >>= 62;
    }
    f->v[4] = (int64_t)cf;
    g->v[4] = (int64_t)cg;
}

/* The same modulo m for d and e in (-2m, m), which stay there: a negative one counts as m more, and
 * then the multiple of m in [0, 2^62 - 1] is subtracted that makes the sum divisible by 2^62.
 * `inverse` is 1/m modulo 2^62. */
static void apply_steps_modulo(struct signed_number *d, struct signed_number *e,
                               const struct steps *s, const struct signed_number *m,
                               uint64_t inverse)
{
    const int64_t dn = d->v[4] >> 63, en = e->v[4] >> 63;
    int64_t md = (s->u & dn) + (s->v & en), me = (s->q & dn) + (s->r & en);
    const uint64_t d0 = (uint64_t)d->v[0], e0 = (uint64_t)e->v[0];
    const uint64_t low_d = (uint64_t)s->u * d0 + (uint64_t)s->v * e0;
    const uint64_t low_e = (uint64_t)s->q * d0 + (uint64_t)s->r * e0;
    md -= (int64_t)((inverse * low_d + (uint64_t)md) & BITS62);
    me -= (int64_t)((inverse * low_e + (uint64_t)me) & BITS62);
    swide cd = 0, ce = 0;
    for (int i = 0; i < 5; i++) {
        const int64_t x = d->v[i], y = e->v[i], z = m->v[i];
        cd += (swide)s->u * x + (swide)s->v * y + (swide)md * z;
        ce += (swide)s->q * x + (swide)s->r * y + (swide)me * z;
        if (i != 0) {
            d->v[i - 1] = (int64_t)((uint64_t)cd & BITS62);
            e->v[i - 1] = (int64_t)((uint64_t)ce & BITS62);
        }
        cd >>= 62;
        ce >>= 62;
    }
    d->v[4] = (int64_t)cd;
    e->v[4] = (int64_t)ce;
}

/* r = a + sign b */
static void add_signed(struct signed_number *r, const struct signed_number *a, int64_t sign,
                       const struct signed_number *b)
{
    int64_t carry = 0;
    for (int i = 0; i < 5; i++) {
        carry += a->v[i] + sign * b->v[i];
        r->v[i] = i == 4 ? carry : (int64_t)((uint64_t)carry & BITS62);
        carry >>= 62;
    }
}

/* r = 1/a modulo the odd m, for any a without a common divisor */
static void invert(struct number *r, const struct number *a, const struct number *m)
{
    struct signed_number modulus, f, g, d = {{0}}, e = {{1, 0, 0, 0, 0}};
    struct steps steps;
    to_signed(&modulus, m);
    to_signed(&g, a);
    f = modulus;
    uint64_t inverse = m->v[0]; /* right in 3 bits, then in 6, 12, 24, 48, 96 */
    for (int i = 0; i < 5; i++)
        inverse *= 2 - m->v[0] * inverse;
    int64_t delta = 1;
    while ((g.v[0] | g.v[1] | g.v[2] | g.v[3] | g.v[4]) != 0) {
        const uint64_t low_f = (uint64_t)f.v[0] | (uint64_t)f.v[1] << 62;
        const uint64_t low_g = (uint64_t)g.v[0] | (uint64_t)g.v[1] << 62;
        delta = divide_steps(&steps, delta, low_f, low_g);
        apply_steps_modulo(&d, &e, &steps, &modulus, inverse);
        apply_steps(&f, &g, &steps);
    }
    /* f is 1 or -1, and d a = f modulo m. */
    while (d.v[4] < 0)
        add_signed(&d, &d, 1, &modulus);
    if (f.v[4] < 0)
        add_signed(&d, &modulus, -1, &d);
    const uint64_t w0 = (uint64_t)d.v[0], w1 = (uint64_t)d.v[1], w2 = (uint64_t)d.v[2];
    const uint64_t w3 = (uint64_t)d.v[3], w4 = (uint64_t)d.v[4];
    r->v[0] = w0 | w1 << 62;
    r->v[1] = w1 >> 2 | w2 << 60;
    r->v[2] = w2 >> 4 | w3 << 58;
    r->v[3] = w3 >> 6 | w4 << 56;
}

#endif
