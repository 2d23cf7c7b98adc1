/* The new bytes of code and data, and the check that the engine will see them as meant. */
#include "loaders/relink.h"

#include <inttypes.h>
#include <stdlib.h>

#include "loaders/bytes.h"

#define MARKER 0x0000400Bu

/* ---- code ------------------------------------------------------------------------------- */

/* The same compressed branch or jump with another distance, which fits. */
static uint16_t with_distance16(const struct pvm2_insn *insn, int32_t distance)
{
    uint32_t d = (uint32_t)distance, raw = insn->raw;
    if (insn->op == PVM2_JAL)
        return (uint16_t)((raw & 0xE003) | (d >> 11 & 1) << 12 | (d >> 4 & 1) << 11 |
                          (d >> 8 & 3) << 9 | (d >> 10 & 1) << 8 | (d >> 6 & 1) << 7 |
                          (d >> 7 & 1) << 6 | (d >> 1 & 7) << 3 | (d >> 5 & 1) << 2);
    return (uint16_t)((raw & 0xE383) | (d >> 8 & 1) << 12 | (d >> 3 & 3) << 10 | (d >> 6 & 3) << 5 |
                      (d >> 1 & 3) << 3 | (d >> 5 & 1) << 2);
}

static uint32_t with_imm(const struct pvm2_insn *insn, int32_t imm)
{
    struct pvm2_insn changed = *insn;
    changed.imm = imm;
    return pvm2_encode32(&changed);
}

static enum javm_status emit_direct(const struct relink *r, const struct site *site, uint8_t *out)
{
    int64_t distance = (int64_t)r->sites[site->link].moved - (int64_t)site->moved;
    int64_t jump = site->size == 8 ? distance - 4 : distance;
    if (jump < -1048576 || jump >= 1048576)
        return relink_fail(
            r, JAVM_E_LIMIT, site->offset,
            "a %s over %" PRId64
            " bytes; 1 MiB is the most: call through a pointer, or split the function",
            pvm2_mnemonic((enum pvm2_op)site->insn.op), distance);
    if (site->size == 2) {
        put_le(out, with_distance16(&site->insn, (int32_t)distance), 2);
    } else if (site->size == 4) {
        put_le(out, with_imm(&site->insn, (int32_t)distance), 4);
    } else {
        /* beq/bne, blt/bge, bltu/bgeu are neighbours: the inverse differs in the lowest bit of
         * funct3 */
        put_le(out, with_imm(&site->insn, 8) ^ 1u << 12, 4);
        struct pvm2_insn jal = {.op = PVM2_JAL, .imm = (int32_t)jump};
        put_le(out + 4, pvm2_encode32(&jal), 4);
    }
    return JAVM_OK;
}

/* Splits an address or a distance into what lui/auipc and a 12-bit addition make. */
static int64_t high_part(int64_t value)
{
    return (int64_t)(((uint64_t)value + 0x800) & ~UINT64_C(0xFFF));
}

static enum javm_status emit_pair(const struct relink *r, const struct site *site, uint8_t *out)
{
    bool relative = site->role == SITE_PC_HIGH || site->role == SITE_PC_LOW;
    const struct site *base = site->role == SITE_PC_LOW ? &r->sites[site->link] : site;
    uint64_t distance = relink_moved(r, base->value); /* unsigned: a forged address may be any */
    if (relative)
        distance -= (uint64_t)JAVM_CODE_BASE + base->moved;
    int64_t value = (int64_t)distance, high = high_part(value);
    if (high < INT32_MIN || high > INT32_MAX)
        return relink_fail(r, JAVM_E_LIMIT, site->offset,
                           "0x%" PRIx64
                           " is more than 2 GiB away: compile with -mcmodel=medany and "
                           "keep data below 0x80000000",
                           base->value);
    bool is_high = site->role == SITE_PC_HIGH || site->role == SITE_ABS_HIGH;
    put_le(out, with_imm(&site->insn, (int32_t)(is_high ? high : value - high)), 4);
    return JAVM_OK;
}

enum javm_status relink_emit_code(struct relink *r)
{
    r->code = malloc((size_t)r->code_len + 1);
    if (r->code == NULL)
        return relink_no_memory(r);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct site *site = &r->sites[i];
        uint8_t *out = r->code + site->moved;
        if (site->marker)
            put_le(out - 4, MARKER, 4);
        enum javm_status status = JAVM_OK;
        if (site->role == SITE_PLAIN)
            put_le(out, site->insn.raw, site->size);
        else if (site->role == SITE_DIRECT)
            status = emit_direct(r, site, out);
        else
            status = emit_pair(r, site, out);
        if (status != JAVM_OK)
            return status;
    }
    return JAVM_OK;
}

/* ---- data ------------------------------------------------------------------------------- */

static unsigned width_of(uint32_t type)
{
    switch (type) {
    case RISCV_ADD8:
    case RISCV_SUB8:
        return 1;
    case RISCV_ADD16:
    case RISCV_SUB16:
        return 2;
    case RISCV_32:
    case RISCV_ADD32:
    case RISCV_SUB32:
        return 4;
    default:
        return 8;
    }
}

static bool is_difference(uint32_t type)
{
    return type >= RISCV_ADD8 && type <= RISCV_SUB64;
}

/* A new difference must mean the same to who loads it signed and who loads it unsigned, as the old
 * one did. */
static bool difference_fits(int64_t before, int64_t now, unsigned width)
{
    if (width == 8)
        return true;
    int64_t half = INT64_C(1) << (8 * width - 1);
    if (before >= half) /* only an unsigned load got it right */
        return now >= 0 && now < 2 * half;
    return now >= -half && now < half;
}

/* All additions and subtractions at one place make one value; they are recomputed together. Returns
 * how many. */
static size_t patch_difference(const struct relink *r, size_t first, uint8_t *bytes,
                               const struct elf_section *section, enum javm_status *status)
{
    const struct elf_reloc *all = r->in->relocs;
    unsigned width = width_of(all[first].type);
    uint64_t before = 0, now = 0;
    size_t i = first;
    for (; i < r->in->reloc_count && all[i].section == section->index &&
           all[i].offset == all[first].offset && is_difference(all[i].type);
         i++) {
        bool add = all[i].type <= RISCV_ADD64;
        uint64_t moved = relink_moved(r, all[i].target);
        before += add ? all[i].target : 0 - all[i].target;
        now += add ? moved : 0 - moved;
        if (width_of(all[i].type) != width)
            width = 0;
    }
    uint64_t offset = all[first].offset,
             mask = width == 8 ? UINT64_MAX : (UINT64_C(1) << 8 * width) - 1;
    uint64_t found = 0;
    for (unsigned k = 0; k < width; k++)
        found |= (uint64_t)bytes[offset + k] << 8 * k;
    if (width == 0 || found != (before & mask))
        *status =
            javm_fail(r->err, JAVM_E_FORMAT, offset,
                      "%.40s+0x%" PRIx64 ": the bytes are not what the ADD and SUB relocations "
                      "there make",
                      section->name, offset);
    else if (!difference_fits((int64_t)before, (int64_t)now, width))
        *status = javm_fail(r->err, JAVM_E_LIMIT, offset,
                            "%.40s+0x%" PRIx64 ": the difference %" PRId64
                            " of moved addresses does not fit in %u bytes",
                            section->name, offset, (int64_t)now, width);
    else
        put_le(bytes + offset, now, width);
    return i - first;
}

static enum javm_status patch_section(const struct relink *r, const struct elf_section *section,
                                      uint8_t *bytes)
{
    enum javm_status status = JAVM_OK;
    size_t i = 0, count = r->in->reloc_count;
    const struct elf_reloc *all = r->in->relocs;
    for (size_t high = count; i < high;) { /* the section's first relocation */
        size_t middle = i + (high - i) / 2;
        if (all[middle].section < section->index)
            i = middle + 1;
        else
            high = middle;
    }
    while (i < count && all[i].section == section->index && status == JAVM_OK) {
        if (is_difference(all[i].type)) {
            i += patch_difference(r, i, bytes, section, &status);
            continue;
        }
        /* The others that are let through (NONE, RELAX) say nothing, and their targets were not
         * checked. */
        if (all[i].type == RISCV_64 || all[i].type == RISCV_32) {
            uint64_t moved = relink_moved(r, all[i].target);
            if (moved != all[i].target)
                put_le(bytes + all[i].offset, moved, width_of(all[i].type));
        }
        i++;
    }
    return status;
}

enum javm_status relink_emit_data(struct relink *r)
{
    const struct elf_input *in = r->in;
    r->contents = calloc((size_t)in->data_count + 1, sizeof(uint8_t *));
    if (r->contents == NULL)
        return relink_no_memory(r);
    for (uint32_t i = 0; i < in->data_count; i++) {
        const struct elf_section *section = &in->data[i];
        if (section->bytes == NULL)
            continue;
        r->contents[i] = malloc((size_t)section->size);
        if (r->contents[i] == NULL)
            return relink_no_memory(r);
        memcpy(r->contents[i], section->bytes, (size_t)section->size);
        enum javm_status status = patch_section(r, section, r->contents[i]);
        if (status != JAVM_OK)
            return status;
    }
    return JAVM_OK;
}

/* ---- the engine's view ------------------------------------------------------------------ */

enum javm_status relink_verify(const struct relink *r, const struct javm_program *program)
{
    if (javm_program_end(program) != r->code_len)
        return javm_fail(r->err, JAVM_E_FORMAT, javm_program_end(program),
                         "the relinked code does not verify: the engine sees its end at 0x%" PRIx64
                         " of 0x%" PRIx64,
                         javm_program_end(program), r->code_len);
    for (uint32_t i = 0; i < r->count; i++) {
        const struct site *site = &r->sites[i];
        if (site->target && !javm_program_is_start(program, site->moved))
            return relink_fail(r, JAVM_E_FORMAT, site->offset,
                               "the relinked code does not verify: 0x%" PRIx32
                               " is a target but no block start",
                               site->moved);
        struct pvm2_insn insn;
        if (site->role != SITE_DIRECT || !pvm2_decode(r->code, r->code_len, site->moved, &insn))
            continue;
        /* read back from the bytes: the branch, or the jal behind an inverted one */
        uint64_t at = site->moved;
        if (site->size == 8)
            pvm2_decode(r->code, r->code_len, at += 4, &insn);
        uint64_t to = at + (uint64_t)(int64_t)insn.imm;
        if (to != r->sites[site->link].moved || !javm_program_is_start(program, to))
            return relink_fail(r, JAVM_E_FORMAT, site->offset,
                               "the relinked code does not verify: it goes to 0x%" PRIx64
                               " instead of 0x%" PRIx32,
                               to, r->sites[site->link].moved);
    }
    return JAVM_OK;
}
