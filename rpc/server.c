#include "rpc/server.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define NO_ACCEPT_NS 200000000 /* when a connection could not be taken for lack of something */
#define ACCEPT_ONCE  64

enum { SIGNALS, HUB, LISTENING, FIRST_PEER };

struct server {
    const struct server_options *options;
    const struct server_socket *listening;
    struct hub *hub;
    struct server_figures *figures;
    struct frame_budget budget;
    struct peer *peers;
    struct pollfd *fds; /* FIRST_PEER, then one for each peer */
    bool draining;
    int64_t no_accept; /* until then */
};

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- who comes -------------------------------------------------------------------------- */

static bool welcome(const struct server *server, uid_t uid)
{
    for (unsigned i = 0; i < server->options->uid_count; i++)
        if (server->options->uids[i] == uid)
            return true;
    return false;
}

static void receive(struct server *server, int fd, int64_t now)
{
    struct javm_error err = {.where = JAVM_NOWHERE};
    uid_t uid = (uid_t)-1;
    server->figures->connections++;
    if (!socket_peer(fd, &uid) || !welcome(server, uid)) {
        (void)javm_fail(&err, JAVM_E_STATE, JAVM_NOWHERE,
                        "connection: of user %u, expected one that --allow-uid names",
                        (unsigned)uid);
        server->figures->refused++;
        peer_refuse(fd, JAVM_NUB_E_STATE, &err);
        return;
    }
    for (unsigned i = 0; i < server->options->max_connections; i++)
        if (peer_free(&server->peers[i])) {
            (void)peer_open(&server->peers[i], fd, &server->options->peer, &server->budget,
                            server->hub, now);
            return;
        }
    (void)javm_fail(&err, JAVM_E_LIMIT, JAVM_NOWHERE,
                    "connection: one more than %u, expected at most that: try later",
                    server->options->max_connections);
    server->figures->refused++;
    peer_refuse(fd, JAVM_NUB_E_LIMIT, &err);
}

static void accept_some(struct server *server, int64_t now)
{
    for (unsigned i = 0; i < ACCEPT_ONCE; i++) {
        const int fd = accept4(server->listening->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            receive(server, fd, now);
            continue;
        }
        if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
            server->no_accept = now + NO_ACCEPT_NS;
        return;
    }
}

/* ---- a round ---------------------------------------------------------------------------- */

static void answer_ended(struct server *server, int64_t now)
{
    struct request *next;
    for (struct request *one = hub_take(server->hub); one != NULL; one = next) {
        next = one->next;
        server->figures->requests++;
        peer_answer(one->owner, one, now);
    }
}

/* Milliseconds until something has to be done; -1: nothing has. */
static int patience(const struct server *server, int64_t now)
{
    int64_t deadline = server->no_accept > now ? server->no_accept : INT64_MAX;
    for (unsigned i = 0; i < server->options->max_connections; i++) {
        const int64_t late = peer_deadline(&server->peers[i]);
        deadline = late < deadline ? late : deadline;
    }
    if (deadline == INT64_MAX)
        return -1;
    const int64_t left = deadline <= now ? 0 : (deadline - now + 999999) / 1000000;
    return left > 60000 ? 60000 : (int)left;
}

static int wait_for_work(struct server *server, int signals)
{
    const int64_t now = now_ns();
    const bool accepts = !server->draining && server->no_accept <= now;
    struct pollfd *fds = server->fds;
    fds[SIGNALS] = (struct pollfd){.fd = signals, .events = POLLIN};
    fds[HUB] = (struct pollfd){.fd = hub_fd(server->hub), .events = POLLIN};
    fds[LISTENING] = (struct pollfd){.fd = accepts ? server->listening->fd : -1, .events = POLLIN};
    for (unsigned i = 0; i < server->options->max_connections; i++)
        fds[FIRST_PEER + i] = (struct pollfd){
            .fd = server->peers[i].fd, .events = peer_events(&server->peers[i], server->draining)};
    return poll(fds, FIRST_PEER + server->options->max_connections, patience(server, now));
}

/* Is a peer left? */
static bool serve_peers(struct server *server, int64_t now)
{
    bool any = false;
    for (unsigned i = 0; i < server->options->max_connections; i++) {
        struct peer *peer = &server->peers[i];
        const struct pollfd *fd = &server->fds[FIRST_PEER + i];
        if (peer->fd < 0)
            continue;
        peer_step(peer, fd->fd == peer->fd ? fd->revents : 0, server->draining, now);
        if (peer->fd >= 0 && peer_deadline(peer) <= now)
            peer_late(peer, now);
        any = any || peer->fd >= 0;
    }
    return any;
}

static bool signalled(int signals)
{
    struct signalfd_siginfo info;
    return read(signals, &info, sizeof info) == (ssize_t)sizeof info;
}

static enum server_end loop(struct server *server, int signals, struct javm_error *err)
{
    for (;;) {
        const int ready = wait_for_work(server, signals);
        if (ready < 0 && errno != EINTR) {
            (void)javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "poll: %s", strerror(errno));
            return SERVER_TROUBLE;
        }
        if (ready < 0)
            continue;
        const int64_t now = now_ns();
        if (server->fds[SIGNALS].revents != 0 && signalled(signals)) {
            if (server->draining)
                return SERVER_INTERRUPTED;
            server->draining = true;
        }
        if (server->fds[HUB].revents != 0)
            answer_ended(server, now);
        if (!serve_peers(server, now) && server->draining)
            return SERVER_FINE;
        if (server->fds[LISTENING].revents != 0 && !server->draining)
            accept_some(server, now);
    }
}

enum server_end server_run(const struct server_options *options,
                           const struct server_socket *listening, struct hub *hub, int signals,
                           struct server_figures *figures, struct javm_error *err)
{
    const unsigned count = options->max_connections;
    struct server server = {.options = options,
                            .listening = listening,
                            .hub = hub,
                            .figures = figures,
                            .budget = {.max = options->max_held},
                            .peers = calloc(count, sizeof *server.peers),
                            .fds = calloc(FIRST_PEER + (size_t)count, sizeof *server.fds)};
    enum server_end end = SERVER_TROUBLE;
    if (server.peers == NULL || server.fds == NULL) {
        (void)javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    } else {
        for (unsigned i = 0; i < count; i++)
            server.peers[i].fd = -1;
        end = loop(&server, signals, err);
        if (end == SERVER_INTERRUPTED) /* the hub still has requests of these peers */
            return end;
        hub_stop(hub);
        for (unsigned i = 0; i < count; i++)
            peer_close(&server.peers[i]);
        answer_ended(&server, now_ns());
    }
    free(server.peers);
    free(server.fds);
    return end;
}
