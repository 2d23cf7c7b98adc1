/* The atomic operations of this folder, named by their memory order.
 *
 * They are the compiler's builtins and not ck_pr: ck_pr is inline assembly, which ThreadSanitizer
 * cannot see, and its operations do not name an order. So what the sanitizer checks is what runs.
 * No operation here has a default order; the list is short on purpose. */
#ifndef CACHE_ATOMIC_H
#define CACHE_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#define CACHE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CACHE_TSAN 1
#endif
#endif

/* `at` points to an integer or a pointer. */
#define load_relaxed(at)        __atomic_load_n((at), __ATOMIC_RELAXED)
#define load_acquire(at)        __atomic_load_n((at), __ATOMIC_ACQUIRE)
#define store_relaxed(at, v)    __atomic_store_n((at), (v), __ATOMIC_RELAXED)
#define store_release(at, v)    __atomic_store_n((at), (v), __ATOMIC_RELEASE)
#define add_relaxed(at, v)      __atomic_fetch_add((at), (v), __ATOMIC_RELAXED)
#define sub_relaxed(at, v)      __atomic_fetch_sub((at), (v), __ATOMIC_RELAXED)
#define sub_acq_rel(at, v)      __atomic_fetch_sub((at), (v), __ATOMIC_ACQ_REL)
#define exchange_acq_rel(at, v) __atomic_exchange_n((at), (v), __ATOMIC_ACQ_REL)

/* Compare and set, strong: true when *at was *seen and is now v. When false *seen is what was
 * there, read relaxed: load again with acquire before looking behind a pointer. */
#define cas_relaxed(at, seen, v) \
    __atomic_compare_exchange_n((at), (seen), (v), false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)
#define cas_acquire(at, seen, v) \
    __atomic_compare_exchange_n((at), (seen), (v), false, __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)
#define cas_release(at, seen, v) \
    __atomic_compare_exchange_n((at), (seen), (v), false, __ATOMIC_RELEASE, __ATOMIC_RELAXED)

#endif
