/* PVM, the byte-coded instruction set of JAM and JAR: programs as they are stored.
 *
 * A program is its code, a bitmask that says where instructions begin, and a jump table. Two
 * profiles share all of it: jar1, and gp, the Gray Paper's. Images carry the three parts
 * separately; a code blob carries them one behind the other. */
#ifndef JAVM_PVM_H
#define JAVM_PVM_H

#include "javm/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

struct javm_pvm_blob {
    const uint8_t *code; /* into the blob, as the bitmask is: borrowed */
    uint64_t code_len;
    const uint8_t *bitmask; /* (code_len + 7) / 8 bytes; bit i of byte k, lowest first, says
                               whether an instruction begins at code byte 8k + i */
    uint32_t *jump_table;   /* owned: javm_pvm_close; NULL when it has no entries */
    uint32_t jump_count;
    enum javm_pvm profile;
};

/* Take a code blob apart. jar1: lengths are 4 bytes each, what follows the bitmask is ignored. gp:
 * lengths are JAM naturals, nothing may follow. FORMAT when a part does not fit into what is left
 * or the entry size is none, LIMIT beyond JAVM_PVM_CODE_MAX or JAVM_PVM_JUMPS_MAX, NOMEM; the
 * error's place is a byte offset in the blob. Nothing is to be closed after an error. */
enum javm_status javm_pvm_open(const uint8_t *bytes, size_t len, enum javm_pvm profile,
                               struct javm_pvm_blob *blob, struct javm_error *err);
void javm_pvm_close(struct javm_pvm_blob *blob);

/* The rules by which jar1 refuses a program before it runs: there is code, the last instruction
 * ends a block, no jump table entry leads into the middle of an instruction. FORMAT names the
 * field. gp has none: OK. Thread-safe. */
enum javm_status javm_pvm_validate(const struct javm_pvm_blob *blob, struct javm_error *err);

/* The key of a blob's program with this page budget; it borrows from the blob. */
struct javm_program_key javm_pvm_key(const struct javm_pvm_blob *blob, uint64_t memory_pages);

#ifdef __cplusplus
}
#endif
#endif
