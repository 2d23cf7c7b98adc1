#include "batch/reader.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/blob.h"
#include "batch/expect.h"
#include "batch/fields.h"
#include "batch/foreign_read.h"
#include "batch/json.h"
#include "batch/on_pause.h"
#include "batch/v2_read.h"
#include "javm/image.h"

/* Longer inline inputs become a Data when they are read, so that chunks stay small. */
#define INLINE_INPUT_MAX 1024

struct reader {
    struct json_parser *json;
    struct definitions *definitions;
    struct blob_files *files;
    struct v2_programs *programs;
    struct reader_options options;
};

/* The members of a job line, found but not yet looked at. */
struct members {
    const struct json_node *id, *invoke, *endpoint, *args, *gas, *input, *output, *repeat, *expect,
        *chain, *post, *on_pause, *program, *v2;
};

struct reader *reader_new(struct javm_dir_thread *dir, const char *base,
                          const struct reader_options *options)
{
    struct reader *reader = calloc(1, sizeof *reader);
    if (reader == NULL)
        return NULL;
    reader->options = *options;
    reader->json = json_parser_new();
    reader->definitions = definitions_new(dir, base, options->stubs, options->keep);
    reader->files = blob_files_new();
    reader->programs = v2_programs_new(options->keep);
    if (reader->json == NULL || reader->definitions == NULL || reader->files == NULL ||
        reader->programs == NULL) {
        reader_free(reader);
        return NULL;
    }
    return reader;
}

void reader_close(struct reader *reader)
{
    definitions_close(reader->definitions);
}

void reader_free(struct reader *reader)
{
    if (reader == NULL)
        return;
    json_parser_free(reader->json);
    definitions_free(reader->definitions);
    blob_files_free(reader->files);
    v2_programs_free(reader->programs);
    free(reader);
}

size_t reader_room(size_t len)
{
    /* The job, its expect, a blob reference and an error text, each rounded up; unescaped strings
     * and decoded hex are never longer than the line. */
    return sizeof(struct job) + sizeof(struct expect) + sizeof(struct blob_ref) +
           sizeof(struct problem) + 64 + 8 * FIELD_COUNT + len;
}

static char *keep(struct chunk *chunk, const char *text, size_t len)
{
    char *copy = chunk_take(chunk, len);
    memcpy(copy, text, len);
    return copy;
}

static bool find_members(const struct json_node *nodes, struct members *members,
                         struct problem *problem)
{
#define KNOWN(name)                                             \
    {                                                           \
#name, sizeof #name - 1, offsetof(struct members, name) \
    }
    static const struct {
        const char *name;
        size_t len, at;
    } known[] = {KNOWN(id),    KNOWN(invoke),   KNOWN(endpoint), KNOWN(args),   KNOWN(gas),
                 KNOWN(input), KNOWN(output),   KNOWN(repeat),   KNOWN(expect), KNOWN(chain),
                 KNOWN(post),  KNOWN(on_pause), KNOWN(program),  KNOWN(v2)};
#undef KNOWN
    for (uint32_t i = nodes[0].first; i != 0; i = nodes[i].next) {
        bool found = false;
        for (size_t k = 0; !found && k < sizeof known / sizeof *known; k++)
            if (json_key_is(&nodes[i], known[k].name, known[k].len)) {
                const struct json_node *member = &nodes[i];
                memcpy((char *)members + known[k].at, &member, sizeof member);
                found = true;
            }
        if (found || field_is_extension(&nodes[i]))
            continue;
        char quoted[QUOTE_SIZE];
        return problem_at(problem, nodes[i].key_offset,
                          "unknown field %s; a job has id, invoke, endpoint, args, gas, input, "
                          "output, repeat, expect, chain, post, on_pause, program, v2, x-...",
                          quote(quoted, nodes[i].key, nodes[i].key_len));
    }
    return true;
}

static bool read_id(struct chunk *chunk, const struct json_node *node, struct job *job,
                    struct problem *problem)
{
    if (node->type == JSON_STRING) {
        job->id = keep(chunk, node->text, node->text_len);
        job->id_len = node->text_len;
    } else if (node->type == JSON_UINT) {
        job->id_number = node->u;
    } else if (node->type == JSON_INT) {
        job->id_number = (uint64_t)node->i;
        job->id_negative = true;
    } else {
        return problem_at(problem, node->offset, "id: expected a string or an integer");
    }
    return true;
}

static bool read_args(const struct json_node *nodes, const struct json_node *node, struct job *job,
                      struct problem *problem)
{
    const unsigned most = job->target->foreign != NULL ? 6 : 4;
    if (node->type != JSON_ARRAY)
        return problem_at(problem, node->offset, "args: expected an array of up to %u integers",
                          most);
    for (uint32_t i = node->first; i != 0; i = nodes[i].next) {
        if (job->arg_count == most)
            return problem_at(problem, nodes[i].offset, "args: more than %u of them", most);
        if (!field_u64(&nodes[i], "args", UINT64_MAX, &job->args[job->arg_count++], problem))
            return false;
    }
    return true;
}

/* `known`: what is entered is the target's image, and not what other jobs leave. */
static bool read_endpoint(const struct json_node *node, bool known, struct job *job,
                          struct problem *problem)
{
    if (job->target->foreign != NULL)
        return foreign_read_endpoint(node, 0, job, problem);
    const struct javm_image *image = javm_image_of(job->target->image);
    uint64_t endpoint = 0;
    if (node != NULL && !field_u64(node, "endpoint", UINT32_MAX, &endpoint, problem))
        return false;
    job->endpoint = (uint32_t)endpoint;
    if (!known || javm_image_endpoint(image, endpoint) != NULL)
        return true;
    char list[128] = "none";
    size_t used = 0;
    for (uint32_t i = 0; i < image->endpoint_count; i++) {
        const bool fits = used + 24 < sizeof list;
        used += (size_t)snprintf(list + used, sizeof list - used,
                                 !fits    ? ", ..."
                                 : i == 0 ? "%u"
                                          : ", %u",
                                 image->endpoints[i].index);
        if (!fits)
            break;
    }
    return problem_at(problem, node == NULL ? 0 : node->offset,
                      "endpoint: the image has no endpoint %llu; it has %s",
                      (unsigned long long)endpoint, list);
}

static bool read_output(const struct json_node *node, struct job *job, struct problem *problem)
{
    static const char *const MODES[] = {"none", "hash", "bytes"};
    for (unsigned i = 0; node->type == JSON_STRING && i < 3; i++)
        if (strlen(MODES[i]) == node->text_len &&
            memcmp(MODES[i], node->text, node->text_len) == 0) {
            job->output = (uint8_t)i;
            return true;
        }
    return problem_at(problem, node->offset, "output: expected \"none\", \"hash\" or \"bytes\"");
}

static bool share_input(struct chunk *chunk, struct blob *blob, bool fresh, struct job *job,
                        const struct json_node *node, struct problem *problem)
{
    if (blob == NULL)
        return problem_at(problem, node->offset, "input: out of memory");
    chunk_hold_blob(chunk, blob, fresh);
    job->blob = blob;
    job->input = NULL;
    return true;
}

static bool read_input_file(struct reader *reader, struct chunk *chunk,
                            const struct json_node *node, struct job *job, struct problem *problem)
{
    struct javm_error err;
    struct blob *blob;
    bool fresh;
    char *path =
        definitions_path(reader->definitions, node, node->text + 1, node->text_len - 1, problem);
    if (path == NULL)
        return false;
    const enum javm_status status = blob_files_get(reader->files, path, &blob, &fresh, &err);
    free(path);
    if (status != JAVM_OK)
        return problem_at(problem, node->offset, "input: %s", err.text);
    return share_input(chunk, blob, fresh, job, node, problem);
}

static bool read_input(struct reader *reader, const struct fields *fields, struct chunk *chunk,
                       const struct json_node *node, struct job *job, bool repeated,
                       struct problem *problem)
{
    if (node->type != JSON_STRING)
        return problem_at(problem, node->offset,
                          "input: expected a string: \"0x..\", \"@file\" or plain text");
    if (node->text_len > 0 && node->text[0] == '@')
        return read_input_file(reader, chunk, node, job, problem);
    if (field_is_hex(node)) {
        uint8_t *bytes = chunk_take(chunk, node->text_len / 2);
        if (!field_bytes(fields, node, "input", bytes, &job->input_len, problem))
            return false;
        job->input = bytes;
    } else {
        job->input = (uint8_t *)keep(chunk, node->text, node->text_len);
        job->input_len = node->text_len;
    }
    if (job->input_len <= INLINE_INPUT_MAX && !repeated)
        return true;
    return share_input(chunk, blob_new(job->input, job->input_len), true, job, node, problem);
}

/* Refuse now what every CALL would refuse: input that does not fit where slot[0] is mapped. */
static bool check_input(const struct json_node *node, const struct job *job,
                        struct problem *problem)
{
    const uint64_t len = job->blob != NULL ? job->blob->len : job->input_len;
    if (job->target->foreign != NULL)
        return foreign_check_input(node, len, job, problem);
    const struct javm_image *image = javm_image_of(job->target->image);
    const struct javm_key zero = javm_key_from_u64(0);
    for (uint32_t i = 0; i < image->mapping_count; i++)
        if (image->mappings[i].depth == 1 &&
            javm_key_compare(&image->mappings[i].path[0], &zero) == 0 &&
            len > image->mappings[i].size)
            return problem_at(problem, node->offset,
                              "input: %llu bytes; the image maps %llu for slot 0",
                              (unsigned long long)len, (unsigned long long)image->mappings[i].size);
    return true;
}

static bool read_chain(struct reader *reader, const struct json_node *node, struct job *job,
                       struct problem *problem)
{
    if (!field_string(node, "chain", problem))
        return false;
    if (node->text_len == 0 || node->text_len > CHAIN_NAME_MAX ||
        memchr(node->text, 0, node->text_len) != NULL)
        return problem_at(problem, node->offset, "chain: expected a name of 1 to %u bytes, no NUL",
                          CHAIN_NAME_MAX);
    job->chain = chains_find(reader->options.chains, node->text, node->text_len);
    return job->chain != NULL || problem_at(problem, node->offset, "chain: out of memory");
}

/* What the job runs on: what it names, which in a chain all jobs have in common and all but the
 * first may leave out. */
static bool read_target(struct reader *reader, const struct fields *fields,
                        const struct members *members, struct job *job, struct problem *problem)
{
    if (members->program != NULL) {
        if (members->invoke != NULL) {
            problem_at(problem, members->program->key_offset,
                       "program: expected without invoke, which names what is run, too");
            return false;
        }
        job->target = definitions_program(reader->definitions, members->program, problem);
        return job->target != NULL;
    }
    if (members->chain != NULL && !read_chain(reader, members->chain, job, problem))
        return false;
    const struct target *first = job->chain == NULL ? NULL : job->chain->target;
    job->target = first;
    if (members->invoke == NULL && first != NULL)
        return true;
    if (members->invoke == NULL) {
        problem_at(problem, fields->nodes[0].offset,
                   job->chain != NULL
                       ? "invoke: the first job of a chain has to name what it runs on"
                       : "expected a definition (image, instance) or a job with a field invoke");
        return false;
    }
    job->target = definitions_find(reader->definitions, members->invoke, problem);
    if (job->target == NULL)
        return false;
    return first == NULL || javm_hash_equal(&first->instance, &job->target->instance) ||
           problem_at(problem, members->invoke->offset,
                      "invoke: the chain began with another instance; leave it out, or name that");
}

/* A PVM program leaves no instance that something could go on with. An image has other fields of
 * its own. */
static bool check_foreign(const struct members *members, const struct job *job,
                          struct problem *problem)
{
    const struct json_node *wrong = members->chain != NULL      ? members->chain
                                    : members->on_pause != NULL ? members->on_pause
                                    : members->post != NULL && members->post->boolean
                                        ? members->post
                                        : NULL;
    if (job->target->foreign == NULL)
        return members->program == NULL ||
               problem_at(problem, members->program->offset,
                          "program: an image or bundle; give it a name with {\"image\":..., "
                          "\"load\":...} and invoke that");
    return wrong == NULL ||
           problem_at(problem, wrong->key_offset,
                      "%.*s: not with a PVM program, which leaves no instance behind",
                      (int)wrong->key_len, wrong->key);
}

/* A Paused Instance goes on where it was. In a chain that is known only when the job is run. */
static bool check_entry(const struct members *members, struct job *job, struct problem *problem)
{
    const struct json_node *enters = members->endpoint != NULL ? members->endpoint : members->args;
    job->enters = enters != NULL;
    if (enters == NULL || !job->target->paused ||
        (job->chain != NULL && job->chain->target != NULL))
        return true;
    return problem_at(problem, enters->key_offset,
                      "the instance is paused: it is resumed, without endpoint and args");
}

/* A program of the JAR v2 kernel, which has no use for some fields. */
static bool read_v2(struct reader *reader, const struct fields *fields,
                    const struct members *members, struct chunk *chunk, struct job *job,
                    struct problem *problem)
{
    const struct v2_sources sources = {reader->definitions, reader->files, reader->programs};
    const struct json_node *const others[] = {members->invoke,  members->endpoint, members->args,
                                              members->input,   members->chain,    members->post,
                                              members->on_pause};
    for (unsigned i = 0; i < sizeof others / sizeof *others; i++)
        if (others[i] != NULL)
            return problem_at(problem, others[i]->key_offset, "%.*s: not with program and v2",
                              (int)others[i]->key_len, others[i]->key);
    job->output = OUTPUT_BYTES;
    return v2_read(&sources, fields, members->program, members->v2, chunk, job, problem);
}

static bool read_job(struct reader *reader, const struct fields *fields, struct chunk *chunk,
                     struct job *job, bool *has_id, uint64_t *repeat, struct problem *problem)
{
    struct members members = {0};
    const struct json_node *nodes = fields->nodes;
    const struct json_node *id = json_member(nodes, nodes, "id");
    if (id != NULL && !read_id(chunk, id, job, problem))
        return false;
    *has_id = id != NULL;
    if (!find_members(nodes, &members, problem))
        return false;
    const bool v2 = members.v2 != NULL;
    if (v2 ? !read_v2(reader, fields, &members, chunk, job, problem)
           : !read_target(reader, fields, &members, job, problem) ||
                 !check_foreign(&members, job, problem) || !check_entry(&members, job, problem))
        return false;
    const bool fresh =
        !v2 && !job->target->paused && (job->chain == NULL || job->chain->target == NULL);
    if (!v2 && !read_endpoint(members.endpoint, fresh, job, problem))
        return false;
    if (!v2 && members.args != NULL && !read_args(nodes, members.args, job, problem))
        return false;
    job->gas = reader->options.gas;
    job->gas_named = members.gas != NULL;
    if (members.gas != NULL && !field_u64(members.gas, "gas", UINT64_MAX, &job->gas, problem))
        return false;
    job->post =
        !v2 && ((reader->options.post && job->target->foreign == NULL) || job->chain != NULL);
    if (members.post != NULL) {
        if (members.post->type != JSON_BOOL)
            return problem_at(problem, members.post->offset, "post: expected true or false");
        job->post = members.post->boolean;
    }
    if (members.on_pause != NULL && !on_pause_read(fields, members.on_pause, job, problem))
        return false;
    if (members.output != NULL && !read_output(members.output, job, problem))
        return false;
    *repeat = 1;
    if (members.repeat != NULL) {
        if (!field_u64(members.repeat, "repeat", UINT64_MAX / 2, repeat, problem))
            return false;
        if (*repeat == 0)
            return problem_at(problem, members.repeat->offset, "repeat: expected at least 1");
        job->repeated = true;
    }
    if (members.input != NULL &&
        (!read_input(reader, fields, chunk, members.input, job, *repeat > 1, problem) ||
         (fresh && !check_input(members.input, job, problem))))
        return false;
    if (members.expect != NULL &&
        !expect_read(fields, members.expect, members.output != NULL, chunk, job, problem))
        return false;
    if (v2 &&
        !v2_read_end(members.output != NULL ? members.output : members.v2, chunk, job, problem))
        return false;
    if (job->chain != NULL) { /* nothing can go wrong any more: it is the chain's next */
        job->chain->target = job->target;
        job->chain_digest = job->chain->digest;
        job->chain->digest = job_hash(job, *repeat);
    }
    return true;
}

/* 1: nothing to read here, 0: a line. */
static bool is_blank(const char *text, size_t len)
{
    size_t at = 0;
    while (at < len && (text[at] == ' ' || text[at] == '\t' || text[at] == '\r'))
        at++;
    return at == len || (len - at >= 2 && text[at] == '/' && text[at + 1] == '/');
}

enum line_kind reader_line(struct reader *reader, const char *text, size_t len, uint64_t number,
                           struct chunk *chunk, struct job **out, uint64_t *repeat,
                           struct problem *problem)
{
    *out = NULL;
    if (is_blank(text, len))
        return LINE_BLANK;
    struct fields fields = {text, len, NULL};
    struct json_problem json_problem;
    if (!json_parse(reader->json, text, len, &fields.nodes, &json_problem)) {
        problem_at(problem, json_problem.offset, "%s", json_problem.text);
        return LINE_BAD;
    }
    if (fields.nodes[0].type != JSON_OBJECT) {
        problem_at(problem, fields.nodes[0].offset, "expected an object {...}");
        return LINE_BAD;
    }
    if (json_member(fields.nodes, fields.nodes, "invoke") == NULL &&
        json_member(fields.nodes, fields.nodes, "chain") == NULL &&
        json_member(fields.nodes, fields.nodes, "program") == NULL &&
        (json_member(fields.nodes, fields.nodes, "image") != NULL ||
         json_member(fields.nodes, fields.nodes, "instance") != NULL))
        return definitions_add(reader->definitions, &fields, problem) ? LINE_DEFINITION : LINE_BAD;
    bool has_id = false;
    struct job *job = chunk_take(chunk, sizeof *job);
    *job = (struct job){.id_number = number};
    const bool good = read_job(reader, &fields, chunk, job, &has_id, repeat, problem);
    if (good || has_id)
        *out = job;
    return good ? LINE_JOB : LINE_BAD;
}

struct job *reader_bad_job(struct job *job, const char *text, size_t len, uint64_t number,
                           struct chunk *chunk, const struct problem *problem)
{
    if (job == NULL) {
        job = chunk_take(chunk, sizeof *job);
        *job = (struct job){.id_number = number};
    }
    char message[sizeof problem->text + 64];
    const int n =
        snprintf(message, sizeof message, "line %llu, column %zu: %s", (unsigned long long)number,
                 diag_column(text, len, problem->offset), problem->text);
    job->error = keep(chunk, message, (size_t)n);
    job->error_len = (size_t)n;
    /* The message names the line: the same text elsewhere comes to another result. */
    const uint64_t parts[] = {htole64(job_digest(text, len)), htole64(number)};
    job->error_digest = job_digest(parts, sizeof parts);
    job->target = NULL;
    job->v2 = NULL;
    job->chain = NULL;
    job->repeated = false;
    return job;
}
