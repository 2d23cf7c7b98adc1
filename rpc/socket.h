/* The Unix socket of a server: made so that nobody else's is harmed, and who is at its other end.
 */
#ifndef JAVM_RPC_SOCKET_H
#define JAVM_RPC_SOCKET_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "javm/status.h"

struct server_socket {
    int fd, lock;     /* -1: none */
    const char *path; /* borrowed */
    dev_t device;     /* of what was made at the path */
    ino_t inode;
};

/* Listens at the path, with mode 0600, or 0666 when `others` may come: then the check of their
 * credentials is all there is. PATH.lock is held until the end, so of two servers that start at
 * once one wins. What is at the path is replaced if it is a socket of this user that nobody listens
 * at; EXISTS for anything else; IO, LIMIT (a path too long). Changes the umask for a moment: before
 * there are threads. */
enum javm_status socket_listen(const char *path, bool others, struct server_socket *server,
                               struct javm_error *err);
/* Removes the path if it is still what was made, and ends. */
void socket_close(struct server_socket *server);
/* Connected, blocking. IO with the path. */
enum javm_status socket_connect(const char *path, int *fd, struct javm_error *err);
/* The user at the other end, as the kernel says. False: it does not say. */
bool socket_peer(int fd, uid_t *uid);

#endif
