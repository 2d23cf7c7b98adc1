/* Machine code of single operations. Operands are machine registers here: what has none (x3, x4, x0
 * where it is not a special case, results that vanish) is staged in one around the operation.
 *
 * rcx is free at every instruction's begin and end. Flags never live from one instruction to the
 * next, except inside the pairs that are compiled together. */
#include "vm/jit_emit.h"

/* The last three stand for nothing: they keep an index in bounds. */
const uint8_t jit_host_reg[16] = {R12, RBP, R8,  R9,  R10, RBX, RSI, RDI,
                                  RAX, RDX, R11, R13, R14, RCX, RCX, RCX};

/* ---- staging ---------------------------------------------------------------------------- */

static bool is_cold(uint8_t slot)
{
    return slot >= HOT_REGS && slot != IR_ZERO;
}

static void plan_slot(struct jit_plan *plan, uint8_t slot, uint32_t *busy)
{
    static const uint8_t stand_ins[] = {RBX, RSI, R8, R9, R10, R11};
    if (slot < HOT_REGS)
        return;
    for (unsigned i = 0; i < plan->count; i++)
        if (plan->slot[i] == slot)
            return;
    unsigned pick = 0;
    while (*busy & 1u << stand_ins[pick])
        pick++;
    *busy |= 1u << stand_ins[pick];
    plan->slot[plan->count] = slot;
    plan->host[plan->count++] = stand_ins[pick];
}

/* An access that is encoded as it is, x0 too. */
static bool in_access(const struct ir_insn *insn, enum ir_shape shape)
{
    if (is_cold(insn->ra))
        return false;
    return (shape == IR_STORE && !is_cold(insn->rb)) || shape == IR_STORE_IMM ||
           (shape == IR_LOAD && insn->rd < HOT_REGS);
}

void jit_plan_of(const struct ir_insn *insn, struct jit_plan *plan)
{
    const enum ir_shape shape = ir_shape_of(insn->op);
    const uint8_t has = ir_operands[insn->op];
    const bool d = has & IR_HAS_D, a = has & IR_HAS_A, b = has & IR_HAS_B;
    uint32_t busy = 0;
    plan->count = 0;
    if (in_access(insn, shape))
        return; /* x0 is encoded in the access */
    if (d && insn->rd < HOT_REGS)
        busy |= 1u << jit_host_reg[insn->rd];
    if (a && insn->ra < HOT_REGS)
        busy |= 1u << jit_host_reg[insn->ra];
    if (b && insn->rb < HOT_REGS)
        busy |= 1u << jit_host_reg[insn->rb];
    if (a)
        plan_slot(plan, insn->ra, &busy);
    if (b)
        plan_slot(plan, insn->rb, &busy);
    if (d)
        plan_slot(plan, insn->rd, &busy);
}

static int32_t cold_at(uint8_t slot)
{
    return CONTEXT_AT(cold) + 8 * (slot - (int32_t)HOT_REGS);
}

static int32_t spill_at(unsigned i)
{
    return CONTEXT_AT(spill) + 8 * (int32_t)i;
}

static uint8_t staged(const struct jit_plan *plan, uint8_t slot)
{
    if (slot < HOT_REGS)
        return jit_host_reg[slot];
    for (unsigned i = 0; i < plan->count; i++)
        if (plan->slot[i] == slot)
            return plan->host[i];
    return HOST_TEMP; /* an operand that the operation does not have */
}

static void stage(struct x64 *e, const struct jit_plan *plan)
{
    for (unsigned i = 0; i < plan->count; i++) {
        x64_store_context(e, spill_at(i), plan->host[i]);
        x64_load_context(e, plan->host[i], cold_at(plan->slot[i]));
    }
}

/* Without touching flags. */
static void unstage(struct x64 *e, const struct jit_plan *plan, bool result, uint8_t rd)
{
    if (result && (rd == 13 || rd == 14))
        x64_store_context(e, cold_at(rd), staged(plan, rd));
    for (unsigned i = 0; i < plan->count; i++)
        x64_load_context(e, plan->host[i], spill_at(i));
}

/* ---- arithmetic ------------------------------------------------------------------------- */

void jit_commutative(struct x64 *e, enum x64_alu op, bool w, unsigned d, unsigned a, unsigned b)
{
    if (d == b) {
        x64_alu(e, w, op, d, a);
    } else {
        if (d != a)
            x64_mov(e, w, d, a);
        x64_alu(e, w, op, d, b);
    }
}

static void add(struct x64 *e, bool w, unsigned d, unsigned a, unsigned b)
{
    if (d == a || d == b)
        jit_commutative(e, X64_ADD, w, d, a, b);
    else if ((a & 7) == 5) /* rbp and r13 as a base take a displacement */
        x64_lea_index(e, w, d, b, a, 0);
    else
        x64_lea_index(e, w, d, a, b, 0);
}

static void subtract(struct x64 *e, bool w, unsigned d, unsigned a, unsigned b)
{
    if (d == b && d != a) {
        x64_neg(e, w, d);
        x64_alu(e, w, X64_ADD, d, a);
    } else {
        if (d != a)
            x64_mov(e, w, d, a);
        x64_alu(e, w, X64_SUB, d, b);
    }
}

static void shift(struct jit_compiler *c, bool w, enum x64_shift op, unsigned d, unsigned a,
                  unsigned b)
{
    struct x64 *e = &c->e;
    if (c->features & JIT_BMI2 && op != X64_ROL && op != X64_ROR) {
        const unsigned pp = op == X64_SHL ? 1 : op == X64_SAR ? 2 : 3;
        x64_vex(e, 2, pp, w, 0xF7, d, b, a);
        return;
    }
    x64_mov(e, false, HOST_TEMP, b);
    if (d != a)
        x64_mov(e, w, d, a);
    x64_shift_cl(e, w, op, d);
}

static void shift_imm(struct jit_compiler *c, bool w, enum x64_shift op, unsigned d, unsigned a,
                      unsigned n)
{
    struct x64 *e = &c->e;
    if (op == X64_ROR && d != a && c->features & JIT_BMI2) {
        x64_vex(e, 3, 3, w, 0xF0, d, 0, a);
        x64_put(e, n, 1);
        return;
    }
    if (op == X64_SHL && n == 1 && d != a) {
        x64_lea_index(e, w, d, a, a, 0);
        return;
    }
    if (d != a)
        x64_mov(e, w, d, a);
    if (n != 0)
        x64_shift_imm(e, w, op, d, n);
}

void jit_set_flag(struct x64 *e, enum x64_cond cond, unsigned d)
{
    x64_setcc(e, cond, HOST_TEMP);
    x64_movzx8(e, d, HOST_TEMP);
}

static void minimum(struct x64 *e, enum x64_cond other, unsigned d, unsigned a, unsigned b)
{
    /* `other`: how a stands to b when b is the result. */
    if (d == b) {
        x64_alu(e, true, X64_CMP, b, a);
        x64_cmov(e, other, d, a); /* b stands so to a: a is the result */
    } else {
        if (d != a)
            x64_mov(e, true, d, a);
        x64_alu(e, true, X64_CMP, a, b);
        x64_cmov(e, other, d, b);
    }
}

static void bit(struct x64 *e, unsigned op, unsigned d, unsigned a, unsigned b)
{
    if (d == b && d != a) {
        x64_mov(e, false, HOST_TEMP, b);
        b = HOST_TEMP;
    }
    if (d != a)
        x64_mov(e, true, d, a);
    x64_0f(e, true, op, b, d);
}

static void conditional_zero(struct x64 *e, enum x64_cond keep, unsigned d, unsigned a, unsigned b)
{
    /* d = keep(b against 0) ? a : 0 */
    if (d != a && d != b) {
        x64_zero(e, d);
        x64_test(e, true, b, b);
        x64_cmov(e, keep, d, a);
        return;
    }
    x64_zero(e, HOST_TEMP);
    x64_test(e, true, b, b);
    x64_cmov(e, keep, HOST_TEMP, a);
    x64_mov(e, true, d, HOST_TEMP);
}

/* ---- operations that some processors lack ----------------------------------------------- */

void jit_step(struct jit_compiler *c)
{
    struct x64 *e = &c->e;
    x64_store_context_imm(e, false, CONTEXT_AT(step_pc), (int32_t)c->pc);
    x64_put(e, 0x0D8D48, 3); /* lea rcx, [rip + 8]: behind the jump */
    x64_put32(e, 8);
    x64_jmp_context(e, CONTEXT_AT(exits[JIT_STEP]));
}

static void count(struct jit_compiler *c, uint32_t feature, unsigned op, bool w, unsigned d,
                  unsigned a)
{
    if (c->features & feature)
        x64_f30f(&c->e, w, op, d, a);
    else
        jit_step(c);
}

/* Each byte that is not zero becomes FF: compare with zero, then invert. */
static void or_combine(struct x64 *e, unsigned d, unsigned a)
{
    x64_put(e, 0x66, 1);
    x64_0f(e, true, 0x6E, 0, a); /* movq xmm0, a */
    x64_put(e, 0xC9EF0F66, 4);   /* pxor xmm1, xmm1 */
    x64_put(e, 0xC1740F66, 4);   /* pcmpeqb xmm0, xmm1 */
    x64_put(e, 0x66, 1);
    x64_0f(e, true, 0x7E, 0, d); /* movq d, xmm0 */
    x64_not(e, d);
}

/* ---- one operation ---------------------------------------------------------------------- */

/* op d, imm with any 64-bit immediate; d holds the first operand already. */
static void alu_wide_imm(struct x64 *e, enum x64_alu op, unsigned d, int64_t imm)
{
    if (imm == (int32_t)imm) {
        x64_alu_imm(e, true, op, d, (int32_t)imm);
    } else {
        x64_mov_imm(e, HOST_TEMP, (uint64_t)imm);
        x64_alu(e, true, op, d, HOST_TEMP);
    }
}

void jit_compare_imm(struct x64 *e, unsigned a, int64_t imm)
{
    if (imm == 0)
        x64_test(e, true, a, a);
    else
        alu_wide_imm(e, X64_CMP, a, imm);
}

static void set_on_imm(struct x64 *e, bool is_signed, unsigned d, unsigned a, int64_t imm)
{
    if (is_signed && imm == 0) { /* the sign */
        if (d != a)
            x64_mov(e, true, d, a);
        x64_shift_imm(e, true, X64_SHR, d, 63);
        return;
    }
    const bool is_zero = !is_signed && imm == 1;
    const enum x64_cond cond = is_zero ? X64_E : is_signed ? X64_L : X64_B;
    if (d != a)
        x64_zero(e, d);
    jit_compare_imm(e, a, is_zero ? 0 : imm);
    if (d != a)
        x64_setcc(e, cond, d);
    else
        jit_set_flag(e, cond, d);
}

/* One operation, whatever it is: one switch, so that generating costs one hard-to-predict jump. */
static void emit_one(struct jit_compiler *c, const struct ir_insn *insn, unsigned d, unsigned a,
                     unsigned b)
{
    struct x64 *e = &c->e;
    const uint16_t op = insn->op;
    const int64_t imm = insn->imm;
    const unsigned n = (unsigned)imm & 63, nw = (unsigned)imm & 31;
    switch (op) {
    case IR_ADD:
        add(e, true, d, a, b);
        break;
    case IR_SUB:
        subtract(e, true, d, a, b);
        break;
    case IR_XOR:
        jit_commutative(e, X64_XOR, true, d, a, b);
        break;
    case IR_OR:
        jit_commutative(e, X64_OR, true, d, a, b);
        break;
    case IR_AND:
        jit_commutative(e, X64_AND, true, d, a, b);
        break;
    case IR_SLL:
        shift(c, true, X64_SHL, d, a, b);
        break;
    case IR_SRL:
        shift(c, true, X64_SHR, d, a, b);
        break;
    case IR_SRA:
        shift(c, true, X64_SAR, d, a, b);
        break;
    case IR_ROL:
    case IR_ROR:
        shift(c, true, op == IR_ROL ? X64_ROL : X64_ROR, d, a, b);
        break;
    case IR_SLT:
    case IR_SLTU: {
        const enum x64_cond cond = op == IR_SLT ? X64_L : X64_B;
        if (d != a && d != b) {
            x64_zero(e, d);
            x64_alu(e, true, X64_CMP, a, b);
            x64_setcc(e, cond, d);
        } else {
            x64_alu(e, true, X64_CMP, a, b);
            jit_set_flag(e, cond, d);
        }
        break;
    }
    case IR_MUL:
    case IR_MULW: {
        const bool w = op == IR_MUL;
        if (d == b) {
            x64_imul(e, w, d, a);
        } else {
            if (d != a)
                x64_mov(e, w, d, a);
            x64_imul(e, w, d, b);
        }
        if (!w)
            x64_movsxd(e, d, d);
        break;
    }
    case IR_MULH:
    case IR_MULHU:
    case IR_MULHSU:
        jit_multiply_high(c, op, d, a, b);
        break;
    case IR_DIV:
        jit_divide(e, true, true, true, d, a, b);
        break;
    case IR_DIVU:
        jit_divide(e, true, false, true, d, a, b);
        break;
    case IR_REM:
        jit_divide(e, true, true, false, d, a, b);
        break;
    case IR_REMU:
        jit_divide(e, true, false, false, d, a, b);
        break;
    case IR_DIVW:
        jit_divide(e, false, true, true, d, a, b);
        break;
    case IR_DIVUW:
        jit_divide(e, false, false, true, d, a, b);
        break;
    case IR_REMW:
        jit_divide(e, false, true, false, d, a, b);
        break;
    case IR_REMUW:
        jit_divide(e, false, false, false, d, a, b);
        break;
    case IR_ANDN:
        if (c->features & JIT_BMI2) {
            x64_vex(e, 2, 0, true, 0xF2, d, b, a);
            break;
        }
        x64_mov(e, true, HOST_TEMP, b);
        x64_not(e, HOST_TEMP);
        x64_alu(e, true, X64_AND, HOST_TEMP, a);
        x64_mov(e, true, d, HOST_TEMP);
        break;
    case IR_ORN:
        x64_mov(e, true, HOST_TEMP, b);
        x64_not(e, HOST_TEMP);
        x64_alu(e, true, X64_OR, HOST_TEMP, a);
        x64_mov(e, true, d, HOST_TEMP);
        break;
    case IR_XNOR:
        jit_commutative(e, X64_XOR, true, d, a, b);
        x64_not(e, d);
        break;
    case IR_MIN:
        minimum(e, X64_G, d, a, b);
        break;
    case IR_MINU:
        minimum(e, X64_A, d, a, b);
        break;
    case IR_MAX:
        minimum(e, X64_L, d, a, b);
        break;
    case IR_MAXU:
        minimum(e, X64_B, d, a, b);
        break;
    case IR_SH1ADD:
    case IR_SH2ADD:
    case IR_SH3ADD:
        x64_lea_index(e, true, d, b, a, (unsigned)(op - IR_SH1ADD) + 1);
        break;
    case IR_ADD_UW:
        x64_mov(e, false, HOST_TEMP, a);
        add(e, true, d, HOST_TEMP, b);
        break;
    case IR_SH1ADD_UW:
    case IR_SH2ADD_UW:
    case IR_SH3ADD_UW:
        x64_mov(e, false, HOST_TEMP, a);
        x64_lea_index(e, true, d, b, HOST_TEMP, (unsigned)(op - IR_SH1ADD_UW) + 1);
        break;
    case IR_BCLR:
        bit(e, 0xB3, d, a, b);
        break;
    case IR_BSET:
        bit(e, 0xAB, d, a, b);
        break;
    case IR_BINV:
        bit(e, 0xBB, d, a, b);
        break;
    case IR_BEXT:
        x64_0f(e, true, 0xA3, b, a);
        jit_set_flag(e, X64_B, d);
        break;
    case IR_CZERO_EQZ:
        conditional_zero(e, X64_NE, d, a, b);
        break;
    case IR_CZERO_NEZ:
        conditional_zero(e, X64_E, d, a, b);
        break;
    case IR_ADDW:
        add(e, false, d, a, b);
        x64_movsxd(e, d, d);
        break;
    case IR_SUBW:
        subtract(e, false, d, a, b);
        x64_movsxd(e, d, d);
        break;
    case IR_SLLW:
        shift(c, false, X64_SHL, d, a, b);
        x64_movsxd(e, d, d);
        break;
    case IR_SRLW:
        shift(c, false, X64_SHR, d, a, b);
        x64_movsxd(e, d, d);
        break;
    case IR_SRAW:
        shift(c, false, X64_SAR, d, a, b);
        x64_movsxd(e, d, d);
        break;
    case IR_ROLW:
        shift(c, false, X64_ROL, d, a, b);
        x64_movsxd(e, d, d);
        break;
    case IR_RORW:
        shift(c, false, X64_ROR, d, a, b);
        x64_movsxd(e, d, d);
        break;
    case IR_MOVE:
        if (d != a)
            x64_mov(e, true, d, a);
        break;
    case IR_CLZ:
    case IR_CLZW:
        count(c, JIT_LZCNT, 0xBD, op == IR_CLZ, d, a);
        break;
    case IR_CTZ:
    case IR_CTZW:
        count(c, JIT_BMI2, 0xBC, op == IR_CTZ, d, a);
        break;
    case IR_CPOP:
    case IR_CPOPW:
        count(c, JIT_POPCNT, 0xB8, op == IR_CPOP, d, a);
        break;
    case IR_SEXT_B:
        x64_0f(e, true, 0xBE, d, a);
        break;
    case IR_SEXT_H:
        x64_0f(e, true, 0xBF, d, a);
        break;
    case IR_SEXT_W:
        x64_movsxd(e, d, a);
        break;
    case IR_ZEXT_H:
        x64_0f(e, false, 0xB7, d, a);
        break;
    case IR_ZEXT_W:
        x64_mov(e, false, d, a);
        break;
    case IR_ORC_B:
        or_combine(e, d, a);
        break;
    case IR_REV8:
        if (d != a)
            x64_mov(e, true, d, a);
        x64_put(e, x64_rex(true, 0, d) | 0x0Fu << 8 | (0xC8u | (d & 7)) << 16, 3);
        break;
    case IR_ADDI:
        if (d != a && imm == (int32_t)imm) {
            x64_lea(e, true, d, a, (int32_t)imm);
            break;
        }
        if (d != a)
            x64_mov(e, true, d, a);
        alu_wide_imm(e, X64_ADD, d, imm);
        break;
    case IR_SLTI:
    case IR_SLTIU:
        set_on_imm(e, op == IR_SLTI, d, a, imm);
        break;
    case IR_XORI:
        if (d != a)
            x64_mov(e, true, d, a);
        if (imm == -1)
            x64_not(e, d);
        else
            alu_wide_imm(e, X64_XOR, d, imm);
        break;
    case IR_ORI:
        if (d != a)
            x64_mov(e, true, d, a);
        alu_wide_imm(e, X64_OR, d, imm);
        break;
    case IR_ANDI:
        if (imm == 255) {
            x64_movzx8(e, d, a);
            break;
        }
        if (imm >= 0 && imm <= INT32_MAX) { /* the upper half becomes zero by itself */
            if (d != a)
                x64_mov(e, false, d, a);
            x64_alu_imm(e, false, X64_AND, d, (int32_t)imm);
            break;
        }
        if (d != a)
            x64_mov(e, true, d, a);
        alu_wide_imm(e, X64_AND, d, imm);
        break;
    case IR_SLLI:
        shift_imm(c, true, X64_SHL, d, a, n);
        break;
    case IR_SRLI:
        shift_imm(c, true, X64_SHR, d, a, n);
        break;
    case IR_SRAI:
        shift_imm(c, true, X64_SAR, d, a, n);
        break;
    case IR_RORI:
        shift_imm(c, true, X64_ROR, d, a, n);
        break;
    case IR_BEXTI:
        shift_imm(c, true, X64_SHR, d, a, n);
        x64_alu_imm(e, false, X64_AND, d, 1);
        break;
    case IR_ADDIW:
        if (d == a)
            x64_alu_imm(e, false, X64_ADD, d, (int32_t)imm);
        else
            x64_lea(e, false, d, a, (int32_t)imm);
        x64_movsxd(e, d, d);
        break;
    case IR_SLLIW:
        shift_imm(c, false, X64_SHL, d, a, nw);
        x64_movsxd(e, d, d);
        break;
    case IR_SRLIW:
        shift_imm(c, false, X64_SHR, d, a, nw);
        if (nw == 0) /* otherwise the upper half is zero, and so is the sign */
            x64_movsxd(e, d, d);
        break;
    case IR_SRAIW:
        if (nw == 0) {
            x64_movsxd(e, d, a);
            break;
        }
        shift_imm(c, false, X64_SAR, d, a, nw);
        x64_movsxd(e, d, d);
        break;
    case IR_RORIW:
        shift_imm(c, false, X64_ROR, d, a, nw);
        x64_movsxd(e, d, d);
        break;
    case IR_SLLI_UW:
        x64_mov(e, false, d, a);
        if (n != 0)
            x64_shift_imm(e, true, X64_SHL, d, n);
        break;
    case IR_LI:
        x64_mov_imm(e, d, (uint64_t)imm);
        break;
    case IR_LB:
    case IR_LH:
    case IR_LW:
    case IR_LD:
    case IR_LBU:
    case IR_LHU:
    case IR_LWU:
        jit_load(c, op, d, &(const struct jit_address){.base = a, .disp = (int32_t)imm}, c->pc);
        break;
    case IR_SB:
    case IR_SH:
    case IR_SW:
    case IR_SD:
        jit_store(c, op, NULL, b, &(const struct jit_address){.base = a, .disp = (int32_t)imm});
        break;
    case IR_SBI:
    case IR_SHI:
    case IR_SWI:
    case IR_SDI:
        jit_store(c, op, &insn->hi, 0, &(const struct jit_address){.base = a, .disp = insn->lo});
        break;
    default:
        jit_emit_imm(c, insn, d, a, b);
        break;
    }
}

/* ---- entry ------------------------------------------------------------------------------ */

/* Operations on x0 that compilers use; the rest is staged. */
static bool emit_with_zero(struct jit_compiler *c, const struct ir_insn *insn)
{
    struct x64 *e = &c->e;
    const enum ir_shape shape = ir_shape_of(insn->op);
    if (in_access(insn, shape)) {
        static const int32_t zero;
        const struct jit_address at = {.base = insn->ra == IR_ZERO ? 0 : jit_host_reg[insn->ra],
                                       .absolute = insn->ra == IR_ZERO,
                                       .disp = (int32_t)ir_displacement(insn)};
        if (shape == IR_LOAD)
            jit_load(c, insn->op, jit_host_reg[insn->rd], &at, c->pc);
        else if (shape == IR_STORE_IMM)
            jit_store(c, insn->op, &insn->hi, 0, &at);
        else if (insn->rb == IR_ZERO)
            jit_store(c, insn->op, &zero, 0, &at);
        else
            jit_store(c, insn->op, NULL, jit_host_reg[insn->rb], &at);
        return true;
    }
    if (shape != IR_R3 || insn->rd >= HOT_REGS)
        return false;
    const unsigned d = jit_host_reg[insn->rd];
    if (insn->ra == IR_ZERO && insn->rb < HOT_REGS) {
        const unsigned b = jit_host_reg[insn->rb];
        switch (insn->op) {
        case IR_SUB:
        case IR_SUBW:
            if (d != b)
                x64_mov(e, insn->op == IR_SUB, d, b);
            x64_neg(e, insn->op == IR_SUB, d);
            if (insn->op == IR_SUBW)
                x64_movsxd(e, d, d);
            return true;
        case IR_SLTU:
        case IR_SLT:
            if (d != b)
                x64_zero(e, d);
            x64_test(e, true, b, b);
            if (d != b)
                x64_setcc(e, insn->op == IR_SLT ? X64_G : X64_NE, d);
            else
                jit_set_flag(e, insn->op == IR_SLT ? X64_G : X64_NE, d);
            return true;
        default:
            return false;
        }
    }
    if (insn->rb == IR_ZERO && insn->ra < HOT_REGS && insn->op == IR_SLT) {
        set_on_imm(e, true, d, jit_host_reg[insn->ra], 0);
        return true;
    }
    if (insn->rb == IR_ZERO && insn->ra < HOT_REGS &&
        (insn->op == IR_ADDW || insn->op == IR_SUBW)) {
        x64_movsxd(e, d, jit_host_reg[insn->ra]);
        return true;
    }
    return false;
}

/* Does the operation leave generated code in the middle (step)? Then nothing may be staged: the C
 * side reads and writes the registers themselves. */
static bool steps(const struct jit_compiler *c, uint16_t op)
{
    switch (op) {
    case IR_CLZ:
    case IR_CLZW:
        return !(c->features & JIT_LZCNT);
    case IR_CTZ:
    case IR_CTZW:
        return !(c->features & JIT_BMI2);
    case IR_CPOP:
    case IR_CPOPW:
        return !(c->features & JIT_POPCNT);
    default:
        return false;
    }
}

unsigned jit_emit(struct jit_compiler *c, const struct ir_insn *insn, const struct ir_insn *next)
{
    if (jit_all_hot(insn)) {
        if (next != NULL && jit_all_hot(next) && jit_emit_pair(c, insn, next))
            return 2;
        /* What the operation does not have is whatever machine register, which nobody reads. */
        emit_one(c, insn, jit_host_reg[insn->rd % 16], jit_host_reg[insn->ra % 16],
                 jit_host_reg[insn->rb % 16]);
        return 1;
    }
    if (steps(c, insn->op)) {
        jit_step(c);
        return 1;
    }
    if (emit_with_zero(c, insn))
        return 1;
    struct jit_plan plan;
    jit_plan_of(insn, &plan);
    stage(&c->e, &plan);
    emit_one(c, insn, staged(&plan, insn->rd), staged(&plan, insn->ra), staged(&plan, insn->rb));
    unstage(&c->e, &plan, ir_operands[insn->op] & IR_HAS_D, insn->rd);
    return 1;
}

enum x64_cond jit_set(struct jit_compiler *c, const struct ir_insn *insn)
{
    struct x64 *e = &c->e;
    const unsigned d = jit_host_reg[insn->rd], a = jit_host_reg[insn->ra];
    const bool is_signed = insn->op == IR_SLT || insn->op == IR_SLTI;
    enum x64_cond cond = is_signed ? X64_L : X64_B;
    if (insn->op == IR_SLT || insn->op == IR_SLTU) {
        x64_alu(e, true, X64_CMP, a, jit_host_reg[insn->rb]);
    } else if (insn->op == IR_SLTIU && insn->imm == 1) { /* is it zero? */
        x64_test(e, true, a, a);
        cond = X64_E;
    } else {
        jit_compare_imm(e, a, insn->imm);
    }
    jit_set_flag(e, cond, d);
    return cond;
}

enum x64_cond jit_compare(struct jit_compiler *c, const struct ir_insn *branch)
{
    static const uint8_t with_imm[] = {X64_E,  X64_NE, X64_L, X64_GE, X64_B,
                                       X64_AE, X64_LE, X64_G, X64_BE, X64_A};
    static const uint8_t conds[] = {X64_E, X64_NE, X64_L, X64_GE, X64_B, X64_AE};
    /* 0 against b: the same relation from b's side. */
    static const uint8_t swapped[] = {X64_E, X64_NE, X64_G, X64_LE, X64_A, X64_BE};
    struct x64 *e = &c->e;
    if (ir_shape_of(branch->op) == IR_BRANCH_IMM) {
        jit_compare_imm(e, jit_host_reg[branch->ra], branch->lo);
        return (enum x64_cond)with_imm[branch->op - IR_BEQI];
    }
    const unsigned k = branch->op - IR_BEQ;
    if (branch->ra < HOT_REGS && branch->rb == IR_ZERO) {
        x64_test(e, true, jit_host_reg[branch->ra], jit_host_reg[branch->ra]);
        return (enum x64_cond)conds[k]; /* test clears the carry, as a comparison with 0 does */
    }
    if (branch->ra == IR_ZERO && branch->rb < HOT_REGS) {
        const unsigned b = jit_host_reg[branch->rb];
        if (k < 4)
            x64_test(e, true, b, b);
        else
            x64_alu_imm(e, true, X64_CMP, b, 0);
        return (enum x64_cond)swapped[k];
    }
    struct jit_plan plan;
    jit_plan_of(branch, &plan);
    stage(e, &plan);
    x64_alu(e, true, X64_CMP, staged(&plan, branch->ra), staged(&plan, branch->rb));
    unstage(e, &plan, false, 0);
    return (enum x64_cond)conds[k];
}
