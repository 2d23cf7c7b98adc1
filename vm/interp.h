/* The interpreter over the internal form. */
#ifndef JAVM_VM_INTERP_H
#define JAVM_VM_INTERP_H

#include "vm/ir.h"

/* Choose what to run at each instruction: plain operations, fused groups, slow branches. */
void interp_prepare(struct javm_program *program);

/* The register whose value a handler may expect in acc when control comes to instruction `at` of
 * the straight part from the one before; IR_ZERO: none. */
uint8_t interp_held(const struct javm_program *program, uint32_t at);

/* A run begins where no header is. PVM: charges what is left of the block there and returns the
 * instruction to go on at. 0: the run has ended. */
uint32_t interp_enter(struct javm_exec *exec);

/* Run from exec->pc to the next exit. An ecall exits uncharged, with pc at the ecall. */
void interp_run(struct javm_exec *exec);

#endif
