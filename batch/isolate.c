#include "batch/isolate.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/definitions.h"
#include "batch/inmate.h"
#include "batch/parcel_v2.h"
#include "batch/run.h"
#include "batch/supply.h"
#include "batch/v2_show.h"
#include "vm/nub/cell.h"

#define GROUP_MAX 64
#define GROUP_NS  200000 /* a group that takes about so long costs little to hand over */
#define IN_BYTES  (UINT64_C(256) << 20)
#define OUT_BYTES (UINT64_C(64) << 20)
#define GRACE_NS  2000000000 /* behind --timeout, which the process minds itself */

struct isolation {
    struct inmate_options options;
    struct nub_program program;
    struct nub_nursery *nursery;
    uint64_t memory_bytes, watchdog_ns;
};

struct entry {
    const struct job *job;
    struct ground ground;
};

struct isolate {
    struct isolation *isolation;
    struct javm_dir_thread *dir;
    struct nub_cell cell;
    struct supply supply;  /* what the process has for jobs to run on */
    struct v2_texts texts; /* of the last result */
    /* The group: units from `first` on. Those below `next` have got their results. */
    uint64_t first;
    unsigned count, next, size;
    /* The last answer: results of the entries from `next` on that nobody has read yet. */
    unsigned ready;
    const uint8_t *at;
    bool died; /* of the entry behind those */
    int64_t begun,
        ended;  /* of the hand-over, by its host's clock; begun moves on with each entry */
    bool alone; /* the next entry is run by a fresh process, with nothing before it */
    struct entry entries[GROUP_MAX];
};

/* ---- life ------------------------------------------------------------------------------- */

enum javm_status isolation_open(const struct options *options, enum javm_engine engine,
                                struct isolation **isolation, struct javm_error *err)
{
    *isolation = NULL;
    if (!options->isolated)
        return JAVM_OK;
    struct isolation *made = calloc(1, sizeof *made);
    if (made == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    made->options = (struct inmate_options){engine, options->gas_model, &options->stubs,
                                            options->in_machine ? "/dev/kvm" : NULL};
    made->program = (struct nub_program){inmate_start, &made->options};
    made->memory_bytes = options->memory_bytes;
    if (options->timeout_ms > 0)
        made->watchdog_ns = options->timeout_ms * 1000000 + GRACE_NS;
    const enum javm_status status = nub_nursery_open(&made->program, &made->nursery, err);
    if (status == JAVM_OK)
        *isolation = made;
    else
        free(made);
    return status;
}

void isolation_close(struct isolation *isolation)
{
    if (isolation == NULL)
        return;
    nub_nursery_close(isolation->nursery);
    free(isolation);
}

enum javm_status isolate_open(struct isolation *isolation, struct javm_dir_thread *dir,
                              struct isolate **isolate, struct javm_error *err)
{
    struct isolate *made = calloc(1, sizeof *made);
    if (made == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    made->isolation = isolation;
    made->dir = dir;
    made->size = 1;
    const struct nub_cell_options options = {.nursery = isolation->nursery,
                                             .in_bytes = IN_BYTES,
                                             .out_bytes = OUT_BYTES,
                                             .memory_bytes = isolation->memory_bytes,
                                             .watchdog_ns = isolation->watchdog_ns};
    enum javm_status status = nub_cell_open(&options, &made->cell, err);
    if (status == JAVM_OK)
        status = nub_cell_start(&made->cell, err);
    if (status == JAVM_OK ||
        status == JAVM_E_CRASHED) { /* one that was killed is replaced, as ever */
        *isolate = made;
        status = JAVM_OK;
    } else {
        nub_cell_close(&made->cell);
        free(made);
    }
    return status;
}

void isolate_close(struct isolate *isolate, struct inmate_figures *figures)
{
    struct inmate_figures got;
    if (isolate == NULL)
        return;
    if (nub_cell_lives(&isolate->cell) &&
        nub_cell_call(&isolate->cell, INMATE_FIGURES, NULL, 0, NULL) == JAVM_OK &&
        isolate->cell.answer_len == sizeof got) {
        memcpy(&got, isolate->cell.answer, sizeof got);
        figures->vm = got.vm;
        figures->native = got.native;
    }
    nub_cell_close(&isolate->cell);
    v2_texts_clear(&isolate->texts);
    supply_free(&isolate->supply);
    free(isolate);
}

/* ---- handing over ----------------------------------------------------------------------- */

/* A process in the place of one that died; it knows nothing yet. */
static enum javm_status revive(struct isolate *isolate, struct javm_error *err)
{
    if (nub_cell_lives(&isolate->cell))
        return JAVM_OK;
    supply_forget(&isolate->supply);
    return nub_cell_start(&isolate->cell, err);
}

/* A process that has what the entries from `next` to *end run on. What is wrong with a later one is
 * for it to tell: the group ends before it. The first may be a chain's, and then is alone. */
static enum javm_status prepare(struct isolate *isolate, unsigned *end, uint8_t **caps,
                                size_t *caps_len, struct javm_error *err)
{
    const struct entry *first = &isolate->entries[isolate->next];
    for (;;) {
        unsigned i = isolate->next;
        enum javm_status status = revive(isolate, err);
        if (status == JAVM_OK && first->ground.keep)
            return supply_collect(isolate->dir, &first->ground.instance, caps, caps_len, err);
        for (; status == JAVM_OK && i < *end; i += status == JAVM_OK) {
            const struct entry *entry = &isolate->entries[i];
            if (entry == first || entry->job->v2 != NULL ||
                entry->job->target != entry[-1].job->target)
                status = supply_provide(&isolate->supply, &isolate->cell, isolate->dir, entry->job,
                                        &entry->ground, err);
        }
        if (status == JAVM_OK || i == isolate->next)
            return status;
        *end = i;
    }
}

/* Writes jobs from `next` on; returns how many. The chain's caps are those of a group of one. */
static unsigned write_jobs(struct isolate *isolate, unsigned end, uint64_t timeout_ms,
                           const uint8_t *caps, size_t caps_len, size_t *len)
{
    uint8_t *in = isolate->cell.region.in;
    uint64_t written = 0;
    *len = sizeof written;
    for (unsigned i = isolate->next; i < end; i++) {
        const struct entry *entry = &isolate->entries[i];
        const uint64_t size = parcel_job_size(entry->job, caps_len);
        if (size > isolate->cell.region.in_bytes - *len)
            break;
        parcel_job_put(in + *len, entry->job, &entry->ground, timeout_ms, caps, caps_len);
        *len += (size_t)size;
        written++;
    }
    memcpy(in, &written, sizeof written);
    return (unsigned)written;
}

static void adapt(struct isolate *isolate, unsigned sent, int64_t took)
{
    if (took > 2 * GROUP_NS && isolate->size > 1)
        isolate->size /= 2;
    else if (took < GROUP_NS / 2 && sent == isolate->size && isolate->size < GROUP_MAX)
        isolate->size *= 2;
}

/* At least one more result is ready, or the process died of the next entry. */
static enum javm_status hand_over(struct isolate *isolate, uint64_t timeout_ms,
                                  struct javm_error *err)
{
    uint8_t *caps = NULL;
    size_t caps_len = 0, len;
    unsigned end = isolate->alone ? isolate->next + 1 : isolate->count;
    enum javm_status status = prepare(isolate, &end, &caps, &caps_len, err);
    isolate->begun = isolate->ended = clock_ns();
    if (status != JAVM_OK) {
        free(caps);
        isolate->died = status == JAVM_E_CRASHED;
        return isolate->died ? JAVM_OK : status;
    }
    const unsigned sent = write_jobs(isolate, end, timeout_ms, caps, caps_len, &len);
    free(caps);
    if (sent == 0)
        return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE,
                         "the input is too large for --isolation process");
    nub_cell_post(&isolate->cell, INMATE_RUN, len, sent);
    status = nub_cell_wait(&isolate->cell, err);
    isolate->ready = (unsigned)isolate->cell.progress; /* of `sent`, as the cell has checked */
    isolate->at = isolate->cell.answer;
    isolate->died = isolate->ready < (status == JAVM_OK ? 1 : sent);
    if (status != JAVM_OK || isolate->died)
        nub_cell_kill(&isolate->cell); /* if it lives, it says what cannot be */
    isolate->ended = clock_ns();
    adapt(isolate, sent, isolate->ended - isolate->begun);
    return JAVM_OK;
}

/* ---- results ---------------------------------------------------------------------------- */

static void set_crashed(struct result *result, const char *why)
{
    *result = (struct result){.outcome = OUTCOME_CRASHED, .fields = 1u << FIELD_EXIT};
    snprintf(result->error, sizeof result->error, "%s", why);
}

void isolate_without_ground(struct result *result)
{
    set_crashed(result, "a job before it in its chain crashed");
}

static void crash(const struct isolate *isolate, struct entry *entry, struct result *result)
{
    result_clear(result);
    set_crashed(result, "the process that ran it died");
    if (isolate->cell.outgrown)
        snprintf(result->error, sizeof result->error,
                 "the process that ran it used more than the %llu bytes of --mem-limit",
                 (unsigned long long)isolate->isolation->memory_bytes);
    entry->ground.moved = false;
}

/* The next result of the answer. False: it is not what it should be. */
static bool read_result(struct isolate *isolate, struct entry *entry, struct result *result)
{
    struct javm_bytes v2, caps;
    struct javm_error err;
    const uint8_t *end = isolate->cell.answer + isolate->cell.answer_len;
    isolate->ready--;
    if (!parcel_result_get(&isolate->at, end, entry->job, &entry->ground, result, &v2, &caps))
        return false;
    if (entry->ground.moved)
        return supply_adopt(isolate->dir, caps.data, caps.len, &entry->ground.instance, &err) ==
               JAVM_OK;
    return entry->job->v2 == NULL || result->outcome == OUTCOME_ERROR ||
           parcel_v2_show(&v2, entry->job, &isolate->texts, result);
}

/* What is left of the answer does not count, and its process goes. */
static void give_up(struct isolate *isolate)
{
    nub_cell_kill(&isolate->cell);
    isolate->ready = 0;
    isolate->died = false;
}

/* A job that had no memory in a process that others have used is run once more, by a fresh one:
 * what becomes of it must not depend on them. False: it is that one. */
static bool again(struct isolate *isolate)
{
    give_up(isolate);
    const bool first = !isolate->alone;
    isolate->alone = true;
    return first;
}

static void no_memory(const struct isolate *isolate, struct result *result)
{
    char text[sizeof result->error];
    memcpy(text, result->error, sizeof text);
    set_error(result, "%.*s; --mem-limit is %llu bytes", (int)sizeof text - 64, text,
              (unsigned long long)isolate->isolation->memory_bytes);
}

/* The result of the next entry. */
static void resolve(struct isolate *isolate, struct entry *entry, uint64_t timeout_ms,
                    struct result *result)
{
    struct javm_error err;
    *result = (struct result){.slot0 = NULL};
    for (;;) {
        if (isolate->ready > 0) {
            if (!read_result(isolate, entry, result)) {
                give_up(isolate);
                crash(isolate, entry, result);
                return;
            }
            if (!result->starved)
                return;
            if (!again(isolate)) {
                no_memory(isolate, result);
                return;
            }
        } else if (isolate->died) {
            isolate->died = false;
            if (!isolate->cell.outgrown || !again(isolate)) {
                crash(isolate, entry, result);
                return;
            }
        } else if (hand_over(isolate, timeout_ms, &err) != JAVM_OK) {
            if (err.status == JAVM_E_NOMEM && again(isolate))
                continue;
            set_failure(result, "", &err);
            if (result->starved)
                no_memory(isolate, result);
            return;
        }
    }
}

/* When the entry ran, in its hand-over; what the process says of its time is believed as far as
 * that fits. One that crashed had the rest. */
static void place_in_time(struct isolate *isolate, struct result *result)
{
    const uint64_t left = (uint64_t)(isolate->ended - isolate->begun);
    if (result->ns > left || result->outcome == OUTCOME_CRASHED)
        result->ns = left;
    result->begun_ns = isolate->begun;
    isolate->begun += (int64_t)result->ns;
}

/* ---- groups ----------------------------------------------------------------------------- */

static void begin_group(struct isolate *isolate, uint64_t first)
{
    isolate->first = first;
    isolate->count = isolate->next = isolate->ready = 0;
    isolate->died = false;
}

static void add(struct isolate *isolate, const struct job *job, const struct ground *ground)
{
    isolate->entries[isolate->count++] = (struct entry){job, *ground};
}

uint64_t isolate_plan(struct isolate *isolate, const struct chunk *chunk, uint32_t index,
                      uint64_t seq, uint64_t high)
{
    begin_group(isolate, seq);
    for (; seq < high && isolate->count < isolate->size; seq++) {
        const struct job *job = chunk->jobs[index];
        struct ground ground = {.keep = false};
        if (job->chain != NULL || job->error != NULL)
            break;
        if (job->target != NULL) {
            ground.instance = job->target->instance;
            ground.paused = job->target->paused;
        }
        add(isolate, job, &ground);
        index += seq + 1 == job->first + job->units;
    }
    return isolate->count == 0 ? seq + 1 : seq;
}

void isolate_run(struct isolate *isolate, const struct job *job, uint64_t seq,
                 struct ground *ground, uint64_t timeout_ms, struct result *result)
{
    if (job->error != NULL) { /* nothing runs */
        execute(NULL, NULL, job, ground, 0, 0, result);
        return;
    }
    if (isolate->next == isolate->count || seq != isolate->first + isolate->next ||
        isolate->entries[isolate->next].job != job) {
        begin_group(isolate, seq);
        add(isolate, job, ground);
    }
    struct entry *entry = &isolate->entries[isolate->next];
    resolve(isolate, entry, timeout_ms, result);
    place_in_time(isolate, result);
    if (job->v2 != NULL && result->storage_expected.text == NULL)
        result->storage_expected = job->v2->storage_text;
    *ground = entry->ground;
    isolate->alone = false;
    isolate->next++;
}
