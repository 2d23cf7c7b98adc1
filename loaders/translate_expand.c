/* One instruction of RISC-V, one or more of PVM. */
#include "loaders/translate.h"

/* The site that is being written. */
struct expansion {
    struct translation *t;
    struct pvm_site *site;
    unsigned dead; /* registers that nobody reads behind it */
    uint8_t spilled[2];
    unsigned spill_count;
};

/* ---- output ----------------------------------------------------------------------------- */

static void put(struct expansion *x, const struct ir_insn *insn)
{
    uint8_t bytes[PVM_INSN_MAX], starts[PVM_INSN_MAX] = {1};
    const uint32_t len = pvm_encode(&x->t->opcodes, insn, 0, bytes);
    x->site->last = x->site->len;
    x->site->len = (uint8_t)(x->site->len + len);
    writer_put(&x->t->bytes, bytes, len);
    writer_put(&x->t->starts, starts, len);
}

static void put3(struct expansion *x, enum ir_op op, uint8_t d, uint8_t a, uint8_t b)
{
    put(x, &(struct ir_insn){.op = (uint16_t)op, .rd = d, .ra = a, .rb = b});
}

static void put_imm(struct expansion *x, enum ir_op op, uint8_t d, uint8_t a, int64_t imm)
{
    put(x, &(struct ir_insn){.op = (uint16_t)op, .rd = d, .ra = a, .rb = IR_ZERO, .imm = imm});
}

/* ---- registers -------------------------------------------------------------------------- */

static int64_t spill_address(unsigned i)
{
    return TRANSLATE_SPILLS + 8 * (int64_t)i;
}

/* A register that is not one of `taken`, to compute in. What it holds is kept if somebody wants it.
 */
static uint8_t borrow(struct expansion *x, unsigned taken)
{
    const unsigned dead = x->dead & ~taken;
    if (dead != 0) {
        const unsigned r = (unsigned)__builtin_ctz(dead);
        x->dead &= ~(1u << r);
        return (uint8_t)r;
    }
    for (unsigned i = 0; i < x->spill_count; i++)
        taken |= register_bit(x->spilled[i]);
    const uint8_t r = (uint8_t)__builtin_ctz(ALL_LIVE & ~taken);
    const struct ir_insn keep = {
        .op = IR_SD, .ra = IR_ZERO, .rb = r, .imm = spill_address(x->spill_count)};
    put(x, &keep);
    x->spilled[x->spill_count++] = r;
    x->t->spills = true;
    return r;
}

static void give_back(struct expansion *x)
{
    for (unsigned i = 0; i < x->spill_count; i++)
        put_imm(x, IR_LD, x->spilled[i], IR_ZERO, spill_address(i));
}

static unsigned used(const struct ir_insn *insn)
{
    return translate_reads(insn) | register_bit(insn->rd);
}

/* Where to compute what rd becomes in the end: rd, unless it has to be read until then. */
static uint8_t room(struct expansion *x, const struct ir_insn *insn, unsigned read_later)
{
    return (register_bit(insn->rd) & read_later) == 0 && insn->rd != IR_SINK
               ? insn->rd
               : borrow(x, used(insn));
}

/* ---- what PVM does not have ------------------------------------------------------------- */

static void expand(struct expansion *x, const struct ir_insn *insn);

/* d := (a << n) + b. Where d is b, adding some times needs no other register. */
static void shift_and_add(struct expansion *x, const struct ir_insn *insn, unsigned n)
{
    const unsigned others = x->dead & ~used(insn);
    if (insn->rd == insn->rb && insn->ra != insn->rb && (n == 1 || others == 0)) {
        for (unsigned i = 0; i < 1u << n; i++)
            put3(x, IR_ADD, insn->rd, insn->rd, insn->ra);
        return;
    }
    if (insn->ra == insn->rb) {
        put_imm(x, IR_MULI, insn->rd, insn->ra, (1 << n) + 1);
        return;
    }
    const uint8_t to = room(x, insn, register_bit(insn->rb));
    put_imm(x, IR_SLLI, to, insn->ra, n);
    put3(x, IR_ADD, insn->rd, to, insn->rb);
}

/* d := (the low word of a << n) + b. */
static void word_and_add(struct expansion *x, const struct ir_insn *insn, unsigned n)
{
    const uint8_t to = room(x, insn, register_bit(insn->rb));
    put_imm(x, IR_SLLI, to, insn->ra, 32);
    put_imm(x, IR_SRLI, to, to, 32 - n);
    if (insn->rb != IR_ZERO)
        put3(x, IR_ADD, insn->rd, to, insn->rb);
}

static void change_bit(struct expansion *x, const struct ir_insn *insn, enum ir_op op)
{
    const uint8_t bit = room(x, insn, register_bit(insn->ra));
    put_imm(x, IR_ISLL, bit, insn->rb, 1);
    put3(x, op, insn->rd, insn->ra, bit);
}

/* d := a unless b is zero (or: is not), else 0. */
static void choose(struct expansion *x, const struct ir_insn *insn, bool when_zero)
{
    const uint8_t d = insn->rd, a = insn->ra, b = insn->rb;
    if (d == b && a != b) {
        if (when_zero) /* where b is 0 it is the result */
            put3(x, IR_CMOV_NEZ, d, a, b);
        else {
            put_imm(x, IR_SLTIU, d, b, 1);
            put3(x, IR_CMOV_NEZ, d, a, d);
        }
        return;
    }
    if (d != a)
        put3(x, IR_MOVE, d, a, IR_ZERO);
    put_imm(x, when_zero ? IR_CMOVI_EQZ : IR_CMOVI_NEZ, d, b, 0);
}

/* Immediates of and, or, xor that only a register can hold: a single bit goes by a rotation. */
static void wide_immediate(struct expansion *x, const struct ir_insn *insn)
{
    const uint64_t imm = (uint64_t)insn->imm, bit = insn->op == IR_ANDI ? ~imm : imm;
    if (bit != 0 && (bit & (bit - 1)) == 0) {
        const int at = __builtin_ctzll(bit);
        put_imm(x, IR_RORI, insn->rd, insn->ra, at);
        put_imm(x, (enum ir_op)insn->op, insn->rd, insn->rd, insn->op == IR_ANDI ? -2 : 1);
        put_imm(x, IR_RORI, insn->rd, insn->rd, 64 - at);
        return;
    }
    const uint8_t value = room(x, insn, register_bit(insn->ra));
    put_imm(x, IR_LI, value, IR_ZERO, insn->imm);
    put3(x,
         insn->op == IR_ANDI  ? IR_AND
         : insn->op == IR_ORI ? IR_OR
                              : IR_XOR,
         insn->rd, insn->ra, value);
}

/* orc.b: adding 0x7F to the low bits of each byte sets bit 7 where one of them is set. */
static void or_in_bytes(struct expansion *x, const struct ir_insn *insn)
{
    const uint8_t sum = room(x, insn, register_bit(insn->ra));
    const uint8_t ones = borrow(x, used(insn) | register_bit(sum));
    put_imm(x, IR_LI, ones, IR_ZERO, INT64_C(0x7F7F7F7F7F7F7F7F));
    put3(x, IR_AND, sum, insn->ra, ones);
    put3(x, IR_ADD, sum, sum, ones);
    put3(x, IR_OR, sum, sum, insn->ra);
    put3(x, IR_ANDN, sum, sum, ones);
    put_imm(x, IR_SRLI, sum, sum, 7);
    put_imm(x, IR_MULI, insn->rd, sum, 255);
}

/* x0 where PVM wants a register. */
static void with_zero(struct expansion *x, const struct ir_insn *insn)
{
    struct ir_insn with = *insn;
    const unsigned has = ir_operands[insn->op];
    const uint8_t zero = room(x, insn, translate_reads(insn));
    put_imm(x, IR_LI, zero, IR_ZERO, 0);
    if ((has & IR_HAS_A) != 0 && insn->ra == IR_ZERO)
        with.ra = zero;
    if ((has & IR_HAS_B) != 0 && insn->rb == IR_ZERO)
        with.rb = zero;
    expand(x, &with);
}

/* A load whose result nobody wants still has to find its page. */
static void load_and_drop(struct expansion *x, const struct ir_insn *insn)
{
    struct ir_insn with = *insn;
    with.rd = borrow(x, translate_reads(insn));
    put(x, &with);
}

static void computing(struct expansion *x, const struct ir_insn *insn)
{
    const unsigned has = ir_operands[insn->op];
    switch (insn->op) {
    case IR_ZEXT_W:
        word_and_add(x, insn, 0);
        return;
    case IR_SEXT_W:
        put_imm(x, IR_ADDIW, insn->rd, insn->ra, 0);
        return;
    case IR_SLLI_UW:
        if (insn->imm < 32) {
            put_imm(x, IR_SLLI, insn->rd, insn->ra, 32);
            put_imm(x, IR_SRLI, insn->rd, insn->rd, 32 - insn->imm);
        } else {
            put_imm(x, IR_SLLI, insn->rd, insn->ra, insn->imm);
        }
        return;
    case IR_BEXTI:
        put_imm(x, IR_SRLI, insn->rd, insn->ra, insn->imm);
        put_imm(x, IR_ANDI, insn->rd, insn->rd, 1);
        return;
    case IR_ANDI:
    case IR_ORI:
    case IR_XORI:
        wide_immediate(x, insn);
        return;
    default:
        break;
    }
    if (((has & IR_HAS_A) != 0 && insn->ra == IR_ZERO) ||
        ((has & IR_HAS_B) != 0 && insn->rb == IR_ZERO)) {
        with_zero(x, insn);
        return;
    }
    switch (insn->op) {
    case IR_SH1ADD:
    case IR_SH2ADD:
    case IR_SH3ADD:
        shift_and_add(x, insn, insn->op - IR_SH1ADD + 1u);
        return;
    case IR_ADD_UW:
    case IR_SH1ADD_UW:
    case IR_SH2ADD_UW:
    case IR_SH3ADD_UW:
        word_and_add(x, insn, insn->op == IR_ADD_UW ? 0 : insn->op - IR_SH1ADD_UW + 1u);
        return;
    case IR_BSET:
        change_bit(x, insn, IR_OR);
        return;
    case IR_BINV:
        change_bit(x, insn, IR_XOR);
        return;
    case IR_BCLR:
        change_bit(x, insn, IR_ANDN);
        return;
    case IR_BEXT:
        put3(x, IR_SRL, insn->rd, insn->ra, insn->rb);
        put_imm(x, IR_ANDI, insn->rd, insn->rd, 1);
        return;
    case IR_CZERO_EQZ:
    case IR_CZERO_NEZ:
        choose(x, insn, insn->op == IR_CZERO_EQZ);
        return;
    default:
        or_in_bytes(x, insn);
        return;
    }
}

/* ---- control ---------------------------------------------------------------------------- */

/* A jump into itself, where no instruction begins. */
static void panic(struct expansion *x)
{
    static const uint8_t bytes[2] = {40, 1}, starts[2] = {1, 0};
    writer_put(&x->t->bytes, bytes, 2);
    writer_put(&x->t->starts, starts, 2);
    x->site->len = (uint8_t)(x->site->len + 2);
}

static void jump_by_register(struct expansion *x, const struct ir_insn *insn, int32_t link)
{
    const bool links = register_bit(insn->rd) != 0;
    struct ir_insn jump = {.op = IR_DJUMP, .ra = insn->ra, .lo = insn->lo};
    if (insn->ra == IR_ZERO) { /* an address in the first or last 2 KiB: nothing is there */
        if (links)
            put_imm(x, IR_LI, insn->rd, IR_ZERO, link);
        panic(x);
        return;
    }
    if (links) {
        jump.op = IR_LI_DJUMP;
        jump.rd = insn->rd;
        jump.lo = link;
        jump.hi = insn->lo;
    }
    put(x, &jump);
}

static void control(struct expansion *x, const struct ir_insn *insn, int32_t link)
{
    struct ir_insn with = *insn;
    switch (insn->op) {
    case IR_JALR:
        jump_by_register(x, insn, link);
        return;
    case IR_RESERVED:
        panic(x);
        return;
    case IR_JAL:
        with.op = IR_LI_JUMP;
        with.lo = link;
        break;
    default:
        break;
    }
    put(x, &with);
}

static void expand(struct expansion *x, const struct ir_insn *insn)
{
    const enum ir_shape shape = ir_shape_of(insn->op);
    if (shape <= IR_SHAPE_LI && !pvm_encodes(&x->t->opcodes, insn))
        computing(x, insn);
    else if (shape == IR_LOAD && insn->rd == IR_SINK)
        load_and_drop(x, insn);
    else
        put(x, insn);
}

bool translate_expand(struct relink *r, uint32_t number)
{
    struct translation *t = r->pvm;
    struct pvm_site *site = &t->sites[number];
    const uint32_t next = number + 1;
    const bool last = next == r->count;
    struct expansion x = {
        .t = t, .site = site, .dead = ALL_LIVE & ~(last ? 0u : t->sites[next].live)};
    site->at = (uint32_t)t->bytes.len;
    site->len = site->last = 0;
    if (site->nothing)
        return true;
    if (ir_shape_of(site->insn.op) == IR_CTL) {
        const uint32_t entry = last ? t->jump_count + 1 : t->sites[next].entry;
        control(&x, &site->insn, (int32_t)(2 * entry));
    } else {
        expand(&x, &site->insn);
        give_back(&x);
    }
    return !t->bytes.failed && !t->starts.failed;
}
