/* Guest memory from the side of generated code: what the hardware allows, and pages that stay
 * accessible from one layout to the next.
 *
 * Would catch: a page that the hardware allows more on than the layout; a write of generated code,
 * which nobody notes, that shows in a later run; a page that shows an earlier layout's content,
 * also where a source lies at the address of an earlier one; a warm attach that asks the system; a
 * refused system call that ends in a page fault or in a page without its content. */
#include <criterion/criterion.h>

#include <sys/resource.h>

#include "tests/vm/warm.h"

/* ---- protection ------------------------------------------------------------------------- */

Test(warm, areas_around_the_space)
{
    struct javm_memory *m = memory_new();
    uint8_t *const base = m->base;
    cr_expect_eq((uintptr_t)base % 0x10000, 0);
    static const struct {
        int64_t first, last; /* distances */
    } areas[] = {{MEMORY_CONTEXT, MEMORY_CONTEXT + 4095},
                 {MEMORY_ACCESS, MEMORY_ACCESS + (1 << 20) - 1},
                 {MEMORY_STACK_TOP - MEMORY_STACK_BYTES, MEMORY_STACK_TOP - 1}};
    for (size_t i = 0; i < CODE(areas); i++) {
        cr_expect_eq(allows(base + areas[i].first), 2, "area %zu", i);
        cr_expect_eq(allows(base + areas[i].last), 2, "area %zu", i);
    }
    static const int64_t outside[] = {MEMORY_STACK_TOP - MEMORY_STACK_BYTES - 1,
                                      MEMORY_STACK_TOP,
                                      MEMORY_ACCESS - 1,
                                      MEMORY_CONTEXT + 4096,
                                      -MEMORY_GUARD,
                                      -1,
                                      0,
                                      INT64_C(0xFFFFFFFF),
                                      INT64_C(0x100000000),
                                      INT64_C(0x100000000) + MEMORY_GUARD - 1};
    for (size_t i = 0; i < CODE(outside); i++)
        cr_expect_eq(allows(base + outside[i]), 0, "place %zu", i);
    cr_expect_eq(m->access, base + MEMORY_ACCESS);
    javm_memory_destroy(m);
    REQUIRE_NO_LEAKS();
}

Test(warm, hardware_follows_the_layout)
{
    static uint8_t bytes[2 * PAGE];
    bytes[77] = 5;
    const struct javm_region regions[] = {
        bytes_region(FIRST, 1, bytes, false), region_of(FIRST + 1, 4, true),
        bytes_region(FIRST + 6, 2, bytes, true), region_of(FIRST + 8, 1, false)};
    struct javm_memory *m = memory_new();
    cr_assert_eq(javm_memory_attach(m, regions, 4), JAVM_OK);
    for (uint32_t i = 0; i < 12; i++)
        cr_expect_eq(page_allows(m, FIRST - 1 + i), 0);
    cr_expect_not(touch(m, FIRST, true));
    cr_expect_not(touch(m, FIRST - 1, false));
    cr_expect_not(touch(m, FIRST + 5, false));
    uint32_t fresh = 0; /* begins in a writable page, ends in one that is not */
    cr_expect_not(memory_touch(m, ((FIRST + 8) << JAVM_PAGE_SHIFT) - 4, 8, true, &fresh));
    cr_expect_eq(fresh, 0);
    for (uint32_t i = 0; i < 12; i++)
        cr_expect_eq(page_allows(m, FIRST - 1 + i), 0);
    cr_expect(touch(m, FIRST, false));
    cr_expect_eq(page_allows(m, FIRST), 1);
    cr_expect_eq(raw(m, FIRST)[77], 5);
    cr_expect_eq(page_allows(m, FIRST + 1), 0);
    cr_expect(touch(m, FIRST + 2, false));
    cr_expect_eq(page_allows(m, FIRST + 2), 1);
    cr_expect(touch(m, FIRST + 2, true));
    cr_expect_eq(page_allows(m, FIRST + 2), 2);
    cr_expect(touch(m, FIRST + 7, true));
    cr_expect_eq(page_allows(m, FIRST + 7), 2);
    cr_expect(touch(m, FIRST + 8, false));
    cr_expect_eq(page_allows(m, FIRST + 8), 1);
    cr_expect_eq(page_allows(m, FIRST + 5), 0);
    cr_expect_eq(page_allows(m, FIRST + 9), 0);
    raw(m, FIRST + 2)[5] = 1; /* a layout of other regions keeps what it allows too */
    cr_assert_eq(javm_memory_attach(m, regions + 1, 1), JAVM_OK);
    for (uint32_t i = 0; i < 12; i++)
        cr_expect_eq(page_allows(m, FIRST - 1 + i), i == 3 ? 2 : 0);
    cr_expect_eq(raw(m, FIRST + 2)[5], 0);
    cr_assert_eq(javm_memory_attach(m, regions + 3, 1), JAVM_OK);
    for (uint32_t i = 0; i < 12; i++)
        cr_expect_eq(page_allows(m, FIRST - 1 + i), 0);
    javm_memory_destroy(m);
}

/* A sweep asks the system a few times, upwards and downwards; scattered accesses open what they
 * touch only. */
Test(warm, sweeps)
{
    const struct javm_region region = region_of(FIRST, 0x10000, true);
    struct javm_memory *m = memory_new();
    for (unsigned round = 0; round < 4; round++) {
        cr_assert_eq(javm_memory_attach(m, &region, 1), JAVM_OK);
        const unsigned before = system_calls;
        for (uint32_t i = 0; i < 1024; i++) {
            const uint32_t page = FIRST + 0x8000 + (round % 2 != 0 ? -i : i);
            cr_assert(touch(m, page, round > 1));
            cr_assert_eq((m->access[page] & PAGE_HARD_WRITE) != 0, round > 1);
        }
        cr_expect_lt(system_calls - before, 20, "round %u: %u", round, system_calls - before);
        cr_expect_leq(m->warm_count, 2048);
    }
    cr_assert_eq(javm_memory_attach(m, &region, 1), JAVM_OK);
    for (uint32_t i = 0; i < 200; i++)
        cr_assert(touch(m, FIRST + 7 * i, true));
    cr_expect_eq(m->warm_count, 200);
    javm_memory_destroy(m);
}

Test(warm, small_regions_come_whole)
{
    static uint8_t bytes[8 * PAGE];
    const struct javm_region regions[] = {bytes_region(FIRST, 8, bytes, true),
                                          region_of(FIRST + 8, 8, true)};
    struct javm_memory *m = memory_new();
    cr_assert_eq(javm_memory_attach(m, regions, 2), JAVM_OK);
    cr_expect(touch(m, FIRST + 3, true));
    cr_expect_eq(m->warm_count, 1);
    cr_expect(touch(m, FIRST + 2, false));
    cr_expect_eq(m->warm_count, 4); /* on this side of the writable one */
    cr_expect(touch(m, FIRST + 7, false));
    cr_expect_eq(m->warm_count, 8);
    for (uint32_t i = 0; i < 8; i++)
        cr_expect_eq(page_allows(m, FIRST + i), i == 3 ? 2 : 1);
    cr_expect(touch(m, FIRST + 8, false));
    cr_expect_eq(m->warm_count, 9);
    javm_memory_destroy(m);
}

/* Pages of a region that is only readable are writable while they are filled. When the system
 * refuses to take that back, the run is no result, and nothing of it stays. */
Test(warm, filled_and_not_taken_back)
{
    static uint8_t bytes[100 * PAGE];
    memset(bytes, 3, sizeof bytes);
    const struct javm_region region = bytes_region(964, 100, bytes, false);
    const struct memory_layout layout = {.regions = &region, .count = 1, .space = 1, .id = 1};
    struct javm_memory *m = memory_new();
    cr_assert_eq(memory_attach_warm(m, &layout), JAVM_OK);
    for (uint32_t page = 964; page < 996; page++)
        cr_assert(touch(m, page, false));
    refuse_call = system_calls + 2; /* a run of 32 pages: more than what a second try covers */
    touch(m, 996, false);
    cr_expect_gt(system_calls, refuse_call);
    cr_expect(m->failed);
    cr_assert_eq(memory_attach_warm(m, &layout), JAVM_OK);
    cr_expect_not(m->failed);
    for (uint32_t page = 964; page < 1064; page++)
        cr_expect_eq(page_allows(m, page), 0);
    cr_expect(touch(m, 996, false));
    cr_expect_eq(raw(m, 996)[PAGE - 1], 3);
    javm_memory_destroy(m);
}

/* ---- from layout to layout -------------------------------------------------------------- */

Test(warm, a_warm_attach_asks_nobody)
{
    static uint8_t code[2 * PAGE];
    struct javm_cap *data = numbered_data(7, 2),
                    *given[2] = {numbered_data(100, 1), numbered_data(200, 2)};
    struct javm_region regions[] = {bytes_region(16, 2, code, false), region_of(FIRST, 2, true),
                                    region_of(FIRST + 2, 16, true), region_of(FIRST + 32, 4, true)};
    regions[1].kind = JAVM_REGION_DATA;
    regions[1].data = data;
    struct memory_layout layout = {
        .regions = regions, .count = 4, .scratch = 3, .space = 1, .id = 2, .constant = true};
    struct javm_memory *m = memory_new();
    struct rusage before, after;
    unsigned calls = 0;
    for (unsigned i = 0; i < 1100; i++) {
        if (i == 100) {
            getrusage(RUSAGE_SELF, &before);
            calls = system_calls;
        }
        if (i % 2 != 0)
            layout.id = 2 + i % 4; /* another instance: nothing but its name is different */
        layout.scratch_data = i % 3 == 2 ? NULL : given[i % 3];
        cr_assert_eq(memory_attach_warm(m, &layout), JAVM_OK);
        cr_assert(touch(m, 17, false));
        cr_assert(touch(m, FIRST + 1, true));
        cr_assert(touch(m, FIRST + 17, true));
        cr_assert(touch(m, FIRST + 32, false)); /* read first, then written behind our back */
        uint64_t value;
        memcpy(&value, raw(m, FIRST + 32), sizeof value);
        cr_assert_eq(value, i % 3 == 2 ? 0 : 100 * (i % 3 + 1));
        memcpy(&value, raw(m, FIRST + 1), sizeof value);
        cr_assert_eq(value, 8);
        cr_assert_eq(raw(m, FIRST + 17)[9], 0);
        memset(raw(m, FIRST + 1), 0xAA, PAGE);
        memset(raw(m, FIRST + 17), 0xBB, PAGE);
        memset(raw(m, FIRST + 32), 0xCC, PAGE);
        memory_finish(m, 0);
    }
    getrusage(RUSAGE_SELF, &after);
    cr_expect_eq(system_calls - calls, 0);
    if (!SANITIZED)
        cr_expect_leq(after.ru_minflt - before.ru_minflt, 2);
    javm_memory_destroy(m);
    javm_cap_release(data);
    javm_cap_release(given[0]);
    javm_cap_release(given[1]);
    REQUIRE_NO_LEAKS();
}

/* First writes count once in each run, also to pages that are writable all the time. */
Test(warm, first_writes)
{
    const struct javm_region region = region_of(FIRST, 4, true);
    const struct memory_layout layout = {.regions = &region, .count = 1, .space = 1, .id = 1};
    struct javm_memory *m = memory_new();
    for (unsigned round = 0; round < 3; round++) {
        uint32_t fresh = 0;
        cr_assert_eq(memory_attach_warm(m, &layout), JAVM_OK);
        for (uint32_t i = 0; i < 4; i++)
            cr_expect_eq(m->access[FIRST + i] & (PAGE_READ | PAGE_WRITE), 0);
        cr_assert(memory_touch(m, RW_BASE, 8, false, &fresh));
        cr_expect_eq(fresh, 0);
        cr_assert(memory_touch(m, RW_BASE, 8, true, &fresh));
        cr_assert(memory_touch(m, RW_BASE, 8, true, &fresh));
        cr_expect_eq(fresh, 1);
        cr_assert(memory_touch(m, RW_BASE + PAGE - 4, 8, true, &fresh));
        cr_expect_eq(fresh, 2);
        cr_assert(memory_touch(m, RW_BASE + 3 * PAGE - 4, 8, true, &fresh));
        cr_expect_eq(fresh, 4);
    }
    javm_memory_destroy(m);
}

/* A source that was freed, and another one that is allocated where it was. */
Test(warm, sources_at_the_same_address)
{
    static uint8_t bytes[4][PAGE];
    struct javm_region regions[] = {
        bytes_region(16, 1, bytes[0], false), bytes_region(FIRST, 1, bytes[1], false),
        bytes_region(FIRST + 1, 1, bytes[2], true), region_of(FIRST + 2, 1, false)};
    struct javm_memory *m = memory_new();
    regions[3].kind = JAVM_REGION_DATA;
    for (uint8_t round = 1; round < 20; round++) {
        memset(bytes, round, sizeof bytes);
        struct javm_cap *data = javm_data_new(bytes[3], PAGE);
        regions[3].data = data;
        const struct memory_layout layout = {.regions = regions,
                                             .count = 4,
                                             .scratch = 3,
                                             .scratch_data = data,
                                             .space = 1,
                                             .id = 1 + round / 2u};
        /* The contents of one id are one content, but for the scratch region. */
        if (round % 2 == 0)
            memset(bytes, round + 1, sizeof bytes);
        cr_assert_eq(memory_attach_warm(m, &layout), JAVM_OK);
        const uint8_t want = round % 2 == 0 ? (uint8_t)(round + 1) : round;
        for (unsigned i = 0; i < 4; i++) {
            const uint32_t page = regions[i].first_page;
            cr_assert(touch(m, page, false));
            cr_assert_eq(page_allows(m, page) == 2, i == 2 && round > 1, "round %u, %u", round, i);
            for (size_t at = 0; at < PAGE; at++)
                cr_assert_eq(raw(m, page)[at], i == 3 ? round : want, "round %u, region %u", round,
                             i);
        }
        memory_finish(m, 0);
        memset(bytes, 0xEE, sizeof bytes); /* borrowed no longer */
        javm_cap_release(data);
    }
    javm_memory_destroy(m);
}

/* The scratch region shows another Data in the middle of a run, also on pages that another program
 * left readable with the same content. */
Test(warm, another_scratch_on_pages_that_were_left)
{
    static uint8_t bytes[2][PAGE];
    memset(bytes[0], 1, PAGE);
    memset(bytes[1], 2, PAGE);
    struct javm_cap *shown[] = {javm_data_new(bytes[0], PAGE), javm_data_new(bytes[1], PAGE)};
    const struct javm_region left = bytes_region(FIRST, 1, bytes[0], false);
    struct javm_region window = region_of(FIRST, 1, true);
    window.kind = JAVM_REGION_DATA;
    window.data = shown[0];
    const struct javm_region regions[] = {region_of(16, 1, false), window};
    const struct memory_layout before = {.regions = &left, .count = 1, .space = 1, .id = 1};
    const struct memory_layout after = {.regions = regions,
                                        .count = 2,
                                        .scratch = 1,
                                        .scratch_data = shown[0],
                                        .space = 2,
                                        .id = 2};
    struct javm_memory *m = memory_new();
    cr_assert_eq(memory_attach_warm(m, &before), JAVM_OK);
    cr_assert(touch(m, FIRST, false));
    memory_finish(m, 1000000);
    cr_assert_eq(memory_attach_warm(m, &after), JAVM_OK);
    cr_assert(m->inherited && page_allows(m, FIRST) != 0, "or this shows nothing");
    cr_expect_eq(raw(m, FIRST)[77], 1); /* generated code asks nobody */
    memory_show(m, shown[1]);
    cr_expect_eq(raw(m, FIRST)[77], 2);
    memory_show(m, NULL);
    cr_expect_eq(raw(m, FIRST)[77], 0);
    javm_memory_destroy(m);
    javm_cap_release(shown[0]);
    javm_cap_release(shown[1]);
    REQUIRE_NO_LEAKS();
}

/* Random layouts and accesses against a plain model. */

#define SPACES    2u
#define LAYOUTS   4u /* of each space */
#define REGIONS   6u
#define MODEL_MAX 80u /* pages of a region */

struct model {
    struct javm_memory *memory;
    struct javm_region regions[SPACES][LAYOUTS][REGIONS];
    uint8_t *sources[SPACES][LAYOUTS][REGIONS]; /* what each region shows, in full */
    struct javm_cap *caps[SPACES][LAYOUTS][REGIONS];
    uint8_t *now[REGIONS]; /* of the layout that is attached */
    unsigned space, layout;
};

static uint64_t region_bytes(const struct javm_region *r)
{
    return (uint64_t)r->pages * PAGE;
}

static void model_source(struct model *model, unsigned s, unsigned l, unsigned i,
                         struct random *random)
{
    struct javm_region *r = &model->regions[s][l][i];
    *r = model->regions[s][0][i];
    uint8_t *bytes = model->sources[s][l][i] = calloc(r->pages, PAGE);
    REQUIRE(bytes != NULL);
    r->kind = i == 0 ? JAVM_REGION_BYTES : (enum javm_region_kind)random_below(random, 3);
    r->bytes = bytes;
    if (r->kind == JAVM_REGION_ZERO)
        return;
    r->len = 1 + random_below(random, region_bytes(r));
    for (uint64_t at = 0; at < r->len; at += 1 + random_below(random, 3000))
        bytes[at] = (uint8_t)random_u64(random);
    if (r->kind == JAVM_REGION_DATA) {
        model->caps[s][l][i] = javm_data_new(bytes, r->len);
        r->data = model->caps[s][l][i];
    }
}

static void model_open(struct model *model, struct random *random)
{
    memset(model, 0, sizeof *model);
    model->memory = memory_new();
    for (unsigned i = 0; i < REGIONS; i++)
        model->now[i] = malloc(MODEL_MAX * PAGE);
    for (unsigned s = 0; s < SPACES; s++) {
        uint32_t at = 1000; /* near where large runs would begin and end */
        for (unsigned i = 0; i < REGIONS; i++) {
            struct javm_region *r = &model->regions[s][0][i];
            r->first_page = at + (uint32_t)random_below(random, 3) * 5;
            r->pages = 1 + (uint32_t)random_below(random, random_below(random, 2) ? 10 : MODEL_MAX);
            r->writable = i != 0 && random_below(random, 4) != 0;
            at = r->first_page + r->pages;
        }
        for (unsigned l = 0; l < LAYOUTS; l++)
            for (unsigned i = 0; i < REGIONS; i++)
                model_source(model, s, l, i, random);
    }
}

static void model_close(struct model *model)
{
    javm_memory_destroy(model->memory);
    for (unsigned s = 0; s < SPACES; s++)
        for (unsigned l = 0; l < LAYOUTS; l++)
            for (unsigned i = 0; i < REGIONS; i++) {
                javm_cap_release(model->caps[s][l][i]);
                free(model->sources[s][l][i]);
            }
    for (unsigned i = 0; i < REGIONS; i++)
        free(model->now[i]);
}

/* False: the system refused. */
static bool model_attach(struct model *model, unsigned space, unsigned layout,
                         struct random *random)
{
    struct javm_region *regions = model->regions[space][layout];
    model->space = space;
    model->layout = layout;
    for (unsigned i = 0; i < REGIONS; i++)
        memcpy(model->now[i], model->sources[space][layout][i], region_bytes(&regions[i]));
    struct memory_layout attached = {.regions = regions,
                                     .count = REGIONS,
                                     .space = space + 1,
                                     .id = 1 + space * LAYOUTS + layout};
    /* The last region shows what some layout has there. */
    struct javm_cap *cap = model->caps[space][random_below(random, LAYOUTS)][REGIONS - 1];
    attached.scratch = REGIONS - 1;
    attached.scratch_data = cap;
    memset(model->now[REGIONS - 1], 0, region_bytes(&regions[REGIONS - 1]));
    if (cap != NULL)
        javm_data_read(cap, 0, model->now[REGIONS - 1], javm_data_pages(cap) * PAGE);
    return memory_attach_warm(model->memory, &attached) == JAVM_OK;
}

/* Everything that is accessible shows what it has to, allows what it may and is noted. */
static void model_check(const struct model *model, const uint8_t *const *before)
{
    struct javm_memory *m = model->memory;
    const struct javm_region *regions = model->regions[model->space][model->layout];
    const uint32_t *dirty;
    size_t next = 0;
    const size_t count = javm_memory_dirty(m, &dirty);
    uint32_t hole = regions[0].first_page - 3;
    for (unsigned i = 0; i < REGIONS; i++) {
        for (; hole < regions[i].first_page; hole++)
            REQUIRE(page_allows(m, hole) == 0);
        hole += regions[i].pages;
        for (uint32_t p = 0; p < regions[i].pages; p++) {
            const uint32_t page = regions[i].first_page + p;
            const uint8_t *want = model->now[i] + p * (size_t)PAGE;
            const int allowed = page_allows(m, page);
            const uint8_t access = m->access[page];
            REQUIRE(allowed == (access & PAGE_HARD_WRITE ? 2 : access & PAGE_HARD_READ ? 1 : 0));
            REQUIRE(allowed < 2 || regions[i].writable);
            REQUIRE(allowed != 0 || !(access & PAGE_READ));
            REQUIRE(allowed == 2 || !(access & PAGE_WRITE));
            REQUIRE((javm_memory_page(m, page) != NULL) == (allowed != 0));
            REQUIRE(allowed == 0 || memcmp(raw(m, page), want, PAGE) == 0);
            if (memcmp(want, before[i] + p * (size_t)PAGE, PAGE) != 0) {
                REQUIRE(next < count && dirty[next] == page);
                next++;
            }
        }
    }
    REQUIRE(next == count);
    REQUIRE(page_allows(m, hole) == 0);
}

/* One run: accesses through memory_touch, raw ones, host writes. True when it came to a result. */
static bool model_run(struct model *model, unsigned accesses, struct random *random)
{
    struct javm_memory *m = model->memory;
    const struct javm_region *regions = model->regions[model->space][model->layout];
    const unsigned i = (unsigned)random_below(random, REGIONS);
    uint32_t p = (uint32_t)random_below(random, regions[i].pages);
    for (unsigned k = 0; k < accesses; k++) {
        const struct javm_region *r = &regions[i];
        p = random_below(random, 3) != 0 ? (p + 1) % r->pages
                                         : (uint32_t)random_below(random, r->pages);
        const uint32_t page = r->first_page + p;
        const bool write = random_below(random, 2);
        const uint32_t at = (uint32_t)random_below(random, PAGE - 8);
        const uint64_t value = random_below(random, 3) * random_u64(random);
        if (random_below(random, 8) == 0) {
            const bool done = javm_memory_write(m, (page << JAVM_PAGE_SHIFT) + at, &value, 8);
            if (m->failed)
                return false;
            REQUIRE(done == r->writable);
            if (done)
                memcpy(model->now[i] + p * (size_t)PAGE + at, &value, 8);
            continue;
        }
        if (!(m->access[page] & (write ? PAGE_HARD_WRITE : PAGE_HARD_READ))) {
            const bool done = touch(m, page, write);
            if (m->failed)
                return false;
            REQUIRE(done == (r->writable || !write));
            if (!done)
                continue;
        }
        if (write) {
            memcpy(raw(m, page) + at, &value, 8);
            memcpy(model->now[i] + p * (size_t)PAGE + at, &value, 8);
        } else {
            REQUIRE(memcmp(raw(m, page), model->now[i] + p * (size_t)PAGE, PAGE) == 0);
        }
    }
    return true;
}

static void model_rounds(uint64_t seed, unsigned rounds, unsigned refuse)
{
    struct random random = {.state = seed};
    static struct model model;
    static uint8_t *before[REGIONS];
    unsigned results = 0;
    model_open(&model, &random);
    for (unsigned i = 0; i < REGIONS; i++)
        before[i] = malloc(MODEL_MAX * PAGE);
    refusing.state = seed;
    for (unsigned round = 0; round < rounds; round++) {
        const unsigned space = random_below(&random, 8) == 0 ? 1 : 0;
        refuse_percent = random_below(&random, 2) ? refuse : 0;
        refuse_mmap = random_below(&random, 2);
        const bool attached =
            model_attach(&model, space, (unsigned)random_below(&random, LAYOUTS), &random);
        REQUIRE(attached || refuse_percent != 0);
        bool result = attached;
        for (unsigned i = 0; i < REGIONS; i++)
            memcpy(before[i], model.now[i], MODEL_MAX * PAGE);
        for (unsigned runs = 0; runs < 3 && result; runs++)
            result = model_run(&model, (unsigned)random_below(&random, 40), &random);
        REQUIRE(result || refuse_percent != 0);
        refuse_percent = 0;
        refuse_mmap = false;
        if (result)
            model_check(&model, (const uint8_t *const *)before);
        results += result;
        if (random_below(&random, 2))
            memory_finish(model.memory, 1000000);
    }
    REQUIRE(results > rounds / 3);
    model_close(&model);
    for (unsigned i = 0; i < REGIONS; i++)
        free(before[i]);
}

Test(warm, like_a_model)
{
    for (uint64_t seed = 0; seed < 20 * stress_factor(); seed++)
        model_rounds(seed, 120, 0);
    REQUIRE_NO_LEAKS();
}

Test(warm, like_a_model_where_the_system_refuses)
{
    for (uint64_t seed = 0; seed < 20 * stress_factor(); seed++)
        model_rounds(seed, 120, seed % 2 != 0 ? 3 : 40);
    REQUIRE_NO_LEAKS();
}
