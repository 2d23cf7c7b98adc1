/* The driver: one invocation of one endpoint of one instance, run to its end (spec: v3 kernel).
 * In this version the one operation that it serves is REPLY; every other one ends the invocation
 * with JAVM_END_HOST_CALL. */
#include "javm/vm.h"

#include <stdlib.h>
#include <string.h>

#include "vm/memory.h"
#include "vm/prepared.h"

/* Guest memories that are kept, each for the instances of one image: what those touched stays
 * accessible there. */
#define SPACES   16u
/* Pages (64 MiB) that the memories not in use may keep together. */
#define WARM_ALL 16384u

struct space {
    struct javm_memory *memory;
    uint64_t id; /* cached_program.space; 0: nobody's */
    uint64_t last_use;
};

struct javm_vm {
    struct space spaces[SPACES];
    uint32_t space_count, space_limit;
    uint64_t clock;
    struct javm_memory *memory; /* of the invocation that runs */
    enum javm_engine engine;
    struct javm_jit *own_jit; /* NULL: the interpreter, or somebody else's */
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
    enum javm_status status = javm_memory_create(&v->spaces[0].memory, err);
    if (status != JAVM_OK) {
        free(v);
        return status;
    }
    v->space_count = 1;
    v->space_limit = SPACES;
    v->engine = options->engine;
    struct javm_jit *jit = NULL;
    if (options->engine == JAVM_ENGINE_JIT) {
        jit = options->jit;
        if (jit == NULL) {
            status = javm_jit_create(NULL, &v->own_jit, err);
            if (status != JAVM_OK) {
                javm_memory_destroy(v->spaces[0].memory);
                free(v);
                return status;
            }
            jit = v->own_jit;
        }
    }
    prepared_init(&v->cache, jit,
                  options->program_cache_bytes != 0 ? options->program_cache_bytes
                                                    : UINT64_C(1) << 30,
                  &v->stats);
    *vm = v;
    return JAVM_OK;
}

static void release_space(struct space *space)
{
    memory_drop(space->memory);
    space->id = space->last_use = 0;
}

void javm_vm_flush(struct javm_vm *vm)
{
    for (uint32_t i = 0; i < vm->space_count; i++)
        release_space(&vm->spaces[i]);
    prepared_flush(&vm->cache);
}

void javm_vm_destroy(struct javm_vm *vm)
{
    if (vm == NULL)
        return;
    prepared_flush(&vm->cache);
    for (uint32_t i = 0; i < vm->space_count; i++)
        javm_memory_destroy(vm->spaces[i].memory);
    javm_jit_destroy(vm->own_jit);
    free(vm);
}

void javm_vm_stats(const struct javm_vm *vm, struct javm_vm_stats *stats)
{
    *stats = vm->stats;
}

/* ---- memories --------------------------------------------------------------------------- */

static struct space *least_recent(struct javm_vm *vm)
{
    struct space *oldest = &vm->spaces[0];
    for (uint32_t i = 1; i < vm->space_count; i++)
        if (vm->spaces[i].last_use < oldest->last_use)
            oldest = &vm->spaces[i];
    return oldest;
}

/* What the other memories keep is bounded; those that were not used for longest give way. */
static void trim(struct javm_vm *vm, const struct space *used)
{
    uint64_t warm = 0;
    for (uint32_t i = 0; i < vm->space_count; i++)
        warm += vm->spaces[i].memory->warm_count;
    while (warm - used->memory->warm_count > WARM_ALL) {
        struct space *oldest = NULL;
        for (uint32_t i = 0; i < vm->space_count; i++) {
            struct space *s = &vm->spaces[i];
            if (s != used && s->memory->warm_count != 0 &&
                (oldest == NULL || s->last_use < oldest->last_use))
                oldest = s;
        }
        if (oldest == NULL) /* never: what is too much belongs to somebody */
            break;
        const uint32_t had = oldest->memory->warm_count;
        release_space(oldest);
        if (oldest->memory->warm_count == had) /* the system refused */
            break;
        warm -= had;
    }
}

static struct javm_memory *memory_of(struct javm_vm *vm, uint64_t id)
{
    struct space *space = NULL;
    for (uint32_t i = 0; i < vm->space_count && space == NULL; i++)
        if (vm->spaces[i].id == id)
            space = &vm->spaces[i];
    if (space == NULL) {
        space = least_recent(vm);
        if (space->id != 0 && vm->space_count < vm->space_limit) {
            struct space *fresh = &vm->spaces[vm->space_count];
            if (javm_memory_create(&fresh->memory, NULL) == JAVM_OK) {
                space = fresh;
                vm->space_count++;
            } else {
                vm->space_limit = vm->space_count;
            }
        }
        space->id = id;
    }
    if (space->last_use != vm->clock)
        trim(vm, space);
    space->last_use = ++vm->clock;
    return space->memory;
}

/* ---- entry ------------------------------------------------------------------------------ */

/* The layout of this call: the prepared one, with the scratchpad in the mapping of slot[0]. */
static enum javm_status attach(struct javm_vm *vm, const struct prepared *p,
                               const struct javm_call *call, struct javm_error *err)
{
    struct memory_layout layout = {.regions = p->regions,
                                   .count = p->region_count,
                                   .scratch = p->scratch_region,
                                   .space = p->program->space,
                                   .id = p->layout,
                                   .constant =
                                       true}; /* code and pinned Data: the image names them */
    if (call->scratchpad != NULL && p->slot0_pinned)
        return javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE,
                         "slot[0] is pinned by the image: it cannot be given");
    if (p->scratch_region != 0) {
        const struct javm_region *region = &p->regions[p->scratch_region];
        layout.scratch_data = call->scratchpad != NULL ? call->scratchpad : region->data;
        if (call->scratchpad != NULL && javm_cap_kind(call->scratchpad) != JAVM_DATA)
            return javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE,
                             "slot[0] is mapped and has to be a Data, not a cap of kind %s",
                             javm_kind_name(javm_cap_kind(call->scratchpad)));
        if (call->scratchpad != NULL && javm_data_pages(call->scratchpad) > region->pages)
            return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                             "slot[0] has %llu pages, its mapping only %u",
                             (unsigned long long)javm_data_pages(call->scratchpad), region->pages);
    }
    vm->memory = memory_of(vm, p->program->space);
    if (memory_attach_warm(vm->memory, &layout) != JAVM_OK)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "guest memory: out of memory");
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

/* The Data of a mapping after the run: its source with the changed pages written over it, as long
 * as before or up to the last changed page. *data gets a reference; when no page changed it is the
 * source itself (NULL for none). */
static enum javm_status mapped_data(struct javm_memory *memory, const struct javm_region *region,
                                    const struct javm_cap *source, struct javm_cap **data)
{
    const uint32_t *dirty;
    const size_t count = memory_dirty_within(memory, region, &dirty);
    if (count == 0) {
        *data = source != NULL ? javm_cap_retain(source) : NULL;
        return JAVM_OK;
    }
    const uint64_t before = source != NULL ? javm_data_pages(source) : 0;
    const uint64_t last = dirty[count - 1] - region->first_page;
    struct javm_cap *fresh = last < before ? javm_cap_clone(source) : javm_data_new_zero(last + 1);
    enum javm_status status = fresh == NULL ? JAVM_E_NOMEM : JAVM_OK;
    for (uint64_t i = 0; last >= before && i < before && status == JAVM_OK; i++) {
        const uint8_t *page = javm_data_page(source, i);
        if (page != NULL)
            status = javm_data_write_page(fresh, i, page);
    }
    for (size_t i = 0; i < count && status == JAVM_OK; i++)
        status = javm_data_write_page(fresh, dirty[i] - region->first_page,
                                      javm_memory_page(memory, dirty[i]));
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
        const struct javm_region *region = &p->regions[p->scratch_region];
        const struct javm_cap *given = call->scratchpad != NULL ? call->scratchpad : region->data;
        if (result->end == JAVM_END_HALT)
            return mapped_data(vm->memory, region, given, &result->slot0);
        if (given != NULL)
            result->slot0 = javm_cap_retain(given);
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

/* One slot of the post instance that is not as before. */
struct change {
    const struct javm_key *path;
    uint8_t depth;
    struct javm_target target; /* EMPTY: the slot was cleared */
};

/* How new caps get their hashes: published, or only hashed. */
struct namer {
    struct javm_dir_thread *dir;
    bool publish;
    struct javm_error *err;
};

static enum javm_status name_cap(const struct namer *namer, const struct javm_cap *cap,
                                 struct javm_hash *hash)
{
    if (namer->publish)
        return javm_directory_put(namer->dir, cap, hash, namer->err);
    const enum javm_status status = javm_cap_hash(cap, hash);
    return status == JAVM_OK
               ? JAVM_OK
               : javm_fail(namer->err, status, JAVM_NOWHERE, "post instance: out of memory");
}

/* Make the changes below a published CNode; they are in order of their paths, so that each CNode on
 * the way is copied and hashed once. *node is replaced by the hash of the new one. `level` keys of
 * each path lead to the node: at most JAVM_MAX_SOURCE_DEPTH. */
static enum javm_status change_slots(const struct namer *namer, struct javm_hash *node,
                                     const struct change *changes, size_t count, uint8_t level)
{
    struct javm_cap *published = javm_directory_get(namer->dir, node);
    struct javm_cap *cnode = published != NULL ? javm_cap_clone(published) : NULL;
    javm_cap_release(published);
    if (cnode == NULL)
        return javm_fail(namer->err, JAVM_E_NOMEM, JAVM_NOWHERE, "post instance: out of memory");
    enum javm_status status = JAVM_OK;
    for (size_t i = 0, end; i < count && status == JAVM_OK; i = end) {
        const struct javm_key *key = &changes[i].path[level];
        struct javm_target target = changes[i].target;
        end = i + 1;
        if (changes[i].depth > level + 1) {
            while (end < count && javm_key_compare(&changes[end].path[level], key) == 0)
                end++;
            /* lay_out saw a CNode here, and nothing clears it: no path leads through slot[0]. */
            struct javm_hash child = javm_cnode_get(cnode, key)->hash;
            status = change_slots(namer, &child, changes + i, end - i, (uint8_t)(level + 1));
            target = javm_target_hash(&child);
        }
        if (status == JAVM_OK && javm_cnode_set(cnode, key, &target) != JAVM_OK)
            status =
                javm_fail(namer->err, JAVM_E_NOMEM, JAVM_NOWHERE, "post instance: out of memory");
    }
    if (status == JAVM_OK)
        status = name_cap(namer, cnode, node);
    javm_cap_release(cnode);
    return status;
}

/* What the run changed in its own slots, in order of paths: slot[0] went back to the caller,
 * changed pages of persistent mappings are Data in their slots. */
static enum javm_status collect_changes(struct javm_memory *memory, const struct prepared *p,
                                        const struct namer *namer, struct change *changes,
                                        size_t *count)
{
    static const struct javm_key slot0 = {.len = 1};
    const struct javm_image *image = javm_image_of(p->program->image);
    changes[0] = (struct change){&slot0, 1, {.kind = JAVM_TARGET_EMPTY}};
    *count = 1;
    for (uint32_t i = 0; i < p->persistent_count; i++) {
        const struct javm_mapping *mapping = &image->mappings[p->persistent[i]];
        const struct javm_region *region = &p->regions[p->persistent[i] + 1];
        if (!region->writable || p->persistent[i] + 1 == p->scratch_region)
            continue;
        struct javm_cap *data = NULL;
        struct javm_hash hash;
        enum javm_status status = mapped_data(memory, region, region->data, &data);
        if (status != JAVM_OK)
            return javm_fail(namer->err, status, JAVM_NOWHERE, "post instance: out of memory");
        if (data != NULL && data != region->data) {
            status = name_cap(namer, data, &hash);
            changes[(*count)++] =
                (struct change){mapping->path, mapping->depth, javm_target_hash(&hash)};
        }
        javm_cap_release(data);
        if (status != JAVM_OK)
            return status;
    }
    return JAVM_OK;
}

/* The Instance after HALT. */
static enum javm_status build_post(struct javm_vm *vm, const struct prepared *p,
                                   struct javm_dir_thread *dir, const struct javm_call *call,
                                   struct javm_call_result *result, struct javm_error *err)
{
    const struct namer namer = {dir, !call->post_unpublished, err};
    struct javm_instance fields = *javm_instance_of(p->instance);
    struct javm_hash root = fields.root_cnode.hash;
    size_t count = 0;
    struct change *changes = malloc((p->persistent_count + (size_t)1) * sizeof *changes);
    enum javm_status status =
        changes == NULL ? javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "post instance: out of memory")
                        : collect_changes(vm->memory, p, &namer, changes, &count);
    if (status == JAVM_OK)
        status = change_slots(&namer, &root, changes, count, 0);
    free(changes);
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
    struct javm_exec exec = {.program = p->program->program,
                             .native = p->program->native,
                             .memory = vm->memory,
                             .engine = vm->engine};
    enter(&exec, endpoint, call);
    javm_exec_run(&exec, call->deadline_ns);
    classify(&exec, result);
    result->gas_used = call->gas - exec.gas;
    result->pc = exec.pc;
    if (exec.failed)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE,
                           vm->memory->failed
                               ? "guest memory: the system gives no more (vm.max_map_count?)"
                               : "invocation: out of memory");
    if (status == JAVM_OK && call->want_slot0 && reflect_slot0(vm, p, dir, call, result) != JAVM_OK)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "slot[0]: out of memory");
    if (status == JAVM_OK && call->want_post && result->end == JAVM_END_HALT)
        status = build_post(vm, p, dir, call, result, err);
    if (status != JAVM_OK)
        javm_call_result_clear(result);
    vm->stats.invocations++;
    vm->stats.pages_touched += vm->memory->filled;
    memory_finish(vm->memory, result->gas_used);
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
