#include "tests/loaders/pvm_maker.h"

#include <string.h>

/* ---- bytes ------------------------------------------------------------------------------- */

void blob_put(struct blob *blob, const void *bytes, size_t n)
{
    blob->bytes = realloc(blob->bytes, blob->len + n + 1);
    REQUIRE(blob->bytes != NULL);
    if (n > 0)
        memcpy(blob->bytes + blob->len, bytes, n);
    blob->len += n;
}

void blob_le(struct blob *blob, uint64_t value, unsigned width)
{
    for (unsigned i = 0; i < width; i++) {
        const uint8_t byte = (uint8_t)(value >> 8 * i);
        blob_put(blob, &byte, 1);
    }
}

void blob_natural(struct blob *blob, uint64_t value)
{
    unsigned more = 0;
    while (more < 4 && value >> (7 + 7 * more) != 0)
        more++;
    /* the bits that do not fit behind go into the first byte, below `more` ones */
    blob_le(blob, ((0xFF00u >> more) & 0xFF) | (value >> 8 * more), 1);
    blob_le(blob, value, more);
}

void blob_free(struct blob *blob)
{
    free(blob->bytes);
    *blob = (struct blob){0};
}

/* ---- code -------------------------------------------------------------------------------- */

static void number(struct blob *blob, uint64_t value, bool natural)
{
    if (natural)
        blob_natural(blob, value);
    else
        blob_le(blob, value, 4);
}

void blob_code(struct blob *blob, const struct pvm_source *source, bool naturals)
{
    number(blob, source->table_len, naturals);
    blob_le(blob, source->entry_size, 1);
    number(blob, source->code_len, naturals);
    for (uint32_t i = 0; i < source->table_len; i++)
        blob_le(blob, source->table[i], source->entry_size);
    blob_put(blob, source->code, source->code_len);
    for (uint32_t i = 0; i < source->code_len; i += 8) {
        unsigned byte = 0;
        for (uint32_t k = i; k < i + 8 && k < source->code_len; k++)
            byte |= (unsigned)source->starts[k] << (k - i);
        blob_le(blob, byte, 1);
    }
}

/* ---- containers -------------------------------------------------------------------------- */

struct blob spi_make(const struct spi_source *source)
{
    struct blob blob = {0}, code = {0};
    if (source->metadata != NULL) {
        blob_natural(&blob, source->metadata_len);
        blob_put(&blob, source->metadata, source->metadata_len);
    }
    blob_le(&blob, source->ro_len, 3);
    blob_le(&blob, source->rw_len, 3);
    blob_le(&blob, source->heap_pages, 2);
    blob_le(&blob, source->stack, 3);
    blob_put(&blob, source->ro, source->ro_len);
    blob_put(&blob, source->rw, source->rw_len);
    blob_code(&code, &source->code, true);
    blob_le(&blob, code.len, 4);
    blob_put(&blob, code.bytes, code.len);
    blob_free(&code);
    return blob;
}

struct blob polkavm_begin(unsigned version)
{
    struct blob blob = {0};
    blob_put(&blob, "PVM", 4);
    blob_le(&blob, version, 1);
    blob_le(&blob, 0, 8);
    return blob;
}

void polkavm_section(struct blob *blob, unsigned id, const void *payload, size_t len)
{
    blob_le(blob, id, 1);
    blob_natural(blob, len);
    blob_put(blob, payload, len);
}

void polkavm_end(struct blob *blob)
{
    blob_le(blob, 0, 1);
    for (unsigned i = 0; i < 8; i++)
        blob->bytes[5 + i] = (uint8_t)((uint64_t)blob->len >> 8 * i);
}

static void section_of(struct blob *blob, unsigned id, struct blob *payload)
{
    polkavm_section(blob, id, payload->bytes, payload->len);
    blob_free(payload);
}

static void add_imports(struct blob *blob, const char *const *imports)
{
    struct blob payload = {0}, names = {0};
    unsigned count = 0;
    while (imports[count] != NULL)
        count++;
    blob_natural(&payload, count);
    for (unsigned i = 0; i < count; i++) {
        blob_le(&payload, names.len, 4);
        blob_put(&names, imports[i], strlen(imports[i]));
    }
    blob_put(&payload, names.bytes, names.len);
    blob_free(&names);
    section_of(blob, 4, &payload);
}

struct blob polkavm_make(const struct polkavm_source *source)
{
    struct blob blob = polkavm_begin(source->version), payload = {0};
    if (source->ro_size + source->rw_size + source->stack_size > 0) {
        blob_natural(&payload, source->ro_size);
        blob_natural(&payload, source->rw_size);
        blob_natural(&payload, source->stack_size);
        section_of(&blob, 1, &payload);
    }
    if (source->ro_len > 0)
        polkavm_section(&blob, 2, source->ro, source->ro_len);
    if (source->rw_len > 0)
        polkavm_section(&blob, 3, source->rw, source->rw_len);
    if (source->imports != NULL)
        add_imports(&blob, source->imports);
    if (source->exports != NULL) {
        unsigned count = 0;
        while (source->exports[count].name != NULL)
            count++;
        blob_natural(&payload, count);
        for (unsigned i = 0; i < count; i++) {
            blob_natural(&payload, source->exports[i].pc);
            blob_natural(&payload, strlen(source->exports[i].name));
            blob_put(&payload, source->exports[i].name, strlen(source->exports[i].name));
        }
        section_of(&blob, 5, &payload);
    }
    blob_code(&payload, &source->code, true);
    section_of(&blob, 6, &payload);
    if (source->debug != NULL)
        polkavm_section(&blob, 128, source->debug, strlen(source->debug));
    polkavm_end(&blob);
    return blob;
}

struct blob jar_make(uint32_t memory_pages, unsigned invoke, const struct jar_source_entry *entries,
                     unsigned count, const void *data, size_t data_len)
{
    struct blob blob = {0};
    blob_put(&blob, "JAR\x02", 4);
    blob_le(&blob, memory_pages, 4);
    blob_le(&blob, count, 1);
    blob_le(&blob, invoke, 1);
    for (unsigned i = 0; i < count; i++) {
        blob_le(&blob, entries[i].slot, 1);
        blob_le(&blob, entries[i].type, 1);
        blob_le(&blob, entries[i].base_page, 4);
        blob_le(&blob, entries[i].page_count, 4);
        blob_le(&blob, entries[i].access, 1);
        blob_le(&blob, entries[i].offset, 4);
        blob_le(&blob, entries[i].len, 4);
    }
    blob_put(&blob, data, data_len);
    return blob;
}

/* ---- programs ---------------------------------------------------------------------------- */

void random_program(struct random *random, struct random_program *program)
{
    uint32_t at = 0, starts[256], count = 0;
    const uint32_t target = 1 + (uint32_t)random_below(random, 200);
    memset(program, 0, sizeof *program);
    random_bytes(random, program->code, sizeof program->code);
    while (at < target) {
        program->starts[at] = 1;
        starts[count++] = at;
        at += 1 + (uint32_t)random_below(random, random_below(random, 8) == 0 ? 30 : 6);
    }
    program->starts[at] = 1; /* a trap, and maybe bytes behind it */
    program->code[at] = 0;
    starts[count++] = at;
    const uint32_t len = at + 1 + (uint32_t)random_below(random, 4);
    const uint32_t table_len = (uint32_t)random_below(random, 16);
    for (uint32_t i = 0; i < table_len; i++)
        program->table[i] = random_below(random, 8) == 0 ? len + (uint32_t)random_below(random, 20)
                                                         : starts[random_below(random, count)];
    program->source =
        (struct pvm_source){program->code,  program->starts, len,
                            program->table, table_len,       2 + (unsigned)random_below(random, 3)};
}

/* clang-format off */
static const uint8_t sample_code[] = {
    51, 0x07, 10,           /* 00 load_imm a0, 10 */
    149, 0x77, 0xFF,        /* 03 add_imm_64 a0, a0, -1 */
    82, 0x17, 0, 0xFD,      /* 06 branch_ne_imm a0, 0, @03 */
    10, 1,                  /* 0a ecalli 1 */
    40, 4,                  /* 0c jump @10 */
    0, 0,                   /* 0e trap, and a byte behind it */
    123, 0x81, 8,           /* 10 store_ind_u64 [a1+8], sp */
    200, 0x98, 7,           /* 13 add_64 a0, a1, a2 */
    50, 0x00,               /* 16 jump_ind ra */
};
static const uint8_t sample_starts[sizeof sample_code] = {
    1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 1, 0, 1, 0, 1, 0, 0, 1, 0, 0, 1, 0,
};
/* clang-format on */
static const uint32_t sample_table[] = {0x10, 0x03};
const struct pvm_source pvm_sample = {
    sample_code, sample_starts, sizeof sample_code, sample_table, 2, 2};
