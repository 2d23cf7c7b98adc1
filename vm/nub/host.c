/* The handle: cells of one backend, what was published to them, and which of their lanes are whose.
 */
#include "javm/nub_host.h"

#include <stdlib.h>
#include <string.h>

#include "vm/nub/cell.h"
#include "vm/nub/executor.h"

#define LANES_DEFAULT  16
#define LANES_MAX      1024
#define WORKERS_MAX    4096
#define MEMORY_DEFAULT (UINT64_C(8) << 30)
#define HEAP_DEFAULT   (UINT64_C(64) << 20)
#define ANSWER_BYTES   65536 /* the longest is a result */
#define SPINS          500   /* some microseconds: a round trip takes less */
#define SHARED_WAIT_NS 100000

struct lane {
    bool taken;
    bool orphan; /* its executor was replaced: `done` is what there is to poll */
    uint64_t job_id;
    struct javm_nub_done done;
};

struct javm_nub {
    struct javm_nub_options options;
    struct nub_executor_options executor;
    struct nub_program program;
    struct nub_nursery *nursery;
    struct nub_cell *cells;
    struct lane *lanes; /* options.lanes for each cell */
    unsigned next;      /* where to look first, so that all get work */
    uint64_t in_flight, replaced;
    struct javm_cap **caps; /* published, in order; one reference each */
    size_t cap_count, cap_room;
};

/* ---- life ------------------------------------------------------------------------------- */

static enum javm_status check_options(enum javm_nub_backend backend,
                                      const struct javm_nub_options *options,
                                      struct javm_error *err)
{
    if ((unsigned)backend > JAVM_NUB_KVM)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE, "nub: no such backend: %u",
                         (unsigned)backend);
    if (options->workers > WORKERS_MAX || options->lanes > LANES_MAX ||
        options->heap_bytes > JAVM_NUB_WIRE_MAX)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "nub: at most %u workers, %u lanes and a heap of %llu bytes", WORKERS_MAX,
                         LANES_MAX, (unsigned long long)JAVM_NUB_WIRE_MAX);
    if (!javm_engine_available(options->engine))
        return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE, "nub: no such engine here");
    return JAVM_OK;
}

static void set_defaults(struct javm_nub_options *options)
{
    if (options->workers == 0)
        options->workers = 1;
    if (options->lanes == 0)
        options->lanes = LANES_DEFAULT;
    if (options->memory_bytes == 0)
        options->memory_bytes = MEMORY_DEFAULT;
    if (options->heap_bytes == 0)
        options->heap_bytes = HEAP_DEFAULT;
}

/* Does the executor say what it should? Not believed otherwise. */
static enum javm_status check_boot(struct nub_cell *cell, struct javm_error *err)
{
    const struct javm_nub_boot_info boot = cell->region.head->boot;
    if (boot.magic != JAVM_NUB_MAGIC)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE, "nub: magic 0x%llx, expected 0x%llx",
                         (unsigned long long)boot.magic, (unsigned long long)JAVM_NUB_MAGIC);
    if (boot.directory_type_id != JAVM_NUB_DIRECTORY_TYPE_ID)
        return javm_fail(err, JAVM_E_STATE, JAVM_NOWHERE,
                         "nub: directory_type_id 0x%llx, expected 0x%llx",
                         (unsigned long long)boot.directory_type_id,
                         (unsigned long long)JAVM_NUB_DIRECTORY_TYPE_ID);
    return JAVM_OK;
}

static enum javm_status put_into(struct nub_cell *cell, const struct javm_cap *cap,
                                 struct javm_hash *hash, struct javm_error *err)
{
    uint8_t *bytes;
    size_t len;
    struct javm_hash wanted;
    enum javm_status status = javm_nub_encode_cap(cap, &bytes, &len, err);
    if (status != JAVM_OK)
        return status;
    status = nub_cell_call(cell, JAVM_NUB_PUT_CAP, bytes, len, err);
    free(bytes);
    if (status != JAVM_OK)
        return status;
    status = javm_cap_hash(cap, &wanted);
    if (status != JAVM_OK)
        return javm_fail(err, status, JAVM_NOWHERE, "nub: cannot hash the cap");
    if (cell->answer_len != sizeof wanted || memcmp(cell->answer, &wanted, sizeof wanted) != 0) {
        nub_cell_kill(cell);
        return javm_fail(err, JAVM_E_CRASHED, JAVM_NOWHERE, "nub: it answers another hash");
    }
    if (hash != NULL)
        *hash = wanted;
    return JAVM_OK;
}

/* A new executor that has all that was published. */
static enum javm_status start(struct javm_nub *nub, struct nub_cell *cell, struct javm_error *err)
{
    enum javm_status status = nub_cell_start(cell, err);
    if (status == JAVM_OK)
        status = check_boot(cell, err);
    for (size_t i = 0; i < nub->cap_count && status == JAVM_OK; i++)
        status = put_into(cell, nub->caps[i], NULL, err);
    if (status != JAVM_OK)
        nub_cell_kill(cell);
    return status;
}

/* What the lane's job came to, if it has ended or will never. */
static bool take_lane(struct nub_cell *cell, unsigned number, struct lane *lane)
{
    if (!lane->taken || lane->orphan)
        return lane->taken;
    lane->done = (struct javm_nub_done){.job_id = lane->job_id};
    const enum javm_status status = nub_cell_take(cell, number, lane->job_id, &lane->done.result);
    if (status == JAVM_E_MISSING && cell->lives)
        return false;
    lane->done.crashed = status != JAVM_OK;
    return true;
}

/* In the place of what died. */
static enum javm_status replace(struct javm_nub *nub, struct nub_cell *cell, struct javm_error *err)
{
    struct lane *lanes = nub->lanes + (size_t)(cell - nub->cells) * nub->options.lanes;
    nub->replaced++;
    for (unsigned i = 0; i < nub->options.lanes; i++)
        lanes[i].orphan = take_lane(cell, i, &lanes[i]);
    return start(nub, cell, err);
}

enum javm_status javm_nub_open(enum javm_nub_backend backend,
                               const struct javm_nub_options *options, struct javm_nub **nub,
                               struct javm_error *err)
{
    const struct javm_nub_options defaults = {
        .engine = javm_engine_available(JAVM_ENGINE_JIT) ? JAVM_ENGINE_JIT : JAVM_ENGINE_INTERP};
    if (options == NULL)
        options = &defaults;
    enum javm_status status = check_options(backend, options, err);
    if (status != JAVM_OK)
        return status;
    struct javm_nub *made = calloc(1, sizeof *made);
    if (made == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "nub: out of memory");
    made->options = *options;
    set_defaults(&made->options);
    made->executor =
        (struct nub_executor_options){made->options, backend == JAVM_NUB_KVM ? "/dev/kvm" : NULL};
    made->program = (struct nub_program){nub_executor_start, &made->executor};
    made->cells = calloc(made->options.workers, sizeof *made->cells);
    made->lanes = calloc((size_t)made->options.workers * made->options.lanes, sizeof *made->lanes);
    if (made->cells == NULL || made->lanes == NULL)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "nub: out of memory");
    else if (backend != JAVM_NUB_THREAD)
        status = nub_nursery_open(&made->program, &made->nursery, err);
    const struct nub_cell_options cell_options = {.program = &made->program,
                                                  .nursery = made->nursery,
                                                  .lanes = made->options.lanes,
                                                  .in_bytes = made->options.heap_bytes,
                                                  .out_bytes = ANSWER_BYTES,
                                                  .memory_bytes = made->options.memory_bytes,
                                                  .watchdog_ns = made->options.watchdog_ns,
                                                  .spins = SPINS};
    for (unsigned i = 0; i < made->options.workers && status == JAVM_OK; i++) {
        status = nub_cell_open(&cell_options, &made->cells[i], err);
        if (status == JAVM_OK)
            status = start(made, &made->cells[i], err);
    }
    if (status == JAVM_OK)
        *nub = made;
    else
        javm_nub_close(made);
    return status;
}

void javm_nub_close(struct javm_nub *nub)
{
    if (nub == NULL)
        return;
    for (unsigned i = 0; nub->cells != NULL && i < nub->options.workers; i++)
        nub_cell_close(&nub->cells[i]);
    nub_nursery_close(nub->nursery);
    for (size_t i = 0; i < nub->cap_count; i++)
        javm_cap_release(nub->caps[i]);
    free(nub->caps);
    free(nub->cells);
    free(nub->lanes);
    free(nub);
}

uint64_t javm_nub_replaced(const struct javm_nub *nub)
{
    return nub->replaced;
}

/* ---- calls ------------------------------------------------------------------------------ */

/* The cell, alive. */
static enum javm_status ready(struct javm_nub *nub, struct nub_cell *cell, struct javm_error *err)
{
    return nub_cell_lives(cell) ? JAVM_OK : replace(nub, cell, err);
}

static enum javm_status call(struct javm_nub *nub, struct nub_cell *cell, uint32_t fn,
                             const void *payload, size_t len, struct javm_error *err)
{
    struct javm_error failed;
    enum javm_status status = ready(nub, cell, err);
    if (status != JAVM_OK)
        return status;
    status = nub_cell_call(cell, fn, payload, len, err);
    if (status == JAVM_E_CRASHED && replace(nub, cell, &failed) != JAVM_OK)
        return javm_fail(err, failed.status, failed.where, "%s", failed.text);
    return status;
}

/* An answer of another size than it can have: the executor is not what it was. */
static enum javm_status misled(struct javm_nub *nub, struct nub_cell *cell, struct javm_error *err)
{
    struct javm_error failed;
    nub_cell_kill(cell);
    (void)replace(nub, cell, &failed); /* tried again when it is needed */
    return javm_fail(err, JAVM_E_CRASHED, JAVM_NOWHERE, "nub: an answer that cannot be");
}

enum javm_status javm_nub_call(struct javm_nub *nub, uint32_t fn, const void *payload, size_t len,
                               uint8_t **response, size_t *response_len, struct javm_error *err)
{
    struct nub_cell *cell = &nub->cells[0];
    const enum javm_status status = call(nub, cell, fn, payload, len, err);
    if (status != JAVM_OK)
        return status;
    *response = malloc(cell->answer_len + 1);
    if (*response == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "nub: out of memory");
    if (cell->answer_len > 0)
        memcpy(*response, cell->answer, cell->answer_len);
    *response_len = cell->answer_len;
    return JAVM_OK;
}

enum javm_status javm_nub_put_cap(struct javm_nub *nub, struct javm_cap *cap,
                                  struct javm_hash *hash, struct javm_error *err)
{
    if (nub->cap_count == nub->cap_room) {
        const size_t room = 2 * nub->cap_room + 16;
        struct javm_cap **more = realloc(nub->caps, room * sizeof(struct javm_cap *));
        if (more == NULL)
            return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "nub: out of memory");
        nub->caps = more;
        nub->cap_room = room;
    }
    for (unsigned i = 0; i < nub->options.workers; i++) {
        enum javm_status status = ready(nub, &nub->cells[i], err);
        if (status == JAVM_OK)
            status = put_into(&nub->cells[i], cap, hash, err);
        if (status != JAVM_OK) /* where it is already, it harms nobody */
            return status;
    }
    nub->caps[nub->cap_count++] = javm_cap_retain(cap);
    return JAVM_OK;
}

enum javm_status javm_nub_invoke_cached(struct javm_nub *nub, const struct javm_nub_invoke *packet,
                                        struct javm_nub_result *result, struct javm_error *err)
{
    struct nub_cell *cell = &nub->cells[0];
    const enum javm_status status =
        call(nub, cell, JAVM_NUB_INVOKE_CACHED, packet, sizeof *packet, err);
    if (status != JAVM_OK)
        return status;
    return javm_nub_decode_result(cell->answer, cell->answer_len, result, err) == JAVM_OK
               ? JAVM_OK
               : misled(nub, cell, err);
}

enum javm_status javm_nub_heap_stats(struct javm_nub *nub, struct javm_nub_heap_stats *stats,
                                     struct javm_error *err)
{
    *stats = (struct javm_nub_heap_stats){0};
    for (unsigned i = 0; i < nub->options.workers; i++) {
        struct nub_cell *cell = &nub->cells[i];
        struct javm_nub_heap_stats one;
        const enum javm_status status = call(nub, cell, JAVM_NUB_HEAP_STATS, NULL, 0, err);
        if (status != JAVM_OK)
            return status;
        if (cell->answer_len != sizeof one)
            return misled(nub, cell, err);
        memcpy(&one, cell->answer, sizeof one);
        stats->allocated_bytes += one.allocated_bytes;
        stats->allocations += one.allocations;
        stats->fragments += one.fragments;
        stats->available_bytes += one.available_bytes;
    }
    return JAVM_OK;
}

enum javm_status javm_nub_evict_jit(struct javm_nub *nub, struct javm_error *err)
{
    enum javm_status status = JAVM_OK;
    for (unsigned i = 0; i < nub->options.workers && status == JAVM_OK; i++)
        status = call(nub, &nub->cells[i], JAVM_NUB_EVICT_JIT_ALL, NULL, 0, err);
    return status;
}

/* ---- jobs ------------------------------------------------------------------------------- */

enum javm_status javm_nub_submit(struct javm_nub *nub, uint64_t job_id,
                                 const struct javm_nub_invoke *packet, struct javm_error *err)
{
    const unsigned count = nub->options.workers * nub->options.lanes;
    for (unsigned i = 0; i < count; i++) {
        const unsigned at = nub->next++ % count; /* one worker after the other */
        const unsigned worker = at % nub->options.workers, number = at / nub->options.workers;
        struct lane *lane = &nub->lanes[(size_t)worker * nub->options.lanes + number];
        if (lane->taken)
            continue;
        const enum javm_status status = ready(nub, &nub->cells[worker], err);
        if (status != JAVM_OK)
            return status;
        *lane = (struct lane){.taken = true, .job_id = job_id};
        nub->in_flight++;
        nub_cell_submit(&nub->cells[worker], number, job_id, packet);
        return JAVM_OK;
    }
    return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE, "nub: all %u lanes are taken", count);
}

/* Some job of the worker that has ended; *busy: others have not. */
static bool take_any(struct javm_nub *nub, unsigned worker, struct javm_nub_done *done, bool *busy)
{
    struct lane *lanes = nub->lanes + (size_t)worker * nub->options.lanes;
    *busy = false;
    for (unsigned i = 0; i < nub->options.lanes; i++) {
        if (take_lane(&nub->cells[worker], i, &lanes[i])) {
            *done = lanes[i].done;
            lanes[i] = (struct lane){0};
            nub->in_flight--;
            return true;
        }
        *busy = *busy || lanes[i].taken;
    }
    return false;
}

enum javm_status javm_nub_poll(struct javm_nub *nub, bool wait, struct javm_nub_done *done,
                               struct javm_error *err)
{
    while (nub->in_flight > 0) {
        unsigned working = 0, one = 0;
        for (unsigned i = 0; i < nub->options.workers; i++) {
            bool busy;
            if (take_any(nub, i, done, &busy))
                return JAVM_OK;
            working += busy;
            one = busy ? i : one;
            if (!wait) /* who asks again hears of its death */
                (void)nub_cell_lives(&nub->cells[i]);
        }
        if (!wait)
            break;
        /* One bell can be slept on: with several at work, only briefly. */
        (void)nub_cell_pause(&nub->cells[one], working > 1 ? SHARED_WAIT_NS : INT64_MAX);
    }
    return javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE, "nub: no job has ended");
}
