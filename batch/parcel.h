/* A job and its result as bytes, between a worker and the process that runs its guests
 * (--isolation process). The process is trusted by nobody: what it says is read here, checked, and
 * held against what the job can have asked for. */
#ifndef JAVM_BATCH_PARCEL_H
#define JAVM_BATCH_PARCEL_H

#include "batch/carry.h"
#include "batch/execute.h"
#include "batch/v2_job.h"
#include "batch/v2_text.h"

/* Functions of the process. The first ones give it what jobs run on, and stand for it. */
enum inmate_fn {
    INMATE_CAPS,   /* a bundle -> nothing */
    INMATE_PVM,    /* the file of a PVM program -> nothing */
    INMATE_V2,     /* the file of a program of the JAR v2 kernel -> nothing */
    INMATE_RUN,    /* u64 count, jobs -> as many results as there is room for, each a part */
    INMATE_FIGURES /* -> struct inmate_figures */
};

struct inmate_figures {
    struct javm_vm_stats vm;
    struct javm_jit_stats native;
};

/* What a job runs on, which the process has to have. */
struct subject {
    struct javm_hash hash; /* of an instance, or as programs have it */
    uint32_t kind;         /* INMATE_CAPS, INMATE_PVM, INMATE_V2 */
};
struct subject parcel_subject(const struct job *job, const struct ground *ground);

/* Behind it, each padded to 8 bytes: the input; what a JAR v2 job has besides; a bundle with what a
 * chain stands at. */
struct parcel_job {
    struct javm_hash on;
    uint64_t args[6], gas, set_gas, set_gas_times, timeout_ms;
    uint64_t input_len, v2_len, caps_len;
    uint32_t endpoint;
    uint8_t kind, arg_count, output, on_pause;
    uint8_t paused, keep, post, gas_named, enters, has_input; /* 0 or 1 */
    uint8_t spare[2];
};

/* Behind it, each padded to 8 bytes: the error; the output; what a JAR v2 job left; a bundle with
 * what the job left to its chain, whose one root is `left`. */
struct parcel_result {
    uint64_t fields, value, addr, gas_used, gas_before, ns;
    int64_t selector;
    uint64_t error_len, output_len, v2_len, caps_len;
    struct javm_hash output_hash, post, left;
    uint32_t outcome, reason; /* enum outcome; enum javm_fault, or behind the last: ecall */
    struct javm_key yield_key;
    uint8_t output_null, moved, left_paused, starved;
};

static inline size_t parcel_padded(uint64_t len)
{
    return (size_t)((len + 7) & ~UINT64_C(7));
}
/* The bytes that the job takes. */
uint64_t parcel_job_size(const struct job *job, uint64_t caps_len);
/* Writes them at `to`. */
void parcel_job_put(uint8_t *to, const struct job *job, const struct ground *ground,
                    uint64_t timeout_ms, const void *caps, size_t caps_len);

/* A job as the process has it: what it points to is in the bytes, and in `carry`. Its target, or
 * v2.program, is missing: `on` says what it is. */
struct parcel_open {
    struct job job;
    struct v2_job v2;
    struct ground ground;
    struct subject on;
    uint64_t timeout_ms;
    const uint8_t *caps;
    size_t caps_len;
    struct carry carry; /* to be cleared, whatever became of it */
};
/* The next job at *at, which moves on. False: they end too early, or there is no memory. */
bool parcel_job_get(const uint8_t **at, const uint8_t *end, struct parcel_open *open);

/* What a result takes, and the part of it that is there already; the output is in result->slot0. */
uint64_t parcel_result_size(const struct result *result, uint64_t v2_len, uint64_t caps_len);
void parcel_result_describe(const struct result *result, const struct ground *ground, uint64_t ns,
                            uint64_t v2_len, uint64_t caps_len, struct parcel_result *parcel);
/* The next result at *at for this job; *v2 and *caps are parts of it. False: no result that the job
 * can have, and *result is clear. NOMEM is an error result. */
bool parcel_result_get(const uint8_t **at, const uint8_t *end, const struct job *job,
                       struct ground *ground, struct result *result, struct javm_bytes *v2,
                       struct javm_bytes *caps);

#endif
