/* What a worker counts: written by its own thread only, read by others at any time.
 *
 * All accesses are relaxed: each number stands for itself, and the final ones are read after the
 * workers were joined. One writer per counter, so adding needs no locked instruction. */
#ifndef JAVM_BATCH_COUNTERS_H
#define JAVM_BATCH_COUNTERS_H

#include <stdatomic.h>
#include <stdint.h>

#include "batch/job.h"

/* Logarithmic buckets, 8 for each power of two: at most 12.5 % wide. For times, and for gas. */
#define LATENCY_BUCKETS (62 * 8)

struct counters {
    /* replayed: jobs of chains that ran again without a line.
     * failures: jobs that make the exit code 1, each once, also when it is an error and a mismatch
     */
    _Atomic uint64_t exits[OUTCOME_COUNT];
    _Atomic uint64_t gas, mismatches, failures, skipped, replayed, bytes, busy_ns;
    _Atomic uint64_t latency[LATENCY_BUCKETS];
    _Atomic uint64_t gas_sizes[LATENCY_BUCKETS]; /* of jobs that were charged */
};

/* The same as plain numbers. */
struct totals {
    uint64_t exits[OUTCOME_COUNT];
    uint64_t done, gas, mismatches, failures, skipped, replayed, bytes, busy_ns;
    uint64_t latency[LATENCY_BUCKETS], gas_sizes[LATENCY_BUCKETS];
};

static inline void counter_add(_Atomic uint64_t *counter, uint64_t n)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
                          memory_order_relaxed);
}

unsigned latency_bucket(uint64_t ns);
/* The middle of a bucket, in ns. */
double latency_of_bucket(unsigned bucket);
/* ns below which `fraction` of the jobs lie; 0 when there are none. */
double latency_percentile(const struct totals *totals, double fraction);

/* Add without the histograms, which only the end needs. */
void totals_add(struct totals *totals, const struct counters *counters);
void totals_add_latency(struct totals *totals, const struct counters *counters);

#endif
