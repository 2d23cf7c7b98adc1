/* Memory of the active VM, for the host. */
#include <string.h>

#include "vm/v2/v2.h"

#define SPACE (V2_PAGES << JAVM_PAGE_SHIFT)

bool javm_v2_accessible(struct javm_v2 *v2, uint64_t address, uint64_t len, bool write)
{
    struct v2_shown shown;
    if (len == 0)
        return true;
    if (v2->active == V2_NOBODY || address >= SPACE || len > SPACE - address)
        return false;
    const uint64_t end = (address + len - 1) >> JAVM_PAGE_SHIFT;
    for (uint64_t page = address >> JAVM_PAGE_SHIFT; page <= end; page += shown.count)
        if (!v2_find(v2, v2->active, (uint32_t)page, &shown) || (write && !shown.writable))
            return false;
    return true;
}

/* The page that an address is on, as a cap of its own; it is accessible. */
static struct v2_cap page_of(const struct javm_v2 *v2, uint64_t address)
{
    const uint32_t page = (uint32_t)(address >> JAVM_PAGE_SHIFT);
    struct v2_shown shown = {0};
    v2_find(v2, v2->active, page, &shown);
    return (struct v2_cap){
        .type = CAP_DATA, .has = true, .id = page, .offset = shown.page, .pages = 1};
}

static size_t part_of(uint64_t address, uint64_t len)
{
    const size_t left = JAVM_PAGE_SIZE - address % JAVM_PAGE_SIZE;
    return len < left ? (size_t)len : left;
}

bool javm_v2_read(struct javm_v2 *v2, uint64_t address, void *to, uint64_t len)
{
    if (!javm_v2_accessible(v2, address, len, false))
        return false;
    for (uint8_t *at = to; len != 0;) {
        const struct v2_cap page = page_of(v2, address);
        const size_t part = part_of(address, len), skip = address % JAVM_PAGE_SIZE;
        size_t have;
        const uint8_t *bytes = v2_look(v2, v2->active, &page, 0, &have);
        const size_t left = have > skip ? have - skip : 0, some = left < part ? left : part;
        if (some != 0)
            memcpy(at, bytes + skip, some);
        memset(at + some, 0, part - some);
        at += part;
        address += part;
        len -= part;
    }
    return true;
}

bool javm_v2_write(struct javm_v2 *v2, uint64_t address, const void *from, uint64_t len)
{
    if (!javm_v2_accessible(v2, address, len, true))
        return false;
    for (const uint8_t *at = from; len != 0;) {
        const struct v2_cap page = page_of(v2, address);
        const size_t part = part_of(address, len);
        memcpy(v2_poke(v2, v2->active, &page, 0) + address % JAVM_PAGE_SIZE, at, part);
        at += part;
        address += part;
        len -= part;
    }
    return true;
}
