/* Removal of live entries that nobody holds.
 *
 * For one entry: claim (count 1 -> 0), unlink from the table, give up the value, retire the bytes.
 * Giving up a value can make the entries that it named garbage; those are looked at next, from a
 * list, so that a chain of n entries costs n steps and not n passes. The list is an optimisation
 * only: when there is no memory for it, a later pass finds what it would have held. Passes go on
 * until one removes nothing.
 *
 * A sweeper that is stopped between claim and unlink leaves an entry with count 0 in the table.
 * Other sweepers pass over it, insertions may move it down, and nobody else ever touches it. */
#include <stdlib.h>

#include "cache/atomic.h"
#include "cache/directory_impl.h"
#include "cache/epoch.h"
#include "cache/point.h"

struct sweep {
    struct javm_dir_thread *self;
    uint64_t removed;
    /* Entries that lost a holder in this section. Memory of each is safe until the section ends,
     * whoever removes it: it was held when it was noted, so it can only have been retired since. */
    struct entry **noted;
    size_t count, room;
};

static bool note_ref(void *ctx, struct javm_ref_cell *ref)
{
    struct sweep *sweep = ctx;
    if (sweep->count == sweep->room) {
        size_t room = sweep->room == 0 ? 64 : sweep->room * 2;
        struct entry **noted = realloc(sweep->noted, room * sizeof *noted);
        if (noted == NULL)
            return false;
        sweep->noted = noted;
        sweep->room = room;
    }
    sweep->noted[sweep->count++] = entry_of_ref(ref);
    return true;
}

static void remove_claimed(struct sweep *sweep, struct entry *entry)
{
    ck_epoch_record_t *record = &sweep->self->record;
    struct shard *shard = shard_of_id(sweep->self->dir, entry->cell.id);
    CACHE_POINT("sweep.claimed");
    (void)cap_each_ref(entry_claimed_value(entry), note_ref, sweep);
    trie_remove(&shard->instances, &entry->leaf);
    /* relaxed: statistics */
    sub_relaxed(&shard->instance_count, 1);
    sub_relaxed(&shard->instance_bytes, entry_bytes(entry));
    CACHE_POINT("sweep.unlinked");
    entry_drop_value(record, entry);
    CACHE_POINT("sweep.dropped");
    entry_retire(record, entry);
    sweep->removed++;
    count_one(&sweep->self->swept);
}

static void visit_entry(void *ctx, struct trie_leaf *leaf)
{
    struct sweep *sweep = ctx;
    struct entry *entry = entry_of_leaf(leaf);
    for (;;) {
        if (entry_claim(entry))
            remove_claimed(sweep, entry);
        if (sweep->count == 0)
            return;
        entry = sweep->noted[--sweep->count];
    }
}

uint64_t javm_directory_sweep(struct javm_dir_thread *self)
{
    struct sweep sweep = {.self = self};
    struct javm_directory *dir = self->dir;
    uint64_t before;
    do {
        before = sweep.removed;
        for (uint64_t i = 0; i < dir->shard_count; i++) {
            epoch_enter(&self->record);
            trie_walk(&dir->shards[i].instances, visit_entry, &sweep);
            epoch_exit(&self->record);
        }
        CACHE_POINT("sweep.pass");
        thread_poll(self);
    } while (sweep.removed != before);
    free(sweep.noted);
    return sweep.removed;
}
