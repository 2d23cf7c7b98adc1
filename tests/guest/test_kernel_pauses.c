/* The guests that stop and go on (stepper, keeper, journal) come to the same value for the same gas
 * wherever they go on: in the same Vm, in another of the other engine with a directory of its own,
 * in another process.
 *
 * Would catch: a continuation whose file lacks something; gas that is lost or paid twice around a
 * pause; memory or registers that differ between engines at a yield. */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "javm/load.h"
#include "tests/guest/kernel_samples.h"

#define STEPS 60u
#define SEED  11u

static enum javm_engine other_engine(void)
{
    const enum javm_engine other = engine == JAVM_ENGINE_JIT ? JAVM_ENGINE_INTERP : JAVM_ENGINE_JIT;
    return javm_engine_available(other) ? other : engine;
}

static void start(const struct javm_hash *instance, uint64_t steps, uint64_t every, uint64_t gas)
{
    struct javm_call call = usual_call(instance);
    call.args[0] = steps;
    call.args[1] = every;
    call.args[2] = SEED;
    call.gas = gas;
    call.can_pause = true;
    invoke(&call);
}

static void resume(uint64_t gas)
{
    const struct javm_call call = {
        .gas = gas, .can_pause = true, .want_post = true, .want_slot0 = true};
    javm_call_result_clear(&result);
    cr_assert_eq(javm_vm_call_resume(w.vm, w.dir, &call, &result, &err), JAVM_OK, "%s", err.text);
}

static bool paused_at(uint64_t step)
{
    return result.end == JAVM_END_PAUSED && javm_key_compare(&result.yield_key, &sample_key) == 0 &&
           data_u64(result.slot0, 0) == step;
}

static bool paused_for_gas(void)
{
    return result.end == JAVM_END_PAUSED && javm_key_compare(&result.yield_key, &JAVM_YK_OOG) == 0;
}

/* ---- ways to another place --------------------------------------------------------------- */

/* A published cap with all below it, as the bytes of a file. */
static void pack(const struct javm_hash *hash, uint8_t **bytes, size_t *len)
{
    static const char *const name = "it";
    struct javm_bundle bundle;
    REQUIRE(javm_bundle_collect(w.dir, hash, &name, 1, &bundle, NULL) == JAVM_OK);
    REQUIRE(javm_bundle_encode(&bundle, bytes, len, NULL) == JAVM_OK);
    javm_bundle_clear(&bundle);
}

static struct javm_hash unpack(const uint8_t *bytes, size_t len)
{
    struct javm_bundle bundle;
    struct javm_hash *roots;
    REQUIRE(javm_load(bytes, len, &bundle, &err) == JAVM_OK);
    REQUIRE(javm_bundle_publish(&bundle, w.dir, &roots, &err) == JAVM_OK);
    const struct javm_hash hash = roots[0];
    javm_bundle_clear(&bundle);
    free(roots);
    return hash;
}

/* The world is then another: an empty directory, the other engine. */
static void change_worlds(void)
{
    javm_call_result_clear(&result);
    world_close(&w);
    engine = other_engine();
    world_open(&w, &(struct javm_vm_options){.engine = engine});
}

/* The paused invocation goes on there. */
static void move(void)
{
    uint8_t *bytes;
    size_t len;
    struct javm_hash hash;
    cr_assert_eq(javm_vm_detach_paused(w.vm, w.dir, &hash, &err), JAVM_OK, "%s", err.text);
    pack(&hash, &bytes, &len);
    change_worlds();
    hash = unpack(bytes, len);
    free(bytes);
    cr_assert_eq(javm_vm_attach_paused(w.vm, w.dir, &hash, &err), JAVM_OK, "%s", err.text);
}

/* ---- the stepper ------------------------------------------------------------------------ */

struct outcome {
    uint64_t value, gas;
    struct javm_hash post;
};

static struct outcome outcome(void)
{
    struct outcome o = {.value = result.value, .gas = result.gas_used};
    cr_assert_eq(result.end, JAVM_END_HALT, "%s", javm_fault_name(result.fault));
    cr_assert_eq(javm_cap_hash(result.post_instance, &o.post), JAVM_OK);
    return o;
}

static void expect_same(const struct outcome *a, const struct outcome *b)
{
    cr_expect_eq(a->value, b->value);
    cr_expect_eq(a->gas, b->gas, "%llu and %llu", (unsigned long long)a->gas,
                 (unsigned long long)b->gas);
    cr_expect(javm_hash_equal(&a->post, &b->post));
}

static struct outcome step(uint64_t every, bool moves)
{
    const enum javm_engine was = engine;
    const struct javm_hash stepper = new_stepper();
    start(&stepper, STEPS, every, PLENTY);
    for (uint64_t at = every; every != 0 && at <= STEPS; at += every) {
        cr_assert(paused_at(at), "at %llu", (unsigned long long)at);
        if (moves)
            move();
        resume(0);
    }
    const struct outcome o = outcome();
    while (engine != was) /* where there is one engine it never changed */
        change_worlds();
    return o;
}

KERNEL_TEST(kernel_pauses, a_stepper_moves)
{
    const struct outcome never = step(STEPS + 1, false);
    for (uint64_t every = 10; every <= 20; every += 10) {
        const struct outcome here = step(every, false), moved = step(every, true);
        expect_same(&here, &moved);
        cr_expect_eq(here.value, never.value);
    }
    /* A yield costs what it costs, however many there are. */
    const uint64_t six = step(10, true).gas - never.gas, three = step(20, true).gas - never.gas;
    cr_expect_gt(three, 0);
    cr_expect_eq(six, 2 * three);
    cr_expect_eq(step(0, false).value, never.value);
}

/* The guest that does not yield at all is stopped by its gas, and does not know. */
static struct outcome sip(uint64_t sip, bool moves)
{
    const enum javm_engine was = engine;
    const struct javm_hash stepper = new_stepper();
    start(&stepper, STEPS, 0, sip);
    unsigned stops = 0;
    for (; paused_for_gas(); stops++) {
        if (moves && stops % 40 == 0)
            move();
        resume(sip);
    }
    cr_expect(sip == PLENTY || stops > 10);
    const struct outcome o = outcome();
    while (engine != was)
        change_worlds();
    return o;
}

KERNEL_TEST(kernel_pauses, a_stepper_short_of_gas)
{
    const struct outcome whole = sip(PLENTY, false), sips = sip(100, false), moved = sip(101, true);
    expect_same(&whole, &sips);
    expect_same(&whole, &moved);
}

/* ---- other processes --------------------------------------------------------------------- */

struct report {
    bool done;
    struct outcome outcome;
};

static void write_all(int to, const void *bytes, size_t len)
{
    REQUIRE(write(to, bytes, len) == (ssize_t)len);
}

/* In a process of its own: begin, or go on with what is in the file, to the next yield, and leave
 * the rest in the file. */
static void life(const char *path, bool first, int to)
{
    struct report report = {.done = false};
    uint8_t *bytes;
    size_t len;
    kernel_open(NULL);
    if (first) {
        const struct javm_hash stepper = new_stepper();
        start(&stepper, STEPS, 13, PLENTY);
    } else {
        REQUIRE(javm_file_read(path, 0, &bytes, &len, &err) == JAVM_OK);
        const struct javm_hash hash = unpack(bytes, len);
        free(bytes);
        REQUIRE(javm_vm_attach_paused(w.vm, w.dir, &hash, &err) == JAVM_OK);
        resume(0);
    }
    report.done = result.end != JAVM_END_PAUSED;
    if (report.done) {
        report.outcome = outcome();
    } else {
        struct javm_hash hash;
        REQUIRE(javm_vm_detach_paused(w.vm, w.dir, &hash, &err) == JAVM_OK);
        pack(&hash, &bytes, &len);
        REQUIRE(javm_file_write(path, bytes, len, &err) == JAVM_OK);
        free(bytes);
    }
    kernel_close();
    write_all(to, &report, sizeof report);
}

static struct report live(const char *path, bool first)
{
    struct report report;
    int ends[2], status;
    REQUIRE(pipe(ends) == 0);
    fflush(NULL);
    const pid_t child = fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        life(path, first, ends[1]);
        _exit(0);
    }
    close(ends[1]);
    REQUIRE(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    REQUIRE(read(ends[0], &report, sizeof report) == (ssize_t)sizeof report);
    close(ends[0]);
    return report;
}

Test(kernel_pauses, a_process_for_each_part)
{
    char path[] = "/tmp/javm-pauses-XXXXXX";
    const int file = mkstemp(path);
    REQUIRE(file >= 0);
    close(file);
    engine = JAVM_ENGINE_INTERP;
    kernel_open(NULL);
    const struct outcome here = step(13, false);
    kernel_close();
    unsigned lives = 0;
    struct report report;
    do {
        report = live(path, lives == 0);
        engine = other_engine();
        lives++;
    } while (!report.done && lives < 100);
    unlink(path);
    cr_expect_eq(lives, STEPS / 13 + 1);
    expect_same(&here, &report.outcome);
}

/* ---- a guest that keeps it --------------------------------------------------------------- */

KERNEL_TEST(kernel_pauses, keeper)
{
    enum { BEGIN, GO_ON };
    const enum javm_engine was = engine;
    const struct outcome want = step(0, false);
    struct javm_hash keeper = new_keeper();
    for (uint64_t at = 7; at <= STEPS + 6; at += 7) {
        uint8_t *bytes;
        size_t len;
        struct javm_call call = usual_call(&keeper);
        call.endpoint = at == 7 ? BEGIN : GO_ON;
        call.args[0] = STEPS;
        call.args[1] = 7;
        call.args[2] = SEED;
        invoke(&call);
        cr_assert_eq(result.end, JAVM_END_HALT, "%s", javm_fault_name(result.fault));
        cr_expect_eq(result.value, at <= STEPS ? UINT64_C(1) << 63 | at : want.value);
        cr_assert_eq(javm_directory_put(w.dir, result.post_instance, &keeper, NULL), JAVM_OK);
        pack(&keeper, &bytes, &len);
        change_worlds();
        keeper = unpack(bytes, len);
        free(bytes);
    }
    while (engine != was)
        change_worlds();
}

/* ---- a host's own meters and files --------------------------------------------------------- */

static struct outcome keep_journal(uint64_t entries, uint64_t every, uint64_t gas, uint64_t refill)
{
    const struct javm_hash journal = new_journal();
    unsigned notes = 0;
    host_gas = gas;
    start(&journal, entries, every, 0);
    while (result.end == JAVM_END_PAUSED) {
        if (paused_for_gas()) {
            const struct javm_cap *handle = result.slot0;
            struct javm_key key;
            cr_assert(javm_gas_meter_key(handle, &key));
            cr_expect(refill != 0);
            *host_meter(&host.gas, &key) += refill;
        } else {
            notes++;
            cr_expect_eq(host.notes, notes);
            cr_expect_eq(host.last_note, notes * every < entries ? notes * every : entries);
            cr_expect_eq(host.file_count, notes);
            cr_expect_eq(*host_meter(&host.quota, &journal_quota), 100 - 2 * notes);
        }
        resume(0);
    }
    cr_expect_eq(notes, (entries + every - 1) / every);
    return outcome();
}

KERNEL_TEST_WITH(kernel_pauses, journal, &hosted)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < 20; i++)
        sum += i * i + 1;
    const struct outcome rich = keep_journal(20, 6, PLENTY, 0), poor = keep_journal(20, 6, 0, 150),
                         other = keep_journal(20, 6, 1234, 97);
    cr_expect_eq(rich.value, sum);
    expect_same(&rich, &poor);
    expect_same(&rich, &other);
    cr_expect_eq(host.gas.values[0] + rich.gas - 1234,
                 (host.gas.values[0] + rich.gas - 1234) / 97 * 97);
    cr_expect_eq(keep_journal(0, 1, PLENTY, 0).value, 0);
    host_clear();
}
