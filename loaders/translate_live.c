/* Which registers are read later: what nobody reads need not be computed, and can hold something
 * else for a while. */
#include "loaders/translate.h"

enum { PATIENCE = 64 }; /* rounds */

unsigned translate_reads(const struct ir_insn *insn)
{
    const uint8_t has = ir_operands[insn->op];
    switch (insn->op) {
    case IR_JALR:
        return register_bit(insn->ra);
    case IR_ECALLI:
    case IR_ECALL_JAR:
        return ALL_LIVE;
    default:
        return ((has & IR_HAS_A) != 0 ? register_bit(insn->ra) : 0) |
               ((has & IR_HAS_B) != 0 ? register_bit(insn->rb) : 0);
    }
}

unsigned translate_writes(const struct ir_insn *insn)
{
    const bool links = insn->op == IR_JAL || insn->op == IR_JALR;
    return links || (ir_operands[insn->op] & IR_HAS_D) != 0 ? register_bit(insn->rd) : 0;
}

static unsigned live_at(const struct relink *r, uint32_t site)
{
    return site < r->count ? r->pvm->sites[site].live : 0;
}

/* After the instruction, wherever control goes. A call goes to its target; what is read behind it,
 * the return there has read. */
static unsigned live_after(const struct relink *r, uint32_t number)
{
    const struct pvm_site *site = &r->pvm->sites[number];
    if (site->nothing)
        return live_at(r, number + 1);
    switch (ir_shape_of(site->insn.op)) {
    case IR_BRANCH:
    case IR_BRANCH_IMM:
        return live_at(r, number + 1) | live_at(r, site->target);
    case IR_CTL:
        if (site->insn.op == IR_JUMP || site->insn.op == IR_JAL)
            return live_at(r, site->target);
        return site->insn.op == IR_TRAP || site->insn.op == IR_RESERVED ? 0 : ALL_LIVE;
    default:
        return live_at(r, number + 1);
    }
}

static unsigned live_before(const struct relink *r, uint32_t number)
{
    const struct pvm_site *site = &r->pvm->sites[number];
    const unsigned after = live_after(r, number), written = translate_writes(&site->insn);
    if (site->nothing || (only_computes(&site->insn) && (written & after) == 0))
        return after;
    return (after & ~written) | translate_reads(&site->insn);
}

void translate_live(struct relink *r)
{
    bool more = true;
    for (unsigned round = 0; more && round < PATIENCE; round++) {
        more = false;
        for (uint32_t i = r->count; i-- > 0;) {
            const uint16_t live = (uint16_t)live_before(r, i);
            more = more || live != r->pvm->sites[i].live;
            r->pvm->sites[i].live = live;
        }
    }
    for (uint32_t i = 0; more && i < r->count; i++) /* not at an end: nothing is known */
        r->pvm->sites[i].live = ALL_LIVE;
    for (uint32_t i = 0; i < r->count; i++) {
        struct pvm_site *site = &r->pvm->sites[i];
        if (only_computes(&site->insn) && (translate_writes(&site->insn) & live_at(r, i + 1)) == 0)
            site->nothing = true;
    }
}
