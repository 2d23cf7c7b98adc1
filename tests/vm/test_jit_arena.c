/* Executable memory: chunks, views, reuse, threads.
 *
 * The linker redirects the system calls to wrappers that can fail.
 *
 * Would catch: a mapping that is writable and executable at once; a view that does not show what
 * the other one has; a chunk that is handed out while a region in it lives, or never again after
 * the last one died; overlapping regions of two threads; a failed system call that leaks a mapping
 * or has no message. */
#include <criterion/criterion.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "tests/require.h"
#include "vm/jit_arena.h"

#define MIB (UINT64_C(1) << 20)

/* ---- system calls that fail ------------------------------------------------------------- */

enum { CALL_MEMFD, CALL_FTRUNCATE, CALL_MMAP, CALL_MADVISE, CALLS };
static _Thread_local int fail_call = -1; /* one of the above; -1: none */
static _Thread_local int fail_after;     /* as many succeed first */
static _Thread_local int fail_errno;
static _Thread_local int removed; /* MADV_REMOVE that succeeded */

int __real_memfd_create(const char *name, unsigned flags);
int __real_ftruncate(int fd, off_t len);
void *__real_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
int __real_madvise(void *at, size_t len, int advice);
int __wrap_memfd_create(const char *name, unsigned flags);
int __wrap_ftruncate(int fd, off_t len);
void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset);
int __wrap_madvise(void *at, size_t len, int advice);

static bool fails(int call)
{
    if (fail_call != call || fail_after-- > 0)
        return false;
    errno = fail_errno;
    return true;
}

int __wrap_memfd_create(const char *name, unsigned flags)
{
    return fails(CALL_MEMFD) ? -1 : __real_memfd_create(name, flags);
}

int __wrap_ftruncate(int fd, off_t len)
{
    return fails(CALL_FTRUNCATE) ? -1 : __real_ftruncate(fd, len);
}

void *__wrap_mmap(void *at, size_t len, int prot, int flags, int fd, off_t offset)
{
    return fails(CALL_MMAP) ? MAP_FAILED : __real_mmap(at, len, prot, flags, fd, offset);
}

int __wrap_madvise(void *at, size_t len, int advice)
{
    if (fails(CALL_MADVISE))
        return -1;
    int result = __real_madvise(at, len, advice);
    if (advice == MADV_REMOVE && result == 0)
        removed++;
    return result;
}

/* ---- support ---------------------------------------------------------------------------- */

static struct jit_arena *arena_of(uint64_t bytes)
{
    struct jit_arena *arena;
    struct javm_error err;
    if (jit_arena_create(bytes, &arena, &err) != JAVM_OK) {
        fprintf(stderr, "%s\n", err.text);
        abort();
    }
    return arena;
}

/* mov eax, value; ret */
static uint32_t put_function(struct jit_buffer *buffer, uint32_t value)
{
    uint8_t code[6] = {0xB8, 0, 0, 0, 0, 0xC3};
    memcpy(code + 1, &value, sizeof value);
    REQUIRE(jit_buffer_reserve(buffer, sizeof code));
    memcpy(buffer->arena->writable + buffer->at, code, sizeof code);
    return jit_buffer_commit(buffer, sizeof code);
}

static uint32_t call(const struct jit_arena *arena, uint32_t at)
{
    uint32_t (*function)(void);
    const uint8_t *code = arena->executable + at;
    memcpy(&function, &code, sizeof function);
    return function();
}

struct mapping {
    uintptr_t from, to;
    char rights[5];
    bool code; /* the name has "javm-code" */
};

static unsigned mappings(struct mapping *list, unsigned room)
{
    unsigned count = 0;
    char line[512];
    FILE *maps = fopen("/proc/self/maps", "r");
    REQUIRE(maps != NULL);
    while (fgets(line, sizeof line, maps) != NULL) {
        struct mapping m = {0};
        REQUIRE(sscanf(line, "%lx-%lx %4s", &m.from, &m.to, m.rights) == 3);
        m.code = strstr(line, "javm-code") != NULL;
        if (count < room)
            list[count] = m;
        count++;
    }
    fclose(maps);
    REQUIRE(count <= room);
    return count;
}

static unsigned code_mappings(void)
{
    static struct mapping list[20000];
    const unsigned count = mappings(list, 20000);
    unsigned found = 0;
    for (unsigned i = 0; i < count; i++)
        found += list[i].code;
    return found;
}

static unsigned open_files(void)
{
    unsigned count = 0;
    for (int fd = 0; fd < 1000; fd++)
        count += fcntl(fd, F_GETFD) >= 0;
    return count;
}

/* Pages of [at, at + len) that have memory, as mincore sees it. */
static unsigned resident(const uint8_t *at, size_t len)
{
    unsigned char pages[4096];
    unsigned count = 0;
    REQUIRE(len / 4096 <= sizeof pages);
    REQUIRE(mincore((void *)(uintptr_t)at, len, pages) == 0);
    for (size_t i = 0; i < len / 4096; i++)
        count += pages[i] & 1;
    return count;
}

/* ---- views ------------------------------------------------------------------------------ */

Test(jit_arena, both_views_show_the_same_and_code_runs)
{
    struct jit_arena *arena = arena_of(4 * MIB);
    struct jit_buffer buffer = {.arena = arena};
    cr_assert_eq(arena->bytes, 4 * MIB);
    uint32_t at[1000];
    for (uint32_t i = 0; i < 1000; i++) {
        at[i] = put_function(&buffer, i * 77);
        cr_assert_eq(at[i] % JIT_ALIGN, 0);
        cr_assert_geq(at[i], JIT_STUB_BYTES, "the first page is for stubs");
        cr_assert(i == 0 || at[i] != at[i - 1]);
    }
    for (uint32_t i = 0; i < 1000; i++)
        cr_assert_eq(call(arena, at[i]), i * 77);
    memset(arena->writable, 0x5A, JIT_STUB_BYTES);
    cr_assert_eq(arena->executable[0], 0x5A);
    cr_assert_eq(arena->executable[JIT_STUB_BYTES - 1], 0x5A);
    jit_buffer_close(&buffer);
    jit_arena_destroy(arena);
    REQUIRE_NO_LEAKS();
}

Test(jit_arena, nothing_is_writable_and_executable)
{
    static struct mapping list[20000];
    struct jit_arena *arena = arena_of(64 * MIB);
    struct jit_buffer buffer = {.arena = arena};
    const uint32_t at = put_function(&buffer, 1);
    cr_assert_eq(call(arena, at), 1);
    const unsigned count = mappings(list, 20000);
    unsigned writable = 0, executable = 0;
    for (unsigned i = 0; i < count; i++) {
        const struct mapping *m = &list[i];
        cr_assert(!(m->rights[1] == 'w' && m->rights[2] == 'x'), "%lx %s", m->from, m->rights);
        if (!m->code)
            continue;
        if (m->from <= (uintptr_t)arena->writable && (uintptr_t)arena->writable < m->to) {
            cr_assert_str_eq(m->rights, "rw-s");
            writable++;
        } else if (m->from <= (uintptr_t)arena->executable &&
                   (uintptr_t)arena->executable < m->to) {
            cr_assert_str_eq(m->rights, "r-xs");
            executable++;
        } else {
            cr_assert_fail("a third mapping");
        }
    }
    cr_assert(writable == 1 && executable == 1);
    jit_buffer_close(&buffer);
    jit_arena_destroy(arena);
    cr_assert_eq(code_mappings(), 0);
}

Test(jit_arena, keeps_no_file_and_takes_memory_as_it_goes)
{
    const unsigned files = open_files();
    struct jit_arena *arena = arena_of(16 * MIB);
    cr_assert_eq(open_files(), files);
    cr_assert_leq(resident(arena->writable, 16 * MIB), 1);
    struct jit_buffer buffer = {.arena = arena};
    cr_assert(jit_buffer_reserve(&buffer, 100));
    cr_assert_eq(resident(arena->executable + buffer.at, JIT_CHUNK_MIN), JIT_CHUNK_MIN / 4096);
    cr_assert(jit_buffer_reserve(&buffer, 3 * JIT_CHUNK_MIN));
    cr_assert_eq(resident(arena->executable + buffer.at, 3 * JIT_CHUNK_MIN),
                 3 * JIT_CHUNK_MIN / 4096);
    cr_assert_leq(resident(arena->writable, 16 * MIB), 1 + 4 * JIT_CHUNK_MIN / 4096);
    jit_buffer_close(&buffer);
    jit_arena_destroy(arena);
}

/* The shadow memory of a sanitizer faults on its own account. */
#if !defined(TEST_LEAKS) && !defined(TEST_THREADS)
static long faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

Test(jit_arena, reserved_memory_does_not_fault)
{
    struct jit_arena *arena = arena_of(16 * MIB);
    struct jit_buffer buffer = {.arena = arena};
    uint32_t sum = 0;
    cr_assert(jit_buffer_reserve(&buffer, 8 * MIB));
    const long before = faults();
    for (uint32_t i = 0; i < 8 * MIB; i += 4096) {
        arena->writable[buffer.at + i] = 1;
        sum += arena->executable[buffer.at + i];
    }
    const long more = faults() - before;
    cr_assert_eq(sum, 2048);
    cr_assert_lt(more, 100, "%ld faults", more);
    jit_buffer_close(&buffer);
    jit_arena_destroy(arena);
}
#endif

/* ---- chunks ----------------------------------------------------------------------------- */

Test(jit_arena, chunks_are_used_again_when_the_last_region_died)
{
    struct jit_arena *arena = arena_of(2 * JIT_CHUNK_MIN); /* one chunk */
    struct jit_buffer a = {.arena = arena}, b = {.arena = arena};
    const uint32_t first = put_function(&a, 1), second = put_function(&a, 2);
    cr_assert_eq(jit_arena_used(arena), JIT_CHUNK_MIN);
    cr_assert_not(jit_buffer_reserve(&b, 1), "the only chunk is in a buffer");
    jit_arena_release(arena, first, 6);
    cr_assert_not(jit_buffer_reserve(&b, 1));
    jit_buffer_close(&a);
    cr_assert_not(jit_buffer_reserve(&b, 1), "a region lives");
    cr_assert_eq(call(arena, second), 2);
    cr_assert_eq(jit_arena_used(arena), JIT_CHUNK_MIN);
    jit_arena_release(arena, second, 6);
    cr_assert_eq(jit_arena_used(arena), 0);
    cr_assert(jit_buffer_reserve(&b, 1));
    cr_assert_eq(b.at, first);
    jit_buffer_close(&b);
    cr_assert_eq(jit_arena_used(arena), 0);
    jit_arena_destroy(arena);
    REQUIRE_NO_LEAKS();
}

Test(jit_arena, a_dead_region_traps)
{
    struct jit_arena *arena = arena_of(MIB);
    struct jit_buffer buffer = {.arena = arena};
    const uint32_t at = put_function(&buffer, 1);
    jit_arena_release(arena, at, 6);
    for (uint32_t i = 0; i < 6; i++)
        cr_assert_eq(arena->executable[at + i], 0xCC);
    jit_buffer_close(&buffer);
    jit_arena_destroy(arena);
}

Test(jit_arena, free_neighbours_become_one)
{
    struct jit_arena *arena = arena_of(9 * JIT_CHUNK_MIN); /* eight chunks */
    struct jit_buffer buffers[8], large = {.arena = arena};
    for (unsigned i = 0; i < 8; i++) {
        buffers[i] = (struct jit_buffer){.arena = arena};
        cr_assert(jit_buffer_reserve(&buffers[i], 1));
    }
    cr_assert_not(jit_buffer_reserve(&large, 1));
    for (unsigned i = 1; i < 8; i += 2)
        jit_buffer_close(&buffers[i]);
    cr_assert_not(jit_buffer_reserve(&large, JIT_CHUNK_MIN + 1), "four holes of one chunk each");
    jit_buffer_close(&buffers[4]);
    cr_assert_not(jit_buffer_reserve(&large, 3 * JIT_CHUNK_MIN + 1));
    jit_buffer_close(&buffers[2]);
    cr_assert(jit_buffer_reserve(&large, 3 * JIT_CHUNK_MIN + 1));
    cr_assert_eq(large.at, 2 * JIT_CHUNK_MIN);
    cr_assert_eq(large.end, 6 * JIT_CHUNK_MIN);
    jit_buffer_close(&buffers[0]);
    jit_buffer_close(&buffers[6]);
    jit_buffer_close(&large);
    cr_assert_eq(jit_arena_used(arena), 0);
    cr_assert(jit_buffer_reserve(&large, 8 * JIT_CHUNK_MIN), "all of it");
    jit_buffer_close(&large);
    jit_arena_destroy(arena);
}

Test(jit_arena, a_large_dead_chunk_gives_memory_back)
{
    struct jit_arena *arena = arena_of(8 * MIB);
    struct jit_buffer buffer = {.arena = arena};
    cr_assert(jit_buffer_reserve(&buffer, 4 * MIB));
    const uint32_t at = jit_buffer_commit(&buffer, 4 * MIB);
    const int before = removed;
    cr_assert_eq(resident(arena->writable, 8 * MIB), 1 + 1024);
    jit_buffer_close(&buffer);
    jit_arena_release(arena, at, 4 * MIB);
    cr_assert_eq(removed, before + 1);
    cr_assert_leq(resident(arena->writable, 8 * MIB), 1);
    cr_assert(jit_buffer_reserve(&buffer, 4 * MIB));
    cr_assert_eq(buffer.at, at);
    cr_assert_eq(resident(arena->executable + at, 4 * MIB), 1024, "and takes it again");
    jit_buffer_close(&buffer);
    jit_arena_destroy(arena);
}

Test(jit_arena, sizes_at_the_limits)
{
    struct jit_arena *arena;
    struct javm_error err;
    cr_assert_eq(jit_arena_create((uint64_t)JIT_ARENA_MAX + 1, &arena, &err), JAVM_E_RANGE);
    cr_assert(strstr(err.text, "2147483649") != NULL);
    arena = arena_of(JIT_ARENA_MAX);
    struct jit_buffer buffer = {.arena = arena};
    cr_assert(jit_buffer_reserve(&buffer, 0));
    cr_assert_eq(buffer.end - buffer.at, JIT_CHUNK_MIN);
    /* The whole of a chunk, to the byte. */
    cr_assert_eq(jit_buffer_commit(&buffer, JIT_CHUNK_MIN - 1), buffer.end - JIT_CHUNK_MIN);
    cr_assert_eq(buffer.at, buffer.end);
    cr_assert_not(jit_buffer_reserve(&buffer, JIT_CHUNK_MAX + 1));
    cr_assert(jit_buffer_reserve(&buffer, JIT_CHUNK_MAX));
    cr_assert_eq(buffer.end - buffer.at, JIT_CHUNK_MAX);
    jit_buffer_close(&buffer);
    jit_arena_destroy(arena);
    arena = arena_of(1); /* the smallest has one chunk */
    buffer.arena = arena;
    cr_assert(jit_buffer_reserve(&buffer, 1));
    jit_buffer_close(&buffer);
    jit_arena_destroy(arena);
}

static unsigned asked;
static uint32_t victim;

static bool give_one(void *ctx)
{
    asked++;
    if (victim == 0)
        return false;
    jit_arena_release(ctx, victim, 6); /* the arena's lock is free */
    victim = 0;
    return true;
}

Test(jit_arena, asks_for_room_when_full)
{
    struct jit_arena *arena = arena_of(2 * JIT_CHUNK_MIN);
    arena->make_room = give_one;
    arena->make_room_ctx = arena;
    struct jit_buffer buffer = {.arena = arena};
    victim = put_function(&buffer, 1);
    cr_assert_eq(asked, 0);
    jit_buffer_close(&buffer);
    cr_assert(jit_buffer_reserve(&buffer, 1));
    cr_assert_eq(asked, 1);
    const struct jit_buffer before = buffer;
    struct jit_buffer other = {.arena = arena};
    cr_assert_not(jit_buffer_reserve(&other, 1));
    cr_assert_eq(asked, 2);
    cr_assert(other.chunk == NULL);
    cr_assert_not(jit_buffer_reserve(&buffer, JIT_CHUNK_MIN + 1));
    cr_assert_eq(asked, 2, "nothing could make that fit");
    cr_assert(buffer.chunk == before.chunk && buffer.at == before.at && buffer.end == before.end);
    jit_buffer_close(&buffer);
    jit_arena_destroy(arena);
}

/* ---- failures --------------------------------------------------------------------------- */

static void create_fails(int which, int after, int with, enum javm_status status, const char *text)
{
    struct jit_arena *arena = NULL;
    struct javm_error err = {0};
    const unsigned files = open_files();
    fail_call = which;
    fail_after = after;
    fail_errno = with;
    cr_assert_eq(jit_arena_create(MIB, &arena, &err), status, "%d after %d", which, after);
    fail_call = -1;
    cr_assert_eq(err.status, status);
    cr_assert(strstr(err.text, text) != NULL, "%s", err.text);
    cr_assert(strstr(err.text, strerror(with)) != NULL, "%s", err.text);
    cr_assert_eq(code_mappings(), 0);
    cr_assert_eq(open_files(), files);
}

Test(jit_arena, failures_have_messages_and_leak_nothing)
{
    create_fails(CALL_MEMFD, 0, ENFILE, JAVM_E_IO, "memfd_create");
    create_fails(CALL_MEMFD, 0, EACCES, JAVM_E_IO, "memfd_create");
    create_fails(CALL_FTRUNCATE, 0, EFBIG, JAVM_E_IO, "ftruncate");
    create_fails(CALL_MMAP, 0, ENOMEM, JAVM_E_IO, "mmap for writing");
    create_fails(CALL_MMAP, 1, EPERM, JAVM_E_IO, "mmap for executing");
    create_fails(CALL_MADVISE, 0, ENOMEM, JAVM_E_NOMEM, "first page");
    REQUIRE_NO_LEAKS();
}

Test(jit_arena, a_low_file_size_limit_is_no_signal)
{
    struct jit_arena *arena;
    struct javm_error err;
    struct rlimit before, limit;
    cr_assert_eq(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = (struct rlimit){.rlim_cur = MIB - 1, .rlim_max = before.rlim_max};
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
    cr_assert_eq(jit_arena_create(MIB, &arena, &err), JAVM_E_IO);
    cr_assert(strstr(err.text, "ulimit -f") != NULL, "%s", err.text);
    cr_assert(strstr(err.text, strerror(EFBIG)) != NULL, "%s", err.text);
    cr_assert_eq(setrlimit(RLIMIT_FSIZE, &before), 0);
}

Test(jit_arena, old_kernels_touch_page_by_page)
{
    fail_call = CALL_MADVISE; /* the stubs' page and each unit */
    fail_after = 0;
    fail_errno = EINVAL;
    struct jit_arena *arena = arena_of(MIB);
    struct jit_buffer buffer = {.arena = arena};
    cr_assert(jit_buffer_reserve(&buffer, 2 * JIT_CHUNK_MIN));
    cr_assert_eq(resident(arena->executable + buffer.at, 2 * JIT_CHUNK_MIN),
                 2 * JIT_CHUNK_MIN / 4096);
    fail_call = -1;
    jit_buffer_close(&buffer);
    jit_arena_destroy(arena);
}

Test(jit_arena, no_memory_for_a_chunk)
{
    struct jit_arena *arena = arena_of(MIB);
    struct jit_buffer buffer = {.arena = arena};
    fail_call = CALL_MADVISE;
    fail_after = 0;
    fail_errno = ENOMEM;
    cr_assert_not(jit_buffer_reserve(&buffer, 100));
    fail_call = -1;
    cr_assert(jit_buffer_reserve(&buffer, 100));
    jit_buffer_close(&buffer);
    cr_assert_eq(jit_arena_used(arena), 0);
    jit_arena_destroy(arena);
    REQUIRE_NO_LEAKS();
}

#ifndef TEST_THREADS /* its stand-in for Criterion has no signals */
Test(jit_arena, releasing_twice_aborts, .signal = SIGABRT)
{
    struct jit_arena *arena = arena_of(MIB);
    struct jit_buffer buffer = {.arena = arena};
    const uint32_t at = put_function(&buffer, 1);
    jit_arena_release(arena, at, 6);
    jit_arena_release(arena, at, 6);
}

Test(jit_arena, committing_too_much_aborts, .signal = SIGABRT)
{
    struct jit_arena *arena = arena_of(MIB);
    struct jit_buffer buffer = {.arena = arena};
    REQUIRE(jit_buffer_reserve(&buffer, 1));
    jit_buffer_commit(&buffer, JIT_CHUNK_MIN + 1);
}
#endif

/* ---- threads ---------------------------------------------------------------------------- */

#define THREADS 4
#define REGIONS 64

struct worker {
    struct jit_arena *arena;
    uint32_t number;
    uint64_t failed, committed;
};

/* Commits and releases regions in its own order; each is filled with a byte of its own and has it
 * to the end. */
static void *work(void *ctx)
{
    struct worker *worker = ctx;
    struct random random = {worker->number};
    struct jit_buffer buffer = {.arena = worker->arena};
    struct {
        uint32_t at, len;
        uint8_t fill;
    } regions[REGIONS] = {0};
    const unsigned rounds = 3000 * stress_factor();
    for (unsigned round = 0; round < rounds; round++) {
        const unsigned i = (unsigned)random_below(&random, REGIONS);
        if (regions[i].len != 0) {
            const uint8_t *code = worker->arena->executable + regions[i].at;
            for (uint32_t at = 0; at < regions[i].len; at += 61)
                REQUIRE(code[at] == regions[i].fill);
            jit_arena_release(worker->arena, regions[i].at, regions[i].len);
            regions[i].len = 0;
        }
        const uint32_t len = (uint32_t)random_below(&random, round % 50 == 0 ? 300000 : 5000) + 1;
        if (random_below(&random, 40) == 0)
            jit_buffer_close(&buffer);
        if (!jit_buffer_reserve(&buffer, len)) {
            worker->failed++;
            for (unsigned k = 0; k < REGIONS; k += 2) { /* as the store does */
                if (regions[k].len != 0)
                    jit_arena_release(worker->arena, regions[k].at, regions[k].len);
                regions[k].len = 0;
            }
            continue;
        }
        worker->committed++;
        regions[i].len = len;
        regions[i].fill = (uint8_t)random_u64(&random);
        memset(worker->arena->writable + buffer.at, regions[i].fill, len);
        regions[i].at = jit_buffer_commit(&buffer, len);
    }
    for (unsigned i = 0; i < REGIONS; i++) {
        if (regions[i].len != 0)
            jit_arena_release(worker->arena, regions[i].at, regions[i].len);
    }
    jit_buffer_close(&buffer);
    return NULL;
}

Test(jit_arena, threads_share_it)
{
    /* So small that there is often no room for large regions, even for one thread. */
    struct jit_arena *arena = arena_of(MIB);
    struct worker workers[THREADS];
    pthread_t threads[THREADS];
    uint64_t failed = 0, committed = 0;
    for (uint32_t i = 0; i < THREADS; i++) {
        workers[i] = (struct worker){.arena = arena, .number = i};
        REQUIRE(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        pthread_join(threads[i], NULL);
        failed += workers[i].failed;
        committed += workers[i].committed;
    }
    cr_assert(failed > 0 && committed > 300 * THREADS, "%lu %lu", failed, committed);
    cr_assert_eq(jit_arena_used(arena), 0);
    struct jit_buffer buffer = {.arena = arena};
    cr_assert(jit_buffer_reserve(&buffer, MIB / 2), "free chunks are whole again");
    jit_buffer_close(&buffer);
    jit_arena_destroy(arena);
    REQUIRE_NO_LEAKS();
}
