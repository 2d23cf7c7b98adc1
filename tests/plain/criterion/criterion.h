/* Stands in for Criterion where that cannot run: under the thread sanitizer, whose address layout
 * has no room for the arena that Criterion shares with its worker processes. Same tests, same
 * names; they run one after the other in one process and the first failure ends it. What is missing
 * here (expected signals and exit codes, parameterised tests, theories) does not compile, so no
 * test is silently weaker. */
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
    const char *suite, *name;
    void (*run)(void);
    void (*init)(void);
    void (*fini)(void);
    const char *description;
    double timeout; /* not enforced: the sanitizer is slow and ctest has its own */
    struct plain_test *next;
};

/* Weak: a test may be made of several files. */
__attribute__((weak)) struct plain_test *plain_tests, *plain_suites;

#define plain_register(list, entry, function, ...)          \
    static struct plain_test entry = {__VA_ARGS__};         \
    __attribute__((constructor)) static void function(void) \
    {                                                       \
        entry.next = list;                                  \
        list = &entry;                                      \
    }

#define Test(suite_, test_, ...)                                                                   \
    static void plain_##suite_##_##test_(void);                                                    \
    plain_register(plain_tests, plain_entry_##suite_##_##test_, plain_add_##suite_##_##test_,      \
                   .suite = #suite_, .name = #suite_ "::" #test_, .run = plain_##suite_##_##test_, \
                   __VA_ARGS__) static void plain_##suite_##_##test_(void)

#define TestSuite(suite_, ...)                                                                     \
    plain_register(plain_suites, plain_suite_##suite_, plain_add_suite_##suite_, .suite = #suite_, \
                   __VA_ARGS__) struct plain_test

static inline void plain_call(void (*function)(void))
{
    if (function != NULL)
        function();
}

/* The arguments are Criterion's (--verbose and so on) and mean nothing here. */
__attribute__((weak)) int main(void)
{
    static const struct plain_test none;
    for (struct plain_test *test = plain_tests; test != NULL; test = test->next) {
        const struct plain_test *suite = plain_suites;
        while (suite != NULL && strcmp(suite->suite, test->suite) != 0)
            suite = suite->next;
        if (suite == NULL)
            suite = &none;
        fprintf(stderr, "[ RUN ] %s\n", test->name);
        plain_call(suite->init);
        plain_call(test->init);
        test->run();
        plain_call(test->fini);
        plain_call(suite->fini);
    }
    return plain_tests == NULL;
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

/* In the test's own function only. */
#define cr_skip_test(...)                       \
    do {                                        \
        fprintf(stderr, "[SKIP] " __VA_ARGS__); \
        fputc('\n', stderr);                    \
        return;                                 \
    } while (0)

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
