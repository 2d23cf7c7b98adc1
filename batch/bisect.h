/* Where two engines part: the first block of a job after which they are not in the same state.
 *
 * Both run the job again and again with less gas; where that is used up their whole states
 * (registers, memory, frames, meters) have hashes, which are compared. So a search over the gas
 * finds the block, whatever became of the job afterwards. What a run is, and what is said of the
 * place, is the caller's: bisect_image.h, bisect_foreign.h,
 * bisect_v2.h. */
#ifndef JAVM_BATCH_BISECT_H
#define JAVM_BATCH_BISECT_H

#include "javm/vm.h"

/* What a run came to. Members that do not apply are zero. */
struct bisect_state {
    enum javm_status status; /* not OK: the side cannot run it, `end` says why */
    bool late;               /* it took too long, which says nothing */
    bool stands;             /* it could go on: `frame` is where */
    struct javm_frame frame; /* image zero: the job has only one code */
    uint64_t gas_used;
    struct javm_hash left;                          /* everything else that has to be the same */
    char end[sizeof((struct javm_error *)0)->text]; /* how it ended */
};

#define BISECT_LINE 256 /* bytes */

struct bisect {
    const char *names[2];
    void *context;
    /* Run the job afresh on side 0 or 1 with so much gas; *state is zeroed. NOMEM; whatever else
     * goes wrong is a state. */
    enum javm_status (*probe)(void *context, unsigned side, uint64_t gas,
                              struct bisect_state *state, struct javm_error *err);
    /* NULL: where it stands is not known, only its registers. Else: write the instruction at *at of
     * the frame's code and move *at behind it. False: the block ends with it, or there is none and
     * `text` is empty. */
    bool (*list)(void *context, const struct javm_frame *frame, uint64_t *at,
                 char text[BISECT_LINE]);
};

/* Do both sides end the job in the same state? If not, lines about where they part are put into
 * `text`, always NUL-terminated. *parted is false when one took too long. `gas` is the job's.
 * NOMEM. */
enum javm_status bisect(const struct bisect *bisect, uint64_t gas, bool *parted, char *text,
                        size_t size, struct javm_error *err);

#endif
