/* For the tests of every module: a check that works in any thread, leaks, a seeded generator. */
#ifndef TESTS_REQUIRE_H
#define TESTS_REQUIRE_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

/* For any thread, unlike Criterion's asserts. */
#define REQUIRE(what)                                                            \
    do {                                                                         \
        if (!(what)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #what); \
            abort();                                                             \
        }                                                                        \
    } while (0)

/* Criterion runs each test in a process of its own and ignores its exit code, and with it the leak
 * checker's verdict; this makes a leak a failure. Call it when all is released. */
#if defined(__SANITIZE_ADDRESS__)
#define TEST_LEAKS 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_LEAKS 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define TEST_THREADS 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_THREADS 1
#endif
#endif
#if defined(TEST_LEAKS) || defined(TEST_THREADS)
#define SANITIZED 1
#else
#define SANITIZED 0
#endif
#ifdef TEST_LEAKS
#include <sanitizer/lsan_interface.h>
#define REQUIRE_NO_LEAKS() REQUIRE(__lsan_do_recoverable_leak_check() == 0)
#else
#define REQUIRE_NO_LEAKS() ((void)0)
#endif

/* How much longer than normal the long tests run: the environment variable JAVM_STRESS. */
static inline unsigned stress_factor(void)
{
    const char *text = getenv("JAVM_STRESS");
    const long factor = text != NULL ? strtol(text, NULL, 10) : 1;
    return factor > 0 && factor < 100000 ? (unsigned)factor : 1;
}

struct random {
    uint64_t state;
};

static inline uint64_t random_u64(struct random *random)
{
    random->state += 0x9E3779B97F4A7C15u; /* splitmix64 */
    uint64_t z = random->state;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static inline uint64_t random_below(struct random *random, uint64_t limit)
{
    return random_u64(random) % limit;
}

static inline void random_bytes(struct random *random, uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)random_u64(random);
}

#endif
