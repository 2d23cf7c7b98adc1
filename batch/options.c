#include "batch/options.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/args.h"
#include "batch/diag.h"
#include "batch/metrics.h"
#include "batch/options_help.h"
#include "javm/version.h"

#ifdef WITH_MPI
#define MPI "yes"
#else
#define MPI "no"
#endif

enum option_id {
    OPT_GAS = 256,
    OPT_TIMEOUT,
    OPT_ENGINE,
    OPT_GAS_MODEL,
    OPT_POST,
    OPT_HOST_CALL,
    OPT_OUTPUT,
    OPT_ORDERED,
    OPT_REPRODUCIBLE,
    OPT_STATS,
    OPT_TRACE,
    OPT_REPORT,
    OPT_METRICS,
    OPT_SAVE_CHAINS,
    OPT_KEEP_GOING,
    OPT_FAIL_FAST,
    OPT_WORKERS,
    OPT_MAX_IN_FLIGHT,
    OPT_NUMA,
    OPT_CACHE,
    OPT_PERF_MAP,
    OPT_PROGRESS,
    OPT_ASM,
    OPT_ISOLATION,
    OPT_BISECT,
    OPT_RECORD,
    OPT_RESUME,
    OPT_RETRY_CRASHED,
    OPT_SHARD,
    OPT_MPI,
    OPT_MEM_LIMIT
};

static const struct option OPTIONS[] = {
    {"help", no_argument, NULL, 'h'},
    {"version", no_argument, NULL, 'V'},
    {"gas", required_argument, NULL, OPT_GAS},
    {"timeout", required_argument, NULL, OPT_TIMEOUT},
    {"engine", required_argument, NULL, OPT_ENGINE},
    {"gas-model", required_argument, NULL, OPT_GAS_MODEL},
    {"post", no_argument, NULL, OPT_POST},
    {"host-call", required_argument, NULL, OPT_HOST_CALL},
    {"output", required_argument, NULL, OPT_OUTPUT},
    {"ordered", no_argument, NULL, OPT_ORDERED},
    {"reproducible", no_argument, NULL, OPT_REPRODUCIBLE},
    {"stats", required_argument, NULL, OPT_STATS},
    {"trace", required_argument, NULL, OPT_TRACE},
    {"report", required_argument, NULL, OPT_REPORT},
    {"metrics", required_argument, NULL, OPT_METRICS},
    {"save-chains", required_argument, NULL, OPT_SAVE_CHAINS},
    {"keep-going", no_argument, NULL, OPT_KEEP_GOING},
    {"fail-fast", no_argument, NULL, OPT_FAIL_FAST},
    {"workers", required_argument, NULL, OPT_WORKERS},
    {"max-in-flight", required_argument, NULL, OPT_MAX_IN_FLIGHT},
    {"numa", required_argument, NULL, OPT_NUMA},
    {"cache", required_argument, NULL, OPT_CACHE},
    {"perf-map", no_argument, NULL, OPT_PERF_MAP},
    {"progress", required_argument, NULL, OPT_PROGRESS},
    {"asm", no_argument, NULL, OPT_ASM},
    {"isolation", required_argument, NULL, OPT_ISOLATION},
    {"mem-limit", required_argument, NULL, OPT_MEM_LIMIT},
    {"record", required_argument, NULL, OPT_RECORD},
    {"bisect", no_argument, NULL, OPT_BISECT},
    {"resume", no_argument, NULL, OPT_RESUME},
    {"retry-crashed", no_argument, NULL, OPT_RETRY_CRASHED},
    {"shard", required_argument, NULL, OPT_SHARD},
    {"mpi", no_argument, NULL, OPT_MPI},
    {NULL, 0, NULL, 0}};

static enum options_end bad(void)
{
    fputs("Try 'javm-batch --help'.\n", stderr);
    return OPTIONS_BAD;
}

static bool set_mode(int id, const char *text, struct options *options)
{
    static const char *const NUMA[] = {"auto", "off", NULL};
    static const char *const PROGRESS[] = {"auto", "bar", "plain", "none", NULL};
    int index;
    switch (id) {
    case OPT_ENGINE:
        options->engine_named = true;
        return args_engine(text, &options->engine);
    case OPT_GAS_MODEL:
        return args_gas_model(text, &options->gas_model);
    case OPT_ISOLATION:
        if (!args_isolation(text, &index))
            return false;
        options->isolated = index >= 1;
        options->in_machine = index == 2;
        return true;
    case OPT_NUMA:
        index = args_choice("--numa", text, NUMA);
        options->numa = index == 1 ? JAVM_NUMA_OFF : JAVM_NUMA_AUTO;
        return index >= 0;
    default:
        index = args_choice("--progress", text, PROGRESS);
        options->progress = (enum progress_mode)index;
        return index >= 0;
    }
}

/* I/N */
static bool set_shard(const char *text, struct options *options)
{
    char *slash, *end;
    if (text[0] >= '0' && text[0] <= '9') { /* strtoull would take blanks and signs */
        options->shard = strtoull(text, &slash, 10);
        if (*slash == '/' && slash[1] >= '0' && slash[1] <= '9') {
            options->shards = strtoull(slash + 1, &end, 10);
            if (*end == '\0' && options->shards <= MAX_SHARDS && options->shard < options->shards)
                return true;
        }
    }
    complain("--shard: expected I/N with 0 <= I < N <= %u, found '%s'", MAX_SHARDS, text);
    return false;
}

static bool set_metrics(const char *text, struct options *options)
{
    options->metrics = text;
    if (metrics_address(text))
        return true;
    complain(
        "--metrics: expected 127.0.0.1:PORT, localhost:PORT or [::1]:PORT (figures are for this "
        "machine only), found '%s'",
        text);
    return false;
}

static bool set_stub(const char *text, struct options *options)
{
    bool full;
    if (foreign_stubs_add(&options->stubs, text, &full))
        return true;
    if (full)
        complain("out of memory");
    else
        complain("--host-call: expected NAME=VALUE, NAME of an import or the number of a call, "
                 "VALUE from 0 to 2^64 - 1, found %s",
                 text);
    return false;
}

static bool set_option(int id, struct options *options)
{
    uint64_t value;
    switch (id) {
    case OPT_GAS:
        return args_number("--gas", optarg, 0, UINT64_MAX, &options->gas);
    case OPT_TIMEOUT:
        return args_number("--timeout", optarg, 1, 1u << 31, &options->timeout_ms);
    case OPT_MAX_IN_FLIGHT:
        return args_number("--max-in-flight", optarg, 1, MAX_IN_FLIGHT, &options->max_in_flight);
    case OPT_MEM_LIMIT:
        options->memory_named = true;
        return args_number("--mem-limit", optarg, MIN_MEMORY, INT64_MAX, &options->memory_bytes);
    case OPT_WORKERS:
        if (!args_number("--workers", optarg, 1, MAX_WORKERS, &value))
            return false;
        options->workers = (unsigned)value;
        return true;
    case OPT_ENGINE:
    case OPT_GAS_MODEL:
    case OPT_ISOLATION:
    case OPT_NUMA:
    case OPT_PROGRESS:
        return set_mode(id, optarg, options);
    case OPT_POST:
        options->post = true;
        return true;
    case OPT_HOST_CALL:
        return set_stub(optarg, options);
    case OPT_OUTPUT:
        options->output = optarg;
        return true;
    case OPT_ORDERED:
        options->ordered = true;
        return true;
    case OPT_REPRODUCIBLE:
        options->reproducible = true;
        return true;
    case OPT_STATS:
        options->stats = optarg;
        return true;
    case OPT_METRICS:
        return set_metrics(optarg, options);
    case OPT_TRACE:
        options->trace = optarg;
        return true;
    case OPT_REPORT:
        options->report = optarg;
        return true;
    case OPT_SAVE_CHAINS:
        options->save_chains = optarg;
        return true;
    case OPT_CACHE:
        options->cache = optarg;
        return true;
    case OPT_PERF_MAP:
        options->perf_map = true;
        return true;
    case OPT_RECORD:
        options->record = optarg;
        return true;
    case OPT_BISECT:
        options->bisect = true;
        return true;
    case OPT_RESUME:
        options->resume = true;
        return true;
    case OPT_RETRY_CRASHED:
        options->retry_crashed = true;
        return true;
    case OPT_SHARD:
        return set_shard(optarg, options);
    case OPT_MPI:
        options->mpi = true;
        return true;
    case OPT_KEEP_GOING:
        options->keep_going = true;
        return true;
    case OPT_FAIL_FAST:
        options->fail_fast = true;
        return true;
    case OPT_ASM:
        options->disassemble = true;
        return true;
    default:
        return false;
    }
}

/* Does the command know the option? Those of the display and of a wrapper script's habit are fine
 * anywhere. */
static bool fits(enum command command, int id)
{
    switch (command) {
    case COMMAND_RUN:
    case COMMAND_CHECK:
        return id != OPT_ASM && id != OPT_BISECT;
    case COMMAND_VERIFY: /* it writes no results */
        return id != OPT_ASM && id != OPT_OUTPUT && id != OPT_ORDERED && id != OPT_REPRODUCIBLE &&
               id != OPT_RECORD && id != OPT_RESUME && id != OPT_RETRY_CRASHED && id != OPT_MPI;
    case COMMAND_COMPARE:
        return false;
    case COMMAND_INFO:
        return id == OPT_ASM || id == OPT_ENGINE;
    }
    return false;
}

/* Skips the word of the command when there is one. */
static bool find_command(int *argc, char ***argv, struct options *options)
{
    static const struct {
        const char *name;
        enum command command;
    } COMMANDS[] = {{"run", COMMAND_RUN},
                    {"verify", COMMAND_VERIFY},
                    {"check", COMMAND_CHECK},
                    {"info", COMMAND_INFO},
                    {"compare", COMMAND_COMPARE}};
    if (*argc < 2)
        return true;
    const char *word = (*argv)[1];
    for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++)
        if (strcmp(word, COMMANDS[i].name) == 0) {
            options->command = COMMANDS[i].command;
            (*argv)[1] = (*argv)[0];
            ++*argv;
            --*argc;
            return true;
        }
    return true;
}

char *options_default_output(const struct options *options)
{
    static const char *const ENDS[] = {".gz", ".zst"};
    const char *jobs = options->path;
    size_t len = strlen(jobs);
    for (size_t i = 0; i < 2; i++) {
        const size_t end = strlen(ENDS[i]);
        if (len > end && memcmp(jobs + len - end, ENDS[i], end) == 0) {
            len -= end;
            break;
        }
    }
    const size_t end = strlen(".ndjson");
    if (len > end && memcmp(jobs + len - end, ".ndjson", end) == 0)
        len -= end;
    char shard[64] = "", *name;
    if (options->shards > 1)
        snprintf(shard, sizeof shard, ".%llu-of-%llu", (unsigned long long)options->shard,
                 (unsigned long long)options->shards);
    return asprintf(&name, "%.*s%s.results.ndjson", (int)len, jobs, shard) < 0 ? NULL : name;
}

/* What is of one process, or of a part of the jobs that somebody else has chosen. */
static bool fits_ranks(const struct options *options)
{
    const struct {
        const char *name;
        bool named;
    } alone[] = {
        {"--trace", options->trace != NULL},
        {"--report", options->report != NULL},
        {"--metrics", options->metrics != NULL},
        {"--save-chains", options->save_chains != NULL},
        {"--record", options->record != NULL},
        {"--shard", options->shards > 1},
        {options->in_machine ? "--isolation kvm" : "--isolation process", options->isolated},
        {"jobs from standard input", strcmp(options->path, "-") == 0}};
    for (size_t i = 0; options->mpi && i < sizeof alone / sizeof *alone; i++)
        if (alone[i].named) {
            complain("--mpi: %s cannot be had with it", alone[i].name);
            return false;
        }
    return true;
}

/* Options that make no sense together. */
static bool consistent(const struct options *options)
{
    if (options->isolated && (options->cache != NULL || options->perf_map)) {
        complain("%s needs files, which the processes of --isolation do not have",
                 options->cache != NULL ? "--cache" : "--perf-map");
        return false;
    }
    if (options->isolated && options->bisect) {
        complain("--bisect compares engines in this process: not with --isolation");
        return false;
    }
    if (options->memory_named && !options->isolated) {
        complain("--mem-limit is of the processes of --isolation process, and goes with it");
        return false;
    }
    if (options->retry_crashed && !options->resume) {
        complain("--retry-crashed goes with --resume");
        return false;
    }
    return true;
}

char *options_base(const char *path)
{
    const char *slash = strcmp(path, "-") == 0 ? NULL : strrchr(path, '/');
    return strndup(path, slash == NULL ? 0 : (size_t)(slash - path) + 1);
}

static enum options_end finish(int argc, char **argv, struct options *options)
{
    static const char *const WANTED[] = {[COMMAND_RUN] = "a jobs file",
                                         [COMMAND_VERIFY] = "a jobs file and its results",
                                         [COMMAND_CHECK] = "a jobs file",
                                         [COMMAND_INFO] = "a file",
                                         [COMMAND_COMPARE] = "two files that --stats wrote"};
    const bool verify = options->command == COMMAND_VERIFY;
    const int wanted = verify || options->command == COMMAND_COMPARE ? 2 : 1;
    /* A recorded run has its results with it, which is seen when it is opened. */
    if (argc - optind < (verify ? 1 : wanted)) {
        complain("expected %s", WANTED[options->command]);
        return bad();
    }
    if (argc - optind > wanted) {
        complain("expected %s, found '%s', too", wanted == 1 ? "one file" : "two files",
                 argv[optind + wanted]);
        return bad();
    }
    if (!consistent(options))
        return bad();
    options->path = argv[optind];
    if (argc - optind == 2)
        options->second = argv[optind + 1];
    if (verify) {
        options->output = options->second != NULL ? options->second : options->path;
        options->reproducible = true;
        return OPTIONS_GO;
    }
    if (options->command == COMMAND_RUN && !fits_ranks(options))
        return bad();
    if (options->output != NULL || options->command != COMMAND_RUN)
        return OPTIONS_GO;
    if (strcmp(options->path, "-") == 0) {
        options->output = "-";
        return OPTIONS_GO;
    }
    options->output = options->output_made = options_default_output(options);
    if (options->output == NULL) {
        complain("out of memory");
        return OPTIONS_BAD;
    }
    return OPTIONS_GO;
}

enum options_end options_parse(int argc, char **argv, struct options *options)
{
    *options = (struct options){.gas = DEFAULT_GAS,
                                .max_in_flight = DEFAULT_IN_FLIGHT,
                                .shards = 1,
                                .memory_bytes = DEFAULT_MEMORY};
    options->engine = javm_engine_available(JAVM_ENGINE_JIT) ? JAVM_ENGINE_JIT : JAVM_ENGINE_INTERP;
    if (!find_command(&argc, &argv, options))
        return bad();
    options->words = argv;
    options->word_count = argc;
    opterr = 0;
    for (;;) {
        int index = 0;
        const int id = getopt_long(argc, argv, ":hV", OPTIONS, &index);
        if (id == -1)
            return finish(argc, argv, options);
        if (id == 'h') {
            fputs(OPTIONS_HELP, stdout);
            return OPTIONS_DONE;
        }
        if (id == 'V') {
            printf("javm-batch %s\n%smpi       %s\n", JAVM_VERSION, javm_build_facts(), MPI);
            return OPTIONS_DONE;
        }
        if (id == '?' || id == ':') {
            args_unknown(id, argv);
            return bad();
        }
        if (!fits(options->command, id)) {
            complain("--%s: not an option of this command", OPTIONS[index].name);
            return bad();
        }
        if (!set_option(id, options))
            return bad();
    }
}

void options_free(struct options *options)
{
    free(options->output_made);
    options->output_made = NULL;
    free(options->stubs.items);
    options->stubs = (struct foreign_stubs){NULL, 0};
}
