/* Evaluates a polynomial over the Goldilocks field at many points, by Horner's rule. a0: degree + 1
 * (<= 4096), a1: points (<= 65536), a2: seed. */
#include "goldilocks.h"
#include "javm_guest.h"

#define MAX 4096u
static uint64_t coefficients[MAX];

uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    (void)a3;
    const uint64_t n = a0 > MAX ? MAX : a0, points = a1 > 65536 ? 65536 : a1;
    uint64_t x = gold_reduce(a2 + 7), digest = 0;
    for (uint64_t i = 0; i < n; i++) {
        x = gold_add(gold_mul(x, x), i);
        coefficients[i] = x;
    }
    for (uint64_t k = 0; k < points; k++) {
        const uint64_t at = gold_add(gold_reduce(k * UINT64_C(0x9e3779b97f4a7c15)), 3);
        uint64_t value = 0;
        for (uint64_t i = n; i-- > 0;)
            value = gold_add(gold_mul(value, at), coefficients[i]);
        digest = (digest ^ value) * UINT64_C(0x100000001b3);
    }
    return digest;
}
