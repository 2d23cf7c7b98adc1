/* The directory's own structures, shared by the files of this folder only. */
#ifndef CACHE_DIRECTORY_IMPL_H
#define CACHE_DIRECTORY_IMPL_H

#include <ck_epoch.h>

#include "cache/entry.h"
#include "cache/trie.h"
#include "javm/directory.h"

/* Two lines of 64 bytes: the adjacent-line prefetcher fetches pairs, so this is what two threads
 * must be apart in order not to disturb each other. */
#define CACHE_LINE 128

#define SHARDS_MAX 65536u

/* A published cap. Never removed, never changed: readers need no epoch section for it, and the
 * only line that a reader writes is the one with the cap's count. */
struct blob {
    struct trie_leaf leaf; /* the key is the hash */
    struct javm_cap *cap;  /* owned */
};

struct shard {
    /* read by every lookup, written only when something is inserted or removed near the root */
    _Alignas(CACHE_LINE) struct trie_node blobs;
    _Alignas(CACHE_LINE) struct trie_node instances;
    /* written by insertions and removals; nothing on the way of a lookup */
    _Alignas(CACHE_LINE) uint64_t blob_count;
    uint64_t blob_bytes;
    uint64_t instance_count;
    uint64_t instance_bytes;
    uint64_t nodes;            /* inner nodes of both tables, roots not counted */
    uint64_t sequence;         /* of the last entry made here; an id is sequence * shards + shard */
    struct place_stack places; /* of the entries */
};

_Static_assert(sizeof(struct trie_node) == CACHE_LINE, "a node is one pair of lines");
_Static_assert(sizeof(struct shard) == 3 * (size_t)CACHE_LINE, "shards share no line");

struct javm_directory {
    /* constant after creation */
    uint64_t number; /* of this directory in this process, from 1 */
    uint64_t shard_count;
    unsigned shard_bits;
    struct shard *shards;
    /* written when the epoch advances */
    _Alignas(CACHE_LINE) ck_epoch_t epoch;
    /* written when a thread joins for the first time */
    _Alignas(CACHE_LINE) struct javm_dir_thread *threads; /* a stack that only grows */
    uint64_t thread_count;
};

/* Stays until the directory is destroyed; leaving marks it free, and a later join takes it over
 * with what its record still has to reclaim. */
struct javm_dir_thread {
    /* the owner writes, pollers of other threads read */
    _Alignas(CACHE_LINE) ck_epoch_record_t record;
    /* the owner only */
    _Alignas(CACHE_LINE) struct javm_directory *dir;
    struct javm_dir_thread *next; /* constant once linked */
    uint64_t home;                /* the shard in which this thread makes entries */
    unsigned poll_at;             /* poll when so many objects wait in the record */
    struct javm_annex *annex;     /* open, borrowed; NULL: none */
    /* the owner writes, statistics of other threads read; relaxed, since they order nothing */
    uint64_t puts, put_hits, gets, get_misses, swept;
    uint32_t taken; /* atomic: 1 while a thread uses it */
};

/* Single-writer counter: no read-modify-write needed. */
static inline void count_one(uint64_t *counter)
{
    __atomic_store_n(counter, *counter + 1, __ATOMIC_RELAXED);
}

static inline struct shard *shard_of_hash(const struct javm_directory *dir,
                                          const struct javm_hash *hash)
{
    uint32_t bits; /* from the far end of the hash: the trie uses it from the near end */
    memcpy(&bits, hash->bytes + JAVM_HASH_BYTES - sizeof bits, sizeof bits);
    return &dir->shards[bits & (dir->shard_count - 1)];
}

static inline struct shard *shard_of_id(const struct javm_directory *dir, uint64_t id)
{
    return &dir->shards[id & (dir->shard_count - 1)];
}

/* The blob of this hash, or NULL; counts nothing. */
const struct blob *blob_find(const struct javm_directory *dir, const struct javm_hash *hash);
/* The published cap that this thread sees, borrowed while it does; NULL; counts nothing. */
struct javm_cap *published_find(const struct javm_dir_thread *self, const struct javm_hash *hash);

/* Reclaims what is past its grace period. Outside of sections. Never waits. */
void thread_poll(struct javm_dir_thread *self);
/* The same now and then: for operations that may have retired something. */
void thread_maintain(struct javm_dir_thread *self);

/* Checks that `ref` was made by this directory and is held by someone besides the directory. */
enum javm_status ref_check(const struct javm_directory *dir, const struct javm_ref_cell *ref,
                           struct javm_error *err);

#endif
