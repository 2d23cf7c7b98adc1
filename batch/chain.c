#include "batch/chain.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "batch/chunk.h"
#include "batch/definitions.h"
#include "javm/load.h"

/* How much may lie in an annex besides what is reached: as much again, and a little. */
#define SPARE_CAPS  8u
#define SPARE_BYTES 16384u

struct chains {
    struct names names;
};

/* ---- by name ---------------------------------------------------------------------------- */

static struct chain *at(struct named *named)
{
    return named == NULL ? NULL
                         : (struct chain *)(void *)((char *)named - offsetof(struct chain, named));
}

struct chains *chains_new(void)
{
    struct chains *chains = calloc(1, sizeof *chains);
    if (chains != NULL && names_open(&chains->names))
        return chains;
    free(chains);
    return NULL;
}

static void let_go(struct job *jobs)
{
    while (jobs != NULL) {
        struct job *next = jobs->chain_next;
        chunk_release(jobs->chunk); /* and the job with it */
        jobs = next;
    }
}

static void chain_free(struct chain *chain)
{
    let_go(chain->next);
    let_go(atomic_load_explicit(&chain->arrived, memory_order_relaxed));
    javm_annex_free(chain->annex);
    free(chain->named.name);
    free(chain);
}

void chains_free(struct chains *chains)
{
    if (chains == NULL)
        return;
    for (size_t i = 0; i < chains->names.capacity; i++)
        if (chains->names.places[i] != NULL)
            chain_free(at(chains->names.places[i]));
    names_close(&chains->names);
    free(chains);
}

struct chain *chains_find(struct chains *chains, const char *name, size_t len)
{
    struct chain *chain = at(names_find(&chains->names, name, len));
    if (chain != NULL)
        return chain;
    chain = calloc(1, sizeof *chain);
    if (chain == NULL || !names_add(&chains->names, &chain->named, name, len)) {
        free(chain);
        return NULL;
    }
    return chain;
}

/* ---- jobs ------------------------------------------------------------------------------- */

bool chain_append(struct chain *chain, struct job *job, struct chunk *chunk)
{
    chunk_retain(chunk);
    job->chunk = chunk;
    job->chain_next = atomic_load_explicit(&chain->arrived, memory_order_relaxed);
    /* Release, partner: chain_first; the job and its chunk become visible. */
    while (!atomic_compare_exchange_weak_explicit(&chain->arrived, &job->chain_next, job,
                                                  memory_order_release, memory_order_relaxed))
        continue;
    /* Acquire-release, partner: chain_ended. Either the runner sees this job, or it is done with
     * everything and a new runner sees all that it did. */
    return atomic_fetch_add_explicit(&chain->pending, 1, memory_order_acq_rel) == 0;
}

struct job *chain_first(struct chain *chain)
{
    if (chain->next == NULL) {
        /* Acquire, partner: chain_append. */
        struct job *job = atomic_exchange_explicit(&chain->arrived, NULL, memory_order_acquire);
        while (job != NULL) { /* the last one first: turn them round */
            struct job *before = job->chain_next;
            job->chain_next = chain->next;
            chain->next = job;
            job = before;
        }
    }
    return chain->next;
}

bool chain_ended(struct chain *chain, struct job *job)
{
    chain->next = job->chain_next;
    chunk_release(job->chunk);
    /* Acquire-release, partner: chain_append. */
    return atomic_fetch_sub_explicit(&chain->pending, 1, memory_order_acq_rel) != 1;
}

/* ---- what it stands at ------------------------------------------------------------------ */

bool chain_begin(struct chain *chain, const struct job *job)
{
    if (chain->begun)
        return true;
    if (chain->annex == NULL && (chain->annex = javm_annex_new()) == NULL)
        return false;
    chain->instance = job->target->instance;
    chain->paused = job->target->paused;
    chain->begun = true;
    return true;
}

void chain_move(struct chain *chain, const struct javm_hash *instance, bool paused)
{
    uint64_t bytes;
    chain->instance = *instance;
    chain->paused = paused;
    const uint64_t count = javm_annex_count(chain->annex, &bytes);
    if (count <= 2 * chain->kept + SPARE_CAPS && bytes <= 2 * chain->kept_bytes + SPARE_BYTES)
        return;
    /* Without memory for it the next job tries again. */
    if (javm_annex_keep(chain->annex, instance) == JAVM_OK)
        chain->kept = javm_annex_count(chain->annex, &chain->kept_bytes);
}

/* ---- at the end ------------------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    return strcmp((*(struct chain *const *)a)->named.name, (*(struct chain *const *)b)->named.name);
}

/* All that the chains have, in one annex; the chains have nothing then. */
static enum javm_status gather(struct chain **list, size_t count, struct javm_annex *all)
{
    enum javm_status status = JAVM_OK;
    for (size_t i = 0; i < count && status == JAVM_OK; i++)
        status = javm_annex_move(all, list[i]->annex);
    return status;
}

static enum javm_status write_bundle(struct chain *const *list, uint32_t count,
                                     struct javm_dir_thread *dir, const char *path,
                                     struct javm_error *err)
{
    struct javm_bundle bundle = {0};
    uint8_t *bytes = NULL;
    size_t len;
    struct javm_hash *roots = malloc((count + (size_t)1) * sizeof *roots);
    const char **names = malloc((count + (size_t)1) * sizeof *names);
    enum javm_status status = JAVM_OK;
    if (roots == NULL || names == NULL)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", path);
    for (uint32_t i = 0; i < count && status == JAVM_OK; i++) {
        roots[i] = list[i]->instance;
        names[i] = list[i]->named.name;
    }
    if (status == JAVM_OK)
        status = javm_bundle_collect(dir, roots, names, count, &bundle, err);
    if (status == JAVM_OK)
        status = javm_bundle_encode(&bundle, &bytes, &len, err);
    if (status == JAVM_OK)
        status = javm_file_write(path, bytes, len, err);
    javm_bundle_clear(&bundle);
    free(bytes);
    free(roots);
    free(names);
    return status;
}

enum javm_status chains_save(struct chains *chains, struct javm_dir_thread *dir, const char *path,
                             struct javm_error *err)
{
    struct chain **list = malloc((chains->names.count + 1) * sizeof(struct chain *));
    struct javm_annex *all = javm_annex_new();
    enum javm_status status = JAVM_OK;
    size_t count = 0;
    for (size_t i = 0; i < chains->names.capacity && list != NULL; i++) {
        struct chain *chain = at(chains->names.places[i]);
        if (chain != NULL && chain->begun)
            list[count++] = chain;
    }
    if (list == NULL || all == NULL || gather(list, count, all) != JAVM_OK)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "%s: out of memory", path);
    else if (count > UINT32_MAX)
        status = javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE, "%s: too many chains", path);
    if (status == JAVM_OK) {
        qsort(list, count, sizeof(struct chain *), by_name);
        javm_annex_open(dir, all);
        status = write_bundle(list, (uint32_t)count, dir, path, err);
        javm_annex_open(dir, NULL);
    }
    javm_annex_free(all);
    free(list);
    return status;
}
