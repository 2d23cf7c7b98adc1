#include "batch/report.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "batch/diag.h"
#include "batch/series.h"
#include "batch/worker.h"
#include "javm/load.h"
#include "javm/version.h"

#include "batch/report_page.inc" /* PAGE_HEAD, PAGE_TAIL: report.html before and behind the figures */

#define FIRST_INTERVAL_NS 1000000

struct report {
    struct run *run;
    time_t began;
    unsigned workers, rows;
    int quit_fd;
    bool running;
    pthread_t thread;
    struct series series; /* the thread's, and everybody's when it has ended */
};

/* ---- looking ---------------------------------------------------------------------------- */

static unsigned row_of(const struct report *report, unsigned worker)
{
    return (unsigned)((uint64_t)worker * report->rows / report->workers);
}

static void look(struct report *report)
{
    struct totals totals = {0};
    struct series_point point = {.ns = clock_ns() - report->run->started_ns};
    run_totals(report->run, &totals, false);
    point.jobs = totals.done;
    point.failures = totals.failures;
    point.gas = totals.gas;
    /* Acquire, partner: worker_start. */
    const struct worker *worker = atomic_load_explicit(&report->run->workers, memory_order_acquire);
    for (; worker != NULL; worker = worker->next)
        point.busy_ns[row_of(report, worker->index)] +=
            atomic_load_explicit(&worker->counters.busy_ns, memory_order_relaxed); /* a figure */
    series_add(&report->series, &point);
}

static void *report_main(void *arg)
{
    struct report *report = arg;
    for (;;) {
        struct pollfd fd = {report->quit_fd, POLLIN, 0};
        if (poll(&fd, 1, (int)(report->series.interval_ns / 1000000)) > 0)
            return NULL;
        look(report);
    }
}

enum javm_status report_start(struct run *run, struct report **out, struct javm_error *err)
{
    struct report *report = malloc(sizeof *report);
    if (report == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "--report: out of memory");
    report->run = run;
    report->began = time(NULL);
    report->workers = javm_sched_workers(run->sched);
    report->rows = report->workers < SERIES_ROWS ? report->workers : SERIES_ROWS;
    report->quit_fd = eventfd(0, EFD_CLOEXEC);
    series_begin(&report->series, FIRST_INTERVAL_NS);
    report->running =
        report->quit_fd >= 0 && pthread_create(&report->thread, NULL, report_main, report) == 0;
    if (!report->running) {
        report_free(report);
        return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE, "--report: no thread for it");
    }
    *out = report;
    return JAVM_OK;
}

static void end_thread(struct report *report)
{
    const uint64_t one = 1;
    if (!report->running)
        return;
    (void)!write(report->quit_fd, &one, sizeof one);
    pthread_join(report->thread, NULL);
    report->running = false;
}

void report_stop(struct report *report)
{
    if (report == NULL)
        return;
    end_thread(report);
    look(report);
}

void report_free(struct report *report)
{
    if (report == NULL)
        return;
    end_thread(report);
    if (report->quit_fd >= 0)
        close(report->quit_fd);
    free(report);
}

/* ---- the page --------------------------------------------------------------------------- */

/* A string that neither ends the JSON nor the script that it stands in. */
static void put_string(FILE *to, const char *text)
{
    fputc('"', to);
    for (; *text != '\0'; text++)
        if (*text == '<')
            fputs("\\u003c", to);
        else if (*text == '"' || *text == '\\')
            fprintf(to, "\\%c", *text);
        else
            fputc(*text, to);
    fputc('"', to);
}

static bool put_cleaned(FILE *to, const char *text)
{
    char *copy = strdup(text);
    if (copy == NULL)
        return false;
    diag_clean(copy);
    put_string(to, copy);
    free(copy);
    return true;
}

static void put_series(FILE *to, const struct report *report)
{
    const struct series *series = &report->series;
    uint16_t use[SERIES_POINTS - 1];
    fputs("\"points\":[", to);
    for (unsigned i = 0; i < series->count; i++) {
        const struct series_point *point = &series->points[i];
        fprintf(to, "%s[%.6f,%" PRIu64 ",%" PRIu64 ",%" PRIu64 "]", i == 0 ? "" : ",",
                (double)point->ns / 1e9, point->jobs, point->failures, point->gas);
    }
    fputs("],\"rows\":[", to);
    for (unsigned row = 0, first = 0; row < report->rows; row++) {
        unsigned end = first;
        while (end < report->workers && row_of(report, end) == row)
            end++;
        series_use(series, row, end - first, use);
        fprintf(to, "%s{\"first\":%u,\"last\":%u,\"use\":[", row == 0 ? "" : ",", first, end - 1);
        for (unsigned i = 0; i + 1 < series->count; i++)
            fprintf(to, "%s%u", i == 0 ? "" : ",", use[i]);
        fputs("]}", to);
        first = end;
    }
    fputs("],", to);
}

/* Buckets that are not empty: the middle, and how many. */
static void put_histogram(FILE *to, const char *name, const uint64_t *buckets)
{
    const char *comma = "";
    fprintf(to, "\"%s\":[", name);
    for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
        if (buckets[i] > 0) {
            fprintf(to, "%s[%u,%.17g,%" PRIu64 "]", comma, i, latency_of_bucket(i), buckets[i]);
            comma = ",";
        }
    fputs("],", to);
}

static bool put_page(FILE *to, const struct report *report, const struct summary *summary)
{
    struct run *run = report->run;
    struct tm tm;
    char when[64] = "";
    if (gmtime_r(&report->began, &tm) != NULL)
        strftime(when, sizeof when, "%Y-%m-%d %H:%M:%S UTC", &tm);
    fwrite(PAGE_HEAD, 1, sizeof PAGE_HEAD, to);
    fputs("{\"version\":\"" JAVM_VERSION "\",\"began\":", to);
    put_string(to, when);
    fputs(",\"jobs_file\":", to);
    if (!put_cleaned(to, run->options->path))
        return false;
    fputc(',', to);
    put_series(to, report);
    put_histogram(to, "latency", summary->totals.latency);
    put_histogram(to, "gas", summary->totals.gas_sizes);
    fputs("\"failures\":[", to);
    unsigned samples = atomic_load_explicit(&run->samples, memory_order_relaxed); /* joined */
    for (unsigned i = 0; i < samples && i < SAMPLES; i++) {
        fputs(i == 0 ? "" : ",", to);
        if (!put_cleaned(to, run->sample[i]))
            return false;
    }
    fputs("],\"stats\":", to);
    summary_print_stats(to, summary, run);
    fputc('}', to);
    fwrite(PAGE_TAIL, 1, sizeof PAGE_TAIL, to);
    return true;
}

enum javm_status report_write(const struct report *report, const char *path,
                              const struct summary *summary, struct javm_error *err)
{
    char *bytes = NULL;
    size_t len = 0;
    FILE *memory = open_memstream(&bytes, &len);
    const bool made = memory != NULL && put_page(memory, report, summary);
    if (memory == NULL || fclose(memory) != 0 || !made) {
        free(bytes);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", path);
    }
    const enum javm_status status = javm_file_write(path, bytes, len, err);
    free(bytes);
    return status;
}
