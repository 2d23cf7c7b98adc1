/* Gives out gas, storage and yield keys, and never more than it was allowed: a program that holds
 * nothing but a YieldSender of the authority's key asks by yielding, and the right to make handles
 * stays here. Link with --receiver 2.
 *
 * A request is in slot[0] (request.h). What is granted comes back as slot[0]: a Gas handle on a new
 * meter with the amount in it, a Quota handle of so many pages, or a CNode with the YieldSender (1)
 * and the YieldReceiver (2) of a new key. What is left is state: it stays in the instance.
 *
 * Slots: 2 YieldReceiver with the authority's key; YieldSenders 3 of kernel:set_gas_meter, 4
 * kernel:mint_gas, 5 kernel:set_storage_quota, 6 kernel:mint_quota, 7 kernel:mint_yield; 8 the
 * client, an Instance whose owner this is.
 *
 *     serve(gas, pages, keys, argument) -> allows so much more, calls the client's endpoint 0 with
 *         the argument and serves it to its end: its value; traps when the client faults
 *     left(what) -> how much of ASK_GAS, ASK_PAGES, ASK_KEYS is left */
#include "request.h"

#include "javm_guest.h"

JAVM_SCRATCHPAD(4096);

enum { SET_GAS = 3, MINT_GAS, SET_QUOTA, MINT_QUOTA, MINT_YIELD, CLIENT, GRANT };

static uint64_t supply[ASKABLE], serial;

static void grant(uint64_t what, uint64_t amount)
{
    const struct javm_guest_key key = javm_key(++serial << 8 | 'A', 8);
    switch (what) {
    case ASK_GAS:
        javm_mint_gas(MINT_GAS, key, GRANT);
        javm_set_gas_meter(SET_GAS, key, amount);
        break;
    case ASK_PAGES:
        javm_mint_quota(MINT_QUOTA, key, GRANT);
        javm_set_quota(SET_QUOTA, key, amount);
        break;
    default:
        javm_cnode_mint(GRANT);
        javm_mint_yield(MINT_YIELD, key, javm_path(GRANT, 1), javm_path(GRANT, 2));
        break;
    }
    javm_mgmt_drop(0);
    javm_mgmt_move(GRANT, 0);
}

static void answer(struct request *request)
{
    const uint64_t what = request->what;
    const uint64_t amount = what == ASK_KEYS ? 1 : request->amount;
    if (what >= ASKABLE || amount > supply[what]) {
        request->refused = 1;
        return;
    }
    supply[what] -= amount;
    grant(what, amount);
}

static uint64_t serve(uint64_t gas, uint64_t pages, uint64_t keys, uint64_t argument)
{
    supply[ASK_GAS] += gas;
    supply[ASK_PAGES] += pages;
    supply[ASK_KEYS] += keys;
    struct javm_answer client = javm_call(CLIENT, 0, argument, 0, 0, 0);
    while (client.status == JAVM_PAUSED) {
        answer((struct request *)(void *)javm_scratch());
        client = javm_call_resume();
    }
    if (client.status != JAVM_OK)
        javm_trap();
    return client.value;
}
JAVM_ENDPOINT(0, serve);

static uint64_t left(uint64_t what, uint64_t b, uint64_t c, uint64_t d)
{
    (void)b, (void)c, (void)d;
    return what < ASKABLE ? supply[what] : 0;
}
JAVM_ENDPOINT(1, left);
