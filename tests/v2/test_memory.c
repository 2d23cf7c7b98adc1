/* What VMs see of the pages in their tables, on both engines.
 *
 * Would catch: a page that stays visible after UNMAP, MOVE, DROP or CALL; bytes that are lost when
 * a page vanishes and comes back, or when more VMs run than there are address spaces; a write that
 * DIRTY misses or invents; what one invocation leaves behind for the next. */
#include <criterion/criterion.h>

#include <string.h>

#include "tests/v2/scene.h"

#define A        70u
#define B        71u
#define CHILD    80u
#define FREE     90u
#define AT(page) ((uint32_t)(page) << 12)

static void retype(struct text *t, unsigned slot, uint64_t pages)
{
    li(t, 7, pages);
    op(t, OP_CALL, UNTYPED, slot);
}

static void map(struct text *t, uint32_t ref, uint64_t base, uint64_t first, uint64_t count,
                uint64_t access)
{
    args(t, base, first, count, access);
    op(t, OP_MAP, ref, 0);
}

static void unmap(struct text *t, uint32_t ref, uint64_t first, uint64_t count)
{
    args(t, first, count, 0, 0);
    op(t, OP_UNMAP, ref, 0);
}

static void write_to(struct text *t, uint32_t address, uint64_t value)
{
    li(t, 1, value);
    store(t, address, 1);
}

static void show(struct text *t, uint32_t address)
{
    load(t, 7, address);
    probe(t);
}

/* Does it end with a fault at this page? */
static void expect_fault(const struct scene *s, uint32_t page)
{
    const struct outcome *o = play(s);
    cr_expect_eq(o->result.end, JAVM_V2_END_PAGE_FAULT, "page 0x%x: %d", page, o->result.end);
    cr_expect_eq(o->result.value, AT(page), "0x%lx", o->result.value);
}

Test(v2_memory, bytes_stay_with_their_page)
{
    struct scene s;
    struct text *t = begin(&s, 64);
    retype(t, A, 4);
    map(t, A, 16, 0, 4, 1);
    write_to(t, AT(17), 0x1111);
    write_to(t, AT(18) - 4, UINT64_C(0x3333333322222222)); /* over the border */
    unmap(t, A, 1, 1);
    unmap(t, A, 2, 1);
    map(t, A, 16, 1, 2, 1);
    show(t, AT(17));
    show(t, AT(18) - 4);
    show(t, AT(19));
    /* to another base, by a child's table */
    li(t, 7, 0);
    call(t, 65, CHILD);
    op(t, OP_MOVE, A, CHILD << 8 | A);
    op(t, OP_MOVE, CHILD << 8 | A, A);
    map(t, A, 100, 0, 4, 1);
    show(t, AT(101));
    write_to(t, AT(101), 0x4444);
    li(t, 7, 2);
    unmap(t, A, 0, 4);
    li(t, 7, 1);
    op(t, OP_SPLIT, A, B);
    map(t, B, 200, 0, 3, 0);
    show(t, AT(200));
    show(t, AT(201) - 4);
    reply(t);
    PUT(add_code(&s, 65), 0);
    const struct outcome *o = play(&s);
    static const uint64_t want[] = {0x1111, UINT64_C(0x3333333322222222), 0, 0x1111,
                                    0x4444, UINT64_C(0x3333333322222222)};
    for (unsigned i = 0; i < 6; i++)
        cr_expect_eq(noted(o, i), want[i], "%u: %lx", i, noted(o, i));
}

Test(v2_memory, what_vanishes_is_gone_at_the_next_instruction)
{
    for (unsigned way = 0; way < 6; way++) {
        struct scene s;
        struct text *t = begin(&s, 64);
        retype(t, A, 2);
        li(t, 7, 0);
        call(t, 65, CHILD);
        map(t, A, 16, 0, 2, 1);
        write_to(t, AT(16), 1);
        write_to(t, AT(17), 2);
        if (way == 0)
            unmap(t, A, 0, 1);
        else if (way == 1)
            op(t, OP_DROP, A, 0);
        else if (way == 2)
            op(t, OP_MOVE, A, CHILD << 8 | A);
        else if (way == 3)
            call(t, CHILD, A); /* the child traps: it does not come back */
        else if (way == 4)
            op(t, OP_MOVE, A, B); /* the same table: it stays */
        else
            unmap(t, A, 1, UINT64_MAX);
        probe(t);
        load(t, 7, AT(way == 5 ? 17 : 16));
        reply(t);
        PUT(add_code(&s, 65), 0);
        if (way != 4)
            expect_fault(&s, way == 5 ? 17 : 16);
        else
            cr_expect_eq(play(&s)->result.value, 1);
    }
}

Test(v2_memory, read_only_pages_refuse_writes)
{
    struct scene s;
    struct text *t = begin(&s, 64);
    show(t, AT(5));
    retype(t, A, 1);
    map(t, A, 6, 0, 1, 1);
    write_to(t, AT(6) - 4, 1); /* the lower page refuses */
    PUT(t, 0);
    add_data(&s, 66, 5, 1, false, "\1\2\3\4\5\6\7\10", 8);
    expect_fault(&s, 5);
    s.entries[0].text.len = 0;
    memset(s.entries[0].text.starts, 0, sizeof s.entries[0].text.starts);
    t = &s.entries[0].text;
    load(t, 7, 0xFFFFFFFC); /* mapped, but the access ends behind the last page */
    PUT(t, 0);
    add_data(&s, 67, 0xFFFFF, 1, false, NULL, 0);
    expect_fault(&s, 0);
}

Test(v2_memory, the_newer_of_two_mappings_is_seen)
{
    struct scene s;
    struct text *t = begin(&s, 64);
    retype(t, A, 3);
    retype(t, B, 3);
    map(t, A, 16, 0, 3, 1);
    for (uint32_t i = 0; i < 3; i++)
        write_to(t, AT(16 + i), 0xA0 + i);
    map(t, B, 17, 0, 1, 1); /* over A's second */
    show(t, AT(16));
    show(t, AT(17));
    write_to(t, AT(17), 0xB0);
    map(t, A, 16, 1, 1, 1); /* A's is newer now */
    show(t, AT(17));
    map(t, B, 17, 0, 1, 1);
    show(t, AT(17));
    unmap(t, A, 1, 1); /* the one that is not seen: nothing is there */
    load(t, 7, AT(17));
    PUT(t, 0);
    const struct outcome *o = play(&s);
    static const uint64_t want[] = {0xA0, 0, 0xA1, 0xB0};
    for (unsigned i = 0; i < 4; i++)
        cr_expect_eq(noted(o, i), want[i], "%u: %lx", i, noted(o, i));
    expect_fault(&s, 17);
}

Test(v2_memory, copies_see_what_was_written_and_are_seen)
{
    struct scene s;
    struct text *t = begin(&s, 64);
    retype(t, A, 3);
    retype(t, B, 3);
    map(t, A, 16, 0, 3, 1);
    map(t, B, 32, 0, 3, 0);
    write_to(t, AT(16), UINT64_C(0x0807060504030201));
    write_to(t, AT(17), 0x99);
    show(t, AT(33));
    args(t, 0, 8192, 4096, 0);
    op(t, OP_CALL, A, B); /* into pages that are only readable here */
    show(t, AT(33));
    show(t, AT(34));
    args(t, 0, 4100, 2, 0); /* upwards inside one cap */
    op(t, OP_CALL, A, A);
    show(t, AT(16));
    show(t, AT(17) + 2);
    args(t, 2, 4100, 0, 0); /* and back */
    op(t, OP_CALL, A, A);
    show(t, AT(16));
    show(t, AT(17));
    reply(t);
    const struct outcome *o = play(&s);
    static const uint64_t want[] = {
        0,    UINT64_C(0x0807060504030201), 0x99, UINT64_C(0x0605040302010201),
        0x99, UINT64_C(0x0807060504030201), 0x99};
    for (unsigned i = 0; i < 7; i++)
        cr_expect_eq(noted(o, i), want[i], "%u: %lx", i, noted(o, i));
}

Test(v2_memory, dirty_tells_what_was_written_since)
{
    struct scene s;
    struct text *t = begin(&s, 64);
    retype(t, A, 20);
    map(t, A, 16, 0, 20, 1);
    write_to(t, AT(16), 0); /* the same bytes, and yet a write */
    show(t, AT(17));
    write_to(t, AT(25) - 4, 1);
    for (unsigned i = 0; i < 3; i++) {
        args(t, AT(8), 3, 0, 0);
        op(t, OP_DIRTY, A, 0);
        probe(t);
        show(t, AT(8));
        write_to(t, AT(24), 1); /* open for writing already, on its second turn */
    }
    args(t, 0, 8, 8192, 0);
    op(t, OP_CALL, A, A); /* copying writes */
    args(t, AT(8), 3, 0, 0);
    op(t, OP_DIRTY, A, 0);
    show(t, AT(8));
    args(t, AT(8), 2, 0, 0);
    op(t, OP_DIRTY, A, 0); /* too small */
    probe(t);
    args(t, AT(16), 3, 0, 0);
    op(t, OP_DIRTY, A, 0); /* into itself: the marks are cleared before that */
    probe(t);
    args(t, AT(8), 3, 0, 0);
    op(t, OP_DIRTY, A, 0);
    show(t, AT(8));
    unmap(t, A, 0, 20);
    args(t, AT(8), 3, 0, 0);
    op(t, OP_DIRTY, A, 0);
    probe(t);
    args(t, AT(7) - 1, 3, 0, 0);
    op(t, OP_DIRTY, A, 0); /* nobody can write there */
    probe(t);
    reply(t);
    add_data(&s, 66, 8, 1, true, NULL, 0);
    const struct outcome *o = play(&s);
    static const uint64_t want[] = {0, 3, 0x301, 1, 0x100, 1, 0x100, 0x104, WHAT, 0, 1, 0, WHAT};
    for (unsigned i = 0; i < sizeof want / sizeof *want; i++)
        cr_expect_eq(noted(o, i), want[i], "%u: %lx", i, noted(o, i));
}

Test(v2_memory, marks_follow_the_cap_and_do_not_outlive_the_invocation)
{
    struct scene s;
    struct text *t = begin(&s, 64), *child;
    li(t, 7, 0);
    call(t, 65, CHILD);
    op(t, OP_MOVE, 67, CHILD << 8 | A);
    map(t, CHILD << 8 | A, 16, 0, 4, 1);
    call(t, CHILD, 0);
    args(t, AT(8), 1, 0, 0);
    op(t, OP_DIRTY, CHILD << 8 | A, 0);
    show(t, AT(8));
    call(t, CHILD, 0);
    args(t, AT(8), 1, 0, 0);
    op(t, OP_DIRTY, CHILD << 8 | A, 0);
    show(t, AT(8));
    reply(t);
    child = add_code(&s, 65);
    write_to(child, AT(17), 5);
    reply(child);
    load(child, 7, AT(17));
    write_to(child, AT(19), 5);
    reply(child);
    add_data(&s, 66, 8, 1, true, NULL, 0);
    add_data(&s, 67, 16, 4, true, "12345678", 8);
    const struct outcome *o = play(&s);
    cr_expect_eq(noted(o, 0), 2);
    cr_expect_eq(noted(o, 1), 8);
}

/* The recompiler looks for writes only where DIRTY may be asked for: it must not be fooled. */
Test(v2_memory, dirty_by_every_way_to_the_operation)
{
    for (unsigned way = 0; way < 5; way++) {
        struct scene s;
        struct text *t = begin(&s, 64);
        write_to(t, AT(16), 0);
        args(t, AT(8), 8, 0, 0);
        li(t, 12, UINT64_C(66) << 32);
        if (way == 0) {
            li(t, 11, OP_DIRTY - 1);
            PUT(t, 149, 0xBB, 1); /* φ11 += 1 */
        } else if (way == 1) {    /* a jump behind another load */
            li(t, 11, OP_DIRTY);
            PUT(t, 40, 12);
            li(t, 11, OP_DROP);
        } else if (way == 2) { /* loaded in a block before */
            PUT(t, 51, 11, OP_DIRTY);
            PUT(t, 1);
        } else if (way == 3) {
            li(t, 0, OP_DIRTY);
            li(t, 11, OP_DROP);
            PUT(t, 100, 0x0B); /* φ11 := φ0 */
        } else {
            li(t, 11, OP_DROP);
            li(t, 0, AT(8));
            write_to(t, AT(8), OP_DIRTY);
            PUT(t, 130, 0x0B); /* load_ind_u64 φ11, [φ0] */
            write_to(t, AT(8), 0);
        }
        PUT(t, 3);
        probe(t);
        show(t, AT(8));
        reply(t);
        add_data(&s, 66, 16, 3, true, NULL, 0);
        add_data(&s, 67, 8, 1, true, NULL, 0);
        const struct outcome *o = play(&s);
        cr_expect_eq(noted(o, 0), 1, "way %u: %lx", way, noted(o, 0));
        cr_expect_eq(noted(o, 1), 1);
    }
}

/* A child works its way through 64 MiB; the parent shows it 1 MiB at a time. */
Test(v2_memory, demand_paging_of_a_large_region)
{
    enum { PAGES = 16384, WINDOW = 256, BASE = 0x1000 };
    struct scene s;
    struct text *t = begin(&s, PAGES + 8), *child;
    retype(t, A, PAGES);
    li(t, 7, 0);
    call(t, 65, CHILD);
    op(t, OP_MOVE, A, CHILD << 8 | A);
    call(t, CHILD, 0);
    const uint32_t loop = t->len;
    PUT(t, 1); /* a block begins */
    PUT(t, 51, 3, 4);
    PUT(t, 170, 0x38, 3); /* status 4: go on below */
    t->code[t->len - 1] = 3 + 10 + 5;
    li(t, 12, 0);
    reply(t);
    /* φ[4] := the page inside the cap; unmap all, map WINDOW from there */
    PUT(t, 152, 0x74, 12);         /* shlo_r_imm_64 φ4, φ7, 12 */
    PUT(t, 149, 0x44, 0x00, 0xF0); /* less BASE */
    args(t, 0, PAGES, 0, 0);
    op(t, OP_UNMAP, CHILD << 8 | A, 0);
    args(t, BASE, 0, WINDOW, 1);
    PUT(t, 100, 0x48); /* move_reg φ8, φ4 */
    op(t, OP_MAP, CHILD << 8 | A, 0);
    op(t, OP_RESUME, CHILD, 0);
    jump(t, loop);
    /* twice over all pages: add 1 to each, then read the sum */
    child = add_code(&s, 65);
    li(child, 6, 0);
    for (unsigned pass = 0; pass < 2; pass++) {
        li(child, 2, AT(BASE));
        li(child, 3, AT(BASE + PAGES));
        PUT(child, 1);
        const uint32_t again = child->len;
        PUT(child, 130, 0x25);             /* load_ind_u64 φ5, [φ2] */
        PUT(child, 200, 0x65, 6);          /* φ6 += φ5 */
        PUT(child, 149, 0x55, 1);          /* φ5 += 1 */
        PUT(child, 123, 0x25);             /* store_ind_u64 [φ2], φ5 */
        PUT(child, 149, 0x22, 0x00, 0x10); /* φ2 += 4096 */
        const uint32_t by = again - child->len;
        PUT(child, 172, 0x32, (uint8_t)by, (uint8_t)(by >> 8)); /* branch_lt_u φ2, φ3 */
    }
    PUT(child, 100, 0x67);
    reply(child);
    s.gas = 1000000000;
    const struct outcome *o = play(&s);
    cr_expect_eq(o->result.end, JAVM_V2_END_HALT, "%d", o->result.end);
    cr_expect_eq(o->result.value, PAGES);
}

/* More VMs than address spaces, each with a page of its own, called in turn. */
Test(v2_memory, many_vms_keep_their_pages)
{
    enum { VMS = 20, ROUNDS = 3 };
    struct scene s;
    struct text *t = begin(&s, 64), *child;
    for (unsigned i = 0; i < VMS; i++) {
        retype(t, A, 1);
        li(t, 7, 0);
        call(t, 65, 100 + i);
        op(t, OP_MOVE, A, (100 + i) << 8 | A);
        map(t, (100 + i) << 8 | A, 16, 0, 1, 1);
    }
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < VMS; i++) {
            li(t, 7, i);
            op(t, OP_CALL, 100 + i, 0);
            probe(t);
        }
    reply(t);
    child = add_code(&s, 65);
    load(child, 1, AT(16));
    PUT(child, 200, 0x17, 1); /* φ1 += φ7 */
    PUT(child, 149, 0x11, 1); /* φ1 += 1 */
    store(child, AT(16), 1);
    PUT(child, 100, 0x17);
    reply(child);
    jump(child, 0);
    const struct outcome *o = play(&s);
    for (unsigned i = 0; i < VMS * ROUNDS; i++)
        cr_expect_eq(noted(o, i), (i / VMS + 1) * (i % VMS + 1), "%u: %lu", i, noted(o, i));
}

/* Many thousand mappings of single pages: more than a process may have in the system. */
Test(v2_memory, scattered_pages)
{
    enum { PAGES = 40000 };
    struct scene s;
    struct text *t = begin(&s, PAGES);
    retype(t, A, PAGES);
    map(t, A, 16, 0, PAGES, 1);
    for (unsigned pass = 0; pass < 2; pass++) { /* every other page, written and then read */
        li(t, 2, AT(16));
        li(t, 3, AT(16 + PAGES));
        li(t, 6, 0);
        PUT(t, 1);
        const uint32_t again = t->len;
        if (pass == 0)
            PUT(t, 123, 0x22); /* store_ind_u64 [φ2], φ2 */
        else
            PUT(t, 130, 0x25); /* load_ind_u64 φ5, [φ2] */
        PUT(t, 200, 0x65, 6);
        PUT(t, 149, 0x22, 0x00, 0x20, 0);
        const uint32_t by = again - t->len;
        PUT(t, 172, 0x32, (uint8_t)by, (uint8_t)(by >> 8));
    }
    PUT(t, 100, 0x67);
    reply(t);
    s.gas = 1000000000;
    const struct outcome *o = play(&s);
    uint64_t sum = 0;
    for (uint64_t page = 16; page < 16 + PAGES; page += 2)
        sum += page << 12;
    cr_expect_eq(o->result.end, JAVM_V2_END_HALT, "%d", o->result.end);
    cr_expect_eq(o->result.value, sum);
}

/* ---- the host's side --------------------------------------------------------------------------
 */

static enum javm_v2_answer serve(struct javm_v2 *v2, struct javm_v2_call *c)
{
    static const uint8_t bytes[6] = {1, 2, 3, 4, 5, 6};
    uint8_t got[8] = {0};
    c->r7 = javm_v2_write(v2, AT(17) - 3, bytes, 6);
    c->r8 = javm_v2_read(v2, AT(17) - 4, got, 8);
    REQUIRE(got[0] == 0x77 && memcmp(got + 1, bytes, 6) == 0 && got[7] == 0x88);
    REQUIRE(!javm_v2_write(v2, AT(18) - 1, bytes, 2));
    REQUIRE(!javm_v2_write(v2, AT(8), bytes, 1) && javm_v2_read(v2, AT(8), got, 8));
    REQUIRE(memcmp(got, "87654321", 8) == 0);
    REQUIRE(!javm_v2_read(v2, (UINT64_C(1) << 32) - 1, got, 2));
    REQUIRE(!javm_v2_read(v2, UINT64_C(1) << 32, got, 1) && javm_v2_read(v2, UINT64_MAX, got, 0));
    REQUIRE(!javm_v2_accessible(v2, AT(16), UINT64_MAX, false));
    REQUIRE(javm_v2_accessible(v2, AT(16), 8192, true));
    return JAVM_V2_CONTINUE;
}

Test(v2_memory, the_host_reads_and_writes_with_the_guests_permissions)
{
    struct scene s;
    struct text *t = begin(&s, 64);
    write_to(t, AT(17) - 4, UINT64_C(0x8800000000000077));
    show(t, AT(16));
    ecalli(t, 1);
    probe(t);
    show(t, AT(17) - 4);
    reply(t);
    add_data(&s, 66, 16, 2, true, NULL, 0);
    add_data(&s, 67, 8, 1, false, "87654321", 8);
    s.serve = serve;
    const struct outcome *o = play(&s);
    cr_expect_eq(noted(o, 1), 1);
    cr_expect_eq(o->notes[1].regs[8], 1);
    cr_expect_eq(noted(o, 2), UINT64_C(0x8806050403020177), "%lx", noted(o, 2));
}
