/* CNode: a sparse map from keys to targets.
 *
 * Slots stay where they are; `order` is sorted by key, so that inserting moves 4 bytes for each
 * slot behind it. Removing a slot moves the last one into the hole. The table is shared between
 * clones and copied by the first of them that changes it; a clone of a table with CapRefs counts
 * each of them at once, since "how many hold this entry" must be right at every moment. */
#include <stdlib.h>
#include <string.h>

#include "caps/atomic.h"
#include "caps/cap_impl.h"

#define FIRST_ROOM 4u

/* ---- tables ----------------------------------------------------------------------------- */

static size_t table_size(uint32_t room)
{
    return sizeof(struct cnode_table) +
           room * (sizeof(struct cnode_slot) + sizeof(uint32_t)); /* below 2^39 */
}

static struct cnode_table *table_new(uint32_t room)
{
    struct cnode_table *table = malloc(table_size(room));
    if (table == NULL)
        return NULL;
    table->count = 1;
    table->used = 0;
    table->room = room;
    table->refs = 0;
    table->order = (uint32_t *)(void *)(table->slots + room);
    return table;
}

/* Give up the block only: the CapRefs have moved on or were dropped. */
static void table_leave(struct cnode_table *table)
{
    /* Acquire-release: partner is every other holder's call; the last one frees what the others
     * have finished reading. */
    if (atomic_sub_acq_rel(&table->count, 1) == 1)
        free(table);
}

void cnode_table_release(struct cnode_table *table)
{
    if (table == NULL)
        return;
    for (uint32_t i = 0, left = table->refs; left > 0; i++) {
        struct javm_target target = table->slots[i].target;
        left -= target.kind == JAVM_TARGET_REF;
        javm_target_drop(&target); /* this holder's count */
    }
    table_leave(table);
}

struct cnode_table *cnode_table_share(struct cnode_table *table)
{
    if (table == NULL)
        return NULL;
    for (uint32_t i = 0, left = table->refs; left > 0; i++) {
        const struct javm_target target = javm_target_clone(&table->slots[i].target);
        left -= target.kind == JAVM_TARGET_REF;
    }
    atomic_add_relaxed(&table->count, 1); /* relaxed: the cap that is cloned holds it meanwhile */
    return table;
}

uint64_t cnode_table_bytes(const struct cnode_table *table)
{
    return table != NULL ? table_size(table->room) : 0;
}

/* Make *at a table of our own with room for `more` slots; its content and our counts of its
 * CapRefs stay as they are. */
static bool table_own(struct cnode_table **at, uint32_t more)
{
    struct cnode_table *old = *at;
    const uint32_t used = old != NULL ? old->used : 0;
    /* Acquire: partner is table_leave of a former sharer, whose reads end before we write. */
    if (old != NULL && old->room - used >= more && atomic_load_acquire(&old->count) == 1)
        return true;
    if (used > UINT32_MAX / 2 - FIRST_ROOM)
        return false;
    struct cnode_table *fresh = table_new(more != 0 && used != 0 ? used * 2 : used + FIRST_ROOM);
    if (fresh == NULL)
        return false;
    if (old != NULL) {
        memcpy(fresh->slots, old->slots, used * sizeof *old->slots);
        memcpy(fresh->order, old->order, used * sizeof *old->order);
        fresh->used = used;
        fresh->refs = old->refs;
        table_leave(old);
    }
    *at = fresh;
    return true;
}

/* Position in `order` where the key is, or would be inserted. */
static uint32_t find(const struct cnode_table *table, const struct javm_key *key, bool *found)
{
    uint32_t low = 0, high = table != NULL ? table->used : 0;
    *found = false;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int side = javm_key_compare(&table->slots[table->order[middle]].key, key);
        if (side == 0) {
            *found = true;
            return middle;
        }
        if (side < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void insert_at(struct cnode_table *table, uint32_t at, const struct javm_key *key,
                      const struct javm_target *target)
{
    const uint32_t place = table->used++;
    struct cnode_slot *slot = &table->slots[place];
    memmove(&table->order[at + 1], &table->order[at], (place - at) * sizeof *table->order);
    table->order[at] = place;
    slot->key = (struct javm_key){.len = key->len}; /* bytes beyond the length stay zero */
    memcpy(slot->key.bytes, key->bytes, key->len);
    slot->target = *target;
    table->refs += target->kind == JAVM_TARGET_REF;
}

static void remove_at(struct cnode_table *table, uint32_t at, struct javm_target *taken)
{
    const uint32_t hole = table->order[at];
    const uint32_t last = table->used - 1;
    *taken = table->slots[hole].target;
    table->refs -= taken->kind == JAVM_TARGET_REF;
    memmove(&table->order[at], &table->order[at + 1], (last - at) * sizeof *table->order);
    table->used = last;
    if (hole != last) {
        /* The last slot is about to move: its entry in `order` is found while it is still there. */
        bool found;
        const uint32_t moved = find(table, &table->slots[last].key, &found);
        table->slots[hole] = table->slots[last];
        table->order[moved] = hole;
    }
}

/* ---- the cap ---------------------------------------------------------------------------- */

struct javm_cap *javm_cnode_new(void)
{
    return cap_alloc(JAVM_CNODE);
}

uint32_t javm_cnode_count(const struct javm_cap *cnode)
{
    return cnode->cnode != NULL ? cnode->cnode->used : 0;
}

const struct javm_target *javm_cnode_get(const struct javm_cap *cnode, const struct javm_key *key)
{
    bool found;
    const uint32_t at = find(cnode->cnode, key, &found);
    return found ? &cnode->cnode->slots[cnode->cnode->order[at]].target : NULL;
}

const struct javm_target *javm_cnode_at(const struct javm_cap *cnode, uint32_t i,
                                        struct javm_key *key)
{
    const struct cnode_slot *slot = &cnode->cnode->slots[cnode->cnode->order[i]];
    *key = slot->key;
    return &slot->target;
}

enum javm_status javm_cnode_take(struct javm_cap *cnode, const struct javm_key *key,
                                 struct javm_target *taken)
{
    bool found;
    const uint32_t at = find(cnode->cnode, key, &found);
    taken->kind = JAVM_TARGET_EMPTY;
    if (!found)
        return JAVM_OK;
    if (!table_own(&cnode->cnode, 0))
        return JAVM_E_NOMEM;
    remove_at(cnode->cnode, at, taken);
    cap_forget_hash(cnode);
    return JAVM_OK;
}

enum javm_status javm_cnode_set(struct javm_cap *cnode, const struct javm_key *key,
                                struct javm_target *target)
{
    bool found;
    if (key->len == 0 || key->len > JAVM_MAX_KEY_LEN)
        return JAVM_E_RANGE;
    struct javm_target old = {.kind = JAVM_TARGET_EMPTY};
    if (target->kind == JAVM_TARGET_EMPTY) {
        const enum javm_status status = javm_cnode_take(cnode, key, &old);
        javm_target_drop(&old);
        return status;
    }
    const uint32_t at = find(cnode->cnode, key, &found);
    if (!table_own(&cnode->cnode, found ? 0 : 1))
        return JAVM_E_NOMEM;
    struct cnode_table *table = cnode->cnode;
    if (found) {
        struct javm_target *place = &table->slots[table->order[at]].target;
        old = *place;
        *place = *target;
        table->refs += target->kind == JAVM_TARGET_REF;
        table->refs -= old.kind == JAVM_TARGET_REF;
        javm_target_drop(&old);
    } else {
        insert_at(table, at, key, target);
    }
    cap_forget_hash(cnode);
    target->kind = JAVM_TARGET_EMPTY; /* the cnode has its count now */
    return JAVM_OK;
}
