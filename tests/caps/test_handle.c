/* Yield, gas and quota handles.
 *
 * Would catch: a reader that takes the word of a cap of another kind or chain; registers that hold
 * no key and are read as one; a set that is unsorted, holds a key twice, or loses one across a page
 * boundary; a count that is believed beyond the bytes that are there; limits that are off by one;
 * a union that changes its operands; a reserved key with other bytes. */
#include "javm/handle.h"
#include "javm/image.h"
#include "tests/caps/support.h"

#define PAGE     ((size_t)JAVM_PAGE_SIZE)
#define KEYS_MAX 65535u

typedef bool reader_fn(const struct javm_cap *cap, struct javm_key *key);

/* The handles that hold one key. */
static const struct {
    enum javm_handle handle;
    struct javm_cap *(*make)(const struct javm_key *key);
    reader_fn *read;
} key_handles[] = {
    {JAVM_HANDLE_GAS, javm_gas_handle, javm_gas_meter_key},
    {JAVM_HANDLE_QUOTA, javm_quota_handle, javm_quota_key},
    {JAVM_HANDLE_YIELD_SENDER, javm_yield_sender, javm_yield_sender_key},
};
#define KEY_HANDLES (sizeof key_handles / sizeof *key_handles)

/* An instance of this chain, as nobody but the kernel would make it. `mem` is taken over. */
static struct javm_cap *forged(const struct javm_hash *chain, struct javm_cap *mem, uint64_t packed,
                               uint64_t len)
{
    const struct javm_instance fields = {.image_hash_chain = *chain,
                                         .root_cnode = {.kind = JAVM_TARGET_HASH},
                                         .mem = mem,
                                         .regs = {packed, len}};
    struct javm_cap *cap = javm_instance_new(&fields);
    REQUIRE(cap != NULL);
    return cap;
}

/* ---- reserved keys ---------------------------------------------------------------------- */

Test(reserved, keys)
{
    static const struct {
        const struct javm_key *key;
        uint8_t low;
    } reserved[] = {
        {&JAVM_YK_MINT_YIELD, 0x01},
        {&JAVM_YK_MERGE_YIELD_RECEIVER, 0x02},
        {&JAVM_YK_SET_GAS_METER, 0x03},
        {&JAVM_YK_MINT_GAS, 0x04},
        {&JAVM_YK_SET_STORAGE_QUOTA, 0x05},
        {&JAVM_YK_MINT_QUOTA, 0x06},
        {&JAVM_YK_OOG, 0x10},
        {&JAVM_YK_STORAGE_EXHAUSTED, 0x11},
        {&JAVM_YK_ATTEST, 0x20},
    };
    for (size_t i = 0; i < sizeof reserved / sizeof *reserved; i++) {
        const struct javm_key expected = {.len = 2, .bytes = {0xCE, reserved[i].low}};
        cr_expect_arr_eq(reserved[i].key, &expected, sizeof expected, "key %zu", i);
        cr_expect(javm_is_kernel_yield_key(reserved[i].key));
    }
}

Test(reserved, namespace)
{
    const struct javm_key inside[] = {KEY("\xce"), KEY("\xce\0"), KEY("\xce\1\2\3\4\5\6\7")};
    const struct javm_key outside[] = {KEY("\xcd"), KEY("\xcf"), KEY("\0\xce"), KEY("\x01\xce")};
    for (size_t i = 0; i < sizeof inside / sizeof *inside; i++)
        cr_expect(javm_is_kernel_yield_key(&inside[i]));
    for (size_t i = 0; i < sizeof outside / sizeof *outside; i++)
        cr_expect_not(javm_is_kernel_yield_key(&outside[i]));
    const struct javm_key none = {.len = 0, .bytes = {0xCE}};
    cr_expect_not(javm_is_kernel_yield_key(&none));
}

/* ---- kinds ------------------------------------------------------------------------------ */

Test(kind, of_each_chain)
{
    const struct javm_hash zero = {{0}}, other = hash_of("gas");
    for (int h = JAVM_HANDLE_GAS; h <= JAVM_HANDLE_FILE; h++) {
        const struct javm_hash *chain = javm_handle_chain((enum javm_handle)h);
        struct javm_cap *cap = forged(chain, javm_data_new_zero(0), 0, 0);
        cr_expect_eq(javm_handle_kind(cap), (enum javm_handle)h);
        javm_cap_release(cap);
        /* A Type that names the chain identifies; it is no handle. */
        cap = javm_type_new(chain);
        cr_expect_eq(javm_handle_kind(cap), JAVM_HANDLE_NONE);
        javm_cap_release(cap);
        for (int k = JAVM_HANDLE_GAS; k < h; k++)
            cr_expect_not(javm_hash_equal(chain, javm_handle_chain((enum javm_handle)k)));
    }
    cr_expect(javm_hash_is_zero(javm_handle_chain(JAVM_HANDLE_NONE)));
    struct javm_cap *cap = forged(&zero, javm_data_new_zero(0), 0, 0);
    cr_expect_eq(javm_handle_kind(cap), JAVM_HANDLE_NONE);
    javm_cap_release(cap);
    cap = forged(&other, javm_data_new_zero(0), 0, 0);
    cr_expect_eq(javm_handle_kind(cap), JAVM_HANDLE_NONE);
    javm_cap_release(cap);
    REQUIRE_NO_LEAKS();
}

/* ---- handles of one key ----------------------------------------------------------------- */

Test(one_key, every_length)
{
    for (size_t h = 0; h < KEY_HANDLES; h++)
        for (size_t len = 1; len <= JAVM_MAX_KEY_LEN; len++) {
            const struct javm_key key = key_of("\xfe\0\xce\xff\x80\0\1\xfd", len);
            struct javm_cap *cap = key_handles[h].make(&key);
            cr_assert_not_null(cap);
            struct javm_key got;
            memset(&got, 0xAA, sizeof got);
            cr_expect(key_handles[h].read(cap, &got));
            cr_expect_arr_eq(&got, &key, sizeof key);
            cr_expect_eq(javm_handle_kind(cap), key_handles[h].handle);
            javm_cap_release(cap);
        }
    REQUIRE_NO_LEAKS();
}

Test(one_key, the_rest_is_zero)
{
    const struct javm_key key = KEY("\1\2");
    for (size_t h = 0; h < KEY_HANDLES; h++) {
        struct javm_cap *cap = key_handles[h].make(&key);
        const struct javm_instance *fields = javm_instance_of(cap);
        cr_expect(javm_hash_is_zero(&fields->image_hash));
        cr_expect_eq(fields->root_cnode.kind, JAVM_TARGET_HASH);
        cr_expect(javm_hash_is_zero(&fields->root_cnode.hash));
        cr_expect_eq(javm_data_pages(fields->mem), 0);
        cr_expect(fields->regs[0] == 0x0201 && fields->regs[1] == 2);
        for (unsigned i = 2; i < JAVM_NUM_SLOTS; i++)
            cr_expect_eq(fields->regs[i], 0);
        cr_expect(fields->pc == 0 && fields->gas_remaining == 0 && fields->status == JAVM_IDLE &&
                  fields->yield_key.len == 0);
        javm_cap_release(cap);
    }
}

Test(one_key, lengths_that_no_key_has)
{
    static const uint8_t bad[] = {0, 9, 255};
    for (size_t h = 0; h < KEY_HANDLES; h++)
        for (size_t i = 0; i < sizeof bad; i++) {
            const struct javm_key key = {.len = bad[i], .bytes = {1}};
            cr_expect_null(key_handles[h].make(&key));
        }
}

Test(one_key, registers_that_hold_no_key)
{
    static const uint64_t bad[] = {0, 9, 256 + 1, UINT64_C(1) << 32 | 1, UINT64_MAX};
    for (size_t h = 0; h < KEY_HANDLES; h++) {
        const struct javm_hash *chain = javm_handle_chain(key_handles[h].handle);
        struct javm_key key;
        struct javm_cap *cap;
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
            cap = forged(chain, javm_data_new_zero(0), 1, bad[i]);
            cr_expect_not(key_handles[h].read(cap, &key), "length %zu", i);
            javm_cap_release(cap);
        }
        cap = forged(chain, javm_data_new_zero(0), UINT64_C(0x1122334455667788), 2);
        const struct javm_key low = KEY("\x88\x77");
        cr_expect(key_handles[h].read(cap, &key));
        cr_expect_arr_eq(&key, &low, sizeof low);
        javm_cap_release(cap);
    }
}

/* Every reader with every cap that is not its own. */
static void expect_none(const struct javm_cap *cap, enum javm_handle except)
{
    struct javm_key key = {.len = 1, .bytes = {1}}, *keys = &key;
    size_t count = 9;
    for (size_t h = 0; h < KEY_HANDLES; h++)
        if (key_handles[h].handle != except)
            cr_expect_not(key_handles[h].read(cap, &key));
    if (except == JAVM_HANDLE_YIELD_RECEIVER)
        return;
    cr_expect_eq(javm_yield_receiver_keys(cap, &keys, &count), JAVM_E_KIND);
    cr_expect(keys == NULL && count == 0);
    cr_expect_not(javm_yield_receiver_has(cap, &key));
    struct javm_cap *receiver = javm_yield_receiver(&key, 1);
    cr_expect_null(javm_merge_yield_receivers(cap, receiver));
    cr_expect_null(javm_merge_yield_receivers(receiver, cap));
    cr_expect_null(javm_merge_yield_receivers(cap, cap));
    javm_cap_release(receiver);
}

Test(readers, other_caps_are_none)
{
    /* mem and registers that would do for any handle */
    static const uint8_t list[] = {1, 0, 1, 1};
    const struct javm_hash hash = hash_of("program");
    for (int h = JAVM_HANDLE_NONE; h <= JAVM_HANDLE_FILE; h++) {
        const struct javm_hash *chain =
            h == JAVM_HANDLE_NONE ? &hash : javm_handle_chain((enum javm_handle)h);
        struct javm_cap *cap = forged(chain, javm_data_new(list, sizeof list), 1, 1);
        expect_none(cap, (enum javm_handle)h);
        javm_cap_release(cap);
    }
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2};
    struct javm_cap *caps[4] = {javm_type_new(javm_handle_chain(JAVM_HANDLE_GAS)), javm_cnode_new(),
                                javm_data_new(list, sizeof list), NULL};
    cr_assert_eq(javm_image_new(&fields, &caps[3], NULL), JAVM_OK);
    for (unsigned i = 0; i < 4; i++) {
        expect_none(caps[i], JAVM_HANDLE_NONE);
        javm_cap_release(caps[i]);
    }
    REQUIRE_NO_LEAKS();
}

/* ---- receivers -------------------------------------------------------------------------- */

static void expect_keys(const struct javm_cap *cap, const struct javm_key *expected, size_t count)
{
    struct javm_key *keys;
    size_t found;
    cr_assert_not_null(cap);
    cr_assert_eq(javm_yield_receiver_keys(cap, &keys, &found), JAVM_OK);
    cr_assert_eq(found, count);
    cr_expect_eq(keys == NULL, count == 0);
    if (count != 0)
        cr_expect_arr_eq(keys, expected, count * sizeof *expected);
    for (size_t i = 0; i < count && i < 100; i++)
        cr_expect(javm_yield_receiver_has(cap, &expected[i]));
    free(keys);
}

Test(receiver, sets)
{
    const struct javm_key given[] = {KEY("\2"),   KEY("\1\0"), KEY("\xff\1\2\3\4\5\6\7"),
                                     KEY("\1"),   KEY("\2"),   KEY("\1\0"),
                                     KEY("\x80"), KEY("\2")};
    const struct javm_key sorted[] = {KEY("\1"), KEY("\1\0"), KEY("\2"), KEY("\x80"),
                                      KEY("\xff\1\2\3\4\5\6\7")};
    const struct javm_key absent[] = {KEY("\0"), KEY("\1\0\0"), KEY("\3"), KEY("\xff")};
    struct javm_cap *cap = javm_yield_receiver(given, 8), *empty = javm_yield_receiver(NULL, 0);
    expect_keys(cap, sorted, 5);
    expect_keys(empty, NULL, 0);
    for (unsigned i = 0; i < 4; i++)
        cr_expect_not(javm_yield_receiver_has(cap, &absent[i]));
    cr_expect_not(javm_yield_receiver_has(empty, &sorted[0]));
    cr_expect_eq(javm_handle_kind(cap), JAVM_HANDLE_YIELD_RECEIVER);
    const struct javm_instance *fields = javm_instance_of(cap);
    cr_expect(javm_hash_is_zero(&fields->image_hash));
    cr_expect(fields->root_cnode.kind == JAVM_TARGET_HASH &&
              javm_hash_is_zero(&fields->root_cnode.hash));
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        cr_expect_eq(fields->regs[i], 0);
    javm_cap_release(cap);
    javm_cap_release(empty);
    REQUIRE_NO_LEAKS();
}

/* The caller's list is not touched, and what lies beyond a key's length is not part of it. */
Test(receiver, given_list)
{
    const struct javm_key given[] = {{.len = 2, .bytes = {2, 0, 7}}, {.len = 1, .bytes = {1, 8}}};
    struct javm_key list[2];
    memcpy(list, given, sizeof list);
    struct javm_cap *cap = javm_yield_receiver(list, 2);
    const struct javm_key sorted[] = {KEY("\1"), KEY("\2\0")};
    cr_expect_arr_eq(list, given, sizeof list);
    expect_keys(cap, sorted, 2);
    cr_expect(javm_yield_receiver_has(cap, &given[0]));
    javm_cap_release(cap);
}

Test(receiver, lengths_that_no_key_has)
{
    static const uint8_t bad[] = {0, 9, 255};
    for (size_t i = 0; i < sizeof bad; i++)
        for (unsigned at = 0; at < 3; at++) {
            struct javm_key keys[] = {KEY("\1"), KEY("\2"), KEY("\3")};
            keys[at].len = bad[i];
            cr_expect_null(javm_yield_receiver(keys, 3));
        }
    REQUIRE_NO_LEAKS();
}

/* `count` keys that ascend from `first`; 3 bytes each, so that lists are longer than a page. */
static struct javm_key *key_range(uint32_t first, size_t count)
{
    struct javm_key *keys = calloc(count + 1, sizeof *keys);
    REQUIRE(keys != NULL);
    for (size_t i = 0; i < count; i++) {
        const uint32_t number = first + (uint32_t)i;
        keys[i] = (struct javm_key){
            .len = 3, .bytes = {(uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number}};
    }
    return keys;
}

Test(receiver, most_keys)
{
    struct javm_key *keys = key_range(0, 3 * (size_t)KEYS_MAX);
    struct javm_cap *cap = javm_yield_receiver(keys, KEYS_MAX);
    expect_keys(cap, keys, KEYS_MAX);
    cr_expect(javm_yield_receiver_has(cap, &keys[KEYS_MAX - 1]));
    cr_expect_not(javm_yield_receiver_has(cap, &keys[KEYS_MAX]));
    javm_cap_release(cap);
    cr_expect_null(javm_yield_receiver(keys, KEYS_MAX + 1));
    /* The limit is on the set, not on the list. */
    memcpy(keys + KEYS_MAX, keys, KEYS_MAX * sizeof *keys);
    memcpy(keys + (size_t)2 * KEYS_MAX, keys, KEYS_MAX * sizeof *keys);
    cap = javm_yield_receiver(keys, 3 * (size_t)KEYS_MAX);
    expect_keys(cap, keys, KEYS_MAX);
    javm_cap_release(cap);
    free(keys);
    REQUIRE_NO_LEAKS();
}

/* ---- memory that no constructor wrote --------------------------------------------------- */

static struct javm_cap *receiver_of(const uint8_t *mem, size_t len)
{
    return forged(javm_handle_chain(JAVM_HANDLE_YIELD_RECEIVER), javm_data_new(mem, len), 0, 0);
}

Test(receiver_mem, short_or_empty)
{
    static const uint8_t zeros[PAGE];
    struct javm_cap *none = receiver_of(NULL, 0), *zero = receiver_of(zeros, sizeof zeros);
    expect_keys(none, NULL, 0);
    expect_keys(zero, NULL, 0);
    struct javm_cap *merged = javm_merge_yield_receivers(none, zero);
    expect_keys(merged, NULL, 0);
    javm_cap_release(merged);
    javm_cap_release(none);
    javm_cap_release(zero);
    REQUIRE_NO_LEAKS();
}

Test(receiver_mem, what_follows_is_ignored)
{
    uint8_t page[PAGE];
    memset(page, 0x55, sizeof page);
    memcpy(page, "\2\0\1\1\2\2\2", 7);
    struct javm_cap *cap = receiver_of(page, sizeof page);
    const struct javm_key keys[] = {KEY("\1"), KEY("\2\2")};
    expect_keys(cap, keys, 2);
    javm_cap_release(cap);
}

Test(receiver_mem, list_that_is_cut)
{
    /* A page of keys of 2 bytes: 2 + 1364 * 3 = 4094, so the last two bytes begin a key. */
    uint8_t page[PAGE];
    struct javm_key keys[1365];
    memcpy(page, "\xff\xff", 2);
    for (unsigned i = 0; i < 1365; i++) {
        const uint8_t entry[3] = {2, (uint8_t)(i >> 8), (uint8_t)i};
        memcpy(page + 2 + (size_t)i * 3, entry, i < 1364 ? 3 : 2);
        keys[i] = (struct javm_key){.len = 2, .bytes = {entry[1], entry[2]}};
    }
    struct javm_cap *cap = receiver_of(page, sizeof page);
    expect_keys(cap, keys, 1364); /* the length is there, the key is not whole */
    cr_expect_not(javm_yield_receiver_has(cap, &keys[1364]));
    javm_cap_release(cap);
    page[PAGE - 2] = 1; /* now it is whole, and ends with the page */
    cap = receiver_of(page, sizeof page);
    keys[1364] = (struct javm_key){.len = 1, .bytes = {5}};
    expect_keys(cap, keys, 1365);
    struct javm_key single = KEY("\xff");
    struct javm_cap *other = javm_yield_receiver(&single, 1);
    struct javm_cap *merged = javm_merge_yield_receivers(cap, other);
    struct javm_key *got;
    size_t count;
    cr_assert_eq(javm_yield_receiver_keys(merged, &got, &count), JAVM_OK);
    cr_expect_eq(count, 1366);
    for (size_t i = 1; i < count; i++) /* the union is sorted even when an operand is not */
        cr_expect_lt(javm_key_compare(&got[i - 1], &got[i]), 0);
    free(got);
    javm_cap_release(merged);
    javm_cap_release(other);
    javm_cap_release(cap);
    REQUIRE_NO_LEAKS();
}

Test(receiver_mem, length_at_the_very_end)
{
    /* 2 + 455 * 9 = 4097: the 455th key of 8 bytes lacks its last byte. 454 * 9 + 2 = 4088. */
    uint8_t page[PAGE];
    struct javm_key keys[454];
    memcpy(page, "\xff\xff", 2);
    for (unsigned i = 0; i < 454; i++) {
        keys[i] = (struct javm_key){.len = 8, .bytes = {(uint8_t)(i >> 8), (uint8_t)i, 1, 1, 1}};
        page[2 + (size_t)i * 9] = 8;
        memcpy(page + 3 + (size_t)i * 9, keys[i].bytes, 8);
    }
    memset(page + 4088, 8, 8);
    struct javm_cap *cap = receiver_of(page, sizeof page);
    expect_keys(cap, keys, 454);
    javm_cap_release(cap);
    /* A key of 6 bytes that ends at 4094, and as last byte a length with nothing behind it. */
    page[4088] = 6;
    page[4095] = 1;
    cap = receiver_of(page, sizeof page);
    struct javm_key *got;
    size_t count;
    cr_assert_eq(javm_yield_receiver_keys(cap, &got, &count), JAVM_OK);
    cr_expect_eq(count, 455);
    free(got);
    javm_cap_release(cap);
    REQUIRE_NO_LEAKS();
}

Test(receiver_mem, lengths_that_no_key_has)
{
    static const uint8_t bad[] = {0, 9, 255};
    const struct javm_key first = KEY("\1"), third = KEY("\3");
    for (size_t i = 0; i < sizeof bad; i++) {
        uint8_t list[64] = {3, 0, 1, 1};
        list[4] = bad[i];
        memcpy(list + 5, "\1\3\1\3\1\3", 6);
        struct javm_cap *cap = receiver_of(list, sizeof list);
        expect_keys(cap, &first, 1); /* the whole keys before that point */
        cr_expect_not(javm_yield_receiver_has(cap, &third));
        javm_cap_release(cap);
    }
}

/* ---- merging ---------------------------------------------------------------------------- */

Test(merge, unions)
{
    const struct javm_key a[] = {KEY("\1"), KEY("\3"), KEY("\5\5")},
                          b[] = {KEY("\2"), KEY("\3"), KEY("\5")};
    const struct javm_key both[] = {KEY("\1"), KEY("\2"), KEY("\3"), KEY("\5"), KEY("\5\5")};
    struct javm_cap *left = javm_yield_receiver(a, 3), *right = javm_yield_receiver(b, 3),
                    *none = javm_yield_receiver(NULL, 0);
    struct javm_cap *merged = javm_merge_yield_receivers(left, right),
                    *again = javm_merge_yield_receivers(right, left);
    expect_keys(merged, both, 5);
    const struct javm_hash one = cap_hash_of(merged), two = cap_hash_of(again);
    cr_expect(javm_hash_equal(&one, &two), "the union depends on the order");
    javm_cap_release(merged);
    javm_cap_release(again);
    merged = javm_merge_yield_receivers(left, none);
    expect_keys(merged, a, 3);
    javm_cap_release(merged);
    merged = javm_merge_yield_receivers(none, none);
    expect_keys(merged, NULL, 0);
    javm_cap_release(merged);
    merged = javm_merge_yield_receivers(left, left);
    expect_keys(merged, a, 3);
    javm_cap_release(merged);
    expect_keys(left, a, 3); /* the operands are as before */
    expect_keys(right, b, 3);
    javm_cap_release(left);
    javm_cap_release(right);
    javm_cap_release(none);
    REQUIRE_NO_LEAKS();
}

Test(merge, most_keys)
{
    struct javm_key *keys = key_range(0, KEYS_MAX + 1);
    struct javm_cap *low = javm_yield_receiver(keys, 40000),
                    *high = javm_yield_receiver(keys + 30000, KEYS_MAX - 30000),
                    *more = javm_yield_receiver(keys + 30000, KEYS_MAX + 1 - 30000);
    struct javm_cap *merged = javm_merge_yield_receivers(low, high);
    expect_keys(merged, keys, KEYS_MAX);
    cr_expect_null(javm_merge_yield_receivers(low, more), "65536 keys do not fit");
    javm_cap_release(merged);
    javm_cap_release(low);
    javm_cap_release(high);
    javm_cap_release(more);
    free(keys);
    REQUIRE_NO_LEAKS();
}
