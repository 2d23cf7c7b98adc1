/* Defects that this would catch: an option that sets nothing or the wrong thing, a wrong default, a
 * range that is off by one, a number that is read although it is none, and results that go where
 * nobody expects them. What is said on standard error is tested by tests/cli/usage.sh. */
#include <criterion/criterion.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "batch/options.h"

#define MAX_WORDS 16

static char *words[MAX_WORDS + 1];
static struct options options;

/* The words of `line`, split at blanks, behind the program's name; what is said goes nowhere. */
static enum options_end parse(const char *line)
{
    static char text[512];
    int count = 0;
    options_free(&options);
    optind = 0; /* GNU getopt: start anew */
    snprintf(text, sizeof text, "javm-batch %s", line);
    for (char *word = strtok(text, " "); word != NULL && count < MAX_WORDS;
         word = strtok(NULL, " "))
        words[count++] = word;
    words[count] = NULL;
    fflush(stdout);
    const int out = dup(STDOUT_FILENO), err = dup(STDERR_FILENO),
              null = open("/dev/null", O_WRONLY);
    cr_assert(out >= 0 && err >= 0 && null >= 0);
    dup2(null, STDOUT_FILENO);
    dup2(null, STDERR_FILENO);
    const enum options_end end = options_parse(count, words, &options);
    fflush(stdout);
    dup2(out, STDOUT_FILENO);
    dup2(err, STDERR_FILENO);
    close(out);
    close(err);
    close(null);
    return end;
}

static void tear_down(void)
{
    options_free(&options);
}

Test(options, defaults, .fini = tear_down)
{
    cr_assert_eq(parse("a/jobs.ndjson"), OPTIONS_GO);
    cr_expect_eq(options.command, COMMAND_RUN);
    cr_expect_str_eq(options.path, "a/jobs.ndjson");
    cr_expect_str_eq(options.output, "a/jobs.results.ndjson");
    cr_expect_null(options.stats);
    cr_expect(options.trace == NULL && options.metrics == NULL);
    cr_expect_null(options.cache);
    cr_expect_eq(options.workers, 0);
    cr_expect_eq(options.gas, 1000000000);
    cr_expect_eq(options.timeout_ms, 0);
    cr_expect_eq(options.max_in_flight, 65536);
    cr_expect_eq(options.numa, JAVM_NUMA_AUTO);
    cr_expect_eq(options.progress, PROGRESS_AUTO);
    cr_expect_eq(options.engine,
                 javm_engine_available(JAVM_ENGINE_JIT) ? JAVM_ENGINE_JIT : JAVM_ENGINE_INTERP);
    cr_expect(!options.engine_named && !options.perf_map);
    cr_expect(!options.ordered && !options.reproducible && !options.post && !options.keep_going &&
              !options.fail_fast && !options.disassemble);
}

Test(options, each_sets_its_own, .fini = tear_down)
{
    cr_assert_eq(parse("j --gas 5 --timeout 6 --max-in-flight 7 --workers 8 --stats s --output o"),
                 OPTIONS_GO);
    cr_expect(options.gas == 5 && options.timeout_ms == 6 && options.max_in_flight == 7 &&
              options.workers == 8);
    cr_expect_str_eq(options.stats, "s");
    cr_expect_str_eq(options.output, "o");
    cr_expect(!options.ordered && !options.reproducible && !options.post && !options.keep_going &&
              !options.fail_fast);
    parse("--ordered j");
    cr_expect(options.ordered && !options.reproducible);
    parse("--reproducible j");
    cr_expect(options.reproducible && !options.ordered);
    parse("--post j");
    cr_expect(options.post && !options.keep_going);
    parse("--keep-going j");
    cr_expect(options.keep_going && !options.fail_fast);
    parse("--fail-fast j");
    cr_expect(options.fail_fast && !options.keep_going);
    parse("--numa off --progress plain --engine interp j");
    cr_expect(options.numa == JAVM_NUMA_OFF && options.progress == PROGRESS_PLAIN &&
              options.engine == JAVM_ENGINE_INTERP && options.engine_named);
    parse("--trace t j");
    cr_expect_str_eq(options.trace, "t");
    cr_expect(options.stats == NULL && options.metrics == NULL);
    parse("--metrics 127.0.0.1:0 j");
    cr_expect_str_eq(options.metrics, "127.0.0.1:0");
    cr_expect_null(options.trace);
    cr_expect_eq(parse("--metrics [::1]:65535 j"), OPTIONS_GO);
    cr_expect_eq(parse("--metrics 10.0.0.1:9400 j"), OPTIONS_BAD);
    parse("--cache c j");
    cr_expect_str_eq(options.cache, "c");
    cr_expect(!options.perf_map);
    parse("--perf-map j");
    cr_expect(options.perf_map && options.cache == NULL);
    cr_expect_eq(parse("--engine jit j"),
                 javm_engine_available(JAVM_ENGINE_JIT) ? OPTIONS_GO : OPTIONS_BAD);
    parse("--progress bar j");
    cr_expect_eq(options.progress, PROGRESS_BAR);
    parse("--progress none j");
    cr_expect_eq(options.progress, PROGRESS_NONE);
    cr_expect_eq(parse("--isolation thread --gas-model exec j"), OPTIONS_GO);
    cr_expect_eq(options.memory_bytes, DEFAULT_MEMORY);
    cr_expect_eq(parse("--mem-limit 0x100000 j --isolation process"), OPTIONS_GO);
    cr_expect_eq(options.memory_bytes, 1u << 20);
}

Test(options, commands, .fini = tear_down)
{
    cr_assert_eq(parse("run j"), OPTIONS_GO);
    cr_expect_eq(options.command, COMMAND_RUN);
    cr_assert_eq(parse("check --gas 5 j"), OPTIONS_GO);
    cr_expect(options.command == COMMAND_CHECK && options.gas == 5);
    cr_assert_eq(parse("compare a b"), OPTIONS_GO);
    cr_expect_eq(options.command, COMMAND_COMPARE);
    cr_expect_str_eq(options.path, "a");
    cr_expect_str_eq(options.second, "b");
    cr_expect(parse("compare a") == OPTIONS_BAD && parse("compare a b c") == OPTIONS_BAD);
    cr_assert_eq(parse("info j --asm"), OPTIONS_GO);
    cr_expect(options.command == COMMAND_INFO && options.disassemble && !options.engine_named);
    cr_assert_eq(parse("info j --asm --engine interp"), OPTIONS_GO);
    cr_expect(options.engine == JAVM_ENGINE_INTERP && options.engine_named);
    cr_expect_eq(parse("info --cache c j"), OPTIONS_BAD);
    cr_expect_eq(parse("info --ordered j"), OPTIONS_BAD);
    cr_expect_eq(parse("--asm j"), OPTIONS_BAD);
    cr_expect_eq(parse("check --asm j"), OPTIONS_BAD);
    cr_expect_eq(parse("run"), OPTIONS_BAD);
    cr_expect_eq(parse(""), OPTIONS_BAD);
    cr_expect_eq(parse("run a b"), OPTIONS_BAD);
    cr_assert_eq(parse("run run"), OPTIONS_GO);
    cr_expect_str_eq(options.path, "run");
    cr_expect_eq(parse("--help"), OPTIONS_DONE);
    cr_expect_eq(parse("info --version"), OPTIONS_DONE);
}

Test(options, numbers, .fini = tear_down)
{
    static const struct {
        const char *line;
        bool good;
    } CASES[] = {{"--gas 0 j", true},
                 {"--gas 18446744073709551615 j", true},
                 {"--gas 18446744073709551616 j", false},
                 {"--gas 0xffffffffffffffff j", true},
                 {"--gas 0X10 j", true},
                 {"--gas 0x j", false},
                 {"--gas +1 j", false},
                 {"--gas 1k j", false},
                 {"--gas= j", false},
                 {"--workers 1 j", true},
                 {"--workers 4096 j", true},
                 {"--workers 4097 j", false},
                 {"--workers 010 j", true},
                 {"--timeout 2147483648 j", true},
                 {"--timeout 2147483649 j", false},
                 {"--max-in-flight 16777216 j", true},
                 {"--max-in-flight 16777217 j", false},
                 {"--max-in-flight 0 j", false}};
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++)
        cr_expect_eq(parse(CASES[i].line), CASES[i].good ? OPTIONS_GO : OPTIONS_BAD, "%s",
                     CASES[i].line);
    parse("--gas 0X10 j");
    cr_expect_eq(options.gas, 16);
    parse("--workers 010 j");
    cr_expect_eq(options.workers, 10, "decimal, not octal");
}

Test(options, where_results_go, .fini = tear_down)
{
    static const char *const NAMES[][2] = {
        {"a.ndjson", "a.results.ndjson"},     {"a.ndjson.gz", "a.results.ndjson"},
        {"a.ndjson.zst", "a.results.ndjson"}, {"d.gz/a", "d.gz/a.results.ndjson"},
        {"a.txt", "a.txt.results.ndjson"},    {"a.gz", "a.results.ndjson"},
        {".gz", ".gz.results.ndjson"},        {".ndjson", ".ndjson.results.ndjson"},
        {"a.gz.gz", "a.gz.results.ndjson"}};
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++) {
        const struct options of = {.path = NAMES[i][0], .shards = 1};
        char *name = options_default_output(&of);
        cr_expect_str_eq(name, NAMES[i][1]);
        free(name);
    }
    parse("-");
    cr_expect_str_eq(options.output, "-");
    parse("--output x -");
    cr_expect_str_eq(options.output, "x");
    parse("--shard 2/7 a.ndjson.gz");
    cr_expect_str_eq(options.output, "a.2-of-7.results.ndjson");
    cr_expect(options.shard == 2 && options.shards == 7 && !options.resume);
    parse("--shard 0/1 a --resume");
    cr_expect_str_eq(options.output, "a.results.ndjson");
    cr_expect(options.resume);
    char *command = options_resume_command(&options);
    cr_expect_str_eq(command, "javm-batch run --shard 0/1 --resume a");
    free(command);
    parse("run --output a%b;c j");
    command = options_resume_command(&options);
    cr_expect_str_eq(command, "javm-batch run --resume --output 'a%b;c' j");
    free(command);
    parse("--output - j");
    cr_expect_null(options_resume_command(&options), "nothing to go on with");
    cr_assert_eq(parse("verify --gas 3 j r"), OPTIONS_GO);
    cr_expect(options.command == COMMAND_VERIFY && options.gas == 3 && options.reproducible);
    cr_expect_str_eq(options.path, "j");
    cr_expect_str_eq(options.second, "r");
    parse("check j");
    cr_expect_null(options.output, "nothing is written");
}
