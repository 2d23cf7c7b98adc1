/* Small programs that exercise what a compiler makes of C. Each takes and returns a number, keeps
 * to defined behaviour, and gives the same result when compiled for the machine that runs the
 * tests. */
#ifndef JAVM_TEST_SAMPLES_H
#define JAVM_TEST_SAMPLES_H

#include <stddef.h>
#include <stdint.h>

uint64_t sample_sieve(uint64_t n);
uint64_t sample_blake2b(uint64_t n);
uint64_t sample_switch(uint64_t n);
uint64_t sample_pointers(uint64_t n);
uint64_t sample_labels(uint64_t n);
uint64_t sample_branchy(uint64_t n);
uint64_t sample_sort(uint64_t n);
uint64_t sample_wide(uint64_t n);

/* In the order of the endpoints of samples.elf. */
#define SAMPLES(X)  \
    X(sieve, 2000)  \
    X(blake2b, 300) \
    X(switch, 400) X(pointers, 97) X(labels, 250) X(branchy, 700) X(sort, 120) X(wide, 60)

#endif
