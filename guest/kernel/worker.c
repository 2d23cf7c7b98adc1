/* Counts down from its argument, slowly. Linked with --gas-slot 20: it runs on the meter whose
 * handle it has there. */
#include "javm_guest.h"

uint64_t guest_main(uint64_t rounds, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t sum = 0;
    (void)b, (void)c, (void)d;
    for (volatile uint64_t i = rounds; i != 0; i--)
        sum += i;
    return sum;
}
