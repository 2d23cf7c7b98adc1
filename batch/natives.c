#include "batch/natives.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>

struct store {
    struct store *next;
    struct javm_jit *jit;
    bool claimed;
    unsigned node;
};

struct natives {
    const char *cache;
    bool perf_map;
    pthread_mutex_t lock; /* the list */
    struct store *stores; /* never empty */
};

static enum javm_status add_store(struct natives *natives, struct javm_error *err)
{
    const struct javm_jit_options options = {.cache_dir = natives->cache,
                                             .perf_map = natives->perf_map};
    struct store *store = calloc(1, sizeof *store);
    if (store == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "native code: out of memory");
    const enum javm_status status = javm_jit_create(&options, &store->jit, err);
    if (status != JAVM_OK) {
        free(store);
        return status;
    }
    store->next = natives->stores;
    natives->stores = store;
    return JAVM_OK;
}

enum javm_status natives_new(const char *cache, bool perf_map, struct natives **natives,
                             struct javm_error *err)
{
    struct natives *made = calloc(1, sizeof *made);
    if (made == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "native code: out of memory");
    made->cache = cache;
    made->perf_map = perf_map;
    const enum javm_status status = add_store(made, err);
    if (status != JAVM_OK) {
        free(made);
        return status;
    }
    pthread_mutex_init(&made->lock, NULL);
    *natives = made;
    return JAVM_OK;
}

void natives_free(struct natives *natives)
{
    if (natives == NULL)
        return;
    while (natives->stores != NULL) {
        struct store *store = natives->stores;
        natives->stores = store->next;
        javm_jit_destroy(store->jit);
        free(store);
    }
    pthread_mutex_destroy(&natives->lock);
    free(natives);
}

unsigned natives_node(void)
{
    unsigned cpu, node;
    return getcpu(&cpu, &node) == 0 ? node : 0;
}

/* The node's own, or the one that nobody has claimed yet. The lock is held. */
static struct store *find(struct natives *natives, unsigned node)
{
    for (struct store *store = natives->stores; store != NULL; store = store->next)
        if (!store->claimed || store->node == node)
            return store;
    return NULL;
}

struct javm_jit *natives_of_node(struct natives *natives, unsigned node)
{
    pthread_mutex_lock(&natives->lock);
    struct store *store = find(natives, node);
    if (store == NULL) {
        add_store(natives, NULL); /* a failure leaves another node's at the head */
        store = natives->stores;
    }
    if (!store->claimed) {
        store->claimed = true;
        store->node = node;
    }
    pthread_mutex_unlock(&natives->lock);
    return store->jit;
}

enum javm_status natives_save(struct natives *natives, struct javm_error *err)
{
    enum javm_status first = JAVM_OK;
    for (struct store *store = natives->stores; store != NULL; store = store->next) {
        struct javm_error one;
        const enum javm_status status = javm_jit_save(store->jit, &one);
        if (status != JAVM_OK && first == JAVM_OK) {
            first = status;
            *err = one;
        }
    }
    return first;
}

void natives_stats(const struct natives *natives, struct javm_jit_stats *stats)
{
    *stats = (struct javm_jit_stats){0};
    for (const struct store *store = natives->stores; store != NULL; store = store->next) {
        struct javm_jit_stats one;
        javm_jit_stats(store->jit, &one);
        stats->programs += one.programs;
        stats->regions += one.regions;
        stats->code_bytes += one.code_bytes;
        stats->compiled_bytes += one.compiled_bytes;
        stats->compile_ns += one.compile_ns;
        stats->files_loaded += one.files_loaded;
        stats->files_saved += one.files_saved;
        stats->files_refused += one.files_refused;
        stats->files_failed += one.files_failed;
    }
}
