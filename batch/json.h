/* JSON with source positions: a thin C face over simdjson (C++), which parses, validates UTF-8 and
 * numbers. One call turns one document into a flat array of nodes that keep their byte offset, so
 * that messages can point at the token. Integers are exact over -2^63..2^64-1. */
#ifndef JAVM_BATCH_JSON_H
#define JAVM_BATCH_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

enum json_type {
    JSON_NULL,
    JSON_BOOL,
    JSON_UINT,
    JSON_INT,
    JSON_DOUBLE,
    JSON_STRING,
    JSON_ARRAY,
    JSON_OBJECT
};

struct json_node {
    uint8_t type;        /* enum json_type; INT only for negative numbers */
    bool boolean;        /* BOOL */
    uint32_t next;       /* index of the next sibling, 0: none */
    uint32_t first;      /* ARRAY, OBJECT: index of the first child, 0: none */
    uint32_t count;      /* ARRAY, OBJECT: how many children */
    uint32_t offset;     /* byte offset of the value's first character */
    uint32_t key_offset; /* members: offset of the key's opening quote */
    uint32_t key_len, text_len;
    const char *key;  /* members: unescaped key, not NUL-terminated; else NULL */
    const char *text; /* STRING: unescaped, not NUL-terminated */
    union {
        uint64_t u; /* UINT */
        int64_t i;  /* INT */
        double d;   /* DOUBLE */
    };
};

struct json_parser; /* owns the buffers that nodes point into */

struct json_parser *json_parser_new(void); /* NULL: out of memory */
void json_parser_free(struct json_parser *parser);

struct json_problem {
    uint32_t offset; /* where in the input */
    char text[160];  /* what was expected */
};

/* Parse exactly one document. `text` must have json_padding() readable bytes after len (any
 * content) and len < 4 GiB. On success *nodes is the array, root at index 0, valid until the next
 * call on this parser or a change of `text`. Duplicate keys are reported as a problem. False:
 * *problem says what and where. */
bool json_parse(struct json_parser *parser, const char *text, size_t len,
                const struct json_node **nodes, struct json_problem *problem);
size_t json_padding(void);

/* Member by name, or NULL. */
const struct json_node *json_member_of(const struct json_node *nodes,
                                       const struct json_node *object, const char *key, size_t len);

/* These are inlined, so that the lengths of literals are constants: each line asks many times. */
static inline bool json_key_is(const struct json_node *node, const char *key, size_t len)
{
    return node->key_len == len && memcmp(node->key, key, len) == 0;
}

static inline const struct json_node *json_member(const struct json_node *nodes,
                                                  const struct json_node *object, const char *key)
{
    return json_member_of(nodes, object, key, strlen(key));
}

#ifdef __cplusplus
}
#endif
#endif
