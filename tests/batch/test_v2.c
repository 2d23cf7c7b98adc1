/* Jobs for programs of the JAR v2 kernel without memory: every allocation of reading a line, and of
 * running it, fails once.
 *
 * Would catch: a crash or a leak; a line that is taken although a part of it is missing; a result
 * that is neither the right one nor an error. */
#include <criterion/criterion.h>
#include <search.h>
#include <stdio.h>
#include <string.h>

#include "batch/execute.h"
#include "batch/expect.h"
#include "batch/reader.h"
#include "batch/v2_run.h"
#include "files.h"
#include "javm/load.h"
#include "tests/require.h"
#include "tests/vm/refusing_malloc.h"

void *__real_tsearch(const void *key, void **root, __compar_fn_t compare);
void *__wrap_tsearch(const void *key, void **root, __compar_fn_t compare);

void *__wrap_tsearch(const void *key, void **root, __compar_fn_t compare)
{
    return must_fail(0) ? NULL : __real_tsearch(key, root, compare);
}

static struct javm_directory *directory;
static struct javm_dir_thread *self;
static struct chains *chains;

/* A line for counter.jar that has something of everything, and one for caller.jar that exports the
 * "count" of its memory. */
static const char JOB[] =
    "{\"program\":\"counter.jar\",\"v2\":{\"args\":\"@args\",\"storage\":{\"count\":\"@args\","
    "\"0x01\":\"x\"},\"preimages\":[\"p\",\"q\"],\"fetch\":{\"entropy\":\"e\",\"items\":[\"1\"]},"
    "\"services\":{\"7\":{\"storage\":{\"a\":\"b\"}}},\"expect_storage\":{\"0x01\":\"y\"}},"
    "\"expect\":{\"calls\":[{\"call\":\"transfer\"}],\"value\":2}}";
static const char EXPORTER[] =
    "{\"program\":\"caller.jar\",\"v2\":{\"args\":\"@export\",\"context\":\"refine\","
    "\"exports\":7},\"expect\":{\"exports\":[\"0x63\"]}}";

static void set_up(void)
{
    static const char *const PROGRAMS[] = {"counter.jar", "caller.jar"};
    static const uint64_t EXPORT[14] = {8, 0x30000, 5}; /* service, φ7, φ8; then none */
    scratch_make();
    for (unsigned i = 0; i < 2; i++) {
        char path[sizeof JAVM_SOURCE + 100];
        uint8_t *bytes;
        size_t len;
        snprintf(path, sizeof path, "%s/guest/prebuilt/v2/%s", JAVM_SOURCE, PROGRAMS[i]);
        REQUIRE(javm_file_read(path, UINT64_MAX, &bytes, &len, NULL) == JAVM_OK);
        scratch_write(PROGRAMS[i], bytes, len);
        free(bytes);
    }
    scratch_write("export", EXPORT, sizeof EXPORT);
    scratch_write("args", "\x01\0\0\0\0\0\0\0", 8);
    REQUIRE(javm_directory_create(1, 0, &directory, NULL) == JAVM_OK);
    self = javm_directory_join(directory);
    chains = chains_new();
    REQUIRE(self != NULL && chains != NULL);
}

static void tear_down(void)
{
    chains_free(chains);
    javm_directory_leave(self);
    javm_directory_destroy(directory);
    scratch_remove();
    REQUIRE_NO_LEAKS();
}

static struct reader *make_reader(void)
{
    char base[1024];
    const struct reader_options options = {.gas = 1000000, .chains = chains};
    snprintf(base, sizeof base, "%s", scratch_path(""));
    struct reader *reader = reader_new(self, base, &options);
    REQUIRE(reader != NULL);
    return reader;
}

static enum line_kind read_line(struct reader *reader, const char *line, struct chunk **chunk,
                                struct job **job, struct problem *problem)
{
    static char padded[sizeof JOB + 1024];
    const size_t len = strlen(line);
    uint64_t repeat;
    REQUIRE(len < sizeof JOB);
    memcpy(padded, line, len);
    REQUIRE(json_padding() <= 1024);
    *chunk = chunk_new(NULL, reader_room(len));
    return *chunk == NULL ? LINE_BAD
                          : reader_line(reader, padded, len, 1, *chunk, job, &repeat, problem);
}

Test(v2_jobs, reading_without_memory, .init = set_up, .fini = tear_down)
{
    unsigned failures = 0;
    for (uint64_t n = 1;; n++) {
        struct reader *reader = make_reader();
        struct problem problem;
        struct chunk *chunk;
        struct job *job;
        countdown = n;
        refused = false;
        const enum line_kind kind = read_line(reader, JOB, &chunk, &job, &problem);
        countdown = 0;
        if (kind == LINE_BAD) {
            cr_assert(refused, "%s", problem.text);
            cr_assert(chunk == NULL || strstr(problem.text, "memory") != NULL, "%s", problem.text);
            failures++;
        } else {
            cr_assert_eq(kind, LINE_JOB);
            cr_assert(job->v2->state.service_count == 2 && job->v2->state.own == 0);
        }
        chunk_release(chunk);
        reader_free(reader);
        if (!refused)
            break;
    }
    cr_assert_geq(failures, 8);
}

static bool text_is(const struct job_text *text, const char *expected)
{
    return text->len == strlen(expected) && memcmp(text->text, expected, text->len) == 0;
}

static void check_counted(const struct job *job, const struct result *result)
{
    cr_assert_eq(result->value, 2);
    cr_assert(
        text_is(&result->storage, "{\"0x01\":\"0x78\",\"0x636f756e74\":\"0x0200000000000000\"}"));
    cr_assert_eq(expect_compare(job->expect, result), 1u << FIELD_STORAGE | 1u << FIELD_CALLS);
}

static void check_exported(const struct job *job, const struct result *result)
{
    cr_assert_eq(result->value, 0);
    cr_assert(text_is(&result->exports, "[\"0x636f756e74\"]"));
    cr_assert_eq(expect_compare(job->expect, result), 1u << FIELD_EXPORTS);
}

/* Returns how often it failed. */
static unsigned run_without_memory(const char *line,
                                   void (*check)(const struct job *, const struct result *))
{
    struct reader *reader = make_reader();
    struct problem problem;
    struct chunk *chunk;
    struct job *job;
    unsigned failures = 0;
    REQUIRE(read_line(reader, line, &chunk, &job, &problem) == LINE_JOB);
    for (uint64_t n = 1;; n++) {
        const struct javm_v2_options options = {.engine = JAVM_ENGINE_INTERP};
        struct v2_runner runner = {0};
        struct result result;
        countdown = n;
        refused = false;
        v2_run(&runner, &options, job, 0, 0, &result);
        countdown = 0;
        if (result.outcome == OUTCOME_ERROR) {
            cr_assert(refused && strstr(result.error, "memory") != NULL, "%s", result.error);
            failures++;
        } else {
            check(job, &result);
        }
        result_clear(&result);
        /* The same again, with memory: what failed has left nothing behind. */
        v2_run(&runner, &options, job, 0, 0, &result);
        cr_assert_eq(result.outcome, OUTCOME_HALT, "%s", result.error);
        check(job, &result);
        result_clear(&result);
        v2_runner_clear(&runner);
        if (!refused)
            break;
    }
    chunk_release(chunk);
    reader_free(reader);
    return failures;
}

Test(v2_jobs, running_without_memory, .init = set_up, .fini = tear_down)
{
    cr_assert_geq(run_without_memory(JOB, check_counted), 5);
    cr_assert_geq(run_without_memory(EXPORTER, check_exported), 5);
}
