/* Key recovery on secp256k1 against tests/data/secp256k1.txt, which tests/ref/secp256k1_vectors.py
 * makes with Python's integers: the native twin on every line, the prebuilt image on some. Finds:
 * wrong point or scalar arithmetic where a random input seldom goes (equal and opposite points
 * inside the sum, factors at the edges of their split, x above n), a missing or excessive check of
 * r, s, recid or the curve, output that an invalid signature leaves behind, an image that is not
 * what the source says. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "guest/native/guest_vm.h"

#define VECTORS JAVM_SOURCE "/tests/data/secp256k1.txt"
#define INPUT   97
#define KEY     64
#define SCRATCH 16384
#define BUDGET  UINT64_C(1000000000)

struct vector {
    char name[64];
    uint8_t input[INPUT];
    uint8_t key[KEY]; /* zeros for an invalid one */
    int valid;
};

static void from_hex(uint8_t *bytes, const char *hex, size_t count)
{
    cr_assert_eq(strlen(hex), 2 * count, "%s", hex);
    for (size_t i = 0; i < count; i++) {
        unsigned byte;
        cr_assert_eq(sscanf(hex + 2 * i, "%2x", &byte), 1);
        bytes[i] = (uint8_t)byte;
    }
}

/* Calls `check` with each vector; returns how many there were. */
static size_t each_vector(void (*check)(const struct vector *vector, size_t line))
{
    FILE *file = fopen(VECTORS, "r");
    cr_assert_not_null(file, VECTORS);
    char hash[65], r[65], s[65], key[129];
    struct vector vector;
    unsigned recid;
    size_t line = 0;
    while (fscanf(file, "%63s %64s %64s %64s %u %128s", vector.name, hash, r, s, &recid, key) ==
           6) {
        from_hex(vector.input, hash, 32);
        from_hex(vector.input + 32, r, 32);
        from_hex(vector.input + 64, s, 32);
        vector.input[96] = (uint8_t)recid;
        vector.valid = strcmp(key, "-") != 0;
        memset(vector.key, 0, KEY);
        if (vector.valid)
            from_hex(vector.key, key, KEY);
        check(&vector, line++);
    }
    cr_expect(feof(file), "line %zu is malformed", line + 1);
    fclose(file);
    return line;
}

static const struct guest_native *twin(void)
{
    const struct guest_native *guest = guest_native_find("secp256k1");
    cr_assert_not_null(guest);
    return guest;
}

/* What the scratchpad must hold after `scratch` went in. */
static void expect_output(const struct vector *vector, const char *where, uint64_t value,
                          const uint8_t *before, const uint8_t *after)
{
    static uint8_t want[SCRATCH];
    memcpy(want, before, SCRATCH);
    if (vector->valid)
        memcpy(want, vector->key, KEY);
    cr_expect_eq(value, (uint64_t)vector->valid, "%s, %s: %" PRIu64, vector->name, where, value);
    cr_expect_arr_eq(after, want, SCRATCH, "%s, %s", vector->name, where);
}

static void fill(uint8_t *scratch, const struct vector *vector)
{
    memset(scratch, 0xa5, SCRATCH);
    memcpy(scratch, vector->input, INPUT);
}

static void check_native(const struct vector *vector, size_t line)
{
    static uint8_t before[SCRATCH], after[SCRATCH];
    const uint64_t args[4] = {line, INPUT + line, 0,
                              0}; /* only a1 counts, and only that it is enough */
    fill(before, vector);
    memcpy(after, before, SCRATCH);
    const uint64_t value = guest_native_run(twin(), args, after);
    expect_output(vector, "native", value, before, after);
}

Test(secp256k1, native_twin_on_every_vector)
{
    cr_expect_geq(each_vector(check_native), 200);
}

/* The keys of published vectors of which only the address is known: the low 20 bytes of Keccak-256.
 */
static void check_address(const struct vector *vector, size_t line)
{
    static const struct {
        const char *name, *address;
    } known[] = {{"precompile", "a94f5374fce5edbc8e2a8697c15331677e6ebf0b"},
                 {"evm.codes", "7156526fbd7a3c72969b54f64e42c10fbb768c8a"}};
    static uint8_t scratch[SCRATCH];
    (void)line;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strcmp(vector->name, known[i].name) != 0)
            continue;
        const uint64_t recover[4] = {0, INPUT, 0, 0}, digest[4] = {0, KEY, 1, 0};
        uint8_t want[20];
        from_hex(want, known[i].address, sizeof want);
        fill(scratch, vector);
        cr_expect_eq(guest_native_run(twin(), recover, scratch), 1);
        guest_native_run(guest_native_find("keccak"), digest, scratch);
        cr_expect_arr_eq(scratch + 12, want, sizeof want, "%s", known[i].name);
        return;
    }
}

Test(secp256k1, addresses_of_published_vectors)
{
    cr_expect_geq(each_vector(check_address), 200);
}

static void check_short(const struct vector *valid, size_t line)
{
    static uint8_t before[SCRATCH], after[SCRATCH];
    struct vector vector = *valid;
    if (line != 0)
        return;
    vector.valid = 0;
    fill(before, &vector);
    for (uint64_t len = 1; len < INPUT; len++) {
        const uint64_t args[4] = {1, len, 0, 0};
        memcpy(after, before, SCRATCH);
        expect_output(&vector, "cut", guest_native_run(twin(), args, after), before, after);
    }
}

Test(secp256k1, short_input_is_invalid)
{
    cr_expect_geq(each_vector(check_short), 200);
}

/* The file's first four vectors are the embedded ones. */
#define EMBEDDED 4
static uint8_t embedded[EMBEDDED][KEY];

static void keep_embedded(const struct vector *vector, size_t line)
{
    if (line < EMBEDDED)
        memcpy(embedded[line], vector->key, KEY);
}

Test(secp256k1, checksum_over_the_embedded_vectors)
{
    uint64_t sum = UINT64_C(0xcbf29ce484222325);
    cr_assert_geq(each_vector(keep_embedded), EMBEDDED);
    for (uint64_t count = 0; count <= 2 * EMBEDDED + 1; count++) {
        const uint64_t args[4] = {count, 0, 0, 0};
        cr_expect_eq(guest_native_run(twin(), args, NULL), sum, "%" PRIu64, count);
        for (size_t word = 0; word < 8; word++) { /* x, then y, each from its low word up */
            const size_t at = word / 4 * 32 + (3 - word % 4) * 8;
            uint64_t value = 0;
            for (size_t byte = 0; byte < 8; byte++)
                value = value << 8 | embedded[count % EMBEDDED][at + byte];
            sum = (sum ^ value) * UINT64_C(0x100000001b3);
        }
    }
}

static struct guest_vm *vm;

/* The embedded and published ones and every eleventh. */
static void check_image(const struct vector *vector, size_t line)
{
    static uint8_t before[SCRATCH], after[SCRATCH];
    if (line >= 5 && line % 11 != 0)
        return;
    const uint64_t args[4] = {0, INPUT, 0, 0};
    struct javm_call_result result;
    struct javm_error err = {.text = ""};
    fill(before, vector);
    struct javm_cap *input = javm_data_new(before, SCRATCH);
    cr_assert_not_null(input);
    cr_assert_eq(
        guest_vm_invoke(vm, (size_t)(twin() - guest_natives), args, BUDGET, input, &result, &err),
        JAVM_OK, "%s", err.text);
    cr_assert_eq(result.end, JAVM_END_HALT, "%s: %s", vector->name, javm_fault_name(result.fault));
    cr_assert_not_null(result.slot0);
    javm_data_read(result.slot0, 0, after, SCRATCH);
    expect_output(vector, "image", result.value, before, after);
    javm_call_result_clear(&result);
    javm_cap_release(input);
}

Test(secp256k1, prebuilt_image_on_some_vectors)
{
    vm = guest_vm_open(JAVM_SOURCE "/guest/prebuilt", NULL);
    cr_assert_not_null(vm);
    cr_expect_geq(each_vector(check_image), 200);
    guest_vm_close(vm);
}
