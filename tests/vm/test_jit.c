/* The recompiler's code between threads and with the system: one native for all who meet it, faults
 * everywhere at once, GS, mappings.
 *
 * Would catch: a region compiled twice, or published half; a fault that is taken for another
 * thread's; a thread that leaves its signal stack behind; GS that stays the guest's after a run; an
 * address that is writable and executable. */
#include <criterion/criterion.h>

#include <asm/prctl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "guest/native/guest_vm.h"
#include "tests/vm/jit_twin.h"

TestSuite(jit, .fini = twin_no_leaks);

#define THREADS 8u
#define RET     JALR(0, 1, 0)

static const struct javm_program_key plain_key;

static struct javm_jit *new_jit(void)
{
    struct javm_jit *jit;
    REQUIRE(javm_jit_create(NULL, &jit, NULL) == JAVM_OK);
    return jit;
}

static struct javm_native *open_code(struct javm_jit *jit, const struct code *code)
{
    struct javm_native *native;
    REQUIRE(javm_native_open(jit, NULL, (const uint8_t *)code->at, code_here(code), &plain_key,
                             NULL, &native, NULL) == JAVM_OK);
    return native;
}

static void in_threads(void *(*run)(void *), void *argument)
{
    pthread_t threads[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, run, argument) == 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

/* ---- one native, many threads ----------------------------------------------------------- */

#define FUNCTIONS 200u

/* Functions that each call one before them, behind a branch, and have a loop; what enters at
 * `begin` calls them all, the last one first. */
struct many {
    struct code code;
    uint32_t begin, functions[FUNCTIONS];
};

static void write_many(struct many *p)
{
    struct code *c = &p->code;
    c->n = 0;
    emit(c, TRAP);
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        p->functions[i] = emit_start(c);
        emit(c, ADDI(2, 2, -8));
        emit(c, SD(1, 0, 2));
        emit(c, ADDI(5, 0, 3));
        const uint32_t loop = emit_start(c);
        emit(c, ADD(12, 12, 5));
        emit(c, op(PVM2_XORI, 12, 12, 0, (int32_t)i));
        emit(c, ADDI(5, 5, -1));
        emit_bne(c, 5, 0, loop);
        if (i != 0 && i % 7 != 0)
            emit_jal(c, 1, p->functions[i / 2]);
        emit(c, LD(1, 0, 2));
        emit(c, ADDI(2, 2, 8));
        emit(c, RET);
    }
    p->begin = code_here(c);
    for (uint32_t i = FUNCTIONS; i-- != 0;)
        emit_jal(c, 1, p->functions[i]);
    emit(c, REPLY);
}

static const struct javm_region few_pages = {.first_page = RW_BASE >> JAVM_PAGE_SHIFT,
                                             .pages = 4,
                                             .kind = JAVM_REGION_ZERO,
                                             .writable = true};

struct meeting {
    const struct many *program;
    struct javm_native *native;
    pthread_barrier_t barrier;
    uint32_t pcs[THREADS]; /* where each one enters */
    atomic_uint arrived;
    struct javm_exec ends[THREADS];
};

static void enter_many(struct javm_exec *exec, uint32_t pc)
{
    memset(exec->regs, 0, sizeof exec->regs);
    exec->regs[slot_of(1)] = JAVM_CODE_BASE; /* a function that was entered returns to the trap */
    exec->regs[slot_of(2)] = RW_BASE + 4 * JAVM_PAGE_SIZE;
    exec->pc = pc;
    exec->gas = TWIN_PLENTY;
}

static void *meet(void *argument)
{
    struct meeting *m = argument;
    const unsigned me = atomic_fetch_add(&m->arrived, 1);
    struct machine machine;
    machine_open(&machine, m->program->code.at, code_here(&m->program->code), &few_pages, 1);
    struct javm_exec *exec = &m->ends[me];
    *exec = (struct javm_exec){
        .memory = machine.memory, .native = m->native, .engine = JAVM_ENGINE_JIT};
    enter_many(exec, m->pcs[me]);
    pthread_barrier_wait(&m->barrier);
    javm_exec_run(exec, 0);
    exec->memory = NULL;
    machine_close(&machine);
    return NULL;
}

static void compare_stats(struct javm_jit *a, struct javm_jit *b)
{
    struct javm_jit_stats x, y;
    javm_jit_stats(a, &x);
    javm_jit_stats(b, &y);
    cr_assert_gt(x.regions, 0);
    cr_assert_eq(x.regions, y.regions);
    cr_assert_eq(x.compiled_bytes, y.compiled_bytes);
    cr_assert_eq(x.code_bytes, y.code_bytes);
    cr_assert_eq(x.programs, y.programs);
}

/* All enter at one place, or each at a function of its own and in another order each time. */
static void check_meeting(const struct many *program, bool apart, struct random *random)
{
    static struct meeting m;
    struct twin t;
    struct javm_jit *const jit = new_jit();
    m.program = program;
    m.native = open_code(jit, &program->code);
    atomic_store(&m.arrived, 0);
    pthread_barrier_init(&m.barrier, NULL, THREADS);
    for (unsigned i = 0; i < THREADS; i++)
        m.pcs[i] = apart ? program->functions[random_below(random, FUNCTIONS)] : program->begin;
    in_threads(meet, &m);
    twin_open(&t, program->code.at, code_here(&program->code), &few_pages, 1, NULL);
    for (unsigned i = 0; i < THREADS; i++) {
        javm_memory_reset(t.m.memory);
        javm_memory_reset(t.memory);
        enter_many(&t.m.exec, m.pcs[i]);
        enter_many(&t.native, m.pcs[i]);
        twin_run(&t);
        REQUIRE(m.ends[i].exit == t.native.exit && m.ends[i].pc == t.native.pc);
        REQUIRE(m.ends[i].gas == t.native.gas);
        REQUIRE(memcmp(m.ends[i].regs, t.native.regs, sizeof t.native.regs) == 0);
    }
    compare_stats(jit, t.jit);
    twin_close(&t);
    pthread_barrier_destroy(&m.barrier);
    javm_native_close(m.native);
    javm_jit_destroy(jit);
}

Test(jit, threads_compile_each_region_once)
{
    static struct many program;
    struct random random = {1};
    write_many(&program);
    for (unsigned round = 0; round < 40 * stress_factor(); round++)
        check_meeting(&program, round % 2 != 0, &random);
}

/* The signature guests, through a Vm per thread; a name is opened by all at once. */

struct guests {
    struct javm_jit *jit;
    pthread_barrier_t barrier;
};

static const char *const signature_guests[] = {"secp256k1", "ed25519"};

static void run_signatures(struct guest_vm *vm)
{
    for (size_t k = 0; k < CODE(signature_guests); k++) {
        const struct guest_native *twin = guest_native_find(signature_guests[k]);
        struct javm_call_result result;
        struct javm_error err = {.text = ""};
        REQUIRE(guest_vm_invoke(vm, (size_t)(twin - guest_natives), twin->demo, TWIN_PLENTY, NULL,
                                &result, &err) == JAVM_OK);
        REQUIRE(result.end == JAVM_END_HALT && result.value != 0);
        javm_call_result_clear(&result);
    }
}

static void *meet_signatures(void *argument)
{
    struct guests *g = argument;
    const struct javm_vm_options options = {.engine = JAVM_ENGINE_JIT, .jit = g->jit};
    struct guest_vm *vm = guest_vm_open(JAVM_SOURCE "/guest/prebuilt", &options);
    REQUIRE(vm != NULL);
    pthread_barrier_wait(&g->barrier);
    run_signatures(vm);
    pthread_barrier_wait(&g->barrier);
    run_signatures(vm);
    guest_vm_close(vm);
    return NULL;
}

Test(jit, guests_are_compiled_once_for_all_threads)
{
    struct javm_jit *const alone = new_jit();
    const struct javm_vm_options options = {.engine = JAVM_ENGINE_JIT, .jit = alone};
    struct guest_vm *vm = guest_vm_open(JAVM_SOURCE "/guest/prebuilt", &options);
    REQUIRE(vm != NULL);
    run_signatures(vm);
    guest_vm_close(vm);
    for (unsigned round = 0; round < 2 * stress_factor(); round++) {
        struct guests g = {.jit = new_jit()};
        pthread_barrier_init(&g.barrier, NULL, THREADS);
        in_threads(meet_signatures, &g);
        compare_stats(g.jit, alone);
        pthread_barrier_destroy(&g.barrier);
        javm_jit_destroy(g.jit);
    }
    javm_jit_destroy(alone);
}

/* ---- faults ----------------------------------------------------------------------------- */

#define SWEEP_PAGES 1024u
#define STRIDE      3u /* pages: neighbours are not opened along */

/* Adds x13 to what is at x10, and so on x11 times, x12 bytes further each time. */
static struct code sweep;

static void write_sweep(void)
{
    sweep.n = 0;
    emit(&sweep, LD(5, 0, 10));
    emit(&sweep, ADD(5, 5, 13));
    emit(&sweep, SD(5, 0, 10));
    emit(&sweep, ADD(10, 10, 12));
    emit(&sweep, ADDI(11, 11, -1));
    emit_bne(&sweep, 11, 0, 0);
    emit(&sweep, REPLY);
}

static const struct javm_region sweep_region = {.first_page = RW_BASE >> JAVM_PAGE_SHIFT,
                                                .pages = SWEEP_PAGES,
                                                .kind = JAVM_REGION_ZERO,
                                                .writable = true};

struct faults {
    struct javm_native *native;
    uint64_t until_ns;
    atomic_uint arrived;
    atomic_uint_fast64_t sweeps;
};

static void set_sweep(struct javm_exec *exec, uint32_t address, uint32_t count, uint64_t add)
{
    memset(exec->regs, 0, sizeof exec->regs);
    exec->regs[slot_of(10)] = address;
    exec->regs[slot_of(11)] = count;
    exec->regs[slot_of(12)] = STRIDE * JAVM_PAGE_SIZE;
    exec->regs[slot_of(13)] = add;
    exec->pc = 0;
    exec->gas = TWIN_PLENTY;
}

/* Every first touch is a fault, and the last access of every other sweep is one that stays. */
static void *keep_faulting(void *argument)
{
    struct faults *f = argument;
    const uint32_t count = SWEEP_PAGES / STRIDE;
    const unsigned me = atomic_fetch_add(&f->arrived, 1);
    struct machine m;
    machine_open(&m, sweep.at, code_here(&sweep), &sweep_region, 1);
    m.exec.native = f->native;
    m.exec.engine = JAVM_ENGINE_JIT;
    for (uint64_t i = 1; i <= 4 || now_ns() < f->until_ns; i++) {
        const uint64_t add = me * 1000003u + i;
        const bool beyond = (i + me) % 2 != 0;
        REQUIRE(javm_memory_attach(m.memory, m.regions, m.region_count) == JAVM_OK);
        set_sweep(&m.exec, RW_BASE + 8 * me, count + (beyond ? 2 : 0), add);
        javm_exec_run(&m.exec, 0);
        REQUIRE(m.exec.exit == (beyond ? JAVM_EXIT_PAGE_FAULT : JAVM_EXIT_HOST_CALL));
        REQUIRE(!beyond ||
                m.exec.fault_addr == RW_BASE + 8 * me + (count + 1) * STRIDE * JAVM_PAGE_SIZE);
        for (uint32_t k = 0; k < count; k++) {
            uint64_t value;
            REQUIRE(javm_memory_read(m.memory, RW_BASE + 8 * me + k * STRIDE * JAVM_PAGE_SIZE,
                                     &value, sizeof value));
            REQUIRE(value == add);
        }
        atomic_fetch_add_explicit(&f->sweeps, 1, memory_order_relaxed);
    }
    machine_close(&m);
    return NULL;
}

static struct javm_native *open_sweep(struct javm_jit *jit)
{
    write_sweep();
    return open_code(jit, &sweep);
}

Test(jit, threads_that_fault_all_the_time)
{
    struct javm_jit *const jit = new_jit();
    struct faults f = {.native = open_sweep(jit),
                       .until_ns = now_ns() + stress_factor() * UINT64_C(1000000000)};
    in_threads(keep_faulting, &f);
    cr_assert_geq(atomic_load(&f.sweeps), 4 * THREADS);
    javm_native_close(f.native);
    javm_jit_destroy(jit);
}

/* ---- threads that come and go ----------------------------------------------------------- */

static void *fault_once(void *argument)
{
    struct machine m;
    machine_open(&m, sweep.at, code_here(&sweep), &sweep_region, 1);
    m.exec.native = argument;
    m.exec.engine = JAVM_ENGINE_JIT;
    set_sweep(&m.exec, RW_BASE, 2, 1);
    javm_exec_run(&m.exec, 0);
    REQUIRE(m.exec.exit == JAVM_EXIT_HOST_CALL);
    machine_close(&m);
    return NULL;
}

/* Calls visit for each mapping of the process. */
static void each_mapping(void (*visit)(void *context, const char *access), void *context)
{
    char line[512], access[8];
    FILE *maps = fopen("/proc/self/maps", "r");
    REQUIRE(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        REQUIRE(sscanf(line, "%*s %7s", access) == 1);
        visit(context, access);
    }
    fclose(maps);
}

static void count_mapping(void *context, const char *access)
{
    (void)access;
    ++*(unsigned *)context;
}

Test(jit, threads_take_their_signal_stacks_with_them)
{
    struct javm_jit *const jit = new_jit();
    struct javm_native *const native = open_sweep(jit);
    unsigned before = 0, after = 0;
    in_threads(fault_once, native);
    each_mapping(count_mapping, &before);
    for (unsigned i = 0; i < 25; i++)
        in_threads(fault_once, native);
    each_mapping(count_mapping, &after);
    cr_expect_lt(after, before + 50, "%u mappings before, %u after", before, after);
    javm_native_close(native);
    javm_jit_destroy(jit);
}

/* ---- GS --------------------------------------------------------------------------------- */

static uint64_t gs_base(void)
{
    uint64_t base = 0;
    REQUIRE(syscall(SYS_arch_prctl, ARCH_GET_GS, &base) == 0);
    return base;
}

/* Deeper than the stack of return addresses, which is a fault too: x10 calls without a return. */
static struct code deep;

static void *check_gs(void *argument)
{
    static const uint64_t places[] = {0, 0x1000, UINT64_C(0x7FFFFFFFE000),
                                      UINT64_C(0x123456789AB8)};
    struct javm_native *native = argument;
    struct twin t;
    twin_open(&t, deep.at, code_here(&deep), NULL, 0, NULL);
    struct machine m;
    machine_open(&m, sweep.at, code_here(&sweep), &sweep_region, 1);
    m.exec.native = native;
    m.exec.engine = JAVM_ENGINE_JIT;
    for (size_t i = 0; i < CODE(places); i++) {
        REQUIRE(syscall(SYS_arch_prctl, ARCH_SET_GS, places[i]) == 0);
        set_sweep(&m.exec, RW_BASE, 3, 1);
        javm_exec_run(&m.exec, 0);
        REQUIRE(m.exec.exit == JAVM_EXIT_HOST_CALL && gs_base() == places[i]);
        set_sweep(&m.exec, 8, 3, 1);
        javm_exec_run(&m.exec, 0);
        REQUIRE(m.exec.exit == JAVM_EXIT_PAGE_FAULT && gs_base() == places[i]);
        set_sweep(&m.exec, RW_BASE, 3, 1);
        m.exec.gas = 30;
        javm_exec_run(&m.exec, 0);
        REQUIRE(m.exec.exit == JAVM_EXIT_OUT_OF_GAS && gs_base() == places[i]);
        uint64_t regs[JAVM_NUM_SLOTS] = {0};
        regs[slot_of(10)] = 100000;
        REQUIRE(twin_check(&t, 0, regs, TWIN_PLENTY) == JAVM_EXIT_HOST_CALL);
        REQUIRE(gs_base() == places[i]);
        javm_memory_reset(m.memory);
    }
    REQUIRE(syscall(SYS_arch_prctl, ARCH_SET_GS, 0) == 0);
    machine_close(&m);
    twin_close(&t);
    return NULL;
}

Test(jit, gs_is_the_callers_again)
{
    struct javm_jit *const jit = new_jit();
    struct javm_native *const native = open_sweep(jit);
    deep.n = 0;
    const uint32_t loop = emit_start(&deep);
    emit(&deep, JAL(1, 4));
    emit(&deep, ADDI(10, 10, -1));
    emit_bne(&deep, 10, 0, loop);
    emit(&deep, REPLY);
    check_gs(native);
    in_threads(check_gs, native);
    javm_native_close(native);
    javm_jit_destroy(jit);
}

/* ---- W^X -------------------------------------------------------------------------------- */

static void check_access(void *context, const char *access)
{
    unsigned *executable = context;
    REQUIRE(!(access[1] == 'w' && access[2] == 'x'));
    *executable += access[2] == 'x' && access[3] == 's';
}

struct watch {
    atomic_bool stop;
    atomic_uint looks;
};

static void *watch_mappings(void *argument)
{
    struct watch *w = argument;
    while (!atomic_load(&w->stop)) {
        unsigned executable = 0;
        each_mapping(check_access, &executable);
        atomic_fetch_add(&w->looks, 1);
    }
    return NULL;
}

Test(jit, nothing_is_writable_and_executable)
{
    static struct many program;
    struct watch w = {.stop = false};
    struct random random = {2};
    pthread_t watcher;
    unsigned executable = 0;
    write_many(&program);
    REQUIRE(pthread_create(&watcher, NULL, watch_mappings, &w) == 0);
    for (unsigned round = 0; round < 5 || atomic_load(&w.looks) < 20; round++)
        check_meeting(&program, false, &random);
    atomic_store(&w.stop, true);
    pthread_join(watcher, NULL);
    struct javm_jit *const jit = new_jit();
    struct javm_native *const native = open_code(jit, &program.code);
    REQUIRE(javm_native_compile(native, NULL) == JAVM_OK);
    each_mapping(check_access, &executable);
    cr_assert_eq(executable, 1); /* the arena was seen */
    javm_native_close(native);
    javm_jit_destroy(jit);
}
