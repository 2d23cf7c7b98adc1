/* Single operations, evaluated in C: where generated code stops in the middle of something. */
#include <stddef.h>

#include "vm/interp_ops.h"
#include "vm/ir.h"

#define D(I, value) return (value)
#define OLD(I)      d

uint64_t ir_eval(const struct ir_insn *insn, uint64_t d, uint64_t a, uint64_t b)
{
    switch (insn->op) {
#define CASE_R3(name) \
    case IR_##name:   \
        BODY_##name(insn, a, b);
#define CASE_R2(name) CASE_R3(name)
#define CASE_RI(name) CASE_R3(name)
#define CASE_LI(name) CASE_R3(name)
#define CASE_LD(name)
#define CASE_ST(name)
#define CASE_BR(name)
#define CASE_SI(name)
#define CASE_BI(name)
#define CASE_CTL(name)
#define X(name, shape) CASE_##shape(name)
        IR_OPS(X)
#undef X
    default:
        return 0;
    }
}

enum { R3 = IR_R3, R2 = IR_R2, RI = IR_RI, LI = IR_SHAPE_LI, LD = IR_LOAD, ST = IR_STORE };
enum { BR = IR_BRANCH, SI = IR_STORE_IMM, BI = IR_BRANCH_IMM, CTL = IR_CTL };

const uint8_t ir_shapes[IR_OP_COUNT] = {
#define X(name, shape) [IR_##name] = shape,
    IR_OPS(X)
#undef X
};

#define HAS_R3  (IR_HAS_D | IR_HAS_A | IR_HAS_B)
#define HAS_R2  (IR_HAS_D | IR_HAS_A)
#define HAS_RI  HAS_R2
#define HAS_LI  IR_HAS_D
#define HAS_LD  HAS_R2
#define HAS_ST  (IR_HAS_A | IR_HAS_B)
#define HAS_BR  HAS_ST
#define HAS_SI  IR_HAS_A
#define HAS_BI  IR_HAS_A
#define HAS_CTL 0

const uint8_t ir_operands[IR_OP_COUNT] = {
#define X(name, shape) [IR_##name] = HAS_##shape,
    IR_OPS(X)
#undef X
};

uint32_t ir_access_width(uint16_t op)
{
    static const uint8_t widths[IR_OP_COUNT] = {
        [IR_LB] = 1, [IR_LBU] = 1, [IR_SB] = 1,  [IR_LH] = 2,  [IR_LHU] = 2,
        [IR_SH] = 2, [IR_LW] = 4,  [IR_LWU] = 4, [IR_SW] = 4,  [IR_LD] = 8,
        [IR_SD] = 8, [IR_SBI] = 1, [IR_SHI] = 2, [IR_SWI] = 4, [IR_SDI] = 8};
    return widths[op];
}
