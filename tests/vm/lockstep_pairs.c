/* Instructions that belong together. */
#include "tests/vm/lockstep_gen.h"

/* Two or three registers for all operands of a pair, so that they are often the same. */
struct operands {
    unsigned some[3];
    struct gen *g;
};

static struct operands choose(struct gen *g)
{
    struct operands o = {.g = g};
    for (unsigned i = 0; i < 3; i++)
        o.some[i] = asm_free(&g->a);
    if (chance(g->random, 30))
        o.some[2] = o.some[1];
    return o;
}

static unsigned in(const struct operands *o)
{
    return chance(o->g->random, 8) ? asm_src(&o->g->a) : o->some[random_below(o->g->random, 3)];
}

static unsigned out(const struct operands *o)
{
    return chance(o->g->random, 8) ? asm_dst(&o->g->a) : o->some[random_below(o->g->random, 3)];
}

/* Between the two: mostly nothing. */
static void split(struct gen *g)
{
    const unsigned k = (unsigned)random_below(g->random, 100);
    if (k < 10)
        asm_put(&g->a, PVM2_FALLTHROUGH, 0, 0, 0, 0);
    else if (k < 20)
        gen_alu(g);
    else if (k < 23)
        asm_put(&g->a, PVM2_FENCE, 0, 0, 0, 0);
    else if (k < 26)
        gen_access(g);
}

static enum pvm2_op one_of(struct gen *g, const uint8_t *ops, unsigned count)
{
    return (enum pvm2_op)ops[random_below(g->random, count)];
}
#define ONE_OF(g, ...) \
    one_of(g, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

/* A branch over a few instructions, its condition from two registers. */
static void skip(struct gen *g, enum pvm2_op op, unsigned rs1, unsigned rs2, unsigned most)
{
    const unsigned label = asm_label(&g->a);
    asm_jump(&g->a, op, 0, rs1, rs2, label, 0);
    for (uint64_t i = random_below(g->random, most + 1); i-- != 0;)
        gen_alu(g);
    asm_block(&g->a, label);
}

static void constants(struct gen *g, const struct operands *o)
{
    struct lock_asm *a = &g->a;
    const unsigned d = out(o), s = in(o);
    switch (random_below(g->random, 4)) {
    case 0:
        asm_put(a, PVM2_LUI, d, 0, 0, asm_imm(a, PVM2_LUI));
        split(g);
        asm_put(a, ONE_OF(g, PVM2_ADDI, PVM2_ADDIW), out(o), d, 0, asm_imm(a, PVM2_ADDI));
        break;
    case 1: /* an operand that is known */
        asm_put(a, PVM2_ADDI, d, 0, 0, asm_imm(a, PVM2_ADDI));
        split(g);
        asm_put(a, asm_any(a, ASM_R), out(o), chance(g->random, 50) ? s : d, d, 0);
        break;
    case 2: /* division by what needs care */
        asm_put(a, PVM2_ADDI, d, 0, 0, (int32_t)random_below(g->random, 5) - 2);
        asm_put(a,
                ONE_OF(g, PVM2_DIV, PVM2_REM, PVM2_DIVU, PVM2_REMU, PVM2_DIVW, PVM2_REMW,
                       PVM2_DIVUW, PVM2_REMUW),
                out(o), s, d, 0);
        break;
    default:
        asm_li(a, d, (uint32_t)lock_value(g->random));
        asm_put(a, asm_any(a, ASM_R), out(o), d, s, 0);
    }
}

static void comparisons(struct gen *g, const struct operands *o)
{
    struct lock_asm *a = &g->a;
    const unsigned d = out(o);
    switch (random_below(g->random, 6)) {
    case 0:
        asm_put(a, ONE_OF(g, PVM2_SLT, PVM2_SLTU), d, in(o), in(o), 0);
        break;
    case 1:
        asm_put(a, ONE_OF(g, PVM2_SLTI, PVM2_SLTIU), d, in(o), 0, asm_imm(a, PVM2_SLTI));
        break;
    case 2:
        asm_put(a, PVM2_XOR, d, in(o), in(o), 0);
        asm_put(a, PVM2_SLTIU, d, d, 0, 1);
        break;
    case 3:
        asm_put(a, PVM2_SLTU, d, 0, in(o), 0);
        break;
    case 4:
        asm_put(a, ONE_OF(g, PVM2_AND, PVM2_SUB, PVM2_ADD, PVM2_BEXT, PVM2_SUBW), d, in(o), in(o),
                0);
        break;
    default:
        asm_put(a, PVM2_BEXTI, d, in(o), 0, asm_imm(a, PVM2_BEXTI));
    }
    split(g);
    if (chance(g->random, 20))
        asm_put(a, PVM2_XORI, d, d, 0, 1);
    if (chance(g->random, 80))
        skip(g, ONE_OF(g, PVM2_BEQ, PVM2_BNE), d, 0, 2);
    else
        skip(g, asm_any(a, ASM_BRANCH), d, in(o), 2);
}

static void addresses(struct gen *g, const struct operands *o)
{
    struct lock_asm *a = &g->a;
    const unsigned index = asm_free(a), d = out(o), t = asm_free(a);
    if (t == 0)
        return;
    if (chance(g->random, 100 - g->risk)) /* keep it inside */
        asm_put(a, PVM2_ANDI, index, in(o), 0, chance(g->random, 50) ? 0xF8 : 0x7F);
    if (chance(g->random, 25)) {
        asm_put(a, PVM2_SLLI, t, index, 0, (int32_t)random_below(g->random, 5));
        split(g);
        asm_put(a, PVM2_ADD, t, t, g->base, 0);
    } else {
        asm_put(a,
                ONE_OF(g, PVM2_ADD, PVM2_SH1ADD, PVM2_SH2ADD, PVM2_SH3ADD, PVM2_ADD_UW,
                       PVM2_SH1ADD_UW, PVM2_SH2ADD_UW, PVM2_SH3ADD_UW),
                t, index, g->base, 0);
    }
    split(g);
    const int32_t imm = chance(g->random, 60) ? 0 : asm_imm(a, PVM2_LD) / 4;
    if (chance(g->random, 60))
        asm_put(a, asm_any(a, ASM_LOAD), chance(g->random, 50) ? t : d, t, 0, imm);
    else
        asm_put(a, asm_any(a, ASM_STORE), 0, t, chance(g->random, 30) ? t : in(o), imm);
}

static void shifts(struct gen *g, const struct operands *o)
{
    static const uint8_t amounts[] = {32, 32, 48, 56, 16, 63, 1, 0};
    struct lock_asm *a = &g->a;
    const unsigned d = out(o), s = in(o);
    const int32_t first = chance(g->random, 70) ? amounts[random_below(g->random, 8)]
                                                : (int32_t)random_below(g->random, 64);
    const int32_t second = chance(g->random, 60) ? first : (int32_t)random_below(g->random, 64);
    switch (random_below(g->random, 4)) {
    case 2: /* a scaled index and its base */
        asm_put(a, PVM2_SLLI, d, s, 0, (int32_t)random_below(g->random, 5));
        split(g);
        asm_put(a, PVM2_ADD, chance(g->random, 85) ? d : out(o), d,
                chance(g->random, 85) ? in(o) : d, 0);
        break;
    case 0:
        asm_put(a, PVM2_SLLI, d, s, 0, first);
        split(g);
        asm_put(a, ONE_OF(g, PVM2_SRLI, PVM2_SRAI), chance(g->random, 70) ? d : out(o), d, 0,
                second);
        break;
    case 1: { /* a rotation, or nearly */
        const unsigned t = out(o);
        asm_put(a, PVM2_SLLI, d, s, 0, first);
        asm_put(a, PVM2_SRLI, t, in(o), 0, chance(g->random, 70) ? (64 - first) & 63 : second);
        asm_put(a, ONE_OF(g, PVM2_OR, PVM2_XOR, PVM2_ADD), out(o), d, t, 0);
        break;
    }
    default:
        asm_put(a, ONE_OF(g, PVM2_REV8, PVM2_ORC_B, PVM2_SEXT_B, PVM2_SEXT_H, PVM2_ZEXT_H), d, s, 0,
                0);
        asm_put(a, ONE_OF(g, PVM2_SRLI, PVM2_SRAI, PVM2_SLLI, PVM2_SLLI_UW), out(o), d, 0, first);
    }
}

static void products(struct gen *g, const struct operands *o)
{
    struct lock_asm *a = &g->a;
    const unsigned x = in(o), y = in(o);
    const bool swap = chance(g->random, 50), turn = chance(g->random, 25);
    const enum pvm2_op high = ONE_OF(g, PVM2_MULHU, PVM2_MULH, PVM2_MULHSU);
    asm_put(a, swap ? high : PVM2_MUL, out(o), x, y, 0);
    split(g);
    asm_put(a, swap ? PVM2_MUL : high, out(o), turn ? y : x, turn ? x : y, 0);
}

static void quotients(struct gen *g, const struct operands *o)
{
    static const uint8_t pairs[4][2] = {{PVM2_DIV, PVM2_REM},
                                        {PVM2_DIVU, PVM2_REMU},
                                        {PVM2_DIVW, PVM2_REMW},
                                        {PVM2_DIVUW, PVM2_REMUW}};
    const uint8_t *pair = pairs[random_below(g->random, 4)];
    const unsigned x = in(o), y = in(o), swap = (unsigned)random_below(g->random, 2);
    asm_put(&g->a, (enum pvm2_op)pair[swap], out(o), x, y, 0);
    split(g);
    asm_put(&g->a, (enum pvm2_op)pair[swap ^ 1], out(o), x, y, 0);
}

static void choices(struct gen *g, const struct operands *o)
{
    struct lock_asm *a = &g->a;
    const unsigned d = out(o), t = out(o), c = in(o);
    const bool swap = chance(g->random, 50);
    asm_put(a, swap ? PVM2_CZERO_NEZ : PVM2_CZERO_EQZ, d, in(o), c, 0);
    split(g);
    asm_put(a, swap ? PVM2_CZERO_EQZ : PVM2_CZERO_NEZ, t, in(o), c, 0);
    asm_put(a, ONE_OF(g, PVM2_OR, PVM2_ADD, PVM2_XOR), out(o), d, t, 0);
}

/* Additions and subtractions of more than a word. */
static void carries(struct gen *g, const struct operands *o)
{
    struct lock_asm *a = &g->a;
    for (uint64_t i = 1 + random_below(g->random, 4); i-- != 0;) {
        const unsigned d = out(o), x = in(o), y = in(o), c = out(o);
        const bool less = chance(g->random, 40);
        if (chance(g->random, 25)) {
            asm_put(a, PVM2_MUL, d, x, y, 0);
            asm_put(a, PVM2_MULHU, c, x, y, 0);
            continue;
        }
        if (less && chance(g->random, 50))
            asm_put(a, PVM2_SLTU, c, x, y, 0);
        asm_put(a, less ? PVM2_SUB : PVM2_ADD, d, x, y, 0);
        split(g);
        if (less)
            asm_put(a, PVM2_SLTU, c, chance(g->random, 50) ? x : d, chance(g->random, 50) ? y : d,
                    0);
        else
            asm_put(a, PVM2_SLTU, c, d, chance(g->random, 50) ? x : y, 0);
        if (chance(g->random, 50))
            asm_put(a, ONE_OF(g, PVM2_ADD, PVM2_SUB, PVM2_OR), out(o), in(o), c, 0);
    }
}

static void neighbours(struct gen *g, const struct operands *o)
{
    struct lock_asm *a = &g->a;
    const int32_t imm = asm_imm(a, PVM2_LD) & ~7;
    const enum pvm2_op op = asm_any(a, chance(g->random, 50) ? ASM_LOAD : ASM_STORE);
    const int32_t step = chance(g->random, 80) ? 8 : 4;
    const int32_t second = imm + step <= 2047 && chance(g->random, 70) ? imm + step : imm;
    const bool load = op >= PVM2_LB && op <= PVM2_LWU;
    for (unsigned i = 0; i < 2; i++)
        asm_put(a, op, load ? out(o) : 0, g->base, load ? 0 : in(o), i == 0 ? imm : second);
}

static void in_place(struct gen *g, const struct operands *o)
{
    static const uint8_t widths[4][2] = {
        {PVM2_LD, PVM2_SD}, {PVM2_LWU, PVM2_SW}, {PVM2_LH, PVM2_SH}, {PVM2_LBU, PVM2_SB}};
    const uint8_t *width = widths[random_below(g->random, 4)];
    struct lock_asm *a = &g->a;
    const unsigned d = out(o);
    const int32_t imm = asm_imm(a, PVM2_LD);
    asm_put(a, (enum pvm2_op)width[0], d, g->base, 0, imm);
    split(g);
    asm_put(a, asm_any(a, ASM_R), d, d, in(o), 0);
    asm_put(a, (enum pvm2_op)width[1], 0, g->base, d, imm);
}

static void words(struct gen *g, const struct operands *o)
{
    struct lock_asm *a = &g->a;
    const unsigned d = out(o);
    asm_put(a,
            ONE_OF(g, PVM2_ADDW, PVM2_SUBW, PVM2_MULW, PVM2_SLLW, PVM2_SRLW, PVM2_SRAW, PVM2_ADD,
                   PVM2_SUB, PVM2_ROLW),
            d, in(o), in(o), 0);
    split(g);
    switch (random_below(g->random, 4)) {
    case 0:
        asm_put(a, PVM2_ADDIW, out(o), d, 0, 0);
        break;
    case 1:
        asm_put(a, PVM2_ADD_UW, out(o), d, 0, 0);
        break;
    case 2:
        asm_put(a, PVM2_ANDI, out(o), d, 0, 255);
        break;
    default:
        asm_put(a, PVM2_ZEXT_H, out(o), d, 0, 0);
    }
}

void gen_pair(struct gen *g)
{
    static void (*const kinds[])(struct gen *, const struct operands *) = {
        constants, comparisons, comparisons, addresses,  addresses, shifts, products,
        quotients, choices,     carries,     neighbours, in_place,  words};
    const struct operands o = choose(g);
    if (o.some[0] != 0)
        kinds[random_below(g->random, sizeof kinds / sizeof *kinds)](g, &o);
}
