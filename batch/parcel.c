#include "batch/parcel.h"

#include <stdio.h>
#include <string.h>

#include "batch/blob.h"
#include "batch/diag.h"

/* ---- jobs ------------------------------------------------------------------------------- */

static uint64_t input_length(const struct job *job)
{
    return job->blob != NULL ? job->blob->len : job->input != NULL ? job->input_len : 0;
}

uint64_t parcel_job_size(const struct job *job, uint64_t caps_len)
{
    return sizeof(struct parcel_job) + parcel_padded(input_length(job)) + parcel_padded(caps_len);
}

void parcel_job_put(uint8_t *to, const struct job *job, const struct ground *ground,
                    uint64_t timeout_ms, const void *caps, size_t caps_len)
{
    const struct parcel_job parcel = {
        .instance = ground->instance,
        .args = {job->args[0], job->args[1], job->args[2], job->args[3]},
        .gas = job->gas,
        .set_gas = job->set_gas,
        .set_gas_times = job->set_gas_times,
        .timeout_ms = timeout_ms,
        .input_len = input_length(job),
        .caps_len = caps_len,
        .endpoint = job->endpoint,
        .output = job->output,
        .on_pause = job->on_pause,
        .paused = ground->paused,
        .keep = ground->keep,
        .post = job->post,
        .gas_named = job->gas_named,
        .enters = job->enters,
        .has_input = job->blob != NULL || job->input != NULL};
    memcpy(to, &parcel, sizeof parcel);
    to += sizeof parcel;
    if (job->blob != NULL)
        javm_data_read(job->blob->data, 0, to, (size_t)job->blob->len);
    else if (job->input != NULL && job->input_len > 0)
        memcpy(to, job->input, job->input_len);
    if (caps_len > 0)
        memcpy(to + parcel_padded(parcel.input_len), caps, caps_len);
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

bool parcel_job_get(const uint8_t **at, const uint8_t *end, struct job *job, struct ground *ground,
                    uint64_t *timeout_ms, const uint8_t **caps, size_t *caps_len)
{
    struct parcel_job parcel;
    const uint8_t *bytes = take(at, end, sizeof parcel);
    if (bytes == NULL)
        return false;
    memcpy(&parcel, bytes, sizeof parcel);
    const uint8_t *input = take(at, end, parcel.input_len);
    *caps = input == NULL ? NULL : take(at, end, parcel.caps_len);
    *caps_len = (size_t)parcel.caps_len;
    if (*caps == NULL)
        return false;
    *job = (struct job){.endpoint = parcel.endpoint,
                        .args = {parcel.args[0], parcel.args[1], parcel.args[2], parcel.args[3]},
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
    *ground = (struct ground){
        .instance = parcel.instance, .paused = parcel.paused != 0, .keep = parcel.keep != 0};
    *timeout_ms = parcel.timeout_ms;
    return true;
}

/* ---- results ---------------------------------------------------------------------------- */

static uint64_t output_length(const struct result *result)
{
    return result->slot0 != NULL ? result->output_len : 0;
}

uint64_t parcel_result_size(const struct result *result, uint64_t caps_len)
{
    return sizeof(struct parcel_result) + parcel_padded(strlen(result->error)) +
           parcel_padded(output_length(result)) + parcel_padded(caps_len);
}

/* Reasons are names of faults. */
static uint32_t reason_number(const char *reason)
{
    for (unsigned fault = JAVM_FAULT_TRAP; reason != NULL && fault <= JAVM_FAULT_STORAGE; fault++)
        if (strcmp(reason, javm_fault_name((enum javm_fault)fault)) == 0)
            return fault;
    return JAVM_FAULT_NONE;
}

void parcel_result_describe(const struct result *result, const struct ground *ground, uint64_t ns,
                            uint64_t caps_len, struct parcel_result *parcel)
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
    parcel->caps_len = caps_len;
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

/* The fields that a result of this outcome has, whatever the job, and those that it may have. */
static void fields_of(enum outcome outcome, const struct job *job, uint32_t *must, uint32_t *may)
{
    static const uint8_t OWN[OUTCOME_COUNT] = {[OUTCOME_HALT] = FIELD_VALUE,
                                               [OUTCOME_PAGE_FAULT] = FIELD_ADDR,
                                               [OUTCOME_PAUSED] = FIELD_YIELD_KEY,
                                               [OUTCOME_HOST_CALL] = FIELD_SELECTOR,
                                               [OUTCOME_ERROR] = FIELD_ERROR};
    *must = 1u << FIELD_EXIT | 1u << OWN[outcome];
    *may = *must;
    if (outcome == OUTCOME_ERROR)
        return;
    *must |= 1u << FIELD_GAS_USED;
    if (job->output != OUTPUT_NONE)
        *must |= 1u << (job->output == OUTPUT_BYTES ? FIELD_OUTPUT : FIELD_OUTPUT_HASH);
    *may = *must | (job->post ? 1u << FIELD_POST : 0);
}

static bool plausible(const struct parcel_result *parcel, const struct job *job)
{
    uint32_t must, may;
    if (parcel->outcome >= OUTCOME_COUNT || parcel->outcome == OUTCOME_CRASHED)
        return false;
    fields_of((enum outcome)parcel->outcome, job, &must, &may);
    const bool output = (parcel->fields & 1u << FIELD_OUTPUT) != 0 && parcel->output_null == 0;
    return (parcel->fields & must) == must && (parcel->fields & ~(uint64_t)may) == 0 &&
           parcel->reason <= JAVM_FAULT_STORAGE &&
           (parcel->reason == JAVM_FAULT_NONE || parcel->outcome == OUTCOME_TRAP) &&
           parcel->error_len < sizeof((struct result *)0)->error &&
           parcel->output_len <= (output ? OUTPUT_BYTES_MAX : 0) &&
           (parcel->outcome == OUTCOME_ERROR || parcel->gas_before <= parcel->gas_used) &&
           (parcel->outcome != OUTCOME_PAUSED ||
            (parcel->yield_key.len >= 1 && parcel->yield_key.len <= JAVM_MAX_KEY_LEN));
}

bool parcel_result_get(const uint8_t **at, const uint8_t *end, const struct job *job,
                       struct ground *ground, struct result *result, const uint8_t **caps,
                       size_t *caps_len)
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
    *caps = output == NULL ? NULL : take(at, end, parcel.caps_len);
    *caps_len = (size_t)parcel.caps_len;
    if (*caps == NULL)
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
                              .ns = parcel.ns};
    if (parcel.reason != JAVM_FAULT_NONE)
        result->reason = javm_fault_name((enum javm_fault)parcel.reason);
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
