/* Runs two workers, each on a meter of its own. The first has to do with what it gets; the second
 * is topped up whenever it has run out, until all that was allowed is spent. Link with
 * --receiver 2.
 *
 * Slots: 2 YieldReceiver with kernel:oog; 3 YieldSender of kernel:set_gas_meter; 4 of
 * kernel:mint_gas; 5 the workers' Image (worker.c).
 *
 *     guest_main(rounds, first, step, allowed) -> what the second worker took, and in bit 63
 * whether the first one ran out of gas */
#include "javm_guest.h"

enum { RECEIVER = 2, SET_GAS, MINT_GAS, WORKER_IMAGE, CNODE, FIRST, SECOND };
enum { GAS_SLOT = 20 }; /* of worker.c */

static uint64_t set_meter(uint64_t key, uint64_t gas)
{
    return javm_set_gas_meter(SET_GAS, javm_key(key, 1), gas);
}

static void spawn(uint64_t key, uint64_t gas, uint64_t slot)
{
    javm_cnode_mint(CNODE);
    javm_mint_gas(MINT_GAS, javm_key(key, 1), javm_path(CNODE, GAS_SLOT));
    javm_derive_spawn(WORKER_IMAGE, CNODE, slot);
    set_meter(key, gas);
}

uint64_t guest_main(uint64_t rounds, uint64_t first, uint64_t step, uint64_t allowed)
{
    spawn(1, first, FIRST);
    spawn(2, step, SECOND);

    struct javm_answer answer = javm_call(FIRST, 0, rounds, 0, 0, 0);
    if (answer.status == JAVM_PAUSED) { /* out of gas, and it stays so */
        javm_drop_resume(0);
        javm_mgmt_drop(0); /* the copy of its handle */
        answer.status = JAVM_FAULTED;
    }
    const uint64_t ran_out = answer.status != JAVM_OK;

    uint64_t given = step;
    answer = javm_call(SECOND, 0, rounds, 0, 0, 0);
    while (answer.status == JAVM_PAUSED) {
        if (given + step > allowed) {
            javm_drop_resume(0);
            return ran_out << 63 | given;
        }
        set_meter(2, set_meter(2, 0) + step);
        given += step;
        answer = javm_call_resume();
    }
    return ran_out << 63 | (given - set_meter(2, 0));
}
