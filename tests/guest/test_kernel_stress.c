/* Several workers run orchestrators, authorities and chains of a thousand copies at the same time,
 * in one directory and with one recompiler, while another thread sweeps: every job gives what it
 * gives alone, and at the end no live entry is left.
 *
 * Would catch: state that two Vms share without saying so (native code, hashes that are remembered
 * in caps, counts); a sweep that takes what a running invocation has; a stack, a memory or a count
 * that is lost at depth. Under the thread sanitizer it finds races. */
#include <stdatomic.h>

#include "tests/guest/kernel_samples.h"

enum { WORKERS = 4 };

struct job {
    struct javm_hash instance;
    uint64_t args[4];
    uint64_t value, gas; /* what it gives alone */
    struct javm_hash post;
};
enum { ORCHESTRATOR, AUTHORITY, KEEPER, CHAIN_JOB, JOBS };
static struct job jobs[JOBS];
static const unsigned job_counts[JOBS] = {200, 40, 40, 3};

static struct javm_jit *shared_jit;
static atomic_bool done;

static void do_job(struct javm_vm *vm, struct javm_dir_thread *dir, const struct job *job,
                   struct javm_call_result *r)
{
    struct javm_call call = {.instance = job->instance, .gas = UINT64_MAX / 2, .want_post = true};
    struct javm_error e = {.text = ""};
    memcpy(call.args, job->args, sizeof call.args);
    if (javm_vm_invoke(vm, dir, &call, r, &e) != JAVM_OK)
        fprintf(stderr, "%s\n", e.text);
    REQUIRE(r->end == JAVM_END_HALT);
}

static void *work(void *context)
{
    struct javm_dir_thread *dir = javm_directory_join(context);
    const struct javm_vm_options options = {
        .engine = engine, .jit = shared_jit, .max_depth = DEEP + 1};
    struct javm_vm *vm;
    REQUIRE(dir != NULL && javm_vm_create(&options, &vm, NULL) == JAVM_OK);
    for (unsigned round = 0; round < stress_factor(); round++) {
        for (unsigned n = 0; n < 200; n++) {
            for (unsigned kind = 0; kind < JOBS; kind++) {
                struct javm_call_result r;
                struct javm_hash post;
                if (n >= job_counts[kind])
                    continue;
                do_job(vm, dir, &jobs[kind], &r);
                REQUIRE(r.value == jobs[kind].value && r.gas_used == jobs[kind].gas);
                REQUIRE(javm_cap_hash(r.post_instance, &post) == JAVM_OK);
                REQUIRE(javm_hash_equal(&post, &jobs[kind].post));
                javm_call_result_clear(&r);
            }
        }
    }
    javm_vm_destroy(vm);
    javm_directory_leave(dir);
    return NULL;
}

static void *sweep(void *context)
{
    struct javm_dir_thread *dir = javm_directory_join(context);
    REQUIRE(dir != NULL);
    while (!atomic_load(&done))
        javm_directory_sweep(dir);
    javm_directory_leave(dir);
    return NULL;
}

static void stress(void)
{
    pthread_t workers[WORKERS], sweeper;
    jobs[ORCHESTRATOR] = (struct job){.instance = new_orchestrator(), .args = {20, 900, 500, 5000}};
    jobs[AUTHORITY] = (struct job){.instance = new_authority(), .args = {8000, 3, 2, 2500}};
    jobs[KEEPER] = (struct job){.instance = new_keeper(), .args = {60, 25, 9}};
    jobs[CHAIN_JOB] = (struct job){.instance = new_spawner(), .args = {DEEP}};
    for (unsigned kind = 0; kind < JOBS; kind++) {
        do_job(w.vm, w.dir, &jobs[kind], &result);
        jobs[kind].value = result.value;
        jobs[kind].gas = result.gas_used;
        REQUIRE(javm_cap_hash(result.post_instance, &jobs[kind].post) == JAVM_OK);
        javm_call_result_clear(&result);
    }
    REQUIRE(jobs[CHAIN_JOB].value == DEEP);
    /* Its memories are not in the way when the workers make theirs. */
    javm_vm_destroy(w.vm);
    w.vm = NULL;
    atomic_store(&done, false);
    REQUIRE(pthread_create(&sweeper, NULL, sweep, w.directory) == 0);
    for (unsigned i = 0; i < WORKERS; i++)
        REQUIRE(pthread_create(&workers[i], NULL, work, w.directory) == 0);
    for (unsigned i = 0; i < WORKERS; i++)
        REQUIRE(pthread_join(workers[i], NULL) == 0);
    atomic_store(&done, true);
    REQUIRE(pthread_join(sweeper, NULL) == 0);
    REQUIRE(javm_directory_sweep(w.dir) == 0);
}

Test(kernel_stress, workers)
{
    for (engine = JAVM_ENGINE_INTERP; engine <= JAVM_ENGINE_JIT; engine++) {
        if (!javm_engine_available(engine))
            continue;
        if (engine == JAVM_ENGINE_JIT)
            REQUIRE(javm_jit_create(NULL, &shared_jit, NULL) == JAVM_OK);
        kernel_open(&(struct javm_vm_options){.jit = shared_jit, .max_depth = DEEP + 1});
        stress();
        javm_jit_destroy(shared_jit);
        shared_jit = NULL;
        kernel_close();
    }
}
