#include "vm/front.h"

struct front front_of(const uint8_t *code, uint64_t len, const struct javm_program_key *key)
{
    struct javm_program_key full = *key;
    if (key->pvm != JAVM_PVM_NONE && key->features == 0)
        full.features =
            key->pvm == JAVM_PVM_GP ? JAVM_PVM_SBRK : JAVM_PVM_UNLIKELY | JAVM_PVM_ECALL;
    return (struct front){.code = code,
                          .len = len,
                          .key = full,
                          .memory_cycles = gas_memory_cycles(key->footprint_pages),
                          .shift = key->pvm == JAVM_PVM_NONE,
                          .flat = key->pvm == JAVM_PVM_GP};
}

struct javm_program_key javm_program_key_of(const struct javm_image *image)
{
    return (struct javm_program_key){.footprint_pages = javm_image_footprint(image),
                                     .pvm =
                                         image->isa == JAVM_ISA_PVM ? JAVM_PVM_JAR1 : JAVM_PVM_NONE,
                                     .bitmask = image->bitmask,
                                     .jump_table = image->jump_table,
                                     .jump_count = image->jump_count};
}

struct front_run front_run_at(const struct front *front, uint64_t pc)
{
    struct front_run run = {0};
    struct gas_pipeline gas = {.base = 0};
    struct ir_step step = {.terminator = false};
    gas_begin(&gas);
    while (!step.terminator && front_next(front, pc, &step) && (!step.ecall || run.count == 0)) {
        if (!step.ecall)
            front_add(&gas, &step);
        run.stores += step.store;
        run.count++;
        pc += step.len;
    }
    run.cost = front->flat ? run.count : gas_cost(&gas);
    return run;
}

enum javm_status front_check(uint64_t code_len, const struct javm_program_key *key,
                             struct javm_error *err)
{
    const uint32_t limit = key->pvm == JAVM_PVM_NONE ? JAVM_CODE_MAX : JAVM_PVM_CODE_MAX;
    if (code_len > limit)
        return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE, "code: %llu bytes, at most %u",
                         (unsigned long long)code_len, limit);
    if (key->jump_count > JAVM_PVM_JUMPS_MAX)
        return javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE, "jump table: %u entries, at most %u",
                         key->jump_count, JAVM_PVM_JUMPS_MAX);
    return JAVM_OK;
}
