/* Guest memory at the limits of the process, and what is kept of a run for the next one.
 *
 * Would catch: a guest with scattered accesses that uses up the process's mappings, or comes to a
 * page fault or a crash where there are hardly any left; a Vm that reports a guest's fault when the
 * system refused, or does not go on afterwards; one big run that slows down or pins memory for all
 * later ones. */
#include <criterion/criterion.h>

#include <sys/resource.h>

#include "tests/vm/warm.h"

/* ---- helpers ---------------------------------------------------------------------------- */

static long statistic(const char *path, bool lines)
{
    FILE *file = fopen(path, "r");
    REQUIRE(file != NULL);
    long total = 0, resident = 0;
    if (lines)
        for (int c; (c = fgetc(file)) != EOF;)
            total += c == '\n';
    else
        REQUIRE(fscanf(file, "%ld %ld", &total, &resident) == 2);
    fclose(file);
    return lines ? total : resident;
}

static long mappings(void)
{
    return statistic("/proc/self/maps", true);
}

static long resident_pages(void)
{
    return statistic("/proc/self/statm", false);
}

/* ---- limits of the process -------------------------------------------------------------- */

/* Every second page of 4 GiB, and an order that is hard on runs. */
Test(warm, scattered_pages)
{
    const struct javm_region region = region_of(0, LAST_PAGE + 1, true);
    struct javm_memory *m = memory_new();
    const long at_rest = mappings(), resident = resident_pages();
    for (unsigned round = 0; round < 3; round++) {
        const uint32_t step = round == 2 ? 0x61C9 : 2; /* odd: comes by every page */
        cr_assert_eq(javm_memory_attach(m, &region, 1), JAVM_OK);
        for (uint32_t i = 0; i < MEMORY_PAGES / 2; i++) {
            const uint32_t page = i * step % MEMORY_PAGES;
            cr_assert(touch(m, page, (i ^ round) & 1));
            if (i < 4000) {
                cr_assert_eq(raw(m, page)[8], 0);
                if (m->access[page] & PAGE_HARD_WRITE)
                    raw(m, page)[8] = 1;
            }
            if (i % 20000 == 0)
                cr_assert_lt(mappings() - at_rest, 6000, "%ld mappings", mappings() - at_rest);
        }
        if (!SANITIZED) /* a sanitizer's own memory stays */
            cr_expect_lt(resident_pages() - resident, 30000);
        cr_expect_not(m->failed);
        memory_finish(m, 0); /* gives it back */
        cr_expect_lt(mappings() - at_rest, 4);
        if (!SANITIZED)
            cr_expect_lt(resident_pages() - resident, 20000);
    }
    javm_memory_destroy(m);
}

/* As many mappings as the system allows, but for `left`. */
static uint8_t *use_up_mappings(long left)
{
    const size_t pages = 150000;
    uint8_t *all = __real_mmap(NULL, pages * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(all != MAP_FAILED);
    size_t at = 1;
    while (at < pages && __real_mprotect(all + at * PAGE, PAGE, PROT_READ) == 0)
        at += 2;
    if (at >= pages)
        return NULL; /* the limit is higher here */
    for (at -= 2; left > 0; left -= 2, at -= 2)
        REQUIRE(__real_mprotect(all + at * PAGE, PAGE, PROT_NONE) == 0);
    return all;
}

Test(warm, hardly_any_mappings_left)
{
    static uint8_t bytes[64 * PAGE];
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 >> 3);
    const struct javm_region regions[] = {bytes_region(64, 64, bytes, false),
                                          bytes_region(FIRST, 64, bytes, true),
                                          region_of(FIRST + 100, 30000, true)};
    if (SANITIZED)
        cr_skip_test("the sanitizer needs mappings too");
    for (long left = 2; left <= 12; left += 2) {
        struct javm_memory *m = memory_new();
        cr_assert_eq(javm_memory_attach(m, regions, 3), JAVM_OK);
        uint8_t *used = use_up_mappings(left);
        if (used == NULL)
            cr_skip_test("vm.max_map_count is high");
        bool all = true;
        for (uint32_t i = 0; i < 32 && all; i++) {
            const uint32_t page = i % 2 != 0 ? 64 + i * 2 : FIRST + i * 2;
            all = touch(m, page, i % 4 == 0);
            const uint8_t *want = bytes + (page & 63) * (size_t)PAGE;
            REQUIRE(!all || memcmp(raw(m, page), want, PAGE) == 0);
        }
        const unsigned before = system_calls;
        for (uint32_t i = 0; i < 15000 && all; i++) {
            all = touch(m, FIRST + 100 + 2 * i, true);
            if (all)
                raw(m, FIRST + 100 + 2 * i)[5] = (uint8_t)i;
        }
        for (uint32_t i = 0; i < 15000 && all; i++)
            REQUIRE(raw(m, FIRST + 100 + 2 * i)[5] == (uint8_t)i);
        REQUIRE(system_calls - before < 500); /* it does not go on page by page */
        REQUIRE(all != m->failed);
        REQUIRE(all || left < 8);
        memory_finish(m, 0);
        __real_mprotect(used, 150000 * (size_t)PAGE, PROT_NONE);
        munmap(used, 150000 * (size_t)PAGE);
        cr_assert_eq(javm_memory_attach(m, regions, 3), JAVM_OK);
        cr_expect(touch(m, FIRST, true));
        javm_memory_destroy(m);
    }
}

/* A Vm says so, and goes on when the system does. */
Test(warm, a_vm_without_memory)
{
    const uint32_t code[] = {LUI(5, RW_BASE), SD(5, 0, 5), LD(10, 0, 5), REPLY};
    const struct javm_endpoint endpoint = {0};
    const struct javm_mapping mapping = {.start = RW_BASE, .size = 3 * PAGE};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .code = (const uint8_t *)code,
                                      .code_len = sizeof code,
                                      .endpoints = &endpoint,
                                      .endpoint_count = 1,
                                      .mappings = &mapping,
                                      .mapping_count = 1};
    struct world w;
    struct javm_call_result result;
    struct javm_error err;
    world_open(&w, NULL);
    const struct javm_hash image = publish_image(w.dir, &fields);
    const struct javm_call call = {.instance = instantiate(w.dir, &image), .gas = 1000};
    for (unsigned round = 0; round < 4; round++) {
        refuse_percent = 100;
        cr_expect_eq(javm_vm_invoke(w.vm, w.dir, &call, &result, &err),
                     round == 0 ? JAVM_E_NOMEM : JAVM_OK);
        refuse_percent = 0;
        if (round == 0)
            cr_expect_not_null(strstr(err.text, "guest memory"), "%s", err.text);
        cr_assert_eq(javm_vm_invoke(w.vm, w.dir, &call, &result, &err), JAVM_OK, "%s", err.text);
        cr_expect_eq(result.end, JAVM_END_HALT);
        cr_expect_eq(result.value, RW_BASE);
    }
    world_close(&w);
}

/* Where not even a second memory fits, one serves all images. */
Test(warm, a_vm_with_one_memory)
{
    if (SANITIZED)
        cr_skip_test("the sanitizer has reserved more than any limit");
    struct world w;
    struct javm_call_result result;
    struct javm_hash instances[3];
    world_open(&w, NULL);
    for (int32_t i = 0; i < 3; i++) {
        const uint32_t code[] = {ADDI(10, 0, i), REPLY};
        const struct javm_endpoint endpoint = {0};
        const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                          .code = (const uint8_t *)code,
                                          .code_len = sizeof code,
                                          .endpoints = &endpoint,
                                          .endpoint_count = 1};
        const struct javm_hash image = publish_image(w.dir, &fields);
        instances[i] = instantiate(w.dir, &image);
    }
    const struct rlimit limit = {(rlim_t)8 << 30, RLIM_INFINITY};
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    for (uint64_t i = 0; i < 30; i++) {
        const struct javm_call call = {.instance = instances[i % 3], .gas = 1000};
        cr_assert_eq(javm_vm_invoke(w.vm, w.dir, &call, &result, NULL), JAVM_OK);
        cr_expect_eq(result.value, i % 3);
    }
    world_close(&w);
}

/* ---- what is kept ----------------------------------------------------------------------- */

Test(warm, what_one_run_leaves_for_the_next)
{
    const struct javm_region region = region_of(FIRST, 40000, true);
    const struct memory_layout layout = {.regions = &region, .count = 1, .space = 1, .id = 1};
    struct javm_memory *m = memory_new();
    /* A few pages are kept, however little the runs do. */
    cr_assert_eq(memory_attach_warm(m, &layout), JAVM_OK);
    for (uint32_t i = 0; i < 8; i++)
        cr_assert(touch(m, FIRST + 3 * i, true));
    for (unsigned i = 0; i < 50; i++) {
        memory_finish(m, 0);
        cr_assert_eq(memory_attach_warm(m, &layout), JAVM_OK);
    }
    cr_expect_eq(m->warm_count, 8);
    /* Many are kept while runs do much, and for a while when they do little. */
    for (uint32_t i = 0; i < 2000; i++)
        cr_assert(touch(m, FIRST + i, true));
    memory_finish(m, 0);
    for (unsigned i = 0; i < 50; i++) {
        cr_assert_eq(memory_attach_warm(m, &layout), JAVM_OK);
        memory_finish(m, i % 8 == 7 ? 50 * 5000 : 10);
        cr_expect_geq(m->warm_count, 2000);
    }
    for (unsigned i = 0; i < 8; i++) {
        cr_assert_eq(memory_attach_warm(m, &layout), JAVM_OK);
        memory_finish(m, 10);
    }
    cr_expect_eq(m->warm_count, 0);
    cr_expect_eq(page_allows(m, FIRST), 0);
    /* Very many are not. */
    const long resident = resident_pages();
    cr_assert_eq(memory_attach_warm(m, &layout), JAVM_OK);
    for (uint32_t i = 0; i < 20000; i++) {
        cr_assert(touch(m, FIRST + i, true));
        raw(m, FIRST + i)[0] = 1;
    }
    cr_expect_gt(resident_pages() - resident, 19000);
    memory_finish(m, UINT64_MAX);
    if (!SANITIZED) /* a sanitizer's own memory stays */
        cr_expect_lt(resident_pages() - resident, 1000);
    cr_assert_eq(memory_attach_warm(m, &layout), JAVM_OK);
    cr_assert(touch(m, FIRST, false));
    cr_expect_eq(raw(m, FIRST)[0], 0);
    javm_memory_destroy(m);
}
