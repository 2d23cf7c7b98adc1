/* Gas of a block: the single-pass pipeline model that both instruction sets share (spec: PVM2 9.2,
 * PVM 8.1). A front end turns each instruction into a row; this does the rest. */
#ifndef JAVM_VM_GAS_H
#define JAVM_VM_GAS_H

#include <stdint.h>

struct gas_row {
    uint8_t dst;        /* tracked destination, GAS_NONE when there is none */
    uint8_t src1, src2; /* register index of a source, GAS_NONE when there is none */
    uint8_t cycles, slots;
};
#define GAS_NONE 15 /* the pipeline's 16th register is ready at all times */

/* Memory cycles by footprint (PVM2 9.4). */
static inline uint32_t gas_memory_cycles(uint64_t pages)
{
    return pages <= 2048 ? 25 : pages <= 8192 ? 50 : pages <= 65536 ? 75 : 100;
}

/* `ready` and `cycle` keep growing from block to block: a block that starts when everything
 * before it is done behaves exactly like one that starts from zero, so nothing needs clearing. The
 * clock is apart so that a loop can keep it in registers. */
struct gas_clock {
    uint64_t cycle, max_done;
    uint32_t used;
};
struct gas_pipeline {
    uint64_t ready[16];
    uint64_t base;
    struct gas_clock clock;
};

static inline void gas_begin(struct gas_pipeline *p)
{
    struct gas_clock *clock = &p->clock;
    uint64_t now = clock->max_done > clock->cycle ? clock->max_done : clock->cycle;
    p->base = clock->cycle = clock->max_done = now;
    clock->used = 0;
}

/* Without branches: which way they would go is different for each instruction. */
static inline uint64_t gas_later(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static inline void gas_step(uint64_t *ready, struct gas_clock *clock, const struct gas_row *row)
{
    uint32_t full = clock->used >= 4;
    uint64_t cycle = clock->cycle + full;
    clock->used = (clock->used & (full - 1)) + row->slots;
    clock->cycle = cycle;
    uint64_t start = gas_later(cycle, gas_later(ready[row->src1], ready[row->src2]));
    uint64_t done = start + row->cycles;
    ready[row->dst] = done;
    ready[GAS_NONE] = 0;
    clock->max_done = gas_later(clock->max_done, done);
}

static inline void gas_add(struct gas_pipeline *p, const struct gas_row *row)
{
    gas_step(p->ready, &p->clock, row);
}

/* PVM's move_reg: its result is ready when its source is; nothing waits for it. */
static inline void gas_move(struct gas_pipeline *p, const struct gas_row *row)
{
    struct gas_clock *clock = &p->clock;
    const uint32_t full = clock->used >= 4;
    clock->used = (clock->used & (full - 1)) + row->slots;
    clock->cycle += full;
    p->ready[row->dst] = p->ready[row->src1];
    p->ready[GAS_NONE] = 0;
}

static inline uint64_t gas_cost(const struct gas_pipeline *p)
{
    uint64_t span = p->clock.max_done - p->base;
    return span > 3 ? span - 3 : 1;
}

#endif
