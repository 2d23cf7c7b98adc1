/* Where the choices of a random case come from: bytes, while there are any, then a generator. So a
 * fuzzer can steer what a seed would decide. */
#ifndef TESTS_VM_KERNEL_CHOICE_H
#define TESTS_VM_KERNEL_CHOICE_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/require.h"

struct choices {
    struct random random;
    const uint8_t *bytes; /* borrowed */
    size_t left;
};

/* A number below `limit`, which is not 0. */
static inline uint64_t choose(struct choices *choices, uint64_t limit)
{
    if (choices->left == 0)
        return random_below(&choices->random, limit);
    uint64_t number = 0;
    for (uint64_t reach = 1; reach < limit && choices->left != 0; choices->left--) {
        number = number << 8 | *choices->bytes++;
        if (reach > UINT64_MAX >> 8)
            break;
        reach <<= 8;
    }
    return number % limit;
}

static inline bool likely(struct choices *choices, unsigned percent)
{
    return choose(choices, 100) < percent;
}

/* low..high */
static inline uint64_t between(struct choices *choices, uint64_t low, uint64_t high)
{
    return low + choose(choices, high - low + 1);
}

#endif
