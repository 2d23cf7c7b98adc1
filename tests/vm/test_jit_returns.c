/* The stack of return addresses that generated code keeps beside the guest's links: whatever a
 * guest does with its links, the recompiler goes where they say, as the interpreter does.
 *
 * Would catch: a return that trusts the stack although the link was changed, or that goes to the
 * wrong place; a stack that overflows into something, or that stays broken once it was full; a
 * link's upper bits or its lowest one taken for a part of the address; gas or registers lost where
 * generated code is left for such a case. */
#include <criterion/criterion.h>

#include "tests/vm/jit_twin.h"
#include "vm/memory.h"

TestSuite(jit_returns, .fini = twin_no_leaks);

#define STACK_PAGES 512u
#define STACK_TOP   (RW_BASE + STACK_PAGES * JAVM_PAGE_SIZE)
#define ENTRIES     ((uint64_t)MEMORY_STACK_BYTES / 8) /* of the stack of return addresses */
#define LOOP_GAS    UINT64_C(50000)                    /* for what may go round forever */
#define RET         JALR(0, 1, 0)

static const struct javm_region guest_stack = {.first_page = RW_BASE >> JAVM_PAGE_SHIFT,
                                               .pages = STACK_PAGES,
                                               .kind = JAVM_REGION_ZERO,
                                               .writable = true};

static struct code code;

static void open_code(struct twin *t)
{
    twin_open(t, code.at, code_here(&code), &guest_stack, 1, NULL);
}

/* Registers at random, so that one that gets lost shows; the given ones on top. */
static void set_registers(uint64_t regs[JAVM_NUM_SLOTS], uint64_t x10, uint64_t x11)
{
    struct random random = {x10 * 31 + x11};
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        regs[i] = random_u64(&random);
    regs[slot_of(2)] = STACK_TOP;
    regs[slot_of(10)] = x10;
    regs[slot_of(11)] = x11;
}

/* ---- depth ------------------------------------------------------------------------------ */

/* A function that calls itself x10 times, adding x10 to x12 on the way down and 1 to x13 on the way
 * up; it is called x11 times, each time with the x10 of the beginning. */
static void write_recursion(bool indirect)
{
    struct code *c = &code;
    c->n = 0;
    const uint32_t enter = emit(c, 0);
    const uint32_t function = emit_start(c);
    emit(c, ADDI(2, 2, -8));
    emit(c, SD(1, 0, 2));
    emit(c, ADD(12, 12, 10));
    const uint32_t deeper = emit(c, 0);
    const uint32_t up = emit(c, 0);
    land_bne(c, deeper, 10, 0);
    emit(c, ADDI(10, 10, -1));
    if (indirect)
        emit(c, JALR(1, 6, 0));
    else
        emit_jal(c, 1, function);
    land_jal(c, up, 0);
    emit(c, ADDI(13, 13, 1));
    emit(c, LD(1, 0, 2));
    emit(c, ADDI(2, 2, 8));
    emit(c, RET);
    land_jal(c, enter, 0);
    emit_address(c, 6, function);
    emit(c, ADDI(14, 10, 0));
    const uint32_t again = emit_start(c);
    emit(c, ADDI(10, 14, 0));
    emit_jal(c, 1, function);
    emit(c, ADDI(11, 11, -1));
    emit_bne(c, 11, 0, again);
    emit(c, REPLY);
}

Test(jit_returns, recursion_deeper_than_the_stack)
{
    static const uint64_t depths[] = {0,           1,           ENTRIES - 3,     ENTRIES - 2,
                                      ENTRIES - 1, ENTRIES,     ENTRIES + 1,     ENTRIES + 2,
                                      20000,       2 * ENTRIES, 2 * ENTRIES + 1, 100000};
    for (unsigned indirect = 0; indirect < 2; indirect++) {
        struct twin t;
        write_recursion(indirect != 0);
        open_code(&t);
        for (size_t i = 0; i < CODE(depths); i++) {
            uint64_t regs[JAVM_NUM_SLOTS];
            set_registers(regs, depths[i], 2);
            regs[slot_of(12)] = regs[slot_of(13)] = 0;
            cr_assert_eq(twin_check(&t, 0, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
            cr_assert_eq(t.native.regs[slot_of(13)], 2 * (depths[i] + 1));
            cr_assert_eq(t.native.regs[slot_of(12)], depths[i] * (depths[i] + 1));
        }
        twin_close(&t);
    }
}

/* Too deep for the guest's own stack: that fault is the guest's. */
Test(jit_returns, recursion_into_a_page_fault)
{
    struct twin t;
    uint64_t regs[JAVM_NUM_SLOTS];
    write_recursion(false);
    open_code(&t);
    set_registers(regs, 10000000, 1);
    for (unsigned i = 0; i < 3; i++) {
        cr_assert_eq(twin_check(&t, 0, regs, TWIN_PLENTY), JAVM_EXIT_PAGE_FAULT);
        cr_assert_eq(t.native.fault_addr, RW_BASE - 8);
    }
    twin_close(&t);
}

/* ---- calls that never return, returns that were never called ---------------------------- */

enum { BY_JAL, BY_JALR, THROUGH_RA, CALLS };

Test(jit_returns, calls_without_returns)
{
    struct code *c = &code;
    for (unsigned kind = BY_JAL; kind < CALLS; kind++) {
        struct twin t;
        uint64_t regs[JAVM_NUM_SLOTS];
        c->n = 0;
        emit_address(c, 6, 12);
        const uint32_t loop = emit_start(c);
        REQUIRE(loop == 12);
        emit(c, ADDI(10, 10, -1));
        const uint32_t more = emit(c, 0);
        emit(c, REPLY);
        land_bne(c, more, 10, 0);
        if (kind == BY_JAL) {
            emit_jal(c, 1, loop);
        } else if (kind == BY_JALR) {
            emit(c, JALR(1, 6, 0));
        } else {
            emit(c, ADDI(1, 6, 0));
            emit(c, JALR(1, 1, 0));
        }
        emit(c, TRAP);
        open_code(&t);
        set_registers(regs, 1000000, kind);
        cr_assert_eq(twin_check(&t, 0, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
        cr_assert_eq(t.native.regs[slot_of(10)], 0);
        twin_close(&t);
    }
}

/* Calls that come back by a jump, so that the stack only grows, and in between one that returns. */
Test(jit_returns, calls_that_come_back_by_jumps)
{
    struct code *c = &code;
    struct twin t;
    uint64_t regs[JAVM_NUM_SLOTS];
    c->n = 0;
    const uint32_t loop = emit_start(c);
    const uint32_t bad = emit(c, 0);
    emit(c, TRAP);
    const uint32_t back = emit_start(c);
    const uint32_t good = emit(c, 0);
    emit(c, ADDI(12, 12, 1));
    emit(c, ADDI(10, 10, -1));
    emit_bne(c, 10, 0, loop);
    emit(c, REPLY);
    land_jal(c, bad, 1);
    emit_jal(c, 0, back);
    land_jal(c, good, 1);
    emit(c, ADDI(13, 13, 1));
    emit(c, RET);
    open_code(&t);
    set_registers(regs, 50000, 0);
    regs[slot_of(13)] = 0;
    cr_assert_eq(twin_check(&t, 0, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
    cr_assert_eq(t.native.regs[slot_of(13)], 50000);
    twin_close(&t);
}

Test(jit_returns, returns_without_calls)
{
    struct code *c = &code;
    struct twin t;
    uint64_t regs[JAVM_NUM_SLOTS];
    c->n = 0;
    emit_address(c, 1, 16);
    emit(c, RET);
    emit(c, TRAP);
    emit(c, ADDI(10, 10, -1)); /* 16 */
    const uint32_t done = emit(c, 0);
    emit(c, REPLY);
    land_bne(c, done, 10, 0);
    emit(c, RET);
    open_code(&t);
    set_registers(regs, 1000000, 0);
    cr_assert_eq(twin_check(&t, 0, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
    cr_assert_eq(t.native.regs[slot_of(10)], 0);
    twin_close(&t);
}

/* A return at the very beginning, and one behind a call that really was made, with links that lead
 * somewhere and nowhere. */
Test(jit_returns, links_to_anywhere)
{
    struct code *c = &code;
    struct twin t;
    c->n = 0;
    emit(c, RET);
    const uint32_t caller = code_here(c);
    const uint32_t call = emit(c, 0);
    emit(c, ADDI(12, 12, 1)); /* caller + 4 */
    emit(c, REPLY);
    const uint32_t other = emit_start(c);
    emit(c, ADDI(13, 13, 1));
    emit(c, ECALLI(3));
    land_jal(c, call, 1);
    emit(c, ADDI(1, 11, 0));
    emit(c, RET);
    emit(c, ADDI(14, 14, 1));
    const uint32_t end = code_here(c);
    open_code(&t);
    const uint32_t offsets[] = {0,          2,
                                4,          caller,
                                caller + 2, caller + 4,
                                8,          other - 4,
                                other,      16,
                                other + 4,  other + 8,
                                end - 4,    end - 2,
                                end,        end + 2,
                                end + 4096, -JAVM_CODE_BASE,
                                0u - 4,     0x7FFFFFFC - JAVM_CODE_BASE};
    static const uint64_t upper[] = {0, 1, 2, 0x80000000, 0xFFFFFFFF};
    unsigned exits[JAVM_EXIT_HALT + 1] = {0};
    for (size_t i = 0; i < CODE(offsets); i++)
        for (size_t k = 0; k < CODE(upper); k++)
            for (uint32_t odd = 0; odd < 2; odd++) {
                uint64_t regs[JAVM_NUM_SLOTS];
                set_registers(regs, i, upper[k] << 32 | ((JAVM_CODE_BASE + offsets[i]) ^ odd));
                regs[slot_of(1)] = regs[slot_of(11)];
                exits[twin_check(&t, 0, regs, LOOP_GAS)]++;
                exits[twin_check(&t, caller, regs, LOOP_GAS)]++;
            }
    /* Each kind of place was met. */
    cr_expect_gt(exits[JAVM_EXIT_HOST_CALL], 20);
    cr_expect_gt(exits[JAVM_EXIT_OUT_OF_GAS], 10);
    cr_expect_gt(exits[JAVM_EXIT_PANIC], 100);
    twin_close(&t);
}

/* ---- links that are changed or exchanged ------------------------------------------------- */

/* The callee comes back x11 bytes behind where it was called from, with x12 added to the link. */
Test(jit_returns, links_changed_by_the_callee)
{
    struct code *c = &code;
    struct twin t;
    c->n = 0;
    const uint32_t loop = emit_start(c);
    const uint32_t call = emit(c, 0);
    for (unsigned i = 0; i < 4; i++) { /* 8 bytes each, a block start and a place in a block */
        emit(c, ADDI(13, 13, 1 << i));
        emit(c, ADDI(14, 14, 1));
        emit(c, FALLTHROUGH);
    }
    emit(c, ADDI(10, 10, -1));
    emit_bne(c, 10, 0, loop);
    emit(c, REPLY);
    land_jal(c, call, 1);
    emit(c, ADD(1, 1, 11));
    emit(c, ADD(1, 1, 12));
    emit(c, RET);
    open_code(&t);
    unsigned halts = 0, panics = 0;
    static const uint64_t added[] = {0, 1, UINT64_C(1) << 32, UINT64_C(1) << 63,
                                     UINT64_C(-1) << 40};
    for (uint32_t behind = 0; behind < 64; behind += 2)
        for (size_t k = 0; k < CODE(added); k++) {
            uint64_t regs[JAVM_NUM_SLOTS];
            set_registers(regs, 100, behind);
            regs[slot_of(12)] = added[k];
            const enum javm_exit exit = twin_check(&t, loop, regs, TWIN_PLENTY);
            halts += exit == JAVM_EXIT_HOST_CALL;
            panics += exit == JAVM_EXIT_PANIC;
        }
    cr_expect_geq(halts, 5 * CODE(added));
    cr_expect_geq(panics, 20 * CODE(added));
    twin_close(&t);
}

/* Two threads of control that hand over to each other from inside of calls: each switch returns to
 * the link that the other one saved. */
Test(jit_returns, coroutines)
{
    struct code *c = &code;
    struct twin t;
    uint64_t regs[JAVM_NUM_SLOTS];
    c->n = 0;
    const uint32_t start = emit(c, 0);
    /* switch: x8 points to two words, the link and the stack of who waits. */
    const uint32_t hand_over = emit_start(c);
    emit(c, LD(5, 0, 8));
    emit(c, LD(6, 8, 8));
    emit(c, SD(1, 0, 8));
    emit(c, SD(2, 8, 8));
    emit(c, ADDI(1, 5, 0));
    emit(c, ADDI(2, 6, 0));
    emit(c, RET);
    /* step: once deeper, then hands over. */
    const uint32_t step = emit_start(c);
    emit(c, ADDI(2, 2, -8));
    emit(c, SD(1, 0, 2));
    emit_jal(c, 1, hand_over);
    emit(c, LD(1, 0, 2));
    emit(c, ADDI(2, 2, 8));
    emit(c, RET);
    const uint32_t second = emit_start(c);
    emit(c, ADDI(13, 13, 1));
    emit_jal(c, 1, step);
    emit_jal(c, 0, second);
    land_jal(c, start, 0);
    emit_address(c, 5, second);
    emit(c, SD(5, 0, 8));
    emit(c, SD(9, 8, 8));
    const uint32_t first = emit_start(c);
    emit(c, ADDI(12, 12, 1));
    emit_jal(c, 1, step);
    emit_jal(c, 1, hand_over);
    emit(c, ADDI(10, 10, -1));
    emit_bne(c, 10, 0, first);
    emit(c, REPLY);
    open_code(&t);
    set_registers(regs, 30000, 0);
    regs[slot_of(8)] = RW_BASE;
    regs[slot_of(9)] = RW_BASE + 4096;
    regs[slot_of(13)] = 0;
    cr_assert_eq(twin_check(&t, 0, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
    cr_assert_eq(t.native.regs[slot_of(13)], 60000);
    twin_close(&t);
}

/* Calls that link in t0 and return through it, inside of calls that link in ra: as compilers save
 * registers. And jalr that reads the register it writes. */
Test(jit_returns, other_links)
{
    struct code *c = &code;
    for (unsigned link = 2; link < 16;
         link++) { /* x3 and x4, which have no machine register, too */
        struct twin t;
        uint64_t regs[JAVM_NUM_SLOTS];
        if (link == 2 || link == 10 || link == 12)
            continue;
        c->n = 0;
        const uint32_t start = emit(c, 0);
        const uint32_t milli = emit_start(c);
        emit(c, ADDI(12, 12, 1));
        emit(c, JALR(0, link, 0));
        const uint32_t function = emit_start(c);
        emit_jal(c, link, milli);
        emit(c, ADDI(12, 12, 3));
        emit(c, RET);
        land_jal(c, start, 0);
        const uint32_t loop = emit_start(c);
        emit_jal(c, 1, function);
        emit_address(c, link, milli);
        emit(c, JALR(link, link, 0));
        emit_address(c, 1, function);
        emit(c, JALR(1, 1, 0));
        emit_address(c, 1, function - 4);
        emit(c, JALR(1, 1, 4));
        emit(c, ADDI(10, 10, -1));
        emit_bne(c, 10, 0, loop);
        emit(c, REPLY);
        open_code(&t);
        set_registers(regs, 3000, link);
        regs[slot_of(12)] = 0;
        cr_assert_eq(twin_check(&t, 0, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
        cr_assert_eq(t.native.regs[slot_of(12)], 3000 * 13);
        twin_close(&t);
    }
}

/* A return that adds to its link is none that the stack can serve. */
Test(jit_returns, returns_with_a_distance)
{
    struct code *c = &code;
    struct twin t;
    uint64_t regs[JAVM_NUM_SLOTS];
    c->n = 0;
    const uint32_t loop = emit_start(c);
    const uint32_t call = emit(c, 0);
    emit(c, JAL(0, 8));
    emit(c, FALLTHROUGH);
    emit(c, ADDI(12, 12, 1)); /* call + 12 */
    emit(c, ADDI(10, 10, -1));
    emit_bne(c, 10, 0, loop);
    emit(c, REPLY);
    land_jal(c, call, 1);
    emit(c, JALR(0, 1, 8));
    open_code(&t);
    set_registers(regs, 20000, 0);
    cr_assert_eq(twin_check(&t, 0, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
    twin_close(&t);
}

/* ---- at random -------------------------------------------------------------------------- */

#define FUNCTIONS 12u

/* What a function does between its parts. Targets are functions; x8 has the address of the first
 * one, x9 points to a table of links. */
static void write_step(struct random *random, const uint32_t *functions, unsigned count)
{
    struct code *c = &code;
    const uint32_t target = functions[random_below(random, count)];
    switch (random_below(random, 12)) {
    case 0:
    case 1:
    case 2:
        emit_jal(c, 1, target);
        break;
    case 3:
        emit(c, JALR(1, 8, (int32_t)(target - functions[0])));
        break;
    case 4:
        emit_jal(c, 5, target); /* links in t0: the callee returns to an older link */
        break;
    case 5:
        emit(c, RET);
        break;
    case 6:
        emit(c, SD(1, (int32_t)(8 * random_below(random, 16)), 9));
        break;
    case 7:
        emit(c, LD(1, (int32_t)(8 * random_below(random, 16)), 9)); /* may still be 0: panics */
        break;
    case 8:
        emit(c, JALR(1, 1, 0));
        break;
    case 9:
        emit(c, ADDI(1, 1, (int32_t)(4 * random_below(random, 3))));
        emit(c, FALLTHROUGH);
        break;
    case 10:
        emit_jal(c, 0, target);
        break;
    default:
        emit(c, ADDI(12, 12, (int32_t)random_below(random, 100)));
        emit(c, FALLTHROUGH);
        break;
    }
}

static void write_random(struct random *random)
{
    uint32_t functions[FUNCTIONS];
    struct code *c = &code;
    c->n = 0;
    emit(c, TRAP);
    for (unsigned i = 0; i < FUNCTIONS; i++) {
        functions[i] = emit_start(c);
        const bool saves = random_below(random, 2) != 0;
        if (saves) {
            emit(c, ADDI(2, 2, -8));
            emit(c, SD(1, 0, 2));
        }
        for (uint64_t steps = 1 + random_below(random, 4); steps-- != 0;)
            write_step(random, functions, i + 1);
        if (saves) {
            emit(c, LD(1, 0, 2));
            emit(c, ADDI(2, 2, 8));
        }
        emit(c, RET);
    }
    emit_address(c, 8, functions[0]);
    for (unsigned i = 0; i < 8; i++)
        emit_jal(c, 1, functions[FUNCTIONS - 1 - i % 4]);
    emit(c, REPLY);
}

Test(jit_returns, random_calls_and_returns)
{
    struct random random = {20260101};
    unsigned exits[JAVM_EXIT_HALT + 1] = {0};
    for (unsigned round = 0; round < 200 * stress_factor(); round++) {
        struct twin t;
        uint64_t regs[JAVM_NUM_SLOTS];
        write_random(&random);
        open_code(&t);
        const uint64_t begin = code_here(&code) - 4 * 11;
        set_registers(regs, round, 0);
        regs[slot_of(9)] = RW_BASE;
        regs[slot_of(1)] = JAVM_CODE_BASE + begin;
        exits[twin_check(&t, begin, regs, LOOP_GAS)]++;
        twin_close(&t);
    }
    cr_expect_gt(exits[JAVM_EXIT_HOST_CALL] + exits[JAVM_EXIT_PANIC], 10);
    cr_expect_gt(exits[JAVM_EXIT_OUT_OF_GAS], 10);
}
