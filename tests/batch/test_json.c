/* Defects that this would catch: a value or key whose offset is off (messages would point
 * elsewhere), integers that lose precision or wrap, a parser that accepts what is not JSON
 * (trailing bytes, duplicate keys, bad UTF-8, too deep), nodes linked to the wrong parent, and a
 * second look (json_fault.c) that disagrees with the first. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/json.h"
#include "batch/json_fault.h"

static struct json_parser *parser;
static char *buffer;

static void set_up(void)
{
    parser = json_parser_new();
    cr_assert(parser != NULL);
}

static void tear_down(void)
{
    json_parser_free(parser);
    free(buffer);
    buffer = NULL;
}

/* Parse a copy that is followed by rubbish, as a line in a block is. */
static bool parse(const char *text, size_t len, const struct json_node **nodes,
                  struct json_problem *problem)
{
    free(buffer);
    buffer = malloc(len + json_padding());
    cr_assert(buffer != NULL);
    memcpy(buffer, text, len);
    memset(buffer + len, '"', json_padding());
    return json_parse(parser, buffer, len, nodes, problem);
}

static const struct json_node *good(const char *text)
{
    const struct json_node *nodes;
    struct json_problem problem = {0};
    cr_assert(parse(text, strlen(text), &nodes, &problem), "%s: %u: %s", text, problem.offset,
              problem.text);
    return nodes;
}

Test(json, every_value_and_key_has_its_offset, .init = set_up, .fini = tear_down)
{
    const char *text = " { \"a\" : [1, -2,\"x\"] ,\"bc\":{\"d\":null}, \"e\":1.5,\"f\":true}";
    const struct json_node *nodes = good(text);
    cr_assert_eq(nodes[0].type, JSON_OBJECT);
    cr_assert_eq(nodes[0].offset, 1);
    cr_assert_eq(nodes[0].count, 4);
    const struct {
        const char *key;
        uint8_t type;
    } members[] = {{"a", JSON_ARRAY}, {"bc", JSON_OBJECT}, {"e", JSON_DOUBLE}, {"f", JSON_BOOL}};
    uint32_t i = nodes[0].first;
    for (size_t m = 0; m < 4; m++, i = nodes[i].next) {
        cr_assert_neq(i, 0);
        char quoted[16];
        snprintf(quoted, sizeof quoted, "\"%s\"", members[m].key);
        cr_expect_eq(nodes[i].type, members[m].type);
        cr_expect_eq(nodes[i].key_offset, strstr(text, quoted) - text, "%s", quoted);
        cr_expect_eq(nodes[i].key_len, strlen(members[m].key));
    }
    cr_expect_eq(i, 0);
    const struct json_node *a = json_member(nodes, nodes, "a");
    cr_assert_eq(a->count, 3);
    cr_expect_eq(a->offset, strchr(text, '[') - text);
    const struct json_node *one = &nodes[a->first];
    const struct json_node *two = &nodes[one->next];
    const struct json_node *x = &nodes[two->next];
    cr_expect(one->type == JSON_UINT && one->u == 1 && one->key == NULL);
    cr_expect(two->type == JSON_INT && two->i == -2);
    cr_expect_eq(two->offset, strstr(text, "-2") - text);
    cr_expect(x->type == JSON_STRING && x->text_len == 1 && x->text[0] == 'x' && x->next == 0);
    cr_expect_eq(x->offset, strstr(text, "\"x\"") - text);
    const struct json_node *d = json_member(nodes, json_member(nodes, nodes, "bc"), "d");
    cr_assert(d != NULL);
    cr_expect_eq(d->type, JSON_NULL);
    cr_expect_eq(json_member(nodes, nodes, "e")->d, 1.5);
    cr_expect(json_member(nodes, nodes, "f")->boolean);
    cr_expect_null(json_member(nodes, nodes, "b"));
    cr_expect_null(json_member(nodes, a, "a"));
}

Test(json, integers_are_exact, .init = set_up, .fini = tear_down)
{
    cr_expect_eq(good("18446744073709551615")->u, UINT64_MAX);
    cr_expect_eq(good("9223372036854775808")->u, 1ull << 63);
    cr_expect_eq(good("9223372036854775808")->type, JSON_UINT);
    cr_expect_eq(good("-9223372036854775808")->i, INT64_MIN);
    cr_expect_eq(good("9007199254740993")->u, 9007199254740993u);
    cr_expect_eq(good("-0")->type, JSON_UINT);
    cr_expect_eq(good("-0")->u, 0);
    cr_expect_eq(good("1e3")->type, JSON_DOUBLE);
    cr_expect_eq(good("1.0")->type, JSON_DOUBLE);
}

Test(json, strings_are_unescaped, .init = set_up, .fini = tear_down)
{
    const struct json_node *node = good("\"a\\u0000\\n\\\"\\\\\\/\\u00e9\\ud83d\\ude00\"");
    cr_assert_eq(node->text_len, 12);
    cr_expect_eq(memcmp(node->text, "a\0\n\"\\/\xC3\xA9\xF0\x9F\x98\x80", 12), 0);
}

/* What is refused, where, and with which words in the message. */
static const struct {
    const char *text;
    size_t len; /* 0: strlen */
    uint32_t offset;
    const char *says;
} REFUSED[] = {{"", 0, 0, "expected a JSON value, found the end"},
               {"   ", 0, 3, "expected a JSON value, found the end"},
               {"{\"a\":1", 0, 6, "expected ',' or '}'"},
               {"{\"a\"", 0, 4, "expected ':'"},
               {"{\"a\":}", 0, 5, "expected a JSON value, found '}'"},
               {"{\"a\":1,}", 0, 7, "expected a key"},
               {"{a:1}", 0, 1, "expected a key in double quotes"},
               {"{'a':1}", 0, 1, "expected a key in double quotes"},
               {"['a']", 0, 1, "strings take double quotes"},
               {"[1 2]", 0, 3, "expected ',' or ']'"},
               {"[1,]", 0, 3, "expected a JSON value"},
               {"[1}", 0, 2, "expected ',' or ']'"},
               {"{} {}", 0, 3, "expected nothing more"},
               {"{}x", 0, 2, "expected nothing more"},
               {"tru", 0, 0, "expected a JSON value"},
               {"nulll", 0, 4, "expected nothing more"},
               {"\"abc", 0, 0, "this string is not closed"},
               {"\"ab\\\"", 0, 0, "this string is not closed"},
               {"\"a\\q\"", 0, 2, "unknown escape"},
               {"\"\\u12g4\"", 0, 1, "four hex digits"},
               {"\"\\ud800\"", 0, 1, "unpaired surrogate"},
               {"\"\\ud800\\u0041\"", 0, 1, "unpaired surrogate"},
               {"\"\\udc00\"", 0, 1, "unpaired surrogate \\udc00"},
               {"{\"\\udc00\":1}", 0, 2, "unpaired surrogate"},
               {"\"a\tb\"", 0, 2, "control character in a string; write \\u0009"},
               {"\"a\0b\"", 5, 2, "control character in a string; write \\u0000"},
               {"\0{}", 3, 0, "found byte 0x00"},
               {"\"\xFF\"", 0, 1, "byte 0xff is not UTF-8"},
               {"\"\xC3\"", 0, 1, "byte 0xc3 is not UTF-8"},
               {"\"\xC0\x80\"", 0, 1, "not UTF-8"},
               {"\"\xED\xA0\x80\"", 0, 1, "not UTF-8"},
               {"\"\xF4\x90\x80\x80\"", 0, 1, "not UTF-8"},
               {"\xEF\xBB\xBF{}", 0, 0, "byte order mark"},
               {"01", 0, 0, "superfluous 0"},
               {"-", 0, 1, "expected a digit"},
               {"1.", 0, 2, "expected a digit after the decimal point"},
               {"1e", 0, 2, "expected a digit in the exponent"},
               {"+1", 0, 0, "expected a JSON value"},
               {"0x10", 0, 1, "expected nothing more"},
               {"1e400", 0, 0, "number too large"},
               {"NaN", 0, 0, "expected a JSON value"},
               {"[18446744073709551616]", 0, 1, "integer outside 0..18446744073709551615"},
               {"[99999999999999999999999999]", 0, 1, "integer outside 0..18446744073709551615"},
               {"[-9223372036854775809]", 0, 1, "integer below -9223372036854775808"},
               {"{\"a\":1,\"b\":2,\"a\":3}", 0, 13, "stands twice"},
               {"{\"a\":1,\"\\u0061\":3}", 0, 7, "stands twice"},
               {"[{\"x\":{\"k\":0,\"k\":0}}]", 0, 13, "stands twice"}};

Test(json, refusals_point_at_the_fault, .init = set_up, .fini = tear_down)
{
    for (size_t i = 0; i < sizeof REFUSED / sizeof *REFUSED; i++) {
        const struct json_node *nodes;
        struct json_problem problem = {0};
        const size_t len = REFUSED[i].len > 0 ? REFUSED[i].len : strlen(REFUSED[i].text);
        cr_expect_not(parse(REFUSED[i].text, len, &nodes, &problem), "accepted: %s",
                      REFUSED[i].text);
        cr_expect_eq(problem.offset, REFUSED[i].offset, "%s: at %u: %s", REFUSED[i].text,
                     problem.offset, problem.text);
        cr_expect(strstr(problem.text, REFUSED[i].says) != NULL, "%s: says: %s", REFUSED[i].text,
                  problem.text);
    }
}

static size_t nested(char *to, size_t depth, char open, char close)
{
    size_t len = 0;
    for (size_t i = 0; i < depth; i++) {
        to[len++] = open;
        if (open == '{' && i + 1 < depth)
            len += (size_t)sprintf(to + len, "\"k\":");
    }
    for (size_t i = 0; i < depth; i++)
        to[len++] = close;
    return len;
}

Test(json, depth_ends_at_64, .init = set_up, .fini = tear_down)
{
    char text[1024];
    const struct json_node *nodes;
    struct json_problem problem;
    const char *pairs[] = {"[]", "{}"};
    for (size_t p = 0; p < 2; p++) {
        size_t len = nested(text, 64, pairs[p][0], pairs[p][1]);
        cr_expect(parse(text, len, &nodes, &problem));
        for (size_t depth = 65; depth < 80; depth++) {
            len = nested(text, depth, pairs[p][0], pairs[p][1]);
            cr_expect_not(parse(text, len, &nodes, &problem));
            cr_expect(strstr(problem.text, "deeper than 64") != NULL, "%s", problem.text);
        }
    }
}

Test(json, duplicates_in_a_large_object, .init = set_up, .fini = tear_down)
{
    const struct json_node *nodes;
    struct json_problem problem;
    char *text = malloc(100000);
    cr_assert(text != NULL);
    size_t len = 1;
    text[0] = '{';
    for (int i = 0; i < 1000; i++)
        len += (size_t)sprintf(text + len, "%s\"key%d\":%d", i == 0 ? "" : ",", i, i);
    text[len] = '}';
    cr_expect(parse(text, len + 1, &nodes, &problem));
    cr_expect_eq(json_member(nodes, nodes, "key777")->u, 777);
    const size_t second = len + 1;
    len += (size_t)sprintf(text + len, ",\"key500\":0}");
    cr_expect_not(parse(text, len, &nodes, &problem));
    cr_expect_eq(problem.offset, second);
    free(text);
}

Test(json, a_parser_serves_rising_and_falling_lengths, .init = set_up, .fini = tear_down)
{
    const struct json_node *nodes;
    struct json_problem problem;
    const size_t max = 300000;
    char *text = malloc(max);
    cr_assert(text != NULL);
    for (size_t n = 1; n < 30000; n = n * 5 / 2 + 1) {
        size_t len = 0;
        for (size_t i = 0; i < n; i++)
            len += (size_t)sprintf(text + len, "%c%zu", i == 0 ? '[' : ',', i);
        text[len++] = ']';
        cr_assert(parse(text, len, &nodes, &problem));
        cr_assert_eq(nodes[0].count, n);
        uint32_t at = nodes[0].first;
        for (size_t i = 0; i < n; i++, at = nodes[at].next)
            cr_assert_eq(nodes[at].u, i);
        cr_assert(parse("{}", 2, &nodes, &problem));
        cr_assert_eq(nodes[0].count, 0);
    }
    free(text);
}

/* Random edits of a good document: both looks must agree whether it is JSON. */
Test(json, the_second_look_agrees_with_the_first, .init = set_up, .fini = tear_down)
{
    const char seed[] =
        "{\"id\":\"j\\u00e9\",\"args\":[1,\"0x2\",-3,4.5e1],\"x\":{\"y\":[null,true,false]}}";
    const char alphabet[] = "{}[],:\"\\0123456789abcdefu-+.eE \t\ntrnls\x80\xC3\xA9\xED\xF0";
    unsigned state = 12345;
    unsigned accepted = 0, rejected = 0;
    for (int round = 0; round < 20000; round++) {
        char text[sizeof seed];
        memcpy(text, seed, sizeof seed);
        for (int edits = 0; edits < 1 + round % 3; edits++) {
            state = state * 1103515245u + 12345u;
            const size_t at = (state >> 8) % (sizeof seed - 1);
            state = state * 1103515245u + 12345u;
            text[at] = alphabet[(state >> 8) % (sizeof alphabet - 1)];
        }
        const struct json_node *nodes;
        struct json_problem first, second;
        const bool is_json = parse(text, sizeof seed - 1, &nodes, &first);
        const bool faulty = json_find_fault(text, sizeof seed - 1, &second);
        const bool twice = !is_json && strstr(first.text, "stands twice") != NULL;
        cr_assert(is_json ? !faulty : faulty != twice, "%s: %s", text, first.text);
        accepted += is_json;
        rejected += !is_json;
    }
    cr_expect(accepted > 500 && rejected > 500, "%u, %u", accepted, rejected);
}
