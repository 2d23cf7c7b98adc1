/* --mpi: one batch by many processes, its ranks.
 *
 * Every rank reads the whole jobs file, so every rank has all definitions and knows the number of
 * each unit. Rank 0 hands out ranges of numbers on demand, always the next ones, and a rank runs
 * the units of its ranges. Results come to rank 0 as segments with those numbers, and its sink puts
 * them in order as those of one process; or each rank has a file of its own.
 *
 * A thread of each rank, the postman, does all that there is to do with messages. */
#ifndef JAVM_BATCH_RANKS_H
#define JAVM_BATCH_RANKS_H

#include "batch/run.h"

struct ranks;

/* Numbers that results of ranges handed out are apart at most, when they are to be in order. */
#define RANKS_WINDOW (UINT64_C(1) << 18)
/* Units that a rank asks for at once, at most. */
#define RANKS_MOST   UINT64_C(8192)

/* Before other threads are made; *options is changed for this rank. `run` is borrowed; its options
 * are used from ranks_begin on. As wire_open, and NOMEM. */
enum javm_status ranks_open(struct run *run, struct options *options, struct ranks **ranks,
                            struct javm_error *err);
/* All ranks together, before ranks_begin: the worst exit code of all. */
int ranks_agree(struct ranks *ranks, int code);
/* Makes the postman, who begins with ranks_go. NOMEM. */
enum javm_status ranks_begin(struct ranks *ranks, struct javm_error *err);
void ranks_go(struct ranks *ranks);
/* All ranks together. NULL is fine. */
void ranks_close(struct ranks *ranks);

/* Is this the one that speaks for all? True without ranks. */
bool ranks_first(const struct ranks *ranks);
/* Do results go to rank 0? False without ranks. */
bool ranks_gather(const struct ranks *ranks);

/* The parser's. It has passed all units below `position` and wants about `want` more. The units in
 * [*low, *high) are its own; those from position to *low are others', but for chains that it has
 * begun. *high > position. False: the batch was halted. */
bool ranks_claim(struct ranks *ranks, uint64_t position, uint64_t want, uint64_t *low,
                 uint64_t *high);
/* From the sink's thread of another rank: hand the segment on. Waits when much has not gone yet.
 * False: out of memory, errno is ENOMEM. */
bool ranks_send(struct ranks *ranks, const struct segment *segment);

/* What a rank has come to. */
struct rank_end {
    struct totals totals;
    uint64_t lines, bytes, announced;
    uint32_t halt, broken, bad; /* enum halt; the input failed, had a bad line */
    uint32_t samples;
    char sample[SAMPLES][SAMPLE_SIZE];
};
/* Rank 0, when its own jobs have ended: waits for all others; *all is their sum. */
void ranks_await(struct ranks *ranks, struct rank_end *all);
/* Another rank, when its sink is closed: tells rank 0, waits until all is sent. */
void ranks_tell(struct ranks *ranks, const struct rank_end *end);

#endif
