/* Product of two n x n matrices of 64-bit numbers, modulo 2^64. a0: n (<= 96), a1: seed. Returns a
 * digest. */
#include "javm_guest.h"

#define MAX 96u
static uint64_t a[MAX][MAX], b[MAX][MAX];

uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    (void)a2, (void)a3;
    const uint64_t n = a0 > MAX ? MAX : a0;
    uint64_t x = a1 * 2 + 1, digest = n;
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t k = 0; k < n; k++) {
            x = x * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
            a[i][k] = x >> 16;
            b[i][k] = x >> 8 ^ x;
        }
    for (uint64_t i = 0; i < n; i++)
        for (uint64_t k = 0; k < n; k++) {
            uint64_t sum = 0;
            for (uint64_t j = 0; j < n; j++)
                sum += a[i][j] * b[j][k];
            digest = (digest ^ sum) * UINT64_C(0x100000001b3);
        }
    return digest;
}
