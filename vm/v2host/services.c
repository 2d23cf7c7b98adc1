/* The services that do something. Memory is checked before everything else: what the guest may not
 * read or write ends the invocation. */
#include <stdlib.h>
#include <string.h>

#include "vm/v2host/world.h"

static enum javm_v2_answer say(struct javm_v2_call *call, uint64_t r7)
{
    call->r7 = r7;
    return JAVM_V2_CONTINUE;
}

/* value[off, off + max), as far as it exists, goes to `buffer`; φ7 is the full length. */
static enum javm_v2_answer say_bytes(struct javm_v2 *v2, struct javm_v2_call *call,
                                     const struct javm_bytes *value, uint64_t buffer, uint64_t off,
                                     uint64_t max)
{
    const uint64_t from = off < value->len ? off : value->len, rest = value->len - from;
    const uint64_t len = max < rest ? max : rest;
    if (len != 0 && !javm_v2_write(v2, buffer, (const uint8_t *)value->data + from, len))
        return JAVM_V2_PANIC;
    return say(call, value->len);
}

enum javm_v2_answer serve_gas(struct javm_v2_world *world, struct javm_v2 *v2,
                              struct javm_v2_call *call)
{
    (void)world;
    (void)v2;
    return say(call, call->gas);
}

enum javm_v2_answer serve_checkpoint(struct javm_v2_world *world, struct javm_v2 *v2,
                                     struct javm_v2_call *call)
{
    (void)v2;
    store_checkpoint(&world->store);
    world->saved = world->now;
    return say(call, call->gas);
}

/* ---- FETCH ------------------------------------------------------------------------------ */

enum { FETCH_ALL = 14, FETCH_ITEM = 15 };

static const struct javm_v2_fetch *find_kind(const struct javm_v2_state *state, uint64_t kind)
{
    for (size_t i = 0; i < state->fetch_count; i++)
        if (state->fetch[i].kind == kind)
            return &state->fetch[i];
    return NULL;
}

/* The shortest JAM natural; returns how many bytes, 1 to 9. */
static size_t natural(uint64_t value, uint8_t to[9])
{
    unsigned more = 0;
    while (more < 8 && value >> (7 * (more + 1)) != 0)
        more++;
    to[0] = (uint8_t)(0xFF00 >> more);
    if (more < 8)
        to[0] |= (uint8_t)(value >> (8 * more));
    for (unsigned i = 0; i < more; i++)
        to[1 + i] = (uint8_t)(value >> (8 * i));
    return 1 + more;
}

static bool join_items(struct javm_v2_world *world, const struct javm_v2_fetch *items)
{
    uint8_t count[9];
    const size_t head = natural(items->count, count);
    size_t len = head;
    for (size_t i = 0; i < items->count; i++)
        len += items->items[i].len;
    uint8_t *at = malloc(len);
    if (at == NULL)
        return false;
    world->all_items = at;
    world->all_items_len = len;
    memcpy(at, count, head);
    at += head;
    for (size_t i = 0; i < items->count; i++) {
        if (items->items[i].len != 0)
            memcpy(at, items->items[i].data, items->items[i].len);
        at += items->items[i].len;
    }
    return true;
}

enum javm_v2_answer serve_fetch(struct javm_v2_world *world, struct javm_v2 *v2,
                                struct javm_v2_call *call)
{
    const uint64_t *regs = call->regs, kind = regs[10];
    const struct javm_v2_fetch *found = find_kind(world->state, kind);
    const struct javm_v2_fetch *items = find_kind(world->state, FETCH_ITEM);
    struct javm_bytes value;
    if (found == NULL && kind == FETCH_ALL && items != NULL) {
        if (world->all_items == NULL && !join_items(world, items))
            return JAVM_V2_FAILED;
        value = (struct javm_bytes){world->all_items, world->all_items_len};
    } else {
        const uint64_t index = found != NULL && found->indexed ? regs[11] : 0;
        if (found == NULL || index >= found->count)
            return say(call, JAVM_V2_NONE);
        value = found->items[index];
    }
    return say_bytes(v2, call, &value, regs[7], regs[8], regs[9]);
}

/* ---- storage ---------------------------------------------------------------------------- */

/* The guest's key in *key. A key that is longer than any that could be there is not copied: it is
 * too_long. */
enum key { KEY_READ, KEY_TOO_LONG, KEY_BAD, KEY_NO_MEMORY };

static enum key read_key(struct javm_v2_world *world, struct javm_v2 *v2, uint64_t address,
                         uint64_t len, uint64_t longest, struct javm_bytes *key)
{
    if (!javm_v2_accessible(v2, address, len, false))
        return KEY_BAD;
    if (len > longest)
        return KEY_TOO_LONG;
    if (len > world->scratch_len) {
        uint8_t *more = realloc(world->scratch, len);
        if (more == NULL)
            return KEY_NO_MEMORY;
        world->scratch = more;
        world->scratch_len = len;
    }
    *key = (struct javm_bytes){world->scratch, len};
    return len == 0 || javm_v2_read(v2, address, world->scratch, len) ? KEY_READ : KEY_BAD;
}

/* The longest key that the storage has or may get. */
static uint64_t longest_key(const struct javm_v2_world *world,
                            const struct javm_v2_service *service)
{
    const bool own = service == world_service(world, UINT64_MAX);
    const uint64_t written = own ? world->limits.written_bytes : 0;
    return written > service->storage.longest_key ? written : service->storage.longest_key;
}

enum javm_v2_answer serve_storage_read(struct javm_v2_world *world, struct javm_v2 *v2,
                                       struct javm_v2_call *call)
{
    const uint64_t *regs = call->regs;
    const struct javm_v2_service *service = world_service(world, regs[7]);
    const struct javm_bytes *value = NULL;
    struct javm_bytes key;
    switch (read_key(world, v2, regs[8], regs[9], service == NULL ? 0 : longest_key(world, service),
                     &key)) {
    case KEY_BAD:
        return JAVM_V2_PANIC;
    case KEY_NO_MEMORY:
        return JAVM_V2_FAILED;
    case KEY_TOO_LONG:
        break;
    case KEY_READ:
        if (service == world_service(world, UINT64_MAX))
            value = store_find(&world->store, &key);
        else if (service != NULL)
            value = javm_v2_map_find(&service->storage, key.data, key.len);
        break;
    }
    if (value == NULL)
        return say(call, JAVM_V2_NONE);
    return say_bytes(v2, call, value, regs[10], regs[11], regs[12]);
}

/* A write that does not make it larger can always be afforded. */
static bool affordable(const struct javm_v2_world *world, const struct javm_bytes *key,
                       uint64_t len)
{
    const struct store *store = &world->store;
    if (len > world->limits.written_bytes)
        return false;
    const struct store_size after = store_after(store, key, len);
    return (after.items <= store->items || after.items <= world->now.quota_items) &&
           (after.footprint <= store->footprint || after.footprint <= world->now.quota_bytes) &&
           (len == 0 || after.written <= world->limits.written_bytes);
}

static enum javm_v2_answer write_value(struct javm_v2_world *world, struct javm_v2 *v2,
                                       struct javm_v2_call *call, const struct javm_bytes *key)
{
    const uint64_t address = call->regs[9], len = call->regs[10];
    if (!affordable(world, key, len))
        return say(call, JAVM_V2_FULL);
    const struct javm_bytes *old = store_find(&world->store, key);
    const uint64_t before = old == NULL ? JAVM_V2_NONE : old->len;
    uint8_t *bytes = NULL;
    if (len != 0) {
        bytes = malloc(len);
        if (bytes == NULL)
            return JAVM_V2_FAILED;
        if (!javm_v2_read(v2, address, bytes, len)) {
            free(bytes);
            return JAVM_V2_PANIC;
        }
    }
    if (!store_write(&world->store, key, bytes, len)) {
        free(bytes);
        return JAVM_V2_FAILED;
    }
    return say(call, before);
}

enum javm_v2_answer serve_storage_write(struct javm_v2_world *world, struct javm_v2 *v2,
                                        struct javm_v2_call *call)
{
    const uint64_t *regs = call->regs;
    struct javm_bytes key;
    if (!javm_v2_accessible(v2, regs[9], regs[10], false))
        return JAVM_V2_PANIC;
    switch (read_key(world, v2, regs[7], regs[8],
                     longest_key(world, world_service(world, UINT64_MAX)), &key)) {
    case KEY_BAD:
        return JAVM_V2_PANIC;
    case KEY_NO_MEMORY:
        return JAVM_V2_FAILED;
    case KEY_TOO_LONG:
        return say(call, regs[10] == 0 ? JAVM_V2_NONE : JAVM_V2_FULL);
    case KEY_READ:
        break;
    }
    return write_value(world, v2, call, &key);
}

/* ---- services and their preimages ------------------------------------------------------- */

enum javm_v2_answer serve_preimage(struct javm_v2_world *world, struct javm_v2 *v2,
                                   struct javm_v2_call *call)
{
    const uint64_t *regs = call->regs;
    struct javm_hash hash;
    if (!javm_v2_read(v2, regs[8], hash.bytes, sizeof hash.bytes))
        return JAVM_V2_PANIC;
    const struct javm_v2_service *service = world_service(world, regs[7]);
    const struct javm_bytes *value =
        service == NULL ? NULL
                        : javm_v2_map_find(&service->preimages, hash.bytes, sizeof hash.bytes);
    if (value == NULL)
        return say(call, JAVM_V2_NONE);
    return say_bytes(v2, call, value, regs[9], regs[10], regs[11]);
}

static uint8_t *put_le(uint8_t *at, uint64_t value, unsigned bytes)
{
    for (unsigned i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
    return at + bytes;
}

enum javm_v2_answer serve_info(struct javm_v2_world *world, struct javm_v2 *v2,
                               struct javm_v2_call *call)
{
    const struct javm_v2_service *service = world_service(world, call->regs[7]);
    uint8_t record[96], *at = record;
    if (service == NULL)
        return say(call, JAVM_V2_NONE);
    const bool own = service == world_service(world, UINT64_MAX);
    memcpy(at, service->code_hash.bytes, sizeof service->code_hash.bytes);
    at = put_le(at + sizeof service->code_hash.bytes, service->balance, 8);
    at = put_le(at, 0, 8); /* the balance that storage binds: none, there is a quota */
    at = put_le(at, service->min_accumulate_gas, 8);
    at = put_le(at, service->min_transfer_gas, 8);
    at = put_le(at, own ? world->store.footprint : service->storage.footprint, 8);
    at = put_le(at, own ? world->store.items : service->storage.count, 4);
    at = put_le(at, 0, 8); /* storage for nothing */
    at = put_le(at, service->created, 4);
    at = put_le(at, service->last_used, 4);
    put_le(at, service->parent, 4);
    const struct javm_bytes bytes = {record, sizeof record};
    return say_bytes(v2, call, &bytes, call->regs[8], call->regs[9], call->regs[10]);
}

enum javm_v2_answer serve_output(struct javm_v2_world *world, struct javm_v2 *v2,
                                 struct javm_v2_call *call)
{
    struct javm_hash output;
    if (!javm_v2_read(v2, call->regs[7], output.bytes, sizeof output.bytes))
        return JAVM_V2_PANIC;
    world->now.output = output;
    world->now.has_output = true;
    return say(call, JAVM_V2_OK);
}

enum javm_v2_answer serve_quota(struct javm_v2_world *world, struct javm_v2 *v2,
                                struct javm_v2_call *call)
{
    const struct javm_v2_service *own = world_service(world, UINT64_MAX);
    if (own->id != world->state->quota_service)
        return say(call, JAVM_V2_HUH);
    const struct javm_v2_service *service = world_service(world, call->regs[7]);
    if (service == NULL)
        return say(call, JAVM_V2_WHO);
    if (!records_add(world, v2, call))
        return JAVM_V2_FAILED;
    if (service == own) {
        world->now.quota_items = call->regs[8];
        world->now.quota_bytes = call->regs[9];
    }
    return say(call, JAVM_V2_OK);
}

static bool room_for_segment(struct javm_v2_world *world)
{
    if (world->now.exports < world->segments_room)
        return true;
    const size_t room = world->segments_room == 0 ? 4 : 2 * world->segments_room;
    uint8_t *more = realloc(world->segments, room * JAVM_V2_SEGMENT);
    if (more == NULL)
        return false;
    world->segments = more;
    world->segments_room = room;
    return true;
}

enum javm_v2_answer serve_export(struct javm_v2_world *world, struct javm_v2 *v2,
                                 struct javm_v2_call *call)
{
    const uint64_t address = call->regs[7];
    const uint64_t len = call->regs[8] < JAVM_V2_SEGMENT ? call->regs[8] : JAVM_V2_SEGMENT;
    if (world->state->exports == 0)
        return say(call, JAVM_V2_WHAT);
    if (!javm_v2_accessible(v2, address, len, false))
        return JAVM_V2_PANIC;
    if (world->now.exports >= world->state->exports)
        return say(call, JAVM_V2_FULL);
    if (!room_for_segment(world))
        return JAVM_V2_FAILED;
    uint8_t *segment = world->segments + world->now.exports * JAVM_V2_SEGMENT;
    if (len != 0 && !javm_v2_read(v2, address, segment, len))
        return JAVM_V2_PANIC;
    memset(segment + len, 0, JAVM_V2_SEGMENT - len);
    return say(call, world->now.exports++);
}

/* ---- the others ------------------------------------------------------------------------- */

enum { TRANSFER = 21, PREIMAGE_QUERY = 23 };

enum javm_v2_answer serve_recorded(struct javm_v2_world *world, struct javm_v2 *v2,
                                   struct javm_v2_call *call)
{
    if (!records_readable(world, v2, call))
        return JAVM_V2_PANIC;
    if (call->id == TRANSFER) {
        if (call->regs[9] > call->gas)
            return JAVM_V2_PANIC;
        call->gas -= call->regs[9];
    }
    if (!records_add(world, v2, call))
        return JAVM_V2_FAILED;
    if (call->id == PREIMAGE_QUERY)
        call->r8 = 0; /* asked for, and never there */
    return say(call, JAVM_V2_OK);
}
