/* Jobs and results as bytes, between a batch and the processes of --isolation process.
 *
 * Would catch: a part of a job that does not arrive or arrives as another; bytes that end early and
 * are read on; a number from a process that is believed: of items, of fields, of a fault, of gas;
 * storage with an item twice; a result that the job cannot have; memory that is not there, or is
 * not freed. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "batch/definitions.h"
#include "batch/foreign.h"
#include "batch/parcel.h"
#include "batch/parcel_v2.h"
#include "tests/require.h"
#include "tests/vm/refusing_malloc.h"

/* ---- JAR v2 jobs ------------------------------------------------------------------------ */

static const struct javm_v2_item ITEMS[] = {{{"a", 1}, {"one", 3}}, {{"bc", 2}, {"\0\1", 2}}};
static const struct javm_v2_map STORAGE = {ITEMS, 2, 76, 2};
static const struct javm_bytes LIST[] = {{"first", 5}, {"", 0}, {"third", 5}};
static const struct javm_v2_service SERVICES[] = {{.id = 3,
                                                   .balance = 5,
                                                   .quota_items = 1,
                                                   .quota_bytes = UINT64_MAX,
                                                   .storage = {NULL, 0, 0, 0}},
                                                  {.id = 7,
                                                   .created = 1,
                                                   .last_used = 2,
                                                   .parent = 3,
                                                   .code_hash.bytes = {9},
                                                   .storage = {ITEMS, 2, 76, 2}}};
static const struct javm_v2_fetch FETCH[] = {{1, false, LIST, 1}, {15, true, LIST, 3}};

static struct v2_job full_job(void)
{
    return (struct v2_job){.op = 1,
                           .compares = true,
                           .args = {"arguments", 9},
                           .state = {.context = JAVM_V2_ACCUMULATE,
                                     .services = SERVICES,
                                     .service_count = 2,
                                     .own = 1,
                                     .fetch = FETCH,
                                     .fetch_count = 2,
                                     .quota_service = 4,
                                     .cores = 5,
                                     .queue = 6,
                                     .exports = 7}};
}

/* malloc'ed, and no byte longer, so that a sanitizer sees who reads on. */
static uint8_t *write_job(struct v2_job *v2, size_t *len)
{
    struct carry measure = carry_measure();
    parcel_v2_job(&measure, v2);
    uint8_t *bytes = malloc(measure.len);
    REQUIRE(bytes != NULL);
    struct carry carry = carry_write(bytes);
    parcel_v2_job(&carry, v2);
    REQUIRE(carry.len == measure.len);
    *len = carry.len;
    return bytes;
}

Test(parcel, jar_job_there_and_back)
{
    struct v2_job job = full_job(), read = {.memory = NULL};
    size_t len, again;
    uint8_t *bytes = write_job(&job, &len);
    struct carry carry = carry_read(bytes, len);
    parcel_v2_job(&carry, &read);
    cr_assert(carry_ended(&carry));
    cr_expect(read.op == 1 && read.compares && read.args.len == 9);
    cr_expect(read.state.own == 1 && read.state.quota_service == 4 && read.state.cores == 5 &&
              read.state.queue == 6 && read.state.exports == 7);
    cr_assert(read.state.service_count == 2 && read.state.fetch_count == 2);
    const struct javm_v2_service *service = &read.state.services[1];
    cr_expect(service->id == 7 && service->parent == 3 && service->code_hash.bytes[0] == 9);
    cr_expect(service->storage.footprint == 76 && service->storage.longest_key == 2);
    const struct javm_bytes *found = javm_v2_map_find(&service->storage, "bc", 2);
    cr_assert(found != NULL && found->len == 2 && memcmp(found->data, "\0\1", 2) == 0);
    cr_expect(read.state.fetch[1].indexed && read.state.fetch[1].items[2].len == 5);
    uint8_t *same = write_job(&read, &again);
    cr_expect(again == len && memcmp(same, bytes, len) == 0);
    carry_clear(&carry);
    free(same);
    free(bytes);
    REQUIRE_NO_LEAKS();
}

Test(parcel, jar_job_cut_anywhere)
{
    struct v2_job job = full_job();
    size_t len;
    uint8_t *bytes = write_job(&job, &len);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = malloc(cut + 1);
        struct v2_job read = {.memory = NULL};
        REQUIRE(part != NULL);
        memcpy(part, bytes, cut);
        struct carry carry = carry_read(part, cut);
        parcel_v2_job(&carry, &read);
        cr_expect(!carry_ended(&carry), "of %zu bytes, %zu were enough", len, cut);
        carry_clear(&carry);
        free(part);
    }
    free(bytes);
    REQUIRE_NO_LEAKS();
}

Test(parcel, jar_job_without_memory)
{
    struct v2_job job = full_job();
    size_t len;
    uint8_t *bytes = write_job(&job, &len);
    unsigned failures = 0;
    for (uint64_t n = 1;; n++) {
        struct v2_job read = {.memory = NULL};
        struct carry carry = carry_read(bytes, len);
        countdown = n;
        refused = false;
        parcel_v2_job(&carry, &read);
        countdown = 0;
        cr_expect_eq(carry_ended(&carry), !refused);
        failures += refused;
        carry_clear(&carry);
        if (!refused)
            break;
    }
    cr_expect_eq(failures, 5);
    free(bytes);
    REQUIRE_NO_LEAKS();
}

/* ---- what they left --------------------------------------------------------------------- */

static const struct javm_bytes *find(const void *storage, const void *key, size_t len)
{
    return javm_v2_map_find(storage, key, len);
}

static const struct javm_v2_record RECORDS[] = {
    {21, true, 4, {1, 2, 3, 4}, 1, {{"memo", 4}}},
    {27, false, 6, {1, 2, 3, 4, 5, 6}, 2, {{"x", 1}, {"", 0}}}};
static uint8_t segments[2 * JAVM_V2_SEGMENT];

static struct v2_left full_left(void)
{
    return (struct v2_left){v2_items_of_map, find, &STORAGE, 76, RECORDS, 2, 3, segments, 2};
}

static struct v2_job jar_job(enum javm_v2_context context)
{
    struct v2_job v2 = full_job();
    v2.state.context = context;
    v2.state.exports = 2;
    return v2;
}

static uint8_t *write_left(const struct job *job, const struct v2_left *left, size_t *len)
{
    struct carry measure = carry_measure();
    parcel_v2_put_left(&measure, job, left);
    uint8_t *bytes = malloc(measure.len);
    REQUIRE(bytes != NULL);
    struct carry carry = carry_write(bytes);
    parcel_v2_put_left(&carry, job, left);
    REQUIRE(carry.len == measure.len);
    *len = carry.len;
    return bytes;
}

static bool readable(const struct job *job, const uint8_t *bytes, size_t len)
{
    struct carry carry = carry_read(bytes, len);
    struct javm_v2_map map;
    struct v2_left left;
    const bool good = parcel_v2_get_left(&carry, job, &map, &left);
    carry_clear(&carry);
    return good;
}

Test(parcel, what_is_left_there_and_back)
{
    struct v2_job v2 = jar_job(JAVM_V2_ACCUMULATE);
    const struct job job = {.v2 = &v2, .output = OUTPUT_BYTES};
    const struct v2_left left = full_left();
    struct javm_v2_map map;
    struct v2_left read;
    size_t len, again;
    uint8_t *bytes = write_left(&job, &left, &len);
    struct carry carry = carry_read(bytes, len);
    cr_assert(parcel_v2_get_left(&carry, &job, &map, &read));
    cr_expect(read.footprint == 76 && read.record_count == 2 && read.left_out == 3);
    cr_expect(read.find(read.storage, "a", 1) != NULL && read.find(read.storage, "b", 1) == NULL);
    cr_expect(read.records[1].data_count == 2 && !read.records[1].undone && read.records[0].undone);
    uint8_t *same = write_left(&job, &read, &again);
    cr_expect(again == len && memcmp(same, bytes, len) == 0);
    carry_clear(&carry);
    free(same);
    for (size_t cut = 0; cut < len; cut++) {
        uint8_t *part = malloc(cut + 1);
        REQUIRE(part != NULL);
        memcpy(part, bytes, cut);
        cr_expect(!readable(&job, part, cut), "of %zu bytes, %zu were enough", len, cut);
        free(part);
    }
    free(bytes);

    v2.state.context = JAVM_V2_REFINE;
    bytes = write_left(&job, &left, &len);
    cr_expect_eq(len, 8 + sizeof segments);
    cr_expect(readable(&job, bytes, len) && !readable(&job, bytes, len - 1));
    v2.state.exports = 1;
    cr_expect(!readable(&job, bytes, len), "more than the job may export");
    v2.state.exports = 2;
    const uint64_t uneven = sizeof segments - 1;
    memcpy(bytes, &uneven, sizeof uneven);
    cr_expect(!readable(&job, bytes, len - 1), "not a whole number of segments");
    free(bytes);
    REQUIRE_NO_LEAKS();
}

/* Where things are in what full_left becomes: behind the number of records are two, of 76 and 81
 * bytes, and then two numbers. */
enum { AT_ID = 8, AT_ARGS = 16, AT_DATA = 20, AT_ITEMS = 8 + 76 + 81 + 8 + 8 };

Test(parcel, what_cannot_be_left)
{
    static const struct {
        size_t at;
        uint32_t value;
        bool good;
        const char *what;
    } CHANGES[] = {{AT_ID, 28, true, "the last service"},
                   {AT_ID, 0, false, "a service below the first"},
                   {AT_ID, 29, false, "a service behind the last"},
                   {AT_ARGS, 7, false, "a seventh argument"},
                   {AT_DATA, 3, false, "a third piece of data"},
                   {0, 3, false, "a record too many"},
                   {4, 1, false, "more records than there is memory"},
                   {AT_ITEMS, 3, false, "an item too many"},
                   {AT_ITEMS + 4, 0x10000000, false, "more items than there is memory"},
                   {AT_ITEMS + 8, 0xFFFFFFFF, false, "a key longer than all"}};
    struct v2_job v2 = jar_job(JAVM_V2_ACCUMULATE);
    const struct job job = {.v2 = &v2, .output = OUTPUT_BYTES};
    struct v2_left left = full_left();
    size_t len;
    uint8_t *bytes = write_left(&job, &left, &len);
    cr_assert_eq(bytes[AT_ITEMS], 2);
    for (size_t i = 0; i < sizeof CHANGES / sizeof *CHANGES; i++) {
        uint8_t *changed = malloc(len);
        REQUIRE(changed != NULL);
        memcpy(changed, bytes, len);
        memcpy(changed + CHANGES[i].at, &CHANGES[i].value, sizeof CHANGES[i].value);
        cr_expect_eq(readable(&job, changed, len), CHANGES[i].good, "%s", CHANGES[i].what);
        free(changed);
    }
    free(bytes);
    static const struct javm_v2_item TWICE[] = {{{"k", 1}, {"1", 1}}, {{"k", 1}, {"2", 1}}};
    static const struct javm_v2_item EMPTY[] = {{{"k", 1}, {"", 0}}};
    const struct javm_v2_map maps[] = {{TWICE, 2, 72, 1}, {EMPTY, 1, 35, 1}};
    for (unsigned i = 0; i < 2; i++) {
        left.storage = &maps[i];
        bytes = write_left(&job, &left, &len);
        cr_expect(!readable(&job, bytes, len), "%s", i == 0 ? "a key twice" : "an empty value");
        free(bytes);
    }
    REQUIRE_NO_LEAKS();
}

/* ---- jobs and results ------------------------------------------------------------------- */

static struct foreign foreign = {.hash.bytes = {1}, .program.import_count = 0};
static const struct target IMAGE = {.instance.bytes = {2}}, PVM = {.foreign = &foreign};

Test(parcel, job_there_and_back)
{
    const struct job job = {.target = &PVM,
                            .args = {1, 2, 3, 4, 5, 6},
                            .arg_count = 6,
                            .endpoint = 7,
                            .gas = 8,
                            .output = OUTPUT_HASH,
                            .input = (const uint8_t *)"input",
                            .input_len = 5};
    const struct ground ground = {.keep = false};
    const uint64_t size = parcel_job_size(&job, 3);
    uint8_t *bytes = calloc(1, size);
    struct parcel_open open;
    REQUIRE(bytes != NULL);
    parcel_job_put(bytes, &job, &ground, 9, "cap", 3);
    const uint8_t *at = bytes;
    cr_assert(parcel_job_get(&at, bytes + size, &open));
    cr_expect(at == bytes + size && open.on.kind == INMATE_PVM && open.on.hash.bytes[0] == 1);
    cr_expect(memcmp(open.job.args, job.args, sizeof job.args) == 0 && open.job.arg_count == 6);
    cr_expect(open.job.endpoint == 7 && open.job.gas == 8 && open.job.output == OUTPUT_HASH &&
              open.timeout_ms == 9);
    cr_expect(open.job.input_len == 5 && memcmp(open.job.input, "input", 5) == 0);
    cr_expect(open.caps_len == 3 && memcmp(open.caps, "cap", 3) == 0);
    carry_clear(&open.carry);
    for (size_t cut = 0; cut < size; cut++) {
        at = bytes;
        cr_expect(!parcel_job_get(&at, bytes + cut, &open));
        carry_clear(&open.carry);
    }
    free(bytes);
}

#define BIT(field) (UINT64_C(1) << FIELD_##field)

static bool accepted(const struct job *job, const struct parcel_result *parcel)
{
    uint8_t bytes[sizeof *parcel + 64] = {0};
    const uint8_t *at = bytes;
    struct ground ground = {.keep = true};
    struct result result;
    struct javm_bytes v2, caps;
    memcpy(bytes, parcel, sizeof *parcel);
    const bool good =
        parcel_result_get(&at, bytes + sizeof bytes, job, &ground, &result, &v2, &caps);
    cr_expect(good || (result.slot0 == NULL && !ground.moved));
    result_clear(&result);
    return good;
}

Test(parcel, results_that_a_job_cannot_have)
{
    struct v2_job accumulates = jar_job(JAVM_V2_ACCUMULATE), refines = jar_job(JAVM_V2_REFINE);
    const struct job image = {.target = &IMAGE, .gas = 10}, pvm = {.target = &PVM, .gas = 10};
    const struct job pauses = {.target = &IMAGE, .gas = 10, .on_pause = ON_PAUSE_REPORT};
    const struct job hashed = {.target = &IMAGE, .gas = 10, .output = OUTPUT_HASH};
    const struct job jar = {.v2 = &accumulates, .gas = 10, .output = OUTPUT_BYTES};
    const struct job refine = {.v2 = &refines, .gas = 10, .output = OUTPUT_BYTES};
    const uint64_t halt = BIT(EXIT) | BIT(VALUE) | BIT(GAS_USED), trap = BIT(EXIT) | BIT(GAS_USED);
    const uint64_t error = BIT(EXIT) | BIT(ERROR);
    const struct javm_key key = {1, {5}}, none = {0, {0}};
    const struct {
        const char *what;
        const struct job *job;
        struct parcel_result parcel;
        bool good;
    } cases[] = {
        {"halt", &image, {.fields = halt}, true},
        {"halt without a value", &image, {.fields = trap}, false},
        {"halt with an address", &image, {.fields = halt | BIT(ADDR)}, false},
        {"a field that there is not", &image, {.fields = halt | UINT64_C(1) << 40}, false},
        {"storage is the host's to add", &jar, {.fields = halt | BIT(STORAGE)}, false},
        {"what only the host can find",
         &image,
         {.fields = trap, .outcome = OUTCOME_CRASHED},
         false},
        {"no such end", &image, {.fields = trap, .outcome = OUTCOME_COUNT}, false},
        {"a trap with its reason",
         &image,
         {.fields = trap, .outcome = OUTCOME_TRAP, .reason = 8},
         true},
        {"no such reason", &image, {.fields = trap, .outcome = OUTCOME_TRAP, .reason = 9}, false},
        {"halt with a reason", &image, {.fields = halt, .reason = 8}, false},
        {"an ecall", &pvm, {.fields = trap, .outcome = OUTCOME_TRAP, .reason = 9}, true},
        {"a fault of the kernel",
         &pvm,
         {.fields = trap, .outcome = OUTCOME_TRAP, .reason = 8},
         false},
        {"more gas, by an image", &image, {.fields = halt, .gas_used = 11}, true},
        {"more gas, by a PVM program", &pvm, {.fields = halt, .gas_used = 11}, false},
        {"more gas, by JAR v2", &jar, {.fields = halt, .gas_used = 11}, false},
        {"gas of before, too much",
         &image,
         {.fields = halt, .gas_used = 1, .gas_before = 2},
         false},
        {"a pause",
         &pauses,
         {.fields = trap | BIT(YIELD_KEY), .outcome = OUTCOME_PAUSED, .yield_key = key},
         true},
        {"a pause of nothing",
         &pauses,
         {.fields = trap | BIT(YIELD_KEY), .outcome = OUTCOME_PAUSED, .yield_key = none},
         false},
        {"a pause that is not allowed",
         &image,
         {.fields = trap | BIT(YIELD_KEY), .outcome = OUTCOME_PAUSED, .yield_key = key},
         false},
        {"a trap of JAR v2", &jar, {.fields = trap, .outcome = OUTCOME_TRAP}, false},
        {"output nobody wants", &image, {.fields = halt, .output_len = 1}, false},
        {"a hash", &hashed, {.fields = halt | BIT(OUTPUT_HASH)}, true},
        {"no hash", &hashed, {.fields = halt}, false},
        {"a hash with bytes", &hashed, {.fields = halt | BIT(OUTPUT_HASH), .output_len = 1}, false},
        {"the guest's hash", &jar, {.fields = halt | BIT(OUTPUT_HASH)}, true},
        {"refined", &refine, {.fields = halt | BIT(OUTPUT), .output_len = 4}, true},
        {"refined, output behind the end",
         &refine,
         {.fields = halt | BIT(OUTPUT), .output_len = 65},
         false},
        {"refined, a panic has no output",
         &refine,
         {.fields = trap | BIT(OUTPUT), .outcome = OUTCOME_PANIC},
         false},
        {"post nobody wants", &image, {.fields = halt | BIT(POST)}, false},
        {"it moved", &image, {.fields = halt, .moved = 1}, true},
        {"it moved and trapped",
         &image,
         {.fields = trap, .outcome = OUTCOME_TRAP, .moved = 1},
         false},
        {"an error",
         &image,
         {.fields = error, .outcome = OUTCOME_ERROR, .error_len = 3, .starved = 1},
         true},
        {"too long an error",
         &image,
         {.fields = error, .outcome = OUTCOME_ERROR, .error_len = 640},
         false},
        {"starved and no error", &image, {.fields = halt, .starved = 1}, false},
        {"an error that left something",
         &jar,
         {.fields = error, .outcome = OUTCOME_ERROR, .v2_len = 8},
         false},
        {"caps behind the end", &image, {.fields = halt, .caps_len = 65}, false},
        {"no end at all", &image, {.fields = halt, .caps_len = UINT64_MAX - 3}, false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        cr_expect_eq(accepted(cases[i].job, &cases[i].parcel), cases[i].good, "%s", cases[i].what);
    REQUIRE_NO_LEAKS();
}
