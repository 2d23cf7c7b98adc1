/* Random graphs and random operations on both engines, as many as there is time for; every
 * invariant of the kernel after every operation. Would catch: engines that differ in anything a
 * guest can see across operations, gas that is lost or paid twice, slots that are reserved for
 * nobody, yields that go astray, faults that leave something behind.
 *
 * A round depends on its seed only. With several threads each has rounds of its own; they share the
 * recompiler. */
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#include "tests/vm/kernel_fuzz.h"

#define CASES   40u
#define THREADS 16u

static struct fuzz_session sessions[THREADS];
static atomic_bool failed;
static _Atomic uint64_t next_round;
static uint64_t first_seed, last_round, end_ns;
static _Thread_local uint64_t round_seed;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

static void crashed(int number)
{
    char text[160];
    const int len = snprintf(
        text, sizeof text, "kernel_lockstep: %s; see it again with --seed %" PRIu64 " --rounds 1\n",
        strsignal(number), round_seed);
    if (write(STDERR_FILENO, text, (size_t)len) < 0)
        _exit(4);
    signal(number, SIG_DFL);
    raise(number);
}

static void start_watching(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT};
    struct sigaction action = {.sa_handler = crashed};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        REQUIRE(sigaction(signals[i], &action, NULL) == 0);
}

static void *run_rounds(void *argument)
{
    struct fuzz_session *session = argument;
    while (!atomic_load(&failed) && now_ns() < end_ns) {
        const uint64_t number = atomic_fetch_add(&next_round, 1);
        char name[80];
        if (number >= last_round)
            break;
        round_seed = first_seed + number;
        snprintf(name, sizeof name, "--seed %" PRIu64 " --rounds 1", round_seed);
        struct choices choices = {.random = {.state = round_seed}};
        if (!fuzz_round(session, &choices, CASES, name))
            atomic_store(&failed, true);
    }
    return NULL;
}

static const char usage[] =
    "usage: kernel_lockstep [--seconds N | --rounds N] [--seed N] [--threads N]\n";

int main(int argc, char **argv)
{
    static const struct option options[] = {{"seconds", required_argument, NULL, 's'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {"seed", required_argument, NULL, 'n'},
                                            {"threads", required_argument, NULL, 't'},
                                            {NULL, 0, NULL, 0}};
    uint64_t seconds = 5, threads = 1;
    bool usable = true;
    first_seed = now_ns();
    last_round = UINT64_MAX;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 's')
            seconds = strtoull(optarg, NULL, 10);
        else if (c == 'r')
            last_round = strtoull(optarg, NULL, 10);
        else if (c == 'n')
            first_seed = strtoull(optarg, NULL, 10);
        else if (c == 't')
            threads = strtoull(optarg, NULL, 10);
        else
            usable = false;
    }
    if (!usable || optind != argc || threads == 0 || threads > THREADS) {
        fputs(usage, stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    start_watching(); /* before the recompiler: what is not its guest's comes here */
    /* Every round has images of its own: little is worth keeping. */
    const struct javm_jit_options jit_options = {.code_bytes = UINT64_C(64) << 20};
    struct javm_jit *jit = NULL;
    if (javm_engine_available(JAVM_ENGINE_JIT))
        REQUIRE(javm_jit_create(&jit_options, &jit, NULL) == JAVM_OK);
    printf("kernel_lockstep: first seed %" PRIu64 "\n", first_seed);
    for (uint64_t i = 0; i < threads; i++)
        sessions[i].jit = jit;
    fuzz_self_test(&sessions[0]);
    sessions[0].coverage = (struct coverage){0};
    const uint64_t start = now_ns();
    end_ns = last_round != UINT64_MAX ? UINT64_MAX : start + seconds * UINT64_C(1000000000);
    pthread_t others[THREADS];
    for (uint64_t i = 1; i < threads; i++)
        REQUIRE(pthread_create(&others[i], NULL, run_rounds, &sessions[i]) == 0);
    run_rounds(&sessions[0]);
    for (uint64_t i = 1; i < threads; i++) {
        REQUIRE(pthread_join(others[i], NULL) == 0);
        coverage_add(&sessions[0].coverage, &sessions[i].coverage);
    }
    const double took = (double)(now_ns() - start) / 1e9;
    coverage_print(&sessions[0].coverage, stdout);
    printf("%.0f s, %.0f cases a second: %s\n", took, (double)sessions[0].coverage.cases / took,
           atomic_load(&failed) ? "the engines differ, or an invariant does not hold"
                                : "no difference");
    if (jit != NULL)
        javm_jit_destroy(jit);
    REQUIRE_NO_LEAKS();
    return atomic_load(&failed);
}
