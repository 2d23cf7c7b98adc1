#include "rpc/worker.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>

/* ---- caps ------------------------------------------------------------------------------- */

/* A cap that the handle has, found by what was sent: the executor's word for what it is the same as
 * is worth less. */
struct known {
    struct javm_hash digest; /* of the archive */
    struct javm_hash hash;   /* of the cap */
    struct archive *archive; /* one reference */
};

static int compare(const void *a, const void *b)
{
    return memcmp(((const struct known *)a)->digest.bytes, ((const struct known *)b)->digest.bytes,
                  JAVM_HASH_BYTES);
}

static void forget(void *node)
{
    struct known *known = node;
    archive_release(known->archive);
    free(known);
}

void worker_forget(struct worker *worker)
{
    tdestroy(worker->caps, forget);
    worker->caps = NULL;
}

static void answer_hash(struct answer *answer, const struct javm_hash *hash)
{
    answer->len = sizeof *hash;
    memcpy(answer->bytes, hash->bytes, sizeof *hash);
}

static enum javm_status put_new(struct worker *worker, struct archive *archive, struct known *known,
                                struct javm_error *err)
{
    if (archive->len > worker->hub->options.max_caps - worker->cap_bytes)
        return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE,
                         "%zu bytes beside %llu of published caps, expected at most %llu in all",
                         archive->len, (unsigned long long)worker->cap_bytes,
                         (unsigned long long)worker->hub->options.max_caps);
    if (tsearch(known, &worker->caps, compare) == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    const enum javm_status status =
        javm_nub_put_archived(worker->nub, archive->bytes, archive->len, &known->hash, err);
    if (status != JAVM_OK) {
        tdelete(known, &worker->caps, compare);
        return status;
    }
    __atomic_add_fetch(&archive->refs, 1, __ATOMIC_RELAXED);
    known->archive = archive;
    worker->cap_bytes += archive->len;
    return JAVM_OK;
}

static enum javm_status put_cap(struct worker *worker, struct archive *archive,
                                struct answer *answer, struct javm_error *err)
{
    const struct javm_bytes piece = {archive->bytes, archive->len};
    struct known *known = calloc(1, sizeof *known);
    if (known == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    known->digest = javm_hash_pieces(&piece, 1);
    struct known **there = tfind(known, &worker->caps, compare);
    if (there != NULL) {
        answer_hash(answer, &(*there)->hash);
        free(known);
        return JAVM_OK;
    }
    const enum javm_status status = put_new(worker, archive, known, err);
    if (status == JAVM_OK)
        answer_hash(answer, &known->hash);
    else
        free(known);
    return status;
}

/* ---- calls ------------------------------------------------------------------------------ */

static enum javm_status call(struct worker *worker, uint32_t fn, struct answer *answer,
                             struct javm_error *err)
{
    uint8_t *response;
    size_t len;
    const enum javm_status status = javm_nub_call(worker->nub, fn, NULL, 0, &response, &len, err);
    if (status != JAVM_OK)
        return status;
    answer->len = len < sizeof answer->bytes ? len : sizeof answer->bytes;
    memcpy(answer->bytes, response, answer->len);
    free(response);
    return JAVM_OK;
}

static void answer_call(struct worker *worker, struct request *request)
{
    struct answer answer = {.number = JAVM_NUB_E_NONE};
    struct javm_error err = {.where = JAVM_NOWHERE};
    struct javm_nub_heap_stats stats;
    enum javm_status status;
    switch (request->fn) {
    case JAVM_NUB_PUT_CAP:
        status = put_cap(worker, request->archive, &answer, &err);
        break;
    case JAVM_NUB_HEAP_STATS:
        status = javm_nub_heap_stats(worker->nub, &stats, &err);
        if (status == JAVM_OK) {
            answer.len = sizeof stats;
            memcpy(answer.bytes, &stats, sizeof stats);
        }
        break;
    default:
        status = call(worker, request->fn, &answer, &err);
        break;
    }
    if (status != JAVM_OK)
        answer_fail(&answer, JAVM_NUB_E_OF(status), &err);
    hub_answer(worker->hub, request, &answer);
}

/* ---- jobs ------------------------------------------------------------------------------- */

static void submit(struct worker *worker, struct request *request)
{
    struct javm_error err = {.where = JAVM_NOWHERE};
    uint64_t job = 0;
    while (worker->jobs[job] != NULL)
        job++;
    const enum javm_status status = javm_nub_submit(worker->nub, job, &request->packet, &err);
    if (status == JAVM_OK) {
        worker->jobs[job] = request;
        worker->running++;
        return;
    }
    struct answer answer = {.number = JAVM_NUB_E_NONE};
    answer_fail(&answer, JAVM_NUB_E_OF(status), &err);
    hub_answer(worker->hub, request, &answer);
}

static void answer_job(struct worker *worker, const struct javm_nub_done *done)
{
    struct answer answer = {.len = sizeof done->result};
    const struct javm_nub_result *result = &done->result;
    if (done->crashed)
        answer_fail(&answer, JAVM_NUB_E_CRASHED, NULL);
    else if (result->exit_reason == JAVM_NUB_EXIT_TRAP && result->exit_arg >= JAVM_NUB_E_OF(0))
        answer_fail(&answer, result->exit_arg, NULL); /* it did not begin: no result of a guest */
    else
        memcpy(answer.bytes, result, sizeof *result);
    hub_answer(worker->hub, worker->jobs[done->job_id], &answer);
    worker->jobs[done->job_id] = NULL;
    worker->running--;
}

/* ---- the thread ------------------------------------------------------------------------- */

/* New requests behind those that are to do. Waits while there is nothing else. False: stop. */
static bool look(struct worker *worker)
{
    struct hub *hub = worker->hub;
    pthread_mutex_lock(&hub->lock);
    while (!hub->stop && worker->queue == NULL && worker->todo == NULL && worker->running == 0)
        pthread_cond_wait(&worker->work, &hub->lock);
    const bool go_on = !hub->stop;
    if (worker->queue != NULL) {
        *worker->todo_end = worker->queue;
        worker->todo_end = worker->queue_end;
        worker->queue = NULL;
        worker->queue_end = &worker->queue;
    }
    pthread_mutex_unlock(&hub->lock);
    return go_on;
}

static void abandon(struct worker *worker, struct request *request)
{
    struct answer answer = {.number = JAVM_NUB_E_NONE};
    answer_fail(&answer, JAVM_NUB_E_STATE, NULL);
    hub_answer(worker->hub, request, &answer);
}

/* As far as there are lanes. A call waits until they are empty: the executor would take it in
 * between, but their results would wait for its end. */
static void begin(struct worker *worker)
{
    while (worker->todo != NULL) {
        struct request_link *link = worker->todo;
        struct request *request = link->request;
        const bool job = request->fn == JAVM_NUB_INVOKE_CACHED;
        if (job ? worker->running == worker->hub->options.nub.lanes : worker->running > 0)
            return;
        worker->todo = link->next;
        if (worker->todo == NULL)
            worker->todo_end = &worker->todo;
        /* A cap is for others, too, and for all workers or none. */
        if (request->fn != JAVM_NUB_PUT_CAP &&
            __atomic_load_n(request->gone, __ATOMIC_RELAXED) != 0)
            abandon(worker, request);
        else if (job)
            submit(worker, request);
        else
            answer_call(worker, request);
    }
}

void *worker_run(void *arg)
{
    struct worker *worker = arg;
    struct javm_nub_done done;
    worker->todo_end = &worker->todo;
    while (look(worker)) {
        begin(worker);
        if (worker->running > 0 && javm_nub_poll(worker->nub, true, &done, NULL) == JAVM_OK)
            answer_job(worker, &done);
    }
    for (uint64_t job = 0; job < worker->hub->options.nub.lanes; job++)
        if (worker->jobs[job] != NULL)
            abandon(worker, worker->jobs[job]);
    for (; worker->todo != NULL; worker->todo = worker->todo->next)
        abandon(worker, worker->todo->request);
    return NULL;
}
