#include "batch/ranks_summary.h"

#include <string.h>

void ranks_join(struct run *run, struct summary *summary, const struct rank_end *all,
                enum pipeline_end *end)
{
    if (!ranks_first(run->ranks))
        return;
    summary->totals = all->totals;
    summary->announced += all->announced;
    summary->lines_written += all->lines;
    summary->bytes_written += all->bytes;
    for (uint32_t i = 0; i < all->samples; i++) {
        const unsigned at = atomic_fetch_add_explicit(&run->samples, 1, memory_order_relaxed);
        if (at < SAMPLES)
            memcpy(run->sample[at], all->sample[i], SAMPLE_SIZE);
    }
    if (*end == PIPELINE_READ_ALL && all->bad)
        *end = PIPELINE_BAD;
    if (all->broken)
        *end = PIPELINE_BROKEN;
}

void ranks_report(struct run *run, const struct summary *summary, enum pipeline_end end,
                  struct rank_end *mine)
{
    const unsigned samples = atomic_load_explicit(&run->samples, memory_order_relaxed);
    *mine = (struct rank_end){.totals = summary->totals,
                              .lines = ranks_gather(run->ranks) ? 0 : summary->lines_written,
                              .bytes = ranks_gather(run->ranks) ? 0 : summary->bytes_written,
                              .announced = summary->announced,
                              .halt = summary->halt,
                              .broken = end == PIPELINE_BROKEN,
                              .bad = end == PIPELINE_BAD,
                              .samples = samples < SAMPLES ? samples : SAMPLES};
    memcpy(mine->sample, run->sample, sizeof mine->sample);
    ranks_tell(run->ranks, mine);
}
