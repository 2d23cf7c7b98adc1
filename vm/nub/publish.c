/* Caps from the wire into the directory, with the overlays of an Instance. */
#include "javm/image.h"
#include "vm/nub/executor.h"

/* The hash of *cnode with `data` at the end of the path; CNodes on the way are made as needed. */
static enum javm_status put_at(struct javm_dir_thread *dir, const struct javm_hash *cnode,
                               const struct javm_key *path, unsigned depth,
                               const struct javm_hash *data, struct javm_hash *hash,
                               struct javm_error *err)
{
    struct javm_cap *old = cnode == NULL ? javm_cnode_new() : javm_directory_get(dir, cnode);
    if (old == NULL || javm_cap_kind(old) != JAVM_CNODE) {
        const bool missing = old == NULL;
        javm_cap_release(old);
        return missing ? javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE,
                                   "overlay: a CNode on its way is not published")
                       : javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE,
                                   "overlay: a step of its path is no CNode");
    }
    struct javm_hash below = *data;
    enum javm_status status = JAVM_OK;
    if (depth > 1) {
        const struct javm_target *next = javm_cnode_get(old, path);
        status =
            put_at(dir, next == NULL ? NULL : &next->hash, path + 1, depth - 1, data, &below, err);
    }
    struct javm_cap *made = status == JAVM_OK ? javm_cap_clone(old) : NULL;
    struct javm_target target = javm_target_hash(&below);
    javm_cap_release(old);
    if (status != JAVM_OK)
        return status;
    if (made == NULL || javm_cnode_set(made, path, &target) != JAVM_OK)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "overlay: out of memory");
    else
        status = javm_directory_put(dir, made, hash, err);
    javm_cap_release(made);
    return status;
}

static const struct javm_mapping *mapping_at(const struct javm_image *image, uint32_t start)
{
    for (uint32_t i = 0; i < image->mapping_count; i++)
        if (image->mappings[i].start == start)
            return &image->mappings[i];
    return NULL;
}

static enum javm_status put_overlay(struct javm_dir_thread *dir, const struct javm_image *image,
                                    const struct javm_nub_overlay *overlay, struct javm_hash *cnode,
                                    struct javm_error *err)
{
    const struct javm_mapping *mapping = mapping_at(image, overlay->start);
    if (mapping == NULL || mapping->depth == 0 ||
        javm_image_pinned(image, &mapping->path[0]) != NULL)
        return javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE,
                         "overlay at 0x%x: no mapping that an instance fills starts there",
                         overlay->start);
    if (overlay->len > mapping->size)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "overlay at 0x%x: %u bytes, its mapping has %llu", overlay->start,
                         overlay->len, (unsigned long long)mapping->size);
    struct javm_cap *data = javm_data_new(overlay->bytes, overlay->len);
    struct javm_hash hash;
    if (data == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "overlay: out of memory");
    const enum javm_status status = javm_directory_put(dir, data, &hash, err);
    javm_cap_release(data);
    if (status != JAVM_OK)
        return status;
    const struct javm_hash root = *cnode;
    return put_at(dir, &root, mapping->path, mapping->depth, &hash, cnode, err);
}

static enum javm_status put_wire(struct javm_dir_thread *dir, const struct javm_nub_wire *wire,
                                 struct javm_hash *hash, struct javm_error *err)
{
    if (wire->overlay_count == 0)
        return javm_directory_put(dir, wire->cap, hash, err);
    struct javm_hash cnode = javm_instance_of(wire->cap)->root_cnode.hash;
    struct javm_cap *image = javm_directory_get(dir, &javm_instance_of(wire->cap)->image_hash);
    enum javm_status status = JAVM_OK;
    if (image == NULL || javm_cap_kind(image) != JAVM_IMAGE)
        status = javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE,
                           "overlays: the instance's image is not published");
    for (uint32_t i = 0; i < wire->overlay_count && status == JAVM_OK; i++)
        status = put_overlay(dir, javm_image_of(image), &wire->overlays[i], &cnode, err);
    javm_cap_release(image);
    if (status != JAVM_OK)
        return status;
    struct javm_cap *made = javm_cap_clone(wire->cap);
    if (made == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "overlays: out of memory");
    javm_instance_mut(made)->root_cnode = javm_target_hash(&cnode);
    status = javm_directory_put(dir, made, hash, err);
    javm_cap_release(made);
    return status;
}

enum javm_status nub_publish(struct javm_dir_thread *dir, const struct javm_nub_wire *wire,
                             struct javm_hash *hash, struct javm_error *err)
{
    if (wire->overlay_count == 0)
        return put_wire(dir, wire, hash, err);
    /* First beside the directory: what fails there has changed nothing. */
    struct javm_annex *trial = javm_annex_new();
    if (trial == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "overlays: out of memory");
    javm_annex_open(dir, trial);
    const enum javm_status status = put_wire(dir, wire, hash, err);
    javm_annex_open(dir, NULL);
    javm_annex_free(trial);
    return status != JAVM_OK ? status : put_wire(dir, wire, hash, err);
}
