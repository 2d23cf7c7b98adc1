#include "tests/caps/heap.h"

#include <malloc.h>

/* In a file of its own: a compiler may take malloc for a function that touches no variable of the
 * file that calls it. */
static struct {
    unsigned long calls;
    unsigned long fail_at; /* counts down; 0: nothing fails */
    bool fail_on, failed;
    long blocks;
    size_t bytes, peak;
} heap;

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *memory);

static bool must_fail(void)
{
    heap.calls++;
    if (heap.failed)
        return heap.fail_on;
    if (heap.fail_at == 0 || --heap.fail_at != 0)
        return false;
    heap.failed = true;
    return true;
}

static void *gained(void *memory)
{
    if (memory != NULL) {
        heap.blocks++;
        heap.bytes += malloc_usable_size(memory);
        if (heap.bytes > heap.peak)
            heap.peak = heap.bytes;
    }
    return memory;
}

static void lost(size_t bytes)
{
    heap.blocks--;
    heap.bytes -= bytes;
}

void *__wrap_malloc(size_t size)
{
    return must_fail() ? NULL : gained(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return must_fail() ? NULL : gained(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size)
{
    if (must_fail())
        return NULL;
    const size_t bytes = old != NULL ? malloc_usable_size(old) : 0;
    void *memory = __real_realloc(old, size);
    if (memory != NULL && old != NULL)
        lost(bytes);
    return gained(memory);
}

void __wrap_free(void *memory)
{
    if (memory != NULL)
        lost(malloc_usable_size(memory));
    __real_free(memory);
}

void heap_arm(unsigned long fail_at, bool fail_on)
{
    heap.fail_at = fail_at;
    heap.fail_on = fail_on;
    heap.failed = false;
    heap.calls = 0;
}

bool heap_disarm(void)
{
    const bool failed = heap.failed;
    heap.fail_at = 0;
    heap.failed = false;
    return failed;
}

bool heap_failed(void)
{
    return heap.failed;
}

unsigned long heap_calls(void)
{
    return heap.calls;
}

long heap_blocks(void)
{
    return heap.blocks;
}

size_t heap_bytes(void)
{
    return heap.bytes;
}

size_t heap_peak(void)
{
    return heap.peak;
}

void heap_reset_peak(void)
{
    heap.peak = heap.bytes;
}
