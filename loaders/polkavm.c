/* `.polkavm` files (PVM 10.2). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "loaders/container.h"

enum { MAX_IMPORTS = 1024 };

enum section { END, MEMORY, RO, RW, IMPORTS, EXPORTS, CODE, OPTIONAL = 128 };

static const char *const NAMES[] = {"end",     "memory config", "ro data", "rw data",
                                    "imports", "exports",       "code"};

/* ---- opcodes ----------------------------------------------------------------------------- */

void polkavm_opcodes(unsigned version, uint8_t opcodes[256])
{
    for (unsigned i = 0; i < 256; i++)
        opcodes[i] = (uint8_t)i;
    /* not opcodes there, but here */
    opcodes[3] = opcodes[JAVM_PVM_OP_MEMSET] = JAVM_PVM_OP_INVALID;
    if (version == 0)
        opcodes[2] = JAVM_PVM_OP_INVALID;
    if (version == 2) {
        opcodes[2] = JAVM_PVM_OP_MEMSET;
        opcodes[3] = 2;
    }
    if (version == 3) {
        for (unsigned i = 101; i <= 110; i++)
            opcodes[i] = (uint8_t)(i + 1);
        opcodes[111] = JAVM_PVM_OP_INVALID;
    }
}

static unsigned features_of(unsigned version)
{
    return version == 0   ? JAVM_PVM_SBRK
           : version == 2 ? JAVM_PVM_SBRK | JAVM_PVM_UNLIKELY | JAVM_PVM_MEMSET
                          : JAVM_PVM_UNLIKELY;
}

/* ---- sections ---------------------------------------------------------------------------- */

static void no_rest(struct field_reader *r)
{
    if (r->error.status == JAVM_OK && field_left(r) > 0)
        field_bad(r, JAVM_E_FORMAT, "end", r->in.at,
                  "%zu bytes too many, where the section's end is expected", field_left(r));
}

static void read_data(struct field_reader *r, const char *field, uint32_t size,
                      const uint8_t **content, uint32_t *len)
{
    const size_t at = r->in.at, n = field_left(r);
    if (n > size)
        field_bad(r, JAVM_E_FORMAT, field, at, "%zu bytes, the memory config declares %" PRIu32, n,
                  size);
    *content = field_take(r, n, "data", field, at);
    *len = (uint32_t)n;
}

static struct javm_pvm_symbol *symbols(struct field_reader *r, uint32_t count)
{
    struct javm_pvm_symbol *list =
        r->error.status == JAVM_OK ? calloc((size_t)count + 1, sizeof *list) : NULL;
    if (list == NULL && r->error.status == JAVM_OK)
        field_bad(r, JAVM_E_NOMEM, "count", r->in.at, "no memory for %" PRIu32 " symbols", count);
    return list;
}

static void read_imports(struct field_reader *r, struct javm_pvm_program *program)
{
    char field[32];
    const size_t at = r->in.at;
    const uint32_t count = field_varint(r, "count");
    if (count > MAX_IMPORTS)
        field_bad(r, JAVM_E_LIMIT, "count", at, "%" PRIu32 " imports, at most %d are allowed",
                  count, MAX_IMPORTS);
    const size_t offsets_at = r->in.at;
    const uint8_t *offsets = field_take(r, (uint64_t)count * 4, "offsets", "count", at);
    const size_t names_len = field_left(r);
    const uint8_t *names = field_take(r, names_len, "symbols", "symbols", r->in.at);
    program->imports = symbols(r, count);
    for (uint32_t i = 0; i < count && r->error.status == JAVM_OK; i++) {
        const uint32_t from = get_u32(offsets + 4 * (size_t)i);
        const uint32_t to = i + 1 < count ? get_u32(offsets + 4 * (size_t)i + 4)
                                          : (uint32_t)(names_len > UINT32_MAX ? 0 : names_len);
        snprintf(field, sizeof field, "offset %" PRIu32, i);
        if (from > to || to > names_len) {
            field_bad(r, JAVM_E_FORMAT, field, offsets_at + 4 * (size_t)i,
                      "its symbol would be bytes %" PRIu32 " to %" PRIu32 " of %zu", from, to,
                      names_len);
            return;
        }
        program->imports[i] = (struct javm_pvm_symbol){names + from, to - from, 0};
        program->import_count = i + 1;
    }
}

/* The smallest export has a pc and a length of a byte each. */
static void read_exports(struct field_reader *r, struct javm_pvm_program *program)
{
    char field[40];
    const size_t at = r->in.at;
    const uint32_t count = field_varint(r, "count");
    if (r->error.status == JAVM_OK && count > field_left(r) / 2)
        field_bad(r, JAVM_E_FORMAT, "count", at, "%" PRIu32 " exports cannot fit in %zu bytes",
                  count, field_left(r));
    program->exports = symbols(r, count);
    for (uint32_t i = 0; i < count && r->error.status == JAVM_OK; i++) {
        struct javm_pvm_symbol *export = &program->exports[i];
        snprintf(field, sizeof field, "pc of export %" PRIu32, i);
        export->pc = field_varint(r, field);
        snprintf(field, sizeof field, "symbol length of export %" PRIu32, i);
        const size_t length_at = r->in.at;
        export->name_len = field_varint(r, field);
        export->name = field_take(r, export->name_len, "symbol", field, length_at);
        program->export_count = i + 1;
    }
    no_rest(r);
}

/* Only here, because the code comes last. A target elsewhere could be called only to panic. */
static void check_exports(struct field_reader *r, const struct javm_pvm_program *program,
                          const struct code_parts *parts, size_t section)
{
    const uint8_t *mask = r->in.bytes + parts->bitmask;
    struct field_reader again = *r;
    char field[40];
    again.prefix = "section 5 (exports): ";
    again.in.at = section;
    if (program->export_count > 0)
        field_varint(&again, "count");
    for (uint32_t i = 0; i < program->export_count && again.error.status == JAVM_OK; i++) {
        const size_t at = again.in.at;
        const uint32_t pc = field_varint(&again, "pc");
        field_take(&again, field_varint(&again, "symbol length"), "symbol", "symbol length",
                   again.in.at);
        if (pc < parts->code_len && (mask[pc / 8] >> pc % 8 & 1) != 0)
            continue;
        snprintf(field, sizeof field, "pc of export %" PRIu32, i);
        field_bad(&again, JAVM_E_FORMAT, field, at, "0x%" PRIx32 ", where no instruction starts",
                  pc);
    }
    r->error = again.error;
}

static void read_memory(struct field_reader *r, struct javm_pvm_program *program)
{
    const size_t at = r->in.at;
    struct javm_pvm_memory memory;
    uint64_t needed;
    program->ro_size = field_varint(r, "ro_size");
    program->rw_size = field_varint(r, "rw_size");
    program->stack_size = field_varint(r, "stack_size");
    no_rest(r);
    if (r->error.status == JAVM_OK && !container_lay_out(program, NULL, &memory, &needed))
        field_bad(r, JAVM_E_RANGE, "ro_size, rw_size, stack_size", at,
                  "they need 0x%" PRIx64 " bytes of addresses, at most 0x100000000 are there",
                  needed);
}

static void read_code(struct field_reader *r, struct code_parts *parts)
{
    code_read(r, CODE_VARINT, parts);
    no_rest(r);
    if (r->error.status != JAVM_OK || parts->code_len % 8 == 0)
        return;
    const size_t last = parts->bitmask + (size_t)(parts->code_len / 8);
    if (r->in.bytes[last] >> parts->code_len % 8 != 0)
        field_bad(r, JAVM_E_FORMAT, "bitmask", last,
                  "0x%02x, where the bits past the %" PRIu64 " bytes of code are expected to be 0",
                  r->in.bytes[last], parts->code_len);
}

static void read_payload(struct field_reader *r, unsigned id, struct javm_pvm_program *program,
                         struct code_parts *parts)
{
    switch (id) {
    case MEMORY:
        read_memory(r, program);
        break;
    case RO:
        read_data(r, "content", program->ro_size, &program->ro, &program->ro_len);
        break;
    case RW:
        read_data(r, "content", program->rw_size, &program->rw, &program->rw_len);
        break;
    case IMPORTS:
        read_imports(r, program);
        break;
    case EXPORTS:
        parts->exports = r->in.at;
        read_exports(r, program);
        break;
    case CODE:
        read_code(r, parts);
        break;
    default:
        program->skipped += field_left(r);
        r->in.at = r->in.len;
    }
}

/* Ids below 128 ascend; optional sections follow in any order. */
static void check_id(struct field_reader *r, unsigned id, unsigned before, size_t at)
{
    if (id > CODE && id < OPTIONAL)
        field_bad(r, JAVM_E_UNSUPPORTED, "section id", at,
                  "%u is not known; 1 to 6 and, to be skipped, 128 and above are", id);
    else if (id < OPTIONAL && id <= before)
        field_bad(r, JAVM_E_FORMAT, "section id", at, "%u behind section %u: they must ascend", id,
                  before);
}

/* One section behind its id. */
static void read_section(struct field_reader *r, unsigned id, struct javm_pvm_program *program,
                         struct code_parts *parts)
{
    char prefix[48];
    snprintf(prefix, sizeof prefix, "section %u (%s): ", id, id <= CODE ? NAMES[id] : "optional");
    r->prefix = prefix;
    const size_t length_at = r->in.at;
    const uint32_t length = field_varint(r, "length");
    struct field_reader section = *r;
    field_take(r, length, "section", "length", length_at);
    if (r->error.status == JAVM_OK) {
        section.in.len = r->in.at;
        read_payload(&section, id, program, parts);
        r->error = section.error;
    }
    r->prefix = "";
}

static void read_sections(struct field_reader *r, struct javm_pvm_program *program,
                          struct code_parts *parts)
{
    unsigned id = END, before;
    do {
        const size_t at = r->in.at;
        before = id;
        id = (unsigned)field_fixed(r, 1, "section id");
        if (id != END) {
            check_id(r, id, before, at);
            read_section(r, id, program, parts);
        }
    } while (id != END && r->error.status == JAVM_OK);
    if (parts->code == 0)
        field_bad(r, JAVM_E_FORMAT, "section id", r->in.at - 1,
                  "0, the end, where section 6 (code) is expected");
}

void polkavm_read(struct field_reader *r, struct javm_pvm_program *program,
                  struct code_parts *parts)
{
    field_take(r, 4, "magic", "magic", 0);
    program->container = JAVM_PVM_POLKAVM;
    program->version = (uint8_t)field_fixed(r, 1, "version");
    if (program->version == 1)
        field_bad(
            r, JAVM_E_UNSUPPORTED, "version", 4,
            "1 is Latest32, a 32-bit instruction set; 64-bit ones are expected: 0 (ReviveV1), "
            "2 (Latest64), 3 (JamV1)");
    else if (program->version > 3)
        field_bad(r, JAVM_E_UNSUPPORTED, "version", 4,
                  "%u is not known; expected 0 (ReviveV1), 2 (Latest64) or 3 (JamV1)",
                  program->version);
    const uint64_t length = field_fixed(r, 8, "file length");
    if (r->error.status == JAVM_OK && length != r->in.len)
        field_bad(r, JAVM_E_FORMAT, "file length", 5, "%" PRIu64 ", but the file has %zu bytes",
                  length, r->in.len);
    *parts = (struct code_parts){0};
    if (r->error.status == JAVM_OK)
        read_sections(r, program, parts);
    if (r->error.status == JAVM_OK && field_left(r) > 0)
        field_bad(r, JAVM_E_FORMAT, "end", r->in.at, "%zu bytes too many behind the last section",
                  field_left(r));
    if (r->error.status == JAVM_OK)
        check_exports(r, program, parts, parts->exports);
    program->code.profile = JAVM_PVM_GP;
    program->code.features = features_of(program->version);
}
