#include "vm/nub/nursery.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "vm/nub/sandbox.h"

struct nub_nursery {
    int socket;
    pid_t pid;
    pthread_mutex_t lock; /* one request at a time on the socket */
};

/* ---- messages --------------------------------------------------------------------------- */

/* `bytes` and one descriptor (-1: none), whole. */
static bool send_with(int socket, const void *bytes, size_t len, int fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.room = {0}};
    struct iovec part = {(void *)(uintptr_t)bytes, len};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (fd >= 0) {
        message.msg_control = &control;
        message.msg_controllen = sizeof control;
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(header), &fd, sizeof fd);
    }
    ssize_t sent;
    do
        sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)len;
}

/* *fd is -1 when none came. */
static bool receive_with(int socket, void *bytes, size_t len, int *fd)
{
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    struct iovec part = {bytes, len};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof control};
    ssize_t got;
    do
        got = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    *fd = -1;
    const struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
    if (header != NULL && header->cmsg_type == SCM_RIGHTS)
        memcpy(fd, CMSG_DATA(header), sizeof *fd);
    return got == (ssize_t)len;
}

/* ---- a child ---------------------------------------------------------------------------- */

/* What the host waits for: an error response, or the first answer. */
static void born(struct nub_head *head, enum javm_status status, const struct javm_error *err)
{
    head->error = status == JAVM_OK ? JAVM_NUB_E_NONE : JAVM_NUB_E_OF(status);
    if (status != JAVM_OK)
        memcpy(head->text, err->text, sizeof head->text);
    /* Release, partner: nub_cell_wait. */
    __atomic_store_n(&head->call, NUB_CALL_DONE, __ATOMIC_RELEASE);
    nub_bell_ring(&head->answer, &head->host_sleeps);
}

_Noreturn static void live(const struct nub_program *program, int parent, int memory,
                           const struct nub_birth *birth)
{
    struct nub_region region = birth->region;
    struct nub_service service;
    struct javm_error err = {.text = ""};
    void *base = mmap(NULL, region.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memory, 0);
    if (base == MAP_FAILED)
        _exit(1);
    nub_region_view(&region, base);
    (void)sched_setaffinity(0, sizeof birth->cpus, &birth->cpus); /* else anywhere */
    enum javm_status status = nub_sandbox_begin(parent, -1, &err);
    if (status == JAVM_OK)
        status = program->start(program->options, &region, &service, &err);
    if (status == JAVM_OK)
        status = nub_sandbox_enter(birth->memory_bytes, &service.machine, &err);
    born(region.head, status, &err);
    if (status == JAVM_OK)
        nub_serve(&region, &service);
    _exit(status != JAVM_OK); /* what it has goes with it */
}

/* ---- the nursery ------------------------------------------------------------------------ */

/* Those that have died. The time that they used becomes this process's, and then the host's. */
static void reap(void)
{
    while (waitpid(-1, NULL, WNOHANG) > 0)
        continue;
}

static void answer_request(const struct nub_program *program, int socket, int memory,
                           const struct nub_birth *birth)
{
    const pid_t self = getpid();
    reap(); /* their pids were not reused */
    pid_t pid = fork();
    if (pid == 0)
        live(program, self, memory, birth);
    const int pidfd = pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0);
    if (pid > 0 && pidfd < 0)
        kill(pid, SIGKILL);
    (void)send_with(socket, &pid, sizeof pid, pidfd);
    if (pidfd >= 0)
        close(pidfd);
}

_Noreturn static void tend(const struct nub_program *program, int socket)
{
    struct nub_birth birth;
    struct javm_error err;
    int memory;
    sigset_t none;
    for (int signal = 1; signal < NSIG; signal++)
        /* Faults are the recompiler's, which installs its handler once for all forks. */
        if (signal != SIGSEGV && signal != SIGBUS)
            (void)sigaction(signal, &(struct sigaction){.sa_handler = SIG_DFL}, NULL);
    /* Who asks all processes of a host to end leaves it to the host when these do. */
    static const int HOSTS[] = {SIGHUP, SIGINT, SIGTERM};
    for (size_t i = 0; i < sizeof HOSTS / sizeof *HOSTS; i++)
        (void)sigaction(HOSTS[i], &(struct sigaction){.sa_handler = SIG_IGN}, NULL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    /* No signal at the parent's end: that is of the thread that forked. The host's end is seen at
     * the socket. */
    if (nub_sandbox_begin(-1, socket, &err) != JAVM_OK)
        _exit(1);
    while (receive_with(socket, &birth, sizeof birth, &memory) && memory >= 0) {
        answer_request(program, socket, memory, &birth);
        close(memory);
    }
    reap();
    _exit(0);
}

enum javm_status nub_nursery_open(const struct nub_program *program, struct nub_nursery **nursery,
                                  struct javm_error *err)
{
    int ends[2];
    struct nub_nursery *made = malloc(sizeof *made);
    if (made == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "isolation: out of memory");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0) {
        free(made);
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "isolation: no socket: %s", strerror(errno));
    }
    made->pid = fork();
    if (made->pid == 0)
        tend(program, ends[1]);
    const int why = errno;
    close(ends[1]);
    made->socket = ends[0];
    if (made->pid < 0) {
        close(ends[0]);
        free(made);
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "isolation: cannot fork: %s", strerror(why));
    }
    pthread_mutex_init(&made->lock, NULL);
    *nursery = made;
    return JAVM_OK;
}

void nub_nursery_close(struct nub_nursery *nursery)
{
    if (nursery == NULL)
        return;
    close(nursery->socket);
    while (waitpid(nursery->pid, NULL, 0) < 0 && errno == EINTR)
        continue;
    pthread_mutex_destroy(&nursery->lock);
    free(nursery);
}

enum javm_status nub_nursery_spawn(struct nub_nursery *nursery, int memory,
                                   const struct nub_birth *birth, struct nub_child *child,
                                   struct javm_error *err)
{
    char path[64];
    pthread_mutex_lock(&nursery->lock);
    const bool spoken =
        send_with(nursery->socket, birth, sizeof *birth, memory) &&
        receive_with(nursery->socket, &child->pid, sizeof child->pid, &child->pidfd);
    pthread_mutex_unlock(&nursery->lock);
    if (!spoken || child->pidfd < 0)
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "isolation: cannot start a process: %s",
                         spoken ? "no room for one more" : "the one that starts them is gone");
    snprintf(path, sizeof path, "/proc/%d/statm", (int)child->pid);
    child->statm = open(path, O_RDONLY | O_CLOEXEC);
    return JAVM_OK;
}
