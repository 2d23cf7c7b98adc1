/* Where two engines part: the first block of a job after which they are not in the same state.
 *
 * Both run the job again and again with less gas; where that is used up their whole states (frames,
 * registers, memory, meters) are values with hashes, which are compared. So a search over the gas
 * finds the block, whatever became of the job afterwards. */
#ifndef JAVM_BATCH_BISECT_H
#define JAVM_BATCH_BISECT_H

#include "batch/execute.h"

struct bisect_side {
    const char *name;
    struct javm_vm *vm;
};

struct bisect {
    struct bisect_side sides[2];
    struct javm_dir_thread *dir;
    struct javm_annex
        *annex;          /* sees what the job stands on; what is left there has to be cleared */
    uint64_t timeout_ms; /* of each run; 0: none */
};

/* Do both sides end the job in the same state? If not, lines about where they part are put into
 * `text`, always NUL-terminated. What a side cannot do (statuses of javm_vm_invoke) is a state,
 * too. *parted is false when one took too long. NOMEM. */
enum javm_status bisect(const struct bisect *bisect, const struct job *job,
                        const struct ground *ground, bool *parted, char *text, size_t size,
                        struct javm_error *err);

#endif
