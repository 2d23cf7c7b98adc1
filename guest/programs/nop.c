/* Nothing: returns its first argument. What remains is the price of an invocation. */
#include "javm_guest.h"

uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    (void)a1, (void)a2, (void)a3;
    return a0;
}
