/* From objects to caps, depth first without recursion: an object's parent on the way is in `next`,
 * how far its slots are done in `cursor`. */
#include <string.h>

#include "vm/value.h"

struct settler {
    struct javm_dir_thread *dir;
    bool publish;
    struct javm_error *err;
};

static enum javm_status out_of_memory(const struct settler *s)
{
    return javm_fail(s->err, JAVM_E_NOMEM, JAVM_NOWHERE, "settling: out of memory");
}

static bool is_done(const struct settler *s, const struct object *object)
{
    return object->cap != NULL && (object->published || !s->publish);
}

static struct node *node_of(struct object *object)
{
    return object->is_instance ? ((struct instance *)(void *)object)->root
                               : (struct node *)(void *)object;
}

/* A cap that somebody gave with CapRefs in it becomes an object: those can be settled. */
static enum javm_status without_refs(const struct settler *s, struct value *value)
{
    struct instance *instance;
    if (value->kind != VALUE_CAP || !javm_cap_has_ref(value->cap))
        return JAVM_OK;
    if (javm_cap_kind(value->cap) == JAVM_CNODE)
        return value_to_node(s->dir, value);
    const enum javm_status status = instance_from_cap(s->dir, value->cap, &instance);
    if (status != JAVM_OK)
        return status;
    javm_cap_release(value->cap);
    *value = value_of_instance(instance);
    return JAVM_OK;
}

/* The next object below `object` that is to be done first, or NULL. An instance's only child is
 * its root; a node's are in its slots. */
static enum javm_status next_child(const struct settler *s, struct object *object,
                                   struct object **child)
{
    *child = NULL;
    if (object->is_instance) {
        struct object *root = &node_of(object)->object;
        if (!is_done(s, root))
            *child = root;
        return JAVM_OK;
    }
    const struct node *node = node_of(object);
    struct node_slot *slot;
    while (*child == NULL && (slot = node_next(node, &object->cursor)) != NULL) {
        struct value *value = &slot->value;
        object->cursor = slot->key;
        const enum javm_status status = without_refs(s, value);
        if (status != JAVM_OK)
            return javm_fail(s->err, status, JAVM_NOWHERE, "settling: %s",
                             javm_status_name(status));
        if (value->kind == VALUE_NODE && !is_done(s, &value->node->object))
            *child = &value->node->object;
        else if (value->kind == VALUE_INSTANCE && !is_done(s, &value->instance->object))
            *child = &value->instance->object;
    }
    return JAVM_OK;
}

/* The hash of a slot's content, whose object is done. EMPTY: there is nothing to name. */
static enum javm_status target_of(const struct settler *s, const struct value *value,
                                  struct javm_target *target)
{
    const struct javm_cap *cap = NULL;
    target->kind = JAVM_TARGET_EMPTY;
    switch (value->kind) {
    case VALUE_EMPTY:
    case VALUE_RESERVED:
        return JAVM_OK;
    case VALUE_HASH:
        *target = javm_target_hash(&value->hash);
        return JAVM_OK;
    case VALUE_CAP:
        cap = value->cap;
        break;
    case VALUE_NODE:
        cap = value->node->object.cap;
        break;
    case VALUE_INSTANCE:
        cap = value->instance->object.cap;
        break;
    }
    struct javm_hash hash;
    enum javm_status status = s->publish && value->kind == VALUE_CAP
                                  ? javm_directory_put(s->dir, cap, &hash, s->err)
                                  : javm_cap_hash(cap, &hash);
    if (status == JAVM_OK)
        *target = javm_target_hash(&hash);
    else if (!s->publish)
        status = out_of_memory(s);
    return status;
}

static enum javm_status settle_node(const struct settler *s, const struct node *node,
                                    struct javm_cap **out)
{
    struct javm_cap *cap = javm_cnode_new();
    enum javm_status status = cap == NULL ? out_of_memory(s) : JAVM_OK;
    struct node_key last = {0, 0};
    const struct node_slot *slot;
    while (status == JAVM_OK && (slot = node_next(node, &last)) != NULL) {
        struct javm_target target;
        const struct javm_key key = node_javm_key(&slot->key);
        last = slot->key;
        status = target_of(s, &slot->value, &target);
        if (status == JAVM_OK && target.kind != JAVM_TARGET_EMPTY &&
            javm_cnode_set(cap, &key, &target) != JAVM_OK)
            status = out_of_memory(s);
    }
    if (status != JAVM_OK) {
        javm_cap_release(cap);
        return status;
    }
    *out = cap;
    return JAVM_OK;
}

static enum javm_status settle_instance(const struct settler *s, const struct instance *instance,
                                        struct javm_cap **out)
{
    struct javm_hash root;
    enum javm_status status = javm_cap_hash(instance->root->object.cap, &root);
    if (status != JAVM_OK)
        return out_of_memory(s);
    if (s->publish && instance->image != NULL)
        status = javm_directory_put(s->dir, instance->image, NULL, s->err);
    if (status != JAVM_OK)
        return status;
    struct javm_instance fields = {.image_hash_chain = instance->chain,
                                   .image_hash = instance->image_hash,
                                   .root_cnode = javm_target_hash(&root),
                                   .mem = javm_cap_retain(instance->mem),
                                   .pc = instance->pc,
                                   .gas_remaining = instance->gas_remaining,
                                   .status = instance->status,
                                   .yield_key = instance->yield_key};
    memcpy(fields.regs, instance->regs, sizeof fields.regs);
    *out = javm_instance_new(&fields);
    if (*out != NULL)
        return JAVM_OK;
    javm_cap_release(fields.mem);
    return out_of_memory(s);
}

/* Everything below is done. `top`: what it names is published, but not it. */
static enum javm_status finish(const struct settler *s, struct object *object, bool top)
{
    if (object->cap == NULL) {
        const enum javm_status status =
            object->is_instance
                ? settle_instance(s, (struct instance *)(void *)object, &object->cap)
                : settle_node(s, node_of(object), &object->cap);
        if (status != JAVM_OK)
            return status;
    } else if (s->publish && !object->is_instance) {
        /* Hashed before, but what it names may be unpublished: plain caps in its slots. */
        struct node_key last = {0, 0};
        const struct node_slot *slot;
        while ((slot = node_next(node_of(object), &last)) != NULL) {
            struct javm_target target;
            last = slot->key;
            const enum javm_status status = target_of(s, &slot->value, &target);
            if (status != JAVM_OK)
                return status;
        }
    } else if (s->publish && ((struct instance *)(void *)object)->image != NULL) {
        const enum javm_status status =
            javm_directory_put(s->dir, ((struct instance *)(void *)object)->image, NULL, s->err);
        if (status != JAVM_OK)
            return status;
    }
    if (!s->publish || top)
        return JAVM_OK;
    const enum javm_status status = javm_directory_put(s->dir, object->cap, NULL, s->err);
    object->published = status == JAVM_OK;
    return status;
}

static enum javm_status settle_object(const struct settler *s, struct object *top)
{
    struct object *object = top;
    top->next = NULL;
    top->cursor = (struct node_key){0, 0};
    while (object != NULL) {
        struct object *child;
        enum javm_status status = next_child(s, object, &child);
        if (status != JAVM_OK)
            return status;
        if (child != NULL) {
            child->next = object;
            child->cursor = (struct node_key){0, 0};
            object = child;
            continue;
        }
        status = finish(s, object, object == top);
        if (status != JAVM_OK)
            return status;
        object = object->next;
    }
    return JAVM_OK;
}

enum javm_status value_settle(struct javm_dir_thread *dir, struct value *value, bool publish,
                              struct javm_cap **cap, struct javm_error *err)
{
    const struct settler s = {dir, publish, err};
    *cap = NULL;
    value_resolve(dir, value);
    enum javm_status status = without_refs(&s, value);
    if (status != JAVM_OK)
        return javm_fail(err, status, JAVM_NOWHERE, "settling: %s", javm_status_name(status));
    struct object *object = value->kind == VALUE_NODE       ? &value->node->object
                            : value->kind == VALUE_INSTANCE ? &value->instance->object
                                                            : NULL;
    if (object != NULL && !is_done(&s, object))
        status = settle_object(&s, object);
    if (status != JAVM_OK)
        return status;
    const struct javm_cap *settled = object != NULL ? object->cap : value_cap(value);
    *cap = settled != NULL ? javm_cap_retain(settled) : NULL;
    return JAVM_OK;
}
