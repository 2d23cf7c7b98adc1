/* What all kinds share, and the two small ones, Type and Instance.
 *
 * Would catch: a field of an instance that is not hashed; a hash that is remembered across a
 * change; a clone that shares what it must not; an instance of impossible fields; a hash that a cap
 * names and that is not reported, which would let the directory publish a dangling reference;
 * references that are lost or kept too long. */
#include "javm/image.h"
#include "tests/caps/support.h"

#define PAGE ((size_t)JAVM_PAGE_SIZE)

static struct javm_instance idle_fields(void)
{
    struct javm_instance fields = {.image_hash_chain = hash_of("chain"),
                                   .image_hash = hash_of("image"),
                                   .root_cnode = hash_target("root"),
                                   .mem = javm_data_new("abc", 3),
                                   .pc = 0x400000,
                                   .gas_remaining = 100};
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        fields.regs[i] = i + 1;
    REQUIRE(fields.mem != NULL);
    return fields;
}

static struct javm_cap *idle_instance(void)
{
    const struct javm_instance fields = idle_fields();
    struct javm_cap *cap = javm_instance_new(&fields);
    REQUIRE(cap != NULL);
    return cap;
}

/* ---- Type ------------------------------------------------------------------------------- */

Test(type, value)
{
    const struct javm_hash a = hash_of("a"), b = hash_of("b");
    struct javm_cap *one = javm_type_new(&a), *two = javm_type_new(&b);
    struct javm_cap *clone = javm_cap_clone(one);
    cr_expect_eq(javm_cap_kind(one), JAVM_TYPE);
    cr_expect(javm_hash_equal(javm_type_chain(one), &a));
    cr_expect(javm_hash_equal(javm_type_chain(clone), &a));
    const struct javm_hash first = cap_hash_of(one), second = cap_hash_of(two),
                           third = cap_hash_of(clone);
    cr_expect_not(javm_hash_equal(&first, &second));
    cr_expect(javm_hash_equal(&first, &third));
    cr_expect_not(javm_cap_has_ref(one));
    javm_cap_release(one);
    javm_cap_release(two);
    javm_cap_release(clone);
    javm_cap_release(NULL);
    REQUIRE_NO_LEAKS();
}

/* ---- Instance --------------------------------------------------------------------------- */

Test(instance, fields)
{
    struct javm_instance fields = idle_fields();
    fields.status = JAVM_PAUSED;
    fields.yield_key = KEY("\xce\x10");
    struct javm_cap *cap = javm_instance_new(&fields);
    cr_assert_not_null(cap);
    cr_expect_eq(javm_cap_kind(cap), JAVM_INSTANCE);
    const struct javm_instance *got = javm_instance_of(cap);
    cr_expect(javm_hash_equal(&got->image_hash_chain, &fields.image_hash_chain));
    cr_expect(javm_hash_equal(&got->image_hash, &fields.image_hash));
    cr_expect(got->root_cnode.kind == JAVM_TARGET_HASH &&
              javm_hash_equal(&got->root_cnode.hash, &fields.root_cnode.hash));
    cr_expect_eq(got->mem, fields.mem);
    cr_expect_arr_eq(got->regs, fields.regs, sizeof fields.regs);
    cr_expect(got->pc == 0x400000 && got->gas_remaining == 100 && got->status == JAVM_PAUSED);
    cr_expect_eq(javm_key_compare(&got->yield_key, &fields.yield_key), 0);
    javm_cap_release(cap); /* and with it the memory */
    REQUIRE_NO_LEAKS();
}

static void break_field(struct javm_instance *fields, unsigned which, struct javm_cap *type)
{
    static const struct javm_key key = {.len = 1, .bytes = {1}};
    switch (which) {
    case 0:
        fields->mem = NULL;
        break;
    case 1:
        fields->mem = type;
        break;
    case 2:
        fields->root_cnode.kind = JAVM_TARGET_EMPTY;
        break;
    case 3:
        fields->root_cnode.kind = (enum javm_target_kind)3;
        break;
    case 4:
        fields->status = (enum javm_instance_status)3;
        break;
    case 5:
        fields->status = JAVM_PAUSED; /* without a key */
        break;
    case 6:
        fields->yield_key = key; /* without being paused */
        break;
    case 7:
        fields->status = JAVM_FAULTED;
        fields->yield_key = key;
        break;
    default:
        fields->status = JAVM_PAUSED;
        fields->yield_key.len = 9;
    }
}

Test(instance, impossible_fields)
{
    const struct javm_hash hash = hash_of("x");
    struct javm_cap *type = javm_type_new(&hash);
    for (unsigned which = 0; which < 9; which++) {
        const struct javm_instance good = idle_fields();
        struct javm_instance bad = good;
        break_field(&bad, which, type);
        cr_expect_null(javm_instance_new(&bad), "case %u", which);
        struct javm_cap *cap = javm_instance_new(&good); /* what was refused stays the caller's */
        cr_assert_not_null(cap);
        javm_cap_release(cap);
    }
    javm_cap_release(type);
    REQUIRE_NO_LEAKS();
}

static void change_field(struct javm_instance *fields, unsigned which)
{
    switch (which) {
    case 0:
        fields->image_hash_chain.bytes[31] ^= 1;
        break;
    case 1:
        fields->image_hash.bytes[0] ^= 1;
        break;
    case 2:
        fields->root_cnode.hash.bytes[0] ^= 1;
        break;
    case 3:
        javm_cap_release(fields->mem);
        fields->mem = javm_data_new("abd", 3);
        break;
    case 4:
        fields->pc ^= UINT64_C(1) << 63;
        break;
    case 5:
        fields->gas_remaining ^= UINT64_C(1) << 63;
        break;
    case 6:
        fields->status = JAVM_FAULTED;
        break;
    case 7:
        fields->status = JAVM_PAUSED;
        fields->yield_key = KEY("\1");
        break;
    case 8:
        fields->status = JAVM_PAUSED;
        fields->yield_key = KEY("\1\0");
        break;
    default:
        fields->regs[which - 9] ^= UINT64_C(1) << 63;
    }
}

#define CHANGES (9 + JAVM_NUM_SLOTS)

/* Every field is part of the value: each change gives another hash, and no two the same. */
Test(instance, every_field_is_hashed)
{
    struct javm_hash hashes[CHANGES + 1];
    struct javm_cap *cap = idle_instance();
    hashes[CHANGES] = cap_hash_of(cap);
    for (unsigned which = 0; which < CHANGES; which++) {
        struct javm_cap *changed = javm_cap_clone(cap);
        cr_assert_not_null(changed);
        struct javm_hash hash = cap_hash_of(changed);
        cr_expect(javm_hash_equal(&hash, &hashes[CHANGES]), "a clone has another value");
        change_field(javm_instance_mut(changed), which);
        hashes[which] = cap_hash_of(changed);
        javm_cap_release(changed);
        hash = cap_hash_of(cap);
        cr_expect(javm_hash_equal(&hash, &hashes[CHANGES]), "change %u shows in the original",
                  which);
    }
    for (unsigned a = 0; a <= CHANGES; a++)
        for (unsigned b = 0; b < a; b++)
            cr_expect_not(javm_hash_equal(&hashes[a], &hashes[b]), "changes %u and %u", a, b);
    javm_cap_release(cap);
    REQUIRE_NO_LEAKS();
}

/* The memory is shared until one side replaces it. */
Test(instance, memory_of_a_clone)
{
    struct javm_cap *cap = idle_instance(), *clone = javm_cap_clone(cap);
    uint8_t page[PAGE];
    cr_expect_eq(javm_instance_of(cap)->mem, javm_instance_of(clone)->mem);
    struct javm_instance *fields = javm_instance_mut(clone);
    struct javm_cap *own = javm_cap_clone(fields->mem);
    cr_assert_not_null(own);
    javm_cap_release(fields->mem);
    fields->mem = own;
    pattern_page(3, page);
    cr_expect_eq(javm_data_write_page(own, 0, page), JAVM_OK);
    const uint8_t *old = javm_data_page(javm_instance_of(cap)->mem, 0);
    cr_expect(old != NULL && memcmp(old, "abc", 4) == 0);
    const struct javm_hash a = cap_hash_of(cap), b = cap_hash_of(clone);
    cr_expect_not(javm_hash_equal(&a, &b));
    javm_cap_release(cap);
    javm_cap_release(clone);
    REQUIRE_NO_LEAKS();
}

Test(instance, a_ref_as_root)
{
    struct javm_ref_cell cell = {.count = 2, .directory = 1, .id = 1};
    struct javm_instance fields = idle_fields();
    struct javm_hash hash;
    fields.root_cnode = (struct javm_target){JAVM_TARGET_REF, {.ref = &cell}};
    struct javm_cap *cap = javm_instance_new(&fields);
    cr_assert_not_null(cap);
    cr_expect_eq(cell.count, 2); /* taken over, not added */
    cr_expect(javm_cap_has_ref(cap));
    cr_expect_eq(javm_cap_hash(cap, &hash), JAVM_E_LIVE);
    struct javm_cap *clone = javm_cap_clone(cap);
    cr_expect_eq(cell.count, 3);
    javm_cap_release(clone);
    cr_expect_eq(cell.count, 2);
    struct javm_target taken = javm_instance_mut(cap)->root_cnode; /* moved out: nothing is left */
    javm_instance_mut(cap)->root_cnode.kind = JAVM_TARGET_EMPTY;
    cr_expect_not(javm_cap_has_ref(cap));
    cr_expect_eq(javm_cap_hash(cap, &hash), JAVM_E_STATE);
    javm_target_drop(&taken);
    cr_expect_eq(cell.count, 1);
    javm_instance_mut(cap)->root_cnode = hash_target("root");
    cr_expect_eq(javm_cap_hash(cap, &hash), JAVM_OK);
    javm_cap_release(cap);
    cr_expect_eq(cell.count, 1);
    REQUIRE_NO_LEAKS();
}

/* ---- the hash of a kind ----------------------------------------------------------------- */

/* Two kinds with the same bytes behind the tag are two caps. */
Test(hash, kinds_differ)
{
    struct javm_cap *cnode = javm_cnode_new();
    const struct javm_hash zero = {{0}};
    struct javm_cap *type = javm_type_new(&zero), *data = javm_data_new_zero(0);
    const struct javm_hash hashes[] = {cap_hash_of(cnode), cap_hash_of(type), cap_hash_of(data)};
    for (unsigned a = 0; a < 3; a++)
        for (unsigned b = 0; b < a; b++)
            cr_expect_not(javm_hash_equal(&hashes[a], &hashes[b]));
    const struct javm_bytes body[] = {{"javm.cap.v1\4", 12}, {zero.bytes, 32}};
    const struct javm_hash expected = javm_hash_pieces(body, 2);
    cr_expect(javm_hash_equal(&hashes[1], &expected));
    javm_cap_release(cnode);
    javm_cap_release(type);
    javm_cap_release(data);
}

/* A chain depends on every step and on their order. */
Test(hash, chains)
{
    const struct javm_hash a = hash_of("a"), b = hash_of("b");
    struct javm_hash ab = javm_chain_extend(&a, &b), ba = javm_chain_extend(&b, &a);
    uint8_t joined[64];
    memcpy(joined, a.bytes, 32);
    memcpy(joined + 32, b.bytes, 32);
    const struct javm_bytes piece = {joined, sizeof joined};
    const struct javm_hash expected = javm_hash_pieces(&piece, 1);
    cr_expect(javm_hash_equal(&ab, &expected));
    cr_expect_not(javm_hash_equal(&ab, &ba));
    const struct javm_hash abb = javm_chain_extend(&ab, &b), abba = javm_chain_extend(&abb, &a);
    cr_expect_not(javm_hash_equal(&abb, &ab));
    cr_expect_not(javm_hash_equal(&abba, &abb));
}

Test(hash, pieces_are_joined)
{
    struct random random = {4};
    uint8_t bytes[700];
    random_bytes(&random, bytes, sizeof bytes);
    for (unsigned round = 0; round < 200; round++) {
        const size_t len = (size_t)random_below(&random, sizeof bytes + 1);
        const size_t first = (size_t)random_below(&random, len + 1);
        const size_t second = first + (size_t)random_below(&random, len - first + 1);
        const struct javm_bytes whole = {bytes, len};
        const struct javm_bytes parts[] = {
            {bytes, first}, {bytes + first, second - first}, {bytes + second, len - second}};
        const struct javm_hash a = javm_hash_pieces(&whole, 1), b = javm_hash_pieces(parts, 3);
        cr_assert(javm_hash_equal(&a, &b));
    }
}

/* ---- what a cap names ------------------------------------------------------------------- */

struct visited {
    struct javm_hash hashes[8];
    unsigned count, stop_at;
};

static bool visit(void *ctx, const struct javm_hash *hash)
{
    struct visited *visited = ctx;
    REQUIRE(visited->count < 8);
    visited->hashes[visited->count++] = *hash;
    return visited->count != visited->stop_at;
}

/* `cap` names exactly these, in this order; and the walk ends as soon as it is told to. */
static void expect_names(const struct javm_cap *cap, const char *const *texts, unsigned count)
{
    struct visited visited = {.count = 0};
    cr_expect(javm_cap_each_hash(cap, visit, &visited));
    cr_assert_eq(visited.count, count);
    for (unsigned i = 0; i < count; i++) {
        const struct javm_hash expected = hash_of(texts[i]);
        cr_expect(javm_hash_equal(&visited.hashes[i], &expected), "name %u", i);
        visited = (struct visited){.stop_at = i + 1};
        cr_expect_not(javm_cap_each_hash(cap, visit, &visited));
        cr_expect_eq(visited.count, i + 1);
        visited = (struct visited){.count = 0};
        javm_cap_each_hash(cap, visit, &visited);
    }
}

Test(each_hash, cnode)
{
    struct javm_cap *cnode = javm_cnode_new();
    struct javm_ref_cell cell = {.count = 2, .directory = 1, .id = 1};
    const struct javm_key keys[] = {KEY("\2"), KEY("\1"), KEY("\3"), KEY("\4")};
    const struct javm_hash zero = {{0}};
    expect_names(cnode, NULL, 0);
    cnode_put(cnode, &keys[0], hash_target("b"));
    cnode_put(cnode, &keys[1], hash_target("a"));
    cnode_put(cnode, &keys[2], (struct javm_target){JAVM_TARGET_REF, {.ref = &cell}});
    cnode_put(cnode, &keys[3], javm_target_hash(&zero));
    static const char *const names[] = {"a", "b"};
    expect_names(cnode, names, 2);
    javm_cap_release(cnode);
}

Test(each_hash, image)
{
    const struct javm_pin pinned[] = {{KEY("\1"), hash_of("p1")}, {KEY("\2"), hash_of("p2")}};
    const struct javm_pin initial[] = {{KEY("\3"), {{0}}}, {KEY("\4"), hash_of("i4")}};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .pinned = pinned,
                                      .pinned_count = 2,
                                      .initial = initial,
                                      .initial_count = 2};
    struct javm_cap *cap;
    cr_assert_eq(javm_image_new(&fields, &cap, NULL), JAVM_OK);
    static const char *const names[] = {"p1", "p2", "i4"};
    expect_names(cap, names, 3);
    javm_cap_release(cap);
}

Test(each_hash, others)
{
    struct javm_cap *cap = idle_instance();
    static const char *const names[] = {"image", "root"};
    expect_names(cap, names, 2);
    const struct javm_hash zero = {{0}}, chain = hash_of("chain");
    javm_instance_mut(cap)->image_hash = zero; /* as in a handle */
    javm_instance_mut(cap)->root_cnode = javm_target_hash(&zero);
    expect_names(cap, NULL, 0);
    javm_cap_release(cap);
    cap = javm_type_new(&chain);
    expect_names(cap, NULL, 0);
    javm_cap_release(cap);
    cap = javm_data_new("abc", 3);
    expect_names(cap, NULL, 0);
    javm_cap_release(cap);
}

/* ---- statistics ------------------------------------------------------------------------- */

Test(bytes, grow_with_content)
{
    struct javm_cap *cnode = javm_cnode_new();
    const uint64_t none = javm_cap_bytes(cnode);
    for (uint64_t i = 0; i < 100; i++) {
        const struct javm_key key = javm_key_from_u64(i);
        cnode_put(cnode, &key, hash_target("x"));
    }
    cr_expect_geq(javm_cap_bytes(cnode), none + 100 * (sizeof(struct javm_target) + 9));
    javm_cap_release(cnode);
    static const uint8_t code[1000];
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2, .code = code, .code_len = sizeof code};
    struct javm_cap *image, *instance = idle_instance();
    cr_assert_eq(javm_image_new(&fields, &image, NULL), JAVM_OK);
    cr_expect_gt(javm_cap_bytes(image), sizeof code);
    cr_expect_gt(javm_cap_bytes(instance), sizeof(struct javm_instance) + PAGE);
    javm_cap_release(image);
    javm_cap_release(instance);
}
