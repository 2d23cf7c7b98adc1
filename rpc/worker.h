/* One worker of a hub: its handle, its thread, and the caps that it has. The inside of hub.h. */
#ifndef JAVM_RPC_WORKER_H
#define JAVM_RPC_WORKER_H

#include <pthread.h>

#include "rpc/hub.h"

struct archive {
    uint32_t refs; /* atomic */
    uint8_t *bytes;
    size_t len;
};

struct worker {
    struct hub *hub;
    struct javm_nub *nub; /* the thread's; anybody may wake it */
    pthread_t thread;
    bool opened, started;
    uint64_t load; /* of requests to it alone; the sender's */

    pthread_cond_t work;
    struct request_link *queue, **queue_end; /* new; under the hub's lock */

    /* The thread's. */
    struct request_link *todo; /* taken, not begun */
    struct request_link **todo_end;
    struct request **jobs; /* in a lane, by job_id */
    unsigned running;
    void *caps; /* tree of what is published */
    uint64_t cap_bytes;
};

struct hub {
    struct hub_options options;
    unsigned count;
    struct worker *workers;
    pthread_mutex_t lock;
    bool stop;                        /* under the lock, as what follows */
    struct request *done, **done_end; /* ended, not taken */
    int event;                        /* counts when `done` is not empty any more */
};

/* A worker's part of the answer. Any thread. */
void hub_answer(struct hub *hub, struct request *request, const struct answer *answer);

/* For pthread_create, with a struct worker. */
void *worker_run(void *arg);
/* Of what it published, after its handle was closed. */
void worker_forget(struct worker *worker);

#endif
