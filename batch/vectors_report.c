#include "batch/vectors_report.h"

#include <stdarg.h>
#include <stdio.h>

#include "batch/fields.h"

void report_begin(struct report *report, const char *name, size_t name_len)
{
    report->name = name;
    report->name_len = name_len;
    report->mismatch = false;
}

/* Names come from files: shown quoted, so that nothing in them reaches the terminal raw. */
static void heading(const struct report *report, const char *word)
{
    char buffer[QUOTE_SIZE];
    printf("%s %s %s\n", word, report->path, quote(buffer, report->name, report->name_len));
}

void report_mismatch(struct report *report, const char *fmt, ...)
{
    const bool first = !report->mismatch;
    report->mismatch = true;
    if (report->quiet)
        return;
    if (first)
        heading(report, "FAIL");
    va_list args;
    va_start(args, fmt);
    fputs("  ", stdout);
    vprintf(fmt, args);
    putchar('\n');
    va_end(args);
}

void report_compare(struct report *report, const char *field, uint64_t got, uint64_t want)
{
    if (got != want)
        report_mismatch(report, "%s: got %llu (0x%llx), want %llu (0x%llx)", field,
                        (unsigned long long)got, (unsigned long long)got, (unsigned long long)want,
                        (unsigned long long)want);
}

void report_end(struct report *report)
{
    if (report->mismatch) {
        report->failed++;
        return;
    }
    report->passed++;
    if (report->verbose && !report->quiet)
        heading(report, "ok  ");
}
