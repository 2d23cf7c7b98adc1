/* Inputs that are wrong in one way each, and the message that each gives; docs/bad-input-files.md
 * is the list that users read, and must be what this program makes. Catches: a check that is gone,
 * a check that is shadowed by another, a message that changed or points elsewhere than the
 * documentation says.
 *
 * With JAVM_UPDATE_DOCS=1 in the environment the table in the document is written anew, to be read
 * before it is committed. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "loaders/bytes.h"
#include "tests/loaders/bad_containers.h"
#include "tests/loaders/bad_inputs.h"

/* ---- the table -------------------------------------------------------------------------- */

static void check(const struct bad *bad, struct writer *table)
{
    struct input input = bad->make();
    /* exactly as long as the input, so that a sanitizer sees every read past the end */
    uint8_t *exact = malloc(input.len);
    cr_assert_not_null(exact);
    memcpy(exact, input.bytes, input.len);
    struct javm_bundle bundle;
    struct javm_error err = {0};
    enum javm_status status = javm_file_sniff(exact, input.len) == JAVM_FILE_ELF
                                  ? javm_link_elf(exact, input.len, NULL, &bundle, NULL, &err)
                                  : javm_load(exact, input.len, &bundle, &err);
    cr_expect_eq(status, bad->status, "%s: %s, %s", bad->what, javm_status_name(status), err.text);
    cr_expect(status == err.status && bundle.cap_count == 0 && bundle.caps == NULL);
    cr_expect_null(strchr(err.text, '\n'));
    writer_text(table, "| %s | %s | %s |\n", bad->what, javm_status_name(status), err.text);
    free(exact);
    free(input.bytes);
}

static void check_container(const struct bad_container *bad, struct writer *table)
{
    struct blob blob = bad_container_make(bad);
    uint8_t *exact = malloc(blob.len);
    cr_assert_not_null(exact);
    memcpy(exact, blob.bytes, blob.len);
    struct javm_error err = {.where = JAVM_NOWHERE};
    const enum javm_status status = bad_container_load(bad, exact, blob.len, &err);
    cr_expect_eq(status, bad->status, "%s: %s, %s", bad->what, javm_status_name(status), err.text);
    cr_expect(status == err.status && err.where <= blob.len, "%s: at %llu", bad->what,
              (unsigned long long)err.where);
    cr_expect_not_null(strstr(err.text, " at byte "), "%s: %s", bad->what, err.text);
    cr_expect_null(strchr(err.text, '\n'));
    writer_text(table, "| %s | %s | %s |\n", bad->what, javm_status_name(status), err.text);
    free(exact);
    blob_free(&blob);
}

static const char begin[] =
    "<!-- loaders: this part is written by tests/loaders/test_bad_input.c -->\n";
static const char end[] = "<!-- loaders: end -->\n";

static void make_table(struct writer *table)
{
    writer_text(table, "\n## Linked ELF files\n\n| input | status | message |\n|---|---|---|\n");
    for (unsigned i = 0; i < bad_elf_count; i++)
        check(&bad_elf[i], table);
    writer_text(table, "\n## Bundles and images\n\n| input | status | message |\n|---|---|---|\n");
    for (unsigned i = 0; i < bad_bundle_count; i++)
        check(&bad_bundles[i], table);
    writer_text(table, "\n## PVM programs\n\n| input | status | message |\n|---|---|---|\n");
    for (unsigned i = 0; i < bad_container_count; i++)
        check_container(&bad_containers[i], table);
    writer_text(table, "\n");
    cr_assert(!table->failed);
}

static void update(const char *text, const char *from, const char *to, const struct writer *table)
{
    struct writer out = {0};
    struct javm_error err;
    writer_put(&out, text, (size_t)(from - text));
    writer_put(&out, table->bytes, table->len);
    writer_put(&out, to, strlen(to));
    cr_assert(!out.failed);
    cr_assert_eq(javm_file_write(BAD_INPUT_DOC, out.bytes, out.len, &err), JAVM_OK, "%s", err.text);
    writer_free(&out);
}

Test(bad_input, the_document_is_true)
{
    struct writer table = {0}, file = {0};
    uint8_t *bytes;
    size_t len;
    struct javm_error err;
    make_table(&table);
    cr_assert_eq(javm_file_read(BAD_INPUT_DOC, 0, &bytes, &len, &err), JAVM_OK, "%s", err.text);
    writer_put(&file, bytes, len); /* NUL-terminated */
    char *text = (char *)file.bytes;
    char *from = strstr(text, begin), *to = strstr(text, end);
    cr_assert(from != NULL && to != NULL && from < to, "the marks are gone from " BAD_INPUT_DOC);
    from += strlen(begin);
    if (getenv("JAVM_UPDATE_DOCS") != NULL)
        update(text, from, to, &table);
    else {
        size_t n = (size_t)(to - from), same = 0;
        while (same < n && same < table.len && from[same] == (char)table.bytes[same])
            same++;
        size_t line = same;
        while (line > 0 && table.bytes[line - 1] != '\n')
            line--;
        cr_expect(n == table.len && same == n, "the document says\n%.*s\nbut this is\n%.*s",
                  (int)strcspn(from + line, "\n"), from + line,
                  (int)strcspn((char *)table.bytes + line, "\n"), (char *)table.bytes + line);
    }
    free(bytes);
    writer_free(&table);
    writer_free(&file);
}

/* Nothing in the bytes tells a damaged bundle from one that was cut short; and one rule about yield
 * keys has two sides. */
static bool is_again(const struct bad *row)
{
    return strcmp(row->what, "one byte is damaged") == 0 ||
           strcmp(row->what, "Instance that is Paused without a yield key") == 0;
}

/* Two inputs with the same message would mean that one of the two checks is never reached. */
Test(bad_input, messages_differ)
{
    struct writer table = {0};
    make_table(&table);
    char *lines[512];
    unsigned count = 0;
    for (char *line = strtok((char *)table.bytes, "\n"); line != NULL; line = strtok(NULL, "\n")) {
        char *bar = line[0] == '|' ? strchr(line + 1, '|') : NULL;
        if (bar != NULL && strstr(bar, "---") == NULL && strstr(bar, "| message |") == NULL)
            lines[count++] = bar;
    }
    cr_assert_eq(count, bad_elf_count + bad_bundle_count + bad_container_count);
    for (unsigned i = 0; i < count; i++) {
        bool again = false;
        for (unsigned k = 0; k < i; k++)
            again = again || strcmp(lines[i], lines[k]) == 0;
        const struct bad *row = i < bad_elf_count ? &bad_elf[i]
                                : i < bad_elf_count + bad_bundle_count
                                    ? &bad_bundles[i - bad_elf_count]
                                    : NULL;
        cr_expect_eq(again, row != NULL && is_again(row), "row %u: %s", i, lines[i]);
    }
    writer_free(&table);
}
