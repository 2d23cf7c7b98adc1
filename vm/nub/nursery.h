/* Where executors that are processes come from: a small process that was forked early, has one
 * thread and nothing open, and forks one for each region that it is given. So a child sees what the
 * nursery saw, not what the host has since. */
#ifndef JAVM_NUB_NURSERY_H
#define JAVM_NUB_NURSERY_H

#include <sched.h>

#include "vm/nub/serve.h"

struct nub_nursery;

/* The program and its options are those of now. Any thread, but then other calls are one at a time
 * only with a lock of the caller's. IO, NOMEM. */
enum javm_status nub_nursery_open(const struct nub_program *program, struct nub_nursery **nursery,
                                  struct javm_error *err);
/* Ends it and all that it forked. NULL is allowed. */
void nub_nursery_close(struct nub_nursery *nursery);

struct nub_birth {
    struct nub_region region; /* its sizes; pointers do not count */
    uint64_t memory_bytes;
    cpu_set_t cpus; /* where it may run */
};
struct nub_child {
    int pidfd; /* readable once it is dead */
    int statm; /* its /proc file, or -1 */
    pid_t pid;
};
/* A child that serves the region behind `memory`. It begins in the head: see nub_born. Any thread.
 */
enum javm_status nub_nursery_spawn(struct nub_nursery *nursery, int memory,
                                   const struct nub_birth *birth, struct nub_child *child,
                                   struct javm_error *err);

#endif
