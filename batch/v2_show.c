#include "batch/v2_show.h"

#include <stdlib.h>
#include <string.h>

#include "batch/execute.h"

void v2_texts_clear(struct v2_texts *texts)
{
    struct v2_buffer *buffers[] = {&texts->storage, &texts->calls, &texts->exports,
                                   &texts->expected, &texts->got};
    for (unsigned i = 0; i < sizeof buffers / sizeof *buffers; i++)
        free(buffers[i]->bytes);
    *texts = (struct v2_texts){0};
}

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
    const struct v2_left *left;
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
    if (!same(value, comparison->left->find(comparison->left->storage, key->data, key->len)))
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
    comparison.left->items(comparison.left->storage, visit_got, &comparison);
}

static bool take_comparison(struct v2_texts *texts, const struct v2_job *v2,
                            const struct v2_left *left, struct result *result)
{
    const struct comparison comparison = {.expected = &v2->storage, .left = left};
    result->unshown = 1u << FIELD_STORAGE;
    result->storage_differs = v2_storage_max(items_expected, &comparison) > 2 ||
                              v2_storage_max(items_got, &comparison) > 2;
    return !result->storage_differs ||
           (put_items(&texts->expected, items_expected, &comparison, &result->storage_expected) &&
            put_items(&texts->got, items_got, &comparison, &result->storage_got));
}

/* False: out of memory. */
static bool take_storage(struct v2_texts *texts, const struct job *job, const struct v2_left *left,
                         struct result *result)
{
    if (job->v2->compares && !take_comparison(texts, job->v2, left, result))
        return false;
    if (job->output == OUTPUT_NONE)
        return true;
    if (left->footprint > OUTPUT_BYTES_MAX) {
        set_error(result,
                  "storage: %llu bytes, more than the %u that fit a line; set output to \"none\"",
                  (unsigned long long)left->footprint, OUTPUT_BYTES_MAX);
        return true;
    }
    result->fields |= 1u << FIELD_STORAGE;
    return put_items(&texts->storage, left->items, left->storage, &result->storage);
}

static bool take_calls(struct v2_texts *texts, const struct v2_left *left, struct result *result)
{
    if (left->record_count == 0 && left->left_out == 0)
        return true;
    if (!reserve(&texts->calls, v2_calls_max(left)))
        return false;
    const char *end = v2_calls_put(texts->calls.bytes, left);
    result->calls = (struct job_text){texts->calls.bytes, (size_t)(end - texts->calls.bytes)};
    result->fields |= 1u << FIELD_CALLS;
    return true;
}

_Static_assert(JAVM_V2_EXPORTS_MAX *JAVM_V2_SEGMENT <= OUTPUT_BYTES_MAX, "all fit a line");

static void take_exports(struct v2_texts *texts, const struct job *job, const struct v2_left *left,
                         struct result *result)
{
    const bool hashes = job->output != OUTPUT_BYTES;
    if (left->export_count == 0)
        return;
    if (!reserve(&texts->exports, v2_exports_max(left, hashes))) {
        set_error(result, "exports: out of memory");
        return;
    }
    const char *end = v2_exports_put(texts->exports.bytes, left, hashes);
    result->exports = (struct job_text){texts->exports.bytes, (size_t)(end - texts->exports.bytes)};
    result->fields |= 1u << FIELD_EXPORTS;
}

void v2_show(struct v2_texts *texts, const struct job *job, const struct v2_left *left,
             struct result *result)
{
    result->storage_expected = job->v2->storage_text;
    if (result->outcome == OUTCOME_ERROR)
        return;
    if (job->v2->state.context == JAVM_V2_REFINE)
        take_exports(texts, job, left, result);
    else if (!take_calls(texts, left, result) || !take_storage(texts, job, left, result))
        set_error(result, "storage: out of memory");
}
