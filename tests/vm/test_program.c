/* Decoded programs: what the linear walk finds.
 *
 * Would catch: code over the limit that is taken or read; an end in the middle of an instruction
 * counted as one; block starts missing, invented or reported at odd and far offsets; block costs
 * that ignore the footprint tier; a cost or a store count of the neighbouring block; a program that
 * two threads cannot run at the same time. */
#include <criterion/criterion.h>

#include "tests/vm/support.h"

/* The example of the specification, section 9.7. */
static const uint8_t example[] = {0x01, 0x45,              /* 00 c.li x10, 0 */
                                  0x95, 0x45,              /* 02 c.li x11, 5 */
                                  0x0b, 0x40, 0x00, 0x00,  /* 04 fallthrough */
                                  0x10, 0x60,              /* 08 c.ld x12, 0(x8) */
                                  0x32, 0x95,              /* 0a c.add x10, x12 */
                                  0x21, 0x04,              /* 0c c.addi x8, 8 */
                                  0xfd, 0x15,              /* 0e c.addi x11, -1 */
                                  0xe5, 0xfd,              /* 10 c.bnez x11, -8 */
                                  0x13, 0x75, 0xf5, 0x7f,  /* 12 andi x10, x10, 2047 */
                                  0xb3, 0x06, 0xa0, 0x40,  /* 16 sub x13, x0, x10 */
                                  0x0b, 0x20, 0x00, 0x00}; /* 1a ecalli 0 */

static struct javm_program *decode(const void *code, uint64_t len, uint64_t pages)
{
    const struct javm_program_key key = {.footprint_pages = pages};
    struct javm_program *program;
    struct javm_error err;
    cr_assert_eq(javm_program_decode_pvm2(code, len, &key, &program, &err), JAVM_OK, "%s",
                 err.text);
    return program;
}

static struct javm_block_info block(const struct javm_program *program, uint64_t i)
{
    struct javm_block_info info;
    javm_program_block(program, i, &info);
    return info;
}

Test(program, over_the_limit)
{
    const struct javm_program_key key = {0};
    struct javm_program *program;
    struct javm_error err;
    /* refused by the length alone: there are no bytes to look at */
    cr_expect_eq(javm_program_decode_pvm2(NULL, (uint64_t)JAVM_CODE_MAX + 1, &key, &program, &err),
                 JAVM_E_LIMIT);
    cr_expect_eq(err.status, JAVM_E_LIMIT);
    cr_expect_not_null(strstr(err.text, "264241153"), "%s", err.text);
    cr_expect_eq(javm_program_decode_pvm2(NULL, UINT64_MAX, &key, &program, NULL), JAVM_E_LIMIT);
}

Test(program, nothing)
{
    struct javm_program *program = decode(NULL, 0, 0);
    cr_expect_eq(javm_program_end(program), 0);
    cr_expect_eq(javm_program_instructions(program), 0);
    cr_expect_eq(javm_program_blocks(program), 0);
    for (uint64_t offset = 0; offset < 8; offset++)
        cr_expect_not(javm_program_is_start(program, offset));
    javm_program_free(program);
    javm_program_free(NULL);
}

Test(program, ends_inside_an_instruction)
{
    static const uint8_t code[] = {0x01, 0x00, 0x13, 0x05, 0x00};
    static const uint64_t ends[] = {0, 0, 2, 2, 2, 2};
    for (size_t len = 0; len <= sizeof code; len++) {
        struct javm_program *program = decode(code, len, 0);
        cr_expect_eq(javm_program_end(program), ends[len], "%zu bytes", len);
        cr_expect_eq(javm_program_instructions(program), ends[len] / 2, "%zu bytes", len);
        cr_expect_eq(javm_program_blocks(program), ends[len] / 2, "%zu bytes", len);
        cr_expect_not(javm_program_is_start(program, 2), "%zu bytes", len);
        javm_program_free(program);
    }
}

Test(program, specified_example)
{
    static const struct {
        uint64_t start, cost, cost_tier_4;
        bool ecall;
    } want[] = {{0, 1, 1, false}, {8, 23, 98, false}, {0x12, 1, 1, false}, {0x1a, 0, 0, true}};
    for (int tier_4 = 0; tier_4 < 2; tier_4++) {
        struct javm_program *program = decode(example, sizeof example, tier_4 ? 65537 : 2048);
        cr_expect_eq(javm_program_end(program), sizeof example);
        cr_expect_eq(javm_program_instructions(program), 11);
        cr_assert_eq(javm_program_blocks(program), 4);
        for (uint64_t i = 0; i < 4; i++) {
            const struct javm_block_info info = block(program, i);
            cr_expect_eq(info.start, want[i].start);
            cr_expect_eq(info.cost, tier_4 ? want[i].cost_tier_4 : want[i].cost);
            cr_expect_eq(info.ecall, want[i].ecall);
            cr_expect_eq(info.stores, 0);
        }
        for (uint64_t offset = 0; offset < 64; offset++) {
            const bool start = offset == 0 || offset == 8 || offset == 0x12 || offset == 0x1a;
            cr_expect_eq(javm_program_is_start(program, offset), start, "%llu",
                         (unsigned long long)offset);
        }
        javm_program_free(program);
    }
}

Test(program, lone_instructions)
{
    static const struct {
        uint32_t word;
        uint64_t cost;
    } rows[] = {{0x0000006F, 12}, {0x00000063, 17}, {0x00008067, 19},
                {0x026345B3, 57}, {FALLTHROUGH, 1}, {TRAP, 1},
                {RESERVED, 1},    {0x0000000F, 1},  {0x00003503, 22}}; /* ld x10, 0(x0) */
    for (size_t i = 0; i < CODE(rows); i++) {
        struct javm_program *program = decode(&rows[i].word, 4, 0);
        cr_assert_eq(javm_program_blocks(program), 1);
        cr_expect_eq(block(program, 0).cost, rows[i].cost, "%08x", rows[i].word);
        javm_program_free(program);
    }
}

Test(program, tiers_begin_behind_their_bounds)
{
    static const struct {
        uint64_t pages, cost;
    } rows[] = {{0, 22},    {2048, 22},  {2049, 47},  {8192, 47},
                {8193, 72}, {65536, 72}, {65537, 97}, {UINT64_MAX, 97}};
    const uint32_t load = 0x00003503;
    for (size_t i = 0; i < CODE(rows); i++) {
        struct javm_program *program = decode(&load, 4, rows[i].pages);
        cr_expect_eq(block(program, 0).cost, rows[i].cost);
        javm_program_free(program);
    }
}

Test(program, far_and_odd_offsets_are_no_starts)
{
    static const uint64_t far[] = {1,          3,
                                   0x1b,       (UINT64_C(1) << 32) + 8,
                                   UINT64_MAX, UINT64_MAX - 1,
                                   1u << 31,   UINT64_C(1) << 63};
    struct javm_program *program = decode(example, sizeof example, 0);
    for (size_t i = 0; i < CODE(far); i++)
        cr_expect_not(javm_program_is_start(program, far[i]), "%llx", (unsigned long long)far[i]);
    javm_program_free(program);
}

Test(program, stores_are_counted_by_block)
{
    const uint32_t code[] = {SD(5, 0, 10), SD(5, 8, 10), FALLTHROUGH, SD(5, 0, 10), REPLY};
    struct javm_program *program = decode(code, sizeof code, 0);
    cr_assert_eq(javm_program_blocks(program), 3);
    cr_expect_eq(block(program, 0).stores, 2);
    cr_expect_eq(block(program, 1).stores, 1);
    cr_expect_eq(block(program, 2).stores, 0);
    cr_expect(block(program, 2).ecall);
    javm_program_free(program);
}

Test(program, bytes_follow_the_code)
{
    uint32_t code[2048];
    for (size_t i = 0; i < CODE(code); i++)
        code[i] = ADDI(5, 5, 1);
    struct javm_program *small = decode(code, 64, 0), *large = decode(code, sizeof code, 0);
    cr_expect_gt(javm_program_bytes(small), 16 * 16);
    cr_expect_gt(javm_program_bytes(large), javm_program_bytes(small) + 2000 * 16);
    javm_program_free(small);
    javm_program_free(large);
    REQUIRE_NO_LEAKS();
}

/* x10 := x11 added up x12 times, in a loop */
static const uint32_t multiply[] = {0x00000513,  /* addi x10, x0, 0 */
                                    FALLTHROUGH, /* the loop begins behind it */
                                    0x00B50533,  /* add x10, x10, x11 */
                                    0xFFF60613,  /* addi x12, x12, -1 */
                                    0xFE061CE3,  /* bne x12, x0, -8 */
                                    0x0000200B};

static void *multiply_often(void *arg)
{
    const struct javm_program *program = arg;
    struct javm_memory *memory;
    REQUIRE(javm_memory_create(&memory, NULL) == JAVM_OK);
    for (uint64_t i = 1; i <= 300; i++) {
        struct javm_exec exec = {.program = program, .memory = memory, .gas = 1000000};
        exec.regs[slot_of(11)] = i;
        exec.regs[slot_of(12)] = 50;
        javm_exec_run(&exec, 0);
        REQUIRE(exec.exit == JAVM_EXIT_HOST_CALL);
        REQUIRE(exec.regs[slot_of(10)] == 50 * i);
        REQUIRE(exec.gas == 1000000 - 1 - 50 * 18 - 100);
    }
    javm_memory_destroy(memory);
    return NULL;
}

Test(program, two_threads_run_one)
{
    struct javm_program *program = decode(multiply, sizeof multiply, 0);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, multiply_often, program), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    javm_program_free(program);
}
