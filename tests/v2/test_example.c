/* The specification's worked example (JAR v2 11), its variants, and how invocations end.
 *
 * Would catch: a charge too many or too few on the way through RETYPE, CREATE, MOVE, MAP, CALL,
 * RESUME and REPLY; a fault that does not leave its VM at the instruction; statuses and values that
 * a caller or the host is told wrongly. */
#include <criterion/criterion.h>

#include <string.h>

#include "tests/v2/scene.h"

#define CHILD 80u
#define PAGE  70u
#define TABLE (CHILD << 8) /* a slot of the child's */

static void prepare(struct scene *s, uint64_t max_gas, uint64_t access)
{
    struct text *t = begin(s, 16);
    li(t, 7, 1);
    op(t, OP_CALL, UNTYPED, PAGE); /* 1 */
    li(t, 7, 2);
    call(t, 65, CHILD);                 /* 2 */
    op(t, OP_MOVE, PAGE, TABLE | PAGE); /* 3 */
    li(t, 7, max_gas);
    op(t, OP_SET_MAX_GAS, CHILD, 0); /* 4 */
    args(t, 7, 8, 9, 10);
    call(t, CHILD, 0); /* 5, 6 */
    args(t, 0x20, 0, 1, access);
    op(t, OP_MAP, TABLE | PAGE, 0); /* 7 */
    op(t, OP_RESUME, CHILD, 0);     /* 8 */
    reply(t);                       /* 10 */
    struct text *child = add_code(s, 65);
    store(child, 0x20010, 8);
    reply(child);
    add_data(s, 66, 0x10, 2, true, NULL, 0);
    s->gas = 100000;
}

/* What all blocks of a code cost together, each entered once. */
static uint64_t blocks_of(const struct javm_jar *jar, unsigned code)
{
    const struct javm_program_key key = javm_pvm_key(&jar->codes[code], jar->memory_pages);
    struct javm_program *program;
    uint64_t sum = 0;
    REQUIRE(javm_program_decode(jar->codes[code].code, jar->codes[code].code_len, &key, &program,
                                NULL) == JAVM_OK);
    for (uint64_t i = 0; i < javm_program_blocks(program); i++) {
        struct javm_block_info info;
        javm_program_block(program, i, &info);
        if (info.start < jar->codes[code].code_len)
            sum += info.cost;
    }
    javm_program_free(program);
    return sum;
}

Test(v2_example, as_specified)
{
    struct scene s;
    prepare(&s, 20000, 1);
    struct javm_v2_blob *blob = make_blob(&s);
    const uint64_t blocks =
        blocks_of(javm_v2_blob_jar(blob), 0) + 2 * blocks_of(javm_v2_blob_jar(blob), 1);
    javm_v2_blob_release(blob);
    const struct outcome *o = play(&s);
    cr_expect_eq(o->result.end, JAVM_V2_END_HALT);
    cr_expect_eq(o->result.value, 7, "the child's own register: %lx", o->result.value);
    cr_expect_eq(o->result.regs[8], 0);
    cr_expect_eq(o->result.gas_left, 100000 - 3000 - 1500 - 12 * 10 - blocks);
    cr_expect_eq(o->result.vms, 2);
}

Test(v2_example, mapped_for_reading_it_faults_again)
{
    struct scene s;
    prepare(&s, 20000, 0);
    struct text *t = &s.entries[0].text;
    t->len -= 5; /* instead of the reply */
    t->starts[t->len] = 0;
    probe(t);
    args(t, 0x20, 0, 1, 1);
    op(t, OP_MAP, TABLE | PAGE, 0);
    reply(t);
    const struct outcome *o = play(&s);
    cr_expect_eq(noted(o, 0), 0x20000);
    cr_expect_eq(o->notes[0].regs[8], 4);
    cr_expect_eq(o->result.value, WHAT, "the access is fixed");
}

Test(v2_example, too_little_gas_for_the_child)
{
    struct scene s;
    struct text *t = begin(&s, 0), *child;
    li(t, 7, 0);
    call(t, 65, CHILD);
    li(t, 7, 10);
    op(t, OP_SET_MAX_GAS, CHILD, 0);
    probe(t);
    call(t, CHILD, 0);
    probe(t);
    reply(t);
    child = add_code(&s, 65);
    reply(child);
    const struct outcome *o = play(&s);
    cr_expect_eq(noted(o, 1), LOW);
    cr_expect_eq(o->notes[1].regs[8], 3);
    cr_expect_lt(o->notes[1].gas, o->notes[0].gas - 30, "what was handed over is burned");
}

/* ---- ends -------------------------------------------------------------------------------- */

enum way { REPLIES, TRAPS, PANICS, HALTS, FAULTS, BAD_ECALLI, NO_GAS };

static void end_in(struct text *t, enum way way)
{
    li(t, 7, 77);
    switch (way) {
    case REPLIES:
        reply(t);
        break;
    case TRAPS:
        break;
    case PANICS:
        PUT(t, 50, 0); /* to address φ[0] = 0 */
        break;
    case HALTS:
        halt(t);
        break;
    case FAULTS:
        load(t, 1, 0x12345678);
        break;
    case BAD_ECALLI:
        ecalli(t, 0x80000080);
        break;
    case NO_GAS:
        jump(t, t->len);
        break;
    }
    PUT(t, 0);
}

Test(v2_example, what_the_caller_learns)
{
    static const struct {
        enum way way;
        uint64_t r7, r8;
        bool resumes;
    } cases[] = {{REPLIES, 77, 0, false},          {TRAPS, 77, 1, true},
                 {PANICS, HUH, 2, true},           {HALTS, HUH, 2, false},
                 {NO_GAS, LOW, 3, true},           {FAULTS, 0x12345000, 4, true},
                 {BAD_ECALLI, 0x80000080, 5, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene s;
        struct text *t = begin(&s, 4);
        call(t, 65, CHILD);
        li(t, 7, 5000);
        op(t, OP_SET_MAX_GAS, CHILD, 0);
        li(t, 7, 1);
        op(t, OP_CALL, UNTYPED, PAGE); /* a cap to send */
        probe(t);
        call(t, CHILD, PAGE);
        probe(t);
        op(t, OP_RESUME, CHILD, 0); /* a trap, panic or bad ecalli repeats */
        probe(t);
        call(t, CHILD, 0);
        probe(t);
        li(t, 7, 0x1234);
        op(t, OP_MOVE, CHILD << 8, 71); /* the cap is still there, unless it came back */
        probe(t);
        reply(t);
        end_in(add_code(&s, 65), cases[i].way);
        const struct outcome *o = play(&s);
        cr_expect_eq(noted(o, 1), cases[i].r7, "%zu: %lx", i, noted(o, 1));
        cr_expect_eq(o->notes[1].regs[8], cases[i].r8);
        cr_expect_eq(noted(o, 2), cases[i].resumes ? cases[i].r7 : WHAT, "%zu", i);
        cr_expect_eq(noted(o, 3), WHAT, "only IDLE ones; the one that replied gets it, and traps");
        cr_expect_eq(o->notes[3].regs[8], cases[i].way == REPLIES ? 1 : o->notes[2].regs[8]);
        cr_expect_eq(noted(o, 4), cases[i].way == REPLIES ? WHAT : 0x1234);
        if (cases[i].way == NO_GAS)
            cr_expect_lt(o->notes[1].gas, o->notes[0].gas - 5000);
        else
            cr_expect_gt(o->notes[1].gas, o->notes[0].gas - 1000, "the rest comes back");
    }
}

Test(v2_example, what_the_host_learns)
{
    static const struct {
        enum way way;
        enum javm_v2_end end;
        uint64_t value;
    } cases[] = {{REPLIES, JAVM_V2_END_HALT, 77},     {TRAPS, JAVM_V2_END_PANIC, 0},
                 {PANICS, JAVM_V2_END_PANIC, 0},      {HALTS, JAVM_V2_END_HALT, 77},
                 {NO_GAS, JAVM_V2_END_OUT_OF_GAS, 0}, {FAULTS, JAVM_V2_END_PAGE_FAULT, 0x12345000},
                 {BAD_ECALLI, JAVM_V2_END_PANIC, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct scene s;
        end_in(begin(&s, 0), cases[i].way);
        s.gas = 5000;
        const struct outcome *o = play(&s);
        cr_expect_eq(o->result.end, cases[i].end, "%zu", i);
        cr_expect_eq(o->result.value, cases[i].value);
        cr_expect_eq(o->result.gas_left == 0, cases[i].way == NO_GAS);
        cr_expect_eq(o->result.regs[7], cases[i].way == BAD_ECALLI ? 0x80000080 : 77);
    }
}

/* ---- the start ----------------------------------------------------------------------------- */

Test(v2_example, arguments_and_refusals)
{
    static const uint8_t bytes[5000] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    struct scene s;
    struct text *t = begin(&s, 8);
    probe(t);
    load(t, 7, 0x5000);
    probe(t);
    load(t, 7, 0x6000 + 904);
    probe(t);
    reply(t);
    add_data(&s, 0, 5, 2, false, "AAAAAAAABBBBBBBB", 16);
    s.op = 3;
    s.args = bytes;
    s.args_len = 9;
    const struct outcome *o = play(&s);
    cr_expect_eq(noted(o, 0), 3);
    cr_expect_eq(o->notes[0].regs[8], 0x5000);
    cr_expect_eq(o->notes[0].regs[9], 9);
    cr_expect_eq(noted(o, 1), UINT64_C(0x0807060504030201));
    s.args_len = 8193;
    cr_expect_eq(play(&s)->result.reject, JAVM_V2_REJECT_INVALID_ARGS);
    s.args_len = 0;
    s.gas = 2999;
    o = play(&s);
    cr_expect_eq(o->result.end, JAVM_V2_END_REJECTED);
    cr_expect_eq(o->result.reject, JAVM_V2_REJECT_OUT_OF_GAS);
    s.memory_pages = 0x40001;
    cr_expect_eq(play(&s)->result.reject, JAVM_V2_REJECT_MEMORY_ERROR);
}
