/* What an executor answered, for people or as one line of JSON, on standard output. */
#ifndef JAVM_RPC_SHOW_H
#define JAVM_RPC_SHOW_H

#include "rpc/put.h"

void show_smoke(uint64_t value, bool json);
void show_put(const struct put *put, bool json);
void show_result(const struct javm_nub_result *result, bool json);
void show_heap_stats(const struct javm_nub_heap_stats *stats, bool json);
void show_boot_info(const struct javm_nub_boot_info *boot, bool json);

#endif
