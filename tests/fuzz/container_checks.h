/* What the fuzz targets of PVM containers have in common: what must hold of a program that was
 * accepted, and of the error of one that was not. */
#ifndef JAVM_TEST_FUZZ_CONTAINER_CHECKS_H
#define JAVM_TEST_FUZZ_CONTAINER_CHECKS_H

#include <string.h>

#include "javm/container.h"
#include "tests/require.h"

/* Every instruction in order, and the text of each; every byte of the parts is read. */
static inline void check_code(const struct javm_pvm_code *code)
{
    char text[96];
    uint64_t instructions, blocks, found = 0;
    for (uint64_t pc = 0; pc < code->code_len; pc++)
        found += javm_pvm_is_start(code, pc);
    for (uint64_t bit = code->code_len; bit % 8 != 0; bit++)
        REQUIRE((code->bitmask[bit / 8] >> bit % 8 & 1) == 0);
    javm_pvm_count(code, &instructions, &blocks);
    REQUIRE(instructions == found && blocks <= instructions);
    for (uint64_t pc = 0; pc < code->code_len;) {
        const struct javm_pvm_insn insn = javm_pvm_decode(code, pc);
        javm_pvm_format_insn(&insn, text, sizeof text);
        REQUIRE(insn.next > pc && insn.next <= pc + 25 && strlen(text) < 80);
        for (uint64_t between = pc + 1; between < insn.next; between++)
            REQUIRE(!javm_pvm_is_start(code, between));
        pc = insn.next;
    }
    for (uint32_t i = 0; i < code->jump_len; i++)
        javm_pvm_decode(code, code->jump_table[i]);
}

static inline bool all_read(const uint8_t *bytes, uint64_t len)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < len; i++)
        sum += bytes[i];
    return sum <= 255 * len;
}

static inline void check_memory(const struct javm_pvm_program *program,
                                const struct javm_pvm_setup *setup)
{
    struct javm_pvm_memory memory;
    uint64_t end = 0;
    const uint64_t page = setup->page_size == 0 ? 4096 : setup->page_size;
    if (javm_pvm_memory(program, setup, &memory, NULL) != JAVM_OK)
        return;
    for (unsigned i = 0; i < memory.region_count; i++) {
        const struct javm_pvm_region *r = &memory.regions[i];
        REQUIRE(r->start >= end && r->size > 0 && r->start % page == 0 && r->size % page == 0);
        REQUIRE(r->content_len <= r->size && all_read(r->content, r->content_len));
        end = r->start + r->size;
    }
    REQUIRE(end <= UINT64_C(1) << 32 && memory.heap_start <= memory.heap_end);
}

static inline void check_program(const struct javm_pvm_program *program, size_t size)
{
    const struct javm_pvm_setup none = {0}, args = {(const uint8_t *)"args", 4, 0},
                                large = {NULL, 0, 0x10000};
    check_code(&program->code);
    REQUIRE(program->code.jump_len <= size && program->import_count <= size &&
            program->export_count <= size);
    REQUIRE(all_read(program->metadata, program->metadata_len));
    for (uint32_t i = 0; i < program->import_count; i++)
        REQUIRE(all_read(program->imports[i].name, program->imports[i].name_len));
    for (uint32_t i = 0; i < program->export_count; i++)
        REQUIRE(all_read(program->exports[i].name, program->exports[i].name_len) &&
                javm_pvm_is_start(&program->code, program->exports[i].pc));
    REQUIRE(javm_pvm_memory(program, &none, &(struct javm_pvm_memory){0}, NULL) == JAVM_OK);
    check_memory(program, &none);
    check_memory(program, &args);
    check_memory(program, &large);
}

static inline void check_error(const struct javm_error *err, enum javm_status status, size_t size)
{
    REQUIRE(err->status == status && err->where <= size && strstr(err->text, " at byte ") != NULL);
    for (const char *c = err->text; *c != 0; c++)
        REQUIRE((unsigned char)*c >= 0x20);
}

/* Any bytes as one kind of program. */
static inline void fuzz_program(const uint8_t *data, size_t size, enum javm_pvm_container as)
{
    struct javm_pvm_program program;
    struct javm_error err = {.where = JAVM_NOWHERE};
    const enum javm_status status = javm_pvm_load(data, size, as, &program, &err);
    if (status == JAVM_OK) {
        REQUIRE(as == JAVM_PVM_ANY || program.container == as);
        check_program(&program, size);
    } else {
        REQUIRE(program.owned == NULL && program.imports == NULL && program.exports == NULL);
        check_error(&err, status, size);
    }
    javm_pvm_clear(&program);
}

#endif
