/* CALL, REPLY and faults of callees (v3 kernel, "Operations", "Ends", "Invariants").
 *
 * Would catch: arguments or results in the wrong register; a caller that gets back other registers
 * than it had; a callee that sees its caller's memory or slots; a child's state that is lost, or
 * kept after a fault; a slot that can be used while its Instance runs; slot[0] that goes astray; a
 * stack deeper than its limit; a directory that a fault changes. */
#include "tests/vm/kernel_support.h"

/* Replies φ7 + 10 φ8 + 100 φ9 + 1000 φ10. */
static struct javm_hash adder_image(void)
{
    struct code c = {.count = 0};
    endpoint(&c);
    for (unsigned i = 3; i >= 1; i--) { /* ((d * 10 + c) * 10 + b) * 10 + a */
        li(&c, 5, 10);
        emit(&c, op(PVM2_MUL, A0 + i, A0 + i, 5, 0));
        emit(&c, ADD(A0 + i - 1, A0 + i - 1, A0 + i));
    }
    emit(&c, REPLY);
    endpoint(&c); /* 1: the first argument alone */
    emit(&c, REPLY);
    return image_of(&c);
}

/* Endpoint 0 adds φ7 to the number in its state and replies the sum; 1 does and traps. */
static struct javm_hash counter_image(void)
{
    struct code c = {.count = 0};
    for (int trap = 0; trap < 2; trap++) {
        endpoint(&c);
        load(&c, 8, STATE);
        emit(&c, ADD(A0, A0, 8));
        store(&c, STATE, A0);
        emit(&c, trap ? TRAP : REPLY);
    }
    return image_with(&c, WITH_STATE, NULL);
}

static struct slot child(const struct javm_hash *image, uint64_t key)
{
    return (struct slot){key, instantiate(w.dir, image)};
}

KERNEL_TEST(call, arguments_and_value)
{
    const struct javm_hash adder = adder_image();
    const struct slot slots[] = {child(&adder, 5)};
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0, 4, 3, 2, 1);
    expect(&c, A0, 1234);
    expect(&c, A1, 0);
    OP(&c, CALL, 5, 1, 9);
    expect(&c, A1, 0);
    emit(&c, REPLY);
    run_code(&c, slots, 1);
    expect_halt(9);
    cr_expect(cap_is(POST(5), &slots[0].hash)); /* back in its slot, unchanged */
}

/* All registers but φ7 and φ8 are as they were. */
KERNEL_TEST(call, registers_stay)
{
    const struct javm_hash adder = adder_image();
    const struct slot slots[] = {child(&adder, 5)};
    struct code c = {.count = 0};
    endpoint(&c);
    static const unsigned kept[] = {1, 2, 3, 4, 6, 8, 9, 12, 13, 14, 15};
    for (unsigned i = 0; i < CODE(kept); i++)
        li(&c, kept[i], 1000 + i);
    li(&c, A0, 5);
    li(&c, A1, 1);
    emit(&c, ECALLI(CALL));
    for (unsigned i = 0; i < CODE(kept); i++)
        expect(&c, kept[i], 1000 + i);
    emit(&c, REPLY);
    run_code(&c, slots, 1);
    expect_halt(1000 + 7); /* φ9 was the argument */
}

/* A callee that exchanges slot[0] and faults: the caller has what it gave. */
KERNEL_TEST(call, slot0_after_a_fault)
{
    for (int fault = 0; fault < 2; fault++) {
        struct code exchanges = {.count = 0};
        endpoint(&exchanges);
        OP(&exchanges, DROP, 0);
        OP(&exchanges, COPY, 6, 0);
        if (fault)
            emit(&exchanges, TRAP);
        reply(&exchanges, 1);
        const struct javm_hash image = image_of(&exchanges);
        const struct slot inner = {6, number_data(600)};
        const struct slot slots[] = {{5, publish_instance(w.dir, &image, &inner, 1)},
                                     {7, number_data(700)}};
        struct code c = {.count = 0};
        endpoint(&c);
        OP(&c, MOVE, 7, 0);
        OP(&c, CALL, 5, 0);
        expect(&c, A1, fault ? 2 : 0);
        OP(&c, MOVE, 0, 8);
        reply(&c, 1);
        run_code(&c, slots, 2);
        expect_halt(1);
        cr_expect_eq(first_word(POST(8)), fault ? 700 : 600);
    }
}

/* What an instance has in slot 0 is its slot[0] when it is given none, and goes to who called. */
KERNEL_TEST(call, slot0_of_its_own)
{
    const struct javm_hash image = constant_image(1);
    const struct slot own = {0, number_data(70)};
    run_with(&image, &own, 1);
    expect_halt(1);
    cr_assert_not_null(result.slot0);
    cr_expect_eq(data_u64(result.slot0, 0), 70);
    cr_expect(is_empty(POST(0)));
    const struct slot slots[] = {{5, publish_instance(w.dir, &image, &own, 1)}};
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0);
    OP(&c, MOVE, 0, 8);
    reply(&c, 1);
    run_code(&c, slots, 1);
    expect_halt(1);
    cr_expect_eq(first_word(POST(8)), 70);
    cr_expect(is_empty(POST(5, 0)));
}

KERNEL_TEST(call, the_child_keeps_its_state)
{
    const struct javm_hash counter = counter_image();
    const struct slot slots[] = {child(&counter, 5), {S_STATE, number_data(1)}};
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0, 10);
    expect(&c, A0, 10);
    OP(&c, CALL, 5, 0, 20);
    expect(&c, A0, 30);
    OP(&c, COPY, 5, 6); /* a value of its own */
    OP(&c, CALL, 6, 0, 100);
    expect(&c, A0, 130);
    OP(&c, CALL, 5, 0, 1);
    emit(&c, REPLY);
    run_code(&c, slots, 2);
    expect_halt(31);
    cr_expect_eq(first_word(POST(5, S_STATE)), 31);
    cr_expect_eq(first_word(POST(6, S_STATE)), 130);
    cr_expect_eq(first_word(POST(S_STATE)), 1); /* the caller's is another */
    /* What was published goes on from there. */
    struct javm_hash post;
    cr_assert_eq(javm_directory_put(w.dir, result.post_instance, &post, NULL), JAVM_OK);
    const struct javm_call again = usual_call(&post);
    invoke(&again);
    cr_expect_eq(result.fault, JAVM_FAULT_TRAP); /* 10 is not what the first sum is now */
}

/* The value of φ7 is why, the slot is empty, and nothing that it did is left. */
KERNEL_TEST(call, faults)
{
    const struct {
        uint32_t word;
        uint64_t reason;
    } ways[] = {{TRAP, JAVM_FAULT_TRAP},
                {RESERVED, JAVM_FAULT_PANIC},
                {LD(5, 0, 0), JAVM_FAULT_PAGE_FAULT},
                {ECALLI(8), JAVM_FAULT_TRAP},
                {ECALLI(64), JAVM_FAULT_TRAP},
                {ECALLI(DROP), JAVM_FAULT_BAD_OPERAND},
                {ECALLI(RESUME), JAVM_FAULT_BAD_OPERAND},
                {ECALLI(DROP_RESUME), JAVM_FAULT_BAD_OPERAND}};
    for (size_t i = 0; i < CODE(ways); i++) {
        struct code bad = {.count = 0};
        endpoint(&bad);
        OP(&bad, MINT_CNODE, 9);
        li(&bad, A0, 44);
        emit(&bad, ways[i].word);
        reply(&bad, 1);
        const struct javm_hash image = image_of(&bad);
        const struct slot slots[] = {child(&image, 5), {6, number_data(60)}};
        struct code c = {.count = 0};
        endpoint(&c);
        OP(&c, MOVE, 6, 0);
        OP(&c, CALL, 5, 0);
        expect(&c, A0, ways[i].reason);
        expect(&c, A1, 2);
        OP(&c, MINT_CNODE, 5); /* it is empty */
        OP(&c, MOVE, 0, 6);    /* what was given came back */
        reply(&c, 1);
        run_code(&c, slots, 2);
        expect_halt(1);
        cr_expect_eq(first_word(POST(6)), 60, "case %zu", i);
    }
}

/* Gas that a faulted callee used stays used; a fault leaves everything else as it was. */
KERNEL_TEST(call, a_fault_at_the_root)
{
    const struct javm_hash counter = counter_image();
    const struct slot slots[] = {child(&counter, 5), {6, number_data(60)}};
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0, 10);
    OP(&c, MINT_CNODE, 7);
    OP(&c, MOVE, 6, 0);
    emit(&c, TRAP);
    const struct javm_hash image = image_of(&c);
    const struct javm_hash instance = publish_instance(w.dir, &image, slots, 2);
    struct javm_cap *given = numbered_data(33, 1);
    struct javm_call call = usual_call(&instance);
    struct javm_directory_stats before, after;
    javm_directory_stats(w.dir, &before);
    call.scratchpad = given;
    /* slot[0] is taken, so that the MOVE faults; without it the trap does. */
    for (int i = 0; i < 2; i++) {
        invoke(&call);
        expect_fault(i == 0 ? JAVM_FAULT_BAD_OPERAND : JAVM_FAULT_TRAP);
        cr_expect_null(result.post_instance);
        cr_expect_eq(result.slot0, i == 0 ? given : NULL);
        cr_expect_gt(result.gas_used, 300);
        call.scratchpad = NULL;
    }
    javm_directory_stats(w.dir, &after);
    cr_expect_eq(before.blobs, after.blobs);
    cr_expect_eq(after.instances, 0);
    javm_cap_release(given);
}

/* What an Instance had in its own slot[0] is shown once: it goes to the caller at the end. */
KERNEL_TEST(call, slot0_of_its_own_goes_once)
{
    struct code child = {.count = 0};
    endpoint(&child);
    load(&child, A0, WINDOW);
    emit(&child, REPLY);
    const struct javm_hash child_image = image_with(&child, WITH_WINDOW, NULL);
    const struct slot own = {0, number_data(500)};
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0);
    expect(&c, A0, 500);
    OP(&c, DROP, 0);
    OP(&c, CALL, 5, 0);
    emit(&c, REPLY);
    const struct slot slots[] = {{5, publish_instance(w.dir, &child_image, &own, 1)}};
    run_code(&c, slots, 1);
    expect_halt(0);
}

/* slot[0] goes down and comes back; where it is mapped, its bytes do. */
KERNEL_TEST(call, slot0_goes_along)
{
    struct code echo = {.count = 0}; /* adds 1 to the first word of slot[0], replies the second */
    endpoint(&echo);
    load(&echo, A0, WINDOW);
    emit(&echo, ADDI(A0, A0, 1));
    store(&echo, WINDOW, A0);
    load(&echo, A0, WINDOW + 8);
    emit(&echo, REPLY);
    const struct javm_hash image = image_with(&echo, WITH_WINDOW, NULL);
    const struct slot slots[] = {child(&image, 5)};
    struct code c = {.count = 0};
    endpoint(&c);
    li(&c, A0, 70);
    store(&c, WINDOW, A0);
    li(&c, A0, 80);
    store(&c, WINDOW + 8, A0);
    for (unsigned i = 1; i <= 3; i++) {
        OP(&c, CALL, 5, 0);
        expect(&c, A0, 80);
        load(&c, A0, WINDOW);
        expect(&c, A0, 70 + i);
    }
    emit(&c, REPLY);
    const struct javm_hash caller = image_with(&c, WITH_WINDOW, NULL);
    run_with(&caller, slots, 1);
    expect_halt(73);
    cr_assert_not_null(result.slot0);
    cr_expect_eq(data_u64(result.slot0, 0), 73);
    cr_expect(cap_is(POST(5), &slots[0].hash)); /* its own slot[0] is empty again */
}

/* Same addresses, different memories. */
KERNEL_TEST(call, memories_are_apart)
{
    struct code child_code = {.count = 0};
    endpoint(&child_code);
    load(&child_code, A0, SCRAP);
    li(&child_code, 8, 99);
    store(&child_code, SCRAP, 8);
    emit(&child_code, REPLY);
    const struct javm_hash image = image_with(&child_code, WITH_SCRAP, NULL);
    const struct slot slots[] = {child(&image, 5)};
    struct code c = {.count = 0};
    endpoint(&c);
    li(&c, 8, 55);
    store(&c, SCRAP, 8);
    for (int i = 0; i < 3; i++) {
        OP(&c, CALL, 5, 0);
        expect(&c, A0, 0);
        load(&c, A0, SCRAP);
        expect(&c, A0, 55);
    }
    emit(&c, REPLY);
    const struct javm_hash caller = image_with(&c, WITH_SCRAP, NULL);
    run_with(&caller, slots, 1);
    expect_halt(55);
}

KERNEL_TEST(call, misuse)
{
    const struct javm_hash adder = adder_image();
    static const uint64_t wrong[][2] = {
        {6, 0},                  /* Data */
        {7, 0},                  /* a handle */
        {8, 0},                  /* empty */
        {5, 2},                  /* no such endpoint */
        {5, UINT64_MAX}, {0, 0}, /* slot[0] itself goes to the callee */
    };
    for (size_t i = 0; i < CODE(wrong); i++) {
        const struct slot slots[] = {child(&adder, 5),
                                     {6, number_data(1)},
                                     {7, handle(javm_gas_handle(&(struct javm_key){1, {1}}))},
                                     {0, instantiate(w.dir, &adder)}};
        struct code c = {.count = 0};
        endpoint(&c);
        OP(&c, CALL, wrong[i][0], wrong[i][1]);
        reply(&c, 1);
        run_code(&c, slots, 4);
        cr_expect_eq(result.end, JAVM_END_FAULTED, "case %zu", i);
        cr_expect_eq(result.fault, JAVM_FAULT_BAD_OPERAND, "case %zu", i);
    }
}

/* An Instance whose Data does not fit its mapping cannot run: as if it had faulted. */
KERNEL_TEST(call, a_callee_that_cannot_be_entered)
{
    const struct javm_hash counter = counter_image();
    const struct slot large = {S_STATE, publish(w.dir, numbered_data(1, 3))};
    const struct slot slots[] = {{5, publish_instance(w.dir, &counter, &large, 1)}};
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0);
    expect(&c, A0, JAVM_FAULT_BAD_OPERAND);
    expect(&c, A1, 2);
    OP(&c, MINT_CNODE, 5);
    reply(&c, 1);
    run_code(&c, slots, 1);
    expect_halt(1);
}

/* ---- depth ------------------------------------------------------------------------------ */

/* φ7 levels to go: spawns itself (Image in 6 of each level, handed down), calls it, replies one
 * more than the child. */
static struct javm_hash recursive_image(void)
{
    struct code c = {.count = 0};
    endpoint(&c);
    emit(&c, ADDI(9, A0, -1));
    emit(&c, op(PVM2_BNE, 0, A0, 0, 16));
    emit(&c, FALLTHROUGH);
    reply(&c, 0); /* two words: 12 bytes with the FALLTHROUGH */
    OP(&c, MINT_CNODE, 7);
    OP(&c, COPY, 6, 0x0706);
    OP(&c, SPAWN, 6, 7, 8);
    store(&c, SCRAP, 9); /* memory of its own at every level */
    li(&c, A0, 8);
    li(&c, A1, 0);
    emit(&c, ADDI(A2, 9, 0));
    emit(&c, ECALLI(CALL));
    emit(&c, op(PVM2_BEQ, 0, A1, 0, 12));
    emit(&c, ADDI(A0, A0, 1000)); /* the reason, and on */
    emit(&c, REPLY);
    load(&c, 8, SCRAP);
    emit(&c, op(PVM2_BEQ, 0, 8, 9, 8));
    emit(&c, TRAP);
    emit(&c, ADDI(A0, A0, 1));
    emit(&c, REPLY);
    return image_with(&c, WITH_SCRAP, NULL);
}

static void recurse(const struct javm_hash *image, uint64_t levels)
{
    const struct slot slots[] = {{6, *image}};
    const struct javm_hash instance = publish_instance(w.dir, image, slots, 1);
    struct javm_call call = usual_call(&instance);
    call.args[0] = levels;
    call.want_post = false;
    invoke(&call);
}

KERNEL_TEST(call, recursion_to_the_limit)
{
    const struct javm_hash image = recursive_image();
    recurse(&image, 0);
    expect_halt(0);
    recurse(&image, 7);
    expect_halt(7);
    recurse(&image, 255);
    expect_halt(255);
    recurse(&image, 255); /* with the memories that are there */
    expect_halt(255);
    /* The 257th entry: that CALL faults its caller, which replied nothing; the level above says
     * why, and every other one more. */
    recurse(&image, 256);
    cr_expect_eq(result.end, JAVM_END_HALT);
    cr_expect_eq(result.value, JAVM_FAULT_DEPTH_LIMIT + 1000 + 254);
}

static const struct javm_vm_options shallow = {.max_depth = 2};
KERNEL_TEST_WITH(call, a_small_limit, &shallow)
{
    const struct javm_hash image = recursive_image();
    recurse(&image, 1);
    expect_halt(1);
    recurse(&image, 2);
    expect_halt(JAVM_FAULT_DEPTH_LIMIT + 1000);
}

/* The same Instance cannot be entered twice: while a callee runs, its slot is reserved, which its
 * caller sees in a handler only (test_kernel_yield.c); other copies can be. */
KERNEL_TEST(call, many_children)
{
    const struct javm_hash counter = counter_image();
    struct code c = {.count = 0};
    endpoint(&c);
    li(&c, 9, 0);
    for (unsigned i = 0; i < 40; i++) { /* spawn, call twice, drop every other */
        OP(&c, SPAWN, 5, 0, 20 + i);
        OP(&c, CALL, 20 + i, 0, i);
        OP(&c, CALL, 20 + i, 0, 1);
        emit(&c, ADD(9, 9, A0));
        if (i % 2 != 0)
            OP(&c, DROP, 20 + i);
    }
    emit(&c, ADDI(A0, 9, 0));
    emit(&c, REPLY);
    const struct slot slots[] = {{5, counter}};
    run_code(&c, slots, 1);
    expect_halt(40 * 39 / 2 + 40);
    for (unsigned i = 0; i < 40; i += 2)
        cr_expect_eq(first_word(POST(20 + i, S_STATE)), i + 1);
    cr_expect(is_empty(POST(21)));
}
