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
    X(CMOV_EQZ, R3) X(CMOV_NEZ, R3) \
    X(ADDW, R3) X(SUBW, R3) X(SLLW, R3) X(SRLW, R3) X(SRAW, R3) X(MULW, R3) X(DIVW, R3) \
    X(DIVUW, R3) X(REMW, R3) X(REMUW, R3) X(ROLW, R3) X(RORW, R3) X(ADD_UW, R3) X(SH1ADD_UW, R3) \
    X(SH2ADD_UW, R3) X(SH3ADD_UW, R3) \
    X(MOVE, R2) X(CLZ, R2) X(CTZ, R2) X(CPOP, R2) X(SEXT_B, R2) X(SEXT_H, R2) X(SEXT_W, R2) \
    X(ZEXT_H, R2) X(ZEXT_W, R2) X(ORC_B, R2) X(REV8, R2) X(CLZW, R2) X(CTZW, R2) X(CPOPW, R2) \
    X(ADDI, RI) X(SLTI, RI) X(SLTIU, RI) X(XORI, RI) X(ORI, RI) X(ANDI, RI) X(SLLI, RI) \
    X(SRLI, RI) X(SRAI, RI) X(RORI, RI) X(BEXTI, RI) X(ADDIW, RI) X(SLLIW, RI) X(SRLIW, RI) \
    X(SRAIW, RI) X(RORIW, RI) X(SLLI_UW, RI) X(SGTI, RI) X(SGTIU, RI) X(MULI, RI) X(MULIW, RI) \
    X(ISUB, RI) X(ISUBW, RI) X(ISLL, RI) X(ISRL, RI) X(ISRA, RI) X(IROR, RI) X(ISLLW, RI) \
    X(ISRLW, RI) X(ISRAW, RI) X(IRORW, RI) X(CMOVI_EQZ, RI) X(CMOVI_NEZ, RI) \
    X(LI, LI) \
    X(LB, LD) X(LH, LD) X(LW, LD) X(LD, LD) X(LBU, LD) X(LHU, LD) X(LWU, LD) \
    X(SB, ST) X(SH, ST) X(SW, ST) X(SD, ST) X(SBI, SI) X(SHI, SI) X(SWI, SI) X(SDI, SI) \
    X(BEQ, BR) X(BNE, BR) X(BLT, BR) X(BGE, BR) X(BLTU, BR) X(BGEU, BR) \
    X(BEQI, BI) X(BNEI, BI) X(BLTI, BI) X(BGEI, BI) X(BLTUI, BI) X(BGEUI, BI) X(BLEI, BI) \
    X(BGTI, BI) X(BLEUI, BI) X(BGTUI, BI) \
    X(JUMP, CTL) /* goto hi */ \
    X(LI_JUMP, CTL) /* d := lo, sign-extended; goto hi */ \
    X(JAL, CTL) /* d := lo (link); goto hi */ \
    X(JALR, CTL) /* t := (a + lo) & ~1; d := hi (link); goto t */ \
    X(DJUMP, CTL) /* goto where entry (a + lo) / 2 - 1 of the jump table says */ \
    X(LI_DJUMP, CTL) /* the same with a + hi; d := lo, sign-extended, unless it halts */ \
    X(SBRK, CTL) /* d := what growing the heap by a comes to */ \
    X(MEMSET, CTL) /* mem[φ7..] := the low byte of φ8, φ9 times, each charged; φ7, φ9 move on */ \
    X(GOTO, CTL) /* go on at the instruction at hi, uncharged; a: the register whose value is at \
                    hand there */ \
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

enum ir_shape {
    IR_R3,
    IR_R2,
    IR_RI,
    IR_SHAPE_LI,
    IR_LOAD,
    IR_STORE,
    IR_BRANCH,
    IR_STORE_IMM,
    IR_BRANCH_IMM,
    IR_CTL
};

struct ir_insn {
    uint16_t op;  /* enum ir_op: what it does */
    uint16_t run; /* what the interpreter runs when it arrives here: op, or a fused group */
    uint8_t rd, ra, rb;
    uint8_t len; /* encoded length; 0 for headers */
    union {
        int64_t imm;
        struct {
            int32_t lo;
            int32_t hi; /* branches: byte distance to where they lead, or IR_NO_TARGET */
        };
    };
};
_Static_assert(sizeof(struct ir_insn) == 16, "the interpreter scales by 16");

struct ir_block {
    uint32_t header; /* index of its IR_BLOCK */
    uint32_t stores;
    uint64_t cost; /* 0 for an ecall block */
};

/* Code and what it means (front.h). */
struct front {
    const uint8_t *code; /* borrowed, as what the key points to */
    uint64_t len;
    struct javm_program_key key;
    uint32_t memory_cycles;
    uint8_t shift; /* instructions begin at multiples of 1 << shift */
    bool flat;     /* a block costs 1 for each instruction */
};

struct front front_of(const uint8_t *code, uint64_t len, const struct javm_program_key *key);

static inline bool front_is_pvm(const struct front *front)
{
    return front->key.pvm != JAVM_PVM_NONE;
}

struct javm_program {
    struct ir_insn *insns; /* owned, as all arrays here */
    uint32_t *pcs;         /* per instruction: byte offset in the code */
    uint32_t count;
    uint32_t straight; /* instructions before this one are in the order of the code; behind it are
                          the ways into the middle of blocks: BLOCK, GOTO */
    /* Per place of code where an instruction may begin: index of the header by which control
     * arrives there, 0 if it cannot. */
    uint32_t *landing;
    uint64_t landing_count;
    uint32_t *jumps; /* PVM: the same per entry of the jump table */
    struct ir_block *blocks;
    uint32_t block_count;
    struct front front;
    uint64_t end;          /* where the linear walk ended */
    uint64_t instructions; /* encoded ones */
};

/* Header index of a block start, 0 if `offset` is none. */
static inline uint32_t program_landing(const struct javm_program *program, uint64_t offset)
{
    const uint64_t place = offset >> program->front.shift;
    return place < program->landing_count && place << program->front.shift == offset
               ? program->landing[place]
               : 0;
}

extern const char *const ir_op_names[IR_OP_COUNT];

/* Which operands an operation has, and its shape (eval.c). */
#define IR_HAS_D 1u
#define IR_HAS_A 2u
#define IR_HAS_B 4u
extern const uint8_t ir_operands[IR_OP_COUNT], ir_shapes[IR_OP_COUNT];

static inline enum ir_shape ir_shape_of(uint16_t op)
{
    return (enum ir_shape)ir_shapes[op];
}

static inline bool ir_writes_memory(uint16_t op)
{
    return op >= IR_SB && op <= IR_SDI;
}

/* Of a load or store: bytes; what it adds to register a. */
uint32_t ir_access_width(uint16_t op);
static inline int64_t ir_displacement(const struct ir_insn *insn)
{
    return ir_shape_of(insn->op) == IR_STORE_IMM ? insn->lo : insn->imm;
}

/* The result of an operation without memory access or control flow; `d`: what rd holds. */
uint64_t ir_eval(const struct ir_insn *insn, uint64_t d, uint64_t a, uint64_t b);

#endif
