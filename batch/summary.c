#include "batch/summary.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "batch/text.h"
#include "javm/load.h"

#define LABEL_WIDTH 14

__attribute__((format(printf, 3, 4))) static void row(FILE *to, const char *label, const char *fmt,
                                                      ...)
{
    va_list args;
    va_start(args, fmt);
    fprintf(to, "  %-*s", LABEL_WIDTH, label);
    vfprintf(to, fmt, args);
    fputc('\n', to);
    va_end(args);
}

/* Ended by a bad line or by input that could not be read. */
static bool stopped_by_input(const struct summary *s)
{
    return s->halt == HALT_NONE && !s->input_ended;
}

static uint64_t not_run(const struct summary *s)
{
    return s->announced > s->totals.done ? s->announced - s->totals.done : 0;
}

static void print_stop(FILE *to, const struct summary *s)
{
    char number[32];
    if (s->halt == HALT_NONE && s->input_ended)
        return;
    static const char *const WHY[] = {"bad input", "interrupted", "the results cannot be written",
                                      "--fail-fast", "out of memory"};
    row(to, "stopped", "%s%s%s%s%s", WHY[s->halt], not_run(s) == 0 ? "" : "; ",
        not_run(s) == 0 ? "" : text_grouped(number, not_run(s)),
        not_run(s) == 0 ? "" : " jobs that were read did not run",
        s->input_ended ? "" : "; the rest of the file was not read");
}

static void print_native(FILE *to, const struct javm_jit_stats *n)
{
    char a[32], b[32], c[32], d[32];
    if (n->compiled_bytes > 0)
        row(to, "compiled", "%s of code in %.1f ms", text_size(a, n->compiled_bytes),
            (double)n->compile_ns / 1e6);
    if (n->files_loaded + n->files_saved + n->files_refused + n->files_failed > 0)
        row(to, "cache", "%s loaded, %s saved%s%s%s%s", text_grouped(a, n->files_loaded),
            text_grouped(b, n->files_saved), n->files_refused == 0 ? "" : ", refused ",
            n->files_refused == 0 ? "" : text_grouped(c, n->files_refused),
            n->files_failed == 0 ? "" : ", not written ",
            n->files_failed == 0 ? "" : text_grouped(d, n->files_failed));
}

void summary_print(FILE *to, const struct summary *s, const struct run *run)
{
    char a[32], b[32];
    const double seconds = s->seconds > 0 ? s->seconds : 1e-9;
    const struct options *options = run->options;
    fprintf(to, "javm-batch: %s%s%s\n", options->path,
            options->command == COMMAND_VERIFY ? " against "
            : strcmp(options->path, "-") == 0  ? ""
                                               : " -> ",
            options->folder != NULL ? options->folder
            : options->command == COMMAND_VERIFY || strcmp(options->path, "-") != 0
                ? options->output
                : "");
    row(to, "jobs", "%s", text_grouped(a, s->totals.done));
    for (unsigned i = 0; i < OUTCOME_COUNT; i++)
        if (s->totals.exits[i] > 0)
            row(to, "", "%-11s %s", outcome_name((enum outcome)i),
                text_grouped(a, s->totals.exits[i]));
    if (s->totals.mismatches > 0)
        row(to, "mismatches", "%s", text_grouped(a, s->totals.mismatches));
    if (options->resume)
        row(to, "resumed", "%s results were there%s%s%s", text_grouped(a, s->resumed),
            s->strangers == 0 || !s->input_ended ? "" : ", and ",
            s->strangers == 0 || !s->input_ended ? "" : text_grouped(b, s->strangers),
            s->strangers == 0 || !s->input_ended ? "" : " of jobs that are not in the file");
    if (s->totals.replayed > 0)
        row(to, "replayed", "%s jobs of chains", text_grouped(a, s->totals.replayed));
    print_stop(to, s);
    row(to, "gas", "%s  (%s/s)", text_grouped(a, s->totals.gas),
        text_scaled(b, (double)s->totals.gas / seconds));
    row(to, "time", "%.3f s  (%s jobs/s)", s->seconds,
        text_scaled(a, (double)s->totals.done / seconds));
    if (options->command != COMMAND_VERIFY)
        row(to, "results", "%s lines, %s", text_grouped(a, s->lines_written),
            text_size(b, s->bytes_written));
    if (options->ranks > 0)
        row(to, "ranks", "%u; what follows is of the first one", options->ranks);
    row(to, "workers", "%u, %s steals", s->workers,
        text_grouped(a, s->sched.steals_l3 + s->sched.steals_node + s->sched.steals_far));
    print_native(to, &s->native);
    row(to, "peak memory", "%s", text_size(a, s->peak_bytes));
    unsigned samples = atomic_load_explicit(&run->samples, memory_order_relaxed); /* joined */
    const uint64_t failures = s->totals.failures;
    if (samples > SAMPLES)
        samples = SAMPLES;
    if (failures > samples && samples > 0)
        fprintf(to, "%s failures, the first %u:\n", text_grouped(a, failures), samples);
    else if (samples > 0)
        fprintf(to, "%s failure%s:\n", text_grouped(a, failures), failures == 1 ? "" : "s");
    for (unsigned i = 0; i < samples; i++)
        fprintf(to, "  %s\n", run->sample[i]);
    fflush(to);
}

/* ---- JSON ------------------------------------------------------------------------------- */

void summary_print_stats(FILE *to, const struct summary *s, const struct run *run)
{
    static const char *const HALTS[] = {"", "signal", "sink", "fail-fast", "memory"};
    static const struct {
        const char *name;
        double fraction;
    } PERCENTILES[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}, {"max", 1.0}};
    fprintf(to, "{\"jobs\":%" PRIu64 ",\"exits\":{", s->totals.done);
    for (unsigned i = 0; i < OUTCOME_COUNT; i++)
        fprintf(to, "%s\"%s\":%" PRIu64, i == 0 ? "" : ",", outcome_name((enum outcome)i),
                s->totals.exits[i]);
    fprintf(to, "},\"resumed\":%" PRIu64 ",\"replayed\":%" PRIu64, s->resumed, s->totals.replayed);
    fprintf(to, ",\"mismatches\":%" PRIu64 ",\"not_run\":%" PRIu64 ",\"input_complete\":%s",
            s->totals.mismatches, not_run(s), s->input_ended ? "true" : "false");
    fprintf(to, ",\"stopped_by\":\"%s\",\"exit_code\":%d",
            stopped_by_input(s) ? "input" : HALTS[s->halt], s->exit_code);
    fprintf(to, ",\"gas\":%" PRIu64 ",\"seconds\":%.6f,\"busy_seconds\":%.6f", s->totals.gas,
            s->seconds, (double)s->totals.busy_ns / 1e9);
    fprintf(to, ",\"latency_us\":{");
    for (size_t i = 0; i < sizeof PERCENTILES / sizeof *PERCENTILES; i++)
        fprintf(to, "%s\"%s\":%.3f", i == 0 ? "" : ",", PERCENTILES[i].name,
                latency_percentile(&s->totals, PERCENTILES[i].fraction) / 1e3);
    fprintf(to, "},\"results\":{\"lines\":%" PRIu64 ",\"bytes\":%" PRIu64 "}", s->lines_written,
            s->bytes_written);
    fprintf(to,
            ",\"workers\":%u,\"engine\":\"%s\",\"scheduler\":{\"tasks\":%" PRIu64
            ",\"spawned\":%" PRIu64 ",\"steals_l3\":%" PRIu64 ",\"steals_node\":%" PRIu64
            ",\"steals_far\":%" PRIu64 ",\"stolen_tasks\":%" PRIu64 ",\"failed_steals\":%" PRIu64
            ",\"parks\":%" PRIu64 ",\"wakes\":%" PRIu64 "}",
            s->workers, run->engine == JAVM_ENGINE_JIT ? "jit" : "interp", s->sched.tasks,
            s->sched.spawned, s->sched.steals_l3, s->sched.steals_node, s->sched.steals_far,
            s->sched.stolen_tasks, s->sched.failed_steals, s->sched.parks, s->sched.wakes);
    fprintf(to,
            ",\"programs\":{\"hits\":%" PRIu64 ",\"misses\":%" PRIu64
            ",\"decode_seconds\":%.6f,\"bytes\":%" PRIu64 "},\"pages_touched\":%" PRIu64,
            s->vm.program_hits, s->vm.program_misses, (double)s->vm.decode_ns / 1e9,
            s->vm.program_bytes, s->vm.pages_touched);
    fprintf(to,
            ",\"native\":{\"programs\":%" PRIu64 ",\"regions\":%" PRIu64 ",\"bytes\":%" PRIu64
            ",\"compiled_bytes\":%" PRIu64 ",\"compile_seconds\":%.6f,\"files_loaded\":%" PRIu64
            ",\"files_saved\":%" PRIu64 ",\"files_refused\":%" PRIu64 ",\"files_failed\":%" PRIu64
            "}",
            s->native.programs, s->native.regions, s->native.code_bytes, s->native.compiled_bytes,
            (double)s->native.compile_ns / 1e9, s->native.files_loaded, s->native.files_saved,
            s->native.files_refused, s->native.files_failed);
    fprintf(to, ",\"caps\":{\"published\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"live\":%" PRIu64 "}",
            s->caps.blobs, s->caps.blob_bytes, s->caps.instances);
    fprintf(to, ",\"processor_seconds\":{\"all\":%.6f,\"workers\":%.6f,\"writer\":%.6f}",
            (double)s->processor_ns / 1e9, (double)s->workers_ns / 1e9, (double)s->writer_ns / 1e9);
    fprintf(to, ",\"peak_memory_bytes\":%" PRIu64 "}\n", s->peak_bytes);
}

enum javm_status summary_write_stats(const char *path, const struct summary *summary,
                                     const struct run *run, struct javm_error *err)
{
    char *bytes = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&bytes, &len);
    if (memory == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", path);
    summary_print_stats(memory, summary, run);
    if (fclose(memory) != 0) {
        free(bytes);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", path);
    }
    const enum javm_status status = javm_file_write(path, bytes, len, err);
    free(bytes);
    return status;
}
