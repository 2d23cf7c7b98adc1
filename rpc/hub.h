/* The executors behind a socket: for each worker a handle and a thread that waits for it, so that
 * who serves the socket never waits for a guest.
 *
 * A request goes to one worker or to all of them; each takes what it gets in order. So what comes
 * behind a cap finds it. */
#ifndef JAVM_RPC_HUB_H
#define JAVM_RPC_HUB_H

#include "javm/nub_host.h"
#include "rpc/frame.h"

/* Bytes of an archived cap, that outlive their request where the cap was published. */
struct archive;
/* Takes `bytes` (malloc'ed). NULL: out of memory, and they are freed. */
struct archive *archive_new(uint8_t *bytes, size_t len);
void archive_release(struct archive *archive); /* NULL is allowed */

struct answer {
    uint32_t number;       /* enum javm_nub_error */
    struct javm_error err; /* where and text, when there is one */
    size_t len;
    uint8_t bytes[sizeof(struct javm_nub_result)];
};
/* An error response. The text is that of `err`, or else the number's. */
void answer_fail(struct answer *answer, uint32_t number, const struct javm_error *err);

struct request {
    struct request *next; /* in the list that it is in */
    void *owner;          /* the sender's */
    const uint32_t *gone; /* atomic: when not 0, nobody waits for it any more; borrowed */
    uint64_t id;
    uint32_t fn;
    struct javm_nub_invoke packet; /* INVOKE_CACHED */
    struct archive *archive;       /* PUT_CAP; owned */
    size_t archive_len;            /* what it counts for, with the sender */
    struct answer answer;
    unsigned worker; /* the hub's, as what follows */
    unsigned parts;
    struct request_link {
        struct request_link *next;
        struct request *request;
    } links[]; /* one for each worker */
};

struct hub_options {
    enum javm_nub_backend backend;
    struct javm_nub_options nub; /* `workers` are one to a handle */
    uint64_t max_caps;           /* bytes of archived caps that each worker keeps */
};

struct hub;

/* Opens the handles and then starts the threads: so it may fork, but only before it has any. */
enum javm_status hub_open(const struct hub_options *options, struct hub **hub,
                          struct javm_error *err);
/* Ends the threads. What is in flight ends as STATE. */
void hub_stop(struct hub *hub);
/* After hub_stop, if a request was ever sent; all were taken. Waits for guests that run in threads.
 * NULL is allowed. */
void hub_close(struct hub *hub);

/* NULL: out of memory. */
struct request *hub_request(const struct hub *hub);
void request_free(struct request *request);

/* The request is the hub's until hub_take returns it. One thread sends and takes. */
void hub_send(struct hub *hub, struct request *request);
/* Readable when hub_take has something. */
int hub_fd(const struct hub *hub);
/* All that have ended, as a list; NULL: none. */
struct request *hub_take(struct hub *hub);
/* How many executors died and were replaced; when nothing is in flight. */
uint64_t hub_replaced(const struct hub *hub);

#endif
