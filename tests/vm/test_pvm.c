/* PVM on both engines, beyond what the vectors say.
 *
 * Would catch: an opcode that is missing, invented or only in the wrong profile; gp gas that
 * depends on where blocks begin; sbrk that grows beyond its limit or makes the wrong pages
 * writable; accesses at the ends of the address space that wrap; a halt address in one engine only;
 * costs of entries into the middle of a block that differ from those of the block that begins
 * there; an opcode that the program's set lacks but runs, or counts where blocks begin; a memset
 * that stores, charges or moves on by another amount, or whose gas depends on slices. */
#include <criterion/criterion.h>

#include "tests/vm/pvm_support.h"
#include "vm/front.h"
#include "vm/pvm.h"

/* ---- opcodes ---------------------------------------------------------------------------- */

/* The specification's lists, first and last of each run. */
static bool is_listed(enum javm_pvm profile, unsigned op)
{
    static const uint8_t runs[][2] = {{0, 3},     {10, 10},   {20, 20},  {30, 33},   {40, 40},
                                      {50, 62},   {70, 73},   {80, 90},  {100, 111}, {120, 161},
                                      {170, 175}, {180, 180}, {190, 230}};
    if (op == 101)
        return profile == JAVM_PVM_GP;
    if (op == 2 || op == 3)
        return profile == JAVM_PVM_JAR1;
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++)
        if (op >= runs[i][0] && op <= runs[i][1])
            return true;
    return false;
}

Test(pvm, every_opcode_of_both_profiles_runs_and_no_other)
{
    static const struct javm_region page = {.first_page = 16, .pages = 4, .writable = true};
    static const uint64_t regs[JAVM_NUM_REGS] = {
        0x10008, 0x10100, 0x11000,    UINT64_MAX, 0, 1, UINT64_C(1) << 63,
        31,      33,      0x80000000, 5,          6, 9};
    for (unsigned i = 0; i < 512; i++) {
        const enum javm_pvm profile = i < 256 ? JAVM_PVM_JAR1 : JAVM_PVM_GP;
        const unsigned op = i % 256;
        struct pvm_text t = {.len = 0};
        struct pvm_machine m;
        /* Two immediates of one byte, or an address at 0x10010 for those with one of four. */
        if ((op >= 52 && op <= 62) || (op >= 30 && op <= 33))
            PVM(&t, (uint8_t)op, 0x04, 0x10, 0x00, 0x01, 0x00);
        else if (op >= 190)
            PVM(&t, (uint8_t)op, 0x23, 0x05);
        else
            PVM(&t, (uint8_t)op, 0x10, 0x08, 0x02);
        PVM(&t, 10, 42);
        pvm_open(&m, &t, profile, &page, 1);
        pvm_start(&m, 0, 1000, regs);
        const struct javm_exec *end = pvm_run(&m);
        const bool first = end->exit == JAVM_EXIT_PANIC && end->gas >= 900;
        if (!is_listed(profile, op)) {
            cr_expect(first, "profile %d, opcode %u: %s", profile, op, javm_exit_name(end->exit));
            cr_expect_eq(pvm_is_valid(&m.program->front, (uint8_t)op), false);
        } else if (op == 0) {
            cr_expect_eq(end->exit, profile == JAVM_PVM_GP ? JAVM_EXIT_PANIC : JAVM_EXIT_TRAP);
        } else if (op == 40 || op == 50 || op == 80 || op == 180 || (op > 80 && op <= 90) ||
                   (op >= 170 && op <= 175)) {
            cr_expect(
                pvm_is_valid(&m.program->front, (uint8_t)op)); /* their vectors say what they do */
        } else {
            cr_expect(end->exit == JAVM_EXIT_HOST_CALL || op == 3, "profile %d, opcode %u: %s",
                      profile, op, javm_exit_name(end->exit));
        }
        pvm_close(&m);
    }
}

/* A program's own set decides, also about where jumps may lead: to what follows the opcode. */
Test(pvm, an_opcode_outside_of_the_programs_set_is_none)
{
    static const struct {
        uint8_t op;
        unsigned feature;
        bool ends;
    } ops[] = {{2, JAVM_PVM_UNLIKELY, true},
               {3, JAVM_PVM_ECALL, true},
               {JAVM_PVM_OP_MEMSET, JAVM_PVM_MEMSET, false},
               {101, JAVM_PVM_SBRK, false}};
    for (unsigned features = 1; features < 16; features++)
        for (size_t i = 0; i < sizeof ops / sizeof *ops; i++)
            for (unsigned jumps = 0; jumps < 2; jumps++) {
                struct pvm_text t = {.features = features};
                struct pvm_machine m;
                PVM(&t, 40, jumps != 0 ? 4 : 2);
                PVM(&t, ops[i].op, 0x10);
                PVM(&t, 10, 7);
                pvm_open(&m, &t, JAVM_PVM_GP, NULL, 0);
                pvm_start(&m, 0, 100, NULL);
                const struct javm_exec *end = pvm_run(&m);
                const bool has = (features & ops[i].feature) != 0;
                const bool runs = has && (jumps == 0 || ops[i].ends);
                const enum javm_exit exit = !runs                          ? JAVM_EXIT_PANIC
                                            : ops[i].op == 3 && jumps == 0 ? JAVM_EXIT_ECALL_JAR
                                                                           : JAVM_EXIT_HOST_CALL;
                cr_expect_eq(end->exit, exit, "features %u, opcode %u: %s", features, ops[i].op,
                             javm_exit_name(end->exit));
                cr_expect_eq(pvm_is_valid(&m.program->front, ops[i].op), has);
                pvm_close(&m);
            }
}

Test(pvm, memset_pays_for_each_byte_and_stops_where_it_has_to)
{
    static const struct javm_region pages = {.first_page = 32, .pages = 2, .writable = true};
    static const struct {
        uint64_t at, count, gas;
        enum javm_exit exit;
        uint64_t done, left; /* bytes stored; gas */
    } cases[] = {{0x20004, 0, 9, JAVM_EXIT_HOST_CALL, 0, 6},
                 {0x20004, 5, 9, JAVM_EXIT_HOST_CALL, 5, 1},
                 {0x20004, 7, 9, JAVM_EXIT_OUT_OF_GAS, 7, 0}, /* none for the ecalli */
                 {0x20004, 8, 9, JAVM_EXIT_OUT_OF_GAS, 8, 0}, /* ... for the memset */
                 {0x20004, 9, 9, JAVM_EXIT_OUT_OF_GAS, 8, 0}, /* ... for the last byte */
                 {0x20004, UINT64_MAX, 9, JAVM_EXIT_OUT_OF_GAS, 8, 0},
                 {0x20004, 5, 1, JAVM_EXIT_OUT_OF_GAS, 0, 0},
                 {0x21FFE, 5, 9, JAVM_EXIT_PAGE_FAULT, 2, 5},
                 {0x21FFE, 9, 9, JAVM_EXIT_PAGE_FAULT, 2, 5},
                 {0x21FFE, 9, 3, JAVM_EXIT_OUT_OF_GAS, 2, 0},
                 {0x500021FFE, 2, 9, JAVM_EXIT_HOST_CALL, 2, 4}, /* addresses have 32 bits */
                 {0x20F00, 0x300, 0x400, JAVM_EXIT_HOST_CALL, 0x300, 0xFD},
                 {0xFFFF, 5, 9, JAVM_EXIT_PANIC, 0, 7}};
    struct pvm_text t = {.features = JAVM_PVM_MEMSET};
    struct pvm_machine m;
    PVM(&t, 100, 0x33);
    PVM(&t, JAVM_PVM_OP_MEMSET);
    PVM(&t, 10, 1);
    pvm_open(&m, &t, JAVM_PVM_GP, &pages, 1);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const uint64_t regs[JAVM_NUM_REGS] = {[7] = cases[i].at, [8] = 0x1AB, [9] = cases[i].count};
        for (unsigned k = 0; k < 2; k++)
            javm_memory_reset(m.exec[k].memory);
        pvm_start(&m, 0, cases[i].gas, regs);
        const struct javm_exec *end = pvm_run(&m);
        cr_expect_eq(end->exit, cases[i].exit, "%zu: %s", i, javm_exit_name(end->exit));
        cr_expect_eq(end->gas, cases[i].left, "%zu: %llu", i, (unsigned long long)end->gas);
        cr_expect_eq(end->regs[7], cases[i].at + cases[i].done, "%zu", i);
        cr_expect_eq(end->regs[9], cases[i].count - cases[i].done, "%zu", i);
        if (end->exit == JAVM_EXIT_PAGE_FAULT) {
            cr_expect_eq(end->fault_addr, 0x22000);
            cr_expect_eq(end->pc, 2);
        }
        for (unsigned k = 0; k < 2; k++) {
            uint8_t bytes[0x302] = {0};
            const uint32_t before = (uint32_t)cases[i].at - 1;
            REQUIRE(before < 0x20000 ||
                    javm_memory_read(m.exec[k].memory, before, bytes,
                                     cases[i].done +
                                         (end->exit != JAVM_EXIT_PAGE_FAULT &&
                                          before + 2 + cases[i].done < 0x22000) +
                                         1));
            for (size_t b = 0; b < sizeof bytes && before >= 0x20000; b++)
                cr_expect_eq(bytes[b], b > 0 && b <= cases[i].done ? 0xAB : 0, "%zu: byte %zu", i,
                             b);
        }
    }
    pvm_close(&m);
}

Test(pvm, a_deadline_does_not_change_what_memset_costs)
{
    static const struct javm_region pages = {.first_page = 32, .pages = 100, .writable = true};
    struct pvm_text t = {.features = JAVM_PVM_MEMSET};
    struct pvm_machine m;
    PVM(&t, 100, 0x33);
    PVM(&t, JAVM_PVM_OP_MEMSET);
    PVM(&t, 10, 1);
    pvm_open(&m, &t, JAVM_PVM_GP, &pages, 1);
    for (unsigned k = 0; k < 2; k++) {
        pvm_start(&m, 0, 1000000,
                  (const uint64_t[JAVM_NUM_REGS]){[7] = 0x20000, [8] = 1, [9] = 300000});
        javm_exec_run(&m.exec[k], UINT64_MAX);
        cr_expect_eq(m.exec[k].exit, JAVM_EXIT_HOST_CALL);
        cr_expect_eq(m.exec[k].gas, 1000000 - 300000 - 3);
    }
    pvm_close(&m);
}

/* ---- limits ----------------------------------------------------------------------------- */

Test(pvm, more_than_an_engine_takes_is_refused_by_its_length)
{
    const struct javm_program_key key = {.pvm = JAVM_PVM_JAR1},
                                  jumps = {.pvm = JAVM_PVM_GP,
                                           .jump_count = JAVM_PVM_JUMPS_MAX + 1};
    struct javm_program *program;
    cr_expect_eq(javm_program_decode(NULL, JAVM_PVM_CODE_MAX + 1, &key, &program, NULL),
                 JAVM_E_LIMIT);
    cr_expect_eq(javm_program_decode(NULL, 0, &jumps, &program, NULL), JAVM_E_LIMIT);
}

/* ---- the end of the code ---------------------------------------------------------------- */

Test(pvm, behind_the_code_there_are_traps)
{
    struct pvm_text t = {.len = 0};
    struct pvm_machine m;
    PVM(&t, 1);
    for (unsigned gp = 0; gp < 2; gp++) {
        pvm_open(&m, &t, gp != 0 ? JAVM_PVM_GP : JAVM_PVM_JAR1, NULL, 0);
        static const uint64_t pcs[] = {0, 1, 2, 1000, UINT64_MAX};
        for (size_t i = 0; i < sizeof pcs / sizeof *pcs; i++) {
            pvm_start(&m, pcs[i], 10, NULL);
            const struct javm_exec *end = pvm_run(&m);
            cr_expect_eq(end->exit, gp != 0 ? JAVM_EXIT_PANIC : JAVM_EXIT_TRAP);
            cr_expect_eq(end->pc, gp != 0 ? 0 : pcs[i] == 0 ? 1 : pcs[i]);
            cr_expect_eq(end->gas, pcs[i] == 0 ? 8u : 9u);
            pvm_start(&m, pcs[i], 0, NULL);
            end = pvm_run(&m);
            cr_expect_eq(end->exit, JAVM_EXIT_OUT_OF_GAS);
            cr_expect_eq(end->pc, pcs[i]);
        }
        pvm_close(&m);
    }
}

/* ---- memory ----------------------------------------------------------------------------- */

Test(pvm, accesses_at_the_ends_of_the_address_space)
{
    static const struct javm_region ends[] = {{.first_page = 0, .pages = 1, .writable = true},
                                              {.first_page = 0xFFFFF, .pages = 1}};
    struct pvm_text t = {.len = 0};
    struct pvm_machine m;
    PVM(&t, 130, 0x10); /* load_ind_u64 r0, [r1] */
    PVM(&t, 0);
    PVM(&t, 123, 0x10); /* store_ind_u64 [r1], r0 */
    PVM(&t, 0);
    const uint64_t behind[JAVM_NUM_REGS] = {0, UINT64_C(0x7FFFFFFFC)};
    pvm_open(&m, &t, JAVM_PVM_JAR1, ends, 2);
    pvm_start(&m, 0, 100, behind);
    const struct javm_exec *end = pvm_run(&m);
    cr_expect_eq(end->exit, JAVM_EXIT_PAGE_FAULT);
    cr_expect_eq(end->exit_arg, 0, "the page would be the one behind the last");
    pvm_start(&m, 3, 100, behind);
    end = pvm_run(&m);
    cr_expect_eq(end->exit, JAVM_EXIT_PAGE_FAULT);
    cr_expect_eq(end->exit_arg, 0xFFFFF000);
    pvm_close(&m);
    pvm_open(&m, &t, JAVM_PVM_GP, ends, 2);
    pvm_start(&m, 0, 100, behind);
    end = pvm_run(&m);
    cr_expect_eq(end->exit, JAVM_EXIT_PANIC, "the low zone");
    cr_expect_eq(end->gas, 99);
    pvm_close(&m);
}

Test(pvm, sbrk_grows_up_to_its_limit)
{
    static const struct javm_region page = {.first_page = 32, .pages = 1, .writable = true};
    struct pvm_text t = {.len = 0};
    struct pvm_machine m;
    PVM(&t, 101, 0x10);                  /* r0 = sbrk(r1) */
    PVM(&t, 101, 0x32);                  /* r2 = sbrk(r3) */
    PVM(&t, 62, 0x01, 0xF8, 0x3F, 0x02); /* store_u64 [0x23ff8], r1 */
    PVM(&t, 10, 1);
    pvm_open(&m, &t, JAVM_PVM_GP, &page, 1);
    uint64_t regs[JAVM_NUM_REGS] = {0, 0x3000, 0, 0};
    const struct {
        uint64_t by;
        enum javm_exit exit;
    } cases[] = {{0x2FFF, JAVM_EXIT_HOST_CALL},
                 {0x2000, JAVM_EXIT_PAGE_FAULT},
                 {0x3000, JAVM_EXIT_HOST_CALL},
                 {0x3001, JAVM_EXIT_PAGE_FAULT},
                 {UINT64_MAX, JAVM_EXIT_PAGE_FAULT}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        regs[1] = cases[i].by;
        for (unsigned k = 0; k < 2; k++) {
            m.exec[k].heap = (struct javm_heap){.top = 0x21000, .limit = 0x24000};
            REQUIRE(javm_memory_attach(m.exec[k].memory, &page, 1) == JAVM_OK);
        }
        pvm_start(&m, 0, 100, regs);
        const struct javm_exec *end = pvm_run(&m);
        cr_expect_eq(end->exit, cases[i].exit, "%zu: %s", i, javm_exit_name(end->exit));
        cr_expect_eq(end->regs[0], cases[i].by <= 0x3000 ? 0x21000u : 0u, "%zu", i);
        cr_expect_eq(end->regs[2], 0x21000 + (cases[i].by <= 0x3000 ? cases[i].by : 0));
        cr_expect_eq(end->gas, cases[i].exit == JAVM_EXIT_HOST_CALL ? 96u : 97u);
    }
    pvm_close(&m);
}

/* ---- jumps ------------------------------------------------------------------------------ */

Test(pvm, the_halt_address_and_links)
{
    struct pvm_text t = {.jumps = {4}, .jump_count = 1};
    struct pvm_machine m;
    PVM(&t, 180, 0x10, 1, 5); /* r0 = 5; djump(r1) */
    PVM(&t, 0);
    static const struct {
        uint64_t address;
        enum javm_exit exit;
        uint64_t link, pc;
    } cases[] = {{0xFFFF0000, JAVM_EXIT_HALT, 7, 0}, {UINT64_C(0x1FFFF0000), JAVM_EXIT_HALT, 7, 0},
                 {2, JAVM_EXIT_TRAP, 5, 4},          {0, JAVM_EXIT_PANIC, 5, 0},
                 {3, JAVM_EXIT_PANIC, 5, 0},         {4, JAVM_EXIT_PANIC, 5, 0}};
    pvm_open(&m, &t, JAVM_PVM_JAR1, NULL, 0);
    for (unsigned pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
            pvm_start(&m, 0, 100, (const uint64_t[JAVM_NUM_REGS]){7, cases[i].address});
            const struct javm_exec *end = pvm_run(&m);
            cr_expect_eq(end->exit, cases[i].exit, "%zu: %s", i, javm_exit_name(end->exit));
            cr_expect_eq(end->regs[0], cases[i].link, "%zu", i);
            cr_expect_eq(end->pc, cases[i].pc, "%zu", i);
        }
    pvm_close(&m);
}
