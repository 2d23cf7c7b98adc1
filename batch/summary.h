/* What the batch came to: a table for people, a JSON object for programs. */
#ifndef JAVM_BATCH_SUMMARY_H
#define JAVM_BATCH_SUMMARY_H

#include <stdio.h>

#include "batch/run.h"

struct summary {
    struct totals totals;
    double seconds;
    uint64_t lines_written, bytes_written;
    uint64_t announced; /* units of all lines that were read */
    uint64_t resumed;   /* jobs whose results were there already */
    uint64_t strangers; /* lines that were there and are of no job that was read */
    bool input_ended;   /* the whole file was read */
    enum halt halt;
    unsigned workers;
    struct javm_worker_stats sched;   /* summed over workers; cpu and node unused */
    struct javm_vm_stats vm;          /* summed over workers */
    struct javm_directory_stats caps; /* when nobody needed any more */
    struct javm_jit_stats native;     /* summed over nodes */
    uint64_t peak_bytes;              /* resident, of the whole process */
    /* Processor time of the whole process, and in it of the threads that run jobs and the one that
     * writes results. */
    int64_t processor_ns, workers_ns, writer_ns;
    int exit_code;
};

void summary_print(FILE *to, const struct summary *summary, const struct run *run);
/* The JSON object of --stats and a newline. */
void summary_print_stats(FILE *to, const struct summary *summary, const struct run *run);
/* Written as --stats FILE; false: *err. */
enum javm_status summary_write_stats(const char *path, const struct summary *summary,
                                     const struct run *run, struct javm_error *err);

#endif
