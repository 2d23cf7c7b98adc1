#include "batch/check.h"

#include <stdlib.h>
#include <string.h>

#include "batch/diag.h"
#include "batch/input.h"
#include "batch/reader.h"
#include "batch/text.h"

struct check {
    struct input *input;
    struct reader *reader;
    uint64_t jobs, runs, definitions, problems;
};

static void report(struct check *check, const struct line *line, const struct problem *problem)
{
    check->problems++;
    diag_print(stderr, input_name(check->input), line->number, line->text, line->len, problem);
}

/* False: out of memory. */
static bool check_line(struct check *check, const struct line *line)
{
    struct problem problem;
    struct job *job;
    uint64_t repeat;
    struct chunk *chunk = chunk_new(NULL, reader_room(line->len));
    if (chunk == NULL)
        return false;
    switch (reader_line(check->reader, line->text, line->len, line->number, chunk, &job, &repeat,
                        &problem)) {
    case LINE_BLANK:
        break;
    case LINE_DEFINITION:
        check->definitions++;
        break;
    case LINE_JOB:
        check->jobs++;
        if (__builtin_add_overflow(check->runs, repeat, &check->runs))
            check->runs = UINT64_MAX; /* more than any batch could run */
        break;
    case LINE_BAD:
        report(check, line, &problem);
        break;
    }
    chunk_release(chunk);
    return true;
}

/* The exit code. */
static int check_lines(struct check *check)
{
    struct javm_error err;
    struct problem problem;
    struct line line;
    for (;;) {
        switch (input_next(check->input, &line, &err)) {
        case INPUT_LINE:
            if (check_line(check, &line))
                break;
            complain("out of memory");
            return 3;
        case INPUT_TOO_LONG:
            problem_at(&problem, 0,
                       "this line is longer than %u bytes; give large inputs as \"@file\"",
                       INPUT_LINE_MAX);
            line.text = NULL;
            report(check, &line, &problem);
            break;
        case INPUT_WAIT:
            input_wait(check->input, -1);
            break;
        case INPUT_END:
            return check->problems > 0 ? 2 : 0;
        case INPUT_FAILED:
            complain("%s", err.text);
            check->problems++;
            return err.status == JAVM_E_FORMAT ? 2 : 3;
        }
    }
}

static int check_with(struct javm_dir_thread *dir, const struct options *options)
{
    struct check check = {0};
    struct javm_error err;
    char a[32], b[32], c[32], d[32];
    const enum javm_status status = input_open(options->path, &check.input, &err);
    if (status != JAVM_OK) {
        complain("%s", err.text);
        return status == JAVM_E_NOMEM ? 3 : 2;
    }
    struct chains *chains = chains_new();
    const struct reader_options reader_options = {
        .gas = options->gas, .post = options->post, .chains = chains, .stubs = &options->stubs};
    char *base = options_base(options->path);
    if (base != NULL && chains != NULL)
        check.reader = reader_new(dir, base, &reader_options);
    free(base);
    int code = 3;
    if (check.reader == NULL)
        complain("out of memory");
    else
        code = check_lines(&check);
    fprintf(stderr, "%s: %s definitions, %s jobs (%s runs), %s problems\n", input_name(check.input),
            text_grouped(a, check.definitions), text_grouped(b, check.jobs),
            text_grouped(c, check.runs), text_grouped(d, check.problems));
    reader_free(check.reader);
    chains_free(chains);
    input_close(check.input);
    return code;
}

int check_jobs(const struct options *options)
{
    struct javm_directory *dir;
    struct javm_error err;
    if (javm_directory_create(1, 0, &dir, &err) != JAVM_OK) {
        complain("%s", err.text);
        return 3;
    }
    struct javm_dir_thread *self = javm_directory_join(dir);
    int code = 3;
    if (self == NULL)
        complain("out of memory");
    else
        code = check_with(self, options);
    if (self != NULL)
        javm_directory_leave(self);
    javm_directory_destroy(dir);
    return code;
}
