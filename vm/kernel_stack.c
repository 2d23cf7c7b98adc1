/* Entries: pushing them, dropping them, ending them. */
#include <stdlib.h>
#include <string.h>

#include "vm/kernel.h"

/* ---- pushing ---------------------------------------------------------------------------- */

/* slot[0] of a new frame: what it is given, else what the instance has there; where it is mapped,
 * also the image's initial one. */
static void choose_slot0(const struct start *start, struct value *given, struct value *slot0)
{
    static const struct javm_key key = {.len = 1};
    const struct cached_program *p = start->program;
    const struct node *root = start->instance->root;
    value_move(slot0, given);
    if (slot0->kind != VALUE_EMPTY || p->slot0_pinned || start->endpoint == NULL)
        return;
    const struct value *own = root->used != 0 ? node_find(root, &key) : NULL;
    if (own != NULL) {
        value_copy(slot0, own);
    } else if (p->scratch_region != 0) {
        const struct javm_cap *initial = start->layout->regions[p->scratch_region].data;
        if (initial != NULL)
            *slot0 = value_of_cap(javm_cap_retain(initial));
    }
}

/* Attach a memory to the layout; slot[0] is chosen. */
static enum javm_status attach(struct javm_vm *vm, const struct start *start, struct value *slot0,
                               struct space **space)
{
    const struct cached_program *p = start->program;
    struct memory_layout layout = {.regions = start->layout->regions,
                                   .count = start->layout->region_count,
                                   .scratch = p->scratch_region,
                                   .space = p->space,
                                   .id = start->layout->id,
                                   .constant =
                                       true}; /* code and pinned Data: the image names them */
    if (p->scratch_region != 0) {
        layout.scratch_data = frame_shown(vm, p, slot0);
        if (layout.scratch_data == NULL && start->endpoint != NULL &&
            value_kind(slot0) == JAVM_DATA)
            return JAVM_E_RANGE;
    }
    struct space *taken = spaces_take(&vm->spaces, p->space);
    if (taken == NULL)
        return JAVM_E_NOMEM;
    if (memory_attach_warm(taken->memory, &layout) != JAVM_OK) {
        taken->id = 0;
        spaces_give(&vm->spaces, taken);
        return JAVM_E_NOMEM;
    }
    *space = taken;
    return JAVM_OK;
}

static void set_registers(struct javm_exec *exec, const struct start *start)
{
    const struct javm_endpoint *endpoint = start->endpoint;
    memcpy(exec->regs, endpoint->initial_regs, sizeof endpoint->initial_regs);
    exec->regs[13] = exec->regs[14] = 0;
    if (endpoint->stack_top != 0 && endpoint->initial_regs[1] == 0)
        exec->regs[1] = endpoint->stack_top;
    memcpy(&exec->regs[7], start->args, 4 * sizeof *start->args);
    exec->pc = endpoint->entry_pc;
}

enum javm_status stack_push(struct javm_vm *vm, const struct start *start, struct value *slot0)
{
    struct cached_program *p = start->program;
    struct entry *e = &vm->entries[vm->depth];
    const bool was_given = slot0->kind != VALUE_EMPTY;
    choose_slot0(start, slot0, &e->slot0);
    const enum javm_status status = attach(vm, start, &e->slot0, &e->space);
    if (status != JAVM_OK) {
        if (was_given)
            value_move(slot0, &e->slot0);
        value_drop(&e->slot0);
        return status;
    }
    value_copy(&e->given, &e->slot0);
    e->kind = ENTRY_INSTANCE;
    e->owner = start->owner;
    e->home = start->home;
    e->instance = start->instance;
    e->program = program_retain(p);
    e->layout = layout_retain(start->layout);
    e->catches = NULL;
    e->scope = NO_ENTRY;
    if (p->has_meters && running_image(e)->quota_slot_count != 0)
        e->quotas = vm->depth;
    else
        e->quotas = e->owner != NO_ENTRY ? vm->entries[e->owner].quotas : NO_ENTRY;
    e->active = 0;
    e->replaced = 0;
    e->replaced_more = NULL;
    e->exec.program = p->program;
    e->exec.native = p->native;
    e->exec.memory = e->space->memory;
    e->exec.engine = vm->engine;
    e->exec.gas = 0;
    e->exec.keeps_gas = true;
    e->unpaid = 0;
    e->seen_before = vm->seen;
    if (start->endpoint != NULL)
        set_registers(&e->exec, start);
    vm->depth++;
    return JAVM_OK;
}

void stack_push_reference(struct javm_vm *vm, uint32_t target, const struct javm_key *key,
                          bool by_kernel)
{
    struct entry *e = &vm->entries[vm->depth++];
    e->kind = ENTRY_REFERENCE;
    e->owner = target;
    e->key = *key;
    e->by_kernel = by_kernel;
}

/* ---- popping ---------------------------------------------------------------------------- */

/* Everything that the top entry holds but its instance; memory first, which borrows from it. */
static void release_frame(struct javm_vm *vm, struct entry *e)
{
    struct javm_memory *memory = e->space->memory;
    vm->stats.pages_touched += memory->filled;
    memory_finish(memory, vm->seen - e->seen_before);
    spaces_give(&vm->spaces, e->space);
    value_drop(&e->slot0);
    value_drop(&e->given);
    javm_cap_release(e->catches);
    free(e->replaced_more);
    layout_release(e->layout);
    program_release(e->program);
    vm->depth--;
}

/* `restore`: empty the slots of owners from `index` up too; the one below is emptied always. */
static void drop_entries(struct javm_vm *vm, uint32_t index, bool restore)
{
    while (vm->depth > index) {
        struct entry *e = &vm->entries[vm->depth - 1];
        if (e->kind == ENTRY_REFERENCE) {
            vm->depth--;
            continue;
        }
        struct value nothing = {.kind = VALUE_EMPTY};
        if (e->owner != NO_ENTRY && (restore || e->owner < index))
            slot_restore(&vm->entries[e->owner], e->home, &nothing);
        struct instance *instance = e->instance;
        release_frame(vm, e);
        instance_release(instance);
    }
}

void stack_unwind(struct javm_vm *vm, uint32_t index)
{
    drop_entries(vm, index, true);
}

void stack_release(struct javm_vm *vm, uint32_t index)
{
    drop_entries(vm, index, false);
}

void stack_forget(struct javm_vm *vm)
{
    struct entry *e = &vm->entries[vm->depth - 1];
    struct instance *instance = e->instance;
    release_frame(vm, e);
    instance_release(instance);
}

/* The frame is the top and takes its leave in order: *instance and *slot0 are the caller's then. */
static void pop(struct javm_vm *vm, bool fault, struct instance **instance, struct value *slot0)
{
    struct entry *e = &vm->entries[vm->depth - 1];
    *instance = e->instance;
    value_move(slot0, fault ? &e->given : &e->slot0);
    release_frame(vm, e);
}

/* HALT leaves slot[0] of the instance empty: it goes back to the caller. */
static enum javm_status empty_slot0(struct entry *e)
{
    static const struct path slot0 = {.count = 1, .keys = {{.len = 1}}};
    struct value nothing = {.kind = VALUE_EMPTY};
    if (e->program->slot0_pinned || e->instance->root->used == 0 ||
        node_find(e->instance->root, &slot0.keys[0]) == NULL)
        return JAVM_OK;
    const enum javm_status status = slot_store(e, &slot0, &nothing);
    if (status == JAVM_OK && e->program->scratch_region != 0) {
        layout_release(e->instance->layout); /* it shows what was there */
        e->instance->layout = NULL;
    }
    return status;
}

enum javm_status frame_halt(struct javm_vm *vm, struct entry *entry)
{
    enum javm_status status = frame_write_back(vm, entry);
    if (status == JAVM_OK)
        status = frame_flush_slot0(entry);
    return status == JAVM_OK ? empty_slot0(entry) : status;
}

enum step end_callee(struct javm_vm *vm, uint32_t index, enum callee_status status, uint64_t value)
{
    const bool fault = status == CALLEE_FAULTED;
    struct instance *instance;
    struct value slot0, result = {.kind = VALUE_EMPTY};
    stack_unwind(vm, index + 1);
    const uint32_t owner = vm->entries[index].owner;
    const uint64_t home = vm->entries[index].home;
    enum javm_status bad = JAVM_OK;
    if (!fault)
        bad = frame_halt(vm, &vm->entries[index]);
    if (bad == JAVM_OK)
        bad = gas_switch(vm, index, owner);
    if (bad != JAVM_OK)
        return fail_with(vm, bad, "end of a call");
    pop(vm, fault, &instance, &slot0);
    struct entry *o = &vm->entries[owner];
    if (fault)
        instance_release(instance);
    else
        result = value_of_instance(instance);
    slot_restore(o, home, &result);
    frame_put_slot0(vm, o, &slot0);
    o->exec.regs[7] = value;
    o->exec.regs[8] = (uint64_t)status;
    return STEP_GO_ON;
}
