/* Creation, threads and the tier of published caps. docs/cache.md has the whole argument. */
#include <stdlib.h>

#include "cache/annex.h"
#include "cache/atomic.h"
#include "cache/directory_impl.h"
#include "cache/epoch.h"
#include "cache/point.h"

#define SHARDS_DEFAULT_MIN 64u /* for few workers: keeps the tables shallow at 24 KiB */
#define POLL_EVERY         32u /* a poll reads one line per thread: not at every retirement */

/* ---- creation --------------------------------------------------------------------------- */

static enum javm_status pick_shards(unsigned workers, unsigned shards, unsigned *bits,
                                    struct javm_error *err)
{
    uint64_t least = 4 * (uint64_t)(workers == 0 ? 1 : workers);
    uint64_t wanted = shards != 0 ? shards : SHARDS_DEFAULT_MIN;
    if (wanted < least)
        wanted = least;
    if (wanted > SHARDS_MAX)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "directory: %u workers and %u shards need %llu shards, the limit is %u",
                         workers, shards, (unsigned long long)wanted, SHARDS_MAX);
    for (*bits = 0; (1ull << *bits) < wanted;)
        ++*bits;
    return JAVM_OK;
}

static void *zeroed_lines(size_t size)
{
    void *memory = aligned_alloc(CACHE_LINE, size);
    if (memory != NULL)
        memset(memory, 0, size);
    return memory;
}

enum javm_status javm_directory_create(unsigned workers, unsigned shards,
                                       struct javm_directory **dir, struct javm_error *err)
{
    static uint64_t directories;
    unsigned bits = 0;
    enum javm_status status = pick_shards(workers, shards, &bits, err);
    if (status != JAVM_OK)
        return status;
    struct javm_directory *made = zeroed_lines(sizeof *made);
    struct shard *table = zeroed_lines(sizeof *table << bits);
    if (made == NULL || table == NULL) {
        free(made);
        free(table);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "directory: no memory for %llu shards",
                         1ull << bits);
    }
    made->number = add_relaxed(&directories, 1) + 1; /* relaxed: only has to be unique */
    made->shard_bits = bits;
    made->shard_count = 1ull << bits;
    made->shards = table;
    ck_epoch_init(&made->epoch);
    *dir = made;
    return JAVM_OK;
}

static void free_blob(void *ctx, struct trie_leaf *leaf)
{
    (void)ctx;
    struct blob *blob = (struct blob *)(void *)leaf; /* the leaf is its first member */
    javm_cap_release(blob->cap);
    free(blob);
}

static void clear_entry(void *ctx, struct trie_leaf *leaf)
{
    (void)ctx;
    entry_clear(entry_of_leaf(leaf));
}

static void free_entry(void *ctx, struct trie_leaf *leaf)
{
    (void)ctx;
    entry_free(entry_of_leaf(leaf));
}

void javm_directory_destroy(struct javm_directory *dir)
{
    if (dir == NULL)
        return;
    for (struct javm_dir_thread *next, *at = dir->threads; at != NULL; at = next) {
        next = at->next;
        if (load_acquire(&at->taken) != 0) /* partner: store_release in javm_directory_leave */
            abort(); /* a thread still uses the directory: the caller broke the contract */
        EPOCH_TSAN_ACQUIRE(&dir->epoch);
        ck_epoch_reclaim(&at->record);
    }
    /* A value may hold CapRefs into any shard, so every entry outlives every value. */
    for (uint64_t i = 0; i < dir->shard_count; i++)
        trie_walk(&dir->shards[i].instances, clear_entry, NULL);
    for (uint64_t i = 0; i < dir->shard_count; i++) {
        trie_walk(&dir->shards[i].instances, free_entry, NULL);
        trie_clear(&dir->shards[i].instances);
        place_clear(&dir->shards[i].places);
        trie_walk(&dir->shards[i].blobs, free_blob, NULL);
        trie_clear(&dir->shards[i].blobs);
    }
    for (struct javm_dir_thread *next, *at = dir->threads; at != NULL; at = next) {
        next = at->next;
        free(at);
    }
    free(dir->shards);
    free(dir);
}

/* ---- threads ---------------------------------------------------------------------------- */

struct javm_dir_thread *javm_directory_join(struct javm_directory *dir)
{
    /* acquire: partner is cas_release below; the links and fields of threads that joined before */
    struct javm_dir_thread *head = load_acquire(&dir->threads);
    for (struct javm_dir_thread *at = head; at != NULL; at = at->next) {
        uint32_t taken = 0;
        CACHE_POINT("join.take");
        /* relaxed: a hint that saves a write to the line of a thread that is busy.
         * acquire: partner is store_release in javm_directory_leave; the record as it was left */
        if (load_relaxed(&at->taken) == 0 && cas_acquire(&at->taken, &taken, 1))
            return at;
    }
    struct javm_dir_thread *self = zeroed_lines(sizeof *self);
    if (self == NULL)
        return NULL;
    self->dir = dir;
    self->taken = 1;
    self->poll_at = POLL_EVERY;
    /* relaxed: the number only spreads threads over shards */
    self->home = add_relaxed(&dir->thread_count, 1) & (dir->shard_count - 1);
    ck_epoch_register(&dir->epoch, &self->record, NULL);
    self->next = head;
    CACHE_POINT("join.link");
    /* release: partners are the acquire loads of `threads`; publishes the fields above. Threads are
     * never unlinked, so an unchanged head means an unchanged list. */
    while (!cas_release(&dir->threads, &self->next, self))
        continue;
    return self;
}

void javm_directory_leave(struct javm_dir_thread *self)
{
    if (self == NULL)
        return;
    thread_poll(self);
    self->annex = NULL;
    CACHE_POINT("leave");
    /* release: partners are cas_acquire in join and load_acquire in destroy; all that was done here
     */
    store_release(&self->taken, 0);
}

struct javm_directory *javm_directory_of(const struct javm_dir_thread *self)
{
    return self->dir;
}

void thread_poll(struct javm_dir_thread *self)
{
    CACHE_POINT("epoch.poll");
    epoch_poll(&self->record);
    /* what still waits does so for another thread: asking again for each object would not help */
    self->poll_at = self->record.n_pending + POLL_EVERY;
}

void thread_maintain(struct javm_dir_thread *self)
{
    if (self->record.n_pending >= self->poll_at)
        thread_poll(self);
}

/* ---- published caps --------------------------------------------------------------------- */

const struct blob *blob_find(const struct javm_directory *dir, const struct javm_hash *hash)
{
    return (const struct blob *)(void *)trie_find(&shard_of_hash(dir, hash)->blobs, hash);
}

struct javm_cap *published_find(const struct javm_dir_thread *self, const struct javm_hash *hash)
{
    struct javm_cap *cap = self->annex != NULL ? annex_find(self->annex, hash) : NULL;
    if (cap != NULL)
        return cap;
    const struct blob *blob = blob_find(self->dir, hash);
    return blob != NULL ? blob->cap : NULL;
}

struct javm_cap *javm_directory_get(struct javm_dir_thread *self, const struct javm_hash *hash)
{
    count_one(&self->gets);
    struct javm_cap *cap = published_find(self, hash);
    if (cap == NULL) {
        count_one(&self->get_misses);
        return NULL;
    }
    CACHE_POINT("get.found");
    return javm_cap_retain(cap);
}

void javm_annex_open(struct javm_dir_thread *self, struct javm_annex *annex)
{
    self->annex = annex;
}

bool javm_annex_has(const struct javm_dir_thread *self, const struct javm_hash *hash)
{
    return self->annex != NULL && annex_find(self->annex, hash) != NULL;
}

struct closure {
    const struct javm_dir_thread *self;
    struct javm_hash missing;
};

static bool hash_is_present(void *ctx, const struct javm_hash *hash)
{
    struct closure *closure = ctx;
    if (published_find(closure->self, hash) != NULL)
        return true;
    closure->missing = *hash;
    return false;
}

/* Blobs never go away, and an annex is this thread's own, so what was found present stays present:
 * checking the closure and inserting need not be one atomic step. */
static enum javm_status check_closure(const struct javm_dir_thread *self,
                                      const struct javm_cap *cap, struct javm_error *err)
{
    struct closure closure = {.self = self};
    if (javm_cap_each_hash(cap, hash_is_present, &closure))
        return JAVM_OK;
    char text[JAVM_HASH_TEXT];
    javm_hash_format(&closure.missing, text);
    return javm_fail(err, JAVM_E_MISSING, JAVM_NOWHERE,
                     "put: the %s names %s, which is not in the directory",
                     javm_kind_name(javm_cap_kind(cap)), text);
}

/* Loses against nobody: when an equal cap came first, that one stays and the result is the same. */
static enum javm_status insert_blob(struct javm_dir_thread *self, const struct javm_cap *cap,
                                    const struct javm_hash *hash, struct javm_error *err)
{
    struct shard *shard = shard_of_hash(self->dir, hash);
    uint64_t nodes = 0;
    uint64_t bytes = javm_cap_bytes(cap);
    enum trie_result result = TRIE_NOMEM;
    struct blob *blob = malloc(sizeof *blob);
    if (blob != NULL) {
        blob->leaf.key = *hash;
        blob->cap = javm_cap_retain(cap);
        CACHE_POINT("put.insert");
        result = trie_insert(&shard->blobs, &blob->leaf, &nodes);
        if (result != TRIE_INSERTED)
            free_blob(NULL, &blob->leaf);
    }
    if (result == TRIE_NOMEM)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "put: no memory for a table entry");
    if (result == TRIE_PRESENT) {
        count_one(&self->put_hits);
        return JAVM_OK;
    }
    /* relaxed: statistics */
    add_relaxed(&shard->blob_count, 1);
    add_relaxed(&shard->blob_bytes, bytes);
    add_relaxed(&shard->nodes, nodes);
    return JAVM_OK;
}

enum javm_status javm_directory_put(struct javm_dir_thread *self, const struct javm_cap *cap,
                                    struct javm_hash *hash, struct javm_error *err)
{
    struct javm_hash own;
    count_one(&self->puts);
    CACHE_POINT("put.hash");
    enum javm_status status = javm_cap_hash(cap, &own);
    if (status == JAVM_E_LIVE)
        return javm_fail(err, status, JAVM_NOWHERE,
                         "put: the %s holds a CapRef; settle it before publishing it",
                         javm_kind_name(javm_cap_kind(cap)));
    if (status != JAVM_OK)
        return javm_fail(err, status, JAVM_NOWHERE, "put: the cap cannot be hashed");
    CACHE_POINT("put.find");
    if (published_find(self, &own) != NULL) {
        count_one(&self->put_hits);
    } else {
        status = check_closure(self, cap, err);
        if (status == JAVM_OK && self->annex == NULL)
            status = insert_blob(self, cap, &own, err);
        else if (status == JAVM_OK && !annex_insert(self->annex, cap, &own))
            status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "put: no memory for the annex");
    }
    if (status == JAVM_OK && hash != NULL)
        *hash = own;
    return status;
}
