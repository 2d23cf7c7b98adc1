/* libelf finds the headers; the contents are read from the file's own bytes, after each range was
 * checked against the file, so that a forged header can at worst be refused. */
#include "loaders/elf_read.h"

#include <elf.h>
#include <gelf.h>
#include <inttypes.h>
#include <libelf.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "javm/image.h"

#define EF_RISCV_FLOAT_ABI_MASK 6u
#define EF_RISCV_RVE_FLAG       8u
#define ENDPOINTS               ".javm.endpoints"
#define MAPPINGS                ".javm.mappings"

/* The link script leaves three. Each can cost a page however small it is, and some loops look at
 * all of them. */
enum { MAX_DATA_SECTIONS = 1024 };

_Static_assert(sizeof(Elf64_Sym) == 24 && sizeof(Elf64_Rela) == 24, "on-disk sizes");

/* One reading; what it finds goes to `out`. */
struct elf_file {
    Elf *elf; /* owned */
    GElf_Ehdr header;
    size_t section_count;
    GElf_Shdr *sections; /* owned */
    const char *names;   /* the section name table, NUL-terminated, borrowed */
    size_t names_len;
    uint32_t text; /* header number of .text */
    struct elf_input *out;
    struct javm_error *err;
};

static enum javm_status no_memory(struct javm_error *err)
{
    return javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory to read an ELF file");
}

/* ---- headers ---------------------------------------------------------------------------- */

static enum javm_status check_header(struct elf_file *f)
{
    const GElf_Ehdr *h = &f->header;
    if (h->e_ident[EI_CLASS] != ELFCLASS64 || h->e_ident[EI_DATA] != ELFDATA2LSB)
        return javm_fail(f->err, JAVM_E_UNSUPPORTED, EI_CLASS,
                         "not a 64-bit little-endian ELF file (class %u, data %u)",
                         h->e_ident[EI_CLASS], h->e_ident[EI_DATA]);
    if (h->e_machine != EM_RISCV)
        return javm_fail(f->err, JAVM_E_UNSUPPORTED, 18,
                         "ELF machine %u where 243 (RISC-V) was expected", h->e_machine);
    if (h->e_type != ET_EXEC)
        return javm_fail(f->err, JAVM_E_UNSUPPORTED, 16,
                         "ELF type %u where 2 (a linked executable) was expected%s", h->e_type,
                         h->e_type == ET_REL   ? ": link the object files first"
                         : h->e_type == ET_DYN ? ": link without -pie and -shared"
                                               : "");
    if ((h->e_flags & EF_RISCV_RVE_FLAG) == 0)
        return javm_fail(f->err, JAVM_E_UNSUPPORTED, 48,
                         "ELF flags 0x%x lack RVE: compile everything with -march=rv64emc... "
                         "-mabi=lp64e",
                         h->e_flags);
    if ((h->e_flags & EF_RISCV_FLOAT_ABI_MASK) != 0)
        return javm_fail(f->err, JAVM_E_UNSUPPORTED, 48,
                         "ELF flags 0x%x name a floating-point register ABI: compile with "
                         "-mabi=lp64e",
                         h->e_flags);
    return JAVM_OK;
}

static enum javm_status check_segments(struct elf_file *f)
{
    size_t count = 0;
    if (elf_getphdrnum(f->elf, &count) != 0)
        return javm_fail(f->err, JAVM_E_FORMAT, 32, "the program header table is not in the file");
    for (size_t i = 0; i < count; i++) {
        GElf_Phdr segment;
        if (gelf_getphdr(f->elf, (int)i, &segment) == NULL)
            return javm_fail(f->err, JAVM_E_FORMAT, 32, "program header %zu is not in the file", i);
        if (segment.p_type == PT_TLS)
            return javm_fail(f->err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                             "thread-local storage (PT_TLS): compile with -femulated-tls or "
                             "without thread-local variables");
        if (segment.p_type == PT_DYNAMIC || segment.p_type == PT_INTERP)
            return javm_fail(f->err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                             "dynamic linking (program header %zu): link statically", i);
        if (segment.p_type == PT_LOAD && (segment.p_flags & (PF_W | PF_X)) == (PF_W | PF_X))
            return javm_fail(f->err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                             "program header %zu is writable and executable: use the link script",
                             i);
    }
    return JAVM_OK;
}

/* The range of a section in the file; NOBITS has none. */
static bool section_in_file(const struct elf_file *f, const GElf_Shdr *s)
{
    return s->sh_offset <= f->out->len && s->sh_size <= f->out->len - s->sh_offset;
}

/* Names go into messages and maps, which are single lines for people and terminals. */
static bool is_printable(const char *name)
{
    for (unsigned i = 0; i < ELF_NAME_SHOWN && name[i] != 0; i++)
        if ((unsigned char)name[i] < ' ' || name[i] == 0x7F)
            return false;
    return true;
}

/* "" when the name is not inside the table. */
static const char *section_name(const struct elf_file *f, size_t i)
{
    if (f->sections[i].sh_name >= f->names_len)
        return "";
    const char *name = f->names + f->sections[i].sh_name;
    return is_printable(name) ? name : "(unprintable)";
}

/* A table of names: its range in the file must end with a NUL, so that every name inside ends. */
static bool string_table(const struct elf_file *f, size_t section, const char **names, size_t *len)
{
    if (section == 0 || section >= f->section_count)
        return false;
    const GElf_Shdr *s = &f->sections[section];
    if (s->sh_type != SHT_STRTAB || s->sh_size == 0 || !section_in_file(f, s) ||
        f->out->file[s->sh_offset + s->sh_size - 1] != 0)
        return false;
    *names = (const char *)f->out->file + s->sh_offset;
    *len = s->sh_size;
    return true;
}

static enum javm_status read_section_headers(struct elf_file *f)
{
    size_t names = 0;
    if (f->header.e_shoff == 0)
        return javm_fail(f->err, JAVM_E_FORMAT, 40,
                         "no section headers: they were stripped, and with them the relocations");
    if (elf_getshdrnum(f->elf, &f->section_count) != 0 || f->section_count == 0)
        return javm_fail(f->err, JAVM_E_FORMAT, 40,
                         "the section headers at 0x%" PRIx64
                         " are not in the file of 0x%zx bytes: was it cut short?",
                         f->header.e_shoff, f->out->len);
    if (f->section_count > f->out->len / sizeof(Elf64_Shdr))
        return javm_fail(f->err, JAVM_E_FORMAT, 60, "%zu section headers cannot fit in the file",
                         f->section_count);
    f->sections = calloc(f->section_count, sizeof *f->sections);
    if (f->sections == NULL)
        return no_memory(f->err);
    for (size_t i = 0; i < f->section_count; i++) {
        Elf_Scn *section = elf_getscn(f->elf, i);
        if (section == NULL || gelf_getshdr(section, &f->sections[i]) == NULL)
            return javm_fail(f->err, JAVM_E_FORMAT, 40, "section header %zu is not in the file", i);
    }
    if (elf_getshdrstrndx(f->elf, &names) != 0 || !string_table(f, names, &f->names, &f->names_len))
        return javm_fail(f->err, JAVM_E_FORMAT, 62, "the section name table is not usable");
    return JAVM_OK;
}

/* ---- sections --------------------------------------------------------------------------- */

static enum javm_status check_section(struct elf_file *f, size_t i)
{
    const GElf_Shdr *s = &f->sections[i];
    const char *name = section_name(f, i);
    if (s->sh_type == SHT_DYNAMIC || s->sh_type == SHT_DYNSYM || s->sh_type == SHT_RELR ||
        s->sh_type == SHT_HASH || s->sh_type == SHT_GNU_HASH ||
        ((s->sh_type == SHT_RELA || s->sh_type == SHT_REL) && (s->sh_flags & SHF_ALLOC) != 0))
        return javm_fail(f->err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "section %zu (%.40s) is for dynamic linking: link statically", i, name);
    if ((s->sh_flags & SHF_TLS) != 0)
        return javm_fail(f->err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "section %zu (%.40s) is thread-local: compile with -femulated-tls or "
                         "without thread-local variables",
                         i, name);
    if ((s->sh_flags & (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR)) ==
        (SHF_ALLOC | SHF_WRITE | SHF_EXECINSTR))
        return javm_fail(f->err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "section %zu (%.40s) is writable and executable", i, name);
    if ((s->sh_flags & SHF_COMPRESSED) != 0 && (s->sh_flags & SHF_ALLOC) != 0)
        return javm_fail(f->err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "section %zu (%.40s) is compressed", i, name);
    if (s->sh_type != SHT_NOBITS && !section_in_file(f, s))
        return javm_fail(f->err, JAVM_E_FORMAT, JAVM_NOWHERE,
                         "section %zu (%.40s): bytes 0x%" PRIx64 "+0x%" PRIx64
                         " are outside the file of 0x%zx",
                         i, name, s->sh_offset, s->sh_size, f->out->len);
    return JAVM_OK;
}

static struct elf_section describe(const struct elf_file *f, size_t i)
{
    const GElf_Shdr *s = &f->sections[i];
    return (struct elf_section){
        .name = section_name(f, i),
        .index = (uint32_t)i,
        .start = s->sh_addr,
        .size = s->sh_size,
        .bytes = s->sh_type == SHT_NOBITS ? NULL : f->out->file + s->sh_offset,
        .writable = (s->sh_flags & SHF_WRITE) != 0,
    };
}

static enum javm_status take_text(struct elf_file *f, size_t i)
{
    const GElf_Shdr *s = &f->sections[i];
    const char *name = section_name(f, i);
    if (f->text != 0)
        return javm_fail(f->err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "a second executable section (%.40s beside %.40s): the link script merges "
                         "all code into .text",
                         name, section_name(f, f->text));
    if (s->sh_type != SHT_PROGBITS)
        return javm_fail(f->err, JAVM_E_FORMAT, JAVM_NOWHERE,
                         "the executable section %.40s has type %u, not PROGBITS", name,
                         s->sh_type);
    if (s->sh_addr != JAVM_CODE_BASE)
        return javm_fail(f->err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "%.40s is at 0x%" PRIx64 " where 0x%x was expected: use the link script",
                         name, s->sh_addr, JAVM_CODE_BASE);
    if (s->sh_size > JAVM_CODE_MAX)
        return javm_fail(f->err, JAVM_E_LIMIT, JAVM_NOWHERE,
                         "%.40s has %" PRIu64 " bytes; a program has at most %u", name, s->sh_size,
                         JAVM_CODE_MAX);
    f->text = (uint32_t)i;
    f->out->text = describe(f, i);
    return JAVM_OK;
}

static enum javm_status take_data(struct elf_file *f, size_t i)
{
    const GElf_Shdr *s = &f->sections[i];
    const char *name = section_name(f, i);
    if (f->out->data_count == MAX_DATA_SECTIONS)
        return javm_fail(f->err, JAVM_E_LIMIT, JAVM_NOWHERE,
                         "more than %d data sections: the link script merges them",
                         MAX_DATA_SECTIONS);
    if (s->sh_type != SHT_PROGBITS && s->sh_type != SHT_NOBITS && s->sh_type != SHT_INIT_ARRAY &&
        s->sh_type != SHT_FINI_ARRAY && s->sh_type != SHT_PREINIT_ARRAY && s->sh_type != SHT_NOTE)
        return javm_fail(f->err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "allocated section %zu (%.40s) has the unexpected type %u", i, name,
                         s->sh_type);
    if (s->sh_addr < JAVM_DATA_BASE || s->sh_addr > UINT32_MAX ||
        s->sh_size > (UINT64_C(1) << 32) - s->sh_addr)
        return javm_fail(f->err, JAVM_E_RANGE, JAVM_NOWHERE,
                         "%.40s is at 0x%" PRIx64 "+0x%" PRIx64
                         ", outside the data space 0x10000000..0x100000000",
                         name, s->sh_addr, s->sh_size);
    f->out->data[f->out->data_count++] = describe(f, i);
    return JAVM_OK;
}

/* Ours are known by name: with the script of the guest toolchain they are at address 0. NULL: not
 * one of ours. */
static struct elf_section *special_section(const struct elf_file *f, size_t i)
{
    const char *name = section_name(f, i);
    if (f->sections[i].sh_type != SHT_PROGBITS)
        return NULL;
    if (strcmp(name, ENDPOINTS) == 0)
        return &f->out->endpoints;
    return strcmp(name, MAPPINGS) == 0 ? &f->out->mappings : NULL;
}

static enum javm_status take_special(struct elf_file *f, size_t i, struct elf_section *section)
{
    if (section->bytes != NULL)
        return javm_fail(f->err, JAVM_E_FORMAT, JAVM_NOWHERE,
                         "a second %s section: the link script merges them", section->name);
    *section = describe(f, i);
    return JAVM_OK;
}

static int by_start(const void *a, const void *b)
{
    const struct elf_section *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

static enum javm_status read_sections(struct elf_file *f)
{
    struct elf_input *out = f->out;
    out->data = calloc(f->section_count, sizeof *out->data);
    if (out->data == NULL)
        return no_memory(f->err);
    for (size_t i = 1; i < f->section_count; i++) {
        const GElf_Shdr *s = &f->sections[i];
        struct elf_section *special = special_section(f, i);
        enum javm_status status = check_section(f, i);
        if (status == JAVM_OK && special != NULL)
            status = take_special(f, i, special);
        else if (status == JAVM_OK && (s->sh_flags & SHF_ALLOC) != 0 && s->sh_size > 0)
            status = (s->sh_flags & SHF_EXECINSTR) != 0 ? take_text(f, i) : take_data(f, i);
        if (status != JAVM_OK)
            return status;
    }
    if (f->text == 0)
        return javm_fail(f->err, JAVM_E_FORMAT, JAVM_NOWHERE, "there is no executable section");
    qsort(out->data, out->data_count, sizeof *out->data, by_start);
    /* Many headers may name the same bytes: what is copied later must not exceed what there is. */
    uint64_t left = out->len;
    for (uint32_t i = 0; i < out->data_count; i++) {
        if (out->data[i].bytes == NULL)
            continue;
        if (out->data[i].size > left)
            return javm_fail(f->err, JAVM_E_FORMAT, JAVM_NOWHERE,
                             "section %.40s: the data sections together are larger than the file",
                             out->data[i].name);
        left -= out->data[i].size;
    }
    for (uint32_t i = 1; i < out->data_count; i++) {
        const struct elf_section *low = &out->data[i - 1], *high = &out->data[i];
        if (low->start + low->size > high->start)
            return javm_fail(f->err, JAVM_E_FORMAT, JAVM_NOWHERE,
                             "sections %.40s and %.40s overlap at 0x%" PRIx64, low->name,
                             high->name, high->start);
    }
    return JAVM_OK;
}

/* ---- symbols ---------------------------------------------------------------------------- */

static bool keep_function(const struct elf_file *f, const Elf64_Sym *symbol, const char *name)
{
    unsigned type = ELF64_ST_TYPE(symbol->st_info);
    return symbol->st_shndx == f->text && (type == STT_FUNC || type == STT_NOTYPE) &&
           name[0] != 0 && name[0] != '$' && strncmp(name, ".L", 2) != 0 && is_printable(name) &&
           symbol->st_value - f->out->text.start < f->out->text.size;
}

static enum javm_status note_heap_symbol(struct elf_file *f, const Elf64_Sym *symbol,
                                         const char *name)
{
    bool start = strcmp(name, "__javm_heap_start") == 0;
    if ((!start && strcmp(name, "__javm_heap_end") != 0) || symbol->st_shndx == SHN_UNDEF)
        return JAVM_OK;
    if (symbol->st_size != 8 || elf_data_at(f->out, symbol->st_value, 8) == NULL)
        return javm_fail(f->err, JAVM_E_FORMAT, JAVM_NOWHERE,
                         "%s must be an 8-byte object in a data section", name);
    if (start)
        f->out->heap_start_at = symbol->st_value;
    else
        f->out->heap_end_at = symbol->st_value;
    return JAVM_OK;
}

static int by_address(const void *a, const void *b)
{
    const struct elf_function *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->size != y->size) /* the largest last: it is the one that a look-up finds */
        return x->size < y->size ? -1 : 1;
    return strcmp(x->name, y->name);
}

static enum javm_status read_symbols(struct elf_file *f)
{
    struct elf_input *out = f->out;
    for (size_t i = 1; i < f->section_count; i++) {
        const GElf_Shdr *s = &f->sections[i];
        if (s->sh_type != SHT_SYMTAB || out->functions != NULL)
            continue;
        const char *names;
        size_t names_len;
        if (s->sh_size % sizeof(Elf64_Sym) != 0 || !string_table(f, s->sh_link, &names, &names_len))
            return javm_fail(f->err, JAVM_E_FORMAT, JAVM_NOWHERE,
                             "section %zu (%.40s): the symbol table is not usable", i,
                             section_name(f, i));
        size_t count = s->sh_size / sizeof(Elf64_Sym);
        out->functions = calloc(count + 1, sizeof *out->functions);
        if (out->functions == NULL)
            return no_memory(f->err);
        for (size_t k = 0; k < count; k++) {
            Elf64_Sym symbol;
            memcpy(&symbol, out->file + s->sh_offset + k * sizeof symbol, sizeof symbol);
            const char *name = symbol.st_name < names_len ? names + symbol.st_name : "";
            enum javm_status status = note_heap_symbol(f, &symbol, name);
            if (status != JAVM_OK)
                return status;
            if (keep_function(f, &symbol, name))
                out->functions[out->function_count++] =
                    (struct elf_function){symbol.st_value, symbol.st_size, name};
        }
        qsort(out->functions, out->function_count, sizeof *out->functions, by_address);
    }
    return JAVM_OK;
}

/* ---- relocations ------------------------------------------------------------------------ */

/* Does the section's content reach the image? */
static bool is_used(const struct elf_file *f, size_t i)
{
    const struct elf_input *out = f->out;
    if (i == f->text || (out->endpoints.bytes != NULL && i == out->endpoints.index) ||
        (out->mappings.bytes != NULL && i == out->mappings.index))
        return true;
    return (f->sections[i].sh_flags & SHF_ALLOC) != 0 && f->sections[i].sh_size > 0;
}

static enum javm_status read_reloc(struct elf_file *f, size_t table, size_t k,
                                   struct elf_reloc *out)
{
    const GElf_Shdr *s = &f->sections[table];
    const GElf_Shdr *symbols = &f->sections[s->sh_link];
    const GElf_Shdr *changed = &f->sections[s->sh_info];
    Elf64_Rela rela;
    memcpy(&rela, f->out->file + s->sh_offset + k * sizeof rela, sizeof rela);
    uint64_t number = ELF64_R_SYM(rela.r_info);
    uint32_t type = ELF64_R_TYPE(rela.r_info);
    if (number >= symbols->sh_size / sizeof(Elf64_Sym))
        return javm_fail(f->err, JAVM_E_FORMAT, s->sh_offset + k * sizeof rela,
                         "relocation %zu of %.40s names symbol %" PRIu64 " of %" PRIu64, k,
                         section_name(f, table), number,
                         symbols->sh_size / (uint64_t)sizeof(Elf64_Sym));
    uint64_t offset = rela.r_offset - changed->sh_addr;
    if (rela.r_offset < changed->sh_addr || offset > changed->sh_size)
        return javm_fail(f->err, JAVM_E_FORMAT, s->sh_offset + k * sizeof rela,
                         "relocation %zu of %.40s is at 0x%" PRIx64 ", outside its section", k,
                         section_name(f, table), rela.r_offset);
    Elf64_Sym symbol = {0};
    if (number != 0)
        memcpy(&symbol, f->out->file + symbols->sh_offset + number * sizeof symbol, sizeof symbol);
    *out = (struct elf_reloc){
        .section = (uint32_t)s->sh_info,
        .type = type,
        .offset = offset,
        .target = symbol.st_value + (uint64_t)rela.r_addend,
        .symbol = symbol.st_value,
        .in_text = number != 0 && symbol.st_shndx == f->text,
        .weak_undefined = number != 0 && symbol.st_shndx == SHN_UNDEF,
    };
    return JAVM_OK;
}

static int by_place(const void *a, const void *b)
{
    const struct elf_reloc *x = a, *y = b;
    if (x->section != y->section)
        return x->section < y->section ? -1 : 1;
    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return x->type < y->type ? -1 : x->type > y->type;
}

static enum javm_status check_reloc_table(struct elf_file *f, size_t i)
{
    const GElf_Shdr *s = &f->sections[i];
    if (s->sh_type == SHT_REL)
        return javm_fail(f->err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                         "section %zu (%.40s) holds relocations without addends (SHT_REL)", i,
                         section_name(f, i));
    bool usable =
        s->sh_size % sizeof(Elf64_Rela) == 0 && s->sh_link != 0 && s->sh_link < f->section_count;
    if (usable) {
        const GElf_Shdr *symbols = &f->sections[s->sh_link];
        usable = symbols->sh_type == SHT_SYMTAB && symbols->sh_size % sizeof(Elf64_Sym) == 0;
    }
    if (!usable)
        return javm_fail(f->err, JAVM_E_FORMAT, JAVM_NOWHERE,
                         "section %zu (%.40s): the relocation table is not usable", i,
                         section_name(f, i));
    return JAVM_OK;
}

static enum javm_status read_relocs(struct elf_file *f)
{
    struct elf_input *out = f->out;
    size_t total = 0;
    for (size_t i = 1; i < f->section_count; i++) {
        const GElf_Shdr *s = &f->sections[i];
        if ((s->sh_type != SHT_RELA && s->sh_type != SHT_REL) || s->sh_info == 0)
            continue;
        if (s->sh_info >= f->section_count)
            return javm_fail(f->err, JAVM_E_FORMAT, JAVM_NOWHERE,
                             "section %zu (%.40s) relocates section %u of %zu", i,
                             section_name(f, i), s->sh_info, f->section_count);
        if (!is_used(f, s->sh_info))
            continue;
        enum javm_status status = check_reloc_table(f, i);
        if (status != JAVM_OK)
            return status;
        size_t count = s->sh_size / sizeof(Elf64_Rela);
        /* Many headers may name the same bytes, so the sum is bounded as well as each part. */
        if (count > out->len / sizeof(Elf64_Rela) - total)
            return javm_fail(f->err, JAVM_E_FORMAT, JAVM_NOWHERE,
                             "section %zu (%.40s): more relocations than the file can hold", i,
                             section_name(f, i));
        struct elf_reloc *more = realloc(out->relocs, (total + count + 1) * sizeof *more);
        if (more == NULL)
            return no_memory(f->err);
        out->relocs = more;
        for (size_t k = 0; k < count && status == JAVM_OK; k++)
            status = read_reloc(f, i, k, &out->relocs[total + k]);
        if (status != JAVM_OK)
            return status;
        total += count;
    }
    out->reloc_count = total;
    if (total > 0)
        qsort(out->relocs, total, sizeof *out->relocs, by_place);
    return JAVM_OK;
}

/* ---- together --------------------------------------------------------------------------- */

static void init_libelf(void)
{
    elf_version(EV_CURRENT);
}

static enum javm_status read_file(struct elf_file *f)
{
    enum javm_status status = check_header(f);
    if (status == JAVM_OK)
        status = check_segments(f);
    if (status == JAVM_OK)
        status = read_section_headers(f);
    if (status == JAVM_OK)
        status = read_sections(f);
    if (status == JAVM_OK)
        status = read_symbols(f);
    if (status == JAVM_OK)
        status = read_relocs(f);
    return status;
}

enum javm_status elf_input_read(const uint8_t *elf, size_t len, struct elf_input *input,
                                struct javm_error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    *input = (struct elf_input){.file = elf, .len = len};
    if (len < sizeof(Elf64_Ehdr) || memcmp(elf, ELFMAG, SELFMAG) != 0)
        return javm_fail(
            err, JAVM_E_FORMAT, 0,
            "not an ELF file: it must begin with 7f 45 4c 46 and a header of 64 bytes");
    pthread_once(&once, init_libelf);
    struct elf_file f = {.out = input, .err = err};
    /* libelf wants a pointer to non-const but reads only, as long as nothing calls elf_update(). */
    f.elf = elf_memory((char *)(uintptr_t)elf, len);
    enum javm_status status;
    if (f.elf == NULL || elf_kind(f.elf) != ELF_K_ELF || gelf_getehdr(f.elf, &f.header) == NULL)
        status =
            javm_fail(err, JAVM_E_FORMAT, 0, "the ELF header is not valid: %s", elf_errmsg(-1));
    else
        status = read_file(&f);
    input->entry = f.header.e_entry;
    elf_end(f.elf);
    free(f.sections);
    if (status != JAVM_OK)
        elf_input_free(input);
    return status;
}

void elf_input_free(struct elf_input *input)
{
    free(input->data);
    free(input->relocs);
    free(input->functions);
    *input = (struct elf_input){0};
}

void elf_where(const struct elf_input *input, uint64_t offset, char text[ELF_WHERE])
{
    uint64_t address = input->text.start + offset;
    uint32_t low = 0, high = input->function_count;
    while (low < high) { /* the first function above the address */
        uint32_t middle = low + (high - low) / 2;
        if (input->functions[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        snprintf(text, ELF_WHERE, ".text+0x%" PRIx64, offset);
    else
        snprintf(text, ELF_WHERE, "%.70s+0x%" PRIx64 " (.text+0x%" PRIx64 ")",
                 input->functions[low - 1].name, address - input->functions[low - 1].start, offset);
}

const struct elf_section *elf_data_at(const struct elf_input *input, uint64_t address, uint64_t len)
{
    for (uint32_t i = 0; i < input->data_count; i++) {
        const struct elf_section *s = &input->data[i];
        if (address >= s->start && address - s->start <= s->size &&
            len <= s->size - (address - s->start))
            return s;
    }
    return NULL;
}
