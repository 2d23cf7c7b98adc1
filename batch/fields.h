/* Values of a parsed line, with messages that point at them. */
#ifndef JAVM_BATCH_FIELDS_H
#define JAVM_BATCH_FIELDS_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "batch/diag.h"
#include "batch/json.h"

/* A parsed line: all node pointers below are from this array. */
struct fields {
    const char *text;
    size_t len;
    const struct json_node *nodes;
};

/* An integer 0..max: a number, or a string "0x" + 1..16 hex digits. `what` names it in messages. */
bool field_u64(const struct json_node *node, const char *what, uint64_t max, uint64_t *value,
               struct problem *problem);
/* As field_u64 over the whole range, and negative numbers down to -2^63. */
bool field_i64(const struct json_node *node, const char *what, int64_t *value,
               struct problem *problem);
bool field_string(const struct json_node *node, const char *what, struct problem *problem);
/* Is it a string that starts with 0x? */
bool field_is_hex(const struct json_node *node);
/* The bytes of "0x...": an even number of digits; `to` has room for text_len / 2. */
bool field_bytes(const struct fields *fields, const struct json_node *node, const char *what,
                 uint8_t *to, size_t *len, struct problem *problem);
bool field_is_extension(const struct json_node *node); /* "x-..." */
static inline bool field_key_is(const struct json_node *node, const char *name)
{
    return json_key_is(node, name, strlen(name));
}

/* Text from a file, quoted for a one-line message: escaped, cut at about 60 characters. Returns
 * buffer. */
#define QUOTE_SIZE 400
const char *quote(char buffer[QUOTE_SIZE], const char *text, size_t len);

#endif
