/* Executable memory: one reservation that is mapped twice, once writable and once executable, never
 * both at one address. Offsets are the same in both views and fit 32 bits.
 *
 * The arena is handed out in chunks to buffers; each thread that generates code has a buffer of its
 * own, so that generating takes no lock. A chunk counts the bytes of its live regions and is used
 * again when no buffer has it and nothing in it lives. The first page belongs to nobody: the
 * recompiler's common stubs are there. */
#ifndef JAVM_VM_JIT_ARENA_H
#define JAVM_VM_JIT_ARENA_H

#include <stdbool.h>
#include <stdint.h>

#include "javm/status.h"

struct jit_chunk;

#define JIT_STUB_BYTES 4096u               /* at offset 0; memory is there from the beginning */
#define JIT_CHUNK_MIN  0x10000u            /* chunks are this times a power of two */
#define JIT_CHUNK_MAX  0x4000000u          /* and the most that a buffer can reserve */
#define JIT_ARENA_MAX  0x80000000u         /* distances inside fit a signed 32-bit displacement */
#define JIT_CHUNK_DROP (UINT32_C(1) << 20) /* dead chunks from here on give their memory back */
#define JIT_ALIGN      64u                 /* of regions */

struct jit_arena {
    uint8_t *writable;         /* offset 0 */
    const uint8_t *executable; /* offset 0 */
    uint64_t bytes;            /* of address space, at most 2 GiB */
    /* Asked when no chunk of this size is free: release something and return true, or false when
     * there is nothing. Called without the arena's lock by the thread that reserves; NULL: nobody
     * to ask. Set before a second thread comes. */
    bool (*make_room)(void *ctx);
    void *make_room_ctx;
    /* jit_arena.c has more behind this. */
};

/* `bytes` is rounded up to chunks, RANGE when it is above JIT_ARENA_MAX; IO when the system refuses
 * executable memory, NOMEM. Memory is taken when it is used. */
enum javm_status jit_arena_create(uint64_t bytes, struct jit_arena **arena, struct javm_error *err);
/* No thread uses the arena or runs code in it; buffers are closed or forgotten. */
void jit_arena_destroy(struct jit_arena *arena);

/* Where a thread puts the code that it generates: a part of the arena that is its own until it is
 * full. Zero-initialise with the arena set. A buffer belongs to one thread at a time. */
struct jit_buffer {
    struct jit_arena *arena;
    struct jit_chunk *chunk; /* NULL: none yet */
    uint32_t at, end;        /* free part: arena offsets; `at` is aligned to 64 */
};

/* At least `room` bytes are free and backed by memory (touched ahead in steps, so that neither view
 * faults page by page): takes a new chunk when the present one is too full. False: the arena is
 * full, room is above JIT_CHUNK_MAX or the system has no memory; the buffer is as it was, or has no
 * chunk. */
bool jit_buffer_reserve(struct jit_buffer *buffer, uint32_t room);
/* Take the first len (not 0, at most what was reserved) bytes as one region's; returns their arena
 * offset. */
uint32_t jit_buffer_commit(struct jit_buffer *buffer, uint32_t len);
/* Give the rest back. The buffer can be used again. */
void jit_buffer_close(struct jit_buffer *buffer);
/* A region's code is dead: nobody runs or reads it. `at` and `len` as they were committed. Memory
 * of chunks without live regions is used again. Any thread. */
void jit_arena_release(struct jit_arena *arena, uint32_t at, uint32_t len);
/* Bytes in chunks that are in use. Any thread. */
uint64_t jit_arena_used(struct jit_arena *arena);

#endif
