/* Several mappings in one image. Catches: a change below a shared CNode that loses another one, a
 * post instance whose hash depends on whether its parts are published, an image that makes the
 * driver follow a path through the caller's slot, two memories for one slot, and a gas meter that
 * is silently ignored. */
#include <criterion/criterion.h>

#include "tests/vm/support.h"

#define PAGE JAVM_PAGE_SIZE
#define GAS  1000000

static struct world w;
static struct javm_call_result result;
static struct javm_error err;

static void open_world(void)
{
    world_open(&w, NULL);
}

static void close_world(void)
{
    javm_call_result_clear(&result);
    world_close(&w);
}

#define WORLD .init = open_world, .fini = close_world

/* φ7 address, φ8 value, φ9 address, φ10 value: two stores. */
static struct javm_hash image_of(struct javm_image fields)
{
    const uint32_t code[] = {SD(11, 0, 10), SD(13, 0, 12), REPLY};
    const struct javm_endpoint endpoint = {.index = 0, .entry_pc = 0};
    fields.isa = JAVM_ISA_PVM2;
    fields.code = (const uint8_t *)code;
    fields.code_len = sizeof code;
    fields.endpoints = &endpoint;
    fields.endpoint_count = 1;
    return publish_image(w.dir, &fields);
}

static struct javm_mapping mapping(unsigned at, unsigned depth, uint64_t a, uint64_t b)
{
    return (struct javm_mapping){.start = RW_BASE + at * PAGE,
                                 .size = PAGE,
                                 .depth = (uint8_t)depth,
                                 .path = {javm_key_from_u64(a), javm_key_from_u64(b)}};
}

static enum javm_status store_two(const struct javm_hash *instance, unsigned first, unsigned second,
                                  bool unpublished)
{
    const struct javm_call call = {.instance = *instance,
                                   .args = {RW_BASE + first * PAGE, 1, RW_BASE + second * PAGE, 2},
                                   .gas = GAS,
                                   .want_post = true,
                                   .post_unpublished = unpublished,
                                   .want_slot0 = true};
    javm_call_result_clear(&result);
    return javm_vm_invoke(w.vm, w.dir, &call, &result, &err);
}

static struct javm_cap *slot(const struct javm_hash *node, uint64_t number)
{
    const struct javm_key key = javm_key_from_u64(number);
    struct javm_cap *cnode = javm_directory_get(w.dir, node);
    cr_assert_not_null(cnode);
    const struct javm_target *target = javm_cnode_get(cnode, &key);
    struct javm_cap *cap = target == NULL ? NULL : javm_directory_get(w.dir, &target->hash);
    javm_cap_release(cnode);
    return cap;
}

static uint64_t word(const struct javm_hash *node, uint64_t number)
{
    struct javm_cap *data = slot(node, number);
    const uint64_t value = data_u64(data, 0);
    javm_cap_release(data);
    return value;
}

Test(mappings, siblings_are_both_kept, WORLD)
{
    const struct javm_mapping mappings[] = {mapping(0, 2, 7, 2), mapping(1, 1, 3, 0),
                                            mapping(2, 2, 7, 1), mapping(3, 2, 8, 2)};
    const struct javm_hash image =
        image_of((struct javm_image){.mappings = mappings, .mapping_count = 4});
    const struct slot below[] = {{1, publish(w.dir, numbered_data(71, 1))},
                                 {2, publish(w.dir, numbered_data(72, 1))}};
    const struct javm_hash node = publish_cnode(w.dir, below, 2);
    const struct slot slots[] = {{3, publish(w.dir, numbered_data(30, 1))}, {7, node}, {8, node}};
    const struct javm_hash instance = publish_instance(w.dir, &image, slots, 3);
    cr_assert_eq(store_two(&instance, 0, 2, false), JAVM_OK);
    struct javm_hash whole, named;
    cr_assert_eq(javm_cap_hash(result.post_instance, &whole), JAVM_OK);
    const struct javm_hash *root = &javm_instance_of(result.post_instance)->root_cnode.hash;
    const struct javm_key seven = javm_key_from_u64(7), eight = javm_key_from_u64(8);
    struct javm_cap *cnode = javm_directory_get(w.dir, root);
    const struct javm_hash changed = javm_cnode_get(cnode, &seven)->hash;
    cr_expect_eq(word(&changed, 2), 1);
    cr_expect_eq(word(&changed, 1), 2);
    cr_expect_eq(word(root, 3), 30);
    cr_expect(javm_hash_equal(&javm_cnode_get(cnode, &eight)->hash, &node));
    javm_cap_release(cnode);

    /* Only named: the same hash, and nothing new in the directory. */
    struct javm_directory_stats before, after;
    const struct slot other[] = {{3, publish(w.dir, numbered_data(31, 1))}, {7, node}, {8, node}};
    const struct javm_hash twin = publish_instance(w.dir, &image, other, 3);
    javm_directory_stats(w.dir, &before);
    cr_assert_eq(store_two(&twin, 3, 1, true), JAVM_OK);
    cr_assert_eq(javm_cap_hash(result.post_instance, &named), JAVM_OK);
    javm_directory_stats(w.dir, &after);
    cr_expect_eq(after.blobs, before.blobs);
    cr_assert_eq(store_two(&twin, 3, 1, false), JAVM_OK);
    cr_assert_eq(javm_cap_hash(result.post_instance, &whole), JAVM_OK);
    cr_expect(javm_hash_equal(&named, &whole));
    javm_directory_stats(w.dir, &after);
    cr_expect_gt(after.blobs, before.blobs);
}

Test(mappings, none_through_slot_0, WORLD)
{
    const struct javm_mapping inside = mapping(0, 2, 0, 5);
    const struct javm_hash image =
        image_of((struct javm_image){.mappings = &inside, .mapping_count = 1});
    const struct slot below = {5, publish(w.dir, numbered_data(1, 1))};
    const struct slot slots = {0, publish_cnode(w.dir, &below, 1)};
    const struct javm_hash instance = publish_instance(w.dir, &image, &slots, 1);
    cr_assert_eq(store_two(&instance, 0, 0, false), JAVM_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "mappings[0]: its source lies in a CNode in slot[0], which is not "
                               "in this version");
}

Test(mappings, a_writable_slot_once, WORLD)
{
    const struct javm_mapping twice[] = {mapping(0, 1, 3, 0), mapping(1, 1, 4, 0),
                                         mapping(2, 1, 3, 0)};
    struct javm_image fields = {.mappings = twice, .mapping_count = 3};
    const struct javm_hash image = image_of(fields);
    const struct javm_hash instance = instantiate(w.dir, &image);
    cr_assert_eq(store_two(&instance, 0, 1, false), JAVM_E_UNSUPPORTED);
    cr_expect_str_eq(err.text, "mappings[0] and mappings[2] have the same writable slot as source");

    const struct javm_pin pin = {javm_key_from_u64(3), publish(w.dir, numbered_data(9, 1))};
    fields.pinned = &pin;
    fields.pinned_count = 1;
    const struct javm_hash reading = image_of(fields);
    const struct javm_hash reader = instantiate(w.dir, &reading);
    cr_expect_eq(store_two(&reader, 1, 1, false), JAVM_OK, "%s", err.text);
}

Test(mappings, slot_0_pinned_cannot_be_given, WORLD)
{
    const struct javm_pin pin = {javm_key_from_u64(0), publish(w.dir, numbered_data(9, 1))};
    const struct javm_hash image = image_of((struct javm_image){.pinned = &pin, .pinned_count = 1});
    const struct javm_hash instance = instantiate(w.dir, &image);
    struct javm_cap *given = numbered_data(1, 1);
    const struct javm_call call = {.instance = instance, .gas = GAS, .scratchpad = given};
    cr_expect_eq(javm_vm_invoke(w.vm, w.dir, &call, &result, &err), JAVM_E_KIND);
    cr_expect_str_eq(err.text, "slot[0] is pinned by the image: it cannot be given");
    javm_cap_release(given);
}

/* Empty gas slots are skipped; what is no Gas handle faults the instance before it runs. */
Test(mappings, gas_slots_hold_handles, WORLD)
{
    const struct javm_key meters[] = {javm_key_from_u64(4), javm_key_from_u64(6)};
    const struct javm_mapping data = mapping(0, 1, 3, 0);
    const struct javm_hash image = image_of((struct javm_image){
        .mappings = &data, .mapping_count = 1, .gas_slots = meters, .gas_slot_count = 2});
    const struct javm_hash empty = instantiate(w.dir, &image);
    cr_expect_eq(store_two(&empty, 0, 0, false), JAVM_OK, "%s", err.text);
    cr_expect_eq(result.end, JAVM_END_HALT);
    const struct slot slots = {6, publish(w.dir, numbered_data(1, 1))};
    const struct javm_hash filled = publish_instance(w.dir, &image, &slots, 1);
    cr_expect_eq(store_two(&filled, 0, 0, false), JAVM_OK, "%s", err.text);
    cr_expect_eq(result.end, JAVM_END_FAULTED);
    cr_expect_eq(result.fault, JAVM_FAULT_BAD_OPERAND);
}
