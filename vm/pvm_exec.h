/* PVM around an engine's run. Engines charge by the block and know nothing of profiles; what the
 * profiles make of a run's beginning and end is here. */
#ifndef JAVM_VM_PVM_EXEC_H
#define JAVM_VM_PVM_EXEC_H

#include "vm/front.h"

/* False: the run has ended already. */
bool pvm_exec_begin(struct javm_exec *exec, const struct front *front);
/* After the engine came to an exit. */
void pvm_exec_end(struct javm_exec *exec, const struct front *front);
/* gp: run instructions one by one, 1 gas each, until there is no gas or a fault; where the block at
 * exec->pc costs more than there is. Only memory accesses and what computes is ever reached. */
void pvm_exec_step(struct javm_exec *exec, const struct front *front);

/* memset with φ7, φ8 and φ9 at regs, which move on. False: an exit, described in *exec but for pc,
 * registers and gas: a fault at the first byte that refuses, or no gas for all bytes. Then nothing
 * is done and what the instruction cost is given back; with `part`, as many bytes are
 * stored as there is gas. Each costs 1, the instruction 1 more at its end: so it does not matter in
 * how many pieces the gas comes. */
bool pvm_memset(struct javm_exec *exec, const struct front *front, uint64_t regs[3], uint64_t *gas,
                bool part);

#endif
