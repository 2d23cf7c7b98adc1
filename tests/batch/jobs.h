/* A reader over a scratch folder with a demo image, for the tests of definitions, jobs and
 * expectations. */
#ifndef JAVM_TESTS_BATCH_JOBS_H
#define JAVM_TESTS_BATCH_JOBS_H

#include "batch/reader.h"

/* The folder (files.h) gets d.jimg, small.bin (01 02 03), big.bin (10000 bytes); the reader has gas
 * 1000, no post. */
void jobs_set_up(void);
void jobs_tear_down(void);
struct javm_dir_thread *jobs_dir(void);

struct read {
    enum line_kind kind;
    struct job *job; /* in the chunk of the last 64 lines */
    uint64_t repeat;
    struct problem problem;
};
/* Read the next line; fails the test when the line takes more than reader_room says. */
struct read jobs_read(const char *text);
/* As above, and fails the test unless it is a definition, or a job. */
void jobs_define(const char *text);
struct job *jobs_job(const char *text);
/* Fails the test unless the line is refused with a message that begins so. */
void jobs_refuse(const char *text, size_t offset, const char *message);

#endif
