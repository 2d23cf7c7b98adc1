/* What the directory keeps allocated, and which memory a lookup writes.
 *
 * The linker redirects the allocator to wrappers that count bytes, and that can serve a phase of
 * the test from pages of their own, to be made read-only later.
 *
 * Would catch: entries, values or places that are lost by a put, replace or sweep that succeeded;
 * retired memory that is never freed although nobody is in a section; a table that grows with the
 * number of entries ever made and not with those that live; a lookup that writes a shared line
 * (a counter in the shard, a lock, an epoch record of its own making). */
#include <criterion/criterion.h>

#include <malloc.h>
#include <sys/mman.h>

#include "cache/atomic.h"
#include "tests/cache/support.h"

#if defined(CACHE_TSAN) || defined(TEST_LEAKS)
#define MILLION 100000u /* under a sanitizer */
#else
#define MILLION 1000000u
#endif

/* ---- the allocator ---------------------------------------------------------------------- */

#define ARENA ((size_t)16 << 20)

static int64_t allocated; /* atomic: bytes */
static char *arena;       /* serves all allocations while arena_open */
static size_t arena_used;
static bool arena_open; /* one thread only */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__real_aligned_alloc(size_t alignment, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void *__wrap_aligned_alloc(size_t alignment, size_t size);
void __wrap_free(void *memory);

static int64_t size_of(void *memory)
{
    return memory == NULL ? 0 : (int64_t)malloc_usable_size(memory);
}

static void *count(void *memory)
{
    (void)add_relaxed(&allocated, size_of(memory)); /* relaxed: read when all are joined */
    return memory;
}

static void *from_arena(size_t size)
{
    REQUIRE(arena_used + size <= ARENA);
    void *memory = arena + arena_used; /* fresh pages: zero */
    arena_used += (size + 127) & ~(size_t)127;
    return memory;
}

void *__wrap_malloc(size_t size)
{
    return arena_open ? from_arena(size) : count(__real_malloc(size));
}

void *__wrap_calloc(size_t number, size_t size)
{
    return arena_open ? from_arena(number * size) : count(__real_calloc(number, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    (void)sub_relaxed(&allocated, size_of(old));
    return count(__real_realloc(old, size));
}

void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    return arena_open ? from_arena(size) : count(__real_aligned_alloc(alignment, size));
}

void __wrap_free(void *memory)
{
    if (arena != NULL && (char *)memory >= arena && (char *)memory < arena + ARENA)
        return;
    (void)sub_relaxed(&allocated, size_of(memory));
    __real_free(memory);
}

/* ---- growth ----------------------------------------------------------------------------- */

static struct javm_target make_shared(struct javm_dir_thread *self, struct javm_cap *cap)
{
    return make_entry(self, javm_cap_retain(cap));
}

/* So many live at a time, again and again: after the first time nothing is added, and what all the
 * rounds keep is little. */
Test(memory, a_million_live_entries_again_and_again)
{
    struct javm_directory *dir = make_directory(1, 4);
    struct javm_dir_thread *self = javm_directory_join(dir);
    struct javm_cap *cap = value_cap(1);
    struct javm_target *refs = malloc(MILLION * sizeof *refs);
    REQUIRE(refs != NULL);
    int64_t first_full = 0, first_empty = 0, empty = load_relaxed(&allocated);
    for (unsigned round = 0; round < 3; round++) {
        for (size_t i = 0; i < MILLION; i++)
            refs[i] = make_shared(self, cap);
        int64_t full = load_relaxed(&allocated) - empty;
        for (size_t i = 0; i < MILLION; i++)
            javm_target_drop(&refs[i]);
        cr_assert_eq(javm_directory_sweep(self), MILLION);
        int64_t left = load_relaxed(&allocated) - empty;
        fprintf(stderr, "round %u: %lld bytes with all, %lld after the sweep\n", round,
                (long long)full, (long long)left);
        if (round == 0) {
            first_full = full;
            first_empty = left;
        }
        cr_assert_leq(full, first_full);
        cr_assert_leq(left, first_empty);
    }
    cr_assert_leq(first_empty, first_full / 2, "places and inner nodes stay, nothing else");
    javm_cap_release(cap);
    free(refs);
    javm_directory_leave(self);
    javm_directory_destroy(dir);
    REQUIRE_NO_LEAKS();
}

/* Few live at a time, but some for so long that many others come and go meanwhile. The numbers are
 * chosen so that a table with ever new keys would get new inner nodes for nearly every one that
 * stays. */
Test(memory, entries_that_outlive_many_others)
{
    enum { KEPT = 256, EVERY = 997, BATCH = 256 };
    struct javm_directory *dir = make_directory(1, 4);
    struct javm_dir_thread *self = javm_directory_join(dir);
    struct javm_cap *cap = value_cap(1);
    struct javm_target kept[KEPT] = {{.kind = JAVM_TARGET_EMPTY}};
    struct javm_shard_stats early = {0}, late;
    int64_t early_bytes = 0;
    for (uint64_t i = 0; i < 2 * (uint64_t)MILLION; i++) {
        struct javm_target ref = make_shared(self, cap);
        if (i % EVERY == 0) {
            javm_target_drop(&kept[i / EVERY % KEPT]);
            kept[i / EVERY % KEPT] = ref;
        } else {
            javm_target_drop(&ref);
        }
        if (i % BATCH == 0)
            (void)javm_directory_sweep(self);
        if (i == MILLION / 2 / BATCH * BATCH) {
            javm_directory_shard_stats(self, 0, &early);
            early_bytes = load_relaxed(&allocated);
        }
    }
    (void)javm_directory_sweep(self);
    javm_directory_shard_stats(self, 0, &late);
    fprintf(stderr, "%llu slots, later %llu; %lld bytes more\n", (unsigned long long)early.capacity,
            (unsigned long long)late.capacity, (long long)(load_relaxed(&allocated) - early_bytes));
    /* Never more places than 16^3, so two roots and two levels of nodes. */
    cr_assert_leq(late.capacity, 16 * (2 + 16 + 256));
    cr_assert_leq(load_relaxed(&allocated) - early_bytes, 128 * (16 + 256) + 256 * (KEPT + BATCH));
    for (size_t i = 0; i < KEPT; i++)
        javm_target_drop(&kept[i]);
    javm_cap_release(cap);
    javm_directory_leave(self);
    javm_directory_destroy(dir);
    REQUIRE_NO_LEAKS();
}

/* ---- growth under load ------------------------------------------------------------------ */

enum { LOADERS = 3, RING = 1000 };

struct load {
    struct javm_directory *dir;
    struct javm_cap *cap;
    uint64_t each;
    uint32_t running; /* atomic */
};

/* Keeps the last RING entries, replaces and reads as it goes. */
static void *put_and_drop(void *arg)
{
    struct load *load = arg;
    struct javm_dir_thread *self = javm_directory_join(load->dir);
    struct javm_target *ring = calloc(RING, sizeof *ring);
    REQUIRE(self != NULL && ring != NULL);
    for (uint64_t i = 0; i < load->each; i++) {
        struct javm_target *at = &ring[i % RING], *other = &ring[i * 7 % RING];
        javm_target_drop(at);
        *at = make_shared(self, load->cap);
        if (other->kind == JAVM_TARGET_REF) {
            struct javm_cap *view, *next = javm_cap_retain(load->cap);
            REQUIRE(javm_directory_get_ref(self, other->ref, &view, NULL) == JAVM_OK);
            javm_cap_release(view);
            REQUIRE(javm_directory_replace(self, other->ref, next, NULL) == JAVM_OK);
        }
    }
    for (size_t i = 0; i < RING; i++)
        javm_target_drop(&ring[i]);
    free(ring);
    javm_directory_leave(self);
    (void)__atomic_fetch_sub(&load->running, 1, __ATOMIC_RELEASE); /* partner: the sweeping loop */
    return NULL;
}

Test(memory, a_million_entries_under_load)
{
    struct load load = {.dir = make_directory(LOADERS + 1, 0), .each = MILLION / LOADERS};
    struct javm_dir_thread *self = javm_directory_join(load.dir);
    pthread_t threads[LOADERS];
    int64_t before = 0, after = 0;
    uint64_t most = 0, swept = 0;
    load.cap = value_cap(1);
    for (unsigned round = 0; round < 3; round++) {
        load.running = LOADERS;
        for (size_t i = 0; i < LOADERS; i++)
            threads[i] = start_thread(put_and_drop, &load);
        while (load_acquire(&load.running) != 0) {
            uint64_t removed = javm_directory_sweep(self);
            swept += removed;
            most = removed > most ? removed : most;
        }
        for (size_t i = 0; i < LOADERS; i++)
            join_thread(threads[i]);
        swept += javm_directory_sweep(self);
        after = load_relaxed(&allocated);
        if (round == 0)
            before = after;
    }
    cr_assert_eq(swept, 3 * LOADERS * load.each);
    cr_assert_eq(live_entries(self), 0);
    fprintf(stderr, "at most %llu removed by a sweep; %lld bytes more than after the first round\n",
            (unsigned long long)most, (long long)(after - before));
    /* The rounds differ in how far the sweeps lagged behind, so in places and inner nodes (less
     * than 256 bytes for each entry that there was at a time); a leak would be a multiple of what
     * was made. */
    cr_assert_leq(after - before, (int64_t)(256 * (2 * most + LOADERS * RING) + (1 << 20)));
    javm_cap_release(load.cap);
    javm_directory_leave(self);
    javm_directory_destroy(load.dir);
    REQUIRE_NO_LEAKS();
}

/* ---- what a lookup writes --------------------------------------------------------------- */

/* The directory, its tables and all that a put allocates lie in pages that are read-only when the
 * lookups begin; a write there is a fault. The caps, with their counts, and the thread's own part
 * lie elsewhere. */
Test(memory, a_lookup_writes_only_the_count_and_its_own_part)
{
    enum { PUBLISHED = 2000 };
    static struct javm_cap *caps[PUBLISHED];
    for (uint64_t i = 0; i < PUBLISHED; i++)
        caps[i] = type_cap(i);
    arena = mmap(NULL, ARENA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    REQUIRE(arena != MAP_FAILED);
    arena_open = true;
    struct javm_directory *dir = make_directory(1, 4);
    arena_open = false;
    struct javm_dir_thread *self = javm_directory_join(dir);
    for (uint64_t i = 0; i < PUBLISHED; i++) {
        arena_open = true;
        REQUIRE(javm_directory_put(self, caps[i], NULL, NULL) == JAVM_OK);
        arena_open = false;
        javm_cap_release(caps[i]); /* the directory's reference stays */
    }
    REQUIRE(arena_used > PUBLISHED * 64);
    REQUIRE(mprotect(arena, ARENA, PROT_READ) == 0);
    for (uint64_t i = 0; i < 2 * PUBLISHED; i++) {
        struct javm_hash hash = type_hash(i);
        struct javm_cap *view = javm_directory_get(self, &hash);
        REQUIRE((view != NULL) == (i < PUBLISHED));
        javm_cap_release(view);
    }
    REQUIRE(mprotect(arena, ARENA, PROT_READ | PROT_WRITE) == 0);
    javm_directory_leave(self);
    javm_directory_destroy(dir);
    munmap(arena, ARENA);
    arena = NULL;
    REQUIRE_NO_LEAKS();
}
