/* A blocking call there and back, and jobs in lanes, of an instance that is not there: what is
 * measured is the way, which is the same for one that is. */
#include "bench/bench_nub.h"

#include <stdio.h>
#include <stdlib.h>

#include "javm/nub_host.h"

enum { LANES = 64 };

struct row {
    enum javm_nub_backend backend;
    unsigned jobs; /* at a time, in lanes; 0: one call */
    struct javm_nub *nub;
};

static void demand(bool what, const struct javm_error *err)
{
    if (what)
        return;
    fprintf(stderr, "%s\n", err->text);
    abort();
}

static void run_row(void *context)
{
    struct row *row = context;
    const struct javm_nub_options options = {.lanes = LANES};
    const struct javm_nub_invoke packet = {.initial_gas = 1};
    struct javm_nub_result result;
    struct javm_nub_done done;
    struct javm_error err = {.text = ""};
    if (row->nub == NULL)
        demand(javm_nub_open(row->backend, &options, &row->nub, &err) == JAVM_OK, &err);
    if (row->jobs == 0)
        demand(javm_nub_invoke_cached(row->nub, &packet, &result, &err) == JAVM_E_MISSING, &err);
    for (unsigned i = 0; i < row->jobs; i++)
        demand(javm_nub_submit(row->nub, i, &packet, &err) == JAVM_OK, &err);
    for (unsigned i = 0; i < row->jobs; i++)
        demand(javm_nub_poll(row->nub, true, &done, &err) == JAVM_OK && !done.crashed, &err);
}

void bench_nub_rows(struct bench *rows)
{
    static struct row kinds[BENCH_NUB_ROWS] = {{.backend = JAVM_NUB_THREAD},
                                               {.backend = JAVM_NUB_PROCESS},
                                               {.backend = JAVM_NUB_THREAD, .jobs = LANES},
                                               {.backend = JAVM_NUB_PROCESS, .jobs = LANES}};
    for (unsigned i = 0; i < BENCH_NUB_ROWS; i++) {
        const struct row *kind = &kinds[i];
        rows[i].section = "executor";
        snprintf(rows[i].name, sizeof rows[i].name, "%s",
                 kind->jobs == 0 ? "one there and back" : "job in a lane");
        rows[i].column = kind->backend == JAVM_NUB_THREAD ? "thread" : "process";
        rows[i].run = run_row;
        rows[i].context = &kinds[i];
        rows[i].items = kind->jobs;
    }
}
