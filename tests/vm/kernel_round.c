/* A round: a graph in three worlds, and cases on it that all three have to see in the same way. */
#include "tests/vm/kernel_fuzz.h"

#define WORLDS 3u
#define SMALL  2500u /* gas that a case may use to be run with every amount below */

/* ---- cases ------------------------------------------------------------------------------ */

static uint64_t any_gas(struct choices *choices, unsigned model)
{
    const uint64_t k = choose(choices, 100);
    const uint64_t gas = k < 9    ? choose(choices, 900)
                         : k < 40 ? between(choices, 1500, 9000)
                         : k < 92 ? between(choices, 8000, 40000)
                                  : choose(choices, 150000);
    return model == JAVM_GAS_FULL ? 4 * gas : gas;
}

static uint32_t any_root(struct fuzz_session *session, struct choices *choices, bool silent)
{
    uint32_t root = 0;
    if (!silent && likely(choices, 15)) {
        const int paused = pool_any(&session->worlds[0].pool, choices, W_BIT(W_PAUSED));
        if (paused >= 0)
            return (uint32_t)paused;
    }
    const struct choices start = *choices;
    for (unsigned i = 0; i < WORLDS; i++) {
        *choices = start;
        root = graph_root(&session->worlds[i], choices, silent);
    }
    return root;
}

static void choose_case(struct fuzz_session *session, struct choices *choices, struct fuzz_case *c)
{
    const bool silent = likely(choices, 4);
    c->root = any_root(session, choices, silent);
    const struct pooled *root = &session->worlds[0].pool.at[c->root];
    c->endpoint = root->endpoints != 0 ? (uint32_t)choose(choices, root->endpoints) : 0;
    c->max_depth = likely(choices, 60) ? FUZZ_DEPTH : (uint32_t)between(choices, 1, 9);
    c->model = (unsigned)choose(choices, MODELS);
    for (unsigned i = 0; i < 4; i++)
        c->args[i] = choose(choices, 64);
    c->gas = any_gas(choices, c->model);
    c->scratchpad =
        likely(choices, 30) ? pool_any(&session->worlds[0].pool, choices, W_BIT(W_DATA)) : -1;
    c->can_pause = likely(choices, 50);
    c->want_post = likely(choices, 80);
    c->want_slot0 = likely(choices, 60);
    c->unpublished = likely(choices, 20);
    c->host_files = likely(choices, 50);
    c->host_meters = likely(choices, 40);
    c->no_host = silent && likely(choices, 70);
    /* The run has a part of what is left, and the cases behind it go on with the same. */
    c->choices = *choices;
    c->choices.random.state = random_u64(&choices->random);
    if (choices->left > 64) {
        choices->bytes += 64;
        choices->left -= 64;
        c->choices.left = 64;
    } else {
        choices->left = 0;
    }
}

/* ---- running ---------------------------------------------------------------------------- */

static void report(struct fuzz_session *session, const struct fuzz_case *c, unsigned which)
{
    static const char *const names[WORLDS] = {"interpreter", "recompiler", "both in turns"};
    struct fuzz_world *first = &session->worlds[0], *bad = &session->worlds[which];
    printf("%s, case %u, %s: %s\n", c->name, c->number, names[which], bad->wrong);
    printf("gas %llu, model %u, depth %u, endpoint %u\n", (unsigned long long)c->gas, c->model,
           c->max_depth, c->endpoint);
    trace_print(&bad->trace, bad->differs, stdout);
    if (which == 0)
        return;
    printf("interpreter:\n");
    first->show = bad->differs;
    first->coverage = &session->ignored;
    run_case(first, c);
    trace_print(&first->trace, bad->differs, stdout);
}

/* In all worlds but, to save time, some. */
static bool run_in(struct fuzz_session *session, const struct fuzz_case *c, unsigned worlds)
{
    for (unsigned i = 0; i < worlds; i++) {
        struct fuzz_world *world = &session->worlds[i];
        world->against = i != 0 ? &session->worlds[0].trace : NULL;
        session->coverage.runs++;
        run_case(world, c);
        if (world->wrong[0] != '\0') {
            report(session, c, i);
            return false;
        }
    }
    return true;
}

/* The same with every amount of gas below what it used. */
static bool run_short(struct fuzz_session *session, const struct fuzz_case *c, uint64_t step)
{
    struct fuzz_case less = *c;
    const uint64_t used = session->worlds[0].used;
    struct coverage *coverage = session->worlds[0].coverage;
    bool good = true;
    session->worlds[0].coverage = &session->ignored;
    for (less.gas = 0; less.gas <= used && good; less.gas += step)
        good = run_in(session, &less, less.gas % 7 == 0 ? WORLDS : 2);
    session->worlds[0].coverage = coverage;
    return good;
}

static bool run_cases(struct fuzz_session *session, struct choices *choices, unsigned cases,
                      const char *name)
{
    struct fuzz_world *worlds = session->worlds;
    for (unsigned number = 0; number < cases; number++) {
        struct fuzz_case c = {.name = name, .number = number};
        choose_case(session, choices, &c);
        session->coverage.cases++;
        if (!run_in(session, &c, WORLDS))
            return false;
        if (worlds[0].keeps && likely(choices, 70))
            for (unsigned i = 0; i < WORLDS; i++)
                graph_add(&worlds[i], &worlds[i].kept);
        const uint64_t used = worlds[0].used;
        if (used != 0 && used < SMALL && likely(choices, 4) && !run_short(session, &c, 1))
            return false;
        if (likely(choices, 6) && !run_short(session, &c, 1 + used / between(choices, 5, 30)))
            return false;
    }
    return true;
}

static void open_worlds(struct fuzz_session *session, struct choices *choices)
{
    const enum javm_engine jit = session->jit != NULL ? JAVM_ENGINE_JIT : JAVM_ENGINE_INTERP;
    const enum javm_engine engines[WORLDS][2] = {
        {JAVM_ENGINE_INTERP, JAVM_ENGINE_INTERP}, {jit, jit}, {JAVM_ENGINE_INTERP, jit}};
    const struct choices start = *choices;
    for (unsigned i = 0; i < WORLDS; i++) {
        struct fuzz_world *world = &session->worlds[i];
        *choices = start;
        world_make(world, engines[i], session->jit);
        world->coverage = i == 0 ? &session->coverage : &session->ignored;
        graph_make(world, choices);
        REQUIRE(world->pool.count == session->worlds[0].pool.count);
    }
}

static void close_worlds(struct fuzz_session *session)
{
    for (unsigned i = 0; i < WORLDS; i++)
        world_unmake(&session->worlds[i]);
}

bool fuzz_round(struct fuzz_session *session, struct choices *choices, unsigned cases,
                const char *name)
{
    open_worlds(session, choices);
    const bool good = run_cases(session, choices, cases, name);
    close_worlds(session);
    return good;
}

/* A host that takes gas away, as a kernel would that loses some. */
static bool lose_gas(void *context, struct javm_vm *vm, uint32_t op)
{
    running(vm)->exec.gas -= running(vm)->exec.gas != 0;
    vm->loaded -= 1;
    return check_before(context, vm, op);
}

void fuzz_self_test(struct fuzz_session *session)
{
    struct choices choices = {.random = {.state = 1}};
    struct fuzz_world *worlds = session->worlds;
    struct fuzz_case c;
    open_worlds(session, &choices);
    worlds[0].coverage = &session->ignored;
    do { /* one that does something */
        choose_case(session, &choices, &c);
        REQUIRE(run_in(session, &c, WORLDS));
    } while (worlds[0].trace.count < 20);
    worlds[0].silent = worlds[1].silent = true;
    for (size_t at = 0; at < worlds[0].trace.count; at += 3) {
        worlds[0].trace.records[at].regs[at % 6] ^= UINT64_C(1) << at % 64;
        run_case(&worlds[1], &c);
        REQUIRE(worlds[1].wrong[0] != '\0' && worlds[1].differs == at);
        worlds[0].trace.records[at].regs[at % 6] ^= UINT64_C(1) << at % 64;
    }
    worlds[0].probe.before = lose_gas;
    run_case(&worlds[0], &c);
    REQUIRE(worlds[0].wrong[0] != '\0');
    close_worlds(session);
}
