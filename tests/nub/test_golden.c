/* The examples of docs/nub.md: read, they are the caps that are meant; written, they are the bytes.
 *
 * Would catch: another offset, alignment, byte order or tag than rkyv 0.8 has; relative pointers
 * counted from elsewhere; a root that does not end the buffer; slots that become other keys; an
 * example in the document that is no longer true. */
#include <criterion/criterion.h>
#include <string.h>

#include "javm/image.h"
#include "javm/nub.h"
#include "tests/nub/examples.h"
#include "tests/require.h"

static struct javm_nub_wire read_example(const char *name, struct example *example)
{
    struct javm_nub_wire wire;
    struct javm_error err = {.text = ""};
    example_read(name, example);
    cr_assert_eq(javm_nub_decode_cap(example->bytes, example->len, &wire, &err), JAVM_OK, "%s: %s",
                 name, err.text);
    return wire;
}

static void written_alike(const struct javm_cap *cap, const struct example *example)
{
    struct javm_error err = {.text = ""};
    uint8_t *bytes;
    size_t len;
    cr_assert_eq(javm_nub_encode_cap(cap, &bytes, &len, &err), JAVM_OK, "%s", err.text);
    cr_assert_eq(len, example->len);
    cr_expect_arr_eq(bytes, example->bytes, len);
    free(bytes);
}

/* 32 bytes that count up from `first`. */
static struct javm_hash counting(uint8_t first)
{
    struct javm_hash hash;
    for (unsigned i = 0; i < sizeof hash.bytes; i++)
        hash.bytes[i] = (uint8_t)(first + i);
    return hash;
}

static bool counts(const struct javm_hash *hash, uint8_t first)
{
    const struct javm_hash wanted = counting(first);
    return javm_hash_equal(hash, &wanted);
}

Test(nub_golden, type)
{
    struct example example;
    struct javm_nub_wire wire = read_example("type", &example);
    cr_assert_eq(javm_cap_kind(wire.cap), JAVM_TYPE);
    cr_expect(counts(javm_type_chain(wire.cap), 0));
    written_alike(wire.cap, &example);
    javm_nub_wire_clear(&wire);
    REQUIRE_NO_LEAKS();
}

Test(nub_golden, cnode)
{
    static const struct javm_key keys[] = {{1, {1}}, {2, {2, 1}}, {1, {5}}}; /* in key order */
    static const uint8_t firsts[] = {0, 0x40, 0x20};
    struct example example;
    struct javm_nub_wire wire = read_example("cnode", &example);
    cr_assert_eq(javm_cap_kind(wire.cap), JAVM_CNODE);
    cr_assert_eq(javm_cnode_count(wire.cap), 3);
    for (uint32_t i = 0; i < 3; i++) {
        struct javm_key key;
        const struct javm_target *target = javm_cnode_at(wire.cap, i, &key);
        cr_expect_eq(javm_key_compare(&key, &keys[i]), 0);
        cr_expect(counts(&target->hash, firsts[i]));
    }
    written_alike(wire.cap, &example);
    javm_nub_wire_clear(&wire);
    REQUIRE_NO_LEAKS();
}

Test(nub_golden, instance)
{
    struct example example;
    struct javm_nub_wire wire = read_example("instance", &example);
    cr_assert_eq(javm_cap_kind(wire.cap), JAVM_INSTANCE);
    const struct javm_instance *instance = javm_instance_of(wire.cap);
    cr_expect(counts(&instance->image_hash_chain, 0));
    cr_expect(counts(&instance->image_hash, 0x20));
    cr_expect(counts(&instance->root_cnode.hash, 0x40));
    cr_expect_eq(javm_data_pages(instance->mem), 2);
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        cr_expect_eq(instance->regs[i], i < JAVM_NUM_REGS ? i + 1 : 0);
    cr_expect_eq(instance->pc, 0x400000);
    cr_expect_eq(instance->gas_remaining, 1000);
    cr_assert_eq(wire.overlay_count, 1);
    cr_expect_eq(wire.overlays[0].start, 0x10000000);
    cr_assert_eq(wire.overlays[0].len, 5);
    cr_expect_arr_eq(wire.overlays[0].bytes, "hello", 5);
    javm_nub_wire_clear(&wire);
    REQUIRE_NO_LEAKS();
}

Test(nub_golden, image)
{
    struct example example;
    struct javm_nub_wire wire = read_example("image", &example);
    cr_assert_eq(javm_cap_kind(wire.cap), JAVM_IMAGE);
    const struct javm_image *image = javm_image_of(wire.cap);
    cr_expect_eq(image->isa, JAVM_ISA_PVM2);
    cr_expect_eq(image->code_len, 8);
    cr_assert_eq(image->endpoint_count, 1);
    const struct javm_endpoint *endpoint = &image->endpoints[0];
    cr_expect_eq(endpoint->entry_pc, 0x400000);
    cr_expect_eq(endpoint->stack_top, 0x20002000);
    cr_expect_eq(javm_key_pack(&endpoint->arg_cnode_slot), 9);
    cr_expect_eq(endpoint->arg_cnode_size, 2);
    cr_expect_eq(endpoint->initial_regs[12], 12);
    cr_assert_eq(image->mapping_count, 2);
    cr_expect_eq(image->mappings[0].start, 0x10000000);
    cr_expect_eq(image->mappings[0].size, 0x1000);
    cr_assert_eq(image->mappings[0].depth, 2);
    cr_expect_eq(javm_key_pack(&image->mappings[0].path[0]), 5);
    cr_expect_eq(javm_key_pack(&image->mappings[0].path[1]), 0x106);
    cr_expect_eq(image->mappings[1].depth, 0);
    cr_assert_eq(image->pinned_count + image->initial_count, 2);
    cr_expect_eq(javm_key_pack(&image->pinned[0].key), 2);
    cr_expect(counts(&image->initial[0].hash, 0x80));
    cr_expect_eq(javm_key_pack(&image->yield_receiver_slot), 12);
    written_alike(wire.cap, &example);
    javm_nub_wire_clear(&wire);
    REQUIRE_NO_LEAKS();
}

Test(nub_golden, pvm_image)
{
    struct example example;
    struct javm_nub_wire wire = read_example("pvm", &example);
    const struct javm_image *image = javm_image_of(wire.cap);
    cr_expect_eq(image->isa, JAVM_ISA_PVM);
    cr_expect_eq(image->code_len, 11);
    cr_expect_eq(image->bitmask_len, 2);
    cr_assert_eq(image->jump_count, 2);
    cr_expect_eq(image->jump_table[1], 2);
    cr_expect_eq(image->yield_receiver_slot.len, 0);
    written_alike(wire.cap, &example);
    javm_nub_wire_clear(&wire);
    REQUIRE_NO_LEAKS();
}

Test(nub_golden, data)
{
    struct example example;
    struct javm_nub_wire wire = read_example("data", &example);
    cr_assert_eq(javm_cap_kind(wire.cap), JAVM_DATA);
    cr_assert_eq(javm_data_pages(wire.cap), 1);
    cr_expect_arr_eq(javm_data_page(wire.cap, 0), "abc\0", 4);
    javm_nub_wire_clear(&wire);
    REQUIRE_NO_LEAKS();
}

Test(nub_golden, result_and_hash)
{
    struct example example;
    struct javm_nub_result result;
    example_read("result", &example);
    cr_assert_eq(javm_nub_decode_result(example.bytes, example.len, &result, NULL), JAVM_OK);
    cr_expect_eq(result.exit_reason, JAVM_NUB_EXIT_PAGE_FAULT);
    cr_expect_eq(result.exit_arg, 0x10003000);
    cr_expect_eq(result.return_value, 0);
    cr_expect_eq(result.gas_remaining, 77);
    cr_expect_arr_eq(result.scratchpad_head, "hi\n\0", 4);
    example_read("hash", &example);
    const struct javm_hash wanted = counting(0);
    cr_assert_eq(example.len, sizeof wanted.bytes);
    cr_expect_arr_eq(example.bytes, wanted.bytes, sizeof wanted.bytes);
}

/* Frozen: they are on the wire. */
Test(nub_golden, numbers)
{
    cr_expect_eq(JAVM_NUB_E_OF(JAVM_E_NOMEM), JAVM_NUB_E_NOMEM);
    cr_expect_eq(JAVM_NUB_E_OF(JAVM_E_UNSUPPORTED), JAVM_NUB_E_UNSUPPORTED);
    cr_expect_str_eq(javm_nub_error_text(JAVM_NUB_E_MISSING),
                     "a cap that is needed is not published");
    cr_expect_str_eq(javm_nub_error_text(9999), "unknown error");
}
