#include "vm/lower_pvm2.h"

#include <stddef.h>
#include <string.h>

#include "vm/pvm2_fast.h"

/* ---- operations ------------------------------------------------------------------------- */

/* What is not the same for all in lowering. */
enum {
    PLAIN,
    IMM_MAY_MOVE, /* addi */
    MAY_MOVE,     /* add */
    MAY_EXTEND,   /* addiw, add.uw: `other` if the last operand is 0 */
    BIT,          /* the immediate is the number of a bit, */
    NOT_BIT,      /* of the only one that is clear */
    AT_PC,        /* the immediate counts from here; as the rest, not the same anywhere */
    BRANCHES,     /* to an offset in `hi` */
    JUMPS,
    JUMPS_BY_REGISTER,
};

struct op_row {
    struct {
        uint32_t overlap; /* one slot less if rd is rs1 (bit 15), rs2 (bit 23) */
        uint8_t cycles;
        uint8_t memory; /* 0xFF where the memory cycles of 9.4 are the cycles */
        uint8_t slots;
    } gas; /* PVM2 9.3 */
    uint8_t op, special;
    uint8_t other; /* the operation of MAY_EXTEND, or the destination instead of x0 */
    bool executes, terminator, ecall, store;
    bool pure; /* does nothing if the destination is x0 */
};

#define NONE 0
#define RS1  0x8000u
#define ANY  0x808000u
/* clang-format off */
#define GAS(cycles, slots, overlap) {overlap, cycles, 0, slots}
#define ALU_I  GAS(1, 2, ANY)
#define ALU_IW GAS(2, 3, ANY)
#define ALU    GAS(1, 2, ANY)
#define ALUW   GAS(2, 3, ANY)
#define SHIFT  GAS(1, 3, RS1)
#define SHIFTW GAS(2, 4, RS1)
#define SET    GAS(3, 3, NONE)
#define DIVIDE GAS(60, 4, NONE)
#define UNARY  GAS(1, 1, NONE)
#define MINMAX GAS(3, 3, ANY)
#define ACCESS {NONE, 0, 0xFF, 1}
#define BRANCH GAS(20, 1, NONE)
#define OTHER  GAS(2, 1, NONE)

#define PURE(gas, op)                     {gas, IR_##op, PLAIN, IR_ZERO, 1, 0, 0, 0, 1}
#define PURE_BUT(gas, op, special, other) {gas, IR_##op, special, other, 1, 0, 0, 0, 1}
#define READ(op)                          {ACCESS, IR_##op, PLAIN, IR_SINK, 1, 0, 0, 0, 0}
#define WRITE(op)                         {ACCESS, IR_##op, PLAIN, IR_ZERO, 1, 0, 0, 1, 0}
#define CONTROL(gas, op, special)         {gas, IR_##op, special, IR_ZERO, 1, 1, 0, 0, 0}
#define NOTHING(gas, ends)                {gas, IR_ADD, PLAIN, IR_ZERO, 0, ends, 0, 0, 0}
#define CALL(op)                          {GAS(0, 0, NONE), IR_##op, PLAIN, IR_ZERO, 1, 1, 1, 0, 0}

static const struct op_row op_rows[FAST_OPS] = {
    [PVM2_LUI] = PURE(GAS(1, 2, NONE), LI),
    [PVM2_AUIPC] = PURE_BUT(GAS(1, 2, NONE), LI, AT_PC, IR_ZERO),
    [PVM2_JAL] = CONTROL(GAS(15, 1, NONE), JAL, JUMPS),
    [PVM2_JALR] = {GAS(22, 1, NONE), IR_JALR, JUMPS_BY_REGISTER, IR_SINK, 1, 1, 0, 0, 0},
    [PVM2_BEQ] = CONTROL(BRANCH, BEQ, BRANCHES),
    [PVM2_BNE] = CONTROL(BRANCH, BNE, BRANCHES),
    [PVM2_BLT] = CONTROL(BRANCH, BLT, BRANCHES),
    [PVM2_BGE] = CONTROL(BRANCH, BGE, BRANCHES),
    [PVM2_BLTU] = CONTROL(BRANCH, BLTU, BRANCHES),
    [PVM2_BGEU] = CONTROL(BRANCH, BGEU, BRANCHES),
    [PVM2_LB] = READ(LB),
    [PVM2_LH] = READ(LH),
    [PVM2_LW] = READ(LW),
    [PVM2_LD] = READ(LD),
    [PVM2_LBU] = READ(LBU),
    [PVM2_LHU] = READ(LHU),
    [PVM2_LWU] = READ(LWU),
    [PVM2_SB] = WRITE(SB),
    [PVM2_SH] = WRITE(SH),
    [PVM2_SW] = WRITE(SW),
    [PVM2_SD] = WRITE(SD),
    [PVM2_ADDI] = PURE_BUT(ALU_I, ADDI, IMM_MAY_MOVE, IR_ZERO),
    [PVM2_SLTI] = PURE(ALU_I, SLTI),
    [PVM2_SLTIU] = PURE(ALU_I, SLTIU),
    [PVM2_XORI] = PURE(ALU_I, XORI),
    [PVM2_ORI] = PURE(ALU_I, ORI),
    [PVM2_ANDI] = PURE(ALU_I, ANDI),
    [PVM2_SLLI] = PURE(ALU_I, SLLI),
    [PVM2_SRLI] = PURE(ALU_I, SRLI),
    [PVM2_SRAI] = PURE(ALU_I, SRAI),
    [PVM2_ADDIW] = PURE_BUT(ALU_IW, ADDIW, MAY_EXTEND, IR_SEXT_W),
    [PVM2_SLLIW] = PURE(ALU_IW, SLLIW),
    [PVM2_SRLIW] = PURE(ALU_IW, SRLIW),
    [PVM2_SRAIW] = PURE(ALU_IW, SRAIW),
    [PVM2_ADD] = PURE_BUT(ALU, ADD, MAY_MOVE, IR_ZERO),
    [PVM2_SUB] = PURE(ALU, SUB),
    [PVM2_SLL] = PURE(SHIFT, SLL),
    [PVM2_SLT] = PURE(SET, SLT),
    [PVM2_SLTU] = PURE(SET, SLTU),
    [PVM2_XOR] = PURE(ALU, XOR),
    [PVM2_SRL] = PURE(SHIFT, SRL),
    [PVM2_SRA] = PURE(SHIFT, SRA),
    [PVM2_OR] = PURE(ALU, OR),
    [PVM2_AND] = PURE(ALU, AND),
    [PVM2_MUL] = PURE(GAS(3, 2, ANY), MUL),
    [PVM2_MULH] = PURE(GAS(4, 4, NONE), MULH),
    [PVM2_MULHSU] = PURE(GAS(6, 4, NONE), MULHSU),
    [PVM2_MULHU] = PURE(GAS(4, 4, NONE), MULHU),
    [PVM2_DIV] = PURE(DIVIDE, DIV),
    [PVM2_DIVU] = PURE(DIVIDE, DIVU),
    [PVM2_REM] = PURE(DIVIDE, REM),
    [PVM2_REMU] = PURE(DIVIDE, REMU),
    [PVM2_ANDN] = PURE(GAS(2, 3, NONE), ANDN),
    [PVM2_ORN] = PURE(GAS(2, 3, NONE), ORN),
    [PVM2_XNOR] = PURE(ALUW, XNOR),
    [PVM2_MIN] = PURE(MINMAX, MIN),
    [PVM2_MINU] = PURE(MINMAX, MINU),
    [PVM2_MAX] = PURE(MINMAX, MAX),
    [PVM2_MAXU] = PURE(MINMAX, MAXU),
    [PVM2_ROL] = PURE(SHIFT, ROL),
    [PVM2_ROR] = PURE(SHIFT, ROR),
    [PVM2_SH1ADD] = PURE(ALU, SH1ADD),
    [PVM2_SH2ADD] = PURE(ALU, SH2ADD),
    [PVM2_SH3ADD] = PURE(ALU, SH3ADD),
    [PVM2_BCLR] = PURE(ALU, BCLR),
    [PVM2_BEXT] = PURE(ALU, BEXT),
    [PVM2_BINV] = PURE(ALU, BINV),
    [PVM2_BSET] = PURE(ALU, BSET),
    [PVM2_CZERO_EQZ] = PURE(GAS(2, 2, NONE), CZERO_EQZ),
    [PVM2_CZERO_NEZ] = PURE(GAS(2, 2, NONE), CZERO_NEZ),
    [PVM2_ADDW] = PURE(ALUW, ADDW),
    [PVM2_SUBW] = PURE(ALUW, SUBW),
    [PVM2_SLLW] = PURE(SHIFTW, SLLW),
    [PVM2_SRLW] = PURE(SHIFTW, SRLW),
    [PVM2_SRAW] = PURE(SHIFTW, SRAW),
    [PVM2_MULW] = PURE(GAS(4, 3, ANY), MULW),
    [PVM2_DIVW] = PURE(DIVIDE, DIVW),
    [PVM2_DIVUW] = PURE(DIVIDE, DIVUW),
    [PVM2_REMW] = PURE(DIVIDE, REMW),
    [PVM2_REMUW] = PURE(DIVIDE, REMUW),
    [PVM2_ROLW] = PURE(SHIFTW, ROLW),
    [PVM2_RORW] = PURE(SHIFTW, RORW),
    [PVM2_ADD_UW] = PURE_BUT(ALU, ADD_UW, MAY_EXTEND, IR_ZEXT_W),
    [PVM2_SH1ADD_UW] = PURE(ALU, SH1ADD_UW),
    [PVM2_SH2ADD_UW] = PURE(ALU, SH2ADD_UW),
    [PVM2_SH3ADD_UW] = PURE(ALU, SH3ADD_UW),
    [PVM2_CLZ] = PURE(UNARY, CLZ),
    [PVM2_CTZ] = PURE(GAS(2, 1, NONE), CTZ),
    [PVM2_CPOP] = PURE(UNARY, CPOP),
    [PVM2_SEXT_B] = PURE(UNARY, SEXT_B),
    [PVM2_SEXT_H] = PURE(UNARY, SEXT_H),
    [PVM2_ORC_B] = PURE(UNARY, ORC_B),
    [PVM2_REV8] = PURE(UNARY, REV8),
    [PVM2_CLZW] = PURE(UNARY, CLZW),
    [PVM2_CTZW] = PURE(GAS(2, 1, NONE), CTZW),
    [PVM2_CPOPW] = PURE(UNARY, CPOPW),
    [PVM2_ZEXT_H] = PURE(UNARY, ZEXT_H),
    [PVM2_RORI] = PURE(ALU_I, RORI),
    [PVM2_RORIW] = PURE(ALU_IW, RORIW),
    [PVM2_SLLI_UW] = PURE(ALU_I, SLLI_UW),
    [PVM2_BCLRI] = PURE_BUT(ALU_I, ANDI, NOT_BIT, IR_ZERO),
    [PVM2_BEXTI] = PURE(ALU_I, BEXTI),
    [PVM2_BINVI] = PURE_BUT(ALU_I, XORI, BIT, IR_ZERO),
    [PVM2_BSETI] = PURE_BUT(ALU_I, ORI, BIT, IR_ZERO),
    [PVM2_FENCE] = NOTHING(GAS(1, 1, NONE), 0),
    [PVM2_FENCE_I] = NOTHING(GAS(1, 1, NONE), 0),
    [PVM2_TRAP] = CONTROL(OTHER, TRAP, PLAIN),
    [PVM2_ECALL_JAR] = CALL(ECALL_JAR),
    [PVM2_ECALLI] = CALL(ECALLI),
    [PVM2_FALLTHROUGH] = NOTHING(OTHER, 1),
    [PVM2_RESERVED] = CONTROL(OTHER, RESERVED, PLAIN),
    [FAST_ADDI] = PURE(ALU_I, ADDI),
    [FAST_ADD] = PURE(ALU, ADD),
    [FAST_MOVE] = PURE(ALU, MOVE),
    [FAST_LI] = PURE(ALU_I, LI),
};
/* clang-format on */

/* ---- lowering --------------------------------------------------------------------------- */

static int32_t target_of(uint64_t offset, int64_t distance, uint64_t code_len)
{
    uint64_t target = offset + (uint64_t)distance;
    return target < code_len ? (int32_t)target : IR_NO_TARGET;
}

/* The registers and the immediate are in place. Returns true, for the sake of a tail call. */
static bool finish(const struct op_row *row, uint64_t offset, uint64_t code_len,
                   struct ir_step *step)
{
    struct ir_insn *insn = &step->insn;
    int64_t imm = insn->imm;
    switch (row->special) {
    case IMM_MAY_MOVE:
        if (insn->ra == IR_ZERO)
            insn->op = IR_LI;
        else if (imm == 0 && insn->rd != insn->ra)
            insn->op = IR_MOVE;
        break;
    case MAY_MOVE:
        if (insn->ra == IR_ZERO) {
            insn->op = IR_MOVE;
            insn->ra = insn->rb;
            insn->rb = IR_ZERO;
            step->row.src1 = step->row.src2;
            step->row.src2 = GAS_NONE;
        } else if (insn->rb == IR_ZERO) {
            insn->op = IR_MOVE;
        }
        break;
    case MAY_EXTEND:
        if (insn->rb == IR_ZERO && imm == 0)
            insn->op = row->other;
        break;
    case AT_PC:
        insn->imm += (int64_t)(JAVM_CODE_BASE + offset);
        break;
    case BIT:
        insn->imm = (int64_t)(UINT64_C(1) << imm);
        break;
    case NOT_BIT:
        insn->imm = (int64_t) ~(UINT64_C(1) << imm);
        break;
    case BRANCHES:
        insn->lo = 0;
        insn->hi = target_of(offset, imm, code_len);
        break;
    case JUMPS:
        if (insn->rd == IR_ZERO)
            insn->op = IR_JUMP;
        insn->lo = (int32_t)(JAVM_CODE_BASE + offset + step->len);
        insn->hi = target_of(offset, imm, code_len);
        break;
    case JUMPS_BY_REGISTER:
        if (insn->rd == IR_ZERO)
            insn->rd = row->other;
        step->row.dst = GAS_NONE;
        insn->lo = (int32_t)imm;
        insn->hi = (int32_t)(JAVM_CODE_BASE + offset + step->len);
        break;
    default:
        break;
    }
    return true;
}

/* ---- any instruction -------------------------------------------------------------------- */

/* x register -> slot; x0 reads as zero, and is no register to the gas pipeline. */
static const uint8_t slot_of[16] = {IR_ZERO, 0, 1, 13, 14, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
_Static_assert(IR_ZERO == GAS_NONE, "x0 must be no register to the pipeline");

/* x3 and x4 live in memory: each operand that names one pays for an access (9.4, [D13]). */
static uint8_t with_spills(uint32_t cycles, const struct pvm2_insn *insn, uint32_t memory_cycles)
{
    uint8_t rd = insn->op == PVM2_JALR ? 0 : insn->rd; /* of jalr it does not count */
    uint32_t spilled = (uint32_t)((rd == 3 || rd == 4) + (insn->rs1 == 3 || insn->rs1 == 4) +
                                  (insn->rs2 == 3 || insn->rs2 == 4));
    uint32_t extra = spilled * memory_cycles;
    cycles += extra > 255 ? 255 : extra;
    return (uint8_t)(cycles > 255 ? 255 : cycles);
}

void pvm2_step_of(const struct pvm2_insn *insn, uint64_t offset, uint64_t code_len,
                  uint32_t memory_cycles, struct ir_step *step)
{
    const struct op_row *row = &op_rows[insn->op];
    bool overlap = insn->rd != 0 && ((insn->rd == insn->rs1 && (row->gas.overlap & RS1) != 0) ||
                                     (insn->rd == insn->rs2 && row->gas.overlap == ANY));
    uint32_t cycles = row->gas.cycles + (memory_cycles & row->gas.memory);
    step->row = (struct gas_row){.dst = slot_of[insn->rd],
                                 .src1 = slot_of[insn->rs1],
                                 .src2 = slot_of[insn->rs2],
                                 .cycles = with_spills(cycles, insn, memory_cycles),
                                 .slots = (uint8_t)(row->gas.slots - overlap)};
    step->len = insn->len;
    step->executes = row->executes && (insn->rd != 0 || !row->pure);
    step->terminator = row->terminator;
    step->ecall = row->ecall;
    step->store = row->store;
    step->anywhere = row->special < AT_PC;
    step->insn = (struct ir_insn){.op = row->op,
                                  .rd = insn->rd != 0 ? slot_of[insn->rd] : row->other,
                                  .ra = slot_of[insn->rs1],
                                  .rb = slot_of[insn->rs2],
                                  .len = insn->len,
                                  .imm = insn->imm};
    finish(row, offset, code_len, step);
}

static bool next_unusual(const uint8_t *code, uint64_t len, uint64_t offset, uint32_t memory_cycles,
                         struct ir_step *step)
{
    struct pvm2_insn insn;
    if (!pvm2_decode(code, len, offset, &insn))
        return false;
    pvm2_step_of(&insn, offset, len, memory_cycles, step);
    return true;
}

/* ---- the usual instruction -------------------------------------------------------------- */

/* Three registers and a neighbour, stored as one word: single bytes would cost more than the rest.
 */
_Static_assert(offsetof(struct ir_insn, rd) == 4 && offsetof(struct ir_insn, ra) == 5 &&
                   offsetof(struct ir_insn, rb) == 6 && offsetof(struct ir_insn, len) == 7,
               "written as a word");
_Static_assert(offsetof(struct gas_row, dst) == 0 && offsetof(struct gas_row, src1) == 1 &&
                   offsetof(struct gas_row, src2) == 2 && offsetof(struct gas_row, cycles) == 3,
               "written as a word");

/* The immediate is in place. */
static inline bool step_usual(const struct pvm2_fast *fast, uint32_t len, uint64_t offset,
                              uint64_t code_len, uint32_t memory_cycles, struct ir_step *step)
{
    const struct op_row *row = &op_rows[fast->op];
    /* Zero bytes where rd is an operand; the addition sets bit 7 of the others. */
    uint32_t differ = (fast->slots ^ (fast->slots & 0xFF) * 0x010100) + 0x7F7F00;
    bool overlap = (differ & row->gas.overlap) != row->gas.overlap;
    uint32_t cycles = row->gas.cycles + (memory_cycles & row->gas.memory);
    uint32_t sources = fast->slots | cycles << 24;
    memcpy(&step->row, &sources, sizeof sources);
    step->row.slots = (uint8_t)(row->gas.slots - overlap);

    uint64_t insn = row->op | (uint64_t)(fast->slots | len << 24) << 32;
    memcpy(&step->insn, &insn, sizeof insn);
    step->len = (uint8_t)len;
    step->executes = row->executes;
    step->terminator = row->terminator;
    step->ecall = row->ecall;
    step->store = row->store;
    step->anywhere = row->special < AT_PC;
    return row->special == PLAIN || finish(row, offset, code_len, step);
}

bool pvm2_next(const uint8_t *code, uint64_t len, uint64_t offset, uint32_t memory_cycles,
               struct ir_step *step)
{
    if (offset >= len || len - offset < 4)
        return next_unusual(code, len, offset, memory_cycles, step);
    struct pvm2_fast fast;
    uint32_t word;
    memcpy(&word, code + offset, sizeof word);
    bool is_long = (word & 3) == 3;
    if (!(is_long ? fast_decode32(word, &fast, &step->insn.imm)
                  : fast_decode16(word & 0xFFFF, &fast, &step->insn.imm)))
        return next_unusual(code, len, offset, memory_cycles, step);
    return step_usual(&fast, is_long ? 4 : 2, offset, len, memory_cycles, step);
}
