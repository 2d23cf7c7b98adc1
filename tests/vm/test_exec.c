/* Executions of bare machines: exits, exact gas, where things stop, deadlines.
 *
 * Would catch: gas charged for a block that was not entered, or twice after a resume; an exit at
 * another pc, with another argument or with changed registers; a bad entry or jump that runs
 * something; a deadline that changes what a run computes or costs. */
#include <criterion/criterion.h>

#include "tests/vm/support.h"

/* x10 := sum of 1..x11 with a store in each round; blocks at 0, 8, 28, 32 */
static const uint32_t sum[] = {0x00000513,  /* 0  addi x10, x0, 0 */
                               FALLTHROUGH, /* 4 */
                               0x00B50533,  /* 8  add x10, x10, x11 */
                               0x00A7B023,  /* 12 sd x10, 0(x15) */
                               0x00878793,  /* 16 addi x15, x15, 8 */
                               0xFFF58593,  /* 20 addi x11, x11, -1 */
                               0xFE0598E3,  /* 24 bne x11, x0, -16 */
                               0x00150513,  /* 28 addi x10, x10, 1 */
                               0x0000200B}; /* 32 ecalli 0 */

static void start_sum(struct machine *m, uint64_t gas)
{
    javm_memory_reset(m->memory);
    memset(m->exec.regs, 0, sizeof m->exec.regs);
    m->exec.regs[slot_of(11)] = 5;
    m->exec.regs[slot_of(15)] = RW_BASE;
    m->exec.pc = 0;
    m->exec.gas = gas;
}

static void open_sum(struct machine *m)
{
    machine_open(m, sum, sizeof sum, &one_page, 1);
}

/* What each block entry of the whole run costs: known from the block table alone. */
static size_t schedule(const struct machine *m, uint64_t costs[16], uint64_t pcs[16])
{
    static const unsigned order[] = {0, 1, 1, 1, 1, 1, 2, 3};
    for (size_t i = 0; i < CODE(order); i++) {
        struct javm_block_info info;
        javm_program_block(m->program, order[i], &info);
        costs[i] = info.ecall ? JAVM_HOST_CALL_FLOOR : info.cost;
        pcs[i] = info.start;
    }
    return CODE(order);
}

Test(exec, out_of_gas_everywhere)
{
    struct machine m;
    uint64_t costs[16], pcs[16], total = 0;
    open_sum(&m);
    const size_t entries = schedule(&m, costs, pcs);
    for (size_t i = 0; i < entries; i++)
        total += costs[i];
    for (uint64_t gas = 0; gas <= total + 2; gas++) {
        uint64_t left = gas;
        size_t stop = 0;
        while (stop < entries && left >= costs[stop])
            left -= costs[stop++];
        start_sum(&m, gas);
        javm_exec_run(&m.exec, 0);
        cr_assert_eq(m.exec.gas, left, "gas %llu", (unsigned long long)gas);
        cr_assert_eq(m.exec.exit_arg, 0);
        if (stop == entries) {
            cr_assert_eq(m.exec.exit, JAVM_EXIT_HOST_CALL);
            cr_assert_eq(m.exec.pc, sizeof sum);
            cr_assert_eq(machine_x(&m, 10), 16);
            continue;
        }
        cr_assert_eq(m.exec.exit, JAVM_EXIT_OUT_OF_GAS);
        cr_assert_eq(m.exec.pc, pcs[stop], "gas %llu", (unsigned long long)gas);
        /* Nothing of the block that was not entered: as many stores as rounds that were paid. */
        const uint64_t rounds = stop < 1 ? 0 : stop - 1 > 5 ? 5 : stop - 1;
        cr_assert_eq(machine_x(&m, 11), 5 - rounds);
        cr_assert_eq(machine_x(&m, 15), RW_BASE + 8 * rounds);
        /* Resumed with what is missing, it ends where a run with enough gas ends, at the same cost.
         */
        m.exec.gas += total - gas;
        javm_exec_run(&m.exec, 0);
        cr_assert_eq(m.exec.exit, JAVM_EXIT_HOST_CALL);
        cr_assert_eq(m.exec.gas, 0);
        cr_assert_eq(machine_x(&m, 10), 16);
        uint64_t stored[5];
        cr_assert(javm_memory_read(m.memory, RW_BASE, stored, sizeof stored));
        cr_assert_eq(stored[0], 5);
        cr_assert_eq(stored[4], 15);
    }
    machine_close(&m);
    REQUIRE_NO_LEAKS();
}

Test(exec, gas_is_not_sliced_away_by_a_deadline)
{
    /* A loop of 4 million gas, more than the engine is given at once. */
    const uint32_t code[] = {LUI(11, 0x38000), FALLTHROUGH, ADDI(11, 11, -1), BNE(11, 0, -4),
                             REPLY};
    struct machine m;
    machine_open(&m, code, sizeof code, NULL, 0);
    m.exec.gas = 10000000;
    javm_exec_run(&m.exec, 0);
    const uint64_t left = m.exec.gas;
    cr_assert_eq(m.exec.exit, JAVM_EXIT_HOST_CALL);
    cr_assert_lt(left, 10000000 - 3000000);
    m.exec.pc = 0;
    m.exec.gas = 10000000;
    javm_exec_run(&m.exec, UINT64_MAX);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_HOST_CALL);
    cr_expect_eq(m.exec.gas, left);
    /* The last gas goes as without a deadline, too. */
    for (uint64_t less = 0; less < 3; less++) {
        m.exec.pc = 0;
        m.exec.gas = 10000000 - left - less;
        javm_exec_run(&m.exec, UINT64_MAX);
        cr_expect_eq(m.exec.exit, less == 0 ? JAVM_EXIT_HOST_CALL : JAVM_EXIT_OUT_OF_GAS);
        cr_expect_eq(m.exec.gas, less == 0 ? 0 : 100 - less);
    }
    machine_close(&m);
}

Test(exec, a_passed_deadline_stops_at_a_block)
{
    const uint32_t code[] = {ADDI(5, 5, 1), JAL(0, -4)};
    struct machine m;
    machine_open(&m, code, sizeof code, NULL, 0);
    m.exec.gas = UINT64_C(1) << 62;
    javm_exec_run(&m.exec, 1);
    cr_assert_eq(m.exec.exit, JAVM_EXIT_NONE);
    cr_expect_eq(m.exec.pc, 0);
    const uint64_t rounds = machine_x(&m, 5);
    cr_expect_gt(rounds, 0);
    cr_expect_eq(m.exec.gas, (UINT64_C(1) << 62) - 12 * rounds);
    /* and goes on from there */
    m.exec.gas = 25;
    javm_exec_run(&m.exec, 0);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_OUT_OF_GAS);
    cr_expect_eq(machine_x(&m, 5), rounds + 2);
    cr_expect_eq(m.exec.gas, 1);
    machine_close(&m);
}

/* One block may cost more than the engine gets at once under a deadline. */
Test(exec, a_block_larger_than_a_slice)
{
    enum { DIVS = 50000 };
    uint32_t *code = malloc((DIVS + 1) * sizeof *code);
    cr_assert_not_null(code);
    for (size_t i = 0; i < DIVS; i++)
        code[i] = op(PVM2_DIV, 5, 5, 6, 0); /* each waits for the one before */
    code[DIVS] = REPLY;
    struct machine m;
    machine_open(&m, code, (DIVS + 1) * sizeof *code, NULL, 0);
    struct javm_block_info info;
    javm_program_block(m.program, 0, &info);
    cr_assert_gt(info.cost, 2500000);
    m.exec.gas = info.cost + 100;
    javm_exec_run(&m.exec, UINT64_MAX);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_HOST_CALL);
    cr_expect_eq(m.exec.gas, 0);
    m.exec.pc = 0;
    m.exec.gas = info.cost - 1;
    javm_exec_run(&m.exec, UINT64_MAX);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_OUT_OF_GAS);
    cr_expect_eq(m.exec.gas, info.cost - 1);
    machine_close(&m);
    free(code);
}

Test(exec, bad_entries)
{
    static const uint64_t entries[] = {
        4, 2, 12, 16, 20, UINT64_MAX, 1u << 31, UINT64_C(1) << 32, (UINT64_C(1) << 32) + 8};
    const uint32_t code[] = {ADDI(5, 5, 1), TRAP, ADDI(5, 5, 1), ADDI(5, 5, 1)};
    struct machine m;
    machine_open(&m, code, sizeof code, NULL, 0);
    for (size_t i = 0; i < CODE(entries); i++) {
        m.exec.pc = entries[i];
        m.exec.gas = 7;
        javm_exec_run(&m.exec, 0);
        cr_expect_eq(m.exec.exit, JAVM_EXIT_PANIC, "entry %llx", (unsigned long long)entries[i]);
        cr_expect_eq(m.exec.pc, entries[i]);
        cr_expect_eq(m.exec.gas, 7);
        cr_expect_eq(machine_x(&m, 5), 0);
    }
    machine_close(&m);
}

Test(exec, empty_code)
{
    struct machine m;
    machine_open(&m, "", 0, NULL, 0);
    javm_exec_run(&m.exec, 0);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_PANIC);
    cr_expect_eq(m.exec.pc, 0);
    cr_expect_eq(m.exec.gas, 1000000);
    machine_close(&m);
}

Test(exec, panics)
{
    /* reserved at 12; a jump into a block at 16; the end of the code behind 24 */
    const uint32_t code[] = {ADDI(5, 0, 1), FALLTHROUGH,   ADDI(6, 0, 2), RESERVED,
                             JAL(1, -12),   ADDI(7, 0, 3), ADDI(7, 7, 1)};
    struct machine m;
    machine_open(&m, code, sizeof code, NULL, 0);
    javm_exec_run(&m.exec, 0);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_PANIC);
    cr_expect_eq(m.exec.pc, 12);
    cr_expect_eq(machine_x(&m, 6), 2);
    m.exec.pc = 16;
    javm_exec_run(&m.exec, 0);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_PANIC);
    cr_expect_eq(m.exec.pc, 16);
    m.exec.pc = 20;
    m.exec.gas = 1;
    javm_exec_run(&m.exec, 0);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_PANIC);
    cr_expect_eq(m.exec.pc, 28);
    cr_expect_eq(m.exec.gas, 0);
    cr_expect_eq(machine_x(&m, 7), 4);
    machine_close(&m);
}

Test(exec, a_bad_jump_has_linked)
{
    const uint32_t code[] = {JALR(1, 10, 0), TRAP, ADDI(5, 0, 1), ADDI(6, 0, 1), REPLY};
    struct machine m;
    machine_open(&m, code, sizeof code, NULL, 0);
    m.exec.regs[slot_of(10)] = JAVM_CODE_BASE + 12;
    javm_exec_run(&m.exec, 0);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_PANIC);
    cr_expect_eq(m.exec.pc, 0);
    cr_expect_eq(machine_x(&m, 1), JAVM_CODE_BASE + 4);
    cr_expect_eq(machine_x(&m, 6), 0);
    /* the same jump to the start before it, by an address that is out of range but for its low half
     */
    m.exec.regs[slot_of(10)] = (UINT64_C(7) << 32) + JAVM_CODE_BASE + 8;
    m.exec.pc = 0;
    javm_exec_run(&m.exec, 0);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_HOST_CALL);
    cr_expect_eq(machine_x(&m, 6), 1);
    machine_close(&m);
}

Test(exec, ecalls_resume)
{
    const uint32_t code[] = {ECALLI(-2048), ECALLI(2047), ECALL_JAR, ADDI(5, 5, 1), ECALLI(1)};
    struct machine m;
    machine_open(&m, code, sizeof code, NULL, 0);
    m.exec.gas = 401;
    javm_exec_run(&m.exec, 0);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_HOST_CALL);
    cr_expect_eq(m.exec.exit_arg, -2048);
    cr_expect_eq(m.exec.pc, 4);
    javm_exec_run(&m.exec, 0);
    cr_expect_eq(m.exec.exit_arg, 2047);
    javm_exec_run(&m.exec, 0);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_ECALL_JAR);
    cr_expect_eq(m.exec.exit_arg, 0);
    cr_expect_eq(m.exec.pc, 12);
    cr_expect_eq(m.exec.gas, 101);
    m.exec.gas = 100;
    javm_exec_run(&m.exec, 0); /* one for the block; 99 do not pay the ecalli */
    cr_expect_eq(m.exec.exit, JAVM_EXIT_OUT_OF_GAS);
    cr_expect_eq(m.exec.pc, 16);
    cr_expect_eq(m.exec.gas, 99);
    m.exec.gas = 100;
    javm_exec_run(&m.exec, 0);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_HOST_CALL);
    cr_expect_eq(m.exec.exit_arg, 1);
    cr_expect_eq(m.exec.pc, 20);
    cr_expect_eq(m.exec.gas, 0);
    cr_expect_eq(machine_x(&m, 5), 1);
    javm_exec_run(&m.exec, 0);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_PANIC);
    cr_expect_eq(m.exec.pc, 20);
    machine_close(&m);
}

Test(exec, trap_and_faults)
{
    const uint32_t code[] = {TRAP, ADDI(5, 0, 9), LD(5, 0, 10), ADDI(5, 5, 1), REPLY};
    struct machine m;
    machine_open(&m, code, sizeof code, &one_page, 1);
    javm_exec_run(&m.exec, 0);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_TRAP);
    cr_expect_eq(m.exec.pc, 0);
    m.exec.pc = 4;
    m.exec.gas = 100;
    m.exec.regs[slot_of(10)] = RW_BASE + JAVM_PAGE_SIZE - 4;
    javm_exec_run(&m.exec, 0);
    cr_expect_eq(m.exec.exit, JAVM_EXIT_PAGE_FAULT);
    cr_expect_eq(m.exec.exit_arg, RW_BASE);
    cr_expect_eq(m.exec.fault_addr, RW_BASE + JAVM_PAGE_SIZE - 4);
    cr_expect_not(m.exec.fault_write);
    cr_expect_eq(m.exec.pc, 8);
    cr_expect_eq(machine_x(&m, 5), 9);
    struct javm_block_info info;
    javm_program_block(m.program, 1, &info);
    cr_expect_eq(m.exec.gas, 100 - info.cost); /* the whole block was paid */
    machine_close(&m);
}

Test(exec, names)
{
    static const char *const names[] = {"none", "host_call", "ecall_jar",  "out_of_gas",
                                        "trap", "panic",     "page_fault", "halt"};
    for (int i = 0; i < 8; i++)
        cr_expect_str_eq(javm_exit_name((enum javm_exit)i), names[i]);
    cr_expect_str_eq(javm_exit_name((enum javm_exit)99), "unknown");
    cr_expect(javm_engine_available(JAVM_ENGINE_INTERP));
}
