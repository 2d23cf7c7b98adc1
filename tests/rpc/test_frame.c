/* Frames as bytes: the examples of docs/nub.md, every cut, every limit.
 *
 * Would catch: another layout than the document shows; a request that depends on how its bytes
 * came; a refused request whose payload is taken for the next one; a limit that is one off; bytes
 * that the budget never gets back; a text with control characters that reaches a terminal. */
#include <criterion/criterion.h>
#include <string.h>

#include "rpc/frame.h"
#include "tests/nub/examples.h"
#include "tests/require.h"

enum { MAX_REQUEST = 1000 };

static struct frame_input new_input(struct frame_budget *budget)
{
    return (struct frame_input){.max_request = MAX_REQUEST, .budget = budget};
}

static size_t head_of(uint8_t *to, uint32_t len, uint32_t fn, uint64_t id)
{
    frame_head_put(to, &(struct frame_head){.len = len, .code = fn, .id = id});
    return FRAME_HEAD;
}

Test(rpc_frame, examples)
{
    struct frame_budget budget = {.max = 10000};
    struct frame_input input = new_input(&budget);
    struct example example;
    struct frame_head head;
    struct javm_error err;
    struct javm_nub_invoke packet;
    uint32_t number;
    example_read("smoke-request", &example);
    const uint8_t *at = example.bytes;
    cr_expect_eq(frame_take(&input, &at, &example.len, &number, &err), FRAME_REQUEST);
    cr_expect(input.head.code == JAVM_NUB_SMOKE && input.head.id == 7 && input.head.len == 0);
    cr_expect_null(frame_payload(&input));
    cr_expect_eq(example.len, 0);

    example_read("invoke-request", &example);
    at = example.bytes;
    cr_expect_eq(frame_take(&input, &at, &example.len, &number, &err), FRAME_REQUEST);
    cr_assert(input.head.code == JAVM_NUB_INVOKE_CACHED && input.head.len == sizeof packet);
    uint8_t *payload = frame_payload(&input);
    memcpy(&packet, payload, sizeof packet);
    cr_expect(packet.endpoint_idx == 1 && packet.args[0] == 2 && packet.args[1] == 3);
    cr_expect_eq(packet.initial_gas, 1000000000);
    cr_expect(packet.instance_hash[0] == 0 && packet.instance_hash[31] == 31);
    free(payload);
    cr_expect_eq(budget.held, sizeof packet, "the caller's to give back");

    example_read("smoke-response", &example);
    frame_head_get(example.bytes, &head);
    cr_expect(head.len == 8 && head.code == JAVM_NUB_E_NONE && head.id == 7);
    cr_expect_eq(example.len, FRAME_HEAD + 8);
    cr_expect_eq(example.bytes[FRAME_HEAD], JAVM_NUB_SMOKE_ANSWER);

    example_read("error-response", &example);
    frame_head_get(example.bytes, &head);
    cr_expect_eq(head.len, example.len - FRAME_HEAD);
    frame_error_get(head.code, example.bytes + FRAME_HEAD, head.len, &err);
    cr_expect(err.status == JAVM_E_FORMAT && err.where == 3 && head.id == 9);
    /* The executor's own words. */
    struct javm_nub_wire wire;
    struct javm_error said;
    cr_expect_eq(javm_nub_decode_cap((const uint8_t *)"abc", 3, &wire, &said), JAVM_E_FORMAT);
    uint8_t written[FRAME_ERROR_MAX];
    cr_assert_eq(frame_error_put(written, &said), head.len);
    cr_expect_arr_eq(written, example.bytes + FRAME_HEAD, head.len);
    frame_input_clear(&input);
    REQUIRE_NO_LEAKS();
}

/* Good and bad requests behind each other, cut in every place and byte by byte. */
Test(rpc_frame, every_cut)
{
    uint8_t bytes[400];
    size_t len = 0;
    len += head_of(bytes + len, 0, JAVM_NUB_SMOKE, 1);
    len += head_of(bytes + len, 40, JAVM_NUB_PUT_CAP, 2);
    memset(bytes + len, 'a', 40);
    len += 40;
    len += head_of(bytes + len, 33, 9, 3); /* no such function: its payload is skipped */
    memset(bytes + len, 0, 33);
    len += 33;
    len += head_of(bytes + len, 0, 1, 4);
    len += head_of(bytes + len, 80, JAVM_NUB_INVOKE_CACHED, 5);
    memset(bytes + len, 'b', 80);
    len += 80;
    static const enum frame_event wanted[] = {FRAME_REQUEST, FRAME_REQUEST, FRAME_REFUSED,
                                              FRAME_REFUSED, FRAME_REQUEST};
    for (size_t cut = 0; cut <= len; cut++) {
        struct frame_budget budget = {.max = 10000};
        struct frame_input input = new_input(&budget);
        struct javm_error err;
        uint32_t number = 0;
        unsigned found = 0;
        for (size_t from = 0; from < len;) {
            size_t rest = cut == 0 ? 1 : from < cut ? cut - from : len - from;
            const uint8_t *at = bytes + from;
            from += rest;
            for (;;) {
                const enum frame_event event = frame_take(&input, &at, &rest, &number, &err);
                if (event == FRAME_MORE)
                    break;
                cr_assert(found < 5 && event == wanted[found], "cut %zu", cut);
                cr_assert_eq(input.head.id, ++found);
                if (event == FRAME_REFUSED) {
                    cr_expect_eq(number, JAVM_NUB_E_NO_FUNCTION);
                    continue;
                }
                uint8_t *payload = frame_payload(&input);
                for (uint32_t i = 0; i < input.head.len; i++)
                    cr_assert_eq(payload[i], found == 2 ? 'a' : 'b');
                budget.held -= input.head.len;
                free(payload);
            }
        }
        cr_assert_eq(found, 5, "cut %zu: %u requests", cut, found);
        cr_expect(!frame_half(&input));
        cr_expect_eq(budget.held, 0);
        frame_input_clear(&input);
    }
    REQUIRE_NO_LEAKS();
}

static enum frame_event one(struct frame_budget *budget, uint32_t len, uint32_t fn, uint64_t id,
                            uint32_t *number, struct javm_error *err)
{
    struct frame_input input = new_input(budget);
    uint8_t bytes[FRAME_HEAD];
    const uint8_t *at = bytes;
    size_t rest = head_of(bytes, len, fn, id);
    *number = JAVM_NUB_E_NONE;
    const enum frame_event event = frame_take(&input, &at, &rest, number, err);
    frame_input_clear(&input);
    return event;
}

Test(rpc_frame, limits)
{
    struct frame_budget budget = {.held = 100, .max = 500};
    struct javm_error err;
    uint32_t number;
    const struct {
        uint32_t len, fn;
        uint64_t id;
        enum frame_event event;
        uint32_t number;
        const char *text;
    } rows[] = {
        {0, JAVM_NUB_HEAP_STATS, 1, FRAME_REQUEST, 0, NULL},
        {1, JAVM_NUB_HEAP_STATS, 1, FRAME_REFUSED, JAVM_NUB_E_BAD_PAYLOAD, "expected 0"},
        {79, JAVM_NUB_INVOKE_CACHED, 1, FRAME_REFUSED, JAVM_NUB_E_BAD_PAYLOAD, "expected 80"},
        {80, JAVM_NUB_INVOKE_CACHED, 1, FRAME_MORE, 0, NULL},
        {0, 1, 1, FRAME_REFUSED, JAVM_NUB_E_NO_FUNCTION, "there is no 1"},
        {4, JAVM_NUB_INVOKE_WORKER, 1, FRAME_REFUSED, JAVM_NUB_E_NO_LANE, "lanes itself"},
        {0, 8, 1, FRAME_REFUSED, JAVM_NUB_E_NO_FUNCTION, "there is no 8"},
        {0, UINT32_MAX, 1, FRAME_REFUSED, JAVM_NUB_E_NO_FUNCTION, "expected 0 or 2 to 6"},
        {0, JAVM_NUB_SMOKE, UINT64_MAX, FRAME_REFUSED, JAVM_NUB_E_RANGE, "2^64-1"},
        {0, JAVM_NUB_SMOKE, UINT64_MAX - 1, FRAME_REQUEST, 0, NULL},
        {400, JAVM_NUB_PUT_CAP, 1, FRAME_MORE, 0, NULL},
        {401, JAVM_NUB_PUT_CAP, 1, FRAME_REFUSED, JAVM_NUB_E_LIMIT, "try later"},
        {MAX_REQUEST, JAVM_NUB_PUT_CAP, 1, FRAME_REFUSED, JAVM_NUB_E_LIMIT, "try later"},
        {MAX_REQUEST + 1, JAVM_NUB_PUT_CAP, 1, FRAME_OVER, JAVM_NUB_E_LIMIT, "at most 1000"},
        {UINT32_MAX, UINT32_MAX, 1, FRAME_OVER, JAVM_NUB_E_LIMIT, "at most 1000"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        err.text[0] = '\0';
        cr_expect_eq(one(&budget, rows[i].len, rows[i].fn, rows[i].id, &number, &err),
                     rows[i].event, "row %zu", i);
        cr_expect_eq(number, rows[i].number, "row %zu", i);
        cr_expect(rows[i].text == NULL || strstr(err.text, rows[i].text) != NULL, "row %zu: %s", i,
                  err.text);
        cr_assert_eq(budget.held, 100, "row %zu", i);
    }
    REQUIRE_NO_LEAKS();
}

Test(rpc_frame, errors_of_others)
{
    uint8_t payload[1000];
    struct javm_error err;
    memset(payload, 0x1B, sizeof payload);
    frame_error_get(74, payload, sizeof payload, &err);
    cr_expect(err.status == JAVM_E_LIMIT && err.where == UINT64_C(0x1B1B1B1B1B1B1B1B));
    cr_expect_eq(strlen(err.text), sizeof err.text - 1);
    for (const char *c = err.text; *c != '\0'; c++)
        cr_assert_eq(*c, '?');
    for (size_t len = 0; len <= FRAME_ERROR_HEAD; len++) {
        frame_error_get(70, payload, len, &err);
        cr_expect_str_eq(err.text, javm_nub_error_text(70));
    }
    frame_error_get(4000000000, payload, 0, &err);
    cr_expect(err.status == JAVM_E_UNSUPPORTED && err.where == JAVM_NOWHERE);
}
