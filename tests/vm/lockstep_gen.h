/* Parts of the generator of structured programs. */
#ifndef TESTS_VM_LOCKSTEP_GEN_H
#define TESTS_VM_LOCKSTEP_GEN_H

#include "tests/vm/lockstep_asm.h"

#define GEN_FUNCTIONS 64u

struct gen {
    struct lock_asm a;
    struct random *random;
    const struct lock_layout *layout;
    unsigned base, base2; /* locked: addresses inside writable memory; base2 is a stack */
    unsigned risk;        /* percent of the accesses that go to an edge */
    unsigned end;         /* label of the regular end */
    bool costly;          /* something in it takes much gas */
    struct {
        unsigned label, link;
    } functions[GEN_FUNCTIONS];
    unsigned function_count, functions_done;
};

/* One instruction without control flow. */
void gen_alu(struct gen *g);
void gen_access(struct gen *g);
void gen_body(struct gen *g, unsigned most);
/* Instructions that a recompiler may take together, in orders and with registers in which it may
 * and in which it may not (lockstep_pairs.c). */
void gen_pair(struct gen *g);

#endif
