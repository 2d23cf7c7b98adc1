/* A linked guest ELF, checked and taken apart: what the relinker needs of it and nothing else.
 *
 * Everything that can be refused without looking at instructions is refused here (spec: guest
 * toolchain, 4, "Read"). */
#ifndef JAVM_LOADERS_ELF_READ_H
#define JAVM_LOADERS_ELF_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "javm/status.h"

/* An allocated section, or one of ours. Bytes and name are borrowed from the file. */
struct elf_section {
    const char *name;
    uint32_t index; /* section header number */
    uint64_t start, size;
    const uint8_t *bytes; /* NULL: zeros (.bss) */
    bool writable;
};

struct elf_reloc {
    uint32_t section; /* header number of the section that it changes */
    uint32_t type;
    uint64_t offset; /* within that section */
    uint64_t target; /* symbol value + addend */
    uint64_t symbol; /* symbol value alone: the auipc, for PCREL_LO12 */
    bool in_text;    /* the symbol is defined in .text */
    bool weak_undefined;
};

struct elf_function {
    uint64_t start, size;
    const char *name; /* borrowed from the file */
};

struct elf_input {
    const uint8_t *file; /* borrowed */
    size_t len;
    uint64_t entry;
    struct elf_section text;
    struct elf_section *data; /* allocated, not executable, size > 0; ascending start; owned */
    uint32_t data_count;
    struct elf_section endpoints, mappings; /* bytes NULL: not there */
    struct elf_reloc *relocs;               /* by section, then offset; owned */
    size_t reloc_count;
    struct elf_function *functions; /* ascending start; of .text; owned */
    uint32_t function_count;
    /* Where the runtime wants to be told about the heap; 0: it does not. Both are 8 bytes inside a
     * data section. */
    uint64_t heap_start_at, heap_end_at;
};

/* The ones that the linker knows; all others are refused where they matter. */
enum riscv_reloc {
    RISCV_NONE = 0,
    RISCV_32 = 1,
    RISCV_64 = 2,
    RISCV_BRANCH = 16,
    RISCV_JAL = 17,
    RISCV_CALL = 18,
    RISCV_CALL_PLT = 19,
    RISCV_GOT_HI20 = 20,
    RISCV_TLS_GOT_HI20 = 21,
    RISCV_TLS_GD_HI20 = 22,
    RISCV_PCREL_HI20 = 23,
    RISCV_PCREL_LO12_I = 24,
    RISCV_PCREL_LO12_S = 25,
    RISCV_HI20 = 26,
    RISCV_LO12_I = 27,
    RISCV_LO12_S = 28,
    RISCV_TPREL_HI20 = 29,
    RISCV_TPREL_ADD = 32,
    RISCV_ADD8 = 33,
    RISCV_ADD16 = 34,
    RISCV_ADD32 = 35,
    RISCV_ADD64 = 36,
    RISCV_SUB8 = 37,
    RISCV_SUB16 = 38,
    RISCV_SUB32 = 39,
    RISCV_SUB64 = 40,
    RISCV_ALIGN = 43,
    RISCV_RVC_BRANCH = 44,
    RISCV_RVC_JUMP = 45,
    RISCV_RVC_LUI = 46,
    RISCV_RELAX = 51
};

/* `elf` is borrowed for the life of *input. */
enum javm_status elf_input_read(const uint8_t *elf, size_t len, struct elf_input *input,
                                struct javm_error *err);
void elf_input_free(struct elf_input *input);

/* So many bytes of a name are shown at most; they hold no control characters. */
#define ELF_NAME_SHOWN 255
/* "guest_main+0x12 (.text+0x3a)": where an offset of .text is, for messages. */
#define ELF_WHERE      120
void elf_where(const struct elf_input *input, uint64_t offset, char text[ELF_WHERE]);
/* The section of `data` that holds [address, address + len), or NULL. */
const struct elf_section *elf_data_at(const struct elf_input *input, uint64_t address,
                                      uint64_t len);

#endif
