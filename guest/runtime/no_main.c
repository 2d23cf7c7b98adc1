/* Stands in for guest_main in programs that declare their endpoints; runtime/start.S names it, no
 * endpoint does. */
#include "javm_guest.h"

__attribute__((weak)) uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    (void)a0, (void)a1, (void)a2, (void)a3;
    javm_trap();
}
