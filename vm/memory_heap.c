/* What PVM asks of a memory beyond PVM2: a heap that grows, and which page refused. */
#include <stdlib.h>
#include <string.h>

#include "vm/memory.h"

#define PAGE_MASK UINT64_C(4095)
_Static_assert(PAGE_MASK + 1 == JAVM_PAGE_SIZE, "one page");

/* The regions in an array that may be changed, with room for one more. */
static bool own_regions(struct javm_memory *m)
{
    const size_t count = m->layout.count;
    if (m->copy_room <= count) {
        struct javm_region *bigger = malloc((count * 2 + 4) * sizeof *bigger);
        if (bigger == NULL)
            return false;
        if (count != 0)
            memcpy(bigger, m->layout.regions, count * sizeof *bigger);
        free(m->copy);
        m->copy = bigger;
        m->copy_room = count * 2 + 4;
    } else if (m->layout.regions != m->copy && count != 0) {
        memcpy(m->copy, m->layout.regions, count * sizeof *m->copy);
    }
    m->layout.regions = m->copy;
    m->layout.space = m->layout.id = 0; /* it is no longer what others of that name show */
    return true;
}

/* Make [first, end) writable zeros. False: something else is there, or no memory (`failed`). */
static bool add_pages(struct javm_memory *m, uint32_t first, uint32_t end)
{
    uint32_t i = 0;
    if (!own_regions(m)) {
        m->failed = true;
        return false;
    }
    while (i < m->layout.count && m->copy[i].first_page < first)
        i++;
    if (i < m->layout.count && m->copy[i].first_page < end)
        return false;
    struct javm_region *before = i != 0 ? &m->copy[i - 1] : NULL;
    if (before != NULL && before->first_page + before->pages > first)
        return false;
    if (before != NULL && before->first_page + before->pages == first && before->writable) {
        before->pages += end - first;
        return true;
    }
    memmove(&m->copy[i + 1], &m->copy[i], (m->layout.count - i) * sizeof *m->copy);
    m->copy[i] = (struct javm_region){
        .first_page = first, .pages = end - first, .kind = JAVM_REGION_ZERO, .writable = true};
    m->layout.count++;
    return true;
}

uint64_t memory_grow(struct javm_memory *m, struct javm_heap *heap, uint64_t by)
{
    const uint64_t old = heap->top;
    if (by == 0)
        return old;
    if (old > heap->limit || by > heap->limit - old)
        return 0;
    const uint64_t first = (old + PAGE_MASK) >> JAVM_PAGE_SHIFT;
    const uint64_t end = (old + by + PAGE_MASK) >> JAVM_PAGE_SHIFT;
    if (first < end && !add_pages(m, (uint32_t)first, (uint32_t)end))
        return 0;
    heap->top = old + by;
    return old;
}

static bool allows(const struct javm_memory *m, uint64_t page, bool write)
{
    if (m->pager != NULL)
        return m->pager->allows(m->pager, (uint32_t)page, write);
    for (uint32_t i = 0; i < m->layout.count; i++) {
        const struct javm_region *r = &m->layout.regions[i];
        if (page >= r->first_page && page - r->first_page < r->pages)
            return !write || r->writable;
    }
    return false;
}

uint32_t memory_refused(const struct javm_memory *m, uint32_t address, uint32_t width, bool write)
{
    const uint64_t last = ((uint64_t)address + width - 1) >> JAVM_PAGE_SHIFT;
    uint64_t page = address >> JAVM_PAGE_SHIFT;
    while (page < last && allows(m, page, write))
        page++;
    return (uint32_t)(page << JAVM_PAGE_SHIFT); /* behind the last page comes 0 */
}
