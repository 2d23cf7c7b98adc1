#include "batch/input.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include "batch/json.h"

#define RAW_BYTES   (128u << 10)
#define ZEROS_MIN   64 /* no frame and no line ends in so many */
#define FIRST_BYTES (512u << 10)

enum codec { PLAIN, GZIP, ZSTD };

struct input {
    const char *name;
    int fd;
    bool regular, own_fd;
    bool results;    /* may be torn */
    size_t line_max; /* bytes */
    uint64_t whole;
    enum codec codec, wanted; /* wanted: by the name; PLAIN: decide by content */
    bool sniffed;
    bool raw_eof;    /* read() said so */
    bool frame_open; /* inside a compressed frame: the end of the file would be a cut */
    unsigned char *raw;
    size_t raw_pos, raw_len;
    z_stream z;
    bool z_ready;
    ZSTD_DStream *zstd;
    char *buffer; /* lines; `capacity` bytes and the padding */
    size_t capacity, start, scan, end;
    bool eof;       /* nothing will be added to the buffer */
    uint64_t zeros; /* results: so many at the end are no part of the file */
    bool skipping;  /* inside a line that is too long */
    uint64_t number;
    uint64_t size;
    _Atomic uint64_t consumed; /* relaxed: a figure for the progress display */
};

static bool ends_with(const char *name, const char *end)
{
    const size_t a = strlen(name), b = strlen(end);
    return a >= b && strcmp(name + a - b, end) == 0;
}

static enum codec codec_of(const char *name)
{
    return ends_with(name, ".gz") ? GZIP : ends_with(name, ".zst") ? ZSTD : PLAIN;
}

enum javm_status input_open(const char *path, struct input **out, struct javm_error *err)
{
    struct input *input = calloc(1, sizeof *input);
    if (input == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", path);
    const bool standard = strcmp(path, "-") == 0;
    input->name = standard ? "<stdin>" : path;
    input->own_fd = !standard;
    input->fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (input->fd < 0 || fstat(input->fd, &st) != 0) {
        javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: %s", input->name, strerror(errno));
        input_close(input);
        return JAVM_E_IO;
    }
    if (S_ISDIR(st.st_mode)) {
        input_close(input);
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: %s", path, strerror(EISDIR));
    }
    input->regular = S_ISREG(st.st_mode);
    input->size = input->regular ? (uint64_t)st.st_size : 0;
    input->wanted = codec_of(path);
    input->line_max = INPUT_LINE_MAX;
    input->capacity = FIRST_BYTES;
    input->buffer = calloc(1, input->capacity + json_padding());
    input->raw = malloc(RAW_BYTES);
    if (input->buffer == NULL || input->raw == NULL) {
        input_close(input);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", path);
    }
    *out = input;
    return JAVM_OK;
}

/* What a file system leaves behind the last bytes that it wrote before the power went. A frame may
 * end in a few of its own; those of the last one are then taken along, and it counts as torn. */
static uint64_t zeros_at_end(const struct input *input)
{
    unsigned char part[4096];
    uint64_t at = input->size;
    while (at > 0) {
        const size_t len = at < sizeof part ? (size_t)at : sizeof part;
        const ssize_t got = pread(input->fd, part, len, (off_t)(at - len));
        size_t left = got == (ssize_t)len ? len : 0;
        while (left > 0 && part[left - 1] == 0)
            left--;
        at -= len - left;
        if (left > 0 || got != (ssize_t)len)
            break;
    }
    return input->size - at < ZEROS_MIN ? 0 : input->size - at;
}

enum javm_status input_open_results(const char *path, struct input **out, struct javm_error *err)
{
    const enum javm_status status = input_open(path, out, err);
    if (status == JAVM_OK) {
        (*out)->results = true;
        (*out)->line_max = INPUT_RESULT_MAX;
        (*out)->zeros = zeros_at_end(*out);
    }
    return status;
}

uint64_t input_whole(const struct input *input)
{
    return input->whole;
}

void input_rest(const struct input *input, struct line *rest)
{
    *rest =
        (struct line){input->buffer + input->start, input->end - input->start, input->number + 1};
}

void input_close(struct input *input)
{
    if (input == NULL)
        return;
    if (input->own_fd && input->fd >= 0)
        close(input->fd);
    if (input->z_ready)
        inflateEnd(&input->z);
    ZSTD_freeDStream(input->zstd);
    free(input->raw);
    free(input->buffer);
    free(input);
}

void input_call(struct input *input, const char *name)
{
    input->name = name;
    input->wanted = codec_of(name);
}

const char *input_name(const struct input *input)
{
    return input->name;
}

int input_fd(const struct input *input)
{
    return input->fd;
}

void input_position(const struct input *input, uint64_t *consumed, uint64_t *size)
{
    *consumed = atomic_load_explicit(&input->consumed, memory_order_relaxed);
    *size = input->size;
}

/* True when read() would not sleep. */
static bool ready(const struct input *input)
{
    struct pollfd fd = {input->fd, POLLIN, 0};
    return input->regular || poll(&fd, 1, 0) != 0;
}

void input_wait(struct input *input, int stop_fd)
{
    struct pollfd fds[2] = {{input->fd, POLLIN, 0}, {stop_fd, POLLIN, 0}};
    poll(fds, 2, -1); /* EINTR and errors show at the next read */
}

/* Some bytes of the file: 0 at its end, -1 with *err. */
static ssize_t read_some(struct input *input, void *to, size_t len, struct javm_error *err)
{
    ssize_t got;
    const uint64_t consumed = atomic_load_explicit(&input->consumed, memory_order_relaxed);
    if (input->zeros > 0 && len > input->size - input->zeros - consumed)
        len = (size_t)(input->size - input->zeros - consumed);
    do
        got = read(input->fd, to, len);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: %s", input->name, strerror(errno));
    else
        atomic_fetch_add_explicit(&input->consumed, (uint64_t)got, memory_order_relaxed);
    return got;
}

/* Fill the raw buffer up to at least the magic numbers, or to the end of the file, and choose the
 * codec. */
static enum javm_status sniff(struct input *input, struct javm_error *err)
{
    static const unsigned char MAGIC_GZIP[] = {0x1F, 0x8B}, MAGIC_ZSTD[] = {0x28, 0xB5, 0x2F, 0xFD};
    static const unsigned char SKIPPABLE[] = {0x2A, 0x4D, 0x18}; /* a frame without content first */
    const ssize_t got =
        read_some(input, input->raw + input->raw_len, RAW_BYTES - input->raw_len, err);
    if (got < 0)
        return JAVM_E_IO;
    input->raw_len += (size_t)got;
    input->raw_eof = got == 0;
    /* A first piece of 1..3 bytes that could grow into a magic number needs more. */
    if (!input->raw_eof && input->raw_len < sizeof MAGIC_ZSTD &&
        (input->raw[0] == MAGIC_GZIP[0] || input->raw[0] == MAGIC_ZSTD[0] ||
         (input->raw[0] & 0xF0) == 0x50 || input->wanted != PLAIN))
        return JAVM_OK;
    input->sniffed = true;
    if (input->results && input->raw_len < sizeof MAGIC_ZSTD && input->wanted != PLAIN &&
        memcmp(input->raw, input->wanted == GZIP ? MAGIC_GZIP : MAGIC_ZSTD,
               input->wanted == GZIP && input->raw_len > 2 ? 2 : input->raw_len) == 0) {
        /* Torn before there was anything: as if the file were empty. */
        atomic_store_explicit(&input->consumed, 0, memory_order_relaxed);
        input->codec = input->wanted;
        input->raw_len = 0;
        return JAVM_OK;
    }
    if (input->raw_len >= sizeof MAGIC_GZIP &&
        memcmp(input->raw, MAGIC_GZIP, sizeof MAGIC_GZIP) == 0)
        input->codec = GZIP;
    if (input->raw_len >= sizeof MAGIC_ZSTD &&
        (memcmp(input->raw, MAGIC_ZSTD, sizeof MAGIC_ZSTD) == 0 ||
         ((input->raw[0] & 0xF0) == 0x50 && memcmp(input->raw + 1, SKIPPABLE, 3) == 0)))
        input->codec = ZSTD;
    if (input->wanted != PLAIN && input->codec != input->wanted)
        return javm_fail(err, JAVM_E_FORMAT, 0, "%s: not a %s file, as its name says", input->name,
                         input->wanted == GZIP ? "gzip" : "zstd");
    if (input->results && input->wanted != input->codec)
        return javm_fail(err, JAVM_E_FORMAT, 0, "%s: compressed, but its name does not end in %s",
                         input->name, input->codec == GZIP ? ".gz" : ".zst");
    if (input->codec == GZIP) {
        if (inflateInit2(&input->z, 16 + MAX_WBITS) != Z_OK)
            return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", input->name);
        input->z_ready = true;
    } else if (input->codec == ZSTD) {
        input->zstd = ZSTD_createDStream();
        if (input->zstd == NULL)
            return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", input->name);
    }
    return JAVM_OK;
}

static enum javm_status damaged(const struct input *input, const char *why, struct javm_error *err)
{
    const uint64_t consumed = atomic_load_explicit(&input->consumed, memory_order_relaxed);
    const uint64_t where = consumed - (input->raw_len - input->raw_pos);
    return javm_fail(err, JAVM_E_FORMAT, where, "%s: damaged compressed data near byte %llu: %s",
                     input->name, (unsigned long long)where, why);
}

/* Decompress into the buffer's free end until it is full, a frame ends or nothing more comes out of
 * what was read. */
static enum javm_status inflate_some(struct input *input, struct javm_error *err)
{
    input->z.next_in = input->raw + input->raw_pos;
    input->z.avail_in = (uInt)(input->raw_len - input->raw_pos);
    input->z.next_out = (Bytef *)input->buffer + input->end;
    input->z.avail_out = (uInt)(input->capacity - input->end);
    int got;
    do {
        got = inflate(&input->z, Z_NO_FLUSH);
        input->raw_pos = input->raw_len - input->z.avail_in;
        input->end = input->capacity - input->z.avail_out;
        input->frame_open = got != Z_STREAM_END;
        if (got == Z_STREAM_END)
            return inflateReset(&input->z) == Z_OK ? JAVM_OK : damaged(input, "not gzip", err);
        if (got == Z_MEM_ERROR)
            return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", input->name);
        else if (got != Z_OK && got != Z_BUF_ERROR)
            return damaged(input, input->z.msg == NULL ? "not gzip" : input->z.msg, err);
    } while (input->z.avail_in > 0 && input->z.avail_out > 0);
    return JAVM_OK;
}

static enum javm_status unzstd_some(struct input *input, struct javm_error *err)
{
    ZSTD_inBuffer in = {input->raw, input->raw_len, input->raw_pos};
    ZSTD_outBuffer out = {input->buffer, input->capacity, input->end};
    do {
        const size_t left = ZSTD_decompressStream(input->zstd, &out, &in);
        input->raw_pos = in.pos;
        input->end = out.pos;
        if (ZSTD_isError(left))
            return damaged(input, ZSTD_getErrorName(left), err);
        input->frame_open = left != 0;
    } while (input->frame_open && in.pos < in.size && out.pos < out.size);
    return JAVM_OK;
}

/* Make room for more, keeping [start, end). */
static enum javm_status make_room(struct input *input, struct javm_error *err)
{
    if (input->start > 0) {
        memmove(input->buffer, input->buffer + input->start, input->end - input->start);
        input->end -= input->start;
        input->scan -= input->start;
        input->start = 0;
    }
    if (input->end < input->capacity)
        return JAVM_OK;
    const size_t capacity =
        input->capacity * 2; /* bounded: the caller skips lines above the limit */
    char *grown = realloc(input->buffer, capacity + json_padding());
    if (grown == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", input->name);
    memset(grown + input->capacity, 0, capacity + json_padding() - input->capacity);
    input->buffer = grown;
    input->capacity = capacity;
    return JAVM_OK;
}

enum filled { FILLED, STARVED, FAILED };

/* A read that would sleep is not begun. */
static enum filled fill_raw(struct input *input, struct javm_error *err)
{
    if (!ready(input))
        return STARVED;
    const ssize_t got = input->raw_eof ? 0 : read_some(input, input->raw, RAW_BYTES, err);
    if (got < 0)
        return FAILED;
    input->raw_pos = 0;
    input->raw_len = (size_t)got;
    if (got > 0)
        return FILLED;
    input->eof = true;
    if (!input->frame_open || input->results)
        return FILLED;
    damaged(input, "the file ends inside it", err);
    return FAILED;
}

static enum filled fill_plain(struct input *input, struct javm_error *err)
{
    const size_t room = input->capacity - input->end;
    size_t got = input->raw_len - input->raw_pos;
    if (got > 0) { /* what sniffing read ahead; it fits, the first buffer is larger than raw */
        memcpy(input->buffer + input->end, input->raw + input->raw_pos, got);
        input->raw_pos = input->raw_len;
    } else {
        if (!ready(input))
            return STARVED;
        const ssize_t n = read_some(input, input->buffer + input->end, room, err);
        if (n < 0)
            return FAILED;
        got = (size_t)n;
        input->eof = n == 0;
    }
    input->end += got;
    return FILLED;
}

/* No line is left in the buffer: how much of the file is whole now? */
static void note_whole(struct input *input)
{
    const uint64_t consumed = atomic_load_explicit(&input->consumed, memory_order_relaxed);
    const size_t part = input->end - input->start;
    if (input->codec == PLAIN)
        input->whole = consumed - (input->raw_len - input->raw_pos) - part;
    else if (part == 0 && !input->frame_open)
        input->whole = consumed - (input->raw_len - input->raw_pos);
}

/* One step towards more bytes in the buffer. */
static enum filled fill(struct input *input, struct javm_error *err)
{
    if (input->sniffed)
        note_whole(input);
    if (input->end == input->capacity && make_room(input, err) != JAVM_OK)
        return FAILED;
    if (!input->sniffed) {
        if (!ready(input))
            return STARVED;
        return sniff(input, err) == JAVM_OK ? FILLED : FAILED;
    }
    if (input->codec == PLAIN)
        return fill_plain(input, err);
    if (input->raw_pos < input->raw_len || input->frame_open) {
        const size_t end = input->end, pos = input->raw_pos;
        const enum javm_status status =
            input->codec == GZIP ? inflate_some(input, err) : unzstd_some(input, err);
        if (status != JAVM_OK)
            return FAILED;
        if (input->end > end || input->raw_pos > pos)
            return FILLED;
    }
    return fill_raw(input, err);
}

enum input_event input_next(struct input *input, struct line *line, struct javm_error *err)
{
    for (;;) {
        const char *newline = input->scan < input->end ? memchr(input->buffer + input->scan, '\n',
                                                                input->end - input->scan)
                                                       : NULL;
        if (newline != NULL || (input->eof && !input->results && input->start < input->end)) {
            const size_t stop = newline != NULL ? (size_t)(newline - input->buffer) : input->end;
            *line =
                (struct line){input->buffer + input->start, stop - input->start, input->number + 1};
            input->start = input->scan = newline != NULL ? stop + 1 : stop;
            if (input->skipping) {
                input->skipping = false;
                input->number++;
                continue;
            }
            input->number++;
            if (line->len > input->line_max)
                return INPUT_TOO_LONG;
            return INPUT_LINE;
        }
        if (input->eof)
            return INPUT_END;
        input->scan = input->end;
        if (input->skipping) {
            input->start = input->scan = input->end = 0;
        } else if (input->end - input->start > input->line_max) {
            input->skipping = true;
            *line = (struct line){NULL, 0, input->number + 1};
            return INPUT_TOO_LONG;
        }
        switch (fill(input, err)) {
        case FILLED:
            break;
        case STARVED:
            return INPUT_WAIT;
        case FAILED:
            return INPUT_FAILED;
        }
    }
}
