#include "batch/choose.h"

#include <stdlib.h>

#include "batch/chain.h"
#include "batch/history.h"
#include "batch/result.h"

void choice_begin(struct choice *choice, struct run *run)
{
    *choice = (struct choice){.run = run};
}

void choice_end(struct choice *choice)
{
    free(choice->key);
    choice->key = NULL;
}

bool chooses(const struct choice *choice)
{
    const struct run *run = choice->run;
    return run->history != NULL || run->options->shards > 1 || run->ranks != NULL;
}

/* All jobs of a chain are where its first one is. */
static uint64_t shard_number(const struct job *job, uint64_t number)
{
    struct chain *chain = job->chain;
    if (chain == NULL)
        return number;
    if (!chain->numbered) {
        chain->numbered = true;
        chain->number = number;
    }
    return chain->number;
}

static bool own(const struct choice *choice, const struct job *job, uint64_t number)
{
    struct chain *chain = job->chain;
    const bool here = number >= choice->low && number < choice->high;
    if (chain == NULL)
        return here;
    if (!chain->numbered)
        chain->own = here;
    chain->numbered = true;
    return chain->own;
}

static bool has_line(struct choice *choice, const struct job *job, uint64_t rep)
{
    struct run *run = choice->run;
    const size_t room = result_key_max(job);
    bool failed;
    if (room > choice->key_room) {
        free(choice->key);
        choice->key = malloc(room);
        choice->key_room = choice->key == NULL ? 0 : room;
        if (choice->key == NULL) {
            run_halt(run, HALT_MEMORY);
            return false;
        }
    }
    const size_t len = (size_t)(result_key(choice->key, job, rep) - choice->key);
    if (!history_take(run->history, history_hash(run->history, choice->key, len), &failed)) {
        choice->missed = true;
        return false;
    }
    run->resumed++;
    run->resumed_failures += failed;
    run->resumed_late = run->resumed_late || choice->missed;
    return true;
}

enum fate choose(struct choice *choice, const struct job *job, uint64_t rep)
{
    const struct options *options = choice->run->options;
    const uint64_t number = choice->number++;
    if (options->shards > 1 && shard_number(job, number) % options->shards != options->shard)
        return FATE_SKIP;
    /* Equal jobs are counted, so a rank looks for the lines of others' jobs, too. */
    const bool there = choice->run->history != NULL && has_line(choice, job, rep);
    const bool ranks = choice->run->ranks != NULL;
    if (ranks && !own(choice, job, number))
        return FATE_SKIP;
    if (!there)
        return FATE_RUN;
    return job->chain != NULL ? FATE_REPLAY : ranks ? FATE_HOLE : FATE_SKIP;
}
