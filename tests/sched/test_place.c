/* Where workers run and from whom they steal, seen from outside: on made-up machines the order and
 * size of steals, on this one the binding. Would catch: stealing from afar while a neighbour has
 * work, one task at a time from afar or many from next door, steals counted at the wrong distance,
 * workers that say that they are bound and are not, threads bound to a machine that is not there,
 * a caller whose own affinity is changed, an affinity or cpuset that is not respected. */
#include "tests/sched/support.h"

#include <hwloc.h>
#include <linux/mempolicy.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "sched/quota.h"
#include "sched/topology.h"

static const char BIG[] = "Package:2 [NUMANode(memory=1GB)] L3:4 Core:8 PU:1";
/* The same distances with fewer workers: 0 and 1 share an L3 cache, 2 and 3 the next one; all
 * share a node. 4 to 7 are the other socket. */
static const char SMALL[] = "Package:2 [NUMANode(memory=1GB)] L3:2 Core:2 PU:1";

/* ---- steals ---- */

enum { MOST = 8, LEAVES = 100 };

/* One task for every worker, so that each of them knows what it has to do: worker 0 is the thief
 * and returns at once, those in `loaded` spawn LEAVES tasks first; all but the thief stay until it
 * has stolen something. The thief stays in the first task that it gets until all have looked. */
struct scene {
    struct javm_sched *sched;
    unsigned workers, loaded; /* loaded: a bit per worker */
    atomic_uint arrived, filled, stolen, may_end, leaves_run;
    unsigned stolen_from; /* published by `stolen` */
    struct javm_worker_stats before, after;
};

struct actor {
    struct javm_task task;
    struct scene *scene;
};

struct leaf {
    struct javm_task task;
    struct scene *scene;
    unsigned owner;
};

static struct leaf leaves[MOST][LEAVES];

static void run_leaf(struct javm_worker *worker, struct javm_task *task)
{
    const struct leaf *leaf = (const struct leaf *)(const void *)task;
    struct scene *scene = leaf->scene;
    if (javm_worker_index(worker) == 0 && atomic_load(&scene->stolen) == 0) {
        javm_sched_worker_stats(scene->sched, 0, &scene->after);
        scene->stolen_from = leaf->owner;
        raise_to(&scene->stolen, 1);
        await(&scene->may_end, 1);
    }
    atomic_fetch_add(&scene->leaves_run, 1);
}

static void act(struct javm_worker *worker, struct javm_task *task)
{
    struct scene *scene = ((const struct actor *)(const void *)task)->scene;
    const unsigned index = javm_worker_index(worker);
    atomic_fetch_add(&scene->arrived, 1);
    await(&scene->arrived, scene->workers);
    if (index == 0) {
        javm_sched_worker_stats(scene->sched, 0, &scene->before);
        await(&scene->filled, (unsigned)__builtin_popcount(scene->loaded));
        return;
    }
    if ((scene->loaded >> index & 1) != 0) {
        for (unsigned i = 0; i < LEAVES; i++) {
            leaves[index][i] = (struct leaf){{run_leaf}, scene, index};
            if (javm_sched_spawn(worker, &leaves[index][i].task) != JAVM_OK)
                abort();
        }
        atomic_fetch_add(&scene->filled, 1);
    }
    await(&scene->stolen, 1);
}

/* What worker 0 does first when those in `loaded` have work and all the others are busy. */
static void play(const char *synthetic, unsigned workers, unsigned loaded, struct scene *scene)
{
    struct actor actors[MOST];
    struct javm_task *list[MOST];
    *scene = (struct scene){.workers = workers, .loaded = loaded};
    scene->sched =
        start_sched((struct javm_sched_options){.workers = workers, .synthetic = synthetic});
    for (unsigned i = 0; i < workers; i++) {
        actors[i] = (struct actor){{act}, scene};
        list[i] = &actors[i].task;
    }
    cr_assert_eq(javm_sched_submit(scene->sched, list, workers), JAVM_OK);
    await(&scene->stolen, 1);
    raise_to(&scene->may_end, 1);
    javm_sched_wait(scene->sched);
    const unsigned count = (unsigned)__builtin_popcount(loaded) * LEAVES;
    cr_assert_eq(atomic_load(&scene->leaves_run), count);
    check_stats(scene->sched, workers, count);
    javm_sched_destroy(scene->sched);
}

static void expect_steal(const struct scene *scene, unsigned from, unsigned tasks, unsigned level)
{
    const struct javm_worker_stats *a = &scene->before;
    const struct javm_worker_stats *b = &scene->after;
    cr_assert_eq(scene->stolen_from, from, "from %u", scene->stolen_from);
    cr_assert_eq(b->stolen_tasks - a->stolen_tasks, tasks, "%zu tasks",
                 (size_t)(b->stolen_tasks - a->stolen_tasks));
    cr_assert_eq(b->steals_l3 - a->steals_l3, level == TOPOLOGY_L3);
    cr_assert_eq(b->steals_node - a->steals_node, level == TOPOLOGY_NODE);
    cr_assert_eq(b->steals_far - a->steals_far, level >= TOPOLOGY_PACKAGE);
}

Test(place, the_nearest_with_work_is_robbed_first)
{
    struct scene scene;
    for (unsigned round = 0; round < 10; round++) {
        play(SMALL, 5, 1U << 1 | 1U << 2 | 1U << 4, &scene);
        expect_steal(&scene, 1, 1, TOPOLOGY_L3);
        play(SMALL, 5, 1U << 2 | 1U << 4, &scene);
        expect_steal(&scene, 2, 1, TOPOLOGY_NODE);
    }
}

Test(place, half_a_deque_from_afar)
{
    struct scene scene;
    for (unsigned round = 0; round < 10; round++) {
        play(SMALL, 5, 1U << 4, &scene);
        expect_steal(&scene, 4, LEAVES / 2, TOPOLOGY_REMOTE);
        /* Another node of the same socket is far, too. */
        play("Package:1 Die:2 [NUMANode(memory=1GB)] Core:1 PU:1", 2, 1U << 1, &scene);
        expect_steal(&scene, 1, LEAVES / 2, TOPOLOGY_PACKAGE);
    }
}

Test(place, all_of_the_far_workers_are_found)
{
    struct scene scene;
    for (unsigned victim = 1; victim < MOST; victim++)
        play(SMALL, MOST, 1U << victim, &scene); /* or it would not end */
}

/* ---- a machine that is not there ---- */

Test(place, nothing_is_bound_on_a_made_up_machine)
{
    struct javm_sched *sched = start_sched((struct javm_sched_options){.synthetic = BIG});
    cr_assert_eq(javm_sched_workers(sched), 64);
    for (unsigned i = 0; i < 64; i++) {
        struct javm_worker_stats stats;
        javm_sched_worker_stats(sched, i, &stats);
        cr_assert_eq(stats.cpu, -1);
        cr_assert_eq(stats.node, -1);
    }
    javm_sched_destroy(sched);
}

/* A file in which hwloc describes BIG, but with a cpuset that leaves only some units to us. */
static void write_limited_machine(const char *path, const char *allowed)
{
    hwloc_topology_t machine;
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    cr_assert_eq(hwloc_topology_init(&machine), 0);
    cr_assert_eq(hwloc_topology_set_flags(machine, HWLOC_TOPOLOGY_FLAG_INCLUDE_DISALLOWED), 0);
    cr_assert_eq(hwloc_topology_set_synthetic(machine, BIG), 0);
    cr_assert_eq(hwloc_topology_load(machine), 0);
    cr_assert_eq(hwloc_bitmap_list_sscanf(set, allowed), 0);
    cr_assert_eq(hwloc_topology_allow(machine, set, NULL, HWLOC_ALLOW_FLAG_CUSTOM), 0);
    cr_assert_eq(hwloc_topology_export_xml(machine, path, 0), 0);
    hwloc_bitmap_free(set);
    hwloc_topology_destroy(machine);
}

Test(place, the_cpuset_of_a_described_machine_counts)
{
    static const char path[] = "place-machine.xml";
    static const int cpus[] = {6, 7, 8, 40, 41};
    static const int nodes[] = {0, 0, 0, 1, 1};
    struct topology topology;
    write_limited_machine(path, "6-8,40-41");
    cr_assert_eq(setenv("HWLOC_XMLFILE", path, 1), 0);
    cr_assert_eq(topology_load(&topology, NULL, NULL), JAVM_OK);
    cr_assert_not(topology.ours);
    cr_assert_eq(topology.count, 5);
    cr_assert_eq(topology_default_workers(&topology), 5);
    for (unsigned i = 0; i < 5; i++) {
        cr_assert_eq(topology_place(&topology, i)->cpu, cpus[i]);
        cr_assert_eq(topology_place(&topology, i)->node, nodes[i]);
    }
    cr_assert_eq(topology_between(&topology, 0, 1), TOPOLOGY_L3);
    cr_assert_eq(topology_between(&topology, 1, 2), TOPOLOGY_NODE);
    cr_assert_eq(topology_between(&topology, 2, 3), TOPOLOGY_REMOTE);
    topology_unload(&topology);
    struct javm_sched *sched = start_sched((struct javm_sched_options){.workers = 0});
    cr_assert_eq(javm_sched_workers(sched), 5);
    javm_sched_destroy(sched);
    cr_assert_eq(unsetenv("HWLOC_XMLFILE"), 0);
    cr_assert_eq(remove(path), 0);
}

/* ---- this machine ---- */

struct bound {
    struct javm_task task;
    atomic_uint *arrived;
    unsigned workers;
    /* What the worker that ran it found: */
    unsigned index;
    int cpu;
    cpu_set_t affinity;
    int policy; /* -1: the kernel does not tell */
    unsigned long nodes[16];
};

static void look_where(struct javm_worker *worker, struct javm_task *task)
{
    struct bound *bound = (struct bound *)(void *)task;
    bound->index = javm_worker_index(worker);
    bound->cpu = sched_getcpu();
    (void)sched_getaffinity(0, sizeof bound->affinity, &bound->affinity);
    if (syscall(SYS_get_mempolicy, &bound->policy, bound->nodes, 8 * sizeof bound->nodes, NULL,
                0) != 0)
        bound->policy = -1;
    atomic_fetch_add(bound->arrived, 1);
    await(bound->arrived, bound->workers); /* so each runs on another worker */
}

static void look_everywhere(struct javm_sched *sched, struct bound *found, unsigned workers)
{
    atomic_uint arrived = 0;
    for (unsigned i = 0; i < workers; i++) {
        found[i] = (struct bound){.task.run = look_where, .arrived = &arrived, .workers = workers};
        submit_one(sched, &found[i].task);
    }
    javm_sched_wait(sched);
}

/* Some sandboxes refuse memory policies; then there is nothing to check. Tried on this thread. */
static bool policies_work(const struct topology_core *core)
{
    const unsigned long nodes = core->node >= 0 && core->node < 63 ? 1UL << core->node : 0;
    if (nodes == 0 || syscall(SYS_set_mempolicy, MPOL_PREFERRED, &nodes, 64) != 0)
        return false;
    return syscall(SYS_set_mempolicy, MPOL_DEFAULT, NULL, 0) == 0;
}

Test(place, workers_are_bound_to_their_cores_and_nodes)
{
    enum { WORKERS = 5 }; /* more than there may be cores: then they go round */
    static struct bound found[WORKERS];
    cpu_set_t before;
    cpu_set_t after;
    struct topology topology;
    CPU_ZERO(&before);
    CPU_ZERO(&after);
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    cr_assert_eq(topology_load(&topology, NULL, NULL), JAVM_OK);
    struct javm_sched *sched = start_sched((struct javm_sched_options){.workers = WORKERS});
    look_everywhere(sched, found, WORKERS);
    for (unsigned i = 0; i < WORKERS; i++) {
        const struct topology_core *core = topology_place(&topology, found[i].index);
        struct javm_worker_stats stats;
        javm_sched_worker_stats(sched, found[i].index, &stats);
        if (stats.cpu == -1) /* a sandbox that refuses: then nothing is claimed */
            continue;
        cr_assert_eq(stats.cpu, core->cpu);
        cr_assert_eq(stats.node, core->node);
        cr_assert_eq(found[i].cpu, core->cpu);
        cr_assert_eq(CPU_COUNT(&found[i].affinity), 1);
        cr_assert(CPU_ISSET((size_t)core->cpu, &found[i].affinity));
        if (policies_work(core)) {
            cr_assert_gt(found[i].policy, MPOL_DEFAULT, "policy %d", found[i].policy);
            cr_assert((found[i].nodes[core->node / 64] >> core->node % 64 & 1) != 0);
        }
    }
    javm_sched_destroy(sched);
    topology_unload(&topology);
    cr_assert_eq(sched_getaffinity(0, sizeof after, &after), 0);
    cr_assert(CPU_EQUAL(&before, &after));
}

Test(place, numa_off_binds_nothing)
{
    static struct bound found[2];
    cpu_set_t before;
    CPU_ZERO(&before);
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    struct javm_sched *sched =
        start_sched((struct javm_sched_options){.workers = 2, .numa = JAVM_NUMA_OFF});
    look_everywhere(sched, found, 2);
    for (unsigned i = 0; i < 2; i++) {
        struct javm_worker_stats stats;
        javm_sched_worker_stats(sched, i, &stats);
        cr_assert_eq(stats.cpu, -1);
        cr_assert_eq(stats.node, -1);
        cr_assert(CPU_EQUAL(&before, &found[i].affinity));
        cr_assert_leq(found[i].policy, MPOL_DEFAULT);
    }
    javm_sched_destroy(sched);
}

Test(place, the_callers_affinity_limits_the_workers)
{
    static struct bound found[3];
    cpu_set_t before;
    cpu_set_t one;
    CPU_ZERO(&before);
    CPU_ZERO(&one);
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    size_t cpu = CPU_SETSIZE - 1;
    while (!CPU_ISSET(cpu, &before))
        cpu--;
    CPU_SET(cpu, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);

    struct javm_sched *sched = start_sched((struct javm_sched_options){.workers = 0});
    cr_assert_eq(javm_sched_workers(sched), 1);
    javm_sched_destroy(sched);

    sched = start_sched((struct javm_sched_options){.workers = 3});
    look_everywhere(sched, found, 3);
    for (unsigned i = 0; i < 3; i++)
        cr_assert_eq(found[i].cpu, (int)cpu);
    javm_sched_destroy(sched);
    cr_assert_eq(sched_setaffinity(0, sizeof before, &before), 0);
}

Test(place, the_quota_of_our_group_counts)
{
    struct topology topology;
    cr_assert_eq(topology_load(&topology, NULL, NULL), JAVM_OK);
    const unsigned quota = quota_cpus("");
    cr_assert_eq(topology_default_workers(&topology),
                 quota != 0 && quota < topology.count ? quota : topology.count);
    topology_unload(&topology);
}
