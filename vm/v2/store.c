/* The pages behind the DATA caps of an invocation. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "vm/v2/bits.h"
#include "vm/v2/v2.h"

/* An invocation that wrote more (16 MiB) gives the memory back. */
#define PRESENT_KEPT 4096u

#define MAPS 5u

static bool grow(struct v2_store *s, uint32_t total)
{
    const uint64_t words = ((uint64_t)total + 63) / 64;
    if (words > s->words) {
        uint64_t *bits = calloc(MAPS * words, sizeof *bits);
        if (bits == NULL)
            return false;
        free(s->mapped);
        s->mapped = bits;
        s->visible = bits + words;
        s->resident = bits + 2 * words;
        s->written = bits + 3 * words;
        s->present = bits + 4 * words;
        s->words = words;
        s->used = 0;
    }
    if (total > s->room) {
        uint8_t *pages = mmap(NULL, (size_t)total << JAVM_PAGE_SHIFT, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (pages == MAP_FAILED)
            return false;
        if (s->room != 0)
            munmap(s->pages, (size_t)s->room << JAVM_PAGE_SHIFT);
        s->pages = pages;
        s->room = total;
        s->present_count = 0;
    }
    return true;
}

bool v2_store_begin(struct v2_store *s, uint32_t total, uint32_t used)
{
    if (s->present_count > PRESENT_KEPT &&
        madvise(s->pages, (size_t)s->used << JAVM_PAGE_SHIFT, MADV_DONTNEED) != 0)
        return false;
    s->present_count = 0;
    /* No bit was ever set behind what was allocated. */
    const size_t dirty = ((size_t)s->used + 63) / 64 * sizeof *s->mapped;
    for (unsigned i = 0; i < MAPS && dirty != 0; i++)
        memset(s->mapped + i * s->words, 0, dirty);
    s->used = 0;
    if (!grow(s, total))
        return false;
    s->total = total;
    s->used = used;
    return true;
}

void v2_store_free(struct v2_store *s)
{
    free(s->mapped);
    if (s->room != 0)
        munmap(s->pages, (size_t)s->room << JAVM_PAGE_SHIFT);
}

static uint8_t *page_at(const struct v2_store *s, uint32_t page)
{
    return s->pages + ((uint64_t)page << JAVM_PAGE_SHIFT);
}

const uint8_t *v2_source(const struct javm_v2 *v2, uint32_t page, size_t *len)
{
    if (!bit_get(v2->store.present, page))
        return v2_blob_page(v2->blob, page, len);
    *len = JAVM_PAGE_SIZE;
    return page_at(&v2->store, page);
}

uint8_t *v2_present(struct javm_v2 *v2, uint32_t page)
{
    struct v2_store *s = &v2->store;
    uint8_t *to = page_at(s, page);
    if (bit_get(s->present, page))
        return to;
    size_t len;
    const uint8_t *from = v2_blob_page(v2->blob, page, &len);
    if (len != 0)
        memcpy(to, from, len);
    memset(to + len, 0, JAVM_PAGE_SIZE - len);
    bit_set(s->present, page);
    s->present_count++;
    return to;
}
