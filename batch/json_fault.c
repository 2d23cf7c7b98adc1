/* A strict RFC 8259 scanner that stops at the first fault. Iterative, no allocation but for one
 * number; accepts exactly what json_parse accepts, duplicate keys apart (the fuzz target compares).
 */
#include "batch/json_fault.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct scan {
    const char *text;
    size_t len, pos;
    struct json_problem *problem;
};

__attribute__((format(printf, 3, 4))) static bool fault(struct scan *scan, size_t offset,
                                                        const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    scan->problem->offset = (uint32_t)offset;
    vsnprintf(scan->problem->text, sizeof scan->problem->text, fmt, args);
    va_end(args);
    return false;
}

/* The next byte, or -1 at the end. */
static int peek(const struct scan *scan)
{
    return scan->pos < scan->len ? (unsigned char)scan->text[scan->pos] : -1;
}

static void skip_blanks(struct scan *scan)
{
    while (scan->pos < scan->len && memchr(" \t\r\n", scan->text[scan->pos], 4) != NULL)
        scan->pos++;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

size_t json_utf8_length(const char *text, size_t len)
{
    const unsigned char *s = (const unsigned char *)text;
    if (s[0] < 0x80)
        return 1;
    const size_t want = s[0] >= 0xC2 && s[0] <= 0xDF   ? 2
                        : s[0] >= 0xE0 && s[0] <= 0xEF ? 3
                        : s[0] >= 0xF0 && s[0] <= 0xF4 ? 4
                                                       : 0;
    if (want == 0 || want > len)
        return 0;
    /* The second byte's range excludes overlong forms, surrogates and what lies past U+10FFFF. */
    const unsigned low = s[0] == 0xE0 ? 0xA0 : s[0] == 0xF0 ? 0x90 : 0x80;
    const unsigned high = s[0] == 0xED ? 0x9F : s[0] == 0xF4 ? 0x8F : 0xBF;
    if (s[1] < low || s[1] > high)
        return 0;
    for (size_t i = 2; i < want; i++)
        if (s[i] < 0x80 || s[i] > 0xBF)
            return 0;
    return want;
}

/* What stands at the position, for "found ..." texts. */
static const char *found(const struct scan *scan, char buffer[16])
{
    const int c = peek(scan);
    if (c < 0)
        return "the end of the text";
    if (c < 0x20 || c == 0x7F)
        snprintf(buffer, 16, "byte 0x%02x", (unsigned)c);
    else if (c < 0x80)
        snprintf(buffer, 16, "'%c'", c);
    else if (json_utf8_length(scan->text + scan->pos, scan->len - scan->pos) == 0)
        return "a byte that is not UTF-8";
    else
        snprintf(buffer, 16, "'%.*s'",
                 (int)json_utf8_length(scan->text + scan->pos, scan->len - scan->pos),
                 scan->text + scan->pos);
    return buffer;
}

static bool expected(struct scan *scan, const char *what)
{
    char buffer[16];
    return fault(scan, scan->pos, "expected %s, found %s", what, found(scan, buffer));
}

/* Four hex digits after "\u"; -1: no. */
static int hex4(const struct scan *scan, size_t at)
{
    int value = 0;
    for (size_t i = at; i < at + 4; i++) {
        if (i >= scan->len)
            return -1;
        const char c = scan->text[i];
        if (is_digit(c))
            value = value * 16 + (c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            value = value * 16 + ((c | 32) - 'a' + 10);
        else
            return -1;
    }
    return value;
}

static bool escape(struct scan *scan)
{
    const size_t start = scan->pos++;
    const int c = peek(scan);
    if (c < 0 || memchr("\"\\/bfnrtu", c, 9) == NULL)
        return fault(scan, start,
                     "unknown escape in a string; known: \\\" \\\\ \\/ \\b \\f \\n "
                     "\\r \\t \\uXXXX");
    scan->pos++;
    if (c != 'u')
        return true;
    const int unit = hex4(scan, scan->pos);
    if (unit < 0)
        return fault(scan, start, "expected four hex digits after \\u");
    scan->pos += 4;
    if (unit < 0xD800 || unit > 0xDFFF)
        return true;
    const bool paired = unit < 0xDC00 && scan->pos + 1 < scan->len &&
                        scan->text[scan->pos] == '\\' && scan->text[scan->pos + 1] == 'u';
    const int second = paired ? hex4(scan, scan->pos + 2) : -1;
    if (second < 0xDC00 || second > 0xDFFF)
        return fault(scan, start, "unpaired surrogate \\u%04x in a string", (unsigned)unit);
    scan->pos += 6;
    return true;
}

static bool string(struct scan *scan)
{
    const size_t start = scan->pos++;
    for (;;) {
        const int c = peek(scan);
        if (c < 0)
            return fault(scan, start, "this string is not closed");
        if (c == '"') {
            scan->pos++;
            return true;
        }
        if (c == '\\') {
            if (!escape(scan))
                return false;
            continue;
        }
        if (c < 0x20)
            return fault(scan, scan->pos, "control character in a string; write \\u%04x",
                         (unsigned)c);
        const size_t step = json_utf8_length(scan->text + scan->pos, scan->len - scan->pos);
        if (step == 0)
            return fault(scan, scan->pos, "byte 0x%02x is not UTF-8 here", (unsigned)c);
        scan->pos += step;
    }
}

static void digits(struct scan *scan)
{
    while (is_digit(peek(scan)))
        scan->pos++;
}

/* Decimal digits against a decimal limit of the same spelling. */
static bool above(const char *digits_from, size_t count, const char *limit)
{
    const size_t limit_len = strlen(limit);
    return count != limit_len ? count > limit_len : memcmp(digits_from, limit, count) > 0;
}

static bool in_range(struct scan *scan, size_t start, bool integer)
{
    const bool negative = scan->text[start] == '-';
    const char *from = scan->text + start + negative;
    const size_t count = scan->pos - start - negative;
    if (integer) {
        if (!negative && above(from, count, "18446744073709551615"))
            return fault(scan, start, "integer outside 0..18446744073709551615");
        if (negative && above(from, count, "9223372036854775808"))
            return fault(scan, start, "integer below -9223372036854775808");
        return true;
    }
    char *copy = strndup(scan->text + start, scan->pos - start);
    const bool huge = copy != NULL && isinf(strtod(copy, NULL));
    free(copy);
    return !huge || fault(scan, start, "number too large for a 64-bit float");
}

static bool number(struct scan *scan)
{
    const size_t start = scan->pos;
    bool integer = true;
    if (peek(scan) == '-')
        scan->pos++;
    if (!is_digit(peek(scan)))
        return expected(scan, "a digit");
    if (peek(scan) == '0') {
        scan->pos++;
        if (is_digit(peek(scan)))
            return fault(scan, start, "a number must not start with a superfluous 0");
    }
    digits(scan);
    if (peek(scan) == '.') {
        integer = false;
        scan->pos++;
        if (!is_digit(peek(scan)))
            return expected(scan, "a digit after the decimal point");
        digits(scan);
    }
    if (peek(scan) == 'e' || peek(scan) == 'E') {
        integer = false;
        scan->pos++;
        if (peek(scan) == '+' || peek(scan) == '-')
            scan->pos++;
        if (!is_digit(peek(scan)))
            return expected(scan, "a digit in the exponent");
        digits(scan);
    }
    return in_range(scan, start, integer);
}

static bool scalar(struct scan *scan)
{
    static const char *const literals[] = {"true", "false", "null"};
    const int c = peek(scan);
    if (c == '"')
        return string(scan);
    if (c == '-' || is_digit(c))
        return number(scan);
    for (size_t i = 0; i < sizeof literals / sizeof *literals; i++) {
        const size_t len = strlen(literals[i]);
        if (scan->len - scan->pos >= len && memcmp(scan->text + scan->pos, literals[i], len) == 0) {
            scan->pos += len;
            return true;
        }
    }
    if (c == '\'')
        return fault(scan, scan->pos, "expected a JSON value; strings take double quotes");
    return expected(scan, "a JSON value");
}

static bool key(struct scan *scan)
{
    skip_blanks(scan);
    if (peek(scan) != '"')
        return expected(scan, "a key in double quotes");
    if (!string(scan))
        return false;
    skip_blanks(scan);
    if (peek(scan) != ':')
        return expected(scan, "':' after the key");
    scan->pos++;
    return true;
}

/* After a value: closes what ends here. True: another value is due (*done false) or all is read. */
static bool after_value(struct scan *scan, const char *closers, unsigned *depth, bool *done)
{
    while (*depth > 0) {
        skip_blanks(scan);
        const char closer = closers[*depth - 1];
        const int c = peek(scan);
        if (c == ',') {
            scan->pos++;
            return closer == ']' || key(scan);
        }
        if (c != closer)
            return expected(scan, closer == '}' ? "',' or '}'" : "',' or ']'");
        scan->pos++;
        --*depth;
    }
    skip_blanks(scan);
    *done = true;
    return scan->pos == scan->len || expected(scan, "nothing more after the value");
}

static bool document(struct scan *scan)
{
    char closers[JSON_MAX_DEPTH];
    unsigned depth = 0;
    bool done = false;
    while (!done) {
        skip_blanks(scan);
        const int c = peek(scan);
        if (c == '{' || c == '[') {
            if (depth == JSON_MAX_DEPTH)
                return fault(scan, scan->pos, "nested deeper than %d levels", JSON_MAX_DEPTH);
            const char closer = c == '{' ? '}' : ']';
            scan->pos++;
            skip_blanks(scan);
            if (peek(scan) != closer) {
                closers[depth++] = closer;
                if (c == '{' && !key(scan))
                    return false;
                continue;
            }
            scan->pos++;
        } else if (!scalar(scan)) {
            return false;
        }
        if (!after_value(scan, closers, &depth, &done))
            return false;
    }
    return true;
}

bool json_find_fault(const char *text, size_t len, struct json_problem *problem)
{
    struct scan scan = {text, len, 0, problem};
    if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
        return !fault(&scan, 0, "byte order mark; expected plain UTF-8 without one");
    return !document(&scan);
}
