/* A job as a worker sees it: everything looked up, nothing left to parse. */
#ifndef JAVM_BATCH_JOB_H
#define JAVM_BATCH_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "javm/cap.h"

struct target;
struct blob;
struct chain;
struct chunk;
struct v2_job;

/* How a job ended; the order is that of the summary. */
enum outcome {
    OUTCOME_HALT,
    OUTCOME_TRAP,
    OUTCOME_PANIC,
    OUTCOME_PAGE_FAULT,
    OUTCOME_OUT_OF_GAS,
    OUTCOME_PAUSED,
    OUTCOME_HOST_CALL,
    OUTCOME_CRASHED,
    OUTCOME_ERROR,
    OUTCOME_COUNT
};
const char *outcome_name(enum outcome outcome);
bool outcome_from_name(const char *name, size_t len, enum outcome *outcome);

/* What the host does when an invocation yields and no guest catches it. */
enum on_pause {
    ON_PAUSE_NONE,    /* it cannot pause: the frame that yields faults */
    ON_PAUSE_REPORT,  /* the job ends as paused */
    ON_PAUSE_RESUME,  /* it is resumed as often as it takes */
    ON_PAUSE_SET_GAS, /* what ran out of gas gets some and is resumed; other pauses are reported */
    ON_PAUSE_COUNT
};

enum output_mode { OUTPUT_NONE, OUTPUT_HASH, OUTPUT_BYTES };

/* The fields of a result that `expect` can name; also bits of its masks. */
enum field {
    FIELD_EXIT,
    FIELD_VALUE,
    FIELD_ADDR,
    FIELD_SELECTOR,
    FIELD_YIELD_KEY,
    FIELD_ERROR,
    FIELD_GAS_USED,
    FIELD_OUTPUT,
    FIELD_OUTPUT_HASH,
    FIELD_POST,
    FIELD_STORAGE, /* JAR v2, with the next ones */
    FIELD_CALLS,
    FIELD_EXPORTS,
    FIELD_COUNT
};
const char *field_name(enum field field);

/* JSON as it stands in results; NULL: there is none. */
struct job_text {
    const char *text;
    size_t len;
};

struct expect {
    uint32_t present; /* bit per field: it must be there and equal */
    uint32_t absent;  /* bit per field: null, it must not be there */
    enum outcome exit;
    uint64_t value, addr, gas_used;
    int64_t selector;
    struct javm_key yield_key;
    struct javm_hash output_hash, post;
    const uint8_t *output; /* without trailing zero bytes */
    size_t output_len;
    const char *error;
    size_t error_len;
    struct job_text calls, exports;
};

/* All pointers go into the chunk that the job was parsed into, or to definitions, which live as
 * long as the batch. */
struct job {
    uint64_t first; /* sequence number of its first unit here */
    uint64_t rep;   /* which repetition that is */
    uint32_t units; /* how many repetitions here */
    uint32_t endpoint;
    const struct target *target; /* NULL with `error`, and with: */
    const struct v2_job *v2;     /* it runs a program of the JAR v2 kernel; else NULL */
    uint64_t args[6];            /* images take 4 */
    unsigned arg_count;          /* given by the job */
    uint64_t gas;
    const char *id; /* a string, or NULL: id_number */
    size_t id_len;
    uint64_t id_number; /* a negative id has id_negative and its two's complement here */
    bool id_negative;
    bool repeated; /* results carry "rep" */
    bool post;
    bool silent;      /* its lines are there already: run only for what it leaves to its chain */
    bool gas_named;   /* by the job itself: a resume adds nothing else */
    bool enters;      /* endpoint or args are named: not for what is paused */
    uint8_t output;   /* enum output_mode */
    uint8_t on_pause; /* enum on_pause */
    uint64_t set_gas; /* ON_PAUSE_SET_GAS: that much, at most so many times */
    uint64_t set_gas_times;
    struct chain *chain;    /* NULL: the job is alone */
    uint64_t chain_digest;  /* of the jobs before it in the chain */
    struct job *chain_next; /* the chain's, once it is handed out */
    struct chunk *chunk;    /* with `chain`: where the job is; the chain holds a reference */
    const uint8_t *input;   /* bytes for slot[0]; NULL: none or in blob */
    size_t input_len;
    const struct blob *blob; /* input that several jobs share, or that is long */
    const struct expect *expect;
    uint64_t expect_digest;
    const char *error; /* a bad line under --keep-going: its result */
    size_t error_len;
    uint64_t error_digest; /* of the line's bytes and number: takes the place of the job hash */
};

/* Its id as people read it, cut when it is long. */
#define JOB_NAME_SIZE 400
void job_name(char name[JOB_NAME_SIZE], const struct job *job);
/* A 64-bit SipHash under a fixed key: the same on every machine. */
uint64_t job_digest(const void *bytes, size_t len);
/* The "job" of a result: over everything that can change it (docs/jobs.md lists the parts). */
uint64_t job_hash(const struct job *job, uint64_t rep);
uint64_t expect_digest(const struct expect *expect);

#endif
