/* Buys from authority.c until it is refused, and uses what it got: every gas handle pays a worker,
 * every quota a page of storage.
 *
 * Slots: 3 YieldSender of the authority's key; 5 the workers' Image (worker.c).
 *
 *     guest_main(lot) -> in 16 bits each, from the lowest: lots of gas that it got, workers that
 *         came to their end with one, pages, keys */
#include "request.h"

#include "javm_guest.h"

JAVM_SCRATCHPAD(4096);

enum { AUTHORITY = 3, WORKER_IMAGE = 5, GRANT, CNODE, WORKER, PAGE };
enum { GAS_SLOT = 20, ROUNDS = 20 }; /* of worker.c */

/* The grant is then in its slot. */
static int buy(uint64_t what, uint64_t amount)
{
    struct request *request = (struct request *)(void *)javm_scratch();
    *request = (struct request){.what = what, .amount = amount};
    javm_host_yield(AUTHORITY, 0, 0, 0, 0);
    if (request->refused)
        return 0;
    javm_mgmt_move(0, GRANT);
    return 1;
}

static int work(void)
{
    javm_cnode_mint(CNODE);
    javm_mgmt_move(GRANT, javm_path(CNODE, GAS_SLOT));
    javm_derive_spawn(WORKER_IMAGE, CNODE, WORKER);
    if (javm_call(WORKER, 0, ROUNDS, 0, 0, 0).status != JAVM_OK)
        return 0; /* its slot is empty */
    javm_mgmt_drop(WORKER);
    return 1;
}

uint64_t guest_main(uint64_t lot, uint64_t b, uint64_t c, uint64_t d)
{
    uint64_t lots = 0, worked = 0, pages = 0, keys = 0;
    (void)b, (void)c, (void)d;
    for (; buy(ASK_GAS, lot); lots++)
        worked += (uint64_t)work();
    for (; buy(ASK_PAGES, 1); pages++) {
        javm_mint_data(&lots, sizeof lots, GRANT, PAGE);
        javm_mgmt_drop(PAGE);
        javm_mgmt_drop(GRANT);
    }
    for (; buy(ASK_KEYS, 1); keys++)
        javm_mgmt_drop(GRANT);
    return lots | worked << 16 | pages << 32 | keys << 48;
}
