#include "batch/counters.h"

unsigned latency_bucket(uint64_t ns)
{
    if (ns < 8)
        return (unsigned)ns;
    const unsigned power = 63 - (unsigned)__builtin_clzll(ns); /* >= 3 */
    const unsigned bucket = (power - 2) * 8 + (unsigned)(ns >> (power - 3) & 7);
    return bucket < LATENCY_BUCKETS ? bucket : LATENCY_BUCKETS - 1;
}

double latency_of_bucket(unsigned bucket)
{
    if (bucket < 8)
        return bucket;
    const unsigned power = bucket / 8 + 2;
    const double width = (double)(1ull << (power - 3));
    return (8 + bucket % 8 + 0.5) * width;
}

double latency_percentile(const struct totals *totals, double fraction)
{
    uint64_t all = 0, below = 0;
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        all += totals->latency[i];
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        below += totals->latency[i];
        if (below > 0 && (double)below >= fraction * (double)all)
            return latency_of_bucket(i);
    }
    return 0;
}

static uint64_t get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void totals_add(struct totals *totals, const struct counters *counters)
{
    for (unsigned i = 0; i < OUTCOME_COUNT; i++) {
        totals->exits[i] += get(&counters->exits[i]);
        totals->done += get(&counters->exits[i]);
    }
    totals->gas += get(&counters->gas);
    totals->mismatches += get(&counters->mismatches);
    totals->failures += get(&counters->failures);
    totals->skipped += get(&counters->skipped);
    totals->replayed += get(&counters->replayed);
    totals->bytes += get(&counters->bytes);
    totals->busy_ns += get(&counters->busy_ns);
}

void totals_add_latency(struct totals *totals, const struct counters *counters)
{
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++) {
        totals->latency[i] += get(&counters->latency[i]);
        totals->gas_sizes[i] += get(&counters->gas_sizes[i]);
    }
}
