/* Continuations as values (v3 kernel, "Operations": DROP_RESUME, CALL_PAUSED; vm_detach_paused).
 *
 * Would catch: any part of a frame that a continuation forgets (registers, pc, memory, slots, what
 * it was given, who catches what, which meter pays, which mapping was replaced); a continuation
 * that runs twice as one; one that is not a value; a damaged one that is believed; engines that
 * disagree. */
#include "tests/vm/kernel_support.h"
#include "vm/kernel_pause.h"

#define S_RECEIVER 2
#define K1         0x0101u

static const struct javm_key key1 = {2, {1, 1}}, key2 = {2, {2, 2}}, meter = {1, {0xA}};
static const struct javm_key gas_slot = {1, {20}};
static const struct javm_image catching = {.yield_receiver_slot = {1, {S_RECEIVER}}};
static const struct javm_image metered = {.gas_slots = &gas_slot, .gas_slot_count = 1};

static struct slot sender(uint64_t slot, const struct javm_key *key)
{
    return (struct slot){slot, handle(javm_yield_sender(key))};
}
static struct slot receiver(const struct javm_key *key)
{
    return (struct slot){S_RECEIVER, handle(javm_yield_receiver(key, 1))};
}

/* Adds up what it keeps in registers, memory of all sorts and slots, with a yield of key1 between
 * each: 1 + 20 + 300 + 4000 + slot[0]'s word + 60000 + 700000. */
static struct javm_hash busy_image(void)
{
    struct code c = {.count = 0};
    endpoint(&c);
    li(&c, 9, 1);
    li(&c, 8, 20);
    store(&c, STATE + 8, 8);
    li(&c, 8, 300);
    store(&c, SCRAP + PAGE, 8);
    li(&c, 8, 5000);
    store(&c, WINDOW, 8);
    OP(&c, MOVE, 5, 0x0607); /* into the CNode in 6 */
    OP(&c, MOVE, S_STATE, 8);
    OP(&c, YIELD, 4);
    load(&c, 8, STATE + 8);
    emit(&c, ADD(9, 9, 8));
    load(&c, 8, SCRAP + PAGE);
    emit(&c, ADD(9, 9, 8));
    OP(&c, YIELD, 4);
    load(&c, 8, WINDOW);
    emit(&c, ADD(9, 9, 8));
    load(&c, 8, STATE); /* the Data that is in 8 now */
    emit(&c, ADD(9, 9, 8));
    OP(&c, YIELD, 4);
    OP(&c, READ_DATA, 0x0607, 0, SCRAP, 8);
    load(&c, 8, SCRAP);
    emit(&c, ADD(9, 9, 8));
    OP(&c, READ_DATA, 8, 0, SCRAP, 8);
    load(&c, 8, SCRAP);
    emit(&c, ADD(A0, 9, 8));
    emit(&c, REPLY);
    return image_with(&c, WITH_WINDOW | WITH_STATE | WITH_SCRAP, NULL);
}
#define BUSY_SUM (1 + 20 + 300 + 5000 + 60000 + 700000 + 60000)

static struct javm_hash busy(void)
{
    const struct javm_hash image = busy_image();
    const struct slot slots[] = {sender(4, &key1),
                                 {5, number_data(700000)},
                                 {6, publish_cnode(w.dir, NULL, 0)},
                                 {S_STATE, number_data(60000)}};
    return publish_instance(w.dir, &image, slots, 4);
}

/* Make every frame between a yield and its end leave the Vm and come back: to another Vm, of the
 * other engine, and from another directory's point of view only what is published counts. */
static void resume_elsewhere(bool detach)
{
    struct javm_vm *other = NULL;
    const struct javm_vm_options options = {.engine = engine == JAVM_ENGINE_JIT ? JAVM_ENGINE_INTERP
                                                                                : JAVM_ENGINE_JIT};
    cr_assert_eq(
        javm_vm_create(javm_engine_available(options.engine) ? &options : NULL, &other, &err),
        JAVM_OK);
    struct javm_vm *at = w.vm;
    while (result.end == JAVM_END_PAUSED) {
        struct javm_call more = {
            .gas = 50, .can_pause = true, .want_post = true, .want_slot0 = true};
        if (detach) {
            struct javm_hash hash;
            cr_assert_eq(javm_vm_detach_paused(at, w.dir, &hash, &err), JAVM_OK, "%s", err.text);
            at = at == other ? w.vm : other;
            cr_assert_eq(javm_vm_attach_paused(at, w.dir, &hash, &err), JAVM_OK, "%s", err.text);
        }
        javm_call_result_clear(&result);
        cr_assert_eq(javm_vm_call_resume(at, w.dir, &more, &result, &err), JAVM_OK, "%s", err.text);
    }
    javm_vm_destroy(other);
}

KERNEL_TEST(pause, a_whole_invocation_moves)
{
    const struct javm_hash instance = busy();
    struct javm_call call = usual_call(&instance);
    struct javm_hash post[2];
    uint64_t gas[2];
    call.can_pause = true;
    for (int detach = 0; detach < 2; detach++) {
        invoke(&call);
        cr_assert_eq(result.end, JAVM_END_PAUSED);
        resume_elsewhere(detach);
        expect_halt(BUSY_SUM);
        gas[detach] = result.gas_used;
        cr_assert_eq(javm_cap_hash(result.post_instance, &post[detach]), JAVM_OK);
        cr_expect(is_empty(POST(S_STATE))); /* replaced: the pages are nobody's */
        cr_expect_eq(first_word(POST(8)), 60000);
        cr_assert_not_null(result.slot0);
        cr_expect_eq(data_u64(result.slot0, 0), 5000);
    }
    cr_expect_eq(gas[0], gas[1]);
    cr_expect(javm_hash_equal(&post[0], &post[1]));
}

/* The same at every block of a guest that runs out of gas all the time, three frames deep. */
KERNEL_TEST(pause, out_of_gas_everywhere)
{
    struct code inner = {.count = 0};
    endpoint(&inner);
    for (int i = 0; i < 6; i++) {
        emit(&inner, ADDI(A0, A0, 1));
        store(&inner, STATE, A0);
        emit(&inner, FALLTHROUGH);
    }
    emit(&inner, REPLY);
    const struct javm_hash leaf = image_with(&inner, WITH_STATE, NULL);
    struct code middle = {.count = 0};
    endpoint(&middle);
    OP(&middle, CALL, 5, 0, 10);
    emit(&middle, ADDI(A2, A0, 0));
    li(&middle, A0, 5);
    li(&middle, A1, 0);
    emit(&middle, ECALLI(CALL));
    emit(&middle, REPLY);
    const struct javm_hash image = image_of(&middle);
    const struct slot below = {5, instantiate(w.dir, &leaf)};
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, MOVE, 6, 0);
    OP(&c, CALL, 0x0705, 0);
    emit(&c, REPLY);
    const struct slot node = {5, publish_instance(w.dir, &image, &below, 1)};
    const struct slot slots[] = {{7, publish_cnode(w.dir, &node, 1)}, {6, number_data(66)}};
    const struct javm_hash root = image_of(&c);
    const struct javm_hash instance = publish_instance(w.dir, &root, slots, 2);
    struct javm_call call = usual_call(&instance);
    invoke(&call);
    expect_halt(22);
    const uint64_t gas = result.gas_used;
    struct javm_hash post;
    cr_assert_eq(javm_cap_hash(result.post_instance, &post), JAVM_OK);
    call.can_pause = true;
    for (int detach = 0; detach < 2; detach++) {
        call.gas = 1;
        invoke(&call);
        cr_assert_eq(result.end, JAVM_END_PAUSED);
        resume_elsewhere(detach);
        expect_halt(22);
        cr_expect_eq(result.gas_used, gas);
        cr_expect(cap_is(javm_cap_retain(result.post_instance), &post));
        cr_expect_eq(data_u64(result.slot0, 0), 66);
    }
}

/* DROP_RESUME keeps the yielder; a copy of it is another. */
KERNEL_TEST(pause, kept_and_called)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0);
    expect(&c, A0, K1);
    OP(&c, DROP_RESUME, 7);
    OP(&c, MINT_CNODE, 5); /* free again */
    OP(&c, COPY, 7, 0x0508);
    OP(&c, MOVE, 0, 9); /* the payload */
    li(&c, 9, 0);
    for (unsigned i = 0; i < 2; i++) {
        const uint64_t from = i == 0 ? 0x0508 : 7;
        OP(&c, COPY, 9, 0);
        OP(&c, CALL_PAUSED, from);
        for (int k = 0; k < 2; k++) {
            expect(&c, A0, K1);
            expect(&c, A1, 1);
            OP(&c, RESUME, 0);
        }
        expect(&c, A1, 0);
        emit(&c, ADD(9, 9, A0));
        OP(&c, DROP, 0);
    }
    emit(&c, ADDI(A0, 9, 0));
    emit(&c, REPLY);
    const struct slot slots[] = {receiver(&key1), {5, busy()}};
    const struct javm_hash image = image_with(&c, 0, &catching);
    run_with(&image, slots, 2);
    expect_halt(2 * BUSY_SUM);
    struct javm_cap *instance = POST(7);
    cr_expect_eq(javm_instance_of(instance)->status, JAVM_IDLE);
    javm_cap_release(instance);
}

/* What a frame gave away with its slot[0] may be gone when the frame is frozen; its window does not
 * bring it back. For the address sanitizer. */
KERNEL_TEST(pause, kept_when_what_it_gave_is_gone)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0);
    OP(&c, DROP, 0);
    OP(&c, DROP_RESUME, 7);
    OP(&c, CALL_PAUSED, 7);
    load(&c, 9, WINDOW); /* nothing: the yielder gave it */
    OP(&c, DROP_RESUME, 8);
    emit(&c, ADDI(A0, 9, 0));
    emit(&c, REPLY);
    const struct slot slots[] = {receiver(&key1), {5, busy()}};
    const struct javm_hash image = image_with(&c, WITH_WINDOW, &catching);
    run_with(&image, slots, 2);
    expect_halt(0);
}

/* Published while it is paused, in the post instance; the next invocation goes on with it. */
KERNEL_TEST(pause, kept_over_invocations)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0);
    OP(&c, DROP_RESUME, 7);
    OP(&c, MOVE, 0, 9);
    reply(&c, 1);
    endpoint(&c);
    OP(&c, MOVE, 9, 0);
    OP(&c, CALL_PAUSED, 7);
    expect(&c, A1, 1);
    OP(&c, RESUME, 0);
    OP(&c, RESUME, 0);
    expect(&c, A1, 0);
    emit(&c, REPLY);
    const struct slot slots[] = {receiver(&key1), {5, busy()}};
    const struct javm_hash image = image_with(&c, 0, &catching);
    run_with(&image, slots, 2);
    expect_halt(1);
    struct javm_cap *paused = POST(7);
    cr_expect_eq(javm_instance_of(paused)->status, JAVM_PAUSED);
    cr_expect_eq(javm_key_compare(&javm_instance_of(paused)->yield_key, &key1), 0);
    javm_cap_release(paused);
    struct javm_hash post;
    cr_assert_eq(javm_directory_put(w.dir, result.post_instance, &post, NULL), JAVM_OK);
    struct javm_call call = usual_call(&post);
    call.endpoint = 1;
    for (int i = 0; i < 2; i++) { /* twice from the same value */
        invoke(&call);
        expect_halt(BUSY_SUM);
    }
}

/* A continuation of several frames with a handler that waits: [G][H, X, Y, H handles, Z yields]. */
KERNEL_TEST(pause, a_handler_inside)
{
    struct code yields = {.count = 0}; /* slot[0] passes through */
    endpoint(&yields);
    emit(&yields, ADDI(9, A0, 0));
    OP(&yields, YIELD, 4);
    emit(&yields, ADDI(A0, 9, 0));
    emit(&yields, REPLY);
    const struct javm_hash yielder = image_of(&yields);
    const struct slot first = sender(4, &key1), second = sender(4, &key2);
    struct code passes = {.count = 0}; /* X */
    endpoint(&passes);
    OP(&passes, CALL, 5, 0, 30);
    emit(&passes, ADDI(A0, A0, 3));
    emit(&passes, REPLY);
    const struct javm_hash x = image_of(&passes);
    const struct slot y = {5, publish_instance(w.dir, &yielder, &first, 1)};
    struct code handles = {.count = 0}; /* H */
    endpoint(&handles);
    OP(&handles, CALL, 5, 0);
    expect(&handles, A0, K1);
    OP(&handles, CALL, 6, 0, 400);
    expect(&handles, A1, 0);
    emit(&handles, ADDI(9, A0, 0));
    OP(&handles, RESUME, 0);
    expect(&handles, A1, 0);
    emit(&handles, ADD(A0, A0, 9));
    emit(&handles, REPLY);
    const struct javm_hash h = image_with(&handles, 0, &catching);
    const struct slot in_h[] = {receiver(&key1),
                                {5, publish_instance(w.dir, &x, &y, 1)},
                                {6, publish_instance(w.dir, &yielder, &second, 1)}};
    struct code c = {.count = 0}; /* G */
    endpoint(&c);
    OP(&c, CALL, 5, 0);
    expect(&c, A0, 0x0202);
    OP(&c, DROP_RESUME, 7);
    OP(&c, CALL_PAUSED, 7);
    expect(&c, A1, 0);
    emit(&c, REPLY);
    const struct slot slots[] = {receiver(&key2), {5, publish_instance(w.dir, &h, in_h, 3)}};
    const struct javm_hash g = image_with(&c, 0, &catching);
    run_with(&g, slots, 2);
    expect_halt(433);
    /* The same by the host. */
    struct javm_call call = usual_call(&slots[1].hash);
    call.can_pause = true;
    invoke(&call);
    cr_assert_eq(result.end, JAVM_END_PAUSED);
    cr_expect_eq(javm_key_compare(&result.yield_key, &key2), 0);
    resume_elsewhere(true);
    expect_halt(433);
}

/* After SET_IMAGE the pins of the new image hold, the code of the old one runs. */
KERNEL_TEST(pause, between_two_images)
{
    const struct javm_pin pin = {javm_key_from_u64(9), number_data(99)};
    const struct javm_image pinned = {.pinned = &pin, .pinned_count = 1};
    struct code next = {.count = 0};
    endpoint(&next);
    reply(&next, 222);
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, SET_IMAGE, 5);
    OP(&c, YIELD, 4);
    OP(&c, COPY, 9, 10);
    reply(&c, 111);
    const struct slot slots[] = {sender(4, &key1), {5, image_with(&next, 0, &pinned)}};
    const struct javm_hash image = image_of(&c);
    const struct javm_hash instance = publish_instance(w.dir, &image, slots, 2);
    struct javm_call call = usual_call(&instance);
    call.can_pause = true;
    invoke(&call);
    resume_elsewhere(true);
    expect_halt(111);
    cr_expect_eq(first_word(POST(10)), 99);
    struct javm_hash post;
    cr_assert_eq(javm_directory_put(w.dir, result.post_instance, &post, NULL), JAVM_OK);
    const struct javm_call again = usual_call(&post);
    invoke(&again);
    expect_halt(222);
}

/* A callee with these meters yields, which pauses it. Its caller fills one of them before and
 * replies with what `meter` has left. */
static struct javm_hash pauses_on_meters(const struct javm_image *meters, const struct slot *in,
                                         size_t count, const struct javm_key *filled)
{
    struct code inner = {.count = 0};
    endpoint(&inner);
    OP(&inner, YIELD, 4);
    reply(&inner, 1);
    const struct javm_hash image = image_with(&inner, 0, meters);
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, YIELD, 4, javm_key_pack(filled), filled->len, 1000);
    OP(&c, CALL, 5, 0);
    expect(&c, A1, 0);
    OP(&c, YIELD, 4, javm_key_pack(&meter), meter.len, 0);
    emit(&c, REPLY);
    const struct slot slots[] = {sender(4, &JAVM_YK_SET_GAS_METER),
                                 {5, publish_instance(w.dir, &image, in, count)}};
    const struct javm_hash root = image_of(&c);
    return publish_instance(w.dir, &root, slots, 2);
}

/* Meters go along with an invocation that leaves its Vm. */
KERNEL_TEST(pause, meters_go_along)
{
    const struct slot in[] = {sender(4, &key1), {20, handle(javm_gas_handle(&meter))}};
    const struct javm_hash instance = pauses_on_meters(&metered, in, 2, &meter);
    struct javm_call call = usual_call(&instance);
    call.can_pause = true;
    for (int detach = 0; detach < 2; detach++) {
        invoke(&call);
        cr_assert_eq(result.end, JAVM_END_PAUSED);
        resume_elsewhere(detach);
        expect_halt(1000 - 202);
    }
}

/* And which of them is in use: one that was used up stays so, whatever is put there meanwhile. */
KERNEL_TEST(pause, the_meter_in_use_goes_along)
{
    static const struct javm_key gas_slots[] = {{1, {20}}, {1, {21}}}, other = {1, {0xB}};
    static const struct javm_image two = {.gas_slots = gas_slots, .gas_slot_count = 2};
    const struct slot in[] = {sender(4, &key1),
                              {20, handle(javm_gas_handle(&meter))},
                              {21, handle(javm_gas_handle(&other))}};
    const struct javm_hash instance = pauses_on_meters(&two, in, 3, &other);
    struct javm_call call = usual_call(&instance);
    call.can_pause = true;
    for (int detach = 0; detach < 2; detach++) {
        invoke(&call);
        cr_assert_eq(result.end, JAVM_END_PAUSED);
        cr_assert_eq(javm_vm_set_gas(w.vm, &meter, 500, &err), JAVM_OK);
        resume_elsewhere(detach);
        expect_halt(500);
    }
}

/* So do its files and what it asked to attest. */
KERNEL_TEST(pause, files_and_attestations_go_along)
{
    static const struct javm_key quota = {1, {7}};
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, YIELD, 20, javm_key_pack(&quota), quota.len, 9);
    OP(&c, FILE_SAVE, 5, 7, 8);
    OP(&c, YIELD, 21, 5);
    OP(&c, YIELD, 4);
    OP(&c, FILE_SAVE, 6, 7, 9);
    OP(&c, YIELD, 21, 6);
    OP(&c, YIELD, 4);
    OP(&c, FILE_OPEN, 8, 10);
    OP(&c, FILE_OPEN, 9, 11);
    reply(&c, 1);
    const struct slot slots[] = {sender(4, &key1),
                                 {5, number_data(50)},
                                 {6, number_data(60)},
                                 {7, handle(javm_quota_handle(&quota))},
                                 sender(20, &JAVM_YK_SET_STORAGE_QUOTA),
                                 sender(21, &JAVM_YK_ATTEST)};
    const struct javm_hash image = image_of(&c);
    const struct javm_hash instance = publish_instance(w.dir, &image, slots, CODE(slots));
    struct javm_call call = usual_call(&instance);
    call.can_pause = true;
    invoke(&call);
    for (int i = 0; i < 2; i++) {
        struct javm_hash hash;
        cr_assert_eq(result.end, JAVM_END_PAUSED);
        cr_assert_eq(javm_vm_detach_paused(w.vm, w.dir, &hash, &err), JAVM_OK, "%s", err.text);
        const struct javm_hash other = constant_image(2);
        run_with(&other, NULL, 0); /* forgets what the Vm kept */
        cr_expect_eq(javm_vm_attestations(w.vm), 0);
        cr_assert_eq(javm_vm_attach_paused(w.vm, w.dir, &hash, &err), JAVM_OK, "%s", err.text);
        call.gas = 0;
        javm_call_result_clear(&result);
        cr_assert_eq(javm_vm_call_resume(w.vm, w.dir, &call, &result, &err), JAVM_OK);
    }
    expect_halt(1);
    cr_expect_eq(first_word(POST(10)), 50);
    cr_expect_eq(first_word(POST(11)), 60);
    expect_attested_50_60();
}

/* What each invocation leaves goes into an annex and is all that stays of it; another Vm, which has
 * seen nothing of that, goes on from there. */
KERNEL_TEST(pause, from_annex_to_annex)
{
    struct code c = {.count = 0};
    endpoint(&c);
    load(&c, 9, STATE);
    emit(&c, ADDI(9, 9, 1));
    store(&c, STATE, 9);
    OP(&c, SWAP, 0x0705, 6); /* below the root, so that only the annex has it */
    OP(&c, YIELD, 4);
    emit(&c, ADDI(A0, 9, 0));
    emit(&c, REPLY);
    const struct javm_hash image = image_with(&c, WITH_STATE, NULL);
    const struct slot slots[] = {
        sender(4, &key1), {6, number_data(6)}, {7, publish_cnode(w.dir, NULL, 0)}};
    const struct javm_hash first = publish_instance(w.dir, &image, slots, CODE(slots));
    struct javm_directory_stats before, after;
    javm_directory_stats(w.dir, &before);
    struct javm_vm *other = NULL, *at = w.vm;
    const struct javm_vm_options options = {.engine = engine};
    cr_assert_eq(javm_vm_create(&options, &other, &err), JAVM_OK);
    struct javm_annex *annexes[2] = {javm_annex_new(), javm_annex_new()};
    for (unsigned chain = 0; chain < 2; chain++) {
        struct javm_hash state = first;
        struct javm_call call = usual_call(&first);
        uint64_t caps = 0;
        javm_annex_open(w.dir, annexes[chain]);
        for (unsigned i = 1; i <= 20; i++) {
            call.instance = state;
            call.can_pause = true;
            call.gas = PLENTY;
            javm_call_result_clear(&result);
            cr_assert_eq(javm_vm_invoke(at, w.dir, &call, &result, &err), JAVM_OK, "%s", err.text);
            cr_assert_eq(result.end, JAVM_END_PAUSED);
            cr_assert_eq(javm_vm_detach_paused(at, w.dir, &state, &err), JAVM_OK, "%s", err.text);
            at = at == other ? w.vm : other;
            cr_assert_eq(javm_annex_keep(annexes[chain], &state), JAVM_OK);
            cr_assert_eq(javm_vm_attach_paused(at, w.dir, &state, &err), JAVM_OK, "%s", err.text);
            javm_call_result_clear(&result);
            cr_assert_eq(javm_vm_call_resume(at, w.dir, &call, &result, &err), JAVM_OK);
            expect_halt(i);
            cr_assert_eq(javm_directory_put(w.dir, result.post_instance, &state, &err), JAVM_OK,
                         "%s", err.text);
            cr_assert_eq(javm_annex_keep(annexes[chain], &state), JAVM_OK);
            cr_expect_eq(result.gas_used - result.gas_before < result.gas_used, true);
            if (i <= 2) /* the Data comes and goes with every second one */
                caps += javm_annex_count(annexes[chain], NULL);
        }
        cr_expect_leq(javm_annex_count(annexes[chain], NULL), caps);
        javm_annex_open(w.dir, NULL);
        cr_expect_eq(javm_directory_get(w.dir, &state), NULL);
    }
    javm_directory_stats(w.dir, &after);
    cr_expect_eq(before.blobs, after.blobs);
    javm_annex_free(annexes[0]);
    javm_annex_free(annexes[1]);
    javm_vm_destroy(other);
}

/* The host sets what ran out, the budget or a meter, and the invocation goes on from there. */
KERNEL_TEST(pause, the_host_sets_gas)
{
    struct code inner = {.count = 0};
    endpoint(&inner);
    for (int i = 0; i < 8; i++)
        emit(&inner, FALLTHROUGH);
    reply(&inner, 1);
    const struct javm_hash image = image_with(&inner, 0, &metered);
    const struct slot in = {20, handle(javm_gas_handle(&meter))};
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0);
    expect(&c, A1, 0);
    emit(&c, REPLY);
    const struct slot slot = {5, publish_instance(w.dir, &image, &in, 1)};
    const struct javm_hash root = image_of(&c);
    const struct javm_hash instance = publish_instance(w.dir, &root, &slot, 1);
    struct javm_call call = usual_call(&instance);
    uint64_t meters = 0, budgets = 0, last = 0;
    cr_expect_eq(javm_vm_set_gas(w.vm, NULL, 1, &err), JAVM_E_STATE);
    call.can_pause = true;
    call.gas = 0;
    invoke(&call);
    while (result.end == JAVM_END_PAUSED) {
        struct javm_key key;
        cr_assert_eq(javm_key_compare(&result.yield_key, &JAVM_YK_OOG), 0);
        cr_expect_geq(result.gas_used, last);
        last = result.gas_used;
        if (result.slot0 == NULL) {
            cr_assert_eq(javm_vm_set_gas(w.vm, NULL, 150, &err), JAVM_OK);
            budgets++;
        } else {
            cr_assert(javm_gas_meter_key(result.slot0, &key));
            cr_expect_eq(javm_key_compare(&key, &meter), 0);
            cr_assert_eq(javm_vm_set_gas(w.vm, &key, 110, &err), JAVM_OK);
            meters++;
        }
        cr_assert_lt(meters + budgets, 100);
        javm_call_result_clear(&result);
        cr_assert_eq(javm_vm_call_resume(w.vm, w.dir, &call, &result, &err), JAVM_OK);
        cr_expect_eq(result.gas_before, last);
    }
    expect_halt(1);
    cr_expect_gt(meters, 0);
    cr_expect_gt(budgets, 1);
}

/* Refused: all is as if nothing could pause, at the bottom and below, also on another Vm. */
KERNEL_TEST(pause, refused)
{
    static const struct javm_key quota = {1, {7}};
    struct code yields = {.count = 0}, mints = {.count = 0}, spends = {.count = 0};
    endpoint(&yields);
    OP(&yields, YIELD, 4);
    reply(&yields, 1);
    endpoint(&mints);
    OP(&mints, MINT_DATA, SCRAP, 8, 7, 9);
    reply(&mints, 1);
    endpoint(&spends);
    reply(&spends, 1);
    const struct slot in_yields[] = {sender(4, &key1)};
    const struct slot in_mints[] = {{7, handle(javm_quota_handle(&quota))}};
    const struct slot in_spends[] = {{20, handle(javm_gas_handle(&meter))}};
    const struct javm_hash images[] = {image_of(&yields), image_with(&mints, WITH_SCRAP, NULL),
                                       image_with(&spends, 0, &metered)};
    const struct javm_hash children[] = {publish_instance(w.dir, &images[0], in_yields, 1),
                                         publish_instance(w.dir, &images[1], in_mints, 1),
                                         publish_instance(w.dir, &images[2], in_spends, 1)};
    struct code c = {.count = 0}; /* adds up what they faulted with */
    endpoint(&c);
    li(&c, 9, 0);
    for (uint64_t slot = 5; slot <= 7; slot++) {
        OP(&c, CALL, slot, 0);
        expect(&c, A1, 2);
        emit(&c, ADD(9, 9, A0));
    }
    emit(&c, ADDI(A0, 9, 0));
    emit(&c, REPLY);
    const struct slot slots[] = {{5, children[0]}, {6, children[1]}, {7, children[2]}};
    const struct javm_hash image = image_of(&c);
    const struct javm_hash all[] = {publish_instance(w.dir, &image, slots, 3), children[0],
                                    children[1], children[2]};
    cr_expect_eq(javm_vm_call_refuse(w.vm, w.dir, &(struct javm_call){0}, &result, &err),
                 JAVM_E_STATE);
    for (size_t i = 0; i < CODE(all); i++) {
        struct javm_call call = usual_call(&all[i]);
        invoke(&call);
        const enum javm_end end = result.end;
        const uint64_t value = result.value, gas = result.gas_used;
        const enum javm_fault fault = result.fault;
        cr_expect_eq(end, i == 0 ? JAVM_END_HALT : JAVM_END_FAULTED);
        call.can_pause = true;
        invoke(&call);
        unsigned pauses = 0;
        call.gas = 0;
        for (; result.end == JAVM_END_PAUSED; pauses++) {
            struct javm_hash hash;
            if (pauses % 2 == 0) {
                cr_assert_eq(javm_vm_detach_paused(w.vm, w.dir, &hash, &err), JAVM_OK);
                cr_assert_eq(javm_vm_attach_paused(w.vm, w.dir, &hash, &err), JAVM_OK);
            }
            javm_call_result_clear(&result);
            cr_assert_eq(javm_vm_call_refuse(w.vm, w.dir, &call, &result, &err), JAVM_OK);
        }
        cr_expect_eq(pauses, i == 0 ? 3 : 1);
        cr_expect_eq(result.end, end);
        cr_expect_eq(result.value, value);
        cr_expect_eq(result.fault, fault);
        cr_expect_eq(result.gas_used, gas);
        if (i == 0)
            cr_expect_eq(value, (uint64_t)JAVM_FAULT_YIELD_UNHANDLED + JAVM_FAULT_STORAGE +
                                    JAVM_FAULT_OUT_OF_GAS);
    }
}

KERNEL_TEST(pause, misuse)
{
    static const uint64_t wrong[] = {5, 6, 8, 0};
    for (size_t i = 0; i < CODE(wrong); i++) {
        struct code c = {.count = 0};
        endpoint(&c);
        OP(&c, CALL_PAUSED, wrong[i]);
        reply(&c, 1);
        const struct slot slots[] = {{5, busy()}, {6, number_data(1)}};
        run_code(&c, slots, 2);
        expect_fault(JAVM_FAULT_BAD_OPERAND);
    }
    /* A Paused Instance is not one to CALL; nor to invoke. */
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0);
    OP(&c, DROP_RESUME, 7);
    OP(&c, CALL, 7, 0);
    reply(&c, 1);
    const struct slot slots[] = {receiver(&key1), {5, busy()}};
    const struct javm_hash image = image_with(&c, 0, &catching);
    run_with(&image, slots, 2);
    expect_fault(JAVM_FAULT_BAD_OPERAND);
    cr_expect_eq(javm_vm_attach_paused(w.vm, w.dir, &slots[1].hash, &err), JAVM_E_FORMAT);
    cr_expect_eq(javm_vm_attach_paused(w.vm, w.dir, &image, &err), JAVM_E_KIND);
    struct javm_hash hash;
    cr_expect_eq(javm_vm_detach_paused(w.vm, w.dir, &hash, &err), JAVM_E_STATE);
}

/* ---- damage ----------------------------------------------------------------------------- */

/* The same Instance with one word of a Data in it changed: of its mem, or of the state of an entry.
 */
static struct javm_hash damaged(const struct javm_hash *hash, uint64_t entry, uint64_t at,
                                uint64_t word)
{
    struct javm_cap *cap = javm_directory_get(w.dir, hash);
    struct javm_cap *copy = javm_cap_clone(cap), *root = root_of(cap), *frame = below(root, entry);
    struct javm_instance *fields = javm_instance_mut(copy);
    struct javm_cap *data = frame == NULL ? javm_cap_retain(fields->mem) : below(frame, 0);
    uint8_t page[PAGE];
    REQUIRE(at * 8 < javm_data_pages(data) * PAGE);
    struct javm_cap *changed = javm_cap_clone(data);
    javm_data_read(data, at * 8 / PAGE * PAGE, page, PAGE);
    memcpy(page + at * 8 % PAGE, &word, sizeof word);
    REQUIRE(javm_data_write_page(changed, at * 8 / PAGE, page) == JAVM_OK);
    if (frame == NULL) {
        javm_cap_release(fields->mem);
        fields->mem = changed;
    } else {
        const struct javm_key part = javm_key_from_u64(0), name = javm_key_from_u64(entry);
        const struct javm_hash state = publish(w.dir, changed);
        struct javm_cap *new_frame = javm_cap_clone(frame), *new_root = javm_cap_clone(root);
        struct javm_target target = javm_target_hash(&state);
        REQUIRE(javm_cnode_set(new_frame, &part, &target) == JAVM_OK);
        const struct javm_hash frame_hash = publish(w.dir, new_frame);
        target = javm_target_hash(&frame_hash);
        REQUIRE(javm_cnode_set(new_root, &name, &target) == JAVM_OK);
        const struct javm_hash root_hash = publish(w.dir, new_root);
        fields->root_cnode = javm_target_hash(&root_hash);
    }
    javm_cap_release(data);
    javm_cap_release(frame);
    javm_cap_release(root);
    javm_cap_release(cap);
    return publish(w.dir, copy);
}

/* Any word, any value: refused, or a run that ends somehow; never anything left behind. */
/* What a mapped slot[0] holds is decided when somebody names it: zeros again by then are nothing,
 * also when it left the Vm in between. */
KERNEL_TEST(pause, a_window_that_nobody_looked_at)
{
    struct code c = {.count = 0};
    endpoint(&c);
    li(&c, 9, 5);
    store(&c, WINDOW, 9);
    emit(&c, FALLTHROUGH);
    store(&c, WINDOW, 0);
    OP(&c, MINT_CNODE, 7); /* names other slots */
    OP(&c, COPY, 0, 9);
    emit(&c, REPLY);
    const struct javm_hash image = image_with(&c, WITH_WINDOW, NULL);
    const struct javm_hash instance = publish_instance(w.dir, &image, NULL, 0);
    for (uint64_t gas = 1; gas < 80; gas++) {
        for (int detach = 0; detach < 2; detach++) {
            struct javm_call call = usual_call(&instance);
            call.can_pause = true;
            call.gas = gas;
            invoke(&call);
            cr_assert_eq(result.end, JAVM_END_PAUSED);
            resume_elsewhere(detach);
            expect_fault(JAVM_FAULT_BAD_OPERAND);
        }
    }
}

/* A mapping whose source lies in a CNode: the CNode is a value like any other after the move, and
 * what was written has to come into it. The CNode moves away when `away`. */
static void pause_with_deep_mapping(bool away, struct javm_hash *hash)
{
    static const struct javm_mapping mapping = {
        .start = STATE, .size = PAGE, .depth = 2, .path = {{1, {6}}, {1, {1}}}};
    struct code c = {.count = 0};
    endpoint(&c);
    li(&c, 8, 77);
    store(&c, STATE, 8);
    if (away)
        OP(&c, MOVE, 6, 9);
    OP(&c, YIELD, 4);
    reply(&c, 5);
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .code = (const uint8_t *)c.words,
                                      .code_len = 4 * (uint64_t)c.count,
                                      .endpoints = c.endpoints,
                                      .endpoint_count = c.endpoint_count,
                                      .mappings = &mapping,
                                      .mapping_count = 1};
    const struct javm_hash image = publish_image(w.dir, &fields);
    const struct slot slots[] = {sender(4, &key1), {6, publish_cnode(w.dir, NULL, 0)}};
    const struct javm_hash instance = publish_instance(w.dir, &image, slots, 2);
    struct javm_call call = usual_call(&instance);
    call.can_pause = true;
    invoke(&call);
    cr_assert_eq(result.end, JAVM_END_PAUSED);
    cr_assert_eq(javm_vm_detach_paused(w.vm, w.dir, hash, &err), JAVM_OK);
}

KERNEL_TEST(pause, a_mapping_from_inside_a_cnode)
{
    struct javm_hash hash;
    const struct javm_call more = {.want_post = true};
    pause_with_deep_mapping(false, &hash);
    cr_assert_eq(javm_vm_attach_paused(w.vm, w.dir, &hash, &err), JAVM_OK, "%s", err.text);
    javm_call_result_clear(&result);
    cr_assert_eq(javm_vm_call_resume(w.vm, w.dir, &more, &result, &err), JAVM_OK, "%s", err.text);
    expect_halt(5);
    cr_expect_eq(first_word(POST(6, 1)), 77);
}

KERNEL_TEST(pause, a_mapping_from_a_cnode_that_is_gone)
{
    struct javm_hash hash;
    const struct javm_call more = {.want_post = true};
    pause_with_deep_mapping(true, &hash);
    const struct javm_hash bad = damaged(&hash, 0, STATE_REPLACED, 0);
    cr_expect_eq(javm_vm_attach_paused(w.vm, w.dir, &bad, &err), JAVM_E_FORMAT);
    cr_assert_eq(javm_vm_attach_paused(w.vm, w.dir, &hash, &err), JAVM_OK, "%s", err.text);
    javm_call_result_clear(&result);
    cr_assert_eq(javm_vm_call_resume(w.vm, w.dir, &more, &result, &err), JAVM_OK, "%s", err.text);
    expect_halt(5);
    cr_expect(is_empty(POST(9, 1))); /* replaced: the pages are nobody's */
}

KERNEL_TEST(pause, damage)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 0x0705, 0);
    emit(&c, REPLY);
    const struct slot node = {5, busy()};
    const struct slot slots[] = {{7, publish_cnode(w.dir, &node, 1)}};
    const struct javm_hash image = image_of(&c);
    const struct javm_hash instance = publish_instance(w.dir, &image, slots, 1);
    struct javm_call call = usual_call(&instance);
    call.can_pause = true;
    invoke(&call);
    cr_assert_eq(result.end, JAVM_END_PAUSED);
    struct javm_hash hash;
    cr_assert_eq(javm_vm_detach_paused(w.vm, w.dir, &hash, &err), JAVM_OK);
    struct random random = {.state = 7};
    unsigned refused = 0, ran = 0;
    for (unsigned i = 0; i < 1500; i++) {
        const uint64_t entry = i % 3; /* 2: the header */
        const uint64_t at = random_below(&random, 36);
        const uint64_t word = i % 2 ? random_below(&random, 5) : random_u64(&random);
        const struct javm_hash bad = damaged(&hash, entry, at, word);
        if (javm_vm_attach_paused(w.vm, w.dir, &bad, &err) != JAVM_OK) {
            refused++;
            continue;
        }
        const struct javm_call more = {.gas = 10000, .want_slot0 = true, .want_post = true};
        javm_call_result_clear(&result);
        cr_assert_eq(javm_vm_call_resume(w.vm, w.dir, &more, &result, &err), JAVM_OK, "%s",
                     err.text);
        ran++;
    }
    cr_expect_gt(refused, 100);
    cr_expect_gt(ran, 100);
}
