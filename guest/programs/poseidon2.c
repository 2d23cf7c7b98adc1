/* A permutation in the style of Poseidon2 over the Goldilocks field, width 8: 8 full and 22 partial
 * rounds, x^7. The round constants come from a xorshift generator with a fixed seed, so this is no
 * standard instance. a0: permutations (<= 2^20), a1: seed of the state. */
#include "goldilocks.h"
#include "javm_guest.h"

#define WIDTH   8
#define FULL    8
#define PARTIAL 22

static uint64_t full_constants[FULL][WIDTH], partial_constants[PARTIAL], diagonal[WIDTH];

static uint64_t next_constant(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return gold_reduce(*state);
}

static void make_constants(void)
{
    uint64_t state = UINT64_C(0x706f736569646f6e);
    for (int r = 0; r < FULL; r++)
        for (int i = 0; i < WIDTH; i++)
            full_constants[r][i] = next_constant(&state);
    for (int r = 0; r < PARTIAL; r++)
        partial_constants[r] = next_constant(&state);
    for (int i = 0; i < WIDTH; i++)
        diagonal[i] = next_constant(&state);
}

static inline uint64_t seventh(uint64_t x)
{
    const uint64_t x2 = gold_mul(x, x), x3 = gold_mul(x2, x);
    return gold_mul(gold_mul(x3, x3), x);
}

/* The circulant of a 4 x 4 block with (2 3 1 1), each half, then the halves added to both. */
static void mix_full(uint64_t *s)
{
    for (int half = 0; half < WIDTH; half += 4) {
        uint64_t *v = s + half;
        const uint64_t sum = gold_add(gold_add(v[0], v[1]), gold_add(v[2], v[3]));
        const uint64_t first = v[0];
        for (int i = 0; i < 4; i++) {
            const uint64_t next = i < 3 ? v[i + 1] : first;
            v[i] = gold_add(gold_add(sum, v[i]), gold_add(next, next));
        }
    }
    for (int i = 0; i < 4; i++) {
        const uint64_t both = gold_add(s[i], s[i + 4]);
        s[i] = gold_add(s[i], both);
        s[i + 4] = gold_add(s[i + 4], both);
    }
}

static void mix_partial(uint64_t *s)
{
    uint64_t sum = 0;
    for (int i = 0; i < WIDTH; i++)
        sum = gold_add(sum, s[i]);
    for (int i = 0; i < WIDTH; i++)
        s[i] = gold_add(gold_mul(s[i], diagonal[i]), sum);
}

static void permute(uint64_t *s)
{
    mix_full(s);
    for (int r = 0; r < FULL + PARTIAL; r++) {
        if (r >= FULL / 2 && r < FULL / 2 + PARTIAL) {
            s[0] = seventh(gold_add(s[0], partial_constants[r - FULL / 2]));
            mix_partial(s);
        } else {
            const int k = r < FULL / 2 ? r : r - PARTIAL;
            for (int i = 0; i < WIDTH; i++)
                s[i] = seventh(gold_add(s[i], full_constants[k][i]));
            mix_full(s);
        }
    }
}

uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    (void)a2, (void)a3;
    uint64_t state[WIDTH];
    make_constants();
    for (uint64_t i = 0; i < WIDTH; i++)
        state[i] = gold_reduce(a1 + i);
    for (uint64_t n = a0 > 1u << 20 ? 1u << 20 : a0; n > 0; n--)
        permute(state);
    return state[0] ^ state[WIDTH - 1] << 1;
}
