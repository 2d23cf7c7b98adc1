#include "vm/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* An access is at most 8 bytes at a 32-bit address, so one page behind the 4 GiB would do; larger
 * guards also stop a recompiler's displacement. */
#define GUARD       (UINT64_C(16) << 20)
#define SPACE       (UINT64_C(1) << 32)
#define LISTS_BYTES (3 * (uint64_t)MEMORY_PAGES * sizeof(uint32_t))
#define TOTAL       (GUARD + SPACE + GUARD + MEMORY_PAGES + LISTS_BYTES)

/* Pages that keep their backing between invocations (64 MiB): a guest that touched more gives the
 * memory back at reset, so that one big job does not pin it for the batch. */
#define USED_KEPT 16384u

enum javm_status javm_memory_create(struct javm_memory **memory, struct javm_error *err)
{
    struct javm_memory *m = calloc(1, sizeof *m);
    if (m == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "guest memory: out of memory");
    uint8_t *all = mmap(NULL, TOTAL, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED || mprotect(all + GUARD, SPACE, PROT_READ | PROT_WRITE) != 0 ||
        mprotect(all + GUARD + SPACE + GUARD, MEMORY_PAGES + LISTS_BYTES, PROT_READ | PROT_WRITE) !=
            0) {
        int why = errno;
        if (all != MAP_FAILED)
            munmap(all, TOTAL);
        free(m);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE,
                         "guest memory: cannot reserve 4 GiB of address space: %s (is "
                         "vm.overcommit_memory 2 or a ulimit -v set?)",
                         strerror(why));
    }
    /* Guests touch scattered pages; a 2 MiB host page for each would be zeroed at first touch. */
    madvise(all + GUARD, SPACE, MADV_NOHUGEPAGE);
    m->reservation = all;
    m->base = all + GUARD;
    m->access = m->base + SPACE + GUARD;
    m->touched = (uint32_t *)(void *)(m->access + MEMORY_PAGES);
    m->dirty = m->touched + MEMORY_PAGES;
    m->used = m->dirty + MEMORY_PAGES;
    *memory = m;
    return JAVM_OK;
}

void javm_memory_destroy(struct javm_memory *memory)
{
    if (memory == NULL)
        return;
    munmap(memory->reservation, TOTAL);
    free(memory->regions);
    free(memory);
}

void javm_memory_reset(struct javm_memory *m)
{
    if (m->used_count > USED_KEPT) {
        madvise(m->base, SPACE, MADV_DONTNEED);
        for (uint32_t i = 0; i < m->used_count; i++)
            m->access[m->used[i]] = 0;
        m->used_count = 0;
    } else {
        for (uint32_t i = 0; i < m->touched_count; i++)
            m->access[m->touched[i]] = PAGE_USED;
    }
    m->touched_count = m->dirty_count = 0;
}

enum javm_status javm_memory_attach(struct javm_memory *m, const struct javm_region *regions,
                                    size_t count)
{
    javm_memory_reset(m);
    if (count > m->region_room) {
        struct javm_region *bigger = realloc(m->regions, count * sizeof *bigger);
        if (bigger == NULL)
            return JAVM_E_NOMEM;
        m->regions = bigger;
        m->region_room = (uint32_t)count;
    }
    if (count != 0)
        memcpy(m->regions, regions, count * sizeof *regions);
    m->region_count = (uint32_t)count;
    return JAVM_OK;
}

static const struct javm_region *find_region(const struct javm_memory *m, uint32_t page)
{
    uint32_t low = 0, high = m->region_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct javm_region *r = &m->regions[middle];
        if (page < r->first_page)
            high = middle;
        else if (page - r->first_page >= r->pages)
            low = middle + 1;
        else
            return r;
    }
    return NULL;
}

static void fill_page(struct javm_memory *m, const struct javm_region *r, uint32_t page)
{
    uint8_t *to = m->base + ((uint64_t)page << JAVM_PAGE_SHIFT);
    uint64_t index = page - r->first_page;
    const uint8_t *from = NULL;
    size_t len = JAVM_PAGE_SIZE;
    switch (r->kind) {
    case JAVM_REGION_DATA:
        if (index < javm_data_pages(r->data))
            from = javm_data_page(r->data, index);
        break;
    case JAVM_REGION_BYTES: {
        uint64_t at = index << JAVM_PAGE_SHIFT;
        if (at < r->len) {
            from = r->bytes + at;
            len = r->len - at < JAVM_PAGE_SIZE ? (size_t)(r->len - at) : JAVM_PAGE_SIZE;
        }
        break;
    }
    case JAVM_REGION_ZERO:
        break;
    }
    bool stale = m->access[page] & PAGE_USED;
    if (from == NULL)
        len = 0;
    else
        memcpy(to, from, len);
    if (stale && len < JAVM_PAGE_SIZE)
        memset(to + len, 0, JAVM_PAGE_SIZE - len);
    if (!stale)
        m->used[m->used_count++] = page;
}

bool memory_touch(struct javm_memory *m, uint32_t address, uint32_t width, bool write,
                  uint32_t *fresh)
{
    const uint32_t pages[2] = {address >> JAVM_PAGE_SHIFT,
                               (uint32_t)(address + width - 1) >> JAVM_PAGE_SHIFT};
    const uint32_t count = pages[0] == pages[1] ? 1 : 2;
    const struct javm_region *regions[2];
    for (uint32_t i = 0; i < count; i++) {
        regions[i] = find_region(m, pages[i]);
        if (regions[i] == NULL || (write && !regions[i]->writable))
            return false;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *access = &m->access[pages[i]];
        if (!(*access & PAGE_READ)) {
            fill_page(m, regions[i], pages[i]);
            m->touched[m->touched_count++] = pages[i];
            *access = PAGE_USED | PAGE_READ;
        }
        if (write && !(*access & PAGE_WRITE)) {
            *access |= PAGE_WRITE;
            m->dirty[m->dirty_count++] = pages[i];
            ++*fresh;
        }
    }
    return true;
}

/* Every page of [address, address + len) allows the access? Nothing is materialised yet. */
static bool allowed(const struct javm_memory *m, uint32_t address, size_t len, bool write)
{
    if (len > SPACE - address)
        return false;
    uint64_t page = address >> JAVM_PAGE_SHIFT;
    const uint64_t last = (address + len - 1) >> JAVM_PAGE_SHIFT;
    while (page <= last) {
        const struct javm_region *r = find_region(m, (uint32_t)page);
        if (r == NULL || (write && !r->writable))
            return false;
        page = (uint64_t)r->first_page + r->pages;
    }
    return true;
}

static bool host_access(struct javm_memory *m, uint32_t address, uint8_t *to, const uint8_t *from,
                        size_t len)
{
    if (len == 0)
        return true;
    if (!allowed(m, address, len, from != NULL))
        return false;
    while (len != 0) {
        size_t part = JAVM_PAGE_SIZE - address % JAVM_PAGE_SIZE;
        if (part > len)
            part = len;
        uint32_t fresh = 0;
        memory_touch(m, address, 1, from != NULL, &fresh);
        if (from != NULL) {
            memcpy(m->base + address, from, part);
            from += part;
        } else if (to != NULL) {
            memcpy(to, m->base + address, part);
            to += part;
        }
        address += (uint32_t)part;
        len -= part;
    }
    return true;
}

bool javm_memory_read(struct javm_memory *memory, uint32_t address, void *to, size_t len)
{
    return host_access(memory, address, to, NULL, len);
}

bool javm_memory_write(struct javm_memory *memory, uint32_t address, const void *from, size_t len)
{
    return host_access(memory, address, NULL, from, len);
}

static int compare_pages(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

size_t javm_memory_dirty(struct javm_memory *memory, const uint32_t **pages)
{
    qsort(memory->dirty, memory->dirty_count, sizeof *memory->dirty, compare_pages);
    *pages = memory->dirty;
    return memory->dirty_count;
}

const uint8_t *javm_memory_page(const struct javm_memory *memory, uint32_t page)
{
    if (page >= MEMORY_PAGES || !(memory->access[page] & PAGE_READ))
        return NULL;
    return memory->base + ((uint64_t)page << JAVM_PAGE_SHIFT);
}
