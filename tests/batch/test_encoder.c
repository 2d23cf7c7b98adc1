/* Defects that this would catch: output that cannot be read back, a flush after which a reader does
 * not yet see everything, a compressed stream that is not ended, a failed write that leaves half a
 * line or frame or miscounts, and a name whose end is misread. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "batch/encoder.h"
#include "files.h"

static int open_new(const char *name)
{
    const int fd = open(scratch_path(name), O_RDWR | O_CREAT | O_TRUNC, 0600);
    cr_assert_geq(fd, 0);
    return fd;
}

/* Lines of rising numbers, so that neither order nor place can be mixed up. */
static char *make_lines(size_t count, size_t *len)
{
    char *text = malloc(count * 24 + 1);
    cr_assert(text != NULL);
    *len = 0;
    for (size_t i = 0; i < count; i++)
        *len += (size_t)sprintf(text + *len, "line %zu %zu\n", i, i * 7919 % 1000);
    return text;
}

static char *decode(enum encoding encoding, const char *bytes, size_t len, size_t *out_len)
{
    if (encoding == ENCODING_GZIP)
        return read_gzip(bytes, len, out_len);
    if (encoding == ENCODING_ZSTD)
        return read_zstd(bytes, len, out_len);
    char *copy = malloc(len + 1);
    cr_assert(copy != NULL);
    memcpy(copy, bytes, len);
    *out_len = len;
    return copy;
}

Test(encoder, names, .init = scratch_make, .fini = scratch_remove)
{
    cr_expect_eq(encoding_of("a.ndjson"), ENCODING_PLAIN);
    cr_expect_eq(encoding_of("a.gz"), ENCODING_GZIP);
    cr_expect_eq(encoding_of("a.gz.ndjson"), ENCODING_PLAIN);
    cr_expect_eq(encoding_of(".zst"), ENCODING_ZSTD);
    cr_expect_eq(encoding_of("zst"), ENCODING_PLAIN);
    cr_expect_eq(encoding_of("-"), ENCODING_PLAIN);
    cr_expect_eq(encoding_of(""), ENCODING_PLAIN);
}

Test(encoder, what_is_written_comes_back, .init = scratch_make, .fini = scratch_remove)
{
    size_t len;
    char *text = make_lines(60000, &len);
    for (enum encoding encoding = ENCODING_PLAIN; encoding <= ENCODING_ZSTD; encoding++) {
        const int fd = open_new("out");
        struct encoder *encoder = encoder_new(fd, encoding);
        cr_assert(encoder != NULL);
        size_t file_len, back_len;
        for (size_t at = 0, part = 1; at < len; at += part, part = part * 3 + 1) {
            part = part < len - at ? part : len - at;
            cr_assert(encoder_write(encoder, text + at, part, 1));
        }
        cr_assert(encoder_finish(encoder));
        char *file = scratch_read("out", &file_len);
        cr_expect_eq(encoder_bytes(encoder), file_len);
        char *back = decode(encoding, file, file_len, &back_len);
        cr_assert(back != NULL, "encoding %d", encoding);
        cr_expect(back_len == len && memcmp(back, text, len) == 0, "encoding %d", encoding);
        if (encoding != ENCODING_PLAIN)
            cr_expect_lt(file_len, len / 2, "encoding %d", encoding);
        free(back);
        free(file);
        encoder_free(encoder);
        close(fd);
    }
    free(text);
}

Test(encoder, an_empty_stream_is_a_valid_one, .init = scratch_make, .fini = scratch_remove)
{
    for (enum encoding encoding = ENCODING_GZIP; encoding <= ENCODING_ZSTD; encoding++) {
        const int fd = open_new("empty");
        struct encoder *encoder = encoder_new(fd, encoding);
        cr_assert(encoder != NULL && encoder_flush(encoder) && encoder_finish(encoder));
        size_t file_len, back_len = 1;
        char *file = scratch_read("empty", &file_len);
        cr_expect_gt(file_len, 0);
        char *back = decode(encoding, file, file_len, &back_len);
        cr_expect(back != NULL && back_len == 0);
        free(back);
        free(file);
        encoder_free(encoder);
        close(fd);
    }
}

/* A flush ends a block, so that the file grows each time there was something and not otherwise. */
Test(encoder, a_flush_brings_everything_out, .init = scratch_make, .fini = scratch_remove)
{
    for (enum encoding encoding = ENCODING_GZIP; encoding <= ENCODING_ZSTD; encoding++) {
        const int fd = open_new("flushed");
        struct encoder *encoder = encoder_new(fd, encoding);
        cr_assert(encoder != NULL);
        for (int i = 0; i < 3; i++) {
            const uint64_t before = encoder_bytes(encoder);
            cr_assert(encoder_write(encoder, "abc\n", 4, 1));
            cr_assert(encoder_flush(encoder));
            const uint64_t after = encoder_bytes(encoder);
            cr_expect_gt(after, before, "encoding %d", encoding);
            cr_assert(encoder_flush(encoder));
            cr_expect_eq(encoder_bytes(encoder), after, "nothing new, nothing written");
        }
        cr_assert(encoder_finish(encoder));
        size_t file_len, back_len;
        char *file = scratch_read("flushed", &file_len);
        char *back = decode(encoding, file, file_len, &back_len);
        cr_expect(back != NULL && back_len == 12 && memcmp(back, "abc\nabc\nabc\n", 12) == 0);
        free(back);
        free(file);
        encoder_free(encoder);
        close(fd);
    }
}

Test(encoder, a_file_that_cannot_grow_keeps_whole_lines, .init = scratch_make,
     .fini = scratch_remove)
{
    struct rlimit old, limit;
    const int fd = open_new("limited");
    struct encoder *encoder = encoder_new(fd, ENCODING_PLAIN);
    char text[2000];
    size_t len;
    cr_assert(encoder != NULL);
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 10 == 9 ? '\n' : 'x';
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = old;
    limit.rlim_cur = 1003;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_expect_not(encoder_write(encoder, text, sizeof text, 200));
    cr_expect_eq(errno, EFBIG);
    setrlimit(RLIMIT_FSIZE, &old);
    cr_expect_eq(encoder_lines(encoder), 100);
    cr_expect_eq(encoder_bytes(encoder), 1000);
    encoder_free(encoder);
    close(fd);
    char *file = scratch_read("limited", &len);
    cr_expect_eq(len, 1000);
    free(file);
}

Test(encoder, a_closed_pipe_and_a_full_device, .init = scratch_make, .fini = scratch_remove)
{
    int ends[2];
    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(pipe(ends), 0);
    close(ends[0]);
    struct encoder *encoder = encoder_new(ends[1], ENCODING_PLAIN);
    cr_assert(encoder != NULL);
    cr_expect_not(encoder_write(encoder, "abc\n", 4, 1));
    cr_expect(errno == EPIPE && encoder_lines(encoder) == 0 && encoder_bytes(encoder) == 0);
    encoder_free(encoder);
    close(ends[1]);
    const int full = open("/dev/full", O_WRONLY);
    cr_assert_geq(full, 0);
    for (enum encoding encoding = ENCODING_GZIP; encoding <= ENCODING_ZSTD; encoding++) {
        encoder = encoder_new(full, encoding);
        cr_assert(encoder != NULL);
        cr_expect_not(encoder_write(encoder, "abc\n", 4, 1) && encoder_finish(encoder));
        cr_expect_eq(errno, ENOSPC);
        encoder_free(encoder);
    }
    close(full);
}

/* The file cannot grow in the middle of a frame: those before it are left, and as many lines as it
 * says. */
Test(encoder, a_torn_frame_is_cut_off, .init = scratch_make, .fini = scratch_remove)
{
    size_t len, file_len, back_len;
    char *text = make_lines(100, &len);
    signal(SIGXFSZ, SIG_IGN);
    for (enum encoding encoding = ENCODING_GZIP; encoding <= ENCODING_ZSTD; encoding++) {
        struct rlimit old, limit;
        const int fd = open_new("torn");
        struct encoder *encoder = encoder_new(fd, encoding);
        cr_assert(encoder != NULL);
        for (int i = 0; i < 3; i++)
            cr_assert(encoder_write(encoder, text, len, 100) && encoder_flush(encoder));
        cr_expect_eq(encoder_lines(encoder), 300);
        const uint64_t before = encoder_bytes(encoder);
        cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
        limit = old;
        limit.rlim_cur = before + 40;
        cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
        cr_expect_not(encoder_write(encoder, text, len, 100) && encoder_flush(encoder));
        setrlimit(RLIMIT_FSIZE, &old);
        cr_expect_eq(encoder_lines(encoder), 300);
        cr_expect_eq(encoder_bytes(encoder), before);
        char *file = scratch_read("torn", &file_len);
        cr_expect_eq(file_len, before, "encoding %d", encoding);
        char *back = decode(encoding, file, file_len, &back_len);
        cr_expect(back != NULL && back_len == 3 * len);
        free(back);
        free(file);
        encoder_free(encoder);
        close(fd);
    }
    free(text);
}

/* Going on with a file that has frames adds nothing unless there are lines. */
Test(encoder, continued_without_lines, .init = scratch_make, .fini = scratch_remove)
{
    for (enum encoding encoding = ENCODING_PLAIN; encoding <= ENCODING_ZSTD; encoding++) {
        const int fd = open_new("continued");
        struct encoder *encoder = encoder_new(fd, encoding);
        cr_assert(encoder != NULL);
        encoder_continue(encoder, true);
        cr_expect(encoder_finish(encoder) && encoder_bytes(encoder) == 0);
        encoder_free(encoder);
        close(fd);
    }
}
