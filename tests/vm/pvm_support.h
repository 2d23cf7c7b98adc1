/* PVM programs in tests: written by hand, run on both engines. */
#ifndef TESTS_VM_PVM_SUPPORT_H
#define TESTS_VM_PVM_SUPPORT_H

#include <string.h>

#include "javm/engine.h"
#include "tests/require.h"

#define PVM_CODE 2048u

struct pvm_text {
    uint8_t code[PVM_CODE], bitmask[PVM_CODE / 8];
    uint32_t len;
    uint32_t jumps[8];
    uint32_t jump_count;
    unsigned features;
};

/* One instruction. */
static inline void pvm_put(struct pvm_text *t, const uint8_t *bytes, size_t len)
{
    REQUIRE(t->len + len <= PVM_CODE);
    t->bitmask[t->len / 8] |= (uint8_t)(1u << (t->len % 8));
    memcpy(t->code + t->len, bytes, len);
    t->len += (uint32_t)len;
}
#define PVM(t, ...) \
    pvm_put(t, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* Both engines with one memory each. */
struct pvm_machine {
    struct javm_jit *jit;
    struct javm_program *program;
    struct javm_native *native;
    struct javm_exec exec[2];
};

static inline void pvm_open(struct pvm_machine *m, const struct pvm_text *t, enum javm_pvm profile,
                            const struct javm_region *regions, size_t count)
{
    const struct javm_program_key key = {.pvm = profile,
                                         .features = t->features,
                                         .bitmask = t->bitmask,
                                         .jump_table = t->jumps,
                                         .jump_count = t->jump_count};
    *m = (struct pvm_machine){.jit = NULL};
    REQUIRE(javm_program_decode(t->code, t->len, &key, &m->program, NULL) == JAVM_OK);
    REQUIRE(javm_jit_create(NULL, &m->jit, NULL) == JAVM_OK);
    REQUIRE(javm_native_open(m->jit, NULL, t->code, t->len, &key, NULL, &m->native, NULL) ==
            JAVM_OK);
    for (unsigned i = 0; i < 2; i++) {
        struct javm_exec *exec = &m->exec[i];
        *exec = (struct javm_exec){.program = m->program,
                                   .native = m->native,
                                   .engine = i == 0 ? JAVM_ENGINE_INTERP : JAVM_ENGINE_JIT,
                                   .gas = 1000};
        REQUIRE(javm_memory_create(&exec->memory, NULL) == JAVM_OK);
        REQUIRE(javm_memory_attach(exec->memory, regions, count) == JAVM_OK);
    }
}

static inline void pvm_close(struct pvm_machine *m)
{
    for (unsigned i = 0; i < 2; i++)
        javm_memory_destroy(m->exec[i].memory);
    javm_program_free(m->program);
    javm_native_close(m->native);
    javm_jit_destroy(m->jit);
}

/* Start both from the same state. */
static inline void pvm_start(struct pvm_machine *m, uint64_t pc, uint64_t gas, const uint64_t *regs)
{
    for (unsigned i = 0; i < 2; i++) {
        m->exec[i].pc = pc;
        m->exec[i].gas = gas;
        memset(m->exec[i].regs, 0, sizeof m->exec[i].regs);
        if (regs != NULL)
            memcpy(m->exec[i].regs, regs, JAVM_NUM_REGS * sizeof *regs);
    }
}

static inline bool pvm_same(const struct javm_exec *a, const struct javm_exec *b)
{
    return a->exit == b->exit && a->exit_arg == b->exit_arg && a->pc == b->pc && a->gas == b->gas &&
           a->fault_addr == b->fault_addr && a->fault_write == b->fault_write &&
           a->heap.top == b->heap.top && memcmp(a->regs, b->regs, sizeof a->regs) == 0;
}

/* Run both; they have to agree. Returns what came out. */
static inline const struct javm_exec *pvm_run(struct pvm_machine *m)
{
    for (unsigned i = 0; i < 2; i++) {
        javm_exec_run(&m->exec[i], 0);
        REQUIRE(!m->exec[i].failed);
    }
    REQUIRE(pvm_same(&m->exec[0], &m->exec[1]));
    return &m->exec[0];
}

#endif
