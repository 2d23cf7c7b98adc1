/* Storage, calls and exports as JSON, as results have them. */
#ifndef JAVM_BATCH_V2_TEXT_H
#define JAVM_BATCH_V2_TEXT_H

#include "javm/v2_world.h"

/* Items arrive in the order of their keys; twice: once for the room, once for the text. */
typedef void v2_items(const void *source, javm_v2_visit *visit, void *context);
v2_items v2_items_of_map;   /* a struct javm_v2_map */
v2_items v2_items_of_world; /* a struct javm_v2_world */

/* {"0x6b":"0x76",...}: at most this many bytes, and the end of it. */
size_t v2_storage_max(v2_items *items, const void *source);
char *v2_storage_put(char *at, v2_items *items, const void *source);

/* [{"call":"transfer","args":[1,2,3,4],"data":["0x.."]},...] */
size_t v2_calls_max(const struct javm_v2_world *world);
char *v2_calls_put(char *at, const struct javm_v2_world *world);

/* ["0x...",...]: what was exported, or its BLAKE2b-256 hashes. */
size_t v2_exports_max(const struct javm_v2_world *world, bool hashes);
char *v2_exports_put(char *at, const struct javm_v2_world *world, bool hashes);

#endif
