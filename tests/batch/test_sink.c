/* Defects that this would catch: results lost, doubled or torn, ordered output out of order or
 * stuck behind a gap, a writer that sleeps through its wake-up (the test would hang), a full disk
 * or closed pipe that goes unnoticed or leaves half a line, compressed output that cannot be read
 * back, and the jobs file overwritten by its results. */
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "batch/encoder.h"
#include "batch/sink.h"
#include "files.h"

static struct sink *open_sink(const char *path, bool ordered, uint64_t window)
{
    struct sink *sink;
    struct javm_error err;
    const struct sink_options options = {
        .path = path, .input_fd = -1, .ordered = ordered, .window = window};
    cr_assert_eq(sink_open(&options, &sink, &err), JAVM_OK, "%s", err.text);
    return sink;
}

/* Units [first, first + units), one line "<n>" + padding each. */
static struct segment *make_segment(uint64_t first, uint64_t units, size_t padding)
{
    struct segment *segment = malloc(sizeof *segment + (size_t)units * (24 + padding));
    cr_assert(segment != NULL);
    *segment = (struct segment){.first = first, .units = units, .lines = units};
    for (uint64_t i = 0; i < units; i++) {
        segment->len += (size_t)sprintf(segment->bytes + segment->len, "%llu ",
                                        (unsigned long long)(first + i));
        memset(segment->bytes + segment->len, 'p', padding);
        segment->len += padding;
        segment->bytes[segment->len++] = '\n';
    }
    return segment;
}

/* The lines must be exactly 0..count-1, in order or not. */
static void expect_numbers(const char *text, size_t len, uint64_t count, bool ordered)
{
    bool *seen = calloc(count + 1, 1);
    uint64_t lines = 0;
    cr_assert(seen != NULL);
    for (const char *at = text; at < text + len; lines++) {
        char *end;
        const unsigned long long n = strtoull(at, &end, 10);
        cr_assert(n < count && !seen[n] && *end == ' ', "line %zu", (size_t)lines);
        cr_assert(!ordered || n == lines);
        seen[n] = true;
        at = memchr(at, '\n', (size_t)(text + len - at));
        cr_assert(at != NULL, "torn line");
        at++;
    }
    cr_expect_eq(lines, count);
    free(seen);
}

struct pusher {
    struct sink *sink;
    uint64_t first, count, step, each;
    size_t padding;
};

/* Every step-th range of `each` units. */
static void *push_some(void *arg)
{
    const struct pusher *p = arg;
    for (uint64_t i = p->first; i < p->count; i += p->step)
        sink_push(p->sink, make_segment(i * p->each, p->each, p->padding));
    return NULL;
}

static void push_from_threads(struct sink *sink, uint64_t segments, uint64_t each, size_t padding)
{
    pthread_t threads[4];
    struct pusher pushers[4];
    for (unsigned i = 0; i < 4; i++) {
        pushers[i] = (struct pusher){sink, i, segments, 4, each, padding};
        cr_assert_eq(pthread_create(&threads[i], NULL, push_some, &pushers[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
}

static void round_trip(const char *name, bool ordered,
                       char *(*unpack)(const void *, size_t, size_t *))
{
    struct javm_error err;
    size_t len, plain_len;
    uint64_t lines, bytes;
    const uint64_t segments = 4000, each = 7;
    struct sink *sink = open_sink(scratch_path(name), ordered, segments * each);
    push_from_threads(sink, segments, each, 20);
    cr_assert(sink_close(sink, &err), "%s", err.text);
    sink_written(sink, &lines, &bytes);
    cr_expect_eq(lines, segments * each);
    cr_expect_eq(sink_done(sink), segments * each);
    cr_expect_eq(sink_pending(sink), 0);
    sink_free(sink);
    char *file = scratch_read(name, &len);
    cr_expect_eq(len, bytes);
    if (unpack == NULL) {
        expect_numbers(file, len, segments * each, ordered);
    } else {
        char *plain = unpack(file, len, &plain_len);
        cr_expect(len < plain_len / 2);
        expect_numbers(plain, plain_len, segments * each, ordered);
        free(plain);
    }
    free(file);
}

Test(sink, every_line_once, .init = scratch_make, .fini = scratch_remove)
{
    round_trip("out", false, NULL);
    round_trip("out.gz", false, read_gzip);
    round_trip("out.zst", false, read_zstd);
}

Test(sink, ordered_lines_in_order, .init = scratch_make, .fini = scratch_remove)
{
    round_trip("out", true, NULL);
    round_trip("out.gz", true, read_gzip);
    round_trip("out.zst", true, read_zstd);
}

Test(sink, ordered_backwards_with_skips, .init = scratch_make, .fini = scratch_remove)
{
    struct javm_error err;
    size_t len;
    struct sink *sink = open_sink(scratch_path("out"), true, 1000);
    for (uint64_t i = 100; i-- > 0;) {
        struct segment *segment = make_segment(i * 10, 10, 0);
        if (i == 50) { /* skipped units have a place but no line */
            segment->len = 0;
            segment->lines = 0;
        }
        cr_expect_eq(sink_done(sink), 0);
        sink_push(sink, segment);
    }
    cr_assert(sink_close(sink, &err));
    cr_expect_eq(sink_done(sink), 1000);
    sink_free(sink);
    char *text = scratch_read("out", &len);
    uint64_t want = 0;
    for (const char *at = text; *at != '\0'; at = strchr(at, '\n') + 1) {
        if (want == 500)
            want = 510;
        cr_assert_eq(strtoull(at, NULL, 10), want);
        want++;
    }
    cr_expect_eq(want, 1000);
    free(text);
}

/* A segment that never came (its worker had no memory) must not swallow those after it. */
Test(sink, ordered_with_a_gap, .init = scratch_make, .fini = scratch_remove)
{
    struct javm_error err;
    size_t len;
    struct sink *sink = open_sink(scratch_path("out"), true, 64);
    sink_push(sink, make_segment(0, 4, 0));
    sink_push(sink, make_segment(12, 4, 0));
    sink_push(sink, make_segment(8, 4, 0));
    cr_assert(sink_close(sink, &err));
    sink_free(sink);
    char *text = scratch_read("out", &len);
    cr_expect_str_eq(text, "0 \n1 \n2 \n3 \n8 \n9 \n10 \n11 \n12 \n13 \n14 \n15 \n");
    free(text);
}

Test(sink, segments_larger_than_the_block, .init = scratch_make, .fini = scratch_remove)
{
    struct javm_error err;
    size_t len;
    struct sink *sink = open_sink(scratch_path("out"), false, 0);
    for (uint64_t i = 0; i < 6; i++)
        sink_push(sink, make_segment(i, 1, i % 2 == 0 ? 900000 : 10));
    cr_assert(sink_close(sink, &err));
    sink_free(sink);
    char *text = scratch_read("out", &len);
    expect_numbers(text, len, 6, true);
    free(text);
}

/* Lines appear without closing: whoever watches the file sees them soon. */
Test(sink, lines_do_not_linger, .init = scratch_make, .fini = scratch_remove)
{
    struct javm_error err;
    struct stat st = {0};
    const char *names[] = {"out", "out.gz", "out.zst"};
    for (size_t n = 0; n < 3; n++) {
        struct sink *sink = open_sink(scratch_path(names[n]), false, 0);
        sink_push(sink, make_segment(0, 100, 100));
        off_t last = 0;
        for (int i = 0; i < 400 && last < 60; i++) { /* a gzip header alone has fewer bytes */
            usleep(10000);
            cr_assert_eq(stat(scratch_path(names[n]), &st), 0);
            last = st.st_size;
        }
        cr_expect(last >= 60, "%s", names[n]);
        cr_assert(sink_close(sink, &err));
        sink_free(sink);
    }
}

struct waiter {
    struct sink *sink;
    uint64_t units;
};

static void *push_late(void *arg)
{
    const struct waiter *waiter = arg;
    for (uint64_t i = 0; i < waiter->units; i++) {
        if (i % 16 == 0)
            usleep(300);
        sink_push(waiter->sink, make_segment(i, 1, 0));
    }
    return NULL;
}

/* The hand-shake of the one who issues work: sleeps until `step` more units are done; hangs if a
 * wake-up is lost. Returns how often it woke up. */
static uint64_t wait_in_steps(uint64_t step, bool ordered)
{
    struct javm_error err;
    pthread_t thread;
    struct waiter waiter = {open_sink(scratch_path("out"), ordered, 4096), 2000};
    cr_assert_eq(pthread_create(&thread, NULL, push_late, &waiter), 0);
    uint64_t done, woke = 0;
    for (; (done = sink_done(waiter.sink)) < waiter.units; woke++) {
        const uint64_t left = waiter.units - done;
        sink_wait(waiter.sink, done + (left < step ? left : step), -1);
    }
    pthread_join(thread, NULL);
    cr_expect(sink_close(waiter.sink, &err));
    sink_free(waiter.sink);
    return woke;
}

Test(sink, waiting_for_room, .init = scratch_make, .fini = scratch_remove)
{
    wait_in_steps(1, true);
    wait_in_steps(7, false);
}

/* Each step ends with one waking, and at most one more for a bell that was rung meanwhile. */
Test(sink, waiting_for_much_room, .init = scratch_make, .fini = scratch_remove)
{
    cr_expect_leq(wait_in_steps(500, true), 8);
    cr_expect_leq(wait_in_steps(500, false), 8);
}

static void note_failure(void *arg)
{
    ++*(int *)arg;
}

static struct sink *open_noted(const char *path, int *failures)
{
    struct sink *sink;
    struct javm_error err;
    const struct sink_options options = {
        .path = path, .input_fd = -1, .failed = note_failure, .arg = failures};
    cr_assert_eq(sink_open(&options, &sink, &err), JAVM_OK, "%s", err.text);
    return sink;
}

Test(sink, a_full_disk_is_told_once, .init = scratch_make, .fini = scratch_remove)
{
    struct javm_error err;
    uint64_t lines, bytes;
    const char *paths[] = {"/dev/full"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        int failures = 0;
        struct sink *sink = open_noted(paths[i], &failures);
        for (uint64_t n = 0; n < 100; n++)
            sink_push(sink, make_segment(n, 1, 10000));
        cr_expect_not(sink_close(sink, &err));
        cr_expect_eq(err.status, JAVM_E_IO);
        cr_expect(strstr(err.text, "No space left") != NULL, "%s", err.text);
        cr_expect_eq(failures, 1);
        cr_expect_eq(sink_done(sink), 100); /* nobody waits for lines that cannot be written */
        sink_written(sink, &lines, &bytes);
        cr_expect_eq(lines, 0);
        sink_free(sink);
    }
}

/* A file size limit stops a write in the middle of a line; whole lines must remain. */
Test(sink, a_torn_line_is_cut_off, .init = scratch_make, .fini = scratch_remove)
{
    struct javm_error err;
    size_t len;
    uint64_t lines, bytes;
    int failures = 0;
    struct rlimit old, limit;
    signal(SIGXFSZ, SIG_IGN);
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &old), 0);
    limit = old;
    limit.rlim_cur = 100000;
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    struct sink *sink = open_noted(scratch_path("out"), &failures);
    sink_push(sink, make_segment(0, 3000, 60));
    cr_expect_not(sink_close(sink, &err));
    setrlimit(RLIMIT_FSIZE, &old);
    cr_expect(strstr(err.text, "File too large") != NULL, "%s", err.text);
    sink_written(sink, &lines, &bytes);
    sink_free(sink);
    char *text = scratch_read("out", &len);
    cr_expect(len > 99000 && len <= 100000 && text[len - 1] == '\n');
    cr_expect_eq(len, bytes);
    cr_expect(lines > 1000 && lines < 3000);
    expect_numbers(text, len, lines, true);
    free(text);
}

Test(sink, a_reader_that_goes_away, .init = scratch_make, .fini = scratch_remove)
{
    struct javm_error err;
    int fds[2], failures = 0;
    signal(SIGPIPE, SIG_IGN);
    cr_assert_eq(pipe(fds), 0);
    const int saved = dup(STDOUT_FILENO);
    cr_assert(dup2(fds[1], STDOUT_FILENO) == STDOUT_FILENO);
    close(fds[1]);
    close(fds[0]);
    struct sink *sink = open_noted("-", &failures);
    sink_push(sink, make_segment(0, 10, 10));
    const bool good = sink_close(sink, &err);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    cr_expect_not(good);
    cr_expect_eq(err.status, JAVM_E_STATE);
    cr_expect_eq(failures, 1);
    sink_free(sink);
}

/* A slow pipe takes a few bytes at a time; every byte must arrive in order. */
static void *drain(void *arg)
{
    const int fd = *(int *)arg;
    char *text = malloc(1u << 20);
    size_t len = 0;
    ssize_t n;
    while ((n = read(fd, text + len, 977)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    return text;
}

Test(sink, short_writes_to_a_pipe, .init = scratch_make, .fini = scratch_remove)
{
    struct javm_error err;
    int fds[2];
    pthread_t thread;
    void *text;
    cr_assert_eq(pipe(fds), 0);
    cr_assert(fcntl(fds[1], F_SETFL, O_NONBLOCK) == 0); /* short writes and EAGAIN */
    cr_assert(fcntl(fds[1], F_SETPIPE_SZ, 4096) > 0);
    cr_assert_eq(pthread_create(&thread, NULL, drain, &fds[0]), 0);
    const int saved = dup(STDOUT_FILENO);
    cr_assert(dup2(fds[1], STDOUT_FILENO) == STDOUT_FILENO);
    close(fds[1]);
    struct sink *sink = open_sink("-", true, 1 << 14);
    push_from_threads(sink, 1000, 10, 30);
    const bool good = sink_close(sink, &err);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    cr_expect(good);
    pthread_join(thread, &text);
    expect_numbers(text, strlen(text), 10000, true);
    free(text);
    sink_free(sink);
}

Test(sink, the_jobs_file_is_not_overwritten, .init = scratch_make, .fini = scratch_remove)
{
    struct sink *sink;
    struct javm_error err;
    size_t len;
    scratch_write("jobs", "{}\n", 3);
    const int fd = open(scratch_path("jobs"), O_RDONLY);
    const struct sink_options options = {.path = scratch_path("jobs"), .input_fd = fd};
    cr_expect_eq(sink_open(&options, &sink, &err), JAVM_E_EXISTS);
    close(fd);
    char *text = scratch_read("jobs", &len);
    cr_expect_str_eq(text, "{}\n");
    free(text);
}

Test(sink, a_place_that_cannot_be_written, .init = scratch_make, .fini = scratch_remove)
{
    struct sink *sink;
    struct javm_error err;
    const struct sink_options options = {.path = scratch_path("no/such/folder"), .input_fd = -1};
    cr_expect_eq(sink_open(&options, &sink, &err), JAVM_E_IO);
    cr_expect(strstr(err.text, "No such file") != NULL, "%s", err.text);
}

Test(sink, abandoned_with_whole_lines, .init = scratch_make, .fini = scratch_remove)
{
    size_t len, plain_len;
    struct sink *sink = open_sink(scratch_path("out.gz"), true, 1 << 12);
    sink_push(sink, make_segment(0, 100, 50));
    sink_push(sink, make_segment(200, 100, 50)); /* 100..199 will never come */
    sink_abandon(sink, 10000);
    char *file = scratch_read("out.gz", &len);
    char *text = read_gzip(file, len, &plain_len); /* asserts that the stream is closed */
    cr_expect(plain_len == 0 || text[plain_len - 1] == '\n');
    struct javm_error err;
    cr_expect(sink_close(sink, &err));
    sink_free(sink);
    free(file);
    free(text);
}

/* ---- on the disk ------------------------------------------------------------------------ */

/* In place of the library's: what the sink asks for, and a disk that does not let it be. */
static int forced, force_error;
int fsync(int fd);
int fsync(int fd)
{
    struct stat st;
    forced += fstat(fd, &st) == 0 && S_ISREG(st.st_mode);
    errno = force_error;
    return force_error == 0 ? 0 : -1;
}

Test(sink, is_on_the_disk_when_it_is_closed, .init = scratch_make, .fini = scratch_remove)
{
    struct javm_error err;
    struct sink *sink = open_sink(scratch_path("out"), false, 0);
    forced = 0; /* other tests may have run in this process */
    sink_push(sink, make_segment(0, 100, 50));
    sink_end(sink);
    cr_expect_eq(forced, 0, "not before it is asked for");
    cr_expect_geq(sink_writer_ns(sink), 0);
    cr_assert(sink_close(sink, &err), "%s", err.text);
    cr_expect_eq(forced, 1);
    sink_free(sink);
}

Test(sink, tells_that_the_disk_failed_late, .init = scratch_make, .fini = scratch_remove)
{
    struct javm_error err;
    struct sink *sink = open_sink(scratch_path("out"), false, 0);
    sink_push(sink, make_segment(0, 100, 50));
    force_error = EIO;
    cr_assert_not(sink_close(sink, &err));
    cr_expect_not_null(strstr(err.text, "out: Input/output error"), "%s", err.text);
    force_error = EINVAL; /* a file system that has no such thing */
    sink_free(sink);
    sink = open_sink(scratch_path("out"), false, 0);
    cr_expect(sink_close(sink, &err));
    sink_free(sink);
}
