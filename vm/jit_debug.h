/* Generated code for those who look at a process from outside: unwinders, gdb, perf. Nothing here
 * is needed to run guests, so nothing here can fail: what cannot be had is missing.
 * docs/debugging.md shows what it is good for. */
#ifndef JAVM_VM_JIT_DEBUG_H
#define JAVM_VM_JIT_DEBUG_H

#include "vm/jit.h"

/* The stubs are written and nobody has an address in the arena yet: for perf it may move. */
void jit_debug_arena(struct javm_jit *jit);
/* Before the arena goes. */
void jit_debug_forget(struct javm_jit *jit);
/* A region was published. Its native's lock is held. */
void jit_debug_published(const struct javm_native *native, const struct jit_region *region);

#endif
