#include "batch/compare.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "batch/diag.h"
#include "batch/job.h"
#include "batch/json.h"
#include "batch/text.h"
#include "javm/load.h"

#define FILE_MAX    (1u << 20)
#define MOST        1e18 /* seconds and microseconds beyond that are no figures of a batch */
#define LABEL_WIDTH 16
#define VALUE_WIDTH 16

enum form { FORM_COUNT, FORM_SIZE, FORM_SECONDS, FORM_MICROSECONDS };

/* A figure: where it stands in the file, and how it is shown. `work`: a function of the jobs alone.
 * `needed`: a file without it is none of --stats; others may be of another version. */
static const struct figure {
    const char *label, *outer, *key; /* outer NULL: in the object itself */
    enum form form;
    bool work, needed;
} FIGURES[] = {
    {"jobs", NULL, "jobs", FORM_COUNT, true, true},
    {"  halt", "exits", "halt", FORM_COUNT, true, true},
    {"  trap", "exits", "trap", FORM_COUNT, true, true},
    {"  panic", "exits", "panic", FORM_COUNT, true, true},
    {"  page_fault", "exits", "page_fault", FORM_COUNT, true, true},
    {"  out_of_gas", "exits", "out_of_gas", FORM_COUNT, true, true},
    {"  paused", "exits", "paused", FORM_COUNT, true, true},
    {"  host_call", "exits", "host_call", FORM_COUNT, true, true},
    {"  crashed", "exits", "crashed", FORM_COUNT, true, true},
    {"  error", "exits", "error", FORM_COUNT, true, true},
    {"mismatches", NULL, "mismatches", FORM_COUNT, true, true},
    {"not run", NULL, "not_run", FORM_COUNT, true, true},
    {"gas", NULL, "gas", FORM_COUNT, true, true},
    {"seconds", NULL, "seconds", FORM_SECONDS, false, true},
    {"busy seconds", NULL, "busy_seconds", FORM_SECONDS, false, false},
    {"latency p50", "latency_us", "p50", FORM_MICROSECONDS, false, false},
    {"latency p90", "latency_us", "p90", FORM_MICROSECONDS, false, false},
    {"latency p99", "latency_us", "p99", FORM_MICROSECONDS, false, false},
    {"latency p99.9", "latency_us", "p999", FORM_MICROSECONDS, false, false},
    {"latency max", "latency_us", "max", FORM_MICROSECONDS, false, false},
    {"workers", NULL, "workers", FORM_COUNT, false, false},
    {"parks", "scheduler", "parks", FORM_COUNT, false, false},
    {"stolen tasks", "scheduler", "stolen_tasks", FORM_COUNT, false, false},
    {"decode seconds", "programs", "decode_seconds", FORM_SECONDS, false, false},
    {"compile seconds", "native", "compile_seconds", FORM_SECONDS, false, false},
    {"compiled", "native", "compiled_bytes", FORM_SIZE, false, false},
    {"peak memory", NULL, "peak_memory_bytes", FORM_SIZE, false, false},
};
#define COUNT      (sizeof FIGURES / sizeof *FIGURES)
#define FIRST_EXIT 1

_Static_assert(FIRST_EXIT + OUTCOME_COUNT < COUNT, "a row for each exit");

enum { JOBS = 0, GAS = 12, SECONDS = 13 };

struct stats {
    bool there[COUNT];
    uint64_t exact[COUNT]; /* COUNT, SIZE */
    double value[COUNT];
};

/* ---- reading ---------------------------------------------------------------------------- */

__attribute__((format(printf, 2, 3))) static bool refuse(const char *path, const char *fmt, ...)
{
    char why[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(why, sizeof why, fmt, args);
    va_end(args);
    diag_clean(why);
    complain("%s: no figures of --stats: %s", path, why);
    return false;
}

static bool read_figure(const char *path, const struct json_node *nodes, size_t i,
                        struct stats *stats)
{
    const struct figure *figure = &FIGURES[i];
    const char *outer = figure->outer == NULL ? "" : figure->outer;
    const char *dot = figure->outer == NULL ? "" : ".";
    const struct json_node *in = nodes;
    if (figure->outer != NULL) {
        in = json_member(nodes, nodes, figure->outer);
        if (in != NULL && in->type != JSON_OBJECT)
            return refuse(path, "byte %u: \"%s\": expected an object", in->offset, figure->outer);
    }
    const struct json_node *node = in == NULL ? NULL : json_member(nodes, in, figure->key);
    if (node == NULL)
        return !figure->needed || refuse(path, "\"%s%s%s\" is missing", outer, dot, figure->key);
    const bool whole = figure->form == FORM_COUNT || figure->form == FORM_SIZE;
    if (node->type == JSON_UINT) {
        stats->exact[i] = node->u;
        stats->value[i] = (double)node->u;
    } else if (!whole && node->type == JSON_DOUBLE && node->d >= 0) {
        stats->value[i] = node->d;
    } else {
        return refuse(path, "byte %u: \"%s%s%s\": expected %s", node->offset, outer, dot,
                      figure->key, whole ? "an integer, 0 to 2^64-1" : "a number, not negative");
    }
    if (!whole && stats->value[i] > MOST)
        return refuse(path, "byte %u: \"%s%s%s\": too large", node->offset, outer, dot,
                      figure->key);
    stats->there[i] = true;
    return true;
}

static bool read_parsed(const char *path, const struct json_node *nodes, struct stats *stats)
{
    if (nodes->type != JSON_OBJECT)
        return refuse(path, "expected an object");
    for (size_t i = 0; i < COUNT; i++)
        if (!read_figure(path, nodes, i, stats))
            return false;
    return true;
}

static bool read_stats(const char *path, struct stats *stats)
{
    struct javm_error err;
    struct json_problem problem;
    const struct json_node *nodes;
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (javm_file_read(path, FILE_MAX, &bytes, &len, &err) != JAVM_OK) {
        complain("%s", err.text);
        return false;
    }
    struct json_parser *parser = json_parser_new();
    char *text = realloc(bytes, len + json_padding());
    bool fine = false;
    if (parser == NULL || text == NULL) {
        complain("%s: out of memory", path);
        free(text == NULL ? bytes : (uint8_t *)text);
        json_parser_free(parser);
        return false;
    }
    memset(text + len, 0, json_padding());
    if (!json_parse(parser, text, len, &nodes, &problem))
        refuse(path, "byte %u: %s", problem.offset, problem.text);
    else
        fine = read_parsed(path, nodes, stats);
    json_parser_free(parser);
    free(text);
    return fine;
}

/* ---- the table -------------------------------------------------------------------------- */

static const char *format(char *buffer, enum form form, const struct stats *stats, size_t i)
{
    if (!stats->there[i])
        return "-";
    switch (form) {
    case FORM_COUNT:
        return text_grouped(buffer, stats->exact[i]);
    case FORM_SIZE:
        return text_size(buffer, stats->exact[i]);
    case FORM_SECONDS:
        snprintf(buffer, 32, "%.6g s", stats->value[i]);
        return buffer;
    default:
        snprintf(buffer, 32, "%.6g us", stats->value[i]);
        return buffer;
    }
}

/* b / a; "" when there is nothing to divide. */
static const char *ratio(char *buffer, bool there, double a, double b)
{
    if (!there || a <= 0)
        return "";
    const double value = b / a;
    snprintf(buffer, 32, value >= 0.001 && value < 1e6 ? "%.3f" : "%.3g", value);
    return buffer;
}

static void row(const char *label, const char *a, const char *b, const char *last)
{
    printf(*last == '\0' ? "%-*s%*s%*s\n" : "%-*s%*s%*s%*s\n", LABEL_WIDTH, label, VALUE_WIDTH, a,
           VALUE_WIDTH, b, 10, last);
}

static void figure_row(size_t i, const struct stats *a, const struct stats *b)
{
    char left[32], right[32], last[32];
    const bool exit = i >= FIRST_EXIT && i < FIRST_EXIT + OUTCOME_COUNT;
    if ((exit && a->exact[i] == 0 && b->exact[i] == 0) || (!a->there[i] && !b->there[i]))
        return;
    row(FIGURES[i].label, format(left, FIGURES[i].form, a, i), format(right, FIGURES[i].form, b, i),
        ratio(last, a->there[i] && b->there[i], a->value[i], b->value[i]));
}

static double rate(const struct stats *stats, size_t i)
{
    return stats->value[SECONDS] > 0 ? stats->value[i] / stats->value[SECONDS] : 0;
}

static void rate_row(const char *label, size_t i, const struct stats *a, const struct stats *b)
{
    char left[32], right[32], last[32];
    row(label, text_scaled(left, rate(a, i)), text_scaled(right, rate(b, i)),
        ratio(last, true, rate(a, i), rate(b, i)));
}

/* The end of a long path says more than its beginning. */
static const char *tail(char *buffer, const char *path)
{
    const size_t len = strlen(path), most = VALUE_WIDTH - 2;
    if (len > most)
        snprintf(buffer, 32, "..%s", path + len - (most - 2));
    else
        snprintf(buffer, 32, "%s", path);
    diag_clean(buffer);
    return buffer;
}

static bool print_table(const struct options *options, const struct stats *a, const struct stats *b)
{
    char left[32], right[32];
    bool same = true;
    row("", tail(left, options->path), tail(right, options->second), "ratio");
    rate_row("jobs/s", JOBS, a, b);
    rate_row("gas/s", GAS, a, b);
    for (size_t i = 0; i < COUNT; i++)
        figure_row(i, a, b);
    for (size_t i = 0; i < COUNT; i++) {
        if (!FIGURES[i].work || a->exact[i] == b->exact[i])
            continue;
        printf("%s %s", same ? "not the same work:" : ",",
               FIGURES[i].label + strspn(FIGURES[i].label, " "));
        same = false;
    }
    if (!same)
        putchar('\n');
    return same;
}

int compare_stats(const struct options *options)
{
    struct stats a = {0}, b = {0};
    if (!read_stats(options->path, &a) || !read_stats(options->second, &b))
        return 2;
    const bool same = print_table(options, &a, &b);
    if (fflush(stdout) != 0 || ferror(stdout)) {
        complain("standard output: %s", strerror(errno));
        return 3;
    }
    return same ? 0 : 1;
}
