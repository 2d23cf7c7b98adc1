/* Live entries: the mutable tier's cells and their values.
 *
 * An entry's value is a `version`: a cap and a number of pins. The entry owns one pin; a reader
 * takes one for the few instructions between finding the version and taking its own reference to
 * the cap. Whoever gives up the last pin releases the cap, at once, and retires the version's
 * bytes.
 *
 *   replace     exchanges the version pointer, then gives up the old version's entry pin
 *   read        pins unless the pins are 0; 0 means "replaced", so looking again finds another
 * version
 *
 * The count of the cell decides over the entry itself. It starts at 2: one for the directory, one
 * for the maker. Only holders of a count may clone it, so once only the directory's 1 is left
 * nobody can raise it again, and of all sweepers exactly one succeeds in setting it from 1 to 0.
 * That one owns the entry. */
#ifndef CACHE_ENTRY_H
#define CACHE_ENTRY_H

#include <ck_epoch.h>
#include <stdbool.h>
#include <stdint.h>

#include "cache/place.h"
#include "cache/trie.h"
#include "javm/cap.h"

struct version {
    uint64_t pins;         /* atomic; 0: the cap is gone, the bytes wait for their grace period */
    struct javm_cap *cap;  /* owned; constant */
    uint64_t bytes;        /* of the cap, for statistics; constant */
    ck_epoch_entry_t link; /* for its retirement */
};

struct entry {
    struct javm_ref_cell cell; /* first: a CapRef points to it */
    struct trie_leaf leaf;     /* in its shard's table of instances */
    struct place *place;       /* gives the leaf its key; owned */
    struct version *value;     /* atomic; never NULL */
    ck_epoch_entry_t link;     /* for its retirement */
};

_Static_assert(offsetof(struct entry, cell) == 0, "a CapRef is a pointer to its entry");

static inline struct entry *entry_of_ref(const struct javm_ref_cell *ref)
{
    return (struct entry *)(uintptr_t)ref;
}

static inline struct entry *entry_of_leaf(struct trie_leaf *leaf)
{
    return (struct entry *)(void *)((char *)leaf - offsetof(struct entry, leaf));
}

/* Count 2, a place from `places`, one version of `cap`, whose reference is taken over on success.
 * NULL: out of memory. */
struct entry *entry_new(ck_epoch_record_t *record, struct place_stack *places,
                        struct javm_cap *cap);
/* Gives up an entry that was never in a table; its cap is the caller's again. */
void entry_discard(ck_epoch_record_t *record, struct entry *entry);
/* The bytes of the value that the entry has now. Only for who keeps it from being replaced. */
uint64_t entry_bytes(const struct entry *entry);
/* Releases the value of an entry that no other thread can reach; then the entry itself. */
void entry_clear(struct entry *entry);
void entry_free(struct entry *entry);

/* A counted view of the present value. The caller holds a count of the entry. Lock-free. */
struct javm_cap *entry_read(ck_epoch_record_t *record, struct entry *entry);
/* The reference to `cap` is taken over on success; false: out of memory, nothing changed. Keeps
 * *bytes, the sum over all values of a shard. Lock-free. */
bool entry_replace(ck_epoch_record_t *record, struct entry *entry, struct javm_cap *cap,
                   uint64_t *bytes);

/* Sweep only, inside a section. True: the caller, and no one else, owns the entry now. */
bool entry_claim(struct entry *entry);
/* The value of a claimed entry, borrowed until entry_drop_value(). */
const struct javm_cap *entry_claimed_value(const struct entry *entry);
/* Give up the claimed entry's value (its CapRefs lose their counts now), then retire its bytes. It
 * must be out of its table. */
void entry_drop_value(ck_epoch_record_t *record, struct entry *entry);
void entry_retire(ck_epoch_record_t *record, struct entry *entry);

/* Calls visit(ctx, ref) for each CapRef that stands directly in `cap` until one returns false;
 * returns false then. */
bool cap_each_ref(const struct javm_cap *cap, bool (*visit)(void *ctx, struct javm_ref_cell *ref),
                  void *ctx);

#endif
