#include "rpc/peer.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES  65536
#define FRAME_MAX   (FRAME_HEAD + FRAME_ERROR_MAX)
#define WRITE_COUNT 32 /* responses at once */

_Static_assert(FRAME_MAX >= FRAME_HEAD + sizeof(((struct answer *)NULL)->bytes),
               "errors are the longest responses");

/* ---- a response as bytes ---------------------------------------------------------------- */

static size_t encode(uint64_t id, const struct answer *answer, uint8_t *to)
{
    struct frame_head head = {.len = (uint32_t)answer->len, .code = answer->number, .id = id};
    if (answer->number == JAVM_NUB_E_NONE) {
        memcpy(to + FRAME_HEAD, answer->bytes, answer->len);
    } else {
        head.len = (uint32_t)frame_error_put(to + FRAME_HEAD, &answer->err);
    }
    frame_head_put(to, &head);
    return FRAME_HEAD + head.len;
}

void peer_refuse(int fd, uint32_t number, const struct javm_error *err)
{
    struct answer answer = {.number = JAVM_NUB_E_NONE};
    uint8_t bytes[FRAME_MAX];
    answer_fail(&answer, number, err);
    (void)send(fd, bytes, encode(FRAME_NOBODY, &answer, bytes), MSG_DONTWAIT | MSG_NOSIGNAL);
    close(fd);
}

/* ---- life ------------------------------------------------------------------------------- */

bool peer_open(struct peer *peer, int fd, const struct peer_limits *limits,
               struct frame_budget *budget, struct hub *hub, int64_t now)
{
    *peer = (struct peer){.fd = fd,
                          .limits = limits,
                          .hub = hub,
                          .input = {.max_request = limits->max_request, .budget = budget},
                          .in = malloc(READ_BYTES),
                          .active = now};
    peer->out_end = &peer->out;
    if (peer->in != NULL)
        return true;
    close(fd);
    peer->fd = -1;
    return false;
}

bool peer_free(const struct peer *peer)
{
    return peer->fd < 0 && peer->in_flight == 0;
}

static void release(struct peer *peer, struct request *request)
{
    if (request->archive != NULL)
        peer->input.budget->held -= request->archive_len;
    request_free(request);
    if (peer->in_flight-- == peer->limits->max_in_flight) /* it is read again: its time begins */
        peer->half_since = peer->active;
}

void peer_close(struct peer *peer)
{
    if (peer->fd < 0)
        return;
    close(peer->fd);
    peer->fd = -1;
    __atomic_store_n(&peer->gone, 1, __ATOMIC_RELAXED);
    frame_input_clear(&peer->input);
    free(peer->in);
    peer->in = NULL;
    while (peer->out != NULL) {
        struct request *next = peer->out->next;
        release(peer, peer->out);
        peer->out = next;
    }
}

/* ---- responses -------------------------------------------------------------------------- */

/* Behind those that wait. */
static void append(struct peer *peer, struct request *request, int64_t now)
{
    if (peer->out == NULL) {
        peer->out_end = &peer->out;
        peer->active = now; /* the time to take it begins */
    }
    request->next = NULL;
    *peer->out_end = request;
    peer->out_end = &request->next;
}

static struct request *new_request(struct peer *peer, uint64_t id, uint32_t fn)
{
    struct request *request = hub_request(peer->hub);
    if (request == NULL)
        return NULL;
    request->owner = peer;
    request->gone = &peer->gone;
    request->id = id;
    request->fn = fn;
    peer->in_flight++;
    return request;
}

static void respond_error(struct peer *peer, uint64_t id, uint32_t number,
                          const struct javm_error *err, int64_t now)
{
    struct request *request = new_request(peer, id, 0);
    if (request == NULL) { /* it would wait for ever */
        peer_close(peer);
        return;
    }
    answer_fail(&request->answer, number, err);
    append(peer, request, now);
}

/* What went, from the front. */
static void drop_written(struct peer *peer, size_t written)
{
    uint8_t bytes[FRAME_MAX];
    peer->out_at += written;
    while (peer->out != NULL) {
        const size_t len = encode(peer->out->id, &peer->out->answer, bytes);
        if (peer->out_at < len)
            return;
        peer->out_at -= len;
        struct request *next = peer->out->next;
        release(peer, peer->out);
        peer->out = next;
    }
}

static void write_some(struct peer *peer, int64_t now)
{
    uint8_t bytes[WRITE_COUNT * FRAME_MAX];
    while (peer->fd >= 0 && peer->out != NULL) {
        size_t len = 0;
        unsigned count = 0;
        for (struct request *one = peer->out; one != NULL && count < WRITE_COUNT;
             one = one->next, count++)
            len += encode(one->id, &one->answer, bytes + len);
        const ssize_t sent =
            send(peer->fd, bytes + peer->out_at, len - peer->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0 && errno != EAGAIN && errno != ENOBUFS && errno != ENOMEM)
            peer_close(peer);
        if (sent <= 0)
            return;
        peer->active = now;
        drop_written(peer, (size_t)sent);
    }
}

/* ---- requests --------------------------------------------------------------------------- */

static void begin(struct peer *peer, int64_t now)
{
    const struct frame_head *head = &peer->input.head;
    uint8_t *payload = frame_payload(&peer->input);
    struct request *request = new_request(peer, head->id, head->code);
    if (request != NULL && head->code == JAVM_NUB_PUT_CAP) {
        request->archive = archive_new(payload, head->len);
        request->archive_len = head->len;
        if (request->archive != NULL) {
            hub_send(peer->hub, request);
            return;
        }
        answer_fail(&request->answer, JAVM_NUB_E_NOMEM, NULL);
        append(peer, request, now);
        peer->input.budget->held -= head->len;
        return;
    }
    if (request != NULL && head->code == JAVM_NUB_INVOKE_CACHED)
        memcpy(&request->packet, payload, sizeof request->packet);
    free(payload);
    peer->input.budget->held -= head->len;
    if (request != NULL)
        hub_send(peer->hub, request);
    else
        peer_close(peer);
}

/* Nothing more is read of it; what it asked for is answered. */
static void dismiss(struct peer *peer, uint64_t id, uint32_t number, const struct javm_error *err,
                    int64_t now)
{
    peer->ended = true;
    frame_input_clear(&peer->input);
    peer->in_at = peer->in_len = 0;
    respond_error(peer, id, number, err, now);
}

/* Requests out of what was read, as many as may be in flight. */
static void take(struct peer *peer, int64_t now)
{
    struct javm_error err = {.where = JAVM_NOWHERE};
    uint32_t number;
    while (peer->fd >= 0 && !peer->over && peer->in_at < peer->in_len &&
           peer->in_flight < peer->limits->max_in_flight) {
        const uint8_t *at = peer->in + peer->in_at;
        size_t len = peer->in_len - peer->in_at;
        const bool half = frame_half(&peer->input);
        const enum frame_event event = frame_take(&peer->input, &at, &len, &number, &err);
        peer->in_at = peer->in_len - len;
        if (!half || event != FRAME_MORE)
            peer->half_since = now;
        if (event == FRAME_REQUEST)
            begin(peer, now);
        else if (event != FRAME_MORE)
            respond_error(peer, peer->input.head.id, number, &err, now);
        if (event == FRAME_OVER) {
            peer->over = true;
            peer->in_at = peer->in_len;
        }
    }
}

static bool reads(const struct peer *peer, bool draining)
{
    return peer->fd >= 0 && !peer->ended && !draining && peer->in_at == peer->in_len &&
           (peer->over || peer->in_flight < peer->limits->max_in_flight);
}

static void end_of_input(struct peer *peer, int64_t now)
{
    struct javm_error err;
    const struct frame_input *input = &peer->input;
    peer->ended = true;
    if (!frame_half(input) || input->skips)
        return;
    const bool known = input->got >= FRAME_HEAD;
    (void)javm_fail(&err, JAVM_E_FORMAT, JAVM_NOWHERE,
                    "the connection ends behind %zu bytes of a request, expected %zu", input->got,
                    known ? (size_t)FRAME_HEAD + input->head.len : (size_t)FRAME_HEAD);
    dismiss(peer, known ? input->head.id : FRAME_NOBODY, JAVM_NUB_E_FORMAT, &err, now);
}

static void read_some(struct peer *peer, int64_t now)
{
    const ssize_t got = recv(peer->fd, peer->in, READ_BYTES, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got < 0) {
        peer_close(peer);
        return;
    }
    if (got == 0) {
        end_of_input(peer, now);
        return;
    }
    peer->active = now;
    if (peer->over)
        return;
    peer->in_at = 0;
    peer->in_len = (size_t)got;
    take(peer, now);
}

/* ---- its turn --------------------------------------------------------------------------- */

/* Until there is nothing that can be done now: what is written makes place for what was read. */
static void settle(struct peer *peer, bool draining, int64_t now)
{
    const unsigned full = peer->limits->max_in_flight;
    write_some(peer, now);
    while (peer->fd >= 0 && !draining && !peer->over && peer->in_at < peer->in_len &&
           peer->in_flight < full) {
        take(peer, now);
        write_some(peer, now);
    }
    if (peer->fd < 0 || peer->in_flight > 0)
        return;
    if (peer->ended || draining)
        peer_close(peer);
    else if (peer->over)
        (void)shutdown(peer->fd, SHUT_WR);
}

short peer_events(const struct peer *peer, bool draining)
{
    return (short)((reads(peer, draining) ? POLLIN : 0) | (peer->out != NULL ? POLLOUT : 0));
}

void peer_step(struct peer *peer, short events, bool draining, int64_t now)
{
    if (reads(peer, draining) && (events & (POLLIN | POLLHUP | POLLERR)) != 0)
        read_some(peer, now);
    else if ((events & (POLLHUP | POLLERR)) != 0)
        peer_close(peer); /* both ways: nobody is left to answer */
    settle(peer, draining, now);
}

void peer_answer(struct peer *peer, struct request *request, int64_t now)
{
    if (peer->fd < 0)
        release(peer, request);
    else
        append(peer, request, now);
}

/* ---- time ------------------------------------------------------------------------------- */

static bool half(const struct peer *peer)
{
    return peer->over ? peer->in_flight == 0 : frame_half(&peer->input) && reads(peer, false);
}

int64_t peer_deadline(const struct peer *peer)
{
    int64_t deadline = INT64_MAX;
    if (peer->fd < 0)
        return deadline;
    if (peer->out != NULL)
        deadline = peer->active + peer->limits->stall_ns;
    if (half(peer) && peer->half_since + peer->limits->stall_ns < deadline)
        deadline = peer->half_since + peer->limits->stall_ns;
    if (peer->in_flight == 0 && !half(peer) && peer->limits->idle_ns != 0)
        deadline = peer->active + peer->limits->idle_ns;
    return deadline;
}

void peer_late(struct peer *peer, int64_t now)
{
    struct javm_error err;
    if (peer->over || (peer->out != NULL && now - peer->active >= peer->limits->stall_ns)) {
        peer_close(peer);
        return;
    }
    if (half(peer))
        (void)javm_fail(&err, JAVM_E_LIMIT, JAVM_NOWHERE,
                        "a request was begun and is not whole, expected it within %lld s",
                        (long long)(peer->limits->stall_ns / 1000000000));
    else
        (void)javm_fail(&err, JAVM_E_LIMIT, JAVM_NOWHERE, "no request for %lld s: closed",
                        (long long)(peer->limits->idle_ns / 1000000000));
    dismiss(peer, FRAME_NOBODY, JAVM_NUB_E_LIMIT, &err, now);
    settle(peer, false, now);
}
