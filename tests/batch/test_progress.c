/* Defects that this would catch: a bar that is wider than the terminal (each redraw would then
 * leave a line behind), that cuts numbers in half or hides failures where it is narrow; a bar that
 * is full too early; a forecast before there is ground for one. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>

#include "batch/progress.h"

static const struct progress_figures FEW = {
    .done = 49177, .gas = 5600000000, .total = 144746, .estimated = true, .seconds = 0.5};
static const struct progress_figures MANY = {
    .done = 1234567, .failed = 12345, .gas = 10800000000, .total = 10000000, .seconds = 2};

static void expect(int width, const struct progress_figures *figures, const char *want)
{
    char text[600];
    progress_bar_text(text, sizeof text, width, figures);
    cr_expect_str_eq(text, want, "%d columns: \"%s\", not \"%s\"", width, text, want);
}

Test(progress, looks)
{
    expect(
        200, &FEW,
        "[================>                                 ]  33% 49,177/~144,746  98.4k jobs/s  "
        "11.2G gas/s");
    expect(80, &FEW,
           "[=========>                   ]  33% 49,177/~144,746  98.4k jobs/s  11.2G gas/s");
    expect(200, &MANY,
           "[======>                                           ]  12% 1,234,567/10,000,000  617k "
           "jobs/s  "
           "5.40G gas/s  ETA 0:14  12,345 failed");
    expect(80, &MANY,
           "[=>           ]  12% 1,234,567/10,000,000  617k jobs/s  ETA 0:14  12,345 failed");
    expect(60, &MANY, " 12% 1,234,567/10,000,000  ETA 0:14  12,345 failed");
    expect(40, &MANY, "1,234,567/10,000,000  12,345 failed");
    expect(1, &MANY, "1");
}

Test(progress, fits_every_terminal)
{
    char text[600];
    for (int width = 0; width < 401; width++)
        for (uint64_t done = 0; done < 20000000; done = done * 3 + 1)
            for (int odd = 0; odd < 4; odd++) {
                const struct progress_figures figures = {.done = done,
                                                         .failed = odd & 1 ? done : 0,
                                                         .gas = done * 1000,
                                                         .total = odd & 2 ? done + 999 : 0,
                                                         .seconds = 3};
                progress_bar_text(text, sizeof text, width, &figures);
                cr_assert_lt(strlen(text), width > 2 ? (size_t)width : 2, "%d: \"%s\"", width,
                             text);
                cr_assert_eq(strchr(text, '\n'), NULL);
                cr_assert(strstr(text, "100%") == NULL, "not before the end: \"%s\"", text);
            }
}

Test(progress, forecasts_late_and_ends_full)
{
    char text[600];
    struct progress_figures figures = {.done = 63, .total = 1000, .seconds = 100};
    progress_bar_text(text, sizeof text, 200, &figures);
    cr_expect_null(strstr(text, "ETA"), "%s", text);
    figures.done = 64;
    progress_bar_text(text, sizeof text, 200, &figures);
    cr_expect_not_null(strstr(text, "ETA 24:23"), "%s", text);
    figures.seconds = 1.9;
    progress_bar_text(text, sizeof text, 200, &figures);
    cr_expect_null(strstr(text, "ETA"), "%s", text);
    figures.done = 1000;
    progress_bar_text(text, sizeof text, 80, &figures);
    cr_expect_not_null(strstr(text, "=] 100% 1,000/1,000"), "%s", text);
    cr_expect_null(strchr(text, '>'), "%s", text);
}
