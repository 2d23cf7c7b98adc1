/* The parts of a world, for the files of this folder. */
#ifndef JAVM_V2HOST_WORLD_H
#define JAVM_V2HOST_WORLD_H

#include "javm/v2_world.h"
#include "vm/v2host/store.h"

enum { SERVICE_COUNT = 28 };

/* A function of this folder that serves; `world->state` is set. */
typedef enum javm_v2_answer service_fn(struct javm_v2_world *world, struct javm_v2 *v2,
                                       struct javm_v2_call *call);

/* What a fault takes back. */
struct settled {
    bool has_output;
    struct javm_hash output;
    uint64_t quota_items, quota_bytes; /* of the own service */
    size_t records;                    /* how many there were */
    size_t exports;                    /* how many segments there are */
};

struct records {
    struct javm_v2_record *list;
    size_t count, capacity;
    uint64_t bytes, left_out;
};

struct javm_v2_world {
    struct javm_v2_host host;
    struct javm_v2_limits limits;
    const struct javm_v2_state *state; /* NULL before the first begin */
    struct store store;
    struct settled now, saved;
    struct records records;
    uint8_t *all_items; /* kind 14, once it was asked for */
    size_t all_items_len;
    uint8_t *segments; /* now.exports of them, and room for more */
    size_t segments_room;
    uint8_t *scratch; /* a key that is looked for */
    size_t scratch_len;
    struct {
        javm_v2_serve *serve;
        void *context;
    } replaced[SERVICE_COUNT + 1];
};

extern service_fn serve_gas, serve_fetch, serve_preimage, serve_storage_read, serve_storage_write,
    serve_info, serve_checkpoint, serve_output, serve_quota, serve_recorded, serve_export;

/* NULL: no such service. 2^64-1 is the own one. */
const struct javm_v2_service *world_service(const struct javm_v2_world *world, uint64_t id);
/* Takes the call down. False: no memory. `call` keeps its r7. */
bool records_add(struct javm_v2_world *world, struct javm_v2 *v2, const struct javm_v2_call *call);
/* Are all bytes that the call points at readable? */
bool records_readable(const struct javm_v2_world *world, struct javm_v2 *v2,
                      const struct javm_v2_call *call);
void records_clear(struct records *records);

#endif
