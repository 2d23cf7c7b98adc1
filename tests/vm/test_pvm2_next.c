/* One instruction at a time, the quick way (pvm2_next) against the decoder (pvm2_step_of what it
 * gives): the two share the table of operations, which the vectors check, and nothing else.
 *
 * Would catch: an encoding that the quick tables take for another, with other registers or another
 * immediate; a register that does not exist, x3, x4 or x0 as destination treated as usual ones; a
 * gas row that misses an overlap or a surcharge; a target outside the code; bytes read beyond the
 * end. */
#include <criterion/criterion.h>
#include <string.h>

#include "tests/require.h"
#include "tests/vm/pvm2_words.h"
#include "vm/lower_pvm2.h"

static bool same(const struct ir_step *a, const struct ir_step *b)
{
    if (a->len != b->len || a->executes != b->executes || a->terminator != b->terminator ||
        a->ecall != b->ecall || a->store != b->store)
        return false;
    if (!a->ecall && memcmp(&a->row, &b->row, sizeof a->row) != 0)
        return false;
    const struct ir_insn *x = &a->insn, *y = &b->insn;
    return !a->executes || (x->op == y->op && x->rd == y->rd && x->ra == y->ra && x->rb == y->rb &&
                            x->len == y->len && x->imm == y->imm);
}

/* Somewhere in code of some length, so that targets fall inside and outside. */
static void expect_same(uint32_t word, uint64_t place)
{
    static const uint32_t cycles[4] = {25, 50, 75, 100};
    enum { LEN = 4096 };
    static uint8_t code[LEN];
    uint64_t offset = place % 2000 * 2, len = offset + 4 + (place >> 16) % (LEN - 4 - offset);
    memcpy(code + offset, &word, 4);
    struct ir_step quick, slow;
    struct pvm2_insn insn;
    memset(&quick, 0xA5, sizeof quick);
    REQUIRE(pvm2_decode(code, len, offset, &insn));
    pvm2_step_of(&insn, offset, len, cycles[place >> 32 & 3], &slow);
    cr_assert(pvm2_next(code, len, offset, cycles[place >> 32 & 3], &quick));
    if (same(&quick, &slow))
        return;
    char text[64];
    pvm2_format(&insn, text, sizeof text);
    cr_assert_fail(
        "%08x %s: op %u %u, rd %u %u, ra %u %u, rb %u %u, imm %llx %llx, executes %d %d, "
        "cycles %u %u, slots %u %u",
        word, text, quick.insn.op, slow.insn.op, quick.insn.rd, slow.insn.rd, quick.insn.ra,
        slow.insn.ra, quick.insn.rb, slow.insn.rb, (unsigned long long)quick.insn.imm,
        (unsigned long long)slow.insn.imm, quick.executes, slow.executes, quick.row.cycles,
        slow.row.cycles, quick.row.slots, slow.row.slots);
}

Test(next, every_halfword)
{
    uint64_t state = 1;
    for (uint32_t half = 0; half < 65536; half++)
        for (unsigned i = 0; (half & 3) != 3 && i < 8; i++)
            expect_same(half | (uint32_t)(i * 0x9D3B) << 16, pvm2_random(&state));
}

Test(next, every_word)
{
    uint64_t state = 2;
    for (uint32_t i = 0; i < PVM2_WORDS; i++)
        expect_same(pvm2_word(i), pvm2_random(&state));
}

/* All registers in all places. */
Test(next, registers)
{
    static const uint32_t words[] = {0x03, 0x13, 0x1B, 0x23, 0x33,   0x3B,       0x63,
                                     0x67, 0x6F, 0x17, 0x37, 0x5033, 0x02000033, 0x0800003B};
    uint64_t state = 3;
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        for (uint32_t x = 0; x < 32 * 32 * 32; x++)
            expect_same(words[i] | (x & 31) << 7 | (x >> 5 & 31) << 15 | (x >> 10) << 20,
                        pvm2_random(&state));
}

Test(next, random_words)
{
    uint64_t state = 4;
    const uint64_t count = UINT64_C(10000000) * stress_factor();
    for (uint64_t i = 0; i < count; i++) {
        uint32_t word = pvm2_random_word(&state);
        expect_same(word, pvm2_random(&state));
    }
}

/* The last bytes of code: whole instructions, halves of them, lone bytes. */
Test(next, end_of_code)
{
    uint64_t state = 5;
    for (unsigned round = 0; round < 100000; round++) {
        uint64_t len = pvm2_random(&state) % 9;
        uint8_t *code = malloc(len != 0 ? len : 1); /* the sanitizer sees its end */
        REQUIRE(code != NULL);
        for (uint64_t i = 0; i < len; i++)
            code[i] = (uint8_t)pvm2_random(&state);
        for (uint64_t offset = 0; offset <= len + 4; offset++) {
            struct pvm2_insn insn;
            struct ir_step quick, slow;
            bool is = pvm2_decode(code, len, offset, &insn);
            cr_assert_eq(pvm2_next(code, len, offset, 25, &quick), is);
            if (is) {
                pvm2_step_of(&insn, offset, len, 25, &slow);
                cr_assert(same(&quick, &slow), "offset %llu of %llu", (unsigned long long)offset,
                          (unsigned long long)len);
            }
        }
        free(code);
    }
    cr_assert_not(pvm2_next(NULL, 0, 0, 25, &(struct ir_step){0}));
    cr_assert_not(pvm2_next(NULL, 0, UINT64_MAX, 25, &(struct ir_step){0}));
}
