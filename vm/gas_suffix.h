/* What entering a block in its middle costs, for all places at once. */
#ifndef JAVM_VM_GAS_SUFFIX_H
#define JAVM_VM_GAS_SUFFIX_H

#include "vm/gas.h"

/* The pipeline from the end of a block backwards: gas_suffix_step for each row, the last one first;
 * gas_suffix_cost is then the cost of the block from that row on. A row without cycles is a move.
 *
 * What follows a row finishes at the maximum of: the clock plus so much, each register's readiness
 * plus so much. These numbers, for each number of slots that may be in use before the row, are all
 * that has to be known of the rest. */
struct gas_suffix {
    struct gas_after {
        int64_t clock, ready[16];
    } after[4]; /* by slots in use; 4 and more are 0, a cycle later */
};

void gas_suffix_begin(struct gas_suffix *suffix);
void gas_suffix_step(struct gas_suffix *suffix, const struct gas_row *row);
uint64_t gas_suffix_cost(const struct gas_suffix *suffix);

#endif
