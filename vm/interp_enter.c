/* The interpreter's way into the middle of a block, for runs that begin or go on there. */
#include "vm/front.h"
#include "vm/interp.h"
#include "vm/pvm.h"

uint8_t interp_held(const struct javm_program *program, uint32_t at)
{
    while (at-- > 0) {
        const struct ir_insn *insn = &program->insns[at];
        if (ir_shape_of(insn->op) <= IR_LOAD)
            return insn->rd;
        if (!ir_writes_memory(insn->op))
            break;
    }
    return IR_ZERO;
}

static uint32_t insn_at(const struct javm_program *program, uint64_t pc)
{
    uint32_t low = 1, high = program->straight;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        if (program->pcs[middle] < pc)
            low = middle + 1;
        else
            high = middle;
    }
    return low; /* what has no effect leaves nothing: then it is what follows */
}

uint32_t interp_enter(struct javm_exec *exec)
{
    const struct javm_program *program = exec->program;
    const struct front *front = &program->front;
    exec->exit = JAVM_EXIT_PANIC;
    if (!front_is_pvm(front))
        return 0; /* nothing is charged, pc stays */
    const uint64_t cost = front_run_at(front, exec->pc).cost;
    if (exec->gas < cost) {
        exec->exit = JAVM_EXIT_OUT_OF_GAS;
        return 0;
    }
    exec->gas -= cost;
    return pvm_begins(front, exec->pc) ? insn_at(program, exec->pc) : 0;
}
