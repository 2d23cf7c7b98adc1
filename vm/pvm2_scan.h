/* The linear walk of PVM2 code without decoding it (spec: PVM2 6.1, 6.2): where instructions begin,
 * and where backward jumps lead; and from that, whether a block starts somewhere. In steps, so
 * that a walk can stop where nobody has asked yet. */
#ifndef JAVM_VM_PVM2_SCAN_H
#define JAVM_VM_PVM2_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#define PVM2_WINDOW 128u /* bytes: a word of each bitmap */

struct pvm2_walk {
    const uint8_t *code;
    uint64_t len;
    uint64_t at; /* the next instruction's offset; everything below is known */
    bool ended;  /* no instruction is at `at` */
    /* A bit per halfword, at least len / 2 + 1 of each, zero at first. `longs`: a 4-byte
     * instruction begins there; every other halfword below `at`, but for their second ones, is an
     * instruction of 2 bytes. `heads`: the target of a backward branch or of a backward jal that
     * links nowhere, even where no instruction begins; of the jumps in `noted` windows. */
    uint64_t *longs, *heads;
    uint64_t *noted; /* a bit per window, zero at first */
};

/* Is there an instruction at an offset where one begins or the code ends, as a whole? */
static inline bool pvm2_is_whole(const uint8_t *code, uint64_t len, uint64_t offset)
{
    const uint64_t left = offset < len ? len - offset : 0;
    return left >= 2 && (left >= 4 || (code[offset] & 3) != 3);
}

/* Go on, by whole windows, until everything below `until` is known, or to the end of the code. */
void pvm2_walk_to(struct pvm2_walk *walk, uint64_t until);

/* Note where the backward jumps lead that lie in the windows of [from, until), as far as there is
 * code. */
void pvm2_note_heads(struct pvm2_walk *walk, uint64_t from, uint64_t until);

/* Of a window below `at`: the halfwords at which an instruction begins, or something behind the
 * last one. */
static inline uint64_t pvm2_begins(const struct pvm2_walk *walk, uint64_t window)
{
    const uint64_t carry = window != 0 ? walk->longs[window - 1] >> 63 : 0;
    return ~(walk->longs[window] << 1 | carry);
}

/* Does an instruction begin at an offset? Offsets at and behind `at`: false. */
static inline bool pvm2_is_there(const struct pvm2_walk *walk, uint64_t offset)
{
    return offset < walk->at && offset % 2 == 0 &&
           (pvm2_begins(walk, offset / PVM2_WINDOW) >> (offset / 2 % 64) & 1) != 0;
}

/* Does a block start there? Offsets at and behind `at`: false. */
bool pvm2_starts_block(const struct pvm2_walk *walk, uint64_t offset);

#endif
