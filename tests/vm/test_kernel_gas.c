/* Gas slots, meters and quotas (v3 kernel, "Gas").
 *
 * Would catch: the wrong meter paying; gas that is lost or made when frames change; a block that is
 * charged twice, or entered without gas, around a top-up; a yield without its handle; engines that
 * disagree by a unit. */
#include "tests/vm/kernel_support.h"

#define S_RECEIVER 2
#define LOOPS      100u

static const struct javm_key meter_a = {1, {0xA}}, meter_b = {1, {0xB}}, meter_c = {1, {0xC}};

static const struct javm_key metered_slots[] = {{1, {20}}, {1, {21}}, {1, {22}}};
static const struct javm_image metered = {.gas_slots = metered_slots, .gas_slot_count = 3};
static const struct javm_image catching = {.yield_receiver_slot = {1, {S_RECEIVER}}};

static struct slot gas_handle(uint64_t slot, const struct javm_key *key)
{
    return (struct slot){slot, handle(javm_gas_handle(key))};
}

/* φ7 rounds of a block, then replies 7. */
static struct code loop_code(void)
{
    struct code c = {.count = 0};
    endpoint(&c);
    emit(&c, ADDI(8, A0, 0));
    emit(&c, FALLTHROUGH);
    emit(&c, ADDI(8, 8, -1));
    emit(&c, BNE(8, 0, -4));
    reply(&c, 7);
    return c;
}

static uint64_t cost_of_loop(uint64_t rounds)
{
    const struct code c = loop_code();
    const struct javm_hash image = image_of(&c);
    const struct javm_hash instance = instantiate(w.dir, &image);
    struct javm_call call = usual_call(&instance);
    call.args[0] = rounds;
    invoke(&call);
    expect_halt(7);
    return result.gas_used;
}

static struct javm_hash looper(const struct slot *slots, size_t count)
{
    const struct code c = loop_code();
    const struct javm_hash image = image_with(&c, 0, &metered);
    return publish_instance(w.dir, &image, slots, count);
}

/* Sender of set_gas_meter in 4. */
static struct slot setter(void)
{
    return (struct slot){4, handle(javm_yield_sender(&JAVM_YK_SET_GAS_METER))};
}
static void set_meter(struct code *c, const struct javm_key *key, uint64_t value)
{
    OP(c, YIELD, 4, javm_key_pack(key), key->len, value);
}

/* The meter pays for the child, and nothing else does. */
KERNEL_TEST(gas, a_meter_pays)
{
    const uint64_t cost = cost_of_loop(LOOPS);
    const struct slot inner = gas_handle(21, &meter_a); /* 20 is empty: skipped */
    const struct slot slots[] = {setter(), {5, looper(&inner, 1)}};
    uint64_t used[2];
    for (unsigned round = 0; round < 2; round++) {
        struct code c = {.count = 0};
        endpoint(&c);
        set_meter(&c, &meter_a, 10000);
        expect(&c, A0, 0);
        OP(&c, CALL, 5, 0, LOOPS);
        expect(&c, A1, 0);
        set_meter(&c, &meter_a, 0);
        expect(&c, A0, 10000 - cost);
        reply(&c, 1);
        const struct javm_hash image = image_of(&c);
        const struct javm_hash instance = publish_instance(w.dir, &image, slots, 2);
        struct javm_call call = usual_call(&instance);
        /* The budget is not touched by the child: what the rest needs is enough. */
        if (round == 1)
            call.gas = used[0] - cost;
        invoke(&call);
        expect_halt(1);
        used[round] = result.gas_used;
    }
    cr_expect_eq(used[0], used[1]);
}

/* Several meters in order; the second goes on at the same block. */
KERNEL_TEST(gas, meters_in_order)
{
    const uint64_t cost = cost_of_loop(LOOPS);
    const struct slot inner[] = {gas_handle(20, &meter_b), gas_handle(22, &meter_a)};
    const struct slot slots[] = {setter(), {5, looper(inner, 2)}};
    for (uint64_t in_first = 0; in_first <= cost; in_first += cost / 7) {
        struct code c = {.count = 0};
        endpoint(&c);
        set_meter(&c, &meter_a, cost);
        set_meter(&c, &meter_b, in_first);
        OP(&c, CALL, 5, 0, LOOPS);
        expect(&c, A1, 0);
        set_meter(&c, &meter_a, 0);
        emit(&c, ADDI(9, A0, 0));
        set_meter(&c, &meter_b, 0);
        emit(&c, ADD(A0, A0, 9)); /* what is left of both */
        emit(&c, REPLY);
        run_code(&c, slots, 2);
        expect_halt(in_first);
    }
}

/* Neighbours, each used up; then the owner gets the first one's handle, and what it puts there
 * counts: the callee goes on from the first meter. */
KERNEL_TEST(gas, from_the_last_meter_to_the_first)
{
    const uint64_t cost = cost_of_loop(LOOPS);
    const struct slot inner[] = {gas_handle(20, &meter_a), gas_handle(21, &meter_b),
                                 gas_handle(22, &meter_c)};
    const struct slot slots[] = {setter(),
                                 {5, looper(inner, 3)},
                                 {S_RECEIVER, handle(javm_yield_receiver(&JAVM_YK_OOG, 1))}};
    struct code c = {.count = 0};
    endpoint(&c);
    set_meter(&c, &meter_a, cost / 5);
    set_meter(&c, &meter_b, cost / 5);
    set_meter(&c, &meter_c, cost / 5);
    OP(&c, CALL, 5, 0, LOOPS);
    expect(&c, A1, 1);
    OP(&c, MOVE, 0, 9);
    li(&c, 9, 0);
    const struct javm_key meters[] = {meter_c, meter_b, meter_a};
    for (unsigned i = 0; i < CODE(meters); i++) { /* what is left; less than a round's in each */
        set_meter(&c, &meters[i], i == 2 ? cost : 0);
        emit(&c, ADD(9, 9, A0));
        emit(&c, op(PVM2_SLTIU, 8, A0, 0, 60));
        expect(&c, 8, 1);
    }
    OP(&c, RESUME, 0);
    expect(&c, A1, 0);
    set_meter(&c, &meter_a, 0);
    emit(&c, ADD(A0, A0, 9));
    emit(&c, REPLY);
    const struct javm_hash image = image_with(&c, 0, &catching);
    run_with(&image, slots, 3);
    expect_halt(3 * (cost / 5)); /* + cost - cost */
    cr_expect(cap_is(POST(9), &inner[0].hash), "the primary meter's handle");
}

KERNEL_TEST(gas, what_is_no_handle_faults_the_callee)
{
    const struct slot inner[] = {gas_handle(20, &meter_a), {21, number_data(1)}};
    const struct slot slots[] = {setter(), {5, looper(inner, 2)}};
    struct code c = {.count = 0};
    endpoint(&c);
    set_meter(&c, &meter_a, 10000);
    OP(&c, CALL, 5, 0, 1);
    expect(&c, A0, JAVM_FAULT_BAD_OPERAND);
    expect(&c, A1, 2);
    OP(&c, MINT_CNODE, 5);
    reply(&c, 1);
    run_code(&c, slots, 2);
    expect_halt(1);
    const struct javm_call call = usual_call(&slots[1].hash);
    invoke(&call);
    expect_fault(JAVM_FAULT_BAD_OPERAND);
    cr_expect_eq(result.gas_used, 0);
}

/* At the bottom a filled gas slot pays too, and the budget is not touched. */
KERNEL_TEST(gas, empty_meters_at_the_root)
{
    const struct slot inner = gas_handle(20, &meter_a);
    const struct javm_hash instance = looper(&inner, 1);
    const struct javm_call call = usual_call(&instance);
    invoke(&call);
    expect_fault(JAVM_FAULT_OUT_OF_GAS);
    cr_expect_eq(result.gas_used, 0);
}

/* A child without meters uses its owner's: both pay from one. */
KERNEL_TEST(gas, a_loaned_scope)
{
    struct code middle = {.count = 0};
    endpoint(&middle);
    OP(&middle, CALL, 5, 0, LOOPS);
    emit(&middle, ADDI(A0, A1, 0));
    emit(&middle, REPLY);
    const struct javm_hash image = image_with(&middle, 0, &metered);
    const struct slot inner[] = {gas_handle(20, &meter_a), {5, looper(NULL, 0)}};
    const struct slot slots[] = {setter(), {5, publish_instance(w.dir, &image, inner, 2)}};
    uint64_t whole = 0;
    for (int round = 0; round < 2; round++) {
        struct code c = {.count = 0};
        endpoint(&c);
        set_meter(&c, &meter_a, round == 0 ? 100000 : whole - 1);
        OP(&c, CALL, 5, 0);
        emit(&c, ADDI(9, A1, 0));
        emit(&c, ADDI(8, A0, 0));
        set_meter(&c, &meter_a, 0);
        expect(&c, 9, round == 0 ? 0 : 2);
        expect(&c, 8, round == 0 ? 0 : JAVM_FAULT_OUT_OF_GAS);
        emit(&c, REPLY);
        run_code(&c, slots, 2);
        cr_assert_eq(result.end, JAVM_END_HALT, "%s", javm_fault_name(result.fault));
        if (round == 0)
            whole = 100000 - result.value;
        else /* the last ecall was not affordable: 100 - 1 are left */
            cr_expect_eq(result.value, 99);
    }
}

/* kernel:oog: the owner gets a copy of the handle, tops up, and the child goes on: the same value,
 * the same gas as if there had been enough. */
KERNEL_TEST(gas, topped_up)
{
    const uint64_t cost = cost_of_loop(LOOPS);
    const struct slot inner = gas_handle(20, &meter_a);
    const struct slot slots[] = {setter(),
                                 {5, looper(&inner, 1)},
                                 {S_RECEIVER, handle(javm_yield_receiver(&JAVM_YK_OOG, 1))}};
    static const uint64_t steps[] = {7, 30, 333, 5000};
    for (size_t i = 0; i < CODE(steps); i++) {
        struct code c = {.count = 0};
        endpoint(&c);
        li(&c, 9, 0); /* all gas that was put into the meter */
        OP(&c, CALL, 5, 0, LOOPS);
        const uint32_t loop = c.count;
        emit(&c, TRAP);  /* becomes the way out, when it is known where that is */
        OP(&c, DROP, 0); /* the handle: faults when there is none */
        li(&c, A0, 4);
        li(&c, A1, 0xA);
        li(&c, A2, 1);
        li(&c, A3, steps[i]);
        emit(&c, ECALLI(YIELD));
        emit(&c, ADDI(8, A0, 0)); /* what was left */
        li(&c, 7, steps[i]);
        emit(&c, ADD(A3, 8, 7)); /* the meter gets more, not another value */
        li(&c, A0, 4);
        emit(&c, ECALLI(YIELD));
        emit(&c, ADD(9, 9, 7));
        emit(&c, ECALLI(RESUME));
        emit(&c, JAL(0, 4 * ((int32_t)loop - (int32_t)c.count)));
        c.words[loop] = op(PVM2_BEQ, 0, A1, 0, 4 * ((int32_t)c.count - (int32_t)loop));
        expect(&c, A0, 7);
        set_meter(&c, &meter_a, 0);
        emit(&c, op(PVM2_SUB, A0, 9, A0, 0));
        emit(&c, REPLY);
        const struct javm_hash image = image_with(&c, 0, &catching);
        run_with(&image, slots, 3);
        expect_halt(cost);
    }
}

/* At the bottom the host tops up: whatever the budget was at first, value and gas are the same. */
KERNEL_TEST(gas, the_host_tops_up)
{
    const uint64_t cost = cost_of_loop(LOOPS);
    const struct javm_hash instance = looper(NULL, 0);
    for (uint64_t first = 0; first < cost; first += 37) {
        struct javm_call call = usual_call(&instance);
        call.args[0] = LOOPS;
        call.gas = first;
        call.can_pause = true;
        unsigned pauses = 0;
        invoke(&call);
        while (result.end == JAVM_END_PAUSED) {
            cr_assert_eq(javm_key_compare(&result.yield_key, &JAVM_YK_OOG), 0);
            const struct javm_call more = {.gas = 150, .can_pause = true};
            cr_assert_leq(result.gas_used, cost);
            cr_assert_eq(javm_vm_call_resume(w.vm, w.dir, &more, &result, &err), JAVM_OK);
            pauses++;
        }
        expect_halt(7);
        cr_expect_eq(result.gas_used, cost);
        cr_expect_geq(pauses, (cost - first) / 150);
    }
}

/* Nobody catches: the frame faults, the owner goes on with its own gas. */
KERNEL_TEST(gas, out_of_gas_is_the_callees)
{
    const struct slot inner = gas_handle(20, &meter_a);
    const struct slot slots[] = {setter(), {5, looper(&inner, 1)}};
    struct code c = {.count = 0};
    endpoint(&c);
    set_meter(&c, &meter_a, 200);
    OP(&c, CALL, 5, 0, LOOPS);
    expect(&c, A0, JAVM_FAULT_OUT_OF_GAS);
    expect(&c, A1, 2);
    reply(&c, 2);
    run_code(&c, slots, 2);
    expect_halt(2);
}

/* ---- quotas ----------------------------------------------------------------------------- */

static const struct javm_key quota = {1, {7}};

static struct slot quota_setter(void)
{
    return (struct slot){6, handle(javm_yield_sender(&JAVM_YK_SET_STORAGE_QUOTA))};
}
static struct slot quota_handle(uint64_t slot)
{
    return (struct slot){slot, handle(javm_quota_handle(&quota))};
}
static void set_quota(struct code *c, uint64_t value)
{
    OP(c, YIELD, 6, javm_key_pack(&quota), quota.len, value);
}

KERNEL_TEST(gas, quota_by_pages)
{
    struct code c = {.count = 0};
    endpoint(&c);
    set_quota(&c, 10);
    OP(&c, MINT_DATA, STATE, 1, 7, 8);             /* 1 */
    OP(&c, MINT_DATA, STATE, PAGE, 7, 9);          /* 1 */
    OP(&c, MINT_DATA, STATE + 8, PAGE + 1, 7, 10); /* 2 */
    OP(&c, MINT_DATA, STATE, 0, 7, 11);            /* 0 */
    OP(&c, FILE_SAVE, 10, 7, 12);                  /* 2 */
    set_quota(&c, 0);
    emit(&c, REPLY);
    const struct javm_hash image = image_with(&c, WITH_STATE, NULL);
    const struct slot slots[] = {quota_setter(), quota_handle(7), {S_STATE, number_data(42)}};
    run_with(&image, slots, 3);
    expect_halt(4);
    struct javm_cap *data = POST(10), *empty = POST(11);
    cr_expect_eq(javm_data_pages(data), 2);
    cr_expect_eq(javm_data_pages(empty), 0);
    javm_cap_release(data);
    javm_cap_release(empty);
    cr_expect_eq(first_word(POST(9)), 42);
}

/* Not enough: STORAGE, or the owner gets kernel:storage_exhausted and may raise it. */
KERNEL_TEST(gas, quota_exhausted)
{
    struct code mints = {.count = 0};
    endpoint(&mints);
    OP(&mints, MINT_DATA, SCRAP, 2 * PAGE, 7, 8);
    reply(&mints, 3);
    const struct javm_hash image = image_with(&mints, WITH_SCRAP, NULL);
    const struct slot inner = quota_handle(7);
    const struct slot slots[] = {
        quota_setter(),
        {5, publish_instance(w.dir, &image, &inner, 1)},
        {S_RECEIVER, handle(javm_yield_receiver(&JAVM_YK_STORAGE_EXHAUSTED, 1))}};
    uint64_t gas = 0;
    for (int round = 0; round < 3; round++) { /* enough; caught and raised; not caught */
        struct code c = {.count = 0};
        endpoint(&c);
        set_quota(&c, round == 0 ? 2 : 1);
        OP(&c, CALL, 5, 0);
        if (round == 1) {
            expect(&c, A0, YK_PACKED(0x11));
            expect(&c, A1, 1);
            OP(&c, DROP, 0); /* the Quota handle */
            set_quota(&c, 2);
            OP(&c, RESUME, 0);
        }
        expect(&c, A1, round == 2 ? 2 : 0);
        emit(&c, REPLY);
        const struct javm_hash caller = image_with(&c, 0, &catching);
        run_with(&caller, slots, round == 1 ? 3 : 2);
        expect_halt(round == 2 ? JAVM_FAULT_STORAGE : 3);
        struct javm_cap *minted = round != 2 ? POST(5, 8) : NULL;
        cr_assert(round == 2 || minted != NULL, "the operation was done after the top-up");
        cr_expect(round == 2 || javm_data_pages(minted) == 2);
        javm_cap_release(minted);
        if (round == 0)
            gas = result.gas_used;
        else if (round ==
                 1) /* the operation was paid once: DROP, YIELD and RESUME are what is more */
            cr_expect_geq(result.gas_used, gas + 300);
        cr_expect_leq(result.gas_used, gas + 399);
    }
}

/* CNodes are charged to the declared quota slots; without any they are free. */
KERNEL_TEST(gas, cnodes_and_quota_slots)
{
    static const struct javm_key quotas[] = {{1, {30}}, {1, {31}}};
    const struct javm_image declared = {.quota_slots = quotas, .quota_slot_count = 2};
    for (int round = 0; round < 3; round++) { /* declared and filled; declared, empty; wrong */
        struct code c = {.count = 0};
        endpoint(&c);
        set_quota(&c, 2);
        OP(&c, MINT_CNODE, 8);
        OP(&c, MINT_CNODE, 9);
        OP(&c, MINT_CNODE, 10);
        reply(&c, 1);
        const struct javm_hash image = image_with(&c, 0, &declared);
        const struct slot slots[] = {quota_setter(), round == 0 ? quota_handle(31)
                                                     : round == 1
                                                         ? quota_handle(32)
                                                         : (struct slot){31, number_data(1)}};
        run_with(&image, slots, 2);
        if (round == 1)
            expect_halt(1);
        else
            expect_fault(round == 0 ? JAVM_FAULT_STORAGE : JAVM_FAULT_BAD_OPERAND);
    }
}

/* Replies what the instance in slot 5 replies, or why it faulted. */
static void pass_on(struct code *c)
{
    OP(c, CALL, 5, 0);
    emit(c, REPLY);
}

/* Whose quota pays for a CNode: the nearest owner's that declares slots and has a handle there. */
KERNEL_TEST(gas, quota_slots_of_owners)
{
    static const struct javm_key quotas[] = {{1, {30}}};
    const struct javm_image declared = {.quota_slots = quotas, .quota_slot_count = 1};
    struct code leaf = {.count = 0}, middle = {.count = 0};
    endpoint(&leaf);
    OP(&leaf, MINT_CNODE, 8);
    OP(&leaf, MINT_CNODE, 9);
    reply(&leaf, 1);
    endpoint(&middle);
    pass_on(&middle);
    const struct javm_hash leaf_image = image_of(&leaf);
    const struct javm_hash callee = publish_instance(w.dir, &leaf_image, NULL, 0);
    for (int declares = 0; declares < 2; declares++) {
        const struct javm_hash middle_image = image_with(&middle, 0, declares ? &declared : NULL);
        const struct slot middle_slots[] = {{5, callee}};
        const struct javm_hash between = publish_instance(w.dir, &middle_image, middle_slots, 1);
        for (uint64_t pages = 0; pages < 4; pages++) {
            struct code c = {.count = 0};
            endpoint(&c);
            set_quota(&c, pages < 3 ? pages : 0);
            pass_on(&c);
            /* The last one limits nothing: it has the handle and does not declare the slot. */
            const struct javm_hash image = image_with(&c, 0, pages < 3 ? &declared : NULL);
            const struct slot slots[] = {quota_setter(), quota_handle(30), {5, between}};
            run_with(&image, slots, 3);
            expect_halt(pages < 2 ? JAVM_FAULT_STORAGE : 1);
        }
    }
}
