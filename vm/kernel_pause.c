#include "vm/kernel.h"
enum javm_status pause_freeze(struct javm_vm *vm, uint32_t index, const struct javm_key *key,
                              bool by_kernel, struct instance **paused)
{
    (void)key;
    (void)by_kernel;
    (void)paused;
    stack_unwind(vm, index);
    return JAVM_E_UNSUPPORTED;
}
enum step op_call_paused(struct javm_vm *vm, struct operands *o)
{
    (void)o;
    return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
}
