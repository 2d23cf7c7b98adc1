/* jar1's jumps may lead into the middle of a block. The jump pays for the rest of the block (PVM
 * 8), who comes from above pays nothing: so each such place has a header of its own behind the
 * straight part of the program. */
#include <stdlib.h>

#include "vm/program.h"
#include "vm/pvm.h"

/* The places to enter, ascending. */
struct entries {
    struct pvm_entry *items; /* owned */
    uint32_t count;
};

/* The places in the middle of blocks that some jump leads to. */
static bool collect(const struct javm_program *p, struct entries *entries)
{
    struct pvm_targets targets;
    uint32_t room = 0, insn = 1;
    if (!pvm_find_targets(&p->front, &targets))
        return false;
    for (uint64_t pc = 0; pc < p->front.len; pc++)
        room += pvm_bit(targets.middle, pc);
    entries->items = malloc((room + 1) * sizeof *entries->items);
    for (uint64_t pc = 0; entries->items != NULL && pc < p->front.len; pc++) {
        if (!pvm_bit(targets.middle, pc) || p->landing[pc] != 0)
            continue;
        while (p->pcs[insn] < pc)
            insn++;
        entries->items[entries->count++] = (struct pvm_entry){.pc = (uint32_t)pc, .place = insn};
    }
    free(targets.middle);
    return entries->items != NULL;
}

static bool resolve_jumps(struct javm_program *p)
{
    const struct javm_program_key *key = &p->front.key;
    p->jumps = malloc((key->jump_count + (size_t)1) * sizeof *p->jumps);
    if (p->jumps == NULL)
        return false;
    for (uint32_t i = 0; i < key->jump_count; i++)
        p->jumps[i] = pvm_may_land(&p->front, key->jump_table[i])
                          ? program_landing(p, key->jump_table[i])
                          : 0;
    return true;
}

void program_add_entries(struct builder *b)
{
    struct javm_program *p = b->program;
    struct entries entries = {.count = 0};
    if (b->failed)
        return;
    if (!collect(p, &entries) || !pvm_price(&p->front, entries.items, entries.count))
        b->failed = true;
    for (uint32_t i = 0; i < entries.count && !b->failed; i++) {
        const struct pvm_entry *entry = &entries.items[i];
        p->landing[entry->pc] = p->count;
        program_emit_op(b, IR_BLOCK, (int64_t)entry->cost, entry->pc);
        const int64_t distance =
            ((int64_t)entry->place - (int64_t)p->count) * (int64_t)sizeof *p->insns;
        const struct ir_insn go = {.op = IR_GOTO, .hi = (int32_t)distance};
        program_emit(b, &go, entry->pc);
    }
    free(entries.items);
    b->failed = b->failed || !resolve_jumps(p);
}
