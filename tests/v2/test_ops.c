/* The operations of ecall, row by row (JAR v2 6.4), and CALL on what is no VM.
 *
 * Would catch: an operation that does something although a condition does not hold; one that takes
 * caps of a type that it is not for; a wrong slot as result; references that resolve differently.
 */
#include <criterion/criterion.h>

#include "tests/v2/scene.h"

#define DATA    70u /* 4 pages */
#define CHILD   80u
#define CALLER  81u /* a CALLABLE for it */
#define FREE    90u
#define FULL    26u /* a slot that is taken */
#define NOTHING 91u

/* All types in one table; each operation is to be probed with φ[7] = its own argument. */
static struct text *table(struct scene *s)
{
    struct text *t = begin(s, 64);
    li(t, 7, 4);
    op(t, OP_CALL, UNTYPED, DATA);
    li(t, 7, 0);
    call(t, 65, CHILD);
    op(t, OP_DOWNGRADE, CHILD, CALLER);
    return t;
}

static void child_that_replies(struct scene *s)
{
    struct text *child = add_code(s, 65);
    reply(child);
    jump(child, 0);
}

/* What φ[7] is after the operation; 0x5555 stands for "as it was". */
#define SAME 0x5555u
struct row {
    uint64_t op;
    uint32_t subject, object;
    uint64_t r7, r8, r9, r10, result;
};

static void check_rows(const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct scene s;
        struct text *t = table(&s);
        args(t, rows[i].r7, rows[i].r8, rows[i].r9, rows[i].r10);
        op(t, rows[i].op, rows[i].subject, rows[i].object);
        probe(t);
        reply(t);
        child_that_replies(&s);
        const struct outcome *o = play(&s);
        cr_expect_eq(noted(o, 0), rows[i].result == SAME ? rows[i].r7 : rows[i].result,
                     "row %zu, operation %lu: %lx", i, rows[i].op, noted(o, 0));
        cr_expect_eq(o->notes[0].regs[8], rows[i].r8);
    }
}
#define ROWS(...)                                        \
    do {                                                 \
        static const struct row rows_[] = {__VA_ARGS__}; \
        check_rows(rows_, sizeof rows_ / sizeof *rows_); \
    } while (0)

Test(v2_ops, every_operation_refuses_types_that_it_is_not_for)
{
    static const uint32_t by_type[] = {NOTHING, UNTYPED, DATA, 64, CHILD, CALLER, 3};
    static const struct {
        uint64_t op;
        uint32_t right; /* bits of the list above */
    } cases[] = {{1, 0},
                 {OP_MAP, 4},
                 {OP_UNMAP, 4},
                 {OP_SPLIT, 4},
                 {OP_DROP, 0x7F},
                 {OP_MOVE, 0x7E},
                 {OP_COPY, 0x6A},
                 {8, 0},
                 {9, 0},
                 {OP_DOWNGRADE, 0x10},
                 {OP_SET_MAX_GAS, 0x10},
                 {OP_DIRTY, 4},
                 {14, 0},
                 {UINT64_C(1) << 32 | OP_MAP, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (unsigned k = 0; k < 7; k++) {
            struct scene s;
            struct text *t = table(&s);
            args(t, 1, 1, 0, 1);
            if (cases[i].op == OP_DIRTY)
                li(t, 7, 0x5000);
            op(t, cases[i].op, by_type[k], FREE);
            probe(t);
            reply(t);
            child_that_replies(&s);
            add_data(&s, 69, 5, 1, true, NULL, 0);
            const bool right = (cases[i].right >> k & 1) != 0;
            const uint64_t result = cases[i].op == OP_DIRTY ? 0 : 1;
            cr_expect_eq(noted(play(&s), 0), right ? result : WHAT, "operation %lu, type %u",
                         cases[i].op, k);
        }
}

Test(v2_ops, map)
{
    ROWS({OP_MAP, DATA, 0, 16, 0, 4, 1, SAME}, {OP_MAP, DATA, 0, 16, 0, 5, 1, WHAT},
         {OP_MAP, DATA, 0, 16, 3, 2, 1, WHAT}, {OP_MAP, DATA, 0, 16, UINT64_MAX, 2, 1, WHAT},
         {OP_MAP, DATA, 0, 16, 1, UINT64_MAX, 1, WHAT}, {OP_MAP, DATA, 0, 0xFFFFC, 0, 4, 1, SAME},
         {OP_MAP, DATA, 0, 0xFFFFD, 0, 4, 1, WHAT}, {OP_MAP, DATA, 0, 0xFFFFD, 2, 1, 1, SAME},
         {OP_MAP, DATA, 0, UINT64_MAX, 0, 4, 1, WHAT}, {OP_MAP, DATA, 0, 1 << 20, 0, 0, 1, SAME},
         {OP_MAP, DATA, 0, UINT64_C(1) << 32, 0, 4, 1, WHAT}, {OP_MAP, DATA, 0, 16, 4, 0, 2, SAME},
         {OP_MAP, DATA, 0, 16, 5, 0, 2, WHAT});
}

Test(v2_ops, the_first_map_fixes_base_and_access)
{
    struct scene s;
    struct text *t = table(&s);
    static const struct row maps[] = {
        {OP_MAP, DATA, 0, 16, 9, 1, 1, WHAT}, /* refused: fixes nothing */
        {OP_MAP, DATA, 0, 20, 0, 0, 0, SAME},  {OP_MAP, DATA, 0, 16, 0, 1, 0, WHAT},
        {OP_MAP, DATA, 0, 20, 0, 1, 1, WHAT},  {OP_MAP, DATA, 0, 20, 0, 1, 77, SAME},
        {OP_UNMAP, DATA, 0, 0, 4, 0, 0, SAME}, {OP_MAP, DATA, 0, 16, 0, 1, 0, WHAT}};
    const unsigned count = sizeof maps / sizeof *maps;
    for (unsigned i = 0; i < count; i++) {
        args(t, maps[i].r7, maps[i].r8, maps[i].r9, maps[i].r10);
        op(t, maps[i].op, DATA, 0);
        probe(t);
    }
    reply(t);
    child_that_replies(&s);
    const struct outcome *o = play(&s);
    for (unsigned i = 0; i < count; i++)
        cr_expect_eq(noted(o, i), maps[i].result == SAME ? maps[i].r7 : WHAT, "%u", i);
}

Test(v2_ops, unmap_ignores_what_is_not_there)
{
    ROWS({OP_UNMAP, DATA, 0, 0, 4, 0, 0, SAME}, {OP_UNMAP, DATA, 0, 4, 1, 0, 0, SAME},
         {OP_UNMAP, DATA, 0, UINT64_MAX, UINT64_MAX, 0, 0, SAME},
         {OP_UNMAP, DATA, 0, 2, UINT64_MAX, 0, 0, SAME});
}

Test(v2_ops, split)
{
    ROWS({OP_SPLIT, DATA, FREE, 1, 0, 0, 0, SAME}, {OP_SPLIT, DATA, FREE, 3, 0, 0, 0, SAME},
         {OP_SPLIT, DATA, FREE, 0, 0, 0, 0, WHAT}, {OP_SPLIT, DATA, FREE, 4, 0, 0, 0, WHAT},
         {OP_SPLIT, DATA, FREE, UINT64_MAX, 0, 0, 0, WHAT},
         {OP_SPLIT, DATA, FULL, 1, 0, 0, 0, WHAT}, {OP_SPLIT, DATA, DATA, 1, 0, 0, 0, WHAT});
    struct scene s;
    struct text *t = table(&s);
    args(t, 16, 1, 1, 1);
    op(t, OP_MAP, DATA, 0);
    li(t, 7, 1);
    op(t, OP_SPLIT, DATA, FREE);
    probe(t); /* a bit is set */
    args(t, 0, 4, 0, 0);
    op(t, OP_UNMAP, DATA, 0);
    li(t, 7, 1);
    op(t, OP_SPLIT, DATA, FREE);
    probe(t);
    args(t, 99, 0, 1, 0); /* another base, another access */
    op(t, OP_MAP, DATA, 0);
    probe(t);
    args(t, 50, 0, 3, 1);
    op(t, OP_MAP, FREE, 0);
    probe(t);
    args(t, 50, 3, 1, 1);
    op(t, OP_MAP, FREE, 0);
    probe(t);
    reply(t);
    child_that_replies(&s);
    const struct outcome *o = play(&s);
    static const uint64_t want[] = {WHAT, 1, 99, 50, WHAT};
    for (unsigned i = 0; i < 5; i++)
        cr_expect_eq(noted(o, i), want[i], "%u", i);
}

Test(v2_ops, move_copy_and_drop)
{
    ROWS({OP_MOVE, DATA, FREE, 5, 0, 0, 0, SAME}, {OP_MOVE, DATA, DATA, 5, 0, 0, 0, SAME},
         {OP_MOVE, NOTHING, NOTHING, 5, 0, 0, 0, SAME}, {OP_MOVE, NOTHING, FREE, 5, 0, 0, 0, WHAT},
         {OP_MOVE, DATA, FULL, 5, 0, 0, 0, WHAT}, {OP_COPY, 3, FREE, 5, 0, 0, 0, SAME},
         {OP_COPY, 3, FULL, 5, 0, 0, 0, WHAT}, {OP_COPY, 3, 3, 5, 0, 0, 0, WHAT},
         {OP_DROP, NOTHING, 0, 5, 0, 0, 0, SAME},
         /* references: the child's table, one step too many, no HANDLE, a HANDLE to nobody */
         {OP_MOVE, DATA, CHILD << 8 | 9, 5, 0, 0, 0, SAME},
         {OP_MOVE, DATA, CHILD << 24 | 9, 5, 0, 0, 0, SAME},
         {OP_MOVE, DATA, CHILD << 16 | CHILD << 8 | 9, 5, 0, 0, 0, WHAT},
         {OP_MOVE, DATA, CALLER << 8 | 9, 5, 0, 0, 0, WHAT},
         {OP_MOVE, DATA, NOTHING << 8 | 9, 5, 0, 0, 0, WHAT},
         {OP_MOVE, NOTHING << 8 | DATA, FREE, 5, 0, 0, 0, WHAT},
         {OP_DROP, CHILD << 8 | 9, 0, 5, 0, 0, 0, SAME},
         {OP_DOWNGRADE, CHILD, CHILD << 8 | 9, 5, 0, 0, 0, SAME},
         {OP_DOWNGRADE, CHILD, FULL, 5, 0, 0, 0, WHAT},
         {OP_MOVE, CHILD, CHILD << 8 | 9, 5, 0, 0, 0, SAME});
}

Test(v2_ops, calls_on_caps_that_are_no_vm)
{
    ROWS(/* UNTYPED */
         {OP_CALL, UNTYPED, FREE, 2, 0, 0, 0, FREE}, {OP_CALL, UNTYPED, FULL, 2, 0, 0, 0, WHAT},
         {OP_CALL, UNTYPED, FREE, 0, 0, 0, 0, FREE}, {OP_CALL, UNTYPED, FREE, 61, 0, 0, 0, WHAT},
         {OP_CALL, UNTYPED, CHILD << 8 | 9, 60, 0, 0, 0, 9},
         {OP_CALL, UNTYPED, NOTHING << 8 | 9, 1, 0, 0, 0, WHAT},
         /* CODE */
         {OP_CALL, 64, FREE, 7, 0, 0, 0, FREE}, {OP_CALL, 64, FULL, 7, 0, 0, 0, WHAT},
         {OP_CALL, 64, CHILD << 8 | 200, 7, 0, 0, 0, 200},
         /* DATA: source offset, length, destination offset */
         {OP_CALL, DATA, DATA, 0, 1, 4096, 0, 1}, {OP_CALL, DATA, 0, 0, 1, 0, 0, WHAT},
         {OP_CALL, DATA, DATA, 0, 0, 0, 0, WHAT}, {OP_CALL, DATA, DATA, 0, 16384, 0, 0, 16384},
         {OP_CALL, DATA, DATA, 1, 16384, 0, 0, WHAT}, {OP_CALL, DATA, DATA, 0, 16384, 1, 0, WHAT},
         {OP_CALL, DATA, DATA, UINT64_MAX, 2, 0, 0, WHAT},
         {OP_CALL, DATA, DATA, 0, UINT64_MAX, 1, 0, WHAT},
         {OP_CALL, DATA, DATA, 0, 2, UINT64_MAX, 0, WHAT}, {OP_CALL, DATA, FREE, 0, 1, 0, 0, WHAT},
         {OP_CALL, DATA, 64, 0, 1, 0, 0, WHAT},
         /* PROTOCOL, not served; nothing */
         {OP_CALL, 3, 0, 5, 6, 0, 0, WHAT}, {OP_CALL, NOTHING, 0, 5, 0, 0, 0, WHAT},
         {OP_CALL, 0, 0, 5, 0, 0, 0, WHAT});
}

Test(v2_ops, pages_of_a_failed_retype_are_lost)
{
    struct scene s;
    struct text *t = begin(&s, 8);
    probe(t);
    li(t, 7, 7);
    op(t, OP_CALL, UNTYPED, FULL);
    probe(t);
    li(t, 7, 2);
    op(t, OP_CALL, UNTYPED, FREE);
    probe(t);
    li(t, 7, 1);
    op(t, OP_CALL, UNTYPED, FREE);
    probe(t);
    reply(t);
    const struct outcome *o = play(&s);
    cr_expect_eq(noted(o, 1), WHAT);
    cr_expect_gt(o->notes[0].gas - o->notes[1].gas, 7 * 1500);
    cr_expect_eq(noted(o, 2), WHAT);
    cr_expect_gt(o->notes[1].gas - o->notes[2].gas, 2 * 1500);
    cr_expect_eq(noted(o, 3), FREE);
}

Test(v2_ops, retype_of_more_than_the_gas_burns_all)
{
    static const uint64_t pages[] = {1000, UINT64_MAX, UINT64_MAX / 1500 + 1,
                                     UINT64_C(12297829382473035)};
    for (unsigned i = 0; i < 4; i++) {
        struct scene s;
        struct text *t = begin(&s, 8);
        li(t, 7, pages[i]);
        op(t, OP_CALL, UNTYPED, FREE);
        reply(t);
        s.gas = 100000;
        const struct outcome *o = play(&s);
        cr_expect_eq(o->result.end, JAVM_V2_END_OUT_OF_GAS, "%u", i);
        cr_expect_eq(o->result.gas_left, 0);
        cr_expect_eq(o->result.regs[7], pages[i]);
    }
}

Test(v2_ops, set_max_gas_and_downgrade_freeze_ceilings)
{
    struct scene s;
    struct text *t = table(&s), *child;
    li(t, 7, 3000);
    op(t, OP_SET_MAX_GAS, CHILD, 0);
    op(t, OP_DOWNGRADE, CHILD, FREE);
    li(t, 7, 9000);
    op(t, OP_SET_MAX_GAS, CHILD, 0);
    call(t, FREE, 0); /* 3000 */
    probe(t);
    call(t, CHILD, 0); /* 9000 */
    probe(t);
    call(t, CALLER, 0); /* as at first: all */
    probe(t);
    op(t, OP_COPY, FREE, 92);
    op(t, OP_DROP, FREE, 0);
    op(t, OP_DROP, CHILD, 0);
    call(t, 92, 0);
    probe(t);
    op(t, OP_RESUME, CHILD, 0);
    probe(t);
    reply(t);
    child = add_code(&s, 65);
    ecalli(child, 1); /* GAS */
    reply(child);
    jump(child, 0);
    s.serve = NULL;
    add_data(&s, 66, 1, 1, true, NULL, 0);
    const struct outcome *o = play(&s);
    /* Service 1 is not in the child's table: it gets WHAT, whatever its gas. */
    for (unsigned i = 0; i < 4; i++) {
        cr_expect_eq(noted(o, i), WHAT);
        cr_expect_eq(o->notes[i].regs[8], 0);
    }
    cr_expect_eq(noted(o, 4), WHAT, "no HANDLE, no RESUME");
}

static enum javm_v2_answer serve_gas(struct javm_v2 *v2, struct javm_v2_call *c)
{
    (void)v2;
    c->r7 = c->id == 1 ? c->gas : JAVM_V2_WHAT;
    return JAVM_V2_CONTINUE;
}

Test(v2_ops, ceilings_limit_what_the_child_gets)
{
    struct scene s;
    struct text *t = begin(&s, 0), *child;
    li(t, 7, 2);
    call(t, 65, CHILD);
    op(t, OP_DOWNGRADE, CHILD, CALLER);
    li(t, 7, 3000);
    op(t, OP_SET_MAX_GAS, CHILD, 0);
    op(t, OP_DOWNGRADE, CHILD, FREE);
    li(t, 7, UINT64_MAX);
    op(t, OP_SET_MAX_GAS, CHILD, 0);
    static const unsigned through[] = {FREE, CHILD, CALLER};
    for (unsigned i = 0; i < 3; i++) {
        probe(t);
        call(t, through[i], 0);
        probe(t);
    }
    reply(t);
    child = add_code(&s, 65);
    ecalli(child, 1);
    reply(child);
    jump(child, 0);
    s.serve = serve_gas;
    const struct outcome *o = play(&s);
    cr_expect_lt(noted(o, 1), 3000);
    cr_expect_gt(noted(o, 1), 2000);
    cr_expect_lt(noted(o, 3), o->notes[2].gas);
    cr_expect_gt(noted(o, 3), o->notes[2].gas - 1000, "a ceiling above what there is");
    cr_expect_gt(noted(o, 5), o->notes[4].gas - 1000, "none");
}
