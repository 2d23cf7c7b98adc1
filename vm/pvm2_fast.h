/* Decoding of the usual instruction by tables, nearly without branches, straight to slots: for
 * pvm2_next(), which meets every instruction of a program once, before it runs. The tables may
 * leave out anything (reserved encodings, rare forms, x3 and x4): the decoder has the last word. */
#ifndef JAVM_VM_PVM2_FAST_H
#define JAVM_VM_PVM2_FAST_H

#include "vm/ir.h"
#include "vm/pvm2.h"

/* ---- forms: how encodings sort ---------------------------------------------------------- */

/* Quadrant and [15:13] of a halfword: 0..23. */
#define FORM16(quadrant, top) ((quadrant) << 3 | (top))
static inline unsigned form16(uint32_t half)
{
    return (half & 3) << 3 | (half >> 13 & 7);
}

/* Opcode and funct3 of a word: 0..255. */
#define FORM32(opcode, funct3) ((opcode) >> 2 << 3 | (funct3))
static inline unsigned form32(uint32_t word)
{
    return (word << 1 & 0xF8) | (word >> 12 & 7);
}

/* A table's entries of an opcode whose immediate reaches into funct3. */
/* clang-format off */
#define ALL_FUNCT3(opcode, row) \
    [FORM32(opcode, 0)] = row, [FORM32(opcode, 1)] = row, [FORM32(opcode, 2)] = row, \
    [FORM32(opcode, 3)] = row, [FORM32(opcode, 4)] = row, [FORM32(opcode, 5)] = row, \
    [FORM32(opcode, 6)] = row, [FORM32(opcode, 7)] = row

/* clang-format on */

/* The values of [31:25] that tell instructions of one form apart, numbered; 0: any other. */
#define FUNCTS(X) \
    X(00) X(01) X(04) X(05) X(07) X(10) X(14) X(15) X(20) X(21) X(24) X(25) X(30) X(31) X(34) X(35)
enum {
    FUNCT_OTHER,
#define X(value) F##value,
    FUNCTS(X)
#undef X
        FUNCT_COUNT
};
static const uint8_t functs[128] = {
#define X(value) [0x##value] = F##value,
    FUNCTS(X)
#undef X
};

/* ---- what comes out --------------------------------------------------------------------- */

/* A usual instruction: its registers are not x3 or x4, and where it has a destination, not x0,
 * which only jumps may have. */
struct pvm2_fast {
    uint32_t op;    /* enum pvm2_op or one of those below */
    uint32_t slots; /* of rd, rs1, rs2 from the low byte up, IR_ZERO for what it does not use */
};

/* addi and add that are known to be no move, or to be one: of a register in rs1, of an immediate.
 */
enum { FAST_ADDI = PVM2_OP_COUNT, FAST_ADD, FAST_MOVE, FAST_LI, FAST_OPS };

#define AT_RD(byte)  ((uint32_t)(byte))
#define AT_RS1(byte) ((uint32_t)(byte) << 8)
#define AT_RS2(byte) ((uint32_t)(byte) << 16)
#define NO_RD        AT_RD(IR_ZERO)
#define NO_RS1       AT_RS1(IR_ZERO)
#define NO_RS2       AT_RS2(IR_ZERO)

/* x register -> slot, or U. Of a destination; and, 32 places on, of that of a jump. */
/* clang-format off */
#define U 0xF0
static const uint8_t rd_slot[64] = {
    U, 0, 1, U, U, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    U, U, U, U, U, U, U, U, U, U, U, U, U, U,  U,  U,
    IR_ZERO, 0, 1, U, U, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    U,       U, U, U, U, U, U, U, U, U, U, U, U, U,  U,  U,
};
static const uint8_t rs_slot[32] = {
    IR_ZERO, 0, 1, U, U, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12,
    U,       U, U, U, U, U, U, U, U, U, U, U, U, U,  U,  U,
};
/* clang-format on */

#undef U

static inline bool fast_usual(uint32_t slots)
{
    return (slots & (AT_RD(0xF0) | AT_RS1(0xF0) | AT_RS2(0xF0))) == 0;
}

/* ---- 32-bit ----------------------------------------------------------------------------- */

/* Which bits of an immediate come from where. */
struct imm32 {
    uint32_t from_20; /* of the word shifted right by 20, with its sign */
    uint32_t in_place, from_7, b11_from_7, b11_from_20;
};
enum { IMM_NONE, IMM_I, IMM_S, IMM_B, IMM_U, IMM_J, IMM_SHIFT };
static const struct imm32 imm32[] = {
    [IMM_NONE] = {0, 0, 0, 0, 0},          [IMM_I] = {0xFFFFFFFF, 0, 0, 0, 0},
    [IMM_S] = {0xFFFFFFE0, 0, 0x1F, 0, 0}, [IMM_B] = {0xFFFFF7E0, 0, 0x1E, 0x800, 0},
    [IMM_U] = {0, 0xFFFFF000, 0, 0, 0},    [IMM_J] = {0xFFF007FE, 0xFF000, 0, 0, 0x800},
    [IMM_SHIFT] = {0x3F, 0, 0, 0, 0},
};

/* Of a form: the slots that it does not use, as bytes 0xFF; its immediate; its operation plus 1, or
 * 0 and the list of those by [31:25]. A row of zeros: not here. */
struct fast32 {
    uint32_t unused;
    uint8_t imm, op, by_funct;
    uint8_t jumps; /* 32: into the second part of rd_slot */
};

#define IS(op)    (PVM2_##op + 1)
#define USES_NONE (AT_RD(0xFF) | AT_RS1(0xFF) | AT_RS2(0xFF))
#define USES_RD   (AT_RS1(0xFF) | AT_RS2(0xFF))
#define USES_RI   AT_RS2(0xFF)
#define USES_SS   AT_RD(0xFF)
#define USES_RR   0

/* clang-format off */
enum {
    NO_FUNCT, IMM1, IMM5, IMMW1, IMMW5,
    OP0, OP1, OP2, OP3, OP4, OP5, OP6, OP7, OPW0, OPW1, OPW2, OPW4, OPW5, OPW6, OPW7,
};
static const uint8_t by_funct[][32] = {
    [IMM1] = {[F00] = IS(SLLI), [F01] = IS(SLLI), [F14] = IS(BSETI), [F15] = IS(BSETI),
              [F24] = IS(BCLRI), [F25] = IS(BCLRI), [F34] = IS(BINVI), [F35] = IS(BINVI)},
    [IMM5] = {[F00] = IS(SRLI), [F01] = IS(SRLI), [F20] = IS(SRAI), [F21] = IS(SRAI),
              [F24] = IS(BEXTI), [F25] = IS(BEXTI), [F30] = IS(RORI), [F31] = IS(RORI)},
    [IMMW1] = {[F00] = IS(SLLIW), [F04] = IS(SLLI_UW), [F05] = IS(SLLI_UW)},
    [IMMW5] = {[F00] = IS(SRLIW), [F20] = IS(SRAIW), [F30] = IS(RORIW)},
    [OP0] = {[F00] = IS(ADD), [F01] = IS(MUL), [F20] = IS(SUB)},
    [OP1] = {[F00] = IS(SLL), [F01] = IS(MULH), [F14] = IS(BSET), [F24] = IS(BCLR),
             [F30] = IS(ROL), [F34] = IS(BINV)},
    [OP2] = {[F00] = IS(SLT), [F01] = IS(MULHSU), [F10] = IS(SH1ADD)},
    [OP3] = {[F00] = IS(SLTU), [F01] = IS(MULHU)},
    [OP4] = {[F00] = IS(XOR), [F01] = IS(DIV), [F05] = IS(MIN), [F10] = IS(SH2ADD),
             [F20] = IS(XNOR)},
    [OP5] = {[F00] = IS(SRL), [F01] = IS(DIVU), [F05] = IS(MINU), [F07] = IS(CZERO_EQZ),
             [F20] = IS(SRA), [F24] = IS(BEXT), [F30] = IS(ROR)},
    [OP6] = {[F00] = IS(OR), [F01] = IS(REM), [F05] = IS(MAX), [F10] = IS(SH3ADD),
             [F20] = IS(ORN)},
    [OP7] = {[F00] = IS(AND), [F01] = IS(REMU), [F05] = IS(MAXU), [F07] = IS(CZERO_NEZ),
             [F20] = IS(ANDN)},
    [OPW0] = {[F00] = IS(ADDW), [F01] = IS(MULW), [F04] = IS(ADD_UW), [F20] = IS(SUBW)},
    [OPW1] = {[F00] = IS(SLLW), [F30] = IS(ROLW)},
    [OPW2] = {[F10] = IS(SH1ADD_UW)},
    [OPW4] = {[F01] = IS(DIVW), [F10] = IS(SH2ADD_UW)},
    [OPW5] = {[F00] = IS(SRLW), [F01] = IS(DIVUW), [F20] = IS(SRAW), [F30] = IS(RORW)},
    [OPW6] = {[F01] = IS(REMW), [F10] = IS(SH3ADD_UW)},
    [OPW7] = {[F01] = IS(REMUW)},
};

#define UPPER(op) {USES_RD, IMM_U, IS(op), NO_FUNCT, 0}
#define FAR       {USES_RD, IMM_J, IS(JAL), NO_FUNCT, 32}
static const struct fast32 fast32[256] = {
    [FORM32(0x03, 0)] = {USES_RI, IMM_I, IS(LB), NO_FUNCT, 0},
    [FORM32(0x03, 1)] = {USES_RI, IMM_I, IS(LH), NO_FUNCT, 0},
    [FORM32(0x03, 2)] = {USES_RI, IMM_I, IS(LW), NO_FUNCT, 0},
    [FORM32(0x03, 3)] = {USES_RI, IMM_I, IS(LD), NO_FUNCT, 0},
    [FORM32(0x03, 4)] = {USES_RI, IMM_I, IS(LBU), NO_FUNCT, 0},
    [FORM32(0x03, 5)] = {USES_RI, IMM_I, IS(LHU), NO_FUNCT, 0},
    [FORM32(0x03, 6)] = {USES_RI, IMM_I, IS(LWU), NO_FUNCT, 0},
    [FORM32(0x0F, 0)] = {USES_NONE, IMM_NONE, IS(FENCE), NO_FUNCT, 0},
    [FORM32(0x0F, 1)] = {USES_NONE, IMM_NONE, IS(FENCE_I), NO_FUNCT, 0},
    [FORM32(0x13, 0)] = {USES_RI, IMM_I, IS(ADDI), NO_FUNCT, 0},
    [FORM32(0x13, 2)] = {USES_RI, IMM_I, IS(SLTI), NO_FUNCT, 0},
    [FORM32(0x13, 3)] = {USES_RI, IMM_I, IS(SLTIU), NO_FUNCT, 0},
    [FORM32(0x13, 4)] = {USES_RI, IMM_I, IS(XORI), NO_FUNCT, 0},
    [FORM32(0x13, 6)] = {USES_RI, IMM_I, IS(ORI), NO_FUNCT, 0},
    [FORM32(0x13, 7)] = {USES_RI, IMM_I, IS(ANDI), NO_FUNCT, 0},
    [FORM32(0x13, 1)] = {USES_RI, IMM_SHIFT, 0, IMM1, 0},
    [FORM32(0x13, 5)] = {USES_RI, IMM_SHIFT, 0, IMM5, 0},
    [FORM32(0x1B, 0)] = {USES_RI, IMM_I, IS(ADDIW), NO_FUNCT, 0},
    [FORM32(0x1B, 1)] = {USES_RI, IMM_SHIFT, 0, IMMW1, 0},
    [FORM32(0x1B, 5)] = {USES_RI, IMM_SHIFT, 0, IMMW5, 0},
    ALL_FUNCT3(0x17, UPPER(AUIPC)),
    ALL_FUNCT3(0x37, UPPER(LUI)),
    [FORM32(0x23, 0)] = {USES_SS, IMM_S, IS(SB), NO_FUNCT, 0},
    [FORM32(0x23, 1)] = {USES_SS, IMM_S, IS(SH), NO_FUNCT, 0},
    [FORM32(0x23, 2)] = {USES_SS, IMM_S, IS(SW), NO_FUNCT, 0},
    [FORM32(0x23, 3)] = {USES_SS, IMM_S, IS(SD), NO_FUNCT, 0},
    [FORM32(0x33, 0)] = {USES_RR, IMM_NONE, 0, OP0, 0},
    [FORM32(0x33, 1)] = {USES_RR, IMM_NONE, 0, OP1, 0},
    [FORM32(0x33, 2)] = {USES_RR, IMM_NONE, 0, OP2, 0},
    [FORM32(0x33, 3)] = {USES_RR, IMM_NONE, 0, OP3, 0},
    [FORM32(0x33, 4)] = {USES_RR, IMM_NONE, 0, OP4, 0},
    [FORM32(0x33, 5)] = {USES_RR, IMM_NONE, 0, OP5, 0},
    [FORM32(0x33, 6)] = {USES_RR, IMM_NONE, 0, OP6, 0},
    [FORM32(0x33, 7)] = {USES_RR, IMM_NONE, 0, OP7, 0},
    [FORM32(0x3B, 0)] = {USES_RR, IMM_NONE, 0, OPW0, 0},
    [FORM32(0x3B, 1)] = {USES_RR, IMM_NONE, 0, OPW1, 0},
    [FORM32(0x3B, 2)] = {USES_RR, IMM_NONE, 0, OPW2, 0},
    [FORM32(0x3B, 4)] = {USES_RR, IMM_NONE, 0, OPW4, 0},
    [FORM32(0x3B, 5)] = {USES_RR, IMM_NONE, 0, OPW5, 0},
    [FORM32(0x3B, 6)] = {USES_RR, IMM_NONE, 0, OPW6, 0},
    [FORM32(0x3B, 7)] = {USES_RR, IMM_NONE, 0, OPW7, 0},
    [FORM32(0x63, 0)] = {USES_SS, IMM_B, IS(BEQ), NO_FUNCT, 0},
    [FORM32(0x63, 1)] = {USES_SS, IMM_B, IS(BNE), NO_FUNCT, 0},
    [FORM32(0x63, 4)] = {USES_SS, IMM_B, IS(BLT), NO_FUNCT, 0},
    [FORM32(0x63, 5)] = {USES_SS, IMM_B, IS(BGE), NO_FUNCT, 0},
    [FORM32(0x63, 6)] = {USES_SS, IMM_B, IS(BLTU), NO_FUNCT, 0},
    [FORM32(0x63, 7)] = {USES_SS, IMM_B, IS(BGEU), NO_FUNCT, 0},
    [FORM32(0x67, 0)] = {USES_RI, IMM_I, IS(JALR), NO_FUNCT, 32},
    ALL_FUNCT3(0x6F, FAR),
};
/* clang-format on */

#define FALLTHROUGH_WORD UINT32_C(0x0000400B)

/* False: not a usual one. */
static inline bool fast_decode32(uint32_t word, struct pvm2_fast *fast, int64_t *imm)
{
    if (word == FALLTHROUGH_WORD) {
        *fast = (struct pvm2_fast){PVM2_FALLTHROUGH, NO_RD | NO_RS1 | NO_RS2};
        *imm = 0;
        return true;
    }
    const struct fast32 *row = &fast32[form32(word)];
    uint32_t op = (uint32_t)row->op | by_funct[row->by_funct][functs[word >> 25]];
    uint32_t slots = AT_RD(rd_slot[(word >> 7 & 31) | row->jumps]) |
                     AT_RS1(rs_slot[word >> 15 & 31]) | AT_RS2(rs_slot[word >> 20 & 31]);
    slots = (slots & ~row->unused) | (row->unused & (NO_RD | NO_RS1 | NO_RS2));
    if (op == 0 || !fast_usual(slots))
        return false;
    const struct imm32 *part = &imm32[row->imm];
    uint32_t from_20 = (uint32_t)((int32_t)word >> 20);
    uint32_t value = (from_20 & part->from_20) | (word & part->in_place) |
                     (word >> 7 & part->from_7) | (word << 4 & part->b11_from_7) |
                     (word >> 9 & part->b11_from_20);
    *imm = (int32_t)value;
    *fast = (struct pvm2_fast){op - 1, slots};
    return true;
}

/* ---- compressed ------------------------------------------------------------------------- */

/* An immediate is the sum of what [12:7] and [6:2] stand for: where the 64 and 32 values of its
 * kind begin in imm16. */
enum {
    C_NONE,
    C_4SPN = 96,
    C_W = 2 * 96,
    C_D = 3 * 96,
    C_6 = 4 * 96,
    C_SHIFT = 5 * 96,
    C_J = 6 * 96,
    C_B = 7 * 96,
    C_LWSP = 8 * 96,
    C_LDSP = 9 * 96,
    C_SWSP = 10 * 96,
    C_SDSP = 11 * 96,
    C_END = 12 * 96
};

/* Bit `from` of the halfword, from h = [12:7] or l = [6:2], moved to bit `to`. */
#define H(h, from, to) (((h) >> ((from)-7) & 1) << (to))
#define L(l, from, to) (((l) >> ((from)-2) & 1) << (to))
/* clang-format off */
#define H_4SPN(h)  (H(h, 12, 5) | H(h, 11, 4) | H(h, 10, 9) | H(h, 9, 8) | H(h, 8, 7) | H(h, 7, 6))
#define L_4SPN(l)  (L(l, 6, 2) | L(l, 5, 3))
#define H_W(h)     (H(h, 12, 5) | H(h, 11, 4) | H(h, 10, 3))
#define L_W(l)     (L(l, 6, 2) | L(l, 5, 6))
#define L_D(l)     (L(l, 6, 7) | L(l, 5, 6))
#define H_6(h)     (-H(h, 12, 5))
#define H_SHIFT(h) (H(h, 12, 5))
#define L_6(l)     (l)
#define H_J(h)     (-H(h, 12, 11) + (H(h, 11, 4) | H(h, 10, 9) | H(h, 9, 8) | H(h, 8, 10) | H(h, 7, 6)))
#define L_J(l)     (L(l, 6, 7) | L(l, 5, 3) | L(l, 4, 2) | L(l, 3, 1) | L(l, 2, 5))
#define H_B(h)     (-H(h, 12, 8) + (H(h, 11, 4) | H(h, 10, 3)))
#define L_B(l)     (L(l, 6, 7) | L(l, 5, 6) | L(l, 4, 2) | L(l, 3, 1) | L(l, 2, 5))
#define L_LWSP(l)  (L(l, 6, 4) | L(l, 5, 3) | L(l, 4, 2) | L(l, 3, 7) | L(l, 2, 6))
#define L_LDSP(l)  (L(l, 6, 4) | L(l, 5, 3) | L(l, 4, 8) | L(l, 3, 7) | L(l, 2, 6))
#define H_SWSP(h)  (H(h, 12, 5) | H(h, 11, 4) | H(h, 10, 3) | H(h, 9, 2) | H(h, 8, 7) | H(h, 7, 6))
#define H_SDSP(h)  (H(h, 12, 5) | H(h, 11, 4) | H(h, 10, 3) | H(h, 9, 8) | H(h, 8, 7) | H(h, 7, 6))

#define EACH4(f, n)  f(n), f((n) + 1), f((n) + 2), f((n) + 3)
#define EACH16(f, n) EACH4(f, n), EACH4(f, (n) + 4), EACH4(f, (n) + 8), EACH4(f, (n) + 12)
#define EACH32(f)    EACH16(f, 0), EACH16(f, 16)
#define EACH64(f)    EACH16(f, 0), EACH16(f, 16), EACH16(f, 32), EACH16(f, 48)
static const int16_t imm16[C_END] = {
    [C_4SPN] = EACH64(H_4SPN), EACH32(L_4SPN), [C_W] = EACH64(H_W), EACH32(L_W),
    [C_D] = EACH64(H_W), EACH32(L_D),          [C_6] = EACH64(H_6), EACH32(L_6),
    [C_SHIFT] = EACH64(H_SHIFT), EACH32(L_6),  [C_J] = EACH64(H_J), EACH32(L_J),
    [C_B] = EACH64(H_B), EACH32(L_B),          [C_LWSP] = EACH64(H_SHIFT), EACH32(L_LWSP),
    [C_LDSP] = EACH64(H_SHIFT), EACH32(L_LDSP),
    [C_SWSP] = EACH64(H_SWSP),                 [C_SDSP] = EACH64(H_SDSP),
};
/* clang-format on */

/* Of a form: the slots that f1 = [11:7] and f2 = [6:2] go to, as bytes 0xFF, and the other slots.
 * In f1 and f2 the bits of `field` count, and `high` is added. The halfword is legal and this
 * instruction if some of its bits, as a number, lie in [low, low + count). A row of zeros: not
 * here.
 */
struct fast16 {
    uint32_t f1, f2, others, bits, low, count;
    uint16_t imm;
    uint8_t op, field, high, unused[3]; /* to 32 bytes */
};

/* clang-format off */
#define EVERY    0, 0, 1
#define F1_SOME  0xF80, 1 << 7, 15 << 7 /* 0 < f1 < 16 */
#define F2_LOW   0x40, 0, 1             /* f2 < 16 */
#define MOVES    0x87C, 1, 0x3C         /* f1 < 16, 0 < f2 < 16 */
#define IMM_4SPN 0x1FE0, 1, 0x1FE0     /* not 0 */
#define ANY_REG  31, 0, {0}
#define C_REG    7, 8, {0}
#define RD_RS1   (AT_RD(0xFF) | AT_RS1(0xFF))
#define SP       1

/* The two forms that are more than one instruction: by [6:5]:[11:10]:[12], and by [12]. */
enum { ARITHMETIC = 32, MOVE = 64, FAST16_ROWS = 66 };
#define ON_C1(op, imm)    {RD_RS1, 0, NO_RS2, EVERY, imm, PVM2_##op, C_REG}
#define ON_C12(op)        {RD_RS1, AT_RS2(0xFF), 0, EVERY, C_NONE, PVM2_##op, C_REG}
#define IF_C1(op)         {AT_RS1(0xFF), 0, NO_RD | NO_RS2, EVERY, C_B, PVM2_##op, C_REG}
#define LOAD_C(op, imm)   {AT_RS1(0xFF), AT_RD(0xFF), NO_RS2, EVERY, imm, PVM2_##op, C_REG}
#define STORE_C(op, imm)  {AT_RS1(0xFF), AT_RS2(0xFF), NO_RD, EVERY, imm, PVM2_##op, C_REG}
#define ON_F1(op, imm)    {RD_RS1, 0, NO_RS2, F1_SOME, imm, op, ANY_REG}
#define LOAD_SP(op, imm)  {AT_RD(0xFF), 0, AT_RS1(SP) | NO_RS2, F1_SOME, imm, PVM2_##op, ANY_REG}
#define STORE_SP(op, imm) {0, AT_RS2(0xFF), NO_RD | AT_RS1(SP), F2_LOW, imm, PVM2_##op, ANY_REG}
#define ARITHMETIC8(op, op_1) \
    ON_C1(SRLI, C_SHIFT), ON_C1(SRLI, C_SHIFT), ON_C1(SRAI, C_SHIFT), ON_C1(SRAI, C_SHIFT), \
    ON_C1(ANDI, C_6), ON_C1(ANDI, C_6), op, op_1
static const struct fast16 fast16[FAST16_ROWS] = {
    [FORM16(0, 0)] = {0, AT_RD(0xFF), AT_RS1(SP) | NO_RS2, IMM_4SPN, C_4SPN, FAST_ADDI, C_REG},
    [FORM16(0, 2)] = LOAD_C(LW, C_W),
    [FORM16(0, 3)] = LOAD_C(LD, C_D),
    [FORM16(0, 6)] = STORE_C(SW, C_W),
    [FORM16(0, 7)] = STORE_C(SD, C_D),
    [FORM16(1, 0)] = ON_F1(FAST_ADDI, C_6),
    [FORM16(1, 1)] = ON_F1(PVM2_ADDIW, C_6),
    [FORM16(1, 2)] = {AT_RD(0xFF), 0, NO_RS1 | NO_RS2, F1_SOME, C_6, FAST_LI, ANY_REG},
    [FORM16(1, 5)] = {0, 0, NO_RD | NO_RS1 | NO_RS2, EVERY, C_J, PVM2_JAL, ANY_REG},
    [FORM16(1, 6)] = IF_C1(BEQ),
    [FORM16(1, 7)] = IF_C1(BNE),
    [FORM16(2, 0)] = ON_F1(PVM2_SLLI, C_SHIFT),
    [FORM16(2, 2)] = LOAD_SP(LW, C_LWSP),
    [FORM16(2, 3)] = LOAD_SP(LD, C_LDSP),
    [FORM16(2, 6)] = STORE_SP(SW, C_SWSP),
    [FORM16(2, 7)] = STORE_SP(SD, C_SDSP),
    [MOVE] = {AT_RD(0xFF), AT_RS1(0xFF), NO_RS2, MOVES, C_NONE, FAST_MOVE, ANY_REG},
             {RD_RS1, AT_RS2(0xFF), 0, MOVES, C_NONE, FAST_ADD, ANY_REG},
    [ARITHMETIC] = ARITHMETIC8(ON_C12(SUB), ON_C12(SUBW)), ARITHMETIC8(ON_C12(XOR), ON_C12(ADDW)),
                   ARITHMETIC8(ON_C12(OR), {0}), ARITHMETIC8(ON_C12(AND), {0}),
};

/* The row by [6:5]:[1:0]:[15:10]. */
#define QUADRANT(i) ((i) >> 6 & 3)
#define TOP(i)      ((i) >> 3 & 7)
#define ROW(i) \
    (QUADRANT(i) == 1 && TOP(i) == 4   ? ARITHMETIC + ((i) >> 8 << 3 | ((i) << 1 & 6) | ((i) >> 2 & 1)) \
     : QUADRANT(i) == 2 && TOP(i) == 4 ? MOVE + ((i) >> 2 & 1)                                     \
                                       : FORM16(QUADRANT(i), TOP(i)))
#define EACH256(f, n) \
    EACH16(f, n), EACH16(f, (n) + 16), EACH16(f, (n) + 32), EACH16(f, (n) + 48), \
    EACH16(f, (n) + 64), EACH16(f, (n) + 80), EACH16(f, (n) + 96), EACH16(f, (n) + 112), \
    EACH16(f, (n) + 128), EACH16(f, (n) + 144), EACH16(f, (n) + 160), EACH16(f, (n) + 176), \
    EACH16(f, (n) + 192), EACH16(f, (n) + 208), EACH16(f, (n) + 224), EACH16(f, (n) + 240)
static const uint8_t fast16_row[1024] = {
    EACH256(ROW, 0), EACH256(ROW, 256), EACH256(ROW, 512), EACH256(ROW, 768),
};
/* clang-format on */

/* The same of a halfword. */
static inline bool fast_decode16(uint32_t half, struct pvm2_fast *fast, int64_t *imm)
{
    const struct fast16 *row =
        &fast16[fast16_row[(half & 0x60) << 3 | (half & 3) << 6 | half >> 10]];
    if ((half & row->bits) - row->low >= row->count)
        return false;
    uint32_t each = AT_RD(1) | AT_RS1(1) | AT_RS2(1);
    uint32_t f1 = (half >> 7 & row->field) | row->high, f2 = (half >> 2 & row->field) | row->high;
    fast->slots = (rd_slot[f1] * each & row->f1) | (rs_slot[f2] * each & row->f2) | row->others;
    *imm = imm16[row->imm + (half >> 7 & 63)] + imm16[row->imm + 64 + (half >> 2 & 31)];
    fast->op = row->op;
    return fast_usual(fast->slots);
}

#endif
