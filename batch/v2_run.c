#include "batch/v2_run.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "batch/execute.h"
#include "batch/v2_text.h"

void v2_runner_clear(struct v2_runner *runner)
{
    struct v2_buffer *buffers[] = {&runner->storage, &runner->calls, &runner->exports,
                                   &runner->expected, &runner->got};
    for (unsigned i = 0; i < sizeof buffers / sizeof *buffers; i++)
        free(buffers[i]->bytes);
    javm_v2_world_destroy(runner->world);
    if (runner->v2 != NULL)
        javm_v2_destroy(runner->v2);
    *runner = (struct v2_runner){0};
}

static bool prepare(struct v2_runner *runner, const struct javm_v2_options *options,
                    struct result *result)
{
    struct javm_error err;
    if (runner->world == NULL)
        runner->world = javm_v2_world_create(NULL);
    if (runner->world == NULL) {
        set_error(result, "out of memory");
        return false;
    }
    if (runner->v2 == NULL && javm_v2_create(options, &runner->v2, &err) != JAVM_OK) {
        set_error(result, "%s", err.text);
        return false;
    }
    return true;
}

/* ---- how it ended ----------------------------------------------------------------------- */

static uint64_t args_room(const struct javm_jar *jar)
{
    uint64_t room = 0;
    for (uint32_t i = 0; i < jar->entry_count; i++)
        if (jar->entries[i].slot == 0)
            room = jar->entries[i].is_code ? 0 : (uint64_t)jar->entries[i].page_count << 12;
    return room;
}

static void take_reject(const struct job *job, enum javm_v2_reject reject, struct result *result)
{
    const struct javm_jar *jar = javm_v2_blob_jar(job->v2->program->blob);
    switch (reject) {
    case JAVM_V2_REJECT_OUT_OF_GAS:
        set_error(result, "rejected: %llu gas for %u DATA pages at the start, the job has %llu",
                  1500ull * jar->data_pages, jar->data_pages, (unsigned long long)job->gas);
        return;
    case JAVM_V2_REJECT_INVALID_ARGS:
        set_error(result, "rejected: %zu bytes of args, the DATA in slot 0 has room for %llu",
                  job->v2->args.len, (unsigned long long)args_room(jar));
        return;
    case JAVM_V2_REJECT_MEMORY_ERROR:
        set_error(result, "rejected: %u pages of memory are more than this host provides",
                  jar->memory_pages);
        return;
    case JAVM_V2_ACCEPTED:
        break;
    }
    set_error(result, "rejected");
}

static void take_end(const struct job *job, const struct javm_v2_result *ended, uint64_t timeout_ms,
                     struct result *result)
{
    result->fields = 1u << FIELD_EXIT | 1u << FIELD_GAS_USED;
    result->gas_used = job->gas - ended->gas_left;
    switch (ended->end) {
    case JAVM_V2_END_HALT:
        result->outcome = OUTCOME_HALT;
        result->value = ended->value;
        result->fields |= 1u << FIELD_VALUE;
        return;
    case JAVM_V2_END_PANIC:
        result->outcome = OUTCOME_PANIC;
        return;
    case JAVM_V2_END_OUT_OF_GAS:
        result->outcome = OUTCOME_OUT_OF_GAS;
        return;
    case JAVM_V2_END_PAGE_FAULT:
        result->outcome = OUTCOME_PAGE_FAULT;
        result->addr = ended->value;
        result->fields |= 1u << FIELD_ADDR;
        return;
    case JAVM_V2_END_REJECTED:
        take_reject(job, ended->reject, result);
        return;
    case JAVM_V2_END_TIMEOUT:
        set_error(result, "timeout after %llu ms", (unsigned long long)timeout_ms);
        return;
    }
}

/* ---- what refine returns ---------------------------------------------------------------- */

static void hash_output(struct javm_v2 *v2, uint64_t address, uint64_t len, struct javm_hash *hash)
{
    crypto_generichash_state state;
    uint8_t part[4096];
    crypto_generichash_init(&state, NULL, 0, sizeof hash->bytes);
    for (uint64_t done = 0; done < len; done += sizeof part) {
        const uint64_t size = len - done < sizeof part ? len - done : sizeof part;
        if (!javm_v2_read(v2, address + done, part, size))
            break; /* it is accessible, as the caller has made sure */
        crypto_generichash_update(&state, part, size);
    }
    crypto_generichash_final(&state, hash->bytes, sizeof hash->bytes);
}

/* φ7 of the halt: the address in the upper half, the length in the lower. */
static void take_output(struct javm_v2 *v2, const struct job *job, struct result *result)
{
    const uint64_t address = result->value >> 32, len = (uint32_t)result->value;
    result->fields |= 1u << (job->output == OUTPUT_BYTES ? FIELD_OUTPUT : FIELD_OUTPUT_HASH);
    result->output_null = !javm_v2_accessible(v2, address, len, false);
    if (result->output_null)
        return;
    if (job->output == OUTPUT_HASH) {
        hash_output(v2, address, len, &result->output_hash);
        return;
    }
    if (len > OUTPUT_BYTES_MAX) {
        set_error(result, "output: %llu bytes, more than the %u that fit a line; ask for the hash",
                  (unsigned long long)len, OUTPUT_BYTES_MAX);
        return;
    }
    uint8_t *bytes = malloc(len + 1);
    if (bytes != NULL && javm_v2_read(v2, address, bytes, len))
        result->slot0 = javm_data_new(bytes, len);
    free(bytes);
    result->output_len = len;
    if (result->slot0 == NULL)
        set_error(result, "output: out of memory");
}

/* ---- what accumulate leaves ------------------------------------------------------------- */

/* Room for so many bytes; false: out of memory. */
static bool reserve(struct v2_buffer *buffer, size_t size)
{
    if (buffer->size >= size)
        return true;
    char *bytes = realloc(buffer->bytes, size);
    if (bytes == NULL)
        return false;
    buffer->bytes = bytes;
    buffer->size = size;
    return true;
}

static bool put_items(struct v2_buffer *buffer, v2_items *items, const void *source,
                      struct job_text *text)
{
    if (!reserve(buffer, v2_storage_max(items, source)))
        return false;
    char *end = v2_storage_put(buffer->bytes, items, source);
    *text = (struct job_text){buffer->bytes, (size_t)(end - buffer->bytes)};
    return true;
}

/* Expected and got, one of which is walked: those items that the other one does not have so. */
struct comparison {
    const struct javm_v2_map *expected;
    const struct javm_v2_world *world;
    javm_v2_visit *visit;
    void *context;
};

static bool same(const struct javm_bytes *a, const struct javm_bytes *b)
{
    return b != NULL && a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

static void visit_expected(void *context, const struct javm_bytes *key,
                           const struct javm_bytes *value)
{
    const struct comparison *comparison = context;
    if (!same(value, javm_v2_world_find(comparison->world, key->data, key->len)))
        comparison->visit(comparison->context, key, value);
}

static void visit_got(void *context, const struct javm_bytes *key, const struct javm_bytes *value)
{
    const struct comparison *comparison = context;
    if (!same(value, javm_v2_map_find(comparison->expected, key->data, key->len)))
        comparison->visit(comparison->context, key, value);
}

static void items_expected(const void *source, javm_v2_visit *visit, void *context)
{
    struct comparison comparison = *(const struct comparison *)source;
    comparison.visit = visit;
    comparison.context = context;
    v2_items_of_map(comparison.expected, visit_expected, &comparison);
}

static void items_got(const void *source, javm_v2_visit *visit, void *context)
{
    struct comparison comparison = *(const struct comparison *)source;
    comparison.visit = visit;
    comparison.context = context;
    javm_v2_world_walk(comparison.world, visit_got, &comparison);
}

static bool take_comparison(struct v2_runner *runner, const struct v2_job *v2,
                            struct result *result)
{
    const struct comparison comparison = {.expected = &v2->storage, .world = runner->world};
    result->unshown = 1u << FIELD_STORAGE;
    result->storage_differs = v2_storage_max(items_expected, &comparison) > 2 ||
                              v2_storage_max(items_got, &comparison) > 2;
    return !result->storage_differs ||
           (put_items(&runner->expected, items_expected, &comparison, &result->storage_expected) &&
            put_items(&runner->got, items_got, &comparison, &result->storage_got));
}

/* False: out of memory. */
static bool take_storage(struct v2_runner *runner, const struct job *job, struct result *result)
{
    uint64_t items, footprint;
    if (job->v2->compares && !take_comparison(runner, job->v2, result))
        return false;
    if (job->output == OUTPUT_NONE)
        return true;
    javm_v2_world_usage(runner->world, &items, &footprint);
    if (footprint > OUTPUT_BYTES_MAX) {
        set_error(result,
                  "storage: %llu bytes, more than the %u that fit a line; set output to \"none\"",
                  (unsigned long long)footprint, OUTPUT_BYTES_MAX);
        return true;
    }
    result->fields |= 1u << FIELD_STORAGE;
    return put_items(&runner->storage, v2_items_of_world, runner->world, &result->storage);
}

static bool take_calls(struct v2_runner *runner, struct result *result)
{
    size_t count;
    uint64_t left_out;
    (void)javm_v2_world_records(runner->world, &count, &left_out);
    if (count == 0 && left_out == 0)
        return true;
    if (!reserve(&runner->calls, v2_calls_max(runner->world)))
        return false;
    char *end = v2_calls_put(runner->calls.bytes, runner->world);
    result->calls = (struct job_text){runner->calls.bytes, (size_t)(end - runner->calls.bytes)};
    result->fields |= 1u << FIELD_CALLS;
    return true;
}

_Static_assert(JAVM_V2_EXPORTS_MAX *JAVM_V2_SEGMENT <= OUTPUT_BYTES_MAX, "all fit a line");

static void take_exports(struct v2_runner *runner, const struct job *job, struct result *result)
{
    const bool hashes = job->output != OUTPUT_BYTES;
    size_t count;
    (void)javm_v2_world_exports(runner->world, &count);
    if (count == 0)
        return;
    if (!reserve(&runner->exports, v2_exports_max(runner->world, hashes))) {
        set_error(result, "exports: out of memory");
        return;
    }
    char *end = v2_exports_put(runner->exports.bytes, runner->world, hashes);
    result->exports =
        (struct job_text){runner->exports.bytes, (size_t)(end - runner->exports.bytes)};
    result->fields |= 1u << FIELD_EXPORTS;
}

static void take_accumulated(struct v2_runner *runner, const struct job *job, struct result *result)
{
    const struct javm_hash *output = javm_v2_world_output(runner->world);
    if (output != NULL) {
        result->output_hash = *output;
        result->fields |= 1u << FIELD_OUTPUT_HASH;
    }
    if (!take_calls(runner, result) || !take_storage(runner, job, result))
        set_error(result, "storage: out of memory");
}

void v2_run(struct v2_runner *runner, const struct javm_v2_options *options, const struct job *job,
            int64_t now_ns, uint64_t timeout_ms, struct result *result)
{
    const struct v2_job *v2 = job->v2;
    struct javm_v2_result ended;
    struct javm_error err;
    result_begin(result);
    result->storage_expected = v2->storage_text;
    if (!prepare(runner, options, result))
        return;
    struct javm_v2_invocation invocation = {.args = v2->args.data,
                                            .args_len = v2->args.len,
                                            .gas = job->gas,
                                            .op = v2->op,
                                            .host = javm_v2_world_host(runner->world)};
    if (timeout_ms > 0)
        invocation.deadline_ns = (uint64_t)now_ns + timeout_ms * 1000000u;
    javm_v2_world_begin(runner->world, &v2->state);
    if (javm_v2_invoke(runner->v2, v2->program->blob, &invocation, &ended, &err) != JAVM_OK) {
        set_error(result, "%s", err.text);
        return;
    }
    javm_v2_world_end(runner->world, runner->v2, &ended);
    take_end(job, &ended, timeout_ms, result);
    if (result->outcome == OUTCOME_ERROR)
        return;
    if (v2->state.context == JAVM_V2_ACCUMULATE) {
        take_accumulated(runner, job, result);
        return;
    }
    take_exports(runner, job, result);
    if (result->outcome == OUTCOME_HALT && job->output != OUTPUT_NONE)
        take_output(runner->v2, job, result);
}
