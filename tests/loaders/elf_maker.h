/* ELF files made in memory, for inputs that no toolchain would make. Header fields can be bent
 * after the fact through elf_ehdr() and elf_shdr(). */
#ifndef JAVM_TEST_ELF_MAKER_H
#define JAVM_TEST_ELF_MAKER_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>

enum { MAKE_MAX = 8, MAKE_RELOCS = 64 };

struct make_section {
    const char *name;
    uint32_t type;
    uint64_t flags, address;
    const void *bytes; /* NULL: zeros in the file, or nothing for NOBITS */
    uint64_t size;
};

/* Symbol 0 is the null symbol; symbol i is symbols[i - 1]. Section numbers are those of the file:
 * section 0 is the null section, section i is sections[i - 1]. */
struct make_symbol {
    const char *name;
    uint16_t section;
    uint64_t value, size;
    uint8_t type;
};

struct make_reloc {
    uint32_t section;
    uint64_t address;
    uint32_t type, symbol;
    int64_t addend;
};

struct elf_recipe {
    struct make_section sections[MAKE_MAX];
    struct make_symbol symbols[MAKE_MAX];
    struct make_reloc relocs[MAKE_RELOCS];
    uint64_t entry;
    uint32_t segment_type, segment_flags; /* one program header when not PT_NULL */
};

/* The recipe's lists end at the first entry without a name / with section 0. malloc'ed; aborts when
 * out of memory. The file's sections are: null, the recipe's, .symtab, .strtab, one .rela for each
 * section that has relocations. */
uint8_t *elf_make(const struct elf_recipe *recipe, size_t *len);
/* A recipe whose .text holds these halfwords/words and whose entry is its beginning. `code` is
 * borrowed. */
struct elf_recipe elf_simple(const void *code, size_t len);
Elf64_Shdr *elf_shdr(uint8_t *file, unsigned section);
static inline Elf64_Ehdr *elf_ehdr(uint8_t *file)
{
    return (Elf64_Ehdr *)file;
}

#endif
