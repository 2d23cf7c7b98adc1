/* PVM on both engines, beyond what the vectors say.
 *
 * Would catch: an opcode that is missing, invented or only in the wrong profile; gp gas that
 * depends on where blocks begin; sbrk that grows beyond its limit or makes the wrong pages
 * writable; accesses at the ends of the address space that wrap; a halt address in one engine only;
 * costs of entries into the middle of a block that differ from those of the block that begins
 * there. */
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
            cr_expect_eq(pvm_is_valid(profile, (uint8_t)op), false);
        } else if (op == 0) {
            cr_expect_eq(end->exit, profile == JAVM_PVM_GP ? JAVM_EXIT_PANIC : JAVM_EXIT_TRAP);
        } else if (op == 40 || op == 50 || op == 80 || op == 180 || (op > 80 && op <= 90) ||
                   (op >= 170 && op <= 175)) {
            cr_expect(pvm_is_valid(profile, (uint8_t)op)); /* their vectors say what they do */
        } else {
            cr_expect(end->exit == JAVM_EXIT_HOST_CALL || op == 3, "profile %d, opcode %u: %s",
                      profile, op, javm_exit_name(end->exit));
        }
        pvm_close(&m);
    }
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
