/* CNode: a sparse map from keys to targets. Slots stay where they are; `order` is sorted by key, so
 * that inserting moves 4 bytes per slot behind it. Unused slots are those from `count` on: removing
 * a slot moves the last one into its place. */
#include <stdlib.h>

#include "caps/cap_impl.h"

struct javm_cap *javm_cnode_new(void)
{
    return cap_alloc(JAVM_CNODE);
}

uint32_t javm_cnode_count(const struct javm_cap *cnode)
{
    return cnode->cnode.count;
}

/* Position in `order` where the key is, or would be inserted. */
static uint32_t find(const struct cnode_body *body, const struct javm_key *key, bool *found)
{
    uint32_t low = 0, high = body->count;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const int side = javm_key_compare(&body->slots[body->order[middle]].key, key);
        if (side == 0) {
            *found = true;
            return middle;
        }
        if (side < 0)
            low = middle + 1;
        else
            high = middle;
    }
    *found = false;
    return low;
}

const struct javm_target *javm_cnode_get(const struct javm_cap *cnode, const struct javm_key *key)
{
    bool found;
    const uint32_t at = find(&cnode->cnode, key, &found);
    return found ? &cnode->cnode.slots[cnode->cnode.order[at]].target : NULL;
}

const struct javm_target *javm_cnode_at(const struct javm_cap *cnode, uint32_t i,
                                        struct javm_key *key)
{
    const struct cnode_slot *slot = &cnode->cnode.slots[cnode->cnode.order[i]];
    *key = slot->key;
    return &slot->target;
}

static bool make_room(struct cnode_body *body)
{
    if (body->count < body->room)
        return true;
    if (body->room > UINT32_MAX / 2)
        return false;
    const uint32_t room = body->room == 0 ? 4 : body->room * 2;
    struct cnode_slot *slots = realloc(body->slots, room * sizeof *slots);
    if (slots == NULL)
        return false;
    body->slots = slots;
    uint32_t *order = realloc(body->order, room * sizeof *order);
    if (order == NULL)
        return false;
    body->order = order;
    body->room = room;
    return true;
}

static void remove_at(struct cnode_body *body, uint32_t at, struct javm_target *taken)
{
    const uint32_t hole = body->order[at];
    const uint32_t last = body->count - 1;
    *taken = body->slots[hole].target;
    memmove(&body->order[at], &body->order[at + 1], (last - at) * sizeof *body->order);
    body->count = last;
    if (hole != last) {
        bool found;
        body->slots[hole] = body->slots[last];
        body->order[find(body, &body->slots[last].key, &found)] = hole;
    }
}

enum javm_status javm_cnode_set(struct javm_cap *cnode, const struct javm_key *key,
                                struct javm_target *target)
{
    struct cnode_body *body = &cnode->cnode;
    bool found;
    if (key->len == 0 || key->len > JAVM_MAX_KEY_LEN)
        return JAVM_E_RANGE;
    uint32_t at = find(body, key, &found);
    if (target->kind == JAVM_TARGET_EMPTY) {
        struct javm_target old = {.kind = JAVM_TARGET_EMPTY};
        if (found)
            remove_at(body, at, &old);
        javm_target_drop(&old);
    } else if (found) {
        struct javm_target old = body->slots[body->order[at]].target;
        body->slots[body->order[at]].target = *target;
        javm_target_drop(&old);
    } else {
        if (!make_room(body))
            return JAVM_E_NOMEM;
        memmove(&body->order[at + 1], &body->order[at], (body->count - at) * sizeof *body->order);
        body->order[at] = body->count;
        body->slots[body->count++] = (struct cnode_slot){.key = *key, .target = *target};
    }
    cap_forget_hash(cnode);
    target->kind = JAVM_TARGET_EMPTY; /* the cnode has its count now */
    return JAVM_OK;
}

enum javm_status javm_cnode_take(struct javm_cap *cnode, const struct javm_key *key,
                                 struct javm_target *taken)
{
    bool found;
    const uint32_t at = find(&cnode->cnode, key, &found);
    taken->kind = JAVM_TARGET_EMPTY;
    if (found) {
        remove_at(&cnode->cnode, at, taken);
        cap_forget_hash(cnode);
    }
    return JAVM_OK;
}

void cnode_body_release(struct cnode_body *cnode)
{
    for (uint32_t i = 0; i < cnode->count; i++)
        javm_target_drop(&cnode->slots[i].target);
    free(cnode->slots);
    free(cnode->order);
}

bool cnode_body_copy(struct cnode_body *to, const struct cnode_body *from)
{
    *to = (struct cnode_body){0};
    if (from->count == 0)
        return true;
    to->slots = malloc(from->count * sizeof *to->slots);
    to->order = malloc(from->count * sizeof *to->order);
    if (to->slots == NULL || to->order == NULL) {
        free(to->slots);
        free(to->order);
        return false;
    }
    to->count = to->room = from->count;
    memcpy(to->order, from->order, from->count * sizeof *to->order);
    for (uint32_t i = 0; i < from->count; i++) {
        to->slots[i].key = from->slots[i].key;
        to->slots[i].target = javm_target_clone(&from->slots[i].target);
    }
    return true;
}
