/* One unit on one Vm: invocation in, result out. */
#ifndef JAVM_BATCH_EXECUTE_H
#define JAVM_BATCH_EXECUTE_H

#include "batch/result.h"
#include "javm/vm.h"

#define OUTPUT_BYTES_MAX (16u << 20) /* longer outputs are only reported as a hash */

/* Runs the job and fills in everything of *result but `us`. `now_ns` (CLOCK_MONOTONIC) and
 * timeout_ms (0: none) make the deadline. The caller clears the result. */
void execute(struct javm_vm *vm, struct javm_dir_thread *dir, const struct job *job, int64_t now_ns,
             uint64_t timeout_ms, struct result *result);
void result_clear(struct result *result);

#endif
