/* Which jobs of the file are this batch's: those of its shard that have no line yet. */
#ifndef JAVM_BATCH_CHOOSE_H
#define JAVM_BATCH_CHOOSE_H

#include "batch/run.h"

enum fate {
    FATE_RUN,
    FATE_SKIP,
    FATE_HOLE,  /* it has a line: with --mpi somebody has to say so */
    FATE_REPLAY /* it has a line, but its chain needs what it leaves: run without another line */
};

/* The parser's. */
struct choice {
    struct run *run;
    uint64_t number; /* of the next unit of the file */
    /* --mpi: units in [low, high) are this rank's; what is from high on has to be claimed first. */
    uint64_t low, high;
    bool missed; /* there was one to run */
    char *key;
    size_t key_room;
};

void choice_begin(struct choice *choice, struct run *run);
void choice_end(struct choice *choice);
/* False: every fate is to run, and numbers have no gaps. */
bool chooses(const struct choice *choice);
/* Once for each unit, in the order of the file. Takes the unit's line out of run->history. Without
 * memory it halts the run. */
enum fate choose(struct choice *choice, const struct job *job, uint64_t rep);

#endif
