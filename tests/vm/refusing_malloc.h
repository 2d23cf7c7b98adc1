/* For tests whose allocations fail one by one: the linker sends malloc, calloc and realloc through
 * here (-Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc). Included in one .c file of each. */
#ifndef TESTS_VM_REFUSING_MALLOC_H
#define TESTS_VM_REFUSING_MALLOC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static uint64_t countdown; /* the so manieth allocation fails; 0: none */
static bool refused;       /* one has failed */
static size_t allocated;   /* bytes that were asked for */

void *__real_malloc(size_t size);
void *__real_calloc(size_t number, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t number, size_t size);
void *__wrap_realloc(void *old, size_t size);

static bool must_fail(size_t size)
{
    allocated += size;
    if (countdown == 0 || --countdown != 0)
        return false;
    refused = true;
    return true;
}
void *__wrap_malloc(size_t size)
{
    return must_fail(size) ? NULL : __real_malloc(size);
}
void *__wrap_calloc(size_t number, size_t size)
{
    return must_fail(number * size) ? NULL : __real_calloc(number, size);
}
void *__wrap_realloc(void *old, size_t size)
{
    return must_fail(size) ? NULL : __real_realloc(old, size);
}

#endif
