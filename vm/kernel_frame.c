/* What a frame shows of its slots in memory, and what its memory becomes: slot[0] where it is
 * mapped, the Data of persistent mappings at HALT. */
#include <string.h>

#include "vm/kernel.h"

/* The Data of a mapping after the run: its source with the changed pages written over it, as long
 * as before or up to the last changed page. *data gets a reference; when no page changed it is the
 * source itself (NULL for none). */
static enum javm_status mapped_data(struct javm_memory *memory, const struct javm_region *region,
                                    const struct javm_cap *source, struct javm_cap **data)
{
    const uint32_t *dirty;
    const size_t count =
        memory->writable_count != 0 ? memory_dirty_within(memory, region, &dirty) : 0;
    if (count == 0) {
        *data = source != NULL ? javm_cap_retain(source) : NULL;
        return JAVM_OK;
    }
    const uint64_t before = source != NULL ? javm_data_pages(source) : 0;
    const uint64_t last = dirty[count - 1] - region->first_page;
    struct javm_cap *fresh = last < before ? javm_cap_clone(source) : javm_data_new_zero(last + 1);
    enum javm_status status = fresh == NULL ? JAVM_E_NOMEM : JAVM_OK;
    for (uint64_t i = 0; last >= before && i < before && status == JAVM_OK; i++) {
        const uint8_t *page = javm_data_page(source, i);
        if (page != NULL)
            status = javm_data_write_page(fresh, i, page);
    }
    for (size_t i = 0; i < count && status == JAVM_OK; i++)
        status = javm_data_write_page(fresh, dirty[i] - region->first_page,
                                      javm_memory_page(memory, dirty[i]));
    if (status != JAVM_OK) {
        javm_cap_release(fresh);
        return status;
    }
    *data = fresh;
    return JAVM_OK;
}

/* ---- slot[0] ---------------------------------------------------------------------------- */

static const struct javm_region *window_of(const struct entry *entry)
{
    const uint32_t scratch = entry->program->scratch_region;
    return scratch != 0 ? &entry->layout->regions[scratch] : NULL;
}

enum javm_status frame_flush_slot0(struct entry *entry)
{
    const struct javm_region *window = window_of(entry);
    if (window == NULL)
        return JAVM_OK;
    struct memory_layout *shown = &entry->space->memory->layout;
    struct javm_cap *data;
    const enum javm_status status =
        mapped_data(entry->space->memory, window, shown->scratch_data, &data);
    if (status != JAVM_OK)
        return status;
    if (data == shown->scratch_data) {
        javm_cap_release(data);
        return JAVM_OK;
    }
    shown->scratch_data = data; /* which is what the pages hold */
    value_drop(&entry->slot0);
    entry->slot0 = value_of_cap(data);
    return JAVM_OK;
}

void frame_forget_shown(struct entry *entry)
{
    if (window_of(entry) != NULL && entry->slot0.kind == VALUE_EMPTY &&
        entry->space->memory->layout.scratch_data != NULL)
        memory_show(entry->space->memory, NULL);
}

/* A cap that the mapping cannot show stays in the slot, behind zeros. */
const struct javm_cap *frame_shown(struct javm_vm *vm, const struct cached_program *program,
                                   struct value *slot0)
{
    value_resolve(vm->dir, slot0);
    if (value_kind(slot0) != JAVM_DATA ||
        javm_data_pages(slot0->cap) > program->regions[program->scratch_region].pages)
        return NULL;
    return slot0->cap;
}

void frame_show_slot0(struct javm_vm *vm, struct entry *entry)
{
    if (window_of(entry) != NULL)
        memory_show(entry->space->memory, frame_shown(vm, entry->program, &entry->slot0));
}

void frame_put_slot0(struct javm_vm *vm, struct entry *entry, struct value *value)
{
    struct value before = entry->slot0;
    value_move(&entry->slot0, value);
    frame_show_slot0(vm, entry);
    value_drop(&before);
}

/* ---- mappings --------------------------------------------------------------------------- */

bool frame_allows(const struct entry *entry, uint64_t address, uint64_t len, bool write)
{
    if (len == 0)
        return true;
    if (address >= UINT64_C(1) << 32 || len > (UINT64_C(1) << 32) - address)
        return false;
    uint64_t page = address >> JAVM_PAGE_SHIFT;
    const uint64_t last = (address + len - 1) >> JAVM_PAGE_SHIFT;
    const struct layout *layout = entry->layout;
    for (uint32_t i = 0; i < layout->region_count && page <= last; i++) {
        const struct javm_region *r = &layout->regions[i];
        if (page < r->first_page || page - r->first_page >= r->pages)
            continue;
        if (write && !r->writable)
            return false;
        page = (uint64_t)r->first_page + r->pages;
    }
    return page > last;
}

static enum javm_status store_mapping(struct javm_vm *vm, struct entry *entry, uint32_t index)
{
    const struct javm_mapping *mapping = &running_image(entry)->mappings[index];
    const struct javm_region *region = &entry->layout->regions[index + 1];
    struct javm_cap *data = NULL;
    enum javm_status status = mapped_data(entry->space->memory, region, region->data, &data);
    if (status != JAVM_OK || data == region->data) {
        javm_cap_release(data);
        return status;
    }
    struct path path = {.count = mapping->depth};
    memcpy(path.keys, mapping->path, mapping->depth * sizeof *path.keys);
    struct value value = value_of_cap(javm_cap_retain(data));
    status = slot_store(entry, &path, &value);
    value_drop(&value);
    struct layout *layout = entry->instance->layout;
    if (status == JAVM_OK && layout == entry->layout && layout->count == 2) {
        layout_put(layout, index, data); /* nobody else sees it: the next CALL finds it ready */
        layout->id = ++vm->cache.last_id;
        return JAVM_OK;
    }
    if (status == JAVM_OK) {
        layout_release(layout);
        entry->instance->layout = NULL;
    }
    javm_cap_release(data);
    return status;
}

enum javm_status frame_write_back(struct javm_vm *vm, struct entry *entry)
{
    const struct cached_program *p = entry->program;
    const struct javm_image *pins =
        entry->instance->image != NULL ? javm_image_of(entry->instance->image) : NULL;
    if (entry->space->memory->writable_count == 0)
        return JAVM_OK;
    for (uint32_t k = 0; k < p->persistent_count; k++) {
        const uint32_t index = p->persistent[k];
        if (!frame_keeps(entry, k))
            continue;
        /* SET_IMAGE may have pinned the slot, which was empty then. */
        if (pins != NULL && javm_image_pinned(pins, &running_image(entry)->mappings[index].path[0]))
            continue;
        const enum javm_status status = store_mapping(vm, entry, index);
        if (status != JAVM_OK)
            return status;
    }
    return JAVM_OK;
}
