/* Running jobs on PVM programs: a few instances of each worker, the last used first. */
#ifndef JAVM_BATCH_FOREIGN_RUN_H
#define JAVM_BATCH_FOREIGN_RUN_H

#include "batch/result.h"
#include "javm/engine.h"

struct foreign_runner;

/* The reason of traps by an ecall: there is no kernel that could serve it. This very pointer. */
extern const char FOREIGN_ECALL[];

/* One thread; `jit` is borrowed. NULL: out of memory. */
struct foreign_runner *foreign_runner_new(enum javm_engine engine, struct javm_jit *jit);
void foreign_runner_free(struct foreign_runner *runner);
/* As execute, for a job whose target is foreign. */
void foreign_run(struct foreign_runner *runner, const struct job *job, int64_t now_ns,
                 uint64_t timeout_ms, struct result *result);

#endif
