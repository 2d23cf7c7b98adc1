/* Defects that this would catch: lines torn, joined or lost where they cross a block border, a last
 * line without a newline dropped, wrong line numbers after an overlong line, truncated or damaged
 * compressed input taken for its end, whole lines before the damage lost, members after the first
 * ignored, and a reader that sleeps while lines are there. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "batch/input.h"
#include "files.h"

/* Lines "<n> xxxx..." of lengths that wander around block sizes. */
static char *make_lines(size_t total, size_t *count, size_t *len)
{
    char *text = malloc(total + 70000);
    cr_assert(text != NULL);
    *count = *len = 0;
    unsigned state = 7;
    while (*len < total) {
        state = state * 1103515245u + 12345u;
        const size_t pad = (state >> 16) % 8 == 0 ? (state >> 8) % 60000 : (state >> 8) % 200;
        *len += (size_t)sprintf(text + *len, "%zu ", ++*count);
        memset(text + *len, 'x', pad);
        *len += pad;
        text[(*len)++] = '\n';
    }
    return text;
}

/* Read everything; lines must be those of `text`. */
static void expect_lines(const char *name, const char *text, size_t len)
{
    struct input *input;
    struct javm_error err;
    struct line line;
    cr_assert_eq(input_open(scratch_path(name), &input, &err), JAVM_OK, "%s", err.text);
    size_t at = 0;
    uint64_t number = 0;
    enum input_event event;
    while ((event = input_next(input, &line, &err)) == INPUT_LINE) {
        const char *newline = memchr(text + at, '\n', len - at);
        const size_t want = newline == NULL ? len - at : (size_t)(newline - text) - at;
        cr_assert_eq(line.number, ++number);
        cr_assert_eq(line.len, want, "line %zu", (size_t)number);
        cr_assert_eq(memcmp(line.text, text + at, want), 0);
        at += want + (newline != NULL);
    }
    cr_expect_eq(event, INPUT_END, "%s", err.text);
    cr_expect_eq(at, len);
    uint64_t consumed, size;
    input_position(input, &consumed, &size);
    cr_expect_eq(consumed, size);
    input_close(input);
}

Test(input, lines_across_block_borders, .init = scratch_make, .fini = scratch_remove)
{
    size_t count, len, packed;
    char *text = make_lines(3u << 20, &count, &len);
    scratch_write("plain", text, len);
    expect_lines("plain", text, len);
    scratch_write("open-end", text, len - 1); /* the last line without its newline */
    expect_lines("open-end", text, len - 1);
    char *gzip = make_gzip(text, len, &packed);
    scratch_write("a.gz", gzip, packed);
    expect_lines("a.gz", text, len);
    scratch_write("gzip-by-content", gzip, packed);
    expect_lines("gzip-by-content", text, len);
    char *zstd = make_zstd(text, len, &packed);
    scratch_write("a.zst", zstd, packed);
    expect_lines("a.zst", text, len);
    free(text);
    free(gzip);
    free(zstd);
}

Test(input, highly_compressed_input, .init = scratch_make, .fini = scratch_remove)
{
    /* A few raw bytes make many blocks: output must be drained without new input. */
    const size_t len = 5u << 20;
    size_t packed;
    char *text = malloc(len);
    cr_assert(text != NULL);
    for (size_t i = 0; i < len; i++)
        text[i] = i % 1000 == 999 ? '\n' : 'z';
    char *gzip = make_gzip(text, len, &packed);
    scratch_write("a.gz", gzip, packed);
    expect_lines("a.gz", text, len);
    free(gzip);
    char *zstd = make_zstd(text, len, &packed);
    scratch_write("a.zst", zstd, packed);
    expect_lines("a.zst", text, len);
    free(zstd);
    free(text);
}

Test(input, members_one_after_the_other, .init = scratch_make, .fini = scratch_remove)
{
    size_t a, b;
    char *first = make_gzip("one\ntw", 6, &a);
    char *second = make_gzip("o\nthree\n", 8, &b);
    char *both = malloc(a + b);
    cr_assert(both != NULL);
    memcpy(both, first, a);
    memcpy(both + a, second, b);
    scratch_write("two.gz", both, a + b);
    expect_lines("two.gz", "one\ntwo\nthree\n", 14);
    free(first);
    free(second);
    free(both);
    first = make_zstd("one\ntw", 6, &a);
    second = make_zstd("o\nthree\n", 8, &b);
    both = malloc(a + b);
    cr_assert(both != NULL);
    memcpy(both, first, a);
    memcpy(both + a, second, b);
    scratch_write("two.zst", both, a + b);
    expect_lines("two.zst", "one\ntwo\nthree\n", 14);
    free(first);
    free(second);
    free(both);
}

Test(input, small_and_empty_files, .init = scratch_make, .fini = scratch_remove)
{
    scratch_write("empty", "", 0);
    expect_lines("empty", "", 0);
    scratch_write("newline", "\n", 1);
    expect_lines("newline", "\n", 1);
    scratch_write("one", "x", 1);
    expect_lines("one", "x", 1);
    scratch_write("almost-magic", "\x28\xB5", 2);
    expect_lines("almost-magic", "\x28\xB5", 2);
    scratch_write("nul", "a\0b\nc", 5);
    expect_lines("nul", "a\0b\nc", 5);
}

/* Read to the end; returns the failing status and counts the lines before it. */
static enum javm_status damage(const char *name, size_t *lines, struct javm_error *err)
{
    struct input *input;
    struct line line;
    enum input_event event;
    *lines = 0;
    const enum javm_status status = input_open(scratch_path(name), &input, err);
    if (status != JAVM_OK)
        return status;
    while ((event = input_next(input, &line, err)) == INPUT_LINE)
        ++*lines;
    input_close(input);
    return event == INPUT_END ? JAVM_OK : err->status;
}

Test(input, cut_and_damaged_streams, .init = scratch_make, .fini = scratch_remove)
{
    size_t count, len, packed, lines;
    struct javm_error err;
    char *text = make_lines(1u << 20, &count, &len);
    unsigned state = 99;
    for (size_t i = 0; i < len; i++) { /* noise, so that positions in the two streams correspond */
        state = state * 1103515245u + 12345u;
        if (text[i] == 'x')
            text[i] = (char)('a' + (state >> 16) % 26);
    }
    for (int codec = 0; codec < 2; codec++) {
        char *stream = codec == 0 ? make_gzip(text, len, &packed) : make_zstd(text, len, &packed);
        const char *name = codec == 0 ? "d.gz" : "d.zst";
        for (size_t cut = 1; cut < packed; cut = cut * 3 + 5) {
            scratch_write(name, stream, packed - cut);
            cr_expect_eq(damage(name, &lines, &err), JAVM_E_FORMAT, "cut %zu", cut);
            cr_expect(strstr(err.text, "the file ends inside it") != NULL ||
                          strstr(err.text, "not a ") != NULL,
                      "%s", err.text);
        }
        scratch_write(name, stream, packed * 3 / 4);
        cr_expect_eq(damage(name, &lines, &err), JAVM_E_FORMAT);
        size_t least = 0; /* the decoders hold back less than this */
        for (size_t i = 0; i < len / 2; i++)
            least += text[i] == '\n';
        cr_expect(lines >= least && lines < count, "%zu of %zu, %zu", lines, count, least);
        stream[packed / 2] ^= 0x55;
        scratch_write(name, stream, packed);
        cr_expect_eq(damage(name, &lines, &err), JAVM_E_FORMAT);
        cr_expect(strstr(err.text, "damaged compressed data near byte") != NULL, "%s", err.text);
        free(stream);
    }
    free(text);
}

Test(input, names_that_lie, .init = scratch_make, .fini = scratch_remove)
{
    size_t lines;
    struct javm_error err;
    scratch_write("plain.gz", "{}\n", 3);
    cr_expect_eq(damage("plain.gz", &lines, &err), JAVM_E_FORMAT);
    cr_expect(strstr(err.text, "not a gzip file") != NULL, "%s", err.text);
    scratch_write("plain.zst", "{}\n", 3);
    cr_expect_eq(damage("plain.zst", &lines, &err), JAVM_E_FORMAT);
    scratch_write("empty.gz", "", 0);
    cr_expect_eq(damage("empty.gz", &lines, &err), JAVM_E_FORMAT);
    cr_expect_eq(damage("absent", &lines, &err), JAVM_E_IO);
    cr_expect(strstr(err.text, "No such file") != NULL, "%s", err.text);
    cr_expect_eq(damage(".", &lines, &err), JAVM_E_IO);
    cr_expect(strstr(err.text, "directory") != NULL, "%s", err.text);
}

Test(input, rubbish_after_a_stream, .init = scratch_make, .fini = scratch_remove)
{
    size_t packed, lines;
    struct javm_error err;
    for (int codec = 0; codec < 2; codec++) {
        char *stream =
            codec == 0 ? make_gzip("a\nb\n", 4, &packed) : make_zstd("a\nb\n", 4, &packed);
        char *longer = malloc(packed + 20);
        cr_assert(longer != NULL);
        memcpy(longer, stream, packed);
        memset(longer + packed, '?', 20);
        scratch_write("r", longer, packed + 20);
        cr_expect_eq(damage("r", &lines, &err), JAVM_E_FORMAT);
        free(stream);
        free(longer);
    }
}

Test(input, an_overlong_line_is_skipped, .init = scratch_make, .fini = scratch_remove)
{
    const size_t len = INPUT_LINE_MAX + 100;
    char *text = malloc(len + 8);
    struct input *input;
    struct javm_error err;
    struct line line;
    cr_assert(text != NULL);
    memset(text, 'y', len);
    memcpy(text, "a\n", 2);
    memcpy(text + len, "\nb\nc", 4);
    scratch_write("long", text, len + 4);
    cr_assert_eq(input_open(scratch_path("long"), &input, &err), JAVM_OK);
    cr_assert_eq(input_next(input, &line, &err), INPUT_LINE);
    cr_assert_eq(input_next(input, &line, &err), INPUT_TOO_LONG);
    cr_expect_eq(line.number, 2);
    cr_assert_eq(input_next(input, &line, &err), INPUT_LINE);
    cr_expect_eq(line.number, 3);
    cr_expect(line.len == 1 && line.text[0] == 'b');
    cr_assert_eq(input_next(input, &line, &err), INPUT_LINE);
    cr_expect(line.number == 4 && line.text[0] == 'c');
    cr_expect_eq(input_next(input, &line, &err), INPUT_END);
    input_close(input);
    free(text);
}

Test(input, a_line_of_the_longest_length_is_read, .init = scratch_make, .fini = scratch_remove)
{
    char *text = malloc(INPUT_LINE_MAX + 1);
    struct input *input;
    struct javm_error err;
    struct line line;
    cr_assert(text != NULL);
    memset(text, 'y', INPUT_LINE_MAX);
    text[INPUT_LINE_MAX] = '\n';
    scratch_write("long", text, INPUT_LINE_MAX + 1);
    cr_assert_eq(input_open(scratch_path("long"), &input, &err), JAVM_OK);
    cr_assert_eq(input_next(input, &line, &err), INPUT_LINE);
    cr_expect_eq(line.len, INPUT_LINE_MAX);
    cr_expect_eq(input_next(input, &line, &err), INPUT_END);
    input_close(input);
    free(text);
}

/* A pipe on standard input: what is there is given out before anybody sleeps. */
Test(input, a_pipe_that_pauses, .init = scratch_make, .fini = scratch_remove)
{
    int fds[2];
    struct input *input;
    struct javm_error err;
    struct line line;
    cr_assert_eq(pipe(fds), 0);
    cr_assert(dup2(fds[0], STDIN_FILENO) == STDIN_FILENO);
    cr_assert_eq(input_open("-", &input, &err), JAVM_OK);
    cr_expect_str_eq(input_name(input), "<stdin>");
    cr_expect_eq(input_next(input, &line, &err), INPUT_WAIT);
    cr_assert_eq(write(fds[1], "one\ntwo\nth", 10), 10);
    cr_expect_eq(input_next(input, &line, &err), INPUT_LINE);
    cr_expect_eq(input_next(input, &line, &err), INPUT_LINE);
    cr_expect_eq(input_next(input, &line, &err), INPUT_WAIT);
    cr_assert_eq(write(fds[1], "ree\n", 4), 4);
    input_wait(input, -1);
    cr_assert_eq(input_next(input, &line, &err), INPUT_LINE);
    cr_expect(line.len == 5 && memcmp(line.text, "three", 5) == 0);
    close(fds[1]);
    cr_expect_eq(input_next(input, &line, &err), INPUT_END);
    input_close(input);
}

/* A compressed pipe whose magic number arrives byte by byte. */
Test(input, magic_in_pieces, .init = scratch_make, .fini = scratch_remove)
{
    int fds[2];
    size_t packed;
    struct input *input;
    struct javm_error err;
    struct line line;
    char *stream = make_zstd("one\n", 4, &packed);
    cr_assert_eq(pipe(fds), 0);
    cr_assert(dup2(fds[0], STDIN_FILENO) == STDIN_FILENO);
    cr_assert_eq(input_open("-", &input, &err), JAVM_OK);
    for (size_t i = 0; i < packed; i++) {
        cr_assert_eq(write(fds[1], stream + i, 1), 1);
        const enum input_event event = input_next(input, &line, &err);
        cr_assert(event == INPUT_WAIT || event == INPUT_LINE);
    }
    close(fds[1]);
    cr_expect_eq(input_next(input, &line, &err), INPUT_END);
    input_close(input);
    free(stream);
}
