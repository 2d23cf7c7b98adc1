/* Real files, damaged, and forged ones. Catches: reads outside the file (with a sanitizer),
 * crashes, damage that gives no message, messages that do not say what a user did wrong, and names
 * in a file that reach the terminal as they are. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "loaders/elf_read.h"
#include "tests/loaders/elf_maker.h"
#include "tests/loaders/run_image.h"

/* The prebuilt files that a compiler made, each wrong in the way its name says. */
Test(damaged, compiled_files)
{
    static const struct {
        const char *file, *text;
    } cases[] = {
        {"refuse_tls.elf", "thread-local storage"},
        {"refuse_gp.elf", "_start+0x2 (.text+0x2): \"addi x3, x10, 3\" uses x3 (gp)"},
        {"refuse_float.elf",
         "_start+0x2 (.text+0x2): reserved encoding 0x00b57553 (a floating-point"},
        {"refuse_norelax.elf", "auipc without a relocation: compile every object with -mrelax"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct javm_bundle bundle;
        struct javm_error err = {0};
        size_t len;
        uint8_t *bytes = read_elf(cases[i].file, &len);
        cr_expect_neq(javm_link_elf(bytes, len, NULL, &bundle, NULL, &err), JAVM_OK);
        cr_expect(strstr(err.text, cases[i].text) != NULL, "%s: %s", cases[i].file, err.text);
        free(bytes);
    }
}

/* Damage anywhere in a real file is an error or a link, never a crash or a read outside. */
Test(damaged, flipped_bits)
{
    size_t len;
    uint8_t *bytes = read_elf("shared_low.elf", &len), *copy = malloc(len);
    cr_assert_not_null(copy);
    unsigned refused = 0;
    uint32_t random = 12345;
    for (unsigned round = 0; round < 3000; round++) {
        memcpy(copy, bytes, len);
        for (unsigned k = 0; k < 1 + round % 3; k++) {
            random = random * 1664525 + 1013904223;
            /* pages of zeros separate the parts: most hits go to headers, tables and code */
            size_t at = (random >> 8) % len;
            while (copy[at] == 0 && at + 1 < len)
                at++;
            copy[at] = (uint8_t)(copy[at] ^ 1u << (random & 7));
        }
        struct javm_bundle bundle;
        struct javm_error err = {0};
        if (javm_link_elf(copy, len, NULL, &bundle, NULL, &err) != JAVM_OK) {
            cr_assert_neq(err.text[0], 0);
            refused++;
        }
        javm_bundle_clear(&bundle);
    }
    cr_expect_gt(refused, 300, "%u", refused);
    free(bytes);
    free(copy);
}

Test(damaged, truncated)
{
    size_t len;
    uint8_t *bytes = read_elf("samples_O2.elf", &len);
    for (size_t cut = 0; cut < len; cut += cut < 200 ? 1 : 61) {
        uint8_t *copy = malloc(cut + 1);
        cr_assert_not_null(copy);
        memcpy(copy, bytes, cut);
        struct javm_bundle bundle;
        cr_expect_neq(javm_link_elf(copy, cut, NULL, &bundle, NULL, NULL), JAVM_OK, "%zu", cut);
        free(copy);
    }
    free(bytes);
}

/* Relocations that say nothing may point anywhere: nobody checked their targets, so nobody may use
 * them. */
Test(damaged, relocations_without_meaning)
{
    static const uint8_t code[] = {0x05, 0x45, 0x01, 0x00, 0x0B, 0x20, 0x00, 0x00}, word[8] = {7};
    struct elf_recipe recipe = elf_simple(code, sizeof code);
    recipe.sections[1] =
        (struct make_section){".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 0x10000000, word, 8};
    recipe.relocs[0] = (struct make_reloc){2, 0x10000000, RISCV_NONE, 1, 1};
    recipe.relocs[1] = (struct make_reloc){2, 0x10000000, RISCV_RELAX, 1, 6};
    recipe.relocs[2] = (struct make_reloc){1, 0x400000, RISCV_RELAX, 1, 3};
    size_t len;
    uint8_t *bytes = elf_make(&recipe, &len), page[JAVM_PAGE_SIZE];
    struct javm_bundle bundle = link_bytes(bytes, len, NULL);
    javm_data_read(bundle.caps[0], 0, page, sizeof page);
    cr_expect_eq(page[0], 7);
    javm_bundle_clear(&bundle);
    free(bytes);
}

/* Names come from the file and go to terminals and logs, a line each. */
Test(damaged, names_with_control_characters)
{
    static const uint8_t ecall[] = {0x73, 0, 0, 0};
    struct elf_recipe recipe = elf_simple(ecall, sizeof ecall);
    struct javm_bundle bundle;
    struct javm_error err = {0};
    size_t len;
    recipe.symbols[0].name = "\033[2Jno\nname";
    uint8_t *bytes = elf_make(&recipe, &len);
    cr_expect_eq(javm_link_elf(bytes, len, NULL, &bundle, NULL, &err), JAVM_E_FORMAT);
    cr_expect_eq(strncmp(err.text, ".text+0x0: reserved encoding", 28), 0, "%s", err.text);
    free(bytes);
    recipe.sections[1] =
        (struct make_section){"x\ny\177", SHT_PROGBITS, SHF_ALLOC, 0x100, ecall, sizeof ecall};
    bytes = elf_make(&recipe, &len);
    cr_expect_eq(javm_link_elf(bytes, len, NULL, &bundle, NULL, &err), JAVM_E_RANGE);
    cr_expect_eq(strncmp(err.text, "(unprintable) is at 0x100", 25), 0, "%s", err.text);
    free(bytes);
}
