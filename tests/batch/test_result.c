/* Defects that this would catch: an expectation that is read wrongly, not compared, or compared
 * with a field that is not there; output that is asked for silently in the wrong form; a result
 * line with fields in another order, a value that is not exact, text that is not escaped, or a line
 * that is longer than announced. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/expect.h"
#include "batch/text.h"
#include "files.h"
#include "jobs.h"

static void set_up(void)
{
    jobs_set_up();
    jobs_define("{\"image\":\"d\",\"load\":\"d.jimg\"}");
}

#define BIT(field) (1u << FIELD_##field)

/* A job with this text as its expectations. */
static struct job *expecting(const char *expect)
{
    char line[2048];
    snprintf(line, sizeof line, "{\"id\":\"j\",\"invoke\":\"d\",\"expect\":%s}", expect);
    return jobs_job(line);
}

/* One that halted, with a bit of everything. */
static struct result halted(void)
{
    struct result result = {.outcome = OUTCOME_HALT,
                            .fields = BIT(EXIT) | BIT(VALUE) | BIT(GAS_USED),
                            .value = 18446744073709551615u,
                            .gas_used = 100};
    return result;
}

static uint32_t differ(const char *expect, const struct result *result)
{
    return expect_compare(expecting(expect)->expect, result);
}

Test(expect, each_field_is_compared, .init = set_up, .fini = jobs_tear_down)
{
    struct result result = {.outcome = OUTCOME_PAGE_FAULT,
                            .value = 1,
                            .addr = 2,
                            .gas_used = 3,
                            .selector = -4,
                            .yield_key = {.len = 2, .bytes = {5, 6}},
                            .error = "seven",
                            .fields = BIT(EXIT) | BIT(VALUE) | BIT(ADDR) | BIT(SELECTOR) |
                                      BIT(YIELD_KEY) | BIT(ERROR) | BIT(GAS_USED)};
    static const struct {
        enum field field;
        const char *right, *wrong;
    } CASES[] = {{FIELD_EXIT, "{\"exit\":\"page_fault\"}", "{\"exit\":\"halt\"}"},
                 {FIELD_VALUE, "{\"value\":\"0x1\"}", "{\"value\":0}"},
                 {FIELD_ADDR, "{\"addr\":2}", "{\"addr\":1}"},
                 {FIELD_SELECTOR, "{\"selector\":-4}", "{\"selector\":4}"},
                 {FIELD_YIELD_KEY, "{\"yield_key\":\"0x0506\"}", "{\"yield_key\":\"0x05\"}"},
                 {FIELD_ERROR, "{\"error\":\"seven\"}", "{\"error\":\"seve\"}"},
                 {FIELD_GAS_USED, "{\"gas_used\":3}", "{\"gas_used\":18446744073709551615}"}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        cr_expect_eq(differ(CASES[i].right, &result), 0, "%s", CASES[i].right);
        cr_expect_eq(differ(CASES[i].wrong, &result), 1u << CASES[i].field, "%s", CASES[i].wrong);
    }
    cr_expect_eq(differ("{}", &result), 0);
    cr_expect_eq(differ("{\"exit\":\"trap\",\"value\":1,\"addr\":9,\"x-why\":[]}", &result),
                 BIT(EXIT) | BIT(ADDR));
}

Test(expect, what_is_not_there, .init = set_up, .fini = jobs_tear_down)
{
    const struct result result = halted();
    cr_expect_eq(differ("{\"addr\":0}", &result), BIT(ADDR), "0 is not absence");
    cr_expect_eq(differ("{\"addr\":null,\"error\":null}", &result), 0);
    cr_expect_eq(differ("{\"value\":null}", &result), BIT(VALUE));
    cr_expect_eq(differ("{\"error\":\"\"}", &result), BIT(ERROR));
}

Test(expect, output, .init = set_up, .fini = jobs_tear_down)
{
    uint8_t bytes[5000] = {1, 2};
    struct result result = halted();
    result.fields |= BIT(OUTPUT);
    bytes[4999] = 3;
    result.slot0 = javm_data_new(bytes, sizeof bytes);
    result.output_len = 2; /* as if the rest were zeros */
    cr_assert(result.slot0 != NULL);
    cr_expect_eq(differ("{\"output\":\"0x0102\"}", &result), 0);
    cr_expect_eq(differ("{\"output\":\"0x01020000\"}", &result), 0, "zeros at the end");
    cr_expect_eq(differ("{\"output\":\"0x0103\"}", &result), BIT(OUTPUT));
    cr_expect_eq(differ("{\"output\":\"0x01\"}", &result), BIT(OUTPUT));
    cr_expect_eq(differ("{\"output\":null}", &result), BIT(OUTPUT));
    result.output_len = sizeof bytes; /* over two pages */
    char line[12000] = "{\"output\":\"0x0102";
    struct job *job;
    for (size_t i = 2; i < 4999; i++)
        strcat(line, "00");
    strcat(line, "03\"}");
    char whole[12100];
    snprintf(whole, sizeof whole, "{\"invoke\":\"d\",\"expect\":%s}", line);
    job = jobs_job(whole);
    cr_expect_eq(expect_compare(job->expect, &result), 0);
    javm_cap_release(result.slot0);
    result.slot0 = NULL;
    result.output_null = true;
    result.output_len = 0;
    cr_expect_eq(differ("{\"output\":\"0x\"}", &result), BIT(OUTPUT), "empty is not absent");
    cr_expect_eq(differ("{\"output\":null}", &result), 0);
}

Test(expect, what_is_expected_is_asked_for, .init = set_up, .fini = jobs_tear_down)
{
    cr_expect_eq(expecting("{\"output\":\"0x\"}")->output, OUTPUT_BYTES);
    cr_expect_eq(expecting("{\"output\":null}")->output, OUTPUT_BYTES);
    cr_expect_eq(expecting("{\"output_hash\":null}")->output, OUTPUT_HASH);
    cr_expect_eq(expecting("{\"value\":1}")->output, OUTPUT_NONE);
    cr_expect(expecting("{\"post\":null}")->post);
    cr_expect_not(expecting("{\"exit\":\"halt\"}")->post);
    jobs_refuse("{\"invoke\":\"d\",\"expect\":{\"output\":\"0x\",\"output_hash\":null}}", 38,
                "expect.output_hash: needs \"output\":\"hash\"");
    jobs_refuse("{\"invoke\":\"d\",\"output\":\"none\",\"expect\":{\"output\":\"0x\"}}", 40,
                "expect.output: needs \"output\":\"bytes\"");
    jobs_job("{\"invoke\":\"d\",\"output\":\"bytes\",\"expect\":{\"output\":\"0x\"}}");
    jobs_refuse("{\"invoke\":\"d\",\"expect\":{\"id\":1}}", 24, "unknown field \"id\"");
    jobs_refuse("{\"invoke\":\"d\",\"expect\":{\"exit\":null}}", 31, "expect.exit: ");
}

/* The line, checked against the length that was announced. */
static const char *line_of(const struct job *job, const struct result *result, uint32_t mismatch,
                           bool reproducible)
{
    static char line[65536];
    const struct result_style style = {reproducible, 4095};
    const size_t max = result_line_max(job, result);
    cr_assert_lt(max, sizeof line);
    char *end = result_line(line, job, 1, result, mismatch, &style);
    cr_assert_leq((size_t)(end - line), max);
    *end = '\0';
    return line;
}

/* As `want`, in which @ stands for the job's hash. */
static void expect_line(const struct job *job, const struct result *result, uint32_t mismatch,
                        bool reproducible, const char *want)
{
    char full[4096];
    const char *at = strchr(want, '@');
    cr_assert(at != NULL);
    snprintf(full, sizeof full, "%.*s%016llx%s\n", (int)(at - want), want,
             (unsigned long long)job_hash(job, 1), at + 1);
    cr_expect_str_eq(line_of(job, result, mismatch, reproducible), full);
}

/* Digits are made eight at a time, and the rest one by one. */
Test(result, hex_digits)
{
    uint8_t bytes[256 + 3];
    for (unsigned i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 167);
    for (size_t len = 0; len <= sizeof bytes; len += len < 20 ? 1 : 7) {
        char made[2 * sizeof bytes + 1], wanted[2 * sizeof bytes + 1] = "";
        for (size_t i = 0; i < len; i++)
            snprintf(wanted + 2 * i, 3, "%02x", bytes[i]);
        *put_hex_bytes(made, bytes, len) = '\0';
        cr_expect_str_eq(made, wanted, "%zu bytes", len);
    }
    for (unsigned digits = 1; digits <= 16; digits++) {
        char made[17], wanted[17];
        const uint64_t value = UINT64_C(0xfedcba9876543210) >> (64 - 4 * digits);
        snprintf(wanted, sizeof wanted, "%0*llx", (int)digits, (unsigned long long)value);
        *put_hex(made, value, digits) = '\0';
        cr_expect_str_eq(made, wanted);
    }
}

Test(result, lines, .init = set_up, .fini = jobs_tear_down)
{
    struct result result = halted();
    result.us = 812;
    expect_line(jobs_job("{\"id\":\"j1\",\"invoke\":\"d\"}"), &result, 0, false,
                "{\"id\":\"j1\",\"job\":\"@\",\"exit\":\"halt\",\"value\":18446744073709551615,"
                "\"gas_used\":100,\"us\":812,\"worker\":4095}");
    expect_line(jobs_job("{\"id\":-9223372036854775808,\"invoke\":\"d\",\"repeat\":3}"), &result, 0,
                true,
                "{\"id\":-9223372036854775808,\"job\":\"@\",\"rep\":1,\"exit\":\"halt\","
                "\"value\":18446744073709551615,\"gas_used\":100}");
    expect_line(jobs_job("{\"id\":\"\\\"\\\\\\u0000\\u001f\\n\\u007fé\",\"invoke\":\"d\"}"),
                &result, 0, true,
                "{\"id\":\"\\\"\\\\\\u0000\\u001f\\n\x7fé\",\"job\":\"@\",\"exit\":\"halt\","
                "\"value\":18446744073709551615,\"gas_used\":100}");
}

Test(result, every_field_in_its_place, .init = set_up, .fini = jobs_tear_down)
{
    struct result result = {.outcome = OUTCOME_ERROR,
                            .reason = "why",
                            .value = 1,
                            .addr = 4096,
                            .gas_used = 3,
                            .selector = INT64_MIN,
                            .yield_key = {.len = 2, .bytes = {5, 0xAB}},
                            .error = "a \"b\"",
                            .output_len = 4097,
                            .storage = {"{\"0x\":\"0x01\"}", 13},
                            .calls = {"[]", 2},
                            .exports = {"{\"count\":0}", 11},
                            .fields = (1u << FIELD_COUNT) - 1 - BIT(OUTPUT)};
    result.output_hash.bytes[0] = 0x10;
    result.post.bytes[31] = 0x01;
    expect_line(
        jobs_job("{\"id\":0,\"invoke\":\"d\"}"), &result, 0, true,
        "{\"id\":0,\"job\":\"@\",\"exit\":\"error\",\"reason\":\"why\",\"value\":1,\"addr\":4096,"
        "\"selector\":-9223372036854775808,\"yield_key\":\"0x05ab\",\"error\":\"a \\\"b\\\"\","
        "\"gas_used\":3,\"output_hash\":"
        "\"0x1000000000000000000000000000000000000000000000000000000000000000\",\"post\":"
        "\"0x0000000000000000000000000000000000000000000000000000000000000001\","
        "\"storage\":{\"0x\":\"0x01\"},\"calls\":[],\"exports\":{\"count\":0}}");
    /* Output over a page that was never written. */
    uint8_t bytes[4097] = {0};
    bytes[4096] = 0x7F;
    result = halted();
    result.fields |= BIT(OUTPUT);
    result.slot0 = javm_data_new(bytes, sizeof bytes);
    result.output_len = sizeof bytes;
    const char *output =
        strstr(line_of(jobs_job("{\"invoke\":\"d\"}"), &result, 0, true), "\"output\":");
    cr_assert(output != NULL);
    output += strlen("\"output\":\"0x");
    cr_expect_eq(strspn(output, "0"), 2 * 4096);
    cr_expect_str_eq(output + 2 * 4096, "7f\"}\n");
    javm_cap_release(result.slot0);
    result.slot0 = NULL;
    result.output_null = true;
    cr_expect(strstr(line_of(jobs_job("{\"invoke\":\"d\"}"), &result, 0, true),
                     "\"output\":null}") != NULL);
}

Test(result, mismatches_tell_both_sides, .init = set_up, .fini = jobs_tear_down)
{
    const struct result result = halted();
    const struct job *job =
        expecting("{\"exit\":\"trap\",\"value\":4,\"error\":\"\\n\",\"gas_used\":null,"
                  "\"yield_key\":\"0x0a\",\"selector\":-1}");
    expect_line(job, &result, expect_compare(job->expect, &result), true,
                "{\"id\":\"j\",\"job\":\"@\",\"exit\":\"halt\",\"value\":18446744073709551615,"
                "\"gas_used\":100,"
                "\"mismatch\":{\"exit\":{\"expected\":\"trap\",\"got\":\"halt\"},"
                "\"value\":{\"expected\":4,\"got\":18446744073709551615},"
                "\"selector\":{\"expected\":-1,\"got\":null},"
                "\"yield_key\":{\"expected\":\"0x0a\",\"got\":null},"
                "\"error\":{\"expected\":\"\\n\",\"got\":null},"
                "\"gas_used\":{\"expected\":null,\"got\":100}}}");
}

/* The worst case that the announced length has to cover: everything escaped, everything doubled. */
Test(result, the_announced_length_holds, .init = set_up, .fini = jobs_tear_down)
{
    char line[3000] = "{\"id\":\"";
    for (int i = 0; i < 200; i++)
        strcat(line, "\\u0001");
    strcat(line, "\",\"invoke\":\"d\",\"expect\":{\"exit\":\"out_of_gas\",\"error\":\"");
    for (int i = 0; i < 100; i++)
        strcat(line, "\\u0001");
    strcat(
        line,
        "\",\"yield_key\":\"0x0102030405060708\",\"output\":\"0x0102\",\"post\":null,\"value\":1,"
        "\"addr\":18446744073709551615,\"selector\":-1,\"gas_used\":18446744073709551615}}");
    const struct job *job = jobs_job(line);
    struct result result = {.outcome = OUTCOME_PAGE_FAULT,
                            .value = UINT64_MAX,
                            .addr = 1,
                            .gas_used = UINT64_MAX,
                            .us = UINT64_MAX,
                            .selector = INT64_MIN,
                            .output_null = true,
                            .fields = (1u << FIELD_COUNT) - 1};
    memset(result.error, 1, sizeof result.error - 1);
    line_of(job, &result, (1u << FIELD_COUNT) - 1, false); /* checks */
}
