/* What the recompiler remembers of instruction words, from one place and one program to the next.
 *
 * Would catch: code or a price that is remembered although it depends on where the instruction is,
 * on the program's memory or on its price of a first write; a pair of neighbours that is compiled
 * as one although the second one is another, or the other way round; a table that is not empty when
 * the next program gets it. */
#include <criterion/criterion.h>

#include "tests/vm/jit_twin.h"
#include "vm/jit.h"

TestSuite(jit_memo, .fini = twin_no_leaks);

#define RW 0x20000000u

static void emit_all(struct code *c, const uint32_t *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        emit(c, words[i]);
}

/* The same words at many places, each behind and before different ones. */
static void repetitive(struct code *c)
{
    const uint32_t first[] = {LUI(5, 0x12345000),
                              op(PVM2_AUIPC, 6, 0, 0, 0x1000),
                              ADD(7, 10, 11),
                              op(PVM2_SLLI, 8, 10, 0, 32),
                              op(PVM2_MUL, 12, 10, 11, 0),
                              op(PVM2_SLTU, 13, 10, 11, 0),
                              op(PVM2_LW, 9, 2, 0, 8),
                              SD(11, 16, 2),
                              SD(3, 24, 2), /* x3 and x4 are in memory */
                              LD(4, 16, 2),
                              op(PVM2_FENCE, 0, 0, 0, 0)};
    const uint32_t second[] = {ADDI(5, 5, 0x123),
                               ADDI(5, 6, 0x123),
                               op(PVM2_SRLI, 8, 8, 0, 32),
                               op(PVM2_SRLI, 8, 8, 0, 31),
                               op(PVM2_MULHU, 14, 10, 11, 0),
                               op(PVM2_SLTU, 15, 7, 10, 0),
                               op(PVM2_XOR, 11, 11, 6, 0),
                               op(PVM2_XOR, 10, 10, 9, 0),
                               op(PVM2_XOR, 11, 5, 8, 0),
                               ADD(11, 11, 12)};
    for (unsigned round = 0; round < 2; round++)
        for (size_t i = 0; i < CODE(first); i++)
            for (size_t k = 0; k < CODE(second); k++) {
                const uint32_t words[] = {first[i], second[k], second[(k + 3) % CODE(second)]};
                emit_all(c, words, CODE(words));
                if (k % 4 == 3)
                    emit_start(c);
            }
    emit(c, REPLY);
}

/* One instance of each kind of program runs on both engines; its gas. */
static uint64_t run(struct javm_jit *jit, const struct code *code,
                    const struct javm_program_key *key)
{
    const struct javm_region regions[] = {
        {.first_page = RW >> JAVM_PAGE_SHIFT, .pages = 2, .writable = true}};
    struct javm_memory *memories[2];
    struct javm_program *program;
    struct javm_native *native;
    REQUIRE(javm_program_decode_pvm2((const uint8_t *)code->at, code_here(code), key, &program,
                                     NULL) == JAVM_OK);
    REQUIRE(javm_native_open(jit, NULL, (const uint8_t *)code->at, code_here(code), key, NULL,
                             &native, NULL) == JAVM_OK);
    struct javm_exec execs[2] = {{.program = program, .engine = JAVM_ENGINE_INTERP},
                                 {.native = native, .engine = JAVM_ENGINE_JIT}};
    for (unsigned i = 0; i < 2; i++) {
        REQUIRE(javm_memory_create(&memories[i], NULL) == JAVM_OK);
        REQUIRE(javm_memory_attach(memories[i], regions, 1) == JAVM_OK);
        execs[i].memory = memories[i];
        execs[i].gas = TWIN_PLENTY;
        execs[i].regs[slot_of(2)] = RW;
        execs[i].regs[slot_of(3)] = 33;
        execs[i].regs[slot_of(10)] = UINT64_C(0x123456789ABCDEF0);
        execs[i].regs[slot_of(11)] = UINT64_C(0xFEDCBA9876543210);
        javm_exec_run(&execs[i], 0);
        REQUIRE(execs[i].exit == JAVM_EXIT_HOST_CALL);
    }
    same_state(&execs[0], &execs[1]);
    for (unsigned i = 0; i < 2; i++)
        javm_memory_destroy(memories[i]);
    javm_native_close(native);
    javm_program_free(program);
    return TWIN_PLENTY - execs[1].gas;
}

Test(jit_memo, every_kind_of_program)
{
    static struct code code;
    static const uint64_t pages[] = {1, 3000, 20000, 100000};
    uint64_t gas[2][CODE(pages)];
    struct javm_jit *jit;
    REQUIRE(javm_jit_create(NULL, &jit, NULL) == JAVM_OK);
    code.n = 0;
    repetitive(&code);
    for (unsigned round = 0; round < 3; round++)
        for (size_t i = 0; i < CODE(pages); i++)
            for (unsigned cow = 0; cow < 2; cow++) {
                const struct javm_program_key key = {.footprint_pages = pages[i],
                                                     .cow_cost = cow ? 300 : 0};
                const uint64_t used = run(jit, &code, &key);
                cr_assert(round == 0 || used == gas[cow][i]);
                gas[cow][i] = used;
            }
    for (size_t i = 1; i < CODE(pages); i++)
        cr_assert_gt(gas[0][i], gas[0][i - 1], "memory cycles are priced");
    cr_assert_gt(gas[1][0], gas[0][0], "first writes are priced");
    javm_jit_destroy(jit);
}

/* A native's table goes to the next one of its size, cleared. */
Test(jit_memo, tables_come_back_empty)
{
    static struct code code;
    const struct javm_program_key key = {0};
    struct javm_jit *jit;
    REQUIRE(javm_jit_create(NULL, &jit, NULL) == JAVM_OK);
    code.n = 0;
    while (code_here(&code) < 4096)
        emit_start(&code);
    emit(&code, REPLY);
    jit_table seen = NULL;
    unsigned again = 0;
    for (unsigned round = 0; round < 20; round++) {
        struct javm_native *native;
        REQUIRE(javm_native_open(jit, NULL, (const uint8_t *)code.at, code_here(&code), &key, NULL,
                                 &native, NULL) == JAVM_OK);
        for (uint64_t i = 0; i < jit_table_entries(code_here(&code)); i++)
            REQUIRE(atomic_load(&native->table[i]) == 0);
        again += native->table == seen;
        seen = native->table;
        REQUIRE(javm_native_compile(native, NULL) == JAVM_OK);
        REQUIRE(atomic_load(&native->table[0]) != 0);
        javm_native_close(native);
    }
    cr_assert_eq(again, 19);
    javm_jit_destroy(jit);
}
