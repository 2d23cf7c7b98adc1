/* Where PVM's blocks begin and where its jumps lead (spec: PVM sections 2.2, 5). */
#include <stdlib.h>

#include "vm/front.h"
#include "vm/pvm.h"

uint64_t pvm_before(const struct front *f, uint64_t at)
{
    /* It begins with the last set bit before, if that is near. */
    for (uint64_t len = 1; len <= at && len <= PVM_SKIP_MAX + 1; len++)
        if (pvm_begins(f, at - len))
            return at - len;
    return at;
}

bool pvm_starts_block(const struct front *f, uint64_t at)
{
    const uint64_t before = pvm_before(f, at);
    return at == 0 || (before != at && pvm_is_terminator(f, f->code[before]));
}

bool pvm_may_land(const struct front *f, uint64_t at)
{
    if (at >= f->len || !pvm_begins(f, at))
        return false;
    return f->key.pvm != JAVM_PVM_GP || (pvm_starts_block(f, at) && pvm_is_valid(f, f->code[at]));
}

static uint64_t words(uint64_t code_len)
{
    return code_len / 64 + 1;
}

uint64_t pvm_target_words(uint64_t code_len)
{
    return 2 * words(code_len);
}

static void note(const struct front *f, struct pvm_targets *t, uint64_t from, uint64_t target)
{
    const uint64_t bit = UINT64_C(1) << (target % 64);
    if (target <= from)
        t->heads[target / 64] |= bit;
    if (!pvm_starts_block(f, target))
        t->middle[target / 64] |= bit;
}

bool pvm_find_targets(const struct front *f, struct pvm_targets *t)
{
    t->middle = calloc(pvm_target_words(f->len), sizeof *t->middle);
    if (t->middle == NULL)
        return false;
    t->heads = t->middle + words(f->len);
    struct ir_step step;
    for (uint64_t at = 0; at < f->len; at += step.len) {
        if (!pvm_is_terminator(f, f->code[at])) { /* most are not */
            step.len = (uint8_t)(pvm_skip(f, at) + 1);
            continue;
        }
        pvm_next(f, at, &step);
        if (step.executes && step.insn.op >= IR_BEQ && step.insn.op <= IR_LI_JUMP &&
            step.insn.hi != IR_NO_TARGET)
            note(f, t, at, (uint32_t)step.insn.hi);
    }
    for (uint32_t i = 0; i < f->key.jump_count; i++)
        if (pvm_may_land(f, f->key.jump_table[i]))
            note(f, t, f->len, f->key.jump_table[i]);
    return true;
}
