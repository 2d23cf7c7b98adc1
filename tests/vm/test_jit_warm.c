/* Invocations of a program that ran before, by the recompiler: in a child that may do nothing but
 * compute, and in one that counts its page faults.
 *
 * Would catch: a system call or a page fault in every invocation, also of a guest in a memory of
 * its own after another one; code that is compiled, or memory that is allocated, once more. */
#include <criterion/criterion.h>

#include <linux/seccomp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/vm/jit_twin.h"
#include "tests/vm/prebuilt.h"

#define WARM_UPS 20u
#define TIMES    1000u

enum order { FIRST, SECOND, ALTERNATING, ORDERS };

struct both {
    struct world w;
    struct javm_call calls[2];
    uint64_t values[2], gas[2];
    struct javm_cap *scratchpad;
};

static void invoke(struct both *b, unsigned i)
{
    struct javm_call_result result;
    REQUIRE(javm_vm_invoke(b->w.vm, b->w.dir, &b->calls[i], &result, NULL) == JAVM_OK);
    REQUIRE(result.end == JAVM_END_HALT);
    b->values[i] = result.value;
    b->gas[i] = result.gas_used;
}

static void open_both(struct both *b, bool scratchpad)
{
    const struct javm_vm_options options = {.engine = JAVM_ENGINE_JIT};
    memset(b, 0, sizeof *b);
    world_open(&b->w, &options);
    b->calls[0] =
        (struct javm_call){.instance = prebuilt(b->w.dir, "nop"), .args = {7}, .gas = TWIN_PLENTY};
    b->calls[1] = (struct javm_call){
        .instance = prebuilt(b->w.dir, "blake2b"), .args = {600, 0, 2}, .gas = TWIN_PLENTY};
    if (scratchpad) { /* blake2b of what is in it, which it writes over */
        b->scratchpad = numbered_data(5, 4);
        b->calls[1].scratchpad = b->scratchpad;
        b->calls[1].args[0] = 0;
        b->calls[1].args[1] = 600;
    }
    for (unsigned i = 0; i < WARM_UPS; i++)
        invoke(b, i % 2);
}

static void close_both(struct both *b)
{
    javm_cap_release(b->scratchpad);
    world_close(&b->w);
}

/* Nothing here may end the process otherwise than by a signal if a result is wrong. */
static void run_many(struct both *b, enum order order)
{
    const uint64_t values[2] = {b->values[0], b->values[1]}, gas[2] = {b->gas[0], b->gas[1]};
    for (unsigned i = 0; i < TIMES; i++) {
        if (order != SECOND) {
            invoke(b, 0);
            REQUIRE(b->values[0] == values[0] && b->gas[0] == gas[0]);
        }
        if (order != FIRST) {
            invoke(b, 1);
            REQUIRE(b->values[1] == values[1] && b->gas[1] == gas[1]);
        }
    }
}

/* Only read, write, exit and the return from a signal handler are left. */
static void no_system_calls(struct both *b, enum order order)
{
    invoke(b, 0);
    invoke(b, 1);
    REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
    run_many(b, order);
    syscall(SYS_exit, 0); /* _exit would be exit_group */
}

static long faults(void)
{
    struct rusage usage;
    REQUIRE(getrusage(RUSAGE_SELF, &usage) == 0);
    return usage.ru_minflt + usage.ru_majflt;
}

static void no_page_faults(struct both *b, enum order order)
{
    run_many(b, order); /* the stack, tables and counters of the C library */
    const long before = faults();
    run_many(b, order);
    const long met = faults() - before;
    if (met != 0)
        fprintf(stderr, "%ld page faults\n", met);
    _exit(met == 0 ? 0 : 1);
}

static int in_child(void (*run)(struct both *b, enum order order), enum order order,
                    bool scratchpad)
{
    int status;
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        struct both b;
        open_both(&b, scratchpad);
        run(&b, order);
        _exit(2);
    }
    REQUIRE(waitpid(child, &status, 0) == child);
    return status;
}

static void each_order(void (*run)(struct both *b, enum order order))
{
    for (enum order order = FIRST; order < ORDERS; order++)
        for (unsigned scratchpad = 0; scratchpad < 2; scratchpad++) {
            const int status = in_child(run, order, scratchpad != 0);
            cr_expect_eq(status, 0, "order %d, scratchpad %u: status %x", (int)order, scratchpad,
                         (unsigned)status);
        }
}

static void one_system_call(struct both *b, enum order order)
{
    (void)order;
    REQUIRE(prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT) == 0);
    invoke(b, 0);
    javm_vm_flush(b->w.vm); /* the next one is not warm */
    invoke(b, 0);
    syscall(SYS_exit, 0);
}

Test(jit_warm, no_system_calls)
{
    if (SANITIZED) /* their allocators and checks make some */
        return;
    const int status = in_child(one_system_call, FIRST, false);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL); /* this test would see it */
    each_order(no_system_calls);
}

Test(jit_warm, no_page_faults)
{
    if (!SANITIZED)
        each_order(no_page_faults);
}

/* The same in any build: what is right stays right, and nothing is left behind. */
Test(jit_warm, results_stay_the_same)
{
    struct both b;
    open_both(&b, true);
    run_many(&b, ALTERNATING);
    close_both(&b);
}
