#include "batch/series.h"

#include <string.h>

void series_begin(struct series *series, int64_t interval_ns)
{
    series->interval_ns = interval_ns;
    series->count = 1;
    memset(&series->points[0], 0, sizeof series->points[0]);
}

static void thin(struct series *series)
{
    for (unsigned i = 1; i < SERIES_POINTS / 2; i++)
        series->points[i] = series->points[(size_t)2 * i];
    series->count = SERIES_POINTS / 2;
    series->interval_ns *= 2;
}

void series_add(struct series *series, const struct series_point *point)
{
    if (point->ns <= series->points[series->count - 1].ns) {
        if (series->count > 1)
            series->points[series->count - 1] = *point;
        return;
    }
    if (series->count == SERIES_POINTS)
        thin(series);
    series->points[series->count++] = *point;
}

void series_use(const struct series *series, unsigned row, unsigned workers,
                uint16_t use[SERIES_POINTS - 1])
{
    uint64_t before = 0; /* what later intervals had no room for */
    for (unsigned i = series->count - 1; i > 0; i--) {
        const struct series_point *from = &series->points[i - 1], *to = &series->points[i];
        const uint64_t room = (uint64_t)(to->ns - from->ns) * workers;
        const uint64_t busy = to->busy_ns[row] - from->busy_ns[row] + before;
        const uint64_t here = busy < room ? busy : room;
        before = busy - here;
        use[i - 1] = room == 0 ? 0 : (uint16_t)((double)here * 1000 / (double)room);
    }
}
