#include "vm/value.h"

#include <stdlib.h>
#include <string.h>

#include "javm/handle.h"
#include "vm/layout.h"
#include "vm/value_impl.h"

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
void object_leave(struct object *object, struct garbage *garbage)
{
    if (--object->count == 0) {
        object->next = garbage->objects;
        garbage->objects = object;
    }
}

void value_leave(struct value *value, struct garbage *garbage)
{
    struct object *object = object_of(value);
    if (object != NULL)
        object_leave(object, garbage);
    else if (value->kind == VALUE_CAP)
        javm_cap_release(value->cap);
    value->kind = VALUE_EMPTY;
}

static void collect(struct garbage *garbage)
{
    while (garbage->objects != NULL) {
        struct object *object = garbage->objects;
        garbage->objects = object->next;
        javm_cap_release(object->cap);
        if (object->is_instance) {
            struct instance *instance = as_instance(object);
            javm_cap_release(instance->image);
            javm_cap_release(instance->mem);
            layout_release(instance->layout);
            program_release(instance->program);
            object_leave(&instance->root->object, garbage);
        } else {
            parts_leave(as_node(object)->top, garbage);
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
    struct garbage garbage = {NULL};
    value_leave(value, &garbage);
    collect(&garbage);
}

void node_release(struct node *node)
{
    struct garbage garbage = {NULL};
    if (node == NULL)
        return;
    object_leave(&node->object, &garbage);
    collect(&garbage);
}

void instance_free(struct instance *instance)
{
    struct garbage garbage = {&instance->object};
    instance->object.next = NULL;
    collect(&garbage);
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

/* ---- from caps -------------------------------------------------------------------------- */

static enum javm_status node_from_cap(struct javm_dir_thread *dir, struct javm_cap *cap,
                                      struct node **out)
{
    struct node *node = node_new();
    const uint32_t count = javm_cnode_count(cap);
    enum javm_status status = node == NULL ? JAVM_E_NOMEM : JAVM_OK;
    for (uint32_t i = 0; i < count && status == JAVM_OK; i++) {
        struct javm_key key;
        const struct javm_target *target = javm_cnode_at(cap, i, &key);
        struct value value = {.kind = VALUE_HASH, {.hash = target->hash}};
        if (target->kind == JAVM_TARGET_REF)
            status = javm_directory_settle(dir, target, &value.hash, NULL);
        if (status == JAVM_OK)
            status = node_set(node, &key, &value);
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
        object_forget_cap(&instance->object);
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
