/* Every interleaving of publishers and workers on the code of sched/idle.c itself, with store
 * buffers. Would catch: a lost wake-up (a worker asleep for good while a task lies in a queue and
 * everybody else is busy), counts of idle workers that do not come back to what they are. A worker
 * here is busy for ever with the first task that it gets, so a wake-up that goes to the wrong one
 * is not repaired by luck. */
#include "tests/sched/model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched/idle.c" /* NOLINT(bugprone-suspicious-include): the code under test, on the model */

enum { QUEUES = 2, WORKERS = 2 };

static union {
    struct {
        struct idle idle;
        uint64_t sleepers;
        struct park seats[WORKERS];
        uint64_t queues[QUEUES]; /* 1: a task */
    } parts;
    uint64_t words[32];
} world;

static unsigned publishers;
static unsigned per_publisher;
static bool forget_to_look; /* a defect: who found work does not look whether there is more */

static bool visible(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < QUEUES; i++)
        if (at_load_relaxed(&world.parts.queues[i]) != 0)
            return true;
    return false;
}

static void publish(unsigned queue)
{
    at_store_release(&world.parts.queues[queue], 1);
    if (idle_wake_needed(&world.parts.idle))
        idle_wake(&world.parts.idle, NULL, WORKERS, 1);
}

static void work(unsigned self)
{
    struct idle *idle = &world.parts.idle;
    idle_search_begin(idle);
    for (;;) {
        for (unsigned i = 0; i < QUEUES; i++) {
            uint64_t *queue = &world.parts.queues[i];
            if (at_load_relaxed(queue) == 0 || !at_cas_seq_cst(queue, 1, 0))
                continue;
            if (idle_search_end(idle) && !forget_to_look && visible(NULL))
                idle_wake(idle, NULL, WORKERS, 1);
            model_result(1 + i);
            return;
        }
        idle_park(idle, self, visible, NULL);
    }
}

static void body(unsigned thread)
{
    if (thread < WORKERS) {
        work(thread);
        return;
    }
    for (unsigned i = 0; i < per_publisher; i++)
        publish((thread - WORKERS) * per_publisher + i);
}

static const char *check(const struct model_state *state)
{
    unsigned asleep = 0;
    unsigned left = 0;
    unsigned gone = 0;
    for (unsigned i = 0; i < WORKERS; i++)
        asleep += !state->threads[i].done;
    for (unsigned i = WORKERS; i < WORKERS + publishers; i++)
        if (!state->threads[i].done)
            return "a publisher does not end";
    for (unsigned i = 0; i < QUEUES; i++)
        left += model_word(state, &world.parts.queues[i]) != 0;
    for (unsigned i = 0; i < WORKERS; i++)
        gone += state->threads[i].result_count;
    if (asleep > 0 && left > 0)
        return "a worker sleeps while there is a task";
    if (gone + left != publishers * per_publisher)
        return "a task lost, or run twice";
    if (model_word(state, &world.parts.idle.state) != asleep)
        return "the idle count is wrong";
    return NULL;
}

static struct model_report explore(struct model defects, unsigned how_many, unsigned tasks_each)
{
    memset(&world, 0, sizeof world);
    world.parts.idle.workers = WORKERS;
    world.parts.idle.sleepers = &world.parts.sleepers;
    world.parts.idle.seats = world.parts.seats;
    publishers = how_many;
    per_publisher = tasks_each;
    defects.words = world.words;
    defects.word_count = sizeof world.words / sizeof world.words[0];
    defects.threads = WORKERS + how_many;
    defects.body = body;
    defects.check = check;
    const struct model_report report = model_explore(&defects);
    if (getenv("JAVM_TEST_VERBOSE") != NULL)
        fprintf(stderr, "%u x %u tasks: %llu states, %llu ends%s%s\n", how_many, tasks_each,
                (unsigned long long)report.states, (unsigned long long)report.ends,
                report.wrong != NULL ? ": " : "", report.wrong != NULL ? report.wrong : "");
    return report;
}

_Static_assert(sizeof world.parts <= sizeof world.words, "the model's memory holds it all");

Test(model_idle, one_task)
{
    const struct model_report report = explore((struct model){.partial = true}, 1, 1);
    cr_assert_null(report.wrong, "%s", report.wrong);
    cr_assert_gt(report.ends, 1);
}

/* These have too many orders for every day: all runs with two preemptions take a second, and
 * JAVM_TEST_LONG=1 allows five (half an hour). */
static struct model bounded(void)
{
    return (struct model){.partial = true, .preemptions = getenv("JAVM_TEST_LONG") != NULL ? 5 : 2};
}

Test(model_idle, two_tasks_of_one_publisher)
{
    const struct model_report report = explore(bounded(), 1, 2);
    cr_assert_null(report.wrong, "%s", report.wrong);
    cr_assert_gt(report.ends, 1);
}

Test(model_idle, two_publishers)
{
    const struct model_report report = explore(bounded(), 2, 1);
    cr_assert_null(report.wrong, "%s", report.wrong);
    cr_assert_gt(report.ends, 1);
}

/* The same search has to find these. */
Test(model_idle, a_publisher_without_fence_is_found)
{
    const struct model_report report = explore((struct model){.no_fence = 1U << WORKERS}, 1, 1);
    cr_assert_not_null(report.wrong);
    cr_assert_str_eq(report.wrong, "a worker sleeps while there is a task");
}

Test(model_idle, a_worker_that_does_not_look_again_is_found)
{
    forget_to_look = true;
    const struct model_report report = explore(bounded(), 1, 2);
    forget_to_look = false;
    cr_assert_not_null(report.wrong);
    cr_assert_str_eq(report.wrong, "a worker sleeps while there is a task");
}
