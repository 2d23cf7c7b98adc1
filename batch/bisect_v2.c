#include "batch/bisect_v2.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "batch/execute.h"
#include "batch/run.h"

static void say_end(const struct result *result, struct bisect_state *state)
{
    char *text = state->end;
    const size_t size = sizeof state->end;
    if (result->outcome == OUTCOME_ERROR)
        snprintf(text, size, "%.*s", (int)size - 1, result->error);
    else if (result->outcome == OUTCOME_HALT)
        snprintf(text, size, "halt %" PRIu64, result->value);
    else if (result->outcome == OUTCOME_PAGE_FAULT)
        snprintf(text, size, "page_fault at 0x%" PRIx64, result->addr);
    else
        snprintf(text, size, "%s", outcome_name(result->outcome));
}

/* Texts are hashed one by one: otherwise bytes could go from one to the next. */
static struct javm_hash hash_of(const struct result *result, const struct javm_v2_result *ended)
{
    const struct job_text *texts[] = {&result->storage, &result->calls, &result->exports};
    struct javm_hash hashes[3];
    for (unsigned i = 0; i < 3; i++)
        hashes[i] = javm_hash_pieces(&(const struct javm_bytes){texts[i]->text, texts[i]->len}, 1);
    const struct javm_bytes all[] = {{hashes, sizeof hashes},
                                     {&result->output_hash, sizeof result->output_hash},
                                     {ended->regs, sizeof ended->regs},
                                     {&ended->vms, sizeof ended->vms}};
    return javm_hash_pieces(all, sizeof all / sizeof *all);
}

enum javm_status bisect_v2_probe(void *context, unsigned side, uint64_t gas,
                                 struct bisect_state *state, struct javm_error *err)
{
    const struct bisect_v2 *b = context;
    struct v2_runner *runner = b->runners[side];
    const struct javm_v2_result *ended = &runner->ended;
    struct job limited = *b->job;
    struct result result;
    limited.gas = gas;
    limited.output = OUTPUT_HASH; /* whatever the job says: all that is left */
    v2_run(runner, b->options[side], &limited, clock_ns(), b->timeout_ms, &result);
    state->late = ended->end == JAVM_V2_END_TIMEOUT;
    state->stands = ended->end == JAVM_V2_END_OUT_OF_GAS;
    state->gas_used = result.gas_used;
    memcpy(state->frame.regs, ended->regs, sizeof ended->regs);
    state->left = hash_of(&result, ended);
    say_end(&result, state);
    const bool starved = result.starved;
    result_clear(&result);
    return starved ? javm_fail(err, JAVM_E_NOMEM, JAVM_NOWHERE, "out of memory") : JAVM_OK;
}
