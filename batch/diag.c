#include "batch/diag.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "batch/json_fault.h"

#define SHOWN_BEFORE 60 /* characters of a long line left of the caret */
#define SHOWN_AFTER  40

/* Bytes of the character at `at`, or 0 for what must not be shown as it is: broken UTF-8 and
 * controls. U+0080..U+009F are controls, too: terminals may act on them. */
static size_t showable(const char *text, size_t len, size_t at)
{
    const unsigned char c = (unsigned char)text[at];
    const size_t valid = json_utf8_length(text + at, len - at);
    const bool c1 = valid == 2 && c == 0xC2 && (unsigned char)text[at + 1] < 0xA0;
    return c < 0x20 || c == 0x7F || c1 ? 0 : valid;
}

void diag_clean(char *text)
{
    const size_t len = strlen(text);
    for (size_t at = 0; at < len;) {
        const size_t good = showable(text, len, at);
        if (good == 0)
            text[at] = '?'; /* the rest of a two-byte control is broken then, and becomes another */
        at += good == 0 ? 1 : good;
    }
}

bool problem_at(struct problem *problem, size_t offset, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    problem->offset = offset;
    vsnprintf(problem->text, sizeof problem->text, fmt, args);
    va_end(args);
    diag_clean(problem->text);
    return false;
}

/* Bytes of the character at `at`: a broken sequence is one byte. */
static size_t step(const char *line, size_t len, size_t at)
{
    const size_t valid = json_utf8_length(line + at, len - at);
    return valid == 0 ? 1 : valid;
}

/* Without the line's end: it is not shown, so that no caret can stand under or behind it, and files
 * with CR LF get the same messages as files with LF. */
static size_t shown_length(const char *line, size_t len)
{
    while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n'))
        len--;
    return len;
}

size_t diag_column(const char *line, size_t len, size_t offset)
{
    size_t column = 1;
    len = shown_length(line, len);
    for (size_t at = 0; at < len && at < offset; at += step(line, len, at))
        column++;
    return column;
}

static void print_character(FILE *to, const char *line, size_t len, size_t at)
{
    const size_t good = line[at] == '\t' ? 1 : showable(line, len, at);
    if (good == 0)
        fputc('?', to);
    else
        fwrite(line + at, 1, good, to);
}

/* The line, or the part of it around the caret, and the caret under it. */
static void print_excerpt(FILE *to, const char *line, size_t len, size_t column)
{
    len = shown_length(line, len);
    const size_t first = column > SHOWN_BEFORE + 3 ? column - SHOWN_BEFORE : 1;
    const size_t last = column + SHOWN_AFTER;
    size_t at = 0, now = 1;
    for (; at < len && now < first; now++)
        at += step(line, len, at);
    const size_t start = at;
    fputs(first > 1 ? "    ..." : "    ", to);
    for (; at < len && now <= last; now++) {
        print_character(to, line, len, at);
        at += step(line, len, at);
    }
    fputs(at < len ? "...\n" : "\n", to);
    fputs(first > 1 ? "       " : "    ", to);
    at = start;
    for (now = first; now < column && at < len; now++) {
        fputc(line[at] == '\t' ? '\t' : ' ', to); /* a tab stays one, so that the caret lines up */
        at += step(line, len, at);
    }
    fputs("^\n", to);
}

void diag_print(FILE *to, const char *file, uint64_t number, const char *line, size_t len,
                const struct problem *problem)
{
    const size_t column = line == NULL ? 1 : diag_column(line, len, problem->offset);
    flockfile(to);
    fprintf(to, "%s:%llu:%zu: %s\n", file, (unsigned long long)number, column, problem->text);
    if (line != NULL)
        print_excerpt(to, line, len, column);
    funlockfile(to);
}

void complain(const char *fmt, ...)
{
    char text[1024];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    diag_clean(text);
    fprintf(stderr, "javm-batch: %s\n", text);
}
