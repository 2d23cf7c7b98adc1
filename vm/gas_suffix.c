#include "vm/gas_suffix.h"

#define NEVER (INT64_MIN / 2)

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void gas_suffix_begin(struct gas_suffix *suffix)
{
    for (unsigned used = 0; used < 4; used++) {
        struct gas_after *after = &suffix->after[used];
        after->clock = NEVER;
        for (unsigned r = 0; r < 16; r++)
            after->ready[r] = NEVER;
    }
}

/* `after` is what follows the row; it becomes what follows the place before it. */
static void step(struct gas_after *after, const struct gas_row *row)
{
    int64_t *const ready = after->ready;
    const int64_t of_result = row->dst == GAS_NONE ? NEVER : ready[row->dst];
    if (row->dst != GAS_NONE)
        ready[row->dst] = NEVER;
    if (row->cycles == 0) {
        ready[row->src1] = later(ready[row->src1], of_result);
    } else {
        const int64_t done = row->cycles + later(of_result, 0);
        after->clock = later(after->clock, done);
        ready[row->src1] = later(ready[row->src1], done);
        ready[row->src2] = later(ready[row->src2], done);
    }
    ready[GAS_NONE] = NEVER;
}

void gas_suffix_step(struct gas_suffix *suffix, const struct gas_row *row)
{
    const struct gas_suffix old = *suffix;
    for (unsigned used = 0; used < 4; used++) {
        const unsigned then = used + row->slots;
        struct gas_after *after = &suffix->after[used];
        *after = old.after[then < 4 ? then : 0];
        after->clock += then >= 4;
        step(after, row);
    }
}

uint64_t gas_suffix_cost(const struct gas_suffix *suffix)
{
    /* At its beginning the clock is 0 and every register ready. */
    int64_t span = suffix->after[0].clock;
    for (unsigned r = 0; r < 13; r++)
        span = later(span, suffix->after[0].ready[r]);
    return span > 3 ? (uint64_t)span - 3 : 1;
}
