/* Operations on Data, types and files. */
#include <string.h>

#include "vm/kernel.h"

/* A new cap (its reference is taken; NULL: out of memory) into the slot of an operand. */
static enum step put(struct javm_vm *vm, struct operands *o, unsigned operand, struct javm_cap *cap)
{
    struct value value = value_of_cap(cap);
    const enum javm_status status =
        cap != NULL ? slot_put(vm, o->entry, &o->at[operand].path, &value) : JAVM_E_NOMEM;
    value_drop(&value);
    return step_of(vm, status, "slot");
}

/* ---- types ------------------------------------------------------------------------------ */

static const struct javm_hash *chain_of(const struct operand *operand)
{
    const struct value *value = operand->found.value;
    if (value->kind == VALUE_INSTANCE)
        return &value->instance->chain;
    return javm_cap_kind(value->cap) == JAVM_TYPE ? javm_type_chain(value->cap)
                                                  : &javm_instance_of(value->cap)->image_hash_chain;
}

enum step op_same_type(struct javm_vm *vm, struct operands *o)
{
    (void)vm;
    o->entry->exec.regs[7] = javm_hash_equal(chain_of(&o->at[0]), chain_of(&o->at[1]));
    return STEP_GO_ON;
}

enum step op_type_of(struct javm_vm *vm, struct operands *o)
{
    return put(vm, o, 1, javm_type_new(chain_of(&o->at[0])));
}

enum step op_chain(struct javm_vm *vm, struct operands *o)
{
    return put(vm, o, 1, javm_data_new(chain_of(&o->at[0])->bytes, JAVM_HASH_BYTES));
}

/* What an operation on so many pages costs, in the gas model full. */
#define PAGE_COST 16u

static uint64_t pages_touched(uint64_t address, uint64_t len)
{
    return len == 0 ? 0
                    : ((address + len - 1) >> JAVM_PAGE_SHIFT) - (address >> JAVM_PAGE_SHIFT) + 1;
}

/* Gas and quota of an operation, both or none. False: *step says how it goes on. */
static bool pay(struct javm_vm *vm, struct entry *entry, uint64_t cost,
                const struct javm_cap *quota, uint64_t pages, enum step *step)
{
    bool paid;
    if (!gas_charge(vm, cost, step))
        return false;
    const enum javm_status status = quota_pay(vm, quota, pages, &paid);
    if (status != JAVM_OK) {
        *step = step_of(vm, status, "quota");
    } else if (!paid) {
        if (vm->cache.full)
            entry->exec.gas += cost;
        *step = quota_exhausted(vm, quota);
    }
    return status == JAVM_OK && paid;
}

/* ---- bytes ------------------------------------------------------------------------------ */

enum step op_read_data(struct javm_vm *vm, struct operands *o)
{
    uint8_t page[JAVM_PAGE_SIZE];
    const uint64_t offset = operand_number(o, 1),
                   size = javm_data_pages(value_cap(o->at[0].found.value)) * JAVM_PAGE_SIZE;
    uint64_t address = operand_number(o, 2), len = operand_number(o, 3);
    if (offset >= size)
        len = 0;
    else if (len > size - offset)
        len = size - offset;
    if (!frame_allows(o->entry, address, len, true))
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    enum step step;
    if (!gas_charge(vm, PAGE_COST * pages_touched(address, len), &step))
        return step;
    o->entry->exec.regs[7] = len;
    /* Writing the window of slot[0] does not change the Data: a reference of our own all the same,
     * for the time that the slot is not looked at. */
    struct javm_cap *data = javm_cap_retain(value_cap(o->at[0].found.value));
    bool written = true;
    for (uint64_t at = offset; len != 0 && written;) {
        const uint64_t in_page = at % JAVM_PAGE_SIZE;
        const size_t part =
            len < JAVM_PAGE_SIZE - in_page ? (size_t)len : (size_t)(JAVM_PAGE_SIZE - in_page);
        javm_data_read(data, at, page, part);
        written = javm_memory_write(o->entry->space->memory, (uint32_t)address, page, part);
        at += part;
        address += part;
        len -= part;
    }
    javm_cap_release(data);
    return step_of(vm, written ? JAVM_OK : JAVM_E_NOMEM, "guest memory");
}

/* Guest memory, which may be read, as a Data. NULL: out of memory. */
static struct javm_cap *data_of_memory(struct entry *entry, uint64_t address, uint64_t len)
{
    uint8_t bytes[JAVM_PAGE_SIZE];
    struct javm_cap *data = javm_data_new_zero((len + JAVM_PAGE_SIZE - 1) / JAVM_PAGE_SIZE);
    bool good = data != NULL;
    for (uint64_t page = 0; good && len != 0; page++) {
        const size_t part = len < JAVM_PAGE_SIZE ? (size_t)len : JAVM_PAGE_SIZE;
        memset(bytes, 0, sizeof bytes);
        good = javm_memory_read(entry->space->memory, (uint32_t)address, bytes, part) &&
               javm_data_write_page(data, page, bytes) == JAVM_OK;
        address += part;
        len -= part;
    }
    if (good)
        return data;
    javm_cap_release(data);
    return NULL;
}

enum step op_mint_data(struct javm_vm *vm, struct operands *o)
{
    const uint64_t address = operand_number(o, 0), len = operand_number(o, 1);
    const struct javm_cap *quota = value_cap(o->at[2].found.value);
    enum step step;
    if (!frame_allows(o->entry, address, len, false))
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    if (!pay(vm, o->entry, PAGE_COST * pages_touched(address, len), quota,
             (len + JAVM_PAGE_SIZE - 1) / JAVM_PAGE_SIZE, &step))
        return step;
    return put(vm, o, 3, data_of_memory(o->entry, address, len));
}

/* ---- files ------------------------------------------------------------------------------ */

static struct javm_cap *file_handle(const struct javm_key *name)
{
    struct javm_instance fields = {.image_hash_chain = *javm_handle_chain(JAVM_HANDLE_FILE),
                                   .root_cnode = {.kind = JAVM_TARGET_HASH},
                                   .mem = javm_data_new_zero(0)};
    fields.regs[0] = javm_key_pack(name);
    fields.regs[1] = name->len;
    struct javm_cap *handle = javm_instance_new(&fields);
    if (handle == NULL)
        javm_cap_release(fields.mem);
    return handle;
}

enum step op_file_open(struct javm_vm *vm, struct operands *o)
{
    const struct javm_instance *handle = javm_instance_of(value_cap(o->at[0].found.value));
    struct javm_key name;
    struct javm_cap *data = NULL;
    if (!javm_key_unpack(handle->regs[0], handle->regs[1], &name))
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    const enum javm_status status = assist_file_open(&vm->assist, &name, &data);
    if (status != JAVM_OK)
        return step_of(vm, status, "file");
    if (data == NULL || javm_cap_kind(data) != JAVM_DATA) {
        javm_cap_release(data);
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    }
    enum step step;
    if (!gas_charge(vm, PAGE_COST * javm_data_pages(data), &step)) {
        javm_cap_release(data);
        return step;
    }
    return put(vm, o, 1, data);
}

enum step op_file_save(struct javm_vm *vm, struct operands *o)
{
    const struct javm_cap *data = value_cap(o->at[0].found.value);
    const struct javm_cap *quota = value_cap(o->at[1].found.value);
    struct javm_key name;
    enum step step;
    const uint64_t pages = javm_data_pages(data);
    if (!pay(vm, o->entry, PAGE_COST * pages, quota, pages, &step))
        return step;
    const enum javm_status status = assist_file_save(&vm->assist, data, &name);
    if (status != JAVM_OK)
        return step_of(vm, status, "file");
    return put(vm, o, 2, file_handle(&name));
}
