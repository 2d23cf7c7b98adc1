#include "batch/outputs.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch/record.h"
#include "javm/load.h"

#define PIPE_MAX (1u << 28) /* as javm_file_read */
#define CLAIMS   4          /* results, figures, trace, report */

static struct {
    dev_t device;
    ino_t inode;
} claims[CLAIMS];
static unsigned claim_count;
/* Relaxed: the refusal itself reaches the writer through the end of the batch. */
static _Atomic bool conflict;

static int stop = -1;
static struct record *noted;
static const struct recording *from;

static bool claimed(const struct stat *st)
{
    for (unsigned i = 0; i < claim_count; i++)
        if (claims[i].device == st->st_dev && claims[i].inode == st->st_ino)
            return true;
    return false;
}

bool outputs_same(int a, int b)
{
    struct stat one, other;
    return a >= 0 && b >= 0 && fstat(a, &one) == 0 && fstat(b, &other) == 0 &&
           S_ISREG(one.st_mode) && one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

bool outputs_claim(int fd)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        return false;
    if (claimed(&st))
        return true;
    if (claim_count < CLAIMS) {
        claims[claim_count].device = st.st_dev;
        claims[claim_count++].inode = st.st_ino;
    }
    return false;
}

enum javm_status outputs_probe(const char *path, int input_fd, struct javm_error *err)
{
    const int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0)
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: %s", path, strerror(errno));
    const bool twice = outputs_claim(fd);
    const bool jobs = outputs_same(fd, input_fd);
    close(fd);
    if (jobs)
        return javm_fail(err, JAVM_E_EXISTS, JAVM_NOWHERE,
                         "%s: this is the jobs file; figures cannot go there", path);
    if (twice)
        return javm_fail(
            err, JAVM_E_EXISTS, JAVM_NOWHERE,
            "%s: something else of this batch goes there; figures need a file of their own", path);
    return JAVM_OK;
}

/* To be freed. NULL: out of memory. */
static char *folder_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? strdup(".") : strndup(path, (size_t)(slash - path) + 1);
}

enum javm_status outputs_probe_replaced(const char *path, int input_fd, struct javm_error *err)
{
    struct stat st, jobs;
    char *folder = folder_of(path);
    if (folder == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", path);
    const bool writable = access(folder, W_OK | X_OK) == 0;
    free(folder);
    if (!writable)
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: %s", path, strerror(errno));
    if (stat(path, &st) != 0)
        return JAVM_OK;
    if (S_ISDIR(st.st_mode))
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: it is a directory", path);
    if (input_fd >= 0 && fstat(input_fd, &jobs) == 0 && jobs.st_dev == st.st_dev &&
        jobs.st_ino == st.st_ino)
        return javm_fail(err, JAVM_E_EXISTS, JAVM_NOWHERE,
                         "%s: this is the jobs file; chains cannot go there", path);
    if (claimed(&st))
        return javm_fail(err, JAVM_E_EXISTS, JAVM_NOWHERE,
                         "%s: something else of this batch goes there; chains need a file of "
                         "their own",
                         path);
    return JAVM_OK;
}

void outputs_settle_name(const char *path)
{
    char *folder = folder_of(path);
    const int fd = folder == NULL ? -1 : open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)!fsync(fd);
        close(fd);
    }
    free(folder);
}

void outputs_record(struct record *record, const struct recording *recording)
{
    noted = record;
    from = recording;
}

void outputs_stop(int stop_fd)
{
    stop = stop_fd;
}

/* Opening a pipe that nobody writes to would sleep, as would reading from it. */
static enum javm_status read_pipe(int fd, const char *path, uint8_t **bytes, size_t *len,
                                  struct javm_error *err)
{
    struct pollfd fds[2] = {{fd, POLLIN, 0}, {stop, POLLIN, 0}};
    size_t capacity = 0;
    *bytes = NULL;
    *len = 0;
    for (;;) {
        if (*len == capacity) {
            uint8_t *more = realloc(*bytes, capacity = capacity * 2 + 65536);
            if (more == NULL)
                return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to read %s", path);
            *bytes = more;
        }
        poll(fds, 2, -1); /* errors show at the read */
        if (fds[1].revents != 0)
            return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE, "%s: interrupted", path);
        const ssize_t n = read(fd, *bytes + *len, capacity - *len);
        if (n == 0)
            return JAVM_OK;
        if (n < 0 && errno != EINTR && errno != EAGAIN)
            return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "cannot read %s: %s", path,
                             strerror(errno));
        *len += n > 0 ? (size_t)n : 0;
        if (*len > PIPE_MAX)
            return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE,
                             "%s is larger than the limit of %u bytes", path, PIPE_MAX);
    }
}

static enum javm_status read_input(const char *path, bool pipe, uint8_t **bytes, size_t *len,
                                   struct javm_error *err)
{
    if (!pipe || stop < 0)
        return javm_file_read(path, 0, bytes, len, err);
    const int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "cannot open %s: %s", path, strerror(errno));
    const enum javm_status status = read_pipe(fd, path, bytes, len, err);
    close(fd);
    if (status != JAVM_OK)
        free(*bytes);
    return status;
}

enum javm_status outputs_read(const char *path, uint8_t **bytes, size_t *len,
                              struct javm_error *err)
{
    struct stat st;
    if (from != NULL)
        return recording_file(from, path, bytes, len, err);
    const bool there = stat(path, &st) == 0;
    if (there && claimed(&st)) {
        atomic_store_explicit(&conflict, true, memory_order_relaxed);
        return javm_fail(err, JAVM_E_EXISTS, JAVM_NOWHERE,
                         "%s: this batch writes to it, so it cannot be an input", path);
    }
    const enum javm_status status =
        read_input(path, there && S_ISFIFO(st.st_mode), bytes, len, err);
    if (status == JAVM_OK && noted != NULL)
        record_note(noted, path, *bytes, *len);
    return status;
}

bool outputs_conflict(void)
{
    return atomic_load_explicit(&conflict, memory_order_relaxed);
}
