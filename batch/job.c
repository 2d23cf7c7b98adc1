#include "batch/job.h"

#include <endian.h>
#include <sodium.h>
#include <stdio.h>
#include <string.h>

#include "batch/blob.h"
#include "batch/definitions.h"
#include "batch/fields.h"
#include "batch/v2_job.h"

static const char *const OUTCOMES[OUTCOME_COUNT] = {
    "halt", "trap", "panic", "page_fault", "out_of_gas", "paused", "host_call", "crashed", "error"};

static const char *const FIELDS[FIELD_COUNT] = {
    "exit",   "value",       "addr", "selector", "yield_key", "error",  "gas_used",
    "output", "output_hash", "post", "storage",  "calls",     "exports"};

const char *outcome_name(enum outcome outcome)
{
    return OUTCOMES[outcome];
}

bool outcome_from_name(const char *name, size_t len, enum outcome *outcome)
{
    for (unsigned i = 0; i < OUTCOME_COUNT; i++)
        if (strlen(OUTCOMES[i]) == len && memcmp(OUTCOMES[i], name, len) == 0) {
            *outcome = (enum outcome)i;
            return true;
        }
    return false;
}

const char *field_name(enum field field)
{
    return FIELDS[field];
}

_Static_assert(crypto_shorthash_BYTES == 8, "job hashes are 64 bits");
_Static_assert(crypto_shorthash_KEYBYTES == 16, "the key below");

void job_name(char name[JOB_NAME_SIZE], const struct job *job)
{
    _Static_assert(JOB_NAME_SIZE >= QUOTE_SIZE, "quote() fills so much");
    if (job->id != NULL)
        quote(name, job->id, job->id_len);
    else if (job->id_negative)
        snprintf(name, JOB_NAME_SIZE, "%lld", (long long)job->id_number);
    else
        snprintf(name, JOB_NAME_SIZE, "%llu", (unsigned long long)job->id_number);
}

uint64_t job_digest(const void *bytes, size_t len)
{
    static const unsigned char KEY[crypto_shorthash_KEYBYTES + 1] = "javm.batch.job.1";
    uint64_t digest;
    crypto_shorthash((unsigned char *)&digest, bytes, len, KEY);
    return le64toh(digest);
}

/* The low `bytes` of the value; eight are written, and what follows goes over the rest. */
static inline unsigned char *put_le(unsigned char *at, uint64_t value, unsigned bytes)
{
    const uint64_t le = htole64(value);
    memcpy(at, &le, sizeof le);
    return at + bytes;
}

uint64_t job_hash(const struct job *job, uint64_t rep)
{
    if (job->error != NULL)
        return job->error_digest;
    if (job->v2 != NULL)
        return v2_job_hash(job, rep);
    unsigned char form[JAVM_HASH_BYTES + 4 + 4 * 8 + 8 + 1 + 8 + 1 + 8 + 8 + 8];
    unsigned char *at = form;
    memcpy(at, job->target->instance.bytes, JAVM_HASH_BYTES);
    at = put_le(at + JAVM_HASH_BYTES, job->endpoint, 4);
    for (unsigned i = 0; i < 4; i++)
        at = put_le(at, job->args[i], 8);
    at = put_le(at, job->gas, 8);
    at = put_le(at, (uint64_t)(job->output | (job->post ? 4 : 0)), 1);
    at = put_le(at, rep, 8);
    const bool shared = job->blob != NULL;
    at = put_le(at, shared || job->input != NULL, 1);
    at = put_le(at, shared ? job->blob->len : job->input_len, 8);
    at = put_le(at,
                shared               ? job->blob->digest
                : job->input != NULL ? job_digest(job->input, job->input_len)
                                     : 0,
                8);
    at = put_le(at, job->expect_digest, 8);
    uint64_t alone = job_digest(form, (size_t)(at - form));
    if (job->target->foreign != NULL) {
        at = put_le(form, alone, 8);
        at = put_le(at, job->args[4], 8);
        at = put_le(at, job->args[5], 8);
        at = put_le(at, job->arg_count, 1);
        alone = job_digest(form, (size_t)(at - form));
    }
    if (job->chain == NULL && !job->target->paused && job->on_pause == ON_PAUSE_NONE)
        return alone;
    at = put_le(form, alone, 8);
    at = put_le(at, job->chain_digest, 8);
    at = put_le(at,
                (uint64_t)(job->chain != NULL) | (uint64_t)job->gas_named << 1 |
                    (uint64_t)job->enters << 2 | (uint64_t)job->on_pause << 3,
                1);
    at = put_le(at, job->set_gas, 8);
    at = put_le(at, job->set_gas_times, 8);
    return job_digest(form, (size_t)(at - form));
}

uint64_t expect_digest(const struct expect *expect)
{
    unsigned char form[2 * 4 + 1 + 4 * 8 + 9 + 2 * JAVM_HASH_BYTES + 4 * 8];
    unsigned char *at = form;
    at = put_le(at, expect->present, 4);
    at = put_le(at, expect->absent, 4);
    at = put_le(at, expect->exit, 1);
    at = put_le(at, expect->value, 8);
    at = put_le(at, expect->addr, 8);
    at = put_le(at, expect->gas_used, 8);
    at = put_le(at, (uint64_t)expect->selector, 8);
    at = put_le(at, expect->yield_key.len, 1);
    at = put_le(at, javm_key_pack(&expect->yield_key), 8);
    memcpy(at, expect->output_hash.bytes, JAVM_HASH_BYTES);
    memcpy(at + JAVM_HASH_BYTES, expect->post.bytes, JAVM_HASH_BYTES);
    at = put_le(at + 2 * JAVM_HASH_BYTES, expect->output_len, 8);
    at = put_le(at, job_digest(expect->output, expect->output_len), 8);
    at = put_le(at, expect->error_len, 8);
    at = put_le(at, job_digest(expect->error, expect->error_len), 8);
    return job_digest(form, (size_t)(at - form));
}
