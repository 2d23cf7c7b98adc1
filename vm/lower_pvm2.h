/* PVM2 -> gas row and internal form, one instruction at a time. */
#ifndef JAVM_VM_LOWER_PVM2_H
#define JAVM_VM_LOWER_PVM2_H

#include "vm/front.h"
#include "vm/pvm2.h"

/* As pvm2_next (front.h) of an instruction that was decoded. `memory_cycles` is at most 255. */
void pvm2_step_of(const struct pvm2_insn *insn, uint64_t offset, uint64_t code_len,
                  uint32_t memory_cycles, struct ir_step *step);

#endif
