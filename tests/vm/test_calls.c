/* Invocations: how they are entered, how they end, and what is refused before anything runs.
 *
 * Would catch: registers set otherwise than the endpoint says; an end reported as another, or with
 * the selector, address, value or gas of something else; an API error that is reported as a guest
 * fault, or leaves the Vm unable to go on. */
#include <criterion/criterion.h>

#include "tests/vm/support.h"

#define PLENTY 100000

enum {
    E_ECHO,
    E_ADD,
    E_STACK,
    E_HOST,
    E_HOST_NEGATIVE,
    E_JAR_REPLY,
    E_JAR_OTHER,
    E_TRAP,
    E_PANIC,
    E_FAULT,
    E_LOOP,
    E_MIDDLE,
    E_GIVEN_STACK,
    ENDPOINTS
};

static const uint64_t none[4];

/* Echo writes all registers that an entry sets to RW_BASE. */
static struct javm_hash calls_image(struct javm_dir_thread *dir)
{
    uint32_t code[128];
    struct javm_endpoint endpoints[ENDPOINTS];
    uint32_t n = 0;
    memset(endpoints, 0, sizeof endpoints);
    for (uint32_t i = 0; i < ENDPOINTS; i++)
        endpoints[i].index = i;
#define ENTRY(e) endpoints[e].entry_pc = 4 * (uint64_t)n
    ENTRY(E_ECHO);
    code[n++] = LUI(3, RW_BASE);
    static const uint8_t x[JAVM_NUM_REGS] = {1, 2, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
    for (int32_t i = 0; i < JAVM_NUM_REGS; i++)
        code[n++] = SD(x[i], 8 * i, 3);
    code[n++] = SD(4, 8 * JAVM_NUM_REGS, 3);
    code[n++] = REPLY;
    for (unsigned i = 0; i < JAVM_NUM_REGS; i++)
        endpoints[E_ECHO].initial_regs[i] = UINT64_C(0x1111111111111111) * (i + 1);
    ENTRY(E_ADD);
    code[n++] = ADD(10, 10, 11);
    code[n++] = ADD(10, 10, 12);
    code[n++] = ADD(10, 10, 13);
    code[n++] = REPLY;
    ENTRY(E_STACK);
    endpoints[E_GIVEN_STACK].entry_pc = 4 * (uint64_t)n;
    endpoints[E_STACK].stack_top = 0x20000000;
    endpoints[E_GIVEN_STACK].stack_top = 0x20000000;
    endpoints[E_GIVEN_STACK].initial_regs[1] = 77;
    code[n++] = ADDI(10, 2, 0);
    code[n++] = REPLY;
    ENTRY(E_HOST);
    code[n++] = ADDI(10, 0, 5);
    code[n++] = ECALLI(64);
    ENTRY(E_HOST_NEGATIVE);
    code[n++] = ECALLI(-1);
    ENTRY(E_JAR_REPLY);
    code[n++] = ADDI(14, 0, 0);
    code[n++] = ECALL_JAR;
    ENTRY(E_JAR_OTHER);
    code[n++] = ADDI(14, 0, -3);
    code[n++] = ECALL_JAR;
    ENTRY(E_TRAP);
    code[n++] = TRAP;
    ENTRY(E_PANIC);
    code[n++] = ADDI(5, 5, 1);
    code[n++] = RESERVED;
    ENTRY(E_FAULT);
    code[n++] = LUI(5, 0x20000000);
    code[n++] = LD(5, 0x123, 5);
    code[n++] = REPLY;
    ENTRY(E_LOOP);
    code[n++] = JAL(0, 0);
    code[n++] = FALLTHROUGH;
    code[n++] = ADDI(5, 0, 1);
    ENTRY(E_MIDDLE);
    code[n++] = ADDI(5, 0, 1);
    code[n++] = REPLY;
#undef ENTRY
    REQUIRE(n <= CODE(code));
    const struct javm_mapping mapping = {
        .start = RW_BASE, .size = JAVM_PAGE_SIZE, .depth = 1, .path = {javm_key_from_u64(3)}};
    const struct javm_image image = {.isa = JAVM_ISA_PVM2,
                                     .code = (const uint8_t *)code,
                                     .code_len = 4 * (uint64_t)n,
                                     .endpoints = endpoints,
                                     .endpoint_count = ENDPOINTS,
                                     .mappings = &mapping,
                                     .mapping_count = 1};
    return publish_image(dir, &image);
}

static struct world w;
static struct javm_hash instance;
static struct javm_call_result result;

static void open_calls(void)
{
    world_open(&w, NULL);
    const struct javm_hash image = calls_image(w.dir);
    instance = instantiate(w.dir, &image);
}

static void close_calls(void)
{
    world_close(&w);
}

#define CALLS .init = open_calls, .fini = close_calls

/* The result is cleared of its caps; the plain fields stay for the test to look at. */
static void invoke(uint32_t endpoint, const uint64_t args[4], uint64_t gas)
{
    struct javm_error err;
    cr_assert_eq(javm_vm_invoke_cached(w.vm, w.dir, &instance, endpoint, args, gas, &result, &err),
                 JAVM_OK, "%s", err.text);
    cr_assert_eq(result.post_instance != NULL, result.end == JAVM_END_HALT);
    cr_assert_null(result.slot0);
    javm_call_result_clear(&result);
}

static void expect_fault(uint32_t endpoint, enum javm_fault fault)
{
    invoke(endpoint, none, PLENTY);
    cr_expect_eq(result.end, JAVM_END_FAULTED);
    cr_expect_eq(result.fault, fault, "%s", javm_fault_name(result.fault));
    cr_expect_eq(result.value, 0);
}

Test(calls, registers_at_entry, CALLS)
{
    const uint64_t args[4] = {1, UINT64_MAX, 3, 4};
    struct javm_error err;
    cr_assert_eq(javm_vm_invoke_cached(w.vm, w.dir, &instance, E_ECHO, args, PLENTY, &result, &err),
                 JAVM_OK);
    cr_expect_eq(result.end, JAVM_END_HALT);
    cr_expect_eq(result.value, 1);
    cr_assert_not_null(result.post_instance);
    struct javm_cap *root =
        javm_directory_get(w.dir, &javm_instance_of(result.post_instance)->root_cnode.hash);
    const struct javm_key key = javm_key_from_u64(3);
    struct javm_cap *data = javm_directory_get(w.dir, &javm_cnode_get(root, &key)->hash);
    for (unsigned i = 0; i < JAVM_NUM_REGS; i++) {
        const uint64_t want =
            i >= 7 && i <= 10 ? args[i - 7] : UINT64_C(0x1111111111111111) * (i + 1);
        cr_expect_eq(data_u64(data, 8 * i), want, "register %u", i);
    }
    cr_expect_eq(data_u64(data, 8 * JAVM_NUM_REGS), 0); /* x4 */
    javm_cap_release(data);
    javm_cap_release(root);
    javm_call_result_clear(&result);
    cr_expect_null(result.post_instance);
}

Test(calls, stack_top, CALLS)
{
    invoke(E_STACK, none, PLENTY);
    cr_expect_eq(result.value, 0x20000000);
    invoke(E_GIVEN_STACK, none, PLENTY); /* an initial φ[1] goes first */
    cr_expect_eq(result.value, 77);
}

Test(calls, halt, CALLS)
{
    const uint64_t args[4] = {10, 200, 3000, 40000};
    invoke(E_ADD, args, PLENTY);
    cr_expect_eq(result.end, JAVM_END_HALT);
    cr_expect_eq(result.fault, JAVM_FAULT_NONE);
    cr_expect_eq(result.value, 43210);
    cr_expect_eq(result.gas_used, 101); /* one block of 1, the ecalli 100 */
    invoke(E_JAR_REPLY, args, PLENTY);
    cr_expect_eq(result.end, JAVM_END_HALT);
    cr_expect_eq(result.value, 10);
}

Test(calls, host_call, CALLS)
{
    invoke(E_HOST, none, PLENTY);
    cr_expect_eq(result.end, JAVM_END_HOST_CALL);
    cr_expect_eq(result.fault, JAVM_FAULT_NONE);
    cr_expect_eq(result.selector, 64);
    cr_expect_not(result.selector_is_ecall);
    cr_expect_eq(result.gas_used, 101);
    cr_expect_eq(result.value, 0); /* not a halt: φ[7] is nobody's value */
    invoke(E_HOST_NEGATIVE, none, PLENTY);
    cr_expect_eq(result.selector, -1);
    invoke(E_JAR_OTHER, none, PLENTY);
    cr_expect_eq(result.end, JAVM_END_HOST_CALL);
    cr_expect_eq(result.selector, -3);
    cr_expect(result.selector_is_ecall);
}

Test(calls, faults, CALLS)
{
    expect_fault(E_TRAP, JAVM_FAULT_TRAP);
    cr_expect_eq(result.gas_used, 1);
    expect_fault(E_PANIC, JAVM_FAULT_PANIC);
    expect_fault(E_MIDDLE, JAVM_FAULT_PANIC); /* no block starts there */
    cr_expect_eq(result.gas_used, 0);
    expect_fault(E_FAULT, JAVM_FAULT_PAGE_FAULT);
    cr_expect_eq(result.address, 0x20000000);
    cr_expect_eq(result.fault_addr, 0x20000123);
}

Test(calls, gas, CALLS)
{
    for (uint64_t gas = 0; gas <= 102; gas++) {
        invoke(E_ADD, none, gas);
        cr_expect_eq(result.end, gas < 101 ? JAVM_END_FAULTED : JAVM_END_HALT, "gas %llu",
                     (unsigned long long)gas);
        if (gas < 101)
            cr_expect_eq(result.fault, JAVM_FAULT_OUT_OF_GAS);
        cr_expect_eq(result.gas_used, gas == 0 ? 0 : gas < 101 ? 1 : 101);
    }
    invoke(E_LOOP, none, 12 * 1000 + 5);
    cr_expect_eq(result.fault, JAVM_FAULT_OUT_OF_GAS);
    cr_expect_eq(result.gas_used, 12 * 1000);
}

Test(calls, deadline, CALLS)
{
    struct javm_call call = {
        .instance = instance, .endpoint = E_LOOP, .gas = UINT64_MAX, .deadline_ns = 1};
    cr_assert_eq(javm_vm_invoke(w.vm, w.dir, &call, &result, NULL), JAVM_OK);
    cr_expect_eq(result.end, JAVM_END_TIMEOUT);
    cr_expect_eq(result.gas_used % 12, 0);
    cr_expect_gt(result.gas_used, 0);
    javm_call_result_clear(&result);
    invoke(E_ADD, none, PLENTY); /* the Vm goes on */
    cr_expect_eq(result.end, JAVM_END_HALT);
}

Test(calls, nothing_that_was_not_wanted, CALLS)
{
    struct javm_call call = {.instance = instance, .endpoint = E_ECHO, .gas = PLENTY};
    cr_assert_eq(javm_vm_invoke(w.vm, w.dir, &call, &result, NULL), JAVM_OK);
    cr_expect_eq(result.end, JAVM_END_HALT);
    cr_expect_null(result.post_instance);
    cr_expect_null(result.slot0);
}

/* ---- what is refused -------------------------------------------------------------------- */

static void refuse(const struct javm_hash *hash, uint32_t endpoint, enum javm_status status,
                   const char *text)
{
    struct javm_error err = {0};
    memset(&result, 0xFF, sizeof result); /* whatever was there is not taken for a result */
    cr_expect_eq(javm_vm_invoke_cached(w.vm, w.dir, hash, endpoint, none, PLENTY, &result, &err),
                 status, "%s", err.text);
    cr_expect_eq(err.status, status);
    cr_expect_not_null(strstr(err.text, text), "%s", err.text);
    cr_expect_null(result.post_instance);
    cr_expect_null(result.slot0);
    cr_expect_eq(javm_vm_invoke_cached(w.vm, w.dir, hash, endpoint, none, PLENTY, &result, NULL),
                 status);
    invoke(E_ADD, none, PLENTY);
    cr_expect_eq(result.end, JAVM_END_HALT);
}

Test(calls, bad_endpoints, CALLS)
{
    refuse(&instance, ENDPOINTS, JAVM_E_RANGE, "endpoint 13");
    refuse(&instance, UINT32_MAX, JAVM_E_RANGE, "endpoint 4294967295");
}

Test(calls, no_such_instance, CALLS)
{
    struct javm_hash other = instance;
    other.bytes[31] ^= 1; /* the same place in the cache */
    invoke(E_ADD, none, PLENTY);
    refuse(&other, 0, JAVM_E_MISSING, "is not published");
}

Test(calls, not_an_instance, CALLS)
{
    const struct javm_hash image = calls_image(w.dir);
    const struct javm_hash data = publish(w.dir, javm_data_new("x", 1));
    refuse(&image, 0, JAVM_E_KIND, "of kind Image, not an Instance");
    refuse(&data, 0, JAVM_E_KIND, "of kind Data, not an Instance");
}

static struct javm_hash odd_instance(const struct javm_hash *image, const struct javm_hash *root,
                                     enum javm_instance_status status)
{
    struct javm_instance fields = {.image_hash_chain = *image,
                                   .image_hash = *image,
                                   .root_cnode = javm_target_hash(root),
                                   .mem = javm_data_new_zero(0),
                                   .status = status};
    if (status == JAVM_PAUSED)
        fields.yield_key = javm_key_from_u64(1);
    return publish(w.dir, javm_instance_new(&fields));
}

Test(calls, instances_that_cannot_run, CALLS)
{
    const struct javm_hash image = calls_image(w.dir), zero = {{0}};
    const struct javm_hash cnode = publish_cnode(w.dir, NULL, 0);
    const struct javm_hash data = publish(w.dir, javm_data_new("x", 1));
    const struct javm_hash paused = odd_instance(&image, &cnode, JAVM_PAUSED);
    const struct javm_hash faulted = odd_instance(&image, &cnode, JAVM_FAULTED);
    const struct javm_hash handle = odd_instance(&zero, &zero, JAVM_IDLE);
    const struct javm_hash rootless = odd_instance(&image, &data, JAVM_IDLE);
    const struct javm_hash codeless = odd_instance(&data, &cnode, JAVM_IDLE);
    refuse(&paused, 0, JAVM_E_STATE, "is not idle");
    refuse(&faulted, 0, JAVM_E_STATE, "is not idle");
    refuse(&handle, 0, JAVM_E_KIND, "kernel handle");
    refuse(&rootless, 0, JAVM_E_KIND, "root_cnode is not a CNode");
    refuse(&codeless, 0, JAVM_E_KIND, "of kind Data");
}

Test(calls, the_other_instruction_set, CALLS)
{
    const uint8_t code[] = {0}, bitmask[] = {1};
    const struct javm_endpoint endpoint = {0};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM,
                                      .code = code,
                                      .code_len = 1,
                                      .bitmask = bitmask,
                                      .bitmask_len = 1,
                                      .endpoints = &endpoint,
                                      .endpoint_count = 1};
    const struct javm_hash image = publish_image(w.dir, &fields);
    struct javm_call call = {.instance = instantiate(w.dir, &image), .gas = 1};
    cr_assert_eq(javm_vm_invoke(w.vm, w.dir, &call, &result, NULL), JAVM_OK);
    cr_expect_eq(result.fault, JAVM_FAULT_TRAP);
    cr_expect_eq(result.gas_used, 1);
    javm_call_result_clear(&result);
}

Test(calls, options)
{
    struct javm_vm *vm;
    struct javm_error err;
    const struct javm_vm_options jit = {.engine = JAVM_ENGINE_JIT};
    const struct javm_vm_options plain = {.program_cache_bytes = 1000};
    if (!javm_engine_available(JAVM_ENGINE_JIT))
        cr_expect_eq(javm_vm_create(&jit, &vm, &err), JAVM_E_UNSUPPORTED);
    cr_assert_eq(javm_vm_create(&plain, &vm, &err), JAVM_OK);
    javm_vm_flush(vm);
    javm_vm_destroy(vm);
    javm_vm_destroy(NULL);
    REQUIRE_NO_LEAKS();
}

Test(calls, fault_names)
{
    static const char *const names[] = {"none",        "trap",        "panic",
                                        "page_fault",  "out_of_gas",  "yield_unhandled",
                                        "bad_operand", "depth_limit", "storage"};
    for (int i = 0; i < 9; i++)
        cr_expect_str_eq(javm_fault_name((enum javm_fault)i), names[i]);
    cr_expect_str_eq(javm_fault_name((enum javm_fault)200), "unknown");
}
