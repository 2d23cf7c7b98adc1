/* Operations on images: making one, and what instances become by it. */
#include <stdlib.h>

#include "vm/kernel.h"

/* The Image of an operand and its hash. */
static enum javm_status image_operand(struct operand *operand, struct javm_cap **image,
                                      struct javm_hash *hash)
{
    *image = value_cap(operand->found.value);
    return javm_cap_hash(*image, hash);
}

/* Would a pin of the new image hide something? slot[0] counts with what the frame has there. */
static bool collides(struct javm_vm *vm, struct entry *entry, const struct javm_image *image)
{
    for (uint32_t i = 0; i < image->pinned_count; i++)
        if (root_slot(vm, entry, &image->pinned[i].key) != NULL)
            return true;
    return false;
}

enum step op_set_image(struct javm_vm *vm, struct operands *o)
{
    struct javm_cap *image;
    struct javm_hash hash;
    if (image_operand(&o->at[0], &image, &hash) != JAVM_OK)
        return step_of(vm, JAVM_E_NOMEM, "SET_IMAGE");
    if (collides(vm, o->entry, javm_image_of(image)))
        return fault_with(vm, JAVM_FAULT_BAD_OPERAND);
    javm_cap_retain(image); /* the operand may be a pin of the image that goes */
    if (!instance_own(&o->entry->instance)) {
        javm_cap_release(image);
        return step_of(vm, JAVM_E_NOMEM, "SET_IMAGE");
    }
    struct instance *instance = o->entry->instance;
    javm_cap_release(instance->image);
    instance->image = image;
    instance->image_hash = hash;
    instance->chain = javm_chain_extend(&instance->chain, &hash);
    program_release(instance->program);
    instance->program = NULL;
    layout_release(instance->layout);
    instance->layout = NULL;
    return STEP_GO_ON;
}

enum step op_derive_spawn(struct javm_vm *vm, struct operands *o)
{
    struct javm_cap *image;
    struct javm_hash hash;
    struct value cnode = {.kind = VALUE_EMPTY};
    if (image_operand(&o->at[0], &image, &hash) != JAVM_OK)
        return step_of(vm, JAVM_E_NOMEM, "DERIVE_SPAWN");
    javm_cap_retain(image);
    enum javm_status status = JAVM_OK;
    if (o->at[1].path.count != 0) {
        status = slot_take(vm, o->entry, &o->at[1].path, &cnode);
        if (status == JAVM_OK)
            status = value_to_node(vm->dir, &cnode);
    } else {
        cnode = value_of_node(node_new());
        status = cnode.node != NULL ? JAVM_OK : JAVM_E_NOMEM;
    }
    struct instance *instance = status == JAVM_OK ? instance_new(cnode.node) : NULL;
    if (instance == NULL) {
        if (cnode.kind != VALUE_NODE || cnode.node != NULL)
            value_drop(&cnode);
        javm_cap_release(image);
        return step_of(vm, JAVM_E_NOMEM, "DERIVE_SPAWN");
    }
    instance->image = image;
    instance->image_hash = hash;
    instance->chain = javm_chain_extend(&o->entry->instance->chain, &hash);
    struct value value = value_of_instance(instance);
    status = slot_put(vm, o->entry, &o->at[2].path, &value);
    value_drop(&value);
    return step_of(vm, status, "DERIVE_SPAWN");
}

/* ---- MAKE_IMAGE ------------------------------------------------------------------------- */

struct presence {
    struct javm_dir_thread *dir;
};

static bool is_present(void *ctx, const struct javm_hash *hash)
{
    const struct presence *presence = ctx;
    struct javm_cap *cap = javm_directory_get(presence->dir, hash);
    javm_cap_release(cap);
    return cap != NULL;
}

/* How long the encoding is that begins a Data: what follows it up to the end of the Data is zeros,
 * which the canonical encoding does not have. So the image is decoded from the shortest prefix
 * that can be one. */
static enum javm_status decode(const struct javm_cap *data, struct javm_cap **image)
{
    const size_t size = (size_t)(javm_data_pages(data) * JAVM_PAGE_SIZE);
    uint8_t *bytes = malloc(size + 1);
    struct javm_error err = {.where = JAVM_NOWHERE};
    if (bytes == NULL)
        return JAVM_E_NOMEM;
    javm_data_read(data, 0, bytes, size);
    enum javm_status status = javm_image_decode(bytes, size, image, &err);
    /* Trailing bytes are reported with where they begin. */
    if (status == JAVM_E_FORMAT && err.where != 0 && err.where < size) {
        size_t rest = (size_t)err.where;
        while (rest < size && bytes[rest] == 0)
            rest++;
        if (rest == size)
            status = javm_image_decode(bytes, (size_t)err.where, image, NULL);
    }
    free(bytes);
    return status;
}

enum step op_make_image(struct javm_vm *vm, struct operands *o)
{
    struct presence presence = {vm->dir};
    struct javm_cap *image = NULL;
    enum javm_status status = decode(value_cap(o->at[0].found.value), &image);
    if (status == JAVM_OK && !javm_cap_each_hash(image, is_present, &presence)) {
        status = JAVM_E_MISSING;
        javm_cap_release(image);
    }
    if (status == JAVM_E_NOMEM)
        return step_of(vm, status, "MAKE_IMAGE");
    o->entry->exec.regs[7] = (uint64_t)status;
    if (status != JAVM_OK)
        return STEP_GO_ON;
    struct value value = value_of_cap(image);
    status = slot_put(vm, o->entry, &o->at[1].path, &value);
    value_drop(&value);
    return step_of(vm, status, "MAKE_IMAGE");
}
