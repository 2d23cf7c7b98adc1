/* The atomic operations of sched/, named by their memory order.
 *
 * They are ck_pr operations and fences. ck_pr is inline assembly, which ThreadSanitizer cannot see,
 * so under it the same names are compiler builtins. ThreadSanitizer knows no fences; see there.
 *
 * Everything is a 64-bit word (a pointer is kept as uintptr_t): one width, one place to check.
 * tests/sched/model.h replaces this file to run the code above it under a simulated store buffer.
 */
#ifndef JAVM_SCHED_ATOMIC_H
#define JAVM_SCHED_ATOMIC_H

#include <stdbool.h>
#include <stdint.h>

#define SCHED_LINE 64 /* bytes that two threads should not both write */

#if defined(__SANITIZE_THREAD__)
#define SCHED_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SCHED_TSAN 1
#endif
#endif

#ifdef SCHED_TSAN

static inline uint64_t at_load_relaxed(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static inline uint64_t at_load_acquire(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static inline void at_store_relaxed(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static inline void at_store_release(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static inline bool at_cas_seq_cst(uint64_t *word, uint64_t expected, uint64_t value)
{
    /* Acquire when it fails: who lost the last item of a deque goes on with the winner's index. */
    return __atomic_compare_exchange_n(word, &expected, value, false, __ATOMIC_SEQ_CST,
                                       __ATOMIC_ACQUIRE);
}

static inline uint64_t at_add_seq_cst(uint64_t *word, uint64_t delta)
{
    return __atomic_fetch_add(word, delta, __ATOMIC_SEQ_CST);
}

static inline bool at_set_bit_seq_cst(uint64_t *word, unsigned bit)
{
    return (__atomic_fetch_or(word, UINT64_C(1) << bit, __ATOMIC_SEQ_CST) >> bit & 1) != 0;
}

static inline bool at_clear_bit_seq_cst(uint64_t *word, unsigned bit)
{
    return (__atomic_fetch_and(word, ~(UINT64_C(1) << bit), __ATOMIC_SEQ_CST) >> bit & 1) != 0;
}

static inline void at_pause(void)
{
    __asm__ __volatile__("" ::: "memory");
}

extern uint64_t sched_fence_word; /* idle.c */

/* On x86 a relaxed read-modify-write, which is a locked instruction inside an opaque call: a full
 * fence for the processor and the compiler, and nothing for ThreadSanitizer. An ordered one would
 * tell it that everybody synchronises with everybody here, and it would find no missing release or
 * acquire any more. Elsewhere the fence has to be an ordered one to be a fence at all. */
static inline void at_fence_seq_cst(void)
{
#if defined(__x86_64__)
    (void)__atomic_fetch_add(&sched_fence_word, 1, __ATOMIC_RELAXED);
#else
    (void)__atomic_fetch_add(&sched_fence_word, 1, __ATOMIC_SEQ_CST);
#endif
}

#else

#include <ck_pr.h>

static inline uint64_t at_load_relaxed(const uint64_t *word)
{
    return ck_pr_load_64(word);
}

static inline uint64_t at_load_acquire(const uint64_t *word)
{
    const uint64_t value = ck_pr_load_64(word);
    ck_pr_fence_acquire();
    return value;
}

static inline void at_store_relaxed(uint64_t *word, uint64_t value)
{
    ck_pr_store_64(word, value);
}

static inline void at_store_release(uint64_t *word, uint64_t value)
{
    ck_pr_fence_release();
    ck_pr_store_64(word, value);
}

static inline void at_pause(void)
{
    ck_pr_stall();
}

static inline void at_fence_seq_cst(void)
{
#ifdef CK_MD_TSO
    /* On a TSO machine a locked operation orders as mfence does and costs half of it; ck says so
     * too: its fences between atomic operations and loads are empty there. */
    uint64_t here = 0;
    (void)ck_pr_faa_64(&here, 0);
#else
    ck_pr_fence_memory();
#endif
}

/* The fences around the next four are empty on TSO, where a locked operation is one itself. */
static inline bool at_cas_seq_cst(uint64_t *word, uint64_t expected, uint64_t value)
{
    ck_pr_fence_lock();
    const bool swapped = ck_pr_cas_64(word, expected, value);
    ck_pr_fence_lock();
    return swapped;
}

static inline uint64_t at_add_seq_cst(uint64_t *word, uint64_t delta)
{
    ck_pr_fence_lock();
    const uint64_t before = ck_pr_faa_64(word, delta);
    ck_pr_fence_lock();
    return before;
}

/* Both return what the bit was. */
static inline bool at_set_bit_seq_cst(uint64_t *word, unsigned bit)
{
    ck_pr_fence_lock();
    const bool before = ck_pr_bts_64(word, bit);
    ck_pr_fence_lock();
    return before;
}

static inline bool at_clear_bit_seq_cst(uint64_t *word, unsigned bit)
{
    ck_pr_fence_lock();
    const bool before = ck_pr_btr_64(word, bit);
    ck_pr_fence_lock();
    return before;
}

#endif

/* A counter that one thread alone writes and others may read: no locked operation needed. */
static inline void at_bump(uint64_t *word, uint64_t delta)
{
    at_store_relaxed(word, at_load_relaxed(word) + delta);
}

#endif
