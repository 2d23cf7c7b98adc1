#include "batch/ranks.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "batch/wire.h"

#define UNSENT_MOST  (16u << 20)  /* bytes that wait to be sent before the sink waits */
#define PENDING_MOST (64u << 20)  /* bytes that wait to be written before no more are taken */
#define ORDERED_MOST (256u << 20) /* in order: before no more ranges are handed out */
#define NAP_MOST_NS  1000000

enum kind { KIND_ASK, KIND_RANGE, KIND_STOP, KIND_RESULT, KIND_END };

struct head {
    uint64_t kind;
    uint64_t a, b, c; /* ASK: position, want; RANGE: low, high; RESULT: first, units, lines */
};

struct letter {
    struct letter *next;
    size_t len;
    struct head head; /* and what follows it */
};

struct asker {
    bool waiting, ended;
    uint64_t position, want;
};

struct ranks {
    struct run *run;
    unsigned me, count;
    bool gather, running, held; /* held: the postman waits for the lock, which is ours */
    char *output;               /* a rank's own file, or NULL */
    pthread_t postman;

    pthread_mutex_t lock; /* guards what follows; no worker takes it */
    pthread_cond_t moved;
    struct letter *out, **out_end;
    size_t unsent; /* bytes in `out` and in the wire */
    bool quit;
    /* this rank's question */
    bool asking, stopped;
    uint64_t low, high;
    /* rank 0 */
    uint64_t next;
    struct asker *askers;
    unsigned ended;
    struct rank_end all;
};

/* ---- rank 0 ----------------------------------------------------------------------------- */

enum answer { ANSWER_WAIT, ANSWER_RANGE, ANSWER_STOP };

/* With the lock. In order, the first units may be no further from the last ones than the sink's
 * window; a rank that has not read what was handed out so far goes on to there first, since it may
 * have a chain of its own in it. */
static enum answer hand_out(struct ranks *ranks, uint64_t position, uint64_t want, uint64_t *low,
                            uint64_t *high)
{
    struct run *run = ranks->run;
    if (run_halted(run) != HALT_NONE)
        return ANSWER_STOP;
    const uint64_t done = sink_done(run->sink);
    const bool full = ranks->gather && run->options->ordered &&
                      (ranks->next + want > done + RANKS_WINDOW ||
                       (ranks->next != done && sink_pending(run->sink) > ORDERED_MOST));
    *low = ranks->next;
    *high = ranks->next;
    if (!full)
        *high += want;
    if (*high == position)
        return ANSWER_WAIT;
    ranks->next = *high;
    return ANSWER_RANGE;
}

static void post(struct ranks *ranks, struct letter *letter)
{
    *ranks->out_end = letter;
    letter->next = NULL;
    ranks->out_end = &letter->next;
    ranks->unsent += letter->len;
}

static struct letter *letter_new(struct head head, size_t more)
{
    struct letter *letter = malloc(sizeof *letter + more);
    if (letter == NULL)
        return NULL;
    letter->len = sizeof head + more;
    letter->head = head;
    return letter;
}

/* With the lock. */
static void answer(struct ranks *ranks, unsigned rank)
{
    struct asker *asker = &ranks->askers[rank];
    uint64_t low = 0, high = 0;
    const enum answer answer = hand_out(ranks, asker->position, asker->want, &low, &high);
    if (answer == ANSWER_WAIT)
        return;
    const struct head head = {answer == ANSWER_STOP ? KIND_STOP : KIND_RANGE, low, high, 0};
    void *bytes = malloc(sizeof head);
    if (bytes == NULL) { /* asked again when there is memory */
        run_halt(ranks->run, HALT_MEMORY);
        return;
    }
    memcpy(bytes, &head, sizeof head);
    asker->waiting = false;
    wire_send(rank, bytes, sizeof head);
}

static void arrive(struct ranks *ranks, const struct head *head, const char *bytes, size_t len)
{
    struct segment *segment = malloc(sizeof *segment + len);
    if (segment == NULL) {
        run_halt(ranks->run, HALT_MEMORY);
        return;
    }
    *segment = (struct segment){
        .first = head->a, .units = head->b, .lines = head->c, .len = len, .capacity = len};
    memcpy(segment->bytes, bytes, len);
    sink_push(ranks->run->sink, segment);
}

/* With the lock. */
static void end_of(struct ranks *ranks, unsigned rank, const struct rank_end *end)
{
    struct rank_end *all = &ranks->all;
    uint64_t *to = (uint64_t *)&all->totals;
    const uint64_t *from = (const uint64_t *)&end->totals;
    _Static_assert(sizeof end->totals % sizeof *to == 0, "totals are nothing but uint64_t");
    for (size_t i = 0; i < sizeof end->totals / sizeof *to; i++)
        to[i] += from[i];
    all->lines += end->lines;
    all->bytes += end->bytes;
    all->announced += end->announced;
    all->broken |= end->broken;
    all->bad |= end->bad;
    for (uint32_t i = 0; i < end->samples && all->samples < SAMPLES; i++)
        memcpy(all->sample[all->samples++], end->sample[i], SAMPLE_SIZE);
    if (end->halt != HALT_NONE)
        run_halt(ranks->run, (enum halt)end->halt);
    ranks->askers[rank].ended = true;
    ranks->ended++;
}

/* ---- the postman ------------------------------------------------------------------------ */

static void receive(struct ranks *ranks, unsigned from, const void *bytes, size_t len)
{
    struct head head;
    memcpy(&head, bytes, sizeof head);
    const char *behind = (const char *)bytes + sizeof head;
    if (head.kind == KIND_RESULT) {
        arrive(ranks, &head, behind, len - sizeof head);
        return;
    }
    pthread_mutex_lock(&ranks->lock);
    if (head.kind == KIND_ASK) {
        ranks->askers[from] = (struct asker){true, false, head.a, head.b};
    } else if (head.kind == KIND_END) {
        end_of(ranks, from, (const struct rank_end *)(const void *)behind);
    } else { /* the answer to this rank's question */
        ranks->stopped = head.kind == KIND_STOP;
        ranks->low = head.a;
        ranks->high = head.b;
        ranks->asking = false;
    }
    pthread_cond_broadcast(&ranks->moved);
    pthread_mutex_unlock(&ranks->lock);
}

/* Unordered results may wait where they are until there is room for them; of those in order one may
 * be what all others wait for, and hand_out bounds them. */
static bool takes(const struct ranks *ranks)
{
    return ranks->me != 0 || ranks->run->options->ordered ||
           sink_pending(ranks->run->sink) < PENDING_MOST;
}

/* One round: false when nothing moved. */
static bool deliver(struct ranks *ranks)
{
    bool moved = false;
    pthread_mutex_lock(&ranks->lock);
    struct letter *letter = ranks->out;
    ranks->out = NULL;
    ranks->out_end = &ranks->out;
    pthread_mutex_unlock(&ranks->lock);
    while (letter != NULL) {
        struct letter *next = letter->next;
        void *bytes = malloc(letter->len);
        if (bytes != NULL)
            memcpy(bytes, &letter->head, letter->len);
        else
            run_halt(ranks->run, HALT_MEMORY);
        if (bytes != NULL)
            wire_send(0, bytes, letter->len);
        free(letter);
        letter = next;
        moved = true;
    }
    while (takes(ranks)) {
        unsigned from;
        void *bytes;
        size_t len;
        if (!wire_receive(&from, &bytes, &len))
            run_halt(ranks->run, HALT_MEMORY);
        if (bytes == NULL)
            break;
        receive(ranks, from, bytes, len);
        free(bytes);
        moved = true;
    }
    const size_t unsent = wire_unsent();
    pthread_mutex_lock(&ranks->lock);
    for (unsigned i = 1; i < ranks->count && ranks->me == 0; i++)
        if (ranks->askers[i].waiting)
            answer(ranks, i);
    if (ranks->out == NULL && ranks->unsent != unsent) {
        ranks->unsent = unsent;
        pthread_cond_broadcast(&ranks->moved);
    }
    pthread_mutex_unlock(&ranks->lock);
    return moved;
}

static void *postman_main(void *arg)
{
    struct ranks *ranks = arg;
    long nap = 0;
    for (;;) {
        nap = deliver(ranks) ? 0 : nap * 2 + 10000;
        if (nap > NAP_MOST_NS)
            nap = NAP_MOST_NS;
        pthread_mutex_lock(&ranks->lock);
        const bool heard_all = ranks->me == 0 && ranks->ended + 1 == ranks->count;
        const bool over = (ranks->quit || heard_all) && ranks->unsent == 0 && ranks->out == NULL;
        pthread_mutex_unlock(&ranks->lock);
        if (over)
            return NULL;
        if (nap > 0)
            nanosleep(&(struct timespec){0, nap}, NULL);
    }
}

/* ---- questions and results -------------------------------------------------------------- */

/* With the lock: until something moves, or a moment has passed. */
static void wait_moment(struct ranks *ranks)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 2000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    pthread_cond_timedwait(&ranks->moved, &ranks->lock, &until);
}

bool ranks_claim(struct ranks *ranks, uint64_t position, uint64_t want, uint64_t *low,
                 uint64_t *high)
{
    bool good = true;
    pthread_mutex_lock(&ranks->lock);
    if (ranks->me == 0) {
        enum answer answer;
        while ((answer = hand_out(ranks, position, want, low, high)) == ANSWER_WAIT)
            wait_moment(ranks);
        good = answer == ANSWER_RANGE;
    } else {
        struct letter *letter = letter_new((struct head){KIND_ASK, position, want, 0}, 0);
        if (letter == NULL) {
            run_halt(ranks->run, HALT_MEMORY);
            good = false;
        } else {
            ranks->asking = true;
            post(ranks, letter);
        }
        while (good && ranks->asking && run_halted(ranks->run) == HALT_NONE)
            wait_moment(ranks);
        good = good && !ranks->asking && !ranks->stopped;
        *low = ranks->low;
        *high = ranks->high;
    }
    pthread_mutex_unlock(&ranks->lock);
    return good;
}

bool ranks_send(struct ranks *ranks, const struct segment *segment)
{
    struct letter *letter = letter_new(
        (struct head){KIND_RESULT, segment->first, segment->units, segment->lines}, segment->len);
    if (letter == NULL) {
        errno = ENOMEM;
        return false;
    }
    memcpy(&letter->head + 1, segment->bytes, segment->len);
    pthread_mutex_lock(&ranks->lock);
    while (ranks->unsent > UNSENT_MOST)
        wait_moment(ranks);
    post(ranks, letter);
    pthread_mutex_unlock(&ranks->lock);
    return true;
}

void ranks_await(struct ranks *ranks, struct rank_end *all)
{
    pthread_join(ranks->postman, NULL);
    ranks->running = false;
    *all = ranks->all;
}

void ranks_tell(struct ranks *ranks, const struct rank_end *end)
{
    struct letter *letter = letter_new((struct head){KIND_END, 0, 0, 0}, sizeof *end);
    while (letter == NULL) { /* rank 0 waits for it, so it has to go */
        nanosleep(&(struct timespec){0, 10000000}, NULL);
        letter = letter_new((struct head){KIND_END, 0, 0, 0}, sizeof *end);
    }
    memcpy(&letter->head + 1, end, sizeof *end);
    pthread_mutex_lock(&ranks->lock);
    post(ranks, letter);
    pthread_mutex_unlock(&ranks->lock);
}

/* ---- birth and death -------------------------------------------------------------------- */

bool ranks_first(const struct ranks *ranks)
{
    return ranks == NULL || ranks->me == 0;
}

bool ranks_gather(const struct ranks *ranks)
{
    return ranks != NULL && ranks->gather;
}

enum javm_status ranks_open(struct run *run, struct options *options, struct ranks **out,
                            struct javm_error *err)
{
    unsigned me, count;
    const enum javm_status status = wire_open(options, &me, &count, err);
    if (status != JAVM_OK)
        return status;
    struct ranks *ranks = calloc(1, sizeof *ranks);
    if (ranks == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "--mpi: out of memory");
    const size_t len = strlen(options->output);
    ranks->run = run;
    ranks->me = me;
    ranks->count = count;
    ranks->gather = len == 0 || options->output[len - 1] != '/';
    ranks->out_end = &ranks->out;
    pthread_mutex_init(&ranks->lock, NULL);
    pthread_cond_init(&ranks->moved, NULL);
    ranks->askers = calloc(count, sizeof *ranks->askers);
    *out = ranks;
    options->ranks = count;
    if (ranks->askers == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "--mpi: out of memory");
    if (ranks->gather)
        return JAVM_OK;
    if (mkdir(options->output, 0777) != 0 && errno != EEXIST)
        return javm_fail(err, JAVM_E_IO, JAVM_NOWHERE, "%s: %s", options->output, strerror(errno));
    if (asprintf(&ranks->output, "%s%u.ndjson", options->output, me) < 0) {
        ranks->output = NULL;
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "--mpi: out of memory");
    }
    options->folder = options->output;
    options->output = ranks->output;
    return JAVM_OK;
}

int ranks_agree(struct ranks *ranks, int code)
{
    return ranks == NULL ? code : wire_agree(code);
}

enum javm_status ranks_begin(struct ranks *ranks, struct javm_error *err)
{
    pthread_mutex_lock(&ranks->lock); /* the wire is this thread's until ranks_go */
    ranks->held = true;
    ranks->running = pthread_create(&ranks->postman, NULL, postman_main, ranks) == 0;
    return ranks->running ? JAVM_OK
                          : javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "--mpi: no thread for it");
}

void ranks_go(struct ranks *ranks)
{
    ranks->held = false;
    pthread_mutex_unlock(&ranks->lock);
}

void ranks_close(struct ranks *ranks)
{
    if (ranks == NULL)
        return;
    if (!ranks->held)
        pthread_mutex_lock(&ranks->lock);
    ranks->quit = true;
    ranks_go(ranks);
    if (ranks->running)
        pthread_join(ranks->postman, NULL);
    wire_close();
    pthread_mutex_destroy(&ranks->lock);
    pthread_cond_destroy(&ranks->moved);
    free(ranks->askers);
    free(ranks->output);
    free(ranks);
}
