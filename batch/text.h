/* Hand-written formatting into plain memory: every put_ function writes at `at` without a bound and
 * returns the place after it. The caller has made room; the *_MAX constants and comments say how
 * much is needed. */
#ifndef JAVM_BATCH_TEXT_H
#define JAVM_BATCH_TEXT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define TEXT_U64_MAX 20

char *put_u64(char *at, uint64_t value);
char *put_i64(char *at, int64_t value);
/* Exactly `digits` lower-case hex digits of value. */
char *put_hex(char *at, uint64_t value, unsigned digits);
/* 2 * len characters, no prefix. */
char *put_hex_bytes(char *at, const uint8_t *bytes, size_t len);
/* A JSON string with quotes: at most 6 * len + 2 characters. `text` is UTF-8. */
char *put_json(char *at, const char *text, size_t len);

static inline char *put_bytes(char *at, const void *bytes, size_t len)
{
    memcpy(at, bytes, len);
    return at + len;
}

#define put_literal(at, literal) put_bytes(at, literal, sizeof(literal) - 1)

/* 0..15, or -1. */
static inline int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    const char lower = (char)(c | 32);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* "1234567" -> "1,234,567" for people; buffer of at least 32 bytes. Returns buffer. */
const char *text_grouped(char *buffer, uint64_t value);
/* "1.23M", "456", "7.8G": at most 6 characters; buffer of at least 32 bytes. Returns buffer. */
const char *text_scaled(char *buffer, double value);
/* "12.3 MiB"; buffer of at least 32 bytes. Returns buffer. */
const char *text_size(char *buffer, uint64_t bytes);

#endif
