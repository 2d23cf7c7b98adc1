/* Storage, calls and exports as JSON, as results have them. */
#ifndef JAVM_BATCH_V2_TEXT_H
#define JAVM_BATCH_V2_TEXT_H

#include "javm/v2_world.h"

/* Items arrive in the order of their keys; twice: once for the room, once for the text. */
typedef void v2_items(const void *source, javm_v2_visit *visit, void *context);
v2_items v2_items_of_map; /* a struct javm_v2_map */

/* What an invocation left, in a world or as a process told it. All of it is borrowed. */
struct v2_left {
    v2_items *items; /* its storage, */
    const struct javm_bytes *(*find)(const void *storage, const void *key, size_t len);
    const void *storage;
    uint64_t footprint; /* of the storage, in bytes */
    const struct javm_v2_record *records;
    size_t record_count;
    uint64_t left_out;
    const uint8_t *exports; /* JAVM_V2_SEGMENT bytes each */
    size_t export_count;
};
/* What there is now. */
void v2_left_of_world(const struct javm_v2_world *world, struct v2_left *left);

/* {"0x6b":"0x76",...}: at most this many bytes, and the end of it. */
size_t v2_storage_max(v2_items *items, const void *source);
char *v2_storage_put(char *at, v2_items *items, const void *source);

/* [{"call":"transfer","args":[1,2,3,4],"data":["0x.."]},...] */
size_t v2_calls_max(const struct v2_left *left);
char *v2_calls_put(char *at, const struct v2_left *left);

/* ["0x...",...]: what was exported, or its BLAKE2b-256 hashes. */
size_t v2_exports_max(const struct v2_left *left, bool hashes);
char *v2_exports_put(char *at, const struct v2_left *left, bool hashes);

#endif
