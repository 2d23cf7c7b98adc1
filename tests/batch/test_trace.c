/* Defects that this would catch: events that are torn, lost without being counted or written twice
 * when workers are quicker than the file; a ring that holds less than it promises; compiled code
 * that two workers mark; a file that is no JSON. Run under the thread sanitizer, too. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "batch/json.h"
#include "batch/trace.h"
#include "javm/load.h"

#define WORKERS 4
#define MANY    (TRACE_LEVEL / WORKERS - 1000) /* together less than where sampling begins */

static char path[] = "/tmp/javm-trace-XXXXXX";
static struct trace *trace;

struct busy {
    pthread_t thread;
    struct trace_lane *lane;
    unsigned worker;
    uint64_t jobs;
};

static void *busy_main(void *arg)
{
    struct busy *busy = arg;
    for (uint64_t i = 0; i < busy->jobs; i++) {
        const struct job job = {.first = i, .units = 1, .id_number = busy->worker};
        trace_job(busy->lane, &job, i, OUTCOME_HALT, i, (int64_t)(2 * i), (int64_t)(2 * i + 2));
        trace_compiled(busy->lane, i / 100, i / 100 * 7);
    }
    return NULL;
}

static void set_up(void)
{
    struct javm_error err;
    strcpy(path + sizeof path - sizeof "XXXXXX", "XXXXXX"); /* tests may share a process */
    const int fd = mkstemp(path);
    cr_assert(fd >= 0);
    close(fd);
    cr_assert_eq(trace_open(path, "a \"title\"", &trace, &err), JAVM_OK);
}

static void tear_down(void)
{
    trace_free(trace);
    unlink(path);
}

static void work(uint64_t jobs)
{
    struct busy busy[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        busy[i] = (struct busy){.worker = i, .jobs = jobs, .lane = trace_lane_new(trace, i)};
        cr_assert(busy[i].lane != NULL);
    }
    for (unsigned i = 0; i < WORKERS; i++)
        cr_assert_eq(pthread_create(&busy[i].thread, NULL, busy_main, &busy[i]), 0);
    for (unsigned i = 0; i < WORKERS; i++)
        pthread_join(busy[i].thread, NULL);
}

struct seen {
    uint64_t jobs, compiled, marks;
};

/* Every event is whole, and those of a lane are in order. */
static struct seen look(void)
{
    struct javm_error err;
    struct json_problem problem;
    const struct json_node *nodes;
    struct seen seen = {0};
    uint64_t next[WORKERS] = {0};
    uint8_t *bytes;
    size_t len;
    cr_assert_eq(javm_file_read(path, 0, &bytes, &len, &err), JAVM_OK);
    char *text = calloc(1, len + json_padding());
    struct json_parser *parser = json_parser_new();
    cr_assert(text != NULL && parser != NULL);
    memcpy(text, bytes, len);
    cr_assert(json_parse(parser, text, len, &nodes, &problem), "%s", problem.text);
    cr_assert_eq(nodes->type, JSON_ARRAY);
    for (uint32_t i = nodes->first; i != 0; i = nodes[i].next) {
        const struct json_node *kind = json_member(nodes, &nodes[i], "ph");
        const struct json_node *args = json_member(nodes, &nodes[i], "args");
        cr_assert(kind != NULL && args != NULL);
        if (*kind->text == 'X') {
            const uint64_t lane = json_member(nodes, &nodes[i], "tid")->u;
            const uint64_t gas = json_member(nodes, args, "gas")->u;
            const struct json_node *name = json_member(nodes, &nodes[i], "name");
            cr_assert(lane < WORKERS && gas >= next[lane]);
            cr_assert(name->text_len == 1 && name->text[0] == (char)('0' + lane));
            next[lane] = gas + 1;
            seen.jobs++;
        } else if (*kind->text == 'i' && json_member(nodes, args, "bytes") != NULL) {
            seen.compiled += json_member(nodes, args, "bytes")->u;
            seen.marks++;
        }
    }
    json_parser_free(parser);
    free(text);
    free(bytes);
    return seen;
}

Test(trace, what_fits_is_all_there, .init = set_up, .fini = tear_down)
{
    struct trace_figures figures;
    struct javm_error err;
    /* 1 + 1/100 events for each job. */
    const uint64_t jobs = TRACE_RING - TRACE_RING / 64;
    work(jobs);
    cr_assert_eq(trace_close(trace, &figures, &err), JAVM_OK);
    const struct seen seen = look();
    cr_expect(figures.lost == 0 && figures.sampled == 0);
    cr_expect_eq(seen.jobs, WORKERS * jobs);
    cr_expect_eq(seen.compiled, (jobs - 1) / 100);
}

Test(trace, what_is_lost_is_counted, .init = set_up, .fini = tear_down)
{
    struct trace_figures figures;
    struct javm_error err;
    work(MANY);
    cr_assert_eq(trace_close(trace, &figures, &err), JAVM_OK);
    const struct seen seen = look();
    cr_expect_eq(figures.sampled, 0);
    cr_expect(seen.jobs + figures.lost >= (uint64_t)WORKERS * MANY);
    cr_expect(seen.jobs + seen.marks + figures.lost <= (uint64_t)WORKERS * MANY + MANY / 100);
    cr_expect(seen.jobs + seen.marks >= WORKERS * TRACE_RING);
}

Test(trace, fewer_are_kept_of_very_many, .init = set_up, .fini = tear_down)
{
    struct trace_figures figures;
    struct javm_error err;
    work(TRACE_LEVEL);
    cr_assert_eq(trace_close(trace, &figures, &err), JAVM_OK);
    const struct seen seen = look();
    cr_expect(seen.jobs + figures.lost + figures.sampled >= (uint64_t)WORKERS * TRACE_LEVEL);
    /* 100,000, then of the other 300,000 200,000 for the next 100,000, and half of what is left;
     * what was in the rings when a level ended comes on top. */
    cr_expect(seen.jobs + seen.marks <= 3 * TRACE_LEVEL + 3 * WORKERS * TRACE_RING);
}

Test(trace, no_jobs, .init = set_up, .fini = tear_down)
{
    struct trace_figures figures;
    struct javm_error err;
    cr_assert_eq(trace_close(trace, &figures, &err), JAVM_OK);
    cr_expect_eq(look().jobs, 0);
}
