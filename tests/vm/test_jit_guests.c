/* Every image of guest/prebuilt through javm_vm_invoke on both engines: whatever a caller can see
 * of an invocation is the same, with gas for all of it and with less.
 *
 * Would catch: a value, an end, gas, a place, a post instance or a slot[0] that depends on the
 * engine; what an invocation left in a memory that is used again, showing in the next one; code
 * that is only right the first time it runs, or only when it is entered at the beginning. */
#include <criterion/criterion.h>

#include <dirent.h>

#include "guest/native/guest_native.h"
#include "tests/vm/jit_twin.h"
#include "tests/vm/prebuilt.h"

#define SETS     8u
/* Some arguments make a guest run for ever, or ask for more than it takes. */
#define MOST_GAS (SANITIZED ? UINT64_C(2000000) : UINT64_C(5000000))

static struct world w; /* its Vm interprets */
static struct javm_vm *native;

static void open_engines(void)
{
    const struct javm_vm_options options = {.engine = JAVM_ENGINE_JIT};
    world_open(&w, NULL);
    REQUIRE(javm_vm_create(&options, &native, NULL) == JAVM_OK);
}

static void close_engines(void)
{
    javm_vm_destroy(native);
    world_close(&w);
}

TestSuite(jit_guests, .init = open_engines, .fini = close_engines);

static struct javm_hash hash_of(const struct javm_cap *cap)
{
    struct javm_hash hash = {{0}};
    if (cap != NULL)
        REQUIRE(javm_cap_hash(cap, &hash) == JAVM_OK);
    return hash;
}

static void same_cap(const struct javm_cap *a, const struct javm_cap *b)
{
    const struct javm_hash x = hash_of(a), y = hash_of(b);
    REQUIRE((a == NULL) == (b == NULL) && javm_hash_equal(&x, &y));
}

/* The interpreter's result, which the caller clears. */
static struct javm_call_result invoke_both(const struct javm_call *call)
{
    struct javm_call_result a, b;
    REQUIRE(javm_vm_invoke(w.vm, w.dir, call, &a, NULL) == JAVM_OK);
    REQUIRE(javm_vm_invoke(native, w.dir, call, &b, NULL) == JAVM_OK);
    REQUIRE(a.end == b.end && a.fault == b.fault);
    REQUIRE(a.value == b.value && a.gas_used == b.gas_used && a.pc == b.pc);
    REQUIRE(a.address == b.address && a.fault_addr == b.fault_addr);
    REQUIRE(a.selector == b.selector && a.selector_is_ecall == b.selector_is_ecall);
    same_cap(a.post_instance, b.post_instance);
    same_cap(a.slot0, b.slot0);
    javm_call_result_clear(&b);
    return a;
}

/* With enough gas, and with parts of what that took. True: it halted. */
static bool check_call(struct javm_call call, struct random *random)
{
    call.gas = MOST_GAS;
    struct javm_call_result result = invoke_both(&call);
    const uint64_t used = result.gas_used;
    const bool halted = result.end == JAVM_END_HALT;
    javm_call_result_clear(&result);
    const uint64_t budgets[] = {
        0, 1, used / 2, used - 1, used, random_below(random, used + 1), used + 1};
    for (size_t i = 0; i < CODE(budgets); i++) {
        call.gas = budgets[i];
        result = invoke_both(&call);
        javm_call_result_clear(&result);
    }
    return halted;
}

static size_t argument_sets(const char *name, uint64_t sets[SETS][4])
{
    const struct guest_native *guest = guest_native_find(name);
    size_t count = 0;
    memset(sets, 0, SETS * sizeof *sets);
    count++; /* zeros */
    sets[count++][0] = 3;
    sets[count][0] = UINT64_MAX;
    sets[count++][1] = UINT64_MAX;
    if (guest == NULL)
        return count;
    memcpy(sets[count++], guest->demo, sizeof sets[0]);
    memcpy(sets[count], guest->demo, sizeof sets[0]);
    sets[count++][0]++;
    return count;
}

/* An image may ask for more than there is of it: then nothing runs, on either engine. */
static bool accepted(const struct javm_call *call)
{
    struct javm_call_result a, b;
    struct javm_call none = *call;
    none.gas = 0;
    const enum javm_status status = javm_vm_invoke(w.vm, w.dir, &none, &a, NULL);
    REQUIRE(javm_vm_invoke(native, w.dir, &none, &b, NULL) == status);
    javm_call_result_clear(&a);
    javm_call_result_clear(&b);
    return status == JAVM_OK;
}

static void check_guest(const char *name, struct random *random)
{
    uint64_t sets[SETS][4];
    const size_t count = argument_sets(name, sets);
    struct javm_call call = {
        .instance = prebuilt(w.dir, name), .want_post = true, .want_slot0 = true};
    struct javm_cap *const scratchpads[] = {NULL, numbered_data(random_u64(random), 4)};
    unsigned halts = 0;
    for (; accepted(&call); call.endpoint++)
        for (size_t i = 0; i < count; i++)
            for (size_t k = 0; k < CODE(scratchpads); k++) {
                memcpy(call.args, sets[i], sizeof call.args);
                call.scratchpad = scratchpads[k];
                halts += check_call(call, random);
                call.scratchpad = NULL;
            }
    REQUIRE(call.endpoint != 0 && halts != 0);
    javm_cap_release(scratchpads[1]);
}

/* Calls visit with the name of each image; returns how many there are. */
static unsigned each_guest(void (*visit)(const char *name, struct random *random))
{
    DIR *folder = opendir(JAVM_SOURCE "/guest/prebuilt");
    struct dirent *entry;
    struct random random = {10};
    unsigned count = 0;
    REQUIRE(folder != NULL);
    while ((entry = readdir(folder)) != NULL) {
        char name[256];
        char *end = NULL;
        snprintf(name, sizeof name, "%s", entry->d_name);
        if ((end = strstr(name, ".jimg")) == NULL)
            continue;
        *end = '\0';
        visit(name, &random);
        count++;
    }
    closedir(folder);
    return count;
}

Test(jit_guests, agree_in_everything_a_caller_sees)
{
    cr_assert_geq(each_guest(check_guest), guest_native_count);
}

static void check_longer(const char *name, struct random *random)
{
    const struct guest_native *guest = guest_native_find(name);
    struct javm_call call = {.instance = prebuilt(w.dir, name), .gas = TWIN_PLENTY};
    (void)random;
    if (guest == NULL)
        return;
    memcpy(call.args, guest->bench, sizeof call.args);
    struct javm_call_result result = invoke_both(&call);
    REQUIRE(result.end == JAVM_END_HALT);
    for (unsigned less = 0; less < 2; less++) {
        call.gas = result.gas_used - less;
        struct javm_call_result again = invoke_both(&call);
        REQUIRE(again.end == (less ? JAVM_END_FAULTED : JAVM_END_HALT));
        javm_call_result_clear(&again);
    }
    javm_call_result_clear(&result);
}

Test(jit_guests, agree_in_longer_runs)
{
    if (!SANITIZED)
        each_guest(check_longer);
}

/* Each one's post instance is the next one's instance, and its slot[0] the next one's scratchpad.
 */
static void check_chain(const char *name, struct random *random)
{
    uint64_t sets[SETS][4];
    const size_t count = argument_sets(name, sets);
    struct javm_call call = {
        .instance = prebuilt(w.dir, name), .gas = MOST_GAS, .want_post = true, .want_slot0 = true};
    struct javm_cap *slot0 = NULL;
    for (unsigned i = 0; i < 6; i++) {
        memcpy(call.args, sets[random_below(random, count)], sizeof call.args);
        call.scratchpad = slot0;
        struct javm_call_result result = invoke_both(&call);
        if (result.end == JAVM_END_HALT) {
            REQUIRE(javm_directory_put(w.dir, result.post_instance, &call.instance, NULL) ==
                    JAVM_OK);
            javm_cap_release(slot0);
            slot0 = result.slot0;
            result.slot0 = NULL;
        }
        javm_call_result_clear(&result);
    }
    javm_cap_release(slot0);
}

Test(jit_guests, agree_from_post_instance_to_post_instance)
{
    each_guest(check_chain);
}

/* All of them by turns, so that memories, and the code of each, are used again after others. */
static struct {
    struct javm_call call;
    uint64_t value, gas_used;
} calls[64];
static unsigned call_count;

static void remember(const char *name, struct random *random)
{
    const struct guest_native *guest = guest_native_find(name);
    (void)random;
    if (guest == NULL)
        return;
    struct javm_call call = {.instance = prebuilt(w.dir, name), .gas = TWIN_PLENTY};
    REQUIRE(call_count < CODE(calls));
    memcpy(call.args, guest->demo, sizeof call.args);
    struct javm_call_result result = invoke_both(&call);
    REQUIRE(result.end == JAVM_END_HALT);
    calls[call_count].call = call;
    calls[call_count].value = result.value;
    calls[call_count++].gas_used = result.gas_used;
    javm_call_result_clear(&result);
}

Test(jit_guests, stay_right_by_turns)
{
    struct random random = {77};
    call_count = 0;
    each_guest(remember);
    cr_assert_eq(call_count, guest_native_count);
    for (unsigned i = 0; i < 2000 * stress_factor(); i++) {
        const uint64_t k = random_below(&random, call_count);
        struct javm_call call = calls[k].call;
        struct javm_call_result result;
        if (random_below(&random, 4) == 0)
            call.gas = random_below(&random, calls[k].gas_used + 2);
        REQUIRE(javm_vm_invoke(native, w.dir, &call, &result, NULL) == JAVM_OK);
        if (call.gas >= calls[k].gas_used) {
            REQUIRE(result.end == JAVM_END_HALT && result.value == calls[k].value);
            REQUIRE(result.gas_used == calls[k].gas_used);
        } else {
            REQUIRE(result.end == JAVM_END_FAULTED && result.fault == JAVM_FAULT_OUT_OF_GAS);
            REQUIRE(result.gas_used <= call.gas);
        }
        javm_call_result_clear(&result);
    }
}
