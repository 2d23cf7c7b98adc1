/* Every allocation of a run of the kernel fails once: the call says so, nothing is left behind, and
 * the Vm goes on.
 *
 * Would catch: a failure that is overlooked, or becomes something that a guest sees; a count or a
 * frame that is lost on one of the many ways out. Leaks show in a sanitizer build. */
#include "javm/image.h"
#include "tests/vm/kernel_support.h"
#include "tests/vm/refusing_malloc.h"

#define S_RECEIVER 2

static const struct javm_key key1 = {2, {1, 1}}, quota = {1, {7}};
static const struct javm_image catching = {.yield_receiver_slot = {1, {S_RECEIVER}}};

static struct slot sender(uint64_t slot, const struct javm_key *key)
{
    return (struct slot){slot, handle(javm_yield_sender(key))};
}

/* Writes its state and slot[0], yields twice, replies 1. */
static struct javm_hash child(void)
{
    struct code c = {.count = 0};
    endpoint(&c);
    li(&c, 8, 5);
    store(&c, STATE, 8);
    store(&c, WINDOW, 8);
    store(&c, SCRAP, 8);
    OP(&c, MINT_CNODE, 9);
    OP(&c, YIELD, 4);
    OP(&c, YIELD, 4);
    reply(&c, 1);
    const struct javm_hash image = image_with(&c, WITH_WINDOW | WITH_STATE | WITH_SCRAP, NULL);
    const struct slot slots[] = {sender(4, &key1)};
    return publish_instance(w.dir, &image, slots, 1);
}

static struct javm_hash encoded_image(void)
{
    struct javm_cap *image = NULL;
    uint8_t *bytes;
    size_t len;
    const struct javm_hash hash = constant_image(3);
    image = javm_directory_get(w.dir, &hash);
    REQUIRE(javm_image_encode(image, &bytes, &len) == JAVM_OK);
    javm_cap_release(image);
    const struct javm_hash data = publish(w.dir, javm_data_new(bytes, len));
    free(bytes);
    return data;
}

/* Something of everything. */
static struct javm_hash busy(void)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, YIELD, 20, 7, 1, 100); /* set_storage_quota */
    OP(&c, YIELD, 21, 9, 1, 50);  /* set_gas_meter */
    OP(&c, YIELD, 22, 0x55, 1, 30, 31);
    OP(&c, YIELD, 23, 31, S_RECEIVER, 32);
    OP(&c, YIELD, 24, 9, 1, 33);
    OP(&c, YIELD, 25, 6);
    OP(&c, MINT_CNODE, 10);
    OP(&c, COPY, 6, 10 << 8 | S_STATE);
    OP(&c, COPY, 10, 34);
    OP(&c, SET_WIDE, 34, 0x123456, 3, 33);
    OP(&c, GET_WIDE, 34, 0x123456, 3, 33);
    OP(&c, SWAP, 33, 35);
    OP(&c, MAKE_IMAGE, 11, 12);
    OP(&c, SPAWN, 12, 10, 13);
    OP(&c, CALL, 13, 0);
    OP(&c, TYPE_OF, 13, 36);
    OP(&c, CHAIN, 13, 37);
    li(&c, 8, 77);
    store(&c, WINDOW, 8);
    OP(&c, MINT_DATA, WINDOW, 2, 7, 38);
    OP(&c, FILE_SAVE, 38, 7, 39);
    OP(&c, FILE_OPEN, 39, 40);
    OP(&c, READ_DATA, 40, 0, WINDOW, 8);
    OP(&c, COPY, 5, 41);
    OP(&c, CALL, 5, 0);
    OP(&c, DROP_RESUME, 42);
    OP(&c, COPY, 42, 43);
    OP(&c, CALL_PAUSED, 42);
    OP(&c, RESUME, 0);
    expect(&c, A1, 0);
    OP(&c, CALL, 41, 0);
    OP(&c, DROP_RESUME, 0);
    OP(&c, SET_IMAGE, 12);
    reply(&c, 9);
    const struct javm_hash image = image_with(&c, WITH_WINDOW, &catching);
    const struct slot slots[] = {sender(20, &JAVM_YK_SET_STORAGE_QUOTA),
                                 sender(21, &JAVM_YK_SET_GAS_METER),
                                 sender(22, &JAVM_YK_MINT_YIELD),
                                 sender(23, &JAVM_YK_MERGE_YIELD_RECEIVER),
                                 sender(24, &JAVM_YK_MINT_GAS),
                                 sender(25, &JAVM_YK_ATTEST),
                                 {5, child()},
                                 {6, number_data(600)},
                                 {7, handle(javm_quota_handle(&quota))},
                                 {11, encoded_image()},
                                 {S_RECEIVER, handle(javm_yield_receiver(&key1, 1))}};
    return publish_instance(w.dir, &image, slots, CODE(slots));
}

KERNEL_TEST(nomem, every_allocation_once)
{
    const struct javm_hash instance = busy();
    const struct javm_call call = usual_call(&instance);
    struct javm_hash want;
    invoke(&call);
    expect_halt(9);
    cr_assert_eq(javm_cap_hash(result.post_instance, &want), JAVM_OK);
    unsigned failures = 0;
    for (uint64_t n = 1;; n++) {
        if (n % 2 == 0)
            javm_vm_flush(w.vm);
        javm_call_result_clear(&result);
        refused = false;
        countdown = n / 2 + 1;
        const enum javm_status status = javm_vm_invoke(w.vm, w.dir, &call, &result, &err);
        countdown = 0;
        if (!refused && n % 2 == 0)
            break;
        failures += refused;
        if (status != JAVM_OK) {
            cr_assert_eq(status, JAVM_E_NOMEM, "allocation %u: %s", (unsigned)n / 2, err.text);
            continue;
        }
        /* Not every one is needed: the recompiler can do without. */
        expect_halt(9);
        cr_assert(cap_is(javm_cap_retain(result.post_instance), &want), "allocation %u",
                  (unsigned)n / 2);
    }
    cr_expect_gt(failures, 200);
}

/* Leaving the Vm, and coming back. */
KERNEL_TEST(nomem, continuations)
{
    const struct javm_hash instance = child();
    struct javm_call call = usual_call(&instance);
    call.can_pause = true;
    unsigned failures = 0;
    struct javm_hash hash;
    for (uint64_t n = 1;; n++) {
        invoke(&call);
        cr_assert_eq(result.end, JAVM_END_PAUSED);
        refused = false;
        countdown = n;
        enum javm_status status = javm_vm_detach_paused(w.vm, w.dir, &hash, &err);
        if (status == JAVM_OK)
            status = javm_vm_attach_paused(w.vm, w.dir, &hash, &err);
        countdown = 0;
        if (!refused)
            break;
        failures++;
        if (status == JAVM_OK) /* one that was not needed */
            cr_assert_eq(javm_vm_drop_paused(w.vm, &err), JAVM_OK);
        else
            cr_assert_eq(status, JAVM_E_NOMEM, "allocation %u: %s", (unsigned)n, err.text);
    }
    cr_expect_gt(failures, 30);
    for (int i = 0; i < 2; i++) {
        javm_call_result_clear(&result);
        cr_assert_eq(javm_vm_call_resume(w.vm, w.dir, &call, &result, &err), JAVM_OK);
        cr_expect_eq(result.end, i == 0 ? JAVM_END_PAUSED : JAVM_END_HALT);
    }
}
