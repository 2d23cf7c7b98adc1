#include "batch/fields.h"

#include <string.h>

#include "batch/text.h"

#define QUOTE_SHOWN 60

const char *quote(char buffer[QUOTE_SIZE], const char *text, size_t len)
{
    size_t shown = len;
    if (shown > QUOTE_SHOWN) {
        shown = QUOTE_SHOWN;
        while (shown > 0 && ((unsigned char)text[shown] & 0xC0) == 0x80)
            shown--; /* not inside a character */
    }
    char *end = put_json(buffer, text, shown);
    if (shown < len)
        end = put_literal(end, "...");
    *end = '\0';
    return buffer;
}

bool field_is_extension(const struct json_node *node)
{
    return node->key_len >= 2 && node->key[0] == 'x' && node->key[1] == '-';
}

bool field_is_hex(const struct json_node *node)
{
    return node->type == JSON_STRING && node->text_len >= 2 && node->text[0] == '0' &&
           (node->text[1] == 'x' || node->text[1] == 'X');
}

bool field_string(const struct json_node *node, const char *what, struct problem *problem)
{
    if (node->type == JSON_STRING)
        return true;
    return problem_at(problem, node->offset, "%s: expected a string", what);
}

static bool hex_number(const struct json_node *node, uint64_t *value)
{
    if (!field_is_hex(node) || node->text_len < 3 || node->text_len > 18)
        return false;
    *value = 0;
    for (uint32_t i = 2; i < node->text_len; i++) {
        const int digit = hex_digit(node->text[i]);
        if (digit < 0)
            return false;
        *value = *value << 4 | (uint64_t)digit;
    }
    return true;
}

bool field_u64(const struct json_node *node, const char *what, uint64_t max, uint64_t *value,
               struct problem *problem)
{
    if (node->type == JSON_UINT)
        *value = node->u;
    else if (node->type == JSON_INT)
        return problem_at(problem, node->offset, "%s: integer outside 0..%llu", what,
                          (unsigned long long)max);
    else if (!hex_number(node, value))
        return problem_at(
            problem, node->offset,
            "%s: expected an integer 0..%llu, as a number or as \"0x\" and up to 16 hex digits",
            what, (unsigned long long)max);
    if (*value <= max)
        return true;
    return problem_at(problem, node->offset, "%s: integer outside 0..%llu", what,
                      (unsigned long long)max);
}

bool field_i64(const struct json_node *node, const char *what, int64_t *value,
               struct problem *problem)
{
    if (node->type == JSON_INT) {
        *value = node->i;
        return true;
    }
    uint64_t number;
    if (!field_u64(node, what, UINT64_MAX, &number, problem))
        return false;
    memcpy(value, &number, sizeof *value);
    return true;
}

bool field_bytes(const struct fields *fields, const struct json_node *node, const char *what,
                 uint8_t *to, size_t *len, struct problem *problem)
{
    uint32_t i = 2;
    *len = 0;
    for (; i + 1 < node->text_len; i += 2) {
        const int high = hex_digit(node->text[i]), low = hex_digit(node->text[i + 1]);
        if ((high | low) < 0)
            break;
        to[(*len)++] = (uint8_t)(high << 4 | low);
    }
    while (i < node->text_len && hex_digit(node->text[i]) >= 0)
        i++;
    if (i < node->text_len) {
        /* Without escapes before it, the character stands where it seems to. */
        const size_t at = node->offset + 1 + (size_t)i;
        const bool exact =
            at < fields->len && memcmp(fields->text + node->offset + 1, node->text, i + 1) == 0;
        return problem_at(problem, exact ? at : node->offset, "%s: expected hex digits after 0x",
                          what);
    }
    if (node->text_len % 2 != 0)
        return problem_at(problem, node->offset,
                          "%s: odd number of hex digits; expected two for each byte", what);
    return true;
}
