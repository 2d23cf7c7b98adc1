/* Machines that nobody here has. Would catch: a victim order that is not nearest first, that leaves
 * somebody out or has the worker itself in it, workers placed on the wrong core or node,
 * hyper-threads counted as cores, affinity and the fake topologies of hwloc's environment ignored,
 * a bad description that is taken. */
#include <criterion/criterion.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "sched/topology.h"

static const char BIG[] = "Package:2 [NUMANode(memory=1GB)] L3:4 Core:8 PU:1";

static struct topology load(const char *synthetic)
{
    struct topology topology;
    struct javm_error err = {.text = ""};
    cr_assert_eq(topology_load(&topology, synthetic, &err), JAVM_OK, "%s", err.text);
    return topology;
}

Test(topology, describes_the_big_machine)
{
    struct topology topology = load(BIG);
    cr_assert_not(topology.ours);
    cr_assert_eq(topology.count, 64);
    cr_assert_eq(topology_default_workers(&topology), 64);
    for (int i = 0; i < 64; i++) {
        const struct topology_core *core = topology_place(&topology, (unsigned)i);
        cr_assert_eq(core->cpu, i);
        cr_assert_eq(core->l3, i / 8);
        cr_assert_eq(core->node, i / 32);
        cr_assert_eq(core->package, i / 32);
    }
    topology_unload(&topology);
}

Test(topology, workers_fill_cores_and_go_round)
{
    struct topology topology = load(BIG);
    for (unsigned worker = 0; worker < 200; worker++)
        cr_assert_eq(topology_place(&topology, worker)->cpu, (int)(worker % 64));
    topology_unload(&topology);
}

/* What the order must be, said without the code that makes it. */
static enum topology_distance expected(unsigned a, unsigned b)
{
    a %= 64;
    b %= 64;
    if (a / 8 == b / 8)
        return TOPOLOGY_L3;
    return a / 32 == b / 32 ? TOPOLOGY_NODE : TOPOLOGY_REMOTE;
}

static void check_victims(const struct topology *topology, unsigned self, unsigned workers)
{
    unsigned order[200];
    unsigned end[TOPOLOGY_LEVELS];
    bool seen[200] = {false};
    topology_victims(topology, self, workers, order, end);
    cr_assert_eq(end[TOPOLOGY_LEVELS - 1], workers - 1);
    unsigned level = 0;
    for (unsigned i = 0; i + 1 < workers; i++) {
        while (i >= end[level])
            level++;
        cr_assert_lt(order[i], workers);
        cr_assert_neq(order[i], self);
        cr_assert_not(seen[order[i]], "%u twice", order[i]);
        seen[order[i]] = true;
        cr_assert_eq((unsigned)expected(self, order[i]), level, "%u of %u: %u stands at level %u",
                     self, workers, order[i], level);
    }
}

Test(topology, victims_are_nearest_first)
{
    static const unsigned counts[] = {1, 2, 8, 9, 32, 33, 64, 100, 200};
    struct topology topology = load(BIG);
    for (unsigned c = 0; c < sizeof counts / sizeof *counts; c++)
        for (unsigned self = 0; self < counts[c]; self++)
            check_victims(&topology, self, counts[c]);
    topology_unload(&topology);
}

Test(topology, victim_counts_of_each_level)
{
    struct topology topology = load(BIG);
    unsigned order[64];
    unsigned end[TOPOLOGY_LEVELS];
    topology_victims(&topology, 40, 64, order, end);
    cr_assert_eq(end[TOPOLOGY_L3], 7);
    cr_assert_eq(end[TOPOLOGY_NODE], 7 + 24);
    cr_assert_eq(end[TOPOLOGY_PACKAGE], 7 + 24);
    cr_assert_eq(end[TOPOLOGY_REMOTE], 7 + 24 + 32);
    cr_assert_eq(order[0], 41); /* begins after itself */
    cr_assert_eq(order[6], 47);
    topology_unload(&topology);
}

Test(topology, nodes_within_a_socket_are_nearer_than_another_socket)
{
    struct topology topology = load("Package:2 Die:2 [NUMANode(memory=1GB)] L3:2 Core:2 PU:1");
    cr_assert_eq(topology.count, 16);
    cr_assert_eq(topology_between(&topology, 0, 1), TOPOLOGY_L3);
    cr_assert_eq(topology_between(&topology, 0, 2), TOPOLOGY_NODE);
    cr_assert_eq(topology_between(&topology, 0, 4), TOPOLOGY_PACKAGE);
    cr_assert_eq(topology_between(&topology, 0, 8), TOPOLOGY_REMOTE);
    topology_unload(&topology);
}

/* Where memory is to be placed: with the socket's node, or with a node for each cache. */
Test(topology, every_worker_has_the_node_of_its_core)
{
    struct topology topology = load("Package:2 Group:4 [NUMANode(memory=1GB)] L3:1 Core:8 PU:1");
    cr_assert_eq(topology.count, 64);
    for (unsigned i = 0; i < 64; i++) {
        cr_assert_eq(topology_place(&topology, i)->node, (int)(i / 8));
        cr_assert_eq(topology_place(&topology, i)->package, (int)(i / 32));
    }
    unsigned order[63];
    unsigned end[TOPOLOGY_LEVELS];
    topology_victims(&topology, 5, 64, order, end);
    cr_assert_eq(end[TOPOLOGY_L3], 7);
    cr_assert_eq(end[TOPOLOGY_NODE], 7);
    cr_assert_eq(end[TOPOLOGY_PACKAGE], 7 + 24);
    cr_assert_eq(end[TOPOLOGY_REMOTE], 7 + 24 + 32);
    topology_unload(&topology);
}

/* Few workers share a cache and a node, so that they share the code that they run. */
Test(topology, few_workers_stay_together)
{
    struct topology topology = load(BIG);
    for (unsigned i = 0; i < 8; i++)
        cr_assert_eq(topology_place(&topology, i)->l3, 0);
    for (unsigned i = 0; i < 32; i++)
        cr_assert_eq(topology_place(&topology, i)->node, 0);
    topology_unload(&topology);
}

Test(topology, hyper_threads_are_one_core)
{
    struct topology topology = load("Package:1 L3:1 Core:4 PU:2");
    cr_assert_eq(topology.count, 4);
    for (unsigned i = 0; i < 4; i++)
        cr_assert_eq(topology_place(&topology, i)->cpu, (int)(2 * i));
    topology_unload(&topology);
}

Test(topology, no_cores_and_no_caches_described)
{
    struct topology topology = load("PU:3");
    cr_assert_eq(topology.count, 3);
    cr_assert_eq(topology_place(&topology, 0)->l3, -1);
    cr_assert_eq(topology_between(&topology, 0, 1), TOPOLOGY_NODE);
    cr_assert_eq(topology_between(&topology, 0, 3), TOPOLOGY_L3); /* the same core */
    topology_unload(&topology);
}

Test(topology, a_bad_description_is_refused)
{
    struct topology topology;
    struct javm_error err = {.text = ""};
    cr_assert_eq(topology_load(&topology, "Package:2 Nonsense:4", &err), JAVM_E_FORMAT);
    cr_assert_not_null(strstr(err.text, "Package:2 Nonsense:4"));
    cr_assert_eq(topology_load(&topology, "", &err), JAVM_E_FORMAT);
}

Test(topology, environment_of_hwloc_counts)
{
    setenv("HWLOC_SYNTHETIC", BIG, 1);
    struct topology topology = load(NULL);
    cr_assert_eq(topology.count, 64);
    cr_assert_not(topology.ours);
    cr_assert_not(topology_bind(&topology, topology_place(&topology, 63)));
    topology_unload(&topology);
    unsetenv("HWLOC_SYNTHETIC");
}

Test(topology, affinity_limits_this_machine)
{
    struct topology all = load(NULL);
    cr_assert(all.ours);
    const int cpu = topology_place(&all, all.count - 1)->cpu;
    topology_unload(&all);

    cpu_set_t before;
    CPU_ZERO(&before);
    cr_assert_eq(sched_getaffinity(0, sizeof before, &before), 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)cpu, &one);
    cr_assert_eq(sched_setaffinity(0, sizeof one, &one), 0);
    struct topology limited = load(NULL);
    cr_assert_eq(limited.count, 1);
    cr_assert_eq(topology_place(&limited, 0)->cpu, cpu);
    cr_assert_eq(topology_default_workers(&limited), 1);
    topology_unload(&limited);
    cr_assert_eq(sched_setaffinity(0, sizeof before, &before), 0);
}

Test(topology, memory_is_zero_and_can_be_freed)
{
    struct topology topology = load(NULL);
    unsigned char *near = topology_alloc(&topology, topology_place(&topology, 0), 10000);
    unsigned char *any = topology_alloc(&topology, NULL, 10000);
    cr_assert_not_null(near);
    cr_assert_not_null(any);
    for (unsigned i = 0; i < 10000; i++)
        cr_assert(near[i] == 0 && any[i] == 0);
    memset(near, 1, 10000);
    cr_assert_eq((uintptr_t)near % 64, 0);
    cr_assert_eq((uintptr_t)any % 64, 0);
    topology_free(&topology, near, 10000);
    topology_free(&topology, any, 10000);
    topology_unload(&topology);
}
