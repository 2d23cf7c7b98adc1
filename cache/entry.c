#include "cache/entry.h"

#include <stdlib.h>

#include "cache/atomic.h"
#include "cache/epoch.h"
#include "cache/point.h"

static struct version *version_new(struct javm_cap *cap)
{
    struct version *version = malloc(sizeof *version);
    if (version == NULL)
        return NULL;
    version->pins = 1;
    version->cap = cap;
    version->bytes = javm_cap_bytes(cap);
    return version;
}

static void version_reclaim(ck_epoch_entry_t *link)
{
    free((char *)link - offsetof(struct version, link));
}

/* False when the version was replaced and its cap is gone. */
static bool version_pin(struct version *version)
{
    /* acquire: partner is sub_acq_rel in version_unpin. A 0 comes after the exchange in
     * entry_replace, so the caller's next load of the entry's value finds a later version and the
     * loop there ends. */
    uint64_t pins = load_acquire(&version->pins);
    while (pins != 0) {
        CACHE_POINT("version.pin");
        /* relaxed: the version was acquired with its pointer, and while pins is not 0 its cap
         * stays; as with any count, raising it publishes nothing */
        if (cas_relaxed(&version->pins, &pins, pins + 1))
            return true;
    }
    return false;
}

/* Inside a section: the version's bytes may be looked at by others until a grace period is over. */
static void version_unpin(ck_epoch_record_t *record, struct version *version)
{
    CACHE_POINT("version.unpin");
    /* acq_rel: partners are the same operation in other threads. What each did with the cap comes
     * before the release by the last. */
    if (sub_acq_rel(&version->pins, 1) != 1)
        return;
    CACHE_POINT("version.last");
    javm_cap_release(version->cap);
    CACHE_POINT("version.released");
    epoch_retire(record, &version->link, version_reclaim);
}

struct entry *entry_new(ck_epoch_record_t *record, struct place_stack *places, struct javm_cap *cap)
{
    struct entry *entry = malloc(sizeof *entry);
    struct version *version = version_new(cap);
    struct place *place = entry != NULL && version != NULL ? place_take(record, places) : NULL;
    if (place == NULL) {
        free(entry);
        free(version);
        return NULL;
    }
    entry->cell.count = 2; /* plain: nobody else knows the entry yet */
    entry->place = place;
    entry->value = version;
    return entry;
}

void entry_discard(ck_epoch_record_t *record, struct entry *entry)
{
    free(entry->value);
    /* Nobody knows the entry, but its place was on the stack of free ones a moment ago. */
    epoch_enter(record);
    entry_retire(record, entry);
    epoch_exit(record);
}

uint64_t entry_bytes(const struct entry *entry)
{
    /* relaxed: the caller made the entry or has claimed it, see entry_claimed_value */
    return load_relaxed(&entry->value)->bytes;
}

void entry_clear(struct entry *entry)
{
    javm_cap_release(entry->value->cap);
    free(entry->value);
    entry->value = NULL;
}

void entry_free(struct entry *entry)
{
    free(entry->place);
    free(entry);
}

struct javm_cap *entry_read(ck_epoch_record_t *record, struct entry *entry)
{
    struct version *version;
    epoch_enter(record);
    do {
        CACHE_POINT("entry.read");
        /* acquire: partners are exchange_acq_rel in entry_replace and the entry's publication
         * (trie_insert, or however the CapRef travelled); the version's fields */
        version = load_acquire(&entry->value);
    } while (!version_pin(version));
    CACHE_POINT("entry.pinned");
    struct javm_cap *cap = javm_cap_retain(version->cap);
    version_unpin(record, version);
    epoch_exit(record);
    return cap;
}

bool entry_replace(ck_epoch_record_t *record, struct entry *entry, struct javm_cap *cap,
                   uint64_t *bytes)
{
    struct version *version = version_new(cap);
    if (version == NULL)
        return false;
    /* relaxed: a statistic. Added before the version is seen, so what is taken off is in the sum.
     */
    add_relaxed(bytes, version->bytes);
    epoch_enter(record);
    CACHE_POINT("entry.replace");
    /* acq_rel: release publishes the new version to entry_read; acquire gets the old one's fields
     * from the entry_replace that put it there */
    struct version *old = exchange_acq_rel(&entry->value, version);
    CACHE_POINT("entry.replaced");
    sub_relaxed(bytes, old->bytes); /* relaxed: as above */
    version_unpin(record, old);
    epoch_exit(record);
    return true;
}

bool entry_claim(struct entry *entry)
{
    /* relaxed: only a hint; the compare-and-set decides */
    uint64_t count = load_relaxed(&entry->cell.count);
    if (count != 1)
        return false;
    CACHE_POINT("entry.claim");
    /* acquire: partner is the release of javm_ref_drop. All that former holders did with the entry
     * comes before what the sweep does to it. The drops form one release sequence. */
    return cas_acquire(&entry->cell.count, &count, 0);
}

const struct javm_cap *entry_claimed_value(const struct entry *entry)
{
    /* relaxed: the only ones who change it hold counts, and entry_claim acquired their last drops
     */
    return load_relaxed(&entry->value)->cap;
}

void entry_drop_value(ck_epoch_record_t *record, struct entry *entry)
{
    version_unpin(record, load_relaxed(&entry->value)); /* relaxed: as above */
}

static void entry_reclaim(ck_epoch_entry_t *link)
{
    struct entry *entry = (struct entry *)(void *)((char *)link - offsetof(struct entry, link));
    place_give(entry->place);
    free(entry);
}

void entry_retire(ck_epoch_record_t *record, struct entry *entry)
{
    epoch_retire(record, &entry->link, entry_reclaim);
}

bool cap_each_ref(const struct javm_cap *cap, bool (*visit)(void *ctx, struct javm_ref_cell *ref),
                  void *ctx)
{
    if (!javm_cap_has_ref(cap))
        return true;
    if (javm_cap_kind(cap) == JAVM_INSTANCE)
        return visit(ctx, javm_instance_of(cap)->root_cnode.ref);
    uint32_t count = javm_cnode_count(cap);
    for (uint32_t i = 0; i < count; i++) {
        struct javm_key key;
        const struct javm_target *target = javm_cnode_at(cap, i, &key);
        if (target->kind == JAVM_TARGET_REF && !visit(ctx, target->ref))
            return false;
    }
    return true;
}
