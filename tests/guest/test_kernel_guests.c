/* The guests of guest/kernel do what they are for, on both engines: operations through the C
 * wrappers of javm_guest.h, declared slots through javm-cc. Finds: a wrapper with the wrong number
 * or registers, a slot that the linker does not declare, state that is lost between calls. */
#include "tests/vm/kernel_support.h"
#include "tests/vm/prebuilt.h"

static struct javm_hash guest_image(const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "kernel/%s", name);
    const struct javm_hash instance = prebuilt(w.dir, path);
    struct javm_cap *cap = javm_directory_get(w.dir, &instance);
    const struct javm_hash image = javm_instance_of(cap)->image_hash;
    javm_cap_release(cap);
    return image;
}

static uint64_t call_store(struct javm_hash *instance, uint32_t function, uint64_t a, uint64_t b)
{
    struct javm_call call = usual_call(instance);
    call.endpoint = function;
    call.args[0] = a;
    call.args[1] = b;
    invoke(&call);
    cr_assert_eq(result.end, JAVM_END_HALT, "%s", javm_fault_name(result.fault));
    cr_assert_eq(javm_directory_put(w.dir, result.post_instance, instance, NULL), JAVM_OK);
    return result.value;
}

KERNEL_TEST(kernel_guests, store)
{
    enum { PUT, GET, COUNT };
    struct javm_hash instance = prebuilt(w.dir, "kernel/store");
    const struct javm_hash empty = instance;
    for (uint64_t i = 0; i < 40; i++)
        cr_assert_eq(call_store(&instance, PUT, i % 20 * 1000, i), i < 20 ? 0 : i - 20);
    for (uint64_t i = 0; i < 20; i++)
        cr_expect_eq(call_store(&instance, GET, i * 1000, 0), i + 20);
    cr_expect_eq(call_store(&instance, GET, 7, 0), 0);
    cr_expect_eq(call_store(&instance, COUNT, 0, 0), 20);
    struct javm_hash before = empty;
    cr_expect_eq(call_store(&before, COUNT, 0, 0), 0);
}

static uint64_t orchestrate(uint64_t rounds, uint64_t first, uint64_t step, uint64_t allowed)
{
    const struct javm_hash image = guest_image("orchestrator");
    const struct slot slots[] = {{2, handle(javm_yield_receiver(&JAVM_YK_OOG, 1))},
                                 {3, handle(javm_yield_sender(&JAVM_YK_SET_GAS_METER))},
                                 {4, handle(javm_yield_sender(&JAVM_YK_MINT_GAS))},
                                 {5, guest_image("worker")}};
    const struct javm_hash instance = publish_instance(w.dir, &image, slots, 4);
    struct javm_call call = usual_call(&instance);
    call.args[0] = rounds;
    call.args[1] = first;
    call.args[2] = step;
    call.args[3] = allowed;
    call.gas = 10000000;
    invoke(&call);
    cr_assert_eq(result.end, JAVM_END_HALT, "%s at %llu", javm_fault_name(result.fault),
                 (unsigned long long)result.pc);
    return result.value;
}

KERNEL_TEST(kernel_guests, orchestrator)
{
    const uint64_t ran_out = UINT64_C(1) << 63;
    const uint64_t cost = orchestrate(100, 1000000, 1000000, 1000000);
    cr_expect_gt(cost, 1000);
    cr_expect_lt(cost, 100000);
    /* Whatever the steps are, it takes what it takes; the first has exactly enough, or one less. */
    cr_expect_eq(orchestrate(100, cost, 100, 1000000), cost);
    cr_expect_eq(orchestrate(100, cost - 1, 777, 1000000), cost | ran_out);
    cr_expect_eq(orchestrate(100, 0, cost, cost), cost | ran_out);
    /* Not allowed enough: given up after the last step that was. */
    cr_expect_eq(orchestrate(100, cost, 500, 1200), 1000);
}
