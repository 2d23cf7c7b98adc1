/* Multiplication in the Goldilocks field, p = 2^64 - 2^32 + 1: eight chains side by side, then an
 * inversion by Fermat as a check. a0: rounds (<= 2^24), a1: seed. */
#include "goldilocks.h"
#include "javm_guest.h"

uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    (void)a2, (void)a3;
    const uint64_t rounds = a0 > 1u << 24 ? 1u << 24 : a0;
    uint64_t x[8];
    for (uint64_t i = 0; i < 8; i++)
        x[i] = gold_reduce(a1 * 8 + i + 2);
    for (uint64_t r = 0; r < rounds; r++)
        for (uint64_t i = 0; i < 8; i++)
            x[i] = gold_mul(x[i], gold_add(x[i], r & 0xffff));
    uint64_t product = 1;
    for (uint64_t i = 0; i < 8; i++)
        product = gold_mul(product, gold_add(x[i], i + 1));
    const uint64_t inverse = gold_pow(product, GOLD_P - 2);
    if (product != 0 && gold_mul(product, inverse) != 1)
        return 0;
    return inverse ^ x[0];
}
