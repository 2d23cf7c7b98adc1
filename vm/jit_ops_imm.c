/* Machine code of the operations that only PVM has: conditional moves, an immediate as the first
 * operand, comparisons the other way round. */
#include "vm/jit_compile.h"

static void conditional_move(struct x64 *e, enum x64_cond cond, unsigned d, unsigned value,
                             unsigned tested)
{
    x64_test(e, true, tested, tested);
    x64_cmov(e, cond, d, value);
}

static void set_above(struct x64 *e, bool is_signed, unsigned d, unsigned a, int64_t imm)
{
    const enum x64_cond cond = is_signed ? X64_G : X64_A;
    if (d != a)
        x64_zero(e, d);
    jit_compare_imm(e, a, imm);
    if (d != a)
        x64_setcc(e, cond, d);
    else
        jit_set_flag(e, cond, d);
}

static void multiply(struct x64 *e, bool w, unsigned d, unsigned a, int64_t imm)
{
    if (imm == 3 || imm == 5 || imm == 9) {
        x64_lea_index(e, w, d, a, a, imm == 3 ? 1 : imm == 5 ? 2 : 3);
    } else {
        x64_rr(e, w, 0x69, d, a);
        x64_put32(e, (uint32_t)imm);
    }
    if (!w)
        x64_movsxd(e, d, d);
}

/* d = imm - a */
static void subtract_from(struct x64 *e, bool w, unsigned d, unsigned a, int64_t imm)
{
    if (d == a) {
        x64_neg(e, w, d);
        x64_alu_imm(e, w, X64_ADD, d, (int32_t)imm);
    } else {
        x64_mov_imm(e, d, (uint64_t)imm);
        x64_alu(e, w, X64_SUB, d, a);
    }
    if (!w)
        x64_movsxd(e, d, d);
}

/* d = imm shifted by a */
static void shift_of_imm(struct x64 *e, bool w, enum x64_shift op, unsigned d, unsigned a,
                         int64_t imm)
{
    x64_mov(e, false, HOST_TEMP, a);
    x64_mov_imm(e, d, (uint64_t)imm);
    x64_shift_cl(e, w, op, d);
    if (!w)
        x64_movsxd(e, d, d);
}

void jit_emit_imm(struct jit_compiler *c, const struct ir_insn *insn, unsigned d, unsigned a,
                  unsigned b)
{
    struct x64 *e = &c->e;
    const uint16_t op = insn->op;
    const int64_t imm = insn->imm;
    switch (op) {
    case IR_CMOV_EQZ:
    case IR_CMOV_NEZ:
        conditional_move(e, op == IR_CMOV_EQZ ? X64_E : X64_NE, d, a, b);
        break;
    case IR_CMOVI_EQZ:
    case IR_CMOVI_NEZ:
        x64_mov_imm(e, HOST_TEMP, (uint64_t)imm);
        conditional_move(e, op == IR_CMOVI_EQZ ? X64_E : X64_NE, d, HOST_TEMP, a);
        break;
    case IR_SGTI:
    case IR_SGTIU:
        set_above(e, op == IR_SGTI, d, a, imm);
        break;
    case IR_MULI:
    case IR_MULIW:
        multiply(e, op == IR_MULI, d, a, imm);
        break;
    case IR_ISUB:
    case IR_ISUBW:
        subtract_from(e, op == IR_ISUB, d, a, imm);
        break;
    case IR_ISLL:
    case IR_ISLLW:
        shift_of_imm(e, op == IR_ISLL, X64_SHL, d, a, imm);
        break;
    case IR_ISRL:
    case IR_ISRLW:
        shift_of_imm(e, op == IR_ISRL, X64_SHR, d, a, imm);
        break;
    case IR_ISRA:
    case IR_ISRAW:
        shift_of_imm(e, op == IR_ISRA, X64_SAR, d, a, imm);
        break;
    default: /* IROR, IRORW */
        shift_of_imm(e, op == IR_IROR, X64_ROR, d, a, imm);
        break;
    }
}
