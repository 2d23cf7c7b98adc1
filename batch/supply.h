/* What jobs run on, on its way into the process of a worker (--isolation process), and caps on
 * their way back. */
#ifndef JAVM_BATCH_SUPPLY_H
#define JAVM_BATCH_SUPPLY_H

#include "batch/parcel.h"
#include "javm/directory.h"
#include "vm/nub/cell.h"

/* What a process was given: open addressing, a power of two of places. Zeroed: nothing. */
struct supply {
    struct subject *places;
    size_t count, room;
};
/* It is another process now. */
void supply_forget(struct supply *supply);
void supply_free(struct supply *supply);

/* The process has what the job runs on, or gets it. CRASHED: it died of that. */
enum javm_status supply_provide(struct supply *supply, struct nub_cell *cell,
                                struct javm_dir_thread *dir, const struct job *job,
                                const struct ground *ground, struct javm_error *err);

/* Everything below `root` that is published, as a bundle, malloc'ed. */
enum javm_status supply_collect(struct javm_dir_thread *dir, const struct javm_hash *root,
                                uint8_t **bytes, size_t *len, struct javm_error *err);
/* What a job left to its chain, into the annex that is open. It has to be what the job names: the
 * process cannot give a cap another one's hash. */
enum javm_status supply_adopt(struct javm_dir_thread *dir, const uint8_t *caps, size_t len,
                              const struct javm_hash *left, struct javm_error *err);

#endif
