/* Memory layouts: regions that touch each other and regions that do not, with different
 * permissions, at places where address arithmetic may go wrong. */
#include <string.h>

#include "tests/vm/lockstep.h"

#define CODE_PAGE  (JAVM_CODE_BASE >> JAVM_PAGE_SHIFT)
#define PAGES      (1u << 20)
#define BIG_PAGE   0x20000u
#define POOL_PAGES 32u
#define CAPS       8u

/* What regions show. Made once and never freed: layouts borrow it. */
static uint8_t pool[POOL_PAGES * JAVM_PAGE_SIZE];
static struct javm_cap *caps[CAPS]; /* one page, one page, two pages, two pages, ... */
static _Atomic uint64_t next_number = 1;

static void fill_pool(void)
{
    struct random random = {.state = 7};
    if (caps[0] != NULL)
        return;
    random_bytes(&random, pool, sizeof pool);
    for (unsigned i = 0; i < POOL_PAGES; i += 5) /* zeros compare equal to what was never there */
        memset(pool + i * JAVM_PAGE_SIZE, 0, JAVM_PAGE_SIZE);
    for (unsigned i = 0; i < CAPS; i++) {
        caps[i] = javm_data_new(pool + (i * 3 + 1) * JAVM_PAGE_SIZE, (i / 2 + 1) * JAVM_PAGE_SIZE);
        REQUIRE(caps[i] != NULL);
    }
}

static const struct javm_cap *any_cap(uint32_t pages, struct random *random)
{
    const struct javm_cap *cap = caps[random_below(random, CAPS)];
    return javm_data_pages(cap) <= pages ? cap : caps[0];
}

static void set_content(struct javm_region *region, struct random *random)
{
    const uint64_t size = (uint64_t)region->pages << JAVM_PAGE_SHIFT;
    region->kind = JAVM_REGION_ZERO;
    region->data = NULL;
    region->bytes = NULL;
    region->len = 0;
    if (chance(random, 40))
        return;
    if (chance(random, 40)) {
        region->kind = JAVM_REGION_DATA;
        region->data = any_cap(region->pages, random);
        return;
    }
    region->kind = JAVM_REGION_BYTES;
    region->len = chance(random, 30) ? size : random_below(random, size + 1);
    if (region->len > sizeof pool / 2)
        region->len = sizeof pool / 2;
    region->bytes = pool + random_below(random, sizeof pool - region->len + 1);
}

static void set_scratch(struct lock_layout *layout, struct random *random)
{
    struct javm_region *region = &layout->regions[layout->scratch];
    layout->scratch_data = chance(random, 30) ? NULL : any_cap(region->pages, random);
    *region = (struct javm_region){.first_page = region->first_page,
                                   .pages = region->pages,
                                   .kind = layout->scratch_data != NULL ? JAVM_REGION_DATA
                                                                        : JAVM_REGION_ZERO,
                                   .writable = region->writable,
                                   .data = layout->scratch_data};
}

static uint32_t first_data(const struct lock_layout *layout)
{
    return layout->count != 0 && layout->regions[0].first_page == CODE_PAGE;
}

void lock_layout_number(struct lock_layout *layout)
{
    layout->space = next_number++;
    layout->id = next_number++;
}

void lock_layout_rescratch(struct lock_layout *layout, struct random *random)
{
    fill_pool();
    if (layout->scratch != 0)
        set_scratch(layout, random);
}

void lock_layout_refill(struct lock_layout *layout, struct random *random)
{
    fill_pool();
    layout->id = next_number++;
    for (uint32_t i = first_data(layout); i < layout->count; i++)
        if ((i != layout->scratch || i == 0) && (layout->regions[i].writable || !layout->constant))
            set_content(&layout->regions[i], random);
    lock_layout_rescratch(layout, random);
}

/* Where the next region starts; at least `from`. */
static uint32_t place(uint32_t from, bool first, struct random *random)
{
    static const uint32_t bases[] = {0x10000, 0x10000, 0x10000, 0x12345, 0x7FFFE,
                                     0x80000, 0xFFFF0, 0xFFFFA, 0xFFFFD};
    if (first && from != 0 && chance(random, 5))
        return from; /* right behind the code */
    if (!first && chance(random, 65))
        return from +
               (uint32_t)random_below(random, 3) / 2 * (1 + (uint32_t)random_u64(random) % 3);
    const uint32_t base = chance(random, 10)
                              ? 0x10000 + (uint32_t)random_below(random, PAGES - 0x10000 - 4)
                              : bases[random_below(random, sizeof bases / sizeof *bases)];
    return base > from ? base : from;
}

void lock_layout_make(struct lock_layout *layout, struct random *random)
{
    const uint32_t code = layout->count;
    uint32_t at = code != 0 ? CODE_PAGE + layout->regions[0].pages : 0;
    const uint32_t wanted = code + 1 + (uint32_t)random_below(random, 5);
    while (layout->count < wanted) {
        const bool first = layout->count == code;
        const uint32_t page = place(at, first, random);
        uint32_t pages = 1 + (uint32_t)random_below(random, 2);
        if (first)
            pages = chance(random, 5) ? 20 : 2 + (uint32_t)random_below(random, 2);
        if (page >= PAGES || page + pages > PAGES) {
            if (!first)
                break;
            continue;
        }
        layout->regions[layout->count++] = (struct javm_region){
            .first_page = page, .pages = pages, .writable = first || chance(random, 60)};
        at = page + pages;
    }
    if (random_below(random, 2000) == 0 &&
        at < BIG_PAGE) /* more pages than are opened one by one */
        layout->regions[layout->count++] =
            (struct javm_region){.first_page = BIG_PAGE,
                                 .pages = LOCK_BIG + (uint32_t)random_below(random, 4 * LOCK_BIG),
                                 .writable = chance(random, 80)};
    layout->space = next_number++;
    layout->scratch = 0;
    if (code != 0 && chance(random, 40))
        layout->scratch = 1 + (uint32_t)random_below(random, layout->count - 1);
    layout->constant = false;
    lock_layout_refill(layout, random);
    layout->constant = chance(random, 50);
}

/* `pages` pages from page `skip` of the region on. */
static struct javm_region part(const struct javm_region *from, uint32_t skip, uint32_t pages)
{
    struct javm_region region = *from;
    const uint64_t at = (uint64_t)skip << JAVM_PAGE_SHIFT;
    region.first_page += skip;
    region.pages = pages;
    if (region.kind == JAVM_REGION_BYTES && at < region.len) {
        region.bytes += at;
        region.len -= at;
        if (region.len > (uint64_t)pages << JAVM_PAGE_SHIFT)
            region.len = (uint64_t)pages << JAVM_PAGE_SHIFT;
        return region;
    }
    if (region.kind == JAVM_REGION_DATA && skip == 0 && javm_data_pages(region.data) <= pages)
        return region;
    /* A Data has no part; other contents do as well. */
    region.kind = JAVM_REGION_ZERO;
    region.data = NULL;
    region.bytes = NULL;
    region.len = 0;
    return region;
}

bool lock_layout_without(const struct lock_layout *from, uint32_t which, bool read_only,
                         struct lock_layout *to)
{
    memset(to, 0, sizeof *to);
    to->space = next_number++;
    to->id = next_number++;
    bool found = false;
    for (uint32_t i = 0; i < from->count; i++) {
        const struct javm_region *r = &from->regions[i];
        if (to->count + 3 > LOCK_REGIONS)
            return false;
        if (i < first_data(from) || found || which >= r->pages) {
            if (i >= first_data(from) && !found)
                which -= r->pages;
            to->regions[to->count++] = *r;
            continue;
        }
        found = true;
        if (which != 0)
            to->regions[to->count++] = part(r, 0, which);
        if (read_only) {
            to->regions[to->count] = part(r, which, 1);
            to->regions[to->count++].writable = false;
        }
        if (which + 1 < r->pages)
            to->regions[to->count++] = part(r, which + 1, r->pages - which - 1);
    }
    return found;
}

uint32_t lock_calm(const struct lock_layout *layout, struct random *random)
{
    const struct javm_region *r = &layout->regions[first_data(layout)];
    if (first_data(layout) == layout->count || r->pages == 0)
        return lock_edge(layout, random);
    const uint64_t room = ((uint64_t)r->pages - 1) << JAVM_PAGE_SHIFT;
    uint64_t at =
        chance(random, 50) ? random_below(random, 16) * 8 : random_below(random, room + 1);
    if (at > room)
        at = room;
    return (uint32_t)(((uint64_t)r->first_page << JAVM_PAGE_SHIFT) + 2048 + at);
}

uint32_t lock_edge(const struct lock_layout *layout, struct random *random)
{
    static const uint32_t fixed[] = {0, 0, JAVM_CODE_BASE, JAVM_DATA_BASE, 0x80000000};
    uint32_t at = fixed[random_below(random, sizeof fixed / sizeof *fixed)];
    if (layout->count != 0 && chance(random, 85)) {
        const struct javm_region *r = &layout->regions[random_below(random, layout->count)];
        at = (uint32_t)(r->first_page + random_below(random, r->pages + 1u)) << JAVM_PAGE_SHIFT;
        if (r->kind == JAVM_REGION_BYTES && chance(random, 20)) /* where its bytes end */
            at = (r->first_page << JAVM_PAGE_SHIFT) + (uint32_t)r->len;
    }
    return at + (uint32_t)random_below(random, 20) - 10u;
}

uint64_t lock_value(struct random *random)
{
    static const uint64_t corners[] = {0,
                                       1,
                                       2,
                                       3,
                                       31,
                                       32,
                                       63,
                                       64,
                                       0x7F,
                                       0x80,
                                       0xFF,
                                       0x7FFF,
                                       0x8000,
                                       0xFFFF,
                                       0x7FFFFFFF,
                                       0x80000000,
                                       0x80000001,
                                       0xFFFFFFFF,
                                       0x100000000,
                                       0x7FFFFFFFFFFFFFFF,
                                       0x8000000000000000,
                                       0x8000000000000001,
                                       0xFFFFFFFF00000000,
                                       0xFFFFFFFF7FFFFFFF,
                                       0xFFFFFFFF80000000,
                                       0xFFFFFFFFFFFFFFFE,
                                       0xFFFFFFFFFFFFFFFF,
                                       0x0123456789ABCDEF,
                                       0x5555555555555555,
                                       0xAAAAAAAAAAAAAAAA,
                                       0x00FF00FF00FF00FF,
                                       0x8000000080000000};
    const uint64_t word = random_u64(random);
    const uint64_t corner = corners[word >> 8 & 31];
    switch (word & 15) {
    case 0:
    case 1:
        return corner + (word >> 16 & 7) - 3;
    case 2:
        return UINT64_C(1) << (word >> 16 & 63);
    case 3:
        return (UINT64_C(1) << (word >> 16 & 63)) - 1;
    case 4:
        return random_u64(random);
    case 5:
        return (uint32_t)random_u64(random);
    case 6:
        return (uint64_t)(int64_t)(int32_t)random_u64(random);
    case 7:
        return word >> 16 & 63;
    default:
        return corner;
    }
}
