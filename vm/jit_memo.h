/* What the recompiler remembers of instructions: the machine code and the gas row of an instruction
 * word, so that one that it meets again, in this program or the next, is a copy of some bytes
 * instead of decoding, pricing and generating. Only of instructions whose code is the same wherever
 * they are: no control flow, nothing relative to the pc.
 *
 * A table with two places for each hash, in the compiler that a thread has for itself; the first
 * one stays with the word that came first, the second one goes to the one that came last. */
#ifndef JAVM_VM_JIT_MEMO_H
#define JAVM_VM_JIT_MEMO_H

#include "vm/gas.h"

#define JIT_MEMO_BITS 15u
#define JIT_MEMO_CODE 16u /* longer code is not remembered */

struct jit_memo {
    uint32_t word;
    uint8_t kind;  /* jit_memo_kind(); 0: an empty place */
    uint8_t first; /* as jit_pairs_first and jit_pairs_second, 0 where it pairs with nothing */
    uint8_t second;
    uint8_t code_len;
    struct gas_row row;
    uint8_t is_site, is_store, unused;
    uint8_t code[JIT_MEMO_CODE];
};
_Static_assert(sizeof(struct jit_memo) == 32, "both places of a hash on a cache line");

/* What else an instruction's code and cycles depend on, in one compiler. */
static inline uint8_t jit_memo_kind(uint32_t memory_cycles, bool cow)
{
    return (uint8_t)(memory_cycles << 1 | cow);
}

static inline struct jit_memo *jit_memo_places(struct jit_memo *table, uint32_t word)
{
    return &table[2 * (word * UINT32_C(0x9E3779B1) >> (33 - JIT_MEMO_BITS))];
}

/* What is remembered of a word, or NULL. No branch chooses between the places: nothing would
 * predict it. */
static inline const struct jit_memo *jit_memo_find(struct jit_memo *table, uint32_t word,
                                                   uint8_t kind)
{
    const struct jit_memo *memo = jit_memo_places(table, word);
    memo += memo[1].word == word;
    return memo->word == word && memo->kind == kind ? memo : NULL;
}

/* Where a word goes; never to one place while it stands in the other. */
static inline struct jit_memo *jit_memo_place(struct jit_memo *table, uint32_t word)
{
    struct jit_memo *memo = jit_memo_places(table, word);
    return memo + (memo->kind != 0 && memo->word != word);
}

#endif
