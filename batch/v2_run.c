#include "batch/v2_run.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "batch/execute.h"
#include "batch/v2_text.h"

void v2_runner_clear(struct v2_runner *runner)
{
    v2_texts_clear(&runner->texts);
    javm_v2_world_destroy(runner->world);
    if (runner->v2 != NULL)
        javm_v2_destroy(runner->v2);
    *runner = (struct v2_runner){0};
}

static bool prepare(struct v2_runner *runner, const struct javm_v2_options *options,
                    struct result *result)
{
    struct javm_error err;
    if (runner->world == NULL)
        runner->world = javm_v2_world_create(NULL);
    enum javm_status status = JAVM_OK;
    if (runner->world == NULL)
        status = javm_fail(&err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    else if (runner->v2 == NULL)
        status = javm_v2_create(options, &runner->v2, &err);
    if (status != JAVM_OK)
        set_failure(result, "", &err);
    return status == JAVM_OK;
}

/* ---- how it ended ----------------------------------------------------------------------- */

static uint64_t args_room(const struct javm_jar *jar)
{
    uint64_t room = 0;
    for (uint32_t i = 0; i < jar->entry_count; i++)
        if (jar->entries[i].slot == 0)
            room = jar->entries[i].is_code ? 0 : (uint64_t)jar->entries[i].page_count << 12;
    return room;
}

static void take_reject(const struct job *job, enum javm_v2_reject reject, struct result *result)
{
    const struct javm_jar *jar = javm_v2_blob_jar(job->v2->program->blob);
    switch (reject) {
    case JAVM_V2_REJECT_OUT_OF_GAS:
        set_error(result, "rejected: %llu gas for %u DATA pages at the start, the job has %llu",
                  1500ull * jar->data_pages, jar->data_pages, (unsigned long long)job->gas);
        return;
    case JAVM_V2_REJECT_INVALID_ARGS:
        set_error(result, "rejected: %zu bytes of args, the DATA in slot 0 has room for %llu",
                  job->v2->args.len, (unsigned long long)args_room(jar));
        return;
    case JAVM_V2_REJECT_MEMORY_ERROR:
        set_error(result, "rejected: %u pages of memory are more than this host provides",
                  jar->memory_pages);
        return;
    case JAVM_V2_ACCEPTED:
        break;
    }
    set_error(result, "rejected");
}

static void take_end(const struct job *job, const struct javm_v2_result *ended, uint64_t timeout_ms,
                     struct result *result)
{
    result->fields = 1u << FIELD_EXIT | 1u << FIELD_GAS_USED;
    result->gas_used = job->gas - ended->gas_left;
    switch (ended->end) {
    case JAVM_V2_END_HALT:
        result->outcome = OUTCOME_HALT;
        result->value = ended->value;
        result->fields |= 1u << FIELD_VALUE;
        return;
    case JAVM_V2_END_PANIC:
        result->outcome = OUTCOME_PANIC;
        return;
    case JAVM_V2_END_OUT_OF_GAS:
        result->outcome = OUTCOME_OUT_OF_GAS;
        return;
    case JAVM_V2_END_PAGE_FAULT:
        result->outcome = OUTCOME_PAGE_FAULT;
        result->addr = ended->value;
        result->fields |= 1u << FIELD_ADDR;
        return;
    case JAVM_V2_END_REJECTED:
        take_reject(job, ended->reject, result);
        return;
    case JAVM_V2_END_TIMEOUT:
        set_error(result, "timeout after %llu ms", (unsigned long long)timeout_ms);
        return;
    }
}

/* ---- what refine returns ---------------------------------------------------------------- */

static void hash_output(struct javm_v2 *v2, uint64_t address, uint64_t len, struct javm_hash *hash)
{
    crypto_generichash_state state;
    uint8_t part[4096];
    crypto_generichash_init(&state, NULL, 0, sizeof hash->bytes);
    for (uint64_t done = 0; done < len; done += sizeof part) {
        const uint64_t size = len - done < sizeof part ? len - done : sizeof part;
        if (!javm_v2_read(v2, address + done, part, size))
            break; /* it is accessible, as the caller has made sure */
        crypto_generichash_update(&state, part, size);
    }
    crypto_generichash_final(&state, hash->bytes, sizeof hash->bytes);
}

/* φ7 of the halt: the address in the upper half, the length in the lower. */
static void take_output(struct javm_v2 *v2, const struct job *job, struct result *result)
{
    const uint64_t address = result->value >> 32, len = (uint32_t)result->value;
    result->fields |= 1u << (job->output == OUTPUT_BYTES ? FIELD_OUTPUT : FIELD_OUTPUT_HASH);
    result->output_null = !javm_v2_accessible(v2, address, len, false);
    if (result->output_null)
        return;
    if (job->output == OUTPUT_HASH) {
        hash_output(v2, address, len, &result->output_hash);
        return;
    }
    if (len > OUTPUT_BYTES_MAX) {
        set_error(result, "output: %llu bytes, more than the %u that fit a line; ask for the hash",
                  (unsigned long long)len, OUTPUT_BYTES_MAX);
        return;
    }
    uint8_t *bytes = malloc(len + 1);
    if (bytes != NULL && javm_v2_read(v2, address, bytes, len))
        result->slot0 = javm_data_new(bytes, len);
    free(bytes);
    result->output_len = len;
    if (result->slot0 == NULL)
        set_starved(result, "output");
}

/* ---- running ---------------------------------------------------------------------------- */

void v2_invoke(struct v2_runner *runner, const struct javm_v2_options *options,
               const struct job *job, int64_t now_ns, uint64_t timeout_ms, struct result *result,
               struct v2_left *left)
{
    const struct v2_job *v2 = job->v2;
    struct javm_v2_result *ended = &runner->ended;
    struct javm_error err;
    result_begin(result);
    *ended = (struct javm_v2_result){.end = JAVM_V2_END_HALT};
    if (!prepare(runner, options, result))
        return;
    struct javm_v2_invocation invocation = {.args = v2->args.data,
                                            .args_len = v2->args.len,
                                            .gas = job->gas,
                                            .op = v2->op,
                                            .host = javm_v2_world_host(runner->world)};
    if (timeout_ms > 0)
        invocation.deadline_ns = (uint64_t)now_ns + timeout_ms * 1000000u;
    javm_v2_world_begin(runner->world, &v2->state);
    const enum javm_status status =
        javm_v2_invoke(runner->v2, v2->program->blob, &invocation, ended, &err);
    if (status != JAVM_OK) {
        set_failure(result, "", &err);
        return;
    }
    javm_v2_world_end(runner->world, runner->v2, ended);
    take_end(job, ended, timeout_ms, result);
    if (result->outcome == OUTCOME_ERROR)
        return;
    v2_left_of_world(runner->world, left);
    const struct javm_hash *output = javm_v2_world_output(runner->world);
    if (v2->state.context == JAVM_V2_REFINE) {
        if (result->outcome == OUTCOME_HALT && job->output != OUTPUT_NONE)
            take_output(runner->v2, job, result);
    } else if (output != NULL) {
        result->output_hash = *output;
        result->fields |= 1u << FIELD_OUTPUT_HASH;
    }
}

void v2_run(struct v2_runner *runner, const struct javm_v2_options *options, const struct job *job,
            int64_t now_ns, uint64_t timeout_ms, struct result *result)
{
    struct v2_left left;
    v2_invoke(runner, options, job, now_ns, timeout_ms, result, &left);
    v2_show(&runner->texts, job, &left, result);
}
