/* VMs that call VMs, and what goes along (JAR v2 3, 6.3.2, 6.3.3, 7, 9).
 *
 * Would catch: a VM that is entered while it is on the stack; references through VMs that run; caps
 * that are lost, doubled or mapped wrongly on their way in or out; services that reach further than
 * they were given; gas that a VM in the middle of the stack gets or loses. */
#include <criterion/criterion.h>

#include <string.h>

#include "tests/v2/scene.h"

#define A        70u
#define CHILD    80u
#define FREE     90u
#define AT(page) ((uint32_t)(page) << 12)

static enum javm_v2_answer serve_number(struct javm_v2 *v2, struct javm_v2_call *c)
{
    (void)v2;
    c->r7 = c->id * 1000 + c->regs[7] % 1000;
    return JAVM_V2_CONTINUE;
}

static uint32_t ref(unsigned h2, unsigned h1, unsigned h0, unsigned slot)
{
    return h2 << 24 | h1 << 16 | h0 << 8 | slot;
}

/* A chain of three VMs, each with the HANDLE of the next in its slot CHILD. */
Test(v2_calls, references_of_three_steps)
{
    struct scene s;
    struct text *t = begin(&s, 16);
    li(t, 7, 0);
    call(t, 65, CHILD);
    li(t, 7, 0);
    op(t, OP_CALL, 65, ref(0, 0, CHILD, CHILD));
    probe(t);
    li(t, 7, 0);
    op(t, OP_CALL, 65, ref(0, CHILD, CHILD, CHILD));
    probe(t);
    li(t, 7, 1);
    op(t, OP_CALL, UNTYPED, ref(CHILD, CHILD, CHILD, A));
    probe(t);
    args(t, 16, 0, 1, 1);
    op(t, OP_MAP, ref(CHILD, CHILD, CHILD, A), 0);
    args(t, 0, 8, 0, 0);
    op(t, OP_CALL, 66, ref(CHILD, CHILD, CHILD, A)); /* bytes for the last one */
    probe(t);
    li(t, 7, 5);
    op(t, OP_CALL, ref(0, CHILD, CHILD, CHILD), 0); /* call it over its parents */
    probe(t);
    op(t, OP_RESUME, ref(0, CHILD, CHILD, CHILD), 0); /* RESUME only from the own table */
    probe(t);
    op(t, OP_MOVE, ref(0, CHILD, CHILD, CHILD), FREE);
    op(t, OP_RESUME, FREE, 0);
    probe(t);
    op(t, OP_COPY, ref(CHILD, CHILD, CHILD, A), 99); /* the last step is gone */
    probe(t);
    reply(t);
    t = add_code(&s, 65);
    load(t, 7, AT(16));
    PUT(t, 0);
    add_data(&s, 66, 1, 1, false, "ABCDEFGH", 8);
    const struct outcome *o = play(&s);
    static const uint64_t want[] = {
        CHILD, CHILD, A, 8, UINT64_C(0x4847464544434241), WHAT, UINT64_C(0x4847464544434241), WHAT};
    for (unsigned i = 0; i < 8; i++)
        cr_expect_eq(noted(o, i), want[i], "%u: %lx", i, noted(o, i));
    cr_expect_eq(o->notes[4].regs[8], 1);
}

Test(v2_calls, who_is_on_the_stack_cannot_be_called_or_looked_into)
{
    struct scene s;
    struct text *t = begin(&s, 16), *child;
    li(t, 7, 0);
    call(t, 65, CHILD);
    op(t, OP_DOWNGRADE, CHILD, 60);
    li(t, 7, UINT64_C(1) << 60); /* the second gets a CALLABLE for the first */
    call(t, 66, 81);
    op(t, OP_COPY, 3, ref(0, 0, 81, 20));
    op(t, OP_DOWNGRADE, 81, ref(0, 0, CHILD, 30)); /* and the first one for the second */
    op(t, OP_MOVE, CHILD, ref(0, 0, 81, 40));      /* whose HANDLE the second has */
    op(t, OP_CALL, ref(0, 0, 81, 40), 0);
    probe(t);
    reply(t);
    child = add_code(&s, 65); /* the first calls the second */
    call(child, 30, 0);
    reply(child);
    child = add_code(&s, 66);
    call(child, 60, 0);    /* WAITING */
    PUT(child, 100, 0x70); /* φ0 := φ7 */
    op(child, OP_RESUME, 40, 0);
    PUT(child, 200, 0x07, 0);
    op(child, OP_COPY, 20, ref(0, 0, 40, 7)); /* into a table of the stack */
    PUT(child, 200, 0x07, 0);
    PUT(child, 100, 0x07);
    reply(child);
    const struct outcome *o = play(&s);
    cr_expect_eq(noted(o, 0), (uint64_t)-6, "three times WHAT: %lx", noted(o, 0));
    cr_expect_eq(o->result.vms, 3);
}

/* A wrapper in the place of a service: it adds one, and may refuse. */
Test(v2_calls, a_vm_filters_a_service)
{
    struct scene s;
    struct text *t = begin(&s, 0), *v;
    li(t, 7, 1u << 5);
    call(t, 66, CHILD); /* the wrapper has the service itself */
    op(t, OP_DROP, 5, 0);
    op(t, OP_DOWNGRADE, CHILD, 5);
    li(t, 7, 1u << 5 | 1u << 6);
    call(t, 65, 81); /* the user has the wrapper */
    for (unsigned i = 1; i < 4; i++) {
        li(t, 7, i);
        call(t, 81, 0);
        probe(t);
    }
    reply(t);
    v = add_code(&s, 65);
    call(v, 5, 0);
    ecalli(v, 6);
    reply(v);
    jump(v, 0);
    v = add_code(&s, 66);
    PUT(v, 149, 0x77, 1);
    ecalli(v, 5);
    reply(v);
    jump(v, 0);
    s.serve = serve_number;
    const struct outcome *o = play(&s);
    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(noted(o, i), 6000 + 2 + i, "%lu", noted(o, i));
}

/* CREATE copies from the table in which the CODE is. */
Test(v2_calls, create_copies_what_may_be_copied)
{
    struct scene s;
    struct text *t = begin(&s, 16);
    li(t, 7, 1);
    op(t, OP_CALL, UNTYPED, 40); /* DATA: move-only */
    op(t, OP_COPY, UNTYPED, 41);
    op(t, OP_COPY, 64, 42);
    li(t, 7, 0);
    call(t, 65, 43); /* HANDLE: move-only */
    op(t, OP_DOWNGRADE, 43, 44);
    op(t, OP_DROP, 7, 0);
    op(t, OP_COPY, 9, 63);
    op(t, OP_COPY, 9, 65 - 1 + 2); /* 66: outside of the mask */
    li(t, 7, UINT64_MAX);
    call(t, 65, CHILD);
    /* Which slots of the child are taken? DROP says nothing, MOVE to an own free slot does. */
    static const unsigned slots[] = {0, 1, 7, 28, 40, 41, 42, 43, 44, 63, 64, 66};
    for (unsigned i = 0; i < 12; i++) {
        li(t, 7, 0);
        op(t, OP_MOVE, ref(0, 0, CHILD, slots[i]), 100 + i);
        probe(t);
    }
    reply(t);
    PUT(add_code(&s, 65), 0);
    const struct outcome *o = play(&s);
    static const bool there[] = {false, true,  false, true, false, true,
                                 true,  false, true,  true, false, false};
    for (unsigned i = 0; i < 12; i++)
        cr_expect_eq(noted(o, i), there[i] ? 0 : WHAT, "slot %u", slots[i]);
}

/* ---- caps that go along -------------------------------------------------------------------- */

static void lend(struct scene *s, bool map_there)
{
    struct text *t = begin(s, 16), *v;
    li(t, 7, 3);
    op(t, OP_CALL, UNTYPED, A);
    args(t, 16, 0, 1, 1);
    op(t, OP_MAP, A, 0);
    args(t, 16, 2, 1, 1);
    op(t, OP_MAP, A, 0);
    li(t, 1, 0x1111);
    store(t, AT(16), 1);
    li(t, 7, 0);
    call(t, 65, CHILD);
    call(t, CHILD, A);
    probe(t);
    load(t, 7, AT(16));
    probe(t);
    load(t, 7, AT(18));
    probe(t);
    load(t, 7, AT(17)); /* was not mapped */
    PUT(t, 0);
    v = add_code(s, 65);
    if (map_there) {
        args(v, 40, 0, 3, 1);
        op(v, OP_MAP, 0, 0);
        load(v, 7, AT(40));
        li(v, 1, 0x2222);
        store(v, AT(42), 1);
    }
    reply(v);
}

Test(v2_calls, a_page_that_is_lent_comes_back_to_its_place)
{
    for (unsigned i = 0; i < 2; i++) {
        struct scene s;
        lend(&s, i == 1);
        const struct outcome *o = play(&s);
        cr_expect_eq(o->notes[0].regs[8], 0);
        if (i == 1)
            cr_expect_eq(noted(o, 0), 0x1111);
        cr_expect_eq(noted(o, 1), 0x1111);
        cr_expect_eq(noted(o, 2), i == 1 ? 0x2222 : 0);
        cr_expect_eq(o->result.end, JAVM_V2_END_PAGE_FAULT);
        cr_expect_eq(o->result.value, AT(17));
    }
}

/* The callee answers with a cap of its own; a cap in slot 0 gives way to the next that is sent. */
Test(v2_calls, caps_come_back_whatever_was_sent)
{
    struct scene s;
    struct text *t = begin(&s, 16), *v;
    li(t, 7, 0);
    call(t, 65, CHILD);
    op(t, OP_MOVE, 67, ref(0, 0, CHILD, A)); /* 2 pages */
    op(t, OP_COPY, 3, 95);
    call(t, CHILD, 95); /* PROTOCOL there, DATA back */
    args(t, 16, 1, 1, 1);
    op(t, OP_MAP, 95, 0);
    probe(t);           /* it has 2 pages: fine */
    call(t, CHILD, 96); /* an empty slot is sent: nothing; slot 0 comes back all the same */
    li(t, 7, 1);
    op(t, OP_COPY, 96, 97);
    probe(t);
    op(t, OP_MOVE, 96, ref(0, 0, CHILD, 0));
    call(t, CHILD, 97); /* drops what was in slot 0, and traps */
    probe(t);
    li(t, 7, 1);
    op(t, OP_MOVE, ref(0, 0, CHILD, 0), 98);
    probe(t);
    reply(t);
    v = add_code(&s, 65);
    op(v, OP_DROP, 0, 0);
    op(v, OP_MOVE, A, 0);
    reply(v);
    op(v, OP_COPY, 64, 0); /* nothing is there: WHAT */
    PUT(v, 100, 0x70);
    op(v, OP_MOVE, 100, 0);
    reply(v);
    PUT(v, 0);
    add_data(&s, 67, 30, 2, true, NULL, 0);
    const struct outcome *o = play(&s);
    cr_expect_eq(noted(o, 0), 16, "%lx", noted(o, 0));
    cr_expect_eq(noted(o, 1), WHAT, "it had nothing to give");
    cr_expect_eq(o->notes[2].regs[8], 1);
    cr_expect_eq(noted(o, 3), WHAT);
}

Test(v2_calls, callers_keep_their_registers_and_servers_go_on_behind_the_reply)
{
    struct scene s;
    struct text *t = begin(&s, 0), *v;
    li(t, 7, 0);
    call(t, 65, CHILD);
    for (unsigned i = 0; i < 3; i++) {
        args(t, i, 20, 30, 40);
        li(t, 11, 50);
        call(t, CHILD, 0);
        probe(t);
    }
    reply(t);
    v = add_code(&s, 65);
    PUT(v, 149, 0x00, 1); /* φ0 counts */
    PUT(v, 200, 0x87, 7); /* φ7 += φ8 + φ9 + φ10 + φ0 + φ11 + φ12 */
    PUT(v, 200, 0x97, 7);
    PUT(v, 200, 0xA7, 7);
    PUT(v, 200, 0x07, 7);
    PUT(v, 200, 0xB7, 7);
    PUT(v, 200, 0xC7, 7);
    li(v, 9, 99);
    reply(v);
    jump(v, 0);
    const struct outcome *o = play(&s);
    for (unsigned i = 0; i < 3; i++) {
        cr_expect_eq(noted(o, i), 90 + 2 * i + 1, "%lu", noted(o, i));
        cr_expect_eq(o->notes[i].regs[8], 0);
        cr_expect_eq(o->notes[i].regs[9], 30);
        cr_expect_eq(o->notes[i].regs[11], 50);
    }
}

/* ---- limits ---------------------------------------------------------------------------------- */

/* 65535 VMs in a chain: each makes the next and calls it. */
Test(v2_calls, as_many_vms_as_there_may_be)
{
    struct scene s;
    struct text *t = begin(&s, 0);
    PUT(t, 1);
    op(t, OP_COPY, 64, 29); /* inside the mask */
    li(t, 7, UINT64_MAX);
    call(t, 29, CHILD);
    li(t, 8, 77);
    call(t, CHILD, 0);
    PUT(t, 149, 0x77, 1);
    reply(t);
    s.gas = UINT64_C(1) << 50;
    const struct outcome *o = play(&s);
    cr_expect_eq(o->result.end, JAVM_V2_END_HALT, "%d", o->result.end);
    cr_expect_eq(o->result.vms, 65535);
    /* The last one's CALL is WHAT, and each on the way back adds one. */
    cr_expect_eq(o->result.value, WHAT + 65535, "%lx", o->result.value);
}

static enum javm_v2_answer end_all(struct javm_v2 *v2, struct javm_v2_call *c)
{
    (void)v2;
    c->gas -= 100;
    return c->id == 1 ? JAVM_V2_PANIC : c->id == 2 ? JAVM_V2_OUT_OF_GAS : JAVM_V2_CONTINUE;
}

Test(v2_calls, the_host_charges_and_ends_invocations)
{
    for (unsigned id = 1; id <= 3; id++) {
        struct scene s;
        struct text *t = begin(&s, 0), *v;
        li(t, 7, UINT64_MAX);
        call(t, 65, CHILD);
        li(t, 7, 1000);
        op(t, OP_SET_MAX_GAS, CHILD, 0);
        call(t, CHILD, 0);
        reply(t);
        v = add_code(&s, 65);
        probe(v);
        ecalli(v, id);
        probe(v);
        reply(v);
        s.serve = end_all;
        const struct outcome *o = play(&s);
        static const enum javm_v2_end ends[] = {JAVM_V2_END_PANIC, JAVM_V2_END_OUT_OF_GAS,
                                                JAVM_V2_END_HALT};
        cr_expect_eq(o->result.end, ends[id - 1]);
        if (id == 1)
            cr_expect(o->result.gas_left > 100 && o->result.gas_left < 1000, "the active VM's");
        if (id == 2)
            cr_expect_eq(o->result.gas_left, 0);
        if (id == 3)
            cr_expect_eq(o->notes[0].gas - o->notes[1].gas, 97 + 10 + 100 + 97 + 10);
    }
}

Test(v2_calls, a_deadline_ends_what_does_nothing_but_ecalls)
{
    struct scene s;
    struct text *t = begin(&s, 0);
    PUT(t, 1);
    op(t, OP_DROP, FREE, 0);
    jump(t, 1);
    s.gas = UINT64_MAX;
    s.deadline_ns = 1; /* long ago */
    struct javm_v2_blob *blob = make_blob(&s);
    for (unsigned i = 0; i < 2; i++) {
        struct javm_v2 *v2;
        struct javm_v2_result result;
        const struct javm_v2_options options = {.engine = (enum javm_engine)i};
        if (!javm_engine_available(options.engine))
            continue;
        cr_assert_eq(javm_v2_create(&options, &v2, NULL), JAVM_OK);
        const struct javm_v2_invocation invocation = {.gas = s.gas, .deadline_ns = 1};
        cr_assert_eq(javm_v2_invoke(v2, blob, &invocation, &result, NULL), JAVM_OK);
        cr_expect_eq(result.end, JAVM_V2_END_TIMEOUT);
        cr_expect_gt(result.gas_left, 0);
        javm_v2_destroy(v2);
    }
    javm_v2_blob_release(blob);
}
