/* Code that grows, made so that every branch form lands just inside and just outside its reach once
 * markers are in. Catches: a limit that is off by one step, in either direction; a grown branch
 * that goes elsewhere or has the wrong condition; branches that grow without need; a chain of
 * growths that does not settle; compressed immediates with bits in the wrong place; differences and
 * pointers in data that do not follow the code. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "loaders/elf_read.h"
#include "tests/loaders/elf_maker.h"
#include "tests/loaders/run_image.h"
#include "vm/pvm2.h"

#define BASE UINT64_C(0x400000)

/* ---- a small assembler ------------------------------------------------------------------ */

struct code {
    uint8_t *bytes; /* owned */
    size_t len, capacity;
};

static void put(struct code *code, uint32_t word, unsigned size)
{
    if (code->len + 8 > code->capacity) {
        code->capacity = code->capacity * 2 + 4096;
        code->bytes = realloc(code->bytes, code->capacity);
        cr_assert_not_null(code->bytes);
    }
    for (unsigned i = 0; i < size; i++)
        code->bytes[code->len++] = (uint8_t)(word >> 8 * i);
}

static void half(struct code *code, uint32_t value)
{
    put(code, value, 2);
}

static void insn(struct code *code, enum pvm2_op op, uint8_t rd, uint8_t rs1, uint8_t rs2,
                 int32_t imm)
{
    struct pvm2_insn i = {.op = (uint8_t)op, .rd = rd, .rs1 = rs1, .rs2 = rs2, .imm = imm};
    cr_assert(pvm2_imm_fits(op, imm), "%s %d", pvm2_mnemonic(op), imm);
    put(code, pvm2_encode32(&i), 4);
}

#define C_NOP 0x0001u
/* c.li x10, n */
static void c_li(struct code *code, uint32_t n)
{
    half(code, 0x4501 | n << 2);
}

/* x10 = n, then reply. */
static void reply(struct code *code, uint32_t n)
{
    c_li(code, n);
    insn(code, PVM2_ECALLI, 0, 0, 0, 0);
}

static void fill(struct code *code, size_t until)
{
    while (code->len < until)
        half(code, C_NOP);
}

enum form { C_BNEZ, C_BEQZ, C_J, BRANCH, JAL, FORMS };
static const char *const form_names[] = {"c.bnez", "c.beqz", "c.j", "branch", "jal"};
/* One past the largest distance forwards; also the largest backwards. */
static const int32_t reach[] = {256, 256, 2048, 4096, 1048576};

static uint32_t scatter(uint32_t d, const uint8_t (*bits)[2], unsigned n)
{
    uint32_t word = 0;
    for (unsigned i = 0; i < n; i++)
        word |= (d >> bits[i][0] & 1) << bits[i][1];
    return word;
}

/* One branch of the form over `distance`; the conditional ones test x11. */
static void branch(struct code *code, enum form form, enum pvm2_op op, int32_t distance)
{
    static const uint8_t cb[8][2] = {{8, 12}, {4, 11}, {3, 10}, {7, 6},
                                     {6, 5},  {2, 4},  {1, 3},  {5, 2}};
    static const uint8_t cj[11][2] = {{11, 12}, {4, 11}, {9, 10}, {8, 9}, {10, 8}, {6, 7},
                                      {7, 6},   {3, 5},  {2, 4},  {1, 3}, {5, 2}};
    switch (form) {
    case C_BNEZ:
    case C_BEQZ:
        half(code, (form == C_BNEZ ? 0xE181u : 0xC181u) | scatter((uint32_t)distance, cb, 8));
        break;
    case C_J:
        half(code, 0xA001u | scatter((uint32_t)distance, cj, 11));
        break;
    case BRANCH:
        insn(code, op, 0, 11, 12, distance);
        break;
    default:
        insn(code, PVM2_JAL, 0, 0, 0, distance);
        break;
    }
}

/* Would x11 (and x12 = 5) take it? */
static bool taken(enum form form, enum pvm2_op op, uint64_t x11)
{
    int64_t s = (int64_t)x11;
    if (form == C_BNEZ)
        return x11 != 0;
    if (form == C_BEQZ)
        return x11 == 0;
    if (form != BRANCH)
        return true;
    switch (op) {
    case PVM2_BEQ:
        return x11 == 5;
    case PVM2_BNE:
        return x11 != 5;
    case PVM2_BLT:
        return s < 5;
    case PVM2_BGE:
        return s >= 5;
    case PVM2_BLTU:
        return x11 < 5;
    default:
        return x11 >= 5;
    }
}

/* ---- the limits ------------------------------------------------------------------------- */

static uint8_t *link_input(const struct code *code, const struct elf_recipe *recipe, size_t *len)
{
    struct elf_recipe r = recipe == NULL ? elf_simple(code->bytes, code->len) : *recipe;
    return elf_make(&r, len);
}

/* The branch at the marker-free offset that follows `before` in the output. */
static uint8_t length_at(const struct javm_bundle *bundle, uint64_t offset)
{
    const struct javm_image *image = image_of(bundle);
    struct pvm2_insn first, second;
    cr_assert(pvm2_decode(image->code, image->code_len, offset, &first));
    if (first.op >= PVM2_BEQ && first.op <= PVM2_BGEU && first.imm == 8 && first.len == 4 &&
        pvm2_decode(image->code, image->code_len, offset + 4, &second) && second.op == PVM2_JAL)
        return 8;
    return first.len;
}

static uint8_t expected_length(enum form form, int32_t distance)
{
    bool fits = distance >= -reach[form] && distance < reach[form];
    if (form == BRANCH)
        return fits ? 4 : 8;
    return fits && form != JAL ? 2 : 4;
}

static void check_limit(enum form form, enum pvm2_op op, int32_t distance, const struct code *code,
                        const struct elf_recipe *recipe, int32_t new_distance, uint64_t branch_at)
{
    size_t len;
    uint8_t *elf = link_input(code, recipe, &len);
    struct javm_bundle bundle;
    struct javm_error err = {0};
    enum javm_status status = javm_link_elf(elf, len, NULL, &bundle, NULL, &err);
    free(elf);
    if (form == JAL && (new_distance >= 1048576 || new_distance < -1048576)) {
        cr_expect_eq(status, JAVM_E_LIMIT, "jal %d", distance);
        cr_expect(strstr(err.text, "1 MiB is the most") != NULL, "%s", err.text);
        return;
    }
    cr_assert_eq(status, JAVM_OK, "%s %d: %s", form_names[form], distance, err.text);
    cr_expect_eq(length_at(&bundle, branch_at), expected_length(form, new_distance),
                 "%s %d -> %d has %u bytes", form_names[form], distance, new_distance,
                 length_at(&bundle, branch_at));
    static const uint64_t values[] = {0, 5, 6, UINT64_MAX};
    for (unsigned i = 0; i < 4; i++) {
        struct run_result result = run_image(&bundle, 0, 0, values[i]);
        uint64_t want = taken(form, op, values[i]) ? 7 : 9;
        cr_expect(result.exit == JAVM_EXIT_HOST_CALL && result.value == want,
                  "%s %s %d with %llx: exit %s value %llu instead of %llu", form_names[form],
                  pvm2_mnemonic(op), distance, (unsigned long long)values[i],
                  javm_exit_name(result.exit), (unsigned long long)result.value,
                  (unsigned long long)want);
    }
    javm_bundle_clear(&bundle);
}

/* The target has a marker of its own in front: the new distance is 4 more. */
static void forwards(enum form form, enum pvm2_op op, int32_t distance)
{
    struct code code = {0};
    insn(&code, PVM2_ADDI, 12, 0, 0, 5);
    size_t at = code.len;
    branch(&code, form, op, distance);
    reply(&code, 9);
    fill(&code, at + (size_t)distance);
    reply(&code, 7);
    check_limit(form, op, distance, &code, NULL, distance + 4, 4);
    free(code.bytes);
}

/* The branch has the marker, since the program begins by going to it. */
static void backwards(enum form form, enum pvm2_op op, int32_t distance)
{
    struct code code = {0};
    insn(&code, PVM2_ADDI, 12, 0, 0, 5);
    insn(&code, PVM2_AUIPC, 5, 0, 0, 0);
    insn(&code, PVM2_JALR, 0, 5, 0, 0);
    size_t target = code.len;
    reply(&code, 7);
    fill(&code, target + (size_t)-distance);
    size_t at = code.len;
    branch(&code, form, op, distance);
    reply(&code, 9);
    struct elf_recipe recipe = elf_simple(code.bytes, code.len);
    recipe.symbols[1] = (struct make_symbol){"there", 1, BASE + at, 0, STT_NOTYPE};
    recipe.relocs[0] = (struct make_reloc){1, BASE + 4, RISCV_CALL_PLT, 2, 0};
    check_limit(form, op, distance, &code, &recipe, distance - 4, at + 4);
    free(code.bytes);
}

Test(link_ranges, each_form_at_each_limit)
{
    for (int form = 0; form < FORMS; form++) {
        for (int32_t step = -10; step < 0; step += 2) {
            forwards((enum form)form, PVM2_BNE, reach[form] + step);
            backwards((enum form)form, PVM2_BNE, -reach[form] - step - 2);
        }
    }
}

/* A grown branch is the inverted condition over a jal. */
Test(link_ranges, every_condition_inverts)
{
    for (int op = PVM2_BEQ; op <= PVM2_BGEU; op++) {
        forwards(BRANCH, (enum pvm2_op)op, 4094);
        backwards(BRANCH, (enum pvm2_op)op, -4096);
    }
}

/* Each c.bnez spans the next one at the very limit: when the last grows, all do, one a round, and
 * then as 4-byte forms they still reach. More of them than the rounds that the layout waits. */
Test(link_ranges, a_long_chain_of_growths)
{
    enum { LINKS = 150 };
    struct code code = {0};
    for (unsigned i = 0; i < LINKS; i++) {
        size_t at = code.len;
        branch(&code, C_BNEZ, PVM2_BNE, 254);
        /* the target of the one before is 128 behind this; a terminator in front of it saves its
         * marker */
        if (i > 0) {
            fill(&code, at + 126);
            branch(&code, C_J, PVM2_JAL, 2);
        }
        fill(&code, at + (i > 0 ? 128 : 126));
        if (i == 0)
            continue;
        /* keep the next branch 126 behind this one: remove the excess fill */
        code.len = at + 126;
    }
    size_t last = code.len - 126;
    fill(&code, last + 254);
    reply(&code, 7);
    fill(&code, code.len + 512);
    size_t len;
    uint8_t *elf = link_input(&code, NULL, &len);
    struct javm_bundle bundle = link_bytes(elf, len, NULL);
    cr_expect_eq(length_at(&bundle, 0), 4, "the first branch must have grown with the last");
    for (uint64_t x11 = 0; x11 < 2; x11++) {
        struct run_result result = run_image(&bundle, 0, 0, x11);
        cr_expect_eq(result.exit, JAVM_EXIT_HOST_CALL, "%s", javm_exit_name(result.exit));
        cr_expect_eq(result.value, 7);
    }
    javm_bundle_clear(&bundle);
    free(elf);
    free(code.bytes);
}

/* ---- addresses in code and data --------------------------------------------------------- */

/* x10 is handed in; 0x400000: falls into `middle`, which a pointer in data names, and which so gets
 * a marker. */
static void pointed_code(struct code *code)
{
    c_li(code, 1);                       /* 0 */
    half(code, C_NOP);                   /* 2 */
    insn(code, PVM2_ADDI, 10, 10, 0, 2); /* 4: middle */
    insn(code, PVM2_ECALLI, 0, 0, 0, 0); /* 8 */
} /* 12: end */

static uint64_t word_at(const struct javm_bundle *bundle, uint64_t offset, unsigned width)
{
    uint8_t bytes[8] = {0};
    uint64_t value = 0;
    javm_data_read(bundle->caps[0], offset, bytes, width);
    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

Test(link_ranges, pointers_and_differences_in_data)
{
    struct code code = {0};
    pointed_code(&code);
    static const uint8_t table[32] = {
        4,  0, 0x40, 0,    0, 0, 0, 0, /* 0: middle, 64 bits */
        4,  0, 0x40, 0,                /* 8: middle, 32 bits */
        4,  0, 0,    0,                /* 12: middle - start, 32 bits */
        4,  0, 4,    0xFC,             /* 16, 18: 16 and 8 bits; 19: start - middle, 8 bits */
        0,  0, 0,    0,                /* 20 */
        12, 0, 0x40, 0,    0, 0, 0, 0, /* 24: the end of the code */
    };
    struct elf_recipe recipe = elf_simple(code.bytes, code.len);
    recipe.sections[1] =
        (struct make_section){".rodata", SHT_PROGBITS, SHF_ALLOC, 0x10000000, table, sizeof table};
    recipe.symbols[1] = (struct make_symbol){"middle", 1, BASE + 4, 0, STT_NOTYPE};
    recipe.symbols[2] = (struct make_symbol){"end", 1, BASE + 12, 0, STT_NOTYPE};
    const struct make_reloc relocs[] = {
        {2, 0x10000000, RISCV_64, 2, 0},    {2, 0x10000008, RISCV_32, 1, 4},
        {2, 0x1000000C, RISCV_ADD32, 2, 0}, {2, 0x1000000C, RISCV_SUB32, 1, 0},
        {2, 0x10000010, RISCV_ADD16, 2, 0}, {2, 0x10000010, RISCV_SUB16, 1, 0},
        {2, 0x10000012, RISCV_ADD8, 2, 0},  {2, 0x10000012, RISCV_SUB8, 1, 0},
        {2, 0x10000013, RISCV_ADD8, 1, 0},  {2, 0x10000013, RISCV_SUB8, 2, 0},
        {2, 0x10000018, RISCV_64, 3, 0},
    };
    memcpy(recipe.relocs, relocs, sizeof relocs);
    size_t len;
    uint8_t *elf = elf_make(&recipe, &len);
    struct javm_bundle bundle = link_bytes(elf, len, NULL);
    cr_expect_eq(image_of(&bundle)->code_len, 16);
    cr_expect_eq(word_at(&bundle, 0, 8), BASE + 8);
    cr_expect_eq(word_at(&bundle, 8, 4), BASE + 8);
    cr_expect_eq(word_at(&bundle, 12, 4), 8);
    cr_expect_eq(word_at(&bundle, 16, 2), 8);
    cr_expect_eq(word_at(&bundle, 18, 1), 8);
    cr_expect_eq(word_at(&bundle, 19, 1), 0xF8);
    cr_expect_eq(word_at(&bundle, 24, 8), BASE + 16);
    javm_bundle_clear(&bundle);
    free(elf);
    free(code.bytes);
}

/* lui/addi and the compressed lui of a code address: the short form cannot hold it and grows. */
Test(link_ranges, absolute_addresses_of_code)
{
    for (int shorter = 0; shorter < 2; shorter++) {
        struct code code = {0};
        if (shorter)
            half(&code, 0x6285); /* c.lui x5, 1 */
        else
            insn(&code, PVM2_LUI, 5, 0, 0, 0x400000);
        insn(&code, PVM2_ADDI, 5, 5, 0, 0);
        insn(&code, PVM2_JALR, 0, 5, 0, 0);
        c_li(&code, 3);
        uint64_t there = code.len;
        insn(&code, PVM2_ADDI, 10, 10, 0, 5);
        insn(&code, PVM2_ECALLI, 0, 0, 0, 0);
        struct elf_recipe recipe = elf_simple(code.bytes, code.len);
        recipe.symbols[1] = (struct make_symbol){"there", 1, BASE + there, 0, STT_FUNC};
        recipe.relocs[0] = (struct make_reloc){1, BASE, shorter ? RISCV_RVC_LUI : RISCV_HI20, 2, 0};
        recipe.relocs[1] = (struct make_reloc){1, BASE + there - 10, RISCV_LO12_I, 2, 0};
        size_t len;
        uint8_t *elf = elf_make(&recipe, &len);
        struct javm_bundle bundle = link_bytes(elf, len, NULL);
        struct run_result result = run_image(&bundle, 0, 20, 0);
        cr_expect_eq(result.exit, JAVM_EXIT_HOST_CALL, "%s", javm_exit_name(result.exit));
        cr_expect_eq(result.value, 25, "%llu", (unsigned long long)result.value);
        javm_bundle_clear(&bundle);
        free(elf);
        free(code.bytes);
    }
}

/* A call to a weak function that nobody defines goes to address 0: it links, and panics when
 * reached. */
Test(link_ranges, a_call_to_an_undefined_weak_function)
{
    struct code code = {0};
    insn(&code, PVM2_AUIPC, 1, 0, 0, 0);
    insn(&code, PVM2_JALR, 1, 1, 0, 0);
    insn(&code, PVM2_ECALLI, 0, 0, 0, 0);
    struct elf_recipe recipe = elf_simple(code.bytes, code.len);
    recipe.symbols[1] = (struct make_symbol){"nobody", SHN_UNDEF, 0, 0, STT_NOTYPE};
    recipe.relocs[0] = (struct make_reloc){1, BASE, RISCV_CALL_PLT, 2, 0};
    size_t len;
    uint8_t *elf = elf_make(&recipe, &len);
    struct javm_bundle bundle = link_bytes(elf, len, NULL);
    cr_expect_eq(run_image(&bundle, 0, 0, 0).exit, JAVM_EXIT_PANIC);
    javm_bundle_clear(&bundle);
    free(elf);
    free(code.bytes);
}
