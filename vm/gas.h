/* Gas of a block: the single-pass pipeline model that both instruction sets share (spec: PVM2 9.2,
 * PVM 8.1). A front end turns each instruction into a row; this does the rest. */
#ifndef JAVM_VM_GAS_H
#define JAVM_VM_GAS_H

#include <stdint.h>

struct gas_row {
    uint8_t cycles, slots;
    uint8_t src1, src2; /* register index of a source, GAS_NONE when there is none */
    uint8_t dst;        /* tracked destination, GAS_NONE when there is none */
};
#define GAS_NONE 15 /* the pipeline's 16th register is ready at all times */

/* Memory cycles by footprint (PVM2 9.4). */
static inline uint32_t gas_memory_cycles(uint64_t pages)
{
    return pages <= 2048 ? 25 : pages <= 8192 ? 50 : pages <= 65536 ? 75 : 100;
}

/* `ready` and `cycle` keep growing from block to block: a block that starts when everything
 * before it is done behaves exactly like one that starts from zero, so nothing needs clearing. */
struct gas_pipeline {
    uint64_t ready[16];
    uint64_t base, cycle, max_done;
    uint32_t used;
};

static inline void gas_begin(struct gas_pipeline *p)
{
    uint64_t now = p->max_done > p->cycle ? p->max_done : p->cycle;
    p->base = p->cycle = p->max_done = now;
    p->used = 0;
}

static inline void gas_add(struct gas_pipeline *p, const struct gas_row *row)
{
    if (p->used >= 4) {
        p->cycle++;
        p->used = row->slots;
    } else {
        p->used += row->slots;
    }
    uint64_t start = p->cycle;
    if (p->ready[row->src1] > start)
        start = p->ready[row->src1];
    if (p->ready[row->src2] > start)
        start = p->ready[row->src2];
    uint64_t done = start + row->cycles;
    p->ready[row->dst] = done;
    p->ready[GAS_NONE] = 0;
    if (done > p->max_done)
        p->max_done = done;
}

static inline uint64_t gas_cost(const struct gas_pipeline *p)
{
    uint64_t span = p->max_done - p->base;
    return span > 3 ? span - 3 : 1;
}

#endif
