#include "batch/v2_read.h"

#include <stdlib.h>
#include <string.h>

#include "batch/text.h"
#include "batch/v2_state.h"
#include "batch/v2_text.h"

#define FULL_CORES 341
#define FULL_QUEUE 80

static bool read_program(struct v2_reading *reading, const struct json_node *node)
{
    struct javm_error err;
    if (!field_string(node, "program", reading->problem))
        return false;
    char *path = definitions_path(reading->sources->definitions, node, node->text, node->text_len,
                                  reading->problem);
    if (path == NULL)
        return false;
    reading->v2->program = v2_programs_get(reading->sources->programs, path, &err);
    free(path);
    return reading->v2->program != NULL ||
           problem_at(reading->problem, node->offset, "program: %s", err.text);
}

static bool read_context(struct v2_reading *reading, const struct json_node *node)
{
    struct javm_v2_state *state = &reading->v2->state;
    const bool is_string = node->type == JSON_STRING;
    if (is_string && node->text_len == 6 && memcmp(node->text, "refine", 6) == 0)
        state->context = JAVM_V2_REFINE;
    else if (!is_string || node->text_len != 10 || memcmp(node->text, "accumulate", 10) != 0)
        return problem_at(reading->problem, node->offset,
                          "context: expected \"accumulate\" or \"refine\"");
    return true;
}

/* Members of v2 that describe no service. */
struct members {
    const struct json_node *op, *services, *exports;
    struct javm_v2_service own;
};

static bool read_member(struct v2_reading *reading, const struct json_node *node,
                        struct members *members)
{
    struct v2_job *v2 = reading->v2;
    const struct {
        const char *name;
        uint32_t *to;
    } numbers[] = {
        {"service", &members->own.id}, {"cores", &v2->state.cores}, {"queue", &v2->state.queue}};
    char quoted[QUOTE_SIZE];
    uint64_t number;
    bool known;
    for (unsigned i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (field_key_is(node, numbers[i].name)) {
            if (!field_u64(node, numbers[i].name, UINT32_MAX, &number, reading->problem))
                return false;
            *numbers[i].to = (uint32_t)number;
            return true;
        }
    if (field_key_is(node, "op")) {
        members->op = node;
        return field_u64(node, "op", UINT64_MAX, &v2->op, reading->problem);
    }
    if (field_key_is(node, "exports")) {
        members->exports = node;
        if (!field_u64(node, "exports", JAVM_V2_EXPORTS_MAX, &number, reading->problem))
            return false;
        v2->state.exports = number;
        return true;
    }
    if (field_key_is(node, "services")) {
        members->services = node;
        return true;
    }
    if (field_key_is(node, "quota_service"))
        return field_u64(node, "quota_service", UINT32_MAX, &v2->state.quota_service,
                         reading->problem);
    if (field_key_is(node, "args"))
        return v2_bytes(reading, node, "args", &v2->args);
    if (field_key_is(node, "context"))
        return read_context(reading, node);
    if (field_key_is(node, "fetch"))
        return v2_fetch(reading, node);
    if (field_key_is(node, "expect_storage")) {
        v2->compares = true;
        return v2_storage(reading, node, "expect_storage", &v2->storage);
    }
    if (!v2_service_member(reading, node, &members->own, &known))
        return false;
    if (known || field_is_extension(node))
        return true;
    return problem_at(reading->problem, node->key_offset,
                      "unknown field %s; v2 has args, op, context, service, storage, preimages, "
                      "fetch, quota, quota_service, balance, code_hash, min_accumulate_gas, "
                      "min_transfer_gas, created, last_used, parent, services, cores, queue, "
                      "exports, expect_storage, x-...",
                      quote(quoted, node->key, node->key_len));
}

static bool read_members(struct v2_reading *reading, const struct json_node *node)
{
    struct v2_job *v2 = reading->v2;
    struct members members = {.own = {.code_hash = v2->program->hash,
                                      .quota_items = UINT64_MAX,
                                      .quota_bytes = UINT64_MAX}};
    v2->state.context = JAVM_V2_ACCUMULATE;
    v2->state.quota_service = JAVM_V2_NONE;
    v2->state.cores = FULL_CORES;
    v2->state.queue = FULL_QUEUE;
    for (uint32_t i = node->first; i != 0; i = reading->fields->nodes[i].next)
        if (!read_member(reading, &reading->fields->nodes[i], &members))
            return false;
    if (members.op == NULL)
        v2->op = v2->state.context == JAVM_V2_ACCUMULATE;
    if (members.exports != NULL && v2->state.exports > 0 && v2->state.context != JAVM_V2_REFINE)
        return problem_at(reading->problem, members.exports->offset,
                          "exports: only with \"context\":\"refine\"");
    return v2_services(reading, members.services, &members.own);
}

bool v2_read(const struct v2_sources *sources, const struct fields *fields,
             const struct json_node *program, const struct json_node *v2, struct chunk *chunk,
             struct job *job, struct problem *problem)
{
    if (program == NULL)
        return problem_at(problem, v2->key_offset,
                          "v2: expected with a field program, the name of a JAR v2 blob's file");
    struct v2_reading reading = {sources, fields, v2_job_new(&chunk->v2), problem};
    if (reading.v2 == NULL)
        return v2_no_memory(&reading, v2);
    job->v2 = reading.v2;
    if (v2->type != JSON_OBJECT)
        return problem_at(problem, v2->offset, "v2: expected an object");
    return read_program(&reading, program) && read_members(&reading, v2);
}

/* ---- expectations ----------------------------------------------------------------------- */

/* Any value, as results have it: no blanks, numbers in decimal. `at` has room for six times the
 * line. NULL: a number that results cannot have. */
static char *put_node(char *at, const struct fields *fields, const struct json_node *node)
{
    const bool is_object = node->type == JSON_OBJECT;
    switch ((enum json_type)node->type) {
    case JSON_NULL:
        return put_literal(at, "null");
    case JSON_BOOL:
        return node->boolean ? put_literal(at, "true") : put_literal(at, "false");
    case JSON_UINT:
        return put_u64(at, node->u);
    case JSON_INT:
        return put_i64(at, node->i);
    case JSON_DOUBLE:
        return NULL;
    case JSON_STRING:
        return put_json(at, node->text, node->text_len);
    case JSON_ARRAY:
    case JSON_OBJECT:
        break;
    }
    *at++ = is_object ? '{' : '[';
    for (uint32_t i = node->first; i != 0; i = fields->nodes[i].next) {
        const struct json_node *child = &fields->nodes[i];
        if (i != node->first)
            *at++ = ',';
        if (is_object) {
            at = put_json(at, child->key, child->key_len);
            *at++ = ':';
        }
        at = put_node(at, fields, child);
        if (at == NULL)
            return NULL;
    }
    *at++ = is_object ? '}' : ']';
    return at;
}

bool v2_read_list(const struct fields *fields, const struct json_node *node, enum field field,
                  struct job *job, struct expect *expect, struct problem *problem)
{
    const char *name = field_name(field);
    if (job->v2 == NULL)
        return problem_at(problem, node->key_offset, "expect.%s: only with v2", name);
    if (node->type != JSON_ARRAY)
        return problem_at(problem, node->offset, "expect.%s: expected an array, as results have",
                          name);
    struct v2_job *v2 = (struct v2_job *)(uintptr_t)job->v2; /* still being read */
    char *text = v2_job_take(v2, 6 * fields->len + 64);
    if (text == NULL)
        return problem_at(problem, node->offset, "out of memory");
    const char *end = put_node(text, fields, node);
    if (end == NULL)
        return problem_at(problem, node->offset, "expect.%s: numbers are integers", name);
    const struct job_text list = {text, (size_t)(end - text)};
    if (field == FIELD_CALLS)
        v2->calls = expect->calls = list;
    else
        v2->exports = expect->exports = list;
    return true;
}

bool v2_read_end(const struct json_node *node, struct chunk *chunk, struct job *job,
                 struct problem *problem)
{
    struct v2_job *v2 = (struct v2_job *)(uintptr_t)job->v2; /* still being read */
    const bool accumulates = v2->state.context == JAVM_V2_ACCUMULATE;
    if (accumulates && job->output == OUTPUT_HASH)
        return problem_at(problem, node->offset,
                          "output: \"hash\" is for \"context\":\"refine\"; accumulate reports its "
                          "storage, with \"bytes\", or nothing of it, with \"none\"");
    if (v2->compares) {
        if (!accumulates)
            return problem_at(problem, node->offset,
                              "expect_storage: only with \"context\":\"accumulate\"");
        char *text = v2_job_take(v2, v2_storage_max(v2_items_of_map, &v2->storage));
        if (text == NULL)
            return problem_at(problem, node->offset, "out of memory");
        const char *end = v2_storage_put(text, v2_items_of_map, &v2->storage);
        v2->storage_text = (struct job_text){text, (size_t)(end - text)};
        if (job->expect != NULL)
            v2->expect = *job->expect;
        v2->expect.present |= 1u << FIELD_STORAGE;
        job->expect = &v2->expect;
        job->expect_digest = expect_digest(&v2->expect);
    }
    chunk->bytes += chunk->v2.bytes;
    chunk->v2.bytes = 0;
    return true;
}
