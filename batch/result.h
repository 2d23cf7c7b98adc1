/* What one unit came to, and its line. */
#ifndef JAVM_BATCH_RESULT_H
#define JAVM_BATCH_RESULT_H

#include "batch/job.h"

struct result {
    enum outcome outcome;
    uint32_t fields; /* bit per enum field that this result has */
    uint64_t value, addr, gas_used;
    uint64_t gas_before; /* of gas_used, what was used before this job: it resumed something */
    int64_t selector;
    struct javm_key yield_key;
    struct javm_hash output_hash, post;
    struct javm_cap *slot0; /* FIELD_OUTPUT: a Data, or NULL for none; one reference */
    uint64_t output_len;    /* FIELD_OUTPUT: bytes up to the last that is not zero */
    bool starved;           /* an error for want of memory */
    bool output_null;       /* FIELD_OUTPUT, FIELD_OUTPUT_HASH: slot[0] was empty (or no Data) */
    uint32_t unshown;       /* bits of fields that are there to be compared only */
    bool storage_differs;   /* from what was expected; then these say in which items: */
    struct job_text storage_expected, storage_got;
    struct job_text storage, calls, exports; /* FIELD_STORAGE...; borrowed from the worker */
    const char *import; /* with FIELD_SELECTOR, of a PVM program: its name; borrowed, or NULL */
    const char *reason; /* a trap of the kernel's: which; static, or NULL */
    char error[640];    /* holds the longest message of a bad line whole; clean */
    uint64_t us;
    /* When it ran in another process: its time, measured there, and when it began, on this one's
     * clock. Else 0. */
    uint64_t ns;
    int64_t begun_ns;
};

/* How the lines are to look. */
struct result_style {
    bool reproducible; /* without us and worker */
    unsigned worker;
};

/* Nothing in it: for who fills it in. */
void result_begin(struct result *result);
/* At most this many bytes for the line, newline included. */
size_t result_line_max(const struct job *job, const struct result *result);
/* Writes the line at `at`; returns its end. mismatch: bits from expect_compare. */
char *result_line(char *at, const struct job *job, uint64_t rep, const struct result *result,
                  uint32_t mismatch, const struct result_style *style);
/* The line's first bytes, which say what job it is of: {"id":...,"job":"..." */
size_t result_key_max(const struct job *job);
char *result_key(char *at, const struct job *job, uint64_t rep);
/* One field's value as JSON, from the result or from what was expected: for messages. */
char *result_field(char *at, const struct result *result, enum field field);
char *expect_field(char *at, const struct expect *expect, enum field field);
/* What a mismatch says: as the two above, of storage only what differs. */
char *mismatch_expected(char *at, const struct expect *expect, const struct result *result,
                        enum field field);
char *mismatch_got(char *at, const struct result *result, enum field field);
/* The most that result_field, mismatch_got / expect_field, mismatch_expected write for it. */
size_t result_field_max(const struct result *result, enum field field);
size_t expect_field_max(const struct expect *expect, const struct result *result, enum field field);

#endif
