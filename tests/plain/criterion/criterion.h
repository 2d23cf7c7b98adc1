/* Stands in for Criterion where that cannot run: under the thread sanitizer, whose address layout
 * has no room for the arena that Criterion shares with its worker processes. Same tests, same
 * names; they run one after the other in one process and the first failure ends it. Include it in
 * one file of a test only. What is missing here (expected signals and exit codes, parameterised
 * tests, theories) does not compile, so no test is silently weaker. */
#ifndef TESTS_PLAIN_CRITERION_H
#define TESTS_PLAIN_CRITERION_H
#pragma GCC system_header /* variadic macros without arguments, as in the original */
#ifdef __clang__
#pragma clang diagnostic ignored "-Wgnu-zero-variadic-macro-arguments"
#endif

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct plain_test {
    const char *name;
    void (*run)(void);
    void (*init)(void);
    void (*fini)(void);
    const char *description;
    double timeout; /* not enforced: the sanitizer is slow and ctest has its own */
    struct plain_test *next;
};

static struct plain_test *plain_tests;

#define Test(suite, test, ...)                                                  \
    static void plain_##suite##_##test(void);                                   \
    static struct plain_test plain_entry_##suite##_##test = {                   \
        .name = #suite "::" #test, .run = plain_##suite##_##test, __VA_ARGS__}; \
    __attribute__((constructor)) static void plain_add_##suite##_##test(void)   \
    {                                                                           \
        plain_entry_##suite##_##test.next = plain_tests;                        \
        plain_tests = &plain_entry_##suite##_##test;                            \
    }                                                                           \
    static void plain_##suite##_##test(void)

/* The arguments are Criterion's (--verbose and so on) and mean nothing here. */
int main(void)
{
    for (struct plain_test *test = plain_tests; test != NULL; test = test->next) {
        fprintf(stderr, "[ RUN ] %s\n", test->name);
        if (test->init != NULL)
            test->init();
        test->run();
        if (test->fini != NULL)
            test->fini();
    }
    return 0;
}

#define plain_check(what, ...)                                                   \
    do {                                                                         \
        if (!(what)) {                                                           \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #what); \
            fprintf(stderr, "" __VA_ARGS__);                                     \
            abort();                                                             \
        }                                                                        \
    } while (0)

#define cr_assert(what, ...)           plain_check((what), ##__VA_ARGS__)
#define cr_assert_not(what, ...)       plain_check(!(what), ##__VA_ARGS__)
#define cr_assert_eq(a, b, ...)        plain_check((a) == (b), ##__VA_ARGS__)
#define cr_assert_neq(a, b, ...)       plain_check((a) != (b), ##__VA_ARGS__)
#define cr_assert_lt(a, b, ...)        plain_check((a) < (b), ##__VA_ARGS__)
#define cr_assert_leq(a, b, ...)       plain_check((a) <= (b), ##__VA_ARGS__)
#define cr_assert_gt(a, b, ...)        plain_check((a) > (b), ##__VA_ARGS__)
#define cr_assert_geq(a, b, ...)       plain_check((a) >= (b), ##__VA_ARGS__)
#define cr_assert_null(a, ...)         plain_check((a) == NULL, ##__VA_ARGS__)
#define cr_assert_not_null(a, ...)     plain_check((a) != NULL, ##__VA_ARGS__)
#define cr_assert_str_eq(a, b, ...)    plain_check(strcmp((a), (b)) == 0, ##__VA_ARGS__)
#define cr_assert_arr_eq(a, b, n, ...) plain_check(memcmp((a), (b), (n)) == 0, ##__VA_ARGS__)
#define cr_assert_fail(...)            plain_check(false, ##__VA_ARGS__)

#define cr_expect          cr_assert
#define cr_expect_not      cr_assert_not
#define cr_expect_eq       cr_assert_eq
#define cr_expect_neq      cr_assert_neq
#define cr_expect_lt       cr_assert_lt
#define cr_expect_leq      cr_assert_leq
#define cr_expect_gt       cr_assert_gt
#define cr_expect_geq      cr_assert_geq
#define cr_expect_null     cr_assert_null
#define cr_expect_not_null cr_assert_not_null
#define cr_expect_str_eq   cr_assert_str_eq
#define cr_expect_arr_eq   cr_assert_arr_eq
#define cr_expect_fail     cr_assert_fail

#endif
