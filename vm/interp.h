/* The interpreter over the internal form. */
#ifndef JAVM_VM_INTERP_H
#define JAVM_VM_INTERP_H

#include "vm/ir.h"

/* Choose what to run at each instruction: plain operations, fused groups, slow branches. */
void interp_prepare(struct javm_program *program);

/* Run from exec->pc to the next exit. An ecall exits uncharged, with pc at the ecall. */
void interp_run(struct javm_exec *exec);

#endif
