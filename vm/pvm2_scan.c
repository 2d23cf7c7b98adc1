/* The walk goes by windows of 64 halfwords. Which of them begin an instruction follows for all at
 * once from the two low bits of each; then each instruction passes one table-driven test without
 * branches that most pass, "certainly no terminator". Only what fails it is looked at closely, so
 * the tables may leave out anything, and the decoder has the last word. */
#include "vm/pvm2_scan.h"

#include <string.h>

#include "vm/pvm2.h"
#include "vm/pvm2_forms.h"

#define WINDOW 128u /* bytes: a word of each bitmap */

/* ---- forms ------------------------------------------------------------------------------ */

/* A halfword of the form is legal and no terminator if some of its bits, as a number, lie in
 * [low, low + count). A row of zeros: never. */
struct plain16 {
    uint32_t bits, low, count;
};

/* clang-format off */
#define EVERY    {0, 0, 1}
#define F1_LOW   {0xF80, 0, 16 << 7}      /* f1 < 16 */
#define F1_SOME  {0xF80, 1 << 7, 15 << 7} /* and not 0 */
#define F2_LOW   {0x40, 0, 1}             /* f2 < 16 */
static const struct plain16 plain16[32] = {
    [FORM16(0, 0)] = {0x1FE0, 1, 0x1FE0}, /* an immediate, not 0 */
    [FORM16(0, 2)] = EVERY,
    [FORM16(0, 3)] = EVERY,
    [FORM16(0, 6)] = EVERY,
    [FORM16(0, 7)] = EVERY,
    [FORM16(1, 0)] = F1_LOW,
    [FORM16(1, 1)] = F1_SOME,
    [FORM16(1, 2)] = F1_LOW,
    [FORM16(1, 3)] = {0x187C, 1, 0x7C},   /* f1 < 16 and a positive immediate */
    [FORM16(1, 4)] = {0x1C40, 0, 0x1C40}, /* [12:10] = 111 and [6] = 1 is nothing */
    [FORM16(2, 0)] = F1_LOW,
    [FORM16(2, 2)] = F1_SOME,
    [FORM16(2, 3)] = F1_SOME,
    [FORM16(2, 4)] = {0x87C, 1, 0x3C},    /* f1 < 16, f2 < 16 and not 0: not c.jr, c.jalr */
    [FORM16(2, 6)] = F2_LOW,
    [FORM16(2, 7)] = F2_LOW,
};
/* clang-format on */

static inline bool is_plain16(uint32_t half)
{
    const struct plain16 *row = &plain16[form16(half)];
    return (half & row->bits) - row->low < row->count;
}

/* Sets of values of [31:25]. */
enum {
#define X(value) S##value = 1 << F##value,
    FUNCTS(X)
#undef X
};
#define ANY 0xFFFFFFFFu

/* A word of the form is legal and no terminator if no bit of `zero` is set and its [31:25] is in
 * the set `functs`. A row of zeros: never. */
struct plain32 {
    uint32_t zero, functs;
};

#define RD  (16u << 7)
#define RS1 (16u << 15)
#define RS2 (16u << 20)

/* clang-format off */
#define UPPER {RD, ANY}
static const struct plain32 plain32[256] = {
    [FORM32(0x03, 0)] = {RD | RS1, ANY}, /* loads */
    [FORM32(0x03, 1)] = {RD | RS1, ANY},
    [FORM32(0x03, 2)] = {RD | RS1, ANY},
    [FORM32(0x03, 3)] = {RD | RS1, ANY},
    [FORM32(0x03, 4)] = {RD | RS1, ANY},
    [FORM32(0x03, 5)] = {RD | RS1, ANY},
    [FORM32(0x03, 6)] = {RD | RS1, ANY},
    [FORM32(0x0F, 0)] = {0, ANY}, /* fences */
    [FORM32(0x0F, 1)] = {0, ANY},
    [FORM32(0x13, 0)] = {RD | RS1, ANY}, /* with an immediate */
    [FORM32(0x13, 1)] = {RD | RS1, S00 | S01 | S14 | S15 | S24 | S25 | S34 | S35},
    [FORM32(0x13, 2)] = {RD | RS1, ANY},
    [FORM32(0x13, 3)] = {RD | RS1, ANY},
    [FORM32(0x13, 4)] = {RD | RS1, ANY},
    [FORM32(0x13, 5)] = {RD | RS1, S00 | S01 | S20 | S21 | S24 | S25 | S30 | S31},
    [FORM32(0x13, 6)] = {RD | RS1, ANY},
    [FORM32(0x13, 7)] = {RD | RS1, ANY},
    [FORM32(0x1B, 0)] = {RD | RS1, ANY},
    [FORM32(0x1B, 1)] = {RD | RS1, S00 | S04 | S05},
    [FORM32(0x1B, 5)] = {RD | RS1, S00 | S20 | S30},
    ALL_FUNCT3(0x17, UPPER), /* auipc */
    ALL_FUNCT3(0x37, UPPER), /* lui */
    [FORM32(0x23, 0)] = {RS1 | RS2, ANY}, /* stores */
    [FORM32(0x23, 1)] = {RS1 | RS2, ANY},
    [FORM32(0x23, 2)] = {RS1 | RS2, ANY},
    [FORM32(0x23, 3)] = {RS1 | RS2, ANY},
    [FORM32(0x33, 0)] = {RD | RS1 | RS2, S00 | S20 | S01}, /* two registers */
    [FORM32(0x33, 1)] = {RD | RS1 | RS2, S00 | S01 | S30 | S24 | S14 | S34},
    [FORM32(0x33, 2)] = {RD | RS1 | RS2, S00 | S01 | S10},
    [FORM32(0x33, 3)] = {RD | RS1 | RS2, S00 | S01},
    [FORM32(0x33, 4)] = {RD | RS1 | RS2, S00 | S20 | S01 | S05 | S10},
    [FORM32(0x33, 5)] = {RD | RS1 | RS2, S00 | S20 | S01 | S05 | S30 | S24 | S07},
    [FORM32(0x33, 6)] = {RD | RS1 | RS2, S00 | S20 | S01 | S05 | S10},
    [FORM32(0x33, 7)] = {RD | RS1 | RS2, S00 | S20 | S01 | S05 | S07},
    [FORM32(0x3B, 0)] = {RD | RS1 | RS2, S00 | S20 | S01 | S04},
    [FORM32(0x3B, 1)] = {RD | RS1 | RS2, S00 | S30},
    [FORM32(0x3B, 2)] = {RD | RS1 | RS2, S10},
    [FORM32(0x3B, 4)] = {RD | RS1 | RS2, S01 | S10},
    [FORM32(0x3B, 5)] = {RD | RS1 | RS2, S00 | S20 | S01 | S30},
    [FORM32(0x3B, 6)] = {RD | RS1 | RS2, S01 | S10},
    [FORM32(0x3B, 7)] = {RD | RS1 | RS2, S01},
};
/* clang-format on */

static inline bool is_plain32(uint32_t word)
{
    const struct plain32 *row = &plain32[form32(word)];
    return (int)((word & row->zero) == 0) & (int)(row->functs >> functs[word >> 25] & 1);
}

/* Of what is not plain: certainly a terminator that is no ecall and does not jump backward. */
static inline bool is_forward(uint32_t word)
{
    switch (word & 0x7F) {
    case 0x63: /* sign and immediate of a branch */
        return word >> 31 == 0 && (word & 0xFE000F80) != 0;
    case 0x6F: /* of jal */
        return word >> 31 == 0 && (word & 0xFFFFF000) != 0;
    case 0x67: /* jalr */
        return true;
    case 0x0B:
        return word == 0x400B;
    default:
        break;
    }
    switch (form16(word)) {
    case FORM16(1, 5): /* c.j */
        return (word & 0x1000) == 0 && (word & 0xFFC) != 0;
    case FORM16(1, 6): /* c.beqz, c.bnez */
    case FORM16(1, 7):
        return (word & 0x1000) == 0 && (word & 0xC7C) != 0;
    default:
        return form16(word) == FORM16(2, 4); /* c.jr, c.jalr */
    }
}

/* ---- windows ---------------------------------------------------------------------------- */

/* Bits 0, 16, 32, 48: the two low bits of a halfword say that a 4-byte instruction begins, if one
 * does. */
static inline uint64_t long_of_four(const uint8_t *bytes)
{
    uint64_t four;
    memcpy(&four, bytes, sizeof four);
    return four & four >> 1 & UINT64_C(0x0001000100010001);
}

/* The same of all halfwords of a window. */
static uint64_t long_halves(const uint8_t *bytes)
{
    uint64_t mask = 0;
    for (unsigned i = 0; i < 4; i++, bytes += 32) {
        uint64_t bits = long_of_four(bytes) | long_of_four(bytes + 8) << 4 |
                        long_of_four(bytes + 16) << 8 | long_of_four(bytes + 24) << 12;
        /* The product brings each four together, at the top. */
        mask |= (bits * UINT64_C(0x0001000200040008)) >> 48 << (16 * i);
    }
    return mask;
}

/* Of halves that could begin a long instruction, those that do: every other one of a row, from its
 * first on. (A row is a number whose carry, in a subtraction, stops at its end; `odd` turns that
 * into alternating bits.) */
static uint64_t long_heads(uint64_t could)
{
    const uint64_t odd = UINT64_C(0xAAAAAAAAAAAAAAAA);
    return ((((could << 1) | odd) - could) ^ odd) & could;
}

struct window {
    uint64_t base;        /* a multiple of WINDOW */
    const uint8_t *bytes; /* of the window, and two more */
    uint64_t terminators, ecalls;
};

static inline uint32_t word_at(const struct window *window, unsigned i)
{
    uint32_t word;
    memcpy(&word, window->bytes + 2 * i, sizeof word);
    return word;
}

static inline uint32_t half_at(const struct window *window, unsigned i)
{
    uint16_t half;
    memcpy(&half, window->bytes + 2 * i, sizeof half);
    return half;
}

/* What is not plain: note terminators and ecalls in the window, backward targets in `heads`. */
static void examine(const struct pvm2_walk *walk, struct window *window, unsigned i)
{
    uint32_t word = word_at(window, i);
    if (is_forward(word)) {
        window->terminators |= UINT64_C(1) << i;
        return;
    }
    const struct pvm2_insn insn =
        (word & 3) == 3 ? pvm2_decode32(word) : pvm2_decode16((uint16_t)word);
    if (!pvm2_is_terminator((enum pvm2_op)insn.op))
        return;
    window->terminators |= UINT64_C(1) << i;
    if (insn.op == PVM2_ECALLI || insn.op == PVM2_ECALL_JAR)
        window->ecalls |= UINT64_C(1) << i;
    if (insn.imm <= 0 &&
        ((insn.op >= PVM2_BEQ && insn.op <= PVM2_BGEU) || (insn.op == PVM2_JAL && insn.rd == 0))) {
        uint64_t target = window->base + 2 * i + (uint64_t)(int64_t)insn.imm;
        if (target < walk->len) /* not before the code */
            walk->heads[target / WINDOW] |= UINT64_C(1) << (target / 2 % 64);
    }
}

/* Of what begins in a window of which only some halfwords (1..64) are code: what is there as a
 * whole. */
static uint64_t whole(uint64_t begins, uint64_t longs, uint64_t halves)
{
    uint64_t room = ~UINT64_C(0) >> (64 - halves);
    return begins & ((longs & room >> 1) | (~longs & room));
}

/* The window that `at` lies in, up to `until`. */
static void walk_window(struct pvm2_walk *walk, uint64_t until)
{
    uint8_t copy[WINDOW + 2];
    struct window window = {.base = walk->at / WINDOW * WINDOW};
    uint64_t left = walk->len - window.base;
    window.bytes = walk->code + window.base;
    if (left < sizeof copy) {
        memcpy(copy, window.bytes, left);
        memset(copy + left, 0, sizeof copy - left);
        window.bytes = copy;
    }
    uint64_t first = UINT64_C(1) << (walk->at / 2 % 64), from = 0 - first;
    uint64_t longs = long_heads(long_halves(window.bytes) & from);
    uint64_t begins = ~(longs << 1) & from;
    if (until - window.base < WINDOW - 1)
        begins &= (UINT64_C(1) << (until - window.base + 1) / 2) - 1;
    if (left < sizeof copy)
        begins = whole(begins, longs, left / 2);
    uint64_t others = 0;
    for (uint64_t rest = begins & ~longs; rest != 0; rest &= rest - 1) {
        unsigned i = (unsigned)__builtin_ctzll(rest);
        others |= (uint64_t)!is_plain16(half_at(&window, i)) << i;
    }
    for (uint64_t rest = begins & longs; rest != 0; rest &= rest - 1) {
        unsigned i = (unsigned)__builtin_ctzll(rest);
        others |= (uint64_t)!is_plain32(word_at(&window, i)) << i;
    }
    for (; others != 0; others &= others - 1)
        examine(walk, &window, (unsigned)__builtin_ctzll(others));

    uint64_t ends = window.terminators, starts = walk->start ? first : 0;
    starts |= window.ecalls | (ends & ~longs) << 1 | (ends & longs) << 2;
    walk->starts[window.base / WINDOW] |= starts & begins;
    unsigned last = 63 - (unsigned)__builtin_clzll(begins);
    walk->start = (ends >> last & 1) != 0;
    walk->at = window.base + 2 * last + ((longs >> last & 1) != 0 ? 4 : 2);
}

static bool is_there(const struct pvm2_walk *walk)
{
    uint64_t left = walk->at < walk->len ? walk->len - walk->at : 0;
    return left >= 2 && (left >= 4 || (walk->code[walk->at] & 3) != 3);
}

void pvm2_walk_to(struct pvm2_walk *walk, uint64_t until)
{
    while (is_there(walk)) {
        if (walk->at >= until)
            return;
        walk_window(walk, until);
    }
    walk->ended = true;
    walk->start = false;
}
