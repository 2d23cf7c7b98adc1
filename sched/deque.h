/* A work-stealing deque of 64-bit items: the owner pushes and takes at the bottom, any thread
 * steals at the top. The argument for its memory orders stands at the top of deque.c. */
#ifndef JAVM_SCHED_DEQUE_H
#define JAVM_SCHED_DEQUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sched/atomic.h"

/* A circular buffer. When it is full the owner moves on to one twice as large and keeps this one
 * until deque_destroy, since a thief may still read it: all old ones together are smaller than the
 * newest. */
struct deque_buffer {
    struct deque_buffer *older; /* owned */
    uint64_t mask;              /* slots - 1; the slot count is a power of two */
    uint64_t slots[];
};

/* Indices only grow and wrap at 2^64; their differences are what counts, never their order. */
struct deque {
    _Alignas(SCHED_LINE) uint64_t top; /* thieves (and the owner, for the last item) advance it */
    _Alignas(SCHED_LINE) uint64_t bottom;   /* the owner writes, thieves read */
    uint64_t buffer;                        /* struct deque_buffer *, owned; the owner writes */
    _Alignas(SCHED_LINE) uint64_t top_seen; /* the owner's own: a lower bound of top */
};

enum deque_steal { DEQUE_STOLEN, DEQUE_EMPTY, DEQUE_LOST };

/* `slots` is a power of two; `start` is where the indices begin (0, except in tests).
 * False: no memory, and there is nothing to destroy. */
bool deque_init(struct deque *deque, size_t slots, uint64_t start);
/* No other thread may use the deque any more. Items still in it are forgotten. */
void deque_destroy(struct deque *deque);

/* Owner: room for `count` more pushes. False: no memory, nothing changed. */
bool deque_reserve(struct deque *deque, size_t count);
/* Owner: push a non-zero item; room was reserved. */
void deque_push(struct deque *deque, uint64_t item);
/* Owner: the item pushed last, or 0 when there is none. */
uint64_t deque_take(struct deque *deque);

/* Any thread, the owner too: the oldest item. DEQUE_LOST: another thread was faster; there may be
 * more. */
enum deque_steal deque_steal(struct deque *deque, uint64_t *item);

/* Any thread: about how many items. After a seq_cst fence it counts every item whose push came
 * before a fence that precedes it (the argument in idle.c rests on that). */
size_t deque_size_hint(const struct deque *deque);

#endif
