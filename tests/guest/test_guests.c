/* Every prebuilt guest gives its native twin's result in the machine, for a table of arguments, and
 * costs exactly the gas that gas.txt says. Finds: wrong lowering or interpretation of whatever
 * compilers emit, a linker that moves code wrongly, state that leaks from one invocation into the
 * next, gas that depends on the engine, the compiler of the library or on what ran before. Runs
 * once for each instruction set. JAVM_UPDATE=1 rewrites gas.txt and gas-pvm.txt. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "guest/native/guest_vm.h"

#ifndef JAVM_PREBUILT
#define JAVM_PREBUILT "guest/prebuilt"
#define GAS_TABLE     "gas.txt"
#else
#define GAS_TABLE "gas-pvm.txt"
#endif
#define GAS_FILE JAVM_SOURCE "/tests/guest/" GAS_TABLE
#define BUDGET   UINT64_C(100000000000)

static struct guest_vm *vm, *native_vm; /* of the two engines; the second may be NULL */

static void open_vm(void)
{
    const struct javm_vm_options jit = {.engine = JAVM_ENGINE_JIT};
    vm = guest_vm_open(JAVM_SOURCE "/" JAVM_PREBUILT, NULL);
    cr_assert_not_null(vm);
    if (!javm_engine_available(JAVM_ENGINE_JIT))
        return;
    native_vm = guest_vm_open(JAVM_SOURCE "/" JAVM_PREBUILT, &jit);
    cr_assert_not_null(native_vm);
}
static void close_vm(void)
{
    guest_vm_close(vm);
    guest_vm_close(native_vm);
}
TestSuite(guests, .init = open_vm, .fini = close_vm);

/* Argument sets: the demo's, the benchmarks', zeros, everything at its largest but small enough to
 * end soon. */
static size_t argument_sets(const struct guest_native *guest, uint64_t sets[8][4])
{
    memcpy(sets[0], guest->demo, sizeof sets[0]);
    memcpy(sets[1], guest->bench, sizeof sets[1]);
    memset(sets[2], 0, sizeof sets[2]);
    memcpy(sets[3], guest->demo, sizeof sets[3]);
    sets[3][0] += 1;
    memcpy(sets[4], guest->demo, sizeof sets[4]);
    sets[4][0] = sets[4][0] / 2 + 1;
    return 5;
}

static uint64_t run_on(struct guest_vm *on, size_t i, const uint64_t args[4], uint64_t *gas)
{
    struct javm_call_result result;
    struct javm_error err = {.text = ""};
    const enum javm_status status = guest_vm_invoke(on, i, args, BUDGET, NULL, &result, &err);
    cr_assert_eq(status, JAVM_OK, "%s: %s", guest_natives[i].name, err.text);
    cr_assert_eq(result.end, JAVM_END_HALT, "%s(%" PRIu64 "): end %d fault %s pc 0x%" PRIx64,
                 guest_natives[i].name, args[0], (int)result.end, javm_fault_name(result.fault),
                 result.pc);
    *gas = result.gas_used;
    const uint64_t value = result.value;
    javm_call_result_clear(&result);
    return value;
}

/* On both engines, which have to agree. */
static uint64_t run(size_t i, const uint64_t args[4], uint64_t *gas)
{
    const uint64_t value = run_on(vm, i, args, gas);
    uint64_t other;
    if (native_vm == NULL)
        return value;
    cr_expect_eq(run_on(native_vm, i, args, &other), value, "%s", guest_natives[i].name);
    cr_expect_eq(other, *gas, "%s: gas", guest_natives[i].name);
    return value;
}

Test(guests, equal_their_native_twins_with_the_same_gas_each_time)
{
    static uint8_t scratch[65536];
    for (size_t i = 0; i < guest_native_count; i++) {
        uint64_t sets[8][4];
        const size_t count = argument_sets(&guest_natives[i], sets);
        for (size_t k = 0; k < count; k++) {
            uint64_t first, second;
            memset(scratch, 0, sizeof scratch);
            const uint64_t native = guest_native_run(&guest_natives[i], sets[k], scratch);
            const uint64_t value = run(i, sets[k], &first);
            cr_expect_eq(value, native, "%s set %zu: 0x%" PRIx64 ", natively 0x%" PRIx64,
                         guest_natives[i].name, k, value, native);
            cr_expect_eq(run(i, sets[k], &second), native);
            cr_expect_eq(first, second, "%s set %zu: gas", guest_natives[i].name, k);
        }
    }
}

Test(guests, cost_what_gas_txt_says)
{
    const bool update = getenv("JAVM_UPDATE") != NULL;
    FILE *file = fopen(GAS_FILE, update ? "w" : "r");
    cr_assert_not_null(file, "%s", GAS_FILE);
    size_t lines = 0;
    for (size_t i = 0; i < guest_native_count; i++) {
        uint64_t sets[8][4], gas;
        const size_t count = argument_sets(&guest_natives[i], sets);
        for (size_t k = 0; k < count; k++, lines++) {
            const uint64_t *a = sets[k];
            const uint64_t value = run(i, a, &gas);
            char want[256], line[256];
            snprintf(line, sizeof line,
                     "%s %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " value 0x%016" PRIx64
                     " gas %" PRIu64 "\n",
                     guest_natives[i].name, a[0], a[1], a[2], a[3], value, gas);
            if (update) {
                fputs(line, file);
            } else {
                cr_assert_not_null(fgets(want, sizeof want, file), "gas.txt is too short");
                cr_expect_str_eq(line, want);
            }
        }
    }
    char rest[16];
    cr_expect(update || fgets(rest, sizeof rest, file) == NULL, "gas.txt has more lines");
    cr_expect_eq(fclose(file), 0);
    cr_expect_gt(lines, 50);
}

Test(guests, run_out_of_gas_at_the_last_unit)
{
    for (size_t i = 0; i < guest_native_count; i++) {
        struct javm_call_result result;
        struct javm_error err = {.text = ""};
        uint64_t gas;
        run(i, guest_natives[i].demo, &gas);
        cr_assert_eq(guest_vm_invoke(vm, i, guest_natives[i].demo, gas, NULL, &result, &err),
                     JAVM_OK);
        cr_expect_eq(result.end, JAVM_END_HALT, "%s with exact gas", guest_natives[i].name);
        cr_expect_eq(result.gas_used, gas);
        cr_assert_eq(guest_vm_invoke(vm, i, guest_natives[i].demo, gas - 1, NULL, &result, &err),
                     JAVM_OK);
        cr_expect_eq(result.end, JAVM_END_FAULTED, "%s with one less", guest_natives[i].name);
        cr_expect_eq(result.fault, JAVM_FAULT_OUT_OF_GAS);
    }
}

/* The hash programs take their input from the scratchpad and leave the digest there. */
Test(guests, exchange_data_through_the_scratchpad)
{
    static uint8_t native[16384], guest[16384];
    static const char *const names[] = {"blake2b", "keccak", "sha256", "lz4"};
    for (size_t n = 0; n < sizeof names / sizeof *names; n++) {
        const struct guest_native *twin = guest_native_find(names[n]);
        cr_assert_not_null(twin);
        for (uint64_t len = 1; len <= 16384; len = len * 3 + 1) {
            const uint64_t args[4] = {0, len, 2, 0};
            for (size_t k = 0; k < sizeof native; k++)
                native[k] = (uint8_t)(k * 31 + len);
            struct javm_cap *input = javm_data_new(native, sizeof native);
            cr_assert_not_null(input);
            struct javm_call_result result;
            struct javm_error err = {.text = ""};
            cr_assert_eq(guest_vm_invoke(vm, (size_t)(twin - guest_natives), args, BUDGET, input,
                                         &result, &err),
                         JAVM_OK, "%s", err.text);
            cr_assert_eq(result.end, JAVM_END_HALT, "%s", names[n]);
            cr_expect_eq(result.value, guest_native_run(twin, args, native), "%s(%" PRIu64 ")",
                         names[n], len);
            cr_assert_not_null(result.slot0);
            javm_data_read(result.slot0, 0, guest, sizeof guest);
            cr_expect_arr_eq(guest, native, sizeof guest, "%s(%" PRIu64 ")", names[n], len);
            javm_call_result_clear(&result);
            javm_cap_release(input);
        }
    }
}
