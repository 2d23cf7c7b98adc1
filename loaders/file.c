/* Whole files in and out, and what kind of file some bytes are. */
#include "javm/load.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "loaders/bundle.h"

#define DEFAULT_LIMIT (UINT64_C(1) << 32)
/* Devices and pipes do not say how much there is, and some never end. */
#define STREAM_LIMIT  (UINT64_C(1) << 28)

/* The end of a path says most, and a longer one would push the reason out of the message. */
static const char *shown(const char *path)
{
    enum { SHOWN = 140 };
    const size_t len = strlen(path);
    const char *from = len > SHOWN ? path + len - SHOWN : path;
    while (((unsigned char)*from & 0xC0) == 0x80) /* not in the middle of a character */
        from++;
    return from;
}

static enum javm_status io_error(struct javm_error *err, const char *what, const char *path)
{
    return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "cannot %s %s: %s", what, shown(path),
                     strerror(errno));
}

/* Grows as it reads, because pipes and /proc files do not know their size; `expected` only picks
 * the first size. */
static enum javm_status read_all(int fd, const char *path, uint64_t limit, uint64_t expected,
                                 uint8_t **bytes, size_t *len, struct javm_error *err)
{
    size_t capacity = expected < 4096 ? 4096 : (size_t)expected + 1;
    size_t used = 0;
    uint8_t *buffer = malloc(capacity);
    if (buffer == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to read %s", shown(path));
    for (;;) {
        if (used == capacity) {
            uint8_t *more = realloc(buffer, capacity * 2);
            if (more == NULL) {
                free(buffer);
                return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to read %s",
                                 shown(path));
            }
            buffer = more;
            capacity *= 2;
        }
        ssize_t n = read(fd, buffer + used, capacity - used);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            enum javm_status status = io_error(err, "read", path);
            free(buffer);
            return status;
        }
        if (n == 0)
            break;
        used += (size_t)n;
        if (used > limit) {
            free(buffer);
            return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE,
                             "%s is larger than the limit of %" PRIu64 " bytes", shown(path),
                             limit);
        }
    }
    *bytes = buffer;
    *len = used;
    return JAVM_OK;
}

enum javm_status javm_file_read(const char *path, uint64_t limit, uint8_t **bytes, size_t *len,
                                struct javm_error *err)
{
    if (limit == 0)
        limit = DEFAULT_LIMIT;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return io_error(err, "open", path);
    struct stat st;
    enum javm_status status = JAVM_OK;
    if (fstat(fd, &st) != 0)
        status = io_error(err, "read", path);
    else if (S_ISDIR(st.st_mode))
        status = javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "cannot read %s: it is a directory",
                           shown(path));
    else if (S_ISREG(st.st_mode) && (uint64_t)st.st_size > limit)
        status = javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE,
                           "%s has %lld bytes, more than the limit of %" PRIu64, shown(path),
                           (long long)st.st_size, limit);
    else if (S_ISREG(st.st_mode))
        status = read_all(fd, path, limit, (uint64_t)st.st_size, bytes, len, err);
    else
        status =
            read_all(fd, path, limit < STREAM_LIMIT ? limit : STREAM_LIMIT, 0, bytes, len, err);
    close(fd);
    return status;
}

static enum javm_status write_all(int fd, const char *path, const uint8_t *bytes, size_t len,
                                  struct javm_error *err)
{
    while (len > 0) {
        ssize_t n = write(fd, bytes, len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return io_error(err, "write", path);
        bytes += n;
        len -= (size_t)n;
    }
    return JAVM_OK;
}

/* Devices and pipes cannot be replaced by a rename, and must not be. */
static enum javm_status write_in_place(const char *path, const void *bytes, size_t len,
                                       struct javm_error *err)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return io_error(err, "open", path);
    enum javm_status status = write_all(fd, path, bytes, len, err);
    if (close(fd) != 0 && status == JAVM_OK)
        status = io_error(err, "write", path);
    return status;
}

enum javm_status javm_file_write(const char *path, const void *bytes, size_t len,
                                 struct javm_error *err)
{
    /* Relaxed: only uniqueness within the process matters. */
    static atomic_uint serial;
    struct stat st;
    if (stat(path, &st) == 0 && !S_ISREG(st.st_mode))
        return write_in_place(path, bytes, len, err);
    size_t size = strlen(path) + 48;
    char *temporary = malloc(size);
    if (temporary == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to write %s", shown(path));
    snprintf(temporary, size, "%s.%ld-%u.tmp", path, (long)getpid(),
             atomic_fetch_add_explicit(&serial, 1, memory_order_relaxed));
    int fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) {
        enum javm_status status = io_error(err, "create", temporary);
        free(temporary);
        return status;
    }
    enum javm_status status = write_all(fd, path, bytes, len, err);
    /* Without this a crash soon after the rename could leave an empty file under the final name. */
    if (status == JAVM_OK && fsync(fd) != 0)
        status = io_error(err, "write", path);
    if (close(fd) != 0 && status == JAVM_OK)
        status = io_error(err, "write", path);
    if (status == JAVM_OK && rename(temporary, path) != 0)
        status = io_error(err, "rename to", path);
    if (status != JAVM_OK)
        unlink(temporary);
    free(temporary);
    return status;
}

enum javm_file_kind javm_file_sniff(const uint8_t *bytes, size_t len)
{
    if (len >= sizeof BUNDLE_MAGIC - 1 && memcmp(bytes, BUNDLE_MAGIC, sizeof BUNDLE_MAGIC - 1) == 0)
        return JAVM_FILE_BUNDLE;
    if (len >= 4 && memcmp(bytes,
                           "\x7f"
                           "ELF",
                           4) == 0)
        return JAVM_FILE_ELF;
    return JAVM_FILE_UNKNOWN;
}

enum javm_status javm_load(const uint8_t *bytes, size_t len, struct javm_bundle *bundle,
                           struct javm_error *err)
{
    *bundle = (struct javm_bundle){0};
    switch (javm_file_sniff(bytes, len)) {
    case JAVM_FILE_BUNDLE:
        return javm_bundle_decode(bytes, len, bundle, err);
    case JAVM_FILE_ELF:
        return javm_link_elf(bytes, len, NULL, bundle, NULL, err);
    case JAVM_FILE_UNKNOWN:
        break;
    }
    if (len >= 4 && memcmp(bytes, BUNDLE_MAGIC, 4) == 0)
        return javm_fail(err, JAVM_E_FORMAT, 4,
                         "begins like a bundle, but bytes 4..7 are not 0d 0a 1a 0a: was it copied "
                         "as text?");
    return javm_fail(err, JAVM_E_FORMAT, 0,
                     "neither a bundle (magic \"JAVM\\r\\n\\x1a\\n\") nor an ELF file");
}
