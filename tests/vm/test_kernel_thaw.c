/* What a continuation is checked for before it becomes frames, and what of a frame it brings back
 * (v3 kernel, CALL_PAUSED; docs/kernel.md "Continuations").
 *
 * Would catch: a part or a word of a continuation that is believed; a frame that forgot what it was
 * given, or takes the wrong meter; a stack that grows past its limit by a continuation. */
#include "tests/vm/kernel_support.h"
#include "vm/kernel_pause.h"

#define S_RECEIVER 2
#define K1         0x0101u

static const struct javm_key key1 = {2, {1, 1}}, meter = {1, {0xA}};
static const struct javm_key gas_slot = {1, {20}};
static const struct javm_image catching = {.yield_receiver_slot = {1, {S_RECEIVER}}};

static struct slot sender(const struct javm_key *key)
{
    return (struct slot){4, handle(javm_yield_sender(key))};
}

/* Writes to its state and its scrap, yields key1, then traps if φ7 is not 0, else replies 8. */
static struct javm_hash leaf_image(void)
{
    struct code c = {.count = 0};
    endpoint(&c);
    emit(&c, ADDI(9, A0, 0));
    store(&c, STATE + 8, 9);
    store(&c, SCRAP, 6);
    OP(&c, YIELD, 4);
    emit(&c, op(PVM2_BEQ, 0, 9, 0, 8));
    emit(&c, TRAP);
    reply(&c, 8);
    return image_with(&c, WITH_STATE | WITH_SCRAP, NULL);
}

static struct javm_hash leaf(void)
{
    const struct javm_hash image = leaf_image();
    const struct slot slots[] = {sender(&key1), {S_STATE, number_data(6)}};
    return publish_instance(w.dir, &image, slots, 2);
}

/* Calls 5 with φ7 and replies its answer; catches what `receiver` says. */
static struct javm_hash caller_of(const struct javm_hash *child, const struct javm_key *receiver)
{
    struct code c = {.count = 0};
    endpoint(&c);
    emit(&c, ADDI(A2, A0, 0));
    li(&c, A0, 5);
    li(&c, A1, 0);
    emit(&c, ECALLI(CALL));
    emit(&c, REPLY);
    const struct slot slots[] = {{5, *child},
                                 {S_RECEIVER, handle(javm_yield_receiver(receiver, 1))}};
    const struct javm_hash image = image_with(&c, 0, &catching);
    return publish_instance(w.dir, &image, slots, 2);
}

/* ---- lies ------------------------------------------------------------------------------- */

/* The same CNode with another cap under a key; NULL: none. */
static struct javm_hash with_slot(const struct javm_cap *cnode, uint64_t slot,
                                  const struct javm_hash *hash)
{
    struct javm_cap *copy = javm_cap_clone(cnode);
    const struct javm_key key = javm_key_from_u64(slot);
    struct javm_target target =
        hash != NULL ? javm_target_hash(hash) : (struct javm_target){.kind = JAVM_TARGET_EMPTY};
    REQUIRE(javm_cnode_set(copy, &key, &target) == JAVM_OK);
    return publish(w.dir, copy);
}

/* The continuation with another part in one of its entries. */
static struct javm_hash with_part(const struct javm_hash *paused, uint64_t entry, uint64_t part,
                                  const struct javm_hash *hash)
{
    struct javm_cap *cap = javm_directory_get(w.dir, paused);
    struct javm_cap *copy = javm_cap_clone(cap), *root = root_of(cap), *frame = below(root, entry);
    const struct javm_hash changed = with_slot(frame, part, hash);
    const struct javm_hash new_root = with_slot(root, entry, &changed);
    javm_instance_mut(copy)->root_cnode = javm_target_hash(&new_root);
    javm_cap_release(frame);
    javm_cap_release(root);
    javm_cap_release(cap);
    return publish(w.dir, copy);
}

static struct javm_cap *part_of(const struct javm_hash *paused, uint64_t entry, uint64_t part)
{
    struct javm_cap *cap = javm_directory_get(w.dir, paused);
    struct javm_cap *root = root_of(cap), *frame = below(root, entry), *found = below(frame, part);
    javm_cap_release(frame);
    javm_cap_release(root);
    javm_cap_release(cap);
    return found;
}

static struct javm_hash with_word(const struct javm_hash *paused, uint64_t entry, unsigned at,
                                  uint64_t word)
{
    struct javm_cap *state = part_of(paused, entry, PART_STATE);
    struct javm_cap *copy = javm_cap_clone(state);
    uint8_t page[PAGE];
    javm_data_read(state, 0, page, PAGE);
    memcpy(page + 8 * (size_t)at, &word, sizeof word);
    REQUIRE(javm_data_write_page(copy, 0, page) == JAVM_OK);
    const struct javm_hash hash = publish(w.dir, copy);
    javm_cap_release(state);
    return with_part(paused, entry, PART_STATE, &hash);
}

static void expect_refused(const struct javm_hash *paused, const char *what)
{
    cr_expect_eq(javm_vm_attach_paused(w.vm, w.dir, paused, &err), JAVM_E_FORMAT, "%s", what);
    javm_vm_drop_paused(w.vm, NULL);
}

static struct javm_hash pause_and_detach(const struct javm_hash *instance, uint64_t argument)
{
    struct javm_call call = usual_call(instance);
    struct javm_hash hash;
    call.can_pause = true;
    call.args[0] = argument;
    invoke(&call);
    cr_assert_eq(result.end, JAVM_END_PAUSED);
    cr_assert_eq(javm_vm_detach_paused(w.vm, w.dir, &hash, &err), JAVM_OK);
    return hash;
}

static void resume_paused(const struct javm_hash *paused)
{
    const struct javm_call more = {
        .gas = PLENTY, .want_post = true, .want_slot0 = true, .can_pause = true};
    cr_assert_eq(javm_vm_attach_paused(w.vm, w.dir, paused, &err), JAVM_OK, "%s", err.text);
    javm_call_result_clear(&result);
    cr_assert_eq(javm_vm_call_resume(w.vm, w.dir, &more, &result, &err), JAVM_OK, "%s", err.text);
}

KERNEL_TEST(thaw, parts)
{
    static const unsigned needed[] = {PART_STATE, PART_INSTANCE, PART_IMAGE, PART_SOURCES,
                                      PART_PAGES};
    const struct javm_hash child = leaf(), other = {{1}};
    const struct javm_key none = {1, {9}};
    const struct javm_hash instance = caller_of(&child, &none);
    const struct javm_hash paused = pause_and_detach(&instance, 0);
    const struct javm_hash type = handle(javm_type_new(&other));
    for (uint64_t entry = 0; entry < 2; entry++)
        for (size_t i = 0; i < CODE(needed); i++) {
            const struct javm_hash missing = with_part(&paused, entry, needed[i], NULL);
            const struct javm_hash wrong = with_part(&paused, entry, needed[i], &type);
            expect_refused(&missing, "a part that is missing");
            expect_refused(&wrong, "a part of another kind");
        }
    /* An Instance that is no idle one, and a handle. */
    const struct javm_hash gas = handle(javm_gas_handle(&meter));
    const struct javm_hash nested = with_part(&paused, 1, PART_INSTANCE, &paused);
    const struct javm_hash handled = with_part(&paused, 1, PART_INSTANCE, &gas);
    expect_refused(&nested, "a Paused Instance in a frame");
    expect_refused(&handled, "a handle in a frame");
    /* More at a source than the mapping has room for. */
    static const uint8_t bytes[3 * PAGE] = {1};
    struct javm_cap *sources = part_of(&paused, 1, PART_SOURCES);
    const struct javm_hash large = publish(w.dir, javm_data_new(bytes, sizeof bytes));
    const struct javm_hash changed = with_slot(sources, 0, &large);
    const struct javm_hash overfull = with_part(&paused, 1, PART_SOURCES, &changed);
    expect_refused(&overfull, "a source that is too large");
    javm_cap_release(sources);
    resume_paused(&paused);
    expect_halt(8);
}

KERNEL_TEST(thaw, words)
{
    static const struct {
        uint64_t entry;
        unsigned at;
        uint64_t word;
    } lies[] = {
        {1, STATE_HOME, 0},               /* slot[0] */
        {1, STATE_HOME, 0x0705},          /* nothing there that holds it */
        {1, STATE_HOME, S_RECEIVER},      /* taken */
        {1, STATE_OWNER, 1},              /* its own owner */
        {1, STATE_OWNER, OUTSIDE},        /* nobody's */
        {1, STATE_SCOPE, 2},              /* a frame above */
        {1, STATE_PAGES, 3},              /* more than there are */
        {1, STATE_WORDS, 16},             /* a page of the code */
        {1, STATE_WORDS, 17 + (1 << 10)}, /* of nothing */
        {1, STATE_WORDS, UINT64_C(1) << 20} /* no page */,
        {1, STATE_WORDS, UINT64_C(1) << 52},
        {1, STATE_REPLACED_MORE, 1},
        {0, STATE_KIND, 1},
        {1, STATE_KIND, 1}, /* a reference to the frame that runs */
    };
    const struct javm_hash child = leaf();
    const struct javm_key none = {1, {9}};
    const struct javm_hash instance = caller_of(&child, &none);
    const struct javm_hash paused = pause_and_detach(&instance, 0);
    for (size_t i = 0; i < CODE(lies); i++) {
        const struct javm_hash lie = with_word(&paused, lies[i].entry, lies[i].at, lies[i].word);
        char what[32];
        snprintf(what, sizeof what, "lie %zu", i);
        expect_refused(&lie, what);
    }
    resume_paused(&paused);
    expect_halt(8);
}

/* A handler that waits refers to a frame below the one that runs. */
KERNEL_TEST(thaw, references)
{
    struct code c = {.count = 0}; /* catches key1, then yields key2 to the host */
    endpoint(&c);
    OP(&c, CALL, 5, 0);
    OP(&c, YIELD, 4);
    OP(&c, RESUME, 0);
    emit(&c, REPLY);
    const struct javm_key key2 = {2, {2, 2}};
    const struct javm_hash child = leaf(), image = image_with(&c, 0, &catching);
    const struct slot slots[] = {
        {5, child}, {S_RECEIVER, handle(javm_yield_receiver(&key1, 1))}, sender(&key2)};
    const struct javm_hash instance = publish_instance(w.dir, &image, slots, 3);
    const struct javm_hash paused = pause_and_detach(&instance, 0);
    for (uint64_t owner = 1; owner < 4; owner++) { /* entry 2 is the reference, to 0 */
        const struct javm_hash lie = with_word(&paused, 2, STATE_OWNER, owner);
        expect_refused(&lie, "a reference to what is not below");
    }
    const struct javm_hash lie = with_word(&paused, 2, STATE_KEY_LEN, 9);
    expect_refused(&lie, "a reference with no key");
    resume_paused(&paused);
    expect_halt(8);
}

/* ---- depth ------------------------------------------------------------------------------ */

static const struct javm_vm_options four_deep = {.max_depth = 4}, one_deep = {.max_depth = 1};

/* A continuation of two frames, handed down as slot[0] through so many callers. */
static void call_paused_below(unsigned callers)
{
    struct code last = {.count = 0};
    endpoint(&last);
    OP(&last, MOVE, 0, 9);
    OP(&last, CALL_PAUSED, 9);
    emit(&last, REPLY);
    struct javm_hash image = image_of(&last);
    struct javm_hash at = instantiate(w.dir, &image);
    const struct javm_key none = {1, {9}};
    for (unsigned i = 1; i < callers; i++)
        at = caller_of(&at, &none);
    const struct javm_hash child = leaf(), between = caller_of(&child, &none);
    struct code keeps = {.count = 0};
    endpoint(&keeps);
    OP(&keeps, CALL, 5, 0);
    expect(&keeps, A0, K1);
    OP(&keeps, DROP_RESUME, 7);
    OP(&keeps, MOVE, 7, 0);
    OP(&keeps, CALL, 6, 0);
    emit(&keeps, REPLY);
    const struct slot slots[] = {
        {S_RECEIVER, handle(javm_yield_receiver(&key1, 1))}, {5, between}, {6, at}};
    image = image_with(&keeps, 0, &catching);
    run_with(&image, slots, 3);
}

KERNEL_TEST_WITH(thaw, up_to_the_depth_limit, &four_deep)
{
    call_paused_below(1);
    expect_halt(8);
    call_paused_below(2);
    expect_halt(JAVM_FAULT_DEPTH_LIMIT);
}

KERNEL_TEST_WITH(thaw, deeper_than_the_vm, &one_deep)
{
    struct javm_vm *deep;
    const struct javm_vm_options options = {.engine = engine};
    const struct javm_hash child = leaf();
    const struct javm_key none = {1, {9}};
    const struct javm_hash instance = caller_of(&child, &none);
    cr_assert_eq(javm_vm_create(&options, &deep, &err), JAVM_OK);
    struct javm_vm *const shallow = w.vm;
    w.vm = deep;
    const struct javm_hash paused = pause_and_detach(&instance, 0);
    w.vm = shallow;
    javm_vm_destroy(deep);
    cr_expect_eq(javm_vm_attach_paused(w.vm, w.dir, &paused, &err), JAVM_E_LIMIT);
}

/* ---- what comes back -------------------------------------------------------------------- */

/* A callee that faults after its invocation moved: its caller has what it gave. */
KERNEL_TEST(thaw, given_in_another_life)
{
    const struct javm_hash child = leaf();
    const struct slot slots[] = {{5, child}, {7, number_data(700)}};
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, MOVE, 7, 0);
    OP(&c, CALL, 5, 0, 1); /* traps */
    expect(&c, A1, 2);
    OP(&c, MOVE, 0, 8);
    reply(&c, 1);
    const struct javm_hash image = image_of(&c);
    const struct javm_hash instance = publish_instance(w.dir, &image, slots, 2);
    const struct javm_hash paused = pause_and_detach(&instance, 0);
    resume_paused(&paused);
    expect_halt(1);
    cr_expect_eq(first_word(POST(8)), 700);
}

/* What CALL_PAUSED gives is what a fault gives back. */
KERNEL_TEST(thaw, given_with_call_paused)
{
    const struct javm_hash child = leaf();
    const struct slot slots[] = {
        {5, child}, {S_RECEIVER, handle(javm_yield_receiver(&key1, 1))}, {7, number_data(700)}};
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, CALL, 5, 0, 1);
    OP(&c, DROP_RESUME, 9);
    OP(&c, MOVE, 7, 0);
    OP(&c, CALL_PAUSED, 9);
    expect(&c, A0, JAVM_FAULT_TRAP);
    expect(&c, A1, 2);
    OP(&c, MOVE, 0, 8);
    OP(&c, MINT_CNODE, 9); /* and its slot is empty */
    reply(&c, 1);
    const struct javm_hash image = image_with(&c, 0, &catching);
    run_with(&image, slots, 3);
    expect_halt(1);
    cr_expect_eq(first_word(POST(8)), 700);
}

/* A continuation without meters of its own is paid by who calls it, not by who bore it. */
KERNEL_TEST(thaw, paid_by_who_calls)
{
    const struct javm_hash child = leaf();
    const struct javm_image metered = {.gas_slots = &gas_slot, .gas_slot_count = 1};
    struct code calls = {.count = 0};
    endpoint(&calls);
    OP(&calls, MOVE, 0, 9);
    OP(&calls, CALL_PAUSED, 9);
    emit(&calls, REPLY);
    const struct javm_hash image = image_with(&calls, 0, &metered);
    const struct slot in = {20, handle(javm_gas_handle(&meter))};
    uint64_t left[2];
    for (int fault = 0; fault < 2;
         fault++) { /* 1: the meter has enough for MOVE and CALL_PAUSED only */
        struct code c = {.count = 0};
        endpoint(&c);
        OP(&c, CALL, 5, 0, 0);
        OP(&c, DROP_RESUME, 9);
        OP(&c, MOVE, 9, 0);
        OP(&c, YIELD, 14, javm_key_pack(&meter), meter.len, fault ? 230 : 10000);
        OP(&c, CALL, 6, 0);
        emit(&c, ADDI(9, A1, 0));
        emit(&c, ADDI(8, A0, 0));
        OP(&c, YIELD, 14, javm_key_pack(&meter), meter.len, 0);
        expect(&c, 9, fault ? 2 : 0);
        expect(&c, 8, fault ? JAVM_FAULT_OUT_OF_GAS : 8);
        emit(&c, REPLY);
        const struct slot slots[] = {{5, child},
                                     {S_RECEIVER, handle(javm_yield_receiver(&key1, 1))},
                                     {6, publish_instance(w.dir, &image, &in, 1)},
                                     {14, handle(javm_yield_sender(&JAVM_YK_SET_GAS_METER))}};
        const struct javm_hash root = image_with(&c, 0, &catching);
        run_with(&root, slots, 4);
        cr_assert_eq(result.end, JAVM_END_HALT, "%d: %s", fault, javm_fault_name(result.fault));
        left[fault] = result.value;
    }
    cr_expect_lt(left[0], 10000 - 400, "three operations of the caller, one of the leaf");
    cr_expect_lt(left[1], 100);
}
