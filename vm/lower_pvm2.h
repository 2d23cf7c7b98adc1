/* PVM2 -> gas row and internal form, one instruction at a time. */
#ifndef JAVM_VM_LOWER_PVM2_H
#define JAVM_VM_LOWER_PVM2_H

#include "vm/gas.h"
#include "vm/ir.h"
#include "vm/pvm2.h"

/* An instruction's gas row and internal instruction, and what it is to the walk. */
struct pvm2_step {
    /* Branch targets are byte offsets into the code in `hi` (branches, JUMP, JAL), IR_NO_TARGET
     * when the target lies outside [0, len). Nothing is said unless `executes`. */
    struct ir_insn insn;
    struct gas_row row; /* of PVM2 9.3, with the surcharges of 9.4; says nothing of an ecall */
    uint8_t len;
    bool executes; /* false: it has no effect */
    bool terminator, ecall, store;
    bool anywhere; /* all of this is the same at any other offset */
};

/* The instruction at `offset`; false where the code ends. `memory_cycles` is at most 255. */
bool pvm2_next(const uint8_t *code, uint64_t len, uint64_t offset, uint32_t memory_cycles,
               struct pvm2_step *step);
/* The same of an instruction that was decoded. */
void pvm2_step_of(const struct pvm2_insn *insn, uint64_t offset, uint64_t code_len,
                  uint32_t memory_cycles, struct pvm2_step *step);

#endif
