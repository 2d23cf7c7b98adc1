/* The gas model `full` (v3 kernel, "Gas models"; PVM2 9.6).
 *
 * Would catch: a first write that is charged twice, or by the wrong mapping's size; an operation
 * that is done although it cannot be paid, or paid twice around a top-up; engines that disagree. */
#include "tests/vm/kernel_support.h"

#define ENTRY (1024u + 64 + 64) /* a page of code, one unit of 2 MiB */
#define TWO   (256u + 32)       /* first write in a mapping of two pages */
#define ONE   256u

static const struct javm_vm_options full = {.gas_model = JAVM_GAS_FULL};
static const struct javm_key quota = {1, {7}};

/* Gas of the same in the model exec. */
static uint64_t exec_gas(const struct javm_call *call)
{
    struct javm_vm *plain;
    struct javm_call_result other;
    const struct javm_vm_options options = {.engine = engine};
    cr_assert_eq(javm_vm_create(&options, &plain, &err), JAVM_OK);
    cr_assert_eq(javm_vm_invoke(plain, w.dir, call, &other, &err), JAVM_OK);
    const uint64_t gas = other.gas_used;
    javm_call_result_clear(&other);
    javm_vm_destroy(plain);
    return gas;
}

static void expect_more(const struct javm_hash *instance, uint64_t value, uint64_t more)
{
    const struct javm_call call = usual_call(instance);
    invoke(&call);
    expect_halt(value);
    cr_expect_eq(result.gas_used, exec_gas(&call) + more, "%llu more",
                 (unsigned long long)(result.gas_used - exec_gas(&call)));
}

KERNEL_TEST_WITH(full, entry, &full)
{
    const struct javm_hash image = constant_image(3);
    const struct javm_hash instance = instantiate(w.dir, &image);
    expect_more(&instance, 3, ENTRY);
    /* Pinned mappings by units of 2 MiB, each rounded up. */
    const struct javm_pin pin = {javm_key_from_u64(9), number_data(1)};
    struct code c = {.count = 0};
    endpoint(&c);
    for (int i = 0; i < 1100; i++) /* more than a page of code */
        if (i < 1000)
            emit(&c, ADDI(5, 5, 1));
    reply(&c, 4);
    const struct javm_mapping mappings[] = {
        {.start = 0x20000000, .size = 0x201000, .depth = 1, .path = {javm_key_from_u64(9)}},
        {.start = 0x30000000, .size = 0x1000000}};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .code = (const uint8_t *)c.words,
                                      .code_len = 4 * (uint64_t)c.count,
                                      .endpoints = c.endpoints,
                                      .endpoint_count = 1,
                                      .mappings = mappings,
                                      .mapping_count = 2,
                                      .pinned = &pin,
                                      .pinned_count = 1};
    const struct javm_hash large = publish_image(w.dir, &fields);
    const struct javm_hash second = instantiate(w.dir, &large);
    const uint64_t pages = (4 * (uint64_t)c.count + PAGE - 1) / PAGE;
    expect_more(&second, 4, 1024 + 64 * pages + 64 + 2 * 64);
}

KERNEL_TEST_WITH(full, first_writes, &full)
{
    struct code c = {.count = 0};
    endpoint(&c);
    for (int i = 0; i < 2; i++) { /* the second time they are free */
        store(&c, WINDOW, 5);
        store(&c, STATE, 5);
        store(&c, STATE + PAGE, 5);
        store(&c, SCRAP + PAGE - 4, 5); /* both pages */
        load(&c, 8, SCRAP);
    }
    reply(&c, 1);
    const struct javm_hash image = image_with(&c, WITH_WINDOW | WITH_STATE | WITH_SCRAP, NULL);
    const struct javm_hash instance = instantiate(w.dir, &image);
    for (int i = 0; i < 3; i++) /* with memory that is warm, too */
        expect_more(&instance, 1, ENTRY + ONE + 4 * TWO);
}

KERNEL_TEST_WITH(full, operations, &full)
{
    const struct javm_hash image = constant_image(3);
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, YIELD, 6, javm_key_pack(&quota), quota.len, 100);
    OP(&c, MINT_DATA, STATE + 8, PAGE, 7, 8); /* 2 pages */
    OP(&c, FILE_SAVE, 8, 7, 9);               /* 1 */
    OP(&c, FILE_OPEN, 9, 10);                 /* 1 */
    OP(&c, READ_DATA, 8, 0, SCRAP, 8);        /* 1, and a first write is not charged */
    OP(&c, READ_DATA, 8, PAGE, SCRAP, 8);     /* nothing to read */
    OP(&c, CALL, 5, 0);                       /* ENTRY */
    reply(&c, 2);
    const struct javm_hash caller = image_with(&c, WITH_STATE | WITH_SCRAP, NULL);
    const struct slot slots[] = {{6, handle(javm_yield_sender(&JAVM_YK_SET_STORAGE_QUOTA))},
                                 {7, handle(javm_quota_handle(&quota))},
                                 {5, instantiate(w.dir, &image)}};
    const struct javm_hash instance = publish_instance(w.dir, &caller, slots, 3);
    expect_more(&instance, 2, ENTRY + 5 * 16 + ENTRY);
}

/* An operation that has gas but no storage at first is paid once, when it is done: the child's
 * meter has the same left as if there had been storage. */
KERNEL_TEST_WITH(full, storage_after_a_top_up, &full)
{
    static const struct javm_key gas_slot = {1, {20}}, meter = {1, {0xA}};
    const struct javm_image metered = {.gas_slots = &gas_slot, .gas_slot_count = 1};
    const struct javm_image catching = {.yield_receiver_slot = {1, {2}}};
    struct code child = {.count = 0};
    endpoint(&child);
    OP(&child, MINT_DATA, SCRAP, 2 * PAGE, 7, 8);
    reply(&child, 3);
    const struct javm_hash image = image_with(&child, WITH_SCRAP, &metered);
    const struct slot inner[] = {{7, handle(javm_quota_handle(&quota))},
                                 {20, handle(javm_gas_handle(&meter))}};
    const struct slot slots[] = {{2, handle(javm_yield_receiver(&JAVM_YK_STORAGE_EXHAUSTED, 1))},
                                 {4, handle(javm_yield_sender(&JAVM_YK_SET_GAS_METER))},
                                 {5, publish_instance(w.dir, &image, inner, 2)},
                                 {6, handle(javm_yield_sender(&JAVM_YK_SET_STORAGE_QUOTA))}};
    uint64_t left = 0;
    for (unsigned pages = 2; pages-- > 0;) { /* that are missing: 1, then 0 */
        struct code c = {.count = 0};
        endpoint(&c);
        OP(&c, YIELD, 4, javm_key_pack(&meter), meter.len, 10000);
        OP(&c, YIELD, 6, javm_key_pack(&quota), quota.len, 2 - pages);
        OP(&c, CALL, 5, 0);
        if (pages != 0) {
            expect(&c, A1, 1);
            OP(&c, YIELD, 6, javm_key_pack(&quota), quota.len, 2);
            OP(&c, RESUME, 0);
        }
        expect(&c, A1, 0);
        OP(&c, YIELD, 4, javm_key_pack(&meter), meter.len, 0);
        emit(&c, REPLY);
        const struct javm_hash caller = image_with(&c, 0, &catching);
        run_with(&caller, slots, 4);
        cr_assert_eq(result.end, JAVM_END_HALT, "%s", javm_fault_name(result.fault));
        cr_expect(pages != 0 || result.value == left, "%llu, not %llu are left",
                  (unsigned long long)result.value, (unsigned long long)left);
        left = result.value;
        cr_expect_lt(left, 10000);
    }
}

/* Whatever there is at first, and however it comes: the same value, gas and post instance. */
KERNEL_TEST_WITH(full, topped_up_everywhere, &full)
{
    static const struct javm_key key = {2, {1, 1}};
    struct code child = {.count = 0};
    endpoint(&child);
    store(&child, STATE, 5);
    OP(&child, YIELD, 4);
    store(&child, STATE, 6);
    store(&child, SCRAP + PAGE, 6);
    reply(&child, 5);
    const struct javm_hash image = image_with(&child, WITH_STATE | WITH_SCRAP, NULL);
    const struct slot inner = {4, handle(javm_yield_sender(&key))};
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, YIELD, 6, javm_key_pack(&quota), quota.len, 100);
    store(&c, SCRAP, 0); /* written, but not changed */
    OP(&c, CALL, 5, 0);
    OP(&c, DROP_RESUME, 8);
    OP(&c, CALL_PAUSED, 8);
    store(&c, SCRAP, 5);
    OP(&c, MINT_DATA, SCRAP, 2 * PAGE, 7, 9);
    OP(&c, READ_DATA, 9, 0, SCRAP + PAGE, PAGE);
    emit(&c, REPLY);
    const struct javm_image catching = {.yield_receiver_slot = {1, {2}}};
    const struct javm_hash caller = image_with(&c, WITH_SCRAP, &catching);
    const struct slot slots[] = {{6, handle(javm_yield_sender(&JAVM_YK_SET_STORAGE_QUOTA))},
                                 {7, handle(javm_quota_handle(&quota))},
                                 {2, handle(javm_yield_receiver(&key, 1))},
                                 {5, publish_instance(w.dir, &image, &inner, 1)}};
    const struct javm_hash instance = publish_instance(w.dir, &caller, slots, 4);
    struct javm_call call = usual_call(&instance);
    struct javm_hash post;
    invoke(&call);
    expect_halt(PAGE);
    cr_assert_eq(javm_cap_hash(result.post_instance, &post), JAVM_OK);
    const uint64_t gas = result.gas_used;
    cr_expect_gt(gas, 3 * ENTRY + 3 * TWO);
    static uint64_t same; /* of the other engine */
    if (engine == JAVM_ENGINE_INTERP)
        same = gas;
    else
        cr_expect_eq(gas, same);
    call.can_pause = true;
    for (uint64_t first = 0; first < gas; first += 61) {
        for (int detach = 0; detach < 2; detach++) {
            call.gas = first;
            invoke(&call);
            unsigned pauses = 0;
            for (; result.end == JAVM_END_PAUSED; pauses++) {
                struct javm_hash hash;
                if (detach) {
                    cr_assert_eq(javm_vm_detach_paused(w.vm, w.dir, &hash, &err), JAVM_OK);
                    cr_assert_eq(javm_vm_attach_paused(w.vm, w.dir, &hash, &err), JAVM_OK);
                }
                const struct javm_call more = {.gas = 400, .can_pause = true, .want_post = true};
                javm_call_result_clear(&result);
                cr_assert_eq(javm_vm_call_resume(w.vm, w.dir, &more, &result, &err), JAVM_OK);
            }
            cr_assert_gt(pauses, 0);
            expect_halt(PAGE);
            /* The reserve of a block with stores may ask for more than it costs; no more is paid.
             */
            cr_assert_eq(result.gas_used, gas, "from %u: %llu", (unsigned)first,
                         (unsigned long long)result.gas_used);
            cr_assert(cap_is(javm_cap_retain(result.post_instance), &post));
        }
    }
}
