/* Giving up every privilege, for the process that calls it, for good. */
#ifndef JAVM_NUB_SANDBOX_H
#define JAVM_NUB_SANDBOX_H

#include <stdbool.h>

#include "javm/status.h"

/* What a process keeps that runs guests in a virtual machine of its own (KVM). */
struct nub_machine {
    bool used; /* else nothing else counts */
    int vm, vcpu;
};

/* First, before anything is made: a session of its own, an end with the parent (`parent`; -1:
 * none), no descriptors from `keep` (-1: none) but that one, first victim when memory runs out. */
enum javm_status nub_sandbox_begin(int parent, int keep, struct javm_error *err);
/* Last: no descriptors but the machine's, no new privileges, no capabilities, limits, and a filter
 * that leaves memory (never executable), futexes, clocks, the return from signals, the end, and the
 * two ioctls that a machine runs by. Any other call ends the process. memory_bytes: private memory,
 * at most. Of the calling thread, which has to be the only one. */
enum javm_status nub_sandbox_enter(uint64_t memory_bytes, const struct nub_machine *machine,
                                   struct javm_error *err);

#endif
