/* Chains: jobs that run one after the other, each on the instance that the one before it left.
 *
 * The parser appends jobs in the order of the file. Whoever finds a chain without a runner makes it
 * a task; the runner goes on until there is no job left. So no worker ever waits for another job,
 * and what the chain stands at belongs to one thread at a time. */
#ifndef JAVM_BATCH_CHAIN_H
#define JAVM_BATCH_CHAIN_H

#include <stdatomic.h>

#include "batch/job.h"
#include "batch/names.h"
#include "javm/directory.h"
#include "javm/sched.h"

#define CHAIN_NAME_MAX 255 /* bytes: that of a root in a bundle */

struct chain {
    struct javm_task task;
    /* the parser's */
    struct named named;
    const struct target *target; /* what its first job invokes; NULL: it has none yet */
    uint64_t digest;             /* of its jobs so far */
    bool numbered;
    uint64_t number; /* numbered: that of its first job, which chooses the shard of all */
    bool own;        /* --mpi: that was this rank's */
    /* between the parser and the runner */
    _Atomic uint64_t pending;      /* jobs appended and not ended */
    _Atomic(struct job *) arrived; /* the last one first */
    /* the runner's */
    struct job *next; /* in order */
    bool begun;
    struct javm_hash instance; /* begun: what the next job runs on */
    bool paused;               /* it is a Paused Instance */
    bool lost;                 /* a job crashed: what it would have left is not known */
    struct javm_annex *annex;  /* what the directory has not of it; made by the first job */
    uint64_t kept, kept_bytes; /* in the annex when it was last reduced */
};

struct chains;

struct chains *chains_new(void); /* NULL: out of memory */
/* Jobs that did not run are let go. No runner is at work. */
void chains_free(struct chains *chains);
/* The chain of that name, made when there is none. NULL: out of memory. */
struct chain *chains_find(struct chains *chains, const char *name, size_t len);
/* Write what each chain that has run a job stands at into a bundle, under the chain's name. No
 * runner is at work. */
enum javm_status chains_save(struct chains *chains, struct javm_dir_thread *dir, const char *path,
                             struct javm_error *err);

/* (the parser) The job, which is in `chunk`, is the chain's next. True: the chain has no runner,
 * and its task has to be submitted. */
bool chain_append(struct chain *chain, struct job *job, struct chunk *chunk);
/* (the runner) The job to run now. */
struct job *chain_first(struct chain *chain);
/* (the runner) It has ended, and its memory may go. False: there is no other one, and the chain is
 * no longer this runner's. */
bool chain_ended(struct chain *chain, struct job *job);

/* (the runner) Where its next job stands: begun and with an annex. False: out of memory. */
bool chain_begin(struct chain *chain, const struct job *job);
/* (the runner) A job has left another instance, published in the annex. */
void chain_move(struct chain *chain, const struct javm_hash *instance, bool paused);

#endif
