/* Reading what record.c wrote. The file is a stranger's: everything is looked at before it is used.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch/diag.h"
#include "batch/fields.h"
#include "batch/json.h"
#include "batch/memory_file.h"
#include "batch/record.h"
#include "javm/load.h"

#define MAX_WORDS 100000u

struct recording {
    const char *path; /* borrowed: the recording's own */
    struct javm_bundle bundle;
    char *text; /* the description; nodes point into it and the parser */
    size_t text_len;
    struct json_parser *parser;
    const struct json_node *nodes, *files, *words;
    char *base;
    struct stream {
        struct memory_file file;
        char *name; /* PATH:NAME */
    } jobs, results;
    char **argv; /* for recording_options; texts of it stay as long as the options */
    struct options given;
    bool has_given;
};

bool recording_is(const char *path)
{
    uint8_t first[8];
    struct stat st;
    /* Looked at before it is opened: to open a pipe would wait for its writer. */
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    const ssize_t got = fd < 0 ? -1 : pread(fd, first, sizeof first, 0);
    if (fd >= 0)
        close(fd);
    return got == sizeof first && javm_file_sniff(first, sizeof first) == JAVM_FILE_BUNDLE;
}

static enum javm_status no_memory(struct javm_error *err)
{
    return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
}

static enum javm_status bad(const struct recording *r, const char *what, struct javm_error *err)
{
    return javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE, "%s: not a recorded run: %s", r->path, what);
}

/* ---- parts ---------------------------------------------------------------------------------- */

static const struct javm_cap *root(const struct recording *r, const char *name)
{
    for (uint32_t i = 0; i < r->bundle.root_count; i++)
        if (strcmp(r->bundle.roots[i].name, name) == 0)
            return r->bundle.caps[r->bundle.roots[i].cap];
    return NULL;
}

/* `len` bytes of the Data under a root, the caller's, and some that are zero. */
static enum javm_status part(const struct recording *r, const char *name, uint64_t len,
                             uint8_t **bytes, struct javm_error *err)
{
    const struct javm_cap *data = root(r, name);
    const uint64_t room = data != NULL && javm_cap_kind(data) == JAVM_DATA
                              ? javm_data_pages(data) * JAVM_PAGE_SIZE
                              : 0;
    if (len > room) {
        char text[100];
        snprintf(text, sizeof text, "%s has %llu bytes, expected %llu", name,
                 (unsigned long long)room, (unsigned long long)len);
        return bad(r, text, err);
    }
    *bytes = calloc(1, (size_t)len + 1 + json_padding());
    if (*bytes == NULL)
        return no_memory(err);
    if (len > 0)
        javm_data_read(data, 0, *bytes, (size_t)len);
    return JAVM_OK;
}

/* ---- the description ------------------------------------------------------------------------ */

static enum javm_status read_text(struct recording *r, struct javm_error *err)
{
    const struct javm_cap *data = root(r, "recording");
    struct json_problem problem;
    uint8_t *bytes;
    if (data == NULL || javm_cap_kind(data) != JAVM_DATA)
        return bad(r, "it has no root recording", err);
    r->text_len = (size_t)(javm_data_pages(data) * JAVM_PAGE_SIZE);
    const enum javm_status status = part(r, "recording", r->text_len, &bytes, err);
    if (status != JAVM_OK)
        return status;
    r->text = (char *)bytes;
    while (r->text_len > 0 && r->text[r->text_len - 1] == '\0')
        r->text_len--;
    r->parser = json_parser_new();
    if (r->parser == NULL)
        return no_memory(err);
    return json_parse(r->parser, r->text, r->text_len, &r->nodes, &problem)
               ? JAVM_OK
               : bad(r, problem.text, err);
}

static const struct json_node *member(const struct recording *r, const struct json_node *of,
                                      const char *name, enum json_type type)
{
    const struct json_node *node = of->type == JSON_OBJECT ? json_member(r->nodes, of, name) : NULL;
    return node != NULL && node->type == type ? node : NULL;
}

/* The jobs or the results: a member of the description and the root of the same name. */
static enum javm_status open_stream(const struct recording *r, const char *what,
                                    struct stream *stream, struct javm_error *err)
{
    const struct json_node *of = member(r, r->nodes, what, JSON_OBJECT);
    const struct json_node *name = of == NULL ? NULL : member(r, of, "name", JSON_STRING),
                           *len = of == NULL ? NULL : member(r, of, "len", JSON_UINT);
    uint8_t *bytes;
    if (name == NULL || len == NULL)
        return bad(r, "expected jobs and results with name and len", err);
    if (asprintf(&stream->name, "%s:%.*s", r->path, (int)name->text_len, name->text) < 0) {
        stream->name = NULL;
        return no_memory(err);
    }
    const enum javm_status status = part(r, what, len->u, &bytes, err);
    if (status != JAVM_OK)
        return status;
    const bool made = memory_file_make(&stream->file, bytes, (size_t)len->u);
    free(bytes);
    return made ? JAVM_OK
                : javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: no memory for it: %s", stream->name,
                            strerror(errno));
}

static enum javm_status read_description(struct recording *r, struct javm_error *err)
{
    const struct json_node *top = r->nodes;
    const struct json_node *version = member(r, top, "recording", JSON_UINT),
                           *base = member(r, top, "base", JSON_STRING);
    r->files = member(r, top, "files", JSON_ARRAY);
    r->words = member(r, top, "options", JSON_ARRAY);
    if (version == NULL || version->u != 1)
        return bad(r, "recording: expected 1", err);
    if (base == NULL || r->files == NULL || r->words == NULL)
        return bad(r, "expected base, options and files", err);
    r->base = strndup(base->text, base->text_len);
    if (r->base == NULL)
        return no_memory(err);
    const enum javm_status status = open_stream(r, "jobs", &r->jobs, err);
    return status == JAVM_OK ? open_stream(r, "results", &r->results, err) : status;
}

enum javm_status recording_open(const char *path, struct recording **out, struct javm_error *err)
{
    uint8_t *bytes;
    size_t len;
    struct recording *r = calloc(1, sizeof *r);
    if (r == NULL)
        return no_memory(err);
    r->path = path;
    r->jobs.file.fd = r->results.file.fd = -1;
    enum javm_status status = javm_file_read(path, 0, &bytes, &len, err);
    if (status == JAVM_OK) {
        status = javm_bundle_decode(bytes, len, &r->bundle, err);
        free(bytes);
        if (status == JAVM_OK)
            status = read_text(r, err);
    }
    if (status == JAVM_OK)
        status = read_description(r, err);
    if (status == JAVM_OK)
        *out = r;
    else
        recording_free(r);
    return status;
}

void recording_free(struct recording *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; r->argv != NULL && r->argv[i] != NULL; i++)
        free(r->argv[i]);
    if (r->has_given)
        options_free(&r->given);
    free(r->argv);
    memory_file_close(&r->jobs.file);
    memory_file_close(&r->results.file);
    free(r->jobs.name);
    free(r->results.name);
    json_parser_free(r->parser);
    javm_bundle_clear(&r->bundle);
    free(r->text);
    free(r->base);
    free(r);
}

struct recorded recording_jobs(const struct recording *r)
{
    return (struct recorded){r->jobs.file.name, r->jobs.name};
}

struct recorded recording_results(const struct recording *r)
{
    return (struct recorded){r->results.file.name, r->results.name};
}

const char *recording_base(const struct recording *r)
{
    return r->base;
}

/* ---- options -------------------------------------------------------------------------------- */

/* The words as a command line, each of them an option that record.c writes or its value. */
static enum javm_status make_command(struct recording *r, int *count, struct javm_error *err)
{
    static const char *const KNOWN[] = {"--gas",   "--gas-model",  "--post",     "--timeout",
                                        "--shard", "--keep-going", "--host-call"};
    int n = 0;
    if (r->words->count > MAX_WORDS)
        return bad(r, "too many options", err);
    r->argv = calloc(r->words->count + 4u, sizeof *r->argv);
    if (r->argv == NULL)
        return no_memory(err);
    r->argv[n++] = strdup("javm-batch");
    for (uint32_t i = r->words->first; i != 0; i = r->nodes[i].next) {
        const struct json_node *word = &r->nodes[i];
        bool known = false;
        if (word->type != JSON_STRING || memchr(word->text, '\0', word->text_len) != NULL)
            return bad(r, "options: expected texts", err);
        r->argv[n] = strndup(word->text, word->text_len);
        if (r->argv[n] == NULL)
            return no_memory(err);
        for (size_t k = 0; k < sizeof KNOWN / sizeof *KNOWN; k++)
            known |= strcmp(r->argv[n], KNOWN[k]) == 0;
        if (r->argv[n][0] == '-' && !known)
            return bad(r, "options: one that results do not depend on", err);
        n++;
    }
    r->argv[n++] = strdup("jobs");
    *count = n;
    return r->argv[0] != NULL && r->argv[n - 1] != NULL ? JAVM_OK : no_memory(err);
}

enum javm_status recording_options(struct recording *r, struct options *options,
                                   struct javm_error *err)
{
    int count;
    if (options->gas != DEFAULT_GAS || options->gas_model != JAVM_GAS_EXEC || options->post ||
        options->timeout_ms > 0 || options->shards > 1 || options->keep_going ||
        options->stubs.count > 0)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "%s: a recorded run has its own --gas, --gas-model, --post, --timeout, "
                         "--shard, --keep-going and --host-call",
                         r->path);
    const enum javm_status status = make_command(r, &count, err);
    if (status != JAVM_OK)
        return status;
    r->has_given = true;
    optind = 0; /* getopt_long begins anew */
    if (options_parse(count, r->argv, &r->given) != OPTIONS_GO)
        return bad(r, "its options, as told above", err);
    options->gas = r->given.gas;
    options->gas_model = r->given.gas_model;
    options->post = r->given.post;
    options->timeout_ms = r->given.timeout_ms;
    options->shard = r->given.shard;
    options->shards = r->given.shards;
    options->keep_going = r->given.keep_going;
    options->stubs = r->given.stubs; /* the recording's */
    return JAVM_OK;
}

/* ---- files ---------------------------------------------------------------------------------- */

enum javm_status recording_file(const struct recording *r, const char *path, uint8_t **bytes,
                                size_t *len, struct javm_error *err)
{
    const size_t path_len = strlen(path);
    unsigned number = 0;
    for (uint32_t i = r->files->first; i != 0; i = r->nodes[i].next, number++) {
        const struct json_node *name = member(r, &r->nodes[i], "path", JSON_STRING),
                               *size = member(r, &r->nodes[i], "len", JSON_UINT);
        char root_name[32];
        if (name == NULL || size == NULL || name->text_len != path_len ||
            memcmp(name->text, path, path_len) != 0)
            continue;
        snprintf(root_name, sizeof root_name, "file.%u", number);
        *len = (size_t)size->u;
        return part(r, root_name, size->u, bytes, err);
    }
    return javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE, "%s: the recorded run did not read it",
                     path);
}
