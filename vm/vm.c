/* The driver: one invocation of one endpoint of one instance, run to its end (spec: v3 kernel).
 * In this version the one operation that it serves is REPLY; every other one ends the invocation
 * with JAVM_END_HOST_CALL. */
#include "javm/vm.h"

#include <stdlib.h>
#include <string.h>

#include "vm/memory.h"
#include "vm/prepared.h"

struct javm_vm {
    struct javm_memory *memory;
    enum javm_engine engine;
    struct prepared_cache cache;
    struct javm_vm_stats stats;
};

#define OP_REPLY 0

const char *javm_fault_name(enum javm_fault fault)
{
    static const char *const names[] = {"none",        "trap",        "panic",
                                        "page_fault",  "out_of_gas",  "yield_unhandled",
                                        "bad_operand", "depth_limit", "storage"};
    return (unsigned)fault < sizeof names / sizeof *names ? names[fault] : "unknown";
}

enum javm_status javm_vm_create(const struct javm_vm_options *options, struct javm_vm **vm,
                                struct javm_error *err)
{
    const struct javm_vm_options defaults = {0};
    if (options == NULL)
        options = &defaults;
    if (!javm_engine_available(options->engine))
        return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "engine: the recompiler is not in this build");
    if (options->gas_model != JAVM_GAS_EXEC)
        return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "gas model: only exec is in this version");
    struct javm_vm *v = calloc(1, sizeof *v);
    if (v == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "vm: out of memory");
    enum javm_status status = javm_memory_create(&v->memory, err);
    if (status != JAVM_OK) {
        free(v);
        return status;
    }
    v->engine = options->engine;
    prepared_init(&v->cache,
                  options->program_cache_bytes != 0 ? options->program_cache_bytes
                                                    : UINT64_C(1) << 30,
                  &v->stats);
    *vm = v;
    return JAVM_OK;
}

void javm_vm_flush(struct javm_vm *vm)
{
    /* The memory's layout borrows from the cache. */
    javm_memory_attach(vm->memory, NULL, 0);
    prepared_flush(&vm->cache);
}

void javm_vm_destroy(struct javm_vm *vm)
{
    if (vm == NULL)
        return;
    javm_vm_flush(vm);
    javm_memory_destroy(vm->memory);
    free(vm);
}

void javm_vm_stats(const struct javm_vm *vm, struct javm_vm_stats *stats)
{
    *stats = vm->stats;
}

/* ---- entry ------------------------------------------------------------------------------ */

/* The layout of this call: the prepared one, with the scratchpad in the mapping of slot[0]. */
static enum javm_status attach(struct javm_vm *vm, const struct prepared *p,
                               const struct javm_call *call, struct javm_error *err)
{
    enum javm_status status = javm_memory_attach(vm->memory, p->regions, p->region_count);
    if (status != JAVM_OK)
        return javm_fail(err, status, JAVM_NOWHERE, "guest memory: out of memory");
    if (call->scratchpad == NULL || p->scratch_region == 0)
        return JAVM_OK;
    struct javm_region *region = &vm->memory->regions[p->scratch_region];
    if (javm_cap_kind(call->scratchpad) != JAVM_DATA)
        return javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE,
                         "slot[0] is mapped and has to be a Data, not a cap of kind %s",
                         javm_kind_name(javm_cap_kind(call->scratchpad)));
    if (javm_data_pages(call->scratchpad) > region->pages)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "slot[0] has %llu pages, its mapping only %u",
                         (unsigned long long)javm_data_pages(call->scratchpad), region->pages);
    region->kind = JAVM_REGION_DATA;
    region->data = call->scratchpad;
    return JAVM_OK;
}

static void enter(struct javm_exec *exec, const struct javm_endpoint *endpoint,
                  const struct javm_call *call)
{
    memset(exec->regs, 0, sizeof exec->regs);
    memcpy(exec->regs, endpoint->initial_regs, sizeof endpoint->initial_regs);
    if (endpoint->stack_top != 0 && endpoint->initial_regs[1] == 0)
        exec->regs[1] = endpoint->stack_top;
    memcpy(&exec->regs[7], call->args, sizeof call->args);
    exec->pc = endpoint->entry_pc;
    exec->gas = call->gas;
}

static void classify(const struct javm_exec *exec, struct javm_call_result *result)
{
    result->end = JAVM_END_FAULTED;
    switch (exec->exit) {
    case JAVM_EXIT_HOST_CALL:
    case JAVM_EXIT_ECALL_JAR:
        result->selector_is_ecall = exec->exit == JAVM_EXIT_ECALL_JAR;
        result->selector = result->selector_is_ecall ? (int64_t)exec->regs[11] : exec->exit_arg;
        result->end = result->selector == OP_REPLY ? JAVM_END_HALT : JAVM_END_HOST_CALL;
        if (result->end == JAVM_END_HALT)
            result->value = exec->regs[7];
        break;
    case JAVM_EXIT_NONE:
        result->end = JAVM_END_TIMEOUT;
        break;
    case JAVM_EXIT_OUT_OF_GAS:
        result->fault = JAVM_FAULT_OUT_OF_GAS;
        break;
    case JAVM_EXIT_TRAP:
        result->fault = JAVM_FAULT_TRAP;
        break;
    case JAVM_EXIT_PAGE_FAULT:
        result->fault = JAVM_FAULT_PAGE_FAULT;
        result->address = (uint64_t)exec->exit_arg;
        result->fault_addr = exec->fault_addr;
        break;
    case JAVM_EXIT_PANIC:
    case JAVM_EXIT_HALT: /* PVM only; no front end for it in this version */
        result->fault = JAVM_FAULT_PANIC;
        break;
    }
}

/* ---- end -------------------------------------------------------------------------------- */

/* The Data of a mapping after the run: its source with the dirty pages written over it, as long as
 * before or up to the last dirty page. *data gets a reference; with no dirty page it is the source
 * itself (NULL for none). */
static enum javm_status mapped_data(const struct javm_memory *memory,
                                    const struct javm_region *region, struct javm_cap **data)
{
    const uint32_t *dirty;
    const size_t count = javm_memory_dirty(memory, &dirty);
    uint64_t pages = region->data != NULL ? javm_data_pages(region->data) : 0;
    const uint64_t before = pages;
    bool changed = false;
    for (size_t i = 0; i < count; i++) {
        uint64_t index = (uint64_t)dirty[i] - region->first_page;
        if (dirty[i] < region->first_page || index >= region->pages)
            continue;
        changed = true;
        if (index >= pages)
            pages = index + 1;
    }
    if (!changed) {
        *data = region->data != NULL ? javm_cap_retain(region->data) : NULL;
        return JAVM_OK;
    }
    struct javm_cap *fresh =
        pages == before ? javm_cap_clone(region->data) : javm_data_new_zero(pages);
    enum javm_status status = fresh == NULL ? JAVM_E_NOMEM : JAVM_OK;
    if (pages != before)
        for (uint64_t i = 0; i < before && status == JAVM_OK; i++) {
            const uint8_t *page = javm_data_page(region->data, i);
            if (page != NULL)
                status = javm_data_write_page(fresh, i, page);
        }
    for (size_t i = 0; i < count && status == JAVM_OK; i++) {
        uint64_t index = (uint64_t)dirty[i] - region->first_page;
        if (dirty[i] >= region->first_page && index < region->pages)
            status = javm_data_write_page(fresh, index, javm_memory_page(memory, dirty[i]));
    }
    if (status != JAVM_OK) {
        javm_cap_release(fresh);
        return status;
    }
    *data = fresh;
    return JAVM_OK;
}

/* slot[0] as the caller sees it: what the run left when it halted, else what it was given. */
static enum javm_status reflect_slot0(struct javm_vm *vm, const struct prepared *p,
                                      struct javm_dir_thread *dir, const struct javm_call *call,
                                      struct javm_call_result *result)
{
    if (p->scratch_region != 0) {
        const struct javm_region *region = &vm->memory->regions[p->scratch_region];
        if (result->end == JAVM_END_HALT)
            return mapped_data(vm->memory, region, &result->slot0);
        if (region->data != NULL)
            result->slot0 = javm_cap_retain(region->data);
        return JAVM_OK;
    }
    if (call->scratchpad != NULL) {
        result->slot0 = javm_cap_retain(call->scratchpad);
        return JAVM_OK;
    }
    const struct javm_key slot0 = {.len = 1};
    struct javm_cap *root =
        javm_directory_get(dir, &javm_instance_of(p->instance)->root_cnode.hash);
    const struct javm_target *target = root != NULL ? javm_cnode_get(root, &slot0) : NULL;
    if (target != NULL && target->kind == JAVM_TARGET_HASH)
        result->slot0 = javm_directory_get(dir, &target->hash);
    javm_cap_release(root);
    return JAVM_OK;
}

/* Put `value` (NULL: clear the slot) at the end of a path below a published CNode, publishing the
 * changed CNodes on the way up. *node is replaced by the new root's hash. Depth is at most
 * JAVM_MAX_SOURCE_DEPTH. */
static enum javm_status store_path(struct javm_dir_thread *dir, struct javm_hash *node,
                                   const struct javm_key *path, uint8_t depth,
                                   const struct javm_hash *value, struct javm_error *err)
{
    struct javm_cap *published = javm_directory_get(dir, node);
    struct javm_cap *cnode = published != NULL ? javm_cap_clone(published) : NULL;
    javm_cap_release(published);
    enum javm_status status = JAVM_OK;
    struct javm_target target = {.kind = JAVM_TARGET_EMPTY};
    if (cnode == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "post instance: out of memory");
    if (depth > 1) {
        /* prepared.c saw that every step but the last is a CNode. */
        struct javm_hash child = javm_cnode_get(cnode, path)->hash;
        status = store_path(dir, &child, path + 1, (uint8_t)(depth - 1), value, err);
        target = javm_target_hash(&child);
    } else if (value != NULL) {
        target = javm_target_hash(value);
    }
    if (status == JAVM_OK && javm_cnode_set(cnode, path, &target) != JAVM_OK)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "post instance: out of memory");
    if (status == JAVM_OK)
        status = javm_directory_put(dir, cnode, node, err);
    javm_cap_release(cnode);
    return status;
}

/* The Instance after HALT: dirty pages of its persistent mappings are Data in their slots, slot[0]
 * went back to the caller. */
static enum javm_status build_post(struct javm_vm *vm, const struct prepared *p,
                                   struct javm_dir_thread *dir, struct javm_call_result *result,
                                   struct javm_error *err)
{
    const struct javm_image *image = javm_image_of(p->program->image);
    const struct javm_key slot0 = {.len = 1};
    struct javm_instance fields = *javm_instance_of(p->instance);
    struct javm_hash root = fields.root_cnode.hash;
    enum javm_status status = store_path(dir, &root, &slot0, 1, NULL, err);
    for (uint32_t i = 0; i < image->mapping_count && status == JAVM_OK; i++) {
        const struct javm_mapping *mapping = &image->mappings[i];
        const struct javm_region *region = &vm->memory->regions[i + 1];
        if (mapping->depth == 0 || !region->writable || i + 1 == p->scratch_region)
            continue;
        struct javm_cap *data = NULL;
        struct javm_hash hash;
        status = mapped_data(vm->memory, region, &data);
        if (status != JAVM_OK)
            return javm_fail(err, status, JAVM_NOWHERE, "post instance: out of memory");
        if (data != NULL && data != region->data) {
            status = javm_directory_put(dir, data, &hash, err);
            if (status == JAVM_OK)
                status = store_path(dir, &root, mapping->path, mapping->depth, &hash, err);
        }
        javm_cap_release(data);
    }
    if (status != JAVM_OK)
        return status;
    fields.root_cnode = javm_target_hash(&root);
    fields.status = JAVM_IDLE;
    fields.mem = javm_cap_retain(fields.mem);
    result->post_instance = javm_instance_new(&fields);
    if (result->post_instance == NULL) {
        javm_cap_release(fields.mem);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "post instance: out of memory");
    }
    return JAVM_OK;
}

enum javm_status javm_vm_invoke(struct javm_vm *vm, struct javm_dir_thread *dir,
                                const struct javm_call *call, struct javm_call_result *result,
                                struct javm_error *err)
{
    const struct prepared *p;
    memset(result, 0, sizeof *result);
    enum javm_status status = prepared_get(&vm->cache, dir, &call->instance, &p, err);
    if (status != JAVM_OK)
        return status;
    const struct javm_endpoint *endpoint =
        javm_image_endpoint(javm_image_of(p->program->image), call->endpoint);
    if (endpoint == NULL)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE, "endpoint %u: the image has none there",
                         call->endpoint);
    status = attach(vm, p, call, err);
    if (status != JAVM_OK)
        return status;
    struct javm_exec exec = {
        .program = p->program->program, .memory = vm->memory, .engine = vm->engine};
    enter(&exec, endpoint, call);
    javm_exec_run(&exec, call->deadline_ns);
    classify(&exec, result);
    result->gas_used = call->gas - exec.gas;
    result->pc = exec.pc;
    if (call->want_slot0 && reflect_slot0(vm, p, dir, call, result) != JAVM_OK)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "slot[0]: out of memory");
    if (status == JAVM_OK && call->want_post && result->end == JAVM_END_HALT)
        status = build_post(vm, p, dir, result, err);
    if (status != JAVM_OK)
        javm_call_result_clear(result);
    vm->stats.invocations++;
    vm->stats.pages_touched += vm->memory->touched_count;
    javm_memory_reset(vm->memory);
    return status;
}

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
