/* Running an execution to its next exit: engine choice, deadline slices, ecall floors. */
#include <time.h>

#include "vm/exec.h"
#include "vm/interp.h"
#include "vm/jit.h"
#include "vm/memory.h"
#include "vm/pvm.h"
#include "vm/pvm_exec.h"

/* With a deadline the gas is handed to the engine in slices, so that engines need no clock: some
 * ten microseconds of interpreted work, or, at two stores to new pages for a unit of gas, the time
 * in which the system can provide 40,000 pages. */
#define SLICE         UINT64_C(20000)
/* A machine is left at the end of each, which takes microseconds. More pages than a guest has
 * cannot be provided in it either. */
#define SLICE_MACHINE (100 * SLICE)

const char *javm_exit_name(enum javm_exit exit)
{
    static const char *const names[] = {"none", "host_call", "ecall_jar",  "out_of_gas",
                                        "trap", "panic",     "page_fault", "halt"};
    return (unsigned)exit < sizeof names / sizeof *names ? names[exit] : "unknown";
}

bool javm_engine_available(enum javm_engine engine)
{
#if defined(__x86_64__)
    return engine == JAVM_ENGINE_INTERP || engine == JAVM_ENGINE_JIT;
#else
    return engine == JAVM_ENGINE_INTERP;
#endif
}

static void run(struct javm_exec *exec)
{
#if defined(__x86_64__)
    if (exec->engine == JAVM_ENGINE_JIT) {
        jit_run(exec);
        return;
    }
#endif
    interp_run(exec);
}

static const struct front *exec_front(const struct javm_exec *exec)
{
#if defined(__x86_64__)
    if (exec->engine == JAVM_ENGINE_JIT)
        return &exec->native->front;
#endif
    return &exec->program->front;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static uint64_t usual_slice(const struct javm_exec *exec)
{
#if defined(__x86_64__)
    if (exec->engine == JAVM_ENGINE_JIT && exec->native->jit->machine != NULL)
        return SLICE_MACHINE;
#endif
    (void)exec;
    return SLICE;
}

/* True when the run came to an exit of its own, false at the deadline. */
static bool run_sliced(struct javm_exec *exec, uint64_t deadline_ns)
{
    const uint64_t usual = usual_slice(exec);
    uint64_t held = 0; /* gas kept back from the engine */
    uint64_t slice = usual;
    for (;;) {
        if (exec->gas > slice) {
            held += exec->gas - slice;
            exec->gas = slice;
        }
        const uint64_t given = exec->gas;
        run(exec);
        if (exec->failed)
            return true;
        const bool hungry = exec->exit == JAVM_EXIT_OUT_OF_GAS && held != 0;
        /* A block that costs more than a slice needs a larger one. */
        slice = hungry && exec->gas == given && slice <= UINT64_MAX / 2 ? slice * 2 : usual;
        exec->gas += held;
        held = 0;
        if (!hungry)
            return true;
        if (now_ns() >= deadline_ns)
            return false;
    }
}

/* False at the deadline. */
static bool run_until(struct javm_exec *exec, uint64_t deadline_ns)
{
    if (deadline_ns == 0) {
        run(exec);
    } else if (!run_sliced(exec, deadline_ns)) {
        exec->exit = JAVM_EXIT_NONE;
        return false;
    }
    exec->failed |= exec->memory->failed;
    return true;
}

void javm_exec_run(struct javm_exec *exec, uint64_t deadline_ns)
{
    const struct front *front = exec_front(exec);
    exec->failed = false;
    if (__builtin_expect(front_is_pvm(front), 0)) {
        if (pvm_exec_begin(exec, front) && run_until(exec, deadline_ns))
            pvm_exec_end(exec, front);
        return;
    }
    if (!run_until(exec, deadline_ns) ||
        (exec->exit != JAVM_EXIT_HOST_CALL && exec->exit != JAVM_EXIT_ECALL_JAR))
        return;
    const uint64_t floor = JAVM_HOST_CALL_FLOOR;
    _Static_assert(JAVM_HOST_CALL_FLOOR == JAVM_MANAGEMENT_FLOOR, "one floor serves both ecalls");
    if (exec->gas < floor) {
        exec->exit = JAVM_EXIT_OUT_OF_GAS;
        exec->exit_arg = 0;
        return;
    }
    exec->gas -= floor;
    exec->pc += 4; /* both ecalls are 4 bytes long */
}

void exec_undo_ecall(struct javm_exec *exec)
{
    const struct front *front = exec_front(exec);
    if (front_is_pvm(front)) { /* it was paid with its block, and whoever enters there pays it */
        exec->pc = pvm_before(front, exec->pc);
        exec->gas += front_run_at(front, exec->pc).cost;
        return;
    }
    exec->gas += JAVM_HOST_CALL_FLOOR;
    exec->pc -= 4;
}
