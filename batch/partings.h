/* verify --bisect: each job on both engines, and what is said about those that part. */
#ifndef JAVM_BATCH_PARTINGS_H
#define JAVM_BATCH_PARTINGS_H

#include <stdio.h>

#include "batch/execute.h"

struct partings; /* of a batch */
struct parting;  /* a worker's */

struct partings *partings_new(void); /* NULL: out of memory */
void partings_free(struct partings *partings);

/* `engine` and `jit` are those of the worker's own Vm; the other engine's is made here. The Vm, dir
 * and annex are borrowed. UNSUPPORTED, NOMEM. */
enum javm_status parting_new(struct partings *partings, struct javm_vm *vm,
                             const struct javm_vm_options *options, struct javm_dir_thread *dir,
                             uint64_t timeout_ms, struct parting **parting, struct javm_error *err);
void parting_free(struct parting *parting);

/* Before the job runs: nothing that it stands on has changed. `annex` sees that and is not open;
 * afterwards none is. */
void parting_look(struct parting *parting, struct javm_annex *annex, const struct job *job,
                  const struct ground *ground);

/* A job that no image runs: it is not compared, and counted as such. */
void parting_leave_out(struct parting *parting);

/* After the workers were joined: what was found on `to`, the sum on `log`. The number of jobs whose
 * engines part, or that could not be compared. */
uint64_t partings_tell(const struct partings *partings, FILE *to, FILE *log);

#endif
