/* What stands around the code of a linked image. Catches: data at wrong addresses or with the wrong
 * permission, a heap or stack that is not where docs/linking.md says, a missing guard page,
 * mappings of slots that are lost or unsorted, heap symbols that are not written, endpoints at
 * wrong offsets, and a map file that does not tell the truth. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/loaders/run_image.h"

enum { CONSTANT, VARIABLE, ZEROS, HEAP_START, HEAP_END, LOAD, STORE };

static struct javm_bundle layout(uint64_t stack, uint64_t heap)
{
    size_t len;
    uint8_t *bytes = read_elf("layout.elf", &len);
    struct javm_link_options options = {.stack_bytes = stack, .heap_bytes = heap};
    struct javm_bundle bundle = link_bytes(bytes, len, &options);
    free(bytes);
    return bundle;
}

static uint64_t value(const struct javm_bundle *bundle, uint64_t which, uint64_t at)
{
    struct run_result result = run_image(bundle, 0, which, at);
    cr_assert_eq(result.exit, JAVM_EXIT_HOST_CALL, "%llu at %llx: %s", (unsigned long long)which,
                 (unsigned long long)at, javm_exit_name(result.exit));
    return result.value;
}

static bool faults(const struct javm_bundle *bundle, uint64_t which, uint64_t at)
{
    return run_image(bundle, 0, which, at).exit == JAVM_EXIT_PAGE_FAULT;
}

Test(link_image, contents_and_permissions)
{
    struct javm_bundle bundle = layout(0, 0);
    cr_expect_eq(value(&bundle, CONSTANT, 2), 33);
    cr_expect_eq(value(&bundle, VARIABLE, 0), 44);
    cr_expect_eq(value(&bundle, ZEROS, 999), 0);
    cr_expect(!faults(&bundle, LOAD, 0x10000000));
    cr_expect(faults(&bundle, STORE, 0x10000000), "constants must be read-only");
    cr_expect_eq(value(&bundle, STORE, 0x10001000), STORE);
    javm_bundle_clear(&bundle);
}

Test(link_image, stack_and_heap)
{
    struct javm_bundle bundle = layout(5000, 0x12345);
    uint64_t start = value(&bundle, HEAP_START, 0), end = value(&bundle, HEAP_END, 0);
    cr_expect_eq(end - start, 0x13000);
    cr_expect_eq(start % 4096, 0);
    cr_expect_eq(value(&bundle, STORE, start), STORE);
    cr_expect_eq(value(&bundle, STORE, end - 8), STORE);
    cr_expect(faults(&bundle, LOAD, start - 8), "a guard page below the heap");
    cr_expect(faults(&bundle, LOAD, end));
    cr_expect_eq(value(&bundle, LOAD, start - 4096 - 8), 0, "the page before it is .bss");
    cr_expect_eq(value(&bundle, STORE, 0xF0000000 - 8192), STORE);
    cr_expect(faults(&bundle, LOAD, 0xF0000000 - 8192 - 8));
    cr_expect(faults(&bundle, LOAD, 0xF0000000));
    cr_expect_eq(javm_image_endpoint(image_of(&bundle), 0)->stack_top, 0xF0000000);
    javm_bundle_clear(&bundle);
}

Test(link_image, no_heap_is_an_empty_range)
{
    struct javm_bundle bundle = layout(0, 0);
    cr_expect_eq(value(&bundle, HEAP_START, 0), value(&bundle, HEAP_END, 0));
    javm_bundle_clear(&bundle);
}

Test(link_image, mappings_of_the_guest)
{
    struct javm_bundle bundle = layout(0, 4096);
    const struct javm_image *image = image_of(&bundle);
    const struct javm_mapping *scratch = NULL, *nested = NULL;
    for (uint32_t i = 0; i < image->mapping_count; i++) {
        if (image->mappings[i].start == 0x40000000)
            scratch = &image->mappings[i];
        if (image->mappings[i].start == 0x50000000)
            nested = &image->mappings[i];
    }
    cr_assert(scratch != NULL && nested != NULL);
    cr_expect(scratch->size == 0x2000 && scratch->depth == 1 && scratch->path[0].len == 1 &&
              scratch->path[0].bytes[0] == 0);
    cr_expect(nested->size == 0x1000 && nested->depth == 2 && nested->path[0].bytes[0] == 7 &&
              nested->path[1].bytes[0] == 9 && nested->path[1].len == 1);
    cr_expect_eq(image->mapping_count, 6);
    cr_expect_eq(javm_image_footprint(image), 1 + 2 + 1 + 2 + 1 + 16);
    javm_bundle_clear(&bundle);
}

Test(link_image, slots_and_roots)
{
    struct javm_bundle bundle = layout(0, 4096);
    const struct javm_image *image = image_of(&bundle);
    cr_assert_eq(bundle.root_count, 1);
    cr_expect_str_eq(bundle.roots[0].name, "image");
    cr_assert_eq(image->pinned_count, 1);
    cr_expect(memcmp(image->pinned[0].key.bytes, "ro", 3) == 0);
    cr_assert_eq(image->initial_count, 2);
    cr_expect(memcmp(image->initial[0].key.bytes, "da", 3) == 0);
    cr_expect(memcmp(image->initial[1].key.bytes, "he", 3) == 0);
    javm_bundle_clear(&bundle);
}

Test(link_image, sizes_that_cannot_be)
{
    size_t len;
    uint8_t *bytes = read_elf("layout.elf", &len);
    const struct {
        struct javm_link_options options;
        const char *text;
    } cases[] = {
        {{.stack_bytes = UINT64_MAX}, "each can have at most"},
        {{.heap_bytes = UINT64_C(1) << 33}, "each can have at most"},
        {{.heap_bytes = 0x30000000},
         "heap 0x10004000+0x30000000 overlaps .javm.mappings 0x40000000"},
        {{.stack_bytes = 0xA0000000}, "overlaps"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct javm_bundle bundle;
        struct javm_error err = {0};
        cr_expect_eq(javm_link_elf(bytes, len, &cases[i].options, &bundle, NULL, &err),
                     JAVM_E_RANGE);
        cr_expect(strstr(err.text, cases[i].text) != NULL, "%u: %s", i, err.text);
    }
    free(bytes);
}

/* ---- the map ---------------------------------------------------------------------------- */

static uint64_t number_after(const char *text, const char *key, int base)
{
    const char *at = strstr(text, key);
    cr_assert_not_null(at, "%s not in map", key);
    return strtoull(at + strlen(key), NULL, base);
}

Test(link_image, the_map_tells_the_truth)
{
    size_t len;
    uint8_t *bytes = read_elf("samples_O2.elf", &len);
    struct javm_bundle bundle;
    struct javm_error err = {0};
    char *map;
    cr_assert_eq(javm_link_elf(bytes, len, NULL, &bundle, &map, &err), JAVM_OK, "%s", err.text);
    const struct javm_image *image = image_of(&bundle);
    struct javm_program *program;
    struct javm_program_key key = {.footprint_pages = javm_image_footprint(image)};
    cr_assert_eq(javm_program_decode_pvm2(image->code, image->code_len, &key, &program, NULL),
                 JAVM_OK);

    /* every block once, in order, with the cost that the engine charges */
    uint64_t block = 0;
    for (const char *at = map; (at = strstr(at, "\n  block new ")) != NULL; at++) {
        struct javm_block_info info;
        cr_assert_lt(block, javm_program_blocks(program));
        javm_program_block(program, block++, &info);
        cr_expect_eq(number_after(at, "new ", 16), info.start);
        if (info.ecall)
            cr_expect_eq(strncmp(strstr(at, "gas "), "gas dynamic", 11), 0);
        else
            cr_expect_eq(number_after(at, "gas ", 10), info.cost);
    }
    cr_expect_eq(block, javm_program_blocks(program));

    /* functions cover the code, and the markers add up */
    uint64_t covered = 0, markers = 0;
    for (const char *at = map; (at = strstr(at, "\nfunction ")) != NULL; at++) {
        covered += number_after(at, "bytes ", 10);
        markers += number_after(at, "markers ", 10);
    }
    cr_expect_eq(covered, image->code_len);
    cr_expect_eq(markers, number_after(map, "\nmarkers: ", 10));
    cr_expect_gt(markers, 0);
    cr_expect_eq(number_after(map, "endpoint 3: new ", 16),
                 javm_image_endpoint(image, 3)->entry_pc);
    cr_expect_not_null(strstr(map, "function sample_switch: "));
    javm_program_free(program);
    javm_bundle_clear(&bundle);
    free(map);
    free(bytes);
}

/* ---- looking at images ------------------------------------------------------------------ */

Test(link_image, linked_images_pass_the_check)
{
    size_t len;
    uint8_t *bytes = read_elf("samples_O3.elf", &len);
    struct javm_bundle bundle = link_bytes(bytes, len, NULL);
    char *findings;
    uint64_t problems;
    cr_assert_eq(javm_image_check(image_of(&bundle), &findings, &problems, NULL), JAVM_OK);
    cr_expect_eq(problems, 0, "%s", findings);
    free(findings);
    javm_bundle_clear(&bundle);
    free(bytes);
}

Test(link_image, the_check_finds_what_is_wrong)
{
    /* jal x0, +6 (into the middle of an addi); beq x0, x0, -16 (before the code); 0x0000; a lone
     * half word */
    static const uint8_t code[] = {0x6F, 0, 0x60, 0, 0x13, 0,    0,    0,    0xE3,
                                   0x08, 0, 0xFE, 0, 0,    0x01, 0x00, 0x13, 0};
    const struct javm_endpoint endpoint = {.index = 2, .entry_pc = 10};
    const struct javm_image image = {.isa = JAVM_ISA_PVM2,
                                     .code = code,
                                     .code_len = sizeof code,
                                     .endpoints = &endpoint,
                                     .endpoint_count = 1};
    char *findings;
    uint64_t problems;
    cr_assert_eq(javm_image_check(&image, &findings, &problems, NULL), JAVM_OK);
    cr_expect_str_eq(findings,
                     "0x000000: jal x0, +6 goes to 0x000006, which is not a block start\n"
                     "0x000008: beq x0, x0, -16 goes to -0x000008, which is not a block start\n"
                     "0x00000c: reserved 0x0 (panics when reached)\n"
                     "0x000010: the code ends inside an instruction\n"
                     "endpoint 2: 0x00000a is not a block start\n");
    cr_expect_eq(problems, 3);
    free(findings);
}

Test(link_image, the_check_finds_what_is_wrong_with_pvm)
{
    /* jump +1 (into itself); branch_eq_imm a0, 0, +0x7F00 (behind the code); an opcode that is
     * none; jump -5 to the branch, which is fine; jump -20 (before the code) */
    static const uint8_t code[] = {40, 1, 81, 7, 0, 127, 101, 40, (uint8_t)-5, 40, (uint8_t)-20};
    static const uint8_t bitmask[] = {0xC5, 0x02};
    static const uint32_t jump_table[] = {2, 3, 0x80000000};
    const struct javm_endpoint endpoints[] = {{.index = 1, .entry_pc = 7},
                                              {.index = 2, .entry_pc = 8}};
    struct javm_image image = {.isa = JAVM_ISA_PVM,
                               .code = code,
                               .code_len = sizeof code,
                               .bitmask = bitmask,
                               .jump_table = jump_table,
                               .jump_count = 3,
                               .endpoints = endpoints,
                               .endpoint_count = 2};
    char *findings;
    uint64_t problems;
    cr_assert_eq(javm_image_check(&image, &findings, &problems, NULL), JAVM_OK);
    cr_expect_str_eq(findings,
                     "0x000000: jump @000001 goes to where no instruction starts\n"
                     "0x000002: branch_eq_imm a0, 0, @007f02 goes to where no instruction starts\n"
                     "0x000006: invalid 0x65 (panics when reached)\n"
                     "0x000009: jump @fffffffffffffff5 goes to where no instruction starts\n"
                     "jump table entry 1: no instruction starts at 0x000003\n"
                     "jump table entry 2: no instruction starts at 0x80000000\n"
                     "endpoint 2: 0x000008 is not where an instruction starts\n");
    cr_expect_eq(problems, 6);
    free(findings);
    image.code_len = image.endpoint_count = image.jump_count = 0;
    cr_assert_eq(javm_image_check(&image, &findings, &problems, NULL), JAVM_OK);
    cr_expect_str_eq(findings, "");
    cr_expect_eq(problems, 0);
    free(findings);
}
