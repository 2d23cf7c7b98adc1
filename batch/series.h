/* How a batch went, in bounded memory: points in time, each with what was counted until then.
 *
 * When the points are used up every second one goes and the distance between them doubles. Counts
 * are from the start, so nothing is lost but resolution. One thread at a time. */
#ifndef JAVM_BATCH_SERIES_H
#define JAVM_BATCH_SERIES_H

#include <stdint.h>

#define SERIES_POINTS 512 /* even */
#define SERIES_ROWS   64

struct series_point {
    int64_t ns; /* since the start, growing */
    uint64_t jobs, failures, gas;
    uint64_t busy_ns[SERIES_ROWS]; /* in jobs that ended; each row is a group of workers */
};

struct series {
    int64_t interval_ns; /* between two points */
    unsigned count;      /* >= 1: the first one is the start, where all is 0 */
    struct series_point points[SERIES_POINTS];
};

void series_begin(struct series *series, int64_t interval_ns);
/* A point that is no later than the last one takes its place. */
void series_add(struct series *series, const struct series_point *point);
/* For each interval between two points how much of it `workers` workers of a row were in jobs, in
 * thousandths: series->count - 1 of them. A job counts when it ends; what does not fit into that
 * interval was before it. */
void series_use(const struct series *series, unsigned row, unsigned workers,
                uint16_t use[SERIES_POINTS - 1]);

#endif
