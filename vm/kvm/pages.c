/* What ring 3 sees: page tables of each window, filled when something faults, and the physical
 * memory behind them. A window's tables show its own memory, compiled code and tables, nothing of
 * another window.
 *
 * Entries above the last level never go away but with all others, and entries of the last level
 * only when this process changes the protection of the page, which the system tells the processor's
 * own tables. So it does not matter whether KVM uses these tables or copies of them. */
#if defined(__x86_64__)
#include "vm/kvm/kvm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define PRESENT    UINT64_C(1)
#define WRITABLE   UINT64_C(2)
#define USER       UINT64_C(4)
#define USED       UINT64_C(0x60) /* accessed, dirty: nobody has to write them */
#define LARGE      UINT64_C(0x80)
#define NO_EXECUTE (UINT64_C(1) << 63)
#define ADDRESS    UINT64_C(0x000FFFFFFFFFF000)
#define LARGE_PAGE (UINT64_C(1) << 21)
#define LEAF       1u
#define ROOT_LEVEL 4u

/* ---- physical memory -------------------------------------------------------------------- */

uint64_t pages_congruent(uint64_t from, uint64_t at)
{
    return ((from + LARGE_PAGE - 1) & ~(LARGE_PAGE - 1)) + (at & (LARGE_PAGE - 1));
}

bool pages_give(const struct machine *machine, unsigned slot, const struct span *span,
                bool readonly)
{
    const struct kvm_userspace_memory_region region = {.slot = slot,
                                                       .flags = readonly ? KVM_MEM_READONLY : 0,
                                                       .guest_phys_addr = span->physical,
                                                       .memory_size = span->bytes,
                                                       .userspace_addr = span->at};
    return ioctl(machine->vm, KVM_SET_USER_MEMORY_REGION, &region) == 0;
}

/* ---- tables ----------------------------------------------------------------------------- */

static uint64_t *table_of(const struct machine *machine, uint64_t physical)
{
    return (uint64_t *)(void *)(machine->low + (physical & ADDRESS));
}

/* A table without entries, 0: there is none left. */
static uint64_t new_table(struct machine *machine)
{
    if (machine->tables == TABLE_PAGES)
        return 0;
    const uint64_t physical = (uint64_t)(KERNEL_PAGES + machine->tables++) << 12;
    memset(table_of(machine, physical), 0, 4096);
    return physical;
}

static unsigned index_of(uint64_t address, unsigned level)
{
    return (unsigned)(address >> (12 + 9 * (level - 1))) & 511;
}

/* The table of a level that has the entry for an address. NULL: not there, and not made or no room.
 */
static uint64_t *find_table(struct machine *machine, uint64_t root, uint64_t address,
                            unsigned level, bool make)
{
    uint64_t *table = table_of(machine, root);
    for (unsigned at = ROOT_LEVEL; at > level; at--) {
        uint64_t *entry = &table[index_of(address, at)];
        if (!(*entry & PRESENT)) {
            const uint64_t fresh = make ? new_table(machine) : 0;
            if (fresh == 0)
                return NULL;
            *entry = fresh | PRESENT | WRITABLE | USED | (address < KERNEL_AT ? USER : 0);
        }
        if (*entry & LARGE)
            return NULL;
        table = table_of(machine, *entry);
    }
    return table;
}

/* All tables anew: the system forgets what it made of the old ones when their memory goes. */
static void start_over(struct machine *machine)
{
    struct span low = {(uintptr_t)machine->low, 0, 0};
    const bool gone = pages_give(machine, SLOT_KERNEL, &low, false);
    low.bytes = LOW_BYTES;
    if (!gone || !pages_give(machine, SLOT_KERNEL, &low, false))
        abort();
    machine->tables = 0;
    machine->generation++;
    machine->current = NULL;
}

void pages_begin(struct window *window)
{
    struct machine *machine = window->machine;
    if (window->generation == machine->generation)
        return;
    if (machine->tables > TABLE_PAGES - 16)
        start_over(machine);
    window->generation = machine->generation;
    window->root = new_table(machine);
    uint64_t *kernel = find_table(machine, window->root, KERNEL_AT, LEAF, true);
    kernel[0] = PRESENT | USED;
    kernel[1] = 1u << 12 | PRESENT | USED | NO_EXECUTE;
    kernel[2] = 2u << 12 | PRESENT | USED | NO_EXECUTE | WRITABLE;
}

/* ---- what may be seen ------------------------------------------------------------------- */

static bool lies_in(const struct span *span, uint64_t address, uint64_t bytes)
{
    return address >= span->at && address - span->at < span->bytes &&
           span->bytes - (address - span->at) >= bytes;
}

/* Flags of the page at an address of the window's span, 0: none. */
static uint64_t shown(const struct window *window, uint64_t address)
{
    const uint64_t at = address - (uintptr_t)window->memory->base;
    const int64_t below = (int64_t)at;
    if (below >= 0) {
        const uint8_t access = window->memory->access[at >> JAVM_PAGE_SHIFT];
        return access & PAGE_HARD_WRITE  ? USER | PRESENT | WRITABLE | NO_EXECUTE
               : access & PAGE_HARD_READ ? USER | PRESENT | NO_EXECUTE
                                         : 0;
    }
    if ((below >= MEMORY_CONTEXT && below < MEMORY_CONTEXT + 4096) ||
        (below >= MEMORY_STACK_TOP - MEMORY_STACK_BYTES && below < MEMORY_STACK_TOP))
        return USER | PRESENT | WRITABLE | NO_EXECUTE;
    if (below >= MEMORY_ACCESS && below < MEMORY_ACCESS + (int64_t)MEMORY_PAGES)
        return USER | PRESENT | NO_EXECUTE; /* C relies on it */
    return 0;
}

/* The pages of a span that the last-level table of an address has. */
static bool fill_table(struct window *window, const struct span *span, uint64_t address,
                       uint64_t flags)
{
    uint64_t *table = find_table(window->machine, window->root, address, LEAF, true);
    uint64_t page = address & ~(LARGE_PAGE - 1);
    if (table == NULL)
        return false;
    for (unsigned i = 0; i < 512; i++, page += 4096) {
        if (!lies_in(span, page, 4096))
            continue;
        const uint64_t as = flags != 0 ? flags : shown(window, page);
        if (as != 0)
            table[i] = (span->physical + (page - span->at)) | as | USED;
    }
    return true;
}

/* Memory that is alike everywhere: by large pages where the whole page belongs to the span. */
static bool fill_alike(struct window *window, const struct span *span, uint64_t address,
                       uint64_t flags)
{
    const uint64_t page = address & ~(LARGE_PAGE - 1);
    if (!lies_in(span, page, LARGE_PAGE))
        return fill_table(window, span, address, flags);
    uint64_t *table = find_table(window->machine, window->root, address, LEAF + 1, true);
    if (table == NULL)
        return false;
    table[index_of(address, LEAF + 1)] =
        (span->physical + (page - span->at)) | flags | USED | LARGE;
    return true;
}

static bool try_fill(struct window *window, uint64_t address)
{
    const struct machine *machine = window->machine;
    if (lies_in(&window->span, address, 1))
        return fill_table(window, &window->span, address, 0);
    if (lies_in(&machine->code, address, 1))
        return fill_alike(window, &machine->code, address, USER | PRESENT);
    return fill_alike(window, &machine->pool, address, USER | PRESENT | NO_EXECUTE);
}

bool pages_fill(struct window *window, uint64_t address, bool write, bool fetch)
{
    const struct machine *machine = window->machine;
    uint64_t flags = 0;
    if (lies_in(&window->span, address, 1))
        flags = shown(window, address);
    else if (lies_in(&machine->code, address, 1))
        flags = PRESENT;
    else if (address - machine->pool.at < machine->pool_open)
        flags = PRESENT | NO_EXECUTE;
    if (flags == 0 || (write && !(flags & WRITABLE)) || (fetch && (flags & NO_EXECUTE)))
        return false;
    pages_begin(window);
    if (try_fill(window, address))
        return true;
    start_over(window->machine);
    pages_begin(window);
    return try_fill(window, address);
}

/* ---- what is not shown any more --------------------------------------------------------- */

void window_forget(struct memory_mirror *mirror, uint32_t first, uint32_t end)
{
    struct window *window = (struct window *)(void *)mirror;
    struct machine *machine = window->machine;
    if (window->generation != machine->generation)
        return;
    const uint64_t base = (uintptr_t)window->memory->base;
    uint64_t page = base + ((uint64_t)first << JAVM_PAGE_SHIFT);
    const uint64_t stop = base + ((uint64_t)end << JAVM_PAGE_SHIFT);
    while (page < stop) {
        const uint64_t behind = (page | (LARGE_PAGE - 1)) + 1;
        uint64_t *table = find_table(machine, window->root, page, LEAF, false);
        for (; table != NULL && page < stop && page < behind; page += 4096)
            table[index_of(page, LEAF)] = 0;
        page = behind;
    }
    machine->current = NULL; /* so that the processor forgets them, too */
}
#endif
