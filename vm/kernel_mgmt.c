/* Operations that move caps: MGMT_* and wide keys. */
#include "vm/kernel.h"

/* Put a value (taken, also when it fails) into the slot of an operand. */
static enum step put(struct javm_vm *vm, struct operands *o, unsigned operand, struct value *value)
{
    const enum javm_status status = slot_put(vm, o->entry, &o->at[operand].path, value);
    value_drop(value);
    return step_of(vm, status, "slot");
}

/* A CNode out of which a callee runs is in use: it can neither leave nor be copied. */
static bool in_use(const struct value *value)
{
    return value->kind == VALUE_RESERVED ||
           (value->kind == VALUE_NODE && value->node->reserved != 0);
}

enum step op_copy(struct javm_vm *vm, struct operands *o)
{
    if (in_use(o->at[0].found.value))
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    struct value copy;
    value_copy(&copy, o->at[0].found.value);
    return put(vm, o, 1, &copy);
}

enum step op_move(struct javm_vm *vm, struct operands *o)
{
    struct value value;
    const enum javm_status status = slot_take(vm, o->entry, &o->at[0].path, &value);
    if (status != JAVM_OK)
        return step_of(vm, status, "slot");
    return put(vm, o, 1, &value);
}

enum step op_drop(struct javm_vm *vm, struct operands *o)
{
    struct value value;
    const enum javm_status status = slot_take(vm, o->entry, &o->at[0].path, &value);
    value_drop(&value);
    return step_of(vm, status, "slot");
}

enum step op_swap(struct javm_vm *vm, struct operands *o)
{
    struct value a, b = {.kind = VALUE_EMPTY};
    enum javm_status status = slot_take(vm, o->entry, &o->at[0].path, &a);
    if (status == JAVM_OK)
        status = slot_take(vm, o->entry, &o->at[1].path, &b);
    if (status == JAVM_OK)
        status = slot_put(vm, o->entry, &o->at[0].path, &b);
    if (status == JAVM_OK)
        status = slot_put(vm, o->entry, &o->at[1].path, &a);
    value_drop(&a);
    value_drop(&b);
    return step_of(vm, status, "slot");
}

enum step op_mint_cnode(struct javm_vm *vm, struct operands *o)
{
    bool paid;
    const struct javm_cap *primary;
    const enum javm_status status = quota_pay_scope(vm, 1, &paid, &primary);
    if (status != JAVM_OK)
        return step_of(vm, status, "quota");
    if (!paid)
        return quota_exhausted(vm, primary);
    struct node *node = node_new();
    if (node == NULL)
        return step_of(vm, JAVM_E_NOMEM, "cnode");
    struct value value = value_of_node(node);
    return put(vm, o, 0, &value);
}

/* ---- wide keys -------------------------------------------------------------------------- */

/* The path of the slot that operands 0..2 name. */
static bool wide_path(const struct operands *o, struct path *path)
{
    *path = o->at[0].path;
    return javm_key_unpack(operand_number(o, 1), operand_number(o, 2), &path->keys[path->count++]);
}

enum step op_get_wide(struct javm_vm *vm, struct operands *o)
{
    struct path path;
    struct found found;
    if (!wide_path(o, &path) || o->at[0].found.pinned)
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    const enum find_result result = slot_find(vm, o->entry, &path, &found);
    if (result == FIND_NOMEM)
        return step_of(vm, JAVM_E_NOMEM, "cnode");
    if (result != FIND_OK || found.value == NULL || in_use(found.value) ||
        value_kind(found.value) == KIND_NONE)
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    struct value copy;
    value_copy(&copy, found.value);
    return put(vm, o, 3, &copy);
}

enum step op_set_wide(struct javm_vm *vm, struct operands *o)
{
    struct path path;
    struct found found;
    struct value value = {.kind = VALUE_EMPTY};
    if (!wide_path(o, &path))
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    const enum find_result result = slot_find(vm, o->entry, &path, &found);
    if (result == FIND_NOMEM)
        return step_of(vm, JAVM_E_NOMEM, "cnode");
    /* The source must not be, or lie in, what it would replace. */
    if (result != FIND_OK || (found.value != NULL && in_use(found.value)) ||
        path_covers(&path, &o->at[3].path))
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    enum javm_status status = slot_take(vm, o->entry, &o->at[3].path, &value);
    if (status == JAVM_OK)
        status = slot_put(vm, o->entry, &path, &value);
    value_drop(&value);
    return step_of(vm, status, "slot");
}
