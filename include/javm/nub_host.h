/* The host's handle of an executor (spec: host <-> guest RPC, "Where the guest runs"; docs/nub.md).
 *
 * Thread rules: a handle belongs to one thread at a time. */
#ifndef JAVM_NUB_HOST_H
#define JAVM_NUB_HOST_H

#include "javm/nub.h"
#include "javm/vm.h"

#ifdef __cplusplus
extern "C" {
#endif

struct javm_nub;

/* Same results bit for bit. */
enum javm_nub_backend {
    JAVM_NUB_THREAD = 0, /* threads of this process: for trusted work and tests */
    JAVM_NUB_PROCESS,    /* processes without privileges (docs/security.md) */
    JAVM_NUB_KVM /* the same, and compiled code in a virtual machine of each: needs /dev/kvm */
};

struct javm_nub_options {
    enum javm_engine engine;
    enum javm_gas_model gas_model;
    unsigned workers;      /* threads or processes; 0: 1 */
    unsigned lanes;        /* jobs in flight for each worker; 0: 16; at most 1024 */
    uint64_t memory_bytes; /* not THREAD: private memory of each worker, at most; 0: 8 GiB */
    uint64_t heap_bytes;   /* what a call can carry; 0: 64 MiB */
    uint64_t
        watchdog_ns; /* PROCESS: a worker that finishes nothing for so long is killed; 0: never */
};

/* options may be NULL for the defaults. PROCESS forks: what this process has in memory now, and no
 * file, its workers can see, so open the handle before there are secrets. UNSUPPORTED: a
 * system that lacks what PROCESS or KVM needs, which the text says. RANGE, NOMEM, IO; STATE: the
 * executor is of another version.
 */
enum javm_status javm_nub_open(enum javm_nub_backend backend,
                               const struct javm_nub_options *options, struct javm_nub **nub,
                               struct javm_error *err);
/* Jobs in flight are lost. NULL is allowed. */
void javm_nub_close(struct javm_nub *nub);

/* Publish at every worker, and again at each that is replaced: the handle keeps a reference. *hash
 * may be NULL. As javm_nub_encode_cap and javm_directory_put; LIMIT: longer than heap_bytes. */
enum javm_status javm_nub_put_cap(struct javm_nub *nub, struct javm_cap *cap,
                                  struct javm_hash *hash, struct javm_error *err);
/* As javm_nub_put_cap, of any bytes that claim to be an archived cap: the worker reads them, and
 * says what is wrong with them. *hash is what it answers. After success `bytes` are borrowed until
 * the handle is closed. */
enum javm_status javm_nub_put_archived(struct javm_nub *nub, const uint8_t *bytes, size_t len,
                                       struct javm_hash *hash, struct javm_error *err);
/* One call, waited for. CRASHED: the worker died of it and was replaced. No jobs may be in flight
 * at the first worker but those that it may lose with it. */
enum javm_status javm_nub_invoke_cached(struct javm_nub *nub, const struct javm_nub_invoke *packet,
                                        struct javm_nub_result *result, struct javm_error *err);
/* Begin a job. LIMIT: all lanes are taken, poll first. */
enum javm_status javm_nub_submit(struct javm_nub *nub, uint64_t job_id,
                                 const struct javm_nub_invoke *packet, struct javm_error *err);
struct javm_nub_done {
    uint64_t job_id;
    bool crashed; /* its worker died: there is no result */
    struct javm_nub_result result;
};
/* A job that has ended. `wait`: until there is one, or javm_nub_wake. MISSING: none has, or none is
 * in flight. Other errors: a worker that died could not be replaced. */
enum javm_status javm_nub_poll(struct javm_nub *nub, bool wait, struct javm_nub_done *done,
                               struct javm_error *err);
/* From any other thread: the javm_nub_poll that waits, or else the next that would, returns. */
void javm_nub_wake(struct javm_nub *nub);
/* Of all workers together. */
enum javm_status javm_nub_heap_stats(struct javm_nub *nub, struct javm_nub_heap_stats *stats,
                                     struct javm_error *err);
/* Drop all compiled code. */
enum javm_status javm_nub_evict_jit(struct javm_nub *nub, struct javm_error *err);
/* Any function of the table at the first worker, for tools and tests. *response is malloc'ed and
 * the caller's. An error response is its status, or UNSUPPORTED for one that has none. */
enum javm_status javm_nub_call(struct javm_nub *nub, uint32_t fn, const void *payload, size_t len,
                               uint8_t **response, size_t *response_len, struct javm_error *err);
/* How many workers died and were replaced. */
uint64_t javm_nub_replaced(const struct javm_nub *nub);

#ifdef __cplusplus
}
#endif
#endif
