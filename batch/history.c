#include "batch/history.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "batch/diag.h"

#define FIRST_CAPACITY 1024
#define MAX_CAPACITY   UINT32_MAX /* places are chosen with 32 bits of the hash */
#define FAILED_BIT     1u         /* of a hash: its lines failed */

/* Open addressing, at most four fifths full. A hash stays when its count is 0. */
struct history {
    uint64_t *hashes; /* 0: free */
    uint32_t *counts;
    uint64_t capacity, used, lines;
    unsigned char key[crypto_shorthash_KEYBYTES];
};

static bool allocate(struct history *history, uint64_t capacity)
{
    history->hashes = calloc(capacity, sizeof *history->hashes);
    history->counts = calloc(capacity, sizeof *history->counts);
    history->capacity = capacity;
    history->used = 0;
    if (history->hashes != NULL && history->counts != NULL)
        return true;
    free(history->hashes);
    free(history->counts);
    return false;
}

struct history *history_new(void)
{
    struct history *history = calloc(1, sizeof *history);
    if (history == NULL)
        return NULL;
    randombytes_buf(history->key, sizeof history->key);
    if (allocate(history, FIRST_CAPACITY))
        return history;
    free(history);
    return NULL;
}

void history_free(struct history *history)
{
    if (history == NULL)
        return;
    free(history->hashes);
    free(history->counts);
    free(history);
}

uint64_t history_hash(const struct history *history, const void *bytes, size_t len)
{
    uint64_t hash;
    crypto_shorthash((unsigned char *)&hash, bytes, len, history->key);
    hash &= ~(uint64_t)FAILED_BIT;
    return hash == 0 ? 2 : hash;
}

/* Where the hash is, or is to go. */
static uint64_t place(const struct history *history, uint64_t hash)
{
    uint64_t i = (hash >> 32) * history->capacity >> 32;
    while (history->hashes[i] != 0 && history->hashes[i] != hash)
        i = i + 1 == history->capacity ? 0 : i + 1;
    return i;
}

static bool grow(struct history *history)
{
    struct history old = *history;
    if (old.used < old.capacity / 5 * 4)
        return true;
    if (old.capacity > MAX_CAPACITY / 3 * 2 || !allocate(history, old.capacity / 2 * 3)) {
        *history = old;
        return false;
    }
    for (uint64_t i = 0; i < old.capacity; i++)
        if (old.counts[i] != 0) {
            const uint64_t to = place(history, old.hashes[i]);
            history->hashes[to] = old.hashes[i];
            history->counts[to] = old.counts[i];
            history->used++;
        }
    free(old.hashes);
    free(old.counts);
    return true;
}

bool history_add(struct history *history, uint64_t hash, bool failed)
{
    hash |= failed ? FAILED_BIT : 0;
    if (!grow(history))
        return false;
    const uint64_t at = place(history, hash);
    if (history->counts[at] == UINT32_MAX)
        return false;
    history->used += history->hashes[at] == 0;
    history->hashes[at] = hash;
    history->counts[at]++;
    history->lines++;
    return true;
}

bool history_take(struct history *history, uint64_t hash, bool *failed)
{
    for (unsigned bit = 0; bit <= FAILED_BIT; bit++) {
        const uint64_t at = place(history, hash | bit);
        if (history->counts[at] == 0)
            continue;
        history->counts[at]--;
        history->lines--;
        *failed = bit != 0;
        return true;
    }
    return false;
}

uint64_t history_count(const struct history *history)
{
    return history->lines;
}

/* ---- reading ---------------------------------------------------------------------------- */

static enum javm_status bad_line(const struct input *input, const struct line *line,
                                 const struct problem *problem, struct javm_error *err)
{
    const size_t column = line->text == NULL ? 1 : problem->offset + 1;
    return javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE, "%s:%llu:%zu: %s", input_name(input),
                     (unsigned long long)line->number, column, problem->text);
}

/* What stands behind the last newline goes, but only if it could be the beginning of a result, or
 * what a file system puts where nothing was written. */
static enum javm_status check_tail(const struct input *input, const struct line *tail,
                                   struct javm_error *err)
{
    static const char BEGINS[] = "{\"id\":";
    const size_t len = tail->len < sizeof BEGINS - 1 ? tail->len : sizeof BEGINS - 1;
    struct problem problem;
    if (len == 0 || tail->text[0] == '\0' || memcmp(tail->text, BEGINS, len) == 0)
        return JAVM_OK;
    problem_at(&problem, 0, "expected a result, which begins with %s", BEGINS);
    return bad_line(input, tail, &problem, err);
}

enum javm_status results_read(struct input *input, const struct result_reader *reader,
                              struct javm_error *err)
{
    uint64_t whole = 0;
    for (;;) {
        struct line line;
        struct problem problem;
        struct result_head head;
        const enum input_event event = input_next(input, &line, err);
        if (input_whole(input) != whole) {
            whole = input_whole(input);
            if (!reader->whole(reader->arg, err))
                return err->status;
        }
        switch (event) {
        case INPUT_LINE:
            if (!result_head(line.text, line.len, &head, &problem))
                return bad_line(input, &line, &problem, err);
            if (!reader->line(reader->arg, &line, &head, err))
                return err->status;
            break;
        case INPUT_TOO_LONG:
            problem_at(&problem, 0, "this line is longer than %u bytes, which no result is",
                       INPUT_RESULT_MAX);
            return bad_line(input, &line, &problem, err);
        case INPUT_WAIT:
            input_wait(input, -1);
            break;
        case INPUT_END:
            input_rest(input, &line);
            return check_tail(input, &line, err);
        case INPUT_FAILED:
            return err->status;
        }
    }
}

/* ---- a history -------------------------------------------------------------------------- */

/* Lines whose part of the file is not known to be whole yet. */
struct collector {
    struct history *history;
    bool retry_crashed;
    uint64_t *waiting; /* hashes, with FAILED_BIT */
    size_t count, capacity;
};

static bool no_memory(struct javm_error *err)
{
    javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory for what the results hold");
    return false;
}

static bool collect(void *arg, const struct line *line, const struct result_head *head,
                    struct javm_error *err)
{
    struct collector *collector = arg;
    if (head->crashed && collector->retry_crashed)
        return true; /* as if it had no line */
    if (collector->count == collector->capacity) {
        const size_t capacity = collector->capacity * 2 + 256;
        uint64_t *more = realloc(collector->waiting, capacity * sizeof *more);
        if (more == NULL)
            return no_memory(err);
        collector->waiting = more;
        collector->capacity = capacity;
    }
    collector->waiting[collector->count++] =
        history_hash(collector->history, line->text, head->key_len) |
        (head->failed ? FAILED_BIT : 0);
    return true;
}

static bool commit(void *arg, struct javm_error *err)
{
    struct collector *collector = arg;
    for (size_t i = 0; i < collector->count; i++)
        if (!history_add(collector->history, collector->waiting[i] & ~(uint64_t)FAILED_BIT,
                         (collector->waiting[i] & FAILED_BIT) != 0))
            return no_memory(err);
    collector->count = 0;
    return true;
}

enum javm_status history_read(struct history *history, const char *path, bool retry_crashed,
                              uint64_t *whole, struct javm_error *err)
{
    struct input *input;
    struct collector collector = {history, retry_crashed, NULL, 0, 0};
    const struct result_reader reader = {collect, commit, &collector};
    enum javm_status status = input_open_results(path, &input, err);
    if (status != JAVM_OK)
        return status;
    status = results_read(input, &reader, err);
    *whole = input_whole(input);
    input_close(input);
    free(collector.waiting);
    return status;
}
