/* The linear walk of PVM2 code without decoding it: where instructions and blocks begin (spec:
 * PVM2 6.1, 6.2), and where backward jumps lead. In steps, so that a walk can stop where nobody
 * has asked yet. */
#ifndef JAVM_VM_PVM2_SCAN_H
#define JAVM_VM_PVM2_SCAN_H

#include <stdbool.h>
#include <stdint.h>

struct pvm2_walk {
    const uint8_t *code;
    uint64_t len;
    uint64_t at; /* the next instruction's offset; everything below is known */
    bool start;  /* the instruction at `at` follows a terminator; true at offset 0 */
    bool ended;  /* no instruction is at `at` */
    /* A bit per halfword, at least len / 2 of each, zero at first. `starts`: a block starts there;
     * bits from `at` on are still clear. `heads`: the target of a backward branch or of a backward
     * jal that links nowhere (a jump to itself is one), even where no instruction begins. */
    uint64_t *starts, *heads;
};

/* Go on to the first instruction at or behind `until`, or to the end of the code. */
void pvm2_walk_to(struct pvm2_walk *walk, uint64_t until);

#endif
