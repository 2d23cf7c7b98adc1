/* One iteration of a row hands empty tasks to a scheduler and waits for them. What is printed is
 * worker time per task, that is elapsed time x workers / tasks: idle workers count, as does waking
 * them at the start. */
#include "bench/bench_sched.h"

#include <stdio.h>
#include <stdlib.h>

#include "javm/sched.h"

enum { TASKS = 1 << 16, BATCH = 256 };

/* A tree in an array: node i has the children 2i + 1 and 2i + 2. */
struct node {
    struct javm_task task; /* first: a node is its task */
    uint32_t index;
};

struct row {
    unsigned workers;
    unsigned tasks;
    bool tree; /* spawned by each other, not handed in from outside */
    struct javm_sched *sched;
};

static struct node nodes[TASKS];

static void run_leaf(struct javm_worker *worker, struct javm_task *task)
{
    (void)worker;
    (void)task;
}

static void run_node(struct javm_worker *worker, struct javm_task *task)
{
    const uint32_t index = ((const struct node *)(const void *)task)->index;
    for (uint32_t child = 2 * index + 1; child <= 2 * index + 2 && child < TASKS; child++)
        if (javm_sched_spawn(worker, &nodes[child].task) != JAVM_OK)
            run_node(worker, &nodes[child].task);
}

static void submit(struct javm_sched *sched, uint32_t first, size_t count)
{
    struct javm_task *batch[BATCH];
    for (size_t i = 0; i < count; i++)
        batch[i] = &nodes[first + i].task;
    if (javm_sched_submit(sched, batch, count) != JAVM_OK) {
        fprintf(stderr, "no memory for the tasks of a benchmark\n");
        abort();
    }
}

/* Between two runs nobody reads the nodes, so rows may share them. */
static void prepare(struct row *row)
{
    const struct javm_sched_options options = {.workers = row->workers};
    struct javm_error err = {.text = ""};
    if (row->sched == NULL && javm_sched_create(&options, &row->sched, &err) != JAVM_OK) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    if (nodes[0].task.run == (row->tree ? run_node : run_leaf))
        return;
    for (uint32_t i = 0; i < TASKS; i++)
        nodes[i] = (struct node){{row->tree ? run_node : run_leaf}, i};
}

static void run_row(void *context)
{
    struct row *row = context;
    prepare(row);
    if (row->tree)
        submit(row->sched, 0, 1);
    for (uint32_t at = 0; at < row->tasks && !row->tree; at += BATCH)
        submit(row->sched, at, row->tasks - at < BATCH ? row->tasks - at : BATCH);
    javm_sched_wait(row->sched);
}

void bench_sched_rows(struct bench *rows)
{
    static struct row kinds[BENCH_SCHED_ROWS] = {
        {.workers = 1, .tasks = TASKS, .tree = true},
        {.workers = 2, .tasks = TASKS, .tree = true},
        {.workers = 1, .tasks = TASKS},
        {.workers = 2, .tasks = TASKS},
        {.workers = 1, .tasks = 1},
        {.workers = 2, .tasks = 1},
    };
    for (unsigned i = 0; i < BENCH_SCHED_ROWS; i++) {
        const struct row *kind = &kinds[i];
        const char *what = kind->tree         ? "spawn tree"
                           : kind->tasks != 1 ? "from outside"
                                              : "one there and back"; /* so a time, not a cost */
        rows[i].section = "scheduler";
        snprintf(rows[i].name, sizeof rows[i].name, "%s", what);
        rows[i].column = kind->workers == 1 ? "1 worker" : "2 workers";
        rows[i].run = run_row;
        rows[i].context = &kinds[i];
        rows[i].items = kind->tasks == 1 ? 0 : (double)kind->tasks / kind->workers;
    }
}
