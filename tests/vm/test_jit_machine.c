/* Compiled code in a virtual machine: what generated code cannot see of its memory, and where there
 * is no machine. That results are the same is lockstep --machine's to say; what an attacker's code
 * can do, tests/nub/test_machine.c's.
 *
 * Would catch: page tables that run out, or show what another memory or an earlier guest had; a
 * memory that goes before the machine or after it; tables of compiled code that are not zero when
 * they come back; an error that does not say what is missing. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <grp.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/vm/support.h"
#include "vm/jit.h"
#include "vm/memory.h"

#define STEP  (UINT64_C(2) << 20) /* what one page table shows */
#define FIRST 0x10000000u
#define COUNT 1900u

static struct javm_jit *open_jit(void)
{
    struct javm_error err = {.text = ""};
    struct javm_jit *jit;
    const struct javm_jit_options options = {.machine = "/dev/kvm"};
    if (access(options.machine, R_OK | W_OK) != 0)
        cr_skip_test("/dev/kvm is missing or not ours to open");
    cr_assert_eq(javm_jit_create(&options, &jit, &err), JAVM_OK, "%s", err.text);
    return jit;
}

/* a0: sum of the words at a1, a1 + a3, ... up to a2, each of which gets a4 added. */
static const uint32_t *walk(size_t *len)
{
    static uint32_t code[7];
    const uint32_t words[] = {LD(5, 0, 11),    ADD(10, 10, 5),   ADD(5, 5, 14), SD(5, 0, 11),
                              ADD(11, 11, 13), BNE(11, 12, -20), REPLY};
    memcpy(code, words, sizeof words);
    *len = sizeof words;
    return code;
}

struct rig {
    struct javm_native *native;
    struct javm_region regions[2];
};

static struct rig rig_open(struct javm_jit *jit)
{
    size_t len;
    const uint8_t *code = (const uint8_t *)walk(&len);
    const struct javm_program_key key = {0};
    struct rig rig = {.regions = {{.first_page = JAVM_CODE_BASE >> JAVM_PAGE_SHIFT,
                                   .pages = 1,
                                   .kind = JAVM_REGION_BYTES,
                                   .bytes = code,
                                   .len = len},
                                  {.first_page = FIRST >> JAVM_PAGE_SHIFT,
                                   .pages = (uint32_t)(COUNT * STEP >> JAVM_PAGE_SHIFT),
                                   .kind = JAVM_REGION_ZERO,
                                   .writable = true}}};
    REQUIRE(javm_native_open(jit, NULL, code, len, &key, NULL, &rig.native, NULL) == JAVM_OK);
    return rig;
}

static uint64_t run_walk(const struct rig *rig, struct javm_memory *memory, uint64_t count,
                         uint64_t add)
{
    struct javm_exec exec = {.native = rig->native,
                             .memory = memory,
                             .engine = JAVM_ENGINE_JIT,
                             .gas = UINT64_C(1) << 40};
    exec.regs[slot_of(11)] = FIRST;
    exec.regs[slot_of(12)] = FIRST + count * STEP;
    exec.regs[slot_of(13)] = STEP;
    exec.regs[slot_of(14)] = add;
    javm_exec_run(&exec, 0);
    cr_assert_eq(exec.exit, JAVM_EXIT_HOST_CALL);
    cr_assert(!exec.failed);
    return exec.regs[slot_of(10)];
}

/* Three memories that need more page tables together than there are, in turns, and each sees what
 * it wrote. */
Test(jit_machine, page_tables)
{
    struct javm_jit *jit = open_jit();
    const struct rig rig = rig_open(jit);
    struct javm_memory *memories[3];
    for (unsigned i = 0; i < 3; i++) {
        REQUIRE(javm_memory_create(&memories[i], NULL) == JAVM_OK);
        REQUIRE(javm_memory_attach(memories[i], rig.regions, 2) == JAVM_OK);
        cr_expect_eq(run_walk(&rig, memories[i], COUNT, i + 1), 0);
    }
    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(run_walk(&rig, memories[i], COUNT, 5), (i + 1) * COUNT, "memory %u", i);
    for (unsigned i = 0; i < 3; i++)
        cr_expect_eq(run_walk(&rig, memories[i], 10, 0), (i + 6) * 10, "memory %u", i);
    /* A reset takes everything away that was shown. */
    javm_memory_reset(memories[1]);
    cr_expect_eq(run_walk(&rig, memories[1], COUNT, 0), 0);
    cr_expect_eq(run_walk(&rig, memories[2], 10, 0), 80);
    for (unsigned i = 0; i < 3; i++)
        javm_memory_destroy(memories[i]);
    javm_native_close(rig.native);
    javm_jit_destroy(jit);
    REQUIRE_NO_LEAKS();
}

/* Memories come and go in the same places of the machine; the last ones go after it. */
Test(jit_machine, windows)
{
    struct javm_jit *jit = open_jit();
    const struct rig rig = rig_open(jit);
    struct javm_memory *memories[6] = {NULL};
    for (unsigned round = 0; round < 40; round++) {
        struct javm_memory **m = &memories[round * 7 % 6];
        javm_memory_destroy(*m);
        REQUIRE(javm_memory_create(m, NULL) == JAVM_OK);
        REQUIRE(javm_memory_attach(*m, rig.regions, 2) == JAVM_OK);
        cr_expect_eq(run_walk(&rig, *m, 4, round), 0);
        cr_expect_eq(run_walk(&rig, *m, 4, 0), 4 * round);
    }
    javm_native_close(rig.native);
    javm_jit_destroy(jit);
    for (unsigned i = 0; i < 6; i++)
        javm_memory_destroy(memories[i]);
    REQUIRE_NO_LEAKS();
}

/* A memory is in one machine; in another its guests are interpreted. */
Test(jit_machine, two_machines)
{
    struct javm_jit *jits[2] = {open_jit(), open_jit()};
    const struct rig rigs[2] = {rig_open(jits[0]), rig_open(jits[1])};
    struct javm_memory *memory;
    REQUIRE(javm_memory_create(&memory, NULL) == JAVM_OK);
    REQUIRE(javm_memory_attach(memory, rigs[0].regions, 2) == JAVM_OK);
    for (unsigned i = 0; i < 6; i++)
        cr_expect_eq(run_walk(&rigs[i % 2], memory, 4, 1), 4 * i);
    for (unsigned i = 0; i < 2; i++) {
        javm_native_close(rigs[i].native);
        javm_jit_destroy(jits[i]);
    }
    cr_expect_null(memory->mirror);
    javm_memory_destroy(memory);
    REQUIRE_NO_LEAKS();
}

Test(jit_machine, tables)
{
    struct javm_jit *jit = open_jit();
    static const size_t SIZES[] = {1, 4096, 8192, 8193, 12289, 100000, 1 << 20, (1 << 20) + 4};
    uint8_t *blocks[8];
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned i = 0; i < 8; i++) {
            blocks[i] = jit_alloc(jit, SIZES[i]);
            cr_assert_not_null(blocks[i]);
            cr_expect_eq((uintptr_t)blocks[i] % 4096, 0);
            for (size_t at = 0; at < SIZES[i]; at++)
                cr_assert_eq(blocks[i][at], 0, "size %zu, at %zu", SIZES[i], at);
            memset(blocks[i], 0xA5, SIZES[i]);
        }
        for (unsigned i = 0; i < 8; i++)
            jit_free(jit, blocks[i], SIZES[i]);
    }
    cr_expect_null(jit_alloc(jit, SIZE_MAX));
    cr_expect_null(jit_alloc(jit, (size_t)3 << 30));
    javm_jit_destroy(jit);
    REQUIRE_NO_LEAKS();
}

/* ---- where there is none ---------------------------------------------------------------- */

static void expect_refused(const char *device, const char *text)
{
    struct javm_error err = {.text = ""};
    struct javm_jit *jit = NULL;
    const struct javm_jit_options options = {.machine = device};
    cr_expect_eq(javm_jit_create(&options, &jit, &err), JAVM_E_UNSUPPORTED);
    cr_expect_not_null(strstr(err.text, text), "%s", err.text);
    cr_expect_null(jit);
}

Test(jit_machine, refused)
{
    expect_refused("/dev/no such device", "/dev/no such device: No such file or directory; switch");
    expect_refused("/dev/null", "kvm: the system refuses version 12 of its interface");
    REQUIRE_NO_LEAKS();
}

Test(jit_machine, no_right)
{
    if (geteuid() != 0)
        cr_skip_test("only root can become somebody without rights");
    char path[] = "/tmp/javm-machine-XXXXXX";
    const int fd = mkstemp(path);
    REQUIRE(fd >= 0 && fchmod(fd, 0600) == 0);
    REQUIRE(setgroups(0, NULL) == 0 && setegid(65534) == 0 && seteuid(65534) == 0);
    expect_refused(path, "Permission denied; join its group");
    REQUIRE(seteuid(0) == 0);
    unlink(path);
    close(fd);
}
