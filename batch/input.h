/* A file as lines: plain, gzip or zstd, from a file or standard input, in constant memory. Jobs
 * files, and results files, which may be torn at the end. */
#ifndef JAVM_BATCH_INPUT_H
#define JAVM_BATCH_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "javm/status.h"

#define INPUT_LINE_MAX (16u << 20) /* bytes; the buffer grows to this and no further */

/* A line of results has an output of up to 16 MiB in hex and again where it is not as expected. */
#define INPUT_RESULT_MAX (256u << 20)

struct input;

struct line {
    const char *text; /* without the newline; json_padding() bytes after it are readable */
    size_t len;
    uint64_t number; /* from 1 */
};

enum input_event {
    INPUT_LINE,     /* *line is valid until the next call */
    INPUT_WAIT,     /* nothing to read at the moment: call input_wait, then again */
    INPUT_TOO_LONG, /* line->number is longer than it may be; it will be skipped */
    INPUT_END,
    INPUT_FAILED /* *err: IO for the system's refusals, FORMAT for damaged compressed data, NOMEM */
};

/* "-" is standard input. A name ending in .gz or .zst must be compressed so; otherwise the first
 * bytes decide. */
enum javm_status input_open(const char *path, struct input **input, struct javm_error *err);
/* What messages call it, and whose end tells how it is compressed, from now on; borrowed. Before
 * the first line. */
void input_call(struct input *input, const char *name);
/* A results file: lines up to INPUT_RESULT_MAX. It has to be what its name says. Where it ends in
 * the middle of a line or of a compressed frame is its end; that line is left out, but not the
 * frame's lines before it. */
enum javm_status input_open_results(const char *path, struct input **input, struct javm_error *err);
/* (results) How many bytes of the file are whole: they end with a line, and compressed with a
 * frame. Moves on in input_next only, when all lines before that place were returned. */
uint64_t input_whole(const struct input *input);
/* (results, at the end) What stands behind the last newline: text and len, valid until the input is
 * closed, and the number that the line would have. */
void input_rest(const struct input *input, struct line *rest);
void input_close(struct input *input);
enum input_event input_next(struct input *input, struct line *line, struct javm_error *err);
/* Sleep until there is something to read or stop_fd (an eventfd; -1: none) is readable. */
void input_wait(struct input *input, int stop_fd);

/* How the messages call it. */
const char *input_name(const struct input *input);
int input_fd(const struct input *input);
/* Bytes taken from the file so far and its whole size; size 0: unknown. Any thread. */
void input_position(const struct input *input, uint64_t *consumed, uint64_t *size);

#endif
