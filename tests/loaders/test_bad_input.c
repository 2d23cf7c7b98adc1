/* Inputs that are wrong in one way each, and the message that each gives; docs/bad-input-files.md is the list that users
 * read, and must be what this program makes. Catches: a check that is gone, a check that is shadowed by another, a message that
 * changed or points elsewhere than the documentation says.
 *
 * With JAVM_UPDATE_DOCS=1 in the environment the table in the document is written anew, to be read before it is committed. */
#include <criterion/criterion.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "loaders/bytes.h"
#include "loaders/elf_read.h"
#include "tests/loaders/bundle_maker.h"
#include "tests/loaders/elf_maker.h"
#include "tests/loaders/run_image.h"

#define BASE UINT64_C(0x400000)

struct input {
    uint8_t *bytes; /* owned */
    size_t len;
};

struct bad {
    const char *what;
    enum javm_status status;
    struct input (*make)(void);
};

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

#define CODE(name, ...)                                                                            \
    static struct input name(void)                                                                 \
    {                                                                                              \
        static const uint8_t bytes[] = {__VA_ARGS__};                                              \
        return code(bytes, sizeof bytes);                                                          \
    }
#define LE32(word) (uint8_t)(word), (uint8_t)((word) >> 8), (uint8_t)((word) >> 16), (uint8_t)((word) >> 24)

static struct elf_recipe good(void)
{
    return elf_simple(plain, sizeof plain);
}

static struct input text_file(void)
{
    struct input input = {(uint8_t *)strdup("#include <stdio.h>\nint main(void) { return 0; }\n        "), 0};
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
#define HEADER(name, change)                                                                       \
    static struct input name(void)                                                                 \
    {                                                                                              \
        struct elf_recipe recipe = good();                                                         \
        struct input input = made(&recipe);                                                        \
        Elf64_Ehdr *header = elf_ehdr(input.bytes);                                                \
        Elf64_Shdr *text = elf_shdr(input.bytes, 1), *symtab = elf_shdr(input.bytes, 2);           \
        (void)header;                                                                              \
        (void)text;                                                                                \
        (void)symtab;                                                                              \
        change;                                                                                    \
        return input;                                                                              \
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
HEADER(elf_entry, header->e_entry = BASE + 1)

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

#define SECTION(function, ...)                                                                     \
    static struct input function(void)                                                             \
    {                                                                                              \
        struct elf_recipe recipe = with_section(__VA_ARGS__);                                      \
        return made(&recipe);                                                                      \
    }

SECTION(elf_second_text, ".fast", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 0x410000, plain, 8)
SECTION(elf_low_data, ".rodata", SHT_PROGBITS, SHF_ALLOC, 0x500000, plain, 8)
SECTION(elf_dynsym, ".dynsym", SHT_DYNSYM, SHF_ALLOC, 0x10000000, zeros, 24)
SECTION(elf_tbss, ".tbss", SHT_NOBITS, SHF_ALLOC | SHF_WRITE | SHF_TLS, 0x10000000, NULL, 8)
SECTION(elf_type, ".odd", 0x60000001, SHF_ALLOC, 0x10000000, plain, 8)

static struct input two_sections(uint64_t first, uint64_t second, uint64_t second_flags)
{
    struct elf_recipe recipe =
        with_section(".rodata", SHT_PROGBITS, SHF_ALLOC, first, zeros, sizeof zeros);
    recipe.sections[2] = (struct make_section){
        ".data", SHT_PROGBITS, SHF_ALLOC | second_flags, second, zeros, sizeof zeros};
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
    recipe.sections[1] = (struct make_section){
        ".data", SHT_PROGBITS, SHF_ALLOC | SHF_WRITE, 0x10000000, zeros, sizeof zeros};
    recipe.relocs[0] = a;
    recipe.relocs[1] = b;
    return made(&recipe);
}

/* auipc a0, 0; addi a0, a0, 0; ecalli 0 */
static const uint8_t address_code[] = {LE32(0x00000517), LE32(0x00050513), LE32(0x0000200B)};

#define RELOCS(name, ...)                                                                          \
    static struct input name(void)                                                                 \
    {                                                                                              \
        const struct make_reloc r[2] = {__VA_ARGS__};                                              \
        return with_relocs(address_code, sizeof address_code, r[0], r[1]);                         \
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

#define ENDPOINTS(name, with_reloc, ...)                                                           \
    static struct input name(void)                                                                 \
    {                                                                                              \
        static const uint8_t records[] = {__VA_ARGS__};                                            \
        return endpoints(records, sizeof records, with_reloc);                                     \
    }
#define RECORD(index, arguments) 0, 0, 0x40, 0, 0, 0, 0, 0, LE32(index), LE32(arguments)

ENDPOINTS(endpoint_size, true, RECORD(0, 1), 1)
ENDPOINTS(endpoint_index, true, RECORD(64, 1))
ENDPOINTS(endpoint_arguments, true, RECORD(3, 5))
ENDPOINTS(endpoint_twice, true, RECORD(3, 1), RECORD(3, 2))
ENDPOINTS(endpoint_no_reloc, false, RECORD(0, 1))

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

static struct input heap_symbol(void)
{
    struct elf_recipe recipe = good();
    recipe.symbols[1] = (struct make_symbol){"__javm_heap_start", SHN_ABS, 0x20000000, 8, STT_OBJECT};
    return made(&recipe);
}

static const struct bad bad_elf[] = {
    {"a C source file", JAVM_E_FORMAT, text_file},
    {"the last 100 bytes are missing", JAVM_E_FORMAT, cut_file},
    {"a 32-bit ELF file", JAVM_E_UNSUPPORTED, elf_32_bits},
    {"a program for x86-64", JAVM_E_UNSUPPORTED, elf_machine},
    {"an object file", JAVM_E_UNSUPPORTED, elf_object},
    {"linked with -pie", JAVM_E_UNSUPPORTED, elf_pie},
    {"compiled for RV64I instead of RV64E", JAVM_E_UNSUPPORTED, elf_not_rve},
    {"compiled with -mabi=lp64d", JAVM_E_UNSUPPORTED, elf_float_abi},
    {"section headers stripped", JAVM_E_FORMAT, elf_no_sections},
    {"section name table is not one", JAVM_E_FORMAT, elf_names},
    {"symbol table without names", JAVM_E_FORMAT, elf_symbols},
    {".text reaches past the end of the file", JAVM_E_FORMAT, elf_section_outside},
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
    {"an allocated section of unknown type", JAVM_E_UNSUPPORTED, elf_type},
    {"two sections at the same address", JAVM_E_FORMAT, elf_overlap},
    {"constants and variables on one page", JAVM_E_UNSUPPORTED, elf_shared_page},
    {"entry in the middle of an instruction", JAVM_E_FORMAT, elf_entry},
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
    {".javm.mappings with a partial record", JAVM_E_FORMAT, mapping_size},
    {"a mapping with a path of 9 keys", JAVM_E_FORMAT, mapping_depth},
    {"a mapping with padding that is not zero", JAVM_E_FORMAT, mapping_zero},
    {"a mapping that does not begin on a page", JAVM_E_RANGE, mapping_page},
    {"a mapping over the code", JAVM_E_RANGE, mapping_low},
    {"a mapping over the stack", JAVM_E_RANGE, mapping_stack},
    {"__javm_heap_start outside the data", JAVM_E_FORMAT, heap_symbol},
};

/* ---- bundles ---------------------------------------------------------------------------- */

static struct input finished(struct raw raw)
{
    raw_finish(&raw);
    return (struct input){raw.bytes, raw.len};
}

static struct input one_cap(unsigned kind, const void *body, size_t len)
{
    struct raw raw = raw_bundle(1, 0);
    raw_cap(&raw, kind, body, len);
    return finished(raw);
}

static struct input bundle_changed(size_t at, uint8_t byte, bool repair)
{
    struct javm_bundle bundle = bundle_rich(4);
    struct input input;
    input.bytes = bundle_bytes(&bundle, &input.len);
    javm_bundle_clear(&bundle);
    input.bytes[at] = byte;
    if (repair)
        bundle_fix_checksum(input.bytes, input.len);
    return input;
}

static struct input bundle_text_mode(void)
{
    struct input input = bundle_changed(0, 'J', false);
    memmove(input.bytes + 4, input.bytes + 5, input.len - 5); /* the CR is gone */
    input.len--;
    return input;
}
static struct input bundle_short(void)
{
    struct input input = bundle_changed(0, 'J', false);
    input.len = 40;
    return input;
}
static struct input bundle_cut(void)
{
    struct input input = bundle_changed(0, 'J', false);
    input.len -= 1;
    return input;
}
static struct input bundle_damaged(void)
{
    return bundle_changed(300, 0x77, false);
}
static struct input bundle_version(void)
{
    return bundle_changed(8, 2, false);
}
static struct input bundle_zero_field(void)
{
    return bundle_changed(20, 1, true);
}
static struct input bundle_many_caps(void)
{
    return bundle_changed(14, 0xFF, true);
}
static struct input bundle_many_roots(void)
{
    return bundle_changed(18, 0xFF, true);
}
static struct input bundle_kind(void)
{
    return one_cap(9, zeros, 4);
}
static struct input bundle_body(void)
{
    struct raw raw = raw_bundle(1, 0);
    raw_le(&raw, JAVM_CNODE, 1);
    raw_le(&raw, 1000, 8);
    raw_le(&raw, 0, 4);
    return finished(raw);
}
static struct input bundle_body_long(void)
{
    return one_cap(JAVM_CNODE, zeros, 7);
}
static struct input bundle_after(void)
{
    struct raw raw = raw_bundle(0, 0);
    raw_le(&raw, 0, 5);
    return finished(raw);
}

static struct input data(uint64_t size, uint32_t stored, const uint32_t *pages, uint8_t fill)
{
    static uint8_t page[JAVM_PAGE_SIZE];
    memset(page, fill, sizeof page);
    struct raw body = {0};
    raw_le(&body, size, 8);
    raw_le(&body, stored, 4);
    for (uint32_t i = 0; pages != NULL && i < stored; i++) {
        raw_le(&body, pages[i], 4);
        raw_put(&body, page, sizeof page);
    }
    struct input input = one_cap(JAVM_DATA, body.bytes, body.len);
    free(body.bytes);
    return input;
}

static struct input data_odd(void)
{
    return data(4097, 0, NULL, 0);
}
static struct input data_huge(void)
{
    return data(UINT64_C(0x100001000), 0, NULL, 0);
}
static struct input data_stored(void)
{
    return data(8192, 2, NULL, 0);
}
static struct input data_order(void)
{
    return data(16384, 2, (const uint32_t[]){2, 1}, 1);
}
static struct input data_past(void)
{
    return data(8192, 1, (const uint32_t[]){2}, 1);
}
static struct input data_zero(void)
{
    return data(8192, 1, (const uint32_t[]){1}, 0);
}

static struct input cnode(const uint8_t *slots, size_t len, uint32_t count)
{
    struct raw body = {0};
    raw_le(&body, count, 4);
    raw_put(&body, slots, len);
    struct input input = one_cap(JAVM_CNODE, body.bytes, body.len);
    free(body.bytes);
    return input;
}

static struct input cnode_short(void)
{
    return cnode(zeros, 3, 5);
}
static struct input cnode_empty_key(void)
{
    return cnode(zeros, 33, 1);
}
static struct input cnode_long_key(void)
{
    static const uint8_t slot[42] = {9};
    return cnode(slot, sizeof slot, 1);
}
static struct input cnode_order(void)
{
    static const uint8_t slots[68] = {[0] = 1, [1] = 7, [2] = 1, [34] = 1, [35] = 7, [36] = 1};
    return cnode(slots, sizeof slots, 2);
}
static struct input cnode_zero_hash(void)
{
    static const uint8_t slot[34] = {1, 7};
    return cnode(slot, sizeof slot, 1);
}
static struct input cnode_missing(void)
{
    static const uint8_t slot[34] = {1, 7, 0xAB};
    return cnode(slot, sizeof slot, 1);
}
static struct input type_short(void)
{
    return one_cap(JAVM_TYPE, zeros, 31);
}

static struct input instance(uint8_t status, uint8_t key_len)
{
    struct raw body = {0};
    for (unsigned i = 0; i < 96 + 120 + 16; i += 8)
        raw_le(&body, 0, 8);
    raw_le(&body, status, 1);
    raw_le(&body, key_len, 1);
    for (unsigned i = 0; i < key_len; i++)
        raw_le(&body, 5, 1);
    raw_le(&body, 0, 8);
    raw_le(&body, 0, 4);
    struct input input = one_cap(JAVM_INSTANCE, body.bytes, body.len);
    free(body.bytes);
    return input;
}
static struct input instance_status(void)
{
    return instance(3, 0);
}
static struct input instance_key(void)
{
    return instance(0, 2);
}
static struct input instance_short(void)
{
    return one_cap(JAVM_INSTANCE, zeros, 50);
}

/* The encoding of an image with a Type in a slot of the given list, behind that Type. */
static struct input image_with_type(bool pinned)
{
    struct javm_hash hash;
    struct javm_cap *type = javm_type_new(&(struct javm_hash){{1}}), *image;
    cr_assert_eq(javm_cap_hash(type, &hash), JAVM_OK);
    const struct javm_pin pin = {{1, {4}}, hash};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2,
                                      .pinned = &pin,
                                      .pinned_count = pinned,
                                      .initial = &pin,
                                      .initial_count = !pinned};
    struct javm_error err;
    cr_assert_eq(javm_image_new(&fields, &image, &err), JAVM_OK, "%s", err.text);
    uint8_t *bytes;
    size_t len;
    cr_assert_eq(javm_image_encode(image, &bytes, &len), JAVM_OK);
    struct raw raw = raw_bundle(2, 0);
    raw_cap(&raw, JAVM_TYPE, javm_type_chain(type), 32);
    raw_cap(&raw, JAVM_IMAGE, bytes, len);
    free(bytes);
    javm_cap_release(type);
    javm_cap_release(image);
    return finished(raw);
}
static struct input image_pinned_type(void)
{
    return image_with_type(true);
}
static struct input image_initial_type(void)
{
    return image_with_type(false);
}

/* An image with two mappings, changed in its encoded form. */
static struct input image_changed(size_t cut, size_t from_end, uint8_t byte)
{
    const struct javm_mapping maps[] = {{.start = 0x10000000, .size = 0x1000},
                                        {.start = 0x10001000, .size = 0x1000}};
    const struct javm_image fields = {.isa = JAVM_ISA_PVM2, .mappings = maps, .mapping_count = 2};
    struct javm_cap *image;
    struct javm_error err;
    cr_assert_eq(javm_image_new(&fields, &image, &err), JAVM_OK, "%s", err.text);
    uint8_t *bytes;
    size_t len;
    cr_assert_eq(javm_image_encode(image, &bytes, &len), JAVM_OK);
    if (from_end != 0)
        bytes[len - from_end] = byte;
    struct input input = one_cap(JAVM_IMAGE, bytes, len - cut);
    free(bytes);
    javm_cap_release(image);
    return input;
}

/* The encoding ends with pinned 4, initial 4, gas 4, quota 4, receiver 1; a mapping has 17 bytes and an ephemeral source. */
enum { IMAGE_TAIL = 17, MAPPING_BYTES = 17 };

static struct input image_cut(void)
{
    return image_changed(3, 0, 0);
}
static struct input image_overlap(void)
{
    return image_changed(0, IMAGE_TAIL + MAPPING_BYTES - 1, 0x08); /* the second begins at 0x10000800 */
}
static struct input image_unordered(void)
{
    return image_changed(0, IMAGE_TAIL + MAPPING_BYTES - 1, 0x00); /* at 0x10000000 */
}

static struct input root(const char *name, size_t name_len, uint32_t cap, const char *second)
{
    struct raw raw = raw_bundle(1, second == NULL ? 1 : 2);
    raw_cap(&raw, JAVM_CNODE, zeros, 4);
    raw_le(&raw, name_len, 1);
    raw_put(&raw, name, name_len);
    raw_le(&raw, cap, 4);
    if (second != NULL) {
        raw_le(&raw, strlen(second), 1);
        raw_put(&raw, second, strlen(second));
        raw_le(&raw, 0, 4);
    }
    return finished(raw);
}
static struct input root_empty(void)
{
    return root("", 0, 0, "x");
}
static struct input root_utf8(void)
{
    return root("a\xFF", 2, 0, NULL);
}
static struct input root_cap_number(void)
{
    return root("image", 5, 1, NULL);
}
static struct input root_order(void)
{
    return root("image", 5, 0, "image");
}

static const struct bad bad_bundles[] = {
    {"copied in text mode", JAVM_E_FORMAT, bundle_text_mode},
    {"only the first 40 bytes", JAVM_E_FORMAT, bundle_short},
    {"the last byte is missing", JAVM_E_FORMAT, bundle_cut},
    {"one byte is damaged", JAVM_E_FORMAT, bundle_damaged},
    {"format version 2", JAVM_E_UNSUPPORTED, bundle_version},
    {"the reserved header field is used", JAVM_E_FORMAT, bundle_zero_field},
    {"16 million caps in a small file", JAVM_E_FORMAT, bundle_many_caps},
    {"16 million roots in a small file", JAVM_E_FORMAT, bundle_many_roots},
    {"a cap of kind 9", JAVM_E_FORMAT, bundle_kind},
    {"a body longer than the file", JAVM_E_FORMAT, bundle_body},
    {"a body longer than its content", JAVM_E_FORMAT, bundle_body_long},
    {"bytes after the last root", JAVM_E_FORMAT, bundle_after},
    {"Data of 4097 bytes", JAVM_E_FORMAT, data_odd},
    {"Data of more than 4 GiB", JAVM_E_FORMAT, data_huge},
    {"Data that ends before its pages", JAVM_E_FORMAT, data_stored},
    {"Data with pages out of order", JAVM_E_FORMAT, data_order},
    {"Data with a page past its size", JAVM_E_FORMAT, data_past},
    {"Data with a zero page stored", JAVM_E_FORMAT, data_zero},
    {"CNode that ends inside a slot", JAVM_E_FORMAT, cnode_short},
    {"CNode with an empty key", JAVM_E_FORMAT, cnode_empty_key},
    {"CNode with a key of 9 bytes", JAVM_E_FORMAT, cnode_long_key},
    {"CNode with the same key twice", JAVM_E_FORMAT, cnode_order},
    {"CNode with a zero hash", JAVM_E_FORMAT, cnode_zero_hash},
    {"CNode that names a cap which is not there", JAVM_E_FORMAT, cnode_missing},
    {"Type of 31 bytes", JAVM_E_FORMAT, type_short},
    {"Instance that ends inside its hashes", JAVM_E_FORMAT, instance_short},
    {"Instance with status 3", JAVM_E_FORMAT, instance_status},
    {"Instance that is Idle and has a yield key", JAVM_E_FORMAT, instance_key},
    {"Image that ends early", JAVM_E_FORMAT, image_cut},
    {"Image with a mapping that does not begin on a page", JAVM_E_FORMAT, image_overlap},
    {"Image with two mappings at one address", JAVM_E_FORMAT, image_unordered},
    {"Image with a Type pinned", JAVM_E_FORMAT, image_pinned_type},
    {"Image with a Type as first content", JAVM_E_FORMAT, image_initial_type},
    {"a root without a name", JAVM_E_FORMAT, root_empty},
    {"a root whose name is not UTF-8", JAVM_E_FORMAT, root_utf8},
    {"a root with a cap number past the end", JAVM_E_FORMAT, root_cap_number},
    {"the same root twice", JAVM_E_FORMAT, root_order},
};

/* ---- the table -------------------------------------------------------------------------- */

static void check(const struct bad *bad, struct writer *table)
{
    struct input input = bad->make();
    /* exactly as long as the input, so that a sanitizer sees every read past the end */
    uint8_t *exact = malloc(input.len);
    cr_assert_not_null(exact);
    memcpy(exact, input.bytes, input.len);
    struct javm_bundle bundle;
    struct javm_error err = {0};
    enum javm_status status = javm_file_sniff(exact, input.len) == JAVM_FILE_ELF
                                  ? javm_link_elf(exact, input.len, NULL, &bundle, NULL, &err)
                                  : javm_load(exact, input.len, &bundle, &err);
    cr_expect_eq(status, bad->status, "%s: %s, %s", bad->what, javm_status_name(status), err.text);
    cr_expect(status == err.status && bundle.cap_count == 0 && bundle.caps == NULL);
    cr_expect_null(strchr(err.text, '\n'));
    writer_text(table, "| %s | %s | %s |\n", bad->what, javm_status_name(status), err.text);
    free(exact);
    free(input.bytes);
}

static const char begin[] = "<!-- loaders: this part is written by tests/loaders/test_bad_input.c -->\n";
static const char end[] = "<!-- loaders: end -->\n";

static void make_table(struct writer *table)
{
    writer_text(table, "\n## Linked ELF files\n\n| input | status | message |\n|---|---|---|\n");
    for (unsigned i = 0; i < sizeof bad_elf / sizeof *bad_elf; i++)
        check(&bad_elf[i], table);
    writer_text(table, "\n## Bundles and images\n\n| input | status | message |\n|---|---|---|\n");
    for (unsigned i = 0; i < sizeof bad_bundles / sizeof *bad_bundles; i++)
        check(&bad_bundles[i], table);
    writer_text(table, "\n");
    cr_assert(!table->failed);
}

static void update(const char *text, const char *from, const char *to, const struct writer *table)
{
    struct writer out = {0};
    struct javm_error err;
    writer_put(&out, text, (size_t)(from - text));
    writer_put(&out, table->bytes, table->len);
    writer_put(&out, to, strlen(to));
    cr_assert(!out.failed);
    cr_assert_eq(javm_file_write(BAD_INPUT_DOC, out.bytes, out.len, &err), JAVM_OK, "%s", err.text);
    writer_free(&out);
}

Test(bad_input, the_document_is_true)
{
    struct writer table = {0}, file = {0};
    uint8_t *bytes;
    size_t len;
    struct javm_error err;
    make_table(&table);
    cr_assert_eq(javm_file_read(BAD_INPUT_DOC, 0, &bytes, &len, &err), JAVM_OK, "%s", err.text);
    writer_put(&file, bytes, len); /* NUL-terminated */
    char *text = (char *)file.bytes;
    char *from = strstr(text, begin), *to = strstr(text, end);
    cr_assert(from != NULL && to != NULL && from < to, "the marks are gone from " BAD_INPUT_DOC);
    from += strlen(begin);
    if (getenv("JAVM_UPDATE_DOCS") != NULL)
        update(text, from, to, &table);
    else {
        size_t n = (size_t)(to - from), same = 0;
        while (same < n && same < table.len && from[same] == (char)table.bytes[same])
            same++;
        size_t line = same;
        while (line > 0 && table.bytes[line - 1] != '\n')
            line--;
        cr_expect(n == table.len && same == n, "the document says\n%.*s\nbut this is\n%.*s",
                  (int)strcspn(from + line, "\n"), from + line,
                  (int)strcspn((char *)table.bytes + line, "\n"), (char *)table.bytes + line);
    }
    free(bytes);
    writer_free(&table);
    writer_free(&file);
}

/* Nothing in the bytes tells a damaged bundle from one that was cut short. */
static bool is_again(unsigned row)
{
    unsigned first = sizeof bad_elf / sizeof *bad_elf;
    return row >= first && bad_bundles[row - first].make == bundle_damaged;
}

/* Two inputs with the same message would mean that one of the two checks is never reached. */
Test(bad_input, messages_differ)
{
    struct writer table = {0};
    make_table(&table);
    char *lines[256];
    unsigned count = 0;
    for (char *line = strtok((char *)table.bytes, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *bar = line[0] == '|' ? strchr(line + 1, '|') : NULL;
        if (bar != NULL && strstr(bar, "---") == NULL && strstr(bar, "| message |") == NULL)
            lines[count++] = bar;
    }
    cr_assert_eq(count,
                 sizeof bad_elf / sizeof *bad_elf + sizeof bad_bundles / sizeof *bad_bundles);
    for (unsigned i = 0; i < count; i++) {
        bool again = false;
        for (unsigned k = 0; k < i; k++)
            again = again || strcmp(lines[i], lines[k]) == 0;
        cr_expect_eq(again, is_again(i), "row %u: %s", i, lines[i]);
    }
    writer_free(&table);
}

/* The prebuilt files that a compiler made, each wrong in the way its name says. */
Test(bad_input, compiled_files)
{
    static const struct {
        const char *file, *text;
    } cases[] = {
        {"refuse_tls.elf", "thread-local storage"},
        {"refuse_gp.elf", "_start+0x2 (.text+0x2): \"addi x3, x10, 3\" uses x3 (gp)"},
        {"refuse_float.elf", "_start+0x2 (.text+0x2): reserved encoding 0x00b57553 (a floating-point"},
        {"refuse_norelax.elf", "auipc without a relocation: compile every object with -mrelax"},
    };
    for (unsigned i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct javm_bundle bundle;
        struct javm_error err = {0};
        size_t len;
        uint8_t *bytes = read_elf(cases[i].file, &len);
        cr_expect_neq(javm_link_elf(bytes, len, NULL, &bundle, NULL, &err), JAVM_OK);
        cr_expect(strstr(err.text, cases[i].text) != NULL, "%s: %s", cases[i].file, err.text);
        free(bytes);
    }
}

/* Damage anywhere in a real file is an error or a link, never a crash or a read outside. */
Test(bad_input, damaged_elf)
{
    size_t len;
    uint8_t *bytes = read_elf("shared_low.elf", &len), *copy = malloc(len);
    cr_assert_not_null(copy);
    unsigned refused = 0;
    uint32_t random = 12345;
    for (unsigned round = 0; round < 3000; round++) {
        memcpy(copy, bytes, len);
        for (unsigned k = 0; k < 1 + round % 3; k++) {
            random = random * 1664525 + 1013904223;
            /* pages of zeros separate the parts: most hits go to headers, tables and code */
            size_t at = (random >> 8) % len;
            while (copy[at] == 0 && at + 1 < len)
                at++;
            copy[at] = (uint8_t)(copy[at] ^ 1u << (random & 7));
        }
        struct javm_bundle bundle;
        struct javm_error err = {0};
        if (javm_link_elf(copy, len, NULL, &bundle, NULL, &err) != JAVM_OK) {
            cr_assert_neq(err.text[0], 0);
            refused++;
        }
        javm_bundle_clear(&bundle);
    }
    cr_expect_gt(refused, 300, "%u", refused);
    free(bytes);
    free(copy);
}

Test(bad_input, truncated_elf)
{
    size_t len;
    uint8_t *bytes = read_elf("samples_O2.elf", &len);
    for (size_t cut = 0; cut < len; cut += cut < 200 ? 1 : 61) {
        uint8_t *copy = malloc(cut + 1);
        cr_assert_not_null(copy);
        memcpy(copy, bytes, cut);
        struct javm_bundle bundle;
        cr_expect_neq(javm_link_elf(copy, cut, NULL, &bundle, NULL, NULL), JAVM_OK, "%zu", cut);
        free(copy);
    }
    free(bytes);
}
