/* Whole schedulers under load, with more workers than cores, one worker, and machines that are not
 * there. Would catch: a task run twice or never, a task that does not see what its maker wrote, a
 * waiter that does not see what tasks wrote, counts that do not add up, a wake-up lost between the
 * last look and the sleep (then a test does not end), anything left behind by stopping and
 * starting. JAVM_STRESS=n runs n times as much. */
#include "tests/sched/support.h"

#include <pthread.h>
#include <stdio.h>

/* Four sockets of two cores each: most steals are from afar, of half a deque. */
static const char WIDE[] = "Package:4 [NUMANode(memory=1GB)] L3:1 Core:2 PU:1";

/* ---- random trees ---- */

/* The tree lies in an array; a node's children are next to each other. `number` is plain memory:
 * the parent writes it before it spawns, the child reads it, the test reads it after the wait. */
struct node {
    struct javm_task task;
    struct tree *tree;
    uint32_t first_child, children;
    uint64_t number;
    atomic_uint runs;
};

struct tree {
    struct node *nodes;
    unsigned long count;
    atomic_ulong wrong;
};

static uint64_t number_of(uint64_t parent, uint64_t index)
{
    return (parent ^ index) * UINT64_C(0x9E3779B97F4A7C15) + 1;
}

static void run_node(struct javm_worker *worker, struct javm_task *task)
{
    struct node *node = (struct node *)(void *)task;
    struct tree *tree = node->tree;
    if (atomic_fetch_add_explicit(&node->runs, 1, memory_order_relaxed) != 0)
        atomic_fetch_add_explicit(&tree->wrong, 1, memory_order_relaxed);
    for (uint32_t i = 0; i < node->children; i++) {
        struct node *child = &tree->nodes[node->first_child + i];
        child->number = number_of(node->number, node->first_child + i);
        if (javm_sched_spawn(worker, &child->task) != JAVM_OK)
            atomic_fetch_add_explicit(&tree->wrong, 1, memory_order_relaxed);
    }
}

/* Up to `most` children a node: with 2 the tree is deep and thin, with 50 flat. */
static void tree_build(struct tree *tree, unsigned long count, unsigned most, uint64_t seed)
{
    unsigned long made = 1;
    tree->count = count;
    tree->nodes = calloc(count, sizeof *tree->nodes);
    cr_assert_not_null(tree->nodes);
    atomic_store(&tree->wrong, 0);
    for (unsigned long i = 0; i < count; i++) {
        struct node *node = &tree->nodes[i];
        unsigned long children = next_random(&seed) % (most + 1);
        if (children == 0 && made == i + 1)
            children = 1; /* or the rest could not be reached */
        if (children > count - made)
            children = count - made;
        node->task.run = run_node;
        node->tree = tree;
        node->first_child = (uint32_t)made;
        node->children = (uint32_t)children;
        made += children;
    }
}

static void tree_check(const struct tree *tree)
{
    cr_assert_eq(atomic_load(&tree->wrong), 0);
    for (unsigned long i = 0; i < tree->count; i++) {
        const struct node *node = &tree->nodes[i];
        cr_assert_eq(atomic_load_explicit(&node->runs, memory_order_relaxed), 1, "node %lu", i);
        for (uint32_t k = 0; k < node->children; k++)
            cr_assert_eq(tree->nodes[node->first_child + k].number,
                         number_of(node->number, node->first_child + k));
    }
}

static void run_trees(struct javm_sched_options options, unsigned most, unsigned rounds)
{
    uint64_t submitted = 0;
    uint64_t spawned = 0;
    struct javm_sched *sched = start_sched(options);
    for (unsigned round = 0; round < rounds; round++) {
        struct tree tree;
        tree_build(&tree, scaled(200000), most, round + options.workers);
        submit_one(sched, &tree.nodes[0].task);
        javm_sched_wait(sched);
        tree_check(&tree);
        submitted++;
        spawned += tree.count - 1;
        check_stats(sched, submitted, spawned);
        free(tree.nodes);
    }
    javm_sched_destroy(sched);
}

Test(stress, trees_on_one_worker)
{
    run_trees((struct javm_sched_options){.workers = 1}, 2, 2);
    run_trees((struct javm_sched_options){.workers = 1}, 50, 2);
}

Test(stress, trees_on_two_workers)
{
    run_trees((struct javm_sched_options){.workers = 2}, 2, 3);
    run_trees((struct javm_sched_options){.workers = 2}, 5, 3);
    run_trees((struct javm_sched_options){.workers = 2, .numa = JAVM_NUMA_OFF}, 50, 3);
}

Test(stress, trees_on_more_workers_than_cores)
{
    run_trees((struct javm_sched_options){.workers = 7}, 3, 3);
    run_trees((struct javm_sched_options){.workers = 65}, 3, 2); /* over a word of sleepers' bits */
}

Test(stress, trees_with_steals_from_afar)
{
    run_trees((struct javm_sched_options){.workers = 8, .synthetic = WIDE}, 3, 3);
    run_trees((struct javm_sched_options){.workers = 8, .synthetic = WIDE}, 50, 3);
}

/* ---- from outside ---- */

enum { OUTSIDERS = 4 };

struct parcel {
    struct javm_task task;
    atomic_uint runs;
    uint64_t given, got; /* plain: the submitter writes one, the task the other */
};

struct outsider {
    pthread_t thread;
    struct javm_sched *sched;
    struct parcel *parcels;
    unsigned long count, wrong;
    uint64_t seed;
};

static void run_parcel(struct javm_worker *worker, struct javm_task *task)
{
    struct parcel *parcel = (struct parcel *)(void *)task;
    (void)worker;
    atomic_fetch_add_explicit(&parcel->runs, 1, memory_order_relaxed);
    parcel->got = parcel->given + 1;
}

static void *send_all(void *arg)
{
    enum { MOST = 300 };
    struct outsider *self = arg;
    struct javm_task *batch[MOST];
    unsigned long waited = 0;
    for (unsigned long at = 0; at < self->count;) {
        size_t size = 0;
        for (size_t want = 1 + next_random(&self->seed) % MOST; size < want && at < self->count;
             size++, at++) {
            self->parcels[at] =
                (struct parcel){.task.run = run_parcel, .given = number_of(self->seed, at)};
            batch[size] = &self->parcels[at].task;
        }
        self->wrong += javm_sched_submit(self->sched, batch, size) != JAVM_OK;
        if (next_random(&self->seed) % 16 != 0)
            continue;
        /* All of its own are done then, whatever the others do meanwhile. */
        javm_sched_wait(self->sched);
        for (; waited < at; waited++) {
            const struct parcel *parcel = &self->parcels[waited];
            self->wrong += atomic_load_explicit(&parcel->runs, memory_order_relaxed) != 1;
            self->wrong += parcel->got != parcel->given + 1;
        }
    }
    return NULL;
}

static void run_outsiders(struct javm_sched_options options)
{
    static struct outsider outsiders[OUTSIDERS];
    struct javm_sched *sched = start_sched(options);
    uint64_t total = 0;
    for (unsigned i = 0; i < OUTSIDERS; i++) {
        struct outsider *o = &outsiders[i];
        *o = (struct outsider){.sched = sched, .count = scaled(150000), .seed = i + 1};
        total += o->count;
        o->parcels = calloc(o->count, sizeof *o->parcels);
        cr_assert_not_null(o->parcels);
        cr_assert_eq(pthread_create(&o->thread, NULL, send_all, o), 0);
    }
    for (unsigned i = 0; i < OUTSIDERS; i++)
        pthread_join(outsiders[i].thread, NULL);
    javm_sched_wait(sched);
    check_stats(sched, total, 0);
    javm_sched_destroy(sched);
    for (unsigned i = 0; i < OUTSIDERS; i++) {
        cr_assert_eq(outsiders[i].wrong, 0);
        for (unsigned long k = 0; k < outsiders[i].count; k++) {
            const struct parcel *parcel = &outsiders[i].parcels[k];
            cr_assert_eq(atomic_load(&parcel->runs), 1);
            cr_assert_eq(parcel->got, parcel->given + 1);
        }
        free(outsiders[i].parcels);
    }
}

Test(stress, many_threads_submit_and_wait)
{
    run_outsiders((struct javm_sched_options){.workers = 1});
    run_outsiders((struct javm_sched_options){.workers = 2});
    run_outsiders((struct javm_sched_options){.workers = 6, .synthetic = WIDE});
}

/* ---- stop and start ---- */

Test(stress, stop_and_start)
{
    uint64_t random = 7;
    const unsigned long rounds = scaled(400);
    for (unsigned long round = 0; round < rounds; round++) {
        struct tree tree;
        struct javm_sched *sched = start_sched(
            (struct javm_sched_options){.workers = 1 + (unsigned)(next_random(&random) % 6)});
        tree_build(&tree, 1 + next_random(&random) % 300, 3, round);
        if (next_random(&random) % 4 != 0) {
            submit_one(sched, &tree.nodes[0].task);
            if (next_random(&random) % 2 == 0)
                javm_sched_wait(sched);
            javm_sched_destroy(sched);
            tree_check(&tree);
        } else {
            javm_sched_destroy(sched); /* never had anything to do */
        }
        free(tree.nodes);
    }
}

/* ---- nobody sleeps while there is work ---- */

/* A parent makes `children` of them and stays until all run at the same time: each needs a worker
 * of its own, and those may just be on their way to sleep. Before it spawns each it lets some time
 * pass, shorter or longer than idle workers look around. */
struct party {
    struct javm_task task;
    struct guest {
        struct javm_task task;
        struct party *party;
    } guests[4];
    unsigned children;
    atomic_uint there;
    uint64_t random;
};

static void pass_time(uint64_t *random)
{
    for (volatile uint64_t turns = next_random(random) % (1U << next_random(random) % 14);
         turns > 0; turns--)
        ;
}

static void be_there(struct javm_worker *worker, struct javm_task *task)
{
    struct party *party = ((const struct guest *)(const void *)task)->party;
    (void)worker;
    atomic_fetch_add(&party->there, 1);
    await(&party->there, party->children + 1);
}

static void invite(struct javm_worker *worker, struct javm_task *task)
{
    struct party *party = (struct party *)(void *)task;
    for (unsigned i = 0; i < party->children; i++) {
        pass_time(&party->random);
        party->guests[i] = (struct guest){{be_there}, party};
        if (javm_sched_spawn(worker, &party->guests[i].task) != JAVM_OK)
            abort();
    }
    atomic_fetch_add(&party->there, 1);
    await(&party->there, party->children + 1);
}

static void run_parties(struct javm_sched_options options, unsigned children, unsigned long rounds)
{
    struct party party = {.task.run = invite, .children = children, .random = children};
    uint64_t random = options.workers;
    struct javm_sched *sched = start_sched(options);
    for (unsigned long round = 0; round < rounds; round++) {
        raise_to(&party.there, 0);
        submit_one(sched, &party.task);
        javm_sched_wait(sched);
        cr_assert_eq(atomic_load(&party.there), children + 1);
        pass_time(&random);
    }
    check_stats(sched, rounds, rounds * children);
    javm_sched_destroy(sched);
}

Test(stress, a_child_wakes_a_sleeper)
{
    run_parties((struct javm_sched_options){.workers = 2}, 1, scaled(8000));
    /* As one would on a large machine, where workers look around before they sleep. */
    run_parties((struct javm_sched_options){.workers = 2, .numa = JAVM_NUMA_OFF}, 1, scaled(8000));
}

Test(stress, children_wake_as_many_as_they_need)
{
    run_parties((struct javm_sched_options){.workers = 5}, 4, scaled(5000));
    run_parties((struct javm_sched_options){.workers = 5, .synthetic = WIDE}, 4, scaled(5000));
}

/* The same with tasks from outside, in one batch or one by one. */
struct crowd {
    struct javm_task task;
    atomic_uint *there;
    unsigned size;
};

static void meet(struct javm_worker *worker, struct javm_task *task)
{
    const struct crowd *one = (const struct crowd *)(const void *)task;
    (void)worker;
    atomic_fetch_add(one->there, 1);
    await(one->there, one->size);
}

Test(stress, a_submission_wakes_as_many_as_it_needs)
{
    enum { WORKERS = 4 };
    struct crowd crowd[WORKERS];
    struct javm_task *list[WORKERS];
    atomic_uint there;
    uint64_t random = 3;
    struct javm_sched *sched = start_sched((struct javm_sched_options){.workers = WORKERS});
    const unsigned long rounds = scaled(5000);
    for (unsigned long round = 0; round < rounds; round++) {
        atomic_store(&there, 0);
        for (unsigned i = 0; i < WORKERS; i++) {
            crowd[i] = (struct crowd){{meet}, &there, WORKERS};
            list[i] = &crowd[i].task;
        }
        if (round % 2 == 0) {
            cr_assert_eq(javm_sched_submit(sched, list, WORKERS), JAVM_OK);
        } else {
            for (unsigned i = 0; i < WORKERS; i++) {
                submit_one(sched, list[i]);
                pass_time(&random);
            }
        }
        javm_sched_wait(sched);
        pass_time(&random);
    }
    check_stats(sched, rounds * WORKERS, 0);
    javm_sched_destroy(sched);
}
