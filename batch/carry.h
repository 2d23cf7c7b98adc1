/* A layout of bytes that is described once and serves three times: to measure it, to write it and
 * to read it. What is read may be anything: it ends too early or counts what cannot be, and is
 * `bad`.
 */
#ifndef JAVM_BATCH_CARRY_H
#define JAVM_BATCH_CARRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "javm/hash.h"

struct carry {
    bool reads;
    bool bad;            /* once set, what is read is zero */
    uint8_t *to;         /* writing; NULL: measuring */
    const uint8_t *from; /* reading */
    size_t len;          /* bytes so far; reading: that are left */
    void *blocks;        /* of arrays that were read */
};

/* Measuring: len is the result. */
static inline struct carry carry_measure(void)
{
    return (struct carry){.reads = false};
}
/* There is room for all of it. */
static inline struct carry carry_write(uint8_t *to)
{
    return (struct carry){.to = to};
}
static inline struct carry carry_read(const uint8_t *from, size_t len)
{
    return (struct carry){.reads = true, .from = from, .len = len};
}
/* Frees the arrays that were read; what points into the bytes stays. */
void carry_clear(struct carry *carry);

/* `size` bytes as they are. */
void carry_plain(struct carry *carry, void *thing, size_t size);
/* Their number and the bytes. Reading: they stay where they are. */
void carry_bytes(struct carry *carry, struct javm_bytes *bytes);
/* The number of items, each of which takes at least `least` bytes behind it. Returns `items`, or,
 * when reading, as many zeroed ones of `size` bytes, which the caller reads one by one; they live
 * until carry_clear. With *count 0 the result may be NULL. */
void *carry_array(struct carry *carry, const void *items, size_t *count, size_t size, size_t least);
/* Was everything read, and nothing left? */
static inline bool carry_ended(const struct carry *carry)
{
    return !carry->bad && carry->len == 0;
}

#endif
