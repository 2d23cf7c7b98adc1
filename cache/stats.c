#include "cache/atomic.h"
#include "cache/directory_impl.h"
#include "cache/point.h"

/* Every load is relaxed: a statistic orders nothing, and each number was true when it was read. */

void javm_directory_shard_stats(struct javm_dir_thread *self, uint64_t shard,
                                struct javm_shard_stats *stats)
{
    const struct shard *at = &self->dir->shards[shard];
    CACHE_POINT("stats.shard");
    stats->blobs = load_relaxed(&at->blob_count);
    stats->blob_bytes = load_relaxed(&at->blob_bytes);
    /* Never below 0: an entry is counted before put_instance hands out its CapRef, and the drop of
     * that CapRef comes before the claim by a sweep. */
    stats->instances = load_relaxed(&at->instance_count);
    stats->instance_bytes = load_relaxed(&at->instance_bytes);      /* never below 0: likewise */
    stats->capacity = TRIE_FANOUT * (2 + load_relaxed(&at->nodes)); /* two roots */
}

void javm_directory_stats(struct javm_dir_thread *self, struct javm_directory_stats *stats)
{
    const struct javm_directory *dir = self->dir;
    *stats = (struct javm_directory_stats){.shards = dir->shard_count};
    for (uint64_t i = 0; i < dir->shard_count; i++) {
        struct javm_shard_stats shard;
        javm_directory_shard_stats(self, i, &shard);
        stats->blobs += shard.blobs;
        stats->blob_bytes += shard.blob_bytes;
        stats->instances += shard.instances;
        stats->instance_bytes += shard.instance_bytes;
    }
    /* acquire: partner is cas_release in javm_directory_join; the links */
    for (const struct javm_dir_thread *at = load_acquire(&dir->threads); at != NULL;
         at = at->next) {
        CACHE_POINT("stats.thread");
        stats->puts += load_relaxed(&at->puts);
        stats->put_hits += load_relaxed(&at->put_hits);
        stats->gets += load_relaxed(&at->gets);
        stats->get_misses += load_relaxed(&at->get_misses);
        stats->swept += load_relaxed(&at->swept);
    }
}
