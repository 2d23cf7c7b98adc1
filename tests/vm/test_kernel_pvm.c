/* PVM programs under the kernel, on both engines (v3 capabilities, "Image"; v3 kernel).
 *
 * Would catch: arguments, results or operations in the wrong registers; an operation that is paid
 * twice, or not, when it is done again after a top-up; gas that is lost where the kernel says that
 * nothing is charged; code that can be read; a continuation that goes on elsewhere in the code; a
 * jump table, bitmask or page budget that the engine does not get. */
#include "tests/vm/kernel_support.h"
#include "tests/vm/pvm_support.h"

/* Registers are φ numbers here. */
#define REG2(low, high) (uint8_t)((low) | (high) << 4)
#define IMM4(value)                                                      \
    (uint8_t)(value), (uint8_t)((value) >> 8), (uint8_t)((value) >> 16), \
        (uint8_t)((uint32_t)(value) >> 24)
#define LOAD_IMM(t, d, value)   PVM(t, 51, d, IMM4(value))
#define LOAD_64(t, d, address)  PVM(t, 58, d, IMM4(address))
#define STORE_64(t, s, address) PVM(t, 62, s, IMM4(address))
#define ADD_IMM(t, d, a, value) PVM(t, 149, REG2(d, a), value)
#define ADD_3(t, d, a, b)       PVM(t, 200, REG2(a, b), d)
#define ECALLI_PVM(t, n)        PVM(t, 10, n)

static struct javm_hash pvm_image(const struct pvm_text *t, uint64_t entry, unsigned with,
                                  const struct javm_image *more)
{
    struct javm_image fields = more != NULL ? *more : (struct javm_image){.isa = JAVM_ISA_PVM};
    const struct javm_endpoint start = {.entry_pc = entry};
    struct javm_mapping mappings[2];
    uint32_t n = 0;
    if (with & WITH_STATE)
        mappings[n++] = (struct javm_mapping){
            .start = STATE, .size = 2 * PAGE, .depth = 1, .path = {javm_key_from_u64(S_STATE)}};
    if (with & WITH_SCRAP)
        mappings[n++] = (struct javm_mapping){.start = SCRAP, .size = 2 * PAGE};
    fields.isa = JAVM_ISA_PVM;
    fields.code = t->code;
    fields.code_len = t->len;
    fields.bitmask = t->bitmask;
    fields.bitmask_len = (t->len + 7) / 8;
    fields.jump_table = t->jumps;
    fields.jump_count = t->jump_count;
    fields.endpoints = &start;
    fields.endpoint_count = 1;
    fields.mappings = mappings;
    fields.mapping_count = n;
    return publish_image(w.dir, &fields);
}

static void run_pvm(const struct pvm_text *t, uint64_t entry, unsigned with)
{
    const struct javm_hash image = pvm_image(t, entry, with, NULL);
    const struct javm_hash instance = instantiate(w.dir, &image);
    struct javm_call call = usual_call(&instance);
    for (unsigned i = 0; i < 4; i++)
        call.args[i] = 100 + i;
    invoke(&call);
}

KERNEL_TEST(kernel_pvm, arguments_and_three_ways_to_reply)
{
    for (unsigned way = 0; way < 3; way++) {
        struct pvm_text t = {.len = 0};
        ADD_3(&t, 7, 7, 8);
        ADD_3(&t, 7, 7, 9);
        ADD_3(&t, 7, 7, 10);
        if (way == 0) {
            ECALLI_PVM(&t, 0);
        } else if (way == 1) {
            LOAD_IMM(&t, 11, 0);
            PVM(&t, 3);
        } else {
            LOAD_IMM(&t, 3, 0xFFFF0000);
            PVM(&t, 50, 3);
        }
        run_pvm(&t, 0, 0);
        expect_halt(100 + 101 + 102 + 103);
    }
}

KERNEL_TEST(kernel_pvm, entries_anywhere_but_inside_an_instruction)
{
    struct pvm_text t = {.len = 0};
    ADD_IMM(&t, 7, 7, 1);
    const uint32_t second = t.len;
    ADD_IMM(&t, 7, 7, 2);
    ECALLI_PVM(&t, 0);
    run_pvm(&t, 0, 0);
    expect_halt(103);
    run_pvm(&t, second, 0);
    expect_halt(102);
    run_pvm(&t, second + 1, 0);
    expect_fault(JAVM_FAULT_PANIC);
    run_pvm(&t, t.len, 0);
    expect_fault(JAVM_FAULT_TRAP);
    run_pvm(&t, UINT64_MAX, 0);
    expect_fault(JAVM_FAULT_TRAP);
}

KERNEL_TEST(kernel_pvm, code_is_not_in_memory_and_data_is)
{
    struct pvm_text t = {.len = 0};
    LOAD_64(&t, 7, JAVM_CODE_BASE);
    ECALLI_PVM(&t, 0);
    run_pvm(&t, 0, WITH_STATE);
    expect_fault(JAVM_FAULT_PAGE_FAULT);
    cr_expect_eq(result.address, JAVM_CODE_BASE);
    t = (struct pvm_text){.len = 0};
    STORE_64(&t, 8, STATE + PAGE);
    LOAD_64(&t, 7, STATE + PAGE);
    ECALLI_PVM(&t, 0);
    run_pvm(&t, 0, WITH_STATE);
    expect_halt(101);
    struct javm_cap *data = POST(S_STATE);
    cr_assert_not_null(data);
    cr_expect_eq(data_u64(data, PAGE), 101);
    javm_cap_release(data);
}

/* Jumps through the table, and memory cycles by the pages that the image declares. */
KERNEL_TEST(kernel_pvm, the_whole_key)
{
    struct pvm_text t = {.len = 0};
    LOAD_IMM(&t, 3, 4);
    PVM(&t, 50, 3);
    PVM(&t, 0);
    t.jumps[0] = t.len - 1;
    t.jumps[1] = t.len;
    t.jump_count = 2;
    ECALLI_PVM(&t, 0);
    run_pvm(&t, 0, 0);
    expect_halt(100);
    t = (struct pvm_text){.len = 0};
    LOAD_64(&t, 8, SCRAP);
    PVM(&t, 1);
    ECALLI_PVM(&t, 0);
    uint64_t gas[2];
    for (unsigned i = 0; i < 2; i++) {
        const struct javm_endpoint start = {0};
        const struct javm_mapping mapping = {.start = SCRAP, .size = i == 0 ? PAGE : 2049 * PAGE};
        const struct javm_image fields = {.code = t.code,
                                          .code_len = t.len,
                                          .bitmask = t.bitmask,
                                          .bitmask_len = 2,
                                          .endpoints = &start,
                                          .endpoint_count = 1,
                                          .mappings = &mapping,
                                          .mapping_count = 1};
        const struct javm_hash image = publish_image(w.dir, &fields);
        run_with(&image, NULL, 0);
        expect_halt(0);
        gas[i] = result.gas_used;
    }
    cr_expect_eq(gas[1], gas[0] + 25);
}

/* ---- with little gas -------------------------------------------------------------------- */

/* Yields, keeps things in registers and memory, calls a child, goes through the jump table. */
static void busy_code(struct pvm_text *t)
{
    *t = (struct pvm_text){.len = 0};
    LOAD_IMM(t, 5, 40);
    STORE_64(t, 5, STATE + 8);
    STORE_64(t, 5, SCRAP);
    LOAD_IMM(t, 7, 4);
    ECALLI_PVM(t, 16); /* HOST_YIELD, in the middle of a block */
    LOAD_64(t, 6, STATE + 8);
    ADD_3(t, 5, 5, 6);
    LOAD_IMM(t, 7, 5);
    LOAD_IMM(t, 8, 0);
    LOAD_IMM(t, 9, 1);
    ECALLI_PVM(t, 26); /* CALL */
    ADD_3(t, 5, 5, 7);
    LOAD_IMM(t, 3, 2);
    PVM(t, 50, 3);
    PVM(t, 0);
    t->jumps[0] = t->len;
    t->jump_count = 1;
    LOAD_64(t, 6, SCRAP);
    ADD_3(t, 7, 5, 6);
    STORE_64(t, 7, STATE);
    ECALLI_PVM(t, 0);
}

static struct javm_hash busy(void)
{
    static const struct javm_key key = {2, {1, 1}};
    struct pvm_text t, child = {.len = 0};
    LOAD_IMM(&child, 6, 7);
    ADD_3(&child, 7, 7, 6); /* 8 */
    ECALLI_PVM(&child, 0);
    busy_code(&t);
    const struct javm_hash image = pvm_image(&t, 0, WITH_STATE | WITH_SCRAP, NULL);
    const struct javm_hash inner = pvm_image(&child, 0, 0, NULL);
    const struct slot slots[] = {{4, handle(javm_yield_sender(&key))},
                                 {5, instantiate(w.dir, &inner)}};
    return publish_instance(w.dir, &image, slots, 2);
}
#define BUSY_SUM (40 + 40 + 8 + 40)

/* Whatever gas there is at first, and also when it moves through another Vm on the way: the same
 * value, gas and post instance. */
static void topped_up(void)
{
    const struct javm_hash instance = busy();
    struct javm_call call = usual_call(&instance);
    struct javm_hash post;
    call.can_pause = true;
    struct javm_call more = {.gas = PLENTY, .can_pause = true, .want_post = true};
    invoke(&call);
    while (result.end == JAVM_END_PAUSED) {
        javm_call_result_clear(&result);
        cr_assert_eq(javm_vm_call_resume(w.vm, w.dir, &more, &result, &err), JAVM_OK);
    }
    expect_halt(BUSY_SUM);
    const uint64_t gas = result.gas_used;
    cr_assert_eq(javm_cap_hash(result.post_instance, &post), JAVM_OK);
    static uint64_t same[2]; /* of the other engine, by whether entries cost */
    uint64_t *const known = &same[gas > 2 * 1024];
    if (engine == JAVM_ENGINE_INTERP)
        *known = gas;
    else
        cr_expect_eq(gas, *known);
    for (uint64_t first = 0; first < gas; first += gas / 60 + 1) {
        for (int detach = 0; detach < 2; detach++) {
            call.gas = first;
            more.gas = 45;
            invoke(&call);
            unsigned pauses = 0;
            for (; result.end == JAVM_END_PAUSED; pauses++) {
                struct javm_hash hash;
                if (detach) {
                    cr_assert_eq(javm_vm_detach_paused(w.vm, w.dir, &hash, &err), JAVM_OK);
                    cr_assert_eq(javm_vm_attach_paused(w.vm, w.dir, &hash, &err), JAVM_OK, "%s",
                                 err.text);
                }
                javm_call_result_clear(&result);
                cr_assert_eq(javm_vm_call_resume(w.vm, w.dir, &more, &result, &err), JAVM_OK);
            }
            cr_expect_gt(pauses, 0);
            expect_halt(BUSY_SUM);
            cr_expect_eq(result.gas_used, gas, "%llu, not %llu with %llu at first",
                         (unsigned long long)result.gas_used, (unsigned long long)gas,
                         (unsigned long long)first);
            cr_expect(cap_is(javm_cap_retain(result.post_instance), &post));
        }
    }
}

KERNEL_TEST(kernel_pvm, topped_up_everywhere)
{
    topped_up();
}

static const struct javm_vm_options full = {.gas_model = JAVM_GAS_FULL};
KERNEL_TEST_WITH(kernel_pvm, topped_up_everywhere_with_entries, &full)
{
    topped_up();
}

/* In the model full entries cost, and first writes do not: PVM has no reserve for them. */
KERNEL_TEST_WITH(kernel_pvm, entries_cost, &full)
{
    struct pvm_text t = {.len = 0};
    STORE_64(&t, 8, SCRAP);
    ECALLI_PVM(&t, 0);
    run_pvm(&t, 0, WITH_SCRAP);
    expect_halt(100);
    cr_expect_eq(result.gas_used, 1024 + 64 + 64 + 97);
}
