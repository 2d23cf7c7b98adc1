/* Fibonacci by double recursion: calls, returns and stack frames. a0: n, at most 40. */
#include "javm_guest.h"

static __attribute__((noinline)) uint64_t fib(uint64_t n)
{
    return n < 2 ? n : fib(n - 1) + fib(n - 2);
}

uint64_t guest_main(uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
    (void)a1, (void)a2, (void)a3;
    return fib(a0 > 40 ? 40 : a0);
}
