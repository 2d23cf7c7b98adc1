/* Guest memory: kinds of page, first touch, permissions, reset.
 *
 * Would catch: a page that keeps bytes of an earlier layout or run; a write that reaches the Data
 * cap it came from, or another memory that maps the same Data; a refused access that has written a
 * part; a page reported as dirty that is as it was, or a changed one that is not; an access beyond
 * 4 GiB that wraps or lands in the guard; setting up or leaving a layout that touches all of it. */
#include <criterion/criterion.h>

#include "tests/vm/support.h"
#include "vm/memory.h"

#define PAGE       JAVM_PAGE_SIZE
#define FIRST      (RW_BASE >> JAVM_PAGE_SHIFT)
#define LAST_PAGE  0xFFFFFu
#define LAST_START 0xFFFFF000u

static struct javm_memory *memory_of(const struct javm_region *regions, size_t count)
{
    struct javm_memory *memory;
    cr_assert_eq(javm_memory_create(&memory, NULL), JAVM_OK);
    cr_assert_eq(javm_memory_attach(memory, regions, count), JAVM_OK);
    return memory;
}

static uint64_t read_u64(struct javm_memory *memory, uint32_t address)
{
    uint64_t value;
    cr_assert(javm_memory_read(memory, address, &value, sizeof value), "at %x", address);
    return value;
}

static void write_u64(struct javm_memory *memory, uint32_t address, uint64_t value)
{
    cr_assert(javm_memory_write(memory, address, &value, sizeof value), "at %x", address);
}

static size_t dirty_count(struct javm_memory *memory)
{
    const uint32_t *pages;
    return javm_memory_dirty(memory, &pages);
}

static struct javm_region zeros(uint32_t first, uint32_t pages, bool writable)
{
    return (struct javm_region){
        .first_page = first, .pages = pages, .kind = JAVM_REGION_ZERO, .writable = writable};
}

static struct javm_region data_region(uint32_t first, uint32_t pages, const struct javm_cap *data)
{
    return (struct javm_region){.first_page = first,
                                .pages = pages,
                                .kind = JAVM_REGION_DATA,
                                .writable = true,
                                .data = data};
}

Test(memory, kinds_of_region)
{
    struct javm_cap *data = numbered_data(70, 2);
    uint8_t *bytes = malloc(PAGE + 3);
    cr_assert_not_null(bytes);
    memset(bytes, 0xAB, PAGE + 3);
    const struct javm_region regions[] = {zeros(FIRST, 1, true),
                                          data_region(FIRST + 2, 4, data),
                                          {.first_page = FIRST + 6,
                                           .pages = 3,
                                           .kind = JAVM_REGION_BYTES,
                                           .bytes = bytes,
                                           .len = PAGE + 3}};
    struct javm_memory *m = memory_of(regions, 3);
    cr_expect_eq(read_u64(m, RW_BASE + PAGE - 8), 0);
    cr_expect_eq(read_u64(m, RW_BASE + 2 * PAGE), 70);
    cr_expect_eq(read_u64(m, RW_BASE + 3 * PAGE), 71);
    cr_expect_eq(read_u64(m, RW_BASE + 4 * PAGE), 0); /* behind the end of the Data */
    cr_expect_eq(read_u64(m, RW_BASE + 6 * PAGE - 8), 0);
    cr_expect_eq(read_u64(m, RW_BASE + 6 * PAGE), 0xABABABABABABABAB);
    cr_expect_eq(read_u64(m, RW_BASE + 7 * PAGE), 0xABABAB); /* zero behind the end of the bytes */
    cr_expect_eq(read_u64(m, RW_BASE + 8 * PAGE), 0);
    uint64_t value;
    cr_expect_not(javm_memory_read(m, RW_BASE + PAGE, &value, 8)); /* the hole */
    cr_expect_not(javm_memory_read(m, RW_BASE - 8, &value, 8));
    cr_expect_not(javm_memory_read(m, RW_BASE + 9 * PAGE, &value, 8));
    cr_expect_not(javm_memory_write(m, RW_BASE + 6 * PAGE, &value, 8)); /* read-only */
    cr_expect_eq(dirty_count(m), 0);
    javm_memory_destroy(m);
    free(bytes);
    javm_cap_release(data);
    REQUIRE_NO_LEAKS();
}

Test(memory, touched_and_dirty)
{
    const struct javm_region region = zeros(FIRST, 8, true);
    struct javm_memory *m = memory_of(&region, 1);
    const uint32_t *pages;
    cr_expect_null(javm_memory_page(m, FIRST));
    read_u64(m, RW_BASE + 8);
    cr_expect_not_null(javm_memory_page(m, FIRST));
    cr_expect_null(javm_memory_page(m, FIRST + 1));
    cr_expect_eq(javm_memory_dirty(m, &pages), 0);
    write_u64(m, RW_BASE + 3 * PAGE - 4, UINT64_C(5) << 32 | 5); /* two pages at once */
    cr_assert_eq(javm_memory_dirty(m, &pages), 2);
    cr_expect_eq(pages[0], FIRST + 2);
    cr_expect_eq(pages[1], FIRST + 3);
    write_u64(m, RW_BASE + 3 * PAGE - 4, 6); /* zeros again in the second one */
    cr_assert_eq(javm_memory_dirty(m, &pages), 1);
    cr_expect_eq(pages[0], FIRST + 2);
    write_u64(m, RW_BASE + 8, 7);                  /* was read before */
    cr_assert_eq(javm_memory_dirty(m, &pages), 2); /* ascending, whatever came first */
    cr_expect_eq(pages[0], FIRST);
    cr_expect_eq(pages[1], FIRST + 2);
    cr_expect_eq(javm_memory_page(m, FIRST)[8], 7);
    cr_expect_null(javm_memory_page(m, 0));
    cr_expect_null(javm_memory_page(m, UINT32_MAX));
    javm_memory_destroy(m);
}

/* Dirty is what differs from the source, not what was written. */
Test(memory, dirty_by_content)
{
    struct javm_cap *data = numbered_data(70, 2);
    const uint8_t bytes[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    const struct javm_region regions[] = {data_region(FIRST, 3, data),
                                          {.first_page = FIRST + 3,
                                           .pages = 2,
                                           .kind = JAVM_REGION_BYTES,
                                           .writable = true,
                                           .bytes = bytes,
                                           .len = sizeof bytes}};
    struct javm_memory *m = memory_of(regions, 2);
    const uint32_t *pages;
    write_u64(m, RW_BASE, 70);
    write_u64(m, RW_BASE + PAGE, 70);    /* not what was there */
    write_u64(m, RW_BASE + 2 * PAGE, 0); /* behind the end of the Data */
    cr_assert(javm_memory_write(m, RW_BASE + 3 * PAGE, bytes, sizeof bytes));
    write_u64(m, RW_BASE + 4 * PAGE, 0);
    cr_assert_eq(javm_memory_dirty(m, &pages), 1);
    cr_expect_eq(pages[0], FIRST + 1);
    write_u64(m, RW_BASE + 3 * PAGE - 8, 1);
    write_u64(m, RW_BASE + 4 * PAGE - 8, 1); /* behind the end of the bytes */
    cr_assert_eq(javm_memory_dirty(m, &pages), 3);
    cr_expect_eq(pages[1], FIRST + 2);
    cr_expect_eq(pages[2], FIRST + 3);
    for (unsigned r = 0; r < 2; r++) { /* of one region, by its few pages and by a long list */
        cr_assert_eq(memory_dirty_within(m, &regions[r], &pages), 2 - r);
        cr_expect_eq(pages[0], FIRST + 1 + 2 * r);
    }
    write_u64(m, RW_BASE + PAGE, 71);
    cr_expect_eq(dirty_count(m), 2);
    javm_memory_destroy(m);
    javm_cap_release(data);
}

Test(memory, data_caps_stay_as_they_were)
{
    struct javm_cap *data = numbered_data(100, 3), *same = numbered_data(100, 3);
    struct javm_hash before, after;
    const struct javm_region region = data_region(FIRST, 3, data);
    struct javm_memory *a = memory_of(&region, 1), *b = memory_of(&region, 1);
    for (uint32_t i = 0; i < 3; i++)
        write_u64(a, RW_BASE + i * PAGE, 900 + i);
    for (uint32_t i = 0; i < 3; i++) {
        cr_expect_eq(read_u64(a, RW_BASE + i * PAGE), 900 + i);
        cr_expect_eq(read_u64(b, RW_BASE + i * PAGE), 100 + i);
        cr_expect_eq(data_u64(data, i * PAGE), 100 + i);
    }
    cr_assert_eq(javm_cap_hash(same, &before), JAVM_OK);
    cr_assert_eq(javm_cap_hash(data, &after), JAVM_OK); /* computed only now */
    cr_expect(javm_hash_equal(&before, &after));
    javm_memory_reset(a);
    cr_expect_eq(read_u64(a, RW_BASE), 100);
    javm_memory_destroy(a);
    javm_memory_destroy(b);
    javm_cap_release(data);
    javm_cap_release(same);
    REQUIRE_NO_LEAKS();
}

/* Fill `pages` pages with ones, reset, and look at every byte. */
static void fill_and_reset(uint32_t pages)
{
    const struct javm_region region = zeros(FIRST, pages, true);
    struct javm_memory *m = memory_of(&region, 1);
    uint8_t ones[PAGE], page[PAGE];
    memset(ones, 0xFF, sizeof ones);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < pages; i++)
            cr_assert(javm_memory_write(m, RW_BASE + i * PAGE, ones, PAGE));
        cr_assert_eq(dirty_count(m), pages);
        javm_memory_reset(m);
        cr_assert_eq(dirty_count(m), 0);
        cr_assert(javm_memory_page(m, FIRST) == NULL || javm_memory_page(m, FIRST)[0] == 0);
        for (uint32_t i = 0; i < pages; i++) {
            cr_assert(javm_memory_read(m, RW_BASE + i * PAGE, page, PAGE));
            for (size_t at = 0; at < PAGE; at++)
                cr_assert_eq(page[at], 0, "page %u, byte %zu, round %d", i, at, round);
        }
        cr_assert_eq(dirty_count(m), 0);
    }
    javm_memory_destroy(m);
}

Test(memory, reset_clears_a_few_pages)
{
    fill_and_reset(5);
}

/* Above 64 MiB the memory goes back to the system, another way. */
Test(memory, reset_clears_very_many_pages)
{
    fill_and_reset(16384 + 40);
}

/* A heap that cannot grow because the host has no memory may be the first thing that happens. */
Test(memory, out_of_memory_before_the_first_page_does_not_last)
{
    static const struct javm_region region = {.first_page = 16, .pages = 1, .writable = true};
    struct javm_memory *m;
    REQUIRE(javm_memory_create(&m, NULL) == JAVM_OK);
    REQUIRE(javm_memory_attach(m, &region, 1) == JAVM_OK);
    m->failed = true; /* as memory_grow does */
    cr_expect_eq(javm_memory_attach(m, &region, 1), JAVM_OK);
    cr_expect_not(m->failed);
    javm_memory_destroy(m);
}

Test(memory, nothing_of_an_earlier_layout_shows)
{
    uint8_t bytes[100], page[PAGE];
    struct javm_cap *data = numbered_data(55, 1);
    memset(bytes, 0x11, sizeof bytes);
    const struct javm_region layouts[] = {
        zeros(FIRST, 2, true),
        data_region(FIRST, 2, data),
        {.first_page = FIRST,
         .pages = 2,
         .kind = JAVM_REGION_BYTES,
         .writable = true,
         .bytes = bytes,
         .len = sizeof bytes},
    };
    struct javm_memory *m = memory_of(NULL, 0);
    for (unsigned round = 0; round < 12; round++) {
        const struct javm_region *layout = &layouts[round * 2 % 3];
        cr_assert_eq(javm_memory_attach(m, layout, 1), JAVM_OK);
        for (uint32_t p = 0; p < 2; p++) {
            cr_assert(javm_memory_read(m, RW_BASE + p * PAGE, page, PAGE));
            for (size_t at = 0; at < PAGE; at++) {
                uint8_t want = 0;
                if (p == 0 && layout->kind == JAVM_REGION_DATA)
                    want = at == 0 ? 55 : 0;
                else if (p == 0 && layout->kind == JAVM_REGION_BYTES)
                    want = at < sizeof bytes ? 0x11 : 0;
                cr_assert_eq(page[at], want, "round %u, byte %zu", round, at);
            }
        }
        memset(page, 0xEE, sizeof page);
        cr_assert(javm_memory_write(m, RW_BASE, page, PAGE));
        cr_assert(javm_memory_write(m, RW_BASE + PAGE, page, PAGE));
    }
    cr_assert_eq(javm_memory_attach(m, NULL, 0), JAVM_OK);
    cr_expect_not(javm_memory_read(m, RW_BASE, page, 1));
    cr_expect_null(javm_memory_page(m, FIRST));
    javm_memory_destroy(m);
    javm_cap_release(data);
}

Test(memory, the_layout_is_copied)
{
    struct javm_region region = zeros(FIRST, 1, true);
    struct javm_memory *m = memory_of(&region, 1);
    region.first_page = 0;
    region.writable = false;
    write_u64(m, RW_BASE, 1);
    javm_memory_reset(m);
    cr_expect_eq(read_u64(m, RW_BASE), 0);
    javm_memory_destroy(m);
}

Test(memory, host_access_is_all_or_nothing)
{
    const struct javm_region regions[] = {zeros(FIRST, 2, true), zeros(FIRST + 2, 1, false)};
    struct javm_memory *m = memory_of(regions, 2);
    uint8_t bytes[3 * PAGE], back[PAGE];
    memset(bytes, 0x77, sizeof bytes);
    cr_expect_not(javm_memory_write(m, RW_BASE, bytes, 2 * PAGE + 1)); /* the last is read-only */
    cr_expect_not(javm_memory_write(m, RW_BASE + 2 * PAGE - 4, bytes, 8));
    cr_expect_eq(dirty_count(m), 0);
    cr_assert(javm_memory_read(m, RW_BASE, back, PAGE));
    for (size_t i = 0; i < PAGE; i++)
        cr_assert_eq(back[i], 0);
    cr_expect(javm_memory_write(m, RW_BASE, bytes, 2 * PAGE));
    cr_expect(javm_memory_read(m, RW_BASE, bytes, 3 * PAGE));
    cr_expect_eq(bytes[2 * PAGE - 1], 0x77);
    cr_expect_eq(bytes[2 * PAGE], 0);
    memset(back, 0x5A, sizeof back);
    cr_expect_not(javm_memory_read(m, RW_BASE + 3 * PAGE - 8, back, 9)); /* the last is unmapped */
    cr_expect_eq(back[0], 0x5A);
    javm_memory_destroy(m);
}

Test(memory, the_end_of_the_space)
{
    const struct javm_region region = zeros(LAST_PAGE, 1, true);
    struct javm_memory *m = memory_of(&region, 1);
    uint8_t bytes[16] = {0};
    cr_expect(javm_memory_write(m, 0xFFFFFFFC, bytes, 4));
    cr_expect(javm_memory_write(m, LAST_START, bytes, 16));
    cr_expect_not(javm_memory_write(m, 0xFFFFFFFC, bytes, 5));
    cr_expect_not(javm_memory_read(m, 0xFFFFFFFF, bytes, 2));
    cr_expect_not(javm_memory_read(m, LAST_START, bytes, SIZE_MAX));
    cr_expect_not(javm_memory_read(m, 0, bytes, 1));
    javm_memory_destroy(m);
}

/* ---- the guest's side ------------------------------------------------------------------- */

static enum javm_exit access_at(struct machine *m, uint64_t address)
{
    m->exec.pc = 0;
    m->exec.gas = 1000;
    m->exec.regs[slot_of(10)] = address;
    m->exec.regs[slot_of(11)] = 0x0102030405060708;
    m->exec.regs[slot_of(12)] = 0x5555;
    javm_exec_run(&m->exec, 0);
    return m->exec.exit;
}

/* Even where page 0 is mapped, the space does not go round. */
Test(memory, touching_past_the_end)
{
    const struct javm_region regions[] = {zeros(0, 1, true), zeros(LAST_PAGE, 1, true)};
    struct javm_memory *m = memory_of(regions, 2);
    uint32_t fresh = 0;
    for (uint32_t width = 2; width <= 8; width++)
        cr_expect_not(memory_touch(m, UINT32_MAX - width + 2, width, false, &fresh));
    cr_expect_null(javm_memory_page(m, LAST_PAGE));
    cr_expect_null(javm_memory_page(m, 0));
    cr_expect(memory_touch(m, UINT32_MAX - 7, 8, true, &fresh));
    cr_expect_eq(fresh, 1);
    cr_expect(memory_touch(m, 0, 8, true, &fresh));
    javm_memory_destroy(m);
}

Test(memory, guest_straddles)
{
    const uint32_t store[] = {SD(11, 0, 10), REPLY};
    const struct javm_region regions[] = {zeros(FIRST, 2, true), zeros(FIRST + 2, 1, false)};
    struct machine m;
    machine_open(&m, store, sizeof store, regions, 2);
    cr_expect_eq(access_at(&m, RW_BASE + PAGE - 3), JAVM_EXIT_HOST_CALL);
    cr_expect_eq(read_u64(m.memory, RW_BASE + PAGE - 3), 0x0102030405060708);
    cr_expect_eq(dirty_count(m.memory), 2);
    javm_memory_reset(m.memory);
    for (unsigned in = 1; in < 8; in++) { /* so many bytes in the writable page */
        cr_expect_eq(access_at(&m, RW_BASE + 2 * PAGE - in), JAVM_EXIT_PAGE_FAULT);
        cr_expect_eq(m.exec.exit_arg, RW_BASE + PAGE);
        cr_expect_eq(m.exec.fault_addr, RW_BASE + 2 * PAGE - in);
        cr_expect(m.exec.fault_write);
        cr_expect_eq(m.exec.pc, 0);
        cr_expect_eq(read_u64(m.memory, RW_BASE + 2 * PAGE - 8), 0);
        cr_expect_eq(access_at(&m, RW_BASE - in), JAVM_EXIT_PAGE_FAULT); /* begins unmapped */
        cr_expect_eq(m.exec.exit_arg, RW_BASE - PAGE);
        cr_expect_eq(read_u64(m.memory, RW_BASE), 0);
    }
    cr_expect_eq(dirty_count(m.memory), 0);
    /* The writable page of a refused straddle can still be written. */
    cr_expect_eq(access_at(&m, RW_BASE + 2 * PAGE - 8), JAVM_EXIT_HOST_CALL);
    cr_expect_eq(dirty_count(m.memory), 1);
    machine_close(&m);
}

Test(memory, guest_permissions)
{
    const uint32_t store[] = {SD(11, 0, 10), REPLY}, load[] = {LD(12, 0, 10), REPLY};
    const struct javm_region regions[] = {zeros(FIRST, 1, true), zeros(FIRST + 1, 1, false)};
    struct machine w, r;
    machine_open(&w, store, sizeof store, regions, 2);
    machine_open(&r, load, sizeof load, regions, 2);
    static const struct {
        uint64_t address;
        bool load, store;
    } rows[] = {{RW_BASE, true, true},
                {RW_BASE + PAGE, true, false},
                {RW_BASE + PAGE - 4, true, false},
                {RW_BASE + 2 * PAGE, false, false},
                {RW_BASE + 2 * PAGE - 4, false, false},
                {RW_BASE - 1, false, false},
                {JAVM_CODE_BASE, true, false},
                {JAVM_CODE_BASE + PAGE - 8, true, false},
                {JAVM_CODE_BASE + PAGE - 7, false, false},
                {JAVM_CODE_BASE - 8, false, false},
                {0, false, false},
                {UINT64_MAX, false, false},
                {(UINT64_C(1) << 32) + RW_BASE, true, true},
                {(UINT64_C(0xDEADBEEF) << 32) + RW_BASE + PAGE, true, false}};
    for (size_t i = 0; i < CODE(rows); i++)
        for (int touched = 0; touched < 2; touched++) { /* the first time, and when it is known */
            cr_expect_eq(access_at(&r, rows[i].address),
                         rows[i].load ? JAVM_EXIT_HOST_CALL : JAVM_EXIT_PAGE_FAULT, "load %llx",
                         (unsigned long long)rows[i].address);
            if (!rows[i].load) {
                cr_expect_eq(machine_x(&r, 12), 0x5555);
                cr_expect_eq(r.exec.exit_arg, (int64_t)(rows[i].address & 0xFFFFF000));
                cr_expect_not(r.exec.fault_write);
            }
            cr_expect_eq(access_at(&w, rows[i].address),
                         rows[i].store ? JAVM_EXIT_HOST_CALL : JAVM_EXIT_PAGE_FAULT, "store %llx",
                         (unsigned long long)rows[i].address);
        }
    machine_close(&w);
    machine_close(&r);
}

Test(memory, guest_at_the_end_of_the_space)
{
    const uint32_t store[] = {SD(11, 0, 10), REPLY};
    const struct javm_region regions[] = {zeros(LAST_PAGE, 1, true)};
    struct machine m;
    machine_open(&m, store, sizeof store, regions, 1);
    cr_expect_eq(access_at(&m, 0xFFFFFFF8), JAVM_EXIT_HOST_CALL);
    for (uint64_t address = 0xFFFFFFF9; address <= 0xFFFFFFFF; address++) {
        cr_expect_eq(access_at(&m, address), JAVM_EXIT_PAGE_FAULT, "at %llx",
                     (unsigned long long)address);
        cr_expect_eq(m.exec.exit_arg, 0xFFFFF000);
        cr_expect_eq(m.exec.fault_addr, address);
        cr_expect_eq(read_u64(m.memory, 0xFFFFFFF8), 0x0102030405060708);
    }
    cr_expect_eq(access_at(&m, UINT64_MAX), JAVM_EXIT_PAGE_FAULT);
    cr_expect_eq(m.exec.fault_addr, 0xFFFFFFFF);
    machine_close(&m);
}

/* Pages of this process that are in memory. */
static long resident_pages(void)
{
    long total = 0, resident = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%ld %ld", &total, &resident), 2);
    fclose(file);
    return resident;
}

Test(memory, a_layout_costs_what_is_touched)
{
    const struct javm_region all = zeros(FIRST, LAST_PAGE + 1 - FIRST, true);
    struct javm_memory *m = memory_of(&all, 1);
    const long before = resident_pages();
    for (uint32_t round = 0; round < 2000; round++) {
        for (uint32_t i = 0; i < 3; i++)
            write_u64(m, RW_BASE + (i << 28), round + 1);
        cr_assert_eq(dirty_count(m), 3);
        javm_memory_reset(m);
        cr_assert_eq(javm_memory_attach(m, &all, 1), JAVM_OK);
    }
    cr_expect_lt(resident_pages() - before, 4096, "%ld pages more", resident_pages() - before);
    javm_memory_destroy(m);
}
