/* Any bytes as a PVM code blob of either profile: refused with a message, or taken; what is taken
 * runs on both engines, which have to agree.
 *
 * Input: gas (1 byte), flags (1; bit 0: profile gp), then the blob. */
#include <stdlib.h>
#include <string.h>

#include "javm/container.h"
#include "tests/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct javm_region region = {.first_page = 16, .pages = 2, .writable = true};

static struct javm_memory *memory;
static struct javm_jit *jit;

static void close_engines(void)
{
    javm_jit_destroy(jit);
    javm_memory_destroy(memory);
}

static struct javm_exec run(const struct javm_pvm_code *blob, enum javm_engine engine, uint64_t gas)
{
    const struct javm_program_key key = javm_pvm_key(blob, 0);
    struct javm_program *program = NULL;
    struct javm_native *native = NULL;
    if (memory == NULL) {
        REQUIRE(javm_memory_create(&memory, NULL) == JAVM_OK);
        REQUIRE(javm_jit_create(NULL, &jit, NULL) == JAVM_OK);
        atexit(
            close_engines); /* else the leak checker finds what libgcc keeps for the recompiler */
    }
    if (engine == JAVM_ENGINE_JIT)
        REQUIRE(javm_native_open(jit, NULL, blob->code, blob->code_len, &key, NULL, &native,
                                 NULL) == JAVM_OK);
    else
        REQUIRE(javm_program_decode(blob->code, blob->code_len, &key, &program, NULL) == JAVM_OK);
    struct javm_exec exec = {.program = program,
                             .native = native,
                             .memory = memory,
                             .engine = engine,
                             .gas = gas,
                             .heap = {.top = 0x12000, .limit = 0x14000}};
    for (unsigned i = 0; i < JAVM_NUM_REGS; i++)
        exec.regs[i] = 0x10000 + i * 8;
    REQUIRE(javm_memory_attach(memory, &region, 1) == JAVM_OK);
    javm_exec_run(&exec, 0);
    REQUIRE(!exec.failed && exec.exit != JAVM_EXIT_NONE);
    javm_native_close(native);
    javm_program_free(program);
    exec.program = NULL;
    exec.native = NULL;
    exec.engine = JAVM_ENGINE_INTERP;
    return exec;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct javm_pvm_program program;
    struct javm_error err = {.status = JAVM_OK};
    if (size < 2)
        return 0;
    /* Exactly as long: reading past it shows. */
    uint8_t *copy = malloc(size - 2 != 0 ? size - 2 : 1);
    REQUIRE(copy != NULL);
    memcpy(copy, data + 2, size - 2);
    const enum javm_pvm_container as = (data[1] & 1) != 0 ? JAVM_PVM_CODE_GP : JAVM_PVM_CODE_JAR1;
    if (javm_pvm_load(copy, size - 2, as, &program, &err) == JAVM_OK) {
        const struct javm_exec a = run(&program.code, JAVM_ENGINE_INTERP, data[0]);
        const struct javm_exec b = run(&program.code, JAVM_ENGINE_JIT, data[0]);
        REQUIRE(a.exit == b.exit && a.exit_arg == b.exit_arg && a.pc == b.pc && a.gas == b.gas &&
                a.heap.top == b.heap.top && memcmp(a.regs, b.regs, sizeof a.regs) == 0);
        javm_pvm_clear(&program);
    } else {
        REQUIRE(err.text[0] != 0);
    }
    free(copy);
    return 0;
}
