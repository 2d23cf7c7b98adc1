/* From lines to tasks: the parsing side of a batch, on the main thread. */
#ifndef JAVM_BATCH_PIPELINE_H
#define JAVM_BATCH_PIPELINE_H

#include "batch/progress.h"
#include "batch/reader.h"
#include "batch/run.h"

enum pipeline_end {
    PIPELINE_READ_ALL,
    PIPELINE_HALTED, /* run->halt says why */
    PIPELINE_BAD,    /* a bad line or damaged input; it was told on stderr */
    PIPELINE_BROKEN  /* the system refused to read, or memory ran out; told on stderr */
};

/* Read run->input to its end and hand out everything. Returns without waiting for the jobs. */
enum pipeline_end pipeline_feed(struct run *run, struct reader *reader, struct progress *progress);

#endif
