/* Would catch: a wrong order of take or steal, growth that loses or repeats items, buffers that
 * leak (under AddressSanitizer), indices compared instead of subtracted (start near 2^63 and 2^64),
 * and, in the stress tests, any race of owner and thieves that shows on this machine: an item taken
 * twice or never, an item's contents not visible to its taker. All interleavings of small cases:
 * test_model_deque.c. */
#include "tests/sched/support.h"

#include <pthread.h>

#include "sched/deque.h"

static const uint64_t STARTS[] = {0, (UINT64_C(1) << 63) - 3, UINT64_MAX - 3};
enum { START_COUNT = sizeof STARTS / sizeof *STARTS };

static uint64_t steal(struct deque *deque)
{
    uint64_t item = 0;
    return deque_steal(deque, &item) == DEQUE_STOLEN ? item : 0;
}

Test(deque, owner_is_last_in_first_out)
{
    for (unsigned s = 0; s < START_COUNT; s++) {
        struct deque deque;
        cr_assert(deque_init(&deque, 4, STARTS[s]));
        cr_assert_eq(deque_take(&deque), 0);
        cr_assert(deque_reserve(&deque, 3));
        for (uint64_t i = 1; i <= 3; i++)
            deque_push(&deque, i);
        cr_assert_eq(deque_size_hint(&deque), 3);
        for (uint64_t i = 3; i >= 1; i--)
            cr_assert_eq(deque_take(&deque), i);
        cr_assert_eq(deque_take(&deque), 0);
        cr_assert_eq(deque_take(&deque), 0);
        cr_assert_eq(deque_size_hint(&deque), 0);
        deque_destroy(&deque);
    }
}

Test(deque, thieves_are_first_in_first_out)
{
    for (unsigned s = 0; s < START_COUNT; s++) {
        struct deque deque;
        uint64_t item;
        cr_assert(deque_init(&deque, 4, STARTS[s]));
        cr_assert_eq(deque_steal(&deque, &item), DEQUE_EMPTY);
        cr_assert(deque_reserve(&deque, 4));
        for (uint64_t i = 1; i <= 4; i++)
            deque_push(&deque, i);
        cr_assert_eq(steal(&deque), 1);
        cr_assert_eq(deque_take(&deque), 4);
        cr_assert_eq(steal(&deque), 2);
        cr_assert_eq(deque_take(&deque), 3);
        cr_assert_eq(deque_take(&deque), 0);
        cr_assert_eq(deque_steal(&deque, &item), DEQUE_EMPTY);
        deque_destroy(&deque);
    }
}

Test(deque, grows_and_keeps_everything)
{
    for (unsigned s = 0; s < START_COUNT; s++) {
        struct deque deque;
        uint64_t stolen = 0;
        cr_assert(deque_init(&deque, 1, STARTS[s]));
        /* Steals in between, so that the live part does not begin at slot 0. */
        for (uint64_t i = 1; i <= 1000; i++) {
            cr_assert(deque_reserve(&deque, 1));
            deque_push(&deque, i);
            if (i % 3 == 0)
                cr_assert_eq(steal(&deque), ++stolen);
        }
        for (uint64_t i = 1000; i > stolen; i--)
            cr_assert_eq(deque_take(&deque), i);
        cr_assert_eq(deque_take(&deque), 0);
        deque_destroy(&deque);
    }
}

Test(deque, slots_are_used_again_without_growth)
{
    struct deque deque;
    cr_assert(deque_init(&deque, 2, 0));
    const uint64_t buffer = deque.buffer;
    for (uint64_t i = 1; i <= 1000; i += 2) {
        cr_assert(deque_reserve(&deque, 2));
        deque_push(&deque, i);
        deque_push(&deque, i + 1);
        cr_assert_eq(steal(&deque), i);
        cr_assert_eq(deque_take(&deque), i + 1);
    }
    cr_assert_eq(deque.buffer, buffer);
    deque_destroy(&deque);
}

Test(deque, impossible_reservation_changes_nothing)
{
    struct deque deque;
    cr_assert(deque_init(&deque, 2, 0));
    cr_assert(deque_reserve(&deque, 1));
    deque_push(&deque, 7);
    cr_assert_not(deque_reserve(&deque, SIZE_MAX / 16));
    cr_assert_eq(deque_take(&deque), 7);
    deque_destroy(&deque);
}

/* ---- stress ---- */

/* Items per run: fewer under a sanitizer, which makes each step slow (support.h). */
static unsigned long items;
enum { THIEVES = 3 };

struct parcel { /* plain on purpose: only the deque orders the pusher's write and the taker's read
                 */
    uint64_t value;
    atomic_uint taken;
};

static struct {
    struct deque deque;
    struct parcel *parcels;
    atomic_bool over;
    atomic_ulong wrong;
} stress;

static void take_parcel(uint64_t item)
{
    struct parcel *parcel = &stress.parcels[item - 1];
    if (parcel->value != item * 3 ||
        atomic_fetch_add_explicit(&parcel->taken, 1, memory_order_relaxed) != 0)
        atomic_fetch_add(&stress.wrong, 1);
}

static void *thief(void *arg)
{
    uint64_t item;
    (void)arg;
    for (;;) {
        const bool over = atomic_load(&stress.over);
        const enum deque_steal result = deque_steal(&stress.deque, &item);
        if (result == DEQUE_STOLEN)
            take_parcel(item);
        else if (result == DEQUE_EMPTY && over)
            return NULL;
    }
}

static void run_stress(uint64_t start, unsigned burst)
{
    pthread_t threads[THIEVES];
    unsigned seed = 1 + burst;
    uint64_t item;
    items = scaled(300000);
    stress.parcels = calloc(items, sizeof *stress.parcels);
    cr_assert_not_null(stress.parcels);
    cr_assert(deque_init(&stress.deque, 2, start));
    atomic_store(&stress.over, false);
    for (unsigned i = 0; i < THIEVES; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, thief, NULL), 0);
    for (uint64_t next = 1; next <= items;) {
        for (unsigned n = (unsigned)rand_r(&seed) % burst + 1; n > 0 && next <= items;
             n--, next++) {
            stress.parcels[next - 1].value = next * 3;
            cr_assert(deque_reserve(&stress.deque, 1));
            deque_push(&stress.deque, next);
        }
        for (unsigned n = (unsigned)rand_r(&seed) % burst + 1; n > 0; n--) {
            item = deque_take(&stress.deque);
            if (item == 0)
                break;
            take_parcel(item);
        }
    }
    while ((item = deque_take(&stress.deque)) != 0)
        take_parcel(item);
    atomic_store(&stress.over, true);
    for (unsigned i = 0; i < THIEVES; i++)
        pthread_join(threads[i], NULL);
    cr_assert_eq(atomic_load(&stress.wrong), 0);
    for (uint64_t i = 0; i < items; i++)
        cr_assert_eq(atomic_load(&stress.parcels[i].taken), 1, "item %zu", (size_t)i);
    deque_destroy(&stress.deque);
    free(stress.parcels);
}

Test(deque_stress, one_at_a_time)
{
    run_stress(0, 1); /* nearly always the last item */
}

Test(deque_stress, short_bursts)
{
    run_stress((UINT64_C(1) << 63) - 1000, 4);
}

Test(deque_stress, long_bursts_and_growth)
{
    run_stress(UINT64_MAX - 1000, 5000);
}
