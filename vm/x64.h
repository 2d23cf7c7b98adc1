/* x86-64 encodings, as few as the recompiler needs. Each function appends one instruction at e->at;
 * the caller has made sure of room (16 bytes for each). 64-bit operands unless the name or an
 * argument says otherwise. */
#ifndef JAVM_VM_X64_H
#define JAVM_VM_X64_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct x64 {
    uint8_t *at;
};

/* Append the low n <= 8 bytes of v; up to 8 are stored. */
static inline void x64_put(struct x64 *e, uint64_t v, unsigned n)
{
    memcpy(e->at, &v, 8);
    e->at += n;
}

static inline void x64_put32(struct x64 *e, uint32_t v)
{
    memcpy(e->at, &v, 4);
    e->at += 4;
}

static inline void x64_put64(struct x64 *e, uint64_t v)
{
    memcpy(e->at, &v, 8);
    e->at += 8;
}

/* Opcodes of "op r/m, r" with the second operand's group number for "op r/m, imm". */
enum x64_alu { X64_ADD = 0, X64_OR = 1, X64_AND = 4, X64_SUB = 5, X64_XOR = 6, X64_CMP = 7 };
enum x64_shift { X64_ROL = 0, X64_ROR = 1, X64_SHL = 4, X64_SHR = 5, X64_SAR = 7 };
enum x64_cond {
    X64_B = 2,
    X64_AE = 3,
    X64_E = 4,
    X64_NE = 5,
    X64_BE = 6,
    X64_A = 7,
    X64_L = 12,
    X64_GE = 13,
    X64_LE = 14,
    X64_G = 15
};

static inline uint32_t x64_rex(bool w, unsigned reg, unsigned rm)
{
    return 0x40u | (uint32_t)w << 3 | (reg >> 3) << 2 | rm >> 3;
}

static inline uint32_t x64_modrm(unsigned reg, unsigned rm)
{
    return 0xC0u | (reg & 7) << 3 | (rm & 7);
}

/* One-byte opcode, two registers. */
static inline void x64_rr(struct x64 *e, bool w, unsigned op, unsigned reg, unsigned rm)
{
    x64_put(e, x64_rex(w, reg, rm) | op << 8 | x64_modrm(reg, rm) << 16, 3);
}

/* 0F opcode, two registers. */
static inline void x64_0f(struct x64 *e, bool w, unsigned op, unsigned reg, unsigned rm)
{
    x64_put(e, x64_rex(w, reg, rm) | 0x0Fu << 8 | op << 16 | (uint64_t)x64_modrm(reg, rm) << 24, 4);
}

/* F3 0F opcode, two registers: lzcnt, tzcnt, popcnt. */
static inline void x64_f30f(struct x64 *e, bool w, unsigned op, unsigned reg, unsigned rm)
{
    x64_put(e, 0xF3, 1);
    x64_0f(e, w, op, reg, rm);
}

/* VEX, map 2 or 3: vvvv is a register operand. pp: 0 none, 1 66, 2 F3, 3 F2. */
static inline void x64_vex(struct x64 *e, unsigned map, unsigned pp, bool w, unsigned op,
                           unsigned reg, unsigned vvvv, unsigned rm)
{
    const uint32_t b1 = (reg < 8 ? 0x80u : 0) | 0x40u | (rm < 8 ? 0x20u : 0) | map;
    const uint32_t b2 = (uint32_t)w << 7 | (~vvvv & 15) << 3 | pp;
    x64_put(e, 0xC4u | b1 << 8 | b2 << 16 | (uint64_t)op << 24 | (uint64_t)x64_modrm(reg, rm) << 32,
            5);
}

static inline void x64_mov(struct x64 *e, bool w, unsigned d, unsigned s)
{
    x64_rr(e, w, 0x8B, d, s);
}

static inline void x64_alu(struct x64 *e, bool w, enum x64_alu op, unsigned d, unsigned s)
{
    x64_rr(e, w, (unsigned)op << 3 | 3, d, s);
}

static inline void x64_alu_imm(struct x64 *e, bool w, enum x64_alu op, unsigned d, int32_t imm)
{
    if (imm == (int8_t)imm) {
        x64_rr(e, w, 0x83, (unsigned)op, d);
        x64_put(e, (uint8_t)imm, 1);
    } else {
        x64_rr(e, w, 0x81, (unsigned)op, d);
        x64_put32(e, (uint32_t)imm);
    }
}

static inline void x64_test(struct x64 *e, bool w, unsigned a, unsigned b)
{
    x64_rr(e, w, 0x85, a, b);
}

static inline void x64_push(struct x64 *e, unsigned r)
{
    x64_put(e, r >= 8 ? 0x41u | (0x50u | (r & 7)) << 8 : 0x50u | r, r >= 8 ? 2 : 1);
}

static inline void x64_pop(struct x64 *e, unsigned r)
{
    x64_put(e, r >= 8 ? 0x41u | (0x58u | (r & 7)) << 8 : 0x58u | r, r >= 8 ? 2 : 1);
}

static inline void x64_not(struct x64 *e, unsigned d)
{
    x64_rr(e, true, 0xF7, 2, d);
}

static inline void x64_neg(struct x64 *e, bool w, unsigned d)
{
    x64_rr(e, w, 0xF7, 3, d);
}

static inline void x64_shift_imm(struct x64 *e, bool w, enum x64_shift op, unsigned d, unsigned n)
{
    x64_rr(e, w, 0xC1, (unsigned)op, d);
    x64_put(e, n, 1);
}

static inline void x64_shift_cl(struct x64 *e, bool w, enum x64_shift op, unsigned d)
{
    x64_rr(e, w, 0xD3, (unsigned)op, d);
}

static inline void x64_movsxd(struct x64 *e, unsigned d, unsigned s)
{
    x64_rr(e, true, 0x63, d, s);
}

static inline void x64_imul(struct x64 *e, bool w, unsigned d, unsigned s)
{
    x64_0f(e, w, 0xAF, d, s);
}

/* The byte register needs its REX, which x64_0f always writes. */
static inline void x64_setcc(struct x64 *e, enum x64_cond cond, unsigned d)
{
    x64_0f(e, false, 0x90u | (unsigned)cond, 0, d);
}

static inline void x64_movzx8(struct x64 *e, unsigned d, unsigned s)
{
    x64_0f(e, false, 0xB6, d, s);
}

static inline void x64_cmov(struct x64 *e, enum x64_cond cond, unsigned d, unsigned s)
{
    x64_0f(e, true, 0x40u | (unsigned)cond, d, s);
}

static inline void x64_zero(struct x64 *e, unsigned d)
{
    x64_rr(e, false, 0x33, d, d);
}

static inline void x64_mov_imm(struct x64 *e, unsigned d, uint64_t imm)
{
    if (imm == 0) {
        x64_zero(e, d);
    } else if (imm == (uint32_t)imm) {
        if (d >= 8)
            x64_put(e, 0x41, 1);
        x64_put(e, 0xB8u | (d & 7) | imm << 8, 5);
    } else if (imm == (uint64_t)(int64_t)(int32_t)imm) {
        x64_rr(e, true, 0xC7, 0, d);
        x64_put32(e, (uint32_t)imm);
    } else {
        x64_put(e, x64_rex(true, 0, d) | (0xB8u | (d & 7)) << 8, 2);
        x64_put64(e, imm);
    }
}

/* ---- memory operands -------------------------------------------------------------------- */

/* ModRM, SIB and displacement of [base + disp]. */
static inline void x64_base_disp(struct x64 *e, unsigned reg, unsigned base, int32_t disp)
{
    const unsigned low = base & 7;
    const unsigned mod = disp == 0 && low != 5 ? 0 : disp == (int8_t)disp ? 1 : 2;
    x64_put(e, mod << 6 | (reg & 7) << 3 | low | (low == 4 ? 0x2400u : 0), low == 4 ? 2 : 1);
    if (mod == 1)
        x64_put(e, (uint8_t)disp, 1);
    else if (mod == 2)
        x64_put32(e, (uint32_t)disp);
}

/* ModRM, SIB and displacement of [base + index << scale + disp]; index is not rsp. */
static inline void x64_base_index(struct x64 *e, unsigned reg, unsigned base, unsigned index,
                                  unsigned scale, int32_t disp)
{
    const unsigned mod = disp == 0 && (base & 7) != 5 ? 0 : disp == (int8_t)disp ? 1 : 2;
    x64_put(e, mod << 6 | (reg & 7) << 3 | 4 | (scale << 6 | (index & 7) << 3 | (base & 7)) << 8,
            2);
    if (mod == 1)
        x64_put(e, (uint8_t)disp, 1);
    else if (mod == 2)
        x64_put32(e, (uint32_t)disp);
}

static inline void x64_lea(struct x64 *e, bool w, unsigned d, unsigned base, int32_t disp)
{
    x64_put(e, x64_rex(w, d, base) | 0x8Du << 8, 2);
    x64_base_disp(e, d, base, disp);
}

static inline void x64_lea_index(struct x64 *e, bool w, unsigned d, unsigned base, unsigned index,
                                 unsigned scale)
{
    x64_put(e, x64_rex(w, d, base) | (index >> 3) << 1 | 0x8Du << 8, 2);
    x64_base_index(e, d, base, index, scale, 0);
}

/* gs:[disp]: the context. */
static inline void x64_gs(struct x64 *e, bool w, unsigned op, unsigned reg, int32_t disp)
{
    x64_put(e,
            0x65u | x64_rex(w, reg, 0) << 8 | op << 16 | (uint64_t)((reg & 7) << 3 | 4) << 24 |
                (uint64_t)0x25 << 32,
            5);
    x64_put32(e, (uint32_t)disp);
}

static inline void x64_load_context(struct x64 *e, unsigned d, int32_t disp)
{
    x64_gs(e, true, 0x8B, d, disp);
}

static inline void x64_store_context(struct x64 *e, int32_t disp, unsigned s)
{
    x64_gs(e, true, 0x89, s, disp);
}

/* Sign-extended to 64 bits with w. */
static inline void x64_store_context_imm(struct x64 *e, bool w, int32_t disp, int32_t imm)
{
    x64_gs(e, w, 0xC7, 0, disp);
    x64_put32(e, (uint32_t)imm);
}

static inline void x64_jmp_context(struct x64 *e, int32_t disp)
{
    x64_put(e, 0x65u | 0xFFu << 8 | 0x24u << 16 | 0x25u << 24, 4);
    x64_put32(e, (uint32_t)disp);
}

/* ---- jumps ------------------------------------------------------------------------------ */

/* The displacement is the last 4 bytes: x64_patch sets it. */
static inline void x64_jcc(struct x64 *e, enum x64_cond cond)
{
    x64_put(e, 0x0Fu | (0x80u | (unsigned)cond) << 8, 6);
}

static inline void x64_jmp(struct x64 *e)
{
    x64_put(e, 0xE9, 5);
}

static inline void x64_call(struct x64 *e)
{
    x64_put(e, 0xE8, 5);
}

/* Make the displacement in the four bytes before `after` lead to `target`. */
static inline void x64_patch(uint8_t *after, const uint8_t *target)
{
    const int32_t distance = (int32_t)(target - after);
    memcpy(after - 4, &distance, 4);
}

/* A short jump over code that is emitted next; x64_land ends it (distance below 128). */
static inline uint8_t *x64_jcc_short(struct x64 *e, enum x64_cond cond)
{
    x64_put(e, 0x70u | (unsigned)cond, 2);
    return e->at;
}

static inline uint8_t *x64_jmp_short(struct x64 *e)
{
    x64_put(e, 0xEB, 2);
    return e->at;
}

static inline void x64_land(const struct x64 *e, uint8_t *after)
{
    after[-1] = (uint8_t)(e->at - after);
}

#endif
