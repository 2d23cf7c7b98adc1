#include "rpc/frame.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM 4096u

static uint64_t get(const uint8_t *bytes, unsigned count)
{
    uint64_t value = 0;
    for (unsigned i = count; i-- > 0;)
        value = value << 8 | bytes[i];
    return value;
}

static void put(uint8_t *bytes, uint64_t value, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        bytes[i] = (uint8_t)(value >> 8 * i);
}

void frame_head_get(const uint8_t bytes[FRAME_HEAD], struct frame_head *head)
{
    head->len = (uint32_t)get(bytes, 4);
    head->code = (uint32_t)get(bytes + 4, 4);
    head->id = get(bytes + 8, 8);
}

void frame_head_put(uint8_t bytes[FRAME_HEAD], const struct frame_head *head)
{
    put(bytes, head->len, 4);
    put(bytes + 4, head->code, 4);
    put(bytes + 8, head->id, 8);
}

/* Printable ASCII: what executors say goes to terminals, and into strings of other languages. */
static char plain(char c)
{
    return c >= ' ' && c < 0x7F ? c : '?';
}

void frame_error_get(uint32_t number, const uint8_t *payload, size_t len, struct javm_error *err)
{
    char text[sizeof err->text] = "";
    const size_t last = JAVM_NUB_E_OF(JAVM_E_CRASHED);
    const enum javm_status status =
        number > 64 && number <= last ? (enum javm_status)(number - 64) : JAVM_E_UNSUPPORTED;
    const uint64_t where = len < FRAME_ERROR_HEAD ? JAVM_NOWHERE : get(payload, FRAME_ERROR_HEAD);
    for (size_t i = 0; FRAME_ERROR_HEAD + i < len && i + 1 < sizeof text; i++) {
        text[i] = plain((char)payload[FRAME_ERROR_HEAD + i]);
    }
    javm_fail(err, status, where, "%s", text[0] == '\0' ? javm_nub_error_text(number) : text);
}

size_t frame_error_put(uint8_t payload[FRAME_ERROR_MAX], const struct javm_error *err)
{
    const size_t text = strnlen(err->text, sizeof err->text);
    put(payload, err->where, FRAME_ERROR_HEAD);
    for (size_t i = 0; i < text; i++)
        payload[FRAME_ERROR_HEAD + i] = (uint8_t)plain(err->text[i]);
    return FRAME_ERROR_HEAD + text;
}

/* ---- requests --------------------------------------------------------------------------- */

/* Payload bytes of each function; functions that are not served have SERVED_NOT. */
#define ANY        UINT32_MAX
#define SERVED_NOT (UINT32_MAX - 1)
static const uint32_t PAYLOADS[JAVM_NUB_FN_TABLE_SIZE] = {
    [JAVM_NUB_SMOKE] = 0,         [1] = SERVED_NOT,
    [JAVM_NUB_HEAP_STATS] = 0,    [JAVM_NUB_INVOKE_CACHED] = sizeof(struct javm_nub_invoke),
    [JAVM_NUB_PUT_CAP] = ANY,     [JAVM_NUB_GET_BOOT_INFO] = 0,
    [JAVM_NUB_EVICT_JIT_ALL] = 0, [JAVM_NUB_INVOKE_WORKER] = SERVED_NOT,
};

/* What is wrong with the head, as an error number. */
static uint32_t judge(const struct frame_input *input, struct javm_error *err)
{
    const struct frame_head *head = &input->head;
    if (head->len > input->max_request) {
        javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE, "length: %u bytes, expected at most %u",
                  head->len, input->max_request);
        return JAVM_NUB_E_LIMIT;
    }
    if (head->id == FRAME_NOBODY) {
        javm_fail(err, JAVM_E_RANGE, JAVM_NOWHERE,
                  "id: 2^64-1 is the server's own, expected another");
        return JAVM_NUB_E_RANGE;
    }
    if (head->code == JAVM_NUB_INVOKE_WORKER) {
        javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                  "function: 7, but the server works the lanes itself; expected 0 or 2 to 6");
        return JAVM_NUB_E_NO_LANE;
    }
    if (head->code >= JAVM_NUB_FN_TABLE_SIZE || PAYLOADS[head->code] == SERVED_NOT) {
        javm_fail(err, JAVM_E_UNSUPPORTED, JAVM_NOWHERE,
                  "function: there is no %u, expected 0 or 2 to 6", head->code);
        return JAVM_NUB_E_NO_FUNCTION;
    }
    if (PAYLOADS[head->code] != ANY && PAYLOADS[head->code] != head->len) {
        javm_fail(err, JAVM_E_FORMAT, JAVM_NOWHERE, "length: %u bytes for function %u, expected %u",
                  head->len, head->code, PAYLOADS[head->code]);
        return JAVM_NUB_E_BAD_PAYLOAD;
    }
    if (head->len > input->budget->max - input->budget->held) {
        javm_fail(err, JAVM_E_LIMIT, JAVM_NOWHERE,
                  "length: %u bytes beside %zu of other requests, expected at most %zu in all: "
                  "try later",
                  head->len, input->budget->held, input->budget->max);
        return JAVM_NUB_E_LIMIT;
    }
    return JAVM_NUB_E_NONE;
}

static void restart(struct frame_input *input)
{
    input->got = 0;
    input->room = 0;
    input->skips = false;
}

/* Room for `more` bytes of payload, but never more than it says that there will be. */
static bool grow(struct frame_input *input, size_t more)
{
    const size_t need = input->got - FRAME_HEAD + more;
    size_t room = input->room;
    if (need <= room)
        return true;
    if (room == 0)
        room = FIRST_ROOM;
    while (room < need)
        room *= 2;
    if (room > input->head.len)
        room = input->head.len;
    uint8_t *grown = realloc(input->payload, room);
    if (grown == NULL)
        return false;
    input->payload = grown;
    input->room = room;
    return true;
}

static void give_back(struct frame_input *input)
{
    free(input->payload);
    input->payload = NULL;
    input->room = 0;
    input->budget->held -= input->head.len;
}

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static const uint8_t *advance(struct frame_input *input, const uint8_t **bytes, size_t *len,
                              size_t count)
{
    const uint8_t *at = *bytes;
    input->got += count;
    *bytes += count;
    *len -= count;
    return at;
}

/* The head is whole since now. */
static enum frame_event take_head(struct frame_input *input, uint32_t *number,
                                  struct javm_error *err)
{
    frame_head_get(input->bytes, &input->head);
    *number = judge(input, err);
    if (*number == JAVM_NUB_E_NONE) {
        input->budget->held += input->head.len;
        return FRAME_MORE;
    }
    input->skips = true;
    if (input->head.len == 0)
        restart(input);
    return input->head.len > input->max_request ? FRAME_OVER : FRAME_REFUSED;
}

enum frame_event frame_take(struct frame_input *input, const uint8_t **bytes, size_t *len,
                            uint32_t *number, struct javm_error *err)
{
    for (;;) {
        if (input->got < FRAME_HEAD) {
            if (*len == 0)
                return FRAME_MORE;
            uint8_t *to = input->bytes + input->got;
            const size_t count = smaller(*len, FRAME_HEAD - input->got);
            memcpy(to, advance(input, bytes, len, count), count);
            if (input->got < FRAME_HEAD)
                return FRAME_MORE;
            const enum frame_event event = take_head(input, number, err);
            if (event != FRAME_MORE)
                return event;
        }
        const size_t at = input->got - FRAME_HEAD;
        if (at == input->head.len && !input->skips) {
            restart(input);
            return FRAME_REQUEST;
        }
        if (at == input->head.len) {
            restart(input);
            continue;
        }
        if (*len == 0)
            return FRAME_MORE;
        const size_t count = smaller(*len, input->head.len - at);
        if (!input->skips && !grow(input, count)) {
            give_back(input);
            input->skips = true;
            *number = JAVM_NUB_E_NOMEM;
            javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "no memory for a request of %u bytes",
                      input->head.len);
            return FRAME_REFUSED;
        }
        const uint8_t *from = advance(input, bytes, len, count);
        if (!input->skips)
            memcpy(input->payload + at, from, count);
    }
}

uint8_t *frame_payload(struct frame_input *input)
{
    uint8_t *payload = input->payload;
    input->payload = NULL;
    return payload;
}

bool frame_half(const struct frame_input *input)
{
    return input->got > 0;
}

void frame_input_clear(struct frame_input *input)
{
    if (input->got >= FRAME_HEAD && !input->skips)
        give_back(input);
    free(input->payload);
    input->payload = NULL;
    restart(input);
}
