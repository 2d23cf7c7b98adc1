/* The driver: a Vm's life, and invocations of one endpoint of one instance (spec: v3 kernel). An
 * invocation is the bottom entry of the kernel's stack and the loop that runs it (vm/kernel.h). */
#include "javm/vm.h"

#include <stdlib.h>
#include <string.h>

#include "vm/kernel.h"

const char *javm_fault_name(enum javm_fault fault)
{
    static const char *const names[] = {"none",        "trap",        "panic",
                                        "page_fault",  "out_of_gas",  "yield_unhandled",
                                        "bad_operand", "depth_limit", "storage"};
    return (unsigned)fault < sizeof names / sizeof *names ? names[fault] : "unknown";
}

/* ---- life ------------------------------------------------------------------------------- */

static enum javm_status choose_engine(struct javm_vm *vm, const struct javm_vm_options *options,
                                      struct javm_jit **jit, struct javm_error *err)
{
    vm->engine = options->engine;
    *jit = NULL;
    if (options->engine != JAVM_ENGINE_JIT)
        return JAVM_OK;
    *jit = options->jit;
    if (*jit != NULL)
        return JAVM_OK;
    const enum javm_status status = javm_jit_create(NULL, &vm->own_jit, err);
    *jit = vm->own_jit;
    return status;
}

enum javm_status javm_vm_create(const struct javm_vm_options *options, struct javm_vm **vm,
                                struct javm_error *err)
{
    const struct javm_vm_options defaults = {0};
    struct javm_jit *jit;
    if (options == NULL)
        options = &defaults;
    if (!javm_engine_available(options->engine))
        return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "engine: the recompiler is not in this build");
    struct javm_vm *v = calloc(1, sizeof *v);
    if (v == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "vm: out of memory");
    v->max_depth = options->max_depth != 0 ? options->max_depth : DEFAULT_DEPTH;
    v->entries = calloc(v->max_depth, sizeof *v->entries);
    enum javm_status status = v->entries == NULL
                                  ? javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "vm: out of memory")
                                  : spaces_init(&v->spaces, err);
    if (status == JAVM_OK) {
        status = choose_engine(v, options, &jit, err);
        if (status != JAVM_OK)
            spaces_free(&v->spaces);
    }
    if (status != JAVM_OK) {
        free(v->entries);
        free(v);
        return status;
    }
    prepared_init(&v->cache, jit,
                  options->program_cache_bytes != 0 ? options->program_cache_bytes
                                                    : UINT64_C(1) << 30,
                  &v->stats);
    v->cache.full = options->gas_model == JAVM_GAS_FULL;
    assist_init(&v->assist, options->assist);
    *vm = v;
    return JAVM_OK;
}

void javm_vm_flush(struct javm_vm *vm)
{
    spaces_drop(&vm->spaces);
    prepared_flush(&vm->cache);
}

/* Everything that an invocation holds; it is over, or given up. */
static void clear(struct javm_vm *vm)
{
    stack_unwind(vm, 0);
    prepared_forget(&vm->cache);
    value_drop(&vm->payload);
    vm->paused = false;
    vm->dir = NULL;
    vm->err = NULL;
}

void javm_vm_destroy(struct javm_vm *vm)
{
    if (vm == NULL)
        return;
    clear(vm);
    prepared_flush(&vm->cache);
    assist_free(&vm->assist);
    spaces_free(&vm->spaces);
    javm_jit_destroy(vm->own_jit);
    free(vm->entries);
    free(vm);
}

void javm_vm_stats(const struct javm_vm *vm, struct javm_vm_stats *stats)
{
    *stats = vm->stats;
}

/* ---- entry ------------------------------------------------------------------------------ */

/* The checks of slot[0] that a caller hears about; what else the kernel does with it is its own. */
static enum javm_status check_scratchpad(const struct cached_program *p,
                                         const struct javm_cap *given, struct javm_error *err)
{
    if (given == NULL)
        return JAVM_OK;
    if (p->slot0_pinned)
        return javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE,
                         "slot[0] is pinned by the image: it cannot be given");
    if (p->scratch_region == 0)
        return JAVM_OK;
    const struct javm_region *region = &p->regions[p->scratch_region];
    if (javm_cap_kind(given) != JAVM_DATA)
        return javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE,
                         "slot[0] is mapped and has to be a Data, not a cap of kind %s",
                         javm_kind_name(javm_cap_kind(given)));
    if (javm_data_pages(given) > region->pages)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "slot[0] has %llu pages, its mapping only %u",
                         (unsigned long long)javm_data_pages(given), region->pages);
    return JAVM_OK;
}

static enum javm_status enter(struct javm_vm *vm, const struct javm_call *call,
                              struct javm_error *err)
{
    struct instance *instance;
    enum javm_status status = prepared_get(&vm->cache, vm->dir, &call->instance, &instance, err);
    if (status != JAVM_OK)
        return status;
    if (instance->status != JAVM_IDLE) {
        char text[JAVM_HASH_TEXT];
        javm_hash_format(&call->instance, text);
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE, "instance %s is not idle", text);
    }
    const struct start start = {
        .instance = instance,
        .program = instance->program,
        .layout = instance->layout,
        .endpoint = javm_image_endpoint(javm_image_of(instance->program->image), call->endpoint),
        .args = call->args,
        .owner = NO_ENTRY};
    if (start.endpoint == NULL)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE, "endpoint %u: the image has none there",
                         call->endpoint);
    status = check_scratchpad(instance->program, call->scratchpad, err);
    if (status != JAVM_OK)
        return status;
    struct value slot0 = {.kind = VALUE_EMPTY};
    if (call->scratchpad != NULL)
        slot0 = value_of_cap(javm_cap_retain(call->scratchpad));
    status = stack_push(vm, &start, &slot0);
    value_drop(&slot0);
    if (status != JAVM_OK)
        return javm_fail(err, status, JAVM_NOWHERE, "guest memory: out of memory");
    instance_retain(instance);
    return JAVM_OK;
}

/* ---- end -------------------------------------------------------------------------------- */

/* What the host wanted of the bottom frame, which has ended. */
static enum javm_status collect(struct javm_vm *vm, const struct javm_call *call,
                                struct javm_call_result *result, struct javm_error *err)
{
    struct entry *root = &vm->entries[0];
    const bool halt = vm->end == JAVM_END_HALT;
    enum javm_status status = JAVM_OK;
    if (halt && call->want_post)
        status = frame_halt(vm, root);
    else if (halt && call->want_slot0)
        status = frame_flush_slot0(root);
    if (status != JAVM_OK)
        return javm_fail(err, status, JAVM_NOWHERE, "post instance: out of memory");
    if (call->want_slot0)
        status = value_settle(vm->dir, halt ? &root->slot0 : &root->given, !call->post_unpublished,
                              &result->slot0, err);
    if (status == JAVM_OK && halt && call->want_post) {
        struct value value = value_of_instance(root->instance); /* the entry's count */
        status =
            value_settle(vm->dir, &value, !call->post_unpublished, &result->post_instance, err);
    }
    return status;
}

/* The invocation ran until it ended or paused; say how. */
static enum javm_status report(struct javm_vm *vm, const struct javm_call *call,
                               struct javm_call_result *result, struct javm_error *err)
{
    const struct entry *e = running(vm);
    enum javm_status status = gas_store(vm, running_index(vm));
    if (status != JAVM_OK)
        return javm_fail(err, status, JAVM_NOWHERE, "gas meter: %s", javm_status_name(status));
    result->end = vm->end;
    result->gas_used = vm->spent;
    result->pc = e->exec.pc;
    switch (vm->end) {
    case JAVM_END_HALT:
        result->value = e->exec.regs[7];
        break;
    case JAVM_END_FAULTED:
        result->fault = vm->fault;
        if (vm->fault == JAVM_FAULT_PAGE_FAULT) {
            result->address = (uint64_t)e->exec.exit_arg;
            result->fault_addr = e->exec.fault_addr;
        }
        break;
    case JAVM_END_HOST_CALL:
        result->selector_is_ecall = e->exec.exit == JAVM_EXIT_ECALL_JAR;
        result->selector = result->selector_is_ecall ? (int64_t)e->exec.regs[11] : e->exec.exit_arg;
        break;
    case JAVM_END_PAUSED:
        result->yield_key = vm->pause_key;
        return call->want_slot0 ? value_settle(vm->dir, &vm->payload, !call->post_unpublished,
                                               &result->slot0, err)
                                : JAVM_OK;
    case JAVM_END_TIMEOUT:
        break;
    }
    return collect(vm, call, result, err);
}

/* From a frame that is ready (step: GO_ON) to the end of the call. */
static enum javm_status drive(struct javm_vm *vm, enum step step, const struct javm_call *call,
                              struct javm_call_result *result, struct javm_error *err)
{
    enum javm_status status = step == STEP_FAILED ? vm->failure : JAVM_OK;
    result->gas_before = vm->spent;
    if (step == STEP_GO_ON)
        status = kernel_run(vm, call->deadline_ns);
    if (status == JAVM_OK)
        status = report(vm, call, result, err);
    if (status != JAVM_OK)
        javm_call_result_clear(result);
    if (status != JAVM_OK || !vm->paused)
        clear(vm);
    vm->dir = NULL;
    vm->err = NULL;
    return status;
}

static void begin(struct javm_vm *vm, struct javm_dir_thread *dir, const struct javm_call *call,
                  struct javm_error *err)
{
    vm->dir = dir;
    vm->err = err;
    vm->can_pause = call->can_pause;
    vm->operations = 0;
}

enum javm_status javm_vm_invoke(struct javm_vm *vm, struct javm_dir_thread *dir,
                                const struct javm_call *call, struct javm_call_result *result,
                                struct javm_error *err)
{
    memset(result, 0, sizeof *result);
    if (vm->paused)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE,
                         "an invocation is paused: it has to be resumed or dropped first");
    begin(vm, dir, call, err);
    enum javm_status status = enter(vm, call, err);
    if (status != JAVM_OK) {
        clear(vm);
        return status;
    }
    assist_reset(&vm->assist);
    vm->budget = call->gas;
    vm->spent = vm->seen = 0;
    vm->stats.invocations++;
    if (vm->cache.full)
        vm->entries[0].unpaid = vm->entries[0].program->entry_cost;
    if (gas_scope(vm, 0) != JAVM_OK) {
        vm->entries[0].scope = NO_ENTRY;
        vm->end = JAVM_END_FAULTED;
        vm->fault = JAVM_FAULT_BAD_OPERAND;
        gas_load(vm, 0);
        status = report(vm, call, result, err);
        clear(vm);
        return status;
    }
    status = gas_load(vm, 0);
    if (status != JAVM_OK) {
        clear(vm);
        return javm_fail(err, status, JAVM_NOWHERE, "gas meter: %s", javm_status_name(status));
    }
    return drive(vm, STEP_GO_ON, call, result, err);
}

/* ---- paused invocations ----------------------------------------------------------------- */

static void add_gas(struct javm_vm *vm, uint64_t gas)
{
    vm->budget = gas > UINT64_MAX - vm->budget ? UINT64_MAX : vm->budget + gas;
}

enum javm_status javm_vm_call_resume(struct javm_vm *vm, struct javm_dir_thread *dir,
                                     const struct javm_call *call, struct javm_call_result *result,
                                     struct javm_error *err)
{
    memset(result, 0, sizeof *result);
    if (!vm->paused)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE, "no invocation is paused");
    struct entry *yielder = running(vm);
    enum javm_status status = check_scratchpad(yielder->program, call->scratchpad, err);
    if (status != JAVM_OK)
        return status;
    begin(vm, dir, call, err);
    struct value slot0 = {.kind = VALUE_EMPTY};
    if (call->scratchpad != NULL)
        slot0 = value_of_cap(javm_cap_retain(call->scratchpad));
    add_gas(vm, call->gas);
    vm->paused = false;
    value_drop(&vm->payload);
    const enum step step =
        resume_yielder(vm, &vm->pause_key, vm->by_kernel, call->scratchpad != NULL ? &slot0 : NULL);
    return drive(vm, step, call, result, err);
}

enum javm_status javm_vm_call_refuse(struct javm_vm *vm, struct javm_dir_thread *dir,
                                     const struct javm_call *call, struct javm_call_result *result,
                                     struct javm_error *err)
{
    memset(result, 0, sizeof *result);
    if (!vm->paused)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE, "no invocation is paused");
    begin(vm, dir, call, err);
    add_gas(vm, call->gas);
    vm->paused = false;
    value_drop(&vm->payload);
    return drive(vm, kernel_refuse(vm), call, result, err);
}

enum javm_status javm_vm_drop_paused(struct javm_vm *vm, struct javm_error *err)
{
    if (!vm->paused)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE, "no invocation is paused");
    clear(vm);
    return JAVM_OK;
}

enum javm_status javm_vm_detach_paused(struct javm_vm *vm, struct javm_dir_thread *dir,
                                       struct javm_hash *hash, struct javm_error *err)
{
    struct instance *paused;
    struct javm_cap *cap = NULL;
    if (!vm->paused)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE, "no invocation is paused");
    vm->dir = dir;
    enum javm_status status = pause_freeze(vm, 0, &vm->pause_key, vm->by_kernel, true, &paused);
    if (status == JAVM_OK) {
        struct value value = value_of_instance(paused);
        status = value_settle(dir, &value, true, &cap, err);
        value_drop(&value);
        if (status == JAVM_OK)
            status = javm_directory_put(dir, cap, hash, err);
        javm_cap_release(cap);
    } else {
        javm_fail(err, status, JAVM_NOWHERE, "paused invocation: out of memory");
    }
    clear(vm);
    return status;
}

enum javm_status javm_vm_attach_paused(struct javm_vm *vm, struct javm_dir_thread *dir,
                                       const struct javm_hash *hash, struct javm_error *err)
{
    struct instance *paused;
    struct pause_header header;
    if (vm->paused)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE,
                         "an invocation is paused: it has to be resumed or dropped first");
    vm->dir = dir;
    enum javm_status status = prepared_get(&vm->cache, dir, hash, &paused, err);
    if (status != JAVM_OK)
        return status;
    instance_retain(paused);
    assist_reset(&vm->assist);
    status = pause_read(vm, paused, true, &header);
    if (status == JAVM_OK && header.count > vm->max_depth)
        status = JAVM_E_LIMIT;
    vm->spent = vm->seen = 0;
    if (status == JAVM_OK)
        status = pause_thaw(vm, paused, NO_ENTRY, 0);
    if (status == JAVM_OK) {
        vm->paused = true;
        vm->by_kernel = header.by_kernel;
        vm->pause_key = paused->yield_key;
        vm->budget = paused->gas_remaining;
        vm->spent = vm->seen = header.spent;
    } else {
        javm_fail(err, status, JAVM_NOWHERE, "paused instance: %s", javm_status_name(status));
    }
    instance_release(paused);
    vm->dir = NULL;
    return status;
}

enum javm_status javm_vm_paused_frame(const struct javm_vm *vm, struct javm_frame *frame,
                                      struct javm_error *err)
{
    if (!vm->paused)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE, "no invocation is paused");
    const uint32_t index = running_index(vm);
    const struct entry *entry = &vm->entries[index];
    frame->image = entry->program->image_hash;
    memcpy(frame->regs, entry->exec.regs, sizeof frame->regs);
    frame->pc = entry->exec.pc;
    frame->depth = index;
    return JAVM_OK;
}

size_t javm_vm_attestations(const struct javm_vm *vm)
{
    return vm->assist.recorded_count;
}

bool javm_vm_attestation(const struct javm_vm *vm, size_t i, struct javm_key *key,
                         const struct javm_cap **data)
{
    if (i >= vm->assist.recorded_count)
        return false;
    *key = vm->assist.recorded[i].key;
    *data = vm->assist.recorded[i].data;
    return true;
}

/* ---- small things ----------------------------------------------------------------------- */

enum javm_status javm_vm_invoke_cached(struct javm_vm *vm, struct javm_dir_thread *dir,
                                       const struct javm_hash *instance, uint32_t endpoint,
                                       const uint64_t args[4], uint64_t gas_budget,
                                       struct javm_call_result *result, struct javm_error *err)
{
    struct javm_call call = {.instance = *instance,
                             .endpoint = endpoint,
                             .gas = gas_budget,
                             .want_post = true,
                             .want_slot0 = true};
    memcpy(call.args, args, sizeof call.args);
    return javm_vm_invoke(vm, dir, &call, result, err);
}

void javm_call_result_clear(struct javm_call_result *result)
{
    javm_cap_release(result->post_instance);
    javm_cap_release(result->slot0);
    result->post_instance = result->slot0 = NULL;
}

enum javm_status javm_vm_instantiate(struct javm_dir_thread *dir, const struct javm_hash *image,
                                     struct javm_hash *instance, struct javm_error *err)
{
    struct javm_cap *cnode = javm_cnode_new();
    struct javm_cap *mem = javm_data_new_zero(0);
    struct javm_cap *cap = NULL;
    struct javm_hash root;
    enum javm_status status = JAVM_E_NOMEM;
    if (cnode != NULL && mem != NULL)
        status = javm_directory_put(dir, cnode, &root, err);
    if (status == JAVM_OK) {
        const struct javm_instance fields = {.image_hash_chain = *image,
                                             .image_hash = *image,
                                             .root_cnode = javm_target_hash(&root),
                                             .mem = mem};
        cap = javm_instance_new(&fields);
        if (cap == NULL)
            status = JAVM_E_NOMEM;
        else
            mem = NULL;
    }
    if (status == JAVM_OK)
        status = javm_directory_put(dir, cap, instance, err);
    else if (status == JAVM_E_NOMEM)
        javm_fail(err, status, JAVM_NOWHERE, "instance: out of memory");
    javm_cap_release(cap);
    javm_cap_release(mem);
    javm_cap_release(cnode);
    return status;
}
