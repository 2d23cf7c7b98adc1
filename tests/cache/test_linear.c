/* Recorded histories of small concurrent runs, each checked for linearizability (history.h).
 *
 * Would catch: a get that misses after a put returned; a read that gives a value after it was
 * replaced, or a mix; a sweep that removes a held entry, counts one twice, reports more than it
 * removed, or leaves what was garbage when it began; two sweepers that both take an entry. The
 * points inside the operations (point.h) give up the processor at random, so that steps of
 * different threads mix on few cores too. The first tests show that the checker accepts what is
 * allowed and rejects each kind of broken history. */
#include <criterion/criterion.h>

#include <sched.h>

#include "cache/atomic.h"
#include "cache/point.h"
#include "tests/cache/history.h"
#include "tests/cache/support.h"

/* ---- the checker itself ----------------------------------------------------------------- */

static bool check(const struct step *steps, const unsigned *threads, size_t count)
{
    struct history history = {.count = {0}};
    for (size_t i = 0; i < count; i++)
        history_add(&history, threads[i], steps[i]);
    return history_is_linearizable(&history);
}

#define STEPS(...)   ((const struct step[]){__VA_ARGS__})
#define THREADS(...) ((const unsigned[]){__VA_ARGS__})

Test(checker, a_get_after_a_put_must_hit)
{
    cr_expect(check(STEPS({STEP_PUT, 0, 0, 1, 2}, {STEP_GET, 0, 1, 3, 4}), THREADS(0, 1), 2));
    cr_expect(!check(STEPS({STEP_PUT, 0, 0, 1, 2}, {STEP_GET, 0, 0, 3, 4}), THREADS(0, 1), 2));
    cr_expect(!check(STEPS({STEP_PUT, 0, 0, 1, 2}, {STEP_GET, 1, 1, 3, 4}), THREADS(0, 1), 2));
}

Test(checker, a_get_during_a_put_may_hit_or_miss_but_not_go_back)
{
    cr_expect(check(STEPS({STEP_PUT, 0, 0, 1, 6}, {STEP_GET, 0, 0, 2, 3}, {STEP_GET, 0, 1, 4, 5}),
                    THREADS(0, 1, 1), 3));
    cr_expect(!check(STEPS({STEP_PUT, 0, 0, 1, 6}, {STEP_GET, 0, 1, 2, 3}, {STEP_GET, 0, 0, 4, 5}),
                     THREADS(0, 1, 1), 3));
}

Test(checker, a_replaced_value_is_gone)
{
    const struct step make = {STEP_MAKE, 0, 1, 1, 2}, replace = {STEP_REPLACE, 0, 2, 3, 4};
    cr_expect(check(STEPS(make, replace, {STEP_READ, 0, 2, 5, 6}), THREADS(0, 0, 1), 3));
    cr_expect(!check(STEPS(make, replace, {STEP_READ, 0, 1, 5, 6}), THREADS(0, 0, 1), 3));
    cr_expect(!check(STEPS(make, replace, {STEP_READ, 0, 3, 5, 6}), THREADS(0, 0, 1), 3));
}

Test(checker, two_readers_agree_on_the_order)
{
    const struct step make = {STEP_MAKE, 0, 1, 1, 2}, replace = {STEP_REPLACE, 0, 2, 3, 9};
    cr_expect(check(STEPS(make, replace, {STEP_READ, 0, 1, 4, 5}, {STEP_READ, 0, 2, 6, 7}),
                    THREADS(0, 0, 1, 2), 4));
    cr_expect(!check(STEPS(make, replace, {STEP_READ, 0, 2, 4, 5}, {STEP_READ, 0, 1, 6, 7}),
                     THREADS(0, 0, 1, 2), 4));
}

#define SWEEP(n, from, to)                \
    {STEP_SWEEP_BEGIN, 0, 0, from, to}, n \
    {                                     \
        STEP_SWEEP_END, 0, 0, from, to    \
    }
#define REMOVES(from, to) {STEP_SWEEP_REMOVE, 0, 0, from, to},
#define NOTHING

Test(checker, a_sweep_takes_garbage_and_no_more)
{
    const struct step make = {STEP_MAKE, 0, 1, 1, 2}, drop = {STEP_DROP, 0, 0, 3, 4};
    cr_expect(check(STEPS(make, drop, SWEEP(REMOVES(5, 6), 5, 6)), THREADS(0, 0, 1, 1, 1), 5));
    cr_expect(!check(STEPS(make, drop, SWEEP(NOTHING, 5, 6)), THREADS(0, 0, 1, 1), 4),
              "it left garbage");
    cr_expect(!check(STEPS(make, drop, SWEEP(REMOVES(5, 6) REMOVES(5, 6), 5, 6)),
                     THREADS(0, 0, 1, 1, 1, 1), 6),
              "it counted twice");
    cr_expect(!check(STEPS(make, SWEEP(REMOVES(5, 6), 5, 6)), THREADS(0, 1, 1, 1), 4),
              "it took what is held");
    cr_expect(
        check(STEPS(make, {STEP_DROP, 0, 0, 3, 7}, SWEEP(NOTHING, 5, 6)), THREADS(0, 0, 1, 1), 4),
        "dropped meanwhile: it may be left");
}

Test(checker, two_sweeps_do_not_take_one_entry)
{
    const struct step make = {STEP_MAKE, 0, 1, 1, 2}, drop = {STEP_DROP, 0, 0, 3, 4};
    cr_expect(check(STEPS(make, drop, SWEEP(REMOVES(5, 8), 5, 8), SWEEP(NOTHING, 6, 9)),
                    THREADS(0, 0, 1, 1, 1, 2, 2), 7));
    cr_expect(!check(STEPS(make, drop, SWEEP(REMOVES(5, 8), 5, 8), SWEEP(REMOVES(6, 9), 6, 9)),
                     THREADS(0, 0, 1, 1, 1, 2, 2, 2), 8));
}

Test(checker, the_final_count_matters)
{
    const struct step make = {STEP_MAKE, 0, 1, 1, 2};
    cr_expect(check(STEPS(make, {STEP_COUNT, 0, 1, 3, 4}), THREADS(0, 0), 2));
    cr_expect(!check(STEPS(make, {STEP_COUNT, 0, 0, 3, 4}), THREADS(0, 0), 2));
}

/* ---- recording -------------------------------------------------------------------------- */

#define OWN_OPERATIONS 5

struct round {
    struct javm_directory *dir;
    struct javm_ref_cell *shared; /* entry 0: every thread starts with a count of it */
    struct javm_hash blobs[HISTORY_BLOBS];
    struct history history;
    uint64_t clock; /* atomic */
};

struct recorder {
    struct round *round;
    struct javm_dir_thread *dir;
    unsigned thread;
    struct random random;
    struct javm_ref_cell *own; /* entry 1 + thread, once it is made */
    bool holds_shared, holds_own, made;
};

static _Thread_local struct random *yields;

void cache_point(const char *name)
{
    (void)name;
    if (yields != NULL && random_below(yields, 6) == 0)
        sched_yield();
}

/* Sequentially consistent: an interval that ends before another begins really does. */
static uint64_t tick(struct recorder *self)
{
    return __atomic_add_fetch(&self->round->clock, 1, __ATOMIC_SEQ_CST);
}

static void record(struct recorder *self, enum step_kind kind, uint64_t what, uint64_t observed,
                   uint64_t from)
{
    struct step step = {kind, (uint8_t)what, (uint8_t)observed, from, tick(self)};
    history_add(&self->round->history, self->thread, step); /* a list of its own per thread */
}

static void do_put(struct recorder *self)
{
    uint64_t blob = random_below(&self->random, HISTORY_BLOBS);
    struct javm_cap *cap = type_cap(blob);
    uint64_t from = tick(self);
    REQUIRE(javm_directory_put(self->dir, cap, NULL, NULL) == JAVM_OK);
    record(self, STEP_PUT, blob, 0, from);
    javm_cap_release(cap);
}

static void do_get(struct recorder *self)
{
    uint64_t blob = random_below(&self->random, HISTORY_BLOBS);
    uint64_t from = tick(self);
    struct javm_cap *view = javm_directory_get(self->dir, &self->round->blobs[blob]);
    record(self, STEP_GET, blob, view != NULL, from);
    javm_cap_release(view);
}

static void do_make(struct recorder *self)
{
    uint64_t value = random_below(&self->random, HISTORY_VALUES);
    struct javm_cap *cap = value_cap(value);
    uint64_t from = tick(self);
    self->own = make_entry(self->dir, cap).ref;
    record(self, STEP_MAKE, 1 + self->thread, value, from);
    self->holds_own = self->made = true;
}

/* An entry that this thread holds. */
static bool choose(struct recorder *self, struct javm_ref_cell **ref, uint64_t *what)
{
    bool shared = self->holds_shared && (!self->holds_own || random_below(&self->random, 3) > 0);
    *ref = shared ? self->round->shared : self->own;
    *what = shared ? 0 : 1 + self->thread;
    return shared || self->holds_own;
}

static void do_read(struct recorder *self)
{
    struct javm_ref_cell *ref;
    uint64_t what;
    struct javm_cap *view;
    if (!choose(self, &ref, &what))
        return;
    uint64_t from = tick(self);
    REQUIRE(javm_directory_get_ref(self->dir, ref, &view, NULL) == JAVM_OK);
    record(self, STEP_READ, what, javm_data_pages(view), from);
    javm_cap_release(view);
}

static void do_replace(struct recorder *self)
{
    struct javm_ref_cell *ref;
    uint64_t what, value = random_below(&self->random, HISTORY_VALUES);
    if (!choose(self, &ref, &what))
        return;
    struct javm_cap *cap = value_cap(value);
    uint64_t from = tick(self);
    REQUIRE(javm_directory_replace(self->dir, ref, cap, NULL) == JAVM_OK);
    record(self, STEP_REPLACE, what, value, from);
}

static void do_drop(struct recorder *self)
{
    struct javm_ref_cell *ref;
    uint64_t what;
    if (!choose(self, &ref, &what))
        return;
    *(what == 0 ? &self->holds_shared : &self->holds_own) = false;
    uint64_t from = tick(self);
    javm_ref_drop(ref);
    record(self, STEP_DROP, what, 0, from);
}

static void do_sweep(struct recorder *self)
{
    struct history *history = &self->round->history;
    uint64_t from = tick(self);
    uint64_t removed = javm_directory_sweep(self->dir);
    uint64_t to = tick(self);
    REQUIRE(removed <= HISTORY_ENTRIES);
    history_add(history, self->thread, (struct step){STEP_SWEEP_BEGIN, 0, 0, from, to});
    for (uint64_t i = 0; i < removed; i++)
        history_add(history, self->thread, (struct step){STEP_SWEEP_REMOVE, 0, 0, from, to});
    history_add(history, self->thread, (struct step){STEP_SWEEP_END, 0, 0, from, to});
}

static void act(struct recorder *self)
{
    switch (random_below(&self->random, 9)) {
    case 0:
        do_put(self);
        break;
    case 1:
        do_get(self);
        break;
    case 2:
        if (!self->made)
            do_make(self);
        break;
    case 3:
    case 4:
        do_read(self);
        break;
    case 5:
        do_replace(self);
        break;
    case 6:
        do_drop(self);
        break;
    default:
        do_sweep(self);
    }
}

/* ---- rounds ----------------------------------------------------------------------------- */

struct arena {
    struct round round;
    pthread_barrier_t start, end;
    unsigned rounds;
};

struct recorder_thread {
    struct arena *arena;
    unsigned thread;
};

static void *record_rounds(void *arg)
{
    const struct recorder_thread *thread = arg;
    struct arena *arena = thread->arena;
    struct random random = {thread->thread + 1}, yield_random = {thread->thread + 100};
    for (unsigned i = 0; i < arena->rounds; i++) {
        pthread_barrier_wait(&arena->start);
        struct recorder self = {.round = &arena->round,
                                .dir = javm_directory_join(arena->round.dir),
                                .thread = thread->thread,
                                .random = random,
                                .holds_shared = true};
        REQUIRE(self.dir != NULL);
        yields = &yield_random;
        for (int k = 0; k < OWN_OPERATIONS; k++)
            act(&self);
        yields = NULL;
        random = self.random;
        if (self.holds_own)
            do_drop(&self); /* maybe of the shared one: then the other remains */
        if (self.holds_own || self.holds_shared)
            do_drop(&self);
        if (self.holds_own || self.holds_shared)
            do_drop(&self);
        javm_directory_leave(self.dir);
        pthread_barrier_wait(&arena->end);
    }
    return NULL;
}

/* Entry 0 with one holder per thread, in the history of thread 0 before all else. */
static struct javm_dir_thread *begin_round(struct round *round)
{
    memset(&round->history, 0, sizeof round->history);
    round->clock = 0;
    round->dir = make_directory(1, 4);
    struct recorder self = {.round = round, .dir = javm_directory_join(round->dir)};
    round->shared = make_entry(self.dir, value_cap(1)).ref;
    record(&self, STEP_MAKE, 0, 1, tick(&self));
    for (int i = 1; i < HISTORY_THREADS; i++) {
        javm_ref_clone(round->shared);
        record(&self, STEP_CLONE, 0, 0, tick(&self));
    }
    return self.dir;
}

/* How many live entries there are now, and that all of them go. */
static void end_round(struct round *round, struct javm_dir_thread *dir)
{
    struct recorder self = {.round = round, .dir = dir};
    record(&self, STEP_COUNT, 0, live_entries(dir), tick(&self));
    do_sweep(&self);
    record(&self, STEP_COUNT, 0, live_entries(dir), tick(&self));
    REQUIRE(live_entries(dir) == 0);
    javm_directory_leave(dir);
    javm_directory_destroy(round->dir);
}

static void print_history(const struct history *history)
{
    for (unsigned thread = 0; thread < HISTORY_THREADS; thread++)
        for (unsigned i = 0; i < history->count[thread]; i++) {
            const struct step *step = &history->steps[thread][i];
            fprintf(stderr, "thread %u [%llu, %llu] kind %d what %u observed %u\n", thread,
                    (unsigned long long)step->from, (unsigned long long)step->to, (int)step->kind,
                    step->what, step->observed);
        }
}

Test(linear, recorded_histories_are_linearizable)
{
    static struct arena arena;
    struct recorder_thread recorders[HISTORY_THREADS];
    pthread_t threads[HISTORY_THREADS];
    unsigned overlapping = 0;
    arena.rounds = 6000 * stress_factor();
    pthread_barrier_init(&arena.start, NULL, HISTORY_THREADS + 1);
    pthread_barrier_init(&arena.end, NULL, HISTORY_THREADS + 1);
    for (unsigned i = 0; i < HISTORY_BLOBS; i++)
        arena.round.blobs[i] = type_hash(i);
    for (unsigned i = 0; i < HISTORY_THREADS; i++) {
        recorders[i] = (struct recorder_thread){&arena, i};
        threads[i] = start_thread(record_rounds, &recorders[i]);
    }
    for (unsigned i = 0; i < arena.rounds; i++) {
        struct javm_dir_thread *dir = begin_round(&arena.round);
        pthread_barrier_wait(&arena.start);
        pthread_barrier_wait(&arena.end);
        end_round(&arena.round, dir);
        const struct history *history = &arena.round.history;
        for (unsigned k = 0; k < history->count[1] && history->count[2] > 0; k++)
            if (history->steps[1][k].from < history->steps[2][0].to &&
                history->steps[2][0].from < history->steps[1][k].to) {
                overlapping++;
                break;
            }
        if (!history_is_linearizable(history)) {
            print_history(history);
            cr_assert_fail("round %u is not linearizable", i);
        }
    }
    for (unsigned i = 0; i < HISTORY_THREADS; i++)
        join_thread(threads[i]);
    fprintf(stderr, "%u histories, %u with overlap\n", arena.rounds, overlapping);
    cr_expect_gt(overlapping, 0, "nothing was concurrent: the test saw nothing");
    pthread_barrier_destroy(&arena.start);
    pthread_barrier_destroy(&arena.end);
    REQUIRE_NO_LEAKS();
}
