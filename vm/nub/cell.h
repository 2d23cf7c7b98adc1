/* One executor from the host's side: a region, and a thread or process that serves it.
 *
 * A cell belongs to one thread at a time. What it gives back was copied out of the region and
 * checked; a process that breaks the rules is killed, which looks like any other death: CRASHED. */
#ifndef JAVM_NUB_CELL_H
#define JAVM_NUB_CELL_H

#include <pthread.h>

#include "vm/nub/nursery.h"

struct nub_cell_options {
    const struct nub_program *program; /* THREAD; borrowed */
    struct nub_nursery *nursery;       /* PROCESS, else NULL; borrowed */
    uint32_t lanes;
    size_t in_bytes, out_bytes;
    uint64_t memory_bytes;
    uint64_t watchdog_ns; /* without progress; 0: none */
    unsigned spins;       /* before sleeping */
};

struct nub_cell {
    struct nub_cell_options options;
    struct nub_region region;
    int memory; /* descriptor of the region */
    bool lives;
    bool outgrown;          /* the last one was killed for memory_bytes */
    struct nub_child child; /* PROCESS */
    pthread_t thread;       /* THREAD */
    uint32_t seen;          /* of head->answer */
    uint8_t *answer;        /* copied: answer_len bytes */
    size_t answer_len, answer_room;
    uint64_t parts;    /* that the last call may have */
    uint64_t progress; /* of them, done */
};

/* A region; nothing lives in it yet. */
enum javm_status nub_cell_open(const struct nub_cell_options *options, struct nub_cell *cell,
                               struct javm_error *err);
void nub_cell_close(struct nub_cell *cell);
/* A new executor in an empty region, in the place of a dead one. */
enum javm_status nub_cell_start(struct nub_cell *cell, struct javm_error *err);

/* Begin a call with the first `len` bytes of region.in, of at most so many parts. */
void nub_cell_post(struct nub_cell *cell, uint32_t fn, size_t len, uint64_t parts);
/* Its end: cell->answer, answer_len and progress, or an error response as its status. CRASHED: the
 * executor is dead, and the answer is what it had by then. NOMEM for the copy: as CRASHED. */
enum javm_status nub_cell_wait(struct nub_cell *cell, struct javm_error *err);
enum javm_status nub_cell_call(struct nub_cell *cell, uint32_t fn, const void *payload, size_t len,
                               struct javm_error *err);

/* A job into a lane that is the host's. */
void nub_cell_submit(struct nub_cell *cell, uint32_t lane, uint64_t job_id,
                     const struct javm_nub_invoke *packet);
/* The job of the lane has ended: *result, and the lane is the host's again. FORMAT: what stands
 * there cannot be, and the executor was killed. MISSING: not yet. */
enum javm_status nub_cell_take(struct nub_cell *cell, uint32_t lane, uint64_t job_id,
                               struct javm_nub_result *result);
/* For something new in the lanes, `ns` or some milliseconds at most. False: the executor is dead.
 */
bool nub_cell_pause(struct nub_cell *cell, int64_t ns);
/* Of CLOCK_MONOTONIC. */
int64_t nub_now_ns(void);
/* A look, at the cost of a system call. */
bool nub_cell_lives(struct nub_cell *cell);
void nub_cell_kill(struct nub_cell *cell);

#endif
