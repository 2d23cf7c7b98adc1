/* What generated code and the C side exchange: one page at a fixed distance below guest memory,
 * reached as gs:[MEMORY_CONTEXT + offset]. Belongs to the thread that runs the memory's guest. */
#ifndef JAVM_VM_JIT_CONTEXT_H
#define JAVM_VM_JIT_CONTEXT_H

#include <stddef.h>

#include "vm/jit.h"
#include "vm/memory.h"

/* Numbers of the machine's registers in encodings. */
enum { RAX, RCX, RDX, RBX, RSP, RBP, RSI, RDI, R8, R9, R10, R11, R12, R13, R14, R15, HOST_REGS };

/* rcx never holds a guest register, r15 holds the gas, rsp the stack of return addresses. */
#define HOST_TEMP RCX
#define HOST_GAS  R15
#define HOST_LINK R12 /* x1: returns compare it */
#define HOT_REGS  13u

extern const uint8_t jit_host_reg[16]; /* slot -> machine register; those of HOT_REGS */

/* Why generated code was left. */
enum jit_reason {
    JIT_STOP = 1,   /* rcx: pc of an instruction that ends the run, or the end of the code */
    JIT_OUT_OF_GAS, /* rcx: pc of the block, whose need was subtracted already */
    JIT_SLOT,       /* rcx: address of a jit_slot that leads nowhere yet */
    JIT_JUMP,       /* jump_pc, jump_target: the table has nothing there */
    JIT_BAD_JUMP,   /* rcx: pc of a jump that never has a target */
    JIT_FAULT,      /* fault_native: a guest access that the hardware refused */
    JIT_TOUCH, /* rcx: native address of a store to a page whose first write is to be charged */
    JIT_STEP   /* rcx: native address to go on at, step_pc: instruction to run in C first */
};

struct jit_context {
    uint64_t host[HOST_REGS]; /* at entry and exit; host[RSP]: of the return stack */
    /* Registers that have no machine register: slots 13, 14; IR_ZERO; IR_SINK. */
    uint64_t cold[4];
    uint64_t spill[3]; /* of machine registers that stand in for cold ones */
    uint64_t saved[3]; /* rax, rdx and an operand around multiplications and divisions */
    uint64_t target;   /* native address to enter at */
    uint64_t host_rsp; /* of the C side; the unwinder reads it, see jit_debug.c */
    uint64_t table;    /* address of the program's table */
    uint64_t code_base;
    uint32_t limit; /* code length: targets below it are in the table */
    uint32_t jump_pc, jump_target;
    uint32_t step_pc;
    uint32_t reason;
    uint32_t fault_error; /* the page fault's error code; bit 1: write */
    uint64_t fault_native;
    uint64_t fault_address;
    /* Common stubs, for code that may lie anywhere. */
    uint64_t exits[JIT_REASONS]; /* by enum jit_reason */
    uint64_t return_stub;        /* a return that does not match the stack of return addresses */
    uint64_t bottom_stub;        /* what lies at the bottom of that stack */
    const struct javm_jit *jit;  /* whose stubs these are */
    uint64_t base;               /* guest address 0 */
    uint64_t ways;               /* PVM: address of the native's ways */
    uint32_t jump_count;
};
_Static_assert(JIT_STEP + 1 == JIT_REASONS, "a stub for every reason");
_Static_assert(sizeof(struct jit_context) <= 4096, "the context is one page");

/* Displacement from GS of a member. */
#define CONTEXT_AT(member) (MEMORY_CONTEXT + (int32_t)offsetof(struct jit_context, member))

#endif
