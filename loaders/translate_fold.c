/* Sites as internal instructions, with constants put where PVM has room for them: whole addresses
 * in loads and stores, immediates that RISC-V makes in two steps, x0. */
#include <inttypes.h>

#include "loaders/translate.h"

struct fold {
    uint64_t value[IR_REGS];
    uint32_t known; /* bits: registers that hold value[]; IR_ZERO always does */
};

static bool is_known(const struct fold *f, unsigned r)
{
    return (f->known >> r & 1) != 0;
}

static void forget(struct fold *f, unsigned registers)
{
    f->known &= ~registers;
}

static bool fits(uint64_t value)
{
    return (uint64_t)(int64_t)(int32_t)value == value;
}

static void become(struct ir_insn *insn, enum ir_op op, uint8_t a, uint64_t imm)
{
    insn->op = (uint16_t)op;
    insn->ra = a;
    insn->rb = IR_ZERO;
    insn->imm = (int64_t)imm;
}

/* ---- computing -------------------------------------------------------------------------- */

/* The same with a constant as second and as first operand; 0 (ADD): there is none. */
enum { AS_IT_IS, NEGATED, INVERTED, BIT, NO_BIT };
static const struct {
    uint8_t second, how, first;
} immediate[IR_OP_COUNT] = {
    [IR_ADD] = {IR_ADDI, AS_IT_IS, IR_ADDI},
    [IR_SUB] = {IR_ADDI, NEGATED, IR_ISUB},
    [IR_SLL] = {IR_SLLI, AS_IT_IS, IR_ISLL},
    [IR_SRL] = {IR_SRLI, AS_IT_IS, IR_ISRL},
    [IR_SRA] = {IR_SRAI, AS_IT_IS, IR_ISRA},
    [IR_SLT] = {IR_SLTI, AS_IT_IS, IR_SGTI},
    [IR_SLTU] = {IR_SLTIU, AS_IT_IS, IR_SGTIU},
    [IR_XOR] = {IR_XORI, AS_IT_IS, IR_XORI},
    [IR_OR] = {IR_ORI, AS_IT_IS, IR_ORI},
    [IR_AND] = {IR_ANDI, AS_IT_IS, IR_ANDI},
    [IR_MUL] = {IR_MULI, AS_IT_IS, IR_MULI},
    [IR_ROR] = {IR_RORI, AS_IT_IS, IR_IROR},
    [IR_ROL] = {IR_RORI, NEGATED, 0},
    [IR_ANDN] = {IR_ANDI, INVERTED, 0},
    [IR_ORN] = {IR_ORI, INVERTED, 0},
    [IR_XNOR] = {IR_XORI, INVERTED, 0},
    [IR_BSET] = {IR_ORI, BIT, 0},
    [IR_BINV] = {IR_XORI, BIT, 0},
    [IR_BCLR] = {IR_ANDI, NO_BIT, 0},
    [IR_BEXT] = {IR_BEXTI, AS_IT_IS, 0},
    [IR_ADDW] = {IR_ADDIW, AS_IT_IS, IR_ADDIW},
    [IR_SUBW] = {IR_ADDIW, NEGATED, IR_ISUBW},
    [IR_SLLW] = {IR_SLLIW, AS_IT_IS, IR_ISLLW},
    [IR_SRLW] = {IR_SRLIW, AS_IT_IS, IR_ISRLW},
    [IR_SRAW] = {IR_SRAIW, AS_IT_IS, IR_ISRAW},
    [IR_MULW] = {IR_MULIW, AS_IT_IS, IR_MULIW},
    [IR_RORW] = {IR_RORIW, AS_IT_IS, IR_IRORW},
    [IR_ROLW] = {IR_RORIW, NEGATED, 0},
};

static uint64_t changed(unsigned how, uint64_t value)
{
    switch (how) {
    case NEGATED:
        return 0 - value;
    case INVERTED:
        return ~value;
    case BIT:
        return UINT64_C(1) << (value & 63);
    case NO_BIT:
        return ~(UINT64_C(1) << (value & 63));
    default:
        return value;
    }
}

static bool is_shift(uint16_t op)
{
    return (op >= IR_SLLI && op <= IR_BEXTI) || (op >= IR_SLLIW && op <= IR_SLLI_UW);
}

static void with_second(struct ir_insn *insn, uint64_t b)
{
    const uint8_t op = immediate[insn->op].second;
    uint64_t value = changed(immediate[insn->op].how, b);
    if (insn->op == IR_CZERO_EQZ || insn->op == IR_CZERO_NEZ) {
        if ((b == 0) == (insn->op == IR_CZERO_EQZ))
            become(insn, IR_LI, IR_ZERO, 0);
        else
            become(insn, IR_MOVE, insn->ra, 0);
        return;
    }
    if (b == 0 && insn->op >= IR_SH1ADD && insn->op <= IR_SH3ADD) {
        become(insn, IR_SLLI, insn->ra, (uint64_t)(insn->op - IR_SH1ADD) + 1);
        return;
    }
    if (op == 0)
        return;
    if (is_shift(op))
        value &= op >= IR_ADDIW ? 31 : 63;
    if (fits(value))
        become(insn, (enum ir_op)op, insn->ra, value);
}

static void with_first(struct ir_insn *insn, uint64_t a)
{
    const uint8_t op = immediate[insn->op].first;
    uint64_t added;
    if (insn->op == IR_CZERO_EQZ || insn->op == IR_CZERO_NEZ) {
        if (a == 0)
            become(insn, IR_LI, IR_ZERO, 0);
        return;
    }
    if (insn->op >= IR_SH1ADD && insn->op <= IR_SH3ADD)
        added = a << (insn->op - IR_SH1ADD + 1);
    else if (insn->op >= IR_ADD_UW && insn->op <= IR_SH3ADD_UW)
        added = (a & UINT32_MAX) << (insn->op - IR_ADD_UW);
    else {
        if (op != 0 && fits(a))
            become(insn, (enum ir_op)op, insn->rb, a);
        return;
    }
    if (fits(added))
        become(insn, IR_ADDI, insn->rb, added);
}

static void fold_computing(const struct fold *f, struct ir_insn *insn)
{
    const uint8_t has = ir_operands[insn->op];
    const bool a = is_known(f, insn->ra), b = is_known(f, insn->rb);
    const uint64_t x = f->value[insn->ra], y = f->value[insn->rb];
    if (((has & IR_HAS_A) == 0 || a) && ((has & IR_HAS_B) == 0 || b)) {
        become(insn, IR_LI, IR_ZERO, ir_eval(insn, 0, x, y));
        return;
    }
    if (ir_shape_of(insn->op) == IR_R3 && b)
        with_second(insn, y);
    else if (ir_shape_of(insn->op) == IR_R3 && a)
        with_first(insn, x);
    if (insn->imm == 0 && (insn->op == IR_ADDI || insn->op == IR_XORI || insn->op == IR_ORI ||
                           (insn->op >= IR_SLLI && insn->op <= IR_RORI)))
        insn->op = IR_MOVE;
}

/* ---- memory ----------------------------------------------------------------------------- */

static void fold_access(const struct fold *f, struct ir_insn *insn)
{
    if (is_known(f, insn->ra)) {
        insn->imm = (int32_t)(uint32_t)(f->value[insn->ra] + (uint64_t)insn->imm);
        insn->ra = IR_ZERO;
    }
    if (ir_shape_of(insn->op) != IR_STORE || !is_known(f, insn->rb))
        return;
    const uint64_t value = f->value[insn->rb];
    if (insn->op == IR_SD && !fits(value))
        return;
    insn->op = (uint16_t)(insn->op - IR_SB + IR_SBI);
    insn->rb = IR_ZERO;
    insn->lo = (int32_t)insn->imm;
    insn->hi = (int32_t)value;
}

/* ---- branches --------------------------------------------------------------------------- */

static bool is_taken(uint16_t op, uint64_t a, uint64_t b)
{
    switch (op) {
    case IR_BEQ:
        return a == b;
    case IR_BNE:
        return a != b;
    case IR_BLT:
        return (int64_t)a < (int64_t)b;
    case IR_BGE:
        return (int64_t)a >= (int64_t)b;
    case IR_BLTU:
        return a < b;
    default:
        return a >= b;
    }
}

/* With a constant as second operand, as first. */
static const uint8_t branches[IR_OP_COUNT][2] = {
    [IR_BEQ] = {IR_BEQI, IR_BEQI},    [IR_BNE] = {IR_BNEI, IR_BNEI},
    [IR_BLT] = {IR_BLTI, IR_BGTI},    [IR_BGE] = {IR_BGEI, IR_BLEI},
    [IR_BLTU] = {IR_BLTUI, IR_BGTUI}, [IR_BGEU] = {IR_BGEUI, IR_BLEUI}};

static void fold_branch(const struct fold *f, struct pvm_site *site)
{
    struct ir_insn *insn = &site->insn;
    const uint64_t a = f->value[insn->ra], b = f->value[insn->rb];
    const bool first = is_known(f, insn->ra), second = is_known(f, insn->rb);
    if (first && second) {
        site->nothing = !is_taken(insn->op, a, b);
        insn->op = IR_JUMP;
    } else if ((second && fits(b)) || (first && fits(a))) {
        const bool swap = !(second && fits(b));
        insn->op = branches[insn->op][swap];
        insn->lo = (int32_t)(swap ? a : b);
        if (swap)
            insn->ra = insn->rb;
        insn->rb = IR_ZERO;
    }
}

/* ---- sites ------------------------------------------------------------------------------ */

static int64_t high_part(uint64_t value)
{
    return (int64_t)((value + 0x800) & ~UINT64_C(0xFFF));
}

/* An instruction whose immediate is the low part of an address. */
static enum javm_status low_part(const struct relink *r, const struct site *site,
                                 struct pvm_site *out, uint64_t value)
{
    struct ir_insn *insn = &out->insn;
    const bool code = relink_in_text(r, value);
    const int64_t low = code ? 0 : (int64_t)(value - (uint64_t)high_part(value));
    if (insn->op == IR_JALR) {
        if (!code) {
            insn->lo = (int32_t)low;
            return JAVM_OK;
        }
        out->target = relink_site_at(r, value - r->in->text.start);
        insn->op = register_bit(insn->rd) == 0 ? IR_JUMP : IR_JAL;
        return JAVM_OK;
    }
    if (code && !only_computes(insn))
        return relink_fail(r, JAVM_E_UNSUPPORTED, site->offset,
                           "\"%s\" reads or writes code, which PVM has not in memory",
                           pvm2_mnemonic((enum pvm2_op)site->insn.op));
    if (insn->op == IR_MOVE || insn->op == IR_LI) /* what they are with a low part of 0 */
        insn->op = insn->ra == IR_ZERO ? IR_LI : IR_ADDI;
    insn->imm = low;
    return JAVM_OK;
}

static enum javm_status take_site(struct relink *r, uint32_t number)
{
    const struct site *site = &r->sites[number];
    struct pvm_site *out = &r->pvm->sites[number];
    struct ir_step step;
    out->target = site->role == SITE_DIRECT ? site->link : NO_SITE;
    if (!pvm2_next(r->in->text.bytes, r->in->text.size, site->offset, 0, &step))
        return relink_fail(r, JAVM_E_FORMAT, site->offset, "no instruction");
    out->insn = step.insn;
    out->nothing = !step.executes;
    if (step.insn.op == IR_ECALLI && step.insn.imm < 0)
        return relink_fail(r, JAVM_E_UNSUPPORTED, site->offset,
                           "operation %" PRId64 ": PVM has no negative ones", step.insn.imm);
    switch ((enum site_role)site->role) {
    case SITE_PLAIN:
    case SITE_DIRECT:
        break;
    case SITE_PC_HIGH:
    case SITE_ABS_HIGH:
        out->insn.imm = relink_in_text(r, site->value) ? (int64_t)relink_moved(r, site->value)
                                                       : high_part(site->value);
        break;
    case SITE_PC_LOW:
        return low_part(r, site, out, r->sites[site->link].value);
    case SITE_ABS_LOW:
        return low_part(r, site, out, site->value);
    }
    return JAVM_OK;
}

static void fold_site(struct fold *f, struct pvm_site *site)
{
    struct ir_insn *insn = &site->insn;
    switch (ir_shape_of(insn->op)) {
    case IR_LOAD:
    case IR_STORE:
        fold_access(f, insn);
        break;
    case IR_BRANCH:
        fold_branch(f, site);
        break;
    case IR_CTL:
        break;
    default:
        fold_computing(f, insn);
        if (insn->op == IR_MOVE && insn->rd == insn->ra)
            site->nothing = true;
        break;
    }
    const unsigned written = translate_writes(insn);
    forget(f, written);
    if (insn->op == IR_LI && written != 0) {
        f->known |= written;
        f->value[insn->rd] = (uint64_t)insn->imm;
    }
    if (insn->op == IR_ECALLI || insn->op == IR_ECALL_JAR)
        forget(f, ALL_LIVE);
}

enum javm_status translate_fold(struct relink *r, bool plainly)
{
    struct fold f = {.known = 1u << IR_ZERO};
    for (uint32_t i = 0; i < r->count; i++) {
        struct pvm_site *site = &r->pvm->sites[i];
        const enum javm_status status = take_site(r, i);
        if (status != JAVM_OK)
            return status;
        if (plainly || r->sites[i].target || site->entry != 0)
            forget(&f, ALL_LIVE);
        if (!site->nothing)
            fold_site(&f, site);
        if (site->insn.op == IR_JUMP && site->target == i + 1)
            site->nothing = true;
    }
    return JAVM_OK;
}
