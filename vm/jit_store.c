/* Natives, and the store that keeps those that have a name.
 *
 * Locks, in the order in which a thread may take them: a native's, the loader's (jit_file.c), the
 * store's, the arena's or the one of the files' error. The store's is taken when a worker opens or
 * closes a program, which happens when it meets a program for the first time and when it forgets
 * it; never during an invocation. */
#include "vm/jit_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vm/front.h"
#include "vm/jit_debug.h"
#include "vm/jit_run.h"
#include "vm/kvm/machine.h"

#define BUCKETS      4096u
#define CODE_DEFAULT (UINT64_C(1) << 30)

struct jit_store {
    struct jit_files files;
    uint64_t limit;       /* for idle_bytes */
    pthread_mutex_t lock; /* everything below */
    LIST_HEAD(jit_bucket, jit_entry) buckets[BUCKETS];
    TAILQ_HEAD(jit_idle, jit_entry) idle; /* nobody has them open; the one closed last is last */
    uint64_t idle_bytes;
};

static void count(_Atomic uint64_t *counter, uint64_t more)
{
    atomic_fetch_add_explicit(counter, more, memory_order_relaxed); /* relaxed: statistics */
}

static uint64_t counted(_Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed); /* relaxed: statistics */
}

/* ---- natives ---------------------------------------------------------------------------- */

/* Words of a bitmap of halfwords, and of all of a walk. */
static uint64_t bitmap_words(uint64_t code_len)
{
    return (code_len / 2 + 1) / 64 + 1;
}

static uint64_t walk_words(uint64_t code_len)
{
    return 2 * bitmap_words(code_len) + bitmap_words(code_len) / 64 + 1;
}

/* One allocation, walk->longs, holds all three bitmaps; NULL: out of memory. */
static void open_walk(struct pvm2_walk *walk, const uint8_t *code, uint64_t code_len)
{
    const uint64_t words = bitmap_words(code_len);
    uint64_t *const bits = calloc(walk_words(code_len), sizeof *bits);
    *walk = (struct pvm2_walk){.code = code, .len = code_len};
    if (bits == NULL)
        return;
    walk->longs = bits;
    walk->heads = bits + words;
    walk->noted = bits + 2 * words;
}

static size_t ways_bytes(const struct javm_native *n)
{
    return (n->front.key.jump_count + (size_t)1) * sizeof *n->ways;
}

/* What compiling has to know of the whole code. False: out of memory. */
static bool learn_code(struct javm_jit *jit, struct javm_native *n)
{
    const struct front *f = &n->front;
    if (!front_is_pvm(f)) {
        open_walk(&n->walk, f->code, f->len);
        return n->walk.longs != NULL;
    }
    n->jumps = malloc((f->key.jump_count + (size_t)1) * sizeof *n->jumps);
    n->ways = jit_alloc(jit, ways_bytes(n));
    if (n->jumps == NULL || n->ways == NULL || !pvm_find_targets(f, &n->targets))
        return false;
    for (uint32_t i = 0; i < f->key.jump_count; i++)
        n->jumps[i] =
            pvm_may_land(f, f->key.jump_table[i]) ? f->key.jump_table[i] : (uint32_t)f->len + 1;
    return true;
}

static void forget_code(struct javm_jit *jit, struct javm_native *n)
{
    free(n->walk.longs);
    free(n->targets.middle);
    free(n->jumps);
    jit_free(jit, (void *)n->ways, ways_bytes(n));
}

enum javm_status jit_native_new(struct javm_jit *jit, const uint8_t *code, uint64_t code_len,
                                const struct javm_program_key *key, const struct javm_owner *owner,
                                struct javm_native **native, struct javm_error *err)
{
    const enum javm_status status = front_check(code_len, key, err);
    if (status != JAVM_OK)
        return status;
    struct javm_native *n = calloc(1, sizeof *n);
    if (n != NULL) {
        n->front = front_of(code, code_len, key);
        n->table = jit_table_take(jit, jit_table_span(&n->front));
    }
    if (n == NULL || n->table == NULL || !learn_code(jit, n)) {
        if (n != NULL) {
            jit_table_put(jit, n->table, jit_table_span(&n->front));
            forget_code(jit, n);
        }
        free(n);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE,
                         "native code: out of memory for %llu bytes of code",
                         (unsigned long long)code_len);
    }
    n->jit = jit;
    if (owner != NULL) {
        n->owner = *owner;
        owner->retain(owner->object);
    }
    pthread_mutex_init(&n->lock, NULL);
    count(&jit->counts.programs, 1);
    *native = n;
    return JAVM_OK;
}

static void count_compiled(struct javm_native *native)
{
    count(&native->jit->counts.compile_ns, native->compile_ns - native->counted_ns);
    count(&native->jit->counts.compiled_bytes, native->compiled_bytes - native->counted_bytes);
    native->counted_ns = native->compile_ns;
    native->counted_bytes = native->compiled_bytes;
}

void jit_native_free(struct javm_native *native)
{
    if (native == NULL)
        return;
    struct jit_counts *counts = &native->jit->counts;
    count_compiled(native);
    count(&counts->programs, (uint64_t)-1);
    count(&counts->regions, (uint64_t)0 - native->region_count);
    count(&counts->code_bytes, (uint64_t)0 - native->code_bytes);
    while (native->regions != NULL) {
        struct jit_region *region = native->regions;
        native->regions = region->next;
        for (uint32_t i = 0; i < region->block_count; i++) /* relaxed: nobody uses it any more */
            atomic_store_explicit(jit_place(native, region->blocks[i].pc), 0, memory_order_relaxed);
        jit_arena_release(native->jit->arena, region->code_at, region->code_len);
        free(region);
    }
    javm_program_free(native->program);
    if (native->owner.object != NULL)
        native->owner.release(native->owner.object);
    jit_table_put(native->jit, native->table, jit_table_span(&native->front));
    forget_code(native->jit, native);
    pthread_mutex_destroy(&native->lock);
    free(native);
}

void jit_publish(struct javm_native *native, struct jit_region *region)
{
    region->next = native->regions;
    native->regions = region;
    native->region_count++;
    native->code_bytes += region->code_len;
    count(&native->jit->counts.regions, 1);
    count(&native->jit->counts.code_bytes, region->code_len);
    count_compiled(native);
    for (uint32_t i = 0; i < region->block_count; i++) {
        const struct jit_site *block = &region->blocks[i];
        _Atomic uint32_t *entry = jit_place(native, block->pc);
        /* Relaxed: only holders of the lock write. Release: partners are generated code that jumps
         * through the table and whoever looks a block up without the lock. */
        if (atomic_load_explicit(entry, memory_order_relaxed) == 0)
            atomic_store_explicit(entry, region->code_at + block->native, memory_order_release);
    }
    jit_debug_published(native, region);
}

void jit_reset_slots(const struct jit_arena *arena, const struct jit_region *region)
{
    struct jit_slot *slots =
        (struct jit_slot *)(void *)(arena->writable + region->code_at + region->slots_at);
    const uint64_t stubs = (uintptr_t)arena->executable + region->code_at + region->stubs_at;
    for (uint32_t i = 0; i < region->slot_count; i++)
        /* Release: its partner is in through_slot, in another thread some time. */
        __atomic_store_n(&slots[i].native, stubs + (uint64_t)i * JIT_SLOT_STUB, __ATOMIC_RELEASE);
}

/* ---- entries ---------------------------------------------------------------------------- */

static struct jit_bucket *bucket_of(struct jit_store *store, const struct jit_entry *id)
{
    uint64_t hash;
    memcpy(&hash, id->name.bytes, sizeof hash); /* names are hashes already */
    return &store->buckets[hash % BUCKETS];
}

/* The lock is held. */
static struct jit_entry *take(struct jit_store *store, const struct jit_entry *id)
{
    struct jit_entry *entry;
    LIST_FOREACH(entry, bucket_of(store, id), in_bucket)
    {
        if (javm_hash_equal(&entry->name, &id->name) && entry->memory_cycles == id->memory_cycles &&
            entry->cow_cost == id->cow_cost && entry->pvm == id->pvm &&
            entry->features == id->features)
            break;
    }
    if (entry != NULL && entry->users++ == 0) {
        TAILQ_REMOVE(&store->idle, entry, in_idle);
        store->idle_bytes -= entry->bytes;
    }
    return entry;
}

/* The one idle for longest, taken out of the store, or NULL. The lock is held. */
static struct jit_entry *take_out_oldest(struct jit_store *store)
{
    struct jit_entry *entry = TAILQ_FIRST(&store->idle);
    if (entry != NULL) {
        TAILQ_REMOVE(&store->idle, entry, in_idle);
        LIST_REMOVE(entry, in_bucket);
        store->idle_bytes -= entry->bytes;
    }
    return entry;
}

/* An entry that was taken out. No lock of the store or below is held. */
static void forget(struct jit_store *store, struct jit_entry *entry)
{
    jit_file_save(&store->files, entry);
    jit_native_free(entry->native);
    free(entry);
}

static bool forget_oldest(void *ctx)
{
    struct jit_store *store = ctx;
    pthread_mutex_lock(&store->lock);
    struct jit_entry *oldest = take_out_oldest(store);
    pthread_mutex_unlock(&store->lock);
    if (oldest == NULL)
        return false;
    forget(store, oldest);
    return true;
}

static uint64_t bytes_of(const struct javm_native *native)
{
    uint64_t bytes = sizeof *native + native->code_bytes + native->owner.bytes +
                     jit_table_entries(jit_table_span(&native->front)) * sizeof *native->table;
    if (front_is_pvm(&native->front))
        bytes += pvm_target_words(native->front.len) * sizeof *native->targets.middle +
                 native->front.key.jump_count * (sizeof *native->jumps + sizeof *native->ways);
    else
        bytes += walk_words(native->front.len) * sizeof *native->walk.longs;
    if (native->program != NULL)
        bytes += javm_program_bytes(native->program);
    return bytes;
}

/* Put `made` into the store, or free it when another thread was faster. Its lock is held. */
static struct jit_entry *insert(struct jit_store *store, struct jit_entry *made)
{
    pthread_mutex_lock(&store->lock);
    struct jit_entry *entry = take(store, made);
    if (entry == NULL) {
        made->users = 1;
        LIST_INSERT_HEAD(bucket_of(store, made), made, in_bucket);
    }
    pthread_mutex_unlock(&store->lock);
    if (entry == NULL)
        return made;
    pthread_mutex_unlock(&made->native->lock);
    jit_native_free(made->native);
    free(made);
    return entry;
}

static enum javm_status make(struct javm_jit *jit, const struct jit_entry *id, const uint8_t *code,
                             uint64_t code_len, const struct javm_program_key *key,
                             const struct javm_owner *owner, struct jit_entry **entry,
                             struct javm_error *err)
{
    struct javm_native *native;
    enum javm_status status = jit_native_new(jit, code, code_len, key, owner, &native, err);
    if (status != JAVM_OK)
        return status;
    struct jit_entry *made = malloc(sizeof *made);
    if (made == NULL) {
        jit_native_free(native);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "native code: out of memory");
    }
    *made = *id;
    made->native = native;
    native->entry = made;
    /* Who opens it meanwhile waits at this lock before compiling what the file may have. */
    pthread_mutex_lock(&native->lock);
    *entry = insert(jit->store, made);
    if (*entry == made) {
        jit_file_load(&jit->store->files, made);
        pthread_mutex_unlock(&native->lock);
    }
    return JAVM_OK;
}

enum javm_status javm_native_open(struct javm_jit *jit, const struct javm_hash *name,
                                  const uint8_t *code, uint64_t code_len,
                                  const struct javm_program_key *key,
                                  const struct javm_owner *owner, struct javm_native **native,
                                  struct javm_error *err)
{
    if (name == NULL)
        return jit_native_new(jit, code, code_len, key, owner, native, err);
    struct jit_store *store = jit->store;
    const struct jit_entry id = {.name = *name,
                                 .memory_cycles = gas_memory_cycles(key->footprint_pages),
                                 .cow_cost = key->cow_cost,
                                 .pvm = key->pvm,
                                 .features = key->features};
    pthread_mutex_lock(&store->lock);
    struct jit_entry *entry = take(store, &id);
    pthread_mutex_unlock(&store->lock);
    if (entry == NULL) {
        enum javm_status status = make(jit, &id, code, code_len, key, owner, &entry, err);
        if (status != JAVM_OK)
            return status;
    }
    if (entry->native->front.len != code_len) {
        javm_native_close(entry->native);
        return javm_fail(err, JAVM_E_EXISTS, JAVM_NOWHERE,
                         "native code: two programs of one name, %llu and %llu bytes of code",
                         (unsigned long long)entry->native->front.len,
                         (unsigned long long)code_len);
    }
    *native = entry->native;
    return JAVM_OK;
}

void javm_native_close(struct javm_native *native)
{
    if (native == NULL)
        return;
    if (native->entry == NULL) {
        jit_native_free(native);
        return;
    }
    struct jit_store *store = native->jit->store;
    struct jit_entry *entry = native->entry;
    pthread_mutex_lock(&store->lock);
    if (--entry->users == 0) {
        count_compiled(native);
        entry->bytes = bytes_of(native);
        store->idle_bytes += entry->bytes;
        TAILQ_INSERT_TAIL(&store->idle, entry, in_idle);
    }
    bool full = store->idle_bytes > store->limit;
    pthread_mutex_unlock(&store->lock);
    while (full && forget_oldest(store)) {
        pthread_mutex_lock(&store->lock);
        full = store->idle_bytes > store->limit;
        pthread_mutex_unlock(&store->lock);
    }
}

/* ---- the store -------------------------------------------------------------------------- */

static enum javm_status supported(struct javm_error *err)
{
#if defined(__x86_64__)
    return jit_signals_install(err);
#else
    return javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE, "native code: only for x86-64");
#endif
}

static enum javm_status open_machine(struct javm_jit *jit, const char *device,
                                     struct javm_error *err)
{
    const enum javm_status status = machine_create(device, &jit->machine, err);
    return status != JAVM_OK
               ? status
               : machine_set_code(jit->machine, jit->arena->executable, jit->arena->bytes, err);
}

bool javm_jit_machine(const struct javm_jit *jit, int *vm, int *vcpu)
{
    if (jit->machine != NULL)
        machine_descriptors(jit->machine, vm, vcpu);
    return jit->machine != NULL;
}

enum javm_status javm_jit_create(const struct javm_jit_options *options, struct javm_jit **jit,
                                 struct javm_error *err)
{
    static const struct javm_jit_options defaults;
    if (options == NULL)
        options = &defaults;
    enum javm_status status = supported(err);
    if (status != JAVM_OK)
        return status;
    struct javm_jit *j = calloc(1, sizeof *j);
    struct jit_store *store = calloc(1, sizeof *store);
    if (j == NULL || store == NULL) {
        free(j);
        free(store);
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "native code: out of memory");
    }
    store->limit = options->code_bytes != 0 ? options->code_bytes : CODE_DEFAULT;
    status = jit_arena_create(store->limit, &j->arena, err);
    if (status == JAVM_OK && options->machine != NULL)
        status = open_machine(j, options->machine, err);
    if (status == JAVM_OK)
        status = jit_files_open(&store->files, j->arena, options->cache_dir, err);
    if (status != JAVM_OK) {
        machine_destroy(j->machine);
        jit_arena_destroy(j->arena);
        free(store);
        free(j);
        return status;
    }
    pthread_mutex_init(&store->lock, NULL);
    TAILQ_INIT(&store->idle);
    j->store = store;
    j->features = options->plain ? 0 : jit_features();
    j->perf_map = options->perf_map;
    j->arena->make_room = forget_oldest;
    j->arena->make_room_ctx = store;
    jit_write_stubs(j);
    if (j->machine != NULL)
        machine_set_ways(j->machine, (uintptr_t)j->arena->executable + j->enter_stub,
                         (uintptr_t)j->arena->executable + j->gate);
    jit_debug_arena(j);
    *jit = j;
    return JAVM_OK;
}

void javm_jit_forget(struct javm_jit *jit)
{
    while (forget_oldest(jit->store))
        continue;
}

enum javm_status javm_jit_save(struct javm_jit *jit, struct javm_error *err)
{
    struct jit_store *store = jit->store;
    struct jit_entry *entry;
    pthread_mutex_lock(&store->lock);
    TAILQ_FOREACH(entry, &store->idle, in_idle)
    {
        jit_file_save(&store->files, entry);
    }
    pthread_mutex_unlock(&store->lock);
    return jit_files_error(&store->files, err);
}

void javm_jit_destroy(struct javm_jit *jit)
{
    if (jit == NULL)
        return;
    struct jit_store *store = jit->store;
    while (forget_oldest(store))
        ;
    for (unsigned i = 0; i < BUCKETS; i++) {
        if (!LIST_EMPTY(&store->buckets[i])) {
            fprintf(stderr, "javm_jit_destroy: a native is open\n");
            abort();
        }
    }
    jit_free_compilers(jit);
    jit_free_tables(jit);
    jit_files_close(&store->files);
    jit_debug_forget(jit);
    machine_destroy(jit->machine);
    jit_arena_destroy(jit->arena);
    pthread_mutex_destroy(&store->lock);
    free(store);
    free(jit);
}

void javm_jit_stats(struct javm_jit *jit, struct javm_jit_stats *stats)
{
    struct jit_counts *counts = &jit->counts;
    struct jit_files *files = &jit->store->files;
    *stats = (struct javm_jit_stats){.programs = counted(&counts->programs),
                                     .regions = counted(&counts->regions),
                                     .code_bytes = counted(&counts->code_bytes),
                                     .compiled_bytes = counted(&counts->compiled_bytes),
                                     .compile_ns = counted(&counts->compile_ns),
                                     .files_loaded = counted(&files->loaded),
                                     .files_saved = counted(&files->saved),
                                     .files_refused = counted(&files->refused),
                                     .files_failed = counted(&files->failed)};
}
