/* The field and the inversion under guest/programs/secp256k1.c, on numbers chosen for their
 * carries. Finds: a carry that is lost where random numbers come once in 2^61, a result that is
 * only nearly reduced, an inverse that is wrong for numbers near 0, m or a power of two. The
 * reference adds and doubles one bit at a time. */
#include <criterion/criterion.h>
#include <string.h>

#define JAVM_NATIVE
#include "guest/programs/secp256k1_field.h"

static const struct number order = {
    {0xbfd25e8cd0364141, 0xbaaedce6af48a03b, 0xfffffffffffffffe, 0xffffffffffffffff}};

/* (a + b) modulo m for a, b < m */
static struct number plain_add(struct number a, struct number b, const struct number *m)
{
    struct number sum;
    if (add_full(&sum, &a, &b) != 0 || !is_less(&sum, m))
        subtract_full(&sum, &sum, m);
    return sum;
}

static struct number plain_reduce(struct number a, const struct number *m)
{
    while (!is_less(&a, m))
        subtract_full(&a, &a, m);
    return a;
}

static struct number plain_multiply(struct number a, struct number b, const struct number *m)
{
    struct number product = {{0, 0, 0, 0}};
    b = plain_reduce(b, m);
    for (int bit = 255; bit >= 0; bit--) {
        product = plain_add(product, product, m);
        if (a.v[bit / 64] >> (bit % 64) & 1)
            product = plain_add(product, b, m);
    }
    return product;
}

static int same(const struct number *a, const struct number *b)
{
    return memcmp(a, b, sizeof *a) == 0;
}

/* All numbers of four words out of a few, then those around p and the folding constant. */
#define WORDS 5
#define COUNT (WORDS * WORDS * WORDS * WORDS)
static struct number numbers[COUNT];

static void make_numbers(void)
{
    static const uint64_t words[WORDS] = {0, 1, UINT64_MAX - FOLD + 1, UINT64_MAX,
                                          UINT64_C(0x9e3779b97f4a7c15)};
    for (size_t i = 0; i < COUNT; i++)
        for (size_t k = 0, rest = i; k < 4; k++, rest /= WORDS)
            numbers[i].v[k] = words[rest % WORDS];
    for (uint64_t i = 0; i < 4; i++) { /* in place of four that are nothing special */
        numbers[COUNT - 1 - i] = p;
        numbers[COUNT - 1 - i].v[0] += i - 1;
        numbers[COUNT - 5 - i] = (struct number){{FOLD - 2 + i, 0, 0, 0}};
    }
}
TestSuite(field, .init = make_numbers);

/* `got` may be either form of the number. */
static void expect_number(const char *what, struct number got, struct number want, size_t i,
                          size_t k)
{
    normalize(&got);
    cr_expect(same(&got, &want), "%s of numbers %zu and %zu", what, i, k);
}

Test(field, addition_and_subtraction)
{
    const struct number zero = {{0, 0, 0, 0}};
    for (size_t i = 0; i < COUNT; i++) {
        const struct number a = plain_reduce(numbers[i], &p);
        for (size_t k = 0; k < COUNT; k++) {
            const struct number b = plain_reduce(numbers[k], &p);
            struct number got, negative;
            add(&got, &numbers[i], &numbers[k]);
            expect_number("sum", got, plain_add(a, b, &p), i, k);
            subtract_full(&negative, &p, &b);
            if (is_zero(&b))
                negative = zero;
            subtract(&got, &numbers[i], &numbers[k]);
            expect_number("difference", got, plain_add(a, negative, &p), i, k);
            cr_expect_eq(is_zero_modulo_p(&got), same(&a, &b));
        }
    }
}

Test(field, multiplication)
{
    for (size_t i = 0; i < COUNT; i++)
        for (size_t k = i % 7; k < COUNT; k += 7) {
            struct number got;
            multiply(&got, &numbers[i], &numbers[k]);
            expect_number("product", got, plain_multiply(numbers[i], numbers[k], &p), i, k);
        }
}

/* Products whose reduction ends just below or just above 2^256: b = w / a for a w close to 0 or p.
 */
Test(field, multiplication_to_numbers_near_zero_and_p)
{
    for (size_t i = 0; i < COUNT; i++) {
        const struct number a = plain_reduce(numbers[i], &p);
        if (is_zero(&a))
            continue;
        for (uint64_t k = 0; k < 40; k++) {
            struct number inverse, got, want = {{k, 0, 0, 0}};
            if (k % 2 != 0)
                subtract_full(&want, &p, &want);
            invert(&inverse, &a, &p);
            const struct number b = plain_multiply(want, inverse, &p);
            multiply(&got, &a, &b);
            expect_number("product", got, want, i, k);
        }
    }
}

Test(field, squares_halves_and_roots)
{
    for (size_t i = 0; i < COUNT; i++) {
        const struct number a = plain_reduce(numbers[i], &p);
        const struct number want = plain_multiply(a, a, &p);
        struct number got, power, negative;
        square(&got, &numbers[i]);
        expect_number("square", got, want, i, i);
        square_often(&power, &numbers[i], 3);
        square(&got, &got);
        square(&got, &got);
        normalize(&got);
        expect_number("eighth power", power, got, i, i);
        halve(&got, &numbers[i]);
        normalize(&got);
        expect_number("twice the half", plain_add(got, got, &p), a, i, i);
        root(&got, &want);
        normalize(&got);
        subtract(&negative, &p, &got);
        normalize(&negative);
        cr_expect(same(&got, &a) || same(&negative, &a), "root of the square of number %zu", i);
    }
}

static void check_inverses(const struct number *m)
{
    static const struct number one = {{1, 0, 0, 0}};
    for (size_t i = 0; i < COUNT + 512; i++) {
        struct number a = {{0, 0, 0, 0}}, inverse;
        if (i < COUNT)
            a = numbers[i];
        else
            a.v[i % 256 / 64] = UINT64_C(1) << (i % 64); /* a power of two */
        if (i >= COUNT + 256)
            subtract_full(&a, m, &a);
        const struct number reduced = plain_reduce(a, m);
        if (is_zero(&reduced))
            continue;
        invert(&inverse, &a, m);
        cr_expect(is_less(&inverse, m));
        const struct number product = plain_multiply(a, inverse, m);
        cr_expect(same(&product, &one), "inverse of number %zu", i);
    }
}

Test(field, inverses_modulo_p_and_n)
{
    check_inverses(&p);
    check_inverses(&order);
}

Test(field, bytes)
{
    uint8_t bytes[32], again[32];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i + 1);
    struct number a;
    load(&a, bytes);
    cr_expect_eq(a.v[3], UINT64_C(0x0102030405060708));
    cr_expect_eq(a.v[0], UINT64_C(0x191a1b1c1d1e1f20));
    store(again, &a);
    cr_expect_arr_eq(bytes, again, sizeof bytes);
}
