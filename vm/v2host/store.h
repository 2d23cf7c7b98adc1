/* Storage of one service during an invocation: a map that does not change and, over it, the items
 * that were written, each as it stands and as it stood at the last checkpoint. Beginning costs
 * nothing, a write what it writes, a checkpoint and its undoing what was written since. */
#ifndef JAVM_V2HOST_STORE_H
#define JAVM_V2HOST_STORE_H

#include <sys/queue.h>

#include "javm/v2_world.h"

struct value {
    struct javm_bytes bytes; /* of length 0: there is none */
    bool owned;
};

struct stored {
    struct javm_bytes key; /* in `own` */
    LIST_ENTRY(stored) dirty;
    bool is_dirty;            /* in the list: live and saved may differ */
    bool is_base;             /* the map has the key: the entry stays, to hide it */
    struct value live, saved; /* may share their bytes; live then is not owned */
    uint8_t own[];
};

struct store {
    const struct javm_v2_map *base;
    void *tree; /* tsearch, by key */
    LIST_HEAD(, stored) dirty;
    uint64_t items, footprint;             /* of what is there, with what is of the map */
    uint64_t saved_items, saved_footprint; /* at the checkpoint */
    uint64_t written;                      /* 34 + key + value of each entry, as it stands */
};

int bytes_compare(const struct javm_bytes *a, const struct javm_bytes *b);

/* A zeroed store may be begun. What it had is gone. */
void store_begin(struct store *store, const struct javm_v2_map *base);
void store_clear(struct store *store);

/* NULL: none. Until the next write. */
const struct javm_bytes *store_find(const struct store *store, const struct javm_bytes *key);
/* What items, footprint and written would be after a write of that many bytes. */
struct store_size {
    uint64_t items, footprint, written;
};
struct store_size store_after(const struct store *store, const struct javm_bytes *key,
                              uint64_t len);
/* Takes over `bytes` (malloc'ed, len > 0; or NULL and 0: the item goes) unless there is no memory,
 * which is false; then nothing has changed. */
bool store_write(struct store *store, const struct javm_bytes *key, uint8_t *bytes, size_t len);
void store_checkpoint(struct store *store);
void store_rollback(struct store *store);
void store_walk(const struct store *store, javm_v2_visit *visit, void *context);

#endif
