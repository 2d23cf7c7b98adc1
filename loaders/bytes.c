#include "loaders/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Room for n more bytes and a NUL behind them. */
static bool writer_reserve(struct writer *out, size_t n)
{
    if (out->failed)
        return false;
    if (n >= SIZE_MAX / 2 - out->len) {
        out->failed = true;
        return false;
    }
    size_t needed = out->len + n + 1;
    if (needed <= out->capacity)
        return true;
    size_t capacity = out->capacity < 256 ? 256 : out->capacity + out->capacity / 2;
    if (capacity < needed)
        capacity = needed;
    uint8_t *bytes = realloc(out->bytes, capacity);
    if (bytes == NULL) {
        out->failed = true;
        return false;
    }
    out->bytes = bytes;
    out->capacity = capacity;
    return true;
}

void writer_put(struct writer *out, const void *bytes, size_t n)
{
    if (!writer_reserve(out, n))
        return;
    if (n > 0)
        memcpy(out->bytes + out->len, bytes, n);
    out->len += n;
    out->bytes[out->len] = 0;
}

void writer_text(struct writer *out, const char *fmt, ...)
{
    char line[1024];
    va_list args;
    va_start(args, fmt);
    int n = vsnprintf(line, sizeof line, fmt, args);
    va_end(args);
    if (n < 0)
        out->failed = true;
    else
        writer_put(out, line, (size_t)n < sizeof line ? (size_t)n : sizeof line - 1);
}

void writer_free(struct writer *out)
{
    free(out->bytes);
    *out = (struct writer){0};
}
