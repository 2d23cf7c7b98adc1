#include "vm/nub/cell.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "vm/nub/sanitized.h"

/* How long to sleep before looking whether there is still somebody to wait for. */
#define LOOK_NS  10000000
/* How long an executor may take to start, on however busy a machine. */
#define START_NS UINT64_C(60000000000)

int64_t nub_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* ---- the region ------------------------------------------------------------------------- */

enum javm_status nub_cell_open(const struct nub_cell_options *options, struct nub_cell *cell,
                               struct javm_error *err)
{
    struct rlimit limit;
    *cell = (struct nub_cell){.options = *options,
                              .child = {.pidfd = -1, .statm = -1},
                              .region = {.lane_count = options->lanes,
                                         .in_bytes = options->in_bytes,
                                         .out_bytes = options->out_bytes}};
    nub_region_measure(&cell->region);
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < cell->region.bytes)
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, /* ftruncate would raise a signal */
                         "isolation: the limit of file sizes (ulimit -f) is below %zu bytes",
                         cell->region.bytes);
    cell->memory = memfd_create("javm-nub", MFD_CLOEXEC);
    void *base = MAP_FAILED;
    if (cell->memory >= 0 && ftruncate(cell->memory, (off_t)cell->region.bytes) == 0)
        base = mmap(NULL, cell->region.bytes, PROT_READ | PROT_WRITE, MAP_SHARED, cell->memory, 0);
    if (base == MAP_FAILED) {
        const int why = errno;
        if (cell->memory >= 0)
            close(cell->memory);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "isolation: no region of %zu bytes: %s",
                         cell->region.bytes, strerror(why));
    }
    /* Processes that are forked later, for another handle, have no business in it. */
    (void)madvise(base, cell->region.bytes, MADV_DONTFORK);
    nub_region_view(&cell->region, base);
    return JAVM_OK;
}

static void bury(struct nub_cell *cell)
{
    if (cell->child.pidfd >= 0)
        close(cell->child.pidfd);
    if (cell->child.statm >= 0)
        close(cell->child.statm);
    cell->child = (struct nub_child){.pidfd = -1, .statm = -1};
    cell->lives = false;
}

void nub_cell_kill(struct nub_cell *cell)
{
    if (!cell->lives)
        return;
    if (cell->options.nursery == NULL) {
        __atomic_store_n(&cell->region.head->stop, 1, __ATOMIC_RELEASE);
        nub_bell_ring(&cell->region.head->request, &cell->region.head->executor_sleeps);
        pthread_join(cell->thread, NULL);
    } else {
        struct pollfd dead = {.fd = cell->child.pidfd, .events = POLLIN};
        (void)syscall(SYS_pidfd_send_signal, cell->child.pidfd, SIGKILL, NULL, 0);
        while (poll(&dead, 1, -1) != 1) /* until it cannot write to the region any more */
            continue;
    }
    bury(cell);
}

void nub_cell_close(struct nub_cell *cell)
{
    if (cell->region.head == NULL)
        return;
    nub_cell_kill(cell);
    munmap(cell->region.head, cell->region.bytes);
    close(cell->memory);
    free(cell->answer);
    *cell = (struct nub_cell){0};
}

/* ---- life and death --------------------------------------------------------------------- */

struct cradle {
    const struct nub_program *program;
    struct nub_region region;
};

static void *live_in_thread(void *arg)
{
    struct cradle cradle = *(struct cradle *)arg;
    struct nub_head *head = cradle.region.head;
    struct nub_service service;
    struct javm_error err;
    free(arg);
    const enum javm_status status =
        cradle.program->start(cradle.program->options, &cradle.region, &service, &err);
    if (status != JAVM_OK) {
        head->error = JAVM_NUB_E_OF(status);
        memcpy(head->text, err.text, sizeof head->text);
    }
    /* Release, partner: nub_cell_wait. */
    __atomic_store_n(&head->call, NUB_CALL_DONE, __ATOMIC_RELEASE);
    nub_bell_ring(&head->answer, &head->host_sleeps);
    if (status != JAVM_OK)
        return NULL;
    nub_serve(&cradle.region, &service);
    service.stop(service.state);
    return NULL;
}

static enum javm_status start_thread(struct nub_cell *cell, struct javm_error *err)
{
    struct cradle *cradle = malloc(sizeof *cradle);
    if (cradle != NULL) {
        *cradle = (struct cradle){cell->options.program, cell->region};
        if (pthread_create(&cell->thread, NULL, live_in_thread, cradle) == 0)
            return JAVM_OK;
        free(cradle);
    }
    return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "isolation: no memory for a thread");
}

static enum javm_status start_process(struct nub_cell *cell, struct javm_error *err)
{
    struct nub_birth birth = {.region = cell->region, .memory_bytes = cell->options.memory_bytes};
    birth.region.head = NULL; /* addresses of ours are nobody's business */
    birth.region.lanes = NULL;
    birth.region.in = birth.region.out = NULL;
    if (sched_getaffinity(0, sizeof birth.cpus, &birth.cpus) != 0)
        memset(&birth.cpus, 0xFF, sizeof birth.cpus);
    return nub_nursery_spawn(cell->options.nursery, cell->memory, &birth, &cell->child, err);
}

enum javm_status nub_cell_start(struct nub_cell *cell, struct javm_error *err)
{
    struct nub_head *head = cell->region.head;
    nub_cell_kill(cell);
    /* All of it becomes zero, and what the last one filled is given back. */
    if (madvise(head, cell->region.bytes, MADV_REMOVE) != 0)
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "isolation: cannot clear the region: %s",
                         strerror(errno));
    for (uint32_t lane = 0; lane < cell->region.lane_count; lane++)
        cell->region.lanes[lane].status = JAVM_NUB_SLOT_STARTING;
    cell->seen = 0;
    cell->outgrown = false;
    enum javm_status status =
        cell->options.nursery == NULL ? start_thread(cell, err) : start_process(cell, err);
    if (status != JAVM_OK)
        return status;
    cell->lives = true;
    /* Nothing of a guest runs yet: the watchdog is for later. */
    const uint64_t watchdog = cell->options.watchdog_ns;
    if (watchdog != 0 && watchdog < START_NS)
        cell->options.watchdog_ns = START_NS;
    status = nub_cell_wait(cell, err);
    cell->options.watchdog_ns = watchdog;
    if (status == JAVM_E_CRASHED)
        javm_fail(err, status, JAVM_NOWHERE, "isolation: the process died while it started");
    if (status != JAVM_OK)
        nub_cell_kill(cell);
    return status;
}

/* Private pages are what it uses for itself. */
static bool too_large(const struct nub_cell *cell)
{
    char text[128];
    unsigned long resident, shared;
    if (NUB_SANITIZED || cell->child.statm < 0)
        return false;
    const ssize_t got = pread(cell->child.statm, text, sizeof text - 1, 0);
    if (got <= 0)
        return false;
    text[got] = '\0';
    return sscanf(text, "%*u %lu %lu", &resident, &shared) == 2 && resident > shared &&
           (resident - shared) > cell->options.memory_bytes / JAVM_PAGE_SIZE;
}

bool nub_cell_lives(struct nub_cell *cell)
{
    if (!cell->lives || cell->options.nursery == NULL)
        return cell->lives;
    struct pollfd dead = {.fd = cell->child.pidfd, .events = POLLIN};
    if (poll(&dead, 1, 0) == 1)
        bury(cell);
    return cell->lives;
}

/* As nub_cell_lives, and it may. */
static bool may_live(struct nub_cell *cell)
{
    if (nub_cell_lives(cell) && too_large(cell)) {
        nub_cell_kill(cell);
        cell->outgrown = true;
    }
    return cell->lives;
}

/* Until the executor rings, or for a while. */
static bool wait_a_while(struct nub_cell *cell, int64_t ns)
{
    struct nub_head *head = cell->region.head;
    nub_bell_wait(&head->answer, &head->host_sleeps, cell->seen, cell->options.spins, ns);
    const uint32_t answer = __atomic_load_n(&head->answer, __ATOMIC_ACQUIRE);
    const bool rung = answer != cell->seen;
    cell->seen = answer;
    return rung || may_live(cell);
}

bool nub_cell_pause(struct nub_cell *cell, int64_t ns)
{
    return wait_a_while(cell, ns < LOOK_NS ? ns : LOOK_NS);
}

/* ---- calls ------------------------------------------------------------------------------ */

void nub_cell_post(struct nub_cell *cell, uint32_t fn, size_t len, uint64_t parts)
{
    struct nub_head *head = cell->region.head;
    cell->parts = parts;
    __atomic_store_n(&head->progress, 0, __ATOMIC_RELAXED); /* of this call, from now on */
    __atomic_store_n(&head->answer_len, 0, __ATOMIC_RELAXED);
    head->fn = fn;
    head->request_len = len;
    /* Release, partner: step_call. */
    __atomic_store_n(&head->call, NUB_CALL_POSTED, __ATOMIC_RELEASE);
    nub_bell_ring(&head->request, &head->executor_sleeps);
}

/* What there is of the answer, into memory of our own. */
static enum javm_status copy_answer(struct nub_cell *cell, struct javm_error *err)
{
    struct nub_head *head = cell->region.head;
    /* Acquire, partner: nub_answer_progress. The length is read behind it: it may be of more. */
    cell->progress = __atomic_load_n(&head->progress, __ATOMIC_ACQUIRE);
    const uint64_t len = __atomic_load_n(&head->answer_len, __ATOMIC_RELAXED);
    cell->answer_len = 0;
    if (len > cell->region.out_bytes || cell->progress > cell->parts) {
        nub_cell_kill(cell);
        cell->progress = 0;
        return javm_fail(
            err, JAVM_E_CRASHED, JAVM_NOWHERE,
            "isolation: an answer of %llu bytes in %llu parts, at most %zu in %llu fit",
            (unsigned long long)len, (unsigned long long)cell->progress, cell->region.out_bytes,
            (unsigned long long)cell->parts);
    }
    if (len > cell->answer_room) {
        uint8_t *more = realloc(cell->answer, len);
        cell->progress = more == NULL ? 0 : cell->progress;
        if (more == NULL)
            return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "isolation: out of memory");
        cell->answer = more;
        cell->answer_room = len;
    }
    if (len > 0)
        memcpy(cell->answer, cell->region.out, len);
    cell->answer_len = len;
    return JAVM_OK;
}

/* An error response, as the status that its number stands for. */
static enum javm_status take_error(const struct nub_cell *cell, uint32_t number,
                                   struct javm_error *err)
{
    struct nub_head *head = cell->region.head;
    char text[sizeof head->text];
    const uint64_t where = head->error_where;
    memcpy(text, head->text, sizeof text);
    text[sizeof text - 1] = '\0';
    const uint32_t last = JAVM_NUB_E_OF(JAVM_E_UNSUPPORTED);
    const enum javm_status status =
        number > 64 && number <= last ? (enum javm_status)(number - 64) : JAVM_E_UNSUPPORTED;
    return javm_fail(err, status, where, "%s", text);
}

enum javm_status nub_cell_wait(struct nub_cell *cell, struct javm_error *err)
{
    struct nub_head *head = cell->region.head;
    uint64_t progress = 0;
    int64_t since = cell->options.watchdog_ns == 0 ? 0 : nub_now_ns();
    /* Acquire, partners: answer_call, born. */
    while (__atomic_load_n(&head->call, __ATOMIC_ACQUIRE) != NUB_CALL_DONE) {
        if (!wait_a_while(cell, LOOK_NS)) {
            (void)copy_answer(cell, NULL);
            return javm_fail(err, JAVM_E_CRASHED, JAVM_NOWHERE, "isolation: the process died");
        }
        if (cell->options.watchdog_ns == 0 || cell->options.nursery == NULL)
            continue;
        const uint64_t reached = __atomic_load_n(&head->progress, __ATOMIC_RELAXED);
        const int64_t now = nub_now_ns();
        if (reached > progress && reached <= cell->parts) {
            progress = reached;
            since = now;
        } else if ((uint64_t)(now - since) > cell->options.watchdog_ns) {
            nub_cell_kill(cell);
        }
    }
    const enum javm_status status = copy_answer(cell, err);
    if (status != JAVM_OK)
        return status;
    const uint32_t error = head->error;
    return error == JAVM_NUB_E_NONE ? JAVM_OK : take_error(cell, error, err);
}

enum javm_status nub_cell_call(struct nub_cell *cell, uint32_t fn, const void *payload, size_t len,
                               struct javm_error *err)
{
    if (len > cell->region.in_bytes)
        return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE,
                         "isolation: a call of %zu bytes, expected at most %zu", len,
                         cell->region.in_bytes);
    if (len > 0)
        memcpy(cell->region.in, payload, len);
    nub_cell_post(cell, fn, len, 0);
    return nub_cell_wait(cell, err);
}

/* ---- lanes ------------------------------------------------------------------------------ */

void nub_cell_submit(struct nub_cell *cell, uint32_t lane, uint64_t job_id,
                     const struct javm_nub_invoke *packet)
{
    struct javm_nub_slot *slot = &cell->region.lanes[lane];
    __atomic_store_n(&slot->job_id, job_id, __ATOMIC_RELAXED);
    slot->packet = *packet;
    /* Release, partner: step_lane. */
    __atomic_store_n(&slot->status, JAVM_NUB_SLOT_READY, __ATOMIC_RELEASE);
    nub_bell_ring(&cell->region.head->request, &cell->region.head->executor_sleeps);
}

enum javm_status nub_cell_take(struct nub_cell *cell, uint32_t lane, uint64_t job_id,
                               struct javm_nub_result *result)
{
    struct javm_nub_slot *slot = &cell->region.lanes[lane];
    /* Acquire, partner: step_lane. */
    const uint32_t state = __atomic_load_n(&slot->status, __ATOMIC_ACQUIRE);
    if (state == JAVM_NUB_SLOT_READY || state == JAVM_NUB_SLOT_RUNNING)
        return JAVM_E_MISSING;
    uint8_t copy[sizeof *result];
    memcpy(copy, &slot->result, sizeof copy);
    if (state != JAVM_NUB_SLOT_DONE || __atomic_load_n(&slot->job_id, __ATOMIC_RELAXED) != job_id ||
        javm_nub_decode_result(copy, sizeof copy, result, NULL) != JAVM_OK) {
        nub_cell_kill(cell);
        return JAVM_E_FORMAT;
    }
    __atomic_store_n(&slot->status, JAVM_NUB_SLOT_EMPTY, __ATOMIC_RELAXED);
    return JAVM_OK;
}
