/* Fields of PVM containers, each with a name for its error, and the code blob inside all of them.
 */
#ifndef JAVM_LOADERS_CONTAINER_H
#define JAVM_LOADERS_CONTAINER_H

#include "javm/container.h"
#include "loaders/bytes.h"

/* Offsets in messages count from the first byte of the file, also inside a section: that is a
 * reader with another `in.len`. The first error stays; reads after it give zeros. */
struct field_reader {
    struct reader in;
    const char *prefix;      /* before the name of each field: "" or "section 6 (code): " */
    struct javm_error error; /* status OK: none yet */
};

/* "PREFIX FIELD at byte N: ..." */
__attribute__((format(printf, 5, 6))) void field_bad(struct field_reader *r,
                                                     enum javm_status status, const char *field,
                                                     size_t at, const char *fmt, ...);

/* `width` bytes, 1 to 8. */
uint64_t field_fixed(struct field_reader *r, unsigned width, const char *field);
/* JAM natural of at most 5 bytes, so below 2^35. */
uint64_t field_natural(struct field_reader *r, const char *field);
/* The same, below 2^32. */
uint32_t field_varint(struct field_reader *r, const char *field);
/* n bytes of `what`, which a field at `at` announced; NULL after an error. */
const uint8_t *field_take(struct field_reader *r, uint64_t n, const char *what, const char *field,
                          size_t at);

static inline size_t field_left(const struct field_reader *r)
{
    return r->in.len - r->in.at;
}

enum code_numbers { CODE_FIXED, CODE_NATURAL, CODE_VARINT };

/* Where the parts of a code blob stand in the file. */
struct code_parts {
    size_t table, code, bitmask; /* offsets */
    size_t code_at;              /* of the number code_len */
    size_t exports;              /* of the section of a .polkavm; 0: none */
    uint64_t jump_len, code_len;
    unsigned entry_size;
};

/* The blob up to the end of its bitmask. VARINT is the form of .polkavm: entries of 0 bytes are
 * none at all, and its limits on code and table hold. */
void code_read(struct field_reader *r, enum code_numbers numbers, struct code_parts *parts);
/* Rules of PVM 2 for jar1. */
void code_validate(struct field_reader *r, const struct code_parts *parts);

/* Code with its jump table decoded and room for `more` bytes, which is at *rest, all in one
 * allocation that becomes the caller's; `opcodes` (256, NULL: all stay) says what becomes of the
 * byte where an instruction starts. `code` gets everything but profile and features. NULL: no
 * memory. */
uint8_t *code_own(const uint8_t *bytes, const struct code_parts *parts, const uint8_t *opcodes,
                  size_t more, struct javm_pvm_code *code, uint8_t **rest);

/* Readers of one kind. Until javm_pvm_load owns it, a program points into the file; it says nothing
 * of its code but profile and features. After an error it may be partly filled. */
void spi_read(struct field_reader *r, struct javm_pvm_program *program, struct code_parts *parts);
void polkavm_read(struct field_reader *r, struct javm_pvm_program *program,
                  struct code_parts *parts);
/* What becomes of the opcodes of a version; it must be one that is read. */
void polkavm_opcodes(unsigned version, uint8_t opcodes[256]);

/* As javm_pvm_memory, but false when the parts of a .polkavm need more than 2^32 bytes:
 * *needed. */
bool container_lay_out(const struct javm_pvm_program *program, const struct javm_pvm_setup *setup,
                       struct javm_pvm_memory *memory, uint64_t *needed);

bool code_ends_block(unsigned op, unsigned features);

#endif
