/* PVM2 decoding (spec: PVM2, sections 3 and 5). This is on the cold-start path: every byte of a
 * program goes through pvm2_decode() once before its first instruction runs, so the hot decisions
 * are table look-ups by function code. */
#include "vm/pvm2.h"

/* In the tables below 0 is "reserved": it would be LUI, which no table holds. */
_Static_assert(PVM2_LUI == 0, "0 marks an empty table entry");

/* ---- 32-bit ----------------------------------------------------------------------------- */

#define F73(funct7, funct3) ((funct7) << 3 | (funct3))

/* OP and OP-32, by funct7 and funct3. */
static const uint8_t op_table[1024] = {
    [F73(0x00, 0)] = PVM2_ADD,    [F73(0x00, 1)] = PVM2_SLL,       [F73(0x00, 2)] = PVM2_SLT,
    [F73(0x00, 3)] = PVM2_SLTU,   [F73(0x00, 4)] = PVM2_XOR,       [F73(0x00, 5)] = PVM2_SRL,
    [F73(0x00, 6)] = PVM2_OR,     [F73(0x00, 7)] = PVM2_AND,       [F73(0x20, 0)] = PVM2_SUB,
    [F73(0x20, 4)] = PVM2_XNOR,   [F73(0x20, 5)] = PVM2_SRA,       [F73(0x20, 6)] = PVM2_ORN,
    [F73(0x20, 7)] = PVM2_ANDN,   [F73(0x01, 0)] = PVM2_MUL,       [F73(0x01, 1)] = PVM2_MULH,
    [F73(0x01, 2)] = PVM2_MULHSU, [F73(0x01, 3)] = PVM2_MULHU,     [F73(0x01, 4)] = PVM2_DIV,
    [F73(0x01, 5)] = PVM2_DIVU,   [F73(0x01, 6)] = PVM2_REM,       [F73(0x01, 7)] = PVM2_REMU,
    [F73(0x05, 4)] = PVM2_MIN,    [F73(0x05, 5)] = PVM2_MINU,      [F73(0x05, 6)] = PVM2_MAX,
    [F73(0x05, 7)] = PVM2_MAXU,   [F73(0x30, 1)] = PVM2_ROL,       [F73(0x30, 5)] = PVM2_ROR,
    [F73(0x10, 2)] = PVM2_SH1ADD, [F73(0x10, 4)] = PVM2_SH2ADD,    [F73(0x10, 6)] = PVM2_SH3ADD,
    [F73(0x24, 1)] = PVM2_BCLR,   [F73(0x24, 5)] = PVM2_BEXT,      [F73(0x34, 1)] = PVM2_BINV,
    [F73(0x14, 1)] = PVM2_BSET,   [F73(0x07, 5)] = PVM2_CZERO_EQZ, [F73(0x07, 7)] = PVM2_CZERO_NEZ,
};

static const uint8_t op32_table[1024] = {
    [F73(0x00, 0)] = PVM2_ADDW,      [F73(0x00, 1)] = PVM2_SLLW,
    [F73(0x00, 5)] = PVM2_SRLW,      [F73(0x20, 0)] = PVM2_SUBW,
    [F73(0x20, 5)] = PVM2_SRAW,      [F73(0x01, 0)] = PVM2_MULW,
    [F73(0x01, 4)] = PVM2_DIVW,      [F73(0x01, 5)] = PVM2_DIVUW,
    [F73(0x01, 6)] = PVM2_REMW,      [F73(0x01, 7)] = PVM2_REMUW,
    [F73(0x04, 0)] = PVM2_ADD_UW,    [F73(0x04, 4)] = PVM2_ZEXT_H,
    [F73(0x30, 1)] = PVM2_ROLW,      [F73(0x30, 5)] = PVM2_RORW,
    [F73(0x10, 2)] = PVM2_SH1ADD_UW, [F73(0x10, 4)] = PVM2_SH2ADD_UW,
    [F73(0x10, 6)] = PVM2_SH3ADD_UW,
};

static const uint8_t load_table[8] = {PVM2_LB,  PVM2_LH,  PVM2_LW,  PVM2_LD,
                                      PVM2_LBU, PVM2_LHU, PVM2_LWU, 0};
static const uint8_t store_table[8] = {PVM2_SB, PVM2_SH, PVM2_SW, PVM2_SD};
static const uint8_t branch_table[8] = {PVM2_BEQ, PVM2_BNE, 0,         0,
                                        PVM2_BLT, PVM2_BGE, PVM2_BLTU, PVM2_BGEU};
/* 1 and 5 are shifts and fixed words. */
static const uint8_t imm_table[8] = {PVM2_ADDI, 0, PVM2_SLTI, PVM2_SLTIU,
                                     PVM2_XORI, 0, PVM2_ORI,  PVM2_ANDI};

static inline struct pvm2_insn reserved(uint32_t raw, uint8_t len)
{
    return (struct pvm2_insn){.op = PVM2_RESERVED, .len = len, .raw = raw};
}

static inline uint8_t field_rd(uint32_t word)
{
    return (uint8_t)(word >> 7 & 31);
}
static inline uint8_t field_rs1(uint32_t word)
{
    return (uint8_t)(word >> 15 & 31);
}
static inline uint8_t field_rs2(uint32_t word)
{
    return (uint8_t)(word >> 20 & 31);
}

/* Arithmetic shift of the whole word: what gcc and clang do, and -Wconversion has no quarrel with.
 */
static inline int32_t top_bits(uint32_t word, unsigned shift)
{
    return (int32_t)word >> shift;
}

static inline int32_t imm_store(uint32_t word)
{
    return (int32_t)((uint32_t)(top_bits(word, 25) * 32) | (word >> 7 & 31));
}

static inline int32_t imm_branch(uint32_t word)
{
    return (int32_t)((uint32_t)(top_bits(word, 31) * 4096) | (word >> 7 & 1) << 11 |
                     (word >> 25 & 63) << 5 | (word >> 8 & 15) << 1);
}

static inline int32_t imm_jump(uint32_t word)
{
    return (int32_t)((uint32_t)(top_bits(word, 31) * (1 << 20)) | (word >> 12 & 255) << 12 |
                     (word >> 20 & 1) << 11 | (word >> 21 & 1023) << 1);
}

/* Bit 4 of a register field says x16..x31, which RV64E does not have; a used field with it makes
 * the whole encoding reserved. */
#define HIGH_RD  (16u << 7)
#define HIGH_RS1 (16u << 15)
#define HIGH_RS2 (16u << 20)

static inline struct pvm2_insn make_rrr(unsigned op, uint32_t word)
{
    if (op == 0 || (word & (HIGH_RD | HIGH_RS1 | HIGH_RS2)) != 0)
        return reserved(word, 4);
    return (struct pvm2_insn){(uint8_t)op, field_rd(word), field_rs1(word), field_rs2(word), 4, 0,
                              word};
}

static inline struct pvm2_insn make_rri(unsigned op, uint32_t word, int32_t imm)
{
    if (op == 0 || (word & (HIGH_RD | HIGH_RS1)) != 0)
        return reserved(word, 4);
    return (struct pvm2_insn){(uint8_t)op, field_rd(word), field_rs1(word), 0, 4, imm, word};
}

static inline struct pvm2_insn make_ssi(unsigned op, uint32_t word, int32_t imm)
{
    if (op == 0 || (word & (HIGH_RS1 | HIGH_RS2)) != 0)
        return reserved(word, 4);
    return (struct pvm2_insn){(uint8_t)op, 0, field_rs1(word), field_rs2(word), 4, imm, word};
}

static inline struct pvm2_insn make_ri(unsigned op, uint32_t word, int32_t imm)
{
    if ((word & HIGH_RD) != 0)
        return reserved(word, 4);
    return (struct pvm2_insn){(uint8_t)op, field_rd(word), 0, 0, 4, imm, word};
}

static inline struct pvm2_insn make_bare(unsigned op, uint32_t word, int32_t imm)
{
    return (struct pvm2_insn){(uint8_t)op, 0, 0, 0, 4, imm, word};
}

/* OP-IMM with funct3 001 or 101: 6-bit shifts by [31:26], or one word by [31:20]. */
static struct pvm2_insn decode_shift(uint32_t word)
{
    bool right = (word >> 14 & 1) != 0;
    int32_t shamt = (int32_t)(word >> 20 & 63);
    switch (word >> 26) {
    case 0x00:
        return make_rri(right ? PVM2_SRLI : PVM2_SLLI, word, shamt);
    case 0x0A:
        if (!right)
            return make_rri(PVM2_BSETI, word, shamt);
        return make_rri(word >> 20 == 0x287 ? PVM2_ORC_B : 0, word, 0);
    case 0x10:
        return make_rri(right ? PVM2_SRAI : 0, word, shamt);
    case 0x12:
        return make_rri(right ? PVM2_BEXTI : PVM2_BCLRI, word, shamt);
    case 0x18:
        if (right)
            return make_rri(PVM2_RORI, word, shamt);
        switch (shamt) {
        case 0:
            return make_rri(PVM2_CLZ, word, 0);
        case 1:
            return make_rri(PVM2_CTZ, word, 0);
        case 2:
            return make_rri(PVM2_CPOP, word, 0);
        case 4:
            return make_rri(PVM2_SEXT_B, word, 0);
        case 5:
            return make_rri(PVM2_SEXT_H, word, 0);
        default:
            return reserved(word, 4);
        }
    case 0x1A:
        if (!right)
            return make_rri(PVM2_BINVI, word, shamt);
        return make_rri(word >> 20 == 0x6B8 ? PVM2_REV8 : 0, word, 0);
    default:
        return reserved(word, 4);
    }
}

/* OP-IMM-32. Only slli.uw has a sixth bit of shift amount. */
static struct pvm2_insn decode_imm32(uint32_t word, unsigned funct3)
{
    int32_t shamt = (int32_t)(word >> 20 & 31);
    if (funct3 == 0)
        return make_rri(PVM2_ADDIW, word, top_bits(word, 20));
    if (funct3 == 5) {
        uint32_t funct7 = word >> 25;
        return make_rri(funct7 == 0x00   ? PVM2_SRLIW
                        : funct7 == 0x20 ? PVM2_SRAIW
                        : funct7 == 0x30 ? PVM2_RORIW
                                         : 0,
                        word, shamt);
    }
    if (funct3 != 1)
        return reserved(word, 4);
    if (word >> 26 == 0x02)
        return make_rri(PVM2_SLLI_UW, word, (int32_t)(word >> 20 & 63));
    switch (word >> 25) {
    case 0x00:
        return make_rri(PVM2_SLLIW, word, shamt);
    case 0x30:
        return make_rri(shamt == 0   ? PVM2_CLZW
                        : shamt == 1 ? PVM2_CTZW
                        : shamt == 2 ? PVM2_CPOPW
                                     : 0,
                        word, 0);
    default:
        return reserved(word, 4);
    }
}

/* Custom-0: every bit that is not ecalli's immediate is required. */
static struct pvm2_insn decode_custom(uint32_t word)
{
    if ((word & 0xFFFFF) == 0x0200B)
        return make_bare(PVM2_ECALLI, word, top_bits(word, 20));
    switch (word) {
    case 0x0000000B:
        return make_bare(PVM2_TRAP, word, 0);
    case 0x0000100B:
        return make_bare(PVM2_ECALL_JAR, word, 0);
    case 0x0000400B:
        return make_bare(PVM2_FALLTHROUGH, word, 0);
    default:
        return reserved(word, 4);
    }
}

static struct pvm2_insn decode_op32(uint32_t word, unsigned function)
{
    unsigned op = op32_table[function];
    if (op != PVM2_ZEXT_H)
        return make_rrr(op, word);
    return field_rs2(word) == 0 ? make_rri(PVM2_ZEXT_H, word, 0) : reserved(word, 4);
}

static inline struct pvm2_insn decode32(uint32_t word)
{
    unsigned funct3 = word >> 12 & 7;
    switch (word & 0x7F) {
    case 0x03:
        return make_rri(load_table[funct3], word, top_bits(word, 20));
    case 0x0B:
        return decode_custom(word);
    case 0x0F:
        return funct3 > 1 ? reserved(word, 4)
                          : make_bare(funct3 == 0 ? PVM2_FENCE : PVM2_FENCE_I, word, 0);
    case 0x13:
        if ((funct3 & 3) == 1)
            return decode_shift(word);
        return make_rri(imm_table[funct3], word, top_bits(word, 20));
    case 0x17:
        return make_ri(PVM2_AUIPC, word, (int32_t)(word & 0xFFFFF000));
    case 0x1B:
        return decode_imm32(word, funct3);
    case 0x23:
        return make_ssi(store_table[funct3], word, imm_store(word));
    case 0x33:
        return make_rrr(op_table[F73(word >> 25, funct3)], word);
    case 0x37:
        return make_ri(PVM2_LUI, word, (int32_t)(word & 0xFFFFF000));
    case 0x3B:
        return decode_op32(word, F73(word >> 25, funct3));
    case 0x63:
        return make_ssi(branch_table[funct3], word, imm_branch(word));
    case 0x67:
        return make_rri(funct3 == 0 ? PVM2_JALR : 0, word, top_bits(word, 20));
    case 0x6F:
        return make_ri(PVM2_JAL, word, imm_jump(word));
    default:
        return reserved(word, 4);
    }
}

/* ---- compressed ------------------------------------------------------------------------- */

/* All operands known; x16 and up make the encoding reserved. */
static inline struct pvm2_insn make16(uint16_t half, unsigned op, unsigned rd, unsigned rs1,
                                      unsigned rs2, int32_t imm)
{
    if (((rd | rs1 | rs2) & 16) != 0)
        return reserved(half, 2);
    return (struct pvm2_insn){(uint8_t)op, (uint8_t)rd, (uint8_t)rs1, (uint8_t)rs2, 2, imm, half};
}

/* Bit `from` of the halfword, moved to bit `to`. */
#define BIT(from, to)         ((h >> (from)&1u) << (to))
#define BITS(from, width, to) ((h >> (from) & ((1u << (width)) - 1u)) << (to))
/* -2^to when bit `from` is set, else 0: the sign and all above it. */
#define SIGN(from, to)        (0u - BIT(from, to))

static struct pvm2_insn decode_quadrant0(uint16_t half)
{
    uint32_t h = half;
    unsigned c1 = 8 + (h >> 7 & 7), c2 = 8 + (h >> 2 & 7);
    int32_t off_w = (int32_t)(BITS(10, 3, 3) | BIT(6, 2) | BIT(5, 6));
    int32_t off_d = (int32_t)(BITS(10, 3, 3) | BITS(5, 2, 6));
    switch (h >> 13) {
    case 0: {
        int32_t imm = (int32_t)(BITS(11, 2, 4) | BITS(7, 4, 6) | BIT(6, 2) | BIT(5, 3));
        return imm == 0 ? reserved(half, 2) : make16(half, PVM2_ADDI, c2, 2, 0, imm);
    }
    case 2:
        return make16(half, PVM2_LW, c2, c1, 0, off_w);
    case 3:
        return make16(half, PVM2_LD, c2, c1, 0, off_d);
    case 6:
        return make16(half, PVM2_SW, 0, c1, c2, off_w);
    case 7:
        return make16(half, PVM2_SD, 0, c1, c2, off_d);
    default:
        return reserved(half, 2);
    }
}

static struct pvm2_insn decode_arithmetic16(uint16_t half, int32_t imm6)
{
    static const uint8_t pair[8] = {PVM2_SUB, PVM2_XOR, PVM2_OR, PVM2_AND, PVM2_SUBW, PVM2_ADDW};
    uint32_t h = half;
    unsigned c1 = 8 + (h >> 7 & 7), c2 = 8 + (h >> 2 & 7);
    switch (h >> 10 & 3) {
    case 0:
        return make16(half, PVM2_SRLI, c1, c1, 0, imm6 & 63);
    case 1:
        return make16(half, PVM2_SRAI, c1, c1, 0, imm6 & 63);
    case 2:
        return make16(half, PVM2_ANDI, c1, c1, 0, imm6);
    default: {
        unsigned op = pair[BIT(12, 2) | (h >> 5 & 3)];
        return op == 0 ? reserved(half, 2) : make16(half, op, c1, c1, c2, 0);
    }
    }
}

static struct pvm2_insn decode_quadrant1(uint16_t half)
{
    uint32_t h = half;
    unsigned c1 = 8 + (h >> 7 & 7), f1 = h >> 7 & 31;
    int32_t imm6 = (int32_t)(SIGN(12, 5) | (h >> 2 & 31));
    switch (h >> 13) {
    case 0:
        return make16(half, PVM2_ADDI, f1, f1, 0, imm6);
    case 1:
        return f1 == 0 ? reserved(half, 2) : make16(half, PVM2_ADDIW, f1, f1, 0, imm6);
    case 2:
        return make16(half, PVM2_ADDI, f1, 0, 0, imm6);
    case 3:
        if (imm6 == 0) /* both forms keep their whole immediate in the same six bits */
            return reserved(half, 2);
        if (f1 != 2)
            return make16(half, PVM2_LUI, f1, 0, 0, imm6 * 4096);
        return make16(half, PVM2_ADDI, 2, 2, 0,
                      (int32_t)(SIGN(12, 9) | BIT(6, 4) | BIT(5, 6) | BITS(3, 2, 7) | BIT(2, 5)));
    case 4:
        return decode_arithmetic16(half, imm6);
    case 5:
        return make16(half, PVM2_JAL, 0, 0, 0,
                      (int32_t)(SIGN(12, 11) | BIT(11, 4) | BITS(9, 2, 8) | BIT(8, 10) | BIT(7, 6) |
                                BIT(6, 7) | BITS(3, 3, 1) | BIT(2, 5)));
    default:
        return make16(
            half, h >> 13 == 6 ? PVM2_BEQ : PVM2_BNE, 0, c1, 0,
            (int32_t)(SIGN(12, 8) | BITS(10, 2, 3) | BITS(5, 2, 6) | BITS(3, 2, 1) | BIT(2, 5)));
    }
}

static struct pvm2_insn decode_quadrant2(uint16_t half)
{
    uint32_t h = half;
    unsigned f1 = h >> 7 & 31, f2 = h >> 2 & 31;
    switch (h >> 13) {
    case 0:
        return make16(half, PVM2_SLLI, f1, f1, 0, (int32_t)(BIT(12, 5) | f2));
    case 2:
        return f1 == 0 ? reserved(half, 2)
                       : make16(half, PVM2_LW, f1, 2, 0,
                                (int32_t)(BIT(12, 5) | BITS(4, 3, 2) | BITS(2, 2, 6)));
    case 3:
        return f1 == 0 ? reserved(half, 2)
                       : make16(half, PVM2_LD, f1, 2, 0,
                                (int32_t)(BIT(12, 5) | BITS(5, 2, 3) | BITS(2, 3, 6)));
    case 4:
        if (f2 != 0)
            return make16(half, PVM2_ADD, f1, BIT(12, 0) != 0 ? f1 : 0, f2, 0);
        /* c.jr and c.jalr; of x0 they are reserved (c.ebreak) */
        return f1 == 0 ? reserved(half, 2) : make16(half, PVM2_JALR, BIT(12, 0), f1, 0, 0);
    case 6:
        return make16(half, PVM2_SW, 0, 2, f2, (int32_t)(BITS(9, 4, 2) | BITS(7, 2, 6)));
    case 7:
        return make16(half, PVM2_SD, 0, 2, f2, (int32_t)(BITS(10, 3, 3) | BITS(7, 3, 6)));
    default:
        return reserved(half, 2);
    }
}

/* ---- both ------------------------------------------------------------------------------- */

struct pvm2_insn pvm2_decode32(uint32_t word)
{
    return decode32(word);
}

struct pvm2_insn pvm2_decode16(uint16_t half)
{
    switch (half & 3) {
    case 0:
        return decode_quadrant0(half);
    case 1:
        return decode_quadrant1(half);
    default:
        return decode_quadrant2(half);
    }
}

bool pvm2_decode(const uint8_t *code, uint64_t len, uint64_t offset, struct pvm2_insn *insn)
{
    if (offset >= len || len - offset < 2)
        return false;
    uint64_t left = len - offset;
    code += offset;
    if ((code[0] & 3) != 3) {
        *insn = pvm2_decode16((uint16_t)(code[0] | code[1] << 8));
        return true;
    }
    if (left < 4)
        return false;
    *insn = decode32((uint32_t)code[0] | (uint32_t)code[1] << 8 | (uint32_t)code[2] << 16 |
                     (uint32_t)code[3] << 24);
    return true;
}

bool pvm2_is_terminator(enum pvm2_op op)
{
    switch (op) {
    case PVM2_JAL:
    case PVM2_JALR:
    case PVM2_BEQ:
    case PVM2_BNE:
    case PVM2_BLT:
    case PVM2_BGE:
    case PVM2_BLTU:
    case PVM2_BGEU:
    case PVM2_TRAP:
    case PVM2_ECALL_JAR:
    case PVM2_ECALLI:
    case PVM2_FALLTHROUGH:
    case PVM2_RESERVED:
        return true;
    default:
        return false;
    }
}
