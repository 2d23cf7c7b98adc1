/* REPLY and CALL. */
#include "vm/kernel.h"

enum step op_reply(struct javm_vm *vm, struct operands *o)
{
    const uint32_t index = running_index(vm);
    (void)o;
    if (index != 0)
        return end_callee(vm, index, CALLEE_OK, vm->entries[index].exec.regs[7]);
    stack_unwind(vm, 1); /* a yielder that was caught and not resumed */
    vm->end = JAVM_END_HALT;
    return STEP_END;
}

/* The instance of an operand as an object, in place: one that is published from the cache. */
static enum javm_status as_object(struct javm_vm *vm, struct value *value)
{
    struct javm_hash hash;
    struct instance *instance = NULL;
    if (value->kind == VALUE_INSTANCE)
        return JAVM_OK;
    enum javm_status status = javm_cap_hash(value->cap, &hash);
    if (status == JAVM_OK)
        status = prepared_get(&vm->cache, vm->dir, &hash, &instance, NULL);
    if (status == JAVM_OK)
        instance_retain(instance);
    else if (status == JAVM_E_MISSING || status == JAVM_E_LIVE) /* itself not published */
        status = instance_from_cap(vm->dir, value->cap, &instance);
    if (status != JAVM_OK)
        return status;
    javm_cap_release(value->cap);
    *value = value_of_instance(instance);
    return JAVM_OK;
}

/* An Instance that cannot be entered has left its slot: as if its frame had faulted at once. */
static enum step refused(struct javm_vm *vm, enum javm_status status)
{
    struct entry *caller = running(vm);
    if (status == JAVM_E_NOMEM)
        return fail_with(vm, status, "CALL");
    caller->exec.regs[7] = JAVM_FAULT_BAD_OPERAND;
    caller->exec.regs[8] = CALLEE_FAULTED;
    return STEP_GO_ON;
}

static enum step refuse(struct javm_vm *vm, struct operands *o, enum javm_status status)
{
    struct value gone;
    const enum javm_status taken = slot_take(vm, o->entry, &o->at[0].path, &gone);
    value_drop(&gone);
    return refused(vm, taken != JAVM_OK ? taken : status);
}

struct javm_cap *yield_receiver(struct javm_vm *vm, struct entry *entry)
{
    const struct javm_key *slot = &running_image(entry)->yield_receiver_slot;
    if (slot->len == 0)
        return NULL;
    const struct value *value = root_slot(vm, entry, slot);
    struct javm_cap *cap = value != NULL ? value_cap(value) : NULL;
    if (cap == NULL || javm_handle_kind(cap) != JAVM_HANDLE_YIELD_RECEIVER)
        return NULL;
    return javm_cap_retain(cap);
}

enum step op_call(struct javm_vm *vm, struct operands *o)
{
    struct entry *caller = o->entry;
    const uint32_t owner = running_index(vm), index = vm->depth;
    struct value taken;
    if (path_is_slot0(&o->at[0].path)) /* slot[0] itself goes to the callee */
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    if (vm->depth == vm->max_depth)
        return fault_with(vm, JAVM_FAULT_DEPTH_LIMIT);
    enum javm_status status = as_object(vm, o->at[0].found.value);
    struct instance *instance = o->at[0].found.value->instance;
    if (status == JAVM_OK)
        status = prepare_instance(&vm->cache, vm->dir, instance, NULL);
    if (status != JAVM_OK)
        return refuse(vm, o, status);
    const uint64_t number = operand_number(o, 1);
    const struct start start = {
        .endpoint = javm_image_endpoint(javm_image_of(instance->program->image), number),
        .instance = instance,
        .program = instance->program,
        .layout = instance->layout,
        .args = &caller->exec.regs[9],
        .owner = owner,
        .home = operand_number(o, 0)};
    if (start.endpoint == NULL)
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    enum step step;
    if (!gas_charge(vm, instance->program->entry_cost, &step))
        return step;
    status = frame_flush_slot0(caller);
    if (status == JAVM_OK)
        status = slot_reserve(caller, &o->at[0].path, &taken);
    if (status != JAVM_OK)
        return fail_with(vm, status, "CALL");
    struct value slot0;
    value_move(&slot0, &caller->slot0);
    status = stack_push(vm, &start, &slot0);
    if (status != JAVM_OK) {
        struct value nothing = {.kind = VALUE_EMPTY};
        frame_put_slot0(vm, caller, &slot0);
        slot_restore(caller, start.home, &nothing);
        value_drop(&taken);
        return refused(vm, status);
    }
    struct entry *callee = &vm->entries[index];
    callee->catches = yield_receiver(vm, caller);
    if (gas_scope(vm, index) != JAVM_OK) {
        callee->scope = caller->scope;
        callee->exec.gas = caller->exec.gas;
        return end_callee(vm, index, CALLEE_FAULTED, JAVM_FAULT_BAD_OPERAND);
    }
    status = gas_switch(vm, owner, index);
    return status == JAVM_OK ? STEP_GO_ON : fail_with(vm, status, "CALL");
}
