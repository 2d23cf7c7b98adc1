/* One line of the jobs file -> a definition made or a job ready to run. */
#ifndef JAVM_BATCH_READER_H
#define JAVM_BATCH_READER_H

#include "batch/chain.h"
#include "batch/chunk.h"
#include "batch/definitions.h"
#include "batch/diag.h"

struct reader;

struct reader_options {
    uint64_t gas; /* for jobs that name none */
    bool post;
    bool keep;                         /* programs keep their files */
    struct chains *chains;             /* borrowed */
    const struct foreign_stubs *stubs; /* borrowed; NULL: none */
};

enum line_kind { LINE_BLANK, LINE_DEFINITION, LINE_JOB, LINE_BAD };

/* NULL: out of memory. `base`: as in definitions_new. */
struct reader *reader_new(struct javm_dir_thread *dir, const char *base,
                          const struct reader_options *options);
/* Close the native code of its programs, for a cache to keep it. No job runs any more. */
void reader_close(struct reader *reader);
void reader_free(struct reader *reader);

/* A chunk needs this much room before a line of `len` bytes is read into it. */
size_t reader_room(size_t len);

/* Read one line. For LINE_JOB *job is a new job in the chunk's memory, not yet in its list, with
 * first, rep and units 0, and *repeat says how often it is to be run. For LINE_BAD *problem is
 * filled in, and *job, when the line got as far as an id, has it (else NULL). */
enum line_kind reader_line(struct reader *reader, const char *text, size_t len, uint64_t number,
                           struct chunk *chunk, struct job **job, uint64_t *repeat,
                           struct problem *problem);
/* Make a job out of a bad line: one that only reports the problem. `job` may be NULL. */
struct job *reader_bad_job(struct job *job, const char *text, size_t len, uint64_t number,
                           struct chunk *chunk, const struct problem *problem);

#endif
