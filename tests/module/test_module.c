/* Modules and instances, each test on both engines.
 *
 * Would catch: memory, heap or registers that one call leaves to the next wrongly, or a reset that
 * does not bring back the first state; an import linked to another's function, or one that is
 * missing and not named; a host function that cannot see the program's memory or writes where the
 * program may not; gas that the host takes and nobody misses; a call that goes on at the wrong
 * place or asks twice; calls back into an instance that is running; pages of another size than the
 * host chose; a version's opcode that does not run, or one that it lacks and does; a program that
 * is compiled for each of its modules though they share a store, or that goes while the store has
 * its code; a hash of a state that misses a part of it, or differs by engine. */
#include <criterion/criterion.h>
#include <time.h>

#include "tests/module/module_support.h"

#define RW           0x30000u
#define EVERY        for (unsigned engine = 0; engine < 2; engine++)
#define CALL(i, ...) call_with(i, &(const struct wish){__VA_ARGS__})
#define ARGS(...)          \
    .args = {__VA_ARGS__}, \
    .arg_count = (unsigned)(sizeof((uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

struct wish {
    const char *export;
    uint64_t args[JAVM_PVM_MAX_ARGS];
    unsigned arg_count;
    uint64_t gas; /* 0: 1000 */
    uint64_t deadline_ns;
};

static struct javm_pvm_call call_with(struct javm_pvm_instance *instance, const struct wish *wish)
{
    struct javm_pvm_call call = {.gas = wish->gas == 0 ? 1000 : wish->gas,
                                 .arg_count = wish->arg_count,
                                 .deadline_ns = wish->deadline_ns};
    struct javm_error err;
    memcpy(call.args, wish->args, sizeof call.args);
    REQUIRE(javm_pvm_instance_call_export(instance, wish->export, &call, &err) == JAVM_OK);
    return call;
}

static struct javm_pvm_call resume(struct javm_pvm_instance *instance, uint64_t gas)
{
    struct javm_pvm_call call = {.gas = gas};
    REQUIRE(javm_pvm_instance_resume(instance, &call, NULL) == JAVM_OK);
    return call;
}

/* ---- the program ------------------------------------------------------------------------- */

static const char *const imports[] = {"sum", "poke", NULL};

static void open_sample(struct both *both, unsigned version, uint32_t page_size)
{
    struct pvm_text t = {.len = 0};
    uint8_t starts[PVM_CODE];
    struct pvm_export exports[12] = {{0}};
    unsigned n = 0;
#define EXPORT(called) exports[n++] = (struct pvm_export){t.len, called}
    EXPORT("add");
    PVM(&t, 200, 0x87, 7);
    RETURN(&t);
    EXPORT("count");
    PVM(&t, 56, 7, 0, 0, 3, 0); /* load_u32 a0, [0x30000] */
    PVM(&t, 149, 0x77, 1);
    PVM(&t, 61, 7, 0, 0, 3, 0);
    RETURN(&t);
    EXPORT("ask");
    PVM(&t, 10, 0);
    RETURN(&t);
    EXPORT("ask_poke");
    PVM(&t, 10, 1);
    RETURN(&t);
    EXPORT("ask_nobody");
    PVM(&t, 10, 44);
    RETURN(&t);
    EXPORT("store");
    PVM(&t, 120, 0x78, 0); /* store_ind_u8 [a0], a1 */
    RETURN(&t);
    EXPORT("grow");
    PVM(&t, 101, 0x77);
    RETURN(&t);
    EXPORT("spin");
    PVM(&t, 40, 0);
    EXPORT("odd");
    PVM(&t, 255);
    EXPORT("two"); /* memset in version 2, none in 0, unlikely in 3 */
    PVM(&t, 2);
    RETURN(&t);
    EXPORT("ask_forever");
    PVM(&t, 10, 0);
    PVM(&t, 40, 0xFE);
#undef EXPORT
    const struct polkavm_source source = {.code = source_of(&t, starts),
                                          .version = version,
                                          .ro_size = 10,
                                          .rw_size = 100,
                                          .stack_size = 5000,
                                          .ro = (const uint8_t *)"constants",
                                          .ro_len = 9,
                                          .rw = (const uint8_t *)"\7\0\0\0",
                                          .rw_len = 4,
                                          .imports = imports,
                                          .exports = exports};
    load(polkavm_make(&source), &both->program);
    both_open(both, page_size);
}

/* ---- the host ---------------------------------------------------------------------------- */

struct host {
    unsigned calls;
    enum javm_pvm_answer answer;
    uint64_t price;
    struct javm_pvm_instance *other;
    enum javm_status status; /* of what the function tried */
};

static enum javm_pvm_answer sum(void *context, struct javm_pvm_host_call *call)
{
    struct host *host = context;
    host->calls++;
    cr_assert_eq(call->number, 0);
    cr_assert_eq(call->import->name_len, 3);
    if (!javm_pvm_charge(call, host->price))
        return JAVM_PVM_NO_GAS;
    call->regs[7] += call->regs[8];
    return host->answer;
}

/* Writes φ8 at φ7, by bytes. */
static enum javm_pvm_answer poke(void *context, struct javm_pvm_host_call *call)
{
    struct host *host = context;
    uint64_t old = 0;
    host->calls++;
    cr_assert_eq(call->number, 1);
    call->regs[9] = javm_pvm_instance_read(call->instance, call->regs[7], &old, 8);
    call->regs[7] = javm_pvm_instance_write(call->instance, call->regs[7], &call->regs[8], 8);
    call->regs[8] = old;
    return JAVM_PVM_ANSWERED;
}

static struct javm_pvm_instance *make(const struct both *both, unsigned engine, struct host *host)
{
    const struct javm_pvm_import functions[] = {
        {"unused", poke, NULL}, {"poke", poke, host}, {"sum", sum, host}};
    struct javm_pvm_instance *instance;
    REQUIRE(javm_pvm_instance_create(both->module[engine], functions, 3, &instance, NULL) ==
            JAVM_OK);
    return instance;
}

Test(module, the_hash_of_a_state)
{
    struct both both;
    struct javm_hash fresh[2], counted[2], grown[2];
    open_sample(&both, 0, 0);
    EVERY
    {
        struct host host = {0};
        struct javm_pvm_instance *a = make(&both, engine, &host);
        const uint64_t *regs = javm_pvm_instance_regs(a);
        fresh[engine] = javm_pvm_instance_hash(a);
        const uint8_t byte = 1, old = 7;
        REQUIRE(javm_pvm_instance_write(a, RW, &byte, 1));
        const struct javm_hash written = javm_pvm_instance_hash(a);
        cr_expect_not(javm_hash_equal(&fresh[engine], &written), "memory");
        REQUIRE(javm_pvm_instance_write(a, RW, &old, 1));
        const struct javm_hash back = javm_pvm_instance_hash(a);
        cr_expect(javm_hash_equal(&fresh[engine], &back), "what is as at first does not count");
        javm_pvm_instance_regs(a)[12] = regs[12] + 1;
        const struct javm_hash other = javm_pvm_instance_hash(a);
        cr_expect_not(javm_hash_equal(&fresh[engine], &other), "registers");
        (void)CALL(a, .export = "count");
        counted[engine] = javm_pvm_instance_hash(a);
        (void)CALL(a, .export = "grow", ARGS(1));
        javm_pvm_instance_regs(a)[7] = 0;
        grown[engine] = javm_pvm_instance_hash(a);
        (void)CALL(a, .export = "grow", ARGS(1));
        javm_pvm_instance_regs(a)[7] = 0;
        const struct javm_hash more = javm_pvm_instance_hash(a);
        cr_expect_not(javm_hash_equal(&grown[engine], &more), "the heap");
        javm_pvm_instance_destroy(a);
    }
    cr_expect(javm_hash_equal(&fresh[0], &fresh[1]));
    cr_expect(javm_hash_equal(&counted[0], &counted[1]));
    cr_expect(javm_hash_equal(&grown[0], &grown[1]));
    both_close(&both);
}

/* ---- calls and memory --------------------------------------------------------------------- */

Test(module, memory_stays_from_call_to_call_until_it_is_reset)
{
    struct both both;
    open_sample(&both, 0, 0);
    EVERY
    {
        struct host host = {0};
        struct javm_pvm_instance *a = make(&both, engine, &host), *b = make(&both, engine, &host);
        for (unsigned round = 0; round < 3; round++) {
            for (uint64_t i = 1; i < 4; i++) {
                const struct javm_pvm_call call = CALL(a, .export = "count", ARGS(99));
                cr_expect_eq(call.end, JAVM_PVM_RETURNED);
                cr_expect_eq(call.value, 7 + i);
                cr_expect_eq(call.gas, 996);
            }
            cr_expect_eq(CALL(b, .export = "count").value, 8 + round);
            cr_expect_eq(CALL(a, .export = "grow", ARGS(10000)).value, RW + 100);
            cr_expect_eq(CALL(a, .export = "grow", ARGS(0)).value, RW + 10100);
            cr_expect_eq(CALL(a, .export = "store", ARGS(RW + 10099, 5)).end, JAVM_PVM_RETURNED);
            cr_expect_eq(CALL(a, .export = "store", ARGS(RW + 0x3000, 5)).end, JAVM_PVM_FAULT);
            REQUIRE(javm_pvm_instance_reset(a, NULL, 0, NULL) == JAVM_OK);
            cr_expect_eq(CALL(a, .export = "store", ARGS(RW + 10099, 5)).end, JAVM_PVM_FAULT);
            cr_expect_eq(CALL(a, .export = "grow", ARGS(0)).value, RW + 100);
            cr_expect_eq(CALL(a, .export = "add", ARGS(1, UINT64_MAX)).value, 0);
            REQUIRE(round != 1 ||
                    javm_pvm_instance_reset(a, (const uint8_t *)"in", 2, NULL) == JAVM_OK);
        }
        javm_pvm_instance_destroy(a);
        javm_pvm_instance_destroy(b);
    }
    both_close(&both);
}

Test(module, registers_of_a_call_are_those_of_the_layout)
{
    struct both both;
    open_sample(&both, 0, 0);
    EVERY
    {
        struct host host = {0};
        struct javm_pvm_instance *a = make(&both, engine, &host);
        CALL(a, .export = "add", ARGS(1, 2, 3, 4, 5, 6));
        CALL(a, .export = "add", ARGS(4));
        const uint64_t *regs = javm_pvm_instance_regs(a);
        cr_expect_eq(regs[0], 0xFFFF0000);
        cr_expect_eq(regs[1], 0xFFFE0000);
        cr_expect_eq(regs[7], 4);
        for (unsigned i = 2; i < 13; i++)
            cr_expect(i == 7 || regs[i] == 0);
        struct javm_pvm_call call = {.gas = 1, .arg_count = 7};
        cr_expect_eq(javm_pvm_instance_call(a, 0, &call, NULL), JAVM_E_RANGE);
        cr_expect_eq(javm_pvm_instance_call_export(a, "ad", &call, NULL), JAVM_E_MISSING);
        javm_pvm_instance_destroy(a);
    }
    both_close(&both);
}

Test(module, pages_are_as_large_as_the_host_says)
{
    static const uint32_t sizes[] = {0, 4096, 16384, 65536};
    for (unsigned s = 0; s < 4; s++) {
        const uint64_t page = s == 0 ? 4096 : sizes[s];
        struct both both;
        open_sample(&both, 0, sizes[s]);
        EVERY
        {
            struct host host = {0};
            struct javm_pvm_instance *a = make(&both, engine, &host);
            cr_expect_eq(CALL(a, .export = "store", ARGS(RW + page - 1)).end, JAVM_PVM_RETURNED);
            struct javm_pvm_call call = CALL(a, .export = "store", ARGS(RW + page));
            cr_expect_eq(call.end, JAVM_PVM_FAULT);
            cr_expect_eq(call.addr, RW + page);
            cr_expect(call.write);
            /* up to the end of the page that is there, then one byte more */
            cr_expect_eq(CALL(a, .export = "grow", ARGS(page - 100)).value, RW + 100);
            cr_expect_eq(CALL(a, .export = "store", ARGS(RW + page)).end, JAVM_PVM_FAULT);
            cr_expect_eq(CALL(a, .export = "grow", ARGS(1)).value, RW + page);
            cr_expect_eq(CALL(a, .export = "store", ARGS(RW + 2 * page - 1)).end,
                         JAVM_PVM_RETURNED);
            cr_expect_eq(CALL(a, .export = "store", ARGS(RW + 2 * page)).end, JAVM_PVM_FAULT);
            javm_pvm_instance_destroy(a);
        }
        both_close(&both);
    }
    struct both both;
    struct javm_pvm_module *module;
    open_sample(&both, 0, 0);
    const struct javm_pvm_module_options odd = {.page_size = 8192},
                                         lone = {.engine = JAVM_ENGINE_JIT};
    cr_expect_eq(javm_pvm_module_open(&both.program, &odd, &module, NULL), JAVM_E_LIMIT);
    cr_expect_eq(javm_pvm_module_open(&both.program, &lone, &module, NULL), JAVM_E_UNSUPPORTED);
    both_close(&both);
}

Test(module, a_version_has_its_opcodes)
{
    for (unsigned version = 0; version < 4; version += version == 0 ? 2 : 1) {
        struct both both;
        open_sample(&both, version, 0);
        EVERY
        {
            struct host host = {0};
            struct javm_pvm_instance *a = make(&both, engine, &host);
            cr_expect_eq(CALL(a, .export = "two", ARGS(RW, 1, 50)).end,
                         version == 0 ? JAVM_PVM_PANIC : JAVM_PVM_RETURNED);
            struct javm_pvm_call call = CALL(a, .export = "count");
            cr_expect_eq(call.value, version == 2 ? 0x01010102 : 8);
            cr_expect_eq(CALL(a, .export = "odd").end, JAVM_PVM_PANIC);
            call = CALL(a, .export = "grow", ARGS(0)); /* 101 is popcount in version 3 */
            cr_expect_eq(call.value, version == 3 ? 0 : RW + 100);
            javm_pvm_instance_destroy(a);
        }
        both_close(&both);
    }
}

/* ---- the host's functions ------------------------------------------------------------------ */

Test(module, imports_are_linked_by_name)
{
    struct both both;
    open_sample(&both, 0, 0);
    EVERY
    {
        struct host host = {.price = 7};
        struct javm_pvm_instance *a = make(&both, engine, &host);
        struct javm_pvm_call call = CALL(a, .export = "ask", ARGS(40, 2));
        cr_expect_eq(call.end, JAVM_PVM_RETURNED);
        cr_expect_eq(call.value, 42);
        cr_expect_eq(call.gas, 1000 - 2 - 7);
        call = CALL(a, .export = "ask_poke", ARGS(RW, 0xFFFF));
        cr_expect_eq(call.value, 1);
        cr_expect_eq(call.value2, 7);
        cr_expect_eq(CALL(a, .export = "count").value, 0x10000);
        call = CALL(a, .export = "ask_poke", ARGS(0x10000)); /* constants: readable only */
        cr_expect_eq(call.value, 0);
        cr_expect_eq(call.value2, UINT64_C(0x6E6174736E6F63) | UINT64_C(0x74) << 56);
        cr_expect_eq(CALL(a, .export = "ask_poke", ARGS(UINT32_MAX)).value, 0);
        cr_expect_eq(CALL(a, .export = "ask_poke", ARGS(UINT64_C(0x100030000))).value, 0);
        cr_expect_eq(CALL(a, .export = "ask_poke", ARGS(UINT64_MAX)).value, 0);
        cr_expect_eq(host.calls, 6);
        javm_pvm_instance_destroy(a);
    }
    both_close(&both);
}

Test(module, imports_that_nobody_answers_are_named)
{
    struct both both;
    struct javm_error err;
    struct javm_pvm_instance *a;
    struct host host = {0};
    uint32_t missing[2] = {9, 9};
    const struct javm_pvm_import one = {"sum", sum, &host}, any = {NULL, sum, &host};
    open_sample(&both, 0, 0);
    cr_expect_eq(javm_pvm_instance_create(both.module[0], NULL, 0, &a, &err), JAVM_E_MISSING);
    cr_expect_str_eq(err.text, "2 of 2 imports have no function: \"sum\" \"poke\"");
    cr_expect_eq(javm_pvm_instance_create(both.module[0], &one, 1, &a, &err), JAVM_E_MISSING);
    cr_expect_str_eq(err.text, "1 of 2 imports have no function: \"poke\"");
    cr_expect_eq(javm_pvm_missing(&both.program, &one, 1, missing, 2), 1);
    cr_expect_eq(missing[0], 1);
    cr_expect_eq(missing[1], 9);
    cr_expect_eq(javm_pvm_missing(&both.program, &any, 1, missing, 2), 0);
    both_close(&both);
}

Test(module, a_call_that_ends_at_the_host_goes_on_there)
{
    struct both both;
    open_sample(&both, 0, 0);
    EVERY
    {
        struct host host = {.answer = JAVM_PVM_STOP, .price = 50};
        struct javm_pvm_instance *a = make(&both, engine, &host);
        struct javm_pvm_call call = CALL(a, .export = "ask", ARGS(1, 2));
        cr_expect_eq(call.end, JAVM_PVM_STOPPED);
        cr_expect_eq(call.number, 0);
        cr_expect_eq(call.import, &both.program.imports[0]);
        javm_pvm_instance_regs(a)[7] = 77;
        call = resume(a, 10);
        cr_expect_eq(call.end, JAVM_PVM_RETURNED);
        cr_expect_eq(call.value, 77);
        cr_expect_eq(call.gas, 9);
        cr_expect_eq(javm_pvm_instance_resume(a, &call, NULL), JAVM_E_STATE);

        host = (struct host){.price = 50}; /* the function is asked again, once there is gas */
        call = CALL(a, .export = "ask", ARGS(1, 2), .gas = 50);
        cr_expect_eq(call.end, JAVM_PVM_OUT_OF_GAS);
        cr_expect_eq(call.gas, 49);
        call = resume(a, 49);
        cr_expect_eq(call.end, JAVM_PVM_OUT_OF_GAS);
        call = resume(a, 51);
        cr_expect_eq(call.end, JAVM_PVM_RETURNED);
        cr_expect_eq(call.value, 3);
        cr_expect_eq(call.gas, 0);
        cr_expect_eq(host.calls, 3);

        host = (struct host){.answer = JAVM_PVM_TRAP};
        call = CALL(a, .export = "ask");
        cr_expect_eq(call.end, JAVM_PVM_TRAPPED);
        cr_expect_eq(javm_pvm_instance_resume(a, &call, NULL), JAVM_E_STATE);

        call = CALL(a, .export = "ask_nobody", ARGS(5));
        cr_expect_eq(call.end, JAVM_PVM_HOST_CALL);
        cr_expect_eq(call.number, 44);
        cr_expect_null(call.import);
        call = resume(a, 1);
        cr_expect_eq(call.value, 5);

        call = CALL(a, .export = "store",
                    ARGS(RW + 0x1000, 1)); /* the page comes, the store goes on */
        cr_expect_eq(call.end, JAVM_PVM_FAULT);
        javm_pvm_instance_regs(a)[7] = RW;
        call = resume(a, 10);
        cr_expect_eq(call.end, JAVM_PVM_RETURNED);
        cr_expect_eq(CALL(a, .export = "count").value, 2);

        call = CALL(a, .export = "spin");
        cr_expect_eq(call.end, JAVM_PVM_OUT_OF_GAS);
        cr_expect_eq(call.gas, 0);
        call = resume(a, 5);
        cr_expect_eq(call.end, JAVM_PVM_OUT_OF_GAS);
        javm_pvm_instance_destroy(a);
    }
    both_close(&both);
}

Test(module, a_deadline_ends_calls_that_compute_and_calls_that_ask)
{
    struct both both;
    open_sample(&both, 0, 0);
    EVERY
    {
        struct host host = {0};
        struct javm_pvm_instance *a = make(&both, engine, &host);
        struct javm_pvm_call call = CALL(a, .export = "spin", .gas = UINT64_MAX, .deadline_ns = 1);
        cr_expect_eq(call.end, JAVM_PVM_TIMEOUT);
        call = CALL(a, .export = "ask_forever", .gas = UINT64_MAX, .deadline_ns = 1);
        cr_expect_eq(call.end, JAVM_PVM_TIMEOUT);
        cr_expect_eq(host.calls, 1);
        call = resume(a, 9);
        cr_expect_eq(call.end, JAVM_PVM_OUT_OF_GAS);
        cr_expect_eq(host.calls, 5);
        javm_pvm_instance_destroy(a);
    }
    both_close(&both);
}

/* ---- calls from functions of the host ------------------------------------------------------- */

static enum javm_pvm_answer call_other(void *context, struct javm_pvm_host_call *call)
{
    struct host *host = context;
    struct javm_pvm_call inner = {.gas = 100, ARGS(call->regs[7], 5)};
    host->calls++;
    host->status = javm_pvm_instance_call_export(host->other, "add", &inner, NULL);
    cr_assert_eq(javm_pvm_instance_reset(call->instance, NULL, 0, NULL), JAVM_E_STATE);
    cr_assert_eq(javm_pvm_instance_resume(call->instance, &inner, NULL), JAVM_E_STATE);
    call->regs[7] = inner.value;
    return JAVM_PVM_ANSWERED;
}

Test(module, a_function_may_call_another_instance_and_not_its_own)
{
    struct both both;
    open_sample(&both, 0, 0);
    EVERY
    {
        struct host host = {0};
        const struct javm_pvm_import any = {NULL, call_other, &host};
        struct javm_pvm_instance *a, *b;
        REQUIRE(javm_pvm_instance_create(both.module[engine], &any, 1, &a, NULL) == JAVM_OK);
        REQUIRE(javm_pvm_instance_create(both.module[engine], &any, 1, &b, NULL) == JAVM_OK);
        host.other = b;
        cr_expect_eq(CALL(a, .export = "ask", ARGS(10)).value, 15);
        cr_expect_eq(host.status, JAVM_OK);
        cr_expect_eq(CALL(a, .export = "ask_nobody", ARGS(11)).value, 16);
        host.other = a;
        cr_expect_eq(CALL(a, .export = "ask", ARGS(10)).value, 0);
        cr_expect_eq(host.status, JAVM_E_STATE);
        cr_expect_eq(CALL(a, .export = "add", ARGS(1, 2)).value, 3);
        javm_pvm_instance_destroy(a);
        javm_pvm_instance_destroy(b);
    }
    both_close(&both);
}

/* ---- standard programs ---------------------------------------------------------------------- */

Test(module, a_standard_program_takes_arguments_and_gives_bytes)
{
    static const uint8_t input[] = "some input";
    struct pvm_text t = {.len = 0};
    uint8_t starts[PVM_CODE], *bytes;
    uint64_t len;
    struct both both;
    RETURN(&t); /* what it was given */
    PVM(&t, 51, 8, 0, 0, 0, 0x10);
    RETURN(&t); /* from 2: ... and too much */
    const struct spi_source source = {.code = source_of(&t, starts), .stack = 4096};
    load(spi_make(&source), &both.program);
    both_open(&both, 0);
    EVERY
    {
        struct javm_pvm_instance *a;
        REQUIRE(javm_pvm_instance_create(both.module[engine], NULL, 0, &a, NULL) == JAVM_OK);
        for (uint64_t n = 0; n <= sizeof input; n += 5) {
            struct javm_pvm_call call = {.gas = 10};
            REQUIRE(javm_pvm_instance_reset(a, input, n, NULL) == JAVM_OK);
            REQUIRE(javm_pvm_instance_call(a, 0, &call, NULL) == JAVM_OK);
            cr_expect_eq(call.end, JAVM_PVM_RETURNED);
            cr_expect_eq(call.value2, n);
            REQUIRE(javm_pvm_instance_output(a, 10, &bytes, &len, NULL) == JAVM_OK);
            cr_expect_eq(len, n);
            cr_expect_eq(memcmp(bytes, input, n), 0);
            free(bytes);
            cr_expect_eq(javm_pvm_instance_output(a, 4, &bytes, &len, NULL),
                         n > 4 ? JAVM_E_LIMIT : JAVM_OK);
            if (n <= 4)
                free(bytes);
            call.gas = 10;
            REQUIRE(javm_pvm_instance_call(a, 2, &call, NULL) == JAVM_OK);
            REQUIRE(javm_pvm_instance_output(a, 4, &bytes, &len, NULL) == JAVM_OK);
            cr_expect_eq(len, 0, "it cannot be read");
            free(bytes);
        }
        cr_expect_eq(javm_pvm_instance_reset(a, input, (1u << 24) + 1, NULL), JAVM_E_LIMIT);
        javm_pvm_instance_destroy(a);
    }
    both_close(&both);
}

/* ---- one store --------------------------------------------------------------------------- */

static unsigned references; /* to the program */

static void retain(void *program)
{
    (void)program;
    references++;
}

static void release(void *program)
{
    if (--references == 0)
        javm_pvm_clear(program);
}

Test(module, modules_with_an_owner_share_their_code)
{
    struct both both;
    struct host host = {0};
    struct javm_pvm_module *modules[2];
    struct javm_jit_stats stats;
    open_sample(&both, 0, 0);
    struct javm_pvm_program *program = &both.program;
    const struct javm_owner owner = {program, 100, retain, release};
    const struct javm_pvm_module_options options = {
        .engine = JAVM_ENGINE_JIT, .jit = both.jit, .owner = &owner};
    uint64_t compiled[2];
    for (unsigned i = 0; i < 2; i++)
        javm_pvm_module_close(both.module[i]);
    references = 1;
    for (unsigned i = 0; i < 2; i++) {
        REQUIRE(javm_pvm_module_open(program, &options, &modules[i], NULL) == JAVM_OK);
        both.module[JAVM_ENGINE_JIT] = modules[i];
        struct javm_pvm_instance *a = make(&both, JAVM_ENGINE_JIT, &host);
        cr_expect_eq(CALL(a, "add", ARGS(40, 2)).value, 42);
        javm_pvm_instance_destroy(a);
        javm_jit_stats(both.jit, &stats);
        compiled[i] = stats.compiled_bytes;
    }
    cr_expect_gt(compiled[0], 0);
    cr_expect_eq(compiled[1], compiled[0]);
    for (unsigned i = 0; i < 2; i++)
        javm_pvm_module_close(modules[i]);
    release(program);
    cr_expect_eq(references, 1, "the store's");
    javm_jit_forget(both.jit);
    cr_expect_eq(references, 0);
    javm_jit_destroy(both.jit);
    REQUIRE_NO_LEAKS();
}
