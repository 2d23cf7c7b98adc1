/* Small files that claim to be huge, and PVM programs without memory. Catches: an allocation that
 * follows a number in the file instead of the bytes that are there, and a sum of parts (sections
 * over the same bytes, pages, lists) that nobody bounds; an allocation whose failure is not looked
 * at, or leaks.
 *
 * Two ways of looking: the linker hands every malloc, calloc and realloc of libjavm to the counters
 * below, and the whole process, libelf included, gets a limit on its address space. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/loaders/bad_containers.h"
#include "tests/loaders/bad_inputs.h"
#include "tests/loaders/bundle_maker.h"
#include "tests/loaders/elf_maker.h"
#include "tests/loaders/run_image.h"

/* Bytes asked for, all in all, freed or not. An instruction of two bytes becomes a record of about
 * 50 in a table that doubles. */
enum { BYTES_PER_BYTE = 128, BYTES_ALWAYS = 128 << 10 };

static uint64_t requested;
/* The allocation counted down to gets nothing; 0: none. */
static unsigned fails;

static bool fails_now(void)
{
    return fails > 0 && --fails == 0;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    requested += size;
    return fails_now() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    requested += count * size;
    return fails_now() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    requested += size;
    return fails_now() ? NULL : __real_realloc(old, size);
}

/* ---- files that are right, and claim much ------------------------------------------------ */

static const uint8_t plain[] = {0x05, 0x45, 0x01, 0x00, 0x0B, 0x20, 0x00, 0x00};

/* 3.25 GiB of zeros that are nowhere stored. */
static struct input large_bss(void)
{
    struct elf_recipe recipe = elf_simple(plain, sizeof plain);
    struct input input;
    recipe.sections[1] = (struct make_section){".bss",     SHT_NOBITS, SHF_ALLOC | SHF_WRITE,
                                               0x10000000, NULL,       UINT64_C(0xD0000000)};
    input.bytes = elf_make(&recipe, &input.len);
    return input;
}

/* A thousand times 4 GiB. */
static struct input large_data(void)
{
    struct raw raw = raw_bundle(1000, 0), body = {0};
    raw_le(&body, UINT64_C(1) << 32, 8);
    raw_le(&body, 0, 4);
    for (unsigned i = 0; i < 1000; i++)
        raw_cap(&raw, JAVM_DATA, body.bytes, body.len);
    raw_finish(&raw);
    free(body.bytes);
    return (struct input){raw.bytes, raw.len};
}

/* The same in the mapping of an image: 3.75 GiB of ephemeral memory. */
static struct input large_mapping(void)
{
    const struct javm_mapping mapping = {.start = 0x10000000, .size = UINT64_C(0xF0000000)};
    const struct javm_image fields = {
        .isa = JAVM_ISA_PVM2, .mappings = &mapping, .mapping_count = 1};
    struct javm_cap *image;
    struct raw raw = raw_bundle(1, 0);
    uint8_t *bytes;
    size_t len;
    cr_assert_eq(javm_image_new(&fields, &image, NULL), JAVM_OK);
    cr_assert_eq(javm_image_encode(image, &bytes, &len), JAVM_OK);
    raw_cap(&raw, JAVM_IMAGE, bytes, len);
    raw_finish(&raw);
    free(bytes);
    javm_cap_release(image);
    return (struct input){raw.bytes, raw.len};
}

static const struct bad large[] = {
    {"3.25 GiB of .bss", JAVM_OK, large_bss},
    {"1000 Data of 4 GiB", JAVM_OK, large_data},
    {"a mapping of 3.75 GiB", JAVM_OK, large_mapping},
};

/* ---- looking ---------------------------------------------------------------------------- */

static void load(const struct bad *bad)
{
    struct input input = bad->make();
    struct javm_bundle bundle;
    struct javm_error err = {0};
    requested = 0;
    enum javm_status status = javm_load(input.bytes, input.len, &bundle, &err);
    uint64_t limit = (uint64_t)input.len * BYTES_PER_BYTE + BYTES_ALWAYS;
    cr_expect_eq(status, bad->status, "%s: %s, %s", bad->what, javm_status_name(status), err.text);
    cr_expect_leq(requested, limit, "%s: %" PRIu64 " bytes allocated for a file of %zu", bad->what,
                  requested, input.len);
    javm_bundle_clear(&bundle);
    free(input.bytes);
}

static void load_container(const struct bad_container *bad)
{
    struct blob blob = bad_container_make(bad);
    struct javm_error err = {0};
    requested = 0;
    const enum javm_status status = bad_container_load(bad, blob.bytes, blob.len, &err);
    cr_expect_eq(status, bad->status, "%s: %s, %s", bad->what, javm_status_name(status), err.text);
    cr_expect_leq(requested, (uint64_t)blob.len * BYTES_PER_BYTE, "%s: %" PRIu64 " bytes allocated",
                  bad->what, requested);
    blob_free(&blob);
}

/* 3 GiB of variables in 21 bytes, and a jump table of 16 million entries of no bytes. */
static void load_claims(void)
{
    static const uint8_t memory[] = {0, 0xF0, 0, 0, 0, 0xC0, 0};
    static const uint8_t code[] = {0xE1, 0, 0, 0, 0, 1, 0, 1};
    struct blob blob = polkavm_begin(0);
    struct javm_pvm_program program;
    struct javm_error err = {0};
    polkavm_section(&blob, 1, memory, sizeof memory);
    polkavm_section(&blob, 6, code, sizeof code);
    polkavm_end(&blob);
    requested = 0;
    cr_expect_eq(javm_pvm_load(blob.bytes, blob.len, JAVM_PVM_ANY, &program, &err), JAVM_OK, "%s",
                 err.text);
    cr_expect_eq(program.rw_size, 0xC0000000u);
    cr_expect_eq(program.code.jump_len, 0);
    cr_expect_leq(requested, 64);
    javm_pvm_clear(&program);
    blob_free(&blob);
}

static void load_all(void)
{
    for (unsigned i = 0; i < bad_container_count; i++)
        load_container(&bad_containers[i]);
    load_claims();
    for (unsigned i = 0; i < bad_elf_count; i++)
        load(&bad_elf[i]);
    for (unsigned i = 0; i < bad_bundle_count; i++)
        load(&bad_bundles[i]);
    for (unsigned i = 0; i < sizeof large / sizeof *large; i++)
        load(&large[i]);
}

Test(allocation, is_bounded_by_what_is_there)
{
    load_all();
    /* the counters count: a real link needs more than nothing */
    size_t len;
    uint8_t *bytes = read_elf("samples_O2.elf", &len);
    requested = 0;
    struct javm_bundle bundle = link_bytes(bytes, len, NULL);
    cr_expect_gt(requested, len);
    cr_expect_leq(requested, len * BYTES_PER_BYTE + BYTES_ALWAYS);
    javm_bundle_clear(&bundle);
    free(bytes);
}

/* With the first allocation failing, the second, and so on until none does. */
static void load_without_memory(const struct bad_container *good)
{
    struct blob blob = bad_container_make(good);
    enum javm_status status = JAVM_E_NOMEM;
    unsigned nth = 0;
    while (status == JAVM_E_NOMEM) {
        struct javm_pvm_program program = {0};
        struct javm_jar jar = {0};
        struct javm_error err = {0};
        fails = ++nth;
        status = good->as == JAVM_PVM_JAR
                     ? javm_jar_load(blob.bytes, blob.len, &jar, &err)
                     : javm_pvm_load(blob.bytes, blob.len, good->as, &program, &err);
        cr_assert_eq(err.status, status);
        cr_assert((status == JAVM_OK) == (program.owned != NULL || jar.owned != NULL));
        fails = 0;
        javm_pvm_clear(&program);
        javm_jar_clear(&jar);
    }
    cr_assert_eq(status, JAVM_OK);
    cr_assert_gt(nth, 1);
    blob_free(&blob);
}

Test(allocation, failures_of_containers)
{
    for (unsigned i = 0; i < good_container_count; i++)
        load_without_memory(&good_containers[i]);
    REQUIRE_NO_LEAKS();
}

/* The same of the linker, for both instruction sets. */
Test(allocation, failures_of_linking)
{
    size_t len;
    uint8_t *bytes = read_elf("shared_low.elf", &len);
    for (unsigned pvm = 0; pvm < 2; pvm++) {
        const struct javm_link_options options = {.pvm = pvm != 0};
        enum javm_status status = JAVM_E_NOMEM;
        unsigned nth = 0;
        while (status == JAVM_E_NOMEM) {
            struct javm_bundle bundle;
            struct javm_error err = {0};
            char *map;
            fails = ++nth;
            status = javm_link_elf(bytes, len, &options, &bundle, &map, &err);
            fails = 0;
            cr_assert((status == JAVM_OK) == (bundle.caps != NULL && map != NULL));
            javm_bundle_clear(&bundle);
            free(map);
        }
        cr_assert_eq(status, JAVM_OK);
        cr_expect_gt(nth, 10);
    }
    free(bytes);
    REQUIRE_NO_LEAKS();
}

/* Sanitizers keep terabytes of shadow addresses: there the limit would stop the process itself. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SHADOWED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SHADOWED 1
#endif
#endif

#ifndef SHADOWED
Test(allocation, fits_a_small_address_space)
{
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    cr_assert_not_null(file);
    cr_assert_eq(fscanf(file, "%lu", &pages), 1);
    fclose(file);
    /* room for the largest input, 1 MiB of code, and what linking it takes */
    rlim_t bytes = (rlim_t)pages * (rlim_t)sysconf(_SC_PAGESIZE) + (UINT64_C(192) << 20);
    const struct rlimit limit = {bytes, bytes};
    cr_assert_eq(setrlimit(RLIMIT_AS, &limit), 0);
    cr_assert_null(__real_malloc(512 << 20), "the limit does not hold");
    load_all();
}
#endif
