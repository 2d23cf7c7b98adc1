/* PVM2 -> gas row and internal form, one instruction at a time. */
#ifndef JAVM_VM_LOWER_PVM2_H
#define JAVM_VM_LOWER_PVM2_H

#include "vm/gas.h"
#include "vm/ir.h"
#include "vm/pvm2.h"

/* The row of PVM2 9.3 with the x3/x4 surcharges of 9.4. Not for ecalls. */
struct gas_row pvm2_gas_row(const struct pvm2_insn *insn, uint32_t memory_cycles);

/* False: nothing to execute. Branch targets are left as byte offsets into the code in `hi`
 * (branches, JUMP, JAL), IR_NO_TARGET when the target lies outside [0, code_len). */
bool pvm2_lower(const struct pvm2_insn *insn, uint64_t offset, uint64_t code_len,
                struct ir_insn *out);

#endif
