/* Data: page trees against a flat array of pages.
 *
 * Would catch: a write to a clone that shows in the original, or the other way round; a whole tree
 * that is copied when one page would do; a remembered hash that survives a change below it; a root
 * that depends on how the value came about; zero pages that are stored; a page that is freed while
 * the caller copies from it; sizes that are rounded down, or accepted beyond the largest; a re-hash
 * that looks at more than what changed. */
#include <sys/mman.h>

#include "caps/atomic.h"
#include "tests/caps/support.h"

#define PAGE      ((size_t)JAVM_PAGE_SIZE)
#define MOST      (UINT64_C(1) << 20) /* pages of the largest Data */
#define MAX_MODEL 70

/* ---- the cost of hashing ---------------------------------------------------------------- */

/* The linker sends every start of a hash through here. */
static unsigned hashes_started;
int __real_crypto_generichash_blake2b_init(void *state, const unsigned char *key, size_t key_len,
                                           size_t out_len);
int __wrap_crypto_generichash_blake2b_init(void *state, const unsigned char *key, size_t key_len,
                                           size_t out_len);
int __wrap_crypto_generichash_blake2b_init(void *state, const unsigned char *key, size_t key_len,
                                           size_t out_len)
{
    hashes_started++;
    return __real_crypto_generichash_blake2b_init(state, key, key_len, out_len);
}

static unsigned hashes_of_root(const struct javm_cap *data)
{
    hashes_started = 0;
    javm_data_root(data);
    return hashes_started;
}

/* ---- the model -------------------------------------------------------------------------- */

struct model {
    uint64_t pages;
    uint8_t bytes[MAX_MODEL][PAGE];
};

static bool all_zero(const void *bytes, size_t len)
{
    const uint8_t *from = bytes;
    for (size_t i = 0; i < len; i++)
        if (from[i] != 0)
            return false;
    return true;
}

/* The rules of the specification, level by level, with nothing remembered. */
static struct javm_hash model_root(const struct model *model)
{
    static struct javm_hash level[128];
    struct javm_hash zero = {{0}};
    uint64_t width = 1;
    memset(level, 0, sizeof level);
    for (uint64_t i = 0; i < model->pages; i++) {
        const struct javm_bytes leaf[] = {{"javm.page.v1", 12}, {model->bytes[i], PAGE}};
        level[i] = all_zero(model->bytes[i], PAGE) ? zero : javm_hash_pieces(leaf, 2);
    }
    while (width < model->pages)
        width *= 2;
    for (; width > 1; width /= 2)
        for (uint64_t i = 0; i < width / 2; i++) {
            const struct javm_bytes node[] = {
                {"javm.node.v1", 12}, {level[2 * i].bytes, 32}, {level[2 * i + 1].bytes, 32}};
            const bool zeros = all_zero(&level[2 * i], 2 * sizeof *level);
            level[i] = zeros ? zero : javm_hash_pieces(node, 3);
        }
    return level[0];
}

static void expect_model(const struct javm_cap *data, const struct model *model)
{
    cr_assert_eq(javm_data_pages(data), model->pages);
    for (uint64_t i = 0; i < model->pages; i++) {
        const uint8_t *page = javm_data_page(data, i);
        if (all_zero(model->bytes[i], PAGE))
            cr_assert_null(page, "zero page %d is stored", (int)i);
        else
            cr_assert(page != NULL && memcmp(page, model->bytes[i], PAGE) == 0, "page %d", (int)i);
    }
    cr_expect_null(javm_data_page(data, model->pages));
}

static void expect_root(const struct javm_cap *data, const struct model *model)
{
    const struct javm_hash root = javm_data_root(data), expected = model_root(model);
    cr_assert(javm_hash_equal(&root, &expected));
}

static void write_pattern(struct javm_cap *data, uint64_t page, unsigned seed)
{
    uint8_t bytes[PAGE];
    pattern_page(seed, bytes);
    cr_assert_eq(javm_data_write_page(data, page, bytes), JAVM_OK);
}

/* `count` pages that all differ. */
static struct javm_cap *patterned(uint64_t count)
{
    struct javm_cap *data = javm_data_new_zero(count);
    cr_assert_not_null(data);
    for (uint64_t i = 0; i < count; i++)
        write_pattern(data, i, (unsigned)i + 1);
    return data;
}

/* ---- sizes ------------------------------------------------------------------------------ */

Test(data, sizes)
{
    static const size_t sizes[] = {
        0,        1,        PAGE - 1,     PAGE,     PAGE + 1, 2 * PAGE - 1,
        2 * PAGE, 3 * PAGE, 3 * PAGE + 1, 4 * PAGE, 5 * PAGE, 8 * PAGE + 1};
    static uint8_t bytes[9 * PAGE];
    static struct model model;
    struct random random = {2};
    random_bytes(&random, bytes, sizeof bytes);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memset(&model, 0, sizeof model);
        model.pages = (sizes[i] + PAGE - 1) / PAGE;
        memcpy(model.bytes, bytes, sizes[i]);
        /* A block of its own, so that the address sanitizer sees a read beyond the end. */
        uint8_t *exact = malloc(sizes[i] + 1);
        cr_assert_not_null(exact);
        memcpy(exact + 1, bytes, sizes[i]);
        struct javm_cap *data = javm_data_new(exact + 1, sizes[i]);
        free(exact);
        cr_assert_not_null(data);
        expect_model(data, &model);
        expect_root(data, &model);
        javm_cap_release(data);
    }
    REQUIRE_NO_LEAKS();
}

Test(data, largest)
{
    cr_expect_null(javm_data_new_zero(MOST + 1));
    cr_expect_null(javm_data_new_zero(UINT64_MAX));
    struct javm_cap *data = javm_data_new_zero(MOST);
    cr_assert_not_null(data);
    cr_expect_eq(javm_data_pages(data), MOST);
    const uint64_t small = javm_cap_bytes(data);
    cr_expect_lt(small, 1024, "zeros take memory");
    write_pattern(data, MOST - 1, 1);
    cr_expect_not_null(javm_data_page(data, MOST - 1));
    cr_expect_null(javm_data_page(data, 0));
    cr_expect_null(javm_data_page(data, MOST));
    cr_expect_null(javm_data_page(data, UINT64_MAX)); /* its low bits name the page just written */
    cr_expect_gt(javm_cap_bytes(data), small + PAGE);
    javm_cap_release(data);
}

Test(data, largest_from_bytes)
{
    uint8_t byte = 1;
    /* Refused before a byte is looked at. */
    cr_expect_null(javm_data_new(&byte, MOST * PAGE + 1));
    cr_expect_null(javm_data_new(&byte, SIZE_MAX));
#ifndef CAPS_TSAN /* its shadow memory would be 16 GiB */
    uint8_t *space = mmap(NULL, MOST * PAGE, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    cr_assert_neq((void *)space, MAP_FAILED);
    space[MOST * PAGE - 1] = 1;
    struct javm_cap *data = javm_data_new(space, MOST * PAGE);
    munmap(space, MOST * PAGE);
    cr_assert_not_null(data);
    cr_expect_eq(javm_data_pages(data), MOST);
    cr_expect_null(javm_data_page(data, 0));
    const uint8_t *last = javm_data_page(data, MOST - 1);
    cr_expect(last != NULL && last[PAGE - 1] == 1 && last[0] == 0);
    javm_cap_release(data);
#endif
}

Test(data, writes_beyond_the_end_are_refused)
{
    uint8_t page[PAGE];
    static const uint64_t sizes[] = {0, 1, 2, 3, 4, 5};
    pattern_page(1, page);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct javm_cap *data = javm_data_new_zero(sizes[i]);
        cr_expect_eq(javm_data_write_page(data, sizes[i], page), JAVM_E_RANGE);
        cr_expect_eq(javm_data_write_page(data, UINT64_MAX, page), JAVM_E_RANGE);
        const struct javm_hash root = javm_data_root(data);
        cr_expect(javm_hash_is_zero(&root), "a refused write changed the value");
        javm_cap_release(data);
    }
}

/* ---- zero pages ------------------------------------------------------------------------- */

Test(data, zero_pages_are_not_stored)
{
    static const uint8_t zeros[PAGE];
    struct javm_cap *data = patterned(5), *none = javm_data_new_zero(5);
    const uint64_t full = javm_cap_bytes(data);
    for (uint64_t i = 0; i < 5; i++) {
        cr_expect_eq(javm_data_write_page(data, i, zeros), JAVM_OK);
        cr_expect_null(javm_data_page(data, i));
        cr_expect_eq(javm_data_write_page(data, i, zeros), JAVM_OK); /* zeros over zeros */
    }
    cr_expect_lt(javm_cap_bytes(data), full);
    cr_expect_eq(javm_cap_bytes(data), javm_cap_bytes(none));
    const struct javm_hash hash = cap_hash_of(data), expected = cap_hash_of(none);
    cr_expect(javm_hash_equal(&hash, &expected));
    javm_cap_release(data);
    javm_cap_release(none);
    REQUIRE_NO_LEAKS();
}

Test(data, one_byte_makes_a_page)
{
    uint8_t page[PAGE];
    for (size_t at = 0; at < PAGE; at += 1 + at / 3) {
        memset(page, 0, sizeof page);
        page[at] = 1;
        struct javm_cap *data = javm_data_new(page, sizeof page);
        cr_assert_not_null(javm_data_page(data, 0), "byte %zu was taken for zero", at);
        javm_cap_release(data);
    }
}

/* The length is part of the value even when all of it is zero. */
Test(data, size_is_hashed)
{
    struct javm_cap *one = javm_data_new_zero(1), *two = javm_data_new_zero(2);
    const struct javm_hash a = cap_hash_of(one), b = cap_hash_of(two);
    cr_expect_not(javm_hash_equal(&a, &b));
    javm_cap_release(one);
    javm_cap_release(two);
}

/* ---- sharing ---------------------------------------------------------------------------- */

Test(data, a_clone_shares_and_writes_apart)
{
    const uint64_t count = 37;
    struct javm_cap *data = patterned(count), *clone = javm_cap_clone(data);
    const struct javm_hash before = javm_data_root(data);
    cr_assert_not_null(clone);
    cr_assert_neq(data, clone);
    for (uint64_t i = 0; i < count; i++)
        cr_expect_eq(javm_data_page(data, i), javm_data_page(clone, i), "page %d", (int)i);
    write_pattern(clone, 17, 200);
    for (uint64_t i = 0; i < count; i++)
        cr_expect_eq(javm_data_page(data, i) == javm_data_page(clone, i), i != 17);
    uint8_t expected[PAGE];
    pattern_page(18, expected);
    cr_expect_arr_eq(javm_data_page(data, 17), expected, PAGE);
    pattern_page(200, expected);
    cr_expect_arr_eq(javm_data_page(clone, 17), expected, PAGE);
    struct javm_hash after = javm_data_root(data);
    cr_expect(javm_hash_equal(&before, &after));
    after = javm_data_root(clone);
    cr_expect_not(javm_hash_equal(&before, &after));
    /* The other direction: what the original does the clone does not see. */
    const uint8_t *kept = javm_data_page(clone, 3);
    write_pattern(data, 3, 201);
    pattern_page(4, expected);
    cr_expect_eq(javm_data_page(clone, 3), kept);
    cr_expect_arr_eq(kept, expected, PAGE);
    javm_cap_release(data);
    cr_expect_arr_eq(javm_data_page(clone, 3), expected, PAGE);
    javm_cap_release(clone);
    REQUIRE_NO_LEAKS();
}

Test(data, zeros_in_a_clone_leave_the_original)
{
    static const uint8_t zeros[PAGE];
    struct javm_cap *data = patterned(3), *clone = javm_cap_clone(data);
    for (uint64_t i = 0; i < 3; i++)
        cr_expect_eq(javm_data_write_page(clone, i, zeros), JAVM_OK);
    uint8_t expected[PAGE];
    for (uint64_t i = 0; i < 3; i++) {
        pattern_page((unsigned)i + 1, expected);
        cr_expect_null(javm_data_page(clone, i));
        cr_assert_not_null(javm_data_page(data, i));
        cr_expect_arr_eq(javm_data_page(data, i), expected, PAGE);
    }
    javm_cap_release(data);
    javm_cap_release(clone);
    REQUIRE_NO_LEAKS();
}

/* ---- a write whose source is the page that it replaces ---------------------------------- */

Test(data, source_is_the_page_itself)
{
    uint8_t expected[PAGE];
    for (unsigned clones = 0; clones < 3; clones++) {
        struct javm_cap *data = patterned(6), *other = NULL;
        if (clones > 0)
            other = javm_cap_clone(data);
        if (clones > 1) { /* the page is ours alone again, below nodes that were shared */
            javm_cap_release(other);
            other = NULL;
        }
        cr_assert_eq(javm_data_write_page(data, 4, javm_data_page(data, 4)), JAVM_OK);
        pattern_page(5, expected);
        cr_expect_arr_eq(javm_data_page(data, 4), expected, PAGE);
        if (other != NULL)
            cr_expect_arr_eq(javm_data_page(other, 4), expected, PAGE);
        javm_cap_release(other);
        javm_cap_release(data);
    }
    REQUIRE_NO_LEAKS();
}

Test(data, source_is_a_page_of_a_relative)
{
    uint8_t expected[PAGE];
    struct javm_cap *data = patterned(6), *clone = javm_cap_clone(data);
    write_pattern(clone, 4, 99);
    /* from a clone's page at the same place, and from another place of the same Data */
    cr_assert_eq(javm_data_write_page(data, 4, javm_data_page(clone, 4)), JAVM_OK);
    cr_assert_eq(javm_data_write_page(data, 0, javm_data_page(data, 4)), JAVM_OK);
    cr_assert_eq(javm_data_write_page(clone, 1, javm_data_page(clone, 2)), JAVM_OK);
    javm_cap_release(clone);
    pattern_page(99, expected);
    cr_expect_arr_eq(javm_data_page(data, 4), expected, PAGE);
    cr_expect_arr_eq(javm_data_page(data, 0), expected, PAGE);
    pattern_page(2, expected);
    cr_expect_arr_eq(javm_data_page(data, 1), expected, PAGE);
    javm_cap_release(data);
    REQUIRE_NO_LEAKS();
}

/* ---- reading ---------------------------------------------------------------------------- */

Test(data, read)
{
    static struct model model = {.pages = 7};
    static uint8_t out[7 * PAGE + 2], flat[7 * PAGE];
    struct random random = {3};
    struct javm_cap *data = javm_data_new_zero(7);
    for (uint64_t i = 0; i < 7; i += 2) { /* every second page stays zero */
        random_bytes(&random, model.bytes[i], PAGE);
        cr_assert_eq(javm_data_write_page(data, i, model.bytes[i]), JAVM_OK);
    }
    memcpy(flat, model.bytes, sizeof flat);
    for (unsigned round = 0; round < 500; round++) {
        const size_t from = (size_t)random_below(&random, sizeof flat + 1);
        const size_t len = (size_t)random_below(&random, sizeof flat - from + 1);
        memset(out, 0xEE, sizeof out);
        javm_data_read(data, from, out + 1, len);
        cr_assert_arr_eq(out + 1, flat + from, len);
        cr_assert(out[0] == 0xEE && out[len + 1] == 0xEE, "wrote beside the buffer");
    }
    javm_cap_release(data);
}

/* ---- roots ------------------------------------------------------------------------------ */

/* A value and the model that it must go on to equal. */
struct version {
    struct javm_cap *data;
    struct model *model;
};

static void version_write(struct version *v, struct random *random)
{
    static const uint8_t zeros[PAGE];
    if (v->model->pages == 0)
        return;
    const uint64_t page = random_below(random, v->model->pages);
    uint8_t bytes[PAGE];
    pattern_page((unsigned)random_below(random, 256), bytes);
    const uint64_t what = random_below(random, 4);
    const uint8_t *from = what == 0 ? zeros : bytes;
    if (what == 1) { /* what another page holds, straight from the tree */
        const uint8_t *stored = javm_data_page(v->data, random_below(random, v->model->pages));
        from = stored != NULL ? stored : zeros;
    }
    memmove(v->model->bytes[page], from, PAGE);
    cr_assert_eq(javm_data_write_page(v->data, page, from), JAVM_OK);
}

/* Growing and cutting: sizes are fixed, so another Data takes over the pages. */
static void version_resize(struct version *v, uint64_t pages)
{
    struct javm_cap *data = javm_data_new_zero(pages);
    for (uint64_t i = 0; i < pages && i < v->model->pages; i++)
        if (javm_data_page(v->data, i) != NULL)
            cr_assert_eq(javm_data_write_page(data, i, javm_data_page(v->data, i)), JAVM_OK);
    for (uint64_t i = pages; i < v->model->pages; i++)
        memset(v->model->bytes[i], 0, PAGE);
    v->model->pages = pages;
    javm_cap_release(v->data);
    v->data = data;
}

static void version_copy(struct version *to, const struct version *from)
{
    struct javm_cap *clone = javm_cap_clone(from->data);
    cr_assert_not_null(clone);
    javm_cap_release(to->data);
    to->data = clone;
    *to->model = *from->model;
}

static void version_step(struct version *versions, size_t count, struct random *random)
{
    struct version *v = &versions[random_below(random, count)];
    switch (random_below(random, 16)) {
    case 0:
        version_copy(v, &versions[random_below(random, count)]);
        break;
    case 1:
        version_resize(v, random_below(random, MAX_MODEL + 1));
        break;
    case 2:
        expect_root(v->data, v->model);
        break;
    case 3:
        javm_data_root(v->data); /* remembers hashes that later writes must forget */
        break;
    default:
        version_write(v, random);
    }
}

/* Several relatives change in turn; none may disturb another, and each root must be the one that
 * the rules give for the bytes alone. */
Test(data, random_histories)
{
    enum { VERSIONS = 4 };
    static struct model models[VERSIONS];
    struct version versions[VERSIONS];
    for (uint64_t seed = 0; seed < 8; seed++) {
        struct random random = {seed};
        memset(models, 0, sizeof models);
        for (size_t i = 0; i < VERSIONS; i++) {
            versions[i] = (struct version){javm_data_new_zero(0), &models[i]};
            version_resize(&versions[i], random_below(&random, MAX_MODEL + 1));
        }
        for (unsigned step = 0; step < 400 * stress_factor(); step++)
            version_step(versions, VERSIONS, &random);
        for (size_t i = 0; i < VERSIONS; i++) {
            expect_model(versions[i].data, &models[i]);
            expect_root(versions[i].data, &models[i]);
            struct javm_cap *fresh = javm_data_new(models[i].bytes, models[i].pages * PAGE);
            const struct javm_hash a = cap_hash_of(versions[i].data), b = cap_hash_of(fresh);
            cr_assert(javm_hash_equal(&a, &b));
            javm_cap_release(fresh);
            javm_cap_release(versions[i].data);
        }
    }
    REQUIRE_NO_LEAKS();
}

Test(data, rehash_looks_at_what_changed_only)
{
    const uint64_t count = 64; /* 6 levels of inner nodes */
    struct javm_cap *data = patterned(count);
    cr_expect_eq(hashes_of_root(data), 64 + 63);
    cr_expect_eq(hashes_of_root(data), 0);
    write_pattern(data, 20, 150);
    cr_expect_eq(hashes_of_root(data), 1 + 6);
    write_pattern(data, 20, 151);
    write_pattern(data, 21, 152);
    cr_expect_eq(hashes_of_root(data), 2 + 6);
    struct javm_cap *clone = javm_cap_clone(data);
    cr_expect_eq(hashes_of_root(clone), 0);
    write_pattern(clone, 63, 153);
    cr_expect_eq(hashes_of_root(clone), 1 + 6);
    cr_expect_eq(hashes_of_root(data), 0);
    javm_cap_release(clone);
    javm_cap_release(data);
}

Test(data, sparse_hash_costs_what_is_stored)
{
    struct javm_cap *data = javm_data_new_zero(MOST);
    cr_expect_eq(hashes_of_root(data), 0);
    write_pattern(data, 5, 1);
    cr_expect_eq(hashes_of_root(data), 1 + 20);
    write_pattern(data, MOST - 1, 2);
    cr_expect_eq(hashes_of_root(data), 1 + 20);
    javm_cap_release(data);
}
