#include "batch/encoder.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#define OUT_BYTES (256u << 10)
#define FRAME_BYTES                                                                     \
    (1u << 20)       /* what a frame holds before it is ended, and a sudden death takes \
                      */
#define GZIP_LEVEL 4 /* the writer is one thread: fast enough to follow several workers */
#define ZSTD_LEVEL 3

struct encoder {
    int fd;
    enum encoding encoding;
    uint64_t written, lines;
    z_stream z;
    bool z_ready;
    ZSTD_CStream *zstd;
    char *out;
    bool any; /* the file has a frame */
    /* the frame at hand: what was fed, written and is in it. fed 0: there is none */
    uint64_t fed, frame_written, frame_lines;
};

enum encoding encoding_of(const char *path)
{
    const size_t len = strlen(path);
    if (len >= 3 && strcmp(path + len - 3, ".gz") == 0)
        return ENCODING_GZIP;
    if (len >= 4 && strcmp(path + len - 4, ".zst") == 0)
        return ENCODING_ZSTD;
    return ENCODING_PLAIN;
}

struct encoder *encoder_new(int fd, enum encoding encoding)
{
    struct encoder *encoder = calloc(1, sizeof *encoder);
    if (encoder == NULL)
        return NULL;
    encoder->fd = fd;
    encoder->encoding = encoding;
    bool good = true;
    if (encoding != ENCODING_PLAIN)
        good = (encoder->out = malloc(OUT_BYTES)) != NULL;
    if (good && encoding == ENCODING_GZIP)
        good = encoder->z_ready = deflateInit2(&encoder->z, GZIP_LEVEL, Z_DEFLATED, 16 + MAX_WBITS,
                                               8, Z_DEFAULT_STRATEGY) == Z_OK;
    if (good && encoding == ENCODING_ZSTD) {
        encoder->zstd = ZSTD_createCStream();
        good = encoder->zstd != NULL &&
               !ZSTD_isError(
                   ZSTD_CCtx_setParameter(encoder->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL)) &&
               !ZSTD_isError(ZSTD_CCtx_setParameter(encoder->zstd, ZSTD_c_checksumFlag, 1));
    }
    if (good)
        return encoder;
    encoder_free(encoder);
    return NULL;
}

void encoder_free(struct encoder *encoder)
{
    if (encoder == NULL)
        return;
    if (encoder->z_ready)
        deflateEnd(&encoder->z);
    ZSTD_freeCStream(encoder->zstd);
    free(encoder->out);
    free(encoder);
}

uint64_t encoder_bytes(const struct encoder *encoder)
{
    return encoder->written;
}

uint64_t encoder_lines(const struct encoder *encoder)
{
    return encoder->lines;
}

void encoder_continue(struct encoder *encoder, bool any)
{
    encoder->any = any;
}

/* Everything or an error; *done is how much went out. */
static bool write_all(struct encoder *encoder, const char *bytes, size_t len, size_t *done)
{
    *done = 0;
    while (*done < len) {
        const ssize_t n = write(encoder->fd, bytes + *done, len - *done);
        if (n > 0) {
            *done += (size_t)n;
            encoder->written += (uint64_t)n;
        } else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            struct pollfd fd = {encoder->fd, POLLOUT, 0}; /* someone made it non-blocking */
            poll(&fd, 1, -1);
        } else if (n < 0 && errno != EINTR) {
            return false;
        } else if (n == 0) {
            errno = EIO;
            return false;
        }
    }
    return true;
}

/* After a failed write: take away what is torn at the end of a regular file. */
static void cut_off(struct encoder *encoder, uint64_t torn)
{
    struct stat st;
    const int saved = errno;
    const off_t end = lseek(encoder->fd, 0, SEEK_CUR);
    if (torn > 0 && fstat(encoder->fd, &st) == 0 && S_ISREG(st.st_mode) && end == st.st_size &&
        end >= (off_t)torn && ftruncate(encoder->fd, end - (off_t)torn) == 0)
        lseek(encoder->fd, end - (off_t)torn, SEEK_SET);
    encoder->written -= torn;
    errno = saved;
}

static uint64_t count_lines(const char *bytes, size_t len)
{
    uint64_t lines = 0;
    for (const char *at = bytes; (at = memchr(at, '\n', len - (size_t)(at - bytes))) != NULL; at++)
        lines++;
    return lines;
}

static bool write_plain(struct encoder *encoder, const char *bytes, size_t len, uint64_t lines)
{
    size_t done;
    if (write_all(encoder, bytes, len, &done)) {
        encoder->lines += lines;
        return true;
    }
    const char *newline = memrchr(bytes, '\n', done);
    const size_t whole = newline == NULL ? 0 : (size_t)(newline - bytes) + 1;
    encoder->lines += count_lines(bytes, whole);
    cut_off(encoder, done - whole);
    return false;
}

static bool deflate_some(struct encoder *encoder, const char *bytes, size_t len, int mode)
{
    encoder->z.next_in = (Bytef *)(uintptr_t)bytes;
    encoder->z.avail_in = (uInt)len;
    int status;
    do {
        size_t done;
        encoder->z.next_out = (Bytef *)encoder->out;
        encoder->z.avail_out = OUT_BYTES;
        status = deflate(&encoder->z, mode);
        if (!write_all(encoder, encoder->out, OUT_BYTES - encoder->z.avail_out, &done))
            return false;
    } while (encoder->z.avail_out == 0 || (mode == Z_FINISH && status == Z_OK));
    return true;
}

static bool zstd_some(struct encoder *encoder, const char *bytes, size_t len,
                      ZSTD_EndDirective mode)
{
    ZSTD_inBuffer in = {bytes, len, 0};
    size_t left;
    do {
        size_t done;
        ZSTD_outBuffer out = {encoder->out, OUT_BYTES, 0};
        left = ZSTD_compressStream2(encoder->zstd, &out, &in, mode);
        if (ZSTD_isError(left)) {
            errno = ENOMEM; /* the only way it can fail here */
            return false;
        }
        if (!write_all(encoder, encoder->out, out.pos, &done))
            return false;
    } while (in.pos < in.size || (mode != ZSTD_e_continue && left != 0));
    return true;
}

static bool feed(struct encoder *encoder, const char *bytes, size_t len)
{
    bool good = true;
    for (size_t done = 0; good && done < len;) { /* zlib counts in 32 bits */
        const size_t part = len - done < (1u << 30) ? len - done : 1u << 30;
        good = encoder->encoding == ENCODING_GZIP
                   ? deflate_some(encoder, bytes + done, part, Z_NO_FLUSH)
                   : zstd_some(encoder, bytes + done, part, ZSTD_e_continue);
        done += part;
    }
    return good;
}

static bool drop_frame(struct encoder *encoder)
{
    cut_off(encoder, encoder->written - encoder->frame_written);
    return false;
}

static bool end_frame(struct encoder *encoder)
{
    if (encoder->fed == 0)
        encoder->frame_written = encoder->written;
    if (encoder->encoding == ENCODING_GZIP
            ? !deflate_some(encoder, NULL, 0, Z_FINISH) || deflateReset(&encoder->z) != Z_OK
            : !zstd_some(encoder, NULL, 0, ZSTD_e_end))
        return drop_frame(encoder);
    encoder->lines += encoder->frame_lines;
    encoder->frame_lines = 0;
    encoder->fed = 0;
    encoder->any = true;
    return true;
}

bool encoder_write(struct encoder *encoder, const char *bytes, size_t len, uint64_t lines)
{
    if (encoder->encoding == ENCODING_PLAIN)
        return write_plain(encoder, bytes, len, lines);
    if (encoder->fed == 0)
        encoder->frame_written = encoder->written;
    encoder->fed += len;
    encoder->frame_lines += lines;
    if (!feed(encoder, bytes, len))
        return drop_frame(encoder);
    return encoder->fed < FRAME_BYTES || end_frame(encoder);
}

bool encoder_flush(struct encoder *encoder)
{
    return encoder->fed == 0 || end_frame(encoder);
}

bool encoder_finish(struct encoder *encoder)
{
    if (encoder->encoding == ENCODING_PLAIN || (encoder->fed == 0 && encoder->any))
        return true;
    return end_frame(encoder);
}
