/* A server's loop: one thread that accepts, reads, writes and looks at the time, and waits for
 * nothing else. */
#ifndef JAVM_RPC_SERVER_H
#define JAVM_RPC_SERVER_H

#include "rpc/peer.h"
#include "rpc/socket.h"

#define MAX_UIDS 64

struct server_options {
    unsigned max_connections;
    uint64_t max_held; /* bytes of requests that were begun and not ended, of all connections */
    struct peer_limits peer;
    uid_t uids[MAX_UIDS]; /* who may come */
    unsigned uid_count;
};

struct server_figures {
    uint64_t connections, refused, requests;
};

/* Until a signal can be read from `signals` (a signalfd): then no more requests are taken, and
 * those that were are answered. The hub is stopped then. INTERRUPTED: a second signal came before
 * that was done; the caller ends the process without more ado. TROUBLE, with *err: no memory, or
 * poll() fails. */
enum server_end { SERVER_FINE, SERVER_INTERRUPTED, SERVER_TROUBLE };
enum server_end server_run(const struct server_options *options,
                           const struct server_socket *listening, struct hub *hub, int signals,
                           struct server_figures *figures, struct javm_error *err);

#endif
