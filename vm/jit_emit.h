/* Between the files that generate single operations: jit_ops.c and its parts. Operands are machine
 * registers. */
#ifndef JAVM_VM_JIT_EMIT_H
#define JAVM_VM_JIT_EMIT_H

#include "vm/jit_compile.h"

/* Has every operand a machine register of its own? */
static inline bool jit_all_hot(const struct ir_insn *insn)
{
    return !jit_plan_needed(insn);
}

/* d = a op b, where the order does not matter; `w`: 64 bits. */
void jit_commutative(struct x64 *e, enum x64_alu op, bool w, unsigned d, unsigned a, unsigned b);

/* Two neighbours as one, if there is a way. All operands are hot. jit_pairs.c */
bool jit_emit_pair(struct jit_compiler *c, const struct ir_insn *insn, const struct ir_insn *next);

/* ---- wide multiplication and division (jit_wide.c) -------------------------------------- */

/* high (and low) = a * b, unsigned; low == HOST_TEMP: not wanted. high != low. */
void jit_mulx(struct x64 *e, unsigned high, unsigned low, unsigned a, unsigned b);
void jit_multiply_high(struct jit_compiler *c, uint16_t op, unsigned d, unsigned a, unsigned b);
/* Quotient or remainder, with PVM2's results where the machine traps. */
void jit_divide(struct x64 *e, bool w, bool is_signed, bool quotient, unsigned d, unsigned a,
                unsigned b);

/* ---- loads and stores (jit_access.c) ---------------------------------------------------- */

struct jit_address {
    unsigned base, index, scale;
    bool indexed, absolute;
    int32_t disp;
};

/* The access belongs to the instruction at site_pc. */
void jit_load(struct jit_compiler *c, uint16_t op, unsigned d, const struct jit_address *at,
              uint32_t site_pc);
/* Of a register, or of *imm when it is not NULL. */
void jit_store(struct jit_compiler *c, uint16_t op, const int32_t *imm, unsigned value,
               const struct jit_address *at);

#endif
