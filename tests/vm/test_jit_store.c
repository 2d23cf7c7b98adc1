/* Natives and the store that keeps those with a name.
 *
 * The linker redirects malloc and calloc to wrappers that can fail.
 *
 * Would catch: one name that stands for two natives, or one native for two keys with other costs; a
 * native that is forgotten while it is open, or the wrong one first; an arena that stays full of
 * programs that nobody has open; a table entry that is overwritten or seen before its code; an
 * owner that is let go too early or never; a leak when memory runs out. */
#include <criterion/criterion.h>
#include <unistd.h>

#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "tests/vm/jit_support.h"

#define KIB UINT64_C(1024)

static const uint8_t guest[4096];
static const struct javm_program_key plain_key;

/* ---- calls that fail -------------------------------------------------------------------- */

static _Thread_local unsigned long fail_at; /* counts down; 0: nothing fails */
static _Thread_local bool failed;
static _Thread_local bool linger; /* so that others get between a look and what follows it */

void *__real_malloc(size_t size);
void *__real_calloc(size_t number, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t number, size_t size);

static bool must_fail(void)
{
    if (fail_at == 0 || --fail_at != 0)
        return false;
    failed = true;
    return true;
}

void *__wrap_malloc(size_t size)
{
    return must_fail() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t number, size_t size)
{
    if (linger)
        nanosleep(&(const struct timespec){.tv_nsec = 20000}, NULL);
    return must_fail() ? NULL : __real_calloc(number, size);
}

/* ---- support ---------------------------------------------------------------------------- */

static struct javm_jit *jit_of(uint64_t code_bytes)
{
    const struct javm_jit_options options = {.code_bytes = code_bytes};
    struct javm_jit *jit;
    REQUIRE(javm_jit_create(&options, &jit, NULL) == JAVM_OK);
    return jit;
}

static struct javm_native *open_one(struct javm_jit *jit, uint32_t number,
                                    const struct javm_program_key *key)
{
    const struct javm_hash name = name_of(number);
    struct javm_native *native;
    REQUIRE(javm_native_open(jit, &name, guest, sizeof guest, key, NULL, &native, NULL) == JAVM_OK);
    return native;
}

/* Open, add one region whose blocks return `value` and more, close. */
static void use_one(struct javm_jit *jit, uint32_t number, uint32_t blocks)
{
    struct jit_buffer buffer = {.arena = jit->arena};
    struct javm_native *native = open_one(jit, number, &plain_key);
    const struct region_plan plan = {.step = 2, .blocks = blocks, .value = number};
    REQUIRE(add_region(native, &buffer, &plan));
    jit_buffer_close(&buffer);
    javm_native_close(native);
}

/* Was it kept? Open, see what the block at 0 returns, close. */
static bool kept(struct javm_jit *jit, uint32_t number)
{
    struct javm_native *native = open_one(jit, number, &plain_key);
    const uint32_t value = run_block(native, 0);
    REQUIRE(value == 0 || value == number);
    javm_native_close(native);
    return value != 0;
}

/* ---- natives ---------------------------------------------------------------------------- */

Test(jit_store, regions_and_the_table)
{
    struct javm_jit *jit = jit_of(0);
    struct jit_buffer buffer = {.arena = jit->arena};
    struct javm_native *native = open_one(jit, 1, &plain_key);
    cr_assert(native->walk.at == 0 && !native->walk.ended && native->regions == NULL);
    cr_assert_eq(native->walk.longs[0] | native->walk.heads[0], 0);
    for (uint32_t pc = 0; pc <= sizeof guest; pc += 2)
        cr_assert_eq(run_block(native, pc), 0);
    const struct region_plan a = {.pc = 100, .step = 4, .blocks = 10, .slots = 3, .value = 1000};
    const struct region_plan b = {.pc = 120, .step = 2, .blocks = 20, .sites = 7, .value = 2000};
    cr_assert(add_region(native, &buffer, &a));
    cr_assert(add_region(native, &buffer, &b));
    for (uint32_t pc = 0; pc <= sizeof guest; pc += 2) {
        uint32_t expected = 0;
        if (pc >= 120 && pc < 160)
            expected = 2000 + (pc - 120) / 2;
        if (pc >= 100 && pc < 140 && pc % 4 == 0)
            expected = 1000 + (pc - 100) / 4; /* it was there first */
        cr_assert_eq(run_block(native, pc), expected, "pc %u", pc);
    }
    cr_assert_eq(native->region_count, 2);
    cr_assert_eq(native->code_bytes, plan_bytes(&a) + plan_bytes(&b));
    struct javm_jit_stats stats;
    javm_jit_stats(jit, &stats);
    cr_assert(stats.programs == 1 && stats.regions == 2 && stats.compiled_bytes == 80 &&
              stats.compile_ns == 2000 && stats.code_bytes == native->code_bytes);
    jit_buffer_close(&buffer);
    javm_native_close(native);
    javm_jit_destroy(jit);
    REQUIRE_NO_LEAKS();
}

Test(jit_store, slots_lead_to_their_stubs)
{
    struct javm_jit *jit = jit_of(0);
    struct jit_buffer buffer = {.arena = jit->arena};
    struct javm_native *native = open_one(jit, 1, &plain_key);
    const struct region_plan plan = {.step = 2, .blocks = 3, .slots = 5};
    cr_assert(add_region(native, &buffer, &plan));
    const struct jit_region *region = native->regions;
    const uint8_t *code = jit->arena->executable + region->code_at;
    const struct jit_slot *slots = (const struct jit_slot *)(const void *)(code + region->slots_at);
    for (uint32_t round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < 5; i++) {
            cr_assert_eq(slots[i].native, (uintptr_t)code + 48 + (uint64_t)i * 16);
            cr_assert_eq(slots[i].target, i * 3);
        }
        memset(jit->arena->writable + region->code_at + region->slots_at, 0, 8);
        jit_reset_slots(jit->arena, region);
    }
    jit_buffer_close(&buffer);
    javm_native_close(native);
    javm_jit_destroy(jit);
}

Test(jit_store, names_and_keys)
{
    struct javm_jit *jit = jit_of(0);
    /* The tier counts, not the number of pages. */
    const struct javm_program_key small = {.footprint_pages = 2048},
                                  middle = {.footprint_pages = 2049},
                                  large = {.footprint_pages = 8192},
                                  cow = {.footprint_pages = 1, .cow_cost = 7};
    struct javm_native *a = open_one(jit, 1, &plain_key), *b = open_one(jit, 1, &small),
                       *c = open_one(jit, 1, &middle), *d = open_one(jit, 1, &large),
                       *e = open_one(jit, 1, &cow), *f = open_one(jit, 2, &plain_key);
    cr_assert_eq(a, b);
    cr_assert_eq(c, d);
    cr_assert(a != c && a != e && a != f && c != e && c != f && e != f);
    cr_assert_eq(e->front.key.cow_cost, 7);
    struct javm_native *unnamed[2];
    for (unsigned i = 0; i < 2; i++)
        cr_assert_eq(javm_native_open(jit, NULL, guest, 16, &plain_key, NULL, &unnamed[i], NULL),
                     JAVM_OK);
    cr_assert_neq(unnamed[0], unnamed[1]);
    struct javm_jit_stats stats;
    javm_jit_stats(jit, &stats);
    cr_assert_eq(stats.programs, 6);
    const struct javm_hash name = name_of(2);
    struct javm_native *other;
    struct javm_error err;
    cr_assert_eq(javm_native_open(jit, &name, guest, 16, &plain_key, NULL, &other, &err),
                 JAVM_E_EXISTS);
    cr_assert(strstr(err.text, "4096 and 16") != NULL);
    struct javm_native *all[] = {a, b, c, d, e, f, unnamed[0], unnamed[1], NULL};
    for (unsigned i = 0; i < 9; i++)
        javm_native_close(all[i]);
    javm_jit_stats(jit, &stats);
    cr_assert_eq(stats.programs, 4, "named ones stay");
    javm_jit_destroy(jit);
    REQUIRE_NO_LEAKS();
}

Test(jit_store, code_at_the_limit)
{
    struct javm_jit *jit = jit_of(0);
    struct javm_native *native;
    struct javm_error err;
    cr_assert_eq(javm_native_open(jit, NULL, guest, (uint64_t)JAVM_CODE_MAX + 1, &plain_key, NULL,
                                  &native, &err),
                 JAVM_E_LIMIT);
    cr_assert(strstr(err.text, "264241153") != NULL, "%s", err.text);
    cr_assert_eq(javm_native_open(jit, NULL, guest, JAVM_CODE_MAX, &plain_key, NULL, &native, &err),
                 JAVM_OK);
    cr_assert_eq(run_block(native, JAVM_CODE_MAX), 0, "the entry behind the last one is there");
    javm_native_close(native);
    cr_assert_eq(javm_native_open(jit, NULL, NULL, 0, &plain_key, NULL, &native, &err), JAVM_OK);
    cr_assert_eq(run_block(native, 0), 0);
    javm_native_close(native);
    javm_jit_destroy(jit);
}

static void retain_cap(void *cap)
{
    javm_cap_retain(cap);
}

static void release_cap(void *cap)
{
    javm_cap_release(cap);
}

Test(jit_store, the_owner_lives_as_long_as_the_native)
{
    struct javm_jit *jit = jit_of(0);
    uint8_t bytes[JAVM_PAGE_SIZE] = {1, 2, 3};
    struct javm_cap *data = javm_data_new(bytes, sizeof bytes);
    const struct javm_hash name = name_of(1);
    const struct javm_owner owner = {data, sizeof bytes, retain_cap, release_cap};
    struct javm_native *native, *again;
    REQUIRE(data != NULL);
    cr_assert_eq(javm_native_open(jit, &name, javm_data_page(data, 0), sizeof bytes, &plain_key,
                                  &owner, &native, NULL),
                 JAVM_OK);
    javm_cap_release(data);
    javm_native_close(native);
    /* Code that is somewhere else now: the native keeps to its own. */
    cr_assert_eq(javm_native_open(jit, &name, bytes, sizeof bytes, &plain_key, NULL, &again, NULL),
                 JAVM_OK);
    cr_assert_eq(native, again);
    cr_assert_neq(again->front.code, bytes);
    cr_assert_eq(memcmp(again->front.code, bytes, sizeof bytes), 0);
    javm_native_close(again);
    javm_jit_destroy(jit);
    REQUIRE_NO_LEAKS();
}

/* ---- forgetting ------------------------------------------------------------------------- */

Test(jit_store, a_full_arena_forgets_the_oldest)
{
    struct javm_jit *jit = jit_of(5 * JIT_CHUNK_MIN); /* four chunks, one for each program */
    for (uint32_t i = 1; i <= 4; i++)
        use_one(jit, i, 100);
    cr_assert_eq(jit_arena_used(jit->arena), 4 * JIT_CHUNK_MIN);
    cr_assert(kept(jit, 1)); /* and becomes the youngest */
    struct javm_native *third = open_one(jit, 3, &plain_key);
    use_one(jit, 5, 100); /* instead of 2 */
    use_one(jit, 6, 100); /* instead of 4: 3 is open */
    cr_assert_eq(run_block(third, 0), 3);
    javm_native_close(third);
    cr_assert_not(kept(jit, 2));
    cr_assert_not(kept(jit, 4));
    cr_assert(kept(jit, 1) && kept(jit, 3) && kept(jit, 5) && kept(jit, 6));
    javm_jit_destroy(jit);
    REQUIRE_NO_LEAKS();
}

Test(jit_store, opening_works_when_everything_is_full)
{
    struct javm_jit *jit = jit_of(3 * JIT_CHUNK_MIN);
    struct javm_native *natives[3];
    struct jit_buffer buffers[3];
    for (uint32_t i = 0; i < 3; i++) {
        const struct region_plan plan = {.step = 2, .blocks = 10, .value = i + 1};
        natives[i] = open_one(jit, i + 1, &plain_key);
        buffers[i] = (struct jit_buffer){.arena = jit->arena};
        cr_assert_eq(add_region(natives[i], &buffers[i], &plan), i < 2);
    }
    cr_assert(run_block(natives[0], 0) == 1 && run_block(natives[1], 0) == 2);
    cr_assert_eq(run_block(natives[2], 0), 0);
    javm_native_close(natives[0]);
    jit_buffer_close(&buffers[0]);
    const struct region_plan plan = {.step = 2, .blocks = 10, .value = 3};
    cr_assert(add_region(natives[2], &buffers[2], &plan), "1 is forgotten for it");
    cr_assert_eq(run_block(natives[2], 0), 3);
    for (uint32_t i = 1; i < 3; i++) {
        javm_native_close(natives[i]);
        jit_buffer_close(&buffers[i]);
    }
    javm_jit_destroy(jit);
}

Test(jit_store, what_is_kept_is_limited_without_code_too)
{
    /* A native of 4096 bytes of code has a table of 8 KiB. */
    struct javm_jit *jit = jit_of(512 * KIB);
    struct javm_jit_stats stats;
    for (uint32_t i = 1; i <= 1000; i++)
        javm_native_close(open_one(jit, i, &plain_key));
    javm_jit_stats(jit, &stats);
    cr_assert_leq(stats.programs, 64);
    cr_assert_geq(stats.programs, 50);
    const uint64_t before = stats.programs;
    for (uint32_t i = 0; i < 1000; i++)
        javm_native_close(open_one(jit, 1000, &plain_key));
    javm_jit_stats(jit, &stats);
    cr_assert_eq(stats.programs, before, "one that comes and goes counts once");
    struct javm_native *open[200];
    for (uint32_t i = 0; i < 200; i++)
        open[i] = open_one(jit, 2000 + i, &plain_key);
    javm_jit_stats(jit, &stats);
    cr_assert_geq(stats.programs, 250, "open ones do not count");
    for (uint32_t i = 0; i < 200; i++)
        javm_native_close(open[i]);
    javm_jit_stats(jit, &stats);
    cr_assert_leq(stats.programs, 64);
    javm_jit_destroy(jit);
    REQUIRE_NO_LEAKS();
}

Test(jit_store, totals_outlive_natives)
{
    struct javm_jit *jit = jit_of(0);
    struct jit_buffer buffer = {.arena = jit->arena};
    const struct region_plan plan = {.step = 2, .blocks = 10};
    struct javm_native *native;
    struct javm_jit_stats stats;
    cr_assert_eq(javm_native_open(jit, NULL, guest, 100, &plain_key, NULL, &native, NULL), JAVM_OK);
    cr_assert(add_region(native, &buffer, &plan));
    native->compile_ns += 5; /* counted when it is freed */
    javm_native_close(native);
    javm_jit_stats(jit, &stats);
    cr_assert(stats.programs == 0 && stats.regions == 0 && stats.code_bytes == 0);
    cr_assert(stats.compiled_bytes == 20 && stats.compile_ns == 1005);
    jit_buffer_close(&buffer);
    cr_assert_eq(jit_arena_used(jit->arena), 0);
    javm_jit_destroy(jit);
}

/* ---- creation and failures -------------------------------------------------------------- */

Test(jit_store, options)
{
    struct javm_jit *jit;
    struct javm_error err;
    char map[64];
    snprintf(map, sizeof map, "/tmp/perf-%ld.map", (long)getpid());
    cr_assert_eq(javm_jit_create(NULL, &jit, &err), JAVM_OK);
    cr_assert_eq(jit->features, jit_features());
    cr_assert_eq(jit->arena->bytes, 1024 * KIB * 1024);
    cr_assert_eq(javm_jit_save(jit, &err), JAVM_OK);
    javm_jit_destroy(jit);
    struct javm_jit_options options = {.plain = true, .perf_map = true, .code_bytes = 1};
    cr_assert_eq(javm_jit_create(&options, &jit, &err), JAVM_OK);
    cr_assert_eq(jit->features, 0);
    cr_assert(jit->perf_map);
    javm_jit_destroy(jit);
    cr_assert_eq(unlink(map), 0, "perf reads it after the process is gone, so that it stays");
    options.code_bytes = (uint64_t)JIT_ARENA_MAX + 1;
    cr_assert_eq(javm_jit_create(&options, &jit, &err), JAVM_E_RANGE);
    javm_jit_destroy(NULL);
    REQUIRE_NO_LEAKS();
}

/* Features that the compiler says it was allowed to use, or that the kernel lists. */
Test(jit_store, features_are_those_of_the_kernel)
{
    static char text[1 << 16];
    FILE *info = fopen("/proc/cpuinfo", "r");
    REQUIRE(info != NULL);
    text[fread(text, 1, sizeof text - 1, info)] = 0;
    fclose(info);
    char *flags = strstr(text, "\nflags");
    REQUIRE(flags != NULL);
    *strchr(flags + 1, '\n') = ' ';
    static const struct {
        const char *flag;
        uint32_t feature;
    } known[] = {
        {" bmi2 ", JIT_BMI2}, {" abm ", JIT_LZCNT}, {" popcnt ", JIT_POPCNT}, {" adx ", JIT_ADX}};
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(strstr(flags, known[i].flag) != NULL, (jit_features() & known[i].feature) != 0,
                     "%s", known[i].flag);
}

Test(jit_store, memory_that_runs_out)
{
    const struct javm_hash name = name_of(1);
    for (unsigned long at = 1;; at++) {
        struct javm_jit *jit = NULL;
        struct javm_native *native = NULL;
        struct javm_error err = {0};
        bool region = false;
        failed = false;
        fail_at = at;
        enum javm_status status = javm_jit_create(NULL, &jit, &err);
        if (status == JAVM_OK) {
            status =
                javm_native_open(jit, &name, guest, sizeof guest, &plain_key, NULL, &native, &err);
            struct jit_buffer buffer = {.arena = jit->arena};
            if (status == JAVM_OK)
                region = jit_buffer_reserve(&buffer, 100);
            jit_buffer_close(&buffer);
        }
        fail_at = 0;
        if (status == JAVM_OK)
            cr_assert_neq(region, failed, "allocation %lu", at);
        else
            cr_assert(status == JAVM_E_NOMEM && err.status == JAVM_E_NOMEM && err.text[0] != 0);
        if (jit != NULL) {
            javm_native_close(native);
            javm_jit_destroy(jit);
        }
        REQUIRE_NO_LEAKS();
        if (!failed) {
            cr_assert_gt(at, 8);
            break;
        }
    }
}

#ifndef TEST_THREADS /* its stand-in for Criterion has no signals */
Test(jit_store, destroying_with_an_open_native_aborts, .signal = SIGABRT)
{
    struct javm_jit *jit = jit_of(0);
    open_one(jit, 1, &plain_key);
    javm_jit_destroy(jit);
}
#endif

/* ---- threads ---------------------------------------------------------------------------- */

#define THREADS 4
#define NAMES   24

struct worker {
    struct javm_jit *jit;
    uint32_t number;
    uint64_t compiled, found;
};

/* Opens programs at random, compiles what is not there yet and checks all that is. */
static void *work(void *ctx)
{
    struct worker *worker = ctx;
    struct random random = {worker->number};
    struct jit_buffer buffer = {.arena = worker->jit->arena};
    const unsigned rounds = 2000 * stress_factor();
    for (unsigned round = 0; round < rounds; round++) {
        const uint32_t number = 1 + (uint32_t)random_below(&random, NAMES);
        struct javm_native *native = open_one(worker->jit, number, &plain_key);
        for (unsigned i = 0; i < 4; i++) {
            const uint32_t pc = 64 * (uint32_t)random_below(&random, 8);
            const struct region_plan plan = {
                .pc = pc, .step = 2, .blocks = 30, .value = number * 1000 + pc};
            pthread_mutex_lock(&native->lock);
            if (run_block(native, pc) != 0)
                worker->found++;
            else if (add_region(native, &buffer, &plan))
                worker->compiled++;
            pthread_mutex_unlock(&native->lock);
        }
        for (uint32_t pc = 0; pc < 512; pc += 2) {
            const uint32_t value = run_block(native, pc); /* without the lock, as guests do */
            REQUIRE(value == 0 || value == number * 1000 + (pc & ~63u) + (pc & 63) / 2);
        }
        javm_native_close(native);
    }
    jit_buffer_close(&buffer);
    return NULL;
}

Test(jit_store, threads_share_it)
{
    /* Room for about two thirds of the names, so that programs are forgotten all the time. */
    struct javm_jit *jit = jit_of(4 * JIT_CHUNK_MIN);
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    uint64_t compiled = 0, found = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.jit = jit, .number = i};
        REQUIRE(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        compiled += workers[i].compiled;
        found += workers[i].found;
    }
    cr_assert_gt(compiled, NAMES * 8, "some were forgotten");
    cr_assert_gt(found, 0);
    struct javm_jit_stats stats;
    javm_jit_stats(jit, &stats);
    cr_assert_eq(stats.compile_ns, compiled * 1000);
    cr_assert_leq(stats.programs, NAMES);
    javm_jit_destroy(jit);
    REQUIRE_NO_LEAKS();
}

struct opener {
    struct javm_jit *jit;
    pthread_barrier_t *barrier;
    struct javm_native **opened; /* by all threads */
    uint32_t number;
};

#define MEETINGS 500u

static void *meet(void *ctx)
{
    const struct opener *opener = ctx;
    for (uint32_t i = 0; i < MEETINGS; i++) {
        pthread_barrier_wait(opener->barrier);
        linger = true;
        struct javm_native *native = open_one(opener->jit, i + 1, &plain_key);
        linger = false;
        opener->opened[opener->number] = native;
        pthread_barrier_wait(opener->barrier);
        for (uint32_t k = 0; k < THREADS; k++)
            REQUIRE(opener->opened[k] == native);
        pthread_barrier_wait(opener->barrier);
        javm_native_close(native);
    }
    return NULL;
}

Test(jit_store, threads_that_meet_a_program_together_share_it)
{
    struct javm_jit *jit = jit_of(0);
    struct javm_native *opened[THREADS];
    struct opener openers[THREADS];
    pthread_t threads[THREADS];
    pthread_barrier_t barrier;
    REQUIRE(pthread_barrier_init(&barrier, NULL, THREADS) == 0);
    for (uint32_t i = 0; i < THREADS; i++) {
        openers[i] =
            (struct opener){.jit = jit, .barrier = &barrier, .opened = opened, .number = i};
        REQUIRE(pthread_create(&threads[i], NULL, meet, &openers[i]) == 0);
    }
    for (uint32_t i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    struct javm_jit_stats stats;
    javm_jit_stats(jit, &stats);
    cr_assert_eq(stats.programs, MEETINGS);
    pthread_barrier_destroy(&barrier);
    javm_jit_destroy(jit);
    REQUIRE_NO_LEAKS();
}
