/* Constant memory: the distance between what was handed out and what the sink has taken is bounded
 * in jobs
 * (--max-in-flight) and in bytes. Bytes are known for jobs, but only guessed for results that do
 * not exist yet: by the average so far. Until there is one, little is handed out. */
#include "batch/pipeline.h"

#include <poll.h>
#include <stdlib.h>

#include "batch/choose.h"
#include "batch/ranks.h"
#include "batch/worker.h"

#define BYTES_IN_FLIGHT (256u << 20)
#define UNKNOWN_RESULTS 4096  /* units in flight before the size of a result is known */
#define LOOK_AHEAD      65536 /* repetitions passed over before signals are looked at */
#define ESTIMATE_EVERY  16    /* chunks between two looks at the average */
#define IN_FLIGHT_PART  8     /* this part of what is in flight goes before more is read */

struct pipeline {
    struct run *run;
    struct reader *reader;
    struct progress *progress;
    struct choice choice;
    struct chunk *chunk; /* being filled, or NULL; one reference */
    uint64_t seq;        /* of the next unit; with ranks that gather, its number in the file */
    uint64_t given;      /* units handed out so far */
    uint64_t hole, hole_units; /* units that have a line, and of which the sink knows nothing yet */
    uint64_t allowed;          /* units in flight, by the size of results so far */
    unsigned since_estimate;
};

/* ---- handing out ------------------------------------------------------------------------ */

static void estimate(struct pipeline *p)
{
    struct totals totals = {0};
    p->since_estimate = 0;
    run_totals(p->run, &totals, false);
    const uint64_t limit = p->run->options->max_in_flight;
    if (totals.done == 0) {
        p->allowed = limit < UNKNOWN_RESULTS ? limit : UNKNOWN_RESULTS;
        return;
    }
    const uint64_t average = totals.bytes / totals.done + 1;
    const uint64_t fit = BYTES_IN_FLIGHT / average;
    const uint64_t least = 4 * (uint64_t)javm_sched_workers(p->run->sched);
    p->allowed = fit < least ? least : fit;
    if (p->allowed > limit)
        p->allowed = limit;
}

/* Units of this process that are over. With ranks the sink's figures are not of this one alone, and
 * in order its results may wait for those of others. */
static uint64_t over(const struct pipeline *p)
{
    struct totals totals = {0};
    if (p->run->ranks == NULL)
        return sink_done(p->run->sink);
    run_totals(p->run, &totals, false);
    return totals.done + totals.replayed + totals.skipped;
}

static bool too_much(const struct pipeline *p, uint64_t done, uint64_t units)
{
    const struct run *run = p->run;
    const bool others = ranks_gather(run->ranks) && run->options->ordered;
    const uint64_t in_flight = p->given - units - done;
    const uint64_t bytes = atomic_load_explicit(&run->chunk_bytes, memory_order_relaxed) +
                           (others ? 0 : sink_pending(run->sink));
    return in_flight > 0 && (in_flight + units > p->allowed || bytes > BYTES_IN_FLIGHT);
}

/* Sleep until `units` more than `done` are over, or something else happened. */
static void await_more(struct pipeline *p, uint64_t done, uint64_t units)
{
    if (p->run->ranks == NULL)
        sink_wait(p->run->sink, done + units, p->run->stop_fd);
    else
        poll(&(struct pollfd){p->run->stop_fd, POLLIN, 0}, 1, 1);
}

/* What has to be over before there is room for `units` again: not less than a part of what is in
 * flight, because each waking interrupts a worker where there is no free core. */
static uint64_t worth_waking(const struct pipeline *p, uint64_t done, uint64_t units)
{
    const uint64_t in_flight = p->given - units - done;
    const uint64_t lacking = p->given - done > p->allowed ? p->given - done - p->allowed : 0;
    const uint64_t least = in_flight / IN_FLIGHT_PART + 1;
    return lacking < least ? least : lacking < in_flight ? lacking : in_flight;
}

/* Sleep until `units` more may be in flight; they have their sequence numbers already. */
static void await_room(struct pipeline *p, uint64_t units)
{
    if (p->since_estimate++ % ESTIMATE_EVERY == 0)
        estimate(p);
    uint64_t done = over(p);
    while (too_much(p, done, units) && run_halted(p->run) == HALT_NONE) {
        await_more(p, done, worth_waking(p, done, units));
        done = over(p);
        estimate(p);
    }
}

/* Jobs of chains go to their chains, in order. *others: there are jobs that are alone. */
static bool submit_chained(struct pipeline *p, struct chunk *chunk, bool *others)
{
    bool good = true;
    *others = false;
    for (uint32_t i = 0; i < chunk->count && good; i++) {
        struct job *job = chunk->jobs[i];
        if (job->chain == NULL) {
            *others = true;
            continue;
        }
        struct javm_task *task = &job->chain->task;
        if (!chain_append(job->chain, job, chunk))
            continue;
        *task = (struct javm_task){worker_run_chain};
        good = javm_sched_submit(p->run->sched, &task, 1) == JAVM_OK;
    }
    return good;
}

/* Give the chunk [low, seq) to the workers; its reference goes along. */
static bool submit(struct pipeline *p, struct chunk *chunk, uint64_t low)
{
    struct run *run = p->run;
    const uint64_t units = p->seq - low;
    bool others;
    p->given += units;
    await_room(p, units);
    chunk->whole = (struct span){{worker_run_span}, chunk, low, p->seq};
    chunk->issued = true;
    atomic_fetch_add_explicit(&run->chunk_bytes, chunk->bytes, memory_order_relaxed);
    struct javm_task *task = &chunk->whole.task;
    const bool good = submit_chained(p, chunk, &others);
    if (!good || (others && javm_sched_submit(run->sched, &task, 1) != JAVM_OK)) {
        chunk_release(chunk);
        run_halt(run, HALT_MEMORY);
        return false;
    }
    if (!others)
        chunk_release(chunk);
    atomic_fetch_add_explicit(&run->issued, units, memory_order_relaxed);
    return true;
}

/* In order, the sink waits for each number: it gets those without a line as segments without one.
 */
static bool fill_holes(struct pipeline *p)
{
    if (p->hole_units == 0)
        return true;
    struct segment *segment = malloc(sizeof *segment);
    if (segment == NULL) {
        run_halt(p->run, HALT_MEMORY);
        return false;
    }
    *segment = (struct segment){.first = p->hole, .units = p->hole_units};
    p->hole_units = 0;
    sink_push(p->run->sink, segment);
    return true;
}

static bool add_hole(struct pipeline *p)
{
    const uint64_t number = p->choice.number - 1;
    if (!ranks_gather(p->run->ranks) || !p->run->options->ordered)
        return true;
    if (p->hole + p->hole_units != number && !fill_holes(p))
        return false;
    if (p->hole_units++ == 0)
        p->hole = number;
    return true;
}

/* Hand out what was collected, if anything. */
static bool flush(struct pipeline *p)
{
    struct chunk *chunk = p->chunk;
    p->chunk = NULL;
    if (chunk == NULL)
        return true;
    if (chunk->count == 0) {
        chunk_release(chunk);
        return true;
    }
    return submit(p, chunk, chunk->jobs[0]->first);
}

static unsigned chunk_limit(const struct pipeline *p)
{
    const uint64_t limit = p->run->options->max_in_flight;
    return limit < CHUNK_JOBS ? (unsigned)limit : CHUNK_JOBS;
}

/* A chunk with room for a line of `len` bytes. */
static bool make_room(struct pipeline *p, size_t len)
{
    const size_t room = reader_room(len);
    if (p->chunk != NULL && chunk_room(p->chunk) >= room)
        return true;
    if (!flush(p))
        return false;
    p->chunk = chunk_new(p->run, room);
    if (p->chunk == NULL)
        run_halt(p->run, HALT_MEMORY);
    return p->chunk != NULL;
}

/* Modulo 2^64: what turns out to be nobody's is taken back. */
static void announce(struct pipeline *p, uint64_t units)
{
    atomic_fetch_add_explicit(&p->run->announced, units, memory_order_relaxed);
}

static bool add(struct pipeline *p, struct job *job)
{
    struct chunk *chunk = p->chunk;
    const enum fate fate = choose(&p->choice, job, 0);
    if (fate == FATE_HOLE)
        return add_hole(p);
    if (fate == FATE_SKIP)
        return true; /* its bytes stay in the chunk until that is handed out */
    if (ranks_gather(p->run->ranks))
        p->seq = p->choice.number - 1; /* claim has seen to it that the chunk has no gap */
    if (fate == FATE_RUN)
        announce(p, 1);
    job->silent = fate == FATE_REPLAY;
    job->first = p->seq++;
    job->units = 1;
    chunk->jobs[chunk->count++] = job;
    return chunk->count < chunk_limit(p) || flush(p);
}

/* ---- ranks ------------------------------------------------------------------------------ */

static bool must_claim(const struct pipeline *p)
{
    return p->run->ranks != NULL && p->choice.number >= p->choice.high;
}

/* Would the next unit's number not follow that of the last one in the chunk? */
static bool has_gap(const struct pipeline *p)
{
    return ranks_gather(p->run->ranks) && p->seq != p->choice.number;
}

/* About as many units as this rank runs in a quarter of a second. */
static uint64_t want(const struct pipeline *p)
{
    struct totals totals = {0};
    run_totals(p->run, &totals, false);
    const uint64_t least = 2 * (uint64_t)javm_sched_workers(p->run->sched);
    const double seconds = (double)(clock_ns() - p->run->started_ns) / 1e9;
    const double units = (double)totals.done / (seconds > 0 ? seconds : 1) / 4;
    return units > (double)RANKS_MOST                  ? RANKS_MOST
           : units < (double)least || totals.done == 0 ? least
                                                       : (uint64_t)units;
}

/* Before a unit: its number is in a range that was handed out, to whomever, and follows what is
 * collected. False: halted. */
static bool claim(struct pipeline *p)
{
    struct run *run = p->run;
    if (p->chunk != NULL && p->chunk->count > 0 && has_gap(p) && !flush(p))
        return false;
    while (must_claim(p)) {
        const uint64_t units = want(p);
        if (!flush(p) || !fill_holes(p))
            return false;
        /* Others may be free: no more than the next such range is to lie here. */
        for (uint64_t done = over(p); p->given - done > units && run_halted(run) == HALT_NONE;
             done = over(p))
            await_more(p, done, 1);
        if (!ranks_claim(run->ranks, p->choice.number, units, &p->choice.low, &p->choice.high))
            return false;
    }
    return true;
}

/* Copies of the job, one for each stretch of repetitions from *rep on that have one fate, with
 * `piece` units at most. *rep moves on. NULL: out of memory. */
static struct chunk *cut_piece(struct pipeline *p, struct chunk *base, const struct job *job,
                               uint64_t *rep, uint64_t repeat, uint64_t piece)
{
    const unsigned copies = chooses(&p->choice) ? CHUNK_JOBS : 1;
    struct chunk *chunk = chunk_new_piece(base, copies);
    struct job *copy = NULL;
    uint64_t units = 0;
    uint64_t others = 0; /* announced, but without a line of this batch */
    for (; chunk != NULL && *rep < repeat && units < piece && others < LOOK_AHEAD; ++*rep) {
        if ((copies > 1 && chunk->count == copies) || must_claim(p) || (units > 0 && has_gap(p)))
            break;
        const enum fate fate = choose(&p->choice, job, *rep);
        others += fate != FATE_RUN;
        if (fate == FATE_HOLE && !add_hole(p))
            break;
        if (fate == FATE_SKIP || fate == FATE_HOLE)
            continue;
        if (ranks_gather(p->run->ranks))
            p->seq = p->choice.number - 1;
        const bool silent = fate == FATE_REPLAY;
        if (copy == NULL || copy->rep + copy->units != *rep || copy->silent != silent) {
            copy = chunk_copy(chunk, job);
            copy->first = p->seq;
            copy->rep = *rep;
            copy->units = 0;
            copy->silent = silent;
        }
        copy->units++;
        p->seq++;
        units++;
    }
    announce(p, -others);
    return chunk;
}

/* A job with repetitions: handed out in pieces as room comes up. They share the memory of the chunk
 * that the job was read into. */
static bool add_repeated(struct pipeline *p, const struct job *job, uint64_t repeat)
{
    struct run *run = p->run;
    struct chunk *base = p->chunk;
    announce(p, repeat);
    chunk_retain(base);
    bool good = flush(p);
    const uint64_t limit = run->options->max_in_flight;
    const uint64_t piece = limit < CHUNK_UNITS ? limit : CHUNK_UNITS;
    for (uint64_t rep = 0; good && rep < repeat && run_halted(run) == HALT_NONE;) {
        if (!claim(p))
            break;
        struct chunk *chunk = cut_piece(p, base, job, &rep, repeat, piece);
        if (chunk == NULL) {
            run_halt(run, HALT_MEMORY);
            good = false;
        } else if (chunk->count == 0) {
            chunk_release(chunk);
        } else {
            good = submit(p, chunk, chunk->jobs[0]->first);
        }
    }
    chunk_release(base);
    return good;
}

/* ---- lines ------------------------------------------------------------------------------ */

static void tell(struct pipeline *p, const struct line *line, const struct problem *problem)
{
    if (!ranks_first(p->run->ranks))
        return; /* each rank finds it */
    progress_hide(p->progress);
    diag_print(stderr, input_name(p->run->input), line->number, line->text, line->len, problem);
    progress_release(p->progress);
}

/* False: nothing more is to be read; *end says why. */
static bool bad_line(struct pipeline *p, const struct line *line, struct job *job,
                     const struct problem *problem, enum pipeline_end *end)
{
    if (!p->run->options->keep_going) {
        tell(p, line, problem);
        *end = PIPELINE_BAD;
        return false;
    }
    const char *text = line->text == NULL ? "" : line->text;
    job = reader_bad_job(job, text, line->len, line->number, p->chunk, problem);
    *end = PIPELINE_HALTED;
    return add(p, job);
}

static bool one_line(struct pipeline *p, const struct line *line, enum pipeline_end *end)
{
    struct job *job;
    struct problem problem;
    uint64_t repeat;
    *end = PIPELINE_HALTED;
    if (!claim(p) || !make_room(p, line->len))
        return false;
    switch (reader_line(p->reader, line->text, line->len, line->number, p->chunk, &job, &repeat,
                        &problem)) {
    case LINE_BLANK:
    case LINE_DEFINITION:
        return true;
    case LINE_JOB:
        return repeat == 1 ? add(p, job) : add_repeated(p, job, repeat);
    case LINE_BAD:
        break;
    }
    if (run_halted(p->run) != HALT_NONE) /* maybe that is what is wrong with it */
        return false;
    return bad_line(p, line, job, &problem, end);
}

static bool long_line(struct pipeline *p, const struct line *line, enum pipeline_end *end)
{
    struct problem problem;
    const struct line shown = {NULL, 0, line->number};
    problem_at(&problem, 0, "this line is longer than %u bytes; give large inputs as \"@file\"",
               INPUT_LINE_MAX);
    *end = PIPELINE_HALTED;
    return claim(p) && make_room(p, 0) && bad_line(p, &shown, NULL, &problem, end);
}

static enum pipeline_end input_failed(struct pipeline *p, const struct javm_error *err)
{
    progress_hide(p->progress);
    complain("%s", err->text);
    progress_release(p->progress);
    return err->status == JAVM_E_FORMAT ? PIPELINE_BAD : PIPELINE_BROKEN;
}

static enum pipeline_end read_lines(struct pipeline *p)
{
    struct line line;
    struct javm_error err;
    enum pipeline_end end;
    while (run_halted(p->run) == HALT_NONE) {
        switch (input_next(p->run->input, &line, &err)) {
        case INPUT_LINE:
            if (!one_line(p, &line, &end))
                return end;
            break;
        case INPUT_TOO_LONG:
            if (!long_line(p, &line, &end))
                return end;
            break;
        case INPUT_WAIT: /* whoever types the jobs wants to see results before typing more */
            if (!flush(p))
                return PIPELINE_HALTED;
            input_wait(p->run->input, p->run->stop_fd);
            break;
        case INPUT_END:
            return PIPELINE_READ_ALL;
        case INPUT_FAILED:
            return input_failed(p, &err);
        }
    }
    return PIPELINE_HALTED;
}

enum pipeline_end pipeline_feed(struct run *run, struct reader *reader, struct progress *progress)
{
    struct pipeline p = {.run = run, .reader = reader, .progress = progress};
    choice_begin(&p.choice, run);
    const enum pipeline_end end = read_lines(&p);
    choice_end(&p.choice);
    fill_holes(&p);
    flush(&p); /* jobs before a bad line run; after a halt the workers skip them */
    if (end == PIPELINE_READ_ALL)
        atomic_store_explicit(&run->input_ended, true, memory_order_relaxed);
    return end;
}
