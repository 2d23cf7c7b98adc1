/* Inside the decoding of programs: program.c, and program_entries.c for PVM's ways into the middle
 * of blocks. */
#ifndef JAVM_VM_PROGRAM_H
#define JAVM_VM_PROGRAM_H

#include "vm/front.h"
#include "vm/interp.h"

/* A program that is being decoded. */
struct builder {
    struct javm_program *program;
    uint32_t insn_room, block_room;
    struct gas_pipeline gas;
    uint64_t count; /* instructions of the block */
    bool failed;    /* an allocation failed; everything after it is ignored */
};

/* Append an instruction of the code at `offset`. */
void program_emit(struct builder *b, const struct ir_insn *insn, uint64_t offset);
void program_emit_op(struct builder *b, enum ir_op op, int64_t imm, uint64_t offset);

/* Behind the straight part: for each place in the middle of a block to which a jump of the program
 * may lead, a header with the price of the rest of the block and a GOTO. And the jump table. */
void program_add_entries(struct builder *b);

#endif
