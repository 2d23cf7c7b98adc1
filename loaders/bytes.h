/* Little-endian bytes in and out, with bounds. Both forms remember that something went wrong
 * instead of failing at each step, so that a run of fields can be read or written and checked once.
 */
#ifndef JAVM_LOADERS_BYTES_H
#define JAVM_LOADERS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

static inline uint32_t get_u32(const uint8_t *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static inline uint64_t get_u64(const uint8_t *p)
{
    return (uint64_t)get_u32(p) | (uint64_t)get_u32(p + 4) << 32;
}

static inline void put_le(uint8_t *p, uint64_t value, unsigned width)
{
    for (unsigned i = 0; i < width; i++)
        p[i] = (uint8_t)(value >> 8 * i);
}

/* Reads from bytes that somebody else owns. Past the end it returns zeros, and `ok` becomes false
 * for good; `at` then stays where the first missing byte would have been needed. */
struct reader {
    const uint8_t *bytes;
    size_t len, at;
    bool ok;
};

static inline const uint8_t *reader_take(struct reader *in, size_t n)
{
    if (!in->ok || in->len - in->at < n) {
        in->ok = false;
        return NULL;
    }
    const uint8_t *p = in->bytes + in->at;
    in->at += n;
    return p;
}

static inline uint8_t reader_u8(struct reader *in)
{
    const uint8_t *p = reader_take(in, 1);
    return p == NULL ? 0 : p[0];
}

static inline uint32_t reader_u32(struct reader *in)
{
    const uint8_t *p = reader_take(in, 4);
    return p == NULL ? 0 : get_u32(p);
}

static inline uint64_t reader_u64(struct reader *in)
{
    const uint8_t *p = reader_take(in, 8);
    return p == NULL ? 0 : get_u64(p);
}

/* A growing buffer, owned by the struct until writer_finish() hands it over. Out of memory sets
 * `failed`, and later writes do nothing. */
struct writer {
    uint8_t *bytes;
    size_t len, capacity;
    bool failed;
};

void writer_put(struct writer *out, const void *bytes, size_t n);
void writer_free(struct writer *out);

static inline void writer_le(struct writer *out, uint64_t value, unsigned width)
{
    uint8_t bytes[8];
    put_le(bytes, value, width);
    writer_put(out, bytes, width);
}

/* printf into the buffer; the terminating NUL is not part of `len` but always follows. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void writer_text(struct writer *out, const char *fmt, ...);

#endif
