#include "batch/parcel.h"

#include <stdio.h>
#include <string.h>

#include "batch/blob.h"
#include "batch/definitions.h"
#include "batch/diag.h"
#include "batch/foreign.h"
#include "batch/foreign_run.h"
#include "batch/parcel_v2.h"

/* ---- jobs ------------------------------------------------------------------------------- */

static uint64_t input_length(const struct job *job)
{
    return job->blob != NULL ? job->blob->len : job->input != NULL ? job->input_len : 0;
}

static uint64_t v2_length(const struct job *job)
{
    struct carry carry = carry_measure();
    if (job->v2 != NULL)
        parcel_v2_job(&carry, (struct v2_job *)(uintptr_t)job->v2); /* it is not changed */
    return carry.len;
}

struct subject parcel_subject(const struct job *job, const struct ground *ground)
{
    if (job->v2 != NULL)
        return (struct subject){job->v2->program->hash, INMATE_V2};
    if (job->target->foreign != NULL)
        return (struct subject){job->target->foreign->hash, INMATE_PVM};
    return (struct subject){ground->instance, INMATE_CAPS};
}

uint64_t parcel_job_size(const struct job *job, uint64_t caps_len)
{
    return sizeof(struct parcel_job) + parcel_padded(input_length(job)) +
           parcel_padded(v2_length(job)) + parcel_padded(caps_len);
}

void parcel_job_put(uint8_t *to, const struct job *job, const struct ground *ground,
                    uint64_t timeout_ms, const void *caps, size_t caps_len)
{
    const struct subject on = parcel_subject(job, ground);
    struct parcel_job parcel = {.on = on.hash,
                                .gas = job->gas,
                                .set_gas = job->set_gas,
                                .set_gas_times = job->set_gas_times,
                                .timeout_ms = timeout_ms,
                                .input_len = input_length(job),
                                .v2_len = v2_length(job),
                                .caps_len = caps_len,
                                .endpoint = job->endpoint,
                                .kind = (uint8_t)on.kind,
                                .arg_count = (uint8_t)job->arg_count,
                                .output = job->output,
                                .on_pause = job->on_pause,
                                .paused = ground->paused,
                                .keep = ground->keep,
                                .post = job->post,
                                .gas_named = job->gas_named,
                                .enters = job->enters,
                                .has_input = job->blob != NULL || job->input != NULL};
    memcpy(parcel.args, job->args, sizeof parcel.args);
    memcpy(to, &parcel, sizeof parcel);
    to += sizeof parcel;
    if (job->blob != NULL)
        javm_data_read(job->blob->data, 0, to, (size_t)job->blob->len);
    else if (job->input != NULL && job->input_len > 0)
        memcpy(to, job->input, job->input_len);
    to += parcel_padded(parcel.input_len);
    if (job->v2 != NULL) {
        struct carry carry = carry_write(to);
        parcel_v2_job(&carry, (struct v2_job *)(uintptr_t)job->v2);
        to += parcel_padded(carry.len);
    }
    if (caps_len > 0)
        memcpy(to, caps, caps_len);
}

/* The next `len` bytes and their padding. NULL: there are not so many. */
static const uint8_t *take(const uint8_t **at, const uint8_t *end, uint64_t len)
{
    const uint8_t *bytes = *at;
    const uint64_t room = (uint64_t)(end - bytes);
    if (len > room || parcel_padded(len) > room)
        return NULL;
    *at = bytes + parcel_padded(len);
    return bytes;
}

bool parcel_job_get(const uint8_t **at, const uint8_t *end, struct parcel_open *open)
{
    struct parcel_job parcel;
    const uint8_t *bytes = take(at, end, sizeof parcel);
    open->carry = carry_read(NULL, 0);
    if (bytes == NULL)
        return false;
    memcpy(&parcel, bytes, sizeof parcel);
    const uint8_t *input = take(at, end, parcel.input_len);
    const uint8_t *v2 = input == NULL ? NULL : take(at, end, parcel.v2_len);
    open->caps = v2 == NULL ? NULL : take(at, end, parcel.caps_len);
    open->caps_len = (size_t)parcel.caps_len;
    if (open->caps == NULL)
        return false;
    open->job = (struct job){.endpoint = parcel.endpoint,
                             .arg_count = parcel.arg_count,
                             .gas = parcel.gas,
                             .post = parcel.post != 0,
                             .gas_named = parcel.gas_named != 0,
                             .enters = parcel.enters != 0,
                             .output = parcel.output,
                             .on_pause = parcel.on_pause,
                             .set_gas = parcel.set_gas,
                             .set_gas_times = parcel.set_gas_times,
                             .input = parcel.has_input != 0 ? input : NULL,
                             .input_len = (size_t)parcel.input_len};
    memcpy(open->job.args, parcel.args, sizeof parcel.args);
    open->on = (struct subject){parcel.on, parcel.kind};
    open->ground = (struct ground){
        .instance = parcel.on, .paused = parcel.paused != 0, .keep = parcel.keep != 0};
    open->timeout_ms = parcel.timeout_ms;
    if (parcel.kind != INMATE_V2)
        return true;
    open->v2 = (struct v2_job){.memory = NULL};
    open->job.v2 = &open->v2;
    open->carry = carry_read(v2, (size_t)parcel.v2_len);
    parcel_v2_job(&open->carry, &open->v2);
    return carry_ended(&open->carry);
}

/* ---- results ---------------------------------------------------------------------------- */

static uint64_t output_length(const struct result *result)
{
    return (result->fields & 1u << FIELD_OUTPUT) != 0 && result->slot0 != NULL ? result->output_len
                                                                               : 0;
}

uint64_t parcel_result_size(const struct result *result, uint64_t v2_len, uint64_t caps_len)
{
    return sizeof(struct parcel_result) + parcel_padded(strlen(result->error)) +
           parcel_padded(output_length(result)) + parcel_padded(v2_len) + parcel_padded(caps_len);
}

/* Reasons are names of faults, and one of PVM programs. */
#define REASON_ECALL (JAVM_FAULT_STORAGE + 1u)

static uint32_t reason_number(const char *reason)
{
    if (reason == FOREIGN_ECALL)
        return REASON_ECALL;
    for (unsigned fault = JAVM_FAULT_TRAP; reason != NULL && fault <= JAVM_FAULT_STORAGE; fault++)
        if (strcmp(reason, javm_fault_name((enum javm_fault)fault)) == 0)
            return fault;
    return JAVM_FAULT_NONE;
}

void parcel_result_describe(const struct result *result, const struct ground *ground, uint64_t ns,
                            uint64_t v2_len, uint64_t caps_len, struct parcel_result *parcel)
{
    const uint32_t has = result->fields;
    memset(parcel, 0, sizeof *parcel);
    parcel->fields = has;
    parcel->outcome = result->outcome;
    parcel->reason = reason_number(result->reason);
    parcel->gas_before = result->gas_before;
    parcel->ns = ns;
    parcel->error_len = strlen(result->error);
    parcel->output_len = output_length(result);
    parcel->v2_len = v2_len;
    parcel->caps_len = caps_len;
    parcel->starved = result->starved;
    parcel->output_null = result->output_null;
    parcel->moved = ground->moved;
    parcel->left_paused = ground->paused;
    parcel->left = ground->instance;
    if (has & 1u << FIELD_VALUE)
        parcel->value = result->value;
    if (has & 1u << FIELD_ADDR)
        parcel->addr = result->addr;
    if (has & 1u << FIELD_GAS_USED)
        parcel->gas_used = result->gas_used;
    if (has & 1u << FIELD_SELECTOR)
        parcel->selector = result->selector;
    if (has & 1u << FIELD_YIELD_KEY)
        parcel->yield_key = result->yield_key;
    if (has & 1u << FIELD_OUTPUT_HASH)
        parcel->output_hash = result->output_hash;
    if (has & 1u << FIELD_POST)
        parcel->post = result->post;
}

/* How a job on this can end. */
static bool can_end(const struct job *job, uint32_t outcome)
{
    const uint32_t always = 1u << OUTCOME_HALT | 1u << OUTCOME_PANIC | 1u << OUTCOME_PAGE_FAULT |
                            1u << OUTCOME_OUT_OF_GAS | 1u << OUTCOME_ERROR;
    if (outcome >= OUTCOME_COUNT)
        return false;
    if (job->v2 != NULL)
        return (always >> outcome & 1) != 0;
    return (always >> outcome & 1) != 0 || outcome == OUTCOME_TRAP ||
           outcome == OUTCOME_HOST_CALL ||
           (outcome == OUTCOME_PAUSED && job->on_pause != ON_PAUSE_NONE);
}

/* The fields that a result of this outcome has, whatever the job, and those that it may have.
 * v2_show adds more. */
static void fields_of(enum outcome outcome, const struct job *job, uint32_t *must, uint32_t *may)
{
    static const uint8_t OWN[OUTCOME_COUNT] = {[OUTCOME_HALT] = FIELD_VALUE,
                                               [OUTCOME_PAGE_FAULT] = FIELD_ADDR,
                                               [OUTCOME_PAUSED] = FIELD_YIELD_KEY,
                                               [OUTCOME_HOST_CALL] = FIELD_SELECTOR,
                                               [OUTCOME_ERROR] = FIELD_ERROR};
    const bool accumulates = job->v2 != NULL && job->v2->state.context == JAVM_V2_ACCUMULATE;
    *must = 1u << FIELD_EXIT | 1u << OWN[outcome];
    *may = *must;
    if (outcome == OUTCOME_ERROR)
        return;
    *must |= 1u << FIELD_GAS_USED;
    if (job->output != OUTPUT_NONE && !accumulates && (job->v2 == NULL || outcome == OUTCOME_HALT))
        *must |= 1u << (job->output == OUTPUT_BYTES ? FIELD_OUTPUT : FIELD_OUTPUT_HASH);
    *may = *must | (job->post ? 1u << FIELD_POST : 0) | (accumulates ? 1u << FIELD_OUTPUT_HASH : 0);
}

/* Only an instance's gas can be more than what the job gave. */
static bool gas_adds_up(const struct parcel_result *parcel, const struct job *job)
{
    if (parcel->outcome == OUTCOME_ERROR)
        return true;
    if (job->v2 != NULL || job->target->foreign != NULL)
        return parcel->gas_before == 0 && parcel->gas_used <= job->gas;
    return parcel->gas_before <= parcel->gas_used;
}

static bool reason_fits(const struct parcel_result *parcel, const struct job *job)
{
    const bool foreign = job->target != NULL && job->target->foreign != NULL;
    return parcel->reason == JAVM_FAULT_NONE ||
           (parcel->outcome == OUTCOME_TRAP &&
            (foreign ? parcel->reason == REASON_ECALL : parcel->reason <= JAVM_FAULT_STORAGE));
}

static bool plausible(const struct parcel_result *parcel, const struct job *job)
{
    uint32_t must, may;
    if (!can_end(job, parcel->outcome))
        return false;
    fields_of((enum outcome)parcel->outcome, job, &must, &may);
    const bool output = (parcel->fields & 1u << FIELD_OUTPUT) != 0 && parcel->output_null == 0;
    const bool error = parcel->outcome == OUTCOME_ERROR;
    return (parcel->fields & must) == must && (parcel->fields & ~(uint64_t)may) == 0 &&
           reason_fits(parcel, job) && gas_adds_up(parcel, job) &&
           parcel->error_len < sizeof((struct result *)0)->error &&
           parcel->output_len <= (output ? OUTPUT_BYTES_MAX : 0) &&
           (parcel->starved == 0 || error) && (parcel->v2_len == 0 || !error) &&
           (parcel->moved == 0 || parcel->outcome == OUTCOME_HALT ||
            parcel->outcome == OUTCOME_PAUSED) &&
           (parcel->outcome != OUTCOME_PAUSED ||
            (parcel->yield_key.len >= 1 && parcel->yield_key.len <= JAVM_MAX_KEY_LEN));
}

static void take_reason(const struct parcel_result *parcel, const struct job *job,
                        struct result *result)
{
    if (parcel->reason == REASON_ECALL)
        result->reason = FOREIGN_ECALL;
    else if (parcel->reason != JAVM_FAULT_NONE)
        result->reason = javm_fault_name((enum javm_fault)parcel->reason);
    if (result->outcome == OUTCOME_HOST_CALL && job->target->foreign != NULL)
        result->import = foreign_import(job->target->foreign, (uint64_t)result->selector);
}

bool parcel_result_get(const uint8_t **at, const uint8_t *end, const struct job *job,
                       struct ground *ground, struct result *result, struct javm_bytes *v2,
                       struct javm_bytes *caps)
{
    struct parcel_result parcel;
    const uint8_t *bytes = take(at, end, sizeof parcel);
    *result = (struct result){.slot0 = NULL};
    if (bytes == NULL)
        return false;
    memcpy(&parcel, bytes, sizeof parcel);
    if (!plausible(&parcel, job))
        return false;
    const uint8_t *error = take(at, end, parcel.error_len);
    const uint8_t *output = error == NULL ? NULL : take(at, end, parcel.output_len);
    v2->data = output == NULL ? NULL : take(at, end, parcel.v2_len);
    v2->len = (size_t)parcel.v2_len;
    caps->data = v2->data == NULL ? NULL : take(at, end, parcel.caps_len);
    caps->len = (size_t)parcel.caps_len;
    if (caps->data == NULL)
        return false;
    *result = (struct result){.outcome = (enum outcome)parcel.outcome,
                              .fields = (uint32_t)parcel.fields,
                              .value = parcel.value,
                              .addr = parcel.addr,
                              .gas_used = parcel.gas_used,
                              .gas_before = parcel.gas_before,
                              .selector = parcel.selector,
                              .yield_key = parcel.yield_key,
                              .output_hash = parcel.output_hash,
                              .post = parcel.post,
                              .output_len = parcel.output_len,
                              .output_null = parcel.output_null != 0,
                              .starved = parcel.starved != 0,
                              .ns = parcel.ns};
    take_reason(&parcel, job, result);
    memcpy(result->error, error, parcel.error_len);
    diag_clean(result->error);
    ground->moved = parcel.moved != 0 && ground->keep;
    if (ground->moved) {
        ground->instance = parcel.left;
        ground->paused = parcel.left_paused != 0;
    }
    if ((result->fields & 1u << FIELD_OUTPUT) == 0 || result->output_null)
        return true;
    result->slot0 = javm_data_new(output, (size_t)parcel.output_len);
    if (result->slot0 == NULL)
        set_error(result, "output: out of memory");
    return true;
}
