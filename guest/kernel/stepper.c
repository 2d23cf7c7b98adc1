/* A long computation that can be stopped: it shuffles a table for so many steps, and every so often
 * yields, with the number of steps that are done in slot[0]. Whoever resumes it, and where and
 * when, makes no difference. Link with --heap 16K.
 *
 * Slots: 3 YieldSender of a key that is not the kernel's.
 *
 *     guest_main(steps, every, seed) -> a number that depends on every step; every = 0: no yields
 */
#include "javm_guest.h"

JAVM_SCRATCHPAD(4096);

enum { PAUSE = 3 };

uint64_t guest_main(uint64_t steps, uint64_t every, uint64_t seed, uint64_t d)
{
    size_t bytes;
    uint64_t *table = javm_heap(&bytes);
    const size_t room = bytes / sizeof *table;
    uint64_t x = seed | 1, value = 0;
    (void)d;
    for (size_t i = 0; i < room; i++)
        table[i] = i;
    for (uint64_t step = 1; step <= steps; step++) {
        x = x * 6364136223846793005u + 1442695040888963407u;
        const size_t a = (size_t)(x >> 33) % room, b = (size_t)(x >> 11) % room;
        const uint64_t was = table[a];
        table[a] = table[b] + step;
        table[b] = was;
        value = value * 31 + was;
        if (every != 0 && step % every == 0) {
            *(uint64_t *)(void *)javm_scratch() = step;
            javm_host_yield(PAUSE, 0, 0, 0, 0);
        }
    }
    return value;
}
