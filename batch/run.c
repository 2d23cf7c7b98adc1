#include "batch/run.h"

#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "batch/chain.h"
#include "batch/diag.h"
#include "batch/history.h"
#include "batch/isolate.h"
#include "batch/metrics.h"
#include "batch/outputs.h"
#include "batch/partings.h"
#include "batch/pipeline.h"
#include "batch/ranks.h"
#include "batch/ranks_summary.h"
#include "batch/record.h"
#include "batch/report.h"
#include "batch/results_folder.h"
#include "batch/summary.h"
#include "batch/trace.h"
#include "batch/verify.h"
#include "batch/watcher.h"
#include "batch/worker.h"

enum {
    EXIT_FINE = 0,
    EXIT_DIFFERENT = 1,
    EXIT_BAD = 2,
    EXIT_UNFINISHED = 3,
    EXIT_INTERRUPTED = 130
};

static int64_t read_clock(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t clock_ns(void)
{
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_thread_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

void run_halt(struct run *run, enum halt reason)
{
    unsigned none = HALT_NONE;
    const uint64_t one = 1;
    /* Relaxed: see run_halted. */
    if (atomic_compare_exchange_strong_explicit(&run->halt, &none, reason, memory_order_relaxed,
                                                memory_order_relaxed))
        (void)!write(run->stop_fd, &one, sizeof one);
}

void run_totals(struct run *run, struct totals *totals, bool latency)
{
    /* Acquire, partner: worker_start; the list only grows at its head. */
    const struct worker *worker = atomic_load_explicit(&run->workers, memory_order_acquire);
    for (; worker != NULL; worker = worker->next) {
        totals_add(totals, &worker->counters);
        if (latency)
            totals_add_latency(totals, &worker->counters);
    }
}

static void on_sink_failure(void *arg)
{
    run_halt(arg, HALT_SINK);
}

/* ---- set-up, each undone by `dispose` --------------------------------------------------- */

struct parts {
    struct run run;
    struct options options; /* --mpi: this rank's; with a recorded run: what that says */
    struct record *record;
    struct recording *recording;
    /* Where jobs and recorded results are read from (name NULL: no other than the path), and what
     * paths of jobs begin with (NULL: as that of the jobs file says). Borrowed. */
    struct recorded jobs, results;
    const char *base;
    struct javm_dir_thread *dir;
    struct reader *reader;
    struct progress *progress;
    struct watcher *watcher;
    struct metrics *metrics;
    struct report *report;
    struct rank_end others; /* --mpi: what rank 0 heard, or what another rank tells it */
};

static int fail_setup(enum javm_status status, const struct javm_error *err)
{
    complain("%s", err->text);
    return status == JAVM_E_NOMEM ? EXIT_UNFINISHED : EXIT_BAD;
}

static int no_memory(void)
{
    complain("out of memory");
    return EXIT_UNFINISHED;
}

static int open_reader(struct parts *parts)
{
    const struct options *options = parts->run.options;
    struct chains *chains = parts->run.chains = chains_new();
    const struct reader_options reader_options = {.gas = options->gas,
                                                  .post = options->post,
                                                  .keep = options->isolated,
                                                  .chains = chains,
                                                  .stubs = &options->stubs};
    char *base = parts->base != NULL ? strdup(parts->base) : options_base(options->path);
    if (base != NULL && chains != NULL)
        parts->reader = reader_new(parts->dir, base, &reader_options);
    free(base);
    return parts->reader == NULL ? no_memory() : EXIT_FINE;
}

/* The default engine gives way to the other one when the machine does not let it be; one that was
 * asked for does not, and a cache that cannot be used is a wrong option, whatever the engine. */
static int start_engine(struct run *run)
{
    const struct options *options = run->options;
    struct javm_error err, without;
    run->engine = options->engine;
    if (run->engine != JAVM_ENGINE_JIT)
        return EXIT_FINE;
    if (natives_new(options->cache, options->perf_map, &run->natives, &err) == JAVM_OK)
        return EXIT_FINE;
    if (options->cache != NULL &&
        natives_new(NULL, options->perf_map, &run->natives, &without) == JAVM_OK) {
        complain("--cache: %s", err.text);
        return EXIT_BAD;
    }
    complain(options->engine_named ? "--engine jit: %s" : "%s; --engine interp is used instead",
             err.text);
    if (options->engine_named)
        return EXIT_UNFINISHED;
    run->engine = JAVM_ENGINE_INTERP;
    return EXIT_FINE;
}

/* Before anything else is in memory: what is forked later has what is there now. */
static int isolate_first(struct run *run)
{
    struct javm_error err;
    run->engine = run->options->engine;
    if (!run->options->isolated)
        return EXIT_FINE;
    int code = start_engine(run); /* does the engine work here? */
    natives_free(run->natives);
    run->natives = NULL;
    if (code == EXIT_FINE &&
        isolation_open(run->options, run->engine, &run->isolation, &err) != JAVM_OK) {
        complain("--isolation %s: %s", run->options->in_machine ? "kvm" : "process", err.text);
        code = EXIT_UNFINISHED;
    }
    return code;
}

static int start_workers(struct parts *parts)
{
    struct run *run = &parts->run;
    struct javm_error err;
    const struct javm_sched_options options = {.workers = run->options->workers,
                                               .numa = run->options->numa,
                                               .start = worker_start,
                                               .stop = worker_stop,
                                               .event = run->trace != NULL ? worker_event : NULL,
                                               .arg = run};
    const enum javm_status status = javm_sched_create(&options, &run->sched, &err);
    if (status == JAVM_OK)
        return EXIT_FINE;
    /* Acquire, partner: worker_start. */
    if (atomic_load_explicit(&run->worker_failed, memory_order_acquire))
        err = run->worker_error;
    complain("cannot start the workers: %s", err.text);
    return EXIT_UNFINISHED;
}

/* What the results file has already, and where it is torn. */
static int read_history(struct run *run)
{
    struct javm_error err;
    uint64_t whole;
    run->history = history_new();
    if (run->history == NULL)
        return no_memory();
    const struct options *options = run->options;
    const enum javm_status status =
        options->folder != NULL
            ? results_folder_read(run->history, options->folder, options->output,
                                  options->retry_crashed, &whole, &err)
            : history_read(run->history, options->output, options->retry_crashed, &whole, &err);
    if (status != JAVM_OK)
        return fail_setup(status, &err);
    sink_keep(run->sink, whole);
    return EXIT_FINE;
}

static bool consume(void *arg, const char *bytes, size_t len)
{
    struct run *run = arg;
    return verify_lines(run->verify, bytes, len);
}

static bool hand_on(void *arg, const struct segment *segment)
{
    struct run *run = arg;
    return ranks_send(run->ranks, segment);
}

static int open_sink(struct parts *parts)
{
    struct run *run = &parts->run;
    const struct options *options = run->options;
    struct javm_error err;
    enum javm_status status = JAVM_OK;
    if (options->command == COMMAND_VERIFY)
        status = verify_open(parts->results.path, parts->results.name, &run->verify, &err);
    if (status != JAVM_OK)
        return fail_setup(status, &err);
    const bool sends = ranks_gather(run->ranks) && !ranks_first(run->ranks);
    const struct sink_options sink_options = {
        .path = options->output,
        .input_fd = input_fd(run->input),
        .resume = options->resume,
        .consume = run->verify != NULL ? consume : NULL,
        .hand_on = sends ? hand_on : NULL,
        .ordered = options->ordered && !sends,
        /* A chunk more than may be in flight: the one that waits for room is numbered already. */
        .window = ranks_gather(run->ranks) ? RANKS_WINDOW
                                           : options->max_in_flight + CHUNK_UNITS + CHUNK_JOBS,
        .failed = on_sink_failure,
        .arg = run};
    status = sink_open(&sink_options, &run->sink, &err);
    if (status != JAVM_OK)
        return fail_setup(status, &err);
    return options->resume ? read_history(run) : EXIT_FINE;
}

static int set_up(struct parts *parts, const struct options *options)
{
    struct run *run = &parts->run;
    struct javm_error err;
    run->options = options;
    pthread_mutex_init(&run->rescue_lock, NULL);
    run->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (run->stop_fd < 0)
        return no_memory();
    outputs_stop(run->stop_fd);
    int code = isolate_first(run);
    if (code != EXIT_FINE)
        return code;
    enum javm_status status = input_open(parts->jobs.path, &run->input, &err);
    if (status != JAVM_OK)
        return fail_setup(status, &err);
    if (parts->jobs.name != NULL)
        input_call(run->input, parts->jobs.name);
    const long cores = sysconf(_SC_NPROCESSORS_ONLN);
    const unsigned guess = options->workers > 0 ? options->workers
                           : cores > 0          ? (unsigned)cores
                                                : 1;
    status = javm_directory_create(guess + 1, 0, &run->dir, &err);
    if (status != JAVM_OK)
        return fail_setup(status, &err);
    parts->dir = javm_directory_join(run->dir);
    if (parts->dir == NULL)
        return no_memory();
    code = open_reader(parts);
    if (code != EXIT_FINE)
        return code;
    code = run->isolation == NULL ? start_engine(run) : EXIT_FINE;
    if (code != EXIT_FINE)
        return code;
    code = open_sink(parts);
    if (code != EXIT_FINE)
        return code;
    watcher_block_signals();
    if (options->stats != NULL &&
        (status = outputs_probe(options->stats, input_fd(run->input), &err)) != JAVM_OK)
        return fail_setup(status, &err);
    if (options->report != NULL &&
        (status = outputs_probe(options->report, input_fd(run->input), &err)) != JAVM_OK)
        return fail_setup(status, &err);
    if (options->save_chains != NULL &&
        (status = outputs_probe_replaced(options->save_chains, input_fd(run->input), &err)) !=
            JAVM_OK)
        return fail_setup(status, &err);
    if (options->record != NULL &&
        (status = outputs_probe_replaced(options->record, -1, &err)) != JAVM_OK)
        return fail_setup(status, &err);
    if (options->trace != NULL &&
        ((status = outputs_probe(options->trace, input_fd(run->input), &err)) != JAVM_OK ||
         (status = trace_open(options->trace, options->path, &run->trace, &err)) != JAVM_OK))
        return fail_setup(status, &err);
    if (options->bisect && partings_new(run->engine, &run->partings, &err) != JAVM_OK) {
        complain("--bisect: %s", err.text);
        return EXIT_UNFINISHED;
    }
    code = start_workers(parts);
    if (code != EXIT_FINE)
        return code;
    run->started_ns = clock_ns();
    if (options->metrics != NULL &&
        (status = metrics_start(options->metrics, run, &parts->metrics, &err)) != JAVM_OK)
        return fail_setup(status, &err);
    if (options->report != NULL && report_start(run, &parts->report, &err) != JAVM_OK) {
        complain("%s", err.text);
        return EXIT_UNFINISHED;
    }
    parts->progress = progress_new(options->progress, stderr);
    parts->watcher = watcher_start(run, parts->progress);
    return parts->watcher == NULL ? no_memory() : EXIT_FINE;
}

static void dispose(struct parts *parts)
{
    struct run *run = &parts->run;
    struct javm_error err;
    metrics_stop(parts->metrics);
    report_free(parts->report);
    watcher_stop(parts->watcher);
    progress_free(parts->progress);
    if (run->sched != NULL)
        javm_sched_destroy(run->sched);
    if (run->sink != NULL)
        sink_close(run->sink, &err);
    sink_free(run->sink);
    struct worker *worker = atomic_load_explicit(&run->workers, memory_order_relaxed);
    while (worker != NULL) {
        struct worker *next = worker->next;
        free(worker);
        worker = next;
    }
    isolation_close(run->isolation);
    trace_free(run->trace);
    reader_free(parts->reader);
    natives_free(run->natives);
    history_free(run->history);
    verify_free(run->verify);
    partings_free(run->partings);
    chains_free(run->chains);
    if (parts->dir != NULL)
        javm_directory_leave(parts->dir);
    if (run->dir != NULL)
        javm_directory_destroy(run->dir);
    input_close(run->input);
    if (run->stop_fd >= 0)
        close(run->stop_fd);
    pthread_mutex_destroy(&run->rescue_lock);
}

/* ---- the end ---------------------------------------------------------------------------- */

static void collect_sched(const struct run *run, struct summary *summary)
{
    summary->workers = javm_sched_workers(run->sched);
    for (unsigned i = 0; i < summary->workers; i++) {
        struct javm_worker_stats one;
        javm_sched_worker_stats(run->sched, i, &one);
        summary->sched.tasks += one.tasks;
        summary->sched.spawned += one.spawned;
        summary->sched.steals_l3 += one.steals_l3;
        summary->sched.steals_node += one.steals_node;
        summary->sched.steals_far += one.steals_far;
        summary->sched.stolen_tasks += one.stolen_tasks;
        summary->sched.failed_steals += one.failed_steals;
        summary->sched.parks += one.parks;
        summary->sched.wakes += one.wakes;
    }
}

/* After the workers were stopped. */
static void collect_vms(struct run *run, struct summary *summary)
{
    const struct worker *worker = atomic_load_explicit(&run->workers, memory_order_acquire);
    for (; worker != NULL; worker = worker->next) {
        summary->workers_ns += worker->processor_ns;
        summary->vm.invocations += worker->vm_stats.invocations;
        summary->vm.program_hits += worker->vm_stats.program_hits;
        summary->vm.program_misses += worker->vm_stats.program_misses;
        summary->vm.decode_ns += worker->vm_stats.decode_ns;
        summary->vm.program_bytes += worker->vm_stats.program_bytes;
        summary->vm.pages_touched += worker->vm_stats.pages_touched;
        summary->native.programs += worker->native_stats.programs;
        summary->native.regions += worker->native_stats.regions;
        summary->native.code_bytes += worker->native_stats.code_bytes;
        summary->native.compiled_bytes += worker->native_stats.compiled_bytes;
        summary->native.compile_ns += worker->native_stats.compile_ns;
    }
}

/* After the workers were stopped. False: some of the cache could not be written. */
static bool collect_natives(struct run *run, struct summary *summary, struct javm_error *err)
{
    if (run->natives == NULL)
        return true;
    const bool saved = natives_save(run->natives, err) == JAVM_OK;
    natives_stats(run->natives, &summary->native);
    return saved;
}

/* After the workers were stopped. What is live then was counted by somebody who forgot it. */
static void collect_caps(struct javm_dir_thread *dir, struct summary *summary)
{
    javm_directory_sweep(dir);
    javm_directory_stats(dir, &summary->caps);
    if (summary->caps.instances != 0)
        complain("warning: internal error: %llu live entries are left after the batch",
                 (unsigned long long)summary->caps.instances);
}

static int exit_code(const struct summary *summary, const struct run *run, enum pipeline_end end)
{
    if (summary->halt == HALT_SIGNAL)
        return EXIT_INTERRUPTED;
    if (summary->halt == HALT_SINK || summary->halt == HALT_MEMORY || end == PIPELINE_BROKEN)
        return EXIT_UNFINISHED;
    if (end == PIPELINE_BAD)
        return EXIT_BAD;
    if (run->verify != NULL) /* what failed as it was recorded is as it was recorded */
        return EXIT_FINE;
    return summary->totals.failures + run->resumed_failures > 0 ? EXIT_DIFFERENT : EXIT_FINE;
}

static void tell_sink_failure(const struct summary *summary, const struct javm_error *err)
{
    complain("%s; %llu results were written", err->text,
             (unsigned long long)summary->lines_written);
}

static void tell_resume(const struct run *run, const struct summary *summary)
{
    if (run->options->ordered && run->resumed_late)
        complain("the results are not in order: %s had some of later jobs already",
                 run->options->output);
    if (summary->halt == HALT_NONE && summary->input_ended)
        return;
    char *command = options_resume_command(run->options);
    if (command != NULL)
        complain("to go on: %s", command);
    free(command);
}

static void compare(struct run *run, struct summary *summary)
{
    const bool complete = summary->halt == HALT_NONE && summary->input_ended;
    struct javm_error err;
    bool equal = true;
    if (verify_report(run->verify, stdout, stderr, complete, &equal, &err) != JAVM_OK) {
        complain("%s", err.text);
        if (summary->exit_code <= EXIT_DIFFERENT)
            summary->exit_code = EXIT_UNFINISHED;
    }
    if (run->partings != NULL && partings_tell(run->partings, stdout, stderr) > 0)
        equal = false;
    if (!equal && summary->exit_code == EXIT_FINE)
        summary->exit_code = EXIT_DIFFERENT;
}

/* After the workers were stopped. False: it could not be written, which was said. */
static bool finish_trace(struct run *run)
{
    struct trace_figures figures;
    struct javm_error err;
    if (run->trace == NULL)
        return true;
    const bool written = trace_close(run->trace, &figures, &err) == JAVM_OK;
    if (!written)
        complain("--trace: %s", err.text);
    if (figures.lost > 0)
        complain("warning: --trace: %llu events came too fast to be written",
                 (unsigned long long)figures.lost);
    return written;
}

/* What is not complete could not be told from what was recorded. */
static bool finish_record(const struct parts *parts, const struct summary *summary)
{
    const struct options *options = parts->run.options;
    struct javm_error err;
    if (parts->record == NULL)
        return true;
    if (summary->halt != HALT_NONE || !summary->input_ended) {
        complain("--record: nothing is recorded of a batch that did not end");
        return true;
    }
    if (record_write(parts->record, options, &err) == JAVM_OK)
        return true;
    complain("--record: %s", err.text);
    return false;
}

static int finish(struct parts *parts, enum pipeline_end end)
{
    struct run *run = &parts->run;
    struct summary summary = {0};
    struct javm_error sink_err, cache_err, err;
    struct rusage usage;
    javm_sched_wait(run->sched);
    worker_end_rescue(run);
    javm_sched_wait(run->sched); /* for what a rescue handed back just before */
    if (run->ranks != NULL && ranks_first(run->ranks))
        ranks_await(run->ranks, &parts->others);
    collect_sched(run, &summary);
    sink_end(run->sink);
    summary.seconds = (double)(clock_ns() - run->started_ns) / 1e9;
    report_stop(parts->report);
    const bool written = sink_close(run->sink, &sink_err);
    sink_written(run->sink, &summary.lines_written, &summary.bytes_written);
    summary.writer_ns = sink_writer_ns(run->sink);
    watcher_stop(parts->watcher); /* until here a second signal may want the sink */
    parts->watcher = NULL;
    metrics_stop(parts->metrics);
    parts->metrics = NULL;
    sink_free(run->sink);
    run->sink = NULL;
    javm_sched_destroy(run->sched);
    run->sched = NULL;
    collect_vms(run, &summary);
    collect_caps(parts->dir, &summary);
    reader_close(parts->reader);
    const bool saved = collect_natives(run, &summary, &cache_err);
    summary.announced = atomic_load_explicit(&run->announced, memory_order_relaxed);
    if (run->ranks != NULL)
        ranks_join(run, &summary, &parts->others, &end);
    run_totals(run, &summary.totals, true);
    summary.resumed = run->resumed;
    summary.strangers = run->history == NULL ? 0 : history_count(run->history);
    summary.input_ended = end == PIPELINE_READ_ALL;
    summary.halt = written ? run_halted(run) : HALT_SINK;
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        summary.peak_bytes = (uint64_t)usage.ru_maxrss * 1024;
    summary.processor_ns = read_clock(CLOCK_PROCESS_CPUTIME_ID);
    summary.exit_code = exit_code(&summary, run, end);
    if (!ranks_first(run->ranks)) {
        if (!written)
            tell_sink_failure(&summary, &sink_err);
        ranks_report(run, &summary, end, &parts->others);
        return EXIT_FINE; /* rank 0 has the code of all */
    }
    progress_hide(parts->progress);
    if (!written)
        tell_sink_failure(&summary, &sink_err);
    if (!saved)
        complain("warning: %s; %llu programs will be compiled again", cache_err.text,
                 (unsigned long long)summary.native.files_failed);
    if (written || sink_err.status != JAVM_E_STATE) /* a reader that went away wants no table */
        summary_print(stderr, &summary, run);
    tell_resume(run, &summary);
    if (run->verify != NULL)
        compare(run, &summary);
    progress_release(parts->progress);
    if (!finish_record(parts, &summary) && summary.exit_code <= EXIT_DIFFERENT)
        summary.exit_code = EXIT_UNFINISHED;
    if (!finish_trace(run) && summary.exit_code <= EXIT_DIFFERENT)
        summary.exit_code = EXIT_UNFINISHED;
    if (run->options->save_chains != NULL &&
        chains_save(run->chains, parts->dir, run->options->save_chains, &err) != JAVM_OK) {
        complain("--save-chains: %s", err.text);
        if (summary.exit_code <= EXIT_DIFFERENT)
            summary.exit_code = EXIT_UNFINISHED;
    }
    if (run->options->stats != NULL && !outputs_conflict() &&
        summary_write_stats(run->options->stats, &summary, run, &err) != JAVM_OK) {
        complain("%s", err.text);
        if (summary.exit_code == EXIT_FINE)
            summary.exit_code = EXIT_UNFINISHED;
    }
    if (parts->report != NULL && !outputs_conflict() &&
        report_write(parts->report, run->options->report, &summary, &err) != JAVM_OK) {
        complain("--report: %s", err.text);
        if (summary.exit_code <= EXIT_DIFFERENT)
            summary.exit_code = EXIT_UNFINISHED;
    }
    return summary.exit_code;
}

/* Rank 0 first: what is wrong with the command is said once, and it has its results file. The
 * others have read what there is in it before any rank begins. */
static int set_up_ranks(struct parts *parts, const struct options *options)
{
    struct run *run = &parts->run;
    struct javm_error err;
    parts->options = *options;
    parts->options.progress = PROGRESS_NONE;
    watcher_block_signals();
    const enum javm_status status = ranks_open(run, &parts->options, &run->ranks, &err);
    if (run->ranks == NULL)
        return fail_setup(status, &err);
    int code = status == JAVM_OK ? EXIT_FINE : fail_setup(status, &err);
    if (code == EXIT_FINE && ranks_first(run->ranks))
        code = set_up(parts, &parts->options);
    int all = ranks_agree(run->ranks, code);
    if (all == EXIT_FINE && !ranks_first(run->ranks))
        code = set_up(parts, &parts->options);
    if (all == EXIT_FINE && code == EXIT_FINE && ranks_begin(run->ranks, &err) != JAVM_OK)
        code = fail_setup(err.status, &err);
    if (all == EXIT_FINE)
        all = ranks_agree(run->ranks, code);
    if (all == EXIT_FINE)
        ranks_go(run->ranks);
    return all;
}

/* A recorded run instead of a jobs file; or a jobs file that is to be recorded, read before all
 * else. */
static int open_source(struct parts *parts, const struct options **options)
{
    struct javm_error err;
    enum javm_status status = JAVM_OK;
    const bool recorded = recording_is((*options)->path);
    parts->jobs.path = (*options)->path;
    parts->results = (struct recorded){(*options)->second, (*options)->second};
    if (recorded) {
        parts->options = **options;
        *options = &parts->options;
        status = recording_open(parts->options.path, &parts->recording, &err);
        if (status == JAVM_OK)
            status = recording_options(parts->recording, &parts->options, &err);
        if (status != JAVM_OK)
            return fail_setup(status, &err);
        parts->jobs = recording_jobs(parts->recording);
        parts->base = recording_base(parts->recording);
        if (parts->options.second == NULL)
            parts->results = recording_results(parts->recording);
    } else if ((*options)->command == COMMAND_VERIFY && (*options)->second == NULL) {
        complain("%s: expected a jobs file and its results, or a recorded run", (*options)->path);
        return EXIT_BAD;
    }
    if ((*options)->record != NULL) {
        if (recorded) {
            complain("--record: %s is a recorded run", (*options)->path);
            return EXIT_BAD;
        }
        status = record_open(*options, &parts->record, &err);
        if (status != JAVM_OK)
            return fail_setup(status, &err);
        parts->jobs =
            (struct recorded){record_jobs(parts->record),
                              strcmp((*options)->path, "-") == 0 ? "<stdin>" : (*options)->path};
    }
    outputs_record(parts->record, parts->recording);
    return EXIT_FINE;
}

int run_batch(const struct options *options)
{
    struct parts *parts = calloc(1, sizeof *parts);
    if (parts == NULL)
        return no_memory();
    parts->run.stop_fd = -1;
    watcher_before();
    int code = open_source(parts, &options);
    if (code == EXIT_FINE)
        code = options->mpi ? set_up_ranks(parts, options) : set_up(parts, options);
    if (code == EXIT_FINE)
        code = finish(parts, pipeline_feed(&parts->run, parts->reader, parts->progress));
    struct ranks *ranks = parts->run.ranks;
    dispose(parts);
    record_free(parts->record);
    recording_free(parts->recording);
    free(parts);
    ranks_close(ranks);
    return code;
}
