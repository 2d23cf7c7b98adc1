#include "loaders/container.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { MAX_CODE = JAVM_PVM_CODE_MAX, MAX_TABLE = JAVM_PVM_JUMPS_MAX };

struct javm_pvm_code javm_pvm_code_of(const struct javm_image *image)
{
    return (struct javm_pvm_code){.code = image->code,
                                  .code_len = image->code_len,
                                  .bitmask = image->bitmask,
                                  .jump_table = image->jump_table,
                                  .jump_len = image->jump_count,
                                  .profile = JAVM_PVM_JAR1,
                                  .features = JAVM_PVM_UNLIKELY | JAVM_PVM_ECALL};
}

struct javm_program_key javm_pvm_key(const struct javm_pvm_code *code, uint64_t memory_pages)
{
    return (struct javm_program_key){.footprint_pages = memory_pages,
                                     .pvm = code->profile,
                                     .features = code->features,
                                     .bitmask = code->bitmask,
                                     .jump_table = code->jump_table,
                                     .jump_count = code->jump_len};
}

struct javm_hash javm_pvm_name(const struct javm_pvm_code *code)
{
    static const char kind[] = "javm.pvm.1";
    const uint64_t numbers[] = {code->profile, code->features, code->code_len, code->jump_len};
    const struct javm_bytes pieces[] = {
        {kind, sizeof kind},
        {numbers, sizeof numbers},
        {code->code, (size_t)code->code_len},
        {code->bitmask, (size_t)(code->code_len + 7) / 8},
        {code->jump_table, code->jump_len * sizeof *code->jump_table}};
    return javm_hash_pieces(pieces, sizeof pieces / sizeof *pieces);
}

/* ---- fields ----------------------------------------------------------------------------- */

void field_bad(struct field_reader *r, enum javm_status status, const char *field, size_t at,
               const char *fmt, ...)
{
    char text[200];
    if (r->error.status != JAVM_OK)
        return;
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    r->in.ok = false;
    javm_fail(&r->error, status, at, "%s%s at byte %zu: %s", r->prefix, field, at, text);
}

static bool need(struct field_reader *r, uint64_t n, const char *field)
{
    if (r->error.status == JAVM_OK && n > field_left(r))
        field_bad(r, JAVM_E_FORMAT, field, r->in.at, "%" PRIu64 " bytes expected, %zu are left", n,
                  field_left(r));
    return r->error.status == JAVM_OK;
}

uint64_t field_fixed(struct field_reader *r, unsigned width, const char *field)
{
    if (!need(r, width, field))
        return 0;
    const uint8_t *p = reader_take(&r->in, width);
    uint64_t value = 0;
    for (unsigned i = 0; i < width; i++)
        value |= (uint64_t)p[i] << 8 * i;
    return value;
}

uint64_t field_natural(struct field_reader *r, const char *field)
{
    if (!need(r, 1, field))
        return 0;
    const unsigned first = r->in.bytes[r->in.at];
    unsigned more = 0;
    while (more < 8 && (first << more & 0x80) != 0)
        more++;
    if (more > 4) {
        field_bad(r, JAVM_E_FORMAT, field, r->in.at,
                  "first byte 0x%02x announces %u more, where at most 4 are expected", first, more);
        return 0;
    }
    if (!need(r, 1 + more, field))
        return 0;
    const uint8_t *p = reader_take(&r->in, 1 + more);
    uint64_t value = first & (0x7Fu >> more);
    value <<= 8 * more;
    for (unsigned i = 0; i < more; i++)
        value |= (uint64_t)p[1 + i] << 8 * i;
    return value;
}

uint32_t field_varint(struct field_reader *r, const char *field)
{
    const size_t at = r->in.at;
    const uint64_t value = field_natural(r, field);
    if (value <= UINT32_MAX)
        return (uint32_t)value;
    field_bad(r, JAVM_E_FORMAT, field, at, "%" PRIu64 " where at most 2^32 - 1 is expected", value);
    return 0;
}

const uint8_t *field_take(struct field_reader *r, uint64_t n, const char *what, const char *field,
                          size_t at)
{
    if (r->error.status != JAVM_OK)
        return NULL;
    if (n > field_left(r)) {
        field_bad(r, JAVM_E_FORMAT, field, at, "%" PRIu64 " bytes of %s, but %zu are left", n, what,
                  field_left(r));
        return NULL;
    }
    return reader_take(&r->in, (size_t)n);
}

/* ---- the code blob ----------------------------------------------------------------------- */

static uint64_t number(struct field_reader *r, enum code_numbers numbers, const char *field)
{
    return numbers == CODE_FIXED     ? field_fixed(r, 4, field)
           : numbers == CODE_NATURAL ? field_natural(r, field)
                                     : field_varint(r, field);
}

static size_t part(struct field_reader *r, uint64_t n, const char *what, const char *field,
                   size_t at)
{
    const size_t start = r->in.at;
    field_take(r, n, what, field, at);
    return start;
}

void code_read(struct field_reader *r, enum code_numbers numbers, struct code_parts *parts)
{
    const bool limited = numbers == CODE_VARINT;
    const size_t table_at = r->in.at;
    parts->jump_len = number(r, numbers, "jump_len");
    const size_t size_at = r->in.at;
    parts->entry_size = (unsigned)field_fixed(r, 1, "entry_size");
    parts->code_at = r->in.at;
    parts->code_len = number(r, numbers, "code_len");
    if (limited && parts->jump_len > MAX_TABLE)
        field_bad(r, JAVM_E_LIMIT, "jump_len", table_at,
                  "%" PRIu64 " entries, at most %d are allowed", parts->jump_len, MAX_TABLE);
    if (limited && parts->code_len > MAX_CODE)
        field_bad(r, JAVM_E_LIMIT, "code_len", parts->code_at,
                  "%" PRIu64 " bytes, at most %d are allowed", parts->code_len, MAX_CODE);
    /* A gp blob without a table is written with entries of 0 bytes, whatever the text says. */
    const bool none = limited || (numbers == CODE_NATURAL && parts->jump_len == 0);
    if (parts->entry_size > 4 || (!none && parts->entry_size == 0))
        field_bad(r, JAVM_E_FORMAT, "entry_size", size_at, "%u where %d to 4 is expected",
                  parts->entry_size, none ? 0 : 1);
    /* below 2^35 * 4 */
    parts->table = part(r, parts->jump_len * parts->entry_size, "jump table", "jump_len", table_at);
    parts->code = part(r, parts->code_len, "code", "code_len", parts->code_at);
    parts->bitmask = part(r, (parts->code_len + 7) / 8, "bitmask", "code_len", parts->code_at);
    if (parts->entry_size == 0)
        parts->jump_len = 0;
}

static uint32_t entry(const uint8_t *bytes, const struct code_parts *parts, uint64_t i)
{
    uint32_t value = 0;
    for (unsigned k = 0; k < parts->entry_size; k++)
        value |= (uint32_t)bytes[parts->table + i * parts->entry_size + k] << 8 * k;
    return value;
}

static bool marked(const uint8_t *bytes, const struct code_parts *parts, uint64_t pc)
{
    return (bytes[parts->bitmask + pc / 8] >> pc % 8 & 1) != 0;
}

bool code_ends_block(unsigned op, unsigned features)
{
    switch (op) {
    case 2:
        return (features & JAVM_PVM_UNLIKELY) != 0;
    case 3:
        return (features & JAVM_PVM_ECALL) != 0;
    case 0:
    case 1:
    case 10:
    case 40:
    case 50:
    case 180:
        return true;
    default:
        return (op >= 80 && op <= 90) || (op >= 170 && op <= 175);
    }
}

void code_validate(struct field_reader *r, const struct code_parts *parts)
{
    if (r->error.status != JAVM_OK)
        return;
    const uint8_t *bytes = r->in.bytes;
    if (parts->code_len == 0) {
        field_bad(r, JAVM_E_FORMAT, "code_len", parts->code_at,
                  "0 where at least 1 byte of code is expected");
        return;
    }
    uint64_t last = parts->code_len;
    while (last > 0 && !marked(bytes, parts, last - 1))
        last--;
    if (last == 0) {
        field_bad(r, JAVM_E_FORMAT, "bitmask", parts->bitmask, "marks no instruction");
        return;
    }
    last--;
    const unsigned op = bytes[parts->code + last];
    if (!code_ends_block(op, JAVM_PVM_UNLIKELY | JAVM_PVM_ECALL))
        field_bad(r, JAVM_E_FORMAT, "code", parts->code + (size_t)last,
                  "the last instruction, 0x%" PRIx64
                  ", has opcode %u where a terminator is expected",
                  last, op);
    for (uint64_t i = 0; i < parts->jump_len && r->error.status == JAVM_OK; i++) {
        const uint32_t to = entry(bytes, parts, i);
        if (to == 0 || to >= parts->code_len || marked(bytes, parts, to))
            continue;
        field_bad(r, JAVM_E_FORMAT, "jump table", parts->table + (size_t)(i * parts->entry_size),
                  "entry %" PRIu64 " is 0x%" PRIx32 ", where no instruction starts", i, to);
    }
}

uint8_t *code_own(const uint8_t *bytes, const struct code_parts *parts, const uint8_t *opcodes,
                  size_t more, struct javm_pvm_code *code, uint8_t **rest)
{
    const size_t code_len = (size_t)parts->code_len, mask_len = (code_len + 7) / 8;
    const size_t jump_len = (size_t)parts->jump_len;
    /* The table comes first, where the allocation is aligned; one byte more, so that nothing also
     * has an address. */
    uint8_t *owned = malloc(jump_len * sizeof(uint32_t) + code_len + mask_len + more + 1);
    if (owned == NULL)
        return NULL;
    uint32_t *table = (uint32_t *)(void *)owned;
    uint8_t *copy = owned + jump_len * sizeof(uint32_t), *mask = copy + code_len;
    for (size_t i = 0; i < jump_len; i++)
        table[i] = entry(bytes, parts, i);
    if (code_len > 0) {
        memcpy(copy, bytes + parts->code, code_len);
        memcpy(mask, bytes + parts->bitmask, mask_len);
    }
    if (code_len % 8 != 0)
        mask[mask_len - 1] &= (uint8_t)((1u << code_len % 8) - 1);
    code->code = copy;
    code->code_len = code_len;
    code->bitmask = mask;
    code->jump_table = table;
    code->jump_len = (uint32_t)jump_len;
    for (size_t pc = 0; opcodes != NULL && pc < code_len; pc++)
        if (javm_pvm_is_start(code, pc))
            copy[pc] = opcodes[copy[pc]];
    *rest = mask + mask_len;
    return owned;
}
