/* One thread, sockets that never block, and a limit to everything that a client can make it hold:
 * connections, bytes of a request, time. */
#include "batch/metrics.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "batch/diag.h"
#include "batch/metrics_text.h"

#define CLIENTS      32
#define REQUEST_MAX  4096
#define CLIENT_NS    5000000000 /* a connection ends after that, whatever it is doing */
#define NO_ACCEPT_MS 200        /* when a connection could not be taken for lack of something */

struct client {
    int fd; /* -1: free */
    int64_t deadline;
    size_t in_len;
    char in[REQUEST_MAX];
    char *out; /* owned; NULL: the request is not read yet */
    size_t out_len, out_at;
    bool over; /* all is sent; what still comes is thrown away, or the answer might be, too */
};

struct metrics {
    struct run *run;
    struct javm_dir_thread *dir; /* the thread's */
    int listen_fd, quit_fd;
    pthread_t thread;
    bool wait; /* accept failed: leave it alone for one round */
    struct client clients[CLIENTS];
};

/* ---- the address ------------------------------------------------------------------------ */

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static bool parse_port(const char *text, in_port_t *port)
{
    unsigned long value = 0;
    if (*text == '\0' || strlen(text) > 5)
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        value = value * 10 + (unsigned long)(*text - '0');
    }
    *port = htons((uint16_t)value);
    return value <= 65535;
}

/* 0: it is none, or not of this machine alone; else its length. */
static socklen_t parse_address(const char *text, union address *address)
{
    const char *colon = strrchr(text, ':');
    char host[64];
    in_port_t port;
    memset(address, 0, sizeof *address);
    if (colon == NULL || (size_t)(colon - text) >= sizeof host || !parse_port(colon + 1, &port))
        return 0;
    snprintf(host, sizeof host, "%.*s", (int)(colon - text), text);
    if (strcmp(host, "[::1]") == 0) {
        address->v6.sin6_family = AF_INET6;
        address->v6.sin6_addr = in6addr_loopback;
        address->v6.sin6_port = port;
        return sizeof address->v6;
    }
    address->v4.sin_family = AF_INET;
    address->v4.sin_port = port;
    if (strcmp(host, "localhost") == 0)
        address->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    else if (inet_pton(AF_INET, host, &address->v4.sin_addr) != 1)
        return 0;
    return ntohl(address->v4.sin_addr.s_addr) >> 24 == 127 ? sizeof address->v4 : 0;
}

bool metrics_address(const char *address)
{
    union address parsed;
    return parse_address(address, &parsed) != 0;
}

/* ---- a request -------------------------------------------------------------------------- */

static void drop(struct client *client)
{
    close(client->fd);
    free(client->out);
    *client = (struct client){.fd = -1};
}

/* The answer, whole; without the body for HEAD. Takes `body`. */
static void answer(struct client *client, const char *status, const char *type, char *body,
                   size_t len, bool head)
{
    char header[256];
    const int n =
        snprintf(header, sizeof header,
                 "HTTP/1.0 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                 "%sConnection: close\r\n\r\n",
                 status, type, len, strncmp(status, "405", 3) == 0 ? "Allow: GET, HEAD\r\n" : "");
    const size_t sent = head ? 0 : len;
    client->out = malloc((size_t)n + sent + 1);
    if (client->out != NULL) {
        memcpy(client->out, header, (size_t)n);
        if (sent > 0)
            memcpy(client->out + n, body, sent);
        client->out_len = (size_t)n + sent;
    }
    free(body);
}

static void answer_text(struct client *client, const char *status, const char *text, bool head)
{
    char *body = strdup(text);
    answer(client, status, "text/plain; charset=utf-8", body, body == NULL ? 0 : strlen(body),
           head);
}

static void respond(struct metrics *metrics, struct client *client)
{
    char method[8], target[64], version[16];
    size_t len = 0;
    client->in[client->in_len] = '\0';
    /* The parts are told apart here; the widths keep them inside the buffers. */
    if (strlen(client->in) != client->in_len ||
        sscanf(client->in, "%7[A-Z] %63[^ \r\n] %15[^ \r\n]", method, target, version) != 3 ||
        strncmp(version, "HTTP/1.", 7) != 0) {
        answer_text(client, "400 Bad Request", "expected: GET /metrics HTTP/1.0\n", false);
        return;
    }
    const bool head = strcmp(method, "HEAD") == 0;
    if (!head && strcmp(method, "GET") != 0) {
        answer_text(client, "405 Method Not Allowed", "only GET and HEAD\n", false);
        return;
    }
    if (strcmp(target, "/metrics") != 0 && strncmp(target, "/metrics?", 9) != 0) {
        answer_text(client, "404 Not Found", "the figures are at /metrics\n", head);
        return;
    }
    char *body = metrics_text(metrics->run, metrics->dir, &len);
    if (body == NULL)
        answer_text(client, "503 Service Unavailable", "out of memory\n", head);
    else
        answer(client, "200 OK", METRICS_TYPE, body, len, head);
}

static bool whole(const char *in, size_t len)
{
    return memmem(in, len, "\r\n\r\n", 4) != NULL || memmem(in, len, "\n\n", 2) != NULL;
}

static void receive(struct metrics *metrics, struct client *client)
{
    char waste[REQUEST_MAX];
    const bool wanted = client->out == NULL;
    /* One byte stays free for a NUL. */
    const ssize_t n = wanted ? read(client->fd, client->in + client->in_len,
                                    sizeof client->in - 1 - client->in_len)
                             : read(client->fd, waste, sizeof waste);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0) {
        drop(client); /* gone, or it has said less than a request */
        return;
    }
    if (!wanted)
        return;
    client->in_len += (size_t)n;
    if (whole(client->in, client->in_len))
        respond(metrics, client);
    else if (client->in_len == sizeof client->in - 1)
        answer_text(client, "431 Request Header Fields Too Large", "the request is too long\n",
                    false);
    else
        return;
    if (client->out == NULL)
        drop(client); /* no memory for any answer */
}

static void transmit(struct client *client)
{
    const ssize_t n = send(client->fd, client->out + client->out_at,
                           client->out_len - client->out_at, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR)
            drop(client);
        return;
    }
    client->out_at += (size_t)n;
    if (client->out_at < client->out_len)
        return;
    client->over = true;
    shutdown(client->fd, SHUT_WR);
}

/* ---- the thread ------------------------------------------------------------------------- */

static void welcome(struct metrics *metrics)
{
    const int fd = accept4(metrics->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0) {
        metrics->wait = errno != EAGAIN && errno != EINTR && errno != ECONNABORTED;
        return;
    }
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *client = &metrics->clients[i];
        if (client->fd >= 0)
            continue;
        client->fd = fd;
        client->deadline = clock_ns() + CLIENT_NS;
        return;
    }
    close(fd); /* never: the caller has seen a free place */
}

/* Ends what has taken too long. How long poll may sleep, in ms; *free: there is a place. */
static int expire(struct metrics *metrics, bool *free_place)
{
    const int64_t now = clock_ns();
    int64_t sleep = metrics->wait ? NO_ACCEPT_MS : -1;
    *free_place = false;
    for (unsigned i = 0; i < CLIENTS; i++) {
        struct client *client = &metrics->clients[i];
        if (client->fd >= 0 && client->deadline <= now)
            drop(client);
        if (client->fd < 0) {
            *free_place = true;
            continue;
        }
        const int64_t left = (client->deadline - now) / 1000000 + 1;
        if (sleep < 0 || left < sleep)
            sleep = left;
    }
    return (int)sleep;
}

static void *metrics_main(void *arg)
{
    struct metrics *metrics = arg;
    for (;;) {
        struct pollfd fds[CLIENTS + 2];
        bool free_place;
        const int sleep = expire(metrics, &free_place);
        fds[0] = (struct pollfd){metrics->quit_fd, POLLIN, 0};
        /* poll leaves out what is negative. */
        fds[1] = (struct pollfd){free_place && !metrics->wait ? metrics->listen_fd : -1, POLLIN, 0};
        for (unsigned i = 0; i < CLIENTS; i++) {
            const struct client *client = &metrics->clients[i];
            const bool sending = client->out != NULL && !client->over;
            fds[i + 2] = (struct pollfd){client->fd, sending ? POLLOUT : POLLIN, 0};
        }
        metrics->wait = false;
        if (poll(fds, CLIENTS + 2, sleep) <= 0)
            continue;
        if (fds[0].revents != 0)
            return NULL;
        for (unsigned i = 0; i < CLIENTS; i++) {
            if (fds[i + 2].revents == 0)
                continue;
            if (fds[i + 2].events == POLLOUT)
                transmit(&metrics->clients[i]);
            else
                receive(metrics, &metrics->clients[i]);
        }
        if (fds[1].revents != 0)
            welcome(metrics);
    }
}

/* ---- birth and death -------------------------------------------------------------------- */

static bool listen_at(struct metrics *metrics, const char *text)
{
    union address address;
    socklen_t len = parse_address(text, &address);
    const int one = 1;
    metrics->listen_fd =
        socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (metrics->listen_fd < 0 ||
        setsockopt(metrics->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) != 0 ||
        bind(metrics->listen_fd, &address.any, len) != 0 || listen(metrics->listen_fd, 64) != 0 ||
        getsockname(metrics->listen_fd, &address.any, &len) != 0)
        return false;
    char host[INET_ADDRSTRLEN] = "[::1]";
    if (address.any.sa_family == AF_INET)
        inet_ntop(AF_INET, &address.v4.sin_addr, host, sizeof host);
    complain("metrics: http://%s:%u/metrics", host,
             ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port));
    return true;
}

static void dispose(struct metrics *metrics)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        if (metrics->clients[i].fd >= 0)
            drop(&metrics->clients[i]);
    if (metrics->dir != NULL)
        javm_directory_leave(metrics->dir);
    if (metrics->listen_fd >= 0)
        close(metrics->listen_fd);
    if (metrics->quit_fd >= 0)
        close(metrics->quit_fd);
    free(metrics);
}

enum javm_status metrics_start(const char *address, struct run *run, struct metrics **out,
                               struct javm_error *err)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (metrics == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    for (unsigned i = 0; i < CLIENTS; i++)
        metrics->clients[i].fd = -1;
    enum javm_status status = JAVM_OK;
    metrics->run = run;
    metrics->listen_fd = -1;
    metrics->quit_fd = eventfd(0, EFD_CLOEXEC);
    metrics->dir = javm_directory_join(run->dir);
    if (metrics->quit_fd < 0 || metrics->dir == NULL)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "--metrics: out of memory");
    else if (!listen_at(metrics, address))
        status =
            javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "--metrics %s: %s", address, strerror(errno));
    else if (pthread_create(&metrics->thread, NULL, metrics_main, metrics) != 0)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "--metrics: no thread for it");
    if (status == JAVM_OK)
        *out = metrics;
    else
        dispose(metrics);
    return status;
}

void metrics_stop(struct metrics *metrics)
{
    const uint64_t one = 1;
    if (metrics == NULL)
        return;
    (void)!write(metrics->quit_fd, &one, sizeof one);
    pthread_join(metrics->thread, NULL);
    dispose(metrics);
}
