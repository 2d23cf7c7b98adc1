/* Front ends: what the two instruction sets tell the engines about code, in one form. Behind this
 * nothing knows which set a program came from, except by a few parameters of it. */
#ifndef JAVM_VM_FRONT_H
#define JAVM_VM_FRONT_H

#include "vm/gas.h"
#include "vm/ir.h"

/* An instruction's gas row and internal instruction, and what it is to the walk. */
struct ir_step {
    /* Branch targets are byte offsets into the code in `hi` (BEQ..JAL), IR_NO_TARGET when the
     * target can never be taken legally. Nothing is said unless `executes`. */
    struct ir_insn insn;
    struct gas_row row; /* PVM2 9.3 with the surcharges of 9.4, PVM 8.2; nothing of PVM2's ecalls */
    uint8_t len;
    /* In the order of lower_pvm2.c's rows, which are copied as a word. */
    bool executes;          /* false: it has no effect */
    bool terminator, ecall; /* ecall: a block of its own, charged when it is served */
    bool store;
    bool anywhere; /* all of this is the same at any other offset */
};

/* The instruction at `offset`; false where the code ends, which is never so in PVM: there the end
 * is a trap. */
static inline bool front_next(const struct front *front, uint64_t offset, struct ir_step *step);

bool pvm2_next(const uint8_t *code, uint64_t len, uint64_t offset, uint32_t memory_cycles,
               struct ir_step *step);
bool pvm_next(const struct front *front, uint64_t offset, struct ir_step *step);

static inline bool front_next(const struct front *front, uint64_t offset, struct ir_step *step)
{
    return front_is_pvm(front)
               ? pvm_next(front, offset, step)
               : pvm2_next(front->code, front->len, offset, front->memory_cycles, step);
}

/* One more instruction of a block. A row without cycles is a move, which copies when a register is
 * ready and keeps nothing waiting (PVM 8.1). */
static inline void front_add(struct gas_pipeline *gas, const struct ir_step *step)
{
    if (step->row.cycles == 0)
        gas_move(gas, &step->row);
    else
        gas_add(gas, &step->row);
}

/* What a block costs to whom enters at `pc`, its stores, and how many instructions it has: up to
 * its terminator, the next PVM2 ecall or the code's end. */
struct front_run {
    uint64_t cost, stores, count;
};
struct front_run front_run_at(const struct front *front, uint64_t pc);

/* LIMIT: more code or jumps than an engine takes. */
enum javm_status front_check(uint64_t code_len, const struct javm_program_key *key,
                             struct javm_error *err);

#endif
