#include "batch/trace.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "batch/run.h"
#include "batch/text.h"
#include "batch/trace_file.h"

#define DRAIN_MS   20   /* events lie no longer in the rings */
#define ID_MAX     39   /* bytes of an id that are kept */
#define NUMBER_ID  0xff /* id_len of an id that is a number */
#define NUMBER_NEG 0xfe

enum kind { KIND_JOB, KIND_PARK, KIND_STEAL, KIND_COMPILE };

struct event {
    int64_t begin, end; /* clock_ns; marks: equal */
    uint64_t value;     /* gas; COMPILE: bytes */
    uint64_t number;    /* which repetition; COMPILE: ns */
    uint64_t id_number;
    uint8_t kind, outcome, id_len;
    bool repeated;
    char id[ID_MAX + 1];
};

struct trace_lane {
    struct trace_lane *next; /* trace->lanes */
    struct trace *trace;
    unsigned worker;
    bool named; /* the thread's: its name is in the file */
    /* The worker's own. */
    int64_t parked_at; /* 0: awake */
    uint64_t marks;
    uint64_t tail_seen;
    /* head: events stored, written by the worker; tail: events taken, written by the thread. */
    _Alignas(128) _Atomic uint64_t head;
    _Atomic uint64_t lost, sampled; /* relaxed, the worker's */
    _Alignas(128) _Atomic uint64_t tail;
    struct event ring[TRACE_RING];
};

struct trace {
    int wake_fd;
    pthread_t thread;
    bool running;
    int64_t began; /* time 0 of the file */
    _Atomic(struct trace_lane *) lanes;
    /* One event of 2^shift is kept; relaxed: a worker that learns of it late writes a little more.
     */
    _Atomic unsigned shift;
    _Atomic uint64_t compiled_bytes, compiled_ns; /* marked so far; relaxed */
    pthread_mutex_t writing;                      /* held while the file is written; no worker's */
    _Atomic bool quit;                            /* relaxed: the eventfd orders it */
    /* The thread's own, and trace_close's when it has ended. */
    uint64_t level_events;
    struct trace_file file;
};

/* ---- workers ---------------------------------------------------------------------------- */

struct trace_lane *trace_lane_new(struct trace *trace, unsigned worker)
{
    struct trace_lane *lane = aligned_alloc(128, (sizeof *lane + 127) & ~(size_t)127);
    if (lane == NULL)
        return NULL;
    memset(lane, 0, sizeof *lane);
    lane->trace = trace;
    lane->worker = worker;
    struct trace_lane *head = atomic_load_explicit(&trace->lanes, memory_order_relaxed);
    /* Release, partner: the acquire load in drain. */
    do
        lane->next = head;
    while (!atomic_compare_exchange_weak_explicit(&trace->lanes, &head, lane, memory_order_release,
                                                  memory_order_relaxed));
    return lane;
}

static void bump(_Atomic uint64_t *counter)
{
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* The place for the next event; NULL: left out on purpose, or no room. `number` decides, scattered,
 * so that jobs that come in a regular pattern are all seen. */
static struct event *place(struct trace_lane *lane, uint64_t number)
{
    const unsigned shift = atomic_load_explicit(&lane->trace->shift, memory_order_relaxed);
    if (shift != 0 && number * UINT64_C(0x9E3779B97F4A7C15) >> (64 - shift) != 0) {
        bump(&lane->sampled);
        return NULL;
    }
    const uint64_t head = atomic_load_explicit(&lane->head, memory_order_relaxed); /* our own */
    if (head - lane->tail_seen == TRACE_RING) {
        /* Acquire, partner: the release store in drain_lane: it has read what stood there. */
        lane->tail_seen = atomic_load_explicit(&lane->tail, memory_order_acquire);
        if (head - lane->tail_seen == TRACE_RING) {
            bump(&lane->lost);
            return NULL;
        }
    }
    return &lane->ring[head % TRACE_RING];
}

static void stored(struct trace_lane *lane)
{
    const uint64_t head = atomic_load_explicit(&lane->head, memory_order_relaxed) + 1;
    /* Release, partner: the acquire load in drain_lane: the event is whole. */
    atomic_store_explicit(&lane->head, head, memory_order_release);
    if (head % (TRACE_RING / 4) == 0) { /* sooner than its time is up; never waits */
        const uint64_t one = 1;
        (void)!write(lane->trace->wake_fd, &one, sizeof one);
    }
}

void trace_job(struct trace_lane *lane, const struct job *job, uint64_t seq, enum outcome outcome,
               uint64_t gas, int64_t begin, int64_t end)
{
    struct event *event = place(lane, seq);
    if (event == NULL)
        return;
    event->kind = KIND_JOB;
    event->begin = begin;
    event->end = end;
    event->value = gas;
    event->outcome = (uint8_t)outcome;
    event->repeated = job->repeated;
    event->number = job->rep + (seq - job->first);
    event->id_number = job->id_number;
    event->id_len = job->id_negative ? NUMBER_NEG : NUMBER_ID;
    if (job->id != NULL) {
        size_t len = job->id_len;
        if (len > ID_MAX) /* cut before a character */
            for (len = ID_MAX; len > 0 && ((unsigned char)job->id[len] & 0xc0) == 0x80;)
                len--;
        memcpy(event->id, job->id, len);
        event->id_len = (uint8_t)len;
    }
    stored(lane);
}

static void mark(struct trace_lane *lane, enum kind kind, int64_t begin, int64_t end,
                 uint64_t value, uint64_t number)
{
    struct event *event = place(lane, lane->marks++);
    if (event == NULL)
        return;
    event->kind = (uint8_t)kind;
    event->begin = begin;
    event->end = end;
    event->value = value;
    event->number = number;
    stored(lane);
}

void trace_park(struct trace_lane *lane)
{
    lane->parked_at = clock_ns();
}

void trace_wake(struct trace_lane *lane)
{
    if (lane->parked_at != 0)
        mark(lane, KIND_PARK, lane->parked_at, clock_ns(), 0, 0);
    lane->parked_at = 0;
}

void trace_steal(struct trace_lane *lane)
{
    const int64_t now = clock_ns();
    mark(lane, KIND_STEAL, now, now, 0, 0);
}

/* How much `now` is beyond what anybody claimed before. */
static uint64_t claim(_Atomic uint64_t *claimed, uint64_t now)
{
    uint64_t before = atomic_load_explicit(claimed, memory_order_relaxed);
    while (before < now)
        if (atomic_compare_exchange_weak_explicit(claimed, &before, now, memory_order_relaxed,
                                                  memory_order_relaxed))
            return now - before;
    return 0;
}

void trace_compiled(struct trace_lane *lane, uint64_t bytes, uint64_t ns)
{
    const uint64_t more = claim(&lane->trace->compiled_bytes, bytes);
    const uint64_t took = claim(&lane->trace->compiled_ns, ns);
    const int64_t now = more == 0 && took == 0 ? 0 : clock_ns();
    if (now != 0)
        mark(lane, KIND_COMPILE, now, now, more, took);
}

/* ---- the thread ------------------------------------------------------------------------ */

static char *put_id(char *at, const struct event *event)
{
    if (event->id_len < NUMBER_NEG)
        return put_json(at, event->id, event->id_len);
    *at++ = '"';
    at = event->id_len == NUMBER_NEG ? put_i64(at, (int64_t)event->id_number)
                                     : put_u64(at, event->id_number);
    *at++ = '"';
    return at;
}

static void write_event(struct trace *trace, unsigned worker, const struct event *event)
{
    static const char *const NAMES[] = {"", "\"parked\"", "\"steal\"", "\"compile\""};
    char *at = put_literal(trace_file_begin(&trace->file), "{\"name\":");
    if (event->kind == KIND_JOB)
        at = put_id(at, event);
    else
        at = put_bytes(at, NAMES[event->kind], strlen(NAMES[event->kind]));
    const bool slice = event->kind <= KIND_PARK;
    if (event->kind == KIND_JOB)
        at = put_literal(at, ",\"cat\":\"job\"");
    else
        at = put_literal(at, ",\"cat\":\"worker\"");
    at = slice ? put_literal(at, ",\"ph\":\"X\"") : put_literal(at, ",\"ph\":\"i\",\"s\":\"t\"");
    at = put_u64(put_literal(at, ",\"pid\":1,\"tid\":"), worker);
    at = trace_put_us(put_literal(at, ",\"ts\":"), event->begin - trace->began);
    if (slice)
        at = trace_put_us(put_literal(at, ",\"dur\":"), event->end - event->begin);
    if (event->kind == KIND_JOB) {
        const char *exit = outcome_name((enum outcome)event->outcome);
        at = put_bytes(put_literal(at, ",\"args\":{\"exit\":\""), exit, strlen(exit));
        at = put_u64(put_literal(at, "\",\"gas\":"), event->value);
        if (event->repeated)
            at = put_u64(put_literal(at, ",\"rep\":"), event->number);
        *at++ = '}';
    } else if (event->kind == KIND_COMPILE) {
        at = put_u64(put_literal(at, ",\"args\":{\"bytes\":"), event->value);
        at = trace_put_us(put_literal(at, ",\"us\":"), (int64_t)event->number);
        *at++ = '}';
    }
    *at++ = '}';
    trace_file_added(&trace->file, at);
}

static void write_name(struct trace *trace, unsigned worker)
{
    char *at = put_literal(trace_file_begin(&trace->file),
                           "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":");
    at = put_u64(at, worker);
    at = put_u64(put_literal(at, ",\"args\":{\"name\":\"worker "), worker);
    trace_file_added(&trace->file, put_literal(at, "\"}}"));
}

/* A mark over all lanes: a name and a figure. */
static void write_note(struct trace *trace, const char *name, const char *key, uint64_t value)
{
    char *at = put_literal(trace_file_begin(&trace->file), "{\"name\":");
    at = put_json(at, name, strlen(name));
    at = put_literal(at, ",\"cat\":\"trace\",\"ph\":\"i\",\"s\":\"g\",\"pid\":1,\"tid\":0,\"ts\":");
    at = trace_put_us(at, clock_ns() - trace->began);
    at = put_json(put_literal(at, ",\"args\":{"), key, strlen(key));
    *at++ = ':';
    at = put_u64(at, value);
    trace_file_added(&trace->file, put_literal(at, "}}"));
}

static void drain_lane(struct trace *trace, struct trace_lane *lane)
{
    if (!lane->named)
        write_name(trace, lane->worker);
    lane->named = true;
    uint64_t tail = atomic_load_explicit(&lane->tail, memory_order_relaxed); /* our own */
    /* Acquire, partner: the release store in stored. */
    const uint64_t head = atomic_load_explicit(&lane->head, memory_order_acquire);
    for (; tail != head; tail++) {
        write_event(trace, lane->worker, &lane->ring[tail % TRACE_RING]);
        /* Release, partner: the acquire load in place. */
        atomic_store_explicit(&lane->tail, tail + 1, memory_order_release);
        if (++trace->level_events < TRACE_LEVEL)
            continue;
        trace->level_events = 0;
        const unsigned shift = atomic_load_explicit(&trace->shift, memory_order_relaxed);
        if (shift < 63) {
            atomic_store_explicit(&trace->shift, shift + 1, memory_order_relaxed);
            write_note(trace, "from here on fewer events are kept", "one of",
                       UINT64_C(1) << (shift + 1));
        }
    }
}

static void drain(struct trace *trace)
{
    pthread_mutex_lock(&trace->writing);
    /* Acquire, partner: trace_lane_new. */
    struct trace_lane *lane = atomic_load_explicit(&trace->lanes, memory_order_acquire);
    for (; lane != NULL; lane = lane->next)
        drain_lane(trace, lane);
    trace_file_flush(&trace->file);
    pthread_mutex_unlock(&trace->writing);
}

static void *trace_main(void *arg)
{
    struct trace *trace = arg;
    while (!atomic_load_explicit(&trace->quit, memory_order_relaxed)) {
        struct pollfd fd = {trace->wake_fd, POLLIN, 0};
        uint64_t count;
        if (poll(&fd, 1, DRAIN_MS) > 0)
            (void)!read(trace->wake_fd, &count, sizeof count);
        drain(trace);
    }
    return NULL;
}

/* ---- birth and death -------------------------------------------------------------------- */

enum javm_status trace_open(const char *path, const char *title, struct trace **out,
                            struct javm_error *err)
{
    struct trace *trace = calloc(1, sizeof *trace);
    if (trace == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    trace->wake_fd = -1;
    trace->began = clock_ns();
    pthread_mutex_init(&trace->writing, NULL);
    enum javm_status status = trace_file_open(&trace->file, path, title, err);
    if (status == JAVM_OK) {
        trace->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        trace->running =
            trace->wake_fd >= 0 && pthread_create(&trace->thread, NULL, trace_main, trace) == 0;
        if (!trace->running)
            status = javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE, "%s: no thread for a trace", path);
    }
    if (status == JAVM_OK)
        *out = trace;
    else
        trace_free(trace);
    return status;
}

static void stop(struct trace *trace)
{
    const uint64_t one = 1;
    if (!trace->running)
        return;
    atomic_store_explicit(&trace->quit, true, memory_order_relaxed);
    (void)!write(trace->wake_fd, &one, sizeof one);
    pthread_join(trace->thread, NULL);
    trace->running = false;
}

enum javm_status trace_close(struct trace *trace, struct trace_figures *figures,
                             struct javm_error *err)
{
    stop(trace);
    drain(trace);
    *figures = (struct trace_figures){0};
    /* Acquire, partner: trace_lane_new. */
    const struct trace_lane *lane = atomic_load_explicit(&trace->lanes, memory_order_acquire);
    for (; lane != NULL; lane = lane->next) {
        figures->lost += atomic_load_explicit(&lane->lost, memory_order_relaxed);
        figures->sampled += atomic_load_explicit(&lane->sampled, memory_order_relaxed);
    }
    if (figures->sampled > 0)
        write_note(trace, "events left out on purpose", "count", figures->sampled);
    if (figures->lost > 0)
        write_note(trace, "events lost", "count", figures->lost);
    trace_file_flush(&trace->file);
    return trace_file_close(&trace->file, err);
}

void trace_abandon(struct trace *trace, unsigned ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    (void)!pthread_mutex_timedlock(&trace->writing, &until); /* and never unlocked */
}

void trace_free(struct trace *trace)
{
    if (trace == NULL)
        return;
    stop(trace);
    struct trace_lane *lane = atomic_load_explicit(&trace->lanes, memory_order_relaxed);
    while (lane != NULL) {
        struct trace_lane *next = lane->next;
        free(lane);
        lane = next;
    }
    if (trace->wake_fd >= 0)
        close(trace->wake_fd);
    pthread_mutex_destroy(&trace->writing);
    trace_file_dispose(&trace->file);
    free(trace);
}
