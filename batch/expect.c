#include "batch/expect.h"

#include <string.h>

#include "batch/json.h"
#include "batch/v2_job.h"
#include "batch/v2_read.h"

static bool read_exit(const struct json_node *node, struct expect *expect, struct problem *problem)
{
    if (node->type == JSON_STRING && outcome_from_name(node->text, node->text_len, &expect->exit))
        return true;
    return problem_at(problem, node->offset,
                      "expect.exit: expected one of halt, trap, panic, page_fault, out_of_gas, "
                      "paused, host_call, crashed, error");
}

static bool read_hash(const struct json_node *node, const char *what, struct javm_hash *hash,
                      struct problem *problem)
{
    if (node->type == JSON_STRING && javm_hash_parse(node->text, node->text_len, hash))
        return true;
    return problem_at(problem, node->offset, "%s: expected \"0x\" and 64 hex digits", what);
}

static bool read_key(const struct fields *fields, const struct json_node *node,
                     struct expect *expect, struct problem *problem)
{
    uint8_t bytes[JAVM_MAX_KEY_LEN];
    size_t len = 0;
    if (!field_is_hex(node) || node->text_len < 4 || node->text_len > 2 + 2 * JAVM_MAX_KEY_LEN)
        return problem_at(problem, node->offset,
                          "expect.yield_key: expected \"0x\" and 1 to 8 bytes in hex");
    if (!field_bytes(fields, node, "expect.yield_key", bytes, &len, problem))
        return false;
    expect->yield_key.len = (uint8_t)len;
    memcpy(expect->yield_key.bytes, bytes, len);
    return true;
}

/* `exact`: as many bytes as there are; else zeros at the end do not count. */
static bool read_output(const struct fields *fields, const struct json_node *node, bool exact,
                        struct chunk *chunk, struct expect *expect, struct problem *problem)
{
    if (!field_is_hex(node))
        return problem_at(problem, node->offset, "expect.output: expected a string \"0x..\"");
    uint8_t *bytes = chunk_take(chunk, node->text_len / 2);
    if (!field_bytes(fields, node, "expect.output", bytes, &expect->output_len, problem))
        return false;
    while (!exact && expect->output_len > 0 && bytes[expect->output_len - 1] == 0)
        expect->output_len--; /* as results are reported */
    expect->output = bytes;
    return true;
}

static bool read_error(const struct json_node *node, struct chunk *chunk, struct expect *expect,
                       struct problem *problem)
{
    if (!field_string(node, "expect.error", problem))
        return false;
    char *copy = chunk_take(chunk, node->text_len);
    memcpy(copy, node->text, node->text_len);
    expect->error = copy;
    expect->error_len = node->text_len;
    return true;
}

static bool read_value(const struct fields *fields, const struct json_node *node, enum field field,
                       struct chunk *chunk, struct job *job, struct expect *expect,
                       struct problem *problem)
{
    switch (field) {
    case FIELD_EXIT:
        return read_exit(node, expect, problem);
    case FIELD_VALUE:
        return field_u64(node, "expect.value", UINT64_MAX, &expect->value, problem);
    case FIELD_ADDR:
        return field_u64(node, "expect.addr", UINT64_MAX, &expect->addr, problem);
    case FIELD_SELECTOR:
        return field_i64(node, "expect.selector", &expect->selector, problem);
    case FIELD_YIELD_KEY:
        return read_key(fields, node, expect, problem);
    case FIELD_ERROR:
        return read_error(node, chunk, expect, problem);
    case FIELD_GAS_USED:
        return field_u64(node, "expect.gas_used", UINT64_MAX, &expect->gas_used, problem);
    case FIELD_OUTPUT:
        return read_output(fields, node, job->v2 != NULL, chunk, expect, problem);
    case FIELD_OUTPUT_HASH:
        return read_hash(node, "expect.output_hash", &expect->output_hash, problem);
    case FIELD_POST:
        return read_hash(node, "expect.post", &expect->post, problem);
    case FIELD_CALLS:
    case FIELD_EXPORTS:
        return v2_read_list(fields, node, field, job, expect, problem);
    case FIELD_STORAGE: /* refused before */
    case FIELD_COUNT:
        break;
    }
    return false;
}

static enum field find_field(const struct json_node *node)
{
    unsigned field = 0;
    while (field < FIELD_COUNT && !field_key_is(node, field_name((enum field)field)))
        field++;
    return (enum field)field;
}

/* What is expected has to be computed: switch it on, or refuse a contradiction. */
static bool demand(const struct json_node *node, enum field field, bool output_given,
                   struct job *job, struct problem *problem)
{
    if (field == FIELD_STORAGE)
        return problem_at(problem, node->key_offset,
                          "expect.storage: say it in v2, as expect_storage");
    if (field == FIELD_POST && job->v2 != NULL)
        return problem_at(problem, node->key_offset, "expect.post: not with v2");
    if (field == FIELD_POST)
        job->post = true;
    /* There it is what the guest says. */
    if (field == FIELD_OUTPUT_HASH && job->v2 != NULL &&
        job->v2->state.context == JAVM_V2_ACCUMULATE)
        return true;
    if (field != FIELD_OUTPUT && field != FIELD_OUTPUT_HASH)
        return true;
    const enum output_mode mode = field == FIELD_OUTPUT ? OUTPUT_BYTES : OUTPUT_HASH;
    if (job->output == mode)
        return true;
    if (output_given || job->output != OUTPUT_NONE)
        return problem_at(problem, node->key_offset, "expect.%s: needs \"output\":\"%s\"",
                          field_name(field), mode == OUTPUT_BYTES ? "bytes" : "hash");
    job->output = (uint8_t)mode;
    return true;
}

bool expect_read(const struct fields *fields, const struct json_node *node, bool output_given,
                 struct chunk *chunk, struct job *job, struct problem *problem)
{
    if (node->type != JSON_OBJECT)
        return problem_at(problem, node->offset, "expect: expected an object of result fields");
    struct expect *expect = chunk_take(chunk, sizeof *expect);
    memset(expect, 0, sizeof *expect);
    for (uint32_t i = node->first; i != 0; i = fields->nodes[i].next) {
        const struct json_node *member = &fields->nodes[i];
        if (field_is_extension(member))
            continue;
        const enum field field = find_field(member);
        if (field == FIELD_COUNT) {
            char quoted[QUOTE_SIZE];
            return problem_at(problem, member->key_offset,
                              "unknown field %s; expect can have exit, value, addr, selector, "
                              "yield_key, error, gas_used, output, output_hash, post, calls, "
                              "exports, x-...",
                              quote(quoted, member->key, member->key_len));
        }
        if (!demand(member, field, output_given, job, problem))
            return false;
        if (member->type == JSON_NULL && field != FIELD_EXIT) {
            expect->absent |= 1u << field;
            continue;
        }
        if (!read_value(fields, member, field, chunk, job, expect, problem))
            return false;
        expect->present |= 1u << field;
    }
    job->expect = expect;
    job->expect_digest = expect_digest(expect);
    return true;
}

/* The first `len` bytes of a Data. */
static bool data_equals(const struct javm_cap *data, const uint8_t *bytes, size_t len)
{
    static const uint8_t ZEROS[JAVM_PAGE_SIZE];
    for (size_t at = 0; at < len; at += JAVM_PAGE_SIZE) {
        const uint8_t *page = javm_data_page(data, at >> JAVM_PAGE_SHIFT);
        const size_t part = len - at < JAVM_PAGE_SIZE ? len - at : JAVM_PAGE_SIZE;
        if (memcmp(page == NULL ? ZEROS : page, bytes + at, part) != 0)
            return false;
    }
    return true;
}

static bool same_text(const struct job_text *a, const struct job_text *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

static bool equal(const struct expect *expect, const struct result *result, enum field field)
{
    switch (field) {
    case FIELD_EXIT:
        return expect->exit == result->outcome;
    case FIELD_VALUE:
        return expect->value == result->value;
    case FIELD_ADDR:
        return expect->addr == result->addr;
    case FIELD_SELECTOR:
        return expect->selector == result->selector;
    case FIELD_YIELD_KEY:
        return javm_key_compare(&expect->yield_key, &result->yield_key) == 0;
    case FIELD_ERROR:
        return strlen(result->error) == expect->error_len &&
               memcmp(result->error, expect->error, expect->error_len) == 0;
    case FIELD_GAS_USED:
        return expect->gas_used == result->gas_used;
    case FIELD_OUTPUT:
        return expect->output_len == result->output_len &&
               data_equals(result->slot0, expect->output, expect->output_len);
    case FIELD_OUTPUT_HASH:
        return javm_hash_equal(&expect->output_hash, &result->output_hash);
    case FIELD_POST:
        return javm_hash_equal(&expect->post, &result->post);
    case FIELD_STORAGE:
        return !result->storage_differs;
    case FIELD_CALLS:
        return same_text(&expect->calls, &result->calls);
    case FIELD_EXPORTS:
        return same_text(&expect->exports, &result->exports);
    case FIELD_COUNT:
        break;
    }
    return false;
}

uint32_t expect_compare(const struct expect *expect, const struct result *result)
{
    uint32_t there = result->fields | result->unshown, differ = 0;
    if (result->output_null)
        there &= ~(1u << FIELD_OUTPUT | 1u << FIELD_OUTPUT_HASH);
    for (unsigned field = 0; field < FIELD_COUNT; field++) {
        const uint32_t bit = 1u << field;
        if ((expect->absent & there & bit) != 0 ||
            ((expect->present & bit) != 0 &&
             ((there & bit) == 0 || !equal(expect, result, (enum field)field))))
            differ |= bit;
    }
    return differ;
}
