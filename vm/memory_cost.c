/* First writes to pages, where they cost gas (PVM2 9.6, v3 kernel "Gas models"). */
#include "vm/memory.h"

static uint64_t cost_of(const struct javm_memory *m, uint64_t page, uint64_t usual)
{
    for (uint32_t i = 0; i < m->layout.count; i++) {
        const struct javm_region *r = &m->layout.regions[i];
        if (page >= r->first_page && page - r->first_page < r->pages)
            return r->first_write != 0 ? r->first_write : usual;
    }
    return usual;
}

bool memory_touch_charged(struct javm_memory *m, uint32_t address, uint32_t width, bool write,
                          uint64_t usual, uint64_t *cost)
{
    const uint64_t first = address >> JAVM_PAGE_SHIFT,
                   last = ((uint64_t)address + width - 1) >> JAVM_PAGE_SHIFT;
    uint32_t fresh = 0;
    *cost = 0;
    if (write && usual != 0)
        for (uint64_t page = first; page <= last && page < MEMORY_PAGES; page++)
            if (!(m->access[page] & PAGE_WRITE))
                *cost += cost_of(m, page, usual);
    return memory_touch(m, address, width, write, &fresh);
}
