#include "vm/nub/region.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static size_t to_pages(size_t bytes)
{
    return (bytes + JAVM_PAGE_SIZE - 1) & ~(size_t)(JAVM_PAGE_SIZE - 1);
}

void nub_region_measure(struct nub_region *region)
{
    region->in_bytes = to_pages(region->in_bytes);
    region->out_bytes = to_pages(region->out_bytes);
    region->bytes = NUB_LANES_AT + to_pages(region->lane_count * sizeof *region->lanes) +
                    region->in_bytes + region->out_bytes;
}

void nub_region_view(struct nub_region *region, void *base)
{
    uint8_t *at = base;
    region->head = base;
    region->lanes = (struct javm_nub_slot *)(void *)(at + NUB_LANES_AT);
    region->out = at + region->bytes - region->out_bytes;
    region->in = region->out - region->in_bytes;
}

/* Sequentially consistent on both sides, as in Dekker's algorithm: either the ringer sees that
 * somebody sleeps, or the sleeper sees the new word. */
void nub_bell_ring(uint32_t *word, const uint32_t *sleeps)
{
    __atomic_fetch_add(word, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(sleeps, __ATOMIC_SEQ_CST) != 0)
        (void)syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

void nub_bell_wait(uint32_t *word, uint32_t *sleeps, uint32_t seen, unsigned spins,
                   int64_t timeout_ns)
{
    for (; spins > 0; spins--) {
        if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != seen)
            return;
        __builtin_ia32_pause();
    }
    const struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    __atomic_store_n(sleeps, 1, __ATOMIC_SEQ_CST);
    if (__atomic_load_n(word, __ATOMIC_SEQ_CST) == seen)
        (void)syscall(SYS_futex, word, FUTEX_WAIT, seen, timeout_ns == 0 ? NULL : &timeout, NULL,
                      0);
    __atomic_store_n(sleeps, 0, __ATOMIC_RELAXED); /* who sees it late wakes nobody */
}
