/* Two engines that part in a PVM program (batch/bisect_foreign.h), as tests/batch/test_bisect.c.
 *
 * Would catch: a difference that is not found because the result is the same, or because it is in
 * memory alone; another block, register or amount of gas that is blamed, or a place within the
 * block where gas is by the instruction; a difference where there is none, answers of the host and
 * ends of all kinds included; a run that sees what the one before it left. */
#include <criterion/criterion.h>

#include "batch/bisect_foreign.h"
#include "batch/definitions.h"
#include "batch/foreign.h"
#include "batch/partings.h"
#include "tests/batch/spoil.h"
#include "tests/module/module_support.h"

#define CONSTANT 0x12345678
#define RW       0, 0, 2, 0 /* 0x20000, little endian */

static struct javm_jit *jit;
static struct target target;
static struct foreign_runner *runners[2];
static char text[8192];

static void open_with(struct blob blob)
{
    struct foreign_stubs stubs = {NULL, 0};
    struct javm_error err;
    bool full;
    cr_assert(foreign_stubs_add(&stubs, "say=11", &full));
    cr_assert_eq(foreign_load(blob.bytes, blob.len, &stubs, false, &target.foreign, &err), JAVM_OK,
                 "%s", err.text);
    blob_free(&blob);
    free(stubs.items);
    cr_assert_eq(javm_jit_create(NULL, &jit, &err), JAVM_OK, "%s", err.text);
    runners[0] = foreign_runner_new(JAVM_ENGINE_INTERP, NULL);
    runners[1] = foreign_runner_new(JAVM_ENGINE_JIT, jit);
    cr_assert(runners[0] != NULL && runners[1] != NULL);
}

static void close_all(void)
{
    for (unsigned i = 0; i < 2; i++)
        foreign_runner_free(runners[i]);
    foreign_free(target.foreign);
    javm_jit_destroy(jit);
    REQUIRE_NO_LEAKS();
}

static bool part(uint32_t endpoint, uint64_t gas)
{
    const struct job job = {.gas = gas, .endpoint = endpoint, .target = &target};
    struct bisect_foreign foreign = {.runners = {runners[0], runners[1]}, .job = &job};
    const struct bisect b = {.names = {"interp", "jit"},
                             .context = &foreign,
                             .probe = bisect_foreign_probe,
                             .list = bisect_foreign_list};
    struct javm_error err;
    bool parted;
    cr_assert_eq(bisect(&b, job.gas, &parted, text, sizeof text, &err), JAVM_OK, "%s", err.text);
    return parted;
}

static void expect_text(const char *part)
{
    cr_expect(strstr(text, part) != NULL, "expected '%s' in:\n%s", part, text);
}

static void expect_place(uint32_t at, unsigned gas)
{
    char expected[100];
    snprintf(expected, sizeof expected, "part in the block at 0x%x, after %u gas:\n", at, gas);
    expect_text(expected);
    snprintf(expected, sizeof expected, "    %06x  ", at);
    expect_text(expected);
}

static struct blob polkavm_of(const struct pvm_text *t, const struct pvm_export *exports)
{
    static const char *const imports[] = {"say", NULL};
    uint8_t starts[PVM_CODE];
    const struct polkavm_source source = {.code = source_of(t, starts),
                                          .rw_size = 100,
                                          .rw = (const uint8_t *)"\x2A",
                                          .rw_len = 1,
                                          .stack_size = 4096,
                                          .imports = imports,
                                          .exports = exports};
    return polkavm_make(&source);
}

/* Rounds, then the constant in a block of its own, then something that forgets it. */
Test(bisect_foreign, the_block_the_register_and_the_gas)
{
    if (!javm_engine_available(JAVM_ENGINE_JIT))
        cr_skip_test("no recompiler in this build");
    struct pvm_text t = {.len = 0};
    PVM(&t, 51, 5, 50); /* load_imm s0, 50 */
    PVM(&t, 1);
    const uint32_t loop = t.len;
    PVM(&t, 149, 5 | 5 << 4, 0xFF);                      /* add_imm_64 s0, s0, -1 */
    PVM(&t, 82, 5 | 1 << 4, 0, (uint8_t)(loop - t.len)); /* branch_ne_imm s0, 0, loop */
    const uint32_t at = t.len;
    PVM(&t, 51, 8, 3);                      /* load_imm a1, 3 */
    PVM(&t, 51, 6, 0x78, 0x56, 0x34, 0x12); /* load_imm s1, CONSTANT */
    PVM(&t, 1);
    PVM(&t, 10, 0);    /* ecalli "say" */
    PVM(&t, 51, 6, 1); /* load_imm s1, 1 */
    RETURN(&t);
    const struct pvm_export exports[] = {{0, "go"}, {0}};
    open_with(polkavm_of(&t, exports));
    cr_expect_not(part(0, 1000));
    cr_expect_str_eq(text, "");
    cr_assert(spoil(CONSTANT, CONSTANT + 1));
    /* At the end nothing is different; gas that is used up before shows it. */
    cr_expect_not(part(0, 1000));
    cr_expect_not(part(0, 2 + 2 * 50));
    cr_assert(part(0, 2 + 2 * 50 + 3));
    expect_place(at, 2 + 2 * 50 + 2);
    expect_text("load_imm a1, 3\n");
    expect_text("load_imm s1, 0x12345678\n");
    expect_text("fallthrough\n  interp: goes on at 0x");
    expect_text("x9 (s1): 0x12345678 and 0x12345679\n");
    cr_expect_null(strstr(text, "branch"), "no other block:\n%s", text);
    cr_expect_null(strstr(text, "x8 (s0): "), "equal registers are not shown:\n%s", text);
    close_all();
}

/* A difference that lies in memory alone, with the same result: the fresh memory of each run has to
 * be seen, and all of it. */
Test(bisect_foreign, what_is_in_memory_alone)
{
    if (!javm_engine_available(JAVM_ENGINE_JIT))
        cr_skip_test("no recompiler in this build");
    struct pvm_text t = {.len = 0};
    PVM(&t, 10, 0); /* ecalli "say" */
    PVM(&t, 1);
    const uint32_t at = t.len;
    PVM(&t, 51, 6, 0x78, 0x56, 0x34, 0x12); /* load_imm s1, CONSTANT */
    PVM(&t, 61, 6, RW);                     /* store_u32 s1, [0x20000] */
    PVM(&t, 51, 6, 1);                      /* load_imm s1, 1 */
    PVM(&t, 1);
    RETURN(&t);
    const struct pvm_export exports[] = {{0, "go"}, {0}};
    open_with(polkavm_of(&t, exports));
    cr_expect_not(part(0, 1000));
    cr_assert(spoil(CONSTANT, CONSTANT + 1));
    cr_assert(part(0, 1000));
    expect_place(at, 5);
    expect_text("the registers are the same: it is in memory");
    expect_text("store_u32");
    close_all();
}

/* The same gas for the whole of a block (jar1): it is where it was entered. */
Test(bisect_foreign, gas_by_the_block)
{
    if (!javm_engine_available(JAVM_ENGINE_JIT))
        cr_skip_test("no recompiler in this build");
    struct pvm_text t = {.len = 0};
    uint8_t starts[PVM_CODE];
    PVM(&t, 51, 5, 50);
    PVM(&t, 1);
    const uint32_t at = t.len;
    PVM(&t, 51, 6, 0x78, 0x56, 0x34, 0x12); /* load_imm s1, CONSTANT */
    PVM(&t, 1);
    PVM(&t, 100, 7 | 6 << 4); /* move_reg a0, s1 */
    RETURN(&t);
    const struct pvm_source source = source_of(&t, starts);
    struct blob blob = {0};
    blob_code(&blob, &source, false);
    open_with(blob);
    cr_expect_not(part(0, 1000));
    cr_assert(spoil(CONSTANT, CONSTANT + 1));
    cr_assert(part(0, 1000));
    char expected[100];
    snprintf(expected, sizeof expected, "part in the block at 0x%x, after ", at);
    expect_text(expected);
    expect_text("x9 (s1): 0x12345678 and 0x12345679\n");
    close_all();
}

/* Ends of every kind, with all amounts of gas. */
Test(bisect_foreign, nothing_where_there_is_nothing)
{
    if (!javm_engine_available(JAVM_ENGINE_JIT))
        cr_skip_test("no recompiler in this build");
    struct pvm_text t = {.len = 0};
    struct pvm_export exports[6] = {{0}};
    exports[0] = (struct pvm_export){t.len, "count"};
    PVM(&t, 56, 7, RW); /* load_u32 a0, [0x20000] */
    PVM(&t, 149, 0x77, 1);
    PVM(&t, 61, 7, RW);
    RETURN(&t);
    exports[1] = (struct pvm_export){t.len, "fault"};
    PVM(&t, 61, 7, 0, 0, 9, 0);
    exports[2] = (struct pvm_export){t.len, "unknown"};
    PVM(&t, 10, 0);
    PVM(&t, 10, 44);
    exports[3] = (struct pvm_export){t.len, "trap"};
    PVM(&t, 51, 6, 9);
    PVM(&t, 0);
    exports[4] = (struct pvm_export){t.len, "spin"};
    PVM(&t, 40, 0);
    open_with(polkavm_of(&t, exports));
    /* One side has run it before, the other has not: that makes no difference. */
    const struct job once = {.gas = 100, .target = &target};
    struct javm_pvm_call call = {.gas = 100};
    struct javm_pvm_instance *instance;
    cr_assert_eq(foreign_call(runners[1], &once, 0, 0, &call, &instance, NULL), JAVM_OK);
    cr_assert_eq(call.value, 0x2B);
    cr_expect_not(part(0, 100), "%s", text);
    for (unsigned i = 0; i < 5; i++)
        for (uint64_t gas = 0; gas < 8; gas++)
            cr_expect_not(part(exports[i].pc, gas), "%s with %u gas:\n%s", exports[i].name,
                          (unsigned)gas, text);
    close_all();
}

/* As verify has it: the other engine is made there, and each job goes to the runs of its kind. */
Test(bisect_foreign, of_a_batch)
{
    if (!javm_engine_available(JAVM_ENGINE_JIT))
        cr_skip_test("no recompiler in this build");
    const struct javm_vm_options options = {.engine = JAVM_ENGINE_INTERP};
    struct pvm_text t = {.len = 0};
    struct partings *partings;
    struct parting *parting;
    struct javm_vm *vm;
    struct v2_runner v2 = {0};
    struct javm_error err;
    char *told = NULL, *logged = NULL;
    size_t sizes[2];
    PVM(&t, 51, 7, 0x78, 0x56, 0x34, 0x12); /* load_imm a0, CONSTANT */
    RETURN(&t);
    const struct pvm_export exports[] = {{0, "go"}, {0}};
    open_with(polkavm_of(&t, exports));
    cr_assert_eq(javm_vm_create(&options, &vm, &err), JAVM_OK, "%s", err.text);
    cr_assert_eq(partings_new(JAVM_ENGINE_INTERP, &partings, &err), JAVM_OK, "%s", err.text);
    const struct parting_own own = {
        .options = &options, .vm = vm, .foreign = runners[0], .v2 = &v2};
    cr_assert_eq(parting_new(partings, &own, &parting, &err), JAVM_OK, "%s", err.text);
    const struct job job = {.gas = 1000, .target = &target};
    parting_look(parting, NULL, &job, NULL);
    cr_assert(spoil(CONSTANT, CONSTANT + 1));
    parting_look(parting, NULL, &job, NULL);
    FILE *to = open_memstream(&told, &sizes[0]), *log = open_memstream(&logged, &sizes[1]);
    cr_assert(to != NULL && log != NULL);
    cr_expect_eq(partings_tell(partings, to, log), 1);
    fclose(to);
    fclose(log);
    cr_expect_str_eq(logged, "bisect: 2 jobs on both engines, which part in 1 of them\n");
    cr_expect(strstr(told, "interp and jit part in the block at 0x0") != NULL, "%s", told);
    free(told);
    free(logged);
    parting_free(parting);
    javm_vm_destroy(vm);
    foreign_runner_free(runners[0]); /* its instances go before the modules, these before code */
    runners[0] = NULL;
    foreign_close(target.foreign);
    partings_free(partings);
    close_all();
}
