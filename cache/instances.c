/* The tier of live entries: making, reading and exchanging them. Their removal is in sweep.c. */
#include "cache/atomic.h"
#include "cache/directory_impl.h"
#include "cache/epoch.h"
#include "cache/point.h"

static enum javm_status foreign(const struct javm_directory *dir, const struct javm_ref_cell *ref,
                                const char *what, struct javm_error *err)
{
    return javm_fail(err, JAVM_E_FOREIGN, JAVM_NOWHERE,
                     "%s %llu was made by directory %llu; this is directory %llu", what,
                     (unsigned long long)ref->id, (unsigned long long)ref->directory,
                     (unsigned long long)dir->number);
}

enum javm_status ref_check(const struct javm_directory *dir, const struct javm_ref_cell *ref,
                           struct javm_error *err)
{
    if (ref->directory != dir->number)
        return foreign(dir, ref, "CapRef", err);
    /* relaxed: a holder's own count is in what it reads, and the directory's too, so a correct
     * caller never sees less than 2 */
    if (load_relaxed(&ref->count) < 2)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE, "CapRef %llu is not held by anyone",
                         (unsigned long long)ref->id);
    return JAVM_OK;
}

struct value_check {
    const struct javm_directory *dir;
    const struct javm_ref_cell *self; /* the entry that is to hold the value, or NULL */
    const struct javm_ref_cell *bad;
};

static bool ref_is_allowed(void *ctx, struct javm_ref_cell *ref)
{
    struct value_check *check = ctx;
    if (ref->directory == check->dir->number && ref != check->self)
        return true;
    check->bad = ref;
    return false;
}

/* Whether `cap` may become the value of a live entry: of the entry `self`, or of a new one. */
static enum javm_status check_value(const struct javm_directory *dir, const struct javm_cap *cap,
                                    const struct javm_ref_cell *self, struct javm_error *err)
{
    enum javm_kind kind = javm_cap_kind(cap);
    if (kind == JAVM_IMAGE || kind == JAVM_TYPE)
        return javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE,
                         "%s: cannot be mutable; Instance, Data or CNode expected",
                         javm_kind_name(kind));
    struct value_check check = {.dir = dir, .self = self};
    if (cap_each_ref(cap, ref_is_allowed, &check))
        return JAVM_OK;
    if (check.bad->directory != dir->number)
        return foreign(dir, check.bad, "the value holds a CapRef that", err);
    return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE, "CapRef %llu: an entry cannot hold itself",
                     (unsigned long long)check.bad->id);
}

/* The key of the table is the place, low nibble first: places are numbered without gaps, so the
 * table is filled evenly. */
static void number_entry(struct javm_dir_thread *self, struct entry *entry)
{
    struct javm_directory *dir = self->dir;
    /* relaxed: only has to be unique */
    uint64_t sequence = add_relaxed(&dir->shards[self->home].sequence, 1) + 1;
    entry->cell.directory = dir->number;
    entry->cell.id = sequence << dir->shard_bits | self->home;
    memset(&entry->leaf.key, 0, sizeof entry->leaf.key);
    for (unsigned i = 0; i < sizeof entry->place->number; i++)
        entry->leaf.key.bytes[i] = (uint8_t)(entry->place->number >> (8 * i));
}

enum javm_status javm_directory_put_instance(struct javm_dir_thread *self, struct javm_cap *cap,
                                             struct javm_target *ref, struct javm_error *err)
{
    enum javm_status status = check_value(self->dir, cap, NULL, err);
    if (status != JAVM_OK)
        return status;
    struct shard *shard = &self->dir->shards[self->home];
    struct entry *entry = entry_new(&self->record, &shard->places, cap);
    if (entry == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "put_instance: no memory for an entry");
    number_entry(self, entry);
    uint64_t nodes = 0;
    epoch_enter(&self->record);
    CACHE_POINT("put_instance.insert");
    enum trie_result result = trie_insert(&shard->instances, &entry->leaf, &nodes);
    epoch_exit(&self->record);
    if (result != TRIE_INSERTED) {
        entry_discard(&self->record, entry);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE,
                         "put_instance: no memory for a table entry");
    }
    /* relaxed: statistics */
    add_relaxed(&shard->instance_count, 1);
    add_relaxed(&shard->instance_bytes, entry_bytes(entry));
    add_relaxed(&shard->nodes, nodes);
    ref->kind = JAVM_TARGET_REF;
    ref->ref = &entry->cell;
    return JAVM_OK;
}

enum javm_status javm_directory_get_mut(struct javm_dir_thread *self, const struct javm_hash *hash,
                                        struct javm_target *ref, struct javm_error *err)
{
    const struct javm_cap *published = published_find(self, hash);
    if (published == NULL) {
        char text[JAVM_HASH_TEXT];
        javm_hash_format(hash, text);
        return javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE, "get_mut: %s is not in the directory",
                         text);
    }
    /* It stays published, others may name its hash: so the value is always a copy, of which
     * only the slot table is not shared. */
    enum javm_status status = check_value(self->dir, published, NULL, err);
    if (status != JAVM_OK)
        return status;
    struct javm_cap *copy = javm_cap_clone(published);
    if (copy == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "get_mut: no memory for a copy");
    status = javm_directory_put_instance(self, copy, ref, err);
    if (status != JAVM_OK)
        javm_cap_release(copy);
    return status;
}

enum javm_status javm_directory_get_ref(struct javm_dir_thread *self,
                                        const struct javm_ref_cell *ref, struct javm_cap **cap,
                                        struct javm_error *err)
{
    enum javm_status status = ref_check(self->dir, ref, err);
    if (status != JAVM_OK)
        return status;
    *cap = entry_read(&self->record, entry_of_ref(ref));
    thread_maintain(self);
    return JAVM_OK;
}

enum javm_status javm_directory_replace(struct javm_dir_thread *self,
                                        const struct javm_ref_cell *ref, struct javm_cap *cap,
                                        struct javm_error *err)
{
    enum javm_status status = ref_check(self->dir, ref, err);
    if (status == JAVM_OK)
        status = check_value(self->dir, cap, ref, err);
    if (status != JAVM_OK)
        return status;
    if (!entry_replace(&self->record, entry_of_ref(ref), cap,
                       &shard_of_id(self->dir, ref->id)->instance_bytes))
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "replace: no memory for a version");
    thread_maintain(self);
    return JAVM_OK;
}
