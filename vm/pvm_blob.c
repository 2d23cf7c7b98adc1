/* PVM programs as they are stored, and what jar1 asks of them (spec: PVM section 2). */
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "javm/pvm.h"
#include "vm/front.h"
#include "vm/pvm.h"

struct reader {
    const uint8_t *bytes;
    uint64_t at, len;
    struct javm_error *err;
};

/* The next bytes, or NULL after saying what is missing. */
static const uint8_t *take(struct reader *r, uint64_t len, const char *what)
{
    if (len > r->len - r->at) {
        javm_fail(r->err, JAVM_E_FORMAT, r->at, "%s: %llu bytes, but only %llu are left", what,
                  (unsigned long long)len, (unsigned long long)(r->len - r->at));
        return NULL;
    }
    r->at += len;
    return r->bytes + r->at - len;
}

static bool take_u32(struct reader *r, const char *what, uint64_t *value)
{
    uint32_t raw;
    const uint8_t *bytes = take(r, sizeof raw, what);
    if (bytes == NULL)
        return false;
    memcpy(&raw, bytes, sizeof raw);
    *value = le32toh(raw);
    return true;
}

/* A JAM natural: as many leading ones in the first byte as bytes that follow. */
static bool take_natural(struct reader *r, const char *what, uint64_t *value)
{
    const uint64_t at = r->at;
    const uint8_t *first = take(r, 1, what);
    if (first == NULL)
        return false;
    unsigned more = 0;
    while (more < 8 && (*first >> (7 - more) & 1) != 0)
        more++;
    if (more > 4) {
        javm_fail(r->err, JAVM_E_FORMAT, at, "%s: a number of %u bytes, expected at most 5", what,
                  more + 1);
        return false;
    }
    const uint8_t *rest = take(r, more, what);
    if (rest == NULL)
        return false;
    *value = (uint64_t)(*first & (0x7Fu >> more)) << (8 * more);
    for (unsigned i = 0; i < more; i++)
        *value |= (uint64_t)rest[i] << (8 * i);
    return true;
}

static bool take_length(struct reader *r, const struct javm_pvm_blob *blob, const char *what,
                        uint64_t limit, uint64_t *value)
{
    const uint64_t at = r->at;
    if (!(blob->profile == JAVM_PVM_GP ? take_natural(r, what, value) : take_u32(r, what, value)))
        return false;
    if (*value <= limit)
        return true;
    javm_fail(r->err, JAVM_E_LIMIT, at, "%s: %llu, at most %llu", what, (unsigned long long)*value,
              (unsigned long long)limit);
    return false;
}

static bool take_jumps(struct reader *r, struct javm_pvm_blob *blob, uint64_t count, uint8_t size)
{
    const uint8_t *bytes = take(r, count * size, "jump table");
    if (bytes == NULL)
        return false;
    blob->jump_count = (uint32_t)count;
    blob->jump_table = count != 0 ? malloc(count * sizeof *blob->jump_table) : NULL;
    if (count != 0 && blob->jump_table == NULL) {
        javm_fail(r->err, JAVM_E_NOMEM, JAVM_NOWHERE, "jump table: out of memory");
        return false;
    }
    for (uint64_t i = 0; i < count; i++) {
        blob->jump_table[i] = 0;
        for (unsigned k = 0; k < size; k++)
            blob->jump_table[i] |= (uint32_t)*bytes++ << (8 * k);
    }
    return true;
}

static bool take_all(struct reader *r, struct javm_pvm_blob *blob)
{
    uint64_t jumps;
    if (!take_length(r, blob, "jump_len", JAVM_PVM_JUMPS_MAX, &jumps))
        return false;
    const uint8_t *size = take(r, 1, "entry_size");
    if (size == NULL)
        return false;
    if (*size < 1 || *size > 4) {
        javm_fail(r->err, JAVM_E_FORMAT, r->at - 1, "entry_size: %u, expected 1 to 4", *size);
        return false;
    }
    if (!take_length(r, blob, "code_len", JAVM_PVM_CODE_MAX, &blob->code_len) ||
        !take_jumps(r, blob, jumps, *size) ||
        (blob->code = take(r, blob->code_len, "code")) == NULL ||
        (blob->bitmask = take(r, (blob->code_len + 7) / 8, "bitmask")) == NULL)
        return false;
    if (blob->profile != JAVM_PVM_GP || r->at == r->len)
        return true;
    javm_fail(r->err, JAVM_E_FORMAT, r->at,
              "code blob: %llu bytes behind the bitmask, expected none",
              (unsigned long long)(r->len - r->at));
    return false;
}

enum javm_status javm_pvm_open(const uint8_t *bytes, size_t len, enum javm_pvm profile,
                               struct javm_pvm_blob *blob, struct javm_error *err)
{
    struct javm_error unheard;
    struct reader reader = {.bytes = bytes, .len = len, .err = err != NULL ? err : &unheard};
    *blob = (struct javm_pvm_blob){.profile = profile};
    if (take_all(&reader, blob))
        return JAVM_OK;
    javm_pvm_close(blob);
    return reader.err->status;
}

void javm_pvm_close(struct javm_pvm_blob *blob)
{
    free(blob->jump_table);
    *blob = (struct javm_pvm_blob){.profile = blob->profile};
}

struct javm_program_key javm_pvm_key(const struct javm_pvm_blob *blob, uint64_t memory_pages)
{
    return (struct javm_program_key){.footprint_pages = memory_pages,
                                     .pvm = blob->profile,
                                     .bitmask = blob->bitmask,
                                     .jump_table = blob->jump_table,
                                     .jump_count = blob->jump_count};
}

/* ---- validation ------------------------------------------------------------------------- */

static enum javm_status check_last(const struct front *f, struct javm_error *err)
{
    for (uint64_t at = f->len; at-- > 0;) {
        if (!pvm_begins(f, at))
            continue;
        if (pvm_is_terminator(f->key.pvm, f->code[at]))
            return JAVM_OK;
        return javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE,
                         "code: the last instruction, at %llu, has opcode %u, expected one that "
                         "ends a block",
                         (unsigned long long)at, f->code[at]);
    }
    return javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE,
                     "bitmask: no bit is set, expected that an instruction begins somewhere");
}

enum javm_status javm_pvm_validate(const struct javm_pvm_blob *blob, struct javm_error *err)
{
    const struct javm_program_key key = javm_pvm_key(blob, 0);
    const struct front f = front_of(blob->code, blob->code_len, &key);
    if (blob->profile == JAVM_PVM_GP)
        return JAVM_OK;
    if (blob->code_len == 0)
        return javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE, "code: empty");
    const enum javm_status status = check_last(&f, err);
    if (status != JAVM_OK)
        return status;
    for (uint32_t i = 0; i < blob->jump_count; i++)
        if (blob->jump_table[i] != 0 && !pvm_begins(&f, blob->jump_table[i]))
            return javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE,
                             "jump_table[%u]: %u, where no instruction begins", i,
                             blob->jump_table[i]);
    return JAVM_OK;
}
