/* Any bytes as a program, on both engines.
 *
 * Input: gas (2 bytes), entry (1: even offset / 2), copy-on-write cost (1), flags (1), numbers that
 * the memory (2) and the registers (2) are made from, then the code. Checked: whole runs over their
 * ecalls, limits of gas, slices of deadlines, a page less, other contents; everything that can be
 * seen of the two runs is the same. */
#include <stdlib.h>
#include <string.h>

#include "tests/vm/lockstep.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define HEAD     9
#define MAX_CODE 4096

static struct lock_pair pair;
static struct random how;

static void close_pair(void)
{
    lock_pair_close(&pair);
}

static void open_pair(void)
{
    lock_pair_open(&pair, JAVM_ENGINE_INTERP,
                   javm_engine_available(JAVM_ENGINE_JIT) ? JAVM_ENGINE_JIT : JAVM_ENGINE_INTERP,
                   NULL);
    atexit(close_pair); /* else the leak checker finds what libgcc keeps for the recompiler */
}

static void run(const struct lock_leg *leg)
{
    if (lock_run(&pair, leg, LOCK_ALL))
        return;
    lock_report(&pair, NULL);
    abort();
}

static void run_on(struct lock_program *program, const struct lock_layout *layout, unsigned jit,
                   uint64_t gas, uint64_t deadline)
{
    struct lock_leg leg = {.gas = gas, .deadline = deadline};
    lock_begin(&pair, program, layout, &program->state, jit, &how);
    for (unsigned i = 0; i < 6; i++) {
        run(&leg);
        const enum javm_exit exit = pair.exec[0].exit;
        if (exit != JAVM_EXIT_HOST_CALL && exit != JAVM_EXIT_ECALL_JAR &&
            exit != JAVM_EXIT_OUT_OF_GAS)
            return;
        leg.gas = pair.exec[0].gas;
        if (exit == JAVM_EXIT_OUT_OF_GAS) {
            leg.gas = lock_need(program, pair.exec[0].pc) % 100000;
            leg.gas -= leg.gas != 0 && i % 2 == 1; /* one too little */
        }
        leg.other_engine = i == 3;
    }
}

static void check(struct lock_program *program, unsigned jit)
{
    const uint64_t gas = program->state.gas;
    const struct lock_leg whole = {.gas = gas};
    lock_begin(&pair, program, &program->layout, &program->state, jit, &how);
    run(&whole);
    const uint64_t used = gas - pair.exec[0].gas;
    run_on(program, &program->layout, jit, gas, 0);
    run_on(program, &program->layout, jit ^ 1, gas, 1);
    const uint64_t step = used < 30 ? 1 : used / 11;
    for (uint64_t less = 0; less < used; less += step)
        run_on(program, &program->layout, jit, less, 0);
    for (uint32_t which = 0; which < 4; which++) {
        struct lock_layout layout;
        if (lock_layout_without(&program->layout, which, which % 2, &layout))
            run_on(program, &layout, jit, gas, 0);
    }
    lock_layout_refill(&program->layout, &how);
    run_on(program, &program->layout, LOCK_SMALL, gas, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t footprints[] = {0, 2049, 8193, 65537};
    static struct lock_program program;
    if (size < HEAD || size > HEAD + MAX_CODE)
        return 0;
    if (pair.memories[0] == NULL)
        open_pair();
    const struct javm_program_key key = {.footprint_pages = footprints[data[4] & 3],
                                         .cow_cost = data[3]};
    struct random memory = {.state = data[5] + 256u * data[6]};
    struct random registers = {.state = data[7] + 256u * data[8]};
    how.state = 1;
    lock_program_open(&program, data + HEAD, size - HEAD, &key);
    lock_layout_make(&program.layout, &memory);
    program.source = "fuzzer";
    program.state.pc = 2 * (uint64_t)data[2];
    program.state.gas = data[0] + 256u * (data[1] & 0x3Fu);
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++) {
        const uint64_t k = random_below(&registers, 8);
        program.state.regs[i] = k < 3    ? lock_calm(&program.layout, &registers)
                                : k == 3 ? lock_edge(&program.layout, &registers)
                                         : lock_value(&registers);
        if (data[4] & 4)
            program.state.regs[i] |= random_u64(&registers) << 40;
    }
    check(&program, data[4] >> 3 & 1);
    REQUIRE(javm_memory_attach(pair.memories[0], NULL, 0) == JAVM_OK);
    REQUIRE(javm_memory_attach(pair.memories[1], NULL, 0) == JAVM_OK);
    pair.program = NULL;
    lock_program_close(&program);
    return 0;
}
