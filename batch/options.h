/* The command line of javm-batch. */
#ifndef JAVM_BATCH_OPTIONS_H
#define JAVM_BATCH_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "batch/foreign.h"
#include "javm/engine.h"
#include "javm/sched.h"
#include "javm/vm.h"

enum command { COMMAND_RUN, COMMAND_VERIFY, COMMAND_CHECK, COMMAND_INFO, COMMAND_COMPARE };
enum progress_mode { PROGRESS_AUTO, PROGRESS_BAR, PROGRESS_PLAIN, PROGRESS_NONE };

#define DEFAULT_GAS       1000000000u
#define DEFAULT_IN_FLIGHT 65536u
#define MAX_IN_FLIGHT     (1u << 24)
#define MAX_WORKERS       4096u
#define MAX_SHARDS        1048576u
#define MIN_MEMORY        (UINT64_C(1) << 20)
#define DEFAULT_MEMORY    (UINT64_C(8) << 30)

struct options {
    enum command command;
    const char *path;   /* the jobs file, or the file of info; "-": standard input */
    const char *second; /* verify: the results, NULL: recorded with the jobs; compare: the other
                           figures */
    const char *output; /* never NULL for run and verify */
    char *output_made;  /* malloc'ed default of output, or NULL */
    const char *stats, *trace, *report;
    const char *metrics;     /* an address of this machine, or NULL */
    bool bisect;             /* verify: each job on both engines */
    const char *record;      /* a bundle with the whole run, or NULL */
    const char *save_chains; /* a bundle, or NULL */
    const char *cache;       /* directory of compiled code, or NULL */
    unsigned workers;        /* 0: one per core */
    enum javm_engine engine;
    bool engine_named; /* asked for: no other will do */
    enum javm_gas_model gas_model;
    enum javm_numa numa;
    enum progress_mode progress;
    uint64_t gas, timeout_ms, max_in_flight;
    uint64_t memory_bytes;      /* of each process of --isolation process */
    uint64_t shard, shards;     /* jobs whose number mod shards is shard */
    struct foreign_stubs stubs; /* owned */
    bool isolated, memory_named, retry_crashed;
    bool in_machine; /* isolated, by kvm */
    bool ordered, reproducible, post, keep_going, fail_fast, perf_map, disassemble, resume, mpi;
    unsigned ranks;     /* of --mpi, once they are known; else 0 */
    const char *folder; /* --mpi: where each rank has a file; then output is this rank's. Or NULL */
    /* The command line without the word of the command, to be shown again. Borrowed. */
    char **words;
    int word_count;
};

/* What main should do after parsing. */
enum options_end {
    OPTIONS_GO,
    OPTIONS_DONE /* --help, --version: exit 0 */,
    OPTIONS_BAD /* exit 2 */
};

/* Messages go to stderr, help and version to stdout. */
enum options_end options_parse(int argc, char **argv, struct options *options);
void options_free(struct options *options);

/* The folder of the jobs file with its slash; "" for standard input and the current one. malloc'ed;
 * NULL: out of memory. */
char *options_base(const char *path);
/* JOBS.ndjson[.gz|.zst] -> JOBS.results.ndjson, with several shards JOBS.I-of-N.results.ndjson;
 * malloc'ed, NULL: out of memory. */
char *options_default_output(const struct options *options);
/* The command that goes on where this one ends, for a shell; malloc'ed. NULL: there is none, since
 * the results are in no file, or no memory. */
char *options_resume_command(const struct options *options);

#endif
