/* Order-named atomics on 64- and 32-bit counters and states. concurrencykit's primitives are inline
 * assembly, which the thread sanitizer cannot see; under it the compiler's builtins stand in. */
#ifndef JAVM_CAPS_ATOMIC_H
#define JAVM_CAPS_ATOMIC_H

#include <ck_pr.h>
#include <stdbool.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define CAPS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CAPS_TSAN 1
#endif
#endif

#ifdef CAPS_TSAN

static inline void atomic_add_relaxed(uint64_t *at, uint64_t n)
{
    __atomic_fetch_add(at, n, __ATOMIC_RELAXED);
}
static inline uint64_t atomic_sub_release(uint64_t *at, uint64_t n) /* the value before */
{
    return __atomic_fetch_sub(at, n, __ATOMIC_RELEASE);
}
static inline uint64_t atomic_sub_acq_rel(uint64_t *at, uint64_t n)
{
    return __atomic_fetch_sub(at, n, __ATOMIC_ACQ_REL);
}
static inline uint64_t atomic_load_acquire(const uint64_t *at)
{
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}
static inline uint32_t atomic_load32_acquire(const uint32_t *at)
{
    return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}
static inline void atomic_store32_release(uint32_t *at, uint32_t value)
{
    __atomic_store_n(at, value, __ATOMIC_RELEASE);
}
static inline bool atomic_cas32_relaxed(uint32_t *at, uint32_t from, uint32_t to)
{
    return __atomic_compare_exchange_n(at, &from, to, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

#else

static inline void atomic_add_relaxed(uint64_t *at, uint64_t n)
{
    ck_pr_add_64(at, n);
}
static inline uint64_t atomic_sub_release(uint64_t *at, uint64_t n)
{
    ck_pr_fence_release();
    return ck_pr_faa_64(at, -n);
}
static inline uint64_t atomic_sub_acq_rel(uint64_t *at, uint64_t n)
{
    ck_pr_fence_release();
    uint64_t before = ck_pr_faa_64(at, -n);
    ck_pr_fence_acquire();
    return before;
}
static inline uint64_t atomic_load_acquire(const uint64_t *at)
{
    uint64_t value = ck_pr_load_64(at);
    ck_pr_fence_acquire();
    return value;
}
static inline uint32_t atomic_load32_acquire(const uint32_t *at)
{
    uint32_t value = ck_pr_load_32(at);
    ck_pr_fence_acquire();
    return value;
}
static inline void atomic_store32_release(uint32_t *at, uint32_t value)
{
    ck_pr_fence_release();
    ck_pr_store_32(at, value);
}
static inline bool atomic_cas32_relaxed(uint32_t *at, uint32_t from, uint32_t to)
{
    return ck_pr_cas_32(at, from, to);
}

#endif
#endif
