#include "vm/v2host/world.h"

#include <stdlib.h>
#include <string.h>

enum offered { TO_ACCUMULATE, TO_REFINE, TO_BOTH };

/* Services 10..14 are reserved, 7 and 9 nowhere defined: they have no function and answer WHAT. */
static const struct {
    const char *name;
    service_fn *serve;
    enum offered offered;
} SERVICES[SERVICE_COUNT + 1] = {
    [1] = {"gas", serve_gas, TO_BOTH},
    [2] = {"fetch", serve_fetch, TO_BOTH},
    [3] = {"preimage_lookup", serve_preimage, TO_ACCUMULATE},
    [4] = {"storage_r", serve_storage_read, TO_ACCUMULATE},
    [5] = {"storage_w", serve_storage_write, TO_ACCUMULATE},
    [6] = {"info", serve_info, TO_ACCUMULATE},
    [7] = {"historical", NULL, TO_ACCUMULATE},
    [8] = {"export", serve_export, TO_REFINE},
    [9] = {"compile", NULL, TO_ACCUMULATE},
    [15] = {"bless", serve_recorded, TO_ACCUMULATE},
    [16] = {"assign", serve_recorded, TO_ACCUMULATE},
    [17] = {"designate", serve_recorded, TO_ACCUMULATE},
    [18] = {"checkpoint", serve_checkpoint, TO_BOTH},
    [19] = {"service_new", serve_recorded, TO_ACCUMULATE},
    [20] = {"service_upgrade", serve_recorded, TO_ACCUMULATE},
    [21] = {"transfer", serve_recorded, TO_ACCUMULATE},
    [22] = {"service_eject", serve_recorded, TO_ACCUMULATE},
    [23] = {"preimage_query", serve_recorded, TO_ACCUMULATE},
    [24] = {"preimage_solicit", serve_recorded, TO_ACCUMULATE},
    [25] = {"preimage_forget", serve_recorded, TO_ACCUMULATE},
    [26] = {"output", serve_output, TO_ACCUMULATE},
    [27] = {"preimage_provide", serve_recorded, TO_ACCUMULATE},
    [28] = {"quota", serve_quota, TO_ACCUMULATE},
};

const char *javm_v2_service_name(unsigned id)
{
    const char *name = id <= SERVICE_COUNT ? SERVICES[id].name : NULL;
    return name == NULL ? "reserved" : name;
}

enum javm_v2_answer javm_v2_world_serve(void *context, struct javm_v2 *v2,
                                        struct javm_v2_call *call)
{
    struct javm_v2_world *world = context;
    const enum offered unoffered =
        world->state->context == JAVM_V2_REFINE ? TO_ACCUMULATE : TO_REFINE;
    if (call->id > SERVICE_COUNT || SERVICES[call->id].serve == NULL ||
        SERVICES[call->id].offered == unoffered) {
        call->r7 = JAVM_V2_WHAT;
        return JAVM_V2_CONTINUE;
    }
    return SERVICES[call->id].serve(world, v2, call);
}

static enum javm_v2_answer serve(void *context, struct javm_v2 *v2, struct javm_v2_call *call)
{
    struct javm_v2_world *world = context;
    if (call->id <= SERVICE_COUNT && world->replaced[call->id].serve != NULL)
        return world->replaced[call->id].serve(world->replaced[call->id].context, v2, call);
    return javm_v2_world_serve(world, v2, call);
}

struct javm_v2_world *javm_v2_world_create(const struct javm_v2_limits *limits)
{
    struct javm_v2_world *world = calloc(1, sizeof *world);
    if (world == NULL)
        return NULL;
    if (limits != NULL)
        world->limits = *limits;
    if (world->limits.written_bytes == 0)
        world->limits.written_bytes = 16u << 20;
    if (world->limits.recorded_bytes == 0)
        world->limits.recorded_bytes = 1u << 20;
    world->host = (struct javm_v2_host){world, serve};
    return world;
}

static void clear(struct javm_v2_world *world)
{
    records_clear(&world->records);
    free(world->all_items);
    world->all_items = NULL;
}

void javm_v2_world_destroy(struct javm_v2_world *world)
{
    if (world == NULL)
        return;
    clear(world);
    store_clear(&world->store);
    free(world->records.list);
    free(world->segments);
    free(world->scratch);
    free(world);
}

void javm_v2_world_replace(struct javm_v2_world *world, unsigned id, javm_v2_serve *function,
                           void *context)
{
    world->replaced[id].serve = function;
    world->replaced[id].context = context;
}

void javm_v2_world_begin(struct javm_v2_world *world, const struct javm_v2_state *state)
{
    const struct javm_v2_service *own = &state->services[state->own];
    clear(world);
    world->state = state;
    store_begin(&world->store, &own->storage);
    world->now = (struct settled){.quota_items = own->quota_items, .quota_bytes = own->quota_bytes};
    world->saved = world->now;
}

const struct javm_v2_host *javm_v2_world_host(struct javm_v2_world *world)
{
    return &world->host;
}

void javm_v2_world_end(struct javm_v2_world *world, struct javm_v2 *v2,
                       const struct javm_v2_result *result)
{
    if (result->end != JAVM_V2_END_HALT) {
        store_rollback(&world->store);
        world->now = world->saved;
        for (size_t i = world->saved.records; i < world->records.count; i++)
            world->records.list[i].undone = true;
        return;
    }
    struct javm_hash output;
    if (world->state->context == JAVM_V2_ACCUMULATE && result->regs[8] == sizeof output.bytes &&
        javm_v2_read(v2, result->value, output.bytes, sizeof output.bytes)) {
        world->now.output = output;
        world->now.has_output = true;
    }
}

const struct javm_v2_service *world_service(const struct javm_v2_world *world, uint64_t id)
{
    const struct javm_v2_state *state = world->state;
    if (id == UINT64_MAX)
        return &state->services[state->own];
    size_t low = 0, high = state->service_count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (state->services[middle].id == id)
            return &state->services[middle];
        if (state->services[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

void javm_v2_world_walk(const struct javm_v2_world *world, javm_v2_visit *visit, void *context)
{
    store_walk(&world->store, visit, context);
}

const struct javm_bytes *javm_v2_world_find(const struct javm_v2_world *world, const void *key,
                                            size_t len)
{
    const struct javm_bytes wanted = {key, len};
    return store_find(&world->store, &wanted);
}

void javm_v2_world_usage(const struct javm_v2_world *world, uint64_t *items, uint64_t *footprint)
{
    *items = world->store.items;
    *footprint = world->store.footprint;
}

const struct javm_hash *javm_v2_world_output(const struct javm_v2_world *world)
{
    return world->now.has_output ? &world->now.output : NULL;
}

const uint8_t *javm_v2_world_exports(const struct javm_v2_world *world, size_t *count)
{
    *count = world->now.exports;
    return world->segments;
}

const struct javm_v2_record *javm_v2_world_records(const struct javm_v2_world *world, size_t *count,
                                                   uint64_t *left_out)
{
    *count = world->records.count;
    *left_out = world->records.left_out;
    return world->records.list;
}
