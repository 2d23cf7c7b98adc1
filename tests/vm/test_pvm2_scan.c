/* The linear walk without decoding, against the decoder.
 *
 * Would catch: a length, an end of the code or a block start that is missed or invented; a backward
 * target that is lost, or noted for a forward, reserved or linking jump; a walk whose result
 * depends on where it stopped in between, or that goes on for nothing; bytes read beyond the code
 * (sanitizers). */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "javm/engine.h"
#include "tests/require.h"
#include "tests/vm/pvm2_words.h"
#include "vm/pvm2.h"
#include "vm/pvm2_scan.h"

struct bits {
    /* per halfword; insns: an instruction begins; noted: per window */
    uint64_t *starts, *heads, *insns, *longs, *noted;
    uint64_t count; /* of words */
    uint64_t end;
};

static struct bits bits_new(uint64_t len)
{
    struct bits bits = {.count = len / 128 + 1};
    bits.starts = calloc(bits.count, 8);
    bits.heads = calloc(bits.count, 8);
    bits.insns = calloc(bits.count, 8);
    bits.longs = calloc(bits.count, 8);
    bits.noted = calloc(bits.count, 8);
    REQUIRE(bits.starts != NULL && bits.heads != NULL && bits.insns != NULL && bits.longs != NULL &&
            bits.noted != NULL);
    return bits;
}

static void bits_free(struct bits *bits)
{
    free(bits->starts);
    free(bits->heads);
    free(bits->insns);
    free(bits->longs);
    free(bits->noted);
}

static void set(uint64_t *bits, uint64_t offset)
{
    bits[offset / 128] |= UINT64_C(1) << (offset / 2 % 64);
}

static bool get(const uint64_t *bits, uint64_t offset)
{
    return (bits[offset / 128] >> (offset / 2 % 64) & 1) != 0;
}

static bool is_jump(const struct pvm2_insn *insn)
{
    return (insn->op >= PVM2_BEQ && insn->op <= PVM2_BGEU) ||
           (insn->op == PVM2_JAL && insn->rd == 0);
}

/* The specification's words, one instruction after the other. */
static struct bits decoded(const uint8_t *code, uint64_t len)
{
    struct bits bits = bits_new(len);
    struct pvm2_insn insn;
    bool start = true;
    uint64_t at = 0;
    for (; pvm2_decode(code, len, at, &insn); at += insn.len) {
        set(bits.insns, at);
        if (insn.len == 4)
            set(bits.longs, at);
        if (start || insn.op == PVM2_ECALLI || insn.op == PVM2_ECALL_JAR)
            set(bits.starts, at);
        uint64_t target = at + (uint64_t)(int64_t)insn.imm;
        if (is_jump(&insn) && insn.imm < 0 && target < len)
            set(bits.heads, target);
        start = pvm2_is_terminator((enum pvm2_op)insn.op);
    }
    bits.end = at;
    return bits;
}

static struct pvm2_walk walk_of(const uint8_t *code, uint64_t len, struct bits *bits)
{
    return (struct pvm2_walk){
        .code = code, .len = len, .longs = bits->longs, .heads = bits->heads, .noted = bits->noted};
}

/* What is known of [0, at) is right, and nothing is said of what is behind it. */
static void expect_known(const struct pvm2_walk *walk, const struct bits *want, const char *what)
{
    for (uint64_t offset = 0; offset < walk->len + 6; offset++) {
        const bool known = offset % 2 == 0 && offset < walk->at;
        cr_assert(pvm2_is_there(walk, offset) == (known && get(want->insns, offset)),
                  "%s: instruction at %llu", what, (unsigned long long)offset);
        cr_assert(pvm2_starts_block(walk, offset) == (known && get(want->starts, offset)),
                  "%s: block at %llu", what, (unsigned long long)offset);
    }
}

static void expect_same(const uint8_t *code, uint64_t len, const char *what)
{
    struct bits want = decoded(code, len), got = bits_new(len);
    struct pvm2_walk walk = walk_of(code, len, &got);
    /* from the middle on, then from the beginning, in steps that meet inside windows */
    for (uint64_t from = len / 2; from < len; from += 1000)
        pvm2_note_heads(&walk, from, from + 1100);
    for (uint64_t from = 0; from < len; from += 500)
        pvm2_note_heads(&walk, from, from + 500);
    pvm2_walk_to(&walk, len);
    cr_assert(walk.ended || walk.at == len, "%s: stopped at %llu", what,
              (unsigned long long)walk.at);
    cr_assert_eq(walk.at, want.end, "%s: ended at %llu, not %llu", what,
                 (unsigned long long)walk.at, (unsigned long long)want.end);
    for (uint64_t i = 0; i < want.count; i++)
        cr_assert(want.longs[i] == got.longs[i] && want.heads[i] == got.heads[i],
                  "%s: at %#llx: longs %016llx, not %016llx; heads %016llx, not %016llx", what,
                  (unsigned long long)i * 128, (unsigned long long)got.longs[i],
                  (unsigned long long)want.longs[i], (unsigned long long)got.heads[i],
                  (unsigned long long)want.heads[i]);
    expect_known(&walk, &want, what);
    bits_free(&want);
    bits_free(&got);
}

/* ---- every encoding --------------------------------------------------------------------- */

Test(scan, every_halfword)
{
    /* each behind a plain one, so that only an ecall starts a block there, and before one; far
     * enough from the start for every backward target */
    enum { LEAD = 4096 };
    const uint32_t len = LEAD + 65536 * 4 + 2;
    uint8_t *code = malloc(len);
    REQUIRE(code != NULL);
    const uint8_t nop[2] = {0x01, 0x00};
    uint32_t at = 0;
    for (; at < LEAD; at += 2)
        memcpy(code + at, nop, 2);
    for (uint32_t half = 0; half < 65536; half++) {
        if ((half & 3) == 3)
            continue;
        memcpy(code + at, nop, 2);
        code[at + 2] = (uint8_t)half;
        code[at + 3] = (uint8_t)(half >> 8);
        at += 4;
    }
    expect_same(code, at, "halfwords");
    free(code);
}

/* Words one after the other, with a plain halfword before each: `count` of them from `next`. */
#define BATCH 4096u
static void words(uint32_t (*next)(void *), void *state, uint64_t count, const char *what)
{
    uint8_t *code = malloc(BATCH * 6);
    REQUIRE(code != NULL);
    for (uint64_t done = 0; done < count; done += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++) {
            uint32_t word = next(state);
            const uint8_t bytes[6] = {0x01,
                                      0x00,
                                      (uint8_t)word,
                                      (uint8_t)(word >> 8),
                                      (uint8_t)(word >> 16),
                                      (uint8_t)(word >> 24)};
            memcpy(code + (size_t)i * 6, bytes, 6);
        }
        expect_same(code, BATCH * 6, what);
    }
    free(code);
}

static uint32_t next_word(void *state)
{
    uint32_t *i = state;
    return pvm2_word((*i)++);
}

static uint32_t next_random(void *state)
{
    return pvm2_random_word(state);
}

Test(scan, every_word)
{
    uint32_t i = 0;
    words(next_word, &i, PVM2_WORDS, "words");
    cr_expect_eq(i, PVM2_WORDS);
}

Test(scan, random_words)
{
    uint64_t state = 1;
    words(next_random, &state, UINT64_C(50000000) * stress_factor(), "random words");
}

/* ---- strings of bytes ------------------------------------------------------------------- */

/* Mostly terminators and short ones: many blocks, all positions in a window. */
static void random_code(uint8_t *code, uint64_t len, uint64_t *state)
{
    uint64_t kind = pvm2_random(state) % 3;
    for (uint64_t at = 0; at < len;) {
        uint8_t bytes[4] = {0x01, 0x00, 0x00, 0x00};
        uint64_t size = 2, r = pvm2_random(state);
        uint32_t word = pvm2_random_word(state);
        if (kind == 0 || r % 4 == 1) {
            memcpy(bytes, &r, size = 4);
        } else if (r % 4 == 2) {
            memcpy(bytes, &word, size = 4);
        } else if (r % 4 == 3) {
            static const uint16_t jumps[4] = {0x8082, 0xA001, 0xC001, 0xE001};
            uint16_t half = jumps[r >> 8 & 3];
            if (half != 0x8082) /* c.jr; the others (c.j, c.beqz, c.bnez) get a distance */
                half |= (uint16_t)(r >> 16 & 0x1FFC);
            memcpy(bytes, &half, 2);
        }
        size = size < len - at ? size : len - at;
        memcpy(code + at, bytes, size);
        at += size;
    }
}

Test(scan, random_strings)
{
    uint64_t state = 2;
    const unsigned rounds = 20000 * stress_factor();
    for (unsigned round = 0; round < rounds; round++) {
        uint64_t len = pvm2_random(&state) % (round % 8 == 0 ? 2000 : 300);
        uint8_t *code = malloc(len + 1); /* a block of its own: the sanitizer sees its end */
        REQUIRE(code != NULL);
        code = realloc(code, len != 0 ? len : 1);
        REQUIRE(code != NULL);
        random_code(code, len, &state);
        expect_same(code, len, "string");
        free(code);
    }
}

Test(scan, starts_of_a_program)
{
    uint64_t state = 3;
    uint8_t code[700];
    for (unsigned round = 0; round < 2000 * stress_factor(); round++) {
        uint64_t len = pvm2_random(&state) % sizeof code;
        random_code(code, len, &state);
        const struct javm_program_key key = {0};
        struct javm_program *program;
        struct javm_error err;
        REQUIRE(javm_program_decode_pvm2(code, len, &key, &program, &err) == JAVM_OK);
        struct bits bits = bits_new(len);
        struct pvm2_walk walk = walk_of(code, len, &bits);
        pvm2_walk_to(&walk, UINT64_MAX);
        cr_assert(walk.ended);
        cr_assert_eq(walk.at, javm_program_end(program));
        for (uint64_t at = 0; at < len; at += 2)
            cr_assert_eq(pvm2_starts_block(&walk, at), javm_program_is_start(program, at),
                         "round %u, offset %llu", round, (unsigned long long)at);
        bits_free(&bits);
        javm_program_free(program);
    }
}

/* ---- steps ------------------------------------------------------------------------------ */

Test(scan, steps)
{
    uint64_t state = 4;
    uint8_t code[900];
    for (unsigned round = 0; round < 2000 * stress_factor(); round++) {
        uint64_t len = pvm2_random(&state) % sizeof code;
        random_code(code, len, &state);
        struct bits want = decoded(code, len), got = bits_new(len);
        struct pvm2_walk walk = walk_of(code, len, &got);
        uint64_t most = round % 2 == 0 ? 9 : 300;
        uint64_t from = 0;
        for (uint64_t until = 1; !walk.ended; from = until, until += pvm2_random(&state) % most) {
            const uint64_t before = walk.at;
            pvm2_walk_to(&walk, until);
            cr_assert(until <= before ? walk.at == before : walk.at >= until || walk.ended);
            cr_assert(walk.at <= want.end && walk.at < until + PVM2_WINDOW + 4);
            cr_assert(walk.at == want.end || get(want.insns, walk.at));
            expect_known(&walk, &want, "step");
            pvm2_note_heads(&walk, from, until);
        }
        cr_assert_eq(walk.at, want.end);
        pvm2_note_heads(&walk, from, UINT64_MAX);
        cr_assert_arr_eq(got.heads, want.heads, want.count * 8);
        bits_free(&want);
        bits_free(&got);
    }
}

Test(scan, nothing)
{
    uint64_t longs = 0, heads = 0, noted = 0;
    struct pvm2_walk walk = {.longs = &longs, .heads = &heads, .noted = &noted};
    pvm2_note_heads(&walk, 0, 1);
    cr_expect(walk.ended && walk.at == 0);
    const uint8_t half_an_insn[3] = {0x13, 0x05, 0x15};
    walk = (struct pvm2_walk){
        .code = half_an_insn, .len = 3, .longs = &longs, .heads = &heads, .noted = &noted};
    pvm2_note_heads(&walk, 0, 100);
    cr_expect(walk.ended && walk.at == 0);
    cr_expect_eq(longs | heads, 0);
    cr_expect_not(pvm2_starts_block(&walk, 0), "the end of the code is no start");
}
