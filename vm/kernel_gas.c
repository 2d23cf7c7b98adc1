/* What pays for the gas and the storage of a frame.
 *
 * A frame whose image declares gas slots, at least one of them filled, is a scope: its Gas handles
 * pay in order. Any other frame uses its owner's scope, and at the bottom the budget of the
 * invocation. While a frame runs its payer's gas is in exec.gas; it goes back when another payer's
 * turn comes, so that a meter is right whenever somebody can look at it. */
#include "vm/exec.h"
#include "vm/kernel.h"

/* ---- scopes ----------------------------------------------------------------------------- */

/* The key of a handle in a slot of the frame, false: the slot has none. */
static bool handle_in(struct javm_vm *vm, struct entry *entry, const struct javm_key *slot,
                      enum javm_handle handle, struct javm_key *key)
{
    const struct value *value = root_slot(vm, entry, slot);
    const struct javm_cap *cap = value != NULL ? value_cap(value) : NULL;
    if (cap == NULL)
        return false;
    return handle == JAVM_HANDLE_GAS ? javm_gas_meter_key(cap, key) : javm_quota_key(cap, key);
}

/* Are all slots of a list empty or handles? *first is the first handle's index, or the count. */
static bool check_slots(struct javm_vm *vm, struct entry *entry, const struct javm_key *slots,
                        uint32_t count, enum javm_handle handle, uint32_t *first)
{
    struct javm_key key;
    *first = count;
    for (uint32_t i = count; i-- > 0;) {
        if (root_slot(vm, entry, &slots[i]) == NULL)
            continue;
        if (!handle_in(vm, entry, &slots[i], handle, &key))
            return false;
        *first = i;
    }
    return true;
}

enum javm_status gas_scope(struct javm_vm *vm, uint32_t index)
{
    struct entry *e = &vm->entries[index];
    uint32_t first;
    e->scope = e->owner != NO_ENTRY ? vm->entries[e->owner].scope : NO_ENTRY;
    if (!e->program->has_meters)
        return JAVM_OK;
    const struct javm_image *image = running_image(e);
    if (image->quota_slot_count != 0 &&
        !check_slots(vm, e, image->quota_slots, image->quota_slot_count, JAVM_HANDLE_QUOTA, &first))
        return JAVM_E_KIND;
    if (image->gas_slot_count == 0)
        return JAVM_OK;
    if (!check_slots(vm, e, image->gas_slots, image->gas_slot_count, JAVM_HANDLE_GAS, &first))
        return JAVM_E_KIND;
    if (first < image->gas_slot_count) {
        e->scope = index;
        e->active = first;
    }
    return JAVM_OK;
}

/* The first usable gas slot at or behind `from`. */
static bool next_meter(struct javm_vm *vm, struct entry *scope, uint32_t from, uint32_t *at,
                       struct javm_key *key)
{
    const struct javm_image *image = running_image(scope);
    for (*at = from; *at < image->gas_slot_count; ++*at)
        if (handle_in(vm, scope, &image->gas_slots[*at], JAVM_HANDLE_GAS, key))
            return true;
    return false;
}

/* ---- loading and storing ---------------------------------------------------------------- */

enum javm_status gas_load(struct javm_vm *vm, uint32_t index)
{
    struct entry *e = &vm->entries[index];
    uint64_t gas = 0;
    enum javm_status status = JAVM_OK;
    vm->payer = PAYER_NONE;
    if (e->scope == NO_ENTRY) {
        vm->payer = PAYER_BUDGET;
        gas = vm->budget;
    } else {
        struct entry *scope = &vm->entries[e->scope];
        if (next_meter(vm, scope, scope->active, &scope->active, &vm->payer_key)) {
            vm->payer = PAYER_METER;
            status = assist_get(&vm->assist, METER_GAS, &vm->payer_key, &gas);
        }
    }
    e->exec.gas = vm->loaded = gas;
    return status;
}

enum javm_status gas_store(struct javm_vm *vm, uint32_t index)
{
    const uint64_t gas = vm->entries[index].exec.gas;
    enum javm_status status = JAVM_OK;
    if (vm->payer == PAYER_BUDGET)
        vm->budget = gas;
    else if (vm->payer == PAYER_METER && gas != vm->loaded)
        status = assist_set(&vm->assist, METER_GAS, &vm->payer_key, gas);
    vm->spent += vm->loaded - gas;
    vm->seen = vm->spent;
    vm->loaded = gas;
    return status;
}

enum javm_status gas_switch(struct javm_vm *vm, uint32_t from, uint32_t to)
{
    struct entry *f = &vm->entries[from], *t = &vm->entries[to];
    if (f->scope == t->scope) {
        t->exec.gas = f->exec.gas;
        vm->seen = vm->spent + vm->loaded - f->exec.gas;
        return JAVM_OK;
    }
    const enum javm_status status = gas_store(vm, from);
    return status == JAVM_OK ? gas_load(vm, to) : status;
}

void gas_primary(struct javm_vm *vm, uint32_t index)
{
    const uint32_t scope = vm->entries[index].scope;
    if (scope != NO_ENTRY)
        vm->entries[scope].active = 0; /* gas_load finds the first usable one from there */
}

enum step gas_exhausted(struct javm_vm *vm)
{
    const uint32_t index = running_index(vm);
    struct entry *e = &vm->entries[index];
    struct value payload = {.kind = VALUE_EMPTY};
    struct javm_key key;
    enum javm_status status = gas_store(vm, index);
    if (e->scope != NO_ENTRY) {
        struct entry *scope = &vm->entries[e->scope];
        uint32_t at;
        if (status == JAVM_OK && next_meter(vm, scope, scope->active + 1, &at, &key)) {
            scope->active = at;
            status = gas_load(vm, index);
            if (status == JAVM_OK)
                return STEP_GO_ON;
        }
        if (status == JAVM_OK && next_meter(vm, scope, 0, &at, &key))
            value_copy(&payload, root_slot(vm, scope, &running_image(scope)->gas_slots[at]));
    }
    if (status != JAVM_OK)
        return fail_with(vm, status, "gas meter");
    const struct yield yield = {
        .key = &JAVM_YK_OOG, .by_kernel = true, .fault = JAVM_FAULT_OUT_OF_GAS};
    return kernel_raise(vm, &yield, &payload);
}

bool gas_charge(struct javm_vm *vm, uint64_t cost, enum step *step)
{
    struct entry *e = running(vm);
    if (!vm->cache.full)
        return true;
    if (e->exec.gas >= cost) {
        e->exec.gas -= cost;
        return true;
    }
    exec_undo_ecall(&e->exec);
    *step = gas_exhausted(vm);
    return false;
}

enum javm_status javm_vm_set_gas(struct javm_vm *vm, const struct javm_key *meter, uint64_t gas,
                                 struct javm_error *err)
{
    enum javm_status status = JAVM_OK;
    if (!vm->paused)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE, "no invocation is paused");
    /* What the frame had went back to its payer when it paused; a resume loads it anew. */
    if (meter == NULL)
        vm->budget = gas;
    else
        status = assist_set(&vm->assist, METER_GAS, meter, gas);
    return status == JAVM_OK
               ? status
               : javm_fail(err, status, JAVM_NOWHERE, "gas meter: %s", javm_status_name(status));
}

/* ---- storage ---------------------------------------------------------------------------- */

enum javm_status quota_pay(struct javm_vm *vm, const struct javm_cap *handle, uint64_t pages,
                           bool *paid)
{
    struct javm_key key;
    uint64_t left = 0;
    *paid = false;
    if (!javm_quota_key(handle, &key))
        return JAVM_OK;
    const enum javm_status status = assist_get(&vm->assist, METER_QUOTA, &key, &left);
    *paid = status == JAVM_OK && left >= pages;
    if (!*paid || pages == 0)
        return status;
    return assist_set(&vm->assist, METER_QUOTA, &key, left - pages);
}

enum javm_status quota_pay_scope(struct javm_vm *vm, uint64_t pages, bool *paid,
                                 const struct javm_cap **primary)
{
    enum javm_status status = JAVM_OK;
    *primary = NULL;
    struct entry *e = running(vm);
    while (e->quotas != NO_ENTRY) {
        e = &vm->entries[e->quotas];
        const struct javm_image *image = running_image(e);
        *paid = false;
        for (uint32_t k = 0; k < image->quota_slot_count && status == JAVM_OK && !*paid; k++) {
            struct javm_key key;
            if (!handle_in(vm, e, &image->quota_slots[k], JAVM_HANDLE_QUOTA, &key))
                continue;
            const struct javm_cap *handle = root_slot(vm, e, &image->quota_slots[k])->cap;
            if (*primary == NULL)
                *primary = handle;
            status = quota_pay(vm, handle, pages, paid);
        }
        if (status != JAVM_OK || *primary != NULL)
            return status;
        if (e->owner == NO_ENTRY)
            break;
        e = &vm->entries[e->owner];
    }
    *paid = true; /* nobody declares a quota */
    return JAVM_OK;
}

enum step quota_exhausted(struct javm_vm *vm, const struct javm_cap *handle)
{
    const struct yield yield = {
        .key = &JAVM_YK_STORAGE_EXHAUSTED, .by_kernel = true, .fault = JAVM_FAULT_STORAGE};
    struct value payload = value_of_cap(javm_cap_retain(handle));
    exec_undo_ecall(&running(vm)->exec);
    return kernel_raise(vm, &yield, &payload);
}
