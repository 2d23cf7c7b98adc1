/* Each service of the in-memory host, over a byte array in the place of the kernel.
 *
 * Would catch: a register that is read as another; a part of a value that is cut at the wrong end;
 * a bad buffer that is not a panic, or is one although nothing of it is needed; a service that is
 * offered to refine and should not be; a write beyond the quota or the limits; what a fault should
 * take back and does not, and the other way round; calls that are not written down, without their
 * bytes or without an end; a length that makes the host allocate before anything warrants it. */
#include <criterion/criterion.h>
#include <search.h>
#include <string.h>

#include "fake_v2.h"
#include "javm/v2_world.h"
#include "tests/require.h"
#include "tests/vm/refusing_malloc.h"

static struct javm_v2 v2;
static struct javm_v2_world *world;
static struct javm_v2_call call;

static struct javm_v2_item storage[] = {{{"k", 1}, {"value", 5}}, {{"key", 3}, {"v", 1}}};
static struct javm_v2_item others[] = {{{"theirs", 6}, {"seven", 5}}};
static struct javm_v2_item preimages[] = {{{NULL, 0}, {"preimage", 8}}};
static uint8_t hash[32];
static const struct javm_bytes entropy = {"entropy.", 8};
static const struct javm_bytes inputs[] = {{"first", 5}, {"", 0}, {"3", 1}};
static const struct javm_v2_fetch fetch[] = {{1, false, &entropy, 1}, {15, true, inputs, 3}};
static struct javm_v2_service services[2];
static struct javm_v2_state state;

static void set_up(void)
{
    memset(hash, 0x77, sizeof hash);
    preimages[0].key = (struct javm_bytes){hash, sizeof hash};
    services[0] = (struct javm_v2_service){.id = 7};
    services[1] = (struct javm_v2_service){.id = 9,
                                           .created = 0x01020304,
                                           .last_used = 5,
                                           .parent = 6,
                                           .balance = 1000,
                                           .min_accumulate_gas = 11,
                                           .min_transfer_gas = 12,
                                           .quota_items = 4,
                                           .quota_bytes = 200};
    memset(services[1].code_hash.bytes, 0xCC, 32);
    cr_assert_null(javm_v2_map_make(others, 1, &services[0].storage));
    cr_assert_null(javm_v2_map_make(storage, 2, &services[1].storage));
    cr_assert_null(javm_v2_map_make(preimages, 1, &services[1].preimages));
    cr_assert_null(javm_v2_map_make(NULL, 0, &services[0].preimages));
    state = (struct javm_v2_state){.context = JAVM_V2_ACCUMULATE,
                                   .services = services,
                                   .service_count = 2,
                                   .own = 1,
                                   .fetch = fetch,
                                   .fetch_count = 2,
                                   .quota_service = JAVM_V2_NONE,
                                   .cores = 2,
                                   .queue = 3};
    const struct javm_v2_limits limits = {.written_bytes = 4000, .recorded_bytes = 5000};
    world = javm_v2_world_create(&limits);
    cr_assert_not_null(world);
    javm_v2_world_begin(world, &state);
    for (unsigned i = 0; i < sizeof v2.memory; i++)
        v2.memory[i] = (uint8_t)(i * 7);
}

static void tear_down(void)
{
    javm_v2_world_destroy(world);
    REQUIRE_NO_LEAKS();
}

TestSuite(v2_services, .init = set_up, .fini = tear_down);

/* φ7 to φ12; φ8 is as it was unless the service says something else. */
static enum javm_v2_answer serve(uint32_t id, uint64_t r7, uint64_t r8, uint64_t r9, uint64_t r10,
                                 uint64_t r11, uint64_t r12)
{
    const struct javm_v2_host *host = javm_v2_world_host(world);
    call = (struct javm_v2_call){.id = id,
                                 .regs = {[7] = r7, r8, r9, r10, r11, r12},
                                 .gas = 500,
                                 .r7 = JAVM_V2_WHAT,
                                 .r8 = r8};
    return host->serve(host->context, &v2, &call);
}
#define SERVE(id, ...) serve_padded(id, (uint64_t[6]){__VA_ARGS__})
static enum javm_v2_answer serve_padded(uint32_t id, const uint64_t r[6])
{
    return serve(id, r[0], r[1], r[2], r[3], r[4], r[5]);
}

#define ANSWERS(value, id, ...)                                                                \
    do {                                                                                       \
        cr_assert_eq(SERVE(id, __VA_ARGS__), JAVM_V2_CONTINUE);                                \
        cr_assert_eq(call.r7, (uint64_t)(value), "%llx, line %d", (unsigned long long)call.r7, \
                     __LINE__);                                                                \
    } while (0)
#define PANICS(id, ...) cr_assert_eq(SERVE(id, __VA_ARGS__), JAVM_V2_PANIC)

/* Puts bytes into readable memory at READ_ONLY + at. */
static uint64_t put(unsigned at, const void *bytes, size_t len)
{
    memcpy(v2.memory + READ_ONLY + at, bytes, len);
    return READ_ONLY + at;
}

static bool holds(uint64_t address, const char *bytes)
{
    return memcmp(v2.memory + address, bytes, strlen(bytes)) == 0;
}

static void end(enum javm_v2_end how, uint64_t r7, uint64_t r8)
{
    const struct javm_v2_result result = {.end = how, .value = r7, .regs = {[7] = r7, r8}};
    javm_v2_world_end(world, &v2, &result);
}

static uint64_t write_item(const char *key, const char *value)
{
    const uint64_t k = put(0x100, key, strlen(key)), v = put(0x200, value, strlen(value));
    cr_assert_eq(SERVE(5, k, strlen(key), v, strlen(value)), JAVM_V2_CONTINUE);
    return call.r7;
}

static uint64_t length_of(const char *key)
{
    const uint64_t k = put(0x100, key, strlen(key));
    cr_assert_eq(SERVE(4, UINT64_MAX, k, strlen(key), 0, 0, 0), JAVM_V2_CONTINUE);
    return call.r7;
}

Test(v2_services, gas_and_what_is_not_offered)
{
    ANSWERS(500, 1, 1, 2);
    cr_assert_eq(call.r8, 2);
    for (unsigned id = 7; id <= 14; id++)
        ANSWERS(JAVM_V2_WHAT, id, 0);
    state.context = JAVM_V2_REFINE;
    for (uint32_t id = 1; id <= 28; id++) {
        ANSWERS(id == 1 || id == 18 ? 500 : id == 2 ? JAVM_V2_NONE : JAVM_V2_WHAT, id, 0);
        cr_assert_eq(call.gas, 500);
    }
    size_t count;
    uint64_t left_out;
    javm_v2_world_records(world, &count, &left_out);
    cr_assert(count == 0 && left_out == 0);
}

Test(v2_services, fetch_finds_kinds_and_parts)
{
    ANSWERS(8, 2, WRITABLE, 0, 100, 1, 99);
    cr_assert(holds(WRITABLE, "entropy."));
    memset(v2.memory + WRITABLE, '-', 16);
    ANSWERS(8, 2, WRITABLE, 2, 3, 1);
    cr_assert(holds(WRITABLE, "tro-"));
    ANSWERS(8, 2, WRITABLE, UINT64_MAX, UINT64_MAX, 1);
    ANSWERS(8, 2, WRITABLE, 5, UINT64_MAX, 1);
    cr_assert(holds(WRITABLE, "py.-"));
    ANSWERS(5, 2, WRITABLE, 0, 100, 15, 0);
    ANSWERS(0, 2, 0, 0, 100, 15, 1);
    ANSWERS(1, 2, WRITABLE, 0, 100, 15, 2);
    ANSWERS(JAVM_V2_NONE, 2, 0, 0, 100, 15, 3);
    ANSWERS(JAVM_V2_NONE, 2, 0, 0, 100, 15, UINT64_MAX);
    ANSWERS(JAVM_V2_NONE, 2, 0, 0, 100, 0);
    ANSWERS(7, 2, WRITABLE, 0, 100, 14);
    cr_assert(holds(WRITABLE, "\3first3-"));
    PANICS(2, READ_ONLY, 0, 1, 1);
    PANICS(2, BEHIND - 7, 0, 8, 1);
    ANSWERS(8, 2, BEHIND - 7, 0, 7, 1);
    ANSWERS(8, 2, 0, 8, 100, 1); /* nothing is written: no buffer is needed */
    ANSWERS(8, 2, 0, 0, 0, 1);
}

/* The count is a JAM natural, also a longer one. */
Test(v2_services, fetch_counts_many_items)
{
    static struct javm_bytes many[20000];
    const struct javm_v2_fetch all = {15, true, many, sizeof many / sizeof *many};
    const struct {
        size_t count;
        const char *head;
    } cases[] = {{0, "\0"},        {127, "\177"},       {128, "\200\200"},
                 {300, "\201\54"}, {16383, "\277\377"}, {16384, "\300\0\100"}};
    for (unsigned i = 0; i < 6; i++) {
        struct javm_v2_fetch some = all;
        const size_t len = i < 2 ? 1 : i < 5 ? 2 : 3;
        some.count = cases[i].count;
        state.fetch = &some;
        state.fetch_count = 1;
        javm_v2_world_begin(world, &state);
        ANSWERS(len, 2, WRITABLE, 0, 100, 14);
        cr_assert(memcmp(v2.memory + WRITABLE, cases[i].head, len) == 0, "%zu", cases[i].count);
    }
}

Test(v2_services, preimages)
{
    const uint64_t known = put(0, hash, 32);
    ANSWERS(8, 3, 9, known, WRITABLE, 3, 100);
    cr_assert(holds(WRITABLE, "image"));
    ANSWERS(8, 3, UINT64_MAX, known, WRITABLE, 0, 3);
    ANSWERS(JAVM_V2_NONE, 3, 7, known, WRITABLE, 0, 100);
    ANSWERS(JAVM_V2_NONE, 3, 8, known, WRITABLE, 0, 100);
    ANSWERS(JAVM_V2_NONE, 3, 9, WRITABLE, WRITABLE, 0, 100);
    PANICS(3, 8, BEHIND - 31, WRITABLE, 0, 100);
    PANICS(3, 9, known, READ_ONLY, 0, 1);
    PANICS(3, 9, known, UINT64_MAX - 3, 0, 100);
}

Test(v2_services, storage_is_read)
{
    const uint64_t key = put(0, "key", 3);
    ANSWERS(5, 4, UINT64_MAX, key, 1, WRITABLE, 1, 3);
    cr_assert(holds(WRITABLE, "alu"));
    ANSWERS(1, 4, 9, key, 3, WRITABLE, 0, 3);
    ANSWERS(JAVM_V2_NONE, 4, 9, key, 2, WRITABLE, 0, 3);
    ANSWERS(JAVM_V2_NONE, 4, 9, 0, 0, WRITABLE, 0, 3);
    const uint64_t theirs = put(0, "theirs", 6);
    ANSWERS(5, 4, 7, theirs, 6, WRITABLE, 0, 3);
    ANSWERS(JAVM_V2_NONE, 4, 9, theirs, 6, WRITABLE, 0, 3);
    ANSWERS(JAVM_V2_NONE, 4, UINT64_C(0x100000007), theirs, 6, WRITABLE, 0, 3);
    PANICS(4, 8, 0, 1, WRITABLE, 0, 3);
    PANICS(4, 8, READ_ONLY, UINT64_MAX, WRITABLE, 0, 3);
    PANICS(4, 7, theirs, 6, READ_ONLY, 0, 3);
}

Test(v2_services, storage_is_written)
{
    cr_assert_eq(write_item("k", "new"), 5);
    cr_assert_eq(write_item("k", "newer"), 3);
    cr_assert_eq(length_of("k"), 5);
    cr_assert_eq(write_item("k", ""), 5);
    cr_assert_eq(length_of("k"), JAVM_V2_NONE);
    cr_assert_eq(write_item("k", ""), JAVM_V2_NONE);
    cr_assert_eq(write_item("", "empty key"), JAVM_V2_NONE);
    cr_assert_eq(length_of(""), 9);
    PANICS(5, 0, 1, READ_ONLY, 1);
    PANICS(5, READ_ONLY, 1, 0, 1);
    PANICS(5, READ_ONLY, 1, READ_ONLY, UINT64_MAX);
    PANICS(5, READ_ONLY, UINT64_MAX, READ_ONLY, 1);
    ANSWERS(JAVM_V2_NONE, 5, READ_ONLY, 9, 0, 0); /* nothing to read */
}

Test(v2_services, storage_is_full_at_the_quota)
{
    /* k: 40, key: 38; the quota is 4 items and 200 bytes */
    cr_assert_eq(write_item("3", "......................................."), JAVM_V2_NONE); /* 74 */
    cr_assert_eq(write_item("4", ".............."), JAVM_V2_FULL); /* 201 */
    cr_assert_eq(length_of("4"), JAVM_V2_NONE);
    cr_assert_eq(write_item("4", "............."), JAVM_V2_NONE);
    cr_assert_eq(write_item("k", "......"), JAVM_V2_FULL);
    cr_assert_eq(write_item("k", "...."), 5);
    cr_assert_eq(write_item("k", "....."), 4);
    cr_assert_eq(write_item("3", "."), 39);
    cr_assert_eq(write_item("5", "."), JAVM_V2_FULL); /* there is room, but it is the fifth */
    uint64_t items, footprint;
    javm_v2_world_usage(world, &items, &footprint);
    cr_assert(items == 4 && footprint == 162, "%d %d", (int)items, (int)footprint);
}

/* What a quota allows and the host cannot hold. A length alone makes it allocate nothing. */
Test(v2_services, storage_is_full_at_the_limit)
{
    services[1].quota_items = services[1].quota_bytes = UINT64_MAX;
    javm_v2_world_begin(world, &state);
    ANSWERS(JAVM_V2_NONE, 5, READ_ONLY, 1, READ_ONLY, 3900);
    ANSWERS(JAVM_V2_FULL, 5, READ_ONLY, 2, READ_ONLY, 30);
    ANSWERS(JAVM_V2_NONE, 5, READ_ONLY, 2, READ_ONLY, 29);
    ANSWERS(JAVM_V2_FULL, 5, READ_ONLY, 1, READ_ONLY, 3901);
    ANSWERS(3900, 5, READ_ONLY, 1, READ_ONLY, 3900);
    v2.reads = 0;
    allocated = 0;
    ANSWERS(JAVM_V2_FULL, 5, READ_ONLY, 1, READ_ONLY, 0x3000);
    ANSWERS(JAVM_V2_FULL, 5, READ_ONLY, 0x3000, READ_ONLY, 1);
    ANSWERS(JAVM_V2_NONE, 5, READ_ONLY, 0x3000, 0, 0);
    ANSWERS(JAVM_V2_NONE, 4, 9, READ_ONLY, 0x3000, 0, 0, 0);
    cr_assert_eq(v2.reads, 1, "of the first one's key");
    cr_assert_eq(allocated, 0);
}

static void collect(void *context, const struct javm_bytes *key, const struct javm_bytes *value)
{
    char *text = context;
    sprintf(text + strlen(text), "%.*s=%.*s;", (int)key->len, (const char *)key->data,
            (int)value->len, (const char *)value->data);
}

static const char *left(void)
{
    static char text[1000];
    text[0] = '\0';
    javm_v2_world_walk(world, collect, text);
    return text;
}

Test(v2_services, a_fault_takes_back_what_is_behind_the_checkpoint)
{
    const uint64_t first = put(0x400, "11111111111111111111111111111111", 32);
    const uint64_t second = put(0x500, "22222222222222222222222222222222", 32);
    write_item("a", "1");
    ANSWERS(JAVM_V2_OK, 26, first);
    ANSWERS(JAVM_V2_OK, 20, first, 1, 2);
    ANSWERS(500, 18, 0);
    write_item("a", "2");
    write_item("k", "");
    ANSWERS(JAVM_V2_OK, 26, second);
    ANSWERS(JAVM_V2_OK, 20, second, 3, 4);
    cr_assert_str_eq(left(), "a=2;key=v;");
    end(JAVM_V2_END_PAGE_FAULT, 0, 0);
    cr_assert_str_eq(left(), "a=1;k=value;key=v;");
    cr_assert_eq(javm_v2_world_output(world)->bytes[0], '1');
    size_t count;
    uint64_t left_out;
    const struct javm_v2_record *records = javm_v2_world_records(world, &count, &left_out);
    cr_assert(count == 2 && !records[0].undone && records[1].undone);

    javm_v2_world_begin(world, &state);
    cr_assert_null(javm_v2_world_output(world));
    write_item("a", "1");
    ANSWERS(JAVM_V2_OK, 26, first);
    end(JAVM_V2_END_OUT_OF_GAS, 0, 0);
    cr_assert_str_eq(left(), "k=value;key=v;");
    cr_assert_null(javm_v2_world_output(world));

    javm_v2_world_begin(world, &state);
    write_item("a", "1");
    end(JAVM_V2_END_HALT, 0, 0);
    cr_assert_str_eq(left(), "a=1;k=value;key=v;");
}

Test(v2_services, output_of_a_halt)
{
    const uint64_t first = put(0x400, "11111111111111111111111111111111", 32);
    const uint64_t second = put(0x500, "22222222222222222222222222222222", 32);
    PANICS(26, BEHIND - 31);
    ANSWERS(JAVM_V2_OK, 26, first);
    end(JAVM_V2_END_HALT, second, 31);
    cr_assert_eq(javm_v2_world_output(world)->bytes[31], '1');
    end(JAVM_V2_END_HALT, 0, 32);
    cr_assert_eq(javm_v2_world_output(world)->bytes[31], '1');
    end(JAVM_V2_END_HALT, second, 32);
    cr_assert_eq(javm_v2_world_output(world)->bytes[31], '2');
    state.context = JAVM_V2_REFINE;
    javm_v2_world_begin(world, &state);
    end(JAVM_V2_END_HALT, second, 32);
    cr_assert_null(javm_v2_world_output(world));
}

Test(v2_services, info)
{
    static const uint8_t tail[] = {0xE8, 3, 0, 0, 0, 0, 0, 0, 0,  0, 0, 0, 0, 0, 0, 0,
                                   11,   0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0,
                                   79,   0, 0, 0, 0, 0, 0, 0, 2,  0, 0, 0, 0, 0, 0, 0,
                                   0,    0, 0, 0, 4, 3, 2, 1, 5,  0, 0, 0, 6, 0, 0, 0};
    write_item("k", "value!");
    ANSWERS(96, 6, 9, WRITABLE, 0, 1000);
    for (unsigned i = 0; i < 96; i++)
        cr_assert_eq(v2.memory[WRITABLE + i], i < 32 ? 0xCC : tail[i - 32], "byte %u", i);
    ANSWERS(96, 6, 7, WRITABLE, 72, 4); /* another one's items */
    cr_assert_eq(v2.memory[WRITABLE], 1);
    ANSWERS(JAVM_V2_NONE, 6, 8, 0, 0, 1000);
    PANICS(6, 9, READ_ONLY, 0, 1000);
}

Test(v2_services, quota)
{
    ANSWERS(JAVM_V2_HUH, 28, 9, 100, 100);
    state.quota_service = 9;
    ANSWERS(JAVM_V2_WHO, 28, 8, 100, 100);
    ANSWERS(JAVM_V2_OK, 28, UINT64_MAX, 2, 1000);
    cr_assert_eq(write_item("a", "1"), JAVM_V2_FULL);
    cr_assert_eq(write_item("k", "longer than before"), 5);
    ANSWERS(JAVM_V2_OK, 28, 9, 3, 0);
    cr_assert_eq(write_item("k", "longer than before."), JAVM_V2_FULL);
    cr_assert_eq(write_item("k", "short"), 18); /* still too much, and less than it was */
    cr_assert_eq(write_item("key", ""), 1);
    ANSWERS(JAVM_V2_OK, 28, 7, 1, 2);
    size_t count;
    uint64_t left_out;
    const struct javm_v2_record *records = javm_v2_world_records(world, &count, &left_out);
    cr_assert_eq(count, 3);
    cr_assert(records[2].arg_count == 3 && records[2].args[0] == 7 && records[2].args[2] == 2);
    end(JAVM_V2_END_PANIC, 0, 0);
    cr_assert_eq(write_item("a", "1"), JAVM_V2_NONE, "the quota is as it was");
}

Test(v2_services, calls_are_written_down)
{
    static const struct {
        uint32_t id;
        unsigned args;
        uint64_t r[6];
        size_t lens[2]; /* of what they point at */
        unsigned at[2]; /* the registers that do, from φ7 */
    } cases[] = {
        {15, 6, {1, READ_ONLY, 3, 4, WRITABLE, 2}, {8, 28}, {1, 4}},
        {16, 3, {1, READ_ONLY, 3}, {96, 0}, {1, 0}},
        {17, 2, {READ_ONLY, 2}, {672, 0}, {0, 0}},
        {19, 6, {READ_ONLY, 2, 3, 4, 5, 6}, {32, 0}, {0, 0}},
        {20, 3, {READ_ONLY, 2, 3}, {32, 0}, {0, 0}},
        {21, 4, {1, 2, 30, READ_ONLY}, {128, 0}, {3, 0}},
        {22, 2, {1, READ_ONLY}, {32, 0}, {1, 0}},
        {23, 2, {READ_ONLY, 2}, {32, 0}, {0, 0}},
        {24, 2, {READ_ONLY, 2}, {32, 0}, {0, 0}},
        {25, 2, {READ_ONLY, 2}, {32, 0}, {0, 0}},
        {27, 3, {1, READ_ONLY + 5, 77}, {77, 0}, {1, 0}},
    };
    enum { CASES = sizeof cases / sizeof *cases };
    size_t count;
    uint64_t left_out;
    for (unsigned i = 0; i < CASES; i++) {
        const uint64_t *r = cases[i].r;
        uint64_t bad[6];
        for (unsigned k = 0; k < 2 && cases[i].lens[k] != 0; k++) {
            memcpy(bad, r, sizeof bad);
            bad[cases[i].at[k]] = BEHIND - cases[i].lens[k] + 1;
            cr_assert_eq(serve_padded(cases[i].id, bad), JAVM_V2_PANIC, "%u", cases[i].id);
        }
        javm_v2_world_records(world, &count, &left_out);
        cr_assert_eq(count, i);
        cr_assert_eq(serve_padded(cases[i].id, r), JAVM_V2_CONTINUE);
        cr_assert_eq(call.r7, JAVM_V2_OK);
        cr_assert_eq(call.gas, cases[i].id == 21 ? 470 : 500);
        cr_assert_eq(call.r8, cases[i].id == 23 ? 0 : r[1]);
        const struct javm_v2_record *record = javm_v2_world_records(world, &count, &left_out) + i;
        cr_assert(count == i + 1 && left_out == 0);
        cr_assert(record->id == cases[i].id && record->arg_count == cases[i].args);
        cr_assert(memcmp(record->args, r, record->arg_count * sizeof *r) == 0);
        cr_assert_eq(record->data_count, cases[i].lens[1] != 0 ? 2 : 1);
        for (unsigned k = 0; k < record->data_count; k++) {
            cr_assert_eq(record->data[k].len, cases[i].lens[k]);
            cr_assert(
                memcmp(record->data[k].data, v2.memory + r[cases[i].at[k]], cases[i].lens[k]) == 0);
        }
    }
    PANICS(21, 1, 2, 501, READ_ONLY);
    ANSWERS(JAVM_V2_OK, 21, 1, 2, 500, READ_ONLY);
    cr_assert_eq(call.gas, 0);
    PANICS(17, READ_ONLY, UINT64_MAX / 336 + 2); /* a product that wraps */
    PANICS(15, 1, READ_ONLY, 3, 4, READ_ONLY, UINT64_MAX);
    ANSWERS(JAVM_V2_OK, 17, 0, 0); /* no keys: nothing to read */
}

static const uint8_t *segment(size_t index, size_t expected_count)
{
    size_t count;
    const uint8_t *segments = javm_v2_world_exports(world, &count);
    cr_assert_eq(count, expected_count, "%zu", count);
    return segments + index * JAVM_V2_SEGMENT;
}

static bool is_zero(const uint8_t *at, size_t len)
{
    while (len > 0 && at[len - 1] == 0)
        len--;
    return len == 0;
}

Test(v2_services, exports)
{
    state.context = JAVM_V2_REFINE;
    state.exports = 3;
    ANSWERS(0, 8, READ_ONLY + 5, 3);
    ANSWERS(1, 8, READ_ONLY, JAVM_V2_SEGMENT); /* what came before it was longer: no rest of it */
    ANSWERS(500, 18, 0);
    ANSWERS(2, 8, 1, 0); /* no byte is read */
    cr_assert(memcmp(segment(0, 3), v2.memory + READ_ONLY + 5, 3) == 0);
    cr_assert(is_zero(segment(0, 3) + 3, JAVM_V2_SEGMENT - 3));
    cr_assert(memcmp(segment(1, 3), v2.memory + READ_ONLY, JAVM_V2_SEGMENT) == 0);
    cr_assert(is_zero(segment(2, 3), JAVM_V2_SEGMENT));
    ANSWERS(JAVM_V2_FULL, 8, READ_ONLY, 1);
    PANICS(8, 1, 1); /* is found before it is full */
    end(JAVM_V2_END_PANIC, 0, 0);
    cr_assert(memcmp(segment(1, 2), v2.memory + READ_ONLY, JAVM_V2_SEGMENT) == 0);

    /* 4104 bytes of a longer buffer, whose end nobody could read; then one byte too few */
    javm_v2_world_begin(world, &state);
    cr_assert_not_null(segment(0, 0));
    ANSWERS(0, 8, BEHIND - JAVM_V2_SEGMENT, UINT64_MAX);
    PANICS(8, BEHIND - JAVM_V2_SEGMENT + 1, JAVM_V2_SEGMENT);
    PANICS(8, UINT64_MAX, 2);
    segment(0, 1);
    /* what is used again has nothing of its last use */
    javm_v2_world_begin(world, &state);
    ANSWERS(0, 8, READ_ONLY, 1);
    cr_assert(is_zero(segment(0, 1) + 1, JAVM_V2_SEGMENT - 1));
    end(JAVM_V2_END_HALT, 0, 0);
    segment(0, 1);
    state.context = JAVM_V2_ACCUMULATE;
    ANSWERS(JAVM_V2_WHAT, 8, READ_ONLY, 1);
}

Test(v2_services, as_many_exports_as_there_may_be)
{
    state.context = JAVM_V2_REFINE;
    state.exports = JAVM_V2_EXPORTS_MAX;
    for (unsigned i = 0; i < JAVM_V2_EXPORTS_MAX; i++) {
        memcpy(v2.memory + READ_ONLY, &i, sizeof i);
        ANSWERS(i, 8, READ_ONLY, sizeof i);
    }
    ANSWERS(JAVM_V2_FULL, 8, READ_ONLY, 1);
    for (unsigned i = 0; i < JAVM_V2_EXPORTS_MAX; i++)
        cr_assert(memcmp(segment(i, JAVM_V2_EXPORTS_MAX), &i, sizeof i) == 0);
}

Test(v2_services, calls_that_are_too_many_are_counted)
{
    size_t count;
    uint64_t left_out;
    /* 128 + 100 each, of 5000; then a short one, which would fit */
    for (unsigned i = 0; i < 30; i++)
        ANSWERS(JAVM_V2_OK, 27, 1, READ_ONLY, 100);
    ANSWERS(JAVM_V2_OK, 27, 1, READ_ONLY, 0);
    javm_v2_world_records(world, &count, &left_out);
    cr_assert(count == 21 && left_out == 10, "%zu", count);
    allocated = 0;
    ANSWERS(JAVM_V2_OK, 27, 1, READ_ONLY, 0x3000);
    cr_assert_eq(allocated, 0);
    javm_v2_world_begin(world, &state);
    javm_v2_world_records(world, &count, &left_out);
    cr_assert(count == 0 && left_out == 0);
}

static enum javm_v2_answer own_info(void *context, struct javm_v2 *on, struct javm_v2_call *with)
{
    (void)javm_v2_world_serve(context, on, with);
    with->r8 = 1234;
    return JAVM_V2_CONTINUE;
}

Test(v2_services, can_be_replaced_one_by_one)
{
    javm_v2_world_replace(world, 6, own_info, world);
    javm_v2_world_replace(world, 14, own_info, world);
    ANSWERS(96, 6, 9, WRITABLE, 0, 1000);
    cr_assert_eq(call.r8, 1234);
    ANSWERS(JAVM_V2_WHAT, 14, 0);
    cr_assert_eq(call.r8, 1234);
    ANSWERS(500, 1, 0);
    cr_assert_eq(call.r8, 0);
    javm_v2_world_replace(world, 6, NULL, NULL);
    ANSWERS(96, 6, 9, WRITABLE, 0, 1000);
    cr_assert_eq(call.r8, WRITABLE);
    cr_assert_str_eq(javm_v2_service_name(6), "info");
    cr_assert_str_eq(javm_v2_service_name(14), "reserved");
}

void *__real_tsearch(const void *key, void **root, __compar_fn_t compare);
void *__wrap_tsearch(const void *key, void **root, __compar_fn_t compare);

void *__wrap_tsearch(const void *key, void **root, __compar_fn_t compare)
{
    return must_fail(0) ? NULL : __real_tsearch(key, root, compare);
}

Test(v2_services, exports_without_memory)
{
    unsigned failed = 0;
    state.context = JAVM_V2_REFINE;
    state.exports = 100;
    for (uint64_t i = 0; i < 20; i++) {
        countdown = 1;
        refused = false;
        const enum javm_v2_answer answer = SERVE(8, READ_ONLY + i, 2);
        countdown = 0;
        if (refused) {
            cr_assert_eq(answer, JAVM_V2_FAILED);
            segment(0, i);
            failed++;
            ANSWERS(i, 8, READ_ONLY + i, 2);
        }
    }
    cr_assert_geq(failed, 3);
    for (unsigned i = 0; i < 20; i++)
        cr_assert_eq(segment(i, 20)[0], v2.memory[READ_ONLY + i]);
}

/* Every allocation of each service fails once: it says so, and nothing has changed. */
Test(v2_services, without_memory_nothing_happens)
{
    static const struct {
        uint32_t id;
        uint64_t r[6];
    } cases[] = {{2, {WRITABLE, 0, 100, 14}},
                 {4, {9, READ_ONLY, 9, 0, 0, 0}},
                 {5, {READ_ONLY, 9, READ_ONLY, 5}},
                 {28, {9, 0, 0}},
                 {27, {1, READ_ONLY, 50}}};
    state.quota_service = 9;
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        unsigned failed = 0;
        for (uint64_t n = 1;; n++) {
            javm_v2_world_destroy(world);
            world = javm_v2_world_create(NULL);
            javm_v2_world_begin(world, &state);
            countdown = n;
            refused = false;
            const enum javm_v2_answer answer = serve_padded(cases[i].id, cases[i].r);
            countdown = 0;
            if (!refused)
                break;
            failed++;
            cr_assert_eq(answer, JAVM_V2_FAILED);
            cr_assert_str_eq(left(), "k=value;key=v;");
            size_t count;
            uint64_t left_out;
            javm_v2_world_records(world, &count, &left_out);
            cr_assert(count == 0 && left_out == 0);
        }
        cr_assert_geq(failed, 1);
    }
}
