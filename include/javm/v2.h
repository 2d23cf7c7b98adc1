/* The JAR v2 kernel: invocations of blobs with six types of capabilities (spec: JAR v2).
 *
 * A javm_v2 belongs to one worker thread and owns what an invocation needs: the backing store,
 * address spaces, VMs with their tables, the call stack. A blob is immutable and may be shared.
 * What guests ask of the world (capabilities 1..28) is served by the host, through a function. */
#ifndef JAVM_V2_H
#define JAVM_V2_H

#include "javm/container.h"
#include "javm/engine.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- blobs ------------------------------------------------------------------------------ */

struct javm_v2_blob;

/* Copies what it needs of `bytes`. The caller gets one count. Errors as of javm_jar_load; what
 * depends on gas, arguments and the host is found out by javm_v2_invoke. */
enum javm_status javm_v2_blob_load(const uint8_t *bytes, size_t len, struct javm_v2_blob **blob,
                                   struct javm_error *err);
struct javm_v2_blob *javm_v2_blob_retain(struct javm_v2_blob *blob);
void javm_v2_blob_release(struct javm_v2_blob *blob); /* NULL: nothing */
const struct javm_jar *javm_v2_blob_jar(const struct javm_v2_blob *blob);

/* ---- services --------------------------------------------------------------------------- */

struct javm_v2;

/* φ[7] of a service; the kernel itself answers WHAT, LOW and HUH (spec 6.5). */
#define JAVM_V2_OK   UINT64_C(0)
#define JAVM_V2_NONE UINT64_MAX
#define JAVM_V2_WHAT (UINT64_MAX - 1)
#define JAVM_V2_OOB  (UINT64_MAX - 2)
#define JAVM_V2_WHO  (UINT64_MAX - 3)
#define JAVM_V2_FULL (UINT64_MAX - 4)
#define JAVM_V2_CORE (UINT64_MAX - 5)
#define JAVM_V2_CASH (UINT64_MAX - 6)
#define JAVM_V2_LOW  (UINT64_MAX - 7)
#define JAVM_V2_HUH  (UINT64_MAX - 8)

/* What becomes of the invocation after a service. */
enum javm_v2_answer {
    JAVM_V2_CONTINUE = 0,
    JAVM_V2_PANIC,      /* the whole invocation ends so, whatever the depth; */
    JAVM_V2_OUT_OF_GAS, /* so does this */
    JAVM_V2_FAILED      /* the host could not do its part: javm_v2_invoke returns NOMEM */
};

struct javm_v2_call {
    uint32_t id;       /* 1..28 */
    uint64_t regs[13]; /* of the VM that calls */
    uint64_t gas;      /* of that VM after the kernel's charge of 10; the host may lower it */
    uint64_t r7, r8;   /* out: its φ[7], φ[8]; at first WHAT and what φ[8] is */
};
struct javm_v2_host {
    void *context;
    /* NULL: every service answers WHAT. Runs on the thread of the invocation. */
    enum javm_v2_answer (*serve)(void *context, struct javm_v2 *v2, struct javm_v2_call *call);
};

/* Memory of the VM that calls, while a service is served; of the VM that was active, after an
 * invocation, until the next one. With the permissions of the guest, all or nothing: false when
 * some page does not allow it, or beyond 2^32. */
bool javm_v2_read(struct javm_v2 *v2, uint64_t address, void *to, uint64_t len);
bool javm_v2_write(struct javm_v2 *v2, uint64_t address, const void *from, uint64_t len);
/* Would all of it be readable (writable)? An empty range always is. */
bool javm_v2_accessible(struct javm_v2 *v2, uint64_t address, uint64_t len, bool write);

/* ---- invocations ------------------------------------------------------------------------ */

struct javm_v2_options {
    enum javm_engine engine;
    struct javm_jit *jit;         /* JIT: where compiled code is; borrowed; NULL: one of its own */
    uint32_t max_memory_pages;    /* of a blob; 0: 2^18 (1 GiB) */
    uint64_t program_cache_bytes; /* decoded programs kept; 0: 256 MiB; the ones in use stay */
};
/* options may be NULL for the defaults. UNSUPPORTED for an engine that is not built; NOMEM. */
enum javm_status javm_v2_create(const struct javm_v2_options *options, struct javm_v2 **v2,
                                struct javm_error *err);
void javm_v2_destroy(struct javm_v2 *v2);

enum javm_v2_end {
    JAVM_V2_END_HALT = 0,
    JAVM_V2_END_PANIC,
    JAVM_V2_END_OUT_OF_GAS,
    JAVM_V2_END_PAGE_FAULT,
    JAVM_V2_END_REJECTED, /* it never began: `reject` says why */
    JAVM_V2_END_TIMEOUT
};
/* Spec 4.3; what a blob can be refused for without an invocation, javm_v2_blob_load refused. */
enum javm_v2_reject {
    JAVM_V2_ACCEPTED = 0,
    JAVM_V2_REJECT_OUT_OF_GAS,   /* less than 1500 for each DATA page of the manifest */
    JAVM_V2_REJECT_INVALID_ARGS, /* longer than the DATA of slot 0 */
    JAVM_V2_REJECT_MEMORY_ERROR  /* memory_pages above max_memory_pages */
};

struct javm_v2_invocation {
    const uint8_t *args; /* borrowed until the call returns */
    uint64_t args_len;
    uint64_t gas;
    uint64_t op;                     /* φ[7] at the start */
    uint64_t deadline_ns;            /* CLOCK_MONOTONIC, absolute; 0: none */
    const struct javm_v2_host *host; /* NULL: no services */
};
struct javm_v2_result {
    enum javm_v2_end end;
    enum javm_v2_reject reject;
    uint64_t value;    /* HALT: φ[7]; PAGE_FAULT: address of the page; else 0 */
    uint64_t gas_left; /* of the VM that was active; 0 when rejected */
    uint64_t regs[13]; /* of that VM; zeros when rejected */
    uint32_t vms;      /* that were made, the first included */
};

/* One invocation from start to end. Whatever the guest does is in *result; NOMEM when the system,
 * or the host function, had no memory: then there is no result. */
enum javm_status javm_v2_invoke(struct javm_v2 *v2, struct javm_v2_blob *blob,
                                const struct javm_v2_invocation *invocation,
                                struct javm_v2_result *result, struct javm_error *err);

#ifdef __cplusplus
}
#endif
#endif
