/* A key-value contract: endpoint 0 puts, 1 gets, 2 counts. Its state is its heap, so that whoever
 * calls it has the next state in the slot that it was called from. Link with --heap 64K.
 *
 *     put(key, value) -> the value before, 0 if there was none; traps when the table is full
 *     get(key) -> the value
 *     count() -> how many keys there are */
#include "javm_guest.h"

struct pair {
    uint64_t key, value, used;
};

/* The place of a key in an open-addressed table: its own, or the free one where it belongs. */
static struct pair *find(uint64_t key)
{
    size_t bytes;
    struct pair *table = javm_heap(&bytes);
    const size_t room = bytes / sizeof *table;
    size_t at = (size_t)(key * 0x9E3779B97F4A7C15u) % room;
    for (size_t steps = 0; steps < room; steps++) {
        if (!table[at].used || table[at].key == key)
            return &table[at];
        at = at + 1 == room ? 0 : at + 1;
    }
    javm_trap();
}

static uint64_t put(uint64_t key, uint64_t value, uint64_t c, uint64_t d)
{
    struct pair *pair = find(key);
    const uint64_t before = pair->value;
    (void)c, (void)d;
    *pair = (struct pair){key, value, 1};
    return before;
}
JAVM_ENDPOINT(0, put);

static uint64_t get(uint64_t key, uint64_t b, uint64_t c, uint64_t d)
{
    (void)b, (void)c, (void)d;
    return find(key)->value;
}
JAVM_ENDPOINT(1, get);

static uint64_t count(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    size_t bytes, pairs = 0;
    const struct pair *table = javm_heap(&bytes);
    (void)a, (void)b, (void)c, (void)d;
    for (size_t i = 0; i < bytes / sizeof *table; i++)
        pairs += table[i].used != 0;
    return pairs;
}
JAVM_ENDPOINT(2, count);
