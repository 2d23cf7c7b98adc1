/* From instructions to a program: entries of the jump table, offsets, bytes. */
#include "loaders/translate.h"

#include <stdlib.h>

uint64_t translate_address(const struct relink *r, uint64_t address)
{
    const uint64_t offset = address - r->in->text.start;
    const uint32_t site = relink_site_at(r, offset);
    return 2 * (uint64_t)(site != NO_SITE ? r->pvm->sites[site].entry : r->pvm->jump_count + 1);
}

void translation_free(struct translation *t)
{
    if (t == NULL)
        return;
    free(t->sites);
    writer_free(&t->bytes);
    writer_free(&t->starts);
    free(t->bitmask);
    free(t->jumps);
    free(t);
}

static bool links(const struct site *site)
{
    return (site->insn.op == PVM2_JAL || site->insn.op == PVM2_JALR) && site->insn.rd != 0;
}

/* In the order of the code. */
static enum javm_status number_entries(struct relink *r, bool all)
{
    struct translation *t = r->pvm;
    for (uint32_t i = 0; i < r->count; i++)
        if (all || r->sites[i].named || (i != 0 && links(&r->sites[i - 1])))
            t->sites[i].entry = ++t->jump_count;
    if (t->jump_count > JAVM_PVM_JUMPS_MAX)
        return javm_fail(
            r->err, JAVM_E_LIMIT, JAVM_NOWHERE,
            "%u addresses of code are kept or returned to; a jump table has at most %u",
            t->jump_count, JAVM_PVM_JUMPS_MAX);
    return JAVM_OK;
}

/* ---- layout ----------------------------------------------------------------------------- */

static bool has_distance(const struct pvm_site *site)
{
    return !site->nothing && site->target != NO_SITE;
}

static int64_t distance_of(const struct relink *r, uint32_t number)
{
    const struct pvm_site *site = &r->pvm->sites[number];
    return (int64_t)r->sites[site->target].moved - r->sites[number].moved - site->last;
}

static bool ends_block(const struct pvm_site *site)
{
    const enum ir_shape shape = ir_shape_of(site->insn.op);
    return shape == IR_CTL || shape == IR_BRANCH || shape == IR_BRANCH_IMM;
}

/* Whoever enters in the middle of a block goes a long way round in an engine, in each round of a
 * loop. Where somebody may fall into such a place, it becomes a block. */
static void begin_blocks(struct relink *r)
{
    struct pvm_site *sites = r->pvm->sites;
    bool open = false; /* what is before may go on here */
    for (uint32_t i = 0; i < r->count; i++)
        if (has_distance(&sites[i]))
            sites[sites[i].target].joins = true;
    for (uint32_t i = 0; i < r->count; i++) {
        sites[i].lead = open && sites[i].joins;
        if (sites[i].lead != 0)
            open = false;
        if (!sites[i].nothing)
            open = !ends_block(&sites[i]);
    }
}

/* Distances take as many bytes as they need; more only makes others longer, so it ends. Of a long
 * chain of single steps the rest is given the most at once. */
static void lay_out(struct relink *r)
{
    enum { PATIENCE = 24 };
    struct pvm_site *sites = r->pvm->sites;
    bool more = true;
    for (unsigned round = 0; more; round++) {
        uint64_t at = 0;
        more = false;
        for (uint32_t i = 0; i < r->count; i++) {
            at += sites[i].lead;
            r->sites[i].moved = (uint32_t)at;
            at += (uint64_t)sites[i].len + sites[i].distance;
        }
        r->code_len = at;
        for (uint32_t i = 0; i < r->count; i++) {
            if (!has_distance(&sites[i]))
                continue;
            const uint32_t need = round < PATIENCE ? pvm_imm_bytes((int32_t)distance_of(r, i)) : 4;
            more = more || need > sites[i].distance;
            if (need > sites[i].distance)
                sites[i].distance = (uint8_t)need;
        }
    }
}

static bool allocate(struct relink *r)
{
    struct translation *t = r->pvm;
    t->bitmask_len = (r->code_len + 7) / 8;
    r->code = malloc((size_t)r->code_len + 1);
    t->bitmask = calloc((size_t)t->bitmask_len + 1, 1);
    t->jumps = malloc((t->jump_count + (size_t)1) * sizeof *t->jumps);
    return r->code != NULL && t->bitmask != NULL && t->jumps != NULL;
}

static void set_bit(struct translation *t, uint64_t at)
{
    t->bitmask[at / 8] |= (uint8_t)(1u << at % 8);
}

static void write_code(struct relink *r)
{
    struct translation *t = r->pvm;
    uint64_t at = 0;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct pvm_site *site = &t->sites[i];
        if (site->lead != 0) {
            r->code[at] = 1;
            set_bit(t, at++);
        }
        if (site->entry != 0)
            t->jumps[site->entry - 1] = (uint32_t)at;
        for (uint32_t k = 0; k < site->len; k++) {
            r->code[at + k] = t->bytes.bytes[site->at + k];
            if (t->starts.bytes[site->at + k] != 0)
                set_bit(t, at + k);
        }
        at += site->len;
        if (site->distance != 0)
            put_le(r->code + at, (uint64_t)distance_of(r, i), site->distance);
        at += site->distance;
    }
    r->code[at] = 0; /* the end: a trap, so that the last instruction ends a block */
    set_bit(t, at);
}

static enum javm_status emit(struct relink *r)
{
    for (uint32_t i = 0; i < r->count && r->pvm->bytes.len <= JAVM_PVM_CODE_MAX; i++)
        if (!translate_expand(r, i))
            return relink_no_memory(r);
    if (r->pvm->bytes.len <= JAVM_PVM_CODE_MAX)
        lay_out(r);
    else
        r->code_len = r->pvm->bytes.len;
    r->code_len++; /* the trap at the end */
    if (r->code_len > JAVM_PVM_CODE_MAX)
        return javm_fail(r->err, JAVM_E_LIMIT, JAVM_NOWHERE,
                         "the code has %llu bytes as PVM; a program has at most %u",
                         (unsigned long long)r->code_len, JAVM_PVM_CODE_MAX);
    if (!allocate(r))
        return relink_no_memory(r);
    write_code(r);
    return JAVM_OK;
}

/* ---- the engine's view ------------------------------------------------------------------ */

static enum javm_status not_as_meant(const struct relink *r, uint32_t site, uint64_t at)
{
    return relink_fail(r, JAVM_E_FORMAT, r->sites[site].offset,
                       "the translated code does not verify at 0x%llx", (unsigned long long)at);
}

enum javm_status translate_verify(const struct relink *r, const struct javm_image *image)
{
    const struct javm_program_key key = javm_program_key_of(image);
    const struct front front = front_of(image->code, image->code_len, &key);
    struct ir_step step;
    for (uint32_t i = 0; i < r->count; i++) {
        const struct pvm_site *site = &r->pvm->sites[i];
        const uint64_t end = r->sites[i].moved + (uint64_t)site->len + site->distance;
        uint64_t at = r->sites[i].moved;
        if (site->entry != 0 && image->jump_table[site->entry - 1] != at)
            return not_as_meant(r, i, at);
        for (step.insn.hi = IR_NO_TARGET; at < end; at += step.len)
            if (!front_next(&front, at, &step) || (step.insn.op == IR_RESERVED && step.executes))
                return not_as_meant(r, i, at);
        if (at != end ||
            (has_distance(site) && (uint32_t)step.insn.hi != r->sites[site->target].moved))
            return not_as_meant(r, i, at);
    }
    return JAVM_OK;
}

enum javm_status translate(struct relink *r, const struct javm_link_options *options)
{
    struct translation *t = r->pvm = calloc(1, sizeof *t);
    if (t == NULL)
        return relink_no_memory(r);
    t->sites = calloc(r->count, sizeof *t->sites);
    if (t->sites == NULL)
        return relink_no_memory(r);
    pvm_opcodes_of_jar1(&t->opcodes);
    enum javm_status status = number_entries(r, options->mark_all);
    if (status == JAVM_OK)
        status = translate_fold(r, options->mark_all);
    if (status != JAVM_OK)
        return status;
    translate_live(r);
    begin_blocks(r);
    return emit(r);
}
