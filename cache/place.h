/* Places: the keys of entries in their shard's table, used again when an entry is gone.
 *
 * An entry's id is never used again, so it cannot be the key: inner nodes stay, and one entry that
 * outlives many others would lead ever deeper paths to ever new nodes. Places are numbered from 1
 * without gaps, so the table needs no more nodes than the most places that were ever taken at one
 * time ask for.
 *
 * Free places are a stack. A place that was taken comes back only after a grace period (with the
 * bytes of the entry that had it), so while a thread is between its look at the top and its
 * compare-and-set, inside a section, a top that went away cannot return: no ABA. The places
 * themselves stay until the directory is destroyed, so looking below a stale top is harmless. */
#ifndef CACHE_PLACE_H
#define CACHE_PLACE_H

#include <ck_epoch.h>
#include <stdint.h>

struct place_stack;

struct place {
    uint64_t number;          /* constant; from 1 */
    struct place_stack *home; /* constant */
    struct place *next;       /* atomic: the one below while it is free */
};

/* Zero-initialised: no places. */
struct place_stack {
    struct place *top; /* atomic */
    uint64_t made;     /* atomic; the highest number */
};

/* A place that is the caller's now; NULL when out of memory. Lock-free. */
struct place *place_take(ck_epoch_record_t *record, struct place_stack *stack);
/* Back to the stack it came from. A grace period has passed since it was taken. Lock-free. */
void place_give(struct place *place);
/* Frees the free places. No other thread may use the stack any more. */
void place_clear(struct place_stack *stack);

#endif
