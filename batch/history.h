/* What a results file holds already: a bag of lines, each known by a hash of 63 bits.
 *
 * A line takes 15 to 23 bytes, for a moment when the bag grows 38. Two different jobs are taken for
 * one when their hashes are equal: with 10 million lines once in 180,000 batches. One thread. */
#ifndef JAVM_BATCH_HISTORY_H
#define JAVM_BATCH_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "batch/input.h"
#include "batch/result_head.h"

struct history;

struct history *history_new(void); /* NULL: out of memory */
void history_free(struct history *history);

/* Under a key of this bag's own, so that nobody can choose lines whose hashes collide. */
uint64_t history_hash(const struct history *history, const void *bytes, size_t len);
/* One more. False: out of memory. */
bool history_add(struct history *history, uint64_t hash, bool failed);
/* One less; those that failed go last. False: there is none. */
bool history_take(struct history *history, uint64_t hash, bool *failed);
/* How many are left. */
uint64_t history_count(const struct history *history);

/* Reads a results file to its end. What came by `line` since the last call of `whole` is in a torn
 * part when the end comes. */
struct result_reader {
    /* False: stop, *err is set. */
    bool (*line)(void *arg, const struct line *line, const struct result_head *head,
                 struct javm_error *err);
    /* All lines so far are in the whole part of the file. False: as above. */
    bool (*whole)(void *arg, struct javm_error *err);
    void *arg;
};
/* FORMAT: not a results file, or damaged; IO, NOMEM. *err is ready to be printed. */
enum javm_status results_read(struct input *input, const struct result_reader *reader,
                              struct javm_error *err);

/* What `path` holds of jobs, each under the hash of its head->key_len first bytes. *whole: how much
 * of the file is whole; a line or frame behind that is torn. FORMAT, IO, NOMEM. */
enum javm_status history_read(struct history *history, const char *path, bool retry_crashed,
                              uint64_t *whole, struct javm_error *err);

#endif
