/* The walk goes by windows of 64 halfwords, 16 of them at a time. Which of them begin an
 * instruction follows for all at once from the two low bits of each; which of these jump backward,
 * nearly, from a few bits more. Only what may be such a jump is decoded, and only where somebody
 * asks: all code is walked, to know about the end of it, but little of it is compiled. */
#include "vm/pvm2_scan.h"

#include <emmintrin.h>
#include <string.h>

#include "vm/pvm2.h"

/* ---- windows ---------------------------------------------------------------------------- */

/* Of each halfword of a window, as bits: is its highest bit set; may it be the low half of a branch
 * or jal (jalr too); may it be a c.j, c.beqz, c.bnez with a negative distance. */
struct masks {
    uint64_t negative, branch, jump;
};

static __m128i has(__m128i halves, int bits, int value)
{
    return _mm_cmpeq_epi16(_mm_and_si128(halves, _mm_set1_epi16((short)bits)),
                           _mm_set1_epi16((short)value));
}

/* The highest bits of 16 halfwords: packing keeps the sign. */
static uint64_t signs(__m128i low, __m128i high)
{
    return (uint64_t)(unsigned)_mm_movemask_epi8(_mm_packs_epi16(low, high));
}

/* Do a halfword's two low bits begin a 4-byte instruction, if one begins there? */
static uint64_t could_be_long(const uint8_t *bytes)
{
    uint64_t could = 0;
    for (unsigned i = 0; i < 64; i += 16, bytes += 32) {
        const __m128i low = _mm_loadu_si128((const void *)bytes);
        const __m128i high = _mm_loadu_si128((const void *)(bytes + 16));
        could |= signs(has(low, 3, 3), has(high, 3, 3)) << i;
    }
    return could;
}

static struct masks masks_of(const uint8_t *bytes)
{
    struct masks masks = {0};
    for (unsigned i = 0; i < 64; i += 16, bytes += 32) {
        const __m128i low = _mm_loadu_si128((const void *)bytes);
        const __m128i high = _mm_loadu_si128((const void *)(bytes + 16));
        masks.negative |= signs(low, high) << i;
        masks.branch |= signs(has(low, 0x73, 0x63), has(high, 0x73, 0x63)) << i;
        masks.jump |= signs(_mm_andnot_si128(has(low, 0x6000, 0), has(low, 0x9003, 0x9001)),
                            _mm_andnot_si128(has(high, 0x6000, 0), has(high, 0x9003, 0x9001)))
                      << i;
    }
    return masks;
}

/* A window with the halfword behind it; zeros behind the code. */
struct window {
    uint8_t copy[PVM2_WINDOW + 2];
    const uint8_t *bytes;
    uint64_t left; /* bytes of code from its beginning on */
};

static void open_window(const struct pvm2_walk *walk, uint64_t window, struct window *w)
{
    w->bytes = walk->code + window * PVM2_WINDOW;
    w->left = walk->len - window * PVM2_WINDOW;
    if (w->left < sizeof w->copy) {
        memcpy(w->copy, w->bytes, w->left);
        memset(w->copy + w->left, 0, sizeof w->copy - w->left);
        w->bytes = w->copy;
    }
}

/* Of halves that could begin a long instruction, those that do: every other one of a row, from its
 * first on. (A row is a number whose carry, in a subtraction, stops at its end; `odd` turns that
 * into alternating bits.) */
static uint64_t long_heads(uint64_t could)
{
    const uint64_t odd = UINT64_C(0xAAAAAAAAAAAAAAAA);
    return ((((could << 1) | odd) - could) ^ odd) & could;
}

/* Note where the instruction leads if it is a backward jump. */
static void examine(const struct pvm2_walk *walk, uint64_t offset)
{
    struct pvm2_insn insn;
    if (!pvm2_decode(walk->code, walk->len, offset, &insn) || insn.imm >= 0)
        return;
    const uint64_t target = offset + (uint64_t)insn.imm;
    if (target < walk->len && /* not before the code */
        ((insn.op >= PVM2_BEQ && insn.op <= PVM2_BGEU) || (insn.op == PVM2_JAL && insn.rd == 0)))
        walk->heads[target / PVM2_WINDOW] |= UINT64_C(1) << (target / 2 % 64);
}

/* Of what begins in a window of which only some halfwords (1..64) are code: what is there as a
 * whole. */
static uint64_t whole(uint64_t begins, uint64_t longs, uint64_t halves)
{
    const uint64_t room = ~UINT64_C(0) >> (64 - halves);
    return begins & ((longs & room >> 1) | (~longs & room));
}

/* The window that `at` lies in. */
static void walk_window(struct pvm2_walk *walk)
{
    const uint64_t window = walk->at / PVM2_WINDOW;
    struct window w;
    open_window(walk, window, &w);
    const uint64_t from = UINT64_MAX << (walk->at / 2 % 64);
    uint64_t longs = long_heads(could_be_long(w.bytes) & from);
    uint64_t begins = ~(longs << 1) & from;
    if (w.left < sizeof w.copy) {
        begins = whole(begins, longs, w.left / 2);
        longs &= begins;
    }
    walk->longs[window] = longs;
    const unsigned last = 63 - (unsigned)__builtin_clzll(begins);
    walk->at = window * PVM2_WINDOW + 2 * last + ((longs >> last & 1) != 0 ? 4 : 2);
}

static void note_window(struct pvm2_walk *walk, uint64_t window)
{
    struct window w;
    open_window(walk, window, &w);
    const struct masks masks = masks_of(w.bytes);
    const uint64_t longs = walk->longs[window], base = window * PVM2_WINDOW;
    const uint64_t known = (walk->at - base) / 2;
    const uint64_t begins =
        pvm2_begins(walk, window) & ~UINT64_C(0) >> (known < 64 ? 64 - known : 0);
    const uint64_t negative = masks.negative >> 1 | (uint64_t)(w.bytes[PVM2_WINDOW + 1] >> 7) << 63;
    for (uint64_t rest = begins & ((longs & masks.branch & negative) | (~longs & masks.jump));
         rest != 0; rest &= rest - 1)
        examine(walk, base + 2 * (unsigned)__builtin_ctzll(rest));
}

void pvm2_walk_to(struct pvm2_walk *walk, uint64_t until)
{
    while (walk->at < until && !walk->ended) {
        if (pvm2_is_whole(walk->code, walk->len, walk->at))
            walk_window(walk);
        else
            walk->ended = true;
    }
}

void pvm2_note_heads(struct pvm2_walk *walk, uint64_t from, uint64_t until)
{
    pvm2_walk_to(walk, until | (PVM2_WINDOW - 1)); /* the last window too as a whole */
    for (uint64_t window = from / PVM2_WINDOW;
         window * PVM2_WINDOW < until && window * PVM2_WINDOW < walk->at; window++) {
        const uint64_t bit = UINT64_C(1) << window % 64;
        if ((walk->noted[window / 64] & bit) == 0) {
            walk->noted[window / 64] |= bit;
            note_window(walk, window);
        }
    }
}

/* ---- blocks ----------------------------------------------------------------------------- */

static enum pvm2_op op_at(const struct pvm2_walk *walk, uint64_t offset)
{
    struct pvm2_insn insn;
    return pvm2_decode(walk->code, walk->len, offset, &insn) ? (enum pvm2_op)insn.op
                                                             : PVM2_RESERVED;
}

bool pvm2_starts_block(const struct pvm2_walk *walk, uint64_t offset)
{
    if (!pvm2_is_there(walk, offset))
        return false;
    if (offset == 0)
        return true;
    const uint64_t far = offset - 4;
    const bool is_long = offset >= 4 && (walk->longs[far / PVM2_WINDOW] >> (far / 2 % 64) & 1) != 0;
    if (pvm2_is_terminator(op_at(walk, offset - (is_long ? 4 : 2))))
        return true;
    const enum pvm2_op op = op_at(walk, offset);
    return op == PVM2_ECALLI || op == PVM2_ECALL_JAR;
}
