/* Machine code of two neighbours that are compiled as one. */
#include "vm/jit_emit.h"

/* The first one's result is read by the second one and overwritten by it, so it is never seen. */
static bool only_feeds(const struct ir_insn *insn, const struct ir_insn *next)
{
    return next->ra == insn->rd && next->rd == insn->rd;
}

/* slli+srli, slli+srai, by the same amount: a narrow value extended. */
static bool fuse_extension(struct jit_compiler *c, const struct ir_insn *insn,
                           const struct ir_insn *next)
{
    if (insn->op != IR_SLLI || (next->op != IR_SRLI && next->op != IR_SRAI) ||
        !only_feeds(insn, next) || insn->imm != next->imm)
        return false;
    const bool is_signed = next->op == IR_SRAI;
    const unsigned d = jit_host_reg[insn->rd], a = jit_host_reg[insn->ra];
    switch (insn->imm) {
    case 32:
        if (is_signed)
            x64_movsxd(&c->e, d, a);
        else
            x64_mov(&c->e, false, d, a);
        return true;
    case 48:
        x64_0f(&c->e, is_signed, is_signed ? 0xBF : 0xB7, d, a);
        return true;
    case 56:
        x64_0f(&c->e, is_signed, is_signed ? 0xBE : 0xB6, d, a);
        return true;
    default:
        return false;
    }
}

/* mul and mulhu of the same operands, in either order, become one mulx. */
static bool fuse_multiply(struct jit_compiler *c, const struct ir_insn *insn,
                          const struct ir_insn *next)
{
    if (!(c->features & JIT_BMI2) || insn->op + next->op != IR_MUL + IR_MULHU ||
        (insn->op != IR_MUL && insn->op != IR_MULHU))
        return false;
    const bool same = (insn->ra == next->ra && insn->rb == next->rb) ||
                      (insn->ra == next->rb && insn->rb == next->ra);
    if (!same || insn->rd == insn->ra || insn->rd == insn->rb || insn->rd == next->rd)
        return false;
    const struct ir_insn *high = insn->op == IR_MULHU ? insn : next;
    const struct ir_insn *low = high == insn ? next : insn;
    jit_mulx(&c->e, jit_host_reg[high->rd], jit_host_reg[low->rd], jit_host_reg[insn->ra],
             jit_host_reg[insn->rb]);
    return true;
}

/* add d, a, b; sltu t, d, a (or d, b): the carry. */
static bool fuse_carry(struct jit_compiler *c, const struct ir_insn *insn,
                       const struct ir_insn *next)
{
    struct x64 *e = &c->e;
    if (insn->op != IR_ADD || next->op != IR_SLTU || next->ra != insn->rd ||
        (next->rb != insn->ra && next->rb != insn->rb) || insn->rd == next->rb ||
        insn->ra == insn->rb)
        return false;
    const unsigned d = jit_host_reg[insn->rd], a = jit_host_reg[insn->ra];
    const unsigned b = jit_host_reg[insn->rb], t = jit_host_reg[next->rd];
    if (t != d && t != a && t != b) {
        x64_zero(e, t);
        jit_commutative(e, X64_ADD, true, d, a, b);
        x64_setcc(e, X64_B, t);
    } else {
        jit_commutative(e, X64_ADD, true, d, a, b);
        jit_set_flag(e, X64_B, t);
    }
    return true;
}

/* lui+addi and the like. */
static bool fuse_constant(struct jit_compiler *c, const struct ir_insn *insn,
                          const struct ir_insn *next)
{
    if (insn->op != IR_LI || (next->op != IR_ADDI && next->op != IR_ADDIW) ||
        !only_feeds(insn, next))
        return false;
    x64_mov_imm(&c->e, jit_host_reg[insn->rd], ir_eval(next, 0, (uint64_t)insn->imm, 0));
    return true;
}

bool jit_scaled_sum(const struct ir_insn *insn, const struct ir_insn *next, struct ir_insn *sum)
{
    if (insn->op != IR_SLLI || next->op != IR_ADD || !only_feeds(insn, next) ||
        next->rb == insn->rd || insn->imm < 1 || insn->imm > 3)
        return false;
    *sum = *next;
    sum->op = (uint16_t)(IR_SH1ADD + insn->imm - 1);
    sum->ra = insn->ra;
    return true;
}

static bool fuses_address(const struct ir_insn *insn, const struct ir_insn *next)
{
    const bool sums = insn->op == IR_ADD || (insn->op >= IR_SH1ADD && insn->op <= IR_SH3ADD);
    return sums && ir_shape_of(next->op) == IR_LOAD && only_feeds(insn, next) &&
           jit_all_hot(insn) && jit_all_hot(next);
}

static bool fuse_address(struct jit_compiler *c, const struct ir_insn *insn,
                         const struct ir_insn *next)
{
    if (!fuses_address(insn, next))
        return false;
    struct jit_address at = {.base = jit_host_reg[insn->rb],
                             .index = jit_host_reg[insn->ra],
                             .scale = insn->op == IR_ADD ? 0 : (unsigned)(insn->op - IR_SH1ADD) + 1,
                             .indexed = true,
                             .disp = (int32_t)next->imm};
    if (at.scale == 0 && (at.base & 7) == 5 && at.disp == 0) {
        const unsigned other = at.index;
        at.index = at.base;
        at.base = other;
    }
    jit_load(c, next->op, jit_host_reg[next->rd], &at, c->pc);
    return true;
}

bool jit_emit_pair(struct jit_compiler *c, const struct ir_insn *insn, const struct ir_insn *next)
{
    return fuse_constant(c, insn, next) || fuse_address(c, insn, next) ||
           fuse_extension(c, insn, next) || fuse_multiply(c, insn, next) ||
           fuse_carry(c, insn, next);
}

const uint8_t jit_pairs_first[IR_OP_COUNT] = {
    [IR_LI] = JIT_PAIR_CONSTANT | JIT_PAIR_FAR_JUMP,
    [IR_ADD] = JIT_PAIR_ADDRESS | JIT_PAIR_CARRY,
    [IR_SH1ADD] = JIT_PAIR_ADDRESS,
    [IR_SH2ADD] = JIT_PAIR_ADDRESS,
    [IR_SH3ADD] = JIT_PAIR_ADDRESS,
    [IR_SLLI] = JIT_PAIR_SHIFT,
    [IR_MUL] = JIT_PAIR_LOW_HIGH,
    [IR_MULHU] = JIT_PAIR_HIGH_LOW,
    [IR_SLT] = JIT_PAIR_BRANCH,
    [IR_SLTU] = JIT_PAIR_BRANCH,
    [IR_SLTI] = JIT_PAIR_BRANCH,
    [IR_SLTIU] = JIT_PAIR_BRANCH,
};
const uint8_t jit_pairs_second[IR_OP_COUNT] = {
    [IR_ADDI] = JIT_PAIR_CONSTANT,  [IR_ADDIW] = JIT_PAIR_CONSTANT, [IR_LB] = JIT_PAIR_ADDRESS,
    [IR_LH] = JIT_PAIR_ADDRESS,     [IR_LW] = JIT_PAIR_ADDRESS,     [IR_LD] = JIT_PAIR_ADDRESS,
    [IR_LBU] = JIT_PAIR_ADDRESS,    [IR_LHU] = JIT_PAIR_ADDRESS,    [IR_LWU] = JIT_PAIR_ADDRESS,
    [IR_SRLI] = JIT_PAIR_SHIFT,     [IR_SRAI] = JIT_PAIR_SHIFT,     [IR_ADD] = JIT_PAIR_SHIFT,
    [IR_MULHU] = JIT_PAIR_LOW_HIGH, [IR_MUL] = JIT_PAIR_HIGH_LOW,   [IR_SLTU] = JIT_PAIR_CARRY,
    [IR_JALR] = JIT_PAIR_FAR_JUMP,  [IR_BEQ] = JIT_PAIR_BRANCH,     [IR_BNE] = JIT_PAIR_BRANCH,
    [IR_BEQI] = JIT_PAIR_BRANCH,    [IR_BNEI] = JIT_PAIR_BRANCH,
};
