/* What the machine looks like to the scheduler: the cores that we may use, where each worker goes,
 * and from whom it steals first. The only file that speaks hwloc. */
#ifndef JAVM_SCHED_TOPOLOGY_H
#define JAVM_SCHED_TOPOLOGY_H

#include <stdbool.h>
#include <stddef.h>

#include "javm/status.h"

struct hwloc_topology;

/* One usable core, represented by its first usable processing unit (hardware thread). */
struct topology_core {
    int cpu;     /* the unit's number in the operating system */
    int node;    /* NUMA node's number in the operating system; -1: unknown */
    int l3;      /* which L3 cache, counted over the machine; -1: unknown */
    int package; /* which socket, counted over the machine; -1: unknown */
};

struct topology {
    struct hwloc_topology *hwloc; /* owned; read-only once loaded, so any thread may use it */
    struct topology_core *cores;  /* owned; in hwloc's logical order: neighbours share most */
    unsigned count;               /* at least 1 */
    bool ours;                    /* this machine's: threads and memory can be bound to it */
};

/* `synthetic` is a description in hwloc's language, or NULL for this machine (or what
 * HWLOC_SYNTHETIC or HWLOC_XMLFILE put in its place). Cores outside of the calling thread's
 * affinity are left out. */
enum javm_status topology_load(struct topology *topology, const char *synthetic,
                               struct javm_error *err);
void topology_unload(struct topology *topology);

/* One worker per core, and on this machine no more than the cgroup's CPU quota, rounded up. */
unsigned topology_default_workers(const struct topology *topology);

/* Workers fill the cores in order, so few workers share caches and a node; more workers than cores
 * go round again. */
const struct topology_core *topology_place(const struct topology *topology, unsigned worker);

/* How far two workers are from each other. */
enum topology_distance {
    TOPOLOGY_L3,      /* the same L3 cache, or the same core */
    TOPOLOGY_NODE,    /* the same NUMA node */
    TOPOLOGY_PACKAGE, /* another node of the same socket */
    TOPOLOGY_REMOTE,  /* another socket */
    TOPOLOGY_LEVELS
};
enum topology_distance topology_between(const struct topology *topology, unsigned worker,
                                        unsigned other);
/* The other workers, nearest first: order[end[d - 1]..end[d]) are those at distance d. `order` has
 * room for workers - 1. Inside a level they follow `self` in index order, so that not all begin
 * with worker 0. */
void topology_victims(const struct topology *topology, unsigned self, unsigned workers,
                      unsigned *order, unsigned end[TOPOLOGY_LEVELS]);

/* Bind the calling thread to a core, and what it allocates to the core's node. False: it could not
 * be bound and runs where the kernel likes. */
bool topology_bind(const struct topology *topology, const struct topology_core *core);
/* Zeroed, at least line-aligned; whole pages on the core's node where that is possible (core NULL:
 * wherever the calling thread is). NULL: no memory. */
void *topology_alloc(const struct topology *topology, const struct topology_core *core,
                     size_t size);
void topology_free(const struct topology *topology, void *memory, size_t size);

#endif
