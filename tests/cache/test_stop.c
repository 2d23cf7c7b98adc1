/* The promise "a thread stopped anywhere inside an operation stops nobody else".
 *
 * First way: this file's build of cache/ has a CACHE_POINT between any two steps that other threads
 * can tell apart. For every operation, every point and small k, a victim runs the operation until
 * it comes to that point for the k-th time and stays there; while it does, other threads complete
 * every operation several times. No point may be left out. Second way: a signal stops the victim at
 * any instruction of ours at all. Either way the victim goes on afterwards and the directory must
 * be whole.
 *
 * Would catch: a lock or a wait anywhere (taking one of the C library's locks inside an operation
 * ends the test at once; behind one of another kind the bystanders never finish and ctest ends the
 * test), memory that is reused under a stopped reader (address sanitizer), state that is wrong
 * between two steps, a leak or a lost entry after a thread was overtaken. The last test shows that
 * a lock would be noticed.
 *
 * The allocator is not ours and is not lock-free, so no thread is stopped inside it: the linker
 * redirects its entry points to wrappers that raise a flag, and the signal handler asks the flag.
 */
#include <criterion/criterion.h>

#include <errno.h>
#include <semaphore.h>
#include <signal.h>
#include <unistd.h>

#include "cache/atomic.h"
#include "cache/point.h"
#include "tests/cache/support.h"

/* ---- the allocator's flag --------------------------------------------------------------- */

static _Thread_local volatile sig_atomic_t in_allocator;

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

#define IN_ALLOCATOR(type, call) \
    in_allocator = 1;            \
    type result = (call);        \
    in_allocator = 0;            \
    return result

void *__wrap_malloc(size_t size)
{
    IN_ALLOCATOR(void *, __real_malloc(size));
}
void *__wrap_calloc(size_t count, size_t size)
{
    IN_ALLOCATOR(void *, __real_calloc(count, size));
}
void *__wrap_realloc(void *old, size_t size)
{
    IN_ALLOCATOR(void *, __real_realloc(old, size));
}
void *__wrap_aligned_alloc(size_t alignment, size_t size)
{
    IN_ALLOCATOR(void *, __real_aligned_alloc(alignment, size));
}
void __wrap_free(void *memory)
{
    in_allocator = 1;
    __real_free(memory);
    in_allocator = 0;
}

/* ---- the library's locks ---------------------------------------------------------------- */

/* What stands behind these is in cache/ and caps/ as linked here: the allocator's own locks are
 * inside another library. */
static _Thread_local const char *inside; /* the operation that this thread is in */

int __real_pthread_mutex_lock(pthread_mutex_t *mutex);
int __real_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __real_pthread_rwlock_rdlock(pthread_rwlock_t *rwlock);
int __real_pthread_rwlock_wrlock(pthread_rwlock_t *rwlock);
int __real_pthread_spin_lock(pthread_spinlock_t *spinlock);
int __real_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);
int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex);
int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex);
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *rwlock);
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *rwlock);
int __wrap_pthread_spin_lock(pthread_spinlock_t *spinlock);
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex);

static void no_lock(const char *what)
{
    if (inside == NULL)
        return;
    fprintf(stderr, "%s was called inside %s\n", what, inside);
    abort();
}

int __wrap_pthread_mutex_lock(pthread_mutex_t *mutex)
{
    no_lock("pthread_mutex_lock");
    return __real_pthread_mutex_lock(mutex);
}
int __wrap_pthread_mutex_trylock(pthread_mutex_t *mutex)
{
    no_lock("pthread_mutex_trylock");
    return __real_pthread_mutex_trylock(mutex);
}
int __wrap_pthread_rwlock_rdlock(pthread_rwlock_t *rwlock)
{
    no_lock("pthread_rwlock_rdlock");
    return __real_pthread_rwlock_rdlock(rwlock);
}
int __wrap_pthread_rwlock_wrlock(pthread_rwlock_t *rwlock)
{
    no_lock("pthread_rwlock_wrlock");
    return __real_pthread_rwlock_wrlock(rwlock);
}
int __wrap_pthread_spin_lock(pthread_spinlock_t *spinlock)
{
    no_lock("pthread_spin_lock");
    return __real_pthread_spin_lock(spinlock);
}
int __wrap_pthread_cond_wait(pthread_cond_t *cond, pthread_mutex_t *mutex)
{
    no_lock("pthread_cond_wait");
    return __real_pthread_cond_wait(cond, mutex);
}

/* ---- the world -------------------------------------------------------------------------- */

#define SHARED 3

struct world {
    struct javm_directory *dir;
    struct javm_target shared[SHARED]; /* held to the end; all threads read and replace them */
    uint64_t fresh;                    /* atomic: numbers that were never published */
    /* Joined and idle, so that a bystander gets the same home shard as the victim: they must meet.
     */
    struct javm_dir_thread *idle[3];
};

struct actor {
    struct world *world;
    struct javm_dir_thread *dir;
    struct random random;
    unsigned operation; /* what a victim runs */
    size_t stop_name;   /* it stops at this point ... */
    unsigned
        stop_at; /* ... when it comes there for this time; or with ANY_NAME at so many points */
    unsigned passed;
    bool done;         /* atomic: it finished without being stopped */
    const char *where; /* the point at which it was stopped */
    sem_t stopped, resume;
};

static _Thread_local struct actor *victim;

/* Every name that any thread passed, and whether a victim was stopped there. */
#define NAMES    64
#define ANY_NAME NAMES
static struct {
    const char *name; /* atomic, set once */
    bool stopped;     /* atomic */
} names[NAMES];

static size_t name_index(const char *name)
{
    for (size_t i = 0; i < NAMES; i++) {
        const char *seen = load_acquire(&names[i].name); /* partner: cas_release below */
        if (seen == NULL && cas_release(&names[i].name, &seen, name))
            return i;
        if (strcmp(load_acquire(&names[i].name), name) == 0)
            return i;
    }
    abort(); /* more names than NAMES */
}

void cache_point(const char *name)
{
    size_t index = name_index(name);
    if (victim == NULL || (victim->stop_name != index && victim->stop_name != ANY_NAME) ||
        ++victim->passed != victim->stop_at)
        return;
    victim->where = name;
    store_release(&names[index].stopped, true); /* partner: the check of all names */
    sem_post(&victim->stopped);
    while (sem_wait(&victim->resume) != 0)
        continue;
}

/* ---- the operations --------------------------------------------------------------------- */

static void put_number(struct actor *self, uint64_t number)
{
    struct javm_cap *cap = type_cap(number);
    REQUIRE(javm_directory_put(self->dir, cap, NULL, NULL) == JAVM_OK);
    javm_cap_release(cap);
}

/* Many, so that bystanders also hit the very slot at which a victim is stopped. */
static void put_fresh(struct actor *self)
{
    for (int i = 0; i < 20; i++)
        put_number(self, add_relaxed(&self->world->fresh, 1));
}

static void put_known(struct actor *self)
{
    put_number(self, 0);
}

static void get(struct actor *self)
{
    struct javm_hash hash = type_hash(0);
    struct javm_cap *view = javm_directory_get(self->dir, &hash);
    REQUIRE(view != NULL && type_number(view) == 0);
    javm_cap_release(view);
}

static void get_missing(struct actor *self)
{
    struct javm_hash hash = type_hash(UINT64_MAX);
    REQUIRE(javm_directory_get(self->dir, &hash) == NULL);
}

static void put_missing(struct actor *self)
{
    struct javm_hash hash = type_hash(UINT64_MAX);
    struct javm_cap *cnode = cnode_cap();
    cnode_put(cnode, 1, javm_target_hash(&hash));
    REQUIRE(javm_directory_put(self->dir, cnode, NULL, NULL) == JAVM_E_MISSING);
    javm_cap_release(cnode);
}

/* Two levels, and garbage at once. */
static void put_instance(struct actor *self)
{
    struct javm_cap *cnode = cnode_cap();
    cnode_put(cnode, 1, make_entry(self->dir, value_cap(100)));
    struct javm_target ref = make_entry(self->dir, cnode);
    javm_target_drop(&ref);
}

static struct javm_ref_cell *any_shared(struct actor *self)
{
    return self->world->shared[random_below(&self->random, SHARED)].ref;
}

static void clone_and_drop(struct actor *self)
{
    struct javm_ref_cell *ref = any_shared(self);
    javm_ref_clone(ref);
    javm_ref_drop(ref);
}

static void get_ref(struct actor *self)
{
    struct javm_cap *view;
    REQUIRE(javm_directory_get_ref(self->dir, any_shared(self), &view, NULL) == JAVM_OK);
    if (javm_cap_kind(view) == JAVM_DATA)
        REQUIRE(javm_data_pages(view) == 100);
    else
        REQUIRE(javm_cnode_count(view) == 1);
    javm_cap_release(view);
}

static void replace_once(struct actor *self)
{
    struct javm_cap *next = value_cap(100);
    if (random_below(&self->random, 2)) {
        struct javm_target inner = make_entry(self->dir, next);
        next = cnode_cap();
        cnode_put(next, 1, inner);
    }
    REQUIRE(javm_directory_replace(self->dir, any_shared(self), next, NULL) == JAVM_OK);
}

/* Often enough for reclamation to set in. */
static void replace(struct actor *self)
{
    for (int i = 0; i < 34; i++)
        replace_once(self);
}

static void get_mut(struct actor *self)
{
    struct javm_cap *cap = cnode_cap();
    struct javm_hash hash;
    struct javm_target ref;
    REQUIRE(javm_directory_put(self->dir, cap, &hash, NULL) == JAVM_OK);
    javm_cap_release(cap);
    REQUIRE(javm_directory_get_mut(self->dir, &hash, &ref, NULL) == JAVM_OK);
    javm_target_drop(&ref);
}

static void sweep(struct actor *self)
{
    put_instance(self); /* there is always something to remove */
    (void)javm_directory_sweep(self->dir);
}

static void settle(struct actor *self)
{
    struct javm_target target = {JAVM_TARGET_REF, {.ref = any_shared(self)}};
    struct javm_hash hash;
    REQUIRE(javm_directory_settle(self->dir, &target, &hash, NULL) == JAVM_OK);
}

static void stats(struct actor *self)
{
    struct javm_directory_stats all;
    javm_directory_stats(self->dir, &all);
    REQUIRE(all.blobs >= 1 && all.instances >= SHARED && all.puts >= all.put_hits);
    struct javm_shard_stats one;
    javm_directory_shard_stats(self->dir, random_below(&self->random, all.shards), &one);
    REQUIRE(one.capacity >= 32);
}

/* The first takes over what was left, the second is made or was left by a bystander. */
static void leave_and_join(struct actor *self)
{
    javm_directory_leave(self->dir);
    self->dir = javm_directory_join(self->world->dir);
    struct javm_dir_thread *second = javm_directory_join(self->world->dir);
    REQUIRE(self->dir != NULL && second != NULL);
    javm_directory_leave(second);
}

static const struct {
    const char *name;
    void (*run)(struct actor *self);
} operations[] = {{"put", put_fresh},
                  {"put again", put_known},
                  {"put without its closure", put_missing},
                  {"get", get},
                  {"get of nothing", get_missing},
                  {"put_instance", put_instance},
                  {"clone, drop", clone_and_drop},
                  {"get_ref", get_ref},
                  {"replace", replace},
                  {"get_mut", get_mut},
                  {"settle", settle},
                  {"stats", stats},
                  {"leave, join", leave_and_join},
                  {"sweep", sweep}};

/* So many visits to a point are told apart; the thread sanitizer makes each cost ten times as much.
 */
#ifdef CACHE_TSAN
#define VISITS           2
#define BYSTANDER_ROUNDS 1
#else
#define VISITS           6
#define BYSTANDER_ROUNDS 2
#endif

#define OPERATIONS (sizeof operations / sizeof *operations)

/* ---- victims and bystanders ------------------------------------------------------------- */

static void run_operation(struct actor *self, size_t operation)
{
    inside = operations[operation].name;
    operations[operation].run(self);
    inside = NULL;
}

static void *be_victim(void *arg)
{
    struct actor *self = arg;
    victim = self;
    run_operation(self, self->operation);
    store_release(&self->done, true); /* partner: run_victim */
    sem_post(&self->stopped);
    return NULL;
}

static void *be_bystander(void *arg)
{
    struct actor *self = arg;
    for (unsigned i = 0; i < BYSTANDER_ROUNDS; i++)
        for (size_t k = 0; k < OPERATIONS; k++)
            run_operation(self, k);
    return NULL;
}

static void actor_init(struct actor *self, struct world *world, uint64_t seed)
{
    *self = (struct actor){.world = world, .random = {seed}, .stop_name = ANY_NAME};
    self->dir = javm_directory_join(world->dir);
    REQUIRE(self->dir != NULL);
    REQUIRE(sem_init(&self->stopped, 0, 0) == 0 && sem_init(&self->resume, 0, 0) == 0);
}

static void actor_end(struct actor *self)
{
    javm_directory_leave(self->dir);
    sem_destroy(&self->stopped);
    sem_destroy(&self->resume);
}

static void world_init(struct world *world)
{
    world->dir = make_directory(1, 4);
    world->fresh = 1;
    struct javm_dir_thread *self = javm_directory_join(world->dir);
    struct javm_cap *zero = type_cap(0);
    REQUIRE(javm_directory_put(self, zero, NULL, NULL) == JAVM_OK);
    javm_cap_release(zero);
    for (size_t i = 0; i < SHARED; i++)
        world->shared[i] = make_entry(self, value_cap(100));
    for (size_t i = 1; i < SHARED; i++) { /* two levels, for settle */
        struct javm_cap *cnode = cnode_cap();
        cnode_put(cnode, 1, make_entry(self, value_cap(100)));
        REQUIRE(javm_directory_replace(self, world->shared[i].ref, cnode, NULL) == JAVM_OK);
    }
    /* Places to take, then garbage in every slot in which a victim of this shard can insert: it
     * meets a leaf there, and a bystander takes the leaf away. */
    struct javm_target gone[16], garbage[16];
    for (size_t i = 0; i < 16; i++)
        gone[i] = make_entry(self, value_cap(100));
    for (size_t i = 0; i < 16; i++)
        garbage[i] = make_entry(self, value_cap(100));
    for (size_t i = 0; i < 16; i++)
        javm_target_drop(&gone[i]);
    REQUIRE(javm_directory_sweep(self) == 16);
    for (size_t i = 0; i < 16; i++)
        javm_target_drop(&garbage[i]);
    for (size_t i = 0; i < 3; i++)
        world->idle[i] = javm_directory_join(world->dir);
    javm_directory_leave(self);
}

/* Nobody is stopped any more: what the world holds is there and nothing else. */
static void world_end(struct world *world)
{
    struct javm_dir_thread *self = javm_directory_join(world->dir);
    (void)javm_directory_sweep(self);
    uint64_t expected = 0;
    for (size_t i = 0; i < SHARED; i++) {
        struct javm_cap *view;
        REQUIRE(javm_directory_get_ref(self, world->shared[i].ref, &view, NULL) == JAVM_OK);
        expected += javm_cap_has_ref(view) ? 2 : 1;
        javm_cap_release(view);
    }
    REQUIRE(live_entries(self) == expected);
    for (size_t i = 0; i < SHARED; i++)
        javm_target_drop(&world->shared[i]);
    REQUIRE(javm_directory_sweep(self) == expected);
    REQUIRE(live_entries(self) == 0);
    for (size_t i = 0; i < 3; i++)
        javm_directory_leave(world->idle[i]);
    javm_directory_leave(self);
    javm_directory_destroy(world->dir);
}

/* All operations, completed by two threads. */
static void run_bystanders(struct world *world, uint64_t seed)
{
    struct actor actors[2];
    pthread_t threads[2];
    for (size_t i = 0; i < 2; i++) {
        actor_init(&actors[i], world, seed * 2 + i);
        threads[i] = start_thread(be_bystander, &actors[i]);
    }
    for (size_t i = 0; i < 2; i++) {
        join_thread(threads[i]);
        actor_end(&actors[i]);
    }
}

static void wait_for(sem_t *semaphore)
{
    while (sem_wait(semaphore) != 0)
        REQUIRE(errno == EINTR);
}

/* False when the operation ended before it came to the point for the stop_at-th time. */
static bool run_victim(struct world *world, unsigned operation, size_t name, unsigned stop_at)
{
    struct actor self;
    actor_init(&self, world, stop_at);
    self.operation = operation;
    self.stop_name = name;
    self.stop_at = stop_at;
    pthread_t thread = start_thread(be_victim, &self);
    wait_for(&self.stopped);
    bool stopped = !load_acquire(&self.done);
    if (stopped) {
        run_bystanders(world, stop_at);
        REQUIRE(!load_acquire(&self.done));
        sem_post(&self.resume);
    }
    join_thread(thread);
    actor_end(&self);
    return stopped;
}

/* A world each time: in a small table a bystander is sure to come to the victim's slot. */
static bool stop_once(unsigned operation, size_t name, unsigned k)
{
    struct world world;
    world_init(&world);
    bool stopped = run_victim(&world, operation, name, k);
    run_bystanders(&world, k); /* also makes the names known */
    world_end(&world);
    return stopped;
}

static unsigned stop_everywhere(unsigned operation)
{
    unsigned stops = stop_once(operation, 0, 1) ? 1 : 0;
    for (size_t name = 0; name < NAMES && load_acquire(&names[name].name) != NULL; name++)
        for (unsigned k = name == 0 ? 2 : 1; k <= VISITS && stop_once(operation, name, k); k++)
            stops++;
    return stops;
}

Test(stop, at_every_point_of_every_operation)
{
    for (unsigned operation = 0; operation < OPERATIONS; operation++) {
        unsigned stops = stop_everywhere(operation);
        /* clone and drop are one instruction each; signals stop them, below */
        REQUIRE((stops == 0) == (operations[operation].run == clone_and_drop));
        fprintf(stderr, "%s: stopped %u times\n", operations[operation].name, stops);
    }
    for (size_t i = 0; i < NAMES && names[i].name != NULL; i++)
        cr_expect(load_acquire(&names[i].stopped), "nobody was stopped at %s", names[i].name);
    REQUIRE_NO_LEAKS();
}

/* Several at once, each somewhere else; resumed in another order than stopped. */
Test(stop, many_at_a_time)
{
    enum { VICTIMS = OPERATIONS };
    for (unsigned round = 0; round < 10 * stress_factor(); round++) {
        struct world world;
        struct actor actors[VICTIMS];
        pthread_t threads[VICTIMS];
        struct random random = {round};
        world_init(&world);
        for (unsigned i = 0; i < VICTIMS; i++) {
            actor_init(&actors[i], &world, round * VICTIMS + i);
            actors[i].operation = i;
            actors[i].stop_at =
                1 + (unsigned)random_below(&random, operations[i].run == sweep ? 200 : 12);
            threads[i] = start_thread(be_victim, &actors[i]);
            wait_for(&actors[i].stopped);
        }
        run_bystanders(&world, round);
        for (unsigned i = 0; i < VICTIMS; i++) {
            unsigned k = i * 5 % VICTIMS;
            sem_post(&actors[k].resume);
            join_thread(threads[k]);
            actor_end(&actors[k]);
        }
        world_end(&world);
    }
    REQUIRE_NO_LEAKS();
}

/* ---- at any instruction ----------------------------------------------------------------- */

/* The thread sanitizer delays signals until the next call that it intercepts, that is, to the
 * allocator: there is nothing to stop then. */
#ifndef CACHE_TSAN

static int resume_pipe[2];
static sem_t answered;
static uint32_t answer; /* atomic: 1 stopped, 2 was inside the allocator */

static void stop_here(int number)
{
    (void)number;
    int saved = errno;
    bool stop = in_allocator == 0;
    __atomic_store_n(&answer, stop ? 1u : 2u, __ATOMIC_RELEASE); /* partner: the test below */
    sem_post(&answered);
    char byte;
    while (stop && read(resume_pipe[0], &byte, 1) != 1)
        continue;
    errno = saved;
}

static bool enough; /* atomic */

static void *run_until_enough(void *arg)
{
    struct actor *self = arg;
    while (!load_relaxed(&enough)) /* relaxed: only has to be seen at some time */
        run_operation(self, random_below(&self->random, OPERATIONS));
    return NULL;
}

Test(stop, at_any_instruction)
{
    struct world world;
    struct actor self;
    struct random random = {1};
    struct sigaction action = {.sa_handler = stop_here};
    unsigned stopped = 0, wanted = 300 * stress_factor();
    world_init(&world);
    actor_init(&self, &world, 77);
    REQUIRE(pipe(resume_pipe) == 0 && sem_init(&answered, 0, 0) == 0);
    REQUIRE(sigaction(SIGUSR1, &action, NULL) == 0);
    pthread_t thread = start_thread(run_until_enough, &self);
    for (unsigned round = 0; stopped < wanted; round++) {
        for (uint64_t spin = random_below(&random, 20000); spin > 0; spin--)
            (void)load_relaxed(&enough);
        REQUIRE(pthread_kill(thread, SIGUSR1) == 0);
        wait_for(&answered);
        if (load_acquire(&answer) == 2) /* partner: stop_here */
            continue;
        stopped++;
        run_bystanders(&world, round);
        REQUIRE(write(resume_pipe[1], "", 1) == 1);
    }
    store_relaxed(&enough, true);
    join_thread(thread);
    actor_end(&self);
    world_end(&world);
    close(resume_pipe[0]);
    close(resume_pipe[1]);
    REQUIRE_NO_LEAKS();
}

#endif

/* ---- what this test could not overlook -------------------------------------------------- */

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *locked_victim(void *arg)
{
    victim = arg;
    pthread_mutex_lock(&lock);
    cache_point("inside a lock");
    pthread_mutex_unlock(&lock);
    return NULL;
}

/* A stopped victim really holds what it holds: a bystander that needed this lock would not finish.
 */
Test(stop, a_lock_would_be_noticed)
{
    struct world world;
    struct actor self;
    world_init(&world);
    actor_init(&self, &world, 1);
    self.stop_at = 1;
    pthread_t thread = start_thread(locked_victim, &self);
    wait_for(&self.stopped);
    cr_assert_str_eq(self.where, "inside a lock");
    cr_assert_eq(pthread_mutex_trylock(&lock), EBUSY);
    sem_post(&self.resume);
    join_thread(thread);
    cr_assert_eq(pthread_mutex_trylock(&lock), 0);
    actor_end(&self);
    world_end(&world);
}
