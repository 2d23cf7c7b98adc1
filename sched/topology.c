#include "sched/topology.h"

#include <errno.h>
#include <hwloc.h>
#include <stdlib.h>
#include <string.h>

#include "sched/quota.h"

static int index_or_none(hwloc_obj_t obj)
{
    return obj != NULL ? (int)obj->logical_index : -1;
}

static struct topology_core describe(hwloc_topology_t hwloc, hwloc_obj_t core, int cpu)
{
    return (struct topology_core){
        .cpu = cpu,
        .node = core->nodeset != NULL ? hwloc_bitmap_first(core->nodeset) : -1,
        .l3 = index_or_none(hwloc_get_ancestor_obj_by_type(hwloc, HWLOC_OBJ_L3CACHE, core)),
        .package = index_or_none(hwloc_get_ancestor_obj_by_type(hwloc, HWLOC_OBJ_PACKAGE, core)),
    };
}

/* The units that this thread may run on. */
static hwloc_bitmap_t usable_units(const struct topology *topology)
{
    hwloc_bitmap_t usable = hwloc_bitmap_dup(hwloc_topology_get_allowed_cpuset(topology->hwloc));
    hwloc_bitmap_t affinity = hwloc_bitmap_alloc();
    if (usable != NULL && affinity != NULL && topology->ours &&
        hwloc_get_cpubind(topology->hwloc, affinity, HWLOC_CPUBIND_THREAD) == 0 &&
        hwloc_bitmap_intersects(usable, affinity))
        hwloc_bitmap_and(usable, usable, affinity);
    hwloc_bitmap_free(affinity);
    return usable;
}

static enum javm_status list_cores(struct topology *topology, struct javm_error *err)
{
    /* Some virtual machines and containers describe no cores; then every unit counts as one. */
    const hwloc_obj_type_t type = hwloc_get_nbobjs_by_type(topology->hwloc, HWLOC_OBJ_CORE) > 0
                                      ? HWLOC_OBJ_CORE
                                      : HWLOC_OBJ_PU;
    const int total = hwloc_get_nbobjs_by_type(topology->hwloc, type);
    if (total <= 0)
        return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "hwloc describes a machine without processing units");
    hwloc_bitmap_t usable = usable_units(topology);
    hwloc_bitmap_t units = hwloc_bitmap_alloc();
    topology->cores = calloc((size_t)total, sizeof *topology->cores);
    if (usable == NULL || units == NULL || topology->cores == NULL) {
        hwloc_bitmap_free(usable);
        hwloc_bitmap_free(units);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory for a list of %d cores",
                         total);
    }
    for (int i = 0; i < total; i++) {
        hwloc_obj_t core = hwloc_get_obj_by_type(topology->hwloc, type, (unsigned)i);
        hwloc_bitmap_and(units, core->cpuset, usable);
        const int cpu = hwloc_bitmap_first(units);
        if (cpu >= 0)
            topology->cores[topology->count++] = describe(topology->hwloc, core, cpu);
    }
    hwloc_bitmap_free(usable);
    hwloc_bitmap_free(units);
    if (topology->count == 0)
        return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "none of the machine's %d cores may be used by this process", total);
    return JAVM_OK;
}

enum javm_status topology_load(struct topology *topology, const char *synthetic,
                               struct javm_error *err)
{
    *topology = (struct topology){.count = 0};
    if (hwloc_topology_init(&topology->hwloc) != 0) {
        topology->hwloc = NULL;
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "hwloc could not be initialised");
    }
    if (synthetic != NULL && hwloc_topology_set_synthetic(topology->hwloc, synthetic) != 0) {
        topology_unload(topology);
        return javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE,
                         "\"%.120s\" is not a topology; expected hwloc's synthetic description, "
                         "such as \"package:2 core:8 pu:1\"",
                         synthetic);
    }
    if (hwloc_topology_load(topology->hwloc) != 0) {
        const int code = errno;
        topology_unload(topology);
        return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "hwloc could not read the topology: %s", strerror(code));
    }
    topology->ours = hwloc_topology_is_thissystem(topology->hwloc) != 0;
    const enum javm_status status = list_cores(topology, err);
    if (status != JAVM_OK)
        topology_unload(topology);
    return status;
}

void topology_unload(struct topology *topology)
{
    free(topology->cores);
    if (topology->hwloc != NULL)
        hwloc_topology_destroy(topology->hwloc);
    *topology = (struct topology){.count = 0};
}

unsigned topology_default_workers(const struct topology *topology)
{
    const unsigned quota = topology->ours ? quota_cpus("") : 0;
    return quota != 0 && quota < topology->count ? quota : topology->count;
}

const struct topology_core *topology_place(const struct topology *topology, unsigned worker)
{
    return &topology->cores[worker % topology->count];
}

static bool same(int a, int b)
{
    return a >= 0 && a == b;
}

enum topology_distance topology_between(const struct topology *topology, unsigned worker,
                                        unsigned other)
{
    const struct topology_core *a = topology_place(topology, worker);
    const struct topology_core *b = topology_place(topology, other);
    if (a == b || same(a->l3, b->l3))
        return TOPOLOGY_L3;
    if (same(a->node, b->node))
        return TOPOLOGY_NODE;
    return same(a->package, b->package) ? TOPOLOGY_PACKAGE : TOPOLOGY_REMOTE;
}

void topology_victims(const struct topology *topology, unsigned self, unsigned workers,
                      unsigned *order, unsigned end[TOPOLOGY_LEVELS])
{
    unsigned count = 0;
    for (unsigned level = 0; level < TOPOLOGY_LEVELS; level++) {
        for (unsigned step = 1; step < workers; step++) {
            const unsigned other = (unsigned)(((size_t)self + step) % workers);
            if ((unsigned)topology_between(topology, self, other) == level)
                order[count++] = other;
        }
        end[level] = count;
    }
}

bool topology_bind(const struct topology *topology, const struct topology_core *core)
{
    if (!topology->ours)
        return false;
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (set == NULL)
        return false;
    hwloc_bitmap_only(set, (unsigned)core->cpu);
    const bool bound = hwloc_set_cpubind(topology->hwloc, set, HWLOC_CPUBIND_THREAD) == 0;
    if (bound && core->node >= 0) {
        hwloc_bitmap_only(set, (unsigned)core->node);
        /* Not strict, so a full node overflows to the next one instead of failing. Where the kernel
         * refuses, pages still come from the node of the core that touches them first. */
        (void)hwloc_set_membind(topology->hwloc, set, HWLOC_MEMBIND_BIND,
                                HWLOC_MEMBIND_THREAD | HWLOC_MEMBIND_BYNODESET);
    }
    hwloc_bitmap_free(set);
    return bound;
}

void *topology_alloc(const struct topology *topology, const struct topology_core *core, size_t size)
{
    void *memory = NULL;
    hwloc_bitmap_t set = hwloc_bitmap_alloc();
    if (set != NULL && topology->ours && core != NULL && core->node >= 0) {
        hwloc_bitmap_only(set, (unsigned)core->node);
        memory = hwloc_alloc_membind(topology->hwloc, size, set, HWLOC_MEMBIND_BIND,
                                     HWLOC_MEMBIND_BYNODESET);
    }
    hwloc_bitmap_free(set);
    if (memory == NULL)
        memory = hwloc_alloc(topology->hwloc, size);
    if (memory != NULL)
        memset(memory, 0, size);
    return memory;
}

void topology_free(const struct topology *topology, void *memory, size_t size)
{
    if (memory != NULL)
        (void)hwloc_free(topology->hwloc, memory, size);
}
