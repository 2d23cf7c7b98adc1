/* Exhaustive search through what a few threads can do, with the real code of sched/.
 *
 * A test includes this header first: it stands in for sched/atomic.h and sched/park.h, so that a
 * sched/ source included after it does its atomic operations here. Each such operation is a step;
 * the search tries every order of steps, and between them every moment at which a thread's buffered
 * stores can reach memory. That is total store order (x86), or, with `partial`, partial store
 * order, where plain stores overtake each other but a release store still comes after all that
 * stand before it. Loads are not reordered: what only an acquire keeps apart is not tested here.
 *
 * Threads have no stacks of their own: a step runs the body from its beginning, feeds it the values
 * that it has seen so far, performs one operation more and jumps out. So bodies must depend on
 * nothing else. */
#ifndef JAVM_TESTS_SCHED_MODEL_H
#define JAVM_TESTS_SCHED_MODEL_H

#define JAVM_SCHED_ATOMIC_H
#define JAVM_SCHED_PARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCHED_LINE 64

enum {
    MODEL_THREADS = 4,
    MODEL_WORDS = 160,
    MODEL_BUFFER = 6,
    MODEL_STEPS = 96,
    MODEL_RESULTS = 8
};

struct model_thread {
    uint64_t seen[MODEL_STEPS]; /* what each operation so far returned */
    uint64_t results[MODEL_RESULTS];
    struct {
        uint64_t *word;
        uint64_t value;
        bool release;
    } buffer[MODEL_BUFFER]; /* stores that have not reached memory, oldest first */
    struct {
        int kind;
        uint64_t *word;
        uint64_t key;
    } next; /* the operation that it is about to do */
    unsigned steps, result_count, buffered;
    bool done;
};

struct model_state {
    uint64_t memory[MODEL_WORDS];
    struct model_thread threads[MODEL_THREADS];
    unsigned last,
        preemptions; /* who ran last; how often somebody ran while that one could have gone on */
};

struct model {
    uint64_t *words; /* the shared memory: every atomic word lies in here, with its first value */
    size_t word_count;
    unsigned threads;
    void (*body)(unsigned thread);
    /* Before each run of a body: put plain memory that bodies write back to what it was; may be
     * NULL. */
    void (*reset)(unsigned thread);
    /* Called when no thread can do anything more. NULL: fine; else what is wrong. */
    const char *(*check)(const struct model_state *state);
    bool partial;         /* partial store order */
    unsigned preemptions; /* search only runs with at most so many; 0: all runs */
    /* Defects to try: */
    unsigned no_fence; /* a bit per thread: its fences do nothing */
    bool no_release;   /* release stores are plain ones */
    bool split_cas;    /* compare-and-swap is a load and a store */
};

struct model_report {
    const char *wrong; /* the first thing wrong, or NULL */
    uint64_t states, ends;
};

struct model_report model_explore(const struct model *model);
/* In a body: note a result for `check`. */
void model_result(uint64_t value);
/* In `check`: a word of memory. */
uint64_t model_word(const struct model_state *state, const uint64_t *word);

uint64_t model_load(const uint64_t *word);
void model_store(uint64_t *word, uint64_t value, bool release);
bool model_cas(uint64_t *word, uint64_t expected, uint64_t value);
uint64_t model_add(uint64_t *word, uint64_t delta);
uint64_t model_or_and(uint64_t *word, uint64_t with_or, uint64_t with_and);
void model_fence(void);
void model_wait(uint64_t *word, uint64_t key);

/* ---- sched/atomic.h ---- */

static inline uint64_t at_load_relaxed(const uint64_t *word)
{
    return model_load(word);
}

static inline uint64_t at_load_acquire(const uint64_t *word)
{
    return model_load(word);
}

static inline void at_store_relaxed(uint64_t *word, uint64_t value)
{
    model_store(word, value, false);
}

static inline void at_store_release(uint64_t *word, uint64_t value)
{
    model_store(word, value, true);
}

static inline bool at_cas_seq_cst(uint64_t *word, uint64_t expected, uint64_t value)
{
    return model_cas(word, expected, value);
}

static inline uint64_t at_add_seq_cst(uint64_t *word, uint64_t delta)
{
    return model_add(word, delta);
}

static inline bool at_set_bit_seq_cst(uint64_t *word, unsigned bit)
{
    return (model_or_and(word, UINT64_C(1) << bit, UINT64_MAX) >> bit & 1) != 0;
}

static inline bool at_clear_bit_seq_cst(uint64_t *word, unsigned bit)
{
    return (model_or_and(word, 0, ~(UINT64_C(1) << bit)) >> bit & 1) != 0;
}

static inline void at_fence_seq_cst(void)
{
    model_fence();
}

/* ---- sched/park.h ---- */

struct park {
    uint64_t count;
};

static inline void park_init(struct park *park)
{
    park->count = 0;
}

static inline uint64_t park_key(struct park *park)
{
    return model_load(&park->count);
}

static inline void park_wait(struct park *park, uint64_t key)
{
    model_wait(&park->count, key);
}

static inline void park_wake(struct park *park)
{
    (void)model_add(&park->count, 1);
}

#endif
