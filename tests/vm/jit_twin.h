/* Shared by the tests of the recompiler: one program on both engines, each with a memory of its
 * own, and the comparison of how they end. Included in one .c file of each test. */
#ifndef TESTS_VM_JIT_TWIN_H
#define TESTS_VM_JIT_TWIN_H

#include <time.h>

#include "tests/vm/support.h"

#define TWIN_PLENTY (UINT64_C(1) << 40)

/* ---- programs --------------------------------------------------------------------------- */

/* Code that is put together instruction by instruction; `n` counts words. */
struct code {
    uint32_t at[16384];
    uint32_t n;
};

static inline uint32_t code_here(const struct code *c)
{
    return 4 * c->n;
}

static inline uint32_t emit(struct code *c, uint32_t word)
{
    REQUIRE(c->n < CODE(c->at));
    c->at[c->n++] = word;
    return 4 * (c->n - 1);
}

/* A block begins here. */
static inline uint32_t emit_start(struct code *c)
{
    emit(c, FALLTHROUGH);
    return code_here(c);
}

/* To a place that is there already. */
static inline void emit_jal(struct code *c, unsigned rd, uint32_t target)
{
    emit(c, JAL(rd, (int32_t)(target - code_here(c))));
}

static inline void emit_bne(struct code *c, unsigned rs1, unsigned rs2, uint32_t target)
{
    emit(c, BNE(rs1, rs2, (int32_t)(target - code_here(c))));
}

/* Make what was put at `from` a jump to the end of the code, where a block has to begin. */
static inline void land_jal(struct code *c, uint32_t from, unsigned rd)
{
    c->at[from / 4] = JAL(rd, (int32_t)(code_here(c) - from));
}

static inline void land_bne(struct code *c, uint32_t from, unsigned rs1, unsigned rs2)
{
    c->at[from / 4] = BNE(rs1, rs2, (int32_t)(code_here(c) - from));
}

/* rd = the guest address of a code offset; two instructions. */
static inline void emit_address(struct code *c, unsigned rd, uint32_t offset)
{
    const uint32_t upper = (JAVM_CODE_BASE + offset + 0x800) & 0xFFFFF000u;
    emit(c, LUI(rd, upper));
    emit(c, ADDI(rd, rd, (int32_t)(JAVM_CODE_BASE + offset - upper)));
}

static inline uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* ---- runs ------------------------------------------------------------------------------- */

struct twin {
    struct machine m; /* the interpreter's */
    struct javm_jit *jit;
    struct javm_memory *memory; /* the recompiler's */
    struct javm_exec native;
};

/* `code` is borrowed. `options` as for javm_jit_create. */
static inline void twin_open(struct twin *t, const void *code, size_t len,
                             const struct javm_region *regions, size_t count,
                             const struct javm_jit_options *options)
{
    static const struct javm_program_key key;
    machine_open(&t->m, code, len, regions, count);
    REQUIRE(javm_jit_create(options, &t->jit, NULL) == JAVM_OK);
    REQUIRE(javm_memory_create(&t->memory, NULL) == JAVM_OK);
    REQUIRE(javm_memory_attach(t->memory, t->m.regions, t->m.region_count) == JAVM_OK);
    t->native = (struct javm_exec){.memory = t->memory, .engine = JAVM_ENGINE_JIT};
    REQUIRE(javm_native_open(t->jit, NULL, code, len, &key, NULL, &t->native.native, NULL) ==
            JAVM_OK);
}

static inline void twin_close(struct twin *t)
{
    javm_native_close(t->native.native);
    javm_memory_destroy(t->memory);
    javm_jit_destroy(t->jit);
    machine_close(&t->m);
}

/* A suite's fini. The unwinder's notes on a recompiler that is open lie where the leak checker does
 * not look, so there is no checking while one is. */
static inline void twin_no_leaks(void)
{
    REQUIRE_NO_LEAKS();
}

static inline void same_memory(struct javm_memory *a, struct javm_memory *b)
{
    const uint32_t *pages, *others;
    const size_t count = javm_memory_dirty(a, &pages);
    REQUIRE(javm_memory_dirty(b, &others) == count);
    for (size_t i = 0; i < count; i++) {
        REQUIRE(pages[i] == others[i]);
        REQUIRE(memcmp(javm_memory_page(a, pages[i]), javm_memory_page(b, pages[i]),
                       JAVM_PAGE_SIZE) == 0);
    }
}

static inline void same_state(const struct javm_exec *a, const struct javm_exec *b)
{
    REQUIRE(!a->failed && !b->failed);
    REQUIRE(a->exit == b->exit);
    REQUIRE(a->pc == b->pc);
    REQUIRE(a->gas == b->gas);
    REQUIRE(memcmp(a->regs, b->regs, sizeof a->regs) == 0);
    REQUIRE(a->exit_arg == b->exit_arg);
    if (a->exit == JAVM_EXIT_PAGE_FAULT)
        REQUIRE(a->fault_addr == b->fault_addr && a->fault_write == b->fault_write);
    same_memory(a->memory, b->memory);
}

/* Both go on from where they are. */
static inline enum javm_exit twin_run(struct twin *t)
{
    javm_exec_run(&t->m.exec, 0);
    javm_exec_run(&t->native, 0);
    same_state(&t->m.exec, &t->native);
    return t->native.exit;
}

static inline void twin_begin(struct twin *t, uint64_t pc, const uint64_t regs[JAVM_NUM_SLOTS],
                              uint64_t gas)
{
    struct javm_exec *const both[2] = {&t->m.exec, &t->native};
    for (unsigned i = 0; i < 2; i++) {
        javm_memory_reset(both[i]->memory);
        memcpy(both[i]->regs, regs, sizeof both[i]->regs);
        both[i]->pc = pc;
        both[i]->gas = gas;
    }
}

/* From `pc` to the end, or until the gas is used up: in one go, with a stop after some part of the
 * gas, in slices. */
static inline enum javm_exit twin_check(struct twin *t, uint64_t pc,
                                        const uint64_t regs[JAVM_NUM_SLOTS], uint64_t gas)
{
    twin_begin(t, pc, regs, gas);
    const enum javm_exit exit = twin_run(t);
    const struct javm_exec whole = t->m.exec;
    const uint64_t used = gas - whole.gas;
    const uint64_t parts[] = {0, 1, used / 3, used - (used > 0), used};
    for (size_t i = 0; i < CODE(parts); i++) {
        twin_begin(t, pc, regs, parts[i]);
        twin_run(t);
        if (t->native.exit == JAVM_EXIT_OUT_OF_GAS) {
            t->m.exec.gas += gas - parts[i];
            t->native.gas += gas - parts[i];
            twin_run(t);
            REQUIRE(t->native.gas == whole.gas);
        }
        REQUIRE(t->native.exit == exit && t->native.pc == whole.pc);
        REQUIRE(memcmp(t->native.regs, whole.regs, sizeof whole.regs) == 0);
    }
    /* Deadlines that are over at once, later ones for blocks that cost more than a slice of gas.
     * The interpreter stays where it is. */
    javm_memory_reset(t->memory);
    memcpy(t->native.regs, regs, sizeof t->native.regs);
    t->native.pc = pc;
    t->native.gas = gas;
    uint64_t delay = 1, before;
    do {
        before = t->native.gas;
        javm_exec_run(&t->native, now_ns() + delay);
        delay = t->native.gas == before ? delay * 2 : 1;
    } while (t->native.exit == JAVM_EXIT_NONE);
    t->m.exec.gas = whole.gas; /* it was given less at last */
    same_state(&t->m.exec, &t->native);
    return exit;
}

#endif
