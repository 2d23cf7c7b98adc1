/* `check`: every problem of a jobs file, nothing run. */
#ifndef JAVM_BATCH_CHECK_H
#define JAVM_BATCH_CHECK_H

#include "batch/options.h"

/* The exit code of the program: 0 no problem, 2 problems, 3 it could not be read. */
int check_jobs(const struct options *options);

#endif
