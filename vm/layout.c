#include "vm/layout.h"

#include <stdlib.h>
#include <string.h>

static const struct javm_key slot0 = {.len = 1};

/* ---- programs --------------------------------------------------------------------------- */

void program_free(struct cached_program *program)
{
    javm_program_free(program->program);
    if (program->native != NULL)
        javm_native_close(program->native);
    javm_cap_release(program->image);
    free(program->regions);
    free(program->persistent);
    free(program);
}

static int compare_paths(const struct javm_mapping *a, const struct javm_mapping *b)
{
    const uint8_t common = a->depth < b->depth ? a->depth : b->depth;
    for (uint8_t i = 0; i < common; i++) {
        const int order = javm_key_compare(&a->path[i], &b->path[i]);
        if (order != 0)
            return order;
    }
    return a->depth - b->depth;
}

static int by_path(const void *a, const void *b, void *mappings)
{
    const struct javm_mapping *all = mappings;
    return compare_paths(&all[*(const uint32_t *)a], &all[*(const uint32_t *)b]);
}

/* Two mappings of one writable slot would be two memories for one value. */
static enum javm_status order_mappings(struct cached_program *p, const struct javm_image *image,
                                       struct javm_error *err)
{
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct javm_mapping *mapping = &image->mappings[i];
        if (mapping->depth == 0)
            continue;
        if (mapping->depth > 1 && javm_key_compare(&mapping->path[0], &slot0) == 0)
            return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                             "mappings[%u]: its source lies in a CNode in slot[0], which is not in "
                             "this version",
                             i);
        p->persistent[p->persistent_count++] = i;
    }
    qsort_r(p->persistent, p->persistent_count, sizeof *p->persistent, by_path,
            (void *)image->mappings);
    for (uint32_t k = 1; k < p->persistent_count; k++) {
        const uint32_t i = p->persistent[k - 1], j = p->persistent[k];
        if (compare_paths(&image->mappings[i], &image->mappings[j]) == 0 &&
            p->regions[i + 1].writable)
            return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                             "mappings[%u] and mappings[%u] have the same writable slot as source",
                             i < j ? i : j, i < j ? j : i);
    }
    return JAVM_OK;
}

#define UNIT (UINT64_C(2) << 20) /* what a page table maps at once */

static uint64_t units(uint64_t bytes, uint64_t unit)
{
    return bytes / unit + (bytes % unit != 0);
}

/* v3 kernel, "Gas models". */
static uint32_t first_write_cost(uint32_t pages)
{
    const unsigned log = pages > 1 ? 32 - (unsigned)__builtin_clz(pages - 1) : 0; /* rounded up */
    return 256 + 32 * log;
}

static void find_costs(struct cached_program *p, const struct javm_image *image)
{
    p->entry_cost =
        1024 + 64 * units(image->code_len, JAVM_PAGE_SIZE) + 64 * units(image->code_len, UNIT);
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        struct javm_region *region = &p->regions[i + 1];
        if (!region->writable) {
            p->entry_cost += 64 * units(image->mappings[i].size, UNIT);
            continue;
        }
        region->first_write = first_write_cost(region->pages);
        if (region->first_write > p->first_writes)
            p->first_writes = region->first_write;
    }
}

enum javm_status program_lay_out(struct cached_program *p, struct javm_error *err)
{
    const struct javm_image *image = javm_image_of(p->image);
    const uint32_t count = image->mapping_count + 1;
    p->regions = calloc(count, sizeof *p->regions);
    p->persistent = malloc(count * sizeof *p->persistent);
    if (p->regions == NULL || p->persistent == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "image: out of memory");
    p->region_count = count;
    p->has_meters = image->gas_slot_count != 0 || image->quota_slot_count != 0;
    p->slot0_pinned = javm_image_pinned(image, &slot0) != NULL;
    if (image->isa == JAVM_ISA_PVM2) /* PVM's code is nowhere in memory */
        p->regions[0] = (struct javm_region){
            .first_page = JAVM_CODE_BASE >> JAVM_PAGE_SHIFT,
            .pages = (uint32_t)((image->code_len + JAVM_PAGE_SIZE - 1) >> JAVM_PAGE_SHIFT),
            .kind = JAVM_REGION_BYTES,
            .bytes = image->code,
            .len = image->code_len};
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        const struct javm_mapping *mapping = &image->mappings[i];
        p->regions[i + 1] = (struct javm_region){
            .first_page = (uint32_t)(mapping->start >> JAVM_PAGE_SHIFT),
            .pages = (uint32_t)(mapping->size >> JAVM_PAGE_SHIFT),
            .kind = JAVM_REGION_ZERO,
            .writable = mapping->depth != 1 || javm_image_pinned(image, &mapping->path[0]) == NULL};
        if (mapping->depth == 1 && !p->slot0_pinned &&
            javm_key_compare(&mapping->path[0], &slot0) == 0)
            p->scratch_region = i + 1;
    }
    find_costs(p, image);
    return order_mappings(p, image, err);
}

/* ---- layouts ---------------------------------------------------------------------------- */

static void release_data(const struct javm_region *region)
{
    javm_cap_release((struct javm_cap *)(uintptr_t)region->data);
}

void layout_free(struct layout *layout)
{
    for (uint32_t i = 0; i < layout->region_count; i++)
        release_data(&layout->regions[i]);
    program_release(layout->program);
    free(layout);
}

enum javm_status source_find(struct javm_dir_thread *dir, struct node *root,
                             const struct javm_mapping *mapping, struct value **value,
                             uint8_t *step)
{
    struct node *node = root;
    *value = NULL;
    for (*step = 0;; ++*step) {
        struct value *at = node_find(node, &mapping->path[*step]);
        if (at != NULL)
            value_resolve(dir, at);
        if (*step + 1 == mapping->depth) {
            *value = at;
            return JAVM_OK;
        }
        if (at == NULL)
            return JAVM_E_KIND; /* nothing could be stored there at HALT */
        const enum javm_status status = value_to_node(dir, at);
        if (status != JAVM_OK)
            return status;
        node = at->node;
    }
}

/* The Data a mapping shows at first: a pinned slot, else the instance's own, else the image's
 * initial one, else nothing (zeros). *source gets a reference or NULL. */
static enum javm_status find_source(struct javm_dir_thread *dir, const struct javm_image *image,
                                    struct node *root, uint32_t index, struct javm_cap **source,
                                    struct javm_error *err)
{
    const struct javm_mapping *mapping = &image->mappings[index];
    const struct javm_pin *pin =
        mapping->depth == 1 ? javm_image_pinned(image, &mapping->path[0]) : NULL;
    int kind = KIND_NONE;
    uint8_t step = 0;
    struct value *value = NULL;
    struct javm_cap *cap = NULL;
    if (pin == NULL) {
        const enum javm_status status = source_find(dir, root, mapping, &value, &step);
        if (status == JAVM_E_KIND)
            return javm_fail(err, status, JAVM_NOWHERE,
                             "mappings[%u]: step %u of its source path is not a CNode", index,
                             step);
        if (status != JAVM_OK)
            return javm_fail(err, status, JAVM_NOWHERE, "mappings[%u]: %s", index,
                             javm_status_name(status));
    }
    if (value != NULL) {
        kind = value_kind(value);
        if (kind == JAVM_DATA)
            cap = javm_cap_retain(value->cap);
    }
    if (kind == KIND_NONE) {
        if (pin == NULL && mapping->depth == 1)
            pin = javm_image_initial(image, &mapping->path[0]);
        cap = pin != NULL ? javm_directory_get(dir, &pin->hash) : NULL;
        kind = cap != NULL ? (int)javm_cap_kind(cap) : KIND_NONE;
    }
    *source = cap;
    if (kind == KIND_NONE)
        return JAVM_OK;
    if (kind != JAVM_DATA)
        return javm_fail(err, JAVM_E_KIND, JAVM_NOWHERE,
                         "mappings[%u]: its source is a cap of kind %s, not Data", index,
                         javm_kind_name((enum javm_kind)kind));
    if (javm_data_pages(cap) > mapping->size / JAVM_PAGE_SIZE)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "mappings[%u]: its Data has %llu pages, the mapping only %llu", index,
                         (unsigned long long)javm_data_pages(cap),
                         (unsigned long long)(mapping->size / JAVM_PAGE_SIZE));
    return JAVM_OK;
}

struct layout *layout_bare(struct cached_program *program, uint64_t id)
{
    const size_t bytes = program->region_count * sizeof(struct javm_region);
    struct layout *layout = malloc(sizeof *layout + bytes);
    if (layout == NULL)
        return NULL;
    *layout = (struct layout){.count = 1, .region_count = program->region_count, .id = id};
    layout->program = program_retain(program);
    memcpy(layout->regions, program->regions, bytes);
    return layout;
}

enum javm_status layout_new(struct javm_dir_thread *dir, struct cached_program *program,
                            struct node *root, uint64_t id, struct layout **out,
                            struct javm_error *err)
{
    const struct javm_image *image = javm_image_of(program->image);
    struct layout *layout = layout_bare(program, id);
    if (layout == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "instance: out of memory");
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        if (image->mappings[i].depth == 0)
            continue;
        struct javm_cap *source = NULL;
        const enum javm_status status = find_source(dir, image, root, i, &source, err);
        layout->regions[i + 1].data = source;
        if (status != JAVM_OK) {
            layout_release(layout);
            return status;
        }
        if (source != NULL)
            layout->regions[i + 1].kind = JAVM_REGION_DATA;
    }
    *out = layout;
    return JAVM_OK;
}

void layout_put(struct layout *layout, uint32_t index, struct javm_cap *data)
{
    struct javm_region *region = &layout->regions[index + 1];
    release_data(region);
    region->data = data;
    region->kind = JAVM_REGION_DATA;
}
