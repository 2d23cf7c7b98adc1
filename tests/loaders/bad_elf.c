/* ELF files that javm-link refuses, one check each. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "loaders/bytes.h"
#include "loaders/elf_read.h"
#include "tests/loaders/bad_inputs.h"
#include "tests/loaders/elf_maker.h"

#define BASE UINT64_C(0x400000)

/* ---- ELF -------------------------------------------------------------------------------- */

/* li a0, 1; nop; ecalli 0 */
static const uint8_t plain[] = {0x05, 0x45, 0x01, 0x00, 0x0B, 0x20, 0x00, 0x00};
static const uint8_t zeros[64];

static struct input made(const struct elf_recipe *recipe)
{
    struct input input;
    input.bytes = elf_make(recipe, &input.len);
    return input;
}

static struct input code(const void *bytes, size_t len)
{
    struct elf_recipe recipe = elf_simple(bytes, len);
    return made(&recipe);
}

#define CODE(name, ...)                               \
    static struct input name(void)                    \
    {                                                 \
        static const uint8_t bytes[] = {__VA_ARGS__}; \
        return code(bytes, sizeof bytes);             \
    }
#define LE32(word) \
    (uint8_t)(word), (uint8_t)((word) >> 8), (uint8_t)((word) >> 16), (uint8_t)((word) >> 24)

static struct elf_recipe good(void)
{
    return elf_simple(plain, sizeof plain);
}

static struct input text_file(void)
{
    struct input input = {
        (uint8_t *)strdup("#include <stdio.h>\nint main(void) { return 0; }\n        "), 0};
    input.len = strlen((char *)input.bytes);
    return input;
}

static struct input cut_file(void)
{
    struct elf_recipe recipe = good();
    struct input input = made(&recipe);
    input.len -= 100;
    return input;
}

/* A good file with one header field changed. */
#define HEADER(name, change)                                                             \
    static struct input name(void)                                                       \
    {                                                                                    \
        struct elf_recipe recipe = good();                                               \
        struct input input = made(&recipe);                                              \
        Elf64_Ehdr *header = elf_ehdr(input.bytes);                                      \
        Elf64_Shdr *text = elf_shdr(input.bytes, 1), *symtab = elf_shdr(input.bytes, 2); \
        (void)header;                                                                    \
        (void)text;                                                                      \
        (void)symtab;                                                                    \
        change;                                                                          \
        return input;                                                                    \
    }

HEADER(elf_32_bits, header->e_ident[EI_CLASS] = ELFCLASS32)
HEADER(elf_machine, header->e_machine = EM_X86_64)
HEADER(elf_object, header->e_type = ET_REL)
HEADER(elf_pie, header->e_type = ET_DYN)
HEADER(elf_not_rve, header->e_flags = 1)
HEADER(elf_float_abi, header->e_flags = 0xD)
HEADER(elf_no_sections, header->e_shnum = header->e_shstrndx = 0; header->e_shoff = 0)
HEADER(elf_names, header->e_shstrndx = 1)
HEADER(elf_section_outside, text->sh_size = 1 << 20)
HEADER(elf_text_elsewhere, text->sh_addr = 0x10000)
HEADER(elf_text_writable, text->sh_flags |= SHF_WRITE)
HEADER(elf_no_text, text->sh_flags = SHF_ALLOC; text->sh_addr = 0x10000000)
HEADER(elf_symbols, symtab->sh_link = 1)
HEADER(elf_entry, header->e_entry = BASE + 6)
HEADER(elf_entry_huge, header->e_entry = UINT64_MAX - 1)
HEADER(elf_sections_huge, header->e_shoff = UINT64_MAX - 63)
HEADER(elf_size_huge, text->sh_size = UINT64_MAX)
HEADER(elf_offset_huge, text->sh_offset = UINT64_MAX - 7)
HEADER(elf_symbols_huge, symtab->sh_offset = UINT64_MAX - 23)

static struct input segment(uint32_t type, uint32_t flags)
{
    struct elf_recipe recipe = good();
    recipe.segment_type = type;
    recipe.segment_flags = flags;
    return made(&recipe);
}

static struct input elf_tls(void)
{
    return segment(PT_TLS, PF_R);
}
static struct input elf_dynamic(void)
{
    return segment(PT_DYNAMIC, PF_R);
}
static struct input elf_wx(void)
{
    return segment(PT_LOAD, PF_W | PF_X);
}

/* A good file with one more section. */
static struct elf_recipe with_section(const char *name, uint32_t type, uint64_t flags,
                                      uint64_t address, const void *bytes, uint64_t size)
{
    struct elf_recipe recipe = good();
    recipe.sections[1] = (struct make_section){name, type, flags, address, bytes, size};
    return recipe;
}

#define SECTION(function, ...)                                \
    static struct input function(void)                        \
    {                                                         \
        struct elf_recipe recipe = with_section(__VA_ARGS__); \
        return made(&recipe);                                 \
    }

SECTION(elf_second_text, ".fast", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 0x410000, plain, 8)
SECTION(elf_low_data, ".rodata", SHT_PROGBITS, SHF_ALLOC, 0x500000, plain, 8)
SECTION(elf_dynsym, ".dynsym", SHT_DYNSYM, SHF_ALLOC, 0x10000000, zeros, 24)
SECTION(elf_tbss, ".tbss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE | SHF_TLS, 0x10000000, NULL, 8)
SECTION(elf_type, ".odd", 0x60000001, SHF_ALLOC, 0x10000000, plain, 8)

SECTION(elf_bss_huge, ".bss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE, 0x10000000, NULL,
        UINT64_MAX - 0xFFFFFFF)
SECTION(elf_data_huge, ".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, UINT64_MAX - 7, plain, 8)

/* The table of headers again at the end of the file, with many more. */
static struct input elf_many_sections(void)
{
    enum { MANY = 1100 };
    struct elf_recipe recipe = good();
    struct input input = made(&recipe);
    size_t at = (input.len + 7) & ~(size_t)7;
    Elf64_Shdr old[4], more = {.sh_type = SHT_NOBITS, .sh_flags = SHF_ALLOC, .sh_size = 1};
    memcpy(old, elf_shdr(input.bytes, 0), sizeof old);
    input.bytes = realloc(input.bytes, at + sizeof old + MANY * sizeof more);
    cr_assert_not_null(input.bytes);
    memcpy(input.bytes + at, old, sizeof old);
    for (unsigned i = 0; i < MANY; i++) {
        more.sh_addr = 0x10000000 + 4096 * (uint64_t)i;
        memcpy(input.bytes + at + sizeof old + i * sizeof more, &more, sizeof more);
    }
    Elf64_Ehdr *header = elf_ehdr(input.bytes);
    header->e_shoff = at;
    header->e_shnum = 4 + MANY;
    input.len = at + sizeof old + MANY * sizeof more;
    return input;
}

/* Two sections whose bytes are the same nearly whole file: together they claim more than there is.
 */
static struct input elf_same_bytes(void)
{
    struct elf_recipe recipe =
        with_section(".rodata", SHT_PROGBITS, SHF_ALLOC, 0x10000000, zeros, sizeof zeros);
    recipe.sections[2] = (struct make_section){".data",    SHT_PROGBITS, SHF_ALLOC | SHF_WRITE,
                                               0x20000000, zeros,        sizeof zeros};
    struct input input = made(&recipe);
    for (unsigned i = 2; i < 4; i++) {
        elf_shdr(input.bytes, i)->sh_offset = 0;
        elf_shdr(input.bytes, i)->sh_size = input.len - 1;
    }
    return input;
}

static struct input two_sections(uint64_t first, uint64_t second, uint64_t second_flags)
{
    struct elf_recipe recipe =
        with_section(".rodata", SHT_PROGBITS, SHF_ALLOC, first, zeros, sizeof zeros);
    recipe.sections[2] = (struct make_section){".data", SHT_PROGBITS, SHF_ALLOC | second_flags,
                                               second,  zeros,        sizeof zeros};
    return made(&recipe);
}

static struct input elf_overlap(void)
{
    return two_sections(0x10000000, 0x10000010, 0);
}
static struct input elf_shared_page(void)
{
    return two_sections(0x10000000, 0x10000800, SHF_WRITE);
}

/* ---- instructions ----------------------------------------------------------------------- */

CODE(code_reserved, 0x05, 0x45, 0x00, 0x84)
CODE(code_float, LE32(0x00B57553))
CODE(code_system, LE32(0x00000073))
CODE(code_atomic, LE32(0x1005252F))
CODE(code_x16, LE32(0x00A80813))
CODE(code_custom, LE32(0x0000010B))
CODE(code_tp, 0x01, 0x00, LE32(0x00022503))
CODE(code_partial, 0x05, 0x45, 0x13, 0x05)
CODE(code_auipc, LE32(0x00000517))
CODE(code_branch, LE32(0x00A58363), LE32(0x00000013), LE32(0x0000200B))

/* A good file with up to two relocations. */
static struct input with_relocs(const void *bytes, size_t len, struct make_reloc a,
                                struct make_reloc b)
{
    struct elf_recipe recipe = elf_simple(bytes, len);
    recipe.symbols[1] = (struct make_symbol){"middle", 1, BASE + 2, 0, STT_NOTYPE};
    recipe.symbols[2] = (struct make_symbol){"data", 2, 0x10000000, 8, STT_OBJECT};
    recipe.sections[1] = (struct make_section){".data",    SHT_PROGBITS, SHF_ALLOC | SHF_WRITE,
                                               0x10000000, zeros,        sizeof zeros};
    recipe.relocs[0] = a;
    recipe.relocs[1] = b;
    return made(&recipe);
}

/* auipc a0, 0; addi a0, a0, 0; ecalli 0 */
static const uint8_t address_code[] = {LE32(0x00000517), LE32(0x00050513), LE32(0x0000200B)};

#define RELOCS(name, ...)                                                  \
    static struct input name(void)                                         \
    {                                                                      \
        const struct make_reloc r[2] = {__VA_ARGS__};                      \
        return with_relocs(address_code, sizeof address_code, r[0], r[1]); \
    }

RELOCS(reloc_got, {1, BASE, RISCV_GOT_HI20, 3, 0})
RELOCS(reloc_tls, {1, BASE, RISCV_TLS_GD_HI20, 3, 0})
RELOCS(reloc_middle, {1, BASE + 2, RISCV_PCREL_HI20, 3, 0})
RELOCS(reloc_wrong_insn, {1, BASE + 4, RISCV_PCREL_HI20, 3, 0})
RELOCS(reloc_twice, {1, BASE, RISCV_PCREL_HI20, 3, 0}, {1, BASE, RISCV_PCREL_HI20, 1, 0})
RELOCS(reloc_low_alone, {1, BASE, RISCV_PCREL_HI20, 3, 0}, {1, BASE + 4, RISCV_PCREL_LO12_I, 2, 0})
RELOCS(reloc_low_addend, {1, BASE, RISCV_PCREL_HI20, 3, 0}, {1, BASE + 4, RISCV_PCREL_LO12_I, 1, 4})
RELOCS(reloc_no_call, {1, BASE, RISCV_CALL, 1, 0})
RELOCS(reloc_call_outside, {1, BASE, RISCV_CALL, 3, 0})
RELOCS(reloc_to_middle, {1, BASE, RISCV_PCREL_HI20, 2, 0})
RELOCS(reloc_leaves, {1, BASE, RISCV_PCREL_HI20, 1, -4})
RELOCS(reloc_half_absolute, {1, BASE, RISCV_PCREL_HI20, 3, 0}, {1, BASE + 4, RISCV_LO12_I, 1, 0})
RELOCS(reloc_outside, {1, BASE + 100, RISCV_PCREL_HI20, 3, 0})
RELOCS(reloc_offset_huge, {1, UINT64_MAX - 3, RISCV_PCREL_HI20, 3, 0})
RELOCS(reloc_low_offset, {1, BASE - 4, RISCV_PCREL_HI20, 3, 0})
RELOCS(reloc_far, {1, BASE, RISCV_PCREL_HI20, 3, INT64_C(0x80000000)})
RELOCS(reloc_addend_huge, {1, BASE, RISCV_PCREL_HI20, 3, INT64_MAX})
RELOCS(reloc_no_symbol, {1, BASE, RISCV_PCREL_HI20, 77, 0})
RELOCS(data_type, {1, BASE, RISCV_PCREL_HI20, 3, 0}, {2, 0x10000000, 57, 1, 0})
RELOCS(data_end, {1, BASE, RISCV_PCREL_HI20, 3, 0}, {2, 0x1000003C, RISCV_64, 1, 0})
RELOCS(data_to_middle, {1, BASE, RISCV_PCREL_HI20, 3, 0}, {2, 0x10000008, RISCV_64, 2, 0})
RELOCS(data_difference, {1, BASE, RISCV_PCREL_HI20, 3, 0}, {2, 0x10000008, RISCV_ADD32, 1, 0})

static struct input reloc_rel(void)
{
    const struct make_reloc none = {0}, high = {1, BASE, RISCV_PCREL_HI20, 3, 0};
    struct input input = with_relocs(address_code, sizeof address_code, high, none);
    elf_shdr(input.bytes, 5)->sh_type = SHT_REL;
    return input;
}

/* A byte holds a difference that is 127 before the marker and 131 behind it. */
static struct input difference_grows(void)
{
    static uint8_t bytes[132];
    static const uint8_t byte[1] = {126};
    for (unsigned i = 0; i < 130; i += 2)
        bytes[i] = 0x01; /* c.nop */
    memcpy(bytes + 128, (const uint8_t[]){LE32(0x0000200B)}, 4);
    struct elf_recipe recipe = elf_simple(bytes, sizeof bytes);
    recipe.symbols[1] = (struct make_symbol){"far", 1, BASE + 126, 0, STT_NOTYPE};
    recipe.sections[1] =
        (struct make_section){".rodata", SHT_PROGBITS, SHF_ALLOC, 0x10000000, byte, 1};
    recipe.relocs[0] = (struct make_reloc){2, 0x10000000, RISCV_ADD8, 2, 0};
    recipe.relocs[1] = (struct make_reloc){2, 0x10000000, RISCV_SUB8, 1, 0};
    return made(&recipe);
}

/* jal over as much as it reaches, to a target that needs a marker. */
static struct input jump_too_far(void)
{
    static uint8_t bytes[1048576 + 4];
    for (size_t i = 4; i < sizeof bytes; i += 2)
        bytes[i] = 0x01; /* c.nop */
    memcpy(bytes, (const uint8_t[]){LE32(0x7FFFF06F)}, 4);
    memcpy(bytes + 1048576, (const uint8_t[]){LE32(0x0000200B)}, 4);
    bytes[1048574] = 0x01;
    return code(bytes, sizeof bytes);
}

/* ---- sections of ours ------------------------------------------------------------------- */

static struct input endpoints(const void *records, size_t size, bool with_reloc)
{
    struct elf_recipe recipe = with_section(".javm.endpoints", SHT_PROGBITS, 0, 0, records, size);
    for (unsigned i = 0; i < size / 16 && with_reloc; i++)
        recipe.relocs[i] = (struct make_reloc){2, i * 16, RISCV_64, 1, 0};
    return made(&recipe);
}

#define ENDPOINTS(name, with_reloc, ...)                       \
    static struct input name(void)                             \
    {                                                          \
        static const uint8_t records[] = {__VA_ARGS__};        \
        return endpoints(records, sizeof records, with_reloc); \
    }
#define RECORD(index, arguments) 0, 0, 0x40, 0, 0, 0, 0, 0, LE32(index), LE32(arguments)

ENDPOINTS(endpoint_size, true, RECORD(0, 1), 1)
ENDPOINTS(endpoint_index, true, RECORD(64, 1))
ENDPOINTS(endpoint_arguments, true, RECORD(3, 5))
ENDPOINTS(endpoint_twice, true, RECORD(3, 1), RECORD(3, 2))
ENDPOINTS(endpoint_no_reloc, false, RECORD(0, 1))

static struct input endpoint_middle(void)
{
    static const uint8_t record[] = {RECORD(5, 1)};
    struct elf_recipe recipe =
        with_section(".javm.endpoints", SHT_PROGBITS, 0, 0, record, sizeof record);
    recipe.relocs[0] = (struct make_reloc){2, 0, RISCV_64, 1, 6};
    return made(&recipe);
}

static struct input endpoint_sections(void)
{
    static const uint8_t record[] = {RECORD(0, 1)};
    struct elf_recipe recipe =
        with_section(".javm.endpoints", SHT_PROGBITS, 0, 0, record, sizeof record);
    recipe.sections[2] = recipe.sections[1];
    recipe.relocs[0] = (struct make_reloc){2, 0, RISCV_64, 1, 0};
    return made(&recipe);
}

static struct input mappings(uint64_t start, uint64_t size, uint8_t depth, uint8_t zero)
{
    uint8_t record[32] = {0};
    put_le(record, start, 8);
    put_le(record + 8, size, 8);
    record[16] = depth;
    record[20] = zero;
    struct elf_recipe recipe = with_section(".javm.mappings", SHT_PROGBITS, 0, 0, record, 32);
    return made(&recipe);
}

static struct input mapping_size(void)
{
    struct elf_recipe recipe = with_section(".javm.mappings", SHT_PROGBITS, 0, 0, zeros, 31);
    return made(&recipe);
}
static struct input mapping_depth(void)
{
    return mappings(0x40000000, 0x1000, 9, 0);
}
static struct input mapping_zero(void)
{
    return mappings(0x40000000, 0x1000, 1, 1);
}
static struct input mapping_page(void)
{
    return mappings(0x40000800, 0x1000, 1, 0);
}
static struct input mapping_low(void)
{
    return mappings(0x00400000, 0x1000, 1, 0);
}
static struct input mapping_stack(void)
{
    return mappings(0xEFFFF000, 0x1000, 1, 0);
}

static struct input mapping_huge(void)
{
    return mappings(0x40000000, UINT64_MAX - 4095, 1, 0);
}
static struct input mapping_wraps(void)
{
    return mappings(UINT64_MAX - 4095, 0x1000, 1, 0);
}
static struct input mapping_empty(void)
{
    return mappings(0x40000000, 0, 1, 0);
}

static struct input mapping_pair(void)
{
    uint8_t records[64] = {0};
    for (unsigned i = 0; i < 2; i++) {
        put_le(records + 32 * i, 0x40000000 + 0x1000 * i, 8);
        put_le(records + 32 * i + 8, 0x2000, 8);
        put_le(records + 32 * i + 16, 1, 1);
    }
    struct elf_recipe recipe =
        with_section(".javm.mappings", SHT_PROGBITS, 0, 0, records, sizeof records);
    return made(&recipe);
}
static struct input mapping_data(void)
{
    uint8_t record[32] = {0};
    put_le(record, 0x10000000, 8);
    put_le(record + 8, 0x1000, 8);
    struct elf_recipe recipe = with_section(".javm.mappings", SHT_PROGBITS, 0, 0, record, 32);
    recipe.sections[2] = (struct make_section){".data",    SHT_PROGBITS, SHF_ALLOC | SHF_WRITE,
                                               0x10000000, zeros,        sizeof zeros};
    return made(&recipe);
}
static struct input data_on_stack(void)
{
    struct elf_recipe recipe =
        with_section(".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 0xEFFFF000, zeros, sizeof zeros);
    return made(&recipe);
}

static struct input heap_symbol(void)
{
    struct elf_recipe recipe = good();
    recipe.symbols[1] =
        (struct make_symbol){"__javm_heap_start", SHN_ABS, 0x20000000, 8, STT_OBJECT};
    return made(&recipe);
}

/* ---- the rows --------------------------------------------------------------------------- */

const struct bad bad_elf[] = {
    {"a C source file", JAVM_E_FORMAT, text_file},
    {"the last 100 bytes are missing", JAVM_E_FORMAT, cut_file},
    {"a 32-bit ELF file", JAVM_E_UNSUPPORTED, elf_32_bits},
    {"a program for x86-64", JAVM_E_UNSUPPORTED, elf_machine},
    {"an object file", JAVM_E_UNSUPPORTED, elf_object},
    {"linked with -pie", JAVM_E_UNSUPPORTED, elf_pie},
    {"compiled for RV64I instead of RV64E", JAVM_E_UNSUPPORTED, elf_not_rve},
    {"compiled with -mabi=lp64d", JAVM_E_UNSUPPORTED, elf_float_abi},
    {"section headers at 2^64 - 64", JAVM_E_FORMAT, elf_sections_huge},
    {"section headers stripped", JAVM_E_FORMAT, elf_no_sections},
    {"section name table is not one", JAVM_E_FORMAT, elf_names},
    {"symbol table without names", JAVM_E_FORMAT, elf_symbols},
    {".text reaches past the end of the file", JAVM_E_FORMAT, elf_section_outside},
    {".text of 2^64 - 1 bytes", JAVM_E_FORMAT, elf_size_huge},
    {".text at byte 2^64 - 8 of the file", JAVM_E_FORMAT, elf_offset_huge},
    {"symbol table at byte 2^64 - 24 of the file", JAVM_E_FORMAT, elf_symbols_huge},
    {"linked without the link script: .text at 0x10000", JAVM_E_UNSUPPORTED, elf_text_elsewhere},
    {"a second executable section", JAVM_E_UNSUPPORTED, elf_second_text},
    {".text is writable", JAVM_E_UNSUPPORTED, elf_text_writable},
    {"a writable and executable segment", JAVM_E_UNSUPPORTED, elf_wx},
    {"no executable section", JAVM_E_FORMAT, elf_no_text},
    {"thread-local variables (segment)", JAVM_E_UNSUPPORTED, elf_tls},
    {"thread-local variables (section)", JAVM_E_UNSUPPORTED, elf_tbss},
    {"dynamically linked (segment)", JAVM_E_UNSUPPORTED, elf_dynamic},
    {"dynamically linked (section)", JAVM_E_UNSUPPORTED, elf_dynsym},
    {"data below 0x10000000", JAVM_E_RANGE, elf_low_data},
    {".data at 2^64 - 8", JAVM_E_RANGE, elf_data_huge},
    {".bss that ends at 2^64", JAVM_E_RANGE, elf_bss_huge},
    {"1100 data sections", JAVM_E_LIMIT, elf_many_sections},
    {"two data sections that both claim the whole file", JAVM_E_FORMAT, elf_same_bytes},
    {"an allocated section of unknown type", JAVM_E_UNSUPPORTED, elf_type},
    {"two sections at the same address", JAVM_E_FORMAT, elf_overlap},
    {"constants and variables on one page", JAVM_E_UNSUPPORTED, elf_shared_page},
    {"entry in the middle of an instruction", JAVM_E_FORMAT, elf_entry},
    {"entry at 2^64 - 2", JAVM_E_FORMAT, elf_entry_huge},
    {"a compressed encoding that does not exist", JAVM_E_FORMAT, code_reserved},
    {"a floating-point instruction", JAVM_E_FORMAT, code_float},
    {"ecall", JAVM_E_FORMAT, code_system},
    {"an atomic instruction", JAVM_E_FORMAT, code_atomic},
    {"a register above x15", JAVM_E_FORMAT, code_x16},
    {"custom-0 with a register field set", JAVM_E_FORMAT, code_custom},
    {"the thread pointer is used", JAVM_E_UNSUPPORTED, code_tp},
    {"half an instruction at the end", JAVM_E_FORMAT, code_partial},
    {"compiled with -mno-relax, or linked without --emit-relocs", JAVM_E_FORMAT, code_auipc},
    {"a branch into the middle of an instruction", JAVM_E_FORMAT, code_branch},
    {"a jump over 1 MiB", JAVM_E_LIMIT, jump_too_far},
    {"compiled with -fPIC", JAVM_E_UNSUPPORTED, reloc_got},
    {"a thread-local variable's relocation", JAVM_E_UNSUPPORTED, reloc_tls},
    {"a relocation between instructions", JAVM_E_FORMAT, reloc_middle},
    {"PCREL_HI20 on something else than auipc", JAVM_E_FORMAT, reloc_wrong_insn},
    {"two relocations on one auipc", JAVM_E_FORMAT, reloc_twice},
    {"PCREL_LO12 whose symbol is no auipc", JAVM_E_FORMAT, reloc_low_alone},
    {"PCREL_LO12 with an addend", JAVM_E_FORMAT, reloc_low_addend},
    {"CALL on auipc without jalr", JAVM_E_FORMAT, reloc_no_call},
    {"a call into data", JAVM_E_FORMAT, reloc_call_outside},
    {"the address of the middle of an instruction", JAVM_E_FORMAT, reloc_to_middle},
    {"an address before .text, by a symbol of .text", JAVM_E_FORMAT, reloc_leaves},
    {"LO12 of a function without its HI20", JAVM_E_FORMAT, reloc_half_absolute},
    {"a relocation outside its section", JAVM_E_FORMAT, reloc_outside},
    {"a relocation before its section", JAVM_E_FORMAT, reloc_low_offset},
    {"a relocation at 2^64 - 4", JAVM_E_FORMAT, reloc_offset_huge},
    {"an address more than 2 GiB away", JAVM_E_LIMIT, reloc_far},
    {"an address that wraps past 2^63", JAVM_E_LIMIT, reloc_addend_huge},
    {"a relocation with a symbol that does not exist", JAVM_E_FORMAT, reloc_no_symbol},
    {"relocations without addends", JAVM_E_UNSUPPORTED, reloc_rel},
    {"a relocation in data that the linker does not know", JAVM_E_UNSUPPORTED, data_type},
    {"a pointer that reaches past its section", JAVM_E_FORMAT, data_end},
    {"a pointer to the middle of an instruction", JAVM_E_FORMAT, data_to_middle},
    {"ADD32 over bytes that are something else", JAVM_E_FORMAT, data_difference},
    {"a jump table of bytes, too narrow once markers are in", JAVM_E_LIMIT, difference_grows},
    {".javm.endpoints with a partial record", JAVM_E_FORMAT, endpoint_size},
    {"endpoint index 64", JAVM_E_RANGE, endpoint_index},
    {"an endpoint with 5 arguments", JAVM_E_RANGE, endpoint_arguments},
    {"the same endpoint twice", JAVM_E_FORMAT, endpoint_twice},
    {"an endpoint whose relocation is missing", JAVM_E_FORMAT, endpoint_no_reloc},
    {"an endpoint in the middle of an instruction", JAVM_E_FORMAT, endpoint_middle},
    {"two sections named .javm.endpoints", JAVM_E_FORMAT, endpoint_sections},
    {".javm.mappings with a partial record", JAVM_E_FORMAT, mapping_size},
    {"a mapping with a path of 9 keys", JAVM_E_FORMAT, mapping_depth},
    {"a mapping with padding that is not zero", JAVM_E_FORMAT, mapping_zero},
    {"a mapping that does not begin on a page", JAVM_E_RANGE, mapping_page},
    {"a mapping over the code", JAVM_E_RANGE, mapping_low},
    {"a mapping of no bytes", JAVM_E_RANGE, mapping_empty},
    {"a mapping of 2^64 - 4096 bytes", JAVM_E_RANGE, mapping_huge},
    {"a mapping at 2^64 - 4096", JAVM_E_RANGE, mapping_wraps},
    {"a mapping over the stack", JAVM_E_RANGE, mapping_stack},
    {"a mapping over .data", JAVM_E_RANGE, mapping_data},
    {"two mappings that overlap", JAVM_E_RANGE, mapping_pair},
    {".data where the stack goes", JAVM_E_RANGE, data_on_stack},
    {"__javm_heap_start outside the data", JAVM_E_FORMAT, heap_symbol},
};
const unsigned bad_elf_count = sizeof bad_elf / sizeof *bad_elf;
