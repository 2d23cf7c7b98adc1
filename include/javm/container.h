/* PVM programs in their containers: code blobs, standard programs (SPI) and service blobs,
 * `.polkavm` files, JAR v2 blobs (spec: PVM 2, 10, 11; JAR v2 4). docs/formats.md has the bytes.
 *
 * What is loaded owns copies of all it points to, so that the file's bytes can go. A loader takes
 * memory in proportion to the file, whatever sizes the file declares.
 *
 * Errors of the loaders: FORMAT for bytes that are not as they should be, RANGE for numbers that
 * exclude each other, LIMIT for numbers above a limit, UNSUPPORTED for what is known and cannot be
 * run, NOMEM. The text names the field, its byte, what was found and what was expected; the byte is
 * also in `where`. After an error the result is empty. Thread rules: none; a loaded program is not
 * changed by anything but its clear function. */
#ifndef JAVM_CONTAINER_H
#define JAVM_CONTAINER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "javm/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- code ------------------------------------------------------------------------------- */

struct javm_pvm_code {
    const uint8_t *code;
    uint64_t code_len; /* in bytes */
    /* Bit i mod 8 of byte i / 8, least significant first: an instruction starts at code[i].
     * (code_len + 7) / 8 bytes; bits past the code are 0 here, though they count as 1. */
    const uint8_t *bitmask;
    const uint32_t *jump_table; /* code offsets, as the file has them */
    uint32_t jump_len;
    enum javm_pvm profile;
    unsigned features; /* as in struct javm_program_key, never 0 */
};

/* The code of an image for PVM (JAVM_ISA_PVM), whose parts it borrows. */
struct javm_pvm_code javm_pvm_code_of(const struct javm_image *image);

/* The key of its program with this page budget; it borrows the code's parts. */
struct javm_program_key javm_pvm_key(const struct javm_pvm_code *code, uint64_t memory_pages);

/* Stands for the code, its bitmask, its jump table and its opcodes: a name for javm_native_open.
 * Not the same on machines of another byte order. */
struct javm_hash javm_pvm_name(const struct javm_pvm_code *code);

/* Does an instruction start at `pc`? False past the code. */
static inline bool javm_pvm_is_start(const struct javm_pvm_code *code, uint64_t pc)
{
    return pc < code->code_len && (code->bitmask[pc / 8] >> pc % 8 & 1) != 0;
}

/* Instruction starts, and starts of basic blocks: of code[0] and of what follows a terminator. */
void javm_pvm_count(const struct javm_pvm_code *code, uint64_t *instructions, uint64_t *blocks);

/* ---- instructions ----------------------------------------------------------------------- */

/* Operand formats of PVM 3, by its letters. INVALID has no operands. */
enum javm_pvm_format {
    JAVM_PVM_INVALID,
    JAVM_PVM_N,
    JAVM_PVM_I,
    JAVM_PVM_RX,
    JAVM_PVM_II,
    JAVM_PVM_O,
    JAVM_PVM_RI,
    JAVM_PVM_RII,
    JAVM_PVM_RIO,
    JAVM_PVM_RR,
    JAVM_PVM_RRI,
    JAVM_PVM_RRO,
    JAVM_PVM_RRII,
    JAVM_PVM_RRR
};

struct javm_pvm_insn {
    uint64_t pc, next; /* its own offset; the one behind it: 1 to 25 more */
    uint64_t x, y;     /* immediates, sign-extended (RX: as it stands) */
    uint64_t target;   /* of O, RIO and RRO; any 64-bit value */
    uint8_t op;
    uint8_t format;  /* enum javm_pvm_format */
    uint8_t a, b, d; /* registers 0..12; 0 where the format has none */
    bool terminator;
};

/* The instruction at any pc, whether one starts there or not; past the code it is a trap. */
struct javm_pvm_insn javm_pvm_decode(const struct javm_pvm_code *code, uint64_t pc);
/* "add_imm_64" for opcodes of any program; NULL for others. */
const char *javm_pvm_mnemonic(unsigned op);
/* "store_ind_u8 [sp-8], a0"; targets as "@00001c". Always NUL-terminated, at most 96 bytes. */
void javm_pvm_format_insn(const struct javm_pvm_insn *insn, char *text, size_t size);

/* ---- programs: all containers with one code ---------------------------------------------- */

enum javm_pvm_container {
    JAVM_PVM_ANY,       /* to be found out */
    JAVM_PVM_CODE_JAR1, /* jump table, code, bitmask, with numbers of 32 bits */
    JAVM_PVM_CODE_GP,   /* the same with JAM naturals */
    JAVM_PVM_SPI,       /* standard program, with or without metadata in front (a service blob) */
    JAVM_PVM_POLKAVM,
    JAVM_PVM_JAR /* has any number of codes: javm_jar_load */
};
/* "standard program (SPI)" and so on; never NULL. */
const char *javm_pvm_container_name(enum javm_pvm_container container);

struct javm_pvm_symbol {
    const uint8_t *name; /* any bytes; owned by the program */
    uint32_t name_len;
    uint32_t pc; /* exports: where an instruction starts */
};

struct javm_pvm_program {
    enum javm_pvm_container container;
    uint8_t version;  /* .polkavm: 0 ReviveV1, 2 Latest64, 3 JamV1 */
    bool has_service; /* SPI: metadata stands in front, maybe none */
    struct javm_pvm_code code;
    const uint8_t *metadata; /* of a service blob */
    uint32_t metadata_len;
    const uint8_t *ro, *rw; /* content in the file; the rest of each area is zero */
    uint32_t ro_len, rw_len;
    uint32_t ro_size, rw_size, stack_size; /* as declared, in bytes */
    uint32_t heap_pages;                   /* SPI: pages of 4 KiB behind rw */
    struct javm_pvm_symbol *imports, *exports;
    uint32_t import_count, export_count;
    uint64_t skipped; /* .polkavm: bytes of sections that do not matter to execution */
    uint8_t *owned;   /* what all but the arrays of symbols points into */
};

/* By the first bytes: POLKAVM, JAR or, for anything else, ANY. */
enum javm_pvm_container javm_pvm_sniff(const uint8_t *bytes, size_t len);
/* `as`: what the bytes are; ANY: the first of POLKAVM (by its magic), SPI, CODE_GP, CODE_JAR1 that
 * they are from the first to the last byte. UNSUPPORTED for JAR. *program may be uninitialised. */
enum javm_status javm_pvm_load(const uint8_t *bytes, size_t len, enum javm_pvm_container as,
                               struct javm_pvm_program *program, struct javm_error *err);
/* A zeroed or loaded program becomes a zeroed one. */
void javm_pvm_clear(struct javm_pvm_program *program);

/* ---- memory at the start ----------------------------------------------------------------- */

enum javm_pvm_role {
    JAVM_PVM_RO,    /* constants: read only */
    JAVM_PVM_RW,    /* variables, SPI: with heap pages */
    JAVM_PVM_STACK, /* read and write */
    JAVM_PVM_ARGS   /* SPI: arguments, .polkavm: what the host provides; read only */
};
struct javm_pvm_region {
    enum javm_pvm_role role;
    bool writable;
    uint64_t start, size;   /* multiples of the page size; size > 0 */
    const uint8_t *content; /* its first bytes; of the program or the setup, not owned */
    uint64_t content_len;   /* <= size; zeros follow */
};

/* What the host chooses. Zeroed: nothing. */
struct javm_pvm_setup {
    const uint8_t *args; /* must outlive the memory that is made of it */
    uint64_t args_len;   /* SPI: at most 2^24 */
    uint32_t page_size;  /* .polkavm: 4096, 16384 or 65536; 0: 4096 */
};

/* Regions in ascending order, apart from each other; whatever is in none is inaccessible. sbrk
 * begins at heap_start (any byte) and stays below heap_end; both 0 where there is no heap. */
struct javm_pvm_memory {
    struct javm_pvm_region regions[4];
    unsigned region_count;
    uint64_t heap_start, heap_end;
    uint64_t regs[13]; /* at the start of a call; a code blob has all 0 */
};

/* RANGE when a .polkavm and what the host provides do not fit into 2^32 bytes, LIMIT for too many
 * arguments, and for a setup that the container does not have. Nothing is allocated. */
enum javm_status javm_pvm_memory(const struct javm_pvm_program *program,
                                 const struct javm_pvm_setup *setup, struct javm_pvm_memory *memory,
                                 struct javm_error *err);

/* ---- JAR v2 blobs ------------------------------------------------------------------------ */

enum { JAVM_JAR_MAX_CODES = 5 };

struct javm_jar_entry {
    uint8_t slot;
    bool is_code;
    bool writable;           /* DATA */
    uint8_t code;            /* CODE: index of javm_jar.codes */
    uint32_t first_page;     /* DATA: in the address space, */
    uint32_t page_count;     /* together at most 2^20 */
    uint32_t backing_offset; /* DATA: its first page of the invocation's backing store */
    const uint8_t *data;     /* the payload, owned by the blob */
    uint32_t data_len;       /* in bytes; DATA: at most page_count pages */
};

struct javm_jar {
    uint32_t memory_pages;
    uint32_t data_pages; /* taken by DATA entries, replaced ones too; <= memory_pages */
    uint8_t invoke_slot;
    uint8_t invoke_code; /* index of the code in invoke_slot when all entries are in place */
    unsigned code_count;
    uint32_t entry_count; /* at most 255 */
    struct javm_pvm_code codes[JAVM_JAR_MAX_CODES];
    struct javm_jar_entry *entries;                  /* in the order of the manifest */
    uint8_t *owned, *owned_code[JAVM_JAR_MAX_CODES]; /* what codes and entries point into */
};

/* Everything that can be checked without gas, arguments and a host (JAR v2 4.3, 1 to 10), in the
 * order in which an invocation would meet it: FORMAT for InvalidBlob, LIMIT for TooManyCodeCaps,
 * RANGE for OutOfMemory. */
enum javm_status javm_jar_load(const uint8_t *bytes, size_t len, struct javm_jar *jar,
                               struct javm_error *err);
void javm_jar_clear(struct javm_jar *jar);

#ifdef __cplusplus
}
#endif
#endif
