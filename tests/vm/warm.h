/* Shared by the tests of warm guest memory: system calls that are counted and can fail, what the
 * hardware allows, accesses as generated code makes them. Included in one .c file of each; the
 * linker redirects mprotect, madvise and mmap to the wrappers here. */
#ifndef TESTS_VM_WARM_H
#define TESTS_VM_WARM_H

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/vm/support.h"
#include "vm/memory.h"

#define PAGE      JAVM_PAGE_SIZE
#define FIRST     (RW_BASE >> JAVM_PAGE_SHIFT)
#define LAST_PAGE 0xFFFFFu

/* ---- system calls that fail ------------------------------------------------------------- */

static unsigned system_calls;
static struct random refusing;
static unsigned refuse_percent; /* of the mprotect and madvise calls */
static unsigned refuse_call;    /* the one of that number, counted as system_calls; 0: none */
static bool refuse_mmap;

int __real_mprotect(void *at, size_t len, int protection);
int __real_madvise(void *at, size_t len, int advice);
void *__real_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);
int __wrap_mprotect(void *at, size_t len, int protection);
int __wrap_madvise(void *at, size_t len, int advice);
void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset);

static inline bool refused(void)
{
    system_calls++;
    errno = ENOMEM;
    if (system_calls == refuse_call)
        return true;
    return refuse_percent != 0 && random_below(&refusing, 100) < refuse_percent;
}

/* As Linux does it: the first mappings of the range may be changed already. */
int __wrap_mprotect(void *at, size_t len, int protection)
{
    if (!refused())
        return __real_mprotect(at, len, protection);
    const size_t part = len / PAGE * random_below(&refusing, 3) / 2 * PAGE;
    if (part != 0 && part != len)
        REQUIRE(__real_mprotect(at, part, protection) == 0);
    errno = ENOMEM;
    return -1;
}

int __wrap_madvise(void *at, size_t len, int advice)
{
    return refused() ? -1 : __real_madvise(at, len, advice);
}

void *__wrap_mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
    if (refuse_mmap) {
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap(at, len, protection, flags, fd, offset);
}

/* ---- helpers ---------------------------------------------------------------------------- */

/* What the hardware allows at an address: 0 nothing, 1 reading, 2 writing too. The kernel accesses
 * it for us and says so when it cannot. */
static inline int allows(const volatile void *at)
{
    static int ends[2] = {-1, -1};
    void *where = (void *)(uintptr_t)at;
    if (ends[0] == -1)
        REQUIRE(pipe(ends) == 0);
    if (write(ends[1], where, 1) != 1)
        return 0;
    if (read(ends[0], where, 1) == 1)
        return 2;
    char byte;
    REQUIRE(read(ends[0], &byte, 1) == 1);
    return 1;
}

static inline int page_allows(const struct javm_memory *m, uint32_t page)
{
    return allows(m->base + ((uint64_t)page << JAVM_PAGE_SHIFT) + 77);
}

static inline struct javm_memory *memory_new(void)
{
    struct javm_memory *m;
    REQUIRE(javm_memory_create(&m, NULL) == JAVM_OK);
    return m;
}

static inline bool touch(struct javm_memory *m, uint32_t page, bool write)
{
    uint32_t fresh = 0;
    return memory_touch(m, page << JAVM_PAGE_SHIFT, 8, write, &fresh);
}

/* What generated code does: through the hardware only, unnoted. */
static inline uint8_t *raw(const struct javm_memory *m, uint32_t page)
{
    return m->base + ((uint64_t)page << JAVM_PAGE_SHIFT);
}

static inline struct javm_region region_of(uint32_t first, uint32_t pages, bool writable)
{
    return (struct javm_region){
        .first_page = first, .pages = pages, .kind = JAVM_REGION_ZERO, .writable = writable};
}

static inline struct javm_region bytes_region(uint32_t first, uint32_t pages, const uint8_t *bytes,
                                              bool writable)
{
    return (struct javm_region){.first_page = first,
                                .pages = pages,
                                .kind = JAVM_REGION_BYTES,
                                .writable = writable,
                                .bytes = bytes,
                                .len = (uint64_t)pages * PAGE};
}

#endif
