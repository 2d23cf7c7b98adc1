#include "batch/watcher.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "batch/diag.h"
#include "batch/trace.h"
#include "batch/worker.h"

#define ABANDON_MS 2000 /* how long a second signal waits for the block being written */
#define RESCUE_MS  50   /* how long a job runs before its neighbours are helped */

struct watcher {
    struct run *run;
    struct progress *progress;
    int signal_fd, quit_fd;
    unsigned signals;
    pthread_t thread;
};

static void signals_of_interest(sigset_t *set)
{
    static const int SIGNALS[] = {SIGINT, SIGTERM};
    sigemptyset(set);
    for (size_t i = 0; i < sizeof SIGNALS / sizeof *SIGNALS; i++) {
        struct sigaction old;
        if (sigaction(SIGNALS[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
            sigaddset(set, SIGNALS[i]);
    }
}

static void give_up(int signal)
{
    static const char text[] = "javm-batch: interrupted before the first job\n";
    (void)signal;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(130);
}

void watcher_before(void)
{
    sigset_t set;
    signals_of_interest(&set);
    const struct sigaction action = {.sa_handler = give_up, .sa_mask = set};
    for (int signal = 1; signal < NSIG; signal++)
        if (sigismember(&set, signal) == 1)
            sigaction(signal, &action, NULL);
    signal(SIGPIPE, SIG_IGN); /* a write says EPIPE instead */
}

void watcher_block_signals(void)
{
    sigset_t set;
    signals_of_interest(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

static void show(const struct watcher *watcher)
{
    struct run *run = watcher->run;
    struct totals totals = {0};
    uint64_t consumed, size;
    run_totals(run, &totals, false);
    input_position(run->input, &consumed, &size);
    const uint64_t announced = atomic_load_explicit(&run->announced, memory_order_relaxed);
    struct progress_figures figures = {.done = totals.done,
                                       .failed = totals.failures,
                                       .gas = totals.gas,
                                       .seconds = (double)(clock_ns() - run->started_ns) / 1e9};
    if (atomic_load_explicit(&run->input_ended, memory_order_relaxed)) {
        figures.total = announced;
    } else if (size > 0 && consumed > 0) {
        /* What was read ahead counts as read: the estimate starts low and is exact at the end. */
        figures.total = (uint64_t)((double)announced * (double)size / (double)consumed);
        figures.estimated = true;
    }
    progress_show(watcher->progress, &figures);
}

static void on_signal(struct watcher *watcher)
{
    struct signalfd_siginfo info;
    if (read(watcher->signal_fd, &info, sizeof info) != (ssize_t)sizeof info)
        return;
    watcher->signals++;
    progress_hide(watcher->progress);
    if (watcher->signals == 1) {
        complain("%s: no new jobs; waiting for those running (once more to stop at once)",
                 info.ssi_signo == SIGINT ? "interrupted" : "terminated");
        progress_release(watcher->progress);
        run_halt(watcher->run, HALT_SIGNAL);
        return;
    }
    uint64_t lines, bytes;
    worker_rescue(watcher->run, true);
    sink_abandon(watcher->run->sink, ABANDON_MS);
    if (watcher->run->trace != NULL)
        trace_abandon(watcher->run->trace, ABANDON_MS);
    sink_written(watcher->run->sink, &lines, &bytes);
    char *command = options_resume_command(watcher->run->options);
    complain("stopped at once; %llu results are written%s%s", (unsigned long long)lines,
             command == NULL ? "" : "; to go on: ", command == NULL ? "" : command);
    _exit(130);
}

static void *watcher_main(void *arg)
{
    struct watcher *watcher = arg;
    const int interval = progress_interval_ms(watcher->progress);
    int64_t next_show = clock_ns() + (int64_t)interval * 1000000;
    for (;;) {
        struct pollfd fds[2] = {{watcher->quit_fd, POLLIN, 0}, {watcher->signal_fd, POLLIN, 0}};
        if (poll(fds, 2, RESCUE_MS) > 0) {
            if (fds[0].revents != 0)
                return NULL;
            on_signal(watcher);
            continue;
        }
        worker_rescue(watcher->run, false);
        if (interval >= 0 && clock_ns() >= next_show) {
            show(watcher);
            next_show = clock_ns() + (int64_t)interval * 1000000;
        }
    }
}

static void dispose(struct watcher *watcher)
{
    if (watcher->signal_fd >= 0)
        close(watcher->signal_fd);
    if (watcher->quit_fd >= 0)
        close(watcher->quit_fd);
    free(watcher);
}

struct watcher *watcher_start(struct run *run, struct progress *progress)
{
    struct watcher *watcher = calloc(1, sizeof *watcher);
    if (watcher == NULL)
        return NULL;
    sigset_t set;
    signals_of_interest(&set);
    watcher->run = run;
    watcher->progress = progress;
    watcher->signal_fd = signalfd(-1, &set, SFD_CLOEXEC);
    watcher->quit_fd = eventfd(0, EFD_CLOEXEC);
    if (watcher->signal_fd < 0 || watcher->quit_fd < 0 ||
        pthread_create(&watcher->thread, NULL, watcher_main, watcher) != 0) {
        dispose(watcher);
        return NULL;
    }
    return watcher;
}

void watcher_stop(struct watcher *watcher)
{
    if (watcher == NULL)
        return;
    const uint64_t one = 1;
    (void)!write(watcher->quit_fd, &one, sizeof one);
    pthread_join(watcher->thread, NULL);
    dispose(watcher);
}
