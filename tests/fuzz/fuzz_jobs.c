/* Any bytes as a jobs file: decompression, lines, JSON, definitions, jobs, messages with their
 * caret, and the lines that results become. Beyond memory errors it would catch: a parser and its
 * second look that disagree, a message without a place, with a raw control or with broken UTF-8, a
 * caret that stands elsewhere than the column says, a line that takes more of a chunk than
 * reader_room promises, and a result line that is longer than announced or no JSON.
 *
 * Files are looked up in a folder of its own below $TMPDIR only: lines that could name another
 * place are left out. */
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "batch/execute.h"
#include "batch/expect.h"
#include "batch/input.h"
#include "batch/json_fault.h"
#include "batch/reader.h"
#include "batch/v2_job.h"
#include "tests/cli/demo_image.h"
#include "tests/loaders/pvm_maker.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static char folder[512];
static char input_path[64];
static int input_file = -1;
static struct json_parser *json; /* a second one: the reader's nodes stay as they are */

static void require(bool good)
{
    if (!good)
        abort();
}

/* ---- the folder ------------------------------------------------------------------------- */

static const char *const NAMES[] = {"d.jimg", "cut.jimg", "small.bin", "big.bin", "s.jar"};

static void path_of(char path[1024], const char *name)
{
    snprintf(path, 1024, "%s%s", folder, name);
}

static void save(const char *name, const void *bytes, size_t len)
{
    char path[1024];
    path_of(path, name);
    require(javm_file_write(path, bytes, len, NULL) == JAVM_OK);
}

/* A blob of the JAR v2 kernel. */
static void save_program(void)
{
    struct blob code = {0};
    blob_code(&code, &pvm_sample, false);
    const struct jar_source_entry entries[] = {{64, 0, 0, 0, 0, 0, (uint32_t)code.len},
                                               {0, 1, 16, 1, 1, 0, 0}};
    struct blob jar = jar_make(2, 64, entries, 2, code.bytes, code.len);
    save("s.jar", jar.bytes, jar.len);
    blob_free(&jar);
    blob_free(&code);
}

static void clean_up(void)
{
    char path[1024];
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        path_of(path, NAMES[i]);
        unlink(path);
    }
    rmdir(folder);
    json_parser_free(json);
}

static void set_up(void)
{
    static const char big[10000];
    const char *base = getenv("TMPDIR");
    struct javm_bundle bundle;
    uint8_t *bytes;
    size_t len;
    require(sodium_init() >= 0);
    snprintf(folder, sizeof folder - 1, "%s/javm-fuzz-jobs-XXXXXX", base == NULL ? "/tmp" : base);
    require(mkdtemp(folder) != NULL);
    strcat(folder, "/");
    atexit(clean_up);
    require(demo_bundle("image", &bundle));
    require(javm_bundle_encode(&bundle, &bytes, &len, NULL) == JAVM_OK);
    save("d.jimg", bytes, len);
    save("cut.jimg", bytes, len / 2);
    save("small.bin", "\x01\x02\x03", 3);
    save("big.bin", big, sizeof big);
    save_program();
    free(bytes);
    javm_bundle_clear(&bundle);
    json = json_parser_new();
    input_file = memfd_create("jobs", MFD_CLOEXEC);
    require(json != NULL && input_file >= 0);
    snprintf(input_path, sizeof input_path, "/proc/self/fd/%d", input_file);
}

/* ---- checks ----------------------------------------------------------------------------- */

/* Does a value hold a slash? Without one a file name stays in the folder. */
static bool names_elsewhere(const struct json_node *nodes)
{
    uint32_t waiting[4096], count = 1;
    waiting[0] = 0;
    while (count > 0) {
        const struct json_node *node = &nodes[waiting[--count]];
        if (node->type == JSON_STRING && memchr(node->text, '/', node->text_len) != NULL)
            return true;
        if (node->type == JSON_ARRAY || node->type == JSON_OBJECT)
            for (uint32_t i = node->first; i != 0; i = nodes[i].next) {
                if (count == sizeof waiting / sizeof *waiting)
                    return true;
                waiting[count++] = i;
            }
    }
    return false;
}

/* The parser and the scanner that explains its refusals agree. False: leave the line out. */
static bool check_json(const struct line *line)
{
    const struct json_node *nodes;
    struct json_problem problem, second;
    if (json_parse(json, line->text, line->len, &nodes, &problem)) {
        require(!json_find_fault(line->text, line->len, &second));
        return !names_elsewhere(nodes);
    }
    require(problem.text[0] != '\0' && problem.offset <= line->len);
    if (strstr(problem.text, "twice") == NULL)
        require(json_find_fault(line->text, line->len, &second));
    return true;
}

static void check_clean(const char *text, size_t len)
{
    for (size_t at = 0, step; at < len; at += step) {
        step = json_utf8_length(text + at, len - at);
        require(step > 0 && (unsigned char)text[at] >= 0x20 && text[at] != 0x7F);
    }
}

/* Three lines: file:line:column: message, the line, the caret. */
static void check_message(const struct line *line, const struct problem *problem)
{
    char *text = NULL;
    size_t len = 0, number, column;
    require(problem->offset <= line->len && problem->text[0] != '\0');
    check_clean(problem->text, strlen(problem->text));
    FILE *memory = open_memstream(&text, &len);
    require(memory != NULL);
    diag_print(memory, "jobs", line->number, line->text, line->len, problem);
    require(fclose(memory) == 0);
    require(sscanf(text, "jobs:%zu:%zu: ", &number, &column) == 2 && number == line->number);
    require(column == diag_column(line->text, line->len, problem->offset) && column >= 1);
    const char *shown = strchr(text, '\n') + 1;
    const char *caret = strchr(shown, '\n') + 1;
    require(strlen(text) == len && strchr(caret, '\n') == text + len - 1);
    const size_t before = strspn(caret, " \t");
    require(caret[before] == '^' && caret[before + 1] == '\n');
    if (strncmp(shown, "    ...", 7) != 0) /* not cut at the left: four blanks, then the columns */
        require(before == 4 + column - 1);
    free(text);
}

/* The line that a result becomes: JSON on one line within the promised length. */
static void check_result(const struct job *job, uint64_t rep, const struct result *result,
                         uint32_t mismatch)
{
    const struct json_node *nodes;
    struct json_problem problem;
    const struct result_style style = {.reproducible = rep % 2 == 0, .worker = 4095};
    const size_t max = result_line_max(job, result);
    char *line = malloc(max + json_padding());
    require(line != NULL);
    memset(line, 0, max + json_padding());
    const char *end = result_line(line, job, rep, result, mismatch, &style);
    const size_t len = (size_t)(end - line);
    require(len > 0 && len <= max && line[len - 1] == '\n' && memchr(line, '\n', len) == end - 1);
    require(json_parse(json, line, len - 1, &nodes, &problem));
    const struct json_node *id = json_member(nodes, nodes, "id");
    require(id != NULL);
    if (job->id != NULL)
        require(id->type == JSON_STRING && id->text_len == job->id_len &&
                memcmp(id->text, job->id, job->id_len) == 0);
    else
        require((id->type == JSON_UINT || id->type == JSON_INT) && id->u == job->id_number);
    free(line);
}

static void check_bad_job(const struct job *job)
{
    struct result result;
    execute(NULL, NULL, job, NULL, 0, 0, &result); /* reports and runs nothing */
    require(result.outcome == OUTCOME_ERROR && strlen(result.error) == job->error_len);
    check_clean(result.error, strlen(result.error));
    check_result(job, 0, &result, 0);
    result_clear(&result);
}

static void check_job(const struct job *job, uint64_t repeat)
{
    struct result result = {.outcome = OUTCOME_HALT,
                            .fields = 1u << FIELD_EXIT | 1u << FIELD_VALUE | 1u << FIELD_GAS_USED,
                            .value = UINT64_MAX,
                            .gas_used = UINT64_MAX,
                            .us = UINT64_MAX};
    if (job->v2 != NULL)
        result.storage_expected = job->v2->storage_text;
    require((job->target != NULL) != (job->v2 != NULL) && repeat >= 1 &&
            job->output <= OUTPUT_BYTES);
    if (job->output == OUTPUT_BYTES) {
        result.fields |= 1u << FIELD_OUTPUT;
        if (job->input != NULL) {
            result.slot0 = javm_data_new(job->input, job->input_len);
            result.output_len = job->input_len;
            require(result.slot0 != NULL);
        } else {
            result.output_null = true;
        }
    } else if (job->output == OUTPUT_HASH) {
        result.fields |= 1u << FIELD_OUTPUT_HASH;
        result.output_null = job->input == NULL;
    }
    check_result(job, repeat - 1, &result,
                 job->expect == NULL ? 0 : expect_compare(job->expect, &result));
    result_clear(&result);
    result.fields = 1u << FIELD_EXIT; /* everything that is expected is missing */
    result.outcome = OUTCOME_TRAP;
    check_result(job, 0, &result, job->expect == NULL ? 0 : expect_compare(job->expect, &result));
}

/* ---- reading ---------------------------------------------------------------------------- */

static void one_line(struct reader *reader, const struct line *line)
{
    struct problem problem;
    struct job *job;
    uint64_t repeat = 0;
    if (!check_json(line))
        return;
    struct chunk *chunk = chunk_new(NULL, reader_room(line->len));
    require(chunk != NULL);
    const char *begin = chunk->at;
    switch (
        reader_line(reader, line->text, line->len, line->number, chunk, &job, &repeat, &problem)) {
    case LINE_BLANK:
    case LINE_DEFINITION:
        break;
    case LINE_JOB:
        check_job(job, repeat);
        break;
    case LINE_BAD:
        check_message(line, &problem);
        job = reader_bad_job(job, line->text, line->len, line->number, chunk, &problem);
        check_bad_job(job);
        break;
    }
    require((size_t)(chunk->at - begin) <= reader_room(line->len));
    chunk_release(chunk);
}

/* Two thousand compressed bytes can be sixty million lines, or a few very long ones: checking all
 * of them would take minutes. Bytes, each line counting for some more. */
enum { WORK_MAX = 1 << 20, WORK_OF_A_LINE = 100 };

static void read_all(struct reader *reader)
{
    struct input *input;
    struct line line;
    struct javm_error err;
    uint64_t last = 0, work = 0;
    bool more = true;
    require(input_open(input_path, &input, &err) == JAVM_OK);
    while (more) {
        switch (input_next(input, &line, &err)) {
        case INPUT_LINE:
            require(line.number > last && line.len <= INPUT_LINE_MAX);
            last = line.number;
            work += WORK_OF_A_LINE + line.len;
            more = work <= WORK_MAX;
            if (more)
                one_line(reader, &line);
            break;
        case INPUT_TOO_LONG:
            require(line.number > last);
            last = line.number;
            break;
        case INPUT_WAIT:
            abort(); /* a regular file is always ready */
        case INPUT_FAILED:
            require(err.text[0] != '\0' && err.status == JAVM_E_FORMAT);
            more = false;
            break;
        case INPUT_END:
            more = false;
            break;
        }
    }
    input_close(input);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct javm_directory *dir;
    struct chains *chains = chains_new();
    const struct reader_options options = {.gas = 1000, .post = size % 2 == 1, .chains = chains};
    require(chains != NULL);
    if (input_file < 0)
        set_up();
    require(ftruncate(input_file, 0) == 0);
    require(pwrite(input_file, data, size, 0) == (ssize_t)size);
    require(javm_directory_create(1, 4, &dir, NULL) == JAVM_OK);
    struct javm_dir_thread *self = javm_directory_join(dir);
    require(self != NULL);
    struct reader *reader = reader_new(self, folder, &options);
    require(reader != NULL);
    read_all(reader);
    reader_free(reader);
    chains_free(chains);
    javm_directory_leave(self);
    javm_directory_destroy(dir);
    return 0;
}
