/* What entering blocks in their middle costs, one pass for all places of a block. */
#include <stdlib.h>

#include "vm/front.h"
#include "vm/gas_suffix.h"
#include "vm/pvm.h"

/* Rows of one block. */
struct rows {
    struct gas_row *items; /* owned */
    uint32_t *pcs;         /* owned */
    uint32_t count, room;
};

static bool add_row(struct rows *rows, const struct gas_row *row, uint32_t pc)
{
    if (rows->count == rows->room) {
        const uint32_t room = rows->room * 2 + 64;
        struct gas_row *items = realloc(rows->items, room * sizeof *items);
        if (items != NULL)
            rows->items = items;
        uint32_t *pcs = realloc(rows->pcs, room * sizeof *pcs);
        if (pcs != NULL)
            rows->pcs = pcs;
        if (items == NULL || pcs == NULL)
            return false;
        rows->room = room;
    }
    rows->items[rows->count] = *row;
    rows->pcs[rows->count++] = pc;
    return true;
}

/* Price the entries from number `first` on that lie in one block; how many they are, 0: no memory.
 */
static uint32_t price_block(const struct front *front, struct pvm_entry *entries, uint32_t count,
                            uint32_t first, struct rows *rows)
{
    struct ir_step step = {.terminator = false};
    uint64_t pc = entries[first].pc;
    uint32_t end = first;
    rows->count = 0;
    while (!step.terminator) {
        pvm_next(front, pc, &step);
        if (!add_row(rows, &step.row, (uint32_t)pc))
            return 0;
        if (end < count && entries[end].pc == pc)
            end++;
        pc += step.len;
    }
    struct gas_suffix suffix;
    uint32_t at = end;
    gas_suffix_begin(&suffix);
    for (uint32_t i = rows->count; i-- > 0;) {
        gas_suffix_step(&suffix, &rows->items[i]);
        if (at > first && entries[at - 1].pc == rows->pcs[i])
            entries[--at].cost = gas_suffix_cost(&suffix);
    }
    return end - first;
}

bool pvm_price(const struct front *front, struct pvm_entry *entries, uint32_t count)
{
    struct rows rows = {.count = 0};
    uint32_t done = 0, more = 1;
    while (done < count && more != 0) {
        more = price_block(front, entries, count, done, &rows);
        done += more;
    }
    free(rows.items);
    free(rows.pcs);
    return more != 0;
}
