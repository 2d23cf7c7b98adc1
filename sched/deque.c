/* The deque of Chase and Lev (SPAA 2005) with the orders that Le, Pop, Cohen and Zappa Nardelli
 * proved for it (PPoPP 2013).
 *
 * Items live at indices [top, bottom). The owner alone writes bottom, the buffer and the slots;
 * top only grows, each step by one compare-and-swap, so index i leaves the deque exactly once, by
 * whoever moves top from i to i + 1, or by the owner while it can rule such a step out.
 *
 *  1. take lowers bottom to b, then reads top; steal reads top, then bottom. Both have a seq_cst
 *     fence between the two, so of an owner and a thief after index b at least one sees the
 *     other's write: the thief sees bottom <= b and gives up, or the owner sees top near b. If top
 *     is b exactly, both must win the same compare-and-swap. If the owner sees top < b, a thief
 *     that would take b has to read top = b first, and so comes after the fence and sees bottom =
 * b.
 *  2. push writes the slot, then bottom with release; steal reads bottom with acquire, then the
 *     slot: a thief that sees the index sees the item, and what its pusher did before.
 *  3. push may write slot i + size only after index i has left: the owner reads top with acquire
 *     (in reserve, and in take when that finds the end), which pairs with the thief's
 *     compare-and-swap, which comes after its read of the slot.
 *  4. Growing copies [top, bottom) and publishes the new buffer with release before bottom can
 *     pass the old size; a thief reads bottom first, the buffer second. With an old buffer it reads
 *     an index that was there before the growth, and nobody writes old buffers.
 *  5. A thief may read a slot for an index that is gone by now: the slots are atomic words, the
 *     compare-and-swap then fails, and the value is dropped unused.
 *
 * Stealing several at once with one compare-and-swap from i to i + n would break rule 1: the owner
 * takes index i + 1 without a compare-and-swap when it sees top = i. So a thief that wants half a
 * deque steals one by one; it costs n compare-and-swaps, on a line that it holds already.
 *
 * bottom is always written with release, also in take, where the papers are content with relaxed:
 * an index below it may have been pushed before by the same owner, and a thief that reads this
 * write has to be ordered after that push without leaning on C11's release sequences, which C++20
 * cut down. */
#include "sched/deque.h"

#include <stdlib.h>

#define MAX_SLOTS (UINT64_C(1) << 40)

static struct deque_buffer *buffer_new(uint64_t slots)
{
    if (slots > MAX_SLOTS)
        return NULL;
    struct deque_buffer *buffer = malloc(sizeof *buffer + slots * sizeof buffer->slots[0]);
    if (buffer != NULL) {
        buffer->older = NULL;
        buffer->mask = slots - 1;
    }
    return buffer;
}

static struct deque_buffer *buffer_of(uint64_t word)
{
    return (struct deque_buffer *)(uintptr_t)word;
}

bool deque_init(struct deque *deque, size_t slots, uint64_t start)
{
    struct deque_buffer *buffer = buffer_new(slots);
    if (buffer == NULL)
        return false;
    deque->top = start;
    deque->bottom = start;
    deque->top_seen = start;
    deque->buffer = (uintptr_t)buffer;
    return true;
}

void deque_destroy(struct deque *deque)
{
    struct deque_buffer *buffer = buffer_of(deque->buffer);
    while (buffer != NULL) {
        struct deque_buffer *older = buffer->older;
        free(buffer);
        buffer = older;
    }
    deque->buffer = 0;
}

/* A buffer for at least `needed` items, holding those of [top, bottom). */
static bool grow(struct deque *deque, uint64_t top, uint64_t bottom, uint64_t needed)
{
    struct deque_buffer *old = buffer_of(at_load_relaxed(&deque->buffer)); /* own word */
    uint64_t slots = old->mask + 1;
    while (slots < needed) {
        if (slots >= MAX_SLOTS)
            return false;
        slots *= 2;
    }
    struct deque_buffer *buffer = buffer_new(slots);
    if (buffer == NULL)
        return false;
    /* Relaxed: the owner wrote the old slots itself; the new ones are published below. */
    for (uint64_t i = top; i != bottom; i++)
        at_store_relaxed(&buffer->slots[i & buffer->mask],
                         at_load_relaxed(&old->slots[i & old->mask]));
    buffer->older = old;
    /* Release; partner: the acquire load of buffer in deque_steal (rule 4). */
    at_store_release(&deque->buffer, (uintptr_t)buffer);
    return true;
}

bool deque_reserve(struct deque *deque, size_t count)
{
    /* Relaxed: the owner is the only writer of bottom and buffer. */
    const uint64_t bottom = at_load_relaxed(&deque->bottom);
    const uint64_t slots = buffer_of(at_load_relaxed(&deque->buffer))->mask + 1;
    if (bottom - deque->top_seen + count <= slots)
        return true;
    if (count > MAX_SLOTS)
        return false;
    /* Acquire; partner: the compare-and-swap in deque_steal (rule 3). */
    deque->top_seen = at_load_acquire(&deque->top);
    const uint64_t needed = bottom - deque->top_seen + count;
    return needed <= slots || grow(deque, deque->top_seen, bottom, needed);
}

void deque_push(struct deque *deque, uint64_t item)
{
    /* Relaxed: the owner's own words, as above; the slot is published by bottom. */
    const uint64_t bottom = at_load_relaxed(&deque->bottom);
    struct deque_buffer *buffer = buffer_of(at_load_relaxed(&deque->buffer));
    at_store_relaxed(&buffer->slots[bottom & buffer->mask], item);
    /* Release; partner: the acquire load of bottom in deque_steal (rule 2). */
    at_store_release(&deque->bottom, bottom + 1);
}

uint64_t deque_take(struct deque *deque)
{
    const uint64_t bottom = at_load_relaxed(&deque->bottom) - 1; /* relaxed: own word */
    struct deque_buffer *buffer = buffer_of(at_load_relaxed(&deque->buffer)); /* likewise */
    /* Empty for sure: top never passes bottom, and top_seen trails top. Saves the fence. */
    if (bottom + 1 == deque->top_seen)
        return 0;
    /* Release; partner: the acquire load of bottom in deque_steal, for the indices below. */
    at_store_release(&deque->bottom, bottom);
    /* Seq_cst; partner: the fence in deque_steal (rule 1). */
    at_fence_seq_cst();
    /* Acquire; partner: the compare-and-swap in deque_steal. When the deque turns out to be empty,
     * top_seen becomes this value, and pushes reuse slots on its word (rule 3). */
    const uint64_t top = at_load_acquire(&deque->top);
    const int64_t left = (int64_t)(bottom - top);
    if (left > 0)
        return at_load_relaxed(&buffer->slots[bottom & buffer->mask]); /* relaxed: own write */
    uint64_t item = 0;
    /* Seq_cst; partner: the same in deque_steal: the last item goes to one of the two. Acquire when
     * it fails, for the same reason as the load above. */
    if (left == 0 && at_cas_seq_cst(&deque->top, top, top + 1))
        item = at_load_relaxed(&buffer->slots[bottom & buffer->mask]);
    deque->top_seen = bottom + 1; /* whoever took it, top is here now */
    /* Release as above; the deque is empty, so the indices below are gone. */
    at_store_release(&deque->bottom, bottom + 1);
    return item;
}

enum deque_steal deque_steal(struct deque *deque, uint64_t *item)
{
    /* Acquire; partner: the compare-and-swap by which another thief put this value (rule 3). */
    const uint64_t top = at_load_acquire(&deque->top);
    /* Seq_cst; partner: the fence in deque_take (rule 1). */
    at_fence_seq_cst();
    /* Acquire; partner: the release stores of bottom in deque_push and deque_take (rule 2). */
    const uint64_t bottom = at_load_acquire(&deque->bottom);
    if ((int64_t)(bottom - top) <= 0)
        return DEQUE_EMPTY;
    /* Acquire; partner: the release store of buffer in grow (rule 4). */
    struct deque_buffer *buffer = buffer_of(at_load_acquire(&deque->buffer));
    /* Relaxed: rule 2 ordered it after the push; rule 5 covers the rest. */
    *item = at_load_relaxed(&buffer->slots[top & buffer->mask]);
    /* Seq_cst; partners: the same in deque_take and here, and the acquire loads of top in
     * deque_reserve, deque_take and here. */
    return at_cas_seq_cst(&deque->top, top, top + 1) ? DEQUE_STOLEN : DEQUE_LOST;
}

size_t deque_size_hint(const struct deque *deque)
{
    /* Relaxed: a hint, or after the caller's seq_cst fence (see deque.h). */
    const uint64_t top = at_load_relaxed(&deque->top);
    const int64_t size = (int64_t)(at_load_relaxed(&deque->bottom) - top);
    return size > 0 ? (size_t)size : 0;
}
