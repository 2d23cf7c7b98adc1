#include "vm/memory.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define SPACE       (UINT64_C(1) << 32)
#define ALIGN       0x10000u
#define BELOW       ((uint64_t)-MEMORY_STACK_TOP + MEMORY_STACK_BYTES + ALIGN)
#define TOTAL       (BELOW + SPACE + MEMORY_GUARD + ALIGN)
#define LIST_BYTES  (MEMORY_PAGES * sizeof(uint32_t))
#define LISTS_BYTES (4 * LIST_BYTES)

#define HARD (PAGE_HARD_READ | PAGE_HARD_WRITE)

/* A guest that touched more pages (64 MiB) gives them back, so that one big job does not pin
 * memory. */
#define WARM_KEPT 16384u

/* What the next program takes over from another: as many pages as programs of one toolchain touch
 * alike. All of them are filled at every attach from then on, needed or not. */
#define INHERITED_PAGES 8u
#define INHERITED_GAPS  4u

/* Mappings of a process are limited (vm.max_map_count, 65530 by default), and each edge between two
 * kinds of protection is one. Few guests have a hundred. One that scatters its accesses gets larger
 * and larger pieces made accessible at a time, sooner when all memories together have many edges.
 */
#define EDGES_PAGEWISE   1024u
#define EDGES_COARSE     2048u
#define EDGES_KEPT       512u
#define EDGES_FEW        32u
#define EDGES_ALL        32768u
#define GRANULE_COARSE   16u
#define GRANULE_COARSEST 1024u
#define SMALL_REGION     8u
#define GROWTH           64u
#define GROWTH_ZERO      256u

static _Atomic uint32_t all_edges;

static const uint8_t zero_page[JAVM_PAGE_SIZE];

/* ---- the reservation -------------------------------------------------------------------- */

static bool set_up(struct javm_memory *m)
{
    uint8_t *all = mmap(NULL, TOTAL, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED)
        return false;
    m->reservation = all;
    m->base = all + BELOW;
    m->base += -(uintptr_t)m->base % ALIGN;
    m->access = m->base + MEMORY_ACCESS;
    /* Guests touch scattered pages; a 2 MiB host page for each would be zeroed at first touch. */
    madvise(all, TOTAL, MADV_NOHUGEPAGE);
    /* Linux joins neighbouring mappings only if their pages belong to one anon_vma. A write while
     * the reservation is one mapping gives all that is ever split from it the same one; otherwise
     * each piece would get its own and they could never be joined again. Strict accounting refuses;
     * then it is only slower. */
    if (mprotect(all, TOTAL, PROT_READ | PROT_WRITE) == 0) {
        *(volatile uint8_t *)m->base = 0;
        madvise(m->base, JAVM_PAGE_SIZE, MADV_DONTNEED);
        if (mprotect(all, TOTAL, PROT_NONE) != 0)
            return false;
    }
    if (mprotect(m->base + MEMORY_ACCESS, MEMORY_PAGES, PROT_READ | PROT_WRITE) != 0 ||
        mprotect(m->base + MEMORY_CONTEXT, JAVM_PAGE_SIZE, PROT_READ | PROT_WRITE) != 0 ||
        mprotect(m->base + MEMORY_STACK_TOP - MEMORY_STACK_BYTES, MEMORY_STACK_BYTES,
                 PROT_READ | PROT_WRITE) != 0)
        return false;
    void *lists = mmap(NULL, LISTS_BYTES, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (lists == MAP_FAILED)
        return false;
    m->touched = lists;
    m->warm = m->touched + MEMORY_PAGES;
    m->writable = m->warm + MEMORY_PAGES;
    m->dirty = m->writable + MEMORY_PAGES;
    return true;
}

enum javm_status javm_memory_create(struct javm_memory **memory, struct javm_error *err)
{
    struct javm_memory *m = calloc(1, sizeof *m);
    if (m == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "guest memory: out of memory");
    m->low = MEMORY_PAGES;
    if (!set_up(m)) {
        int why = errno;
        javm_memory_destroy(m);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE,
                         "guest memory: cannot reserve 4 GiB of address space: %s (is a ulimit -v "
                         "set?)",
                         strerror(why));
    }
    *memory = m;
    return JAVM_OK;
}

void javm_memory_destroy(struct javm_memory *m)
{
    if (m == NULL)
        return;
    atomic_fetch_sub_explicit(&all_edges, m->edges, memory_order_relaxed);
    if (m->mirror != NULL)
        m->mirror->end(m->mirror);
    if (m->reservation != NULL)
        munmap(m->reservation, TOTAL);
    if (m->touched != NULL)
        munmap(m->touched, LISTS_BYTES);
    free(m->copy);
    free(m);
}

/* ---- content ---------------------------------------------------------------------------- */

static uint8_t *page_at(const struct javm_memory *m, uint32_t page)
{
    return m->base + ((uint64_t)page << JAVM_PAGE_SHIFT);
}

static const struct javm_region *find_region(const struct javm_memory *m, uint32_t page)
{
    uint32_t low = 0, high = m->layout.count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct javm_region *r = &m->layout.regions[middle];
        if (page < r->first_page)
            high = middle;
        else if (page - r->first_page >= r->pages)
            low = middle + 1;
        else
            return r;
    }
    return NULL;
}

/* The same, when it is likely the region that was found last (NULL: none). */
static const struct javm_region *find_again(const struct javm_memory *m, uint32_t page,
                                            const struct javm_region *last)
{
    if (last != NULL && page >= last->first_page && page - last->first_page < last->pages)
        return last;
    return find_region(m, page);
}

static bool is_scratch(const struct javm_memory *m, const struct javm_region *r)
{
    return m->layout.scratch != 0 && r == &m->layout.regions[m->layout.scratch];
}

/* What a page shows at first: *len bytes, then zeros. */
static const uint8_t *source(const struct javm_memory *m, const struct javm_region *r,
                             uint32_t page, size_t *len)
{
    const uint64_t index = page - r->first_page;
    const uint64_t at = index << JAVM_PAGE_SHIFT;
    const struct javm_cap *data = r->kind == JAVM_REGION_DATA ? r->data : NULL;
    const uint8_t *from = NULL;
    *len = 0;
    if (is_scratch(m, r))
        data = m->layout.scratch_data;
    else if (r->kind == JAVM_REGION_BYTES && at < r->len) {
        *len = r->len - at < JAVM_PAGE_SIZE ? (size_t)(r->len - at) : JAVM_PAGE_SIZE;
        return r->bytes + at;
    }
    if (data != NULL && index < javm_data_pages(data))
        from = javm_data_page(data, index);
    if (from != NULL)
        *len = JAVM_PAGE_SIZE;
    return from;
}

static void fill_page(struct javm_memory *m, const struct javm_region *r, uint32_t page)
{
    size_t len;
    const uint8_t *from = source(m, r, page, &len);
    uint8_t *to = page_at(m, page);
    if (len != 0)
        memcpy(to, from, len);
    if (len < JAVM_PAGE_SIZE)
        memset(to + len, 0, JAVM_PAGE_SIZE - len);
}

static bool differs(const struct javm_memory *m, const struct javm_region *r, uint32_t page)
{
    size_t len;
    const uint8_t *from = source(m, r, page, &len);
    const uint8_t *is = page_at(m, page);
    return (len != 0 && memcmp(is, from, len) != 0) ||
           memcmp(is + len, zero_page, JAVM_PAGE_SIZE - len) != 0;
}

/* ---- protection ------------------------------------------------------------------------- */

/* Pages that are not accessible are all zeros to the system (never used, or given back), so that
 * only those with a source need filling. */

static bool protect(struct javm_memory *m, uint32_t first, uint32_t end, int protection)
{
    if (m->mirror != NULL)
        m->mirror->forget(m->mirror, first, end);
    return mprotect(page_at(m, first), (size_t)(end - first) << JAVM_PAGE_SHIFT, protection) == 0;
}

static int protection_of(uint8_t access)
{
    if (access & PAGE_HARD_WRITE)
        return PROT_READ | PROT_WRITE;
    return access & PAGE_HARD_READ ? PROT_READ : PROT_NONE;
}

static uint32_t count_edges(const struct javm_memory *m, uint32_t first, uint32_t end)
{
    uint32_t count = 0;
    for (uint32_t page = first != 0 ? first : 1; page <= end && page < MEMORY_PAGES; page++)
        count += ((m->access[page - 1] ^ m->access[page]) & HARD) != 0;
    return count;
}

static void count_change(struct javm_memory *m, uint32_t change) /* may be negative: wraps */
{
    m->edges += change;
    atomic_fetch_add_explicit(&all_edges, change, memory_order_relaxed);
}

/* The pages have their content and this protection now. */
static void note_open(struct javm_memory *m, uint32_t first, uint32_t end, bool write)
{
    const uint32_t before = count_edges(m, first, end);
    for (uint32_t page = first; page < end; page++) {
        const uint8_t was = m->access[page];
        if (!(was & PAGE_HARD_READ)) {
            m->warm[m->warm_count++] = page;
            m->filled++;
        }
        if (write && !(was & PAGE_HARD_WRITE))
            m->writable[m->writable_count++] = page;
        m->access[page] = (uint8_t)(was | PAGE_HARD_READ | (write ? PAGE_HARD_WRITE : 0));
    }
    count_change(m, count_edges(m, first, end) - before);
}

/* mprotect may have changed a part before it failed. A page must never allow more than is known. */
static void restore(struct javm_memory *m, uint32_t first, uint32_t end)
{
    for (uint32_t page = first, next; page < end; page = next) {
        next = page + 1;
        while (next < end && ((m->access[page] ^ m->access[next]) & HARD) == 0)
            next++;
        if (!protect(m, page, next, protection_of(m->access[page])))
            m->failed = true;
    }
}

bool memory_protect(struct javm_memory *m, uint32_t first, uint32_t end, uint8_t hard)
{
    const uint32_t before = count_edges(m, first, end);
    m->low = first < m->low ? first : m->low;
    m->high = end > m->high ? end : m->high;
    if (!protect(m, first, end, protection_of(hard))) {
        restore(m, first, end);
        return false;
    }
    for (uint32_t page = first; page < end; page++)
        m->access[page] = (uint8_t)((m->access[page] & ~HARD) | hard);
    count_change(m, count_edges(m, first, end) - before);
    return true;
}

/* Make pages of one region accessible. None of them is writable already unless `write`. */
static bool open_pages(struct javm_memory *m, const struct javm_region *r, uint32_t first,
                       uint32_t end, bool write)
{
    size_t len;
    bool fill = false;
    const bool zeros = r->kind == JAVM_REGION_ZERO && !is_scratch(m, r);
    for (uint32_t page = first; page < end && !fill && !zeros; page++)
        fill = !(m->access[page] & PAGE_HARD_READ) && source(m, r, page, &len) != NULL;
    m->low = first < m->low ? first : m->low;
    m->high = end > m->high ? end : m->high;
    if (!protect(m, first, end, write || fill ? PROT_READ | PROT_WRITE : PROT_READ)) {
        restore(m, first, end);
        return false;
    }
    for (uint32_t page = first; page < end && fill; page++) {
        const uint8_t *from = source(m, r, page, &len);
        if (!(m->access[page] & PAGE_HARD_READ) && from != NULL)
            memcpy(page_at(m, page), from, len);
    }
    if (fill && !write && !protect(m, first, end, PROT_READ)) {
        m->failed = true; /* content without a note of it: only giving up everything is safe */
        return false;
    }
    note_open(m, first, end, write);
    m->scratch_readable |= !write && is_scratch(m, r);
    return true;
}

/* How many pages to open at a time, a power of two. */
static uint32_t granule(const struct javm_memory *m)
{
    const uint32_t all = atomic_load_explicit(&all_edges, memory_order_relaxed);
    if (m->cramped)
        return GRANULE_COARSEST;
    if (m->edges < EDGES_PAGEWISE && (all < EDGES_ALL || m->edges < EDGES_FEW))
        return 1;
    return m->edges < EDGES_COARSE && all < EDGES_ALL ? GRANULE_COARSE : GRANULE_COARSEST;
}

/* Open the page, and neighbours with it that the guest will likely touch too. */
static bool open_around(struct javm_memory *m, const struct javm_region *r, uint32_t page,
                        bool write)
{
    const uint8_t *access = m->access;
    const uint32_t low = r->first_page, high = low + r->pages, pieces = granule(m);
    uint32_t first = page, end = page + 1;
    if (pieces > 1) {
        first = page & ~(pieces - 1);
        end = first + pieces < high ? first + pieces : high;
        first = first > low ? first : low;
        for (uint32_t p = first; p < end && !write; p++)
            write = access[p] & PAGE_HARD_WRITE;
        return open_pages(m, r, first, end, write);
    }
    const uint8_t enough = write ? PAGE_HARD_WRITE : PAGE_HARD_READ;
    if (!write && r->kind != JAVM_REGION_ZERO && r->pages <= SMALL_REGION) {
        while (first > low && !(access[first - 1] & enough))
            first--;
        while (end < high && !(access[end] & enough))
            end++;
        return open_pages(m, r, first, end, write);
    }
    /* As many again as lie open in a row next to the page: a sweep, upwards or downwards, doubles
     * its step, and never more than as many pages again are opened for nothing. */
    const uint32_t limit = r->kind == JAVM_REGION_ZERO ? GROWTH_ZERO : GROWTH;
    uint32_t below = 0, above = 0;
    while (below < limit && page - below > low && access[page - below - 1] & enough)
        below++;
    while (above < limit && high - end > above && access[end + above] & enough)
        above++;
    for (uint32_t more = 1; more < below && below >= above && end < high; more++, end++)
        if (access[end] & enough)
            break;
    for (uint32_t more = 1; more < above && above > below && first > low; more++, first--)
        if (access[first - 1] & enough)
            break;
    return open_pages(m, r, first, end, write);
}

/* Each region's accessible pages become one run. That needs no new mapping and frees many. */
static void close_gaps(struct javm_memory *m)
{
    for (uint32_t i = 0; i < m->layout.count; i++) {
        const struct javm_region *r = &m->layout.regions[i];
        uint32_t first = r->first_page, end = first + r->pages;
        while (first < end && !(m->access[first] & HARD))
            first++;
        while (first < end && !(m->access[end - 1] & HARD))
            end--;
        bool write = false;
        for (uint32_t page = first; page < end; page++)
            write |= (m->access[page] & PAGE_HARD_WRITE) != 0;
        if (first < end)
            open_pages(m, r, first, end, write);
    }
}

static bool make_ready(struct javm_memory *m, const struct javm_region *r, uint32_t page,
                       bool write)
{
    /* The scratch region is filled anew each time, which only writable pages can be without a
     * system call. */
    write |= r->writable && is_scratch(m, r);
    const uint8_t enough = write ? PAGE_HARD_WRITE : PAGE_HARD_READ;
    if (m->access[page] & enough || open_around(m, r, page, write))
        return true;
    /* The process has as many mappings as it may have. */
    m->cramped = true;
    close_gaps(m);
    if (m->access[page] & enough || open_around(m, r, page, write))
        return true;
    m->failed = true;
    return false;
}

static bool touch_paged(struct javm_memory *m, uint32_t first, uint64_t last, bool write)
{
    for (uint64_t page = first; page <= last; page++)
        if (page >= MEMORY_PAGES || !m->pager->allows(m->pager, (uint32_t)page, write))
            return false;
    if (m->pager->open(m->pager, first, (uint32_t)last, write))
        return true;
    m->failed = true;
    return false;
}

bool memory_touch(struct javm_memory *m, uint32_t address, uint32_t width, bool write,
                  uint32_t *fresh)
{
    const uint32_t first = address >> JAVM_PAGE_SHIFT;
    const uint64_t last = ((uint64_t)address + width - 1) >> JAVM_PAGE_SHIFT;
    const struct javm_region *regions[2];
    if (m->pager != NULL)
        return touch_paged(m, first, last, write);
    for (uint32_t page = first; page <= last; page++) {
        const struct javm_region *r = find_region(m, page); /* none behind the 4 GiB */
        if (r == NULL || (write && !r->writable))
            return false;
        regions[page - first] = r;
    }
    for (uint32_t page = first; page <= last; page++)
        if (!make_ready(m, regions[page - first], page, write))
            return false;
    for (uint32_t page = first; page <= last; page++) {
        uint8_t *access = &m->access[page];
        if (!(*access & PAGE_READ))
            m->touched[m->touched_count++] = page;
        *access |= PAGE_READ;
        if (write && !(*access & PAGE_WRITE)) {
            *access |= PAGE_WRITE;
            ++*fresh;
        }
    }
    return true;
}

/* ---- attaching -------------------------------------------------------------------------- */

/* PROT_NONE everywhere, and the memory given back. */
static bool revoke(struct javm_memory *m)
{
    /* In this order there are no pages left whose protection would have to be changed. */
    if (m->low < m->high &&
        (madvise(page_at(m, m->low), (size_t)(m->high - m->low) << JAVM_PAGE_SHIFT,
                 MADV_DONTNEED) != 0 ||
         !protect(m, m->low, m->high, PROT_NONE)) &&
        mmap(m->base, SPACE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
             0) == MAP_FAILED)
        return false;
    for (uint32_t i = 0; i < m->warm_count; i++)
        m->access[m->warm[i]] = 0;
    atomic_fetch_sub_explicit(&all_edges, m->edges, memory_order_relaxed);
    m->warm_count = m->writable_count = m->edges = m->wasteful = 0;
    m->low = MEMORY_PAGES;
    m->high = 0;
    m->failed = m->cramped = m->scratch_readable = m->inherited = false;
    return true;
}

bool memory_crowded(void)
{
    return atomic_load_explicit(&all_edges, memory_order_relaxed) > EDGES_ALL / 2;
}

static bool worth_keeping(const struct javm_memory *m)
{
    return !m->failed && !m->cramped && m->warm_count <= WARM_KEPT && m->wasteful < 8 &&
           m->edges <= (memory_crowded() ? EDGES_FEW : EDGES_KEPT);
}

static int compare_pages(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* Take those pages out of a list that the hardware does not allow the access any more. */
static uint32_t drop_closed(const struct javm_memory *m, uint32_t *list, uint32_t count,
                            uint8_t access)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++)
        if (m->access[list[i]] & access)
            list[kept++] = list[i];
    return kept;
}

/* Pages without content or protection from now on; they are in ascending order. */
static bool close_pages(struct javm_memory *m, const uint32_t *pages, uint32_t count)
{
    for (uint32_t i = 0, gaps = 0; i < count; gaps++) {
        const uint32_t first = pages[i];
        uint32_t end = first;
        while (i < count && pages[i] == end) {
            end++;
            i++;
        }
        if (gaps == INHERITED_GAPS ||
            madvise(page_at(m, first), (size_t)(end - first) << JAVM_PAGE_SHIFT, MADV_DONTNEED) !=
                0 ||
            !protect(m, first, end, PROT_NONE))
            return false;
        const uint32_t before = count_edges(m, first, end);
        memset(m->access + first, 0, end - first);
        count_change(m, count_edges(m, first, end) - before);
    }
    m->warm_count = drop_closed(m, m->warm, m->warm_count, HARD);
    m->writable_count = drop_closed(m, m->writable, m->writable_count, PAGE_HARD_WRITE);
    return true;
}

/* Another program's pages are this one's if its layout allows what the hardware allows. Programs
 * of one toolchain are laid out alike, so that the first invocation of one finds the stack and the
 * data of its predecessor accessible. False: it is not worth it, or the system refuses; then all
 * have to go. */
static bool inherit(struct javm_memory *m)
{
    const struct javm_region *r = NULL;
    uint32_t count = 0;
    if (m->warm_count > INHERITED_PAGES || m->layout.count == 0)
        return false;
    m->scratch_readable = false;
    for (uint32_t i = 0; i < m->warm_count; i++) {
        const uint32_t page = m->warm[i];
        const bool writable = (m->access[page] & PAGE_HARD_WRITE) != 0;
        r = find_again(m, page, r);
        if (r == NULL || (writable && !r->writable))
            m->dirty[count++] = page;
        else
            m->scratch_readable |= !writable && is_scratch(m, r);
    }
    if (count == m->warm_count)
        return false;
    qsort(m->dirty, count, sizeof *m->dirty, compare_pages);
    m->inherited = true;
    return close_pages(m, m->dirty, count);
}

/* Pages that are only readable and show something else in the new layout. Where the region is
 * writable they stay writable from now on, so that the next time is cheaper. */
static bool refill_readable(struct javm_memory *m, bool same_space, bool same_id)
{
    const struct javm_region *r = NULL;
    for (uint32_t i = 0; i < m->warm_count; i++) {
        const uint32_t first = m->warm[i];
        uint32_t end = first + 1;
        if (m->access[first] & PAGE_HARD_WRITE)
            continue;
        r = find_again(m, first, r);
        if (r == NULL)
            return false;
        /* Those of the scratch region become writable in any case: memory_show relies on it. */
        const bool scratch = is_scratch(m, r) && r->writable;
        if (!is_scratch(m, r) && (same_id || (same_space && m->layout.constant && !r->writable)))
            continue;
        if (!scratch && !differs(m, r, first))
            continue;
        while (i + 1 < m->warm_count && m->warm[i + 1] == end && end - r->first_page < r->pages &&
               !(m->access[end] & PAGE_HARD_WRITE) && (scratch || differs(m, r, end))) {
            end++;
            i++;
        }
        if (!protect(m, first, end, PROT_READ | PROT_WRITE))
            return false;
        for (uint32_t page = first; page < end; page++)
            fill_page(m, r, page);
        m->filled += end - first;
        if (r->writable)
            note_open(m, first, end, true);
        else if (!protect(m, first, end, PROT_READ))
            return false;
    }
    return true;
}

/* Give the warm pages the content of the layout that is attached now; false: they have to go. */
static bool refill(struct javm_memory *m, bool same_space, bool same_id)
{
    const struct javm_region *r = NULL;
    for (uint32_t i = 0; i < m->writable_count; i++) {
        r = find_again(m, m->writable[i], r);
        if (r == NULL)
            return false;
        fill_page(m, r, m->writable[i]);
    }
    m->refilled = m->writable_count;
    m->filled = m->writable_count;
    return m->warm_count == m->writable_count || (same_id && !m->scratch_readable) ||
           refill_readable(m, same_space, same_id);
}

static enum javm_status enter(struct javm_memory *m, const struct memory_layout *layout,
                              bool same_space, bool same_id)
{
    for (uint32_t i = 0; i < m->touched_count; i++)
        m->access[m->touched[i]] &= HARD;
    m->touched_count = 0;
    m->scratch_readable |= layout->scratch != m->layout.scratch;
    m->layout = *layout;
    m->refilled = 0;
    m->filled = 0;
    if (worth_keeping(m) && (same_space || inherit(m)) && refill(m, same_space, same_id))
        return JAVM_OK;
    m->filled = 0;
    if (revoke(m))
        return JAVM_OK;
    m->failed = true; /* the hardware may allow less than is known */
    memset(&m->layout, 0, sizeof m->layout);
    return JAVM_E_NOMEM;
}

enum javm_status memory_attach_warm(struct javm_memory *m, const struct memory_layout *layout)
{
    return enter(m, layout, layout->space != 0 && layout->space == m->layout.space,
                 layout->id != 0 && layout->id == m->layout.id);
}

enum javm_status javm_memory_attach(struct javm_memory *m, const struct javm_region *regions,
                                    size_t count)
{
    if (count > m->copy_room) {
        struct javm_region *bigger = realloc(m->copy, count * sizeof *bigger);
        if (bigger == NULL)
            return JAVM_E_NOMEM;
        m->copy = bigger;
        m->copy_room = count;
    }
    if (count != 0)
        memcpy(m->copy, regions, count * sizeof *regions);
    const struct memory_layout layout = {.regions = m->copy, .count = (uint32_t)count};
    return enter(m, &layout, false, false);
}

void javm_memory_reset(struct javm_memory *m)
{
    const struct memory_layout layout = m->layout;
    enter(m, &layout, true, true);
}

bool memory_drop(struct javm_memory *m)
{
    const struct memory_layout none = {0};
    return enter(m, &none, false, false) == JAVM_OK;
}

void memory_finish(struct javm_memory *m, uint64_t gas)
{
    /* Filling a page takes about as long as 50 gas. A few pages are worth it in any case: making
     * them accessible once more takes far longer. That does not hold for another program's. */
    const uint32_t few = m->inherited ? 0 : 16;
    m->wasteful = m->refilled > few && gas / 50 < m->refilled ? m->wasteful + 1 : 0;
    m->layout.regions = NULL;
    m->layout.count = 0;
    m->layout.scratch_data = NULL;
    if (!worth_keeping(m))
        memory_drop(m);
}

/* ---- the host's side -------------------------------------------------------------------- */

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
        if (!memory_touch(m, address, 1, from != NULL, &fresh))
            return false;
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

/* Those of [first, first + count) whose content differs from the source, ascending. */
static size_t find_dirty(struct javm_memory *m, uint32_t first, uint32_t count)
{
    size_t found = 0;
    const struct javm_region *r = NULL;
    const bool by_list = m->writable_count < count;
    const uint32_t candidates = by_list ? m->writable_count : count;
    for (uint32_t i = 0; i < candidates; i++) {
        const uint32_t page = by_list ? m->writable[i] : first + i;
        if (page - first >= count || !(m->access[page] & PAGE_HARD_WRITE))
            continue;
        r = find_again(m, page, r);
        if (r != NULL && differs(m, r, page))
            m->dirty[found++] = page;
    }
    if (by_list)
        qsort(m->dirty, found, sizeof *m->dirty, compare_pages);
    return found;
}

size_t memory_dirty_within(struct javm_memory *m, const struct javm_region *region,
                           const uint32_t **pages)
{
    *pages = m->dirty;
    return find_dirty(m, region->first_page, region->pages);
}

size_t javm_memory_dirty(struct javm_memory *m, const uint32_t **pages)
{
    *pages = m->dirty;
    return find_dirty(m, 0, MEMORY_PAGES);
}

const uint8_t *javm_memory_page(const struct javm_memory *m, uint32_t page)
{
    if (page >= MEMORY_PAGES || !(m->access[page] & PAGE_HARD_READ))
        return NULL;
    return page_at(m, page);
}
