/* What has to hold before and after every operation. It is said here once more, by other means than
 * the kernel's own: from the entries, the slots and the meters as they are. */
#include <stdarg.h>

#include "tests/vm/kernel_fuzz.h"

void check_fail(struct fuzz_world *world, const char *format, ...)
{
    va_list args;
    if (world->wrong[0] != '\0')
        return; /* the first is what matters */
    va_start(args, format);
    vsnprintf(world->wrong, sizeof world->wrong, format, args);
    va_end(args);
}

/* ---- the stack -------------------------------------------------------------------------- */

/* The InstanceEntry that runs when `top` is the top. */
static uint32_t runs_at(const struct javm_vm *vm, uint32_t top)
{
    return vm->entries[top].kind == ENTRY_INSTANCE ? top : vm->entries[top].owner;
}

static bool is_owner(const struct javm_vm *vm, uint32_t owner, uint32_t of)
{
    uint32_t at = of;
    while (at != owner && at != NO_ENTRY)
        at = vm->entries[at].owner;
    return at == owner;
}

static void check_reference(struct fuzz_world *world, const struct javm_vm *vm, uint32_t i)
{
    const uint32_t target = vm->entries[i].owner;
    if (i == 0 || target >= i || vm->entries[target].kind != ENTRY_INSTANCE)
        check_fail(world, "entry %u refers to %u: no InstanceEntry below it", i, target);
    else if (runs_at(vm, i - 1) == target || !is_owner(vm, target, runs_at(vm, i - 1)))
        check_fail(world, "entry %u refers to %u: no owner of the frame that yielded", i, target);
}

static void check_frame(struct fuzz_world *world, struct javm_vm *vm, uint32_t i)
{
    const struct entry *e = &vm->entries[i];
    struct value home;
    if (e->owner != (i == 0 ? NO_ENTRY : runs_at(vm, i - 1))) {
        check_fail(world, "entry %u is owned by %u, which did not run", i, e->owner);
        return;
    }
    if (e->scope != NO_ENTRY && (e->scope > i || !is_owner(vm, e->scope, i)))
        check_fail(world, "entry %u is paid for by %u: no owner", i, e->scope);
    if (i == 0)
        return;
    const struct entry *owner = &vm->entries[e->owner];
    if (!view_at(vm, owner, e->home, &home) || home.kind != VALUE_RESERVED)
        check_fail(world, "entry %u: its slot %llx in %u is not reserved", i,
                   (unsigned long long)e->home, e->owner);
}

static void check_stack(struct fuzz_world *world, struct javm_vm *vm)
{
    uint32_t reserved, callees = 0;
    if (vm->depth == 0 || vm->depth > vm->max_depth) {
        check_fail(world, "%u entries, %u at most", vm->depth, vm->max_depth);
        return;
    }
    for (uint32_t i = 0; i < vm->depth && world->wrong[0] == '\0'; i++) {
        if (vm->entries[i].kind == ENTRY_REFERENCE)
            check_reference(world, vm, i);
        else
            check_frame(world, vm, i);
        callees += vm->entries[i].kind == ENTRY_INSTANCE && i != 0;
    }
    /* The digest of the stack has met all slots. */
    if (!digests_reserved(world->digests, &reserved))
        check_fail(world, "an object counts its reserved slots wrongly");
    if (reserved != callees)
        check_fail(world, "%u slots are reserved for %u callees", reserved, callees);
}

/* ---- slots ------------------------------------------------------------------------------ */

static const struct javm_cap *pinning_cap(const struct entry *e)
{
    return e->instance->image != NULL ? e->instance->image : e->program->image;
}

/* What the root has behind pinned slots: nothing may come or go there. */
static uint64_t hidden(struct fuzz_world *world, struct javm_vm *vm, const struct entry *e)
{
    const struct javm_image *image = javm_image_of(pinning_cap(e));
    uint64_t digest = 0;
    for (uint32_t i = 0; i < image->pinned_count; i++) {
        const struct value *value = node_find(e->instance->root, &image->pinned[i].key);
        if (value != NULL)
            digest = digest_mix(digest, digest_value(world->digests, vm->dir, value) + i);
    }
    return digest;
}

static void check_read_only(struct fuzz_world *world, const struct entry *e)
{
    static const uint8_t zeros[PAGE];
    const struct layout *layout = e->layout;
    for (uint32_t i = 1; i < layout->region_count; i++) {
        const struct javm_region *r = &layout->regions[i];
        for (uint32_t k = 0; k < r->pages && !r->writable; k++) {
            const uint8_t *there = javm_memory_page(e->space->memory, r->first_page + k);
            const uint8_t *source =
                r->data != NULL && k < javm_data_pages(r->data) ? javm_data_page(r->data, k) : NULL;
            if (there != NULL && memcmp(there, source != NULL ? source : zeros, PAGE) != 0)
                check_fail(world, "a page of a pinned mapping has changed");
        }
    }
}

/* ---- yields ----------------------------------------------------------------------------- */

bool check_sender(struct javm_vm *vm, struct javm_key *key)
{
    struct value value;
    const struct entry *e = running(vm);
    if (!view_at(vm, e, e->exec.regs[7], &value))
        return false;
    struct javm_cap *cap = view_cap(vm->dir, &value);
    const bool is = cap != NULL && javm_yield_sender_key(cap, key);
    javm_cap_release(cap);
    return is;
}

uint32_t check_catcher(const struct javm_vm *vm, const struct javm_key *key)
{
    const struct entry *e = &vm->entries[running_index(vm)];
    for (; e->owner != NO_ENTRY; e = &vm->entries[e->owner])
        if (e->catches != NULL && javm_yield_receiver_has(e->catches, key))
            return e->owner;
    return NO_ENTRY;
}

static void note_yield(struct fuzz_world *world, struct javm_vm *vm)
{
    const uint64_t *regs = running(vm)->exec.regs;
    struct javm_key key, meter;
    world->before.sets_gas = false;
    world->before.catcher = NO_ENTRY;
    world->before.served = 0;
    if (!check_sender(vm, &key))
        return;
    world->before.catcher = check_catcher(vm, &key);
    if (world->before.catcher != NO_ENTRY || !javm_is_kernel_yield_key(&key))
        return;
    world->before.served = key.bytes[1];
    world->before.sets_gas = javm_key_compare(&key, &JAVM_YK_SET_GAS_METER) == 0 &&
                             javm_key_unpack(regs[8], regs[9], &meter);
    if (world->before.sets_gas) {
        world->before.previous = check_meter(world, vm, &meter);
        world->before.value = regs[10];
    }
}

static void after_yield(struct fuzz_world *world, struct javm_vm *vm)
{
    if (vm->fault != JAVM_FAULT_NONE)
        return;
    const struct entry *top = &vm->entries[vm->depth - 1];
    if (world->before.catcher != NO_ENTRY &&
        (top->kind != ENTRY_REFERENCE || top->owner != world->before.catcher))
        check_fail(world, "a yield did not come to %u, which catches it", world->before.catcher);
    if (!world->before.sets_gas)
        return;
    world->given += world->before.value - world->before.previous;
    if (running(vm)->exec.regs[7] != world->before.previous)
        check_fail(world, "a meter had %llu, not %llu", (unsigned long long)world->before.previous,
                   (unsigned long long)running(vm)->exec.regs[7]);
}

/* ---- ends of callees --------------------------------------------------------------------- */

/* After an operation: what has to be known of frames that are gone before the next. */
static void remember_frames(struct fuzz_world *world, struct javm_vm *vm)
{
    world->frame_count = vm->depth;
    for (uint32_t i = 0; i < vm->depth; i++) {
        const struct entry *e = &vm->entries[i];
        struct fuzz_frame *frame = &world->frames[i];
        *frame = (struct fuzz_frame){.callee = e->kind == ENTRY_INSTANCE && i != 0};
        if (e->kind == ENTRY_REFERENCE)
            continue;
        frame->owner = e->owner;
        frame->home = e->home;
        frame->given = digest_value(world->digests, vm->dir, &e->given);
        frame->pc = e->exec.pc;
        memcpy(frame->regs, e->exec.regs, sizeof frame->regs);
    }
}

/* Frames that faulted since: the slot that each was called from is empty, and slot[0] of the frame
 * that goes on is what it gave. */
static void check_faulted(struct fuzz_world *world, struct javm_vm *vm)
{
    const uint32_t index = running_index(vm);
    const struct entry *e = running(vm);
    struct value home;
    for (uint32_t i = index + 1; i < world->frame_count; i++) {
        const struct fuzz_frame *gone = &world->frames[i];
        if (!gone->callee || gone->owner != index ||
            (i < vm->depth && vm->entries[i].kind == ENTRY_INSTANCE))
            continue;
        if (!view_at(vm, e, gone->home, &home) || home.kind != VALUE_EMPTY)
            check_fail(world, "entry %u faulted, and its slot is not empty", i);
        if (digest_value(world->digests, vm->dir, &e->slot0) != gone->given)
            check_fail(world, "entry %u faulted, and slot[0] is not what it was given", i);
    }
}

/* A callee replied: its Instance is back, its value in φ7, all but φ7 and φ8 as they were. */
static void check_reply(struct fuzz_world *world, struct javm_vm *vm)
{
    const struct fuzz_frame *gone = &world->frames[world->before.index];
    if (world->before.index == 0 || world->before.index >= world->frame_count ||
        vm->fault != JAVM_FAULT_NONE)
        return;
    const struct entry *e = &vm->entries[gone->owner];
    const struct fuzz_frame *owner = &world->frames[gone->owner];
    struct value home;
    uint64_t regs[JAVM_NUM_SLOTS];
    memcpy(regs, owner->regs, sizeof regs);
    regs[7] = world->before.regs[7];
    regs[8] = CALLEE_OK;
    if (running(vm) != e || vm->depth != world->before.index ||
        !view_at(vm, e, gone->home, &home) || view_what(vm->dir, &home) != W_IDLE)
        check_fail(world, "entry %u replied, and is not back in its slot", world->before.index);
    if (memcmp(regs, e->exec.regs, sizeof regs) != 0 || e->exec.pc != owner->pc)
        check_fail(world, "entry %u replied, and registers of its caller changed",
                   world->before.index);
}

/* ---- the probe -------------------------------------------------------------------------- */

static void note(struct fuzz_world *world, struct javm_vm *vm, enum phase phase, uint32_t op)
{
    const struct entry *e = running(vm);
    struct record record = {.phase = (uint8_t)phase,
                            .op = op,
                            .depth = vm->depth,
                            .running = running_index(vm),
                            .pc = e->exec.pc,
                            .gas = e->exec.gas,
                            .used = check_used(vm)};
    memcpy(record.regs, &e->exec.regs[7], sizeof record.regs);
    if (phase == PHASE_BEFORE) {
        record.memory = digest_running(vm);
    } else {
        record.state = digest_stack(world->digests, vm);
        check_stack(world, vm);
    }
    check_gas(world, vm);
    trace_add(world, &record);
}

static uint64_t slots_of_running(struct fuzz_world *world, struct javm_vm *vm)
{
    const struct value self = {.kind = VALUE_INSTANCE, {.instance = running(vm)->instance}};
    return digest_value(world->digests, vm->dir, &self);
}

/* Did the kernel raise a yield since the stack had so many entries, that an owner caught? */
static bool raised(const struct javm_vm *vm, uint32_t depth)
{
    const struct entry *top = &vm->entries[vm->depth - 1];
    return vm->depth == depth + 1 && top->kind == ENTRY_REFERENCE && top->by_kernel;
}

bool check_before(void *context, struct javm_vm *vm, uint32_t op)
{
    struct fuzz_world *world = context;
    const struct entry *e = running(vm);
    if (vm->fault != JAVM_FAULT_NONE && !world->counted && vm->depth != 0)
        world->coverage->other_faults[vm->fault]++;
    vm->fault = JAVM_FAULT_NONE;
    world->coverage->kernel_caught += raised(vm, world->after_depth);
    check_faulted(world, vm);
    note(world, vm, PHASE_BEFORE, op);
    world->before.index = running_index(vm);
    world->before.depth = vm->depth;
    world->before.pinning = pinning_cap(e);
    world->before.quota = check_quota_left(world, vm);
    world->before.hidden = hidden(world, vm, e);
    world->before.slots = slots_of_running(world, vm);
    world->before.pc = e->exec.pc;
    world->before.gas = e->exec.gas;
    memcpy(world->before.regs, e->exec.regs, sizeof world->before.regs);
    if (op == YIELD)
        note_yield(world, vm);
    if (world->trace.count % 32 == 1)
        check_read_only(world, e);
    return false;
}

/* A fault of an operation: nothing has happened. What the frame has in slot[0] may be known better
 * than before, and gas comes back where it was not enough. */
static void check_no_effect(struct fuzz_world *world, struct javm_vm *vm)
{
    const struct entry *e = running(vm);
    const bool exact = vm->fault == JAVM_FAULT_BAD_OPERAND || vm->fault == JAVM_FAULT_DEPTH_LIMIT ||
                       vm->fault == JAVM_FAULT_YIELD_UNHANDLED;
    if (running_index(vm) != world->before.index || vm->depth != world->before.depth ||
        slots_of_running(world, vm) != world->before.slots ||
        (exact && (e->exec.pc != world->before.pc || e->exec.gas != world->before.gas)) ||
        (exact && memcmp(e->exec.regs, world->before.regs, sizeof world->before.regs) != 0))
        check_fail(world, "an operation faulted with %s and had an effect",
                   javm_fault_name(vm->fault));
}

bool check_undone(const struct fuzz_world *world, const struct javm_vm *vm)
{
    const struct entry *e = &vm->entries[world->before.index];
    return vm->depth > world->before.index && e->kind == ENTRY_INSTANCE &&
           e->exec.pc + 4 == world->before.pc;
}

static void count(struct fuzz_world *world, struct javm_vm *vm, uint32_t op)
{
    struct coverage *c = world->coverage;
    c->checks++;
    c->depths[vm->depth]++;
    if (vm->fault != JAVM_FAULT_NONE) {
        if (op < OPERATIONS)
            c->faulted[op][vm->fault]++;
        return;
    }
    if (op >= OPERATIONS || check_undone(world, vm))
        return;
    c->done[op]++;
    if (op == YIELD && world->before.catcher != NO_ENTRY)
        c->caught++;
    else if (op == YIELD)
        c->served[world->before.served & 63]++;
    c->images += op == MAKE_IMAGE && running(vm)->exec.regs[7] == JAVM_OK;
    if ((op == CALL || op == CALL_PAUSED) && vm->depth == world->before.depth)
        c->refused++;
}

void check_after(void *context, struct javm_vm *vm, uint32_t op)
{
    struct fuzz_world *world = context;
    if (op == YIELD)
        after_yield(world, vm);
    note(world, vm, PHASE_AFTER, op);
    check_quota(world, vm, op);
    if (op == REPLY_OP)
        check_reply(world, vm);
    remember_frames(world, vm);
    if (vm->fault != JAVM_FAULT_NONE && op < ASK_OP)
        check_no_effect(world, vm);
    if (vm->depth > world->before.index &&
        vm->entries[world->before.index].kind == ENTRY_INSTANCE) {
        const struct entry *e = &vm->entries[world->before.index];
        if (pinning_cap(e) == world->before.pinning && hidden(world, vm, e) != world->before.hidden)
            check_fail(world, "something came or went behind a pinned slot");
    }
    count(world, vm, op);
    world->coverage->kernel_caught += raised(vm, world->before.depth);
    world->after_depth = vm->depth;
    world->counted = vm->fault != JAVM_FAULT_NONE;
}
