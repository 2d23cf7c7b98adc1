#include "vm/lower_pvm2.h"

#include <string.h>

/* x register -> slot; x0 reads as zero. x16.. never get here. */
static const uint8_t slot_of[16] = {IR_ZERO, 0, 1, 13, 14, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};

/* ---- gas -------------------------------------------------------------------------------- */

enum { RULE_NONE, RULE_ANY, RULE_RS1 };
enum { S1 = 1, S2 = 2, D = 4, MEM = 8 };

struct cost {
    uint8_t cycles, slots_overlap, slots, rule, operands;
};

#define OPS(c, lo, hi, rule, operands) \
    {                                  \
        c, lo, hi, rule, operands      \
    }
#define ALU_I  OPS(1, 1, 2, RULE_ANY, S1 | D)
#define ALU_IW OPS(2, 2, 3, RULE_ANY, S1 | D)
#define ALU    OPS(1, 1, 2, RULE_ANY, S1 | S2 | D)
#define ALUW   OPS(2, 2, 3, RULE_ANY, S1 | S2 | D)
#define SHIFT  OPS(1, 2, 3, RULE_RS1, S1 | S2 | D)
#define SHIFTW OPS(2, 3, 4, RULE_RS1, S1 | S2 | D)
#define SET    OPS(3, 3, 3, RULE_NONE, S1 | S2 | D)
#define DIVIDE OPS(60, 4, 4, RULE_NONE, S1 | S2 | D)
#define UNARY  OPS(1, 1, 1, RULE_NONE, S1 | D)
#define MINMAX OPS(3, 2, 3, RULE_ANY, S1 | S2 | D)
#define LOAD   OPS(0, 1, 1, RULE_NONE, S1 | D | MEM)
#define STORE  OPS(0, 1, 1, RULE_NONE, S1 | S2 | MEM)
#define BRANCH OPS(20, 1, 1, RULE_NONE, S1 | S2)
#define OTHER  OPS(2, 1, 1, RULE_NONE, 0)

/* PVM2 9.3, row by row. */
static const struct cost costs[PVM2_OP_COUNT] = {
    [PVM2_LB] = LOAD,
    [PVM2_LH] = LOAD,
    [PVM2_LW] = LOAD,
    [PVM2_LD] = LOAD,
    [PVM2_LBU] = LOAD,
    [PVM2_LHU] = LOAD,
    [PVM2_LWU] = LOAD,
    [PVM2_SB] = STORE,
    [PVM2_SH] = STORE,
    [PVM2_SW] = STORE,
    [PVM2_SD] = STORE,
    [PVM2_LUI] = OPS(1, 2, 2, RULE_NONE, D),
    [PVM2_AUIPC] = OPS(1, 2, 2, RULE_NONE, D),
    [PVM2_ADDI] = ALU_I,
    [PVM2_SLTI] = ALU_I,
    [PVM2_SLTIU] = ALU_I,
    [PVM2_XORI] = ALU_I,
    [PVM2_ORI] = ALU_I,
    [PVM2_ANDI] = ALU_I,
    [PVM2_SLLI] = ALU_I,
    [PVM2_SRLI] = ALU_I,
    [PVM2_SRAI] = ALU_I,
    [PVM2_RORI] = ALU_I,
    [PVM2_SLLI_UW] = ALU_I,
    [PVM2_BSETI] = ALU_I,
    [PVM2_BCLRI] = ALU_I,
    [PVM2_BINVI] = ALU_I,
    [PVM2_BEXTI] = ALU_I,
    [PVM2_ADDIW] = ALU_IW,
    [PVM2_SLLIW] = ALU_IW,
    [PVM2_SRLIW] = ALU_IW,
    [PVM2_SRAIW] = ALU_IW,
    [PVM2_RORIW] = ALU_IW,
    [PVM2_ADD] = ALU,
    [PVM2_SUB] = ALU,
    [PVM2_AND] = ALU,
    [PVM2_OR] = ALU,
    [PVM2_XOR] = ALU,
    [PVM2_SH1ADD] = ALU,
    [PVM2_SH2ADD] = ALU,
    [PVM2_SH3ADD] = ALU,
    [PVM2_SH1ADD_UW] = ALU,
    [PVM2_SH2ADD_UW] = ALU,
    [PVM2_SH3ADD_UW] = ALU,
    [PVM2_ADD_UW] = ALU,
    [PVM2_BSET] = ALU,
    [PVM2_BCLR] = ALU,
    [PVM2_BINV] = ALU,
    [PVM2_BEXT] = ALU,
    [PVM2_SLL] = SHIFT,
    [PVM2_SRL] = SHIFT,
    [PVM2_SRA] = SHIFT,
    [PVM2_ROL] = SHIFT,
    [PVM2_ROR] = SHIFT,
    [PVM2_SLT] = SET,
    [PVM2_SLTU] = SET,
    [PVM2_ADDW] = ALUW,
    [PVM2_SUBW] = ALUW,
    [PVM2_SLLW] = SHIFTW,
    [PVM2_SRLW] = SHIFTW,
    [PVM2_SRAW] = SHIFTW,
    [PVM2_ROLW] = SHIFTW,
    [PVM2_RORW] = SHIFTW,
    [PVM2_MUL] = OPS(3, 1, 2, RULE_ANY, S1 | S2 | D),
    [PVM2_MULW] = OPS(4, 2, 3, RULE_ANY, S1 | S2 | D),
    [PVM2_MULH] = OPS(4, 4, 4, RULE_NONE, S1 | S2 | D),
    [PVM2_MULHU] = OPS(4, 4, 4, RULE_NONE, S1 | S2 | D),
    [PVM2_MULHSU] = OPS(6, 4, 4, RULE_NONE, S1 | S2 | D),
    [PVM2_DIV] = DIVIDE,
    [PVM2_DIVU] = DIVIDE,
    [PVM2_REM] = DIVIDE,
    [PVM2_REMU] = DIVIDE,
    [PVM2_DIVW] = DIVIDE,
    [PVM2_DIVUW] = DIVIDE,
    [PVM2_REMW] = DIVIDE,
    [PVM2_REMUW] = DIVIDE,
    [PVM2_CLZ] = UNARY,
    [PVM2_CLZW] = UNARY,
    [PVM2_CPOP] = UNARY,
    [PVM2_CPOPW] = UNARY,
    [PVM2_SEXT_B] = UNARY,
    [PVM2_SEXT_H] = UNARY,
    [PVM2_ZEXT_H] = UNARY,
    [PVM2_REV8] = UNARY,
    [PVM2_ORC_B] = UNARY,
    [PVM2_CTZ] = OPS(2, 1, 1, RULE_NONE, S1 | D),
    [PVM2_CTZW] = OPS(2, 1, 1, RULE_NONE, S1 | D),
    [PVM2_MIN] = MINMAX,
    [PVM2_MINU] = MINMAX,
    [PVM2_MAX] = MINMAX,
    [PVM2_MAXU] = MINMAX,
    [PVM2_ANDN] = OPS(2, 3, 3, RULE_NONE, S1 | S2 | D),
    [PVM2_ORN] = OPS(2, 3, 3, RULE_NONE, S1 | S2 | D),
    [PVM2_XNOR] = ALUW,
    [PVM2_CZERO_EQZ] = OPS(2, 2, 2, RULE_NONE, S1 | S2 | D),
    [PVM2_CZERO_NEZ] = OPS(2, 2, 2, RULE_NONE, S1 | S2 | D),
    [PVM2_JAL] = OPS(15, 1, 1, RULE_NONE, D),
    [PVM2_JALR] = OPS(22, 1, 1, RULE_NONE, S1),
    [PVM2_BEQ] = BRANCH,
    [PVM2_BNE] = BRANCH,
    [PVM2_BLT] = BRANCH,
    [PVM2_BGE] = BRANCH,
    [PVM2_BLTU] = BRANCH,
    [PVM2_BGEU] = BRANCH,
    [PVM2_FENCE] = OPS(1, 1, 1, RULE_NONE, 0),
    [PVM2_FENCE_I] = OPS(1, 1, 1, RULE_NONE, 0),
    [PVM2_TRAP] = OTHER,
    [PVM2_FALLTHROUGH] = OTHER,
    [PVM2_RESERVED] = OTHER,
};

struct gas_row pvm2_gas_row(const struct pvm2_insn *insn, uint32_t memory_cycles)
{
    const struct cost *c = &costs[insn->op];
    uint8_t s1 = c->operands & S1 ? insn->rs1 : 0;
    uint8_t s2 = c->operands & S2 ? insn->rs2 : 0;
    uint8_t d = c->operands & D ? insn->rd : 0;
    bool overlap = d != 0 && c->rule != RULE_NONE && (d == s1 || (c->rule == RULE_ANY && d == s2));
    /* x3 and x4 live in memory: each operand that names one pays for an access (9.4, [D13]). */
    uint32_t spilled = (uint32_t)((s1 == 3 || s1 == 4) + (s2 == 3 || s2 == 4) + (d == 3 || d == 4));
    uint32_t extra = spilled * memory_cycles;
    uint32_t base = c->operands & MEM ? memory_cycles : c->cycles;
    uint32_t cycles = base + (extra > 255 ? 255 : extra);
    /* slot_of[0] is IR_ZERO, which is also the pipeline's "no register". */
    _Static_assert(IR_ZERO == GAS_NONE, "x0 must be no register to the pipeline");
    return (struct gas_row){.cycles = (uint8_t)(cycles > 255 ? 255 : cycles),
                            .slots = overlap ? c->slots_overlap : c->slots,
                            .src1 = slot_of[s1],
                            .src2 = slot_of[s2],
                            .dst = slot_of[d]};
}

/* ---- lowering --------------------------------------------------------------------------- */

/* Operations that keep their operands; the others are handled one by one below. 0 is IR_ADD, whose
 * own PVM2 operation is one of the special ones, so 0 also says "special". */
static const uint8_t same[PVM2_OP_COUNT] = {
    [PVM2_SUB] = IR_SUB,
    [PVM2_SLL] = IR_SLL,
    [PVM2_SLT] = IR_SLT,
    [PVM2_SLTU] = IR_SLTU,
    [PVM2_XOR] = IR_XOR,
    [PVM2_SRL] = IR_SRL,
    [PVM2_SRA] = IR_SRA,
    [PVM2_OR] = IR_OR,
    [PVM2_AND] = IR_AND,
    [PVM2_MUL] = IR_MUL,
    [PVM2_MULH] = IR_MULH,
    [PVM2_MULHSU] = IR_MULHSU,
    [PVM2_MULHU] = IR_MULHU,
    [PVM2_DIV] = IR_DIV,
    [PVM2_DIVU] = IR_DIVU,
    [PVM2_REM] = IR_REM,
    [PVM2_REMU] = IR_REMU,
    [PVM2_ANDN] = IR_ANDN,
    [PVM2_ORN] = IR_ORN,
    [PVM2_XNOR] = IR_XNOR,
    [PVM2_MIN] = IR_MIN,
    [PVM2_MINU] = IR_MINU,
    [PVM2_MAX] = IR_MAX,
    [PVM2_MAXU] = IR_MAXU,
    [PVM2_ROL] = IR_ROL,
    [PVM2_ROR] = IR_ROR,
    [PVM2_SH1ADD] = IR_SH1ADD,
    [PVM2_SH2ADD] = IR_SH2ADD,
    [PVM2_SH3ADD] = IR_SH3ADD,
    [PVM2_BCLR] = IR_BCLR,
    [PVM2_BEXT] = IR_BEXT,
    [PVM2_BINV] = IR_BINV,
    [PVM2_BSET] = IR_BSET,
    [PVM2_CZERO_EQZ] = IR_CZERO_EQZ,
    [PVM2_CZERO_NEZ] = IR_CZERO_NEZ,
    [PVM2_ADDW] = IR_ADDW,
    [PVM2_SUBW] = IR_SUBW,
    [PVM2_SLLW] = IR_SLLW,
    [PVM2_SRLW] = IR_SRLW,
    [PVM2_SRAW] = IR_SRAW,
    [PVM2_MULW] = IR_MULW,
    [PVM2_DIVW] = IR_DIVW,
    [PVM2_DIVUW] = IR_DIVUW,
    [PVM2_REMW] = IR_REMW,
    [PVM2_REMUW] = IR_REMUW,
    [PVM2_ROLW] = IR_ROLW,
    [PVM2_RORW] = IR_RORW,
    [PVM2_SH1ADD_UW] = IR_SH1ADD_UW,
    [PVM2_SH2ADD_UW] = IR_SH2ADD_UW,
    [PVM2_SH3ADD_UW] = IR_SH3ADD_UW,
    [PVM2_CLZ] = IR_CLZ,
    [PVM2_CTZ] = IR_CTZ,
    [PVM2_CPOP] = IR_CPOP,
    [PVM2_SEXT_B] = IR_SEXT_B,
    [PVM2_SEXT_H] = IR_SEXT_H,
    [PVM2_ORC_B] = IR_ORC_B,
    [PVM2_REV8] = IR_REV8,
    [PVM2_CLZW] = IR_CLZW,
    [PVM2_CTZW] = IR_CTZW,
    [PVM2_CPOPW] = IR_CPOPW,
    [PVM2_ZEXT_H] = IR_ZEXT_H,
    [PVM2_SLTI] = IR_SLTI,
    [PVM2_SLTIU] = IR_SLTIU,
    [PVM2_XORI] = IR_XORI,
    [PVM2_ORI] = IR_ORI,
    [PVM2_ANDI] = IR_ANDI,
    [PVM2_SLLI] = IR_SLLI,
    [PVM2_SRLI] = IR_SRLI,
    [PVM2_SRAI] = IR_SRAI,
    [PVM2_RORI] = IR_RORI,
    [PVM2_BEXTI] = IR_BEXTI,
    [PVM2_SLLIW] = IR_SLLIW,
    [PVM2_SRLIW] = IR_SRLIW,
    [PVM2_SRAIW] = IR_SRAIW,
    [PVM2_RORIW] = IR_RORIW,
    [PVM2_SLLI_UW] = IR_SLLI_UW,
    [PVM2_LB] = IR_LB,
    [PVM2_LH] = IR_LH,
    [PVM2_LW] = IR_LW,
    [PVM2_LD] = IR_LD,
    [PVM2_LBU] = IR_LBU,
    [PVM2_LHU] = IR_LHU,
    [PVM2_LWU] = IR_LWU,
    [PVM2_SB] = IR_SB,
    [PVM2_SH] = IR_SH,
    [PVM2_SW] = IR_SW,
    [PVM2_SD] = IR_SD,
    [PVM2_BEQ] = IR_BEQ,
    [PVM2_BNE] = IR_BNE,
    [PVM2_BLT] = IR_BLT,
    [PVM2_BGE] = IR_BGE,
    [PVM2_BLTU] = IR_BLTU,
    [PVM2_BGEU] = IR_BGEU,
    [PVM2_TRAP] = IR_TRAP,
    [PVM2_RESERVED] = IR_RESERVED,
    [PVM2_ECALLI] = IR_ECALLI,
    [PVM2_ECALL_JAR] = IR_ECALL_JAR,
};

static int32_t target_of(uint64_t offset, int32_t distance, uint64_t code_len)
{
    uint64_t target = offset + (uint64_t)(int64_t)distance;
    return target < code_len ? (int32_t)target : IR_NO_TARGET;
}

static void load_immediate(struct ir_insn *out, int64_t value)
{
    out->op = IR_LI;
    out->imm = value;
}

bool pvm2_lower(const struct pvm2_insn *insn, uint64_t offset, uint64_t code_len,
                struct ir_insn *out)
{
    *out = (struct ir_insn){.op = same[insn->op],
                            .rd = slot_of[insn->rd],
                            .ra = slot_of[insn->rs1],
                            .rb = slot_of[insn->rs2],
                            .len = insn->len,
                            .imm = insn->imm};
    switch (insn->op) {
    case PVM2_LUI:
        load_immediate(out, insn->imm);
        break;
    case PVM2_AUIPC:
        load_immediate(out, (int64_t)(JAVM_CODE_BASE + offset) + insn->imm);
        break;
    case PVM2_ADDI:
        if (insn->rs1 == 0)
            load_immediate(out, insn->imm);
        else
            out->op = insn->imm == 0 ? IR_MOVE : IR_ADDI;
        break;
    case PVM2_ADDIW:
        out->op = insn->imm == 0 ? IR_SEXT_W : IR_ADDIW;
        break;
    case PVM2_ADD:
        if (insn->rs1 == 0 || insn->rs2 == 0) {
            out->op = IR_MOVE;
            out->ra = slot_of[insn->rs1 | insn->rs2];
        } else {
            out->op = IR_ADD;
        }
        break;
    case PVM2_ADD_UW:
        out->op = insn->rs2 == 0 ? IR_ZEXT_W : IR_ADD_UW;
        break;
    case PVM2_BSETI:
        out->op = IR_ORI;
        out->imm = (int64_t)(UINT64_C(1) << insn->imm);
        break;
    case PVM2_BINVI:
        out->op = IR_XORI;
        out->imm = (int64_t)(UINT64_C(1) << insn->imm);
        break;
    case PVM2_BCLRI:
        out->op = IR_ANDI;
        out->imm = (int64_t) ~(UINT64_C(1) << insn->imm);
        break;
    case PVM2_JAL:
        out->op = insn->rd == 0 ? IR_JUMP : IR_JAL;
        out->lo = (int32_t)(JAVM_CODE_BASE + offset + insn->len);
        out->hi = target_of(offset, insn->imm, code_len);
        return true;
    case PVM2_JALR:
        out->op = IR_JALR;
        if (insn->rd == 0)
            out->rd = IR_SINK;
        out->lo = insn->imm;
        out->hi = (int32_t)(JAVM_CODE_BASE + offset + insn->len);
        return true;
    case PVM2_BEQ:
    case PVM2_BNE:
    case PVM2_BLT:
    case PVM2_BGE:
    case PVM2_BLTU:
    case PVM2_BGEU:
        out->lo = 0;
        out->hi = target_of(offset, insn->imm, code_len);
        return true;
    case PVM2_LB:
    case PVM2_LH:
    case PVM2_LW:
    case PVM2_LD:
    case PVM2_LBU:
    case PVM2_LHU:
    case PVM2_LWU:
        if (insn->rd == 0)
            out->rd = IR_SINK;
        return true;
    case PVM2_SB:
    case PVM2_SH:
    case PVM2_SW:
    case PVM2_SD:
    case PVM2_TRAP:
    case PVM2_RESERVED:
    case PVM2_ECALLI:
    case PVM2_ECALL_JAR:
        return true;
    case PVM2_FENCE:
    case PVM2_FENCE_I:
    case PVM2_FALLTHROUGH:
        return false;
    default:
        break;
    }
    return insn->rd != 0; /* a pure result into x0 is nothing */
}
