#include "jobs.h"

#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "tests/cli/demo_image.h"

#define KEPT 64

static struct javm_directory *directory;
static struct javm_dir_thread *self;
static struct reader *reader;
static struct chains *chains;
static struct chunk *chunks[KEPT];
static uint64_t number;

void jobs_set_up(void)
{
    static const char big[10000];
    struct javm_bundle bundle;
    uint8_t *bytes;
    size_t len;
    char base[1024];
    need(sodium_init() >= 0);
    scratch_make();
    need(demo_bundle("image", &bundle));
    need(javm_bundle_encode(&bundle, &bytes, &len, NULL) == JAVM_OK);
    scratch_write("d.jimg", bytes, len);
    scratch_write("small.bin", "\x01\x02\x03", 3);
    scratch_write("big.bin", big, sizeof big);
    free(bytes);
    javm_bundle_clear(&bundle);
    snprintf(base, sizeof base, "%s", scratch_path(""));
    need(javm_directory_create(1, 0, &directory, NULL) == JAVM_OK);
    self = javm_directory_join(directory);
    need(self != NULL);
    chains = chains_new();
    need(chains != NULL);
    const struct reader_options options = {.gas = 1000, .chains = chains};
    reader = reader_new(self, base, &options);
    need(reader != NULL);
    number = 0;
}

void jobs_tear_down(void)
{
    for (size_t i = 0; i < KEPT; i++)
        chunk_release(chunks[i]);
    memset(chunks, 0, sizeof chunks);
    reader_free(reader);
    chains_free(chains);
    javm_directory_leave(self);
    javm_directory_destroy(directory);
    scratch_remove();
}

struct javm_dir_thread *jobs_dir(void)
{
    return self;
}

struct read jobs_read(const char *text)
{
    struct read read = {.repeat = 0};
    const size_t len = strlen(text);
    char *padded = calloc(1, len + json_padding() + 1);
    need(padded != NULL);
    memcpy(padded, text, len);
    struct chunk **chunk = &chunks[++number % KEPT];
    chunk_release(*chunk);
    *chunk = chunk_new(NULL, reader_room(len));
    need(*chunk != NULL);
    const char *before = (*chunk)->at;
    read.kind =
        reader_line(reader, padded, len, number, *chunk, &read.job, &read.repeat, &read.problem);
    if (read.kind == LINE_BAD)
        read.job = reader_bad_job(read.job, padded, len, number, *chunk, &read.problem);
    need((size_t)((*chunk)->at - before) <= reader_room(len));
    free(padded);
    return read;
}

/* The line and what was said about it, for a test that is about to fail. */
static void tell(const char *text, const struct read *read)
{
    fprintf(stderr, "%s\n", text);
    if (read->kind == LINE_BAD)
        fprintf(stderr, "%zu: %s\n", read->problem.offset, read->problem.text);
}

static struct read read_as(const char *text, enum line_kind kind)
{
    const struct read read = jobs_read(text);
    if (read.kind != kind)
        tell(text, &read);
    need(read.kind == kind);
    return read;
}

void jobs_define(const char *text)
{
    read_as(text, LINE_DEFINITION);
}

struct job *jobs_job(const char *text)
{
    return read_as(text, LINE_JOB).job;
}

void jobs_refuse(const char *text, size_t offset, const char *message)
{
    const struct read read = read_as(text, LINE_BAD);
    const bool as_expected =
        read.problem.offset == offset && strncmp(read.problem.text, message, strlen(message)) == 0;
    if (!as_expected)
        tell(text, &read);
    need(as_expected);
}
