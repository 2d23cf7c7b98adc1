/* Instructions of PVM from the internal form: the way back of pvm_next, for linkers. */
#ifndef JAVM_VM_PVM_ENCODE_H
#define JAVM_VM_PVM_ENCODE_H

#include "vm/front.h"

/* The opcode of each operation, 0: there is none. Accesses to memory have two: with a register that
 * the address counts from, and (ra is IR_ZERO) without. */
struct pvm_opcodes {
    uint8_t at[2][IR_OP_COUNT];
};
void pvm_opcodes_of_jar1(struct pvm_opcodes *opcodes);

#define PVM_INSN_MAX 16u
/* Is there an instruction for it, with these operands? */
bool pvm_encodes(const struct pvm_opcodes *opcodes, const struct ir_insn *insn);
/* Its bytes, and how many; it must be one that there is. The distance of a jump or branch comes
 * last and takes the given number of bytes (0 to 4), which are left to the caller. */
uint32_t pvm_encode(const struct pvm_opcodes *opcodes, const struct ir_insn *insn,
                    uint32_t distance_bytes, uint8_t bytes[PVM_INSN_MAX]);
/* Bytes that hold a number that is extended by its sign: 0 to 4. */
uint32_t pvm_imm_bytes(int32_t value);

#endif
