/* Random programs on two engines at once, as many as there is time for. A round makes some programs
 * and comes back to each of them in many ways: other registers, gas, memory, entries. It depends on
 * its own seed only, but for what the memories keep warm from the rounds before. With more threads
 * than one, all of them run the same programs, each with memories of its own. */
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tests/vm/lockstep.h"

#define PROGRAMS        16u
#define STORED_PROGRAMS 3u /* of them, with files */
#define PLANS           110u

#define THREADS 16u

/* A thread. */
struct session {
    struct lock_pair pair;
    struct random random;
    struct lock_program programs[PROGRAMS]; /* copies, but for the code and what belongs to it */
    bool stored;                            /* run only what is kept in files */
};

static struct session sessions[THREADS];
static unsigned threads = 1;
static struct lock_corpus *corpus; /* NULL: do without */
static const char *keep;
static unsigned pvm_percent = 35; /* of the programs */
static pthread_mutex_t reporting = PTHREAD_MUTEX_INITIALIZER;
static atomic_bool failed;

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * UINT64_C(1000000000) + (uint64_t)now.tv_nsec;
}

/* ---- crashes and endless runs ----------------------------------------------------------- */

static _Atomic uint64_t round_seed, progress;

static void say_seed(const char *what)
{
    char text[200];
    const int len = snprintf(text, sizeof text,
                             "lockstep: %s; see it again with --seed %" PRIu64 " --rounds 1\n",
                             what, atomic_load(&round_seed));
    if (write(STDERR_FILENO, text, (size_t)len) < 0)
        _exit(4);
}

static void crashed(int number)
{
    say_seed(strsignal(number));
    signal(number, SIG_DFL);
    raise(number);
}

static void *watch(void *unused)
{
    for (uint64_t last = UINT64_MAX;; sleep(20)) {
        const uint64_t now = atomic_load(&progress);
        if (now == last) /* a hang, or a busy machine: whoever looks at it knows where it is */
            say_seed("nothing has happened for 20 seconds");
        last = now;
    }
    return unused;
}

static void start_watching(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGTRAP, SIGABRT};
    static uint8_t stack[65536];
    pthread_t thread;
    const stack_t alternate = {.ss_sp = stack, .ss_size = sizeof stack};
    struct sigaction action = {.sa_handler = crashed, .sa_flags = SA_ONSTACK};
    REQUIRE(sigaltstack(&alternate, NULL) == 0);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        REQUIRE(sigaction(signals[i], &action, NULL) == 0);
    REQUIRE(pthread_create(&thread, NULL, watch, NULL) == 0);
    pthread_detach(thread);
}

/* ---- plans: what is done with a program ------------------------------------------------- */

static struct lock_state vary(struct session *s, const struct lock_program *program)
{
    struct lock_state state = program->state;
    if (chance(&s->random, 40))
        return state;
    for (unsigned i = 0; i < JAVM_NUM_SLOTS; i++)
        if (chance(&s->random, 25))
            state.regs[i] = chance(&s->random, 15)   ? lock_edge(&program->layout, &s->random)
                            : chance(&s->random, 15) ? lock_calm(&program->layout, &s->random)
                                                     : lock_value(&s->random);
    return state;
}

static void begin(struct session *s, struct lock_program *program, const struct lock_layout *layout,
                  const struct lock_state *state)
{
    const uint64_t k = random_below(&s->random, 100);
    lock_begin(&s->pair, program, layout, state,
               s->stored ? LOCK_STORED
               : k < 60  ? LOCK_FULL
               : k < 90  ? LOCK_PLAIN
                         : LOCK_SMALL,
               &s->random);
}

/* False: this plan is over. */
static bool run(struct session *s, const struct lock_leg *leg, enum lock_depth depth)
{
    if (lock_run(&s->pair, leg, depth))
        return true;
    pthread_mutex_lock(&reporting);
    if (!atomic_exchange(&failed, true)) { /* one is enough */
        printf("round with seed %" PRIu64 ": ", atomic_load(&round_seed));
        lock_report(&s->pair, keep);
    }
    pthread_mutex_unlock(&reporting);
    return false;
}

static enum lock_depth any_depth(struct session *s)
{
    const uint64_t k = random_below(&s->random, 100);
    return k < 30 ? LOCK_REGISTERS : k < 80 ? LOCK_DIRTY : LOCK_ALL;
}

static bool resumable(enum javm_exit exit)
{
    return exit == JAVM_EXIT_HOST_CALL || exit == JAVM_EXIT_ECALL_JAR ||
           exit == JAVM_EXIT_OUT_OF_GAS;
}

/* What a host may do between two legs. */
static void interfere(struct session *s, struct lock_leg *leg)
{
    leg->write_at = 0;
    if (chance(&s->random, 15)) {
        leg->write_at = lock_calm(&s->pair.layout, &s->random);
        leg->write_value = (uint32_t)random_u64(&s->random);
    }
    leg->other_engine = chance(&s->random, 5);
}

/* From the start to an end, over ecalls and new gas. */
static void run_on(struct session *s, uint64_t gas, uint64_t deadline)
{
    struct lock_leg leg = {.gas = gas, .deadline = deadline};
    unsigned refills = 0;
    for (unsigned i = 0; i < 12; i++) {
        if (!run(s, &leg, any_depth(s)) || !resumable(s->pair.exec[0].exit))
            return;
        interfere(s, &leg);
        leg.gas = s->pair.exec[0].gas;
        if (s->pair.exec[0].exit == JAVM_EXIT_OUT_OF_GAS) {
            if (refills++ == 2)
                return;
            leg.gas += random_below(&s->random, 2000);
        }
    }
}

static void plan_whole(struct session *s, struct lock_program *program)
{
    const struct lock_state state = vary(s, program);
    begin(s, program, &program->layout, &state);
    run_on(s, state.gas, 0);
}

/* Numbers that arithmetic on gas may trip over. Only for what came to an end with little. */
static void plan_much_gas(struct session *s, struct lock_program *program)
{
    const struct lock_state state = vary(s, program);
    struct lock_leg leg = {.gas = state.gas};
    begin(s, program, &program->layout, &state);
    if (!run(s, &leg, LOCK_REGISTERS) || s->pair.exec[0].exit == JAVM_EXIT_OUT_OF_GAS)
        return;
    const uint64_t used = state.gas - s->pair.exec[0].gas;
    const uint64_t gas[] = {UINT64_MAX,
                            UINT64_C(1) << 63,
                            (UINT64_C(1) << 63) + random_below(&s->random, used + 1),
                            (UINT64_C(1) << 63) - random_below(&s->random, used + 1),
                            (UINT64_C(1) << 32) + random_below(&s->random, used + 1),
                            (UINT64_C(1) << 31) + random_below(&s->random, used + 1),
                            used};
    for (size_t i = 0; i < sizeof gas / sizeof *gas; i++) {
        leg.gas = gas[i];
        begin(s, program, &program->layout, &state);
        if (!run(s, &leg, any_depth(s)))
            return;
    }
}

/* Each block by itself, and the gas that is one short of it. */
static void plan_steps(struct session *s, struct lock_program *program)
{
    const struct lock_state state = vary(s, program);
    struct lock_leg leg = {0};
    begin(s, program, &program->layout, &state);
    for (unsigned i = 0; i < 120; i++) {
        const uint64_t need = lock_need(program, s->pair.exec[0].pc);
        const bool huge = need > 1000000; /* with so much, what follows may run for ever */
        leg.gas = need - (need != 0 && (huge || chance(&s->random, 25)));
        if (!huge && chance(&s->random, 10))
            leg.gas += random_below(&s->random, 100);
        if (!run(s, &leg, i % 8 == 7 ? LOCK_ALL : LOCK_REGISTERS) || huge ||
            !resumable(s->pair.exec[0].exit))
            return;
        interfere(s, &leg);
    }
    run(s, &leg, LOCK_ALL);
}

/* Every limit up to what the whole run uses, when that is little; else some. */
static void plan_limits(struct session *s, struct lock_program *program)
{
    const struct lock_state state = vary(s, program);
    struct lock_leg leg = {.gas = state.gas};
    begin(s, program, &program->layout, &state);
    if (!run(s, &leg, LOCK_ALL))
        return;
    const uint64_t used = state.gas - s->pair.exec[0].gas;
    const bool every = used <= 250;
    const uint64_t count = every ? used + 1 : 40;
    for (uint64_t i = 0; i < count; i++) {
        leg.gas = every ? i : random_below(&s->random, used + 1);
        begin(s, program, &program->layout, &state);
        if (!run(s, &leg, LOCK_DIRTY))
            return;
    }
}

static void plan_deadline(struct session *s, struct lock_program *program)
{
    const struct lock_state state = vary(s, program);
    begin(s, program, &program->layout, &state);
    /* More than a slice; the first deadline has passed and stops at each. */
    const uint64_t gas = chance(&s->random, 50) ? 90000 : state.gas;
    run_on(s, gas, chance(&s->random, 70) ? 1 : UINT64_MAX);
}

static void plan_pages(struct session *s, struct lock_program *program)
{
    const struct lock_state state = vary(s, program);
    const struct lock_leg leg = {.gas = state.gas < 5000 ? state.gas : 5000};
    struct lock_layout layout;
    for (uint32_t which = 0; which < 12; which++) {
        for (unsigned read_only = 0; read_only < 2; read_only++) {
            if (!lock_layout_without(&program->layout, which, read_only, &layout))
                return;
            begin(s, program, &layout, &state);
            if (!run(s, &leg, LOCK_ALL))
                return;
        }
    }
}

/* The same regions with other contents: what stays warm must not show. */
static void plan_contents(struct session *s, struct lock_program *program)
{
    for (unsigned i = 0; i < 5; i++) {
        const struct lock_state state = vary(s, program);
        if (chance(&s->random, 40))
            lock_layout_refill(&program->layout, &s->random);
        else
            lock_layout_rescratch(&program->layout, &s->random);
        begin(s, program, &program->layout, &state);
        run_on(s, state.gas, 0);
    }
}

static void plan_entries(struct session *s, struct lock_program *program)
{
    struct lock_state state = vary(s, program);
    const struct lock_leg leg = {.gas = 1 + random_below(&s->random, 300)};
    const uint64_t blocks = javm_program_blocks(program->program);
    struct javm_block_info info;
    for (unsigned i = 0; i < 12; i++) {
        state.pc = random_below(&s->random, program->code_len + 6);
        if (blocks != 0 && chance(&s->random, 75)) {
            javm_program_block(program->program, random_below(&s->random, blocks), &info);
            state.pc = info.start;
        }
        if (chance(&s->random, 5))
            state.pc += lock_value(&s->random);
        begin(s, program, &program->layout, &state);
        if (!run(s, &leg, any_depth(s)))
            return;
    }
}

/* The recompiler runs out of room while the program is half compiled. */
static void plan_full(struct session *s, struct lock_program *program)
{
    uint32_t code[16384];
    const struct lock_state state = vary(s, program);
    const struct javm_program_key key = {0};
    struct lock_leg leg = {.gas = random_below(&s->random, 100)};
    struct javm_jit *jit = s->pair.jits[LOCK_SMALL];
    struct javm_native *filler = NULL;
    lock_begin(&s->pair, program, &program->layout, &state, LOCK_SMALL, &s->random);
    if (!run(s, &leg, LOCK_DIRTY) || !resumable(s->pair.exec[0].exit))
        return;
    if (jit != NULL) { /* jumps to themselves: each takes little room for itself */
        for (size_t i = 0; i < sizeof code / sizeof *code; i++)
            code[i] = 0x0000006F;
        REQUIRE(javm_native_open(jit, NULL, (const uint8_t *)code, sizeof code, &key, NULL, &filler,
                                 NULL) == JAVM_OK);
        REQUIRE(javm_native_compile(filler, NULL) == JAVM_E_LIMIT);
    }
    run_on(s, s->pair.exec[0].gas + state.gas, 0);
    javm_native_close(filler);
}

/* ---- rounds ----------------------------------------------------------------------------- */

static void make_program(struct lock_program *program, struct random *random)
{
    const uint64_t k = random_below(random, 100);
    if (chance(random, pvm_percent))
        lock_source_pvm(program, random);
    else if (k < 8)
        lock_source_bytes(program, random);
    else if (k < 20)
        lock_source_soup(program, random);
    else if (k < 30 && corpus != NULL)
        lock_source_vector(program, corpus, random);
    else if (k < 34 && corpus != NULL)
        lock_source_image(program, corpus, random);
    else
        lock_generate(program, random);
}

static void run_plan(struct session *s, struct lock_program *program)
{
    static void (*const plans[])(struct session *, struct lock_program *) = {
        plan_whole,    plan_whole, plan_whole,    plan_whole,    plan_whole,  plan_much_gas,
        plan_steps,    plan_steps, plan_steps,    plan_limits,   plan_limits, plan_limits,
        plan_deadline, plan_pages, plan_contents, plan_contents, plan_entries};
    plans[random_below(&s->random, sizeof plans / sizeof *plans)](s, program);
    atomic_fetch_add(&progress, 1);
}

static void detach(struct session *s)
{
    for (unsigned side = 0; side < 2; side++)
        REQUIRE(javm_memory_attach(s->pair.memories[side], NULL, 0) == JAVM_OK);
    s->pair.program = NULL;
}

static void *run_plans(void *session)
{
    struct session *s = session;
    for (unsigned i = 0; i < PLANS && !atomic_load(&failed); i++) {
        struct lock_program *program = &s->programs[random_below(&s->random, PROGRAMS)];
        if (chance(&s->random, 1))
            plan_full(s, program);
        else
            run_plan(s, program);
    }
    detach(s);
    return NULL;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
    (void)st, (void)kind, (void)ftw;
    return remove(path);
}

/* Some programs with a recompiler that keeps their code in files, then with one that finds it
 * there. */
static void run_stored(struct session *s)
{
    char folder[] = "/tmp/lockstep-XXXXXX";
    const struct javm_jit_options options = {.cache_dir = folder};
    struct javm_jit **const jit = &s->pair.jits[LOCK_STORED];
    struct javm_jit_stats stats;
    REQUIRE(mkdtemp(folder) != NULL);
    s->stored = true;
    for (unsigned pass = 0; pass < 2; pass++) {
        REQUIRE(javm_jit_create(&options, jit, NULL) == JAVM_OK);
        for (unsigned i = 0; i < STORED_PROGRAMS; i++) {
            struct lock_program *program = &s->programs[i];
            const struct javm_hash name = {{(uint8_t)(i + 1)}};
            REQUIRE(javm_native_open(*jit, &name, program->code, program->code_len, &program->key,
                                     NULL, &program->natives[LOCK_STORED], NULL) == JAVM_OK);
        }
        for (unsigned i = 0; i < 12 && !atomic_load(&failed); i++)
            run_plan(s, &s->programs[random_below(&s->random, STORED_PROGRAMS)]);
        detach(s);
        for (unsigned i = 0; i < STORED_PROGRAMS; i++) {
            javm_native_close(s->programs[i].natives[LOCK_STORED]);
            s->programs[i].natives[LOCK_STORED] = NULL;
        }
        javm_jit_stats(*jit, &stats);
        REQUIRE(stats.files_refused == 0 && stats.files_failed == 0);
        REQUIRE(pass == 0 || stats.files_loaded != 0);
        javm_jit_destroy(*jit);
        *jit = NULL;
    }
    s->stored = false;
    REQUIRE(nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS) == 0);
}

static void run_round(uint64_t seed)
{
    struct random random = {.state = seed};
    struct lock_program *programs = sessions[0].programs;
    pthread_t others[THREADS];
    atomic_store(&round_seed, seed);
    for (unsigned i = 0; i < PROGRAMS; i++) {
        make_program(&programs[i], &random);
        if (threads > 1)
            lock_natives_open(&sessions[0].pair, &programs[i]);
    }
    for (unsigned i = 0; i < threads; i++)
        sessions[i].random.state = random_u64(&random);
    for (unsigned i = 1; i < threads; i++) {
        memcpy(sessions[i].programs, programs, sizeof sessions[i].programs);
        /* The contents of a space are known by their numbers: a thread changes its own. */
        for (unsigned k = 0; k < PROGRAMS; k++)
            lock_layout_number(&sessions[i].programs[k].layout);
        REQUIRE(pthread_create(&others[i], NULL, run_plans, &sessions[i]) == 0);
    }
    run_plans(&sessions[0]);
    if (threads == 1 && sessions[0].pair.jits[LOCK_FULL] != NULL && !atomic_load(&failed) &&
        chance(&sessions[0].random, 5))
        run_stored(&sessions[0]);
    for (unsigned i = 1; i < threads; i++)
        REQUIRE(pthread_join(others[i], NULL) == 0);
    for (unsigned i = 0; i < PROGRAMS; i++)
        lock_program_close(&programs[i]);
}

/* ---- main ------------------------------------------------------------------------------- */

static const char usage[] =
    "usage: lockstep [--engines interp,jit | interp,interp] [--seconds N | --rounds N]\n"
    "                [--threads N] [--seed N] [--keep FILE] [--source DIR] [--pvm PERCENT]\n"
    "                [--machine /dev/kvm]\n"
    "  --source DIR  the source tree, for guest images and vectors\n"
    "  --keep FILE   write the first difference as a vector for javm-vectors (PVM2 only)\n"
    "  --pvm PERCENT of the programs that are PVM, 35 if not given\n"
    "  --machine     where one of the recompilers runs its code\n";

static bool parse_engines(const char *text, enum javm_engine engines[2])
{
    static const char *const names[] = {"interp,interp", "interp,jit", "jit,interp", "jit,jit"};
    for (unsigned i = 0; i < 4; i++) {
        if (strcmp(text, names[i]) == 0) {
            engines[0] = i < 2 ? JAVM_ENGINE_INTERP : JAVM_ENGINE_JIT;
            engines[1] = i % 2 == 0 ? JAVM_ENGINE_INTERP : JAVM_ENGINE_JIT;
            return true;
        }
    }
    return false;
}

static void print_summary(uint64_t rounds, double seconds)
{
    uint64_t cases = 0, exits[JAVM_EXIT_HALT + 1] = {0};
    for (unsigned t = 0; t < threads; t++) {
        cases += sessions[t].pair.cases;
        for (int i = JAVM_EXIT_HOST_CALL; i <= JAVM_EXIT_HALT; i++)
            exits[i] += sessions[t].pair.exits[i];
    }
    printf("%" PRIu64 " cases in %" PRIu64 " rounds, %.0f s, %.0f a second:", cases, rounds,
           seconds, (double)cases / seconds);
    for (int i = JAVM_EXIT_HOST_CALL; i <= JAVM_EXIT_HALT; i++)
        printf(" %s %" PRIu64, javm_exit_name((enum javm_exit)i), exits[i]);
    printf("\n%s\n", atomic_load(&failed) ? "the engines differ" : "no difference");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"engines", required_argument, NULL, 'e'}, {"seconds", required_argument, NULL, 's'},
        {"rounds", required_argument, NULL, 'r'},  {"seed", required_argument, NULL, 'n'},
        {"keep", required_argument, NULL, 'k'},    {"source", required_argument, NULL, 'd'},
        {"threads", required_argument, NULL, 't'}, {"pvm", required_argument, NULL, 'p'},
        {"machine", required_argument, NULL, 'm'}, {NULL, 0, NULL, 0}};
    enum javm_engine engines[2] = {JAVM_ENGINE_INTERP, javm_engine_available(JAVM_ENGINE_JIT)
                                                           ? JAVM_ENGINE_JIT
                                                           : JAVM_ENGINE_INTERP};
    uint64_t seconds = 5, rounds = UINT64_MAX, seed = now_ns();
    const char *source = NULL;
    bool usable = true;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        if (c == 'e')
            usable = usable && parse_engines(optarg, engines);
        else if (c == 's')
            seconds = strtoull(optarg, NULL, 10);
        else if (c == 'r')
            rounds = strtoull(optarg, NULL, 10);
        else if (c == 'n')
            seed = strtoull(optarg, NULL, 10);
        else if (c == 'k')
            keep = optarg;
        else if (c == 'd')
            source = optarg;
        else if (c == 't')
            threads = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'p')
            pvm_percent = (unsigned)strtoul(optarg, NULL, 10);
        else if (c == 'm')
            lock_machine = optarg;
        else
            usable = false;
    }
    usable = usable && (lock_machine == NULL || threads == 1); /* it is one thread's */
    if (usable && lock_machine != NULL && access(lock_machine, R_OK | W_OK) != 0) {
        printf("skipped: no %s, or not ours to open\n", lock_machine);
        return 77;
    }
    if (!usable || threads == 0 || threads > THREADS) {
        fputs(usage, stderr);
        return 2;
    }
    start_watching(); /* before the recompiler: what is not its guest's comes here */
    lock_self_test();
    for (unsigned i = 0; i < threads; i++)
        lock_pair_open(&sessions[i].pair, engines[0], engines[1],
                       i != 0 ? &sessions[0].pair : NULL);
    if (source != NULL)
        corpus = lock_corpus_open(source);
    printf("lockstep: first seed %" PRIu64 "\n", seed);
    const uint64_t start = now_ns();
    const uint64_t end = rounds == UINT64_MAX ? start + seconds * UINT64_C(1000000000) : UINT64_MAX;
    uint64_t done = 0;
    for (; done < rounds && !atomic_load(&failed) && now_ns() < end; done++)
        run_round(seed + done);
    print_summary(done, (double)(now_ns() - start) / 1e9);
    if (corpus != NULL)
        lock_corpus_close(corpus);
    for (unsigned i = threads; i-- != 0;)
        lock_pair_close(&sessions[i].pair);
    return atomic_load(&failed);
}
