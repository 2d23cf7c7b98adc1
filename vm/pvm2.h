/* PVM2 encodings at the RISC-V level: what an instruction is, before it is lowered to the shared
 * form. Used by the PVM2 front end, by disassembly and by the linker. Register numbers are x0..x15.
 */
#ifndef JAVM_VM_PVM2_H
#define JAVM_VM_PVM2_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One row per instruction: enumerator, mnemonic, format. The order is frozen only within a build.
 */
/* clang-format off */
#define PVM2_OPS(X) \
    X(LUI, "lui", U) X(AUIPC, "auipc", U) X(JAL, "jal", J) X(JALR, "jalr", I) X(BEQ, "beq", B) \
    X(BNE, "bne", B) X(BLT, "blt", B) X(BGE, "bge", B) X(BLTU, "bltu", B) X(BGEU, "bgeu", B) \
    X(LB, "lb", L) X(LH, "lh", L) X(LW, "lw", L) X(LD, "ld", L) X(LBU, "lbu", L) \
    X(LHU, "lhu", L) X(LWU, "lwu", L) X(SB, "sb", S) X(SH, "sh", S) X(SW, "sw", S) \
    X(SD, "sd", S) X(ADDI, "addi", I) X(SLTI, "slti", I) X(SLTIU, "sltiu", I) X(XORI, "xori", I) \
    X(ORI, "ori", I) X(ANDI, "andi", I) X(SLLI, "slli", SH6) X(SRLI, "srli", SH6) \
    X(SRAI, "srai", SH6) X(ADDIW, "addiw", I) X(SLLIW, "slliw", SH5) X(SRLIW, "srliw", SH5) \
    X(SRAIW, "sraiw", SH5) X(ADD, "add", R) X(SUB, "sub", R) X(SLL, "sll", R) X(SLT, "slt", R) \
    X(SLTU, "sltu", R) X(XOR, "xor", R) X(SRL, "srl", R) X(SRA, "sra", R) X(OR, "or", R) \
    X(AND, "and", R) X(MUL, "mul", R) X(MULH, "mulh", R) X(MULHSU, "mulhsu", R) \
    X(MULHU, "mulhu", R) X(DIV, "div", R) X(DIVU, "divu", R) X(REM, "rem", R) X(REMU, "remu", R) \
    X(ANDN, "andn", R) X(ORN, "orn", R) X(XNOR, "xnor", R) X(MIN, "min", R) X(MINU, "minu", R) \
    X(MAX, "max", R) X(MAXU, "maxu", R) X(ROL, "rol", R) X(ROR, "ror", R) X(SH1ADD, "sh1add", R) \
    X(SH2ADD, "sh2add", R) X(SH3ADD, "sh3add", R) X(BCLR, "bclr", R) X(BEXT, "bext", R) \
    X(BINV, "binv", R) X(BSET, "bset", R) X(CZERO_EQZ, "czero.eqz", R) \
    X(CZERO_NEZ, "czero.nez", R) X(ADDW, "addw", R) X(SUBW, "subw", R) X(SLLW, "sllw", R) \
    X(SRLW, "srlw", R) X(SRAW, "sraw", R) X(MULW, "mulw", R) X(DIVW, "divw", R) \
    X(DIVUW, "divuw", R) X(REMW, "remw", R) X(REMUW, "remuw", R) X(ROLW, "rolw", R) \
    X(RORW, "rorw", R) X(ADD_UW, "add.uw", R) X(SH1ADD_UW, "sh1add.uw", R) \
    X(SH2ADD_UW, "sh2add.uw", R) X(SH3ADD_UW, "sh3add.uw", R) X(CLZ, "clz", R1) \
    X(CTZ, "ctz", R1) X(CPOP, "cpop", R1) X(SEXT_B, "sext.b", R1) X(SEXT_H, "sext.h", R1) \
    X(ORC_B, "orc.b", R1) X(REV8, "rev8", R1) X(CLZW, "clzw", R1) X(CTZW, "ctzw", R1) \
    X(CPOPW, "cpopw", R1) X(ZEXT_H, "zext.h", R1) X(RORI, "rori", SH6) X(RORIW, "roriw", SH5) \
    X(SLLI_UW, "slli.uw", SH6) X(BCLRI, "bclri", SH6) X(BEXTI, "bexti", SH6) \
    X(BINVI, "binvi", SH6) X(BSETI, "bseti", SH6) X(FENCE, "fence", F) X(FENCE_I, "fence.i", F) \
    X(TRAP, "trap", X) X(ECALL_JAR, "ecall.jar", X) X(ECALLI, "ecalli", E) \
    X(FALLTHROUGH, "fallthrough", X)
/* clang-format on */

enum pvm2_op {
#define X(name, text, format) PVM2_##name,
    PVM2_OPS(X)
#undef X
        PVM2_RESERVED,
    PVM2_OP_COUNT
};

struct pvm2_insn {
    uint8_t op;           /* enum pvm2_op */
    uint8_t rd, rs1, rs2; /* 0 when the format has no such field */
    uint8_t len;          /* 2 or 4 */
    int32_t imm;          /* U: the full 32-bit value, low 12 bits zero; branches: byte distance */
    uint32_t raw;         /* the encoding as it stood */
};

const char *pvm2_mnemonic(enum pvm2_op op); /* "reserved" for PVM2_RESERVED */

/* A 32-bit word (low bits 11) / a halfword (low bits not 11). */
struct pvm2_insn pvm2_decode32(uint32_t word);
struct pvm2_insn pvm2_decode16(uint16_t half);
/* At `offset`; false where the code ends inside or before it. */
bool pvm2_decode(const uint8_t *code, uint64_t len, uint64_t offset, struct pvm2_insn *insn);
bool pvm2_is_terminator(enum pvm2_op op);

/* The canonical 32-bit word: inverse of pvm2_decode32 for op, rd, rs1, rs2, imm; the immediate must
 * fit (see pvm2_imm_fits). 0 for RESERVED. */
uint32_t pvm2_encode32(const struct pvm2_insn *insn);
/* Does imm fit the instruction's 32-bit format? */
bool pvm2_imm_fits(enum pvm2_op op, int64_t imm);

/* "addi x10, x11, -4"; always NUL-terminated. Same text as the reference model. */
void pvm2_format(const struct pvm2_insn *insn, char *text, size_t size);

#endif
