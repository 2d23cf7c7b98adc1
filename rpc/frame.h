/* Requests and responses on a stream of bytes (docs/nub.md, "On a socket"): reading and writing
 * them, without a system call. Little-endian, nothing aligned by itself.
 *
 * Thread rules: a frame_input belongs to one thread at a time. */
#ifndef JAVM_RPC_FRAME_H
#define JAVM_RPC_FRAME_H

#include "javm/nub.h"

#define FRAME_HEAD       16
#define FRAME_ERROR_HEAD 8          /* of an error response: where; its text follows */
#define FRAME_NOBODY     UINT64_MAX /* id of an error that is about the connection */

/* The first 16 bytes of a request, or of a response, whose `code` is an error number. */
struct frame_head {
    uint32_t len;  /* bytes that follow */
    uint32_t code; /* function number; enum javm_nub_error */
    uint64_t id;
};
void frame_head_get(const uint8_t bytes[FRAME_HEAD], struct frame_head *head);
void frame_head_put(uint8_t bytes[FRAME_HEAD], const struct frame_head *head);

/* An error response's payload as an error; `number` is the head's code. Any bytes: the text becomes
 * one line of ASCII, cut where it is too long. */
void frame_error_get(uint32_t number, const uint8_t *payload, size_t len, struct javm_error *err);

/* The payload of an error response; returns its length. */
#define FRAME_ERROR_MAX (FRAME_ERROR_HEAD + sizeof(((struct javm_error *)NULL)->text))
size_t frame_error_put(uint8_t payload[FRAME_ERROR_MAX], const struct javm_error *err);

/* What is held of all requests that were begun and not ended, and how much may be. */
struct frame_budget {
    size_t held, max;
};

/* One connection's incoming side. Zero it, and set the limits. */
struct frame_input {
    uint32_t max_request;        /* payload bytes */
    struct frame_budget *budget; /* shared, borrowed */
    uint8_t bytes[FRAME_HEAD];   /* of the head, `got` of them */
    size_t got;                  /* of the head, then also of what follows */
    struct frame_head head;
    uint8_t *payload; /* owned; room grows as bytes come */
    size_t room;
    bool skips; /* the payload is thrown away: an error was told */
};

enum frame_event {
    FRAME_MORE,    /* all bytes are taken, nothing is whole */
    FRAME_REQUEST, /* input->head and input->payload, which frame_payload takes */
    FRAME_REFUSED, /* input->head; *number and *err say why. What follows is skipped */
    FRAME_OVER     /* as REFUSED, but where the next request begins is not worth finding */
};
/* Takes bytes from *bytes, up to the next event; call again with the rest. */
enum frame_event frame_take(struct frame_input *input, const uint8_t **bytes, size_t *len,
                            uint32_t *number, struct javm_error *err);
/* After FRAME_REQUEST: head.len bytes, malloc'ed and the caller's, who gives them back to the
 * budget when they are freed. NULL when there are none. */
uint8_t *frame_payload(struct frame_input *input);
/* Is a request begun and not ended? */
bool frame_half(const struct frame_input *input);
/* Frees what is held; the input can be used for another connection. */
void frame_input_clear(struct frame_input *input);

#endif
