/* Where the recompiler comes to an end: blocks that are too large for it, an arena that is full,
 * memory that the system refuses, deadlines.
 *
 * The linker redirects malloc, calloc, realloc and mprotect to wrappers that can fail.
 *
 * Would catch: a result or gas that depends on whether there was room for native code; room that is
 * lost when a program is closed; a leak on the way out; a run that ends with a page fault or a
 * wrong value where memory ran out, or a Vm that is of no use afterwards; an endless loop that no
 * deadline stops. */
#include <criterion/criterion.h>

#include <errno.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/vm/jit_twin.h"

TestSuite(jit_limits, .fini = twin_no_leaks);

/* ---- calls that fail -------------------------------------------------------------------- */

/* Calls are counted down to 1, which fails; 0: none does. */
static struct countdown {
    unsigned left;
    bool for_good; /* it fails from then on */
    unsigned refused;
} allocations, protections;

void *__real_malloc(size_t size);
void *__real_calloc(size_t number, size_t size);
void *__real_realloc(void *old, size_t size);
int __real_mprotect(void *at, size_t len, int protection);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t number, size_t size);
void *__wrap_realloc(void *old, size_t size);
int __wrap_mprotect(void *at, size_t len, int protection);

static bool must_fail(struct countdown *c)
{
    if (c->left == 0 || (c->left > 1 && --c->left != 0))
        return false;
    c->left = c->for_good;
    c->refused++;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return must_fail(&allocations) ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t number, size_t size)
{
    return must_fail(&allocations) ? NULL : __real_calloc(number, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return must_fail(&allocations) ? NULL : __real_realloc(old, size);
}

int __wrap_mprotect(void *at, size_t len, int protection)
{
    if (!must_fail(&protections))
        return __real_mprotect(at, len, protection);
    errno = ENOMEM;
    return -1;
}

/* ---- programs --------------------------------------------------------------------------- */

static const struct javm_jit_options smallest = {.code_bytes = 1};

static const struct javm_region few_pages = {.first_page = RW_BASE >> JAVM_PAGE_SHIFT,
                                             .pages = 4,
                                             .kind = JAVM_REGION_ZERO,
                                             .writable = true};

#define FUNCTIONS 300u
#define RET       JALR(0, 1, 0)

static struct code many;

/* Functions with so many instructions that 64 KiB of native code are soon full; what enters at 0
 * calls them all, x10 times. `seed` makes programs different. */
static void write_many(uint32_t seed)
{
    static const uint8_t x[] = {1, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13, 14, 15};
    struct random random = {seed};
    uint32_t functions[FUNCTIONS];
    struct code *c = &many;
    c->n = 0;
    const uint32_t start = emit(c, 0);
    for (uint32_t i = 0; i < FUNCTIONS; i++) {
        functions[i] = emit_start(c);
        emit(c, ADDI(2, 2, -8));
        emit(c, SD(1, 0, 2));
        for (unsigned k = 0; k < 25; k++)
            emit(c, op(PVM2_MULH + (enum pvm2_op)random_below(&random, 8),
                       x[random_below(&random, 13)], x[random_below(&random, 13)],
                       x[random_below(&random, 13)], 0));
        emit(c, LD(1, 0, 2));
        emit(c, ADDI(2, 2, 8));
        emit(c, RET);
    }
    land_jal(c, start, 0);
    const uint32_t loop = emit_start(c);
    for (uint32_t i = 0; i < FUNCTIONS; i++)
        emit_jal(c, 1, functions[i * 7 % FUNCTIONS]);
    emit(c, ADDI(10, 10, -1));
    const uint32_t more = emit(c, 0);
    emit(c, REPLY);
    land_bne(c, more, 10, 0);
    emit_jal(c, 0, loop);
}

static void set_registers(uint64_t regs[JAVM_NUM_SLOTS], uint64_t x10)
{
    struct random random = {x10};
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        regs[i] = random_u64(&random);
    regs[slot_of(2)] = RW_BASE + 4 * JAVM_PAGE_SIZE;
    regs[slot_of(10)] = x10;
}

static struct javm_jit_stats stats_of(struct javm_jit *jit)
{
    struct javm_jit_stats stats;
    javm_jit_stats(jit, &stats);
    return stats;
}

/* ---- no room for native code ------------------------------------------------------------ */

/* One block of so many instructions that each need a lot of native code. */
static uint32_t *huge_block(uint32_t count)
{
    uint32_t *code = malloc((count + 1) * sizeof *code);
    REQUIRE(code != NULL);
    for (uint32_t i = 0; i < count; i++)
        code[i] = op(PVM2_MULH, 3, 4, 3, 0);
    code[count] = REPLY;
    return code;
}

static void check_block(uint32_t count, bool compiled)
{
    uint32_t *code = huge_block(count);
    struct twin t;
    uint64_t regs[JAVM_NUM_SLOTS];
    twin_open(&t, code, (count + 1) * sizeof *code, NULL, 0, NULL);
    set_registers(regs, 3);
    cr_assert_eq(twin_check(&t, 0, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
    cr_assert_eq(stats_of(t.jit).regions != 0, compiled);
    twin_close(&t);
    free(code);
}

Test(jit_limits, large_blocks)
{
    check_block(10000, true);
    check_block(200000, true);
    check_block(650000, false); /* more than 64 MiB */
}

/* What was compiled before the block was met stays in use. */
Test(jit_limits, a_huge_block_among_others)
{
    enum { HUGE = 650000, BEFORE = 8 };
    uint32_t *block = huge_block(HUGE);
    uint32_t *code = malloc((HUGE + BEFORE + 1) * sizeof *code);
    struct twin t;
    uint64_t regs[JAVM_NUM_SLOTS];
    REQUIRE(code != NULL);
    code[0] = ADDI(12, 12, 1);
    code[1] = FALLTHROUGH;
    code[2] = ADDI(12, 12, 2);
    code[3] = BNE(10, 0, 8);
    code[4] = JAL(0, 4 * (BEFORE - 4));
    code[5] = ADDI(10, 10, -1);
    code[6] = BNE(10, 0, -4 * (6 - 2));
    code[7] = ECALLI(4);
    memcpy(code + BEFORE, block, (HUGE + 1) * sizeof *code);
    twin_open(&t, code, (HUGE + BEFORE + 1) * sizeof *code, NULL, 0, NULL);
    set_registers(regs, 3);
    cr_assert_eq(twin_check(&t, 20, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
    cr_assert_geq(stats_of(t.jit).regions, 1);
    set_registers(regs, 0);
    cr_assert_eq(twin_check(&t, 0, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
    cr_assert_eq(t.native.exit_arg, 0);
    set_registers(regs, 3);
    cr_assert_eq(twin_check(&t, 20, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
    cr_assert_eq(t.native.exit_arg, 4);
    twin_close(&t);
    free(code);
    free(block);
}

Test(jit_limits, an_arena_that_is_full_in_the_middle_of_a_run)
{
    struct twin t;
    uint64_t regs[JAVM_NUM_SLOTS];
    write_many(1);
    set_registers(regs, 20);
    twin_open(&t, many.at, code_here(&many), &few_pages, 1, NULL);
    cr_assert_eq(twin_check(&t, 0, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
    const struct javm_jit_stats whole = stats_of(t.jit);
    cr_assert_gt(whole.code_bytes, 200000);
    twin_close(&t);
    twin_open(&t, many.at, code_here(&many), &few_pages, 1, &smallest);
    cr_assert_eq(twin_check(&t, 0, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
    const struct javm_jit_stats part = stats_of(t.jit);
    cr_assert(part.regions > 10 && part.regions < whole.regions);
    cr_assert_leq(part.code_bytes, 65536);
    for (uint64_t pc = 0; pc < code_here(&many); pc += 388) /* into code of either kind */
        twin_check(&t, pc, regs, 100000);
    twin_close(&t);
}

static struct javm_native *open_code(struct javm_jit *jit, const struct code *code)
{
    static const struct javm_program_key key;
    struct javm_native *native;
    REQUIRE(javm_native_open(jit, NULL, (const uint8_t *)code->at, code_here(code), &key, NULL,
                             &native, NULL) == JAVM_OK);
    return native;
}

/* A second program in the same arena, and once more when the first one is closed. */
Test(jit_limits, room_comes_back)
{
    static struct code first;
    struct twin t, other;
    uint64_t regs[JAVM_NUM_SLOTS];
    set_registers(regs, 5);
    write_many(1);
    first = many;
    twin_open(&t, first.at, code_here(&first), &few_pages, 1, &smallest);
    cr_assert_eq(twin_check(&t, 0, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
    write_many(2);
    twin_open(&other, many.at, code_here(&many), &few_pages, 1, NULL);
    for (unsigned round = 0; round < 20; round++) {
        struct javm_native *const full = t.native.native;
        struct javm_native *const own = other.native.native;
        const uint64_t before = stats_of(t.jit).regions;
        cr_assert_gt(before, 0, "round %u", round);
        other.native.native = open_code(t.jit, &many);
        cr_assert_eq(twin_check(&other, 0, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
        cr_assert_leq(stats_of(t.jit).code_bytes, 65536);
        javm_native_close(full);
        javm_native_close(other.native.native);
        cr_assert_eq(stats_of(t.jit).regions, 0);
        other.native.native = own;
        t.native.native = open_code(t.jit, &first);
        cr_assert_eq(twin_check(&t, 0, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
    }
    twin_close(&other);
    twin_close(&t);
}

/* Programs with names are kept after closing, until somebody needs the room. */
Test(jit_limits, idle_programs_make_room)
{
    static const struct javm_program_key key;
    struct twin t;
    uint64_t regs[JAVM_NUM_SLOTS];
    set_registers(regs, 3);
    for (uint32_t i = 0; i < 20; i++) {
        const struct javm_hash name = {{(uint8_t)(i + 1)}};
        struct javm_native *native;
        write_many(100 + i);
        if (i == 0)
            twin_open(&t, many.at, code_here(&many), &few_pages, 1, &smallest);
        javm_program_free(t.m.program);
        REQUIRE(javm_program_decode_pvm2((const uint8_t *)many.at, code_here(&many), &key,
                                         &t.m.program, NULL) == JAVM_OK);
        t.m.exec.program = t.m.program;
        REQUIRE(javm_native_open(t.jit, &name, (const uint8_t *)many.at, code_here(&many), &key,
                                 NULL, &native, NULL) == JAVM_OK);
        struct javm_native *const own = t.native.native;
        t.native.native = native;
        cr_assert_eq(twin_check(&t, 0, regs, TWIN_PLENTY), JAVM_EXIT_HOST_CALL);
        t.native.native = own;
        cr_assert_gt(stats_of(t.jit).regions, 10, "program %u", i);
        javm_native_close(native);
    }
    twin_close(&t);
}

/* ---- no memory -------------------------------------------------------------------------- */

#define SWEPT  200u
#define STRIDE 3u /* pages */

struct swept {
    struct world w;
    struct javm_call call;
    uint64_t value, gas; /* what is right, from the interpreter */
};

/* Writes to SWEPT pages of a mapping and calls a function for each. */
static struct javm_hash publish_sweep(struct javm_dir_thread *dir)
{
    struct code *c = &many;
    c->n = 0;
    const uint32_t start = emit(c, 0);
    const uint32_t function = emit_start(c);
    emit(c, ADD(10, 10, 11));
    emit(c, SD(10, 0, 9));
    emit(c, RET);
    land_jal(c, start, 0);
    emit(c, LUI(9, RW_BASE));
    emit(c, LUI(8, STRIDE * JAVM_PAGE_SIZE));
    emit(c, ADDI(11, 0, SWEPT));
    const uint32_t loop = emit_start(c);
    emit_jal(c, 1, function);
    emit(c, ADD(9, 9, 8));
    emit(c, ADDI(11, 11, -1));
    emit_bne(c, 11, 0, loop);
    emit(c, REPLY);
    const struct javm_endpoint endpoint = {.index = 0};
    const struct javm_mapping mapping = {.start = RW_BASE, .size = SWEPT * STRIDE * JAVM_PAGE_SIZE};
    const struct javm_image image = {.isa = JAVM_ISA_PVM2,
                                     .code = (const uint8_t *)c->at,
                                     .code_len = code_here(c),
                                     .endpoints = &endpoint,
                                     .endpoint_count = 1,
                                     .mappings = &mapping,
                                     .mapping_count = 1};
    return publish_image(dir, &image);
}

/* NOMEM, or the right result. */
static bool refused_memory(struct swept *s)
{
    struct javm_call_result result;
    const enum javm_status status = javm_vm_invoke(s->w.vm, s->w.dir, &s->call, &result, NULL);
    if (status == JAVM_E_NOMEM) {
        REQUIRE(result.post_instance == NULL && result.slot0 == NULL);
        return true;
    }
    REQUIRE(status == JAVM_OK && result.end == JAVM_END_HALT);
    if (s->gas == 0) {
        s->value = result.value;
        s->gas = result.gas_used;
    }
    REQUIRE(result.value == s->value && result.gas_used == s->gas);
    javm_call_result_clear(&result);
    return false;
}

static void open_swept(struct swept *s, struct javm_jit *jit)
{
    struct javm_vm_options options = {.engine = JAVM_ENGINE_INTERP};
    memset(s, 0, sizeof *s);
    world_open(&s->w, &options);
    const struct javm_hash image = publish_sweep(s->w.dir);
    s->call = (struct javm_call){.instance = instantiate(s->w.dir, &image), .gas = TWIN_PLENTY};
    REQUIRE(!refused_memory(s));
    javm_vm_destroy(s->w.vm);
    options = (struct javm_vm_options){.engine = JAVM_ENGINE_JIT, .jit = jit};
    REQUIRE(javm_vm_create(&options, &s->w.vm, NULL) == JAVM_OK);
}

Test(jit_limits, the_system_refuses_pages)
{
    struct swept s;
    open_swept(&s, NULL);
    unsigned times = 0;
    for (unsigned call = 1; call < 2000; call += 1 + call / 10) {
        for (unsigned for_good = 0; for_good < 2; for_good++) {
            javm_vm_flush(s.w.vm);
            protections = (struct countdown){.left = call, .for_good = for_good != 0};
            const bool none = refused_memory(&s);
            cr_expect(!none || protections.refused != 0);
            cr_expect(none || protections.refused == 0 || !for_good);
            times += none;
            protections.left = 0;
            cr_expect_not(refused_memory(&s), "not usable after call %u", call);
        }
        if (protections.refused == 0)
            break;
    }
    cr_expect_gt(times, 10);
    world_close(&s.w);
}

static void without_data(void)
{
    struct swept s;
    struct rlimit limit;
    open_swept(&s, NULL);
    REQUIRE(getrlimit(RLIMIT_DATA, &limit) == 0);
    const struct rlimit none = {.rlim_cur = JAVM_PAGE_SIZE, /* 0 does not count */
                                .rlim_max = limit.rlim_max};
    for (unsigned round = 0; round < 3; round++) {
        javm_vm_flush(s.w.vm);
        REQUIRE(setrlimit(RLIMIT_DATA, &none) == 0);
        REQUIRE(refused_memory(&s));
        REQUIRE(setrlimit(RLIMIT_DATA, &limit) == 0);
        REQUIRE(!refused_memory(&s));
    }
    _exit(0);
}

Test(jit_limits, a_limit_on_data)
{
    int status = 0;
    if (SANITIZED) /* they map memory themselves */
        return;
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0)
        without_data();
    REQUIRE(waitpid(child, &status, 0) == child);
    cr_expect_eq(status, 0, "status %x", (unsigned)status);
}

/* Every allocation fails once, and every one from some place on. Where compiling gets none the
 * interpreter goes on; where that gets none either it is NOMEM. */
static unsigned refuse_allocations(const struct javm_jit_options *options, bool for_good)
{
    struct javm_jit *jit;
    struct swept s;
    unsigned times = 0;
    REQUIRE(javm_jit_create(options, &jit, NULL) == JAVM_OK);
    open_swept(&s, jit);
    for (unsigned call = 1;; call++) {
        struct javm_vm_options of_vm = {.engine = JAVM_ENGINE_JIT, .jit = jit};
        REQUIRE(call < 1000);
        javm_vm_destroy(s.w.vm);
        javm_jit_destroy(jit);
        REQUIRE(javm_jit_create(options, &jit, NULL) == JAVM_OK);
        of_vm.jit = jit;
        REQUIRE(javm_vm_create(&of_vm, &s.w.vm, NULL) == JAVM_OK);
        allocations = (struct countdown){.left = call, .for_good = for_good};
        const bool none = refused_memory(&s);
        allocations.left = 0;
        REQUIRE(!none || allocations.refused != 0);
        times += none;
        REQUIRE(!refused_memory(&s) && stats_of(jit).regions != 0);
        if (allocations.refused == 0)
            break;
    }
    javm_vm_destroy(s.w.vm);
    s.w.vm = NULL;
    javm_jit_destroy(jit);
    world_close(&s.w);
    return times;
}

Test(jit_limits, allocations_fail)
{
    cr_expect_gt(refuse_allocations(&smallest, false), 2);
    cr_expect_gt(refuse_allocations(&smallest, true), 5);
    cr_expect_gt(refuse_allocations(NULL, true), 5);
}

/* ---- deadlines -------------------------------------------------------------------------- */

enum { JUMPS, STORES, CALLS, TABLE, LOOPS };

static void write_loop(unsigned kind)
{
    struct code *c = &many;
    c->n = 0;
    const uint32_t start = emit(c, 0);
    const uint32_t function = emit_start(c);
    emit(c, ADDI(12, 12, 3));
    emit(c, RET);
    land_jal(c, start, 0);
    emit_address(c, 8, function);
    emit(c, LUI(9, RW_BASE));
    emit_address(c, 1, code_here(c) + 12);
    const uint32_t loop = emit_start(c);
    emit(c, ADDI(11, 11, 1));
    switch (kind) {
    case STORES:
        emit(c, SD(11, 8, 9));
        break;
    case CALLS:
        emit_jal(c, 1, function);
        break;
    case TABLE:
        emit(c, JALR(5, 8, 0)); /* and from there by x1, which is the loop's begin */
        break;
    }
    emit_jal(c, 0, loop);
}

Test(jit_limits, deadlines_stop_endless_loops)
{
    for (unsigned kind = JUMPS; kind < LOOPS; kind++) {
        struct twin t;
        uint64_t regs[JAVM_NUM_SLOTS];
        write_loop(kind);
        set_registers(regs, kind);
        twin_open(&t, many.at, code_here(&many), &few_pages, 1, NULL);
        twin_begin(&t, 0, regs, TWIN_PLENTY);
        for (unsigned i = 0; i < 4; i++) {
            const uint64_t until = now_ns() + 2000000;
            const uint64_t before = t.native.gas;
            javm_exec_run(&t.native, until);
            cr_assert_eq(t.native.exit, JAVM_EXIT_NONE);
            cr_assert_geq(now_ns(), until);
            cr_assert_lt(t.native.gas, before);
        }
        /* What it has used and a little more, at once. */
        t.m.exec.gas = TWIN_PLENTY - t.native.gas + 1000003;
        t.native.gas = 1000003;
        cr_assert_eq(twin_run(&t), JAVM_EXIT_OUT_OF_GAS);
        twin_close(&t);
    }
}

Test(jit_limits, deadlines_of_invocations)
{
    const struct javm_vm_options options = {.engine = JAVM_ENGINE_JIT};
    struct world w;
    struct javm_call_result result;
    world_open(&w, &options);
    write_loop(CALLS);
    const struct javm_endpoint endpoint = {.index = 0};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .code = (const uint8_t *)many.at,
                                      .code_len = code_here(&many),
                                      .endpoints = &endpoint,
                                      .endpoint_count = 1};
    const struct javm_hash image = publish_image(w.dir, &fields);
    struct javm_call call = {.instance = instantiate(w.dir, &image), .gas = TWIN_PLENTY};
    for (unsigned i = 0; i < 5; i++) {
        call.deadline_ns = i == 0 ? 1 : now_ns() + 2000000;
        cr_assert_eq(javm_vm_invoke(w.vm, w.dir, &call, &result, NULL), JAVM_OK);
        cr_expect_eq(result.end, JAVM_END_TIMEOUT);
        cr_expect(result.gas_used > 0 && result.gas_used < TWIN_PLENTY);
        cr_expect_geq(now_ns(), call.deadline_ns);
    }
    world_close(&w);
}
