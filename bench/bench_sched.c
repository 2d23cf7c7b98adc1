#include "bench/bench_sched.h"

#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "javm/sched.h"

#define BATCH 256

/* A tree in an array: node i has the children 2i + 1 and 2i + 2. */
struct node {
    struct javm_task task; /* first: a node is its task */
    struct tree *tree;
};

struct tree {
    uint64_t count;
    struct node nodes[];
};

static double now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void run_leaf(struct javm_worker *worker, struct javm_task *task)
{
    (void)worker;
    (void)task;
}

static void run_node(struct javm_worker *worker, struct javm_task *task)
{
    const struct node *node = (const struct node *)(const void *)task;
    struct tree *tree = node->tree;
    const uint64_t index = (uint64_t)(node - tree->nodes);
    for (uint64_t child = 2 * index + 1; child <= 2 * index + 2 && child < tree->count; child++)
        if (javm_sched_spawn(worker, &tree->nodes[child].task) != JAVM_OK)
            run_node(worker, &tree->nodes[child].task);
}

static struct tree *tree_new(uint64_t count, void (*run)(struct javm_worker *, struct javm_task *))
{
    if (count == 0 || count > SIZE_MAX / 2 / sizeof(struct node))
        return NULL;
    struct tree *tree = malloc(sizeof *tree + (size_t)count * sizeof tree->nodes[0]);
    if (tree == NULL)
        return NULL;
    tree->count = count;
    for (uint64_t i = 0; i < count; i++) /* also touches the pages, before the clock runs */
        tree->nodes[i] = (struct node){.task.run = run, .tree = tree};
    return tree;
}

static bool submit_all(struct javm_sched *sched, struct tree *tree)
{
    struct javm_task *batch[BATCH];
    for (uint64_t at = 0; at < tree->count;) {
        size_t size = 0;
        while (size < BATCH && at < tree->count)
            batch[size++] = &tree->nodes[at++].task;
        if (javm_sched_submit(sched, batch, size) != JAVM_OK)
            return false;
    }
    return true;
}

static double measure(unsigned workers, uint64_t tasks, bool outside)
{
    const struct javm_sched_options options = {.workers = workers};
    struct javm_sched *sched;
    struct tree *tree = tree_new(tasks, outside ? run_leaf : run_node);
    if (tree == NULL)
        return -1;
    if (javm_sched_create(&options, &sched, NULL) != JAVM_OK) {
        free(tree);
        return -1;
    }
    struct javm_task *root = &tree->nodes[0].task;
    const double begin = now_ns();
    const bool fine = outside ? submit_all(sched, tree)
                              : javm_sched_submit(sched, &root, 1) == JAVM_OK;
    javm_sched_wait(sched);
    const double elapsed = now_ns() - begin;
    const double count = (double)javm_sched_workers(sched);
    javm_sched_destroy(sched);
    free(tree);
    return fine ? elapsed * count / (double)tasks : -1;
}

double bench_sched_ns_per_task(unsigned workers, uint64_t tasks)
{
    return measure(workers, tasks, false);
}

double bench_sched_ns_per_submit(unsigned workers, uint64_t tasks)
{
    return measure(workers, tasks, true);
}
