/* Yields: who catches one, what the kernel does with those that are its own, and going on after
 * them.
 *
 * A frame catches what a frame below it on the owner path yields if the YieldReceiver that it had
 * when it made the CALL on that path has the key. It then runs again, as a ReferenceEntry on top,
 * while everything it called waits underneath. */
#include "vm/kernel.h"

/* ---- served by the kernel --------------------------------------------------------------- */

/* A new handle (NULL: out of memory) into the slot of an operand. */
static enum javm_status put_handle(struct javm_vm *vm, struct operands *o, unsigned operand,
                                   struct javm_cap *handle)
{
    struct value value = value_of_cap(handle);
    const enum javm_status status =
        handle != NULL ? slot_put(vm, o->entry, &o->at[operand].path, &value) : JAVM_E_NOMEM;
    value_drop(&value);
    return status;
}

/* The key in φ8 and φ9. */
static bool key_operand(const struct operands *o, struct javm_key *key)
{
    return javm_key_unpack(operand_number(o, 1), operand_number(o, 2), key);
}

static enum step serve_mint_yield(struct javm_vm *vm, struct operands *o)
{
    struct javm_key key;
    if (!key_operand(o, &key))
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    enum javm_status status = put_handle(vm, o, 3, javm_yield_sender(&key));
    if (status == JAVM_OK)
        status = put_handle(vm, o, 4, javm_yield_receiver(&key, 1));
    return step_of(vm, status, "handle");
}

static enum step serve_merge(struct javm_vm *vm, struct operands *o)
{
    struct javm_cap *merged = javm_merge_yield_receivers(value_cap(o->at[1].found.value),
                                                         value_cap(o->at[2].found.value));
    return step_of(vm, put_handle(vm, o, 3, merged), "handle");
}

static enum step set_meter(struct javm_vm *vm, struct operands *o, enum meter meter)
{
    struct javm_key key;
    uint64_t before = 0;
    const uint32_t index = running_index(vm);
    if (!key_operand(o, &key))
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    /* The meter may be the one that pays right now. */
    enum javm_status status = gas_store(vm, index);
    if (status == JAVM_OK)
        status = assist_get(&vm->assist, meter, &key, &before);
    if (status == JAVM_OK)
        status = assist_set(&vm->assist, meter, &key, operand_number(o, 3));
    if (status == JAVM_OK)
        status = gas_load(vm, index);
    o->entry->exec.regs[7] = before;
    return step_of(vm, status, "meter");
}

static enum step serve_set_gas(struct javm_vm *vm, struct operands *o)
{
    return set_meter(vm, o, METER_GAS);
}

static enum step serve_set_quota(struct javm_vm *vm, struct operands *o)
{
    return set_meter(vm, o, METER_QUOTA);
}

static enum step serve_mint_gas(struct javm_vm *vm, struct operands *o)
{
    struct javm_key key;
    if (!key_operand(o, &key))
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    return step_of(vm, put_handle(vm, o, 3, javm_gas_handle(&key)), "handle");
}

static enum step serve_mint_quota(struct javm_vm *vm, struct operands *o)
{
    struct javm_key key;
    if (!key_operand(o, &key))
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    return step_of(vm, put_handle(vm, o, 3, javm_quota_handle(&key)), "handle");
}

static enum step serve_attest(struct javm_vm *vm, struct operands *o)
{
    return step_of(vm,
                   assist_attest(&vm->assist, &JAVM_YK_ATTEST, value_cap(o->at[1].found.value),
                                 &o->entry->exec.regs[7]),
                   "attestation");
}

#define NUMBER              \
    {                       \
        .role = ROLE_NUMBER \
    }
#define PUT              \
    {                    \
        .role = ROLE_PUT \
    }
#define RECEIVER                                             \
    {                                                        \
        .role = ROLE_READ, .kinds = KIND_BIT(JAVM_INSTANCE), \
        .class = CLASS_HANDLE + JAVM_HANDLE_YIELD_RECEIVER   \
    }

/* Rules are for φ7 on; φ7 is HOST_YIELD's own. */
static const struct {
    const struct javm_key *key;
    struct operation operation;
} served[] = {
    {&JAVM_YK_MINT_YIELD,
     {"kernel:mint_yield", serve_mint_yield, 5, {NUMBER, NUMBER, NUMBER, PUT, PUT}}},
    {&JAVM_YK_MERGE_YIELD_RECEIVER,
     {"kernel:merge_yield_receiver", serve_merge, 4, {NUMBER, RECEIVER, RECEIVER, PUT}}},
    {&JAVM_YK_SET_GAS_METER, {"kernel:set_gas_meter", serve_set_gas, 0, {NUMBER}}},
    {&JAVM_YK_MINT_GAS, {"kernel:mint_gas", serve_mint_gas, 4, {NUMBER, NUMBER, NUMBER, PUT}}},
    {&JAVM_YK_SET_STORAGE_QUOTA, {"kernel:set_storage_quota", serve_set_quota, 0, {NUMBER}}},
    {&JAVM_YK_MINT_QUOTA,
     {"kernel:mint_quota", serve_mint_quota, 4, {NUMBER, NUMBER, NUMBER, PUT}}},
    {&JAVM_YK_ATTEST,
     {"kernel:attest",
      serve_attest,
      2,
      {NUMBER, {.role = ROLE_READ, .kinds = KIND_BIT(JAVM_DATA)}}}},
};

static const struct operation *service(const struct javm_key *key)
{
    for (size_t i = 0; i < sizeof served / sizeof *served; i++)
        if (javm_key_compare(served[i].key, key) == 0)
            return &served[i].operation;
    return NULL;
}

/* ---- routing ---------------------------------------------------------------------------- */

/* The nearest owner that catches the key, or NO_ENTRY. */
static uint32_t catcher_of(const struct javm_vm *vm, const struct javm_key *key)
{
    const struct entry *e = &vm->entries[running_index(vm)];
    for (; e->owner != NO_ENTRY; e = &vm->entries[e->owner])
        if (e->catches != NULL && javm_yield_receiver_has(e->catches, key))
            return e->owner;
    return NO_ENTRY;
}

/* What goes along: what the kernel sends, or slot[0] of the frame that yields. */
static enum javm_status take_payload(struct entry *yielder, bool by_kernel, struct value *payload)
{
    if (by_kernel)
        return JAVM_OK;
    const enum javm_status status = frame_flush_slot0(yielder);
    if (status == JAVM_OK)
        value_move(payload, &yielder->slot0);
    return status;
}

static enum step deliver(struct javm_vm *vm, const struct yield *yield, uint32_t catcher,
                         struct value *payload)
{
    const uint32_t from = running_index(vm);
    struct entry *handler = &vm->entries[catcher];
    enum javm_status status = take_payload(&vm->entries[from], yield->by_kernel, payload);
    if (status == JAVM_OK)
        status = gas_switch(vm, from, catcher);
    if (status != JAVM_OK)
        return fail_with(vm, status, "yield");
    stack_push_reference(vm, catcher, yield->key, yield->by_kernel);
    frame_put_slot0(vm, handler, payload);
    handler->exec.regs[7] = javm_key_pack(yield->key);
    handler->exec.regs[8] = CALLEE_PAUSED;
    return STEP_GO_ON;
}

/* To the host. slot[0] stays with the yielder; what the host gets is a copy. */
static enum step pause(struct javm_vm *vm, const struct yield *yield, struct value *payload)
{
    struct entry *yielder = running(vm);
    if (!yield->by_kernel) {
        if (frame_flush_slot0(yielder) != JAVM_OK)
            return fail_with(vm, JAVM_E_NOMEM, "yield");
        value_copy(payload, &yielder->slot0);
    }
    value_move(&vm->payload, payload);
    vm->paused = true;
    vm->by_kernel = yield->by_kernel;
    vm->pause_key = *yield->key;
    vm->end = JAVM_END_PAUSED;
    return STEP_END;
}

enum step kernel_raise(struct javm_vm *vm, const struct yield *yield, struct value *payload)
{
    enum step step;
    const uint32_t catcher = catcher_of(vm, yield->key);
    if (catcher != NO_ENTRY)
        step = vm->depth < vm->max_depth
                   ? deliver(vm, yield, catcher, payload)
                   : fault_with(vm, yield->by_kernel ? yield->fault : JAVM_FAULT_DEPTH_LIMIT);
    else if (yield->serve != NULL)
        step = operate_with(vm, yield->serve);
    else if (vm->can_pause)
        step = pause(vm, yield, payload);
    else
        step = fault_with(vm, yield->fault);
    value_drop(payload);
    return step;
}

enum step op_yield(struct javm_vm *vm, struct operands *o)
{
    struct javm_key key;
    struct value payload = {.kind = VALUE_EMPTY};
    if (!javm_yield_sender_key(value_cap(o->at[0].found.value), &key))
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    const struct yield yield = {
        .key = &key, .serve = service(&key), .fault = JAVM_FAULT_YIELD_UNHANDLED};
    return kernel_raise(vm, &yield, &payload);
}

/* ---- handlers --------------------------------------------------------------------------- */

enum step resume_yielder(struct javm_vm *vm, const struct javm_key *key, bool by_kernel,
                         struct value *slot0)
{
    const uint32_t yielder = running_index(vm);
    if (slot0 != NULL)
        frame_put_slot0(vm, &vm->entries[yielder], slot0);
    if (by_kernel && javm_key_compare(key, &JAVM_YK_OOG) == 0)
        gas_primary(vm, yielder);
    return step_of(vm, gas_load(vm, yielder), "resume");
}

enum step op_call_resume(struct javm_vm *vm, struct operands *o)
{
    const struct entry *top = &vm->entries[vm->depth - 1];
    if (top->kind != ENTRY_REFERENCE)
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    enum javm_status status = frame_flush_slot0(o->entry);
    if (status == JAVM_OK)
        status = gas_store(vm, top->owner);
    if (status != JAVM_OK)
        return fail_with(vm, status, "resume");
    struct value slot0;
    value_move(&slot0, &o->entry->slot0);
    if (top->by_kernel)
        value_drop(&slot0);
    vm->depth--;
    return resume_yielder(vm, &top->key, top->by_kernel, top->by_kernel ? NULL : &slot0);
}

/* The frame that the handler called, on the path to the yielder: it and all above are given up. */
static uint32_t called_by_handler(const struct javm_vm *vm, uint32_t handler)
{
    const struct entry *below = &vm->entries[vm->depth - 2];
    uint32_t index = below->kind == ENTRY_INSTANCE ? vm->depth - 2 : below->owner;
    while (vm->entries[index].owner != handler)
        index = vm->entries[index].owner;
    return index;
}

enum step op_drop_resume(struct javm_vm *vm, struct operands *o)
{
    const struct entry *top = &vm->entries[vm->depth - 1];
    const bool keep = o->at[0].path.count != 0;
    if (top->kind != ENTRY_REFERENCE)
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    const struct javm_key key = top->key;
    const bool by_kernel = top->by_kernel;
    const uint32_t index = called_by_handler(vm, top->owner);
    vm->depth--;
    if (!keep) {
        stack_unwind(vm, index);
        return STEP_GO_ON;
    }
    struct instance *paused = NULL;
    enum javm_status status = pause_freeze(vm, index, &key, by_kernel, false, &paused);
    if (status != JAVM_OK)
        return fail_with(vm, status, "DROP_RESUME");
    struct value value = value_of_instance(paused);
    status = slot_put(vm, o->entry, &o->at[0].path, &value);
    value_drop(&value);
    return step_of(vm, status, "DROP_RESUME");
}
