/* KernelAssist: what the kernel asks its host for (spec: v3 kernel, "Vm").
 *
 * A table of functions with a context. A member that is NULL is served by the Vm itself, with
 * tables that are empty at the start of each invocation; so a host supplies only what it wants to
 * see or keep. Functions are called by the thread that runs the Vm, in the middle of an invocation:
 * they may not call into that Vm. What they answer becomes part of the result, so whoever wants
 * results that are functions of the job answers by the arguments alone.
 *
 * Each returns JAVM_OK or a status that ends the whole invocation with it (javm_vm_invoke returns
 * it); what a guest may see as an outcome has a place of its own in the arguments. */
#ifndef JAVM_ASSIST_H
#define JAVM_ASSIST_H

#include "javm/cap.h"
#include "javm/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a host call of a guest may use. */
struct javm_host_call {
    uint64_t selector; /* >= 64 */
    uint64_t *regs;    /* φ[0..12], may be changed */
    struct javm_memory
        *memory; /* the guest's: javm_memory_read, javm_memory_write; borrowed for the call */
    bool trap;   /* out: the guest traps */
};

struct javm_assist {
    void *context; /* first argument of all functions; borrowed by the Vm */
    /* A new invocation begins: what was before is forgotten, if the host likes. May be NULL. */
    void (*reset)(void *context);

    /* Gas meters by key, in gas. One that was never set reads as 0. Come in pairs: both or none. */
    enum javm_status (*gas_get)(void *context, const struct javm_key *key, uint64_t *value);
    enum javm_status (*gas_set)(void *context, const struct javm_key *key, uint64_t value);
    /* Storage quotas by key, in pages; the same. */
    enum javm_status (*quota_get)(void *context, const struct javm_key *key, uint64_t *value);
    enum javm_status (*quota_set)(void *context, const struct javm_key *key, uint64_t value);

    /* Files, named by the key in a File handle. save: `data` is borrowed, *name becomes the key of
     * the handle. open: *data gets a reference, or NULL: no such file, the guest traps. Both or
     * none. */
    enum javm_status (*file_save)(void *context, const struct javm_cap *data,
                                  struct javm_key *name);
    enum javm_status (*file_open)(void *context, const struct javm_key *name,
                                  struct javm_cap **data);

    /* An attestation request (yield key CE 20) that no guest caught; *answer becomes φ[7], 0 is
     * "Recorded". */
    enum javm_status (*attest)(void *context, const struct javm_key *key,
                               const struct javm_cap *data, uint64_t *answer);

    /* Operations 64 and above. NULL: they trap, and at the root end the invocation with
     * JAVM_END_HOST_CALL. */
    enum javm_status (*host_call)(void *context, struct javm_host_call *call);
};

#ifdef __cplusplus
}
#endif
#endif
