/* Slots by path: finding them, changing them.
 *
 * Finding changes nothing that a guest can see (a published CNode on the way becomes an object, in
 * place). Changing makes every level of the way the frame's own first, so that no other holder of a
 * value sees the change. slot[0] of the root is in the frame, not in the root cnode: it goes from
 * frame to frame with every CALL. */
#include "vm/kernel.h"

#include <stdlib.h>

static const struct javm_key slot0_key = {.len = 1};

/* ---- paths ------------------------------------------------------------------------------ */

static struct javm_key key_of(uint64_t packed, uint32_t byte)
{
    return (struct javm_key){.len = 1, .bytes = {(uint8_t)(packed >> (8 * byte))}};
}

void path_parse(uint64_t packed, struct path *path)
{
    path->count = 0;
    for (uint32_t byte = 1; byte < 8 && (packed >> (8 * byte) & 0xFF) != 0; byte++)
        path->keys[path->count++] = key_of(packed, byte);
    path->keys[path->count++] = key_of(packed, 0);
}

bool path_is_slot0(const struct path *path)
{
    return path->count == 1 && path->keys[0].len == 1 && path->keys[0].bytes[0] == 0;
}

bool path_covers(const struct path *a, const struct path *b)
{
    if (a->count > b->count)
        return false;
    for (uint32_t i = 0; i < a->count; i++)
        if (javm_key_compare(&a->keys[i], &b->keys[i]) != 0)
            return false;
    return true;
}

/* ---- finding ---------------------------------------------------------------------------- */

/* The image whose pins hold now: SET_IMAGE changes them at once. */
static const struct javm_image *pinning_image(const struct entry *entry)
{
    return entry->instance->image != NULL ? javm_image_of(entry->instance->image)
                                          : running_image(entry);
}

/* Is slot[0] of the root the frame's? When the image pins it, it is not there for the guest. */
static struct value *root_find(struct entry *entry, const struct javm_key *key)
{
    if (javm_key_compare(key, &slot0_key) == 0)
        return entry->slot0.kind != VALUE_EMPTY ? &entry->slot0 : NULL;
    return node_find(entry->instance->root, key);
}

struct value *root_slot(struct javm_vm *vm, struct entry *entry, const struct javm_key *key)
{
    struct value *value = root_find(entry, key);
    if (value != NULL)
        value_resolve(vm->dir, value);
    return value;
}

enum find_result slot_find(struct javm_vm *vm, struct entry *entry, const struct path *path,
                           struct found *found)
{
    const struct javm_pin *pin = javm_image_pinned(pinning_image(entry), &path->keys[0]);
    *found = (struct found){0};
    if (pin != NULL) {
        found->pinned = true;
        found->own = (struct value){.kind = VALUE_HASH, {.hash = pin->hash}};
        found->value = &found->own;
        value_resolve(vm->dir, found->value);
        return path->count == 1 ? FIND_OK : FIND_BAD; /* a Data or an Image: nothing below */
    }
    struct value *value = root_slot(vm, entry, &path->keys[0]);
    for (uint32_t i = 1; i < path->count; i++) {
        if (value == NULL)
            return FIND_BAD;
        const enum javm_status status = value_to_node(vm->dir, value);
        if (status != JAVM_OK)
            return status == JAVM_E_NOMEM ? FIND_NOMEM : FIND_BAD;
        value = node_find(value->node, &path->keys[i]);
        if (value != NULL)
            value_resolve(vm->dir, value);
    }
    if (value != NULL && value->kind == VALUE_RESERVED)
        return FIND_BAD;
    found->value = value;
    return FIND_OK;
}

/* ---- changing --------------------------------------------------------------------------- */

/* Mappings whose source is this slot or lies below it: what they show is not the slot's any more.
 */
static enum javm_status note_change(struct entry *entry, const struct path *path)
{
    const struct cached_program *p = entry->program;
    const struct javm_image *image = running_image(entry);
    bool any = false;
    for (uint32_t k = 0; k < p->persistent_count; k++) {
        const struct javm_mapping *mapping = &image->mappings[p->persistent[k]];
        bool covers = path->count <= mapping->depth;
        for (uint32_t i = 0; i < path->count && covers; i++)
            covers = javm_key_compare(&path->keys[i], &mapping->path[i]) == 0;
        if (!covers)
            continue;
        any = true;
        if (k < 64) {
            entry->replaced |= UINT64_C(1) << k;
            continue;
        }
        if (entry->replaced_more == NULL)
            entry->replaced_more = calloc(p->persistent_count, 1);
        if (entry->replaced_more == NULL)
            return JAVM_E_NOMEM;
        entry->replaced_more[k] = 1;
    }
    if (any) {
        /* Others may share the object: the cache of prepared instances. */
        if (!instance_own(&entry->instance))
            return JAVM_E_NOMEM;
        layout_release(entry->instance->layout);
        entry->instance->layout = NULL;
    }
    return JAVM_OK;
}

static bool replaced(const struct entry *entry, uint32_t k)
{
    if (k < 64)
        return entry->replaced >> k & 1;
    return entry->replaced_more != NULL && entry->replaced_more[k];
}

bool frame_keeps(const struct entry *entry, uint32_t k)
{
    const struct cached_program *p = entry->program;
    const uint32_t region = p->persistent[k] + 1;
    return p->regions[region].writable && region != p->scratch_region && !replaced(entry, k);
}

/* The node that holds the last key of a path of which slot_find approved, the frame's own; NULL:
 * out of memory. `reserve` is added to the count of reserved slots on the way. */
static struct node *own_way(struct entry *entry, const struct path *path, uint32_t reserve)
{
    if (!instance_own(&entry->instance))
        return NULL;
    struct node **at = &entry->instance->root;
    for (uint32_t i = 0; i + 1 < path->count; i++) {
        struct value *value = node_change(*at, &path->keys[i]);
        if (value == NULL || !node_own(&value->node))
            return NULL;
        at = &value->node;
    }
    if (reserve != 0) {
        struct node *node = entry->instance->root;
        node->reserved += reserve;
        for (uint32_t i = 0; i + 1 < path->count; i++) {
            node = node_find(node, &path->keys[i])->node;
            node->reserved += reserve;
        }
    }
    return *at;
}

/* The same for a change that a guest makes: what lies in slot[0] is the frame's, not the root's. */
static struct node *own_slot_way(struct entry *entry, const struct path *path)
{
    if (javm_key_compare(&path->keys[0], &slot0_key) != 0)
        return own_way(entry, path, 0);
    /* Only a wide key lies there, in a CNode that slot[0] holds. */
    return node_own(&entry->slot0.node) ? entry->slot0.node : NULL;
}

enum javm_status slot_store(struct entry *entry, const struct path *path, struct value *value)
{
    struct node *node = own_way(entry, path, 0);
    return node != NULL ? node_set(node, &path->keys[path->count - 1], value) : JAVM_E_NOMEM;
}

enum javm_status slot_put(struct javm_vm *vm, struct entry *entry, const struct path *path,
                          struct value *value)
{
    if (path_is_slot0(path)) {
        frame_put_slot0(vm, entry, value);
        return JAVM_OK;
    }
    if (note_change(entry, path) != JAVM_OK)
        return JAVM_E_NOMEM;
    struct node *node = own_slot_way(entry, path);
    return node != NULL ? node_set(node, &path->keys[path->count - 1], value) : JAVM_E_NOMEM;
}

enum javm_status slot_take(struct javm_vm *vm, struct entry *entry, const struct path *path,
                           struct value *value)
{
    struct value nothing = {.kind = VALUE_EMPTY};
    value->kind = VALUE_EMPTY;
    if (path_is_slot0(path)) {
        value_move(value, &entry->slot0);
        frame_show_slot0(vm, entry);
        return JAVM_OK;
    }
    if (note_change(entry, path) != JAVM_OK)
        return JAVM_E_NOMEM;
    struct node *node = own_slot_way(entry, path);
    if (node == NULL)
        return JAVM_E_NOMEM;
    const struct javm_key *last = &path->keys[path->count - 1];
    if (node_find(node, last) == NULL)
        return JAVM_OK;
    struct value *there = node_change(node, last);
    if (there == NULL)
        return JAVM_E_NOMEM;
    value_move(value, there);
    return node_set(node, last, &nothing);
}

enum javm_status slot_reserve(struct entry *entry, const struct path *path, struct value *value)
{
    value->kind = VALUE_EMPTY;
    if (note_change(entry, path) != JAVM_OK)
        return JAVM_E_NOMEM;
    struct node *node = own_way(entry, path, 1);
    if (node == NULL)
        return JAVM_E_NOMEM;
    struct value *there = node_change(node, &path->keys[path->count - 1]);
    if (there == NULL)
        return JAVM_E_NOMEM;
    *value = *there;
    there->kind = VALUE_RESERVED;
    return JAVM_OK;
}

enum javm_status slot_reserve_empty(struct entry *entry, const struct path *path)
{
    struct value reserved = {.kind = VALUE_RESERVED};
    struct node *node = own_way(entry, path, 1);
    return node != NULL ? node_set(node, &path->keys[path->count - 1], &reserved) : JAVM_E_NOMEM;
}

void slot_restore(struct entry *entry, uint64_t home, struct value *value)
{
    struct path path;
    path_parse(home, &path);
    struct node *node = entry->instance->root;
    node->reserved--;
    for (uint32_t i = 0; i + 1 < path.count; i++) {
        node = node_find(node, &path.keys[i])->node;
        node->reserved--;
    }
    struct value *there = node_find(node, &path.keys[path.count - 1]);
    if (value->kind != VALUE_EMPTY) {
        value_move(there, value);
        return;
    }
    node_set(node, &path.keys[path.count - 1], value); /* clears it: needs no memory */
}
