/* Two engines that part (batch/bisect.h). Native code is made wrong where it lies in memory, so the
 * recompiler's runs really come to something else.
 *
 * Would catch: a difference that is not found, or another block, register or amount of gas that is
 * blamed, of either instruction set; a difference where there is none; a job whose pauses, input or
 * chain make the runs unlike what the job does; states that pile up in the annex. */
#include <stdio.h>

#include "batch/bisect_image.h"
#include "tests/batch/spoil.h"
#include "tests/vm/kernel_support.h"
#include "tests/vm/pvm_support.h"

#define CONSTANT 0x12345678

static struct javm_vm *other; /* the interpreter */
static struct javm_annex *annex;
static char text[8192];

static void open_both(void)
{
    const struct javm_vm_options interp = {.engine = JAVM_ENGINE_INTERP};
    engine = JAVM_ENGINE_JIT;
    kernel_open(NULL);
    cr_assert_eq(javm_vm_create(&interp, &other, &err), JAVM_OK);
    annex = javm_annex_new();
    cr_assert_not_null(annex);
}

static void close_both(void)
{
    cr_expect_eq(javm_annex_count(annex, NULL), 0, "what the runs published is gone");
    javm_annex_free(annex);
    javm_vm_destroy(other);
    kernel_close();
}

static bool part(const struct job *job, const struct javm_hash *instance)
{
    const struct ground ground = {.instance = *instance};
    struct bisect_image image = {
        .vms = {other, w.vm}, .dir = w.dir, .annex = annex, .job = job, .ground = &ground};
    const struct bisect b = {.names = {"interp", "jit"},
                             .context = &image,
                             .probe = bisect_image_probe,
                             .list = bisect_image_list};
    bool parted;
    cr_assert_eq(bisect(&b, job->gas, &parted, text, sizeof text, &err), JAVM_OK, "%s", err.text);
    return parted;
}

static void expect_text(const char *part)
{
    cr_expect(strstr(text, part) != NULL, "expected '%s' in:\n%s", part, text);
}

/* Rounds, then the constant in a block of its own, then rounds that go by it. */
static struct code program(uint64_t *at)
{
    struct code c = {.count = 0};
    endpoint(&c);
    emit(&c, ADDI(8, 0, 50));
    emit(&c, FALLTHROUGH);
    emit(&c, ADDI(8, 8, -1));
    emit(&c, BNE(8, 0, -4));
    *at = 4 * (uint64_t)c.count;
    li(&c, 9, CONSTANT);
    emit(&c, ADDI(11, 0, 7));
    emit(&c, FALLTHROUGH);
    emit(&c, ADDI(8, 8, 1));
    emit(&c, ADD(9, 9, 8));
    emit(&c, op(PVM2_SLTIU, 12, 8, 0, 30));
    emit(&c, BNE(12, 0, -12));
    reply(&c, 1); /* the difference does not show in what it comes to */
    return c;
}

Test(bisect, the_block_the_register_and_the_gas)
{
    if (!javm_engine_available(JAVM_ENGINE_JIT))
        cr_skip_test("no recompiler in this build");
    open_both();
    uint64_t at;
    struct code c = program(&at);
    c.words[c.count - 2] = ADDI(A0, 9, 0); /* but here it does */
    const struct javm_hash image = image_of(&c), instance = instantiate(w.dir, &image);
    const struct job job = {.gas = PLENTY};
    cr_expect_not(part(&job, &instance));
    cr_expect_str_eq(text, "");
    cr_assert(spoil(CONSTANT, CONSTANT + 1));
    cr_assert(part(&job, &instance));
    char expected[100];
    snprintf(expected, sizeof expected, "part in the block at 0x%llx of image 0x",
             (unsigned long long)at);
    expect_text(expected);
    expect_text("x9 (s1): 0x12345678 and 0x12345679");
    expect_text("lui"); /* the block is shown, */
    cr_expect_null(strstr(text, "bne"), "and no other:\n%s", text);
    cr_expect_null(strstr(text, "x8 (s0): "), "equal registers are not:\n%s", text);
    close_both();
}

/* The same of a PVM image, whose blocks can be entered anywhere: the listing has the code from
 * there on, as PVM's. */
Test(bisect, the_block_of_a_pvm_image)
{
    if (!javm_engine_available(JAVM_ENGINE_JIT))
        cr_skip_test("no recompiler in this build");
    open_both();
    struct pvm_text t = {.len = 0};
    const struct javm_endpoint start = {.entry_pc = 0};
    PVM(&t, 51, 5, 50); /* load_imm s0, 50 */
    PVM(&t, 1);
    const uint32_t loop = t.len;
    PVM(&t, 149, 5 | 5 << 4, 0xFF);                      /* add_imm_64 s0, s0, -1 */
    PVM(&t, 82, 5 | 1 << 4, 0, (uint8_t)(loop - t.len)); /* branch_ne_imm s0, 0, loop */
    const uint32_t at = t.len;
    PVM(&t, 51, 6, 0x78, 0x56, 0x34, 0x12); /* load_imm s1, CONSTANT */
    PVM(&t, 149, 6 | 6 << 4, 1);            /* add_imm_64 s1, s1, 1 */
    PVM(&t, 1);
    PVM(&t, 100, 7 | 6 << 4); /* move_reg a0, s1 */
    PVM(&t, 10, 0);           /* ecalli 0 */
    PVM(&t, 0);
    const struct javm_image fields = {.isa = JAVM_ISA_PVM,
                                      .code = t.code,
                                      .code_len = t.len,
                                      .bitmask = t.bitmask,
                                      .bitmask_len = (t.len + 7) / 8,
                                      .endpoints = &start,
                                      .endpoint_count = 1};
    const struct javm_hash image = publish_image(w.dir, &fields),
                           instance = instantiate(w.dir, &image);
    const struct job job = {.gas = PLENTY};
    cr_expect_not(part(&job, &instance));
    cr_assert(spoil(CONSTANT, CONSTANT + 1) || spoil(CONSTANT + 1, CONSTANT + 2));
    cr_assert(part(&job, &instance));
    char expected[100];
    snprintf(expected, sizeof expected, "part in the block at 0x%x of image 0x", at);
    expect_text(expected);
    snprintf(expected, sizeof expected, "    %06x  load_imm s1, 0x12345678\n", at);
    expect_text(expected);
    expect_text("add_imm_64 s1, s1, 1\n");
    expect_text("fallthrough\n  interp: ");
    expect_text("x9 (s1): 0x12345679 and 0x1234567a");
    close_both();
}

/* It is found in a callee, too, and when the job's result is what both come to. */
Test(bisect, in_a_callee)
{
    if (!javm_engine_available(JAVM_ENGINE_JIT))
        cr_skip_test("no recompiler in this build");
    open_both();
    uint64_t at;
    const struct code inner = program(&at);
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0);
    expect(&c, A1, 0);
    emit(&c, REPLY);
    const struct javm_hash child_image = image_of(&inner), child = instantiate(w.dir, &child_image),
                           image = image_of(&c);
    const struct slot slot = {5, child};
    const struct javm_hash instance = publish_instance(w.dir, &image, &slot, 1);
    const struct job job = {.gas = PLENTY};
    cr_expect_not(part(&job, &instance));
    cr_assert(spoil(CONSTANT, CONSTANT - 1));
    /* The callee's registers go with it: at the end nothing is different. */
    cr_expect_not(part(&job, &instance));
    /* Gas that ends inside it leaves its frame to be seen. */
    struct job short_of_gas = {.gas = 0};
    bool parted = false;
    for (uint64_t gas = 100; gas < 2000 && !parted; gas += 37) {
        short_of_gas.gas = gas;
        parted = part(&short_of_gas, &instance);
    }
    cr_assert(parted);
    expect_text("frames below: 1");
    expect_text("x9 (s1): 0x12345678 and 0x12345677");
    close_both();
}

/* Yields that nobody catches fault the guest, as they do when the job runs. */
Test(bisect, what_could_not_pause_does_not)
{
    if (!javm_engine_available(JAVM_ENGINE_JIT))
        cr_skip_test("no recompiler in this build");
    open_both();
    uint64_t at;
    struct code c = program(&at);
    c.count -= 2; /* instead of the reply */
    OP(&c, YIELD, 4);
    reply(&c, 1);
    static const struct javm_key key = {2, {1, 1}};
    const struct slot slot = {4, handle(javm_yield_sender(&key))};
    const struct javm_hash image = image_of(&c);
    const struct javm_hash instance = publish_instance(w.dir, &image, &slot, 1);
    const struct job job = {.gas = PLENTY}, reports = {.gas = PLENTY, .on_pause = ON_PAUSE_REPORT};
    cr_expect_not(part(&job, &instance));
    cr_assert(spoil(CONSTANT, CONSTANT + 1));
    cr_expect_not(part(&job, &instance)); /* a fault leaves no registers */
    cr_assert(part(&reports, &instance)); /* a pause does */
    expect_text("x9 (s1): ");
    close_both();
}
