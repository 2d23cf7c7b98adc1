#include "batch/metrics_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "batch/worker.h"
#include "javm/version.h"

/* The histogram's limits are 2^10 to 2^36 ns, 1 us to 69 s. */
#define FIRST_POWER 10
#define LAST_POWER  36

static void family(FILE *to, const char *name, const char *type, const char *help)
{
    fprintf(to, "# HELP javm_batch_%s %s\n# TYPE javm_batch_%s %s\n", name, help, name, type);
}

static void count(FILE *to, const char *name, const char *type, const char *help, uint64_t value)
{
    family(to, name, type, help);
    fprintf(to, "javm_batch_%s %" PRIu64 "\n", name, value);
}

static void seconds(FILE *to, const char *name, const char *type, const char *help, double value)
{
    family(to, name, type, help);
    fprintf(to, "javm_batch_%s %.6f\n", name, value);
}

static void jobs(FILE *to, const struct run *run, const struct totals *totals)
{
    uint64_t lines, bytes;
    family(to, "jobs_total", "counter",
           "Jobs that were run, repetitions counted, by how they ended.");
    for (unsigned i = 0; i < OUTCOME_COUNT; i++)
        fprintf(to, "javm_batch_jobs_total{exit=\"%s\"} %" PRIu64 "\n",
                outcome_name((enum outcome)i), totals->exits[i]);
    count(to, "jobs_read_total", "counter", "Jobs that were read, repetitions counted.",
          atomic_load_explicit(&run->announced, memory_order_relaxed));
    count(to, "input_complete", "gauge", "1 when the jobs file was read to its end.",
          atomic_load_explicit(&run->input_ended, memory_order_relaxed));
    count(to, "stopping", "gauge", "1 when no further job is begun.", run_halted(run) != HALT_NONE);
    count(to, "mismatches_total", "counter", "Results that were not as expected.",
          totals->mismatches);
    count(to, "failures_total", "counter", "Jobs that were errors, crashed or not as expected.",
          totals->failures);
    count(to, "gas_total", "counter", "Gas that jobs used.", totals->gas);
    sink_written(run->sink, &lines, &bytes);
    count(to, "results_written_total", "counter", "Result lines that were written.", lines);
    count(to, "results_written_bytes_total", "counter", "Bytes written, as in the file.", bytes);
}

/* A limit of 2^n - 1 ns is exact: the counters' buckets begin at powers of two. */
static void latency(FILE *to, const struct totals *totals)
{
    uint64_t below = 0;
    unsigned bucket = 0;
    family(to, "job_seconds", "histogram", "Time that a job took.");
    for (unsigned power = FIRST_POWER; power <= LAST_POWER; power++) {
        const uint64_t limit = UINT64_C(1) << power;
        for (; bucket < latency_bucket(limit); bucket++)
            below += totals->latency[bucket];
        fprintf(to, "javm_batch_job_seconds_bucket{le=\"%.9f\"} %" PRIu64 "\n",
                (double)(limit - 1) / 1e9, below);
    }
    for (; bucket < LATENCY_BUCKETS; bucket++)
        below += totals->latency[bucket];
    fprintf(to,
            "javm_batch_job_seconds_bucket{le=\"+Inf\"} %" PRIu64
            "\njavm_batch_job_seconds_sum %.9f\n"
            "javm_batch_job_seconds_count %" PRIu64 "\n",
            below, (double)totals->busy_ns / 1e9, below);
}

static void scheduler(FILE *to, const struct run *run)
{
    const unsigned workers = javm_sched_workers(run->sched);
    struct javm_worker_stats one;
    uint64_t spawned = 0;
    count(to, "workers", "gauge", "Workers.", workers);
    family(to, "worker_busy_seconds_total", "counter", "Time inside jobs.");
    /* Acquire, partner: worker_start. */
    const struct worker *worker = atomic_load_explicit(&run->workers, memory_order_acquire);
    for (; worker != NULL; worker = worker->next)
        fprintf(to, "javm_batch_worker_busy_seconds_total{worker=\"%u\"} %.9f\n", worker->index,
                (double)atomic_load_explicit(&worker->counters.busy_ns, memory_order_relaxed) /
                    1e9);
    family(to, "steals_total", "counter", "Successful steals, by worker and distance.");
    for (unsigned i = 0; i < workers; i++) {
        javm_sched_worker_stats(run->sched, i, &one);
        spawned += one.spawned;
        fprintf(to,
                "javm_batch_steals_total{worker=\"%u\",from=\"l3\"} %" PRIu64
                "\njavm_batch_steals_total{worker=\"%u\",from=\"node\"} %" PRIu64
                "\njavm_batch_steals_total{worker=\"%u\",from=\"far\"} %" PRIu64 "\n",
                i, one.steals_l3, i, one.steals_node, i, one.steals_far);
    }
    family(to, "parks_total", "counter", "How often a worker fell asleep.");
    for (unsigned i = 0; i < workers; i++) {
        javm_sched_worker_stats(run->sched, i, &one);
        fprintf(to, "javm_batch_parks_total{worker=\"%u\"} %" PRIu64 "\n", i, one.parks);
    }
    count(to, "tasks_split_total", "counter", "Tasks split off for hungry workers.", spawned);
}

static void native(FILE *to, const struct run *run)
{
    struct javm_jit_stats stats = {0};
    if (run->natives != NULL)
        natives_stats(run->natives, &stats);
    count(to, "native_programs", "gauge", "Programs with native code.", stats.programs);
    count(to, "native_bytes", "gauge", "Native code held.", stats.code_bytes);
    count(to, "compiled_bytes_total", "counter", "Guest code that was compiled.",
          stats.compiled_bytes);
    seconds(to, "compile_seconds_total", "counter", "Time spent compiling.",
            (double)stats.compile_ns / 1e9);
}

static uint64_t resident_bytes(void)
{
    unsigned long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%*u %llu", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static double seconds_of(struct timeval time)
{
    return (double)time.tv_sec + (double)time.tv_usec / 1e6;
}

static void process(FILE *to)
{
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    count(to, "resident_memory_bytes", "gauge", "Resident memory of the process.",
          resident_bytes());
    count(to, "peak_memory_bytes", "gauge", "The most that it was.",
          (uint64_t)usage.ru_maxrss * 1024);
    seconds(to, "cpu_seconds_total", "counter", "Processor time of the process.",
            seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
}

char *metrics_text(struct run *run, struct javm_dir_thread *dir, size_t *len)
{
    char *bytes = NULL;
    struct totals *totals = calloc(1, sizeof *totals);
    FILE *to = totals == NULL ? NULL : open_memstream(&bytes, len);
    if (to == NULL) {
        free(totals);
        return NULL;
    }
    run_totals(run, totals, true);
    family(to, "info", "gauge", "What runs.");
    fprintf(to, "javm_batch_info{version=\"" JAVM_VERSION "\",engine=\"%s\"} 1\n",
            run->engine == JAVM_ENGINE_JIT ? "jit" : "interp");
    seconds(to, "run_seconds", "gauge", "Time since the batch began.",
            (double)(clock_ns() - run->started_ns) / 1e9);
    jobs(to, run, totals);
    latency(to, totals);
    scheduler(to, run);
    native(to, run);
    struct javm_directory_stats caps;
    javm_directory_stats(dir, &caps);
    count(to, "caps_published", "gauge", "Published caps in the directory.", caps.blobs);
    count(to, "caps_published_bytes", "gauge", "Their size.", caps.blob_bytes);
    count(to, "caps_live", "gauge", "Live entries in the directory.", caps.instances);
    process(to);
    free(totals);
    const bool failed = ferror(to) != 0;
    if (fclose(to) == 0 && !failed)
        return bytes;
    free(bytes);
    return NULL;
}
