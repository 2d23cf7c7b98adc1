/* Where the parts of a program lie in memory at its start (PVM 10.1, 10.2). */
#include <assert.h>
#include <inttypes.h>

#include "loaders/container.h"

#define SPACE    (UINT64_C(1) << 32)
#define ZONE     UINT64_C(0x10000) /* ZZ, and B of .polkavm */
#define MAX_ARGS UINT64_C(0x1000000)
#define TO_HOST  UINT64_C(0xFFFF0000)

enum { RA = 0, SP = 1, A0 = 7, A1 = 8 };

static uint64_t up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

static void region(struct javm_pvm_memory *memory, const struct javm_pvm_region *r)
{
    if (r->size > 0)
        memory->regions[memory->region_count++] = *r;
}

/* The zones are fixed: arguments always have room for the largest. So have the numbers of a header,
 * which makes the limit of PVM 10.1 one that every program keeps. */
static_assert(5 * ZONE + 3 * (MAX_ARGS + ZONE) + 0xFFFF * UINT64_C(4096) + MAX_ARGS <= SPACE,
              "3 lengths of 24 bits, z of 16");
static void lay_out_spi(const struct javm_pvm_program *p, const struct javm_pvm_setup *setup,
                        struct javm_pvm_memory *memory)
{
    const uint64_t page = 4096, rw = up(p->rw_len, page) + page * p->heap_pages;
    const uint64_t h = 2 * ZONE + up(p->ro_len, ZONE), stack = up(p->stack_size, page);
    const uint64_t top = SPACE - 2 * ZONE - MAX_ARGS, args = SPACE - ZONE - MAX_ARGS;
    region(memory, &(struct javm_pvm_region){JAVM_PVM_RO, false, ZONE, up(p->ro_len, page), p->ro,
                                             p->ro_len});
    region(memory, &(struct javm_pvm_region){JAVM_PVM_RW, true, h, rw, p->rw, p->rw_len});
    region(memory, &(struct javm_pvm_region){JAVM_PVM_STACK, true, top - stack, stack, NULL, 0});
    region(memory, &(struct javm_pvm_region){JAVM_PVM_ARGS, false, args, up(setup->args_len, page),
                                             setup->args, setup->args_len});
    memory->heap_start = h + rw;
    memory->heap_end = top - stack;
    memory->regs[RA] = TO_HOST;
    memory->regs[SP] = top;
    memory->regs[A0] = args;
    memory->regs[A1] = setup->args_len;
}

static bool lay_out_polkavm(const struct javm_pvm_program *p, const struct javm_pvm_setup *setup,
                            struct javm_pvm_memory *memory, uint64_t *needed)
{
    const uint64_t page = setup->page_size == 0 ? 4096 : setup->page_size;
    const uint64_t rw = 2 * ZONE + up(p->ro_size, ZONE), stack = up(p->stack_size, page);
    const uint64_t args = SPACE - ZONE - up(setup->args_len, ZONE), top = args - ZONE;
    /* one zone free below everything, behind ro, behind rw, above the stack, at the end */
    *needed = 5 * ZONE + up(p->ro_size, ZONE) + up(p->rw_size, ZONE) + up(p->stack_size, ZONE) +
              up(setup->args_len, ZONE);
    if (*needed > SPACE)
        return false;
    region(memory, &(struct javm_pvm_region){JAVM_PVM_RO, false, ZONE, up(p->ro_size, page), p->ro,
                                             p->ro_len});
    region(memory, &(struct javm_pvm_region){JAVM_PVM_RW, true, rw, up(p->rw_size, page), p->rw,
                                             p->rw_len});
    region(memory, &(struct javm_pvm_region){JAVM_PVM_STACK, true, top - stack, stack, NULL, 0});
    region(memory, &(struct javm_pvm_region){JAVM_PVM_ARGS, false, args, up(setup->args_len, page),
                                             setup->args, setup->args_len});
    memory->heap_start = rw + p->rw_size;
    memory->heap_end = top - stack;
    memory->regs[RA] = TO_HOST;
    memory->regs[SP] = top;
    return true;
}

bool container_lay_out(const struct javm_pvm_program *program, const struct javm_pvm_setup *setup,
                       struct javm_pvm_memory *memory, uint64_t *needed)
{
    static const struct javm_pvm_setup none;
    setup = setup == NULL ? &none : setup;
    *memory = (struct javm_pvm_memory){0};
    *needed = 0;
    if (program->container == JAVM_PVM_POLKAVM)
        return lay_out_polkavm(program, setup, memory, needed);
    if (program->container == JAVM_PVM_SPI)
        lay_out_spi(program, setup, memory);
    return true;
}

enum javm_status javm_pvm_memory(const struct javm_pvm_program *program,
                                 const struct javm_pvm_setup *setup, struct javm_pvm_memory *memory,
                                 struct javm_error *err)
{
    static const struct javm_pvm_setup none;
    const bool spi = program->container == JAVM_PVM_SPI;
    const bool polkavm = program->container == JAVM_PVM_POLKAVM;
    uint64_t needed;
    *memory = (struct javm_pvm_memory){0};
    setup = setup == NULL ? &none : setup;
    const uint64_t limit = spi ? MAX_ARGS : polkavm ? SPACE : 0;
    const uint32_t page = setup->page_size;
    if (setup->args_len > limit)
        return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE,
                         "%" PRIu64 " bytes of arguments, a %s takes at most %" PRIu64,
                         setup->args_len, javm_pvm_container_name(program->container), limit);
    if (page != 0 && page != 4096 && !(polkavm && (page == 0x4000 || page == 0x10000)))
        return javm_fail(
            err, JAVM_E_LIMIT, JAVM_NOWHERE, "pages of %" PRIu32 " bytes; a %s can have 4096%s",
            page, javm_pvm_container_name(program->container), polkavm ? ", 16384 or 65536" : "");
    if (!container_lay_out(program, setup, memory, &needed))
        return javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "program and arguments need 0x%" PRIx64
                         " bytes of addresses, at most 0x100000000 are there",
                         needed);
    return JAVM_OK;
}
