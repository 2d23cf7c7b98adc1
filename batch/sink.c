/* The writer and its two sleeping partners.
 *
 * Waking without locks works the same way in both directions: the side that goes to sleep first
 * announces it
 * (`writer_state`, `wanted`), then looks again for work, then sleeps on an eventfd; the other side
 * first publishes its work, then looks for the announcement. All four accesses are sequentially
 * consistent, so at least one side sees the other: either the sleeper finds the work or it is
 * woken. */
#include "batch/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "batch/encoder.h"
#include "batch/outputs.h"
#include "batch/run.h"

#define BLOCK_BYTES (512u << 10)
#define WRITE_BYTES (256u << 10) /* write once this much is there ... */
#define LINGER_MS   50           /* ... or it has been there for this long */
#define NOBODY      UINT64_MAX   /* `wanted`: the issuer is awake */

enum writer_state {
    WRITER_BUSY,
    WRITER_IDLE,  /* nothing held: wake it for any segment */
    WRITER_LINGER /* holds some lines: wake it when much is there */
};

struct sink {
    /* set up once */
    int fd, wake_fd, room_fd, closed_fd;
    bool own_fd, ordered, file;
    bool ended; /* the writer was joined */
    bool stale; /* the writer's: what an older file holds behind `keep` is still there */
    off_t keep;
    bool named; /* it had a name when it was opened */
    const char *name;
    void (*on_failure)(void *arg);
    bool (*consume)(void *arg, const char *bytes, size_t len);
    bool (*hand_on)(void *arg, const struct segment *segment);
    void *arg;
    pthread_t writer;

    /* workers push, the writer takes */
    _Alignas(128) _Atomic(struct segment *) head;
    _Atomic uint64_t pending; /* bytes in the list; an estimate between push and take: relaxed */
    _Atomic uint64_t pushed;  /* units, ever */
    _Atomic unsigned writer_state;

    /* the writer publishes, others read */
    _Alignas(128) _Atomic uint64_t done, lines, bytes;
    _Atomic uint64_t wanted; /* the issuer sleeps on room_fd until so many are done */
    _Atomic int error;       /* errno of the failed write, or 0 */
    _Atomic bool closing, abandoned;

    /* the writer's own */
    _Alignas(128) struct encoder *encoder;
    int64_t writer_ns; /* its processor time, at its end */
    char *block;
    size_t block_len;
    uint64_t block_lines;
    int64_t block_since;   /* ms: when the block's first line came */
    struct segment **ring; /* ordered: what came before its turn, by first % ring_size */
    uint64_t ring_mask, next;
};

static int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void ring_bell(int fd)
{
    const uint64_t one = 1;
    ssize_t n;
    do
        n = write(fd, &one, sizeof one);
    while (n < 0 && errno == EINTR); /* EAGAIN: it rings already */
}

static void hush_bell(int fd)
{
    uint64_t count;
    (void)!read(fd, &count, sizeof count); /* non-blocking: empty is fine */
}

/* ---- the writer ------------------------------------------------------------------------- */

static void fail(struct sink *sink)
{
    int none = 0;
    /* Release, partner: sink_close and others that print the error. Only the writer stores. */
    if (atomic_compare_exchange_strong_explicit(&sink->error, &none, errno == 0 ? EIO : errno,
                                                memory_order_release, memory_order_relaxed) &&
        sink->on_failure != NULL)
        sink->on_failure(sink->arg);
}

static bool has_failed(const struct sink *sink)
{
    return atomic_load_explicit(&sink->error, memory_order_relaxed) != 0; /* own store */
}

/* Before the first byte goes out, and not earlier: until then a mistake leaves an older file whole.
 */
static void drop_stale(struct sink *sink)
{
    if (sink->stale && (ftruncate(sink->fd, sink->keep) != 0 ||
                        lseek(sink->fd, sink->keep, SEEK_SET) != sink->keep))
        fail(sink);
    sink->stale = false;
}

/* Relaxed: figures for the summary; sink_close orders the last ones by joining. */
static void publish(struct sink *sink)
{
    atomic_store_explicit(&sink->lines, encoder_lines(sink->encoder), memory_order_relaxed);
    atomic_store_explicit(&sink->bytes, encoder_bytes(sink->encoder), memory_order_relaxed);
}

static void put_out(struct sink *sink, const char *bytes, size_t len, uint64_t lines)
{
    if (len == 0)
        return;
    drop_stale(sink);
    if (has_failed(sink))
        return;
    if (sink->consume != NULL ? !sink->consume(sink->arg, bytes, len)
                              : !encoder_write(sink->encoder, bytes, len, lines))
        fail(sink);
    publish(sink);
}

static void write_block(struct sink *sink)
{
    put_out(sink, sink->block, sink->block_len, sink->block_lines);
    sink->block_len = 0;
    sink->block_lines = 0;
}

/* Everything that is held back goes out: the block and what a compressor keeps. */
static void flush_all(struct sink *sink)
{
    write_block(sink);
    if (!has_failed(sink) && !encoder_flush(sink->encoder))
        fail(sink);
    publish(sink);
}

static void put_in_block(struct sink *sink, const struct segment *segment)
{
    if (segment->len > BLOCK_BYTES - sink->block_len)
        write_block(sink);
    if (segment->len > BLOCK_BYTES) {
        put_out(sink, segment->bytes, segment->len, segment->lines);
    } else {
        if (sink->block_len == 0)
            sink->block_since = now_ms();
        memcpy(sink->block + sink->block_len, segment->bytes, segment->len);
        sink->block_len += segment->len;
        sink->block_lines += segment->lines;
    }
    if (sink->block_len >= WRITE_BYTES)
        write_block(sink);
}

static void append(struct sink *sink, struct segment *segment)
{
    if (sink->hand_on == NULL)
        put_in_block(sink, segment);
    else if (!has_failed(sink) && !sink->hand_on(sink->arg, segment))
        fail(sink);
    /* Relaxed: the bound that it serves is approximate. */
    atomic_fetch_sub_explicit(&sink->pending, segment->len, memory_order_relaxed);
    /* Sequentially consistent, partner: sink_wait. */
    atomic_fetch_add_explicit(&sink->done, segment->units, memory_order_seq_cst);
    free(segment);
}

/* Put a segment in its place and append what is now due. */
static void arrange(struct sink *sink, struct segment *segment)
{
    sink->ring[segment->first & sink->ring_mask] = segment;
    while ((segment = sink->ring[sink->next & sink->ring_mask]) != NULL) {
        sink->ring[sink->next & sink->ring_mask] = NULL;
        sink->next += segment->units;
        append(sink, segment);
    }
}

/* A list in push order reversed -> every segment dealt with. */
static void take(struct sink *sink, struct segment *list)
{
    struct segment *forward = NULL;
    while (list != NULL) {
        struct segment *next = list->next;
        list->next = forward;
        forward = list;
        list = next;
    }
    while (forward != NULL) {
        struct segment *next = forward->next;
        if (sink->ordered)
            arrange(sink, forward);
        else
            append(sink, forward);
        forward = next;
    }
    /* Sequentially consistent, partner: sink_wait. */
    if (atomic_load_explicit(&sink->done, memory_order_relaxed) >=
        atomic_load_explicit(&sink->wanted, memory_order_seq_cst)) {
        atomic_store_explicit(&sink->wanted, NOBODY, memory_order_relaxed); /* one bell is enough */
        ring_bell(sink->room_fd);
    }
}

/* Nothing is there to take: sleep until there is. */
static void rest(struct sink *sink)
{
    const bool holds = sink->block_len > 0;
    /* Sequentially consistent, partner: sink_push. */
    atomic_store_explicit(&sink->writer_state, holds ? WRITER_LINGER : WRITER_IDLE,
                          memory_order_seq_cst);
    int timeout = -1;
    if (holds) {
        const int64_t left = sink->block_since + LINGER_MS - now_ms();
        timeout = left < 0 ? 0 : left > LINGER_MS ? LINGER_MS : (int)left;
    }
    struct pollfd fd = {sink->wake_fd, POLLIN, 0};
    if (atomic_load_explicit(&sink->head, memory_order_seq_cst) == NULL)
        poll(&fd, 1, timeout);
    atomic_store_explicit(&sink->writer_state, WRITER_BUSY, memory_order_relaxed); /* a hint */
    hush_bell(sink->wake_fd);
    if (holds && now_ms() - sink->block_since >= LINGER_MS)
        flush_all(sink);
}

/* What lies in the ring although something before it never came: a worker ran out of memory. */
static void append_stragglers(struct sink *sink)
{
    for (uint64_t i = 0; sink->ordered && i <= sink->ring_mask; i++) {
        struct segment *segment = sink->ring[(sink->next + i) & sink->ring_mask];
        sink->ring[(sink->next + i) & sink->ring_mask] = NULL;
        if (segment != NULL)
            append(sink, segment);
    }
}

/* A file without a name holds results that nobody will ever read. */
static void check_name(struct sink *sink)
{
    struct stat st;
    if (sink->named && fstat(sink->fd, &st) == 0 && st.st_nlink == 0) {
        errno = ENOENT;
        fail(sink);
    }
}

static void *writer_main(void *arg)
{
    struct sink *sink = arg;
    for (;;) {
        /* Acquire, partner: sink_abandon. */
        const bool abandoned = atomic_load_explicit(&sink->abandoned, memory_order_acquire);
        /* Acquire, partner: sink_close. Read before the list: what was pushed before closing is in
         * it. */
        const bool closing = atomic_load_explicit(&sink->closing, memory_order_acquire);
        /* Acquire, partner: sink_push; the segments' content becomes visible. */
        struct segment *list = atomic_exchange_explicit(&sink->head, NULL, memory_order_acquire);
        if (list != NULL)
            take(sink, list);
        if (abandoned || (closing && list == NULL))
            break;
        if (list == NULL)
            rest(sink);
    }
    append_stragglers(sink);
    write_block(sink);
    const bool keep = sink->stale && outputs_conflict();
    if (!keep)
        drop_stale(sink);
    if (!keep && !has_failed(sink) && !encoder_finish(sink->encoder))
        fail(sink);
    publish(sink);
    if (sink->own_fd && !has_failed(sink))
        check_name(sink);
    sink->writer_ns = clock_thread_ns();
    ring_bell(sink->closed_fd);
    return NULL;
}

/* ---- everyone else ---------------------------------------------------------------------- */

void sink_push(struct sink *sink, struct segment *segment)
{
    const size_t len = segment->len; /* once it is in the list, the writer may free it */
    const uint64_t units = segment->units;
    /* Relaxed: see append. */
    const uint64_t before = atomic_fetch_add_explicit(&sink->pending, len, memory_order_relaxed);
    struct segment *head = atomic_load_explicit(&sink->head, memory_order_relaxed);
    /* Release publishes the content to the writer's exchange; sequentially consistent, partner:
     * rest. */
    do
        segment->next = head;
    while (!atomic_compare_exchange_weak_explicit(&sink->head, &head, segment, memory_order_seq_cst,
                                                  memory_order_relaxed));
    /* Sequentially consistent, partner: sink_wait. */
    const uint64_t pushed =
        atomic_fetch_add_explicit(&sink->pushed, units, memory_order_seq_cst) + units;
    const unsigned state = atomic_load_explicit(&sink->writer_state, memory_order_seq_cst);
    if (state == WRITER_BUSY)
        return;
    /* Only the first push after a take finds the list empty; nobody else need ring. */
    const bool first = head == NULL && state == WRITER_IDLE;
    const bool much = before < WRITE_BYTES && before + len >= WRITE_BYTES;
    /* Sequentially consistent, partner: sink_wait. */
    if (first || much || pushed >= atomic_load_explicit(&sink->wanted, memory_order_seq_cst))
        ring_bell(sink->wake_fd);
}

uint64_t sink_done(const struct sink *sink)
{
    return atomic_load_explicit(&sink->done, memory_order_relaxed); /* a lower bound is enough */
}

uint64_t sink_pending(const struct sink *sink)
{
    return atomic_load_explicit(&sink->pending, memory_order_relaxed); /* an estimate is enough */
}

void sink_wait(struct sink *sink, uint64_t wanted, int stop_fd)
{
    /* All sequentially consistent, partners: append, take and sink_push. */
    atomic_store_explicit(&sink->wanted, wanted, memory_order_seq_cst);
    if (atomic_load_explicit(&sink->done, memory_order_seq_cst) < wanted) {
        /* The writer may linger on a list that nobody rang for. */
        if (atomic_load_explicit(&sink->pushed, memory_order_seq_cst) >= wanted)
            ring_bell(sink->wake_fd);
        struct pollfd fds[2] = {{sink->room_fd, POLLIN, 0}, {stop_fd, POLLIN, 0}};
        poll(fds, 2, -1);
        hush_bell(sink->room_fd);
    }
    atomic_store_explicit(&sink->wanted, NOBODY, memory_order_relaxed);
}

void sink_written(const struct sink *sink, uint64_t *lines, uint64_t *bytes)
{
    *lines = atomic_load_explicit(&sink->lines, memory_order_relaxed);
    *bytes = atomic_load_explicit(&sink->bytes, memory_order_relaxed);
}

void sink_end(struct sink *sink)
{
    if (sink->ended)
        return;
    sink->ended = true;
    /* Release, partner: writer_main; all pushes happen before. */
    atomic_store_explicit(&sink->closing, true, memory_order_release);
    ring_bell(sink->wake_fd);
    pthread_join(sink->writer, NULL);
}

/* Results that are told to be there outlive the machine's death, too; and some file systems say
 * only now that there was no room. The folder has the file's name. */
static void settle(struct sink *sink)
{
    sink_end(sink);
    if (sink->file && fsync(sink->fd) != 0 && errno != EINVAL)
        fail(sink);
    if (sink->file)
        outputs_settle_name(sink->name);
    if (sink->own_fd && sink->fd >= 0 && close(sink->fd) != 0 && !has_failed(sink))
        fail(sink);
    sink->fd = -1;
}

bool sink_close(struct sink *sink, struct javm_error *err)
{
    settle(sink);
    const int error = atomic_load_explicit(&sink->error, memory_order_acquire); /* fail */
    if (error == 0)
        return true;
    javm_fail(err, error == EPIPE ? JAVM_E_STATE : JAVM_E_IO, JAVM_NOWHERE, "%s: %s", sink->name,
              error == EPIPE    ? "the reader went away"
              : error == ENOENT ? "the file was removed while it was written"
                                : strerror(error));
    return false;
}

void sink_abandon(struct sink *sink, int ms)
{
    struct pollfd fd = {sink->closed_fd, POLLIN, 0};
    /* Release, partner: writer_main. */
    atomic_store_explicit(&sink->abandoned, true, memory_order_release);
    ring_bell(sink->wake_fd);
    poll(&fd, 1, ms);
}

/* ---- set-up ----------------------------------------------------------------------------- */

/* One batch at a time: two would tear each other's lines. */
static bool lock(int fd)
{
    int got;
    do
        got = flock(fd, LOCK_EX | LOCK_NB);
    while (got != 0 && errno == EINTR);
    return got == 0 || errno != EWOULDBLOCK; /* there are file systems without locks */
}

static enum javm_status open_output(struct sink *sink, const struct sink_options *options,
                                    struct javm_error *err)
{
    struct stat out;
    sink->name = options->path;
    if (sink->consume != NULL || sink->hand_on != NULL)
        return JAVM_OK;
    sink->own_fd = strcmp(options->path, "-") != 0;
    if (!sink->own_fd)
        sink->name = "<stdout>";
    /* Not truncated before it is known to be another file than the jobs. */
    sink->fd =
        sink->own_fd ? open(options->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666) : STDOUT_FILENO;
    if (sink->fd < 0 || fstat(sink->fd, &out) != 0)
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: %s", sink->name, strerror(errno));
    if (outputs_same(sink->fd, options->input_fd))
        return javm_fail(err, JAVM_E_EXISTS, JAVM_NOWHERE,
                         "%s: this is the jobs file; results cannot go there", sink->name);
    const bool file = sink->own_fd && S_ISREG(out.st_mode);
    if (options->resume && !file)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE,
                         "%s: --resume needs results that are in a file", sink->name);
    if (file && !lock(sink->fd))
        return javm_fail(err, JAVM_E_EXISTS, JAVM_NOWHERE, "%s: another batch writes to it",
                         sink->name);
    sink->stale = sink->file = file;
    sink->named = file && out.st_nlink > 0;
    sink->keep = options->resume ? out.st_size : 0;
    outputs_claim(sink->fd);
    return JAVM_OK;
}

void sink_keep(struct sink *sink, uint64_t bytes)
{
    sink->keep = (off_t)bytes;
    encoder_continue(sink->encoder, bytes > 0);
}

int64_t sink_writer_ns(const struct sink *sink)
{
    return sink->writer_ns;
}

void sink_free(struct sink *sink)
{
    if (sink == NULL)
        return;
    if (sink->own_fd && sink->fd >= 0)
        close(sink->fd);
    const int bells[] = {sink->wake_fd, sink->room_fd, sink->closed_fd};
    for (size_t i = 0; i < sizeof bells / sizeof *bells; i++)
        if (bells[i] >= 0)
            close(bells[i]);
    encoder_free(sink->encoder);
    free(sink->block);
    free(sink->ring);
    free(sink);
}

static bool allocate(struct sink *sink, const struct sink_options *options)
{
    const int flags = EFD_CLOEXEC | EFD_NONBLOCK;
    sink->wake_fd = eventfd(0, flags);
    sink->room_fd = eventfd(0, flags);
    sink->closed_fd = eventfd(0, flags);
    sink->block = malloc(BLOCK_BYTES);
    sink->encoder =
        encoder_new(sink->fd, sink->own_fd ? encoding_of(options->path) : ENCODING_PLAIN);
    if (sink->encoder != NULL)
        encoder_continue(sink->encoder, sink->keep > 0);
    if (options->ordered) {
        uint64_t size = 1;
        while (size < options->window)
            size *= 2;
        sink->ring = calloc(size, sizeof *sink->ring);
        sink->ring_mask = size - 1;
    }
    return sink->wake_fd >= 0 && sink->room_fd >= 0 && sink->closed_fd >= 0 &&
           sink->block != NULL && sink->encoder != NULL &&
           (!options->ordered || sink->ring != NULL);
}

/* Signals are for others; while the file is opened, which may take long, they are still heard. */
static bool start_writer(struct sink *sink)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const bool good = pthread_create(&sink->writer, NULL, writer_main, sink) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return good;
}

enum javm_status sink_open(const struct sink_options *options, struct sink **out,
                           struct javm_error *err)
{
    struct sink *sink = aligned_alloc(128, (sizeof *sink + 127) & ~(size_t)127);
    if (sink == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", options->path);
    memset(sink, 0, sizeof *sink);
    sink->fd = sink->wake_fd = sink->room_fd = sink->closed_fd = -1;
    sink->ordered = options->ordered;
    atomic_init(&sink->wanted, NOBODY);
    sink->on_failure = options->failed;
    sink->consume = options->consume;
    sink->hand_on = options->hand_on;
    sink->arg = options->arg;
    enum javm_status status = open_output(sink, options, err);
    if (status == JAVM_OK && (!allocate(sink, options) || !start_writer(sink)))
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory or threads",
                           options->path);
    if (status != JAVM_OK) {
        sink_free(sink);
        return status;
    }
    *out = sink;
    return JAVM_OK;
}
