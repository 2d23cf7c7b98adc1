/* Yields and handlers (v3 kernel, "Yields").
 *
 * Would catch: a yield that goes to the wrong frame, or asks one that is not on the owner path; a
 * catch set that is read at the yield instead of at the CALL; a payload that is lost; a handler
 * that cannot go on, or a yielder that goes on twice; a slot that can be used although its Instance
 * waits; a kernel key that an owner cannot interpose; frames that are left behind. */
#include "tests/vm/kernel_support.h"

#define S_RECEIVER 2 /* of every image here with a receiver */
#define K1         0x0101u
#define K2         0x0202u

static const struct javm_key key1 = {2, {1, 1}}, key2 = {2, {2, 2}};

static const struct javm_image catching = {
    .yield_receiver_slot = {.len = 1, .bytes = {S_RECEIVER}}};

static struct slot sender(uint64_t slot, const struct javm_key *key)
{
    return (struct slot){slot, handle(javm_yield_sender(key))};
}
static struct slot receiver(const struct javm_key *keys, size_t count)
{
    return (struct slot){S_RECEIVER, handle(javm_yield_receiver(keys, count))};
}

/* Yields by the sender in 4, with a Data of φ7 in slot[0], and replies what it then finds there
 * plus φ8. */
static struct javm_hash yielder_image(void)
{
    struct code c = {.count = 0};
    endpoint(&c);
    emit(&c, ADDI(9, A1, 0));
    store(&c, WINDOW, A0);
    OP(&c, YIELD, 4);
    load(&c, A0, WINDOW);
    emit(&c, ADD(A0, A0, 9));
    emit(&c, REPLY);
    return image_with(&c, WITH_WINDOW, NULL);
}

static struct slot yielder(uint64_t slot, const struct javm_key *key)
{
    const struct javm_hash image = yielder_image();
    const struct slot slots[] = {sender(4, key)};
    return (struct slot){slot, publish_instance(w.dir, &image, slots, 1)};
}

static void run_handler(const struct code *c, const struct slot *slots, size_t count)
{
    const struct javm_hash image = image_with(c, WITH_WINDOW, &catching);
    run_with(&image, slots, count);
}

KERNEL_TEST(yield, caught_and_resumed)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0, 70, 5);
    expect(&c, A0, K1);
    expect(&c, A1, 1);
    load(&c, 8, WINDOW);
    expect(&c, 8, 70); /* the payload */
    li(&c, 8, 30);
    store(&c, WINDOW, 8);
    OP(&c, RESUME, 0);
    expect(&c, A1, 0);
    emit(&c, ADDI(9, A0, 0));
    OP(&c, CALL, 5, 0, 1, 0); /* and again: the Instance is back */
    OP(&c, RESUME, 0);
    emit(&c, ADD(A0, A0, 9));
    emit(&c, REPLY);
    const struct slot slots[] = {receiver(&key1, 1), yielder(5, &key1)};
    run_handler(&c, slots, 2);
    expect_halt(30 + 5 + 1);
    cr_expect(cap_is(POST(5), &slots[1].hash));
}

/* All registers but φ7 and φ8 are as they were at the CALL. */
KERNEL_TEST(yield, registers_stay)
{
    static const unsigned kept[] = {1, 2, 3, 4, 6, 8, 9, 12, 13, 14, 15};
    struct code c = {.count = 0};
    endpoint(&c);
    for (unsigned i = 0; i < CODE(kept); i++)
        li(&c, kept[i], 1000 + i);
    li(&c, A0, 5);
    li(&c, A1, 0);
    emit(&c, ECALLI(CALL));
    for (unsigned i = 0; i < CODE(kept); i++)
        expect(&c, kept[i], 1000 + i);
    reply(&c, 1);
    const struct slot slots[] = {receiver(&key1, 1), yielder(5, &key1)};
    run_handler(&c, slots, 2);
    expect_halt(1);
}

/* Through a frame between that catches another key. */
KERNEL_TEST(yield, the_nearest_that_catches)
{
    for (int inner_catches = 0; inner_catches < 2; inner_catches++) {
        struct code middle = {.count = 0};
        endpoint(&middle);
        OP(&middle, CALL, 5, 0, 70, 5);
        emit(&middle, ADDI(9, A1, 0));
        expect(&middle, 9, (uint64_t)inner_catches);
        if (inner_catches)
            OP(&middle, RESUME, 0);
        reply(&middle, 8);
        const struct javm_hash image = image_with(&middle, WITH_WINDOW, &catching);
        const struct slot inner[] = {receiver(inner_catches ? &key1 : &key2, 1), yielder(5, &key1)};
        struct code c = {.count = 0};
        endpoint(&c);
        OP(&c, CALL, 5, 0);
        expect(&c, A1, 1 - (uint64_t)inner_catches);
        if (!inner_catches) {
            expect(&c, A0, K1);
            OP(&c, RESUME, 0);
        }
        expect(&c, A1, 0);
        emit(&c, REPLY);
        const struct slot slots[] = {receiver(&key1, 1),
                                     {5, publish_instance(w.dir, &image, inner, 2)}};
        run_handler(&c, slots, 2);
        expect_halt(8);
    }
}

/* The set is that of the CALL: what the caller makes of its slot later does not matter. */
KERNEL_TEST(yield, the_snapshot_counts)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0, 1, 0); /* caught */
    expect(&c, A1, 1);
    OP(&c, MOVE, S_RECEIVER, 9);
    OP(&c, RESUME, 0); /* yields once more, and is caught still */
    expect(&c, A1, 1);
    OP(&c, RESUME, 0);
    expect(&c, A1, 0);
    OP(&c, CALL, 5, 0, 1, 0); /* not any more */
    expect(&c, A1, 2);
    emit(&c, REPLY);
    struct code twice = {.count = 0};
    endpoint(&twice);
    OP(&twice, YIELD, 4);
    OP(&twice, YIELD, 4);
    reply(&twice, 1);
    const struct javm_hash image = image_of(&twice);
    const struct slot inner = sender(4, &key1);
    const struct slot slots[] = {receiver(&key1, 1),
                                 {5, publish_instance(w.dir, &image, &inner, 1)}};
    run_handler(&c, slots, 2);
    expect_halt(JAVM_FAULT_YIELD_UNHANDLED);
}

/* A handler calls another child; what that one yields is not for the frames that wait. */
KERNEL_TEST(yield, frames_off_the_path_are_not_asked)
{
    struct code waiting = {.count = 0}; /* catches key2, its child yields key1 */
    endpoint(&waiting);
    OP(&waiting, CALL, 5, 0, 1, 0);
    expect(&waiting, A1, 0);
    reply(&waiting, 6);
    const struct javm_hash image = image_with(&waiting, WITH_WINDOW, &catching);
    const struct slot inner[] = {receiver(&key2, 1), yielder(5, &key1)};
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0);
    expect(&c, A0, K1);
    OP(&c, CALL, 6, 0, 1, 0); /* yields key2 */
    expect(&c, A1, 2);
    expect(&c, A0, JAVM_FAULT_YIELD_UNHANDLED);
    OP(&c, CALL, 7, 0, 1, 0); /* yields key1: to us, above the one that waits */
    expect(&c, A0, K1);
    expect(&c, A1, 1);
    OP(&c, RESUME, 0); /* 7 */
    expect(&c, A1, 0);
    OP(&c, RESUME, 0); /* 5's child, then 5 */
    expect(&c, A1, 0);
    emit(&c, REPLY);
    const struct slot slots[] = {receiver(&key1, 1),
                                 {5, publish_instance(w.dir, &image, inner, 2)},
                                 yielder(6, &key2),
                                 yielder(7, &key1)};
    run_handler(&c, slots, 4);
    expect_halt(6);
}

KERNEL_TEST(yield, dropped)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0, 70, 5);
    OP(&c, DROP_RESUME, 0);
    load(&c, 8, WINDOW);
    expect(&c, 8, 70);     /* the payload stays */
    OP(&c, MINT_CNODE, 5); /* the slot is empty, and free */
    reply(&c, 4);
    const struct slot slots[] = {receiver(&key1, 1), yielder(5, &key1)};
    run_handler(&c, slots, 2);
    expect_halt(4);
}

/* Nothing is to be resumed after it: neither again, nor the one that was dropped. */
KERNEL_TEST(yield, resumed_only_once)
{
    static const int32_t first[] = {RESUME, DROP_RESUME}, second[] = {RESUME, DROP_RESUME};
    for (int i = 0; i < 4; i++) {
        struct code c = {.count = 0};
        endpoint(&c);
        OP(&c, CALL, 5, 0, 70, 5);
        OP(&c, first[i / 2], 0);
        OP(&c, second[i % 2], 0);
        reply(&c, 4);
        const struct slot slots[] = {receiver(&key1, 1), yielder(5, &key1)};
        run_handler(&c, slots, 2);
        expect_fault(JAVM_FAULT_BAD_OPERAND);
    }
}

/* A handler that halts drops its yielder; one that faults does too. */
KERNEL_TEST(yield, a_handler_that_ends)
{
    for (int fault = 0; fault < 2; fault++) {
        struct code c = {.count = 0};
        endpoint(&c);
        OP(&c, CALL, 5, 0, 70, 5);
        if (fault)
            emit(&c, TRAP);
        reply(&c, 4);
        const struct javm_hash image = image_with(&c, WITH_WINDOW, &catching);
        const struct slot inner[] = {receiver(&key1, 1), yielder(5, &key1)};
        const struct slot slots[] = {{6, publish_instance(w.dir, &image, inner, 2)}};
        run_with(&image, inner, 2); /* at the root */
        if (fault) {
            expect_fault(JAVM_FAULT_TRAP);
        } else {
            expect_halt(4);
            cr_expect(is_empty(POST(5)));
        }
        struct code outer = {.count = 0};
        endpoint(&outer);
        OP(&outer, CALL, 6, 0);
        expect(&outer, A1, fault ? 2 : 0);
        emit(&outer, REPLY);
        run_code(&outer, slots, 1);
        expect_halt(fault ? JAVM_FAULT_TRAP : 4);
        cr_expect(is_empty(fault ? POST(6) : POST(6, 5)));
    }
}

/* While its Instance waits, a slot is reserved: any access faults; a CNode that holds it cannot
 * leave. */
KERNEL_TEST(yield, reserved_slots)
{
    static const struct {
        int32_t number;
        uint64_t arguments[4];
    } wrong[] = {{COPY, {0x0705, 9}},
                 {MOVE, {0x0705, 9}},
                 {DROP, {0x0705}},
                 {SWAP, {0x0705, 9}},
                 {COPY, {6, 0x0705}},
                 {MINT_CNODE, {0x0705}},
                 {CALL, {0x0705}},
                 {TYPE_OF, {0x0705, 9}},
                 {COPY, {7, 9}},
                 {MOVE, {7, 9}},
                 {DROP, {7}},
                 {SWAP, {7, 9}},
                 {GET_WIDE, {7, 5, 1, 9}},
                 {SET_WIDE, {7, 5, 1, 6}},
                 {DROP_RESUME, {0x0705}},
                 {SPAWN, {8, 7, 9}}};
    for (size_t i = 0; i <= CODE(wrong); i++) {
        struct code c = {.count = 0};
        endpoint(&c);
        OP(&c, CALL, 0x0705, 0, 70, 5);
        expect(&c, A1, 1);
        OP(&c, MOVE, 6, 0x0706); /* beside it is free */
        OP(&c, GET_WIDE, 7, 6, 1, 6);
        if (i < CODE(wrong)) {
            operate(&c, wrong[i].number, wrong[i].arguments, 4);
            reply(&c, 99); /* not reached: what it did might be refused later */
        }
        OP(&c, RESUME, 0);
        OP(&c, MOVE, 0x0705, 9); /* not any more */
        OP(&c, MOVE, 7, 10);
        reply(&c, 4);
        const struct slot in_node[] = {yielder(5, &key1)};
        const struct slot slots[] = {receiver(&key1, 1),
                                     {6, number_data(6)},
                                     {7, publish_cnode(w.dir, in_node, 1)},
                                     {8, constant_image(1)}};
        run_handler(&c, slots, 4);
        if (i < CODE(wrong)) {
            cr_expect_eq(result.end, JAVM_END_FAULTED, "case %zu", i);
            cr_expect_eq(result.fault, JAVM_FAULT_BAD_OPERAND, "case %zu", i);
        } else {
            expect_halt(4);
        }
    }
}

/* The same one level up: a CNode in a CNode, by wide keys too. */
KERNEL_TEST(yield, reserved_below)
{
    static const struct {
        int32_t number;
        uint64_t arguments[4];
    } wrong[] = {{COPY, {0x0B07, 9}},       {MOVE, {0x0B07, 9}},
                 {COPY, {11, 9}},           {GET_WIDE, {11, 7, 1, 9}},
                 {SET_WIDE, {11, 7, 1, 6}}, {SET_WIDE, {11, 7, 1, 99}},
                 {SWAP, {0x0B07, 9}},       {SET_WIDE, {11, 1, 1, 0x0B07}}};
    for (size_t i = 0; i < CODE(wrong); i++) {
        struct code c = {.count = 0};
        endpoint(&c);
        OP(&c, CALL, 0x070B05, 0, 70, 5);
        expect(&c, A1, 1);
        operate(&c, wrong[i].number, wrong[i].arguments, 4);
        reply(&c, 99);
        const struct slot inner[] = {yielder(5, &key1)};
        const struct slot outer[] = {{7, publish_cnode(w.dir, inner, 1)}};
        const struct slot slots[] = {
            receiver(&key1, 1), {6, number_data(6)}, {11, publish_cnode(w.dir, outer, 1)}};
        run_handler(&c, slots, 3);
        cr_expect_eq(result.end, JAVM_END_FAULTED, "case %zu", i);
        cr_expect_eq(result.fault, JAVM_FAULT_BAD_OPERAND, "case %zu", i);
    }
}

/* A handler that yields itself: its owner handles, and each goes on where it was. */
KERNEL_TEST(yield, nested_handlers)
{
    for (int drop = 0; drop < 2; drop++) {
        struct code middle = {.count = 0};
        endpoint(&middle);
        OP(&middle, CALL, 5, 0, 70, 5); /* yields key1 to us */
        expect(&middle, A0, K1);
        OP(&middle, YIELD, 4); /* key2, to our owner */
        load(&middle, 8, WINDOW);
        expect(&middle, 8, 71);
        OP(&middle, RESUME, 0);
        emit(&middle, REPLY);
        const struct javm_hash image = image_with(&middle, WITH_WINDOW, &catching);
        const struct slot inner[] = {receiver(&key1, 1), yielder(5, &key1), sender(4, &key2)};
        struct code c = {.count = 0};
        endpoint(&c);
        OP(&c, CALL, 5, 0);
        expect(&c, A0, K2);
        load(&c, 8, WINDOW);
        expect(&c, 8, 70);
        li(&c, 8, 71);
        store(&c, WINDOW, 8);
        OP(&c, drop ? DROP_RESUME : RESUME, 0);
        emit(&c, REPLY);
        const struct slot slots[] = {receiver(&key2, 1),
                                     {5, publish_instance(w.dir, &image, inner, 3)}};
        run_handler(&c, slots, 2);
        if (drop)
            expect_halt(0); /* φ7 is DROP_RESUME's operand */
        else
            expect_halt(71 + 5);
        cr_expect_eq(is_empty(POST(5)), drop);
    }
}

/* A handler's entry counts: where there is no depth left for it, the yielder faults. */
static const struct javm_vm_options two_deep = {.max_depth = 2}, three_deep = {.max_depth = 3};

static void yield_to(uint64_t status, uint64_t value)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0, 70, 5);
    expect(&c, A1, status);
    expect(&c, A0, value);
    reply(&c, 1);
    const struct slot slots[] = {receiver(&key1, 1), yielder(5, &key1)};
    run_handler(&c, slots, 2);
    expect_halt(1);
}

KERNEL_TEST_WITH(yield, too_deep_for_a_handler, &two_deep)
{
    yield_to(2, JAVM_FAULT_DEPTH_LIMIT);
}

KERNEL_TEST_WITH(yield, just_deep_enough_for_a_handler, &three_deep)
{
    yield_to(1, K1);
}

/* ---- uncaught --------------------------------------------------------------------------- */

KERNEL_TEST(yield, uncaught)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0, 70, 5);
    expect(&c, A1, 2);
    emit(&c, REPLY);
    const struct slot slots[] = {yielder(5, &key1), receiver(&key2, 1)};
    run_handler(&c, slots, 2);
    expect_halt(JAVM_FAULT_YIELD_UNHANDLED);
    struct javm_call call = usual_call(&slots[0].hash);
    invoke(&call);
    expect_fault(JAVM_FAULT_YIELD_UNHANDLED);
    const struct slot not_a_sender[] = {{4, number_data(1)}};
    const struct javm_hash image = yielder_image();
    run_with(&image, not_a_sender, 1);
    expect_fault(JAVM_FAULT_BAD_OPERAND);
}

/* The host catches what nobody else does, if it asks for that. */
KERNEL_TEST(yield, to_the_host)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0, 70, 5);
    expect(&c, A1, 0);
    emit(&c, REPLY);
    const struct slot slots[] = {yielder(5, &key1)};
    const struct javm_hash image = image_with(&c, 0, NULL);
    const struct javm_hash instance = publish_instance(w.dir, &image, slots, 1);
    struct javm_call call = usual_call(&instance);
    call.can_pause = true;
    for (int way = 0; way < 3; way++) {
        invoke(&call);
        cr_assert_eq(result.end, JAVM_END_PAUSED);
        cr_expect_eq(javm_key_compare(&result.yield_key, &key1), 0);
        cr_assert_not_null(result.slot0);
        cr_expect_eq(data_u64(result.slot0, 0), 70);
        const uint64_t used = result.gas_used;
        struct javm_call_result other;
        cr_expect_eq(javm_vm_invoke(w.vm, w.dir, &call, &other, &err), JAVM_E_STATE);
        if (way == 2) {
            cr_expect_eq(javm_vm_drop_paused(w.vm, &err), JAVM_OK);
            continue;
        }
        struct javm_cap *given = numbered_data(30, 1);
        struct javm_call resume = {.want_post = true, .can_pause = true};
        resume.scratchpad = way == 0 ? NULL : given;
        javm_call_result_clear(&result);
        cr_assert_eq(javm_vm_call_resume(w.vm, w.dir, &resume, &result, &err), JAVM_OK, "%s",
                     err.text);
        expect_halt((way == 0 ? 70 : 30) + 5);
        cr_expect_gt(result.gas_used, used);
        cr_expect(cap_is(POST(5), &slots[0].hash));
        javm_cap_release(given);
    }
    javm_call_result_clear(&result);
    cr_expect_eq(javm_vm_drop_paused(w.vm, &err), JAVM_E_STATE);
    cr_expect_eq(javm_vm_call_resume(w.vm, w.dir, &call, &result, &err), JAVM_E_STATE);
    invoke(&call); /* a Vm that is destroyed while something is paused leaves nothing */
}

/* ---- the kernel's own keys -------------------------------------------------------------- */

KERNEL_TEST(yield, mint_and_merge)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, YIELD, 4, 0x0101, 2, 10, 11);  /* a pair for key1 */
    OP(&c, YIELD, 4, 0x0202, 2, 12, 13);  /* and for key2 */
    OP(&c, YIELD, 5, 11, 13, S_RECEIVER); /* both */
    OP(&c, CALL, 6, 0, 1, 0);
    expect(&c, A0, K1);
    OP(&c, RESUME, 0);
    OP(&c, CALL, 7, 0, 1, 0);
    expect(&c, A0, K2);
    OP(&c, RESUME, 0);
    reply(&c, 3);
    const struct slot slots[] = {sender(4, &JAVM_YK_MINT_YIELD),
                                 sender(5, &JAVM_YK_MERGE_YIELD_RECEIVER), yielder(6, &key1),
                                 yielder(7, &key2)};
    run_handler(&c, slots, 4);
    expect_halt(3);
    struct javm_key key;
    struct javm_cap *minted = POST(10), *merged = POST(S_RECEIVER);
    cr_expect(javm_yield_sender_key(minted, &key));
    cr_expect_eq(javm_key_compare(&key, &key1), 0);
    cr_expect(javm_yield_receiver_has(merged, &key1));
    cr_expect(javm_yield_receiver_has(merged, &key2));
    javm_cap_release(minted);
    javm_cap_release(merged);
}

KERNEL_TEST(yield, misused_kernel_keys)
{
    static const uint64_t wrong[][5] = {
        {4, 1, 0, 10, 11},                    /* no key */
        {4, 1, 9, 10, 11}, {4, 1, 1, 10, 10}, /* one slot for two */
        {4, 1, 1, 5, 10},                     /* taken */
        {4, 1, 1, 10, 5},  {5, 4, 4, 10},     /* no receivers */
        {5, 9, 9, 10},                        /* empty */
        {6, 1, 0, 5},                         /* set_gas_meter without a key */
        {7, 1, 0, 10},                        /* mint_gas */
        {7, 1, 1, 5},      {8, 5},            /* attest what is no Data */
    };
    for (size_t i = 0; i < CODE(wrong); i++) {
        struct code c = {.count = 0};
        endpoint(&c);
        operate(&c, YIELD, wrong[i], 5);
        reply(&c, 3);
        const struct slot slots[] = {sender(4, &JAVM_YK_MINT_YIELD),
                                     sender(5, &JAVM_YK_MERGE_YIELD_RECEIVER),
                                     sender(6, &JAVM_YK_SET_GAS_METER),
                                     sender(7, &JAVM_YK_MINT_GAS), sender(8, &JAVM_YK_ATTEST)};
        run_code(&c, slots, 5);
        cr_expect_eq(result.end, JAVM_END_FAULTED, "case %zu", i);
        cr_expect_eq(result.fault, JAVM_FAULT_BAD_OPERAND, "case %zu", i);
    }
}

/* An owner with a kernel key in its receiver sees the request, and may deny it. */
KERNEL_TEST(yield, interposition)
{
    for (int interpose = 0; interpose < 2; interpose++) {
        struct code asks = {.count = 0};
        endpoint(&asks);
        OP(&asks, YIELD, 4, 9, 1, 10);
        OP(&asks, DROP, 10); /* faults unless a handle was minted */
        reply(&asks, 5);
        const struct javm_hash image = image_of(&asks);
        const struct slot inner = sender(4, &JAVM_YK_MINT_GAS);
        struct code c = {.count = 0};
        endpoint(&c);
        OP(&c, CALL, 5, 0);
        if (interpose) {
            expect(&c, A0, YK_PACKED(4));
            expect(&c, A1, 1);
            OP(&c, RESUME, 0);
            expect(&c, A0, JAVM_FAULT_BAD_OPERAND);
            expect(&c, A1, 2);
        } else {
            expect(&c, A1, 0);
        }
        reply(&c, 1);
        const struct slot slots[] = {{5, publish_instance(w.dir, &image, &inner, 1)},
                                     receiver(interpose ? &JAVM_YK_MINT_GAS : &key1, 1)};
        run_handler(&c, slots, 2);
        expect_halt(1);
    }
}

KERNEL_TEST(yield, attestations_are_recorded)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, YIELD, 4, 5);
    expect(&c, A0, 0);
    OP(&c, YIELD, 4, 6);
    reply(&c, 1);
    const struct slot slots[] = {
        sender(4, &JAVM_YK_ATTEST), {5, number_data(50)}, {6, number_data(60)}};
    run_code(&c, slots, 3);
    expect_halt(1);
    expect_attested_50_60();
    struct javm_key key;
    const struct javm_cap *data;
    cr_expect_not(javm_vm_attestation(w.vm, 2, &key, &data));
}
