/* Operations that move caps (v3 kernel, "Operations").
 *
 * Would catch: an operation on the wrong slot, or through the wrong CNode of a path; a cap that is
 * lost or doubled; a copy that shares later changes; a misuse that goes through; a CNode moved into
 * itself. */
#include "tests/vm/kernel_support.h"

/* Slots of the instances here: Data in 5 and 6, a CNode in 7 with Data under 1 and a CNode under 2
 * that has a Data under 9. */
#define PATH2(a, last)    ((uint64_t)(a) << 8 | (last))
#define PATH3(a, b, last) ((uint64_t)(b) << 16 | (uint64_t)(a) << 8 | (last))

static struct slot slots[4];

static void fill(void)
{
    const struct slot deep[] = {{9, number_data(900)}};
    const struct slot node[] = {{1, number_data(700)}, {2, publish_cnode(w.dir, deep, 1)}};
    slots[0] = (struct slot){5, number_data(500)};
    slots[1] = (struct slot){6, number_data(600)};
    slots[2] = (struct slot){7, publish_cnode(w.dir, node, 2)};
    slots[3] = (struct slot){4, handle(javm_gas_handle(&(struct javm_key){1, {1}}))};
}

static void run(const struct code *c)
{
    fill();
    run_code(c, slots, 4);
}

KERNEL_TEST(mgmt, copy)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, COPY, 5, 8);
    OP(&c, COPY, 7, 9);
    OP(&c, COPY, PATH3(7, 2, 9), PATH2(9, 3)); /* changes the copy of 7 only */
    OP(&c, COPY, 4, 10);
    reply(&c, 1);
    run(&c);
    expect_halt(1);
    cr_expect(cap_is(POST(5), &slots[0].hash));
    cr_expect(cap_is(POST(8), &slots[0].hash));
    cr_expect(cap_is(POST(7), &slots[2].hash));
    cr_expect(cap_is(POST(10), &slots[3].hash));
    cr_expect_eq(first_word(POST(9, 3)), 900);
    cr_expect_eq(first_word(POST(9, 1)), 700);
    cr_expect_eq(first_word(POST(9, 2, 9)), 900);
}

KERNEL_TEST(mgmt, move_and_drop)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, MOVE, 5, PATH3(7, 2, 5));
    OP(&c, MOVE, PATH2(7, 2), 8);
    OP(&c, MOVE, PATH2(7, 1), 0);
    OP(&c, DROP, 6);
    reply(&c, 1);
    run(&c);
    expect_halt(1);
    cr_expect(is_empty(POST(5)));
    cr_expect(is_empty(POST(6)));
    cr_expect(is_empty(POST(7, 1)));
    cr_expect(is_empty(POST(7, 2)));
    cr_expect_eq(first_word(POST(8, 5)), 500);
    cr_expect_eq(first_word(POST(8, 9)), 900);
    cr_expect(is_empty(POST(0))); /* slot[0] went to the host */
    cr_assert_not_null(result.slot0);
    cr_expect_eq(data_u64(result.slot0, 0), 700);
}

KERNEL_TEST(mgmt, swap)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, SWAP, 5, PATH2(7, 1));
    OP(&c, SWAP, 6, 11); /* one of the two may be empty */
    reply(&c, 1);
    run(&c);
    expect_halt(1);
    cr_expect_eq(first_word(POST(5)), 700);
    cr_expect_eq(first_word(POST(7, 1)), 500);
    cr_expect(is_empty(POST(6)));
    cr_expect_eq(first_word(POST(11)), 600);
}

KERNEL_TEST(mgmt, mint_cnode)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, MINT_CNODE, 8, 77);
    OP(&c, MINT_CNODE, PATH2(8, 1));
    OP(&c, MOVE, 5, PATH3(8, 1, 255));
    reply(&c, 1);
    run(&c);
    expect_halt(1);
    cr_expect_eq(first_word(POST(8, 1, 255)), 500);
}

KERNEL_TEST(mgmt, wide_keys)
{
    const uint64_t wide = 0x1122334455667788;
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, SET_WIDE, 7, wide, 8, 5);
    OP(&c, SET_WIDE, PATH2(7, 2), 0x0100, 2, 6); /* bytes 00 01 */
    OP(&c, GET_WIDE, 7, wide, 8, 9);
    OP(&c, GET_WIDE, PATH2(7, 2), 0x0100, 2, 10);
    OP(&c, SET_WIDE, 7, wide, 8, 99); /* an empty source clears */
    reply(&c, 1);
    run(&c);
    expect_halt(1);
    cr_expect_eq(first_word(POST(9)), 500);
    cr_expect_eq(first_word(POST(10)), 600);
    cr_expect(is_empty(POST(5)));
    cr_expect(is_empty(POST(6)));
    struct javm_cap *node = POST(7), *deep = POST(7, 2);
    const struct javm_key cleared = {8, {0x88, 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11}};
    const struct javm_key set = {2, {0, 1}};
    cr_expect_null(javm_cnode_get(node, &cleared));
    cr_expect_not_null(javm_cnode_get(deep, &set));
    cr_expect_eq(javm_cnode_count(node), 2);
    javm_cap_release(node);
    javm_cap_release(deep);
}

/* slot[0] is the frame's, not its root CNode's: a CNode there has wide keys all the same, and what
 * was given stays what it was. */
KERNEL_TEST(mgmt, wide_keys_of_slot0)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, COPY, 7, 0);
    OP(&c, SET_WIDE, 0, 0x0100, 2, 5);
    OP(&c, GET_WIDE, 0, 0x0100, 2, 9);
    OP(&c, SET_WIDE, 0, 2, 1, 99); /* clears what lies deeper in it, too */
    OP(&c, COPY, 0, 10);
    reply(&c, 1);
    run(&c);
    expect_halt(1);
    cr_expect_eq(first_word(POST(9)), 500);
    cr_expect(is_empty(POST(5)));
    struct javm_cap *before = POST(7), *after = POST(10);
    const struct javm_key set = {2, {0, 1}};
    cr_expect_null(javm_cnode_get(before, &set));
    cr_expect_not_null(javm_cnode_get(after, &set));
    cr_expect_eq(javm_cnode_count(after), javm_cnode_count(before));
    javm_cap_release(before);
    javm_cap_release(after);
}

/* Each of these is refused, whatever came before; with the operand repaired it is not. */
KERNEL_TEST(mgmt, misuse)
{
    static const struct {
        int32_t number;
        uint64_t arguments[4];
    } wrong[] = {
        {COPY, {8, 9}},           /* empty source */
        {COPY, {5, 6}},           /* destination taken */
        {COPY, {PATH2(5, 1), 8}}, /* a step that is no CNode */
        {COPY, {PATH2(8, 1), 9}}, /* a step that is empty */
        {COPY, {5, PATH2(6, 1)}},
        {MOVE, {8, 9}},
        {MOVE, {5, 6}},
        {MOVE, {5, 5}},
        {MOVE, {7, PATH2(7, 3)}}, /* into itself */
        {MOVE, {7, PATH3(7, 2, 3)}},
        {MOVE, {2, 8}}, /* pinned */
        {MOVE, {5, 2}},
        {DROP, {8}},
        {DROP, {2}},
        {SWAP, {2, 5}},
        {SWAP, {5, 5}},
        {SWAP, {7, PATH2(7, 1)}},
        {SWAP, {PATH2(7, 1), 7}},
        {MINT_CNODE, {5}},
        {MINT_CNODE, {2}},
        {MINT_CNODE, {PATH2(8, 1)}},
        {GET_WIDE, {5, 1, 1, 8}}, /* no CNode */
        {GET_WIDE, {7, 1, 0, 8}}, /* no key */
        {GET_WIDE, {7, 1, 9, 8}},
        {GET_WIDE, {7, 3, 2, 8}}, /* nothing there */
        {GET_WIDE, {7, 1, 1, 5}}, /* destination taken */
        {SET_WIDE, {5, 1, 1, 6}},
        {SET_WIDE, {7, 1, 0, 6}},
        {SET_WIDE, {7, 1, 9, 6}},
        {SET_WIDE, {7, 3, 2, 7}}, /* into itself */
        {SET_WIDE, {PATH2(7, 2), 3, 2, 7}},
        {SET_WIDE, {7, 3, 2, 2}}, /* pinned */
    };
    const struct javm_pin pin = {javm_key_from_u64(2), number_data(1)};
    const struct javm_image pinned = {.pinned = &pin, .pinned_count = 1};
    for (size_t i = 0; i < CODE(wrong); i++) {
        struct code c = {.count = 0};
        endpoint(&c);
        operate(&c, wrong[i].number, wrong[i].arguments, 4);
        reply(&c, 1);
        fill();
        const struct javm_hash image = image_with(&c, 0, &pinned);
        run_with(&image, slots, 4);
        cr_expect_eq(result.end, JAVM_END_FAULTED, "case %zu", i);
        cr_expect_eq(result.fault, JAVM_FAULT_BAD_OPERAND, "case %zu", i);
        cr_expect_null(result.post_instance);
    }
}

KERNEL_TEST(mgmt, pinned_can_be_copied)
{
    const struct javm_pin pin = {javm_key_from_u64(2), number_data(1234)};
    const struct javm_image pinned = {.pinned = &pin, .pinned_count = 1};
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, COPY, 2, 8);
    reply(&c, 1);
    fill();
    const struct javm_hash image = image_with(&c, 0, &pinned);
    run_with(&image, slots, 4);
    expect_halt(1);
    cr_expect_eq(first_word(POST(8)), 1234);
    cr_expect(is_empty(POST(2)));
}

KERNEL_TEST(mgmt, ecall_jar_selects_by_register)
{
    struct code c = {.count = 0};
    endpoint(&c);
    li(&c, A0, 5);
    li(&c, A1, 8);
    li(&c, 14, MOVE);
    emit(&c, ECALL_JAR);
    reply(&c, 3);
    run(&c);
    expect_halt(3);
    cr_expect_eq(first_word(POST(8)), 500);
    cr_expect_eq(result.gas_used, 200 + 2);
}

/* Numbers without an operation trap; above 63 they are the host's. */
KERNEL_TEST(mgmt, no_such_operation)
{
    static const int32_t numbers[] = {8, 15, 31, 32, 63};
    for (size_t i = 0; i < CODE(numbers); i++) {
        struct code c = {.count = 0};
        endpoint(&c);
        emit(&c, ECALLI(numbers[i]));
        run(&c);
        expect_fault(JAVM_FAULT_TRAP);
    }
}

/* What a run did to a mapped slot is its own affair: the published Instance, which the Vm keeps
 * ready and shares with the frame, shows the same the next time. */
KERNEL_TEST(mgmt, replaced_mappings_of_a_published_instance)
{
    struct code c = {.count = 0};
    endpoint(&c);
    load(&c, 8, STATE);
    OP(&c, DROP, S_STATE);
    emit(&c, ADDI(A0, 8, 0));
    emit(&c, REPLY);
    const struct javm_hash image = image_with(&c, WITH_STATE, NULL);
    const struct slot state = {S_STATE, number_data(77)};
    const struct javm_hash instance = publish_instance(w.dir, &image, &state, 1);
    const struct javm_call call = usual_call(&instance);
    for (unsigned i = 0; i < 3; i++) {
        invoke(&call);
        expect_halt(77);
        cr_expect(is_empty(POST(S_STATE)));
    }
}

/* The source of a mapping that the run itself replaced stays replaced; the others get their pages.
 */
KERNEL_TEST(mgmt, replaced_mappings)
{
    for (int replace = 0; replace < 3; replace++) {
        struct code c = {.count = 0};
        endpoint(&c);
        li(&c, A0, 77);
        store(&c, STATE, A0);
        if (replace != 0)
            OP(&c, MOVE, S_STATE, 8);
        if (replace == 2)
            OP(&c, COPY, 5, S_STATE);
        load(&c, A0, STATE); /* memory is what it was */
        emit(&c, REPLY);
        fill();
        const struct javm_hash image = image_with(&c, WITH_STATE, NULL);
        struct slot with_state[5];
        memcpy(with_state, slots, sizeof slots);
        with_state[4] = (struct slot){S_STATE, number_data(300)};
        run_with(&image, with_state, 5);
        expect_halt(77);
        if (replace == 1)
            cr_expect(is_empty(POST(S_STATE)));
        else
            cr_expect_eq(first_word(POST(S_STATE)), replace == 0 ? 77 : 500);
        if (replace != 0)
            cr_expect_eq(first_word(POST(8)), 300);
    }
}

/* The run wrote into a mapping whose slot was empty, and put something else there. */
KERNEL_TEST(mgmt, a_source_that_comes_later)
{
    for (int put = 0; put < 2; put++) {
        struct code c = {.count = 0};
        endpoint(&c);
        li(&c, A0, 77);
        store(&c, STATE, A0);
        if (put)
            OP(&c, COPY, 5, S_STATE);
        reply(&c, 1);
        fill();
        const struct javm_hash image = image_with(&c, WITH_STATE, NULL);
        run_with(&image, slots, 4);
        expect_halt(1);
        cr_expect_eq(first_word(POST(S_STATE)), put ? 500 : 77);
    }
}

/* A mapping whose source lies in a CNode that the run exchanges. */
KERNEL_TEST(mgmt, a_source_below_what_is_replaced)
{
    for (int replace = 0; replace < 3; replace++) {
        struct code c = {.count = 0};
        endpoint(&c);
        li(&c, A0, 77);
        store(&c, STATE, A0);
        if (replace != 0)
            OP(&c, MOVE, 7, 8);
        if (replace == 2) {
            OP(&c, MINT_CNODE, 7);
            OP(&c, COPY, 5, PATH2(7, 1));
        }
        reply(&c, 1);
        const struct javm_mapping mapping = {.start = STATE,
                                             .size = PAGE,
                                             .depth = 2,
                                             .path = {javm_key_from_u64(7), javm_key_from_u64(1)}};
        const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                          .code = (const uint8_t *)c.words,
                                          .code_len = 4 * (uint64_t)c.count,
                                          .endpoints = c.endpoints,
                                          .endpoint_count = 1,
                                          .mappings = &mapping,
                                          .mapping_count = 1};
        fill();
        const struct javm_hash image = publish_image(w.dir, &fields);
        run_with(&image, slots, 4);
        expect_halt(1);
        if (replace == 0) {
            cr_expect_eq(first_word(POST(7, 1)), 77);
            continue;
        }
        cr_expect_eq(first_word(POST(8, 1)), 700);
        if (replace == 2)
            cr_expect_eq(first_word(POST(7, 1)), 500);
        else
            cr_expect(is_empty(POST(7)));
    }
}

/* slot[0] is what its mapping shows, and the other way round. */
KERNEL_TEST(mgmt, slot0_and_its_window)
{
    struct code c = {.count = 0};
    endpoint(&c);
    li(&c, A0, 11);
    store(&c, WINDOW, A0);
    OP(&c, COPY, 0, 8); /* has the bytes */
    OP(&c, DROP, 0);
    load(&c, 8, WINDOW);
    expect(&c, 8, 0);
    OP(&c, MOVE, 5, 0); /* shows them */
    load(&c, 8, WINDOW);
    expect(&c, 8, 500);
    li(&c, A0, 12);
    store(&c, WINDOW + 8, A0);
    OP(&c, MOVE, 0, 9);
    OP(&c, MOVE, 4, 0); /* a handle: zeros */
    load(&c, 8, WINDOW);
    expect(&c, 8, 0);
    reply(&c, 1);
    fill();
    const struct javm_hash image = image_with(&c, WITH_WINDOW, NULL);
    run_with(&image, slots, 4);
    expect_halt(1);
    cr_expect_eq(first_word(POST(8)), 11);
    struct javm_cap *moved = POST(9);
    cr_expect_eq(data_u64(moved, 0), 500);
    cr_expect_eq(data_u64(moved, 8), 12);
    javm_cap_release(moved);
    cr_expect(cap_is(javm_cap_retain(result.slot0), &slots[3].hash));
}

/* ---- extremes --------------------------------------------------------------------------- */

/* CNodes nested as deep as gas allows: copied, hashed, published and dropped without recursion. */
KERNEL_TEST(mgmt, deep_values)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, MINT_CNODE, 9);
    li(&c, 9, 100000);
    emit(&c, FALLTHROUGH);
    const uint32_t loop = c.count;
    OP(&c, MINT_CNODE, 10);
    OP(&c, MOVE, 9, PATH2(10, 1));
    OP(&c, MOVE, 10, 9);
    emit(&c, ADDI(9, 9, -1));
    emit(&c, BNE(9, 0, 4 * ((int32_t)loop - (int32_t)c.count)));
    OP(&c, COPY, 9, 8);
    OP(&c, MINT_CNODE, PATH2(8, 2));
    reply(&c, 1);
    const struct javm_hash image = image_of(&c);
    const struct javm_hash instance = instantiate(w.dir, &image);
    struct javm_call call = usual_call(&instance);
    call.gas = 100000000;
    for (int post = 0; post < 2; post++) {
        call.want_post = post;
        invoke(&call);
        expect_halt(1);
    }
    struct javm_cap *node = POST(9, 1, 1, 1, 1);
    cr_expect_eq(javm_cnode_count(node), 1);
    javm_cap_release(node);
    node = POST(8);
    cr_expect_eq(javm_cnode_count(node), 2);
    javm_cap_release(node);
}

/* A guest that only makes operations does not escape the deadline. */
KERNEL_TEST(mgmt, a_deadline_between_operations)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, SWAP, 5, 6);
    emit(&c, JAL(0, -12));
    fill();
    const struct javm_hash image = image_of(&c);
    const struct javm_hash instance = publish_instance(w.dir, &image, slots, 4);
    struct javm_call call = usual_call(&instance);
    call.gas = UINT64_MAX;
    call.deadline_ns = 1; /* long ago */
    invoke(&call);
    cr_expect_eq(result.end, JAVM_END_TIMEOUT);
}
