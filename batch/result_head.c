#include "batch/result_head.h"

#include <string.h>

#define HASH_DIGITS 16

struct cursor {
    const char *line;
    size_t len, at;
};

static bool literal(struct cursor *c, const char *text)
{
    const size_t len = strlen(text);
    if (c->len - c->at < len || memcmp(c->line + c->at, text, len) != 0)
        return false;
    c->at += len;
    return true;
}

static bool is_digit(const struct cursor *c)
{
    return c->at < c->len && c->line[c->at] >= '0' && c->line[c->at] <= '9';
}

static bool digits(struct cursor *c)
{
    const size_t from = c->at;
    while (is_digit(c))
        c->at++;
    return c->at > from;
}

static bool string(struct cursor *c)
{
    if (!literal(c, "\""))
        return false;
    while (c->at < c->len && c->line[c->at] != '"')
        c->at += c->line[c->at] == '\\' ? 2 : 1;
    if (c->at >= c->len) { /* also when it ends with a backslash */
        c->at = c->len;
        return false;
    }
    c->at++;
    return true;
}

static bool hash(struct cursor *c)
{
    const size_t from = c->at;
    while (c->at < c->len && c->at - from < HASH_DIGITS &&
           (is_digit(c) || (c->line[c->at] >= 'a' && c->line[c->at] <= 'f')))
        c->at++;
    return c->at - from == HASH_DIGITS;
}

/* Without ,"us":N,"worker":N} at the end, or only without the brace. A quote inside a string is
 * escaped, so that no text can look like these. */
static size_t same_len(const char *line, size_t len)
{
    static const char US[] = ",\"us\":", WORKER[] = ",\"worker\":";
    struct cursor c = {line, len - 1, len - 1};
    const size_t window = 64; /* two numbers of 20 digits and their names */
    const size_t from = len > window ? len - window : 0;
    for (c.at = from; c.at < c.len; c.at++) {
        const size_t begin = c.at;
        if (literal(&c, US) && digits(&c) && literal(&c, WORKER) && digits(&c) && c.at == c.len)
            return begin;
        c.at = begin;
    }
    return len - 1;
}

bool result_head(const char *line, size_t len, struct result_head *head, struct problem *problem)
{
    struct cursor c = {line, len, 0};
    if (!literal(&c, "{\"id\":"))
        return problem_at(problem, c.at, "expected a result, which begins with {\"id\":");
    if (!string(&c) && !(c.at == RESULT_ID_AT && (literal(&c, "-"), digits(&c))))
        return problem_at(problem, c.at, "id: expected a string or an integer");
    head->id_len = c.at - RESULT_ID_AT;
    if (!literal(&c, ",\"job\":\""))
        return problem_at(problem, c.at, "expected ,\"job\":\" behind the id");
    if (!hash(&c) || !literal(&c, "\""))
        return problem_at(problem, c.at, "job: expected 16 hex digits");
    head->key_len = c.at;
    head->rep_len = 0;
    if (literal(&c, ",\"rep\":")) {
        if (!digits(&c))
            return problem_at(problem, c.at, "rep: expected an integer");
        head->rep_len = c.at - head->key_len - RESULT_REP_SKIP;
    }
    if (!literal(&c, ",\"exit\":"))
        return problem_at(problem, c.at, "expected ,\"exit\": behind the job's hash");
    const char *exit = line + c.at;
    if (!string(&c))
        return problem_at(problem, c.at, "exit: expected a string");
    const size_t exit_len = (size_t)(line + c.at - exit);
    if (line[len - 1] != '}' || c.at > len - 1)
        return problem_at(problem, len, "expected a closing brace");
    head->crashed = exit_len == 9 && memcmp(exit, "\"crashed\"", 9) == 0;
    head->failed = (exit_len == 7 && memcmp(exit, "\"error\"", 7) == 0) || head->crashed ||
                   memmem(line + c.at, len - c.at, ",\"mismatch\":{", 13) != NULL;
    head->same_len = same_len(line, len);
    return true;
}
