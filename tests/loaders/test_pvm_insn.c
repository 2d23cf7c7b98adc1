/* PVM instructions as text. Catches: an operand read from the wrong bits, a length or sign taken
 * wrongly, registers in the wrong order, a target that is not relative to its instruction, an
 * opcode under another name, a read behind the code. Expectations are written by hand from PVM 3
 * and 4. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>

#include "javm/container.h"
#include "tests/require.h"

enum { ALL = JAVM_PVM_UNLIKELY | JAVM_PVM_ECALL | JAVM_PVM_SBRK | JAVM_PVM_MEMSET };

struct row {
    const char *hex; /* one instruction; the code ends behind it */
    const char *text;
};

/* An allocation that ends with the code, so that a sanitizer sees what reads past it. */
static struct javm_pvm_insn decode(const char *hex, unsigned features, char text[96])
{
    const size_t len = strlen(hex) / 2;
    uint8_t *code = malloc(len), mask[8] = {1};
    cr_assert_not_null(code);
    for (size_t i = 0; i < len; i++) {
        unsigned byte;
        cr_assert_eq(sscanf(hex + 2 * i, "%2x", &byte), 1);
        code[i] = (uint8_t)byte;
    }
    const struct javm_pvm_code c = {
        .code = code, .code_len = len, .bitmask = mask, .features = features};
    const struct javm_pvm_insn insn = javm_pvm_decode(&c, 0);
    javm_pvm_format_insn(&insn, text, 96);
    free(code);
    return insn;
}

static const struct row formats[] = {
    /* N */
    {"00", "trap"},
    {"01", "fallthrough"},
    {"02", "unlikely"},
    {"03", "ecall"},
    {"04", "memset"},
    /* I: as many bytes as there are, at most 4 */
    {"0a", "ecalli 0"},
    {"0a07", "ecalli 7"},
    {"0aff", "ecalli 4294967295"},
    {"0a0102030405", "ecalli 67305985"},
    /* RX: 8 bytes, zeros behind the end */
    {"14070102030405060708", "load_imm_64 a0, 0x807060504030201"},
    {"140cff", "load_imm_64 a5, 0xff"},
    {"14ff80", "load_imm_64 a5, 0x80"},
    /* II */
    {"1e02000205", "store_imm_u8 [0x200], 5"},
    {"1f00fe", "store_imm_u16 [0x0], -2"},
    {"2001ff", "store_imm_u32 [0xffffffff], 0"},
    {"210711223344", "store_imm_u64 [0x44332211], 0"},
    {"21ff1122334401020304ff", "store_imm_u64 [0x44332211], 0x4030201"},
    /* O */
    {"28", "jump @000000"},
    {"287f", "jump @00007f"},
    {"28ff", "jump @ffffffffffffffff"},
    {"2800000100", "jump @010000"},
    /* RI */
    {"3208", "jump_ind a1+0"},
    {"3201f8", "jump_ind sp-8"},
    {"3307ff7f", "load_imm a0, 0x7fff"},
    {"330700f0", "load_imm a0, -4096"},
    {"330700efffff", "load_imm a0, -0x1100"},
    {"340000000100", "load_u8 ra, [0x10000]"},
    {"3501ff", "load_i8 sp, [0xffffffff]"},
    {"3602", "load_u16 t0, [0x0]"},
    {"3703", "load_i16 t1, [0x0]"},
    {"3804", "load_u32 t2, [0x0]"},
    {"3905", "load_i32 s0, [0x0]"},
    {"3a06", "load_u64 s1, [0x0]"},
    {"3b0710", "store_u8 [0x10], a0"},
    {"3c0810", "store_u16 [0x10], a1"},
    {"3d0910", "store_u32 [0x10], a2"},
    {"3e0a10", "store_u64 [0x10], a3"},
    /* RII */
    {"4617f805", "store_imm_ind_u8 [a0-8], 5"},
    {"4708ff", "store_imm_ind_u16 [a1+0], -1"},
    {"4827000180", "store_imm_ind_u32 [a0+256], -128"},
    {"49c701020304050607080910", "store_imm_ind_u64 [a0+0x4030201], 0x8070605"},
    /* RIO */
    {"50100410", "load_imm_jump ra, 4, @000010"},
    {"5107", "branch_eq_imm a0, 0, @000000"},
    {"5217fe03", "branch_ne_imm a0, -2, @000003"},
    {"5317030004", "branch_lt_u_imm a0, 3, @000400"},
    {"5a0f7f", "branch_gt_s_imm a5, 0, @00007f"},
    /* RR: the low nibble is the destination */
    {"6487", "move_reg a0, a1"},
    {"6510", "sbrk ra, sp"},
    {"66fe", "count_set_bits_64 a5, a5"},
    {"6f", "reverse_bytes ra, ra"},
    /* RRI */
    {"7881", "store_ind_u8 [a1+0], sp"},
    {"7b81f8", "store_ind_u64 [a1-8], sp"},
    {"7c81f8", "load_ind_u8 sp, [a1-8]"},
    {"82170002", "load_ind_u64 a0, [sp+512]"},
    {"8310ff", "add_imm_32 ra, sp, -1"},
    {"9577010000800a", "add_imm_64 a0, a0, -0x7fffffff"},
    {"9388", "cmov_iz_imm a1, a1, 0"},
    {"a1ee05", "rot_r_32_imm_alt a5, a5, 5"},
    /* RRO */
    {"aa8704", "branch_eq a0, a1, @000004"},
    {"af87000001", "branch_ge_s a0, a1, @010000"},
    /* RRII */
    {"b410", "load_imm_jump_ind ra, 0, sp+0"},
    {"b410010504", "load_imm_jump_ind ra, 5, sp+4"},
    {"b4100aff7ffc", "load_imm_jump_ind ra, 0x7fff, sp-4"},
    /* RRR: the third byte is the destination, a whole byte */
    {"be8709", "add_32 a2, a0, a1"},
    {"c98709", "sub_64 a2, a0, a1"},
    {"da87ff", "cmov_iz a5, a0, a1"},
    {"e687", "min_u ra, a0, a1"},
    /* none */
    {"05", "invalid 0x05"},
    {"ff0102", "invalid 0xff"},
};

Test(pvm_insn, formats)
{
    char text[96];
    for (unsigned i = 0; i < sizeof formats / sizeof *formats; i++) {
        const struct javm_pvm_insn insn = decode(formats[i].hex, ALL, text);
        cr_expect_str_eq(text, formats[i].text, "%s: %s", formats[i].hex, text);
        cr_expect_eq(insn.next, strlen(formats[i].hex) / 2);
    }
}

/* Names and formats of all opcodes: the numbers that PVM 3 and 4 list. */
Test(pvm_insn, opcodes)
{
    static const struct {
        unsigned from;
        const char *names; /* one after the other */
    } RUNS[] = {
        {0, "trap fallthrough unlikely ecall memset"},
        {10, "ecalli"},
        {20, "load_imm_64"},
        {30, "store_imm_u8 store_imm_u16 store_imm_u32 store_imm_u64"},
        {40, "jump"},
        {50, "jump_ind load_imm load_u8 load_i8 load_u16 load_i16 load_u32 load_i32 load_u64 "
             "store_u8 store_u16 store_u32 store_u64"},
        {70, "store_imm_ind_u8 store_imm_ind_u16 store_imm_ind_u32 store_imm_ind_u64"},
        {80, "load_imm_jump branch_eq_imm branch_ne_imm branch_lt_u_imm branch_le_u_imm "
             "branch_ge_u_imm branch_gt_u_imm branch_lt_s_imm branch_le_s_imm branch_ge_s_imm "
             "branch_gt_s_imm"},
        {100, "move_reg sbrk count_set_bits_64 count_set_bits_32 leading_zero_bits_64 "
              "leading_zero_bits_32 trailing_zero_bits_64 trailing_zero_bits_32 sign_extend_8 "
              "sign_extend_16 zero_extend_16 reverse_bytes"},
        {120, "store_ind_u8 store_ind_u16 store_ind_u32 store_ind_u64 load_ind_u8 load_ind_i8 "
              "load_ind_u16 load_ind_i16 load_ind_u32 load_ind_i32 load_ind_u64 add_imm_32 "
              "and_imm xor_imm or_imm mul_imm_32 set_lt_u_imm set_lt_s_imm shlo_l_imm_32 "
              "shlo_r_imm_32 shar_r_imm_32 neg_add_imm_32 set_gt_u_imm set_gt_s_imm "
              "shlo_l_imm_alt_32 shlo_r_imm_alt_32 shar_r_imm_alt_32 cmov_iz_imm cmov_nz_imm "
              "add_imm_64 mul_imm_64 shlo_l_imm_64 shlo_r_imm_64 shar_r_imm_64 neg_add_imm_64 "
              "shlo_l_imm_alt_64 shlo_r_imm_alt_64 shar_r_imm_alt_64 rot_r_64_imm "
              "rot_r_64_imm_alt rot_r_32_imm rot_r_32_imm_alt"},
        {170, "branch_eq branch_ne branch_lt_u branch_lt_s branch_ge_u branch_ge_s"},
        {180, "load_imm_jump_ind"},
        {190, "add_32 sub_32 mul_32 div_u_32 div_s_32 rem_u_32 rem_s_32 shlo_l_32 shlo_r_32 "
              "shar_r_32 add_64 sub_64 mul_64 div_u_64 div_s_64 rem_u_64 rem_s_64 shlo_l_64 "
              "shlo_r_64 shar_r_64 and xor or mul_upper_s_s mul_upper_u_u mul_upper_s_u set_lt_u "
              "set_lt_s cmov_iz cmov_nz rot_l_64 rot_l_32 rot_r_64 rot_r_32 and_inv or_inv xnor "
              "max max_u min min_u"},
    };
    const char *expected[256] = {0};
    char names[4096];
    size_t used = 0;
    unsigned count = 0;
    for (unsigned i = 0; i < sizeof RUNS / sizeof *RUNS; i++) {
        unsigned op = RUNS[i].from;
        strcpy(names + used, RUNS[i].names);
        for (char *name = strtok(names + used, " "); name != NULL; name = strtok(NULL, " "))
            expected[op++] = name;
        used += strlen(RUNS[i].names) + 1;
    }
    for (unsigned op = 0; op < 256; op++) {
        const char *name = javm_pvm_mnemonic(op);
        count += name != NULL;
        cr_expect(expected[op] == NULL ? name == NULL
                                       : name != NULL && strcmp(name, expected[op]) == 0,
                  "opcode %u is %s", op, name == NULL ? "none" : name);
    }
    cr_expect_eq(count, 141 + 1); /* and memset */
    cr_expect_null(javm_pvm_mnemonic(256));
}

/* What a program does not have is no opcode of it, and ends no block. */
Test(pvm_insn, features)
{
    static const struct {
        const char *hex;
        unsigned feature;
        bool terminator;
    } rows[] = {{"02", JAVM_PVM_UNLIKELY, true},
                {"03", JAVM_PVM_ECALL, true},
                {"04", JAVM_PVM_MEMSET, false},
                {"6510", JAVM_PVM_SBRK, false}};
    char text[96];
    for (unsigned i = 0; i < 4; i++)
        for (unsigned features = 0; features <= ALL; features++) {
            const bool has = (features & rows[i].feature) != 0;
            const struct javm_pvm_insn insn = decode(rows[i].hex, features, text);
            cr_expect_eq(insn.format != JAVM_PVM_INVALID, has);
            cr_expect_eq(insn.terminator, has && rows[i].terminator);
        }
}

Test(pvm_insn, terminators)
{
    char text[96], hex[3];
    for (unsigned op = 0; op < 256; op++) {
        snprintf(hex, sizeof hex, "%02x", op);
        const bool expected = op <= 3 || op == 10 || op == 40 || op == 50 ||
                              (op >= 80 && op <= 90) || (op >= 170 && op <= 175) || op == 180;
        cr_expect_eq(decode(hex, ALL, text).terminator, expected, "opcode %u", op);
    }
}

/* 24 argument bytes at most; then comes what is no instruction. Behind the code all is trap. */
Test(pvm_insn, lengths)
{
    uint8_t code[64], mask[8] = {1, 0, 0, 0, 1};
    memset(code, 0x0A, sizeof code);
    const struct javm_pvm_code c = {
        .code = code, .code_len = sizeof code, .bitmask = mask, .features = ALL};
    cr_expect_eq(javm_pvm_decode(&c, 0).next, 25);
    cr_expect_eq(javm_pvm_decode(&c, 25).next, 32);
    cr_expect_eq(javm_pvm_decode(&c, 32).next, 57);
    cr_expect_eq(javm_pvm_decode(&c, 60).next, 64);
    cr_expect_eq(javm_pvm_decode(&c, 62).x, 0x0A);
    cr_expect_eq(javm_pvm_decode(&c, 61).x, 0x0A0A);
    const struct javm_pvm_insn behind = javm_pvm_decode(&c, 64), far = javm_pvm_decode(&c, ~0ull);
    cr_expect(behind.op == 0 && behind.next == 65 && behind.terminator);
    cr_expect(far.op == 0 && far.next == 0);
    uint64_t instructions, blocks;
    javm_pvm_count(&c, &instructions, &blocks);
    cr_expect(instructions == 2 && blocks == 2);
}

/* Any bytes, read at any place: the text is there and fits. */
Test(pvm_insn, any_bytes)
{
    struct random random = {5};
    size_t longest = 0;
    for (unsigned round = 0; round < 20000; round++) {
        const size_t len = 1 + (size_t)random_below(&random, 40), mask_len = (len + 7) / 8;
        uint8_t *code = malloc(len), *mask = malloc(mask_len);
        cr_assert(code != NULL && mask != NULL);
        random_bytes(&random, code, len);
        random_bytes(&random, mask, mask_len);
        code[0] = (uint8_t)round;
        if (round % 3 == 0)
            memset(mask, 0, mask_len);
        const struct javm_pvm_code c = {
            .code = code, .code_len = len, .bitmask = mask, .features = ALL};
        for (uint64_t pc = 0; pc <= len; pc++) {
            char text[96];
            memset(text, 'x', sizeof text);
            const struct javm_pvm_insn insn = javm_pvm_decode(&c, pc);
            javm_pvm_format_insn(&insn, text, sizeof text);
            cr_assert(insn.next > pc && insn.next <= pc + 25);
            cr_assert(insn.a < 13 && insn.b < 13 && insn.d < 13);
            cr_assert_not_null(memchr(text, 0, sizeof text));
            longest = strlen(text) > longest ? strlen(text) : longest;
        }
        free(code);
        free(mask);
    }
    cr_expect_lt(longest, 80);
}
