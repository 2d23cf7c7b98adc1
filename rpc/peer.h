/* One connection of a server: its requests in, its responses out, and the time that it has for
 * that. Nothing here waits. */
#ifndef JAVM_RPC_PEER_H
#define JAVM_RPC_PEER_H

#include <stdint.h>

#include "rpc/hub.h"

struct peer_limits {
    unsigned max_in_flight; /* requests that are not answered yet; behind it nothing is read */
    uint32_t max_request;   /* payload bytes */
    int64_t stall_ns;       /* for a request that was begun; for taking responses */
    int64_t idle_ns;        /* with neither; 0: for ever */
};

struct peer {
    int fd;        /* -1: free, or gone when in_flight is not 0 */
    uint32_t gone; /* atomic, read by workers */
    const struct peer_limits *limits;
    struct hub *hub;
    struct frame_input input;
    uint8_t *in; /* read and not taken: [in_at, in_len) */
    size_t in_at, in_len;
    bool ended; /* nothing more is read: it said so, or was told */
    bool over;  /* what comes is thrown away: closing at once would throw away what it is told */
    unsigned in_flight;             /* requests that are not written yet, wherever they are */
    struct request *out, **out_end; /* to write */
    size_t out_at;                  /* written of the first */
    int64_t active;                 /* when something last came or went */
    int64_t half_since;             /* since when a request is begun */
};

/* In a free place. False: no memory, and `fd` is closed. */
bool peer_open(struct peer *peer, int fd, const struct peer_limits *limits,
               struct frame_budget *budget, struct hub *hub, int64_t now);
/* Closes; the place is free once nothing is in flight. */
void peer_close(struct peer *peer);
bool peer_free(const struct peer *peer);

/* For poll(); 0: nothing but its end. */
short peer_events(const struct peer *peer, bool draining);
/* What poll() said of it. */
void peer_step(struct peer *peer, short events, bool draining, int64_t now);
/* A request of this peer has ended. Takes it. */
void peer_answer(struct peer *peer, struct request *request, int64_t now);
/* When peer_late has something to do; INT64_MAX: never. */
int64_t peer_deadline(const struct peer *peer);
void peer_late(struct peer *peer, int64_t now);
/* Tells a stranger why, as well as that goes at once, and closes. */
void peer_refuse(int fd, uint32_t number, const struct javm_error *err);

#endif
