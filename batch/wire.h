/* Messages between the processes of an --mpi batch. wire_mpi.c has them over MPI, in the program
 * javm-batch-mpi; wire_none.c, in all others, starts that program instead. One thread at a time. */
#ifndef JAVM_BATCH_WIRE_H
#define JAVM_BATCH_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "batch/options.h"
#include "javm/status.h"

/* Once, before other threads are made. UNSUPPORTED: this build has no MPI; STATE: MPI does not
 * start. */
enum javm_status wire_open(const struct options *options, unsigned *me, unsigned *count,
                           struct javm_error *err);
/* All processes together: the greatest code of all. */
int wire_agree(int code);
/* Does not wait. The bytes are malloc'ed and the wire's from now on. */
void wire_send(unsigned to, void *bytes, size_t len);
/* What was sent and is still here; moves it on. */
size_t wire_unsent(void);
/* A message that has come, malloc'ed: *bytes NULL: none. False: out of memory. */
bool wire_receive(unsigned *from, void **bytes, size_t *len);
/* When nothing is unsent and nobody sends any more. All processes together. */
void wire_close(void);

#endif
