/* Keeps a computation (stepper.c) that stops now and then: each invocation lets it run up to its
 * next yield, and what is left of it stays in a slot, as a Paused Instance. Link with --receiver 2.
 *
 * Slots: 2 YieldReceiver with the stepper's key; 8 the stepper, an Instance; 9 (from begin to its
 * end) the rest of the computation.
 *
 *     begin(steps, every, seed), go_on() -> its value; or with bit 63 how many steps are done */
#include "javm_guest.h"

JAVM_SCRATCHPAD(4096);

enum { STEPPER = 8, REST, SPARE };

static uint64_t keep(struct javm_answer answer)
{
    if (answer.status == JAVM_OK)
        return answer.value;
    if (answer.status != JAVM_PAUSED)
        javm_trap();
    javm_drop_resume(SPARE); /* REST is reserved while what was called from there waits */
    javm_mgmt_move(SPARE, REST);
    return UINT64_C(1) << 63 | *(const uint64_t *)(const void *)javm_scratch();
}

static uint64_t begin(uint64_t steps, uint64_t every, uint64_t seed, uint64_t d)
{
    (void)d;
    return keep(javm_call(STEPPER, 0, steps, every, seed, 0));
}
JAVM_ENDPOINT(0, begin);

static uint64_t go_on(uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    (void)a, (void)b, (void)c, (void)d;
    return keep(javm_call_paused(REST));
}
JAVM_ENDPOINT(1, go_on);
