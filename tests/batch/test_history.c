/* Defects that this would catch: a bag that forgets, merges or doubles lines, also while it grows
 * and when many are equal; a failure that is lost or given to the wrong line; a head of a line that
 * is accepted although it names no job, or whose parts are off by one; and a file whose whole part
 * is too long or too short. */
#include <criterion/criterion.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/history.h"
#include "files.h"

static struct history *new_bag(void)
{
    cr_assert_geq(sodium_init(), 0);
    struct history *bag = history_new();
    cr_assert(bag != NULL);
    return bag;
}

Test(history, a_bag_counts)
{
    struct history *bag = new_bag();
    bool failed = true;
    for (uint32_t i = 0; i < 100000; i++)
        for (uint32_t n = 0; n < 1 + i % 3; n++)
            cr_assert(history_add(bag, history_hash(bag, &i, sizeof i), false));
    cr_expect_eq(history_count(bag), 199999);
    for (uint32_t i = 0; i < 200000; i++) {
        const uint64_t hash = history_hash(bag, &i, sizeof i);
        for (uint32_t n = 0; i < 100000 && n < 1 + i % 3; n++)
            cr_assert(history_take(bag, hash, &failed) && !failed, "%u", i);
        cr_assert(!history_take(bag, hash, &failed), "%u", i);
    }
    cr_expect_eq(history_count(bag), 0);
    history_free(bag);
}

Test(history, equal_lines_and_failures)
{
    struct history *bag = new_bag();
    bool failed;
    const uint64_t one = history_hash(bag, "one", 3), two = history_hash(bag, "two", 3);
    for (int i = 0; i < 300000; i++)
        cr_assert(history_add(bag, one, i % 3 == 0));
    cr_assert(history_add(bag, two, true));
    for (int i = 0; i < 300000; i++)
        cr_assert(history_take(bag, one, &failed) && failed == (i >= 200000));
    cr_expect_not(history_take(bag, one, &failed));
    cr_expect(history_take(bag, two, &failed) && failed);
    cr_expect_eq(history_count(bag), 0);
    history_free(bag);
}

/* ---- heads ------------------------------------------------------------------------------ */

#define KEY  "{\"id\":5,\"job\":\"0123456789abcdef\""
#define BODY ",\"exit\":\"halt\",\"value\":1"

Test(history, parts_of_a_line)
{
    static const struct {
        const char *line;
        size_t key, id, rep, same;
        bool failed;
    } CASES[] = {
        {KEY BODY "}", sizeof KEY - 1, 1, 0, sizeof KEY BODY - 1, false},
        {KEY ",\"rep\":12" BODY "}", sizeof KEY - 1, 1, 2, sizeof KEY BODY - 1 + 9, false},
        {KEY BODY ",\"us\":812,\"worker\":0}", sizeof KEY - 1, 1, 0, sizeof KEY BODY - 1, false},
        {KEY BODY ",\"us\":18446744073709551615,\"worker\":4095}", sizeof KEY - 1, 1, 0,
         sizeof KEY BODY - 1, false},
        {KEY BODY ",\"us\":812,\"worker\":}", sizeof KEY - 1, 1, 0, sizeof KEY BODY - 1 + 19,
         false},
        {KEY ",\"exit\":\"error\",\"error\":\"x\"}", sizeof KEY - 1, 1, 0, sizeof KEY - 1 + 27,
         true},
        {KEY ",\"exit\":\"crashed\"}", sizeof KEY - 1, 1, 0, sizeof KEY - 1 + 17, true},
        {KEY BODY ",\"mismatch\":{}}", sizeof KEY - 1, 1, 0, sizeof KEY BODY - 1 + 14, true},
        {KEY BODY ",\"x\":\",\\\"mismatch\\\":{\"}", sizeof KEY - 1, 1, 0, 0, false},
        {"{\"id\":\"a\\\"\\\\\",\"job\":\"0123456789abcdef\"" BODY "}", sizeof KEY - 1 + 6, 7, 0, 0,
         false},
        {"{\"id\":-1,\"job\":\"0123456789abcdef\"" BODY "}", sizeof KEY, 2, 0, 0, false},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        struct result_head head;
        struct problem problem;
        const char *line = CASES[i].line;
        cr_assert(result_head(line, strlen(line), &head, &problem), "%s", line);
        cr_expect_eq(head.key_len, CASES[i].key, "%s", line);
        cr_expect_eq(head.id_len, CASES[i].id, "%s", line);
        cr_expect_eq(head.rep_len, CASES[i].rep, "%s", line);
        cr_expect_eq(head.failed, CASES[i].failed, "%s", line);
        if (CASES[i].same != 0)
            cr_expect_eq(head.same_len, CASES[i].same, "%s: %zu", line, head.same_len);
    }
}

Test(history, every_beginning_of_a_line_is_refused)
{
    static const char LINE[] =
        "{\"id\":\"a\\\\\",\"job\":\"0123456789abcdef\",\"rep\":3" BODY ",\"us\":1,\"worker\":2}";
    struct result_head head;
    struct problem problem;
    for (size_t len = 0; len < sizeof LINE - 1; len++) {
        char *cut = malloc(len + 1); /* so that a sanitizer sees what is read behind it */
        cr_assert(cut != NULL);
        memcpy(cut, LINE, len);
        cr_expect_not(result_head(cut, len, &head, &problem), "%zu", len);
        cr_expect(problem.text[0] != '\0' && problem.offset <= len);
        free(cut);
    }
    cr_expect(result_head(LINE, sizeof LINE - 1, &head, &problem));
}

/* ---- files ------------------------------------------------------------------------------ */

static struct javm_error err;

static enum javm_status read_file(const char *name, const void *bytes, size_t len, uint64_t *lines,
                                  uint64_t *whole)
{
    struct history *bag = new_bag();
    scratch_write(name, bytes, len);
    const enum javm_status status = history_read(bag, scratch_path(name), false, whole, &err);
    *lines = history_count(bag);
    history_free(bag);
    return status;
}

/* Two frames of 10 and 20 lines, cut everywhere. */
Test(history, what_is_whole, .init = scratch_make, .fini = scratch_remove)
{
    static const char *const FILES[] = {"r", "r.gz", "r.zst"};
    char text[30 * 64];
    size_t len = 0, ends[31] = {0};
    for (size_t i = 0; i < 30; i++) {
        len += (size_t)snprintf(text + len, sizeof text - len, "%s}\n", KEY BODY);
        ends[i + 1] = len;
    }
    for (size_t f = 0; f < 3; f++) {
        size_t a_len = ends[10], b_len = len - ends[10];
        char *a = f == 1   ? make_gzip(text, ends[10], &a_len)
                  : f == 2 ? make_zstd(text, ends[10], &a_len)
                           : NULL;
        char *b = f == 1   ? make_gzip(text + ends[10], b_len, &b_len)
                  : f == 2 ? make_zstd(text + ends[10], b_len, &b_len)
                           : NULL;
        char *all = malloc(a_len + b_len);
        cr_assert(all != NULL);
        memcpy(all, f == 0 ? text : a, a_len);
        memcpy(all + a_len, f == 0 ? text + ends[10] : b, b_len);
        for (size_t cut = 0; cut <= a_len + b_len; cut++) {
            uint64_t lines, whole, want_lines = 0, want_whole = 0;
            cr_assert_eq(read_file(FILES[f], all, cut, &lines, &whole), JAVM_OK, "%s: %s", FILES[f],
                         err.text);
            if (f == 0) {
                while (want_lines < 30 && ends[want_lines + 1] <= cut)
                    want_lines++;
                want_whole = ends[want_lines];
            } else {
                want_lines = cut == a_len + b_len ? 30 : cut >= a_len ? 10 : 0;
                want_whole = cut == a_len + b_len ? cut : cut >= a_len ? a_len : 0;
            }
            cr_assert(lines == want_lines && whole == want_whole, "%s cut at %zu: %zu lines, %zu",
                      FILES[f], cut, (size_t)lines, (size_t)whole);
        }
        free(all);
        free(a);
        free(b);
    }
}
