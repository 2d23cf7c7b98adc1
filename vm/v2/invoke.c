/* An invocation: run the active VM to an exit, serve it, until it is over. */
#include <assert.h>
#include <stdlib.h>
#include <time.h>

#include "vm/v2/v2.h"

#define MEMORY_PAGES_MAX (1u << 18)
#define CACHE_BYTES      (UINT64_C(256) << 20)
/* Engines look at the clock when they run for long; here it is for VMs that do nothing but ecalls.
 */
#define EXITS_PER_LOOK   64u

enum javm_status javm_v2_create(const struct javm_v2_options *options, struct javm_v2 **out,
                                struct javm_error *err)
{
    static const struct javm_v2_options defaults;
    const struct javm_v2_options *o = options != NULL ? options : &defaults;
    if (!javm_engine_available(o->engine))
        return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "JAR v2: this engine is not in this build");
    struct javm_v2 *v2 = calloc(1, sizeof *v2);
    if (v2 == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "JAR v2: out of memory");
    v2->engine = v2->exec.engine = o->engine;
    v2->active = V2_NOBODY;
    v2->max_memory_pages = o->max_memory_pages != 0 ? o->max_memory_pages : MEMORY_PAGES_MAX;
    v2->cache = v2_cache_create(o->program_cache_bytes != 0 ? o->program_cache_bytes : CACHE_BYTES);
    enum javm_status status =
        v2->cache != NULL ? v2_windows_init(v2, err)
                          : javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "JAR v2: out of memory");
    v2->jit = o->jit;
    if (status == JAVM_OK && o->engine == JAVM_ENGINE_JIT && o->jit == NULL) {
        v2->owns_jit = true;
        status = javm_jit_create(NULL, &v2->jit, err);
    }
    if (status != JAVM_OK)
        javm_v2_destroy(v2);
    else
        *out = v2;
    return status;
}

void javm_v2_destroy(struct javm_v2 *v2)
{
    if (v2 == NULL)
        return;
    v2_cache_destroy(v2->cache);
    if (v2->owns_jit && v2->jit != NULL)
        javm_jit_destroy(v2->jit);
    v2_tables_free(v2);
    v2_store_free(&v2->store);
    v2_windows_free(v2);
    javm_v2_blob_release(v2->blob);
    free(v2);
}

static bool too_late(struct javm_v2 *v2, uint64_t deadline_ns)
{
    struct timespec now;
    if (deadline_ns == 0 || ++v2->exits < EXITS_PER_LOOK)
        return false;
    v2->exits = 0;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec >= deadline_ns;
}

/* An ecall, that `outcome` says the end of. */
static void settle(struct javm_v2 *v2, enum v2_outcome outcome)
{
    if (outcome == V2_REFUSED) {
        v2->exec.regs[7] = JAVM_V2_WHAT;
    } else if (outcome == V2_UNPAID) {
        v2->exec.pc = v2->exec.exit_pc; /* RESUME repeats it */
        v2_end(v2, V2_GAS);
    }
}

static void step(struct javm_v2 *v2, uint64_t deadline_ns)
{
    struct javm_exec *exec = &v2->exec;
    const uint64_t before = exec->gas;
    javm_exec_run(exec, deadline_ns);
    if (exec->failed) {
        v2->nomem = true;
        return;
    }
    v2->charged += before - exec->gas;
    switch (exec->exit) {
    case JAVM_EXIT_HOST_CALL:
        settle(v2, v2_ecalli(v2, (uint32_t)exec->exit_arg));
        break;
    case JAVM_EXIT_ECALL_JAR:
        settle(v2, v2_ecall(v2));
        break;
    case JAVM_EXIT_OUT_OF_GAS:
        v2_end(v2, V2_GAS);
        break;
    case JAVM_EXIT_TRAP:
        v2_end(v2, V2_TRAP);
        break;
    case JAVM_EXIT_PANIC:
        v2_end(v2, V2_PANIC);
        break;
    case JAVM_EXIT_PAGE_FAULT:
        v2_end(v2, V2_FAULT);
        break;
    case JAVM_EXIT_HALT:
        v2_end(v2, V2_HALT);
        break;
    case JAVM_EXIT_NONE:
        v2_over(v2, JAVM_V2_END_TIMEOUT);
        return;
    }
    if (!v2->over && !v2->nomem && too_late(v2, deadline_ns))
        v2_over(v2, JAVM_V2_END_TIMEOUT);
}

/* No gas came from nowhere, and none went there. */
static bool gas_is_conserved(const struct javm_v2 *v2, uint64_t start)
{
    uint64_t sum = v2->charged + v2->exec.gas;
    for (uint32_t i = 0; i < v2->vm_count; i++)
        sum += i != v2->active ? v2->vms[i].gas : 0;
    return sum == start;
}

enum javm_status javm_v2_invoke(struct javm_v2 *v2, struct javm_v2_blob *blob,
                                const struct javm_v2_invocation *invocation,
                                struct javm_v2_result *result, struct javm_error *err)
{
    v2->host = invocation->host;
    v2->nomem = false;
    if (v2_begin(v2, blob, invocation) == JAVM_V2_ACCEPTED) {
        while (!v2->over && !v2->nomem)
            step(v2, invocation->deadline_ns);
        v2_windows_end(v2);
    }
    if (v2->nomem) {
        v2->active = V2_NOBODY;
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "JAR v2: out of memory");
    }
    assert(!v2->over || gas_is_conserved(v2, invocation->gas));
    (void)gas_is_conserved;
    v2->result.vms = v2->vm_count;
    *result = v2->result;
    return JAVM_OK;
}
