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
        cnode_body_release(&cap->cnode);
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
    switch (cap->kind) {
    case JAVM_DATA:
        data_body_share(&copy->data, &cap->data);
        break;
    case JAVM_CNODE:
        if (!cnode_body_copy(&copy->cnode, &cap->cnode)) {
            free(copy);
            return NULL;
        }
        break;
    case JAVM_IMAGE:
        copy->image = cap->image;
        image_body_share(copy->image);
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
    if (fields->mem == NULL || fields->mem->kind != JAVM_DATA ||
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

/* A hash over many small fields, without collecting them first. */
#define CHUNK 512
struct writer {
    uint8_t bytes[CHUNK];
    size_t len;
};

static void put(struct writer *w, const void *bytes, size_t len)
{
    memcpy(w->bytes + w->len, bytes, len);
    w->len += len;
}

static void put_number(struct writer *w, uint64_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++)
        w->bytes[w->len++] = (uint8_t)(number >> 8 * i);
}

static struct javm_hash tagged(enum javm_kind kind, const void *body, size_t len)
{
    const uint8_t tag = (uint8_t)kind;
    const struct javm_bytes pieces[] = {{"javm.cap.v1", 11}, {&tag, 1}, {body, len}};
    return javm_hash_pieces(pieces, 3);
}

static enum javm_status hash_cnode(const struct cnode_body *body, struct javm_hash *hash)
{
    const size_t room = 4 + (size_t)body->count * (1 + JAVM_MAX_KEY_LEN + JAVM_HASH_BYTES);
    uint8_t *bytes = malloc(room);
    if (bytes == NULL)
        return JAVM_E_NOMEM;
    size_t len = 0;
    for (unsigned i = 0; i < 4; i++)
        bytes[len++] = (uint8_t)(body->count >> 8 * i);
    for (uint32_t i = 0; i < body->count; i++) {
        const struct cnode_slot *slot = &body->slots[body->order[i]];
        if (slot->target.kind != JAVM_TARGET_HASH) {
            free(bytes);
            return JAVM_E_LIVE;
        }
        bytes[len++] = slot->key.len;
        memcpy(bytes + len, slot->key.bytes, slot->key.len);
        len += slot->key.len;
        memcpy(bytes + len, slot->target.hash.bytes, JAVM_HASH_BYTES);
        len += JAVM_HASH_BYTES;
    }
    *hash = tagged(JAVM_CNODE, bytes, len);
    free(bytes);
    return JAVM_OK;
}

static enum javm_status hash_instance(const struct javm_instance *fields, struct javm_hash *hash)
{
    struct javm_hash mem;
    struct writer w = {.len = 0};
    if (fields->root_cnode.kind != JAVM_TARGET_HASH)
        return JAVM_E_LIVE;
    const enum javm_status status = javm_cap_hash(fields->mem, &mem);
    if (status != JAVM_OK)
        return status;
    put(&w, fields->image_hash_chain.bytes, JAVM_HASH_BYTES);
    put(&w, fields->image_hash.bytes, JAVM_HASH_BYTES);
    put(&w, fields->root_cnode.hash.bytes, JAVM_HASH_BYTES);
    put(&w, mem.bytes, JAVM_HASH_BYTES);
    for (int i = 0; i < JAVM_NUM_SLOTS; i++)
        put_number(&w, fields->regs[i], 8);
    put_number(&w, fields->pc, 8);
    put_number(&w, fields->gas_remaining, 8);
    put_number(&w, (uint64_t)fields->status, 1);
    put_number(&w, fields->yield_key.len, 1);
    put(&w, fields->yield_key.bytes, fields->yield_key.len);
    *hash = tagged(JAVM_INSTANCE, w.bytes, w.len);
    return JAVM_OK;
}

static struct javm_hash hash_data(const struct javm_cap *cap)
{
    const struct javm_hash root = javm_data_root(cap);
    struct writer w = {.len = 0};
    put_number(&w, cap->data.pages * JAVM_PAGE_SIZE, 8);
    put(&w, root.bytes, JAVM_HASH_BYTES);
    return tagged(JAVM_DATA, w.bytes, w.len);
}

enum javm_status javm_cap_hash(const struct javm_cap *cap, struct javm_hash *hash)
{
    enum javm_status status = JAVM_OK;
    bool ok = true;
    if (hash_memo_get(&cap->memo, hash))
        return JAVM_OK;
    switch (cap->kind) {
    case JAVM_DATA:
        *hash = hash_data(cap);
        break;
    case JAVM_CNODE:
        status = hash_cnode(&cap->cnode, hash);
        break;
    case JAVM_IMAGE:
        *hash = image_hash(cap->image, &ok);
        status = ok ? JAVM_OK : JAVM_E_NOMEM;
        break;
    case JAVM_TYPE:
        *hash = tagged(JAVM_TYPE, cap->type.bytes, JAVM_HASH_BYTES);
        break;
    case JAVM_INSTANCE:
        status = hash_instance(&cap->instance, hash);
        break;
    }
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
    if (cap->kind != JAVM_CNODE)
        return false;
    for (uint32_t i = 0; i < cap->cnode.count; i++)
        if (cap->cnode.slots[i].target.kind == JAVM_TARGET_REF)
            return true;
    return false;
}

static bool visit_hash(const struct javm_hash *hash,
                       bool (*visit)(void *ctx, const struct javm_hash *hash), void *ctx)
{
    return javm_hash_is_zero(hash) || visit(ctx, hash);
}

bool javm_cap_each_hash(const struct javm_cap *cap,
                        bool (*visit)(void *ctx, const struct javm_hash *hash), void *ctx)
{
    switch (cap->kind) {
    case JAVM_CNODE:
        for (uint32_t i = 0; i < cap->cnode.count; i++) {
            const struct javm_target *target = &cap->cnode.slots[cap->cnode.order[i]].target;
            if (target->kind == JAVM_TARGET_HASH && !visit_hash(&target->hash, visit, ctx))
                return false;
        }
        return true;
    case JAVM_IMAGE:
        for (uint32_t i = 0; i < cap->image->pinned_count; i++)
            if (!visit_hash(&cap->image->pinned[i].hash, visit, ctx))
                return false;
        for (uint32_t i = 0; i < cap->image->initial_count; i++)
            if (!visit_hash(&cap->image->initial[i].hash, visit, ctx))
                return false;
        return true;
    case JAVM_INSTANCE:
        return visit_hash(&cap->instance.image_hash, visit, ctx) &&
               (cap->instance.root_cnode.kind != JAVM_TARGET_HASH ||
                visit_hash(&cap->instance.root_cnode.hash, visit, ctx));
    case JAVM_DATA:
    case JAVM_TYPE:
        break;
    }
    return true;
}

uint64_t javm_cap_bytes(const struct javm_cap *cap)
{
    uint64_t bytes = sizeof *cap;
    switch (cap->kind) {
    case JAVM_DATA:
        return bytes + data_body_bytes(&cap->data);
    case JAVM_CNODE:
        return bytes +
               cap->cnode.room * (uint64_t)(sizeof *cap->cnode.slots + sizeof *cap->cnode.order);
    case JAVM_IMAGE:
        return bytes + sizeof(struct image_body) + cap->image->code_len + cap->image->bitmask_len +
               cap->image->jump_count * (uint64_t)4 +
               cap->image->endpoint_count * (uint64_t)sizeof(struct javm_endpoint) +
               cap->image->mapping_count * (uint64_t)sizeof(struct javm_mapping);
    case JAVM_INSTANCE:
        return bytes + javm_cap_bytes(cap->instance.mem);
    case JAVM_TYPE:
        break;
    }
    return bytes;
}
