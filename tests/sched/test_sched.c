/* The contract of javm/sched.h, one promise a test. Would catch: a task lost at destruction, a wait
 * that returns early, never, or only when nobody submits any more, hooks that are called on the
 * wrong thread or not in pairs, events that are missing, a failed start that leaves threads behind,
 * outside tasks starved by spawning ones, workers that take signals meant for the main thread. */
#include "tests/sched/support.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched/worker.h"

struct counted {
    struct javm_task task;
    atomic_uint runs;
};

static void count_run(struct javm_worker *worker, struct javm_task *task)
{
    (void)worker;
    atomic_fetch_add_explicit(&((struct counted *)(void *)task)->runs, 1, memory_order_relaxed);
}

/* ---- creation and its failures ---- */

Test(sched, defaults)
{
    struct javm_sched *sched = NULL;
    cr_assert_eq(javm_sched_create(NULL, &sched, NULL), JAVM_OK);
    struct topology topology;
    cr_assert_eq(topology_load(&topology, NULL, NULL), JAVM_OK);
    cr_assert_eq(javm_sched_workers(sched), topology_default_workers(&topology));
    topology_unload(&topology);
    javm_sched_wait(sched); /* nothing to wait for */
    javm_sched_destroy(sched);
    javm_sched_destroy(NULL);
}

Test(sched, refuses_what_it_cannot_do)
{
    struct javm_sched *sched = NULL;
    struct javm_error err = {.text = ""};
    const struct javm_sched_options many = {.workers = 1000000};
    cr_assert_eq(javm_sched_create(&many, &sched, &err), JAVM_E_LIMIT);
    cr_assert_not_null(strstr(err.text, "1000000"));
    const struct javm_sched_options nonsense = {.workers = 1, .synthetic = "Nonsense:3"};
    cr_assert_eq(javm_sched_create(&nonsense, &sched, &err), JAVM_E_FORMAT);
    cr_assert_not_null(strstr(err.text, "Nonsense:3"));
    cr_assert_null(sched);
}

enum { HOOKED = 4 };

struct hooks {
    pthread_t thread[HOOKED];
    atomic_uint started[HOOKED], stopped[HOOKED], wrong;
    unsigned failing; /* this worker's start fails; HOOKED: none */
    int contexts[HOOKED];
};

static void *hook_start(void *arg, unsigned worker)
{
    struct hooks *hooks = arg;
    hooks->thread[worker] = pthread_self();
    atomic_fetch_add(&hooks->started[worker], 1);
    return worker == hooks->failing ? NULL : &hooks->contexts[worker];
}

static void hook_stop(void *arg, unsigned worker, void *context)
{
    struct hooks *hooks = arg;
    atomic_fetch_add(&hooks->stopped[worker], 1);
    if (context != &hooks->contexts[worker] ||
        !pthread_equal(hooks->thread[worker], pthread_self()))
        atomic_fetch_add(&hooks->wrong, 1);
}

struct hooked_task {
    struct javm_task task;
    struct hooks *hooks;
    struct javm_sched *sched;
};

static void check_hooked(struct javm_worker *worker, struct javm_task *task)
{
    const struct hooked_task *hooked = (const struct hooked_task *)(const void *)task;
    struct hooks *hooks = hooked->hooks;
    const unsigned index = javm_worker_index(worker);
    if (index >= HOOKED || javm_worker_context(worker) != &hooks->contexts[index] ||
        !pthread_equal(hooks->thread[index], pthread_self()) ||
        javm_worker_sched(worker) != hooked->sched || atomic_load(&hooks->started[index]) != 1 ||
        atomic_load(&hooks->stopped[index]) != 0)
        atomic_fetch_add(&hooks->wrong, 1);
}

Test(sched, hooks_come_in_pairs_on_the_workers_thread)
{
    static struct hooks hooks = {.failing = HOOKED};
    static struct hooked_task tasks[100];
    struct javm_sched *sched = start_sched((struct javm_sched_options){
        .workers = HOOKED, .start = hook_start, .stop = hook_stop, .arg = &hooks});
    for (unsigned i = 0; i < HOOKED; i++) {
        cr_assert_eq(atomic_load(&hooks.started[i]), 1); /* all are ready when create returns */
        cr_assert_eq(atomic_load(&hooks.stopped[i]), 0);
    }
    for (unsigned i = 0; i < 100; i++) {
        tasks[i] = (struct hooked_task){{check_hooked}, &hooks, sched};
        submit_one(sched, &tasks[i].task);
    }
    javm_sched_destroy(sched);
    for (unsigned i = 0; i < HOOKED; i++)
        cr_assert_eq(atomic_load(&hooks.stopped[i]), 1);
    cr_assert_eq(atomic_load(&hooks.wrong), 0);
}

struct heard {
    pthread_t thread;
    unsigned parks, wakes, steals, wrong;
    bool asleep;
};

static struct heard heard[2]; /* each written by its worker only, read when the workers are gone */

static void *start_hearing(void *arg, unsigned worker)
{
    (void)arg;
    heard[worker] = (struct heard){.thread = pthread_self()};
    return &heard[worker];
}

static void hear(void *context, enum javm_sched_event event)
{
    struct heard *at = context;
    at->wrong += !pthread_equal(at->thread, pthread_self());
    if (event == JAVM_SCHED_STEAL) {
        at->wrong += at->asleep;
        at->steals++;
    } else if (event == JAVM_SCHED_PARK) {
        at->wrong += at->asleep;
        at->asleep = true;
        at->parks++;
    } else {
        at->wakes += at->asleep;
        at->asleep = false;
    }
}

struct needs_a_thief {
    struct javm_task task;
    struct counted loot;
};

/* Does not end before another worker has taken what it spawned. */
static void wait_for_thief(struct javm_worker *worker, struct javm_task *task)
{
    struct needs_a_thief *self = (struct needs_a_thief *)(void *)task;
    if (javm_sched_spawn(worker, &self->loot.task) == JAVM_OK)
        await(&self->loot.runs, 1);
}

Test(sched, events_are_told_on_the_workers_thread)
{
    struct javm_sched *sched = start_sched((struct javm_sched_options){
        .workers = 2, .numa = JAVM_NUMA_OFF, .start = start_hearing, .event = hear});
    for (unsigned i = 0; i < 20; i++) {
        struct needs_a_thief task = {{wait_for_thief}, {{count_run}, 0}};
        submit_one(sched, &task.task);
        javm_sched_wait(sched);
        cr_assert_eq(atomic_load(&task.loot.runs), 1);
    }
    const struct javm_worker_stats sum = sum_stats(sched);
    javm_sched_destroy(sched);
    cr_expect_eq(heard[0].wrong + heard[1].wrong, 0);
    cr_expect_geq(heard[0].steals + heard[1].steals, 20);
    cr_expect_eq(heard[0].steals + heard[1].steals,
                 sum.steals_l3 + sum.steals_node + sum.steals_far);
    for (unsigned i = 0; i < 2; i++)
        cr_expect_eq(heard[i].parks, heard[i].wakes, "whoever fell asleep was woken");
}

Test(sched, a_failed_start_stops_the_others)
{
    for (unsigned failing = 0; failing < HOOKED; failing++) {
        struct hooks hooks = {.failing = failing};
        struct javm_sched *sched = NULL;
        struct javm_error err = {.text = ""};
        const struct javm_sched_options options = {
            .workers = HOOKED, .start = hook_start, .stop = hook_stop, .arg = &hooks};
        cr_assert_eq(javm_sched_create(&options, &sched, &err), JAVM_E_NOMEM);
        cr_assert_null(sched);
        for (unsigned i = 0; i < HOOKED; i++) {
            cr_assert_eq(atomic_load(&hooks.started[i]), 1);
            cr_assert_eq(atomic_load(&hooks.stopped[i]), i != failing);
        }
        cr_assert_eq(atomic_load(&hooks.wrong), 0);
    }
}

/* ---- submission ---- */

Test(sched, destroy_runs_what_is_queued)
{
    enum { COUNT = 5000 };
    static struct counted tasks[COUNT];
    static struct javm_task *list[COUNT];
    struct javm_sched *sched = start_sched((struct javm_sched_options){.workers = 2});
    for (unsigned i = 0; i < COUNT; i++) {
        tasks[i].task.run = count_run;
        list[i] = &tasks[i].task;
    }
    cr_assert_eq(javm_sched_submit(sched, list, COUNT), JAVM_OK);
    javm_sched_destroy(sched);
    for (unsigned i = 0; i < COUNT; i++)
        cr_assert_eq(atomic_load(&tasks[i].runs), 1);
}

Test(sched, a_refused_submission_changes_nothing)
{
    struct counted one = {.task.run = count_run};
    struct javm_task *list = &one.task;
    struct javm_sched *sched = start_sched((struct javm_sched_options){.workers = 1});
    cr_assert_eq(javm_sched_submit(sched, &list, 0), JAVM_OK);
    cr_assert_eq(javm_sched_submit(sched, &list, SIZE_MAX), JAVM_E_NOMEM);
    cr_assert_eq(javm_sched_submit(sched, &list, 1), JAVM_OK);
    cr_assert_eq(javm_sched_submit(sched, &list, SIZE_MAX), JAVM_E_NOMEM); /* size + count wraps */
    javm_sched_wait(sched);
    cr_assert_eq(atomic_load(&one.runs), 1);
    check_stats(sched, 1, 0);
    javm_sched_destroy(sched);
}

static void free_itself(struct javm_worker *worker, struct javm_task *task)
{
    (void)worker;
    free(task);
}

static void spawn_and_free_itself(struct javm_worker *worker, struct javm_task *task)
{
    struct javm_task *child = malloc(sizeof *child);
    if (child == NULL)
        abort();
    child->run = free_itself;
    if (javm_sched_spawn(worker, child) != JAVM_OK)
        free(child);
    free(task);
}

Test(sched, a_task_may_free_itself)
{
    struct javm_sched *sched = start_sched((struct javm_sched_options){.workers = 3});
    for (unsigned i = 0; i < 1000; i++) {
        struct javm_task *task = malloc(sizeof *task);
        cr_assert_not_null(task);
        task->run = spawn_and_free_itself;
        submit_one(sched, task);
    }
    javm_sched_wait(sched);
    check_stats(sched, 1000, 1000);
    javm_sched_destroy(sched);
}

struct relay {
    struct javm_task task;
    struct javm_sched *to;
    struct counted *cargo;
};

static void pass_on(struct javm_worker *worker, struct javm_task *task)
{
    struct relay *relay = (struct relay *)(void *)task;
    struct javm_task *cargo = &relay->cargo->task;
    (void)worker;
    if (javm_sched_submit(relay->to, &cargo, 1) != JAVM_OK)
        abort();
}

Test(sched, tasks_may_submit_to_another_scheduler)
{
    struct javm_sched *a = start_sched((struct javm_sched_options){.workers = 1});
    struct javm_sched *b = start_sched((struct javm_sched_options){.workers = 1});
    struct counted cargo = {.task.run = count_run};
    struct relay relay = {{pass_on}, b, &cargo};
    javm_sched_wait(a); /* so that the two stand in different generations */
    submit_one(a, &relay.task);
    javm_sched_wait(a);
    javm_sched_wait(b);
    cr_assert_eq(atomic_load(&cargo.runs), 1);
    javm_sched_destroy(a);
    javm_sched_destroy(b);
}

/* ---- waiting ---- */

/* A task that says that it runs, and goes on when it may; then it may make another one. */
struct held {
    struct javm_task task;
    atomic_uint running, may_end, ended;
    struct javm_sched *submit_to; /* or NULL: spawn */
    struct counted *child;        /* or NULL */
};

static void hold(struct javm_worker *worker, struct javm_task *task)
{
    struct held *held = (struct held *)(void *)task;
    raise_to(&held->running, 1);
    await(&held->may_end, 1);
    if (held->child != NULL) {
        struct javm_task *child = &held->child->task;
        if ((held->submit_to != NULL ? javm_sched_submit(held->submit_to, &child, 1)
                                     : javm_sched_spawn(worker, child)) != JAVM_OK)
            abort();
    }
    raise_to(&held->ended, 1);
}

struct waiter {
    pthread_t thread;
    struct javm_sched *sched;
    atomic_uint returned;
};

static void *wait_in_thread(void *arg)
{
    struct waiter *waiter = arg;
    javm_sched_wait(waiter->sched);
    raise_to(&waiter->returned, 1);
    return NULL;
}

/* Returns when the waiter has ended the generation: what is submitted now is not waited for. */
static void begin_waiting(struct waiter *waiter, struct javm_sched *sched)
{
    waiter->sched = sched;
    cr_assert_eq(pthread_create(&waiter->thread, NULL, wait_in_thread, waiter), 0);
    while (at_load_acquire(&sched->draining) == 0)
        sched_yield();
}

/* With one worker it is busy with `later` when `earlier` has ended, and has to think of the waiter
 * before it begins; with two, the other one may find out. */
static void wait_beside_a_later_task(unsigned workers)
{
    struct held earlier = {.task.run = hold};
    struct held later = {.task.run = hold};
    struct waiter waiter = {.sched = NULL};
    struct javm_sched *sched = start_sched((struct javm_sched_options){.workers = workers});
    submit_one(sched, &earlier.task);
    await(&earlier.running, 1);
    begin_waiting(&waiter, sched);
    submit_one(sched, &later.task);
    cr_assert_eq(atomic_load(&waiter.returned), 0); /* it cannot: `earlier` is held */
    raise_to(&earlier.may_end, 1);
    pthread_join(waiter.thread, NULL); /* never, if it waited for `later` too */
    cr_assert_eq(atomic_load(&earlier.ended), 1);
    cr_assert_eq(atomic_load(&later.ended), 0);
    raise_to(&later.may_end, 1);
    javm_sched_wait(sched);
    cr_assert_eq(atomic_load(&later.ended), 1);
    javm_sched_destroy(sched);
}

Test(sched, wait_does_not_wait_for_what_comes_later)
{
    for (unsigned round = 0; round < 20; round++) {
        wait_beside_a_later_task(1);
        wait_beside_a_later_task(2);
    }
}

static void wait_for_a_late_child(unsigned workers, bool submitted)
{
    struct counted child = {.task.run = count_run};
    struct held parent = {.task.run = hold, .child = &child};
    struct held later = {.task.run = hold};
    struct waiter waiter = {.sched = NULL};
    struct javm_sched *sched = start_sched((struct javm_sched_options){.workers = workers});
    parent.submit_to = submitted ? sched : NULL;
    submit_one(sched, &parent.task);
    await(&parent.running, 1);
    begin_waiting(&waiter, sched);
    raise_to(&later.may_end, 1);
    submit_one(sched, &later.task);
    raise_to(&parent.may_end, 1); /* the child comes after the generation has ended */
    pthread_join(waiter.thread, NULL);
    cr_assert_eq(atomic_load(&child.runs), 1);
    javm_sched_destroy(sched);
}

Test(sched, wait_includes_what_tasks_make)
{
    for (unsigned round = 0; round < 20; round++) {
        wait_for_a_late_child(1, false);
        wait_for_a_late_child(1, true);
        wait_for_a_late_child(3, false);
        wait_for_a_late_child(3, true);
    }
}

Test(sched, several_threads_may_wait)
{
    struct held held = {.task.run = hold};
    static struct waiter waiters[4];
    struct javm_sched *sched = start_sched((struct javm_sched_options){.workers = 2});
    submit_one(sched, &held.task);
    for (unsigned i = 0; i < 4; i++)
        begin_waiting(&waiters[i], sched);
    raise_to(&held.may_end, 1);
    for (unsigned i = 0; i < 4; i++)
        pthread_join(waiters[i].thread, NULL);
    cr_assert_eq(atomic_load(&held.ended), 1);
    javm_sched_destroy(sched);
}

static void wait_from_inside(struct javm_worker *worker, struct javm_task *task)
{
    (void)task;
    javm_sched_wait(javm_worker_sched(worker));
}

static void destroy_from_inside(struct javm_worker *worker, struct javm_task *task)
{
    (void)task;
    javm_sched_destroy(javm_worker_sched(worker));
}

/* It would wait for itself for ever: says so and aborts. In a process of its own. */
static void expect_abort(void (*run)(struct javm_worker *, struct javm_task *))
{
    int status;
    const pid_t child = fork();
    cr_assert_geq(child, 0);
    if (child == 0) {
        const struct rlimit none = {0, 0};
        struct javm_task task = {run};
        struct javm_task *list = &task;
        struct javm_sched *sched = NULL;
        const struct javm_sched_options options = {.workers = 1};
        (void)setrlimit(RLIMIT_CORE, &none);
        (void)signal(SIGABRT, SIG_DFL);
        (void)dup2(open("/dev/null", O_WRONLY), STDERR_FILENO);
        if (javm_sched_create(&options, &sched, NULL) == JAVM_OK &&
            javm_sched_submit(sched, &list, 1) == JAVM_OK)
            javm_sched_wait(sched);
        _exit(0);
    }
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status));
    cr_assert_eq(WTERMSIG(status), SIGABRT);
}

Test(sched, waiting_for_oneself_is_refused)
{
    expect_abort(wait_from_inside);
    expect_abort(destroy_from_inside);
}

/* ---- fairness, hints, signals ---- */

struct endless {
    struct javm_task task;
    atomic_uint *stop;
};

static void spawn_itself(struct javm_worker *worker, struct javm_task *task)
{
    const struct endless *endless = (const struct endless *)(const void *)task;
    if (atomic_load(endless->stop) == 0 && javm_sched_spawn(worker, task) != JAVM_OK)
        abort();
}

/* The other task's run ends the endless one; if it never comes, nor does that. */
Test(sched, spawning_tasks_do_not_starve_those_outside)
{
    struct counted outside = {.task.run = count_run};
    struct endless endless = {{spawn_itself}, &outside.runs};
    struct javm_sched *sched = start_sched((struct javm_sched_options){.workers = 1});
    submit_one(sched, &endless.task);
    while (sum_stats(sched).tasks == 0)
        sched_yield();
    submit_one(sched, &outside.task);
    javm_sched_wait(sched);
    cr_assert_eq(atomic_load(&outside.runs), 1);
    javm_sched_destroy(sched);
}

/* In one batch both come to the worker's deque, and the endless one always lies on top. */
Test(sched, spawning_tasks_do_not_starve_those_below)
{
    enum { BELOW = 20 };
    struct counted last = {.task.run = count_run};
    struct counted below[BELOW];
    struct endless endless = {{spawn_itself}, &last.runs};
    struct javm_task *list[BELOW + 2];
    struct held held = {.task.run = hold};
    struct javm_sched *sched = start_sched((struct javm_sched_options){.workers = 1});
    submit_one(sched, &held.task);
    await(&held.running, 1); /* so that the worker finds them all at once */
    list[0] = &endless.task;
    for (unsigned i = 0; i < BELOW; i++) {
        below[i] = (struct counted){.task.run = count_run};
        list[2 + i] = &below[i].task;
    }
    list[1] = &last.task; /* early: in the part of the batch that the worker takes at once */
    cr_assert_eq(javm_sched_submit(sched, list, BELOW + 2), JAVM_OK);
    raise_to(&held.may_end, 1);
    javm_sched_wait(sched);
    cr_assert_eq(atomic_load(&last.runs), 1);
    for (unsigned i = 0; i < BELOW; i++)
        cr_assert_eq(atomic_load(&below[i].runs), 1);
    javm_sched_destroy(sched);
}

struct asking {
    struct javm_task task;
    atomic_uint wanted, wrong;
    bool others;
};

static void ask(struct javm_worker *worker, struct javm_task *task)
{
    struct asking *asking = (struct asking *)(void *)task;
    if (!asking->others && javm_worker_should_split(worker))
        atomic_fetch_add(&asking->wrong, 1);
    while (asking->others && !javm_worker_should_split(worker))
        sched_yield(); /* the other worker finds out that it has nothing to do */
    raise_to(&asking->wanted, 1);
}

Test(sched, split_hint)
{
    for (unsigned workers = 1; workers <= 2; workers++) {
        struct asking asking = {.task.run = ask, .others = workers > 1};
        struct javm_sched *sched = start_sched((struct javm_sched_options){.workers = workers});
        submit_one(sched, &asking.task);
        javm_sched_wait(sched);
        cr_assert_eq(atomic_load(&asking.wanted), 1);
        cr_assert_eq(atomic_load(&asking.wrong), 0);
        javm_sched_destroy(sched);
    }
}

struct masked {
    struct javm_task task;
    sigset_t mask;
};

static void read_mask(struct javm_worker *worker, struct javm_task *task)
{
    (void)worker;
    (void)pthread_sigmask(SIG_BLOCK, NULL, &((struct masked *)(void *)task)->mask);
}

Test(sched, signals_of_the_process_are_not_for_workers)
{
    sigset_t before;
    sigset_t after;
    struct masked masked = {.task.run = read_mask};
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, NULL, &before), 0);
    struct javm_sched *sched = start_sched((struct javm_sched_options){.workers = 1});
    cr_assert_eq(pthread_sigmask(SIG_BLOCK, NULL, &after), 0);
    submit_one(sched, &masked.task);
    javm_sched_wait(sched);
    javm_sched_destroy(sched);
    for (int signal = 1; signal < 32; signal++)
        cr_assert_eq(sigismember(&before, signal), sigismember(&after, signal));
    cr_assert(sigismember(&masked.mask, SIGINT) == 1 && sigismember(&masked.mask, SIGTERM) == 1 &&
              sigismember(&masked.mask, SIGALRM) == 1 && sigismember(&masked.mask, SIGPIPE) == 1);
    cr_assert(sigismember(&masked.mask, SIGSEGV) == 0 && sigismember(&masked.mask, SIGBUS) == 0 &&
              sigismember(&masked.mask, SIGFPE) == 0 && sigismember(&masked.mask, SIGPROF) == 0);
}
