/* Executions, for the kernel. */
#ifndef JAVM_VM_EXEC_H
#define JAVM_VM_EXEC_H

#include "javm/engine.h"

/* After an exit at an ecall: back to before it, so that it is done, and paid, when the execution
 * runs next. */
void exec_undo_ecall(struct javm_exec *exec);

#endif
