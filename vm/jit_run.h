/* Between the loop that runs generated code (jit_run.c) and what is the system's (jit_signal.c). */
#ifndef JAVM_VM_JIT_RUN_H
#define JAVM_VM_JIT_RUN_H

#include "vm/jit_context.h"

/* Where the stack of return addresses begins: its bottom entry's address. */
uint64_t jit_stack_bottom(const struct jit_context *context);

/* Take over SIGSEGV and SIGBUS, once for the process; what is not a guest's goes to the handlers
 * that were there. IO when the system refuses. */
enum javm_status jit_signals_install(struct javm_error *err);
/* Has this thread what a fault needs, an alternate signal stack? Makes one at the first call. */
bool jit_thread_ready(void);
/* Call `enter` with GS at context->base; afterwards GS is as before. */
void jit_enter(struct jit_context *context, uint64_t enter);

#endif
