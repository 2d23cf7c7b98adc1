/* The instructions of .text, and which of them get a marker. */
#include "loaders/translate.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- shared by the relink_*.c files ----------------------------------------------------- */

enum javm_status relink_fail(const struct relink *r, enum javm_status status, uint64_t offset,
                             const char *fmt, ...)
{
    char where[ELF_WHERE], text[240];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    elf_where(r->in, offset, where);
    return javm_fail(r->err, status, offset, "%s: %s", where, text);
}

enum javm_status relink_no_memory(const struct relink *r)
{
    return javm_fail(r->err, JAVM_E_NOMEM, JAVM_NOWHERE,
                     "no memory to link a program of %" PRIu64 " bytes", r->in->text.size);
}

uint32_t relink_site_at(const struct relink *r, uint64_t offset)
{
    return offset >= r->in->text.size || (offset & 1) != 0 ? NO_SITE : r->site_at[offset / 2];
}

bool relink_in_text(const struct relink *r, uint64_t address)
{
    return address >= r->in->text.start && address - r->in->text.start < r->in->text.size;
}

uint64_t relink_moved(const struct relink *r, uint64_t address)
{
    if (r->pvm != NULL && address >= r->in->text.start &&
        address - r->in->text.start <= r->in->text.size)
        return translate_address(r, address);
    if (relink_in_text(r, address))
        return JAVM_CODE_BASE + r->sites[relink_site_at(r, address - r->in->text.start)].moved;
    if (address == r->in->text.start + r->in->text.size)
        return JAVM_CODE_BASE + r->code_len;
    return address;
}

void relink_free(struct relink *r)
{
    free(r->sites);
    free(r->site_at);
    free(r->code);
    if (r->contents != NULL)
        for (uint32_t i = 0; i < r->in->data_count; i++)
            free(r->contents[i]);
    free(r->contents);
    translation_free(r->pvm);
}

/* ---- decoding --------------------------------------------------------------------------- */

static bool names_high_register(uint32_t word)
{
    return ((word >> 7 | word >> 15 | word >> 20) & 16) != 0;
}

/* What a reserved encoding most likely is: the reader of the message wrote C, not bits. */
static const char *reserved_hint(const struct pvm2_insn *insn)
{
    uint32_t raw = insn->raw;
    if (insn->len == 2) {
        unsigned funct3 = raw >> 13, quadrant = raw & 3;
        if (raw == 0x9002)
            return "c.ebreak";
        if (quadrant != 1 && (funct3 == 1 || funct3 == 5))
            return "a compressed floating-point load or store, or Zcb";
        return "not a compressed instruction of RV64EMC";
    }
    switch (raw & 0x7F) {
    case 0x07:
    case 0x27:
    case 0x43:
    case 0x47:
    case 0x4B:
    case 0x4F:
    case 0x53:
        return "a floating-point instruction";
    case 0x2F:
        return "an atomic instruction";
    case 0x73:
        return "a system instruction (ecall, ebreak, csr...)";
    case 0x57:
        return "a vector instruction";
    case 0x0B:
        return "custom-0 other than trap, ecall.jar, ecalli, fallthrough";
    default:
        return names_high_register(raw) ? "it may name one of x16..x31, which RV64E lacks"
                                        : "not an instruction of PVM2";
    }
}

static enum javm_status check_insn(const struct relink *r, const struct pvm2_insn *insn,
                                   uint64_t offset)
{
    /* unimp, what __builtin_trap becomes and linkers fill gaps with, panics as wanted */
    if (insn->op == PVM2_RESERVED && !(insn->len == 2 && insn->raw == 0))
        return relink_fail(r, JAVM_E_FORMAT, offset, "reserved encoding 0x%0*" PRIx32 " (%s)",
                           insn->len * 2, insn->raw, reserved_hint(insn));
    const uint8_t used[3] = {insn->rd, insn->rs1, insn->rs2};
    for (unsigned i = 0; i < 3; i++)
        if (used[i] == 3 || used[i] == 4) {
            char text[64];
            pvm2_format(insn, text, sizeof text);
            return relink_fail(r, JAVM_E_UNSUPPORTED, offset,
                               "\"%s\" uses x%u (%s), which guests must leave alone", text, used[i],
                               used[i] == 3 ? "gp" : "tp");
        }
    return JAVM_OK;
}

static enum javm_status decode_all(struct relink *r)
{
    const struct elf_section *text = &r->in->text;
    size_t halves = (size_t)(text->size / 2 + 1);
    r->site_at = malloc(halves * sizeof *r->site_at);
    if (r->site_at == NULL)
        return relink_no_memory(r);
    memset(r->site_at, 0xFF, halves * sizeof *r->site_at);
    uint32_t capacity = 0;
    uint64_t offset = 0;
    struct pvm2_insn insn;
    for (; pvm2_decode(text->bytes, text->size, offset, &insn); offset += insn.len) {
        enum javm_status status = check_insn(r, &insn, offset);
        if (status != JAVM_OK)
            return status;
        if (r->count == capacity) {
            capacity = capacity == 0 ? 1024 : capacity * 2;
            struct site *more = realloc(r->sites, capacity * sizeof *more);
            if (more == NULL)
                return relink_no_memory(r);
            r->sites = more;
        }
        r->site_at[offset / 2] = r->count;
        r->sites[r->count++] = (struct site){
            .insn = insn, .offset = (uint32_t)offset, .link = NO_SITE, .size = insn.len};
    }
    if (offset != text->size)
        return relink_fail(r, JAVM_E_FORMAT, offset, "the code ends inside an instruction");
    if (r->count == 0)
        return javm_fail(r->err, JAVM_E_FORMAT, JAVM_NOWHERE, "there is no code");
    return JAVM_OK;
}

/* Branches and jal need no relocation: .text is pure code, so they say themselves where they go. */
static enum javm_status find_direct(struct relink *r)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct site *site = &r->sites[i];
        if (site->insn.op != PVM2_JAL && (site->insn.op < PVM2_BEQ || site->insn.op > PVM2_BGEU))
            continue;
        uint64_t to = (uint64_t)((int64_t)site->offset + site->insn.imm);
        site->link = relink_site_at(r, to);
        if (site->link == NO_SITE)
            return relink_fail(r, JAVM_E_FORMAT, site->offset,
                               "%s to .text%+" PRId64 ", where no instruction begins",
                               pvm2_mnemonic((enum pvm2_op)site->insn.op), (int64_t)to);
        site->role = SITE_DIRECT;
        r->sites[site->link].target = true;
    }
    return JAVM_OK;
}

/* ---- markers ---------------------------------------------------------------------------- */

static bool is_ecall(const struct site *site)
{
    return site->insn.op == PVM2_ECALLI || site->insn.op == PVM2_ECALL_JAR;
}

static enum javm_status place_markers(struct relink *r, const struct javm_link_options *options)
{
    for (uint32_t i = 0; i < r->count; i++) {
        struct site *site = &r->sites[i];
        bool needed =
            site->target && i != 0 && !pvm2_is_terminator((enum pvm2_op)r->sites[i - 1].insn.op);
        /* An ecall is a start wherever it stands, but the rule for markers makes no exception for
         * it. */
        if (needed && options->keep_layout && !is_ecall(site))
            return relink_fail(r, JAVM_E_FORMAT, site->offset,
                               "is a jump target but not a block start: the code was not marked");
        site->marker = (needed || options->mark_all) && !options->keep_layout;
        r->markers += site->marker;
    }
    return JAVM_OK;
}

enum javm_status relink_scan(struct relink *r, const struct javm_link_options *options)
{
    enum javm_status status = decode_all(r);
    if (status == JAVM_OK)
        status = find_direct(r);
    if (status == JAVM_OK)
        status = relink_refs(r);
    if (status == JAVM_OK)
        status = relink_read_endpoints(r);
    return status == JAVM_OK && !options->pvm ? place_markers(r, options) : status;
}
