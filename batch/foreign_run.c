#include "batch/foreign_run.h"

#include <stdlib.h>
#include <string.h>

#include "batch/blob.h"
#include "batch/definitions.h"
#include "batch/execute.h"
#include "batch/foreign.h"
#include "javm/cap.h"

const char FOREIGN_ECALL[] = "ecall";

/* Each has 4 GiB of address space. */
#define KEPT 8u

struct foreign_runner {
    enum javm_engine engine;
    struct javm_jit *jit;
    struct kept {
        struct foreign *foreign;
        struct javm_pvm_instance *instance;
    } kept[KEPT];   /* the last used first; then none */
    uint8_t *input; /* what the present instance has as its arguments, when it is ours */
};

struct foreign_runner *foreign_runner_new(enum javm_engine engine, struct javm_jit *jit)
{
    struct foreign_runner *runner = calloc(1, sizeof *runner);
    if (runner == NULL)
        return NULL;
    runner->engine = engine;
    runner->jit = jit;
    return runner;
}

void foreign_runner_free(struct foreign_runner *runner)
{
    if (runner == NULL)
        return;
    for (unsigned i = 0; i < KEPT; i++)
        javm_pvm_instance_destroy(runner->kept[i].instance);
    free(runner->input);
    free(runner);
}

static enum javm_pvm_answer answer(void *context, struct javm_pvm_host_call *call)
{
    const uint64_t *value = foreign_answer(context, call->number);
    if (value == NULL)
        return JAVM_PVM_DECLINE;
    call->regs[7] = *value;
    return JAVM_PVM_ANSWERED;
}

static enum javm_status make(struct foreign_runner *runner, struct foreign *foreign,
                             struct javm_pvm_instance **instance, struct javm_error *err)
{
    const struct javm_pvm_import any = {NULL, answer, foreign};
    struct javm_pvm_module *module;
    const enum javm_status status =
        foreign_module(foreign, runner->engine, runner->jit, &module, err);
    return status == JAVM_OK ? javm_pvm_instance_create(module, &any, 1, instance, err) : status;
}

/* The program's instance, at the front from now on. */
static enum javm_status find(struct foreign_runner *runner, struct foreign *foreign,
                             struct javm_pvm_instance **instance, struct javm_error *err)
{
    struct kept found = {foreign, NULL};
    unsigned at = 0;
    while (at < KEPT - 1 && runner->kept[at].foreign != foreign && runner->kept[at].foreign != NULL)
        at++;
    if (runner->kept[at].foreign == foreign) {
        found = runner->kept[at];
    } else {
        const enum javm_status status = make(runner, foreign, &found.instance, err);
        if (status != JAVM_OK)
            return status;
        javm_pvm_instance_destroy(runner->kept[at].instance);
    }
    memmove(&runner->kept[1], &runner->kept[0], at * sizeof *runner->kept);
    runner->kept[0] = found;
    *instance = found.instance;
    return JAVM_OK;
}

/* The bytes of a Data in one piece. NULL: out of memory. */
static uint8_t *flatten(const struct blob *blob)
{
    uint8_t *bytes = malloc((size_t)blob->len + 1);
    for (uint64_t at = 0; bytes != NULL && at < blob->len; at += JAVM_PAGE_SIZE) {
        const uint8_t *page = javm_data_page(blob->data, at >> JAVM_PAGE_SHIFT);
        const size_t part =
            blob->len - at < JAVM_PAGE_SIZE ? (size_t)(blob->len - at) : JAVM_PAGE_SIZE;
        if (page != NULL)
            memcpy(bytes + at, page, part);
        else
            memset(bytes + at, 0, part);
    }
    return bytes;
}

static enum javm_status make_fresh(struct foreign_runner *runner, const struct job *job,
                                   struct javm_pvm_instance *instance, struct javm_error *err)
{
    const uint8_t *input = job->input;
    uint64_t len = input != NULL ? job->input_len : 0;
    uint8_t *own = NULL;
    if (job->blob != NULL) {
        own = flatten(job->blob);
        if (own == NULL)
            return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "input: out of memory");
        input = own;
        len = job->blob->len;
    }
    const enum javm_status status = javm_pvm_instance_reset(instance, input, len, err);
    free(runner->input); /* of the job before; other instances are reset before they look at it */
    runner->input = own;
    return status;
}

/* What a standard program returned, as a Data. */
static void take_output(const struct job *job, struct javm_pvm_instance *instance, bool returned,
                        struct result *result)
{
    const struct foreign *foreign = job->target->foreign;
    struct javm_error err;
    uint8_t *bytes;
    uint64_t len;
    if (job->output == OUTPUT_NONE)
        return;
    result->fields |= 1u << (job->output == OUTPUT_BYTES ? FIELD_OUTPUT : FIELD_OUTPUT_HASH);
    result->output_null = true;
    if (!returned || foreign->program.container != JAVM_PVM_SPI)
        return;
    if (javm_pvm_instance_output(instance, OUTPUT_BYTES_MAX, &bytes, &len, &err) != JAVM_OK) {
        set_failure(result, "output: ", &err);
        return;
    }
    struct javm_cap *data = javm_data_new(bytes, len);
    while (len > 0 && bytes[len - 1] == 0)
        len--;
    free(bytes);
    result->slot0 = data;
    result->output_len = len;
    result->output_null = false;
    if (data == NULL ||
        (job->output == OUTPUT_HASH && javm_cap_hash(data, &result->output_hash) != JAVM_OK))
        set_starved(result, "output");
}

static void take_end(const struct job *job, const struct javm_pvm_call *call, uint64_t timeout_ms,
                     struct result *result)
{
    static const enum outcome OUTCOMES[] = {
        [JAVM_PVM_RETURNED] = OUTCOME_HALT,         [JAVM_PVM_TRAPPED] = OUTCOME_TRAP,
        [JAVM_PVM_PANIC] = OUTCOME_PANIC,           [JAVM_PVM_FAULT] = OUTCOME_PAGE_FAULT,
        [JAVM_PVM_OUT_OF_GAS] = OUTCOME_OUT_OF_GAS, [JAVM_PVM_HOST_CALL] = OUTCOME_HOST_CALL,
        [JAVM_PVM_STOPPED] = OUTCOME_HOST_CALL,     [JAVM_PVM_ECALLED] = OUTCOME_TRAP,
        [JAVM_PVM_TIMEOUT] = OUTCOME_ERROR};
    const struct foreign *foreign = job->target->foreign;
    result->outcome = OUTCOMES[call->end];
    result->fields = 1u << FIELD_EXIT | 1u << FIELD_GAS_USED;
    result->gas_used = job->gas - call->gas;
    if (call->end == JAVM_PVM_RETURNED) {
        result->value = call->value;
        result->fields |= 1u << FIELD_VALUE;
    } else if (call->end == JAVM_PVM_FAULT) {
        result->addr = call->addr;
        result->fields |= 1u << FIELD_ADDR;
    } else if (call->end == JAVM_PVM_HOST_CALL) {
        result->selector = call->number;
        result->import = foreign_import(foreign, call->number);
        result->fields |= 1u << FIELD_SELECTOR;
    } else if (call->end == JAVM_PVM_ECALLED) {
        result->reason = FOREIGN_ECALL;
    } else if (call->end == JAVM_PVM_TIMEOUT) {
        set_error(result, "timeout after %llu ms", (unsigned long long)timeout_ms);
    }
}

enum javm_status foreign_call(struct foreign_runner *runner, const struct job *job, int64_t now_ns,
                              uint64_t timeout_ms, struct javm_pvm_call *call,
                              struct javm_pvm_instance **instance, struct javm_error *err)
{
    call->arg_count = job->arg_count;
    memcpy(call->args, job->args, sizeof job->args);
    if (timeout_ms > 0)
        call->deadline_ns = (uint64_t)now_ns + timeout_ms * 1000000u;
    enum javm_status status = find(runner, job->target->foreign, instance, err);
    if (status == JAVM_OK)
        status = make_fresh(runner, job, *instance, err);
    return status != JAVM_OK ? status : javm_pvm_instance_call(*instance, job->endpoint, call, err);
}

void foreign_run(struct foreign_runner *runner, const struct job *job, int64_t now_ns,
                 uint64_t timeout_ms, struct result *result)
{
    struct javm_pvm_instance *instance;
    struct javm_error err;
    struct javm_pvm_call call = {.gas = job->gas};
    result_begin(result);
    if (foreign_call(runner, job, now_ns, timeout_ms, &call, &instance, &err) != JAVM_OK) {
        set_failure(result, "", &err);
        return;
    }
    take_end(job, &call, timeout_ms, result);
    if (result->outcome != OUTCOME_ERROR)
        take_output(job, instance, call.end == JAVM_PVM_RETURNED, result);
}
