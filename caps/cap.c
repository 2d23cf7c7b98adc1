/* What all kinds share: counting, cloning, hashing; and the two small kinds, Type and Instance. */
#include <stdlib.h>

#include "caps/atomic.h"
#include "caps/cap_impl.h"

const char *javm_kind_name(enum javm_kind kind)
{
    static const char *const names[] = {"Instance", "Image", "Data", "CNode", "Type"};
    return (unsigned)kind < sizeof names / sizeof *names ? names[kind] : "?";
}

struct javm_cap *cap_alloc(enum javm_kind kind)
{
    struct javm_cap *cap = calloc(1, sizeof *cap);
    if (cap != NULL) {
        cap->count = 1;
        cap->kind = kind;
    }
    return cap;
}

void cap_forget_hash(struct javm_cap *cap)
{
    cap->memo.state = HASH_NONE; /* plain: the caller holds the only reference */
}

enum javm_kind javm_cap_kind(const struct javm_cap *cap)
{
    return cap->kind;
}

struct javm_cap *javm_cap_retain(const struct javm_cap *cap)
{
    /* The count is the one part of a shared cap that changes. */
    struct javm_cap *shared = (struct javm_cap *)(uintptr_t)cap;
    atomic_add_relaxed(&shared->count, 1); /* relaxed: the caller's reference keeps it alive */
    return shared;
}

void javm_cap_release(struct javm_cap *cap)
{
    /* Acquire-release: every holder's use ends before the last one frees. */
    if (cap == NULL || atomic_sub_acq_rel(&cap->count, 1) != 1)
        return;
    switch (cap->kind) {
    case JAVM_DATA:
        data_body_release(&cap->data);
        break;
    case JAVM_CNODE:
        cnode_table_release(cap->cnode);
        break;
    case JAVM_IMAGE:
        image_body_release(cap->image);
        break;
    case JAVM_INSTANCE:
        javm_target_drop(&cap->instance.root_cnode);
        javm_cap_release(cap->instance.mem); /* a Data: no deeper than this */
        break;
    case JAVM_TYPE:
        break;
    }
    free(cap);
}

struct javm_cap *javm_cap_clone(const struct javm_cap *cap)
{
    struct javm_cap *copy = cap_alloc(cap->kind);
    if (copy == NULL)
        return NULL;
    /* Equal values have equal hashes. Plain: the copy is ours alone so far. */
    if (hash_memo_get(&cap->memo, &copy->memo.hash))
        copy->memo.state = HASH_DONE;
    switch (cap->kind) {
    case JAVM_DATA:
        data_body_share(&copy->data, &cap->data);
        break;
    case JAVM_CNODE:
        copy->cnode = cnode_table_share(cap->cnode);
        break;
    case JAVM_IMAGE:
        copy->image = image_body_share(cap->image);
        break;
    case JAVM_INSTANCE:
        copy->instance = cap->instance;
        copy->instance.root_cnode = javm_target_clone(&cap->instance.root_cnode);
        copy->instance.mem = javm_cap_retain(cap->instance.mem);
        break;
    case JAVM_TYPE:
        copy->type = cap->type;
        break;
    }
    return copy;
}

/* ---- Type and Instance ------------------------------------------------------------------ */

struct javm_cap *javm_type_new(const struct javm_hash *image_hash_chain)
{
    struct javm_cap *cap = cap_alloc(JAVM_TYPE);
    if (cap != NULL)
        cap->type = *image_hash_chain;
    return cap;
}

const struct javm_hash *javm_type_chain(const struct javm_cap *type)
{
    return &type->type;
}

struct javm_cap *javm_instance_new(const struct javm_instance *fields)
{
    const bool paused = fields->status == JAVM_PAUSED;
    const enum javm_target_kind root = fields->root_cnode.kind;
    if (fields->mem == NULL || fields->mem->kind != JAVM_DATA ||
        (root != JAVM_TARGET_HASH && root != JAVM_TARGET_REF) ||
        (unsigned)fields->status > JAVM_FAULTED || paused != (fields->yield_key.len != 0) ||
        fields->yield_key.len > JAVM_MAX_KEY_LEN)
        return NULL;
    struct javm_cap *cap = cap_alloc(JAVM_INSTANCE);
    if (cap != NULL)
        cap->instance = *fields;
    return cap;
}

const struct javm_instance *javm_instance_of(const struct javm_cap *instance)
{
    return &instance->instance;
}

struct javm_instance *javm_instance_mut(struct javm_cap *instance)
{
    cap_forget_hash(instance);
    return &instance->instance;
}

/* ---- hashing ---------------------------------------------------------------------------- */

void hasher_start_cap(struct hasher *hasher, enum javm_kind kind)
{
    hasher_start(hasher, "javm.cap.v1");
    hasher_number(hasher, (uint64_t)kind, 1);
}

static struct javm_hash hash_data(const struct javm_cap *cap)
{
    const struct javm_hash root = javm_data_root(cap);
    struct hasher hasher;
    hasher_start_cap(&hasher, JAVM_DATA);
    hasher_number(&hasher, cap->data.pages * JAVM_PAGE_SIZE, 8);
    hasher_hash(&hasher, &root);
    return hasher_end(&hasher);
}

static struct javm_hash hash_type(const struct javm_cap *cap)
{
    struct hasher hasher;
    hasher_start_cap(&hasher, JAVM_TYPE);
    hasher_hash(&hasher, &cap->type);
    return hasher_end(&hasher);
}

static enum javm_status hash_cnode(const struct javm_cap *cap, struct javm_hash *hash)
{
    const uint32_t count = javm_cnode_count(cap);
    struct hasher hasher;
    if (javm_cap_has_ref(cap))
        return JAVM_E_LIVE;
    hasher_start_cap(&hasher, JAVM_CNODE);
    hasher_number(&hasher, count, 4);
    for (uint32_t i = 0; i < count; i++) {
        struct javm_key key;
        const struct javm_target *target = javm_cnode_at(cap, i, &key);
        hasher_number(&hasher, key.len, 1);
        hasher_bytes(&hasher, key.bytes, key.len);
        hasher_hash(&hasher, &target->hash);
    }
    *hash = hasher_end(&hasher);
    return JAVM_OK;
}

static enum javm_status hash_instance(const struct javm_instance *fields, struct javm_hash *hash)
{
    struct javm_hash mem;
    struct hasher hasher;
    if (fields->root_cnode.kind != JAVM_TARGET_HASH)
        return fields->root_cnode.kind == JAVM_TARGET_REF ? JAVM_E_LIVE : JAVM_E_STATE;
    const enum javm_status status = javm_cap_hash(fields->mem, &mem);
    if (status != JAVM_OK)
        return status;
    hasher_start_cap(&hasher, JAVM_INSTANCE);
    hasher_hash(&hasher, &fields->image_hash_chain);
    hasher_hash(&hasher, &fields->image_hash);
    hasher_hash(&hasher, &fields->root_cnode.hash);
    hasher_hash(&hasher, &mem);
    for (int i = 0; i < JAVM_NUM_SLOTS; i++)
        hasher_number(&hasher, fields->regs[i], 8);
    hasher_number(&hasher, fields->pc, 8);
    hasher_number(&hasher, fields->gas_remaining, 8);
    hasher_number(&hasher, (uint64_t)fields->status, 1);
    hasher_number(&hasher, fields->yield_key.len, 1);
    hasher_bytes(&hasher, fields->yield_key.bytes, fields->yield_key.len);
    *hash = hasher_end(&hasher);
    return JAVM_OK;
}

enum javm_status javm_cap_hash(const struct javm_cap *cap, struct javm_hash *hash)
{
    enum javm_status status = JAVM_OK;
    if (hash_memo_get(&cap->memo, hash))
        return JAVM_OK;
    switch (cap->kind) {
    case JAVM_DATA:
        *hash = hash_data(cap);
        break;
    case JAVM_CNODE:
        status = hash_cnode(cap, hash);
        break;
    case JAVM_IMAGE:
        *hash = image_hash(&cap->image->image);
        break;
    case JAVM_TYPE:
        *hash = hash_type(cap);
        break;
    case JAVM_INSTANCE:
        status = hash_instance(&cap->instance, hash);
        break;
    }
    /* The memo is the one part of a shared cap, beside its count, that changes. */
    if (status == JAVM_OK)
        hash_memo_offer((struct hash_memo *)(uintptr_t)&cap->memo, hash);
    return status;
}

struct javm_hash javm_chain_extend(const struct javm_hash *chain,
                                   const struct javm_hash *image_hash)
{
    const struct javm_bytes pieces[] = {{chain->bytes, JAVM_HASH_BYTES},
                                        {image_hash->bytes, JAVM_HASH_BYTES}};
    return javm_hash_pieces(pieces, 2);
}

/* ---- what a cap refers to --------------------------------------------------------------- */

bool javm_cap_has_ref(const struct javm_cap *cap)
{
    if (cap->kind == JAVM_INSTANCE)
        return cap->instance.root_cnode.kind == JAVM_TARGET_REF;
    return cap->kind == JAVM_CNODE && cap->cnode != NULL && cap->cnode->refs != 0;
}

struct visitor {
    bool (*visit)(void *ctx, const struct javm_hash *hash);
    void *ctx;
};

static bool visit_hash(const struct visitor *v, const struct javm_hash *hash)
{
    return javm_hash_is_zero(hash) || v->visit(v->ctx, hash);
}

static bool visit_target(const struct visitor *v, const struct javm_target *target)
{
    return target->kind != JAVM_TARGET_HASH || visit_hash(v, &target->hash);
}

static bool visit_pins(const struct visitor *v, const struct javm_pin *pins, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (!visit_hash(v, &pins[i].hash))
            return false;
    return true;
}

static bool visit_cnode(const struct visitor *v, const struct javm_cap *cap)
{
    struct javm_key key;
    for (uint32_t i = 0; i < javm_cnode_count(cap); i++)
        if (!visit_target(v, javm_cnode_at(cap, i, &key)))
            return false;
    return true;
}

bool javm_cap_each_hash(const struct javm_cap *cap,
                        bool (*visit)(void *ctx, const struct javm_hash *hash), void *ctx)
{
    const struct visitor v = {visit, ctx};
    switch (cap->kind) {
    case JAVM_CNODE:
        return visit_cnode(&v, cap);
    case JAVM_IMAGE: {
        const struct javm_image *image = &cap->image->image;
        return visit_pins(&v, image->pinned, image->pinned_count) &&
               visit_pins(&v, image->initial, image->initial_count);
    }
    case JAVM_INSTANCE:
        return visit_hash(&v, &cap->instance.image_hash) &&
               visit_target(&v, &cap->instance.root_cnode);
    case JAVM_DATA:
    case JAVM_TYPE:
        break;
    }
    return true;
}

uint64_t javm_cap_bytes(const struct javm_cap *cap)
{
    const uint64_t bytes = sizeof *cap;
    switch (cap->kind) {
    case JAVM_DATA:
        return bytes + data_body_bytes(&cap->data);
    case JAVM_CNODE:
        return bytes + cnode_table_bytes(cap->cnode);
    case JAVM_IMAGE:
        return bytes + image_body_bytes(cap->image);
    case JAVM_INSTANCE:
        return bytes + javm_cap_bytes(cap->instance.mem);
    case JAVM_TYPE:
        break;
    }
    return bytes;
}
