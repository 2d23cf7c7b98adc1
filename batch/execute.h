/* One unit on one Vm: invocation or continuation in, result out. */
#ifndef JAVM_BATCH_EXECUTE_H
#define JAVM_BATCH_EXECUTE_H

#include "batch/result.h"
#include "javm/vm.h"

#define OUTPUT_BYTES_MAX (16u << 20) /* longer outputs are only reported as a hash */

/* What a unit runs on, and what it leaves. */
struct ground {
    struct javm_hash instance;
    bool paused; /* a Paused Instance, which is resumed */
    bool keep;   /* publish what it leaves; else only its hash is made, when the job asks for it */
    bool moved;  /* out, with `keep`: instance and paused are what it left; else as they were */
};

/* Runs the job and fills in everything of *result but `us`. `now_ns` (CLOCK_MONOTONIC) and
 * timeout_ms (0: none) make the deadline. What is published goes to the annex that `dir` has open;
 * one has to be open if something may be: with ground->keep, or execute_publishes(). The caller
 * clears the result. */
void execute(struct javm_vm *vm, struct javm_dir_thread *dir, const struct job *job,
             struct ground *ground, int64_t now_ns, uint64_t timeout_ms, struct result *result);
/* May the job, on its own, publish something besides its result? */
bool execute_publishes(const struct job *job);
void result_clear(struct result *result);
/* It comes to nothing but this error. */
__attribute__((format(printf, 2, 3))) void set_error(struct result *result, const char *fmt, ...);
/* To this one, behind `what`. */
void set_failure(struct result *result, const char *what, const struct javm_error *err);
/* "`what`: out of memory". */
void set_starved(struct result *result, const char *what);

/* The same job with so much gas, up to where that is used up: it is PAUSED then, whatever the job
 * says to pauses, and the Vm holds it until the caller drops it or takes it off. Everything that it
 * left is in *ended, which the caller clears. Nothing is published. Statuses as javm_vm_invoke. */
enum javm_status execute_until(struct javm_vm *vm, struct javm_dir_thread *dir,
                               const struct job *job, const struct ground *ground, uint64_t gas,
                               uint64_t timeout_ms, struct javm_call_result *ended,
                               struct javm_error *err);

/* cap_hash, of a settled form when the cap holds live entries. Takes over the reference to cap. */
enum javm_status execute_hash(struct javm_dir_thread *dir, struct javm_cap *cap,
                              struct javm_hash *hash, struct javm_error *err);

#endif
