/* verify --bisect: each job on both engines, and what is said about those that part. */
#ifndef JAVM_BATCH_PARTINGS_H
#define JAVM_BATCH_PARTINGS_H

#include <stdio.h>

#include "batch/execute.h"
#include "batch/foreign_run.h"
#include "batch/v2_run.h"

struct partings; /* of a batch */
struct parting;  /* a worker's */

/* `engine` is the batch's. As javm_jit_create: the other one is there, too. */
enum javm_status partings_new(enum javm_engine engine, struct partings **partings,
                              struct javm_error *err);
/* After what the jobs ran on: its native code is kept here. NULL is nothing. */
void partings_free(struct partings *partings);

/* What a worker has of its own, borrowed; `options` are those of the Vm. */
struct parting_own {
    const struct javm_vm_options *options;
    struct javm_vm *vm;
    struct foreign_runner *foreign;
    struct v2_runner *v2;
    struct javm_dir_thread *dir;
    uint64_t timeout_ms;
};
/* The other engine's are made here. NOMEM. */
enum javm_status parting_new(struct partings *partings, const struct parting_own *own,
                             struct parting **parting, struct javm_error *err);
void parting_free(struct parting *parting);

/* Before the job runs: nothing that it stands on has changed. `annex` sees that and is not open;
 * afterwards none is. Only jobs on images have these two. */
void parting_look(struct parting *parting, struct javm_annex *annex, const struct job *job,
                  const struct ground *ground);

/* After the workers were joined: what was found on `to`, the sum on `log`. The number of jobs whose
 * engines part, or that could not be compared. */
uint64_t partings_tell(const struct partings *partings, FILE *to, FILE *log);

#endif
