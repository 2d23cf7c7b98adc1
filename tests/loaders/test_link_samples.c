/* Whole programs through javm_link_elf and the interpreter, against the same C compiled for this
 * machine. Catches: a wrong treatment of any relocation that clang and lld leave behind at some
 * optimisation level, with and without linker relaxation, in both code models and as PIC (the three
 * forms of jump tables); a marker that is missing, misplaced or jumped around; a branch that grew
 * wrongly (with a marker before every instruction most of them do); a pointer to code in data that
 * was not moved; the same of
 * translations to PVM. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "tests/data/elf/samples.h"
#include "tests/loaders/run_image.h"

static const struct {
    const char *name;
    uint64_t (*native)(uint64_t);
    uint64_t argument;
} samples[] = {
#define X(name, argument) {#name, sample_##name, argument},
    SAMPLES(X)
#undef X
};

/* Some samples keep state in .data, and natively all ELF files share it: a run must begin as the
 * guest does. */
static uint64_t expected(unsigned i)
{
    static uint64_t results[sizeof samples / sizeof *samples];
    static bool known[sizeof samples / sizeof *samples];
    if (!known[i])
        results[i] = samples[i].native(samples[i].argument);
    known[i] = true;
    return results[i];
}

static void check_elf(const char *file, bool mark_all, bool pvm)
{
    size_t len;
    uint8_t *bytes = read_elf(file, &len);
    struct javm_link_options options = {.mark_all = mark_all, .pvm = pvm};
    struct javm_bundle bundle = link_bytes(bytes, len, &options);
    for (unsigned i = 0; i < sizeof samples / sizeof *samples; i++) {
        struct run_result result = run_image(&bundle, i, samples[i].argument, 0);
        cr_expect(result.exit == JAVM_EXIT_HOST_CALL && result.arg == 0,
                  "%s %s: exit %s %lld at 0x%llx", file, samples[i].name,
                  javm_exit_name(result.exit), (long long)result.arg,
                  (unsigned long long)result.pc);
        cr_expect_eq(result.value, expected(i), "%s %s: 0x%llx instead of 0x%llx", file,
                     samples[i].name, (unsigned long long)result.value,
                     (unsigned long long)expected(i));
    }
    javm_bundle_clear(&bundle);
    free(bytes);
}

static const char *const files[] = {
    "samples_O0.elf",          "samples_O1.elf",  "samples_O2.elf",
    "samples_O3.elf",          "samples_Os.elf",  "samples_Oz.elf",
    "samples_norelaxlink.elf", "samples_pic.elf", "samples_medlow.elf"};

Test(link_samples, every_level_gives_native_results)
{
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
        check_elf(files[i], false, false);
}

Test(link_samples, every_instruction_marked)
{
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++)
        check_elf(files[i], true, false);
}

Test(link_samples, as_pvm)
{
    for (unsigned i = 0; i < 2 * (sizeof files / sizeof *files); i++)
        check_elf(files[i / 2], i % 2 != 0, true);
}

/* Without markers the samples could not run: the tests above would mean nothing if their inputs
 * needed none. At -O0 every block ends in a jump, so that file passes, unchanged. */
Test(link_samples, inputs_need_markers)
{
    struct javm_link_options keep = {.keep_layout = true};
    for (unsigned i = 0; i < sizeof files / sizeof *files; i++) {
        size_t len;
        uint8_t *bytes = read_elf(files[i], &len);
        struct javm_bundle bundle;
        struct javm_error err = {0};
        enum javm_status status = javm_link_elf(bytes, len, &keep, &bundle, NULL, &err);
        if (i == 0) {
            cr_assert_eq(status, JAVM_OK, "%s", err.text);
            struct run_result result = run_image(&bundle, 0, samples[0].argument, 0);
            cr_expect_eq(result.value, expected(0));
            javm_bundle_clear(&bundle);
        } else {
            cr_expect_eq(status, JAVM_E_FORMAT, "%s", files[i]);
            cr_expect(strstr(err.text, "not a block start") != NULL, "%s", err.text);
        }
        free(bytes);
    }
}

Test(link_samples, the_same_input_gives_the_same_file)
{
    size_t len, out_len[2];
    uint8_t *bytes = read_elf("samples_O2.elf", &len), *out[2];
    for (int i = 0; i < 2; i++) {
        struct javm_bundle bundle = link_bytes(bytes, len, NULL);
        cr_assert_eq(javm_bundle_encode(&bundle, &out[i], &out_len[i], NULL), JAVM_OK);
        javm_bundle_clear(&bundle);
    }
    cr_assert_eq(out_len[0], out_len[1]);
    cr_expect_arr_eq(out[0], out[1], out_len[0]);
    free(out[0]);
    free(out[1]);
    free(bytes);
}

Test(link_samples, one_auipc_for_two_users_and_a_store)
{
    for (int all = 0; all < 4; all++) {
        size_t len;
        uint8_t *bytes = read_elf("shared_low.elf", &len);
        struct javm_link_options options = {.mark_all = all % 2 == 1, .pvm = all >= 2};
        struct javm_bundle bundle = link_bytes(bytes, len, &options);
        struct run_result result = run_image(&bundle, 0, 1000, 0);
        cr_expect_eq(result.exit, JAVM_EXIT_HOST_CALL, "%s", javm_exit_name(result.exit));
        cr_expect_eq(result.value, 1042); /* 1000 + (5 + 37), through the table's second entry */
        javm_bundle_clear(&bundle);
        free(bytes);
    }
}
