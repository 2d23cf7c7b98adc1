#include "vm/jit_arena.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#ifndef MFD_EXEC
#define MFD_EXEC 0x0010u /* Linux 6.3; older kernels refuse it and need no such flag */
#endif

struct jit_chunk {
    uint32_t at, bytes;
    uint64_t live;  /* bytes of regions, each rounded up to JIT_ALIGN */
    bool in_buffer; /* some buffer may commit more */
};

/* The chunks by units of JIT_CHUNK_MIN. Unit 0 has the stubs and is never handed out. */
struct arena {
    struct jit_arena shared; /* first */
    uint32_t units;
    /* Per unit: both views have memory and page table entries. Written by the thread whose buffer
     * has the chunk, or under the lock when nobody has it. */
    bool *warm;
    pthread_mutex_t lock;      /* everything below */
    struct jit_chunk **chunks; /* per unit: the chunk it is part of, NULL: free */
    uint32_t lowest_free;      /* no unit below is free */
    uint64_t used;
};

static struct arena *arena_of(struct jit_arena *shared)
{
    return (struct arena *)(void *)shared;
}

static uint32_t round_up(uint32_t len)
{
    return (len + JIT_ALIGN - 1) & ~(JIT_ALIGN - 1);
}

/* ---- memory ----------------------------------------------------------------------------- */

/* Map the two views. False with errno and *what set. */
static bool map_views(struct jit_arena *a, const char **what)
{
    struct rlimit limit;
    *what = "the limit of file sizes (ulimit -f) is too low";
    errno = EFBIG; /* ftruncate would raise SIGXFSZ */
    if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur < a->bytes)
        return false;
    *what = "memfd_create";
    int fd = memfd_create("javm-code", MFD_CLOEXEC | MFD_EXEC);
    if (fd < 0 && errno == EINVAL)
        fd = memfd_create("javm-code", MFD_CLOEXEC);
    if (fd < 0)
        return false;
    void *writable = MAP_FAILED, *executable = MAP_FAILED;
    *what = "ftruncate";
    if (ftruncate(fd, (off_t)a->bytes) == 0) {
        *what = "mmap for writing";
        writable = mmap(NULL, a->bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        if (writable != MAP_FAILED) {
            *what = "mmap for executing";
            executable = mmap(NULL, a->bytes, PROT_READ | PROT_EXEC, MAP_SHARED, fd, 0);
        }
    }
    const int why = errno;
    close(fd); /* the mappings keep the memory */
    if (executable == MAP_FAILED) {
        if (writable != MAP_FAILED)
            munmap(writable, a->bytes);
        errno = why;
        return false;
    }
    a->writable = writable;
    a->executable = executable;
    return true;
}

/* Memory and page table entries for [at, at + len) in both views; the content may be lost. */
static bool populate(struct jit_arena *a, uint32_t at, uint32_t len)
{
    if (madvise(a->writable + at, len, MADV_POPULATE_WRITE) == 0) {
        /* The memory is there now; without entries the code still runs, after faults. */
        (void)madvise((void *)(uintptr_t)(a->executable + at), len, MADV_POPULATE_READ);
        return true;
    }
    if (errno != EINVAL)
        return false;
    for (uint32_t i = 0; i < len; i += 4096) { /* before Linux 5.14 */
        *(volatile uint8_t *)(a->writable + at + i) = 0;
        (void)*(const volatile uint8_t *)(a->executable + at + i);
    }
    return true;
}

static bool warm_up(struct arena *a, uint32_t at, uint32_t len)
{
    for (uint32_t unit = at / JIT_CHUNK_MIN; unit <= (at + len - 1) / JIT_CHUNK_MIN; unit++) {
        if (a->warm[unit])
            continue;
        if (!populate(&a->shared, unit * JIT_CHUNK_MIN, JIT_CHUNK_MIN))
            return false;
        a->warm[unit] = true;
    }
    return true;
}

enum javm_status jit_arena_create(uint64_t bytes, struct jit_arena **arena, struct javm_error *err)
{
    if (bytes > JIT_ARENA_MAX)
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "native code: %llu bytes of room, at most %u", (unsigned long long)bytes,
                         JIT_ARENA_MAX);
    struct arena *a = calloc(1, sizeof *a);
    if (a == NULL)
        return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "native code: out of memory");
    a->units = (uint32_t)((bytes + JIT_CHUNK_MIN - 1) / JIT_CHUNK_MIN);
    if (a->units < 2)
        a->units = 2;
    a->shared.bytes = (uint64_t)a->units * JIT_CHUNK_MIN;
    a->lowest_free = 1;
    a->warm = calloc(a->units, sizeof *a->warm);
    a->chunks = calloc(a->units, sizeof *a->chunks);
    enum javm_status status = JAVM_OK;
    const char *what;
    if (a->warm == NULL || a->chunks == NULL)
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "native code: out of memory");
    else if (!map_views(&a->shared, &what))
        status = javm_fail(err, JAVM_E_IO, JAVM_NOWHERE,
                           "native code: no executable memory of %llu bytes: %s: %s",
                           (unsigned long long)a->shared.bytes, what, strerror(errno));
    else if (!populate(&a->shared, 0, JIT_STUB_BYTES))
        status = javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE,
                           "native code: no memory for the first page: %s", strerror(errno));
    if (status == JAVM_OK) {
        pthread_mutex_init(&a->lock, NULL);
        *arena = &a->shared;
        return JAVM_OK;
    }
    if (a->shared.writable != NULL) {
        munmap(a->shared.writable, a->shared.bytes);
        munmap((void *)(uintptr_t)a->shared.executable, a->shared.bytes);
    }
    free(a->warm);
    free(a->chunks);
    free(a);
    return status;
}

void jit_arena_destroy(struct jit_arena *arena)
{
    if (arena == NULL)
        return;
    struct arena *a = arena_of(arena);
    for (uint32_t unit = 1; unit < a->units;) {
        struct jit_chunk *chunk = a->chunks[unit];
        unit += chunk != NULL ? chunk->bytes / JIT_CHUNK_MIN : 1;
        free(chunk);
    }
    munmap(arena->writable, arena->bytes);
    munmap((void *)(uintptr_t)arena->executable, arena->bytes);
    pthread_mutex_destroy(&a->lock);
    free(a->warm);
    free(a->chunks);
    free(a);
}

/* ---- chunks ----------------------------------------------------------------------------- */

/* The lowest run of `count` free units, 0: none. Low places first: they are the warm ones. */
static uint32_t find_free(struct arena *a, uint32_t count)
{
    while (a->lowest_free < a->units && a->chunks[a->lowest_free] != NULL)
        a->lowest_free += a->chunks[a->lowest_free]->bytes / JIT_CHUNK_MIN;
    uint32_t run = 0;
    for (uint32_t unit = a->lowest_free; unit < a->units;) {
        if (a->chunks[unit] != NULL) {
            run = 0;
            unit += a->chunks[unit]->bytes / JIT_CHUNK_MIN;
        } else {
            unit++;
            if (++run == count)
                return unit - count;
        }
    }
    return 0;
}

static bool take_chunk(struct arena *a, struct jit_chunk *chunk)
{
    const uint32_t count = chunk->bytes / JIT_CHUNK_MIN;
    pthread_mutex_lock(&a->lock);
    const uint32_t first = find_free(a, count);
    if (first != 0) {
        chunk->at = first * JIT_CHUNK_MIN;
        for (uint32_t i = 0; i < count; i++)
            a->chunks[first + i] = chunk;
        a->used += chunk->bytes;
    }
    pthread_mutex_unlock(&a->lock);
    return first != 0;
}

/* The lock is held. */
static void free_if_dead(struct arena *a, struct jit_chunk *chunk)
{
    if (chunk->in_buffer || chunk->live != 0)
        return;
    const uint32_t first = chunk->at / JIT_CHUNK_MIN, count = chunk->bytes / JIT_CHUNK_MIN;
    const bool drop = chunk->bytes >= JIT_CHUNK_DROP &&
                      madvise(a->shared.writable + chunk->at, chunk->bytes, MADV_REMOVE) == 0;
    for (uint32_t i = 0; i < count; i++) {
        a->chunks[first + i] = NULL;
        if (drop)
            a->warm[first + i] = false;
    }
    if (first < a->lowest_free)
        a->lowest_free = first;
    a->used -= chunk->bytes;
    free(chunk);
}

void jit_arena_release(struct jit_arena *arena, uint32_t at, uint32_t len)
{
    struct arena *a = arena_of(arena);
    /* Whoever still jumps there stops at once. Before the lock: nobody else has these bytes yet. */
    memset(arena->writable + at, 0xCC, len);
    pthread_mutex_lock(&a->lock);
    struct jit_chunk *chunk = a->chunks[at / JIT_CHUNK_MIN];
    if (chunk == NULL || chunk->live < round_up(len)) {
        fprintf(stderr, "jit_arena_release: %u bytes at %u are not live\n", len, at);
        abort();
    }
    chunk->live -= round_up(len);
    free_if_dead(a, chunk);
    pthread_mutex_unlock(&a->lock);
}

uint64_t jit_arena_used(struct jit_arena *arena)
{
    struct arena *a = arena_of(arena);
    pthread_mutex_lock(&a->lock);
    const uint64_t used = a->used;
    pthread_mutex_unlock(&a->lock);
    return used;
}

/* ---- buffers ---------------------------------------------------------------------------- */

/* A chunk that was committed to and whose regions are gone may be what is missing. */
static bool close_if_dead(struct jit_buffer *buffer)
{
    struct arena *a = arena_of(buffer->arena);
    if (buffer->chunk == NULL)
        return false;
    pthread_mutex_lock(&a->lock);
    const bool dead = buffer->chunk->live == 0;
    pthread_mutex_unlock(&a->lock);
    if (dead)
        jit_buffer_close(buffer);
    return dead;
}

static bool new_chunk(struct jit_buffer *buffer, uint32_t room)
{
    struct arena *a = arena_of(buffer->arena);
    struct jit_chunk *chunk = calloc(1, sizeof *chunk);
    if (chunk == NULL)
        return false;
    chunk->in_buffer = true;
    chunk->bytes = JIT_CHUNK_MIN;
    while (chunk->bytes < room)
        chunk->bytes *= 2;
    while (!take_chunk(a, chunk)) {
        /* Nobody is asked for what an empty arena would not have. */
        if (chunk->bytes > a->shared.bytes - JIT_CHUNK_MIN ||
            (!close_if_dead(buffer) &&
             (a->shared.make_room == NULL || !a->shared.make_room(a->shared.make_room_ctx)))) {
            free(chunk);
            return false;
        }
    }
    jit_buffer_close(buffer);
    buffer->chunk = chunk;
    buffer->at = chunk->at;
    buffer->end = chunk->at + chunk->bytes;
    return true;
}

bool jit_buffer_reserve(struct jit_buffer *buffer, uint32_t room)
{
    if (room > JIT_CHUNK_MAX)
        return false;
    if (room == 0)
        room = 1;
    if ((buffer->chunk == NULL || buffer->end - buffer->at < room) && !new_chunk(buffer, room))
        return false;
    return warm_up(arena_of(buffer->arena), buffer->at, room);
}

uint32_t jit_buffer_commit(struct jit_buffer *buffer, uint32_t len)
{
    struct arena *a = arena_of(buffer->arena);
    const uint32_t at = buffer->at, bytes = round_up(len);
    if (buffer->chunk == NULL || len == 0 || len > buffer->end - at) {
        fprintf(stderr, "jit_buffer_commit: %u bytes were not reserved\n", len);
        abort();
    }
    buffer->at += bytes; /* `end` is aligned too */
    pthread_mutex_lock(&a->lock);
    buffer->chunk->live += bytes;
    pthread_mutex_unlock(&a->lock);
    return at;
}

void jit_buffer_close(struct jit_buffer *buffer)
{
    if (buffer->chunk == NULL)
        return;
    struct arena *a = arena_of(buffer->arena);
    pthread_mutex_lock(&a->lock);
    buffer->chunk->in_buffer = false;
    free_if_dead(a, buffer->chunk);
    pthread_mutex_unlock(&a->lock);
    buffer->chunk = NULL;
    buffer->at = buffer->end = 0;
}
