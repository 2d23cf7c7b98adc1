/* The Vm driver: invocations of Instances (spec: v3 kernel).
 *
 * A Vm belongs to one worker thread and owns what an invocation needs: call stack, decoded-program
 * cache, guest memory. The directory is borrowed for the time of a call, through the worker's own
 * javm_dir_thread. */
#ifndef JAVM_VM_H
#define JAVM_VM_H

#include "javm/assist.h"
#include "javm/cap.h"
#include "javm/directory.h"
#include "javm/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

struct javm_vm;

enum javm_gas_model { JAVM_GAS_EXEC = 0, JAVM_GAS_FULL = 1 };

struct javm_vm_options {
    enum javm_engine engine;
    enum javm_gas_model gas_model;
    uint32_t max_depth;   /* call stack entries; 0: 256. Each frame reserves 4 GiB of addresses */
    struct javm_jit *jit; /* JIT: where compiled code is, shared with other Vms; borrowed until the
                             Vm is destroyed; NULL: the Vm makes one of its own */
    const struct javm_assist *assist; /* the host's functions, copied; NULL: none. Its context is
                                         borrowed until the Vm is destroyed */
    uint64_t program_cache_bytes; /* decoded programs kept; 0: 1 GiB; the one in use always stays */
};

/* options may be NULL for the defaults. UNSUPPORTED for an engine or gas model that is not built.
 */
enum javm_status javm_vm_create(const struct javm_vm_options *options, struct javm_vm **vm,
                                struct javm_error *err);
void javm_vm_destroy(struct javm_vm *vm);

enum javm_end {
    JAVM_END_HALT = 0,
    JAVM_END_PAUSED,
    JAVM_END_FAULTED,
    JAVM_END_HOST_CALL,
    JAVM_END_TIMEOUT
};

/* Why an invocation faulted. Frozen numbers: φ[7] of the caller. */
enum javm_fault {
    JAVM_FAULT_NONE = 0,
    JAVM_FAULT_TRAP = 1,
    JAVM_FAULT_PANIC = 2,
    JAVM_FAULT_PAGE_FAULT = 3,
    JAVM_FAULT_OUT_OF_GAS = 4,
    JAVM_FAULT_YIELD_UNHANDLED = 5,
    JAVM_FAULT_BAD_OPERAND = 6,
    JAVM_FAULT_DEPTH_LIMIT = 7,
    JAVM_FAULT_STORAGE = 8
};
const char *javm_fault_name(enum javm_fault fault);

struct javm_call {
    struct javm_hash instance; /* a published Instance */
    uint32_t endpoint;
    uint64_t args[4];
    uint64_t gas;
    const struct javm_cap
        *scratchpad;       /* slot[0] at entry, borrowed; NULL leaves slot[0] as published */
    uint64_t deadline_ns;  /* CLOCK_MONOTONIC; 0: none */
    bool want_post;        /* build post_instance at HALT */
    bool post_unpublished; /* enough to hash it: what it names that is new stays out of the
                              directory */
    bool want_slot0;       /* build slot0 at the end */
    bool can_pause;        /* a yield that nobody catches ends as PAUSED, not as a fault */
};

/* What an invocation came to. Everything but the caps is plain data. */
struct javm_call_result {
    enum javm_end end;
    enum javm_fault fault; /* FAULTED */
    uint64_t value;        /* HALT: φ[7] */
    uint64_t address;      /* PAGE_FAULT: argument of the exit (page); full address in fault_addr */
    uint64_t fault_addr;
    int64_t selector;               /* HOST_CALL: an operation above 63, and the host serves none */
    bool selector_is_ecall;         /* it came from ecall.jar: selector is φ[11] */
    uint64_t gas_used;              /* by all frames, whatever meter paid; over all resumes */
    uint64_t gas_before;            /* of gas_used: what it was when this call began */
    uint64_t pc;                    /* where it ended, for reports */
    struct javm_key yield_key;      /* PAUSED */
    struct javm_cap *post_instance; /* HALT with want_post: an Idle Instance, owned by the caller */
    struct javm_cap *slot0;         /* with want_slot0: a Data or other cap, owned; NULL: empty.
                                       PAUSED: what the yield carries */
};

/* Run one invocation to its end. Whatever the guest does is in *result, which the caller clears;
 * what the caller did wrong is a status, and then *result is clear (clearing it again does no
 * harm). MISSING: the instance, or a cap that it needs, is not published. KIND: it is no Instance;
 * a mapped cap is no Data; slot[0] is pinned and was given. RANGE: no such endpoint; a Data longer
 * than its mapping. STATE: the instance is not idle, or the Vm holds a paused invocation.
 * UNSUPPORTED: an image of another instruction set, or with mappings that are not served. NOMEM,
 * and what the host's assist functions return. deadline_ns is absolute. A scratchpad has to be a
 * Data when slot[0] is mapped. */
enum javm_status javm_vm_invoke(struct javm_vm *vm, struct javm_dir_thread *dir,
                                const struct javm_call *call, struct javm_call_result *result,
                                struct javm_error *err);
/* After PAUSED the Vm holds the invocation, and takes no other, until one of these. No directory
 * handle has to be the same as before, but the directory.
 *
 * Resume: of `call` only gas (added to the budget), scratchpad (not NULL: becomes the slot[0] of
 * the instance that yielded), deadline_ns and the wants count. STATE: nothing is paused; KIND,
 * RANGE: the scratchpad; then it is still paused. NOMEM: it is lost. */
enum javm_status javm_vm_call_resume(struct javm_vm *vm, struct javm_dir_thread *dir,
                                     const struct javm_call *call, struct javm_call_result *result,
                                     struct javm_error *err);
/* Go on without an answer: the frame that yielded faults, as it would have if nothing could pause,
 * and its caller goes on. As resuming with no scratchpad. */
enum javm_status javm_vm_call_refuse(struct javm_vm *vm, struct javm_dir_thread *dir,
                                     const struct javm_call *call, struct javm_call_result *result,
                                     struct javm_error *err);
/* Set what a paused invocation has: the gas meter of that key, or for NULL the budget. Meant for
 * yields of JAVM_YK_OOG, whose slot[0] has the handle of the meter that ran out, or nothing when it
 * was the budget. STATE: nothing is paused. NOMEM, and what the host's assist functions return. */
enum javm_status javm_vm_set_gas(struct javm_vm *vm, const struct javm_key *meter, uint64_t gas,
                                 struct javm_error *err);
/* Give it up: every frame, handle and reservation. STATE: nothing is paused. */
enum javm_status javm_vm_drop_paused(struct javm_vm *vm, struct javm_error *err);

/* Take it off the Vm as a value: a Paused Instance, published as *hash with all it names, which can
 * be kept in a file, loaded elsewhere and attached to any Vm of any engine. The meters and quotas
 * that the Vm keeps itself go along, and so do its files and attestations. STATE: nothing is
 * paused. NOMEM, and what publishing gives: the invocation is lost. */
enum javm_status javm_vm_detach_paused(struct javm_vm *vm, struct javm_dir_thread *dir,
                                       struct javm_hash *hash, struct javm_error *err);
/* The Vm holds that invocation as after PAUSED: javm_vm_call_resume goes on with it, and gas_used
 * counts from where it began. STATE: the Vm holds one already. MISSING, KIND as javm_vm_invoke;
 * FORMAT: it is no continuation; LIMIT: deeper than this Vm's max_depth. */
enum javm_status javm_vm_attach_paused(struct javm_vm *vm, struct javm_dir_thread *dir,
                                       const struct javm_hash *hash, struct javm_error *err);

/* The frame that yielded, as it stands while the invocation is paused; STATE: none is. `pc` is
 * where it goes on: for out of gas the block that there is no gas for. */
struct javm_frame {
    struct javm_hash image; /* whose code it runs */
    uint64_t regs[JAVM_NUM_SLOTS];
    uint64_t pc;
    uint32_t depth; /* frames below it */
};
enum javm_status javm_vm_paused_frame(const struct javm_vm *vm, struct javm_frame *frame,
                                      struct javm_error *err);

/* Attestation requests that the last invocation left with the Vm (no assist.attest): how many, and
 * number i, borrowed until the next invocation. */
size_t javm_vm_attestations(const struct javm_vm *vm);
bool javm_vm_attestation(const struct javm_vm *vm, size_t i, struct javm_key *key,
                         const struct javm_cap **data);

/* The driver's classic form: no scratchpad, no deadline, post instance and slot[0] wanted. */
enum javm_status javm_vm_invoke_cached(struct javm_vm *vm, struct javm_dir_thread *dir,
                                       const struct javm_hash *instance, uint32_t endpoint,
                                       const uint64_t args[4], uint64_t gas_budget,
                                       struct javm_call_result *result, struct javm_error *err);
void javm_call_result_clear(struct javm_call_result *result);

/* A fresh Idle Instance of a published image: chain at genesis, empty root cnode, empty mem. The
 * cnode is published as needed; *instance is the hash of the published Instance. */
enum javm_status javm_vm_instantiate(struct javm_dir_thread *dir, const struct javm_hash *image,
                                     struct javm_hash *instance, struct javm_error *err);

struct javm_vm_stats {
    uint64_t invocations;
    uint64_t program_hits, program_misses; /* invocations whose program was there, was decoded */
    uint64_t decode_ns;                    /* time spent on the misses */
    uint64_t program_bytes;                /* held now */
    uint64_t
        pages_touched; /* guest pages filled: brought in, or again for the next invocation. Less
                          where a page is there already, more where neighbours come along */
};
void javm_vm_stats(const struct javm_vm *vm, struct javm_vm_stats *stats);
/* Forget everything cached (decoded programs, held counts on caps). */
void javm_vm_flush(struct javm_vm *vm);

#ifdef __cplusplus
}
#endif
#endif
