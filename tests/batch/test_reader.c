/* Defects that this would catch: a field that is read wrongly, has the wrong default or is ignored;
 * a job hash that misses a difference or sees one where there is none; a line that takes more room
 * than promised; messages that carry raw controls or broken UTF-8, or whose caret stands elsewhere
 * than the column says; and the wrong job found for a unit of a chunk. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/blob.h"
#include "batch/json_fault.h"
#include "files.h"
#include "jobs.h"

static void set_up(void)
{
    jobs_set_up();
    jobs_define("{\"image\":\"d\",\"load\":\"d.jimg\"}"); /* line 1 */
}

Test(reader, kinds_of_lines, .init = set_up, .fini = jobs_tear_down)
{
    cr_expect_eq(jobs_read("").kind, LINE_BLANK);
    cr_expect_eq(jobs_read(" \t\r").kind, LINE_BLANK);
    cr_expect_eq(jobs_read("  // {\"invoke\"").kind, LINE_BLANK);
    cr_expect_eq(jobs_read("//").kind, LINE_BLANK);
    cr_expect_eq(jobs_read("/").kind, LINE_BAD);
    cr_expect_eq(jobs_read("{\"invoke\":\"d\"}\r").kind, LINE_JOB);
    cr_expect_eq(jobs_read("{\"instance\":\"i\",\"image\":\"d\"}").kind, LINE_DEFINITION);
    cr_expect_eq(jobs_read("{\"image\":\"d\",\"invoke\":\"d\"}").kind, LINE_BAD);
}

Test(reader, defaults, .init = set_up, .fini = jobs_tear_down)
{
    const struct read read = jobs_read("{\"invoke\":\"d\"}");
    const struct job *job = read.job;
    cr_assert_eq(read.kind, LINE_JOB);
    cr_expect_eq(read.repeat, 1);
    cr_expect(job->id == NULL && job->id_number == 2 && !job->id_negative, "the line's number");
    cr_expect_eq(job->endpoint, 0);
    for (int i = 0; i < 4; i++)
        cr_expect_eq(job->args[i], 0);
    cr_expect_eq(job->gas, 1000, "the reader's");
    cr_expect(job->input == NULL && job->blob == NULL);
    cr_expect_eq(job->output, OUTPUT_NONE);
    cr_expect(!job->post && !job->repeated && job->expect == NULL && job->error == NULL);
}

Test(reader, fields, .init = set_up, .fini = jobs_tear_down)
{
    const struct read read = jobs_read("{\"id\":\"\\u00e9\\n\",\"invoke\":\"d\",\"endpoint\":"
                                       "\"0x9\",\"args\":[1,\"0xFFffffffffffffff\"],"
                                       "\"gas\":18446744073709551615,\"input\":\"0x00fF\","
                                       "\"output\":\"hash\",\"repeat\":1,\"x-\":null}");
    const struct job *job = read.job;
    cr_assert_eq(read.kind, LINE_JOB);
    cr_expect(job->id_len == 3 && memcmp(job->id, "\xC3\xA9\n", 3) == 0);
    cr_expect_eq(job->endpoint, 9);
    cr_expect(job->args[0] == 1 && job->args[1] == UINT64_MAX && job->args[2] == 0);
    cr_expect_eq(job->gas, UINT64_MAX);
    cr_expect(job->input_len == 2 && job->input[0] == 0 && job->input[1] == 0xFF);
    cr_expect_eq(job->output, OUTPUT_HASH);
    cr_expect(job->repeated && read.repeat == 1);
    cr_expect_eq(jobs_job("{\"id\":-9223372036854775808,\"invoke\":\"d\"}")->id_number, 1ull << 63);
    cr_expect(jobs_job("{\"id\":-1,\"invoke\":\"d\"}")->id_negative);
    cr_expect_not(jobs_job("{\"id\":18446744073709551615,\"invoke\":\"d\"}")->id_negative);
    cr_expect_eq(jobs_job("{\"id\":\"\",\"invoke\":\"d\"}")->id_len, 0);
    cr_expect_eq(jobs_read("{\"invoke\":\"d\",\"repeat\":9223372036854775807}").repeat, INT64_MAX);
}

Test(reader, inputs, .init = set_up, .fini = jobs_tear_down)
{
    const struct job *job = jobs_job("{\"invoke\":\"d\",\"input\":\"\"}");
    cr_expect(job->input != NULL && job->input_len == 0, "empty, but there");
    job = jobs_job("{\"invoke\":\"d\",\"input\":\"a\\u0000b\"}");
    cr_expect(job->input_len == 3 && memcmp(job->input, "a\0b", 3) == 0);
    job = jobs_job("{\"invoke\":\"d\",\"input\":\"@small.bin\"}");
    cr_assert(job->input == NULL && job->blob != NULL);
    cr_expect(job->blob->len == 3 && javm_data_page(job->blob->data, 0)[2] == 3);
    const struct blob *blob = job->blob;
    cr_expect_eq(jobs_job("{\"invoke\":\"d\",\"input\":\"@small.bin\"}")->blob, blob, "read once");
    cr_expect(jobs_job("{\"invoke\":\"d\",\"input\":\"x\",\"repeat\":2}")->blob != NULL,
              "repetitions share");
    char line[4096] = "{\"invoke\":\"d\",\"input\":\"";
    memset(line + strlen(line), 'y', 2000);
    strcat(line, "\"}");
    job = jobs_job(line);
    cr_expect(job->blob != NULL && job->blob->len == 2000, "long ones leave the chunk");
    jobs_refuse("{\"invoke\":\"d\",\"input\":\"@big.bin\"}", 22,
                "input: 10000 bytes; the image maps 8192");
}

static uint64_t hash_of(const char *text)
{
    return job_hash(jobs_job(text), 0);
}

Test(reader, the_hash_is_of_the_resolved_job, .init = set_up, .fini = jobs_tear_down)
{
    const uint64_t plain = hash_of("{\"invoke\":\"d\"}");
    static const char *const SAME[] = {
        "{\"id\":\"other\",\"invoke\":\"d\"}",
        "{\"invoke\":\"d\",\"endpoint\":0,\"args\":[],\"gas\":1000,\"output\":\"none\"}",
        "{\"invoke\":\"d\",\"args\":[0,\"0x0\"],\"gas\":\"0x3e8\",\"x-a\":1,\"repeat\":5}"};
    static const char *const OTHER[] = {"{\"invoke\":\"d\",\"endpoint\":1}",
                                        "{\"invoke\":\"d\",\"args\":[1]}",
                                        "{\"invoke\":\"d\",\"args\":[0,1]}",
                                        "{\"invoke\":\"d\",\"gas\":1001}",
                                        "{\"invoke\":\"d\",\"input\":\"\"}",
                                        "{\"invoke\":\"d\",\"input\":\"0x00\"}",
                                        "{\"invoke\":\"d\",\"output\":\"hash\"}",
                                        "{\"invoke\":\"d\",\"output\":\"bytes\"}",
                                        "{\"invoke\":\"d\",\"expect\":{}}",
                                        "{\"invoke\":\"d\",\"expect\":{\"value\":0}}",
                                        "{\"invoke\":\"d\",\"expect\":{\"value\":null}}",
                                        "{\"invoke\":\"d\",\"expect\":{\"gas_used\":0}}",
                                        "{\"invoke\":\"d\",\"expect\":{\"post\":null}}",
                                        "{\"invoke\":\"d\",\"expect\":{\"error\":\"a\"}}",
                                        "{\"invoke\":\"d\",\"expect\":{\"error\":\"b\"}}",
                                        "{\"invoke\":\"d\",\"expect\":{\"yield_key\":\"0x01\"}}",
                                        "{\"invoke\":\"d\",\"expect\":{\"yield_key\":\"0x0100\"}}"};
    enum { OTHERS = sizeof OTHER / sizeof *OTHER };
    uint64_t hashes[OTHERS];
    for (size_t i = 0; i < sizeof SAME / sizeof *SAME; i++)
        cr_expect_eq(hash_of(SAME[i]), plain, "%s", SAME[i]);
    for (size_t i = 0; i < OTHERS; i++) {
        hashes[i] = hash_of(OTHER[i]);
        cr_expect_neq(hashes[i], plain, "%s", OTHER[i]);
        for (size_t k = 0; k < i; k++)
            cr_expect_neq(hashes[i], hashes[k], "%s and %s", OTHER[i], OTHER[k]);
    }
    cr_expect_neq(job_hash(jobs_job("{\"invoke\":\"d\"}"), 1), plain, "repetitions differ");
    const uint64_t inside = hash_of("{\"invoke\":\"d\",\"input\":\"0x010203\"}");
    cr_expect_eq(hash_of("{\"invoke\":\"d\",\"input\":\"@small.bin\"}"), inside, "by content");
}

Test(reader, the_hash_never_changes, .init = set_up, .fini = jobs_tear_down)
{
    /* SipHash-2-4 under the key of job.c, computed by another program: results files outlive
     * versions. */
    char digits[17];
    snprintf(digits, sizeof digits, "%016llx", (unsigned long long)job_digest("javm", 4));
    cr_expect_str_eq(digits, "c5409b3a70b98f39");
}

Test(reader, bad_lines_become_jobs, .init = set_up, .fini = jobs_tear_down)
{
    struct read read = jobs_read("{\"id\":\"a\",\"invoke\":\"d\",\"args\":[true]}");
    cr_assert_eq(read.kind, LINE_BAD);
    cr_expect(read.job->id_len == 1 && read.job->id[0] == 'a', "its own id");
    cr_expect(strncmp(read.job->error, "line 2, column 32: args: expected", 33) == 0, "%.*s",
              (int)read.job->error_len, read.job->error);
    cr_expect(read.job->target == NULL);
    const uint64_t hash = job_hash(read.job, 0);
    read = jobs_read("{\"id\":\"a\",\"invoke\":\"d\",\"args\":[true]}");
    cr_expect_neq(job_hash(read.job, 0), hash, "the message names another line");
    read = jobs_read("nonsense");
    cr_expect(read.job->id == NULL && read.job->id_number == 4, "the line's number");
    read = jobs_read("{\"id\":7,\"invoke\":\"d\",\"repeat\":3,\"input\":\"@none\"}");
    cr_expect(read.job->id_number == 7 && !read.job->repeated);
}

/* Names from the file stand in messages: nothing of them reaches a terminal raw, and a cut message
 * is still UTF-8. */
Test(reader, messages_are_clean, .init = set_up, .fini = jobs_tear_down)
{
    char line[2048] = "{\"image\":\"e\",\"load\":\"";
    for (int i = 0; i < 300; i++)
        strcat(line, "\xC3\xA9");
    strcat(line, "\\u001b[31m\\u007f\\u0085\\n\"}");
    const struct read read = jobs_read(line);
    cr_assert_eq(read.kind, LINE_BAD);
    const char *text = read.problem.text;
    cr_expect(strstr(text, "?[31m???") != NULL, "%s", text);
    for (size_t at = 0, step; text[at] != '\0'; at += step) {
        step = json_utf8_length(text + at, strlen(text + at));
        cr_assert(step > 0 && (unsigned char)text[at] >= 0x20 && text[at] != 0x7F, "byte %zu", at);
    }
}

/* What the user sees of a bad line, which is the first of its file. */
static char *message(const char *line)
{
    const struct read read = jobs_read(line);
    char *text = NULL;
    size_t len;
    FILE *memory = open_memstream(&text, &len);
    cr_assert(memory != NULL && read.kind == LINE_BAD, "%s", line);
    diag_print(memory, "f", 1, line, strlen(line), &read.problem);
    cr_assert_eq(fclose(memory), 0);
    return text;
}

/* The CR of a CR LF file is part of the line, but not shown: what is missing at the line's end is
 * missing before it. */
Test(reader, carets_stand_before_the_line_end, .init = set_up, .fini = jobs_tear_down)
{
    static const char *const ENDS[] = {"", "\r", "\r\r\r"};
    char line[200];
    for (size_t i = 0; i < sizeof ENDS / sizeof *ENDS; i++) {
        snprintf(line, sizeof line, "{\"id\":1%s", ENDS[i]);
        char *text = message(line);
        cr_expect_str_eq(text, "f:1:8: expected ',' or '}', found the end of the text\n"
                               "    {\"id\":1\n"
                               "           ^\n");
        free(text);
        snprintf(line, sizeof line, "[\"%080d\"%s", 0, ENDS[i]); /* cut at the left */
        text = message(line);
        const char *shown = strchr(text, '\n') + 1, *caret = strchr(shown, '\n') + 1;
        cr_expect(strncmp(shown, "    ...0", 8) == 0, "%s", text);
        cr_expect_eq(strcspn(caret, "^"), (size_t)(caret - shown) - 1, "behind the last: %s", text);
        free(text);
        snprintf(line, sizeof line, "{\"invoke\":1}%s", ENDS[i]);
        const struct job *job = jobs_read(line).job;
        cr_expect(memmem(job->error, job->error_len, ", column 11: ", 13) != NULL, "%.*s",
                  (int)job->error_len, job->error);
    }
    char *text = message("{\r,\r}\r"); /* one inside the line is a character like others */
    cr_expect_str_eq(text, "f:1:3: expected a key in double quotes, found ','\n"
                           "    {?,?}\n"
                           "      ^\n");
    free(text);
}

Test(reader, long_lines_fit_their_chunk, .init = set_up, .fini = jobs_tear_down)
{
    /* Every kind of copy at once, in a line that is larger than a chunk usually is. */
    char *line = malloc(200000);
    cr_assert(line != NULL);
    strcpy(line, "{\"id\":\"");
    memset(line + strlen(line), 'i', 30000);
    line[7 + 30000] = '\0';
    strcat(line, "\",\"invoke\":\"d\",\"input\":\"0x");
    for (int i = 0; i < 4000; i++)
        strcat(line, "0f");
    strcat(line, "\",\"output\":\"bytes\",\"repeat\":2,\"expect\":{\"output\":\"0x");
    for (int i = 0; i < 4000; i++)
        strcat(line, "f0");
    strcat(line, "\",\"error\":\"e\",\"yield_key\":\"0x0102030405060708\"}}");
    const struct job *job = jobs_job(line);
    cr_expect(job->id_len == 30000 && job->blob->len == 4000 && job->expect->output_len == 4000);
    cr_expect_eq(job->expect->output[3999], 0xF0);
    free(line);
}

/* ---- chunks ----------------------------------------------------------------------------- */

Test(chunk, finds_the_job_of_a_unit)
{
    struct chunk *chunk = chunk_new(NULL, 0);
    static const uint32_t UNITS[] = {1, 3, 1, 128, 2};
    uint64_t seq = 1000;
    cr_assert(chunk != NULL && chunk_room(chunk) >= CHUNK_BYTES);
    for (uint32_t i = 0; i < 5; i++) {
        struct job *job = chunk_take(chunk, sizeof *job);
        *job = (struct job){.first = seq, .units = UNITS[i]};
        chunk->jobs[chunk->count++] = job;
        seq += UNITS[i];
    }
    seq = 1000;
    for (uint32_t i = 0; i < 5; i++)
        for (uint32_t unit = 0; unit < UNITS[i]; unit++)
            cr_expect_eq(chunk_find(chunk, seq++), i);
    chunk_release(chunk);
}

Test(chunk, memory_is_aligned_and_counted)
{
    struct chunk *chunk = chunk_new(NULL, 100000);
    cr_assert(chunk != NULL);
    const size_t room = chunk_room(chunk);
    cr_expect_geq(room, 100000);
    char *one = chunk_take(chunk, 1), *two = chunk_take(chunk, 9), *three = chunk_take(chunk, 0);
    cr_expect((uintptr_t)one % 8 == 0 && two == one + 8 && three == two + 16);
    cr_expect_eq(chunk_room(chunk), room - 24);
    chunk_release(chunk);
}

/* A sanitizer's leak check makes this one fail when a reference is lost. */
Test(chunk, pieces_keep_what_they_use)
{
    struct chunk *base = chunk_new(NULL, 0);
    cr_assert(base != NULL);
    struct blob *blob = blob_new("abc", 3);
    cr_assert(blob != NULL);
    const size_t before = base->bytes;
    chunk_hold_blob(base, blob, true);
    cr_expect_eq(base->bytes, before + 3);
    chunk_hold_blob(base, blob_retain(blob), false);
    cr_expect_eq(base->bytes, before + 3);
    char *id = chunk_take(base, 4);
    memcpy(id, "id_1", 4);
    const struct job job = {.id = id, .id_len = 4, .blob = blob};
    struct chunk *piece = chunk_new_piece(base, 1), *other = chunk_new_piece(base, 1);
    cr_assert(piece != NULL && other != NULL);
    chunk_copy(piece, &job);
    chunk_copy(other, &job);
    cr_expect_lt(piece->bytes, sizeof *piece + 1024, "a piece is small");
    chunk_release(base);
    chunk_release(other);
    cr_expect(piece->count == 1 && memcmp(piece->jobs[0]->id, "id_1", 4) == 0);
    cr_expect_eq(javm_data_page(piece->jobs[0]->blob->data, 0)[0], 'a');
    chunk_release(piece);
}
