/* Any bytes as a program: it decodes, runs to an exit, and gas means what it is said to mean.
 *
 * Input: gas (2 bytes), entry (1: even offset / 2), copy-on-write cost (1), flags (1), then the
 * code. Checked: the block table and the landing table agree; gas never grows; the same run twice
 * ends the same, also in memory that was used before and in slices of a deadline; with less gas it
 * ends out of gas at a block start, and resumed with the rest exactly where it ended before; no
 * page that is not writable changes. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "javm/engine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD       5
#define MAX_CODE   4096
#define DATA_PAGES 4u
#define FIRST      (JAVM_DATA_BASE >> JAVM_PAGE_SHIFT)

#define CHECK(what)  \
    do {             \
        if (!(what)) \
            abort(); \
    } while (0)

struct run {
    struct javm_exec exec;
    uint64_t memory; /* of every page of the layout */
    size_t dirty;
};

static const uint8_t seed_bytes[64] = {0x80, 0xFF, 0, 1, 0x7F, 0x10, 0x40, 0};

static void check_tables(const struct javm_program *program, uint64_t len)
{
    const uint64_t blocks = javm_program_blocks(program);
    uint64_t next = 0, end = javm_program_end(program);
    struct javm_block_info info;
    CHECK(end <= len && len - end < 4 && blocks <= javm_program_instructions(program));
    CHECK((blocks == 0) == (end == 0));
    for (uint64_t offset = 0; offset < len + 4; offset++) {
        bool start = false;
        if (next < blocks) {
            javm_program_block(program, next, &info);
            start = info.start == offset;
            CHECK(info.start >= offset && (info.cost == 0) == info.ecall);
            next += start;
        }
        CHECK(javm_program_is_start(program, offset) == start);
    }
    CHECK(next == blocks);
}

/* FNV-1a over what the layout shows, pages that were never touched included. */
static uint64_t digest(struct javm_memory *memory)
{
    static uint8_t page[JAVM_PAGE_SIZE];
    uint64_t hash = UINT64_C(14695981039346656037);
    for (uint32_t i = 0; i < DATA_PAGES; i++) {
        if (!javm_memory_read(memory, JAVM_DATA_BASE + i * JAVM_PAGE_SIZE, page, sizeof page))
            continue;
        for (size_t at = 0; at < sizeof page; at += 8) {
            uint64_t word;
            memcpy(&word, page + at, sizeof word);
            hash = (hash ^ word) * UINT64_C(1099511628211);
        }
    }
    return hash;
}

static void check_read_only(struct javm_memory *memory, const uint8_t *code, size_t len)
{
    static uint8_t bytes[MAX_CODE];
    if (len == 0)
        return;
    CHECK(javm_memory_read(memory, JAVM_CODE_BASE, bytes, len));
    CHECK(memcmp(bytes, code, len) == 0);
    CHECK(javm_memory_read(memory, JAVM_DATA_BASE + 2 * JAVM_PAGE_SIZE, bytes, sizeof seed_bytes));
    CHECK(memcmp(bytes, seed_bytes, sizeof seed_bytes) == 0);
}

static void finish(struct run *run)
{
    const uint32_t *pages;
    run->dirty = javm_memory_dirty(run->exec.memory, &pages);
    for (size_t i = 0; i < run->dirty; i++)
        CHECK(pages[i] == FIRST || pages[i] == FIRST + 1);
    run->memory = digest(run->exec.memory);
}

static void check_exit(const struct javm_exec *exec, uint64_t gas)
{
    CHECK(exec->gas <= gas);
    switch (exec->exit) {
    case JAVM_EXIT_HOST_CALL:
        CHECK(exec->exit_arg >= -2048 && exec->exit_arg <= 2047);
        break;
    case JAVM_EXIT_PAGE_FAULT:
        CHECK(exec->exit_arg == (int64_t)(exec->fault_addr & ~(uint64_t)(JAVM_PAGE_SIZE - 1)));
        CHECK(exec->fault_addr <= UINT32_MAX);
        break;
    case JAVM_EXIT_OUT_OF_GAS:
        CHECK(javm_program_is_start(exec->program, exec->pc) && exec->exit_arg == 0);
        break;
    default:
        CHECK(exec->exit >= JAVM_EXIT_HOST_CALL && exec->exit <= JAVM_EXIT_PANIC);
        CHECK(exec->exit_arg == 0);
    }
}

static void check_same(const struct run *a, const struct run *b)
{
    CHECK(a->exec.exit == b->exec.exit && a->exec.exit_arg == b->exec.exit_arg);
    CHECK(a->exec.pc == b->exec.pc && a->exec.gas == b->exec.gas);
    CHECK(memcmp(a->exec.regs, b->exec.regs, sizeof a->exec.regs) == 0);
    CHECK(a->memory == b->memory && a->dirty == b->dirty);
    if (a->exec.exit == JAVM_EXIT_PAGE_FAULT)
        CHECK(a->exec.fault_addr == b->exec.fault_addr &&
              a->exec.fault_write == b->exec.fault_write);
}

static struct run start(const struct javm_exec *from, uint64_t gas)
{
    struct run run = {.exec = *from};
    run.exec.gas = gas;
    javm_memory_reset(run.exec.memory);
    return run;
}

static void check_runs(const struct javm_exec *from, uint64_t gas, const uint8_t *code, size_t len,
                       bool cow)
{
    struct run whole = start(from, gas);
    javm_exec_run(&whole.exec, 0);
    check_exit(&whole.exec, gas);
    finish(&whole);
    check_read_only(whole.exec.memory, code, len);

    struct run again = start(from, gas);
    javm_exec_run(&again.exec, UINT64_MAX);
    finish(&again);
    check_same(&whole, &again);

    /* Every cut of what was used, when that is little; else a few. */
    const uint64_t used = gas - whole.exec.gas;
    const uint64_t step = used < 40 ? 1 : used / 13;
    for (uint64_t less = 0; less < used; less += step) {
        struct run part = start(from, less);
        javm_exec_run(&part.exec, 0);
        CHECK(part.exec.exit == JAVM_EXIT_OUT_OF_GAS && part.exec.gas <= less);
        CHECK(javm_program_is_start(part.exec.program, part.exec.pc));
        part.exec.gas += gas - less;
        javm_exec_run(&part.exec, 0);
        finish(&part);
        check_same(&whole, &part);
    }
    /* Exactly what was used is enough, unless a reserve asks for more. */
    if (!cow && whole.exec.exit != JAVM_EXIT_OUT_OF_GAS) {
        struct run exact = start(from, used);
        javm_exec_run(&exact.exec, 0);
        CHECK(exact.exec.gas == 0);
        exact.exec.gas = whole.exec.gas;
        finish(&exact);
        check_same(&whole, &exact);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct javm_memory *memory;
    struct javm_program *program;
    if (size < HEAD || size > HEAD + MAX_CODE)
        return 0;
    if (memory == NULL)
        CHECK(javm_memory_create(&memory, NULL) == JAVM_OK);
    /* A copy of exactly the code's size, so that reading past it shows. */
    const size_t len = size - HEAD;
    uint8_t *code = malloc(len != 0 ? len : 1);
    CHECK(code != NULL);
    memcpy(code, data + HEAD, len);
    const uint64_t gas = data[0] + 256u * (data[1] & 0x3Fu);
    const struct javm_program_key key = {.footprint_pages = data[4] & 1 ? 70000 : 0,
                                         .cow_cost = data[3]};
    CHECK(javm_program_decode_pvm2(code, len, &key, &program, NULL) == JAVM_OK);
    check_tables(program, len);
    const struct javm_region regions[] = {
        {.first_page = JAVM_CODE_BASE >> JAVM_PAGE_SHIFT,
         .pages = (uint32_t)((len + JAVM_PAGE_SIZE - 1) >> JAVM_PAGE_SHIFT),
         .kind = JAVM_REGION_BYTES,
         .bytes = code,
         .len = len},
        {.first_page = FIRST, .pages = 2, .kind = JAVM_REGION_ZERO, .writable = true},
        {.first_page = FIRST + 2,
         .pages = 1,
         .kind = JAVM_REGION_BYTES,
         .bytes = seed_bytes,
         .len = sizeof seed_bytes}};
    const size_t skip = len == 0;
    CHECK(javm_memory_attach(memory, regions + skip, 3 - skip) == JAVM_OK);
    struct javm_exec exec = {.program = program,
                             .memory = memory,
                             .engine = JAVM_ENGINE_INTERP,
                             .pc = 2 * (uint64_t)data[2]};
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++) /* pointers to data, and one to code */
        exec.regs[i] = JAVM_DATA_BASE + i * 0x3F8u;
    exec.regs[0] = JAVM_CODE_BASE;
    exec.regs[9] = UINT64_MAX;
    exec.regs[10] = UINT64_C(1) << 63;
    if (data[4] & 2)
        exec.regs[8] |= UINT64_C(1) << 40;
    check_runs(&exec, gas, code, len, key.cow_cost != 0);
    javm_memory_attach(memory, NULL, 0);
    javm_program_free(program);
    free(code);
    return 0;
}
