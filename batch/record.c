#include "batch/record.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "batch/json.h"
#include "batch/memory_file.h"
#include "batch/text.h"
#include "javm/load.h"

/* Bytes that go into the bundle as a Data; none when there are none. */
struct part {
    char *path; /* of a file that jobs name; owned */
    struct javm_cap *data;
    size_t len;
};

struct record {
    char *base;
    struct memory_file jobs;
    struct part jobs_part;
    struct part *files;
    size_t file_count, file_room;
    bool failed; /* no memory for a file */
};

static enum javm_status no_memory(struct javm_error *err)
{
    return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
}

static bool keep(struct part *part, const uint8_t *bytes, size_t len)
{
    part->len = len;
    return len == 0 || (part->data = javm_data_new(bytes, len)) != NULL;
}

/* Results have to be in a file to be read again, and not in that of the jobs. */
static enum javm_status check_paths(const struct options *options, struct javm_error *err)
{
    struct stat jobs, other;
    const bool have_jobs = stat(options->path, &jobs) == 0 && S_ISREG(jobs.st_mode);
    const char *const paths[] = {options->output, options->record};
    for (unsigned i = 0; i < 2; i++) {
        const bool there = stat(paths[i], &other) == 0;
        if (strcmp(paths[i], "-") == 0 || (there && !S_ISREG(other.st_mode)))
            return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE,
                             "%s: --record needs results that are in a file, and one of its own",
                             paths[i]);
        if (there && have_jobs && jobs.st_dev == other.st_dev && jobs.st_ino == other.st_ino)
            return javm_fail(err, JAVM_E_EXISTS, JAVM_NOWHERE,
                             "%s: this is the jobs file; nothing else can go there", paths[i]);
    }
    return JAVM_OK;
}

enum javm_status record_open(const struct options *options, struct record **out,
                             struct javm_error *err)
{
    const bool standard = strcmp(options->path, "-") == 0;
    enum javm_status status = check_paths(options, err);
    if (status != JAVM_OK)
        return status;
    uint8_t *bytes;
    size_t len;
    struct record *record = calloc(1, sizeof *record);
    if (record == NULL)
        return no_memory(err);
    record->jobs.fd = -1;
    status = javm_file_read(standard ? "/dev/stdin" : options->path, 0, &bytes, &len, err);
    if (status == JAVM_OK) {
        record->base = options_base(options->path);
        if (record->base == NULL || !keep(&record->jobs_part, bytes, len))
            status = no_memory(err);
        else if (!memory_file_make(&record->jobs, bytes, len))
            status = javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "--record: no memory for the jobs: %s",
                               strerror(errno));
        free(bytes);
    }
    if (status == JAVM_OK)
        *out = record;
    else
        record_free(record);
    return status;
}

void record_free(struct record *record)
{
    if (record == NULL)
        return;
    for (size_t i = 0; i < record->file_count; i++) {
        javm_cap_release(record->files[i].data);
        free(record->files[i].path);
    }
    javm_cap_release(record->jobs_part.data);
    memory_file_close(&record->jobs);
    free(record->files);
    free(record->base);
    free(record);
}

const char *record_jobs(const struct record *record)
{
    return record->jobs.name;
}

static bool known(const struct record *record, const char *path)
{
    for (size_t i = 0; i < record->file_count; i++)
        if (strcmp(record->files[i].path, path) == 0)
            return true;
    return false;
}

void record_note(struct record *record, const char *path, const uint8_t *bytes, size_t len)
{
    if (record->failed || known(record, path))
        return;
    if (record->file_count == record->file_room) {
        const size_t room = record->file_room * 2 + 16;
        struct part *more = realloc(record->files, room * sizeof *more);
        record->failed = more == NULL;
        if (more == NULL)
            return;
        record->files = more;
        record->file_room = room;
    }
    struct part *part = &record->files[record->file_count];
    *part = (struct part){.path = strdup(path)};
    record->failed = part->path == NULL || !keep(part, bytes, len);
    if (record->failed)
        free(part->path);
    else
        record->file_count++;
}

/* ---- the bundle --------------------------------------------------------------------------- */

static void put_string(FILE *to, const char *text)
{
    const size_t len = strlen(text);
    char *quoted = malloc(6 * len + 2);
    if (quoted != NULL)
        fwrite(quoted, 1, (size_t)(put_json(quoted, text, len) - quoted), to);
    else
        fputs("?", to); /* no JSON: found out when the text is looked at */
    free(quoted);
}

static void put_options(FILE *to, const struct options *options)
{
    fprintf(to, "\"--gas\",\"%llu\",\"--gas-model\",\"%s\"", (unsigned long long)options->gas,
            options->gas_model == JAVM_GAS_FULL ? "full" : "exec");
    if (options->post)
        fputs(",\"--post\"", to);
    if (options->keep_going)
        fputs(",\"--keep-going\"", to);
    if (options->timeout_ms > 0)
        fprintf(to, ",\"--timeout\",\"%llu\"", (unsigned long long)options->timeout_ms);
    if (options->shards > 1)
        fprintf(to, ",\"--shard\",\"%llu/%llu\"", (unsigned long long)options->shard,
                (unsigned long long)options->shards);
    for (size_t i = 0; i < options->stubs.count; i++) {
        fputs(",\"--host-call\",", to);
        put_string(to, options->stubs.items[i].name);
    }
}

static void put_named(FILE *to, const char *path, size_t len)
{
    const char *slash = strrchr(path, '/');
    fputs("{\"name\":", to);
    put_string(to, slash != NULL ? slash + 1 : path);
    fprintf(to, ",\"len\":%zu}", len);
}

/* One line of JSON, which says what the other parts are. malloc'ed, with padding for the parser. */
static char *describe(const struct record *record, const struct options *options,
                      const struct part *results, size_t *len)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL)
        return NULL;
    fputs("{\"recording\":1,\"base\":", to);
    put_string(to, record->base);
    fputs(",\"options\":[", to);
    put_options(to, options);
    fputs("],\"jobs\":", to);
    put_named(to, options->path, record->jobs_part.len);
    fputs(",\"results\":", to);
    put_named(to, options->output, results->len);
    fputs(",\"files\":[", to);
    for (size_t i = 0; i < record->file_count; i++) {
        fputs(i == 0 ? "{\"path\":" : ",{\"path\":", to);
        put_string(to, record->files[i].path);
        fprintf(to, ",\"len\":%zu}", record->files[i].len);
    }
    fputs("]}\n", to);
    *len = (size_t)ftell(to);
    for (size_t i = 0; i < json_padding(); i++)
        fputc(0, to);
    if (fclose(to) == 0)
        return text;
    free(text);
    return NULL;
}

/* Paths are bytes to the system, and text in the description. */
static enum javm_status check_text(const char *text, size_t len, struct javm_error *err)
{
    const struct json_node *nodes;
    struct json_problem problem;
    struct json_parser *parser = json_parser_new();
    if (parser == NULL)
        return no_memory(err);
    const bool good = json_parse(parser, text, len, &nodes, &problem);
    json_parser_free(parser);
    return good ? JAVM_OK
                : javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE,
                            "a path cannot be recorded: expected UTF-8");
}

struct making {
    struct javm_bundle bundle;
    uint32_t room;
};

static bool add(struct making *m, const char *name, const struct part *part)
{
    struct javm_bundle *b = &m->bundle;
    if (part->len == 0)
        return true;
    char *copy = strdup(name);
    if (copy == NULL)
        return false;
    b->roots[b->root_count++] = (struct javm_bundle_root){copy, b->cap_count};
    b->caps[b->cap_count++] = javm_cap_retain(part->data);
    return true;
}

static enum javm_status make(const struct record *record, const struct part *text,
                             const struct part *results, struct making *m, struct javm_error *err)
{
    const size_t room = record->file_count + 3;
    char name[32];
    m->bundle.caps = calloc(room, sizeof *m->bundle.caps);
    m->bundle.roots = calloc(room, sizeof *m->bundle.roots);
    bool good = room <= UINT32_MAX && m->bundle.caps != NULL && m->bundle.roots != NULL &&
                add(m, "recording", text) && add(m, "jobs", &record->jobs_part) &&
                add(m, "results", results);
    for (size_t i = 0; good && i < record->file_count; i++) {
        snprintf(name, sizeof name, "file.%zu", i);
        good = add(m, name, &record->files[i]);
    }
    return good ? JAVM_OK : no_memory(err);
}

static enum javm_status write_parts(const struct record *record, const struct part *text,
                                    const struct part *results, const char *path,
                                    struct javm_error *err)
{
    struct making m = {0};
    uint8_t *bytes = NULL;
    size_t len;
    enum javm_status status = make(record, text, results, &m, err);
    if (status == JAVM_OK)
        status = javm_bundle_encode(&m.bundle, &bytes, &len, err);
    if (status == JAVM_OK)
        status = javm_file_write(path, bytes, len, err);
    free(bytes);
    javm_bundle_clear(&m.bundle);
    return status;
}

enum javm_status record_write(struct record *record, const struct options *options,
                              struct javm_error *err)
{
    struct part results = {NULL, NULL, 0}, text = {NULL, NULL, 0};
    uint8_t *bytes = NULL;
    size_t len;
    if (record->failed)
        return no_memory(err);
    enum javm_status status = javm_file_read(options->output, 0, &bytes, &len, err);
    if (status != JAVM_OK)
        return status;
    if (!keep(&results, bytes, len))
        status = no_memory(err);
    free(bytes);
    char *json = status == JAVM_OK ? describe(record, options, &results, &len) : NULL;
    if (status == JAVM_OK)
        status = json == NULL ? no_memory(err) : check_text(json, len, err);
    if (status == JAVM_OK && !keep(&text, (const uint8_t *)json, len))
        status = no_memory(err);
    if (status == JAVM_OK)
        status = write_parts(record, &text, &results, options->record, err);
    free(json);
    javm_cap_release(text.data);
    javm_cap_release(results.data);
    return status;
}
