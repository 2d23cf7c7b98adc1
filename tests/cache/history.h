/* Is a recorded history of directory operations linearizable? A search in the manner of Wing and
 * Gong.
 *
 * A history is one list of steps per thread. Each step has the interval in which it took effect and
 * what was observed. Steps take effect one at a time, a thread's in order, a step whose interval
 * ended before another's began before that other; the checker looks for such an order in which the
 * sequential directory below gives every observation.
 *
 * A sweep is not one atomic operation and does not promise to be: its steps, all within its
 * interval, are BEGIN (remember what is garbage), REMOVE once per counted entry (any entry that is
 * garbage at that moment) and END (nothing that was remembered is left). */
#ifndef TESTS_CACHE_HISTORY_H
#define TESTS_CACHE_HISTORY_H

#include <stdbool.h>
#include <stdint.h>

#define HISTORY_THREADS 3
#define HISTORY_STEPS   60 /* per thread */
#define HISTORY_BLOBS   2
#define HISTORY_ENTRIES 4
#define HISTORY_VALUES  16 /* values are below this */

enum step_kind {
    STEP_PUT,     /* blob `what` is published */
    STEP_GET,     /* blob `what` was found: observed 1, or not: 0 */
    STEP_MAKE,    /* entry `what` is made with value `observed`, held once */
    STEP_READ,    /* entry `what` had value `observed`; somebody holds it */
    STEP_REPLACE, /* entry `what` gets value `observed` */
    STEP_CLONE,   /* one more holder of entry `what` */
    STEP_DROP,    /* one less */
    STEP_SWEEP_BEGIN,
    STEP_SWEEP_REMOVE,
    STEP_SWEEP_END,
    STEP_COUNT /* `observed` entries are live */
};

struct step {
    enum step_kind kind;
    uint8_t what, observed;
    uint64_t from, to; /* numbers of a clock; from < to */
};

struct history {
    struct step steps[HISTORY_THREADS][HISTORY_STEPS];
    unsigned count[HISTORY_THREADS];
};

void history_add(struct history *history, unsigned thread, struct step step);
/* True when an order was found. */
bool history_is_linearizable(const struct history *history);

#endif
