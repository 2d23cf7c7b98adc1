/* Reads and writes 512 KiB in strides, then in a data-dependent order. a0: sweeps (<= 4096), a1:
 * seed. */
#include "javm_guest.h"

#define WORDS 65536u
static uint64_t memory[WORDS];

uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    (void)a2, (void)a3;
    const uint64_t sweeps = a0 > 4096 ? 4096 : a0;
    uint64_t x = a1 ^ UINT64_C(0x9e3779b97f4a7c15);
    for (uint64_t i = 0; i < WORDS; i++)
        memory[i] = i;
    for (uint64_t s = 0; s < sweeps; s++) {
        for (uint64_t i = s & 7; i < WORDS; i += 8) {
            x += memory[i];
            memory[i] = x ^ x >> 29;
        }
        for (uint64_t i = 0; i < 4096; i++) {
            x = x * 5 + memory[x >> 20 & (WORDS - 1)];
            memory[x >> 40 & (WORDS - 1)] ^= x;
        }
    }
    return x;
}
