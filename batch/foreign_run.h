/* Running jobs on PVM programs: a few instances of each worker, the last used first. */
#ifndef JAVM_BATCH_FOREIGN_RUN_H
#define JAVM_BATCH_FOREIGN_RUN_H

#include "batch/result.h"
#include "javm/module.h"

struct foreign_runner;

/* The reason of traps by an ecall: there is no kernel that could serve it. This very pointer. */
extern const char FOREIGN_ECALL[];

/* One thread; `jit` is borrowed. NULL: out of memory. */
struct foreign_runner *foreign_runner_new(enum javm_engine engine, struct javm_jit *jit);
void foreign_runner_free(struct foreign_runner *runner);
/* As execute, for a job whose target is foreign. */
void foreign_run(struct foreign_runner *runner, const struct job *job, int64_t now_ns,
                 uint64_t timeout_ms, struct result *result);
/* The same with the gas that *call has; the rest of it is filled in. *instance is the runner's, as
 * the job left it, until the next call. Statuses as javm_pvm_module_open, javm_pvm_instance_create,
 * ..._reset and ..._call. */
enum javm_status foreign_call(struct foreign_runner *runner, const struct job *job, int64_t now_ns,
                              uint64_t timeout_ms, struct javm_pvm_call *call,
                              struct javm_pvm_instance **instance, struct javm_error *err);

#endif
