/* Address spaces for the engines: a window shows one VM's pages, copied in when they are first
 * touched, and copied back when they vanish from it or another VM gets it.
 *
 * Giving up what is open never changes what a guest sees. So the answer to every scarcity (windows,
 * mappings of the process, memory) is to write back, close everything and let touches begin anew.
 *
 * A closed page keeps its bytes (PAGE_STALE) and is filled when it is opened again, without a
 * system call in between. Pages stay open from one VM to the next and from one invocation to the
 * next where both show a page with that permission there: they only get other bytes. */
#include <string.h>

#include "vm/v2/bits.h"
#include "vm/v2/v2.h"

#define HARD (PAGE_HARD_READ | PAGE_HARD_WRITE)

/* Each place where protection changes is a mapping of the process, of which it may have 65530. */
#define EDGES_COARSE   1024u /* from here on, more pages are opened at a time */
#define EDGES_MAX      8192u
#define EDGES_CROWDED  512u /* while all memories of the process together have many */
#define GRANULE        16u
/* Closed pages that hold memory, and open ones that wait for an invocation: 16 MiB. */
#define KEPT_PAGES     4096u
/* As many pages are filled for the same VM of the same blob, or for another. */
#define REFILLED_SAME  1024u
#define REFILLED_OTHER 16u
/* A sweep opens as many pages again as it went over, up to this. */
#define GROWTH         64u

static uint8_t *at_page(const struct javm_memory *m, uint32_t at)
{
    return m->base + ((uint64_t)at << JAVM_PAGE_SHIFT);
}

/* Which page of the store an open page is. The array has room for each page and no other use here.
 */
static uint32_t *shown_of(const struct javm_memory *m)
{
    return m->dirty;
}

static bool is_open(const struct javm_memory *m, uint32_t at)
{
    return (m->access[at] & HARD) != 0;
}

/* ---- giving up ---------------------------------------------------------------------------- */

static void write_back(struct v2_window *w, uint32_t at)
{
    if (w->memory->access[at] & PAGE_HARD_WRITE)
        memcpy(v2_present(w->v2, shown_of(w->memory)[at]), at_page(w->memory, at), JAVM_PAGE_SIZE);
}

/* The store has everything. */
static void return_all(struct v2_window *w)
{
    const struct javm_memory *m = w->memory;
    for (uint32_t i = 0; i < m->warm_count; i++) {
        if (!is_open(m, m->warm[i]))
            continue;
        write_back(w, m->warm[i]);
        bit_clear(w->v2->store.resident, shown_of(m)[m->warm[i]]);
    }
}

/* Close all, and give the memory to the system. */
static bool drop(struct v2_window *w)
{
    if (w->vm != V2_NOBODY)
        return_all(w);
    w->warm_max = KEPT_PAGES;
    w->wasteful = 0;
    if (memory_drop(w->memory))
        return true;
    w->memory->failed = w->v2->nomem = true;
    return false;
}

/* ---- closing ------------------------------------------------------------------------------ */

static void close_run(struct v2_window *w, uint32_t at, uint32_t page, uint32_t count)
{
    struct javm_memory *m = w->memory;
    for (uint32_t i = 0; i < count; i++)
        write_back(w, at + i);
    if (!memory_protect(m, at, at + count, 0)) {
        drop(w);
        return;
    }
    memset(m->access + at, PAGE_LISTED | PAGE_STALE, count);
    bits_fill(w->v2->store.resident, page, page + count, false);
}

void v2_close(struct javm_v2 *v2, uint32_t vm, uint32_t at, uint32_t page, uint32_t count)
{
    const uint32_t end = page + count;
    uint32_t first = page, stop;
    for (; bits_run(v2->store.resident, &first, end, &stop); first = stop)
        close_run(&v2->windows[v2->vms[vm].window - 1], at + (first - page), first, stop - first);
}

void v2_unwritten(struct javm_v2 *v2, uint32_t vm, uint32_t at, uint32_t page, uint32_t count)
{
    const uint32_t end = page + count;
    uint32_t first = page, stop;
    for (; bits_run(v2->store.resident, &first, end, &stop); first = stop) {
        struct v2_window *w = &v2->windows[v2->vms[vm].window - 1];
        struct javm_memory *m = w->memory;
        const uint32_t low = at + (first - page), high = low + (stop - first);
        if (v2->exact) {
            for (uint32_t p = low; p < high; p++)
                write_back(w, p);
            if (!memory_protect(m, low, high, PAGE_HARD_READ)) {
                drop(w);
                return;
            }
        }
        for (uint32_t p = low; p < high; p++)
            m->access[p] &= (uint8_t)~PAGE_WRITE;
    }
}

/* ---- opening ------------------------------------------------------------------------------ */

/* Bytes of an open, writable page as the store has them. */
static void fill(struct v2_window *w, uint32_t at, uint32_t page)
{
    size_t len;
    const uint8_t *from = v2_source(w->v2, page, &len);
    if (len != 0)
        memcpy(at_page(w->memory, at), from, len);
    memset(at_page(w->memory, at) + len, 0, JAVM_PAGE_SIZE - len);
}

static bool differs(const struct v2_window *w, uint32_t at, uint32_t page)
{
    static const uint8_t zeros[JAVM_PAGE_SIZE];
    size_t len;
    const uint8_t *from = v2_source(w->v2, page, &len), *is = at_page(w->memory, at);
    return (len != 0 && memcmp(is, from, len) != 0) ||
           memcmp(is + len, zeros, JAVM_PAGE_SIZE - len) != 0;
}

/* Memory that was never used shows zeros already. */
static bool needs_filling(const struct v2_window *w, uint32_t at, uint32_t page)
{
    size_t len;
    const uint8_t access = w->memory->access[at];
    if (access & HARD)
        return false;
    return (access & PAGE_STALE) != 0 || v2_source(w->v2, page, &len) != NULL;
}

/* The page and, in a sweep, some that follow it. False: the system refuses. */
static bool open_from(struct v2_window *w, uint32_t at, const struct v2_shown *shown, bool write)
{
    struct javm_memory *m = w->memory;
    const uint8_t enough = write ? PAGE_HARD_WRITE : PAGE_HARD_READ;
    uint32_t reach = 0, count = 1, fills = 0;
    bool fill_pages[GROWTH];
    if (!write || !w->v2->exact) {
        while (reach < GROWTH && reach < at && (m->access[at - reach - 1] & enough))
            reach++;
        if (reach < GRANULE && m->edges > EDGES_COARSE)
            reach = GRANULE;
    }
    while (count < reach && count < shown->count && !is_open(m, at + count))
        count++;
    for (uint32_t i = 0; i < count; i++)
        fills += fill_pages[i] = needs_filling(w, at + i, shown->page + i);
    const uint8_t hard = write ? HARD : PAGE_HARD_READ;
    if (!memory_protect(m, at, at + count, fills != 0 ? HARD : hard))
        return false;
    for (uint32_t i = 0; i < count; i++) {
        if (fill_pages[i])
            fill(w, at + i, shown->page + i);
        if (!(m->access[at + i] & PAGE_LISTED))
            m->warm[m->warm_count++] = at + i;
        m->access[at + i] |= PAGE_LISTED;
        shown_of(m)[at + i] = shown->page + i;
    }
    bits_fill(w->v2->store.resident, shown->page, shown->page + count, true);
    return fills == 0 || write || memory_protect(m, at, at + count, PAGE_HARD_READ);
}

/* Before a page is opened. */
static bool make_room(struct v2_window *w)
{
    const struct javm_memory *m = w->memory;
    bool crowded = m->edges > (memory_crowded() ? EDGES_CROWDED : EDGES_MAX);
    if (!crowded && m->warm_count > w->warm_max) {
        uint32_t open = 0;
        for (uint32_t i = 0; i < m->warm_count; i++)
            open += is_open(m, m->warm[i]);
        crowded = m->warm_count - open > KEPT_PAGES;
        w->warm_max = m->warm_count + KEPT_PAGES;
    }
    return !crowded || drop(w);
}

static bool pager_open(struct memory_pager *pager, uint32_t first, uint32_t last, bool write)
{
    struct v2_window *w = (struct v2_window *)(void *)pager;
    struct javm_memory *m = w->memory;
    const uint8_t enough = write ? PAGE_HARD_WRITE : PAGE_HARD_READ;
    bool refused = false;
    if (!make_room(w))
        return false;
    for (uint32_t at = first; at <= last; at++) {
        struct v2_shown shown;
        if (m->access[at] & enough)
            continue;
        v2_find(w->v2, w->vm, at, &shown);
        if (open_from(w, at, &shown, write))
            continue;
        if (refused)
            return false;
        refused = true; /* too many mappings: give up those of all windows, then it has to do */
        for (uint32_t i = 0; i < w->v2->window_count; i++)
            if (!drop(&w->v2->windows[i]))
                return false;
        at = first - 1; /* both again */
    }
    for (uint32_t at = first; at <= last; at++) {
        if (write && !(m->access[at] & PAGE_WRITE))
            bit_set(w->v2->store.written, shown_of(m)[at]);
        m->access[at] |= (uint8_t)(PAGE_READ | (write ? PAGE_WRITE : 0));
    }
    return true;
}

static bool pager_allows(struct memory_pager *pager, uint32_t page, bool write)
{
    const struct v2_window *w = (const struct v2_window *)(const void *)pager;
    struct v2_shown shown;
    return v2_find(w->v2, w->vm, page, &shown) && (!write || shown.writable);
}

/* ---- lending ------------------------------------------------------------------------------ */

/* Pages that were writable, and whose first write has to be seen. */
static bool only_readable(struct javm_memory *m)
{
    for (uint32_t i = 0; i < m->warm_count;) {
        const uint32_t first = m->warm[i++];
        uint32_t end = first + 1;
        if (!(m->access[first] & PAGE_HARD_WRITE))
            continue;
        while (i < m->warm_count && m->warm[i] == end && (m->access[end] & PAGE_HARD_WRITE)) {
            end++;
            i++;
        }
        if (!memory_protect(m, first, end, PAGE_HARD_READ))
            return false;
    }
    return true;
}

/* An open page gets the bytes of what is there now; closed if there is no such page. What has to be
 * written to for that stays writable where the VM may write, so that the next time it is only
 * written to: arguments are other ones in each invocation. */
static bool refill(struct v2_window *w, uint32_t vm, uint32_t at)
{
    struct javm_memory *m = w->memory;
    struct v2_shown shown;
    const bool writable = (m->access[at] & PAGE_HARD_WRITE) != 0;
    const bool stays = v2_find(w->v2, vm, at, &shown) && (!writable || shown.writable);
    m->access[at] &= HARD | PAGE_LISTED | PAGE_STALE;
    if (!stays) {
        m->access[at] |= PAGE_STALE;
        return memory_protect(m, at, at + 1, 0);
    }
    const bool unlock = !writable && differs(w, at, shown.page);
    if (unlock && !memory_protect(m, at, at + 1, HARD))
        return false;
    if (writable || unlock)
        fill(w, at, shown.page);
    if (unlock && !shown.writable && !memory_protect(m, at, at + 1, PAGE_HARD_READ))
        return false;
    bit_set(w->v2->store.resident, shown.page);
    shown_of(m)[at] = shown.page;
    w->refilled++;
    return true;
}

/* Pages that are open show something else until refill() looked at them, so that nothing of them
 * may be written back before all are. */
static bool refill_all(struct v2_window *w, uint32_t vm)
{
    struct javm_memory *m = w->memory;
    uint32_t i = 0;
    while (i < m->warm_count && (!is_open(m, m->warm[i]) || refill(w, vm, m->warm[i])))
        i++;
    if (i == m->warm_count && (!w->v2->exact || only_readable(m)))
        return true;
    for (uint32_t done = 0; done < i; done++)
        if (is_open(m, m->warm[done]))
            bit_clear(w->v2->store.resident, shown_of(m)[m->warm[done]]);
    return false;
}

/* To a VM; it is nobody's. */
static bool lend(struct v2_window *w, uint32_t vm)
{
    struct javm_memory *m = w->memory;
    const bool same = w->blob == w->v2->blob->id && w->last_vm == vm;
    const bool keep = m->warm_count <= (same ? REFILLED_SAME : REFILLED_OTHER) && w->wasteful < 8;
    w->last_vm = vm;
    w->blob = w->v2->blob->id;
    w->refilled = 0;
    m->failed = false;
    if ((!keep || !refill_all(w, vm)) && !drop(w))
        return false;
    w->vm = vm;
    w->v2->vms[vm].window = (uint8_t)(w - w->v2->windows + 1);
    return true;
}

static struct v2_window *make(struct javm_v2 *v2, struct javm_error *err)
{
    struct v2_window *w = &v2->windows[v2->window_count];
    *w = (struct v2_window){
        .pager = {pager_allows, pager_open}, .v2 = v2, .vm = V2_NOBODY, .warm_max = KEPT_PAGES};
    if (javm_memory_create(&w->memory, err) != JAVM_OK)
        return NULL;
    w->memory->pager = &w->pager;
    v2->window_count++;
    return w;
}

/* A free one that this VM had in the last invocation; else a new one, while there are few; else the
 * free one, at last any one, that was not used for longest. */
static struct v2_window *choose(struct javm_v2 *v2, uint32_t vm)
{
    struct v2_window *oldest = NULL, *made = NULL;
    for (uint32_t i = 0; i < v2->window_count; i++) {
        struct v2_window *w = &v2->windows[i];
        const bool free = w->vm == V2_NOBODY;
        if (free && w->blob == v2->blob->id && w->last_vm == vm)
            return w;
        if (oldest == NULL || (free && oldest->vm != V2_NOBODY) ||
            (free == (oldest->vm == V2_NOBODY) && w->used < oldest->used))
            oldest = w;
    }
    const bool none_free = oldest == NULL || oldest->vm != V2_NOBODY;
    if (v2->window_count < (none_free ? v2->window_max : v2->window_max / 2))
        made = make(v2, NULL);
    return made != NULL ? made : oldest;
}

struct javm_memory *v2_window(struct javm_v2 *v2, uint32_t vm)
{
    struct v2_window *w =
        v2->vms[vm].window != 0 ? &v2->windows[v2->vms[vm].window - 1] : choose(v2, vm);
    if (w == NULL) {
        v2->nomem = true;
        return NULL;
    }
    w->used = ++v2->clock;
    if (w->vm == vm)
        return w->memory;
    if (w->vm != V2_NOBODY) {
        return_all(w);
        v2->vms[w->vm].window = 0;
        w->vm = V2_NOBODY;
    }
    return lend(w, vm) ? w->memory : NULL;
}

enum javm_status v2_windows_init(struct javm_v2 *v2, struct javm_error *err)
{
    v2->window_max = V2_WINDOWS;
    return make(v2, err) != NULL ? JAVM_OK : JAVM_E_NOMEM;
}

void v2_windows_begin(struct javm_v2 *v2)
{
    for (uint32_t i = 0; i < v2->window_count; i++) {
        struct v2_window *w = &v2->windows[i];
        w->vm = V2_NOBODY;
        if (w->memory->warm_count > KEPT_PAGES)
            drop(w);
    }
}

void v2_windows_end(struct javm_v2 *v2)
{
    /* Filling a page takes about as long as 50 gas; a few are worth it in any case. */
    for (uint32_t i = 0; i < v2->window_count; i++) {
        struct v2_window *w = &v2->windows[i];
        if (w->vm != V2_NOBODY)
            w->wasteful = w->refilled > REFILLED_OTHER && v2->charged / 50 < w->refilled
                              ? w->wasteful + 1
                              : 0;
    }
}

void v2_windows_free(struct javm_v2 *v2)
{
    for (uint32_t i = 0; i < v2->window_count; i++)
        javm_memory_destroy(v2->windows[i].memory);
}
