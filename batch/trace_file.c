#include "batch/trace_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch/diag.h"
#include "batch/text.h"

#define BLOCK   (64u << 10) /* written at once, about */
#define END     "\n]\n"
#define END_LEN (sizeof END - 1)

/* The events gathered so far, and END, over the END that stands in the file: one write, so that the
 * file is whole before and after. */
void trace_file_flush(struct trace_file *file)
{
    if (file->failed != 0)
        file->len = 0;
    if (file->len == 0)
        return;
    memcpy(file->block + file->len, END, END_LEN);
    const size_t all = file->len + END_LEN;
    size_t done = 0;
    while (done < all) {
        const ssize_t n = pwrite(file->fd, file->block + done, all - done, file->at + (off_t)done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            file->failed = n < 0 ? errno : EIO;
            break;
        }
        done += (size_t)n;
    }
    if (done == all)
        file->at += (off_t)file->len;
    else if (pwrite(file->fd, END, END_LEN, file->at) == (ssize_t)END_LEN)
        (void)!ftruncate(file->fd, file->at + (off_t)END_LEN);
    file->len = 0;
}

void trace_file_added(struct trace_file *file, const char *end)
{
    file->len = (size_t)(end - file->block);
    if (file->len >= BLOCK)
        trace_file_flush(file);
}

char *trace_file_begin(struct trace_file *file)
{
    char *at = file->block + file->len;
    return file->at == 2 && file->len == 0 ? at : put_literal(at, ",\n");
}

char *trace_put_us(char *at, int64_t ns)
{
    const uint64_t value = ns < 0 ? 0 : (uint64_t)ns;
    at = put_u64(at, value / 1000);
    *at++ = '.';
    *at++ = (char)('0' + value % 1000 / 100);
    *at++ = (char)('0' + value % 100 / 10);
    *at++ = (char)('0' + value % 10);
    return at;
}

enum javm_status trace_file_open(struct trace_file *file, const char *path, const char *title,
                                 struct javm_error *err)
{
    struct stat st;
    *file = (struct trace_file){.fd = -1, .path = strdup(path)};
    file->block = malloc(BLOCK + TRACE_EVENT_MAX + END_LEN);
    if (file->path == NULL || file->block == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    file->fd = open(file->path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0666);
    if (file->fd < 0 || fstat(file->fd, &st) != 0)
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: %s", file->path, strerror(errno));
    if (!S_ISREG(st.st_mode))
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE,
                         "%s: a trace needs a regular file; it is completed in place", file->path);
    if (ftruncate(file->fd, 0) != 0 || pwrite(file->fd, "[\n" END, 2 + END_LEN, 0) < 0)
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: %s", file->path, strerror(errno));
    file->at = 2;
    char shown[128];
    snprintf(shown, sizeof shown, "javm-batch %s", title);
    diag_clean(shown);
    char *at = put_literal(trace_file_begin(file),
                           "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":");
    trace_file_added(file, put_literal(put_json(at, shown, strlen(shown)), "}}"));
    trace_file_flush(file);
    return JAVM_OK;
}

enum javm_status trace_file_close(struct trace_file *file, struct javm_error *err)
{
    trace_file_flush(file);
    if (close(file->fd) != 0 && file->failed == 0)
        file->failed = errno;
    file->fd = -1;
    if (file->failed == 0)
        return JAVM_OK;
    return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: %s", file->path, strerror(file->failed));
}

void trace_file_dispose(struct trace_file *file)
{
    if (file->fd >= 0)
        close(file->fd);
    free(file->block);
    free(file->path);
}
