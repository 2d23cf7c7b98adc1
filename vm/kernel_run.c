/* The loop: run a frame to an exit, do what the exit asks for, until the invocation is at its end.
 */
#include <time.h>

#include "vm/kernel.h"

/* A guest that does nothing but operations never uses up a slice of the engine's: so often the
 * clock is looked at here. */
#define OPERATIONS_PER_LOOK 256u

static bool too_late(struct javm_vm *vm, uint64_t deadline_ns)
{
    struct timespec now;
    if (deadline_ns == 0 || ++vm->operations < OPERATIONS_PER_LOOK)
        return false;
    vm->operations = 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec >= deadline_ns;
}

static enum step timed_out(struct javm_vm *vm)
{
    vm->end = JAVM_END_TIMEOUT;
    return STEP_END;
}

static enum step after_exit(struct javm_vm *vm, struct entry *e)
{
    switch (e->exec.exit) {
    case JAVM_EXIT_HOST_CALL:
        return kernel_operate(vm, (uint64_t)e->exec.exit_arg);
    case JAVM_EXIT_ECALL_JAR:
        return kernel_operate(vm, e->exec.regs[11]);
    case JAVM_EXIT_OUT_OF_GAS:
        return gas_exhausted(vm);
    case JAVM_EXIT_NONE:
        return timed_out(vm);
    case JAVM_EXIT_TRAP:
        return fault_with(vm, JAVM_FAULT_TRAP);
    case JAVM_EXIT_PAGE_FAULT:
        return fault_with(vm, JAVM_FAULT_PAGE_FAULT);
    case JAVM_EXIT_HALT: /* PVM's other way to reply */
        return kernel_operate(vm, 0);
    case JAVM_EXIT_PANIC:
        break;
    }
    return fault_with(vm, JAVM_FAULT_PANIC);
}

/* The bottom frame pays for its own entry; it runs out of gas like at a block. */
static bool pay_entry(struct entry *e)
{
    e->exec.failed = false;
    if (e->exec.gas < e->unpaid) {
        e->exec.exit = JAVM_EXIT_OUT_OF_GAS;
        return false;
    }
    e->exec.gas -= e->unpaid;
    e->unpaid = 0;
    return true;
}

/* A fault ends the frame that runs, and at the bottom the invocation. */
static enum step end_frame(struct javm_vm *vm)
{
    const uint32_t index = running_index(vm);
    if (index != 0)
        return end_callee(vm, index, CALLEE_FAULTED, (uint64_t)vm->fault);
    stack_unwind(vm, 1);
    vm->end = JAVM_END_FAULTED;
    return STEP_END;
}

enum step kernel_refuse(struct javm_vm *vm)
{
    const bool oog = javm_key_compare(&vm->pause_key, &JAVM_YK_OOG) == 0;
    const enum javm_status status = gas_load(vm, running_index(vm));
    if (status != JAVM_OK)
        return fail_with(vm, status, "refusal");
    fault_with(vm, !vm->by_kernel ? JAVM_FAULT_YIELD_UNHANDLED
                   : oog          ? JAVM_FAULT_OUT_OF_GAS
                                  : JAVM_FAULT_STORAGE);
    return end_frame(vm);
}

enum javm_status kernel_run(struct javm_vm *vm, uint64_t deadline_ns)
{
    for (;;) {
        struct entry *e = running(vm);
        if (e->unpaid == 0 || pay_entry(e))
            javm_exec_run(&e->exec, deadline_ns);
        if (e->exec.failed)
            return javm_fail(vm->err, JAVM_E_NOMEM, JAVM_NOWHERE,
                             e->space->memory->failed
                                 ? "guest memory: the system gives no more (vm.max_map_count?)"
                                 : "invocation: out of memory");
        enum step step = after_exit(vm, e);
        if (step == STEP_FAULT)
            step = end_frame(vm);
        if (step == STEP_GO_ON && too_late(vm, deadline_ns))
            step = timed_out(vm);
        if (step == STEP_END)
            return JAVM_OK;
        if (step == STEP_FAILED)
            return vm->failure;
    }
}
