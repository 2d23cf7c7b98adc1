/* Operations: one table, and one way from registers to operands.
 *
 * What an operation needs of its slots is written in its rules, and checked before it runs: a slot
 * that is empty, reserved, pinned, of another kind, or the same as another operand's. So every
 * misuse faults before anything has changed. */
#include "vm/kernel.h"

#define READ(kinds)              \
    {                            \
        .role = ROLE_READ, kinds \
    }
#define TAKE(kinds)              \
    {                            \
        .role = ROLE_TAKE, kinds \
    }
#define PUT              \
    {                    \
        .role = ROLE_PUT \
    }
#define SWAP              \
    {                     \
        .role = ROLE_SWAP \
    }
#define NUMBER              \
    {                       \
        .role = ROLE_NUMBER \
    }
#define DATA          KIND_BIT(JAVM_DATA)
#define CNODE         KIND_BIT(JAVM_CNODE)
#define IMAGE         KIND_BIT(JAVM_IMAGE)
#define INSTANCE      KIND_BIT(JAVM_INSTANCE)
#define TYPED         (KIND_BIT(JAVM_INSTANCE) | KIND_BIT(JAVM_TYPE))
#define HANDLE(which) .kinds = INSTANCE, .class = CLASS_HANDLE + JAVM_HANDLE_##which

static const struct operation operations[] = {
    [0] = {"REPLY", op_reply, 0, {NUMBER}},
    [1] = {"MGMT_COPY", op_copy, 2, {READ(ANY_KIND), PUT}},
    [2] = {"MGMT_MOVE", op_move, 2, {TAKE(ANY_KIND), PUT}},
    [3] = {"MGMT_DROP", op_drop, 1, {TAKE(ANY_KIND)}},
    [4] = {"MGMT_CNODE_SWAP", op_swap, 2, {SWAP, SWAP}},
    [5] = {"MGMT_CNODE_MINT", op_mint_cnode, 1, {PUT}},
    [6] = {"CNODE_GET_WIDE", op_get_wide, 4, {READ(CNODE), NUMBER, NUMBER, PUT}},
    [7] = {"CNODE_SET_WIDE", op_set_wide, 4, {READ(CNODE), NUMBER, NUMBER, SWAP}},
    [16] = {"HOST_YIELD", op_yield, 1, {{.role = ROLE_READ, HANDLE(YIELD_SENDER)}}},
    [17] = {"SET_IMAGE", op_set_image, 1, {READ(IMAGE)}},
    [18] = {"DERIVE_SPAWN",
            op_derive_spawn,
            3,
            {READ(IMAGE), {.role = ROLE_TAKE, .kinds = CNODE, .optional = true}, PUT}},
    [19] = {"MAKE_IMAGE", op_make_image, 2, {READ(DATA), PUT}},
    [20] = {"SAME_TYPE", op_same_type, 2, {READ(TYPED), READ(TYPED)}},
    [21] = {"TYPE_OF", op_type_of, 2, {READ(TYPED), PUT}},
    [22] = {"READ_DATA", op_read_data, 1, {READ(DATA)}},
    [23] = {"MINT_DATA",
            op_mint_data,
            4,
            {NUMBER, NUMBER, {.role = ROLE_READ, HANDLE(QUOTA)}, PUT}},
    [24] = {"FILE_OPEN", op_file_open, 2, {{.role = ROLE_READ, HANDLE(FILE)}, PUT}},
    [25] = {"FILE_SAVE", op_file_save, 3, {READ(DATA), {.role = ROLE_READ, HANDLE(QUOTA)}, PUT}},
    [26] = {"CALL", op_call, 1, {{.role = ROLE_TAKE, .kinds = INSTANCE, .class = CLASS_IDLE}}},
    [27] = {"CALL_RESUME", op_call_resume, 0, {NUMBER}},
    [28] = {"DROP_RESUME", op_drop_resume, 1, {{.role = ROLE_PUT, .optional = true}}},
    [29] = {"IMAGE_HASH_CHAIN", op_chain, 2, {READ(TYPED), PUT}},
    [30] = {"CALL_PAUSED",
            op_call_paused,
            1,
            {{.role = ROLE_TAKE, .kinds = INSTANCE, .class = CLASS_PAUSED}}},
};
#define OPERATION_COUNT (sizeof operations / sizeof *operations)

/* ---- outcomes --------------------------------------------------------------------------- */

enum step fault_with(struct javm_vm *vm, enum javm_fault fault)
{
    vm->fault = fault;
    return STEP_FAULT;
}

enum step fail_with(struct javm_vm *vm, enum javm_status status, const char *what)
{
    vm->failure = javm_fail(vm->err, status, JAVM_NOWHERE, "%s: %s", what,
                            status == JAVM_E_NOMEM ? "out of memory" : javm_status_name(status));
    return STEP_FAILED;
}

enum step step_of(struct javm_vm *vm, enum javm_status status, const char *what)
{
    return status == JAVM_OK ? STEP_GO_ON : fail_with(vm, status, what);
}

/* ---- operands --------------------------------------------------------------------------- */

static bool class_fits(const struct operand_rule *rule, const struct value *value)
{
    if (rule->class == CLASS_ANY || value_kind(value) != JAVM_INSTANCE)
        return true;
    const struct javm_cap *cap = value_cap(value);
    if (rule->class >= CLASS_HANDLE)
        return cap != NULL &&
               javm_handle_kind(cap) == (enum javm_handle)(rule->class - CLASS_HANDLE);
    const enum javm_instance_status want = rule->class == CLASS_IDLE ? JAVM_IDLE : JAVM_PAUSED;
    if (cap == NULL)
        return value->instance->status == want;
    return javm_instance_of(cap)->status == want &&
           !javm_hash_is_zero(&javm_instance_of(cap)->image_hash); /* no handle */
}

static bool fits(const struct operand_rule *rule, const struct found *found)
{
    const struct value *value = found->value;
    const int kind = value != NULL ? value_kind(value) : KIND_NONE;
    switch ((enum operand_role)rule->role) {
    case ROLE_NUMBER:
        return true;
    case ROLE_PUT:
        return value == NULL && !found->pinned;
    case ROLE_SWAP:
        return !found->pinned && (value == NULL || kind != JAVM_CNODE ||
                                  value->kind != VALUE_NODE || value->node->reserved == 0);
    case ROLE_READ:
    case ROLE_TAKE:
        break;
    }
    if (kind == KIND_NONE || !(rule->kinds & KIND_BIT(kind)) || !class_fits(rule, value))
        return false;
    return rule->role == ROLE_READ ||
           (!found->pinned && (value->kind != VALUE_NODE || value->node->reserved == 0));
}

/* May these two stand together? What is moved or written must not be, or hold, the other. */
static bool apart(const struct operand_rule *rules, const struct operands *o, unsigned i,
                  unsigned k)
{
    if (rules[i].role == ROLE_NUMBER || rules[k].role == ROLE_NUMBER || o->at[i].path.count == 0 ||
        o->at[k].path.count == 0)
        return true;
    return !(rules[i].role != ROLE_READ && path_covers(&o->at[i].path, &o->at[k].path)) &&
           !(rules[k].role != ROLE_READ && path_covers(&o->at[k].path, &o->at[i].path));
}

static enum find_result resolve(struct javm_vm *vm, const struct operation *operation,
                                struct operands *o)
{
    const struct operand_rule *rules = operation->rules;
    for (unsigned i = 0; i < operation->slots; i++) {
        struct operand *at = &o->at[i];
        if (rules[i].role == ROLE_NUMBER || (rules[i].optional && operand_number(o, i) == 0))
            continue;
        path_parse(operand_number(o, i), &at->path);
        if (path_is_slot0(&at->path) && frame_flush_slot0(o->entry) != JAVM_OK)
            return FIND_NOMEM;
        const enum find_result result = slot_find(vm, o->entry, &at->path, &at->found);
        if (result != FIND_OK)
            return result;
        if (!fits(&rules[i], &at->found))
            return FIND_BAD;
        for (unsigned k = 0; k < i; k++)
            if (!apart(rules, o, i, k))
                return FIND_BAD;
    }
    return FIND_OK;
}

enum step operate_with(struct javm_vm *vm, const struct operation *operation)
{
    struct operands o;
    enum step step;
    o.entry = running(vm);
    if (operation->slots == 0)
        return operation->run(vm, &o);
    for (unsigned i = 0; i < operation->slots; i++) {
        o.at[i].path.count = 0;
        o.at[i].found.own.kind = VALUE_EMPTY;
    }
    switch (resolve(vm, operation, &o)) {
    case FIND_OK:
        step = operation->run(vm, &o);
        break;
    case FIND_NOMEM:
        step = fail_with(vm, JAVM_E_NOMEM, operation->name);
        break;
    default:
        step = fault_with(vm, JAVM_FAULT_BAD_OPERAND);
        break;
    }
    for (unsigned i = 0; i < operation->slots; i++)
        value_drop(&o.at[i].found.own);
    return step;
}

/* ---- selectors -------------------------------------------------------------------------- */

static enum step host_call(struct javm_vm *vm, uint64_t selector)
{
    struct entry *e = running(vm);
    if (vm->assist.host.host_call == NULL) {
        if (running_index(vm) != 0)
            return fault_with(vm, JAVM_FAULT_TRAP);
        vm->end = JAVM_END_HOST_CALL;
        return STEP_END;
    }
    struct javm_host_call call = {
        .selector = selector, .regs = e->exec.regs, .memory = e->exec.memory};
    const enum javm_status status = vm->assist.host.host_call(vm->assist.host.context, &call);
    if (status != JAVM_OK)
        return fail_with(vm, status, "host call");
    return call.trap ? fault_with(vm, JAVM_FAULT_TRAP) : STEP_GO_ON;
}

static enum step operate(struct javm_vm *vm, uint64_t selector)
{
    if (selector == 0) /* the most frequent one; it has no slots */
        return op_reply(vm, NULL);
    if (selector >= 64)
        return host_call(vm, selector);
    if (selector >= OPERATION_COUNT || operations[selector].run == NULL)
        return fault_with(vm, JAVM_FAULT_TRAP);
    return operate_with(vm, &operations[selector]);
}

static enum step operate_probed(struct javm_vm *vm, uint64_t selector)
{
    const struct kernel_probe *probe = vm->probe;
    const uint32_t op = selector < UINT32_MAX ? (uint32_t)selector : UINT32_MAX;
    const bool faults = probe->before != NULL && probe->before(probe->context, vm, op);
    const enum step step = faults ? fault_with(vm, JAVM_FAULT_TRAP) : operate(vm, selector);
    if (step != STEP_FAILED && probe->after != NULL)
        probe->after(probe->context, vm, op);
    return step;
}

enum step kernel_operate(struct javm_vm *vm, uint64_t selector)
{
    return vm->probe == NULL ? operate(vm, selector) : operate_probed(vm, selector);
}
