/* Shared by the tests of the recompiler's store and files: natives, and regions made by hand whose
 * blocks are functions that return a number. Included in one .c file of each test. */
#ifndef TESTS_VM_JIT_SUPPORT_H
#define TESTS_VM_JIT_SUPPORT_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "tests/require.h"
#include "vm/jit.h"

#define BLOCK_BYTES 16u

static inline struct javm_hash name_of(uint32_t number)
{
    struct javm_hash name = {{0}};
    memcpy(name.bytes, &number, sizeof number);
    name.bytes[31] = 0x77;
    return name;
}

/* Blocks at pc, pc + step, ...: block i returns value + i. Sites and slots as many as asked. */
struct region_plan {
    uint32_t pc, step, blocks, sites, slots, value;
};

static inline uint32_t plan_bytes(const struct region_plan *plan)
{
    const uint32_t slots_at =
        (plan->blocks * BLOCK_BYTES + plan->slots * JIT_SLOT_STUB + 63) & ~63u;
    return slots_at + plan->slots * (uint32_t)sizeof(struct jit_slot);
}

/* False: no room. */
static inline bool add_region(struct javm_native *native, struct jit_buffer *buffer,
                              const struct region_plan *plan)
{
    const uint32_t len = plan_bytes(plan);
    if (!jit_buffer_reserve(buffer, len))
        return false;
    struct jit_region *region = calloc(1, jit_region_bytes(plan->blocks, plan->sites));
    REQUIRE(region != NULL);
    region->blocks = (struct jit_site *)(void *)(region + 1);
    region->sites = region->blocks + plan->blocks;
    region->block_count = plan->blocks;
    region->site_count = plan->sites;
    region->slot_count = plan->slots;
    region->code_len = len;
    region->stubs_at = plan->blocks * BLOCK_BYTES;
    region->slots_at = len - plan->slots * (uint32_t)sizeof(struct jit_slot);
    region->pc_first = plan->pc;
    region->pc_end = plan->pc + plan->blocks * plan->step;
    uint8_t *code = buffer->arena->writable + buffer->at;
    memset(code, 0x90, len);
    for (uint32_t i = 0; i < plan->blocks; i++) {
        const uint32_t value = plan->value + i;
        region->blocks[i] =
            (struct jit_site){.native = i * BLOCK_BYTES, .pc = plan->pc + i * plan->step};
        code[i * BLOCK_BYTES] = 0xB8; /* mov eax, value; ret */
        memcpy(code + i * BLOCK_BYTES + 1, &value, sizeof value);
        code[i * BLOCK_BYTES + 5] = 0xC3;
    }
    for (uint32_t i = 0; i < plan->sites; i++)
        region->sites[i] = (struct jit_site){.native = i % (len - 1), .pc = plan->pc};
    struct jit_slot *slots = (struct jit_slot *)(void *)(code + region->slots_at);
    for (uint32_t i = 0; i < plan->slots; i++)
        slots[i] = (struct jit_slot){.target = i * 3, .pc = plan->pc};
    region->code_at = jit_buffer_commit(buffer, len);
    jit_reset_slots(buffer->arena, region);
    native->compile_ns += 1000;
    native->compiled_bytes += region->pc_end - region->pc_first;
    jit_publish(native, region);
    return true;
}

/* Run the block at pc through the table; 0: none. */
static inline uint32_t run_block(const struct javm_native *native, uint32_t pc)
{
    /* Acquire: partner is the release in jit_publish. */
    const uint32_t at = atomic_load_explicit(&native->table[pc / 2], memory_order_acquire);
    if (at == 0)
        return 0;
    uint32_t (*function)(void);
    const uint8_t *code = native->jit->arena->executable + at;
    memcpy(&function, &code, sizeof function);
    return function();
}

#endif
