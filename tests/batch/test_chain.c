/* Chains between the parser and the workers, and the fields of jobs that pause and follow each
 * other.
 *
 * Would catch: a job that is lost, run twice or out of turn when it arrives while the runner ends;
 * two runners of one chain; a job whose memory goes while it is run, or never; states of earlier
 * jobs that pile up, or the present one let go; a field that is read wrongly; a job hash that does
 * not see what came before, or that changed for jobs that are alone. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

#include "batch/chain.h"
#include "jobs.h"
#include "tests/require.h"

/* ---- handing over ----------------------------------------------------------------------- */

enum { CHAINS = 4, JOBS = 40000, RUNNERS = 2, PLACES = CHAINS * 2 };

/* A pool of runners as simple as can be: tasks in a list under a lock. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t more;
    struct chain *waiting[PLACES];
    unsigned count;
    bool closed;
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER, .more = PTHREAD_COND_INITIALIZER};

static uint64_t ran[CHAINS]; /* written by the chain's runner only */
static struct chain *chains_by_number[CHAINS];

static void submit(struct chain *chain)
{
    pthread_mutex_lock(&pool.lock);
    REQUIRE(pool.count < PLACES); /* one task a chain */
    pool.waiting[pool.count++] = chain;
    pthread_cond_signal(&pool.more);
    pthread_mutex_unlock(&pool.lock);
}

static struct chain *take(void)
{
    pthread_mutex_lock(&pool.lock);
    while (pool.count == 0 && !pool.closed)
        pthread_cond_wait(&pool.more, &pool.lock);
    struct chain *chain = pool.count == 0 ? NULL : pool.waiting[--pool.count];
    pthread_mutex_unlock(&pool.lock);
    return chain;
}

static void *runner(void *arg)
{
    struct chain *chain;
    (void)arg;
    while ((chain = take()) != NULL) {
        struct job *job;
        do {
            job = chain_first(chain);
            REQUIRE(job != NULL && job->chain == chain);
            REQUIRE(job->id_number == ran[job->endpoint]); /* its turn */
            ran[job->endpoint]++;
        } while (chain_ended(chain, job));
    }
    return NULL;
}

Test(chain, every_job_once_and_in_turn)
{
    REQUIRE(sodium_init() >= 0);
    struct chains *chains = chains_new();
    pthread_t threads[RUNNERS];
    uint64_t next[CHAINS] = {0};
    struct random random = {.state = 5};
    REQUIRE(chains != NULL);
    for (unsigned i = 0; i < CHAINS; i++) {
        const char name = (char)('a' + i);
        chains_by_number[i] = chains_find(chains, &name, 1);
        REQUIRE(chains_by_number[i] != NULL);
        cr_expect_eq(chains_find(chains, &name, 1), chains_by_number[i]);
    }
    for (unsigned i = 0; i < RUNNERS; i++)
        REQUIRE(pthread_create(&threads[i], NULL, runner, NULL) == 0);
    for (unsigned n = 0; n < JOBS; n++) {
        struct chunk *chunk = chunk_new(NULL, sizeof(struct job));
        REQUIRE(chunk != NULL);
        struct job *job = chunk_take(chunk, sizeof *job);
        const uint32_t c = (uint32_t)random_below(&random, CHAINS);
        *job = (struct job){.chain = chains_by_number[c], .endpoint = c, .id_number = next[c]++};
        if (chain_append(job->chain, job, chunk))
            submit(job->chain);
        chunk_release(chunk);
    }
    pthread_mutex_lock(&pool.lock);
    pool.closed = true;
    pthread_cond_broadcast(&pool.more);
    pthread_mutex_unlock(&pool.lock);
    for (unsigned i = 0; i < RUNNERS; i++)
        REQUIRE(pthread_join(threads[i], NULL) == 0);
    for (unsigned i = 0; i < CHAINS; i++)
        cr_expect_eq(ran[i], next[i]);
    chains_free(chains);
    REQUIRE_NO_LEAKS();
}

/* The batch was stopped: what is queued, taken over by the runner or not, is let go. */
Test(chain, jobs_that_do_not_run_are_let_go)
{
    REQUIRE(sodium_init() >= 0);
    struct chains *chains = chains_new();
    struct chain *chain = chains_find(chains, "c", 1);
    for (unsigned n = 0; n < 10; n++) {
        struct chunk *chunk = chunk_new(NULL, sizeof(struct job));
        struct job *job = chunk_take(chunk, sizeof *job);
        *job = (struct job){.chain = chain, .id_number = n};
        cr_expect_eq(chain_append(chain, job, chunk), n == 0);
        chunk_release(chunk);
        if (n == 5)
            cr_expect_eq(chain_first(chain)->id_number, 0);
    }
    cr_expect(chain_ended(chain, chain_first(chain)));
    cr_expect_eq(chain_first(chain)->id_number, 1);
    chains_free(chains);
    REQUIRE_NO_LEAKS();
}

Test(chain, names_survive_growth)
{
    REQUIRE(sodium_init() >= 0);
    struct chains *chains = chains_new();
    struct chain *first = chains_find(chains, "0", 1);
    char name[16];
    for (int i = 0; i < 1000; i++) {
        const int len = snprintf(name, sizeof name, "%d", i);
        struct chain *chain = chains_find(chains, name, (size_t)len);
        REQUIRE(chain != NULL);
        cr_expect_eq(chain == first, i == 0);
        cr_expect_str_eq(chain->named.name, name);
    }
    cr_expect_eq(chains_find(chains, "0", 1), first);
    chains_free(chains);
    REQUIRE_NO_LEAKS();
}

/* ---- what it stands at ------------------------------------------------------------------ */

/* Each state is a CNode with a hundred Data, of which one is new. */
Test(chain, states_do_not_pile_up, .init = jobs_set_up, .fini = jobs_tear_down)
{
    enum { PARTS = 100, MOVES = 3000 };
    struct chains *chains = chains_new();
    struct chain *chain = chains_find(chains, "c", 1);
    const struct target target = {.instance = {{1}}, .paused = true};
    const struct job job = {.chain = chain, .target = &target};
    struct javm_cap *state = javm_cnode_new();
    struct javm_dir_thread *dir = jobs_dir();
    uint64_t most = 0;
    REQUIRE(chain_begin(chain, &job) && state != NULL);
    cr_expect(chain->paused);
    cr_expect(javm_hash_equal(&chain->instance, &target.instance));
    for (uint64_t i = 1; i <= PARTS + MOVES; i++) {
        struct javm_cap *data = javm_data_new(&i, sizeof i), *next = javm_cap_clone(state);
        const struct javm_key key = javm_key_from_u64(i % PARTS);
        struct javm_hash hash;
        javm_annex_open(dir, chain->annex);
        REQUIRE(javm_directory_put(dir, data, &hash, NULL) == JAVM_OK);
        struct javm_target part = javm_target_hash(&hash);
        REQUIRE(javm_cnode_set(next, &key, &part) == JAVM_OK);
        REQUIRE(javm_directory_put(dir, next, &hash, NULL) == JAVM_OK);
        chain_move(chain, &hash, false);
        REQUIRE(chain_begin(chain, &job)); /* it goes on from there */
        cr_assert(javm_hash_equal(&chain->instance, &hash));
        cr_assert_not(chain->paused);
        const uint64_t count = javm_annex_count(chain->annex, NULL);
        most = count > most ? count : most;
        javm_cap_release(data);
        javm_cap_release(state);
        state = next;
    }
    cr_expect_lt(most, 3 * PARTS, "%llu caps", (unsigned long long)most);
    for (uint32_t i = 0; i < javm_cnode_count(state); i++) {
        struct javm_key key;
        struct javm_cap *data = javm_directory_get(dir, &javm_cnode_at(state, i, &key)->hash);
        cr_expect_not_null(data);
        javm_cap_release(data);
    }
    javm_annex_open(dir, NULL);
    struct javm_directory_stats stats;
    javm_directory_stats(dir, &stats);
    cr_expect_eq(stats.blobs, 0);
    cr_expect_eq(stats.instances, 0);
    javm_cap_release(state);
    chains_free(chains);
}

/* ---- fields ----------------------------------------------------------------------------- */

static void set_up(void)
{
    jobs_set_up();
    jobs_define("{\"image\":\"d\",\"load\":\"d.jimg\"}");
    jobs_define("{\"instance\":\"i\",\"image\":\"d\",\"slots\":{\"5\":{\"data\":\"0x01\"}}}");
}

Test(chain, fields, .init = set_up, .fini = jobs_tear_down)
{
    const struct job *job = jobs_job("{\"invoke\":\"d\"}");
    cr_expect(job->chain == NULL && job->on_pause == ON_PAUSE_NONE && !job->gas_named);
    cr_expect_not(job->enters);
    cr_expect(jobs_job("{\"invoke\":\"d\",\"post\":true}")->post);
    cr_expect_eq(jobs_job("{\"invoke\":\"d\",\"on_pause\":\"report\"}")->on_pause, ON_PAUSE_REPORT);
    cr_expect_eq(jobs_job("{\"invoke\":\"d\",\"on_pause\":\"resume\"}")->on_pause, ON_PAUSE_RESUME);
    job = jobs_job("{\"invoke\":\"d\",\"on_pause\":{\"set_gas\":\"0x10\",\"x-why\":1}}");
    cr_expect_eq(job->on_pause, ON_PAUSE_SET_GAS);
    cr_expect_eq(job->set_gas, 16);
    cr_expect_eq(job->set_gas_times, 1);
    job = jobs_job("{\"invoke\":\"d\",\"gas\":5,\"on_pause\":{\"times\":7,\"set_gas\":3}}");
    cr_expect_eq(job->set_gas_times, 7);
    cr_expect(job->gas_named);
    const struct job *first = jobs_job("{\"chain\":\"c\",\"invoke\":\"i\",\"args\":[1]}");
    const struct job *second = jobs_job("{\"chain\":\"c\",\"endpoint\":63}"); /* seen when run */
    const struct job *other = jobs_job("{\"chain\":\"e\",\"invoke\":\"i\",\"post\":false}");
    cr_expect(first->chain != NULL && first->chain == second->chain);
    cr_expect(other->chain != NULL && other->chain != first->chain);
    cr_expect(first->post && second->post && !other->post);
    cr_expect(first->enters && second->enters && !other->enters);
    cr_expect_eq(first->target, second->target);
    cr_expect_not_null(jobs_job("{\"chain\":\"c\",\"invoke\":\"i\"}"));
    jobs_refuse("{\"chain\":\"c\",\"invoke\":\"d\"}", 22,
                "invoke: the chain began with another instance");
    jobs_refuse("{\"chain\":\"new\",\"invoke\":\"d\",\"endpoint\":63}", 39,
                "endpoint: the image has no endpoint 63");
    jobs_refuse("{\"chain\":\"new\"}", 0, "invoke: the first job of a chain");
}

/* A bad line is none of the chain's jobs. */
Test(chain, hashes_follow_what_came_before, .init = set_up, .fini = jobs_tear_down)
{
    static const char *const LINES[] = {"\"invoke\":\"d\"", "\"args\":[1]", "\"args\":[1]",
                                        "\"args\":[1],\"repeat\":3", "\"args\":[1]"};
    uint64_t hashes[2][5];
    char line[128];
    for (unsigned chain = 0; chain < 2; chain++)
        for (unsigned i = 0; i < 5; i++) {
            snprintf(line, sizeof line, "{\"chain\":\"c%u\",%s}", chain, LINES[i]);
            hashes[chain][i] = job_hash(jobs_job(line), 0);
            snprintf(line, sizeof line, "{\"chain\":\"c%u\",\"argz\":1}", chain);
            if (chain == 1)
                jobs_refuse(line, 14, "unknown field");
        }
    for (unsigned i = 0; i < 5; i++) {
        cr_expect_eq(hashes[0][i], hashes[1][i], "%u: the name is no part of it", i);
        for (unsigned k = 0; k < i; k++)
            cr_expect_neq(hashes[0][i], hashes[0][k], "%u, %u", i, k);
    }
    const uint64_t alone = job_hash(jobs_job("{\"invoke\":\"d\",\"post\":true}"), 0);
    static const char *const DIFFERENT[] = {
        "{\"chain\":\"x\",\"invoke\":\"d\"}",
        "{\"invoke\":\"d\",\"post\":true,\"on_pause\":\"report\"}",
        "{\"invoke\":\"d\",\"post\":true,\"on_pause\":\"resume\"}",
        "{\"invoke\":\"d\",\"post\":true,\"on_pause\":{\"set_gas\":1}}",
        "{\"invoke\":\"d\",\"post\":true,\"on_pause\":{\"set_gas\":2}}",
        "{\"invoke\":\"d\",\"post\":true,\"on_pause\":{\"set_gas\":1,\"times\":2}}"};
    uint64_t seen[7] = {alone};
    for (unsigned i = 0; i < 6; i++) {
        seen[i + 1] = job_hash(jobs_job(DIFFERENT[i]), 0);
        for (unsigned k = 0; k <= i; k++)
            cr_expect_neq(seen[i + 1], seen[k], "%s", DIFFERENT[i]);
    }
}
