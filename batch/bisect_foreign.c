#include "batch/bisect_foreign.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "batch/definitions.h"
#include "batch/foreign.h"
#include "batch/pvm_listing.h"
#include "batch/run.h"

#define PVM_REGS 13u

static void say_end(const struct javm_pvm_call *call, struct bisect_state *state)
{
    char *text = state->end;
    const size_t size = sizeof state->end;
    if (call->end == JAVM_PVM_RETURNED)
        snprintf(text, size, "halt %" PRIu64, call->value);
    else if (call->end == JAVM_PVM_OUT_OF_GAS)
        snprintf(text, size, "goes on at 0x%" PRIx64, call->pc);
    else if (call->end == JAVM_PVM_FAULT)
        snprintf(text, size, "%s at 0x%" PRIx64, javm_pvm_end_name(call->end), call->addr);
    else if (call->end == JAVM_PVM_HOST_CALL)
        snprintf(text, size, "%s %" PRIu32, javm_pvm_end_name(call->end), call->number);
    else
        snprintf(text, size, "%s", javm_pvm_end_name(call->end));
}

/* Gas by the instruction ends within blocks, where an engine may well step what it runs as a whole:
 * it is the block that is to be blamed. By the block it ends where one was entered. */
static uint64_t block_of(const struct javm_pvm_code *code, uint64_t pc)
{
    uint64_t start = pc;
    for (uint64_t at = pc; code->profile == JAVM_PVM_GP && at > 0 && at <= code->code_len; at--) {
        if (!javm_pvm_is_start(code, at - 1))
            continue;
        if (javm_pvm_decode(code, at - 1).terminator)
            break;
        start = at - 1;
    }
    return start;
}

enum javm_status bisect_foreign_probe(void *context, unsigned side, uint64_t gas,
                                      struct bisect_state *state, struct javm_error *err)
{
    const struct bisect_foreign *b = context;
    struct javm_pvm_instance *instance;
    struct javm_pvm_call call = {.gas = gas};
    state->status =
        foreign_call(b->runners[side], b->job, clock_ns(), b->timeout_ms, &call, &instance, err);
    if (state->status != JAVM_OK) {
        snprintf(state->end, sizeof state->end, "%s", err->text);
        return state->status == JAVM_E_NOMEM ? JAVM_E_NOMEM : JAVM_OK;
    }
    state->late = call.end == JAVM_PVM_TIMEOUT;
    state->stands = call.end == JAVM_PVM_OUT_OF_GAS;
    state->gas_used = gas - call.gas;
    state->frame.pc = block_of(&b->job->target->foreign->program.code, call.pc);
    memcpy(state->frame.regs, javm_pvm_instance_regs(instance), PVM_REGS * sizeof(uint64_t));
    state->left = javm_pvm_instance_hash(instance);
    say_end(&call, state);
    return JAVM_OK;
}

bool bisect_foreign_list(void *context, const struct javm_frame *frame, uint64_t *at,
                         char text[BISECT_LINE])
{
    const struct bisect_foreign *b = context;
    const struct javm_pvm_program *program = &b->job->target->foreign->program;
    const struct listing_names names = {program->exports, program->imports, program->export_count,
                                        program->import_count};
    const struct javm_pvm_insn insn = javm_pvm_decode(&program->code, *at);
    (void)frame;
    *at = listing_pvm_insn(&program->code, &names, *at, text, BISECT_LINE);
    return !insn.terminator;
}
