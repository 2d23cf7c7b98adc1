/* Calls that are written down. */
#include <stdlib.h>
#include <string.h>

#include "vm/v2host/world.h"

#define RECORD_COST 128 /* bytes counted for each, besides what it points at */

/* Bytes that a call points at: φ[address], units of `unit` bytes, and `more` bytes behind them. */
struct range {
    uint8_t address; /* 0: none */
    uint8_t count;   /* φ that has the number of units; else a constant: */
    enum { ONCE, COUNTED, PER_CORE, PER_QUEUE } times;
    uint32_t unit, more;
};

/* Which registers each call has, from φ7 on, and where they point. */
static const struct shape {
    unsigned args;
    struct range ranges[JAVM_V2_RECORD_DATA];
} SHAPES[SERVICE_COUNT + 1] = {
    [15] = {6, {{8, 0, PER_CORE, 4, 0}, {11, 12, COUNTED, 12, 4}}},
    [16] = {3, {{8, 0, PER_QUEUE, 32, 0}}},
    [17] = {2, {{7, 8, COUNTED, 336, 0}}},
    [19] = {6, {{7, 0, ONCE, 32, 0}}},
    [20] = {3, {{7, 0, ONCE, 32, 0}}},
    [21] = {4, {{10, 0, ONCE, 128, 0}}},
    [22] = {2, {{8, 0, ONCE, 32, 0}}},
    [23] = {2, {{7, 0, ONCE, 32, 0}}},
    [24] = {2, {{7, 0, ONCE, 32, 0}}},
    [25] = {2, {{7, 0, ONCE, 32, 0}}},
    [27] = {3, {{8, 9, COUNTED, 1, 0}}},
    [28] = {3, {{0}}},
};

/* More than an address space has, for numbers whose product would not fit. */
#define TOO_LONG (UINT64_C(1) << 33)

static uint64_t length(const struct javm_v2_state *state, const struct range *range,
                       const struct javm_v2_call *call)
{
    const uint64_t units = range->times == COUNTED     ? call->regs[range->count]
                           : range->times == PER_CORE  ? state->cores
                           : range->times == PER_QUEUE ? state->queue
                                                       : 1;
    return units > UINT32_MAX ? TOO_LONG : units * range->unit + range->more;
}

static unsigned range_count(const struct shape *shape)
{
    unsigned n = 0;
    while (n < JAVM_V2_RECORD_DATA && shape->ranges[n].address != 0)
        n++;
    return n;
}

bool records_readable(const struct javm_v2_world *world, struct javm_v2 *v2,
                      const struct javm_v2_call *call)
{
    const struct shape *shape = &SHAPES[call->id];
    for (unsigned i = 0; i < range_count(shape); i++)
        if (!javm_v2_accessible(v2, call->regs[shape->ranges[i].address],
                                length(world->state, &shape->ranges[i], call), false))
            return false;
    return true;
}

static bool grow(struct records *records)
{
    if (records->count < records->capacity)
        return true;
    const size_t capacity = records->capacity == 0 ? 8 : 2 * records->capacity;
    struct javm_v2_record *list = realloc(records->list, capacity * sizeof *list);
    if (list == NULL)
        return false;
    records->list = list;
    records->capacity = capacity;
    return true;
}

/* All bytes of a record are in one piece, which begins with its first range. */
static bool take_bytes(const struct javm_v2_world *world, struct javm_v2 *v2,
                       const struct javm_v2_call *call, uint64_t total,
                       struct javm_v2_record *record)
{
    const struct shape *shape = &SHAPES[call->id];
    uint8_t *at = total == 0 ? NULL : malloc(total);
    if (total != 0 && at == NULL)
        return false;
    uint8_t *const all = at;
    for (unsigned i = 0; i < record->data_count; i++) {
        const uint64_t len = length(world->state, &shape->ranges[i], call);
        record->data[i] = (struct javm_bytes){at, len};
        if (len != 0 && !javm_v2_read(v2, call->regs[shape->ranges[i].address], at, len)) {
            free(all); /* records_readable was not asked */
            return false;
        }
        at += len;
    }
    return true;
}

bool records_add(struct javm_v2_world *world, struct javm_v2 *v2, const struct javm_v2_call *call)
{
    struct records *records = &world->records;
    const struct shape *shape = &SHAPES[call->id];
    struct javm_v2_record record = {
        .id = call->id, .arg_count = shape->args, .data_count = range_count(shape)};
    uint64_t total = 0;
    for (unsigned i = 0; i < record.data_count; i++)
        total += length(world->state, &shape->ranges[i], call);
    /* What is there are the first ones: nothing is kept behind one that was left out. */
    if (records->left_out != 0 ||
        total + RECORD_COST > world->limits.recorded_bytes - records->bytes) {
        records->left_out++;
        return true;
    }
    memcpy(record.args, &call->regs[7], shape->args * sizeof *record.args);
    if (!grow(records) || !take_bytes(world, v2, call, total, &record))
        return false;
    records->bytes += total + RECORD_COST;
    records->list[records->count++] = record;
    world->now.records = records->count;
    return true;
}

void records_clear(struct records *records)
{
    for (size_t i = 0; i < records->count; i++)
        free((void *)(uintptr_t)records->list[i].data[0].data);
    records->count = 0;
    records->bytes = records->left_out = 0;
}
