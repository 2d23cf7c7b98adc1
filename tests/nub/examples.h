/* The archived values that docs/nub.md shows, as bytes. */
#ifndef TESTS_NUB_EXAMPLES_H
#define TESTS_NUB_EXAMPLES_H

#include <stddef.h>
#include <stdint.h>

#define EXAMPLE_MAX 1024
/* 8-aligned, so that a root's natural alignment holds in memory, too. */
struct example {
    _Alignas(8) uint8_t bytes[EXAMPLE_MAX];
    size_t len;
};
/* The one behind "<!-- golden NAME -->"; aborts when there is none. */
void example_read(const char *name, struct example *example);

#endif
