#include "batch/execute.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "batch/blob.h"
#include "batch/definitions.h"
#include "batch/diag.h"

__attribute__((format(printf, 2, 3))) static void set_error(struct result *result, const char *fmt,
                                                            ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(result->error, sizeof result->error, fmt, args);
    va_end(args);
    diag_clean(result->error);
    result_clear(result);
    result->outcome = OUTCOME_ERROR;
    result->reason = NULL;
    /* What was used or left behind by then depends on the clock or the machine. */
    result->fields = 1u << FIELD_EXIT | 1u << FIELD_ERROR;
}

void result_clear(struct result *result)
{
    javm_cap_release(result->slot0);
    result->slot0 = NULL;
}

/* Bytes up to the last that is not zero. */
static uint64_t content_length(const struct javm_cap *data)
{
    for (uint64_t page = javm_data_pages(data); page-- > 0;) {
        const uint8_t *bytes = javm_data_page(data, page);
        size_t len = bytes == NULL ? 0 : JAVM_PAGE_SIZE;
        while (len > 0 && bytes[len - 1] == 0)
            len--;
        if (len > 0)
            return page * JAVM_PAGE_SIZE + len;
    }
    return 0;
}

/* cap_hash, of a settled form when the cap holds live entries. Takes over the reference to cap. */
static enum javm_status settled_hash(struct javm_dir_thread *dir, struct javm_cap *cap,
                                     struct javm_hash *hash, struct javm_error *err)
{
    struct javm_target ref;
    enum javm_status status = javm_cap_hash(cap, hash);
    if (status != JAVM_E_LIVE) {
        if (status != JAVM_OK)
            javm_fail(err, status, JAVM_NOWHERE, "cannot hash it: %s", javm_status_name(status));
        javm_cap_release(cap);
        return status;
    }
    status = javm_directory_put_instance(dir, cap, &ref, err);
    if (status != JAVM_OK) {
        javm_cap_release(cap);
        return status;
    }
    status = javm_directory_settle(dir, &ref, hash, err);
    javm_target_drop(&ref);
    return status;
}

static void take_output(struct javm_dir_thread *dir, const struct job *job,
                        struct javm_call_result *call, struct result *result)
{
    struct javm_error err;
    struct javm_cap *slot0 = call->slot0;
    if (job->output == OUTPUT_NONE)
        return;
    result->fields |= 1u << (job->output == OUTPUT_BYTES ? FIELD_OUTPUT : FIELD_OUTPUT_HASH);
    result->output_null = slot0 == NULL;
    if (slot0 == NULL)
        return;
    if (job->output == OUTPUT_HASH) {
        call->slot0 = NULL;
        if (settled_hash(dir, slot0, &result->output_hash, &err) != JAVM_OK)
            set_error(result, "output: %s", err.text);
        return;
    }
    if (javm_cap_kind(slot0) != JAVM_DATA) {
        result->output_null = true;
        return;
    }
    result->output_len = content_length(slot0);
    if (result->output_len > OUTPUT_BYTES_MAX) {
        set_error(result, "output: %llu bytes, more than the %u that fit a line; ask for the hash",
                  (unsigned long long)result->output_len, OUTPUT_BYTES_MAX);
        return;
    }
    result->slot0 = slot0;
    call->slot0 = NULL;
}

static void take_post(struct javm_dir_thread *dir, const struct job *job,
                      struct javm_call_result *call, struct result *result)
{
    struct javm_error err;
    if (!job->post || call->post_instance == NULL)
        return;
    struct javm_cap *post = call->post_instance;
    call->post_instance = NULL;
    if (settled_hash(dir, post, &result->post, &err) == JAVM_OK)
        result->fields |= 1u << FIELD_POST;
    else
        set_error(result, "post: %s", err.text);
}

static void take_fault(const struct javm_call_result *call, struct result *result)
{
    switch (call->fault) {
    case JAVM_FAULT_PANIC:
        result->outcome = OUTCOME_PANIC;
        return;
    case JAVM_FAULT_PAGE_FAULT:
        result->outcome = OUTCOME_PAGE_FAULT;
        result->addr = call->fault_addr;
        result->fields |= 1u << FIELD_ADDR;
        return;
    case JAVM_FAULT_OUT_OF_GAS:
        result->outcome = OUTCOME_OUT_OF_GAS;
        return;
    case JAVM_FAULT_NONE:
    case JAVM_FAULT_TRAP:
        result->outcome = OUTCOME_TRAP;
        return;
    case JAVM_FAULT_YIELD_UNHANDLED:
    case JAVM_FAULT_BAD_OPERAND:
    case JAVM_FAULT_DEPTH_LIMIT:
    case JAVM_FAULT_STORAGE:
        result->outcome = OUTCOME_TRAP; /* the kernel trapped it: `reason` says why */
        result->reason = javm_fault_name(call->fault);
        return;
    }
}

static void take_end(const struct javm_call_result *call, uint64_t timeout_ms,
                     struct result *result)
{
    result->fields = 1u << FIELD_EXIT | 1u << FIELD_GAS_USED;
    result->gas_used = call->gas_used;
    switch (call->end) {
    case JAVM_END_HALT:
        result->outcome = OUTCOME_HALT;
        result->value = call->value;
        result->fields |= 1u << FIELD_VALUE;
        return;
    case JAVM_END_PAUSED:
        result->outcome = OUTCOME_PAUSED;
        result->yield_key = call->yield_key;
        result->fields |= 1u << FIELD_YIELD_KEY;
        return;
    case JAVM_END_FAULTED:
        take_fault(call, result);
        return;
    case JAVM_END_HOST_CALL:
        result->outcome = OUTCOME_HOST_CALL;
        result->selector = call->selector;
        result->fields |= 1u << FIELD_SELECTOR;
        return;
    case JAVM_END_TIMEOUT:
        set_error(result, "timeout after %llu ms", (unsigned long long)timeout_ms);
        return;
    }
}

void execute(struct javm_vm *vm, struct javm_dir_thread *dir, const struct job *job, int64_t now_ns,
             uint64_t timeout_ms, struct result *result)
{
    struct javm_call_result ended;
    struct javm_error err;
    result->slot0 = NULL;
    result->reason = NULL;
    result->output_null = false;
    result->output_len = 0;
    result->error[0] = '\0';
    if (job->error != NULL) {
        set_error(result, "%.*s", (int)job->error_len, job->error);
        return;
    }
    struct javm_cap *own = NULL;
    if (job->input != NULL && (own = javm_data_new(job->input, job->input_len)) == NULL) {
        set_error(result, "input: out of memory");
        return;
    }
    struct javm_call call = {.instance = job->target->instance,
                             .endpoint = job->endpoint,
                             .args = {job->args[0], job->args[1], job->args[2], job->args[3]},
                             .gas = job->gas,
                             .scratchpad = job->blob != NULL ? job->blob->data : own,
                             .want_post = job->post,
                             .post_unpublished = true,
                             .want_slot0 = job->output != OUTPUT_NONE};
    if (timeout_ms > 0)
        call.deadline_ns = (uint64_t)now_ns + timeout_ms * 1000000u;
    const enum javm_status status = javm_vm_invoke(vm, dir, &call, &ended, &err);
    javm_cap_release(own);
    if (status != JAVM_OK) {
        set_error(result, "%s", err.text);
        return;
    }
    take_end(&ended, timeout_ms, result);
    if (result->outcome != OUTCOME_ERROR) {
        take_post(dir, job, &ended, result);
        if (result->outcome != OUTCOME_ERROR)
            take_output(dir, job, &ended, result);
    }
    javm_call_result_clear(&ended);
}
