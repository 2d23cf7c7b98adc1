/* Stands between a program and the kernel: what petitioner.c asks of kernel:set_gas_meter comes
 * here first, because this program's YieldReceiver has that key. It looks at the request and does
 * it itself, or not. Link with --receiver 2.
 *
 * Slots: 2 YieldReceiver with kernel:set_gas_meter; 3 YieldSender of kernel:set_gas_meter; 8 the
 * petitioner, an Instance.
 *
 *     guest_main(limit, how, first, step) -> calls it with key 9 and four amounts. Up to `limit` an
 *         amount is set; above it `how` decides. DENY: the answer says so, and the value is the
 *         petitioner's. DROP: it is given up, the value is 1000 + how many were set before. LEAVE:
 *         the same with 2000, by replying while it waits */
#include "order.h"

#include "javm_guest.h"

JAVM_SCRATCHPAD(4096);

enum { SET_GAS = 3, PETITIONER = 8 };
enum { DENY, DROP, LEAVE };

uint64_t guest_main(uint64_t limit, uint64_t how, uint64_t first, uint64_t step)
{
    uint64_t set = 0;
    struct javm_answer petitioner = javm_call(PETITIONER, 0, 9, first, step, 4);
    while (petitioner.status == JAVM_PAUSED) {
        struct order *order = (struct order *)(void *)javm_scratch();
        if (order->amount <= limit) {
            order->before = javm_set_gas_meter(SET_GAS, javm_key(order->key, 1), order->amount);
            order->answer = ORDER_GRANTED;
            set++;
        } else if (how == DENY) {
            order->answer = ORDER_DENIED;
        } else if (how == LEAVE) {
            return 2000 + set;
        } else {
            javm_drop_resume(0);
            return 1000 + set;
        }
        petitioner = javm_call_resume();
    }
    if (petitioner.status != JAVM_OK)
        javm_trap();
    return petitioner.value;
}
