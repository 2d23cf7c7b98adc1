#include "rpc/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static enum javm_status address_of(const char *path, struct sockaddr_un *address,
                                   struct javm_error *err)
{
    *address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path[0] == '\0' || strlen(path) >= sizeof address->sun_path)
        return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE,
                         "%.100s: a path of %zu bytes, expected 1 to %zu", path, strlen(path),
                         sizeof address->sun_path - 1);
    memcpy(address->sun_path, path, strlen(path) + 1);
    return JAVM_OK;
}

static enum javm_status failed(const char *path, const char *what, struct javm_error *err)
{
    return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: %s: %s", path, what, strerror(errno));
}

/* The descriptor, or -errno. With SOCK_NONBLOCK in `flags` a full backlog is EAGAIN. */
static int try_connect(const struct sockaddr_un *address, int flags)
{
    int result;
    const int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | flags, 0);
    if (fd < 0)
        return -errno;
    do
        result = connect(fd, (const struct sockaddr *)address, sizeof *address);
    while (result != 0 && errno == EINTR);
    if (result == 0)
        return fd;
    const int why = errno;
    close(fd);
    return -why;
}

enum javm_status socket_connect(const char *path, int *fd, struct javm_error *err)
{
    struct sockaddr_un address;
    const enum javm_status status = address_of(path, &address, err);
    if (status != JAVM_OK)
        return status;
    *fd = try_connect(&address, 0);
    return *fd >= 0 ? JAVM_OK
                    : javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: cannot connect: %s", path,
                                strerror(-*fd));
}

bool socket_peer(int fd, uid_t *uid)
{
    struct ucred peer;
    socklen_t len = sizeof peer;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0 || len != sizeof peer)
        return false;
    *uid = peer.uid;
    return true;
}

/* ---- listening -------------------------------------------------------------------------- */

/* Of the server that is there, or will be; -1 in *fd with an error. */
static enum javm_status lock(const char *path, int *fd, struct javm_error *err)
{
    char name[PATH_MAX];
    struct stat found;
    snprintf(name, sizeof name, "%s.lock", path);
    *fd = open(name, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK, 0600);
    if (*fd < 0 || fstat(*fd, &found) != 0)
        return failed(name, "cannot be opened", err);
    if (!S_ISREG(found.st_mode) || found.st_uid != geteuid())
        return javm_fail(err, JAVM_E_EXISTS, JAVM_NOWHERE,
                         "%s: expected a file of user %u, found another thing", name,
                         (unsigned)geteuid());
    if (flock(*fd, LOCK_EX | LOCK_NB) != 0)
        return errno == EWOULDBLOCK ? javm_fail(err, JAVM_E_EXISTS, JAVM_NOWHERE,
                                                "%s: a server is running there already", path)
                                    : failed(name, "cannot be locked", err);
    return JAVM_OK;
}

/* Nothing is at the path then. */
static enum javm_status clear(const char *path, const struct sockaddr_un *address,
                              struct javm_error *err)
{
    struct stat found;
    if (lstat(path, &found) != 0)
        return errno == ENOENT ? JAVM_OK : failed(path, "cannot be looked at", err);
    if (!S_ISSOCK(found.st_mode))
        return javm_fail(err, JAVM_E_EXISTS, JAVM_NOWHERE,
                         "%s: expected nothing or a socket, found another thing", path);
    if (found.st_uid != geteuid())
        return javm_fail(err, JAVM_E_EXISTS, JAVM_NOWHERE,
                         "%s: a socket of user %u, expected one of user %u", path,
                         (unsigned)found.st_uid, (unsigned)geteuid());
    const int fd = try_connect(address, SOCK_NONBLOCK);
    if (fd >= 0)
        close(fd);
    if (fd != -ECONNREFUSED && fd != -ENOENT) /* only that means that nobody does */
        return javm_fail(err, JAVM_E_EXISTS, JAVM_NOWHERE, "%s: somebody listens there", path);
    return unlink(path) == 0 || errno == ENOENT ? JAVM_OK : failed(path, "cannot be replaced", err);
}

static enum javm_status make(const char *path, bool others, struct server_socket *server,
                             struct javm_error *err)
{
    struct sockaddr_un address;
    struct stat made;
    enum javm_status status = address_of(path, &address, err);
    if (status != JAVM_OK)
        return status;
    status = lock(path, &server->lock, err);
    if (status == JAVM_OK)
        status = clear(path, &address, err);
    if (status != JAVM_OK)
        return status;
    server->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (server->fd < 0)
        return failed(path, "no socket", err);
    const mode_t before =
        umask(others ? 0111 : 0177); /* never with more rights, not for a moment */
    const bool bound = bind(server->fd, (const struct sockaddr *)&address, sizeof address) == 0;
    const int why = errno;
    umask(before);
    errno = why;
    if (!bound || lstat(path, &made) != 0)
        return failed(path, "cannot be bound", err);
    server->device = made.st_dev;
    server->inode = made.st_ino;
    server->path = path;
    return listen(server->fd, SOMAXCONN) == 0 ? JAVM_OK : failed(path, "cannot listen", err);
}

enum javm_status socket_listen(const char *path, bool others, struct server_socket *server,
                               struct javm_error *err)
{
    *server = (struct server_socket){.fd = -1, .lock = -1};
    const enum javm_status status = make(path, others, server, err);
    if (status != JAVM_OK)
        socket_close(server);
    return status;
}

void socket_close(struct server_socket *server)
{
    struct stat found;
    if (server->path != NULL && lstat(server->path, &found) == 0 &&
        found.st_dev == server->device && found.st_ino == server->inode)
        (void)unlink(server->path);
    if (server->fd >= 0)
        close(server->fd);
    if (server->lock >= 0)
        close(server->lock); /* the last: another one may begin now */
    *server = (struct server_socket){.fd = -1, .lock = -1};
}
