#include "rpc/remote.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rpc/socket.h"

struct remote {
    int fd; /* -1: the handle */
    uint64_t id;
    struct javm_nub *nub;
    uint8_t **kept; /* archives that the handle borrows */
    size_t kept_count, kept_room;
};

static enum javm_status make(struct remote **remote, struct javm_error *err)
{
    *remote = calloc(1, sizeof **remote);
    if (*remote == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    (*remote)->fd = -1;
    return JAVM_OK;
}

enum javm_status remote_connect(const char *path, struct remote **remote, struct javm_error *err)
{
    enum javm_status status = make(remote, err);
    if (status != JAVM_OK)
        return status;
    status = socket_connect(path, &(*remote)->fd, err);
    if (status != JAVM_OK)
        free(*remote);
    return status;
}

enum javm_status remote_open(enum javm_nub_backend backend, const struct javm_nub_options *options,
                             struct remote **remote, struct javm_error *err)
{
    enum javm_status status = make(remote, err);
    if (status != JAVM_OK)
        return status;
    status = javm_nub_open(backend, options, &(*remote)->nub, err);
    if (status != JAVM_OK)
        free(*remote);
    return status;
}

void remote_close(struct remote *remote)
{
    javm_nub_close(remote->nub);
    for (size_t i = 0; i < remote->kept_count; i++)
        free(remote->kept[i]);
    free(remote->kept);
    if (remote->fd >= 0)
        close(remote->fd);
    free(remote);
}

/* ---- at a socket ------------------------------------------------------------------------ */

/* False: nobody reads any more; why may be waiting to be read. */
static bool send_all(int fd, const uint8_t *bytes, size_t len)
{
    while (len > 0) {
        const ssize_t sent = send(fd, bytes, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return false;
        bytes += sent;
        len -= (size_t)sent;
    }
    return true;
}

static enum javm_status receive_all(int fd, uint8_t *bytes, size_t len, struct javm_error *err)
{
    while (len > 0) {
        const ssize_t got = recv(fd, bytes, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "the server is gone: %s",
                             strerror(errno));
        if (got == 0)
            return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE,
                             "the server closed the connection, expected %zu bytes more", len);
        bytes += got;
        len -= (size_t)got;
    }
    return JAVM_OK;
}

static enum javm_status read_response(struct remote *remote, struct answer *answer,
                                      struct javm_error *err)
{
    uint8_t bytes[FRAME_HEAD + 1024];
    struct frame_head head;
    enum javm_status status = receive_all(remote->fd, bytes, FRAME_HEAD, err);
    if (status != JAVM_OK)
        return status;
    frame_head_get(bytes, &head);
    const size_t max =
        head.code == JAVM_NUB_E_NONE ? sizeof answer->bytes : sizeof bytes - FRAME_HEAD;
    if (head.len > max)
        return javm_fail(err, JAVM_E_FORMAT, 0, "a response of %u bytes, expected at most %zu",
                         head.len, max);
    if (head.id != remote->id && !(head.id == FRAME_NOBODY && head.code != JAVM_NUB_E_NONE))
        return javm_fail(err, JAVM_E_FORMAT, 8, "a response with id %llu, expected %llu",
                         (unsigned long long)head.id, (unsigned long long)remote->id);
    status = receive_all(remote->fd, bytes + FRAME_HEAD, head.len, err);
    if (status != JAVM_OK)
        return status;
    *answer = (struct answer){.number = head.code, .len = head.len};
    if (head.code != JAVM_NUB_E_NONE)
        frame_error_get(head.code, bytes + FRAME_HEAD, head.len, &answer->err);
    else
        memcpy(answer->bytes, bytes + FRAME_HEAD, head.len);
    return JAVM_OK;
}

static enum javm_status call_socket(struct remote *remote, uint32_t fn, const void *payload,
                                    size_t len, struct answer *answer, struct javm_error *err)
{
    uint8_t bytes[FRAME_HEAD];
    if (len > UINT32_MAX)
        return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE, "%zu bytes, expected at most %u", len,
                         UINT32_MAX);
    const struct frame_head head = {.len = (uint32_t)len, .code = fn, .id = ++remote->id};
    frame_head_put(bytes, &head);
    if (send_all(remote->fd, bytes, sizeof bytes))
        (void)send_all(remote->fd, payload, len);
    return read_response(remote, answer, err);
}

/* ---- in a handle ------------------------------------------------------------------------ */

static enum javm_status put(struct remote *remote, const void *payload, size_t len,
                            struct answer *answer, struct javm_error *err)
{
    if (remote->kept_count == remote->kept_room) {
        const size_t room = 2 * remote->kept_room + 16;
        uint8_t **more = realloc(remote->kept, room * sizeof(uint8_t *));
        if (more == NULL)
            return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
        remote->kept = more;
        remote->kept_room = room;
    }
    uint8_t *copy = malloc(len + 1);
    struct javm_hash hash;
    if (copy == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    if (len > 0)
        memcpy(copy, payload, len);
    const enum javm_status status = javm_nub_put_archived(remote->nub, copy, len, &hash, err);
    if (status != JAVM_OK) {
        free(copy);
        return status;
    }
    remote->kept[remote->kept_count++] = copy;
    answer->len = sizeof hash;
    memcpy(answer->bytes, &hash, sizeof hash);
    return JAVM_OK;
}

static enum javm_status call(struct remote *remote, uint32_t fn, const void *payload, size_t len,
                             struct answer *answer, struct javm_error *err)
{
    uint8_t *response;
    size_t response_len;
    const enum javm_status status =
        javm_nub_call(remote->nub, fn, payload, len, &response, &response_len, err);
    if (status != JAVM_OK)
        return status;
    answer->len = response_len < sizeof answer->bytes ? response_len : sizeof answer->bytes;
    memcpy(answer->bytes, response, answer->len);
    free(response);
    return JAVM_OK;
}

enum javm_status remote_call(struct remote *remote, uint32_t fn, const void *payload, size_t len,
                             struct answer *answer, struct javm_error *err)
{
    struct javm_error failed = {.where = JAVM_NOWHERE};
    if (remote->fd >= 0)
        return call_socket(remote, fn, payload, len, answer, err);
    *answer = (struct answer){.number = JAVM_NUB_E_NONE};
    const enum javm_status status = fn == JAVM_NUB_PUT_CAP
                                        ? put(remote, payload, len, answer, &failed)
                                        : call(remote, fn, payload, len, answer, &failed);
    if (status != JAVM_OK)
        answer_fail(answer, JAVM_NUB_E_OF(status), &failed);
    return JAVM_OK;
}
