/* Every interleaving of one owner and two thieves, on the code of sched/deque.c itself, with store
 * buffers. Would catch: an item taken twice or lost, an index or a buffer published before its
 * items, a last item that both sides get, growth under a thief's eyes, indices that wrap. The
 * defects tried at the end must be found, or this test itself does not look. */
#include "tests/sched/model.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

/* The model's memory: the deque and the buffers that it allocates, at the same places in every run.
 */
static union {
    struct {
        _Alignas(64) unsigned char deque[256];
        unsigned char heap[512];
    } parts;
    uint64_t words[96];
} world;
static size_t heap_used;

static void *model_malloc(size_t size)
{
    void *memory = world.parts.heap + heap_used;
    heap_used += (size + 15) & ~(size_t)15;
    return heap_used <= sizeof world.parts.heap ? memory : NULL;
}

static void model_free(void *memory)
{
    (void)memory;
}

#include <stdlib.h>
#define malloc model_malloc
#define free   model_free
#include "sched/deque.c" /* NOLINT(bugprone-suspicious-include): the code under test, on the model */
#undef malloc
#undef free

_Static_assert(sizeof(struct deque) <= sizeof world.parts.deque, "the deque fits");

static struct deque *const deque = (struct deque *)(void *)world.parts.deque;
static uint64_t first_index;
static size_t heap_first;
static const char *program; /* of the owner: p push, t take, s steal from itself */
static unsigned thefts;     /* tries of each thief */

static void reset(unsigned thread)
{
    if (thread == 0) { /* the owner's plain words, and the buffers that it made */
        deque->top_seen = first_index;
        heap_used = heap_first;
    }
}

static void owner(void)
{
    uint64_t item = 0;
    for (const char *at = program; *at != '\0'; at++) {
        if (*at == 'p') {
            if (deque_reserve(deque, 1))
                deque_push(deque, ++item);
        } else if (*at == 's') {
            uint64_t oldest;
            if (deque_steal(deque, &oldest) == DEQUE_STOLEN)
                model_result(oldest);
        } else {
            const uint64_t taken = deque_take(deque);
            if (taken != 0)
                model_result(taken);
        }
    }
}

static void body(unsigned thread)
{
    if (thread == 0) {
        owner();
        return;
    }
    for (unsigned i = 0; i < thefts; i++) {
        uint64_t item;
        if (deque_steal(deque, &item) == DEQUE_STOLEN)
            model_result(item);
    }
}

static const char *check(const struct model_state *state)
{
    unsigned pushed = 0;
    unsigned gone = 0;
    bool seen[16] = {false};
    for (const char *at = program; *at != '\0'; at++)
        pushed += *at == 'p';
    for (unsigned i = 0; i < MODEL_THREADS; i++) {
        for (unsigned k = 0; k < state->threads[i].result_count; k++, gone++) {
            const uint64_t item = state->threads[i].results[k];
            if (item == 0 || item > pushed)
                return "an item that nobody pushed";
            if (seen[item])
                return "an item twice";
            seen[item] = true;
        }
    }
    const uint64_t left = model_word(state, &deque->bottom) - model_word(state, &deque->top);
    return gone + left == pushed ? NULL : "an item lost";
}

/* Sets the world up and explores it with the given defects. */
static struct model_report explore(struct model defects, const char *owner_program,
                                   unsigned thieves, unsigned tries, size_t slots, uint64_t start)
{
    memset(&world, 0, sizeof world);
    heap_used = 0;
    program = owner_program;
    thefts = tries;
    first_index = start;
    cr_assert(deque_init(deque, slots, start));
    heap_first = heap_used;
    defects.words = world.words;
    defects.word_count = sizeof world.words / sizeof world.words[0];
    defects.threads = 1 + thieves;
    defects.body = body;
    defects.reset = reset;
    defects.check = check;
    const struct model_report report = model_explore(&defects);
    if (getenv("JAVM_TEST_VERBOSE") != NULL)
        fprintf(stderr, "%s x %u thieves: %llu states, %llu ends%s%s\n", owner_program, thieves,
                (unsigned long long)report.states, (unsigned long long)report.ends,
                report.wrong != NULL ? ": " : "", report.wrong != NULL ? report.wrong : "");
    return report;
}

static void expect_right(struct model mode, const char *owner_program, unsigned thieves,
                         unsigned tries, size_t slots, uint64_t start)
{
    const struct model_report report = explore(mode, owner_program, thieves, tries, slots, start);
    cr_assert_null(report.wrong, "%s: %s", owner_program, report.wrong);
    cr_assert_gt(report.ends, 1); /* it did branch */
}

static const struct model TOTAL = {.partial = false};
static const struct model PARTIAL = {.partial = true};

Test(model_deque, owner_against_one_thief)
{
    expect_right(TOTAL, "pptt", 1, 2, 4, 0);
    expect_right(PARTIAL, "pptt", 1, 2, 4, 0);
    expect_right(PARTIAL, "ptptpt", 1, 2, 4, 0);
    expect_right(PARTIAL, "pptpttt", 1, 3, 4, 0);
}

Test(model_deque, owner_against_two_thieves)
{
    expect_right(PARTIAL, "ptt", 2, 1, 4, 0);
    expect_right(PARTIAL, "pptt", 2, 1, 4, 0);
    expect_right(PARTIAL, "ptpt", 2, 1, 4, 0);
}

Test(model_deque, growth_under_a_thief)
{
    expect_right(PARTIAL, "ppptt", 1, 2, 2, 0);
    expect_right(PARTIAL, "pppt", 2, 1, 2, 0);
    expect_right(PARTIAL, "ppptt", 1, 2, 1, 0); /* twice */
}

Test(model_deque, slots_are_used_again)
{
    expect_right(PARTIAL, "ptptpptt", 1, 2, 2, 0);
    expect_right(PARTIAL, "ppptp", 1, 3, 2, 0);
}

Test(model_deque, an_owner_that_takes_its_oldest)
{
    expect_right(PARTIAL, "ppst", 1, 2, 4, 0);
    expect_right(PARTIAL, "pspst", 1, 2, 4, 0);
    expect_right(PARTIAL, "pptsptt", 1, 2, 2, 0);
    expect_right(PARTIAL, "ppst", 2, 1, 4, 0);
}

Test(model_deque, indices_wrap)
{
    expect_right(PARTIAL, "ppptt", 1, 2, 2, UINT64_MAX - 1);
    expect_right(PARTIAL, "ppptt", 1, 2, 2, (UINT64_C(1) << 63) - 2);
}

/* The same search has to find these. */
Test(model_deque, a_missing_fence_is_found)
{
    const struct model_report report = explore((struct model){.no_fence = 1}, "pptt", 1, 2, 4, 0);
    cr_assert_not_null(report.wrong);
    cr_assert_str_eq(report.wrong, "an item twice");
}

Test(model_deque, a_missing_release_is_found)
{
    const struct model_report report =
        explore((struct model){.partial = true, .no_release = true}, "ppt", 1, 1, 4, 0);
    cr_assert_not_null(report.wrong);
    cr_assert_str_eq(report.wrong, "an item that nobody pushed");
}

Test(model_deque, a_split_swap_is_found)
{
    const struct model_report report = explore((struct model){.split_cas = true}, "pp", 2, 1, 4, 0);
    cr_assert_not_null(report.wrong);
    cr_assert_str_eq(report.wrong, "an item twice");
}
