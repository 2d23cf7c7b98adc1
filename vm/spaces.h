/* The guest memories of a Vm: one for each frame that is on the call stack, and some that are idle.
 *
 * An idle memory remembers whose pages it has warm (`id`, cached_program.space), so that the next
 * frame of the same image finds them there. Idle ones are listed by last use: a frame takes the
 * latest of its image, whoever needs one for another image takes the oldest once there are
 * SPACES_IDLE. So there are never more than the deepest stack needed and SPACES_IDLE beside. */
#ifndef JAVM_VM_SPACES_H
#define JAVM_VM_SPACES_H

#include <sys/queue.h>

#include "vm/memory.h"

#define SPACES_IDLE 16u
/* Pages (64 MiB) that idle memories may keep together. */
#define WARM_ALL    16384u

struct space {
    TAILQ_ENTRY(space) place; /* in `idle` */
    struct javm_memory *memory;
    uint64_t id; /* 0: nobody's */
};

struct spaces {
    TAILQ_HEAD(space_list, space) idle; /* the one used last is first */
    uint32_t idle_count;
    uint64_t idle_warm; /* pages */
};

/* Makes one memory, so that a machine without room for any is found out at once. */
enum javm_status spaces_init(struct spaces *spaces, struct javm_error *err);
/* Every memory has been given back. */
void spaces_free(struct spaces *spaces);
/* A memory for a frame of this space, or NULL: none is idle and the system has no more. */
struct space *spaces_take(struct spaces *spaces, uint64_t id);
void spaces_give(struct spaces *spaces, struct space *space);
/* Idle memories forget everything. */
void spaces_drop(struct spaces *spaces);

#endif
