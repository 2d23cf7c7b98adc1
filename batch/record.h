/* --record: a run with all that is needed to run it again, in one bundle (docs/formats.md).
 *
 * What is recorded are the bytes: the jobs, every file that they name, the results, and the options
 * that results depend on. Going on from a recording, those are found there and nowhere else. */
#ifndef JAVM_BATCH_RECORD_H
#define JAVM_BATCH_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "batch/options.h"
#include "javm/status.h"

struct record;

/* Reads the jobs, from a file or standard input, to their end. IO, NOMEM, LIMIT. */
enum javm_status record_open(const struct options *options, struct record **record,
                             struct javm_error *err);
void record_free(struct record *record);
/* A name under which the jobs can be opened like a file, as long as the record lives. */
const char *record_jobs(const struct record *record);
/* A job or definition had this file read. Errors are told by record_write. The parser's thread. */
void record_note(struct record *record, const char *path, const uint8_t *bytes, size_t len);
/* When the results file is complete. IO, NOMEM, LIMIT. */
enum javm_status record_write(struct record *record, const struct options *options,
                              struct javm_error *err);

struct recording;

/* Is it the file of a recording, to be opened? (Any bundle is taken for one.) */
bool recording_is(const char *path);
/* FORMAT, IO, NOMEM. */
enum javm_status recording_open(const char *path, struct recording **recording,
                                struct javm_error *err);
void recording_free(struct recording *recording);
/* The jobs and the results, as long as the recording lives: names under which they can be opened
 * like files, and what messages call them, for input_call. */
struct recorded {
    const char *path, *name;
};
struct recorded recording_jobs(const struct recording *recording);
struct recorded recording_results(const struct recording *recording);
/* What paths of the jobs begin with that are not absolute. */
const char *recording_base(const struct recording *recording);
/* Sets the options that were recorded. RANGE: one of them was given, too. */
enum javm_status recording_options(struct recording *recording, struct options *options,
                                   struct javm_error *err);
/* The bytes of a file, the caller's. MISSING, NOMEM. */
enum javm_status recording_file(const struct recording *recording, const char *path,
                                uint8_t **bytes, size_t *len, struct javm_error *err);

#endif
