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

#endif
