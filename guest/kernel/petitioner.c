/* Sets a gas meter to one amount after the other, by the kernel's own key. What it wants is also in
 * slot[0] (order.h), so that an owner that catches the key can judge it, and answer there.
 *
 * Slots: 3 YieldSender of kernel:set_gas_meter.
 *
 *     guest_main(key, first, step, count) -> how many of first, first + step, ... were not denied;
 *         traps when a meter did not have what it was last set to */
#include "order.h"

#include "javm_guest.h"

JAVM_SCRATCHPAD(4096);

enum { SET_GAS = 3 };

uint64_t guest_main(uint64_t key, uint64_t first, uint64_t step, uint64_t count)
{
    struct order *order = (struct order *)(void *)javm_scratch();
    uint64_t set = 0, last = 0;
    for (uint64_t i = 0; i < count; i++) {
        const uint64_t amount = first + i * step;
        *order = (struct order){.key = key, .amount = amount};
        const uint64_t before = javm_set_gas_meter(SET_GAS, javm_key(key, 1), amount);
        if (order->answer == ORDER_DENIED)
            continue;
        if ((order->answer == ORDER_GRANTED ? order->before : before) != last)
            javm_trap();
        last = amount;
        set++;
    }
    return set;
}
