/* javm-link --isa pvm: the translated program does what the program does.
 *
 * Would catch: an instruction whose counterpart, or sequence, differs for some operands; constants
 * that are put where they do not belong; a register that is overwritten although somebody reads it
 * later, or is not given back; branches with the wrong condition or target; code that differs
 * between the engines. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/loaders/elf_maker.h"
#include "tests/loaders/run_image.h"
#include "tests/require.h"
#include "vm/pvm2.h"

#define DATA  UINT64_C(0x10000000)
#define INSNS 60u

static uint64_t state = 88172645463325252u;

static uint64_t random_bits(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static uint32_t below(uint32_t n)
{
    return (uint32_t)(random_bits() >> 33) % n;
}

/* ---- programs --------------------------------------------------------------------------- */

struct code {
    uint32_t words[2 * INSNS + 64];
    uint32_t count;
};

static void put(struct code *c, enum pvm2_op op, unsigned rd, unsigned rs1, unsigned rs2,
                int64_t imm)
{
    const struct pvm2_insn insn = {.op = (uint8_t)op,
                                   .rd = (uint8_t)rd,
                                   .rs1 = (uint8_t)rs1,
                                   .rs2 = (uint8_t)rs2,
                                   .imm = (int32_t)imm};
    REQUIRE(pvm2_imm_fits(op, imm) && c->count < sizeof c->words / sizeof *c->words);
    c->words[c->count++] = pvm2_encode32(&insn);
}

/* Few of them, so that they meet; sometimes any. */
static unsigned any_register(void)
{
    static const uint8_t all[] = {0, 1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    return all[below(below(3) == 0 ? 14 : 5)];
}

static int64_t any_imm(enum pvm2_op op)
{
    static const int64_t some[] = {0, 1, -1, 2, 5, 31, 32, 33, 63, 127, -128, 2047, -2048, 0x55};
    int64_t imm = op == PVM2_LUI ? (int64_t)(int32_t)(random_bits() & 0xFFFFF000)
                                 : some[below(sizeof some / sizeof *some)];
    while (!pvm2_imm_fits(op, imm))
        imm = imm < 0 ? -imm - 1 : imm / 2;
    return imm;
}

static bool is_memory(enum pvm2_op op)
{
    return op >= PVM2_LB && op <= PVM2_SD;
}

/* Does it go on with the next instruction, and mean the same everywhere? */
static bool is_straight(enum pvm2_op op)
{
    return op == PVM2_LUI || (op >= PVM2_LB && op <= PVM2_FENCE_I) || op == PVM2_FALLTHROUGH;
}

static void put_any(struct code *c, enum pvm2_op op)
{
    const unsigned rd = any_register(), rs1 = any_register(), rs2 = any_register();
    if (is_memory(op)) {
        if (rs1 != 0 && below(20) != 0) /* else a fault, most likely */
            put(c, PVM2_LUI, rs1, 0, 0, DATA);
        put(c, op, op >= PVM2_SB ? 0 : rd, rs1, op >= PVM2_SB ? rs2 : 0, below(2048 - 8));
    } else {
        put(c, op, rd, rs1, rs2, any_imm(op));
    }
}

/* Straight code with branches forward in it; at last an operation. */
static void make_program(struct code *c, uint32_t insns)
{
    c->count = 0;
    while (c->count < insns) {
        const enum pvm2_op op = (enum pvm2_op)below(PVM2_RESERVED);
        if (op >= PVM2_BEQ && op <= PVM2_BGEU) {
            put(c, op, 0, any_register(), any_register(), 4 * (1 + (int64_t)below(6)));
        } else if (op == PVM2_JAL) {
            put(c, op, 0, 0, 0, 4 * (1 + (int64_t)below(3)));
        } else if (is_straight(op)) {
            put_any(c, op);
        }
        if (below(4) == 0)
            put(c, PVM2_ADDI, any_register(), 0, 0, any_imm(PVM2_ADDI)); /* constants */
    }
    for (unsigned i = 0; i < 8; i++)
        put(c, PVM2_ADDI, 0, 0, 0, 0);
    put(c, PVM2_ECALLI, 0, 0, 0, 77);
}

static struct javm_bundle link_code(const struct code *c, const struct javm_link_options *options)
{
    struct elf_recipe recipe = elf_simple(c->words, c->count * sizeof *c->words);
    unsigned i = 0;
    while (recipe.sections[i].name != NULL)
        i++;
    recipe.sections[i] = (struct make_section){.name = ".data",
                                               .type = SHT_NOBITS,
                                               .flags = SHF_ALLOC | SHF_WRITE,
                                               .address = DATA,
                                               .size = 4096};
    size_t len;
    uint8_t *elf = elf_make(&recipe, &len);
    struct javm_bundle bundle = link_bytes(elf, len, options);
    free(elf);
    return bundle;
}

/* ---- the same --------------------------------------------------------------------------- */

struct outcome {
    uint64_t regs[JAVM_NUM_REGS];
    uint8_t memory[4096];
    enum javm_exit exit;
    int64_t arg;
    uint64_t fault, gas;
};

static void run(const struct javm_bundle *bundle, enum javm_engine engine, const uint64_t *regs,
                struct outcome *out)
{
    struct image_machine m;
    machine_open(&m, bundle, engine);
    memcpy(m.exec.regs, regs, JAVM_NUM_REGS * sizeof *regs);
    javm_exec_run(&m.exec, 0);
    memset(out, 0, sizeof *out);
    out->exit = m.exec.exit;
    out->arg = m.exec.exit_arg;
    out->fault = m.exec.fault_addr;
    out->gas = m.exec.gas;
    if (out->exit == JAVM_EXIT_HOST_CALL)
        memcpy(out->regs, m.exec.regs, sizeof out->regs);
    REQUIRE(javm_memory_read(m.exec.memory, DATA, out->memory, sizeof out->memory));
    machine_close(&m);
}

static void describe(const struct code *c, const uint64_t *regs)
{
    for (unsigned i = 0; i < JAVM_NUM_REGS; i++)
        fprintf(stderr, "phi%u=0x%llx ", i, (unsigned long long)regs[i]);
    fputc('\n', stderr);
    for (uint32_t i = 0; i < c->count; i++) {
        char text[64];
        const struct pvm2_insn insn = pvm2_decode32(c->words[i]);
        pvm2_format(&insn, text, sizeof text);
        fprintf(stderr, "%4u %s\n", i, text);
    }
}

static void compare(const struct code *c)
{
    static const uint64_t corners[] = {0,          1,          UINT64_MAX,
                                       0x80000000, 0x7FFFFFFF, UINT64_C(1) << 63,
                                       0xFF00FF,   2,          UINT64_C(0x8000000080000000)};
    uint64_t regs[JAVM_NUM_REGS];
    for (unsigned i = 0; i < JAVM_NUM_REGS; i++)
        regs[i] = below(2) != 0 ? random_bits() : corners[below(9)];
    const struct javm_link_options plain = {.pvm = true, .mark_all = true}, pvm = {.pvm = true};
    const struct javm_link_options *const options[] = {NULL, &pvm, &plain};
    struct outcome want, got, native;
    for (unsigned i = 0; i < 3; i++) {
        struct javm_bundle bundle = link_code(c, options[i]);
        run(&bundle, JAVM_ENGINE_INTERP, regs, i == 0 ? &want : &got);
        if (i != 0) {
            run(&bundle, JAVM_ENGINE_JIT, regs, &native);
            const uint64_t gas = got.gas;
            bool same = memcmp(&got, &native, sizeof got) == 0;
            got.gas = want.gas;
            same = same && memcmp(&got, &want, sizeof got) == 0;
            got.gas = gas;
            if (!same) {
                describe(c, regs);
                for (unsigned k = 0; k < JAVM_NUM_REGS; k++)
                    if (got.regs[k] != want.regs[k] || native.regs[k] != got.regs[k])
                        fprintf(stderr, "phi%u is 0x%llx, 0x%llx, not 0x%llx\n", k,
                                (unsigned long long)got.regs[k], (unsigned long long)native.regs[k],
                                (unsigned long long)want.regs[k]);
                cr_assert_fail("%s instead of %s, constants %s", javm_exit_name(got.exit),
                               javm_exit_name(want.exit), i == 1 ? "folded" : "as they are");
            }
        }
        javm_bundle_clear(&bundle);
    }
}

Test(translate, each_instruction_by_itself)
{
    struct code c;
    for (enum pvm2_op op = 0; op < PVM2_RESERVED; op++) {
        if (!is_straight(op))
            continue;
        for (unsigned round = 0; round < 60; round++) {
            c.count = 0;
            put_any(&c, op);
            put(&c, PVM2_ECALLI, 0, 0, 0, 77);
            compare(&c);
        }
    }
}

Test(translate, random_programs)
{
    struct code c;
    for (unsigned round = 0; round < 1500; round++) {
        make_program(&c, 2 + below(INSNS));
        compare(&c);
    }
}

/* ---- what has no counterpart ------------------------------------------------------------ */

static void refuse(const struct elf_recipe *recipe, const char *text)
{
    const struct javm_link_options pvm = {.pvm = true};
    struct javm_bundle bundle;
    struct javm_error err = {.text = ""};
    size_t len;
    uint8_t *elf = elf_make(recipe, &len);
    cr_expect_eq(javm_link_elf(elf, len, &pvm, &bundle, NULL, &err), JAVM_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, text);
    free(elf);
}

Test(translate, what_it_refuses)
{
    struct code c = {.count = 0};
    put(&c, PVM2_ECALLI, 0, 0, 0, -5);
    struct elf_recipe recipe = elf_simple(c.words, sizeof *c.words);
    refuse(&recipe, "_start+0x0 (.text+0x0): operation -5: PVM has no negative ones");
    c.count = 0;
    put(&c, PVM2_LUI, 10, 0, 0, 0x400000);
    put(&c, PVM2_LW, 10, 10, 0, 0);
    put(&c, PVM2_ECALLI, 0, 0, 0, 0);
    recipe = elf_simple(c.words, c.count * sizeof *c.words);
    recipe.relocs[0] = (struct make_reloc){1, 0x400000, 26, 1, 0}; /* HI20 */
    recipe.relocs[1] = (struct make_reloc){1, 0x400004, 27, 1, 0}; /* LO12_I */
    refuse(&recipe,
           "_start+0x4 (.text+0x4): \"lw\" reads or writes code, which PVM has not in memory");
}

/* Where control ends: reserved code, jumps to addresses that are none, the end of the code. */
Test(translate, ends_as_pvm2_does)
{
    const struct javm_link_options pvm = {.pvm = true};
    for (unsigned i = 0; i < 4; i++) {
        struct code c = {.count = 0};
        static const uint64_t regs[JAVM_NUM_REGS] = {0};
        struct outcome want, got;
        if (i == 0)
            c.words[c.count++] = 0; /* unimp */
        else if (i == 1)
            put(&c, PVM2_TRAP, 0, 0, 0, 0);
        else if (i == 2)
            put(&c, PVM2_JALR, 5, 0, 0, 16);
        else
            put(&c, PVM2_JALR, 0, 7, 0, 0);
        put(&c, PVM2_ECALLI, 0, 0, 0, 0);
        struct javm_bundle one = link_code(&c, NULL), other = link_code(&c, &pvm);
        run(&one, JAVM_ENGINE_INTERP, regs, &want);
        for (enum javm_engine engine = 0; engine < 2; engine++) {
            run(&other, engine, regs, &got);
            cr_expect_eq(got.exit, want.exit, "%u: %s", i, javm_exit_name(got.exit));
        }
        javm_bundle_clear(&one);
        javm_bundle_clear(&other);
    }
}
