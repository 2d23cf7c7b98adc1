/* Defects that this would catch: points that are lost or out of order when resolution is halved, a
 * last point that is not the end, more memory with more time, a job that ran through many intervals
 * shown in one, a worker that is busier than time allows. */
#include <criterion/criterion.h>
#include <stdlib.h>

#include "batch/series.h"
#include "tests/require.h"

#define MS INT64_C(1000000)

static struct series *series_of(int64_t interval)
{
    struct series *series = malloc(sizeof *series);
    REQUIRE(series != NULL);
    series_begin(series, interval);
    return series;
}

static void add(struct series *series, int64_t ns, uint64_t jobs, uint64_t busy)
{
    struct series_point point = {.ns = ns, .jobs = jobs};
    point.busy_ns[0] = busy;
    series_add(series, &point);
}

Test(series, halves_its_resolution)
{
    struct series *series = series_of(MS);
    int64_t now = 0;
    for (unsigned i = 1; i <= 6000; i++) {
        now += series->interval_ns;
        add(series, now, (uint64_t)now * 3, 0);
        cr_assert(series->count <= SERIES_POINTS);
        cr_assert_eq(series->points[series->count - 1].ns, now);
        cr_assert_eq(series->points[0].ns, 0);
        cr_assert(i < SERIES_POINTS || series->count >= SERIES_POINTS / 2);
    }
    for (unsigned i = 1; i < series->count; i++) {
        cr_assert_gt(series->points[i].ns, series->points[i - 1].ns);
        cr_assert_eq(series->points[i].jobs, (uint64_t)series->points[i].ns * 3);
    }
    /* All intervals but the first ones after a halving are of one length. */
    cr_assert_leq(series->points[1].ns, series->interval_ns);
    free(series);
}

Test(series, no_time_between_two_looks)
{
    struct series *series = series_of(MS);
    add(series, 0, 7, 0); /* the start stays the start */
    cr_assert_eq(series->count, 1);
    cr_assert_eq(series->points[0].jobs, 0);
    add(series, 5, 7, 0);
    add(series, 5, 8, 0);
    cr_assert_eq(series->count, 2);
    cr_assert_eq(series->points[1].jobs, 8);
    free(series);
}

Test(series, a_job_counts_where_it_ran)
{
    struct series *series = series_of(MS);
    uint16_t use[SERIES_POINTS - 1];
    add(series, 1 * MS, 0, 0);
    add(series, 2 * MS, 0, 0);
    add(series, 3 * MS, 1, 5 * (uint64_t)MS / 2); /* 2.5 ms long */
    add(series, 4 * MS, 2, 3 * (uint64_t)MS);
    series_use(series, 0, 1, use);
    const uint16_t one[] = {500, 1000, 1000, 500};
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(use[i], one[i], "interval %u: %u", i, use[i]);
    series_use(series, 0, 2, use); /* for two workers each interval has twice the room */
    const uint16_t two[] = {0, 250, 1000, 250};
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(use[i], two[i], "interval %u: %u", i, use[i]);
    free(series);
}

Test(series, never_more_than_all)
{
    struct series *series = series_of(MS);
    uint16_t use[SERIES_POINTS - 1];
    add(series, MS, 1, UINT64_C(1) << 60);
    add(series, 2 * MS, 1, UINT64_C(1) << 60);
    series_use(series, 0, 1, use);
    cr_assert_eq(use[0], 1000);
    cr_assert_eq(use[1], 0);
    free(series);
}
