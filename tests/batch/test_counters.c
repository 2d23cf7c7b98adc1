/* Defects that this would catch: latency buckets that overlap, leave gaps or are wider than
 * promised, percentiles that pick the wrong bucket or fail on few jobs, and counters that are left
 * out of the totals. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "batch/counters.h"

Test(counters, buckets_are_exact_when_small)
{
    for (unsigned ns = 0; ns < 8; ns++) {
        cr_expect_eq(latency_bucket(ns), ns);
        cr_expect_eq(latency_of_bucket(ns), ns);
    }
}

Test(counters, buckets_rise_without_gaps)
{
    unsigned last = 0;
    for (uint64_t ns = 0; ns < 100000; ns++) {
        const unsigned bucket = latency_bucket(ns);
        cr_assert(bucket == last || bucket == last + 1, "%llu", (unsigned long long)ns);
        last = bucket;
    }
}

Test(counters, a_bucket_is_within_an_eighth)
{
    for (uint64_t ns = 8; ns < UINT64_MAX / 3; ns = ns * 3 / 2 + 1) {
        const double middle = latency_of_bucket(latency_bucket(ns)), value = (double)ns;
        cr_expect(middle > value * 0.93 && middle < value * 1.07, "%llu: %f",
                  (unsigned long long)ns, middle);
    }
    cr_expect_lt(latency_bucket(UINT64_MAX), LATENCY_BUCKETS);
}

Test(counters, percentiles)
{
    struct totals totals = {0};
    cr_expect_eq(latency_percentile(&totals, 0.5), 0);
    totals.latency[3] = 1;
    cr_expect_eq(latency_percentile(&totals, 0.5), 3);
    cr_expect_eq(latency_percentile(&totals, 1.0), 3);
    totals.latency[3] = 90;
    totals.latency[5] = 9;
    totals.latency[7] = 1;
    cr_expect_eq(latency_percentile(&totals, 0.5), 3);
    cr_expect_eq(latency_percentile(&totals, 0.9), 3);
    cr_expect_eq(latency_percentile(&totals, 0.95), 5);
    cr_expect_eq(latency_percentile(&totals, 0.99), 5);
    cr_expect_eq(latency_percentile(&totals, 0.999), 7);
    cr_expect_eq(latency_percentile(&totals, 1.0), 7);
}

Test(counters, totals_add_up_everything)
{
    struct counters *counters = calloc(1, sizeof *counters);
    struct totals totals = {0};
    cr_assert(counters != NULL);
    for (unsigned i = 0; i < OUTCOME_COUNT; i++)
        counter_add(&counters->exits[i], i + 1);
    counter_add(&counters->gas, 1000);
    counter_add(&counters->gas, 1);
    counter_add(&counters->mismatches, 2);
    counter_add(&counters->failures, 3);
    counter_add(&counters->skipped, 4);
    counter_add(&counters->bytes, 5);
    counter_add(&counters->busy_ns, 6);
    counter_add(&counters->latency[9], 7);
    totals_add(&totals, counters);
    totals_add(&totals, counters);
    totals_add_latency(&totals, counters);
    for (unsigned i = 0; i < OUTCOME_COUNT; i++)
        cr_expect_eq(totals.exits[i], 2 * (i + 1));
    cr_expect_eq(totals.done, OUTCOME_COUNT * (OUTCOME_COUNT + 1));
    cr_expect_eq(totals.gas, 2002);
    cr_expect_eq(totals.mismatches, 4);
    cr_expect_eq(totals.failures, 6);
    cr_expect_eq(totals.skipped, 8);
    cr_expect_eq(totals.bytes, 10);
    cr_expect_eq(totals.busy_ns, 12);
    cr_expect_eq(totals.latency[9], 7);
    free(counters);
}
