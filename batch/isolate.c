#include "batch/isolate.h"

#include <stdlib.h>
#include <string.h>

#include "batch/definitions.h"
#include "batch/inmate.h"
#include "batch/run.h"
#include "javm/load.h"
#include "vm/nub/cell.h"

#define GROUP_MAX    64
#define GROUP_NS     200000 /* a group that takes about so long costs little to hand over */
#define IN_BYTES     (UINT64_C(256) << 20)
#define OUT_BYTES    (UINT64_C(64) << 20)
#define MEMORY_BYTES (UINT64_C(8) << 30)
#define GRACE_NS     2000000000 /* behind --timeout, which the process minds itself */

struct isolation {
    struct inmate_options options;
    struct nub_program program;
    struct nub_nursery *nursery;
    uint64_t watchdog_ns;
};

struct entry {
    const struct job *job;
    struct ground ground;
    struct result result;
};

struct isolate {
    struct isolation *isolation;
    struct javm_dir_thread *dir;
    struct nub_cell cell;
    /* Instances whose caps the process has: open addressing, a power of two of places. */
    struct javm_hash *known;
    size_t known_count, known_room;
    /* The group: units from `first` on. Those below `done` have their results. */
    uint64_t first;
    unsigned count, done, size;
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
    made->options = (struct inmate_options){engine, options->gas_model,
                                            options->in_machine ? "/dev/kvm" : NULL};
    made->program = (struct nub_program){inmate_start, &made->options};
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
                                             .memory_bytes = MEMORY_BYTES,
                                             .watchdog_ns = isolation->watchdog_ns};
    enum javm_status status = nub_cell_open(&options, &made->cell, err);
    if (status == JAVM_OK)
        status = nub_cell_start(&made->cell, err);
    if (status == JAVM_OK) {
        *isolate = made;
    } else {
        nub_cell_close(&made->cell);
        free(made);
    }
    return status;
}

/* Results that nobody took. */
static void drop_group(struct isolate *isolate)
{
    for (unsigned i = 0; i < isolate->done; i++)
        result_clear(&isolate->entries[i].result);
    isolate->count = isolate->done = 0;
}

void isolate_close(struct isolate *isolate, struct inmate_figures *figures)
{
    struct inmate_figures got;
    if (isolate == NULL)
        return;
    drop_group(isolate);
    if (nub_cell_lives(&isolate->cell) &&
        nub_cell_call(&isolate->cell, INMATE_FIGURES, NULL, 0, NULL) == JAVM_OK &&
        isolate->cell.answer_len == sizeof got) {
        memcpy(&got, isolate->cell.answer, sizeof got);
        figures->vm = got.vm;
        figures->native = got.native;
    }
    nub_cell_close(&isolate->cell);
    free(isolate->known);
    free(isolate);
}

/* ---- caps ------------------------------------------------------------------------------- */

/* Everything below `root` that is published, as a bundle. */
static enum javm_status collect(struct isolate *isolate, const struct javm_hash *root,
                                uint8_t **bytes, size_t *len, struct javm_error *err)
{
    static const char *const NAMES[] = {"root"};
    struct javm_bundle bundle;
    enum javm_status status = javm_bundle_collect(isolate->dir, root, NAMES, 1, &bundle, err);
    if (status != JAVM_OK)
        return status;
    status = javm_bundle_encode(&bundle, bytes, len, err);
    javm_bundle_clear(&bundle);
    return status;
}

/* What a job left to its chain, into the annex that is open. It has to be what the job names: the
 * process cannot give a cap another one's hash. */
static enum javm_status adopt(struct isolate *isolate, const uint8_t *caps, size_t len,
                              const struct javm_hash *left, struct javm_error *err)
{
    struct javm_bundle bundle;
    struct javm_hash *roots;
    enum javm_status status = javm_bundle_decode(caps, len, &bundle, err);
    if (status != JAVM_OK)
        return status;
    status = javm_bundle_publish(&bundle, isolate->dir, &roots, err);
    if (status == JAVM_OK) {
        if (bundle.root_count != 1 || !javm_hash_equal(&roots[0], left))
            status = javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE, "another cap than it names");
        free(roots);
    }
    javm_bundle_clear(&bundle);
    return status;
}

static struct javm_hash *place(const struct isolate *isolate, const struct javm_hash *hash)
{
    size_t at;
    memcpy(&at, hash->bytes, sizeof at);
    for (;; at++) {
        struct javm_hash *found = &isolate->known[at & (isolate->known_room - 1)];
        if (javm_hash_is_zero(found) || javm_hash_equal(found, hash))
            return found;
    }
}

static bool make_room(struct isolate *isolate)
{
    const struct isolate old = {.known = isolate->known, .known_room = isolate->known_room};
    if (isolate->known_count < old.known_room / 2)
        return true;
    const size_t room = old.known_room == 0 ? 64 : 2 * old.known_room;
    struct javm_hash *more = calloc(room, sizeof *more);
    if (more == NULL)
        return false;
    isolate->known = more;
    isolate->known_room = room;
    for (size_t i = 0; i < old.known_room; i++)
        if (!javm_hash_is_zero(&old.known[i]))
            *place(isolate, &old.known[i]) = old.known[i];
    free(old.known);
    return true;
}

/* The process has the instance's caps, or gets them. */
static enum javm_status provide(struct isolate *isolate, const struct javm_hash *instance,
                                struct javm_error *err)
{
    uint8_t *bytes;
    size_t len;
    if (!make_room(isolate))
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    struct javm_hash *known = place(isolate, instance);
    if (!javm_hash_is_zero(known))
        return JAVM_OK;
    enum javm_status status = collect(isolate, instance, &bytes, &len, err);
    if (status != JAVM_OK)
        return status;
    status = nub_cell_call(&isolate->cell, INMATE_PUBLISH, bytes, len, err);
    free(bytes);
    if (status != JAVM_OK)
        return status;
    *known = *instance;
    isolate->known_count++;
    return JAVM_OK;
}

/* A process in the place of one that died; it knows nothing yet. */
static enum javm_status revive(struct isolate *isolate, struct javm_error *err)
{
    if (nub_cell_lives(&isolate->cell))
        return JAVM_OK;
    if (isolate->known_room > 0)
        memset(isolate->known, 0, isolate->known_room * sizeof *isolate->known);
    isolate->known_count = 0;
    return nub_cell_start(&isolate->cell, err);
}

/* ---- groups ----------------------------------------------------------------------------- */

static void crash(struct entry *entry)
{
    result_clear(&entry->result);
    entry->result = (struct result){.outcome = OUTCOME_CRASHED, .fields = 1u << FIELD_EXIT};
    strcpy(entry->result.error, "the process that ran it died");
    entry->ground.moved = false;
}

/* Ends entry number `done` without the process. */
static void fail(struct isolate *isolate, const struct javm_error *err)
{
    set_error(&isolate->entries[isolate->done++].result, "%s", err->text);
}

/* Writes jobs from `done` on; returns how many. The chain's caps are those of a group of one. */
static unsigned write_jobs(struct isolate *isolate, uint64_t timeout_ms, const uint8_t *caps,
                           size_t caps_len, size_t *len)
{
    uint8_t *in = isolate->cell.region.in;
    uint64_t written = 0;
    *len = sizeof written;
    for (unsigned i = isolate->done; i < isolate->count; i++) {
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

/* Takes what the answer has. False: it is not what it should be. */
static bool read_results(struct isolate *isolate, unsigned sent)
{
    const uint8_t *at = isolate->cell.answer, *end = at + isolate->cell.answer_len;
    struct javm_error err;
    if (isolate->cell.progress > sent)
        return false;
    for (uint64_t i = 0; i < isolate->cell.progress; i++) {
        struct entry *entry = &isolate->entries[isolate->done];
        const uint8_t *caps;
        size_t caps_len;
        if (!parcel_result_get(&at, end, entry->job, &entry->ground, &entry->result, &caps,
                               &caps_len))
            return false;
        isolate->done++;
        if (entry->ground.moved &&
            adopt(isolate, caps, caps_len, &entry->ground.instance, &err) != JAVM_OK) {
            result_clear(&entry->result);
            isolate->done--;
            return false;
        }
    }
    return true;
}

static enum javm_status prepare(struct isolate *isolate, uint8_t **caps, size_t *caps_len,
                                struct javm_error *err)
{
    const struct entry *entry = &isolate->entries[isolate->done];
    enum javm_status status = revive(isolate, err);
    if (status == JAVM_OK && entry->ground.keep)
        return collect(isolate, &entry->ground.instance, caps, caps_len, err);
    for (unsigned i = isolate->done; i < isolate->count && status == JAVM_OK; i++)
        if (i == isolate->done ||
            isolate->entries[i].job->target != isolate->entries[i - 1].job->target)
            status = provide(isolate, &isolate->entries[i].ground.instance, err);
    return status;
}

/* One hand-over: at least one more entry is done. */
static void hand_over(struct isolate *isolate, uint64_t timeout_ms)
{
    struct javm_error err;
    uint8_t *caps = NULL;
    size_t caps_len = 0, len;
    struct entry *running = &isolate->entries[isolate->done];
    const unsigned before = isolate->done;
    enum javm_status status = prepare(isolate, &caps, &caps_len, &err);
    if (status != JAVM_OK) {
        free(caps);
        if (status == JAVM_E_CRASHED) {
            crash(running);
            isolate->done++;
        } else {
            fail(isolate, &err);
        }
        return;
    }
    const unsigned sent = write_jobs(isolate, timeout_ms, caps, caps_len, &len);
    free(caps);
    if (sent == 0) {
        javm_fail(&err, JAVM_E_LIMIT, JAVM_NOWHERE,
                  "the input is too large for --isolation process");
        fail(isolate, &err);
        return;
    }
    nub_cell_post(&isolate->cell, INMATE_RUN, len, sent);
    status = nub_cell_wait(&isolate->cell, &err);
    if (!read_results(isolate, sent) || (status == JAVM_OK && isolate->done == before))
        nub_cell_kill(&isolate->cell); /* it says what cannot be */
    else if (status == JAVM_OK)
        return;
    if (isolate->done < before + sent) { /* it ran this one when it died */
        running = &isolate->entries[isolate->done];
        crash(running);
        isolate->done++;
    }
}

static void run_group(struct isolate *isolate, uint64_t timeout_ms)
{
    const int64_t begun = clock_ns();
    const unsigned count = isolate->count;
    while (isolate->done < count)
        hand_over(isolate, timeout_ms);
    const int64_t took = clock_ns() - begun;
    if (took > 2 * GROUP_NS && isolate->size > 1)
        isolate->size /= 2;
    else if (took < GROUP_NS / 2 && count == isolate->size && isolate->size < GROUP_MAX)
        isolate->size *= 2;
}

static void add(struct isolate *isolate, const struct job *job, const struct ground *ground)
{
    struct entry *entry = &isolate->entries[isolate->count++];
    entry->job = job;
    entry->ground = *ground;
    entry->result = (struct result){.slot0 = NULL};
}

uint64_t isolate_plan(struct isolate *isolate, const struct chunk *chunk, uint32_t index,
                      uint64_t seq, uint64_t high)
{
    drop_group(isolate);
    isolate->first = seq;
    for (; seq < high && isolate->count < isolate->size; seq++) {
        const struct job *job = chunk->jobs[index];
        if (job->chain != NULL || job->target == NULL)
            break;
        const struct ground ground = {.instance = job->target->instance,
                                      .paused = job->target->paused};
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
    if (seq < isolate->first || seq - isolate->first >= isolate->count ||
        isolate->entries[seq - isolate->first].job != job) {
        drop_group(isolate);
        isolate->first = seq;
        add(isolate, job, ground);
    }
    if (isolate->done == 0)
        run_group(isolate, timeout_ms);
    struct entry *entry = &isolate->entries[seq - isolate->first];
    *result = entry->result;
    *ground = entry->ground;
    entry->result.slot0 = NULL;
}
