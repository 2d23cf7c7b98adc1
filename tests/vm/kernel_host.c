/* A case in one world: the host invokes, resumes, gives more gas, moves the invocation to the other
 * Vm, gives up or keeps what is paused; and what is left after it. */
#include "tests/vm/kernel_fuzz.h"

/* ---- what the host supplies -------------------------------------------------------------- */

static struct fuzz_meter *meter_of(struct fuzz_world *world, enum meter meter,
                                   const struct javm_key *key)
{
    for (uint32_t i = 0; i < world->meter_count[meter]; i++)
        if (javm_key_compare(&world->meters[meter][i].key, key) == 0)
            return &world->meters[meter][i];
    return NULL;
}

static enum javm_status meter_get(struct fuzz_world *world, enum meter meter,
                                  const struct javm_key *key, uint64_t *value)
{
    const struct fuzz_meter *found = meter_of(world, meter, key);
    *value = found != NULL ? found->value : 0;
    return JAVM_OK;
}

static enum javm_status meter_set(struct fuzz_world *world, enum meter meter,
                                  const struct javm_key *key, uint64_t value)
{
    struct fuzz_meter *found = meter_of(world, meter, key);
    if (found == NULL) {
        if (world->meter_count[meter] == FUZZ_METERS)
            return JAVM_E_LIMIT;
        found = &world->meters[meter][world->meter_count[meter]++];
    }
    *found = (struct fuzz_meter){*key, value};
    return JAVM_OK;
}

static enum javm_status gas_get(void *world, const struct javm_key *key, uint64_t *value)
{
    return meter_get(world, METER_GAS, key, value);
}
static enum javm_status gas_set(void *world, const struct javm_key *key, uint64_t value)
{
    return meter_set(world, METER_GAS, key, value);
}
static enum javm_status quota_get(void *world, const struct javm_key *key, uint64_t *value)
{
    return meter_get(world, METER_QUOTA, key, value);
}
static enum javm_status quota_set(void *world, const struct javm_key *key, uint64_t value)
{
    return meter_set(world, METER_QUOTA, key, value);
}

static enum javm_status file_save(void *context, const struct javm_cap *data, struct javm_key *name)
{
    struct fuzz_world *world = context;
    if (world->file_count == FUZZ_FILES)
        return JAVM_E_LIMIT;
    world->files[world->file_count++] = javm_cap_retain(data);
    *name = javm_key_from_u64(0x1000 + world->file_count);
    return JAVM_OK;
}

static enum javm_status file_open(void *context, const struct javm_key *name,
                                  struct javm_cap **data)
{
    struct fuzz_world *world = context;
    const uint64_t number = javm_key_pack(name) - 0x1001;
    *data = number < world->file_count ? javm_cap_retain(world->files[number]) : NULL;
    return JAVM_OK;
}

static void forget(struct fuzz_world *world)
{
    while (world->file_count != 0)
        javm_cap_release(world->files[--world->file_count]);
    world->meter_count[METER_GAS] = world->meter_count[METER_QUOTA] = 0;
}

/* The host of a case. The Vm's copy is changed: making a Vm costs more than a case. */
static void set_host(struct fuzz_world *world, struct javm_vm *vm)
{
    const struct fuzz_case *c = world->now;
    struct javm_assist host = {.context = world};
    if (!c->no_host)
        host.host_call = oracle_host_call;
    if (c->host_files) {
        host.file_save = file_save;
        host.file_open = file_open;
    }
    if (c->host_meters) {
        host.gas_get = gas_get;
        host.gas_set = gas_set;
        host.quota_get = quota_get;
        host.quota_set = quota_set;
    }
    vm->assist.host = host;
    vm->max_depth = c->max_depth;
}

static void set_hosts(struct fuzz_world *world)
{
    static const uint64_t gas[FUZZ_KEYS] = {3000, 450, 20000, 0}, quota[FUZZ_KEYS] = {3, 100, 0, 1};
    for (unsigned i = 0; i < 2; i++)
        set_host(world, world->vms[world->now->model][i]);
    if (!world->now->host_meters)
        return;
    for (uint64_t i = 0; i < FUZZ_KEYS; i++) {
        const struct javm_key key = fuzz_meter_key(i);
        REQUIRE(gas_set(world, &key, gas[i]) == JAVM_OK);
        REQUIRE(quota_set(world, &key, quota[i]) == JAVM_OK);
    }
}

/* ---- results ---------------------------------------------------------------------------- */

static uint64_t word_of_cap(const struct javm_cap *cap)
{
    struct javm_hash hash;
    uint64_t word = 0;
    if (cap != NULL && javm_cap_hash(cap, &hash) == JAVM_OK)
        memcpy(&word, hash.bytes, sizeof word);
    return word;
}

static void note_result(struct fuzz_world *world, enum javm_status status,
                        const struct javm_call_result *r)
{
    struct record record = {.phase = PHASE_RESULT,
                            .op = (uint32_t)status,
                            .depth = (uint32_t)r->end,
                            .running = (uint32_t)r->fault,
                            .pc = r->pc,
                            .gas = r->value,
                            .used = r->gas_used,
                            .regs = {r->address, r->fault_addr, (uint64_t)r->selector,
                                     r->selector_is_ecall, javm_key_pack(&r->yield_key),
                                     r->yield_key.len},
                            .state = word_of_cap(r->post_instance),
                            .memory = word_of_cap(r->slot0)};
    trace_add(world, &record);
    world->used = r->gas_used;
    if (status != JAVM_OK) {
        world->coverage->errors++;
        return;
    }
    world->coverage->ends[r->end]++;
    if (r->end == JAVM_END_FAULTED)
        world->coverage->end_faults[r->fault]++;
}

/* ---- a run ------------------------------------------------------------------------------ */

#define PAUSES 10u

static struct javm_vm *other_vm(const struct fuzz_world *world)
{
    struct javm_vm *const *vms = world->vms[world->now->model];
    return vms[world->vm == vms[0]];
}

/* True: it is paused on another Vm now. */
static bool move(struct fuzz_world *world)
{
    struct javm_hash hash;
    struct javm_error err;
    enum javm_status status = javm_vm_detach_paused(world->vm, world->base.dir, &hash, &err);
    world->vm = other_vm(world);
    world->published = true;
    if (status == JAVM_OK)
        status = javm_vm_attach_paused(world->vm, world->base.dir, &hash, &err);
    if (status != JAVM_OK)
        check_fail(world, "detached, not attached: %s", err.text);
    return status == JAVM_OK;
}

/* What the host does with what is paused. False: that was all. */
static bool go_on(struct fuzz_world *world, struct javm_call *call, unsigned pauses)
{
    struct javm_error err;
    const uint64_t k = choose(&world->choices, 100);
    if (pauses == PAUSES || k < 8) {
        world->coverage->dropped++;
        REQUIRE(javm_vm_drop_paused(world->vm, &err) == JAVM_OK);
        return false;
    }
    if (k < 20) {
        world->coverage->kept++;
        world->keeps =
            javm_vm_detach_paused(world->vm, world->base.dir, &world->kept, &err) == JAVM_OK;
        if (!world->keeps)
            check_fail(world, "not detached: %s", err.text);
        return false;
    }
    /* Files that the Vm keeps itself do not go along: then all worlds move or none. */
    const bool all = k < 55;
    world->coverage->detached += all;
    const bool alone = !all && world->moves && world->now->host_files;
    if ((all || alone) && !move(world))
        return false;
    call->gas = choose(&world->choices, likely(&world->choices, 60) ? 4000 : 300);
    call->scratchpad = NULL;
    if (likely(&world->choices, 25)) {
        const int which = pool_any(&world->pool, &world->choices, W_BIT(W_DATA));
        call->scratchpad =
            which >= 0 ? javm_directory_get(world->base.dir, &world->pool.at[which].hash) : NULL;
    }
    return true;
}

static enum javm_status resume(struct fuzz_world *world, const struct javm_call *call,
                               struct javm_call_result *result, struct javm_error *err)
{
    world->given += call->gas;
    world->frame_count = 0; /* it may be another's, or the host gave it another slot[0] */
    const enum javm_status status =
        javm_vm_call_resume(world->vm, world->base.dir, call, result, err);
    if (status != JAVM_OK && world->vm->paused)
        world->given -= call->gas; /* a scratchpad that does not fit */
    return status;
}

/* The first step: an Instance is invoked, a continuation attached. */
static enum javm_status start(struct fuzz_world *world, struct javm_call *call,
                              struct javm_call_result *result, struct javm_error *err)
{
    if (world->pool.at[world->now->root].what != W_PAUSED) {
        check_begin(world, call->gas, true);
        return javm_vm_invoke(world->vm, world->base.dir, call, result, err);
    }
    const enum javm_status status =
        javm_vm_attach_paused(world->vm, world->base.dir, &call->instance, err);
    if (status != JAVM_OK)
        return status;
    world->coverage->attached++;
    check_begin(world, world->vm->budget + world->vm->spent, false);
    return resume(world, call, result, err);
}

static void serve(struct fuzz_world *world, struct javm_call *call)
{
    struct javm_call_result result = {.fault = JAVM_FAULT_NONE};
    struct javm_error err;
    enum javm_status status = start(world, call, &result, &err);
    for (unsigned pauses = 0;; pauses++) {
        note_result(world, status, &result);
        if (status == JAVM_OK)
            check_end(world, &result);
        if (!world->vm->paused)
            break;
        javm_call_result_clear(&result);
        if (!go_on(world, call, pauses))
            return;
        world->coverage->resumes++;
        status = resume(world, call, &result, &err);
        javm_cap_release((struct javm_cap *)call->scratchpad);
        call->scratchpad = NULL;
    }
    if (result.end == JAVM_END_HALT && result.post_instance != NULL && !world->now->unpublished)
        world->keeps = javm_directory_put(world->base.dir, result.post_instance, &world->kept,
                                          &err) == JAVM_OK;
    javm_call_result_clear(&result);
}

void run_case(struct fuzz_world *world, const struct fuzz_case *c)
{
    struct javm_directory_stats before, after;
    struct javm_call call = {.instance = world->pool.at[c->root].hash,
                             .endpoint = c->endpoint,
                             .gas = c->gas,
                             .want_post = c->want_post,
                             .want_slot0 = c->want_slot0,
                             .post_unpublished = c->unpublished,
                             .can_pause = c->can_pause};
    memcpy(call.args, c->args, sizeof call.args);
    world->now = c;
    world->vm = world->vms[c->model][0];
    world->choices = c->choices;
    world->trace.count = 0;
    world->wrong[0] = '\0';
    world->differs = SIZE_MAX;
    world->keeps = world->counted = world->published = false;
    world->used = 0;
    world->frame_count = world->after_depth = 0;
    forget(world);
    set_hosts(world);
    struct javm_cap *scratchpad = NULL;
    if (c->scratchpad >= 0)
        scratchpad = javm_directory_get(world->base.dir, &world->pool.at[c->scratchpad].hash);
    call.scratchpad = scratchpad;
    javm_directory_stats(world->base.dir, &before);
    serve(world, &call);
    javm_cap_release(scratchpad);
    javm_directory_stats(world->base.dir, &after);
    if (world->vm->depth != 0 || world->vm->paused || other_vm(world)->depth != 0)
        check_fail(world, "entries are left");
    const struct record *last = &world->trace.records[world->trace.count - 1];
    if (world->trace.count != 0 && last->phase == PHASE_RESULT && last->depth == JAVM_END_FAULTED &&
        !world->published && !c->want_slot0 && after.blobs != before.blobs)
        check_fail(world, "a fault left %llu blobs behind",
                   (unsigned long long)(after.blobs - before.blobs));
    if (after.instances != 0)
        check_fail(world, "live entries are left");
    if (world->against != NULL && world->against->count != world->trace.count)
        check_fail(world, "%zu records, not %zu", world->trace.count, world->against->count);
    if (world->wrong[0] != '\0' && world->differs == SIZE_MAX)
        world->differs = world->trace.count - 1;
}

/* ---- worlds ----------------------------------------------------------------------------- */

void world_make(struct fuzz_world *world, const enum javm_engine engines[2], struct javm_jit *jit)
{
    static const struct kernel_probe any = {.before = check_before, .after = check_after};
    *world = (struct fuzz_world){.show = SIZE_MAX};
    world->digests = digests_new();
    world->probe = any;
    world->probe.context = world;
    world->moves = engines[0] != engines[1] || jit == NULL;
    REQUIRE(javm_directory_create(1, 0, &world->base.directory, NULL) == JAVM_OK);
    world->base.dir = javm_directory_join(world->base.directory);
    REQUIRE(world->base.dir != NULL);
    for (unsigned model = 0; model < MODELS; model++) {
        for (unsigned i = 0; i < 2; i++) {
            const struct javm_vm_options options = {
                .engine = engines[i],
                .gas_model = model == 0 ? JAVM_GAS_EXEC : JAVM_GAS_FULL,
                .max_depth = FUZZ_DEPTH,
                .jit = jit,
                .program_cache_bytes = engines[0] != engines[1] ? 1 : 0}; /* nothing is kept */
            REQUIRE(javm_vm_create(&options, &world->vms[model][i], NULL) == JAVM_OK);
            world->vms[model][i]->probe = &world->probe;
        }
    }
}

/* No live entry is left, and in a sanitizer build no memory. */
void world_unmake(struct fuzz_world *world)
{
    struct javm_directory_stats stats;
    forget(world);
    for (unsigned model = 0; model < MODELS; model++)
        for (unsigned i = 0; i < 2; i++)
            javm_vm_destroy(world->vms[model][i]);
    javm_directory_sweep(world->base.dir);
    javm_directory_stats(world->base.dir, &stats);
    REQUIRE(stats.instances == 0);
    javm_directory_leave(world->base.dir);
    javm_directory_destroy(world->base.directory);
    digests_free(world->digests);
    free(world->trace.records);
}
