#include "batch/execute.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "batch/blob.h"
#include "batch/definitions.h"
#include "batch/diag.h"
#include "batch/run.h"
#include "javm/handle.h"

void set_error(struct result *result, const char *fmt, ...)
{
    va_list args;
    va_start(args, fmt);
    vsnprintf(result->error, sizeof result->error, fmt, args);
    va_end(args);
    diag_clean(result->error);
    result_clear(result);
    result->outcome = OUTCOME_ERROR;
    result->reason = NULL;
    result->import = NULL;
    /* What was used or left behind by then depends on the clock or the machine. */
    result->fields = 1u << FIELD_EXIT | 1u << FIELD_ERROR;
    result->unshown = 0;
    result->starved = false;
}

void set_failure(struct result *result, const char *what, const struct javm_error *err)
{
    set_error(result, "%s%s", what, err->text);
    result->starved = err->status == JAVM_E_NOMEM;
}

void set_starved(struct result *result, const char *what)
{
    set_error(result, "%s: out of memory", what);
    result->starved = true;
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

enum javm_status execute_hash(struct javm_dir_thread *dir, struct javm_cap *cap,
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
        if (execute_hash(dir, slot0, &result->output_hash, &err) != JAVM_OK)
            set_failure(result, "output: ", &err);
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

/* The hash of the instance that was left; published when it is to stay. */
static enum javm_status post_hash(struct javm_vm *vm, struct javm_dir_thread *dir,
                                  const struct ground *ground, struct javm_call_result *call,
                                  struct javm_hash *hash, struct javm_error *err)
{
    if (call->end == JAVM_END_PAUSED)
        return javm_vm_detach_paused(vm, dir, hash, err);
    struct javm_cap *post = call->post_instance;
    call->post_instance = NULL;
    if (!ground->keep)
        return execute_hash(dir, post, hash, err);
    const enum javm_status status = javm_directory_put(dir, post, hash, err);
    javm_cap_release(post);
    return status;
}

/* What it left, or for a chain after a fault what it had found. */
static void take_post(struct javm_vm *vm, struct javm_dir_thread *dir, const struct job *job,
                      struct ground *ground, struct javm_call_result *call, struct result *result)
{
    struct javm_error err;
    struct javm_hash left = ground->instance;
    const bool moves = call->end == JAVM_END_HALT || call->end == JAVM_END_PAUSED;
    if ((!job->post && !ground->keep) || (!moves && !ground->keep))
        return;
    if (moves && post_hash(vm, dir, ground, call, &left, &err) != JAVM_OK) {
        set_failure(result, "post: ", &err);
        return;
    }
    if (job->post) {
        result->post = left;
        result->fields |= 1u << FIELD_POST;
    }
    if (!moves || !ground->keep)
        return;
    ground->moved = true;
    ground->instance = left;
    ground->paused = call->end == JAVM_END_PAUSED;
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

/* ---- running ---------------------------------------------------------------------------- */

bool execute_publishes(const struct job *job)
{
    return job->post && job->on_pause != ON_PAUSE_NONE;
}

struct unit {
    struct javm_vm *vm;
    struct javm_dir_thread *dir;
    const struct job *job;
    struct javm_call call;
    struct javm_call_result ended;
    struct javm_error *err;
    uint64_t times;         /* that gas may still be set */
    bool watched;           /* execute_until: stops where the budget is used up */
    struct javm_cap *input; /* made for it, or NULL */
};

/* Begin, or go on where a Paused Instance stands. */
static enum javm_status begin(struct unit *unit, const struct ground *ground)
{
    if (!ground->paused)
        return javm_vm_invoke(unit->vm, unit->dir, &unit->call, &unit->ended, unit->err);
    if (unit->job->enters)
        return javm_fail(unit->err, JAVM_E_STATE, JAVM_NOWHERE,
                         "the instance is paused: it is resumed, without endpoint and args");
    /* What is left of its gas is its own. */
    unit->call.gas = unit->job->gas_named ? unit->job->gas : 0;
    const enum javm_status status =
        javm_vm_attach_paused(unit->vm, unit->dir, &ground->instance, unit->err);
    return status != JAVM_OK
               ? status
               : javm_vm_call_resume(unit->vm, unit->dir, &unit->call, &unit->ended, unit->err);
}

static bool is_key(const struct javm_key *key, const struct javm_key *other)
{
    return javm_key_compare(key, other) == 0;
}

/* The meter that ran out, or the budget, gets what the job says. */
static enum javm_status set_gas(struct unit *unit)
{
    struct javm_key meter;
    const struct javm_cap *handle = unit->ended.slot0;
    const bool metered = handle != NULL && javm_gas_meter_key(handle, &meter);
    unit->times--;
    return javm_vm_set_gas(unit->vm, metered ? &meter : NULL, unit->job->set_gas, unit->err);
}

enum answer { ANSWER_NONE, ANSWER_RESUME, ANSWER_REFUSE };

/* What the job says to this pause. What asks for gas or storage that it does not give would only
 * ask again. */
static enum answer answer(const struct unit *unit)
{
    const struct javm_key *key = &unit->ended.yield_key;
    const bool oog = is_key(key, &JAVM_YK_OOG);
    if (unit->watched && oog && unit->ended.slot0 == NULL)
        return ANSWER_NONE;
    switch ((enum on_pause)unit->job->on_pause) {
    case ON_PAUSE_RESUME:
        return oog || is_key(key, &JAVM_YK_STORAGE_EXHAUSTED) ? ANSWER_REFUSE : ANSWER_RESUME;
    case ON_PAUSE_SET_GAS:
        return !oog ? ANSWER_NONE : unit->times == 0 ? ANSWER_REFUSE : ANSWER_RESUME;
    case ON_PAUSE_NONE: /* it could not pause if it were not watched */
        return unit->watched ? ANSWER_REFUSE : ANSWER_NONE;
    case ON_PAUSE_REPORT:
    case ON_PAUSE_COUNT:
        break;
    }
    return ANSWER_NONE;
}

static enum javm_status go_on(struct unit *unit, enum answer answer)
{
    unit->call.gas = 0;
    unit->call.scratchpad = NULL;
    if (answer == ANSWER_RESUME && unit->job->on_pause == ON_PAUSE_SET_GAS) {
        const enum javm_status status = set_gas(unit);
        if (status != JAVM_OK)
            return status;
    }
    javm_call_result_clear(&unit->ended);
    return (answer == ANSWER_RESUME ? javm_vm_call_resume : javm_vm_call_refuse)(
        unit->vm, unit->dir, &unit->call, &unit->ended, unit->err);
}

/* To an end, or to a pause that stays one. Between two pauses there may be too little for the
 * engine to look at the clock. */
static enum javm_status run(struct unit *unit, const struct ground *ground, uint64_t *gas_before)
{
    enum javm_status status = begin(unit, ground);
    if (status != JAVM_OK)
        return status;
    *gas_before = unit->ended.gas_before;
    while (status == JAVM_OK && unit->ended.end == JAVM_END_PAUSED) {
        const enum answer said = answer(unit);
        if (said == ANSWER_NONE)
            break;
        if (unit->call.deadline_ns != 0 && (uint64_t)clock_ns() >= unit->call.deadline_ns) {
            unit->ended.end = JAVM_END_TIMEOUT;
            break;
        }
        status = go_on(unit, said);
    }
    return status;
}

static void conclude(struct unit *unit, struct ground *ground, uint64_t timeout_ms,
                     struct result *result)
{
    take_end(&unit->ended, timeout_ms, result);
    if (result->outcome != OUTCOME_ERROR)
        take_output(unit->dir, unit->job, &unit->ended, result);
    if (result->outcome != OUTCOME_ERROR)
        take_post(unit->vm, unit->dir, unit->job, ground, &unit->ended, result);
}

/* False: out of memory. */
static bool open_unit(struct unit *unit, const struct ground *ground, int64_t now_ns,
                      uint64_t timeout_ms)
{
    const struct job *job = unit->job;
    if (job->input != NULL && (unit->input = javm_data_new(job->input, job->input_len)) == NULL)
        return false;
    unit->times = job->set_gas_times;
    unit->call = (struct javm_call){
        .instance = ground->instance,
        .endpoint = job->endpoint,
        .args = {job->args[0], job->args[1], job->args[2], job->args[3]},
        .gas = job->gas,
        .scratchpad = job->blob != NULL ? job->blob->data : unit->input,
        .want_post = job->post || ground->keep,
        .post_unpublished = !ground->keep,
        .want_slot0 = job->output != OUTPUT_NONE || job->on_pause == ON_PAUSE_SET_GAS,
        .can_pause = job->on_pause != ON_PAUSE_NONE};
    if (timeout_ms > 0)
        unit->call.deadline_ns = (uint64_t)now_ns + timeout_ms * 1000000u;
    return true;
}

void execute(struct javm_vm *vm, struct javm_dir_thread *dir, const struct job *job,
             struct ground *ground, int64_t now_ns, uint64_t timeout_ms, struct result *result)
{
    struct javm_error err;
    struct unit unit = {.vm = vm, .dir = dir, .job = job, .err = &err};
    result_begin(result);
    if (job->error != NULL) {
        set_error(result, "%.*s", (int)job->error_len, job->error);
        return;
    }
    if (!open_unit(&unit, ground, now_ns, timeout_ms)) {
        set_starved(result, "input");
        return;
    }
    ground->moved = false;
    const bool may_pause = unit.call.can_pause || ground->paused;
    const enum javm_status status = run(&unit, ground, &result->gas_before);
    javm_cap_release(unit.input);
    if (status != JAVM_OK)
        set_failure(result, "", &err);
    else
        conclude(&unit, ground, timeout_ms, result);
    javm_call_result_clear(&unit.ended);
    /* Unless it became a value; a refused input leaves a paused invocation, too. */
    if (may_pause)
        (void)javm_vm_drop_paused(vm, &err);
}

enum javm_status execute_until(struct javm_vm *vm, struct javm_dir_thread *dir,
                               const struct job *job, const struct ground *ground, uint64_t gas,
                               uint64_t timeout_ms, struct javm_call_result *ended,
                               struct javm_error *err)
{
    struct unit unit = {.vm = vm, .dir = dir, .job = job, .err = err, .watched = true};
    struct job limited = *job;
    uint64_t before;
    limited.gas = gas;
    limited.gas_named = true; /* a paused instance gets so much besides what it has left */
    unit.job = &limited;
    *ended = (struct javm_call_result){.end = JAVM_END_HALT};
    if (!open_unit(&unit, ground, clock_ns(), timeout_ms))
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "input: out of memory");
    unit.call.want_post = unit.call.want_slot0 = unit.call.can_pause = true;
    unit.call.post_unpublished = true;
    const enum javm_status status = run(&unit, ground, &before);
    javm_cap_release(unit.input);
    *ended = unit.ended;
    return status;
}
