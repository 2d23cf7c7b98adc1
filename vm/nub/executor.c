#include "vm/nub/executor.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>

struct executor {
    struct javm_directory *dir;
    struct javm_dir_thread *thread;
    struct javm_jit *jit;
    struct javm_vm *vm;
    struct nub_region *region;
    struct nub_service service;
    uint64_t memory_bytes;
};

/* ---- invocations ------------------------------------------------------------------------ */

static void take_fault(const struct javm_call_result *ended, struct javm_nub_result *result)
{
    switch (ended->fault) {
    case JAVM_FAULT_PANIC:
        result->exit_reason = JAVM_NUB_EXIT_PANIC;
        return;
    case JAVM_FAULT_OUT_OF_GAS:
        result->exit_reason = JAVM_NUB_EXIT_OUT_OF_GAS;
        return;
    case JAVM_FAULT_PAGE_FAULT:
        result->exit_reason = JAVM_NUB_EXIT_PAGE_FAULT;
        result->exit_arg = (uint32_t)ended->fault_addr; /* guests have 32 bits of addresses */
        return;
    case JAVM_FAULT_NONE:
    case JAVM_FAULT_TRAP:
    case JAVM_FAULT_YIELD_UNHANDLED:
    case JAVM_FAULT_BAD_OPERAND:
    case JAVM_FAULT_DEPTH_LIMIT:
    case JAVM_FAULT_STORAGE:
        result->exit_arg = (uint32_t)ended->fault; /* error numbers below 64 are these */
        return;
    }
}

static void take_end(const struct javm_call_result *ended, struct javm_nub_result *result)
{
    result->exit_reason = JAVM_NUB_EXIT_TRAP;
    switch (ended->end) {
    case JAVM_END_HALT:
        result->exit_reason = JAVM_NUB_EXIT_HALT;
        result->return_value = ended->value;
        return;
    case JAVM_END_HOST_CALL:
        result->exit_reason =
            ended->selector_is_ecall ? JAVM_NUB_EXIT_ECALL_JAR : JAVM_NUB_EXIT_HOST_CALL;
        result->exit_arg = (uint32_t)ended->selector;
        return;
    case JAVM_END_FAULTED:
        take_fault(ended, result);
        return;
    case JAVM_END_PAUSED:
        result->exit_arg = JAVM_NUB_E_PAUSED;
        return;
    case JAVM_END_TIMEOUT:
        result->exit_arg = JAVM_NUB_E_TIMEOUT;
        return;
    }
}

static enum javm_status invoke(struct executor *e, const struct javm_nub_invoke *packet,
                               struct javm_nub_result *result, struct javm_error *err)
{
    struct javm_call_result ended = {0};
    struct javm_call call = {
        .endpoint = packet->endpoint_idx,
        .args = {packet->args[0], packet->args[1], packet->args[2], packet->args[3]},
        .gas = packet->initial_gas,
        .want_slot0 = true};
    memcpy(call.instance.bytes, packet->instance_hash, sizeof call.instance.bytes);
    memset(result, 0, sizeof *result);
    const enum javm_status status = javm_vm_invoke(e->vm, e->thread, &call, &ended, err);
    if (status != JAVM_OK)
        return status;
    take_end(&ended, result);
    result->gas_remaining =
        packet->initial_gas > ended.gas_used ? packet->initial_gas - ended.gas_used : 0;
    const struct javm_cap *slot0 = ended.slot0;
    if (slot0 != NULL && javm_cap_kind(slot0) == JAVM_DATA && javm_data_pages(slot0) > 0)
        javm_data_read(slot0, 0, result->scratchpad_head, sizeof result->scratchpad_head);
    javm_call_result_clear(&ended);
    return JAVM_OK;
}

/* Lanes have no place for an error response: it is a trap with the error's number. */
static void lane_invoke(void *state, const struct javm_nub_invoke *packet,
                        struct javm_nub_result *result)
{
    struct javm_error err;
    struct javm_nub_result made;
    const enum javm_status status = invoke(state, packet, &made, &err);
    if (status != JAVM_OK)
        made = (struct javm_nub_result){.exit_reason = JAVM_NUB_EXIT_TRAP,
                                        .exit_arg = JAVM_NUB_E_OF(status)};
    *result = made;
}

/* ---- the table -------------------------------------------------------------------------- */

static void fn_smoke(struct executor *e, const uint8_t *payload, struct nub_answer *answer)
{
    const uint64_t value = JAVM_NUB_SMOKE_ANSWER;
    (void)e;
    (void)payload;
    nub_answer_put(answer, &value, sizeof value);
}

static void fn_heap_stats(struct executor *e, const uint8_t *payload, struct nub_answer *answer)
{
    struct javm_directory_stats caps;
    (void)payload;
    javm_directory_stats(e->thread, &caps);
    struct javm_nub_heap_stats stats = {.allocated_bytes = caps.blob_bytes + caps.instance_bytes,
                                        .allocations = caps.blobs + caps.instances,
                                        .fragments = mallinfo2().ordblks};
    if (e->memory_bytes > stats.allocated_bytes)
        stats.available_bytes = e->memory_bytes - stats.allocated_bytes;
    nub_answer_put(answer, &stats, sizeof stats);
}

static void fn_invoke_cached(struct executor *e, const uint8_t *payload, struct nub_answer *answer)
{
    struct javm_nub_invoke packet;
    struct javm_nub_result result;
    memcpy(&packet, payload, sizeof packet);
    const enum javm_status status = invoke(e, &packet, &result, &answer->err);
    if (status != JAVM_OK)
        nub_answer_fail(answer, status);
    else
        nub_answer_put(answer, &result, sizeof result);
}

static void fn_put_cap(struct executor *e, const uint8_t *payload, size_t len,
                       struct nub_answer *answer)
{
    struct javm_nub_wire wire;
    struct javm_hash hash;
    enum javm_status status = javm_nub_decode_cap(payload, len, &wire, &answer->err);
    if (status == JAVM_OK)
        status = nub_publish(e->thread, &wire, &hash, &answer->err);
    javm_nub_wire_clear(&wire);
    if (status != JAVM_OK)
        nub_answer_fail(answer, status);
    else
        nub_answer_put(answer, &hash, sizeof hash);
}

static void fn_boot_info(struct executor *e, const uint8_t *payload, struct nub_answer *answer)
{
    (void)payload;
    nub_answer_put(answer, &e->region->head->boot, sizeof e->region->head->boot);
}

static void fn_evict(struct executor *e, const uint8_t *payload, struct nub_answer *answer)
{
    (void)payload;
    (void)answer;
    javm_vm_flush(e->vm);
    if (e->jit != NULL)
        javm_jit_forget(e->jit);
}

static void fn_worker(struct executor *e, const uint8_t *payload, struct nub_answer *answer)
{
    uint32_t lane;
    memcpy(&lane, payload, sizeof lane);
    if (!nub_serve_lane(e->region, &e->service, lane))
        answer->error = JAVM_NUB_E_NO_LANE;
}

static const struct {
    void (*fn)(struct executor *e, const uint8_t *payload, struct nub_answer *answer);
    size_t len;
} TABLE[JAVM_NUB_FN_TABLE_SIZE] = {
    [JAVM_NUB_SMOKE] = {fn_smoke, 0},
    [JAVM_NUB_HEAP_STATS] = {fn_heap_stats, 0},
    [JAVM_NUB_INVOKE_CACHED] = {fn_invoke_cached, sizeof(struct javm_nub_invoke)},
    [JAVM_NUB_GET_BOOT_INFO] = {fn_boot_info, 0},
    [JAVM_NUB_EVICT_JIT_ALL] = {fn_evict, 0},
    [JAVM_NUB_INVOKE_WORKER] = {fn_worker, sizeof(uint32_t)},
};

static void call(void *state, uint32_t fn, const uint8_t *payload, size_t len,
                 struct nub_answer *answer)
{
    if (fn == JAVM_NUB_PUT_CAP)
        fn_put_cap(state, payload, len, answer);
    else if (fn >= JAVM_NUB_FN_TABLE_SIZE || TABLE[fn].fn == NULL)
        answer->error = JAVM_NUB_E_NO_FUNCTION;
    else if (len != TABLE[fn].len)
        answer->error = JAVM_NUB_E_BAD_PAYLOAD;
    else
        TABLE[fn].fn(state, payload, answer);
}

/* ---- life ------------------------------------------------------------------------------- */

static void stop(void *state)
{
    struct executor *e = state;
    javm_vm_destroy(e->vm);
    javm_jit_destroy(e->jit);
    if (e->thread != NULL)
        javm_directory_leave(e->thread);
    if (e->dir != NULL)
        javm_directory_destroy(e->dir);
    free(e);
}

enum javm_status nub_executor_start(const void *arg, struct nub_region *region,
                                    struct nub_service *service, struct javm_error *err)
{
    const struct nub_executor_options *program = arg;
    const struct javm_nub_options *options = &program->options;
    struct executor *e = calloc(1, sizeof *e);
    if (e == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "executor: out of memory");
    *service = (struct nub_service){
        .state = e, .call = call, .invoke = lane_invoke, .stop = stop, .spins = 500};
    e->region = region;
    e->service = *service;
    e->memory_bytes = options->memory_bytes;
    /* Where another allocator serves the program, the first call sets this one up, with a system
     * call that is not to be had later. */
    (void)mallinfo2();
    enum javm_status status = javm_directory_create(1, 0, &e->dir, err);
    if (status == JAVM_OK && (e->thread = javm_directory_join(e->dir)) == NULL)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "executor: out of memory");
    if (status == JAVM_OK && options->engine == JAVM_ENGINE_JIT)
        status =
            javm_jit_create(&(struct javm_jit_options){.machine = program->machine}, &e->jit, err);
    if (e->jit != NULL)
        service->machine.used =
            javm_jit_machine(e->jit, &service->machine.vm, &service->machine.vcpu);
    const struct javm_vm_options vm_options = {
        .engine = options->engine, .gas_model = options->gas_model, .jit = e->jit};
    if (status == JAVM_OK)
        status = javm_vm_create(&vm_options, &e->vm, err);
    if (status != JAVM_OK) {
        stop(e);
        return status;
    }
    region->head->boot =
        (struct javm_nub_boot_info){.magic = JAVM_NUB_MAGIC,
                                    .directory_va = (uintptr_t)e->dir,
                                    .directory_type_id = JAVM_NUB_DIRECTORY_TYPE_ID,
                                    .guest_va_base = (uintptr_t)region->head};
    return JAVM_OK;
}
