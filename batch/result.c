#include "batch/result.h"

#include <string.h>

#include "batch/text.h"

/* Room for everything of fixed size in a line: names, punctuation, numbers, three hashes. */
#define FIXED_MAX 1024

static char *put_hash(char *at, const struct javm_hash *hash)
{
    at = put_literal(at, "\"0x");
    at = put_hex_bytes(at, hash->bytes, JAVM_HASH_BYTES);
    *at++ = '"';
    return at;
}

static char *put_key(char *at, const struct javm_key *key)
{
    at = put_literal(at, "\"0x");
    at = put_hex_bytes(at, key->bytes, key->len);
    *at++ = '"';
    return at;
}

/* The first `len` bytes of a Data as "0x..". */
static char *put_data(char *at, const struct javm_cap *data, uint64_t len)
{
    at = put_literal(at, "\"0x");
    for (uint64_t done = 0; done < len; done += JAVM_PAGE_SIZE) {
        const uint8_t *page = javm_data_page(data, done >> JAVM_PAGE_SHIFT);
        const size_t part = len - done < JAVM_PAGE_SIZE ? (size_t)(len - done) : JAVM_PAGE_SIZE;
        if (page != NULL) {
            at = put_hex_bytes(at, page, part);
        } else {
            memset(at, '0', 2 * part);
            at += 2 * part;
        }
    }
    *at++ = '"';
    return at;
}

static char *put_text(char *at, const struct job_text *text)
{
    return text->text == NULL ? put_literal(at, "null") : put_bytes(at, text->text, text->len);
}

static char *put_name(char *at, const char *name)
{
    *at++ = '"';
    at = put_bytes(at, name, strlen(name));
    *at++ = '"';
    return at;
}

void result_begin(struct result *result)
{
    result->fields = result->unshown = 0;
    result->slot0 = NULL;
    result->import = result->reason = NULL;
    result->output_null = result->starved = false;
    result->output_len = 0;
    result->gas_before = result->ns = 0;
    result->begun_ns = 0;
    result->storage_differs = false;
    result->storage = result->calls = result->exports = (struct job_text){NULL, 0};
    result->storage_expected = result->storage_got = result->storage;
    result->error[0] = '\0';
}

char *result_field(char *at, const struct result *result, enum field field)
{
    if ((result->fields & 1u << field) == 0)
        return put_literal(at, "null");
    switch (field) {
    case FIELD_EXIT:
        return put_name(at, outcome_name(result->outcome));
    case FIELD_VALUE:
        return put_u64(at, result->value);
    case FIELD_ADDR:
        return put_u64(at, result->addr);
    case FIELD_SELECTOR:
        return put_i64(at, result->selector);
    case FIELD_YIELD_KEY:
        return put_key(at, &result->yield_key);
    case FIELD_ERROR:
        return put_json(at, result->error, strlen(result->error));
    case FIELD_GAS_USED:
        return put_u64(at, result->gas_used);
    case FIELD_OUTPUT:
        if (result->output_null)
            return put_literal(at, "null");
        return put_data(at, result->slot0, result->output_len);
    case FIELD_OUTPUT_HASH:
        if (result->output_null)
            return put_literal(at, "null");
        return put_hash(at, &result->output_hash);
    case FIELD_POST:
        return put_hash(at, &result->post);
    case FIELD_STORAGE:
        return put_text(at, &result->storage);
    case FIELD_CALLS:
        return put_text(at, &result->calls);
    case FIELD_EXPORTS:
        return put_text(at, &result->exports);
    case FIELD_COUNT:
        break;
    }
    return at;
}

char *expect_field(char *at, const struct expect *expect, enum field field)
{
    if ((expect->present & 1u << field) == 0)
        return put_literal(at, "null");
    switch (field) {
    case FIELD_EXIT:
        return put_name(at, outcome_name(expect->exit));
    case FIELD_VALUE:
        return put_u64(at, expect->value);
    case FIELD_ADDR:
        return put_u64(at, expect->addr);
    case FIELD_SELECTOR:
        return put_i64(at, expect->selector);
    case FIELD_YIELD_KEY:
        return put_key(at, &expect->yield_key);
    case FIELD_ERROR:
        return put_json(at, expect->error, expect->error_len);
    case FIELD_GAS_USED:
        return put_u64(at, expect->gas_used);
    case FIELD_OUTPUT:
        at = put_literal(at, "\"0x");
        at = put_hex_bytes(at, expect->output, expect->output_len);
        *at++ = '"';
        return at;
    case FIELD_OUTPUT_HASH:
        return put_hash(at, &expect->output_hash);
    case FIELD_POST:
        return put_hash(at, &expect->post);
    case FIELD_CALLS:
        return put_text(at, &expect->calls);
    case FIELD_EXPORTS:
        return put_text(at, &expect->exports);
    case FIELD_STORAGE: /* is in the result */
    case FIELD_COUNT:
        break;
    }
    return at;
}

char *mismatch_expected(char *at, const struct expect *expect, const struct result *result,
                        enum field field)
{
    return field == FIELD_STORAGE ? put_text(at, &result->storage_expected)
                                  : expect_field(at, expect, field);
}

char *mismatch_got(char *at, const struct result *result, enum field field)
{
    return field == FIELD_STORAGE ? put_text(at, &result->storage_got)
                                  : result_field(at, result, field);
}

size_t result_field_max(const struct result *result, enum field field)
{
    const size_t fixed = 80; /* a hash with its quotes is the longest of the others */
    if (field == FIELD_STORAGE)
        return fixed + result->storage_got.len;
    if (field == FIELD_CALLS)
        return fixed + result->calls.len;
    if (field == FIELD_EXPORTS)
        return fixed + result->exports.len;
    if (field == FIELD_ERROR)
        return fixed + 6 * strlen(result->error);
    return field == FIELD_OUTPUT ? fixed + 2 * (size_t)result->output_len : fixed;
}

size_t expect_field_max(const struct expect *expect, const struct result *result, enum field field)
{
    const size_t fixed = 80;
    if (field == FIELD_STORAGE)
        return fixed + result->storage_expected.len;
    if (field == FIELD_CALLS)
        return fixed + expect->calls.len;
    if (field == FIELD_EXPORTS)
        return fixed + expect->exports.len;
    if (field == FIELD_ERROR)
        return fixed + 6 * expect->error_len;
    return field == FIELD_OUTPUT ? fixed + 2 * expect->output_len : fixed;
}

size_t result_line_max(const struct job *job, const struct result *result)
{
    size_t max = FIXED_MAX + 6 * job->id_len;
    if (result->fields & 1u << FIELD_ERROR)
        max += 6 * strlen(result->error);
    if (result->fields & 1u << FIELD_OUTPUT)
        max += 2 * (size_t)result->output_len;
    max += result->storage.len + result->calls.len + result->exports.len;
    if (result->import != NULL)
        max += 6 * strlen(result->import);
    if (job->expect != NULL) /* each field may stand again, twice: expected and got */
        for (unsigned field = 0; field < FIELD_COUNT; field++)
            max += 64 + result_field_max(result, (enum field)field) +
                   expect_field_max(job->expect, result, (enum field)field);
    return max;
}

static char *put_id(char *at, const struct job *job)
{
    if (job->id != NULL)
        return put_json(at, job->id, job->id_len);
    if (job->id_negative)
        return put_i64(at, (int64_t)job->id_number);
    return put_u64(at, job->id_number);
}

size_t result_key_max(const struct job *job)
{
    return 64 + 6 * job->id_len;
}

char *result_key(char *at, const struct job *job, uint64_t rep)
{
    at = put_literal(at, "{\"id\":");
    at = put_id(at, job);
    at = put_literal(at, ",\"job\":\"");
    at = put_hex(at, job_hash(job, rep), 16);
    *at++ = '"';
    return at;
}

static char *put_member(char *at, const struct result *result, enum field field)
{
    *at++ = ',';
    at = put_name(at, field_name(field));
    *at++ = ':';
    return result_field(at, result, field);
}

static char *put_mismatch(char *at, const struct job *job, const struct result *result,
                          uint32_t mismatch)
{
    at = put_literal(at, ",\"mismatch\":{");
    const char *separator = "";
    for (unsigned field = 0; field < FIELD_COUNT; field++) {
        if ((mismatch & 1u << field) == 0)
            continue;
        at = put_bytes(at, separator, strlen(separator));
        at = put_name(at, field_name((enum field)field));
        at = put_literal(at, ":{\"expected\":");
        at = mismatch_expected(at, job->expect, result, (enum field)field);
        at = put_literal(at, ",\"got\":");
        at = mismatch_got(at, result, (enum field)field);
        *at++ = '}';
        separator = ",";
    }
    *at++ = '}';
    return at;
}

char *result_line(char *at, const struct job *job, uint64_t rep, const struct result *result,
                  uint32_t mismatch, const struct result_style *style)
{
    at = result_key(at, job, rep);
    if (job->repeated) {
        at = put_literal(at, ",\"rep\":");
        at = put_u64(at, rep);
    }
    if (result->fields & 1u << FIELD_EXIT)
        at = put_member(at, result, FIELD_EXIT);
    if (result->reason != NULL) {
        at = put_literal(at, ",\"reason\":");
        at = put_name(at, result->reason);
    }
    if (result->import != NULL) {
        at = put_literal(at, ",\"import\":");
        at = put_json(at, result->import, strlen(result->import));
    }
    for (uint32_t left = result->fields & ~(1u << FIELD_EXIT); left != 0; left &= left - 1)
        at = put_member(at, result, (enum field)__builtin_ctz(left));
    if (mismatch != 0)
        at = put_mismatch(at, job, result, mismatch);
    if (!style->reproducible) {
        at = put_literal(at, ",\"us\":");
        at = put_u64(at, result->us);
        at = put_literal(at, ",\"worker\":");
        at = put_u64(at, style->worker);
    }
    return put_literal(at, "}\n");
}
