#include "tests/loaders/elf_maker.h"

#include <stdlib.h>
#include <string.h>

struct out {
    uint8_t *bytes;
    size_t len;
};

/* Appends, 8-aligned; returns where. */
static size_t append(struct out *out, const void *bytes, size_t n)
{
    size_t at = (out->len + 7) & ~(size_t)7;
    out->bytes = realloc(out->bytes, at + n + 1);
    if (out->bytes == NULL)
        abort();
    memset(out->bytes + out->len, 0, at - out->len);
    if (bytes != NULL)
        memcpy(out->bytes + at, bytes, n);
    else
        memset(out->bytes + at, 0, n);
    out->len = at + n;
    return at;
}

struct names {
    char text[1024];
    size_t len;
};

static uint32_t add_name(struct names *names, const char *name)
{
    size_t at = names->len;
    strcpy(names->text + at, name);
    names->len += strlen(name) + 1;
    return (uint32_t)at;
}

static Elf64_Shdr add_table(struct out *out, uint32_t name, uint32_t type, const void *bytes,
                            size_t n, uint32_t link, uint32_t info, uint64_t entry)
{
    return (Elf64_Shdr){.sh_name = name,
                        .sh_type = type,
                        .sh_offset = append(out, bytes, n),
                        .sh_size = n,
                        .sh_link = link,
                        .sh_info = info,
                        .sh_entsize = entry,
                        .sh_addralign = 8};
}

uint8_t *elf_make(const struct elf_recipe *recipe, size_t *len)
{
    struct out out = {0};
    struct names names = {.len = 1};
    Elf64_Shdr headers[2 * MAKE_MAX + 4] = {0};
    Elf64_Sym symbols[MAKE_MAX + 1] = {0};
    unsigned count = 1, symbol_count = 1;
    append(&out, NULL, sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr));
    for (const struct make_section *s = recipe->sections; s->name != NULL; s++) {
        headers[count++] = (Elf64_Shdr){
            .sh_name = add_name(&names, s->name),
            .sh_type = s->type,
            .sh_flags = s->flags,
            .sh_addr = s->address,
            .sh_offset = s->type == SHT_NOBITS ? out.len : append(&out, s->bytes, s->size),
            .sh_size = s->size,
            .sh_addralign = 1};
    }
    unsigned symtab = count, strtab = count + 1;
    for (const struct make_symbol *s = recipe->symbols; s->name != NULL; s++)
        symbols[symbol_count++] = (Elf64_Sym){.st_name = add_name(&names, s->name),
                                              .st_info = ELF64_ST_INFO(STB_GLOBAL, s->type),
                                              .st_shndx = s->section,
                                              .st_value = s->value,
                                              .st_size = s->size};
    uint32_t symtab_name = add_name(&names, ".symtab"), strtab_name = add_name(&names, ".strtab");
    uint32_t rela_name = add_name(&names, ".rela");
    headers[symtab] = add_table(&out, symtab_name, SHT_SYMTAB, symbols,
                                symbol_count * sizeof(Elf64_Sym), strtab, 1, sizeof(Elf64_Sym));
    headers[strtab] = add_table(&out, strtab_name, SHT_STRTAB, names.text, names.len, 0, 0, 0);
    count += 2;
    for (unsigned section = 1; section < symtab; section++) {
        Elf64_Rela relas[MAKE_RELOCS];
        size_t n = 0;
        for (const struct make_reloc *r = recipe->relocs; r->section != 0; r++)
            if (r->section == section)
                relas[n++] = (Elf64_Rela){.r_offset = r->address,
                                          .r_info = ELF64_R_INFO((uint64_t)r->symbol, r->type),
                                          .r_addend = r->addend};
        if (n > 0)
            headers[count++] = add_table(&out, rela_name, SHT_RELA, relas, n * sizeof *relas,
                                         symtab, section, sizeof *relas);
    }
    size_t at = append(&out, headers, count * sizeof *headers);
    Elf64_Ehdr header = {.e_ident = {0x7F, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
                         .e_type = ET_EXEC,
                         .e_machine = EM_RISCV,
                         .e_version = EV_CURRENT,
                         .e_entry = recipe->entry,
                         .e_phoff = sizeof(Elf64_Ehdr),
                         .e_shoff = at,
                         .e_flags = 9,
                         .e_ehsize = sizeof(Elf64_Ehdr),
                         .e_phentsize = sizeof(Elf64_Phdr),
                         .e_phnum = recipe->segment_type != PT_NULL,
                         .e_shentsize = sizeof(Elf64_Shdr),
                         .e_shnum = (uint16_t)count,
                         .e_shstrndx = (uint16_t)strtab};
    Elf64_Phdr segment = {.p_type = recipe->segment_type, .p_flags = recipe->segment_flags};
    memcpy(out.bytes, &header, sizeof header);
    memcpy(out.bytes + sizeof header, &segment, sizeof segment);
    *len = out.len;
    return out.bytes;
}

struct elf_recipe elf_simple(const void *code, size_t len)
{
    return (struct elf_recipe){
        .sections = {{".text", SHT_PROGBITS, SHF_ALLOC | SHF_EXECINSTR, 0x400000, code, len}},
        .symbols = {{"_start", 1, 0x400000, len, STT_FUNC}},
        .entry = 0x400000,
    };
}

Elf64_Shdr *elf_shdr(uint8_t *file, unsigned section)
{
    return (Elf64_Shdr *)(void *)(file + elf_ehdr(file)->e_shoff) + section;
}
