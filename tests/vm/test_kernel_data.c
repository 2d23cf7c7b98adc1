/* Operations on Data, types, images and files (v3 kernel, "Operations").
 *
 * Would catch: bytes from the wrong place, or beyond the end; memory written that may not be, or in
 * part; types that compare by the wrong hash; an image that is admitted though it is none; a
 * SET_IMAGE that runs too early or hides a slot; a spawned Instance of the wrong chain. */
#include "javm/image.h"
#include "tests/vm/kernel_support.h"

static const struct javm_key quota = {1, {7}};

static struct slot quota_slot(uint64_t slot)
{
    return (struct slot){slot, handle(javm_quota_handle(&quota))};
}
static struct slot quota_setter(void)
{
    return (struct slot){6, handle(javm_yield_sender(&JAVM_YK_SET_STORAGE_QUOTA))};
}
static void set_quota(struct code *c, uint64_t value)
{
    OP(c, YIELD, 6, javm_key_pack(&quota), quota.len, value);
}

/* ---- bytes ------------------------------------------------------------------------------ */

KERNEL_TEST(data, read)
{
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, READ_DATA, 5, PAGE - 3, SCRAP + 5, 11); /* over an edge of both */
    expect(&c, A0, 11);
    load(&c, 8, SCRAP + 8); /* the second page begins there */
    expect(&c, 8, 501);
    OP(&c, READ_DATA, 5, 2 * PAGE - 8, SCRAP, 100); /* to the end */
    expect(&c, A0, 8);
    OP(&c, READ_DATA, 5, 2 * PAGE, SCRAP, 100);
    expect(&c, A0, 0);
    OP(&c, READ_DATA, 5, UINT64_MAX, UINT64_MAX, UINT64_MAX); /* nothing is touched */
    expect(&c, A0, 0);
    OP(&c, READ_DATA, 5, 0, SCRAP, UINT64_MAX);
    expect(&c, A0, 2 * PAGE);
    load(&c, A0, SCRAP + PAGE);
    emit(&c, REPLY);
    const struct slot slots[] = {{5, publish(w.dir, numbered_data(500, 2))}};
    const struct javm_hash image = image_with(&c, WITH_SCRAP, NULL);
    run_with(&image, slots, 1);
    expect_halt(501);
}

KERNEL_TEST(data, misuse)
{
    static const struct {
        int32_t number;
        uint64_t arguments[4];
    } wrong[] = {
        {READ_DATA, {8, 0, SCRAP, 8}},                /* empty */
        {READ_DATA, {7, 0, SCRAP, 8}},                /* a handle */
        {READ_DATA, {5, 0, SCRAP + 2 * PAGE - 7, 8}}, /* past the mapping */
        {READ_DATA, {5, 0, JAVM_CODE_BASE, 8}},       /* not writable */
        {READ_DATA, {5, 0, SCRAP - 1, 8}},
        {READ_DATA, {5, 0, UINT64_C(0x100000000) + SCRAP, 8}}, /* addresses do not wrap here */
        {MINT_DATA, {SCRAP + PAGE, PAGE + 1, 7, 8}},
        {MINT_DATA, {0, 1, 7, 8}},
        {MINT_DATA, {SCRAP, 8, 5, 8}}, /* no quota */
        {MINT_DATA, {SCRAP, 8, 7, 5}}, /* taken */
        {MINT_DATA, {SCRAP, UINT64_MAX, 7, 8}},
        {TYPE_OF, {5, 8}},
        {CHAIN, {5, 8}},
        {SAME_TYPE, {5, 7}},
        {SPAWN, {5, 0, 8}}, /* no image */
        {SPAWN, {4, 5, 8}}, /* no cnode */
        {SPAWN, {4, 0, 5}},
        {SPAWN, {4, 9, 0x0901}}, /* into what is consumed */
        {SET_IMAGE, {5}},
        {MAKE_IMAGE, {7, 8}},
        {MAKE_IMAGE, {5, 7}},
        {FILE_OPEN, {5, 8}},
        {FILE_SAVE, {5, 5, 8}},
        {FILE_SAVE, {5, 7, 5}},
    };
    for (size_t i = 0; i < CODE(wrong); i++) {
        struct code c = {.count = 0};
        endpoint(&c);
        set_quota(&c, 100);
        operate(&c, wrong[i].number, wrong[i].arguments, 4);
        reply(&c, 1);
        const struct slot slots[] = {{5, publish(w.dir, numbered_data(500, 2))},
                                     {4, constant_image(1)},
                                     quota_setter(),
                                     quota_slot(7),
                                     {9, publish_cnode(w.dir, NULL, 0)}};
        const struct javm_hash image = image_with(&c, WITH_SCRAP, NULL);
        run_with(&image, slots, 5);
        cr_expect_eq(result.end, JAVM_END_FAULTED, "case %zu", i);
        cr_expect_eq(result.fault, JAVM_FAULT_BAD_OPERAND, "case %zu", i);
    }
}

KERNEL_TEST(data, minted_and_read_back)
{
    struct code c = {.count = 0};
    endpoint(&c);
    set_quota(&c, 100);
    li(&c, 8, 0x1234);
    store(&c, SCRAP + 16, 8);
    OP(&c, MINT_DATA, SCRAP + 16, 8, 7, 8);
    OP(&c, READ_DATA, 8, 0, SCRAP + 64, 8);
    load(&c, A0, SCRAP + 64);
    emit(&c, REPLY);
    const struct slot slots[] = {quota_setter(), quota_slot(7)};
    const struct javm_hash image = image_with(&c, WITH_SCRAP, NULL);
    run_with(&image, slots, 2);
    expect_halt(0x1234);
    const uint64_t word = 0x1234;
    const struct javm_hash same = publish(w.dir, javm_data_new(&word, sizeof word));
    cr_expect(cap_is(POST(8), &same)); /* padded to a page */
}

KERNEL_TEST(data, files)
{
    struct code c = {.count = 0};
    endpoint(&c);
    set_quota(&c, 100);
    OP(&c, FILE_SAVE, 5, 7, 8);
    OP(&c, FILE_SAVE, 4, 7, 9);
    OP(&c, FILE_OPEN, 8, 10);
    OP(&c, FILE_OPEN, 9, 11);
    OP(&c, TYPE_OF, 8, 12);
    reply(&c, 1);
    const struct slot slots[] = {
        {4, number_data(40)}, {5, number_data(50)}, quota_setter(), quota_slot(7)};
    run_code(&c, slots, 4);
    expect_halt(1);
    cr_expect(cap_is(POST(10), &slots[1].hash));
    cr_expect(cap_is(POST(11), &slots[0].hash));
    struct javm_cap *file = POST(8);
    cr_expect_eq(javm_handle_kind(file), JAVM_HANDLE_FILE);
    javm_cap_release(file);
    /* The tables are new in each invocation: that file is not there any more. */
    struct code open = {.count = 0};
    endpoint(&open);
    OP(&open, FILE_OPEN, 8, 10);
    reply(&open, 1);
    struct javm_cap *kept = POST(8);
    const struct slot old = {8, publish(w.dir, kept)};
    run_code(&open, &old, 1);
    expect_fault(JAVM_FAULT_BAD_OPERAND);
}

/* ---- types ------------------------------------------------------------------------------ */

KERNEL_TEST(data, types)
{
    const struct javm_hash one = constant_image(1), two = constant_image(2);
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, SAME_TYPE, 5, 6);
    expect(&c, A0, 0);
    OP(&c, SAME_TYPE, 5, 7);
    expect(&c, A0, 1);
    OP(&c, TYPE_OF, 5, 8);
    OP(&c, SAME_TYPE, 8, 7); /* a Type stands for its instances */
    expect(&c, A0, 1);
    OP(&c, CHAIN, 6, 9);
    OP(&c, SPAWN, 10, 0, 11); /* chain extended from ours: not the genesis type */
    OP(&c, SAME_TYPE, 11, 5);
    expect(&c, A0, 0);
    OP(&c, SPAWN, 10, 0, 12);
    OP(&c, SAME_TYPE, 11, 12);
    emit(&c, REPLY);
    const struct slot slots[] = {{5, instantiate(w.dir, &one)},
                                 {6, instantiate(w.dir, &two)},
                                 {7, instantiate(w.dir, &one)},
                                 {10, one}};
    const struct javm_hash image = image_of(&c);
    run_with(&image, slots, 4);
    expect_halt(1);
    struct javm_cap *type = POST(8), *chain = POST(9), *spawned = POST(11);
    cr_assert_eq(javm_cap_kind(type), JAVM_TYPE);
    cr_expect(javm_hash_equal(javm_type_chain(type), &one));
    struct javm_hash bytes;
    javm_data_read(chain, 0, bytes.bytes, sizeof bytes.bytes);
    cr_expect(javm_hash_equal(&bytes, &two));
    const struct javm_hash extended = javm_chain_extend(&image, &one);
    cr_expect(javm_hash_equal(&javm_instance_of(spawned)->image_hash_chain, &extended));
    cr_expect(javm_hash_equal(&javm_instance_of(spawned)->image_hash, &one));
    javm_cap_release(type);
    javm_cap_release(chain);
    javm_cap_release(spawned);
}

/* ---- images ----------------------------------------------------------------------------- */

/* The new code runs from the next CALL, the pins hold at once. */
KERNEL_TEST(data, set_image)
{
    const struct javm_pin pin = {javm_key_from_u64(9), number_data(99)};
    const struct javm_image pinned = {.pinned = &pin, .pinned_count = 1};
    struct code next = {.count = 0};
    endpoint(&next);
    reply(&next, 222);
    const struct javm_hash second = image_with(&next, 0, &pinned);
    for (int collide = 0; collide < 2; collide++) {
        struct code first = {.count = 0};
        endpoint(&first);
        if (collide)
            OP(&first, MINT_CNODE, 9);
        OP(&first, SET_IMAGE, 5);
        OP(&first, COPY, 9, 10); /* the pin */
        reply(&first, 111);
        const struct javm_hash image = image_of(&first);
        const struct slot inner = {5, second};
        struct code c = {.count = 0};
        endpoint(&c);
        OP(&c, CALL, 6, 0);
        if (collide) {
            expect(&c, A0, JAVM_FAULT_BAD_OPERAND);
            reply(&c, 222);
        }
        expect(&c, A0, 111);
        OP(&c, CALL, 6, 0);
        emit(&c, REPLY);
        const struct slot slots[] = {{6, publish_instance(w.dir, &image, &inner, 1)}};
        run_code(&c, slots, 1);
        expect_halt(222);
        if (collide)
            continue;
        struct javm_cap *child = POST(6);
        const struct javm_hash chain = javm_chain_extend(&image, &second);
        cr_expect(javm_hash_equal(&javm_instance_of(child)->image_hash, &second));
        cr_expect(javm_hash_equal(&javm_instance_of(child)->image_hash_chain, &chain));
        javm_cap_release(child);
        cr_expect_eq(first_word(POST(6, 10)), 99);
    }
}

/* A Data with an image's encoding becomes the Image, which can be spawned and called. */
KERNEL_TEST(data, make_image)
{
    struct code made = {.count = 0};
    endpoint(&made);
    reply(&made, 4242);
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .code = (const uint8_t *)made.words,
                                      .code_len = 4 * (uint64_t)made.count,
                                      .endpoints = made.endpoints,
                                      .endpoint_count = 1};
    struct javm_cap *image;
    uint8_t *bytes;
    size_t len;
    cr_assert_eq(javm_image_new(&fields, &image, NULL), JAVM_OK);
    cr_assert_eq(javm_image_encode(image, &bytes, &len), JAVM_OK);
    struct javm_hash hash;
    javm_cap_hash(image, &hash);
    javm_cap_release(image);
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, MAKE_IMAGE, 6, 9);
    expect(&c, A0, JAVM_E_FORMAT);
    OP(&c, MAKE_IMAGE, 7, 9); /* its pin is not published */
    expect(&c, A0, JAVM_E_MISSING);
    OP(&c, MAKE_IMAGE, 8, 9); /* something behind it that is not zeros */
    expect(&c, A0, JAVM_E_FORMAT);
    OP(&c, MAKE_IMAGE, 5, 9);
    expect(&c, A0, 0);
    OP(&c, SPAWN, 9, 0, 10);
    OP(&c, CALL, 10, 0);
    emit(&c, REPLY);
    const struct javm_pin missing = {javm_key_from_u64(1), {{1}}};
    struct javm_image with_pin = fields;
    with_pin.pinned = &missing;
    with_pin.pinned_count = 1;
    uint8_t *other;
    size_t other_len;
    cr_assert_eq(javm_image_new(&with_pin, &image, NULL), JAVM_OK);
    cr_assert_eq(javm_image_encode(image, &other, &other_len), JAVM_OK);
    javm_cap_release(image);
    uint8_t longer[PAGE] = {0};
    REQUIRE(len < PAGE - 100);
    memcpy(longer, bytes, len);
    longer[len + 50] = 1;
    const struct slot slots[] = {{5, publish(w.dir, javm_data_new(bytes, len))},
                                 {6, number_data(77)},
                                 {7, publish(w.dir, javm_data_new(other, other_len))},
                                 {8, publish(w.dir, javm_data_new(longer, PAGE))}};
    free(bytes);
    free(other);
    run_code(&c, slots, 4);
    expect_halt(4242);
    cr_expect(cap_is(POST(9), &hash));
}

/* The cnode is consumed and becomes the root. */
KERNEL_TEST(data, spawn_with_a_cnode)
{
    struct code reads = {.count = 0};
    endpoint(&reads);
    load(&reads, A0, STATE);
    emit(&reads, REPLY);
    struct code c = {.count = 0};
    endpoint(&c);
    OP(&c, MINT_CNODE, 7);
    OP(&c, MOVE, 6, 7 * 256 + S_STATE);
    OP(&c, SPAWN, 5, 7, 8);
    OP(&c, MINT_CNODE, 7); /* it is gone */
    OP(&c, CALL, 8, 0);
    emit(&c, REPLY);
    const struct slot slots[] = {{5, image_with(&reads, WITH_STATE, NULL)}, {6, number_data(66)}};
    run_code(&c, slots, 2);
    expect_halt(66);
    cr_expect_eq(first_word(POST(8, S_STATE)), 66);
}
