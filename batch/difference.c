#include "batch/difference.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "batch/diag.h"
#include "batch/json.h"

#define SHOWN_BYTES 100 /* of a value */

struct difference {
    struct json_parser *recorded, *got;
};

/* A line and its members. */
struct side {
    const char *text;
    size_t len;
    const struct json_node *nodes;
};

struct value {
    const char *text; /* NULL: the line does not have it */
    size_t len;
};

struct difference *difference_new(void)
{
    struct difference *difference = calloc(1, sizeof *difference);
    if (difference == NULL)
        return NULL;
    difference->recorded = json_parser_new();
    difference->got = json_parser_new();
    if (difference->recorded != NULL && difference->got != NULL)
        return difference;
    difference_free(difference);
    return NULL;
}

void difference_free(struct difference *difference)
{
    if (difference == NULL)
        return;
    json_parser_free(difference->recorded);
    json_parser_free(difference->got);
    free(difference);
}

static void put_shown(FILE *to, const char *text, size_t len)
{
    char shown[SHOWN_BYTES + 8];
    const size_t part = len < SHOWN_BYTES ? len : SHOWN_BYTES;
    memcpy(shown, text, part);
    strcpy(shown + part, len > part ? "..." : "");
    diag_clean(shown);
    fputs(shown, to);
}

void difference_name(FILE *to, const char *line, const struct result_head *head)
{
    fputs("job ", to);
    put_shown(to, line + RESULT_ID_AT, head->id_len);
    if (head->rep_len > 0) {
        fputs(", rep ", to);
        put_shown(to, line + head->key_len + RESULT_REP_SKIP, head->rep_len);
    }
    fputs(": ", to);
}

/* A member's value as it stands in the line: up to the comma or the brace behind it. */
static struct value value_of(const struct side *side, const struct json_node *node)
{
    if (node == NULL)
        return (struct value){NULL, 0};
    size_t end = node->next != 0 ? side->nodes[node->next].key_offset : side->len;
    bool stop = false; /* at the one comma or brace */
    while (end > node->offset + 1 && (!stop || strchr(" \t\r", side->text[end - 1]) != NULL)) {
        stop = stop || strchr(" \t\r", side->text[end - 1]) == NULL;
        end--;
    }
    return (struct value){side->text + node->offset, end - node->offset};
}

static void put_value(FILE *to, const struct value *value)
{
    if (value->text == NULL)
        fputs("nothing", to);
    else
        put_shown(to, value->text, value->len);
}

static const struct json_node *find(const struct side *side, const struct json_node *like)
{
    for (uint32_t i = side->nodes[0].first; i != 0; i = side->nodes[i].next)
        if (side->nodes[i].key_len == like->key_len &&
            memcmp(side->nodes[i].key, like->key, like->key_len) == 0)
            return &side->nodes[i];
    return NULL;
}

/* Depends on the machine. */
static bool is_figure(const struct json_node *node)
{
    return (node->key_len == 2 && memcmp(node->key, "us", 2) == 0) ||
           (node->key_len == 6 && memcmp(node->key, "worker", 6) == 0);
}

static void put_field(FILE *to, bool first, const struct json_node *node,
                      const struct value *recorded, const struct value *got)
{
    fputs(first ? "" : "; ", to);
    put_shown(to, node->key, node->key_len);
    fputs(": recorded ", to);
    put_value(to, recorded);
    fputs(", got ", to);
    put_value(to, got);
}

bool difference_tell(struct difference *difference, FILE *to, const char *recorded_line,
                     size_t recorded_len, const char *got_line, size_t got_len,
                     const struct result_head *head)
{
    struct json_problem problem;
    struct side recorded = {recorded_line, recorded_len, NULL}, got = {got_line, got_len, NULL};
    bool any = false;
    if (!json_parse(difference->recorded, recorded.text, recorded.len, &recorded.nodes, &problem) ||
        !json_parse(difference->got, got.text, got.len, &got.nodes, &problem)) {
        difference_name(to, recorded_line, head);
        fprintf(to, "what was recorded is damaged: %s\n", problem.text);
        return true;
    }
    const struct side *sides[] = {&recorded, &got};
    for (unsigned s = 0; s < 2; s++)
        for (uint32_t i = sides[s]->nodes[0].first; i != 0; i = sides[s]->nodes[i].next) {
            const struct json_node *node = &sides[s]->nodes[i], *other = find(sides[1 - s], node);
            if (is_figure(node) || (s == 1 && other != NULL))
                continue;
            const struct value a = value_of(sides[s], node), b = value_of(sides[1 - s], other);
            if (b.text != NULL && a.len == b.len && memcmp(a.text, b.text, a.len) == 0)
                continue;
            if (!any)
                difference_name(to, recorded_line, head);
            put_field(to, !any, node, s == 0 ? &a : &b, s == 0 ? &b : &a);
            any = true;
        }
    if (any)
        fputc('\n', to);
    return any;
}
