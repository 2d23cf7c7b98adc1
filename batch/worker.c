#include "batch/worker.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/chain.h"
#include "batch/definitions.h"
#include "batch/execute.h"
#include "batch/expect.h"
#include "batch/foreign_run.h"
#include "batch/text.h"

#define SEGMENT_FIRST  4096
#define SEGMENT_FULL   (128u << 10)
#define SEGMENT_OLD_NS 20000000 /* results of slow jobs do not wait longer for company */

/* Threads that are bound to no node share one store. */
static struct javm_jit *store_of(struct run *run)
{
    if (run->natives == NULL)
        return NULL;
    return natives_of_node(run->natives, run->options->numa == JAVM_NUMA_OFF ? 0 : natives_node());
}

/* A Vm, or a process that has one. */
static bool start_engine(struct worker *worker, struct javm_error *err)
{
    struct run *run = worker->run;
    const struct javm_vm_options options = {
        .engine = run->engine, .gas_model = run->options->gas_model, .jit = store_of(run)};
    if (run->isolation != NULL)
        return isolate_open(run->isolation, worker->dir, &worker->isolate, err) == JAVM_OK;
    if (javm_vm_create(&options, &worker->vm, err) != JAVM_OK)
        return false;
    const struct parting_own own = {.options = &options,
                                    .vm = worker->vm,
                                    .foreign = worker->foreign,
                                    .v2 = &worker->v2,
                                    .dir = worker->dir,
                                    .timeout_ms = run->options->timeout_ms};
    return run->partings == NULL ||
           parting_new(run->partings, &own, &worker->parting, err) == JAVM_OK;
}

void *worker_start(void *arg, unsigned index)
{
    struct run *run = arg;
    struct javm_error err = {.text = "out of memory"};
    struct worker *worker = aligned_alloc(128, (sizeof *worker + 127) & ~(size_t)127);
    if (worker != NULL) {
        memset(worker, 0, sizeof *worker);
        worker->run = run;
        worker->index = index;
        worker->usual_len = SEGMENT_FIRST;
        worker->dir = javm_directory_join(run->dir);
        worker->scratch = javm_annex_new();
        worker->foreign = foreign_runner_new(run->engine, store_of(run));
        if (run->trace != NULL)
            worker->lane = trace_lane_new(run->trace, index);
        if (worker->dir != NULL && worker->scratch != NULL && worker->foreign != NULL &&
            (run->trace == NULL || worker->lane != NULL) && start_engine(worker, &err)) {
            struct worker *head = atomic_load_explicit(&run->workers, memory_order_relaxed);
            /* Release, partner: run_totals. */
            do
                worker->next = head;
            while (!atomic_compare_exchange_weak_explicit(
                &run->workers, &head, worker, memory_order_release, memory_order_relaxed));
            return worker;
        }
        if (worker->vm != NULL)
            javm_vm_destroy(worker->vm);
        if (worker->dir != NULL)
            javm_directory_leave(worker->dir);
        javm_annex_free(worker->scratch);
        foreign_runner_free(worker->foreign);
        free(worker);
    }
    /* Workers start one after the other or not, the first to fail is told. */
    bool none = false;
    if (atomic_compare_exchange_strong_explicit(&run->worker_claimed, &none, true,
                                                memory_order_relaxed, memory_order_relaxed)) {
        run->worker_error = err;
        /* Release, partner: the acquire load in run_batch. */
        atomic_store_explicit(&run->worker_failed, true, memory_order_release);
    }
    return NULL;
}

void worker_stop(void *arg, unsigned index, void *context)
{
    (void)arg;
    (void)index;
    struct worker *worker = context;
    struct inmate_figures figures = {0};
    if (worker->vm != NULL)
        javm_vm_stats(worker->vm, &figures.vm);
    isolate_close(worker->isolate, &figures);
    worker->vm_stats = figures.vm;
    worker->native_stats = figures.native;
    parting_free(worker->parting);
    javm_vm_destroy(worker->vm);
    worker->isolate = NULL;
    v2_runner_clear(&worker->v2);
    javm_directory_leave(worker->dir);
    javm_annex_free(worker->scratch);
    foreign_runner_free(worker->foreign);
    free(worker->spare);
    worker->vm = NULL;
    worker->dir = NULL;
    worker->spare = NULL;
    worker->processor_ns = clock_thread_ns();
}

void worker_event(void *context, enum javm_sched_event event)
{
    const struct worker *worker = context;
    if (event == JAVM_SCHED_STEAL)
        trace_steal(worker->lane);
    else if (event == JAVM_SCHED_PARK)
        trace_park(worker->lane);
    else
        trace_wake(worker->lane);
}

/* ---- segments --------------------------------------------------------------------------- */

/* An empty segment that begins at `seq`, with `room` bytes. */
static bool segment_begin(struct worker *worker, uint64_t seq, size_t room)
{
    const size_t capacity = worker->usual_len > room ? worker->usual_len : room;
    struct segment *segment = malloc(sizeof *segment + capacity);
    if (segment == NULL)
        return false;
    *segment = (struct segment){.first = seq, .capacity = capacity};
    worker->segment = segment;
    return true;
}

static bool segment_room(struct worker *worker, uint64_t seq, size_t room)
{
    struct segment *segment = worker->segment;
    if (segment == NULL)
        return segment_begin(worker, seq, room);
    if (segment->capacity - segment->len >= room)
        return true;
    size_t capacity = segment->capacity * 2;
    if (capacity - segment->len < room)
        capacity = segment->len + room;
    segment = realloc(segment, sizeof *segment + capacity);
    if (segment == NULL)
        return false;
    segment->capacity = capacity;
    worker->segment = segment;
    return true;
}

static void segment_push(struct worker *worker)
{
    struct segment *segment = worker->segment;
    if (segment == NULL)
        return;
    worker->segment = NULL;
    const size_t len = segment->len;
    if (len < segment->capacity / 2) { /* a few lines of many short stretches: they may wait long */
        struct segment *less = realloc(segment, sizeof *segment + len);
        if (less != NULL) {
            segment = less;
            segment->capacity = len;
        }
    }
    worker->usual_len = len < SEGMENT_FIRST  ? SEGMENT_FIRST
                        : len > SEGMENT_FULL ? SEGMENT_FULL
                                             : len;
    sink_push(worker->run->sink, segment);
}

/* The unit has no line: it was not begun, or there was no memory for one. */
static void segment_skip(struct worker *worker, uint64_t seq, uint64_t units)
{
    counter_add(&worker->counters.skipped, units);
    if (segment_room(worker, seq, 0))
        worker->segment->units += units;
    else
        run_halt(worker->run, HALT_MEMORY); /* a gap; the sink closes over it */
}

/* ---- units ------------------------------------------------------------------------------ */

/* Keep the first few failures for the end. */
static void sample(struct run *run, const struct job *job, const struct result *result,
                   uint32_t mismatch)
{
    /* Relaxed: it only hands out places; they are read after the workers were joined. */
    if (atomic_load_explicit(&run->samples, memory_order_relaxed) >= SAMPLES)
        return;
    const unsigned place = atomic_fetch_add_explicit(&run->samples, 1, memory_order_relaxed);
    if (place >= SAMPLES)
        return;
    char id[JOB_NAME_SIZE], expected[400], got[400]; /* together below SAMPLE_SIZE */
    job_name(id, job);
    if (mismatch == 0) {
        snprintf(run->sample[place], SAMPLE_SIZE, "job %s: %s", id, result->error);
        return;
    }
    const enum field field = (enum field)__builtin_ctz(mismatch);
    strcpy(expected, "...");
    strcpy(got, "...");
    if (expect_field_max(job->expect, result, field) < sizeof expected)
        *mismatch_expected(expected, job->expect, result, field) = '\0';
    if (result_field_max(result, field) < sizeof got)
        *mismatch_got(got, result, field) = '\0';
    snprintf(run->sample[place], SAMPLE_SIZE, "job %s: %s: expected %s, got %s", id,
             field_name(field), expected, got);
}

/* On what the chain stands at, or on the job's own target and with nothing that stays. */
static void execute_on(struct worker *worker, const struct job *job, uint64_t seq, int64_t now,
                       struct result *result)
{
    const uint64_t timeout_ms = worker->run->options->timeout_ms;
    const bool foreign = job->target != NULL && job->target->foreign != NULL;
    const bool here = worker->isolate == NULL;
    if (worker->parting != NULL && job->error == NULL && (foreign || job->v2 != NULL))
        parting_look(worker->parting, NULL, job, NULL);
    if (foreign && here) {
        foreign_run(worker->foreign, job, now, timeout_ms, result);
        return;
    }
    struct chain *chain = job->chain;
    if (job->v2 != NULL && here) {
        const bool first = worker->v2.v2 == NULL;
        const struct javm_v2_options options = {.engine = worker->run->engine,
                                                .jit = first ? store_of(worker->run) : NULL};
        v2_run(&worker->v2, &options, job, now, timeout_ms, result);
        return;
    }
    if (chain != NULL && chain->lost) {
        isolate_without_ground(result);
        return;
    }
    struct ground ground = {.keep = chain != NULL};
    if (chain != NULL) {
        ground.instance = chain->instance;
        ground.paused = chain->paused;
        javm_annex_open(worker->dir, chain->annex);
    } else if (job->target != NULL) {
        ground.instance = job->target->instance;
        ground.paused = job->target->paused;
        if (execute_publishes(job))
            javm_annex_open(worker->dir, worker->scratch);
    }
    if (worker->parting != NULL && job->error == NULL) {
        struct javm_annex *annex = chain != NULL ? chain->annex : worker->scratch;
        parting_look(worker->parting, annex, job, &ground);
        javm_annex_open(worker->dir, chain != NULL || execute_publishes(job) ? annex : NULL);
    }
    if (!here)
        isolate_run(worker->isolate, job, seq, &ground, timeout_ms, result);
    else
        execute(worker->vm, worker->dir, job, &ground, now, timeout_ms, result);
    if (chain != NULL)
        chain->lost = result->outcome == OUTCOME_CRASHED;
    if (ground.moved)
        chain_move(chain, &ground.instance, ground.paused);
    else if (chain == NULL && javm_annex_count(worker->scratch, NULL) != 0)
        (void)javm_annex_keep(worker->scratch, &ground.instance); /* nothing: it is published */
    javm_annex_open(worker->dir, NULL);
}

static void trace_unit(const struct worker *worker, const struct job *job, uint64_t seq,
                       const struct result *result, int64_t begun, int64_t ns)
{
    const bool charged = result->fields & 1u << FIELD_GAS_USED;
    trace_job(worker->lane, job, seq, result->outcome,
              charged ? result->gas_used - result->gas_before : 0, begun, begun + ns);
    if (worker->run->natives == NULL)
        return;
    struct javm_jit_stats stats;
    natives_stats(worker->run->natives, &stats);
    trace_compiled(worker->lane, stats.compiled_bytes, stats.compile_ns);
}

/* Run one unit and add its line to the segment. False: no memory for the line. Returns the time in
 * *now. */
static bool run_unit(struct worker *worker, const struct job *job, uint64_t seq, int64_t *now)
{
    struct run *run = worker->run;
    const struct options *options = run->options;
    struct counters *counters = &worker->counters;
    struct result result;
    const int64_t begun = *now;
    counter_add(&worker->begun, 1);
    /* Release, partner: the exchange in worker_rescue; the lines become visible. */
    atomic_store_explicit(&worker->parked, worker->segment, memory_order_release);
    execute_on(worker, job, seq, begun, &result);
    /* Relaxed: what comes back is this thread's own. */
    worker->segment = atomic_exchange_explicit(&worker->parked, NULL, memory_order_relaxed);
    *now = clock_ns();
    if (job->silent) {
        const bool place = segment_room(worker, seq, 0);
        if (place)
            worker->segment->units++;
        counter_add(&counters->replayed, 1);
        result_clear(&result);
        return place;
    }
    const bool elsewhere = result.begun_ns != 0;
    const uint64_t ns = elsewhere ? result.ns : (uint64_t)(*now - begun);
    result.us = ns / 1000;
    if (worker->lane != NULL)
        trace_unit(worker, job, seq, &result, elsewhere ? result.begun_ns : begun, (int64_t)ns);
    const uint32_t mismatch = job->expect == NULL ? 0 : expect_compare(job->expect, &result);
    const bool room = segment_room(worker, seq, result_line_max(job, &result));
    if (room) {
        const struct result_style style = {options->reproducible, worker->index};
        struct segment *segment = worker->segment;
        char *at = segment->bytes + segment->len;
        char *end = result_line(at, job, job->rep + (seq - job->first), &result, mismatch, &style);
        segment->len += (size_t)(end - at);
        segment->lines++;
        segment->units++;
        counter_add(&counters->bytes, (size_t)(end - at));
    }
    counter_add(&counters->exits[result.outcome], 1);
    counter_add(&counters->busy_ns, ns);
    counter_add(&counters->latency[latency_bucket(ns)], 1);
    if (result.fields & 1u << FIELD_GAS_USED) {
        const uint64_t gas = result.gas_used - result.gas_before;
        counter_add(&counters->gas, gas);
        counter_add(&counters->gas_sizes[latency_bucket(gas)], 1);
    }
    if (mismatch != 0)
        counter_add(&counters->mismatches, 1);
    if (mismatch != 0 || result.outcome == OUTCOME_ERROR || result.outcome == OUTCOME_CRASHED) {
        counter_add(&counters->failures, 1);
        sample(run, job, &result, mismatch);
        if (options->fail_fast)
            run_halt(run, HALT_FAILURE);
    }
    result_clear(&result);
    return room;
}

/* Give the upper half of [low, high) to whoever is hungry. Returns the new high. */
static uint64_t give_away(struct javm_worker *self, struct chunk *chunk, uint64_t low,
                          uint64_t high)
{
    struct span *half = malloc(sizeof *half);
    if (half == NULL)
        return high;
    const uint64_t middle = low + (high - low + 1) / 2;
    chunk_retain(chunk);
    *half = (struct span){{worker_run_span}, chunk, middle, high};
    if (javm_sched_spawn(self, &half->task) == JAVM_OK)
        return middle;
    chunk_release(chunk); /* never the last one: the caller's span holds another */
    free(half);
    return high;
}

/* A span for what is left behind the running job; NULL when there is no memory: then it simply
 * waits. */
static struct span *make_rest(struct worker *worker, struct chunk *chunk)
{
    struct span *rest = worker->spare != NULL ? worker->spare : malloc(sizeof *rest);
    worker->spare = NULL;
    if (rest == NULL)
        return NULL;
    chunk_retain(chunk);
    *rest = (struct span){{worker_run_span}, chunk, 0, 0};
    return rest;
}

static void drop_rest(struct worker *worker, struct span *rest)
{
    if (rest == NULL)
        return;
    chunk_release(rest->chunk);
    worker->spare = rest;
}

/* The reader wrote the next job on another core: it comes over while this one runs. */
static void fetch_next(const struct chunk *chunk, uint32_t index)
{
    if (index + 1 >= chunk->count)
        return;
    const char *next = (const char *)chunk->jobs[index + 1];
    for (size_t at = 0; at < sizeof(struct job); at += 64)
        __builtin_prefetch(next + at);
}

void worker_run_span(struct javm_worker *self, struct javm_task *task)
{
    struct worker *worker = javm_worker_context(self);
    struct span *span = (struct span *)task;
    struct chunk *chunk = span->chunk;
    uint64_t high = span->high;
    uint32_t index = chunk_find(chunk, span->low);
    int64_t now = clock_ns();
    struct span *rest = high - span->low > 1 ? make_rest(worker, chunk) : NULL;
    uint64_t end = span->low; /* of what is this worker's already: the next unit, or a group */
    worker->segment_since = now;
    for (uint64_t seq = span->low; seq < high; seq++) {
        const struct job *job = chunk->jobs[index];
        if (job->chain != NULL) { /* its chain's runner does it; lines are of one stretch */
            segment_push(worker);
            index++;
            continue;
        }
        if (run_halted(worker->run) != HALT_NONE) {
            segment_skip(worker, seq, 1);
            index += seq + 1 == job->first + job->units;
            continue;
        }
        if (seq >= end)
            end = worker->isolate == NULL ? seq + 1
                                          : isolate_plan(worker->isolate, chunk, index, seq, high);
        if (high > end && javm_worker_should_split(self))
            high = give_away(self, chunk, end - 1, high);
        const bool shared = rest != NULL && high > end;
        if (shared) {
            rest->low = end;
            rest->high = high;
            /* Release, partner: the exchange in worker_rescue; low and high become visible. */
            atomic_store_explicit(&worker->rest, rest, memory_order_release);
        }
        fetch_next(chunk, index);
        if (!run_unit(worker, job, seq, &now)) {
            run_halt(worker->run, HALT_MEMORY);
            segment_skip(worker, seq, 1);
        }
        /* Relaxed: what comes back is this thread's own. */
        if (shared && atomic_exchange_explicit(&worker->rest, NULL, memory_order_relaxed) == NULL) {
            rest = NULL; /* rescued, and its reference to the chunk with it */
            high = end;
        }
        if (seq + 1 == job->first + job->units)
            index++;
        if (worker->segment != NULL && (worker->segment->len >= SEGMENT_FULL ||
                                        now - worker->segment_since >= SEGMENT_OLD_NS)) {
            segment_push(worker);
            worker->segment_since = now;
        }
    }
    segment_push(worker);
    drop_rest(worker, rest);
    if (span != &chunk->whole)
        free(span);
    chunk_release(chunk);
}

/* All repetitions of one job of a chain. */
static void run_chained(struct worker *worker, struct chain *chain, const struct job *job)
{
    const bool ready = chain_begin(chain, job);
    int64_t now = clock_ns();
    if (!ready)
        run_halt(worker->run, HALT_MEMORY);
    worker->segment_since = now;
    for (uint64_t seq = job->first; seq < job->first + job->units; seq++) {
        if (run_halted(worker->run) != HALT_NONE) {
            segment_skip(worker, seq, 1);
        } else if (!run_unit(worker, job, seq, &now)) {
            run_halt(worker->run, HALT_MEMORY);
            segment_skip(worker, seq, 1);
        }
        if (worker->segment != NULL && now - worker->segment_since >= SEGMENT_OLD_NS) {
            segment_push(worker);
            worker->segment_since = now;
        }
    }
    segment_push(worker);
}

void worker_run_chain(struct javm_worker *self, struct javm_task *task)
{
    struct worker *worker = javm_worker_context(self);
    struct chain *chain = (struct chain *)task;
    struct job *job;
    do {
        job = chain_first(chain);
        run_chained(worker, chain, job);
    } while (chain_ended(chain, job));
}

/* ---- from the watcher's thread ---------------------------------------------------------- */

static void submit_rest(struct run *run, struct span *rest)
{
    struct javm_task *task = &rest->task;
    if (javm_sched_submit(run->sched, &task, 1) == JAVM_OK)
        return;
    run_halt(run, HALT_MEMORY); /* these units will not run */
    chunk_release(rest->chunk);
    free(rest);
}

static void rescue_one(struct run *run, struct worker *worker, bool all)
{
    const uint64_t begun = atomic_load_explicit(&worker->begun, memory_order_relaxed);
    const bool stuck = begun == worker->begun_before;
    worker->begun_before = begun;
    if (!stuck && !all)
        return;
    /* Acquire, partner: run_unit. */
    struct segment *segment = atomic_exchange_explicit(&worker->parked, NULL, memory_order_acquire);
    if (segment != NULL)
        sink_push(run->sink, segment);
    /* Acquire, partner: worker_run_span. */
    struct span *rest =
        all ? NULL : atomic_exchange_explicit(&worker->rest, NULL, memory_order_acquire);
    if (rest != NULL)
        submit_rest(run, rest);
}

void worker_rescue(struct run *run, bool all)
{
    pthread_mutex_lock(&run->rescue_lock);
    /* Acquire, partner: worker_start. */
    struct worker *worker = atomic_load_explicit(&run->workers, memory_order_acquire);
    for (; worker != NULL && !run->rescue_ended; worker = worker->next)
        rescue_one(run, worker, all);
    pthread_mutex_unlock(&run->rescue_lock);
}

void worker_end_rescue(struct run *run)
{
    pthread_mutex_lock(&run->rescue_lock);
    run->rescue_ended = true;
    pthread_mutex_unlock(&run->rescue_lock);
}
