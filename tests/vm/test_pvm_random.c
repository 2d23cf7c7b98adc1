/* Random PVM programs against definitions instead of against the other engine.
 *
 * Would catch: prices of entries into the middle of a block that are not those of a walk from
 * there; gp gas that is not 1 for each instruction, whatever the blocks are: taken twice, kept
 * after a fault, missing at a block's end; a run that goes on differently when its gas comes piece
 * by piece. */
#include <criterion/criterion.h>

#include "tests/vm/lockstep.h"
#include "vm/front.h"
#include "vm/pvm.h"

#define PROGRAMS 400u

Test(pvm_random, entries_cost_what_a_walk_from_there_costs)
{
    struct random random = {.state = 11};
    static struct pvm_entry entries[8192];
    uint64_t compared = 0;
    for (unsigned i = 0; i < PROGRAMS; i++) {
        struct lock_program program;
        lock_source_pvm(&program, &random);
        if (program.key.pvm != JAVM_PVM_JAR1) {
            lock_program_close(&program);
            continue;
        }
        const struct front front = front_of(program.code, program.code_len, &program.key);
        const unsigned percent = 1 + (unsigned)random_below(&random, 100);
        uint32_t count = 0;
        for (uint64_t pc = 0; pc < program.code_len; pc++)
            if (pvm_begins(&front, pc) && chance(&random, percent))
                entries[count++] = (struct pvm_entry){.pc = (uint32_t)pc};
        cr_assert(pvm_price(&front, entries, count));
        for (uint32_t k = 0; k < count; k++)
            cr_assert_eq(entries[k].cost, front_run_at(&front, entries[k].pc).cost,
                         "program %u, pc %u", i, entries[k].pc);
        compared += count;
        lock_program_close(&program);
    }
    cr_assert_gt(compared, 5000);
}

static void start(struct javm_exec *exec, const struct lock_program *program)
{
    exec->pc = program->state.pc;
    exec->heap = program->heap;
    memcpy(exec->regs, program->state.regs, sizeof exec->regs);
    REQUIRE(javm_memory_attach(exec->memory, program->layout.regions, program->layout.count) ==
            JAVM_OK);
}

/* Gas for one instruction at a time, `gas` times. */
static void run_in_steps(struct javm_exec *exec, uint64_t gas)
{
    exec->exit = JAVM_EXIT_OUT_OF_GAS;
    for (; gas != 0 && exec->exit == JAVM_EXIT_OUT_OF_GAS; gas--) {
        exec->gas = 1;
        javm_exec_run(exec, 0);
        cr_assert_eq(exec->gas, 0);
    }
    exec->gas = gas;
}

Test(pvm_random, gp_takes_one_gas_for_each_instruction)
{
    struct random random = {.state = 12};
    struct javm_jit *jit;
    struct javm_memory *memories[2];
    uint64_t exits[JAVM_EXIT_HALT + 1] = {0};
    REQUIRE(javm_jit_create(NULL, &jit, NULL) == JAVM_OK);
    for (unsigned i = 0; i < 2; i++)
        REQUIRE(javm_memory_create(&memories[i], NULL) == JAVM_OK);
    for (unsigned i = 0; i < PROGRAMS; i++) {
        struct lock_program program;
        struct javm_native *native;
        lock_source_pvm(&program, &random);
        program.key.pvm = JAVM_PVM_GP;
        struct javm_program *decoded;
        REQUIRE(javm_program_decode(program.code, program.code_len, &program.key, &decoded, NULL) ==
                JAVM_OK);
        REQUIRE(javm_native_open(jit, NULL, program.code, program.code_len, &program.key, NULL,
                                 &native, NULL) == JAVM_OK);
        for (unsigned k = 0; k < 8; k++) {
            const uint64_t gas = random_below(&random, k < 4 ? 12 : 150);
            struct javm_exec whole = {.program = decoded,
                                      .native = native,
                                      .memory = memories[0],
                                      .engine = k % 2 != 0 ? JAVM_ENGINE_JIT : JAVM_ENGINE_INTERP};
            struct javm_exec steps = whole;
            steps.memory = memories[1];
            steps.engine = JAVM_ENGINE_INTERP;
            start(&whole, &program);
            start(&steps, &program);
            whole.gas = gas;
            javm_exec_run(&whole, 0);
            run_in_steps(&steps, gas);
            if (gas == 0) /* steps has not been run */
                steps.exit_arg = 0;
            cr_assert(lock_compare(&whole, &steps, &program.layout, LOCK_ALL, stderr),
                      "program %u, gas %llu", i, (unsigned long long)gas);
            exits[whole.exit]++;
        }
        javm_native_close(native);
        javm_program_free(decoded);
        lock_program_close(&program);
    }
    cr_expect_gt(exits[JAVM_EXIT_PAGE_FAULT], 50);
    cr_expect_gt(exits[JAVM_EXIT_PANIC], 100);
    cr_expect_gt(exits[JAVM_EXIT_OUT_OF_GAS], 500);
    for (unsigned i = 0; i < 2; i++)
        javm_memory_destroy(memories[i]);
    javm_jit_destroy(jit);
}
