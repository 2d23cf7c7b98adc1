/* The guests of the tests of what debuggers see: a loop, and a recursion that can wait at its
 * deepest place. Included in one .c file of each test. */
#ifndef TESTS_VM_JIT_DEBUG_GUESTS_H
#define TESTS_VM_JIT_DEBUG_GUESTS_H

#include "tests/vm/support.h"
#include "vm/jit.h"

/* Where to enter. DEEP calls itself x10 times, goes x11 times round at the last and returns; LOOP
 * goes x10 times round. Both end with ecalli 0 and store near x2. */
#define GUEST_DEEP  0u
#define GUEST_LOOP  52u
#define GUEST_BYTES 68u
#define GUEST_PAGES 20u /* below x2 */
#define GUEST_STACK (RW_BASE + GUEST_PAGES * JAVM_PAGE_SIZE)

struct guest {
    struct javm_jit *jit;
    struct machine m;
    uint32_t code[GUEST_BYTES / 4];
};

static inline void guest_open(struct guest *g, const struct javm_jit_options *options)
{
    const uint32_t code[] = {
        JAL(1, 8),                  /* 0 */
        REPLY,                      /* 4 */
        ADDI(2, 2, -8),             /* 8 */
        SD(1, 0, 2),                /* 12 */
        ADDI(10, 10, -1),           /* 16 */
        op(PVM2_BEQ, 0, 10, 0, 12), /* 20: to 32 */
        JAL(1, -16),                /* 24: to 8 */
        JAL(0, 12),                 /* 28: to 40 */
        ADDI(11, 11, -1),           /* 32 */
        BNE(11, 0, -4),             /* 36: to 32 */
        LD(1, 0, 2),                /* 40 */
        ADDI(2, 2, 8),              /* 44 */
        JALR(0, 1, 0),              /* 48 */
        SD(10, -8, 2),              /* 52 */
        ADDI(10, 10, -1),           /* 56 */
        BNE(10, 0, -8),             /* 60: to 52 */
        REPLY,                      /* 64 */
    };
    _Static_assert(sizeof code == GUEST_BYTES, "entries are offsets in it");
    const struct javm_region stack = {.first_page = RW_BASE >> JAVM_PAGE_SHIFT,
                                      .pages = GUEST_PAGES,
                                      .kind = JAVM_REGION_ZERO,
                                      .writable = true};
    const struct javm_program_key key = {0};
    memcpy(g->code, code, sizeof code);
    machine_open(&g->m, g->code, sizeof g->code, &stack, 1);
    REQUIRE(javm_jit_create(options, &g->jit, NULL) == JAVM_OK);
    REQUIRE(javm_native_open(g->jit, NULL, (const uint8_t *)g->code, sizeof g->code, &key, NULL,
                             &g->m.exec.native, NULL) == JAVM_OK);
    g->m.exec.engine = JAVM_ENGINE_JIT;
}

static inline void guest_close(struct guest *g)
{
    javm_native_close(g->m.exec.native);
    javm_jit_destroy(g->jit);
    machine_close(&g->m);
}

static inline void guest_start(struct guest *g, uint64_t pc, uint64_t x10, uint64_t x11,
                               uint64_t gas)
{
    struct javm_exec *e = &g->m.exec;
    memset(e->regs, 0, sizeof e->regs);
    e->regs[slot_of(2)] = GUEST_STACK;
    e->regs[slot_of(10)] = x10;
    e->regs[slot_of(11)] = x11;
    e->pc = pc;
    e->gas = gas;
}

static inline void guest_run(void *guest)
{
    javm_exec_run(&((struct guest *)guest)->m.exec, 0);
}

#endif
