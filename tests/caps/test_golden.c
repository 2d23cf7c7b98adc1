/* Known answers: every hash and encoding against bytes that golden.py computes from the rules.
 *
 * Would catch: another hash function or digest length; a wrong label, tag, field order, width or
 * byte order; leaves that are not padded with zero leaves; inner nodes of zeros that are hashed;
 * keys in the wrong order; an image hash over the code instead of its hash; an encoding example in
 * docs/caps.md that is no longer true. */
#include <ctype.h>

#include "javm/handle.h"
#include "javm/image.h"
#include "tests/caps/golden.h"
#include "tests/caps/support.h"

static void expect_cap(struct javm_cap *cap, const char *hex)
{
    cr_assert_not_null(cap);
    EXPECT_HASH(cap_hash_of(cap), hex);
    javm_cap_release(cap);
}

/* Four whole pages and ten bytes. */
static struct javm_cap *five_pages(void)
{
    static uint8_t bytes[5 * JAVM_PAGE_SIZE];
    for (unsigned i = 0; i < 5; i++)
        pattern_page(i, bytes + (size_t)i * JAVM_PAGE_SIZE);
    return javm_data_new(bytes, 4 * JAVM_PAGE_SIZE + 10);
}

Test(golden, pieces)
{
    const struct javm_bytes pieces[] = {{"a", 1}, {NULL, 0}, {"bc", 2}};
    EXPECT_HASH(javm_hash_pieces(NULL, 0), GOLDEN_H_EMPTY);
    EXPECT_HASH(javm_hash_pieces(pieces, 3), GOLDEN_H_ABC);
}

Test(golden, data)
{
    uint8_t page[JAVM_PAGE_SIZE];
    static uint8_t zeros[3 * JAVM_PAGE_SIZE];
    expect_cap(javm_data_new(NULL, 0), GOLDEN_DATA_NONE);
    expect_cap(javm_data_new_zero(0), GOLDEN_DATA_NONE);
    expect_cap(javm_data_new_zero(1), GOLDEN_DATA_ZERO_1);
    expect_cap(javm_data_new(zeros, 1), GOLDEN_DATA_ZERO_1);
    expect_cap(javm_data_new_zero(3), GOLDEN_DATA_ZERO_3);
    expect_cap(javm_data_new(zeros, sizeof zeros), GOLDEN_DATA_ZERO_3);
    expect_cap(javm_data_new("abc", 3), GOLDEN_DATA_ABC);
    struct javm_cap *five = five_pages();
    cr_expect_eq(javm_data_pages(five), 5);
    EXPECT_HASH(javm_data_root(five), GOLDEN_ROOT_5);
    expect_cap(five, GOLDEN_DATA_5);
    pattern_page(1, page);
    struct javm_cap *one = javm_data_new(page, sizeof page);
    EXPECT_HASH(javm_data_root(one), GOLDEN_ROOT_1);
    javm_cap_release(one);
    const struct javm_hash none = {{0}};
    struct javm_cap *empty = javm_data_new_zero(0);
    const struct javm_hash root = javm_data_root(empty);
    cr_expect(javm_hash_equal(&root, &none));
    javm_cap_release(empty);
    REQUIRE_NO_LEAKS();
}

Test(golden, sparse_data)
{
    static const struct {
        uint64_t page;
        unsigned seed;
    } writes[] = {{777777, 9}, {3, 4}, {1048575, 5}};
    struct javm_cap *data = javm_data_new_zero(UINT64_C(1) << 20);
    uint8_t page[JAVM_PAGE_SIZE];
    for (size_t i = 0; i < 3; i++) {
        pattern_page(writes[i].seed, page);
        cr_assert_eq(javm_data_write_page(data, writes[i].page, page), JAVM_OK);
    }
    expect_cap(data, GOLDEN_DATA_SPARSE);
}

Test(golden, cnode)
{
    struct javm_cap *cnode = javm_cnode_new();
    const struct javm_key a = KEY("\x02"), b = KEY("\x01\xff"), c = KEY("\x01"),
                          d = KEY("\x01\0\0\0\0\0\0\0");
    const struct javm_hash zero = {{0}};
    EXPECT_HASH(cap_hash_of(cnode), GOLDEN_CNODE_EMPTY);
    cnode_put(cnode, &a, hash_target("a"));
    cnode_put(cnode, &b, hash_target("b"));
    cnode_put(cnode, &c, javm_target_hash(&zero));
    cnode_put(cnode, &d, hash_target("a"));
    expect_cap(cnode, GOLDEN_CNODE_4);
}

Test(golden, type_and_chain)
{
    const struct javm_hash chain = hash_of("chain"), a = hash_of("a");
    expect_cap(javm_type_new(&a), GOLDEN_TYPE);
    EXPECT_HASH(javm_chain_extend(&chain, &a), GOLDEN_CHAIN_EXTENDED);
}

Test(golden, instance)
{
    struct javm_instance fields = {.image_hash_chain = hash_of("chain"),
                                   .image_hash = hash_of("a"),
                                   .root_cnode = hash_target("b"),
                                   .mem = five_pages(),
                                   .pc = 0x400002,
                                   .gas_remaining = UINT64_MAX};
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        fields.regs[i] = UINT64_C(0x0101010101010101) * (i + 1);
    expect_cap(javm_instance_new(&fields), GOLDEN_INSTANCE_IDLE);
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        fields.regs[i] = UINT64_C(0x0101010101010101) * (JAVM_NUM_SLOTS - i);
    fields.mem = javm_data_new_zero(0);
    fields.pc = 1;
    fields.gas_remaining = 2;
    fields.status = JAVM_PAUSED;
    fields.yield_key = JAVM_YK_OOG;
    expect_cap(javm_instance_new(&fields), GOLDEN_INSTANCE_PAUSED);
    REQUIRE_NO_LEAKS();
}

Test(golden, kernel_chains)
{
    EXPECT_HASH(*javm_handle_chain(JAVM_HANDLE_GAS), GOLDEN_KERNEL_GAS);
    EXPECT_HASH(*javm_handle_chain(JAVM_HANDLE_QUOTA), GOLDEN_KERNEL_QUOTA);
    EXPECT_HASH(*javm_handle_chain(JAVM_HANDLE_YIELD_SENDER), GOLDEN_KERNEL_YIELD_SENDER);
    EXPECT_HASH(*javm_handle_chain(JAVM_HANDLE_YIELD_RECEIVER), GOLDEN_KERNEL_YIELD_RECEIVER);
    EXPECT_HASH(*javm_handle_chain(JAVM_HANDLE_GAS_METER), GOLDEN_KERNEL_GAS_METER);
    EXPECT_HASH(*javm_handle_chain(JAVM_HANDLE_STORAGE_QUOTA), GOLDEN_KERNEL_STORAGE_QUOTA);
    EXPECT_HASH(*javm_handle_chain(JAVM_HANDLE_FILE), GOLDEN_KERNEL_FILE);
    EXPECT_HASH(javm_hash_kernel("gas"), GOLDEN_KERNEL_GAS);
}

Test(golden, handles)
{
    const struct javm_key key = KEY("\xce\x01\x7f");
    const struct javm_key keys[] = {KEY("\x05\0"), KEY("\xff\1\2\3\4\5\6\7"), KEY("\0"),
                                    KEY("\x05"), KEY("\0")};
    expect_cap(javm_gas_handle(&key), GOLDEN_HANDLE_GAS);
    expect_cap(javm_quota_handle(&key), GOLDEN_HANDLE_QUOTA);
    expect_cap(javm_yield_sender(&key), GOLDEN_HANDLE_SENDER);
    expect_cap(javm_yield_receiver(keys, 5), GOLDEN_HANDLE_RECEIVER);
    expect_cap(javm_yield_receiver(NULL, 0), GOLDEN_HANDLE_RECEIVER_EMPTY);
    REQUIRE_NO_LEAKS();
}

/* ---- images ----------------------------------------------------------------------------- */

static void expect_image(const struct javm_image *fields, const char *encoding, const char *hash)
{
    struct javm_cap *cap, *again;
    struct javm_error err = {.text = ""};
    uint8_t *bytes;
    size_t len;
    cr_assert_eq(javm_image_new(fields, &cap, &err), JAVM_OK, "%s", err.text);
    cr_assert_eq(javm_image_encode(cap, &bytes, &len), JAVM_OK);
    cr_expect(is_hex(bytes, len, encoding));
    cr_assert_eq(javm_image_decode(bytes, len, &again, &err), JAVM_OK, "%s", err.text);
    EXPECT_HASH(cap_hash_of(cap), hash);
    EXPECT_HASH(cap_hash_of(again), hash);
    free(bytes);
    javm_cap_release(cap);
    javm_cap_release(again);
    REQUIRE_NO_LEAKS();
}

Test(golden, empty_image)
{
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2};
    expect_image(&fields, GOLDEN_IMAGE_EMPTY, GOLDEN_IMAGE_EMPTY_HASH);
}

Test(golden, example_image)
{
    static const uint8_t code[] = {0x13, 0x05, 0xa0, 0x02, 0x13, 0, 0, 0};
    const struct javm_endpoint endpoint = {
        .index = 3,
        .entry_pc = 0x400000,
        .stack_top = 0x20002000,
        .arg_cnode_slot = KEY("\x09"),
        .arg_cnode_size = 2,
        .initial_regs = {0x1122334455667788, 0, 5},
    };
    const struct javm_mapping mappings[] = {
        {.start = 0x10000000, .size = 0x1000, .depth = 2, .path = {KEY("\x05"), KEY("\x06\x01")}},
        {.start = 0x20000000, .size = 0x2000},
    };
    struct javm_pin pinned = {.key = KEY("\x02")}, initial = {.key = KEY("\x05")};
    const struct javm_key gas = KEY("\x0a"), quota = KEY("\x0b");
    for (unsigned i = 0; i < JAVM_HASH_BYTES; i++) {
        pinned.hash.bytes[i] = (uint8_t)i;
        initial.hash.bytes[i] = (uint8_t)(0x80 + i);
    }
    const struct javm_image fields = {
        .isa = JAVM_ISA_PVM2,
        .code = code,
        .code_len = sizeof code,
        .endpoints = &endpoint,
        .endpoint_count = 1,
        .mappings = mappings,
        .mapping_count = 2,
        .pinned = &pinned,
        .pinned_count = 1,
        .initial = &initial,
        .initial_count = 1,
        .gas_slots = &gas,
        .gas_slot_count = 1,
        .quota_slots = &quota,
        .quota_slot_count = 1,
        .yield_receiver_slot = KEY("\x0c"),
    };
    expect_image(&fields, GOLDEN_IMAGE_EXAMPLE, GOLDEN_IMAGE_EXAMPLE_HASH);
}

Test(golden, pvm_image)
{
    static const uint8_t code[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}, bitmask[] = {5, 4};
    static const uint32_t jumps[] = {0, 2, 0xFFFFFFFF};
    const struct javm_endpoint endpoints[] = {{.index = 0},
                                              {.index = 63, .entry_pc = 5, .stack_top = 7}};
    const struct javm_mapping mapping = {.start = 0x10000, .size = 0x1000};
    const struct javm_key gas[] = {KEY("\x09"), KEY("\1\2"), KEY("\1")};
    const struct javm_image fields = {
        .isa = JAVM_ISA_PVM,
        .code = code,
        .code_len = sizeof code,
        .bitmask = bitmask,
        .bitmask_len = sizeof bitmask,
        .jump_table = jumps,
        .jump_count = 3,
        .endpoints = endpoints,
        .endpoint_count = 2,
        .mappings = &mapping,
        .mapping_count = 1,
        .gas_slots = gas,
        .gas_slot_count = 3,
    };
    expect_image(&fields, GOLDEN_IMAGE_PVM, GOLDEN_IMAGE_PVM_HASH);
}

/* ---- the document ----------------------------------------------------------------------- */

/* Appends the hex digits at the start of an indented line, up to two blanks or the line's end. */
static void append_row(char *hex, size_t room, const char *line)
{
    size_t len = strlen(hex);
    for (const char *c = line + 4; *c != '\n' && *c != '\0'; c++) {
        if (c[0] == ' ' && c[1] == ' ')
            break;
        if (isxdigit((unsigned char)*c) && len + 1 < room)
            hex[len++] = *c;
    }
    hex[len] = '\0';
}

/* The indented lines behind the comment that holds `marker`. */
static void read_rows(const char *marker, char *hex, size_t room)
{
    FILE *file = fopen(JAVM_SOURCE_DIR "/docs/caps.md", "r");
    char line[400];
    bool inside = false;
    hex[0] = '\0';
    cr_assert_not_null(file);
    while (fgets(line, sizeof line, file) != NULL) {
        if (strstr(line, marker) != NULL)
            inside = true;
        else if (inside && strncmp(line, "    ", 4) == 0)
            append_row(hex, room, line);
        else if (inside && hex[0] != '\0')
            break;
    }
    fclose(file);
}

Test(golden, document)
{
    char hex[4096];
    read_rows("golden example: encoding", hex, sizeof hex);
    cr_expect_str_eq(hex, GOLDEN_IMAGE_EXAMPLE);
    read_rows("golden example: hash", hex, sizeof hex);
    cr_expect_str_eq(hex, GOLDEN_IMAGE_EXAMPLE_HASH);
}
