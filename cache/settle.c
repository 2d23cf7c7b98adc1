/* Settling: depth first over live entries, with an explicit stack.
 *
 * Each entry's value is read once, when it is met first, and is copied; in the copy every CapRef is
 * replaced by the hash of the settled child. The copy's own counts keep the children alive
 * meanwhile. A memo by entry id makes a child that many slots name cost one visit, and an entry
 * that is met while it is on the stack is a cycle. Stack and memo hold at most one element per live
 * entry. */
#include <stdlib.h>

#include "cache/directory_impl.h"
#include "cache/point.h"

/* ---- memo: id -> hash, open addressing, private to one call ------------------------------ */

struct memo_slot {
    uint64_t id; /* 0: empty */
    bool done;   /* false while the entry is on the stack */
    struct javm_hash hash;
};

struct memo {
    struct memo_slot *slots;
    size_t room, count; /* room is 0 or a power of two; at most half is used */
};

static struct memo_slot *memo_at(const struct memo *memo, uint64_t id)
{
    size_t i = (size_t)(id * 0x9E3779B97F4A7C15u >> 32);
    while (memo->slots[i & (memo->room - 1)].id != 0 && memo->slots[i & (memo->room - 1)].id != id)
        i++;
    return &memo->slots[i & (memo->room - 1)];
}

static bool memo_grow(struct memo *memo)
{
    struct memo bigger = {.room = memo->room == 0 ? 16 : memo->room * 2, .count = memo->count};
    bigger.slots = calloc(bigger.room, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < memo->room; i++)
        if (memo->slots[i].id != 0)
            *memo_at(&bigger, memo->slots[i].id) = memo->slots[i];
    free(memo->slots);
    *memo = bigger;
    return true;
}

/* The slot of `id`, which is claimed for it when *fresh comes out true. NULL: out of memory. */
static struct memo_slot *memo_enter(struct memo *memo, uint64_t id, bool *fresh)
{
    if (memo->count * 2 >= memo->room && !memo_grow(memo))
        return NULL;
    struct memo_slot *slot = memo_at(memo, id);
    *fresh = slot->id == 0;
    if (*fresh) {
        slot->id = id;
        memo->count++;
    }
    return slot;
}

/* ---- the walk --------------------------------------------------------------------------- */

struct frame {
    uint64_t id;
    struct javm_cap *copy; /* owned, private */
    bool live;             /* CapRefs were in it when it was pushed */
    uint32_t next;         /* slots before this one are settled */
};

struct settle {
    struct javm_dir_thread *self;
    struct memo memo;
    struct frame *stack;
    size_t depth, room;
};

static enum javm_status no_memory(struct javm_error *err)
{
    return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "settle: no memory for the walk");
}

static enum javm_status push_entry(struct settle *settle, const struct javm_ref_cell *ref,
                                   struct javm_error *err)
{
    if (settle->depth == settle->room) {
        size_t room = settle->room == 0 ? 16 : settle->room * 2;
        struct frame *stack = realloc(settle->stack, room * sizeof *stack);
        if (stack == NULL)
            return no_memory(err);
        settle->stack = stack;
        settle->room = room;
    }
    struct javm_cap *view;
    enum javm_status status = javm_directory_get_ref(settle->self, ref, &view, err);
    if (status != JAVM_OK)
        return status;
    /* Without CapRefs the value itself can be published; only a value that will change is copied.
     */
    bool live = javm_cap_has_ref(view);
    struct javm_cap *copy = view;
    if (live) {
        copy = javm_cap_clone(view);
        javm_cap_release(view);
    }
    if (copy == NULL)
        return no_memory(err);
    settle->stack[settle->depth++] = (struct frame){.id = ref->id, .copy = copy, .live = live};
    return JAVM_OK;
}

/* The hash of the entry if it is settled, else the entry goes on the stack and *hash is NULL. The
 * hash is valid until the memo changes. */
static enum javm_status visit_ref(struct settle *settle, const struct javm_ref_cell *ref,
                                  const struct javm_hash **hash, struct javm_error *err)
{
    bool fresh;
    const struct memo_slot *slot = memo_enter(&settle->memo, ref->id, &fresh);
    *hash = NULL;
    if (slot == NULL)
        return no_memory(err);
    if (fresh)
        return push_entry(settle, ref, err);
    if (!slot->done)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE, "settle: CapRef %llu leads to itself",
                         (unsigned long long)ref->id);
    *hash = &slot->hash;
    return JAVM_OK;
}

/* Settles the slots of the top frame up to one whose child has to go first. *whole: none is left.
 */
static enum javm_status advance_cnode(struct settle *settle, bool *whole, struct javm_error *err)
{
    struct frame *top = &settle->stack[settle->depth - 1];
    *whole = false;
    for (; top->next < javm_cnode_count(top->copy); top->next++) {
        struct javm_key key;
        const struct javm_target *target = javm_cnode_at(top->copy, top->next, &key);
        if (target->kind != JAVM_TARGET_REF)
            continue;
        const struct javm_hash *hash;
        enum javm_status status = visit_ref(settle, target->ref, &hash, err);
        if (status != JAVM_OK || hash == NULL)
            return status;
        struct javm_target settled = javm_target_hash(hash);
        if (javm_cnode_set(top->copy, &key, &settled) != JAVM_OK)
            return no_memory(err);
    }
    *whole = true;
    return JAVM_OK;
}

static enum javm_status advance_instance(struct settle *settle, bool *whole, struct javm_error *err)
{
    struct javm_cap *copy = settle->stack[settle->depth - 1].copy;
    const struct javm_hash *hash;
    *whole = false;
    enum javm_status status = visit_ref(settle, javm_instance_of(copy)->root_cnode.ref, &hash, err);
    if (status != JAVM_OK || hash == NULL)
        return status;
    struct javm_target settled = javm_target_hash(hash);
    struct javm_instance *fields = javm_instance_mut(copy);
    javm_target_drop(&fields->root_cnode);
    fields->root_cnode = settled;
    *whole = true;
    return JAVM_OK;
}

/* One step of the walk: the top frame waits for a child that was pushed, or is published and
 * popped. */
static enum javm_status step(struct settle *settle, struct javm_hash *hash, struct javm_error *err)
{
    struct frame *top = &settle->stack[settle->depth - 1];
    bool whole = true;
    enum javm_status status = JAVM_OK;
    CACHE_POINT("settle.step");
    if (top->live)
        status = javm_cap_kind(top->copy) == JAVM_INSTANCE ? advance_instance(settle, &whole, err)
                                                           : advance_cnode(settle, &whole, err);
    if (status != JAVM_OK || !whole)
        return status;
    status = javm_directory_put(settle->self, top->copy, hash, err);
    if (status != JAVM_OK)
        return status;
    struct memo_slot *slot = memo_at(&settle->memo, top->id);
    slot->hash = *hash;
    slot->done = true;
    javm_cap_release(top->copy);
    settle->depth--;
    return JAVM_OK;
}

static enum javm_status settle_ref(struct javm_dir_thread *self, const struct javm_ref_cell *ref,
                                   struct javm_hash *hash, struct javm_error *err)
{
    struct settle settle = {.self = self};
    const struct javm_hash *none;
    struct javm_hash last = {{0}};
    enum javm_status status = visit_ref(&settle, ref, &none, err);
    while (status == JAVM_OK && settle.depth > 0)
        status = step(&settle, &last, err); /* the root is published last */
    while (settle.depth > 0)
        javm_cap_release(settle.stack[--settle.depth].copy);
    free(settle.stack);
    free(settle.memo.slots);
    if (status == JAVM_OK)
        *hash = last;
    return status;
}

enum javm_status javm_directory_settle(struct javm_dir_thread *self,
                                       const struct javm_target *target, struct javm_hash *hash,
                                       struct javm_error *err)
{
    if (target->kind == JAVM_TARGET_REF) {
        enum javm_status status = ref_check(self->dir, target->ref, err);
        return status == JAVM_OK ? settle_ref(self, target->ref, hash, err) : status;
    }
    if (target->kind != JAVM_TARGET_HASH)
        return javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE, "settle: the target is empty");
    if (published_find(self, &target->hash) == NULL) {
        char text[JAVM_HASH_TEXT];
        javm_hash_format(&target->hash, text);
        return javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE, "settle: %s is not in the directory",
                         text);
    }
    *hash = target->hash;
    return JAVM_OK;
}
