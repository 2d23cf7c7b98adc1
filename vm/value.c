#include "vm/value.h"

#include <stdlib.h>
#include <string.h>

#include "javm/handle.h"
#include "vm/layout.h"

#define FIRST_ROOM 4u

/* ---- counting --------------------------------------------------------------------------- */

static struct object *object_of(const struct value *value)
{
    if (value->kind == VALUE_NODE)
        return &value->node->object;
    return value->kind == VALUE_INSTANCE ? &value->instance->object : NULL;
}

static struct node *as_node(struct object *object)
{
    return (struct node *)(void *)object;
}

static struct instance *as_instance(struct object *object)
{
    return (struct instance *)(void *)object;
}

/* Give up one count; an object that nobody holds any more goes on the list. */
static void leave(struct object *object, struct object **garbage)
{
    if (--object->count == 0) {
        object->next = *garbage;
        *garbage = object;
    }
}

static void leave_value(struct value *value, struct object **garbage)
{
    struct object *object = object_of(value);
    if (object != NULL)
        leave(object, garbage);
    else if (value->kind == VALUE_CAP)
        javm_cap_release(value->cap);
    value->kind = VALUE_EMPTY;
}

static void collect(struct object *garbage)
{
    while (garbage != NULL) {
        struct object *object = garbage;
        garbage = object->next;
        javm_cap_release(object->cap);
        if (object->is_instance) {
            struct instance *instance = as_instance(object);
            javm_cap_release(instance->image);
            javm_cap_release(instance->mem);
            layout_release(instance->layout);
            program_release(instance->program);
            leave(&instance->root->object, &garbage);
        } else {
            struct node *node = as_node(object);
            for (uint32_t i = 0; i < node->used; i++)
                leave_value(&node->slots[i].value, &garbage);
            free(node->slots);
        }
        free(object);
    }
}

void value_retain(const struct value *value)
{
    struct object *object = object_of(value);
    if (object != NULL)
        object->count++;
    else if (value->kind == VALUE_CAP)
        javm_cap_retain(value->cap);
}

void value_release(struct value *value)
{
    struct object *garbage = NULL;
    leave_value(value, &garbage);
    collect(garbage);
}

void node_release(struct node *node)
{
    struct object *garbage = NULL;
    if (node == NULL)
        return;
    leave(&node->object, &garbage);
    collect(garbage);
}

void instance_free(struct instance *instance)
{
    instance->object.next = NULL;
    collect(&instance->object);
}

/* ---- looking ---------------------------------------------------------------------------- */

void value_resolve(struct javm_dir_thread *dir, struct value *value)
{
    if (value->kind != VALUE_HASH)
        return;
    struct javm_cap *cap = javm_directory_get(dir, &value->hash);
    if (cap != NULL)
        *value = value_of_cap(cap);
}

int value_kind(const struct value *value)
{
    switch (value->kind) {
    case VALUE_CAP:
        return (int)javm_cap_kind(value->cap);
    case VALUE_NODE:
        return JAVM_CNODE;
    case VALUE_INSTANCE:
        return JAVM_INSTANCE;
    case VALUE_EMPTY:
    case VALUE_HASH:
    case VALUE_RESERVED:
        break;
    }
    return KIND_NONE;
}

/* ---- nodes ------------------------------------------------------------------------------ */

struct node *node_new(void)
{
    struct node *node = calloc(1, sizeof *node);
    if (node != NULL)
        node->object.count = 1;
    return node;
}

static uint64_t key_bytes(const struct javm_key *key)
{
    uint64_t packed;
    _Static_assert(JAVM_MAX_KEY_LEN == sizeof packed, "a key is one number");
    memcpy(&packed, key->bytes, sizeof packed);
    return __builtin_bswap64(packed); /* the bytes behind the end are zero */
}

void node_key(const struct node_slot *slot, struct javm_key *key)
{
    const uint64_t packed = __builtin_bswap64(slot->bytes);
    key->len = (uint8_t)slot->len;
    memcpy(key->bytes, &packed, sizeof packed);
}

/* Where the key is, or would be. */
static uint32_t place_of(const struct node *node, uint64_t bytes, uint64_t len, bool *found)
{
    uint32_t low = 0, high = node->used;
    while (low < high) {
        const uint32_t middle = low + (high - low) / 2;
        const struct node_slot *slot = &node->slots[middle];
        if (slot->bytes < bytes || (slot->bytes == bytes && slot->len < len))
            low = middle + 1;
        else
            high = middle;
    }
    *found = low < node->used && node->slots[low].bytes == bytes && node->slots[low].len == len;
    return low;
}

struct value *node_find(const struct node *node, const struct javm_key *key)
{
    bool found;
    const uint32_t at = place_of(node, key_bytes(key), key->len, &found);
    return found ? &node->slots[at].value : NULL;
}

static bool node_room(struct node *node)
{
    if (node->used < node->room)
        return true;
    if (node->room > UINT32_MAX / 2)
        return false;
    const uint32_t room = node->room != 0 ? node->room * 2 : FIRST_ROOM;
    struct node_slot *slots = realloc(node->slots, room * sizeof *slots);
    if (slots == NULL)
        return false;
    node->slots = slots;
    node->room = room;
    return true;
}

enum javm_status node_set(struct node *node, const struct javm_key *key, struct value *value)
{
    bool found;
    const uint64_t bytes = key_bytes(key);
    const uint32_t at = place_of(node, bytes, key->len, &found);
    struct node_slot *slot;
    if (found) {
        slot = &node->slots[at];
        struct value before = slot->value;
        value_move(&slot->value, value);
        if (slot->value.kind == VALUE_EMPTY)
            memmove(slot, slot + 1, (--node->used - at) * sizeof *slot);
        value_drop(&before);
        return JAVM_OK;
    }
    if (value->kind == VALUE_EMPTY)
        return JAVM_OK;
    if (!node_room(node))
        return JAVM_E_NOMEM;
    slot = &node->slots[at];
    memmove(slot + 1, slot, (node->used++ - at) * sizeof *slot);
    slot->bytes = bytes;
    slot->len = key->len;
    value_move(&slot->value, value);
    return JAVM_OK;
}

static void forget_cap(struct object *object)
{
    javm_cap_release(object->cap);
    object->cap = NULL;
    object->published = false;
}

bool node_own(struct node **at)
{
    struct node *node = *at;
    if (node->object.count == 1) {
        forget_cap(&node->object);
        return true;
    }
    struct node *copy = node_new();
    if (copy == NULL)
        return false;
    if (node->used != 0) {
        /* One more: a copy is made to be changed. */
        copy->slots = malloc((node->used + (size_t)1) * sizeof *copy->slots);
        if (copy->slots == NULL) {
            free(copy);
            return false;
        }
        copy->room = node->used + 1;
        copy->used = node->used;
        for (uint32_t i = 0; i < node->used; i++) {
            copy->slots[i] = node->slots[i];
            value_retain(&node->slots[i].value);
        }
    }
    copy->reserved = node->reserved;
    node->object.count--;
    *at = copy;
    return true;
}

static enum javm_status node_from_cap(struct javm_dir_thread *dir, struct javm_cap *cap,
                                      struct node **out)
{
    struct node *node = node_new();
    const uint32_t count = javm_cnode_count(cap);
    enum javm_status status = node == NULL ? JAVM_E_NOMEM : JAVM_OK;
    if (status == JAVM_OK && count != 0) {
        node->slots = malloc(count * sizeof *node->slots);
        status = node->slots == NULL ? JAVM_E_NOMEM : JAVM_OK;
        node->room = count;
    }
    for (uint32_t i = 0; i < count && status == JAVM_OK; i++) {
        struct javm_key key;
        const struct javm_target *target = javm_cnode_at(cap, i, &key);
        struct node_slot *slot = &node->slots[node->used];
        *slot = (struct node_slot){.bytes = key_bytes(&key),
                                   .len = key.len,
                                   .value = {.kind = VALUE_HASH, {.hash = target->hash}}};
        if (target->kind == JAVM_TARGET_REF)
            status = javm_directory_settle(dir, target, &slot->value.hash, NULL);
        node->used++;
    }
    if (status != JAVM_OK) {
        node_release(node);
        return status;
    }
    if (!javm_cap_has_ref(cap)) /* else it is another value now */
        node->object.cap = javm_cap_retain(cap);
    *out = node;
    return JAVM_OK;
}

enum javm_status value_to_node(struct javm_dir_thread *dir, struct value *value)
{
    struct node *node = NULL;
    if (value->kind == VALUE_NODE)
        return JAVM_OK;
    if (value_kind(value) != JAVM_CNODE)
        return JAVM_E_KIND;
    const enum javm_status status = node_from_cap(dir, value->cap, &node);
    if (status != JAVM_OK)
        return status;
    javm_cap_release(value->cap);
    *value = value_of_node(node);
    return JAVM_OK;
}

/* ---- instances -------------------------------------------------------------------------- */

struct instance *instance_new(struct node *root)
{
    struct instance *instance = calloc(1, sizeof *instance);
    struct javm_cap *mem = javm_data_new_zero(0);
    if (instance == NULL || mem == NULL) {
        free(instance);
        javm_cap_release(mem);
        return NULL;
    }
    instance->object.count = 1;
    instance->object.is_instance = true;
    instance->root = root;
    instance->mem = mem;
    return instance;
}

bool instance_own(struct instance **at)
{
    struct instance *instance = *at;
    if (instance->object.count == 1) {
        forget_cap(&instance->object);
        return node_own(&instance->root);
    }
    struct instance *copy = malloc(sizeof *copy);
    if (copy == NULL)
        return false;
    *copy = *instance;
    copy->object = (struct object){.count = 1, .is_instance = true};
    copy->root->object.count++;
    javm_cap_retain(copy->mem);
    if (copy->image != NULL)
        javm_cap_retain(copy->image);
    program_retain(copy->program);
    layout_retain(copy->layout);
    instance->object.count--;
    *at = copy;
    return node_own(&copy->root);
}

enum javm_status instance_from_cap(struct javm_dir_thread *dir, struct javm_cap *cap,
                                   struct instance **out)
{
    if (javm_cap_kind(cap) != JAVM_INSTANCE || javm_handle_kind(cap) != JAVM_HANDLE_NONE)
        return JAVM_E_KIND;
    const struct javm_instance *fields = javm_instance_of(cap);
    struct value root = {.kind = VALUE_HASH, {.hash = fields->root_cnode.hash}};
    enum javm_status status = JAVM_OK;
    if (fields->root_cnode.kind == JAVM_TARGET_REF)
        status = javm_directory_settle(dir, &fields->root_cnode, &root.hash, NULL);
    if (status != JAVM_OK)
        return status;
    value_resolve(dir, &root);
    status = value_to_node(dir, &root);
    if (status != JAVM_OK) {
        value_drop(&root);
        return status;
    }
    struct instance *instance = calloc(1, sizeof *instance);
    if (instance == NULL) {
        value_drop(&root);
        return JAVM_E_NOMEM;
    }
    instance->object = (struct object){.count = 1, .is_instance = true};
    if (!javm_cap_has_ref(cap))
        instance->object.cap = javm_cap_retain(cap);
    instance->chain = fields->image_hash_chain;
    instance->image_hash = fields->image_hash;
    instance->root = root.node;
    instance->mem = javm_cap_retain(fields->mem);
    memcpy(instance->regs, fields->regs, sizeof instance->regs);
    instance->pc = fields->pc;
    instance->gas_remaining = fields->gas_remaining;
    instance->status = fields->status;
    instance->yield_key = fields->yield_key;
    *out = instance;
    return JAVM_OK;
}
