#include "batch/memory_file.h"

#include <errno.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

bool memory_file_make(struct memory_file *file, const void *bytes, size_t len)
{
    const char *at = bytes;
    file->fd = memfd_create("javm-batch", MFD_CLOEXEC);
    snprintf(file->name, sizeof file->name, "/proc/self/fd/%d", file->fd);
    while (file->fd >= 0 && len > 0) {
        const ssize_t put = write(file->fd, at, len);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        at += put;
        len -= (size_t)put;
    }
    return file->fd >= 0;
}

void memory_file_close(struct memory_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}
