/* Exchanging what the scratch region shows while its memory is attached: slot[0] of a running
 * frame is given away and comes back as another cap. */
#include <string.h>

#include "vm/memory.h"

static void fill(struct javm_memory *m, const struct javm_region *region, uint32_t page,
                 const struct javm_cap *data)
{
    const uint64_t index = page - region->first_page;
    const uint8_t *from =
        data != NULL && index < javm_data_pages(data) ? javm_data_page(data, index) : NULL;
    uint8_t *to = m->base + ((uint64_t)page << JAVM_PAGE_SHIFT);
    if (from != NULL)
        memcpy(to, from, JAVM_PAGE_SIZE);
    else
        memset(to, 0, JAVM_PAGE_SIZE);
}

void memory_show(struct javm_memory *m, const struct javm_cap *data)
{
    const struct javm_region *region = &m->layout.regions[m->layout.scratch];
    m->layout.scratch_data = data;
    /* Accessible pages of this region are writable: memory.c opens them so, and makes those so that
     * another program left. */
    if (m->writable_count < region->pages) {
        for (uint32_t i = 0; i < m->writable_count; i++)
            if (m->writable[i] - region->first_page < region->pages)
                fill(m, region, m->writable[i], data);
        return;
    }
    for (uint32_t page = region->first_page; page - region->first_page < region->pages; page++)
        if (m->access[page] & PAGE_HARD_WRITE)
            fill(m, region, page, data);
}
