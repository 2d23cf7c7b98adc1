/* What a block begins with, its label and its gate: for jit_compile.c and jit_pvm.c, in each of
 * which it is inlined, because a program of 100 KB has thousands of blocks. */
#ifndef JAVM_VM_JIT_BLOCK_H
#define JAVM_VM_JIT_BLOCK_H

#include <string.h>

#include "vm/jit_compile.h"

/* Room for the label at `index`, where there is none. */
bool jit_more_labels(struct jit_compiler *c, uint32_t index);

/* The block at `pc` begins here. */
static inline bool jit_add_label(struct jit_compiler *c, uint32_t pc)
{
    const uint32_t index = (pc - c->entry) >> c->native->front.shift;
    if (index >= c->label_room && !jit_more_labels(c, index))
        return false;
    if (index >= c->label_count)
        c->label_count = index + 1;
    c->labels[index] = jit_here(c) + 1;
    return true;
}

/* Where the block at `pc` was put in this region, 0: nowhere (yet). The value is the offset + 1. */
static inline uint32_t jit_label_of(const struct jit_compiler *c, uint32_t pc)
{
    const uint32_t shift = c->native->front.shift, index = (pc - c->entry) >> shift;
    return pc >= c->entry && c->entry + (index << shift) == pc && index < c->label_count
               ? c->labels[index]
               : 0;
}

/* A block's check for gas; its number is filled in later. Returns where. */
static inline uint8_t *jit_open_gate(struct jit_compiler *c)
{
    struct x64 *e = &c->e;
    uint8_t *number;
    if (c->cow) { /* 64 bits: the reserve is the user's number; it is given back at once */
        x64_put(e, 0xB948, 2);
        number = e->at;
        x64_put64(e, 0);
        x64_alu(e, true, X64_SUB, HOST_GAS, HOST_TEMP);
    } else {
        x64_rr(e, true, 0x81, X64_SUB, HOST_GAS);
        number = e->at;
        x64_put32(e, 0);
    }
    x64_jcc(e, X64_B);
    jit_note(c, &c->gates);
    if (c->cow) {
        x64_put(e, 0xB948, 2);
        x64_put64(e, 0);
        x64_alu(e, true, X64_ADD, HOST_GAS, HOST_TEMP);
    }
    return number;
}

static inline void jit_close_gate(struct jit_compiler *c, uint8_t *number, uint64_t cost,
                                  uint64_t stores)
{
    if (!c->cow) {
        if (cost > INT32_MAX)
            c->failed = true;
        const uint32_t need = (uint32_t)cost;
        memcpy(number, &need, 4);
        return;
    }
    uint64_t reserve;
    const uint64_t need = jit_need(&c->native->front.key, cost, stores, &reserve);
    memcpy(number, &need, 8);
    memcpy(number + 8 + 3 + 6 + 2, &reserve, 8);
}

#endif
