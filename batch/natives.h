/* The stores of native code of a batch: one for each NUMA node that has workers. */
#ifndef JAVM_BATCH_NATIVES_H
#define JAVM_BATCH_NATIVES_H

#include "javm/engine.h"

struct natives;

/* With one store, for the node that asks first. cache (borrowed) may be NULL. As javm_jit_create.
 */
enum javm_status natives_new(const char *cache, bool perf_map, struct natives **natives,
                             struct javm_error *err);
/* No Vm uses a store any more. NULL is fine. */
void natives_free(struct natives *natives);

/* The node's store, made when it is the first time; another node's when that fails. Any thread. */
struct javm_jit *natives_of_node(struct natives *natives, unsigned node);
/* The node that the calling thread is on. */
unsigned natives_node(void);

/* After the Vms are gone: write the cache. The first error of all; the figures say how many files
 * could not be written. */
enum javm_status natives_save(struct natives *natives, struct javm_error *err);
/* Summed over the stores; not while natives_of_node is called. */
void natives_stats(const struct natives *natives, struct javm_jit_stats *stats);

#endif
