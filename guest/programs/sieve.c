/* Sieve of Eratosthenes over odd numbers, a byte each. a0: how many primes are at most a0 (<=
 * 2000000)? */
#include "javm_guest.h"

#define LIMIT 2000000u
static uint8_t composite[LIMIT / 2 + 1]; /* [i] stands for 2i + 1 */

uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    (void)a1, (void)a2, (void)a3;
    const uint64_t n = a0 > LIMIT ? LIMIT : a0;
    if (n < 2)
        return 0;
    const uint64_t last = (n - 1) / 2;
    memset(composite, 0, last + 1);
    uint64_t count = 1; /* 2 */
    for (uint64_t i = 1; i <= last; i++) {
        if (composite[i])
            continue;
        count++;
        const uint64_t step = 2 * i + 1;
        for (uint64_t k = (step * step - 1) / 2; k <= last; k += step)
            composite[k] = 1;
    }
    return count;
}
