/* What relocations say: which instructions hold addresses, and which addresses of code are kept
 * anywhere. */
#include "loaders/relink.h"

#include <inttypes.h>
#include <stdlib.h>

#include "loaders/bytes.h"

/* ---- targets ---------------------------------------------------------------------------- */

/* An address that somebody may jump to. The end of .text is no instruction, but a fair thing to
 * point at. */
static enum javm_status add_target(struct relink *r, uint64_t address, uint64_t by,
                                   const char *section)
{
    const struct elf_section *text = &r->in->text;
    if (!relink_in_text(r, address))
        return JAVM_OK;
    uint32_t site = relink_site_at(r, address - text->start);
    if (site != NO_SITE) {
        r->sites[site].target = r->sites[site].named = true;
        return JAVM_OK;
    }
    if (section == NULL)
        return relink_fail(r, JAVM_E_FORMAT, by,
                           "refers to .text+0x%" PRIx64 ", where no instruction begins",
                           address - text->start);
    return javm_fail(r->err, JAVM_E_FORMAT, by,
                     "%.40s+0x%" PRIx64 ": refers to .text+0x%" PRIx64
                     ", where no instruction begins",
                     section, by, address - text->start);
}

/* A symbol of .text with an addend that leaves .text: nobody could say where that should move to.
 */
static bool leaves_text(const struct relink *r, const struct elf_reloc *reloc)
{
    return reloc->in_text && !relink_in_text(r, reloc->target) &&
           reloc->target != r->in->text.start + r->in->text.size;
}

/* ---- relocations of .text --------------------------------------------------------------- */

static const char *reloc_hint(uint32_t type)
{
    if (type == RISCV_GOT_HI20)
        return " (a GOT entry: compile with -fno-pic)";
    if ((type >= RISCV_TLS_GOT_HI20 && type <= RISCV_TLS_GD_HI20) ||
        (type >= RISCV_TPREL_HI20 && type <= RISCV_TPREL_ADD))
        return " (thread-local storage: compile with -femulated-tls)";
    return "";
}

static bool is_store(uint8_t op)
{
    return op >= PVM2_SB && op <= PVM2_SD;
}

/* 32-bit instructions with a 12-bit immediate that can be the low part of an address. */
static bool has_low(const struct pvm2_insn *insn, bool store)
{
    if (insn->len != 4)
        return false;
    if (store)
        return is_store(insn->op);
    return insn->op == PVM2_JALR || (insn->op >= PVM2_LB && insn->op <= PVM2_LWU) ||
           (insn->op >= PVM2_ADDI && insn->op <= PVM2_ANDI) || insn->op == PVM2_ADDIW;
}

static enum javm_status set_role(struct relink *r, struct site *site, enum site_role role,
                                 bool fits, uint32_t type)
{
    if (!fits) {
        char text[64];
        pvm2_format(&site->insn, text, sizeof text);
        return relink_fail(r, JAVM_E_FORMAT, site->offset,
                           "relocation type %" PRIu32 " cannot apply to \"%s\"", type, text);
    }
    if (site->role != SITE_PLAIN)
        return relink_fail(r, JAVM_E_FORMAT, site->offset, "two relocations for one instruction");
    site->role = (uint8_t)role;
    return JAVM_OK;
}

static enum javm_status pc_high(struct relink *r, struct site *site, const struct elf_reloc *reloc)
{
    site->value = reloc->target;
    return set_role(r, site, SITE_PC_HIGH, site->insn.op == PVM2_AUIPC, reloc->type);
}

static enum javm_status call(struct relink *r, uint32_t number, const struct elf_reloc *reloc)
{
    struct site *site = &r->sites[number];
    bool inside = relink_in_text(r, reloc->target);
    if (!inside && !(reloc->weak_undefined && reloc->target == 0))
        return relink_fail(r, JAVM_E_FORMAT, site->offset,
                           "a call to 0x%" PRIx64 ", which is not in .text", reloc->target);
    enum javm_status status = pc_high(r, site, reloc);
    if (status != JAVM_OK)
        return status;
    struct site *next = site + 1;
    if (number + 1 == r->count || next->insn.op != PVM2_JALR || next->insn.len != 4 ||
        next->insn.rs1 != site->insn.rd)
        return relink_fail(r, JAVM_E_FORMAT, site->offset,
                           "a call relocation without auipc and jalr");
    next->link = number;
    return set_role(r, next, SITE_PC_LOW, true, reloc->type);
}

/* Its symbol is the auipc, whose site may come later in the walk; link_low() looks at it when all
 * roles are known. */
static enum javm_status pc_low(struct relink *r, struct site *site, const struct elf_reloc *reloc)
{
    if (reloc->target != reloc->symbol)
        return relink_fail(r, JAVM_E_FORMAT, site->offset,
                           "a PCREL_LO12 relocation with an addend");
    site->value = reloc->symbol;
    return set_role(r, site, SITE_PC_LOW, has_low(&site->insn, reloc->type == RISCV_PCREL_LO12_S),
                    reloc->type);
}

/* Absolute addresses: data does not move, so only those of code matter. */
static enum javm_status absolute(struct relink *r, struct site *site, const struct elf_reloc *reloc)
{
    if (!relink_in_text(r, reloc->target))
        return JAVM_OK;
    site->value = reloc->target;
    if (reloc->type == RISCV_LO12_I || reloc->type == RISCV_LO12_S)
        return set_role(r, site, SITE_ABS_LOW, has_low(&site->insn, reloc->type == RISCV_LO12_S),
                        reloc->type);
    /* c.lui makes pages 1..31; code begins at page 1024, so that it always needs the long form. */
    site->size = 4;
    r->grown += site->insn.len == 2;
    uint32_t named = relink_site_at(r, reloc->target - r->in->text.start);
    if (named != NO_SITE)
        r->sites[named].high_named = true;
    return set_role(r, site, SITE_ABS_HIGH, site->insn.op == PVM2_LUI, reloc->type);
}

static enum javm_status text_reloc(struct relink *r, const struct elf_reloc *reloc)
{
    switch (reloc->type) {
    case RISCV_NONE:
    case RISCV_BRANCH:
    case RISCV_JAL:
    case RISCV_RVC_BRANCH:
    case RISCV_RVC_JUMP:
    case RISCV_RELAX:
    case RISCV_ALIGN:
        return JAVM_OK;
    default:
        break;
    }
    uint32_t number = relink_site_at(r, reloc->offset);
    if (number == NO_SITE)
        return relink_fail(r, JAVM_E_FORMAT, reloc->offset,
                           "relocation type %" PRIu32 " where no instruction begins", reloc->type);
    if (leaves_text(r, reloc))
        return relink_fail(r, JAVM_E_FORMAT, reloc->offset,
                           "refers to 0x%" PRIx64 " by a symbol of .text, outside .text",
                           reloc->target);
    struct site *site = &r->sites[number];
    switch (reloc->type) {
    case RISCV_CALL:
    case RISCV_CALL_PLT:
        return call(r, number, reloc);
    case RISCV_PCREL_HI20:
        return pc_high(r, site, reloc);
    case RISCV_PCREL_LO12_I:
    case RISCV_PCREL_LO12_S:
        return pc_low(r, site, reloc);
    case RISCV_HI20:
    case RISCV_LO12_I:
    case RISCV_LO12_S:
    case RISCV_RVC_LUI:
        return absolute(r, site, reloc);
    default:
        return relink_fail(r, JAVM_E_UNSUPPORTED, reloc->offset,
                           "relocation type %" PRIu32 " is not supported%s", reloc->type,
                           reloc_hint(reloc->type));
    }
}

static enum javm_status link_low(struct relink *r, struct site *site)
{
    if (site->link == NO_SITE && relink_in_text(r, site->value))
        site->link = relink_site_at(r, site->value - r->in->text.start);
    if (site->link == NO_SITE || r->sites[site->link].role != SITE_PC_HIGH)
        return relink_fail(r, JAVM_E_FORMAT, site->offset,
                           "a PCREL_LO12 relocation that does not name an auipc with PCREL_HI20");
    return JAVM_OK;
}

/* With all roles known: pairs are complete, and every address of code that an instruction makes is
 * a target. */
static enum javm_status check_sites(struct relink *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct site *site = &r->sites[i];
        enum javm_status status = JAVM_OK;
        if (site->role == SITE_PC_LOW)
            status = link_low(r, site);
        else if (site->role == SITE_PC_HIGH || site->role == SITE_ABS_HIGH ||
                 site->role == SITE_ABS_LOW)
            status = add_target(r, site->value, site->offset, NULL);
        else if (site->insn.op == PVM2_AUIPC)
            status = relink_fail(r, JAVM_E_FORMAT, site->offset,
                                 "auipc without a relocation: compile every object with -mrelax "
                                 "and link with --emit-relocs");
        if (status != JAVM_OK)
            return status;
        /* A low part is only right together with the high part of the same address. */
        if (site->role == SITE_ABS_LOW &&
            !r->sites[relink_site_at(r, site->value - r->in->text.start)].high_named)
            return relink_fail(r, JAVM_E_FORMAT, site->offset,
                               "a LO12 relocation to code without a HI20 to the same address");
    }
    return JAVM_OK;
}

/* ---- relocations of data ---------------------------------------------------------------- */

static enum javm_status data_reloc(struct relink *r, const struct elf_section *section,
                                   const struct elf_reloc *reloc)
{
    uint64_t width = 0;
    switch (reloc->type) {
    case RISCV_NONE:
    case RISCV_RELAX:
        return JAVM_OK;
    case RISCV_32:
    case RISCV_ADD32:
    case RISCV_SUB32:
        width = 4;
        break;
    case RISCV_64:
    case RISCV_ADD64:
    case RISCV_SUB64:
        width = 8;
        break;
    case RISCV_ADD8:
    case RISCV_SUB8:
        width = 1;
        break;
    case RISCV_ADD16:
    case RISCV_SUB16:
        width = 2;
        break;
    default:
        return javm_fail(r->err, JAVM_E_UNSUPPORTED, reloc->offset,
                         "%.40s+0x%" PRIx64 ": relocation type %" PRIu32 " is not supported%s",
                         section->name, reloc->offset, reloc->type, reloc_hint(reloc->type));
    }
    if (section->bytes == NULL || section->size < width || reloc->offset > section->size - width)
        return javm_fail(r->err, JAVM_E_FORMAT, reloc->offset,
                         "%.40s+0x%" PRIx64 ": a relocation of %" PRIu64
                         " bytes is outside the section's bytes",
                         section->name, reloc->offset, width);
    if (leaves_text(r, reloc))
        return javm_fail(r->err, JAVM_E_FORMAT, reloc->offset,
                         "%.40s+0x%" PRIx64 ": refers to 0x%" PRIx64
                         " by a symbol of .text, outside .text",
                         section->name, reloc->offset, reloc->target);
    /* What is subtracted is a base, not a place to go; but it must be somewhere that moves as a
     * whole. */
    bool subtracted = reloc->type >= RISCV_SUB8 && reloc->type <= RISCV_SUB64;
    if (!subtracted)
        return add_target(r, reloc->target, reloc->offset, section->name);
    const uint32_t base = relink_in_text(r, reloc->target)
                              ? relink_site_at(r, reloc->target - r->in->text.start)
                              : NO_SITE;
    if (base != NO_SITE)
        r->sites[base].named = true;
    else if (relink_in_text(r, reloc->target))
        return javm_fail(r->err, JAVM_E_FORMAT, reloc->offset,
                         "%.40s+0x%" PRIx64 ": subtracts .text+0x%" PRIx64
                         ", where no instruction begins",
                         section->name, reloc->offset, reloc->target - r->in->text.start);
    return JAVM_OK;
}

static const struct elf_section *data_section(const struct relink *r, uint32_t index)
{
    for (uint32_t i = 0; i < r->in->data_count; i++)
        if (r->in->data[i].index == index)
            return &r->in->data[i];
    return NULL;
}

enum javm_status relink_refs(struct relink *r)
{
    const struct elf_section *section = NULL;
    for (size_t i = 0; i < r->in->reloc_count; i++) {
        const struct elf_reloc *reloc = &r->in->relocs[i];
        enum javm_status status = JAVM_OK;
        if (reloc->section == r->in->text.index) {
            status = text_reloc(r, reloc);
        } else {
            /* relocations are sorted by section: the look-up runs once a section */
            if (section == NULL || section->index != reloc->section)
                section = data_section(r, reloc->section);
            if (section != NULL) /* else one of ours; endpoints read theirs, mappings have none */
                status = data_reloc(r, section, reloc);
        }
        if (status != JAVM_OK)
            return status;
    }
    return check_sites(r);
}

/* ---- endpoints -------------------------------------------------------------------------- */

enum { ENDPOINT_RECORD = 16, MAX_ARGUMENTS = 4 };

static const struct elf_reloc *reloc_of_record(const struct relink *r, uint64_t offset)
{
    for (size_t i = 0; i < r->in->reloc_count; i++) {
        const struct elf_reloc *reloc = &r->in->relocs[i];
        if (reloc->section == r->in->endpoints.index && reloc->offset == offset &&
            reloc->type == RISCV_64)
            return reloc;
    }
    return NULL;
}

static enum javm_status add_endpoint(struct relink *r, uint64_t address, uint32_t index,
                                     uint32_t arguments)
{
    uint32_t site =
        relink_in_text(r, address) ? relink_site_at(r, address - r->in->text.start) : NO_SITE;
    if (site == NO_SITE)
        return javm_fail(r->err, JAVM_E_FORMAT, JAVM_NOWHERE,
                         "endpoint %" PRIu32 ": its function 0x%" PRIx64
                         " is not an instruction of .text",
                         index, address);
    for (uint32_t i = 0; i < r->endpoint_count; i++)
        if (r->endpoints[i].index == index)
            return javm_fail(r->err, JAVM_E_FORMAT, JAVM_NOWHERE,
                             ".javm.endpoints declares endpoint %" PRIu32 " twice", index);
    /* All indices are below JAVM_MAX_ENDPOINTS and differ, so there is room for one more. */
    uint32_t at = r->endpoint_count;
    for (; at > 0 && r->endpoints[at - 1].index > index; at--)
        r->endpoints[at] = r->endpoints[at - 1];
    r->endpoints[at] = (struct relink_endpoint){index, arguments, site};
    r->endpoint_count++;
    r->sites[site].target = true;
    return JAVM_OK;
}

enum javm_status relink_read_endpoints(struct relink *r)
{
    const struct elf_section *s = &r->in->endpoints;
    uint32_t entry = relink_in_text(r, r->in->entry)
                         ? relink_site_at(r, r->in->entry - r->in->text.start)
                         : NO_SITE;
    if (entry != NO_SITE)
        r->sites[entry].target = true;
    if (s->bytes == NULL || s->size == 0)
        return add_endpoint(r, r->in->entry, 0, MAX_ARGUMENTS);
    if (s->size % ENDPOINT_RECORD != 0)
        return javm_fail(r->err, JAVM_E_FORMAT, JAVM_NOWHERE,
                         ".javm.endpoints has %" PRIu64 " bytes, not a multiple of 16", s->size);
    for (uint64_t at = 0; at < s->size; at += ENDPOINT_RECORD) {
        uint32_t index = get_u32(s->bytes + at + 8), arguments = get_u32(s->bytes + at + 12);
        if (index >= JAVM_MAX_ENDPOINTS || arguments > MAX_ARGUMENTS)
            return javm_fail(r->err, JAVM_E_RANGE, at,
                             ".javm.endpoints+0x%" PRIx64 ": index %" PRIu32
                             " (at most 63) with %" PRIu32 " argument registers (at most 4)",
                             at, index, arguments);
        const struct elf_reloc *reloc = reloc_of_record(r, at);
        if (reloc == NULL)
            return javm_fail(r->err, JAVM_E_FORMAT, at,
                             ".javm.endpoints+0x%" PRIx64
                             ": the function has no R_RISCV_64 relocation: link with --emit-relocs",
                             at);
        enum javm_status status = add_endpoint(r, reloc->target, index, arguments);
        if (status != JAVM_OK)
            return status;
    }
    return JAVM_OK;
}
