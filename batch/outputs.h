/* The files that a batch writes, so that it neither reads them as inputs nor writes two things to
 * one. Claimed while the batch is set up; looked up by the thread that reads the jobs. */
#ifndef JAVM_BATCH_OUTPUTS_H
#define JAVM_BATCH_OUTPUTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "javm/status.h"

struct record;
struct recording;

/* Are the two descriptors one regular file? False for a negative one. */
bool outputs_same(int a, int b);
/* Is the regular file open as fd claimed already? Claims it if not; other kinds are never claimed.
 */
bool outputs_claim(int fd);
/* Open `path` for writing once, to see that it can be, and claim it. `input_fd`: the jobs file, or
 * negative. IO, EXISTS. */
enum javm_status outputs_probe(const char *path, int input_fd, struct javm_error *err);
/* Can a file be put in place at `path` when the batch is over? It is not touched before that, so it
 * may be an input, too; but nothing else that the batch writes. IO, EXISTS. */
enum javm_status outputs_probe_replaced(const char *path, int input_fd, struct javm_error *err);
/* Force the name of a file to the disk, as fsync does its content, where the system can do that. */
void outputs_settle_name(const char *path);
/* From now on outputs_read notes what it reads, or has it from there. Either may be NULL. */
void outputs_record(struct record *record, const struct recording *recording);
/* From now on outputs_read waits for a pipe no longer than until this is readable. */
void outputs_stop(int stop_fd);
/* javm_file_read for inputs of jobs; EXISTS for a file that is claimed; from a recording MISSING;
 * STATE when the wait for a pipe was given up. */
enum javm_status outputs_read(const char *path, uint8_t **bytes, size_t *len,
                              struct javm_error *err);
/* Was an input refused because it is claimed? Then what stands in it is left alone. Any thread. */
bool outputs_conflict(void);

#endif
