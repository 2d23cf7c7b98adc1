/* The guests of guest/kernel do what they are for, on both engines: operations through the C
 * wrappers of javm_guest.h, declared slots through javm-cc. Finds: a wrapper with the wrong number
 * or registers, a slot that the linker does not declare, state that is lost between calls, a yield
 * that goes to the wrong owner, a right that comes along with a handle. */
#include "tests/guest/kernel_samples.h"

#define RAN_OUT (UINT64_C(1) << 63)

/* Halts; the instance is then what it left. */
static uint64_t call_guest(struct javm_hash *instance, uint32_t endpoint, uint64_t a, uint64_t b,
                           uint64_t c, uint64_t d)
{
    struct javm_call call = usual_call(instance);
    call.endpoint = endpoint;
    call.args[0] = a;
    call.args[1] = b;
    call.args[2] = c;
    call.args[3] = d;
    call.gas = 10000000;
    invoke(&call);
    cr_assert_eq(result.end, JAVM_END_HALT, "%s at %llu", javm_fault_name(result.fault),
                 (unsigned long long)result.pc);
    cr_assert_eq(javm_directory_put(w.dir, result.post_instance, instance, NULL), JAVM_OK);
    return result.value;
}

KERNEL_TEST(kernel_guests, store)
{
    enum { PUT, GET, COUNT };
    struct javm_hash instance = new_store();
    const struct javm_hash empty = instance;
    for (uint64_t i = 0; i < 40; i++)
        cr_assert_eq(call_guest(&instance, PUT, i % 20 * 1000, i, 0, 0), i < 20 ? 0 : i - 20);
    for (uint64_t i = 0; i < 20; i++)
        cr_expect_eq(call_guest(&instance, GET, i * 1000, 0, 0, 0), i + 20);
    cr_expect_eq(call_guest(&instance, GET, 7, 0, 0, 0), 0);
    cr_expect_eq(call_guest(&instance, COUNT, 0, 0, 0, 0), 20);
    struct javm_hash before = empty;
    cr_expect_eq(call_guest(&before, COUNT, 0, 0, 0, 0), 0);
}

static uint64_t orchestrate(uint64_t rounds, uint64_t first, uint64_t step, uint64_t allowed)
{
    struct javm_hash instance = new_orchestrator();
    return call_guest(&instance, 0, rounds, first, step, allowed);
}

KERNEL_TEST(kernel_guests, orchestrator)
{
    const uint64_t cost = orchestrate(100, 1000000, 1000000, 1000000);
    cr_expect_gt(cost, 1000);
    cr_expect_lt(cost, 100000);
    /* Whatever the steps are, it takes what it takes; the first has exactly enough, or one less. */
    cr_expect_eq(orchestrate(100, cost, 100, 1000000), cost);
    cr_expect_eq(orchestrate(100, cost - 1, 777, 1000000), cost | RAN_OUT);
    cr_expect_eq(orchestrate(100, 0, cost, cost), cost | RAN_OUT);
    /* Not allowed enough: given up after the last step that was. */
    cr_expect_eq(orchestrate(100, cost, 500, 1200), 1000);
}

/* ---- an authority over gas, storage and keys ---------------------------------------------- */

enum { SERVE, LEFT };
enum { ASK_GAS, ASK_PAGES, ASK_KEYS, ASKABLE };

static uint64_t bought(uint64_t lots, uint64_t worked, uint64_t pages, uint64_t keys)
{
    return lots | worked << 16 | pages << 32 | keys << 48;
}

static void expect_left(struct javm_hash *authority, uint64_t gas, uint64_t pages, uint64_t keys)
{
    const uint64_t want[] = {gas, pages, keys};
    for (uint64_t what = 0; what <= ASKABLE; what++)
        cr_expect_eq(call_guest(authority, LEFT, what, 0, 0, 0), what < ASKABLE ? want[what] : 0);
}

KERNEL_TEST_WITH(kernel_guests, authority, &hosted)
{
    struct javm_hash authority = new_authority();
    cr_expect_eq(call_guest(&authority, SERVE, 20000, 3, 2, 3000), bought(6, 6, 3, 2));
    uint64_t gas = 0, pages = 0;
    for (uint32_t i = 0; i < host.gas.count; i++)
        gas += host.gas.values[i];
    for (uint32_t i = 0; i < host.quota.count; i++)
        pages += host.quota.values[i];
    /* What was given and not used is in the meters: the host's own, and six of three thousand. */
    cr_expect_eq(host.gas.count, 7);
    cr_expect_gt(gas, host_gas);
    cr_expect_lt(gas, host_gas + 18000);
    cr_expect_eq(pages, 100); /* the journal's; three of one page are used up */
    expect_left(&authority, 2000, 0, 0);
    /* The supply is the instance's, not the invocation's. */
    cr_expect_eq(call_guest(&authority, SERVE, 0, 0, 0, 3000), bought(0, 0, 0, 0));
    cr_expect_eq(call_guest(&authority, SERVE, 999, 0, 0, 3000), bought(0, 0, 0, 0));
    cr_expect_eq(call_guest(&authority, SERVE, 1, 1, 0, 3000), bought(1, 1, 1, 0));
    expect_left(&authority, 0, 0, 0);
    /* A lot buys what it holds and no more: these do not suffice for the work. */
    cr_expect_eq(call_guest(&authority, SERVE, 900, 0, 1, 300), bought(3, 0, 0, 1));
    expect_left(&authority, 0, 0, 0);
    host_clear();
}

/* Without an authority above it the sender is worth nothing. */
KERNEL_TEST(kernel_guests, a_client_alone)
{
    const struct javm_hash client = new_client();
    struct javm_call call = usual_call(&client);
    call.args[0] = 3000;
    invoke(&call);
    expect_fault(JAVM_FAULT_YIELD_UNHANDLED);
}

/* ---- a pager ---------------------------------------------------------------------------- */

static uint64_t walk(uint64_t page, uint64_t steps)
{
    uint64_t value = 0;
    for (; steps != 0; steps--, page = set_word(page, 0))
        for (uint64_t i = 0; i < SET_WORDS; i++)
            value = value * 31 + (page < SET_PAGES ? set_word(page, i) : 0);
    return value;
}

KERNEL_TEST(kernel_guests, pager)
{
    struct javm_hash pager = new_pager();
    cr_expect_eq(call_guest(&pager, 0, 0, 0, 0, 0), 0);
    cr_expect_eq(call_guest(&pager, 0, 5, 1, 0, 0), walk(5, 1));
    cr_expect_eq(call_guest(&pager, 0, 39, 100, 0, 0), walk(39, 100));
    /* The walker comes back to what it saw and did not keep; it was asked for by number only. */
    cr_expect_eq(call_guest(&pager, 0, 39, 100, 0, 0), walk(39, 100));
    cr_expect_eq(call_guest(&pager, 0, SET_PAGES, 1, 0, 0), 0);
}

/* ---- chains of copies ------------------------------------------------------------------- */

/* How many Instances are nested in slot 5 of it. */
static uint64_t chain_length(const struct javm_hash *instance)
{
    struct javm_cap *at = javm_directory_get(w.dir, instance);
    uint64_t length = 0;
    for (;; length++) {
        struct javm_cap *root = root_of(at);
        javm_cap_release(at);
        at = below(root, 5);
        javm_cap_release(root);
        if (at == NULL)
            return length;
    }
}

static void spawn(uint64_t levels, uint64_t replied)
{
    struct javm_hash spawner = new_spawner();
    cr_expect_eq(call_guest(&spawner, 0, levels, 0, 0, 0), replied, "%llu levels",
                 (unsigned long long)levels);
    cr_expect_eq(chain_length(&spawner), replied);
}

KERNEL_TEST(kernel_guests, spawner)
{
    spawn(0, 0);
    spawn(1, 1);
    spawn(9, 9);
    spawn(255, 255);
    /* The level without room for the next faults, and is lost. */
    spawn(256, 254);
    spawn(100000, 254);
}

static const struct javm_vm_options deep = {.max_depth = DEEP + 1};
KERNEL_TEST_WITH(kernel_guests, a_deeper_limit, &deep)
{
    spawn(DEEP, DEEP);
    spawn(DEEP, DEEP); /* in the memories that are there */
    spawn(DEEP + 1, DEEP - 1);
}

/* ---- between a guest and the kernel ------------------------------------------------------ */

static uint64_t interpose(uint64_t limit, uint64_t how, uint64_t first, uint64_t step)
{
    struct javm_hash interposer = new_interposer();
    return call_guest(&interposer, 0, limit, how, first, step);
}

static uint64_t meter_9(void)
{
    const struct javm_key key = {1, {9}};
    return *host_meter(&host.gas, &key);
}

KERNEL_TEST_WITH(kernel_guests, interposer, &hosted)
{
    enum { DENY, DROP_IT, LEAVE };
    cr_expect_eq(interpose(1000, DENY, 10, 10), 4);
    cr_expect_eq(meter_9(), 40);
    cr_expect_eq(interpose(25, DENY, 10, 10), 2);
    cr_expect_eq(meter_9(), 20);
    /* Denied in between, and then granted again: down from 30. */
    cr_expect_eq(interpose(15, DENY, 30, (uint64_t)-10), 2);
    cr_expect_eq(meter_9(), 0);
    cr_expect_eq(interpose(9, DENY, 10, 10), 0);
    cr_expect_eq(meter_9(), 0);
    cr_expect_eq(interpose(25, DROP_IT, 10, 10), 1002);
    cr_expect_eq(meter_9(), 20);
    cr_expect_eq(interpose(35, LEAVE, 10, 10), 2003);
    cr_expect_eq(meter_9(), 30);
    /* The same program with nobody in between: the kernel does whatever it is asked for. */
    struct javm_hash petitioner = new_petitioner();
    cr_expect_eq(call_guest(&petitioner, 0, 9, 10, 10, 4), 4);
    cr_expect_eq(meter_9(), 40);
    host_clear();
}
