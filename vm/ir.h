/* The internal instruction form: what every front end lowers to and every engine runs.
 *
 * A program is an array of 16-byte instructions. Each block starts with an IR_BLOCK header that
 * carries the gas the block needs; control always lands on headers. Instructions that can have no
 * effect (hints, fences, fallthrough markers, results into x0) leave nothing behind: their gas is
 * in the header already. Index 0 of the array is never a landing place, so 0 says "no block here".
 *
 * Registers: 0..14 are the slots of the register file, IR_ZERO reads as 0 and is never written,
 * IR_SINK takes results that nobody may see (a load into x0 still has to touch memory). */
#ifndef JAVM_VM_IR_H
#define JAVM_VM_IR_H

#include <stdbool.h>
#include <stdint.h>

#include "javm/engine.h"

#define IR_ZERO 15
#define IR_SINK 16
#define IR_REGS 17

/* Target of a branch that may never be taken legally: it panics at the branch. */
#define IR_NO_TARGET INT32_MIN

/* Operations. The groups are in order of operand shape; the interpreter and the text of `info`
 * share this list. Operands: d = rd, a = ra, b = rb, i = imm.
 *   R3  d := a op b        R2  d := op a         RI  d := a op i        LI  d := i
 *   LD  d := mem[a + i]    ST  mem[a + i] := b   BR  if a op b goto hi
 *   CTL everything else, see the comments */
/* clang-format off */
#define IR_OPS(X) \
    X(ADD, R3) X(SUB, R3) X(SLL, R3) X(SLT, R3) X(SLTU, R3) X(XOR, R3) X(SRL, R3) X(SRA, R3) \
    X(OR, R3) X(AND, R3) X(MUL, R3) X(MULH, R3) X(MULHSU, R3) X(MULHU, R3) X(DIV, R3) \
    X(DIVU, R3) X(REM, R3) X(REMU, R3) X(ANDN, R3) X(ORN, R3) X(XNOR, R3) X(MIN, R3) X(MINU, R3) \
    X(MAX, R3) X(MAXU, R3) X(ROL, R3) X(ROR, R3) X(SH1ADD, R3) X(SH2ADD, R3) X(SH3ADD, R3) \
    X(BCLR, R3) X(BEXT, R3) X(BINV, R3) X(BSET, R3) X(CZERO_EQZ, R3) X(CZERO_NEZ, R3) \
    X(ADDW, R3) X(SUBW, R3) X(SLLW, R3) X(SRLW, R3) X(SRAW, R3) X(MULW, R3) X(DIVW, R3) \
    X(DIVUW, R3) X(REMW, R3) X(REMUW, R3) X(ROLW, R3) X(RORW, R3) X(ADD_UW, R3) X(SH1ADD_UW, R3) \
    X(SH2ADD_UW, R3) X(SH3ADD_UW, R3) \
    X(MOVE, R2) X(CLZ, R2) X(CTZ, R2) X(CPOP, R2) X(SEXT_B, R2) X(SEXT_H, R2) X(SEXT_W, R2) \
    X(ZEXT_H, R2) X(ZEXT_W, R2) X(ORC_B, R2) X(REV8, R2) X(CLZW, R2) X(CTZW, R2) X(CPOPW, R2) \
    X(ADDI, RI) X(SLTI, RI) X(SLTIU, RI) X(XORI, RI) X(ORI, RI) X(ANDI, RI) X(SLLI, RI) \
    X(SRLI, RI) X(SRAI, RI) X(RORI, RI) X(BEXTI, RI) X(ADDIW, RI) X(SLLIW, RI) X(SRLIW, RI) \
    X(SRAIW, RI) X(RORIW, RI) X(SLLI_UW, RI) \
    X(LI, LI) \
    X(LB, LD) X(LH, LD) X(LW, LD) X(LD, LD) X(LBU, LD) X(LHU, LD) X(LWU, LD) \
    X(SB, ST) X(SH, ST) X(SW, ST) X(SD, ST) \
    X(BEQ, BR) X(BNE, BR) X(BLT, BR) X(BGE, BR) X(BLTU, BR) X(BGEU, BR) \
    X(JUMP, CTL) /* goto hi */ \
    X(JAL, CTL) /* d := lo (link); goto hi */ \
    X(JALR, CTL) /* t := (a + lo) & ~1; d := hi (link); goto t */ \
    X(BLOCK, CTL) /* header: imm = gas that must be there; it is charged */ \
    X(RESERVE, CTL) /* gives imm back: the copy-on-write reserve was part of the gate */ \
    X(ECALLI, CTL) /* exit host_call(imm), uncharged */ \
    X(ECALL_JAR, CTL) /* exit ecall_jar, uncharged */ \
    X(TRAP, CTL) \
    X(RESERVED, CTL) /* exits */ \
    X(END, CTL) /* the end of the code: panic */
/* clang-format on */

enum ir_op {
#define X(name, shape) IR_##name,
    IR_OPS(X)
#undef X
        IR_OP_COUNT
};

enum ir_shape { IR_R3, IR_R2, IR_RI, IR_SHAPE_LI, IR_LOAD, IR_STORE, IR_BRANCH, IR_CTL };

struct ir_insn {
    uint16_t op;  /* enum ir_op: what it does */
    uint16_t run; /* what the interpreter runs when it arrives here: op, or a fused group */
    uint8_t rd, ra, rb;
    uint8_t len; /* encoded length; 0 for headers */
    union {
        int64_t imm;
        struct {
            int32_t lo;
            int32_t hi; /* branches: byte distance to the target's header, or IR_NO_TARGET */
        };
    };
};
_Static_assert(sizeof(struct ir_insn) == 16, "the interpreter scales by 16");

struct ir_block {
    uint32_t header; /* index of its IR_BLOCK */
    uint32_t stores;
    uint64_t cost; /* 0 for an ecall block */
};

struct javm_program {
    struct ir_insn *insns; /* owned, as all arrays here */
    uint32_t *pcs;         /* per instruction: byte offset in the code */
    uint32_t count;
    /* Per halfword of code: index of the header of the block that starts there, 0 if none does. */
    uint32_t *landing;
    uint64_t landing_count;
    struct ir_block *blocks;
    uint32_t block_count;
    const uint8_t *code; /* borrowed */
    uint64_t code_len;
    uint64_t end;          /* where the linear walk ended */
    uint64_t instructions; /* encoded ones */
    struct javm_program_key key;
};

/* Header index of a block start, 0 if `offset` is none. */
static inline uint32_t program_landing(const struct javm_program *program, uint64_t offset)
{
    return offset / 2 < program->landing_count && offset % 2 == 0 ? program->landing[offset / 2]
                                                                  : 0;
}

extern const char *const ir_op_names[IR_OP_COUNT];

#endif
