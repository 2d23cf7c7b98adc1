/* CapDirectory: the shared, lock-free home of caps (spec: v3 capabilities, "CapDirectory").
 *
 * Two tiers. Blobs: CapHash -> immutable cap; they stay until the directory is destroyed.
 * Instances: live mutable entries, named by counted CapRefs; they stay until a sweep finds that the
 * directory holds the only count.
 *
 * Thread rules: a thread that calls into a directory first joins it (javm_directory_join) and uses
 * the handle it got for all calls, one thread per handle. get, put, clone, drop, put_instance and
 * sweep_instances never take a lock and never wait for another thread. */
#ifndef JAVM_DIRECTORY_H
#define JAVM_DIRECTORY_H

#include "javm/cap.h"

#ifdef __cplusplus
extern "C" {
#endif

struct javm_directory;
struct javm_dir_thread; /* one thread's way into one directory */

/* shards: 0 picks for `workers` (0 counts as 1); else rounded up to a power of two. At least 4 per
 * worker. RANGE when that is too many, NOMEM. */
enum javm_status javm_directory_create(unsigned workers, unsigned shards,
                                       struct javm_directory **dir, struct javm_error *err);
/* All threads have left; every CapRef that outlived it is an error of the caller. */
void javm_directory_destroy(struct javm_directory *dir);

/* NULL when out of memory. */
struct javm_dir_thread *javm_directory_join(struct javm_directory *dir);
void javm_directory_leave(struct javm_dir_thread *self);
struct javm_directory *javm_directory_of(const struct javm_dir_thread *self);

/* Publish. The directory takes its own reference; the caller keeps its own. *hash (may be NULL)
 * gets cap_hash. Idempotent. MISSING when a hash that the cap names is not present (the text says
 * which), LIVE when it holds a CapRef, NOMEM; on failure nothing changed. Lock-free. */
enum javm_status javm_directory_put(struct javm_dir_thread *self, const struct javm_cap *cap,
                                    struct javm_hash *hash, struct javm_error *err);
/* A counted view of a published cap (release with javm_cap_release), or NULL. Lock-free. */
struct javm_cap *javm_directory_get(struct javm_dir_thread *self, const struct javm_hash *hash);
/* A counted view of a live entry's present value; FOREIGN when another directory made the ref. The
 * caller holds a count of `ref`. Lock-free. */
enum javm_status javm_directory_get_ref(struct javm_dir_thread *self,
                                        const struct javm_ref_cell *ref, struct javm_cap **cap,
                                        struct javm_error *err);

/* An annex: published caps that only its holder sees, beside the directory, so that they can go
 * again. While a thread has one open, what it puts that the directory has not goes into the annex,
 * and what it gets is looked for there, too. One thread at a time uses an annex; who hands it to
 * another one orders that. */
struct javm_annex;

struct javm_annex *javm_annex_new(void); /* NULL: out of memory */
void javm_annex_free(struct javm_annex *annex);
/* Open it for this thread in place of any other; NULL: none is open. Borrowed until then. */
void javm_annex_open(struct javm_dir_thread *self, struct javm_annex *annex);
/* Is the cap in the open annex? What the directory has is in none. */
bool javm_annex_has(const struct javm_dir_thread *self, const struct javm_hash *hash);
/* Drop all but what `root` names, at any depth. Time is that of what stays and goes. NOMEM: nothing
 * changed. */
enum javm_status javm_annex_keep(struct javm_annex *annex, const struct javm_hash *root);
/* Everything in `from` goes to `to`. NOMEM: nothing changed. */
enum javm_status javm_annex_move(struct javm_annex *to, struct javm_annex *from);
/* How many caps it has; *bytes (may be NULL) as javm_cap_bytes() gives them. */
uint64_t javm_annex_count(const struct javm_annex *annex, uint64_t *bytes);

/* Make a live entry of `cap`, whose reference passes to the directory on success; *ref is a target
 * of kind REF with one count for the caller. Images and Types: KIND. A CapRef of another directory
 * inside: FOREIGN. */
enum javm_status javm_directory_put_instance(struct javm_dir_thread *self, struct javm_cap *cap,
                                             struct javm_target *ref, struct javm_error *err);
/* A private live entry with the value of a published cap. MISSING, KIND, NOMEM. */
enum javm_status javm_directory_get_mut(struct javm_dir_thread *self, const struct javm_hash *hash,
                                        struct javm_target *ref, struct javm_error *err);
/* Exchange a live entry's value: readers see the old or the new one, whole. The reference to `cap`
 * passes to the directory on success; the old value is released once no reader can see it. KIND,
 * FOREIGN. The caller holds a count of `ref`. Lock-free. */
enum javm_status javm_directory_replace(struct javm_dir_thread *self,
                                        const struct javm_ref_cell *ref, struct javm_cap *cap,
                                        struct javm_error *err);

/* Settle: replace every live entry below `target` by the hash of its value, publishing as needed;
 * depth first, iterative. KIND (an empty target), MISSING, STATE (a cycle), FOREIGN, NOMEM. On
 * success *hash names the published result. The live entries themselves stay. */
enum javm_status javm_directory_settle(struct javm_dir_thread *self,
                                       const struct javm_target *target, struct javm_hash *hash,
                                       struct javm_error *err);

/* Remove every live entry that only the directory holds, and again until a pass removes nothing.
 * Returns how many. Safe while others work; lock-free. */
uint64_t javm_directory_sweep(struct javm_dir_thread *self);

struct javm_shard_stats {
    uint64_t blobs, blob_bytes, instances, instance_bytes, capacity;
};
struct javm_directory_stats {
    uint64_t blobs, blob_bytes, instances, instance_bytes, shards;
    uint64_t puts, put_hits, gets, get_misses, swept; /* since creation */
};
/* A snapshot: each number was true at some time during the call. Bytes as javm_cap_bytes() gives
 * them, so what several caps share is counted for each. */
void javm_directory_stats(struct javm_dir_thread *self, struct javm_directory_stats *stats);
/* shard < stats.shards */
void javm_directory_shard_stats(struct javm_dir_thread *self, uint64_t shard,
                                struct javm_shard_stats *stats);

#ifdef __cplusplus
}
#endif
#endif
