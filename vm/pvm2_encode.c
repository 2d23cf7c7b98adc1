/* PVM2 encoding and text: the inverse of pvm2_decode32(), for the linker, for disassembly and for
 * tests. */
#include "vm/pvm2.h"

#include <stdio.h>

enum format {
    FORMAT_U,
    FORMAT_J,
    FORMAT_I,
    FORMAT_B,
    FORMAT_L,
    FORMAT_S,
    FORMAT_SH6,
    FORMAT_SH5,
    FORMAT_R,
    FORMAT_R1,
    FORMAT_F,
    FORMAT_X,
    FORMAT_E,
    FORMAT_NONE
};

static const uint8_t formats[PVM2_OP_COUNT] = {
#define X(name, text, format) [PVM2_##name] = FORMAT_##format,
    PVM2_OPS(X)
#undef X
        [PVM2_RESERVED] = FORMAT_NONE,
};

static const char *const mnemonics[PVM2_OP_COUNT] = {
#define X(name, text, format) [PVM2_##name] = text,
    PVM2_OPS(X)
#undef X
        [PVM2_RESERVED] = "reserved",
};

/* The bits that every encoding of the operation shares. */
static const uint32_t fixed_bits[PVM2_OP_COUNT] = {
    [PVM2_LUI] = 0x00000037,       [PVM2_AUIPC] = 0x00000017,       [PVM2_JAL] = 0x0000006F,
    [PVM2_JALR] = 0x00000067,      [PVM2_BEQ] = 0x00000063,         [PVM2_BNE] = 0x00001063,
    [PVM2_BLT] = 0x00004063,       [PVM2_BGE] = 0x00005063,         [PVM2_BLTU] = 0x00006063,
    [PVM2_BGEU] = 0x00007063,      [PVM2_LB] = 0x00000003,          [PVM2_LH] = 0x00001003,
    [PVM2_LW] = 0x00002003,        [PVM2_LD] = 0x00003003,          [PVM2_LBU] = 0x00004003,
    [PVM2_LHU] = 0x00005003,       [PVM2_LWU] = 0x00006003,         [PVM2_SB] = 0x00000023,
    [PVM2_SH] = 0x00001023,        [PVM2_SW] = 0x00002023,          [PVM2_SD] = 0x00003023,
    [PVM2_ADDI] = 0x00000013,      [PVM2_SLTI] = 0x00002013,        [PVM2_SLTIU] = 0x00003013,
    [PVM2_XORI] = 0x00004013,      [PVM2_ORI] = 0x00006013,         [PVM2_ANDI] = 0x00007013,
    [PVM2_SLLI] = 0x00001013,      [PVM2_SRLI] = 0x00005013,        [PVM2_SRAI] = 0x40005013,
    [PVM2_ADDIW] = 0x0000001B,     [PVM2_SLLIW] = 0x0000101B,       [PVM2_SRLIW] = 0x0000501B,
    [PVM2_SRAIW] = 0x4000501B,     [PVM2_ADD] = 0x00000033,         [PVM2_SUB] = 0x40000033,
    [PVM2_SLL] = 0x00001033,       [PVM2_SLT] = 0x00002033,         [PVM2_SLTU] = 0x00003033,
    [PVM2_XOR] = 0x00004033,       [PVM2_SRL] = 0x00005033,         [PVM2_SRA] = 0x40005033,
    [PVM2_OR] = 0x00006033,        [PVM2_AND] = 0x00007033,         [PVM2_MUL] = 0x02000033,
    [PVM2_MULH] = 0x02001033,      [PVM2_MULHSU] = 0x02002033,      [PVM2_MULHU] = 0x02003033,
    [PVM2_DIV] = 0x02004033,       [PVM2_DIVU] = 0x02005033,        [PVM2_REM] = 0x02006033,
    [PVM2_REMU] = 0x02007033,      [PVM2_ANDN] = 0x40007033,        [PVM2_ORN] = 0x40006033,
    [PVM2_XNOR] = 0x40004033,      [PVM2_MIN] = 0x0A004033,         [PVM2_MINU] = 0x0A005033,
    [PVM2_MAX] = 0x0A006033,       [PVM2_MAXU] = 0x0A007033,        [PVM2_ROL] = 0x60001033,
    [PVM2_ROR] = 0x60005033,       [PVM2_SH1ADD] = 0x20002033,      [PVM2_SH2ADD] = 0x20004033,
    [PVM2_SH3ADD] = 0x20006033,    [PVM2_BCLR] = 0x48001033,        [PVM2_BEXT] = 0x48005033,
    [PVM2_BINV] = 0x68001033,      [PVM2_BSET] = 0x28001033,        [PVM2_CZERO_EQZ] = 0x0E005033,
    [PVM2_CZERO_NEZ] = 0x0E007033, [PVM2_ADDW] = 0x0000003B,        [PVM2_SUBW] = 0x4000003B,
    [PVM2_SLLW] = 0x0000103B,      [PVM2_SRLW] = 0x0000503B,        [PVM2_SRAW] = 0x4000503B,
    [PVM2_MULW] = 0x0200003B,      [PVM2_DIVW] = 0x0200403B,        [PVM2_DIVUW] = 0x0200503B,
    [PVM2_REMW] = 0x0200603B,      [PVM2_REMUW] = 0x0200703B,       [PVM2_ROLW] = 0x6000103B,
    [PVM2_RORW] = 0x6000503B,      [PVM2_ADD_UW] = 0x0800003B,      [PVM2_SH1ADD_UW] = 0x2000203B,
    [PVM2_SH2ADD_UW] = 0x2000403B, [PVM2_SH3ADD_UW] = 0x2000603B,   [PVM2_CLZ] = 0x60001013,
    [PVM2_CTZ] = 0x60101013,       [PVM2_CPOP] = 0x60201013,        [PVM2_SEXT_B] = 0x60401013,
    [PVM2_SEXT_H] = 0x60501013,    [PVM2_ORC_B] = 0x28705013,       [PVM2_REV8] = 0x6B805013,
    [PVM2_CLZW] = 0x6000101B,      [PVM2_CTZW] = 0x6010101B,        [PVM2_CPOPW] = 0x6020101B,
    [PVM2_ZEXT_H] = 0x0800403B,    [PVM2_RORI] = 0x60005013,        [PVM2_RORIW] = 0x6000501B,
    [PVM2_SLLI_UW] = 0x0800101B,   [PVM2_BCLRI] = 0x48001013,       [PVM2_BEXTI] = 0x48005013,
    [PVM2_BINVI] = 0x68001013,     [PVM2_BSETI] = 0x28001013,       [PVM2_FENCE] = 0x0000000F,
    [PVM2_FENCE_I] = 0x0000100F,   [PVM2_TRAP] = 0x0000000B,        [PVM2_ECALL_JAR] = 0x0000100B,
    [PVM2_ECALLI] = 0x0000200B,    [PVM2_FALLTHROUGH] = 0x0000400B,
};

const char *pvm2_mnemonic(enum pvm2_op op)
{
    return (unsigned)op < PVM2_OP_COUNT ? mnemonics[op] : "reserved";
}

bool pvm2_imm_fits(enum pvm2_op op, int64_t imm)
{
    if ((unsigned)op >= PVM2_OP_COUNT)
        return false;
    switch ((enum format)formats[op]) {
    case FORMAT_I:
    case FORMAT_L:
    case FORMAT_S:
    case FORMAT_E:
        return imm >= -2048 && imm <= 2047;
    case FORMAT_B:
        return imm >= -4096 && imm <= 4094 && (imm & 1) == 0;
    case FORMAT_J:
        return imm >= -1048576 && imm <= 1048574 && (imm & 1) == 0;
    case FORMAT_U:
        return imm >= INT32_MIN && imm <= INT32_MAX && (imm & 0xFFF) == 0;
    case FORMAT_SH6:
        return imm >= 0 && imm <= 63;
    case FORMAT_SH5:
        return imm >= 0 && imm <= 31;
    case FORMAT_R:
    case FORMAT_R1:
    case FORMAT_F:
    case FORMAT_X:
        return imm == 0;
    case FORMAT_NONE:
        break;
    }
    return false;
}

uint32_t pvm2_encode32(const struct pvm2_insn *insn)
{
    if (insn->op >= PVM2_RESERVED)
        return 0;
    uint32_t word = fixed_bits[insn->op];
    uint32_t imm = (uint32_t)insn->imm;
    uint32_t rd = (uint32_t)insn->rd << 7;
    uint32_t rs1 = (uint32_t)insn->rs1 << 15;
    uint32_t rs2 = (uint32_t)insn->rs2 << 20;
    switch ((enum format)formats[insn->op]) {
    case FORMAT_R:
        return word | rd | rs1 | rs2;
    case FORMAT_R1:
        return word | rd | rs1;
    case FORMAT_I:
    case FORMAT_L:
        return word | rd | rs1 | imm << 20;
    case FORMAT_SH6:
        return word | rd | rs1 | (imm & 63) << 20;
    case FORMAT_SH5:
        return word | rd | rs1 | (imm & 31) << 20;
    case FORMAT_S:
        return word | rs1 | rs2 | (imm >> 5 & 127) << 25 | (imm & 31) << 7;
    case FORMAT_B:
        return word | rs1 | rs2 | (imm >> 12 & 1) << 31 | (imm >> 5 & 63) << 25 |
               (imm >> 1 & 15) << 8 | (imm >> 11 & 1) << 7;
    case FORMAT_U:
        return word | rd | (imm & 0xFFFFF000);
    case FORMAT_J:
        return word | rd | (imm >> 20 & 1) << 31 | (imm >> 1 & 1023) << 21 | (imm >> 11 & 1) << 20 |
               (imm >> 12 & 255) << 12;
    case FORMAT_E:
        return word | imm << 20;
    case FORMAT_F:
    case FORMAT_X:
    case FORMAT_NONE:
        break;
    }
    return word;
}

void pvm2_format(const struct pvm2_insn *insn, char *text, size_t size)
{
    unsigned rd = insn->rd, rs1 = insn->rs1, rs2 = insn->rs2;
    int imm = insn->imm;
    const char *name = pvm2_mnemonic((enum pvm2_op)insn->op);
    switch (insn->op < PVM2_OP_COUNT ? (enum format)formats[insn->op] : FORMAT_NONE) {
    case FORMAT_R:
        snprintf(text, size, "%s x%u, x%u, x%u", name, rd, rs1, rs2);
        break;
    case FORMAT_R1:
        snprintf(text, size, "%s x%u, x%u", name, rd, rs1);
        break;
    case FORMAT_I:
    case FORMAT_SH6:
    case FORMAT_SH5:
        snprintf(text, size, "%s x%u, x%u, %d", name, rd, rs1, imm);
        break;
    case FORMAT_L:
        snprintf(text, size, "%s x%u, %d(x%u)", name, rd, imm, rs1);
        break;
    case FORMAT_S:
        snprintf(text, size, "%s x%u, %d(x%u)", name, rs2, imm, rs1);
        break;
    case FORMAT_B:
        snprintf(text, size, "%s x%u, x%u, %+d", name, rs1, rs2, imm);
        break;
    case FORMAT_U:
        snprintf(text, size, "%s x%u, 0x%x", name, rd, (unsigned)imm >> 12);
        break;
    case FORMAT_J:
        snprintf(text, size, "%s x%u, %+d", name, rd, imm);
        break;
    case FORMAT_E:
        snprintf(text, size, "%s %d", name, imm);
        break;
    case FORMAT_F:
    case FORMAT_X:
        snprintf(text, size, "%s", name);
        break;
    case FORMAT_NONE:
        snprintf(text, size, "reserved 0x%x", (unsigned)insn->raw);
        break;
    }
}
