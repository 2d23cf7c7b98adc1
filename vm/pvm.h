/* PVM's encoding: where instructions begin and end, which opcodes there are. No state. */
#ifndef JAVM_VM_PVM_H
#define JAVM_VM_PVM_H

#include <endian.h>
#include <string.h>

#include "vm/ir.h"

#define PVM_HALT     0xFFFF0000u /* a jump there ends the program */
#define PVM_SKIP_MAX 24u
#define PVM_LOW      0x10000u /* gp: addresses below it panic */

enum {
    PVM_TRAP = 0,
    PVM_UNLIKELY = 2,
    PVM_ECALL = 3,
    PVM_MEMSET = JAVM_PVM_OP_MEMSET,
    PVM_SBRK = 101,
    PVM_LI_DJUMP = 180
};

/* Does an instruction begin there? True at and behind the code's end. */
static inline bool pvm_begins(const struct front *f, uint64_t at)
{
    return at >= f->len || (f->key.bitmask[at / 8] >> (at % 8) & 1) != 0;
}

/* Argument bytes of what is at `at`: the next one begins at at + 1 + skip. at < len. */
static inline uint32_t pvm_skip(const struct front *f, uint64_t at)
{
    const uint64_t from = at + 1;
    uint32_t skip = 0;
    if (f->len - at > 64 + PVM_SKIP_MAX) { /* eight bytes of the bitmask are there */
        uint64_t bits;
        memcpy(&bits, f->key.bitmask + from / 8, sizeof bits);
        bits = le64toh(bits) >> (from % 8) | UINT64_C(1) << PVM_SKIP_MAX;
        return (uint32_t)__builtin_ctzll(bits);
    }
    while (skip < PVM_SKIP_MAX && !pvm_begins(f, from + skip))
        skip++;
    return skip;
}

/* Of an opcode in this code: profile and features. */
bool pvm_is_valid(const struct front *f, uint8_t opcode);
bool pvm_is_terminator(const struct front *f, uint8_t opcode);

/* Where the instruction begins that ends before `at`; `at`: none does. at <= len. */
uint64_t pvm_before(const struct front *f, uint64_t at);
/* Is it 0, or where something behind a terminator begins? */
bool pvm_starts_block(const struct front *f, uint64_t at);
/* May a jump lead there? */
bool pvm_may_land(const struct front *f, uint64_t at);

/* ---- the whole code --------------------------------------------------------------------- */

/* Places in the middle of straight code to which some jump of the program may lead; `heads`: those,
 * and starts of blocks, to which a later one leads. A bit per byte of code. */
struct pvm_targets {
    uint64_t *middle, *heads; /* one allocation, middle; NULL: out of memory */
};
uint64_t pvm_target_words(uint64_t code_len); /* of both bitmaps */
bool pvm_find_targets(const struct front *f, struct pvm_targets *targets);

/* A place to enter, and what that costs. */
struct pvm_entry {
    uint32_t pc;
    uint32_t place; /* the user's */
    uint64_t cost;
};
/* Set the costs of entries in ascending order. False: out of memory. */
bool pvm_price(const struct front *front, struct pvm_entry *entries, uint32_t count);

static inline bool pvm_bit(const uint64_t *bits, uint64_t at)
{
    return (bits[at / 64] >> (at % 64) & 1) != 0;
}

#endif
