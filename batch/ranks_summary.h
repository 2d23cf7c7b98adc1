/* What all ranks together came to. */
#ifndef JAVM_BATCH_RANKS_SUMMARY_H
#define JAVM_BATCH_RANKS_SUMMARY_H

#include "batch/pipeline.h"
#include "batch/ranks.h"
#include "batch/summary.h"

/* Rank 0: adds what the others came to (ranks_await), and how they ended. On other ranks nothing.
 */
void ranks_join(struct run *run, struct summary *summary, const struct rank_end *all,
                enum pipeline_end *end);
/* Another rank: tells rank 0, which waits for it. *mine is for its message. */
void ranks_report(struct run *run, const struct summary *summary, enum pipeline_end end,
                  struct rank_end *mine);

#endif
