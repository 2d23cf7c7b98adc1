/* Gas and storage, counted once more: what is left in all meters and what was used is what was
 * given, and quotas pay for nothing but what succeeds. */
#include "tests/vm/kernel_fuzz.h"

/* ---- gas -------------------------------------------------------------------------------- */

struct sum {
    uint64_t total;
    const struct javm_key *skip; /* NULL: none */
    uint64_t skipped;
};

static void add(void *context, const struct javm_key *key, uint64_t value)
{
    struct sum *sum = context;
    if (sum->skip != NULL && javm_key_compare(sum->skip, key) == 0)
        sum->skipped = value;
    else
        sum->total += value;
}

static void each_meter(const struct fuzz_world *world, const struct javm_vm *vm, enum meter meter,
                       struct sum *sum)
{
    if (!world->now->host_meters) {
        assist_each(&vm->assist, meter, add, sum);
        return;
    }
    for (uint32_t i = 0; i < world->meter_count[meter]; i++)
        add(sum, &world->meters[meter][i].key, world->meters[meter][i].value);
}

/* What the frame that runs has stands for what its payer had when it was loaded. */
static uint64_t left_now(const struct fuzz_world *world, const struct javm_vm *vm)
{
    const uint64_t gas = vm->entries[running_index(vm)].exec.gas;
    struct sum sum = {.skip = vm->payer == PAYER_METER ? &vm->payer_key : NULL};
    each_meter(world, vm, METER_GAS, &sum);
    return sum.total + (vm->payer == PAYER_BUDGET ? 0 : vm->budget) +
           (vm->payer == PAYER_NONE ? 0 : gas);
}

uint64_t check_used(const struct javm_vm *vm)
{
    return vm->spent + vm->loaded - vm->entries[running_index(vm)].exec.gas;
}

/* What a gas meter says to whoever asks now. */
uint64_t check_meter(const struct fuzz_world *world, const struct javm_vm *vm,
                     const struct javm_key *key)
{
    struct sum sum = {.skip = key};
    each_meter(world, vm, METER_GAS, &sum);
    if (vm->payer == PAYER_METER && javm_key_compare(key, &vm->payer_key) == 0)
        return vm->entries[running_index(vm)].exec.gas;
    return sum.skipped;
}

void check_begin(struct fuzz_world *world, uint64_t gas, bool fresh)
{
    struct sum sum = {0};
    if (!fresh || world->now->host_meters)
        each_meter(world, world->vm, METER_GAS, &sum);
    world->given = gas + sum.total;
}

void check_end(struct fuzz_world *world, const struct javm_call_result *result)
{
    struct sum sum = {.total = world->vm->budget}; /* every payer has its own again */
    each_meter(world, world->vm, METER_GAS, &sum);
    if (sum.total + result->gas_used != world->given)
        check_fail(world, "gas at the end: %llu used and %llu left of %llu",
                   (unsigned long long)result->gas_used, (unsigned long long)sum.total,
                   (unsigned long long)world->given);
    if ((result->end == JAVM_END_PAUSED) != world->vm->paused)
        check_fail(world, "the end is %d, and the Vm is %spaused", (int)result->end,
                   world->vm->paused ? "" : "not ");
}

void check_gas(struct fuzz_world *world, const struct javm_vm *vm)
{
    const uint64_t left = left_now(world, vm), used = check_used(vm);
    if (left + used != world->given)
        check_fail(world, "gas: %llu used and %llu left of %llu", (unsigned long long)used,
                   (unsigned long long)left, (unsigned long long)world->given);
    if (vm->entries[running_index(vm)].exec.gas > vm->loaded)
        check_fail(world, "gas: a frame has more than its payer gave it");
}

/* ---- storage ----------------------------------------------------------------------------- */

uint64_t check_quota_left(const struct fuzz_world *world, const struct javm_vm *vm)
{
    struct sum sum = {0};
    each_meter(world, vm, METER_QUOTA, &sum);
    return sum.total;
}

/* Pages that the operation took from a quota if it was done. Its operands are where they were; what
 * a mapped slot[0] holds is known only now. */
static uint64_t cost_of(const struct fuzz_world *world, struct javm_vm *vm, uint32_t op)
{
    const uint64_t *regs = world->before.regs;
    struct value value;
    if (op == MINT_DATA)
        return (regs[8] + PAGE - 1) / PAGE;
    if (op != FILE_SAVE || !view_at(vm, running(vm), regs[7], &value))
        return 0;
    struct javm_cap *data = view_cap(vm->dir, &value);
    const uint64_t pages = data != NULL ? javm_data_pages(data) : 0;
    javm_cap_release(data);
    return pages;
}

/* A CNode is paid when somebody declares a quota. */
void check_quota(struct fuzz_world *world, struct javm_vm *vm, uint32_t op)
{
    const uint64_t paid = world->before.quota - check_quota_left(world, vm);
    const bool done = vm->fault == JAVM_FAULT_NONE && !vm->paused && !check_undone(world, vm);
    if (op == YIELD) /* sets one, or it is for the host */
        return;
    if (op == MINT_CNODE && done ? paid > 1 : paid != (done ? cost_of(world, vm, op) : 0))
        check_fail(world, "%llu pages were paid from quotas for %s", (unsigned long long)paid,
                   fuzz_operation_name(op));
}
