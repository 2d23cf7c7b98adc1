/* Calls to an executor, at a socket or in a handle of one's own: the client's side of frames.
 *
 * Thread rules: a remote belongs to one thread at a time. */
#ifndef JAVM_RPC_REMOTE_H
#define JAVM_RPC_REMOTE_H

#include "rpc/hub.h"

struct remote;

/* A server. IO. */
enum javm_status remote_connect(const char *path, struct remote **remote, struct javm_error *err);
/* One executor of this process, as javm_nub_open. */
enum javm_status remote_open(enum javm_nub_backend backend, const struct javm_nub_options *options,
                             struct remote **remote, struct javm_error *err);
void remote_close(struct remote *remote);

/* One call, waited for. An error response is no failure: answer->number is not 0 then. IO: the
 * server is gone; FORMAT: it says what cannot be; NOMEM. */
enum javm_status remote_call(struct remote *remote, uint32_t fn, const void *payload, size_t len,
                             struct answer *answer, struct javm_error *err);

#endif
