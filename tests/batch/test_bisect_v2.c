/* Two engines that part in a job of the JAR v2 kernel (batch/bisect_v2.h), as
 * tests/batch/test_bisect.c.
 *
 * Would catch: a difference in registers that no result shows and that is not found; another amount
 * of gas that is blamed; a difference where there is none, be it of a job that is refused. */
#include <criterion/criterion.h>

#include "batch/bisect_v2.h"
#include "tests/batch/spoil.h"
#include "tests/module/module_support.h"

#define CONSTANT 0x12345678

static struct v2_program program;
static struct v2_runner runners[2];
static struct javm_jit *jit;
static char text[8192];

static bool part(uint64_t gas)
{
    const struct javm_v2_options options[] = {{.engine = JAVM_ENGINE_INTERP},
                                              {.engine = JAVM_ENGINE_JIT, .jit = jit}};
    const struct javm_v2_service service = {.id = 1};
    struct v2_job v2 = {.program = &program,
                        .state = {.context = JAVM_V2_REFINE,
                                  .services = &service,
                                  .service_count = 1,
                                  .quota_service = JAVM_V2_NONE}};
    const struct job job = {.gas = gas, .v2 = &v2};
    struct bisect_v2 sides = {
        .runners = {&runners[0], &runners[1]}, .options = {&options[0], &options[1]}, .job = &job};
    const struct bisect b = {
        .names = {"interp", "jit"}, .context = &sides, .probe = bisect_v2_probe};
    struct javm_error err;
    bool parted;
    cr_assert_eq(bisect(&b, gas, &parted, text, sizeof text, &err), JAVM_OK, "%s", err.text);
    return parted;
}

static void expect_text(const char *part)
{
    cr_expect(strstr(text, part) != NULL, "expected '%s' in:\n%s", part, text);
}

static void load_jar(const struct pvm_text *t)
{
    struct blob data = {0};
    struct javm_error err;
    uint8_t starts[PVM_CODE];
    const struct pvm_source source = source_of(t, starts);
    blob_code(&data, &source, false);
    const struct jar_source_entry entries[] = {{64, 0, 0, 0, 0, 0, (uint32_t)data.len},
                                               {65, 1, 0x10, 1, 1, 0, 0}};
    struct blob jar = jar_make(10, 64, entries, 2, data.bytes, data.len);
    cr_assert_eq(v2_program_load(jar.bytes, jar.len, &program, &err), JAVM_OK, "%s", err.text);
    blob_free(&data);
    blob_free(&jar);
}

Test(bisect_v2, the_gas_and_the_register)
{
    if (!javm_engine_available(JAVM_ENGINE_JIT))
        cr_skip_test("no recompiler in this build");
    struct pvm_text t = {.len = 0};
    PVM(&t, 51, 5, 50); /* load_imm s0, 50 */
    PVM(&t, 1);
    PVM(&t, 51, 6, 0x78, 0x56, 0x34, 0x12); /* load_imm s1, CONSTANT */
    PVM(&t, 1);
    PVM(&t, 51, 6, 1); /* load_imm s1, 1 */
    PVM(&t, 1);
    PVM(&t, 0);
    load_jar(&t);
    cr_assert_eq(javm_jit_create(NULL, &jit, NULL), JAVM_OK);
    const uint64_t start = 1500; /* of the DATA page; less is refused */
    uint64_t least = 0;
    cr_expect_not(part(100000));
    for (uint64_t gas = start - 2; gas < start + 200; gas++)
        cr_expect_not(part(gas), "%s", text);
    cr_assert(spoil(CONSTANT, CONSTANT + 1));
    cr_expect_not(part(100000)); /* in the end nothing is different */
    cr_expect_not(part(start - 1));
    for (uint64_t gas = start; gas < start + 200 && least == 0; gas++)
        if (part(gas))
            least = gas;
    cr_assert_neq(least, 0);
    char expected[100];
    snprintf(expected, sizeof expected,
             "interp and jit part with %u gas, and with less they do not:\n", (unsigned)least);
    expect_text(expected);
    expect_text("  interp: out_of_gas, gas used ");
    expect_text("x9 (s1): 0x12345678 and 0x12345679\n");
    cr_expect_null(strstr(text, "x8 (s0): "), "equal registers are not shown:\n%s", text);
    for (unsigned i = 0; i < 2; i++)
        v2_runner_clear(&runners[i]);
    javm_v2_blob_release(program.blob);
    javm_jit_destroy(jit);
    REQUIRE_NO_LEAKS();
}
