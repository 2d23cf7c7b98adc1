/* Machine code of wide multiplication and of division. */
#include "vm/jit_emit.h"

#define SAVED_RAX CONTEXT_AT(saved[0])
#define SAVED_RDX CONTEXT_AT(saved[1])
#define SAVED_A   CONTEXT_AT(saved[2])

static void save_pair(struct x64 *e, unsigned d)
{
    if (d != RAX)
        x64_store_context(e, SAVED_RAX, RAX);
    if (d != RDX)
        x64_store_context(e, SAVED_RDX, RDX);
}

/* The result is in rcx. */
static void restore_pair(struct x64 *e, unsigned d)
{
    if (d != RAX)
        x64_load_context(e, RAX, SAVED_RAX);
    if (d != RDX)
        x64_load_context(e, RDX, SAVED_RDX);
    x64_mov(e, true, d, HOST_TEMP);
}

void jit_mulx(struct x64 *e, unsigned high, unsigned low, unsigned a, unsigned b)
{
    if (b == RDX) {
        b = a;
        a = RDX;
    }
    const bool displaced = a != RDX && high != RDX && low != RDX;
    if (displaced)
        x64_mov(e, true, HOST_TEMP, RDX);
    if (a != RDX)
        x64_mov(e, true, RDX, a);
    if (displaced && low == HOST_TEMP)
        low = RDX; /* rcx is taken; rdx is restored below */
    x64_vex(e, 2, 3, true, 0xF6, high, low, b);
    if (displaced)
        x64_mov(e, true, RDX, HOST_TEMP);
}

void jit_multiply_high(struct jit_compiler *c, uint16_t op, unsigned d, unsigned a, unsigned b)
{
    struct x64 *e = &c->e;
    if (op == IR_MULHU && c->features & JIT_BMI2) {
        jit_mulx(e, d, HOST_TEMP, a, b);
        return;
    }
    save_pair(e, d);
    if (op == IR_MULHSU)
        x64_store_context(e, SAVED_A, a);
    x64_mov(e, true, HOST_TEMP, b);
    if (a != RAX)
        x64_mov(e, true, RAX, a);
    x64_rr(e, true, 0xF7, op == IR_MULH ? 5 : 4, HOST_TEMP);
    if (op == IR_MULHSU) { /* minus b where a is negative */
        x64_load_context(e, RAX, SAVED_A);
        x64_shift_imm(e, true, X64_SAR, RAX, 63);
        x64_alu(e, true, X64_AND, RAX, HOST_TEMP);
        x64_alu(e, true, X64_SUB, RDX, RAX);
    }
    x64_mov(e, true, HOST_TEMP, RDX);
    restore_pair(e, d);
}

void jit_divide(struct x64 *e, bool w, bool is_signed, bool quotient, unsigned d, unsigned a,
                unsigned b)
{
    uint8_t *minus = NULL;
    save_pair(e, d);
    x64_mov(e, w, HOST_TEMP, b);
    if (a != RAX)
        x64_mov(e, w, RAX, a);
    x64_test(e, w, HOST_TEMP, HOST_TEMP);
    uint8_t *const zero = x64_jcc_short(e, X64_E);
    if (is_signed) { /* the machine traps on the smallest number by -1 */
        x64_alu_imm(e, w, X64_CMP, HOST_TEMP, -1);
        minus = x64_jcc_short(e, X64_E);
        x64_put(e, w ? 0x9948u : 0x99u, w ? 2 : 1); /* cqo, cdq */
    } else {
        x64_zero(e, RDX);
    }
    x64_rr(e, w, 0xF7, is_signed ? 7 : 6, HOST_TEMP);
    x64_mov(e, w, HOST_TEMP, quotient ? RAX : RDX);
    uint8_t *const done = x64_jmp_short(e);
    uint8_t *done_minus = NULL;
    if (is_signed) {
        x64_land(e, minus);
        if (quotient) {
            x64_mov(e, w, HOST_TEMP, RAX);
            x64_neg(e, w, HOST_TEMP);
        } else {
            x64_zero(e, HOST_TEMP);
        }
        done_minus = x64_jmp_short(e);
    }
    x64_land(e, zero);
    if (quotient)
        x64_mov_imm(e, HOST_TEMP, UINT64_MAX);
    else
        x64_mov(e, w, HOST_TEMP, RAX);
    x64_land(e, done);
    if (is_signed)
        x64_land(e, done_minus);
    if (!w)
        x64_movsxd(e, HOST_TEMP, HOST_TEMP);
    restore_pair(e, d);
}
