/* Files of the cache directory that are not what they should be: damaged, cut, of another program,
 * of another version, with numbers that do not fit and a checksum that does.
 *
 * Would catch: a file that is used although a bit of it is wrong; a count or offset that is
 * believed before it is checked (the address sanitizer sees what it leads to); a leak on the way
 * out. */
#include <criterion/criterion.h>

#include "javm/version.h"
#include "tests/vm/jit_file_support.h"

TestSuite(jit_damage, .init = make_dir, .fini = remove_dir);

Test(jit_damage, every_flipped_byte_is_found)
{
    size_t len;
    make_file(1);
    uint8_t *bytes = read_path(path_of(1), &len);
    cr_assert_gt(len, HEADER + DIGEST + 300);
    for (size_t i = 0; i < len; i++) {
        bytes[i] ^= (uint8_t)(1u << i % 8);
        write_path(path_of(1), bytes, len);
        cr_assert_not(accepted(1), "byte %zu", i);
        bytes[i] ^= (uint8_t)(1u << i % 8);
    }
    write_path(path_of(1), bytes, len);
    cr_assert(accepted(1));
}

Test(jit_damage, every_length_is_checked)
{
    size_t len;
    make_file(1);
    uint8_t *bytes = read_path(path_of(1), &len);
    for (size_t i = 0; i < len; i++) {
        write_path(path_of(1), bytes, i);
        cr_assert_not(accepted(1), "%zu bytes", i);
    }
    bytes[len] = 0;
    write_path(path_of(1), bytes, len + 1);
    cr_assert_not(accepted(1));
    repair(bytes, len + 1);
    write_path(path_of(1), bytes, len + 1);
    cr_assert_not(accepted(1));
    const uint64_t claimed = len + 1;
    memcpy(bytes + 88, &claimed, sizeof claimed);
    repair(bytes, len + 1);
    write_path(path_of(1), bytes, len + 1);
    cr_assert_not(accepted(1), "something behind the last region");
}

/* The same with a checksum that is right: nothing is believed for its sake. */
Test(jit_damage, every_length_is_checked_with_a_right_checksum)
{
    static uint8_t part[1 << 16];
    size_t len;
    make_file(1);
    const uint8_t *bytes = read_path(path_of(1), &len);
    for (size_t i = HEADER + DIGEST; i < len; i++) {
        memcpy(part, bytes, i - DIGEST);
        const uint64_t claimed = i;
        memcpy(part + 88, &claimed, sizeof claimed);
        repair(part, i);
        write_path(path_of(1), part, i);
        cr_assert_not(accepted(1), "%zu bytes", i);
    }
}

Test(jit_damage, every_header_byte_counts)
{
    size_t len;
    make_file(1);
    uint8_t *bytes = read_path(path_of(1), &len);
    cr_assert_str_eq((const char *)bytes + 16, JAVM_VERSION);
    for (size_t i = 0; i < HEADER; i++) {
        bytes[i] ^= (uint8_t)(1u << i % 8);
        repair(bytes, len);
        write_path(path_of(1), bytes, len);
        cr_assert_not(accepted(1), "byte %zu", i);
        bytes[i] ^= (uint8_t)(1u << i % 8);
    }
}

Test(jit_damage, every_number_is_checked)
{
    static const uint32_t values[] = {0,          1,          2,          7,          64,
                                      99,         120,        1024,       1025,       0x7FFFFFFF,
                                      0x80000000, 0xFFFFFFC0, 0xFFFFFFFE, 0xFFFFFFFF, 0x10000000};
    size_t len;
    unsigned used = 0, refused = 0;
    make_file(1);
    uint8_t *bytes = read_path(path_of(1), &len);
    for (size_t i = HEADER; i + DIGEST < len; i += 4) {
        uint32_t old;
        memcpy(&old, bytes + i, 4);
        for (unsigned v = 0; v < sizeof values / sizeof *values + 4; v++) {
            const uint32_t near[] = {old + 1, old - 1, old + 64, old - 64};
            const uint32_t value = v < 4 ? near[v] : values[v - 4];
            if (value == old)
                continue;
            memcpy(bytes + i, &value, 4);
            repair(bytes, len);
            write_path(path_of(1), bytes, len);
            if (accepted(1)) /* and what it says holds, see there */
                used++;
            else
                refused++;
        }
        memcpy(bytes + i, &old, 4);
    }
    cr_assert(used > 100 && refused > 100, "%u %u", used, refused);
    REQUIRE_NO_LEAKS();
}

/* The numbers of the first region, one by one: what is wrong with each must be enough. */
Test(jit_damage, wrong_numbers_of_a_region)
{
    static const struct {
        uint32_t at, value;
        const char *what;
    } wrong[] = {
        {0, 0, "no code"},
        {0, 0xFFFFFFFF, "code that is not there"},
        {4, 0xFFFF, "stubs behind the code"},
        {4, 128, "stubs in the slots"},
        {8, 136, "slots that are not aligned"},
        {8, 0xFFFFFFC0, "slots behind the code"},
        {8, 64, "slots in the stubs"},
        {12, 3, "too many slots"},
        {12, 0x10000001, "slots that overflow"},
        {16, 120, "no guest code"},
        {16, 101, "a block below it"},
        {20, 1026, "guest code that is not there"},
        {20, 116, "a block above it"},
        {24, 0, "no blocks"},
        {24, 0xFFFFFFFF, "blocks that are not there"},
        {28, 0x20000000, "sites that overflow"},
        {32, 5, "no block but entries"},
        {36, 200, "blocks that descend"},
        {40, 98, "a block before the region"},
        {40, 101, "a block at an odd place"},
        {40, 120, "a block behind the region"},
        {68, 192, "a block behind the code"},
        {76, 2, "sites that descend"},
        {92, 192, "a site behind the code"},
    };
    size_t len;
    struct javm_jit *jit = jit_with(0);
    struct javm_native *native = open_one(jit, 1);
    add(native, &plan_a);
    javm_native_close(native);
    javm_jit_destroy(jit);
    uint8_t *bytes = read_path(path_of(1), &len);
    cr_assert_eq(plan_bytes(&plan_a), 128 + 32);
    for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        uint32_t old;
        memcpy(&old, bytes + HEADER + wrong[i].at, 4);
        memcpy(bytes + HEADER + wrong[i].at, &wrong[i].value, 4);
        repair(bytes, len);
        write_path(path_of(1), bytes, len);
        cr_assert_not(accepted(1), "%s", wrong[i].what);
        memcpy(bytes + HEADER + wrong[i].at, &old, 4);
    }
    for (uint32_t i = 0; i < 3; i++) { /* so that the sites go on where the blocks end */
        const uint32_t place = 70 + i;
        memcpy(bytes + HEADER + 76 + (size_t)i * 8, &place, sizeof place);
    }
    const uint32_t moved[2][2] = {{0, 8}, {5, 3}}; /* block_count, site_count */
    for (unsigned i = 0; i < 2; i++) {
        memcpy(bytes + HEADER + 24, moved[i], sizeof moved[i]);
        repair(bytes, len);
        write_path(path_of(1), bytes, len);
        cr_assert_eq(accepted(1), i == 1, "all blocks are sites");
    }
}

Test(jit_damage, a_file_of_another_program)
{
    char from[256];
    make_file(1);
    strcpy(from, path_of(1));
    cr_assert_eq(rename(from, path_of(2)), 0);
    cr_assert_not(accepted(2));
    cr_assert_eq(rename(path_of(2), from), 0);
    guest[5] ^= 1; /* the same name, another code */
    cr_assert_not(accepted(1));
    guest[5] ^= 1;
    cr_assert(accepted(1));
}

Test(jit_damage, a_file_for_another_processor)
{
    make_file(1);
    const struct javm_jit_options options = {.cache_dir = cache_dir, .plain = true};
    struct javm_jit *jit;
    cr_assert_eq(javm_jit_create(&options, &jit, NULL), JAVM_OK);
    struct javm_native *native = open_one(jit, 1);
    cr_assert_eq(native->region_count == 0, jit_features() != 0);
    cr_assert_eq(stats_of(jit).files_refused, jit_features() != 0);
    javm_native_close(native);
    javm_jit_destroy(jit);
}
