/* Encodings for the tests that compare a quick way with the decoder: every halfword, every word in
 * which a decision is made, random ones. Included in one .c file of each test. */
#ifndef TESTS_VM_PVM2_WORDS_H
#define TESTS_VM_PVM2_WORDS_H

#include <stdint.h>

/* Every value of opcode, funct3, funct7 and rs2, with registers that are x0, any, the first and the
 * last that do not exist. */
#define PVM2_WORDS (UINT32_C(1) << 24)
static inline uint32_t pvm2_word(uint32_t i)
{
    static const uint32_t registers[4] = {0, 9, 16, 31};
    return 3 | (i & 31) << 2 | (i >> 5 & 7) << 12 | (i >> 8 & 127) << 25 | (i >> 15 & 31) << 20 |
           registers[i >> 20 & 3] << 7 | registers[i >> 22 & 3] << 15;
}

/* splitmix64 */
static inline uint64_t pvm2_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9E3779B97F4A7C15);
    z = (z ^ z >> 30) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ z >> 27) * UINT64_C(0x94D049BB133111EB);
    return z ^ z >> 31;
}

/* A random word, half of the time with registers that exist, often of an opcode with many forms. */
static inline uint32_t pvm2_random_word(uint64_t *state)
{
    static const uint8_t opcodes[8] = {0x13, 0x1B, 0x33, 0x3B, 0x63, 0x6F, 0x0B, 0x67};
    uint64_t r = pvm2_random(state);
    uint32_t word = (uint32_t)r | 3;
    if ((r >> 32 & 1) != 0)
        word &= ~(16u << 7 | 16u << 15 | 16u << 20);
    if ((r >> 33 & 1) != 0)
        word = (word & ~127u) | opcodes[r >> 34 & 7];
    return word;
}

#endif
