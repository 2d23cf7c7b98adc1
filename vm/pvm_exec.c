#include "vm/pvm_exec.h"

#include "vm/memory.h"
#include "vm/pvm.h"

bool pvm_exec_begin(struct javm_exec *exec, const struct front *front)
{
    if (exec->pc <= front->len)
        return true;
    /* Behind the code there are traps; engines know the one at its end. */
    exec->exit_arg = 0;
    exec->fault_addr = 0;
    exec->fault_write = false;
    exec->exit = exec->gas == 0 ? JAVM_EXIT_OUT_OF_GAS
                 : front->flat  ? JAVM_EXIT_PANIC
                                : JAVM_EXIT_TRAP;
    if (exec->gas != 0)
        exec->gas--;
    if (exec->exit == JAVM_EXIT_PANIC)
        exec->pc = 0;
    return false;
}

/* The page that refused; the low ones of gp panic. */
static void settle_fault(struct javm_exec *exec, const struct front *front)
{
    struct ir_step step;
    pvm_next(front, exec->pc, &step);
    const uint32_t page = memory_refused(exec->memory, (uint32_t)exec->fault_addr,
                                         ir_access_width(step.insn.op), exec->fault_write);
    exec->exit_arg = page;
    if (front->key.pvm == JAVM_PVM_GP && page < PVM_LOW) {
        exec->exit = JAVM_EXIT_PANIC;
        exec->exit_arg = 0;
        exec->fault_addr = 0;
        exec->fault_write = false;
    }
}

void pvm_exec_end(struct javm_exec *exec, const struct front *front)
{
    if (exec->failed)
        return;
    if (exec->exit == JAVM_EXIT_OUT_OF_GAS) {
        if (front->flat)
            pvm_exec_step(exec, front);
        else
            exec->gas = 0;
    } else if (front->flat && exec->exit == JAVM_EXIT_PAGE_FAULT) {
        exec->gas += front_run_at(front, exec->pc).count - 1; /* what was not reached */
    }
    if (exec->failed)
        return;
    switch (exec->exit) {
    case JAVM_EXIT_PAGE_FAULT:
        settle_fault(exec, front);
        break;
    case JAVM_EXIT_HOST_CALL:
    case JAVM_EXIT_ECALL_JAR:
        exec->exit_pc = exec->pc;
        exec->pc += 1 + pvm_skip(front, exec->pc);
        break;
    default:
        break;
    }
    if (front->key.pvm == JAVM_PVM_GP &&
        (exec->exit == JAVM_EXIT_PANIC || exec->exit == JAVM_EXIT_HALT))
        exec->pc = 0;
}
