/* Where a program's parts lie at its start. Catches: a region at another address, with the wrong
 * access or content, rounded the wrong way, a heap that begins elsewhere or reaches into the stack,
 * registers that are not as a program expects them. The numbers are worked out by hand from PVM
 * 10.1 and 10.2. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <string.h>

#include "tests/loaders/pvm_maker.h"

static void check(const struct javm_pvm_memory *memory, unsigned i, enum javm_pvm_role role,
                  bool writable, uint64_t start, uint64_t size, const void *content,
                  uint64_t content_len)
{
    cr_assert_lt(i, memory->region_count);
    const struct javm_pvm_region *r = &memory->regions[i];
    cr_expect(r->role == role && r->writable == writable, "region %u", i);
    cr_expect_eq(r->start, start, "region %u is at 0x%" PRIx64, i, r->start);
    cr_expect_eq(r->size, size, "region %u has 0x%" PRIx64, i, r->size);
    cr_expect(r->content_len == content_len &&
              (content_len == 0 || memcmp(r->content, content, content_len) == 0));
}

Test(container_memory, standard_program)
{
    static uint8_t ro[0x10001], args[4097];
    const struct spi_source source = {.code = pvm_sample,
                                      .ro = ro,
                                      .ro_len = sizeof ro,
                                      .rw = (const uint8_t *)"variables",
                                      .rw_len = 9,
                                      .heap_pages = 3,
                                      .stack = 0x2001};
    const struct javm_pvm_setup setup = {.args = args, .args_len = sizeof args};
    struct javm_pvm_program program;
    struct javm_pvm_memory memory;
    struct javm_error err;
    struct blob blob = spi_make(&source);
    memset(args, 7, sizeof args);
    cr_assert_eq(javm_pvm_load(blob.bytes, blob.len, JAVM_PVM_SPI, &program, &err), JAVM_OK);
    cr_assert_eq(javm_pvm_memory(&program, &setup, &memory, &err), JAVM_OK);
    cr_assert_eq(memory.region_count, 4);
    check(&memory, 0, JAVM_PVM_RO, false, 0x10000, 0x11000, ro, sizeof ro);
    check(&memory, 1, JAVM_PVM_RW, true, 0x40000, 0x4000, "variables", 9);
    check(&memory, 2, JAVM_PVM_STACK, true, 0xFEFDD000, 0x3000, NULL, 0);
    check(&memory, 3, JAVM_PVM_ARGS, false, 0xFEFF0000, 0x2000, args, sizeof args);
    cr_expect_eq(memory.heap_start, 0x44000);
    cr_expect_eq(memory.heap_end, 0xFEFDD000);
    const uint64_t regs[13] = {
        [0] = 0xFFFF0000, [1] = 0xFEFE0000, [7] = 0xFEFF0000, [8] = sizeof args};
    cr_expect_arr_eq(memory.regs, regs, sizeof regs);
    /* without arguments nothing is there, but its address is the same */
    cr_assert_eq(javm_pvm_memory(&program, NULL, &memory, &err), JAVM_OK);
    cr_expect(memory.region_count == 3 && memory.regs[7] == 0xFEFF0000 && memory.regs[8] == 0);
    /* 2^24 bytes and no more; the program's part is never used as what it is not */
    const struct javm_pvm_setup most = {.args_len = 1 << 24}, more = {.args_len = (1 << 24) + 1};
    cr_assert_eq(javm_pvm_memory(&program, &most, &memory, &err), JAVM_OK);
    cr_expect_eq(memory.regions[3].start + memory.regions[3].size, UINT64_C(0xFFFF0000));
    cr_expect_eq(javm_pvm_memory(&program, &more, &memory, &err), JAVM_E_LIMIT);
    cr_expect_eq(memory.region_count, 0);
    const struct javm_pvm_setup pages = {.page_size = 0x4000};
    cr_expect_eq(javm_pvm_memory(&program, &pages, &memory, &err), JAVM_E_LIMIT);
    javm_pvm_clear(&program);
    blob_free(&blob);
}

/* The largest header there can be still fits. */
Test(container_memory, largest_standard_program)
{
    uint8_t *bytes = calloc(1, 0xFFFFFF);
    cr_assert_not_null(bytes);
    const struct spi_source source = {.code = pvm_sample,
                                      .ro = bytes,
                                      .ro_len = 0xFFFFFF,
                                      .rw = bytes,
                                      .rw_len = 0xFFFFFF,
                                      .heap_pages = 0xFFFF,
                                      .stack = 0xFFFFFF};
    struct javm_pvm_program program;
    struct javm_pvm_memory memory;
    struct blob blob = spi_make(&source);
    free(bytes);
    cr_assert_eq(javm_pvm_load(blob.bytes, blob.len, JAVM_PVM_ANY, &program, NULL), JAVM_OK);
    cr_assert_eq(javm_pvm_memory(&program, NULL, &memory, NULL), JAVM_OK);
    check(&memory, 1, JAVM_PVM_RW, true, 0x1020000, 0x1000000 + 0xFFFF000, program.rw, 0xFFFFFF);
    cr_expect_eq(memory.heap_start, 0x1201F000);
    cr_expect_eq(memory.heap_end, 0xFEFE0000 - 0x1000000);
    javm_pvm_clear(&program);
    blob_free(&blob);
}

static enum javm_status load_polkavm(uint32_t ro, uint32_t rw, uint32_t stack,
                                     struct javm_pvm_program *program)
{
    const struct polkavm_source source = {.code = pvm_sample,
                                          .version = 0,
                                          .ro_size = ro,
                                          .rw_size = rw,
                                          .stack_size = stack,
                                          .ro = (const uint8_t *)"ro",
                                          .ro_len = ro > 0 ? 2 : 0};
    struct blob blob = polkavm_make(&source);
    const enum javm_status status =
        javm_pvm_load(blob.bytes, blob.len, JAVM_PVM_POLKAVM, program, NULL);
    blob_free(&blob);
    return status;
}

Test(container_memory, polkavm)
{
    static const uint8_t aux[0x10001];
    struct javm_pvm_setup setup = {.args = aux, .args_len = sizeof aux};
    struct javm_pvm_program program;
    struct javm_pvm_memory memory;
    cr_assert_eq(load_polkavm(0x10001, 5, 1, &program), JAVM_OK);
    cr_assert_eq(javm_pvm_memory(&program, NULL, &memory, NULL), JAVM_OK);
    cr_assert_eq(memory.region_count, 3);
    check(&memory, 0, JAVM_PVM_RO, false, 0x10000, 0x11000, "ro", 2);
    check(&memory, 1, JAVM_PVM_RW, true, 0x40000, 0x1000, NULL, 0);
    check(&memory, 2, JAVM_PVM_STACK, true, 0xFFFDF000, 0x1000, NULL, 0);
    cr_expect_eq(memory.heap_start, 0x40005);
    cr_expect_eq(memory.heap_end, 0xFFFDF000);
    const uint64_t regs[13] = {[0] = 0xFFFF0000, [1] = 0xFFFE0000};
    cr_expect_arr_eq(memory.regs, regs, sizeof regs);
    setup.page_size = 0x10000;
    cr_assert_eq(javm_pvm_memory(&program, &setup, &memory, NULL), JAVM_OK);
    cr_assert_eq(memory.region_count, 4);
    check(&memory, 0, JAVM_PVM_RO, false, 0x10000, 0x20000, "ro", 2);
    check(&memory, 1, JAVM_PVM_RW, true, 0x40000, 0x10000, NULL, 0);
    check(&memory, 2, JAVM_PVM_STACK, true, 0xFFFB0000, 0x10000, NULL, 0);
    check(&memory, 3, JAVM_PVM_ARGS, false, 0xFFFD0000, 0x20000, aux, sizeof aux);
    cr_expect_eq(memory.regs[1], 0xFFFC0000);
    setup.page_size = 0x4000;
    cr_assert_eq(javm_pvm_memory(&program, &setup, &memory, NULL), JAVM_OK);
    check(&memory, 3, JAVM_PVM_ARGS, false, 0xFFFD0000, 0x14000, aux, sizeof aux);
    setup.page_size = 0x2000;
    cr_expect_eq(javm_pvm_memory(&program, &setup, &memory, NULL), JAVM_E_LIMIT);
    setup.page_size = 0;
    setup.args_len = (UINT64_C(1) << 32) + 1;
    cr_expect_eq(javm_pvm_memory(&program, &setup, &memory, NULL), JAVM_E_LIMIT);
    javm_pvm_clear(&program);
}

/* All but five zones of 64 KiB may be used. */
Test(container_memory, largest_polkavm)
{
    const struct javm_pvm_setup setup = {.args = (const uint8_t *)"x", .args_len = 1};
    struct javm_pvm_program program;
    struct javm_pvm_memory memory;
    cr_assert_eq(load_polkavm(0x80000000, 0x7FFA0000, 0x10000, &program), JAVM_OK);
    cr_assert_eq(javm_pvm_memory(&program, NULL, &memory, NULL), JAVM_OK);
    check(&memory, 2, JAVM_PVM_STACK, true, 0xFFFD0000, 0x10000, NULL, 0);
    check(&memory, 1, JAVM_PVM_RW, true, 0x80020000, 0x7FFA0000, NULL, 0);
    cr_expect_eq(javm_pvm_memory(&program, &setup, &memory, NULL), JAVM_E_RANGE);
    javm_pvm_clear(&program);
    cr_assert_eq(load_polkavm(0x80000000, 0x7FFA0001, 0x10000, &program), JAVM_E_RANGE);
    cr_assert_eq(load_polkavm(0xFFFFFFFF, 0xFFFFFFFF, 0xFFFFFFFF, &program), JAVM_E_RANGE);
}

Test(container_memory, code_blobs_have_none)
{
    const struct javm_pvm_setup setup = {.args_len = 1};
    const uint64_t none[13] = {0};
    struct javm_pvm_program program;
    struct javm_pvm_memory memory;
    struct blob blob = {0};
    blob_code(&blob, &pvm_sample, false);
    cr_assert_eq(javm_pvm_load(blob.bytes, blob.len, JAVM_PVM_ANY, &program, NULL), JAVM_OK);
    cr_assert_eq(javm_pvm_memory(&program, NULL, &memory, NULL), JAVM_OK);
    cr_expect(memory.region_count == 0 && memory.heap_start == 0 && memory.heap_end == 0);
    cr_expect_arr_eq(memory.regs, none, sizeof none);
    cr_expect_eq(javm_pvm_memory(&program, &setup, &memory, NULL), JAVM_E_LIMIT);
    javm_pvm_clear(&program);
    blob_free(&blob);
}
