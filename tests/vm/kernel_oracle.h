/* Between kernel_look.c, which sees what a guest has, and kernel_oracle.c, which makes use of it.
 */
#ifndef TESTS_VM_KERNEL_ORACLE_H
#define TESTS_VM_KERNEL_ORACLE_H

#include "tests/vm/kernel_fuzz.h"

#define SEEN 160u

struct seen {
    struct place {
        uint64_t path;
        enum what what;
        bool pinned;
    } at[SEEN];
    uint32_t count;
    uint64_t nodes[16]; /* paths of CNodes, to put things below */
    uint32_t node_count;
};

struct oracle {
    struct fuzz_world *world;
    struct choices *choices;
    struct javm_vm *vm;
    struct entry *e;
    uint64_t *regs; /* 7.. are the operands */
    struct seen seen;
};

/* What the frame that runs has in its slots, three CNodes deep. */
void oracle_look(struct oracle *o);
/* A slot with one of these kinds (W_BITs), that may be pinned unless it has to leave. False: there
 * is none. */
bool oracle_slot(struct oracle *o, unsigned kinds, bool leave, uint64_t *path);
/* A path where nothing is, most likely. */
uint64_t oracle_free_slot(struct oracle *o);
/* Where the guest may write (or read). False: nowhere. */
bool oracle_address(struct oracle *o, bool write, uint64_t *address);
/* How many endpoints the Instance in a slot has. */
uint64_t oracle_endpoints(struct oracle *o, uint64_t path);
/* A key that the CNode has, when it has one; a wide one if there is. */
struct javm_key oracle_key_in(struct oracle *o, uint64_t path);

#endif
