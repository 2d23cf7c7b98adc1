/* One batch: what the parser, the workers, the writer and the watcher share. */
#ifndef JAVM_BATCH_RUN_H
#define JAVM_BATCH_RUN_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "batch/counters.h"
#include "batch/input.h"
#include "batch/natives.h"
#include "batch/options.h"
#include "batch/sink.h"
#include "javm/directory.h"
#include "javm/sched.h"
#include "javm/vm.h"

struct chains;
struct history;
struct isolation;
struct partings;
struct ranks;
struct trace;
struct verify;
struct worker;

/* Why no further job is begun. The first reason stays. */
enum halt { HALT_NONE, HALT_SIGNAL, HALT_SINK, HALT_FAILURE, HALT_MEMORY };

#define SAMPLES     8 /* failures told at the end */
#define SAMPLE_SIZE 1280

struct run {
    const struct options *options;
    enum javm_engine engine;     /* the one that is used: options->engine unless that failed */
    struct natives *natives;     /* JIT, in this process */
    struct isolation *isolation; /* --isolation process, else NULL */
    struct chains *chains;
    struct history *history;   /* --resume: lines that the sink has; the parser's */
    struct verify *verify;     /* verify: the writer's until the sink is closed */
    struct partings *partings; /* --bisect, else NULL */
    struct trace *trace;       /* --trace, else NULL */
    struct ranks *ranks;       /* --mpi, else NULL */
    struct javm_directory *dir;
    struct javm_sched *sched;
    struct sink *sink;
    struct input *input;
    int stop_fd; /* eventfd: readable once halted */
    int64_t started_ns;

    _Atomic unsigned halt; /* enum halt */
    _Atomic(struct worker *)
        workers; /* list of all workers' contexts; they live until run_batch ends */

    /* The parser's figures; relaxed, for the display. announced: units of all lines read; issued:
     * those of them that were handed to workers. */
    _Atomic uint64_t announced, issued;
    _Atomic bool input_ended;
    /* The parser's: jobs that had a line, those of them that failed, and whether one of them stands
     * behind a job that had none. */
    uint64_t resumed, resumed_failures;
    bool resumed_late;
    _Atomic uint64_t
        chunk_bytes; /* allocated by chunks in flight; relaxed: a bound that is approximate */

    pthread_mutex_t rescue_lock; /* guards rescue_ended; never taken by a worker */
    bool rescue_ended;

    _Atomic unsigned samples;
    char sample[SAMPLES][SAMPLE_SIZE];
    _Atomic bool worker_claimed; /* the first worker that could not start writes worker_error */
    _Atomic bool
        worker_failed; /* worker_error is set; release/acquire between worker_start and run_batch */
    struct javm_error worker_error;
};

/* The exit code of the program. */
int run_batch(const struct options *options);

/* Begin no more jobs. Any thread; the first reason counts. */
void run_halt(struct run *run, enum halt reason);
static inline enum halt run_halted(const struct run *run)
{
    /* Relaxed: a worker that sees it one job later does no harm, and the reason is all there is. */
    return (enum halt)atomic_load_explicit(&run->halt, memory_order_relaxed);
}
void run_totals(struct run *run, struct totals *totals, bool latency);

int64_t clock_ns(void);
/* The processor time of the calling thread. */
int64_t clock_thread_ns(void);

#endif
