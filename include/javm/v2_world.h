/* A host of the JAR v2 kernel that keeps everything in memory: storage, preimages, items, quota.
 *
 * A javm_v2_world belongs to one thread and serves one invocation at a time:
 *     javm_v2_world_begin(world, &state);
 *     invocation.host = javm_v2_world_host(world);
 *     javm_v2_invoke(v2, blob, &invocation, &result, &err);
 *     javm_v2_world_end(world, v2, &result);
 * and then says what the invocation has left, until the next begin. What a state points to is
 * borrowed from begin to the next begin, and never changed: one state may serve many threads.
 *
 * docs/v2-host.md tells what each service does. */
#ifndef JAVM_V2_WORLD_H
#define JAVM_V2_WORLD_H

#include "javm/hash.h"
#include "javm/v2.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- what an invocation finds ------------------------------------------------------------ */

struct javm_v2_item {
    struct javm_bytes key, value;
};

/* Items in the order of their keys (bytes; of two that begin alike the shorter one first). */
struct javm_v2_map {
    const struct javm_v2_item *items;
    size_t count;
    uint64_t footprint; /* 34 + key + value, summed, in bytes */
    size_t longest_key; /* in bytes */
};
/* Sorts the items and describes them; the map borrows them. NULL, or the item that may not be
 * there: an empty value, or a second one of its key; then *map is not written. */
const struct javm_v2_item *javm_v2_map_make(struct javm_v2_item *items, size_t count,
                                            struct javm_v2_map *map);
/* The value of the key, or NULL. */
const struct javm_bytes *javm_v2_map_find(const struct javm_v2_map *map, const void *key,
                                          size_t len);

struct javm_v2_service {
    uint32_t id;
    uint32_t created, last_used, parent; /* two times and a service, for INFO */
    struct javm_hash code_hash;
    uint64_t balance, min_accumulate_gas, min_transfer_gas;
    uint64_t quota_items, quota_bytes; /* the most that its storage may hold; bytes of footprint */
    struct javm_v2_map storage;
    struct javm_v2_map preimages; /* the keys are 32-byte hashes */
};

/* What FETCH finds under one kind. Kind 14, unless given, is made of kind 15: a JAM natural that
 * counts the items, and the items. */
struct javm_v2_fetch {
    uint64_t kind;
    bool indexed; /* items[φ11]; else items[0], whatever φ11 is */
    const struct javm_bytes *items;
    size_t count;
};

enum javm_v2_context { JAVM_V2_REFINE, JAVM_V2_ACCUMULATE };

enum {
    JAVM_V2_SEGMENT = 4104,    /* bytes of an exported segment */
    JAVM_V2_EXPORTS_MAX = 3072 /* of one work package, in the Gray Paper */
};

struct javm_v2_state {
    enum javm_v2_context context;
    const struct javm_v2_service *services; /* ascending ids, at least one */
    size_t service_count;
    size_t own; /* index of the one that runs */
    const struct javm_v2_fetch *fetch;
    size_t fetch_count;
    uint64_t quota_service; /* the id that may call QUOTA, or JAVM_V2_NONE */
    uint32_t cores;         /* BLESS: assigners to read */
    uint32_t queue;         /* ASSIGN: hashes to read */
    size_t exports;         /* EXPORT: the most segments of a refinement; 0: it answers WHAT.
                               JAVM_V2_SEGMENT bytes of memory for each that is exported */
};

/* ---- the host ---------------------------------------------------------------------------- */

struct javm_v2_world;

struct javm_v2_limits {
    uint64_t written_bytes;  /* of items that differ from the state's, as footprint; more: FULL.
                                0: 16 MiB */
    uint64_t recorded_bytes; /* of calls that are recorded, 128 bytes each and what they point at;
                                more are counted only. 0: 1 MiB */
};
/* limits may be NULL for the defaults. NULL: out of memory. */
struct javm_v2_world *javm_v2_world_create(const struct javm_v2_limits *limits);
void javm_v2_world_destroy(struct javm_v2_world *world);

typedef enum javm_v2_answer javm_v2_serve(void *context, struct javm_v2 *v2,
                                          struct javm_v2_call *call);
/* From the next call on `serve` answers for the service, in both contexts; NULL: the world itself
 * again. id: 1..28. */
void javm_v2_world_replace(struct javm_v2_world *world, unsigned id, javm_v2_serve *serve,
                           void *context);
/* The world's own answer, for replacements that only add to it; `world` is a javm_v2_world. */
javm_v2_serve javm_v2_world_serve;

void javm_v2_world_begin(struct javm_v2_world *world, const struct javm_v2_state *state);
/* Borrowed, the same for the life of the world. */
const struct javm_v2_host *javm_v2_world_host(struct javm_v2_world *world);
/* The invocation is over: after anything but a halt storage, quota, output and exports are as they
 * stood at the last CHECKPOINT, or at the beginning. */
void javm_v2_world_end(struct javm_v2_world *world, struct javm_v2 *v2,
                       const struct javm_v2_result *result);

/* ---- what it left ------------------------------------------------------------------------ */

typedef void javm_v2_visit(void *context, const struct javm_bytes *key,
                           const struct javm_bytes *value);
/* The storage of the own service, in the order of keys. */
void javm_v2_world_walk(const struct javm_v2_world *world, javm_v2_visit *visit, void *context);
/* One value of it, or NULL. */
const struct javm_bytes *javm_v2_world_find(const struct javm_v2_world *world, const void *key,
                                            size_t len);
/* What it occupies. */
void javm_v2_world_usage(const struct javm_v2_world *world, uint64_t *items, uint64_t *footprint);
/* NULL: none. OUTPUT, or after a halt of an accumulation with φ8 = 32 the 32 bytes at φ7. */
const struct javm_hash *javm_v2_world_output(const struct javm_v2_world *world);

/* Exported segments by their indices, JAVM_V2_SEGMENT bytes each without gaps. *count: how many; of
 * 0 the result may be NULL. */
const uint8_t *javm_v2_world_exports(const struct javm_v2_world *world, size_t *count);

enum { JAVM_V2_RECORD_ARGS = 6, JAVM_V2_RECORD_DATA = 2 };
struct javm_v2_record {
    uint32_t id;
    bool undone;        /* it came after the last CHECKPOINT of an invocation that did not halt */
    unsigned arg_count; /* φ7.. */
    uint64_t args[JAVM_V2_RECORD_ARGS];
    unsigned data_count; /* what addresses among them point at, in their order */
    struct javm_bytes data[JAVM_V2_RECORD_DATA];
};
/* Calls that are answered with OK and have no further effect, and each QUOTA that was granted, in
 * their order. *left_out: how many more there were. */
const struct javm_v2_record *javm_v2_world_records(const struct javm_v2_world *world, size_t *count,
                                                   uint64_t *left_out);
/* "gas", "fetch", ... in lower case; "reserved" for 10..14; id: 1..28. */
const char *javm_v2_service_name(unsigned id);

#ifdef __cplusplus
}
#endif
#endif
