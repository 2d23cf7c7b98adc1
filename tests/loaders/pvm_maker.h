/* PVM containers for tests: bytes in all the forms that loaders read, written independently of
 * them, and random programs. Failing allocations end the test. */
#ifndef JAVM_TEST_PVM_MAKER_H
#define JAVM_TEST_PVM_MAKER_H

#include "javm/container.h"
#include "tests/require.h"

struct blob {
    uint8_t *bytes; /* owned by who made it */
    size_t len;
};

void blob_put(struct blob *blob, const void *bytes, size_t n);
void blob_le(struct blob *blob, uint64_t value, unsigned width);
/* The shortest JAM natural, 1 to 5 bytes. */
void blob_natural(struct blob *blob, uint64_t value);
void blob_free(struct blob *blob);

/* A program as one writes it down: a mask byte for each byte of code. */
struct pvm_source {
    const uint8_t *code;
    const uint8_t *starts; /* code_len bytes, 0 or 1 */
    uint32_t code_len;
    const uint32_t *table;
    uint32_t table_len;
    unsigned entry_size;
};

/* Numbers as in code blobs of jar1 (false) and gp, .polkavm (true). */
void blob_code(struct blob *blob, const struct pvm_source *source, bool naturals);

struct spi_source {
    struct pvm_source code;
    const char *metadata; /* NULL: no service blob */
    uint32_t metadata_len;
    const uint8_t *ro, *rw;
    uint32_t ro_len, rw_len;
    uint32_t heap_pages, stack;
};
struct blob spi_make(const struct spi_source *source);

struct pvm_export {
    uint32_t pc;
    const char *name; /* NULL ends a list */
};
struct polkavm_source {
    struct pvm_source code;
    unsigned version;
    uint32_t ro_size, rw_size, stack_size;
    const uint8_t *ro, *rw;
    uint32_t ro_len, rw_len;
    const char *const *imports; /* NULL-terminated, or NULL */
    const struct pvm_export *exports;
    const char *debug; /* content of section 128, or NULL */
};
struct blob polkavm_make(const struct polkavm_source *source);
/* The same in pieces: head, sections, end (which sets the length). */
struct blob polkavm_begin(unsigned version);
void polkavm_section(struct blob *blob, unsigned id, const void *payload, size_t len);
void polkavm_end(struct blob *blob);

struct jar_source_entry {
    unsigned slot, type; /* 0 CODE, 1 DATA */
    uint32_t base_page, page_count;
    unsigned access;
    uint32_t offset, len; /* in the data section */
};
struct blob jar_make(uint32_t memory_pages, unsigned invoke, const struct jar_source_entry *entries,
                     unsigned count, const void *data, size_t data_len);

/* A random valid program of jar1, as PVM 2 wants it: its last instruction ends a block, its table
 * names instructions. Code for any other form is as good. */
struct random_program {
    uint8_t code[256], starts[256];
    uint32_t table[16];
    struct pvm_source source;
};
void random_program(struct random *random, struct random_program *program);

/* One program of a few instructions, with two functions, a branch and a table, for the programs. */
extern const struct pvm_source pvm_sample;

#endif
