/* Any bytes as requests of a connection, cut where the first bytes say: the same events as without
 * a cut, and all that was held is given back.
 *
 * Would catch: a request that depends on how its bytes came, a payload of another length than its
 * head says, more memory held than was sent, a budget that drifts. */
#include <stdlib.h>
#include <string.h>

#include "rpc/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_REQUEST = 5000, MAX_HELD = 6000 };

static void demand(bool what)
{
    if (!what)
        abort();
}

/* What came of the bytes, as a number. */
static uint64_t read_all(const uint8_t *data, size_t size, size_t step)
{
    struct frame_budget budget = {.held = 1000, .max = MAX_HELD};
    struct frame_input input = {.max_request = MAX_REQUEST, .budget = &budget};
    struct javm_error err;
    uint64_t seen = 0;
    bool over = false;
    while (size > 0 && !over) {
        size_t rest = step == 0 || step > size ? size : step;
        const uint8_t *at = data;
        data += rest;
        size -= rest;
        for (;;) {
            uint32_t number = JAVM_NUB_E_NONE;
            const uint8_t *before = at;
            const size_t had = rest;
            const enum frame_event event = frame_take(&input, &at, &rest, &number, &err);
            demand(at - before == (ptrdiff_t)(had - rest) && budget.held <= MAX_HELD);
            demand(input.room <= MAX_REQUEST);
            if (event == FRAME_MORE) {
                demand(rest == 0);
                break;
            }
            seen = seen * 31 + (uint64_t)event + number + input.head.id + input.head.len;
            over = event == FRAME_OVER;
            if (over)
                break;
            if (event == FRAME_REFUSED) {
                demand(number != JAVM_NUB_E_NONE && err.text[0] != '\0');
                continue;
            }
            uint8_t *payload = frame_payload(&input);
            demand((payload == NULL) == (input.head.len == 0));
            for (uint32_t i = 0; i < input.head.len; i++)
                seen = seen * 31 + payload[i];
            free(payload);
            budget.held -= input.head.len;
        }
    }
    frame_input_clear(&input);
    demand(budget.held == 1000);
    return seen;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct javm_error err;
    uint8_t payload[FRAME_ERROR_MAX];
    if (size == 0)
        return 0;
    const uint64_t seen = read_all(data + 1, size - 1, 0);
    demand(read_all(data + 1, size - 1, 1) == seen);
    demand(read_all(data + 1, size - 1, 1 + (size_t)data[0]) == seen);
    frame_error_get(data[0], data + 1, size - 1, &err);
    demand(err.text[0] != '\0' && memchr(err.text, '\0', sizeof err.text) != NULL);
    demand(frame_error_put(payload, &err) <= sizeof payload);
    return 0;
}
