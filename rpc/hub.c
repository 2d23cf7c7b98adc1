#include "rpc/hub.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "rpc/worker.h"

/* ---- requests --------------------------------------------------------------------------- */

struct archive *archive_new(uint8_t *bytes, size_t len)
{
    struct archive *archive = malloc(sizeof *archive);
    if (archive == NULL)
        free(bytes);
    else
        *archive = (struct archive){.refs = 1, .bytes = bytes, .len = len};
    return archive;
}

void archive_release(struct archive *archive)
{
    if (archive == NULL || __atomic_sub_fetch(&archive->refs, 1, __ATOMIC_ACQ_REL) != 0)
        return;
    free(archive->bytes);
    free(archive);
}

void answer_fail(struct answer *answer, uint32_t number, const struct javm_error *err)
{
    answer->number = number;
    if (err != NULL && err->text[0] != '\0')
        answer->err = *err;
    else
        (void)javm_fail(&answer->err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE, "%s",
                        javm_nub_error_text(number));
}

struct request *hub_request(const struct hub *hub)
{
    return calloc(1, sizeof(struct request) + hub->count * sizeof(struct request_link));
}

void request_free(struct request *request)
{
    if (request != NULL)
        archive_release(request->archive);
    free(request);
}

/* ---- answers ---------------------------------------------------------------------------- */

static void add_up(struct answer *all, const struct answer *one)
{
    struct javm_nub_heap_stats sum, more;
    memcpy(&sum, all->bytes, sizeof sum);
    memcpy(&more, one->bytes, sizeof more);
    sum.allocated_bytes += more.allocated_bytes;
    sum.allocations += more.allocations;
    sum.fragments += more.fragments;
    sum.available_bytes += more.available_bytes;
    memcpy(all->bytes, &sum, sizeof sum);
    all->len = sizeof sum;
}

void hub_answer(struct hub *hub, struct request *request, const struct answer *answer)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&hub->lock);
    if (request->answer.number == JAVM_NUB_E_NONE) { /* the first error counts */
        if (answer->number == JAVM_NUB_E_NONE && request->fn == JAVM_NUB_HEAP_STATS)
            add_up(&request->answer, answer);
        else
            request->answer = *answer;
    }
    const bool whole = --request->parts == 0;
    const bool first = whole && hub->done == NULL;
    if (whole) {
        request->next = NULL;
        *hub->done_end = request;
        hub->done_end = &request->next;
    }
    pthread_mutex_unlock(&hub->lock);
    if (first)
        (void)!write(hub->event, &one, sizeof one); /* only a full counter would block */
}

struct request *hub_take(struct hub *hub)
{
    uint64_t count;
    (void)!read(hub->event, &count, sizeof count);
    pthread_mutex_lock(&hub->lock);
    struct request *done = hub->done;
    hub->done = NULL;
    hub->done_end = &hub->done;
    pthread_mutex_unlock(&hub->lock);
    for (struct request *one = done; one != NULL; one = one->next)
        if (one->worker < hub->count)
            hub->workers[one->worker].load--;
    return done;
}

int hub_fd(const struct hub *hub)
{
    return hub->event;
}

/* ---- sending ---------------------------------------------------------------------------- */

static void send_to(struct hub *hub, struct request *request, unsigned to)
{
    struct worker *worker = &hub->workers[to];
    struct request_link *link = &request->links[to];
    *link = (struct request_link){NULL, request};
    pthread_mutex_lock(&hub->lock);
    const bool first = worker->queue == NULL;
    *worker->queue_end = link;
    worker->queue_end = &link->next;
    pthread_mutex_unlock(&hub->lock);
    if (!first) /* it was told, and has not looked yet */
        return;
    pthread_cond_signal(&worker->work);
    javm_nub_wake(worker->nub);
}

void hub_send(struct hub *hub, struct request *request)
{
    const bool to_all = request->fn == JAVM_NUB_PUT_CAP || request->fn == JAVM_NUB_HEAP_STATS ||
                        request->fn == JAVM_NUB_EVICT_JIT_ALL;
    request->parts = to_all ? hub->count : 1;
    request->worker = hub->count;
    if (to_all) {
        for (unsigned i = 0; i < hub->count; i++)
            send_to(hub, request, i);
        return;
    }
    request->worker = 0;
    for (unsigned i = 1; i < hub->count; i++)
        if (hub->workers[i].load < hub->workers[request->worker].load)
            request->worker = i;
    hub->workers[request->worker].load++;
    send_to(hub, request, request->worker);
}

/* ---- life ------------------------------------------------------------------------------- */

static enum javm_status open_worker(struct hub *hub, unsigned number, struct javm_error *err)
{
    struct worker *worker = &hub->workers[number];
    struct javm_nub_options options = hub->options.nub;
    options.workers = 1;
    worker->hub = hub;
    worker->queue_end = &worker->queue;
    worker->jobs = calloc(options.lanes, sizeof(struct request *));
    if (worker->jobs == NULL || pthread_cond_init(&worker->work, NULL) != 0)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    worker->opened = true;
    return javm_nub_open(hub->options.backend, &options, &worker->nub, err);
}

static enum javm_status start(struct hub *hub, unsigned number, struct javm_error *err)
{
    const int failed =
        pthread_create(&hub->workers[number].thread, NULL, worker_run, &hub->workers[number]);
    if (failed != 0)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no thread: %s", strerror(failed));
    hub->workers[number].started = true;
    return JAVM_OK;
}

enum javm_status hub_open(const struct hub_options *options, struct hub **hub,
                          struct javm_error *err)
{
    struct hub *made = calloc(1, sizeof *made);
    if (made == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    pthread_mutex_init(&made->lock, NULL);
    made->options = *options;
    made->count = options->nub.workers;
    made->done_end = &made->done;
    made->event = -1;
    made->workers = calloc(made->count, sizeof *made->workers);
    enum javm_status status = JAVM_OK;
    if (made->workers == NULL)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory");
    for (unsigned i = 0; i < made->count && status == JAVM_OK; i++)
        status = open_worker(made, i, err);
    if (status == JAVM_OK && (made->event = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) < 0)
        status = javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "no eventfd: %s", strerror(errno));
    for (unsigned i = 0; i < made->count && status == JAVM_OK; i++)
        status = start(made, i, err);
    if (status == JAVM_OK)
        *hub = made;
    else
        hub_close(made);
    return status;
}

void hub_stop(struct hub *hub)
{
    pthread_mutex_lock(&hub->lock);
    hub->stop = true;
    pthread_mutex_unlock(&hub->lock);
    for (unsigned i = 0; i < hub->count; i++) {
        struct worker *worker = &hub->workers[i];
        if (!worker->started)
            continue;
        pthread_cond_signal(&worker->work);
        javm_nub_wake(worker->nub);
        pthread_join(worker->thread, NULL);
        worker->started = false;
    }
}

void hub_close(struct hub *hub)
{
    if (hub == NULL)
        return;
    if (hub->workers != NULL)
        hub_stop(hub);
    for (unsigned i = 0; hub->workers != NULL && i < hub->count; i++) {
        struct worker *worker = &hub->workers[i];
        javm_nub_close(worker->nub);
        worker_forget(worker);
        if (worker->opened)
            pthread_cond_destroy(&worker->work);
        free(worker->jobs);
    }
    free(hub->workers);
    if (hub->event >= 0)
        close(hub->event);
    pthread_mutex_destroy(&hub->lock);
    free(hub);
}

uint64_t hub_replaced(const struct hub *hub)
{
    uint64_t replaced = 0;
    for (unsigned i = 0; i < hub->count; i++)
        replaced += javm_nub_replaced(hub->workers[i].nub);
    return replaced;
}
